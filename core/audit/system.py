"""How the installation stands: workers, what was told, and one test portrait on its way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from core.db import Connection
from core.values import JobId


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One worker; `is_alive` where it was heard of within the time that was asked about and did not leave."""

    id: UUID
    host: str
    pid: int
    started_at: datetime
    beat_at: datetime
    stopped_at: datetime | None
    is_alive: bool


@dataclass(frozen=True, kw_only=True)
class Notice:
    """News that was put on its way; `answer` is the receiver's last one, in words."""

    id: int
    made_at: datetime
    attempts: int
    sent_at: datetime | None
    given_up_at: datetime | None
    next_try_at: datetime
    answer: str


@dataclass(frozen=True, kw_only=True)
class TrialStand:
    """What the rows say of a test portrait. Paths are `bucket/path`; None where there is no such row yet."""

    character_id: UUID
    owner: UUID
    character: str
    status: str
    stage: str | None
    error_message: str | None
    asked_at: datetime
    completed_at: datetime | None
    library_id: UUID | None
    library_path: str | None
    library_type: str | None
    portrait_id: UUID | None
    is_primary: bool
    image_url: str | None
    removed_at: datetime | None


def workers(conn: Connection, *, within: float, limit: int = 50) -> Sequence[Worker]:
    """Those that live first, then those heard of last; `within` is in seconds."""
    with conn.cursor(row_factory=class_row(Worker)) as cursor:
        return cursor.execute(
            """
            SELECT id, host, pid, started_at, beat_at, stopped_at,
                stopped_at IS NULL AND beat_at > clock_timestamp() - make_interval(secs => %s) AS is_alive
            FROM studio.workers ORDER BY is_alive DESC, beat_at DESC, id LIMIT %s
            """,
            (within, limit),
        ).fetchall()


def notices(conn: Connection, *, limit: int = 20) -> Sequence[Notice]:
    """The newest news."""
    with conn.cursor(row_factory=class_row(Notice)) as cursor:
        return cursor.execute(
            """
            SELECT id, made_at, attempts, sent_at, given_up_at, next_try_at, coalesce(last_answer, '') AS answer
            FROM studio.health_notices ORDER BY made_at DESC, id DESC LIMIT %s
            """,
            (limit,),
        ).fetchall()


def trial_stand(conn: Connection, job_id: JobId) -> TrialStand | None:
    """What there is of a test portrait, None where there is no such job or none this connection may see."""
    with conn.cursor(row_factory=class_row(TrialStand)) as cursor:
        return cursor.execute(
            """
            SELECT c.id AS character_id, c.user_id AS owner, coalesce(c.name, '') AS character, j.status, j.stage,
                j.error_message, j.created_at AS asked_at, j.completed_at, l.id AS library_id,
                'user-library/' || l.storage_path AS library_path, l.roleplay_metadata ->> 'type' AS library_type,
                p.id AS portrait_id, coalesce(p.is_primary, false) AS is_primary, c.image_url,
                coalesce(c.deleted_at, p.deleted_at) AS removed_at
            FROM public.jobs j
            JOIN public.characters c ON c.id = j.character_id
            LEFT JOIN public.user_library l ON l.job_id = j.id
            LEFT JOIN public.character_portraits p ON p.job_id = j.id
            WHERE j.id = %s
            """,
            (job_id,),
        ).fetchone()
