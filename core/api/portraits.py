"""The platform's calls: a portrait, the older form of it, and where a job stands (SPEC "HTTP").

Who waits for a portrait holds no thread: it waits for a change of its job in the event loop.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from core import generation
from core.api.asking import Asking, Body, Serving, absolute, base_address
from core.errors import BadRequest
from core.events import Change, Subscription
from core.generation import Asked, Outcome
from core.services import Services
from core.storage.links import FILES
from core.values import (
    CharacterId,
    CharacterTraits,
    ContentRating,
    Gender,
    JobId,
    JobStage,
    JobStatus,
    ModelId,
    Person,
    PortraitRequest,
    Presets,
)

LONGEST_WAIT = 120.0  # seconds (SPEC "HTTP")
_LOOK_EVERY = 5.0  # seconds between two looks where no change was told
_STATUS_OF_FAILURE = {
    "CONTENT_REFUSED": 422,
    "INVALID_INPUT": 422,
    "IMAGE_BLANK": 422,
    "BALANCE_EMPTY": 503,
    "BAD_KEY": 503,
    "PROVIDER_BUSY": 503,
    "TIMED_OUT": 504,
}


class PresetsBody(Body):
    """Keys of the catalogue, or words of at most 60 characters."""

    pose: Annotated[str | None, Field(max_length=60)] = None
    expression: Annotated[str | None, Field(max_length=60)] = None
    outfit: Annotated[str | None, Field(max_length=60)] = None
    camera: Annotated[str | None, Field(max_length=60)] = None


class CharacterBody(Body):
    """A character that is not saved yet."""

    name: Annotated[str, Field(max_length=200)]
    description: str
    gender: Gender = Gender.unspecified
    appearance_tags: Annotated[tuple[Annotated[str, Field(max_length=100)], ...], Field(max_length=20)] = ()
    clothing_tags: Annotated[tuple[Annotated[str, Field(max_length=100)], ...], Field(max_length=20)] = ()


class PortraitBody(Body):
    """`POST /functions/v1/character-portrait`, as the platform's front end sends it."""

    character_id: Annotated[UUID | None, Field(alias="characterId")] = None
    character: Annotated[CharacterBody | None, Field(alias="characterData")] = None
    own_words: Annotated[str | None, Field(alias="promptOverride")] = None
    reference: Annotated[str | None, Field(alias="referenceImageUrl")] = None
    content_rating: Annotated[ContentRating | None, Field(alias="contentRating")] = None
    model_id: Annotated[UUID | None, Field(alias="apiModelId")] = None
    presets: PresetsBody | None = None

    def as_request(self, idempotency_key: str | None, *, base: str) -> PortraitRequest:
        """The request as the core knows it; `base` is the address our own links begin with. Raises BadRequest."""
        if (self.character_id is None) == (self.character is None):
            raise BadRequest("Send either characterId or characterData.", field="characterId")
        return PortraitRequest(
            character_id=CharacterId(self.character_id) if self.character_id else None,
            character=_traits(self.character) if self.character else None,
            own_words=self.own_words or "",
            presets=Presets(**self.presets.model_dump()) if self.presets else Presets(),
            reference=_without_base(self.reference, base) or None,
            content_rating=self.content_rating,
            model_id=ModelId(self.model_id) if self.model_id else None,
            idempotency_key=idempotency_key,
        )


def _without_base(reference: str | None, base: str) -> str | None:
    """A link that was answered to this caller, back in the form it was signed in."""
    if reference is None or not reference.startswith(f"{base}{FILES}"):
        return reference
    return reference.removeprefix(base)


class MetadataBody(Body):
    """`metadata` of the older call; the name stands under either key."""

    destination: str = "character_portrait"
    character_id: UUID | None = None
    character_name: Annotated[str | None, Field(max_length=200)] = None
    character_name_too: Annotated[str | None, Field(alias="characterName", max_length=200)] = None
    content_type: Annotated[str | None, Field(alias="contentType", max_length=60)] = None


class FalImageBody(Body):
    """`POST /functions/v1/fal-image`, the platform's older call: it brings its whole prompt."""

    prompt: Annotated[str, Field(min_length=1, max_length=2000)]
    model_id: Annotated[UUID | None, Field(alias="apiModelId")] = None
    quality: Annotated[str | None, Field(max_length=40)] = None
    metadata: MetadataBody = MetadataBody()

    def as_request(self, idempotency_key: str | None) -> PortraitRequest:
        """The request as the core knows it. Raises BadRequest."""
        said = self.metadata
        if said.destination != "character_portrait":
            raise BadRequest(
                "Only the destination character_portrait is made here.", field="metadata.destination"
            )
        name = said.character_name or said.character_name_too or ""
        character_id = CharacterId(said.character_id) if said.character_id else None
        return PortraitRequest(
            character_id=character_id,
            character=None if character_id else CharacterTraits(name=name.strip(), description=""),
            prompt=self.prompt,
            model_id=ModelId(self.model_id) if self.model_id else None,
            idempotency_key=idempotency_key,
        )


def _traits(body: CharacterBody) -> CharacterTraits:
    return CharacterTraits(
        name=body.name.strip(),
        description=body.description.strip(),
        gender=body.gender,
        appearance_tags=body.appearance_tags,
        clothing_tags=body.clothing_tags,
    )


