"""What stands in front of every request: only our own pages and named origins may reach the studio (SPEC "HTTP"):
otherwise any web page a person has open could spend their money through their browser.
"""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import SetupFailed
from core.settings import Settings

_JSON_ONLY = "/functions/"
# What a studio without sign-in serves to the outside: each proves itself by a signature or a token.
_FOR_ALL = ("/callbacks/", "/files/", "/metrics", "/healthz", "/readyz")
_FOR_MACHINES = ("/metrics", "/healthz", "/readyz")  # asked under a container's own name, behind a sign-in
_PASSED_ON = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")  # what proxies add
_CALLBACKS = "/callbacks/"  # sent by servers: no Origin, and a signature or a token instead of a person
LONGEST_BODY = 1024 * 1024  # bytes: a character with every field full is a tenth of it
LONGEST_CALLBACK = 8 * LONGEST_BODY  # RunPod's hold the request and the picture (reference/providers.md §4.3)
SLOWEST_BODY = 20.0  # seconds until all of it is here


_CLOSED = (
    "This studio has no sign-in, so it answers pages and calls on its own machine only; from outside it takes "
    "providers' reports and serves signed links. Set ALLOW_NO_SIGN_IN=yes if everybody there may spend."
)


class SameOrigin:
    """Checks Host and Origin of every request and socket, and takes only JSON under /functions. Plain ASGI."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app
        self._public = urlsplit(settings.public_url or "").netloc.lower()
        self._hosts = frozenset(filter(None, (self._public, settings.studio_host.lower())))
        self._origins = frozenset(settings.origins)
        self._has_sign_in = settings.has_sign_in
        # Without a sign-in whoever gets a request in may spend; with one, a wrong Host is a wrong address.
        self._checks_host = not self._has_sign_in or self._public != ""
        self._is_closed = not self._has_sign_in and not settings.allow_no_sign_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or say why not."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4403, "reason": refusal[2]})
        else:
            status, code, sentence = refusal
            await JSONResponse({"success": False, "error": sentence, "code": code}, status)(
                scope, receive, send
            )

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        """Status, code and sentence where the request is not let in."""
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if self._checks_host and not self._is_ours(host) and not self._is_for_machines(scope):
            return 403, "FOREIGN_HOST", "This studio answers only under its own address."
        if self._is_closed and not scope["path"].startswith(_FOR_ALL) and self._is_outside(headers, host):
            return 403, "NO_SIGN_IN", _CLOSED
        origin = headers.get("origin")
        from_page = scope["type"] == "websocket" or not scope["path"].startswith(_CALLBACKS)
        if origin is not None and from_page and not self._is_allowed(origin, host):
            return 403, "FOREIGN_ORIGIN", "Another web page may not use this studio."
        if not self._is_json(scope, headers):
            return 415, "NOT_JSON", "Send the body as application/json."
        return None

    def _is_for_machines(self, scope: Scope) -> bool:
        return self._has_sign_in and scope["path"] in _FOR_MACHINES

    def _is_ours(self, host: str) -> bool:
        name = _name(host)
        return host in self._hosts or name in self._hosts or name == "localhost" or _is_loopback(name)

    def _is_outside(self, headers: Headers, host: str) -> bool:
        """Whether somebody beyond this machine asks: under PUBLIC_URL's host, or through a proxy."""
        is_public = host == self._public and not _is_loopback(_name(host)) and _name(host) != "localhost"
        return is_public or any(name in headers for name in _PASSED_ON)

    def _is_allowed(self, origin: str, host: str) -> bool:
        return (_netloc(origin) == host and host != "") or origin.rstrip("/") in self._origins

    def _is_json(self, scope: Scope, headers: Headers) -> bool:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith(_JSON_ONLY):
            return True
        return headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


class BodyLimit:
    """Reads the body of a call under /functions or /callbacks before it is served, and refuses one that is too long
    or comes too slowly. Plain ASGI.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        longest: int = LONGEST_BODY,
        longest_callback: int = LONGEST_CALLBACK,
        slowest: float = SLOWEST_BODY,
    ) -> None:
        self._app = app
        self._longest = {_JSON_ONLY: longest, _CALLBACKS: longest_callback}
        self._slowest = slowest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or answer 413 or 408."""
        longest = self._limit(scope)
        if longest is None:
            await self._app(scope, receive, send)
            return
        try:
            read = await asyncio.wait_for(self._read(receive, longest), self._slowest)
        except TimeoutError:
            slow = "The body came too slowly. Send it again, or over a better line."
            await _hang_up(408, "TOO_SLOW", slow)(scope, receive, send)
            return
        if read is None:
            await _hang_up(413, "TOO_LARGE", "The body is too large. Send less.")(scope, receive, send)
            return

        async def once_more() -> Message:
            return read.pop(0) if read else await receive()

        await self._app(scope, once_more, send)

    def _limit(self, scope: Scope) -> int | None:
        """Bytes this request's body may have, None where nobody reads it here."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return None
        return next((most for path, most in self._longest.items() if scope["path"].startswith(path)), None)

    async def _read(self, receive: Receive, longest: int) -> list[Message] | None:
        """The messages that carry the body, None where it is too long."""
        read: list[Message] = []
        length = 0
        while not read or read[-1].get("more_body", False):
            message = await receive()
            read.append(message)
            length += len(message.get("body", b""))
            if length > longest:
                return None
        return read


def _hang_up(status: int, code: str, sentence: str) -> JSONResponse:
    """A refusal after which the rest of the body is not read."""
    body = {"success": False, "error": sentence, "code": code}
    return JSONResponse(body, status, headers={"Connection": "close"})


def _name(host: str) -> str:
    """The host without its port: `[::1]:7860` is `::1`."""
    if "@" in host:  # a name in front of a host is no Host header of a browser
        return ""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def refuse_open_door(settings: Settings, *, name: str = "STUDIO_HOST", host: str | None = None) -> None:
    """Raise SetupFailed where an app without sign-in would listen beyond this machine (SPEC "Two ways to run").

    `host` is what the setting `name` holds; STUDIO_HOST unless given.
    """
    host = settings.studio_host if host is None else host
    if settings.has_sign_in or settings.allow_no_sign_in or host == "localhost" or _is_loopback(host):
        return
    raise SetupFailed(
        f"{name} is {host}, which others can reach, and there is no sign-in: everybody there could spend. "
        "Use 127.0.0.1; or set up a sign-in, by SUPABASE_URL with SUPABASE_PUBLISHABLE_KEY or by OIDC_ISSUER with "
        "OIDC_CLIENT_ID; or set ALLOW_NO_SIGN_IN=yes if that is meant."
    )
