"""Rows by the hundred thousand for the dashboard's bench: people, characters, jobs of every state, what became of them
and what they cost, over a year. Written past the triggers; the same seed gives the same world.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from core.services import Services

PEOPLE = 50
DAYS = 365


@dataclass(frozen=True)
class Size:
    """How many of each: as many entries in the ledger as jobs, a portrait for every fifth job."""

    jobs: int
    portraits: int
    characters: int

    @classmethod
    def of(cls, jobs: int) -> Size:
        """The world of `jobs` jobs."""
        return cls(jobs=jobs, portraits=jobs // 5, characters=max(jobs // 100, 10))


_STATEMENTS = (
    """
    INSERT INTO auth.users (id, email)
    SELECT ('00000000-0000-4000-9000-' || lpad(n::text, 12, '0'))::uuid, 'person' || n || '@example.org'
    FROM generate_series(1, %(people)s) n ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO public.characters (id, user_id, name, description, gender, content_rating, image_url, created_at, updated_at)
    SELECT ('00000000-0000-4000-a000-' || lpad(n::text, 12, '0'))::uuid,
        ('00000000-0000-4000-9000-' || lpad((1 + n %% %(people)s)::text, 12, '0'))::uuid, 'Person ' || n,
        'keeps a lighthouse, mends radios, and has an opinion on every kind of marmalade', 'female', 'sfw',
        'user-library/00000000-0000-4000-9000-' || lpad((1 + n %% %(people)s)::text, 12, '0') || '/portraits/' || n || '.png',
        now() - (n %% %(days)s) * interval '1 day', now() - (n %% %(days)s) * interval '1 day'
    FROM generate_series(1, %(characters)s) n
    """,
    """
    INSERT INTO public.jobs (id, user_id, character_id, job_type, status, stage, runner, original_prompt, metadata,
        api_model_id, created_at, started_at, completed_at, heartbeat_at, attempts, lease, error_code, error_message,
        idempotency_key)
    SELECT ('00000000-0000-4000-b000-' || lpad(n::text, 12, '0'))::uuid,
        ('00000000-0000-4000-9000-' || lpad((1 + c %% %(people)s)::text, 12, '0'))::uuid,
        ('00000000-0000-4000-a000-' || lpad(c::text, 12, '0'))::uuid, 'image', status,
        CASE status WHEN 'completed' THEN 'saved' WHEN 'queued' THEN 'waiting'
            WHEN 'processing' THEN CASE WHEN n %% 5 = 0 THEN 'outcome_unknown' ELSE 'generating' END END,
        CASE WHEN n %% 10 = 0 THEN 'platform' ELSE 'studio' END, 'high quality character portrait, a lighthouse keeper',
        jsonb_build_object('destination', 'character_portrait', 'character_name', 'Person ' || c),
        m.id, asked, CASE WHEN status <> 'queued' THEN asked + interval '2 seconds' END,
        CASE WHEN status IN ('completed', 'failed', 'cancelled') THEN asked + (5 + n %% 40) * interval '1 second' END,
        CASE WHEN status = 'processing' THEN asked + interval '20 seconds' END, 1, 1,
        CASE WHEN status = 'failed' THEN (ARRAY['CONTENT_REFUSED', 'TIMEOUT', 'STUCK', 'BALANCE_EMPTY'])[1 + n %% 4] END,
        CASE WHEN status = 'failed' THEN 'the provider said no, try number ' || n %% 7 END, 'bench-' || n
    FROM (
        SELECT n, 1 + (n %% %(characters)s) AS c, now() - (n::float8 / %(jobs)s * %(days)s) * interval '1 day' AS asked,
            CASE WHEN n <= 400 THEN 'queued' WHEN n <= 700 THEN 'processing' WHEN n %% 20 = 3 THEN 'failed'
                WHEN n %% 50 = 7 THEN 'cancelled' ELSE 'completed' END AS status
        FROM generate_series(1, %(jobs)s) n) made
    JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM public.api_models WHERE modality = 'image') m
        ON m.place = made.n %% 12
    """,
    """
    INSERT INTO studio.cost_entries (at, job_id, attempt, user_id, character_id, provider, model_key, kind, amount_usd)
    SELECT j.created_at + kind.later, j.id, 1, j.user_id, j.character_id, p.name, m.model_key, kind.name,
        CASE WHEN kind.name = 'computed' AND substr(j.id::text, 35, 2)::int %% 50 = 1 THEN NULL
            ELSE 0.03 + (substr(j.id::text, 35, 2)::int %% 10) * 0.001 END
    FROM public.jobs j JOIN public.api_models m ON m.id = j.api_model_id JOIN public.api_providers p ON p.id = m.provider_id
    CROSS JOIN (VALUES ('estimated', interval '0'), ('computed', interval '20 seconds')) kind (name, later)
    WHERE j.idempotency_key IS NOT NULL AND right(j.id::text, 1)::int %% 2 = 0
      AND (kind.name = 'estimated' OR j.status IN ('completed', 'failed'))
    ORDER BY j.created_at
    """,
    """
    INSERT INTO public.user_library (user_id, asset_type, storage_path, thumbnail_path, file_size_bytes, mime_type,
        original_prompt, width, height, tags, roleplay_metadata, content_category, created_at, job_id, sha256, phash, blank)
    SELECT j.user_id, 'image', j.user_id || '/portraits/' || j.character_id || '/' || j.id || '.png',
        j.user_id || '/portraits/' || j.character_id || '/' || j.id || '.thumb.webp', 900000, 'image/png', j.original_prompt,
        1024, 1024, '{character,portrait}', jsonb_build_object('type', 'character_portrait', 'character_id', j.character_id),
        'character', j.completed_at, j.id, md5(j.id::text) || md5(j.id::text || 'x'), left(md5(j.id::text || 'p'), 16), false
    FROM (SELECT * FROM public.jobs WHERE status = 'completed' ORDER BY created_at DESC LIMIT %(portraits)s) j
    """,
    """
    INSERT INTO public.character_portraits (character_id, image_url, thumbnail_url, created_at, job_id, sha256, phash,
        is_primary, sort_order)
    SELECT j.character_id, 'user-library/' || l.storage_path, 'user-library/' || l.thumbnail_path, l.created_at, l.job_id,
        l.sha256, l.phash, row_number() OVER (PARTITION BY j.character_id ORDER BY l.created_at DESC) = 1, 0
    FROM public.user_library l JOIN public.jobs j ON j.id = l.job_id
    """,
    """
    INSERT INTO public.workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type, file_size_bytes,
        created_at, sha256, blank)
    SELECT l.user_id, l.job_id, 'image', l.user_id || '/' || l.job_id || '_1.png', 'image/png', 900000, l.created_at,
        l.sha256, false
    FROM public.user_library l
    """,
    """
    UPDATE public.characters c SET image_url = p.image_url
    FROM public.character_portraits p WHERE p.character_id = c.id AND p.is_primary
    """,
    """
    INSERT INTO studio.findings (rule, table_name, row_id, sentence, first_seen, last_seen)
    SELECT (ARRAY['autosave.no_portrait', 'autosave.object_missing', 'job.which_character'])[1 + n %% 3], 'jobs',
        '00000000-0000-4000-b000-' || lpad((1000 + n)::text, 12, '0'), 'It does not fit.', now() - n * interval '1 hour',
        now() - n * interval '1 minute'
    FROM generate_series(1, %(jobs)s / 500) n
    """,
    """
    INSERT INTO studio.audit_events (at, who, action, table_name, row_id, why)
    SELECT now() - (n::float8 / %(jobs)s * 20 * %(days)s) * interval '1 day',
        ('00000000-0000-4000-9000-' || lpad((1 + n %% %(people)s)::text, 12, '0'))::uuid,
        (ARRAY['job_purged', 'portrait_deleted', 'budget_saved'])[1 + n %% 3], 'jobs',
        '00000000-0000-4000-b000-' || lpad(n::text, 12, '0'), 'as the bench says'
    FROM generate_series(1, %(jobs)s / 20) n
    """,
)  # fmt: skip


def fill(services: Services, size: Size) -> None:
    """Write the world of `size` into an empty database."""
    values = {
        "people": PEOPLE,
        "days": DAYS,
        "jobs": size.jobs,
        "portraits": size.portraits,
        "characters": size.characters,
    }
    with psycopg.connect(services.db.dsn) as conn:
        conn.execute("SET session_replication_role = replica")
        for statement in _STATEMENTS:
            conn.execute(statement, values)
    with psycopg.connect(services.db.dsn, autocommit=True) as conn:
        conn.execute("VACUUM (ANALYZE)")
