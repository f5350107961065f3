"""A scrape of /metrics beside a million jobs: the first look at the database, and one that is answered from it."""

from __future__ import annotations

import json
import time

from bench.figures import Figure, p95
from bench.world import a_character, home, settings
from core.api import metrics
from core.auth import LOCAL_PERSON
from core.services import Services, open_services

JOBS = 1_000_000
UNFINISHED = 5_000
SCRAPES = 40


def measure() -> list[Figure]:
    """p95 of scrapes that look at the database, and of those in between."""
    with home() as folder, open_services(settings(folder)) as services:
        _fill(services)
        meter = metrics.Meter(services, version="bench")
        meter.render(as_openmetrics=False)  # the first one warms what every later one finds warm
        looked = _scrapes(meter, fresh=0.0)
        shared = _scrapes(meter, fresh=60.0)
    return [
        Figure(what="a scrape that looks at the database, p95", measured=p95(looked), unit="ms", budget=100, note=f"{JOBS:,} jobs, {UNFINISHED:,} unfinished"),
        Figure(what="a scrape within five seconds of a look, p95", measured=p95(shared), unit="ms", budget=10, note=f"of {SCRAPES}"),
    ]  # fmt: skip


def _scrapes(meter: metrics.Meter, *, fresh: float) -> list[float]:
    """Milliseconds of scrapes one after another; one look serves `fresh` seconds of them."""
    meter.fresh = fresh
    meter.render(as_openmetrics=False)
    return [_one(meter) for _ in range(SCRAPES)]


def _one(meter: metrics.Meter) -> float:
    begun = time.perf_counter()
    page = meter.render(as_openmetrics=False)
    taken = (time.perf_counter() - begun) * 1000
    if b"studio_database_up 1.0" not in page or b"studio_unanswered_questions{" in page:
        raise RuntimeError("The database did not answer the scrape in time.")
    return taken


def _fill(services: Services) -> None:
    """Ended jobs and waiting ones, as rows only: nobody works on them, and no trigger is asked."""
    character = a_character(services)
    with services.db.as_service() as conn:
        conn.execute("SET LOCAL session_replication_role = replica")
        conn.execute(
            """
            INSERT INTO public.jobs (user_id, character_id, job_type, status, stage, runner, original_prompt, metadata,
                api_model_id, created_at, started_at, completed_at, heartbeat_at)
            SELECT %(user)s, %(character)s, 'image', CASE WHEN n <= %(waiting)s THEN 'queued' ELSE 'completed' END,
                CASE WHEN n <= %(waiting)s THEN 'waiting' ELSE 'saved' END, 'studio', 'a lighthouse keeper',
                %(metadata)s, m.id, now() - n * interval '30 seconds', now() - n * interval '29 seconds',
                CASE WHEN n > %(waiting)s THEN now() - n * interval '28 seconds' END, now()
            FROM generate_series(1, %(jobs)s) n, (SELECT id FROM public.api_models ORDER BY id LIMIT 1) m
            """,
            {
                "user": LOCAL_PERSON.id,
                "character": character.id,
                "metadata": json.dumps({"destination": "character_portrait", "provider": "sketch"}),
                "waiting": UNFINISHED,
                "jobs": JOBS,
            },
        )
        conn.execute(
            """
            INSERT INTO studio_queue.pgqueuer (entrypoint, payload, priority, status, dedupe_key)
            SELECT 'portrait_sketch', convert_to(id::text, 'UTF8'), 0, 'queued', 'job:' || id
            FROM public.jobs WHERE status = 'queued'
            """
        )
        conn.execute("ANALYZE")
