"""Webhooks of providers, taken in: whose request it is, what it proves, and who asks the provider now (SPEC "HTTP",
"Failure"; decision 0009).

A webhook never changes what a job is: it stores a receipt where none came, notes a signed result, and makes the run
or a rescue ask at once. So doubled, late and disordered ones do nothing that polling would not have done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from core import log, queue, running
from core.db import Connection, activity, jobs, models, repeat_on_deadlock, submissions
from core.db import callbacks as records
from core.errors import (
    DatabaseUnavailable,
    NotAllowed,
    NotFound,
    ProviderRejected,
    ProviderUnreachable,
    ResultLost,
)
from core.providers.webhooks import Notice, Proof, ReportsBack, forged
from core.services import Services
from core.values import Job, JobId, JobStatus, Submission, SubmissionId, provider_name

_CONFIRM_AGAIN = 15.0  # seconds until a provider that did not answer is asked about a hint again
_log = log.get(__name__)


class Deed(StrEnum):
    """What a webhook did."""

    receipt_kept = "receipt_kept"  # it brought the receipt of a request that had none; the job goes on
    asking = "asking"  # unsigned, and no receipt yet: the provider is asked whether it is true
    not_confirmed = "not_confirmed"  # the provider was asked, and knows no such request
    woke = "woke"  # the run that waits, or the next one, asks the provider at once
    rescue = "rescue"  # its job has ended: what was paid for is asked about at once
    nothing_left = "nothing_left"  # all was settled before it came
    job_gone = "job_gone"  # the job's row was deleted by somebody
    contradiction = "contradiction"  # we held the request for refused: QA looks at it
    unknown_request = "unknown_request"  # signed, and no request of ours


def take(
    name: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, str], services: Services
) -> Deed:
    """Take in one webhook of the provider `name`; `headers` have names in lower case. No provider is asked for a result
    here; at most its public keys are fetched.

    Raises NotFound (no such provider), NotAllowed (`FORGED`, `STALE`), BadRequest (unreadable), ProviderUnreachable
    (its keys cannot be had now), DatabaseUnavailable: after the last two its provider should send it again.
    """
    provider = services.providers.get(name)
    if not isinstance(provider, ReportsBack):
        raise NotFound("No provider of that name reports to this studio.", code="NO_SUCH_PROVIDER")
    named = _named(query.get("token", ""), services)
    try:
        notice = provider.read_webhook(headers, body, datetime.now(UTC))
        if notice.proof is Proof.hint and named is None:
            raise forged(provider_name(name))
    except NotAllowed as error:
        _note_refused(name, error, services)
        raise
    deed = repeat_on_deadlock(lambda: _taken(name, notice, named, body, services))
    _log.info("webhook_taken", provider=name, deed=deed, proof=notice.proof)
    return deed


def _named(token: str, services: Services) -> SubmissionId | None:
    """The submission that an address of ours was made for; None for every other token."""
    ident, _, seal = token.partition(".")
    try:
        submission = UUID(ident)
    except ValueError:
        return None
    known = services.links.is_sealed(running.CALLBACK, str(submission), seal)
    return SubmissionId(submission) if known else None


def _note_refused(name: str, error: NotAllowed, services: Services) -> None:
    """One row a provider, reason and day: whoever sends forged ones all day fills no table."""
    _log.warning("webhook_refused", provider=name, code=error.reason)
    today = datetime.now(UTC).date().isoformat()
    with suppress(DatabaseUnavailable), services.db.as_service() as conn:
        records.note(
            conn, provider=name, fingerprint=_digest(error.reason, today.encode()), deed=error.reason.lower()
        )


def _digest(head: str, body: bytes) -> bytes:
    return hashlib.sha256(f"{head}\n".encode() + body).digest()


def _taken(name: str, notice: Notice, named: SubmissionId | None, body: bytes, services: Services) -> Deed:
    """One transaction: the effect, and the record of it."""
    with services.db.as_service() as conn:
        submission = _found(conn, name, notice, named)
        deed = Deed.unknown_request if submission is None else _done(conn, notice, submission, services)
        records.note(
            conn,
            provider=name,
            fingerprint=_digest(str(submission.id if submission else ""), body),
            deed=deed,
            proof=notice.proof,
            request_id=notice.request_ids[0],
            word=notice.word,
            submission=submission,
        )
    return deed


def _found(conn: Connection, name: str, notice: Notice, named: SubmissionId | None) -> Submission | None:
    """By its number where a signature vouches for it, else by the token of its address."""
    known = submissions.by_number(conn, name, notice.request_ids) if notice.proof is Proof.signed else None
    if known is not None or named is None:
        return known
    submission = submissions.get(conn, named)
    return submission if submission is not None and submission.provider == name else None


def _done(conn: Connection, notice: Notice, submission: Submission, services: Services) -> Deed:
    """The job row is locked first, as everywhere; then the request is read again."""
    job = jobs.lock(conn, submission.job_id)
    now = submissions.get(conn, submission.id) or submission
    if now.ticket is None:
        return _without_receipt(conn, notice, now, job, services)
    if notice.outcome is not None and now.ticket.request_id in notice.request_ids:
        submissions.keep_answer(conn, now.id, notice.outcome)
    return _ask(conn, job, now)


def _without_receipt(
    conn: Connection, notice: Notice, submission: Submission, job: Job | None, services: Services
) -> Deed:
    if submission.outcome not in (None, "given_up"):
        return _contradiction(conn, submission)
    if notice.proof is Proof.hint:
        queue.put_confirm(conn, submission.job_id)
        return Deed.asking
    _keep(conn, notice.request_ids[0], submission, job, services)
    if notice.outcome is not None:
        submissions.keep_answer(conn, submission.id, notice.outcome)
    asked = _ask(conn, job, submissions.get(conn, submission.id) or submission)
    return Deed.job_gone if asked is Deed.job_gone else Deed.receipt_kept


def _keep(
    conn: Connection, request_id: str, submission: Submission, job: Job | None, services: Services
) -> None:
    """Store the receipt that the adapter writes for a number."""
    provider = services.providers.get(submission.provider)
    assert isinstance(provider, ReportsBack)  # noqa: S101 — only such a provider's webhooks come here
    defaults = _defaults(conn, job)
    running.keep_receipt(conn, submission, provider.receipt_of(request_id, submission.model_key, defaults))


def _defaults(conn: Connection, job: Job | None) -> Mapping[str, object]:
    """The input_defaults of a job's model: where a provider is asked can hang on them."""
    model = models.get(conn, job.model_id) if job is not None and job.model_id is not None else None
    return model.input_defaults if model is not None else dict[str, object]()


