"""What does not fit: every rule that makes a finding, in words, and what people do with findings (SPEC "Audit").

A finding is never deleted. It is mended by a repair, by a person, or by not being found any more; or it is set aside
with a reason where it is right as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from core.audit import findings as asked
from core.audit.autosave import CHECK_OF, CHECK_TITLES, SENTENCES, TITLES, Reason
from core.audit.findings import FindingFilter, Key
from core.audit.jobs import Counted
from core.authority import Action, permit
from core.db import findings as rows
from core.db import health, matches
from core.db.findings import Colleague
from core.errors import BadRequest
from core.mending import CAN_MEND
from core.row_rules import WORDS, Words
from core.services import Services
from core.stock import SENTENCES as STOCK_SENTENCES
from core.stock import Kind
from core.values import Person

LONGEST_TEXT = 500  # characters of a note or a reason
MOST_AT_ONCE = 500  # findings in one go
MOST_OF_A_RULE = 5_000  # findings that are given with one word


class Place(StrEnum):
    """Where a finding is mended: a page of the dashboard, or outside of it."""

    autosave = "autosave"
    job = "job"
    attributes = "attributes"
    library = "library"
    system = "system"
    qa = "qa"
    character = "character"
    stuck = "stuck"
    elsewhere = "elsewhere"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a rule means to a person: what it says, who mends it (a role in words), what to do, and where."""

    title: str
    means: str
    who: str
    todo: str
    place: Place = Place.elsewhere


def _of_check(reason: Reason) -> Rule:
    can = reason in CAN_MEND
    return Rule(
        title=TITLES[reason],
        means=f"{CHECK_TITLES[CHECK_OF[reason]]}: {SENTENCES[reason]}",
        who="QA",
        todo="Open it under Auto-save and press Repair; what cannot be repaired says why."
        if can
        else "Open it under Auto-save and look whose it is. Nothing is changed by itself here.",
        place=Place.autosave,
    )


