"""What is true of Novita alone: tasks and immediate answers, presigned addresses, its reasons (providers.md §3)."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from PIL import Image

from core import catalog
from core.errors import ProviderRejected, ProviderUnreachable
from core.providers import CancelAnswer
from core.providers.novita import Novita, body_of
from core.values import Capabilities, ImageModel, JobStage, ModelId, Order, Running, Size, Ticket
from tests.contracts.adapters import PATIENCE, PICTURE, PROMPT, REFERENCE
from tests.emulator import KEY

pytest_plugins = ["tests.contracts.fix_providers"]

ORDER = Order(prompt=PROMPT, negative="blurry", size=Size(width=768, height=1024), seed=11)
SHIPPED = {one.model_key: one for one in catalog.load().models if one.provider == "novita"}


def model(endpoint="/v3/async/txt2img", *, defaults=None, **can):
    return ImageModel(
        id=ModelId(None),
        provider="novita",
        model_key="model/under-test",
        display_name="Model under test",
        capabilities=Capabilities(**can),
        input_defaults={"_endpoint": endpoint, **(defaults or {})},
    )


def shipped(key):
    one = SHIPPED[key]
    found = model(defaults=one.input_defaults)
    return replace(found, model_key=key, capabilities=one.capabilities)


# ---- what is sent


def test_every_model_of_novitas_that_ships_can_be_ordered(novita_desk, emulator):
    for key, one in SHIPPED.items():
        emulator.reset()
        references = (PICTURE,) * min(one.capabilities.max_reference_images, 1)

        ticket = novita_desk.provider.submit(replace(ORDER, references=references), shipped(key))

        (line,) = emulator.counts()["requests"]
        body = emulator.request(line["id"])["body"]
        words = body.get("request", body)
        assert words["prompt"] == PROMPT
        assert not [name for name in {**words, **body} if name.startswith("_") or "." in name]
        assert ("seed" in words) == one.capabilities.supports_seed
        assert novita_desk.finish(ticket).images

    assert len(SHIPPED) == 3


def test_a_picture_task_is_wrapped_and_its_safety_check_stands_beside_it():
    body = body_of(ORDER, shipped("txt2img/sd_xl_base_1.0.safetensors"))

    assert body == {
        "extra": {"response_image_type": "png", "enable_nsfw_detection": True},
        "request": {
            "model_name": "sd_xl_base_1.0.safetensors",
            "prompt": PROMPT,
            "negative_prompt": "blurry",
            "width": 768,
            "height": 1024,
            "image_num": 1,
            "steps": 25,
            "guidance_scale": 7.5,
            "sampler_name": "Euler a",
            "seed": 11,
        },
    }


def test_a_picture_that_may_be_daring_is_not_checked():
    body = body_of(replace(ORDER, safety_checker=False), shipped("txt2img/sd_xl_base_1.0.safetensors"))

    assert body["extra"]["enable_nsfw_detection"] is False


def test_a_reference_travels_bare_where_the_field_is_called_base64():
    body = body_of(replace(ORDER, references=(PICTURE,)), shipped("img2img/sd_xl_base_1.0.safetensors"))

    assert body["request"]["image_base64"] == REFERENCE.partition(",")[2]


def test_seedream_draws_no_watermark_and_takes_its_size_as_one_text():
    body = body_of(replace(ORDER, references=(PICTURE,)), shipped("seedream-4.0"))

    assert body["watermark"] is False
    assert body["size"] == "888x1184"
    assert body["images"] == [REFERENCE]
    assert body["max_images"] == 1


def test_a_prompt_beyond_novitas_limit_is_refused_before_anything_leaves(novita_desk, emulator):
    order = replace(ORDER, prompt="a" * 1025)

    with pytest.raises(ProviderRejected, match="at most 1024 characters and this one has 1025") as caught:
        novita_desk.provider.submit(order, shipped("txt2img/sd_xl_base_1.0.safetensors"))

    assert caught.value.reason == "INVALID_INPUT"
    assert emulator.counts()["submits"] == 0


@pytest.mark.parametrize(
    "endpoint", ["", "/v2/txt2img", "/v3/../user", "//elsewhere.example/v3", "/v3/a?b=c", "/v3/", "v3/a"]
)
def test_what_is_no_endpoint_of_novitas_never_becomes_an_address(novita_desk, emulator, endpoint):
    with pytest.raises(ProviderRejected) as caught:
        novita_desk.provider.submit(ORDER, model(endpoint))

    assert caught.value.reason == "MODEL_UNKNOWN"
    assert emulator.counts()["submits"] == 0


# ---- an answer that already is the result


def test_an_immediate_answer_is_kept_in_the_receipt_and_needs_no_further_question(at_once_desk, emulator):
    ticket = at_once_desk.submit()
    stored = Ticket(**json.loads(json.dumps(asdict(ticket))))
    before = emulator.counts(requests=False)["status_calls"]

    finished = at_once_desk.provider.poll(stored)

    assert finished.images
    assert finished == at_once_desk.provider.poll(ticket)
    assert emulator.counts(requests=False)["status_calls"] == before == 0


def test_an_immediate_answer_is_waited_for_longer_than_any_question(emulator, impatient_client):
    emulator.set(latency=2 * PATIENCE)
    novita = Novita(KEY, base_url=f"{emulator.url}/novita", client=impatient_client, answer_within=10)

    ticket = novita.submit(ORDER, model("/v3/seedream-4.0"))

    assert novita.poll(ticket).images


def test_immediate_answers_may_list_objects_in_place_of_addresses(at_once_desk):
    ticket = at_once_desk.provider.submit(ORDER, model("/v3beta/flux-1-schnell"))

    assert at_once_desk.provider.poll(ticket).images[0].url.startswith("http://127.0.0.1")


def test_a_receipt_that_holds_its_result_expires_when_its_addresses_do():
    received = datetime(2026, 11, 20, 12, tzinfo=UTC)
    ticket = Ticket(
        provider="novita",
        request_id="answer-1",
        model_key="seedream-4.0",
        answer={
            "images": ["https://a.s3.amazonaws.com/1.png?X-Amz-Expires=900&X-Amz-Signature=x"],
            "received_at": received.isoformat(),
        },
    )
    novita = Novita("hush")

    finished = novita.poll(ticket)

    novita.close()
    assert finished.expires_at == received + timedelta(seconds=900)


# ---- what comes back


def test_a_presigned_address_is_fetched_without_the_key_because_two_are_refused(novita_desk, emulator):
    url = novita_desk.finish(novita_desk.submit()).images[0].url

    alone = httpx.get(url, trust_env=False)
    with_key = httpx.get(url, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False)

    assert (alone.status_code, with_key.status_code) == (200, 400)
    assert emulator.counts()["leaked_keys"] == 1
    with Image.open(io.BytesIO(alone.content)) as image:
        assert image.size == (256, 320)


def test_numbers_that_come_as_text_are_numbers(novita_desk, emulator):
    emulator.set(latency=0.2)
    novita_desk.order = replace(novita_desk.order, seed=2**53 + 1)

    finished = novita_desk.finish(novita_desk.submit())

    assert finished.seed == 2**53 + 1
    assert 0.15 <= finished.seconds < 10


def test_an_address_lives_as_long_as_the_answer_says_from_the_tasks_end(novita_desk, emulator):
    ticket = novita_desk.submit()
    ended = emulator.request(ticket.request_id)["finished_at"]

    finished = novita_desk.finish(ticket)

    lives = (finished.expires_at - datetime.fromtimestamp(ended, UTC)).total_seconds()
    assert abs(lives - 3600) < 0.01


def test_stages_are_the_providers_own(novita_desk, emulator):
    emulator.set(queue_positions=1, progress_polls=1)
    ticket = novita_desk.submit()

    stands = [novita_desk.provider.poll(ticket).stage for _ in range(2)]

    assert stands == [JobStage.provider_queue, JobStage.drawing]


def test_a_picture_inside_the_json_is_handed_over_as_bytes(novita_desk, emulator):
    emulator.fault("outcome", "data_uri")

    finished = novita_desk.finish(novita_desk.submit())

    assert finished.images[0].data.startswith(b"\x89PNG")


def test_a_task_that_cannot_be_stopped_goes_on(novita_desk, emulator):
    emulator.set(latency=30)
    ticket = novita_desk.submit()

    assert novita_desk.provider.cancel(ticket) is CancelAnswer.unsupported

    assert novita_desk.provider.poll(ticket) == Running(stage=JobStage.drawing, fraction=None)


# ---- how it says no


@pytest.mark.parametrize(
    ("reason", "status", "code", "pauses"),
    [
        ("INVALID_REQUEST_BODY", 400, "INVALID_INPUT", False),
        ("IMAGE_FILE_EXCEEDS_MAX_SIZE", 400, "INVALID_INPUT", False),
        ("ILLEGAL_PROMPT", 400, "CONTENT_REFUSED", False),
        ("ILLEGAL_IMAGE_CONTENT", 400, "CONTENT_REFUSED", False),
        ("API_NOT_FOUND", 404, "MODEL_UNKNOWN", False),
        ("MISSING_API_KEY", 400, "BAD_KEY", True),
        ("INVALID_API_KEY", 403, "BAD_KEY", True),
        ("INVALID_API_KEY", 401, "BAD_KEY", True),
        ("BILLING_BALANCE_NOT_ENOUGH", 400, "BALANCE_EMPTY", True),
        ("BILLING_BALANCE_NOT_ENOUGH", 403, "BALANCE_EMPTY", True),
        ("BILLING_AUTH_FAILED", 403, "ACCOUNT_BLOCKED", True),
        ("NEED_REAL_NAME_VERIFY", 403, "ACCOUNT_BLOCKED", True),
        ("FEATURE_NOT_ALLOWED", 403, "NOT_PERMITTED", False),
        ("API_NOT_ALLOWED", 403, "NOT_PERMITTED", False),
        ("SOMETHING_NEW", 403, "NOT_PERMITTED", False),
        ("SOMETHING_NEW", 400, "INVALID_INPUT", False),
    ],
)
def test_the_reason_decides_and_not_the_status_alone(novita_desk, emulator, reason, status, code, pauses):
    emulator.fault("submit", "refused", type=reason, status=status)

    with pytest.raises(ProviderRejected) as caught:
        novita_desk.submit()

    assert (caught.value.reason, caught.value.pauses, caught.value.billed) == (code, pauses, False)


def test_a_balance_that_ran_out_as_a_400_does_not_lose_a_paid_picture(novita_desk, emulator):
    ticket = novita_desk.submit()
    emulator.fault("status", "balance_empty")

    with pytest.raises(ProviderUnreachable) as caught:
        novita_desk.provider.poll(ticket)

    assert caught.value.reason == "BALANCE_EMPTY"
    assert novita_desk.finish(ticket).images


def test_a_task_that_failed_while_it_was_waited_for_is_an_end_and_not_a_riddle(at_once_desk, emulator):
    emulator.fault("outcome", "model_error")

    with pytest.raises(ProviderRejected) as caught:
        at_once_desk.submit()

    assert (caught.value.reason, caught.value.billed) == ("PROVIDER_FAILED", True)
    assert emulator.counts()["submits"] == 1
