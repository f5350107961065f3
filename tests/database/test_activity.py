"""The dashboard's questions about audit events, on real Postgres and as the people who may ask them."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from core.audit import activity
from core.audit.activity import Change, Key, Wanted
from core.audit.jobs import Counted
from core.db import activity as notes
from core.values import Role
from tests.builders import a_character, a_finished_portrait, a_person, an_event, one, rows


@pytest.fixture
def qa(services):
    return a_person(services.db, "quinn", Role.qa)


def note(services, person=None, action="job_purged", table="jobs", row="1", **values):
    an_event(services.db, person, action, table, row, **values)


def page(services, person, wanted=None, **where):
    with services.db.as_reader(person) as conn:
        return activity.page(conn, wanted or Wanted(), **where)


def actions(found):
    return [event.action for event in found.rows]


def test_turning_pages_shows_every_event_once_and_leads_back(services, qa):
    with services.db.as_service() as conn:  # one transaction: all of one moment
        for number in range(7):
            notes.note(conn, f"deed_{number}", "jobs", str(number))

    first = page(services, qa, limit=3)
    second = page(services, qa, limit=3, before=first.older)
    third = page(services, qa, limit=3, before=second.older)

    assert [*actions(first), *actions(second), *actions(third)] == [
        f"deed_{number}" for number in range(6, -1, -1)
    ]
    assert third.older is None
    assert actions(page(services, qa, limit=3, after=second.newer)) == actions(first)


def test_who_what_table_row_and_since_narrow_together(services, qa):
    note(services, qa, "job_purged", row="a")
    note(services, qa, "job_purged", row="b")
    note(services, qa, "budget_set", "budgets", "c")
    note(services, None, "provider_paused", "provider_state", "fal")
    latest = one(services.db, "SELECT max(at) FROM studio.audit_events")

    assert len(page(services, qa, Wanted(who=qa.id)).rows) == 3
    assert actions(page(services, qa, Wanted(by_the_studio=True))) == ["provider_paused"]
    assert actions(page(services, qa, Wanted(table="budgets"))) == ["budget_set"]
    assert [event.row_id for event in page(services, qa, Wanted(table="jobs", row_id="b")).rows] == ["b"]
    assert actions(page(services, qa, Wanted(who=qa.id, action="budget_set"))) == ["budget_set"]
    assert page(services, qa, Wanted(since=latest + timedelta(seconds=1))).rows == []
    with services.db.as_reader(qa) as conn:
        assert activity.count(conn, Wanted(who=qa.id)) == Counted(number=3)
        assert activity.count(conn, Wanted(), most=2) == Counted(number=2, more=True)
        assert activity.actions(conn) == ["budget_set", "job_purged", "provider_paused"]
        assert activity.tables(conn) == ["budgets", "jobs", "provider_state"]


def test_an_event_knows_the_job_its_row_belongs_to(services, ana, qa):
    made = a_finished_portrait(ana, services, a_character(ana, services))
    item = one(services.db, "SELECT id FROM public.user_library")
    note(services, qa, row=str(made.job.id))
    note(services, qa, "portrait_deleted", "character_portraits", str(made.portrait_id))
    note(services, qa, "library_deleted", "user_library", str(item))
    note(services, qa, "budget_set", "budgets", str(uuid4()))
    note(services, qa, "foreign_path_refused", "jobs", "no id at all")

    found = {event.row_id: event.job_id for event in page(services, qa).rows}

    assert found[str(made.job.id)] == found[str(made.portrait_id)] == found[str(item)] == made.job.id
    assert found["no id at all"] is None


def test_before_and_after_are_told_field_by_field_where_they_differ(services, qa):
    note(
        services,
        qa,
        before={"limit": "5", "hard": True, "same": 1, "gone": [1]},
        after={"limit": "9", "hard": False, "same": 1, "note": None},
    )

    [event] = page(services, qa).rows

    assert sorted(activity.changes(event)) == [
        Change("gone", "[1]", None),
        Change("hard", "yes", "no"),
        Change("limit", "5", "9"),
        Change("note", None, "nothing"),
    ]


def test_a_long_value_is_cut_where_it_is_told(services, qa):
    note(services, qa, after={"text": "x" * 5000})

    [event] = page(services, qa).rows

    assert len(activity.changes(event)[0].after or "") == 200


def test_events_of_one_row_come_in_the_order_in_which_they_happened(services, qa):
    for action in ("first", "second"):
        note(services, qa, action, row="a")
    note(services, qa, "elsewhere", row="b")

    with services.db.as_reader(qa) as conn:
        assert [event.action for event in activity.of_row(conn, "jobs", "a")] == ["first", "second"]


def test_only_the_team_reads_what_was_done(services, qa, ana, customer):
    note(services, qa)

    assert page(services, ana).rows == []
    assert page(services, customer).rows == []
    assert len(page(services, a_person(services.db, "pru", Role.product)).rows) == 1


def test_a_key_out_of_an_address_is_read_back_or_refused(services, qa):
    note(services, qa)
    key = page(services, qa).rows[0].key

    assert Key.read(str(key)) == key
    for text in ("", "2026-11-20~1", "x~1", f"{key.at.isoformat()}~x", f"{key.at.isoformat()}~{10**40}"):
        assert Key.read(text) is None


def test_reading_what_was_done_leaves_no_trace(services, qa):
    page(services, qa)

    assert rows(services.db, "SELECT FROM studio.audit_events") == []
