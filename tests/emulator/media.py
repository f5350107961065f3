"""The finished pictures as files, of every provider alike: without a key, and sometimes spoiled."""

from __future__ import annotations

import base64
import re
import time
from dataclasses import replace

from tests.emulator import pictures
from tests.emulator.faults import Fault, Kind, Place
from tests.emulator.spoiling import spoiled
from tests.emulator.state import Job, State
from tests.emulator.wire import Reply, Request

WEB_PAGE = b"<!doctype html><title>Just a moment</title><p>The picture is at lunch.</p>"
SIGNED = "X-Amz-Signature"
_FILE = re.compile(r"^/files/(?P<id>[^/]+)/0\.(?:jpeg|png)$")
_STAY = {Kind.media_expired, Kind.truncated, Kind.html}
_PLAIN = {"content-type": "text/plain"}


def address(job: Job, origin: str) -> str:
    return f"{origin}/files/{job.id}/0.{job.format}"


def signed(job: Job, origin: str, lifetime: int) -> str:
    """An address as S3 presigns it, good for `lifetime` seconds."""
    return f"{address(job, origin)}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires={lifetime}&{SIGNED}=5eed"


def inline(job: Job) -> str:
    return f"data:{pictures.MEDIA_TYPES[job.format]};base64,{base64.b64encode(picture(job)).decode()}"


def picture(job: Job) -> bytes:
    make = pictures.black if job.kind in {Kind.black, Kind.blank} else pictures.portrait
    return make(job.id, job.width, job.height, job.format)


def is_file(request: Request) -> bool:
    return _FILE.match(request.path) is not None


class Media:
    """One provider's files."""

    def __init__(self, state: State, provider: str) -> None:
        self._state = state
        self._counts = lambda: state.counts[provider]

    def answer(self, request: Request) -> Reply:
        if self._leaks(request):
            self._counts().leaked_keys += 1
            if SIGNED in request.query:
                body = b"<Error><Code>InvalidArgument</Code>Only one auth mechanism allowed</Error>"
                return Reply(status=400, body=body, headers={"content-type": "application/xml"})
        found = _FILE.match(request.path)
        job = self._state.jobs.get(found["id"]) if found else None
        if job is None or not job.is_over:
            return Reply(status=404, body=b"Not found", headers=_PLAIN)
        if self._too_old(request, job):
            return Reply(status=403, body=b"<Error><Code>AccessDenied</Code></Error>", headers=_PLAIN)
        self._counts().downloads += 1
        job.downloads += 1
        return self._picture(job)

    def _leaks(self, request: Request) -> bool:
        return "authorization" in request.headers or self._state.settings.key in request.query.values()

    def _too_old(self, request: Request, job: Job) -> bool:
        lifetime = self._state.settings.result_lifetime
        return SIGNED in request.query and lifetime is not None and time.time() > job.finished_at + lifetime

    def _picture(self, job: Job) -> Reply:
        reply = Reply(body=picture(job), headers={"content-type": pictures.MEDIA_TYPES[job.format]})
        fault = self._state.faults.take(Place.media, prompt=job.prompt)
        if job.kind in _STAY:
            reply = _spoiled(job.fate, reply)
        return reply if fault is None else _spoiled(fault, reply)


def _spoiled(fault: Fault, reply: Reply) -> Reply:
    half = len(reply.body) // 2
    match fault.kind:
        case Kind.truncated:
            return replace(reply, body=reply.body[:half])
        case Kind.cut:
            return replace(reply, keep=half)
        case Kind.html:
            return Reply(body=WEB_PAGE, headers={"content-type": "text/html"})
        case Kind.media_expired | Kind.gone:
            return Reply(status=fault.status or 404, body=b"Gone", headers=_PLAIN)
        case Kind.rate_limited | Kind.server_error:
            status = 429 if fault.kind is Kind.rate_limited else fault.status or 500
            return Reply(status=status, body=b"Later", headers=_PLAIN)
        case _:
            return spoiled(fault, reply, {})
