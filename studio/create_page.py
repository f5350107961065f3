"""The create page: a new character in one form, with its first portraits beside it (SPEC "Studio").

What is typed is kept in the browser until it is saved; the form knows the fields, the core its rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

from core import catalog, characters, generation, portraits, references, reviews
from core.db.characters import EDITABLE
from core.errors import BadRequest
from core.values import (
    Character,
    CharacterId,
    ContentRating,
    Gender,
    JobId,
    ModelId,
    Person,
    PortraitRequest,
    Presets,
)
from studio import calls, navigation
from studio.asking import Asking
from studio.components import page_parts

Field = Mapping[str, object]

LONGEST_TEXT: Final = 20_000  # what the page sends at most for one field; the rules of each are core's
MOST_IN_A_LIST: Final = 60
_ALL: Final[Sequence[Field]] = (
    {"name": "name", "label": "Name", "kind": "line", "part": "basics", "most": characters.LONGEST_NAME,
     "needed": True, "placeholder": "Who is it?"},
    {"name": "gender", "label": "Gender", "kind": "choice", "part": "basics", "choices": [
        ["Female", Gender.female.value], ["Male", Gender.male.value], ["Non-binary", Gender.non_binary.value],
        ["Unspecified", Gender.unspecified.value]]},
    {"name": "description", "label": "Description", "kind": "text", "part": "basics", "least": 50,
     "most": characters.LONGEST_DESCRIPTION, "needed": True, "rows": 5,
     "placeholder": "What makes this person who they are: work, habits, what they look like at first sight."},
    {"name": "content_rating", "label": "Rating", "kind": "choice", "part": "basics", "choices": [
        ["Safe for work", ContentRating.sfw.value], ["Adult", ContentRating.nsfw.value]]},
    {"name": "appearance_tags", "label": "Physical tags", "kind": "tags", "part": "tags",
     "most": characters.MOST_TAGS, "longest": characters.LONGEST_TAG},
    {"name": "clothing_tags", "label": "Default outfit", "kind": "tags", "part": "tags",
     "most": characters.MOST_TAGS, "longest": characters.LONGEST_TAG},
    {"name": "first_message", "label": "First message", "kind": "text", "part": "greetings", "rows": 4,
     "placeholder": "Their opening line, ending in something to answer."},
    {"name": "alternate_greetings", "label": "Alternate greetings", "kind": "list", "part": "greetings",
     "most": 20, "placeholder": "Another opening line"},
    {"name": "persona", "label": "Persona", "kind": "text", "part": "voice", "rows": 4,
     "placeholder": "How they think, what they care about, what they never talk about."},
    {"name": "personality_traits", "label": "Personality traits", "kind": "line", "part": "voice",
     "placeholder": "Patient, dry, curious"},
    {"name": "system_prompt", "label": "System prompt", "kind": "text", "part": "voice", "rows": 3,
     "placeholder": "Instructions for playing them."},
    {"name": "is_public", "label": "Public", "kind": "switch", "part": "voice",
     "hint": "Everybody on the platform can find the character."},
)  # fmt: skip
# the fields that the core can save
FIELDS: Final = tuple(
    one for one in _ALL if one["name"] in EDITABLE and one["name"] in Character.__dataclass_fields__
)
_NAMES: Final = tuple(str(one["name"]) for one in FIELDS)
_LISTS: Final = frozenset(str(one["name"]) for one in FIELDS if one["kind"] in {"tags", "list"})
_SWITCHES: Final = frozenset(str(one["name"]) for one in FIELDS if one["kind"] == "switch")
PRESETS: Final = ("pose", "expression", "outfit", "camera")


def build(asking: Asking) -> None:
    """Draw the page."""
    with navigation.frame(asking, "create", "Create a character"):
        page_parts.create_form(
            calls.answering(asking, {**_form_answers(asking), **_portrait_answers(asking)}),
            fields=FIELDS,
            presets=_presets(),
            safe_only=not asking.services.settings.allow_nsfw,
        )


def _form_answers(asking: Asking) -> dict[str, calls.Answer]:
    services = asking.services

    def open_one(person: Person, sent: calls.Sent) -> object:
        return _shown(asking, person, characters.load(_character_id(sent), person, services))

    def save(person: Person, sent: calls.Sent) -> object:
        values = _values(sent)
        if sent.get("id") is None:
            return _shown(asking, person, characters.create(person, services, values))
        version = calls.whole_number(sent, "version") or 0
        saved = characters.save(
            _character_id(sent), values, version=version, person=person, services=services
        )
        return _shown(asking, person, saved)

    def looks(person: Person, _sent: calls.Sent) -> object:
        return {"groups": [asdict(one) for one in reviews.looks(person, services)]}

    def unreference(person: Person, sent: calls.Sent) -> object:
        standing = characters.load(_character_id(sent), person, services)
        without = references.remove(standing.id, version=standing.version, person=person, services=services)
        return _shown(asking, person, without)

    def match(person: Person, sent: calls.Sent) -> object:
        standing = characters.load(_character_id(sent), person, services)
        switched = references.choose_match(
            standing.id, sent.get("on") is True, version=standing.version, person=person, services=services
        )
        return _shown(asking, person, switched)

    return {"open": open_one, "save": save, "looks": looks, "unreference": unreference, "match": match}


def _portrait_answers(asking: Asking) -> dict[str, calls.Answer]:
    services = asking.services

    def models(person: Person, _sent: calls.Sent) -> object:
        return {
            "models": [
                {"id": str(one.model.id), "name": one.model.display_name, "price": one.price_words}
                for one in generation.models_for(person, services)
                if one.available
            ]
        }

    def price(person: Person, sent: calls.Sent) -> object:
        seen = generation.preview(_request(sent), person, services)
        return {"price": seen.price_words, "model": seen.model.display_name, "warnings": list(seen.warnings)}

    def generate(person: Person, sent: calls.Sent) -> object:
        asked = generation.request(_request(sent, key=str(calls.an_id(sent, "key"))), person, services)
        return {"warnings": list(asked.warnings)}

    def portrait(person: Person, sent: calls.Sent) -> object:
        tiles = portraits.tiles(_character_id(sent), person, services)
        return {"tiles": [asdict(one) for one in tiles[:40]]}

    def cancel(person: Person, sent: calls.Sent) -> object:
        generation.cancel(JobId(calls.an_id(sent, "job")), person, services)
        return portrait(person, sent)

    return {"models": models, "price": price, "generate": generate, "portrait": portrait, "cancel": cancel}


def _shown(asking: Asking, person: Person, character: Character) -> dict[str, object]:
    reference = portraits.signed(character.reference_image_url, character, person, asking.services)
    return {
        "id": str(character.id),
        "version": character.version,
        "values": {name: _value(character, name) for name in _NAMES},
        "reference": reference,
        "may_change": characters.may_change(character, person, asking.services),
        "has_reference": bool(character.reference_image_url),
        "reference_is_auto": character.reference_is_auto,
        "match": character.match_reference,
    }


def _value(character: Character, name: str) -> object:
    value = getattr(character, name)
    if name in _LISTS:
        return list(value or ())
    return bool(value) if name in _SWITCHES else value or ""


def _presets() -> list[dict[str, object]]:
    shipped = catalog.load()
    groups = {
        "pose": shipped.poses, "expression": shipped.expressions, "outfit": shipped.outfits,
        "camera": shipped.cameras,
    }  # fmt: skip
    return [
        {"name": name, "label": name.capitalize(), "choices": [[one.label, one.key] for one in groups[name]]}
        for name in PRESETS
    ]


# -- what was sent ----------------------------------------------------------------------------------------------------


def _character_id(sent: calls.Sent) -> CharacterId:
    return CharacterId(calls.an_id(sent))


def _values(sent: calls.Sent) -> dict[str, object]:
    values = sent.get("values")
    if not isinstance(values, dict) or not set(values) <= set(_NAMES):
        raise BadRequest("The page sent fields this studio does not know. Reload the page.", field="values")
    return {name: _column(name, values) for name in values}


def _column(name: str, values: calls.Sent) -> object:
    if name in _LISTS:
        words = calls.texts(values, name, most=MOST_IN_A_LIST, longest=LONGEST_TEXT)
        return [one for one in words if one.strip()]
    if name in _SWITCHES:
        return values.get(name) is True
    return calls.text(values, name, longest=LONGEST_TEXT)


def _request(sent: calls.Sent, *, key: str | None = None) -> PortraitRequest:
    chosen = sent.get("presets")
    presets = chosen if isinstance(chosen, dict) else {}
    return PortraitRequest(
        character_id=_character_id(sent),
        presets=Presets(**{name: calls.text(presets, name, longest=60) or None for name in PRESETS}),
        model_id=ModelId(calls.an_id(sent, "model")) if sent.get("model") else None,
        idempotency_key=key,
    )
