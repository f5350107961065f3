"""The fields of a character that people write: what each may hold, said under the field (SPEC "characters").

Lengths are in characters. They are rules of the studio only: what the platform wrote before stays as it is until
somebody changes that field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from core import policy
from core.errors import BadRequest
from core.values import ContentRating, Gender, Mood, VoiceTone

LONGEST_NAME = 50
SHORTEST_DESCRIPTION = 50
LONGEST_DESCRIPTION = 500
LONGEST_TEXT = 2000
LONGEST_PROSE = 20_000
MOST_TAGS = 20
LONGEST_TAG = 40


@dataclass(frozen=True, kw_only=True)
class TextRule:
    """A text of at most `longest` characters; `kept_empty`: the column takes no null."""

    label: str
    longest: int
    kept_empty: bool = False


@dataclass(frozen=True, kw_only=True)
class ListRule:
    """At most `most` texts of at most `longest` characters, each once; `entry` is what one is called.

    `one_line`: line breaks and repeated spaces mean nothing.
    """

    label: str
    entry: str
    most: int
    longest: int
    one_line: bool = True


@dataclass(frozen=True, kw_only=True)
class ChoiceRule:
    """One of a closed set; `optional`: or nothing."""

    label: str
    choices: type[StrEnum]
    optional: bool = False


TEXTS: Mapping[str, TextRule] = {
    "name": TextRule(label="Name", longest=LONGEST_NAME, kept_empty=True),
    "description": TextRule(label="Description", longest=LONGEST_DESCRIPTION, kept_empty=True),
    "role": TextRule(label="Role", longest=LONGEST_TEXT),
    "traits": TextRule(label="Details", longest=LONGEST_TEXT),
    "persona": TextRule(label="Persona", longest=LONGEST_PROSE),
    "personality_traits": TextRule(label="Personality traits", longest=LONGEST_TEXT),
    "first_message": TextRule(label="First message", longest=LONGEST_PROSE),
    "system_prompt": TextRule(label="System prompt", longest=LONGEST_PROSE),
}
LISTS: Mapping[str, ListRule] = {
    "appearance_tags": ListRule(label="Physical tags", entry="tag", most=MOST_TAGS, longest=LONGEST_TAG),
    "clothing_tags": ListRule(label="Default outfit", entry="tag", most=MOST_TAGS, longest=LONGEST_TAG),
    "alternate_greetings": ListRule(
        label="Alternate greetings", entry="greeting", most=20, longest=LONGEST_PROSE, one_line=False
    ),
    "forbidden_phrases": ListRule(label="Forbidden phrases", entry="phrase", most=50, longest=200),
    "voice_examples": ListRule(
        label="Voice examples", entry="example", most=20, longest=LONGEST_TEXT, one_line=False
    ),
}
CHOICES: Mapping[str, ChoiceRule] = {
    "gender": ChoiceRule(label="Gender", choices=Gender),
    "content_rating": ChoiceRule(label="Rating", choices=ContentRating),
    "voice_tone": ChoiceRule(label="Tone", choices=VoiceTone, optional=True),
    "mood": ChoiceRule(label="Mood", choices=Mood, optional=True),
}
SWITCHES = frozenset({"is_public", "match_reference"})
LABELS: Mapping[str, str] = {name: rule.label for name, rule in (TEXTS | LISTS | CHOICES).items()} | {
    "is_public": "Public",
    "match_reference": "Match the reference",
}


def checked(changes: Mapping[str, object]) -> dict[str, object]:
    """The changes, each fit for its column. Raises BadRequest and PolicyRefused, both with `field`."""
    fit = {name: _fit(name, value) for name, value in changes.items()}
    policy.check_texts(texts(fit))
    return fit


def texts(values: Mapping[str, object]) -> dict[str, str | list[str]]:
    """What people wrote among `values`: texts, and lists of texts, by field."""
    written = {name: value for name, value in values.items() if name in TEXTS and isinstance(value, str)}
    lists = {name: value for name, value in values.items() if name in LISTS}
    return written | {name: list(cast("list[str]", value)) for name, value in lists.items()}


def _fit(name: str, value: object) -> object:
    if name in TEXTS:
        return _text(name, TEXTS[name], value)
    if name in LISTS:
        return _list(name, LISTS[name], value)
    if name in CHOICES:
        return _choice(name, CHOICES[name], value)
    if name in SWITCHES:
        return bool(value)
    raise BadRequest(f"A character has no field {name}.", field=name)


def _text(name: str, rule: TextRule, value: object) -> str | None:
    text = _clean(value)
    if len(text) > rule.longest:
        raise BadRequest(
            f"{rule.label} takes at most {rule.longest} characters; this has {len(text)}.", field=name
        )
    return text if rule.kept_empty else text or None


def _choice(name: str, rule: ChoiceRule, value: object) -> str | None:
    if rule.optional and value in (None, ""):
        return None
    if str(value) not in set(rule.choices):
        raise BadRequest(f"{rule.label} is one of {', '.join(rule.choices)}.", field=name)
    return str(value)


def _list(name: str, rule: ListRule, value: object) -> list[str]:
    if not isinstance(value, list | tuple):
        raise BadRequest(f"{rule.label} comes as a list.", field=name)
    written = [_clean(one) for one in cast("list[object]", value)]
    entries = [" ".join(one.split()) if rule.one_line else one.strip() for one in written]
    entries = list(dict.fromkeys(one for one in entries if one))
    if len(entries) > rule.most:
        raise BadRequest(f"{rule.label}: at most {rule.most}; these are {len(entries)}.", field=name)
    if any(len(one) > rule.longest for one in entries):
        raise BadRequest(f"A {rule.entry} takes at most {rule.longest} characters.", field=name)
    return entries


def _clean(value: object) -> str:
    """A text as Postgres takes it: it stores no null bytes and no halves of surrogate pairs."""
    return str(value or "").replace("\x00", "").encode("utf-8", "ignore").decode("utf-8")
