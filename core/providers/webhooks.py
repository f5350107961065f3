"""Webhooks: what a provider sends us by itself, and whether it proves who sent it (reference/providers.md §1.8, §2.4,
§3.4, §4.3).

A webhook only makes us ask. No state, no price and no picture is taken from it; a signed one may bring a receipt,
and a note of its result for the day the provider has forgotten it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar, cast, runtime_checkable

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from core.errors import BadRequest, NotAllowed, ProviderUnreachable
from core.providers import Provider
from core.providers.reading import rows, table, words
from core.values import Ticket

TOLERANCE = 300.0  # seconds a signed time may lie from ours, either way (providers.md §1.8, §2.4)
KEYS_LIVE = 24 * 3600.0  # seconds (providers.md §1.8)
LEAST_PAUSE = (
    60.0  # seconds between two fetches of keys because none fitted: forged ones must not cause traffic
)
FAILURE_PAUSE = 5.0  # seconds until keys that could not be fetched are asked for again
MOST_KEYS_BYTES = 256 * 1024
KEYS_WITHIN = 5.0  # seconds of silence; the provider waits for our answer meanwhile

_NUMBER = re.compile(r"^[A-Za-z0-9_-]{1,100}$")
_WORD = re.compile(r"^[A-Za-z_]{1,40}$")
_SECONDS = re.compile(r"^[0-9]{1,12}$")
_SIGNATURE = re.compile(r"^[0-9a-fA-F]{128}$")

T = TypeVar("T")


class Proof(StrEnum):
    """How far a webhook can be believed."""

    signed = "signed"  # by the provider, over these very bytes
    hint = "hint"  # unsigned: nothing of it is kept before the provider was asked


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A webhook, read. `request_ids` are the numbers it may be known under, the likeliest first; `word` is what it
    says of the request, for the record only; `outcome` what of a signed result is worth keeping.
    """

    request_ids: tuple[str, ...]
    word: str
    proof: Proof
    outcome: Mapping[str, object] | None = field(default=None, repr=False)


@runtime_checkable
class ReportsBack(Provider, Protocol):
    """A provider that can be told where to report. Every method may be called from any thread."""

    def can_call(self, url: str) -> bool:
        """Whether it takes this address for its webhooks; one it does not take could spoil a paid request."""
        ...

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        """What a webhook says; `headers` have names in lower case, `body` is what came, byte by byte.

        Raises NotAllowed (`FORGED`, `STALE`), BadRequest (unreadable), ProviderUnreachable (its keys cannot be had).
        """
        ...

    def receipt_of(self, request_id: str, model_key: str, defaults: Mapping[str, object]) -> Ticket:
        """The receipt of a request that is known by its number only; `defaults` are the model's input_defaults."""
        ...


def takes_address(url: str, *, is_played: bool) -> bool:
    """True for https, which every provider asks for; an emulator (`is_played`) takes http too."""
    return url.startswith("https://") or (is_played and url.startswith("http://"))


# ---- reading


def forged(provider: str) -> NotAllowed:
    """For a webhook without a valid signature or token."""
    return NotAllowed(
        f"This message does not prove that it comes from {provider}, so nothing was done. "
        "Pictures are asked about anyway.",
        code="FORGED",
    )


def refuse_stale(provider: str, seconds: str, now: datetime) -> None:
    """Raise NotAllowed `STALE` where a signed time (Unix seconds as text) is not within TOLERANCE of `now`, `FORGED`
    where it is no time.
    """
    if not _SECONDS.match(seconds):
        raise forged(provider)
    if abs(now.timestamp() - int(seconds)) > TOLERANCE:
        raise NotAllowed(
            f"This message of {provider} is too old or from the future, so nothing was done: it may be a copy. "
            "Pictures are asked about anyway.",
            code="STALE",
        )


def json_object(provider: str, body: bytes) -> Mapping[str, object]:
    """The body as a JSON object. Raises BadRequest."""
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise _unreadable(provider) from exc
    if not isinstance(value, dict):
        raise _unreadable(provider)
    return cast("dict[str, object]", value)


def request_numbers(provider: str, *values: object) -> tuple[str, ...]:
    """Those of `values` that can be a request's number, each once. Raises BadRequest where none can."""
    found = tuple(dict.fromkeys(one for one in map(words, values) if _NUMBER.match(one)))
    if not found:
        raise _unreadable(provider)
    return found


def status_word(value: object) -> str:
    """A provider's word for where a request stands; empty where it is no word."""
    word = words(value)
    return word if _WORD.match(word) else ""


