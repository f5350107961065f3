"""How a picture was made, as far as it is known: what downloads carry and what an uploaded picture may tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"


class Origin(StrEnum):
    """IPTC DigitalSourceType (reference/image-metadata.md §4): its last word; the whole is an address."""

    model = "trainedAlgorithmicMedia"  # made wholly by a model, also from our own pictures
    over_a_photo = "compositeWithTrainedAlgorithmicMedia"  # a model's work over an uploaded picture

    @property
    def address(self) -> str:
        """The full address that readers compare."""
        return SOURCES + self.value


class Profile(StrEnum):
    """What a download tells (reference/image-metadata.md §6)."""

    internal = "internal"  # everything
    share = "share"  # that a model made it, and nothing about how


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A portrait's settings; None where not known. Sizes in pixels; `prompt` is never shown in a repr."""

    prompt: str = field(default="", repr=False)
    negative: str = field(default="", repr=False)
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    provider: str | None = None
    model: str | None = None  # its name for people
    model_key: str | None = None
    portrait_id: str | None = None
    job_id: str | None = None
    origin: Origin = Origin.model
    presets: tuple[tuple[str, str], ...] = ()
