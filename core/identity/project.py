"""A Supabase project's Auth, over the `supabase` client: how it is reached, and what its refusals become.

The client replaces its own rights by those of whoever signs in on it (reference/supabase.md §1), so one that signs in
is thrown away afterwards, and one with the secret key never signs in. All share the connections of one httpx client.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import datetime

import httpx
import structlog
from pydantic import SecretStr, ValidationError
from supabase import Client, ClientOptions, create_client
from supabase_auth.errors import (
    AuthApiError,
    AuthError,
    AuthRetryableError,
    AuthSessionMissingError,
    AuthWeakPasswordError,
)

from core.errors import (
    BadRequest,
    Conflict,
    NotAllowed,
    NotFound,
    SessionEnded,
    SetupFailed,
    SignInUnavailable,
    StudioError,
    TooManyAttempts,
    WrongCredentials,
)
from core.identity import letter_ended, project_address

ACCESS_ENDED = "ACCESS_ENDED"  # reason: the access token does not count any more; the sign-in behind it may
LONGEST_WAIT = 3600.0  # seconds of a Retry-After that are believed
_AWAY = "Supabase Auth does not answer, so nobody can sign in or be looked up now. Try again in a minute."
_UNREADABLE = (
    "Supabase Auth answered with something that cannot be used. Try again in a minute; if it stays so, an admin should "
    "check that SUPABASE_URL leads to a Supabase project."
)
_SETUP = (
    "Supabase Auth does not accept this studio's key, or signing in by e-mail is switched off there. An admin should "
    "check SUPABASE_URL, the keys, and the project's sign-in settings."
)
_WRONG = "E-mail and password do not fit together. Check both, or ask for a new password."
_NOT_CONFIRMED = (
    "This e-mail address is not confirmed yet. Open the link in the message you were sent, then sign in."
)
_ENDED = "You were signed out. Sign in again."
_TOO_MANY = "Too many attempts were made. Wait a little, then try again."
_NOT_ANOTHER = "That is the password you have. Choose another one, or sign in with it."
_SECOND_FACTOR = "Your account has a second factor, which this page cannot ask for, so Auth keeps the old password. Ask an admin."
_BY_SINGLE_SIGN_ON = "Your account has its password at single sign-on. Change it there."
_WEAK = {  # by Auth's own words, the worst first
    "pwned": "This password stands in lists of stolen ones, so it is guessed early. Choose another one.",
    "characters": "Your project wants more kinds of characters: mix small and capital letters, digits and signs.",
    "length": "Your project wants a longer password. Add a word or two.",
}

# By Auth's own words (reference/supabase.md §4). Who is banned reads what everybody reads who may not sign in.
_MEANINGS: Mapping[str, Callable[[], StudioError]] = {
    **dict.fromkeys(
        ("invalid_credentials", "user_banned", "validation_failed", "email_address_invalid"),
        lambda: WrongCredentials(_WRONG),
    ),
    **dict.fromkeys(
        ("email_not_confirmed", "provider_email_needs_verification"),
        lambda: WrongCredentials(_NOT_CONFIRMED, code="EMAIL_NOT_CONFIRMED"),
    ),
    **dict.fromkeys(
        (
            "refresh_token_not_found",
            "refresh_token_already_used",
            "session_not_found",
            "session_expired",
        ),
        lambda: SessionEnded(_ENDED),
    ),
    "bad_jwt": lambda: SessionEnded(_ENDED, code=ACCESS_ENDED),
    **dict.fromkeys(("otp_expired", "reauthentication_needed"), letter_ended),
    "same_password": lambda: BadRequest(_NOT_ANOTHER, field="password", code="SAME_PASSWORD"),
    "insufficient_aal": lambda: NotAllowed(_SECOND_FACTOR, code="SECOND_FACTOR"),
    "user_sso_managed": lambda: NotAllowed(_BY_SINGLE_SIGN_ON, code="SINGLE_SIGN_ON"),
    "user_not_found": lambda: NotFound("There is no such person any more. Reload the page."),
    **dict.fromkeys(
        ("email_exists", "user_already_exists"),
        lambda: Conflict(
            "Somebody with this e-mail address has an account already. Find them, and give them roles."
        ),
    ),
    "email_address_not_authorized": lambda: BadRequest(
        "The project may not send messages to this address. An admin should set up its own mail server there.",
        field="email",
    ),
}
_log = structlog.stdlib.get_logger(__name__)


class Project:
    """One Supabase project as somebody with `key` sees its Auth."""

    def __init__(self, url: str, key: str, http: httpx.Client) -> None:
        """Asks nothing yet. Raises SetupFailed where address or key can be none."""
        self.url = project_address(url)
        self._key = SecretStr(_fit_for_a_header(key))
        self.http = http

    def __repr__(self) -> str:
        return "Project()"  # the key stays in here

    def client(self) -> Client:
        """A client of its own; it keeps no session and starts no timer. What it asks for brings no code: whoever opens a
        message may sit at another browser than the one that asked for it.
        """
        options = ClientOptions(
            httpx_client=self.http, persist_session=False, auto_refresh_token=False, flow_type="implicit"
        )
        return create_client(self.url, self._key.get_secret_value(), options)


@contextmanager
def said_plainly(deed: str) -> Generator[None]:
    """Turn Auth's refusals into our errors; no exception of supabase, httpx or pydantic leaves such a block."""
    try:
        yield
    except AuthRetryableError as exc:
        raise SignInUnavailable(_AWAY) from exc
    except AuthApiError as exc:
        raise _ours(exc, deed) from exc
    except AuthWeakPasswordError as exc:
        _log.info("auth_refused", deed=deed, status=exc.status, code="weak_password")
        raise _weak(exc.reasons) from None
    except AuthSessionMissingError:  # the client looks at the end of an access token by itself
        raise SessionEnded(_ENDED, code=ACCESS_ENDED) from None
    except (AuthError, ValidationError, LookupError, TypeError, ValueError) as exc:
        # A good status with a body that says something else. What it says may hold a token: it goes no further.
        _log.warning("auth_answer_unreadable", deed=deed, error=type(exc).__name__)
        raise SignInUnavailable(_UNREADABLE) from None
    except httpx.HTTPError as exc:
        raise SignInUnavailable(_AWAY) from exc


