"""Fixtures for everything that talks to a provider: the emulator, and each adapter pointed at it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import stamina

from tests.contracts.adapters import PATIENCE, Desk, Desks
from tests.emulator import Emulator


@pytest.fixture(scope="session")
def running_emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(running_emulator: Emulator) -> Emulator:
    running_emulator.reset()
    return running_emulator


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """Repeats stay repeats, only the pauses between them are gone."""
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture
def impatient_client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=httpx.Timeout(PATIENCE, connect=2), trust_env=False) as client:
        yield client


@pytest.fixture
def desks(impatient_client: httpx.Client) -> Iterator[Desks]:
    made = Desks(impatient_client)
    yield made
    for provider in made.built:
        provider.close()


@pytest.fixture
def desk(request: pytest.FixtureRequest, emulator: Emulator, desks: Desks) -> Desk:
    """An adapter at work in one mode, named by the test's parameter (see `columns`)."""
    return desks.at(request.param, emulator.url)


@pytest.fixture
def desk_without_a_server(request: pytest.FixtureRequest, unused_port: int, desks: Desks) -> Desk:
    return desks.at(request.param, f"http://127.0.0.1:{unused_port}")


@pytest.fixture
def fal_desk(emulator: Emulator, desks: Desks) -> Desk:
    return desks.at("fal T2I", emulator.url)


@pytest.fixture
def replicate_desk(emulator: Emulator, desks: Desks) -> Desk:
    return desks.at("replicate T2I", emulator.url)


@pytest.fixture
def novita_desk(emulator: Emulator, desks: Desks) -> Desk:
    return desks.at("novita T2I", emulator.url)


@pytest.fixture
def at_once_desk(emulator: Emulator, desks: Desks) -> Desk:
    return desks.at("novita at once T2I", emulator.url)


@pytest.fixture
def runpod_desk(emulator: Emulator, desks: Desks) -> Desk:
    return desks.at("runpod T2I", emulator.url)


@pytest.fixture
def unused_port() -> int:
    with Emulator() as emulator:
        return int(emulator.url.rpartition(":")[2])
