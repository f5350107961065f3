"""studio.callbacks: what each webhook did, one row a message however often it came."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from core.db import Connection
from core.events import CALLBACKS, CHANNEL
from core.values import JobId, Submission, SubmissionId

_MOST_HINTS = 5  # numbers one request is asked about; more only come from somebody who plays with its token
_HINT_LIVES = "1 day"


@dataclass(frozen=True, kw_only=True)
class Callback:
    """One message: `deed` is what it did when it first came, `last_deed` the last of `times`; `proof` None: refused."""

    id: int
    provider: str
    proof: str | None
    request_id: str | None
    word: str
    submission_id: UUID | None
    job_id: UUID | None
    deed: str
    last_deed: str
    times: int
    first_at: datetime
    last_at: datetime


def note(
    conn: Connection,
    *,
    provider: str,
    fingerprint: bytes,
    deed: str,
    proof: str | None = None,
    request_id: str | None = None,
    word: str = "",
    submission: Submission | None = None,
) -> None:
    """Write down what a message did; one that came before counts up."""
    conn.execute(
        """
        INSERT INTO studio.callbacks
            (provider, fingerprint, proof, request_id, word, submission_id, job_id, deed, last_deed)
        VALUES (%(provider)s, %(fingerprint)s, %(proof)s, %(request)s, %(word)s, %(submission)s, %(job)s,
                %(deed)s, %(deed)s)
        ON CONFLICT (provider, fingerprint) DO UPDATE
        SET times = studio.callbacks.times + 1, last_at = clock_timestamp(), last_deed = excluded.last_deed
        """,
        {
            "provider": provider,
            "fingerprint": fingerprint,
            "proof": proof,
            "request": request_id,
            "word": word,
            "submission": submission.id if submission else None,
            "job": submission.job_id if submission else None,
            "deed": deed,
        },
    )


def hints(conn: Connection, submission_id: SubmissionId) -> list[str]:
    """The numbers that unsigned messages named for a request and that the provider was not asked about yet."""
    rows = conn.execute(
        """
        SELECT request_id FROM studio.callbacks
        WHERE submission_id = %s AND last_deed = 'asking' AND request_id IS NOT NULL
          AND last_at > clock_timestamp() - %s::interval
        GROUP BY request_id ORDER BY min(id) LIMIT %s
        """,
        (submission_id, _HINT_LIVES, _MOST_HINTS),
    ).fetchall()
    return [str(row[0]) for row in rows]


def answered(conn: Connection, submission_id: SubmissionId, request_id: str, deed: str) -> None:
    """What came of asking the provider about a hint."""
    conn.execute(
        """
        UPDATE studio.callbacks SET last_deed = %s
        WHERE submission_id = %s AND request_id = %s AND last_deed = 'asking'
        """,
        (deed, submission_id, request_id),
    )


def call_run(conn: Connection, job_id: JobId) -> None:
    """Wake the run that waits for a job's provider, in whatever process it waits; when this transaction ends."""
    said = json.dumps({"table": CALLBACKS, "op": "insert", "job_id": str(job_id)})
    conn.execute("SELECT pg_notify(%s, %s)", (CHANNEL, said))


def of_job(conn: Connection, job_id: JobId, *, limit: int = 100) -> Sequence[Callback]:
    """The messages about a job, oldest first, as this connection may see them."""
    with conn.cursor(row_factory=class_row(Callback)) as cursor:
        return cursor.execute(
            """
            SELECT id, provider, proof, request_id, word, submission_id, job_id, deed, last_deed, times, first_at, last_at
            FROM studio.callbacks WHERE job_id = %s ORDER BY id LIMIT %s
            """,
            (job_id, limit),
        ).fetchall()


def listed(conn: Connection, *, limit: int = 200) -> Sequence[Callback]:
    """The newest messages of all providers, those that were refused among them, as this connection may see them."""
    with conn.cursor(row_factory=class_row(Callback)) as cursor:
        return cursor.execute(
            """
            SELECT id, provider, proof, request_id, word, submission_id, job_id, deed, last_deed, times, first_at, last_at
            FROM studio.callbacks ORDER BY id DESC LIMIT %s
            """,
            (limit,),
        ).fetchall()
