"""Signing in: who may try how often, and what comes of it (decision 0038).

Failures are counted before Auth is asked, by account, by address, and by both, so that many attempts at once are many.
Each count waits longer and longer, and never long: nobody locks a colleague out by guessing their password. A browser
that signed in to an account before counts by itself, apart from all others: it does not wait for strangers.
"""

from __future__ import annotations

import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from core import log, sessions
from core.db import attempts, people
from core.db.attempts import Counted
from core.errors import (
    Conflict,
    NotAllowed,
    NotSignedIn,
    SignInUnavailable,
    StudioError,
    TooManyAttempts,
    WrongCredentials,
)
from core.identity import Tokens, renewing
from core.sessions import Begun

if TYPE_CHECKING:
    from core.db.sessions import Way
    from core.services import Services

NO_ROLE: Final = "NO_ROLE"
LONGEST_EMAIL: Final = 254
LONGEST_PASSWORD: Final = 1024
WINDOW: Final = timedelta(minutes=15)  # after that without a failure the count begins anew
_KNOWN_FOR: Final = timedelta(days=180)  # a browser that signed in before

_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """What the browser keeps: the session's cookie, and the one by which it is known to this account from now on."""

    session: Begun
    known: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Who tries: the address they come from, what their browser holds of an earlier session, and of knowing it."""

    address: str
    session: str | None = field(default=None, repr=False)
    known: str | None = field(default=None, repr=False)


def with_password(email: str, password: str, asker: Asker, services: Services) -> SignedIn:
    """Sign in by e-mail and password.

    Raises WrongCredentials, the same for an account that is not there; TooManyAttempts with the seconds to wait;
    NotAllowed (NO_ROLE); Conflict (everything of theirs was ended meanwhile); SignInUnavailable, DatabaseUnavailable.
    """
    email = email.strip()
    if services.sign_in is None:
        raise SignInUnavailable("Nobody signs in by e-mail here.")
    if not email or not password or len(email) > LONGEST_EMAIL or len(password) > LONGEST_PASSWORD:
        raise WrongCredentials(WRONG)
    counted = _counted(email, asker, services)
    _count(counted, services)
    asked_at = sessions.asked_now(services)
    try:
        tokens = services.sign_in.sign_in(email, password)
    except WrongCredentials as error:
        _log.info("sign_in_refused")
        if error.reason == "EMAIL_NOT_CONFIRMED":  # said only to whoever knows the password
            raise
        raise WrongCredentials(WRONG) from None
    except BaseException:
        _take_back(counted, services)
        raise
    _forgive(counted, services)
    return begun(tokens, asker, services, way="password", email=email, asked_at=asked_at)


WRONG: Final = "That e-mail and password do not belong together. Check both and try again."


def begun(
    tokens: Tokens,
    asker: Asker,
    services: Services,
    *,
    way: Way,
    email: str | None = None,
    asked_at: datetime | None = None,
) -> SignedIn:
    """A session for whom Auth named, where they hold a role. `asked_at`: the moment before Auth was asked
    (`sessions.asked_now`). Raises NotAllowed (NO_ROLE), Conflict (ENDED_MEANWHILE) as `sessions.begin`.
    """
    identity = tokens.identity
    if not identity.roles:
        _log.info("sign_in_without_role", person=str(identity.person))
        give_back(tokens.access_token, services)
        raise NotAllowed(
            f"{identity.email or 'This account'} is known, but holds no role in the studio yet. "
            "Ask an admin for the editor, qa, product or admin role, then sign in again.",
            code=NO_ROLE,
        )
    with services.db.as_service() as conn:  # a database that is not the project's has no row of theirs yet
        people.mirror(
            conn, identity.person, identity.email, sorted(identity.roles), is_banned=False, is_here=True
        )
    try:
        session = sessions.begin(tokens, services, way=way, instead_of=asker.session, asked_at=asked_at)
    except Conflict:
        give_back(tokens.access_token, services)
        raise
    return SignedIn(session=session, known=_known(email or identity.email, services))


def give_back(token: SecretStr, services: Services) -> None:
    """A sign-in that nobody will use ends at Auth too, by its access token; Auth may be away."""
    access = token.get_secret_value()
    auth = renewing(access, services.sign_in, services.oidc)
    if auth is None:
        return
    try:
        auth.sign_out(access, everywhere=False)
    except StudioError as error:
        _log.warning("sign_out_at_auth_failed", code=error.reason)


# ---- how often ---------------------------------------------------------------------------------------------------


def count_message(email: str, asker: Asker, services: Services) -> None:
    """Count that a new password's message is asked for: with the waits of the sign-in, and apart from it, so that nobody
    waits at the sign-in for what was asked for here. Raises TooManyAttempts.
    """
    _count(_counted(email, asker, services, of=("message",)), services)


@contextmanager
def counting_links(asker: Asker, services: Services) -> Generator[None]:
    """Count an unopened link of a message towards the address it comes from; one that opens counts for nothing.

    Raises TooManyAttempts.
    """
    counted = (_of_address(_network(asker.address), services, of=("link",)),)
    _count(counted, services)
    try:
        yield
    except NotSignedIn:  # it was no link of Auth's, or is none any more
        raise
    except BaseException:
        _take_back(counted, services)
        raise
    _take_back(counted, services)


def _counted(
    email: str, asker: Asker, services: Services, *, of: tuple[str, ...] = ()
) -> tuple[Counted, ...]:
    """What an attempt counts towards; `of`: what is counted apart from the sign-in."""
    account = _plain(email)
    if (browser := _browser(asker.known, account, services)) is not None:
        return (_pair(account, f"browser {browser}", services, of=of),)
    address = _network(asker.address)
    return (
        _pair(account, f"address {address}", services, of=of),
        _of_address(address, services, of=of),
        Counted(
            kind="account",
            who=_who(*of, "account", account, services=services),
            free=20,
            longest=timedelta(seconds=30),
        ),
    )


def _pair(account: str, place: str, services: Services, *, of: tuple[str, ...]) -> Counted:
    who = _who(*of, "pair", account, place, services=services)
    return Counted(kind="pair", who=who, free=5, longest=timedelta(minutes=5))


def _of_address(address: str, services: Services, *, of: tuple[str, ...]) -> Counted:
    who = _who(*of, "address", address, services=services)
    return Counted(kind="address", who=who, free=30, longest=timedelta(minutes=1))


def _who(*parts: str, services: Services) -> bytes:
    return sessions.hashed(json.dumps(parts), services)


def _count(counted: tuple[Counted, ...], services: Services) -> None:
    with services.db.as_service() as conn:
        wait = attempts.wait(conn, counted)
        if wait <= 0:
            attempts.count(conn, counted, window=WINDOW)
            return
    _log.info("sign_in_put_off", seconds=round(wait))
    raise too_many(wait)


def too_many(wait: float) -> TooManyAttempts:
    """What is said to somebody who has to wait that many seconds."""
    seconds = max(1, round(wait + 0.5))
    return TooManyAttempts(
        f"There were too many attempts. Wait {seconds} {'second' if seconds == 1 else 'seconds'}, then try again.",
        retry_after=seconds,
    )


def _take_back(counted: tuple[Counted, ...], services: Services) -> None:
    with services.db.as_service() as conn:
        attempts.take_back(conn, counted)


def _forgive(counted: tuple[Counted, ...], services: Services) -> None:
    """The right password: this pair begins anew; the wider counts only lose this attempt, for others may be guessing."""
    with services.db.as_service() as conn:
        attempts.take_back(conn, counted)
        attempts.forget(conn, counted[0])


def _plain(email: str) -> str:
    return email.strip().casefold()


def _network(address: str) -> str:
    """What one asker can change at will counts as one: an IPv6 network of 64 bits."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if isinstance(known, IPv6Address):
        if known.ipv4_mapped is not None:
            return str(known.ipv4_mapped)
        return str(IPv6Address(int(known) >> 64 << 64))
    return str(known)


# ---- browsers that were here before --------------------------------------------------------------------------------


def _known(email: str, services: Services) -> str:
    words = json.dumps([_plain(email), secrets.token_hex(8), int(time.time())]).encode()
    return urlsafe_b64encode(sessions.seal(words, services, bound_to=b"known browser")).decode().rstrip("=")


def _browser(known: str | None, account: str, services: Services) -> str | None:
    """The name of a browser that signed in to this account before; None for any other."""
    if known is None:
        return None
    try:
        words = sessions.unseal(
            urlsafe_b64decode(known + "=" * (-len(known) % 4)), services, bound_to=b"known browser"
        )
    except ValueError:
        return None
    if words is None:
        return None
    whose, name, since = json.loads(words)
    is_fresh = since > time.time() - _KNOWN_FOR.total_seconds()
    return str(name) if whose == account and is_fresh else None
