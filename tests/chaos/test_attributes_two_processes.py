"""Attribute images by the command, as real processes: two at once, a worker that dies before it publishes, Ctrl+C."""

import signal
import time
from dataclasses import replace

import psycopg
import pytest

from core import attributes
from core.values import STYLE_IMAGE, Cell, Role
from tests.chaos.plant import Plant, open_plant, wait_until

ANIME = Cell(category=STYLE_IMAGE, value="anime", style="anime")
GENERATE = ("-m", "core", "attributes", "generate", "--missing", "--yes", "--model", "FLUX dev")


@pytest.fixture
def plant(dsn, tmp_path):
    with open_plant(tmp_path, dsn, FAL_LIMIT="6") as opened:
        opened.emulator.set(latency=0.2, format="jpeg")
        yield opened


def one(plant: Plant, sql: str):
    with psycopg.connect(plant.dsn) as conn:
        [row] = conn.execute(sql).fetchall()
    return row[0] if len(row) == 1 else row


def said(plant: Plant, place: int) -> str:
    return (plant.home / f"process-{place}.log").read_text()


def doubled(plant: Plant) -> int:
    return one(
        plant,
        """
        SELECT (SELECT count(*) FROM (SELECT category, value, style FROM studio.attribute_jobs GROUP BY 1, 2, 3
                                      HAVING count(*) > 1) j)
             + (SELECT count(*) FROM studio.attribute_image_versions)
        """,
    )


@pytest.mark.timeout(150)
def test_two_commands_at_once_make_each_cell_once_and_pay_once(plant: Plant):
    both = [plant._start(*GENERATE), plant._start(*GENERATE)]

    endings = [process.wait(120) for process in both]

    counts = plant.emulator.counts(requests=False)
    made = one(plant, "SELECT count(*) FROM attribute_images WHERE cost_usd > 0")
    styles = one(plant, "SELECT count(*) FROM style_images")
    assert endings == [0, 0], plant.log_text()[-3000:]
    assert (counts["submits"], counts["charged"]) == (44, 44)
    assert counts["max_unfinished"] <= 6
    assert (made, styles, doubled(plant)) == (42, 2, 0)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "function", ["core.running:_complete", "core.publishing:_store", "core.publishing:_file"]
)
def test_a_worker_killed_around_publishing_is_followed_by_one_that_publishes_once(plant: Plant, function):
    product = replace(plant.person, roles=frozenset({Role.product}))
    flux = one(plant, "SELECT id FROM api_models WHERE model_key = 'fal-ai/flux/dev'")
    attributes.generate(product, plant.services, cells=[ANIME], model_id=flux)
    first = plant.start_worker("kill", function)
    assert first.wait(40) == -signal.SIGKILL

    plant.start_worker()
    saved = wait_until(lambda: one(plant, "SELECT stage FROM jobs") == "saved", seconds=40)

    assert saved, plant.log_text()[-3000:]
    assert one(plant, "SELECT count(*) FROM style_images") == 1
    assert plant.emulator.counts(requests=False)["charged"] == 1
    assert doubled(plant) == 0


@pytest.mark.timeout(120)
def test_ctrl_c_cancels_what_was_not_sent_and_keeps_what_comes_anyway(plant: Plant):
    plant.emulator.set(latency=1.5)
    command = plant._start(*GENERATE)
    assert wait_until(lambda: plant.emulator.counts(requests=False)["accepted"] >= 6, seconds=40)

    command.send_signal(signal.SIGINT)
    ending = command.wait(60)
    time.sleep(0.5)

    counts = plant.emulator.counts(requests=False)
    done, cancelled, open_ones = one(
        plant,
        """
        SELECT count(*) FILTER (WHERE stage = 'saved'), count(*) FILTER (WHERE status = 'cancelled'),
               count(*) FILTER (WHERE status IN ('queued', 'processing')) FROM jobs
        """,
    )
    assert ending == 1
    assert "Cancelled." in said(plant, 0)
    assert (done + cancelled, open_ones) == (one(plant, "SELECT count(*) FROM jobs"), 0)
    assert counts["submits"] < 20
    assert counts["charged"] == done
