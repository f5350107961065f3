"""The studio's screen: a Gradio page inside the product's own FastAPI app."""

from __future__ import annotations

import os
import warnings

# read once, while gradio is being imported; anything but exactly "False" leaves the reports on
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# else Gradio builds a pandas table of up to 10,000 past events after every single one, monitoring off or not
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**12)
os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

import gradio as gr
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse

from core.auth import Gate
from core.services import Services
from studio import page, rooms, serving, theme
from studio.asking import Asking

PATH = "/studio"


def mount(api: FastAPI, services: Services, gate: Gate) -> FastAPI:
    """Put the studio's page under `/studio` of `api`, its files beside it, and lead `/` there.

    Who is not signed in is sent to the sign-in by the page and refused by every event. Run it in one process: the
    page's event queue lives there.
    """

    async def person_id(request: HTTPConnection) -> str | None:
        person = request.scope.get(serving.LET_IN) or await run_in_threadpool(gate.person, request)
        return None if person is None else str(person.id)

    @api.get("/", include_in_schema=False)
    def start() -> RedirectResponse:
        return RedirectResponse(f"{PATH}/", 307)

    api.include_router(serving.routes())
    api.include_router(rooms.slashes(PATH))
    # innermost: behind the guards, which look at Host and Origin before a page's session is anybody's
    api.user_middleware.append(Middleware(serving.PageGate, gate=gate, path=PATH, pages=rooms.paths(PATH)))
    with warnings.catch_warnings():
        # said of every app with several pages, also where server-side rendering is off as it is here
        warnings.filterwarnings("ignore", message="SSR mode is not supported")
        gr.mount_gradio_app(
            api,
            page.build(Asking(services=services, gate=gate)),
            path=PATH,
            auth_dependency=person_id,
            theme=theme.build(),
            head=serving.head(),
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            mcp_server=False,
            show_error=True,
        )
    return api
