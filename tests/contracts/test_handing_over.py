"""How a reference reaches each provider: inside the request, by our link, through the provider's storage, or as a
smaller copy; and that the key goes nowhere with it.
"""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import httpx
import pytest
from PIL import Image

from core.errors import ProviderBusy, ProviderRejected
from core.providers.fal import UPLOAD_HOSTS
from core.providers.http import is_named
from core.providers.references import EVERY_TYPE, Taking, handed_over
from core.values import ReferencePicture
from tests.contracts.adapters import PICTURE, REFERENCE, as_reference, as_uri, columns
from tests.emulator import KEY, Emulator

pytest_plugins = ["tests.contracts.fix_providers"]

I2I = [one for one in columns(remote=True) if one.endswith("I2I")]
BY_ADDRESS = [one for one in I2I if one != "novita I2I"]  # whose field takes only the bytes themselves
LINK = "https://studio.portraits.org/files/user-library/a.png?token=signed"


@pytest.fixture(scope="module")
def large() -> ReferencePicture:
    """A photograph as PNG, of more bytes than any provider takes inside a request."""
    noise = Image.merge("RGB", [Image.effect_noise((1700, 1700), 60 + 20 * band) for band in range(3)])
    picture = as_reference(noise)
    assert len(picture.data) > 7 * 1024 * 1024
    return picture


def of(wanted: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("desk", wanted, indirect=True)


def given(emulator) -> str:
    """What the one request that came says as its reference."""
    (line,) = emulator.counts()["requests"]
    return found_in(emulator.request(line["id"])["body"])


def found_in(value: object) -> str:
    """The longest text in a JSON value that could be a picture or its address: prompts have spaces, names are short."""
    if isinstance(value, dict | list):
        inside = value.values() if isinstance(value, dict) else value
        return max(map(found_in, inside), key=len, default="")
    return value if isinstance(value, str) and " " not in value and len(value) > 60 else ""


def bytes_of(text: str) -> bytes:
    """What a provider would read: the bytes inside the request, or behind an address of its own."""
    if text.startswith("http"):
        headers = {"Authorization": f"Bearer {KEY}"} if "/replicate/" in text else {}
        answer = httpx.get(text, headers=headers, trust_env=False).raise_for_status()
        return answer.content
    return base64.b64decode(text.rpartition(",")[2])


def order_of(desk, picture: ReferencePicture):
    desk.order = replace(desk.order, references=(picture,))
    return desk


@pytest.mark.row("a small reference travels inside")
@of(I2I)
def test_a_small_reference_travels_inside_the_request_whatever_link_there_is(desk, emulator):
    order_of(desk, replace(PICTURE, link=LINK)).submit()

    assert bytes_of(given(emulator)) == PICTURE.data
    assert "http" not in given(emulator)


@pytest.mark.row("a large reference travels by our link")
@of(BY_ADDRESS)
def test_a_large_reference_travels_by_our_link_where_there_is_one(desk, emulator, large):
    order_of(desk, replace(large, link=LINK)).submit()

    assert given(emulator) == LINK


@of(["novita I2I"])
def test_bytes_travel_where_only_they_are_taken_whatever_link_there_is(desk, emulator, large):
    order_of(desk, replace(large, link=LINK)).submit()

    assert Image.open(io.BytesIO(bytes_of(given(emulator)))).format == "JPEG"


@pytest.mark.row("a large reference arrives without a link")
@of(I2I)
def test_a_large_reference_arrives_without_a_link_too(desk, emulator, large):
    order_of(desk, large).submit()

    text = given(emulator)
    stored = desk.name in {"fal", "replicate"}
    assert text.startswith("http") is stored
    if desk.name == "replicate":
        told = httpx.get(text, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False).json()
        assert told["size"] == len(large.data)
    elif stored:
        assert bytes_of(text) == large.data
    else:
        copy = Image.open(io.BytesIO(bytes_of(text)))
        copy.load()
        assert (copy.format, copy.size) == ("JPEG", (1700, 1700))
        assert len(text) < 10_000_000


@of(I2I)
def test_a_reference_takes_the_key_nowhere(desk, emulator, large):
    order_of(desk, large).submit()

    counts = emulator.counts()["providers"][desk.provider.name]
    assert (counts["submits"], counts["accepted"], counts["leaked_keys"]) == (1, 1, 0)


@of([one for one in I2I if one.startswith("novita")])
def test_a_type_that_a_provider_does_not_read_travels_as_one_that_it_does(desk, emulator):
    webp = as_reference(Image.effect_noise((200, 240), 90), "WEBP", link=LINK)

    order_of(desk, webp).submit()

    assert Image.open(io.BytesIO(bytes_of(given(emulator)))).format == "JPEG"


@of(I2I)
def test_every_picture_of_the_library_reaches_every_provider(desk, emulator):
    for form in ("PNG", "JPEG", "WEBP", "AVIF"):
        emulator.reset()
        order_of(desk, as_reference(Image.effect_noise((160, 200), 90), form)).submit()

        assert Image.open(io.BytesIO(bytes_of(given(emulator)))).size == (160, 200)


# ---- fal's storage


@pytest.mark.parametrize("kind", ["server_error", "reset_after", "rate_limited", "unreadable", "gone"])
def test_a_reference_that_fal_does_not_keep_buys_nothing(fal_desk, emulator, large, kind):
    emulator.fault("lookup", kind, count=None)
    desk = i2i(fal_desk)

    with pytest.raises(ProviderBusy, match="nothing was ordered"):
        order_of(desk, large).submit()

    assert emulator.counts()["submits"] == 0


def test_a_reference_waits_for_fals_storage_to_answer(fal_desk, emulator, large):
    emulator.fault("lookup", "server_error", count=2)
    desk = i2i(fal_desk)

    order_of(desk, large).submit()

    assert bytes_of(given(emulator)) == large.data


def test_a_key_that_fals_storage_refuses_pauses_fal(fal_desk, emulator, large):
    emulator.fault("lookup", "bad_key")
    desk = i2i(fal_desk)

    with pytest.raises(ProviderRejected) as caught:
        order_of(desk, large).submit()

    assert (caught.value.reason, caught.value.pauses, caught.value.billed) == ("BAD_KEY", True, False)


@pytest.mark.parametrize("kind", ["foreign_urls", "redirect"])
def test_a_file_is_put_only_where_fals_files_live(fal_desk, emulator, large, kind):
    with Emulator() as stranger:
        place = f"{stranger.url}/storage/kept/astray/reference.png"
        emulator.fault("lookup", kind, location=f"{place}?put=once", count=None)
        desk = i2i(fal_desk)

        with pytest.raises(ProviderBusy):
            order_of(desk, large).submit()

        assert httpx.get(place, trust_env=False).status_code == 404
        assert stranger.counts()["leaked_keys"] == 0
    assert emulator.counts()["submits"] == 0


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://v3.fal.media/files/upload/x", True),
        ("https://fal.media/x", True),
        ("https://storage.googleapis.com/bucket/x?signature=y", True),
        ("http://v3.fal.media/x", False),
        ("https://v3.fal.media:8443/x", False),
        ("https://v3.fal.media.elsewhere.org/x", False),
        ("https://fal.media@elsewhere.org/x", False),
        ("https://elsewhere.org/fal.media", False),
        ("https://127.0.0.1/x", False),
        ("https://169.254.169.254/latest", False),
        ("ftp://v3.fal.media/x", False),
        ("", False),
    ],
)
def test_fals_own_hosts_are_told_from_those_that_look_like_them(url, may):
    assert is_named(url, UPLOAD_HOSTS) is may


