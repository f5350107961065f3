"""LISTEN on a connection of its own."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable, Generator

from psycopg import sql

from core.db import Connection, as_ours


class Stop:
    """Set once, from any thread; wakes a listener that waits."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._bell, self._heard = socket.socketpair()

    def set(self) -> None:
        """Ask the listener to end; setting it twice is harmless."""
        self._event.set()
        self._bell.close()  # the other end becomes readable

    def is_set(self) -> bool:
        """True once it was asked to end."""
        return self._event.is_set()

    def wait(self, timeout: float) -> bool:
        """Wait `timeout` seconds for it; whether it is set."""
        return self._event.wait(timeout)

    def fileno(self) -> int:
        """What becomes readable when it is set."""
        return self._heard.fileno()

    def close(self) -> None:
        """Let go of what it holds; once the listener has ended."""
        self._heard.close()


def notifications(
    connect: Callable[[], Connection], channel: str, stop: Stop, *, look_every: float = 0.5
) -> Generator[str | None]:
    """Payloads of `channel` as they come; None first, when listening began, until `stop` is set. The connection is looked
    at every `look_every` seconds. Raises DatabaseUnavailable when it is lost.
    """
    with as_ours(), connect() as conn, selectors.DefaultSelector() as news:
        news.register(conn.fileno(), selectors.EVENT_READ)
        news.register(stop, selectors.EVENT_READ)
        conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        yield None
        while not stop.is_set():
            for notice in conn.notifies(timeout=0):
                yield notice.payload
            news.select(look_every)
