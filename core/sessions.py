"""Who is signed in: a random cookie, its hash in the database, and the tokens of Auth behind it (decision 0038).

A session ends by signing out, after SESSION_IDLE_HOURS without its person, and after SESSION_HOURS whatever happens. Its
tokens are refreshed a little before they end, by one request whoever asks at the same moment, in this process or another;
everybody else goes on meanwhile. The cookie is stored nowhere, the tokens only encrypted.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core import log
from core.db import attempts
from core.db import sessions as rows
from core.db.sessions import NewSession, OpenSession, Way, Why
from core.errors import Conflict, SessionEnded, StudioError
from core.identity import Tokens, renewing
from core.storage.links import read_or_make_secret
from core.values import Person, PersonId, Role

if TYPE_CHECKING:
    from core.services import Services

COOKIE: Final = "studio_session"
SECURE_COOKIE: Final = (
    f"__Host-{COOKIE}"  # behind TLS: no other host of the domain can write one of this name
)

_BYTES = 32  # of a cookie's value: 256 random bits
_LENGTH = 43  # characters of 32 bytes in base64
_EARLY = timedelta(minutes=5)  # before the access ends its tokens are refreshed
_LEASE = timedelta(seconds=60)  # longer than a request to Auth may take
_PATIENCE = 10.0  # seconds to wait for a refresh that another is making, where the access is over
_LOOK_EVERY = 0.05
_ASK_AUTH_AGAIN = timedelta(seconds=30)
WITHOUT_AUTH: Final = timedelta(hours=4)  # how long an access that is over still counts while Auth is away
_CUT_OFF = "While you were signing in you were signed out everywhere, or an admin changed what you may do. Sign in again."
_KEPT = timedelta(days=30)  # a session that ended
_FAILURES_KEPT = timedelta(days=1)

_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A session that has just begun: whose it is, what its cookie holds, and when it ends at the latest."""

    person: PersonId
    value: str = field(repr=False)
    expires_at: datetime


def cookie_name(*, is_secure: bool) -> str:
    """The name of the cookie; `is_secure`: the browser reached us by https."""
    return SECURE_COOKIE if is_secure else COOKIE


def cookie_of(cookies: Mapping[str, str], *, is_secure: bool) -> str | None:
    """The session's cookie among `cookies`, None where there is none."""
    return cookies.get(cookie_name(is_secure=is_secure))


def asked_now(services: Services) -> datetime:
    """The moment before Auth is asked, by the database's clock; for `begin`."""
    with services.db.as_service() as conn:
        return rows.now(conn)


def begin(
    tokens: Tokens,
    services: Services,
    *,
    way: Way = "password",
    instead_of: str | None = None,
    asked_at: datetime | None = None,
) -> Begun:
    """Begin a session for whom Auth has just named. Its cookie is new each time: one that somebody else may know, or
    planted, never becomes a session. The session of the cookie `instead_of` ends.

    `asked_at`: when Auth was about to be asked; raises Conflict where everything of this person was ended since, by a
    ban or by themselves, or their roles were changed: what Auth answered may be older than that.
    """
    value = secrets.token_urlsafe(_BYTES)
    session = uuid4()
    refreshes = tokens.refresh_token is not None
    new = NewSession(
        id=session,
        token_hash=_hash(value, services),
        person=tokens.identity.person,
        email=tokens.identity.email,
        name=tokens.identity.name,
        roles=_words(tokens.identity.roles),
        way=way,
        sealed=_sealed(tokens, session, services),
        access_ends_at=tokens.expires_at,
        refresh_at=_refresh_at(tokens),
    )
    with services.db.as_service() as conn:
        # What cannot be asked again whether its person is still welcome lasts a day's work and no longer.
        lasts = _lasts(services) if refreshes else min(_lasts(services), _idle(services))
        ends_at = rows.insert(conn, new, lasts=lasts, asked_at=asked_at)
        if ends_at is None:
            _log.info("session_not_begun", person=str(new.person))
            raise Conflict(_CUT_OFF, code="ENDED_MEANWHILE")
        if instead_of is not None and _is_a_cookie(
            instead_of
        ):  # after the lock that ending all of them takes first
            rows.end_by_cookie(conn, _hash(instead_of, services), "replaced")
    _log.info("session_begun", session=str(session), person=str(new.person), way=way)
    return Begun(person=new.person, value=value, expires_at=ends_at)


def person_of(cookie: str | None, services: Services, *, is_active: bool = True) -> Person | None:
    """The person behind a cookie, None where no session stands.

    One indexed read; once a minute it notes that the person is here, unless the asker is a script that asks by itself
    (`is_active` False). Tokens that are due are refreshed, which may take as long as Auth takes. Raises
    DatabaseUnavailable.
    """
    if cookie is None or not _is_a_cookie(cookie):
        return None
    token_hash = _hash(cookie, services)
    found = _find(token_hash, services)
    if found is not None and found.is_due:
        found = _refreshed(found, token_hash, services)
    elif found is not None and found.is_over:
        found = _still_trusted(found, token_hash, services)
    if found is None:
        return None
    if is_active and found.is_seen_due:
        with services.db.as_service() as conn:
            rows.note_seen(conn, found.id)
    return Person(id=found.person, roles=_roles(found.roles), name=found.name or found.email)


