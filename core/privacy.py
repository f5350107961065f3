"""Everything that belongs to one person: shown before it goes, handed out as a ZIP, erased, and proved to be gone
(SPEC "Data": ledger and events keep ids without names; `erase_user()` alone may redact them).

Erasing is a row of studio.erasures that any process may go on with: jobs under way are cancelled and waited for, the
rows go in one transaction, then the objects below the person's folders, then every column of every table is searched.
Where nothing is left the record forgets whom it was about.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from uuid import UUID

from core import log
from core.authority import Action, permit
from core.db import jobs, repeat_on_deadlock
from core.db import privacy as rows
from core.db.privacy import Busy, ErasureRow, Hold, Trace
from core.errors import BadRequest, Conflict, NotAllowed, NotFound, ObjectMissing, StudioError
from core.services import Services
from core.stock import BIN
from core.storage import LIBRARY, REFERENCES, WORKSPACE, ObjectInfo, Prunes, Streams
from core.values import Person, PersonId, Role

FOLDERS = (WORKSPACE, LIBRARY, REFERENCES)
"""The buckets that have a folder for each person (SPEC "Files")."""

"""The folder of STUDIO_HOME with copies made for a page; the upkeep removes them after a day."""

_LOOKS = 3  # times the rows go again because somebody else wrote meanwhile
_PAUSE = 0.5  # seconds between two looks at jobs that end
_PIECE = 256 * 1024  # bytes

WHAT_STAYS = (
    "The ledger and the record of events keep their sums and times; in the person's place stands an id of nobody.",
    "Pictures that this person made for other people's characters stay with those characters.",
    "Attribute images and their reviews are the team's: they stay and forget who made them.",
    "Tables of the platform that the studio does not know are left alone; where they name this person, it is said below.",
    "Providers are asked for nothing here: they keep results for hours to days by their own rules (docs/privacy.md).",
)
"""What an erasure leaves, in words for the person who decides."""

_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What an erasure would take. `rows` by table; `objects` and `bytes` by bucket; `busy` jobs would be cancelled first."""

    person: PersonId
    email: str
    account_is_ours: bool
    rows: Mapping[str, int]
    stays: Mapping[str, int]
    objects: Mapping[str, int]
    bytes: Mapping[str, int]
    public_characters: int
    busy: Sequence[Busy]
    holds: Sequence[Hold]
    others: Sequence[Trace]

    @property
    def refusal(self) -> str:
        """Why it cannot be erased now; empty where it can."""
        blocking = [one for one in self.holds if one.blocks]
        if blocking:
            named = ", ".join(sorted({one.table for one in blocking}))
            return (
                f"The platform's table {named} refers to rows of this person and forbids that they go. "
                "Have those rows removed there first."
            )
        return ""


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """How far an erasure is. `trouble`: why it waits."""

    id: UUID
    asked_at: datetime
    finished_at: datetime | None
    rows: Mapping[str, int]
    objects: int
    trouble: str

    @property
    def is_finished(self) -> bool:
        """True where nothing is left."""
        return self.finished_at is not None


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is still there of a person. `unread` tables refused to be looked at."""

    traces: Sequence[Trace]
    objects: Sequence[str]
    unread: Sequence[str]

    @property
    def is_clean(self) -> bool:
        """True where nothing the studio keeps names the person; what others keep is told and does not count."""
        return not self.objects and not any(one.is_ours for one in self.traces)


def find(said: str, person: Person, services: Services, action: Action = Action.erase_people) -> rows.Account:
    """The account of an id or an e-mail address, for who may do `action` with it. Raises NotAllowed, NotFound."""
    permit(person, action)
    with services.db.as_service() as conn:
        found = rows.account(conn, said)
    if found is None:
        raise NotFound("There is no account of this id or e-mail address. Check how it is written.")
    return found


def preview(whom: PersonId, person: Person, services: Services) -> Preview:
    """What an erasure would take, and what it leaves; changes nothing. Raises NotAllowed, NotFound, StorageFailed."""
    account = find(str(whom), person, services)
    with services.db.as_service() as conn:
        found = {part: rows.count(conn, part, account.id) for part in rows.parts(conn)}
        public = rows.public_characters(conn, account.id)
        busy, holds = rows.under_way(conn, account.id), rows.holds(conn, account.id)
    objects = {bucket: list(_objects(account.id, bucket, services)) for bucket in FOLDERS}
    others = [one for one in check(account.id, account.email, services).traces if not one.is_ours]
    return Preview(
        person=account.id,
        email=account.email,
        account_is_ours=account.is_ours,
        rows={part.table: number for part, number in found.items() if number and part.fate != "stays"},
        stays={part.table: number for part, number in found.items() if number and part.fate == "stays"},
        objects={bucket: len(found) for bucket, found in objects.items()},
        bytes={bucket: sum(one.size for one in found) for bucket, found in objects.items()},
        public_characters=public,
        busy=busy,
        holds=holds,
        others=others,
    )


def in_words(seen: Preview) -> list[str]:
    """What the person who decides should read before: what vanishes for others, what waits, what stays."""
    said: list[str] = []
    if seen.public_characters:
        said.append(
            f"{seen.public_characters} of their characters are public on the platform and vanish there, with their pictures."
        )
    if seen.busy:
        said.append(
            f"{len(seen.busy)} pictures are under way: they are cancelled first, and what was sent is paid for."
        )
    said += [
        f"{one.rows} rows of the platform's table {one.table} hang on {one.refers_to}"
        + (" and forbid that those go." if one.blocks else " and go, or lose the reference, with those.")
        for one in seen.holds
    ]
    said += [
        f"{one.rows} rows of {one.table} ({one.column}) name this person and are not the studio's: they stay."
        for one in seen.others
    ]
    if seen.refusal:
        said.append(seen.refusal)
    return [*said, *WHAT_STAYS]


# -- erase -----------------------------------------------------------------------------------------------------------


def erase_person(
    whom: PersonId, email: str, person: Person, services: Services, *, wait: float = 0.0
) -> Erasure:
    """Erase a person for good; `email` is theirs, typed once more. Waits up to `wait` seconds for their jobs to end.

    What is not finished then is gone on with by any worker, or by calling this again. Raises NotAllowed, NotFound,
    BadRequest EMAIL_DIFFERS, Conflict (oneself, roles still held, a table of the platform that forbids it).
    """
    refusal = preview(whom, person, services).refusal
    if refusal:
        raise Conflict(refusal, code="HELD")
    with services.db.as_user(person) as conn:
        erasure = rows.begin(conn, whom, email)
    until = time.monotonic() + wait
    while (
        not carry_out(erasure, services) and time.monotonic() < until and not services.stopping.wait(_PAUSE)
    ):
        pass
    return erasure_of(erasure, person, services)


def erasure_of(erasure: UUID, person: Person, services: Services) -> Erasure:
    """How far one erasure is. Raises NotAllowed, NotFound."""
    permit(person, Action.erase_people)
    with services.db.as_service() as conn:
        found = rows.get(conn, erasure)
    if found is None:
        raise NotFound("There is no such erasure.")
    return _erasure(found)


def erasures(person: Person, services: Services, *, limit: int = 50) -> list[Erasure]:
    """The last erasures, without whom they were about. Raises NotAllowed."""
    permit(person, Action.erase_people)
    with services.db.as_service() as conn:
        return [_erasure(one) for one in rows.recent(conn, limit=limit)]


def go_on(services: Services) -> int:
    """Carry out what was asked for and is not finished; how many were finished now. For workers."""
    with services.db.as_service() as conn:
        waiting = rows.unfinished(conn)
    done = 0
    for one in waiting:
        if services.stopping.is_set():
            break
        try:
            done += carry_out(one.id, services)
        except StudioError as error:
            _log.warning("erasure_put_off", erasure=str(one.id), code=error.reason)
            with services.db.as_service() as conn:
                rows.note_trouble(conn, one.id, error.sentence)
    return done


def carry_out(erasure: UUID, services: Services) -> bool:
    """One turn at an erasure; True where it is finished. Safe to end at any line and to call again, from two processes too.

    Raises StorageFailed, DatabaseUnavailable.
    """
    with contextlib.closing(services.db.connect()) as lock:
        if not rows.take(lock, erasure):
            return False
        with services.db.as_service() as conn:
            row = rows.get(conn, erasure)
        if row is None or row.person is None:
            return row is not None
        return _carry_out(row, row.person, services)


def _carry_out(row: ErasureRow, whom: PersonId, services: Services) -> bool:
    waiting = _cancel(row, whom, services)
    if waiting:
        with services.db.as_service() as conn:
            rows.note_trouble(conn, row.id, _waiting(waiting))
        return False
    for _ in range(_LOOKS):
        try:
            repeat_on_deadlock(lambda: _erase_rows(row.id, services))
        except Conflict as error:  # a job came meanwhile
            with services.db.as_service() as conn:
                rows.note_trouble(conn, row.id, error.sentence)
            return False
        _erase_objects(row.id, whom, services)
        if check(whom, row.email or "", services).is_clean:
            with services.db.as_service() as conn:
                rows.finish(conn, row.id)
            _log.info("person_erased", erasure=str(row.id))
            return True
    with services.db.as_service() as conn:
        rows.note_trouble(conn, row.id, "Somebody still writes rows of this person; it is tried again.")
    return False


def _erase_rows(erasure: UUID, services: Services) -> None:
    with services.db.as_service() as conn:
        rows.erase_rows(conn, erasure)


def _cancel(row: ErasureRow, whom: PersonId, services: Services) -> list[Busy]:
    """Ask every job under way to stop, in the name of who asked for the erasure; those that have not ended yet."""
    asker = Person(id=row.asked_by, roles=frozenset({Role.admin}))
    with services.db.as_service() as conn:
        busy = rows.under_way(conn, whom)
    for one in busy:
        if one.stage == "cancelling":
            continue
        with contextlib.suppress(Conflict, NotFound), services.db.as_user(asker) as conn:
            jobs.cancel(conn, one.job_id)
    with services.db.as_service() as conn:
        return rows.under_way(conn, whom)


def _waiting(busy: Sequence[Busy]) -> str:
    unknown = sum(one.stage == "outcome_unknown" for one in busy)
    foreign = sum(one.runner != "studio" for one in busy)
    said = [
        f"{len(busy)} pictures are still under way and were asked to stop; it goes on when they have ended."
    ]
    if unknown:
        said.append(f"QA must settle {unknown} of them: whether they were paid for is not known.")
    if foreign:
        said.append(f"{foreign} are made by the platform: end them on the page Stuck jobs, or wait.")
    return " ".join(said)


def _objects(whom: PersonId, bucket: str, services: Services) -> Iterator[ObjectInfo]:
    """Every object below the person's folder, what was binned of it included."""
    for folder in (str(whom), f"{BIN}/{whom}"):
        yield from services.storage.list(bucket, folder)


