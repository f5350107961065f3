"""Our share of one portrait: everything but the provider, against the least anybody would have to do."""

from __future__ import annotations

import dataclasses
import io
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from PIL import Image

from bench.figures import Figure
from bench.world import a_character, home, settings
from core import autosave, generation, running
from core.auth import LOCAL_PERSON
from core.providers import CancelAnswer
from core.providers.fal import Fal
from core.services import Services, open_services
from core.values import Finished, ImageModel, Order, PortraitRequest, Running, Size, Ticket
from tests.emulator import EmulatorProcess

TIMES = 40
WARM_UP = 5
SIZE = Size(width=1024, height=1024)
THUMBNAIL = (384, 384)


class Ready:
    """fal with its pictures finished beforehand: it answers at once, so that all time left is ours."""

    name = "fal"

    def __init__(self, fal: Fal, pictures: Iterator[Finished]) -> None:
        self._fal = fal
        self._pictures = pictures
        self._count = 0

    @property
    def download_hosts(self) -> tuple[str, ...]:
        return self._fal.download_hosts

    def submit(self, order: Order, model: ImageModel) -> Ticket:  # noqa: ARG002 — the protocol's
        self._count += 1
        return Ticket(provider="fal", request_id=f"ready-{self._count}", model_key=model.model_key)

    def poll(self, ticket: Ticket) -> Running | Finished:  # noqa: ARG002
        return next(self._pictures)

    def cancel(self, ticket: Ticket) -> CancelAnswer:  # noqa: ARG002
        return CancelAnswer.unsupported


def measure() -> list[Figure]:
    """Median ms of one 1024² portrait, and the same over its floor."""
    with (
        home() as folder,
        EmulatorProcess() as emulator,
        open_services(settings(folder, fal_key="emulator", fal_base_url=emulator.url)) as services,
        httpx.Client(trust_env=False) as client,
    ):
        fal = Fal("emulator", base_url=emulator.url)
        pictures = finished_pictures(fal, services, WARM_UP + TIMES)
        carry = carrier(dataclasses.replace(services, providers={"fal": Ready(fal, iter(pictures))}))
        urls = iter([one.images[0].url for one in pictures])
        floors, ours = _alternating(lambda: floor(client, next(urls), folder), carry)
    floor_ms, ours_ms = statistics.median(floors), statistics.median(ours)
    return [
        Figure(
            what="our share of one 1024² portrait, median",
            measured=ours_ms,
            unit="ms",
            budget=150,
            floor=floor_ms,
            note=f"of {TIMES}; ask, run, auto-save",
        ),
        Figure(what="the same over its floor", measured=ours_ms / floor_ms, unit="×", budget=3),
    ]


def finished_pictures(fal: Fal, services: Services, count: int) -> list[Finished]:
    """Pictures that wait at the emulator."""
    model = next(
        one.model for one in generation.models_for(LOCAL_PERSON, services) if one.model.provider == "fal"
    )
    order = Order(prompt="a retired lighthouse keeper, portrait", size=SIZE)
    tickets = [fal.submit(order, model) for _ in range(count)]
    states = [fal.poll(ticket) for ticket in tickets]
    return [state for state in states if isinstance(state, Finished)]


def carrier(services: Services) -> Callable[[], object]:
    """What one portrait is: asked, run, saved. Raises RuntimeError where it is not saved."""
    asked = PortraitRequest(character_id=a_character(services).id, size=SIZE)

    def carry() -> None:
        job_id = generation.request(asked, LOCAL_PERSON, services).job_id
        running.run(job_id, services)
        if not autosave.save(job_id, services):
            raise RuntimeError("The portrait was not saved, so its time means nothing.")

    return carry


def floor(client: httpx.Client, url: str, folder: Path) -> None:
    """Download, decode, thumbnail, two writes; no check, no record, nothing flushed to the disk."""
    data = client.get(url).content
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        image.thumbnail(THUMBNAIL)
        small = io.BytesIO()
        image.save(small, "WEBP", quality=80, method=2)
    (folder / "floor.jpg").write_bytes(data)
    (folder / "floor.webp").write_bytes(small.getvalue())


def _alternating(*works: Callable[[], object]) -> tuple[list[float], ...]:
    """Milliseconds of each work, in turns, so that a busy moment of the machine meets both."""
    taken: tuple[list[float], ...] = tuple([] for _ in works)
    for turn in range(WARM_UP + TIMES):
        for work, times in zip(works, taken, strict=True):
            began = time.perf_counter()
            work()
            if turn >= WARM_UP:
                times.append((time.perf_counter() - began) * 1000)
    return taken
