"""Bytes to a Picture: decoded whole, measured, hashed, with a thumbnail. No files, no network.

Every arriving byte is a stranger's. The type is read from the bytes (never from a name or a header), one
decoder is opened for it, giants are refused before a pixel is decoded, and whatever a decoder throws leaves
here as BadImage. The bytes themselves are never changed (DESIGN decision 6).
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import cast

from PIL import Image, ImageCms
from pillow_heif import HeifImageFile

from core.errors import BadImage
from core.values import Picture, ReferencePicture

THUMBNAIL_SIDE = 384  # pixels, longest side (SPEC "Take in")
MAX_BYTES = 40 * 1024 * 1024
MAX_SIDE = 12_000  # pixels
MAX_PIXELS = 40_000_000  # 160 MB decoded with alpha; eight file threads may do this at once
# A progressive JPEG may repeat its scans thousands of times: a few kilobytes that decode for minutes.
# Encoders write about ten.
MAX_JPEG_SCANS = 100
# Levels of 0 to 255. JPEG noise on one colour stays far below both; the darkest night scene exceeds one.
BLANK_SPREAD = 48  # between single pixels
BLANK_DRIFT = 6  # between averages over the picture

UPLOAD_BYTES = 20 * 1024 * 1024  # SPEC "Upload"
UPLOAD_LONGEST = 2048  # pixels: more than any model looks at, and a tenth of a phone's bytes
UPLOAD_SHORTEST = 128  # pixels: below it there is no face to keep alike
UPLOAD_PNG_BYTES = 4 * 1024 * 1024  # a larger one is a photograph, and travels as JPEG
UPLOAD_QUALITY = 92  # of a JPEG; its colours are not thinned out

ORIENTATION_TAG = 0x0112
SIDEWAYS = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """One kind of picture we keep: Pillow's name of its decoder, and what we call it."""

    decoder: str
    media_type: str
    extension: str


_PNG = _Kind(decoder="PNG", media_type="image/png", extension="png")
_JPEG = _Kind(decoder="JPEG", media_type="image/jpeg", extension="jpg")
_WEBP = _Kind(decoder="WEBP", media_type="image/webp", extension="webp")
_AVIF = _Kind(decoder="AVIF", media_type="image/avif", extension="avif")
_HEIC = _Kind(decoder="HEIF", media_type="image/heic", extension="heic")
_HEIC_STILLS = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1"})
_HEIC_SEQUENCES = frozenset({b"hevc", b"hevx", b"hevm", b"hevs", b"msf1"})
_ENDINGS: Mapping[str, frozenset[str]] = {  # what files of a kind are called
    "PNG": frozenset({"png"}),
    "JPEG": frozenset({"jpg", "jpeg", "jpe", "jfif", "mpo"}),
    "WEBP": frozenset({"webp"}),
    "AVIF": frozenset({"avif", "heif"}),
    "HEIF": frozenset({"heic", "heif", "hif"}),
}


def read_picture(data: bytes) -> Picture:
    """Decode `data` whole and return it with its measures, both hashes and a thumbnail.

    `width` and `height` are pixels as people see them (EXIF orientation applied), `sha256` is that of `data`,
    `phash` that of `perceptual_hash`. A picture of one colour is marked `blank`, not refused.

    Raises BadImage: NOT_AN_IMAGE (no PNG, JPEG, WebP or AVIF), IMAGE_BROKEN (one, but damaged or cut short),
    IMAGE_TOO_LARGE (over MAX_BYTES, MAX_SIDE or MAX_PIXELS), IMAGE_ANIMATED.
    """
    if len(data) > MAX_BYTES:
        raise _too_large()
    kind = _kind_of(data)
    _refuse_cut_short(data, kind)
    try:
        return _read(data, kind)
    except BadImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        raise _too_large() from exc
    except Exception as exc:  # broken bytes make Pillow raise six kinds, TypeError among them
        raise _broken() from exc


