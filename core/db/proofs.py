"""studio.proof_runs and studio.proof_results: how far the proof has come and what it found; and the rows a repair
writes. What it asks stands in core/audit/autosave.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from core.audit.autosave import Outcome
from core.db import Connection
from core.values import CharacterId, JobId, PersonId

_KEPT_RUNS = 30
_COLUMNS = (
    "id, since, with_objects, started_at, cursor_at, cursor_id, expected, looked_at, broken, finished_at"
)


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A row of studio.proof_runs. The cursor is the last job that was looked at; both None before the first."""

    id: UUID
    since: datetime | None
    with_objects: bool
    started_at: datetime
    cursor_at: datetime | None
    cursor_id: UUID | None
    expected: int
    looked_at: int
    broken: int
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is to be written of a broken job. `object_codes` None: its objects were not looked at."""

    job_id: JobId
    ended_at: datetime
    row_codes: Sequence[str]
    object_codes: Sequence[str] | None


# -- runs ----------------------------------------------------------------------------------------------------------


def take(conn: Connection, *, with_objects: bool) -> bool:
    """Hold the right to run a proof of this kind for as long as `conn` lives; False where another process has it.

    `conn` is a connection of its own: a killed process loses it, and with it the right.
    """
    row = conn.execute(
        "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))",
        ("proof:objects" if with_objects else "proof:rows",),
    ).fetchone()
    return bool(row and row[0])


def moment(conn: Connection) -> datetime:
    """The database's clock: what a run measures by."""
    row = conn.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return row[0]


def begin(conn: Connection, *, since: datetime | None, with_objects: bool, expected: int) -> RunRow:
    """A new run; unfinished ones of its kind are given up with it, but for those a person waits for, and only the last
    runs are kept.
    """
    conn.execute(
        """
        DELETE FROM studio.proof_runs WHERE finished_at IS NULL AND with_objects = %s
          AND (asked_by IS NULL OR started_at < clock_timestamp() - interval '24 hours')
        """,
        (with_objects,),
    )
    conn.execute(
        """
        DELETE FROM studio.proof_runs WHERE id IN (
            SELECT id FROM studio.proof_runs ORDER BY started_at DESC OFFSET %s)
        """,
        (_KEPT_RUNS - 1,),
    )
    with conn.cursor(row_factory=class_row(RunRow)) as cursor:
        made = cursor.execute(
            f"""
            INSERT INTO studio.proof_runs (since, with_objects, expected) VALUES (%s, %s, %s) RETURNING {_COLUMNS}
            """,
            (since, with_objects, expected),
        ).fetchone()
    assert made is not None  # noqa: S101 - RETURNING of a plain insert
    return made


