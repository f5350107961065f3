"""The platform's calls: a portrait, the older form of it, and where a job stands (SPEC "HTTP").

Who waits for a portrait holds no thread: it waits for a change of its job in the event loop.
"""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response
from fastapi import Body as Examples
from fastapi.openapi.models import Example
from fastapi.responses import JSONResponse
from pydantic import Field, field_validator
from starlette.concurrency import run_in_threadpool

from core import generation
from core.api.answers import (
    AcceptedAnswer,
    Answer,
    FalImageAnswer,
    JobAnswer,
    PortraitAnswer,
    Refusal,
    refusals,
)
from core.api.asking import Asking, Body, IdempotencyKey, Serving, absolute, base_address
from core.api.refusals import ask_again
from core.errors import (
    BadRequest,
    BudgetSpent,
    Conflict,
    NoModel,
    NoSuchModel,
    NotAllowed,
    NotFound,
    NotSignedIn,
    PolicyRefused,
    TooMany,
)
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
_ASKING = refusals(
    BadRequest, NoSuchModel, NotSignedIn, BudgetSpent, NotAllowed, NotFound, Conflict, PolicyRefused, TooMany, NoModel,
    codes={
        400: ("BAD_ADDRESS", "CHARACTER_UNFINISHED", "FOREIGN_ADDRESS", "REFERENCE_MISSING"),
        402: ("PRICE_UNKNOWN",),
        403: ("BAD_PATH", "LINK_INVALID", "LINK_EXPIRED"),
        409: ("IDEMPOTENCY_KEY_REUSED", "COLLISION", "CANCELLED"),
        422: ("POLICY_MINOR", "CONTENT_REFUSED", "INVALID_INPUT", "IMAGE_BLANK"),
        503: ("NO_I2I_MODEL", "BALANCE_EMPTY", "BAD_KEY", "PROVIDER_BUSY", "STORAGE"),
        504: ("TIMED_OUT",),
    },
    open_at=502,
)  # fmt: skip
_JOB_LINK = {
    "where it stands": {
        "operationId": "job",
        "parameters": {"job_id": "$response.body#/jobId"},
        "description": "Ask where the job stands.",
    }
}
_PORTRAIT_EXAMPLES: dict[str, Example] = {
    "a saved character": {
        "summary": "A new portrait of a character that is saved",
        "value": {
            "characterId": "7b0c4a52-9a55-4d53-8c3a-0c8b6f0b8b11",
            "promptOverride": "losing an argument with a seagull, and enjoying it",
            "presets": {"pose": "standing", "camera": "seen through a ship's porthole"},
            "contentRating": "sfw",
        },
    },
    "not saved yet": {
        "summary": "A character that has no row yet",
        "value": {
            "characterData": {
                "name": "Barnaby Quill",
                "gender": "male",
                "appearance_tags": ["grey beard", "ink-stained fingers"],
                "description": "A retired clockmaker of seventy who knits scarves for statues and is always four minutes early.",
            }
        },
    },
}
_FAL_EXAMPLES: dict[str, Example] = {
    "by name": {
        "summary": "A whole prompt, and the name of the character it is for",
        "value": {
            "prompt": "an adult lighthouse keeper with laugh lines, teaching a parrot to whistle jazz, watercolour",
            "quality": "high",
            "metadata": {"destination": "character_portrait", "characterName": "Mandy Marsh"},
        },
    }
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

    @field_validator("character_id", mode="before")
    @classmethod
    def _none_for_empty(cls, value: object) -> object:
        return None if value == "" else value


class FalImageBody(Body):
    """`POST /functions/v1/fal-image`, the platform's older call: it brings its whole prompt."""

    prompt: Annotated[str, Field(min_length=1, max_length=2000)]
    model_id: Annotated[UUID | None, Field(alias="apiModelId")] = None
    quality: Annotated[
        str | None, Field(max_length=40, description="Accepted and unused: the model decides.")
    ] = None
    metadata: MetadataBody = MetadataBody()

    def as_request(self, idempotency_key: str | None) -> PortraitRequest:
        """The request as the core knows it. Raises BadRequest."""
        said = self.metadata
        if said.destination != "character_portrait":
            raise BadRequest(
                "Only the destination character_portrait is made here.", field="metadata.destination"
            )
        name = (said.character_name or "").strip() or (said.character_name_too or "").strip()
        character_id = CharacterId(said.character_id) if said.character_id else None
        if character_id is None and not name:
            raise BadRequest(
                "Say whose portrait it is: a name, or the id of a character. Without it nothing could ever save it.",
                field="metadata.characterName",
            )
        return PortraitRequest(
            character_id=character_id,
            character=None if character_id else CharacterTraits(name=name, description=""),
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
    found = APIRouter(prefix="/functions/v1", tags=["Portraits"])

    @found.post(
        "/character-portrait",
        operation_id="character_portrait",
        summary="Make a portrait",
        response_model=None,
        responses={
            200: {"model": PortraitAnswer, "description": "Made and saved.", "links": _JOB_LINK},
            202: {
                "model": AcceptedAnswer,
                "description": "Asked for, and not waited for.",
                "links": _JOB_LINK,
                "headers": {
                    "Location": {"description": "Where to ask about it.", "schema": {"type": "string"}}
                },
            },
            **_ASKING,
        },
    )
    async def character_portrait(  # pyright: ignore[reportUnusedFunction]
        body: Annotated[PortraitBody, Examples(openapi_examples=_PORTRAIT_EXAMPLES)],
        request: Request,
        services: Serving,
        person: Asking,
        idempotency_key: IdempotencyKey = None,
        prefer: Annotated[str, Header(description="`respond-async`: answer 202 at once.")] = "",
    ) -> Response:
        """Ask for a portrait and wait for it, at most 120 s; `Prefer: respond-async` does not wait."""
        wanted = body.as_request(idempotency_key, base=base_address(request))
        waits = "respond-async" not in prefer
        asked, outcome = await _ask(wanted, person, services, waits=waits)
        if outcome.is_settled and (waits or not asked.created):
            return _answer(outcome, asked, request)
        return _accepted(asked, outcome)

    @found.post(
        "/fal-image",
        operation_id="fal_image",
        summary="Make a picture from a whole prompt",
        response_model=None,
        responses={
            200: {"model": FalImageAnswer, "description": "Made, or still under way.", "links": _JOB_LINK},
            **_ASKING,
        },
    )
    async def fal_image(  # pyright: ignore[reportUnusedFunction]
        body: Annotated[FalImageBody, Examples(openapi_examples=_FAL_EXAMPLES)],
        request: Request,
        services: Serving,
        person: Asking,
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """The platform's older call: `completed` with the picture, or `queued` after 120 s."""
        asked, outcome = await _ask(body.as_request(idempotency_key), person, services, waits=True)
        if outcome.is_settled and outcome.job.status is not JobStatus.completed:
            return _failed(outcome)
        done = outcome.job.status is JobStatus.completed
        return _sent(
            FalImageAnswer(
                status="completed" if done else "queued",
                result_url=absolute(outcome.image_link, request) or None,
                job_id=asked.job_id,
            )
        )

    @found.get(
        "/jobs/{job_id}",
        operation_id="job",
        summary="Where a job stands",
        response_model=None,
        responses={
            200: {"model": JobAnswer, "description": "As it stands now."},
            **refusals(BadRequest, NotSignedIn, NotAllowed, NotFound),
        },
    )
    def job(job_id: UUID, request: Request, services: Serving, person: Asking) -> Response:  # pyright: ignore[reportUnusedFunction]
        """Where a job stands, and its picture once there is one."""
        return _sent(_described(generation.outcome(JobId(job_id), person, services), request))

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


def _sent(answer: Answer, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(answer.as_json(), status, headers=headers)


def _accepted(asked: Asked, now: Outcome) -> Response:
    """202: where the job stands; one that an earlier call asked for may have ended meanwhile."""
    answer = AcceptedAnswer(job_id=asked.job_id, status=now.job.status, warnings=asked.warnings)
    return _sent(answer, 202, {"Location": f"/functions/v1/jobs/{asked.job_id}"})


def _answer(outcome: Outcome, asked: Asked, request: Request) -> Response:
    job = outcome.job
    if job.status is not JobStatus.completed:
        return _failed(outcome)
    return _sent(
        PortraitAnswer(
            image_url=absolute(outcome.image_link, request),
            job_id=job.id,
            portrait_id=outcome.portrait_id,
            character_id=job.character_id,
            generation_time_ms=_milliseconds(outcome.seconds),
            storage_path=outcome.storage_path,
            warnings=asked.warnings,
        )
    )


def _failed(outcome: Outcome) -> Response:
    job = outcome.job
    code = job.error_code or ("CANCELLED" if job.status is JobStatus.cancelled else "FAILED")
    status = 409 if job.status is JobStatus.cancelled else _STATUS_OF_FAILURE.get(code, 502)
    words = job.error_message or "The picture was cancelled."
    body = Refusal(error=words, code=code, job_id=job.id).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    return JSONResponse(body, status, headers=ask_again(status))


def _milliseconds(seconds: float | None) -> int | None:
    return round(seconds * 1000) if seconds is not None else None


def _described(outcome: Outcome, request: Request) -> JobAnswer:
    job = outcome.job
    return JobAnswer(
        job_id=job.id,
        status=job.status,
        stage=job.stage,
        progress=job.progress,
        queue_position=job.queue_position,
        cancel_requested=job.cancel_requested,
        error=job.error_message,
        code=job.error_code,
        character_id=job.character_id,
        portrait_id=outcome.portrait_id,
        image_url=absolute(outcome.image_link, request) or None,
        storage_path=outcome.storage_path or None,
        cost_usd=str(outcome.cost_usd) if outcome.cost_usd is not None else None,
        generation_time_ms=_milliseconds(outcome.seconds),
    )