def _weak(reasons: object) -> BadRequest:
    """By the worst of Auth's reasons; a word that is not known here is a longer password's."""
    said = [reason for reason in _WEAK if isinstance(reasons, list) and reason in reasons]
    return BadRequest(_WEAK[said[0] if said else "length"], field="password", code="WEAK_PASSWORD")


def _ours(error: AuthApiError, deed: str) -> StudioError:
    code = error.code or ""
    _log.info("auth_refused", deed=deed, status=error.status, code=code)
    if error.status == 429:  # noqa: PLR2004
        return TooManyAttempts(_TOO_MANY, retry_after=_retry_after(error))
    if error.status >= 500:  # noqa: PLR2004
        return SignInUnavailable(_AWAY)
    meaning = _MEANINGS.get(code)
    if meaning is not None:
        return meaning()
    if error.status == 400:  # noqa: PLR2004 - Auth's oldest form knows no codes
        return WrongCredentials(_WRONG)
    return SignInUnavailable(_SETUP, code="SIGN_IN_SETUP")


def _retry_after(error: AuthApiError) -> float | None:
    cause = error.__cause__
    said = cause.response.headers.get("retry-after", "") if isinstance(cause, httpx.HTTPStatusError) else ""
    return min(float(said), LONGEST_WAIT) if said.isascii() and said.isdigit() else None


def moment(text: object) -> datetime | None:
    """A time of Auth's with its zone, None where there is none. Raises ValueError."""
    found = datetime.fromisoformat(text) if isinstance(text, str) and text else text
    if not isinstance(found, datetime):
        return None
    if found.tzinfo is None:
        raise ValueError("a time without its zone")
    return found


def _fit_for_a_header(key: str) -> str:
    if not (key.isascii() and key.isprintable() and key):
        raise SetupFailed("A key of Supabase holds characters that no key has. Copy it again, in one line.")
    return key
