"""Settings inside pictures: what downloads carry, and what pictures of other programs tell."""

import io
import json
import random
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from core import metadata, png
from core.errors import BadImage
from core.metadata import Origin, Profile, Recipe, infotext

TYPES = ("image/png", "image/jpeg", "image/webp")
FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
RECIPE = Recipe(
    prompt="A lighthouse keeper, smiling, brass buttons: polished",
    negative="rain, fog",
    seed=2**60 + 1,
    width=640,
    height=960,
    provider="fal",
    model="FLUX dev",
    model_key="fal-ai/flux/dev",
    portrait_id="6f2a",
    job_id="77b0",
    presets=(("pose", "standing"),),
)


def picture(media_type, mode="RGB", **options):
    buffer = io.BytesIO()
    noise = Image.effect_noise((24, 36), 80).convert(mode)
    noise.save(buffer, FORMATS[media_type], **options)
    return buffer.getvalue()


def pixels(data):
    with Image.open(io.BytesIO(data)) as opened:
        return opened.convert("RGBA").tobytes(), opened.size


@pytest.mark.parametrize("media_type", TYPES)
def test_a_download_tells_how_it_was_made_and_shows_the_same_pixels(media_type):
    original = picture(media_type)

    written = metadata.write(original, media_type, RECIPE)

    found = metadata.read(written)
    assert pixels(written) == pixels(original)
    assert found.program == "Portrait Studio"
    told = found.recipe
    assert (told.prompt, told.negative, told.seed, told.width, told.height) == (
        RECIPE.prompt, RECIPE.negative, RECIPE.seed, 640, 960,
    )  # fmt: skip
    assert (told.provider, told.model, told.model_key, told.portrait_id) == (
        "fal",
        "FLUX dev",
        "fal-ai/flux/dev",
        "6f2a",
    )


@pytest.mark.parametrize("origin", Origin)
@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("media_type", TYPES)
def test_every_download_says_that_a_model_made_it(media_type, profile, origin):
    recipe = Recipe(**{**vars(RECIPE), "origin": origin})

    written = metadata.write(picture(media_type), media_type, recipe, profile)

    with Image.open(io.BytesIO(written)) as opened:
        packet = opened.info["xmp"]
    packet = packet.decode() if isinstance(packet, bytes) else packet
    assert f"http://cv.iptc.org/newscodes/digitalsourcetype/{origin.value}<" in packet
    assert "FLUX dev fal" in packet


@pytest.mark.parametrize("media_type", TYPES)
def test_a_shared_copy_keeps_prompt_seed_and_ids_to_itself(media_type):
    written = metadata.write(
        metadata.write(picture(media_type), media_type, RECIPE), media_type, RECIPE, Profile.share
    )

    for secret in (RECIPE.prompt, RECIPE.negative, str(RECIPE.seed), RECIPE.job_id, RECIPE.portrait_id):
        assert secret.encode() not in written
        assert secret.encode("utf-16-be") not in written
    assert metadata.read(written) is None


@pytest.mark.parametrize("media_type", TYPES)
def test_writing_twice_is_writing_once(media_type):
    once = metadata.write(picture(media_type), media_type, RECIPE)

    assert metadata.write(once, media_type, RECIPE) == once


@pytest.mark.parametrize("prompt", ["plain words", "café au lait", "灯台守、笑顔", "smile 🙂 \ud83d", "a\x00b\x07c", "Negative prompt: none", "one\nSteps: 1, Seed: 2, Size: 3x4"])  # fmt: skip
def test_a_png_keeps_any_prompt_word_for_word_where_it_can(prompt):
    written = metadata.write(picture("image/png"), "image/png", Recipe(prompt=prompt))

    assert metadata.read(written).recipe.prompt == prompt
    assert not any(b"\0" in text.value for text in png.texts(png.read(written)))


