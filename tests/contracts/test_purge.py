"""Purging: a person's decision about jobs of which nothing came, row by row, on the record (SPEC "Purge")."""

from __future__ import annotations

import pytest

from core import generation, recovery
from core.errors import BadRequest, NotAllowed
from core.values import JobId, JobStatus, Role
from tests import builders
from tests.broken_jobs import Breakage, break_jobs, digests

WHY = "Stuck since the outage of last week."
PURGED = {
    Breakage.platform_bare,
    Breakage.never_sent,
    Breakage.no_entry,
    Breakage.held_entry,
    Breakage.begun_thrice,
    Breakage.healthy,
}
# Each kind that is refused, and a part of the reason.
REFUSED = {
    Breakage.asset: "Its picture is there",
    Breakage.platform_asset: "Its picture is there",
    Breakage.receipt_done: "can still be asked",
    Breakage.receipt_running: "can still be asked",
    Breakage.receipt_lost: "can still be asked",
    Breakage.receipt_refused: "can still be asked",
    Breakage.no_receipt: "outcome is unknown",
    Breakage.platform_request: "The platform noted a request",
    Breakage.unsaved: "ended already (completed)",
    Breakage.failed_open: "ended already (failed)",
    Breakage.cancelled_asset: "ended already (cancelled)",
}


@pytest.fixture
def services(build):
    return build(stuck_after=600.0)


@pytest.fixture
def quentin(services):
    return builders.a_person(services.db, "quentin", Role.qa)


@pytest.fixture
def world(services, ana, fal):
    return break_jobs(services, ana, fal, count=2 * len(Breakage))


def refusals(world, rows):
    return {(world.jobs[row.job_id], row.refusal) for row in rows}


def test_what_nothing_came_of_is_purged_and_nothing_else(services, quentin, world):
    asked = world.of(*PURGED, *REFUSED)

    rows = recovery.purge(asked, quentin, services, why=WHY)

    said = refusals(world, rows)
    assert {kind for kind, refusal in said if refusal is None} == PURGED
    assert {kind for kind, refusal in said if refusal} == set(REFUSED)
    assert all(REFUSED[kind] in refusal for kind, refusal in said if refusal)
    assert sorted(row.job_id for row in rows) == sorted(asked)


def test_a_purged_job_has_failed_with_a_code_and_words_and_its_row_stays(services, ana, quentin, world):
    [job_id, _] = world.of(Breakage.platform_bare)

    recovery.purge([job_id], quentin, services, why=WHY)

    job = generation.outcome(job_id, ana, services).job
    assert (job.status, job.error_code) == (JobStatus.failed, "PURGED")
    assert job.error_message
    assert job.completed_at is not None


def test_who_purged_what_and_why_is_on_record(services, quentin, world):
    asked = world.of(Breakage.platform_bare, Breakage.never_sent, Breakage.asset)

    recovery.purge(asked, quentin, services, why=f"  {WHY} ")

    events = builders.rows(
        services.db,
        "SELECT row_id::uuid, who, before ->> 'status', after ->> 'error_code', why FROM studio.audit_events"
        " WHERE action = 'job_purged'",
    )
    assert {event[0] for event in events} == set(world.of(Breakage.platform_bare, Breakage.never_sent))
    assert {event[1:] for event in events} == {(quentin.id, "processing", "PURGED", WHY)}


def test_a_purged_job_is_run_no_more_and_costs_nothing(services, quentin, world, fal):
    asked = world.of(Breakage.never_sent)
    recovery.recover(services, only=asked)
    before = fal.counts()["submits"]

    recovery.purge(asked, quentin, services, why=WHY)
    entries = [job_id for _, job_id in builders.entries(services)]
    recovery.recover(services, only=asked)
    builders.work(services)

    spent = builders.rows(
        services.db, "SELECT kind, amount_usd FROM studio.spend WHERE job_id = ANY(%s)", [asked]
    )
    assert set(entries).isdisjoint(asked)
    assert fal.counts()["submits"] == before
    assert {tuple(row) for row in spent} == {("computed", 0)}


