"""Rows against objects: a scan that reads the storage's own listings and every row that names a picture, both ways
(SPEC "Audit", Library).

It works in lots, each kept at once with how far it has come, so that a killed scan goes on where it stopped. What it
finds is a finding `library.…`; what it does not find again is mended at its end. What is still on its way (being made,
being saved, cleaned, removed on purpose) is none. Nothing is changed but the scan's own tables; core.restock repairs.
"""

from __future__ import annotations

import contextlib
import zlib
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import TypeVar
from uuid import UUID

from core import images, log
from core.authority import Action, permit
from core.db import Connection, as_ours, repeat_on_deadlock, stock
from core.db.stock import Added, Kept, Mark, Named, ScanRow, Stray, Twin
from core.errors import BadImage, Conflict, NotAllowed, NotFound, ObjectMissing, StorageFailed, StudioError
from core.services import Services
from core.stock_kinds import SENTENCES, Kind, link_mark
from core.storage import BUCKETS, LIBRARY, Address, Storage
from core.stored_links import StoredLink, read
from core.values import Person, Picture

BIN = "binned"  # the folder of a bucket that holds what a person took out; nothing in it is ever signed
SAMPLE_DAYS = 30  # a store that is not near has each of its objects read once in so many days
MOST_DECODED = 5_000  # pictures decoded in one scan of a near store: the longest undecoded first
MOST_DECODED_FAR = 500
TWIN_DISTANCE = 3  # bits of 64: four bands of 16 find every such pair
_CANDIDATES = 200  # of one band
_THREADS = 8
_OBJECTS_AT_ONCE = 1_000
_ROWS_AT_ONCE = 1_000
_HASHES_AT_ONCE = 500
_DECODED_AT_ONCE = 50
_TWINS_AT_ONCE = 200
_SETTLES = timedelta(minutes=15)  # a row is written after its object; both may be on their way
_FRESH = timedelta(days=1)  # an object is stored before its row is written, and a save may be put off
_RESUMED_WITHIN = timedelta(days=1)

T = TypeVar("T")
U = TypeVar("U")
Say = Callable[[ScanRow], None]
_log = log.get(__name__)


class Stage(StrEnum):
    """What a scan does, in this order."""

    objects = "objects"
    rows = "rows"
    hashes = "hashes"
    pictures = "pictures"
    blanks = "blanks"
    strays = "strays"
    twins = "twins"


