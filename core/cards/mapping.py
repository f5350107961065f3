"""Which field of a card is which field of a character: the one place that knows it, for import and export.

    card                                      character
    name                                      name (its first 50 characters)
    description                               description; longer than 500: whole in persona, its beginning here
    personality                               personality_traits
    scenario                                  the first scene
    first_mes, alternate_greetings            first_message, alternate_greetings
    mes_example                               voice_examples, one for each <START>
    system_prompt                             system_prompt
    extensions.sd_character_prompt.positive   traits (appearance details); exported with the tags behind them
    extensions.portrait_studio                what only this studio has: OURS

Everything else of a card is kept whole beside the character and written again (core/cards/exporting.py). A field of
the card is only written anew where the character's field is not any more what the import made of it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from core.cards.card import Card, Data, Form, Note, as_v2
from core.values import ContentRating, Gender

KEY: Final = "portrait_studio"
LONGEST_NAME: Final = 50
LONGEST_DESCRIPTION: Final = 500
LONGEST_DETAILS: Final = 2000
LONGEST_SCENARIO: Final = 2000
_TAGS: Final = ("appearance_tags", "clothing_tags")
_PHRASES: Final = ("alternate_greetings", "voice_examples", "forbidden_phrases", *_TAGS)
_CLOSED: Final[Mapping[str, frozenset[str]]] = {  # as the database's checks have them
    "gender": frozenset(Gender),
    "content_rating": frozenset(ContentRating),
    "voice_tone": frozenset({"warm", "playful", "confident", "teasing", "direct"}),
    "mood": frozenset({"friendly", "flirty", "mysterious", "dominant", "submissive"}),
}
OURS: Final = (*_CLOSED, "role", "description", "persona", *_TAGS, "forbidden_phrases")
BLANK: Final[Mapping[str, object]] = {
    "name": "", "description": "", "persona": "", "personality_traits": "", "first_message": "",
    "alternate_greetings": [], "voice_examples": [], "system_prompt": "", "traits": "", "role": "",
    "appearance_tags": [], "clothing_tags": [], "forbidden_phrases": [], "gender": "unspecified",
    "content_rating": "sfw", "voice_tone": "warm", "mood": "friendly", "scenario": "",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """What a card becomes here: fields by the names of BLANK, and what a person should know about it."""

    values: Mapping[str, object]
    notes: tuple[Note, ...]


# -- import -----------------------------------------------------------------------------------------------------


def to_character(card: Card, *, allow_nsfw: bool) -> Mapped:
    """The character in a card. Texts lose what a database cannot hold: NUL and halves of broken pairs."""
    data, notes = card.data, list[Note]()
    ours = _ours(data)
    values: dict[str, object] = {**BLANK, **ours}
    values["name"] = _cut(plain(card.name), LONGEST_NAME, "name", notes)
    values |= _description(data, ours, notes)
    values["personality_traits"] = _said(data, "personality")
    values["first_message"] = _said(data, "first_mes")
    values["system_prompt"] = _said(data, "system_prompt")
    values["alternate_greetings"] = _listed(data.get("alternate_greetings"))
    values["voice_examples"] = _examples(_said(data, "mes_example"))
    if "traits" not in ours:
        values["traits"] = _cut(_drawn(data), LONGEST_DETAILS, "picture prompt", notes)
    values["scenario"] = _cut(_said(data, "scenario"), LONGEST_SCENARIO, "scenario", notes)
    if values["scenario"]:
        notes.append(Note(code="SCENE", sentence="Its scenario became the first scene."))
    _rate(values, data, notes, allow_nsfw=allow_nsfw)
    return Mapped(values=values, notes=tuple(notes))


def _description(data: Data, ours: Mapping[str, object], notes: list[Note]) -> dict[str, object]:
    """`description` and `persona`: our own pair where the card still says both, else as its length asks."""
    text = _said(data, "description")
    pair = {name: ours.get(name, "") for name in ("description", "persona")}
    if any(pair.values()) and text == _joined(str(pair["description"]), str(pair["persona"])):
        return pair
    if len(text) <= LONGEST_DESCRIPTION:
        return {"description": text, "persona": ""}
    notes.append(
        Note(
            code="DESCRIPTION_LONG",
            sentence=f"Its description has {len(text)} characters: it is kept whole as the persona, and the description got its beginning.",
        )
    )
    return {"description": beginning(text), "persona": text}


def beginning(text: str) -> str:
    """At most LONGEST_DESCRIPTION characters: up to the last sentence's end that fits, else the last word's."""
    head = text[:LONGEST_DESCRIPTION]
    ends = [found.end() for found in re.finditer(r"[.!?…](?=\s)", text[: LONGEST_DESCRIPTION + 1])]
    if ends and ends[-1] > LONGEST_DESCRIPTION // 2:
        return text[: ends[-1]].strip()
    words, blank, _ = head[:-1].rpartition(" ")
    return f"{words.strip()}…" if blank else head


def _ours(data: Data) -> dict[str, object]:
    """What this studio wrote into a card, as far as it is of the right kind."""
    found = _object(_object(data.get("extensions")).get(KEY))
    values: dict[str, object] = {}
    for name in (*OURS, "traits"):
        value = found.get(name)
        if name in _CLOSED:
            if value in _CLOSED[name]:
                values[name] = str(value)
        elif name in _PHRASES:
            if isinstance(value, list):
                values[name] = _listed(cast("object", value))
        elif isinstance(value, str):
            values[name] = plain(value)
    for name in _TAGS:
        tags = [tag[:40] for tag in cast("list[str]", values.get(name, []))]
        values[name] = list(dict.fromkeys(tags))[:20]
    return values


def _rate(values: dict[str, object], data: Data, notes: list[Note], *, allow_nsfw: bool) -> None:
    is_marked = any(tag.casefold() in {"nsfw", "18+"} for tag in _listed(data.get("tags")))
    if values["content_rating"] == ContentRating.nsfw and not allow_nsfw:
        values["content_rating"], is_marked = ContentRating.sfw.value, True
    if is_marked and values["content_rating"] == ContentRating.sfw:
        sentence = "Its author marked it as adult; here it begins as safe for work."
        notes.append(Note(code="RATING", sentence=sentence))


def _drawn(data: Data) -> str:
    found = _object(_object(data.get("extensions")).get("sd_character_prompt")).get("positive")
    return plain(found) if isinstance(found, str) else ""


def _examples(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"(?i)<start>", text) if part.strip()]


def _cut(text: str, longest: int, what: str, notes: list[Note]) -> str:
    if len(text) <= longest:
        return text
    sentence = (
        f"Its {what} is longer than the {longest} characters there are here; the rest is kept with the card."
    )
    notes.append(Note(code="CUT", sentence=sentence))
    return text[:longest]


def plain(text: str) -> str:
    """Without NUL and without halves of broken pairs, which neither a database nor a page can hold."""
    return "".join(char for char in text if char != "\0" and not "\ud800" <= char <= "\udfff")


def _said(data: Data, field: str) -> str:
    value = data.get(field)
    return plain(value) if isinstance(value, str) else ""


def _listed(value: object) -> list[str]:
    if not isinstance(value, list):
        return []
    texts = [plain(one) for one in cast("list[object]", value) if isinstance(one, str)]
    return [text for text in texts if text.strip()]


def _object(value: object) -> Data:
    return cast("Data", value) if isinstance(value, dict) else {}


def texts(card: Card) -> dict[str, list[str]]:
    """Every text of a card by its field, for the policy; pictures inside it (`data:` addresses) are no text."""
    around = {field: value for field, value in card.whole.items() if value is not card.data}
    return {field: found for field, value in {**around, **card.data}.items() if (found := _walk(value))}


def _walk(value: object) -> list[str]:
    """All strings in a JSON value, without recursion: cards are nested as deep as a file can be."""
    found: list[str] = []
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            if one and not one.startswith("data:"):
                found.append(one)
        elif isinstance(one, dict):
            left.extend(cast("dict[str, object]", one).values())
        elif isinstance(one, list):
            left.extend(cast("list[object]", one))
    return found


# -- export -----------------------------------------------------------------------------------------------------


def to_card(fields: Mapping[str, object], kept: Card | None, mapped: Mapping[str, object]) -> Card:
    """The card of a character: `kept` with the fields that are not any more what the import made of them.

    `fields` and `mapped` by the names of BLANK; `mapped` is what the import wrote, BLANK where there was none.
    """
    was = {**BLANK, **mapped}
    changed = {name: value for name, value in fields.items() if name in BLANK and value != was[name]}
    if kept is not None and not changed:
        return kept
    card = _editable(kept)
    _write(card.data, fields, changed)
    return card


def _editable(kept: Card | None) -> Card:
    """A copy in a form that has extensions; a new, empty one where there is no card."""
    if kept is None:
        empty = Card(form=Form.v1, whole={"name": ""})
        return Card(form=Form.v2, whole=as_v2(empty))
    if kept.form in (Form.v2, Form.v3):
        return Card(form=kept.form, whole=copy.deepcopy(kept.whole))
    return Card(form=Form.v2, whole=as_v2(kept))


def _write(data: Data, fields: Mapping[str, object], changed: Mapping[str, object]) -> None:
    for ours, theirs in (
        ("name", "name"), ("personality_traits", "personality"), ("first_message", "first_mes"),
        ("alternate_greetings", "alternate_greetings"), ("system_prompt", "system_prompt"), ("scenario", "scenario"),
    ):  # fmt: skip
        if ours in changed:
            data[theirs] = changed[ours]
    if changed.keys() & {"description", "persona"}:
        data["description"] = _joined(str(fields["description"]), str(fields["persona"]))
    if "voice_examples" in changed:
        examples = cast("Sequence[str]", changed["voice_examples"])
        data["mes_example"] = "\n".join(f"<START>\n{example}" for example in examples)
    if changed.keys() & {"traits", *_TAGS}:
        _draw(data, fields)
    own = {name: fields[name] for name in (*OURS, "traits") if name in changed}
    if changed.keys() & {"description", "persona"}:
        own |= {name: fields[name] for name in ("description", "persona")}
    if own:
        extensions = _extensions(data)
        extensions[KEY] = {**_object(extensions.get(KEY)), **own}


def _draw(data: Data, fields: Mapping[str, object]) -> None:
    tags = [tag for name in _TAGS for tag in cast("Sequence[str]", fields[name])]
    extensions = _extensions(data)
    prompt = _object(extensions.get("sd_character_prompt"))
    positive = ", ".join(filter(None, [str(fields["traits"]).strip(), *tags]))
    extensions["sd_character_prompt"] = {"negative": "", **prompt, "positive": positive}


def _extensions(data: Data) -> dict[str, Any]:
    found = _object(data.get("extensions"))
    data["extensions"] = found
    return found


def _joined(description: str, persona: str) -> str:
    """One text of the two; a persona that begins with the description says it already."""
    start = description.rstrip("… ")
    if persona and persona.startswith(start):
        return persona
    return "\n\n".join(filter(None, [description, persona]))
