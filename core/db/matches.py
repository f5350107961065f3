"""Which character a portrait job belongs to that does not name one."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.rows import class_row

from core.db import Connection
from core.values import CharacterId, Job, JobId

RENAME_STANDS_AFTER = 60  # seconds (SPEC "Matching")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A character that may be meant. `by_file`: its picture is this job's; `is_newer`: made after the job was queued."""

    id: CharacterId
    by_file: bool
    is_newer: bool


def candidates(conn: Connection, job: Job) -> list[Candidate]:
    """Characters of the job's user that name its file or bear its name; a fresh rename does not count yet."""
    with conn.cursor(row_factory=class_row(Candidate)) as cursor:
        return cursor.execute(
            """
            SELECT c.id, c.created_at >= j.created_at AS is_newer,
                   j.id IN (studio.job_of_path(c.image_url), studio.job_of_path(c.reference_image_url)) IS TRUE AS by_file
            FROM public.jobs j JOIN public.characters c ON c.user_id = j.user_id AND c.deleted_at IS NULL
            WHERE j.id = %(job)s
              AND (j.id IN (studio.job_of_path(c.image_url), studio.job_of_path(c.reference_image_url))
                   OR (studio.name_of_job(j.metadata) = left(lower(btrim(c.name)), 200)
                       AND (c.named_at IS NULL OR c.named_at < now() - make_interval(secs => %(stands)s))))
            ORDER BY c.created_at LIMIT 20
            """,
            {"job": job.id, "stands": RENAME_STANDS_AFTER},
        ).fetchall()


def write(conn: Connection, job_id: JobId, character_id: CharacterId) -> None:
    """The match, on the job; the platform reads it in metadata."""
    conn.execute(
        """
        UPDATE public.jobs SET character_id = %(character)s,
            metadata = coalesce(metadata, '{}') || jsonb_build_object('character_id', %(character)s::text)
        WHERE id = %(job)s AND character_id IS NULL
        """,
        {"job": job_id, "character": character_id},
    )
