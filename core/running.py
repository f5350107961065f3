"""One run of one job, from its claim to the auto-save entry (DESIGN "The way of a portrait").

Safe to call again after a crash at any line, from any worker. State changes carry the lease of the run; evidence
(a receipt, a result) is kept from any run. Each step below is one transaction or one call to the outside.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from core import billing, images, log, queue, references
from core.db import Connection, assets, costs, jobs, models, repeat_on_deadlock, submissions
from core.errors import (
    BadImage,
    BadRequest,
    DatabaseUnavailable,
    LeaseLost,
    NoSuchModel,
    ObjectMissing,
    OutcomeUnknown,
    ProviderBusy,
    ProviderRejected,
    ProviderUnreachable,
    ResultLost,
    SetupFailed,
    StorageFailed,
    StudioError,
)
from core.providers import CancelAnswer, Provider
from core.providers.webhooks import ReportsBack
from core.services import Services
from core.storage import WORKSPACE
from core.values import (
    Finished,
    ImageModel,
    Job,
    JobId,
    JobStage,
    JobStatus,
    Order,
    PersonId,
    Picture,
    ReferencePicture,
    Running,
    Size,
    Submission,
    Ticket,
    provider_name,
)

MOST_RUNS = 3  # runs that begin and never send, before we give up (SPEC "Stuck")
UNKNOWN_WORDS = (  # with one place, for the provider's name
    "The request may have reached %s, but its answer was lost. It is not sent again, "
    "so that nothing is paid twice. QA looks the outcome up."
)
MOST_REFUSALS = 8  # times a provider may say "busy" to one job
_PATIENCE = 300.0  # seconds a receipt or a refusal is held while the database is away
_PUT_OFF_DELAY = 5.0
_PAUSE = 900.0  # seconds a provider rests after a bad key or an empty balance
_FETCHES = 3
_LONGEST_BUSY = 120.0
_PAUSED_DELAY = 60.0
_LOOK_UP = 0.2  # seconds after which a resting run sees that its worker leaves
CALLBACK = "callback"  # what the seal of a webhook's address is for

T = TypeVar("T")
_log = log.get(__name__)


class AskAgain(Exception):
    """Not a failure: this run ends here, and the queue calls again after `delay` seconds."""

    def __init__(self, delay: float) -> None:
        super().__init__("later")
        self.delay = delay


class TooSlow(StudioError):
    """The provider took longer than GIVE_UP_AFTER; its result is still watched for."""

    code = "TIMED_OUT"
    status = 504


def run(job_id: JobId, services: Services) -> None:
    """Carry one job as far as it goes. Raises AskAgain where the queue is to call again later.

    Expected failures end on the job row; a bug is recorded there as INTERNAL and raised on.
    """
    begun = _claim(job_id, services)
    if begun is None:
        return
    job = begun.job
    with log.bind_job(job.id, keep_out=(job.prompt,)):
        try:
            _carry(begun, services)
        except AskAgain:
            raise
        except LeaseLost:
            _log.info("run_gave_way", lease=job.lease)
        except StudioError as error:
            if _passes(error):
                _log.warning("run_put_off", code=error.reason)
                raise AskAgain(_PUT_OFF_DELAY) from error
            fail(job, error, services)
        except Exception:
            fail(
                job,
                StudioError(
                    "The studio made a mistake with this picture. Try again, or tell an admin.",
                    code="INTERNAL",
                ),
                services,
            )
            raise


def _passes(error: StudioError) -> bool:
    """Whether the same run can go well a moment later: what we stand on was away, or another writer was in the way."""
    return isinstance(error, StorageFailed | DatabaseUnavailable) or error.reason == "COLLISION"


@dataclass(frozen=True, kw_only=True)
class _Begun:
    """A claimed job and what its run needs to know, read in the same transaction."""

    job: Job
    submission: Submission | None
    model: ImageModel | None
    is_paused: bool
    usual_seconds: float | None  # the model's recent median


def _carry(begun: _Begun, services: Services) -> None:
    job, submission = begun.job, begun.submission
    if submission is None:
        submission = _send(begun, services)
    if submission is None:
        return
    if not submission.is_open:
        raise ProviderRejected("The provider ended this request without a picture. Try again.")
    if submission.ticket is None:
        submission = say_unknown(job, services)
    if submission is None or submission.ticket is None:
        return
    finished = _wait(begun, submission, submission.ticket, services)
    picture = take_in(job, submission, finished, services)
    finish(job, submission, finished, picture, services)


# -- claim, intent, send, receipt ------------------------------------------------------------------------------


def _claim(job_id: JobId, services: Services) -> _Begun | None:
    """T1b."""
    with services.db.as_service() as conn:
        job = jobs.claim(conn, job_id)
        if job is None:
            return None
        usual = jobs.usual_seconds(conn, [job.model_id]) if job.model_id else {}
        return _Begun(
            job=job,
            submission=submissions.current(conn, job.id),
            model=models.get(conn, job.model_id) if job.model_id else None,
            is_paused=job.provider in models.pauses(conn),
            usual_seconds=usual.get(job.model_id) if job.model_id else None,
        )


def _send(begun: _Begun, services: Services) -> Submission | None:
    """Note the intent, send the paid request once, keep its receipt; None where there is nothing to wait for."""
    job = begun.job
    provider, model = _ready(begun, services)
    order = _order_or_later(job, model, services)
    submission = _begin(job, model, services)
    if submission is None:
        _stop_before_sending(job, services)
        return None
    order = replace(order, callback_url=callback_url(submission, provider, services))
    try:
        ticket = _submit(provider, order, model)
    except ProviderBusy as error:
        is_last = submission.attempt >= MOST_REFUSALS
        _not_accepted(job, submission, services, again=not is_last)
        if is_last:
            raise
        raise AskAgain(_busy_delay(error, submission.attempt)) from error
    except SetupFailed:
        # An adapter raises it before anything leaves.
        _not_accepted(job, submission, services, again=False)
        raise
    except ProviderRejected:
        raise
    except OutcomeUnknown:
        return say_unknown(job, services)
    except Exception:  # noqa: BLE001
        # A bug, after the request may have left: the bug is logged whole, and nothing is ever sent again.
        _log.exception("submit_broke", provider=job.provider)
        return say_unknown(job, services)
    return _keep_receipt(job, submission, ticket, services)


def _ready(begun: _Begun, services: Services) -> tuple[Provider, ImageModel]:
    """The provider and the model, where this job may be sent to them now."""
    job = begun.job
    if begun.model is None:
        raise NoSuchModel("The model of this picture was removed meanwhile. Choose another one.")
    provider = services.providers.get(job.provider)
    if provider is None:
        raise NoSuchModel(f"{provider_name(job.provider)} is no longer set up here. Choose another model.")
    if job.attempts > MOST_RUNS:
        # An entry that kills its worker comes back for ever.
        raise StudioError(
            "This picture was begun three times and never got as far as its provider. Tell an admin.",
            code="STUCK",
        )
    if begun.is_paused and not job.cancel_requested:
        with services.db.as_service() as conn:
            jobs.put_off(conn, job)
        raise AskAgain(_PAUSED_DELAY)
    return provider, begun.model


def _submit(provider: Provider, order: Order, model: ImageModel) -> Ticket:
    return provider.submit(order, model)


def _order_or_later(job: Job, model: ImageModel, services: Services) -> Order:
    """The order; a storage that does not answer now is asked again, a reference that is gone is final."""
    try:
        return _order(job, model, services)
    except ObjectMissing as error:
        raise BadRequest(
            "The reference picture is not stored any more. Choose another one.", code="REFERENCE_MISSING"
        ) from error
    except StorageFailed as error:
        with services.db.as_service() as conn:
            jobs.put_off(conn, job)
        raise AskAgain(_PUT_OFF_DELAY) from error


def _order(job: Job, model: ImageModel, services: Services) -> Order:
    """The order as it was agreed when it was asked; a rerun reads the same from the row."""
    said: Mapping[str, Any] = job.metadata
    reference = said.get("reference_image_url")
    return Order(
        prompt=job.prompt,
        negative=str(said.get("negative") or ""),
        size=Size(width=int(said.get("width", 1024)), height=int(said.get("height", 1024))),
        seed=int(said["seed"]) if said.get("seed") else None,
        references=(_reference(str(reference), services),) if reference else (),
        safety_checker=bool(said.get("safety_checker", True)),
        input_defaults=model.input_defaults,
    )


def _reference(address: str, services: Services) -> ReferencePicture:
    bucket, _, path = address.partition("/")
    data = services.storage.get(bucket, path)
    try:
        picture = images.read_picture(data)
    except BadImage as exc:
        raise BadRequest(
            "The reference picture cannot be read any more. Choose another one.", code="REFERENCE_BROKEN"
        ) from exc
    return ReferencePicture(
        data=data,
        media_type=picture.media_type,
        width=picture.width,
        height=picture.height,
        link=references.outside_link((bucket, path), services),
    )


def _begin(job: Job, model: ImageModel, services: Services) -> Submission | None:
    with services.db.as_service() as conn:
        jobs.beat(conn, job, stage=JobStage.sending)
        return submissions.begin(conn, job, provider=job.provider, model_key=model.model_key)


def callback_url(submission: Submission, provider: Provider, services: Services) -> str | None:
    """Where the provider may tell the end of this request; None without PUBLIC_URL, or where it cannot call there.

    Its token names the submission and is sealed by us: a webhook finds its request by it when no receipt came.
    """
    public = (services.settings.public_url or "").rstrip("/")
    if not isinstance(provider, ReportsBack) or not provider.can_call(public):
        return None
    token = f"{submission.id}.{services.links.seal(CALLBACK, str(submission.id))}"
    return f"{public}/callbacks/{submission.provider}?token={token}"


def _stop_before_sending(job: Job, services: Services) -> None:
    """The intent was refused: cancelled, or another run was here."""
    with services.db.as_service() as conn:
        now = jobs.lock(conn, job.id)
        if now and now.cancel_requested and submissions.current(conn, job.id) is None:
            costs.never_sent(conn, job.id)
            jobs.end(conn, job, JobStatus.cancelled)


def _not_accepted(job: Job, submission: Submission, services: Services, *, again: bool) -> None:
    """Certain knowledge, and worth waiting for the database: without it the job would be an outcome unknown.

    `again`: it is sent once more later, so its next attempt holds its estimate from now on.
    """

    def store() -> None:
        with services.db.as_service() as conn:
            submissions.settle(conn, submission.id, "not_accepted", by="worker")
            costs.record(conn, job.id, submission.attempt, "computed", Decimal(0), note="not accepted")
            if again:
                costs.hold_next(conn, job.id, submission.attempt + 1)
                jobs.put_off(conn, job)

    _patiently(store, _PATIENCE)


def _busy_delay(error: ProviderBusy, attempt: int) -> float:
    """What the provider asked for, within reason; else longer each time."""
    asked = error.retry_after if error.retry_after is not None else 2.0 * 2 ** (attempt - 1)
    return min(max(asked, 0.1), _LONGEST_BUSY)


def _keep_receipt(job: Job, submission: Submission, ticket: Ticket, services: Services) -> Submission:
    """T3. A receipt is money: it is stored as soon as the database can be reached, and by any run."""

    def store() -> Submission:
        with services.db.as_service() as conn:
            keep_receipt(conn, submission, ticket)
            kept = submissions.current(conn, job.id)
        if kept is None:
            raise LeaseLost("Another run took this job over.")
        return kept

    try:
        return _patiently(store, _PATIENCE)
    except DatabaseUnavailable:
        # The last place where this receipt stands: with it a person can look the picture up at the provider.
        _log.error("receipt_not_stored", provider=job.provider, request_id=ticket.request_id)
        raise


def keep_receipt(conn: Connection, submission: Submission, ticket: Ticket) -> bool:
    """Store a receipt where there is none, whoever brings it, and let a job whose outcome was unknown go on.

    True where it was stored now. Locks the job row first, as everything does that writes both.
    """
    job = jobs.lock(conn, submission.job_id)
    kept = submissions.keep_receipt(conn, submission.id, ticket)
    if job is not None and job.stage is JobStage.outcome_unknown:
        jobs.clear_unknown(conn, job.id)
        queue.put_job(conn, job.id, submission.provider)
    return kept


def _patiently(work: Callable[[], T], patience: float) -> T:
    """Do `work` again while the database is away, for `patience` seconds."""
    ends = time.monotonic() + patience
    while True:
        try:
            return work()
        except DatabaseUnavailable:
            if time.monotonic() > ends:
                raise
            time.sleep(0.5)


def say_unknown(job: Job, services: Services) -> Submission | None:
    """Sent, and no receipt: the job says so, keeps its budget, and is never sent again (SPEC "Failure").

    The request comes back where its receipt is there after all: a webhook can be faster than the answer.
    """
    words = UNKNOWN_WORDS % provider_name(job.provider)
    with services.db.as_service() as conn:
        jobs.lock(conn, job.id)
        known = submissions.current(conn, job.id)
        if known is not None and known.ticket is not None:
            return known
        said = jobs.mark_unknown(conn, job, words)
    _log.warning("outcome_unknown", provider=job.provider, said=said)
    return None


# -- wait ---------------------------------------------------------------------------------------------------------


def _wait(begun: _Begun, submission: Submission, ticket: Ticket, services: Services) -> Finished:
    """Ask until the provider is done. Progress and cancellation go through the job row each time."""
    job = begun.job
    provider = services.providers.get(job.provider)
    if provider is None:
        raise AskAgain(
            _PAUSED_DELAY
        )  # no key here any more; another worker may have one, or an admin puts it back
    deadline = submission.submitted_at + timedelta(seconds=services.settings.give_up_after)
    pace = _Pace(
        services.settings.poll_every,
        begun.usual_seconds,
        submission.submitted_at,
        is_told=callback_url(submission, provider, services) is not None,
    )
    asked_to_stop = False
    with services.events.called_back(job.id) as called:
        while True:
            state = _poll(provider, ticket)
            if isinstance(state, Finished):
                return state
            if datetime.now(UTC) > deadline:
                raise _too_slow(provider, ticket, services)
            cancelled = _beat(job, state, services)
            if cancelled and not asked_to_stop:
                asked_to_stop = _ask_to_stop(job, submission, provider, ticket, services)
            if _rest(pace.next(), called, services.stopping):
                raise AskAgain(0.0)  # this worker leaves; the next one goes on from the receipt


def _rest(seconds: float, called: threading.Event, stopping: threading.Event) -> bool:
    """Wait until the next question is due or a webhook came; True where this worker leaves."""
    ends = time.monotonic() + seconds
    while not stopping.is_set():
        left = ends - time.monotonic()
        if left <= 0 or called.wait(min(left, _LOOK_UP)):
            called.clear()
            return False
    return True


class _Pace:
    """How long to wait between two questions: short at first, then POLL_EVERY, closer where the model usually ends.

    Where a webhook will tell the end (`is_told`) there is no hurry: POLL_EVERY all the time, in case none comes.
    """

    def __init__(self, every: float, usual: float | None, since: datetime, *, is_told: bool = False) -> None:
        self._every = every
        self._usual = None if is_told else usual
        self._since = since
        self._pause = every if is_told else min(0.05, every)

    def next(self) -> float:
        pause = self._pause
        self._pause = min(self._pause * 1.6, self._every)
        if self._usual is None:
            return pause
        elapsed = (datetime.now(UTC) - self._since).total_seconds()
        near = elapsed > 0.8 * self._usual
        return min(pause, 0.2) if near else min(pause, max(0.8 * self._usual - elapsed, 0.05))


def _poll(provider: Provider, ticket: Ticket) -> Running | Finished | None:
    """None where the question got no answer: asked again, until the deadline."""
    try:
        return provider.poll(ticket)
    except ProviderUnreachable as error:
        _log.warning("poll_unanswered", code=error.reason)
        return None


def _beat(job: Job, state: Running | None, services: Services) -> bool:
    if state is None:
        return _still_ours(job, services)
    with services.db.as_service() as conn:
        return jobs.beat(
            conn, job, stage=state.stage, progress=state.fraction, queue_position=state.queue_position
        )


def _still_ours(job: Job, services: Services) -> bool:
    """A heartbeat that keeps the stage and progress last seen; returns whether a cancellation was asked."""
    with services.db.as_service() as conn:
        now = jobs.get(conn, job.id)
        if now is None:
            raise LeaseLost("This job is gone.")
        return jobs.beat(
            conn,
            job,
            stage=now.stage or JobStage.drawing,
            progress=now.progress,
            queue_position=now.queue_position,
        )


def _ask_to_stop(
    job: Job, submission: Submission, provider: Provider, ticket: Ticket, services: Services
) -> bool:
    """Pass a person's cancellation on; False where the provider did not hear it.

    Only where it surely stops does the job end here.
    """
    try:
        answer = provider.cancel(ticket)
    except ProviderUnreachable as error:
        _log.warning("cancel_unanswered", code=error.reason)
        return False
    _log.info("cancel_asked", answer=answer)
    if answer is CancelAnswer.stopped:
        with services.db.as_service() as conn:
            submissions.settle(conn, submission.id, "cancelled", by="worker")
            costs.record(conn, job.id, submission.attempt, "computed", Decimal(0), note="stopped in time")
            jobs.end(conn, job, JobStatus.cancelled)
        raise LeaseLost("The job was cancelled.")
    return True


def _too_slow(provider: Provider, ticket: Ticket, services: Services) -> TooSlow:
    with suppress(ProviderUnreachable):
        provider.cancel(ticket)
    minutes = round(services.settings.give_up_after / 60) or 1
    return TooSlow(
        f"The provider took longer than {minutes} min. It was asked to stop; should the picture still come, it is kept."
    )


# -- take in, store, complete ---------------------------------------------------------------------------------


def take_in(job: Job, submission: Submission, finished: Finished, services: Services) -> Picture:
    """The result's bytes, decoded whole. Raises BadImage, ResultLost, ProviderUnreachable, ProviderRejected."""
    with suppress(LeaseLost), services.db.as_service() as conn:
        # The job row first, as everywhere: a webhook may be writing both just now.
        jobs.beat(conn, job, stage=JobStage.fetching, progress=None)
        submissions.note_expiry(conn, submission.id, finished.expires_at)
    try:
        return _picture(submission, finished, services)
    except (BadImage, ResultLost, ProviderRejected) as error:
        error.charge = finished.charge
        raise


