"""Every arriving byte is a stranger's: what is kept, what is refused, and under which code."""

import hashlib
import io
import random
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from core import images
from core.errors import BadImage


def a_picture(size=(256, 320), mode="RGB", seed=1) -> Image.Image:
    """A colourful scene whose four corners differ, so that turning it shows."""
    dice = random.Random(seed)
    image = Image.linear_gradient("L").resize(size)
    scene = Image.merge(
        "RGB", (image, image.transpose(Image.Transpose.ROTATE_180), image.point(lambda v: v // 2))
    )
    draw = ImageDraw.Draw(scene)
    for _ in range(12):
        x, y, r = dice.randrange(size[0]), dice.randrange(size[1]), dice.randrange(8, 60)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(dice.randrange(256) for _ in range(3)))
    draw.rectangle((0, 0, size[0] // 3, size[1] // 3), fill=(250, 40, 40))
    return scene.filter(ImageFilter.GaussianBlur(1)).convert(mode)


def encoded(image: Image.Image, form="PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def animated(form: str) -> bytes:
    frames = [a_picture((32, 32), seed=n) for n in range(3)]
    return encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=80)


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_claiming(width: int, height: int) -> bytes:
    """A few bytes that say they are width x height pixels."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + body


def jpeg_of_a_thousand_scans() -> bytes:
    data = encoded(a_picture((64, 64)), "JPEG", progressive=True)
    at = data.rindex(b"\xff\xda")
    return data[:at] + data[at:-2] * 1000 + b"\xff\xd9"


PNG = encoded(a_picture())
JPEG = encoded(a_picture(), "JPEG", quality=90)
PROGRESSIVE = encoded(a_picture(), "JPEG", quality=90, progressive=True)
WEBP = encoded(a_picture(), "WEBP", quality=90)
AVIF = encoded(a_picture(), "AVIF", quality=80, speed=10)
WHOLE = {"png": PNG, "jpeg": JPEG, "progressive": PROGRESSIVE, "webp": WEBP, "avif": AVIF}

HOSTILE = {
    "nothing": (b"", "NOT_AN_IMAGE"),
    "one byte": (b"\x89", "NOT_AN_IMAGE"),
    "zeros": (bytes(5000), "NOT_AN_IMAGE"),
    "a web page": (b"<!doctype html><html><body>502 Bad Gateway</body></html>", "NOT_AN_IMAGE"),
    "a web page before a picture": (b"<html></html>" + PNG, "NOT_AN_IMAGE"),
    "JSON": (b'{"detail":"Not Found"}', "NOT_AN_IMAGE"),
    "SVG with a script": (b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "NOT_AN_IMAGE"),
    "GIF": (encoded(a_picture((32, 32)), "GIF"), "NOT_AN_IMAGE"),
    "animated GIF": (animated("GIF"), "NOT_AN_IMAGE"),
    "TIFF": (encoded(a_picture((32, 32)), "TIFF"), "NOT_AN_IMAGE"),
    "BMP": (encoded(a_picture((32, 32)), "BMP"), "NOT_AN_IMAGE"),
    "ICO": (encoded(a_picture((32, 32)), "ICO"), "NOT_AN_IMAGE"),
    "PDF": (encoded(a_picture((32, 32)), "PDF"), "NOT_AN_IMAGE"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "NOT_AN_IMAGE"),
    "HEIC head": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200), "NOT_AN_IMAGE"),
    "ZIP": (b"PK\x03\x04" + bytes(100), "NOT_AN_IMAGE"),
    "a sound in RIFF": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(40), "NOT_AN_IMAGE"),
    "only PNG's first line": (PNG[:8], "IMAGE_BROKEN"),
    "only JPEG's first line": (JPEG[:4], "IMAGE_BROKEN"),
    "only AVIF's first box": (AVIF[:40], "IMAGE_BROKEN"),
    "only WebP's first line": (WEBP[:12], "IMAGE_BROKEN"),
    "half a PNG": (PNG[: len(PNG) // 2], "IMAGE_BROKEN"),
    "half a JPEG": (JPEG[: len(JPEG) // 2], "IMAGE_BROKEN"),
    "PNG without its end": (PNG[:-12], "IMAGE_BROKEN"),
    "PNG head, JPEG body": (PNG[:8] + JPEG, "IMAGE_BROKEN"),
    "PNG with a damaged head": (PNG[:20] + b"\xff" + PNG[21:], "IMAGE_BROKEN"),
    "PNG of no size": (png_claiming(0, 0), "IMAGE_BROKEN"),
    "PNG without pixels": (PNG[:33] + png_chunk(b"IEND", b""), "IMAGE_BROKEN"),
    "PNG that claims a billion pixels": (png_claiming(32_000, 32_000), "IMAGE_TOO_LARGE"),
    "PNG that claims a hundred million": (png_claiming(10_000, 10_000), "IMAGE_TOO_LARGE"),
    "PNG just over our limit": (png_claiming(8_000, 5_001), "IMAGE_TOO_LARGE"),
    "PNG that is all length": (png_claiming(200_000, 1), "IMAGE_TOO_LARGE"),
    "PNG text that swells": (
        PNG[:33] + png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000), 9)) + PNG[33:],
        "IMAGE_BROKEN",
    ),
    "JPEG of a thousand scans": (jpeg_of_a_thousand_scans(), "IMAGE_BROKEN"),
    "more bytes than we take": (PNG + bytes(images.MAX_BYTES), "IMAGE_TOO_LARGE"),
    "animated PNG": (animated("PNG"), "IMAGE_ANIMATED"),
    "animated WebP": (animated("WEBP"), "IMAGE_ANIMATED"),
    "animated AVIF": (animated("AVIF"), "IMAGE_ANIMATED"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_bytes_that_are_no_whole_still_picture_are_refused_with_their_code(kind):
    data, code = HOSTILE[kind]

    with pytest.raises(BadImage) as refused:
        images.read_picture(data)

    assert refused.value.reason == code


@pytest.mark.parametrize("kind", WHOLE)
def test_a_picture_cut_anywhere_is_refused(kind):
    data = WHOLE[kind]
    # An AVIF and a JPEG may lose a byte or two of padding after their last pixel; nothing more.
    cuts = {random.Random(4).randrange(len(data) - 40) for _ in range(40)} | {len(data) - 40, len(data) // 2}

    for cut in sorted(cuts):
        with pytest.raises(BadImage):
            images.read_picture(data[:cut])


@pytest.mark.parametrize(
    ("kind", "media_type", "extension"),
    [
        ("png", "image/png", "png"),
        ("jpeg", "image/jpeg", "jpg"),
        ("progressive", "image/jpeg", "jpg"),
        ("webp", "image/webp", "webp"),
        ("avif", "image/avif", "avif"),
    ],
)
def test_a_whole_picture_keeps_its_bytes_and_gets_its_true_type(kind, media_type, extension):
    picture = images.read_picture(WHOLE[kind])

    assert picture.data == WHOLE[kind]
    assert (picture.media_type, picture.extension) == (media_type, extension)
    assert (picture.width, picture.height) == (256, 320)
    assert picture.sha256 == hashlib.sha256(WHOLE[kind]).hexdigest()
    assert not picture.blank


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_png_mode_is_taken(mode):
    image = (
        a_picture(mode="L").convert("I").point(lambda v: v * 257).convert("I;16") if mode == "I;16" else None
    )

    picture = images.read_picture(encoded(image or a_picture().convert(mode)))

    assert not picture.blank
    assert Image.open(io.BytesIO(picture.thumbnail)).size == (256, 320)


def test_sixteen_bit_grey_keeps_its_tones():
    grey = a_picture(mode="L")
    deep = grey.convert("I").point(lambda v: v * 257).convert("I;16")

    shallow, kept = images.read_picture(encoded(grey)), images.read_picture(encoded(deep))

    assert images.hash_distance(shallow.phash, kept.phash) <= 2


def test_a_cmyk_jpeg_shows_the_colours_it_was_made_from():
    picture = images.read_picture(encoded(a_picture(mode="CMYK"), "JPEG", quality=95))

    thumbnail = Image.open(io.BytesIO(picture.thumbnail)).convert("RGB")
    red, green, blue = thumbnail.getpixel((30, 40))
    assert red > 200
    assert green < 90
    assert blue < 90


def test_a_palette_with_see_through_parts_stays_see_through_in_the_thumbnail():
    image = a_picture(mode="P")
    data = encoded(image, transparency=image.getpixel((250, 310)))

    picture = images.read_picture(data)

    assert Image.open(io.BytesIO(picture.thumbnail)).mode == "RGBA"


HOW_A_CAMERA_STORES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_the_exif_turn_decides_size_and_thumbnail(turn, form):
    exif = Image.Exif()
    exif[0x0112] = turn
    upright = a_picture()
    stored = upright if turn == 1 else upright.transpose(HOW_A_CAMERA_STORES[turn])

    picture = images.read_picture(encoded(stored, form, exif=exif, quality=95))

    assert (picture.width, picture.height) == (256, 320)
    thumbnail = Image.open(io.BytesIO(picture.thumbnail)).convert("RGB")
    assert thumbnail.size == (256, 320)
    assert thumbnail.getpixel((30, 40))[0] > 200  # the red corner is top left again
    assert images.hash_distance(picture.phash, images.read_picture(PNG).phash) <= 6


@pytest.mark.filterwarnings(
    "ignore:Corrupt EXIF:UserWarning"
)  # Pillow's own; a notice on stderr in production
def test_damaged_exif_is_as_good_as_none():
    data = encoded(a_picture(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff\xff\xff")

    picture = images.read_picture(data)

    assert (picture.width, picture.height) == (256, 320)


def test_a_phone_jpeg_of_two_frames_is_one_picture():
    out = io.BytesIO()
    a_picture().save(out, "MPO", save_all=True, append_images=[a_picture(seed=2)])

    picture = images.read_picture(out.getvalue())

    assert picture.media_type == "image/jpeg"


def test_a_picture_with_a_program_behind_it_is_still_only_the_picture():
    data = JPEG + b"<script>alert(1)</script>PK\x03\x04"

    picture = images.read_picture(data)

    assert picture.media_type == "image/jpeg"
    assert b"script" not in picture.thumbnail


@pytest.mark.parametrize(
    ("size", "expected"), [((1024, 1024), (384, 384)), ((512, 768), (256, 384)), ((90, 60), (90, 60))]
)
def test_thumbnails_are_small_webp_and_never_enlarged(size, expected):
    picture = images.read_picture(encoded(a_picture(size)))

    thumbnail = Image.open(io.BytesIO(picture.thumbnail))
    assert thumbnail.format == "WEBP"
    assert thumbnail.size == expected


def test_thumbnails_carry_no_notes_of_the_original():
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    data = encoded(a_picture(), "JPEG", exif=exif, comment=b"a secret word")

    picture = images.read_picture(data)

    assert b"secret" in picture.data
    assert b"secret" not in picture.thumbnail
    assert b"EXIF" not in picture.thumbnail


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (17, 90, 200)])
@pytest.mark.parametrize(
    ("form", "options"), [("PNG", {}), ("JPEG", {"quality": 40}), ("WEBP", {"quality": 30})]
)
def test_one_colour_is_blank_in_every_format(colour, form, options):
    picture = images.read_picture(encoded(Image.new("RGB", (512, 512), colour), form, **options))

    assert picture.blank
    with pytest.raises(BadImage) as refused:
        images.refuse_blank(picture)
    assert refused.value.reason == "IMAGE_BLANK"


def test_a_black_picture_with_encoder_noise_is_blank():
    noisy = Image.effect_noise((512, 512), 6).point(lambda v: max(0, v - 122))
    picture = images.read_picture(encoded(Image.merge("RGB", (noisy, noisy, noisy)), "JPEG", quality=75))

    assert picture.blank


def test_fully_see_through_is_blank_whatever_hides_under_it():
    image = a_picture(mode="RGBA")
    image.putalpha(0)

    assert images.read_picture(encoded(image)).blank


def dark_with_one_light() -> Image.Image:
    image = Image.new("RGB", (1024, 1024), (3, 3, 8))
    ImageDraw.Draw(image).ellipse((500, 500, 560, 560), fill=(250, 240, 180))
    return image


def white_drawing_on_nothing() -> Image.Image:
    image = Image.new("RGBA", (512, 512), (255, 255, 255, 0))
    ImageDraw.Draw(image).ellipse((100, 100, 300, 300), fill=(255, 255, 255, 255))
    return image


def chess_board() -> Image.Image:
    return Image.frombytes(
        "L", (512, 512), bytes(255 * ((x + y) % 2) for y in range(512) for x in range(512))
    )


@pytest.mark.parametrize("build", [dark_with_one_light, white_drawing_on_nothing, chess_board, a_picture])
def test_a_picture_with_something_on_it_is_not_blank(build):
    picture = images.read_picture(encoded(build()))

    assert not picture.blank
    images.refuse_blank(picture)


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_perceptual_hash_survives_encoding_again_and_scaling(seed):
    original = a_picture((512, 640), seed=seed)
    versions = [
        encoded(original, "JPEG", quality=50),
        encoded(original, "WEBP", quality=40),
        encoded(original.resize((300, 375)), "AVIF", quality=60, speed=10),
        encoded(original.point(lambda v: min(255, int(v * 1.05)))),
    ]

    first = images.read_picture(encoded(original)).phash

    assert len(first) == 16
    assert max(images.hash_distance(first, images.read_picture(data).phash) for data in versions) <= 8


def test_the_perceptual_hash_tells_different_pictures_apart():
    hashes = [images.read_picture(encoded(a_picture(seed=seed))).phash for seed in range(8)]

    distances = [images.hash_distance(a, b) for n, a in enumerate(hashes) for b in hashes[n + 1 :]]
    assert min(distances) > 10


SMALL = [
    encoded(a_picture((40, 48))),
    encoded(a_picture((40, 48)), "JPEG", quality=80),
    encoded(a_picture((40, 48)), "JPEG", progressive=True),
    encoded(a_picture((40, 48)), "WEBP"),
    encoded(a_picture((40, 48)), "AVIF", speed=10),
]
CODES = {"NOT_AN_IMAGE", "IMAGE_BROKEN", "IMAGE_TOO_LARGE", "IMAGE_ANIMATED"}


@settings(max_examples=400, deadline=None)
@given(
    data=st.sampled_from(SMALL),
    edits=st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=6)), min_size=1, max_size=6),
    cut=st.floats(0.05, 1),
)
def test_mutated_files_give_a_picture_or_bad_image_and_nothing_else(data, edits, cut):
    spoiled = bytearray(data)
    for place, junk in edits:
        at = int(place * len(spoiled))
        spoiled[at : at + len(junk)] = junk

    try:
        picture = images.read_picture(bytes(spoiled[: int(cut * len(spoiled))]))
    except BadImage as refused:
        assert refused.reason in CODES  # noqa: PT017 -- a mutation may also leave a whole picture
    else:
        assert picture.width >= 1
        assert picture.thumbnail[:4] == b"RIFF"
