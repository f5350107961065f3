"""public.jobs: the moves of one job. Every write of a run carries its lease; evidence does not (DESIGN 5)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg import Cursor, sql
from psycopg.rows import RowMaker

from core.db import Connection, said_in
from core.errors import LeaseLost
from core.values import CharacterId, Job, JobId, JobStage, JobStatus, ModelId, PersonId, SceneId

COLUMNS = """
    j.id, j.user_id, j.character_id, j.status, j.stage, j.runner, j.lease, j.attempts, j.original_prompt,
    j.api_model_id, j.metadata, j.progress, j.queue_position, j.cancel_requested, j.error_code, j.error_message,
    j.retried_from, j.cost_usd, j.created_at, j.started_at, j.completed_at, j.heartbeat_at
"""


_STAGES = frozenset(JobStage)  # an older worker may have written a word this version does not know


def as_job(_cursor: Cursor[Any]) -> RowMaker[Job]:
    """Row factory for COLUMNS."""

    def make(row: Sequence[Any]) -> Job:
        return Job(
            id=row[0],
            user_id=row[1],
            character_id=row[2],
            status=JobStatus(row[3]),
            stage=JobStage(row[4]) if row[4] in _STAGES else None,
            runner=row[5],
            lease=row[6],
            attempts=row[7],
            prompt=row[8] or "",
            model_id=row[9],
            metadata=said_in(row[10]),
            progress=row[11],
            queue_position=row[12],
            cancel_requested=row[13],
            error_code=row[14],
            error_message=row[15],
            retried_from=row[16],
            cost_usd=row[17],
            created_at=row[18],
            started_at=row[19],
            completed_at=row[20],
            heartbeat_at=row[21],
        )

    return make


def ask(
    conn: Connection,
    *,
    character_id: CharacterId | None,
    model_id: ModelId,
    prompt: str,
    metadata: Mapping[str, object],
    width: int,
    height: int,
    idempotency_key: str | None,
    retried_from: JobId | None,
    max_waiting: int,
    scene_id: SceneId | None = None,
) -> tuple[JobId, bool]:
    """T1: job row, estimate and queue entry at once, as the person of this connection.

    Returns the job and whether it is new (False: this key has asked before). Raises BudgetSpent, NotAllowed,
    NotFound, NoSuchModel, TooMany.
    """
    what = ("ask", character_id) if scene_id is None else ("ask_scene", scene_id)
    statement = sql.SQL("SELECT job_id, created FROM studio.{}(%s, %s, %s, %s, %s, %s, %s, %s, %s)")
    row = conn.execute(
        statement.format(sql.Identifier(what[0])),
        (
            what[1],
            model_id,
            prompt,
            json.dumps(metadata),
            width,
            height,
            idempotency_key,
            retried_from,
            max_waiting,
        ),
    ).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return JobId(row[0]), bool(row[1])


def cancel(conn: Connection, job_id: JobId) -> JobStatus:
    """Cancel or ask to stop, as the person of this connection; returns the status afterwards."""
    row = conn.execute("SELECT status FROM studio.cancel(%s)", (job_id,)).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return JobStatus(row[0])


def settle_unknown(conn: Connection, job_id: JobId, *, billed: bool | None, why: str) -> None:
    """End an outcome unknown, as the person of this connection; raises NotAllowed, NotFound, BadRequest, Conflict."""
    conn.execute("SELECT studio.settle_unknown(%s, %s, %s)", (job_id, billed, why))


def note_found(conn: Connection, job_id: JobId, *, request_id: str, why: str) -> None:
    """Record that the person of this connection found the request; raises NotAllowed, NotFound, BadRequest, Conflict."""
    conn.execute("SELECT studio.note_found(%s, %s, %s)", (job_id, request_id, why))


def by_key(conn: Connection, person: PersonId, key: str) -> Job | None:
    """The job a person asked for with that idempotency key, None where there is none."""
    with conn.cursor(row_factory=as_job) as cursor:
        return cursor.execute(
            f"SELECT {COLUMNS} FROM public.jobs j WHERE j.user_id = %s AND j.idempotency_key = %s",
            (person, key),
        ).fetchone()


def dismiss(conn: Connection, job_id: JobId) -> None:
    """Take a failed job out of the grid, as the person of this connection; raises NotFound."""
    conn.execute("SELECT studio.dismiss(%s)", (job_id,))


def get(conn: Connection, job_id: JobId) -> Job | None:
    """One job, or None where there is none this connection may see."""
    with conn.cursor(row_factory=as_job) as cursor:
        return cursor.execute(f"SELECT {COLUMNS} FROM public.jobs j WHERE j.id = %s", (job_id,)).fetchone()


def lock(conn: Connection, job_id: JobId) -> Job | None:
    """One job, locked until the transaction ends."""
    with conn.cursor(row_factory=as_job) as cursor:
        return cursor.execute(
            f"SELECT {COLUMNS} FROM public.jobs j WHERE j.id = %s FOR UPDATE", (job_id,)
        ).fetchone()


def take_rows(conn: Connection, job_id: JobId) -> None:
    """Before the library row or the portrait of a job is written: no other writer is about to write it.

    Raises Conflict where one is, on which `repeat_on_deadlock` comes again.
    """
    conn.execute("SELECT studio.take_job_rows(%s)", (job_id,))


def claim(conn: Connection, job_id: JobId) -> Job | None:
    """T1b: take the job for this run with a new lease; None where it is finished or not ours to run.

    `attempts` counts the runs that began before anything was sent: an entry that kills its worker comes back
    for ever otherwise.
    """
    with conn.cursor(row_factory=as_job) as cursor:
        return cursor.execute(
            f"""
            UPDATE public.jobs j
            SET status = 'processing', lease = j.lease + 1, heartbeat_at = clock_timestamp(),
                attempts = j.attempts + CASE WHEN EXISTS (
                    SELECT FROM studio.submissions s WHERE s.job_id = j.id AND s.outcome IS DISTINCT FROM 'not_accepted'
                ) THEN 0 ELSE 1 END
            WHERE j.id = %s AND j.runner = 'studio' AND j.status IN ('queued', 'processing')
            RETURNING {COLUMNS}
            """,
            (job_id,),
        ).fetchone()


def beat(
    conn: Connection,
    job: Job,
    *,
    stage: JobStage,
    progress: float | None = None,
    queue_position: int | None = None,
) -> bool:
    """Say that this run lives and where it stands; returns whether a person asked to cancel.

    A stage never hides that a cancellation was asked. Raises LeaseLost where another run owns the job.
    """
    row = conn.execute(
        """
        UPDATE public.jobs
        SET stage = CASE WHEN cancel_requested AND %(stage)s IN ('waiting', 'sending', 'provider_queue', 'drawing')
                         THEN 'cancelling' ELSE %(stage)s END,
            progress = %(progress)s, queue_position = %(queue_position)s, heartbeat_at = clock_timestamp()
        WHERE id = %(id)s AND lease = %(lease)s AND status = 'processing'
        RETURNING cancel_requested
        """,
        {
            "id": job.id,
            "lease": job.lease,
            "stage": stage,
            "progress": progress,
            "queue_position": queue_position,
        },
    ).fetchone()
    if row is None:
        raise LeaseLost("Another run took this job over.")
    return bool(row[0])


def put_off(conn: Connection, job: Job) -> None:
    """This run ends on purpose before anything was taken, to be called again later: it does not count as begun."""
    conn.execute(
        """
        UPDATE public.jobs SET stage = CASE WHEN cancel_requested THEN 'cancelling' ELSE 'waiting' END,
            progress = NULL, queue_position = NULL, heartbeat_at = clock_timestamp(), attempts = greatest(attempts - 1, 0)
        WHERE id = %s AND lease = %s AND status = 'processing'
        """,
        (job.id, job.lease),
    )


def end(
    conn: Connection,
    job: Job,
    status: JobStatus,
    *,
    code: str | None = None,
    words: str | None = None,
) -> bool:
    """Failed or cancelled, under this run's lease; False where another run owns the job or it is finished."""
    cursor = conn.execute(
        """
        UPDATE public.jobs
        SET status = %(status)s, stage = NULL, progress = NULL, queue_position = NULL,
            error_code = %(code)s, error_message = %(words)s
        WHERE id = %(id)s AND lease = %(lease)s AND status IN ('queued', 'processing')
        """,
        {"id": job.id, "lease": job.lease, "status": status, "code": code, "words": words},
    )
    return cursor.rowcount == 1


