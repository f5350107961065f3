"""Postgres itself is killed (-9) in the middle; the embedded one is started again by whoever uses it."""

import os
import signal
from pathlib import Path

import psycopg
import pytest

from tests.chaos.plant import SAVED_ONCE, Plant, open_plant, wait_until


@pytest.fixture
def plant(tmp_path_factory):
    # A database of its own: the one all tests share must live.
    with open_plant(tmp_path_factory.mktemp("own"), None) as opened:
        yield opened


def kill_postgres(plant: Plant) -> None:
    """Returns when nobody is let in any more."""
    pid_file = next(Path(plant.environment["STUDIO_HOME"]).rglob("postmaster.pid"))
    os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
    wait_until(lambda: not is_back(plant), seconds=5)


@pytest.mark.parametrize("moment", ["submits", "status_calls", "downloads"])
def test_a_picture_survives_the_death_of_the_database(plant: Plant, moment):
    plant.emulator.set(latency=1.0)
    job_id = plant.ask(plant.make_character())[0]
    plant.start_worker()
    assert wait_until(lambda: plant.emulator.counts()[moment] > 0)

    kill_postgres(plant)
    assert wait_until(lambda: is_back(plant), seconds=20), plant.log_text()
    facts = plant.wait_for(job_id, seconds=60, unknown=True)

    # Killed between the request and its receipt, the worker holds the receipt until the database is back.
    assert facts == SAVED_ONCE, plant.log_text()
    assert plant.emulator.counts()["submits"] == 1


def test_what_was_asked_before_the_database_died_is_still_asked_for(plant: Plant):
    jobs = plant.ask(plant.make_character(), count=3)

    kill_postgres(plant)
    assert wait_until(lambda: is_back(plant), seconds=20), plant.log_text()
    plant.start_worker()

    assert [plant.wait_for(job, seconds=60).is_saved_once for job in jobs[-1:]] == [True]
    assert all(plant.wait_for(job, seconds=60).library == 1 for job in jobs)


def is_back(plant: Plant) -> bool:
    """A new connection is let in: backends of the dead server may answer on old ones for a moment."""
    try:
        psycopg.connect(plant.dsn).close()
    except psycopg.OperationalError:
        return False
    return True
