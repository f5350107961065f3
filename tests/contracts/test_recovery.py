"""Stuck jobs: why, in a sentence, and what sets each right (SPEC, (a) to (e))."""

import contextlib
from datetime import UTC, datetime

import pytest

from core import generation, queue, recovery, running
from core.db import jobs, submissions
from core.errors import BadRequest, Conflict, NotAllowed, NotFound
from core.recovery import Action
from core.values import JobStage, JobStatus, Role, Ticket
from tests import builders


@pytest.fixture
def stale(build):
    """Services for which a job without a heartbeat is stuck at once."""
    return build(stuck_after=0.2)


@pytest.fixture
def character(services, ana):
    return builders.a_character(ana, services)


@pytest.fixture
def flux(services, ana):
    found = generation.models_for(ana, services)
    return next(one.model for one in found if one.model.model_key == "fal-ai/flux/dev")


@pytest.fixture
def asked(services, ana, character, flux):
    return generation.request(builders.a_request(character, model_id=flux.id), ana, services).job_id


def orphan(services, job_id):
    """No entry, no heartbeat: the job of a worker that died long ago."""
    with services.db.as_service() as conn:
        conn.execute("DELETE FROM studio_queue.pgqueuer WHERE dedupe_key = %s", [f"job:{job_id}"])
        conn.execute(
            "UPDATE jobs SET heartbeat_at = now() - interval '1 hour', created_at = now() - interval '1 hour',"
            " started_at = now() - interval '1 hour' WHERE id = %s",
            [job_id],
        )


@contextlib.contextmanager
def dies_after(monkeypatch, name):
    """The run ends right after one of its steps, as with SIGKILL."""

    class Killed(BaseException):
        pass

    inner = getattr(running, name)

    def wrapped(*args):
        inner(*args)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(running, name, wrapped)
        with pytest.raises(Killed):
            yield


def only_step(services, *, dry_run=False):
    steps = recovery.recover(services, dry_run=dry_run)
    assert len(steps) == 1, steps
    return steps[0]


def test_a_job_without_an_entry_that_was_never_sent_goes_back_to_the_queue(services, ana, asked, fal):
    orphan(services, asked)

    step = only_step(services)
    builders.work(services)

    assert step.action is Action.requeue
    assert "never sent" in step.why
    assert generation.outcome(asked, ana, services).portrait_id is not None
    assert fal.counts()["submits"] == 1


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(services, asked):
    orphan(services, asked)

    steps = [only_step(services, dry_run=True) for _ in range(2)]

    assert {step.action for step in steps} == {Action.requeue}
    assert builders.entries(services) == []


def test_a_receipt_is_asked_about_and_nothing_is_sent_again(services, ana, asked, fal, monkeypatch):
    with dies_after(monkeypatch, "_keep_receipt"):
        running.run(asked, services)
    orphan(services, asked)

    step = only_step(services)
    builders.work(services)

    assert step.action is Action.ask
    assert generation.outcome(asked, ana, services).portrait_id is not None
    assert fal.counts()["submits"] == 1


def test_a_request_without_a_receipt_becomes_outcome_unknown_and_is_not_stuck_any_more(
    services, ana, asked, fal, monkeypatch
):
    with dies_after(monkeypatch, "_submit"):
        running.run(asked, services)
    orphan(services, asked)

    step = only_step(services)
    later = recovery.recover(services)

    job = generation.outcome(asked, ana, services).job
    assert step.action is Action.unknown
    assert (job.status, job.stage) == (JobStatus.processing, JobStage.outcome_unknown)
    assert later == []
    assert fal.counts()["submits"] == 1


def test_a_platform_job_whose_picture_is_there_is_completed_and_saved(services, ana, character):
    job_id = platform_job(services, ana, character)
    path = f"{ana.id}/{job_id}_1760000000000.png"
    services.storage.put("workspace-temp", path, a_picture(), "image/png")
    with services.db.as_service() as conn:
        conn.execute("ALTER TABLE workspace_assets DISABLE TRIGGER complete_job")
        conn.execute(
            "INSERT INTO workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type)"
            " VALUES (%s, %s, 'image', %s, 'image/png')",
            [ana.id, job_id, f"workspace-temp/{path}"],
        )
        conn.execute("ALTER TABLE workspace_assets ENABLE TRIGGER complete_job")

    step = only_step(services)
    builders.work(services)

    assert step.action is Action.complete
    outcome = generation.outcome(job_id, ana, services)
    assert outcome.job.status is JobStatus.completed
    assert outcome.portrait_id is not None


