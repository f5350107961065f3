"""Every use case that a screen or a route calls: role × use case × whose row, both ways."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.errors import NotAllowed, NotFound, StudioError
from tests.rights import surfaces
from tests.rights.table import USE_CASES, WHOSE, Line, NotListed, reads
from tests.rights.world import OWNER, WHO, World, stand

SERVED = "served"
CASES = [
    (name, who, whose)
    for name, line in USE_CASES.items()
    for who in WHO
    for whose in (WHOSE if line.of_rows else ("own",))
    if (who, whose) != (OWNER, "another's")
]
IN_ORDER = [
    *(name for name, line in USE_CASES.items() if line.writes and not line.removes),
    *(
        name for name, line in reversed(USE_CASES.items()) if line.removes
    ),  # a character goes after its scenes
]
WRITING = {
    (who, whose): [
        name for name in IN_ORDER if (name, who, whose) in CASES and USE_CASES[name].rule(who, whose)
    ]
    for who in WHO
    for whose in WHOSE
}


def answer(line: Line, world: World, who: str, whose: str) -> tuple[str, str]:
    """`served` and nothing, or the code and the sentence of the refusal."""
    try:
        line.call(world.row(who, whose), world.people[who], world.services(whose))
    except NotListed:
        return "NOT_LISTED", ""
    except StudioError as error:
        is_refusal = isinstance(error, NotAllowed if not line.of_rows else (NotAllowed, NotFound))
        # Behind the question of rights there may be another: no such row, or nothing to do with it.
        if is_refusal or line.of_rows:
            return error.reason, error.sentence
    return SERVED, ""


def asked(world: World, *, served: bool) -> Iterator[tuple[str, str, str, tuple[str, str]]]:
    """The answers of all cases that change nothing: the refused, or the readers."""
    for name, who, whose in CASES:
        line = USE_CASES[name]
        if line.rule(who, whose) is served and not (served and line.writes):
            yield name, who, whose, answer(line, world, who, whose)


def test_every_use_case_of_a_screen_or_a_route_has_a_line_and_every_line_a_use_case():
    assert set(USE_CASES) == surfaces.use_cases()


def test_who_may_not_is_refused_and_nothing_changes(world, count):
    before = stand(world.apart)

    told = list(asked(world, served=False))

    refusals = {"NOT_ALLOWED", "NOT_FOUND", "NOT_LISTED", "LOOK_ONLY", "NOT_THE_OWNER"}
    assert [(name, who, whose, said) for name, who, whose, said in told if said[0] not in refusals] == []
    assert stand(world.apart) == before
    count(f"use cases: {len(told)} cases refused")


def test_who_may_not_see_a_row_hears_what_is_said_of_one_that_is_not_there(world):
    told = {(name, who, whose): said for name, who, whose, said in asked(world, served=False)}

    alike = {
        (name, who): (said, told[name, who, "missing"])
        for (name, who, whose), said in told.items()
        if whose == "another's" and not reads(who, whose)
    }

    assert {case: pair for case, pair in alike.items() if pair[0] != pair[1]} == {}


def test_who_may_look_is_served_and_looking_changes_nothing(world, count):
    before = stand(world.apart)

    told = list(asked(world, served=True))

    assert [(name, who, whose, said) for name, who, whose, said in told if said[0] != SERVED] == []
    assert stand(world.apart) == before
    count(f"use cases: {len(told)} cases of reading served")


@pytest.mark.parametrize(("who", "whose"), [case for case, names in WRITING.items() if names])
def test_who_may_change_it_is_served(fresh, who, whose):
    with fresh() as world:
        told = {name: answer(USE_CASES[name], world, who, whose) for name in WRITING[who, whose]}

    assert {name: said for name, said in told.items() if said[0] != SERVED} == {}
