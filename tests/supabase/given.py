"""A real Supabase project that somebody named for these tests: what of it is used, and that nothing of it stays changed.

`python -m tests.supabase.real URL` names one to the run, by the variables below. Objects go below a folder of the run's
own in each bucket; people have addresses of the run's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from core.storage import BUCKETS, Digest, ObjectInfo
from core.storage.supabase import SupabaseStorage

URL, SECRET_KEY, PUBLISHABLE_KEY = (
    "TEST_SUPABASE_URL",
    "TEST_SUPABASE_SECRET_KEY",
    "TEST_SUPABASE_PUBLISHABLE_KEY",
)
FOLDER = "TEST_SUPABASE_FOLDER"
OURS = "ps-test-"  # begins the folder of every run


@dataclass(frozen=True, kw_only=True)
class Given:
    """A project and the run's own folder in it."""

    url: str
    secret_key: str = field(repr=False)
    publishable_key: str = field(repr=False)
    folder: str


def given() -> Given | None:
    """The project this run was given, None where it was given none."""
    if URL not in os.environ:
        return None
    return Given(
        url=os.environ[URL],
        secret_key=os.environ[SECRET_KEY],
        publishable_key=os.environ.get(PUBLISHABLE_KEY, ""),
        folder=os.environ[FOLDER],
    )


class Within:
    """A storage as seen from one folder of its buckets: that folder is all there is."""

    def __init__(self, storage: SupabaseStorage, folder: str) -> None:
        self._storage = storage
        self._folder = folder

    @property
    def is_near(self) -> bool:
        return self._storage.is_near

    def put(self, bucket: str, path: str, data: bytes, media_type: str) -> None:
        self._storage.put(bucket, self._inside(path), data, media_type)

    def get(self, bucket: str, path: str) -> bytes:
        return self._storage.get(bucket, self._inside(path))

    def copy(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        self._storage.copy((source[0], self._inside(source[1])), (target[0], self._inside(target[1])))

    def info(self, bucket: str, path: str) -> ObjectInfo | None:
        found = self._storage.info(bucket, self._inside(path))
        return self._outside(found) if found else None

    def sizes(self, bucket: str, paths: Iterable[str]) -> dict[str, int]:
        found = self._storage.sizes(bucket, [self._inside(path) for path in paths])
        return {path.removeprefix(f"{self._folder}/"): size for path, size in found.items()}

    def digest(self, bucket: str, path: str) -> Digest:
        return self._storage.digest(bucket, self._inside(path))

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        below = f"{self._folder}/{prefix}" if prefix else self._folder
        yield from map(self._outside, self._storage.list(bucket, below))

    def walk(self, bucket: str, after: str = "") -> Iterator[ObjectInfo]:
        start = self._inside(after) if after else self._folder
        for info in self._storage.walk(bucket, start):
            if not info.path.startswith(f"{self._folder}/"):
                return
            yield self._outside(info)

    def delete(self, bucket: str, path: str) -> None:
        self._storage.delete(bucket, self._inside(path))

    def empty(self) -> None:
        """Remove all there is."""
        for bucket in BUCKETS:
            for info in list(self._storage.list(bucket, self._folder)):
                self._storage.delete(bucket, info.path)

    def _inside(self, path: str) -> str:
        return f"{self._folder}/{path}"

    def _outside(self, info: ObjectInfo) -> ObjectInfo:
        return replace(info, path=info.path.removeprefix(f"{self._folder}/"))
