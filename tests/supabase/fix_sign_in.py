"""The product with a sign-in: services whose people sign in at a double of Supabase Auth, and its HTTP interface."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import httpx
import pytest

from core import api, sessions
from core.auth import gate_for
from core.identity import open_sign_in
from core.services import Services, open_tokens
from core.sessions import Begun
from tests.fix_services import Build, serving
from tests.supabase.auth_double import PASSWORD, AuthDouble
from tests.supabase.auth_people import Account

Team = Callable[..., Services]


@pytest.fixture(scope="session")
def running_auth() -> Iterator[AuthDouble]:
    with AuthDouble() as double:
        yield double


@pytest.fixture
def auth(running_auth: AuthDouble) -> Iterator[AuthDouble]:
    """Supabase Auth, played on loopback; what a test ordered is forgotten afterwards."""
    kept = (running_auth.lasts, running_auth.reuse_seconds)
    yield running_auth
    running_auth.lasts, running_auth.reuse_seconds = kept
    running_auth.wait = 0.0
    running_auth.people.clear()
    running_auth.sessions.clear()
    running_auth.counts.clear()
    running_auth.calls.clear()
    running_auth.letters.clear()
    running_auth.known_passwords.clear()
    running_auth.asks_again = False


@pytest.fixture
def team(build: Build, auth: AuthDouble) -> Iterator[Team]:
    """Makes services whose people sign in. Several are processes of their own to the database."""
    with contextlib.ExitStack() as stack:

        def make(**values: object) -> Services:
            named = {"supabase_url": auth.url, "supabase_publishable_key": auth.publishable_key} | values
            plain = build(**named)
            sign_in, tokens = open_sign_in(plain.settings), open_tokens(plain.settings)
            assert sign_in is not None
            assert tokens is not None
            stack.callback(sign_in.close)
            stack.callback(tokens.close)
            return replace(plain, sign_in=sign_in, tokens=tokens)

        yield make


@pytest.fixture
def signed_in(auth: AuthDouble) -> Callable[[Account, Services], Begun]:
    """A session of somebody, begun as a sign-in begins it."""

    def begin(account: Account, services: Services) -> Begun:
        assert services.sign_in is not None
        return sessions.begin(services.sign_in.sign_in(account.email, PASSWORD), services)

    return begin


@dataclass
class House:
    """The HTTP interface behind the sign-in, at `url`."""

    url: str
    services: Services
    stack: contextlib.ExitStack

    def browser(self, **headers: str) -> httpx.Client:
        """A browser with own cookies; it names its origin, as browsers do."""
        named = {"Origin": self.url, "Sec-Fetch-Site": "same-origin"} | headers
        return self.stack.enter_context(
            httpx.Client(base_url=self.url, headers=named, timeout=30, trust_env=False)
        )

    def sign_in(
        self, client: httpx.Client, email: str, password: str = PASSWORD, **fields: str
    ) -> httpx.Response:
        """Fill in the form and send it."""
        form = {"form": form_of(client.get("/sign-in")), "email": email, "password": password, **fields}
        return client.post("/sign-in", data=form)


def form_of(page: httpx.Response) -> str:
    """What a form of this page carries."""
    return page.text.partition("name='form' value='")[2].partition("'")[0]


@contextlib.contextmanager
def housed(services: Services) -> Iterator[House]:
    with (
        contextlib.ExitStack() as stack,
        serving(api.build(services, gate_for(services))) as url,
    ):
        yield House(url, services, stack)
        services.stopping.set()


@pytest.fixture
def house(team: Team) -> Iterator[House]:
    with housed(team()) as opened:
        yield opened
