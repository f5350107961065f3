"""The top of the page: which character is on the desk, whether it is saved, and what can be done with all of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

import gradio as gr

from core import catalog, characters
from core.errors import BadRequest
from core.values import CharacterId, Person
from studio import components, going_public, palette, sharing, story
from studio.asking import QUIET, Asking, sent, sent_id, storable, told

LONGEST_SEARCH = 80
PAGE = 50


@dataclass(frozen=True, kw_only=True)
class Header:
    """The parts other parts talk to."""

    picker: gr.HTML
    badge: gr.HTML


def build(asking: Asking) -> Header:
    """Draw the header and wire what concerns it alone."""
    with gr.Row(elem_id="topbar"):
        components.brand("brand")
        components.back_button("back")
        picker = components.character_picker("picker")
        components.presence("presence")
        components.view_switch("views")
        with gr.Row(elem_id="savebox"):
            badge = components.save_badge("badge")
            now = gr.Button("Save now", size="sm", elem_id="savenow")
        components.desk_menu(
            "desk_menu",
            chat=asking.services.settings.start_chat_url or "",
            shares=sharing.is_offered(asking),
        )
        palette.build(asking)
        components.theme_toggle("theme")
        if asking.services.settings.has_sign_in:
            components.account("account")
    _dialogs(asking)
    now.click(None, None, None, js="() => { window.studio.flush() }")
    _wire_search(asking, picker)
    return Header(picker=picker, badge=badge)


def _dialogs(asking: Asking) -> None:
    story.build(asking)
    going_public.build(asking)
    sharing.build(asking)
    components.preview(page=asking.services.settings.preview_url or "")
    components.templates(
        [
            {"key": one.key, "name": one.name, "role": one.role, "description": one.description}
            for one in catalog.load().templates
        ]
    )


def from_template(key: str) -> dict[str, object]:
    """The fields of a character that starts from that template, none for no key. Raises BadRequest."""
    if not key:
        return {}
    template = next((one for one in catalog.load().templates if one.key == key), None)
    if template is None:
        raise BadRequest("There is no such template any more. Reload the page.", field="template")
    return {
        "name": template.name,
        "role": template.role,
        "gender": template.gender,
        "description": template.description,
        "appearance_tags": template.appearance_tags,
        "clothing_tags": template.clothing_tags,
        "persona": template.persona,
        "voice_tone": template.tone,
        "mood": template.mood,
        "first_message": template.first_message,
    }


def cards(
    asking: Asking,
    person: Person,
    *,
    search: str = "",
    after: tuple[datetime, CharacterId] | None = None,
) -> dict[str, object]:
    """The picker's value: a page of characters this person may open, the latest first, and what was asked for."""
    found = characters.listing(
        person, asking.services, search=search[:LONGEST_SEARCH], after=after, limit=PAGE
    )
    return {
        "cards": [
            {**asdict(card), "id": str(card.id), "updated_at": card.updated_at.isoformat()} for card in found
        ],
        "search": search,
        "after": str(after[1]) if after is not None else None,
        "more": len(found) == PAGE,
    }


def _wire_search(asking: Asking, picker: gr.HTML) -> None:
    def find(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            search = storable(sent(event).get("search"))
            return cards(asking, asking.person(request), search=search, after=_after(event))

    picker.find(find, None, picker, trigger_mode="multiple", **QUIET)


def _after(event: gr.EventData) -> tuple[datetime, CharacterId] | None:
    """The last card of the page above. Raises BadRequest."""
    if not sent(event).get("after"):
        return None
    try:
        moment = datetime.fromisoformat(str(sent(event).get("at")))
    except ValueError as exc:
        raise BadRequest("The page sent something that is no time. Reload the page.", field="at") from exc
    return moment, CharacterId(sent_id(event, "after"))
