"""A small library with every defect that a scan of it must find, and the innocent look-alikes that it must not."""

from __future__ import annotations

import io
import os
import time
from uuid import uuid4

import psycopg
from PIL import Image, ImageDraw

from core.storage import LIBRARY, WORKSPACE

LONG_AGO = time.time() - 3 * 86_400
OWN_HOST = "project.supabase.co"


def by_hand(services, statement, *values):
    """A change past every trigger, as an accident would make it."""
    with psycopg.connect(services.db.dsn, autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica")
        return conn.execute(statement, values).rowcount


def settle(services):
    """Everything was written an hour ago: nothing is still on its way."""
    for table, columns in {
        "public.user_library": ("created_at",),
        "public.workspace_assets": ("created_at",),
        "public.character_portraits": ("created_at", "updated_at"),
        "public.characters": ("created_at", "updated_at"),
        "public.character_scenes": ("created_at", "updated_at"),
        "studio.reference_uploads": ("uploaded_at",),
    }.items():
        changed = ", ".join(f"{column} = {column} - interval '1 hour'" for column in columns)
        by_hand(services, f"UPDATE {table} SET {changed}")


def age(services, bucket, path, at=LONG_AGO):
    """An object was written long ago."""
    os.utime(services.settings.home / "objects" / bucket / path, (at, at))


def rows_of(services, job_id):
    """Paths inside their buckets: the library's picture and thumbnail, and the workspace's picture."""
    with services.db.as_service() as conn:
        row = conn.execute(
            """
            SELECT l.storage_path, l.thumbnail_path, a.temp_storage_path FROM public.user_library l
            JOIN public.workspace_assets a ON a.job_id = l.job_id WHERE l.job_id = %s
            """,
            (job_id,),
        ).fetchone()
    assert row is not None
    return row


def a_picture(seed=1, *, kind="PNG", quality=95, side=256):
    """A picture that looks like no other one of another seed."""
    image = Image.new("RGB", (side, side), (seed * 37 % 255, seed * 91 % 255, 120))
    draw = ImageDraw.Draw(image)
    for place in range(14):
        x, y = (seed * 53 + place * 97) % side, (seed * 29 + place * place * 31) % side
        draw.ellipse(
            (x - 40, y - 30, x + 25, y + 45), fill=((place * 61 + seed) % 255, (x * y) % 255, y % 255)
        )
    out = io.BytesIO()
    image.save(out, kind, **({"quality": quality} if kind == "JPEG" else {}))
    return out.getvalue()


def stray(services, owner, *, bucket=WORKSPACE, name=None, data=b"an object"):
    """An old object that no row names."""
    path = f"{owner}/{name or f'{uuid4()}_1.png'}"
    services.storage.put(bucket, path, data, "image/png")
    age(services, bucket, path)
    return path


def a_library_row(services, owner, character_id, *, data, prompt="a prompt", name=None, phash=None):
    """A library row of the platform's, with its object; its path."""
    path = name or f"{owner}/portraits/{character_id}/{uuid4()}.png"
    services.storage.put(LIBRARY, path, data, "image/png")
    by_hand(
        services,
        """
        INSERT INTO public.user_library (user_id, asset_type, storage_path, file_size_bytes, mime_type, original_prompt,
            roleplay_metadata, phash, tags, created_at)
        VALUES (%s, 'image', %s, %s, 'image/png', %s, jsonb_build_object('character_id', %s::text), %s,
            '{character,portrait}', now() - interval '1 hour')
        """,
        owner, path, len(data), prompt, str(character_id), phash,
    )  # fmt: skip
    return path
