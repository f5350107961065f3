"""The OpenAPI document: FastAPI's, with what holds for every call added, and a page of it that needs no other host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi

from core.api import document_page
from core.api.answers import Refusal, refusal

VERSION = "1"
TAGS = (
    {"name": "Portraits", "description": "Ask for a picture and see where it stands."},
    {
        "name": "Characters",
        "description": "Proposals for a character's fields, and the pictures it may follow.",
    },
    {"name": "Providers", "description": "Where providers report what became of a request."},
    {"name": "Files", "description": "Stored pictures, for whoever holds a link that we signed."},
    {"name": "Cards", "description": "Characters in and out, as the card files other programs read."},
    {"name": "Health", "description": "Whether it lives, whether it can work, and its numbers."},
)
_ABOUT = (
    "Fictional adult characters and their portraits. Every refusal has one form: `{success: false, error, code}`; "
    "the code stays, the words may change. A key in `Idempotency-Key` never buys twice."
)
_REQUEST_ID = {
    "X-Request-Id": {
        "description": "Names this request in the log: the caller's own, where it sent one of 8 to 64 plain characters.",
        "schema": {"type": "string"},
    }
}
# What may answer before a route does, or when everything behind it is away.
_ANY_CALL = {
    403: ("FOREIGN_HOST", "FOREIGN_ORIGIN", "NO_SIGN_IN"),
    500: ("INTERNAL", "STUDIO_ERROR", "SETUP", "SCHEMA"),
}
_ROWS = {503: ("DATABASE_UNAVAILABLE",), 504: ("TIMED_OUT",)}
_BODY = {400: ("BAD_REQUEST",), 408: ("TOO_SLOW",), 413: ("TOO_LARGE",), 415: ("NOT_JSON",)}
_FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")  # our misshapen requests are 400, in our form


def describe(app: FastAPI) -> None:
    """Let `app` answer its document, built once, at the first ask: every router is there by then."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(
                get_openapi(
                    title=app.title,
                    version=app.version,
                    description=_ABOUT,
                    routes=app.routes,
                    tags=list(TAGS),
                )
            )
        return app.openapi_schema

    app.openapi = document


def router() -> APIRouter:
    """GET /docs; `/openapi.json` is FastAPI's."""
    found = APIRouter(include_in_schema=False)

    @found.get("/docs")
    def docs(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """The document as a page: no script, nothing from another host."""
        page = document_page.render(request.app.openapi())
        return Response(page, media_type="text/html", headers=document_page.HEADERS)

    return found


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    components: dict[str, Any] = document.setdefault("components", {})
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    schemas["Refusal"] = Refusal.model_json_schema()
    for name in _FASTAPIS_OWN:
        schemas.pop(name, None)
    for operation in _operations(document):
        _complete(operation)
    return document


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        for method, operation in path.items():
            if method != "parameters":
                yield operation


def _complete(operation: dict[str, Any]) -> None:
    responses: dict[str, Any] = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422", "")):
        del responses["422"]
    if operation.get("parameters"):
        _add(responses, {400: ("BAD_REQUEST",)})
    if "requestBody" in operation:
        _add(responses, _BODY)
    if "security" in operation:
        _add(responses, _ROWS | {401: ("MISSING_AUTH",)})
    _add(responses, _ANY_CALL)
    for response in responses.values():
        response["headers"] = response.get("headers", {}) | _REQUEST_ID
    operation["responses"] = dict(sorted(responses.items()))


def _add(responses: dict[str, Any], codes: dict[int, tuple[str, ...]]) -> None:
    """Codes that a response does not name yet; one that takes any code stays open."""
    for status, more in codes.items():
        standing = responses.get(str(status))
        if standing is None:
            responses[str(status)] = refusal(status, more)
        elif (known := _codes(standing)) is not None:
            responses[str(status)] = standing | refusal(status, [*known, *more])


def _codes(response: dict[str, Any]) -> list[str] | None:
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    return schema["allOf"][1]["properties"]["code"]["enum"] if "allOf" in schema else None
