"""`python -m audit` as a team runs it, over a planted world: people sign in, and each of them has a session."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from pydantic import SecretStr

from core import sessions
from core.identity import Identity, Tokens
from core.services import Services
from core.settings import Settings
from core.values import Person
from tests.ports import free_port
from tests.rights.world import UNREACHABLE
from tests.screens.prepared import NO_SEARCH

ROOT = Path(__file__).parents[2]
NOBODY = "nobody"


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """A running one: its address, with the path it stands under, and the process."""

    url: str
    services: Services
    process: subprocess.Popen[bytes]
    client: httpx.Client
    _cookies: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """The address without the path."""
        return "/".join(self.url.split("/")[:3])

    def headers(self, person: Person | None) -> dict[str, str]:
        """What a browser of this person's sends; they are signed in once, and nobody is not."""
        if person is None:
            return {}
        if person.name not in self._cookies:
            self._cookies[person.name] = signed_in(person, self.services)
        return {"Cookie": f"{sessions.COOKIE}={self._cookies[person.name]}"}

    def get(self, path: str, person: Person | None, **headers: str) -> httpx.Response:
        """GET `path`, which stands below the origin; a redirect is not followed."""
        address = httpx.URL(self.origin).copy_with(raw_path=path.encode())
        return self.asked("GET", address, person, **headers)

    def asked(
        self, method: str, address: httpx.URL | str, person: Person | None, **headers: str
    ) -> httpx.Response:
        """Ask as this person's browser would; what an answer would have it keep is forgotten."""
        self.client.cookies.clear()
        return self.client.request(method, address, headers=self.headers(person) | headers)


def signed_in(person: Person, services: Services) -> str:
    """The cookie of a session that has just begun."""
    identity = Identity(
        person=person.id, email=f"{person.name}@studio.example", name=person.name, roles=person.roles
    )
    tokens = Tokens(
        identity=identity,
        access_token=SecretStr("an access token"),
        refresh_token=SecretStr("a refresh token"),
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )
    return sessions.begin(tokens, services).value


@contextlib.contextmanager
def hosted(services: Services, dsn: str, **environment: str) -> Iterator[Dashboard]:
    """The dashboard on the database and the home of `services`, once it answers; ended by SIGTERM."""
    port = free_port()
    around = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    given = {
        "STUDIO_HOME": str(services.settings.home),
        "DATABASE_URL": dsn,
        "SUPABASE_URL": UNREACHABLE,
        "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_of_a_test",
        "AUDIT_PORT": str(port),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "audit"],
        cwd=ROOT,
        env=around | given | NO_SEARCH | environment,
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}{environment.get('AUDIT_PATH', '/audit').rstrip('/')}"
    try:
        with httpx.Client(timeout=20, trust_env=False) as client:
            found = Dashboard(url=url, services=services, process=process, client=client)
            _wait_for(found)
            yield found
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30)


def _wait_for(dashboard: Dashboard) -> None:
    patience = time.monotonic() + 60
    while True:
        assert dashboard.process.poll() is None, "The dashboard did not start."
        with contextlib.suppress(httpx.TransportError):
            if dashboard.get("/healthz", None).status_code == 200:
                return
        assert time.monotonic() < patience, "The dashboard did not answer in time."
        time.sleep(0.1)


def people(world_people: Mapping[str, Person]) -> dict[str, Person | None]:
    """Everybody there is, and nobody."""
    return {**world_people, NOBODY: None}