@dataclass(frozen=True, kw_only=True)
class Note:
    """What was changed about an upload, as a code for programs and a sentence for the person."""

    code: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A person's picture as it is kept: upright, sRGB, 8 bits, PNG or JPEG, and nothing but pixels.

    At most UPLOAD_LONGEST pixels on its longest side; `sha256` is that of `data`.
    """

    data: bytes = field(repr=False)
    media_type: str
    extension: str
    width: int
    height: int
    sha256: str
    notes: tuple[Note, ...] = ()


def read_upload(data: bytes, *, file_name: str = "") -> Upload:
    """Decode a person's PNG, JPEG, WebP, HEIC, HEIF or AVIF whole, and write its pixels anew (SPEC "Upload").

    The orientation is applied; EXIF, XMP, GPS and whatever else the file carried stay behind, because not one of
    its bytes is kept. A colour profile becomes sRGB, 16 bits become 8, what is see-through becomes white. The same
    bytes give the same upload. `file_name` is only compared with the true type.

    Raises BadImage: NOT_AN_IMAGE, IMAGE_BROKEN, IMAGE_TOO_LARGE (over UPLOAD_BYTES, MAX_SIDE or MAX_PIXELS),
    IMAGE_TOO_SMALL (under UPLOAD_SHORTEST), IMAGE_ANIMATED, IMAGE_BLANK (one colour).
    """
    try:
        return _read_upload(data, file_name)
    except BadImage as refusal:
        raise BadImage(_TO_THE_UPLOADER[refusal.reason], code=refusal.reason) from refusal
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        raise BadImage(_TO_THE_UPLOADER["IMAGE_TOO_LARGE"], code="IMAGE_TOO_LARGE") from exc
    except Exception as exc:  # broken bytes make Pillow and libheif raise as many kinds as there are damages
        raise BadImage(_TO_THE_UPLOADER["IMAGE_BROKEN"], code="IMAGE_BROKEN") from exc


def smaller_copy(
    picture: ReferencePicture, *, most_bytes: int, most_pixels: int = MAX_PIXELS
) -> ReferencePicture:
    """A JPEG of `picture` with at most that many bytes and pixels: as large as fits, upright, without a link.

    Raises BadImage: as `read_picture`, and IMAGE_TOO_LARGE where not even a small copy fits.
    """
    read_picture(picture.data)
    with _opened(picture.data, _kind_of(picture.data)) as image:
        upright = _upright(_on_white(_plain(image)), _orientation(image))
    largest = min(1.0, math.sqrt(most_pixels / (upright.width * upright.height)))
    for shrink, quality in _COPIES:
        copy = _scaled(upright, min(largest, shrink * UPLOAD_LONGEST / max(upright.size)))
        data = _jpeg(copy, quality)
        if len(data) <= most_bytes:
            return ReferencePicture(
                data=data, media_type=_JPEG.media_type, width=copy.width, height=copy.height
            )
    raise BadImage("No copy of this picture is small enough to be sent.", code="IMAGE_TOO_LARGE")


def refuse_blank(picture: Picture) -> None:
    """Raise BadImage IMAGE_BLANK where `picture` is one colour: what a provider's safety filter returns."""
    if picture.blank:
        raise BadImage(
            "The picture that came back is a single colour: a provider's safety filter returns such. "
            "Change the words and try again.",
            code="IMAGE_BLANK",
        )


def perceptual_hash(image: Image.Image) -> str:
    """64 bits as 16 hex digits: the signs of the 8 x 8 lowest frequencies of the grey 32 x 32 picture.

    A two-dimensional cosine transform; a bit is set where a frequency lies above the median of all but the
    first (which only tells the brightness). Re-encoding, scaling and small brightness changes move few bits;
    compare with `hash_distance`.
    """
    grey = image.convert("L").resize((32, 32), Image.Resampling.BOX).tobytes()
    rows = [
        [math.fsum(map(_times, wave, grey[at : at + 32])) for wave in _WAVES] for at in range(0, 1024, 32)
    ]
    tones = [math.fsum(map(_times, wave, column)) for wave in _WAVES for column in zip(*rows, strict=True)]
    middle = median(tones[1:])
    return f"{sum((tone > middle) << place for place, tone in enumerate(tones)):016x}"


