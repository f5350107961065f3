"""A change made in one page: how long until it is durable, and until other open pages hear of it."""

from __future__ import annotations

import json
import threading
import time
from queue import Queue

from playwright.sync_api import sync_playwright
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
from core import characters
from core.auth import LOCAL_PERSON
from core.services import Services, open_services
from core.values import CharacterId
from tests.screens.browser import launch, visit

CHANGES = 200
PAGES = 2
SEEN = 40
# Whether a field of the page shows these words.
SHOWS = "words => [...document.querySelectorAll('input, textarea')].some(field => field.value === words)"


def measure() -> list[Figure]:
    """p95 of an edit's way to the database, and from there to two other pages."""
    with home() as folder:
        port = free_port()
        env = environment(folder, studio_port=port)
        with process(str(ROOT / "studio_app.py"), env=env, cwd=folder) as studio:
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), "the studio", studio)
            with open_services(settings(folder)) as services:
                saved, heard = _edits(services, f"ws://127.0.0.1:{port}/ws")
                seen = _seen(services, f"http://127.0.0.1:{port}")
    return [
        Figure(what="an edit durable, p95", measured=p95(saved), unit="ms", budget=50, note=f"of {CHANGES}"),
        Figure(
            what="a change heard by another page, p95",
            measured=p95(heard),
            unit="ms",
            budget=300,
            note=f"of {CHANGES} to {PAGES} sockets, from the edit's arrival",
        ),
        Figure(
            what="a change seen in another page, p95",
            measured=p95(seen),
            unit="ms",
            budget=300,
            note=f"of {SEEN}, in Chromium, from the edit's arrival to the field",
        ),
    ]


def _edits(services: Services, url: str) -> tuple[list[float], list[float]]:
    """Milliseconds from each edit's arrival to its commit, and to each page."""
    character = a_character(services)
    sockets = [connect(url, proxy=None) for _ in range(PAGES)]
    moments: Queue[float] = Queue()
    readers = [
        threading.Thread(target=_listen, args=(one, character.id, moments), daemon=True) for one in sockets
    ]
    for reader in readers:
        reader.start()
    time.sleep(0.5)  # a socket is open a moment before it is subscribed
    saved: list[float] = []
    heard: list[float] = []
    for number in range(CHANGES):
        began = time.perf_counter()
        changes = {"name": f"Juniper Vale {number}"}
        character = characters.save(
            character.id, changes, version=character.version, person=LOCAL_PERSON, services=services
        )
        saved.append((time.perf_counter() - began) * 1000)
        heard += [(moments.get(timeout=10) - began) * 1000 for _ in sockets]
    for one in sockets:
        one.close()
    return saved, heard


def _seen(services: Services, url: str) -> list[float]:
    """Milliseconds from each edit's arrival until an open page shows it."""
    character = a_character(services)
    taken: list[float] = []
    with (
        sync_playwright() as playwright,
        visit(launch(playwright), f"{url}/studio/?character={character.id}") as desk,
    ):
        desk.page.wait_for_function(SHOWS, arg=character.name, timeout=20_000)
        for number in range(SEEN):
            began = time.perf_counter()
            changes = {"name": f"Juniper of Pier {number}"}
            character = characters.save(
                character.id, changes, version=character.version, person=LOCAL_PERSON, services=services
            )
            desk.page.wait_for_function(SHOWS, arg=character.name)
            taken.append((time.perf_counter() - began) * 1000)
    return taken


def _listen(socket: ClientConnection, character_id: CharacterId, moments: Queue[float]) -> None:
    for message in socket:
        said = json.loads(message)
        if said["type"] == "character" and said["character_id"] == str(character_id):
            moments.put(time.perf_counter())
