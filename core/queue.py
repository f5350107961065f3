"""The only writer of queue entries (DESIGN decision 3): a plain INSERT into PgQueuer's table, in the caller's
transaction. Everything else about the queue is PgQueuer's.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.db import Connection
from core.values import JobId

SCHEMA = "studio_queue"
AUTOSAVE = "autosave"
RESCUE = "rescue"
CONFIRM = "confirm"
MATCH = "match"  # put by triggers: a completion, a new character, a rename
PUBLISH = "publish"  # put by a trigger at completion: an attribute image
PROVE = "prove"  # put by studio.ask_proof: a check of the auto-save that a person asked for


def portrait_entrypoint(provider: str) -> str:
    """The entry point that carries a provider's jobs: its limit holds across all workers."""
    return f"portrait_{provider}"


def put_job(conn: Connection, job_id: JobId, provider: str, *, delay: float = 0.0, priority: int = 0) -> None:
    """Queue a run of a job, `delay` seconds from now; nothing where one is queued or running already."""
    _put(conn, portrait_entrypoint(provider), f"job:{job_id}", job_id, delay, priority)


def put_autosave(conn: Connection, job_id: JobId, *, delay: float = 0.0) -> None:
    """Queue the auto-save of a job; nothing where one is queued or running already."""
    _put(conn, AUTOSAVE, f"autosave:{job_id}", job_id, delay, 0)


def put_rescue(conn: Connection, job_id: JobId) -> None:
    """Queue one question about the paid result of a job that ended; nothing where one is queued or running."""
    _put(conn, RESCUE, f"rescue:{job_id}", job_id, 0.0, 0)


def put_confirm(conn: Connection, job_id: JobId) -> None:
    """Queue one question whether an unsigned webhook of a job is true; nothing where one is queued or running."""
    _put(conn, CONFIRM, f"confirm:{job_id}", job_id, 0.0, 0)


def put_match(conn: Connection, job_id: JobId) -> None:
    """Queue a look for the character of a job that names none; nothing where one is queued or running."""
    _put(conn, MATCH, f"match:{job_id}", job_id, 0.0, 0)


def put_publish(conn: Connection, job_id: JobId) -> None:
    """Queue the publishing of a completed attribute image; nothing where one is queued or running already."""
    _put(conn, PUBLISH, f"publish:{job_id}", job_id, 0.0, 0)


def put_jobs(conn: Connection, job_ids: Sequence[JobId]) -> list[JobId]:
    """Queue runs of jobs that somebody paid or waited for, before fresh ones; the jobs that got an entry now.

    In the order given: the engine takes equals in the order of their entries.
    """
    rows = conn.execute(
        """
        INSERT INTO studio_queue.pgqueuer (entrypoint, payload, priority, status, dedupe_key)
        SELECT 'portrait_' || (j.metadata ->> 'provider'), convert_to(j.id::text, 'UTF8'), 1, 'queued', 'job:' || j.id::text
        FROM unnest(%s::uuid[]) WITH ORDINALITY AS asked (id, place) JOIN public.jobs j ON j.id = asked.id
        WHERE j.status IN ('queued', 'processing') AND j.metadata ->> 'provider' IS NOT NULL ORDER BY asked.place
        ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL DO NOTHING
        RETURNING convert_from(payload, 'UTF8')::uuid
        """,
        (list(job_ids),),
    ).fetchall()
    return [JobId(row[0]) for row in rows]


def put_autosaves(conn: Connection, job_ids: Sequence[JobId]) -> list[JobId]:
    """As `put_autosave`, for many; the jobs that got an entry now."""
    return _put_many(conn, AUTOSAVE, job_ids)


def put_rescues(conn: Connection, job_ids: Sequence[JobId]) -> list[JobId]:
    """As `put_rescue`, for many, asked in the order given; the jobs that got an entry now."""
    return _put_many(conn, RESCUE, job_ids)


def put_matches(conn: Connection, job_ids: Sequence[JobId]) -> list[JobId]:
    """As `put_match`, for many; the jobs that got an entry now."""
    return _put_many(conn, MATCH, job_ids)


def put_publishes(conn: Connection, job_ids: Sequence[JobId]) -> list[JobId]:
    """As `put_publish`, for many; the jobs that got an entry now."""
    return _put_many(conn, PUBLISH, job_ids)


def clear_held(conn: Connection) -> int:
    """Remove entries that ended in an error (on_failure=hold): the job row says what happened to each."""
    return conn.execute("DELETE FROM studio_queue.pgqueuer WHERE status = 'failed'").rowcount


def _put_many(conn: Connection, entrypoint: str, job_ids: Sequence[JobId]) -> list[JobId]:
    """Entries whose dedupe key begins with their entry point's name."""
    rows = conn.execute(
        """
        INSERT INTO studio_queue.pgqueuer (entrypoint, payload, priority, status, dedupe_key)
        SELECT %(entrypoint)s, convert_to(asked.id::text, 'UTF8'), 0, 'queued', %(entrypoint)s || ':' || asked.id::text
        FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS asked (id, place) ORDER BY asked.place
        ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL DO NOTHING
        RETURNING convert_from(payload, 'UTF8')::uuid
        """,
        {"entrypoint": entrypoint, "ids": list(job_ids)},
    ).fetchall()
    return [JobId(row[0]) for row in rows]


def _put(
    conn: Connection, entrypoint: str, dedupe_key: str, job_id: JobId, delay: float, priority: int
) -> None:
    conn.execute(
        """
        INSERT INTO studio_queue.pgqueuer (entrypoint, payload, priority, status, dedupe_key, execute_after)
        VALUES (%(entrypoint)s, %(payload)s, %(priority)s, 'queued', %(key)s, now() + make_interval(secs => %(delay)s))
        ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL DO NOTHING
        """,
        {
            "entrypoint": entrypoint,
            "payload": str(job_id).encode(),
            "priority": priority,
            "key": dedupe_key,
            "delay": delay,
        },
    )
