"""The page's own files, and what stands in front of the page: sign-in and the content policy."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from core import headers
from core.api.sign_in import sign_in_address
from core.auth import Gate, team_member
from core.errors import NotFound, NotSignedIn, StudioError
from studio import components
from studio.doors import Door, Doors, Sessions, foreign_session, session_of

ASSETS: Final = Path(__file__).parent / "assets"
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
# Gradio needs 'unsafe-eval' (templates and js= become functions) and inline styles (reference/ui-notes.md A9).
POLICY: Final = headers.policy("'unsafe-inline' 'unsafe-eval'")
LET_IN: Final = "studio.person"  # in a request's scope: whom the gate has just let in
FOREVER: Final = "public, max-age=31536000, immutable"  # the address holds the content's hash


@cache
def files() -> Mapping[str, bytes]:
    """Every file the page asks for, by name. The style is one sheet: the page's, those beside it, each component's."""
    found = {path.name: path.read_bytes() for path in sorted(ASSETS.iterdir()) if path.suffix in TYPES}
    beside = [data for name, data in found.items() if name.endswith(".css") and name != "studio.css"]
    sheets = [path.read_bytes() for path in sorted(components.FOLDER.glob("*/*.css"))]
    return found | {"studio.css": b"\n".join([found["studio.css"], *beside, *sheets])}


def scripts() -> str:
    """The page's scripts as one: the shared one first, the others stand on it."""
    names = ["studio.js", *(name for name in files() if name.endswith(".js") and name != "studio.js")]
    return "\n".join(files()[name].decode() for name in names)


@cache
def address() -> str:
    """The folder under which the files are served; it changes when one of them does."""
    digest = hashlib.sha256(b"".join(name.encode() + data for name, data in sorted(files().items())))
    return f"/studio-assets/{digest.hexdigest()[:12]}"


def head() -> str:
    """What goes into the page's <head>. Gradio adds it from the browser, where a script with an address would
    come too late for the components: ours stands in the page itself.
    """
    base = address()
    return (
        '<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">'
        f'<link rel="icon" type="image/svg+xml" href="{base}/favicon.svg">'
        f'<link rel="stylesheet" href="{base}/studio.css">'
        f"<script>{scripts()}</script>"
    )


def early_files() -> str:
    """A Link header: the style and the font, asked for while the page is still being read."""
    base = address()
    return (
        f"<{base}/studio.css>; rel=preload; as=style,"
        f" <{base}/inter-latin.woff2>; rel=preload; as=font; type=font/woff2; crossorigin"
    )


def routes() -> APIRouter:
    """The routes of the page's own files; browsers ask for /favicon.ico before they have read any link."""
    router = APIRouter()

    @router.get("/studio-assets/{version}/{name}", include_in_schema=False)
    def asset(version: str, name: str) -> Response:
        data = files().get(name)
        if data is None:
            return Response(status_code=404)
        caching = FOREVER if address().endswith(version) else "no-cache"
        return Response(data, media_type=TYPES[Path(name).suffix], headers={"Cache-Control": caching})

    @router.get("/favicon.ico", include_in_schema=False)
    def mark() -> Response:
        return Response(
            files()["favicon.svg"], media_type=TYPES[".svg"], headers={"Cache-Control": "no-cache"}
        )

    return router


class PageGate:
    """In front of the page and of all that Gradio serves beside it: who is not signed in goes to the sign-in, who has no
    role is told so, what our pages do not need is not there, and every answer carries the policy.

    Plain ASGI: Starlette's middleware class would stand in the way of Gradio's streams.
    """

    def __init__(self, app: ASGIApp, *, gate: Gate, path: str, pages: Collection[str]) -> None:
        self._app = app
        self._gate = gate
        self._doors = Doors(path, pages)
        self._sessions = Sessions()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if not self._doors.holds(scope.get("path", "")):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":  # Gradio has none; what is not served is not answered by it either
            await receive()
            await send(
                {"type": "websocket.close", "code": 4404, "reason": "There is nothing at this address."}
            )
            return
        door = self._doors.at(scope["method"], scope["path"])
        with_policy = headers.added(send, POLICY, {"Link": early_files()} if door is Door.page else None)
        try:
            receive = await self._let_in(door, scope, receive)
        except StudioError as error:
            await _refused(door, error, scope)(scope, receive, with_policy)
            return
        await self._app(scope, receive, with_policy)

    async def _let_in(self, door: Door, scope: Scope, receive: Receive) -> Receive:
        """What the request's body is read by from here on. Raises NotSignedIn, NotAllowed, NotFound, BadRequest."""
        if door is Door.closed:
            raise NotFound("There is nothing at this address.")
        if door is Door.everybody:
            return receive
        person = await run_in_threadpool(team_member, self._gate, HTTPConnection(scope))
        scope[LET_IN] = person
        if door is not Door.event:
            return receive
        name, receive = await session_of(scope, receive)
        if not self._sessions.is_of(name, person.id):
            raise foreign_session()
        return receive


def _refused(door: Door, error: StudioError, scope: Scope) -> Response:
    """Why not: in words on a page, and in the form of every refusal elsewhere. Nobody is led to the sign-in, and back."""
    headers = {"Cache-Control": "no-store"}
    if door is not Door.page:
        body = {"success": False, "error": error.sentence, "code": error.reason}
        return JSONResponse(body, error.status, headers=headers)
    if isinstance(error, NotSignedIn):
        there = sign_in_address(scope["path"], scope["query_string"].decode("latin-1"))
        return RedirectResponse(there, 303, headers=headers)
    return HTMLResponse(refusal(error.sentence), error.status, headers=headers)


def refusal(sentence: str) -> str:
    """The page somebody sees who may not see any other."""
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'><title>Portrait Studio</title>"
        f"<link rel='icon' href='{address()}/favicon.svg'><link rel='stylesheet' href='{address()}/studio.css'></head>"
        f"<body class='ps-refused'><main><h1>For the team</h1><p>{escape(sentence)}</p></main></body></html>"
    )
