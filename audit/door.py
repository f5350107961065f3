"""In front of everything that Streamlit serves: who is not signed in goes to the sign-in, who has no role is told so,
what our pages do not need is not there, and a picture opens to whoever it was drawn for.
"""

from __future__ import annotations

from enum import Enum, auto
from html import escape
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from audit import look, marks, sockets, ways_out
from core import headers
from core.api.sign_in import sign_in_address
from core.auth import Gate, team_member
from core.errors import NotAllowed, NotFound, NotSignedIn, StudioError
from core.services import Services
from core.values import Person

SOCKET: Final = "_stcore/stream"
# Streamlit reads tables and charts with WebAssembly, and starts some of its scripts from text (reference/ui-notes.md B1).
POLICY: Final = headers.policy("'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval'")
# Streamlit compares it when a socket wants to go on with the page of an earlier one: that page's person, or nobody's.
# Only this door writes it, and nothing of ours reads who is asking from it.
PAGE_OF: Final = "x-portrait-studio-page-of"

_READS: Final = frozenset({"GET", "HEAD"})
_ASSETS: Final = ("static/", "app/static/", "component/", "_stcore/", "media/")
_MEDIA: Final = "media/"
# What Streamlit serves and our pages do not need: files sent to it, its own sign-in, its counters, agents.
_CLOSED: Final = (
    "_stcore/agent", "_stcore/metrics", "_stcore/upload_file", "_stcore/script-health-check", "auth/", "oauth2callback",
)  # fmt: skip


class Door(Enum):
    """What an address of the dashboard is."""

    closed = auto()
    page = auto()
    asset = auto()
    media = auto()


def at(method: str, path: str) -> Door:
    """The door of `path`, which stands below the dashboard's own and begins without a slash."""
    if method not in _READS or path.startswith(_CLOSED):
        return Door.closed
    if path.startswith(_MEDIA):
        return Door.media
    return Door.asset if path.startswith(_ASSETS) else Door.page


class DashboardDoor:
    """The door in front of the Streamlit app that is mounted under `path` ("" at the root). Plain ASGI."""

    def __init__(
        self,
        app: ASGIApp,
        services: Services,
        *,
        gate: Gate,
        path: str,
        look_every: float = sockets.LOOK_EVERY,
    ) -> None:
        self._app = app
        self._services = services
        self._gate = gate
        self._path = path
        self._look_every = look_every

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["type"] == "http":
            await self._page(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        below = scope["path"].removeprefix(self._path).removeprefix("/")
        door = at(scope["method"], below)
        with_policy = headers.added(send, POLICY)
        try:
            await self._let_in(door, below, scope)
        except StudioError as error:
            await self._refusal(door, error, scope)(scope, receive, with_policy)
            return
        await self._app(scope, receive, with_policy)

    async def _let_in(self, door: Door, below: str, scope: Scope) -> None:
        """Raises NotSignedIn, NotAllowed, NotFound, DatabaseUnavailable."""
        if door is Door.closed:
            raise _nothing_here()
        person = await self._person(scope)
        if door is Door.media and not marks.is_of(below, person):
            raise _nothing_here()

    async def _person(self, scope: Scope) -> Person:
        return await run_in_threadpool(team_member, self._gate, HTTPConnection(scope))

    def _refusal(self, door: Door, error: StudioError, scope: Scope) -> Response:
        fresh = {"Cache-Control": "no-store"}
        if door is not Door.page or "text/html" not in Headers(scope=scope).get("accept", ""):
            body = {"success": False, "error": error.sentence, "code": error.reason}
            return JSONResponse(body, error.status, headers=fresh)
        if isinstance(error, NotSignedIn):
            there = sign_in_address(scope["path"], scope["query_string"].decode("latin-1"))
            return RedirectResponse(there, 303, headers=fresh)
        ways = ways_out.forms(HTTPConnection(scope), self._services) if self._gate.signs_in else ""
        return HTMLResponse(refusal(error, ways), error.status, headers=fresh)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        below = scope["path"].removeprefix(self._path).removeprefix("/")
        try:
            if below != SOCKET:
                raise _nothing_here()
            person = await self._person(scope)
        except StudioError as error:
            await receive()
            await send({"type": "websocket.close", "code": 4000 + error.status, "reason": error.sentence})
            return
        scope = dict(scope, headers=list(scope["headers"]))
        MutableHeaders(scope=scope)[PAGE_OF] = marks.of(person)

        async def look_again() -> Person:
            return await self._person(scope)

        watched = sockets.Watched(self._app, person, look_again, every=self._look_every)
        await watched(scope, receive, send)


def refusal(error: StudioError, ways: str = "") -> str:
    """The page that somebody sees who may see no other: why, and the `ways` out, HTML, to come as somebody else."""
    title = "For the team" if isinstance(error, NotAllowed) else "Not just now"
    colours = "".join(f"{name}:light-dark({light},{dark});" for name, (light, dark) in look.tokens().items())
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'><title>Portrait Studio audit</title>"
        f"<style>:root{{color-scheme:light dark;{colours}}}{_REFUSED}</style></head>"
        f"<body><main><h1>{title}</h1><p>{escape(error.sentence)}</p><div>{ways}</div></main></body></html>"
    )


_REFUSED: Final = (
    "body{margin:0;display:grid;place-items:center;min-height:100vh;background:var(--ps-page);color:var(--ps-text);"
    "font:15px/23px Inter,ui-sans-serif,system-ui,sans-serif}main{max-width:420px;padding:24px;text-align:center}"
    "h1{margin:0 0 8px;font-size:19px;font-weight:650}p{margin:0 0 20px;color:var(--ps-soft)}"
    "div{display:flex;gap:10px;justify-content:center}button{padding:9px 18px;border:1px solid var(--ps-line);border-radius:10px;background:var(--ps-surface);"
    "color:var(--ps-text);font:inherit;font-weight:600;cursor:pointer}"
)


def _nothing_here() -> NotFound:
    return NotFound("There is nothing at this address.")
