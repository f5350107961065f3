"""What proves a webhook: the rules of reference/providers.md §1.8 and §2.4, and every way to fail them."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from replicate.webhook import Webhooks, WebhookSigningSecret

from core.errors import BadRequest, NotAllowed, ProviderUnreachable, SetupFailed
from core.providers import webhooks
from core.providers.fal import Fal
from core.providers.novita import Novita
from core.providers.replicate import Replicate
from core.providers.runpod import RunPod
from core.providers.webhooks import Kept, Proof
from core.storage.links import Links
from tests.emulator import webhooks as played

unhurried = settings(deadline=None)  # a busy machine is no fault of a rule
AT = 1_700_000_000
NOW = datetime.fromtimestamp(AT, UTC)
NUMBER = "123e4567-e89b-12d3-a456-426614174000"
# The test vectors of reference/providers.md, made from the providers' own rules.
FAL_X = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"
FAL_BODY = (
    f'{{"request_id":"{NUMBER}","gateway_request_id":"{NUMBER}","status":"OK","payload":{{"images":[]}}}}'
).encode()
FAL_HEADERS = {
    "x-fal-webhook-request-id": NUMBER,
    "x-fal-webhook-user-id": "user_1",
    "x-fal-webhook-timestamp": str(AT),
    "x-fal-webhook-signature": (
        "cdfd842ef3d75a31170e9deac1078cd54374a791403545be4e589c65ed136b0198091651252e967f74e1768d4af7fffd"
        "d26cbfc8c20197e14fab40e513cb630f"
    ),
}
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
REPLICATE_BODY = b'{"id":"abc","status":"succeeded"}'
REPLICATE_HEADERS = {
    "webhook-id": "msg_1",
    "webhook-timestamp": str(AT),
    "webhook-signature": "v1,pX+/+NmJvLCfNC73EqbaaOt+i9FM/Qcwr84ZNZVKySU=",
}


def other_key():
    raw = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32).public_key().public_bytes_raw()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def fal():
    provider = Fal("key")
    keys = {"keys": [{"crv": "Ed25519", "x": x} for x in (other_key(), FAL_X)]}
    provider._keys = Kept(lambda: webhooks.ed25519_keys(keys))
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def replicate():
    provider = Replicate("token", webhook_secret=SECRET)
    yield provider
    provider.close()


def with_byte(data, place, change):
    place %= len(data)
    return data[:place] + bytes([data[place] ^ change]) + data[place + 1 :]


# ---- fal


def test_fal_is_believed_by_any_of_its_keys(fal):
    notice = fal.read_webhook(FAL_HEADERS, FAL_BODY, NOW)

    assert (notice.request_ids, notice.word, notice.proof) == ((NUMBER,), "OK", Proof.signed)


@unhurried
@given(place=st.integers(min_value=0), change=st.integers(1, 255))
def test_one_changed_byte_of_fals_message_is_refused(fal, place, change):
    with pytest.raises(NotAllowed) as refused:
        fal.read_webhook(FAL_HEADERS, with_byte(FAL_BODY, place, change), NOW)

    assert refused.value.reason == "FORGED"


@unhurried
@given(
    name=st.sampled_from(sorted(FAL_HEADERS)),
    place=st.integers(min_value=0),
    change=st.characters(codec="latin-1"),
)
def test_one_changed_letter_of_fals_headers_is_refused(fal, name, place, change):
    value = FAL_HEADERS[name]
    place %= len(value)
    changed = value[:place] + change + value[place + 1 :]
    if changed.lower() == value.lower() and name.endswith("signature"):
        return  # the same digits

    if changed == value:
        return
    with pytest.raises(NotAllowed):
        fal.read_webhook(FAL_HEADERS | {name: changed}, FAL_BODY, NOW)


@pytest.mark.parametrize("name", sorted(FAL_HEADERS))
def test_a_header_that_fal_signs_with_and_that_is_missing_is_refused(fal, name):
    with pytest.raises(NotAllowed):
        fal.read_webhook({key: value for key, value in FAL_HEADERS.items() if key != name}, FAL_BODY, NOW)


def test_fals_header_must_name_the_request_of_its_body():
    key = Ed25519PrivateKey.from_private_bytes(b"\x09" * 32)
    provider = Fal("key")
    provider._keys = Kept(lambda: (key.public_key(),))
    message = f"another\nuser_1\n{AT}\n{hashlib.sha256(FAL_BODY).hexdigest()}"
    headers = FAL_HEADERS | {
        "x-fal-webhook-request-id": "another",
        "x-fal-webhook-signature": key.sign(message.encode()).hex(),
    }

    with pytest.raises(NotAllowed):
        provider.read_webhook(headers, FAL_BODY, NOW)

    provider.close()


# ---- replicate


def test_replicate_is_believed_by_its_secret(replicate):
    notice = replicate.read_webhook(REPLICATE_HEADERS, REPLICATE_BODY, NOW)

    assert (notice.request_ids, notice.word, notice.proof) == (("abc",), "succeeded", Proof.signed)


def test_one_of_several_signatures_of_replicate_is_enough(replicate):
    several = "v2,xyz v1,AAAA " + REPLICATE_HEADERS["webhook-signature"]

    notice = replicate.read_webhook(REPLICATE_HEADERS | {"webhook-signature": several}, REPLICATE_BODY, NOW)

    assert notice.request_ids == ("abc",)


@unhurried
@given(place=st.integers(min_value=0), change=st.integers(1, 255))
def test_one_changed_byte_of_replicates_message_is_refused(replicate, place, change):
    with pytest.raises(NotAllowed):
        replicate.read_webhook(REPLICATE_HEADERS, with_byte(REPLICATE_BODY, place, change), NOW)


@unhurried
@given(signatures=st.text(max_size=80))
def test_no_made_up_signature_of_replicate_is_believed(replicate, signatures):
    with pytest.raises(NotAllowed):
        replicate.read_webhook(REPLICATE_HEADERS | {"webhook-signature": signatures}, REPLICATE_BODY, NOW)


@pytest.mark.parametrize("secret", ["", "whsec_", "AAECAwQF", "whsec_not base64!", "sk_AAECAwQF"])
def test_a_secret_that_is_none_stops_the_start(secret):
    with pytest.raises(SetupFailed):
        Replicate("token", webhook_secret=secret or " ")


# ---- both: time


@pytest.mark.parametrize(
    ("off", "believed"), [(0, True), (300, True), (-300, True), (301, False), (-301, False), (7200, False)]
)
def test_a_signed_time_may_lie_five_minutes_off(fal, replicate, off, believed):
    then = datetime.fromtimestamp(AT + off, UTC)
    reads = [
        lambda: fal.read_webhook(FAL_HEADERS, FAL_BODY, then),
        lambda: replicate.read_webhook(REPLICATE_HEADERS, REPLICATE_BODY, then),
    ]

    for read in reads:
        if believed:
            assert read().proof is Proof.signed
        else:
            with pytest.raises(NotAllowed) as refused:
                read()
            assert refused.value.reason == "STALE"


@pytest.mark.parametrize("time", ["", "soon", "-5", "1e9", "١٧٠٠٠٠٠٠٠٠", "1700000000.5", "9" * 13])
def test_a_signed_time_is_whole_seconds_in_plain_digits(replicate, time):
    with pytest.raises(NotAllowed):
        replicate.read_webhook(REPLICATE_HEADERS | {"webhook-timestamp": time}, REPLICATE_BODY, NOW)


# ---- unsigned ones


@unhurried
@given(body=st.binary(max_size=200))
def test_whatever_comes_to_an_unsigned_provider_is_a_hint_or_a_bad_request(body):
    for read in (Novita.read_webhook, RunPod.read_webhook):
        try:
            notice = read(object(), {}, body, NOW)
        except BadRequest:
            continue
        assert notice.proof is Proof.hint


@unhurried
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
            st.sampled_from(["payload", "task", "task_id", "status", "id", "output"]), inner
        ), max_leaves=12,
    )
)  # fmt: skip
def test_no_shape_of_a_message_breaks_its_reading(value):
    body = json.dumps(value).encode()

    for read in (Novita.read_webhook, RunPod.read_webhook):
        try:
            notice = read(object(), {}, body, NOW)
        except BadRequest:
            continue
        assert all(len(number) <= 100 for number in notice.request_ids)


def test_what_is_worth_keeping_of_fals_result_holds_no_words(fal):
    key = Ed25519PrivateKey.from_private_bytes(b"\x0a" * 32)
    told = {
        "request_id": NUMBER,
        "status": "OK",
        "payload": {"images": [{"url": "https://v3.fal.media/a.png"}], "seed": 7, "prompt": "a secret wish"},
    }
    body = json.dumps(told).encode()
    message = f"{NUMBER}\nuser_1\n{AT}\n{hashlib.sha256(body).hexdigest()}"
    provider = Fal("key")
    provider._keys = Kept(lambda: (key.public_key(),))
    signature = {"x-fal-webhook-signature": key.sign(message.encode()).hex()}

    notice = provider.read_webhook(FAL_HEADERS | signature, body, NOW)

    assert notice.outcome == {
        "images": [{"url": "https://v3.fal.media/a.png"}],
        "seed": 7,
        "has_nsfw_concepts": [],
    }
    assert "v3.fal.media" not in repr(notice)
    provider.close()


# ---- keys


class Source:
    """Something that is fetched, with a clock of its own."""

    def __init__(self):
        self.now = 1000.0
        self.fetched = 0
        self.fails = False

    def fetch(self):
        self.fetched += 1
        if self.fails:
            raise ProviderUnreachable("It is away.")
        return self.fetched

    def kept(self):
        return Kept(self.fetch, clock=lambda: self.now)


def test_keys_are_fetched_once_a_day():
    source = Source()
    kept = source.kept()

    first = [kept.get() for _ in range(5)]
    source.now += 24 * 3600 - 1
    still = kept.get()
    source.now += 2
    then = kept.get()

    assert (first, still, then) == ([1] * 5, 1, 2)


def test_unknown_keys_are_looked_for_once_a_minute_at_most():
    source = Source()
    kept = source.kept()
    kept.get()

    at_once = [kept.newer() for _ in range(100)]
    source.now += 60
    later = [kept.newer() for _ in range(100)]

    assert at_once == [None] * 100
    assert later == [2] + [None] * 99


def test_keys_that_cannot_be_fetched_are_not_asked_for_by_every_message():
    source = Source()
    source.fails = True
    kept = source.kept()

    for _ in range(50):
        with pytest.raises(ProviderUnreachable):
            kept.get()
    source.now += 6
    source.fails = False

    assert kept.get() == 2


def test_keys_of_yesterday_are_not_believed_while_new_ones_cannot_be_had():
    source = Source()
    kept = source.kept()
    kept.get()
    source.now += 24 * 3600
    source.fails = True

    with pytest.raises(ProviderUnreachable):
        kept.get()


def test_a_key_document_may_hold_anything():
    document = {"keys": [None, {"crv": "Ed25519"}, {"crv": "Ed25519", "x": "!"}, {"crv": "P-256", "x": FAL_X},
                         {"crv": "Ed25519", "x": "AAAA"}, {"crv": "Ed25519", "x": FAL_X}]}  # fmt: skip

    assert len(webhooks.ed25519_keys(document)) == 1
    assert webhooks.ed25519_keys({"keys": "none"}) == ()


# ---- addresses and seals


@pytest.mark.parametrize("provider", [Fal("k"), Replicate("t"), Novita("k"), RunPod("k")], ids=repr)
@pytest.mark.parametrize(
    ("url", "taken"),
    [("https://studio.example", True), ("http://studio.example", False), ("", False), ("ftp://a", False)],
)
def test_a_provider_is_told_https_addresses_only(provider, url, taken):
    assert provider.can_call(url) is taken


@unhurried
@given(value=st.text(), other=st.text(), purpose=st.sampled_from(["callback", "file"]))
def test_a_seal_fits_one_value_and_one_purpose(value, other, purpose):
    links = Links(b"a secret of some length")
    seal = links.seal("callback", value)

    assert links.is_sealed(purpose, other, seal) == (purpose == "callback" and other == value)


@unhurried
@given(seal=st.text())
def test_no_made_up_seal_fits(seal):
    assert not Links(b"a secret of some length").is_sealed("callback", "value", seal)


# ---- the emulator signs as the real ones do


def test_replicates_own_client_accepts_what_the_emulator_signs():
    headers = played.sign_replicate(REPLICATE_BODY, {"id": "abc"}, AT, 1)

    Webhooks.validate(
        headers=headers,
        body=REPLICATE_BODY.decode(),
        secret=WebhookSigningSecret(key=played.replicate_secret(1)),
    )


def test_the_emulators_fal_signs_as_the_vector_was_made():
    seed = bytes(range(32))
    message = f"{NUMBER}\nuser_1\n{AT}\n{hashlib.sha256(FAL_BODY).hexdigest()}".encode()

    vector = Ed25519PrivateKey.from_private_bytes(seed).sign(message).hex()
    mine = played.sign_fal(FAL_BODY, {"id": NUMBER}, AT, 1)
    again = (
        f"{NUMBER}\n{mine['X-Fal-Webhook-User-Id']}\n{AT}\n{hashlib.sha256(FAL_BODY).hexdigest()}".encode()
    )

    assert vector == FAL_HEADERS["x-fal-webhook-signature"]
    assert played.fal_key(1).sign(again).hex() == mine["X-Fal-Webhook-Signature"]
