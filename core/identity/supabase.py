"""Sign-in through Supabase Auth (reference/supabase.md §4)."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
import structlog
from pydantic import SecretStr
from supabase_auth.errors import AuthApiError
from supabase_auth.types import Session, User

from core.errors import NotFound, SessionEnded, SetupFailed, WrongCredentials
from core.identity import Identity, Letter, Tokens, letter_ended, name_of, person_of, roles_in
from core.identity.project import ACCESS_ENDED, Project, said_plainly
from core.tokens import AUDIENCE

TIMEOUT = httpx.Timeout(10.0, connect=5.0)  # seconds; a password takes the server a tenth of one
LIMITS = httpx.Limits(max_connections=32, max_keepalive_connections=8, keepalive_expiry=20.0)
_OF_THE_SETUP = (401, 403)  # Auth says these to everybody alike

_log = structlog.stdlib.get_logger(__name__)


class SupabaseSignIn:
    """`SignIn` (core.identity) at one Supabase project."""

    def __init__(self, url: str, publishable_key: str, client: httpx.Client | None = None) -> None:
        """A `client` that is handed in brings its own timeouts and is closed by whoever made it. Raises SetupFailed."""
        if publishable_key.startswith("sb_secret_"):
            raise SetupFailed(
                "SUPABASE_PUBLISHABLE_KEY holds the secret key, which would sign everybody in with all rights. Set "
                "the project's publishable key."
            )
        self._http = client or httpx.Client(timeout=TIMEOUT, limits=LIMITS, follow_redirects=False)
        self._owns_client = client is None
        self._project = Project(url, publishable_key, self._http)

    def __repr__(self) -> str:
        return "SupabaseSignIn()"

    def sign_in(self, email: str, password: str) -> Tokens:
        """As `SignIn.sign_in`."""
        if not email.strip() or not password:
            raise WrongCredentials("Enter your e-mail address and your password.")
        with said_plainly("sign_in"):
            answer = self._project.client().auth.sign_in_with_password(
                {
                    "email": email.strip(),
                    "password": password,
                }
            )
            return _tokens(answer.session)

    def refresh(self, refresh_token: str) -> Tokens:
        """As `Renews.refresh`."""
        if not refresh_token:
            raise SessionEnded("You were signed out. Sign in again.")
        try:
            with said_plainly("refresh"):
                return _tokens(self._project.client().auth.refresh_session(refresh_token).session)
        except (WrongCredentials, NotFound) as exc:  # banned or deleted meanwhile, or never a token
            raise SessionEnded("You were signed out. Sign in again.") from exc

    def sign_out(self, access_token: str, *, everywhere: bool) -> None:
        """As `Renews.sign_out`."""
        auth = self._project.client().auth
        try:
            with said_plainly("sign_out"):
                auth.admin.sign_out(access_token, "global" if everywhere else "local")
        except NotFound:
            return
        except SessionEnded as exc:
            if exc.reason == ACCESS_ENDED:
                raise

    def send_recovery(self, email: str, leads_to: str | None) -> None:
        """As `SignIn.send_recovery`."""
        with said_plainly("send_recovery"):
            try:
                self._project.client().auth.reset_password_for_email(
                    email, {"redirect_to": leads_to} if leads_to else {}
                )
            except AuthApiError as error:
                if error.status in _OF_THE_SETUP or error.code == "captcha_failed":
                    raise
                # A limit of this address, a mail server's refusal: only addresses with an account meet them.
                _log.warning("recovery_not_sent", status=error.status, code=error.code or "")

    def open_letter(self, letter: Letter, token_hash: str) -> SecretStr:
        """As `SignIn.open_letter`."""
        with _by_letter("open_letter"):
            answer = self._project.client().auth.verify_otp({"type": letter.value, "token_hash": token_hash})
            return _tokens(answer.session).access_token

    def set_password(self, access_token: str, password: str) -> None:
        """As `SignIn.set_password`."""
        with _by_letter("set_password"):
            auth = self._project.client().auth
            auth.set_session(access_token, "")  # none is needed: it is used at once
            auth.update_user({"password": password})

    def close(self) -> None:
        """As `Renews.close`."""
        if self._owns_client:
            self._http.close()


@contextmanager
def _by_letter(deed: str) -> Generator[None]:
    """Whoever may not come in, or is gone, reads what everybody reads whose link opens nothing."""
    try:
        with said_plainly(deed):
            yield
    except (WrongCredentials, SessionEnded, NotFound) as exc:
        raise letter_ended() from exc


def _tokens(session: Session | None) -> Tokens:
    """What a session brings. Raises ValueError, TypeError where it cannot be used."""
    if session is None or session.expires_at is None or session.token_type.lower() != "bearer":
        raise ValueError("no session was answered")
    return Tokens(
        identity=_identity(session.user),
        access_token=SecretStr(session.access_token),
        refresh_token=SecretStr(session.refresh_token),
        expires_at=datetime.fromtimestamp(session.expires_at, UTC),
    )


def _identity(user: User) -> Identity:
    if user.aud != AUDIENCE:
        raise ValueError("somebody of another audience was answered")
    email = user.email or ""
    return Identity(
        person=person_of(user.id),
        email=email,
        name=name_of(user.user_metadata, email),
        roles=roles_in(user.app_metadata),
    )