def hash_distance(one: str, other: str) -> int:
    """How many of the 64 bits of two perceptual hashes differ; 10 or fewer: very likely the same picture."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


_WAVES = tuple(tuple(math.cos(math.pi * tone * (2 * x + 1) / 64) for x in range(32)) for tone in range(8))


def _times(one: float, other: float) -> float:
    return one * other


def _kind_of(data: bytes) -> _Kind:
    """The kind that `data` itself says it is, from its first bytes only: polyglots have one first line."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _PNG
    if data.startswith(b"\xff\xd8\xff"):
        return _JPEG
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _WEBP
    if data[4:8] == b"ftyp" and _names_avif(data):
        return _AVIF
    raise BadImage("What came back is not a PNG, JPEG, WebP or AVIF picture.", code="NOT_AN_IMAGE")


def _names_avif(data: bytes) -> bool:
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 128)]
    return any(brands[at : at + 4] in {b"avif", b"avis"} for at in range(0, len(brands), 4))


def _refuse_cut_short(data: bytes, kind: _Kind) -> None:
    """Refuse what its decoder would take although the end is missing, or what only costs time to decode."""
    if kind is _PNG and b"IEND\xaeB`\x82" not in data:
        raise _broken()
    if kind is _JPEG and (b"\xff\xd9" not in data or data.count(b"\xff\xda") > MAX_JPEG_SCANS):
        raise _broken()