def _erase_objects(erasure: UUID, whom: PersonId, services: Services) -> None:
    for bucket in FOLDERS:
        gone = 0
        for one in list(_objects(whom, bucket, services)):
            services.storage.delete(bucket, one.path)
            gone += 1
        if isinstance(services.storage, Prunes):
            for folder in (str(whom), f"{BIN}/{whom}"):
                services.storage.prune(bucket, folder)
        with services.db.as_service() as conn:
            rows.note_objects(conn, erasure, gone)


def _erasure(row: ErasureRow) -> Erasure:
    return Erasure(
        id=row.id,
        asked_at=row.asked_at,
        finished_at=row.finished_at,
        rows=row.rows_gone,
        objects=row.objects_gone,
        trouble=row.trouble or "",
    )


# -- check -----------------------------------------------------------------------------------------------------------


def check(whom: PersonId, email: str, services: Services) -> Found:
    """Look for a person's id and e-mail address in every column of every table, and for objects below their folders.

    The record of an erasure that is not finished holds both, and is not counted. `email` may be empty. Raises StorageFailed.
    """
    traces: list[Trace] = []
    unread: list[str] = []
    with services.db.as_service() as conn:
        names = rows.tables(conn)
    for table in names:
        try:
            with services.db.as_service() as conn:
                traces += rows.traces(conn, table, whom, email)
        except (NotAllowed, BadRequest):
            unread.append(table)
    objects = [f"{bucket}/{one.path}" for bucket in FOLDERS for one in _objects(whom, bucket, services)]
    return Found(
        traces=tuple(one for one in traces if one.table != "studio.erasures"),
        objects=tuple(objects),
        unread=tuple(unread),
    )


