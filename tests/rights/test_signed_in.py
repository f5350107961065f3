"""With the sign-in on: the same addresses, asked with a real session and a real token of Auth, both ways; and with what
counts no more, refused everywhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from core import sessions
from core.auth import FUNCTIONS, gate_for
from core.identity import open_sign_in
from core.services import Services, open_tokens
from core.values import Role
from tests.builders import rows
from tests.fix_services import serving
from tests.rights import surfaces
from tests.rights.site import GRADIO, NOBODY, built
from tests.rights.test_routes import FILLED, ways
from tests.rights.ways import PNG, ROUTES, For
from tests.rights.world import OWNER, WHO, Planted, World, stand
from tests.supabase.auth_double import PASSWORD, AuthDouble
from tests.supabase.auth_people import Account
from tests.supabase.signing import new_key

WHOSE = ("own", "another's")
# What a browser or a program shows that counts no more, or never did; each is refused everywhere.
GONE = ("signed out", "stayed away", "too long ago", "made up", "nothing")
NO_TOKEN = (
    "over",
    "of another project",
    "signed by somebody else",
    "of the service",
    "made up",
    "a cookie",
    "nothing",
)


@dataclass(frozen=True, kw_only=True)
class House:
    """The whole application behind the sign-in, and Auth."""

    url: str
    world: World
    services: Services
    auth: AuthDouble
    accounts: dict[str, Account]
    numbers: tuple[int, ...]  # of the page's questions
    stack: contextlib.ExitStack

    def cookie(self, who: str) -> str:
        """That of a session just begun."""
        assert self.services.sign_in is not None
        tokens = self.services.sign_in.sign_in(self.accounts[who].email, PASSWORD)
        return sessions.begin(tokens, self.services).value

    def token(self, who: str) -> str:
        """What a program of theirs shows."""
        return self.auth.token(self.accounts[who])

    def client(self, cookie: str | None = None, token: str | None = None) -> httpx.Client:
        """A browser with that cookie, which shows that token where functions are called."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        opened = httpx.Client(
            base_url=self.url,
            cookies={sessions.COOKIE: cookie} if cookie else {},
            headers=headers,
            timeout=30,
            trust_env=False,
        )
        return self.stack.enter_context(opened)

    def say(self, sql: str) -> None:
        """Move a clock in the database."""
        with self.services.db.as_service() as conn:
            conn.execute(sql)

    def newest(self, number: int) -> list[str]:
        """The ids of the sessions begun last, in their order."""
        found = rows(
            self.services.db, "SELECT id FROM studio.sessions ORDER BY created_at DESC LIMIT %s", (number,)
        )
        return [str(one) for (one,) in reversed(found)]

    def stand(self) -> dict[str, object]:
        """Every row but those of the sessions: who asks is noted there."""
        return {name: its for name, its in stand(self.services).items() if name != "studio.sessions"}


@contextlib.contextmanager
def housed(world: World, auth: AuthDouble) -> Iterator[House]:
    told = {"supabase_url": auth.url, "supabase_publishable_key": SecretStr(auth.publishable_key)}
    plain = replace(world.apart, settings=world.apart.settings.model_copy(update=told))
    sign_in, tokens = open_sign_in(plain.settings), open_tokens(plain.settings)
    assert sign_in is not None
    assert tokens is not None
    services = replace(plain, sign_in=sign_in, tokens=tokens)
    accounts = {
        who: auth.person(f"{who}@team.example", PASSWORD, *map(str, person.roles), id=str(person.id))
        for who, person in world.people.items()
    }
    app = built(services, gate_for(services))
    numbers = tuple(number for found in surfaces.questions(app).values() for number in found)
    with (
        contextlib.closing(sign_in),
        contextlib.closing(tokens),
        serving(app) as url,
        contextlib.ExitStack() as stack,
    ):
        httpx.get(f"{url}/nothing", trust_env=False)  # FastAPI builds its routes now
        services.stopping.set()
        yield House(
            url=url,
            world=world,
            services=services,
            auth=auth,
            accounts=accounts,
            numbers=numbers,
            stack=stack,
        )