@dataclass(frozen=True, kw_only=True)
class _Lot:
    """A step of a stage: where it ends, what it adds to the scan's numbers, and what is written with it."""

    cursor: str
    added: Added
    write: Callable[[Connection], None]


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What a stage works with."""

    scan: ScanRow
    services: Services
    threads: ThreadPoolExecutor

    @property
    def storage(self) -> Storage:
        return self.services.storage

    @property
    def settled(self) -> datetime:
        """What was written after it is not judged by this scan."""
        return self.scan.started_at - _SETTLES

    def each(self, work: Callable[[T], U], items: Iterable[T]) -> list[U]:
        """`work` done with every item, several at once, in their order."""
        return list(self.threads.map(work, items))


# -- a scan --------------------------------------------------------------------------------------------------------


def ask(person: Person, services: Services) -> UUID:
    """Ask for a scan, which a worker carries out within a minute; one that is asked for already is that one.

    Raises NotAllowed (needs qa or admin, said by the database too).
    """
    permit(person, Action.scan_library)
    with services.db.as_user(person) as conn:
        return stock.ask(conn)


def scan_if_asked(services: Services) -> ScanRow | None:
    """Carry out a scan that is asked for or was left unfinished; None where there is none. Raises as `scan`."""
    with services.db.as_service() as conn:
        asked = stock.is_asked(conn)
    return scan(services) if asked else None


def scan(services: Services, *, say: Say = lambda _scan: None) -> ScanRow:
    """Scan everything, or go on with the scan that stopped within the last day; it has no end where this process leaves.

    `say` hears of it after every lot. Raises Conflict SCAN_RUNNING where another process is at it; StorageFailed and
    DatabaseUnavailable, after which calling again is right.
    """
    with _alone(services):
        with services.db.as_service() as conn:
            begun = stock.start(conn, within=_RESUMED_WITHIN)
        try:
            with ThreadPoolExecutor(_THREADS, "stock") as threads:
                return _carry_on(_Work(scan=begun, services=services, threads=threads), say)
        except StorageFailed as error:
            with services.db.as_service() as conn:
                stock.note_trouble(conn, begun.id, error.sentence)
            raise


@contextlib.contextmanager
def _alone(services: Services) -> Generator[None]:
    """Only one process scans at a time; a killed one loses its right with its connection."""
    with contextlib.closing(services.db.connect()) as holder:
        with as_ours():
            taken = stock.take(holder)
        if not taken:
            raise Conflict(
                "The library is being scanned already. Wait until that scan ends.", code="SCAN_RUNNING"
            )
        yield


def _carry_on(work: _Work, say: Say) -> ScanRow:
    stages = list(Stage)
    for stage in stages[stages.index(Stage(work.scan.stage)) :]:
        if work.scan.stage != stage:
            work = _moved(work, _Lot(cursor="", added=Added(), write=_nothing), stage)
        for lot in _STAGES[stage](work):
            work = _moved(work, lot, stage)
            say(work.scan)
            if work.services.stopping.is_set():
                return work.scan
    _end(work)
    return _again(work.services, work.scan.id)


def _nothing(_conn: Connection) -> None:
    """A lot that only moves the scan on."""


def _moved(work: _Work, lot: _Lot, stage: Stage) -> _Work:
    """What a lot found and how far the scan has come, at once. Raises Conflict where another process goes on."""

    def write() -> None:
        with work.services.db.as_service() as conn:
            if not stock.advance(conn, work.scan, stage=stage, cursor=lot.cursor, added=lot.added):
                raise Conflict("Another process goes on with this scan.", code="SCAN_RUNNING")
            lot.write(conn)

    repeat_on_deadlock(write)
    return replace(work, scan=_again(work.services, work.scan.id))


def _again(services: Services, scan_id: UUID) -> ScanRow:
    with services.db.as_service() as conn:
        found = stock.get(conn, scan_id)
    if found is None:
        raise NotFound("This scan was given up for a newer one. Look at that one.")
    return found


def _end(work: _Work) -> None:
    def finish() -> None:
        with work.services.db.as_service() as conn:
            stock.finish(conn, work.scan)

    repeat_on_deadlock(finish)
    _log.info("library_scanned", scan=str(work.scan.id), objects=work.scan.objects, rows=work.scan.rows)


# -- what is there -------------------------------------------------------------------------------------------------


def _objects(work: _Work) -> Iterator[_Lot]:
    """The storage's own listings, bucket by bucket; at the end what they did not meet again is forgotten."""
    begun = _address(work.scan.cursor)
    for bucket in BUCKETS:
        if begun and BUCKETS.index(bucket) < BUCKETS.index(begun.bucket):
            continue
        after = begun.path if begun and bucket == begun.bucket else ""
        walk = work.storage.walk(bucket, after)
        while found := list(islice(walk, _OBJECTS_AT_ONCE)):
            added = Added(
                objects=len(found),
                bytes=sum(one.size for one in found),
                binned=sum(one.path.startswith(f"{BIN}/") for one in found),
            )
            yield _Lot(
                cursor=f"{bucket}/{found[-1].path}",
                added=added,
                write=partial(stock.see, scan_id=work.scan.id, found=found),
            )
    end = f"{BUCKETS[-1]}/~"
    yield _Lot(cursor=end, added=Added(), write=partial(stock.forget_unseen, scan_id=work.scan.id))


def _address(cursor: str) -> Address | None:
    bucket, _, path = cursor.partition("/")
    return Address(bucket, path) if path else None


# -- what the rows name --------------------------------------------------------------------------------------------


def _rows(work: _Work) -> Iterator[_Lot]:
    """Every row that names a picture: its object is there and has its size, and it holds no link."""
    source_begun, _, after_begun = work.scan.cursor.partition(" ")
    sources = list(stock.SOURCES)
    with work.services.db.as_service() as conn:
        hosts = stock.own_hosts(conn)
    for source in sources[sources.index(source_begun) if source_begun else 0 :]:
        after = after_begun if source == source_begun else ""
        while True:
            with work.services.db.as_service() as conn:
                ids = stock.page_of_rows(conn, source, after, limit=_ROWS_AT_ONCE)
            if not ids:
                break
            after = ids[-1]
            marks = _judge_rows(work, source, ids, hosts)
            yield _Lot(
                cursor=f"{source} {after}",
                added=Added(rows=len(ids)),
                write=partial(stock.find, scan_id=work.scan.id, marks=marks),
            )


