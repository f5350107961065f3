"""What the rest of the code relies on, whichever provider it talks to (style.md 18)."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from urllib.request import urlopen

import pytest
from PIL import Image

from core.errors import (
    OutcomeUnknown,
    ProviderBusy,
    ProviderRejected,
    ProviderUnreachable,
    ResultLost,
    StudioError,
)
from core.providers import CancelAnswer
from core.values import Finished, JobStage, Running

pytest_plugins = ["tests.contracts.fix_providers"]


@dataclass(frozen=True)
class Case:
    """A fault, the error of ours that it becomes with its code, and what the provider's side shows for it."""

    kind: str
    details: dict[str, object]
    error: type[StudioError]
    code: str
    shown: object  # at submit: how many requests were accepted; at the end: whether money was taken

    def __str__(self) -> str:
        return "-".join([self.kind, *(str(value) for value in self.details.values())])


AT_SUBMIT = [
    Case("rate_limited", {"retry_after": 4}, ProviderBusy, "PROVIDER_BUSY", 0),
    Case("rate_limited", {"retry_after": None}, ProviderBusy, "PROVIDER_BUSY", 0),
    Case("server_error", {"status": 503, "request_id": False}, ProviderBusy, "PROVIDER_BUSY", 0),
    Case("server_error", {"status": 503, "request_id": True}, OutcomeUnknown, "OUTCOME_UNKNOWN", 1),
    Case("server_error", {"status": 500, "request_id": False}, OutcomeUnknown, "OUTCOME_UNKNOWN", 0),
    Case("server_error", {"status": 500, "request_id": True}, OutcomeUnknown, "OUTCOME_UNKNOWN", 1),
    Case("server_error", {"status": 502, "request_id": False}, OutcomeUnknown, "OUTCOME_UNKNOWN", 0),
    Case("server_error", {"status": 504, "request_id": True}, OutcomeUnknown, "OUTCOME_UNKNOWN", 1),
    Case("reset_before", {}, OutcomeUnknown, "OUTCOME_UNKNOWN", 0),
    Case("reset_after", {}, OutcomeUnknown, "OUTCOME_UNKNOWN", 1),
    Case("hang", {}, OutcomeUnknown, "OUTCOME_UNKNOWN", 1),
    Case("slow", {"seconds": 4}, OutcomeUnknown, "OUTCOME_UNKNOWN", 1),
    Case("unreadable", {}, OutcomeUnknown, "OUTCOME_UNKNOWN", 1),
    Case("bad_key", {}, ProviderRejected, "BAD_KEY", 0),
    Case("balance_empty", {}, ProviderRejected, "BALANCE_EMPTY", 0),
    Case("refused", {"type": "greater_than"}, ProviderRejected, "INVALID_INPUT", 0),
    Case("refused", {"type": "content_policy_violation"}, ProviderRejected, "CONTENT_REFUSED", 0),
]
PASSING = [
    ("server_error", {"status": 500}),
    ("server_error", {"status": 502, "request_id": False}),
    ("server_error", {"status": 503}),
    ("rate_limited", {}),
    ("reset_after", {}),
    ("hang", {}),
    ("unreadable", {}),
]
ENDINGS = [
    Case("content_policy", {}, ProviderRejected, "CONTENT_REFUSED", shown=False),
    Case("black", {}, ProviderRejected, "CONTENT_REFUSED", shown=True),
    Case("invalid_input", {"type": "greater_than"}, ProviderRejected, "INVALID_INPUT", shown=False),
    Case("invalid_input", {"type": "image_load_error"}, ProviderRejected, "INVALID_INPUT", shown=False),
    Case("model_error", {}, ProviderRejected, "PROVIDER_FAILED", shown=False),
    Case("no_images", {}, ProviderRejected, "NO_IMAGE", shown=True),
    Case("expired", {"status": 404}, ResultLost, "RESULT_LOST", None),
    Case("expired", {"status": 410}, ResultLost, "RESULT_LOST", None),
]


def picture(finished: Finished) -> Image.Image:
    """The first picture of a result, decoded whole; fetched as a stranger would, without a key."""
    image = finished.images[0]
    data = image.data
    if data is None:
        with urlopen(image.url, timeout=10) as answer:
            data = answer.read()
    decoded = Image.open(io.BytesIO(data))
    decoded.load()
    return decoded


def test_an_order_becomes_a_picture_of_the_size_that_was_asked_for(any_desk):
    finished = any_desk.finish(any_desk.submit())

    assert picture(finished).size == (256, 320)
    assert finished.seed == any_desk.order.seed


def test_one_order_is_one_paid_request(desk, emulator):
    desk.finish(desk.submit())

    counts = emulator.counts()
    assert (counts["submits"], counts["charged"], counts["leaked_keys"]) == (1, 1, 0)


