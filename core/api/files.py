"""Stored pictures, for whoever holds a link that we signed.

Where the storage can, a file goes out in pieces and only the part that was asked for is read (RFC 9110: one range,
If-Range, If-None-Match); the other storage hands its objects over whole.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import WithJsonSchema
from starlette.types import Receive, Scope, Send

from core.api.answers import refusals
from core.api.asking import Serving
from core.errors import NotFound, ObjectMissing, StorageFailed
from core.services import Services
from core.storage import BUCKETS, PUBLIC_ASSETS, Pieces, Streams

# Written down, because what `mimetypes` knows depends on the machine, and .webp is missing on some.
_MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "avif": "image/avif",
    "gif": "image/gif",
}
_RANGE = re.compile(r"bytes=(?:(\d{1,15})-(\d{0,15})|-(\d{1,15}))")
_PICTURE = {
    kind: {"schema": {"type": "string", "format": "binary"}}
    for kind in (*_MEDIA_TYPES.values(), "application/octet-stream")
}
# An unknown one is answered like an unknown picture; this is how the document shows the known ones.
_A_BUCKET = WithJsonSchema({"type": "string", "enum": list(BUCKETS), "examples": [PUBLIC_ASSETS]})
_ETAG = {"ETag": {"description": "Send it back in If-None-Match.", "schema": {"type": "string"}}}
_ANSWERS = {
    200: {"description": "The picture.", "content": _PICTURE, "headers": _ETAG},
    206: {"description": "The part that Range asked for.", "content": _PICTURE, "headers": _ETAG},
    304: {"description": "The caller has it already.", "headers": _ETAG},
    **refusals(NotFound, StorageFailed, codes={
        403: ("LINK_INVALID", "LINK_EXPIRED", "BAD_PATH", "NOT_ALLOWED"), 416: ("NO_SUCH_PART",), 503: ("STORAGE_REFUSED",),
    }),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _File:
    """An object as it is about to be sent: `data` where the storage handed it over whole."""

    bucket: str
    path: str
    size: int
    etag: str
    data: bytes | None


def router() -> APIRouter:
    """GET and HEAD /files/{bucket}/{path}."""
    found = APIRouter(tags=["Files"])

    def file(
        bucket: Annotated[str, _A_BUCKET, Path()],
        path: Annotated[str, Path(examples=["attribute-images/age/30s-anime-0a1b2c3d.jpg"])],
        request: Request,
        services: Serving,
        token: Annotated[str, Query(description="Our signature; the bucket `assets` needs none.")] = "",
        download: Annotated[
            bool, Query(description="As a download instead of a picture on the page.")
        ] = False,
    ) -> Response:
        """A stored picture, for whoever holds a link that we signed; public assets need none."""
        if bucket not in BUCKETS:
            raise NotFound("There is no such picture.")
        if bucket != PUBLIC_ASSETS:
            services.links.check(bucket, path, token, datetime.now(UTC))
        try:
            return _sent(_found(bucket, path, services), request, services, download=download)
        except ObjectMissing as exc:
            raise NotFound("This picture is not stored any more.") from exc

    found.add_api_route(
        "/files/{bucket}/{path:path}", file, methods=["GET"], operation_id="file", summary="A stored picture",
        response_model=None, response_class=Response, responses=_ANSWERS,  # pyright: ignore[reportArgumentType]
    )  # fmt: skip
    found.add_api_route("/files/{bucket}/{path:path}", file, methods=["HEAD"], include_in_schema=False)
    return found


def _found(bucket: str, path: str, services: Services) -> _File:
    """Raises ObjectMissing, StorageFailed."""
    storage = services.storage
    if isinstance(storage, Streams):
        info = storage.info(bucket, path)
        if info is None:
            raise ObjectMissing("The picture's file is not in the store.")
        etag = f'"{info.size:x}-{int(info.modified_at.timestamp() * 1_000_000):x}"'
        return _File(bucket=bucket, path=path, size=info.size, etag=etag, data=None)
    data = storage.get(bucket, path)
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    return _File(bucket=bucket, path=path, size=len(data), etag=etag, data=data)


def _sent(file: _File, request: Request, services: Services, *, download: bool) -> Response:
    headers = _file_headers(file, download=download)
    if _is_known(request, file.etag):
        return Response(status_code=304, headers=headers)
    part = _part(request, file)
    if part is None:
        return _no_such_part(file)
    start, end = part
    status = 200
    if "range" in request.headers and part != (0, file.size):
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
        status = 206
    headers["Content-Length"] = str(end - start)
    kind = _media_type(file.path)
    storage = services.storage
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=kind)
    if file.data is None and isinstance(storage, Streams):
        pieces = storage.pieces(file.bucket, file.path, start=start, length=end - start)
        return _Streaming(pieces, status, headers, media_type=kind)
    return Response((file.data or b"")[start:end], status, headers, media_type=kind)


class _Streaming(StreamingResponse):
    """Pieces of a file, which is let go of also where the caller leaves before the last one."""

    def __init__(self, pieces: Pieces, status: int, headers: Mapping[str, str], *, media_type: str) -> None:
        super().__init__(iter(pieces), status, headers, media_type)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._pieces.close()


def _is_known(request: Request, etag: str) -> bool:
    told = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    return etag in told or told == ["*"]


def _part(request: Request, file: _File) -> tuple[int, int] | None:
    """From where to before where; the whole file where one range was not asked for, None where there is none such."""
    whole = (0, file.size)
    asked = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if asked is None or request.headers.get("if-range", file.etag) != file.etag:
        return whole
    first, last, tail = asked.groups()
    if tail is not None:
        return (max(file.size - int(tail), 0), file.size) if int(tail) and file.size else None
    start = int(first)
    end = min(int(last) + 1, file.size) if last else file.size
    if last and int(last) < start:
        return whole  # no range at all (RFC 9110 14.1.1), so as if none had been asked for
    return (start, end) if start < file.size else None


def _no_such_part(file: _File) -> Response:
    body = {"success": False, "error": "The picture has no such part. Ask for less.", "code": "NO_SUCH_PART"}
    return JSONResponse(body, 416, headers={"Content-Range": f"bytes */{file.size}"})


def _media_type(path: str) -> str:
    return _MEDIA_TYPES.get(path.rpartition(".")[2].lower(), "application/octet-stream")


def _file_headers(file: _File, *, download: bool) -> dict[str, str]:
    name = file.path.rpartition("/")[2]
    disposition = f"attachment; filename*=UTF-8''{quote(name)}" if download else "inline"
    return {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=3600, immutable",
        "Content-Disposition": disposition,
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "cross-origin",  # the platform's pages show them from their own origin
        "ETag": file.etag,
        "X-Content-Type-Options": "nosniff",
    }
