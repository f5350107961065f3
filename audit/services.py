"""The one Services of the dashboard, opened once for all pages and people, and who is asking.

The dashboard never runs a worker: what it queues is carried out by the studio or by worker processes.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TypeVar

import streamlit as st

from core.auth import LOCAL_PERSON
from core.db import Connection, workers
from core.errors import SetupFailed
from core.services import Services, open_services
from core.settings import Settings
from core.values import Person

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

T = TypeVar("T")


@dataclass
class _Stand:
    """What tests put in the place of our own services."""

    services: Services | None = None
    person: Person | None = None


@dataclass(frozen=True)
class _Opened:
    """Open services and what closes them; closing twice is harmless."""

    services: Services
    stack: ExitStack = field(repr=False)

    def close(self) -> None:
        atexit.unregister(self.close)
        self.stack.close()


_stand = _Stand()


def services() -> Services:
    """The services of this process, opened at the first call. Raises SetupFailed, DatabaseUnavailable."""
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


def person() -> Person:
    """Who is asking: on one's own machine the local person, who holds every role.

    Raises SetupFailed where that would let strangers in: beyond loopback, or where sign-in is configured.
    """
    address = st.get_option("server.address")
    if address not in LOOPBACK:
        raise SetupFailed(
            "This dashboard has no sign-in, so it only listens on this machine. Start it with --server.address 127.0.0.1."
        )
    if services().settings.supabase_url:
        raise SetupFailed(
            "SUPABASE_URL is set, so people have to sign in, and `streamlit run audit_app.py` cannot ask them to. "
            "Leave SUPABASE_URL empty to look at a database from this machine alone."
        )
    return _stand.person or LOCAL_PERSON


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
