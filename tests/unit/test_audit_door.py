"""The dashboard's door: what an address is, whose a picture is, and a socket that is looked at again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest
from pydantic import ValidationError
from starlette.types import Message, Receive, Scope, Send
from streamlit.runtime.media_file_storage import MediaFileKind

from audit import door, marks, sockets
from audit.door import Door
from audit.sockets import Watched
from core.errors import DatabaseUnavailable, NotAllowed, NotSignedIn
from core.headers import OF_PAGES
from core.settings import Settings
from core.values import Person, PersonId, Role

ANA = Person(id=PersonId(UUID(int=1)), roles=frozenset({Role.qa, Role.editor}), name="Ana")
BEN = replace(ANA, id=PersonId(UUID(int=2)))


@pytest.mark.parametrize(
    ("method", "path", "is_a"),
    [
        ("GET", "", Door.page),
        ("HEAD", "jobs", Door.page),
        ("GET", "jobs/_stcore/health", Door.page),
        ("GET", "static/js/index.js", Door.asset),
        ("GET", "app/static/inter-latin.woff2", Door.asset),
        ("GET", "_stcore/health", Door.asset),
        ("GET", "_stcore/host-config", Door.asset),
        ("GET", "component/any", Door.asset),
        ("GET", "media/abc.png", Door.media),
        ("POST", "", Door.closed),
        ("DELETE", "media/abc.png", Door.closed),
        ("PUT", "_stcore/upload_file/a/b", Door.closed),
        ("GET", "_stcore/upload_file/a/b", Door.closed),
        ("GET", "_stcore/metrics", Door.closed),
        ("GET", "_stcore/script-health-check", Door.closed),
        ("GET", "_stcore/agent/openapi.json", Door.closed),
        ("GET", "_stcore/agent/mcp", Door.closed),
        ("GET", "auth/login", Door.closed),
        ("GET", "oauth2callback", Door.closed),
    ],
)
def test_what_our_pages_do_not_need_is_closed(method: str, path: str, is_a: Door):
    assert door.at(method, path) is is_a


@pytest.mark.parametrize(
    ("written", "is_read"), [("/audit/", "/audit"), ("team/audit", "/team/audit"), ("/", "/")]
)
def test_the_path_of_the_dashboard_is_read_however_it_is_written(written: str, is_read: str):
    assert Settings(_env_file=None, audit_path=written).audit_path == is_read


@pytest.mark.parametrize("written", ["/au dit", "/../x", "//evil.example", "/a?b", "https://evil.example/"])
def test_the_path_of_the_dashboard_is_a_plain_one(written: str):
    with pytest.raises(ValidationError, match="AUDIT_PATH is a path"):
        Settings(_env_file=None, audit_path=written)


def test_a_mark_is_of_one_person_with_the_roles_they_hold():
    name = f"media/abc-{marks.of(ANA)}.png"

    assert marks.is_of(name, ANA)
    assert not marks.is_of(name, BEN)
    assert not marks.is_of(name, replace(ANA, roles=frozenset({Role.editor})))
    assert not marks.is_of("media/abc.png", ANA)
    assert not marks.is_of(f"media/abc-{marks.NOBODYS}.png", ANA)
    assert not marks.is_of("media/abc-ü.png", ANA)


def test_the_same_picture_of_two_people_is_two_files_under_two_names():
    kept = marks.MarkedMedia("/media")
    names: list[str] = []
    for person in (ANA, BEN):
        marks.made_for.set(marks.of(person))
        names.append(kept.load_and_get_id(b"a picture", "image/png", MediaFileKind.MEDIA))

    assert [marks.is_of(kept.get_url(name), who) for name, who in zip(names, (ANA, BEN), strict=True)] == [
        True,
        True,
    ]
    kept.delete_file(names[0])
    assert kept.get_file(f"{names[1]}.png").content == b"a picture"


def test_a_file_that_nobody_asked_for_by_name_opens_to_nobody():
    kept = marks.MarkedMedia("/media")
    marks.made_for.set(marks.NOBODYS)
    url = kept.get_url(kept.load_and_get_id(b"1,2", "text/csv", MediaFileKind.DOWNLOADABLE, "a.csv"))

    assert not marks.is_of(url, ANA)


def test_a_refusal_repeats_nothing_as_markup():
    assert "<script>" not in door.refusal(NotAllowed("<script>alert(1)</script>"))


def test_pages_may_load_nothing_from_elsewhere():
    assert "default-src 'self'" in door.POLICY
    assert "http" not in door.POLICY
    assert "frame-ancestors 'none'" in door.POLICY
    assert OF_PAGES["X-Content-Type-Options"] == "nosniff"


# ---- open sockets ------------------------------------------------------------------------------------------------


class Browser:
    """A browser that opens a socket, says one thing, and then only listens."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self._says: list[Message] = [
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "bytes": b"run"},
        ]
        self._leaves = asyncio.Event()

    async def receive(self) -> Message:
        if self._says:
            return self._says.pop(0)
        await self._leaves.wait()
        return {"type": "websocket.disconnect", "code": 1001}

    async def send(self, message: Message) -> None:
        self.heard.append(message)

    def leave(self) -> None:
        self._leaves.set()


async def a_page(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers what it hears until it hears the end; then it says one thing too many, as Streamlit may."""
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "bytes": b"drawn"})
    await send({"type": "websocket.send", "bytes": b"too late"})


def served(look: Callable[[], Person], *, leaves: bool = False) -> list[Message]:
    """What a browser hears on a socket of Ana's, until it is closed."""

    async def serve() -> list[Message]:
        browser = Browser()

        async def look_again() -> Person:
            if leaves and look_again.times == 3:
                browser.leave()
            look_again.times += 1
            return look()

        look_again.times = 0
        watched = Watched(a_page, ANA, look_again, every=0.01)
        scope: Scope = {"type": "websocket", "path": "/", "headers": []}
        async with asyncio.timeout(5):
            await watched(scope, browser.receive, browser.send)
        return browser.heard

    return asyncio.run(serve())


def raising(error: Exception) -> Callable[[], Person]:
    def look() -> Person:
        raise error

    return look


@pytest.mark.parametrize(
    ("look", "code"),
    [
        (raising(NotSignedIn("Signed out.")), sockets.SIGNED_OUT),
        (raising(NotAllowed("No role.")), sockets.ROLES_CHANGED),
        (lambda: replace(ANA, roles=frozenset({Role.editor})), sockets.ROLES_CHANGED),
        (lambda: BEN, sockets.ROLES_CHANGED),
    ],
    ids=["signed out", "no role any more", "a role taken", "somebody else"],
)
def test_an_open_socket_is_closed_when_its_person_is_not_who_they_were(look: Callable[[], Person], code: int):
    heard = served(look)

    assert [message["type"] for message in heard] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert heard[-1]["code"] == code


@pytest.mark.parametrize(
    "look", [lambda: ANA, raising(DatabaseUnavailable("Away."))], ids=["as before", "no database"]
)
def test_an_open_socket_stays_while_nothing_speaks_against_it(look: Callable[[], Person]):
    heard = served(look, leaves=True)

    assert "websocket.close" not in {message["type"] for message in heard}


def test_a_look_that_breaks_closes_the_socket():
    with pytest.raises(ZeroDivisionError):
        served(raising(ZeroDivisionError()))
