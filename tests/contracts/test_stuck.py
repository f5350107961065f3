"""Jobs in trouble as QA reads them: which, in what order, and why; with nothing changed by looking."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from core import recovery
from core.audit import stuck
from core.audit.stuck import Key, StuckFilter, Trouble
from core.errors import QueryTimedOut
from core.recovery import Action
from core.values import Role
from tests import builders
from tests.broken_jobs import FIRST, Breakage, break_jobs, digests

# Where each kind of broken job is listed first.
LISTED = {
    Breakage.asset: Trouble.stuck,
    Breakage.platform_asset: Trouble.stuck,
    Breakage.receipt_done: Trouble.stuck,
    Breakage.receipt_running: Trouble.stuck,
    Breakage.receipt_lost: Trouble.stuck,
    Breakage.receipt_refused: Trouble.stuck,
    Breakage.never_sent: Trouble.stuck,
    Breakage.no_entry: Trouble.stuck,
    Breakage.held_entry: Trouble.stuck,
    Breakage.begun_thrice: Trouble.stuck,
    Breakage.no_receipt: Trouble.stuck,
    Breakage.platform_bare: Trouble.stuck,
    Breakage.platform_request: Trouble.stuck,
    Breakage.unsaved: Trouble.unsaved,
    Breakage.foreign_path: Trouble.unsaved,
    Breakage.failed_open: Trouble.paid,
    Breakage.failed_asset: Trouble.left,
    Breakage.cancelled_asset: Trouble.left,
    Breakage.one_of_the_name: Trouble.nameless,
    Breakage.two_of_the_name: Trouble.nameless,
    Breakage.nobody_of_the_name: Trouble.nameless,
}


@pytest.fixture
def services(build):
    return build(stuck_after=600.0, team_sharing=True)


@pytest.fixture
def quentin(services):
    return builders.a_person(services.db, "quentin", Role.qa)


@pytest.fixture
def world(services, ana, fal):
    """Two of each; what was paid for is kept for a day."""
    made = break_jobs(services, ana, fal, count=2 * len(Breakage))
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE studio.submissions SET result_expires_at = now() + interval '1 day' WHERE request_id IS NOT NULL"
        )
    return made


def read(services, person, question):
    with services.db.as_reader(person) as conn:
        return question(conn)


def listed(services, person, wanted=None, **where):
    look = recovery.look(services)
    return read(services, person, lambda conn: stuck.page(conn, wanted or StuckFilter(), look, **where))


def test_every_broken_job_is_listed_once_under_its_trouble_and_no_healthy_one(services, quentin, world):
    page = listed(services, quentin, limit=200)

    found = {one.key.id: one.trouble for one in page.rows}
    assert len(found) == len(page.rows)
    assert found == {
        job_id: LISTED[kind] for job_id, kind in world.jobs.items() if kind is not Breakage.healthy
    }
    assert (page.next, page.previous) == (None, None)


def test_each_is_explained_as_recovery_itself_judges_it(services, quentin, world):
    page = listed(services, quentin, limit=200)
    ids = [one.key.id for one in page.rows]

    shown = read(services, quentin, lambda conn: recovery.explained(conn, ids, services))
    dry = recovery.recover(services, dry_run=True, only=ids, person=quentin)

    said = {step.job_id: (step.action, step.deadline) for step in shown}
    assert said == {step.job_id: (step.action, step.deadline) for step in dry}
    expected = {job_id: FIRST[world.jobs[job_id]] or Action.nothing for job_id in ids}
    assert {job_id: action for job_id, (action, _) in said.items()} == expected
    assert all(step.why.endswith(".") for step in shown)


def test_looking_changes_nothing(services, quentin, world):
    before = digests(services)

    page = listed(services, quentin, limit=200)
    read(
        services, quentin, lambda conn: recovery.explained(conn, [one.key.id for one in page.rows], services)
    )
    for trouble in Trouble:
        read(
            services,
            quentin,
            lambda conn, trouble=trouble: stuck.count(conn, trouble, StuckFilter(), recovery.look(services)),
        )

    assert digests(services) == before


def test_what_its_provider_deletes_first_comes_first(services, quentin, world):
    page = listed(services, quentin, limit=200)

    assert [one.key for one in page.rows] == sorted(one.key for one in page.rows)
    receipts = set(
        world.of(*(kind for kind in Breakage if kind.startswith("receipt") or kind == "failed_open"))
    )
    assert {one.key.id for one in page.rows[: len(receipts)]} == receipts


def test_pages_by_key_lead_through_the_whole_list_and_back(services, quentin, world):
    whole = listed(services, quentin, limit=200).rows

    there, key = [], None
    while True:
        page = listed(services, quentin, after=key, limit=7)
        there += page.rows
        if page.next is None:
            break
        key = page.next
    back, key = list(page.rows), page.previous
    while key is not None:
        page = listed(services, quentin, before=key, limit=7)
        back = [*page.rows, *back]
        key = page.previous

    assert there == list(whole)
    assert back == list(whole)


def test_counts_agree_with_the_list_and_say_where_they_stop(services, quentin, world):
    look = recovery.look(services)
    for trouble in Trouble:
        wanted = StuckFilter(trouble=trouble)
        counted = read(
            services, quentin, lambda conn, trouble=trouble: stuck.count(conn, trouble, StuckFilter(), look)
        )
        assert counted.number == len(listed(services, quentin, wanted, limit=200).rows)

    few = read(services, quentin, lambda conn: stuck.count(conn, Trouble.stuck, StuckFilter(), look, most=3))
    assert (few.number, few.more) == (3, True)


def test_a_paid_result_that_is_deleted_soon_is_at_risk_whatever_else_is_wrong(services, quentin, world):
    soon = world.of(Breakage.receipt_running)
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE studio.submissions SET result_expires_at = now() + interval '5 minutes' WHERE job_id = ANY(%s)",
            (soon,),
        )

    page = listed(services, quentin, limit=200)

    at_risk = [one.key.id for one in page.rows if one.trouble is Trouble.at_risk]
    assert set(at_risk) == set(soon)
    assert [one.key.id for one in page.rows[: len(soon)]] == at_risk
    assert max(Counter(one.key.id for one in page.rows).values()) == 1


def test_filters_narrow_by_provider_model_and_silence(services, quentin, world):
    [model] = {job[0] for job in builders.rows(services.db, "SELECT DISTINCT api_model_id FROM jobs")}
    everything = len(listed(services, quentin, limit=200).rows)

    def number(**wanted):
        return len(listed(services, quentin, StuckFilter(**wanted), limit=200).rows)

    assert number(provider="fal") == number(model_id=model) == everything
    assert number(provider="novita") == 0
    assert number(silent_for=timedelta(minutes=10)) == everything
    assert number(silent_for=timedelta(days=1)) == 0


def test_a_customer_reads_nothing_and_an_editor_no_queue(services, customer, ana, world):
    assert listed(services, customer, limit=200).rows == []
    with services.db.as_reader(ana) as conn:
        assert conn.execute("SELECT count(*) FROM studio.live_entries").fetchone() == (0,)


def test_a_slow_database_is_a_timeout_and_not_an_empty_list(services, quentin, world, monkeypatch):
    monkeypatch.setattr("core.db.READER_SECONDS", 0.3)  # the real limit, only smaller

    with services.db.as_service() as held:
        held.execute("LOCK TABLE public.jobs IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(QueryTimedOut):
            listed(services, quentin)


@pytest.mark.parametrize(
    "text", ["", "x", "a~b~c", "2026-01-01~2026-01-01~00000000-0000-4000-8000-000000000001"]
)
def test_an_address_without_a_place_is_the_beginning(text):
    assert Key.read(text) is None


def test_a_place_survives_the_address():
    key = Key(
        datetime(9999, 1, 1, tzinfo=UTC), datetime(2026, 11, 20, 12, 30, 1, 42, tzinfo=UTC), builders.uuid4()
    )

    assert Key.read(str(key)) == key
