"""One run of one job against fal on the wire: what ends how, what it costs, what a cancellation does."""

import contextlib
from decimal import Decimal

import pytest

from core import generation, portraits, recovery, running, worker
from core.db import models, submissions
from core.errors import Conflict, DatabaseUnavailable, NotFound, SetupFailed
from core.values import JobStage, JobStatus
from tests import builders

FLUX = "fal-ai/flux/dev"


@pytest.fixture
def flux(services, ana):
    found = generation.models_for(ana, services)
    return next(one.model for one in found if one.model.model_key == FLUX)


@pytest.fixture
def character(services, ana):
    return builders.a_character(ana, services)


@pytest.fixture
def ask(services, ana, character, flux):
    def asked(**values):
        wanted = builders.a_request(character, model_id=flux.id, **values)
        return generation.request(wanted, ana, services).job_id

    return asked


def spend(services, job_id):
    return builders.rows(
        services.db,
        "SELECT attempt, kind, amount_usd FROM studio.spend WHERE job_id = %s ORDER BY attempt",
        [job_id],
    )


def submission(services, job_id):
    return builders.rows(
        services.db,
        "SELECT attempt, outcome, receipt IS NOT NULL FROM studio.submissions WHERE job_id = %s ORDER BY attempt",
        [job_id],
    )


def test_a_finished_picture_costs_what_the_providers_units_say(services, ana, ask, fal):
    job_id = ask()

    builders.work(services)

    outcome = generation.outcome(job_id, ana, services)
    assert (outcome.job.status, outcome.job.stage) == (JobStatus.completed, JobStage.saved)
    assert spend(services, job_id) == [(1, "computed", Decimal("0.025000"))]
    assert submission(services, job_id) == [(1, "finished", True)]
    assert fal.counts()["leaked_keys"] == 0


def test_a_busy_provider_is_asked_again_and_the_refused_attempt_costs_nothing(services, ana, ask, fal):
    fal.fault("submit", "rate_limited", retry_after="0", count=2)
    job_id = ask()

    builders.work(services)

    assert generation.outcome(job_id, ana, services).job.status is JobStatus.completed
    assert submission(services, job_id) == [
        (1, "not_accepted", False),
        (2, "not_accepted", False),
        (3, "finished", True),
    ]
    assert [row[2] for row in spend(services, job_id)] == [Decimal(0), Decimal(0), Decimal("0.025000")]
    assert fal.counts()["accepted"] == 1


def test_a_provider_that_stays_busy_fails_the_job_in_words_and_without_cost(services, ana, ask, fal):
    fal.fault("submit", "rate_limited", retry_after="0", count=None)
    job_id = ask()

    builders.work(services)

    job = generation.outcome(job_id, ana, services).job
    assert (job.status, job.error_code) == (JobStatus.failed, "PROVIDER_BUSY")
    assert {row[2] for row in spend(services, job_id)} == {Decimal(0)}
    assert fal.counts()["accepted"] == 0


def test_a_lost_answer_is_never_sent_again(services, ana, ask, fal):
    fal.fault("submit", "reset_after")
    job_id = ask()

    builders.work(services)
    with services.db.as_service() as conn:
        from core import queue

        queue.put_job(conn, job_id, "fal")
    builders.work(services)

    job = generation.outcome(job_id, ana, services).job
    assert (job.status, job.stage, job.error_code) == (
        JobStatus.processing, JobStage.outcome_unknown, "OUTCOME_UNKNOWN",
    )  # fmt: skip
    assert fal.counts()["submits"] == 1
    assert spend(services, job_id) == [(1, "estimated", Decimal("0.026214"))]


