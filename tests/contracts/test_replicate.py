"""What is true of Replicate alone: official and community models, its outputs, its codes (providers.md §2)."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest
from PIL import Image

from core import catalog
from core.errors import ProviderBusy, ProviderRejected, ResultLost
from core.providers import CancelAnswer
from core.providers.replicate import MOST_INLINE, Replicate
from core.values import Capabilities, Finished, ImageModel, JobStage, ModelId, Order, Running, Size
from tests.contracts.adapters import PICTURE, PROMPT, REFERENCE, as_reference, until
from tests.emulator import KEY
from tests.emulator.replicate import VERSION

pytest_plugins = ["tests.contracts.fix_providers"]

ORDER = Order(prompt=PROMPT, negative="blurry", size=Size(width=768, height=1024), seed=11)
PINNED = "ab" * 32


def model(key="black-forest-labs/flux-schnell", *, defaults=None, **can):
    return ImageModel(
        id=ModelId(None),
        provider="replicate",
        model_key=key,
        display_name="Model under test",
        capabilities=Capabilities(**can),
        input_defaults=defaults or {},
    )


def sent(emulator):
    """Model and input of the one request that came."""
    (line,) = emulator.counts()["requests"]
    return line["model"], emulator.request(line["id"])["body"]["input"]


def large_reference():
    """A picture too large to travel inside a request."""
    picture = as_reference(Image.effect_noise((700, 700), 90))
    assert len(picture.data) > MOST_INLINE
    return picture


# ---- what is sent


def test_every_model_of_replicates_that_ships_can_be_ordered(replicate_desk, emulator):
    shipped = [one for one in catalog.load().models if one.provider == "replicate"]
    for one in shipped:
        emulator.reset()
        can, references = one.capabilities, (PICTURE,) * min(one.capabilities.max_reference_images, 1)
        chosen = replace(model(one.model_key, defaults=one.input_defaults), capabilities=can)

        ticket = replicate_desk.provider.submit(replace(ORDER, references=references), chosen)

        _, given = sent(emulator)
        assert given["prompt"] == PROMPT
        assert not [name for name in given if not name or name.startswith("_") or name.endswith("[]")]
        assert (REFERENCE in str(given)) == can.supports_i2i
        assert ("seed" in given) == can.supports_seed
        assert replicate_desk.finish(ticket).images

    assert len(shipped) == 4


def test_a_field_that_takes_a_list_gets_a_list(replicate_desk, emulator):
    shipped = {one.model_key: one for one in catalog.load().models}["bytedance/seedream-4"]
    chosen = replace(
        model(shipped.model_key, defaults=shipped.input_defaults), capabilities=shipped.capabilities
    )

    replicate_desk.provider.submit(replace(ORDER, references=(PICTURE,)), chosen)

    _, given = sent(emulator)
    assert given["image_input"] == [REFERENCE]
    assert (given["size"], given["width"], given["height"], given["max_images"]) == ("custom", 1024, 1368, 1)


def test_an_official_model_is_named_in_the_address_and_no_version_is_looked_up(replicate_desk, emulator):
    emulator.fault("lookup", "gone", count=None)

    replicate_desk.provider.submit(ORDER, model())

    assert sent(emulator)[0] == "black-forest-labs/flux-schnell"


@pytest.mark.parametrize(("wanted", "expected"), [("latest", VERSION), (PINNED, PINNED)])
def test_a_community_model_is_ordered_by_its_version(replicate_desk, emulator, wanted, expected):
    replicate_desk.provider.submit(ORDER, model("stability-ai/sdxl", defaults={"_version": wanted}))

    (line,) = emulator.counts()["requests"]
    body = emulator.request(line["id"])["body"]
    assert body["version"] == expected
    assert set(body) == {"version", "input"}


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        ({"kind": "server_error", "count": 3}, ProviderBusy, "PROVIDER_BUSY"),
        ({"kind": "reset_after", "count": 3}, ProviderBusy, "PROVIDER_BUSY"),
        ({"kind": "rate_limited", "count": 3}, ProviderBusy, "PROVIDER_BUSY"),
        ({"kind": "bad_key"}, ProviderRejected, "BAD_KEY"),
        ({"kind": "gone"}, ProviderRejected, "MODEL_UNKNOWN"),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_a_version_that_cannot_be_looked_up_buys_nothing(replicate_desk, emulator, fault, error, code):
    emulator.fault("lookup", **fault)

    with pytest.raises(error) as caught:
        replicate_desk.provider.submit(ORDER, model("stability-ai/sdxl", defaults={"_version": "latest"}))

    assert caught.value.reason == code
    assert emulator.counts()["submits"] == 0


@pytest.mark.parametrize(
    ("key", "version"),
    [
        ("flux", ""),
        ("a/../b", ""),
        ("owner/name?x=1", ""),
        ("", ""),
        ("https://elsewhere.example/a", ""),
        ("owner/official", "latest"),
        ("owner/name", "newest"),
    ],
)
def test_what_is_no_model_of_replicates_is_never_ordered(replicate_desk, emulator, key, version):
    with pytest.raises(ProviderRejected) as caught:
        replicate_desk.provider.submit(ORDER, model(key, defaults={"_version": version}))

    assert caught.value.reason == "MODEL_UNKNOWN"
    assert emulator.counts()["submits"] == 0


@pytest.mark.parametrize("wanted", [True, False])
def test_the_safety_checker_is_asked_for_in_replicates_reversed_words(replicate_desk, emulator, wanted):
    replicate_desk.provider.submit(replace(ORDER, safety_checker=wanted), model())

    assert sent(emulator)[1]["disable_safety_checker"] is not wanted


def test_the_paid_request_is_not_held_open_until_the_picture_is_there(emulator):
    headers = []
    hooks = {"request": [lambda request: headers.append({name.lower() for name in request.headers})]}
    with httpx.Client(event_hooks=hooks, trust_env=False) as client:
        Replicate(KEY, base_url=f"{emulator.url}/replicate", client=client).submit(ORDER, model())

    assert len(headers) == 1
    assert "prefer" not in headers[0]


def test_a_large_reference_is_uploaded_first_and_arrives_whole(replicate_desk, emulator):
    reference = large_reference()
    takes_one = model(supports_i2i=True, max_reference_images=1)

    replicate_desk.provider.submit(replace(ORDER, references=(reference,)), takes_one)

    address = sent(emulator)[1]["image"]
    assert address.startswith(f"{emulator.url}/replicate/v1/files/")
    told = httpx.get(address, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False).json()
    assert told["size"] == len(reference.data)


@pytest.mark.parametrize("kind", ["server_error", "reset_after", "unreadable"])
def test_a_reference_that_cannot_be_uploaded_buys_nothing(replicate_desk, emulator, kind):
    reference = large_reference()
    emulator.fault("lookup", kind, count=3)

    with pytest.raises(ProviderBusy, match="before anything was ordered"):
        replicate_desk.provider.submit(
            replace(ORDER, references=(reference,)), model(supports_i2i=True, max_reference_images=1)
        )

    assert emulator.counts()["submits"] == 0


def test_a_large_reference_that_can_be_fetched_from_us_is_not_uploaded(replicate_desk, emulator):
    takes_one = model(supports_i2i=True, max_reference_images=1)
    linked = replace(large_reference(), link="https://studio.portraits.org/files/a.png")

    replicate_desk.provider.submit(replace(ORDER, references=(linked,)), takes_one)

    assert sent(emulator)[1]["image"] == "https://studio.portraits.org/files/a.png"


# ---- what comes back


def test_addresses_on_another_host_are_replaced_by_our_own(replicate_desk, emulator):
    emulator.fault("submit", "foreign_urls")

    ticket = replicate_desk.submit()

    own = f"{emulator.url}/replicate/v1/predictions/{ticket.request_id}"
    assert (ticket.status_url, ticket.cancel_url) == (own, f"{own}/cancel")


@pytest.mark.parametrize(
    "key", ["black-forest-labs/flux-kontext-pro", "black-forest-labs/flux-schnell", "somebody/named-outputs"]
)
def test_a_result_may_be_one_text_a_list_or_an_object(replicate_desk, key):
    finished = replicate_desk.finish(replicate_desk.provider.submit(ORDER, model(key)))

    (image,) = finished.images
    assert image.url.startswith("http://127.0.0.1")


def test_a_picture_inside_the_json_is_handed_over_as_bytes(replicate_desk, emulator):
    emulator.fault("outcome", "data_uri")

    finished = replicate_desk.finish(replicate_desk.submit())

    with Image.open(io.BytesIO(finished.images[0].data)) as image:
        assert image.size == (256, 320)


def test_a_result_lives_one_hour_from_the_providers_own_end(replicate_desk, emulator):
    ticket = replicate_desk.submit()
    ended = emulator.request(ticket.request_id)["finished_at"]

    finished = replicate_desk.finish(ticket)

    lives = (finished.expires_at - datetime.fromtimestamp(ended, UTC)).total_seconds()
    assert abs(lives - 3600) < 0.01


def test_files_that_were_removed_are_lost_and_not_a_refusal(replicate_desk, emulator):
    emulator.fault("outcome", "expired")
    ticket = replicate_desk.submit()

    with pytest.raises(ResultLost, match="one hour"):
        replicate_desk.finish(ticket)


def test_stages_and_drawing_time_are_the_providers_own(replicate_desk, emulator):
    emulator.set(latency=0.8, queue_positions=1)
    ticket = replicate_desk.submit()

    stands = [replicate_desk.provider.poll(ticket) for _ in range(2)]
    finished = replicate_desk.finish(ticket)

    assert stands == [Running(stage=JobStage.provider_queue), Running(stage=JobStage.drawing)]
    assert 0.19 <= finished.seconds < 10


def test_a_cancel_after_the_drawing_began_may_be_charged(replicate_desk, emulator):
    emulator.set(latency=30)
    ticket = replicate_desk.submit()
    time.sleep(0.02)

    assert replicate_desk.provider.cancel(ticket) is CancelAnswer.asked

    with pytest.raises(ProviderRejected) as caught:
        replicate_desk.finish(ticket)
    assert (caught.value.reason, caught.value.billed) == ("CANCELLED", True)


@pytest.mark.parametrize("how", ["header", "field", "sentence"])
def test_when_to_come_back_is_read_wherever_replicate_writes_it(replicate_desk, emulator, how):
    emulator.fault("submit", "rate_limited", retry_after=17, type=how)

    with pytest.raises(ProviderBusy) as caught:
        replicate_desk.submit()

    assert caught.value.retry_after == 17


def test_a_prediction_that_runs_on_is_still_running_after_many_questions(replicate_desk, emulator):
    emulator.set(latency=0.3)
    ticket = replicate_desk.submit()

    until(lambda: isinstance(replicate_desk.provider.poll(ticket), Finished))

    assert emulator.counts()["submits"] == 1
