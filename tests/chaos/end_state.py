"""What must hold in the rows when the platform and the studio have worked side by side: SQL of this file alone.

None of it goes through the product's own questions or functions. `WRONG` are questions whose answer must be 0, `COUNTS`
what a reader wants to know beside them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg

UUID_TEXT = "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
# The job that an object's path names: `…/{job}_{anything}.{ext}` or `…/{job}.{ext}` (SPEC "Files").
JOB_OF = rf"lower(substring({{path}} FROM '(?:^|/)({UUID_TEXT})(?:_[^/]*)?\.[A-Za-z0-9]+(?:\?.*)?$'))"
LIBRARY_JOB = JOB_OF.replace("{path}", "l.storage_path")
PORTRAIT_JOB = (
    f"coalesce(lower(p.generation_metadata ->> 'job_id'), {JOB_OF.replace('{path}', 'p.image_url')})"
)
FOUND = "EXISTS (SELECT FROM studio.findings f WHERE f.row_id = {row}::text AND f.rule {rule})"

LEGAL = """
    from_status IS NULL OR from_status = to_status
    OR (from_status = 'queued' AND to_status IN ('processing', 'completed', 'failed', 'cancelled'))
    OR (from_status = 'processing' AND to_status IN ('completed', 'failed', 'cancelled'))
    OR (from_status = 'processing' AND to_status = 'queued'
        AND NOT EXISTS (SELECT FROM studio.submissions s WHERE s.job_id = e.job_id AND s.outcome IS DISTINCT FROM 'not_accepted'))
    OR (from_status IN ('failed', 'cancelled') AND to_status = 'completed'
        AND EXISTS (SELECT FROM public.workspace_assets a WHERE a.job_id = e.job_id))
