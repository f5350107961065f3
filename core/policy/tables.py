"""The tables of catalog/policy.toml, read and checked."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from core.errors import SetupFailed

ADULT = 18

Names = tuple[Annotated[str, Field(min_length=1)], ...]


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """An expression, looked for only in a text that holds `cue`."""

    cue: str
    expression: str


@dataclass(frozen=True, kw_only=True)
class WordTable:
    """Words that refuse a text unless an innocent one stands beside them."""

    words: Names = ()
    exactly: Names = ()  # a space is a space
    patterns: tuple[Pattern, ...] = ()
    innocent_before: Names = ()
    innocent_after: Names = ()
    family: bool = False  # somebody's children and pupils, said beside an adult, excuse it


@dataclass(frozen=True, kw_only=True)
class UnspacedTable:
    """Words of scripts that part no words, or glue small ones to them: looked for anywhere."""

    words: Names
    expressions: Names = ()
    innocent_before: Names = ()
    innocent_after: Names = ()


@dataclass(frozen=True, kw_only=True)
class Form:
    """What stands around a number that is an age: `before` ends at it, `after` begins behind it.

    `lead`: the words one of which stands directly before the number, where `before` asks for one.
    """

    before: str = ""
    lead: Names = ()
    after: str = ""
    least: int = 0
    below: int = ADULT
    ordinal: bool = False
    innocent_before: Names = ()
    innocent_after: Names = ()


@dataclass(frozen=True, kw_only=True)
class AgeTable:
    """One language's numbers and the forms it says ages in."""

    language: str
    forms: tuple[Form, ...]
    cues: Names = ()  # one of these stands in every text that is worth a look; none: always
    numbers: Names = ()  # from zero on, spellings parted by |
    ordinals: Names = ()
    tens: Names = ()
    large: Names = ()
    joiners: Names = ()  # between tens and units
    large_joiners: Names = ()  # behind large
    glued: Names = ()  # what may follow a number's word without a gap
    unspaced: bool = False
    kanji: bool = False
    roman: bool = False


@dataclass(frozen=True, kw_only=True)
class BirthTable:
    """Forms of a year of birth; `{year}` is a year."""

    cues: Names
    expressions: Names
    innocent_before: Names = ()


@dataclass(frozen=True, kw_only=True)
class Emoji:
    """Pictures of a minor."""

    signs: Names


@dataclass(frozen=True, kw_only=True)
class Tables:
    """The whole file."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    strong: Names
    in_pieces: Names
    spellings: Names
    relatives: Names
    between: Names
    words: tuple[WordTable, ...]
    words_unspaced: tuple[UnspacedTable, ...]
    emoji: Emoji
    ages: tuple[AgeTable, ...]
    births: BirthTable


def read() -> Tables:
    """The tables as they ship. Raises SetupFailed."""
    try:
        text = (resources.files("core.catalog") / "policy.toml").read_text("utf-8")
        return TypeAdapter(Tables).validate_python(tomllib.loads(text))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as exc:
        raise SetupFailed(
            "The catalogue file policy.toml is missing or damaged. Install the product again."
        ) from exc
