"""Texts inside picture files, put in and taken out without touching a pixel: PNG, JPEG, WebP.

Pillow writes some of these in forms other programs refuse, and only together with a new encoding of the pixels
(reference/image-metadata.md §3), so the containers are taken apart here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from core import png
from core.errors import BadImage

_APP1: Final = 0xE1
_EXIF: Final = b"Exif\0\0"
_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
_MOST_SEGMENT: Final = 65_533 - 2
LONGEST_COMMENT: Final = 32_000  # UTF-16 characters of one JPEG segment
PARAMETERS: Final = "parameters"
OURS: Final = "portrait_studio"


@dataclass(frozen=True, kw_only=True)
class Texts:
    """What is put into a file; an empty one is not written."""

    parameters: str
    ours: str
    xmp: str


def embed(data: bytes, media_type: str, texts: Texts) -> bytes:
    """The same file with `texts`, ours replaced, everything else kept. Twice is once.

    `ours` (JSON) travels in PNG only: the other two have no place that readers agree on.
    Raises BadImage for a type that is none of PNG, JPEG and WebP, or a broken file.
    """
    try:
        return _embed(data, media_type, texts)
    except (struct.error, IndexError) as exc:
        raise BadImage("This picture's file ends in the middle.", code="IMAGE_CUT") from exc


def _embed(data: bytes, media_type: str, texts: Texts) -> bytes:
    if media_type == "image/png":
        added = [(PARAMETERS, texts.parameters), (OURS, texts.ours), (png.XMP, texts.xmp)]
        return png.with_texts(
            data, [(name, text) for name, text in added if text], without=(PARAMETERS, OURS, png.XMP)
        )
    if media_type == "image/jpeg":
        return _with_segments(data, texts)
    if media_type == "image/webp":
        return _with_riff_chunks(data, texts)
    raise BadImage(
        "This kind of picture cannot carry its settings; download it as PNG.", code="NO_METADATA_HERE"
    )


# -- EXIF with nothing but a comment -----------------------------------------------------------------------------


def _exif(comment: str) -> bytes:
    """A TIFF block with one UserComment of type UNDEFINED, as A1111's readers want it."""
    value = b"UNICODE\0" + comment.encode("utf-16-be", errors="replace")
    pointer = struct.pack(">HHHII", 1, 0x8769, 4, 1, 26) + struct.pack(">I", 0)
    entry = struct.pack(">HHHII", 1, 0x9286, 7, len(value), 44) + struct.pack(">I", 0)
    return b"MM\0*\0\0\0\x08" + pointer + entry + value


# -- JPEG -----------------------------------------------------------------------------------------------------------


def _with_segments(data: bytes, texts: Texts) -> bytes:
    kept, rest = _segments(data)
    kept = [one for one in kept if not one[4:].startswith((_EXIF, _XMP))]
    fresh: list[bytes] = []
    if texts.parameters:
        # A comment that is longer than a segment goes into the XMP packet whole; here stands its beginning.
        fresh.append(_segment(_EXIF + _exif(texts.parameters[:LONGEST_COMMENT])))
    if texts.xmp and len(texts.xmp.encode()) + len(_XMP) <= _MOST_SEGMENT:
        fresh.append(_segment(_XMP + texts.xmp.encode()))
    after = 1 if kept and kept[0][1] == 0xE0 else 0  # noqa: PLR2004 — JFIF stays first
    return b"\xff\xd8" + b"".join([*kept[:after], *fresh, *kept[after:]]) + rest


def _segment(body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, _APP1, len(body) + 2) + body


def _segments(data: bytes) -> tuple[list[bytes], bytes]:
    """The marker segments before the picture itself, and all the rest."""
    if data[:2] != b"\xff\xd8":
        raise BadImage("This file is no JPEG picture.", code="NOT_JPEG")
    found: list[bytes] = []
    place = 2
    while data[place : place + 1] == b"\xff" and 0xE0 <= data[place + 1] <= 0xEF:  # noqa: PLR2004
        (length,) = struct.unpack_from(">H", data, place + 2)
        found.append(data[place : place + 2 + length])
        place += 2 + length
    return found, data[place:]


# -- WebP -----------------------------------------------------------------------------------------------------------

_HAS_EXIF: Final = 0x08
_HAS_XMP: Final = 0x04
_HAS_ALPHA: Final = 0x10


def _with_riff_chunks(data: bytes, texts: Texts) -> bytes:
    chunks = [one for one in _riff_chunks(data) if one[0] not in (b"EXIF", b"XMP ")]
    header = next((body for kind, body in chunks if kind == b"VP8X"), None) or _extended_header(chunks)
    chunks = [one for one in chunks if one[0] != b"VP8X"]
    flags = header[0] & ~(_HAS_EXIF | _HAS_XMP)
    if texts.parameters:
        flags |= _HAS_EXIF
        chunks.append((b"EXIF", _exif(texts.parameters)))
    if texts.xmp:
        flags |= _HAS_XMP
        chunks.append((b"XMP ", texts.xmp.encode()))
    whole = b"".join(_riff(kind, body) for kind, body in [(b"VP8X", bytes([flags]) + header[1:]), *chunks])
    return b"RIFF" + struct.pack("<I", len(whole) + 4) + b"WEBP" + whole


def _riff(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise BadImage("This file is no WebP picture.", code="NOT_WEBP")
    place = 12
    while place + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, place + 4)
        yield data[place : place + 4], data[place + 8 : place + 8 + length]
        place += 8 + length + length % 2


def _extended_header(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """VP8X for a plain file: its size and whether it has alpha, read from its one picture."""
    kind, body = next((one for one in chunks if one[0] in (b"VP8 ", b"VP8L")), (b"", b""))
    if kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", body, 6))
        alpha = 0
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", body, 1)
        width, height, alpha = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bits >> 28 & 1
    else:
        raise BadImage("This WebP file holds no picture.", code="NOT_WEBP")
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes([_HAS_ALPHA if alpha else 0, 0, 0, 0]) + sides