def test_a_preview_counts_shows_some_says_what_is_refused_and_changes_nothing(services, quentin, world):
    before = digests(services)
    asked = world.of(*PURGED, *REFUSED)

    preview = recovery.purge_preview(asked, quentin, services)

    assert preview.count == len(world.of(*PURGED))
    assert {world.jobs[row.job_id] for row in preview.refused} == set(REFUSED)
    assert 1 <= len(preview.sample) <= 5
    assert {world.jobs[job.id] for job in preview.sample} <= PURGED
    assert digests(services) == before


def test_the_preview_and_the_purge_say_the_same(services, quentin, world):
    asked = world.of(*PURGED, *REFUSED)

    said = {(row.job_id, row.refusal) for row in recovery.purge_preview(asked, quentin, services).rows}
    done = {(row.job_id, row.refusal) for row in recovery.purge(asked, quentin, services, why=WHY)}

    assert done == said


def test_purging_twice_says_that_it_is_ended_and_notes_it_once(services, quentin, world):
    asked = world.of(Breakage.platform_bare)
    recovery.purge(asked, quentin, services, why=WHY)

    again = recovery.purge(asked, quentin, services, why=WHY)

    noted = builders.one(services.db, "SELECT count(*) FROM studio.audit_events WHERE action = 'job_purged'")
    assert all("ended already" in row.refusal for row in again)
    assert noted == len(asked)


def test_only_qa_and_admins_purge_or_look(services, ana, world):
    asked = world.of(Breakage.platform_bare)
    before = digests(services)

    with pytest.raises(NotAllowed):
        recovery.purge(asked, ana, services, why=WHY)
    with pytest.raises(NotAllowed):
        recovery.purge_preview(asked, ana, services)

    assert digests(services) == before


@pytest.mark.parametrize("why", ["", "  \n", "x" * 501])
def test_a_purge_needs_a_reason_that_can_be_read(services, quentin, world, why):
    with pytest.raises(BadRequest) as refused:
        recovery.purge(world.of(Breakage.platform_bare), quentin, services, why=why)

    assert refused.value.field == "why"


def test_a_row_that_cannot_be_changed_takes_no_other_along(services, quentin, world):
    asked = world.of(Breakage.platform_bare, Breakage.never_sent)
    with services.db.as_service() as conn:
        conn.execute(
            f"""
            CREATE FUNCTION refuse_one() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF new.id = '{asked[0]}' AND new.error_code = 'PURGED' THEN RAISE EXCEPTION 'disk trouble'; END IF;
                RETURN new;
            END $$;
            CREATE TRIGGER refuse_one BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION refuse_one();
            """.encode()
        )

    rows = recovery.purge(asked, quentin, services, why=WHY)

    refused = [row for row in rows if row.is_refused]
    assert [row.job_id for row in refused] == [asked[0]]
    assert "could not change it" in refused[0].refusal
    assert len(rows) == len(asked)


def test_a_job_that_is_not_there_is_said_to_be_missing(services, quentin):
    nobody = JobId(quentin.id)

    rows = recovery.purge([nobody, nobody], quentin, services, why=WHY)

    assert [(row.job_id, row.refusal) for row in rows] == [(nobody, "There is no such job.")]


def test_a_picture_that_comes_after_all_completes_a_purged_job(services, ana, quentin, world):
    [job_id, _] = world.of(Breakage.platform_bare)
    recovery.purge([job_id], quentin, services, why=WHY)
    path = f"{ana.id}/{job_id}_1760000000000.png"

    with builders.as_platform(services.db.dsn, "service_role") as conn:
        conn.execute(
            "INSERT INTO workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type)"
            " VALUES (%s, %s, 'image', %s, 'image/png')",
            [ana.id, job_id, path],
        )

    assert generation.outcome(job_id, ana, services).job.status is JobStatus.completed


def test_the_platforms_request_can_be_purged_once_its_provider_has_said_no(services, quentin, world, fal):
    [job_id, _] = world.of(Breakage.platform_request)
    fal.fault("status", "gone", status=404, count=None)
    recovery.recover(services, only=[job_id])
    builders.work(services)

    fal.calm()
    rows = recovery.purge([job_id], quentin, services, why=WHY)

    assert [row.refusal for row in rows] == [None]