def mark_unknown(conn: Connection, job: Job, words: str) -> bool:
    """Outcome unknown: stays processing, says so, and is left alone (SPEC "Failure")."""
    cursor = conn.execute(
        """
        UPDATE public.jobs SET stage = 'outcome_unknown', progress = NULL, queue_position = NULL,
            error_code = 'OUTCOME_UNKNOWN', error_message = %(words)s
        WHERE id = %(id)s AND lease = %(lease)s AND status = 'processing'
        """,
        {"id": job.id, "lease": job.lease, "words": words},
    )
    return cursor.rowcount == 1


def clear_unknown(conn: Connection, job_id: JobId) -> None:
    """A receipt came after all."""
    conn.execute(
        """
        UPDATE public.jobs SET stage = 'provider_queue', error_code = NULL, error_message = NULL
        WHERE id = %s AND status = 'processing' AND stage = 'outcome_unknown'
        """,
        (job_id,),
    )


def mark_completed(conn: Connection, job_id: JobId, *, cost: Decimal | None) -> None:
    """After the asset completed the job: its cost, and that it is on its way into the library."""
    conn.execute(
        """
        UPDATE public.jobs SET progress = 1, stage = CASE WHEN character_id IS NOT NULL THEN 'saving' END, queue_position = NULL, cost_usd = %(cost)s,
            error_code = NULL, error_message = NULL
        WHERE id = %(id)s AND status = 'completed' AND stage IS DISTINCT FROM 'saved'
        """,
        {"id": job_id, "cost": cost},
    )


