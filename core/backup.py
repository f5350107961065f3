"""The database and every object as one folder, made while everything runs, and back again (SPEC "Two ways to run").
A restored database sends nothing by itself: what waited then may have been made and paid since (`hold`).

    FOLDER/manifest.json      what the backup holds; written last, so a folder without it is unfinished
    FOLDER/database-….dump    Postgres's custom format (pg_restore reads it), one moment of the database
    FOLDER/objects-….jsonl    one object a line: bucket, path, size, sha256
    FOLDER/objects/<bucket>/<path>

The database's moment comes first and the objects after it: an object is written before the row that names it, and its key
never gets another picture, so every picture of that moment is found, or was deleted meanwhile and is named as missing.
Everything is private (folders 0700, files 0600). Keys and settings are in no backup.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any, TypeVar

from core import log
from core.db import Connection, activity, as_ours, dumps, recoveries
from core.db.dumps import Extension, Programs, TableHash
from core.db.stock import own_hosts
from core.errors import Conflict, ObjectMissing, SetupFailed, StorageFailed
from core.storage import BUCKETS, Address, ObjectInfo, Storage, Streams, checked
from core.stored_links import StoredLink, read

T = TypeVar("T")

FORMAT = 1
MANIFEST = "manifest.json"
_OBJECTS = "objects"
_STAMP = "%Y%m%dT%H%M%S%f"
_MARK = ".portrait-studio-backup"
_PIECE = 1024 * 1024  # bytes
_LOT = 500
_AT_ONCE = 8  # objects under way at once where the store is far
_MOST_NAMED = 1000
HELD = "RESTORED"  # the code of a job that was held
_HELD_WORDS = (
    "This picture was waiting when the backup was made, and may have been made and paid for since. "
    "It is not sent by itself. Try again if you still need it."
)
_HELD_EVENT = "jobs_held"
_CHANGED_BY_HOLDING = frozenset(
    {
        "public.jobs",
        "studio.job_events",
        "studio.cost_entries",
        "studio.audit_events",
        "studio_queue.pgqueuer",
    }
)
_TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "avif": "image/avif",
    "gif": "image/gif", "mp4": "video/mp4",
}  # fmt: skip

Say = Callable[[str, int, int], None]
"""Progress: what is done now, how many are done, of how many (0: not known)."""

_log = log.get(__name__)


class Damaged(SetupFailed):
    """A backup that is not whole, or whose files are not what its manifest says; the sentence names the file."""

    code = "BACKUP_DAMAGED"


@dataclass(frozen=True, kw_only=True)
class FileSeal:
    """A file of the backup as it was written."""

    file: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a backup holds. `missing`: pictures that rows of that moment name and that were not there any more, at most
    1000 of `missing_count`.
    """

    format: int
    made_at: str
    postgres: int
    with_accounts: bool
    extensions: tuple[Extension, ...]
    database: FileSeal
    objects: FileSeal
    object_count: int
    object_bytes: int
    tables: tuple[TableHash, ...]
    left_out: tuple[str, ...]
    missing_count: int
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One object of a backup."""

    bucket: str
    path: str
    size: int
    sha256: str

    @property
    def address(self) -> Address:
        """Where it lies. Raises NotAllowed where that is no address of ours."""
        return checked(self.bucket, self.path)


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a backup or a restore did. `moved`: objects that were fetched or written now, not found there already;
    `held`: jobs that nobody sends by itself after this restore.
    """

    manifest: Manifest
    moved: int
    held: int = 0


def _silent(_what: str, _done: int, _total: int) -> None:
    """Nobody looks."""


# -- backup ------------------------------------------------------------------------------------------------------------


def backup(
    folder: Path,
    dsn: str,
    storage: Storage,
    *,
    programs: Path | None = None,
    again: bool = False,
    say: Say = _silent,
) -> Done:
    """Write a backup into `folder`, while everything runs. One that was interrupted is gone on with; `again` brings a finished
    one up to date, and it stays good until the new one is whole.

    Raises Conflict where the folder holds something else, or a finished backup; SetupFailed, StorageFailed,
    DatabaseUnavailable.
    """
    _take_folder(folder, again=again)
    with dumps.opened(dsn) as conn:
        tool = Programs.fitting(dumps.server_version(conn), programs)
        with dumps.snapshot(conn) as taken:
            dumped = _dump(folder, tool, dsn, conn, taken, say)
            sealed = _tables(conn, say)
            named = _named(conn)
            accounts, wanted = dumps.keeps_accounts(conn), dumps.extensions(conn)
            version = dumps.server_version(conn)
    listed, moved = _fetch(folder, storage, named, say)
    manifest = Manifest(
        format=FORMAT,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        postgres=version,
        with_accounts=accounts,
        extensions=tuple(wanted),
        database=dumped,
        objects=listed,
        object_count=moved.count,
        object_bytes=moved.bytes,
        tables=tuple(sealed),
        left_out=dumps.LEFT_OUT,
        missing_count=len(named),
        missing=tuple(sorted(map(str, named))[:_MOST_NAMED]),
    )
    _write_whole(folder / MANIFEST, json.dumps(asdict(manifest), indent=1).encode())
    _forget_older(folder, manifest)
    _log.info("backup_made", objects=moved.count, fetched=moved.fetched, missing=len(named))
    return Done(manifest=manifest, moved=moved.fetched)


