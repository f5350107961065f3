"""Copies of portraits that people take away: the original, one that tells how it was made, one to share, a
character card (SPEC "Studio"; reference/image-metadata.md §6). What is stored stays as it came.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final, cast
from uuid import UUID

from PIL import Image

from core import foreign_paths, metadata
from core.cards import exporting
from core.cards import files as card_files
from core.characters import may_see
from core.db import characters, jobs, portraits
from core.errors import BadImage, BadRequest, NotAllowed, NotFound, StorageFailed
from core.metadata import Origin, Profile, Recipe
from core.services import Services
from core.storage import LIBRARY, REFERENCES, External
from core.storage.links import parse_address
from core.values import Character, Job, Person, Portrait, PortraitId

MOST_AT_ONCE: Final = 200  # portraits of one archive
_IN_MEMORY: Final = 16 * 1024 * 1024  # bytes of an archive before it goes to a file
_TYPES: Final = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp"}


class Kind(StrEnum):
    """What a copy is for."""

    original = "original"  # the bytes as they came
    settings = "settings"  # with everything that is known of its making
    share = "share"  # only that a model made it
    card = "card"  # the character inside its picture, for other programs


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A file to hand out."""

    name: str
    media_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class _Found:
    portrait: Portrait
    character: Character
    job: Job | None


def copy_of(portrait_id: PortraitId, kind: Kind, person: Person, services: Services) -> Copy:
    """A copy of one portrait. Raises NotFound, NotAllowed, StorageFailed, BadImage, BadRequest NO_NAME (a card)."""
    found = _find(portrait_id, person, services)
    return _card(found, person, services) if kind is Kind.card else _picture(found, kind, person, services)


@contextmanager
def archive(ids: Sequence[UUID], kind: Kind, person: Person, services: Services) -> Generator[IO[bytes]]:
    """A ZIP of such copies, standing at its beginning; what cannot be copied is named in a text beside them.

    Raises BadRequest, NotFound where none of them is left.
    """
    wanted = list(dict.fromkeys(ids))
    if not 0 < len(wanted) <= MOST_AT_ONCE:
        raise BadRequest(f"Choose between 1 and {MOST_AT_ONCE} portraits.", field="ids")
    with SpooledTemporaryFile(max_size=_IN_MEMORY) as whole:
        missing = _fill(whole, wanted, kind, person, services)
        if missing == len(wanted):
            raise NotFound("None of these portraits is there any more, or they are not yours.")
        whole.seek(0)
        yield cast("IO[bytes]", whole)


def _fill(
    whole: SpooledTemporaryFile[bytes], ids: Sequence[UUID], kind: Kind, person: Person, services: Services
) -> int:
    """Put the copies into `whole`; how many could not be made."""
    missing: list[str] = []
    taken: set[str] = set()
    # pictures are packed already: packing them again costs time and saves nothing
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as packed:
        for one in ids:
            try:
                copy = copy_of(PortraitId(one), kind, person, services)
            except (NotFound, NotAllowed, BadRequest, StorageFailed, BadImage) as error:
                missing.append(f"{one}: {error.sentence}")
                continue
            packed.writestr(_free(copy.name, taken), copy.data)
        if missing:
            packed.writestr("not included.txt", "\n".join(missing) + "\n")
    return len(missing)


def _free(name: str, taken: set[str]) -> str:
    """`name`, with a number where it is taken."""
    stem, _, ending = name.rpartition(".")
    free, number = name, 1
    while free.casefold() in taken:
        number += 1
        free = f"{stem} {number}.{ending}"
    taken.add(free.casefold())
    return free


def _find(portrait_id: PortraitId, person: Person, services: Services) -> _Found:
    with services.db.as_user(person) as conn:
        portrait = portraits.get(conn, portrait_id)
        if portrait is None or portrait.deleted_at is not None:
            raise _gone()
        character = characters.get(conn, portrait.character_id)
        job = jobs.get(conn, portrait.job_id) if portrait.job_id else None
    if character is None or not may_see(character, person, services):
        raise _gone()
    return _Found(portrait=portrait, character=character, job=job)