@pytest.mark.parametrize(
    ("fault", "code", "cost"),
    [
        (("outcome", "content_policy"), "CONTENT_REFUSED", "0"),
        (("outcome", "black"), "CONTENT_REFUSED", "0.025"),
        (("outcome", "blank"), "IMAGE_BLANK", "0.025"),
        (("outcome", "no_images"), "NO_IMAGE", "0.025"),
        (("outcome", "media_expired"), "RESULT_LOST", "0.025"),  # these two once fal's deadline has passed
        (("outcome", "expired"), "RESULT_LOST", None),  # fal shows the units with the result only
        (("submit", "refused"), "INVALID_INPUT", "0"),
        (("submit", "bad_key"), "BAD_KEY", "0"),
        (("submit", "balance_empty"), "BALANCE_EMPTY", "0"),
    ],
)
def test_each_failure_says_why_in_words_and_a_code_and_is_settled(services, ana, ask, fal, fault, code, cost):
    fal.fault(*fault)
    job_id = ask()

    builders.work(services)
    builders.pass_deadlines(services)
    recovery.recover(services)
    builders.work(services)

    job = generation.outcome(job_id, ana, services).job
    assert (job.status, job.error_code) == (JobStatus.failed, code)
    assert job.error_message
    assert job.error_message.endswith(".")
    assert submission(services, job_id)[0][1] is not None
    assert spend(services, job_id) == [(1, "computed", Decimal(cost) if cost is not None else None)]
    assert builders.rows(services.db, "SELECT 1 FROM workspace_assets WHERE job_id = %s", [job_id]) == []


@pytest.mark.parametrize("place", ["status", "media"])
def test_a_paid_picture_that_was_not_found_once_is_asked_for_again_until_its_deadline(
    services, ana, ask, fal, place
):
    fal.fault(place, "gone")
    job_id = ask()
    builders.work(services)
    failed, sent = generation.outcome(job_id, ana, services).job, submission(services, job_id)

    recovery.recover(services)
    builders.work(services)

    assert (failed.status, failed.error_code) == (JobStatus.failed, "RESULT_LOST")
    assert "It is asked again until" in failed.error_message
    assert sent == [(1, None, True)]
    assert generation.outcome(job_id, ana, services).portrait_id is not None
    assert submission(services, job_id) == [(1, "finished", True)]
    assert fal.counts()["submits"] == 1


def test_a_request_that_never_left_for_a_wrong_setting_fails_and_costs_nothing(
    services, ana, ask, fal, monkeypatch
):
    def refuse(*_args):
        raise SetupFailed("Fal: the address of its service is not one of its own. Check the settings.")

    monkeypatch.setattr(running, "_submit", refuse)
    job_id = ask()

    builders.work(services)

    job = generation.outcome(job_id, ana, services).job
    assert job.status is JobStatus.failed
    assert "Check the settings" in job.error_message
    assert submission(services, job_id) == [(1, "not_accepted", False)]
    assert spend(services, job_id) == [(1, "computed", Decimal(0))]


def test_a_job_cancelled_after_it_was_refused_once_holds_nothing(services, ana, ask, fal):
    fal.fault("submit", "rate_limited", retry_after="60")
    job_id = ask()
    with pytest.raises(running.AskAgain):
        running.run(job_id, services)
    held = spend(services, job_id)

    generation.cancel(job_id, ana, services)
    with contextlib.suppress(running.AskAgain):
        running.run(job_id, services)

    assert held == [(1, "computed", Decimal(0)), (2, "estimated", Decimal("0.026214"))]
    assert generation.outcome(job_id, ana, services).job.status is JobStatus.cancelled
    assert {row[1:] for row in spend(services, job_id)} == {("computed", Decimal(0))}


def test_an_empty_balance_pauses_the_provider_for_everybody_and_says_why(services, ana, ask, fal):
    fal.fault("submit", "balance_empty")
    ask()

    builders.work(services)

    flux = next(one for one in generation.models_for(ana, services) if one.model.model_key == FLUX)
    assert not flux.available
    assert "paused" in flux.why_not


@pytest.mark.parametrize("kind", ["truncated", "html", "cut"])
def test_bytes_spoiled_on_the_way_are_fetched_again(services, ana, ask, fal, kind):
    fal.fault("media", kind)
    job_id = ask()

    builders.work(services)

    assert generation.outcome(job_id, ana, services).job.status is JobStatus.completed
    assert fal.counts()["downloads"] >= 2
    assert fal.counts()["submits"] == 1


