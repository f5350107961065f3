"""Uploading a reference, and the list of them.

The body is the picture itself and not JSON, so the two live outside /functions, which takes only JSON; what a web
page could send without asking first (a form's types, or none) is refused here (docs/decisions/0013).
"""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from core import references
from core.api import bodies
from core.api.answers import (
    MatchingModel,
    ReferenceAnswer,
    ReferenceNote,
    ReferencesAnswer,
    UploadAnswer,
    refusals,
)
from core.api.asking import Asking, Serving, absolute
from core.api.bodies import Refused
from core.errors import (
    BadImage,
    BadRequest,
    Conflict,
    NotAllowed,
    NotFound,
    PolicyRefused,
    StorageFailed,
)
from core.references import Reference
from core.values import CharacterId

TYPES = (
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/heic",
    "image/heif",
    "image/avif",
    "application/octet-stream",  # what browsers call a HEIC that they do not know
)
_AT_ONCE = 4  # uploads being worked on; the others wait without one of the threads that sync routes share

_BODY = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in TYPES},
    }
}


def router() -> APIRouter:
    """POST and GET /references."""
    found = APIRouter(prefix="/references", tags=["Characters"])
    room = asyncio.Semaphore(_AT_ONCE)

    @found.post(
        "",
        operation_id="upload_reference",
        summary="Keep a picture as a reference",
        response_model=None,
        openapi_extra=_BODY,
        status_code=201,
        responses={
            201: {"model": UploadAnswer, "description": "Kept."},
            **refusals(
                BadRequest, NotAllowed, NotFound, Conflict, PolicyRefused, BadImage, StorageFailed,
                codes={
                    400: ("RIGHTS_NOT_CONFIRMED", "FILE_NAME", "BROKEN_OFF"),
                    415: ("NOT_A_PICTURE",),
                    422: (
                        "POLICY_MINOR", "IMAGE_ANIMATED", "IMAGE_BLANK", "IMAGE_BROKEN", "IMAGE_TOO_LARGE",
                        "IMAGE_TOO_SMALL",
                    ),
                },
            ),
        },
    )  # fmt: skip
    async def upload(  # pyright: ignore[reportUnusedFunction]
        request: Request,
        services: Serving,
        person: Asking,
        character_id: Annotated[UUID, Query(alias="characterId")],
        file_name: Annotated[str, Query(alias="fileName", max_length=1000)] = "",
        rights_confirmed: Annotated[bool, Query(alias="rightsConfirmed")] = False,
        use: bool = False,
        version: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
    ) -> JSONResponse:
        """Keep the picture in the body (at most 20 MB) as a reference of a character.

        `rightsConfirmed` says that the person has the rights to it; `use` makes it the character's reference, over
        `version` where that is named.
        """
        try:
            data = await body(request)
        except Refused as refused:
            return refused.answer
        async with room:
            kept = await run_in_threadpool(
                references.upload,
                CharacterId(character_id),
                file_name,
                data,
                rights_confirmed,
                person,
                services,
                use=use,
                version=version,
            )
        told = UploadAnswer(**_described(kept, request).model_dump())
        return JSONResponse(told.as_json(), 201)

    @found.get(
        "",
        operation_id="references",
        summary="Stored references, and the models that can match one",
        response_model=None,
        responses={
            200: {"model": ReferencesAnswer, "description": "Newest first."},
            **refusals(NotAllowed, NotFound),
        },
    )
    def listed(  # pyright: ignore[reportUnusedFunction]
        request: Request,
        services: Serving,
        person: Asking,
        character_id: Annotated[UUID | None, Query(alias="characterId")] = None,
        limit: Annotated[int, Query(ge=1, le=references.MOST_RECENT)] = 24,
    ) -> JSONResponse:
        """The last uploads of this person, or all that a character may follow; and how many models match a picture."""
        of = CharacterId(character_id) if character_id else None
        found_ones = references.recent(person, services, character_id=of, limit=limit)
        serving = references.serving(person, services)
        told = ReferencesAnswer(
            references=[_described(one, request) for one in found_ones],
            models=[
                MatchingModel(
                    id=one.model.id,
                    name=one.model.display_name,
                    provider=one.model.provider,
                    price=one.price_words,
                )
                for one in serving.models
            ],
            models_in_words=serving.words,
        )
        return JSONResponse(told.as_json())

    return found


async def body(request: Request) -> bytes:
    """The body, refused as soon as it is too long, too slow or of another type. Raises Refused, BadRequest."""
    _check_type(request)
    data = await bodies.read(request, most=references.MOST_BYTES, what="picture", too_long=_too_long())
    if not data:
        raise BadRequest("The body is empty. Send the picture itself.", code="BAD_REQUEST")
    return data


def _check_type(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in TYPES:
        raise Refused(
            415, "NOT_A_PICTURE", f"Send the picture itself as the body, as one of {', '.join(TYPES)}."
        )


def _too_long() -> Refused:
    most = references.MOST_BYTES // 1024 // 1024
    return Refused(413, "TOO_LARGE", f"A picture has at most {most} MB. Make it smaller, and send it again.")


def _described(one: Reference, request: Request) -> ReferenceAnswer:
    return ReferenceAnswer(
        id=one.id,
        character_id=one.character_id,
        reference_image_url=one.address,
        image_url=absolute(one.link, request),
        media_type=one.media_type,
        width=one.width,
        height=one.height,
        uploaded_at=one.uploaded_at,
        notes=[ReferenceNote(code=note.code, sentence=note.sentence) for note in one.notes],
        used=one.character is not None,
        version=one.character.version if one.character else None,
    )
