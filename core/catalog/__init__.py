"""What ships with the product: attribute options, presets, templates, models, and the words of prompts.

Every fact here is data (DESIGN decision 7); what a team changes lives in rows. The five files beside this one
are read once, checked whole, and handed out frozen.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from core.errors import SetupFailed
from core.values import Capabilities, Gender, PriceUnit

Key = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
Words = Annotated[str, Field(min_length=1, max_length=400)]
PresetKind = Literal["pose", "expression", "outfit", "camera"]

# Checks of shape belong to pydantic; it hands them down to every plain dataclass below.
_STRICT = ConfigDict(extra="forbid", str_strip_whitespace=True)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One choice of a pose, expression, outfit or camera; `words` go into the prompt."""

    key: Key
    label: Words
    words: Words


@dataclass(frozen=True, kw_only=True)
class StylePreset:
    """A look as a list of tags, added to a character's own with one click."""

    key: Key
    label: Words
    tags: Annotated[tuple[Words, ...], Field(min_length=1, max_length=8)]

    @property
    def words(self) -> str:
        """The tags as prompt words."""
        return ", ".join(self.tags)


@dataclass(frozen=True, kw_only=True)
class AttributeValue:
    """One option of the character-creation form; rows named after an alias count for it (SPEC)."""

    value: Words
    label: Words
    words: Words
    tags: tuple[Words, ...] = ()
    aliases: tuple[Words, ...] = ()

    def is_called(self, name: str) -> bool:
        """True where `name` is this value or one of its aliases, in any case."""
        return name.strip().casefold() in {known.casefold() for known in (self.value, *self.aliases)}


@dataclass(frozen=True, kw_only=True)
class AttributeCategory:
    """A group of options: age, body or ethnicity."""

    key: Key
    label: Words
    framing: Words
    values: Annotated[tuple[AttributeValue, ...], Field(min_length=1)]

    def find(self, name: str) -> AttributeValue | None:
        """The value of that name or alias, None where there is none."""
        return next((value for value in self.values if value.is_called(name)), None)


@dataclass(frozen=True, kw_only=True)
class ImageStyle:
    """A style that attribute images are drawn in; `tags` go into a character that chooses it."""

    key: Key
    label: Words
    words: Words
    tags: tuple[Words, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AttributeCell:
    """One picture of the attribute matrix."""

    category: AttributeCategory
    value: AttributeValue
    style: ImageStyle


@dataclass(frozen=True, kw_only=True)
class AttributeWords:
    """What every attribute and style image says: adults, fully clothed, before a plain background."""

    style_framing: Words
    clothing: Annotated[tuple[Words, ...], Field(min_length=1)]
    setting: tuple[Words, ...]
    negative: tuple[Words, ...]


@dataclass(frozen=True, kw_only=True)
class CharacterTemplate:
    """An invented adult to start from; every field fits the rules of a finished character (SPEC)."""

    key: Key
    name: Annotated[str, Field(min_length=1, max_length=50)]
    role: Words
    gender: Gender
    description: Annotated[str, Field(min_length=50, max_length=500)]
    appearance_tags: Annotated[tuple[Words, ...], Field(min_length=1, max_length=20)]
    clothing_tags: Annotated[tuple[Words, ...], Field(min_length=1, max_length=20)]
    persona: Annotated[str, Field(min_length=1, max_length=1000)]
    tone: Literal["warm", "playful", "confident", "teasing", "direct"]
    mood: Literal["friendly", "flirty", "mysterious", "dominant", "submissive"]
    first_message: Annotated[str, Field(min_length=1, max_length=1000)]


@dataclass(frozen=True, kw_only=True)
class ShippedPrice:
    """A price in US dollars for one `unit`, as `source` states it; `amount` None = not known, never zero."""

    unit: PriceUnit
    valid_from: date
    source: Words
    # Written as text in the file: a float would not be the number that stands there.
    amount: Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=10)] | None = None
    size: str | None = None


@dataclass(frozen=True, kw_only=True)
class ShippedModel:
    """A model as `migrate` inserts it where it is missing.

    Keys of `input_defaults` that start with `_` are for the adapter and never sent: `_fields` maps our words
    (references, size, negative …) to that model's own field names; models.toml explains the others.
    """

    provider: Key
    model_key: Words
    display_name: Words
    modality: Literal["image"]
    priority: Annotated[int, Field(ge=0, le=100)]
    default_for_tasks: Annotated[tuple[Literal["generation", "i2i"], ...], Field(min_length=1)]
    capabilities: Capabilities
    prices: Annotated[tuple[ShippedPrice, ...], Field(min_length=1)]
    input_defaults: Mapping[str, object] = field(default_factory=dict[str, object])
    is_active: bool = True


@dataclass(frozen=True, kw_only=True)
class PromptLimits:
    """How much of each part a prompt takes (SPEC "Prompt"): counts of tags, lengths in characters."""

    appearance_tags: Annotated[int, Field(ge=1)]
    clothing_tags: Annotated[int, Field(ge=1)]
    own_words: Annotated[int, Field(ge=1)]
    preset_words: Annotated[int, Field(ge=1)]
    scene_tags: Annotated[int, Field(ge=1)]
    scene_words: Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True)
