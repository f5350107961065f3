"""The HTTP face of the core (SPEC "HTTP"), a file a kind of call."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from core.api import files, health, pages, portraits, refusals, suggestions
from core.auth import Gate
from core.guards import BodyLimit, SameOrigin
from core.services import Services


def build(services: Services, gate: Gate) -> FastAPI:
    """The application without a screen; `studio.mount` adds one."""
    app = FastAPI(title="Portrait Studio", version="1", docs_url="/docs", redoc_url=None)
    app.state.services = services
    app.state.gate = gate
    for room in (portraits, suggestions, files, pages, health):
        app.include_router(room.router())
    refusals.add(app)
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