def _judge_rows(work: _Work, source: str, ids: Sequence[str], hosts: tuple[str, ...]) -> list[Mark]:
    read_first = _read_rows(work, source, ids, hosts)
    with work.services.db.as_service() as conn:
        seen = stock.name(conn, work.scan.id, _once(read_first.named))
    doubted = [one for one in read_first.named if one.line.is_wanted and _is_doubtful(one, seen)]
    found = list(read_first.marks)
    if doubted:
        # The listing is older than the rows: the store is asked by name, and then the rows once more.
        sizes = _sizes(work, [one.address for one in doubted])
        again = _read_rows(work, source, sorted({one.line.row_id for one in doubted}), hosts)
        found += _object_marks([one for one in again.named if one.line.is_wanted], sizes, doubted)
    return found


@dataclass(frozen=True, kw_only=True)
class _Read:
    """What rows say: addresses of ours, and marks of what is none."""

    named: Sequence[Named]
    marks: Sequence[Mark]


def _read_rows(work: _Work, source: str, ids: Sequence[str], hosts: tuple[str, ...]) -> _Read:
    with work.services.db.as_service() as conn:
        lines = stock.lines(conn, source, ids, settled=work.settled)
    named: list[Named] = []
    marks: list[Mark] = []
    for line in lines:
        said = read(line.value, default_bucket=line.bucket, own_hosts=hosts, made_at=line.made_at)
        address = said.address if isinstance(said, StoredLink) else said
        if address is not None:
            named.append(Named(address=address, table_name=source, line=line))
        # A link is one however young its row is: nothing has to settle first.
        if not isinstance(said, Address) and line.is_live:
            marks.append(link_mark(source, line, said))
    return _Read(named=named, marks=marks)


def _once(named: Sequence[Named]) -> list[Named]:
    """Each address once: of several rows that name it, one that wants it."""
    found: dict[Address, Named] = {}
    for one in named:
        if one.address not in found or (one.line.is_wanted and not found[one.address].line.is_wanted):
            found[one.address] = one
    return list(found.values())


def _is_doubtful(one: Named, seen: Mapping[Address, int]) -> bool:
    size = seen.get(one.address)
    return size is None or (one.line.want_size is not None and size != one.line.want_size)


def _sizes(work: _Work, addresses: Sequence[Address]) -> dict[Address, int]:
    by_folder: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in addresses:
        by_folder[one.bucket, one.path.rpartition("/")[0]].append(one.path)

    def ask_folder(folder: tuple[tuple[str, str], list[str]]) -> dict[Address, int]:
        (bucket, _), paths = folder
        return {Address(bucket, path): size for path, size in work.storage.sizes(bucket, paths).items()}

    return {
        address: size for one in work.each(ask_folder, by_folder.items()) for address, size in one.items()
    }


def _object_marks(
    named: Sequence[Named], sizes: Mapping[Address, int], doubted: Sequence[Named]
) -> list[Mark]:
    asked = {one.address for one in doubted}
    missing = {one.line.row_id for one in named if _lacks_picture(one, asked, sizes)}
    marks: list[Mark] = []
    for one in named:
        if one.address not in asked:
            continue
        size = sizes.get(one.address)
        if size is None and one.line.part == "picture":
            marks.append(_row_mark(Kind.object_missing, one, None))
        elif size is None and one.line.row_id not in missing:
            # Without its picture a thumbnail is no loss of its own.
            marks.append(_row_mark(Kind.thumbnail_missing, one, None))
        elif size is not None and one.line.want_size not in {None, size}:
            marks.append(_row_mark(Kind.size_differs, one, size))
    return marks


def _lacks_picture(one: Named, asked: set[Address], sizes: Mapping[Address, int]) -> bool:
    return one.line.part == "picture" and one.address in asked and one.address not in sizes


def _row_mark(kind: Kind, one: Named, size: int | None) -> Mark:
    line = one.line
    return Mark(
        kind=kind,
        table=one.address.bucket,
        row=one.address.path,
        sentence=SENTENCES[kind],
        bucket=one.address.bucket,
        path=one.address.path,
        table_name=one.table_name,
        row_id=line.row_id,
        column_name=line.column_name,
        owner=line.owner,
        character_id=line.character_id,
        job_id=line.job_id,
        size=size,
        want_size=line.want_size,
    )


