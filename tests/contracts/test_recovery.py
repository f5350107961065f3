"""Stuck jobs: why, in a sentence, and what sets each right (SPEC, (a) to (e))."""

import contextlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from rich.console import Console
from typer.testing import CliRunner

from core import budgets, cleaning, cli, generation, queue, recovery, running
from core.db import jobs, recoveries, submissions
from core.errors import BadRequest, Conflict, NotAllowed, NotFound
from core.providers import fal as fal_adapter
from core.providers import novita, replicate, runpod
from core.recovery import Action
from core.values import JobStage, JobStatus, Order, Role, Ticket
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


@pytest.fixture
def ada(services):
    return builders.a_person(services.db, "ada", Role.admin)


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


def test_a_picture_that_comes_after_all_costs_what_it_cost_whatever_was_stated(
    services, ana, ada, quentin, lost, fal
):
    budgets.save(Decimal(1), budgets.Period.day, ada, services)
    recovery.settle_unknown(lost, quentin, services, billed=False, why="Not in their list.")
    request_id = fal.counts()["requests"][0]["id"]
    recovery.settle_found(lost, quentin, services, request_id=request_id, why="It is in the list now.")

    builders.work(services)

    spent = builders.one(services.db, "SELECT amount_usd::text FROM studio.spend WHERE job_id = %s", [lost])
    job = generation.outcome(lost, ana, services).job
    [standing] = budgets.listing(ada, services)
    assert job.status is JobStatus.completed
    assert (spent, str(job.cost_usd), str(standing.spent)) == ("0.025000", "0.025000", "0.025000")


def test_a_request_that_qa_finds_at_its_provider_brings_its_picture(services, ana, quentin, lost, fal):
    request_id = fal.counts()["requests"][0]["id"]
    with pytest.raises(NotAllowed):
        recovery.settle_found(lost, ana, services, request_id=request_id, why="I think so.")
    with pytest.raises(BadRequest):
        recovery.settle_found(lost, quentin, services, request_id=str(uuid4()), why="A guess.")

    recovery.settle_found(lost, quentin, services, request_id=request_id, why="It is in their list.")
    builders.work(services)

    told = builders.one(
        services.db, "SELECT who, why FROM studio.audit_events WHERE action = 'unknown_found'"
    )
    assert tuple(told) == (quentin.id, "It is in their list.")
    assert generation.outcome(lost, ana, services).portrait_id is not None
    assert fal.counts()["submits"] == 1


@pytest.mark.parametrize(
    ("billed", "words"),
    [(True, "QA found it charged"), (False, "found no picture"), (None, "could not find out")],
)
def test_the_job_says_what_qa_found_out(services, ana, quentin, lost, billed, words):
    with pytest.raises(BadRequest):
        recovery.settle_unknown(lost, quentin, services, billed=billed, why="x" * 501)
    recovery.settle_unknown(lost, quentin, services, billed=billed, why="Looked at their list.")

    assert words in generation.outcome(lost, ana, services).job.error_message


def test_a_request_that_is_being_sent_is_neither_settled_nor_said_to_be_unknown(
    services, ana, quentin, asked
):
    begun = running._claim(asked, services)
    sent = running._begin(begun.job, begun.model, services)

    with pytest.raises(Conflict, match="It is being sent just now"):
        recovery.settle_unknown(asked, quentin, services, billed=False, why="Not in their list.")
    [row] = recovery.purge_preview([asked], quentin, services).rows

    assert row.refusal.startswith("It is being sent")
    with services.db.as_service() as conn:
        assert submissions.get(conn, sent.id).is_open


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

    def broken(conn, job_ids):
        if asked in job_ids:
            raise KeyError("a bug")
        return deed(conn, job_ids)

    monkeypatch.setitem(recovery._DEEDS, Action.requeue, broken)
    steps = recovery.recover(services)

    assert [job_id for _, job_id in builders.entries(services)] == [second]
    assert {step.job_id: step.is_done for step in steps} == {asked: False, second: True}


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


