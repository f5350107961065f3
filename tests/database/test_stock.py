"""Scans of the library asked of the database directly: who may, and that nobody writes past the functions."""

from __future__ import annotations

from uuid import uuid4

import pytest

from core.db import stock
from core.db.stock import Mark
from core.errors import NotAllowed
from core.values import Role
from tests import builders


@pytest.fixture
def finding(database):
    """An open finding of the library."""
    with database.as_service() as conn:
        mark = Mark(kind="object_missing", table="user-library", row="u/a.png", sentence="It is gone.")
        stock.find(conn, uuid4(), [mark])
    return builders.one(database, "SELECT id FROM studio.findings")


def somebody(database, *roles):
    return builders.a_person(database, "somebody", *roles)


@pytest.mark.parametrize("role", [Role.editor, Role.product, None])
def test_only_qa_and_admin_ask_for_a_scan_or_end_a_repair(database, finding, role):
    person = somebody(database, *([role] if role else []))

    with pytest.raises(NotAllowed), database.as_user(person) as conn:
        stock.ask(conn)
    with pytest.raises(NotAllowed), database.as_user(person) as conn:
        stock.refusal(conn, finding)
    with pytest.raises(NotAllowed), database.as_user(person) as conn:
        stock.end_repair(conn, finding, "mended", before={}, after={}, why="because")

    assert builders.one(database, "SELECT mended_at IS NULL FROM studio.findings")
    assert builders.rows(database, "SELECT 1 FROM studio.stock_scans") == []


@pytest.mark.parametrize("role", [Role.qa, Role.admin])
def test_a_repair_is_ended_once_in_the_name_of_who_made_it(database, finding, role):
    person = somebody(database, role)

    with database.as_user(person) as conn:
        assert stock.refusal(conn, finding) is None
        first = stock.end_repair(conn, finding, "mended", before={"size": 1}, after={"size": 2}, why="it was")
    with database.as_user(person) as conn:
        second = stock.end_repair(conn, finding, "mended", before={}, after={}, why="again")
        assert "mended meanwhile" in stock.refusal(conn, finding)

    assert (first, second) == (True, False)
    events = builders.rows(database, "SELECT who, action, before, after, why FROM studio.audit_events")
    assert events == [(person.id, "library_mended", {"size": 1}, {"size": 2}, "it was")]


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE studio.findings SET mended_at = now()",
        "DELETE FROM studio.stock_marks",
        "UPDATE studio.stock_marks SET is_accepted = true",
        "INSERT INTO studio.stock_scans DEFAULT VALUES",
        "DELETE FROM studio.stock_objects",
    ],
)
def test_nobody_writes_what_a_scan_found_directly(database, finding, role, statement):
    with pytest.raises(NotAllowed), database.as_user(somebody(database, role)) as conn:
        conn.execute(statement)


@pytest.mark.parametrize(
    ("role", "sees"), [(Role.qa, 1), (Role.product, 1), (Role.admin, 1), (Role.editor, 0)]
)
def test_the_team_reads_what_a_scan_found_and_an_editor_does_not(database, finding, role, sees):
    with database.as_reader(somebody(database, role)) as conn:
        assert conn.execute("SELECT count(*) FROM studio.stock_marks").fetchone() == (sees,)


def test_a_finding_that_was_accepted_stays_closed_and_one_that_was_mended_opens_again(database):
    marks = [
        Mark(kind=kind, table="user-library", row=kind, sentence="It is.") for kind in ("blank", "corrupt")
    ]
    qa = somebody(database, Role.qa)
    with database.as_service() as conn:
        stock.find(conn, uuid4(), marks)
    ids = dict(builders.rows(database, "SELECT row_id, id FROM studio.findings"))
    with database.as_user(qa) as conn:
        stock.end_repair(conn, ids["blank"], "accepted", before={}, after={}, why="meant so")
        stock.end_repair(conn, ids["corrupt"], "mended", before={}, after={}, why="mended")

    with database.as_service() as conn:
        stock.find(conn, uuid4(), marks)

    open_ones = builders.rows(database, "SELECT row_id FROM studio.findings WHERE mended_at IS NULL")
    assert open_ones == [("corrupt",)]


def test_asking_twice_is_one_scan_and_the_next_one_comes_after_it_ended(database):
    qa = somebody(database, Role.qa)
    with database.as_user(qa) as conn:
        first, second = stock.ask(conn), stock.ask(conn)
    builders.rows(database, "UPDATE studio.stock_scans SET finished_at = now() RETURNING 1")
    with database.as_user(qa) as conn:
        third = stock.ask(conn)

    assert first == second != third
