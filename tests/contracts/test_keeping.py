"""How long what is kept, as an admin sets it: within its bounds, counted as it would go, from the next run on, recorded."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from core import cleaning, portraits, retention
from core.admin import changes, keeping
from core.errors import BadRequest, Conflict, NotAllowed, NotFound
from core.retention import Kind
from core.values import Role
from tests import builders


@pytest.fixture
def admin(services):
    return builders.a_person(services.db, "admin", Role.admin)


def stored(services, person):
    return {one.kind: one for one in keeping.listing(person, services)}


def keep_for(kind, days, person, services, *, why="a test"):
    seen = stored(services, person)[kind].stored
    return keeping.change(kind, days, person, services, seen=seen, why=why)


def notices(services, *ages):
    with services.db.as_service() as conn:
        for days in ages:
            conn.execute(
                "INSERT INTO studio.health_notices (body, made_at) VALUES ('{}', now() - make_interval(days => %s))",
                [days],
            )


def test_every_kind_begins_with_its_settings_or_the_products_own_number(build, admin):
    services = build(keep_history_days=50)

    found = stored(services, admin)

    assert {kind: one.days for kind, one in found.items()} == {
        Kind.bin: 7, Kind.workspace: 7, Kind.history: 50, Kind.messages: 90, Kind.queue_log: 7,
    }  # fmt: skip
    assert all(one.least <= one.days <= one.most and one.stored is None for one in found.values())
    # What SPEC says of the bin and of the workspace is the least that can be set.
    assert found[Kind.bin].least == found[Kind.workspace].least == 7


def test_what_an_admin_set_wins_over_the_setting_and_counts_in_the_next_run_without_a_restart(
    build, services, admin
):
    running = build(keep_history_days=400)
    with services.db.as_service() as conn:
        conn.execute(
            """INSERT INTO studio.health_history (run_id, check_name, at, with_objects, passed, failed, not_checked,
                   not_applicable) VALUES (gen_random_uuid(), 'rows', now() - interval '60 days', false, 1, 0, 0, 0)"""
        )
    notices(services, 40)
    before = retention.keep(running)
    keep_for(Kind.history, 59, admin, services)
    keep_for(Kind.messages, 30, admin, services)

    after = retention.keep(running)

    assert (before[Kind.history].gone, after[Kind.history].gone) == (0, 1)
    assert (before[Kind.messages].gone, after[Kind.messages].gone) == (0, 1)


def test_a_longer_bin_and_a_longer_workspace_keep_what_would_have_gone(services, ana, admin):
    character = builders.a_character(ana, services)
    made = builders.a_finished_portrait(ana, services, character)
    portraits.delete(made.portrait_id, ana, services)
    with services.db.as_service() as conn:
        conn.execute("UPDATE character_portraits SET deleted_at = deleted_at - interval '9 days'")
        conn.execute("UPDATE workspace_assets SET created_at = created_at - interval '9 days'")
    gone = portraits.bin_of(character.id, ana, services)
    keep_for(Kind.bin, 30, admin, services)
    keep_for(Kind.workspace, 30, admin, services)

    done, report = retention.keep(services), cleaning.clean(services)

    assert gone == []
    assert [one.days_left for one in portraits.bin_of(character.id, ana, services)] == [21]
    assert portraits.grid(character.id, ana, services).in_bin == 1
    assert (done[Kind.bin].looked_at, report.cleaned) == (0, 0)
    keep_for(Kind.workspace, None, admin, services)
    assert cleaning.clean(services).cleaned == 1


def test_what_is_counted_before_is_what_goes(services, ana, admin):
    character = builders.a_character(ana, services)
    made = builders.a_finished_portrait(ana, services, character)
    portraits.delete(made.portrait_id, ana, services)
    with services.db.as_service() as conn:
        conn.execute("UPDATE character_portraits SET deleted_at = deleted_at - interval '9 days'")
        conn.execute("UPDATE workspace_assets SET created_at = created_at - interval '9 days'")
    notices(services, 10, 40, 50)
    told = {
        (kind, days): keeping.past(kind, days, admin, services).number
        for kind, days in (
            (Kind.bin, 7), (Kind.bin, 10), (Kind.workspace, 7), (Kind.workspace, 10), (Kind.messages, 30),
            (Kind.history, 30), (Kind.queue_log, 1),
        )
    }  # fmt: skip
    keep_for(Kind.messages, 30, admin, services)

    done, report = retention.keep(services), cleaning.clean(services)

    assert told == {
        (Kind.bin, 7): done[Kind.bin].gone, (Kind.bin, 10): 0, (Kind.workspace, 7): report.cleaned,
        (Kind.workspace, 10): 0, (Kind.messages, 30): done[Kind.messages].gone, (Kind.history, 30): 0,
        (Kind.queue_log, 1): 0,
    }  # fmt: skip
    assert (done[Kind.bin].gone, report.cleaned, done[Kind.messages].gone) == (1, 1, 2)


def test_a_count_is_bounded_and_says_so(services, admin):
    with services.db.as_service() as conn:
        conn.execute(
            """INSERT INTO studio.health_notices (body, made_at)
               SELECT '{}', now() - interval '40 days' FROM generate_series(1, 10002)"""
        )

    found = keeping.past(Kind.messages, 30, admin, services)

    assert (found.number, found.more) == (10_000, True)


def test_days_outside_their_bounds_are_refused_in_words_and_by_the_table_itself(services, admin, dsn):
    for kind, days in ((Kind.bin, 6), (Kind.bin, 366), (Kind.workspace, 0), (Kind.history, 29)):
        with pytest.raises(BadRequest, match=r"This is kept for \d+ to \d+ days"):
            keep_for(kind, days, admin, services)
        with pytest.raises(psycopg.errors.CheckViolation), psycopg.connect(dsn) as conn:
            conn.execute("UPDATE studio.kept_days SET days = %s WHERE kind = %s", [days, kind])

    assert all(one.stored is None for one in stored(services, admin).values())


def test_the_ledger_and_the_record_have_no_days_that_anybody_could_set(services, admin):
    assert {one.kind for one in keeping.listing(admin, services)} == set(Kind) - {Kind.objects}
    with pytest.raises(NotFound, match="nothing of that kind"), services.db.as_user(admin) as conn:
        conn.execute("SELECT studio.set_kept_days('audit_events', NULL, 30, 'x')")


def test_each_change_is_recorded_with_before_after_and_why_and_is_undone(services, admin):
    keep_for(Kind.bin, 30, admin, services, why="the auditors")
    keep_for(Kind.bin, 60, admin, services, why="more")
    newest, first = changes.listing(admin, services)

    assert (first.before, first.after, first.why) == ({"days": None}, {"days": 30}, "the auditors")
    assert first.who == admin.id
    with pytest.raises(Conflict):
        keeping.undo(first, admin, services, why="it was changed since")
    assert keeping.undo(newest, admin, services, why="too long")
    assert stored(services, admin)[Kind.bin].stored == 30
    assert keeping.undo(first, admin, services, why="all of it")
    assert stored(services, admin)[Kind.bin].stored is None


def test_the_second_of_two_admins_is_told_and_a_reason_is_asked_for(services, admin):
    keep_for(Kind.messages, 60, admin, services)
    with pytest.raises(Conflict, match="changed meanwhile"):
        keeping.change(Kind.messages, 40, admin, services, seen=None, why="x")
    with pytest.raises(BadRequest, match="Say why"):
        keeping.change(Kind.messages, 40, admin, services, seen=60, why=" ")

    assert keeping.change(Kind.messages, 60, admin, services, seen=60, why="") is False
    assert stored(services, admin)[Kind.messages].stored == 60


def test_nobody_but_an_admin_reads_the_runs_or_sets_days_in_the_database_either(services):
    retention.keep(services)
    for role in set(Role) - {Role.admin}:
        person = builders.a_person(services.db, str(role), role)
        with services.db.as_user(person) as conn:
            seen = conn.execute("SELECT count(*) FROM studio.retention_runs").fetchone()
            told = conn.execute("SELECT count(*) FROM studio.kept_days").fetchone()
        with pytest.raises(NotAllowed), services.db.as_user(person) as conn:
            conn.execute("SELECT studio.set_kept_days('bin', NULL, 30, 'x')")

        assert (role, seen, told) == (role, (0,), (5,))
    assert retention.kept_for(Kind.bin, services) == timedelta(days=7)
