"""The studio's whole application, built for a test: what Gradio makes and throws away is not made, and its queue looks
for work fifty times a second instead of a thousand (docs/decisions/0034, 0048).

The real one, unchanged, is what tests/e2e, tests/deployment, tests/contracts/test_leaving.py and tests/chaos start.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gradio.blocks
import gradio.queueing
import pytest
from fastapi import FastAPI

import studio
from core import api
from core.auth import Gate
from core.services import Services

_LOOKS_EVERY = 0.02  # seconds
_described = gradio.blocks.Blocks.get_config_file


def built(services: Services, gate: Gate) -> FastAPI:
    """The application over `services`. Gradio leaves event loops behind where none runs while a page is built, and
    Playwright's own may run in this thread.
    """

    async def build() -> FastAPI:
        return studio.mount(api.build(services, gate), services, gate)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as elsewhere:
        patch.setattr(gradio.blocks, "App", NotServed)
        patch.setattr(gradio.blocks.Blocks, "get_config_file", _described_once)
        patch.setattr(gradio.queueing, "Queue", CalmQueue)
        return elsewhere.submit(asyncio.run, build()).result()


class NotServed:
    """In place of the six apps that Gradio makes of a page while it is drawn and throws away: half of the time it
    takes. The one that is served is made in full, when the page is mounted.
    """

    @staticmethod
    def create_app(*_: object, **__: object) -> None:
        return None


def _described_once(page: gradio.blocks.Blocks) -> Any:
    """A page's description, when it is mounted; those made while it is drawn are thrown away too."""
    return _described(page) if page.exited else {"pages": page.pages}


class CalmQueue(gradio.queueing.Queue):
    """Gradio's queue asks itself every millisecond whether there is something to do, also where nobody clicks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sleep_when_free = self.progress_update_sleep_when_free = _LOOKS_EVERY
