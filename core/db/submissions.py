"""studio.submissions: what was paid for. Intent before the POST, receipt right after it (DESIGN decision 5)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from psycopg import Cursor, errors
from psycopg.rows import RowMaker, class_row

from core.db import Connection
from core.values import Job, JobId, Submission, SubmissionId, Ticket

COLUMNS = "id, job_id, attempt, lease, provider, model_key, submitted_at, receipt, outcome"


def _ticket(receipt: Mapping[str, Any] | None) -> Ticket | None:
    return Ticket(**receipt) if receipt is not None else None


def as_submission(_cursor: Cursor[Any]) -> RowMaker[Submission]:
    """Row factory for COLUMNS."""

    def make(row: Sequence[Any]) -> Submission:
        return Submission(
            id=row[0],
            job_id=row[1],
            attempt=row[2],
            lease=row[3],
            provider=row[4],
            model_key=row[5],
            submitted_at=row[6],
            ticket=_ticket(row[7]),
            outcome=row[8],
        )

    return make


def begin(conn: Connection, job: Job, *, provider: str, model_key: str) -> Submission | None:
    """T2: note that the paid request is about to leave.

    None where this run does not own the job any more, a person asked to cancel, or a request of this job may
    have been accepted before: a partial unique index holds the last one against any race.
    """
    try:
        with conn.transaction(), conn.cursor(row_factory=as_submission) as cursor:
            return cursor.execute(
                f"""
                INSERT INTO studio.submissions (job_id, attempt, lease, provider, model_id, model_key)
                SELECT j.id, 1 + (SELECT count(*) FROM studio.submissions s WHERE s.job_id = j.id),
                       j.lease, %(provider)s, j.api_model_id, %(model_key)s
                FROM public.jobs j
                WHERE j.id = %(id)s AND j.lease = %(lease)s AND j.status = 'processing' AND NOT j.cancel_requested
                RETURNING {COLUMNS}
                """,
                {"id": job.id, "lease": job.lease, "provider": provider, "model_key": model_key},
            ).fetchone()
    except errors.UniqueViolation:
        return None


def keep_receipt(
    conn: Connection, submission_id: SubmissionId, ticket: Ticket, *, expires_at: datetime | None = None
) -> bool:
    """T3: store the receipt, whichever run brings it, as long as none is stored; True where it was stored now.

    A person may have given the request up meanwhile: the receipt opens it again.
    """
    cursor = conn.execute(
        """
        UPDATE studio.submissions
        SET receipt = %(receipt)s, request_id = %(request)s, received_at = clock_timestamp(),
            result_expires_at = %(expires)s, outcome = nullif(outcome, 'given_up')
        WHERE id = %(id)s AND receipt IS NULL
        """,
        {
            "id": submission_id,
            "receipt": json.dumps(asdict(ticket)),
            "request": ticket.request_id,
            "expires": expires_at,
        },
    )
    return cursor.rowcount == 1


def note_expiry(conn: Connection, submission_id: SubmissionId, expires_at: datetime | None) -> None:
    """Until when the provider keeps the result: rescue goes by it. None changes nothing."""
    conn.execute(
        "UPDATE studio.submissions SET result_expires_at = %s WHERE id = %s AND %s::timestamptz IS NOT NULL",
        (expires_at, submission_id, expires_at),
    )


def kept_until(
    conn: Connection, submission_id: SubmissionId, result_seconds: Mapping[str, int]
) -> datetime | None:
    """Until when its provider keeps the result: what it said, else its documented lifetime counted from the sending.

    None where that moment has passed, or is not known.
    """
    row = conn.execute(
        """
        SELECT kept.until FROM studio.submissions s
        CROSS JOIN LATERAL (SELECT coalesce(s.result_expires_at, s.submitted_at + make_interval(
            secs => (%s::jsonb ->> s.provider)::double precision)) AS until) kept
        WHERE s.id = %s AND kept.until > clock_timestamp()
        """,
        (json.dumps(dict(result_seconds)), submission_id),
    ).fetchone()
    return row[0] if row else None


def settle(conn: Connection, submission_id: SubmissionId, outcome: str, *, by: str) -> bool:
    """End a paid request: `not_accepted`, `finished`, `refused`, `cancelled`, `expired` or `given_up`.

    False where it had ended before: the first word stands.
    """
    cursor = conn.execute(
        """
        UPDATE studio.submissions SET outcome = %(outcome)s, settled_at = clock_timestamp(), settled_by = %(by)s
        WHERE id = %(id)s AND outcome IS NULL
        """,
        {"id": submission_id, "outcome": outcome, "by": by},
    )
    return cursor.rowcount == 1


def current(conn: Connection, job_id: JobId) -> Submission | None:
    """The request of this job that may have been accepted, open or ended; None where nothing was ever taken."""
    with conn.cursor(row_factory=as_submission) as cursor:
        return cursor.execute(
            f"""
            SELECT {COLUMNS} FROM studio.submissions
            WHERE job_id = %s AND outcome IS DISTINCT FROM 'not_accepted'
            """,
            (job_id,),
        ).fetchone()


def get(conn: Connection, submission_id: SubmissionId) -> Submission | None:
    """One paid request, None where there is none."""
    with conn.cursor(row_factory=as_submission) as cursor:
        return cursor.execute(
            f"SELECT {COLUMNS} FROM studio.submissions WHERE id = %s", (submission_id,)
        ).fetchone()


def by_number(conn: Connection, provider: str, request_ids: Sequence[str]) -> Submission | None:
    """The paid request that a provider knows under one of these numbers, None where none is ours."""
    with conn.cursor(row_factory=as_submission) as cursor:
        return cursor.execute(
            f"SELECT {COLUMNS} FROM studio.submissions WHERE provider = %s AND request_id = ANY(%s) LIMIT 1",
            (provider, list(request_ids)),
        ).fetchone()


def keep_answer(conn: Connection, submission_id: SubmissionId, answer: Mapping[str, object]) -> bool:
    """Note beside the receipt what its provider told of the result, the first time; True where it was noted now."""
    cursor = conn.execute(
        """
        UPDATE studio.submissions SET receipt = jsonb_set(receipt, '{answer}', %(answer)s::jsonb)
        WHERE id = %(id)s AND outcome IS NULL AND receipt IS NOT NULL AND coalesce(receipt -> 'answer', 'null') = 'null'
        """,
        {"id": submission_id, "answer": json.dumps(answer)},
    )
    return cursor.rowcount == 1


def unknown(conn: Connection, *, limit: int = 200) -> list[Submission]:
    """Sent, no receipt, not settled, and their run has said so (SPEC "Outcome unknown")."""
    with conn.cursor(row_factory=as_submission) as cursor:
        return cursor.execute(
            f"""
            SELECT {", ".join("s." + name for name in COLUMNS.split(", "))} FROM studio.submissions s
            JOIN public.jobs j ON j.id = s.job_id
            WHERE s.outcome IS NULL AND s.receipt IS NULL AND j.stage = 'outcome_unknown'
            ORDER BY s.submitted_at LIMIT %s
            """,
            (limit,),
        ).fetchall()


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What came back to one paid request; its addresses may be secrets."""

    attempt: int
    provider: str
    receipt: Mapping[str, object] | None = field(repr=False)


def receipts(conn: Connection, job_id: JobId) -> list[Receipt]:
    """The receipts of a job's paid requests, oldest first; for the service only."""
    with conn.cursor(row_factory=class_row(Receipt)) as cursor:
        return cursor.execute(
            "SELECT attempt, provider, receipt FROM studio.submissions WHERE job_id = %s ORDER BY attempt LIMIT 100",
            (job_id,),
        ).fetchall()