_SAVED_ELSEWHERE = "Find out who wrote it. Where it is right, set it aside; else tell an admin."
_OWN: Mapping[str, Rule] = {
    matches.RULE: Rule(
        title="Which character is it?",
        means="A portrait names its character by name only, and one older or several bear that name.",
        who="QA",
        todo="Open the portrait under Auto-save and say which character it belongs to.",
        place=Place.autosave,
    ),
    "notify.receiver": Rule(
        title="News of what is broken does not arrive",
        means="The receiver at NOTIFY_WEBHOOK_URL did not take a message of the health rules.",
        who="Admin",
        todo="Look at the receiver and at its address, then send a test message from System. It is tried again by itself.",
    ),
    "job.illegal_move": Rule(
        title="Another program moved a job the wrong way",
        means="The platform tried to take a job from one state to another that does not follow it. The state was kept.",
        who="QA",
        todo="Read the job's story. Where it ended well, set this aside; else recover it under Stuck jobs.",
        place=Place.job,
    ),
    "job.deleted_by_user": Rule(
        title="Somebody tried to delete a job",
        means="A user tried to delete a job of the studio. It was kept: its cost and its picture hang on it.",
        who="Admin",
        todo="Nothing is lost. Set it aside, or talk to the person where it happens again.",
        place=Place.job,
    ),
    "job.foreign_character": Rule(
        title="A job names somebody else's character",
        means="A job of the platform names a character of another owner, so its picture was not saved.",
        who="QA",
        todo="Open the portrait under Auto-save and decide whose it is.",
        place=Place.autosave,
    ),
    "asset.foreign_path": Rule(
        title="A result in a foreign folder",
        means="The result of a job lies in somebody else's folder, so it was not saved to the library.",
        who="QA",
        todo="Look whose folder it is. A path written by a user is never followed by itself.",
    ),
    "asset.foreign_job": Rule(
        title="A result hung on a foreign job",
        means="A user wrote a result for a job that is not theirs to finish. The row was kept without the job.",
        who="QA",
        todo=_SAVED_ELSEWHERE,
    ),
    "asset.job_not_completed": Rule(
        title="A result whose job was not completed",
        means="A result came for a job that could not be completed at that moment. Recovery looks at it.",
        who="QA",
        todo="Recovery completes it within minutes. Where the job still stands, recover it under Stuck jobs.",
    ),
    "portrait.second_primary": Rule(
        title="Had several primary portraits",
        means="When the studio was set up, a character had several primaries. The newest kept the star.",
        who="Editor",
        todo="Choose another primary in the studio where that is wrong; else set it aside.",
    ),
    "portrait.choice_lost": Rule(
        title="A choice of a primary gave way",
        means="A portrait was chosen as primary while another writer held the portraits of its character.",
        who="Editor",
        todo="Choose it again in the studio where it should have the star; else set this aside.",
    ),
    "trigger.failed": Rule(
        title="A rule could not be applied to a row",
        means="Another program's row was written as it is, but a rule of the studio failed on it.",
        who="Admin",
        todo="Recover the job or repair the portrait where it is one. Where it comes again, report it with its state.",
    ),
    "character.picture_without_portrait": Rule(
        title="A character's picture without a portrait",
        means="The platform set a character's picture, and it could not get a portrait row by itself.",
        who="QA",
        todo="Repair the portrait under Auto-save, or choose a primary in the studio.",
    ),
    "character_portraits.job_taken": Rule(
        title="A second portrait of one job",
        means="A portrait row names a job that another row belongs to already. It was kept without the job.",
        who="QA",
        todo="Compare the two. Delete the one too many in the studio, or set this aside.",
    ),
    "character_portraits.foreign_job": Rule(
        title="A portrait of a foreign job",
        means="A portrait row names a job of somebody else. It was kept without the job.",
        who="QA",
        todo=_SAVED_ELSEWHERE,
    ),
    "user_library.job_taken": Rule(
        title="A second library row of one job",
        means="A library row names a job that another row belongs to already. It was kept without the job.",
        who="QA",
        todo="Compare the two on Library. Delete the one too many in the studio, or set this aside.",
        place=Place.library,
    ),
    "user_library.foreign_job": Rule(
        title="A library row of a foreign job",
        means="A library row names a job of somebody else. It was kept without the job.",
        who="QA",
        todo=_SAVED_ELSEWHERE,
        place=Place.library,
    ),
    "submission.refused_and_reported": Rule(
        title="Refused, and reported on all the same",
        means="A provider reported on a request that it had refused: a picture may have been made and charged twice.",
        who="Admin",
        todo="Look at the provider's list of charges. Enter a refund under Costs where one is due.",
    ),
    "attribute.not_published": Rule(
        title="Attribute image not published",
        means="An attribute image is paid for and could not be published.",
        who="Product",
        todo="Make it again under Attribute images.",
        place=Place.attributes,
    ),
    "workspace.foreign": Rule(
        title="A workspace object of somebody else",
        means="A result names an object of another person or job, so cleaning left it alone.",
        who="QA",
        todo="Look whose it is. It is never deleted by itself.",
    ),
    "workspace.copy_missing": Rule(
        title="Counts as saved, copy missing",
        means="A result counts as saved, but its picture is not in the library's store. It was kept.",
        who="QA",
        todo="Open its portrait under Auto-save and press Repair: the copy is made from the result.",
    ),
    "workspace.copy_differs": Rule(
        title="Copy differs from its result",
        means="The library's picture has other bytes than the result it was copied from. Both were kept.",
        who="QA",
        todo="Open its portrait under Auto-save, compare, and repair where the result is the right one.",
    ),
    "workspace.object_without_row": Rule(
        title="A workspace object without a row",
        means="A file lies in the workspace and no row names it. It was not deleted.",
        who="QA",
        todo="Open Library, objects without a row, and decide there.",
        place=Place.library,
    ),
    "qa.policy_problem": Rule(
        title="A portrait against the policy",
        means="A person who judged a QA sample saw a policy problem in this portrait.",
        who="QA",
        todo="Look at the portrait now. Delete it in the studio where it breaks the policy; else set this aside.",
        place=Place.qa,
    ),
    health.RECEIVER: Rule(
        title="News does not arrive",
        means="The webhook's receiver does not take the news of the health rules.",
        who="Admin",
        todo="Look under System what it answered, mend its address or the receiver, and send a test from there.",
        place=Place.system,
    ),
}
_OF_STOCK: Mapping[Kind, tuple[str, str]] = {  # a title, and what to do on the page Library
    Kind.object_missing: (
        "A row without its object",
        "Repair it there: the bytes come from wherever they still are.",
    ),
    Kind.object_without_row: (
        "An object without a row",
        "Look at it there. Bring it into the library, or put it in the bin.",
    ),
    Kind.size_differs: (
        "An object of another size",
        "Compare it there, and repair it where the right bytes are at hand.",
    ),
    Kind.hash_differs: (
        "An object with other bytes",
        "Compare it there, and repair it where the right bytes are at hand.",
    ),
    Kind.thumbnail_missing: (
        "A picture without its thumbnail",
        "Repair it there: the thumbnail is made from the picture.",
    ),
    Kind.same_bytes: ("The same bytes twice", "Look at both there, and decide whether one is too many."),
    Kind.look_alike: (
        "Pictures that look the same",
        "Look at both there, and decide whether one is too many.",
    ),
    Kind.corrupt: ("Not a readable picture", "Repair it there where the right bytes are at hand."),
    Kind.blank: ("A blank picture", "Look at it there: a provider's safety filter returns such ones."),
    Kind.own_link: ("A signed link in a row", "Repair it there: the row gets the path instead."),
    Kind.external_link: ("A link to elsewhere in a row", "Bring the picture in there before it vanishes."),
    Kind.no_address: ("A row without a usable address", "Look there what the row should show."),
}


