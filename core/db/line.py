"""The line of pictures that wait or are made (studio.line)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

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


def changeable(conn: Connection, character_ids: Sequence[CharacterId]) -> set[UUID]:
    """Those of the characters that the person of this connection owns, or edits as a member."""
    rows = conn.execute(
        """
        SELECT c.id FROM public.characters c
        WHERE c.id = ANY(%s) AND (c.user_id = auth.uid() OR EXISTS (SELECT FROM studio.character_members m
            WHERE m.character_id = c.id AND m.user_id = auth.uid() AND m.can_edit))
        """,
        (list(character_ids),),
    ).fetchall()
    return {row[0] for row in rows}


def read(conn: Connection, *, limit: int) -> list[LineRow]:
    """Those being made first, then those that wait in their order; raises NotAllowed for a customer."""
    with conn.cursor(row_factory=class_row(LineRow)) as cursor:
        return cursor.execute("SELECT * FROM studio.line(%s)", (limit,)).fetchall()
