"""studio.reference_uploads: pictures that people uploaded to be matched, and who confirmed the rights to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from core.db import Connection
from core.values import CharacterId, PersonId


@dataclass(frozen=True, kw_only=True)
class StoredReference:
    """A row of studio.reference_uploads that was not erased; `path` is inside the bucket reference_images."""

    id: UUID
    owner: PersonId
    character_id: CharacterId
    path: str
    sha256: str
    media_type: str
    width: int
    height: int
    uploaded_at: datetime
    rights_confirmed_by: PersonId
    rights_confirmed_at: datetime


def keep(
    conn: Connection,
    character_id: CharacterId,
    *,
    sha256: str,
    media_type: str,
    file_size: int,
    width: int,
    height: int,
) -> UUID:
    """The row of an upload in the name of this connection's person, who confirmed the rights; once for one picture.

    Raises NotAllowed, NotFound.
    """
    row = conn.execute(
        "SELECT studio.keep_reference(%s, %s, %s, %s, %s, %s)",
        (character_id, sha256, media_type, file_size, width, height),
    ).fetchone()
    assert row is not None  # noqa: S101 — a SELECT without FROM has one row
    return row[0]


def erase(conn: Connection, reference_id: UUID) -> str:
    """Erase an upload and take it off the characters that follow it; its path, also the second time.

    Raises NotFound.
    """
    row = conn.execute("SELECT studio.erase_reference(%s)", (reference_id,)).fetchone()
    assert row is not None  # noqa: S101 — a SELECT without FROM has one row
    return row[0]


def get(conn: Connection, reference_id: UUID) -> StoredReference | None:
    """One upload that this connection may see, None where there is none or it was erased."""
    with conn.cursor(row_factory=class_row(StoredReference)) as cursor:
        return cursor.execute(
            """
            SELECT id, owner, character_id, path, sha256, media_type, width, height, uploaded_at,
                   rights_confirmed_by, rights_confirmed_at
            FROM studio.reference_uploads WHERE id = %s AND deleted_at IS NULL
            """,
            (reference_id,),
        ).fetchone()


def holds_path(conn: Connection, path: str) -> bool:
    """True where this connection may see an upload with that path (inside the bucket)."""
    row = conn.execute(
        "SELECT 1 FROM studio.reference_uploads WHERE path = %s AND deleted_at IS NULL", (path,)
    ).fetchone()
    return row is not None


def recent(
    conn: Connection, person: PersonId, *, owner: PersonId | None = None, limit: int
) -> list[StoredReference]:
    """The last uploads, newest first: those in the folder of `owner`, or where None those by or of `person`."""
    with conn.cursor(row_factory=class_row(StoredReference)) as cursor:
        return cursor.execute(
            """
            SELECT id, owner, character_id, path, sha256, media_type, width, height, uploaded_at,
                   rights_confirmed_by, rights_confirmed_at
            FROM studio.reference_uploads
            WHERE deleted_at IS NULL
              AND (owner = %(owner)s OR (%(owner)s::uuid IS NULL AND (owner = %(person)s OR uploaded_by = %(person)s)))
            ORDER BY uploaded_at DESC, id DESC LIMIT %(limit)s
            """,
            {"owner": owner, "person": person, "limit": limit},
        ).fetchall()
