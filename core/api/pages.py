"""The socket of every open page: what changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from core.events import Change, Subscription
from core.services import Services
from core.values import Person

_PING_EVERY = 20.0
_TYPES = {
    "characters": "character",
    "character_portraits": "portraits",
    "jobs": "job",
    "user_library": "library",
    "character_scenes": "scenes",
}


def router() -> APIRouter:
    """The socket /ws."""
    found = APIRouter()

    @found.websocket("/ws")
    async def changes(socket: WebSocket) -> None:  # pyright: ignore[reportUnusedFunction]
        """What changed, for one open page: ids only, of rows its person may see."""
        services: Services = socket.app.state.services
        person: Person | None = socket.app.state.gate.person(socket)
        await socket.accept()
        if person is None:
            await socket.close(4401, "Sign in first.")
            return
        with services.events.subscribe(person) as subscription:
            async with _until_gone(socket) as gone:
                await _forward(socket, subscription, gone)

    return found


@contextlib.asynccontextmanager
async def _until_gone(socket: WebSocket) -> AsyncGenerator[asyncio.Task[None]]:
    """A task that ends when the page leaves."""

    async def drain() -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                await socket.receive_text()

    reader = asyncio.create_task(drain())
    try:
        yield reader
    finally:
        reader.cancel()
        await asyncio.wait({reader})


async def _forward(socket: WebSocket, subscription: Subscription, gone: asyncio.Task[None]) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while not gone.done():
            waiting = asyncio.create_task(subscription.next(_PING_EVERY))
            await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                waiting.cancel()
                return
            await socket.send_json(_message(waiting.result()))


def _message(change: Change | None) -> dict[str, str | None]:
    if change is None:
        return {"type": "ping"}
    return {
        "type": _TYPES.get(change.table, "resync"),
        "op": change.op,
        "character_id": change.character_id,
        "job_id": change.job_id,
        "status": change.status,
        "stage": change.stage,
    }