def end(cookie: str | None, services: Services) -> None:
    """Sign out: the session ends here, then its tokens at Auth, which may be away."""
    if cookie is None or not _is_a_cookie(cookie):
        return
    with services.db.as_service() as conn:
        ended = rows.end_by_cookie(conn, _hash(cookie, services), "signed_out")
    if ended is not None:
        session, person, sealed = ended
        _log.info("session_ended", session=str(session), person=str(person), why="signed_out")
        _tell_auth([(session, sealed)], services, everywhere=False)


def end_everywhere(cookie: str | None, services: Services) -> None:
    """Sign out everywhere: every session of whoever this cookie's session belongs to; nothing where none stands."""
    person = person_of(cookie, services)
    if person is not None:
        end_all(person.id, services)


def end_all(who: PersonId, services: Services, *, why: Why = "signed_out_everywhere") -> int:
    """End every session of a person, wherever they are open, then their tokens at Auth; how many there were."""
    with services.db.as_service() as conn:
        ended = rows.end_of_person(conn, who, why)
    _log.info("sessions_ended", person=str(who), why=why, sessions=len(ended))
    _tell_auth(ended, services, everywhere=True)
    return len(ended)


def roles_changed(person: PersonId, roles: Iterable[Role], services: Services) -> int:
    """Give a person's open sessions these roles at once; how many sessions there were. Without any role they stand, and
    their person is told that the studio needs one.
    """
    with services.db.as_service() as conn:
        return rows.set_roles(conn, person, _words(roles))


def purge(services: Services) -> int:
    """Delete sessions that ended a month ago and failures of yesterday; how many rows. By the worker's clock."""
    with services.db.as_service() as conn:
        gone = rows.purge(conn, idle=_idle(services), kept=_KEPT) + attempts.purge(conn, kept=_FAILURES_KEPT)
    _log.info("sessions_purged", rows=gone)
    return gone


def form_token(bound_to: str, services: Services) -> str:
    """What a form carries beside a cookie: made of the cookie's value, so that only a page of ours can know it."""
    key = _key(read_or_make_secret(services.settings), b"forms")
    return urlsafe_b64encode(hmac.new(key, bound_to.encode(), hashlib.sha256).digest()).decode().rstrip("=")


def is_form_token(token: str, bound_to: str, services: Services) -> bool:
    """True where a form carries the token that belongs to the cookie."""
    return hmac.compare_digest(token.encode(), form_token(bound_to, services).encode())


def seal(words: bytes, services: Services, *, bound_to: bytes) -> bytes:
    """Encrypt what only this installation may read again, bound to a name. Nonce, then AES-256-GCM."""
    nonce = secrets.token_bytes(12)
    key = _key(read_or_make_secret(services.settings), b"tokens")
    return nonce + AESGCM(key).encrypt(nonce, words, bound_to)


def unseal(sealed: bytes, services: Services, *, bound_to: bytes) -> bytes | None:
    """What was sealed under that name; None where it was changed, or the secret was."""
    key = _key(read_or_make_secret(services.settings), b"tokens")
    try:
        return AESGCM(key).decrypt(sealed[:12], sealed[12:], bound_to)
    except (InvalidTag, ValueError):
        return None


