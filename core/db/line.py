"""The line of pictures that wait or are made (studio.line)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from psycopg.rows import class_row

from core.db import Connection
from core.values import CharacterId, JobId, PersonId


@dataclass(frozen=True, kw_only=True)
class LineRow:
    """A job that is not over. What this person may not read is None; `place` counts from 1 among those that wait."""

    id: JobId
    user_id: PersonId | None
    kind: str  # public.jobs.job_type
    character_id: CharacterId | None
    character_name: str | None
    provider: str | None
    model: str | None
    status: str
    stage: str | None
    progress: float | None
    queue_position: int | None
    place: int | None
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    prompt: str | None = field(repr=False)
    mine: bool
    may_read: bool


def read(conn: Connection, *, limit: int) -> list[LineRow]:
    """Those being made first, then those that wait in their order; raises NotAllowed for a customer."""
    with conn.cursor(row_factory=class_row(LineRow)) as cursor:
        return cursor.execute("SELECT * FROM studio.line(%s)", (limit,)).fetchall()