def _take_folder(folder: Path, *, again: bool) -> None:
    """Make the folder, or see that it is a backup of ours that may be gone on with."""
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / _MARK).exists():
            raise Conflict(f"{folder} is not empty and holds no backup. Name an empty or a new folder.")
        if (folder / MANIFEST).exists() and not again:
            raise Conflict(
                f"{folder} holds a finished backup. Name another folder, or bring this one up to date with --again."
            )
    elif folder.exists() and not folder.is_dir():
        raise Conflict(f"{folder} is a file. Name a folder.")
    try:
        _make_folder(folder)
        folder.chmod(0o700)
        _write_whole(folder / _MARK, b"A backup of Portrait Studio; see docs/backup.md.\n")
    except OSError as exc:
        raise SetupFailed(f"{folder} cannot be written. Check its rights and the free space.") from exc


def _dump(folder: Path, tool: Programs, dsn: str, conn: Connection, taken: str, say: Say) -> FileSeal:
    say("Database", 0, 0)
    name = f"database-{datetime.now(UTC):{_STAMP}}.dump"
    with _private(folder / f".{name}.part") as file:
        file.flush()
    dumps.dump(tool, dsn, folder / f".{name}.part", taken=taken, with_accounts=dumps.keeps_accounts(conn))
    (folder / f".{name}.part").replace(folder / name)
    return _seal(folder / name)


def _tables(conn: Connection, say: Say) -> list[TableHash]:
    accounts = dumps.keeps_accounts(conn)
    names = [one for one in dumps.tables(conn) if accounts or not one.startswith(f"{dumps.ACCOUNTS}.")]
    found: list[TableHash] = []
    for number, name in enumerate(names, start=1):
        say("Rows", number, len(names))
        if name not in dumps.LEFT_OUT:
            found.append(dumps.hash_of(conn, name))
    return found


def _named(conn: Connection) -> set[Address]:
    """The pictures that rows of this moment name and that should stand."""
    hosts, now = own_hosts(conn), datetime.now(UTC)
    found: set[Address] = set()
    for bucket, value in dumps.named_pictures(conn):
        said = read(value, default_bucket=bucket, own_hosts=hosts, made_at=now)
        address = said.address if isinstance(said, StoredLink) else said
        if address is not None:
            found.add(address)
    return found


@dataclass(kw_only=True)
class _Moved:
    """How far the objects are."""

    count: int = 0
    bytes: int = 0
    fetched: int = 0


def _fetch(folder: Path, storage: Storage, named: set[Address], say: Say) -> tuple[FileSeal, _Moved]:
    """Every object of the store; what is met goes out of `named`. One that is deleted meanwhile is left out."""
    moved = _Moved()
    name = f"objects-{datetime.now(UTC):{_STAMP}}.jsonl"
    passing = folder / f".{name}.part"
    with _private(passing) as lines, ThreadPoolExecutor(1 if storage.is_near else _AT_ONCE) as threads:
        for lot in _lots(_listed(storage)):
            for one, fetched in threads.map(partial(_keep, folder, storage), lot):
                if one is None:
                    continue
                lines.write(f"{json.dumps(asdict(one))}\n".encode())
                moved.count += 1
                moved.bytes += one.size
                moved.fetched += fetched
                named.discard(Address(one.bucket, one.path))
            say("Objects", moved.count, 0)
    passing.replace(folder / name)
    return _seal(folder / name), moved


def _listed(storage: Storage) -> Iterator[ObjectInfo]:
    for bucket in BUCKETS:
        yield from storage.walk(bucket)


