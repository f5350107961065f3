"""Each way into the product belongs to an action, and serves the roles of that action and no others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from audit import navigation
from core.authority import MAY, Action
from tests.rights import actions, table, ways
from tests.rights.table import WHOSE, Rule
from tests.rights.ways import For, Way
from tests.rights.world import OWNER, WHO

ROOT = Path(__file__).parents[2]
HANDLERS = {**ways.EVENTS, **ways.QUESTIONS}
NOTHING_TO_TELL = ("core.members.owner_name", OWNER)  # who owns one's own row
BY_ROLE = {name: line for name, line in ways.ROUTES.items() if isinstance(line, Way)}


def may(who: str, asked: tuple[Action, ...]) -> bool:
    return any(MAY[action] & set(WHO[who]) for action in asked)


def served(rule: Rule, who: str, *, of_rows: bool) -> bool:
    """By role alone, or on some row: one's own, another's, or what the team shares."""
    return any(rule(who, whose) for whose in (WHOSE if of_rows else ("own",)))


def test_every_use_case_has_an_action():
    assert set(actions.USE_CASES) == set(table.USE_CASES)


def test_every_event_and_question_has_an_action():
    assert set(actions.HANDLERS) == set(HANDLERS)


def test_every_address_and_socket_has_an_action_or_says_why_it_is_open():
    team = {
        name for name, line in ways.ROUTES.items() if isinstance(line, Way) or line in (For.page, For.part)
    }

    assert set(actions.ADDRESSES) == team
    assert set(actions.OPEN) == set(ways.ROUTES) - team
    assert [why for why in actions.OPEN.values() if not why] == []


def test_every_page_of_the_dashboard_has_an_action_that_it_names():
    rooms = {room.name for members in navigation.ROOMS.values() for room in members}

    assert set(actions.ROOMS) == rooms


@pytest.mark.parametrize(
    ("belongs", "lines"),
    [(actions.USE_CASES, table.USE_CASES), (actions.HANDLERS, HANDLERS), (actions.ADDRESSES, BY_ROLE)],
    ids=["use case", "handler", "HTTP"],
)
def test_a_way_serves_the_roles_of_its_action_and_no_others(
    belongs: Mapping[str, tuple[Action, ...]], lines, request, count
):
    told = {
        (name, who): served(line.rule, who, of_rows=line.of_rows)
        for name, line in lines.items()
        for who in WHO
        if (name, who) != NOTHING_TO_TELL
    }

    wrong = {case: said for case, said in told.items() if said is not may(case[1], belongs[case[0]])}
    assert wrong == {}
    count(f"{request.node.callspec.id} and its action: {len(told)} cases")
