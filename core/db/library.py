"""public.user_library: the permanent copies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from uuid import UUID

from core.db import Connection
from core.values import Asset, Job, PersonId


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
