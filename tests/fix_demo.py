"""The demo world for tests: made once a run, a copy of its database and its files for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from core import demo
from core.demo.manifest import World
from core.settings import Settings
from tests import fix_services


@dataclass(frozen=True)
class Made:
    """A database that holds the demo world, to be cloned, and its files."""

    server: object
    name: str
    folder: Path
    world: World


def settings_of(folder: Path) -> Settings:
    # A completed portrait counts as being saved for minutes: this test may take one.
    fast = fix_services.FAST | {"stuck_after": 600.0, "heartbeat_seconds": 200.0, "autosave_delay": 300.0}
    return Settings(_env_file=None, **(fast | {"studio_home": folder, "team_sharing": False}))


@contextmanager
def opened(dsn: str, folder: Path) -> Iterator[object]:
    with fix_services._opened(dsn, settings_of(folder), ("sketch",), "http://127.0.0.1:9") as services:
        yield services


@pytest.fixture(scope="session")
def demo_made(servers, tmp_path_factory) -> Iterator[Made]:
    server = servers.get("embedded")
    folder = tmp_path_factory.mktemp("demo")
    with server.database(servers.template(server)) as dsn:
        with opened(dsn, folder) as services:
            world = demo.make(services)
        yield Made(server, dsn.rpartition("/")[2].partition("?")[0], folder, world)


@pytest.fixture
def demo_services(demo_made, tmp_path):
    """The demo world, for this test to change."""
    shutil.copytree(demo_made.folder, tmp_path / "home")
    with demo_made.server.database(demo_made.name) as dsn, opened(dsn, tmp_path / "home") as found:
        yield found


@pytest.fixture
def world(demo_made) -> World:
    """What is planted in it."""
    return demo_made.world
