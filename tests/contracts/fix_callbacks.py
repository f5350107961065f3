"""A studio that providers can call: all four of them on the emulator, PUBLIC_URL on a port of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from core.providers.fal import Fal
from core.providers.novita import Novita
from core.providers.replicate import Replicate
from core.providers.runpod import RunPod
from core.services import Services
from core.values import Role
from tests import builders
from tests.contracts.called import Called
from tests.emulator import KEY, Emulator
from tests.fix_services import Build, served
from tests.ports import free_port


@pytest.fixture
def port() -> int:
    """A port of loopback that nobody listens on now."""
    return free_port()


@pytest.fixture
def reachable(build: Build, fal: Emulator, port: int) -> Iterator[Callable[..., Services]]:
    """Makes Services with all four providers and a PUBLIC_URL; nobody serves it yet."""
    with contextlib.ExitStack() as stack:

        def make(**values: object) -> Services:
            services = build(**({"public_url": f"http://127.0.0.1:{port}"} | values))
            each = {
                "fal": Fal(KEY, base_url=fal.url),
                "novita": Novita(KEY, base_url=f"{fal.url}/novita"),
                "replicate": Replicate(KEY, base_url=f"{fal.url}/replicate"),
                "runpod": RunPod(KEY, endpoint_id="own", base_url=f"{fal.url}/runpod/v2"),
            }
            for one in each.values():
                stack.callback(one.close)
            return replace(services, providers={**services.providers, **each})

        yield make


@pytest.fixture
def provider(request: pytest.FixtureRequest) -> str:
    """The provider of this test, its parameter."""
    return request.param


@pytest.fixture
def unserved(provider: str, reachable: Callable[..., Services], fal: Emulator, port: int) -> Called:
    """A studio with jobs of the test's provider, not listening yet. Its polls are far apart."""
    fal.set(webhook_pause=0.05)
    services = reachable(poll_every=20)
    person = builders.a_person(services.db, "vera", Role.editor)
    return Called(services=services, person=person, provider=provider, emulator=fal, port=port)


@pytest.fixture
def called(unserved: Called) -> Iterator[Called]:
    """The same, listening."""
    with served(unserved.services, port=unserved.port):
        yield unserved
