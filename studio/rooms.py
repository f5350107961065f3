"""The pages beside the editor: pages of the same Gradio app, so that its scripts are loaded once for all of them
(docs/decisions/0021).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import gradio as gr
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse

from studio import attributes_page, create_page, library_page
from studio.asking import Asking

ROOMS: Final[Mapping[str, tuple[str, Callable[[Asking], None]]]] = {
    "create": ("Create", create_page.build),
    "library": ("Library", library_page.build),
    "attributes": ("Attributes", attributes_page.build),
}


def add(demo: gr.Blocks, asking: Asking) -> None:
    """Add every page to the app; to be called once the editor's own block is closed."""
    for path, (name, build) in ROOMS.items():
        with demo.route(name, path, show_in_navbar=False):
            build(asking)


def paths(base: str) -> frozenset[str]:
    """The addresses of all pages of the app mounted at `base`, without a slash at their end."""
    return frozenset({base, *(f"{base}/{name}" for name in ROOMS)})


def slashes(base: str) -> APIRouter:
    """Leads `…/library/` to `…/library`: Gradio itself would forget where it is mounted."""
    router = APIRouter()

    def lead(request: Request) -> RedirectResponse:
        return RedirectResponse(str(request.url.replace(path=request.url.path.rstrip("/"))), 307)

    for name in ROOMS:
        router.add_api_route(f"{base}/{name}/", lead, methods=["GET"], include_in_schema=False)
    return router