"""

WRONG: Mapping[str, str] = {
    "characters with two primaries": """
        SELECT count(*) FROM (SELECT character_id FROM public.character_portraits WHERE is_primary
                              GROUP BY 1 HAVING count(*) > 1) c
    """,
    "characters without a primary and without a finding": f"""
        SELECT count(*) FROM public.characters c
        WHERE EXISTS (SELECT FROM public.character_portraits p WHERE p.character_id = c.id AND p.deleted_at IS NULL)
          AND NOT EXISTS (SELECT FROM public.character_portraits p WHERE p.character_id = c.id AND p.is_primary)
          AND NOT {FOUND.format(row="c.id", rule="= 'row.no_primary'")}
          AND NOT EXISTS (SELECT FROM public.character_portraits p WHERE p.character_id = c.id
                          AND {FOUND.format(row="p.job_id", rule="= 'autosave.no_primary'")})
    """,
    "hidden portraits that are primary": """
        SELECT count(*) FROM public.character_portraits WHERE is_primary AND deleted_at IS NOT NULL
    """,
    "our characters that show another picture than their primary's": """
        SELECT count(*) FROM public.characters c JOIN public.character_portraits p ON p.character_id = c.id AND p.is_primary
        WHERE c.id = ANY(%(quiet)s) AND c.image_url IS DISTINCT FROM p.image_url
    """,
    "asked jobs that are gone": """
        SELECT cardinality(%(asked)s::uuid[]) - count(*) FROM public.jobs WHERE id = ANY(%(asked)s)
    """,
    "asked jobs that are not completed and saved": """
        SELECT count(*) FROM public.jobs WHERE id = ANY(%(asked)s) AND (status, stage) IS DISTINCT FROM ('completed', 'saved')
    """,
    "asked jobs that were not sent exactly once": """
        SELECT count(*) FROM unnest(%(asked)s::uuid[]) a (id)
        WHERE (SELECT count(*) FROM studio.submissions s WHERE s.job_id = a.id) <> 1
    """,
    "paid pictures that are not one asset, one library row and one portrait": """
        SELECT count(*) FROM unnest(%(asked)s::uuid[]) a (id)
        WHERE (SELECT count(*) FROM public.workspace_assets w WHERE w.job_id = a.id) <> 1
           OR (SELECT count(*) FROM public.user_library l WHERE l.storage_path LIKE '%%' || a.id || '%%') <> 1
           OR ((SELECT count(*) FROM public.character_portraits p WHERE p.image_url LIKE '%%' || a.id || '%%') <> 1
               AND NOT EXISTS (SELECT FROM studio.removed_portraits r WHERE r.job_id = a.id))
    """,
    "paid pictures whose bytes or seeds differ between their rows": """
        SELECT count(*) FROM public.workspace_assets w JOIN public.user_library l ON l.job_id = w.job_id
        LEFT JOIN public.character_portraits p ON p.job_id = w.job_id
        WHERE w.job_id = ANY(%(asked)s) AND ((w.sha256, w.generation_seed) IS DISTINCT FROM (l.sha256, l.generation_seed)
              OR (p.id IS NOT NULL AND (w.sha256, w.generation_seed) IS DISTINCT FROM (p.sha256, p.seed)))
    """,
    "asked jobs without one estimate and one computed cost": """
        SELECT count(*) FROM unnest(%(asked)s::uuid[]) a (id)
        WHERE (SELECT array_agg(e.kind ORDER BY e.kind DESC) FROM studio.cost_entries e
               WHERE e.job_id = a.id AND e.kind IN ('estimated', 'computed')) IS DISTINCT FROM '{estimated,computed}'
    """,
    "jobs of which we wrote a second library row": f"""
        SELECT count(*) FROM (
            SELECT {LIBRARY_JOB} FROM public.user_library l WHERE l.storage_path LIKE '%%/portraits/%%'
            GROUP BY 1 HAVING count(*) > 1) twice
    """,
    "second library rows of one job without a finding": f"""
        SELECT count(*) FROM public.user_library l
        WHERE l.created_at >= %(since)s AND l.job_id IS NULL AND {LIBRARY_JOB} IS NOT NULL
          AND NOT {FOUND.format(row="l.id", rule="IN ('user_library.job_taken', 'user_library.foreign_job')")}
    """,
    "second portraits of one job without a finding": f"""
        SELECT count(*) FROM public.character_portraits p
        WHERE p.created_at >= %(since)s AND p.job_id IS NULL AND {PORTRAIT_JOB} IS NOT NULL
          AND NOT {FOUND.format(row="p.id", rule="IN ('character_portraits.job_taken', 'character_portraits.foreign_job')")}
    """,
    "results whose job is neither completed nor a finding": f"""
        SELECT count(*) FROM public.workspace_assets w JOIN public.jobs j ON j.id = w.job_id
        WHERE j.status <> 'completed' AND NOT {FOUND.format(row="w.id", rule="= 'asset.job_not_completed'")}
    """,
    "late errors without a finding": f"""
        SELECT count(*) FROM unnest(%(late)s::uuid[]) j (id)
        WHERE NOT {FOUND.format(row="j.id", rule="= 'job.illegal_move'")}
    """,
    "completed jobs that an error took back": """
        SELECT count(*) FROM public.jobs WHERE id = ANY(%(late)s) AND status <> 'completed'
    """,
    "illegal moves in the events": f"SELECT count(*) FROM studio.job_events e WHERE NOT ({LEGAL})",
    "jobs whose last event is not their state": """
        SELECT count(*) FROM public.jobs j JOIN LATERAL (
            SELECT e.to_status FROM studio.job_events e WHERE e.job_id = j.id ORDER BY e.id DESC LIMIT 1) last ON true
        WHERE last.to_status <> j.status
    """,
    "pictures of the platform that are in no library": f"""
        SELECT count(*) FROM public.jobs j JOIN public.characters c ON c.id = j.character_id AND c.deleted_at IS NULL
        WHERE j.runner = 'platform' AND j.status = 'completed' AND j.metadata ->> 'destination' = 'character_portrait'
          AND EXISTS (SELECT FROM public.workspace_assets w WHERE w.job_id = j.id)
          AND NOT EXISTS (SELECT FROM public.user_library l WHERE {LIBRARY_JOB} = j.id::text)
    """,
    "jobs that the one newer character of their name did not get": """
        SELECT count(*) FROM public.jobs j
        WHERE j.character_id IS NULL AND j.status = 'completed' AND j.metadata ->> 'destination' = 'character_portrait'
          AND (SELECT count(*) FILTER (WHERE c.created_at >= j.created_at) = 1 AND count(*) = 1 FROM public.characters c
               WHERE c.user_id = j.user_id AND c.deleted_at IS NULL
                 AND lower(c.name) = lower(coalesce(j.metadata ->> 'character_name', j.metadata ->> 'characterName')))
    """,
    "removed portraits that came back": """
        SELECT count(*) FROM public.character_portraits WHERE id = ANY(%(hidden)s) AND deleted_at IS NULL
    """,
    "deleted portraits that came back": """
        SELECT count(*) FROM public.character_portraits p
        JOIN studio.removed_portraits r ON r.job_id = p.job_id
        WHERE p.deleted_at IS NULL AND p.job_id = ANY(%(deleted)s)
    """,
    "signed links of our own project that were written since": """
        SELECT (SELECT count(*) FROM public.characters
                WHERE created_at >= %(since)s AND image_url LIKE '%%project.supabase.co%%token=%%')
             + (SELECT count(*) FROM public.character_portraits
                WHERE created_at >= %(since)s AND image_url LIKE '%%project.supabase.co%%token=%%')
    """,
    "rules that could not be applied to a row": """
        SELECT count(*) FROM studio.findings WHERE rule = 'trigger.failed'
    """,
    "queue entries that ended in an error": """
        SELECT count(*) FROM studio_queue.pgqueuer_log WHERE status = 'exception'
    """,
}

COUNTS: Mapping[str, str] = {
    "findings": "SELECT count(*) FROM studio.findings",
    "characters without a primary": """
        SELECT count(*) FROM public.characters c
        WHERE EXISTS (SELECT FROM public.character_portraits p WHERE p.character_id = c.id AND p.deleted_at IS NULL)
          AND NOT EXISTS (SELECT FROM public.character_portraits p WHERE p.character_id = c.id AND p.is_primary)
    """,
    "choices that gave way": "SELECT count(*) FROM studio.findings WHERE rule = 'portrait.choice_lost'",
    "deadlocks by Postgres' own count": "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
}

UNSETTLED: Mapping[str, str] = {  # what the workers have still to do
    "asked jobs": WRONG["asked jobs that are not completed and saved"],
    "queue entries": """
        SELECT count(*) FROM studio_queue.pgqueuer
        WHERE entrypoint IN ('autosave', 'match')
    """,
    "pictures of the platform": WRONG["pictures of the platform that are in no library"],
}


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the test knows of the run: when the database was adopted, the jobs that our people asked for, those that an
    error handler called failed too late, the jobs of the portraits the platform deleted, the portraits our people
    removed, and the characters that the platform never wrote to.
    """

    since: datetime
    asked: Sequence[UUID]
    late: Sequence[UUID]
    deleted: Sequence[UUID]
    hidden: Sequence[UUID]
    quiet: Sequence[UUID]


def ask(dsn: str, question: str, known: Known | None = None) -> int:
    with psycopg.connect(dsn, autocommit=True) as conn:
        row = conn.execute(question, vars(known) if known else {}).fetchone()
    return int(row[0])


def wrong(dsn: str, known: Known) -> dict[str, int]:
    """What does not hold, by its name; empty where everything does."""
    found = {name: ask(dsn, question, known) for name, question in WRONG.items()}
    return {name: count for name, count in found.items() if count}


def hurry(dsn: str) -> None:
    """What was put off for a minute is due now."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("UPDATE studio_queue.pgqueuer SET execute_after = now() WHERE status = 'queued'")


def unsettled(dsn: str, known: Known) -> dict[str, int]:
    """What is still to be done, by its name; empty where nothing is."""
    found = {name: ask(dsn, question, known) for name, question in UNSETTLED.items()}
    return {name: count for name, count in found.items() if count}


def counts(dsn: str) -> dict[str, int]:
    return {name: ask(dsn, question) for name, question in COUNTS.items()}
