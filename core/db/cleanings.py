"""Which objects of the bucket workspace-temp may go, and that they went (SPEC "When things go wrong by themselves")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from psycopg.rows import class_row

from core.db import Connection


class Key(NamedTuple):
    """Where a page of results ends."""

    created_at: datetime
    id: UUID


@dataclass(frozen=True, kw_only=True)
class Result:
    """A result whose object may go, as far as its rows say. Paths are inside their buckets.

    `library_path` is its permanent copy, `original_path` the one of an attribute image; both None where a person
    discarded the result. `is_alone`: no other row that
    still needs it names the same object. `names_its_job`: the object's name names no other job.
    """

    id: UUID
    user_id: UUID
    path: str
    thumbnail_path: str | None
    file_size: int
    sha256: str | None
    created_at: datetime
    library_owner: UUID | None
    library_path: str | None
    original_path: str | None
    is_alone: bool
    names_its_job: bool

    @property
    def key(self) -> Key:
        """Its place among the pages."""
        return Key(self.created_at, self.id)


_OLD = """
    public.workspace_assets a
    LEFT JOIN public.user_library l ON l.job_id = a.job_id AND l.deleted_at IS NULL
    LEFT JOIN public.jobs j ON j.id = a.job_id AND j.job_type = 'attribute_image' AND j.stage = 'saved'
    LEFT JOIN LATERAL (
        SELECT i.original FROM public.attribute_images i WHERE i.job_id = j.id AND i.original IS NOT NULL
        UNION ALL
        SELECT s.original FROM public.style_images s WHERE s.job_id = j.id AND s.original IS NOT NULL
        UNION ALL
        SELECT v.original FROM studio.attribute_image_versions v
        WHERE v.job_id = j.id AND v.original IS NOT NULL
        LIMIT 1) kept ON true
    WHERE a.cleaned_at IS NULL AND a.created_at < now() - %(old)s::interval
      AND (l.id IS NOT NULL OR kept.original IS NOT NULL
           OR (a.deleted_by IS NOT NULL AND a.deleted_at < now() - %(old)s::interval))
"""
"""Results that are saved or were discarded by a person, and old enough."""


def count_old(conn: Connection, *, older_than: timedelta, most: int) -> int:
    """How many results `page` would find in all, counted to `most`."""
    row = conn.execute(
        f"SELECT count(*) FROM (SELECT FROM {_OLD} LIMIT %(most)s) counted",
        {"old": older_than, "most": most},
        prepare=False,
    ).fetchone()
    return int(row[0]) if row else 0


def page(
    conn: Connection, *, older_than: timedelta, after: Key | None = None, limit: int = 200
) -> list[Result]:
    """The next results behind `after`, the oldest first, that are saved or were discarded by a person, and old enough.

    A discard counts from the moment it was made: until then it may be taken back.
    """
    with conn.cursor(row_factory=class_row(Result)) as cursor:
        return cursor.execute(
            f"""
            SELECT a.id, a.user_id, studio.inside_workspace(a.temp_storage_path) AS path,
                studio.inside_workspace(a.thumbnail_path) AS thumbnail_path, a.file_size_bytes AS file_size, a.sha256,
                a.created_at,
                l.user_id AS library_owner, regexp_replace(l.storage_path, '^user-library/', '') AS library_path,
                regexp_replace(kept.original, '^attribute-originals/', '') AS original_path,
                NOT EXISTS (
                    SELECT FROM public.workspace_assets other
                    WHERE studio.inside_workspace(other.temp_storage_path) = studio.inside_workspace(a.temp_storage_path)
                      AND other.id <> a.id AND other.cleaned_at IS NULL
                      AND other.job_id IS DISTINCT FROM a.job_id) AS is_alone,
                coalesce(studio.job_of_path(a.temp_storage_path), a.job_id) IS NOT DISTINCT FROM a.job_id AS names_its_job
            FROM {_OLD}
              AND (%(at)s::timestamptz IS NULL OR (a.created_at, a.id) > (%(at)s, %(id)s::uuid))
            ORDER BY a.created_at, a.id LIMIT %(limit)s
            """,
            {
                "old": older_than,
                "at": after.created_at if after else None,
                "id": after.id if after else None,
                "limit": limit,
            },
            prepare=False,
        ).fetchall()


def mark_cleaned(conn: Connection, asset_id: UUID) -> bool:
    """The row remembers that its object went; False where it did before."""
    cursor = conn.execute(
        "UPDATE public.workspace_assets SET cleaned_at = now() WHERE id = %s AND cleaned_at IS NULL",
        (asset_id,),
    )
    return cursor.rowcount == 1


def without_row(conn: Connection, paths: Sequence[str]) -> list[str]:
    """Which of these objects (paths inside workspace-temp) no result names, as its picture or its thumbnail."""
    rows = conn.execute(
        r"""
        SELECT object.path FROM unnest(%(paths)s::text[]) AS object (path)
        WHERE NOT EXISTS (SELECT FROM public.workspace_assets a
                          WHERE studio.inside_workspace(a.temp_storage_path) = object.path)
          AND NOT EXISTS (SELECT FROM public.workspace_assets a
                          WHERE a.job_id = studio.job_of_path(object.path)
                            AND (studio.inside_workspace(a.thumbnail_path) = object.path
                                 OR regexp_replace(studio.inside_workspace(a.temp_storage_path), '\.[^./]*$', '.thumb.webp')
                                    = object.path))
        """,
        {"paths": list(paths)},
    ).fetchall()
    return [row[0] for row in rows]
