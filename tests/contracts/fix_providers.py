"""Fixtures for everything that talks to a provider: the emulator, and each adapter pointed at it.

An adapter joins the contract suite by one entry in `ADAPTERS`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from uuid import uuid4

import httpx
import pytest
import stamina

from core.providers import Provider
from core.providers.fal import Fal
from core.providers.sketch import Sketch
from core.values import Capabilities, Finished, ImageModel, ModelId, Order, Size, Ticket
from tests.emulator import KEY, Emulator

PATIENCE = 1.0  # seconds until a client in these tests takes silence for an answer that got lost
SEES_ALL = Capabilities(supports_i2i=True, supports_seed=True, supports_negative=True, max_reference_images=4)
PROMPT = "An adult lighthouse keeper in a mustard raincoat, winking at a seagull"


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """How a provider is built for a test, from the emulator's address and a client."""

    build: Callable[[str, httpx.Client], Provider]
    model: ImageModel
    remote: bool = True  # whether it speaks to a server that can fail


def at(adapter: Adapter, url: str, client: httpx.Client) -> Desk:
    return Desk(provider=adapter.build(url, client), model=adapter.model)


@dataclass(kw_only=True)
class Desk:
    """An adapter at work, and what a caller of it does."""

    provider: Provider
    model: ImageModel
    order: Order = field(
        default_factory=lambda: Order(prompt=PROMPT, size=Size(width=256, height=320), seed=2**40 + 7)
    )

    def submit(self) -> Ticket:
        return self.provider.submit(self.order, self.model)

    def finish(self, ticket: Ticket) -> Finished:
        """Polls a bounded number of times until the result is there."""
        for _ in range(500):
            stand = self.provider.poll(ticket)
            if isinstance(stand, Finished):
                return stand
            time.sleep(0.01)
        raise AssertionError("five hundred polls and no result")


def model_of(provider: str, key: str) -> ImageModel:
    return ImageModel(
        id=ModelId(uuid4()),
        provider=provider,
        model_key=key,
        display_name="Test model",
        capabilities=SEES_ALL,
    )


ADAPTERS = {
    "fal": Adapter(
        build=lambda url, client: Fal(KEY, base_url=url, client=client),
        model=model_of("fal", "fal-ai/flux/dev"),
    ),
    "sketch": Adapter(
        build=lambda _url, _client: Sketch(seconds=0),
        model=model_of("sketch", "sketch/placeholder"),
        remote=False,
    ),
}


REMOTE = sorted(name for name, adapter in ADAPTERS.items() if adapter.remote)


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


@pytest.fixture(params=sorted(ADAPTERS))
def any_desk(request: pytest.FixtureRequest, emulator: Emulator, impatient_client: httpx.Client) -> Desk:
    return at(ADAPTERS[request.param], emulator.url, impatient_client)


@pytest.fixture(params=REMOTE)
def desk(request: pytest.FixtureRequest, emulator: Emulator, impatient_client: httpx.Client) -> Desk:
    return at(ADAPTERS[request.param], emulator.url, impatient_client)


@pytest.fixture(params=REMOTE)
def desk_without_a_server(
    request: pytest.FixtureRequest, unused_port: int, impatient_client: httpx.Client
) -> Desk:
    return at(ADAPTERS[request.param], f"http://127.0.0.1:{unused_port}", impatient_client)


@pytest.fixture
def fal_desk(emulator: Emulator, impatient_client: httpx.Client) -> Desk:
    return at(ADAPTERS["fal"], emulator.url, impatient_client)


@pytest.fixture
def unused_port() -> int:
    with Emulator() as emulator:
        return int(emulator.url.rpartition(":")[2])
