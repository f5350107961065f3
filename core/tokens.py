"""The tokens of Supabase Auth, verified on this machine (reference/supabase.md §4).

What a token says of itself is believed only after its signature: by a public key of the project (ES256, RS256), or by
its legacy secret (HS256). Which of the two is decided by the kind of key, so that no token chooses how it is checked.
Signing out does not end an access token: it counts until its `exp`.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from typing import cast

import httpx
import jwt
import structlog
from jwt.exceptions import InvalidSubjectError

from core.errors import NotSignedIn
from core.identity import Identity, name_of, person_of, project_address, roles_in, said_in
from core.identity.signing_keys import ALGORITHMS, SigningKeys, new_client, read_keys
from core.settings import Settings

AUDIENCE = "authenticated"
ROLE = "authenticated"
LEEWAY = 10  # seconds that two clocks may differ
LONGEST = 16 * 1024  # characters
REQUIRED = ("exp", "sub", "aud", "iss", "role")
LETTERS = frozenset({"otp", "magiclink", "recovery", "invite"})  # methods of a sign-in by a link in a message
LETTER_LASTS = 3600  # seconds from opening the message until a password is chosen

_log = structlog.stdlib.get_logger(__name__)


class Why(StrEnum):
    """Why a token does not count, for the log."""

    no_project = "no_project"  # there is no Supabase project here, so nobody has such a token
    unreadable = "unreadable"
    algorithm = "algorithm"
    critical_header = "critical_header"
    no_key_id = "no_key_id"
    unknown_key = "unknown_key"
    signature = "signature"
    expired = "expired"
    not_yet = "not_yet"
    audience = "audience"
    issuer = "issuer"
    missing_claim = "missing_claim"
    role = "role"
    subject = "subject"
    claims = "claims"
    no_letter = "no_letter"  # not by a link in a message, or not within the hour


class TokenRefused(NotSignedIn):
    """A token that does not count; `why` is for the log, a person reads one sentence for all."""

    def __init__(self, why: Why) -> None:
        super().__init__("Your sign-in does not count here, or not any more. Sign in again.")
        self.why = why


class TokenVerifier:
    """Knows the people of one Supabase project by their access tokens. `verify` may be called from any thread."""

    def __init__(self, settings: Settings, client: httpx.Client | None = None) -> None:
        """Asks nothing yet. A `client` that is handed in is closed by whoever made it. Raises SetupFailed."""
        self._project = project_address(settings.supabase_url) if settings.supabase_url else None
        self._secret = settings.supabase_jwt_secret
        self._http = client or new_client()
        self._owns_client = client is None
        self._keys = SigningKeys(partial(read_keys, self._http, f"{self.issuer}/.well-known/jwks.json"))

    @property
    def issuer(self) -> str:
        """What the project's tokens name as their issuer."""
        return f"{self._project}/auth/v1"

    def verify(self, token: str) -> Identity:
        """Who the token stands for.

        Raises NotSignedIn (as TokenRefused, whose `why` is logged; the token never is), SignInUnavailable where the
        project's keys could not be read.
        """
        with _refusals_logged():
            return self._identity(self._claims(token))

    def verify_letter(self, token: str) -> Identity:
        """Who the token stands for, where it came by a link in a message of Auth within the last hour: a token of any
        other sign-in changes no password here. Raises as `verify`.
        """
        with _refusals_logged():
            claims = self._claims(token)
            if not _is_of_a_letter(claims.get("amr"), time.time()):
                raise TokenRefused(Why.no_letter)
            return self._identity(claims)

    def close(self) -> None:
        """Let go of its connections."""
        if self._owns_client:
            self._http.close()

    def _identity(self, claims: Mapping[str, object]) -> Identity:
        if claims["role"] != ROLE:
            raise TokenRefused(Why.role)
        try:
            person = person_of(claims["sub"])
        except ValueError as exc:
            raise TokenRefused(Why.subject) from exc
        email = claims.get("email")
        email = email if isinstance(email, str) else ""
        return Identity(
            person=person,
            email=email,
            name=name_of(claims.get("user_metadata"), email),
            roles=roles_in(claims.get("app_metadata")),
        )

    def _claims(self, token: str) -> Mapping[str, object]:
        if self._project is None:
            raise TokenRefused(Why.no_project)
        algorithm, key = self._key(header_of(token))
        return verified(token, key, algorithm, audience=AUDIENCE, issuer=self.issuer, required=REQUIRED)

    def _key(self, header: Mapping[str, object]) -> tuple[str, jwt.PyJWK | str]:
        """The one algorithm and the one key by which this token may be checked."""
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm == "HS256" and self._secret is not None:
            return "HS256", self._secret.get_secret_value()
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise TokenRefused(Why.algorithm)
        return algorithm, public_key(self._keys, algorithm, key_id)