def unfinished(conn: Connection, *, with_objects: bool, whole: bool, hours: float) -> RunRow | None:
    """The run of this kind that did not come to its end, where it began within the last `hours`."""
    with conn.cursor(row_factory=class_row(RunRow)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_COLUMNS} FROM studio.proof_runs
            WHERE finished_at IS NULL AND with_objects = %(objects)s AND (since IS NULL) = %(whole)s
              AND started_at > clock_timestamp() - make_interval(secs => %(seconds)s)
            ORDER BY started_at DESC LIMIT 1
            """,
            {"objects": with_objects, "whole": whole, "seconds": hours * 3600},
        ).fetchone()


def get(conn: Connection, run_id: UUID) -> RunRow | None:
    """One run, None where it was given up for a newer one."""
    with conn.cursor(row_factory=class_row(RunRow)) as cursor:
        return cursor.execute(f"SELECT {_COLUMNS} FROM studio.proof_runs WHERE id = %s", (run_id,)).fetchone()


def advance(
    conn: Connection,
    run: RunRow,
    *,
    to: tuple[datetime, UUID],
    looked_at: int,
    broken: int,
    tally: Mapping[str, Mapping[str, int]],
) -> bool:
    """Move the cursor on and add what was counted; False where another process has moved it meanwhile."""
    cursor = conn.execute(
        """
        UPDATE studio.proof_runs r SET cursor_at = %(at)s, cursor_id = %(id)s, beat_at = clock_timestamp(),
            waits = false, trouble = NULL,
            looked_at = r.looked_at + %(looked)s, broken = r.broken + %(broken)s,
            tally = (
                SELECT coalesce(jsonb_object_agg(summed.name, summed.counts), '{}') FROM (
                    SELECT added.name, jsonb_object_agg(added.word, added.number) AS counts FROM (
                        SELECT c.key AS name, w.key AS word, sum(w.value::bigint) AS number
                        FROM (SELECT * FROM jsonb_each(r.tally) UNION ALL SELECT * FROM jsonb_each(%(tally)s)) c,
                             jsonb_each_text(c.value) w
                        GROUP BY c.key, w.key) added
                    GROUP BY added.name) summed)
        WHERE r.id = %(run)s AND r.cursor_id IS NOT DISTINCT FROM %(from)s::uuid
        """,
        {
            "run": run.id,
            "from": run.cursor_id,
            "at": to[0],
            "id": to[1],
            "looked": looked_at,
            "broken": broken,
            "tally": json.dumps(tally),
        },
    )
    return cursor.rowcount == 1


def finish(conn: Connection, run: RunRow) -> None:
    """The end of a run: what it did not find broken again is well, and its row goes."""
    values = {"started": run.started_at, "since": run.since}
    if run.with_objects:
        conn.execute(
            """
            UPDATE studio.proof_results SET object_codes = '{}'
            WHERE (objects_at IS NULL OR objects_at < %(started)s) AND cardinality(object_codes) > 0
              AND (%(since)s::timestamptz IS NULL OR ended_at >= %(since)s)
            """,
            values,
        )
    conn.execute(
        """
        DELETE FROM studio.proof_results
        WHERE rows_at < %(started)s AND cardinality(object_codes) = 0
          AND (%(since)s::timestamptz IS NULL OR ended_at >= %(since)s)
        """,
        values,
    )
    conn.execute(
        """
        UPDATE studio.proof_results SET row_codes = '{}'
        WHERE rows_at < %(started)s AND cardinality(row_codes) > 0
          AND (%(since)s::timestamptz IS NULL OR ended_at >= %(since)s)
        """,
        values,
    )
    conn.execute(
        """
        UPDATE studio.proof_runs SET finished_at = clock_timestamp(), beat_at = clock_timestamp(), waits = false,
            trouble = NULL WHERE id = %s
        """,
        (run.id,),
    )


def ask(conn: Connection, *, since: datetime | None, with_objects: bool) -> tuple[UUID, bool]:
    """A run for a worker, in the name of this connection's person; False where one for the same is under way."""
    row = conn.execute(
        "SELECT run_id, is_new FROM studio.ask_proof(%s, %s)", (since, with_objects)
    ).fetchone()
    assert row is not None  # noqa: S101 - the function returns one row or raises
    return row[0], row[1]


def start(conn: Connection, run_id: UUID) -> RunRow | None:
    """A worker begins (or goes on) with it; None where it has ended or is not kept any more."""
    with conn.cursor(row_factory=class_row(RunRow)) as cursor:
        return cursor.execute(
            f"""
            UPDATE studio.proof_runs SET waits = false, beat_at = clock_timestamp()
            WHERE id = %s AND finished_at IS NULL RETURNING {_COLUMNS}
            """,
            (run_id,),
        ).fetchone()


def stand_still(conn: Connection, run_id: UUID, why: str) -> None:
    """It could not go on, and why, in a sentence."""
    conn.execute("UPDATE studio.proof_runs SET trouble = %s WHERE id = %s", (why, run_id))