# -- by save deadline, in a sentence, on the record -------------------------------------------------------------------


def sent_ago(services, ana, character, flux, fal, minutes, *, expires=None):
    """A job whose receipt nobody waits for, sent so many minutes ago."""
    fal.fault("outcome", "never")
    job_id = generation.request(builders.a_request(character, model_id=flux.id), ana, services).job_id
    submission = running._send(running._claim(job_id, services), services)
    orphan(services, job_id)
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE studio.submissions SET submitted_at = now() - make_interval(mins => %s), result_expires_at = %s"
            " WHERE id = %s",
            [minutes, expires, submission.id],
        )
    return job_id


def test_what_its_provider_deletes_first_comes_first(services, ana, character, flux, fal):
    unsent = generation.request(builders.a_request(character, model_id=flux.id), ana, services).job_id
    orphan(services, unsent)
    late = sent_ago(services, ana, character, flux, fal, 5)
    early = sent_ago(services, ana, character, flux, fal, 40)
    soonest = sent_ago(
        services, ana, character, flux, fal, 1, expires=datetime.now(UTC) + timedelta(minutes=3)
    )

    steps = recovery.recover(services)

    assert [step.job_id for step in steps] == [soonest, early, late, unsent]
    assert [job_id for _, job_id in builders.entries(services)] == [soonest, early, late, unsent]


def test_what_may_be_deleted_soon_is_counted_with_the_nearest_deadline(services, ana, character, flux, fal):
    sent_ago(services, ana, character, flux, fal, 5)
    soon = sent_ago(services, ana, character, flux, fal, 50)  # fal keeps results for an hour
    told = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=3)
    soonest = sent_ago(services, ana, character, flux, fal, 1, expires=told)

    risk = recovery.at_risk(services, within=timedelta(minutes=15))

    assert (risk.count, risk.more, risk.nearest) == (2, False, told)
    assert [one.job_id for one in recovery.results_at_risk(services)] == [soonest, soon]
    assert recovery.at_risk(services, within=timedelta(minutes=1)).count == 0


def test_a_saved_result_is_at_no_risk(services, ana, character, flux):
    builders.a_finished_portrait(ana, services, character, model_id=flux.id)

    assert recovery.at_risk(services, within=timedelta(days=1)).count == 0


def test_qa_counts_what_is_at_risk_with_their_own_rights(services, ana, quentin, character, flux, fal):
    sent_ago(services, ana, character, flux, fal, 50)

    with services.db.as_reader(quentin) as conn:
        risk = recoveries.at_risk(
            conn, within=timedelta(minutes=15), result_seconds=services.catalog.result_seconds
        )

    assert risk.count == 1


def test_every_provider_but_sketch_says_how_long_it_keeps_results(services):
    shipped = {model.provider for model in services.catalog.models}

    kept = {name: timedelta(seconds=seconds) for name, seconds in services.catalog.result_seconds.items()}

    assert kept.keys() == shipped - {"sketch"}
    assert (kept["fal"], kept["replicate"]) == (fal_adapter.RESULT_LIFETIME, replicate.RESULT_LIFETIME)
    assert kept["runpod"] == runpod.RESULT_LIFETIME
    assert kept["novita"] == timedelta(seconds=novita.USUAL_LIFETIME)


