"""The components of the pages beside the editor, and of what stands on all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import gradio as gr

from studio.calls import Server
from studio.components import _part

STUDIO = "/studio"


def page_nav(here: str) -> gr.HTML:
    """The way to the other pages, and the button of the queue."""
    return _part("page_nav", here_=here, base_=STUDIO)


def page_title(title: str) -> gr.HTML:
    """The heading of a page; its script may put a number beside it."""
    return _part("page_title", elem_id="page-title", title_=title)


def queue_panel(server: Server) -> gr.HTML:
    """The queue's drawer. Asks `read` and `cancel` {id}."""
    return _part("queue_panel", server_functions=[server])


def library_grid(server: Server) -> gr.HTML:
    """Everything saved. Asks `page` {query, cursor}, `count` {query}, `choices`, `retag`, `delete`, `restore` {ids}."""
    return _part("library_grid", elem_id="library", server_functions=[server])


def attribute_matrix(server: Server) -> gr.HTML:
    """The matrix of attribute images. Asks `read`, `plan`, `make`, `progress`, `stop`, `stop_cell`, `review`."""
    return _part("attribute_matrix", elem_id="attributes", server_functions=[server])


def create_form(
    server: Server,
    *,
    fields: Sequence[Mapping[str, object]],
    presets: Sequence[Mapping[str, object]],
    safe_only: bool,
) -> gr.HTML:
    """The form of a new character. Asks `open` {id}, `save` {id, version, values}, `looks`, and for its portraits
    `models`, `price`, `generate` {id, presets, model, key}, `portrait` {id}, `cancel` {id, job}.
    """
    return _part(
        "create_form",
        elem_id="create",
        server_functions=[server],
        fields_=[dict(one) for one in fields],
        presets_=[dict(one) for one in presets],
        safe_only_=safe_only,
    )
