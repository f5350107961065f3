"""studio.character_versions: written by a trigger, read here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from core.db import Connection
from core.values import CharacterId, PersonId


@dataclass(frozen=True, kw_only=True)
class VersionRow:
    """One version: `changes` is {field: [before, after]}; `who` is None for the platform's own writes."""

    id: int
    version: int
    who: PersonId | None
    at: datetime
    changes: Mapping[str, list[Any]]


def of_character(
    conn: Connection, character_id: CharacterId, *, before: int | None = None, limit: int
) -> list[VersionRow]:
    """The newest first; `before` is the last id of the page above."""
    with conn.cursor(row_factory=class_row(VersionRow)) as cursor:
        return cursor.execute(
            """
            SELECT id, version, who, at, changes FROM studio.character_versions
            WHERE character_id = %(id)s AND (%(before)s::bigint IS NULL OR id < %(before)s)
            ORDER BY id DESC LIMIT %(limit)s
            """,
            {"id": character_id, "before": before, "limit": limit},
        ).fetchall()


def since(conn: Connection, character_id: CharacterId, version_id: int) -> list[VersionRow]:
    """All versions made after that one, the newest first."""
    with conn.cursor(row_factory=class_row(VersionRow)) as cursor:
        return cursor.execute(
            """
            SELECT id, version, who, at, changes FROM studio.character_versions
            WHERE character_id = %s AND id > %s ORDER BY id DESC
            """,
            (character_id, version_id),
        ).fetchall()


def get(conn: Connection, character_id: CharacterId, version_id: int) -> VersionRow | None:
    """One version of that character."""
    with conn.cursor(row_factory=class_row(VersionRow)) as cursor:
        return cursor.execute(
            """
            SELECT id, version, who, at, changes FROM studio.character_versions
            WHERE character_id = %s AND id = %s
            """,
            (character_id, version_id),
        ).fetchone()
