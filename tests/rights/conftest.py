"""One planted database a module's tests are asked on; a clone of it where a case changes something."""

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest

from tests.figures import RIGHTS
from tests.fix_database import Servers
from tests.rights.site import Site, served
from tests.rights.world import Planted, World, planted


@pytest.fixture(scope="session")
def ground(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    server = servers.get("given" if os.environ.get("TEST_DATABASE_URL") else "embedded")
    with planted(server, servers.template(server), tmp_path_factory.mktemp("rights")) as found:
        yield found


@pytest.fixture(scope="module")
def world(ground: Planted) -> Iterator[World]:
    """The world of the refused and of the readers: nothing may change in it."""
    with ground.world() as opened:
        yield opened


@pytest.fixture
def fresh(ground: Planted) -> Callable[[], contextlib.AbstractContextManager[World]]:
    """Opens a world of its own."""
    return ground.world


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Says at the end of the run how many cases a test asked."""
    return lambda line: record_property("figure", [RIGHTS, line])


@pytest.fixture(scope="module")
def site(world: World) -> Iterator[Site]:
    """The applications of the refused and of the readers."""
    with served(world) as opened:
        yield opened


@pytest.fixture
def fresh_site(ground: Planted) -> Iterator[Site]:
    """Applications over a world of their own."""
    with ground.world() as world, served(world) as opened:
        yield opened
