"""The HTTP face of the core (SPEC "HTTP"): the platform's call, jobs, files, the pages' socket, health.

A page that waits for a portrait holds no thread: it waits for a change of its job in the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Annotated, Any, cast
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from core import generation, log
from core.auth import Gate
from core.db import workers
from core.errors import (
    BadRequest,
    NotFound,
    NotSignedIn,
    ObjectMissing,
    StudioError,
)
from core.events import Change, Subscription
from core.generation import Asked, Outcome
from core.guards import BodyLimit, SameOrigin
from core.services import Services
from core.storage import BUCKETS, PUBLIC_ASSETS
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
_PING_EVERY = 20.0
_SEEN_WITHIN = 90.0
_TYPES = {
    "characters": "character",
    "character_portraits": "portraits",
    "jobs": "job",
    "user_library": "library",
}
_STATUS_OF_FAILURE = {
    "CONTENT_REFUSED": 422,
    "INVALID_INPUT": 422,
    "IMAGE_BLANK": 422,
    "BALANCE_EMPTY": 503,
    "BAD_KEY": 503,
    "PROVIDER_BUSY": 503,
    "TIMED_OUT": 504,
}
# Written down, because what `mimetypes` knows depends on the machine, and .webp is missing on some.
_MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "avif": "image/avif",
    "gif": "image/gif",
}

_log = log.get(__name__)


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", str_max_length=4000)

    @field_validator("*", mode="before")
    @classmethod
    def _without_nul(cls, value: object) -> object:
        texts: list[object] = cast("list[object]", value) if isinstance(value, list) else [value]
        if any(isinstance(text, str) and "\x00" in text for text in texts):
            raise ValueError("it holds a NUL character, which no text needs")
        return cast("object", value)


class PresetsBody(_Body):
    """Keys of the catalogue, or words of at most 60 characters."""

    pose: Annotated[str | None, Field(max_length=60)] = None
    expression: Annotated[str | None, Field(max_length=60)] = None
    outfit: Annotated[str | None, Field(max_length=60)] = None
    camera: Annotated[str | None, Field(max_length=60)] = None


class CharacterBody(_Body):
    """A character that is not saved yet."""

    name: Annotated[str, Field(max_length=200)]
    description: str
    gender: Gender = Gender.unspecified
    appearance_tags: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=20)] = []
    clothing_tags: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=20)] = []


class PortraitBody(_Body):
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


class MetadataBody(_Body):
    """`metadata` of the older call; the name stands under either key."""

    destination: str = "character_portrait"
    character_id: UUID | None = None
    character_name: Annotated[str | None, Field(max_length=200)] = None
    character_name_too: Annotated[str | None, Field(alias="characterName", max_length=200)] = None
    content_type: Annotated[str | None, Field(alias="contentType", max_length=60)] = None


class FalImageBody(_Body):
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
        appearance_tags=tuple(body.appearance_tags),
        clothing_tags=tuple(body.clothing_tags),
    )


def build(services: Services, gate: Gate) -> FastAPI:
    """The application without a screen; `studio.mount` adds one."""
    app = FastAPI(title="Portrait Studio", version="1", docs_url="/docs", redoc_url=None)
    app.state.services = services
    app.state.gate = gate
    app.include_router(_functions())
    app.include_router(_files())
    app.include_router(_pages())
    app.include_router(_health())
    app.add_exception_handler(StudioError, _refused)  # pyright: ignore[reportArgumentType]
    app.add_exception_handler(RequestValidationError, _misshapen)  # pyright: ignore[reportArgumentType]
    app.add_exception_handler(HTTPException, _unserved)  # pyright: ignore[reportArgumentType]
    app.add_middleware(BodyLimit)
    app.add_middleware(SameOrigin, settings=services.settings)
    if services.settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=services.settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=[
                "authorization", "apikey", "x-client-info", "content-type", "idempotency-key", "prefer",
            ],
        )  # fmt: skip
    return app


def _services(conn: HTTPConnection) -> Services:
    return conn.app.state.services


def _person(conn: HTTPConnection) -> Person:
    person = conn.app.state.gate.person(conn)
    if person is None:
        raise NotSignedIn("Sign in first.")
    return person


Serving = Annotated[Services, Depends(_services)]
Asking = Annotated[Person, Depends(_person)]


# -- portraits ------------------------------------------------------------------------------------------------------


def _functions() -> APIRouter:
    router = APIRouter(prefix="/functions/v1")

    @router.post("/character-portrait")
    async def character_portrait(  # pyright: ignore[reportUnusedFunction]
        body: PortraitBody,
        request: Request,
        services: Serving,
        person: Asking,
        idempotency_key: Annotated[str | None, Header()] = None,
        prefer: Annotated[str, Header()] = "",
    ) -> Response:
        """Ask for a portrait and wait for it, at most 120 s; `Prefer: respond-async` does not wait."""
        wanted = body.as_request(idempotency_key, base=_base(request))
        waits = "respond-async" not in prefer
        asked, outcome = await _ask(wanted, person, services, waits=waits)
        if outcome.is_settled and (waits or not asked.created):
            return _answer(outcome, asked, request)
        return _accepted(asked, outcome)

    @router.post("/fal-image")
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
            "resultUrl": _absolute(outcome.image_link, request) or None,
            "jobId": str(asked.job_id),
        })  # fmt: skip

    @router.get("/jobs/{job_id}")
    def job(job_id: UUID, request: Request, services: Serving, person: Asking) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        """Where a job stands, and its picture once there is one."""
        return _described(generation.outcome(JobId(job_id), person, services), request)

    return router


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
            "imageUrl": _absolute(outcome.image_link, request),
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
        "imageUrl": _absolute(outcome.image_link, request) or None,
        "storagePath": outcome.storage_path or None,
        "costUsd": str(outcome.cost_usd) if outcome.cost_usd is not None else None,
        "generationTimeMs": round(outcome.seconds * 1000) if outcome.seconds is not None else None,
    }


def _absolute(link: str, request: Request) -> str:
    """A link another origin can use: PUBLIC_URL, else the address the caller used."""
    return _base(request) + link if link else ""


def _base(request: Request) -> str:
    return (request.app.state.services.settings.public_url or str(request.base_url)).rstrip("/")


# -- files ----------------------------------------------------------------------------------------------------------


def _files() -> APIRouter:
    router = APIRouter()

    @router.get("/files/{bucket}/{path:path}")
    def file(  # pyright: ignore[reportUnusedFunction]
        bucket: str,
        path: str,
        services: Serving,
        token: str = "",
        download: bool = False,
    ) -> Response:
        """A stored picture, for whoever holds a link that we signed; public assets need none."""
        if bucket not in BUCKETS:
            raise NotFound("There is no such picture.")
        if bucket != PUBLIC_ASSETS:
            services.links.check(bucket, path, token, datetime.now(UTC))
        try:
            data = services.storage.get(bucket, path)
        except ObjectMissing as exc:
            raise NotFound("This picture is not stored any more.") from exc
        return Response(data, media_type=_media_type(path), headers=_file_headers(path, download=download))

    return router


def _media_type(path: str) -> str:
    return _MEDIA_TYPES.get(path.rpartition(".")[2].lower(), "application/octet-stream")


def _file_headers(path: str, *, download: bool) -> dict[str, str]:
    name = path.rpartition("/")[2]
    disposition = f"attachment; filename*=UTF-8''{quote(name)}" if download else "inline"
    return {
        "Cache-Control": "private, max-age=3600, immutable",
        "Content-Disposition": disposition,
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "cross-origin",  # the platform's pages show them from their own origin
        "X-Content-Type-Options": "nosniff",
    }


# -- pages ----------------------------------------------------------------------------------------------------------


def _pages() -> APIRouter:
    router = APIRouter()

    @router.websocket("/ws")
    async def changes(socket: WebSocket) -> None:  # pyright: ignore[reportUnusedFunction]
        """What changed, for one open page: ids only, of rows its person may see."""
        services: Services = socket.app.state.services
        person: Person | None = socket.app.state.gate.person(socket)
        await socket.accept()
        if person is None:
            await socket.close(4401, "Sign in first.")
            return
        with services.events.subscribe(person) as subscription:
            async with _until_gone(socket) as gone:
                await _forward(socket, subscription, gone)

    return router


@contextlib.asynccontextmanager
async def _until_gone(socket: WebSocket) -> AsyncGenerator[asyncio.Task[None]]:
    """A task that ends when the page leaves."""

    async def drain() -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                await socket.receive_text()

    reader = asyncio.create_task(drain())
    try:
        yield reader
    finally:
        reader.cancel()
        await asyncio.wait({reader})


async def _forward(socket: WebSocket, subscription: Subscription, gone: asyncio.Task[None]) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while not gone.done():
            waiting = asyncio.create_task(subscription.next(_PING_EVERY))
            await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                waiting.cancel()
                return
            await socket.send_json(_message(waiting.result()))


def _message(change: Change | None) -> dict[str, str | None]:
    if change is None:
        return {"type": "ping"}
    return {
        "type": _TYPES.get(change.table, "resync"),
        "op": change.op,
        "character_id": change.character_id,
        "job_id": change.job_id,
        "status": change.status,
        "stage": change.stage,
    }


# -- health ---------------------------------------------------------------------------------------------------------


def _health() -> APIRouter:
    router = APIRouter()

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        """This process answers."""
        return {"status": "ok"}

    @router.get("/readyz")
    async def readyz(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """The database answers, and a worker lives; 503 where the database does not."""
        services: Services = request.app.state.services
        try:
            alive = await asyncio.wait_for(asyncio.to_thread(_worker_lives, services), 5)
        except (StudioError, TimeoutError):
            return JSONResponse({"status": "no database"}, 503)
        return JSONResponse({"status": "ready", "worker": alive})

    return router


def _worker_lives(services: Services) -> bool:
    with services.db.as_service() as conn:
        return workers.any_alive(conn, within=max(_SEEN_WITHIN, services.settings.heartbeat_seconds))


# -- errors ---------------------------------------------------------------------------------------------------------


async def _refused(_request: Request, error: StudioError) -> Response:
    body: dict[str, object] = {"success": False, "error": error.sentence, "code": error.reason}
    field = getattr(error, "field", None)
    return JSONResponse(body | ({"field": field} if field else {}), error.status)


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
