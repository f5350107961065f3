"""Who somebody is: what a sign-in brings, whoever signs people in (SPEC "Two ways to run").

Supabase Auth takes an e-mail and a password (`SignIn`); an OpenID Connect provider sends people back with a code
(`core.identity.oidc`). Both keep a sign-in alive and end it (`Renews`). Roles come from `app_metadata` or from the
provider's claim, never from what a person may write about themselves.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol, cast
from uuid import UUID

import httpx
from pydantic import SecretStr

from core.errors import NotSignedIn, SetupFailed
from core.settings import Settings
from core.values import PersonId, Role

LONGEST_NAME = 80  # characters
OIDC_MARK = "oidc."  # what tokens of the OpenID Connect provider begin with here
_THIS_MACHINE: Final = ("127.0.0.1", "localhost")
LINKS_END_AT: Final = "/sign-in/password"  # where the links in Auth's messages lead


class Letter(StrEnum):
    """Which message of Auth somebody has, in Auth's own words."""

    invite = "invite"
    recovery = "recovery"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who somebody is; `name` is what a screen calls them, `email` may be empty."""

    person: PersonId
    email: str
    name: str
    roles: frozenset[Role]


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What a sign-in brings. `expires_at` is when `access_token` ends; without `refresh_token` nothing comes after it."""

    identity: Identity
    access_token: SecretStr = field(repr=False)
    refresh_token: SecretStr | None = field(repr=False)
    expires_at: datetime


class Renews(Protocol):
    """Keeps a sign-in alive and ends it. Every method may be called from any thread.

    Errors of all: SignInUnavailable where nothing usable was answered, TooManyAttempts.
    """

    def refresh(self, refresh_token: str) -> Tokens:
        """Fresh tokens; the old refresh token is used up. Raises SessionEnded where there is nothing left to renew."""
        ...

    def sign_out(self, access_token: str, *, everywhere: bool) -> None:
        """Take the sign-in back, or with `everywhere` all of this person's; one that is gone already is no error.

        Raises SessionEnded where the access token itself has ended, so that nothing could be taken back.
        """
        ...

    def close(self) -> None:
        """Let go of its connections."""
        ...


class SignIn(Renews, Protocol):
    """Signs people in by e-mail and password."""

    def sign_in(self, email: str, password: str) -> Tokens:
        """Raises WrongCredentials (`EMAIL_NOT_CONFIRMED` where only that is missing), and as `Renews`."""
        ...

    def send_recovery(self, email: str, leads_to: str | None) -> None:
        """Have Auth send the way to a new password, whose link ends at `leads_to` (None: the project's Site URL).

        Whatever Auth says of this one address, that it has no account too, is no error. Raises SignInUnavailable.
        """
        ...

    def open_letter(self, letter: Letter, token_hash: str) -> SecretStr:
        """Use up the link of a message; the access token it brings. Raises NotSignedIn `LETTER_ENDED`, and as `Renews`."""
        ...

    def set_password(self, access_token: str, password: str) -> None:
        """Give the person of that access token a new password; Auth ends their other sign-ins.

        Raises BadRequest (`WEAK_PASSWORD`, `SAME_PASSWORD`), NotSignedIn `LETTER_ENDED`, NotAllowed (an account whose
        password is not changed here), and as `Renews`.
        """
        ...


def open_sign_in(settings: Settings) -> SignIn | None:
    """Supabase Auth; None where SUPABASE_URL and its publishable key are not both set. Raises SetupFailed."""
    if settings.supabase_url is None or settings.supabase_publishable_key is None:
        return None
    # Only here: its packages take half a second to load, which nobody without Supabase should wait for.
    from core.identity.supabase import SupabaseSignIn  # noqa: PLC0415

    return SupabaseSignIn(settings.supabase_url, settings.supabase_publishable_key.get_secret_value())


def project_address(url: str) -> str:
    """SUPABASE_URL as the project itself spells it: no slash at its end, no capitals in its host. Raises SetupFailed."""
    try:
        parts = httpx.URL(url.strip())
    except httpx.InvalidURL as exc:
        raise SetupFailed("SUPABASE_URL cannot be read as an address. Copy it again.") from exc
    if parts.scheme not in {"http", "https"} or not parts.host or parts.userinfo or parts.query:
        raise SetupFailed(
            "SUPABASE_URL must be the project's address, such as https://your-project.supabase.co. Copy it again."
        )
    return str(parts).rstrip("/")


def letter_ended() -> NotSignedIn:
    """What is said where the link of a message opens nothing any more, or never did."""
    return NotSignedIn(
        "This link was used already, or is too old. Have a new message sent, and open the link in the newest one.",
        code="LETTER_ENDED",
    )


def letters_lead_to(settings: Settings) -> str | None:
    """Where the links in Auth's messages are to end: our page below PUBLIC_URL, or on this machine where the studio answers
    nobody else; None where neither is known.
    """
    if settings.public_url:
        return settings.public_url.rstrip("/") + LINKS_END_AT
    if settings.studio_host in _THIS_MACHINE and settings.studio_port:
        return f"http://{settings.studio_host}:{settings.studio_port}{LINKS_END_AT}"
    return None


def renewing(token: str, sign_in: SignIn | None, oidc: Renews | None) -> Renews | None:
    """Whoever gave this access or refresh token: the OpenID Connect provider marks its own (`OIDC_MARK`)."""
    return oidc if token.startswith(OIDC_MARK) else sign_in


def roles_in(app_metadata: object) -> frozenset[Role]:
    """The roles that `app_metadata.roles` lists; words that are no role of ours do not count, and no list is none."""
    return roles_of(said_in(app_metadata).get("roles"))


def roles_of(listed: object) -> frozenset[Role]:
    """The roles in a list of words; anything but a list is none."""
    if not isinstance(listed, list):
        return frozenset()
    words = cast("list[object]", listed)
    known = set(Role)
    return frozenset(Role(word) for word in words if isinstance(word, str) and word in known)


def said_in(foreign: object) -> Mapping[str, object]:
    """Foreign JSON where it is an object, else one that says nothing."""
    return cast("Mapping[str, object]", foreign if isinstance(foreign, dict) else {})


def person_of(text: object) -> PersonId:
    """The id in `sub` or in a user's row. Raises ValueError where it is no UUID as Postgres spells one."""
    if not isinstance(text, str) or str(UUID(text)) != text.lower():
        raise ValueError("not a UUID")
    return PersonId(UUID(text))


def name_of(said: object, email: str) -> str:
    """What a screen calls somebody: the name they gave themselves, on one line and cut, else their e-mail's first part."""
    for wanted in ("full_name", "name", "preferred_username"):
        name = shown(said_in(said).get(wanted))
        if name:
            return name
    return shown(email.partition("@")[0])


def shown(text: object) -> str:
    """A foreign text as one short line: no control or formatting character, no line break."""
    if not isinstance(text, str):
        return ""
    kept = (" " if char.isspace() else char for char in text[: LONGEST_NAME * 4])
    line = "".join(char for char in kept if unicodedata.category(char)[0] != "C")
    return " ".join(line.split())[:LONGEST_NAME].strip()