def _of_kind(kind: Kind) -> Rule:
    title, todo = _OF_STOCK[kind]
    return Rule(
        title=title,
        means=STOCK_SENTENCES[kind],
        who="QA",
        todo=f"Open it on Library. {todo}",
        place=Place.library,
    )


def _of_rows(words: Words) -> Rule:
    return Rule(
        title=words.title, means=words.means, who=words.who, todo=words.todo, place=Place(words.place)
    )


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **{name: _of_rows(words) for name, words in WORDS.items()},
        **{reason.rule: _of_check(reason) for reason in CHECK_OF},
        **{f"library.{kind}": _of_kind(kind) for kind in Kind},
        **_OWN,
    }
)
"""Every rule that writes a finding; a test holds the code and the migrations against it."""

_UNKNOWN = Rule(
    title="A rule of another version",
    means="This version of the dashboard does not know the rule. Its sentence says what was found.",
    who="Admin",
    todo="Update the dashboard, then look again.",
)


def rule_of(name: str) -> Rule:
    """A rule in words; one that another version wrote says so."""
    return RULES.get(name, _UNKNOWN)


def team(person: Person, services: Services) -> list[Colleague]:
    """Everybody a finding can be given to. Raises NotAllowed."""
    permit(person, Action.work_on_findings)
    with services.db.as_reader(person) as conn:
        return rows.team(conn)


def assign(ids: Sequence[int], owner: UUID | None, person: Person, services: Services) -> int:
    """Give findings to a person, to oneself, or (None) back to nobody; how many changed.

    Raises NotAllowed, BadRequest (none, or more than 500), NotFound (no such person in the team).
    """
    permit(person, Action.work_on_findings)
    _refuse_unless_some(ids)
    with services.db.as_user(person) as conn:
        return len(rows.assign(conn, ids, owner))


def assign_all(
    wanted: FindingFilter,
    owner: UUID | None,
    person: Person,
    services: Services,
    *,
    most: int = MOST_OF_A_RULE,
) -> Counted:
    """Give the findings of a filter to a person, or (None) back to nobody, 500 in a transaction: how many changed, and
    whether there are more than `most` to look at. Those that are theirs already do not count.

    Raises NotAllowed, NotFound (no such person in the team).
    """
    permit(person, Action.work_on_findings)
    key: Key | None = None
    changed = looked_at = 0
    while looked_at < most:
        with services.db.as_reader(person) as conn:
            page = asked.page(conn, wanted, before=key, limit=min(MOST_AT_ONCE, most - looked_at))
        if page.rows:
            changed += assign([row.id for row in page.rows], owner, person, services)
        looked_at, key = looked_at + len(page.rows), page.older
        if key is None:
            return Counted(number=changed)
    return Counted(number=changed, more=True)


def note(finding_id: int, text: str, person: Person, services: Services) -> bool:
    """What the next person should know; an empty text takes the note away. False where it stood like that.

    Raises NotAllowed, BadRequest (longer than 500 characters), NotFound.
    """
    permit(person, Action.work_on_findings)
    said = _plain(text)
    if len(said) > LONGEST_TEXT:
        raise BadRequest(
            f"A note takes at most {LONGEST_TEXT} characters; this has {len(said)}.", field="note"
        )
    with services.db.as_user(person) as conn:
        return rows.note(conn, finding_id, said)


def set_aside(ids: Sequence[int], why: str, person: Person, services: Services) -> int:
    """Say of findings that they are right as they are; how many changed. Each comes back by itself where it is seen
    again with another sentence.

    Raises NotAllowed (needs qa or admin), BadRequest (no reason, or too long a one).
    """
    permit(person, Action.judge_findings)
    _refuse_unless_some(ids)
    said = _plain(why)
    if not said or len(said) > LONGEST_TEXT:
        raise BadRequest(
            f"Say in a few words why it is right as it is (at most {LONGEST_TEXT} characters).", field="why"
        )
    with services.db.as_user(person) as conn:
        return len(rows.set_aside(conn, ids, said))


def bring_back(ids: Sequence[int], person: Person, services: Services) -> int:
    """Open findings that were set aside; how many changed. Raises NotAllowed (needs qa or admin), BadRequest."""
    permit(person, Action.judge_findings)
    _refuse_unless_some(ids)
    with services.db.as_user(person) as conn:
        return len(rows.bring_back(conn, ids))


def _refuse_unless_some(ids: Sequence[int]) -> None:
    if not 0 < len(ids) <= MOST_AT_ONCE:
        raise BadRequest(f"Choose between 1 and {MOST_AT_ONCE} findings.", field="findings")


def _plain(text: str) -> str:
    return " ".join(text.replace("\x00", "").split())
