"""PNG files as rows of chunks: the texts they carry, read and written without touching a pixel.

Pillow drops text chunks when it saves and misses those behind the picture until it has decoded it, so cards and
generation parameters are read here (reference/character-cards.md §5, reference/image-metadata.md §3).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from core.errors import BadImage

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
XMP: Final = "XML:com.adobe.xmp"
MOST_CHUNKS: Final = 10_000
MOST_INFLATED: Final = 8 * 1024 * 1024  # bytes one compressed text may become
_TEXTS: Final = (b"tEXt", b"zTXt", b"iTXt")


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """One chunk; `is_sound` is false where its checksum is wrong."""

    kind: bytes
    body: bytes
    is_sound: bool = True


@dataclass(frozen=True, kw_only=True)
class Png:
    """All whole chunks in order; `is_whole` is false where the file ends before its IEND."""

    chunks: tuple[Chunk, ...]
    is_whole: bool


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text chunk: its keyword, the bytes of its value (inflated), and which kind of chunk held it."""

    keyword: str
    value: bytes
    kind: bytes
    is_sound: bool = True


def is_png(data: bytes) -> bool:
    """Whether these bytes begin like a PNG."""
    return data.startswith(SIGNATURE)


def read(data: bytes) -> Png:
    """The chunks of a PNG, as far as they are whole; what follows IEND is left out.

    Raises BadImage NOT_PNG where it does not begin as one, TOO_MANY_CHUNKS beyond 10,000.
    """
    if not is_png(data) or data[12:16] != b"IHDR":
        raise BadImage("This file is no PNG picture. Choose the picture file itself.", code="NOT_PNG")
    chunks: list[Chunk] = []
    place = len(SIGNATURE)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        end = place + 12 + length
        if end > len(data):
            break
        if len(chunks) >= MOST_CHUNKS:
            raise BadImage("This PNG has more parts than any picture needs.", code="TOO_MANY_CHUNKS")
        kind, body = data[place + 4 : place + 8], data[place + 8 : end - 4]
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        chunks.append(Chunk(kind=kind, body=body, is_sound=checksum == zlib.crc32(kind + body)))
        if kind == b"IEND":
            return Png(chunks=tuple(chunks), is_whole=True)
        place = end
    return Png(chunks=tuple(chunks), is_whole=False)


def texts(png: Png) -> Iterator[Text]:
    """The text chunks in order: tEXt as it stands, zTXt and iTXt inflated; those that cannot be read are left out."""
    for chunk in png.chunks:
        if chunk.kind in _TEXTS:
            keyword, _, rest = chunk.body.partition(b"\0")
            value = _value(chunk.kind, rest)
            if value is not None:
                name = keyword.decode("latin-1")
                yield Text(keyword=name, value=value, kind=chunk.kind, is_sound=chunk.is_sound)


def _value(kind: bytes, rest: bytes) -> bytes | None:
    if kind == b"tEXt":
        return rest
    if kind == b"zTXt":
        return _inflated(rest[1:])
    compressed, rest = rest[:1] == b"\1", rest[2:]
    value = rest.split(b"\0", 2)[-1]
    return _inflated(value) if compressed else value


def _inflated(data: bytes) -> bytes | None:
    inflater = zlib.decompressobj()
    try:
        value = inflater.decompress(data, MOST_INFLATED)
    except zlib.error:
        return None
    return None if inflater.unconsumed_tail else value


def with_texts(data: bytes, added: Sequence[tuple[str, str]], *, without: Iterable[str]) -> bytes:
    """The same picture with `added` before its pixels, and without the keywords `without` (any case).

    A value becomes tEXt where Latin-1 can spell it, else iTXt; XMP always iTXt. Checksums are repaired; text chunks
    whose value holds a NUL, bytes behind IEND and a signature over the old bytes (caBX) are left out: one of them
    makes other programs refuse the file. Raises BadImage where the file is not whole.
    """
    png = read(data)
    if not png.is_whole:
        raise BadImage("This PNG ends in the middle. Save it again from its source.", code="IMAGE_CUT")
    dropped = {name.casefold() for name in without}
    kept = [chunk for chunk in png.chunks if not _is_dropped(chunk, dropped)]
    before = next(i for i, chunk in enumerate(kept) if chunk.kind in (b"IDAT", b"IEND"))
    fresh = [_text_chunk(name, value.replace("\0", "")) for name, value in added]
    return SIGNATURE + b"".join(map(_packed, [*kept[:before], *fresh, *kept[before:]]))


def _text_chunk(keyword: str, value: str) -> Chunk:
    name = keyword.encode("latin-1")
    if keyword != XMP and _is_latin(value):
        return Chunk(kind=b"tEXt", body=name + b"\0" + value.encode("latin-1"))
    return Chunk(kind=b"iTXt", body=name + b"\0\0\0\0\0" + value.encode(errors="replace"))


def _is_latin(value: str) -> bool:
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _is_dropped(chunk: Chunk, dropped: set[str]) -> bool:
    if chunk.kind == b"caBX":
        return True
    if chunk.kind not in _TEXTS:
        return False
    keyword, _, rest = chunk.body.partition(b"\0")
    has_nul = chunk.kind == b"tEXt" and b"\0" in rest
    return has_nul or keyword.decode("latin-1").casefold() in dropped


def _packed(chunk: Chunk) -> bytes:
    return (
        struct.pack(">I", len(chunk.body))
        + chunk.kind
        + chunk.body
        + struct.pack(">I", zlib.crc32(chunk.kind + chunk.body))
    )
