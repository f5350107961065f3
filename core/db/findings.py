"""studio.findings: what people do with them, through the database's own functions, and what a finished check writes of
the seven auto-save checks. One finding by itself is written by core/db/activity.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from core.db import Connection
from core.values import JobId


@dataclass(frozen=True, kw_only=True)
class Colleague:
    """Somebody a finding can be given to; `name` is what they sign in with."""

    id: UUID
    name: str


def team(conn: Connection) -> list[Colleague]:
    """Everybody a finding can be given to, at most 500, by name."""
    with conn.cursor(row_factory=class_row(Colleague)) as cursor:
        return cursor.execute("SELECT id, name FROM studio.team()").fetchall()


def assign(conn: Connection, ids: Sequence[int], owner: UUID | None) -> list[int]:
    """Give findings to a person, or to nobody; those that changed."""
    found = conn.execute("SELECT studio.assign_findings(%s::bigint[], %s)", (list(ids), owner)).fetchall()
    return [row[0] for row in found]


def note(conn: Connection, finding_id: int, text: str) -> bool:
    """Write, change or (with an empty text) take away its note; False where it stood like that."""
    row = conn.execute("SELECT studio.note_on_finding(%s, %s)", (finding_id, text)).fetchone()
    return bool(row and row[0])


def set_aside(conn: Connection, ids: Sequence[int], why: str) -> list[int]:
    """Mark open findings as right as they are; those that changed."""
    found = conn.execute("SELECT studio.set_findings_aside(%s::bigint[], %s)", (list(ids), why)).fetchall()
    return [row[0] for row in found]


def bring_back(conn: Connection, ids: Sequence[int]) -> list[int]:
    """Open what was set aside; those that changed."""
    found = conn.execute("SELECT studio.bring_findings_back(%s::bigint[])", (list(ids),)).fetchall()
    return [row[0] for row in found]


# -- what the seven checks find --------------------------------------------------------------------------------------


def see(conn: Connection, found: Sequence[tuple[str, JobId, str]]) -> None:
    """Rule, job and sentence of what a check found, each once. An open finding keeps its sentence: what a repair or a
    person's judgement hangs on does not change because the check says it in its own words again.
    """
    ordered = sorted(found)  # in one order, so that two who write at once never wait for each other
    conn.execute(
        """
        INSERT INTO studio.findings (rule, table_name, row_id, sentence)
        SELECT f.rule, 'jobs', f.job::text, f.sentence
        FROM unnest(%(rules)s::text[], %(jobs)s::uuid[], %(sentences)s::text[]) AS f (rule, job, sentence)
        ON CONFLICT (rule, table_name, row_id) DO UPDATE SET last_seen = now(), times = studio.findings.times + 1,
            sentence = CASE WHEN studio.findings.mended_at IS NULL THEN studio.findings.sentence ELSE excluded.sentence END,
            mended_at = NULL, mended_by = NULL
        """,
        {
            "rules": [rule for rule, _, _ in ordered],
            "jobs": [job_id for _, job_id, _ in ordered],
            "sentences": [sentence for _, _, sentence in ordered],
        },
    )


def close_mended(conn: Connection, prefix: str, since: datetime | None) -> int:
    """Close the open findings of the seven checks that the last runs do not hold against their job any more; how many.

    `prefix` begins their rules; with `since` only those of jobs that ended then or later were looked at.
    """
    return conn.execute(
        """
        UPDATE studio.findings f SET mended_at = clock_timestamp(), mended_by = NULL
        WHERE f.table_name = 'jobs' AND f.mended_at IS NULL AND starts_with(f.rule, %(prefix)s)
          AND NOT EXISTS (
            SELECT FROM studio.proof_results r
            WHERE r.job_id = studio.as_uuid(f.row_id)
              AND upper(substr(f.rule, length(%(prefix)s) + 1)) = ANY (r.row_codes || r.object_codes))
          AND (%(since)s::timestamptz IS NULL OR EXISTS (
            SELECT FROM public.jobs j
            WHERE j.id = studio.as_uuid(f.row_id) AND coalesce(j.completed_at, j.created_at) >= %(since)s))
        """,
        {"prefix": prefix, "since": since},
    ).rowcount
