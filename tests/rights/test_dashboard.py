"""The dashboard's bulk deeds: who begins and prices which, and what becomes of a row whose person lost the role. Both ways."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import uuid4

from core import bulk
from core.errors import NotAllowed, StudioError
from tests.rights.table import EDITORS, MAKERS, REPAIRERS, Rule
from tests.rights.world import OWNER, WHO, World, stand

# Which persons may begin a bulk deed; the product's own list is core.bulk.DEEDS.
DEEDS: Mapping[str, Rule] = {
    "recover": REPAIRERS,
    "purge": REPAIRERS,
    "cancel": lambda who, whose: REPAIRERS(who, whose) or EDITORS(who, whose),
    "retry": EDITORS,
    "another_model": EDITORS,
    "repair_autosave": REPAIRERS,
    "approve_images": MAKERS,
    "reject_images": MAKERS,
    "repair_library": REPAIRERS,
    "bin_library": REPAIRERS,
    "accept_library": REPAIRERS,
}


def row_of(kind: str, world: World) -> str:
    return "age/30s/anime" if kind.endswith("_images") else str(world.work[OWNER].ended_job)


def begun(kind: str, world: World, who: str) -> bool:
    """False where the role is not enough; what is wrong behind that is another question."""
    try:
        bulk.begin(kind, [row_of(kind, world)], world.people[who], world.apart, why="a test")
    except NotAllowed:
        return False
    except StudioError:
        return True
    return True


def test_every_bulk_deed_has_a_line_and_every_line_a_deed():
    assert set(DEEDS) == set(bulk.DEEDS)


def test_a_bulk_deed_is_begun_by_its_roles_and_by_nobody_else(fresh, count):
    with fresh() as world:
        told = {(kind, who): begun(kind, world, who) for kind in DEEDS for who in WHO}
        priced = {(kind, who): _priced(kind, world, who) for kind in DEEDS for who in WHO}

    assert told == {(kind, who): rule(who, "own") for kind, rule in DEEDS.items() for who in WHO}
    assert priced == told
    count(f"dashboard: {len(told) + len(priced)} cases of bulk deeds")


def _priced(kind: str, world: World, who: str) -> bool:
    if bulk.DEEDS[kind].prices is None:
        return DEEDS[kind](who, "own")  # it costs nothing, so there is nothing to ask
    try:
        bulk.price(kind, [row_of(kind, world)], world.people[who], world.apart, {})
    except NotAllowed:
        return False
    except StudioError:
        return True
    return True


def test_a_row_of_a_deed_is_refused_again_where_its_role_was_lost_in_between(world, count):
    before, told = stand(world.apart), {}
    for kind, deed in bulk.DEEDS.items():
        for who in WHO:
            if not DEEDS[kind](who, "own"):
                options = {"why": "a test", "action": str(uuid4()), "model": str(uuid4())}
                try:
                    told[kind, who] = deed.act(
                        row_of(kind, world), world.people[who], world.apart, options
                    ).ended.value
                except StudioError as error:
                    told[kind, who] = error.reason

    assert {case: said for case, said in told.items() if said == "done"} == {}
    assert stand(world.apart) == before
    count(f"dashboard: {len(told)} cases of a bulk deed's row refused")
