"""A picture's published form: one JPEG of a fixed size and a bounded weight (SPEC "Attribute images").

No files, no network. The original is kept beside it as it came (DESIGN decision 6).
"""

from __future__ import annotations

import io

from PIL import Image, ImageFilter, ImageOps

from core import images
from core.errors import BadImage
from core.values import Size

PUBLISHED = Size(width=512, height=768)
MOST_BYTES = 150_000
_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF")
_BEST, _LEAST, _STEP = 92, 35, 6  # JPEG quality, searched downwards
_FACE = (0.5, 0.3)  # what a crop keeps: heads are in the upper part
_SOFTENINGS = 4


def published(original: bytes) -> bytes:
    """`original` as a progressive JPEG of PUBLISHED pixels and at most MOST_BYTES.

    Upright, cropped to the aspect and never distorted, transparency on white, the best quality that fits; where
    none does (noise), the picture is softened step by step. Raises BadImage where it cannot be decoded.
    """
    picture = _cropped(original)
    for _ in range(_SOFTENINGS):
        for quality in range(_BEST, _LEAST - 1, -_STEP):
            data = _encoded(picture, quality)
            if len(data) <= MOST_BYTES:
                return data
        picture = picture.filter(ImageFilter.GaussianBlur(0.8))
    raise BadImage("This picture cannot be made small enough to be published. Make it again.")


def _cropped(original: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(original), formats=_FORMATS) as image:
            _refuse_giants(image)
            image.load()
            upright = ImageOps.exif_transpose(image)
        return ImageOps.fit(
            _on_white(upright), (PUBLISHED.width, PUBLISHED.height), Image.Resampling.LANCZOS, centering=_FACE
        )
    except BadImage:
        raise
    except Exception as exc:  # broken bytes make Pillow raise six kinds, TypeError among them
        raise BadImage(
            "The picture is damaged; it cannot be published. Make it again.", code="IMAGE_BROKEN"
        ) from exc


def _refuse_giants(image: Image.Image) -> None:
    if image.width * image.height > images.MAX_PIXELS or max(image.size) > images.MAX_SIDE:
        raise BadImage("The picture is larger than we take. Make it again.", code="IMAGE_TOO_LARGE")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        image = image.convert("I").point(_from_sixteen_bits).convert("L")
    if not image.has_transparency_data:
        return image.convert("RGB")
    seen = image.convert("RGBA")
    white = Image.new("RGBA", seen.size, "white")
    return Image.alpha_composite(white, seen).convert("RGB")


def _from_sixteen_bits(value: float) -> float:
    return value * (1 / 257)


def _encoded(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, progressive=True, optimize=True)
    return out.getvalue()
