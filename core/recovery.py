"""When a job stuck: why, in a sentence, and what sets it right (SPEC "When things go wrong by themselves").

(a) a result exists → complete and save it; (b) a receipt exists → ask the provider; (c) never sent → back to
the queue; (d) sent without a receipt → outcome unknown; (e) the platform's job with neither → a person decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from core import log, queue, running
from core.db import assets, attributes, costs, jobs, matches, submissions
from core.errors import (
    BadImage,
    ProviderRejected,
    ProviderUnreachable,
    ResultLost,
    StorageFailed,
    StudioError,
)
from core.services import Services
from core.values import Asset, Finished, Job, JobId, JobStatus, Person, Submission

_log = log.get(__name__)


class Action(StrEnum):
    """What recovery does with a job."""

    complete = "complete"  # (a)
    ask = "ask"  # (b)
    requeue = "requeue"  # (c)
    give_up = "give_up"  # (c), begun too often
    unknown = "unknown"  # (d)
    person = "person"  # (e)
    save = "save"  # completed, and not in the library
    match = "match"  # completed, and it names no character
    publish = "publish"  # an attribute image, completed and not published
    rescue = "rescue"  # failed or cancelled, and its paid result may still come


@dataclass(frozen=True, kw_only=True)
class Step:
    """One job, why it is not moving, and what is (or would be) done."""

    job_id: JobId
    action: Action
    why: str


@dataclass(frozen=True, kw_only=True)
class _Case:
    job: Job
    asset: Asset | None
    submission: Submission | None


def recover(services: Services, *, dry_run: bool = False) -> list[Step]:
    """Set right what can be set right without a person; `dry_run` only says what would be done.

    Safe to run at any time and from several processes: each step checks again under the job's row lock.
    """
    steps = [
        *_stuck_steps(services),
        *_unsaved_steps(services),
        *_match_steps(services),
        *_publish_steps(services),
        *_rescue_steps(services),
    ]
    if dry_run:
        return steps
    for step in steps:
        _do(step, services)
    _tidy(services)
    return steps


def explain(job: Job, asset: Asset | None, submission: Submission | None) -> Step:
    """Why a stuck job does not move and what helps; pure."""
    silent = _silence(job)
    if asset is not None:
        return Step(
            job_id=job.id,
            action=Action.complete,
            why=f"Its picture is there, but the job was not completed{silent}.",
        )
    if submission is not None and submission.ticket is not None:
        return Step(
            job_id=job.id,
            action=Action.ask,
            why=f"It was sent to {submission.provider} and nobody waits for it{silent}; the provider is asked.",
        )
    if submission is not None:
        return Step(
            job_id=job.id,
            action=Action.unknown,
            why=f"It was sent to {submission.provider} and no receipt came back{silent}; nothing is sent again.",
        )
    return _never_sent(job, silent)


def _never_sent(job: Job, silent: str) -> Step:
    if job.runner != "studio":
        why = f"The platform's job stands still{silent}, without a result or a receipt; a person decides."
        return Step(job_id=job.id, action=Action.person, why=why)
    if job.attempts >= running.MOST_RUNS:
        why = f"It was begun {job.attempts} times and never sent{silent}; it is given up."
        return Step(job_id=job.id, action=Action.give_up, why=why)
    return Step(
        job_id=job.id, action=Action.requeue, why=f"It was never sent{silent}; it goes back to the queue."
    )


def _silence(job: Job) -> str:
    since = job.heartbeat_at or job.started_at or job.created_at
    minutes = (datetime.now(UTC) - since).total_seconds() / 60
    return f" (silent for {minutes:.0f} min)" if minutes >= 1 else ""


def _stuck_steps(services: Services) -> list[Step]:
    with services.db.as_service() as conn:
        stuck = jobs.stuck(conn, silent_for=services.settings.stuck_after)
        cases = [
            _Case(
                job=job,
                asset=assets.first_of_job(conn, job.id),
                submission=submissions.current(conn, job.id),
            )
            for job in stuck
        ]
    return [explain(case.job, case.asset, case.submission) for case in cases]


def _unsaved_steps(services: Services) -> list[Step]:
    with services.db.as_service() as conn:
        unsaved = jobs.unsaved(conn, platform_delay=services.settings.autosave_delay)
    why = "Its picture is there and not in the library; it is saved."
    return [Step(job_id=job_id, action=Action.save, why=why) for job_id in unsaved]


def _match_steps(services: Services) -> list[Step]:
    with services.db.as_service() as conn:
        unmatched = matches.unmatched(conn)
    why = "Its picture is there and a character bears its name; it is looked at which one it belongs to."
    return [Step(job_id=job_id, action=Action.match, why=why) for job_id in unmatched]


def _publish_steps(services: Services) -> list[Step]:
    with services.db.as_service() as conn:
        unpublished = attributes.unpublished(conn)
    why = "Its attribute image is there and not published; it is published."
    return [Step(job_id=job_id, action=Action.publish, why=why) for job_id in unpublished]


def _rescue_steps(services: Services) -> list[Step]:
    with services.db.as_service() as conn:
        still_open = submissions.open_of_ended_jobs(conn)
    why = "The job ended, but its paid picture may still come; the provider is asked."
    return [Step(job_id=one.job_id, action=Action.rescue, why=why) for one in still_open]


def _do(step: Step, services: Services) -> None:
    """Carry one step out; a step that fails, even by a bug, does not stop the others."""
    try:
        _DEEDS[step.action](step.job_id, services)
        _log.info("recovery_step", job_id=str(step.job_id), action=step.action)
    except StudioError as error:
        _log.warning("recovery_step_failed", job_id=str(step.job_id), action=step.action, code=error.reason)
    except Exception:  # noqa: BLE001
        _log.exception("recovery_step_broke", job_id=str(step.job_id), action=step.action)


def _complete(job_id: JobId, services: Services) -> None:
    with services.db.as_service() as conn:
        job = jobs.lock(conn, job_id)
        if job is None or job.status.is_final:
            return
        jobs.complete_with_asset(conn, job_id)
        queue.put_autosave(conn, job_id)


def _put_back(job_id: JobId, services: Services) -> None:
    """The run itself asks about the receipt: it only needs an entry."""
    with services.db.as_service() as conn:
        job = jobs.lock(conn, job_id)
        if job is not None and not job.status.is_final:
            queue.put_job(conn, job_id, job.provider)


def _requeue(job_id: JobId, services: Services) -> None:
    with services.db.as_service() as conn:
        job = jobs.lock(conn, job_id)
        if job is None or job.status.is_final or submissions.current(conn, job_id) is not None:
            return
        if job.status is JobStatus.processing:
            jobs.requeue(conn, job)
        queue.put_job(conn, job_id, job.provider)


def _give_up(job_id: JobId, services: Services) -> None:
    with services.db.as_service() as conn:
        job = jobs.get(conn, job_id)
    if job is not None:
        words = "This picture was begun three times and never got as far as its provider. Tell an admin."
        running.fail(job, StudioError(words, code="STUCK"), services)


def _unknown(job_id: JobId, services: Services) -> None:
    with services.db.as_service() as conn:
        job = jobs.get(conn, job_id)
    if job is not None:
        running.say_unknown(job, services)


def _save(job_id: JobId, services: Services) -> None:
    with services.db.as_service() as conn:
        queue.put_autosave(conn, job_id)


def _put_match(job_id: JobId, services: Services) -> None:
    with services.db.as_service() as conn:
        queue.put_match(conn, job_id)


def _put_publish(job_id: JobId, services: Services) -> None:
    with services.db.as_service() as conn:
        queue.put_publish(conn, job_id)


def _put_rescue(job_id: JobId, services: Services) -> None:
    """Asking can take a minute where a provider hangs: it is work for the queue, not for this look."""
    with services.db.as_service() as conn:
        queue.put_rescue(conn, job_id)


def rescue(job_id: JobId, services: Services) -> None:
    """Ask once about the result of a job that ended; keep what comes, settle what cannot."""
    with services.db.as_service() as conn:
        job = jobs.get(conn, job_id)
        submission = submissions.current(conn, job_id)
    if job is None or submission is None or submission.ticket is None or not submission.is_open:
        return
    provider = services.providers.get(submission.provider)
    if provider is None:
        return
    try:
        state = provider.poll(submission.ticket)
        if isinstance(state, Finished):
            picture = running.take_in(job, submission, state, services)
            running.finish(job, submission, state, picture, services)
    except (ProviderRejected, ResultLost, BadImage) as error:
        with services.db.as_service() as conn:
            running.settle(conn, job, submission, error, last_look=True)
    except (ProviderUnreachable, StorageFailed) as error:
        _log.info("rescue_put_off", job_id=str(job_id), code=error.reason)


def settle_unknown(
    job_id: JobId, person: Person, services: Services, *, billed: bool | None, why: str
) -> None:
    """A person has looked at the provider and ends an outcome unknown (SPEC "Failure").

    `billed`: whether it was charged there, None where that could not be found out. The job fails in words and may be
    tried again; a receipt that comes later still counts. Raises NotAllowed (needs qa), NotFound, BadRequest (why).
    """
    with services.db.as_user(person) as conn:
        jobs.settle_unknown(conn, job_id, billed=billed, why=why)


def unknown_outcomes(services: Services) -> list[Step]:
    """What was sent without a receipt and waits for a webhook, a lookup or a person."""
    with services.db.as_service() as conn:
        found = submissions.unknown(conn)
    return [
        Step(
            job_id=one.job_id,
            action=Action.unknown,
            why=f"Sent to {one.provider} at {one.submitted_at:%Y-%m-%d %H:%M:%S} UTC without a receipt; look there.",
        )
        for one in found
    ]


def _nothing(_job_id: JobId, _services: Services) -> None:
    """A person decides."""


_DEEDS: dict[Action, Callable[[JobId, Services], None]] = {
    Action.complete: _complete,
    Action.ask: _put_back,
    Action.requeue: _requeue,
    Action.give_up: _give_up,
    Action.unknown: _unknown,
    Action.person: _nothing,
    Action.save: _save,
    Action.match: _put_match,
    Action.publish: _put_publish,
    Action.rescue: _put_rescue,
}


def _tidy(services: Services) -> None:
    with services.db.as_service() as conn:
        costs.close_never_sent(conn)
        queue.clear_held(conn)
        queue.trim_log(conn)
