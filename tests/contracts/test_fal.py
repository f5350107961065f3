"""What is true of fal alone: its fields, its addresses, its codes (reference/providers.md §1)."""

from __future__ import annotations

import io
from dataclasses import replace

import httpx
import pytest
from PIL import Image

from core import catalog
from core.errors import ProviderBusy, ProviderRejected, ProviderUnreachable
from core.providers import CancelAnswer
from core.providers import http as provider_http
from core.providers.fal import Fal, body_of
from core.providers.http import origin_of, retry_after
from core.values import Capabilities, Finished, ImageModel, JobStage, ModelId, Order, Running, Size
from tests.contracts.adapters import PICTURE, REFERENCE
from tests.emulator import KEY, Emulator

pytest_plugins = ["tests.contracts.fix_providers"]

ORDER = Order(
    prompt="an adult baker juggling rolls", negative="blurry", size=Size(width=768, height=1024), seed=11
)


def model(key="fal-ai/flux/dev", *, defaults=None, **can):
    return ImageModel(
        id=ModelId(None),
        provider="fal",
        model_key=key,
        display_name="Model under test",
        capabilities=Capabilities(**can),
        input_defaults=defaults or {},
    )


def test_a_plain_order_becomes_fals_own_words():
    body = body_of(ORDER, model())

    assert body == {
        "prompt": "an adult baker juggling rolls",
        "image_size": {"width": 768, "height": 1024},
        "enable_safety_checker": True,
    }


def test_seed_and_negative_words_go_only_to_models_that_take_them():
    body = body_of(ORDER, model(supports_seed=True, supports_negative=True))

    assert body["seed"] == 11
    assert body["negative_prompt"] == "blurry"


def test_defaults_lie_under_our_fields_and_reserved_keys_stay_home():
    defaults = {"prompt": "ignored", "guidance_scale": 3.5, "num_images": 4, "_fields": {}, "_note": "ours"}

    body = body_of(replace(ORDER, input_defaults={"acceleration": "none"}), model(defaults=defaults))

    assert body["prompt"] == ORDER.prompt
    assert body["guidance_scale"] == 3.5
    assert body["acceleration"] == "none"
    assert body["num_images"] == 1
    assert not [name for name in body if name.startswith("_")]


@pytest.mark.parametrize(
    ("most", "fields", "expected"),
    [
        (1, {}, {"image_url": REFERENCE}),
        (10, {}, {"image_urls": [REFERENCE]}),
        (1, {"references": "image_urls"}, {"image_urls": [REFERENCE]}),
        (4, {"references": "image_url"}, {"image_url": REFERENCE}),
    ],
)
def test_where_a_reference_goes_is_data_of_the_model(most, fields, expected):
    chosen = model(defaults={"_fields": fields}, supports_i2i=True, max_reference_images=most)

    body = body_of(replace(ORDER, references=(PICTURE,)), chosen)

    assert {name: value for name, value in body.items() if name.startswith("image_url")} == expected


def test_a_field_that_the_model_does_not_have_is_left_out():
    chosen = model(defaults={"_fields": {"size": "", "safety_checker": None}, "safety_tolerance": "2"})

    body = body_of(ORDER, chosen)

    assert body == {"prompt": ORDER.prompt, "safety_tolerance": "2"}


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (Size(width=512, height=768), "2:3"),
        (Size(width=1000, height=1010), "1:1"),
        (Size(width=1920, height=1080), "16:9"),
    ],
)
def test_a_model_that_knows_only_shapes_gets_the_nearest(size, expected):
    chosen = model(
        defaults={"_fields": {"size": "aspect_ratio"}}, aspect_ratios=("16:9", "1:1", "2:3", "nonsense")
    )

    body = body_of(replace(ORDER, size=size), chosen)

    assert body["aspect_ratio"] == expected


@pytest.mark.parametrize(
    ("least", "size", "expected"),
    [
        ({"_min_pixels": 921600}, Size(width=512, height=768), (784, 1176)),
        ({"_min_pixels": 921600}, Size(width=960, height=960), (960, 960)),
        ({"_min_pixels": 3686400}, Size(width=1024, height=1024), (1920, 1920)),
        ({"_min_side": 1024}, Size(width=512, height=768), (1024, 1536)),
        ({"_min_pixels": 921600}, Size(width=1024, height=1536), (1024, 1536)),
    ],
)
def test_a_size_below_what_the_model_makes_grows_in_its_shape(least, size, expected):
    body = body_of(replace(ORDER, size=size), model(defaults=least))

    assert (body["image_size"]["width"], body["image_size"]["height"]) == expected


