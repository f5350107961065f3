"""From the moment a provider has finished to the page that shows the picture: told by a webhook, and found by asking."""

from __future__ import annotations

import json
import statistics
import threading
import time

from websockets.sync.client import ClientConnection, connect

from bench.figures import Figure, p95
from bench.world import (
    ROOT,
    a_character,
    answers,
    environment,
    free_port,
    home,
    process,
    settings,
    wait_until,
)
from core import generation
from core.auth import LOCAL_PERSON
from core.services import Services, open_services
from core.values import PortraitRequest, Size
from tests.emulator import EmulatorProcess

TIMES = 20
WARM_UP = 3
LATENCY = 1.5  # seconds
SIZE = Size(width=512, height=768)


def measure() -> list[Figure]:
    """Milliseconds from the provider's end to the page's news of it, and how often the provider was asked."""
    told, told_calls = _measured(is_told=True)
    asked, asked_calls = _measured(is_told=False)
    drawn = f"of {TIMES}, one after the other; download, checks, thumbnail and storing included"
    return [
        Figure(
            what="webhook to page, median",
            measured=statistics.median(told),
            floor=statistics.median(asked),
            unit="ms",
            note=f"{drawn}; POLL_EVERY 30 s, {told_calls:.1f} questions a picture; floor: the same found by asking",
        ),
        Figure(what="webhook to page, p95", measured=p95(told), floor=p95(asked), unit="ms"),
        Figure(
            what="the same found by asking, median",
            measured=statistics.median(asked),
            unit="ms",
            note=f"POLL_EVERY 1 s, {asked_calls:.1f} questions a picture",
        ),
    ]


def _measured(*, is_told: bool) -> tuple[list[float], float]:
    with home() as folder, EmulatorProcess() as emulator:
        emulator.set(latency=LATENCY, format="jpeg")
        port = free_port()
        given: dict[str, object] = {"fal_key": "emulator", "fal_base_url": emulator.url}
        more = {"public_url": f"http://127.0.0.1:{port}", "poll_every": 30} if is_told else {}
        env = environment(folder, studio_port=port, **given, **more)
        with process(str(ROOT / "studio_app.py"), env=env, cwd=folder) as studio:
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), "the studio", studio)
            with open_services(settings(folder, **given)) as services:
                seen = _portraits(services, emulator, f"ws://127.0.0.1:{port}/ws")
        calls = emulator.counts(requests=False)["status_calls"]
    return seen, float(str(calls)) / (TIMES + WARM_UP)


def _portraits(services: Services, emulator: EmulatorProcess, url: str) -> list[float]:
    """Milliseconds of each portrait from the provider's end to its job's completion on a page's socket."""
    completed: dict[str, float] = {}
    news = threading.Condition()
    asked = PortraitRequest(character_id=a_character(services).id, size=SIZE)
    with connect(url, proxy=None) as socket:
        threading.Thread(target=_listen, args=(socket, completed, news), daemon=True).start()
        time.sleep(0.5)  # a socket is open a moment before it is subscribed
        for _ in range(WARM_UP + TIMES):
            job_id = str(generation.request(asked, LOCAL_PERSON, services).job_id)
            with news:
                if not news.wait_for(lambda job_id=job_id: job_id in completed, timeout=60):
                    raise RuntimeError("No page heard of the portrait within a minute.")
    ended = [line["finished_at"] for line in emulator.counts()["requests"]]
    return [(heard - end) * 1000 for heard, end in zip(completed.values(), ended, strict=True)][WARM_UP:]


def _listen(socket: ClientConnection, completed: dict[str, float], news: threading.Condition) -> None:
    for message in socket:
        said = json.loads(message)
        if said["type"] == "job" and said["status"] == "completed":
            with news:
                completed.setdefault(said["job_id"], time.time())
                news.notify_all()
