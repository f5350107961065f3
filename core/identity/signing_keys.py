"""The public keys of somebody who signs tokens, read from their JWKS and kept.

An attacker chooses the key id of a token, so an unknown one must not cost a request each: all threads together ask at
most once in `INTERVAL`. The keys that were read last go on to count while the server is away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import cast

import httpx
import jwt
import structlog

from core.errors import SignInUnavailable

ALGORITHMS: Mapping[str, str] = {
    "ES256": "EC",
    "RS256": "RSA",
}  # by what a token says, the kind of key it needs
TTL = 600.0  # seconds, as Supabase Auth's own Cache-Control says
INTERVAL = 30.0  # seconds between two requests for the sake of an unknown key id
AWAY_INTERVAL = 5.0  # seconds between two requests to a server that did not answer
TIMEOUT = httpx.Timeout(5.0)
LONGEST = 256 * 1024  # bytes
SMALLEST_RSA = 2048  # bits

Keys = Mapping[str, jwt.PyJWK]

_log = structlog.stdlib.get_logger(__name__)


class SigningKeys:
    """Keys by their id. `find` may be called from any thread."""

    def __init__(
        self,
        read: Callable[[], Keys],
        *,
        ttl: float = TTL,
        interval: float = INTERVAL,
        away_interval: float = AWAY_INTERVAL,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`read` asks the server; it raises SignInUnavailable."""
        self._read = read
        self._ttl = ttl
        self._interval = interval
        self._away_interval = away_interval
        self._now = now
        self._asking = threading.Lock()
        self._keys: Keys | None = None
        self._read_at = float("-inf")
        self._asked_at = float("-inf")
        self._is_away = False

    def find(self, key_id: str) -> jwt.PyJWK | None:
        """The key, None where there is none of that id. Raises SignInUnavailable where that cannot be said now."""
        key = self._known(key_id)
        if key is not None:
            if self._is_due(self._ttl):
                self._renew_if_nobody_does()
            return self._known(key_id)
        if self._may_ask():
            with self._asking:
                if self._known(key_id) is None and self._may_ask():
                    self._ask()
        if self._known(key_id) is None and self._is_away:
            raise SignInUnavailable(
                "Who is asking could not be checked: the sign-in does not answer. Try again soon."
            )
        return self._known(key_id)

    def _known(self, key_id: str) -> jwt.PyJWK | None:
        return self._keys.get(key_id) if self._keys is not None else None

    def _is_due(self, seconds: float) -> bool:
        return self._now() - self._read_at >= seconds

    def _may_ask(self) -> bool:
        return self._now() - self._asked_at >= (self._away_interval if self._is_away else self._interval)

    def _renew_if_nobody_does(self) -> None:
        # A key that is known need not wait for the server: one thread asks, the others use what they have.
        if self._may_ask() and self._asking.acquire(blocking=False):
            try:
                if self._is_due(self._ttl) and self._may_ask():
                    self._ask()
            finally:
                self._asking.release()

    def _ask(self) -> None:
        try:
            keys = self._read()
        except SignInUnavailable:
            self._is_away = True
            _log.warning("signing_keys_not_read", kept=len(self._keys or ()))
        else:
            self._keys, self._is_away, self._read_at = keys, False, self._now()
        finally:
            self._asked_at = self._now()


def read_keys(client: httpx.Client, address: str) -> Keys:
    """The keys at a JWKS address by their id: those that sign, of the kinds in ALGORITHMS; others are left out.

    Raises SignInUnavailable.
    """
    return usable_keys(read_json(client, address).get("keys"))


def usable_keys(listed: object) -> Keys:
    """The keys of a JWKS that tokens are believed by, each bound to its one algorithm."""
    found: dict[str, jwt.PyJWK] = {}
    for entry in cast("list[object]", listed) if isinstance(listed, list) else []:
        key = _usable(cast("dict[str, object]", entry)) if isinstance(entry, dict) else None
        if key is not None and key.key_id is not None:
            found[key.key_id] = key
    return found


def _usable(entry: Mapping[str, object]) -> jwt.PyJWK | None:
    wanted = {"EC": "ES256", "RSA": "RS256"}.get(str(entry.get("kty")))
    if wanted is None or entry.get("alg", wanted) != wanted or entry.get("use", "sig") != "sig":
        return None
    if not isinstance(entry.get("kid"), str) or (wanted == "ES256" and entry.get("crv") != "P-256"):
        return None
    try:
        key = jwt.PyJWK(dict(entry), algorithm=wanted)
    except (jwt.PyJWTError, ValueError, TypeError):  # somebody else's bytes
        return None
    return key if getattr(key.key, "key_size", 0) >= (SMALLEST_RSA if wanted == "RS256" else 0) else None


def read_json(client: httpx.Client, address: str) -> Mapping[str, object]:
    """The JSON object at an address. Raises SignInUnavailable."""
    try:
        response = client.get(address, headers={"Accept": "application/json"})
        said: object = response.json() if response.is_success and len(response.content) <= LONGEST else None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as exc:
        raise SignInUnavailable("The sign-in does not answer. Try again soon.") from exc
    if not isinstance(said, dict):
        raise SignInUnavailable(
            "The sign-in answers with something that cannot be used. Try again soon; if it stays so, tell an admin."
        )
    return cast("dict[str, object]", said)


def new_client() -> httpx.Client:
    """A client for those who sign people in; it follows no redirect, which would carry secrets along."""
    return httpx.Client(timeout=TIMEOUT, follow_redirects=False)
