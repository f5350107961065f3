"""What the demo world writes past the use cases: other writers' rows, rows from before the studio came, accidents, and
the time that has passed since (core/demo). Nothing else may call this.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from core.db import Connection
from core.values import CharacterId, JobId, PersonId

MADE, BEGUN = "demo_world_made", "demo_world_begun"
_TABLES: tuple[LiteralString, ...] = (
    "public.jobs",
    "public.workspace_assets",
    "public.user_library",
    "public.character_portraits",
    "public.characters",
    "studio.cost_entries",
)


@contextlib.contextmanager
def before_the_studio(conn: Connection) -> Generator[None]:
    """What is written here is seen by none of our triggers: rows that stood before the studio was installed, and what
    was done to them by hand. Keys and checks hold all the same. The owner of the tables may; nobody need be superuser.
    """
    for name in _TABLES:
        conn.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER")
    yield
    conn.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for name in _TABLES:
        conn.execute(f"ALTER TABLE {name} ENABLE TRIGGER USER")


def become_the_platform(conn: Connection) -> None:
    """From here to its end this transaction is one of the platform's edge functions: its role, without our mark."""
    conn.execute(
        "SELECT set_config('role', 'service_role', true), set_config('studio.writer', 'platform', true)"
    )


# -- is there a world already -----------------------------------------------------------------------------------------


def made(conn: Connection) -> Mapping[str, object] | None:
    """The manifest of the demo world that stands here, None where none was finished."""
    row = conn.execute(
        "SELECT after FROM studio.audit_events WHERE action = %s ORDER BY id DESC LIMIT 1", (MADE,)
    ).fetchone()
    return row[0] if row else None


def is_begun(conn: Connection) -> bool:
    """Whether a demo world was ever begun here."""
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM studio.audit_events WHERE action = %s)", (BEGUN,)
    ).fetchone()
    return bool(row and row[0])


def holds_characters(conn: Connection, but: Sequence[PersonId]) -> bool:
    """Whether anybody but these people has a character here, removed ones included."""
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM public.characters WHERE user_id <> ALL(%s))", (list(but),)
    ).fetchone()
    return bool(row and row[0])


def one_at_a_time(conn: Connection) -> None:
    """Two who make a demo world at once: the second waits, until this transaction ends."""
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('demo_world', 0))")


def insert_person(conn: Connection, person: PersonId, email: str, roles: Sequence[str]) -> None:
    """Somebody of the cast, with their roles; nothing where they stand."""
    conn.execute(
        """
        INSERT INTO auth.users (id, email, raw_app_meta_data) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
        """,
        (person, email, json.dumps({"roles": list(roles)})),
    )


def insert_slow_model(conn: Connection, *, like: UUID, key: str, name: str, stuck_after: int) -> UUID:
    """A copy of the model `like` that may be silent for `stuck_after` seconds and serves no task by itself."""
    row = conn.execute(
        """
        INSERT INTO public.api_models (provider_id, display_name, model_key, modality, capabilities, is_active, priority,
            input_defaults, default_for_tasks)
        SELECT m.provider_id, %(name)s, %(key)s, m.modality, m.capabilities || jsonb_build_object('stuck_after', %(limit)s::integer),
            true, 0, m.input_defaults, '{}'
        FROM public.api_models m WHERE m.id = %(like)s RETURNING id
        """,
        {"like": like, "key": key, "name": name, "limit": stuck_after},
    ).fetchone()
    assert row is not None  # noqa: S101 - the model it is made like stands
    return row[0]


# -- the queue, without its engine ------------------------------------------------------------------------------------


def take_entries(conn: Connection, job_id: JobId) -> None:
    """A job's queue entries: whoever calls does the work itself, or the queue lost them."""
    conn.execute("DELETE FROM studio_queue.pgqueuer WHERE payload = %s", (str(job_id).encode(),))