def test_a_receipt_names_its_provider_and_hides_addresses_and_prompt(any_desk):
    ticket = any_desk.submit()

    assert ticket.provider == any_desk.provider.name
    assert ticket.model_key == any_desk.model.model_key
    assert ticket.request_id
    assert "http" not in repr(ticket)
    assert "seagull" not in repr(ticket) + repr(any_desk.order) + repr(any_desk.provider)


def test_asking_again_gives_the_same_picture(any_desk):
    ticket = any_desk.submit()

    first = picture(any_desk.finish(ticket))
    second = picture(any_desk.finish(ticket))

    assert first.tobytes() == second.tobytes()


def test_asking_again_buys_nothing(desk, emulator):
    ticket = desk.submit()

    for _ in range(3):
        desk.finish(ticket)

    assert emulator.counts()["submits"] == 1


def test_two_orders_are_two_requests(any_desk):
    tickets = [any_desk.submit() for _ in range(2)]

    assert tickets[0].request_id != tickets[1].request_id


def test_results_come_only_from_places_that_the_adapter_names(any_desk):
    finished = any_desk.finish(any_desk.submit())

    hosts = any_desk.provider.download_hosts
    assert all(image.data is not None or image.url.startswith(hosts) for image in finished.images)


def test_a_result_says_until_when_it_can_be_fetched_and_what_was_billed(desk):
    finished = desk.finish(desk.submit())

    assert finished.expires_at is not None
    assert finished.expires_at.tzinfo is not None
    assert finished.units == 1


def test_stages_follow_the_provider_and_may_go_back(desk, emulator):
    emulator.fault("outcome", "regress")
    ticket = desk.submit()

    stages = [desk.provider.poll(ticket) for _ in range(3)]

    assert stages == [
        Running(stage=JobStage.drawing),
        Running(stage=JobStage.provider_queue, queue_position=3),
        Running(stage=JobStage.drawing),
    ]
    assert isinstance(desk.provider.poll(ticket), Finished)


def test_the_place_in_the_providers_queue_is_told(desk, emulator):
    emulator.set(latency=30, concurrency=1)
    desk.submit()
    desk.submit()
    third = desk.submit()

    stand = desk.provider.poll(third)

    assert stand == Running(stage=JobStage.provider_queue, queue_position=1)


@pytest.mark.parametrize("case", AT_SUBMIT, ids=str)
def test_a_paid_request_leaves_once_and_its_failure_is_one_of_ours(desk, emulator, case):
    emulator.fault("submit", case.kind, **case.details)

    with pytest.raises(case.error) as caught:
        desk.submit()

    counts = emulator.counts()
    assert type(caught.value) is case.error
    assert caught.value.reason == case.code
    assert (counts["submits"], counts["accepted"]) == (1, case.shown)


@pytest.mark.parametrize("kind", ["bad_key", "balance_empty"])
def test_an_answer_that_concerns_everybody_pauses_the_provider(desk, emulator, kind):
    emulator.fault("submit", kind)

    with pytest.raises(ProviderRejected) as caught:
        desk.submit()

    assert caught.value.pauses
    assert not caught.value.billed


def test_a_refusal_of_one_request_pauses_nobody(desk, emulator):
    emulator.fault("submit", "refused")

    with pytest.raises(ProviderRejected) as caught:
        desk.submit()

    assert not caught.value.pauses
    assert not caught.value.billed


@pytest.mark.parametrize(
    ("given", "least", "most"),
    [("7", 7, 7), ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0), ("Fri, 31 Dec 2100 23:59:59 GMT", 10**8, 10**10)],
)
def test_a_busy_provider_is_believed_about_when_to_come_back(desk, emulator, given, least, most):
    emulator.fault("submit", "rate_limited", retry_after=given)

    with pytest.raises(ProviderBusy) as caught:
        desk.submit()

    assert least <= caught.value.retry_after <= most


def test_a_provider_that_cannot_be_reached_was_surely_not_paid(desk_without_a_server):
    with pytest.raises(ProviderBusy):
        desk_without_a_server.submit()


@pytest.mark.parametrize("at", ["status", "result"])
@pytest.mark.parametrize(("kind", "details"), PASSING)
def test_a_question_is_asked_again_until_it_is_answered(desk, emulator, at, kind, details):
    ticket = desk.submit()
    emulator.fault(at, kind, count=2, **details)

    stand = desk.provider.poll(ticket)

    assert isinstance(stand, Finished)
    assert emulator.counts()["submits"] == 1


