"""Webhooks of providers: no person signs in here, each message proves itself (SPEC "HTTP")."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from core import callbacks
from core.api.asking import Serving
from core.callbacks import Deed

_ANSWERS: dict[int | str, dict[str, Any]] = {
    400: {"description": "It names no request."},
    403: {"description": "It does not prove where it comes from, or is too old."},
    404: {"description": "No provider of that name reports to this studio."},
    413: {"description": "It is too large; the picture comes by asking."},
    503: {"description": "Send it again: the database or the provider's keys are away."},
}
_BODY = {"requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}, "required": True}}


def router() -> APIRouter:
    """POST /callbacks/{provider}."""
    found = APIRouter()

    @found.post("/callbacks/{provider}", responses=_ANSWERS, openapi_extra=_BODY)
    def take(  # pyright: ignore[reportUnusedFunction]
        provider: str, request: Request, services: Serving, body: Annotated[bytes, Depends(_raw)]
    ) -> dict[str, bool | Deed]:
        """Take in what a provider reports. Doubles, late ones and those of no request of ours are answered 200 too:
        sending them again would change nothing.
        """
        headers = {name.lower(): value for name, value in request.headers.items()}
        deed = callbacks.take(provider, headers, body, dict(request.query_params), services)
        return {"success": True, "did": deed}

    return found


async def _raw(request: Request) -> bytes:
    """The body byte by byte, as it was signed; its length was limited at the door."""
    return await request.body()