def hold_entry(conn: Connection, job_id: JobId) -> None:
    """A job's entry is in the hands of a worker."""
    conn.execute(
        """
        UPDATE studio_queue.pgqueuer SET status = 'picked', heartbeat = now(), updated = now() WHERE payload = %s
        """,
        (str(job_id).encode(),),
    )


# -- time that has passed ---------------------------------------------------------------------------------------------


def date_job(conn: Connection, job_id: JobId, *, asked_at: datetime, seconds: float) -> None:
    """A job and all that hangs on it happened at `asked_at` and took `seconds`. Inside `before_the_studio`."""
    values = {"job": job_id, "at": asked_at, "took": seconds}
    for statement in _DATED:
        conn.execute(statement, values)


_STARTED = "%(at)s + interval '2 seconds'"
_ENDED = "%(at)s + interval '2 seconds' + make_interval(secs => %(took)s)"
_DATED: tuple[LiteralString, ...] = (
    f"""
    UPDATE public.jobs SET created_at = %(at)s, started_at = CASE WHEN started_at IS NOT NULL THEN {_STARTED} END,
        completed_at = CASE WHEN completed_at IS NOT NULL THEN {_ENDED} END,
        heartbeat_at = CASE WHEN heartbeat_at IS NOT NULL THEN {_ENDED} END
    WHERE id = %(job)s
    """,
    f"UPDATE public.workspace_assets SET created_at = {_ENDED} WHERE job_id = %(job)s",
    f"UPDATE public.user_library SET created_at = {_ENDED} WHERE job_id = %(job)s",
    f"""
    UPDATE public.character_portraits SET created_at = {_ENDED}, updated_at = {_ENDED} WHERE job_id = %(job)s
    """,
    f"""
    UPDATE studio.job_events SET at = CASE WHEN to_status IN ('completed', 'failed', 'cancelled') THEN {_ENDED}
        WHEN to_status = 'processing' THEN {_STARTED} ELSE %(at)s END WHERE job_id = %(job)s
    """,
    f"""
    UPDATE studio.submissions SET submitted_at = {_STARTED},
        received_at = CASE WHEN received_at IS NOT NULL THEN {_STARTED} END,
        settled_at = CASE WHEN settled_at IS NOT NULL THEN {_ENDED} END
    WHERE job_id = %(job)s
    """,
    f"""
    UPDATE studio.cost_entries SET at = CASE kind WHEN 'estimated' THEN %(at)s ELSE {_ENDED} END WHERE job_id = %(job)s
    """,
    "UPDATE studio.attribute_jobs SET asked_at = %(at)s WHERE job_id = %(job)s",
)


def follow_newest(conn: Connection, character_id: CharacterId) -> None:
    """Among the portraits a character has left the newest is the primary one, and its picture. Inside
    `before_the_studio`.
    """
    conn.execute(
        """
        UPDATE public.character_portraits p SET is_primary = p.id = (
            SELECT o.id FROM public.character_portraits o WHERE o.character_id = p.character_id AND o.deleted_at IS NULL
            ORDER BY o.created_at DESC, o.id LIMIT 1)
        WHERE p.character_id = %s
        """,
        (character_id,),
    )
    conn.execute(
        """
        UPDATE public.characters c SET image_url = p.image_url,
            reference_image_url = CASE WHEN c.reference_is_auto THEN p.image_url ELSE c.reference_image_url END
        FROM public.character_portraits p
        WHERE c.id = %s AND p.character_id = c.id AND p.is_primary
        """,
        (character_id,),
    )


def undated(conn: Connection, owners: Sequence[PersonId], *, since: datetime) -> list[JobId]:
    """Completed jobs of the cast that are still as young as they were made, in the order they were asked for."""
    rows = conn.execute(
        """
        SELECT id FROM public.jobs WHERE user_id = ANY(%s) AND status = 'completed' AND created_at >= %s ORDER BY created_at, id
        """,
        (list(owners), since),
    ).fetchall()
    return [JobId(row[0]) for row in rows]