def test_a_model_may_take_its_size_as_two_numbers():
    body = body_of(ORDER, model(defaults={"_fields": {"size": "width,height"}}))

    assert (body["width"], body["height"]) == (768, 1024)
    assert "image_size" not in body


def test_more_references_than_the_model_takes_are_refused_before_anything_leaves(emulator):
    fal = Fal(KEY, base_url=emulator.url)

    with pytest.raises(ProviderRejected, match="takes no reference") as caught:
        fal.submit(replace(ORDER, references=(PICTURE,)), model())

    fal.close()
    assert caught.value.reason == "INVALID_INPUT"
    assert emulator.counts()["submits"] == 0


def test_a_model_that_needs_a_reference_is_not_paid_without_one(fal_desk, emulator):
    edits = model("fal-ai/flux-pro/kontext", supports_i2i=True, needs_reference=True, max_reference_images=1)

    with pytest.raises(ProviderRejected, match="works only from a reference") as caught:
        fal_desk.provider.submit(ORDER, edits)

    assert caught.value.reason == "INVALID_INPUT"
    assert emulator.counts()["submits"] == 0


@pytest.mark.parametrize(
    "key", ["flux", "fal-ai/../x", "fal-ai/flux?x=1", "fal-ai//dev", "", "https://fal.run/a/b"]
)
def test_a_key_that_is_no_model_of_fals_never_becomes_an_address(fal_desk, emulator, key):
    with pytest.raises(ProviderRejected) as caught:
        fal_desk.provider.submit(ORDER, model(key))

    assert caught.value.reason == "MODEL_UNKNOWN"
    assert emulator.counts()["submits"] == 0


@pytest.mark.parametrize("bad", [float("nan"), {1, 2}])
def test_defaults_that_are_no_json_are_refused_before_anything_leaves(fal_desk, emulator, bad):
    with pytest.raises(ProviderRejected, match="cannot be written as JSON"):
        fal_desk.provider.submit(ORDER, model(defaults={"strength": bad}))

    assert emulator.counts()["submits"] == 0


@pytest.mark.parametrize(
    ("key", "app"),
    [
        ("fal-ai/flux/dev", "fal-ai/flux"),
        ("fal-ai/bytedance/seedream/v4/edit", "fal-ai/bytedance"),
        ("workflows/team/portrait/v2", "workflows/team/portrait"),
        ("fal-ai/fast-sdxl", "fal-ai/fast-sdxl"),
    ],
)
def test_requests_live_under_owner_and_app_whatever_the_model_is_called(fal_desk, emulator, key, app):
    ticket = fal_desk.provider.submit(ORDER, model(key))

    assert ticket.status_url == f"{emulator.url}/{app}/requests/{ticket.request_id}/status"
    assert isinstance(fal_desk.finish(replace(ticket, status_url="", result_url="", cancel_url="")), Finished)


def test_every_model_of_fals_that_ships_can_be_ordered(fal_desk, emulator):
    shipped = [one for one in catalog.load().models if one.provider == "fal"]
    for one in shipped:
        can, references = one.capabilities, (PICTURE,) * min(one.capabilities.max_reference_images, 1)
        chosen = replace(model(one.model_key, defaults=one.input_defaults), capabilities=can)

        ticket = fal_desk.provider.submit(replace(ORDER, references=references), chosen)

        body = emulator.request(ticket.request_id)["body"]
        assert body["prompt"] == ORDER.prompt
        assert not [name for name in body if not name or name.startswith("_")]
        assert ("image_url" in body or "image_urls" in body) == can.supports_i2i
        assert ("seed" in body) == can.supports_seed
        assert fal_desk.finish(ticket).units == 1

    assert len(shipped) >= 5


def test_addresses_on_another_host_are_replaced_by_our_own(fal_desk, emulator):
    emulator.fault("submit", "foreign_urls")

    ticket = fal_desk.submit()

    assert ticket.status_url.startswith(emulator.url)
    assert ticket.result_url.startswith(emulator.url)
    assert ticket.cancel_url.startswith(emulator.url)


