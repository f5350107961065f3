"""Who is asking. A gate turns a connection into a Person; the rest of the code never reads a header.

In embedded mode there is one local person holding every role; where sign-in is configured a call under /functions shows
a token of Auth, and everything else the cookie of a session (SPEC "Two ways to run", "HTTP").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit
from uuid import UUID

from starlette.requests import HTTPConnection

from core import sessions
from core.authority import Action, permit
from core.errors import NotAllowed, NotSignedIn
from core.values import Person, PersonId, Role

if TYPE_CHECKING:
    from core.services import Services
    from core.settings import Settings

FUNCTIONS: Final = "/functions/"

LOCAL_PERSON = Person(
    id=PersonId(UUID("00000000-0000-4000-8000-000000000001")),
    roles=frozenset(Role),
    name="You",
)


class Gate(Protocol):
    """Decides who is asking; called for every request, page event and socket.

    `signs_in`: people have accounts of their own, so there may be colleagues; False where all are the local person.
    """

    @property
    def signs_in(self) -> bool:
        """True where people sign in."""
        ...

    def person(self, conn: HTTPConnection) -> Person | None:
        """The person behind a connection, None where nobody is signed in. Cheap: it is called often."""
        ...


def team_member(gate: Gate, conn: HTTPConnection) -> Person:
    """The person behind a connection, where they hold a role: a customer of the platform is no editor (SPEC "Data").

    Raises NotSignedIn, NotAllowed.
    """
    person = gate.person(conn)
    if person is None:
        raise NotSignedIn("Sign in first.")
    require_role(person)
    return person


def require_role(person: Person) -> None:
    """Raise NotAllowed where the person holds no role at all."""
    permit(person, Action.use_studio)


class LocalGate:
    """Everybody who reaches this machine's loopback is the local person."""

    signs_in = False

    def person(self, conn: HTTPConnection) -> Person | None:  # noqa: ARG002
        """The local person."""
        return LOCAL_PERSON


class SessionGate:
    """Knows people by the cookie of their session, and programs that call /functions by a token of Auth."""

    signs_in = True

    def __init__(self, services: Services) -> None:
        self._services = services

    def person(self, conn: HTTPConnection) -> Person | None:
        """The person behind a connection. Raises NotSignedIn where a call shows a token that does not count, NotAllowed
        where another web page uses a person's cookie, DatabaseUnavailable.
        """
        if conn.scope["path"].startswith(FUNCTIONS):
            return self._caller(conn)
        return self._visitor(conn)

    def _caller(self, conn: HTTPConnection) -> Person | None:
        scheme, _, token = conn.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip() or self._services.tokens is None:
            return None
        identity = self._services.tokens.verify(token.strip())
        return Person(id=identity.person, roles=identity.roles, name=identity.name or identity.email)

    def _visitor(self, conn: HTTPConnection) -> Person | None:
        cookie = sessions.cookie_of(conn.cookies, is_secure=is_secure(conn, self._services.settings))
        if cookie is None:
            return None
        refuse_cross_site(conn, self._services.settings)
        # A page that only listens keeps nobody signed in.
        return sessions.person_of(cookie, self._services, is_active=conn.scope["type"] != "websocket")


def gate_for(services: Services) -> Gate:
    """The one gate in front of both apps: everybody is the local person, or people sign in (SPEC "Two ways to run")."""
    return SessionGate(services) if services.settings.has_sign_in else LocalGate()


def is_secure(conn: HTTPConnection, settings: Settings) -> bool:
    """True where the browser reached us by https: by what a trusted proxy said, or PUBLIC_URL."""
    return conn.scope["scheme"] in {"https", "wss"} or (settings.public_url or "").lower().startswith(
        "https:"
    )


def refuse_cross_site(conn: HTTPConnection, settings: Settings) -> None:
    """Raise NotAllowed where another web page sends a form, an event or a socket with a person's cookie.

    Browsers say in Origin and Sec-Fetch-Site who sends; a program without a browser says neither, and has no cookie but
    its own.
    """
    if conn.scope["type"] == "http" and conn.scope["method"] in {"GET", "HEAD", "OPTIONS"}:
        return
    site = conn.headers.get("sec-fetch-site", "same-origin")
    origin = conn.headers.get("origin")
    if site not in {"same-origin", "none"} or (
        origin is not None and not is_own_origin(origin, conn, settings)
    ):
        raise NotAllowed("Another web page may not use this studio in your name.", code="FOREIGN_ORIGIN")


def is_own_origin(origin: str, conn: HTTPConnection, settings: Settings) -> bool:
    """True where `origin` is the address under which this studio itself is open."""
    try:
        said = urlsplit(origin.lower())
        public = urlsplit((settings.public_url or "").lower())
    except ValueError:
        return False
    if is_secure(conn, settings) and said.scheme != "https":
        return False
    return said.netloc != "" and said.netloc in {conn.headers.get("host", "").lower(), public.netloc}
