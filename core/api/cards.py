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

from core.api import bodies
from core.api.answers import CardAnswer, CardNote, CardReportAnswer, refusals
from core.api.asking import Asking, Serving
from core.api.bodies import Refused
from core.cards import exporting, files, importing
from core.cards.card import Note
from core.cards.exporting import Kind
from core.cards.importing import Imported
from core.errors import (
    BadImage,
    Conflict,
    NotAllowed,
    NotFound,
    ObjectMissing,
    PolicyRefused,
    StorageFailed,
)
from core.values import CharacterId, PortraitId

TYPE = "application/octet-stream"  # one that no form of another site can send without asking first
_AT_ONCE = 4

_FILE = {"schema": {"type": "string", "format": "binary"}}
_BODY = {"requestBody": {"required": True, "content": {TYPE: _FILE}}}
_TAKEN: dict[int | str, dict[str, Any]] = {
    201: {"model": CardAnswer, "description": "The character stands."},
    **refusals(
        NotAllowed, Conflict, PolicyRefused,
        codes={
            400: ("NOT_A_CARD", "CARD_UNREADABLE", "CARD_PROTECTED", "CARD_TOO_LARGE", "NO_NAME", "BROKEN_OFF"),
            409: ("ALREADY_IMPORTED",),
            413: ("CARD_TOO_LARGE",),
            415: ("NOT_A_CARD",),
            422: ("POLICY_MINOR",),
        },
    ),
}  # fmt: skip
_REPORTED: dict[int | str, dict[str, Any]] = {
    200: {"model": CardReportAnswer, "description": "Nothing is written; no note: nothing is left out."},
    **refusals(NotFound),
}
_GIVEN: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The card file, as a download.",
        "content": {"application/json": {"schema": {"type": "object"}}, "image/png": _FILE},
    },
    **refusals(
        NotFound, ObjectMissing, BadImage, StorageFailed,
        codes={
            400: ("NO_NAME", "NO_PICTURE", "BAD_ADDRESS"),
            422: ("IMAGE_BLANK", "IMAGE_BROKEN", "IMAGE_TOO_LARGE"),
            503: ("STORAGE_REFUSED",),
        },
    ),
}  # fmt: skip


def router() -> APIRouter:
    """POST /cards, GET /cards/{character_id} and its report."""
    found = APIRouter(prefix="/cards", tags=["Cards"])
    room = asyncio.Semaphore(_AT_ONCE)

    @found.post(
        "",
        operation_id="import_card",
        summary="Make a character of a card file",
        response_model=None,
        openapi_extra=_BODY,
        status_code=201,
        responses=_TAKEN,
    )
    async def take(  # pyright: ignore[reportUnusedFunction]
        request: Request,
        services: Serving,
        person: Asking,
        file_name: Annotated[str, Query(alias="fileName", max_length=1000)] = "",
        rights_confirmed: Annotated[bool, Query(alias="rightsConfirmed")] = False,
        again: bool = False,
    ) -> JSONResponse:
        """Make a character of the card file in the body (JSON, PNG, WEBP, CHARX; at most 64 MiB).

        `rightsConfirmed` says that the person has the rights to its picture, which is left out without; `again`
        takes a card that is here already.
        """
        try:
            data = await _body(request)
        except Refused as refused:
            return refused.answer
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
        return JSONResponse(_described(made).as_json(), 201)

    @found.get(
        "/{character_id}/report",
        operation_id="card_report",
        summary="What a card file would leave out",
        response_model=None,
        responses=_REPORTED,
    )
    def report(  # pyright: ignore[reportUnusedFunction]
        services: Serving, person: Asking, character_id: UUID, kind: Kind = Kind.v3
    ) -> JSONResponse:
        """What an export of that kind leaves out."""
        notes = exporting.report(CharacterId(character_id), kind, person, services)
        return JSONResponse(CardReportAnswer(notes=_notes(notes)).as_json())

    @found.get(
        "/{character_id}",
        operation_id="export_card",
        summary="A character as a card file",
        response_class=Response,
        responses=_GIVEN,
    )
    def give(  # pyright: ignore[reportUnusedFunction]
        services: Serving,
        person: Asking,
        character_id: UUID,
        kind: Kind = Kind.v3,
        portrait: UUID | None = None,
    ) -> Response:
        """The card file, as a download: a PNG holds `portrait`, else the primary one."""
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
    """The file, refused as soon as it is too long, too slow or of another type. Raises Refused."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != TYPE:
        raise Refused(415, "NOT_A_CARD", f"Send the card file itself as the body, as {TYPE}.")
    too_long = Refused(413, "CARD_TOO_LARGE", "A card file has at most 64 MiB. Choose a smaller one.")
    return await bodies.read(request, most=files.LARGEST_FILE, what="file", too_long=too_long)


def _notes(notes: tuple[Note, ...]) -> list[CardNote]:
    return [CardNote(code=note.code, sentence=note.sentence) for note in notes]


def _described(made: Imported) -> CardAnswer:
    return CardAnswer(
        character_id=made.character_id,
        name=made.name,
        form=made.form,
        has_picture=made.has_picture,
        notes=_notes(made.notes),
        author_notes=made.author_notes,
    )