@pytest.fixture(scope="module")
def house(ground: Planted) -> Iterator[House]:
    """One for all: what changes rows comes last."""
    with ground.world() as world, AuthDouble() as auth, housed(world, auth) as opened:
        yield opened


def status(answer: httpx.Response) -> int:
    return answer.status_code


def everywhere(house: House, client: httpx.Client) -> dict[str, int]:
    """What every address of ours that a role opens says to a client, and every door of the page."""
    said: dict[str, int] = {}
    row = house.world.work[OWNER]
    for name, way in ways():
        ask = way.ask(row)
        said[name] = status(
            client.request(
                name.split(maxsplit=1)[0], ask.path, params=ask.query, content=ask.body, headers=ask.headers
            )
        )
    for name, line in ROUTES.items():
        if line in (For.page, For.part) and not name.startswith("WS"):
            method, path = name.split()
            for word, value in FILLED.items():
                path = path.replace(word, value)
            said[name] = status(client.request(method, path))
    for number in house.numbers:
        asked = {
            "data": {"what": "read"},
            "component_id": number,
            "fn_name": "answer",
            "session_hash": uuid4().hex,
        }
        said[f"question {number}"] = status(client.post(f"{GRADIO}/component_server", json=asked))
    return said


def closed(house: House, cookie: str | None) -> int | None:
    """The code with which a page's socket is closed; None where it stands."""
    headers = {"Cookie": f"{sessions.COOKIE}={cookie or ''}", "Origin": house.url}
    with connect(f"{house.url.replace('http', 'ws')}/ws", additional_headers=headers) as opened:
        try:
            opened.recv(timeout=0.4)
        except TimeoutError:
            return None
        except ConnectionClosedError as end:
            return end.rcvd.code
    return None


def is_program(name: str) -> bool:
    return FUNCTIONS in name


def test_a_session_that_ended_opens_nothing(house, count):
    shown = {how: house.cookie("admin") for how in GONE[:3]}
    ids = house.newest(3)
    sessions.end(shown["signed out"], house.services)
    house.say(f"UPDATE studio.sessions SET last_seen_at = now() - interval '13 hours' WHERE id = '{ids[1]}'")
    house.say(
        "UPDATE studio.sessions SET ends_at = now() - interval '1 second', created_at = now() - interval '8 days'"
        f" WHERE id = '{ids[2]}'"
    )
    shown |= {"made up": "x" * 43, "nothing": None}
    before = house.stand()

    told = {how: everywhere(house, house.client(cookie)) for how, cookie in shown.items()}
    sockets = {how: closed(house, cookie) for how, cookie in shown.items()}

    pages = {name for name, line in ROUTES.items() if line is For.page}
    wrong = {
        (how, name): code
        for how, said in told.items()
        for name, code in said.items()
        if code != (303 if name in pages else 401)
    }
    assert wrong == {}
    assert sockets == dict.fromkeys(GONE, 4401)
    assert house.stand() == before
    count(f"HTTP and pages without a session: {sum(map(len, told.values()))} cases")
    count(f"WebSocket without a session: {len(sockets)} cases")


def test_a_role_taken_away_counts_at_once_and_everywhere(house, count):
    cookie = house.cookie("qa")
    assert closed(house, cookie) is None
    sessions.roles_changed(house.world.people["qa"].id, [], house.services)
    house.accounts["qa"].app_metadata.pop("roles")
    before = house.stand()

    said = everywhere(house, house.client(cookie, house.token("qa")))

    sockets = closed(house, cookie)
    house.accounts["qa"].app_metadata["roles"] = ["qa"]

    assert {name: code for name, code in said.items() if code != 403} == {}
    assert sockets == 4403
    assert house.stand() == before
    count(f"HTTP and pages after the role went: {len(said)} cases")