def _picture(submission: Submission, finished: Finished, services: Services) -> Picture:
    if not finished.images:
        raise ProviderRejected(
            "The provider finished without a picture, which its safety filter does at times. Change the words and try again.",
            code="NO_IMAGE",
            billed=True,
        )
    for attempt in range(1, _FETCHES + 1):
        try:
            picture = images.read_picture(_bytes_of(submission, finished, services))
            images.refuse_blank(picture)
        except BadImage as error:
            # Cut short on the way is as likely as broken at the source: fetch once more before saying so.
            if error.reason == "IMAGE_BLANK" or attempt == _FETCHES:
                raise
            time.sleep(0.2 * attempt)
        else:
            return picture
    raise AssertionError  # the loop returns or raises


def _bytes_of(submission: Submission, finished: Finished, services: Services) -> bytes:
    image = finished.images[0]
    if image.data is not None:
        return image.data
    allowed = services.providers[submission.provider].download_hosts
    return services.downloads.fetch(image.url, allowed=allowed)


def finish(
    job: Job, submission: Submission, finished: Finished, picture: Picture, services: Services
) -> None:
    """Store the picture and complete its job; evidence, so without a lease."""
    path, thumbnail = _store(job, submission, picture, services)
    repeat_on_deadlock(lambda: _complete(job, submission, finished, picture, path, thumbnail, services))
    _log.info("portrait_completed", provider=job.provider, width=picture.width, height=picture.height)