def silence(conn: Connection, job_id: JobId, *, since: datetime) -> None:
    """Nobody was heard of about a job since that moment. Inside `before_the_studio`."""
    conn.execute(
        """
        UPDATE public.jobs SET heartbeat_at = CASE WHEN heartbeat_at IS NOT NULL THEN %(since)s::timestamptz END,
            started_at = CASE WHEN started_at IS NOT NULL THEN %(since)s::timestamptz END
        WHERE id = %(job)s
        """,
        {"job": job_id, "since": since},
    )


def date_character(conn: Connection, character_id: CharacterId, *, made_at: datetime) -> None:
    """A character was made at that moment. Inside `before_the_studio`."""
    conn.execute("UPDATE public.characters SET created_at = %s WHERE id = %s", (made_at, character_id))


def settle_rows(conn: Connection, owners: Sequence[PersonId], *, at: datetime) -> None:
    """The cast's characters, portraits and scenes and every attribute image were last touched at that moment, or earlier.
    Inside `before_the_studio`.
    """
    values = {"at": at, "owners": list(owners)}
    for statement in _TOUCHED:
        conn.execute(statement, values)


_THEIRS: LiteralString = "SELECT c.id FROM public.characters c WHERE c.user_id = ANY(%(owners)s)"
_TOUCHED: tuple[LiteralString, ...] = (
    "UPDATE public.characters SET updated_at = least(updated_at, %(at)s) WHERE user_id = ANY(%(owners)s)",
    f"UPDATE public.character_portraits SET updated_at = least(updated_at, %(at)s) WHERE character_id IN ({_THEIRS})",
    f"UPDATE public.character_scenes SET updated_at = least(updated_at, %(at)s) WHERE character_id IN ({_THEIRS})",
    "UPDATE public.attribute_images SET updated_at = least(updated_at, %(at)s)",
    "UPDATE public.style_images SET updated_at = least(updated_at, %(at)s)",
)


def expire_result(conn: Connection, job_id: JobId, *, at: datetime) -> None:
    """Its provider said until when it keeps the result."""
    conn.execute("UPDATE studio.submissions SET result_expires_at = %s WHERE job_id = %s", (at, job_id))


def silence_worker(conn: Connection, worker_id: UUID, *, since: datetime) -> None:
    """A worker that was last heard of at that moment."""
    conn.execute(
        "UPDATE studio.workers SET beat_at = %(since)s, started_at = %(since)s::timestamptz - interval '6 hours' WHERE id = %(id)s",
        {"since": since, "id": worker_id},
    )


# -- defects ----------------------------------------------------------------------------------------------------------

