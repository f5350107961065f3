"""The first and a forgotten password, by a link in a message of Supabase Auth (SPEC "Two ways to run"; decision 0045).

Whoever was invited, or forgot, opens the link. What it brings is a sign-in at Auth of one hour at most, which we never
make a session of: it sets the new password, and with that one signs in. So a link that was read over a shoulder, or opened
by a colleague, is worth nothing once a password is chosen, and every session from before is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from core import log, sessions, signing_in
from core.db import activity, people
from core.errors import BadRequest, NotSignedIn, SignInUnavailable
from core.identity import Identity, Letter, letter_ended, roles_in
from core.identity.people import checked_email
from core.signing_in import Asker, SignedIn

if TYPE_CHECKING:
    from core.identity import SignIn
    from core.services import Services
    from core.tokens import TokenVerifier

SHORTEST: Final = 8  # characters; a project may want more
LONGEST: Final = 72  # bytes: Auth's hash reads no further
LONGEST_HASH: Final = 200  # characters of a link's hash
RULE: Final = "At least 8 characters. Three or four words that do not belong together are hard to guess."

_ASKED: Final = "password_message_asked"
_AN_HOUR: Final = timedelta(hours=1)  # one event of a person: anybody may ask

_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A link that was opened: whose it is, and the sign-in at Auth that came of it."""

    identity: Identity
    access_token: SecretStr = field(repr=False)


def ask(email: str, asker: Asker, services: Services) -> str:
    """Let somebody ask for a message to that address; the address as Auth is to be asked. It is not looked up here.

    Raises BadRequest (no address), TooManyAttempts.
    """
    wanted = checked_email(email)
    signing_in.count_message(wanted, asker, services)
    return wanted


def send(email: str, leads_to: str | None, services: Services) -> None:
    """Have Auth send the way to a new password; recorded where the address is one of the team's. May take as long as a
    mail server does, and only for who has an account: whoever asks does not wait for it.

    Raises SignInUnavailable, DatabaseUnavailable.
    """
    _auth(services).send_recovery(email, leads_to)
    with services.db.as_service() as conn:
        known = people.by_email(conn, email)
        if (
            known is not None
            and roles_in(known.app_metadata)
            and not activity.was_noted(conn, _ASKED, str(known.id), within=_AN_HOUR)
        ):
            activity.note(conn, _ASKED, "people", str(known.id))


def check(password: str, again: str) -> None:
    """Raise BadRequest (`field`: password or again) where the new password cannot be one. Before a link is used up."""
    if len(password) < SHORTEST:
        raise BadRequest(
            f"A password has at least {SHORTEST} characters. Add a word or two.", field="password"
        )
    if len(password.encode("utf-8", "surrogatepass")) > LONGEST or "\x00" in password:
        raise BadRequest(
            f"Auth reads {LONGEST} characters of a password (fewer, with accents or emoji). Choose a shorter one.",
            field="password",
        )
    if password != again:
        raise BadRequest("The two passwords differ. Type the same one twice.", field="again")


def open_letter(letter: Letter, token_hash: str, asker: Asker, services: Services) -> Opened:
    """Use up the link of a message.

    Raises NotSignedIn `LETTER_ENDED`, TooManyAttempts, SignInUnavailable (the link still opens then).
    """
    auth = _auth(services)
    with signing_in.counting_links(asker, services):
        return opened_by(auth.open_letter(letter, token_hash), services)


def opened_by(access_token: SecretStr, services: Services) -> Opened:
    """What somebody's browser brought from Auth's own page, or we from Auth. Verified on this machine.

    Raises NotSignedIn `LETTER_ENDED` where the token is none, over, or of another sign-in; SignInUnavailable.
    """
    try:
        identity = _verifier(services).verify_letter(access_token.get_secret_value())
    except NotSignedIn:
        raise letter_ended() from None
    if not identity.email:
        raise letter_ended()
    return Opened(identity=identity, access_token=access_token)


def choose(opened: Opened, password: str, services: Services, *, is_again: bool = False) -> None:
    """Give whoever opened the link their new password at Auth. `is_again`: Auth has taken it before, so that it may be the
    same.

    Raises BadRequest (`WEAK_PASSWORD`, `SAME_PASSWORD`), NotSignedIn `LETTER_ENDED`, NotAllowed, TooManyAttempts,
    SignInUnavailable.
    """
    try:
        _auth(services).set_password(opened.access_token.get_secret_value(), password)
    except BadRequest as error:
        if not (is_again and error.reason == "SAME_PASSWORD"):
            raise


def end_others(opened: Opened, services: Services) -> None:
    """End every session of whoever has just chosen a password; recorded. Raises DatabaseUnavailable."""
    person = opened.identity.person
    ended = sessions.end_all(person, services)
    with services.db.as_service() as conn:
        activity.note(conn, "password_chosen", "people", str(person), after={"sessions_ended": ended})
    _log.info("password_chosen", person=str(person), sessions_ended=ended)


def come_in(opened: Opened, password: str, asker: Asker, services: Services) -> SignedIn:
    """Sign in with the password that was just chosen; the sign-in of the link ends.

    Raises NotAllowed (NO_ROLE), Conflict (ENDED_MEANWHILE), WrongCredentials, TooManyAttempts, SignInUnavailable, DatabaseUnavailable.
    """
    email, asked_at = opened.identity.email, sessions.asked_now(services)
    tokens = _auth(services).sign_in(email, password)
    signing_in.give_back(opened.access_token, services)
    return signing_in.begun(tokens, asker, services, way="password", email=email, asked_at=asked_at)


def _auth(services: Services) -> SignIn:
    if services.sign_in is None:
        raise SignInUnavailable("Nobody has a password here.")
    return services.sign_in


def _verifier(services: Services) -> TokenVerifier:
    if services.tokens is None:
        raise SignInUnavailable("Nobody has a password here.")
    return services.tokens