def test_a_platform_job_with_neither_result_nor_receipt_waits_for_a_person(services, ana, character):
    job_id = platform_job(services, ana, character)

    step = only_step(services)

    assert step.action is Action.person
    assert generation.outcome(job_id, ana, services).job.status is JobStatus.processing


def test_a_job_with_a_heartbeat_is_left_alone(services, asked):
    running._claim(asked, services)
    with services.db.as_service() as conn:
        queue.put_job(conn, asked, "fal")

    assert recovery.recover(services) == []


def test_a_completed_picture_that_never_reached_the_library_is_saved(services, ana, asked):
    builders_done = running.run(asked, services)
    with services.db.as_service() as conn:
        conn.execute("DELETE FROM studio_queue.pgqueuer")

    step = only_step(services)
    builders.work(services)

    assert builders_done is None
    assert step.action is Action.save
    assert generation.outcome(asked, ana, services).portrait_id is not None


def test_a_failed_job_whose_paid_picture_comes_late_is_completed_and_saved(build, ana, character, flux, fal):
    hasty = build(give_up_after=1.0)
    fal.fault("outcome", "late_result")
    fal.set(latency=1.6)
    asked = generation.request(builders.a_request(character, model_id=flux.id), ana, hasty)
    builders.work(hasty)
    failed = generation.outcome(asked.job_id, ana, hasty).job

    steps = []
    while not steps or generation.outcome(asked.job_id, ana, hasty).job.status is JobStatus.failed:
        steps += recovery.recover(hasty)
        builders.work(hasty)
        assert len(steps) < 300
    builders.work(hasty)

    assert (failed.status, failed.error_code) == (JobStatus.failed, "TIMED_OUT")
    assert {step.action for step in steps} == {Action.rescue}
    assert generation.outcome(asked.job_id, ana, hasty).portrait_id is not None
    assert fal.counts()["submits"] == 1


def test_a_run_whose_job_was_taken_over_changes_no_state(services, ana, asked):
    first = running._claim(asked, services).job
    running._claim(asked, services)

    with services.db.as_service() as conn:
        ended = jobs.end(conn, first, JobStatus.failed, code="LATE", words="Too late.")

    assert not ended
    assert generation.outcome(asked, ana, services).job.status is JobStatus.processing


def platform_job(services, person, character):
    """A job of the platform that has been processing for an hour."""
    return builders.one(
        services.db,
        """
        INSERT INTO jobs (user_id, job_type, status, metadata, created_at, started_at)
        VALUES (%s, 'fal_image', 'processing', jsonb_build_object('destination', 'character_portrait',
                'character_id', %s::text), %s, %s) RETURNING id
        """,
        [person.id, str(character.id), *[datetime(2026, 11, 1, tzinfo=UTC)] * 2],
    )


def a_picture():
    from tests.emulator.pictures import portrait

    return portrait("late", 64, 64, "png")


# -- outcome unknown is settled by a person -------------------------------------------------------------------------


@pytest.fixture
def lost(services, ana, character, flux, fal):
    """A job whose request left and whose answer was lost."""
    fal.fault("submit", "reset_after")
    job_id = generation.request(builders.a_request(character, model_id=flux.id), ana, services).job_id
    builders.work(services)
    return job_id


@pytest.fixture
def quentin(services):
    return builders.a_person(services.db, "quentin", Role.qa)


@pytest.mark.parametrize(("billed", "amount"), [(True, "0.026214"), (False, "0.000000"), (None, None)])
def test_a_person_settles_an_unknown_outcome_with_what_they_found(
    services, ana, quentin, lost, billed, amount
):
    recovery.settle_unknown(lost, quentin, services, billed=billed, why="Looked at the provider's list.")

    job = generation.outcome(lost, ana, services).job
    spent = builders.one(
        services.db, "SELECT kind, amount_usd::text FROM studio.spend WHERE job_id = %s", [lost]
    )
    audit = builders.one(
        services.db, "SELECT who, why FROM studio.audit_events WHERE action = 'unknown_settled'"
    )
    assert (job.status, job.error_code) == (JobStatus.failed, "GIVEN_UP")
    assert tuple(spent) == ("computed", amount)
    assert tuple(audit) == (quentin.id, "Looked at the provider's list.")
    assert recovery.unknown_outcomes(services) == []


