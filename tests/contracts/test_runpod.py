"""What is true of RunPod alone: endpoints, whatever workers answer with, its bill (reference/providers.md §4)."""

from __future__ import annotations

import base64
import io
import time
from dataclasses import replace
from decimal import Decimal

import pytest
from PIL import Image

from core import catalog
from core.errors import ProviderRejected, ResultLost
from core.providers import CancelAnswer, reading
from core.providers.runpod import MOST_INSIDE, RunPod
from core.values import Capabilities, ImageModel, JobStage, ModelId, Order, Running, Size
from tests.contracts.adapters import ENDPOINT, PICTURE, PROMPT, REFERENCE, as_reference
from tests.emulator import KEY

pytest_plugins = ["tests.contracts.fix_providers"]

ORDER = Order(prompt=PROMPT, negative="blurry", size=Size(width=768, height=1024), seed=11)
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\nrest").decode()


def model(key="worker-sdxl", *, defaults=None, **can):
    return ImageModel(
        id=ModelId(None),
        provider="runpod",
        model_key=key,
        display_name="Model under test",
        capabilities=Capabilities(**can),
        input_defaults=defaults or {},
    )


def sent(emulator):
    (line,) = emulator.counts()["requests"]
    return line["model"], emulator.request(line["id"])["body"]


# ---- what is sent


def test_every_model_of_runpods_that_ships_can_be_ordered(runpod_desk, emulator):
    shipped = [one for one in catalog.load().models if one.provider == "runpod"]
    for one in shipped:
        emulator.reset()
        can, references = one.capabilities, (PICTURE,) * min(one.capabilities.max_reference_images, 1)
        chosen = replace(model(one.model_key, defaults=one.input_defaults), capabilities=can)

        ticket = runpod_desk.provider.submit(replace(ORDER, references=references), chosen)

        endpoint, body = sent(emulator)
        assert endpoint == one.input_defaults.get("_endpoint", ENDPOINT)
        assert set(body) == {"input"}
        assert body["input"]["prompt"] == PROMPT
        assert not [name for name in body["input"] if name.startswith("_")]
        assert (REFERENCE in str(body)) == can.supports_i2i
        assert runpod_desk.finish(ticket).images

    assert len(shipped) == 3


def test_a_public_endpoint_takes_its_size_with_a_star_and_is_asked_to_check(runpod_desk, emulator):
    shipped = {one.model_key: one for one in catalog.load().models}["seedream-v4-t2i"]

    runpod_desk.provider.submit(ORDER, model(shipped.model_key, defaults=shipped.input_defaults))

    assert sent(emulator)[1]["input"] == {
        "prompt": PROMPT,
        "size": "832*1112",
        "enable_safety_checker": True,
    }


def test_without_an_endpoint_of_ones_own_the_public_ones_still_work(emulator):
    runpod = RunPod(KEY, base_url=f"{emulator.url}/runpod/v2")
    runpod.submit(ORDER, model("seedream-v4-t2i", defaults={"_endpoint": "seedream-v4-t2i"}))

    with pytest.raises(ProviderRejected, match="RUNPOD_ENDPOINT_ID") as caught:
        runpod.submit(ORDER, model())

    runpod.close()
    assert (caught.value.reason, caught.value.pauses) == ("MODEL_UNKNOWN", False)
    assert emulator.counts()["submits"] == 1


@pytest.mark.parametrize("endpoint", ["../user", "a/b", "a?b", "-", "https://elsewhere.example"])
def test_what_is_no_endpoint_never_becomes_an_address(runpod_desk, emulator, endpoint):
    with pytest.raises(ProviderRejected) as caught:
        runpod_desk.provider.submit(ORDER, model(defaults={"_endpoint": endpoint}))

    assert caught.value.reason == "MODEL_UNKNOWN"
    assert emulator.counts()["submits"] == 0


def test_references_beyond_what_runpod_takes_travel_as_smaller_copies(runpod_desk, emulator):
    large = as_reference(Image.effect_noise((2100, 2100), 90))
    chosen = model(defaults={"_fields": {"references": "images"}}, supports_i2i=True, max_reference_images=2)

    runpod_desk.provider.submit(replace(ORDER, references=(large, large)), chosen)

    given = sent(emulator)[1]["input"]["images"]
    copies = [base64.b64decode(one.partition(",")[2]) for one in given]
    assert 2 * len(large.data) > MOST_INSIDE >= sum(map(len, copies))
    assert [Image.open(io.BytesIO(one)).format for one in copies] == ["JPEG", "JPEG"]


# ---- what comes back


