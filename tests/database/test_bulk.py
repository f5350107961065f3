"""Bulk actions as the database holds them: who may begin, take, stop and end one, and that nobody writes past that."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from core.db import bulk
from core.errors import BadRequest, Conflict, LeaseLost, NotAllowed, NotFound, StudioError
from core.values import Role
from tests.builders import a_person, one, rows

WHY = "Tidying up."
IDS = [str(UUID(int=place)) for place in range(1, 6)]


@pytest.fixture
def quentin(database):
    return a_person(database, "quentin", Role.qa)


@pytest.fixture
def action(database, quentin):
    with database.as_user(quentin) as conn:
        return bulk.begin(conn, "purge", IDS, {}, WHY, 5000)


@pytest.mark.parametrize("roles", [(), (Role.editor,), (Role.product,)])
def test_a_person_without_the_role_neither_begins_nor_takes_nor_stops_nor_ends_one(database, action, roles):
    stranger = a_person(database, "stranger", *roles)
    deeds = (
        lambda conn: bulk.begin(conn, "purge", IDS, {}, WHY, 5000),
        lambda conn: bulk.begin(conn, "of_no_kind_we_know", IDS, {}, WHY, 5000),
        lambda conn: bulk.take(conn, action, uuid4(), silent=12),
        lambda conn: bulk.stop(conn, action, silent=12),
    )

    for deed in deeds:
        with pytest.raises((NotAllowed, NotFound)), database.as_user(stranger) as conn:
            deed(conn)
    held = uuid4()
    with database.as_service() as conn:
        conn.execute("UPDATE studio.bulk_actions SET runner = %s", (held,))
    with pytest.raises(NotAllowed), database.as_user(stranger) as conn:
        bulk.end(conn, action, held)

    assert one(database, "SELECT count(*) FROM studio.bulk_actions WHERE ended_at IS NULL") == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE studio.bulk_items SET state = 'done'",
        "DELETE FROM studio.bulk_items",
        "INSERT INTO studio.bulk_items (action_id, place, item_id) SELECT id, 99, 'x' FROM studio.bulk_actions",
        "UPDATE studio.bulk_actions SET ended_at = now()",
        "UPDATE studio.bulk_kinds SET roles = '{editor}'",
    ],
)
def test_nobody_writes_the_rows_of_an_action_by_hand(database, action, statement):
    admin = a_person(database, "admin", *Role)

    with pytest.raises(StudioError), database.as_user(admin) as conn:
        conn.execute(statement)

    assert one(database, "SELECT count(*) FROM studio.bulk_items WHERE state = 'waiting'") == 5


def test_the_team_reads_actions_and_others_only_their_own(database, action):
    ana, product = a_person(database, "ana", Role.editor), a_person(database, "petra", Role.product)
    with database.as_user(ana) as conn:
        own = bulk.begin(conn, "retry", IDS, {}, WHY, 5000)

    seen = {}
    for person in (ana, product, a_person(database, "customer")):
        with database.as_reader(person) as conn:
            seen[person.name] = {row.id for row in bulk.unfinished(conn, silent=12)}
            assert bool(bulk.items(conn, own, states=None, after=0, limit=9)) == (own in seen[person.name])

    assert seen == {"ana": {own}, "petra": {own, action}, "customer": set()}


@pytest.mark.parametrize(
    ("ids", "why"),
    [([], WHY), (IDS, " "), (IDS, None), (IDS, "x" * 501), ([str(n) for n in range(5001)], WHY)],
)
def test_the_database_itself_asks_for_a_reason_and_a_bounded_number_of_rows(database, quentin, ids, why):
    with pytest.raises(BadRequest), database.as_user(quentin) as conn:
        bulk.begin(conn, "purge", ids, {}, why, 10_000)

    assert rows(database, "SELECT FROM studio.bulk_actions") == []


def test_rows_stand_once_each_in_the_order_in_which_they_were_shown(database, quentin):
    with database.as_user(quentin) as conn:
        made = bulk.begin(conn, "purge", [IDS[3], IDS[0], IDS[3], IDS[2]], {}, WHY, 5000)
        found = bulk.items(conn, made, states=None, after=0, limit=9)

    assert [(row.place, row.item_id) for row in found] == [(1, IDS[3]), (2, IDS[0]), (3, IDS[2])]


def test_only_a_run_that_was_silent_is_replaced(database, quentin, action):
    first, second = uuid4(), uuid4()
    with database.as_user(quentin) as conn:
        bulk.take(conn, action, first, silent=12)
    with pytest.raises(Conflict, match="carried out already"), database.as_user(quentin) as conn:
        bulk.take(conn, action, second, silent=12)

    with database.as_service() as conn:
        conn.execute("UPDATE studio.bulk_actions SET beat_at = beat_at - interval '13 seconds'")
    with database.as_user(quentin) as conn:
        bulk.take(conn, action, second, silent=12)

    with pytest.raises(LeaseLost), database.as_service() as conn:
        bulk.beat(conn, action, first)
    with database.as_user(quentin) as conn:
        assert not bulk.end(conn, action, first)
        assert bulk.end(conn, action, second)
    with pytest.raises(Conflict, match="has ended"), database.as_user(quentin) as conn:
        bulk.take(conn, action, uuid4(), silent=12)


def test_what_a_lost_run_answers_late_is_not_written(database, quentin, action):
    first, second = uuid4(), uuid4()
    with database.as_service() as conn:
        taken = bulk.claim(conn, action, first, only_begun=False)
        again = bulk.claim(conn, action, second, only_begun=False)
        bulk.finish(conn, action, taken.place, first, state="failed", sentence="late")
        bulk.finish(conn, action, again.place, second, state="done", sentence="in time")

    assert (taken.place, again.place, again.tries) == (1, 1, 2)
    assert one(database, "SELECT state, sentence FROM studio.bulk_items WHERE place = 1") == (
        "done",
        "in time",
    )


def test_dollars_are_held_once_against_the_limit(database, quentin, action):
    runner = uuid4()
    with database.as_service() as conn:
        held = []
        for _ in range(3):
            taken = bulk.claim(conn, action, runner, only_begun=False)
            held.append(bulk.reserve(conn, action, taken.place, 2, 5))
            state = "done" if held[-1] else "refused"
            bulk.finish(conn, action, taken.place, runner, state=state, sentence="x")
    with database.as_reader(quentin) as conn:
        row = bulk.action(conn, action, silent=12)

    assert held == [True, True, False]
    assert row.cost_usd == 4


def test_an_action_that_is_not_there_is_not_found(database, quentin):
    with pytest.raises(NotFound), database.as_user(quentin) as conn:
        bulk.take(conn, uuid4(), uuid4(), silent=12)
    with pytest.raises(NotFound), database.as_user(quentin) as conn:
        bulk.stop(conn, uuid4(), silent=12)