def owner_of(job: Job) -> PersonId:
    """Whose folder the picture goes to: the character's owner, noted when it was asked."""
    said = job.metadata.get("owner")
    return PersonId(UUID(str(said))) if said else job.user_id


def _store(job: Job, submission: Submission, picture: Picture, services: Services) -> tuple[str, str]:
    """The original as it came, and its thumbnail. The key holds submitted_at, so a rerun writes the same one."""
    moment = int(submission.submitted_at.timestamp() * 1000)
    stem = f"{owner_of(job)}/{job.id}_{moment}"
    path, thumbnail = f"{stem}.{picture.extension}", f"{stem}.thumb.webp"
    services.storage.put(WORKSPACE, path, picture.data, picture.media_type)
    services.storage.put(WORKSPACE, thumbnail, picture.thumbnail, "image/webp")
    return path, thumbnail


def _complete(
    job: Job,
    submission: Submission,
    finished: Finished,
    picture: Picture,
    path: str,
    thumbnail: str,
    services: Services,
) -> None:
    """T4: the asset (its trigger completes the job), the cost, the auto-save entry; all or none."""
    seed = finished.seed if finished.seed is not None else _asked_seed(job)
    with services.db.as_service() as conn:
        if jobs.lock(conn, job.id) is None:
            raise LeaseLost("This job is gone.")
        assets.insert_if_none(
            conn, job, picture, owner=owner_of(job), path=path, thumbnail_path=thumbnail, seed=seed
        )
        submissions.settle(conn, submission.id, "finished", by="worker")
        size = Size(width=picture.width, height=picture.height)
        billing.keep_finished(conn, job, submission, finished.charge, size)
        jobs.mark_completed(conn, job.id, cost=costs.spent(conn, job.id))
        if job.character_id is not None:
            queue.put_autosave(conn, job.id)


