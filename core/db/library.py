"""public.user_library: the permanent copies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from core.db import Connection
from core.values import Asset, CharacterId, Job, JobId, PersonId


@dataclass(frozen=True, kw_only=True)
class LibraryQuery:
    """What a page of the library shows; None means any. `words` is a tsquery of the configuration `simple`."""

    words: str | None = field(default=None, repr=False)
    only_characters: bool = False
    tag: str | None = None
    model: str | None = None
    seed: int | None = None
    character_id: CharacterId | None = None
    since: datetime | None = None
    until: datetime | None = None
    is_bin: bool = False


@dataclass(frozen=True, kw_only=True)
class LibraryRow:
    """A saved picture. Paths are inside the bucket user-library; `at` is when it was saved or, in the bin, deleted."""

    id: UUID
    user_id: PersonId
    storage_path: str
    thumbnail_path: str | None
    mime_type: str
    size: int
    prompt: str = field(repr=False)
    model: str | None
    seed: int | None
    width: int | None
    height: int | None
    tags: list[str]
    character_id: str | None
    character_name: str | None
    job_id: JobId | None
    created_at: datetime
    at: datetime


def insert(
    conn: Connection,
    job: Job,
    asset: Asset,
    *,
    owner: PersonId,
    path: str,
    thumbnail_path: str | None,
    tags: Sequence[str],
    about: Mapping[str, object],
) -> bool:
    """The library row of a job, once; False where it stands already. `about` becomes roleplay_metadata."""
    cursor = conn.execute(
        """
        INSERT INTO public.user_library
            (user_id, asset_type, storage_path, thumbnail_path, file_size_bytes, mime_type, original_prompt, model_used,
             generation_seed, width, height, tags, roleplay_metadata, content_category, job_id, sha256, phash, blank)
        VALUES (%(owner)s, 'image', %(path)s, %(thumbnail)s, %(size)s, %(type)s, %(prompt)s, %(model)s,
                %(seed)s, %(width)s, %(height)s, %(tags)s, %(about)s, 'character', %(job)s, %(sha256)s, %(phash)s, %(blank)s)
        ON CONFLICT (job_id) WHERE job_id IS NOT NULL DO NOTHING
        """,
        {
            "owner": owner,
            "path": path,
            "thumbnail": thumbnail_path,
            "size": asset.file_size,
            "type": asset.media_type,
            "prompt": job.prompt,
            "model": job.metadata.get("model_key"),
            "seed": asset.seed,
            "width": asset.width,
            "height": asset.height,
            "tags": list(tags),
            "about": json.dumps(about),
            "job": job.id,
            "sha256": asset.sha256,
            "phash": asset.phash,
            "blank": asset.blank,
        },
    )
    return cursor.rowcount == 1


def was_removed(conn: Connection, job_id: JobId) -> bool:
    """Whether the item of a job was deleted for good, and none stands."""
    row = conn.execute(
        """
        SELECT EXISTS (SELECT FROM studio.removed_items WHERE job_id = %(job)s)
           AND NOT EXISTS (SELECT FROM public.user_library WHERE job_id = %(job)s)
        """,
        {"job": job_id},
    ).fetchone()
    return bool(row and row[0])


def holds_path(conn: Connection, path: str) -> bool:
    """True where this connection may see a library row with that path (inside the bucket)."""
    row = conn.execute(
        "SELECT 1 FROM public.user_library WHERE storage_path = %s AND deleted_at IS NULL LIMIT 1", (path,)
    ).fetchone()
    return row is not None


def path_of(conn: Connection, item: UUID) -> str | None:
    """The path inside the bucket of a library item that this connection may see, None where there is none."""
    row = conn.execute(
        "SELECT storage_path FROM public.user_library WHERE id = %s AND deleted_at IS NULL", (item,)
    ).fetchone()
    return row[0] if row else None


def search(
    conn: Connection, query: LibraryQuery, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[LibraryRow]:
    """A page, the newest first; `after` is (at, id) of the last row of the page before. At most 1,001 rows."""
    before, before_id = after or (None, None)
    with conn.cursor(row_factory=class_row(LibraryRow)) as cursor:
        return cursor.execute(
            """
            SELECT l.id, l.user_id, l.storage_path, l.thumbnail_path, l.mime_type, l.file_size_bytes AS size,
                   coalesce(l.original_prompt, '') AS prompt, l.model_used AS model, l.generation_seed AS seed,
                   l.width, l.height, coalesce(l.tags, '{}') AS tags,
                   l.roleplay_metadata ->> 'character_id' AS character_id,
                   l.roleplay_metadata ->> 'character_name' AS character_name, l.job_id, l.created_at, found.at
            FROM studio.search_library(%(words)s, %(only_characters)s, %(tag)s, %(model)s, %(seed)s, %(character)s,
                   %(since)s, %(until)s, %(is_bin)s, %(before)s, %(before_id)s, %(limit)s) found
            JOIN public.user_library l ON l.id = found.id
            ORDER BY found.at DESC, l.id DESC
            """,
            {
                "words": query.words,
                "only_characters": query.only_characters,
                "tag": query.tag,
                "model": query.model,
                "seed": query.seed,
                "character": query.character_id,
                "since": query.since,
                "until": query.until,
                "is_bin": query.is_bin,
                "before": before,
                "before_id": before_id,
                "limit": limit,
            },
        ).fetchall()


def count(conn: Connection, query: LibraryQuery, *, most: int) -> int:
    """How many rows a query finds, `most` at the utmost."""
    row = conn.execute(
        """
        SELECT count(*) FROM studio.search_library(%s, %s, %s, %s, %s, %s, %s, %s, %s, NULL, NULL, %s)
        """,
        (
            query.words, query.only_characters, query.tag, query.model, query.seed, query.character_id,
            query.since, query.until, query.is_bin, most,
        ),
    ).fetchone()  # fmt: skip
    assert row is not None  # noqa: S101 — count has one row
    return int(row[0])


def retag(
    conn: Connection, ids: Sequence[UUID], *, added: Sequence[str], removed: Sequence[str]
) -> set[UUID]:
    """Add and remove tags of rows this person may change; the ids that were found."""
    rows = conn.execute(
        """
        UPDATE public.user_library l SET tags = (
            SELECT coalesce(array_agg(tag ORDER BY place), '{}') FROM (
                SELECT tag, min(place) AS place
                FROM unnest(coalesce(l.tags, '{}') || %(added)s::text[]) WITH ORDINALITY AS t (tag, place)
                WHERE tag <> ALL (%(removed)s::text[]) GROUP BY tag) kept)
        WHERE l.id = ANY (%(ids)s) AND l.deleted_at IS NULL RETURNING l.id
        """,
        {"ids": list(ids), "added": list(added), "removed": list(removed)},
    ).fetchall()
    return {row[0] for row in rows}


def hide(conn: Connection, ids: Sequence[UUID], by: PersonId) -> set[UUID]:
    """Put rows this person may change into the bin; the ids that were found."""
    rows = conn.execute(
        """
        UPDATE public.user_library SET deleted_at = now(), deleted_by = %s
        WHERE id = ANY (%s) AND deleted_at IS NULL RETURNING id
        """,
        (by, list(ids)),
    ).fetchall()
    return {row[0] for row in rows}


def show_again(conn: Connection, ids: Sequence[UUID]) -> set[UUID]:
    """Take rows out of the bin; the ids that were found."""
    rows = conn.execute(
        """
        UPDATE public.user_library SET deleted_at = NULL, deleted_by = NULL
        WHERE id = ANY (%s) AND deleted_at IS NOT NULL RETURNING id
        """,
        (list(ids),),
    ).fetchall()
    return {row[0] for row in rows}
