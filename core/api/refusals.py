"""One form for every refusal: {success: false, error, code}."""

from __future__ import annotations

from math import ceil

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from core.errors import StudioError

# Seconds until it is worth asking again (RFC 9110): a place in one's queue, a provider or a database to come back.
_ASK_AGAIN = {429: 10, 503: 15}


def add(app: FastAPI) -> None:
    """Answer our errors, unserved addresses and misshapen bodies of `app` in that form."""
    app.add_exception_handler(StudioError, _refused)  # pyright: ignore[reportArgumentType]
    app.add_exception_handler(RequestValidationError, _misshapen)  # pyright: ignore[reportArgumentType]
    app.add_exception_handler(HTTPException, _unserved)  # pyright: ignore[reportArgumentType]


def ask_again(status: int, *, after: float | None = None) -> dict[str, str]:
    """The Retry-After header of a 429 or 503; `after` seconds where that is known. Empty for other statuses."""
    usual = _ASK_AGAIN.get(status)
    return {} if usual is None else {"Retry-After": str(max(1, ceil(after if after is not None else usual)))}


async def _refused(_request: Request, error: StudioError) -> Response:
    body: dict[str, object] = {"success": False, "error": error.sentence, "code": error.reason}
    field = getattr(error, "field", None)
    headers = ask_again(error.status, after=getattr(error, "retry_after", None))
    if error.status == 401:  # noqa: PLR2004 -- RFC 9110 asks for it there
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body | ({"field": field} if field else {}), error.status, headers=headers)


async def _unserved(_request: Request, error: HTTPException) -> Response:
    """What no route took or could read, in the form of every other refusal."""
    sentence, code = {
        400: ("The body cannot be read. Send one JSON object.", "BAD_REQUEST"),
        404: ("There is nothing at this address.", "NOT_FOUND"),
        405: ("This address takes another method.", "METHOD_NOT_ALLOWED"),
    }.get(error.status_code, ("This request cannot be served.", "REFUSED"))
    body = {"success": False, "error": sentence, "code": code}
    return JSONResponse(body, error.status_code, headers=error.headers)


async def _misshapen(_request: Request, error: RequestValidationError) -> Response:
    """A body of the wrong form; what was sent is not repeated."""
    first = error.errors()[0]
    where = [str(part) for part in first["loc"] if part not in ("body", "path", "query", "header")]
    field = ".".join(where)
    problem = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        sentence, field = "The body is not valid JSON. Send one JSON object.", ""
    else:
        sentence = f"{field or 'The body'} is wrong: {problem[:1].lower()}{problem[1:]}."
    return JSONResponse(
        {"success": False, "error": sentence, "code": "BAD_REQUEST", **({"field": field} if field else {})},
        400,
    )
