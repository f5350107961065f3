"""Buckets and the objects in them, with the rows and headers Storage makes of them."""

from __future__ import annotations

import fnmatch
import hashlib
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import islice

from tests.supabase import answers

KEY = re.compile(r"[\w/!\-.*'() &$@=;:+,?]+", re.ASCII)
BUCKET_NAME = re.compile(r"[\w!\-.*'()&$@=;:+,?]{1,100}", re.ASCII)
LONGEST_NAME = 255  # bytes, of the disk below the file backend


def moment(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One object. `owner` is the caller's id, empty for the service."""

    bucket: str
    name: str
    data: bytes = field(repr=False)
    media_type: str
    cache_seconds: str = "3600"
    user_metadata: object = None
    owner: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    version: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data, usedforsecurity=False).hexdigest()}"'

    @property
    def metadata(self) -> dict[str, object]:
        return {
            "eTag": self.etag,
            "size": len(self.data),
            "mimetype": self.media_type,
            "cacheControl": f"max-age={self.cache_seconds}",
            "lastModified": moment(self.updated_at),
            "contentLength": len(self.data),
            "httpStatusCode": 200,
        }

    def listed(self, name: str) -> dict[str, object]:
        """As a listing shows it; `name` is relative to the listed folder."""
        return {"name": name, "id": self.id, **self._times(), "metadata": self.metadata}

    def row(self) -> dict[str, object]:
        """As a copy and a removal show it: the whole row."""
        return {
            "name": self.name,
            "bucket_id": self.bucket,
            "owner": self.owner,
            "owner_id": self.owner,
            "version": self.version,
            "id": self.id,
            **self._times(),
            "metadata": self.metadata,
        }

    def told(self) -> dict[str, object]:
        """As /object/info shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "bucket_id": self.bucket,
            "size": len(self.data),
            "content_type": self.media_type,
            "cache_control": f"max-age={self.cache_seconds}",
            "etag": self.etag,
            "metadata": self.user_metadata,
            "last_modified": moment(self.updated_at),
            "created_at": moment(self.created_at),
        }

    def headers(self) -> dict[str, str]:
        return {
            "content-type": self.media_type,
            "etag": self.etag,
            "last-modified": format_datetime(self.updated_at, usegmt=True),
            "cache-control": f"max-age={self.cache_seconds}",
            "accept-ranges": "bytes",
            "x-robots-tag": "none",
        }

    def _times(self) -> dict[str, str]:
        return {
            "updated_at": moment(self.updated_at),
            "created_at": moment(self.created_at),
            "last_accessed_at": moment(self.updated_at),
        }


@dataclass(kw_only=True)
class Bucket:
    id: str
    public: bool = False
    file_size_limit: int | None = None
    allowed_mime_types: list[str] | None = None
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    objects: dict[str, Stored] = field(default_factory=dict)

    def told(self) -> dict[str, object]:
        return {
            "id": self.id,
            "name": self.id,
            "owner": "",
            "public": self.public,
            "file_size_limit": self.file_size_limit,
            "allowed_mime_types": self.allowed_mime_types,
            "created_at": moment(self.created_at),
            "updated_at": moment(self.updated_at),
        }

    def change(self, options: dict[str, object]) -> None:
        for name in ("public", "file_size_limit", "allowed_mime_types"):
            if name in options:
                setattr(self, name, options[name])
        self.updated_at = now()

    def object(self, name: str) -> Stored:
        if name not in self.objects:
            raise answers.no_object()
        return self.objects[name]

    def refuse(self, media_type: str, size: int, most: int) -> None:
        """Its limits; the declared type is believed, whatever the bytes are."""
        allowed = self.allowed_mime_types
        if allowed and not any(fnmatch.fnmatch(media_type, one) for one in allowed):
            raise answers.wrong_type(media_type)
        if size > min(most, self.file_size_limit or most):
            raise answers.too_large()

    def folder(self, prefix: str, visible: set[str], *, offset: int, limit: int) -> list[dict[str, object]]:
        """One page of what lies directly below `prefix`; folders have nothing but a name."""
        start = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        entries: dict[str, dict[str, object]] = {}
        for name in sorted(visible):
            inside = name.removeprefix(start)
            if not name.startswith(start) or not inside:
                continue
            first, _, rest = inside.partition("/")
            entries.setdefault(first, _folder(first) if rest else self.objects[name].listed(first))
        return list(islice(entries.values(), offset, offset + limit))


def _folder(name: str) -> dict[str, object]:
    nothing = ("id", "updated_at", "created_at", "last_accessed_at", "metadata")
    return {"name": name, **dict.fromkeys(nothing)}


def checked_key(key: str) -> str:
    """The key Storage files it under: no slash in front, none doubled."""
    tidy = re.sub("/+", "/", key).strip("/")
    if not KEY.fullmatch(tidy):
        raise answers.invalid_key(key)
    if any(len(part.encode()) > LONGEST_NAME for part in tidy.split("/")):
        raise answers.disk_refuses()
    return tidy


@dataclass(frozen=True, kw_only=True)
class Form:
    """An upload's multipart body; what stands behind the file is not read, as the server streams it."""

    data: bytes
    media_type: str
    file_name: str
    fields: dict[str, str]


def read_form(body: bytes, content_type: str) -> Form:
    boundary = re.search(r'boundary="?([^";]+)', content_type)
    if boundary is None:
        raise answers.invalid_body("a form was expected")
    fields: dict[str, str] = {}
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode())[1:]:
        head, _, data = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        lines = head.decode()
        if name := re.search(r'filename="([^"]*)"', lines):
            kind = re.search(r"(?im)^content-type:\s*(.+?)\s*$", lines)
            return Form(data=data, media_type=kind[1] if kind else "", file_name=name[1], fields=fields)
        if name := re.search(r'name="([^"]*)"', lines):
            fields[name[1]] = data.decode()
    raise answers.invalid_body("no file was sent")
