"""What /metrics reads: how things stand now, each question bounded. Nothing here knows a person, a name or a prompt.

Unlike the dashboard's questions these are the deployment's own, so they are asked with the studio's rights, read-only
and with a time limit of their own (`bounded`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg.rows import class_row

from core.db import Connection, recoveries
from core.db.recoveries import Look

MOST_COUNTED = 10_000  # a count that says 10,000 may mean more
_QUESTION_SECONDS = 0.8
_ENTRYPOINTS = 50


@dataclass(frozen=True, kw_only=True)
class QueueStand:
    """Entries of one entry point that may run now; `oldest_seconds` since the oldest of them may."""

    entrypoint: str
    depth: int
    oldest_seconds: float


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """How many wait, and a time in seconds of the most urgent of them; None where none waits."""

    number: int
    seconds: float | None


def bounded(conn: Connection) -> None:
    """Let this transaction only read, and stop a question after 0.8 s (QueryTimedOut)."""
    conn.execute(
        "SELECT set_config('transaction_read_only', 'on', true), set_config('statement_timeout', %s, true)",
        (f"{int(_QUESTION_SECONDS * 1000)}ms",),
    )


def unfinished(conn: Connection) -> Mapping[str, int]:
    """Unfinished jobs by state: queued, processing, cancelling, outcome_unknown. Counts the 10,000 oldest."""
    rows = conn.execute(
        """
        SELECT CASE WHEN status = 'processing' AND stage IN ('outcome_unknown', 'cancelling') THEN stage
                    ELSE status END AS state, count(*)
        FROM (SELECT status, stage FROM public.jobs WHERE status IN ('queued', 'processing')
              ORDER BY created_at LIMIT %s) oldest
        GROUP BY state
        """,
        (MOST_COUNTED,),
    ).fetchall()
    none = dict.fromkeys(("queued", "processing", "cancelling", "outcome_unknown"), 0)
    return none | {row[0]: row[1] for row in rows}


def queues(conn: Connection) -> Sequence[QueueStand]:
    """Every entry point with entries that may run now, found one step in the index each."""
    with conn.cursor(row_factory=class_row(QueueStand)) as cursor:
        return cursor.execute(
            """
            WITH RECURSIVE known AS (
                (SELECT q.entrypoint, 1 AS place FROM studio_queue.pgqueuer q
                 WHERE q.status = 'queued' ORDER BY q.entrypoint LIMIT 1)
                UNION ALL
                SELECT next.entrypoint, known.place + 1 FROM known CROSS JOIN LATERAL (
                    SELECT q.entrypoint FROM studio_queue.pgqueuer q
                    WHERE q.status = 'queued' AND q.entrypoint > known.entrypoint
                    ORDER BY q.entrypoint LIMIT 1) next
                WHERE known.place < %(entrypoints)s
            )
            SELECT known.entrypoint,
                (SELECT count(*) FROM (SELECT FROM studio_queue.pgqueuer q
                    WHERE q.entrypoint = known.entrypoint AND q.status = 'queued' AND q.execute_after <= now()
                    LIMIT %(most)s) due) AS depth,
                coalesce((SELECT extract(epoch FROM clock_timestamp() - q.execute_after)::float8
                    FROM studio_queue.pgqueuer q
                    WHERE q.entrypoint = known.entrypoint AND q.status = 'queued' AND q.execute_after <= now()
                    ORDER BY q.execute_after LIMIT 1), 0) AS oldest_seconds
            FROM known
            """,
            {"entrypoints": _ENTRYPOINTS, "most": MOST_COUNTED},
        ).fetchall()


def unsaved(conn: Connection, look: Look) -> Backlog:
    """Completed portraits that have their picture and are not in the library; seconds since the oldest completed.

    Recovery's own predicate, and what waits in the queue for its saving counts too.
    """
    row = conn.execute(
        f"""
        SELECT count(*), extract(epoch FROM clock_timestamp() - min(completed_at))::float8 FROM (
            SELECT j.completed_at FROM public.jobs j WHERE {recoveries.NOT_IN_LIBRARY}
            ORDER BY j.created_at LIMIT %(most)s) waiting
        """,
        {**look.values, "most": MOST_COUNTED},
        prepare=False,
    ).fetchone()
    return _backlog(row)


def at_risk(conn: Connection, *, within: timedelta, result_seconds: Mapping[str, int]) -> Backlog:
    """Paid results that are not with us and may be deleted `within` that time; seconds until the first one is."""
    risk = recoveries.at_risk(conn, within=within, result_seconds=result_seconds, most=MOST_COUNTED)
    seconds = None if risk.nearest is None else (risk.nearest - datetime.now(UTC)).total_seconds()
    return Backlog(number=risk.count, seconds=seconds)


def workers_alive(conn: Connection, *, within: float) -> int:
    """Workers that were heard of in the last `within` seconds."""
    row = conn.execute(
        """
        SELECT count(*) FROM studio.workers
        WHERE stopped_at IS NULL AND beat_at > clock_timestamp() - make_interval(secs => %s)
        """,
        (within,),
    ).fetchone()
    return int(row[0]) if row else 0


def paused(conn: Connection) -> frozenset[str]:
    """The providers that rest now."""
    rows = conn.execute(
        "SELECT provider FROM studio.provider_state WHERE paused_until > clock_timestamp() LIMIT 100"
    ).fetchall()
    return frozenset(row[0] for row in rows)


def schema_version(conn: Connection) -> str:
    """The newest migration that was applied, its 14 digits."""
    row = conn.execute("SELECT coalesce(max(version), '') FROM studio.schema_migrations").fetchone()
    return str(row[0]) if row else ""


def _backlog(row: tuple[int, float | None] | None) -> Backlog:
    return Backlog(number=row[0], seconds=row[1]) if row else Backlog(number=0, seconds=None)
