"""Single sign-on through an OpenID Connect provider: the authorisation code with PKCE, state and nonce (decision 0037).

Who comes back is known by the ID token alone. Their id here is made of issuer and subject, so that nobody else can ever
have it; an address that the provider has not verified is nobody's. Access and refresh tokens are handed on marked
(`OIDC_MARK`), so that a session knows who renews it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast
from urllib.parse import urlencode, urlsplit
from uuid import NAMESPACE_URL, UUID, uuid5

import httpx
import structlog
from pydantic import SecretStr

from core.db import Database
from core.errors import NotAllowed, NotFound, SessionEnded, SetupFailed, SignInUnavailable, TooManyAttempts
from core.identity import OIDC_MARK, Identity, Tokens, name_of, roles_of, said_in
from core.identity.people import PeopleRegister, open_people
from core.identity.signing_keys import (
    ALGORITHMS,
    AWAY_INTERVAL,
    SigningKeys,
    new_client,
    read_json,
    read_keys,
)
from core.settings import Settings
from core.tokens import TokenRefused, header_of, public_key, verified
from core.values import PersonId, Role

DISCOVERY_TTL = 3600.0  # seconds
SCOPES = "openid email profile"
REQUIRED = ("exp", "iat", "sub", "aud", "iss")
REFUSED = "SIGN_IN_REFUSED"  # reason: an ID token that cannot be believed
SHORTEST_ACCESS = 60  # seconds; what is said without an end is asked again by then
LONGEST_ACCESS = 24 * 3600  # seconds
_AWAY = "Single sign-on does not answer. Try again in a minute."
_UNUSABLE = (
    "Single sign-on answered with something that cannot be used. Try again; if it stays so, an admin should check "
    "OIDC_ISSUER and its client."
)
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A sign-in that was sent to the provider: the person goes to `url`; what comes back must carry `state`.

    Whoever keeps it until then keeps it from everybody but this browser.
    """

    url: str = field(repr=False)
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)

    def is_answered_by(self, state: str | None) -> bool:
        """True where what came back belongs to this sign-in."""
        return hmac.compare_digest(self.state.encode(), (state or "").encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, kw_only=True)
