"""studio.workers: which workers live."""

from __future__ import annotations

from uuid import UUID

from core.db import Connection


def beat(conn: Connection, worker_id: UUID, *, host: str, pid: int) -> None:
    """This worker lives."""
    conn.execute(
        """
        INSERT INTO studio.workers (id, host, pid) VALUES (%s, %s, %s)
        ON CONFLICT (id) DO UPDATE SET beat_at = clock_timestamp(), stopped_at = NULL
        """,
        (worker_id, host, pid),
    )


def stopped(conn: Connection, worker_id: UUID) -> None:
    """This worker left by itself."""
    conn.execute("UPDATE studio.workers SET stopped_at = clock_timestamp() WHERE id = %s", (worker_id,))


def any_alive(conn: Connection, *, within: float) -> bool:
    """True where some worker was heard of in the last `within` seconds."""
    row = conn.execute(
        """
        SELECT EXISTS (SELECT FROM studio.workers
                       WHERE stopped_at IS NULL AND beat_at > clock_timestamp() - make_interval(secs => %s))
        """,
        (within,),
    ).fetchone()
    return bool(row and row[0])


def is_alive_at(conn: Connection, host: str, *, within: float) -> bool:
    """True where a worker of that host was heard of in the last `within` seconds."""
    row = conn.execute(
        """
        SELECT EXISTS (SELECT FROM studio.workers
                       WHERE host = %s AND stopped_at IS NULL
                         AND beat_at > clock_timestamp() - make_interval(secs => %s))
        """,
        (host, within),
    ).fetchone()
    return bool(row and row[0])
