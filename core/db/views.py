"""studio.saved_views: what people keep of the dashboard under a name. Writes are the functions' of the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from core.db import Connection

MOST = 300  # of one page that are listed


@dataclass(frozen=True, kw_only=True)
class View:
    """A page and the rest of its address, under a name; `shared` with everybody who has a role."""

    id: UUID
    owner: UUID
    name: str = field(repr=False)
    page: str
    address: str = field(repr=False)
    shared: bool
    changed_at: datetime


def of_page(conn: Connection, page: str) -> list[View]:
    """The views of a page that this person may see, by name."""
    with conn.cursor(row_factory=class_row(View)) as cursor:
        return cursor.execute(
            """
            SELECT id, owner, name, page, address, shared, changed_at FROM studio.saved_views
            WHERE page = %s ORDER BY lower(name), id LIMIT %s
            """,
            (page, MOST),
        ).fetchall()


def save(conn: Connection, page: str, name: str, address: str, *, shared: bool) -> tuple[UUID, bool]:
    """Keep a view; True where it took the place of one of that name. Raises NotAllowed, TooMany."""
    row = conn.execute(
        "SELECT id, replaced FROM studio.save_view(%s, %s, %s, %s)", (page, name, address, shared)
    ).fetchone()
    assert row is not None  # noqa: S101 - the function returns one row or raises
    return row[0], bool(row[1])


def change(conn: Connection, view_id: UUID, name: str, *, shared: bool) -> None:
    """Rename a view, or share it or not. Raises NotAllowed, NotFound, Conflict."""
    conn.execute("SELECT studio.change_view(%s, %s, %s)", (view_id, name, shared))


def remove(conn: Connection, view_id: UUID) -> None:
    """Delete a view. Raises NotAllowed, NotFound."""
    conn.execute("SELECT studio.remove_view(%s)", (view_id,))