def _keep(folder: Path, storage: Storage, info: ObjectInfo) -> tuple[Kept | None, bool]:
    """One object in the folder, fetched where it is not there as it is in the store."""
    place = folder / _OBJECTS / info.bucket / info.path
    changed = int(info.modified_at.timestamp())
    with suppress(OSError):
        status = place.stat()
        if (status.st_size, int(status.st_mtime)) == (info.size, changed):
            return Kept(bucket=info.bucket, path=info.path, size=info.size, sha256=_sha256(place)), False
    _make_folder(place.parent)
    passing = place.with_name(f".{place.name}.part")
    said, size = hashlib.sha256(), 0
    try:
        with _pieces(storage, info) as pieces, _private(passing) as file:
            for piece in pieces:
                said.update(piece)
                size += len(piece)
                file.write(piece)
    except ObjectMissing:
        passing.unlink(missing_ok=True)
        return None, False
    os.utime(passing, (changed, changed))
    passing.replace(place)
    return Kept(bucket=info.bucket, path=info.path, size=size, sha256=said.hexdigest()), True


@contextmanager
def _pieces(storage: Storage, info: ObjectInfo) -> Generator[Iterable[bytes]]:
    if isinstance(storage, Streams):
        with closing(storage.pieces(info.bucket, info.path, start=0, length=info.size)) as pieces:
            yield pieces
    else:
        yield (storage.get(info.bucket, info.path),)


def _forget_older(folder: Path, manifest: Manifest) -> None:
    """Dumps and objects that the new manifest does not name."""
    for left in [*folder.glob("database-*.dump"), *folder.glob("objects-*.jsonl"), *folder.glob(".*.part")]:
        if left.name not in {manifest.database.file, manifest.objects.file}:
            left.unlink(missing_ok=True)
    named = {f"{one.bucket}/{one.path}" for one in _objects_of(folder, manifest)}
    for place in (folder / _OBJECTS).rglob("*"):
        if place.is_file() and place.relative_to(folder / _OBJECTS).as_posix() not in named:
            place.unlink()


# -- verify ------------------------------------------------------------------------------------------------------------


def verify(folder: Path, *, programs: Path | None = None, say: Say = _silent) -> Manifest:
    """Read every file of a backup and compare it with the manifest. Raises Damaged, which names the file."""
    manifest = read_manifest(folder)
    for sealed in (manifest.database, manifest.objects):
        say(sealed.file, 0, 0)
        _must_be(folder / sealed.file, sealed)
    tool = Programs.fitting(manifest.postgres, programs)
    dumps.contents(tool, folder / manifest.database.file)
    for number, one in enumerate(_objects_of(folder, manifest), start=1):
        _must_be(
            folder / _OBJECTS / one.address.bucket / one.address.path,
            FileSeal(file=f"{_OBJECTS}/{one.bucket}/{one.path}", size=one.size, sha256=one.sha256),
        )
        if number % _LOT == 0:
            say("Objects", number, manifest.object_count)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """What a backup says it holds. Raises Damaged."""
    try:
        said = json.loads((folder / MANIFEST).read_text("utf-8"))
        if said["format"] != FORMAT:
            raise Damaged(
                f"{folder / MANIFEST} has the format {said['format']}, and this studio reads {FORMAT}. "
                "Restore it with the version of the studio that made it."
            )
        return _manifest(said)
    except FileNotFoundError:
        why = "is an unfinished backup: make it again" if (folder / _MARK).exists() else "holds no backup"
        raise Damaged(f"{folder} {why}. {MANIFEST} is missing.") from None
    except OSError as exc:
        raise Damaged(f"{folder / MANIFEST} cannot be read. Check its rights.") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise Damaged(f"{folder / MANIFEST} is damaged: it is not what the studio wrote.") from exc


def _manifest(said: dict[str, Any]) -> Manifest:
    read_parts: dict[str, Any] = {
        **said,
        "extensions": tuple(Extension(**one) for one in said["extensions"]),
        "database": FileSeal(**said["database"]),
        "objects": FileSeal(**said["objects"]),
        "tables": tuple(TableHash(**one) for one in said["tables"]),
        "left_out": tuple(said["left_out"]),
        "missing": tuple(said["missing"]),
    }
    for one in (read_parts["database"], read_parts["objects"]):
        if Path(one.file).name != one.file:
            raise ValueError("a file of the backup lies in its folder")
    return Manifest(**read_parts)