class _Provider:
    """What the discovery document says."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    revocation_endpoint: str | None
    takes_basic: bool
    gives_offline: bool


class Oidc:
    """`Renews` (core.identity), and the way in, at one OpenID Connect provider. Any thread may call it."""

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: SecretStr | None,
        people: PeopleRegister,
        *,
        roles_claim: str = "roles",
        client: httpx.Client | None = None,
    ) -> None:
        """Asks nothing yet. A `client` that is handed in is closed by whoever made it. Raises SetupFailed."""
        if not _is_safe(issuer):
            raise SetupFailed("OIDC_ISSUER must be a whole https address, such as https://login.example.org.")
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._people = people
        self._roles_claim = roles_claim
        self._http = client or new_client()
        self._owns_client = client is None
        self._finding = threading.Lock()
        self._found: tuple[float, _Provider] | None = None
        self._failed: tuple[float, SignInUnavailable] | None = None
        # ID tokens come from the provider itself: an unknown key id is a rotated key, and no stranger's storm.
        self._keys = SigningKeys(lambda: read_keys(self._http, self._provider().jwks_uri), interval=1.0)

    def __repr__(self) -> str:
        return "Oidc()"

    def begin(self, redirect_uri: str) -> Begun:
        """Where to send somebody who wants to sign in, and what to keep until they come back. Raises SignInUnavailable."""
        provider = self._provider()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "scope": f"{SCOPES} offline_access" if provider.gives_offline else SCOPES,
            "state": state,
            "nonce": nonce,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        joint = "&" if urlsplit(provider.authorization_endpoint).query else "?"
        url = f"{provider.authorization_endpoint}{joint}{urlencode(asked)}"
        return Begun(url=url, state=state, nonce=nonce, verifier=verifier)

    def finish(self, redirect_uri: str, code: str, begun: Begun) -> Tokens:
        """Who came back with `code`; their row is made, or brought up to date.

        The caller has looked that the answer's state is `begun`'s (`is_answered_by`). Raises SessionEnded (the code
        was used or is too old), NotAllowed (an address that is not verified; banned), SignInUnavailable.
        """
        said = self._ask_for_tokens(
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": redirect_uri,
                "code_verifier": begun.verifier,
            }
        )
        claims = self._claims(said.get("id_token"))
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), begun.nonce.encode()):
            raise _refused("nonce")
        return self._tokens(said, self._came_in(claims), older=None)

    def refresh(self, refresh_token: str) -> Tokens:
        """As `Renews.refresh`. Where the provider sends no new ID token, the person is as our record says."""
        person, given = _opened(refresh_token)
        if person is None:
            raise _ended()
        on_record = self._on_record(person)
        said = self._ask_for_tokens({"grant_type": "refresh_token", "refresh_token": given})
        if said.get("id_token") is None:
            return self._tokens(said, on_record, older=given)
        try:
            claims = self._claims(said["id_token"])
            if person_id(self._issuer, str(claims["sub"])) != person:
                raise _ended()
            return self._tokens(said, self._came_in(claims), older=given)
        except NotAllowed as exc:
            if exc.reason == REFUSED:  # what cannot be believed says nothing of the person either
                raise SignInUnavailable(_UNUSABLE) from exc
            raise _ended() from exc

    def sign_out(self, access_token: str, *, everywhere: bool) -> None:  # noqa: ARG002 - a provider revokes one token
        """As `Renews.sign_out`: the access token is revoked, where the provider can; the person stays signed in there."""
        person, given = _opened(access_token)
        provider = self._provider()
        if person is None or provider.revocation_endpoint is None:
            return
        if self._post(provider.revocation_endpoint, {"token": given}, provider).is_server_error:
            raise SignInUnavailable(_AWAY)

    def close(self) -> None:
        """As `Renews.close`."""
        if self._owns_client:
            self._http.close()

    # ---- what the provider says

    def _provider(self) -> _Provider:
        found = self._found
        if found is not None and time.monotonic() - found[0] < DISCOVERY_TTL:
            return found[1]
        with self._finding:
            found = self._found
            if found is not None and time.monotonic() - found[0] < DISCOVERY_TTL:
                return found[1]
            self._refuse_while_away()
            try:
                provider = self._discovered()
            except SignInUnavailable as error:
                if found is None:
                    self._failed = (time.monotonic(), error)
                    raise
                provider = found[1]  # what held an hour ago holds while the provider is away
            self._found = (time.monotonic(), provider)
            return provider

    def _refuse_while_away(self) -> None:
        """Who waited while somebody else asked in vain does not ask again, or a queue of them would hold every thread."""
        if self._failed is not None and time.monotonic() - self._failed[0] < AWAY_INTERVAL:
            raise SignInUnavailable(self._failed[1].sentence, code=self._failed[1].reason)

    def _discovered(self) -> _Provider:
        said = read_json(self._http, f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if said.get("issuer") != self._issuer:
            raise SignInUnavailable(
                "OIDC_ISSUER is not what the provider calls itself. An admin should copy `issuer` from its discovery "
                "document.",
                code="SIGN_IN_SETUP",
            )
        methods = _words(said.get("token_endpoint_auth_methods_supported"))
        revocation = said.get("revocation_endpoint")
        return _Provider(
            issuer=self._issuer,
            authorization_endpoint=_address(said, "authorization_endpoint"),
            token_endpoint=_address(said, "token_endpoint"),
            jwks_uri=_address(said, "jwks_uri"),
            revocation_endpoint=revocation if isinstance(revocation, str) and _is_safe(revocation) else None,
            takes_basic=not methods or "client_secret_basic" in methods,
            gives_offline="offline_access" in _words(said.get("scopes_supported")),
        )

    def _ask_for_tokens(self, asked: Mapping[str, str]) -> Mapping[str, object]:
        provider = self._provider()
        response = self._post(provider.token_endpoint, asked, provider)
        try:
            said: object = response.json()
        except (ValueError, RecursionError):
            said = None
        answer = said_in(said)
        if response.is_success and isinstance(answer.get("access_token"), str):
            return answer
        error = answer.get("error")
        _log.info("oidc_refused", status=response.status_code, error=error if error in _ERRORS else "")
        if error == "invalid_grant":
            raise SessionEnded("This sign-in was used already or took too long. Sign in again.")
        if error in {"invalid_client", "unauthorized_client", "invalid_request", "unsupported_grant_type"}:
            raise SignInUnavailable(_UNUSABLE, code="SIGN_IN_SETUP")
        raise SignInUnavailable(_UNUSABLE if response.is_success else _AWAY)

    def _post(self, address: str, asked: Mapping[str, str], provider: _Provider) -> httpx.Response:
        form = dict(asked)
        auth = httpx.Auth()
        secret = self._client_secret.get_secret_value() if self._client_secret is not None else None
        if secret is None:
            form["client_id"] = self._client_id
        elif provider.takes_basic:
            auth = httpx.BasicAuth(_form_encoded(self._client_id), _form_encoded(secret))
        else:
            form |= {"client_id": self._client_id, "client_secret": secret}
        try:
            response = self._http.post(address, data=form, auth=auth, headers={"Accept": "application/json"})
        except httpx.HTTPError as exc:
            raise SignInUnavailable(_AWAY) from exc
        if response.status_code == 429:  # noqa: PLR2004
            raise TooManyAttempts("Too many attempts were made. Wait a little, then try again.")
        return response

    # ---- who came

    def _claims(self, id_token: object) -> Mapping[str, object]:
        """The ID token's claims once it is surely the provider's, and for us. Raises NotAllowed, SignInUnavailable."""
        if not isinstance(id_token, str):
            raise SignInUnavailable(_UNUSABLE, code="SIGN_IN_SETUP")
        try:
            header = header_of(id_token)
            algorithm = header.get("alg")
            if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
                raise _refused("algorithm")
            claims = verified(
                id_token,
                public_key(self._keys, algorithm, header.get("kid")),
                algorithm,
                audience=self._client_id,
                issuer=self._issuer,
                required=REQUIRED,
                strict_audience=False,
            )
        except TokenRefused as refusal:
            raise _refused(refusal.why) from refusal
        self._refuse_others_token(claims)
        return claims

    def _refuse_others_token(self, claims: Mapping[str, object]) -> None:
        party, audience = claims.get("azp"), claims["aud"]
        is_for_several = isinstance(audience, list) and len(cast("list[object]", audience)) > 1
        if (party is not None or is_for_several) and party != self._client_id:
            raise _refused("azp")
        if not isinstance(claims["sub"], str) or not claims["sub"]:
            raise _refused("subject")

    def _came_in(self, claims: Mapping[str, object]) -> Identity:
        email = claims.get("email")
        if (
            not isinstance(email, str)
            or "@" not in email
            or claims.get("email_verified") not in (True, "true")
        ):
            raise NotAllowed(
                "Your provider has not verified your e-mail address, so you cannot sign in with it. Have it verified "
                "there, then try again.",
                code="EMAIL_NOT_VERIFIED",
            )
        person = person_id(self._issuer, str(claims["sub"]))
        roles = self._people.came_in(person, email.strip().lower(), self._roles(claims))
        return Identity(person=person, email=email.strip().lower(), name=name_of(claims, email), roles=roles)

    def _roles(self, claims: Mapping[str, object]) -> frozenset[Role] | None:
        """What the provider says of roles; None where it says nothing, not even an empty list."""
        found: object = claims.get(self._roles_claim)
        if found is None:
            found = claims
            for part in self._roles_claim.split("."):
                found = cast("Mapping[str, object]", found).get(part) if isinstance(found, dict) else None
        if found is None:
            return None
        return roles_of([found] if isinstance(found, str) else found)

    def _on_record(self, person: PersonId) -> Identity:
        try:
            known = self._people.one(person)
        except NotFound as exc:
            raise _ended() from exc
        if known.is_banned:
            raise _ended()
        return Identity(person=person, email=known.email, name=name_of(None, known.email), roles=known.roles)

    def _tokens(self, said: Mapping[str, object], identity: Identity, *, older: str | None) -> Tokens:
        fresh = said.get("refresh_token")
        fresh = fresh if isinstance(fresh, str) and fresh else older  # a provider need not rotate
        lasts = said.get("expires_in")
        seconds = (
            min(max(lasts, SHORTEST_ACCESS), LONGEST_ACCESS) if isinstance(lasts, int) else SHORTEST_ACCESS
        )
        return Tokens(
            identity=identity,
            access_token=SecretStr(_marked(identity.person, str(said["access_token"]))),
            refresh_token=SecretStr(_marked(identity.person, fresh)) if fresh is not None else None,
            expires_at=datetime.now(UTC) + timedelta(seconds=seconds),
        )


def open_oidc(settings: Settings, db: Database) -> Oidc | None:
    """The provider of OIDC_ISSUER, None where it or its client is not set. Raises SetupFailed."""
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        return None
    return Oidc(
        settings.oidc_issuer,
        settings.oidc_client_id,
        settings.oidc_client_secret,
        open_people(settings, db),
        roles_claim=settings.oidc_roles_claim,
    )


def person_id(issuer: str, subject: str) -> PersonId:
    """The id of whoever the provider calls `subject`: the same for ever, and nobody else's."""
    return PersonId(uuid5(uuid5(NAMESPACE_URL, issuer), subject))


