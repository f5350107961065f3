"""public.workspace_assets: fresh results in temporary storage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from psycopg import Cursor
from psycopg.rows import RowMaker

from core.db import Connection, said_in
from core.values import Asset, Job, JobId, PersonId, Picture

COLUMNS = """
    a.id, a.job_id, a.user_id, a.temp_storage_path, a.thumbnail_path, a.mime_type, a.file_size_bytes,
    a.generation_seed, a.generation_settings, a.sha256, a.phash, a.blank, a.cleaned_at
"""


def _inside(path: str) -> str:
    """The path inside the bucket: other writers put the bucket's name in front at times."""
    return path.removeprefix("workspace-temp/")


def _side(said: object) -> int | None:
    """Pixels where a number was said; other writers say anything."""
    return said if isinstance(said, int) and not isinstance(said, bool) else None


def as_asset(_cursor: Cursor[Any]) -> RowMaker[Asset]:
    """Row factory for COLUMNS."""

    def make(row: Sequence[Any]) -> Asset:
        settings = said_in(row[8])
        return Asset(
            id=row[0],
            job_id=row[1],
            user_id=row[2],
            path=_inside(row[3]),
            thumbnail_path=_inside(row[4]) if row[4] else None,
            media_type=row[5],
            file_size=row[6],
            seed=row[7],
            width=_side(settings.get("width")),
            height=_side(settings.get("height")),
            sha256=row[9],
            phash=row[10],
            blank=row[11],
            cleaned_at=row[12],
        )

    return make


def first_of_job(conn: Connection, job_id: JobId) -> Asset | None:
    """The first result of a job, None where there is none."""
    with conn.cursor(row_factory=as_asset) as cursor:
        return cursor.execute(
            f"""
            SELECT {COLUMNS} FROM public.workspace_assets a
            WHERE a.job_id = %s AND a.asset_type = 'image' ORDER BY a.created_at, a.id LIMIT 1
            """,
            (job_id,),
        ).fetchone()


def insert_if_none(
    conn: Connection,
    job: Job,
    picture: Picture,
    *,
    owner: PersonId,
    path: str,
    thumbnail_path: str,
    seed: int | None,
) -> bool:
    """T4, under the job's row lock: the asset row, if the job has none. Its trigger completes the job."""
    cursor = conn.execute(
        """
        INSERT INTO public.workspace_assets
            (user_id, job_id, asset_type, temp_storage_path, thumbnail_path, mime_type, file_size_bytes,
             original_prompt, model_used, generation_seed, generation_settings, sha256, phash, blank)
        SELECT %(owner)s, %(job)s, 'image', %(path)s, %(thumbnail)s, %(type)s, %(size)s, %(prompt)s, %(model)s, %(seed)s,
               %(settings)s, %(sha256)s, %(phash)s, %(blank)s
        WHERE NOT EXISTS (SELECT FROM public.workspace_assets WHERE job_id = %(job)s)
        """,
        {
            "owner": owner,
            "job": job.id,
            "path": path,
            "thumbnail": thumbnail_path,
            "type": picture.media_type,
            "size": len(picture.data),
            "prompt": job.prompt,
            "model": job.metadata.get("model_key"),
            "seed": seed,
            "settings": json.dumps({**job.metadata, "width": picture.width, "height": picture.height}),
            "sha256": picture.sha256,
            "phash": picture.phash,
            "blank": picture.blank,
        },
    )
    return cursor.rowcount == 1
