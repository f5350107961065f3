"""What becomes of a person's picture: which kinds are taken, what is left behind, and what is said of the rest."""

import io
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageCms, ImageDraw, ImageStat, PngImagePlugin
from pillow_heif import from_pillow

from core import images
from core.errors import BadImage
from core.values import ReferencePicture

SIZE = (256, 320)
SECRET = "Lighthouse-Row-7"


def a_scene(size=SIZE) -> Image.Image:
    """Four corners of four colours on a gradient: no turn of it looks like another."""
    grey = Image.linear_gradient("L").resize(size)
    scene = Image.merge("RGB", (grey, grey.transpose(Image.Transpose.ROTATE_180), grey))
    draw = ImageDraw.Draw(scene)
    width, height = size[0] // 3, size[1] // 3
    draw.rectangle((0, 0, width, height), fill=(250, 30, 30))
    draw.rectangle((size[0] - width, 0, size[0], height), fill=(30, 250, 30))
    draw.rectangle((0, size[1] - height, width, size[1]), fill=(30, 30, 250))
    return scene


def heic(image, **options) -> bytes:
    out = io.BytesIO()
    from_pillow(image).save(out, format="HEIF", quality=90, **options)
    return out.getvalue()


def encoded(image, form, **options) -> bytes:
    if form == "HEIF":
        return heic(image, **options)
    out = io.BytesIO()
    image.save(out, form, **({"quality": 95} if form != "PNG" else {}) | options)
    return out.getvalue()


def animated(form) -> bytes:
    frames = [a_scene(), a_scene().transpose(Image.Transpose.ROTATE_180)]
    return encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=80)


def read_back(upload) -> Image.Image:
    image = Image.open(io.BytesIO(upload.data))
    image.load()
    return image


def difference(one, other) -> float:
    """The mean distance of two pictures' levels, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean) / 3


def codes(upload) -> list[str]:
    return [note.code for note in upload.notes]


def claiming(width: int, height: int) -> bytes:
    """A few bytes that say they are a PNG of width x height pixels."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def heic_claiming(width: int, height: int) -> bytes:
    """A HEIC whose boxes say it has that many pixels."""
    size = struct.pack(">II", *SIZE)
    assert size in HEIC
    return HEIC.replace(size, struct.pack(">II", width, height))


FORMS = ("PNG", "JPEG", "WEBP", "AVIF", "HEIF")
KEPT_AS = {
    "PNG": ("image/png", "png"),
    "JPEG": ("image/jpeg", "jpg"),
    "WEBP": ("image/jpeg", "jpg"),
    "AVIF": ("image/jpeg", "jpg"),
    "HEIF": ("image/jpeg", "jpg"),
}
PNG, JPEG, WEBP, AVIF, HEIC = (encoded(a_scene(), form) for form in FORMS)
WHOLE = {"PNG": PNG, "JPEG": JPEG, "WEBP": WEBP, "AVIF": AVIF, "HEIF": HEIC}

# How a camera stores an upright scene that its note of that number turns back.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_kind_of_picture_is_kept_as_png_or_jpeg(form):
    upload = images.read_upload(WHOLE[form])

    assert (upload.media_type, upload.extension) == KEPT_AS[form]
    assert (upload.width, upload.height) == read_back(upload).size == SIZE
    assert difference(read_back(upload), a_scene()) < 6
    assert images.read_picture(upload.data).sha256 == upload.sha256
    assert codes(upload) == []


