"""studio.attribute_options: what a team adds to the catalogue's attribute options, and which ones are switched off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from core.db import Connection


@dataclass(frozen=True, kw_only=True)
class OptionRow:
    """A row. Without `prompt_words` it only says whether a shipped option is active."""

    category: str
    value: str
    label: str | None
    prompt_words: str | None
    aliases: list[str]
    tags: list[str]
    active: bool
    place: int
    changed_by: UUID
    changed_at: datetime


def all_rows(conn: Connection) -> list[OptionRow]:
    """Every row by its place, then the oldest first; none for a person without a role."""
    with conn.cursor(row_factory=class_row(OptionRow)) as cursor:
        return cursor.execute(
            """
            SELECT category, value, label, prompt_words, aliases, tags, active, place, changed_by, changed_at
            FROM studio.attribute_options ORDER BY place, added_at, category, value
            """
        ).fetchall()


def add(
    conn: Connection,
    category: str,
    value: str,
    *,
    label: str,
    words: str,
    aliases: Sequence[str],
    tags: Sequence[str],
) -> None:
    """A new option. Raises NotAllowed, BadRequest, PolicyRefused, Conflict (`OPTION_EXISTS`)."""
    conn.execute(
        "SELECT studio.add_attribute_option(%s, %s, %s, %s, %s::text[], %s::text[])",
        (category, value, label, words, list(aliases), list(tags)),
    )


def switch(conn: Connection, category: str, value: str, *, active: bool, why: str) -> bool:
    """On or off; False where it stood so already. Raises NotAllowed, BadRequest."""
    row = conn.execute(
        "SELECT studio.switch_attribute_option(%s, %s, %s, %s)", (category, value, active, why)
    ).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return bool(row[0])