def test_a_picture_that_does_not_say_when_it_was_done_keeps_no_stuck_job_from_being_explained(
    services, ana, character, flux, fal
):
    builders.a_finished_portrait(ana, services, character, model_id=flux.id)
    job_id = builders.a_finished_portrait(ana, services, character, model_id=flux.id).job.id
    with services.db.as_service() as conn:
        conn.execute("UPDATE jobs SET completed_at = NULL WHERE id = %s", [job_id])
    fal.fault("outcome", "never")
    stuck = generation.request(builders.a_request(character, model_id=flux.id), ana, services).job_id
    with services.db.as_service() as conn:
        job = jobs.claim(conn, stuck)
        sent = submissions.begin(conn, job, provider="fal", model_key=flux.model_key)
    ticket = services.providers["fal"].submit(Order(prompt="a lighthouse"), flux)
    with services.db.as_service() as conn:
        submissions.keep_receipt(conn, sent.id, ticket)
    orphan(services, stuck)

    [step] = recovery.recover(services, dry_run=True)

    assert (step.job_id, step.action) == (stuck, Action.ask)
    assert "percentile" in step.why or "longer than any" in step.why


def test_the_reason_compares_the_wait_with_what_the_model_usually_takes(services, ana, character, flux, fal):
    with services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO jobs (user_id, job_type, status, api_model_id, started_at, completed_at, metadata)"
            " SELECT %s, 'x', 'completed', %s, now() - make_interval(mins => n), now(), '{}'"
            " FROM generate_series(1, 10) n",
            [ana.id, flux.id],
        )
    between = sent_ago(services, ana, character, flux, fal, 7)
    beyond = sent_ago(services, ana, character, flux, fal, 45)

    why = {step.job_id: step.why for step in recovery.recover(services, dry_run=True)}

    assert "It was sent to fal 7 min ago, at the 70th percentile of this model's usual time" in why[between]
    assert "longer than any of this model's last 10 pictures took" in why[beyond]
    assert "(worker gone 60 min)" in why[between]


def test_a_model_may_be_given_another_limit_for_its_silence(services, asked, flux):
    running._claim(asked, services)
    with services.db.as_service() as conn:
        conn.execute("UPDATE jobs SET heartbeat_at = now() - interval '5 minutes' WHERE id = %s", [asked])
        conn.execute(
            "UPDATE api_models SET capabilities = capabilities || '{\"stuck_after\": 900}' WHERE id = %s",
            [flux.id],
        )

    patient = recovery.recover(services, dry_run=True)
    with services.db.as_service() as conn:
        conn.execute("UPDATE jobs SET heartbeat_at = now() - interval '20 minutes' WHERE id = %s", [asked])

    assert patient == []
    assert [step.job_id for step in recovery.recover(services, dry_run=True)] == [asked]


def test_a_step_is_recorded_with_who_asked_for_it_and_counted_when_it_is_done_again(services, quentin, asked):
    for person in (None, quentin, quentin):
        orphan(services, asked)
        recovery.recover(services, person=person)
    orphan(services, asked)
    recovery.recover(services, dry_run=True, person=quentin)

    steps = recovery.history(asked, services)

    assert {(step.action, step.who, step.times) for step in steps} == {
        ("requeue", quentin.id, 2),
        ("requeue", None, 1),
    }
    assert all("never sent" in step.why for step in steps)


def test_what_waits_for_a_person_is_recorded_once_however_often_it_is_seen(services, ana, character):
    job_id = platform_job(services, ana, character)

    for _ in range(3):
        recovery.recover(services)

    [step] = recovery.history(job_id, services)
    assert (step.action, step.times) == ("person", 1)


def test_only_qa_and_admins_start_a_recovery(services, ana, asked):
    orphan(services, asked)

    for only in (None, [asked]):
        with pytest.raises(NotAllowed):
            recovery.recover(services, only=only, person=ana)

    assert builders.entries(services) == []


def test_named_jobs_alone_are_recovered_and_each_gets_an_answer(services, ana, quentin, character, flux):
    done = builders.a_finished_portrait(ana, services, character).job.id
    wanted, other = (
        generation.request(builders.a_request(character, model_id=flux.id), ana, services).job_id
        for _ in range(2)
    )
    orphan(services, wanted)
    orphan(services, other)

    steps = recovery.recover(services, only=[done, wanted, wanted], person=quentin)

    said = {step.job_id: (step.action, step.is_done) for step in steps}
    assert said == {wanted: (Action.requeue, True), done: (Action.nothing, False)}
    assert [job_id for _, job_id in builders.entries(services)] == [wanted]