def i2i(desk):
    """The desk with a model that takes one reference."""
    can = replace(desk.model.capabilities, supports_i2i=True, max_reference_images=1)
    desk.model = replace(desk.model, capabilities=can)
    return desk


# ---- the rule itself


TAKES_LITTLE = Taking(inside=100)


def test_what_a_model_says_goes_before_what_its_provider_usually_takes():
    defaults = {"_inside": 5000, "_types": ["image/png"], "_pixels": 1_000_000}

    taking = TAKES_LITTLE.of_model(defaults, field="image_url")

    assert taking == Taking(inside=5000, types=("image/png",), pixels=1_000_000)
    assert TAKES_LITTLE.of_model({}, field="image_url") == TAKES_LITTLE
    assert not TAKES_LITTLE.of_model({}, field="image_base64").addresses


def test_all_references_of_a_request_share_the_room_inside_it():
    one_fits = Taking(inside=len(PICTURE.data) + 10)
    linked = replace(PICTURE, link=LINK)

    assert handed_over((linked,), one_fits, None) == (REFERENCE,)
    assert handed_over((linked, linked), one_fits, None) == (LINK, LINK)


def test_our_link_goes_before_an_upload_and_an_upload_before_a_copy():
    uploaded = []

    def upload(picture):
        uploaded.append(picture)
        return "https://storage.example/kept"

    assert handed_over((replace(PICTURE, link=LINK),), TAKES_LITTLE, upload) == (LINK,)
    assert handed_over((PICTURE,), TAKES_LITTLE, upload) == ("https://storage.example/kept",)
    assert uploaded == [PICTURE]


def test_a_reference_that_no_way_leads_to_the_provider_is_refused_in_words():
    with pytest.raises(ProviderRejected, match="Choose another reference") as caught:
        handed_over((PICTURE,), TAKES_LITTLE, None)

    assert (caught.value.reason, caught.value.billed) == ("INVALID_INPUT", False)


def test_a_picture_of_more_pixels_than_the_model_reads_becomes_a_copy_even_where_there_is_a_link():
    wide = as_reference(Image.effect_noise((400, 200), 90), link=LINK)

    (text,) = handed_over((wide,), Taking(inside=10**6, pixels=20_000), None)

    assert Image.open(io.BytesIO(bytes_of(text))).size == (200, 100)


def test_a_picture_that_fits_is_not_touched():
    for form in ("PNG", "JPEG", "WEBP", "AVIF"):
        picture = as_reference(Image.effect_noise((160, 200), 90), form)

        assert picture.media_type in EVERY_TYPE
        assert handed_over((picture,), Taking(inside=10**6), None) == (as_uri(picture),)