def router() -> APIRouter:
    """The calls under /functions/v1 that make portraits and tell of them."""
    found = APIRouter(prefix="/functions/v1")

    @found.post("/character-portrait")
    async def character_portrait(  # pyright: ignore[reportUnusedFunction]
        body: PortraitBody,
        request: Request,
        services: Serving,
        person: Asking,
        idempotency_key: Annotated[str | None, Header()] = None,
        prefer: Annotated[str, Header()] = "",
    ) -> Response:
        """Ask for a portrait and wait for it, at most 120 s; `Prefer: respond-async` does not wait."""
        wanted = body.as_request(idempotency_key, base=base_address(request))
        waits = "respond-async" not in prefer
        asked, outcome = await _ask(wanted, person, services, waits=waits)
        if outcome.is_settled and (waits or not asked.created):
            return _answer(outcome, asked, request)
        return _accepted(asked, outcome)

    @found.post("/fal-image")
    async def fal_image(  # pyright: ignore[reportUnusedFunction]
        body: FalImageBody,
        request: Request,
        services: Serving,
        person: Asking,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Response:
        """The platform's older call: `completed` with the picture, or `queued` after 120 s."""
        asked, outcome = await _ask(body.as_request(idempotency_key), person, services, waits=True)
        if outcome.is_settled and outcome.job.status is not JobStatus.completed:
            return _answer(outcome, asked, request)
        done = outcome.job.status is JobStatus.completed
        return JSONResponse({
            "status": "completed" if done else "queued",
            "resultUrl": absolute(outcome.image_link, request) or None,
            "jobId": str(asked.job_id),
        })  # fmt: skip

    @found.get("/jobs/{job_id}")
    def job(job_id: UUID, request: Request, services: Serving, person: Asking) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        """Where a job stands, and its picture once there is one."""
        return _described(generation.outcome(JobId(job_id), person, services), request)

    return found


async def _ask(
    wanted: PortraitRequest, person: Person, services: Services, *, waits: bool
) -> tuple[Asked, Outcome]:
    """Ask, and wait where that is wanted; heard before it is asked, so that no change is missed."""
    with services.events.subscribe(person) as changes:
        asked = await run_in_threadpool(generation.request, wanted, person, services)
        if waits:
            return asked, await _settled(asked, changes, person, services)
    return asked, await run_in_threadpool(generation.outcome, asked.job_id, person, services)


async def _settled(asked: Asked, changes: Subscription, person: Person, services: Services) -> Outcome:
    """The job's outcome once it is settled, or as it stands after 120 s."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + LONGEST_WAIT
    while True:
        outcome = await run_in_threadpool(generation.outcome, asked.job_id, person, services)
        if outcome.is_settled or services.stopping.is_set():
            return outcome
        look_at = min(ends, loop.time() + _LOOK_EVERY)
        while (left := look_at - loop.time()) > 0:
            change = await changes.next(left)
            if change is not None and _may_settle(change, asked.job_id):
                break
        if loop.time() >= ends:
            return outcome


def _may_settle(change: Change, job_id: JobId) -> bool:
    if change.table == "resync":
        return True
    if change.table != "jobs" or change.job_id != str(job_id):
        return False
    return change.status in {"completed", "failed", "cancelled"} or change.stage == JobStage.outcome_unknown


def _accepted(asked: Asked, now: Outcome) -> Response:
    """202: where the job stands; one that an earlier call asked for may have ended meanwhile."""
    status = now.job.status
    body = {"success": True, "jobId": str(asked.job_id), "status": status, "warnings": list(asked.warnings)}
    return JSONResponse(body, 202, headers={"Location": f"/functions/v1/jobs/{asked.job_id}"})


def _answer(outcome: Outcome, asked: Asked, request: Request) -> Response:
    job = outcome.job
    if job.status is JobStatus.completed:
        return JSONResponse({
            "success": True,
            "imageUrl": absolute(outcome.image_link, request),
            "jobId": str(job.id),
            "portraitId": str(outcome.portrait_id) if outcome.portrait_id else None,
            "characterId": str(job.character_id) if job.character_id else None,
            "generationTimeMs": round(outcome.seconds * 1000) if outcome.seconds is not None else None,
            "storagePath": outcome.storage_path,
            "warnings": list(asked.warnings),
        })  # fmt: skip
    code = job.error_code or ("CANCELLED" if job.status is JobStatus.cancelled else "FAILED")
    status = 409 if job.status is JobStatus.cancelled else _STATUS_OF_FAILURE.get(code, 502)
    words = job.error_message or "The picture was cancelled."
    return JSONResponse({"success": False, "error": words, "code": code, "jobId": str(job.id)}, status)


def _described(outcome: Outcome, request: Request) -> dict[str, Any]:
    job = outcome.job
    return {
        "success": True,
        "jobId": str(job.id),
        "status": job.status,
        "stage": job.stage,
        "progress": job.progress,
        "queuePosition": job.queue_position,
        "cancelRequested": job.cancel_requested,
        "error": job.error_message,
        "code": job.error_code,
        "characterId": str(job.character_id) if job.character_id else None,
        "portraitId": str(outcome.portrait_id) if outcome.portrait_id else None,
        "imageUrl": absolute(outcome.image_link, request) or None,
        "storagePath": outcome.storage_path or None,
        "costUsd": str(outcome.cost_usd) if outcome.cost_usd is not None else None,
        "generationTimeMs": round(outcome.seconds * 1000) if outcome.seconds is not None else None,
    }