@pytest.mark.parametrize("media_type", TYPES)
def test_a_prompt_of_forty_thousand_characters_fails_no_download(media_type):
    recipe = Recipe(prompt="a brass button, " * 2500, seed=7)

    written = metadata.write(picture(media_type), media_type, recipe)

    assert metadata.read(written).recipe.prompt.startswith("a brass button, a brass")
    assert pixels(written)[1] == (24, 36)


def test_tools_that_read_with_pillow_find_the_infotext():
    with Image.open(io.BytesIO(metadata.write(picture("image/png"), "image/png", RECIPE))) as opened:
        text = opened.info["parameters"]
    with Image.open(io.BytesIO(metadata.write(picture("image/jpeg"), "image/jpeg", RECIPE))) as opened:
        comment = opened.getexif().get_ifd(0x8769)[0x9286]

    assert text.startswith(RECIPE.prompt)
    assert bytes(comment).removeprefix(b"UNICODE\0").decode("utf-16-be") == text


def test_the_comment_is_written_in_the_type_that_other_readers_accept():
    written = metadata.write(picture("image/jpeg"), "image/jpeg", RECIPE)

    exif = written[written.index(b"Exif\0\0") + 6 :]
    (kind,) = struct.unpack_from(">H", exif, 26 + 2 + 2)
    assert kind == 7


def test_foreign_texts_and_cards_in_the_picture_stay():
    info = PngImagePlugin.PngInfo()
    info.add_text("chara", "AAAA")
    info.add_text("Software", "Somebody's program")

    written = metadata.write(picture("image/png", pnginfo=info), "image/png", RECIPE)

    with Image.open(io.BytesIO(written)) as opened:
        assert (opened.info["chara"], opened.info["Software"]) == ("AAAA", "Somebody's program")


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("lossless", [True, False])
def test_every_kind_of_webp_can_carry_its_settings(mode, lossless):
    original = picture("image/webp", mode, lossless=lossless)

    written = metadata.write(original, "image/webp", RECIPE)

    assert pixels(written) == pixels(original)
    assert metadata.read(written).recipe.seed == RECIPE.seed


@pytest.mark.parametrize("media_type", ["image/avif", "image/gif", "text/html"])
def test_other_kinds_say_what_to_do_instead(media_type):
    with pytest.raises(BadImage, match="PNG"):
        metadata.write(b"anything", media_type, RECIPE)


@pytest.mark.parametrize("media_type", TYPES)
def test_a_file_that_is_not_what_it_is_called_is_refused(media_type):
    with pytest.raises(BadImage):
        metadata.write(b"<html>", media_type, RECIPE)


# -- other programs -------------------------------------------------------------------------------------------------


def png_with(**texts):
    info = PngImagePlugin.PngInfo()
    for name, value in texts.items():
        info.add_text(name, value)
    return picture("image/png", pnginfo=info)


A1111 = (
    "portrait of a baker\nwith flour\nNegative prompt: blurry,\ncropped\n"
    'Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 965400086, Size: 832x1216, Model: "odd, name", Version: v1.0'
)
COMFY = {
    "3": {"class_type": "KSampler", "inputs": {"seed": 55, "positive": ["6", 0], "negative": ["7", 0]}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a baker"}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry"}},
}
WRITTEN = {
    "AUTOMATIC1111": (png_with(parameters=A1111), "portrait of a baker\nwith flour", "blurry,\ncropped", 965400086),
    "InvokeAI": (
        png_with(invokeai_metadata=json.dumps({"positive_prompt": "a baker", "negative_prompt": "blurry", "seed": 3, "model": {"name": "x"}})),
        "a baker", "blurry", 3,
    ),
    "SwarmUI": (
        png_with(parameters=json.dumps({"sui_image_params": {"prompt": "a baker", "negativeprompt": "blurry", "seed": "12"}})),
        "a baker", "blurry", 12,
    ),
    "Fooocus": (
        png_with(parameters=json.dumps({"prompt": "a baker", "negative_prompt": "blurry", "seed": "9", "resolution": "(896, 1152)"})),
        "a baker", "blurry", 9,
    ),
    "ComfyUI": (png_with(prompt=json.dumps(COMFY), workflow="{}"), "a baker", "blurry", 55),
    "NovelAI": (png_with(Software="NovelAI", Comment=json.dumps({"prompt": "a baker", "uc": "blurry", "seed": 8})), "a baker", "blurry", 8),
}  # fmt: skip


