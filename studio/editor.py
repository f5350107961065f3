"""The left panel: the sections of a character, and how they are shown, typed and saved.

Python never writes into a field: a row arrives as the value of `Record`, and the page's script decides what the
fields show, because only it knows what is being typed at that moment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import gradio as gr

from core import catalog, characters, portraits
from core.characters.fields import MOST_TAGS
from core.errors import BadRequest, Conflict, NotAllowed, NotFound, PolicyRefused, StudioError
from core.values import Character, CharacterId, ContentRating, Person
from studio import components, fields, sharing
from studio.asking import QUIET, Asking, sent, sent_id, told
from studio.fields import FIELDS, LABELS

FILL = "(record, ...values) => window.studio.fill(record, values)"
WEAR = "(...values) => window.studio.putOn(values)"
ADVANCED_HINT: Final = "For the model only"


@dataclass(frozen=True, kw_only=True)
class Editor:
    """The parts other parts talk to. `fields` holds the inputs in the order of FIELDS."""

    record: gr.HTML
    fields: Sequence[gr.components.Component]
    models: gr.HTML
    rating: gr.HTML


def build(asking: Asking) -> Editor:
    """Draw the panel; `wire` connects it once the rest of the page stands."""
    record = components.record(FIELDS, LABELS)
    components.conflict(LABELS)
    made: fields.Controls = {}
    with gr.Column(elem_id="rail", scale=0, min_width=280):
        components.avatar("avatar")
        with gr.Column(elem_id="basics", elem_classes="section"):
            components.section_head("basics", "Basics")
            made |= fields.basics(allow_nsfw=asking.services.settings.allow_nsfw)
            rating = components.rating_question("rating_question")
        with gr.Column(elem_id="appearance", elem_classes="section"):
            components.section_head("appearance", "Appearance")
            styles = components.style_chips(_styles(), most=MOST_TAGS)
            made |= fields.appearance()
            components.reference_card()
            models = components.model_picker("models_rail", is_wide=True)
        with gr.Column(elem_id="voice", elem_classes="section"):
            components.section_head("voice", "Personality & voice")
            made |= fields.voice()
        with gr.Column(elem_id="advanced", elem_classes="section"):
            components.section_head("advanced", "Advanced", hint=ADVANCED_HINT, is_open=False)
            components.visibility("visibility", writer=_writer(asking))
            made |= fields.advanced()
    inputs = [made[name] for name in FIELDS]
    for part in (styles, record):
        part.wear(None, inputs, inputs, js=WEAR)
    return Editor(record=record, fields=inputs, models=models, rating=rating)


def _styles() -> list[dict[str, object]]:
    return [
        {"key": style.key, "label": style.label, "hint": style.words, "tags": {"appearance_tags": style.tags}}
        for style in catalog.load().style_presets
    ]


def _writer(asking: Asking) -> str:
    """Who writes suggestions here, for people."""
    chat = asking.services.chat
    return chat.model if chat is not None else "Offline, from the catalogue: free, and the same for everybody"


def shown(
    asking: Asking,
    character: Character | None,
    person: Person,
    *,
    is_forced: bool = False,
    is_made: bool = False,
) -> dict[str, object]:
    """The value of `Record`."""
    if character is None:
        return {"id": None, "fields": FIELDS}
    return {
        "id": str(character.id),
        "version": character.version,
        "fields": FIELDS,
        "values": fields.values(character),
        "facts": _facts(asking, character, person),
        "forced": is_forced,
        "made": is_made,
    }


def _facts(asking: Asking, character: Character, person: Person) -> dict[str, object]:
    """What the page shows of a row beside its fields; the picture is the one the platform would show."""
    picture = character.image_url or character.preview_image_url
    return {
        "public": character.is_public,
        "picture": portraits.signed(picture, character, person, asking.services),
        "external": picture if picture and picture.startswith("http") else "",
        "asks_rating": characters.asks_for_rating(character, asking.services),
        **sharing.facts(asking, character, person),
    }


def wire(asking: Asking, badge: gr.HTML, editor: Editor) -> None:
    """Connect saving, and the answer about the rating."""

    def save(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():  # a bug leaves the badge without an answer: after a while it says so and keeps the words
            answer = _saved(asking, request, event)
        return {**answer, "number": str(sent(event).get("number") or "")}

    def settle(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            person = asking.person(request)
            settled = characters.settle_rating(
                CharacterId(sent_id(event)),
                _rating(event),
                version=_version(event),
                person=person,
                services=asking.services,
            )
            return shown(asking, settled, person)

    badge.save(save, None, badge, trigger_mode="multiple", **QUIET)
    fill_after(editor.rating.settle(settle, None, editor.record, trigger_mode="once", **QUIET).then, editor)


def fill_after(event: Callable[..., object], editor: Editor) -> None:
    """After an event that brought a row: let the page's script put it into the fields."""
    event(None, [editor.record, *editor.fields], list(editor.fields), js=FILL)


