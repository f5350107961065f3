"""What happens to every request: a name in the log, one line when it is served, its time, and words where we broke.

Two rooms of plain ASGI, because headers of other origins go between them: `Arrivals` stands outermost, `LastResort`
inside CORS, so that the page of another origin can read a 500 too.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core import log

REQUEST_ID = "X-Request-Id"
# What a caller may name its request: nothing that could be a sentence, a key in an address or a line of the log.
_FIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})
_OURS = ("/functions/", "/callbacks/", "/files/")
_HUNG_UP = 499  # as proxies write it: the caller left before the answer began

_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class Served:
    """One request that was answered. `route` is the address as it was registered, never what the caller typed."""

    method: str
    route: str
    status: int
    seconds: float


class Arrivals:
    """Names each request, tells `note` of it, and writes one line: without its query, which may carry a token."""

    def __init__(self, app: ASGIApp, *, note: Callable[[Served], None]) -> None:
        self._app = app
        self._note = note

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = _name_of(scope)
        status = _HUNG_UP

        async def with_name(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = name
                if not scope["path"].startswith("/studio/"):  # Gradio's answers say it themselves
                    # Rows of a person and links that end belong into no cache but where an answer says so itself.
                    headers.setdefault("Cache-Control", "no-store")
                    headers.setdefault("X-Content-Type-Options", "nosniff")
            await send(message)

        begun = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=name):
            try:
                await self._app(scope, receive, with_name)
            finally:
                self._tell(scope, status, time.perf_counter() - begun)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._note(Served(method=method, route=route_of(scope), status=status, seconds=seconds))
        say = _log.info if scope["path"].startswith(_OURS) else _log.debug
        say(
            "request_served",
            method=method,
            path=scope["path"][:300],
            status=status,
            seconds=round(seconds, 3),
        )


class LastResort:
    """Answers 500 in the form of every refusal where nobody else answered, and writes down why."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises on where the answer had begun: only a broken connection tells that."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            if begun:
                raise
            _log.exception("request_broke", method=scope["method"], path=scope["path"][:300])
            sentence = (
                "The studio made a mistake with this request. Try again, or tell an admin its X-Request-Id."
            )
            body = {"success": False, "error": sentence, "code": "INTERNAL"}
            await JSONResponse(body, 500)(scope, receive, send)


def route_of(scope: Scope) -> str:
    """The registered address that took a request, `other` where none did: a bounded set, whatever is asked."""
    if scope["path"].startswith("/studio/"):  # Gradio's many addresses are one page to us
        return "/studio"
    route = scope.get("route")
    return (
        "other"
        if route is None
        else str(getattr(route, "path_format", None) or getattr(route, "path", "other"))
    )


def _name_of(scope: Scope) -> str:
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if _FIT.fullmatch(given) else uuid4().hex
