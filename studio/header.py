"""The top of the page: which character is on the desk, whether it is saved, and the theme."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import gradio as gr

from core import characters
from core.values import Person
from studio import components, palette
from studio.asking import QUIET, Asking, sent, told

LONGEST_SEARCH = 80


@dataclass(frozen=True, kw_only=True)
class Header:
    """The parts other parts talk to."""

    picker: gr.HTML
    badge: gr.HTML


def build(asking: Asking) -> Header:
    """Draw the header and wire what concerns it alone."""
    with gr.Row(elem_id="topbar"):
        components.brand("brand")
        picker = components.character_picker("picker")
        components.presence("presence")
        components.view_switch("views")
        with gr.Row(elem_id="savebox"):
            badge = components.save_badge("badge")
            now = gr.Button("Save now", size="sm", elem_id="savenow")
        palette.build(asking)
        components.theme_toggle("theme")
    now.click(None, None, None, js="() => { window.studio.flush() }")
    _wire_search(asking, picker)
    return Header(picker=picker, badge=badge)


def cards(asking: Asking, person: Person, *, search: str = "") -> dict[str, object]:
    """The picker's value: the characters this person may open, the latest first, and what was searched for."""
    found = characters.listing(person, asking.services, search=search[:LONGEST_SEARCH])
    return {
        "cards": [
            {**asdict(card), "id": str(card.id), "updated_at": card.updated_at.isoformat()} for card in found
        ],
        "search": search,
    }


def _wire_search(asking: Asking, picker: gr.HTML) -> None:
    def find(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            return cards(asking, asking.person(request), search=str(sent(event).get("search") or ""))

    picker.find(find, None, picker, trigger_mode="multiple", **QUIET)
