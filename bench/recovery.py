"""One look of recovery over 10,000 jobs broken in every way, among 100,000 portraits that are well: time, memory, and
that the second look changes nothing.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections import Counter

from bench.figures import Figure
from bench.world import home, settings
from core import recovery
from core.auth import LOCAL_PERSON
from core.services import Services, open_services
from tests.broken_jobs import FIRST, break_jobs, digests
from tests.emulator import EmulatorProcess

JOBS = 10_000
PORTRAITS = 100_000
BUDGET = 60  # seconds, for all that needs no provider


def measure() -> list[Figure]:
    """Dry run, look, second look; memory is what Python held at most beyond its start, over the dry run."""
    with home() as folder, EmulatorProcess() as emulator:
        given = {"fal_key": "emulator", "fal_base_url": emulator.url}
        with open_services(settings(folder, **given)) as services:
            _fill(services)
            idle, _ = _timed(services)
            world = break_jobs(services, LOCAL_PERSON, emulator, count=JOBS, objects=False)
            peak = _memory(services)
            dry, _ = _timed(services, dry_run=True)
            first, done = _timed(services)
            before = digests(services)
            second, again = _timed(services)
            _refuse_change(before, digests(services), again)
            _refuse_unexplained(services, world.jobs)
            figures = ", ".join(f"{number} {name}" for name, number in sorted(done.items()))
    return [
        Figure(what=f"a look at {PORTRAITS} portraits, all well", measured=idle, unit="s"),
        Figure(
            what=f"the look that heals {JOBS} broken jobs among them",
            measured=first,
            unit="s",
            budget=BUDGET,
            note=figures,
        ),
        Figure(what="the same, dry run", measured=dry, unit="s"),
        Figure(what="the second look, which changed nothing", measured=second, unit="s"),
        Figure(
            what="memory of a look", measured=peak, unit="MB", note="Python's own, at most, a batch at a time"
        ),
    ]


_WELL = (
    """
    INSERT INTO jobs (id, user_id, job_type, status, stage, runner, api_model_id, metadata, created_at, started_at,
        completed_at, character_id)
    SELECT md5('job' || n)::uuid, %(person)s, 'character_portrait', 'completed', 'saved', 'studio', m.id,
           '{"destination": "character_portrait", "provider": "fal"}', now() - make_interval(mins => n),
           now() - make_interval(mins => n), now() - make_interval(mins => n - 1), md5('character' || n / 10)::uuid
    FROM generate_series(1, %(count)s) n, api_models m WHERE m.model_key = 'fal-ai/flux/dev'
    """,
    """
    INSERT INTO workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type)
    SELECT user_id, id, 'image', user_id || '/' || id || '_1.png', 'image/png' FROM jobs
    """,
    """
    INSERT INTO user_library (user_id, job_id, asset_type, storage_path, mime_type)
    SELECT user_id, id, 'image', user_id || '/portraits/' || character_id || '/' || id || '.png', 'image/png' FROM jobs
    """,
    """
    INSERT INTO studio.submissions (job_id, attempt, lease, provider, model_id, model_key, submitted_at, received_at,
        request_id, receipt, outcome)
    SELECT id, 1, 1, 'fal', api_model_id, 'fal-ai/flux/dev', started_at, started_at, id::text, '{}', 'finished' FROM jobs
    """,
    """
    INSERT INTO studio.cost_entries (job_id, user_id, provider, model_key, kind, amount_usd, at)
    SELECT id, user_id, 'fal', 'fal-ai/flux/dev', kind, 0.025, created_at
    FROM jobs, unnest(ARRAY['estimated', 'computed']) kind
    """,
)


def _fill(services: Services) -> None:
    """Portraits that were made and saved, as rows; the triggers would do each of them again."""
    with services.db.as_service() as conn:
        conn.execute("SET LOCAL session_replication_role = replica")
        for statement in _WELL:
            conn.execute(
                statement, {"person": LOCAL_PERSON.id, "count": PORTRAITS} if "%(" in statement else None
            )
    with services.db.as_service() as conn:
        conn.execute("ANALYZE")


def _timed(services: Services, *, dry_run: bool = False) -> tuple[float, Counter[str]]:
    """Seconds, and how many jobs were changed (in a dry run: looked at) by action."""
    counted: Counter[str] = Counter()
    began = time.perf_counter()
    for steps in recovery.walk(services, dry_run=dry_run):
        counted.update(step.action.value for step in steps if dry_run or step.is_done)
    return time.perf_counter() - began, counted


def _memory(services: Services) -> float:
    gc.collect()
    tracemalloc.start()
    _timed(services, dry_run=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def _refuse_change(before: dict[str, str], after: dict[str, str], again: Counter[str]) -> None:
    changed = [name for name in before if before[name] != after[name]]
    if changed or again:
        raise RuntimeError(f"The second look changed {changed}: {dict(again)}.")


def _refuse_unexplained(services: Services, jobs: dict[object, object]) -> None:
    with services.db.as_service() as conn:
        recorded = {row[0] for row in conn.execute("SELECT job_id FROM studio.recovery_steps").fetchall()}
    silent = [kind for job_id, kind in jobs.items() if FIRST[kind] is not None and job_id not in recorded]
    if silent:
        raise RuntimeError(f"{len(silent)} jobs have no reason on record: {Counter(silent)}.")
