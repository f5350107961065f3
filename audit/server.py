"""The dashboard as one application: health, the sign-in's routes, and Streamlit behind the door (DESIGN "Screens")."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import streamlit as st
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from streamlit import config

from audit import marks, sockets
from audit.door import PAGE_OF, DashboardDoor
from audit.navigation import FIRST, ROOMS
from audit.services import Host, hosted_by
from core.api import document, health, refusals, sign_in, sign_in_letters
from core.api.arrivals import Arrivals, LastResort, Served
from core.auth import Gate
from core.guards import BodyLimit, SameOrigin
from core.services import Services
from core.settings import Settings

SCRIPT: Final = Path(__file__).parents[1] / "audit_app.py"


def build(services: Services, gate: Gate, *, look_every: float = sockets.LOOK_EVERY) -> FastAPI:
    """The application, to be served by one process: Streamlit keeps its pages in memory.

    `look_every`: seconds between two looks at whose an open page is. `services` stay the caller's to close.
    """
    path = services.settings.audit_path.rstrip("/")
    hosted_by(Host(services=services, gate=gate, path=path))
    _configure()
    dashboard = st.App(SCRIPT)
    app = FastAPI(
        title="Portrait Studio audit",
        version=document.VERSION,
        lifespan=dashboard.lifespan(),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    _mark_media()
    app.state.services = services
    app.state.gate = gate
    for router in _routers(path):
        app.include_router(router)
    app.mount(path, DashboardDoor(dashboard, services, gate=gate, path=path, look_every=look_every))
    refusals.add(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(SameOrigin, settings=_own_origin_only(services.settings))
    app.add_middleware(LastResort)
    app.add_middleware(Arrivals, note=_not_counted)
    return app


def _routers(path: str) -> list[APIRouter]:
    return [health.router(), sign_in.router(), sign_in_letters.router(), *([_ways_in(path)] if path else [])]


def _ways_in(path: str) -> APIRouter:
    """From the bare address, and from bookmarks of a dashboard that stood at the root, to where the pages are."""
    router = APIRouter(include_in_schema=False)
    rooms = {room.name for members in ROOMS.values() for room in members} - {FIRST}

    def lead(request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        below = request.url.path if request.url.path.strip("/") in rooms else "/"
        return RedirectResponse(f"{path}{below}{query}", 307)

    for address in ("/", path, *(f"/{name}" for name in sorted(rooms))):
        router.add_api_route(address, lead, methods=["GET", "HEAD"])
    return router


def _configure() -> None:
    """What differs from `streamlit run`: our own guards look at Host and Origin, and our door at who is asking."""
    config.set_option("server.allowedHosts", ["*"])
    config.set_option("server.trustedUserHeaders", {PAGE_OF: "page_of"})


def _mark_media() -> None:
    """Put the store of marked pictures in the place of Streamlit's, which asks nobody who they are.

    Were its place to move, no picture would carry a mark, and none would open: the door asks for one.
    """
    from streamlit.runtime import get_instance  # noqa: PLC0415 -- there is one only now

    get_instance().media_file_mgr._storage = marks.MarkedMedia("/media")  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def _own_origin_only(settings: Settings) -> Settings:
    """What the guard has to know here: origins that may call the HTTP interface have no business with these pages."""
    return settings.model_copy(update={"studio_host": settings.audit_host, "allowed_origins": ""})


def _not_counted(_served: Served) -> None:
    """The studio's counters are the studio's."""
