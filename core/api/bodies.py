"""Files sent as the body of a request: read whole, bounded in length and in time."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

LONGEST_SENDING: Final = 120.0  # seconds for one body


class Refused(Exception):
    """The body was not read to its end; `answer` says why and closes the connection."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(code)
        self.answer = JSONResponse(
            {"success": False, "error": sentence, "code": code}, status, headers={"Connection": "close"}
        )


async def read(request: Request, *, most: int, what: str, too_long: Refused) -> bytes:
    """The body, at most `most` bytes of it; `what` names it for people. Raises Refused as soon as it will not do."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise too_long
    data = bytearray()
    try:
        async with asyncio.timeout(LONGEST_SENDING):
            async for part in request.stream():
                data += part
                if len(data) > most:
                    raise too_long
    except ClientDisconnect as exc:
        raise Refused(400, "BROKEN_OFF", f"The {what} did not arrive whole. Send it again.") from exc
    except TimeoutError as exc:
        raise Refused(408, "TOO_SLOW", f"The {what} took too long to arrive. Send it again.") from exc
    return bytes(data)