_LIBRARY: LiteralString = "UPDATE public.user_library SET {} WHERE job_id = %(job)s"
_OF_CHARACTER: LiteralString = """
    UPDATE public.characters SET image_url = {} WHERE id = (SELECT character_id FROM public.jobs WHERE id = %(job)s)
"""
BREAKS: Mapping[str, tuple[str, ...]] = {
    "NOT_COMPLETED": (
        "UPDATE public.jobs SET status = 'processing', completed_at = NULL, stage = 'saving' WHERE id = %(job)s",
    ),
    "NO_COMPLETION_TIME": ("UPDATE public.jobs SET completed_at = NULL WHERE id = %(job)s",),
    "NO_ASSET": ("DELETE FROM public.workspace_assets WHERE job_id = %(job)s",),
    "WORKSPACE_FOREIGN_PATH": (
        "UPDATE public.workspace_assets SET temp_storage_path = %(stranger)s || '/' || job_id::text || '_1.png' WHERE job_id = %(job)s",
    ),
    "NO_LIBRARY_ROW": ("DELETE FROM public.user_library WHERE job_id = %(job)s",),
    "KEPT_OUT": (
        "UPDATE public.jobs SET stage = 'not_saved' WHERE id = %(job)s",
        "DELETE FROM public.user_library WHERE job_id = %(job)s",
        "DELETE FROM public.character_portraits WHERE job_id = %(job)s",
    ),
    "WRONG_OWNER": (_LIBRARY.format("user_id = %(stranger)s::uuid"),),
    "WRONG_TYPE": (_LIBRARY.format("""roleplay_metadata = roleplay_metadata || '{"type": "scene"}'"""),),
    "WRONG_CHARACTER": (_LIBRARY.format("roleplay_metadata = roleplay_metadata - 'character_id'"),),
    "WRONG_TAGS": (_LIBRARY.format("tags = '{favourite,portrait}'"),),
    "FOREIGN_PATH": (_LIBRARY.format("storage_path = %(stranger)s || '/portraits/borrowed.png'"),),
    "RECORD_DIFFERS": (_LIBRARY.format("sha256 = repeat('0', 64), file_size_bytes = 5"),),
    "NO_THUMBNAIL": (_LIBRARY.format("thumbnail_path = NULL"),),
    "THUMBNAIL_FOREIGN_PATH": (
        _LIBRARY.format("thumbnail_path = %(stranger)s || '/portraits/borrowed.webp'"),
    ),
    "NO_PORTRAIT": ("DELETE FROM public.character_portraits WHERE job_id = %(job)s",),
    "PORTRAIT_ELSEWHERE": (
        "UPDATE public.character_portraits SET character_id = %(other)s::uuid, is_primary = false WHERE job_id = %(job)s",
    ),
    "PORTRAIT_NOT_STABLE": (
        "UPDATE public.character_portraits SET image_url = 'https://fal.media/files/demo/' || job_id::text || '.png' WHERE job_id = %(job)s",
    ),
    "NO_PRIMARY": ("UPDATE public.character_portraits SET is_primary = false WHERE job_id = %(job)s",),
    "NO_IMAGE": (_OF_CHARACTER.format("NULL"),),
    "IMAGE_NOT_STABLE": (_OF_CHARACTER.format("%(signed)s"),),
    "IMAGE_DIFFERS": (
        _OF_CHARACTER.format("'user-library/' || user_id::text || '/portraits/' || id::text || '/older.png'"),
    ),
    "NOT_SAVED": (
        "UPDATE public.jobs SET stage = 'saving' WHERE id = %(job)s",
        "DELETE FROM public.user_library WHERE job_id = %(job)s",
        "DELETE FROM public.character_portraits WHERE job_id = %(job)s",
    ),
    "ROWS_LOST": (
        "DELETE FROM public.user_library WHERE job_id = %(job)s",
        "DELETE FROM public.character_portraits WHERE job_id = %(job)s",
    ),
    "NEVER_RECORDED": (
        "UPDATE public.jobs SET status = 'processing', completed_at = NULL, stage = 'drawing' WHERE id = %(job)s",
        "DELETE FROM public.user_library WHERE job_id = %(job)s",
        "DELETE FROM public.character_portraits WHERE job_id = %(job)s",
    ),
    "FAILED_WITH_RESULT": (
        """
        UPDATE public.jobs SET status = 'failed', stage = NULL, error_code = 'TIMED_OUT',
            error_message = 'A clean-up of the platform ended this job after ten minutes.' WHERE id = %(job)s
        """,
        "DELETE FROM public.user_library WHERE job_id = %(job)s",
        "DELETE FROM public.character_portraits WHERE job_id = %(job)s",
    ),
    "NAMES_NOBODY": (
        """
        UPDATE public.jobs SET character_id = NULL, stage = NULL,
            metadata = metadata - 'character_id' || jsonb_build_object('character_name', %(name)s::text) WHERE id = %(job)s
        """,
        "DELETE FROM public.user_library WHERE job_id = %(job)s",
        "DELETE FROM public.character_portraits WHERE job_id = %(job)s",
    ),
    "NOT_PUBLISHED": (
        "UPDATE public.jobs SET stage = 'saving' WHERE id = %(job)s",
        "DELETE FROM public.attribute_images WHERE job_id = %(job)s",
    ),
    "BEGUN_THRICE": (
        "UPDATE public.jobs SET attempts = 3, status = 'processing', heartbeat_at = now(), started_at = now() WHERE id = %(job)s",
    ),
}
"""What an accident does to one job's rows, by its name."""