@pytest.mark.parametrize("turn", STORED)
@pytest.mark.parametrize("form", FORMS)
def test_every_orientation_of_every_kind_is_upright_afterwards(form, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    stored = a_scene() if STORED[turn] is None else a_scene().transpose(STORED[turn])
    data = encoded(stored, form, exif=exif.tobytes())

    upload = images.read_upload(data)

    assert (upload.width, upload.height) == SIZE
    assert difference(read_back(upload), a_scene()) < 6


def with_secrets(form) -> bytes:
    """A picture that says where somebody lives, in every place its kind has for words."""
    exif = Image.Exif()
    exif[0x010E] = SECRET
    exif.get_ifd(0x8825).update({1: "N", 2: (53.0, 33.0, 12.0), 3: "E", 4: (9.0, 59.0, 1.0), 29: SECRET[:10]})
    exif.get_ifd(0x8769)[0x9286] = SECRET.encode()
    xmp = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf>{SECRET}</rdf></x:xmpmeta>".encode()
    options = {"exif": exif.tobytes(), "xmp": xmp}
    if form == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("Comment", SECRET)
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
        del options["xmp"]
    if form == "JPEG":
        options["comment"] = SECRET
    return encoded(a_scene(), form, **options)


@pytest.mark.parametrize("form", FORMS)
def test_no_place_no_name_and_no_word_of_the_file_is_kept(form):
    data = with_secrets(form)
    assert SECRET.encode() in data

    upload = images.read_upload(data)

    kept = read_back(upload)
    assert SECRET.encode() not in upload.data
    assert b"Exif" not in upload.data
    assert not kept.getexif()
    assert {"exif", "xmp", "comment", "icc_profile"}.isdisjoint(kept.info)


def test_what_hides_behind_a_picture_is_left_behind():
    upload = images.read_upload(JPEG + b"<script>alert(1)</script>PK\x03\x04")

    assert b"script" not in upload.data
    assert difference(read_back(upload), a_scene()) < 6


def swapped_profile() -> bytes:
    """sRGB with red and green exchanged: who ignores it shows the wrong corner green."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    count = struct.unpack(">I", plain[128:132])[0]
    table = plain[132 : 132 + 12 * count]
    table = table.replace(b"rXYZ", b"tmp0").replace(b"gXYZ", b"rXYZ").replace(b"tmp0", b"gXYZ")
    return plain[:132] + table + plain[132 + 12 * count :]


@pytest.mark.parametrize("form", FORMS)
def test_a_colour_profile_is_turned_into_srgb(form):
    data = encoded(a_scene(), form, icc_profile=swapped_profile())

    red, green, _ = read_back(images.read_upload(data)).convert("RGB").getpixel((20, 20))

    assert green > 200
    assert red < 100


def test_a_profile_that_cannot_be_read_counts_as_none():
    upload = images.read_upload(encoded(a_scene(), "JPEG", icc_profile=b"no profile at all" * 20))

    assert difference(read_back(upload), a_scene()) < 6


def test_a_picture_for_print_is_converted_and_says_so():
    upload = images.read_upload(encoded(a_scene().convert("CMYK"), "JPEG"))

    red, green, blue = read_back(upload).getpixel((20, 20))
    assert red > 200
    assert max(green, blue) < 100
    assert codes(upload) == ["COLOURS_CONVERTED"]


def test_sixteen_bits_become_eight_without_losing_the_tones():
    grey = a_scene().convert("L")
    deep = grey.convert("I").point(lambda level: level * 257).convert("I;16")

    upload = images.read_upload(encoded(deep, "PNG"))

    assert difference(read_back(upload), grey) < 2
    assert codes(upload) == ["DEPTH_REDUCED"]


def test_what_is_see_through_becomes_white_and_says_so():
    scene = a_scene().convert("RGBA")
    scene.paste((0, 0, 0, 0), (100, 120, 200, 200))

    for form in ("PNG", "WEBP", "AVIF", "HEIF"):
        upload = images.read_upload(encoded(scene, form))

        assert min(read_back(upload).getpixel((150, 160))) > 245
        assert codes(upload) == ["ALPHA_FILLED"]


def test_an_alpha_channel_that_hides_nothing_is_not_mentioned():
    upload = images.read_upload(encoded(a_scene().convert("RGBA"), "PNG"))

    assert codes(upload) == []
    assert read_back(upload).mode == "RGB"


def test_a_large_picture_is_scaled_to_what_models_look_at_and_says_so():
    upload = images.read_upload(encoded(a_scene((3000, 1500)), "JPEG"))

    assert (upload.width, upload.height) == (2048, 1024)
    assert codes(upload) == ["SHRUNK"]


def test_a_photograph_saved_as_png_is_kept_as_jpeg():
    noise = Image.merge("RGB", [Image.effect_noise((1400, 1400), 60 + 20 * band) for band in range(3)])

    upload = images.read_upload(encoded(noise, "PNG"))

    assert upload.media_type == "image/jpeg"
    assert len(upload.data) < images.UPLOAD_PNG_BYTES


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("holiday.jpg", []),
        ("HOLIDAY.JPEG", []),
        ("holiday.png", ["EXTENSION_DIFFERS"]),
        ("holiday.pdf", ["EXTENSION_DIFFERS"]),
        ("../../etc/passwd.heic", ["EXTENSION_DIFFERS"]),
        ("holiday", []),
        ("", []),
    ],
)
def test_the_content_decides_the_type_and_a_name_that_says_otherwise_is_mentioned(name, told):
    upload = images.read_upload(JPEG, file_name=name)

    assert upload.extension == "jpg"
    assert codes(upload) == told


def test_the_same_picture_twice_is_the_same_upload():
    first, second = images.read_upload(HEIC), images.read_upload(HEIC)

    assert (first.sha256, first.data) == (second.sha256, second.data)


def test_a_burst_of_stills_is_the_one_that_is_shown():
    burst = from_pillow(a_scene())
    burst.add_from_pillow(a_scene().transpose(Image.Transpose.ROTATE_180))
    out = io.BytesIO()
    burst.save(out, quality=90, primary_index=0)

    upload = images.read_upload(out.getvalue())

    assert difference(read_back(upload), a_scene()) < 6


REFUSED = {
    "nothing": (b"", "NOT_AN_IMAGE"),
    "a web page": (b"<!doctype html><html></html>", "NOT_AN_IMAGE"),
    "a PDF": (b"%PDF-1.7\n" + bytes(300), "NOT_AN_IMAGE"),
    "an SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "NOT_AN_IMAGE"),
    "a GIF": (encoded(a_scene(), "GIF"), "NOT_AN_IMAGE"),
    "a TIFF": (encoded(a_scene(), "TIFF"), "NOT_AN_IMAGE"),
    "a video": (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(300), "NOT_AN_IMAGE"),
    "only a HEIC's head": (HEIC[:200], "IMAGE_BROKEN"),
    "only a HEIC's first box": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(300), "IMAGE_BROKEN"),
    "half a HEIC": (HEIC[: len(HEIC) // 2], "IMAGE_BROKEN"),
    "half an AVIF": (AVIF[: len(AVIF) // 2], "IMAGE_BROKEN"),
    "half a JPEG": (JPEG[: len(JPEG) // 2], "IMAGE_BROKEN"),
    "half a PNG": (PNG[: len(PNG) // 2], "IMAGE_BROKEN"),
    "half a WebP": (WEBP[: len(WEBP) // 2], "IMAGE_BROKEN"),
    "an animated PNG": (animated("PNG"), "IMAGE_ANIMATED"),
    "an animated WebP": (animated("WEBP"), "IMAGE_ANIMATED"),
    "an animated AVIF": (animated("AVIF"), "IMAGE_ANIMATED"),
    "a HEIC sequence": (HEIC.replace(b"ftypheic", b"ftyphevc", 1), "IMAGE_ANIMATED"),
    "a tiny PNG": (encoded(a_scene((127, 500)), "PNG"), "IMAGE_TOO_SMALL"),
    "a tiny HEIC": (encoded(a_scene((64, 64)), "HEIF"), "IMAGE_TOO_SMALL"),
    "one colour": (encoded(Image.new("RGB", SIZE, (9, 9, 9)), "JPEG"), "IMAGE_BLANK"),
    "nothing to be seen": (encoded(Image.new("RGBA", SIZE, (9, 90, 9, 0)), "PNG"), "IMAGE_BLANK"),
    "a bomb of a billion pixels": (claiming(32_000, 32_000), "IMAGE_TOO_LARGE"),
    "a bomb just over our limit": (claiming(8_000, 5_001), "IMAGE_TOO_LARGE"),
    "a HEIC that claims too much": (heic_claiming(11_000, 11_000), "IMAGE_TOO_LARGE"),
    "21 MB": (JPEG + bytes(21 * 1024 * 1024), "IMAGE_TOO_LARGE"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_reference_is_refused_with_its_code_and_a_way_out(kind):
    data, code = REFUSED[kind]

    with pytest.raises(BadImage) as refused:
        images.read_upload(data)

    assert refused.value.reason == code
    assert "pload" in refused.value.sentence  # what to do about it
    assert "came back" not in refused.value.sentence  # the words for a provider's picture


def test_each_refusal_has_words_of_its_own():
    said = {}
    for data, code in REFUSED.values():
        with pytest.raises(BadImage) as refused:
            images.read_upload(data)
        said.setdefault(code, set()).add(refused.value.sentence)

    assert len(said) == 6
    assert len(set.union(*said.values())) == 6


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_cut_anywhere_is_refused(form):
    data = WHOLE[form]

    for cut in range(20, len(data) - 40, max(1, len(data) // 23)):
        with pytest.raises(BadImage):
            images.read_upload(data[:cut])


SMALL = [encoded(a_scene((128, 128)), form) for form in FORMS]
CODES = {code for _, code in REFUSED.values()}


@settings(max_examples=300, deadline=None)
@given(
    data=st.sampled_from(SMALL),
    edits=st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=6)), min_size=1, max_size=6),
    cut=st.one_of(st.just(1.0), st.floats(0.02, 1)),
)
def test_mutated_files_give_an_upload_or_a_refusal_and_nothing_else(data, edits, cut):
    spoiled = bytearray(data)
    for place, junk in edits:
        at = int(place * len(spoiled))
        spoiled[at : at + len(junk)] = junk

    try:
        upload = images.read_upload(bytes(spoiled[: int(cut * len(spoiled))]))
    except BadImage as refused:
        assert refused.reason in CODES  # noqa: PT017 -- a mutation may also leave a whole picture
    else:
        assert images.read_picture(upload.data).media_type == upload.media_type


# ---- copies for providers


def a_photograph(side=1200) -> ReferencePicture:
    noise = Image.merge("RGB", [Image.effect_noise((side, side), 60 + 20 * band) for band in range(3)])
    return ReferencePicture(
        data=encoded(noise, "PNG"), media_type="image/png", width=side, height=side, link="https://x.org/a"
    )


@pytest.mark.parametrize("most", [2_000_000, 300_000, 60_000])
def test_a_smaller_copy_is_as_large_as_it_may_be(most):
    copy = images.smaller_copy(a_photograph(), most_bytes=most)

    assert most // 8 < len(copy.data) <= most
    assert (copy.media_type, copy.link) == ("image/jpeg", "")
    assert read_back(copy).size == (copy.width, copy.height)


def test_a_smaller_copy_keeps_within_the_pixels_that_are_asked_for():
    copy = images.smaller_copy(a_photograph(), most_bytes=10_000_000, most_pixels=250_000)

    assert 240_000 < copy.width * copy.height <= 250_000


def test_a_copy_that_cannot_be_small_enough_is_refused():
    with pytest.raises(BadImage) as refused:
        images.smaller_copy(a_photograph(), most_bytes=500)

    assert refused.value.reason == "IMAGE_TOO_LARGE"
