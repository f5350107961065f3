"""Copies of portraits to take away, and what an uploaded picture tells of its making."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from core import copies, metadata
from core.api import references
from core.api.answers import refusals
from core.api.asking import Asking, Serving
from core.api.bodies import Refused
from core.copies import Kind
from core.errors import BadRequest, NotAllowed, NotFound, NotSignedIn, StorageFailed
from core.metadata import Found
from core.values import PortraitId

_PIECE = 256 * 1024
_FILE = {"schema": {"type": "string", "format": "binary"}}
_REFUSED = refusals(NotSignedIn, NotAllowed, NotFound, BadRequest, StorageFailed)
_A_COPY: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": dict.fromkeys(("image/png", "image/jpeg", "image/webp"), _FILE),
    },
    **_REFUSED,
}
_AN_ARCHIVE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The files, packed.", "content": {"application/zip": _FILE}},
    **_REFUSED,
}
_PICTURE_BODY = {
    "requestBody": {"required": True, "content": dict.fromkeys(references.TYPES, _FILE)},
}
_KIND = Query(description="original, with its settings, to share (only that a model made it), or as a card")


def router() -> APIRouter:
    """GET /downloads/portraits, GET /downloads/portraits/{id}, POST /recipes."""
    found = APIRouter(tags=["Files"])
    room = asyncio.Semaphore(2)  # a picture of 20 MB each

    @found.get(
        "/downloads/portraits/{portrait_id}", summary="A copy of a portrait", responses=_A_COPY,
        response_model=None, response_class=Response,
    )  # fmt: skip
    def one(  # pyright: ignore[reportUnusedFunction]
        portrait_id: UUID, services: Serving, person: Asking, kind: Annotated[Kind, _KIND] = Kind.original
    ) -> Response:
        """A portrait as a file. Nothing of it is made anew: texts are added to a copy, its pixels stay."""
        copy = copies.copy_of(PortraitId(portrait_id), kind, person, services)
        return Response(copy.data, media_type=copy.media_type, headers=_headers(copy.name))

    @found.get(
        "/downloads/portraits", summary="Copies of several portraits", responses=_AN_ARCHIVE,
        response_model=None, response_class=Response,
    )  # fmt: skip
    def many(  # pyright: ignore[reportUnusedFunction]
        services: Serving,
        person: Asking,
        ids: Annotated[
            str, Query(max_length=40 * copies.MOST_AT_ONCE, description="ids, joined with commas")
        ],
        kind: Annotated[Kind, _KIND] = Kind.original,
    ) -> Response:
        """Several portraits as one ZIP."""
        stack = ExitStack()
        packed = stack.enter_context(copies.archive(_ids(ids), kind, person, services))

        def pieces() -> Iterator[bytes]:
            with stack:
                while piece := packed.read(_PIECE):
                    yield piece

        return StreamingResponse(pieces(), media_type="application/zip", headers=_headers("portraits.zip"))

    @found.post(
        "/recipes", summary="What a picture tells of its making", openapi_extra=_PICTURE_BODY,
        responses=refusals(NotSignedIn, BadRequest, codes={413: ("TOO_LARGE",), 415: ("NOT_A_PICTURE",)}),
    )  # fmt: skip
    async def recipe(request: Request, _person: Asking) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        """The settings inside the picture of the body, as far as they can be read; nothing is kept."""
        try:
            data = await references.body(request)
        except Refused as refused:
            return refused.answer
        async with room:
            told = await run_in_threadpool(metadata.read, data)
        return JSONResponse({"success": True, "found": _told(told) if told else None})

    return found


def _headers(name: str) -> dict[str, str]:
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }


def _ids(joined: str) -> list[UUID]:
    try:
        return [UUID(one) for one in joined.split(",")]
    except ValueError as exc:
        raise BadRequest("These are no ids of portraits.", field="ids") from exc


def _told(found: Found) -> dict[str, Any]:
    recipe = found.recipe
    return {
        "program": found.program,
        "prompt": recipe.prompt,
        "negative": recipe.negative,
        "seed": None if recipe.seed is None else str(recipe.seed),
        "size": f"{recipe.width} × {recipe.height}" if recipe.width and recipe.height else None,
        "model": recipe.model,
        "presets": dict(recipe.presets),
    }