def _unreadable(provider: str) -> BadRequest:
    return BadRequest(f"This message of {provider} cannot be read: it names no request.", code="UNREADABLE")


# ---- signatures


def ed25519_keys(jwks: Mapping[str, object]) -> tuple[Ed25519PublicKey, ...]:
    """The usable public keys of a JWKS document; others in it are passed over."""
    entries = [table(entry) for entry in rows(jwks.get("keys"))]
    named = [words(one.get("x")) for one in entries if one.get("crv") == "Ed25519"]
    return tuple(key for key in map(_ed25519_key, named) if key is not None)


def _ed25519_key(x: str) -> Ed25519PublicKey | None:
    try:
        raw = base64.b64decode(x + "=" * (-len(x) % 4), altchars=b"-_", validate=True)
        return Ed25519PublicKey.from_public_bytes(raw)
    except (binascii.Error, ValueError):
        return None


def ed25519_fits(keys: tuple[Ed25519PublicKey, ...], signature: str, message: bytes) -> bool:
    """Whether one of `keys` made the signature (128 hex digits) over `message`."""
    if not _SIGNATURE.match(signature):
        return False
    made = bytes.fromhex(signature)
    return any(_verifies(key, made, message) for key in keys)


def _verifies(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def webhook_secret(text: str) -> bytes | None:
    """The key inside `whsec_<base64>`; None where it is none."""
    try:
        key = base64.b64decode(text.strip().removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if key and text.strip().startswith("whsec_") else None


def hmac_fits(key: bytes, signatures: str, message: bytes) -> bool:
    """Whether one of the `v1,<base64>` entries, parted by spaces, is the HMAC-SHA256 of `message`."""
    made = base64.b64encode(hmac.new(key, message, hashlib.sha256).digest())
    given = [entry.removeprefix("v1,") for entry in signatures.split(" ") if entry.startswith("v1,")]
    # Every entry is compared, in constant time: how long it takes says nothing.
    fits = [hmac.compare_digest(made, one.encode("utf-8", "replace")) for one in given]
    return any(fits)


# ---- keys that are fetched


class Kept(Generic[T]):
    """Something a provider publishes for checking its signatures, fetched when it is needed and kept a day at most.

    `fetch` raises ProviderUnreachable. Safe from any thread; who comes during a fetch waits for it.
    """

    def __init__(self, fetch: Callable[[], T], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._guard = threading.Lock()
        self._value: T | None = None
        self._fetched_at = self._tried_at = float("-inf")

    def __repr__(self) -> str:
        return "Kept()"

    def get(self) -> T:
        """What is kept, fetched anew after a day. Raises ProviderUnreachable."""
        with self._guard:
            if self._value is not None and self._clock() - self._fetched_at < KEYS_LIVE:
                return self._value
            return self._fetched(FAILURE_PAUSE)

    def newer(self) -> T | None:
        """Fetched anew because what is kept did not fit; None within a minute of the last try. Raises
        ProviderUnreachable.
        """
        with self._guard:
            if self._clock() - self._tried_at < LEAST_PAUSE:
                return None
            return self._fetched(LEAST_PAUSE)

    def _fetched(self, pause: float) -> T:
        if self._clock() - self._tried_at < pause:
            raise ProviderUnreachable(
                "The keys that prove a webhook could not be fetched a moment ago. It is tried again soon."
            )
        self._tried_at = self._clock()
        self._value = self._fetch()
        self._fetched_at = self._clock()
        return self._value


def fetch_public(provider: str, client: httpx.Client, url: str) -> Mapping[str, object]:
    """A small public JSON document, asked for without any key. Raises ProviderUnreachable."""
    try:
        with client.stream("GET", url, timeout=KEYS_WITHIN, follow_redirects=False) as response:
            body = _bounded(response)
    except httpx.RequestError as exc:
        raise _no_keys(provider) from exc
    if not response.is_success:
        raise _no_keys(provider)
    try:
        return json_object(provider, body)
    except BadRequest as exc:
        raise _no_keys(provider) from exc


def _bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    ends = time.monotonic() + KEYS_WITHIN
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MOST_KEYS_BYTES or time.monotonic() > ends:
            raise httpx.ReadError("too long", request=response.request)
    return bytes(body)


def _no_keys(provider: str) -> ProviderUnreachable:
    return ProviderUnreachable(
        f"The keys that prove a webhook of {provider} cannot be fetched, so it cannot be believed now. "
        f"{provider} sends it again, and pictures are asked about anyway."
    )