@pytest.mark.parametrize("at", ["status", "result"])
def test_a_redirect_does_not_take_the_key_along(fal_desk, emulator, at):
    ticket = fal_desk.submit()
    with Emulator() as stranger:
        emulator.fault(at, "redirect", location=f"{stranger.url}/files/x/0.jpeg")

        with pytest.raises(ProviderUnreachable):
            fal_desk.provider.poll(ticket)

        assert stranger.counts()["leaked_keys"] == 0


def test_a_proxy_that_does_not_let_us_out_means_that_nothing_was_sent(emulator):
    with httpx.Client(proxy=emulator.url, trust_env=False, timeout=5) as client:
        fal = Fal(KEY, client=client)

        with pytest.raises(ProviderBusy):
            fal.submit(ORDER, model())

    assert emulator.counts()["submits"] == 0


def test_a_result_that_is_taken_up_again_is_still_being_drawn(fal_desk, emulator):
    emulator.set(latency=60)
    still_running = fal_desk.submit()
    emulator.set(latency=0)
    completed = fal_desk.submit()

    stand = fal_desk.provider.poll(replace(completed, result_url=still_running.result_url))

    assert stand == Running(stage=JobStage.drawing)


def test_an_answer_without_bounds_is_not_read_to_its_end(fal_desk, emulator, monkeypatch):
    monkeypatch.setattr(provider_http, "MAX_ANSWER", 2000)
    emulator.fault("outcome", "data_uri")
    ticket = fal_desk.submit()

    with pytest.raises(ProviderUnreachable, match="too large"):
        fal_desk.provider.poll(ticket)


def test_a_picture_inside_the_json_is_handed_over_as_bytes(fal_desk, emulator):
    emulator.fault("outcome", "data_uri")

    finished = fal_desk.finish(fal_desk.submit())

    with Image.open(io.BytesIO(finished.images[0].data)) as image:
        assert image.size == (256, 320)
    assert finished.images[0].url == ""


def test_what_was_billed_is_read_from_fals_header(fal_desk, emulator):
    emulator.set(unit="megapixel")
    fal_desk.order = replace(fal_desk.order, size=Size(width=1024, height=1536))

    finished = fal_desk.finish(fal_desk.submit())

    assert str(finished.units) == "1.5729"
    assert finished.billed_usd is None


def test_drawing_time_is_the_providers_own(fal_desk, emulator):
    emulator.set(latency=0.2)
    ticket = fal_desk.submit()

    while isinstance(stand := fal_desk.provider.poll(ticket), Running):
        assert stand.stage is JobStage.drawing

    assert 0.19 <= stand.seconds < 10


def test_positions_count_down_as_fal_tells_them(fal_desk, emulator):
    emulator.set(queue_positions=2, progress_polls=1)
    ticket = fal_desk.submit()

    stands = [fal_desk.provider.poll(ticket) for _ in range(3)]

    assert [(stand.stage, stand.queue_position) for stand in stands] == [
        (JobStage.provider_queue, 1),
        (JobStage.provider_queue, 0),
        (JobStage.drawing, None),
    ]


def test_a_request_that_fal_never_saw_cannot_be_cancelled_any_more(fal_desk, emulator):
    ticket = fal_desk.submit()
    emulator.reset()

    assert fal_desk.provider.cancel(ticket) is CancelAnswer.too_late


def test_a_wrong_key_is_refused_and_pauses_fal_for_everybody(emulator):
    fal = Fal("not-the-key", base_url=emulator.url)

    with pytest.raises(ProviderRejected) as caught:
        fal.submit(ORDER, model())

    fal.close()
    assert (caught.value.reason, caught.value.pauses) == ("BAD_KEY", True)
    assert "not-the-key" not in f"{caught.value} {caught.value!r} {fal!r} {vars(fal)!r}"


def test_origins_are_compared_as_a_browser_would():
    assert origin_of("https://Queue.fal.run/a") == origin_of("https://queue.fal.run:443/b?c")
    assert origin_of("http://queue.fal.run") != origin_of("https://queue.fal.run")
    assert origin_of("https://queue.fal.run.example.org") != origin_of("https://queue.fal.run")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("3", 3.0), ("-4", 0.0), ("inf", 86_400.0), ("soon", None), ("", None), ("nan", 0.0)],
)
def test_an_unreadable_time_to_come_back_is_no_time(value, expected):
    assert retry_after(httpx.Headers({"retry-after": value})) == expected