def _gone() -> NotFound:
    return NotFound("This portrait does not exist any more, or it is not yours.")


def _card(found: _Found, person: Person, services: Services) -> Copy:
    made = exporting.export(
        found.character.id, exporting.Kind.png, person, services, portrait_id=found.portrait.id
    )
    return Copy(name=f"{_stem(found)}.card.png", media_type=made.media_type, data=made.data)


def _stem(found: _Found) -> str:
    return f"{card_files.file_stem(found.character.shown_name) or 'portrait'}-{str(found.portrait.id)[:8]}"


def _picture(found: _Found, kind: Kind, person: Person, services: Services) -> Copy:
    bucket, path = _place(found, person, services)
    data = services.storage.get(bucket, path)
    ending = path.rpartition(".")[2].lower()
    name = _stem(found)
    if kind is Kind.original:
        return Copy(
            name=f"{name}.{ending}", media_type=_TYPES.get(ending, "application/octet-stream"), data=data
        )
    if ending not in _TYPES:
        ending, data = "png", _as_png(data)  # AVIF takes no texts that other programs would read
    profile = Profile.share if kind is Kind.share else Profile.internal
    told = metadata.write(data, _TYPES[ending], _recipe(found), profile)
    return Copy(name=f"{name}.{ending}", media_type=_TYPES[ending], data=told)


def _place(found: _Found, person: Person, services: Services) -> tuple[str, str]:
    """Bucket and path of the stored picture. Rows can be written by users: only the owner's folder is believed
    (SPEC "Files").
    """
    address = parse_address(found.portrait.image_url, default_bucket=LIBRARY)
    if isinstance(address, External):
        raise NotFound("This picture lies on another site. Open it there.")
    sentence = "This picture lies in somebody else's folder, so it is not handed out."
    return foreign_paths.own(address, found.character.user_id, person, services, sentence=sentence)


def _as_png(data: bytes) -> bytes:
    """The same pixels as PNG; what is PNG already stays as it came. Raises BadImage."""
    if data.startswith(b"\x89PNG"):
        return data
    try:
        with Image.open(io.BytesIO(data)) as picture:
            colours = "RGBA" if "A" in picture.getbands() else "RGB"
            whole = io.BytesIO()
            picture.convert(colours).save(whole, "PNG", icc_profile=picture.info.get("icc_profile"))
    except Exception as exc:  # decoders of foreign bytes raise anything
        raise BadImage("This picture cannot be read any more.", code="BAD_IMAGE") from exc
    return whole.getvalue()


def _recipe(found: _Found) -> Recipe:
    """How it was made, as far as the rows say; nothing is invented."""
    portrait, job = found.portrait, found.job
    said: dict[str, Any] = dict(portrait.metadata) | (dict(job.metadata) if job else {})
    reference = str(said.get("reference_image_url") or "")
    over_a_photo = said.get("generation_mode") == "i2i" and reference.startswith(f"{REFERENCES}/")
    return Recipe(
        prompt=portrait.enhanced_prompt or portrait.prompt or "",
        negative=str(said.get("negative") or ""),
        seed=portrait.seed,
        width=portrait.width,
        height=portrait.height,
        provider=_text(said.get("provider")),
        model=_text(said.get("model_name") or said.get("model")),
        model_key=_text(said.get("model_key")),
        portrait_id=str(portrait.id),
        job_id=str(portrait.job_id) if portrait.job_id else None,
        origin=Origin.over_a_photo if over_a_photo else Origin.model,
        presets=_presets(said.get("presets")),
    )


def _presets(said: object) -> tuple[tuple[str, str], ...]:
    known: dict[str, Any] = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    return tuple((kind, str(value)) for kind, value in known.items() if value)


def _text(value: object) -> str | None:
    return str(value) if value else None
