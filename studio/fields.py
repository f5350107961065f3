"""The fields of the left panel: their controls, what stands under each, and how a value travels.

What a field may hold is core's rule (core/characters/fields.py); the page repeats it only to say so while one types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import gradio as gr

from core import catalog, suggestions
from core.characters import fields as rules
from core.errors import BadRequest
from core.values import Character, ContentRating, Gender, Mood, VoiceTone
from studio import components

FIELDS: Final = (
    "name",
    "gender",
    "content_rating",
    "description",
    "role",
    "traits",
    "appearance_tags",
    "clothing_tags",
    "persona",
    "voice_tone",
    "mood",
    "personality_traits",
    "first_message",
    "alternate_greetings",
    "system_prompt",
    "forbidden_phrases",
    "voice_examples",
)
LABELS: Final[Mapping[str, str]] = {name: rules.LABELS[name] for name in FIELDS}
LISTS: Final = frozenset(rules.LISTS)
OPTIONAL: Final = frozenset(FIELDS) - {"name", "description", "gender", "content_rating"} - LISTS
LONGEST_TEXT: Final = 20_000  # what the page sends at most for one text; the rules of each field are core's
MOST_ENTRIES: Final = 200
GENDERS: Final = [
    ("Female", Gender.female.value),
    ("Male", Gender.male.value),
    ("Non-binary", Gender.non_binary.value),
    ("Unspecified", Gender.unspecified.value),
]
RATINGS: Final = [("Safe for work", ContentRating.sfw.value), ("Adult", ContentRating.nsfw.value)]

Controls = dict[str, gr.components.Component]


def basics(*, allow_nsfw: bool) -> Controls:
    """Name, gender, rating, description, role."""
    made: Controls = {}
    made["name"] = _text("name", "Who is it?", lines=1, counted=True)
    made["gender"] = _choice("gender", GENDERS)
    made["content_rating"] = gr.Radio(
        RATINGS, label=LABELS["content_rating"], elem_id="f_content_rating", elem_classes="chips"
    )
    components.field_note(
        "content_rating",
        hint="" if allow_nsfw else "This studio makes safe pictures only.",
        closed=() if allow_nsfw else (ContentRating.nsfw.value,),
    )
    made["description"] = _text(
        "description",
        "What makes this person who they are: work, habits, what they look like at first sight.",
        lines=5,
        hint="50 to 500 characters.",
        least=rules.SHORTEST_DESCRIPTION,
        counted=True,
    )
    made["role"] = _text("role", "Night-shift baker, harbour pilot …", lines=1)
    return made


def appearance() -> Controls:
    """Details and the two kinds of tags."""
    limits = catalog.load().words.limits
    made: Controls = {}
    made["traits"] = _text("traits", "Anything else one sees: a scar, a tattoo, the way they stand.", lines=2)
    for name, used in (("appearance_tags", limits.appearance_tags), ("clothing_tags", limits.clothing_tags)):
        made[name] = components.tag_chips(
            f"f_{name}",
            label=LABELS[name],
            most=rules.MOST_TAGS,
            longest=rules.LONGEST_TAG,
            used=used,
        )
        components.field_note(
            name, hint=f"The first {used} are used in the prompt.", is_proposed=name in suggestions.FIELDS
        )
    return made


def voice() -> Controls:
    """Who the character is when it speaks."""
    made: Controls = {}
    made["persona"] = _text(
        "persona", "How they think and behave, what they care about, what they avoid.", lines=4
    )
    made["voice_tone"] = _choice("voice_tone", [(tone.capitalize(), tone.value) for tone in VoiceTone])
    made["mood"] = _choice("mood", [(mood.capitalize(), mood.value) for mood in Mood])
    made["personality_traits"] = _text("personality_traits", "Stubborn, kind, early to rise …", lines=1)
    made["first_message"] = _text(
        "first_message", "Their opening line. It ends in something one can answer.", lines=3
    )
    made["alternate_greetings"] = _entries("alternate_greetings", add="Add a greeting", lines=3)
    return made


def advanced() -> Controls:
    """What only the model reads."""
    made: Controls = {}
    made["system_prompt"] = _text("system_prompt", "How they are to be played, in plain words.", lines=4)
    made["forbidden_phrases"] = _entries("forbidden_phrases", add="Add a phrase", lines=1)
    made["voice_examples"] = _entries("voice_examples", add="Add an example", lines=2)
    return made


def _text(
    name: str, placeholder: str, *, lines: int, hint: str = "", least: int = 0, counted: bool = False
) -> gr.Textbox:
    longest = rules.TEXTS[name].longest
    box = gr.Textbox(
        label=LABELS[name],
        placeholder=placeholder,
        lines=lines,
        max_lines=1 if lines == 1 else 14,
        elem_id=f"f_{name}",
    )
    components.field_note(
        name,
        hint=hint,
        least=least,
        most=longest,
        is_counted_late=not counted,
        is_proposed=name in suggestions.FIELDS,
    )
    return box


def _choice(name: str, choices: list[tuple[str, str]]) -> gr.Radio:
    radio = gr.Radio(choices, label=LABELS[name], elem_id=f"f_{name}", elem_classes="chips")
    components.field_note(name, is_proposed=name in suggestions.FIELDS)
    return radio


def _entries(name: str, *, add: str, lines: int) -> gr.HTML:
    rule = rules.LISTS[name]
    made = components.entry_list(
        f"f_{name}", field=name, label=rule.label, entry=rule.entry, add=add, most=rule.most, lines=lines
    )
    components.field_note(name, is_proposed=name in suggestions.FIELDS)
    return made


def values(character: Character) -> dict[str, object]:
    """What the fields show of a row: text for text, lists for lists, nothing as an empty text."""
    return {
        name: list(getattr(character, name)) if name in LISTS else getattr(character, name) or ""
        for name in FIELDS
    }


def column(name: str, value: object) -> object:
    """A value the page sent for a field of FIELDS, as a column of a character. Raises BadRequest."""
    if name in LISTS:
        if not isinstance(value, list) or len(value) > MOST_ENTRIES:
            raise BadRequest("These entries could not be read. Type them again.", field=name)
        return tuple(str(entry)[: LONGEST_TEXT + 1] for entry in value)
    text = str(value if value is not None else "")
    if len(text) > LONGEST_TEXT:
        raise BadRequest(f"This is longer than {LONGEST_TEXT:,} characters. Shorten it.", field=name)
    return None if name in OPTIONAL and not text.strip() else text