def hashed(words: str, services: Services) -> bytes:
    """A name under which something is counted, from which nobody reads the name itself. 32 bytes."""
    key = _key(read_or_make_secret(services.settings), b"counts")
    return hmac.new(key, words.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()


# ---- refreshing --------------------------------------------------------------------------------------------------


def _refreshed(found: OpenSession, token_hash: bytes, services: Services) -> OpenSession | None:
    """The session with its tokens refreshed, by us or by whoever is at it; as it stands where that is not possible now."""
    with services.db.as_service() as conn:
        lease = rows.take_lease(conn, found.id, uuid4(), lasts=_LEASE)
    if lease is not None:
        _ask_auth(found, lease, services)
        now = _find(token_hash, services)
    elif found.is_over:
        now = _waited_for(token_hash, services)
    else:
        return found
    return _still_trusted(now, token_hash, services) if now is not None else None


def _ask_auth(found: OpenSession, lease: rows.Lease, services: Services) -> None:
    """The one request for this session."""
    old = _opened(lease.sealed, found.id, services)
    auth = (
        renewing(old[1], services.sign_in, services.oidc) if old is not None and old[1] is not None else None
    )
    if old is None or old[1] is None or auth is None:
        _end(found, "refused", services)
        return
    try:
        fresh = auth.refresh(old[1])
    except SessionEnded:
        _end(found, "refused", services)
        return
    except StudioError as error:
        _log.warning("session_refresh_put_off", session=str(found.id), code=error.reason)
        with services.db.as_service() as conn:
            rows.put_off(conn, found.id, lease.id, wait=_ASK_AUTH_AGAIN)
        return
    if fresh.identity.person != found.person:  # Auth named somebody else: nobody's session becomes another's
        _end(found, "refused", services)
        return
    _keep(found, lease, fresh, services)


def _keep(found: OpenSession, lease: rows.Lease, fresh: Tokens, services: Services) -> None:
    with services.db.as_service() as conn:
        kept = rows.renew(
            conn,
            found.id,
            lease,
            sealed=_sealed(fresh, found.id, services),
            name=fresh.identity.name,
            email=fresh.identity.email,
            roles=_words(fresh.identity.roles),
            access_ends_at=fresh.expires_at,
            refresh_at=_refresh_at(fresh),
        )
    _log.info("session_refreshed", session=str(found.id), kept=kept)


def _waited_for(token_hash: bytes, services: Services) -> OpenSession | None:
    """The session once the refresh that is under way is through, or has taken too long."""
    patience = time.monotonic() + _PATIENCE
    while True:
        now = _find(token_hash, services)
        if now is None or not now.is_leased or time.monotonic() >= patience or services.stopping.is_set():
            return now
        time.sleep(_LOOK_EVERY)


def _still_trusted(found: OpenSession, token_hash: bytes, services: Services) -> OpenSession | None:
    """An access that is over counts for some hours, while Auth cannot be asked; then the session ends.

    One without a refresh token was never to be asked again: it lasts as `begin` said.
    """
    if not found.is_over or found.over_for <= WITHOUT_AUTH or not found.refreshes:
        return found
    _end(found, "auth_away", services)
    return _find(token_hash, services)


def _find(token_hash: bytes, services: Services) -> OpenSession | None:
    with services.db.as_service() as conn:
        return rows.find(conn, token_hash, idle=_idle(services))


def _end(found: OpenSession, why: Why, services: Services) -> None:
    with services.db.as_service() as conn:
        rows.end(conn, found.id, why)
    _log.info("session_ended", session=str(found.id), person=str(found.person), why=why)


def _tell_auth(ended: Iterable[tuple[UUID, bytes | None]], services: Services, *, everywhere: bool) -> None:
    """Take the tokens back at Auth. Here the sessions have ended already, so nobody waits for a second try."""
    for session, sealed in ended:
        tokens = _opened(sealed, session, services)
        auth = renewing(tokens[0], services.sign_in, services.oidc) if tokens is not None else None
        if tokens is None or auth is None:
            continue
        try:
            auth.sign_out(tokens[0], everywhere=everywhere)
        except StudioError as error:
            _log.warning("sign_out_at_auth_failed", session=str(session), code=error.reason)
            continue
        if everywhere and auth is services.sign_in:  # which takes all of a person's sign-ins back at once
            return


# ---- what is kept ------------------------------------------------------------------------------------------------


def _sealed(tokens: Tokens, session: UUID, services: Services) -> bytes:
    refresh = tokens.refresh_token.get_secret_value() if tokens.refresh_token is not None else None
    words = json.dumps({"access": tokens.access_token.get_secret_value(), "refresh": refresh}).encode()
    return seal(words, services, bound_to=session.bytes)


def _opened(sealed: bytes | None, session: UUID, services: Services) -> tuple[str, str | None] | None:
    """Access and refresh token of a session; None where they are gone, or the secret was changed."""
    words = unseal(sealed, services, bound_to=session.bytes) if sealed is not None else None
    if words is None:
        return None
    kept = json.loads(words)
    return kept["access"], kept["refresh"]


def _refresh_at(tokens: Tokens) -> datetime | None:
    if tokens.refresh_token is None:
        return None
    left = tokens.expires_at - datetime.now(UTC)
    return tokens.expires_at - min(_EARLY, left / 5)


@lru_cache(maxsize=16)
def _key(secret: bytes, use: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"portrait-studio " + use).derive(secret)


def _hash(cookie: str, services: Services) -> bytes:
    """The name of a cookie's row. With another FILES_SECRET no cookie finds its row: everybody signs in again."""
    key = _key(read_or_make_secret(services.settings), b"cookies")
    return hmac.new(key, cookie.encode(), hashlib.sha256).digest()


def _is_a_cookie(value: str) -> bool:
    return len(value) == _LENGTH and value.isascii()


def _words(roles: Iterable[Role]) -> tuple[str, ...]:
    return tuple(sorted(role.value for role in roles))


def _roles(words: Iterable[str]) -> frozenset[Role]:
    found: set[Role] = set()
    for word in words:
        with suppress(ValueError):  # of a newer version
            found.add(Role(word))
    return frozenset(found)


def _idle(services: Services) -> timedelta:
    return timedelta(hours=services.settings.session_idle_hours)


def _lasts(services: Services) -> timedelta:
    return timedelta(hours=services.settings.session_hours)