def test_another_role_counts_at_once_both_ways(house):
    cookie = house.cookie("editor")
    sessions.roles_changed(house.world.people["editor"].id, [Role.qa], house.services)
    client = house.client(cookie)

    assert (
        client.post("/cards", content=b"{}", headers={"content-type": "application/octet-stream"}).status_code
        == 403
    )
    assert client.post("/recipes", content=PNG, headers={"content-type": "image/png"}).status_code == 200
    hers = house.world.work["colleague"]
    assert client.get(f"/cards/{hers.character.id}").status_code == 200


def test_a_token_that_counts_no_more_opens_nothing(house, count):
    admin = house.accounts["admin"]
    with AuthDouble() as elsewhere:
        stranger = elsewhere.person(admin.email, PASSWORD, "admin", id=admin.id)
        shown = {
            "over": house.auth.token(admin, exp=1),
            "of another project": elsewhere.token(stranger, key=new_key("ES256")),
            "signed by somebody else": house.auth.token(admin, key=new_key("ES256")),
            "of the service": house.auth.token(admin, role="service_role"),
            "made up": "a.b.c",
            "a cookie": house.cookie("admin"),
            "nothing": None,
        }
        before = house.stand()
        told = {
            how: {
                name: code
                for name, code in everywhere(house, house.client(None, token)).items()
                if is_program(name)
            }
            for how, token in shown.items()
        }

    assert set(told) == set(NO_TOKEN)
    assert {
        (how, name): code for how, said in told.items() for name, code in said.items() if code != 401
    } == {}
    assert house.stand() == before
    count(f"HTTP with a token that does not count: {sum(map(len, told.values()))} cases")


def test_a_token_opens_functions_alone_and_a_cookie_everything_else(house, count):
    by_token = everywhere(house, house.client(None, house.token("admin")))
    by_cookie = everywhere(house, house.client(house.cookie("admin")))

    open_by_token = {name for name, code in by_token.items() if code not in {303, 401}}
    refused_to_the_cookie = {name for name, code in by_cookie.items() if code == 401}
    functions = {name for name in by_token if is_program(name)}
    assert open_by_token == functions
    assert refused_to_the_cookie == functions
    count(f"HTTP with the other key: {len(by_token) + len(by_cookie)} cases")


def test_a_customer_of_the_platform_signs_in_to_nothing(house, count):
    cookie, token = house.cookie("customer"), house.token("customer")

    said = everywhere(house, house.client(cookie, token))

    assert {name: code for name, code in said.items() if code != 403} == {}
    assert closed(house, cookie) == 4403
    assert closed(house, None) == 4401
    count(f"HTTP and pages of a customer: {len(said)} cases")


def test_a_picture_is_opened_by_its_link_and_by_no_session(house, count):
    path = house.world.work[OWNER].path
    by = {who: house.client(house.cookie(who), house.token(who)) for who in WHO} | {NOBODY: house.client()}

    said = {who: client.get(f"/files/user-library/{path}").status_code for who, client in by.items()}

    assert set(said.values()) == {403}
    count(f"file without its link: {len(said)} cases")


def test_with_real_sessions_and_tokens_everybody_is_served_what_the_table_says(house, count):
    people = {who: house.client(house.cookie(who), house.token(who)) for who in WHO}
    told, expected = {}, {}
    for name, way in ways():
        for who in WHO:
            for whose in WHOSE if way.of_rows else ("own",):
                if (who, whose) == (OWNER, "another's"):
                    continue
                ask = way.ask(house.world.row(who, whose))
                answer = people[who].request(
                    name.split(maxsplit=1)[0],
                    ask.path,
                    params=ask.query,
                    content=ask.body,
                    headers=ask.headers,
                )
                told[name, who, whose] = answer.status_code < 300
                expected[name, who, whose] = way.rule(who, whose)
                assert answer.status_code not in {401, 500}, (name, who, answer.text[:200])

    assert {case: served for case, served in told.items() if served is not expected[case]} == {}
    count(f"HTTP with a session or a token: {len(told)} cases")
