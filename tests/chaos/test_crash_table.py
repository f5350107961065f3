"""DESIGN "The way of a portrait", line by line: the worker dies right after it, another one goes on."""

import os
import signal
from pathlib import Path

import psycopg
import pytest

from tests.chaos.plant import SAVED_ONCE, Plant, open_plant, wait_until

# Whatever dies after these, the picture ends in the library, once.
SAVED = {
    "T1b claimed": "core.running:_claim",
    "T3 receipt kept": "core.running:_keep_receipt",
    "waited": "core.running:_wait",
    "taken in": "core.running:take_in",
    "stored": "core.running:_store",
    "T4 completed": "core.running:_complete",
    "copied": "core.autosave:_copy",
    "T5 filed": "core.autosave:_file",
}
# After these nobody can know whether the provider took the request: it is never sent again, and says so.
UNKNOWN = {
    "T2 intent noted": ("core.running:_begin", 0),
    "sent, receipt lost": ("core.running:_submit", 1),
}


@pytest.fixture
def plant(dsn, tmp_path):
    with open_plant(tmp_path, dsn) as opened:
        yield opened


def test_after_t1_a_worker_picks_up_what_a_dead_asker_asked_for(plant: Plant):
    character = plant.make_character()

    status = plant.run_asker(character)
    plant.start_worker()

    assert status == -signal.SIGKILL
    with psycopg.connect(plant.dsn) as conn:
        (job_id,) = conn.execute("SELECT id FROM jobs").fetchone()
    assert plant.wait_for(job_id).is_saved_once


@pytest.mark.parametrize("function", SAVED.values(), ids=SAVED)
def test_a_worker_that_dies_is_followed_by_one_that_saves_the_picture_once(plant: Plant, function):
    job_id = plant.ask(plant.make_character())[0]
    first = plant.start_worker("kill", function)
    assert first.wait(30) == -signal.SIGKILL

    plant.start_worker()

    assert plant.wait_for(job_id) == SAVED_ONCE, plant.log_text()
    counts = plant.emulator.counts()
    assert (counts["submits"], counts["charged"]) == (1, 1)
    assert stuck(plant) == 0


@pytest.mark.parametrize(("function", "submits"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_request_without_a_receipt_is_never_sent_again_and_says_so(plant: Plant, function, submits):
    job_id = plant.ask(plant.make_character())[0]
    first = plant.start_worker("kill", function)
    assert first.wait(30) == -signal.SIGKILL

    plant.start_worker()
    facts = plant.wait_for(job_id, unknown=True)

    assert (facts.status, facts.stage, facts.code) == ("processing", "outcome_unknown", "OUTCOME_UNKNOWN")
    assert (facts.assets, facts.library, facts.portraits) == (0, 0, 0)
    assert plant.emulator.counts()["submits"] == submits
    assert stuck(plant) == 0


@pytest.mark.timeout(300)
def test_the_receipt_of_a_run_that_was_given_up_for_dead_is_kept(plant: Plant):
    job_id = plant.ask(plant.make_character())[0]
    frozen = plant.start_worker("stop", "core.running:_submit")
    assert wait_until(lambda: plant.emulator.counts()["accepted"] == 1)
    plant.start_worker()
    # where it froze inside a transaction, the database ends that after a minute
    assert plant.wait_for(job_id, unknown=True, seconds=150).stage == "outcome_unknown"

    os.kill(frozen.pid, signal.SIGCONT)

    assert plant.wait_for(job_id) == SAVED_ONCE, plant.log_text()
    assert plant.emulator.counts()["submits"] == 1


@pytest.mark.parametrize("function", ["core.running:_wait", "core.running:_store", "core.autosave:_copy"])
def test_a_worker_frozen_past_its_heartbeat_and_woken_changes_nothing_any_more(plant: Plant, function):
    job_id = plant.ask(plant.make_character())[0]
    frozen = plant.start_worker("stop", function)
    assert wait_until(lambda: is_stopped(frozen.pid))
    plant.start_worker()
    saved = plant.wait_for(job_id)

    os.kill(frozen.pid, signal.SIGCONT)
    plant.end_workers()

    assert saved == SAVED_ONCE, plant.log_text()
    assert plant.facts(job_id) == SAVED_ONCE
    assert plant.emulator.counts()["submits"] == 1


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def stuck(plant: Plant) -> int:
    """Unfinished jobs that neither wait in the queue nor say that their outcome is unknown."""
    with psycopg.connect(plant.dsn) as conn:
        row = conn.execute(
            """
            SELECT count(*) FROM jobs j WHERE status IN ('queued', 'processing')
            AND stage IS DISTINCT FROM 'outcome_unknown'
            AND NOT EXISTS (SELECT FROM studio_queue.pgqueuer q
                            WHERE q.dedupe_key = 'job:' || j.id AND q.status IN ('queued', 'picked'))
            """
        ).fetchone()
    return row[0]
