"""What the rest of the code relies on, whichever provider it talks to (style.md 18).

Each adapter runs in both modes, text to image and image to image; the table of it is written at the run's end.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from urllib.request import urlopen

import pytest
from PIL import Image

from core.errors import (
    OutcomeUnknown,
    ProviderBusy,
    ProviderRejected,
    ProviderUnreachable,
    ResultLost,
    SetupFailed,
    StudioError,
)
from core.providers import CancelAnswer
from core.providers.fal import Fal
from core.providers.novita import Novita
from core.providers.replicate import Replicate
from core.providers.runpod import RunPod
from core.services import Services, configured_providers
from core.settings import Settings
from core.values import Finished, JobStage, Running
from tests.contracts.adapters import PICTURE, REFERENCE, columns
from tests.emulator import Emulator

pytest_plugins = ["tests.contracts.fix_providers"]

FAL, REPLICATE, NOVITA, AT_ONCE, RUNPOD = "fal", "replicate", "novita", "novita at once", "runpod"
REMOTE = columns(remote=True)
POLLED = columns(polled=True)
STOPPABLE = columns(stoppable=True)
EVERY = columns()


@dataclass(frozen=True)
class Case:
    """A fault, the error of ours that it becomes with its code, and where it can happen (nobody named: anywhere)."""

    kind: str
    details: Mapping[str, object]
    error: type[StudioError] = ProviderUnreachable
    code: str = ""
    taken: int = 0  # how many requests the provider accepted in spite of it
    at: frozenset[str] = field(default_factory=frozenset)

    def __str__(self) -> str:
        return " ".join([self.kind, *(f"{name}={value}" for name, value in self.details.items())])


@dataclass(frozen=True)
class Ending:
    """A fate, and the error that says so; `billed` None where the error has no word about money."""

    kind: str
    details: Mapping[str, object]
    code: str
    billed: bool | None

    def __str__(self) -> str:
        return " ".join([self.kind, *(f"{name}={value}" for name, value in self.details.items())])


BUSY = (ProviderBusy, "PROVIDER_BUSY", 0)
UNKNOWN = (OutcomeUnknown, "OUTCOME_UNKNOWN")
REFUSES_CONTENT = frozenset({FAL, NOVITA, AT_ONCE, RUNPOD})
AT_SUBMIT = [
    Case("rate_limited", {"retry_after": 4}, *BUSY),
    Case("rate_limited", {"retry_after": None}, *BUSY),
    Case("server_error", {"status": 503, "request_id": False}, *BUSY),
    Case("server_error", {"status": 503, "request_id": True}, *UNKNOWN, 1),
    Case("server_error", {"status": 500, "request_id": False}, *UNKNOWN, 0),
    Case("server_error", {"status": 500, "request_id": True}, *UNKNOWN, 1),
    Case("server_error", {"status": 502, "request_id": False}, *UNKNOWN, 0),
    Case("server_error", {"status": 504, "request_id": True}, *UNKNOWN, 1),
    Case("reset_before", {}, *UNKNOWN, 0),
    Case("reset_after", {}, *UNKNOWN, 1),
    Case("hang", {}, *UNKNOWN, 1),
    Case("slow", {"seconds": 3}, *UNKNOWN, 1),
    Case("unreadable", {}, *UNKNOWN, 1),
    Case("no_number", {}, *UNKNOWN, 1),
    Case("bad_key", {}, ProviderRejected, "BAD_KEY"),
    Case("balance_empty", {}, ProviderRejected, "BALANCE_EMPTY"),
    Case("refused", {"type": "greater_than"}, ProviderRejected, "INVALID_INPUT"),
    # Replicate looks at the words only while it draws.
    Case(
        "refused",
        {"type": "content_policy_violation"},
        ProviderRejected,
        "CONTENT_REFUSED",
        at=REFUSES_CONTENT,
    ),
]
PASSING = [
    Case("server_error", {"status": 500}),
    Case("server_error", {"status": 502, "request_id": False}),
    Case("server_error", {"status": 503}),
    Case("rate_limited", {}),
    Case("reset_after", {}),
    Case("hang", {}),
    Case("unreadable", {}),
]
LATER = [Case("bad_key", {}, code="BAD_KEY"), Case("balance_empty", {}, code="BALANCE_EMPTY")]
ENDINGS = {
    FAL: [
        Ending("content_policy", {}, "CONTENT_REFUSED", billed=False),
        Ending("black", {}, "CONTENT_REFUSED", billed=True),
        Ending("invalid_input", {"type": "greater_than"}, "INVALID_INPUT", billed=False),
        Ending("invalid_input", {"type": "image_load_error"}, "INVALID_INPUT", billed=False),
        Ending("model_error", {}, "PROVIDER_FAILED", billed=False),
        Ending("no_images", {}, "NO_IMAGE", billed=True),
        Ending("expired", {"status": 404}, "RESULT_LOST", billed=None),
        Ending("expired", {"status": 410}, "RESULT_LOST", billed=None),
    ],
    # Replicate's failed runs can be charged, what never began cannot (providers.md §2.6).
    REPLICATE: [
        Ending("content_policy", {}, "CONTENT_REFUSED", billed=True),
        Ending("content_policy", {"type": "E005"}, "CONTENT_REFUSED", billed=True),
        Ending("model_error", {}, "PROVIDER_FAILED", billed=True),
        Ending("model_error", {"type": "E1001"}, "OUT_OF_MEMORY", billed=True),
        Ending("model_error", {"type": "E6716"}, "PROVIDER_FAILED", billed=True),
        Ending("aborted", {}, "NEVER_STARTED", billed=False),
        Ending("no_images", {}, "NO_IMAGE", billed=True),
        Ending("expired", {}, "RESULT_LOST", billed=None),
    ],
    NOVITA: [
        Ending("content_policy", {}, "CONTENT_REFUSED", billed=True),
        Ending("black", {}, "CONTENT_REFUSED", billed=True),
        Ending("model_error", {}, "PROVIDER_FAILED", billed=True),
        Ending("no_images", {}, "NO_IMAGE", billed=True),
        Ending("expired", {}, "RESULT_LOST", billed=None),
    ],
    AT_ONCE: [
        Ending("content_policy", {}, "CONTENT_REFUSED", billed=False),
        Ending("model_error", {}, "PROVIDER_FAILED", billed=True),
        Ending("no_images", {}, "NO_IMAGE", billed=True),
    ],
    RUNPOD: [
        Ending("content_policy", {}, "CONTENT_REFUSED", billed=True),
        Ending("invalid_input", {}, "INVALID_INPUT", billed=True),
        Ending("invalid_input", {"type": "list"}, "INVALID_INPUT", billed=True),
        Ending("model_error", {}, "PROVIDER_FAILED", billed=True),
        Ending("model_error", {"type": "memory"}, "OUT_OF_MEMORY", billed=True),
        Ending("timed_out", {}, "PROVIDER_FAILED", billed=True),
        Ending("no_images", {}, "NO_IMAGE", billed=True),
        Ending("no_output", {}, "RESULT_LOST", billed=None),
        Ending("expired", {}, "RESULT_LOST", billed=None),
    ],
}


def cells(wanted: Iterable[str], cases: Iterable[Case]) -> list[object]:
    """Each column with each case that can happen there."""
    return [
        pytest.param(column, case, id=f"{column}-{case}")
        for column in wanted
        for case in cases
        if not case.at or column.rpartition(" ")[0] in case.at
    ]


def endings() -> list[object]:
    return [
        pytest.param(column, case, id=f"{column}-{case}")
        for name, cases in ENDINGS.items()
        for column in columns(name)
        for case in cases
    ]


def of(wanted: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("desk", wanted, indirect=True)


def faulty(wanted: list[object]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("desk", "case"), wanted, indirect=["desk"])


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


# ---- what goes well


@pytest.mark.row("a picture of the right size")
@of(EVERY)
def test_an_order_becomes_a_picture_of_the_size_that_was_asked_for(desk):
    finished = desk.finish(desk.submit())

    assert picture(finished).size == (256, 320)
    assert finished.seed == (desk.order.seed if desk.model.capabilities.supports_seed else finished.seed)


@pytest.mark.row("one order, one bill, no key leaked")
@of(REMOTE)
def test_one_order_is_one_paid_request(desk, emulator):
    picture(desk.finish(desk.submit()))

    counts = emulator.counts()["providers"][desk.provider.name]
    assert (counts["submits"], counts["charged"], counts["leaked_keys"]) == (1, 1, 0)
    assert list(emulator.counts()["providers"]) == [desk.provider.name]


@pytest.mark.row("the reference arrives")
@of([one for one in REMOTE if one.endswith("I2I")])
def test_the_reference_reaches_the_provider_and_only_where_one_was_given(desk, emulator):
    desk.submit()

    (line,) = emulator.counts()["requests"]
    sent = str(emulator.request(line["id"])["body"])
    assert sent.count(REFERENCE.partition(",")[2]) == 1


@pytest.mark.row("nothing private in a receipt's repr")
@of(EVERY)
def test_a_receipt_names_its_provider_and_hides_addresses_and_prompt(desk):
    ticket = desk.submit()

    assert ticket.provider == desk.provider.name
    assert ticket.model_key == desk.model.model_key
    assert ticket.request_id
    assert "http" not in repr(ticket)
    assert "seagull" not in repr(ticket) + repr(desk.order) + repr(desk.provider)


@pytest.mark.row("asking again gives the same picture")
@of(EVERY)
def test_asking_again_gives_the_same_picture(desk):
    ticket = desk.submit()

    first = picture(desk.finish(ticket))
    second = picture(desk.finish(ticket))

    assert first.tobytes() == second.tobytes()


@of(REMOTE)
def test_asking_again_buys_nothing(desk, emulator):
    ticket = desk.submit()

    for _ in range(3):
        desk.finish(ticket)

    assert emulator.counts()["submits"] == 1


@of(EVERY)
def test_two_orders_are_two_requests(desk):
    tickets = [desk.submit() for _ in range(2)]

    assert tickets[0].request_id != tickets[1].request_id


@of(EVERY)
def test_results_come_only_from_places_that_the_adapter_names(desk):
    finished = desk.finish(desk.submit())

    hosts = desk.provider.download_hosts
    assert all(image.data is not None or image.url.startswith(hosts) for image in finished.images)


@pytest.mark.row("a result has its deadline")
@of(REMOTE)
def test_a_result_says_until_when_it_can_be_fetched(desk):
    before = time.time()

    finished = desk.finish(desk.submit())

    assert finished.expires_at is not None
    assert finished.expires_at.tzinfo is not None
    assert 1700 < finished.expires_at.timestamp() - before < 3700


@of(REMOTE)
def test_only_a_provider_that_names_its_bill_has_one(desk):
    finished = desk.finish(desk.submit())

    in_units = desk.name == FAL
    in_dollars = desk.name == RUNPOD and "_endpoint" in desk.model.input_defaults
    assert (finished.units is not None) is in_units
    assert (finished.billed_usd is not None) is in_dollars


@of(POLLED)
def test_stages_follow_the_provider_and_may_go_back(desk, emulator):
    emulator.fault("outcome", "regress")
    ticket = desk.submit()

    stages = [desk.provider.poll(ticket).stage for _ in range(3)]

    assert stages == [JobStage.drawing, JobStage.provider_queue, JobStage.drawing]
    assert isinstance(desk.provider.poll(ticket), Finished)


@of(POLLED)
def test_a_request_behind_others_is_in_the_providers_queue(desk, emulator):
    emulator.set(latency=30, concurrency=1)
    desk.submit()
    desk.submit()
    third = desk.submit()

    stand = desk.provider.poll(third)

    told = 1 if desk.name == FAL else None
    assert stand == Running(stage=JobStage.provider_queue, queue_position=told)


# ---- the paid request


@pytest.mark.row("submit")
@faulty(cells(REMOTE, AT_SUBMIT))
def test_a_paid_request_leaves_once_and_its_failure_is_one_of_ours(desk, emulator, case):
    emulator.fault("submit", case.kind, **case.details)

    with pytest.raises(case.error) as caught:
        desk.submit()

    counts = emulator.counts()
    assert type(caught.value) is case.error
    assert caught.value.reason == case.code
    assert (counts["submits"], counts["accepted"]) == (1, case.taken)


@of(REMOTE)
@pytest.mark.parametrize("kind", ["bad_key", "balance_empty"])
def test_an_answer_that_concerns_everybody_pauses_the_provider(desk, emulator, kind):
    emulator.fault("submit", kind)

    with pytest.raises(ProviderRejected) as caught:
        desk.submit()

    assert caught.value.pauses
    assert not caught.value.billed


@of(REMOTE)
def test_a_refusal_of_one_request_pauses_nobody(desk, emulator):
    emulator.fault("submit", "refused")

    with pytest.raises(ProviderRejected) as caught:
        desk.submit()

    assert not caught.value.pauses
    assert not caught.value.billed


@of(REMOTE)
@pytest.mark.parametrize(
    ("given", "least", "most"),
    [("7", 7, 7), ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0), ("Fri, 31 Dec 2100 23:59:59 GMT", 80_000, 10**10)],
)
def test_a_busy_provider_is_believed_about_when_to_come_back(desk, emulator, given, least, most):
    emulator.fault("submit", "rate_limited", retry_after=given)

    with pytest.raises(ProviderBusy) as caught:
        desk.submit()

    assert least <= caught.value.retry_after <= most


@pytest.mark.parametrize("desk_without_a_server", REMOTE, indirect=True)
def test_a_provider_that_cannot_be_reached_was_surely_not_paid(desk_without_a_server):
    with pytest.raises(ProviderBusy):
        desk_without_a_server.submit()


@of(REMOTE)
def test_a_reference_too_many_is_refused_before_anything_leaves(desk, emulator):
    most = desk.model.capabilities.max_reference_images
    desk.order = replace(desk.order, references=(PICTURE,) * (most + 1))

    with pytest.raises(ProviderRejected) as caught:
        desk.submit()

    assert caught.value.reason == "INVALID_INPUT"
    assert emulator.counts()["submits"] == 0


# ---- questions


@pytest.mark.row("status, passing")
@faulty(cells(POLLED, PASSING))
def test_a_question_is_asked_again_until_it_is_answered(desk, emulator, case):
    ticket = desk.submit()
    emulator.fault("status", case.kind, count=2, **case.details)

    stand = desk.provider.poll(ticket)

    assert isinstance(stand, Finished)
    assert emulator.counts()["submits"] == 1


@pytest.mark.row("status, staying")
@faulty(cells(POLLED, PASSING))
def test_a_question_that_stays_unanswered_is_no_verdict_on_the_picture(desk, emulator, case):
    ticket = desk.submit()
    emulator.fault("status", case.kind, count=3, **case.details)

    with pytest.raises(ProviderUnreachable):
        desk.provider.poll(ticket)

    assert isinstance(desk.provider.poll(ticket), Finished)


@pytest.mark.row("result, passing")
@faulty(cells(columns(splits=True), PASSING))
def test_a_result_with_its_own_address_is_asked_for_again_until_it_comes(desk, emulator, case):
    ticket = desk.submit()
    emulator.fault("result", case.kind, count=2, **case.details)

    assert isinstance(desk.provider.poll(ticket), Finished)


@pytest.mark.row("result, staying")
@faulty(cells(columns(splits=True), PASSING))
def test_a_result_that_stays_away_is_no_verdict_on_the_picture(desk, emulator, case):
    ticket = desk.submit()
    emulator.fault("result", case.kind, count=3, **case.details)

    with pytest.raises(ProviderUnreachable):
        desk.provider.poll(ticket)

    assert isinstance(desk.provider.poll(ticket), Finished)


@pytest.mark.row("status")
@faulty(cells(POLLED, LATER))
def test_a_key_that_is_refused_later_does_not_lose_a_paid_picture(desk, emulator, case):
    ticket = desk.submit()
    emulator.fault("status", case.kind)

    with pytest.raises(ProviderUnreachable) as caught:
        desk.provider.poll(ticket)

    assert caught.value.reason == case.code
    assert isinstance(desk.provider.poll(ticket), Finished)


@pytest.mark.row("end")
@faulty(endings())
def test_a_request_that_ends_without_a_picture_says_why(desk, emulator, case):
    emulator.fault("outcome", case.kind, **case.details)

    with pytest.raises((ProviderRejected, ResultLost)) as caught:
        desk.finish(desk.submit())

    assert caught.value.reason == case.code
    assert getattr(caught.value, "billed", None) is case.billed
    assert emulator.counts()["submits"] == 1


@faulty([one for one in endings() if AT_ONCE not in one.values[0]])
def test_an_ending_is_told_the_same_each_time_it_is_asked_about(desk, emulator, case):
    emulator.fault("outcome", case.kind, **case.details)
    ticket = desk.submit()
    said = []

    for _ in range(2):
        with pytest.raises(StudioError) as caught:
            desk.finish(ticket)
        said.append((caught.value.reason, caught.value.sentence))

    assert said[0] == said[1]


@pytest.mark.row("status: forgotten there")
@of(POLLED)
def test_a_request_that_the_provider_forgot_is_lost_and_not_made_again(desk, emulator):
    ticket = desk.submit()
    emulator.reset()

    with pytest.raises(ResultLost):
        desk.provider.poll(ticket)

    assert emulator.counts()["submits"] == 0


# ---- cancelling


@pytest.mark.row("cancel: in the queue")
@of(STOPPABLE)
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


@pytest.mark.row("cancel: too late")
@of(STOPPABLE)
def test_cancelling_too_late_says_so_and_keeps_the_picture(desk):
    ticket = desk.submit()
    desk.finish(ticket)

    answer = desk.provider.cancel(ticket)

    assert answer is CancelAnswer.too_late
    assert isinstance(desk.provider.poll(ticket), Finished)


@pytest.mark.row("cancel: cannot be stopped")
@of(columns(stoppable=False, remote=True))
def test_a_provider_that_cannot_be_stopped_says_so_and_is_not_asked(desk, emulator):
    ticket = desk.submit()
    before = emulator.counts(requests=False)

    answer = desk.provider.cancel(ticket)

    after = emulator.counts(requests=False)
    assert answer is CancelAnswer.unsupported
    assert {**after, "cpu_seconds": 0} == {**before, "cpu_seconds": 0}


@of(EVERY)
def test_what_a_cancel_answers_is_what_the_next_question_finds(desk):
    ticket = desk.submit()
    desk.finish(ticket)

    answer = desk.provider.cancel(ticket)

    if answer is CancelAnswer.stopped:
        with pytest.raises(ProviderRejected, match="cancelled"):
            desk.provider.poll(ticket)
    else:
        assert isinstance(desk.provider.poll(ticket), Finished)


@pytest.mark.row("cancel: the picture comes all the same")
@of(STOPPABLE)
def test_a_picture_that_comes_although_it_was_cancelled_is_still_handed_over(desk, emulator):
    emulator.set(latency=0.8)
    emulator.fault("outcome", "late_result")
    ticket = desk.submit()

    answer = desk.provider.cancel(ticket)
    until_nothing_runs(emulator)

    assert answer is CancelAnswer.asked
    assert isinstance(desk.provider.poll(ticket), Finished)
    assert emulator.counts()["charged"] == 1


@pytest.mark.row("cancel: server_error status=503, staying")
@of(STOPPABLE)
def test_a_cancel_that_nobody_answers_can_be_asked_again(desk, emulator):
    emulator.set(latency=30)
    ticket = desk.submit()
    emulator.fault("cancel", "server_error", status=503, count=3)

    with pytest.raises(ProviderUnreachable):
        desk.provider.cancel(ticket)

    assert desk.provider.cancel(ticket) is CancelAnswer.asked


# ---- the key


@pytest.mark.row("submit: redirect")
@of(REMOTE)
def test_a_paid_request_follows_no_redirect(desk, emulator):
    emulator.fault("submit", "redirect", location=f"{emulator.url}/fal-ai/flux/dev")

    with pytest.raises(OutcomeUnknown):
        desk.submit()

    assert emulator.counts()["submits"] == 1


@pytest.mark.row("status: redirect")
@of(POLLED)
def test_a_redirect_does_not_take_the_key_along(desk, emulator):
    ticket = desk.submit()
    with Emulator() as stranger:
        emulator.fault("status", "redirect", location=f"{stranger.url}/files/x/0.jpeg")

        with pytest.raises(ProviderUnreachable):
            desk.provider.poll(ticket)

        assert stranger.counts()["leaked_keys"] == 0


@pytest.mark.row("status: a receipt that was tampered with")
@of(POLLED)
def test_a_receipt_that_was_tampered_with_does_not_lead_the_key_astray(desk):
    ticket = desk.submit()
    with Emulator() as stranger:
        elsewhere = replace(ticket, status_url=f"{stranger.url}/files/x/0.jpeg")

        with pytest.raises(ProviderUnreachable) as caught:
            desk.provider.poll(elsewhere)

        assert caught.value.reason == "FOREIGN_ADDRESS"
        assert stranger.counts()["leaked_keys"] == 0


@pytest.mark.row("a receipt without addresses is enough")
@of([one for one in POLLED if one != "runpod I2I"])  # RunPod's public endpoints are named by the address only
def test_a_request_is_found_by_its_number_alone(desk):
    ticket = desk.submit()

    finished = desk.finish(replace(ticket, status_url="", result_url="", cancel_url=""))

    assert finished.images


@pytest.mark.parametrize("provider", [Fal, Replicate, Novita, RunPod])
@pytest.mark.parametrize("key", ["two\nlines", "schlüssel", "tab\there"])
def test_a_key_that_cannot_travel_in_a_header_is_a_setup_error_that_hides_it(provider, key):
    with pytest.raises(SetupFailed) as caught:
        provider(key)

    assert key not in str(caught.value)


@pytest.mark.parametrize("provider", [Fal, Replicate, Novita, RunPod])
@pytest.mark.parametrize(
    "url", ["ftp://host", "localhost:9000", "http://", "http://user@host", "http://[::1"]
)
def test_a_base_address_that_is_none_is_a_setup_error(provider, url):
    with pytest.raises(SetupFailed):
        provider("key", base_url=url)


@pytest.mark.parametrize(
    ("provider", "hosts"),
    [
        (Fal, {"fal.media", "*.fal.media"}),
        (Replicate, {"replicate.delivery", "*.replicate.delivery"}),
        (Novita, {"*.amazonaws.com", "*.novita.ai"}),
        (RunPod, {"*.runpod.ai", "*.runpod.io", "*.amazonaws.com", "*.r2.cloudflarestorage.com"}),
    ],
)
def test_pictures_come_from_the_providers_own_hosts_or_from_the_one_origin_that_stands_for_them(
    provider, hosts
):
    real, emulated = provider("hush-4711"), provider("hush-4711", base_url="http://127.0.0.1:9000/deeper/")

    told = (set(real.download_hosts), emulated.download_hosts)

    real.close()
    emulated.close()
    assert told == (hosts, ("http://127.0.0.1:9000",))
    assert "hush-4711" not in f"{real!r} {vars(real)!r}"


def test_a_provider_is_there_where_its_key_is_and_has_its_own_limit():
    keys = {
        "fal_key": "a-key",
        "replicate_api_token": "b-key",
        "novita_api_key": "c-key",
        "runpod_api_key": "d-key",
    }
    limits = {"fal_limit": 1, "replicate_limit": 2, "novita_limit": 3, "runpod_limit": 4, "sketch_limit": 5}
    with_all = Settings(_env_file=None, **keys, **limits)

    found = configured_providers(with_all)
    without = configured_providers(Settings(_env_file=None))

    services = SimpleNamespace(settings=with_all, providers=found)
    for provider in (*found.values(), *without.values()):
        provider.close()
    assert {name: provider.name for name, provider in found.items()} == {name: name for name in found}
    assert Services.limits.fget(services) == {
        "sketch": 5,
        "fal": 1,
        "replicate": 2,
        "novita": 3,
        "runpod": 4,
    }
    assert list(without) == ["sketch"]


# ---- what is said


@of([one for one in REMOTE if one.endswith("T2I")])
def test_no_error_repeats_the_prompt_the_key_or_an_address(desk, emulator):
    said = []
    for case in ENDINGS[desk.name]:
        emulator.fault("outcome", case.kind, **case.details)
        with pytest.raises(StudioError) as caught:
            desk.finish(desk.submit())
        said.append(f"{caught.value} {caught.value!r} {caught.value.__cause__!r}")
    for case in AT_SUBMIT:
        if case.kind not in {"hang", "slow"} and (not case.at or desk.name in case.at):
            emulator.fault("submit", case.kind, **case.details)
            with pytest.raises(StudioError) as caught:
                desk.submit()
            said.append(f"{caught.value} {caught.value!r}")

    whole = " ".join(said)

    assert len(said) >= len(ENDINGS[desk.name]) + len(AT_SUBMIT) - 3
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