_ERRORS = frozenset({
    "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
    "invalid_scope", "temporarily_unavailable", "server_error",
})  # fmt: skip


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _marked(person: PersonId, token: str) -> str:
    return f"{OIDC_MARK}{person}.{token}"


def _opened(marked: str) -> tuple[PersonId | None, str]:
    """Whose token it is, and the token itself; nobody's where it is not marked as `_marked` does."""
    person, dot, token = marked.removeprefix(OIDC_MARK).partition(".")
    if not marked.startswith(OIDC_MARK) or not dot or not token:
        return None, ""
    try:
        return PersonId(UUID(person)), token
    except ValueError:
        return None, ""


def _ended() -> SessionEnded:
    return SessionEnded("You were signed out. Sign in again.")


def _refused(why: str) -> NotAllowed:
    _log.warning("id_token_refused", why=why)
    return NotAllowed(
        "What single sign-on said about you could not be believed. Sign in again; if it stays so, tell an admin.",
        code=REFUSED,
    )


def _address(said: Mapping[str, object], name: str) -> str:
    address = said.get(name)
    if not isinstance(address, str) or not _is_safe(address):
        raise SignInUnavailable(_UNUSABLE, code="SIGN_IN_SETUP")
    return address


def _is_safe(address: str) -> bool:
    """True for https, and for anything on this very machine."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    )


def _words(listed: object) -> Sequence[object]:
    return cast("list[object]", listed) if isinstance(listed, list) else []


def _form_encoded(text: str) -> str:
    """As RFC 6749 §2.3.1 has it before it goes into Basic."""
    return urlencode({"": text})[1:]
