"""The headers that every page of ours carries, whoever serves it: what a browser may load for it, and what it tells others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

# For every page of ours, beside its own content policy.
OF_PAGES: Final[Mapping[str, str]] = {
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "X-Content-Type-Options": "nosniff",
}


def policy(scripts: str) -> str:
    """A content policy: everything from our own origin, and beside it `scripts`, what the page's scripts may do more."""
    return (
        f"default-src 'self'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline';"
        " img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:;"
        " object-src 'none'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
    )


def added(send: Send, content_policy: str, more: Mapping[str, str] | None = None) -> Send:
    """`send`, with the headers of a page on the answer; they replace what the answer says of the same name."""
    given = {"Content-Security-Policy": content_policy, **OF_PAGES, **(more or {})}

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in given.items():
                headers[name] = value
        await send(message)

    return sending
