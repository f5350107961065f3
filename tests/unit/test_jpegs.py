"""The published form of an attribute image: 512×768, progressive, at most 150 kB, cropped and never distorted."""

import io
import os
import random

import pytest
from PIL import Image, ImageDraw

from core import jpegs
from core.errors import BadImage


def encoded(image: Image.Image, form="PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def a_scene(size) -> Image.Image:
    dice = random.Random(3)
    scene = Image.linear_gradient("L").resize(size).convert("RGB")
    draw = ImageDraw.Draw(scene)
    for _ in range(60):
        x, y, r = dice.randrange(size[0]), dice.randrange(size[1]), dice.randrange(8, 90)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(dice.randrange(256) for _ in range(3)))
    return scene


def noise(size) -> Image.Image:
    return Image.frombytes("RGB", size, os.urandom(size[0] * size[1] * 3))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("size", [(816, 1224), (1024, 1024), (1536, 640), (300, 900), (64, 64)])
def test_every_shape_becomes_a_progressive_jpeg_of_one_size(form, size):
    original = encoded(a_scene(size), form)

    image = opened(jpegs.published(original))

    assert (image.format, image.size, image.mode) == ("JPEG", (512, 768), "RGB")
    assert image.info["progressive"] == 1


@pytest.mark.parametrize("size", [(512, 768), (816, 1224), (1024, 1536)])
def test_noise_fits_into_150_kb_too(size):
    published = jpegs.published(encoded(noise(size)))

    assert 50_000 < len(published) <= 150_000
    assert opened(published).size == (512, 768)


def test_an_ordinary_picture_keeps_the_best_quality():
    scene = a_scene((512, 768))

    published = opened(jpegs.published(encoded(scene)))

    differences = [
        abs(one - other) for one, other in zip(published.tobytes()[::97], scene.tobytes()[::97], strict=True)
    ]
    assert sum(differences) / len(differences) < 4


def test_a_circle_stays_a_circle_and_the_head_stays_in_the_picture():
    wide = Image.new("RGB", (1200, 800), "white")
    ImageDraw.Draw(wide).ellipse((500, 100, 700, 300), fill="black")

    published = (
        opened(jpegs.published(encoded(wide))).convert("L").point(lambda level: 255 if level < 128 else 0)
    )

    left, top, right, bottom = published.getbbox()
    assert abs((right - left) - (bottom - top)) <= 2
    assert top > 0


def test_a_sideways_photograph_is_published_upright():
    upright = Image.new("RGB", (512, 768), "navy")
    ImageDraw.Draw(upright).rectangle((0, 0, 512, 200), fill="white")
    note = Image.Exif()
    note[0x0112] = 6

    lying = encoded(upright.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=note, quality=95)
    published = opened(jpegs.published(lying))

    assert published.getpixel((256, 50))[0] > 200
    assert published.getpixel((256, 700))[0] < 60


def test_what_can_be_seen_through_is_shown_on_white():
    glass = Image.new("RGBA", (512, 768), (0, 0, 0, 0))

    published = opened(jpegs.published(encoded(glass)))

    assert min(published.getpixel((256, 300))) > 250


def test_sixteen_bit_grey_does_not_turn_white():
    grey = Image.new("I;16", (512, 768), 128 * 257)

    published = opened(jpegs.published(encoded(grey)))

    assert abs(published.getpixel((256, 300))[0] - 128) <= 2


def test_the_same_original_gives_the_same_bytes():
    original = encoded(noise((300, 400)))

    assert jpegs.published(original) == jpegs.published(original)


@pytest.mark.parametrize(
    "data", [b"", b"<html>", encoded(a_scene((400, 600)))[:5000], b"\xff\xd8\xff\xe0" + b"\0" * 99]
)
def test_what_is_no_picture_is_refused_in_words(data):
    with pytest.raises(BadImage, match="Make it again"):
        jpegs.published(data)
