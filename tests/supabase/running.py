"""A double's server, on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from tests.emulator.wire import Handler, Server


class Closing(ABC):
    """What is closed at the end of its `with`."""

    @abstractmethod
    def close(self) -> None:
        """Stop answering; safe twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Running(Closing):
    """`handler` answering on loopback under `url` until `close`. A context manager."""

    def __init__(self, handler: Handler, name: str, *, port: int = 0) -> None:
        self._loop = asyncio.new_event_loop()
        self._server = Server(handler)
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()
        try:
            self.url = f"http://127.0.0.1:{self._run(self._server.open(port))}"
        except OSError:
            self._end()
            raise

    def close(self) -> None:
        """Stop answering; safe twice."""
        if not self._loop.is_closed():
            self._run(self._server.close())
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, coroutine: object) -> object:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)