def _must_be(place: Path, sealed: FileSeal) -> None:
    try:
        if place.stat().st_size != sealed.size:
            raise Damaged(f"The backup is damaged: {sealed.file} has another size than when it was written.")
        if _sha256(place) != sealed.sha256:
            raise Damaged(f"The backup is damaged: {sealed.file} holds other bytes than when it was written.")
    except FileNotFoundError:
        raise Damaged(f"The backup is damaged: {sealed.file} is missing.") from None
    except OSError as exc:
        raise Damaged(f"The backup cannot be read: {sealed.file}. Check its rights and its disk.") from exc


def _objects_of(folder: Path, manifest: Manifest) -> Iterator[Kept]:
    try:
        with (folder / manifest.objects.file).open(encoding="utf-8") as lines:
            for line in lines:
                yield Kept(**json.loads(line))
    except (OSError, ValueError, TypeError) as exc:
        raise Damaged(f"The backup is damaged: {manifest.objects.file} cannot be read.") from exc


# -- restore -----------------------------------------------------------------------------------------------------------


def restore(
    folder: Path,
    dsn: str | None,
    storage: Storage,
    *,
    programs: Path | None = None,
    go_on: bool = False,
    say: Say = _silent,
) -> Done:
    """Put a backup back into an empty database and an empty store, compare both with it, then hold the jobs that wait. One
    that was interrupted is gone on with: objects first, then the database in one transaction.

    `dsn` None: objects only (the database comes back by other means, such as Supabase's own backups). `go_on`: jobs stay
    as they were, and the next worker sends those that wait. Raises Damaged; Conflict where something stands there
    already; SetupFailed, StorageFailed, DatabaseUnavailable.
    """
    manifest = verify(folder, programs=programs, say=say)
    _refuse_strangers(folder, storage, manifest)
    has_rows = dsn is not None and _refuse_rows(dsn, manifest)
    moved = _bring(folder, storage, manifest, say)
    if dsn is not None and not has_rows:
        _load(folder, dsn, manifest, programs, say)
    _prove(folder, dsn, storage, manifest, say)
    held = _held(dsn, manifest, go_on=go_on) if dsn is not None else 0
    _log.info("backup_restored", objects=manifest.object_count, written=moved, held=held)
    return Done(manifest=manifest, moved=moved, held=held)


def hold(dsn: str, *, of: str | None = None) -> int:
    """Hold the jobs of a database that was set back, so that none is paid twice; how many.

    What waits as far as it knows fails with the code RESTORED and can be tried again by a click; what was sent is asked
    about as ever. `of` names the backup for the record. Raises DatabaseUnavailable.
    """
    with dumps.opened(dsn) as conn, as_ours(), conn.transaction():
        count = recoveries.hold_waiting(conn, code=HELD, words=_HELD_WORDS)
        if count:
            activity.note(conn, _HELD_EVENT, "jobs", None, after={"count": count, "backup": of})
    _log.info("jobs_held", count=count)
    return count


def _held(dsn: str, manifest: Manifest, *, go_on: bool) -> int:
    """How many jobs this restore holds, now or when it was run before."""
    with dumps.opened(dsn) as conn:
        before = activity.count_noted(conn, _HELD_EVENT, backup=manifest.database.sha256)
    if before is not None or go_on:
        return before or 0
    return hold(dsn, of=manifest.database.sha256)


def _refuse_strangers(folder: Path, storage: Storage, manifest: Manifest) -> None:
    """Refuse a store that holds what the backup does not."""
    ours = {(one.bucket, one.path) for one in _objects_of(folder, manifest)}
    for one in _listed(storage):
        if (one.bucket, one.path) not in ours:
            raise Conflict(
                f"The store is not empty: {one.bucket}/{one.path} is not from this backup. "
                f"Restore its {manifest.object_count} objects into an empty store."
            )


def _refuse_rows(dsn: str, manifest: Manifest) -> bool:
    """True where the backup's own rows stand already (a restore that was interrupted). Raises Conflict, SetupFailed."""
    with dumps.opened(dsn) as conn:
        there = dumps.tables(conn)
        if not manifest.with_accounts:
            there = [one for one in there if not one.startswith(f"{dumps.ACCOUNTS}.")]
            if not dumps.has_accounts(conn):
                raise SetupFailed(
                    "This is a backup of a Supabase project, whose accounts Supabase keeps. "
                    "Restore it into a project that has them (docs/backup.md)."
                )
        if not there:
            return False
        if _differences(conn, manifest):
            raise Conflict(
                f"The database is not empty: {there[0]} stands there. Restore into an empty database."
            )
        return True


