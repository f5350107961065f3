"""A page's open socket: asked again and again whose it is, and closed when they were signed out or their roles changed.

Streamlit looks at who is asking when a socket opens, and never again (reference/ui-notes.md B1).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from uuid import uuid4

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import StudioError
from core.values import Person

SIGNED_OUT: Final = 4401  # close codes of ours: as the HTTP status that says the same
ROLES_CHANGED: Final = 4403
BROKE: Final = 1011
LOOK_EVERY: Final = 20.0  # seconds; an ended session keeps no socket for a minute

# The name of the socket that a page hangs on, among the headers the page is shown. Only `Watched` writes it; it is worth
# nothing without the connection that is kept here under it.
_NAME: Final = "x-portrait-studio-socket"

_open: dict[str, HTTPConnection] = {}


def of_page(headers: Mapping[str, str]) -> HTTPConnection | None:
    """The connection of the page that was shown these headers; None where it has gone."""
    return _open.get(headers.get(_NAME, ""))


class Watched:
    """Serves one socket for one person for as long as `look` says they are who they were."""

    def __init__(
        self,
        app: ASGIApp,
        person: Person,
        look: Callable[[], Awaitable[Person]],
        *,
        every: float = LOOK_EVERY,
    ) -> None:
        self._app = app
        self._person = person
        self._look = look
        self._every = every

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it to its end."""
        closed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        watching = asyncio.create_task(self._watch(closed), name="audit-socket-watch")
        name = uuid4().hex
        shown = dict(scope, headers=list(scope["headers"]))
        MutableHeaders(scope=shown)[_NAME] = name
        _open[name] = HTTPConnection(scope)
        try:
            await self._app(shown, _receiving(receive, send, closed), _sending(send, closed))
        finally:
            del _open[name]
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    async def _watch(self, closed: asyncio.Future[int]) -> None:
        """Ends when the socket has to be closed; a look that breaks closes it too."""
        code = None
        try:
            while code is None:
                await asyncio.sleep(self._every)
                code = await self._reason()
        except Exception:
            code = BROKE
            raise
        finally:
            if code is not None:
                closed.set_result(code)

    async def _reason(self) -> int | None:
        """The code to close with, None to go on. Where the database does not answer, the page says so itself."""
        try:
            now = await self._look()
        except StudioError as error:
            return {401: SIGNED_OUT, 403: ROLES_CHANGED}.get(error.status)
        return None if (now.id, now.roles) == (self._person.id, self._person.roles) else ROLES_CHANGED


def _receiving(receive: Receive, send: Send, closed: asyncio.Future[int]) -> Receive:
    """What the browser says, until the socket has to be closed: then it is, and the app hears that it is gone."""

    async def receiving() -> Message:
        heard = asyncio.ensure_future(receive())
        try:
            await asyncio.wait({heard, closed}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            heard.cancel()
            raise
        if heard.done():
            return heard.result()
        heard.cancel()
        await send({"type": "websocket.close", "code": closed.result(), "reason": ""})
        return {"type": "websocket.disconnect", "code": closed.result(), "reason": ""}

    return receiving


def _sending(send: Send, closed: asyncio.Future[int]) -> Send:
    """What the app says; nothing more after the close."""

    async def sending(message: Message) -> None:
        if not closed.done():
            await send(message)

    return sending