def _contradiction(conn: Connection, submission: Submission) -> Deed:
    """We read its answer as a refusal and may have sent again: paid twice, or not paid at all, a person looks."""
    activity.find(
        conn,
        "submission.refused_and_reported",
        "submissions",
        str(submission.id),
        f"{provider_name(submission.provider)} reported on a request that it had refused. Look there whether a "
        "picture was made and charged beside the one that was saved.",
    )
    return Deed.contradiction


def _ask(conn: Connection, job: Job | None, submission: Submission) -> Deed:
    """Have the provider asked now: by the run that waits, by a new one, or by a rescue where the job has ended."""
    if job is None:
        return Deed.job_gone
    if not submission.is_open or job.status is JobStatus.completed:
        return Deed.nothing_left
    if job.status.is_final:
        queue.put_rescue(conn, job.id)
        return Deed.rescue
    queue.put_job(conn, job.id, submission.provider)
    records.call_run(conn, job.id)
    return Deed.woke


# -- unsigned ones ------------------------------------------------------------------------------------------------


def confirm(job_id: JobId, services: Services) -> None:
    """Ask the provider whether what unsigned webhooks said of a job's request is true, and keep its receipt if so.

    Safe to run twice. Raises AskAgain where the provider does not answer.
    """
    with services.db.as_service() as conn:
        submission = submissions.current(conn, job_id)
        numbers = records.hints(conn, submission.id) if submission is not None else []
    if submission is None:
        return
    if submission.ticket is not None:
        _note_too_late(submission, numbers, services)
        return
    for number in numbers:
        if _is_true(number, submission, services):
            bring_receipt(number, submission, services)
            return
        with services.db.as_service() as conn:
            records.answered(conn, submission.id, number, Deed.not_confirmed)
        _log.warning("webhook_not_confirmed", provider=submission.provider, job_id=str(job_id))


def _note_too_late(submission: Submission, numbers: Sequence[str], services: Services) -> None:
    """The receipt came first: nobody is asked about these any more."""
    with services.db.as_service() as conn:
        for number in numbers:
            records.answered(conn, submission.id, number, Deed.nothing_left)


def is_known_there(number: str, submission: Submission, services: Services) -> bool:
    """Whether the provider knows a request under this number, and no other job of ours does.

    Raises ProviderUnreachable where it does not answer.
    """
    try:
        return _is_true(number, submission, services)
    except running.AskAgain as later:
        raise ProviderUnreachable("The provider does not answer just now. Try again in a minute.") from later


def bring_receipt(number: str, submission: Submission, services: Services) -> None:
    """Keep the receipt of a request that was proved to be this number, and let its job go on."""
    repeat_on_deadlock(lambda: _confirmed(number, submission, services))


def _is_true(number: str, submission: Submission, services: Services) -> bool:
    """Whether the provider knows this request, and no other job of ours does."""
    provider = services.providers.get(submission.provider)
    with services.db.as_service() as conn:
        taken = submissions.by_number(conn, submission.provider, [number])
        defaults = _defaults(conn, jobs.get(conn, submission.job_id))
    if taken is not None or not isinstance(provider, ReportsBack):
        return False
    return _is_known(provider, number, submission, defaults)


def _is_known(
    provider: ReportsBack, number: str, submission: Submission, defaults: Mapping[str, object]
) -> bool:
    ticket = provider.receipt_of(number, submission.model_key, defaults)
    try:
        provider.poll(ticket)
    except ResultLost:
        return False
    except ProviderRejected:
        return True  # it ended without a picture: the run asks again and says why
    except ProviderUnreachable as error:
        raise running.AskAgain(_CONFIRM_AGAIN) from error
    return True


def _confirmed(number: str, submission: Submission, services: Services) -> None:
    with services.db.as_service() as conn:
        job = jobs.lock(conn, submission.job_id)
        now = submissions.get(conn, submission.id)
        if now is None:
            return
        if now.ticket is not None:
            records.answered(conn, submission.id, number, Deed.nothing_left)
            return
        _keep(conn, number, now, job, services)
        records.answered(conn, submission.id, number, Deed.receipt_kept)
        _ask(conn, job, submissions.get(conn, submission.id) or now)