def _saved(asking: Asking, request: gr.Request, event: gr.EventData) -> dict[str, object]:
    """Save what was sent; every expected failure becomes an answer that the badge can show."""
    try:
        person = asking.person(request)
        character_id = CharacterId(sent_id(event))
        saved = characters.save(
            character_id, sent_fields(event), version=_version(event), person=person, services=asking.services
        )
    except Conflict as error:
        return _conflict(asking, person, character_id, error)
    except (PolicyRefused, BadRequest) as error:
        return {"state": "refused", "sentence": error.sentence, "field": error.field}
    except (NotAllowed, NotFound) as error:
        return {"state": "withheld", "sentence": error.sentence, "lost": isinstance(error, NotFound)}
    except StudioError as error:
        return {"state": "failed", "sentence": error.sentence}
    return {"state": "saved", "id": str(saved.id), "version": saved.version}


def _conflict(
    asking: Asking, person: Person, character_id: CharacterId, error: Conflict
) -> dict[str, object]:
    try:
        theirs = characters.load(character_id, person, asking.services)
    except StudioError as gone:
        return {"state": "failed", "sentence": gone.sentence}
    return {
        "state": "conflict",
        "sentence": error.sentence,
        "version": theirs.version,
        "theirs": fields.values(theirs),
    }


def _version(event: gr.EventData) -> int:
    version = sent(event).get("version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise BadRequest("The page sent no version of the character. Reload the page.", field="version")
    return version


def _rating(event: gr.EventData) -> ContentRating:
    try:
        return ContentRating(str(sent(event).get("rating")))
    except ValueError as exc:
        raise BadRequest(
            "The page sent a rating this studio does not know. Reload the page.", field="rating"
        ) from exc


def sent_fields(event: gr.EventData) -> dict[str, object]:
    """The changed fields a script sent, as columns of a character. Raises BadRequest for anything else."""
    data = sent(event).get("changes")
    if not isinstance(data, dict) or not data or not set(data) <= set(FIELDS):
        raise BadRequest("The page sent fields this studio does not know. Reload the page.", field="changes")
    return {name: fields.column(name, value) for name, value in data.items()}


def opened(asking: Asking, person: Person, character_id: UUID) -> Character:
    """The row to show. Raises NotFound where there is none this person may see."""
    return characters.load(CharacterId(character_id), person, asking.services)


def wire_pushed(asking: Asking, editor: Editor, pushed: Callable[..., gr.events.Dependency]) -> None:
    """Connect what other people, and other tabs, change."""

    def refreshed(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            person, character_id = asking.person(request), CharacterId(sent_id(event))
            try:
                return {**shown(asking, opened(asking, person, character_id), person), "pushed": True}
            except NotFound:
                return {**sharing.lost(character_id), "fields": FIELDS}

    fill_after(pushed(refreshed, None, editor.record, trigger_mode="always_last", **QUIET).then, editor)