def test_after_it_was_settled_it_can_be_tried_again_and_not_before(services, ana, quentin, lost):
    with pytest.raises(Conflict):
        generation.retry(lost, ana, services)
    recovery.settle_unknown(lost, quentin, services, billed=False, why="Not there.")

    again = generation.retry(lost, ana, services)
    builders.work(services)

    assert generation.outcome(again.job_id, ana, services).portrait_id is not None


def test_only_qa_settles_and_only_with_a_reason_and_only_what_is_unknown(services, ana, quentin, lost, asked):
    with pytest.raises(NotAllowed):
        recovery.settle_unknown(lost, ana, services, billed=False, why="I think so.")
    with pytest.raises(BadRequest):
        recovery.settle_unknown(lost, quentin, services, billed=False, why="  ")
    with pytest.raises(NotFound):
        recovery.settle_unknown(asked, quentin, services, billed=False, why="Not unknown at all.")

    assert [step.job_id for step in recovery.unknown_outcomes(services)] == [lost]


def test_a_receipt_that_comes_after_it_was_given_up_still_brings_the_picture(
    services, ana, quentin, lost, fal
):
    recovery.settle_unknown(lost, quentin, services, billed=None, why="Could not look.")
    request_id = fal.counts()["requests"][0]["id"]
    submission = builders.one(services.db, "SELECT id FROM studio.submissions WHERE job_id = %s", [lost])
    ticket = Ticket(provider="fal", request_id=request_id, model_key="fal-ai/flux/dev")
    with services.db.as_service() as conn:
        submissions.keep_receipt(conn, submission, ticket)

    recovery.recover(services)
    builders.work(services)

    assert generation.outcome(lost, ana, services).portrait_id is not None
    assert fal.counts()["submits"] == 1


def test_unknown_outcomes_do_not_use_up_what_a_person_may_have_waiting(build, ana, character, flux, lost):
    narrow = build(max_waiting=1)

    asked = generation.request(builders.a_request(character, model_id=flux.id), ana, narrow)

    assert asked.created


# -- what must not stop the rest --------------------------------------------------------------------------------------


def test_a_bug_in_one_step_does_not_stop_the_others(services, ana, asked, character, flux, monkeypatch):
    second = generation.request(builders.a_request(character, model_id=flux.id), ana, services).job_id
    orphan(services, asked)
    orphan(services, second)
    deed = recovery._DEEDS[Action.requeue]

    def broken(job_id, of_services):
        if job_id == asked:
            raise KeyError("a bug")
        deed(job_id, of_services)

    monkeypatch.setitem(recovery._DEEDS, Action.requeue, broken)
    recovery.recover(services)

    assert [job_id for _, job_id in builders.entries(services)] == [second]


def test_bytes_that_are_no_picture_the_second_time_either_end_the_waiting(services, ana, asked, fal):
    fal.fault("outcome", "html")
    builders.work(services)

    for _ in range(3):
        recovery.recover(services)
        builders.work(services)

    outcome = builders.one(services.db, "SELECT outcome FROM studio.submissions WHERE job_id = %s", [asked])
    spent = builders.one(services.db, "SELECT amount_usd::text FROM studio.spend WHERE job_id = %s", [asked])
    assert outcome == "refused"
    assert spent == "0.025000"  # what fal counted, not the estimate
    assert fal.counts()["downloads"] == 6
    assert generation.retry(asked, ana, services).created


def test_the_picture_of_a_character_that_was_deleted_meanwhile_is_kept_in_the_library(
    services, ana, asked, character
):
    running.run(asked, services)
    with services.db.as_service() as conn:
        conn.execute("DELETE FROM characters WHERE id = %s", [character.id])

    builders.work(services)

    job = generation.outcome(asked, ana, services).job
    saved = builders.rows(services.db, "SELECT user_id FROM user_library WHERE job_id = %s", [asked])
    assert (job.status, job.stage) == (JobStatus.completed, JobStage.saved)
    assert [tuple(row) for row in saved] == [(ana.id,)]
    assert recovery.recover(services) == []


def test_a_job_that_the_platforms_clean_up_ended_before_it_was_sent_costs_nothing(services, asked):
    running._claim(asked, services)
    with services.db.as_service() as conn:
        conn.execute("UPDATE jobs SET status = 'failed', error_message = 'purged' WHERE id = %s", [asked])

    recovery.recover(services)

    spent = builders.one(
        services.db, "SELECT kind, amount_usd::text FROM studio.spend WHERE job_id = %s", [asked]
    )
    assert tuple(spent) == ("computed", "0.000000")
