"""How many portraits two workers carry while the provider takes no time."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from bench.figures import Figure
from bench.world import a_character, environment, home, process, settings, wait_until
from core import generation
from core.auth import LOCAL_PERSON
from core.services import Services, open_services
from core.values import PortraitRequest, Size
from tests.emulator import EmulatorProcess

WORKERS = 2
PORTRAITS = 300
CORES = 2
SIZE = Size(width=512, height=768)


def measure() -> list[Figure]:
    """Portraits a second of two workers, the emulator's own processor time taken out."""
    with home() as folder, EmulatorProcess() as emulator:
        emulator.set(format="jpeg")
        given = {
            "fal_key": "emulator",
            "fal_base_url": emulator.url,
            "max_waiting": PORTRAITS,
        }
        with open_services(settings(folder, **given)) as services:
            _ask_and_hold(services)
            before = _processor_seconds(emulator)
            with _workers(folder, given, services):
                seconds = _carry_all(services)
            emulated = _processor_seconds(emulator) - before
            _refuse_lost_and_doubled(services, emulator)
    # The emulator took its share of both cores; without it the same work would have had them whole.
    alone = seconds - emulated / CORES
    return [
        Figure(
            what="two workers, 512x768 JPEG, provider at zero latency",
            measured=PORTRAITS / alone,
            unit="portraits/s",
            budget=20,
            more_is_better=True,
            note=f"{PORTRAITS} in {seconds:.1f} s, {emulated:.1f} s of processor were the emulator's; none lost or doubled",
        )
    ]


def _ask_and_hold(services: Services) -> None:
    """Every job asked for, none of them due yet."""
    asked = PortraitRequest(character_id=a_character(services).id, size=SIZE)
    for _ in range(PORTRAITS):
        generation.request(asked, LOCAL_PERSON, services)
    _set_due(services, "now() + interval '1 hour'")


def _set_due(services: Services, when: str) -> None:
    with services.db.as_service() as conn:
        conn.execute(f"UPDATE studio_queue.pgqueuer SET execute_after = {when}".encode())


@contextlib.contextmanager
def _workers(folder: Path, given: dict[str, object], services: Services) -> contextlib.ExitStack:
    """Worker processes that have all said they live."""
    with contextlib.ExitStack() as stack:
        env = environment(folder, **given)
        running = [
            stack.enter_context(process("-m", "core.worker", env=env, cwd=folder)) for _ in range(WORKERS)
        ]
        wait_until(lambda: _count(services, "studio.workers") == WORKERS, "the workers to start", *running)
        time.sleep(1)  # their queues listen a moment after the first beat
        yield stack


def _carry_all(services: Services) -> float:
    """Seconds from the moment all jobs are due until the last is in the library."""
    began = time.perf_counter()
    _set_due(services, "now()")
    wait_until(lambda: _count(services, "public.user_library") >= PORTRAITS, "the last portrait", every=0.1)
    return time.perf_counter() - began


def _refuse_lost_and_doubled(services: Services, emulator: EmulatorProcess) -> None:
    found = [_count(services, table) for table in ("public.user_library", "public.character_portraits")]
    found.append(emulator.counts(requests=False)["accepted"])
    if found != [PORTRAITS] * len(found):
        raise RuntimeError(f"Library, portraits, paid requests: {found}, each should be {PORTRAITS}.")


def _processor_seconds(emulator: EmulatorProcess) -> float:
    return float(emulator.counts(requests=False)["cpu_seconds"])


def _count(services: Services, table: str) -> int:
    with services.db.as_service() as conn:
        return conn.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()[0]