def test_a_paid_picture_at_a_provider_without_a_key_waits_for_an_admin(
    services, build, ana, character, flux, fal
):
    job_id = sent_ago(services, ana, character, flux, fal, 5)
    keyless = build(providers=("sketch",))

    step = only_step(keyless)

    assert (step.job_id, step.action) == (job_id, Action.person)
    assert "no key" in step.why
    assert builders.entries(services) == []


def test_a_request_the_platform_noted_is_asked_about_and_its_picture_saved(
    services, ana, character, flux, fal
):
    job_id = platform_job(services, ana, character)
    ticket = services.providers["fal"].submit(Order(prompt="a lighthouse keeper"), flux)
    note_request(services, job_id, flux, ticket.request_id)

    step = only_step(services)
    builders.work(services)

    assert step.action is Action.adopt
    assert generation.outcome(job_id, ana, services).portrait_id is not None
    assert recovery.recover(services) == []


def test_a_request_of_the_platform_that_fal_has_forgotten_leaves_the_job_to_a_person(
    services, ana, character, flux, fal
):
    job_id = platform_job(services, ana, character)
    note_request(services, job_id, flux, str(uuid4()))

    recovery.recover(services)
    builders.pass_deadlines(services)
    builders.work(services)
    step = only_step(services)

    assert (step.job_id, step.action) == (job_id, Action.person)
    assert "fal has no picture of it" in step.why


def test_a_request_id_of_another_job_is_not_taken(services, ana, asked, character, flux, fal):
    fal.fault("outcome", "never")
    submission = running._send(running._claim(asked, services), services)
    job_id = platform_job(services, ana, character)
    note_request(services, job_id, flux, submission.ticket.request_id)

    recovery.recover(services, only=[job_id])

    assert builders.rows(services.db, "SELECT job_id FROM studio.submissions") == [(asked,)]
    assert builders.entries(services) == [("portrait_fal", asked)]


def test_a_job_whose_request_belongs_to_another_is_left_to_a_person_and_may_be_purged(
    services, ana, quentin, asked, character, flux, fal
):
    fal.fault("outcome", "never")
    submission = running._send(running._claim(asked, services), services)
    job_id = platform_job(services, ana, character)
    note_request(services, job_id, flux, submission.ticket.request_id)

    [step] = recovery.recover(services, only=[job_id])
    [row] = recovery.purge([job_id], quentin, services, why="Its request is another job's.")

    assert step.action is Action.person
    assert f"belongs to job {asked}" in step.why
    assert not row.is_refused


def note_request(services, job_id, flux, request_id):
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE jobs SET api_model_id = %s, metadata = metadata || jsonb_build_object('fal_request_id', %s::text)"
            " WHERE id = %s",
            [flux.id, request_id, job_id],
        )


def test_a_late_picture_of_a_cancelled_job_that_was_not_completed_is_saved_and_never_primary(
    services, ana, character, asked
):
    running.run(asked, services)
    with services.db.as_service() as conn:
        conn.execute("SET LOCAL session_replication_role = replica")
        conn.execute(
            "UPDATE jobs SET status = 'cancelled', stage = NULL, cancel_requested = true WHERE id = %s",
            [asked],
        )
        conn.execute("DELETE FROM studio_queue.pgqueuer")

    step = only_step(services)
    builders.work(services)

    outcome = generation.outcome(asked, ana, services)
    primary = builders.one(
        services.db, "SELECT is_primary FROM character_portraits WHERE job_id = %s", [asked]
    )
    assert step.action is Action.complete
    assert (outcome.job.status, primary) == (JobStatus.completed, False)