# -- export ----------------------------------------------------------------------------------------------------------


def export_person(
    whom: PersonId,
    target: Path,
    person: Person,
    services: Services,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> int:
    """Write everything that belongs to a person into a new ZIP at `target` (mode 0600); its size in bytes.

    Rows as JSON lines, objects as files, a README in words; nobody else's data. Streamed: memory does not grow with what
    there is. Raises NotAllowed, NotFound, Conflict where the file stands already, StorageFailed.
    """
    account = find(str(whom), person, services, Action.export_people)
    if target.exists():
        raise Conflict("There is a file of that name already. Choose another name.", code="FILE_EXISTS")
    part = target.with_name(f".{target.name}.part")
    try:
        with _private(part) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            counts = _write_rows(archive, account.id, services, say)
            kept = _write_objects(archive, account.id, services, say)
            archive.writestr("README.txt", _readme(account, counts, kept))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    with services.db.as_service() as conn:
        rows.note_export(conn, person.id)
    return target.stat().st_size


@contextlib.contextmanager
def _private(path: Path) -> Generator[IO[bytes]]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _write_rows(
    archive: zipfile.ZipFile, whom: PersonId, services: Services, say: Callable[[str], None]
) -> dict[str, int]:
    """One file a table; how many rows each has. All of one moment."""
    counts: dict[str, int] = {}
    with services.db.as_service() as conn:
        rows.freeze(conn)
        for part in rows.parts(conn):
            if rows.count(conn, part, whom) == 0:
                continue
            counts[part.table] = 0
            say(f"Rows of {part.table}")
            with archive.open(f"rows/{part.table}.jsonl", "w", force_zip64=True) as file:
                for lot in rows.rows_as_json(conn, part, whom):
                    file.write("".join(f"{line}\n" for line in lot).encode())
                    counts[part.table] += len(lot)
    return counts


def _write_objects(
    archive: zipfile.ZipFile, whom: PersonId, services: Services, say: Callable[[str], None]
) -> int:
    """Every object of the person's folders; one that goes meanwhile is left out."""
    kept = 0
    for bucket in FOLDERS:
        for one in _objects(whom, bucket, services):
            with contextlib.suppress(ObjectMissing):
                _write_object(archive, one, services)
                kept += 1
                if kept % 100 == 0:
                    say(f"{kept} objects")
    return kept


def _write_object(archive: zipfile.ZipFile, one: ObjectInfo, services: Services) -> None:
    named = zipfile.ZipInfo(f"objects/{one.bucket}/{one.path}", one.modified_at.timetuple()[:6])
    named.compress_type = zipfile.ZIP_STORED  # pictures do not get smaller
    with _pieces(one, services) as pieces, archive.open(named, "w", force_zip64=True) as file:
        for piece in pieces:
            file.write(piece)


@contextlib.contextmanager
def _pieces(one: ObjectInfo, services: Services) -> Generator[Iterable[bytes]]:
    if isinstance(services.storage, Streams):
        length = one.size
        with contextlib.closing(
            services.storage.pieces(one.bucket, one.path, start=0, length=length)
        ) as pieces:
            yield pieces
    else:
        yield (services.storage.get(one.bucket, one.path),)


def _readme(account: rows.Account, counts: Mapping[str, int], objects: int) -> str:
    listed = "\n".join(f"  rows/{table}.jsonl: {number} rows" for table, number in counts.items())
    return f"""Everything that Portrait Studio keeps of one person

Account   {account.id}
E-mail    {account.email}
Made at   {datetime.now(UTC):%Y-%m-%d %H:%M} UTC

rows/     one file a table, one row a line, as JSON. Times are UTC, amounts US dollars.
{listed or "  (none)"}
objects/  {objects} pictures and thumbnails as they are stored, by bucket.

Left out: tokens, receipts of providers, and other people's ids and addresses (they read somebody-else).
Pictures that this person made for other people's characters belong to those characters and are not here.
"""


def as_json(found: Found) -> str:
    """What `check` found, as JSON for scripts; never a row's text."""
    return json.dumps(
        {
            "clean": found.is_clean,
            "traces": [
                {"table": one.table, "column": one.column, "rows": one.rows, "ours": one.is_ours}
                for one in found.traces
            ],
            "objects": list(found.objects),
            "unread": list(found.unread),
        },
        indent=2,
    )
