"""studio.character_members: with whom an owner shares one character. Every write is a function of the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from core.db import Connection
from core.values import CharacterId, PersonId


@dataclass(frozen=True, kw_only=True)
class MemberRow:
    """Somebody who works on a character; `name` is what they sign in with, `added_at` None for its owner."""

    person: PersonId
    name: str
    is_owner: bool
    can_edit: bool
    is_editor: bool
    added_at: datetime | None


def of_character(conn: Connection, character_id: CharacterId) -> list[MemberRow]:
    """The owner, then the members by name. Raises NotFound where this connection's person may not read it."""
    with conn.cursor(row_factory=class_row(MemberRow)) as cursor:
        return cursor.execute(
            "SELECT person, name, is_owner, can_edit, is_editor, added_at FROM studio.members_of(%s)",
            (character_id,),
        ).fetchall()


def owner_name(conn: Connection, character_id: CharacterId) -> str:
    """What the owner of a character signs in with; empty where this connection's person may not read it."""
    row = conn.execute("SELECT name FROM studio.owners_named(ARRAY[%s::uuid])", (character_id,)).fetchone()
    return row[0] if row else ""


def add(conn: Connection, character_id: CharacterId, email: str, *, can_edit: bool) -> PersonId:
    """Add the editor who signs in with that address, or change them; who they are.

    Raises NotAllowed, NotFound (NO_SUCH_EDITOR), BadRequest (NOT_ONESELF), Conflict (TOO_MANY_MEMBERS).
    """
    row = conn.execute("SELECT studio.add_member(%s, %s, %s)", (character_id, email, can_edit)).fetchone()
    assert row is not None  # noqa: S101 — a SELECT without FROM has one row
    return row[0]


def change(conn: Connection, character_id: CharacterId, member: PersonId, *, can_edit: bool) -> None:
    """Whether a member may change the character. Raises NotAllowed, NotFound, BadRequest."""
    conn.execute("SELECT studio.change_member(%s, %s, %s)", (character_id, member, can_edit))


def remove(conn: Connection, character_id: CharacterId, member: PersonId) -> bool:
    """Take a member out; False where they were out already. Raises NotAllowed, NotFound."""
    row = conn.execute("SELECT studio.remove_member(%s, %s)", (character_id, member)).fetchone()
    return bool(row and row[0])


def leave(conn: Connection, character_id: CharacterId) -> bool:
    """Take this connection's person out; False where they were no member. Raises NotAllowed."""
    row = conn.execute("SELECT studio.leave_character(%s)", (character_id,)).fetchone()
    return bool(row and row[0])
