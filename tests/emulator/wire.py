"""The least HTTP/1.1 server that can also misbehave on purpose.

A web framework answers well; this one must be able to reset, hang and cut short at an exact moment, and has
to stay cheap, because its own processor time is subtracted from measurements.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from dataclasses import dataclass, field
from enum import StrEnum
from http.client import responses
from typing import Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

MAX_HEAD = 64 * 1024
MAX_BODY = 128 * 1024 * 1024


class Loss(StrEnum):
    """How an answer fails to arrive."""

    reset = "reset"
    hang = "hang"


@dataclass(frozen=True, kw_only=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    origin: str  # as the caller spelled it, so that addresses in answers lead back here
    body: bytes = b""

    def json(self) -> object:
        """The body as JSON, None where it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0  # seconds before the first byte
    loss: Loss | None = None  # instead of an answer
    keep: int | None = None  # bytes of the body after which the connection is reset


def json_reply(payload: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    body = json.dumps(payload, separators=(",", ":")).encode()
    return Reply(status=status, body=body, headers={"content-type": "application/json", **(headers or {})})


class Handler(Protocol):
    def refuses_body(self, request: Request) -> bool:
        """True where the connection is to be reset before the body is read."""
        ...

    def answer(self, request: Request) -> Reply: ...


class Server:
    """Serves one handler on loopback; everything the handler does happens on this loop's thread."""

    def __init__(self, handler: Handler, *, tls: object = None) -> None:
        self._handler = handler
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self, port: int) -> int:
        """Listens on 127.0.0.1 and returns the port."""
        self._server = await asyncio.start_server(
            self._welcome, "127.0.0.1", port, limit=MAX_HEAD, ssl=self._tls, backlog=512
        )
        return self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._connections.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; False where the connection is over."""
        head = _head(await reader.readuntil(b"\r\n\r\n"), tls=self._tls is not None)
        if self._handler.refuses_body(head):
            return _reset(writer)
        body = await _body(head, reader, writer)
        if body is None:
            await _send(writer, json_reply({"detail": "Send a body with content-length."}, status=411))
            return False
        reply = self._handler.answer(Request(**{**head.__dict__, "body": body}))
        if reply.wait > 0:
            await asyncio.sleep(reply.wait)
        if reply.loss is Loss.hang:
            await asyncio.Event().wait()
        if reply.loss is Loss.reset:
            return _reset(writer)
        await _send(writer, reply)
        if reply.keep is not None:
            return _reset(writer)
        return head.headers.get("connection", "").lower() != "close"


def _head(raw: bytes, *, tls: bool) -> Request:
    first, *lines = raw[:-4].decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    parts = urlsplit(target)
    return Request(
        method=method,
        path=unquote(parts.path),
        query=dict(parse_qsl(parts.query, keep_blank_values=True)),
        headers=headers,
        origin=f"{'https' if tls else 'http'}://{headers.get('host', '127.0.0.1')}",
    )


async def _body(head: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
    if "transfer-encoding" in head.headers:
        return None
    length = int(head.headers.get("content-length", "0"))
    if length > MAX_BODY:
        return None
    if head.headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return await reader.readexactly(length) if length else b""


async def _send(writer: asyncio.StreamWriter, reply: Reply) -> None:
    # fal also answers 499, which is nobody's standard.
    phrase = responses.get(reply.status, "Client Closed Request")
    lines = [f"HTTP/1.1 {reply.status} {phrase}", f"content-length: {len(reply.body)}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
    writer.write(reply.body if reply.keep is None else reply.body[: reply.keep])
    await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> bool:
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None:
        # No lingering turns the close into RST: the peer sees a broken connection, not a polite end.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False
