"""Stored pictures, for whoever holds a link that we signed."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

from fastapi import APIRouter, Response

from core.api.asking import Serving
from core.errors import NotFound, ObjectMissing
from core.storage import BUCKETS, PUBLIC_ASSETS

# Written down, because what `mimetypes` knows depends on the machine, and .webp is missing on some.
_MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "avif": "image/avif",
    "gif": "image/gif",
}


def router() -> APIRouter:
    """GET /files/{bucket}/{path}."""
    found = APIRouter()

    @found.get("/files/{bucket}/{path:path}")
    def file(  # pyright: ignore[reportUnusedFunction]
        bucket: str,
        path: str,
        services: Serving,
        token: str = "",
        download: bool = False,
    ) -> Response:
        """A stored picture, for whoever holds a link that we signed; public assets need none."""
        if bucket not in BUCKETS:
            raise NotFound("There is no such picture.")
        if bucket != PUBLIC_ASSETS:
            services.links.check(bucket, path, token, datetime.now(UTC))
        try:
            data = services.storage.get(bucket, path)
        except ObjectMissing as exc:
            raise NotFound("This picture is not stored any more.") from exc
        return Response(data, media_type=_media_type(path), headers=_file_headers(path, download=download))

    return found


def _media_type(path: str) -> str:
    return _MEDIA_TYPES.get(path.rpartition(".")[2].lower(), "application/octet-stream")


def _file_headers(path: str, *, download: bool) -> dict[str, str]:
    name = path.rpartition("/")[2]
    disposition = f"attachment; filename*=UTF-8''{quote(name)}" if download else "inline"
    return {
        "Cache-Control": "private, max-age=3600, immutable",
        "Content-Disposition": disposition,
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "cross-origin",  # the platform's pages show them from their own origin
        "X-Content-Type-Options": "nosniff",
    }