# -- bytes ---------------------------------------------------------------------------------------------------------


def in_sample(address: Address, day: datetime) -> bool:
    """Whether a store that is not near has this object read on that day: once in SAMPLE_DAYS."""
    return zlib.crc32(str(address).encode()) % SAMPLE_DAYS == day.toordinal() % SAMPLE_DAYS


def _hashes(work: _Work) -> Iterator[_Lot]:
    """The bytes of objects whose rows record a hash: all of a near store's, of another one a rolling sample and what an
    open finding doubts.
    """
    near, today, after = work.storage.is_near, datetime.now(UTC), _address(work.scan.cursor)
    while True:
        with work.services.db.as_service() as conn:
            page = stock.to_hash(conn, work.scan.id, after, limit=_HASHES_AT_ONCE)
        if not page:
            return
        after = page[-1].address
        chosen = [one for one in page if near or one.is_suspect or in_sample(one.address, today)]
        digests = work.each(partial(_digest, work.storage), [one.address for one in chosen])
        yield _hash_lot(work, after, list(zip(chosen, digests, strict=True)))


def _digest(storage: Storage, address: Address) -> str | None:
    """The hash of an object; empty where it went at this moment, None where the store does not answer."""
    try:
        return storage.digest(*address).sha256
    except ObjectMissing:
        return ""
    except StorageFailed as error:
        _log.warning("stock_object_unread", bucket=address.bucket, code=error.reason)
        return None


def _hash_lot(work: _Work, after: Address, found: Sequence[tuple[Kept, str | None]]) -> _Lot:
    silent = [one.address for one, digest in found if digest is None]
    hashes = {one.address: digest for one, digest in found if digest}
    marks = [
        _kept_mark(Kind.hash_differs, one)
        for one, digest in found
        # A size that differs is told already.
        if digest and digest != one.want_sha256 and one.want_size in {None, one.size}
    ]

    def write(conn: Connection) -> None:
        stock.note_hash(conn, hashes)
        stock.find(conn, work.scan.id, marks)
        stock.keep_open(conn, work.scan.id, silent)

    return _Lot(cursor=str(after), added=Added(read=len(found), unread=len(silent)), write=write)