def test_a_platform_that_queues_again_is_waited_for(services, ana, ask, fal):
    fal.fault("outcome", "regress")
    job_id = ask()

    builders.work(services)

    assert generation.outcome(job_id, ana, services).job.status is JobStatus.completed


# -- cancelling -----------------------------------------------------------------------------------------------------


def test_a_waiting_job_is_cancelled_at_once_and_costs_nothing(services, ana, ask, fal):
    job_id = ask()

    status = generation.cancel(job_id, ana, services)
    builders.work(services)

    assert status is JobStatus.cancelled
    assert spend(services, job_id) == [(1, "computed", Decimal(0))]
    assert builders.entries(services) == []
    assert fal.counts()["submits"] == 0


def test_a_sent_job_shows_cancelling_until_its_provider_ends(
    services, ana, ask, fal, live_worker, eventually
):
    fal.set(latency=30)
    job_id = ask()
    eventually(lambda: fal.counts()["accepted"] == 1)

    status = generation.cancel(job_id, ana, services)
    eventually(lambda: generation.outcome(job_id, ana, services).job.status is JobStatus.cancelled)

    assert status is JobStatus.processing
    assert fal.counts()["cancelled"] == 1
    assert submission(services, job_id)[0][1] is not None


def test_a_picture_that_came_although_it_was_cancelled_is_kept_and_is_not_primary(
    services, ana, character, ask, fal, live_worker, eventually
):
    fal.fault("outcome", "late_result")
    fal.set(latency=0.6)
    job_id = ask()
    eventually(lambda: fal.counts()["accepted"] == 1)

    generation.cancel(job_id, ana, services)
    eventually(lambda: generation.outcome(job_id, ana, services).portrait_id is not None)

    tile = next(one for one in portraits.tiles(character.id, ana, services) if one.kind == "portrait")
    assert not tile.primary
    assert generation.outcome(job_id, ana, services).job.status is JobStatus.completed


# -- again ----------------------------------------------------------------------------------------------------------


def test_trying_again_is_a_new_job_that_names_the_old_one_and_a_double_click_is_one(services, ana, ask, fal):
    fal.fault("outcome", "content_policy")
    failed = ask()
    builders.work(services)

    again = generation.retry(failed, ana, services)
    twice = generation.retry(failed, ana, services)
    builders.work(services)

    job = generation.outcome(again.job_id, ana, services).job
    assert (job.status, job.retried_from) == (JobStatus.completed, failed)
    assert (twice.job_id, twice.created) == (again.job_id, False)


def test_a_job_that_has_not_failed_cannot_be_tried_again(services, ana, ask):
    job_id = ask()

    with pytest.raises(Conflict):
        generation.retry(job_id, ana, services)


def test_a_job_that_kills_its_worker_each_time_is_given_up_in_words(services, ana, ask, fal):
    job_id = ask()
    for _ in range(running.MOST_RUNS):
        running._claim(job_id, services)

    builders.work(services)

    job = generation.outcome(job_id, ana, services).job
    assert (job.status, job.error_code) == (JobStatus.failed, "STUCK")
    assert fal.counts()["submits"] == 0


def test_a_failed_picture_is_taken_out_of_the_grid_and_its_story_stays(
    services, ana, ben, character, ask, fal
):
    fal.fault("outcome", "content_policy")
    job_id = ask()
    builders.work(services)
    shown_before = [tile.id for tile in portraits.tiles(character.id, ana, services)]

    with pytest.raises(NotFound):
        generation.dismiss(job_id, ben, services)
    generation.dismiss(job_id, ana, services)

    assert shown_before == [str(job_id)]
    assert portraits.tiles(character.id, ana, services) == []
    assert generation.outcome(job_id, ana, services).job.error_code == "CONTENT_REFUSED"


