"""The text that is sent to an image model (SPEC "Prompt"). No input or output here."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from core.catalog import AttributeCell, Catalog, ImageStyle, PresetKind, PromptLimits
from core.values import CharacterTraits, Gender, Presets, Prompt

# Commas of the scripts people paste from, semicolons and line ends part the words as a comma does.
_SEPARATORS = re.compile(r"[,;，、；،\n\r\u2028\u2029]+")
_KINDS: tuple[PresetKind, ...] = ("pose", "expression", "outfit", "camera")


def build(
    character: CharacterTraits,
    presets: Presets,
    own_words: str,
    *,
    match: bool,
    negative: bool,
    catalog: Catalog,
) -> Prompt:
    """Put a portrait's prompt together, one line, parts joined with ", ", none of them twice.

    `match` adds the words that keep an identity, `negative` fills in the negative words (for a model that
    takes them). What had to be left out stands in `warnings`, as sentences that repeat none of it.
    """
    words, limits = catalog.words, catalog.words.limits
    warnings: list[str] = []
    parts = [
        *words.opening,
        words.subject[character.gender],
        *_tags(character.appearance_tags, limits.appearance_tags, "appearance", warnings),
        *_tags(character.clothing_tags, limits.clothing_tags, "clothing", warnings),
        *_preset_words(presets, limits, catalog, warnings),
        *_own_words(own_words, limits.own_words, warnings),
        *(words.identity if match else ()),
        *words.closing,
    ]
    return Prompt(
        text=_joined(parts),
        negative=_joined(words.negative) if negative else "",
        warnings=tuple(warnings),
    )


def build_scene(
    character: CharacterTraits,
    scene: str,
    presets: Presets,
    *,
    match: bool,
    negative: bool,
    catalog: Catalog,
) -> Prompt:
    """The prompt of a scene's picture: the words of the scene first, then who is in it and what they wear.

    `scene` is its own prompt or its description; a chosen outfit is the scene's clothing, else the clothing tags
    are (SPEC "Prompt"). `match`, `negative` and `warnings` as in `build`.
    """
    words, limits = catalog.words, catalog.words.limits
    warnings: list[str] = []
    outfit = Presets(outfit=presets.outfit)
    clothing = _preset_words(outfit, limits, catalog, warnings) or _tags(
        character.clothing_tags, limits.clothing_tags, "clothing", warnings
    )
    parts = [
        *words.scene,
        *_parts(_cut(_line(scene), limits.scene_words, "The scene's text", warnings).rstrip(". ")),
        words.subject[character.gender],
        *_tags(character.appearance_tags, limits.scene_tags, "appearance", warnings),
        *([f"wearing {clothing[0]}", *clothing[1:]] if clothing else ()),
        *(words.identity if match else ()),
        *words.closing,
    ]
    return Prompt(
        text=_joined(parts),
        negative=_joined(words.negative) if negative else "",
        warnings=tuple(warnings),
    )


def build_attribute(cell: AttributeCell, *, negative: bool, catalog: Catalog) -> Prompt:
    """The prompt of one attribute image (SPEC "Attribute images"): an adult, fully clothed, in the cell's style."""
    return _catalogue_picture((cell.category.framing, cell.value.words), cell.style, negative, catalog)


def build_style(style: ImageStyle, *, negative: bool, catalog: Catalog) -> Prompt:
    """The prompt of the picture that stands for a style itself, under the same rules."""
    return _catalogue_picture((catalog.attribute_words.style_framing,), style, negative, catalog)


def _catalogue_picture(shown: Sequence[str], style: ImageStyle, negative: bool, catalog: Catalog) -> Prompt:
    words, always = catalog.words, catalog.attribute_words
    parts = [
        style.words,
        words.subject[Gender.unspecified],
        *shown,
        *always.clothing,
        *always.setting,
        *words.closing,
    ]
    return Prompt(
        text=_joined(parts), negative=_joined((*words.negative, *always.negative)) if negative else ""
    )


def _tags(tags: Sequence[str], limit: int, kind: str, warnings: list[str]) -> list[str]:
    known = _once(part for tag in tags for part in _parts(tag))
    left_out = len(known) - limit
    if left_out > 0:
        verb = "was" if left_out == 1 else "were"
        warnings.append(f"Only the first {limit} {kind} tags are used; {left_out} {verb} left out.")
    return known[:limit]


def _preset_words(presets: Presets, limits: PromptLimits, catalog: Catalog, warnings: list[str]) -> list[str]:
    chosen: list[str] = []
    for kind in _KINDS:
        value = getattr(presets, kind)
        if value is None:
            continue
        preset = catalog.preset(kind, value)
        if preset is not None:
            chosen.extend(_parts(preset.words))
        else:
            chosen.extend(_parts(_cut(_line(value), limits.preset_words, f"The {kind}", warnings)))
    return chosen


def _own_words(own_words: str, limit: int, warnings: list[str]) -> list[str]:
    return _parts(_cut(_line(own_words), limit, "Your own words", warnings))


def _cut(line: str, limit: int, what: str, warnings: list[str]) -> str:
    if len(line) <= limit:
        return line
    verb = "were" if what.endswith("words") else "was"
    warnings.append(
        f"{what} {verb} longer than {limit} characters; the last {len(line) - limit} were left out."
    )
    return line[:limit]


def _line(text: str) -> str:
    return ", ".join(_parts(text))


def _parts(text: str) -> list[str]:
    parts = (" ".join(_printable(part).split()) for part in _SEPARATORS.split(text))
    return [part for part in parts if part]


def _printable(text: str) -> str:
    # Control characters and halves of a broken pair can be neither stored in Postgres nor sent as JSON.
    return "".join(char if unicodedata.category(char) not in {"Cc", "Cs"} else " " for char in text)


def _once(parts: Iterable[str]) -> list[str]:
    return list({part.casefold(): part for part in reversed(list(parts))}.values())[::-1]


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(_once(piece for part in parts for piece in _parts(part)))
