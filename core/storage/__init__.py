"""Objects in buckets: the protocol, the address form `bucket/path`, and the links browsers get.

Paths are ASCII, made by `object_path` functions of the use cases (SPEC "Files"); no user's file name is ever
part of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol, runtime_checkable

from core.errors import NotAllowed

WORKSPACE = "workspace-temp"
LIBRARY = "user-library"
REFERENCES = "reference_images"
ATTRIBUTE_ORIGINALS = "attribute-originals"
PUBLIC_ASSETS = "assets"
BUCKETS = (WORKSPACE, LIBRARY, REFERENCES, ATTRIBUTE_ORIGINALS, PUBLIC_ASSETS)

# A key is made by us: plain ASCII, no part that starts with a dot (so neither `..` nor a hidden file).
_PART = r"[A-Za-z0-9_][A-Za-z0-9._@=+~-]{0,199}"
_PATH = re.compile(rf"{_PART}(?:/{_PART}){{0,15}}")


class Address(NamedTuple):
    """Where one object lies. As text it is `bucket/path`, the form rows hold (SPEC "Files")."""

    bucket: str
    path: str

    def __str__(self) -> str:
        return f"{self.bucket}/{self.path}"


@dataclass(frozen=True)
class External:
    """A picture that is not ours: an `http…` address out of a row. It may be signed, so `repr` hides it."""

    url: str = field(repr=False)


def is_key(path: str) -> bool:
    """Whether `path` could name an object of ours."""
    return _PATH.fullmatch(path) is not None


def checked(bucket: str, path: str) -> Address:
    """The address, once it is sure to name an object of ours and nothing else.

    Raises NotAllowed BAD_PATH for an unknown bucket, an absolute path, an empty part, a part that starts with
    a dot, or characters other than ASCII letters, digits and `._@=+~-`.
    """
    if bucket not in BUCKETS or not _PATH.fullmatch(path):
        raise NotAllowed(
            "That is not the address of a stored picture. Pick the picture again.", code="BAD_PATH"
        )
    return Address(bucket, path)


@dataclass(frozen=True, kw_only=True)
class ObjectInfo:
    """What a listing knows of one object; `size` in bytes."""

    bucket: str
    path: str
    size: int
    modified_at: datetime


class Digest(NamedTuple):
    """What an object's bytes are: how many, and their sha-256 as 64 hex digits."""

    size: int
    sha256: str


def is_behind(name: str, after: Sequence[str], *, is_folder: bool) -> bool:
    """Whether a name in a folder lies behind the rest of a path in a walk, or leads there; a folder follows an object
    of its name.
    """
    if not after or name != after[0]:
        return not after or name > after[0]
    return is_folder


class Storage(Protocol):
    """Where bytes are kept. Every method may be called from any thread.

    Errors: ObjectMissing where the object is not there, StorageFailed for everything that may pass by itself.
    """

    @property
    def is_near(self) -> bool:
        """True where reading an object costs no more than a disk: the proof then reads all, else a sample."""
        ...

    def put(self, bucket: str, path: str, data: bytes, media_type: str) -> None:
        """Write an object whole or not at all; an existing one is replaced."""
        ...

    def get(self, bucket: str, path: str) -> bytes:
        """The bytes of an object."""
        ...

    def copy(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        """Copy (bucket, path) to (bucket, path), whole or not at all, replacing what stands there."""
        ...

    def info(self, bucket: str, path: str) -> ObjectInfo | None:
        """Size and time of an object, None where there is none."""
        ...

    def sizes(self, bucket: str, paths: Iterable[str]) -> dict[str, int]:
        """Bytes of those of `paths` that are there, asked together; what is no key of ours is not there."""
        ...

    def digest(self, bucket: str, path: str) -> Digest:
        """Size and sha-256 of an object, read in pieces."""
        ...

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object below a folder prefix, in no promised order."""
        ...

    def walk(self, bucket: str, after: str = "") -> Iterator[ObjectInfo]:
        """Every object of a bucket, folder by folder, names in order; with `after` only those behind that path.

        What stands there throughout is given once, whatever comes or goes meanwhile. At most one folder's names are
        held, so that a listing can be stopped anywhere and gone on with.
        """
        ...

    def delete(self, bucket: str, path: str) -> None:
        """Remove an object; one that is not there is no error."""
        ...


class Pieces(Protocol):
    """An object on its way out: pieces in their order; `close` ends it early, and twice is no error."""

    def __iter__(self) -> Iterator[bytes]:
        """The pieces that are left."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


@runtime_checkable
class Streams(Protocol):
    """A `Storage` that can also hand an object over in pieces, so that a large one is never whole in memory."""

    def info(self, bucket: str, path: str) -> ObjectInfo | None:
        """As `Storage.info`."""
        ...

    def pieces(self, bucket: str, path: str, *, start: int, length: int) -> Pieces:
        """`length` bytes from `start` on, opened at once: raises ObjectMissing, StorageFailed before the first piece.

        Fewer bytes come where the object was replaced by a shorter one meanwhile.
        """
        ...


@runtime_checkable
class Prunes(Protocol):
    """A `Storage` whose folders stand by themselves, and keep the name of whose they were when the last object is gone."""

    def prune(self, bucket: str, folder: str) -> None:
        """Remove a folder without objects, and what a crash left in it; one that holds objects stays."""
        ...
