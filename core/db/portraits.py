"""public.character_portraits: image versions of a character, one of them primary."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import RowMaker

from core.db import Connection, said_in
from core.values import Asset, CharacterId, Job, JobId, PersonId, Portrait, PortraitId

BIN_DAYS = 7  # a removed portrait can be brought back so long, or longer (SPEC "Data", character_portraits)
_BIN_SINCE = """
    now() - make_interval(days => coalesce((SELECT k.days FROM studio.kept_days k WHERE k.kind = 'bin'), %(days)s))
"""
COLUMNS = """
    p.id, p.character_id, p.job_id, p.image_url, p.thumbnail_url, p.prompt, p.enhanced_prompt, p.generation_metadata,
    p.is_primary, p.primary_pinned, p.sort_order, p.seed, p.width, p.height, p.created_at, p.deleted_at
"""


def as_portrait(_cursor: Cursor[Any]) -> RowMaker[Portrait]:
    """Row factory for COLUMNS."""

    def make(row: Sequence[Any]) -> Portrait:
        return Portrait(
            id=row[0],
            character_id=row[1],
            job_id=row[2],
            image_url=row[3],
            thumbnail_url=row[4],
            prompt=row[5],
            enhanced_prompt=row[6],
            metadata=said_in(row[7]),
            is_primary=row[8],
            primary_pinned=row[9],
            sort_order=row[10],
            seed=row[11],
            width=row[12],
            height=row[13],
            created_at=row[14],
            deleted_at=row[15],
        )

    return make


def get(conn: Connection, portrait_id: PortraitId) -> Portrait | None:
    """One portrait, tombstones included, or None where there is none this connection may see."""
    with conn.cursor(row_factory=as_portrait) as cursor:
        return cursor.execute(
            f"SELECT {COLUMNS} FROM public.character_portraits p WHERE p.id = %s", (portrait_id,)
        ).fetchone()


def of_job(conn: Connection, job_id: JobId) -> Portrait | None:
    """The portrait a job made, tombstones included."""
    with conn.cursor(row_factory=as_portrait) as cursor:
        return cursor.execute(
            f"SELECT {COLUMNS} FROM public.character_portraits p WHERE p.job_id = %s", (job_id,)
        ).fetchone()


def count(conn: Connection, character_id: CharacterId) -> tuple[int, int]:
    """How many portraits a character shows, and how many lie in its bin."""
    row = conn.execute(
        f"""
        SELECT count(*) FILTER (WHERE deleted_at IS NULL), count(*) FILTER (WHERE deleted_at > {_BIN_SINCE})
        FROM public.character_portraits WHERE character_id = %(character)s
        """,
        {"days": BIN_DAYS, "character": character_id},
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def in_bin(conn: Connection, character_id: CharacterId, *, limit: int) -> list[Portrait]:
    """The portraits that were removed and are not past the bin's days, the last one first."""
    with conn.cursor(row_factory=as_portrait) as cursor:
        return cursor.execute(
            f"""
            SELECT {COLUMNS} FROM public.character_portraits p
            WHERE p.character_id = %(character)s AND p.deleted_at > {_BIN_SINCE}
            ORDER BY p.deleted_at DESC, p.id LIMIT %(limit)s
            """,
            {"days": BIN_DAYS, "character": character_id, "limit": limit},
        ).fetchall()


def of_ids(conn: Connection, ids: Sequence[UUID]) -> list[Portrait]:
    """The portraits of these ids that this connection may see and that were not removed, in the order of `ids`."""
    with conn.cursor(row_factory=as_portrait) as cursor:
        return cursor.execute(
            f"""
            SELECT {COLUMNS} FROM public.character_portraits p
            JOIN unnest(%s::uuid[]) WITH ORDINALITY AS wanted(id, place) ON wanted.id = p.id
            WHERE p.deleted_at IS NULL ORDER BY wanted.place
            """,
            (list(ids),),
        ).fetchall()


def of_character(conn: Connection, character_id: CharacterId, *, limit: int = 200) -> list[Portrait]:
    """The portraits to show, in the order a person gave them, newest first where none was given."""
    with conn.cursor(row_factory=as_portrait) as cursor:
        return cursor.execute(
            f"""
            SELECT {COLUMNS} FROM public.character_portraits p
            WHERE p.character_id = %s AND p.deleted_at IS NULL
            ORDER BY p.sort_order, p.created_at DESC, p.id LIMIT %s
            """,
            (character_id, limit),
        ).fetchall()


def ids_of_character(
    conn: Connection, character_id: CharacterId, *, limit: int
) -> list[tuple[PortraitId, bool]]:
    """The ids `of_character` would show, in that order, and of each whether it is the primary."""
    return conn.execute(
        """
        SELECT p.id, p.is_primary FROM public.character_portraits p
        WHERE p.character_id = %s AND p.deleted_at IS NULL
        ORDER BY p.sort_order, p.created_at DESC, p.id LIMIT %s
        """,
        (character_id, limit),
    ).fetchall()


