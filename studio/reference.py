"""The picture a character is to look like, and whether it is matched, beside the bar that pays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import gradio as gr

from core import characters, library, portraits, references
from core.errors import BadRequest
from core.library import Wanted
from core.storage import LIBRARY, REFERENCES
from core.values import Character, CharacterId, Person, PortraitId
from studio import prompt_bar
from studio.asking import QUIET, Asking, sent, sent_id, told

LONGEST_SEARCH: Final = 80
ON_THE_SHELF: Final = 60


def value(
    asking: Asking, person: Person, character: Character | None, *, was: int | None = None
) -> dict[str, object]:
    """The control's value; `was` is the character's version before a step that was made here."""
    if character is None:
        return {"character_id": None}
    link = portraits.signed(character.reference_image_url, character, person, asking.services)
    serving = references.serving(person, asking.services)
    return {
        "character_id": str(character.id),
        "version": character.version,
        "was": was,
        "url": link,
        "missing": bool(character.reference_image_url) and not link,
        "match": character.match_reference,
        "words": serving.words,
        "count": serving.count,
        "seed": "" if character.seed_locked is None else str(character.seed_locked),
    }


def wire(asking: Asking, control: gr.HTML, models: list[gr.components.Component]) -> None:
    """Connect choosing, removing and matching; the models follow, as only some can match a picture."""

    def changed(step: Callable[[Character, Person, gr.EventData], Character]) -> Callable[..., object]:
        def answer(request: gr.Request, event: gr.EventData) -> tuple[object, ...]:
            with told():
                person = asking.person(request)
                before = _character(asking, person, event)
                after = step(before, person, event)
                choices = prompt_bar.models(asking, person, after)
                return value(asking, person, after, was=before.version), *(choices for _ in models)

        return answer

    def shelf(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            person = asking.person(request)
            character = _character(asking, person, event)
            return {**value(asking, person, character), "shelf": _shelf(asking, person, character, event)}

    outputs, services = [control, *models], asking.services
    steps: dict[str, Callable[[Character, Person, gr.EventData], Character]] = {
        "choose": lambda one, person, event: _chosen(asking, one, person, event),
        "remove": lambda one, person, _: references.remove(
            one.id, version=one.version, person=person, services=services
        ),
        "match": lambda one, person, event: references.choose_match(
            one.id, sent(event).get("on") is True, version=one.version, person=person, services=services
        ),
        "fresh": lambda one, _person, _event: one,
    }
    for name, step in steps.items():
        getattr(control, name)(changed(step), None, outputs, trigger_mode="always_last", **QUIET)
    control.shelf(shelf, None, control, trigger_mode="always_last", **QUIET)


def _character(asking: Asking, person: Person, event: gr.EventData) -> Character:
    return characters.load(CharacterId(sent_id(event, "character")), person, asking.services)


def _chosen(asking: Asking, character: Character, person: Person, event: gr.EventData) -> Character:
    """The character with the picture that was pressed: a portrait of its own, or one of the library."""
    its_id, kind = sent_id(event), sent(event).get("kind")
    at = {"version": character.version, "person": person, "services": asking.services}
    if kind == "portrait":
        return references.pick_portrait(character.id, PortraitId(its_id), **at)
    if kind == LIBRARY:
        return references.pick_from_library(character.id, its_id, **at)
    if kind == REFERENCES:
        return references.choose(character.id, its_id, **at)
    raise BadRequest("The page asked for a picture of a kind there is not. Reload the page.", field="kind")


def _shelf(
    asking: Asking, person: Person, character: Character, event: gr.EventData
) -> list[dict[str, object]]:
    """What can be chosen: earlier uploads first, then the owner's library, the newest first."""
    words = str(sent(event).get("search") or "")[:LONGEST_SEARCH]
    uploads = references.recent(person, asking.services, character_id=character.id, limit=12)
    found = library.page(Wanted(words=words), person, asking.services, limit=ON_THE_SHELF)
    own = [one for one in found.items if one.mine == (character.user_id == person.id) and one.thumbnail_url]
    return [
        *(
            {"kind": REFERENCES, "id": str(one.id), "url": one.link, "title": "an earlier upload"}
            for one in ([] if words else uploads)
        ),
        *(
            {
                "kind": LIBRARY,
                "id": str(one.id),
                "url": one.thumbnail_url,
                "title": f"a portrait of {one.character_name or 'somebody'}",
            }
            for one in own
        ),
    ]
