"""The one Services of the dashboard, opened once for all pages and people, and who is asking.

The dashboard never runs a worker: what it queues is carried out by the studio or by worker processes.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import wraps
from typing import Final, ParamSpec, TypeVar
from urllib.parse import urlsplit

import streamlit as st
from starlette.requests import HTTPConnection
from streamlit.runtime.scriptrunner import get_script_run_ctx

from audit import marks, sockets
from core.auth import LOCAL_PERSON, Gate, require_role
from core.db import Connection, workers
from core.errors import NotAllowed, NotSignedIn, SetupFailed
from core.services import Services, open_services
from core.settings import Settings
from core.values import Person

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
KNOWN_FOR: Final = 2.0  # seconds within one run of a page for which who asks is not looked up again
_SEEN: Final = "who_asks"

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Host:
    """What `python -m audit` hands to the pages: its services, the gate in front of them, the path they stand under."""

    services: Services
    gate: Gate
    path: str  # "/audit", or "" at the root


@dataclass
class _Stand:
    """What stands in the place of services that the pages open themselves: the host's, or a test's."""

    services: Services | None = None
    person: Person | None = None
    host: Host | None = None


@dataclass(frozen=True)
class _Opened:
    """Open services and what closes them; closing twice is harmless."""

    services: Services
    stack: ExitStack = field(repr=False)

    def close(self) -> None:
        atexit.unregister(self.close)
        self.stack.close()


@dataclass(frozen=True)
class _Seen:
    """Who asked, at `at` (monotonic seconds) of the run that `run` stands for."""

    run: object
    person: Person
    at: float

    def holds(self, run: object) -> bool:
        """Whether that is still who asks: in the same run, and not long ago."""
        return self.run is run and time.monotonic() - self.at < KNOWN_FOR


_stand = _Stand()


def services() -> Services:
    """The services of this process, opened at the first call. Raises SetupFailed, DatabaseUnavailable."""
    if _stand.host is not None:
        return _stand.host.services
    return _stand.services or _open().services


@contextlib.contextmanager
def standing_in(given: Services, person: Person | None = None) -> Generator[None]:
    """Use `given` instead of opening our own, while inside, and take `person` for who is asking: tests point the pages
    at their own database and people this way.

    The caller keeps `given` and closes it.
    """
    _stand.services, _stand.person = given, person
    try:
        yield
    finally:
        _stand.services = _stand.person = None


def hosted_by(host: Host) -> None:
    """From here on the pages use the host's services, and its gate says who is asking."""
    _stand.host = host


def signs_in() -> bool:
    """Whether people sign in here; False where everybody is the local person."""
    return _stand.host is not None and _stand.host.gate.signs_in


def base() -> str:
    """The path that the pages stand under: "/audit", or "" at the root."""
    if _stand.host is not None:
        return _stand.host.path
    path = str(st.get_option("server.baseUrlPath")).strip("/")
    return f"/{path}" if path else ""


def person() -> Person:
    """Who is asking, looked up anew in every run of a page. On one's own machine, without sign-in, the local person,
    who holds every role.

    Raises NotSignedIn, NotAllowed, DatabaseUnavailable; SetupFailed where `streamlit run` would let strangers in.
    """
    context = get_script_run_ctx()
    run = context and context.cursors  # a new one each run
    seen = st.session_state.get(_SEEN)
    if isinstance(seen, _Seen) and run is not None and seen.holds(run):
        return seen.person
    found = _asker()()
    marks.made_for.set(marks.of(found))
    if run is not None and _stand.host is not None:
        st.session_state[_SEEN] = _Seen(run, found, time.monotonic())
    return found


def on_click(make: Callable[P, T]) -> Callable[P, T]:
    """`make` for the click on a button of a page that was drawn a while ago, outside of any run: the file is made only
    if whoever the page was drawn for is still signed in with the same roles, and for nobody else.

    Raises NotSignedIn, NotAllowed, and what `make` raises.
    """
    look, before = _asker(), person()

    @wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> T:
        now = look()
        if (now.id, now.roles) != (before.id, before.roles):
            raise NotAllowed("Your roles have changed since this page was drawn. Load it again.")
        marks.made_for.set(marks.of(now))
        return make(*args, **kwargs)

    return made


def _asker() -> Callable[[], Person]:
    """What finds out who sits in front of this run's page, whenever it is called."""
    if _stand.person is not None:
        return lambda known=_stand.person: known
    if _stand.host is None:
        return _alone
    gate, conn = _stand.host.gate, _connection()

    def look() -> Person:
        found = gate.person(conn) if conn is not None else None
        if found is None:
            raise NotSignedIn("You are signed out. Sign in again; nothing that was saved is lost.")
        require_role(found)
        return found

    return look


def _connection() -> HTTPConnection | None:
    """What this run's page hangs on: the connection that the door let in, not what the page was told of it.

    A whole run is a person at work and keeps them signed in as a request does; a part that draws itself again by the
    clock is a socket that listens.
    """
    conn = sockets.of_page(st.context.headers)
    context = get_script_run_ctx()
    if conn is None or context is None or context.fragment_ids_this_run:
        return conn
    return HTTPConnection({**conn.scope, "type": "http", "method": "GET"})


def _alone() -> Person:
    """The local person, where this machine is all that reaches the page. Raises SetupFailed, NotAllowed."""
    if st.get_option("server.address") not in LOOPBACK:
        raise SetupFailed(
            "This dashboard has no sign-in, so it only listens on this machine. Start it with --server.address 127.0.0.1."
        )
    if services().settings.has_sign_in:
        raise SetupFailed(
            "People have to sign in here, and `streamlit run audit_app.py` cannot ask them to. Start the dashboard "
            "with `python -m audit`."
        )
    _refuse_foreign_page()
    return LOCAL_PERSON


def _refuse_foreign_page() -> None:
    """Streamlit takes a page of any port of this machine for its own; only the address it is served under is."""
    origin, host = st.context.headers.get("Origin"), st.context.headers.get("Host")
    if origin is not None and urlsplit(origin).netloc != host:
        raise NotAllowed("Another web page may not use this dashboard.", code="FOREIGN_ORIGIN")


def read(question: Callable[[Connection], T]) -> T:
    """Ask the database one thing as the person, read only, in a transaction of its own.

    Raises QueryTimedOut after five seconds, DatabaseUnavailable, and what `question` raises.
    """
    with services().db.as_reader(person()) as conn:
        return question(conn)


def any_worker(conn: Connection) -> bool:
    """True where some worker was heard of within two heartbeats; for `read`."""
    return workers.any_alive(conn, within=2 * services().settings.heartbeat_seconds)


@st.cache_resource(on_release=lambda opened: opened.close(), show_spinner="Opening the database …")
def _open() -> _Opened:
    for name in ("uvicorn.access", "uvicorn.error"):  # a line a file or a socket would bury everything else
        logging.getLogger(name).setLevel(logging.WARNING)
    stack = ExitStack()
    opened = _Opened(stack.enter_context(open_services(Settings())), stack)
    # Streamlit releases nothing when it is told to stop, and the embedded Postgres would be left behind.
    atexit.register(opened.close)
    return opened
