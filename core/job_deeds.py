"""What can be done with many jobs at once: recover, purge, cancel, try again, try another model.

Each looks at its job again: one that changed since it was shown is refused in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from core import authority, generation, recovery
from core.db import bulk as rows
from core.db import jobs
from core.deeds import Deed, Options, Outcome, Tried, check_jobs, done, failed, job_of, refused
from core.errors import BadRequest
from core.recovery import Action, Step
from core.services import Services
from core.values import Job, JobStatus, ModelId, Person

MODEL = "model"  # the option that names another model

_GONE = "This job is not there any more."
_RECOVERED: Mapping[Action, str] = {
    Action.complete: "It was completed from its picture, and its saving is queued.",
    Action.ask: "Its provider is asked for the picture.",
    Action.requeue: "It went back to the queue.",
    Action.give_up: "It was begun too often, and has failed now.",
    Action.unknown: "It is marked as outcome unknown; settle it next.",
    Action.save: "Its saving is queued.",
    Action.match: "It is looked at which character it belongs to.",
    Action.publish: "Its publishing is queued.",
    Action.rescue: "Its provider is asked for the picture.",
    Action.adopt: "The platform's request was taken over, and fal is asked for the picture.",
}


# -- recover and purge ------------------------------------------------------------------------------------------------


def _recover(one: str, person: Person, services: Services, _options: Options) -> Outcome:
    steps = recovery.recover(services, only=[job_of(one)], person=person)
    if not steps:
        return refused(_GONE)
    return _said(steps[0])


def _said(step: Step) -> Outcome:
    if step.is_done:
        return done(_RECOVERED[step.action])
    if step.action is Action.nothing:
        return refused(f"It is no longer stuck. {step.why}")
    if step.action in {Action.wait, Action.person, Action.unknown}:
        return refused(step.why)
    return failed("Something else changed it at the same moment. Look at it again.")


def _found_recovered(one: str, services: Services, tried: Tried) -> Outcome | None:
    for step in recovery.history(job_of(one), services):
        if step.who in tried.who and step.last_at >= tried.since and step.action in _RECOVERED:
            return done(_RECOVERED[Action(step.action)])
    return None


def _not_recovered(
    ids: Sequence[str], person: Person, services: Services, _options: Options
) -> Mapping[str, str]:
    steps = recovery.recover(services, dry_run=True, only=[job_of(one) for one in ids], person=person)
    there = {str(step.job_id): step for step in steps}
    refusals = {one: _refusal(there.get(str(job_of(one)))) for one in ids}
    return {one: why for one, why in refusals.items() if why}


def _refusal(step: Step | None) -> str:
    """Why recovery would leave a job as it is; empty where it would change it."""
    if step is None:
        return _GONE
    return "" if step.action in _RECOVERED else _said(step).sentence


def _not_purged(
    ids: Sequence[str], person: Person, services: Services, _options: Options
) -> Mapping[str, str]:
    preview = recovery.purge_preview([job_of(one) for one in ids], person, services)
    return {str(row.job_id): row.refusal for row in preview.rows if row.refusal is not None}


def _purge(one: str, person: Person, services: Services, options: Options) -> Outcome:
    [row] = recovery.purge([job_of(one)], person, services, why=options["why"])
    return refused(row.refusal) if row.refusal is not None else done(_PURGED)


_PURGED = "It failed with the code PURGED; its row stays."


def _found_purged(one: str, services: Services, tried: Tried) -> Outcome | None:
    with services.db.as_service() as conn:
        noted = rows.was_noted(
            conn, "job_purged", str(job_of(one)), who=tried.who, since=tried.since, why=tried.why
        )
    return done(_PURGED) if noted else None


def _refused_by_standing(
    refusal: Callable[[rows.Standing], str],
) -> Callable[[Sequence[str], Person, Services, Options], Mapping[str, str]]:
    """A preview out of where each job stands, by one question for all."""

    def preview(
        ids: Sequence[str], person: Person, services: Services, _options: Options
    ) -> Mapping[str, str]:
        with services.db.as_user(person) as conn:
            standing = rows.standing(conn, [job_of(one) for one in ids])
        found = {one: standing.get(job_of(one)) for one in ids}
        refusals = {one: refusal(job) if job is not None else _GONE for one, job in found.items()}
        return {one: why for one, why in refusals.items() if why}

    return preview


# -- cancel -----------------------------------------------------------------------------------------------------------

_CANCELLED = "It is cancelled; nothing was sent."
_STOPPING = "Its provider is asked to stop."


def _cancel(one: str, person: Person, services: Services, _options: Options) -> Outcome:
    job = _job(one, person, services)
    if job is None:
        return refused(_GONE)
    if job.status.is_final:
        return refused(f"It has ended already: {job.status}.")
    if job.cancel_requested:
        return refused("Its provider was asked to stop already.")
    status = generation.cancel(job.id, person, services)
    if status is JobStatus.cancelled:
        return done(_CANCELLED)
    return done(_STOPPING) if status is JobStatus.processing else refused(f"It has ended already: {status}.")


def _not_cancelled(job: rows.Standing) -> str:
    """Why cancelling leaves a job as it is; empty where it would not."""
    if job.status.is_final:
        return f"It has ended already: {job.status}."
    if job.runner != "studio":
        return "This picture is made by the platform, which cannot be asked to stop."
    return "Its provider was asked to stop already." if job.cancel_requested else ""


def _found_cancelled(one: str, services: Services, _tried: Tried) -> Outcome | None:
    with services.db.as_service() as conn:
        job = jobs.get(conn, job_of(one))
    if job is None or not job.cancel_requested:
        return None
    return done(_CANCELLED if job.status is JobStatus.cancelled else _STOPPING)


# -- try again, and with another model --------------------------------------------------------------------------------


def _retry(one: str, person: Person, services: Services, _options: Options) -> Outcome:
    return _ask_again(one, person, services, None)


def _another_model(one: str, person: Person, services: Services, options: Options) -> Outcome:
    return _ask_again(one, person, services, _model(options))


def _ask_again(one: str, person: Person, services: Services, model_id: ModelId | None) -> Outcome:
    """A new job. Its idempotency key is made of the old job and the model, so that neither a resumed action, nor a
    second action, nor a click beside it buys the same picture twice.
    """
    with services.db.as_service() as conn:
        rows.hold(conn, job_of(one))  # of two actions that come to this job at once, one waits here
        again = rows.asked_again(conn, job_of(one))
        if again:
            return refused(f"It was asked for again already: that is job {str(again[0].id)[:8]}.")
        made = generation.retry(job_of(one), person, services, model_id=model_id)
    if not made.created:
        return refused(f"It was asked for again already: that is job {str(made.job_id)[:8]}.")
    return done(_asked(made.job_id))


def _not_asked_again(job: rows.Standing) -> str:
    """Why asking again leaves a job as it is; empty where it would not."""
    if job.again is not None:
        return "It was asked for again already."
    if job.runner != "studio":
        return "This picture was not asked for here, so it cannot be asked for again."
    if job.is_attribute_image:
        return "This is an attribute image. Make it again under Attributes."
    if job.status not in {JobStatus.failed, JobStatus.cancelled}:
        return "This picture has not failed. Wait for it, or cancel it first."
    return ""


def _asked(job_id: UUID) -> str:
    return f"Asked for again: the new job is {str(job_id)[:8]}."


def _found_asked(one: str, services: Services, tried: Tried) -> Outcome | None:
    with services.db.as_service() as conn:
        again = rows.asked_again(conn, job_of(one))
    ours = [job for job in again if job.user_id in tried.who and job.created_at >= tried.since]
    return done(_asked(ours[0].id)) if ours else None


def _prices(ids: Sequence[str], model_id: ModelId | None, services: Services) -> Mapping[str, Decimal | None]:
    with services.db.as_service() as conn:
        found = rows.prices_again(conn, [job_of(one) for one in ids], model_id)
    return {one: found.get(job_of(one)) for one in ids}


def _prices_same(
    ids: Sequence[str], _person: Person, services: Services, _options: Options
) -> Mapping[str, Decimal | None]:
    return _prices(ids, None, services)


def _prices_other(
    ids: Sequence[str], _person: Person, services: Services, options: Options
) -> Mapping[str, Decimal | None]:
    return _prices(ids, _model(options), services)


def _model(options: Options) -> ModelId:
    try:
        return ModelId(UUID(options.get(MODEL, "")))
    except ValueError:
        raise BadRequest("Choose the model that is to be tried.", field=MODEL) from None


def _job(one: str, person: Person, services: Services) -> Job | None:
    with services.db.as_user(person) as conn:
        return jobs.get(conn, job_of(one))


RECOVER = Deed(
    kind="recover",
    title="Recover",
    noun="job",
    allowed=(authority.Action.recover_jobs,),
    check=check_jobs,
    act=_recover,
    found_done=_found_recovered,
    preview=_not_recovered,
)
PURGE = Deed(
    kind="purge",
    title="Purge",
    noun="job",
    allowed=(authority.Action.purge_jobs,),
    check=check_jobs,
    act=_purge,
    found_done=_found_purged,
    preview=_not_purged,
)
CANCEL = Deed(
    kind="cancel",
    title="Cancel",
    noun="job",
    allowed=(authority.Action.make_pictures, authority.Action.cancel_anybodys),
    check=check_jobs,
    act=_cancel,
    found_done=_found_cancelled,
    preview=_refused_by_standing(_not_cancelled),
)
RETRY = Deed(
    kind="retry",
    title="Try again",
    noun="job",
    allowed=(authority.Action.make_pictures,),
    check=check_jobs,
    act=_retry,
    found_done=_found_asked,
    preview=_refused_by_standing(_not_asked_again),
    prices=_prices_same,
)
ANOTHER_MODEL = Deed(
    kind="another_model",
    title="Try another model",
    noun="job",
    allowed=(authority.Action.make_pictures,),
    check=check_jobs,
    act=_another_model,
    found_done=_found_asked,
    preview=_refused_by_standing(_not_asked_again),
    prices=_prices_other,
)
