"""Portraits by the hundred: drawn once for each size, told apart by a comment, so no two files are alike."""

from __future__ import annotations

import io
import random
import struct
import zlib
from functools import cache

from PIL import Image, ImageDraw, ImageOps

VARIANTS = 12
MEDIA_TYPES = {"jpeg": "image/jpeg", "png": "image/png"}
_SKIES = ("#21405f", "#5b2a55", "#2f5d4a", "#6b4a1f", "#3a3a6a", "#5c2e2e")
_GLOWS = ("#f2c46d", "#8fd0e8", "#f4a38a", "#cde7a4")
_SKINS = ("#f0c8a8", "#c98f66", "#8a5a3c", "#e6b58e")
_HAIRS = ("#2b1d16", "#7a4a20", "#c9c3b8", "#a33a2a", "#e3c05a")


def portrait(name: str, width: int, height: int, fmt: str) -> bytes:
    """A picture of `width` x `height` in `fmt` (jpeg or png); the same `name` gives the same bytes."""
    variant = zlib.crc32(name.encode()) % VARIANTS
    return _stamp(_drawn(variant, width, height, fmt), name, fmt)


def black(name: str, width: int, height: int, fmt: str) -> bytes:
    """What a safety filter leaves behind: the right size, one colour."""
    return _stamp(_plain(width, height, fmt), name, fmt)


@cache
def _plain(width: int, height: int, fmt: str) -> bytes:
    return _encoded(Image.new("RGB", (width, height)), fmt)


@cache
def _drawn(variant: int, width: int, height: int, fmt: str) -> bytes:
    chance = random.Random(variant)
    glow = Image.radial_gradient("L").resize((width, height))
    image = ImageOps.colorize(glow, black=chance.choice(_GLOWS), white=chance.choice(_SKIES))
    _bust(ImageDraw.Draw(image), width, height, chance)
    # A little grain gives the file the weight of a real portrait; smooth colour alone would be 20 kB.
    grain = Image.effect_noise((width // 2, height // 2), 40).resize((width, height)).convert("RGB")
    return _encoded(Image.blend(image, grain, 0.12), fmt)


def _bust(draw: ImageDraw.ImageDraw, width: int, height: int, chance: random.Random) -> None:
    skin, hair, coat = chance.choice(_SKINS), chance.choice(_HAIRS), chance.choice(_SKIES)
    unit, centre, brow = (
        width / 100,
        width / 2 + chance.uniform(-0.06, 0.06) * width,
        height - 60 * width / 100,
    )

    def oval(x: float, y: float, rx: float, ry: float, colour: str) -> None:
        draw.ellipse((x - rx * unit, y - ry * unit, x + rx * unit, y + ry * unit), fill=colour)

    oval(centre, height, 38, 32, coat)
    oval(centre, brow - 4 * unit, 24, 28, hair)
    oval(centre, brow + 26 * unit, 8, 14, skin)
    oval(centre, brow + 4 * unit, 18, 24, skin)
    for side in (-7, 7):
        oval(centre + side * unit, brow, 2.2, 1.6, "#1c1c22")
    draw.arc(
        (centre - 7 * unit, brow + 8 * unit, centre + 7 * unit, brow + 17 * unit),
        20,
        160,
        "#7a2b2b",
        int(unit) + 1,
    )


def _encoded(image: Image.Image, fmt: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **({"quality": 88} if fmt == "jpeg" else {"compress_level": 1}))
    return buffer.getvalue()


def _stamp(data: bytes, name: str, fmt: str) -> bytes:
    note = name.encode()
    if fmt == "jpeg":
        return data[:2] + b"\xff\xfe" + struct.pack(">H", len(note) + 2) + note + data[2:]
    chunk = b"tEXt" + b"Comment\0" + note
    header = 8 + 25  # signature and IHDR
    framed = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return data[:header] + framed + data[header:]
