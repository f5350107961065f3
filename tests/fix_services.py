"""The product at work in a test: services on the test's own database, fal played by the emulator, the HTTP
interface served by a real server, two people who know nothing of each other.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.requests import HTTPConnection

from core import api, catalog, worker
from core.db import Database
from core.downloads import Downloads
from core.events import Events
from core.providers.fal import Fal
from core.providers.sketch import Sketch
from core.services import Services, insert_what_ships
from core.settings import Settings
from core.storage.folder import FolderStorage
from core.storage.links import Links, read_or_make_secret
from core.values import Person, Role
from tests import builders
from tests.emulator import KEY, Emulator

FAST = {
    "heartbeat_seconds": 1.0,
    "stuck_after": 2.0,
    "recovery_every": 1.0,
    "autosave_delay": 0.0,
    "poll_every": 0.02,
    "sketch_seconds": 0.0,
    "worker_threads": 8,
}

Build = Callable[..., Services]


@pytest.fixture
def no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's own environment says is nothing to a test."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def running_fal() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def fal(running_fal: Emulator) -> Emulator:
    """fal, played on loopback, with nothing remembered and small pictures."""
    running_fal.reset()
    running_fal.set(width=256, height=256)
    return running_fal


@pytest.fixture
def build(no_settings_around, dsn, tmp_path, fal) -> Iterator[Build]:
    """Makes Services on this test's database. `providers` are sketch and fal unless named, `fal_url` another
    emulator; the rest are settings. Several can be made: each is a process of its own to the database.
    """
    with contextlib.ExitStack() as stack:

        def make(
            *, providers: tuple[str, ...] = ("sketch", "fal"), fal_url: str = fal.url, **values: object
        ) -> Services:
            named = {"studio_home": tmp_path, "team_sharing": False}
            settings = Settings(_env_file=None, **(FAST | named | values))
            return stack.enter_context(_opened(dsn, settings, providers, fal_url))

        yield make


@contextlib.contextmanager
def _opened(dsn: str, settings: Settings, providers: tuple[str, ...], fal_url: str) -> Iterator[Services]:
    db = Database.open(
        dsn,
        max_size=settings.worker_threads + 8,
        share_with_team=settings.shares_with_team,
        was_looked_at=True,  # by the migration of its template
    )
    events = Events(db.connect, shares=settings.shares_with_team)
    events.start()
    with (
        contextlib.closing(Fal(KEY, base_url=fal_url)) as fal,
        contextlib.closing(db),
        contextlib.closing(events),
    ):
        with db.as_service() as conn:
            insert_what_ships(conn, local_person=True)
        known = {"sketch": Sketch(settings.sketch_seconds), "fal": fal}
        yield Services(
            settings=settings,
            db=db,
            storage=FolderStorage(settings.home / "objects"),
            links=Links(read_or_make_secret(settings)),
            providers={name: known[name] for name in providers},
            downloads=Downloads(),
            catalog=catalog.load(),
            events=events,
        )


@pytest.fixture
def services(build: Build) -> Services:
    """Sketch and fal, nobody shares."""
    return build()


@pytest.fixture
def ana(services: Services) -> Person:
    """An editor."""
    return builders.a_person(services.db, "ana", Role.editor)


@pytest.fixture
def ben(services: Services) -> Person:
    """Another editor, who has nothing to do with Ana's work."""
    return builders.a_person(services.db, "ben", Role.editor)


@pytest.fixture
def customer(services: Services) -> Person:
    """A customer of the platform: signed in, and without any role in the studio."""
    return builders.a_person(services.db, "customer")


@pytest.fixture
def live_worker(services: Services) -> Iterator[None]:
    """A worker of this process, the engine included."""
    with worker.in_thread(services):
        yield


class TwoPeopleGate:
    """Knows people by their names: `Authorization: Bearer ana`, or a cookie `who=ana`."""

    signs_in = True

    def __init__(self) -> None:
        self._people: dict[str, Person] = {}

    def let_in(self, *people: Person) -> None:
        self._people |= {person.name: person for person in people}

    def person(self, conn: HTTPConnection) -> Person | None:
        scheme, _, name = conn.headers.get("authorization", "").partition(" ")
        return self._people.get(name if scheme.lower() == "bearer" else conn.cookies.get("who", ""))


@dataclass
class Served:
    """The HTTP interface at `url`."""

    url: str
    gate: TwoPeopleGate
    stack: contextlib.ExitStack

    def as_(self, person: Person | None, **headers: str) -> httpx.Client:
        """A client of `person`, of nobody where None."""
        who = {}
        if person is not None:
            self.gate.let_in(person)
            who = {"Authorization": f"Bearer {person.name}"}
        client = httpx.Client(base_url=self.url, headers=who | headers, timeout=30, trust_env=False)
        return self.stack.enter_context(client)


@contextlib.contextmanager
def serving(app: FastAPI, *, port: int = 0) -> Iterator[str]:
    """Serve `app` on a loopback port (0: a free one), as studio_app.py does; the address."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="served")
    thread.start()
    try:
        _wait_until(lambda: server.started or not thread.is_alive())
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


@contextlib.contextmanager
def served(services: Services, *, port: int = 0) -> Iterator[Served]:
    """The HTTP interface over `services`, for as long as the block lasts."""
    gate = TwoPeopleGate()
    with contextlib.ExitStack() as stack, serving(api.build(services, gate), port=port) as url:
        yield Served(url, gate, stack)
        services.stopping.set()  # calls that wait for a portrait end, so the server can


@pytest.fixture
def app(services: Services) -> Iterator[Served]:
    """The HTTP interface of this test's services."""
    with served(services) as serving_it:
        yield serving_it


def _wait_until(holds: Callable[[], bool], *, seconds: float = 10.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not come about in time"
        time.sleep(0.01)


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Waits until something holds, and fails where it never does."""
    return _wait_until
