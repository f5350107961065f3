"""The page's own files, and what stands in front of the page: sign-in and the content policy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.auth import Gate
from studio import components

ASSETS: Final = Path(__file__).parent / "assets"
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
# Gradio needs 'unsafe-eval' (templates and js= become functions) and inline styles (reference/ui-notes.md A9).
POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:;"
    " object-src 'none'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
)
FOREVER: Final = "public, max-age=31536000, immutable"  # the address holds the content's hash


@cache
def files() -> Mapping[str, bytes]:
    """Every file the page asks for, by name. The style is one sheet: the page's, then each component's."""
    found = {path.name: path.read_bytes() for path in sorted(ASSETS.iterdir()) if path.suffix in TYPES}
    others = [data for name, data in found.items() if name.endswith(".css") and name != "studio.css"]
    sheets = [path.read_bytes() for path in sorted(components.FOLDER.glob("*/*.css"))]
    return found | {"studio.css": b"\n".join([found["studio.css"], *others, *sheets])}


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


def scripts() -> str:
    """The page's own scripts: studio.js, on which the others stand, then those by name."""
    others = [name for name in files() if name.endswith(".js") and name != "studio.js"]
    return "\n".join(files()[name].decode() for name in ("studio.js", *others))


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
    """In front of the page: who is not signed in goes to the sign-in, and every answer carries the policy.

    Plain ASGI: Starlette's middleware class would stand in the way of Gradio's streams.
    """

    def __init__(self, app: ASGIApp, *, gate: Gate, path: str, sign_in: str) -> None:
        self._app = app
        self._gate = gate
        self._path = path
        self._sign_in = sign_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not scope["path"].startswith(self._path):
            await self._app(scope, receive, send)
            return
        is_page = scope["path"].rstrip("/") == self._path
        if is_page and await run_in_threadpool(self._gate.person, HTTPConnection(scope)) is None:
            await RedirectResponse(self._sign_in, 303)(scope, receive, send)
            return

        early = early_files() if is_page else None

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["Referrer-Policy"] = "same-origin"
                headers["Cross-Origin-Opener-Policy"] = "same-origin"
                headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=(), payment=(), usb=()"
                headers["X-Content-Type-Options"] = "nosniff"
                if early:
                    headers["Link"] = early
            await send(message)

        await self._app(scope, receive, with_policy)
