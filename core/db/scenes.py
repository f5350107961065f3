"""public.character_scenes, which the platform reads and writes too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row

from core.db import Connection, jobs
from core.values import CharacterId, Job, Scene, SceneId

COLUMNS = """
    s.id, s.character_id, s.scene_name, coalesce(s.scene_description, '') AS scene_description,
    coalesce(s.scene_prompt, '') AS scene_prompt, s.image_url, coalesce(s.scene_starters, '{}') AS scene_starters,
    coalesce(s.system_prompt, '') AS system_prompt, s.priority, s.updated_at
"""
EDITABLE = frozenset({"scene_name", "scene_description", "scene_prompt", "scene_starters", "system_prompt"})


def of_character(conn: Connection, character_id: CharacterId) -> list[Scene]:
    """In their order: the lowest priority first, then the oldest."""
    with conn.cursor(row_factory=class_row(Scene)) as cursor:
        return cursor.execute(
            f"""
            SELECT {COLUMNS} FROM public.character_scenes s WHERE s.character_id = %s
            ORDER BY s.priority, s.created_at, s.id
            """,
            (character_id,),
        ).fetchall()


def get(conn: Connection, scene_id: SceneId) -> Scene | None:
    """One scene, or None where this connection may see none."""
    with conn.cursor(row_factory=class_row(Scene)) as cursor:
        return cursor.execute(
            f"SELECT {COLUMNS} FROM public.character_scenes s WHERE s.id = %s", (scene_id,)
        ).fetchone()


def lock(conn: Connection, scene_id: SceneId) -> Scene | None:
    """One scene this connection may change, locked until the transaction ends; None where there is none."""
    with conn.cursor(row_factory=class_row(Scene)) as cursor:
        return cursor.execute(
            f"SELECT {COLUMNS} FROM public.character_scenes s WHERE s.id = %s FOR UPDATE", (scene_id,)
        ).fetchone()


def insert(conn: Connection, character_id: CharacterId, values: Mapping[str, object]) -> Scene:
    """A new scene behind the others; `values` name columns of EDITABLE."""
    names = sorted(values)
    statement = sql.SQL(
        """
        INSERT INTO public.character_scenes AS s (character_id, priority, {columns})
        SELECT %(_character)s, coalesce(max(o.priority) + 1, 0), {values}
        FROM public.character_scenes o WHERE o.character_id = %(_character)s
        RETURNING {returned}
        """
    ).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, names)),
        values=sql.SQL(", ").join(map(sql.Placeholder, names)),
        returned=sql.SQL(COLUMNS),  # pyright: ignore[reportArgumentType] — a constant of this module
    )
    with conn.cursor(row_factory=class_row(Scene)) as cursor:
        made = cursor.execute(statement, {**values, "_character": character_id}).fetchone()
    assert made is not None  # noqa: S101 — an aggregate has one row
    return made


def update(conn: Connection, scene_id: SceneId, values: Mapping[str, object]) -> Scene | None:
    """Write columns of EDITABLE; None where this connection may change no such scene."""
    statement = sql.SQL(
        "UPDATE public.character_scenes AS s SET {}, updated_at = now() WHERE s.id = {} RETURNING {}"
    ).format(
        sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in sorted(values)
        ),
        sql.Placeholder("_id"),
        sql.SQL(COLUMNS),  # pyright: ignore[reportArgumentType] — a constant of this module
    )
    with conn.cursor(row_factory=class_row(Scene)) as cursor:
        return cursor.execute(statement, {**values, "_id": scene_id}).fetchone()


def show_picture(conn: Connection, scene_id: SceneId, job: Job, image_url: str) -> bool:
    """The picture of a job (bucket/path) as its scene's; False where a picture asked for later stands there.

    A scene that was taken out meanwhile comes back with the picture.
    """
    about = {"scene": scene_id, "character": job.character_id, "image": image_url, "asked": job.created_at}
    conn.execute(
        """
        UPDATE studio.removed_scenes r SET scene = r.scene || jsonb_build_object('image_url', %(image)s::text)
        WHERE r.id = %(scene)s AND r.character_id = %(character)s
        """,
        about,
    )
    cursor = conn.execute(
        """
        UPDATE public.character_scenes s SET image_url = %(image)s, updated_at = now()
        WHERE s.id = %(scene)s AND s.character_id = %(character)s AND s.image_url IS DISTINCT FROM %(image)s
          AND NOT EXISTS (
            SELECT FROM public.jobs later
            WHERE later.character_id = s.character_id AND (later.metadata ->> 'destination') = 'character_scene'
              AND later.metadata ->> 'scene_id' = s.id::text AND later.stage = 'saved'
              AND NOT later.cancel_requested AND later.created_at > %(asked)s)
        """,
        about,
    )
    return cursor.rowcount == 1


def open_jobs(conn: Connection, character_id: CharacterId, *, limit: int = 60) -> list[Job]:
    """Jobs that are becoming pictures of scenes, or failed lately at it; the newest first."""
    with conn.cursor(row_factory=jobs.as_job) as cursor:
        return cursor.execute(
            f"""
            SELECT {jobs.COLUMNS} FROM public.jobs j
            WHERE j.character_id = %(character)s AND (j.metadata ->> 'destination') = 'character_scene'
              AND j.runner = 'studio'
              AND (j.status IN ('queued', 'processing')
                   OR (j.status = 'completed' AND j.stage = 'saving'
                       AND EXISTS (SELECT FROM public.workspace_assets a WHERE a.job_id = j.id))
                   OR (j.status = 'failed' AND j.created_at > now() - interval '7 days'
                       AND j.metadata ->> 'dismissed' IS NULL
                       AND NOT EXISTS (SELECT FROM public.jobs again WHERE again.retried_from = j.id)))
            ORDER BY j.created_at DESC LIMIT %(limit)s
            """,
            {"character": character_id, "limit": limit},
        ).fetchall()


def reorder(conn: Connection, character_id: CharacterId, ids: Sequence[UUID]) -> None:
    """Keep this order; scenes that are not named come behind, in the order they had."""
    conn.execute(
        """
        WITH placed AS (
            SELECT s.id, row_number() OVER (
                ORDER BY array_position(%(ids)s::uuid[], s.id) NULLS LAST, s.priority, s.created_at, s.id) - 1 AS place
            FROM public.character_scenes s WHERE s.character_id = %(character)s
        )
        UPDATE public.character_scenes s SET priority = placed.place, updated_at = now()
        FROM placed WHERE placed.id = s.id AND s.priority IS DISTINCT FROM placed.place
        """,
        {"ids": list(ids), "character": character_id},
    )


def remove(conn: Connection, scene_id: SceneId) -> bool:
    """Take it out and keep it for the undo; False where there is none this person may change."""
    row = conn.execute("SELECT studio.remove_scene(%s)", (scene_id,)).fetchone()
    return bool(row and row[0])


def bring_back(conn: Connection, scene_id: SceneId) -> bool:
    """Undo of `remove`; False where nothing is kept under that id."""
    row = conn.execute("SELECT studio.restore_scene(%s)", (scene_id,)).fetchone()
    return bool(row and row[0])
