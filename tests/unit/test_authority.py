"""Who may do what: every action × every set of roles, against a table written by hand from SPEC."""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from core import authority
from core.authority import MAY, Action
from core.cli import app
from core.errors import NotAllowed
from core.values import Person, PersonId, Role
from tests.figures import RIGHTS

ROOT = Path(__file__).parents[2]
# By SPEC "People", "Data", "Studio", "Audit"; e editor, q qa, p product, a admin.
WRITTEN = {
    "eqpa": "use_studio rate_portraits leave_characters make_test_portrait keep_views",
    "e": """write_characters import_characters write_scenes choose_references make_pictures ask_suggestions
            change_portraits change_library""",
    "ea": "share_characters",
    "qpa": """see_everybodys see_health see_costs see_activity see_settings ask_providers work_on_findings
            judge_samples see_attribute_images""",
    "qa": """see_answers cancel_anybodys recover_jobs purge_jobs settle_outcomes check_autosave repair_autosave
            decide_characters check_rows judge_findings scan_library repair_library draw_samples""",
    "pa": "make_attribute_images judge_attribute_images change_options",
    "a": """share_anybodys see_prompts_in_line set_budgets set_prices refund change_models pause_providers
            send_test_messages see_people change_people set_retention export_people
            erase_people""",
}
LETTERS = {"e": Role.editor, "q": Role.qa, "p": Role.product, "a": Role.admin}
EXPECTED = {
    Action(name): {LETTERS[letter] for letter in letters}
    for letters, names in WRITTEN.items()
    for name in names.split()
}
SETS = [frozenset(some) for size in range(len(Role) + 1) for some in itertools.combinations(Role, size)]
# Where a role is named besides: who it is about, never who may.
NAMED_BESIDES = {
    "audit/account.py": "what a role is called",
    "audit/admin_people.py": "what a role is called, and that no admin locks themselves out",
    "core/admin/people.py": "that there is always an admin",
    "core/identity/people.py": "the first admin, where there is none",
    "core/authority.py": "the table itself",
    "core/demo/cast.py": "the made-up people",
    "core/health.py": "who the health rules look as",
    "core/privacy.py": "an erasure stops jobs as the admin who asked for it",
    "core/trial.py": "a test portrait is made as an editor of one's own",
}


def somebody(roles: frozenset[Role]) -> Person:
    return Person(id=PersonId(uuid4()), roles=roles)


def test_every_set_of_roles_may_what_the_table_says_and_nothing_else(record_property):
    told = {(action, roles): authority.may(somebody(roles), action) for action in Action for roles in SETS}

    assert set(EXPECTED) == set(Action) == set(MAY) == set(authority.RULES)
    assert len(SETS) == 16
    assert told == {(action, roles): bool(EXPECTED[action] & roles) for action in Action for roles in SETS}
    record_property("figure", [RIGHTS, f"pure: {len(told)} cases"])


def test_who_holds_no_role_for_it_is_told_which_roles_may():
    for action, roles in itertools.product(Action, SETS):
        if EXPECTED[action] & roles:
            authority.permit(somebody(roles), action)
            continue
        with pytest.raises(NotAllowed) as refused:
            authority.permit(somebody(roles), action)
        sentence = refused.value.sentence
        named = sentence.partition(" needs the ")[2].partition(" role. Ask an admin")[0]
        assert set(named.replace(" or ", ", ").split(", ")) == {str(role) for role in EXPECTED[action]}


def test_each_action_is_said_once_and_in_its_own_words():
    rules = list(authority.RULES.values())

    assert sum(len(group) for group in authority.GROUPS.values()) == len(Action)
    assert len({rule.doing for rule in rules}) == len(rules)
    assert [rule for rule in rules if not rule.about.endswith(".") or not rule.roles] == []


def test_the_page_for_people_is_the_table_of_the_product():
    said = CliRunner().invoke(app, ["roles", "--markdown"])

    assert said.exit_code == 0
    assert (ROOT / "docs" / "roles.md").read_text() == said.output


def test_no_list_of_roles_stands_beside_the_table():
    found: dict[str, list[int]] = {}
    for path in sorted(
        one for folder in ("core", "studio", "audit") for one in (ROOT / folder).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text())):
            names_a_role = isinstance(node, ast.Attribute) and (
                (isinstance(node.value, ast.Name) and node.value.id == "Role")
                or (node.attr == "holds" and _is_a_person(node.value))
            )
            if names_a_role:
                found.setdefault(str(path.relative_to(ROOT)), []).append(node.lineno)

    assert {name: lines for name, lines in found.items() if name not in NAMED_BESIDES} == {}
    assert set(NAMED_BESIDES) <= set(found)


def test_every_action_is_asked_for_by_the_product():
    by_the_database = {Action.see_prompts_in_line}  # studio.line shows a prompt or leaves it out
    product = "".join(
        path.read_text()
        for folder in ("core", "studio", "audit")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "authority.py"
    )

    assert {
        action for action in Action if not re.search(rf"\bAction\.{action}\b", product)
    } == by_the_database


def _is_a_person(node: ast.expr) -> bool:
    called = node.func if isinstance(node, ast.Call) else node
    name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
    return name.lstrip("_") in {"person", "known", "asker", "owner", "who", "me"}
