"""The command palette: characters by name, and everything the page can do. The commands themselves are the page's."""

from __future__ import annotations

from typing import Final

import gradio as gr

from core import characters
from studio import components
from studio.asking import QUIET, Asking, sent, storable, told

MOST_FOUND: Final = 8
LONGEST_SEARCH: Final = 80


def build(asking: Asking) -> gr.HTML:
    """Draw the palette and wire what concerns it alone."""
    palette = components.palette("palette")

    def find(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            search = storable(sent(event).get("search"))[:LONGEST_SEARCH]
            found = characters.listing(
                asking.person(request), asking.services, search=search, limit=MOST_FOUND
            )
            people = [{"id": str(card.id), "name": card.name, "thumb_url": card.thumb_url} for card in found]
            return {"people": people, "search": search}

    palette.find(find, None, palette, trigger_mode="always_last", **QUIET)
    return palette