def test_a_worker_that_draws_into_the_json_is_handed_over_as_bytes_once(runpod_desk):
    finished = runpod_desk.finish(runpod_desk.submit())

    (image,) = finished.images  # the worker lists it twice
    with Image.open(io.BytesIO(image.data)) as picture:
        assert picture.size == (256, 320)


def test_a_worker_may_answer_with_bare_base64(runpod_desk):
    ticket = runpod_desk.provider.submit(ORDER, model(defaults={"_endpoint": "bare-worker"}))

    finished = runpod_desk.finish(ticket)

    assert finished.images[0].data.startswith(b"\x89PNG")


def test_a_message_of_progress_is_never_taken_for_the_result(runpod_desk, emulator):
    emulator.set(latency=30)
    ticket = runpod_desk.submit()

    stand = runpod_desk.provider.poll(ticket)

    assert stand == Running(stage=JobStage.drawing)


def test_what_a_public_endpoint_charged_is_kept_to_the_last_digit(runpod_desk):
    ticket = runpod_desk.provider.submit(ORDER, model(defaults={"_endpoint": "seedream-v4-t2i"}))

    finished = runpod_desk.finish(ticket)

    assert finished.billed_usd == Decimal("0.0251")
    assert finished.images[0].url.startswith("http://127.0.0.1")


def test_ones_own_worker_names_no_bill(runpod_desk):
    assert runpod_desk.finish(runpod_desk.submit()).billed_usd is None


def test_drawing_time_and_seed_are_the_workers_own(runpod_desk, emulator):
    emulator.set(latency=0.2)

    finished = runpod_desk.finish(runpod_desk.submit())

    assert 0.19 <= finished.seconds < 10
    assert finished.seed == runpod_desk.order.seed


def test_an_output_that_was_too_large_is_lost_and_said_to_be(runpod_desk, emulator):
    emulator.fault("outcome", "no_output")

    with pytest.raises(ResultLost, match="above its size limit"):
        runpod_desk.finish(runpod_desk.submit())

    assert emulator.counts()["submits"] == 1


def test_a_cancel_after_a_worker_began_may_be_charged(runpod_desk, emulator):
    emulator.set(latency=30)
    ticket = runpod_desk.submit()
    time.sleep(0.02)

    assert runpod_desk.provider.cancel(ticket) is CancelAnswer.asked

    with pytest.raises(ProviderRejected) as caught:
        runpod_desk.finish(ticket)
    assert (caught.value.reason, caught.value.billed) == ("CANCELLED", True)


# ---- pictures wherever a stranger's JSON holds them

WORKERS_PLACES = ("images", "image", "image_url", "message", "data")


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ({"images": [f"data:image/png;base64,{PNG}"]}, "bytes"),
        ({"image": PNG}, "bytes"),
        ({"message": "https://bucket.s3.amazonaws.com/a.png"}, "address"),
        ({"images": [{"filename": "a.png", "type": "base64", "data": PNG}]}, "bytes"),
        ({"images": [{"filename": "a.png", "type": "s3_url", "data": "https://x.example/a.png"}]}, "address"),
        ("https://x.example/a.png", "address"),
        ([f"data:image/png;base64,{PNG}"], "bytes"),
    ],
)
def test_a_picture_is_found_in_every_shape_that_workers_are_known_for(output, kind):
    (found,) = reading.images(output, under=WORKERS_PLACES)

    assert (found.data is not None) == (kind == "bytes")
    assert bool(found.url) == (kind == "address")


@pytest.mark.parametrize(
    "output",
    [
        None,
        7,
        True,
        {},
        [],
        "done",
        {"docs": "https://docs.example/help.png"},
        {"images": ["data:image/png;base64,%%%"]},
        {"image": "iVBORw0KGg*"},
        {"images": None},
    ],
)
def test_what_holds_no_picture_gives_none_and_never_breaks(output):
    assert reading.images(output, under=WORKERS_PLACES) == ()


def test_a_picture_buried_deeper_than_any_worker_does_ends_the_search():
    nested = "https://x.example/a.png"
    for _ in range(2000):
        nested = [nested]

    assert reading.images(nested) == ()


@pytest.mark.parametrize(
    ("given", "number", "whole"),
    [
        ("12", 12.0, 12),
        (12, 12.0, 12),
        (1.5, 1.5, None),
        ("1.5", 1.5, None),
        ("9007199254740993", 9007199254740992.0, 9007199254740993),
        (True, None, None),
        ("nan", None, None),
        (float("inf"), None, None),
        ("", None, None),
        (None, None, None),
        ([1], None, None),
        (10**400, None, 10**400),
    ],
)
def test_numbers_are_read_leniently_and_never_rounded_on_the_way(given, number, whole):
    assert reading.number(given) == number
    assert reading.whole(given) == whole