@pytest.mark.parametrize("program", WRITTEN)
def test_a_picture_of_another_program_tells_its_settings(program):
    data, prompt, negative, seed = WRITTEN[program]

    found = metadata.read(data)

    assert (found.program, found.recipe.prompt, found.recipe.negative, found.recipe.seed) == (
        program, prompt, negative, seed,
    )  # fmt: skip
    assert found.raw


def test_settings_behind_the_pixels_are_found_too():
    data = png_with(parameters=A1111)
    chunks = png.read(data).chunks
    behind = sorted(chunks, key=lambda one: (one.kind == b"IEND", one.kind == b"tEXt"))
    moved = png.SIGNATURE + b"".join(
        struct.pack(">I", len(one.body))
        + one.kind
        + one.body
        + struct.pack(">I", zlib.crc32(one.kind + one.body))
        for one in behind
    )

    assert metadata.read(moved).recipe.seed == 965400086


@pytest.mark.parametrize("comment", [b"UNICODE\0" + A1111.encode("utf-16-be"), b"UNICODE\0" + A1111.encode("utf-16-le"), b"ASCII\0\0\0" + A1111.encode()])  # fmt: skip
def test_a_jpeg_comment_is_read_in_every_spelling(comment):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment

    found = metadata.read(picture("image/jpeg", exif=exif.tobytes()))

    assert found.recipe.seed == 965400086


@pytest.mark.parametrize(
    "data",
    [
        b"", b"no picture", picture("image/png"), picture("image/jpeg"),
        png_with(parameters="{broken"), png_with(invokeai_metadata="[]"), png_with(prompt='{"1": []}'),
        png_with(Comment="hello"), png_with(parameters="[" * 5000),
    ],
)  # fmt: skip
def test_a_picture_that_tells_nothing_is_no_failure(data):
    found = metadata.read(data)

    assert found is None or found.recipe.seed is None


def test_a_prompt_whose_last_line_has_two_pairs_is_all_prompt():
    assert infotext.read("a baker\nSteps: 20, Seed: 4") == ("a baker\nSteps: 20, Seed: 4", "", {})


@settings(max_examples=200, deadline=None)
@given(
    prompt=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip).filter(bool),
    values=st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip).filter(bool),
        min_size=3,
        max_size=3,
    ),
)
def test_what_infotext_says_comes_back(prompt, values):
    pairs = dict(zip(("Alpha", "Beta", "Gamma"), values, strict=True))
    text = infotext.write(prompt, "", pairs)

    words, _, read = infotext.read(text)

    if not any(value.startswith('"') for value in values) and not prompt.startswith("Negative prompt:"):
        assert (words, read) == (prompt, pairs)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_damaged_pictures_never_break_the_reader_or_the_writer(seed):
    chance = random.Random(seed)
    media_type = chance.choice(TYPES)
    data = bytearray(metadata.write(picture(media_type), media_type, RECIPE))
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    cut = bytes(data[: chance.randrange(len(data))]) if chance.random() < 0.4 else bytes(data)

    metadata.read(cut)
    try:
        metadata.write(cut, media_type, RECIPE)
    except BadImage:
        return


def test_a_recipe_keeps_its_words_out_of_reprs():
    assert RECIPE.prompt not in repr(RECIPE)
    assert RECIPE.prompt not in repr(metadata.read(metadata.write(picture("image/png"), "image/png", RECIPE)))
