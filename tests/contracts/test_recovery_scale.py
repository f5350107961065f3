"""A database of jobs broken in every way: each is explained, healed or left to a person, and twice is as once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tracemalloc
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core import recovery
from core.recovery import Action
from tests import broken_jobs, builders
from tests.broken_jobs import FIRST, Breakage, break_jobs, digests
from tests.emulator import KEY

ROOT = Path(__file__).parents[2]

COUNT = 14 * len(Breakage)  # 308

SAVED, FAILED, UNKNOWN, UNTOUCHED = "saved", "failed", "outcome unknown", "as it was"
# Where each ends when the queue was worked and recovery has looked again.
END = {
    Breakage.receipt_running: FAILED,  # past its deadline: the provider was asked to stop, and did
    Breakage.receipt_lost: FAILED,
    Breakage.receipt_refused: FAILED,
    Breakage.begun_thrice: FAILED,
    Breakage.no_receipt: UNKNOWN,
    Breakage.platform_bare: UNTOUCHED,
    Breakage.foreign_path: "kept out",
    Breakage.two_of_the_name: "a finding",
    Breakage.nobody_of_the_name: "kept for later",
    Breakage.healthy: UNTOUCHED,
}


@pytest.fixture
def services(build):
    return build(give_up_after=1.0, stuck_after=600.0)


@pytest.fixture
def world(services, ana, fal):
    return break_jobs(services, ana, fal, count=COUNT)


def first_actions(world, steps):
    found = {step.job_id: step.action for step in steps}
    return {(kind, found.get(job_id)) for job_id, kind in world.jobs.items()}


def ends(services):
    """Where each job stands, in one word."""
    rows = builders.rows(
        services.db,
        """
        SELECT j.id, CASE
            WHEN EXISTS (SELECT FROM user_library l WHERE l.job_id = j.id)
                 AND EXISTS (SELECT FROM character_portraits p WHERE p.job_id = j.id) THEN 'saved'
            WHEN j.status = 'failed' THEN 'failed'
            WHEN j.stage = 'outcome_unknown' THEN 'outcome unknown'
            WHEN j.stage = 'not_saved' THEN 'kept out'
            WHEN EXISTS (SELECT FROM studio.findings f WHERE f.rule = 'job.which_character' AND f.row_id = j.id::text)
                 THEN 'a finding'
            WHEN j.status = 'completed' THEN 'kept for later'
            ELSE 'as it was' END
        FROM jobs j
        """,
    )
    return dict(rows)


def test_each_broken_job_is_judged_as_what_it_is(services, world):
    steps = recovery.recover(services, dry_run=True)

    assert first_actions(world, steps) == {(kind, action) for kind, action in FIRST.items()}
    assert len(steps) == len({step.job_id for step in steps})
    assert {step.why.endswith(".") for step in steps} == {True}


def test_a_dry_run_over_everything_writes_nothing(services, world):
    before = digests(services)

    recovery.recover(services, dry_run=True)

    assert digests(services) == before


def test_a_second_look_right_after_the_first_changes_nothing(services, world):
    first = recovery.recover(services)
    before = digests(services)

    second = recovery.recover(services)

    assert digests(services) == before
    assert sum(step.is_done for step in first) == COUNT - len(
        world.of(*(kind for kind, action in FIRST.items() if action in {None, Action.person}))
    )
    assert [step for step in second if step.is_done] == []


def test_what_a_look_does_is_what_the_dry_run_said(services, world):
    said = recovery.recover(services, dry_run=True)

    done = recovery.recover(services)

    assert [(step.job_id, step.action) for step in done] == [(step.job_id, step.action) for step in said]


def test_every_job_that_was_touched_has_its_reason_on_record_once(services, world):
    recovery.recover(services)
    recovery.recover(services)

    recorded = builders.rows(services.db, "SELECT job_id, action, why, who, times FROM studio.recovery_steps")
    assert {(world.jobs[row[0]], row[1]) for row in recorded} == {
        (kind, action) for kind, action in FIRST.items() if action is not None
    }
    assert (
        len(recorded)
        == len({row[0] for row in recorded})
        == sum(FIRST[kind] is not None for kind in world.jobs.values())
    )
    assert {(row[3], row[4]) for row in recorded} == {(None, 1)}
    assert all(row[2].endswith(".") for row in recorded)


def test_every_broken_job_is_healed_or_left_to_a_person_and_says_why(services, world):
    for _ in range(3):
        recovery.recover(services)
        builders.work(services)

    where = ends(services)
    asked = {step.job_id: step for step in recovery.recover(services, dry_run=True, only=list(world.jobs))}
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for job_id, kind in world.jobs.items():
        counted[kind][f"{where[job_id]} ({asked[job_id].action})"] += 1
    broken_jobs.table(f"{COUNT} broken jobs, recovered and worked three times", counted)
    wrong = {
        (kind, where[job_id]) for job_id, kind in world.jobs.items() if where[job_id] != END.get(kind, SAVED)
    }
    assert wrong == set()
    assert asked.keys() == world.jobs.keys()
    assert {step.action for step in asked.values()} == {Action.nothing, Action.person, Action.unknown}


def test_once_all_is_settled_no_later_look_changes_anything(services, world):
    for _ in range(3):
        recovery.recover(services)
        builders.work(services)
    before = digests(services)

    steps = recovery.recover(services)

    assert digests(services) == before
    assert {world.jobs[step.job_id] for step in steps} == {Breakage.platform_bare}


def test_nothing_that_was_paid_for_is_sent_again(services, world, fal):
    before = fal.counts()["submits"]

    recovery.recover(services)
    builders.work(services)

    unsent = world.of(Breakage.never_sent, Breakage.no_entry, Breakage.held_entry)
    assert fal.counts()["submits"] - before == len(unsent)


def test_a_look_keeps_no_more_than_a_batch_in_memory(services, world, monkeypatch):
    monkeypatch.setattr(recovery, "BATCH", 20)
    tracemalloc.start()

    sizes = [len(steps) for steps in recovery.walk(services, dry_run=True)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert max(sizes) == 20
    assert len(sizes) > 10
    assert peak < 3_000_000


def test_pages_leave_nobody_out(services, world, monkeypatch):
    whole = {step.job_id for step in recovery.recover(services, dry_run=True)}
    monkeypatch.setattr(recovery, "BATCH", 7)

    steps = recovery.recover(services)

    assert {step.job_id for step in steps} == whole


# -- killed in the middle, and two at once --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "call"),
    [("core.db.recoveries:complete", 2), ("core.db.recoveries:record", 5), ("core.recovery:_together", 9)],
    ids=["in a deed", "before the commit", "between two batches"],
)
def test_a_recovery_that_is_killed_is_finished_by_the_next_one(
    services, world, tmp_path, dsn, fal, function, call
):
    status = run_recovery_that_dies(dsn, tmp_path, fal, function, call)
    done_before = builders.one(services.db, "SELECT count(*) FROM studio.recovery_steps")

    recovery.recover(services)

    recorded = builders.rows(services.db, "SELECT job_id, action, times FROM studio.recovery_steps")
    settled = digests(services)
    assert status == -signal.SIGKILL
    assert 0 < done_before < len(recorded)
    assert {(world.jobs[job_id], action) for job_id, action, _ in recorded} == {
        (kind, action) for kind, action in FIRST.items() if action is not None
    }
    assert {times for *_, times in recorded} == {1}
    assert [step for step in recovery.recover(services) if step.is_done] == []
    assert digests(services) == settled


def run_recovery_that_dies(dsn, home, fal, function, call):
    """Its exit status."""
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    env |= {
        "PYTHONPATH": str(ROOT),
        "STUDIO_HOME": str(home),
        "DATABASE_URL": dsn,
        "FAL_KEY": KEY,
        "FAL_BASE_URL": fal.url,
        "LOG_LEVEL": "ERROR",
    }
    command = [sys.executable, "tests/contracts/dying_recovery.py", function, str(call)]
    return subprocess.run(command, cwd=ROOT, env=env, timeout=60, check=False).returncode


def test_two_recoveries_at_once_do_each_thing_once(services, build, world):
    other = build(give_up_after=1.0, stuck_after=600.0)

    with ThreadPoolExecutor(2) as pool:
        looks = [pool.submit(recovery.recover, one) for one in (services, other)]
        done = [step.job_id for look in looks for step in look.result() if step.is_done]

    recorded = builders.rows(
        services.db, "SELECT job_id, times FROM studio.recovery_steps WHERE action <> 'person'"
    )
    assert len(done) == len(set(done))
    assert {job_id for job_id, _ in recorded} == set(done)
    assert {times for _, times in recorded} == {1}
    assert {kind for kind, action in FIRST.items() if action not in {None, Action.person}} == {
        world.jobs[job_id] for job_id in done
    }
