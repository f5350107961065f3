"""The socket of every open page: what changed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator
from typing import cast
from uuid import UUID

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.concurrency import run_in_threadpool

from core.auth import team_member
from core.errors import NotAllowed, NotSignedIn
from core.events import Change, Subscription
from core.presence import TABLE, OpenPage
from core.services import Services
from core.values import CharacterId, Person

_PING_EVERY = 20.0
_LOOK_EVERY = 20.0  # seconds after which it is looked at again who the page's person is
_SIGNED_OUT, _NO_ROLE = 4401, 4403  # why a socket is closed
_CALM = 0.25  # seconds between two words of one page: a wild script reaches nobody faster
_LONGEST_WORD = 500
_MEMBERS = "character_members"
_TYPES = {
    "characters": "character",
    "character_portraits": "portraits",
    "jobs": "job",
    "user_library": "library",
    "attribute_images": "attributes",
    "style_images": "attributes",
    "character_scenes": "scenes",
}


def router() -> APIRouter:
    """The socket /ws."""
    found = APIRouter()

    @found.websocket("/ws")
    async def changes(socket: WebSocket) -> None:  # pyright: ignore[reportUnusedFunction]
        """What changed, for one open page: ids only, of rows its person may see."""
        services: Services = socket.app.state.services
        await socket.accept()
        person = await _let_in(socket)
        if person is None:
            return
        page = OpenPage(person, services)
        with services.events.subscribe(person) as subscription:
            try:
                async with _until_gone(socket, page) as gone:
                    await _forward(socket, subscription, gone, page, person)
            finally:
                await run_in_threadpool(page.leave)

    return found


async def _let_in(socket: WebSocket) -> Person | None:
    """Who opened the page; None where nobody of the team did, and the socket is closed with the reason then."""
    try:
        return await run_in_threadpool(team_member, socket.app.state.gate, socket)
    except (NotSignedIn, NotAllowed) as error:
        code = _SIGNED_OUT if isinstance(error, NotSignedIn) else _NO_ROLE
        with contextlib.suppress(RuntimeError):  # the page is gone already
            await socket.close(code, error.sentence)
        return None


@contextlib.asynccontextmanager
async def _until_gone(socket: WebSocket, page: OpenPage) -> AsyncGenerator[asyncio.Task[None]]:
    """A task that ends when the page leaves; until then it hears what the page says."""

    async def drain() -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                said = _understood(await socket.receive_text())
                if said is not None:
                    await run_in_threadpool(page.go_to, said[0])
                    await asyncio.sleep(_CALM)

    reader = asyncio.create_task(drain())
    try:
        yield reader
    finally:
        reader.cancel()
        await asyncio.wait({reader})


def _understood(words: str) -> tuple[CharacterId | None] | None:
    """The character a page says it shows; None where it says nothing we know: a client's words."""
    if len(words) > _LONGEST_WORD:
        return None
    try:
        said: object = json.loads(words)
        if not isinstance(said, dict):
            return None
        known = cast("dict[str, object]", said)
        if known.get("type") != "at":
            return None
        named = known.get("character_id")
        return (CharacterId(UUID(str(named))) if named else None,)
    except (ValueError, RecursionError):
        return None


async def _forward(
    socket: WebSocket,
    subscription: Subscription,
    gone: asyncio.Task[None],
    page: OpenPage,
    person: Person,
) -> None:
    look_at = time.monotonic() + _LOOK_EVERY
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while not gone.done():
            if time.monotonic() >= look_at:
                if await _let_in(socket) != person:
                    await socket.close(_SIGNED_OUT, "Your rights have changed. Reload the page.")
                    return
                look_at = time.monotonic() + _LOOK_EVERY
            waiting = asyncio.create_task(subscription.next(_PING_EVERY))
            await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                waiting.cancel()
                return
            change = waiting.result()
            if change is not None and page.answers(change):
                await run_in_threadpool(page.answer)
            if change is None or not page.said_by_itself(change):
                await socket.send_json(_message(change, person))


def _message(change: Change | None, person: Person) -> dict[str, str | bool | None]:
    if change is None:
        return {"type": "ping"}
    if change.table == TABLE:
        return {
            "type": TABLE,
            "op": change.op,
            "character_id": change.character_id,
            "page": change.page,
            "name": change.name,
            "mine": change.who == str(person.id),
        }
    if change.table == _MEMBERS:
        return {
            "type": "members",
            "op": change.op,
            "character_id": change.character_id,
            "mine": change.id == str(person.id),
        }
    return {
        "type": _TYPES.get(change.table, "resync"),
        "op": change.op,
        "character_id": change.character_id,
        "job_id": change.job_id,
        "status": change.status,
        "stage": change.stage,
    }