@pytest.mark.parametrize("at", ["status", "result"])
@pytest.mark.parametrize(("kind", "details"), PASSING)
def test_a_question_that_stays_unanswered_is_no_verdict_on_the_picture(desk, emulator, at, kind, details):
    ticket = desk.submit()
    emulator.fault(at, kind, count=3, **details)

    with pytest.raises(ProviderUnreachable):
        desk.provider.poll(ticket)

    assert isinstance(desk.provider.poll(ticket), Finished)


@pytest.mark.parametrize(("at", "kind"), [("status", "bad_key"), ("result", "balance_empty")])
def test_a_key_that_is_refused_later_does_not_lose_a_paid_picture(desk, emulator, at, kind):
    ticket = desk.submit()
    emulator.fault(at, kind)

    with pytest.raises(ProviderUnreachable) as caught:
        desk.provider.poll(ticket)

    assert caught.value.reason == kind.upper()
    assert isinstance(desk.provider.poll(ticket), Finished)


@pytest.mark.parametrize("case", ENDINGS, ids=str)
def test_a_request_that_ends_without_a_picture_says_why_each_time_it_is_asked(desk, emulator, case):
    emulator.fault("outcome", case.kind, **case.details)
    ticket = desk.submit()

    for _ in range(2):
        with pytest.raises(case.error) as caught:
            desk.finish(ticket)

        assert caught.value.reason == case.code
        assert getattr(caught.value, "billed", None) is case.shown


def test_a_request_that_the_provider_forgot_is_lost_and_not_made_again(desk, emulator):
    ticket = desk.submit()
    emulator.reset()

    with pytest.raises(ResultLost):
        desk.provider.poll(ticket)

    assert emulator.counts()["submits"] == 0


def test_cancelling_a_request_in_the_queue_ends_it_unbilled(desk, emulator):
    emulator.set(latency=30, concurrency=1)
    desk.submit()
    ticket = desk.submit()

    answer = desk.provider.cancel(ticket)

    assert answer in {CancelAnswer.asked, CancelAnswer.stopped}
    with pytest.raises(ProviderRejected) as caught:
        desk.finish(ticket)
    assert caught.value.reason == "CANCELLED"
    assert not caught.value.billed


def test_cancelling_too_late_says_so_and_keeps_the_picture(desk):
    ticket = desk.submit()
    desk.finish(ticket)

    answer = desk.provider.cancel(ticket)

    assert answer is CancelAnswer.too_late
    assert isinstance(desk.provider.poll(ticket), Finished)


def test_what_a_cancel_answers_is_what_the_next_question_finds(any_desk):
    ticket = any_desk.submit()
    any_desk.finish(ticket)

    answer = any_desk.provider.cancel(ticket)

    if answer is CancelAnswer.stopped:
        with pytest.raises(ProviderRejected, match="cancelled"):
            any_desk.provider.poll(ticket)
    else:
        assert isinstance(any_desk.provider.poll(ticket), Finished)


def test_a_picture_that_comes_although_it_was_cancelled_is_still_handed_over(desk, emulator):
    emulator.set(latency=0.2)
    emulator.fault("outcome", "late_result")
    ticket = desk.submit()

    answer = desk.provider.cancel(ticket)
    until_nothing_runs(emulator)

    assert answer is CancelAnswer.asked
    assert isinstance(desk.provider.poll(ticket), Finished)
    assert emulator.counts()["charged"] == 1


def test_a_cancel_that_nobody_answers_can_be_asked_again(desk, emulator):
    emulator.set(latency=30)
    ticket = desk.submit()
    emulator.fault("cancel", "server_error", status=503, count=3)

    with pytest.raises(ProviderUnreachable):
        desk.provider.cancel(ticket)

    assert desk.provider.cancel(ticket) is CancelAnswer.asked


def test_no_error_repeats_the_prompt_the_key_or_an_address(desk, emulator):
    said = []
    for kind in ("content_policy", "invalid_input", "model_error", "black", "no_images", "expired"):
        emulator.fault("outcome", kind)
        ticket = desk.submit()
        with pytest.raises(StudioError) as caught:
            desk.finish(ticket)
        said.append(f"{caught.value} {caught.value!r} {caught.value.__cause__!r}")
    for case in AT_SUBMIT:
        emulator.fault("submit", case.kind, **case.details)
        with pytest.raises(StudioError) as caught:
            desk.submit()
        said.append(f"{caught.value} {caught.value!r}")

    whole = " ".join(said)

    assert len(said) == 6 + len(AT_SUBMIT)
    assert "seagull" not in whole
    assert "127.0.0.1" not in whole
    assert "emulator" not in whole


def until_nothing_runs(emulator):
    """Until nothing is unfinished there any more."""
    for _ in range(200):
        if emulator.counts()["unfinished"] == 0:
            return
        time.sleep(0.02)
    raise AssertionError("the emulator still has unfinished requests")
