"""Who may do what: every action of the product once, with the roles that may (SPEC "People", "Data").

A role is the first question and never the last: whose row it is decides the rest (`characters.may_change`, row-level
security). The database asks the same for itself; tests/rights/test_database_agrees.py holds the two alike, and
docs/roles.md is written from here by `python -m core roles --markdown`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from core.errors import NotAllowed
from core.values import Person, Role


class Action(StrEnum):
    """What somebody may do; the name is for programs and never changes its meaning."""

    # everybody with a role
    use_studio = "use_studio"
    rate_portraits = "rate_portraits"
    leave_characters = "leave_characters"
    make_test_portrait = "make_test_portrait"
    keep_views = "keep_views"
    # characters and pictures
    write_characters = "write_characters"
    import_characters = "import_characters"
    share_characters = "share_characters"
    share_anybodys = "share_anybodys"
    write_scenes = "write_scenes"
    choose_references = "choose_references"
    make_pictures = "make_pictures"
    ask_suggestions = "ask_suggestions"
    change_portraits = "change_portraits"
    change_library = "change_library"
    # looking across people
    see_everybodys = "see_everybodys"
    see_prompts_in_line = "see_prompts_in_line"
    see_health = "see_health"
    see_costs = "see_costs"
    see_activity = "see_activity"
    see_settings = "see_settings"
    see_answers = "see_answers"
    ask_providers = "ask_providers"
    # repairs
    cancel_anybodys = "cancel_anybodys"
    recover_jobs = "recover_jobs"
    purge_jobs = "purge_jobs"
    settle_outcomes = "settle_outcomes"
    check_autosave = "check_autosave"
    repair_autosave = "repair_autosave"
    decide_characters = "decide_characters"
    check_rows = "check_rows"
    work_on_findings = "work_on_findings"
    judge_findings = "judge_findings"
    scan_library = "scan_library"
    repair_library = "repair_library"
    judge_samples = "judge_samples"
    draw_samples = "draw_samples"
    # attribute images
    see_attribute_images = "see_attribute_images"
    make_attribute_images = "make_attribute_images"
    judge_attribute_images = "judge_attribute_images"
    change_options = "change_options"
    # the installation
    set_budgets = "set_budgets"
    set_prices = "set_prices"
    refund = "refund"
    change_models = "change_models"
    pause_providers = "pause_providers"
    send_test_messages = "send_test_messages"
    see_people = "see_people"
    change_people = "change_people"
    set_retention = "set_retention"
    export_people = "export_people"
    erase_people = "erase_people"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Who may do an action. `doing` begins a sentence: "Writing characters"; `about` says what it covers."""

    doing: str
    about: str
    roles: frozenset[Role]


EVERY_ROLE = frozenset(Role)
_EDITOR = frozenset({Role.editor})
_LOOKERS = frozenset({Role.qa, Role.product, Role.admin})
_REPAIRERS = frozenset({Role.qa, Role.admin})
_MAKERS = frozenset({Role.product, Role.admin})
_ADMIN = frozenset({Role.admin})


def _rule(roles: frozenset[Role], doing: str, about: str) -> Rule:
    return Rule(doing=doing, about=about, roles=roles)


