"""Which character a portrait job belongs to that does not name one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from psycopg.rows import class_row

from core.db import Connection
from core.values import CharacterId, Job, JobId, PersonId

RULE = "job.which_character"  # the finding by which QA is asked
RENAME_STANDS_AFTER = 60  # seconds (SPEC "Matching")

_JOB = (  # as the indexes have it
    "(?:^|/)([0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})(?:_[^/]*)?(?:\\.thumb)?\\.[A-Za-z0-9]+(?:\\?.*)?$"
)


def job_in(column: LiteralString) -> LiteralString:
    """The job that a picture's address names, as a lower-case text that an index finds."""
    return "lower(substring(" + column + " from '" + _JOB + "'))"


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
                   OR (studio.name_of_job(j.metadata) = studio.plain_name(c.name)
                       AND (c.named_at IS NULL OR c.named_at < now() - make_interval(secs => %(stands)s))))
            ORDER BY c.created_at LIMIT 20
            """,
            {"job": job.id, "stands": RENAME_STANDS_AFTER},
        ).fetchall()


def of_user(conn: Connection, character_id: CharacterId, job: Job) -> bool | None:
    """Whether this character belongs to the job's user; None where there is no such character."""
    row = conn.execute(
        "SELECT user_id = %s FROM public.characters WHERE id = %s AND deleted_at IS NULL",
        (job.user_id, character_id),
    ).fetchone()
    return None if row is None else bool(row[0])


def mend(conn: Connection, job_id: JobId, by: PersonId | None) -> None:
    """The question which character it is has its answer; `by` None: the rule found it."""
    conn.execute(
        """
        UPDATE studio.findings SET mended_by = %s, mended_at = clock_timestamp()
        WHERE rule = %s AND table_name = 'jobs' AND row_id = %s AND mended_at IS NULL
        """,
        (by, RULE, str(job_id)),
    )


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
