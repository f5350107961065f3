"""The studio's page over a real server: real Postgres, real routes, Sketch as the provider."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, expect, sync_playwright
from starlette.requests import HTTPConnection

from core import characters, generation, worker
from core import portraits as shown
from core.auth import LOCAL_PERSON
from core.db import people
from core.portraits import Tile
from core.services import Services, open_services
from core.settings import Settings
from core.values import Character, Person, PortraitRequest, Presets
from tests.light_page import built
from tests.screens.browser import Desk, launched, usual_port, visit
from tests.screens.dashboard import answers, pages_on, standing

DESCRIPTION = "A harbour pilot who reads the tide by smell and never once finishes a cup of coffee."


@dataclass
class DoorGate:
    """Lets one person in for as long as the door is open."""

    is_open: bool = True
    is_somebody: Person = LOCAL_PERSON
    signs_in: bool = True

    def person(self, conn: HTTPConnection) -> Person | None:  # noqa: ARG002 - the protocol's name
        return self.is_somebody if self.is_open else None


@dataclass(frozen=True)
class Site:
    """A running studio, and the use cases behind it."""

    url: str
    services: Services
    gate: DoorGate

    def character(self, **values: object) -> Character:
        named = {"name": "Mira Vantongeren", "description": DESCRIPTION, "gender": "female"} | values
        return characters.create(LOCAL_PERSON, self.services, named)

    def row(self, character: Character) -> Character:
        return characters.load(character.id, LOCAL_PERSON, self.services)

    def change(self, character: Character, **values: object) -> Character:
        """What another person does meanwhile."""
        now = self.row(character)
        return characters.save(
            character.id, values, version=now.version, person=LOCAL_PERSON, services=self.services
        )

    def make_portraits(self, character: Character, count: int) -> list[Tile]:
        """Portraits made the way the product makes them, by a worker of this process."""
        with worker.in_thread(self.services):
            for _ in range(count):
                order = PortraitRequest(
                    character_id=character.id,
                    own_words="on the quay",
                    presets=Presets(pose="standing"),
                    idempotency_key=str(uuid4()),
                )
                generation.request(order, LOCAL_PERSON, self.services)
            eventually(lambda: len(self.saved(character)) == count)
        self.services.stopping.clear()
        return self.saved(character)

    def saved(self, character: Character) -> list[Tile]:
        rows = shown.tiles(character.id, LOCAL_PERSON, self.services)
        return [tile for tile in rows if tile.kind == "portrait"]

    def address(self, character: Character) -> str:
        return f"{self.url}/studio/?character={character.id}"


def eventually(holds: Callable[[], bool], *, within: float = 30) -> None:
    """Wait for something the product does by itself."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.05)


@contextlib.contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The address of an app that is being served on this process's usual port, or on a free one."""
    config = uvicorn.Config(
        app, port=usual_port("studio"), log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="site")
    thread.start()
    try:
        eventually(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=15_000)  # what comes at all comes within that, on a busy machine too
    with sync_playwright() as playwright, launched(playwright) as started:
        yield started


@pytest.fixture
def settings(dsn: str, tmp_path: Path) -> Settings:
    return Settings(
        _env_file=None,
        database_url=dsn,
        studio_home=tmp_path,
        team_sharing=True,
        sketch_seconds=0,
        autosave_delay=0,
        worker_threads=4,
    )


@pytest.fixture
def site(settings: Settings) -> Iterator[Site]:
    with open_services(settings) as services:
        with services.db.as_service() as conn:
            people.insert_missing(conn, LOCAL_PERSON.id, "local@studio.invalid")
        gate = DoorGate()
        with serving(built(services, gate)) as url:
            yield Site(url, services, gate)


@pytest.fixture
def character(site: Site) -> Character:
    return site.character()


@pytest.fixture
def desk(browser: Browser, site: Site, character: Character) -> Iterator[Desk]:
    """The page of one character, open in a browser; it may not complain by itself."""
    with visit(browser, site.address(character)) as opened:
        opened.settle()
        yield opened
    assert opened.watch.complaints == []
    assert opened.watch.outside == []


@pytest.fixture
def pages(services: Services) -> Iterator[Callable[..., object]]:
    """Opens the dashboard's pages on this test's services, by Streamlit's test driver."""
    with pages_on(services) as opened:
        yield opened


@pytest.fixture
def dashboard(services: Services, dsn: str, tmp_path: Path, eventually: Callable[..., None]) -> Iterator[str]:
    """The address of the dashboard on this test's database."""
    with standing(tmp_path, DATABASE_URL=dsn) as url:
        eventually(lambda: answers(url), seconds=30)
        yield url