def _asked_seed(job: Job) -> int | None:
    seed = job.metadata.get("seed")
    return int(str(seed)) if seed else None


# -- failure --------------------------------------------------------------------------------------------------------

_ENDS: Mapping[str, str] = {"RESULT_LOST": "expired", "IMAGE_BLANK": "refused"}


def fail(job: Job, error: StudioError, services: Services) -> None:
    """End a job in words and a code; settle its request where nothing more can come of it.

    A request whose result may still be there (a broken download, a deadline) stays open: recovery asks on.
    """
    ended = _patiently(lambda: _end_failed(job, error, services), _PATIENCE)
    _log.warning("portrait_failed", code=error.reason, provider=job.provider, ended=ended)


def _end_failed(job: Job, error: StudioError, services: Services) -> bool:
    with services.db.as_service() as conn:
        now = jobs.lock(conn, job.id)
        submission = submissions.current(conn, job.id)
        words = error.sentence
        if submission is not None:
            until = _awaited_until(conn, submission, error, services)
            words = words if until is None else _awaited_words(submission, until)
            settle(conn, job, submission, error, services)
        elif now is not None and now.lease == job.lease:
            costs.never_sent(conn, job.id)
        if isinstance(error, ProviderRejected) and error.pauses:
            models.pause(conn, job.provider, error.sentence, seconds=_PAUSE)
        stopped = (
            now is not None and now.cancel_requested and isinstance(error, ProviderRejected | ResultLost)
        )
        status = JobStatus.cancelled if stopped else JobStatus.failed
        return jobs.end(conn, job, status, code=error.reason, words=words)


