"""Serving an application until somebody asks it to leave, and leaving well (docs/deployment.md "Stopping").

At SIGTERM or Ctrl+C: /readyz says 503 and nothing new is begun; after LEAVE_SECONDS, in which whoever balances load sees
that, no connection is taken any more; open pages hear 1012 and connect again by themselves; requests under way are
answered, for up to `LONGEST_ANSWER`. A second signal drops them.
"""

from __future__ import annotations

import asyncio
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from core.services import Services

LONGEST_ANSWER = 10  # seconds for requests under way
_TURN = 0.1  # seconds between two looks


class _Server(uvicorn.Server):
    """uvicorn's, which tells the rest of this process at once that it leaves."""

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 — uvicorn's name
        self._captured_signals.append(sig)
        self.force_exit = self.should_exit  # somebody asks again: they will not wait
        self.should_exit = True
        self._services.stopping.set()

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        await self._be_seen_leaving()
        await super().shutdown(sockets)  # pyright: ignore[reportArgumentType]

    async def _be_seen_leaving(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._services.settings.leave_seconds
        while loop.time() < until and not self.force_exit:  # noqa: ASYNC110 — set by a signal
            await asyncio.sleep(_TURN)


def serve(
    app: ASGIApp, services: Services, *, host: str, port: int, longest_word: int = 16 * 1024**2
) -> None:
    """Serve until SIGTERM or Ctrl+C, which is raised again at the end (core.db.embedded.terminate_cleanly).

    `longest_word`: bytes a page may send over its socket at once. What proxies say of a request's origin is believed
    of TRUSTED_PROXIES alone. Nothing is written of a request: links carry tokens.
    """
    proxies = services.settings.trusted_proxies
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        log_level="warning",  # a line a socket would bury everything else
        access_log=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        ws_max_size=longest_word,
        timeout_graceful_shutdown=LONGEST_ANSWER,
    )
    _Server(config, services).run()