def test_without_a_worker_the_person_is_told_that_the_picture_waits(services, ana, character, eventually):
    alone = generation.request(builders.a_request(character), ana, services)

    with worker.in_thread(services):
        eventually(lambda: builders.rows(services.db, "SELECT 1 FROM studio.workers"))
        attended = generation.request(builders.a_request(character), ana, services)

    assert generation.NO_WORKER in alone.warnings
    assert generation.NO_WORKER not in attended.warnings


def test_a_paused_provider_gets_nothing_and_its_pictures_wait_as_long_as_it_takes(services, ana, ask, fal):
    with services.db.as_service() as conn:
        models.pause(conn, "fal", "its balance is empty", seconds=60)
    job_id = ask_although_paused(services, ana, ask)

    for _ in range(2 * running.MOST_RUNS):
        with pytest.raises(running.AskAgain):
            running.run(job_id, services)

    job = generation.outcome(job_id, ana, services).job
    assert (job.status, job.stage) == (JobStatus.processing, JobStage.waiting)
    assert fal.counts()["submits"] == 0


def ask_although_paused(services, ana, ask):
    """A job that was asked for just before its provider was paused."""
    with services.db.as_service() as conn:
        conn.execute("UPDATE studio.provider_state SET paused_until = now()")
    job_id = ask()
    with services.db.as_service() as conn:
        conn.execute("UPDATE studio.provider_state SET paused_until = now() + interval '1 hour'")
    return job_id


def test_a_worker_that_starts_lifts_the_pause_for_a_key_may_have_been_mended(services, ana, eventually):
    with services.db.as_service() as conn:
        models.pause(conn, "fal", "fal does not accept our key", seconds=900)
        paused = models.pauses(conn)

    with worker.in_thread(services):
        eventually(lambda: builders.rows(services.db, "SELECT 1 FROM studio.workers"))

    with services.db.as_service() as conn:
        assert models.pauses(conn) == {}
    assert paused == {"fal": "fal does not accept our key (for 15 more min)"}


@pytest.mark.parametrize("status", [408, 409, 425, 499])
def test_a_refusal_that_may_come_from_somebody_in_between_is_an_outcome_unknown(
    services, ana, ask, fal, status
):
    fal.fault("submit", "server_error", status=status, accepted=True)
    job_id = ask()

    builders.work(services)

    job = generation.outcome(job_id, ana, services).job
    assert (job.status, job.stage) == (JobStatus.processing, JobStage.outcome_unknown)
    assert fal.counts()["accepted"] == 1


def test_a_refusal_is_remembered_though_the_database_is_away_just_then(services, ana, ask, fal, monkeypatch):
    fal.fault("submit", "rate_limited", retry_after="0")
    job_id = ask()
    settle, failures = submissions.settle, []

    def away_once(*args, **kwargs):
        if not failures:
            failures.append(True)
            raise DatabaseUnavailable("The database does not answer.")
        return settle(*args, **kwargs)

    monkeypatch.setattr(submissions, "settle", away_once)
    builders.work(services)

    assert generation.outcome(job_id, ana, services).job.status is JobStatus.completed
    assert failures == [True]


def test_a_reference_that_is_gone_by_then_fails_the_job_in_its_own_words(services, ana, fal):
    character = builders.a_character(ana, services)
    saved = builders.a_finished_portrait(ana, services, character)
    edit = next(
        one.model for one in generation.models_for(ana, services)
        if one.model.provider == "fal" and one.model.capabilities.supports_i2i
    )  # fmt: skip
    wanted = builders.a_request(character, reference=f"user-library/{saved.storage_path}", model_id=edit.id)
    job_id = generation.request(wanted, ana, services).job_id
    services.storage.delete("user-library", saved.storage_path)

    builders.work(services)

    job = generation.outcome(job_id, ana, services).job
    assert (job.status, job.error_code) == (JobStatus.failed, "REFERENCE_MISSING")
    assert [amount for _, _, amount in spend(services, job_id)] == [Decimal(0)]
