"""Character cards in and out. A card is a file of any kind and not JSON for us, so it lives outside /functions
(docs/decisions/0013 says the same of references).
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from core.api.asking import Asking, Serving
from core.cards import exporting, files, importing
from core.cards.card import Note
from core.cards.exporting import Kind
from core.cards.importing import Imported
from core.errors import BadRequest
from core.values import CharacterId, PortraitId

TYPE = "application/octet-stream"  # one that no form of another site can send without asking first
LONGEST_SENDING = 120.0  # seconds for one file
_AT_ONCE = 4

_BODY = {
    "requestBody": {
        "required": True,
        "content": {TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}


def router() -> APIRouter:
    """POST /cards, GET /cards/{character_id} and its report."""
    found = APIRouter(prefix="/cards")
    room = asyncio.Semaphore(_AT_ONCE)

    @found.post("", openapi_extra=_BODY, status_code=201)
    async def take(  # pyright: ignore[reportUnusedFunction]
        request: Request,
        services: Serving,
        person: Asking,
        file_name: Annotated[str, Query(alias="fileName", max_length=1000)] = "",
        rights_confirmed: Annotated[bool, Query(alias="rightsConfirmed")] = False,
        again: bool = False,
    ) -> JSONResponse:
        """Make a character of the card file in the body (JSON, PNG, WEBP, CHARX; at most 64 MiB)."""
        data = await _body(request)
        async with room:
            made = await run_in_threadpool(
                importing.take,
                data,
                file_name,
                rights_confirmed=rights_confirmed,
                person=person,
                services=services,
                again=again,
            )
        return JSONResponse({"success": True, **_described(made)}, 201)

    @found.get("/{character_id}/report")
    def report(  # pyright: ignore[reportUnusedFunction]
        services: Serving, person: Asking, character_id: UUID, kind: Kind = Kind.v3
    ) -> dict[str, Any]:
        """What an export of that kind leaves out."""
        notes = exporting.report(CharacterId(character_id), kind, person, services)
        return {"success": True, "notes": _notes(notes)}

    @found.get("/{character_id}")
    def give(  # pyright: ignore[reportUnusedFunction]
        services: Serving,
        person: Asking,
        character_id: UUID,
        kind: Kind = Kind.v3,
        portrait: UUID | None = None,
    ) -> Response:
        """The card file, as a download."""
        chosen = PortraitId(portrait) if portrait else None
        made = exporting.export(CharacterId(character_id), kind, person, services, portrait_id=chosen)
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(made.file_name, safe='')}",
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(made.data, media_type=made.media_type, headers=headers)

    return found


async def _body(request: Request) -> bytes:
    """The file, refused as soon as it is too long. Raises BadRequest."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != TYPE:
        raise BadRequest(f"Send the card file itself as the body, as {TYPE}.", code="NOT_A_CARD")
    announced = request.headers.get("content-length", "")
    data = bytearray()
    try:
        async with asyncio.timeout(LONGEST_SENDING):
            if announced.isdigit() and int(announced) > files.LARGEST_FILE:
                raise _too_long()
            async for part in request.stream():
                data += part
                if len(data) > files.LARGEST_FILE:
                    raise _too_long()
    except (ClientDisconnect, TimeoutError) as exc:
        raise BadRequest("The file did not arrive whole. Send it again.", code="BROKEN_OFF") from exc
    return bytes(data)


def _too_long() -> BadRequest:
    return BadRequest("A card file has at most 64 MiB. Choose a smaller one.", code="CARD_TOO_LARGE")


def _notes(notes: tuple[Note, ...]) -> list[dict[str, str]]:
    return [{"code": note.code, "sentence": note.sentence} for note in notes]


def _described(made: Imported) -> dict[str, Any]:
    return {
        "characterId": str(made.character_id),
        "name": made.name,
        "form": made.form,
        "hasPicture": made.has_picture,
        "notes": _notes(made.notes),
        "authorNotes": made.author_notes,
    }
