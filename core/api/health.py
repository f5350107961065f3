"""Whether this process answers, and whether pictures can be made."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from core.api.answers import Answer
from core.api.refusals import ask_again
from core.db import workers
from core.errors import StudioError
from core.services import Services

_SEEN_WITHIN = 90.0


class Living(Answer):
    """This process answers."""

    status: Literal["ok"] = "ok"


class Ready(Answer):
    """The database answers; `worker` tells whether one lives."""

    status: Literal["ready"] = "ready"
    worker: bool


class NotReady(Answer):
    """The database does not answer, or this process is leaving."""

    status: Literal["no database", "leaving"] = "no database"


def router() -> APIRouter:
    """GET /healthz and /readyz."""
    found = APIRouter(tags=["Health"])

    @found.get("/healthz", operation_id="healthz", summary="Does it live?", response_model=Living)
    async def healthz() -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        """This process answers."""
        return {"status": "ok"}

    @found.get(
        "/readyz",
        operation_id="readyz",
        summary="Can it work?",
        response_model=None,
        responses={
            200: {"model": Ready},
            503: {
                "model": NotReady,
                "description": "The database does not answer, or this process is leaving.",
            },
        },
    )
    async def readyz(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """The database answers, and whether a worker lives; 503 where the database does not, or this process leaves."""
        services: Services = request.app.state.services
        if services.stopping.is_set():
            return JSONResponse(NotReady(status="leaving").as_json(), 503, headers=ask_again(503))
        try:
            alive = await asyncio.wait_for(asyncio.to_thread(_worker_lives, services), 5)
        except (StudioError, TimeoutError):
            return JSONResponse(NotReady().as_json(), 503, headers=ask_again(503))
        return JSONResponse(Ready(worker=alive).as_json())

    return found


def _worker_lives(services: Services) -> bool:
    with services.db.as_service() as conn:
        return workers.any_alive(conn, within=max(_SEEN_WITHIN, services.settings.heartbeat_seconds))