def break_rows(conn: Connection, accident: str, job_id: JobId, **values: object) -> None:
    """Let one accident happen to a job. Inside `before_the_studio`."""
    for statement in BREAKS[accident]:
        conn.execute(statement.encode(), {"job": job_id} | values)


# -- the platform's own rows, inside `become_the_platform` -----------------------------------------------------------


def platform_character(
    conn: Connection, character_id: CharacterId, user: PersonId, *, name: str, description: str, rating: str
) -> None:
    """A character that the platform's own form wrote."""
    conn.execute(
        """
        INSERT INTO public.characters (id, user_id, name, description, content_rating) VALUES (%s, %s, %s, %s, %s)
        """,
        (character_id, user, name, description, rating),
    )


def platform_job(
    conn: Connection,
    job_id: JobId,
    user: PersonId,
    *,
    status: str,
    asked_at: datetime,
    metadata: Mapping[str, object],
) -> None:
    """A portrait job as the platform's edge functions write one."""
    conn.execute(
        """
        INSERT INTO public.jobs (id, user_id, job_type, status, original_prompt, metadata, created_at, started_at, completed_at)
        VALUES (%(id)s, %(user)s, 'fal_image', %(status)s, 'a portrait', %(about)s, %(at)s, %(at)s,
                CASE WHEN %(status)s = 'completed' THEN %(at)s::timestamptz + interval '9 seconds' END)
        """,
        {
            "id": job_id,
            "user": user,
            "status": status,
            "about": json.dumps({"destination": "character_portrait", **metadata}),
            "at": asked_at,
        },
    )


def platform_asset(
    conn: Connection, job_id: JobId, user: PersonId, *, path: str, size: int, at: datetime
) -> None:
    """Its fresh result."""
    conn.execute(
        """
        INSERT INTO public.workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type, file_size_bytes, created_at)
        VALUES (%s, %s, 'image', 'workspace-temp/' || %s, 'image/png', %s, %s)
        """,
        (user, job_id, path, size, at),
    )


def platform_library_row(
    conn: Connection, user: PersonId, character_id: CharacterId, *, path: str, size: int, at: datetime
) -> None:
    """Its permanent copy, in the platform's own path form and without a thumbnail."""
    conn.execute(
        """
        INSERT INTO public.user_library (user_id, asset_type, storage_path, mime_type, tags, roleplay_metadata, file_size_bytes,
            created_at)
        VALUES (%(user)s, 'image', %(path)s, 'image/png', '{character,portrait}',
            jsonb_build_object('type', 'character_portrait', 'character_id', %(character)s::text), %(size)s, %(at)s)
        """,
        {"user": user, "path": path, "character": character_id, "size": size, "at": at},
    )


def platform_picture(conn: Connection, character_id: CharacterId, path: str) -> None:
    """The platform shows a library picture of a character, which then gets its portrait row by our trigger."""
    conn.execute(
        "UPDATE public.characters SET image_url = 'user-library/' || %s WHERE id = %s", (path, character_id)
    )


def move_back(conn: Connection, job_id: JobId) -> None:
    """The platform tries a move that is none: a completed job begins again."""
    conn.execute("UPDATE public.jobs SET status = 'processing' WHERE id = %s", (job_id,))


def set_preview(conn: Connection, character_id: CharacterId, address: str) -> None:
    """The platform stores an address, whatever it is, as a character's preview picture."""
    conn.execute("UPDATE public.characters SET preview_image_url = %s WHERE id = %s", (address, character_id))


def set_reference(conn: Connection, character_id: CharacterId, address: str) -> None:
    """The platform stores an address, whatever it is, as a character's reference."""
    conn.execute(
        "UPDATE public.characters SET reference_image_url = %s WHERE id = %s", (address, character_id)
    )