def remember(conn: Connection, run: RunRow, lines: Sequence[tuple[str, Mapping[Outcome, int]]]) -> None:
    """What the history keeps of a finished run, once."""
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO studio.health_history
                (run_id, check_name, since, with_objects, passed, failed, not_checked, not_applicable)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
            """,
            [
                (run.id, name, run.since, run.with_objects, *(sums.get(outcome, 0) for outcome in Outcome))
                for name, sums in lines
            ],
        )


def hold_repair(conn: Connection, job_id: JobId, *, wait: float) -> None:
    """Hold the right to repair a job for as long as `conn` (a connection of its own) lives; waits `wait` seconds for
    whoever has it, then Conflict.
    """
    conn.execute("SELECT set_config('lock_timeout', %s, false)", (f"{int(wait * 1000)}ms",))
    conn.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"repair:{job_id}",))


# -- results -------------------------------------------------------------------------------------------------------


def write(conn: Connection, found: Sequence[Found]) -> None:
    """What is broken, by job; `broken_since` stays what it was. In the order of ids, so that two never cross."""
    told = list({one.job_id: one for one in found}.values())
    conn.execute(
        """
        INSERT INTO studio.proof_results AS r (job_id, ended_at, row_codes, object_codes, objects_at)
        SELECT f.job, f.ended, string_to_array(f.rows, ','), coalesce(string_to_array(f.objects, ','), '{}'),
            CASE WHEN f.objects IS NOT NULL THEN clock_timestamp() END
        FROM unnest(%(jobs)s::uuid[], %(ends)s::timestamptz[], %(rows)s::text[], %(objects)s::text[])
            AS f (job, ended, rows, objects)
        ORDER BY f.job
        ON CONFLICT (job_id) DO UPDATE SET
            ended_at = excluded.ended_at, row_codes = excluded.row_codes, rows_at = clock_timestamp(),
            object_codes = CASE WHEN excluded.objects_at IS NULL THEN r.object_codes ELSE excluded.object_codes END,
            objects_at = coalesce(excluded.objects_at, r.objects_at)
        """,
        {
            "jobs": [one.job_id for one in told],
            "ends": [one.ended_at for one in told],
            "rows": [",".join(one.row_codes) for one in told],
            "objects": [None if one.object_codes is None else ",".join(one.object_codes) for one in told],
        },
    )


def forget(conn: Connection, job_id: JobId) -> None:
    """This job is well again."""
    conn.execute("DELETE FROM studio.proof_results WHERE job_id = %s", (job_id,))


# -- what a repair writes --------------------------------------------------------------------------------------------


def set_completion_time(conn: Connection, job_id: JobId) -> None:
    """When a completed job ended, where it does not say: when its result came, else its last known move."""
    conn.execute(
        """
        UPDATE public.jobs j SET completed_at = coalesce(
            (SELECT min(a.created_at) FROM public.workspace_assets a WHERE a.job_id = j.id),
            (SELECT max(e.at) FROM studio.job_events e WHERE e.job_id = j.id AND e.to_status = 'completed'),
            j.started_at, j.created_at)
        WHERE j.id = %s AND j.status = 'completed' AND j.completed_at IS NULL
        """,
        (job_id,),
    )


def library_row(conn: Connection, job_id: JobId) -> Mapping[str, Any] | None:
    """What a repair changes of a job's library row, as it stands."""
    row = conn.execute(
        f"""
        SELECT to_jsonb(shown) FROM (
            SELECT l.id, l.storage_path, l.thumbnail_path, l.file_size_bytes, l.sha256, l.roleplay_metadata, l.tags
            FROM public.user_library l WHERE l.id = ({_LIBRARY_OF_JOB})) shown
        """,
        {"job": job_id},
    ).fetchone()
    return row[0] if row else None


# By job_id, else the row of the platform whose path names the job.
_LIBRARY_OF_JOB = r"""
    SELECT found.id FROM (
        SELECT l.id, 0 AS place, l.created_at FROM public.user_library l WHERE l.job_id = %(job)s
        UNION ALL
        SELECT l.id, 1, l.created_at FROM public.user_library l
        JOIN public.jobs j ON j.id = %(job)s AND l.user_id = j.user_id
        WHERE l.job_id IS NULL AND lower(substring(l.storage_path from
            '(?:^|/)([0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})(?:_[^/]*)?\.[A-Za-z0-9]+$')) = %(job)s::text
    ) found ORDER BY found.place, found.created_at, found.id LIMIT 1
"""


def mark_portrait(
    conn: Connection, job_id: JobId, *, character_id: CharacterId | None, tags: Sequence[str]
) -> None:
    """A library row's type, character and tags as a portrait has them; what else it says stays."""
    conn.execute(
        f"""
        UPDATE public.user_library l SET asset_type = 'image',
            roleplay_metadata = coalesce(CASE jsonb_typeof(l.roleplay_metadata) WHEN 'object' THEN l.roleplay_metadata END, '{{}}')
                || jsonb_strip_nulls(jsonb_build_object('type', 'character_portrait', 'character_id', %(character)s::text)),
            tags = ARRAY(SELECT DISTINCT t FROM unnest(coalesce(l.tags, '{{}}') || %(tags)s::text[]) t ORDER BY t)
        WHERE l.id = ({_LIBRARY_OF_JOB})
        """,
        {"job": job_id, "character": character_id, "tags": list(tags)},
    )


def correct_record(conn: Connection, job_id: JobId, *, size: int, sha256: str) -> None:
    """The size (bytes) and hash a library row records, after its object was read."""
    conn.execute(
        f"""
        UPDATE public.user_library l SET file_size_bytes = %(size)s, sha256 = %(sha256)s
        WHERE l.id = ({_LIBRARY_OF_JOB})
        """,
        {"job": job_id, "size": size, "sha256": sha256},
    )


def name_thumbnail(conn: Connection, job_id: JobId, path: str) -> None:
    """The thumbnail's path inside the bucket, where library row or portrait name none."""
    conn.execute(
        f"UPDATE public.user_library l SET thumbnail_path = %(path)s WHERE l.thumbnail_path IS NULL AND l.id = ({_LIBRARY_OF_JOB})",
        {"job": job_id, "path": path},
    )
    conn.execute(
        "UPDATE public.character_portraits SET thumbnail_url = %s WHERE job_id = %s AND thumbnail_url IS NULL",
        (f"user-library/{path}", job_id),
    )