def _bring(folder: Path, storage: Storage, manifest: Manifest, say: Say) -> int:
    """Write every object that is not there in its full size; how many."""
    written = done = 0
    with ThreadPoolExecutor(1 if storage.is_near else _AT_ONCE) as threads:
        for lot in _lots(_objects_of(folder, manifest)):
            written += sum(threads.map(partial(_put, folder, storage), lot))
            done += len(lot)
            say("Objects", done, manifest.object_count)
    return written


def _put(folder: Path, storage: Storage, one: Kept) -> bool:
    address = one.address
    there = storage.info(*address)
    if there is not None and there.size == one.size and (not storage.is_near or _is(storage, one)):
        return False
    media_type = _TYPES.get(address.path.rpartition(".")[2].lower(), "application/octet-stream")
    content = (folder / _OBJECTS / address.bucket / address.path).read_bytes()
    storage.put(address.bucket, address.path, content, media_type)
    return True


def _is(storage: Storage, one: Kept) -> bool:
    try:
        return storage.digest(one.bucket, one.path).sha256 == one.sha256
    except ObjectMissing:
        return False


def _load(folder: Path, dsn: str, manifest: Manifest, programs: Path | None, say: Say) -> None:
    say("Database", 0, 0)
    with dumps.opened(dsn) as conn:
        server = dumps.server_version(conn)
        if server < manifest.postgres:
            raise SetupFailed(
                f"The backup was made on Postgres {manifest.postgres}, and this server is {server}. "
                "Restore into the same version or a newer one."
            )
        dumps.make_ready(conn, manifest.extensions)
    tool = Programs.fitting(max(server, manifest.postgres), programs)
    dumps.load(tool, dsn, folder / manifest.database.file, server=server)
    with dumps.opened(dsn) as conn:
        dumps.analyse(conn)


def _prove(folder: Path, dsn: str | None, storage: Storage, manifest: Manifest, say: Say) -> None:
    """Every table and every object is what the backup says. Raises Damaged."""
    if dsn is not None:
        say("Comparing rows", 0, 0)
        with dumps.opened(dsn) as conn:
            differing = _differences(conn, manifest)
        if differing:
            raise Damaged(f"After the restore these tables differ from the backup: {', '.join(differing)}.")
    for lot in _lots(_objects_of(folder, manifest)):
        for bucket in BUCKETS:
            wanted = {one.path: one for one in lot if one.bucket == bucket}
            sizes = storage.sizes(bucket, wanted) if wanted else {}
            for path, one in wanted.items():
                if sizes.get(path) != one.size or (storage.is_near and not _is(storage, one)):
                    raise StorageFailed(
                        f"After the restore {bucket}/{path} differs from the backup. Restore it again."
                    )


def _differences(conn: Connection, manifest: Manifest) -> list[str]:
    """The tables that hold something else than the backup, or are not there; but for what holding its jobs changed."""
    there = set(dumps.tables(conn))
    is_held = "studio.audit_events" in there and (
        activity.count_noted(conn, _HELD_EVENT, backup=manifest.database.sha256) is not None
    )
    changed = _CHANGED_BY_HOLDING if is_held else frozenset[str]()
    return [
        one.name
        for one in manifest.tables
        if one.name not in there or (one.name not in changed and dumps.hash_of(conn, one.name) != one)
    ]


# -- files -------------------------------------------------------------------------------------------------------------


def _lots(of: Iterable[T]) -> Iterator[Sequence[T]]:
    left = iter(of)
    while lot := list(islice(left, _LOT)):
        yield lot


def _make_folder(folder: Path) -> None:
    """Make a folder and what lies above it, each of ours alone; one that stands keeps its rights. Raises OSError.

    `mkdir(parents=True)` gives its mode to the last one only, and the umask decides about the others.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        with suppress(FileExistsError):  # another thread was first
            one.mkdir(mode=0o700)
            one.chmod(0o700)
    if not folder.is_dir():
        raise NotADirectoryError(folder)


@contextmanager
def _private(place: Path) -> Generator[IO[bytes]]:
    """A new file that only its owner reads, on the disk when the block ends."""
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _write_whole(place: Path, content: bytes) -> None:
    passing = place.with_name(f".{place.name}.part")
    with _private(passing) as file:
        file.write(content)
    passing.replace(place)


def _seal(place: Path) -> FileSeal:
    return FileSeal(file=place.name, size=place.stat().st_size, sha256=_sha256(place))


def _sha256(place: Path) -> str:
    said = hashlib.sha256()
    with place.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            said.update(piece)
    return said.hexdigest()
