"""Which of Gradio's own addresses are open, to whom, and whose page a session is.

Gradio serves some seventy addresses, and asks for a sign-in at two in three. Our pages need a dozen. What they do not
need is not there; what they need is for the team, but for the page's own scripts and styles.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import OrderedDict
from collections.abc import Collection
from enum import StrEnum, auto
from typing import Final

from starlette.datastructures import QueryParams
from starlette.types import Message, Receive, Scope

from core.errors import BadRequest, NotFound
from core.values import PersonId

MOST_BYTES: Final = 4 * 1024 * 1024  # of one event: five thousand ids in a new order are a tenth of it
SLOWEST: Final = 20.0  # seconds until all of an event is here
MOST_SESSIONS: Final = 50_000  # open pages that are remembered

# Scripts, styles and fonts that ship with Gradio: the same for everybody.
_SHIPPED: Final = ("/static/", "/assets/")
_SHIPPED_FILES: Final = frozenset({"/theme.css"})
_EVENTS: Final = frozenset({"/gradio_api/queue/join", "/gradio_api/component_server"})
_STREAM: Final = "/gradio_api/queue/data"
_ASKED: Final = frozenset(
    {"/config", "/gradio_api/app_id"}
)  # where a page comes back after a lost connection


class Door(StrEnum):
    """Who may come in at an address."""

    everybody = auto()
    page = auto()  # the team; others are sent on, or told why not
    event = auto()  # the team, each in the sessions of their own pages
    team = auto()
    closed = auto()


class Doors:
    """The addresses below `base`, where the studio's `pages` are."""

    def __init__(self, base: str, pages: Collection[str]) -> None:
        self._base = base
        self._pages = frozenset(pages)

    def holds(self, path: str) -> bool:
        """True for every address of the mounted Gradio app."""
        return path == self._base or path.startswith(f"{self._base}/")

    def at(self, method: str, path: str) -> Door:
        """Who may come in there. A trailing slash makes no other address."""
        if path.rstrip("/") in self._pages:
            return Door.page if method in {"GET", "HEAD"} else Door.closed
        inside = path.removeprefix(self._base)
        if method in {"GET", "HEAD"}:
            if inside in _SHIPPED_FILES or inside.startswith(_SHIPPED):
                return Door.everybody
            if inside in _ASKED:
                return Door.team
            return Door.event if inside == _STREAM else Door.closed
        is_event = method == "POST" and inside.rstrip("/") in _EVENTS
        return Door.event if is_event else Door.closed


class Sessions:
    """Which person a page's session belongs to: whoever used its name first. The browser makes the names up, and they are
    random; Gradio itself would hand anybody's answers to whoever knows one. In this process, as the queue is.
    """

    def __init__(self, most: int = MOST_SESSIONS) -> None:
        self._most = most
        self._people: OrderedDict[str, PersonId] = OrderedDict()
        self._guard = threading.Lock()

    def is_of(self, name: str, person_id: PersonId) -> bool:
        """True where the session is this person's; one that nobody has used is from now on."""
        with self._guard:
            owner = self._people.setdefault(name, person_id)
            self._people.move_to_end(name)
            while len(self._people) > self._most:
                self._people.popitem(last=False)
        return owner == person_id


async def session_of(scope: Scope, receive: Receive) -> tuple[str, Receive]:
    """The session an event or a stream names, and the body to be read once more. Raises BadRequest."""
    if scope["method"] != "POST":
        return _named(QueryParams(scope["query_string"]).get("session_hash")), receive
    body = await _body(receive)
    said = _parsed(body)
    return _named(said.get("session_hash") if isinstance(said, dict) else None), _again(body, receive)


def foreign_session() -> NotFound:
    """What is said of a session that is somebody else's."""
    return NotFound("This page's session is not there any more. Reload the page.", code="NO_SUCH_SESSION")


def _named(name: object) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= 100:  # noqa: PLR2004 -- Gradio's have eleven
        raise BadRequest("The page sent no session. Reload the page.", field="session_hash")
    return name


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise BadRequest("The page sent something that is no JSON. Reload the page.") from exc


async def _body(receive: Receive) -> bytes:
    """All of it. Raises BadRequest where it is too long, comes too slowly, or the page left in the middle."""
    try:
        async with asyncio.timeout(SLOWEST):
            return await _read(receive)
    except TimeoutError as exc:
        raise BadRequest("What the page sent came too slowly. Try again.", code="TOO_SLOW") from exc


async def _read(receive: Receive) -> bytes:
    read = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise BadRequest("The page left before it had sent everything.", code="BROKEN_OFF")
        read += message.get("body", b"")
        if len(read) > MOST_BYTES:
            raise BadRequest("The page sent too much at once. Do it in smaller steps.", code="TOO_LARGE")
        if not message.get("more_body", False):
            return bytes(read)


def _again(body: bytes, receive: Receive) -> Receive:
    is_read = False

    async def once_more() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once_more