def show_library_picture(conn: Connection, job_id: JobId) -> None:
    """A job's portrait shows its library row's picture instead of an address that may expire."""
    conn.execute(
        f"""
        UPDATE public.character_portraits p
        SET image_url = 'user-library/' || regexp_replace(l.storage_path, '^user-library/', ''), updated_at = now()
        FROM public.user_library l
        WHERE p.job_id = %(job)s AND l.deleted_at IS NULL AND l.id = ({_LIBRARY_OF_JOB})
        """,
        {"job": job_id},
    )


def choose_primary(conn: Connection, character_id: CharacterId) -> None:
    """One primary: the pinned one, else the newest by its job, cancelled ones never. The trigger demotes the rest."""
    conn.execute(
        """
        UPDATE public.character_portraits SET is_primary = true WHERE id = (
            SELECT p.id FROM public.character_portraits p LEFT JOIN public.jobs j ON j.id = p.job_id
            WHERE p.character_id = %(character)s AND p.deleted_at IS NULL
              AND (p.is_primary OR NOT coalesce(j.cancel_requested, false))
              AND (p.is_primary OR NOT EXISTS (
                SELECT FROM public.character_portraits o WHERE o.character_id = %(character)s AND o.is_primary))
            ORDER BY p.primary_pinned DESC, coalesce(j.created_at, p.created_at) DESC, p.id LIMIT 1)
        """,
        {"character": character_id},
    )


def standing(conn: Connection, job_id: JobId, character_id: CharacterId | None) -> Mapping[str, Any]:
    """What a repair may change, as it stands now: for the audit's before and after. No prompt, no signed link."""
    row = conn.execute(
        f"""
        SELECT jsonb_build_object(
            'job', (SELECT jsonb_build_object('status', j.status, 'stage', j.stage, 'completed_at', j.completed_at)
                    FROM public.jobs j WHERE j.id = %(job)s),
            'assets', (SELECT count(*) FROM public.workspace_assets a WHERE a.job_id = %(job)s),
            'library', (SELECT jsonb_build_object('id', l.id, 'storage_path', l.storage_path,
                            'thumbnail_path', l.thumbnail_path, 'size', l.file_size_bytes, 'sha256', l.sha256,
                            'type', l.roleplay_metadata ->> 'type', 'character', l.roleplay_metadata ->> 'character_id',
                            'tags', l.tags)
                        FROM public.user_library l WHERE l.id = ({_LIBRARY_OF_JOB})),
            'portrait', (SELECT jsonb_build_object('id', p.id, 'primary', p.is_primary,
                            'image', split_part(p.image_url, '?', 1))
                         FROM public.character_portraits p WHERE p.job_id = %(job)s),
            'primaries', (SELECT coalesce(jsonb_agg(p.id ORDER BY p.id), '[]') FROM public.character_portraits p
                          WHERE p.character_id = %(character)s AND p.is_primary),
            'character_image', (SELECT split_part(c.image_url, '?', 1) FROM public.characters c
                                WHERE c.id = %(character)s))
        """,
        {"job": job_id, "character": character_id},
    ).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return row[0]


def lies_with(conn: Connection, job_id: JobId, owner: PersonId) -> str | None:
    """The path inside the bucket of the library row that a job has already, in its owner's folder; else None."""
    row = library_row(conn, job_id)
    path = str(row["storage_path"]).removeprefix("user-library/") if row else None
    return path if path is not None and path.split("/", 1)[0] == str(owner) else None


def owns_primary(conn: Connection, character_id: CharacterId) -> bool:
    """Whether a character's primary portrait shows a picture in its owner's folder of the library.

    A primary of ours with an address that may expire shows its library row's picture first.
    """
    conn.execute(
        """
        UPDATE public.character_portraits p
        SET image_url = 'user-library/' || regexp_replace(l.storage_path, '^user-library/', ''), updated_at = now()
        FROM public.user_library l
        WHERE p.character_id = %s AND p.is_primary AND l.job_id = p.job_id AND l.deleted_at IS NULL
          AND NOT starts_with(p.image_url, 'user-library/')
        """,
        (character_id,),
    )
    row = conn.execute(
        """
        SELECT EXISTS (
            SELECT FROM public.character_portraits p JOIN public.characters c ON c.id = p.character_id
            WHERE c.id = %s AND p.is_primary AND starts_with(p.image_url, 'user-library/' || c.user_id::text || '/'))
        """,
        (character_id,),
    ).fetchone()
    return bool(row and row[0])


def mend_findings(conn: Connection, job_id: JobId, rules: Sequence[str], by: PersonId) -> None:
    """What a repair left for a person before, and that is well now."""
    conn.execute(
        """
        UPDATE studio.findings SET mended_by = %s, mended_at = clock_timestamp()
        WHERE table_name = 'jobs' AND row_id = %s AND rule = ANY(%s) AND mended_at IS NULL
        """,
        (by, str(job_id), list(rules)),
    )