def test_a_picture_that_was_there_settles_its_request_and_its_cost(services, ana, asked, fal):
    running._send(running._claim(asked, services), services)
    orphan(services, asked)
    with services.db.as_service() as conn:
        conn.execute("SET LOCAL session_replication_role = replica")
        conn.execute(
            "INSERT INTO workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type)"
            " VALUES (%s, %s, 'image', %s, 'image/png')",
            [ana.id, asked, f"{ana.id}/{asked}_1760000000000.png"],
        )

    recovery.recover(services)

    outcome = builders.one(
        services.db, "SELECT outcome, settled_by FROM studio.submissions WHERE job_id = %s", [asked]
    )
    spent = builders.one(
        services.db, "SELECT kind, amount_usd::text FROM studio.spend WHERE job_id = %s", [asked]
    )
    assert tuple(outcome) == ("finished", "recovery")
    assert tuple(spent) == ("computed", "0.026214")
    assert str(generation.outcome(asked, ana, services).job.cost_usd) == "0.026214"


# -- the command line -------------------------------------------------------------------------------------------------


@pytest.fixture
def command(services, monkeypatch):
    """Runs `python -m core …` over this test's services; what it prints."""

    @contextlib.contextmanager
    def opened(_settings):
        yield services

    monkeypatch.setattr(cli, "open_services", opened)
    monkeypatch.setattr(cli, "console", Console(width=200))

    def run(*words):
        return CliRunner().invoke(cli.app, list(words))

    return run


def test_the_command_line_says_what_it_would_do_then_does_it(services, asked, command):
    orphan(services, asked)

    said = command("recover", "--dry-run", "--job", str(asked)).output
    untouched = builders.entries(services)
    done = command("recover").output
    after = command("recover").output

    assert "would requeue" in said
    assert "never sent" in said
    assert untouched == []
    assert "requeue" in done
    assert "would" not in done
    assert "Nothing is stuck." in after


def test_the_command_line_purges_with_a_reason_and_says_what_it_refused(
    services, ana, character, asked, command
):
    job_id = platform_job(services, ana, character)
    running._send(running._claim(asked, services), services)
    words = ("purge", "--why", "Stuck since the outage.", str(job_id), str(asked))

    said = command(*words, "--dry-run").output
    still = generation.outcome(job_id, ana, services).job.status
    done = command(*words).output
    unreasoned = command("purge", str(job_id))
    misnamed = command("purge", "--why", "x", "everything")

    assert "would be purged" in said
    assert still is JobStatus.processing
    assert generation.outcome(job_id, ana, services).job.error_code == "PURGED"
    assert "can still be asked" in done
    assert unreasoned.exit_code == 2
    assert "named by its id" in misnamed.output


def test_the_command_line_names_a_job_that_is_not_there(services, asked, command):
    stranger = str(uuid4())

    looked = command("recover", "--job", stranger, "--job", str(asked))
    ended = command("purge", "--why", "Stuck.", stranger)

    assert (looked.exit_code, ended.exit_code) == (1, 1)
    assert stranger in looked.output
    assert stranger in ended.output


def test_the_command_line_says_why_each_result_was_kept(services, ana, character, command):
    builders.a_finished_portrait(ana, services, character)
    with services.db.as_service() as conn:
        conn.execute("UPDATE workspace_assets SET created_at = now() - interval '8 days'")
    for one in list(services.storage.list("user-library")):
        services.storage.delete("user-library", one.path)

    said = command("clean").output

    assert f"1 kept: {cleaning.SENTENCES[cleaning.Verdict.copy_missing]}" in said


def test_the_command_line_cleans_the_workspace(services, ana, character, command):
    builders.a_finished_portrait(ana, services, character)
    with services.db.as_service() as conn:
        conn.execute("UPDATE workspace_assets SET created_at = now() - interval '8 days'")

    said = command("clean", "--dry-run").output
    done = command("clean").output

    assert "1 pictures would be removed" in said
    assert "1 pictures removed" in done
    assert list(services.storage.list("workspace-temp")) == []
