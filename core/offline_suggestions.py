"""Proposals made on this machine, without a model: invented adults out of catalog/suggestions.toml and the catalogue's
own tags. The same character, field and turn give the same proposal. No input or output here but the shipped file.
"""

from __future__ import annotations

import hashlib
import random
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from core.catalog import Catalog
from core.errors import SetupFailed

Value = str | tuple[str, ...]

TONES = ("warm", "playful", "confident", "teasing", "direct")
MOODS = ("friendly", "mysterious")  # of those a character may have, the ones nobody has to explain at work


@dataclass(frozen=True, kw_only=True)
class Trade:
    """What somebody does, where, with what, and their first words."""

    role: str
    does: str
    place: str
    treasure: str
    tags: tuple[str, ...]
    line: str


@dataclass(frozen=True, kw_only=True)
class _Habits:
    list: tuple[str, ...]
    beliefs: tuple[str, ...]
    traits: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Looks:
    hair: tuple[str, ...]
    eyes: tuple[str, ...]
    features: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Parts:
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    garments: tuple[str, ...]
    names: Mapping[str, tuple[str, ...]]
    trades: tuple[Trade, ...]
    habits: _Habits
    looks: _Looks
    sentences: Mapping[str, tuple[str, ...]]


def propose(
    wanted: str, present: Mapping[str, Value], *, identity: str, turn: int, catalog: Catalog
) -> Value:
    """A proposal for one field of a character whose fields now say `present`.

    `identity` stands for the character, `turn` counts how often it was asked; every turn draws anew. What the
    person wrote already (name, role, tags) is kept to. `wanted` is a field of core.suggestions.FIELDS.
    """
    return _Draw(present, identity, turn, catalog).of(wanted)


def sort_tags(tags: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tags of the body and tags of the outfit, in the order they came, each once."""
    garments = frozenset(_parts().garments)
    once = tuple(dict.fromkeys(tags))
    outfit = tuple(tag for tag in once if not garments.isdisjoint(tag.casefold().split()))
    return tuple(tag for tag in once if tag not in outfit), outfit


@cache
def _parts() -> _Parts:
    text = (resources.files("core.catalog") / "suggestions.toml").read_text("utf-8")
    try:
        return TypeAdapter(_Parts).validate_python(tomllib.loads(text))
    except (ValidationError, tomllib.TOMLDecodeError) as exc:
        raise SetupFailed("The catalogue file suggestions.toml is wrong. Install the product again.") from exc


class _Draw:
    """One turn of one character. What fields share (trade, habit …) is the same whichever field is asked."""

    def __init__(self, present: Mapping[str, Value], identity: str, turn: int, catalog: Catalog) -> None:
        self._parts = _parts()
        self._present = present
        self._seed = f"{identity}|{turn}"
        self._catalog = catalog
        self._trade = self._chance("trade").choice(self._parts.trades)

    def of(self, wanted: str) -> Value:
        return getattr(self, f"_{wanted}")(self._chance(wanted))

    def _chance(self, of: str) -> random.Random:
        digest = hashlib.sha256(f"{self._seed}|{of}".encode()).digest()
        return random.Random(int.from_bytes(digest[:8]))  # noqa: S311 - nothing secret hangs on it

    def _said(self, field: str) -> str:
        value = self._present.get(field, "")
        return value.strip() if isinstance(value, str) else ""

    def _sentence(self, kind: str, chance: random.Random) -> str:
        return self._filled(chance.choice(self._parts.sentences[kind]))

    def _filled(self, sentence: str) -> str:
        trade, shared = self._trade, self._chance("shared")
        habit, belief = shared.choice(self._parts.habits.list), shared.choice(self._parts.habits.beliefs)
        traits = self._personality_traits(self._chance("personality_traits"))
        return sentence.format(
            name=self._said("name") or "this character",
            role=(self._said("role") or trade.role).rstrip("."),
            does=trade.does.format(place=trade.place),
            place=trade.place,
            treasure=trade.treasure,
            line=trade.line,
            habit=habit,
            belief=belief,
            traits=traits[:1].upper() + traits[1:] if sentence.startswith("{traits}") else traits,
            looks=", ".join(self._body(self._chance("looks"))[2:]).capitalize(),
        )

    def _name(self, chance: random.Random) -> str:
        names = self._parts.names
        first = chance.choice(names.get(self._said("gender"), names["neutral"]))
        return f"{first} {chance.choice(names['last'])}"

    def _role(self, _chance: random.Random) -> str:
        return self._trade.role

    def _description(self, chance: random.Random) -> str:
        return self._sentence("description", chance)

    def _traits(self, chance: random.Random) -> str:
        return self._sentence("appearance", chance)

    def _persona(self, chance: random.Random) -> str:
        return self._sentence("persona", chance)

    def _voice_tone(self, chance: random.Random) -> str:
        return _other(TONES, self._said("voice_tone"), chance)

    def _mood(self, chance: random.Random) -> str:
        return _other(MOODS, self._said("mood"), chance)

    def _personality_traits(self, chance: random.Random) -> str:
        return ", ".join(chance.sample(self._parts.habits.traits, 4))

    def _first_message(self, chance: random.Random) -> str:
        return self._sentence("greetings", chance)

    def _alternate_greetings(self, chance: random.Random) -> tuple[str, ...]:
        first = self._said("first_message")
        every = [self._filled(one) for one in self._parts.sentences["greetings"]]
        return tuple(chance.sample([one for one in every if one != first], 2))

    def _scenario(self, chance: random.Random) -> str:
        return self._sentence("scenario", chance)

    def _system_prompt(self, chance: random.Random) -> str:
        return self._sentence("system_prompt", chance)

    def _forbidden_phrases(self, chance: random.Random) -> tuple[str, ...]:
        return tuple(chance.sample(self._parts.sentences["forbidden"], 4))

    def _voice_examples(self, chance: random.Random) -> tuple[str, ...]:
        return tuple(chance.sample(self._parts.sentences["examples"], 2))

    def _appearance_tags(self, _chance: random.Random) -> tuple[str, ...]:
        return self._body(self._chance("looks"))

    def _clothing_tags(self, _chance: random.Random) -> tuple[str, ...]:
        return self._trade.tags

    def _body(self, chance: random.Random) -> tuple[str, ...]:
        """Age and build from the catalogue's options, then hair, eyes and two features."""
        options = [self._catalog.category(key) for key in ("age", "body")]
        drawn = [chance.choice(one.values).tags[0] for one in options if one is not None]
        looks = self._parts.looks
        features = chance.sample(looks.features, 2)
        return (*drawn, chance.choice(looks.hair), chance.choice(looks.eyes), *features)


def _other(choices: Sequence[str], now: str, chance: random.Random) -> str:
    """One of the choices that is not the present one."""
    return chance.choice([one for one in choices if one != now])
