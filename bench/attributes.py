"""The 42 attribute images against the emulator, all at once, beside the ideal and beside one after the other."""

from __future__ import annotations

import math
import time

from bench.figures import Figure
from bench.world import PATIENCE, home, settings
from core import attributes, worker
from core.auth import LOCAL_PERSON
from core.services import Services, open_services
from core.values import Cell, ModelId
from tests.emulator import EmulatorProcess

LATENCY = 2.0  # seconds the provider draws
LIMIT = 10  # requests at once
PAUSE = 2.0  # seconds the platform's script waited between two
LOOK_EVERY = 0.2  # seconds, as the command does
SHARE = 1.15  # of the ideal, DESIGN "Budgets"


def measure() -> list[Figure]:
    """Wall time of 42 cells from the question to the last published row; and of a few one after the other."""
    with home() as folder, EmulatorProcess() as emulator:
        emulator.set(latency=LATENCY, format="jpeg")
        given = {"fal_key": "emulator", "fal_base_url": emulator.url, "fal_limit": LIMIT}
        with open_services(settings(folder, **given)) as services:
            everything = attributes.all_cells(services.catalog)
            cells = [cell for cell in everything if not cell.is_style]
            flux = _flux(services)
            with worker.in_thread(services):
                time.sleep(2)  # the queue listens a moment after the worker has started
                # First, so that the model has a median of its own when the 42 begin.
                few = [cell for cell in everything if cell.is_style]
                alone = _one_after_the_other(services, flux, few)
                together = _make(services, flux, cells)
                _refuse_wrong(services, len(cells))
        charged = emulator.counts(requests=False)["charged"]
    ideal = math.ceil(len(cells) / LIMIT) * LATENCY
    in_a_row = len(cells) * alone
    return [
        Figure(
            what=f"{len(cells)} attribute images, provider {LATENCY:.0f} s, limit {LIMIT}",
            measured=together,
            unit="s",
            floor=ideal,
            budget=SHARE * ideal,
            note=f"floor: ceil({len(cells)}/{LIMIT}) × {LATENCY:.0f} s; {charged} paid in all, {len(few)} of them for the line below",
        ),
        Figure(
            what="the same one after the other with 2 s pauses",
            measured=in_a_row,
            unit="s",
            floor=len(cells) * (LATENCY + PAUSE),
            note=f"{len(few)} measured at {alone:.2f} s each; {in_a_row / together:.1f} times as long",
        ),
    ]


def _flux(services: Services) -> ModelId:
    with services.db.as_service() as conn:
        row = conn.execute("SELECT id FROM api_models WHERE model_key = 'fal-ai/flux/dev'").fetchone()
    return ModelId(row[0])


def _make(services: Services, flux: ModelId, cells: list[Cell]) -> float:
    """Seconds until all of `cells` are published."""
    began = time.perf_counter()
    run = attributes.generate(LOCAL_PERSON, services, cells=cells, model_id=flux)
    while not (now := attributes.progress(run.id, LOCAL_PERSON, services)).is_over:
        if time.perf_counter() - began > PATIENCE:
            raise RuntimeError(f"Waited {PATIENCE:.0f} s in vain: {now}")
        time.sleep(LOOK_EVERY)
    if now.done != len(cells):
        raise RuntimeError(f"Not every picture was made: {now}")
    return time.perf_counter() - began


def _one_after_the_other(services: Services, flux: ModelId, cells: list[Cell]) -> float:
    """Seconds a picture takes that way, the pause after it included."""
    seconds = 0.0
    for cell in cells:
        seconds += _make(services, flux, [cell])
        began = time.perf_counter()
        time.sleep(PAUSE)
        seconds += time.perf_counter() - began
    return seconds / len(cells)


def _refuse_wrong(services: Services, wanted: int) -> None:
    with services.db.as_service() as conn:
        row = conn.execute(
            "SELECT count(*), max(file_size_bytes) FROM attribute_images WHERE cost_usd > 0"
        ).fetchone()
    if row[0] != wanted or row[1] > 150_000:
        raise RuntimeError(f"{row[0]} rows, the largest of {row[1]} bytes; {wanted} were wanted.")