def _read(data: bytes, kind: _Kind) -> Picture:
    with Image.open(io.BytesIO(data), formats=(kind.decoder,)) as image:
        _refuse_giants(image)
        _refuse_animated(image)
        width, height = image.size
        # A JPEG decoder can halve while it reads: every byte is still read, a cut is still found.
        image.draft(None, (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        image.load()
        turn = _orientation(image)
        plain = _plain(image)
    small = _upright_thumbnail(plain, turn)
    return Picture(
        data=data,
        media_type=kind.media_type,
        extension=kind.extension,
        width=height if turn in SIDEWAYS else width,
        height=width if turn in SIDEWAYS else height,
        sha256=hashlib.sha256(data).hexdigest(),
        phash=perceptual_hash(_on_grey(small)),
        blank=_is_blank(plain, small),
        thumbnail=_webp(small),
    )


def _refuse_giants(image: Image.Image) -> None:
    if max(image.size) > MAX_SIDE or image.width * image.height > MAX_PIXELS:
        raise _too_large()


def _refuse_animated(image: Image.Image) -> None:
    # A JPEG of several frames (a phone's depth or gain map) is one picture with extras, not an animation.
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise BadImage("The picture is animated; a portrait is a single image.", code="IMAGE_ANIMATED")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; a note that cannot be read counts as upright, as in a browser."""
    try:
        turn = cast("object", image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001 -- a decoder of foreign bytes; the pixels are fine without the note
        return 1
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1  # noqa: PLR2004 -- the tag's own range


def _plain(image: Image.Image) -> Image.Image:
    """The picture as 8-bit RGB, or RGBA where any of it can be seen through."""
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image).convert("RGB")
    wanted = "RGBA" if image.has_transparency_data else "RGB"
    return image.copy() if image.mode == wanted else image.convert(wanted)


def _eight_bits(image: Image.Image) -> Image.Image:
    # Pillow clips 16-bit grey at 255 when it converts: nearly everything would turn white.
    return image.convert("I").point(_from_sixteen_bits).convert("L")


def _from_sixteen_bits(value: float) -> float:
    return value * (1 / 257)


def _upright_thumbnail(plain: Image.Image, turn: int) -> Image.Image:
    """At most THUMBNAIL_SIDE on its longest side, never enlarged, turned as its orientation asks."""
    scale = min(1.0, THUMBNAIL_SIDE / max(plain.size))
    size = (max(1, round(plain.width * scale)), max(1, round(plain.height * scale)))
    small = plain.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return small.transpose(TURNS[turn]) if turn in TURNS else small


def _on_grey(small: Image.Image) -> Image.Image:
    if small.mode == "RGB":
        return small
    return Image.alpha_composite(Image.new("RGBA", small.size, (128, 128, 128, 255)), small)


def _is_blank(plain: Image.Image, small: Image.Image) -> bool:
    """Whether all of it is (nearly) one colour; what is fully see-through counts as one colour."""
    coarse = small.resize((24, 24), Image.Resampling.BOX)
    return _spread(coarse) <= BLANK_DRIFT and _spread(plain) <= BLANK_SPREAD


def _spread(image: Image.Image) -> int:
    """The widest band's distance between its lowest and highest level; colour counts by its alpha."""
    seen = image.convert("RGBa") if image.mode == "RGBA" else image
    bands = cast("tuple[tuple[int, int], ...]", seen.getextrema())
    return max(high - low for low, high in bands)


def _webp(small: Image.Image) -> bytes:
    out = io.BytesIO()
    small.save(out, "WEBP", quality=80, method=2)
    return out.getvalue()


def _too_large() -> BadImage:
    return BadImage(
        f"The picture is larger than we take ({MAX_PIXELS // 1_000_000} megapixels, {MAX_SIDE} pixels a "
        f"side, {MAX_BYTES // 1024 // 1024} MB). Ask for a smaller size.",
        code="IMAGE_TOO_LARGE",
    )


def _broken() -> BadImage:
    return BadImage(
        "The picture is damaged or was cut short on its way; it can't be shown.", code="IMAGE_BROKEN"
    )


# ---- what people upload


_TO_THE_UPLOADER: Mapping[str, str] = {
    "NOT_AN_IMAGE": "This file is not a picture of a kind we take. Upload a PNG, JPEG, WebP, HEIC or AVIF file.",
    "IMAGE_BROKEN": "This picture is damaged or was cut short on its way. Save it anew on your device, and upload "
    "that copy.",
    "IMAGE_TOO_LARGE": f"This picture is larger than we take: {UPLOAD_BYTES // 1024 // 1024} MB, "
    f"{MAX_PIXELS // 1_000_000} megapixels, {MAX_SIDE} pixels a side. Make it smaller, and upload that copy.",
    "IMAGE_TOO_SMALL": f"This picture is too small to be matched: its shorter side needs {UPLOAD_SHORTEST} pixels. "
    "Upload a larger one.",
    "IMAGE_ANIMATED": "This picture is animated, and a reference is a single image. Upload one frame of it.",
    "IMAGE_BLANK": "This picture is a single colour, so there is nothing to match. Upload another one.",
}
_NOTES: Mapping[str, str] = {
    "EXTENSION_DIFFERS": "The file's name says another type than its content; the content counts.",
    "COLOURS_CONVERTED": "The picture was made for print (CMYK); its colours were converted for the screen.",
    "DEPTH_REDUCED": "The picture had more than 8 bits a colour and was reduced to 8.",
    "ALPHA_FILLED": "What was see-through in the picture is white now.",
    "SHRUNK": f"The picture was scaled to {UPLOAD_LONGEST} pixels on its longest side.",
}
# Shares of UPLOAD_LONGEST and JPEG qualities, the best first.
_COPIES = ((1.0, 90), (1.0, 80), (0.75, 85), (0.5, 85), (0.375, 80), (0.25, 75), (0.125, 70))
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
_PNG_DEPTH = 24  # where a PNG says its bits a colour
_BITS = 8


def _read_upload(data: bytes, file_name: str) -> Upload:
    if len(data) > UPLOAD_BYTES:
        raise _too_large()
    kind = _upload_kind(data)
    _refuse_cut_short(data, kind)
    with _opened(data, kind) as image:
        _refuse_giants(image)
        _refuse_sequence(data, image)
        if min(image.size) < UPLOAD_SHORTEST:
            raise _too_small()
        image.load()
        _refuse_giants(image)  # libheif knows the true size only now
        codes = [_named_otherwise(file_name, kind), *_changed_by_reading(data, kind, image)]
        # A HEIC is turned by libheif as its own boxes say, and its EXIF says 1 from then on (ISO 23008-12).
        final = _upright(_screen_colours(image), _orientation(image))
    if _is_blank(final, final):
        raise BadImage("It is a single colour.", code="IMAGE_BLANK")
    kept, body = _encoded(final, lossless=kind is _PNG)
    return Upload(
        data=body,
        media_type=kept.media_type,
        extension=kept.extension,
        width=final.width,
        height=final.height,
        sha256=hashlib.sha256(body).hexdigest(),
        notes=tuple(Note(code=code, sentence=_NOTES[code]) for code in codes if code),
    )


def _upload_kind(data: bytes) -> _Kind:
    try:
        return _kind_of(data)
    except BadImage:
        if data[4:8] == b"ftyp" and data[8:12] in _HEIC_STILLS | _HEIC_SEQUENCES:
            return _HEIC
        raise


def _opened(data: bytes, kind: _Kind) -> Image.Image:
    """The picture, not decoded yet; HEIC by its class, so that nobody else's `Image.open` learns of it."""
    if kind is _HEIC:
        return HeifImageFile(io.BytesIO(data))
    return Image.open(io.BytesIO(data), formats=(kind.decoder,))


def _refuse_sequence(data: bytes, image: Image.Image) -> None:
    # A HEIC of several stills (a burst) has one that is shown; a sequence says so in its first box.
    if isinstance(image, HeifImageFile):
        if data[8:12] in _HEIC_SEQUENCES:
            raise BadImage("It is a sequence.", code="IMAGE_ANIMATED")
        return
    _refuse_animated(image)


def _named_otherwise(file_name: str, kind: _Kind) -> str:
    _, dot, ending = file_name.rpartition(".")
    return "EXTENSION_DIFFERS" if dot and ending.lower() not in _ENDINGS[kind.decoder] else ""


def _changed_by_reading(data: bytes, kind: _Kind, image: Image.Image) -> list[str]:
    deep = kind is _PNG and data[_PNG_DEPTH] > _BITS
    deep = deep or int(cast("int", image.info.get("bit_depth") or _BITS)) > _BITS
    see_through = image.has_transparency_data and _least_alpha(image) < 255  # noqa: PLR2004 -- opaque
    return [
        "COLOURS_CONVERTED" if image.mode == "CMYK" else "",
        "DEPTH_REDUCED" if deep else "",
        "ALPHA_FILLED" if see_through else "",
        "SHRUNK" if max(image.size) > UPLOAD_LONGEST else "",
    ]


def _least_alpha(image: Image.Image) -> int:
    lowest, _ = cast("tuple[int, int]", image.convert("RGBA").getchannel("A").getextrema())
    return lowest


def _screen_colours(image: Image.Image) -> Image.Image:
    """The picture as small as it is kept, opaque, in sRGB."""
    fits_profile = image.mode in {"RGB", "L", "CMYK"} and not image.has_transparency_data
    plain = image if fits_profile else _plain(image)
    small = _on_white(_scaled(plain, UPLOAD_LONGEST / max(plain.size)))
    return _in_srgb(small, image.info.get("icc_profile"))


def _scaled(image: Image.Image, scale: float) -> Image.Image:
    """Shrunk by `scale`, never enlarged."""
    if scale >= 1.0:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image).convert("RGB")


def _in_srgb(image: Image.Image, profile: object) -> Image.Image:
    """By its colour profile where that can be read; else as if it were sRGB, which most are."""
    if isinstance(profile, bytes):
        try:
            found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, found, _SRGB, outputMode="RGB")
        except Exception:  # noqa: BLE001 -- a decoder of foreign bytes; the pixels are fine without the profile
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")


def _upright(image: Image.Image, turn: int) -> Image.Image:
    return image.transpose(TURNS[turn]) if turn in TURNS else image


def _encoded(image: Image.Image, *, lossless: bool) -> tuple[_Kind, bytes]:
    """The pixels as PNG where they came so and it stays small, else as JPEG."""
    if lossless:
        body = _png(image)
        if len(body) <= UPLOAD_PNG_BYTES:
            return _PNG, body
    return _JPEG, _jpeg(image, UPLOAD_QUALITY)


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    _bare(image).save(out, "PNG")
    return out.getvalue()


def _jpeg(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    _bare(image).save(out, "JPEG", quality=quality, subsampling=0)
    return out.getvalue()


def _bare(image: Image.Image) -> Image.Image:
    # Pillow writes a comment or a profile that it finds in `info`, asked or not.
    plain = image.copy()
    plain.info.clear()
    return plain


def _too_small() -> BadImage:
    return BadImage("It is too small.", code="IMAGE_TOO_SMALL")
