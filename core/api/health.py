"""Whether this process answers, and whether pictures can be made."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from core.db import workers
from core.errors import StudioError
from core.services import Services

_SEEN_WITHIN = 90.0


def router() -> APIRouter:
    """GET /healthz and /readyz."""
    found = APIRouter()

    @found.get("/healthz")
    async def healthz() -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        """This process answers."""
        return {"status": "ok"}

    @found.get("/readyz")
    async def readyz(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """The database answers, and a worker lives; 503 where the database does not."""
        services: Services = request.app.state.services
        try:
            alive = await asyncio.wait_for(asyncio.to_thread(_worker_lives, services), 5)
        except (StudioError, TimeoutError):
            return JSONResponse({"status": "no database"}, 503)
        return JSONResponse({"status": "ready", "worker": alive})

    return found


def _worker_lives(services: Services) -> bool:
    with services.db.as_service() as conn:
        return workers.any_alive(conn, within=max(_SEEN_WITHIN, services.settings.heartbeat_seconds))
