"""Settings inside pictures: written into downloads, read out of uploads. Stored originals stay as they came.

Facts and recommendations: reference/image-metadata.md, above all §6.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Final

from core.metadata import containers, infotext, programs, xmp
from core.metadata.containers import Texts
from core.metadata.recipe import Origin, Profile, Recipe

__all__ = ["Found", "Origin", "Profile", "Recipe", "drops", "read", "write"]

SCHEMA: Final = 1
_DROPS: Final = {
    Profile.internal: "Everything is written: prompt, settings, and where the picture lies here.",
    Profile.share: "The prompt, the seed and all ids are left out; that a model made the picture stays in it.",
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a picture told: by which program, the recipe, and the raw texts beside it, by keyword."""

    program: str
    recipe: Recipe
    raw: dict[str, str] = field(repr=False)


def write(data: bytes, media_type: str, recipe: Recipe, profile: Profile = Profile.internal) -> bytes:
    """A copy of the picture that carries its settings; its pixels are the same bytes, and twice is once.

    Takes PNG, JPEG and WebP. Raises BadImage NO_METADATA_HERE for anything else.
    """
    is_open = profile is Profile.internal
    texts = Texts(
        parameters=_infotext(recipe) if is_open else "",
        ours=_ours(recipe) if is_open else "",
        xmp=xmp.packet(recipe, profile),
    )
    return containers.embed(data, media_type, texts)


def drops(profile: Profile) -> str:
    """What a download of this profile leaves out, as a sentence."""
    return _DROPS[profile]


def read(data: bytes) -> Found | None:
    """What an uploaded picture tells of its making; None where it tells nothing that can be read. Never raises."""
    texts = programs.texts_of(data)
    found = programs.recipe_of(texts)
    return Found(program=found[0], recipe=found[1], raw=texts) if found else None


def _infotext(recipe: Recipe) -> str:
    size = f"{recipe.width}x{recipe.height}" if recipe.width and recipe.height else None
    pairs = {
        "Seed": recipe.seed,
        "Size": size,
        "Model": recipe.model,
        "Provider": recipe.provider,
        "Provider model": recipe.model_key,
        "Portrait": recipe.portrait_id,
        "Job": recipe.job_id,
    }
    return infotext.write(recipe.prompt, recipe.negative, pairs)


def _ours(recipe: Recipe) -> str:
    told = asdict(recipe) | {"schema": SCHEMA, "presets": dict(recipe.presets)}
    told["seed"] = (
        None if recipe.seed is None else str(recipe.seed)
    )  # beyond 2^53 a number is not safe in JSON
    return json.dumps({name: value for name, value in told.items() if value not in (None, "", {})})