_A = Action
GROUPS: Mapping[str, Mapping[Action, Rule]] = MappingProxyType({
    "Everybody with a role": {
        _A.use_studio: _rule(EVERY_ROLE, "Using the studio", "Open the studio and the dashboard, see one's own and one's team's characters, the queue, the models and what is paused."),
        _A.rate_portraits: _rule(EVERY_ROLE, "Rating portraits", "Stars and favourites on a portrait one may see; each for oneself."),
        _A.leave_characters: _rule(EVERY_ROLE, "Leaving a shared character", "End one's own membership of somebody else's character."),
        _A.make_test_portrait: _rule(EVERY_ROLE, "Making a test portrait", "One Sketch portrait end to end, drawn on this machine for nothing, and its removal."),
        _A.keep_views: _rule(EVERY_ROLE, "Keeping views", "Save, share, rename and delete one's own views of the dashboard."),
    },
    "Characters and pictures": {
        _A.write_characters: _rule(_EDITOR, "Writing characters", "Create, edit, publish, duplicate, delete and restore: one's own, one's team's, and as a member what may be changed."),
        _A.import_characters: _rule(_EDITOR, "Importing characters", "Make characters from character cards."),
        _A.share_characters: _rule(frozenset({Role.editor, Role.admin}), "Sharing characters", "Say who works on a character: its owner, where an editor, and an admin."),
        _A.share_anybodys: _rule(_ADMIN, "Sharing somebody else's characters", "The same, for characters of others."),
        _A.write_scenes: _rule(_EDITOR, "Writing scenes", "Create, edit, order, delete and restore scenes."),
        _A.choose_references: _rule(_EDITOR, "Choosing references", "Upload, choose and remove reference images, with the confirmation of rights."),
        _A.make_pictures: _rule(_EDITOR, "Making pictures", "Ask for portraits and scene images, see their price, cancel and try again; this spends money."),
        _A.ask_suggestions: _rule(_EDITOR, "Asking for suggestions", "Proposals for a character's fields; this may spend money."),
        _A.change_portraits: _rule(_EDITOR, "Changing portraits", "Choose the primary, order, delete and restore."),
        _A.change_library: _rule(_EDITOR, "Changing the library", "Tag, delete and restore saved pictures."),
    },
    "Looking across people": {
        _A.see_everybodys: _rule(_LOOKERS, "Seeing everybody's work", "Characters, portraits, scenes, jobs, library items and findings of all people."),
        _A.see_prompts_in_line: _rule(_ADMIN, "Reading others' waiting prompts", "The words of jobs that wait in the queue; everybody reads their own."),
        _A.see_health: _rule(_LOOKERS, "Seeing the health of the whole", "The health rules, the queue, the clocks and which migrations were applied."),
        _A.see_costs: _rule(_LOOKERS, "Seeing costs", "What everything costs, and all budgets; an editor sees what concerns them."),
        _A.see_activity: _rule(_LOOKERS, "Reading what was done", "The record of what people and the studio did."),
        _A.see_settings: _rule(_LOOKERS, "Seeing models and providers", "The admin page, without changing anything: models, prices, providers, and which keys are set (never a key)."),
        _A.see_answers: _rule(_REPAIRERS, "Reading what a provider answered", "Answers and reports of providers, redacted."),
        _A.ask_providers: _rule(_LOOKERS, "Looking after providers", "Ask a provider or the store whether it can be reached."),
    },
    "Repairs": {
        _A.cancel_anybodys: _rule(_REPAIRERS, "Cancelling somebody else's job", "Stop any job; editors cancel those they may change."),
        _A.recover_jobs: _rule(_REPAIRERS, "Recovering jobs", "Set stuck jobs right."),
        _A.purge_jobs: _rule(_REPAIRERS, "Purging jobs", "End jobs of which nothing came, with a reason."),
        _A.settle_outcomes: _rule(_REPAIRERS, "Settling an unknown outcome", "Say what became of a paid request without a receipt."),
        _A.check_autosave: _rule(_REPAIRERS, "Starting a check", "Prove the auto-save now."),
        _A.repair_autosave: _rule(_REPAIRERS, "Repairing", "Mend what the auto-save left undone."),
        _A.decide_characters: _rule(_REPAIRERS, "Deciding which character a portrait belongs to", "Where its name alone does not tell."),
        _A.check_rows: _rule(_REPAIRERS, "Checking every row", "Hold every row against the rules now."),
        _A.work_on_findings: _rule(_LOOKERS, "Working through findings", "Take, give and note findings."),
        _A.judge_findings: _rule(_REPAIRERS, "Setting findings aside", "Set a finding aside with a reason, or bring it back."),
        _A.scan_library: _rule(_REPAIRERS, "Scanning the library", "Compare rows with objects now."),
        _A.repair_library: _rule(_REPAIRERS, "Repairing the library", "Mend, bin or accept what a scan found."),
        _A.judge_samples: _rule(_LOOKERS, "Judging QA samples", "Say what each portrait of a sample is like."),
        _A.draw_samples: _rule(_REPAIRERS, "Drawing QA samples", "Draw and close samples."),
    },
    "Attribute images": {
        _A.see_attribute_images: _rule(_LOOKERS, "Seeing attribute images", "The matrix, its runs and contact sheets; the approved pictures are shown to everybody with a role."),
        _A.make_attribute_images: _rule(_MAKERS, "Making attribute images", "Generate, regenerate and cancel; this spends money."),
        _A.judge_attribute_images: _rule(_MAKERS, "Judging attribute images", "Approve or reject, with a note."),
        _A.change_options: _rule(_MAKERS, "Changing options", "Add, change and switch the options of the character-creation form."),
    },
    "The installation": {
        _A.set_budgets: _rule(_ADMIN, "Setting budgets", "Make, change and remove budgets."),
        _A.set_prices: _rule(_ADMIN, "Setting prices", "Prices of models with their dates."),
        _A.refund: _rule(_ADMIN, "Entering refunds", "What a provider paid back."),
        _A.change_models: _rule(_ADMIN, "Changing models", "Switch on and off, priority, capabilities, new models."),
        _A.pause_providers: _rule(_ADMIN, "Pausing providers", "Pause a provider for everybody, and send to it again."),
        _A.send_test_messages: _rule(_ADMIN, "Sending a test message", "To the receiver of health notices."),
        _A.see_people: _rule(_ADMIN, "Seeing people", "Who can sign in, their roles and when they last did."),
        _A.change_people: _rule(_ADMIN, "Changing people", "Invite, give and take roles, lock out and let in."),
        _A.set_retention: _rule(_ADMIN, "Looking after retention", "Say how long what is kept, and see what went by its age, and when."),
        _A.export_people: _rule(_ADMIN, "Exporting a person", "Everything that belongs to one person, as one file."),
        _A.erase_people: _rule(_ADMIN, "Erasing a person", "Everything that belongs to one person, for good."),
    },
})  # fmt: skip

