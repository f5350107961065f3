"""Which character a portrait job belongs to that does not name one."""

from __future__ import annotations

from collections.abc import Sequence
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
                   OR (studio.name_of_job(j.metadata) = lower(btrim(c.name))
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


def unmatched(conn: Connection, *, limit: int = 200) -> Sequence[JobId]:
    """Completed portraits with a result and without a character, that no person was asked about yet."""
    rows = conn.execute(
        """
        SELECT j.id FROM public.jobs j
        WHERE j.character_id IS NULL AND (j.metadata ->> 'destination') = 'character_portrait'
          AND j.status = 'completed' AND studio.name_of_job(j.metadata) IS NOT NULL
          AND EXISTS (SELECT FROM public.workspace_assets a WHERE a.job_id = j.id)
          AND EXISTS (SELECT FROM public.characters c WHERE c.user_id = j.user_id AND c.deleted_at IS NULL
                      AND lower(btrim(c.name)) = studio.name_of_job(j.metadata))
          AND NOT EXISTS (SELECT FROM studio.findings f WHERE f.rule = 'job.which_character'
                          AND f.table_name = 'jobs' AND f.row_id = j.id::text)
        ORDER BY j.created_at DESC LIMIT %s
        """,
        (limit,),
    ).fetchall()
    return [JobId(row[0]) for row in rows]
