"""LISTEN on a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator

from psycopg import sql

from core.db import Connection, as_ours


def notifications(
    connect: Callable[[], Connection], channel: str, stop: threading.Event, *, look_every: float = 0.5
) -> Generator[str | None]:
    """Payloads of `channel` as they come; None first, when listening began, and every `look_every` seconds
    without one, so that `stop` is seen. Raises DatabaseUnavailable when the connection is lost.
    """
    with as_ours(), connect() as conn:
        conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        yield None
        while not stop.is_set():
            for notice in conn.notifies(timeout=look_every, stop_after=1):
                yield notice.payload