def _pictures(work: _Work) -> Iterator[_Lot]:
    """Pictures decoded whole: those an open finding doubts, then the longest undecoded, up to a number."""
    budget = MOST_DECODED if work.storage.is_near else MOST_DECODED_FAR
    done = int(work.scan.cursor or 0)
    while done < budget:
        with work.services.db.as_service() as conn:
            page = stock.to_decode(conn, work.scan, limit=min(_DECODED_AT_ONCE, budget - done))
        if not page:
            return
        done += len(page)
        seen = work.each(partial(_decode, work.storage), [one.address for one in page])
        yield _picture_lot(work, done, list(zip(page, seen, strict=True)))


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What came of decoding: the picture, or why it is none; neither where it went or the store did not answer."""

    picture: Picture | None = None
    why: str = ""


def _decode(storage: Storage, address: Address) -> _Look:
    try:
        # Only its numbers are kept: fifty pictures at once would be much memory.
        picture = images.read_picture(storage.get(*address))
        return _Look(picture=replace(picture, data=b"", thumbnail=b""))
    except BadImage as error:
        return _Look(why=error.sentence)
    except (StorageFailed, NotAllowed) as error:
        _log.warning("stock_object_unread", bucket=address.bucket, code=error.reason)
        return _Look()


def _is_told(one: Kept) -> bool:
    """Whether a size or a hash that differs says already that these are not the right bytes."""
    return one.want_size not in {None, one.size} or (
        None not in {one.sha256, one.want_sha256} and one.sha256 != one.want_sha256
    )


def _picture_lot(work: _Work, done: int, found: Sequence[tuple[Kept, _Look]]) -> _Lot:
    silent = [one.address for one, look in found if look.picture is None and not look.why]
    marks = [_kept_mark(Kind.corrupt, one, look.why) for one, look in found if look.why and not _is_told(one)]

    def write(conn: Connection) -> None:
        for one, look in found:
            picture = look.picture
            stock.note_decoded(
                conn,
                one.address,
                sha256=picture.sha256 if picture else None,
                phash=picture.phash if picture else None,
                is_blank=bool(picture and picture.blank),
            )
        stock.find(conn, work.scan.id, marks)
        stock.keep_open(conn, work.scan.id, silent)

    return _Lot(cursor=str(done), added=Added(read=len(found), unread=len(silent)), write=write)


def _blanks(work: _Work) -> Iterator[_Lot]:
    after = _address(work.scan.cursor)
    while True:
        with work.services.db.as_service() as conn:
            page = stock.blanks(conn, work.scan.id, after, limit=_ROWS_AT_ONCE)
        if not page:
            return
        after = page[-1].address
        marks = [_kept_mark(Kind.blank, one) for one in page]
        yield _Lot(
            cursor=str(after),
            added=Added(),
            write=partial(stock.find, scan_id=work.scan.id, marks=marks),
        )


def _kept_mark(kind: Kind, one: Kept, why: str = "") -> Mark:
    return Mark(
        kind=kind,
        table=one.bucket,
        row=one.path,
        sentence=f"{SENTENCES[kind]} {why}".strip(),
        bucket=one.bucket,
        path=one.path,
        table_name=one.table_name,
        row_id=one.row_id,
        owner=one.owner,
        character_id=one.character_id,
        job_id=one.job_id,
        size=one.size,
        want_size=one.want_size,
    )


# -- objects that no row names, and pictures that are there twice ---------------------------------------------------


def _strays(work: _Work) -> Iterator[_Lot]:
    after = _address(work.scan.cursor)
    before = work.scan.started_at - _FRESH
    while True:
        with work.services.db.as_service() as conn:
            page = stock.unnamed(conn, work.scan.id, after, before=before, limit=_OBJECTS_AT_ONCE)
        if not page:
            return
        after = Address(page[-1].bucket, page[-1].path)
        standing = _sizes(work, [Address(one.bucket, one.path) for one in page])
        marks = [_stray_mark(one) for one in page if Address(one.bucket, one.path) in standing]
        yield _Lot(
            cursor=str(after),
            added=Added(),
            write=partial(stock.find, scan_id=work.scan.id, marks=marks),
        )


def _stray_mark(one: Stray) -> Mark:
    return Mark(
        kind=Kind.object_without_row,
        table=one.bucket,
        row=one.path,
        sentence=SENTENCES[Kind.object_without_row],
        bucket=one.bucket,
        path=one.path,
        job_id=one.job_id,
        size=one.size,
    )


def _twins(work: _Work) -> Iterator[_Lot]:
    after = _address(work.scan.cursor)
    while True:
        with work.services.db.as_service() as conn:
            paths = stock.to_compare(conn, work.scan.id, after, limit=_TWINS_AT_ONCE)
            found = stock.twins(conn, work.scan.id, paths, distance=TWIN_DISTANCE, most=_CANDIDATES)
        if not paths:
            return
        after = Address(LIBRARY, paths[-1])
        yield _Lot(
            cursor=str(after),
            added=Added(),
            write=partial(stock.find, scan_id=work.scan.id, marks=[_twin_mark(one) for one in found]),
        )


def _twin_mark(one: Twin) -> Mark:
    kind = Kind.same_bytes if one.is_same else Kind.look_alike
    return Mark(
        kind=kind,
        table=LIBRARY,
        row=f"{one.other_path}|{one.path}",
        sentence=SENTENCES[kind],
        bucket=LIBRARY,
        path=one.path,
        other_path=one.other_path,
        table_name="user_library",
        row_id=one.row_id,
        owner=one.owner,
        character_id=one.character_id,
        size=one.size,
        distance=one.distance,
    )


_STAGES: Mapping[Stage, Callable[[_Work], Iterator[_Lot]]] = MappingProxyType(
    {
        Stage.objects: _objects,
        Stage.rows: _rows,
        Stage.hashes: _hashes,
        Stage.pictures: _pictures,
        Stage.blanks: _blanks,
        Stage.strays: _strays,
        Stage.twins: _twins,
    }
)


def put_off(services: Services, carry_out: Callable[[Services], object]) -> None:
    """A scan of the schedule: what goes wrong is logged, and the next tick goes on from there."""
    try:
        carry_out(services)
    except StudioError as error:
        _log.warning("library_scan_put_off", code=error.reason)