RULES: Mapping[Action, Rule] = MappingProxyType(
    {action: rule for group in GROUPS.values() for action, rule in group.items()}
)
MAY: Mapping[Action, frozenset[Role]] = MappingProxyType(
    {action: rule.roles for action, rule in RULES.items()}
)


def may(person: Person, action: Action) -> bool:
    """True where the person holds a role for it; whose row it is, is another question."""
    return not person.roles.isdisjoint(MAY[action])


def permit(person: Person, action: Action) -> None:
    """Raise NotAllowed, in a sentence that names the roles, where the person holds none for it."""
    if not may(person, action):
        raise NotAllowed(refusal(action))


def refusal(action: Action) -> str:
    """What somebody without a role for it is told."""
    roles = [role for role in Role if role in MAY[action]]
    ask = "it" if len(roles) == 1 else "one"
    return f"{RULES[action].doing} needs the {_listed(roles)} role. Ask an admin for {ask}."


def _listed(roles: Sequence[Role]) -> str:
    *others, last = roles
    return f"{', '.join(others)} or {last}" if others else str(last)


def as_markdown() -> str:
    """The table for people: docs/roles.md below its heading."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "# Who may do what"
    yield ""
    yield (
        "Written by `python -m core roles --markdown` from `core/authority.py`; the database asks for the same roles. "
        "A role comes first; then it counts whose row it is: owners, their team where `TEAM_SHARING` is on, and members of "
        "a character. Without a role nothing is open: a customer of the platform is no editor. One person can hold several."
    )
    for title, rules in GROUPS.items():
        yield from ("", f"## {title}", "", f"| | {' | '.join(Role)} | |", "|---|---|---|---|---|---|")
        for rule in rules.values():
            marks = " | ".join("yes" if role in rule.roles else "" for role in Role)
            yield f"| {rule.doing} | {marks} | {rule.about} |"
    yield ""
    yield (
        "No role opens what belongs to whoever runs the machine: its settings, "
        "migrations, backup and restore."
    )
