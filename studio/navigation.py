"""What stands on every page: the way to the others, and the queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import gradio as gr

from studio import components, palette, queue_panel
from studio.asking import Asking
from studio.components import page_parts

Here = Literal["editor", "create", "library", "attributes"]
PUSHES = "/ws"


def build(asking: Asking, here: Here) -> None:
    """Draw the navigation and the queue's drawer; the first thing on every page."""
    page_parts.page_nav(here)
    queue_panel.build(asking)


@contextmanager
def frame(asking: Asking, here: Here, title: str) -> Iterator[None]:
    """Everything but the middle of a page that is not the editor."""
    build(asking, here)
    components.bus(PUSHES)
    with gr.Row(elem_id="topbar"):
        page_parts.page_title(title)
        palette.build(asking)
        components.theme_toggle("theme")
        if asking.services.settings.has_sign_in:
            components.account("account")
    with gr.Column(elem_id="room", scale=1):
        yield