class PromptWords:
    """The fixed words of a prompt, in the order they are used."""

    opening: tuple[Words, ...]
    scene: tuple[Words, ...]
    subject: Mapping[Gender, Words]
    identity: tuple[Words, ...]
    closing: tuple[Words, ...]
    negative: tuple[Words, ...]
    limits: PromptLimits


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """Everything that ships, in the order people see it."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    attribute_words: AttributeWords
    categories: tuple[AttributeCategory, ...]
    styles: tuple[ImageStyle, ...]
    style_presets: tuple[StylePreset, ...]
    poses: tuple[Preset, ...]
    expressions: tuple[Preset, ...]
    outfits: tuple[Preset, ...]
    cameras: tuple[Preset, ...]
    templates: tuple[CharacterTemplate, ...]
    models: tuple[ShippedModel, ...]
    result_seconds: Mapping[
        Key, Annotated[int, Field(ge=1)]
    ]  # how long a provider keeps a result; others for ever
    words: PromptWords

    def presets(self, kind: PresetKind) -> tuple[Preset, ...]:
        """The choices of one kind."""
        kinds = {
            "pose": self.poses,
            "expression": self.expressions,
            "outfit": self.outfits,
            "camera": self.cameras,
        }
        return kinds[kind]

    def preset(self, kind: PresetKind, name: str) -> Preset | None:
        """The preset of that key or label, in any case; None where the catalogue has none."""
        wanted = name.strip().casefold()
        matches = (one for one in self.presets(kind) if wanted in {one.key, one.label.casefold()})
        return next(matches, None)

    def category(self, key: str) -> AttributeCategory | None:
        """The attribute category of that key, None where there is none."""
        return next((category for category in self.categories if category.key == key), None)

    def cells(self) -> Iterator[AttributeCell]:
        """Every attribute image there should be, category by category, value by value, style by style."""
        for category in self.categories:
            for value in category.values:
                for style in self.styles:
                    yield AttributeCell(category=category, value=value, style=style)


_FILES = ("attributes.toml", "presets.toml", "templates.toml", "models.toml", "words.toml")
_ADAPTER = TypeAdapter(Catalog)
_PRESET_KINDS: tuple[PresetKind, ...] = ("pose", "expression", "outfit", "camera")


@cache
def load() -> Catalog:
    """The shipped catalogue, read once. Raises SetupFailed, naming file and place, where a file is wrong."""
    return read(resources.files("core.catalog"))


def read(folder: Traversable) -> Catalog:
    """Read and check the five files of a folder. Raises SetupFailed as `load` does."""
    tables: dict[str, object] = {}
    origin: dict[str, str] = {}
    for name in _FILES:
        for key, value in _tables(folder, name).items():
            tables[key] = value
            origin[key] = name
    try:
        catalog = _ADAPTER.validate_python(tables)
    except ValidationError as exc:
        raise SetupFailed(_complaint(exc, origin)) from exc
    _refuse_doubles(catalog)
    _refuse_gaps(catalog)
    return catalog


def _tables(folder: Traversable, name: str) -> dict[str, object]:
    try:
        text = (folder / name).read_text("utf-8")
        return tomllib.loads(text)
    except OSError as exc:
        raise SetupFailed(f"The catalogue file {name} could not be read. Install the product again.") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SetupFailed(f"The catalogue file {name} is not valid TOML: {exc}. Correct it.") from exc


def _complaint(exc: ValidationError, origin: Mapping[str, str]) -> str:
    first = exc.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    table = str(first["loc"][0]) if first["loc"] else ""
    file = origin.get(table, "with that table")
    return f"The catalogue file {file} is wrong at {place}: {first['msg']}. Correct that entry."


def _refuse_doubles(catalog: Catalog) -> None:
    named: dict[str, Iterable[object]] = {
        "models": [(model.provider, model.model_key) for model in catalog.models],
        "templates": [template.key for template in catalog.templates],
        "style_presets": [preset.key for preset in catalog.style_presets],
        "styles": [style.key for style in catalog.styles],
        "categories": [category.key for category in catalog.categories],
    }
    named |= {kind: [one.key for one in catalog.presets(kind)] for kind in _PRESET_KINDS}
    named |= {f"categories.{one.key}": _names(one) for one in catalog.categories}
    for table, keys in named.items():
        _refuse_double(table, list(keys))


def _names(category: AttributeCategory) -> list[object]:
    return [name.casefold() for value in category.values for name in (value.value, *value.aliases)]


def _refuse_double(table: str, keys: list[object]) -> None:
    doubled = next((key for index, key in enumerate(keys) if key in keys[:index]), None)
    if doubled is not None:
        raise SetupFailed(f"The catalogue names {doubled} twice in {table}. Remove one of the two.")


def _refuse_gaps(catalog: Catalog) -> None:
    unnamed = [gender for gender in Gender if gender not in catalog.words.subject]
    if unnamed:
        raise SetupFailed(f"The catalogue file words.toml has no subject for {unnamed[0]}. Add one.")
    # A prompt must never describe anybody but an adult, whoever edits the file (SPEC "Prompt").
    childish = [words for words in catalog.words.subject.values() if "adult" not in words.split()]
    if childish:
        raise SetupFailed("The catalogue file words.toml has a subject without the word adult. Add the word.")
    for model in catalog.models:
        _refuse_contradiction(model)


def _refuse_contradiction(model: ShippedModel) -> None:
    takes = model.capabilities.supports_i2i
    if takes != (model.capabilities.max_reference_images > 0):
        raise SetupFailed(
            f"The catalogue's model {model.model_key} disagrees with itself: "
            "supports_i2i goes with max_reference_images of at least 1. Correct one of the two."
        )
    if "i2i" in model.default_for_tasks and not takes:
        raise SetupFailed(
            f"The catalogue's model {model.model_key} serves i2i without supports_i2i. Correct one of them."
        )
