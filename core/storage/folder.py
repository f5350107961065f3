"""Objects as files below one folder: the embedded mode's storage, and a shared volume's.

A file appears whole or not at all: it is written beside its place under a hidden name, flushed to the disk,
and moved over. Hidden names are no keys, so a leftover of a crash is never listed or served.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from core.errors import NotAllowed, ObjectMissing, StorageFailed
from core.storage import Address, Digest, ObjectInfo, Pieces, checked, is_behind, is_key

_PIECE = 256 * 1024  # bytes read at once


class FolderStorage:
    """`Storage` (core.storage) below `root`: one folder a bucket, one file an object."""

    def __init__(self, root: Path) -> None:
        """`root` need not be there yet."""
        self._root = root.absolute()

    @property
    def is_near(self) -> bool:
        """As `Storage.is_near`."""
        return True

    def put(self, bucket: str, path: str, data: bytes, media_type: str) -> None:  # noqa: ARG002 -- the protocol's
        """As `Storage.put`; the file's ending tells its type, so `media_type` is not kept."""

        def write(file: BinaryIO) -> None:
            file.write(data)

        self._replace(checked(bucket, path), write)

    def get(self, bucket: str, path: str) -> bytes:
        """As `Storage.get`."""
        with _said_plainly("read"):
            return self._place(checked(bucket, path)).read_bytes()

    def pieces(self, bucket: str, path: str, *, start: int, length: int) -> Pieces:
        """As `Streams.pieces`. A file that is replaced meanwhile is read on as it was."""
        with _said_plainly("read"):
            file = self._place(checked(bucket, path)).open("rb")
        return _FilePieces(file, start, length)

    def copy(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        """As `Storage.copy`. The bytes are copied: two names for one file would share one fate."""
        with _said_plainly("copied"), self._place(checked(*source)).open("rb") as original:

            def write(file: BinaryIO) -> None:
                shutil.copyfileobj(original, file, 1024 * 1024)

            self._replace(checked(*target), write)

    def info(self, bucket: str, path: str) -> ObjectInfo | None:
        """As `Storage.info`."""
        place = self._place(checked(bucket, path))
        try:
            with _said_plainly("looked at"):
                return _info(bucket, path, place.stat()) if place.is_file() else None
        except ObjectMissing:
            return None

    def sizes(self, bucket: str, paths: Iterable[str]) -> dict[str, int]:
        """As `Storage.sizes`."""
        found: dict[str, int] = {}
        folders: dict[str, list[str]] = {}
        for path in filter(is_key, paths):
            folders.setdefault(path.rpartition("/")[0], []).append(path)
        for folder, below in folders.items():
            # Any key of a folder has that folder looked at, once for all that lie in it.
            place = self._place(checked(bucket, f"{folder}/x" if folder else "x")).parent
            for path in below:
                with suppress(ObjectMissing), _said_plainly("looked at"):
                    status = os.lstat(f"{place}/{path.rpartition('/')[2]}")
                    if stat.S_ISREG(status.st_mode):
                        found[path] = status.st_size
        return found

    def digest(self, bucket: str, path: str) -> Digest:
        """As `Storage.digest`."""
        place = self._place(checked(bucket, path))
        size, said = 0, hashlib.sha256()
        with _said_plainly("read"), place.open("rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                size += len(piece)
                said.update(piece)
        return Digest(size=size, sha256=said.hexdigest())

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """As `Storage.list`; `prefix` is a whole folder (`a/b`), never a part of a name."""
        folder = prefix.rstrip("/")
        # Any key serves to have the bucket and the prefix looked at.
        place = self._place(checked(bucket, f"{folder}/x" if folder else "x")).parent
        yield from self._below(place, bucket, f"{folder}/" if folder else "")

    def walk(self, bucket: str, after: str = "") -> Iterator[ObjectInfo]:
        """As `Storage.walk`."""
        place = self._place(checked(bucket, "x")).parent
        yield from self._behind(place, bucket, "", after.split("/") if after else [])

    def delete(self, bucket: str, path: str) -> None:
        """As `Storage.delete`."""
        with suppress(ObjectMissing), _said_plainly("deleted"):
            self._place(checked(bucket, path)).unlink()

    def prune(self, bucket: str, folder: str) -> None:
        """As `Prunes.prune`."""
        place = self._place(checked(bucket, f"{folder}/x")).parent
        for below, _, names in os.walk(place, topdown=False):
            for name in names:
                if name.startswith(".") and name.endswith(".part"):
                    Path(below, name).unlink(missing_ok=True)
            with suppress(OSError):  # an object stands in it, or just came
                Path(below).rmdir()

    def _place(self, address: Address) -> Path:
        """The file of an address. Raises NotAllowed where a link inside the store leads out of its bucket."""
        bucket = f"{self._root}/{address.bucket}"
        place = f"{bucket}/{address.path}"
        # os.path and not Path: the proof asks this 200,000 times, and Path takes four times as long for it.
        home = os.path.realpath(bucket)
        if os.path.islink(place) or not f"{os.path.realpath(os.path.dirname(place))}/".startswith(f"{home}/"):  # noqa: PTH114, PTH120
            raise NotAllowed("That picture's folder leads out of the store. An admin must remove the link.")
        return Path(place)

    def _replace(self, address: Address, write: Callable[[BinaryIO], None]) -> None:
        place = self._place(address)
        passing = place.with_name(f".{secrets.token_hex(8)}.part")
        with _said_plainly("written", may_be_missing=False):
            _make_folder(place.parent)
            try:
                with passing.open("xb") as file:
                    write(file)
                    file.flush()
                    os.fsync(file.fileno())
                passing.replace(place)
            except BaseException:
                passing.unlink(missing_ok=True)
                raise
            _flush_folder(place.parent)

    def _below(self, folder: Path, bucket: str, prefix: str) -> Iterator[ObjectInfo]:
        for entry in _entries(folder):
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._below(Path(entry.path), bucket, f"{prefix}{entry.name}/")
            elif entry.is_file(follow_symlinks=False):
                # It may go between the listing and the look: then it is not there.
                with suppress(ObjectMissing), _said_plainly("looked at"):
                    yield _info(bucket, prefix + entry.name, entry.stat(follow_symlinks=False))

    def _behind(self, folder: Path, bucket: str, prefix: str, after: Sequence[str]) -> Iterator[ObjectInfo]:
        for entry in sorted(_entries(folder), key=lambda entry: entry.name):
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.name.startswith(".") or not is_behind(entry.name, after, is_folder=is_folder):
                continue
            if is_folder:
                rest = after[1:] if after and entry.name == after[0] else ()
                yield from self._behind(Path(entry.path), bucket, f"{prefix}{entry.name}/", rest)
            elif entry.is_file(follow_symlinks=False):
                # It may go between the listing and the look: then it is not there.
                with suppress(ObjectMissing), _said_plainly("looked at"):
                    yield _info(bucket, prefix + entry.name, entry.stat(follow_symlinks=False))


class _FilePieces:
    """`Pieces` of an open file, which is closed after the last of them."""

    def __init__(self, file: BinaryIO, start: int, length: int) -> None:
        self._file = file
        self._start = start
        self._length = length

    def __iter__(self) -> Iterator[bytes]:
        left = self._length
        with self._file as file, _said_plainly("read"):
            file.seek(self._start)
            while left > 0 and (piece := file.read(min(_PIECE, left))):
                left -= len(piece)
                yield piece

    def close(self) -> None:
        self._file.close()


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with _said_plainly("listed"), os.scandir(folder) as found:
            return list(found)
    except ObjectMissing:
        return []


def _info(bucket: str, path: str, status: os.stat_result) -> ObjectInfo:
    modified_at = datetime.fromtimestamp(status.st_mtime, UTC)
    return ObjectInfo(bucket=bucket, path=path, size=status.st_size, modified_at=modified_at)


def _make_folder(folder: Path) -> None:
    """Make `folder` and what is missing above it, each flushed into its parent."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    # A move is only safe from a power cut once the folder that names the file is on the disk.
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _said_plainly(deed: str, *, may_be_missing: bool = True) -> Generator[None]:
    try:
        yield
    except OSError as exc:
        if may_be_missing and isinstance(exc, FileNotFoundError | NotADirectoryError | IsADirectoryError):
            raise ObjectMissing(
                "The picture's file is not in the store; the audit lists such pictures."
            ) from exc
        raise StorageFailed(
            f"A picture's file could not be {deed}: {exc.strerror}. It is tried again; if it stays so, "
            "an admin should look at the store's disk."
        ) from exc