def mark_saved(conn: Connection, job_id: JobId) -> None:
    """In the library."""
    conn.execute("UPDATE public.jobs SET stage = 'saved', progress = NULL WHERE id = %s", (job_id,))


def mark_not_saved(conn: Connection, job_id: JobId) -> None:
    """Kept out of the library: auto-save does not come back to it by itself."""
    conn.execute("UPDATE public.jobs SET stage = 'not_saved', progress = NULL WHERE id = %s", (job_id,))


def open_of_character(conn: Connection, character_id: CharacterId, *, limit: int = 60) -> list[Job]:
    """Jobs of a character that are not in its grid as a portrait: unfinished, failed or cancelled lately, or being
    saved.
    """
    with conn.cursor(row_factory=as_job) as cursor:
        return cursor.execute(
            f"""
            SELECT {COLUMNS} FROM public.jobs j
            WHERE j.character_id = %(character)s AND j.metadata ->> 'destination' = 'character_portrait'
              AND (j.status IN ('queued', 'processing')
                   OR (j.status = 'completed' AND j.stage = 'saving'
                       AND EXISTS (SELECT FROM public.workspace_assets a WHERE a.job_id = j.id))
                   OR (j.status IN ('failed', 'cancelled') AND j.created_at > now() - interval '7 days'
                       AND j.metadata ->> 'dismissed' IS NULL
                       AND NOT EXISTS (SELECT FROM public.jobs again WHERE again.retried_from = j.id)))
            ORDER BY j.created_at DESC LIMIT %(limit)s
            """,
            {"character": character_id, "limit": limit},
        ).fetchall()


def places_in_queue(conn: Connection, job_ids: Sequence[JobId]) -> dict[UUID, int]:
    """How many entries of the same provider come before each queued job; asked as a service."""
    rows = conn.execute(
        """
        SELECT mine.payload, (
            SELECT count(*) FROM (
                SELECT FROM studio_queue.pgqueuer before
                WHERE before.entrypoint = mine.entrypoint AND before.status = 'queued'
                  AND (before.priority, -before.id) > (mine.priority, -mine.id) LIMIT 1000) counted)
        FROM studio_queue.pgqueuer mine
        WHERE mine.dedupe_key = ANY(%s) AND mine.status = 'queued'
        """,
        ([f"job:{job_id}" for job_id in job_ids],),
    ).fetchall()
    return {UUID(bytes(payload).decode()): int(before) for payload, before in rows}


def usual_seconds(conn: Connection, model_ids: Sequence[ModelId]) -> dict[UUID, float]:
    """Median seconds from start to end of each model's last 50 completed jobs; asked as a service."""
    rows = conn.execute(
        """
        SELECT m.id, percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM r.completed_at - r.started_at))
        FROM unnest(%s::uuid[]) AS m(id)
        CROSS JOIN LATERAL (
            SELECT started_at, completed_at FROM public.jobs j
            WHERE j.api_model_id = m.id AND j.status = 'completed' AND j.started_at IS NOT NULL
            ORDER BY j.created_at DESC LIMIT 50) r
        GROUP BY m.id
        """,
        (list(model_ids),),
    ).fetchall()
    return {model: float(seconds) for model, seconds in rows if seconds is not None}
