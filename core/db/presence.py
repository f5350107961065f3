"""Presence over NOTIFY: the one statement of it."""

from __future__ import annotations

from uuid import UUID

from core.db import Connection
from core.values import CharacterId


def tell(conn: Connection, page: UUID, character_id: CharacterId, op: str, name: str) -> bool:
    """Tell every open page that may see the character; False where this connection's person may not."""
    row = conn.execute(
        "SELECT studio.tell_presence(%s, %s, %s, %s)", (page, character_id, op, name)
    ).fetchone()
    return bool(row and row[0])