@contextmanager
def _refusals_logged() -> Generator[None]:
    try:
        yield
    except TokenRefused as error:
        _log.info("token_refused", why=error.why)
        raise


def _is_of_a_letter(methods: object, now: float) -> bool:
    """By the claim `amr`: a list of methods, each with the second at which it was used."""
    listed = cast("list[object]", methods) if isinstance(methods, list) else []
    return any(_is_fresh_letter(said_in(one), now) for one in listed)


def _is_fresh_letter(said: Mapping[str, object], now: float) -> bool:
    method, when = said.get("method"), said.get("timestamp")
    if not isinstance(method, str) or not isinstance(when, int):
        return False
    return method in LETTERS and now - LETTER_LASTS <= when <= now + LEEWAY


def public_key(keys: SigningKeys, algorithm: str, key_id: object) -> jwt.PyJWK:
    """The public key a token names, where it is one for that algorithm. Raises TokenRefused, SignInUnavailable."""
    if not isinstance(key_id, str) or not key_id:
        raise TokenRefused(Why.no_key_id)
    key = keys.find(key_id)
    if key is None:
        raise TokenRefused(Why.unknown_key)
    if key.algorithm_name != algorithm:
        raise TokenRefused(Why.algorithm)
    return key


def header_of(token: str) -> Mapping[str, object]:
    """What a token says of itself before anything of it is believed. Raises TokenRefused."""
    if len(token) > LONGEST or not token.isascii() or token.count(".") != 2:  # noqa: PLR2004 - three parts
        raise TokenRefused(Why.unreadable)
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError) as exc:  # a stranger's bytes
        raise TokenRefused(Why.unreadable) from exc
    if "crit" in header or "b64" in header:
        raise TokenRefused(Why.critical_header)
    return header


def verified(
    token: str,
    key: jwt.PyJWK | str,
    algorithm: str,
    *,
    audience: str,
    issuer: str,
    required: tuple[str, ...],
    strict_audience: bool = True,
) -> Mapping[str, object]:
    """The claims of a token once its signature, times, audience and issuer are sure. Raises TokenRefused."""
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=audience,
            issuer=issuer,
            leeway=LEEWAY,
            options={
                "require": list(required),
                "strict_aud": strict_audience,
                "enforce_minimum_key_length": True,
            },
        )
    except (
        jwt.PyJWTError,
        ValueError,
        TypeError,
        OverflowError,
        RecursionError,
    ) as exc:  # a stranger's bytes
        raise TokenRefused(_why(exc)) from exc
    return cast("Mapping[str, object]", claims)


# The first that fits counts.
_MEANINGS: tuple[tuple[type[Exception], Why], ...] = (
    (jwt.ExpiredSignatureError, Why.expired),
    (jwt.ImmatureSignatureError, Why.not_yet),
    (jwt.InvalidAudienceError, Why.audience),
    (jwt.InvalidIssuerError, Why.issuer),
    (jwt.MissingRequiredClaimError, Why.missing_claim),
    (InvalidSubjectError, Why.subject),
    (jwt.InvalidAlgorithmError, Why.algorithm),
    (jwt.InvalidSignatureError, Why.signature),
    (jwt.InvalidKeyError, Why.signature),
)


def _why(error: Exception) -> Why:
    return next((why for kind, why in _MEANINGS if isinstance(error, kind)), Why.claims)
