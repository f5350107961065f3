"""The HTTP face of the core (SPEC "HTTP"), a file a kind of call.

Every module here with a function `router()` is served: what it says in `tags`, `summary`, `responses` and its bodies'
examples stands in the OpenAPI document, to which `document` adds what holds for every call.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from core.api import document, refusals
from core.api.arrivals import REQUEST_ID, Arrivals, LastResort
from core.api.metrics import Meter
from core.auth import Gate
from core.guards import BodyLimit, SameOrigin
from core.services import Services

ASKED_HEADERS = (
    "authorization", "apikey", "x-client-info", "content-type", "idempotency-key", "prefer", "x-request-id",
    "range", "if-range", "if-none-match",
)  # fmt: skip
SHOWN_HEADERS = ("Location", "Retry-After", REQUEST_ID, "ETag", "Content-Range", "Accept-Ranges")


def build(services: Services, gate: Gate) -> FastAPI:
    """The application without a screen; `studio.mount` adds one."""
    app = FastAPI(title="Portrait Studio", version=document.VERSION, docs_url=None, redoc_url=None)
    app.state.services = services
    app.state.gate = gate
    app.state.meter = Meter(services, version=document.VERSION)
    for router in _routers():
        app.include_router(router)
    document.describe(app)
    refusals.add(app)
    # What is added last stands outermost: a refusal of the guards passes CORS, and every answer has its name.
    app.add_middleware(BodyLimit)
    app.add_middleware(SameOrigin, settings=services.settings)
    app.add_middleware(LastResort)
    if services.settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=services.settings.origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=ASKED_HEADERS,
            expose_headers=SHOWN_HEADERS,
        )
    app.add_middleware(Arrivals, note=app.state.meter.note)
    return app


def _routers() -> Iterator[APIRouter]:
    """Those of every module of this package that has some, by the modules' names."""
    for found in sorted(pkgutil.iter_modules(__path__), key=lambda one: one.name):
        router = getattr(importlib.import_module(f"{__name__}.{found.name}"), "router", None)
        if router is not None:
            yield router()
