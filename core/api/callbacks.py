"""Webhooks of providers: no person signs in here, each message proves itself (SPEC "HTTP")."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from core import callbacks
from core.api.answers import CallbackAnswer, refusals
from core.api.asking import Serving
from core.errors import (
    BadRequest,
    DatabaseUnavailable,
    NotAllowed,
    NotFound,
    ProviderUnreachable,
    QueryTimedOut,
)

_BODY = {"requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}, "required": True}}


def router() -> APIRouter:
    """POST /callbacks/{provider}."""
    found = APIRouter(tags=["Providers"])

    @found.post(
        "/callbacks/{provider}",
        operation_id="callback",
        summary="Report what became of a request",
        response_model=None,
        responses={
            200: {"model": CallbackAnswer, "description": "Taken in; sending it again changes nothing."},
            **refusals(
                BadRequest, NotAllowed, NotFound, ProviderUnreachable, DatabaseUnavailable, QueryTimedOut,
                codes={400: ("UNREADABLE",), 403: ("FORGED", "STALE"), 404: ("NO_SUCH_PROVIDER",)},
            ),
        },
        openapi_extra=_BODY,
    )  # fmt: skip
    def take(  # pyright: ignore[reportUnusedFunction]
        provider: str, request: Request, services: Serving, body: Annotated[bytes, Depends(_raw)]
    ) -> JSONResponse:
        """Take in what a provider reports. Doubles, late ones and those of no request of ours are answered 200 too:
        sending them again would change nothing.
        """
        headers = {name.lower(): value for name, value in request.headers.items()}
        deed = callbacks.take(provider, headers, body, dict(request.query_params), services)
        return JSONResponse(CallbackAnswer(did=deed).as_json())

    return found


async def _raw(request: Request) -> bytes:
    """The body byte by byte, as it was signed; its length was limited at the door."""
    return await request.body()
