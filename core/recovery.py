"""When a job stuck: why, in a sentence, and what sets it right (SPEC "When things go wrong by themselves").

(a) a result exists → complete and save it; (b) a receipt exists → ask the provider; (c) never sent → back to
the queue; (d) sent without a receipt → outcome unknown; (e) the platform's job with neither → a person decides.
What its provider will delete first comes first.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from core import authority, callbacks, log, queue, running
from core.db import Connection, costs, jobs, recoveries, repeat_on_deadlock, submissions, suggestions
from core.db.recoveries import Case, Kind, Look, RecordedStep, Risk, RiskyResult, Sent
from core.errors import (
    BadImage,
    BadRequest,
    DatabaseUnavailable,
    NotAllowed,
    NotFound,
    ProviderRejected,
    ProviderUnreachable,
    ResultLost,
    StorageFailed,
    StudioError,
)
from core.services import Services
from core.values import (
    Asset,
    Finished,
    Job,
    JobId,
    JobStage,
    JobStatus,
    Person,
    Submission,
    provider_name,
)

BATCH = 500  # jobs that are looked at, and changed, together
AT_RISK_WITHIN = timedelta(minutes=15)
_LONGEST_WHY = 500  # characters of a person's reason
_REQUEST_NUMBER = re.compile(r"[A-Za-z0-9_-]{1,100}")
_SAMPLE = 5  # jobs a preview shows

_log = log.get(__name__)


class Action(StrEnum):
    """What recovery does with a job."""

    complete = "complete"  # (a)
    ask = "ask"  # (b)
    requeue = "requeue"  # (c)
    give_up = "give_up"  # (c), begun too often
    unknown = "unknown"  # (d)
    person = "person"  # (e), and all else that only a person can decide
    save = "save"  # completed, and not in the library
    match = "match"  # completed, and it names no character
    publish = "publish"  # an attribute image, completed and not published
    rescue = "rescue"  # no run waits for it, and its paid result may still come
    adopt = "adopt"  # (b), the receipt is one that the platform noted
    wait = "wait"  # what helps is queued already
    nothing = "nothing"  # nothing is wrong with it


_PASSIVE = frozenset({Action.person, Action.wait, Action.nothing})


@dataclass(frozen=True, kw_only=True)
class Step:
    """One job, why it is not moving, and what is (or would be) done. `deadline`: when its provider may delete the
    result; `is_done`: this look changed something.
    """

    job_id: JobId
    action: Action
    why: str
    deadline: datetime | None = None
    is_done: bool = False


@dataclass(frozen=True, kw_only=True)
class Around:
    """What a judgement needs beside the job. `providers`: the ones there is a key for, None where that is not known;
    `usual`: seconds of each model's last pictures, the shortest first.
    """

    now: datetime
    providers: Collection[str] | None = None
    usual: Mapping[UUID, Sequence[float]] = field(default_factory=dict[UUID, Sequence[float]])


# -- the judgement: pure ----------------------------------------------------------------------------------------------


def explain(job: Job, asset: Asset | None, submission: Submission | None) -> Step:
    """Why a job would not move if it stood still, and what would help; pure."""
    sent = None
    if submission is not None:
        sent = Sent(
            provider=submission.provider,
            submitted_at=submission.submitted_at,
            has_receipt=submission.ticket is not None,
            is_open=submission.is_open,
        )
    case = Case(job=job, is_stuck=True, has_asset=asset is not None, sent=sent)
    return judge(case, Around(now=datetime.now(UTC)))


def judge(case: Case, around: Around) -> Step:
    """What is the matter with a job, in one sentence, and what helps; pure."""
    if case.job.status.is_final:
        action, why = _ended(case, around)
    elif case.job.stage is JobStage.outcome_unknown:
        action, why = Action.unknown, _look_there(case.sent)
    elif not case.is_stuck:
        action, why = Action.nothing, "It is being made, or it waits for its turn; nothing is wrong with it."
    elif case.has_asset:
        why = f"Its picture is there, but the job was not completed{_silence(case, around)}."
        action = Action.complete
    elif case.sent is not None:
        action, why = _sent(case, case.sent, around)
    else:
        action, why = _never_sent(case, around)
    return Step(job_id=case.job.id, action=action, why=why, deadline=case.deadline)


def _ended(case: Case, around: Around) -> tuple[Action, str]:
    if case.job.status is JobStatus.completed:
        return _completed(case)
    word = case.job.status.value
    if case.has_asset:
        return (
            Action.complete,
            f"It was {word}, but its picture came all the same; it is completed and saved.",
        )
    sent = case.sent
    if sent is None or not sent.is_open or not sent.has_receipt:
        return Action.nothing, f"It {_ending(case.job)}, and nothing of it may still come."
    if not _is_set_up(sent.provider, around):
        return Action.person, _no_key(sent.provider)
    why = f"It {_ending(case.job)}, but its paid picture may still come; {_name(sent.provider)} is asked."
    return Action.rescue, why


def _completed(case: Case) -> tuple[Action, str]:
    if case.is_unsaved:
        return Action.save, "Its picture is there and not in the library; it is saved."
    if case.is_unmatched:
        why = "Its picture is there and a character bears its name or shows it; it is looked at which one it belongs to."
        return Action.match, why
    if case.is_unpublished:
        return Action.publish, "Its attribute image is there and not published; it is published."
    if case.is_in_library or case.job.stage is JobStage.saved:
        return Action.nothing, "It is completed, and its picture is where it belongs."
    if not case.has_asset:
        why = "It is completed and no result of it is listed; look whether its picture is in the store."
        return Action.person, why
    return _kept_back(case)


def _kept_back(case: Case) -> tuple[Action, str]:
    """Completed, its result there, not in the library, and nothing that this look could mend."""
    if case.job.stage is JobStage.not_saved:
        why = (
            "Its picture was kept out of the library for a reason that stands under the findings; QA decides."
        )
        return Action.person, why
    if case.is_asked_of_qa:
        why = "Its name belongs to several characters, or to one that is older than the picture; QA decides which."
        return Action.person, why
    if case.job.character_id is None:
        return Action.nothing, "No character bears its name yet; its picture is kept until one does."
    return Action.wait, "Its picture is on its way into the library, or was removed from there on purpose."


def _sent(case: Case, sent: Sent, around: Around) -> tuple[Action, str]:
    name, silent = _name(sent.provider), _silence(case, around)
    if not sent.has_receipt and sent.is_open:
        return (
            Action.unknown,
            f"It was sent to {name} and no receipt came back{silent}; nothing is sent again.",
        )
    if case.job.runner != "studio":
        return _platform_sent(sent, around, silent)
    if case.entry is not None:
        return (
            Action.wait,
            f"It was sent to {name}{_compared(case, sent, around)}; {_who_holds(case.entry)}{silent}.",
        )
    if not _is_set_up(sent.provider, around):
        return Action.person, _no_key(sent.provider)
    if not sent.is_open:
        return Action.ask, f"{name} ended its request, but the job does not say so{silent}; it is ended too."
    return (
        Action.ask,
        f"It was sent to {name}{_compared(case, sent, around)}, and nobody waits for it{silent}; the provider is asked.",
    )


def _platform_sent(sent: Sent, around: Around, silent: str) -> tuple[Action, str]:
    name = _name(sent.provider)
    if not sent.is_open:
        return (
            Action.person,
            f"The platform's job stands still{silent}, and {name} has no picture of it; a person decides.",
        )
    if not _is_set_up(sent.provider, around):
        return Action.person, _no_key(sent.provider)
    return (
        Action.rescue,
        f"The platform sent it to {name} and stopped waiting{silent}; {name} is asked for the picture.",
    )


def _never_sent(case: Case, around: Around) -> tuple[Action, str]:
    job, silent = case.job, _silence(case, around)
    if job.runner != "studio":
        return _platform_never_sent(case, around, silent)
    if case.entry == "picked":
        return Action.wait, f"It was not sent yet; {_who_holds(case.entry)}{silent}."
    if job.attempts >= running.MOST_RUNS:
        return Action.give_up, f"It was begun {job.attempts} times and never sent{silent}; it is given up."
    if not job.provider:
        return Action.person, "It names no provider, so nobody can make it; a person decides."
    return Action.requeue, f"It was never sent{silent}; it goes back to the queue."


def _platform_never_sent(case: Case, around: Around, silent: str) -> tuple[Action, str]:
    if case.has_platform_request and case.request_owner is not None:
        why = f"The platform's job stands still{silent}, and its request belongs to job {case.request_owner}; a person decides."
        return Action.person, why
    if case.has_platform_request and _is_set_up("fal", around):
        why = f"The platform's job stands still{silent}, and it noted its request; fal is asked for the picture."
        return Action.adopt, why
    why = f"The platform's job stands still{silent}, without a result or a receipt; a person decides."
    return Action.person, why


def _who_holds(entry: str) -> str:
    if entry == "picked":
        return "a worker holds it, and when that worker is gone the queue hands it on"
    return "it waits in the queue for a worker"


def _silence(case: Case, around: Around) -> str:
    job = case.job
    since = job.heartbeat_at or job.started_at or job.created_at
    seconds = (around.now - since).total_seconds()
    if seconds < 60:  # noqa: PLR2004 — a minute
        return ""
    if job.runner == "studio" and job.heartbeat_at is not None:
        return f" (worker gone {_ago(seconds)})"
    return f" (silent for {_ago(seconds)})"


def _compared(case: Case, sent: Sent, around: Around) -> str:
    """How long ago it was sent, beside what this model usually takes."""
    seconds = (around.now - sent.submitted_at).total_seconds()
    usual = around.usual.get(case.job.model_id, ()) if case.job.model_id else ()
    if not usual:
        return ""
    shorter = 100 * bisect_left(usual, seconds) // len(usual)
    if shorter == 100:  # noqa: PLR2004 — per cent
        return f" {_ago(seconds)} ago, longer than any of this model's last {len(usual)} pictures took"
    return f" {_ago(seconds)} ago, at the {_ordinal(shorter)} percentile of this model's usual time"


def _ago(seconds: float) -> str:
    """A length of time as people say it: 40 s, 12 min, 5 h, 3 days."""
    for least, unit, word in ((2 * 86400, 86400, "days"), (2 * 3600, 3600, "h"), (60, 60, "min")):
        if seconds >= least:
            return f"{seconds / unit:.0f} {word}"
    return f"{max(seconds, 0):.0f} s"


def _ordinal(number: int) -> str:
    teens = 10 < number % 100 < 20  # noqa: PLR2004 — 11th to 19th
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _ending(job: Job) -> str:
    if job.status is JobStatus.cancelled:
        return "was cancelled"
    return f"failed ({job.error_code})" if job.error_code else "failed"


def _look_there(sent: Sent | None) -> str:
    if sent is None:
        return "Its outcome is unknown; look for it at the provider, then settle it."
    return (
        f"Sent to {sent.provider} at {sent.submitted_at:%Y-%m-%d %H:%M:%S} UTC without a receipt; look there."
    )


def _is_set_up(provider: str, around: Around) -> bool:
    return around.providers is None or provider in around.providers


def _no_key(provider: str) -> str:
    name = _name(provider)
    return f"Its paid picture is at {name}, which has no key here any more; an admin must set one, so that it can be asked."


def _name(provider: str) -> str:
    return provider_name(provider)


# -- the looks --------------------------------------------------------------------------------------------------------


def recover(
    services: Services,
    *,
    dry_run: bool = False,
    only: Sequence[JobId] | None = None,
    person: Person | None = None,
) -> list[Step]:
    """Set right what can be set right without a person; `dry_run` only says what would be done.

    `only` looks at these jobs and answers for each that is there, healthy ones included. `person` is who asked for it,
    None the schedule; it is recorded with each step that changed something.
    Safe to run at any time and from several processes: each step checks again under the job's row lock. Raises
    NotAllowed (a person needs qa or admin).
    """
    if only is None:
        return [step for steps in walk(services, dry_run=dry_run, person=person) for step in steps]
    _permit_recovery(person)
    wanted = list(dict.fromkeys(only))
    found: list[Step] = []
    for batch in _batches(wanted):
        steps = sorted(
            _judged(batch, services), key=lambda step: step.deadline or datetime.max.replace(tzinfo=UTC)
        )
        found += steps if dry_run else _carry_out(steps, services, person)
    return found


def walk(
    services: Services, *, dry_run: bool = False, person: Person | None = None
) -> Iterator[Sequence[Step]]:
    """As `recover` over everything, a batch at a time: what is behind is not kept, whatever the number of jobs."""
    _permit_recovery(person)
    for kind in Kind:
        after = None
        while keys := _page(kind, after, services):
            steps = _judged([JobId(key.id) for key in keys], services)
            yield steps if dry_run else _carry_out(steps, services, person)
            after = keys[-1]
    if not dry_run:
        _tidy(services)


def _permit_recovery(person: Person | None) -> None:
    if person is not None:
        authority.permit(person, authority.Action.recover_jobs)


def look(services: Services) -> Look:
    """What counts as stuck in this installation."""
    return Look(
        silent_for=services.settings.stuck_after,
        platform_delay=services.settings.autosave_delay,
        result_seconds=services.catalog.result_seconds,
    )


def _page(kind: Kind, after: recoveries.Key | None, services: Services) -> list[recoveries.Key]:
    with services.db.as_service() as conn:
        return recoveries.page(conn, kind, look(services), after=after, limit=BATCH)


def _judged(job_ids: Sequence[JobId], services: Services) -> list[Step]:
    with services.db.as_service() as conn:
        cases = recoveries.cases(conn, job_ids, look(services))
        usual = _usual(conn, cases)
    return _judge_all(cases, usual, services)


def explained(conn: Connection, job_ids: Sequence[JobId], services: Services) -> list[Step]:
    """Why these jobs are not moving and what recovery would do, in their order, as the person of this connection may
    know it; changes nothing. Those that are gone are left out.
    """
    cases = recoveries.cases_shown(conn, job_ids, look(services))
    return _judge_all(cases, _usual(conn, cases), services)


def _usual(conn: Connection, cases: Sequence[Case]) -> Mapping[UUID, Sequence[float]]:
    models = {case.job.model_id for case in cases if case.sent is not None and case.job.model_id}
    return recoveries.usual_seconds(conn, list(models))


def _judge_all(
    cases: Sequence[Case], usual: Mapping[UUID, Sequence[float]], services: Services
) -> list[Step]:
    around = Around(now=datetime.now(UTC), providers=services.providers.keys(), usual=usual)
    return [judge(case, around) for case in cases]


def _batches(job_ids: Sequence[JobId]) -> Iterator[Sequence[JobId]]:
    for start in range(0, len(job_ids), BATCH):
        yield job_ids[start : start + BATCH]


# -- the deeds --------------------------------------------------------------------------------------------------------


def _carry_out(steps: Sequence[Step], services: Services, person: Person | None) -> list[Step]:
    """Do what the steps say, those of one kind together; which of them changed something."""
    done: set[JobId] = set()
    for action in Action:
        same = [step for step in steps if step.action is action]
        if same:
            done |= _do(action, same, services, person)
    return [replace(step, is_done=True) if step.job_id in done else step for step in steps]


def _do(action: Action, steps: Sequence[Step], services: Services, person: Person | None) -> set[JobId]:
    """All at once; one after the other where that fails, so that a step that fails, even by a bug, stops no other."""
    try:
        return _together(action, steps, services, person)
    except DatabaseUnavailable:
        raise  # for each of them it would be waited again
    except Exception as error:  # noqa: BLE001
        if len(steps) > 1:
            return set[JobId]().union(*(_do(action, [step], services, person) for step in steps))
        _say_failed(steps[0], error)
        return set()


def _say_failed(step: Step, error: Exception) -> None:
    if isinstance(error, StudioError):
        _log.warning("recovery_step_failed", job_id=str(step.job_id), action=step.action, code=error.reason)
    else:
        _log.exception("recovery_step_broke", job_id=str(step.job_id), action=step.action)


def _together(action: Action, steps: Sequence[Step], services: Services, person: Person | None) -> set[JobId]:
    """One transaction: the deed on every job, and the record of those it changed. What is left to a person is recorded
    once, however often it is seen.
    """
    if action in {Action.wait, Action.nothing}:
        return set()

    def act() -> set[JobId]:
        with services.db.as_service() as conn:
            job_ids = [step.job_id for step in steps]
            if action is Action.person:
                changed = set(job_ids)
            else:
                recoveries.lock(conn, job_ids)
                changed = set(_DEEDS[action](conn, job_ids))
            made = [(step.job_id, step.action.value, step.why) for step in steps if step.job_id in changed]
            if made:
                who = person.id if person else None
                recoveries.record(conn, made, who=who, again=action not in _PASSIVE)
        return set() if action is Action.person else changed

    done = repeat_on_deadlock(act)
    for job_id in done:
        _log.info("recovery_step", job_id=str(job_id), action=action)
    return done


def _give_up(conn: Connection, job_ids: Sequence[JobId]) -> Collection[JobId]:
    words = "This picture was begun three times and never got as far as its provider. Tell an admin."
    return recoveries.give_up(conn, job_ids, code="STUCK", words=words, most_runs=running.MOST_RUNS)


def _unknown(conn: Connection, job_ids: Sequence[JobId]) -> Collection[JobId]:
    return recoveries.mark_unknown(conn, job_ids, words=running.UNKNOWN_WORDS)


# Asking can take a minute where a provider hangs: it is work for the queue, not for this look.
_DEEDS: Mapping[Action, Callable[[Connection, Sequence[JobId]], Collection[JobId]]] = {
    Action.complete: recoveries.complete,
    Action.ask: queue.put_jobs,
    Action.requeue: recoveries.requeue,
    Action.give_up: _give_up,
    Action.unknown: _unknown,
    Action.save: queue.put_autosaves,
    Action.match: queue.put_matches,
    Action.publish: queue.put_publishes,
    Action.rescue: queue.put_rescues,
    Action.adopt: recoveries.adopt_requests,
}


def _tidy(services: Services) -> None:
    with services.db.as_service() as conn:
        costs.close_never_sent(conn)
        for suggestion_id in suggestions.settle_lost(conn):
            costs.record(conn, JobId(suggestion_id), 1, "computed", None, note="lost")
        suggestions.forget_answers(conn)
        queue.clear_held(conn)


def rescue(job_id: JobId, services: Services) -> None:
    """Ask once about a paid result that no run waits for; keep what comes, settle what cannot."""
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
            running.settle(conn, job, submission, error, services, last_look=True)
    except (ProviderUnreachable, StorageFailed) as error:
        _log.info("rescue_put_off", job_id=str(job_id), code=error.reason)


# -- what a person sees and decides -----------------------------------------------------------------------------------


def at_risk(services: Services, *, within: timedelta = AT_RISK_WITHIN) -> Risk:
    """How many paid results are not with us yet and may be deleted `within` that time, and the nearest deadline."""
    with services.db.as_service() as conn:
        return recoveries.at_risk(conn, within=within, result_seconds=services.catalog.result_seconds)


def results_at_risk(services: Services, *, within: timedelta = AT_RISK_WITHIN) -> list[RiskyResult]:
    """At most 200 of the results that `at_risk` counts, the nearest deadline first."""
    with services.db.as_service() as conn:
        return recoveries.risky_results(conn, within=within, result_seconds=services.catalog.result_seconds)


def missing(job_ids: Sequence[JobId], services: Services) -> list[JobId]:
    """Which of these jobs are not there, in their order."""
    with services.db.as_service() as conn:
        there = recoveries.there(conn, job_ids)
    return [job_id for job_id in job_ids if job_id not in there]


def history(job_id: JobId, services: Services) -> list[RecordedStep]:
    """What recovery did with a job, why, when and for whom, the latest first."""
    with services.db.as_service() as conn:
        return recoveries.recorded(conn, job_id)


def settle_unknown(
    job_id: JobId, person: Person, services: Services, *, billed: bool | None, why: str
) -> None:
    """A person has looked at the provider and ends an outcome unknown (SPEC "Failure").

    `billed`: whether it was charged there, None where that could not be found out. The job fails in words and may be
    tried again; a receipt that comes later still counts. Raises NotAllowed (needs qa), NotFound, BadRequest (why), Conflict
    `BEING_SENT`.
    """
    authority.permit(person, authority.Action.settle_outcomes)
    with services.db.as_user(person) as conn:
        jobs.settle_unknown(conn, job_id, billed=billed, why=why)


def settle_found(job_id: JobId, person: Person, services: Services, *, request_id: str, why: str) -> None:
    """A person found the request of an unknown outcome at its provider: its receipt is kept, and the job goes on.

    The provider is asked whether it knows the number. Raises NotAllowed (needs qa), NotFound, BadRequest (why,
    request_id), Conflict `BEING_SENT`, ProviderUnreachable.
    """
    authority.permit(person, authority.Action.settle_outcomes)
    number = request_id.strip()
    with services.db.as_service() as conn:
        submission = submissions.current(conn, job_id)
    if submission is None or submission.ticket is not None:
        raise NotFound("This job has no unknown outcome.")
    if not _REQUEST_NUMBER.fullmatch(number) or not callbacks.is_known_there(number, submission, services):
        raise BadRequest(
            f"{_name(submission.provider)} knows no request of this number, or it belongs to another job. Look once more.",
            field="request_id",
        )
    with services.db.as_user(person) as conn:
        jobs.note_found(conn, job_id, request_id=number, why=why)
    callbacks.bring_receipt(number, submission, services)


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


@dataclass(frozen=True, kw_only=True)
class PurgeRow:
    """One job of a purge: `refusal` says why it is not purged, None where it is (or, in a preview, would be)."""

    job_id: JobId
    refusal: str | None

    @property
    def is_refused(self) -> bool:
        """True where the job stays as it is."""
        return self.refusal is not None


@dataclass(frozen=True, kw_only=True)
class PurgePreview:
    """What purging would do: every job asked about, and a few of those that would be purged to look at."""

    rows: Sequence[PurgeRow]
    sample: Sequence[Job]

    @property
    def count(self) -> int:
        """How many would be purged."""
        return sum(not row.is_refused for row in self.rows)

    @property
    def refused(self) -> list[PurgeRow]:
        """Those that would stay as they are, each with its reason."""
        return [row for row in self.rows if row.is_refused]


def purge_preview(job_ids: Sequence[JobId], person: Person, services: Services) -> PurgePreview:
    """What `purge` would do with these jobs, and nothing done. Raises NotAllowed (needs qa or admin)."""
    authority.permit(person, authority.Action.purge_jobs)
    rows: list[PurgeRow] = []
    for batch in _batches(list(dict.fromkeys(job_ids))):
        with services.db.as_user(person) as conn:
            rows += [
                PurgeRow(job_id=job_id, refusal=why) for job_id, why in recoveries.purge_preview(conn, batch)
            ]
    first = [row.job_id for row in rows if not row.is_refused][:_SAMPLE]
    with services.db.as_user(person) as conn:
        sample = [job for job_id in first if (job := jobs.get(conn, job_id)) is not None]
    return PurgePreview(rows=rows, sample=sample)


def purge(job_ids: Sequence[JobId], person: Person, services: Services, *, why: str) -> list[PurgeRow]:
    """End jobs of which nothing came, as failed with code PURGED (SPEC "Purge"): a person's decision, with a reason.

    Each row by itself: one that is refused or cannot be changed says why, and the others stand. No row is deleted.
    Raises NotAllowed (needs qa or admin), BadRequest (a reason of 1 to 500 characters).
    """
    authority.permit(person, authority.Action.purge_jobs)
    if not 0 < len(why.strip()) <= _LONGEST_WHY:
        raise BadRequest(
            f"Say in a few words why these jobs are purged, in at most {_LONGEST_WHY} characters.",
            field="why",
        )
    authority.permit(person, authority.Action.purge_jobs)
    rows: list[PurgeRow] = []
    for batch in _batches(list(dict.fromkeys(job_ids))):
        rows += _purge_batch(batch, person, services, why.strip())
    _log.info("jobs_purged", purged=sum(not row.is_refused for row in rows), asked=len(rows))
    return rows


def _purge_batch(batch: Sequence[JobId], person: Person, services: Services, why: str) -> list[PurgeRow]:
    def act() -> list[tuple[JobId, str | None]]:
        with services.db.as_user(person) as conn:
            return recoveries.purge(conn, batch, why)

    try:
        answers = repeat_on_deadlock(act)
    except (NotAllowed, BadRequest):
        raise
    except StudioError as error:  # what was purged before stays purged, and is said
        answers = [(job_id, error.sentence) for job_id in batch]
    return [PurgeRow(job_id=job_id, refusal=refusal) for job_id, refusal in answers]
