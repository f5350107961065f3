"""Publishing: the checks in words, then public or a draft again."""

from __future__ import annotations

from dataclasses import asdict

import gradio as gr

from core import characters
from core.errors import StudioError
from core.values import CharacterId
from studio import components
from studio.asking import QUIET, Asking, sent, sent_id, told


def build(asking: Asking) -> gr.HTML:
    """Draw the dialog and wire it."""
    dialog = components.publishing()

    def look(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            return _looked(asking, request, event)

    def turn(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            sentence = _turned(asking, request, event)
            return {**_looked(asking, request, event), "done": not sentence, "sentence": sentence}

    dialog.look(look, None, dialog, trigger_mode="always_last", **QUIET)
    dialog.turn(turn, None, dialog, trigger_mode="once", **QUIET)
    return dialog


def _looked(asking: Asking, request: gr.Request, event: gr.EventData) -> dict[str, object]:
    character = characters.load(CharacterId(sent_id(event)), asking.person(request), asking.services)
    return {
        "id": str(character.id),
        "version": character.version,
        "public": character.is_public,
        "checks": [asdict(check) for check in characters.checks(character, asking.services)],
        "done": False,
    }


def _turned(asking: Asking, request: gr.Request, event: gr.EventData) -> str:
    """Make it public or a draft, over the version it has now; what stood in the way, in words."""
    person, character_id = asking.person(request), CharacterId(sent_id(event))
    act = characters.publish if sent(event).get("public") is True else characters.unpublish
    try:
        standing = characters.load(character_id, person, asking.services)
        act(character_id, version=standing.version, person=person, services=asking.services)
    except StudioError as error:
        return error.sentence
    return ""