def _awaited_until(
    conn: Connection, submission: Submission, error: StudioError, services: Services
) -> datetime | None:
    """Until when a result that was not found is asked for again; None where it surely never comes."""
    if not isinstance(error, ResultLost) or error.is_certain or not submission.is_open:
        return None
    return submissions.kept_until(conn, submission.id, services.catalog.result_seconds)


def _awaited_words(submission: Submission, until: datetime) -> str:
    return (
        f"{provider_name(submission.provider)} did not hand over this picture when it was asked. It is asked again until "
        f"{until.astimezone(UTC):%Y-%m-%d %H:%M} UTC, and a picture that comes by then is saved."
    )


def settle(
    conn: Connection,
    job: Job,
    submission: Submission,
    error: StudioError,
    services: Services,
    *,
    last_look: bool = False,
) -> None:
    """End a paid request that failed, with what it cost; leave it open where its picture may still come.

    `last_look`: its bytes were fetched again later and are still no picture, so they never will be.
    """
    if _awaited_until(conn, submission, error, services) is not None:
        return
    outcome = "refused" if isinstance(error, ProviderRejected) else _ENDS.get(error.reason)
    if last_look and isinstance(error, BadImage):
        outcome = "refused"
    if outcome is None or not submissions.settle(conn, submission.id, outcome, by="worker"):
        return
    billing.keep_failed(conn, job, submission, error)
