"""How a reference image reaches a provider: the one place where that is decided.

In this order, the first that the model takes:

    1. inside the request, as a `data:` address, up to `inside` bytes of all references together
    2. by our own signed link, where the order has one (PUBLIC_URL leads to this studio from outside)
    3. by the provider's own storage, where it has one: the picture is uploaded before anything is ordered
    4. inside the request after all, as a smaller copy

A picture of a type or size that the model does not read travels as a copy from the start. What a provider usually
takes is its adapter's `Taking`; a model says otherwise in `input_defaults`: `_inside` (bytes), `_types` (media
types), `_pixels` (the most of one picture).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from core import images
from core.errors import BadImage, ProviderRejected
from core.providers.reading import number, rows
from core.values import ReferencePicture

Upload = Callable[[ReferencePicture], str]
"""Hands a picture to the provider's storage, free of charge; the address that its models take."""

EVERY_TYPE = ("image/png", "image/jpeg", "image/webp", "image/avif")


@dataclass(frozen=True, kw_only=True)
class Taking:
    """What a provider's models take of a reference.

    `inside` is bytes before base64, of all references of one request together (0: none inside); `pixels` the most
    of one picture; `types` the media types it reads; `addresses` is False where only the bytes themselves count.
    """

    inside: int
    pixels: int = images.MAX_PIXELS
    types: tuple[str, ...] = EVERY_TYPE
    addresses: bool = True

    def of_model(self, defaults: Mapping[str, object], *, field: str) -> Taking:
        """The same, as one model has it; `field` is what the model calls its reference."""
        inside, pixels = number(defaults.get("_inside")), number(defaults.get("_pixels"))
        types = tuple(one for one in rows(defaults.get("_types")) if isinstance(one, str))
        return Taking(
            inside=self.inside if inside is None else int(inside),
            pixels=self.pixels if pixels is None else int(pixels),
            types=types or self.types,
            addresses=self.addresses and not field.endswith("_base64"),
        )


def handed_over(
    pictures: tuple[ReferencePicture, ...], taking: Taking, upload: Upload | None
) -> tuple[str, ...]:
    """Each picture as the request names it: a `data:` address or one that the provider can fetch.

    Raises ProviderRejected `INVALID_INPUT` where there is no way, and what `upload` raises; nothing was ordered.
    """
    room = taking.inside // max(1, len(pictures))
    return tuple(_handed_over(one, taking, room, upload) for one in pictures)


def _handed_over(picture: ReferencePicture, taking: Taking, room: int, upload: Upload | None) -> str:
    readable = _readable(picture, taking)
    if len(readable.data) <= room:
        return _inside(readable)
    if taking.addresses and readable.link:
        return readable.link
    if taking.addresses and upload is not None:
        return upload(readable)
    return _inside(_copy(readable, most_bytes=room, most_pixels=taking.pixels))


def _readable(picture: ReferencePicture, taking: Taking) -> ReferencePicture:
    """The picture, or a copy of it in a type and size that the model reads."""
    if picture.media_type in taking.types and picture.width * picture.height <= taking.pixels:
        return picture
    return _copy(picture, most_bytes=images.UPLOAD_BYTES, most_pixels=taking.pixels)


def _copy(picture: ReferencePicture, *, most_bytes: int, most_pixels: int) -> ReferencePicture:
    try:
        return replace(images.smaller_copy(picture, most_bytes=most_bytes, most_pixels=most_pixels), link="")
    except BadImage as exc:
        raise ProviderRejected(
            "This model cannot be given the reference image: it is too large for it, or damaged. Nothing was sent. "
            "Choose another reference or another model.",
            code="INVALID_INPUT",
        ) from exc


def _inside(picture: ReferencePicture) -> str:
    return f"data:{picture.media_type};base64,{base64.b64encode(picture.data).decode('ascii')}"