def jobs_shown(conn: Connection, job_ids: Sequence[JobId]) -> set[JobId]:
    """Those of these jobs whose portrait is shown already."""
    rows = conn.execute(
        "SELECT job_id FROM public.character_portraits WHERE job_id = ANY(%s) AND deleted_at IS NULL",
        (list(job_ids),),
    ).fetchall()
    return {row[0] for row in rows}


def should_be_primary(conn: Connection, job: Job, character_id: CharacterId) -> bool:
    """SPEC "Primary": the first, or a newer one by its job's time, unless pinned or the job was cancelled."""
    row = conn.execute(
        """
        SELECT NOT %(cancelled)s AND NOT EXISTS (
            SELECT FROM public.character_portraits p
            LEFT JOIN public.jobs j ON j.id = p.job_id
            WHERE p.character_id = %(character)s AND p.is_primary AND p.deleted_at IS NULL
              AND (p.primary_pinned OR coalesce(j.created_at, p.created_at) > %(asked)s))
        """,
        {"cancelled": job.cancel_requested, "character": character_id, "asked": job.created_at},
    ).fetchone()
    return bool(row and row[0])


def insert(
    conn: Connection,
    job: Job,
    asset: Asset,
    character_id: CharacterId,
    *,
    image_url: str,
    thumbnail_url: str | None,
    metadata: Mapping[str, object],
    primary: bool,
) -> bool:
    """The portrait row of a job, once; False where it stands already (a tombstone counts).

    It stands before those already there: sort_order is one less than the smallest.
    """
    cursor = conn.execute(
        """
        INSERT INTO public.character_portraits
            (character_id, job_id, image_url, thumbnail_url, prompt, enhanced_prompt, generation_metadata, is_primary,
             sort_order, seed, width, height, sha256, phash)
        SELECT %(character)s, %(job)s, %(image)s, %(thumbnail)s, %(words)s, %(prompt)s, %(metadata)s, %(primary)s,
               coalesce((SELECT min(sort_order) - 1 FROM public.character_portraits WHERE character_id = %(character)s), 0),
               %(seed)s, %(width)s, %(height)s, %(sha256)s, %(phash)s
        WHERE NOT EXISTS (SELECT FROM studio.removed_portraits WHERE job_id = %(job)s)
        ON CONFLICT (job_id) WHERE job_id IS NOT NULL DO NOTHING
        """,
        {
            "character": character_id,
            "job": job.id,
            "image": image_url,
            "thumbnail": thumbnail_url,
            "words": job.metadata.get("own_words") or None,
            "prompt": job.prompt,
            "metadata": json.dumps(metadata),
            "primary": primary,
            "seed": asset.seed,
            "width": asset.width,
            "height": asset.height,
            "sha256": asset.sha256,
            "phash": asset.phash,
        },
    )
    return cursor.rowcount == 1


def pin_primary(conn: Connection, portrait_id: PortraitId) -> bool:
    """A person chose this one: primary, and newer ones do not take over. The trigger demotes the others."""
    cursor = conn.execute(
        """
        UPDATE public.character_portraits SET is_primary = true, primary_pinned = true, updated_at = now()
        WHERE id = %s AND deleted_at IS NULL
        """,
        (portrait_id,),
    )
    return cursor.rowcount == 1


def hide(conn: Connection, portrait_id: PortraitId, by: PersonId) -> bool:
    """A tombstone: removed on purpose. The trigger hands the primary on."""
    cursor = conn.execute(
        """
        UPDATE public.character_portraits SET deleted_at = now(), deleted_by = %s, updated_at = now()
        WHERE id = %s AND deleted_at IS NULL
        """,
        (by, portrait_id),
    )
    return cursor.rowcount == 1


def show_again(conn: Connection, portrait_id: PortraitId, *, primary: bool) -> bool:
    """Undo of `hide`; primary again where it was the primary or none is left."""
    cursor = conn.execute(
        """
        UPDATE public.character_portraits p
        SET deleted_at = NULL, deleted_by = NULL, updated_at = now(),
            is_primary = %(primary)s OR NOT EXISTS (
                SELECT FROM public.character_portraits o WHERE o.character_id = p.character_id AND o.is_primary),
            primary_pinned = p.primary_pinned AND %(primary)s
        WHERE p.id = %(id)s AND p.deleted_at IS NOT NULL
        """,
        {"id": portrait_id, "primary": primary},
    )
    return cursor.rowcount == 1


def reorder(conn: Connection, character_id: CharacterId, ids: Sequence[UUID]) -> None:
    """Give the named portraits of this character that order; others keep theirs, behind them."""
    conn.execute(
        """
        UPDATE public.character_portraits p SET sort_order = wanted.place, updated_at = now()
        FROM (SELECT id, place - 100000 AS place FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS o(id, place)) wanted
        WHERE p.id = wanted.id AND p.character_id = %(character)s AND p.sort_order IS DISTINCT FROM wanted.place
        """,
        {"character": character_id, "ids": list(ids)},
    )
