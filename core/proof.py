"""The proof that every portrait was saved: the seven checks over all jobs or those since a time, objects included where
asked, and a run that goes on where a killed one stopped (SPEC "The seven auto-save checks").

The rows are judged by the database (core/audit/autosave.py); here the objects are looked at and the run is kept.
"""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

from core import log
from core.audit import autosave as asked
from core.audit.autosave import (
    CHECK_OF,
    FIRST,
    OF_OBJECTS,
    PASSED,
    RULE_PREFIX,
    SENTENCES,
    WHOLE,
    Check,
    Facts,
    Group,
    Health,
    Outcome,
    Proof,
    Reason,
    Run,
    health_of,
    outcome_of,
)
from core.audit.jobs import Key
from core.authority import Action, permit
from core.db import as_ours, findings, proofs, repeat_on_deadlock
from core.db.proofs import Found, RunRow
from core.errors import Conflict, NotFound, ObjectMissing, StorageFailed
from core.services import Services
from core.storage import LIBRARY, WORKSPACE, Digest, Storage
from core.values import JobId, Person

THREADS = 8  # that read files at once
SAMPLE_DAYS = 30  # a store that is not near has each of its objects read once in so many days
_ROWS_AT_ONCE = 10_000
_OBJECTS_AT_ONCE = 1_000
_SETTLES = 60.0  # seconds beyond AUTOSAVE_DELAY until a completed job should be saved
_RESUMED_WITHIN = 24.0  # hours; what an older run looked at has changed since

T = TypeVar("T")
U = TypeVar("U")
Say = Callable[[int, int], None]
_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What the store said of a chunk's objects: sizes of those that are there, and the hashes that were read. A digest
    of None: the store did not answer.
    """

    sizes: Mapping[tuple[str, str], int]
    digests: Mapping[tuple[str, str], Digest | None]


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    groups: Sequence[Group]
    last: Key | None


# -- one look --------------------------------------------------------------------------------------------------------


def grace(services: Services) -> float:
    """Seconds a completed job may take to be saved before the proof calls it unsaved."""
    return services.settings.autosave_delay + _SETTLES


def look(job_id: JobId, services: Services) -> Facts | None:
    """One job's seven checks, its objects read whole, None where it is no portrait job. Raises StorageFailed."""
    with services.db.as_service() as conn:
        found = asked.facts_of(conn, [job_id], grace=grace(services))
    if not found:
        return None
    [proof] = with_objects(found, services.storage, read=lambda _: True)
    return replace(found[0], proof=proof)


def with_objects(
    facts: Sequence[Facts],
    storage: Storage,
    *,
    read: Callable[[Facts], bool],
    threads: ThreadPoolExecutor | None = None,
) -> list[Proof]:
    """The proofs of `facts` with what the store says of their objects. `read` tells whose bytes are read and hashed;
    of the others the size alone is compared. Raises StorageFailed where the store cannot even list.
    """
    seen = _see(facts, storage, read, threads)
    return [_judged(one, seen) for one in facts]


def look_at_page(facts: Sequence[Facts], storage: Storage) -> list[Proof]:
    """The proofs of a page of jobs with what the store lists of their objects; nobody's bytes are read.

    Never fails: where the store does not answer, what only it can tell is *not checked*, never passed.
    """
    with ThreadPoolExecutor(THREADS, "page") as threads:
        try:
            return with_objects(facts, storage, read=lambda _: False, threads=threads)
        except StorageFailed as error:
            _log.warning("proof_page_unread", code=error.reason)
            return [_silent(one) for one in facts]


def look_or_rows(job_id: JobId, services: Services) -> Facts | None:
    """As `look`, and where the store does not answer the rows alone, with what only it can tell *not checked*."""
    try:
        return look(job_id, services)
    except StorageFailed as error:
        _log.warning("proof_look_unread", code=error.reason)
    with services.db.as_service() as conn:
        found = asked.facts_of(conn, [job_id], grace=grace(services))
    return replace(found[0], proof=_silent(found[0])) if found else None


def _silent(one: Facts) -> Proof:
    answers = dict(zip(Check, one.proof.answers, strict=True))
    for check, asks in (
        (Check.workspace, _asks_workspace(one)),
        (Check.library_object, _asks_object(one)),
        (Check.thumbnail, _asks_thumbnail(one)),
    ):
        if asks:
            answers[check] = Reason.STORAGE_SILENT
    return replace(one.proof, answers=tuple(answers[check] for check in Check))


def in_sample(job_id: JobId, day: datetime) -> bool:
    """Whether a store that is not near has this job's objects read on that day: once in SAMPLE_DAYS."""
    return job_id.int % SAMPLE_DAYS == day.toordinal() % SAMPLE_DAYS


def _see(
    facts: Sequence[Facts],
    storage: Storage,
    read: Callable[[Facts], bool],
    threads: ThreadPoolExecutor | None,
) -> _Seen:
    sizes = _sizes(_wanted(facts), storage, threads)
    to_read = [
        address
        for one in facts
        if one.must_hash or read(one)
        for address, size, sha256 in _compared(one)
        if sha256 is not None and address in sizes and sizes[address] == (size or sizes[address])
    ]
    digests = _each(threads, partial(_digest, storage), to_read)
    return _Seen(sizes=sizes, digests=dict(zip(to_read, digests, strict=True)))


def _each(threads: ThreadPoolExecutor | None, work: Callable[[T], U], items: Collection[T]) -> Iterable[U]:
    return threads.map(work, items) if threads is not None else map(work, items)


def _wanted(facts: Sequence[Facts]) -> dict[tuple[str, str], list[str]]:
    """What to ask sizes of, by bucket and folder: a listing is one folder's."""
    wanted: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in facts:
        for (bucket, path), _, _ in _compared(one):
            wanted[bucket, path.rpartition("/")[0]].append(path)
        if _asks_thumbnail(one) and one.thumbnail_path is not None:
            wanted[LIBRARY, one.thumbnail_path.rpartition("/")[0]].append(one.thumbnail_path)
    return wanted


def _compared(one: Facts) -> Iterator[tuple[tuple[str, str], int | None, str | None]]:
    """The addresses whose size and hash are compared, with what they should be."""
    if _asks_workspace(one) and one.workspace_path is not None:
        yield (WORKSPACE, one.workspace_path), one.workspace_size, one.workspace_sha256
    if _asks_object(one) and one.library_path is not None:
        yield (LIBRARY, one.library_path), one.library_size, one.library_sha256


def _sizes(
    wanted: Mapping[tuple[str, str], list[str]], storage: Storage, threads: ThreadPoolExecutor | None
) -> dict[tuple[str, str], int]:
    def ask(folder: tuple[tuple[str, str], list[str]]) -> tuple[str, dict[str, int]]:
        (bucket, _), paths = folder
        return bucket, storage.sizes(bucket, paths)

    found = _each(threads, ask, wanted.items())
    return {(bucket, path): size for bucket, sizes in found for path, size in sizes.items()}


def _digest(storage: Storage, address: tuple[str, str]) -> Digest | None:
    """None where this one object cannot be read now; an object that goes at this moment has no bytes."""
    try:
        return storage.digest(*address)
    except ObjectMissing:
        return Digest(size=-1, sha256="")
    except StorageFailed as error:
        _log.warning("proof_object_unread", bucket=address[0], code=error.reason)
        return None


def _asks_workspace(one: Facts) -> bool:
    return one.proof.reason(Check.workspace) is None and one.workspace_path is not None


def _asks_object(one: Facts) -> bool:
    return one.proof.reason(Check.library_object) is Reason.OBJECTS_NOT_ASKED


def _asks_thumbnail(one: Facts) -> bool:
    return one.proof.reason(Check.thumbnail) is Reason.OBJECTS_NOT_ASKED


_LIBRARY_WORDS = (Reason.OBJECT_MISSING, Reason.SIZE_DIFFERS, Reason.HASH_DIFFERS)
_WORKSPACE_WORDS = (
    Reason.WORKSPACE_OBJECT_MISSING,
    Reason.WORKSPACE_SIZE_DIFFERS,
    Reason.WORKSPACE_HASH_DIFFERS,
)


def _judged(one: Facts, seen: _Seen) -> Proof:
    answers = dict(zip(Check, one.proof.answers, strict=True))
    if _asks_workspace(one):
        address = (WORKSPACE, one.workspace_path or "")
        said = _compare(address, one.workspace_size, one.workspace_sha256, one, seen, _WORKSPACE_WORDS)
        # Whether an older row records a hash is the library's to say; a workspace object need only stand.
        answers[Check.workspace] = None if said is Reason.NOTHING_TO_COMPARE else said
    if _asks_object(one):
        address = (LIBRARY, one.library_path or "")
        answers[Check.library_object] = _compare(
            address, one.library_size, one.library_sha256, one, seen, _LIBRARY_WORDS
        )
    if _asks_thumbnail(one):
        # An empty file is no picture.
        stands = seen.sizes.get((LIBRARY, one.thumbnail_path or ""), 0) > 0
        answers[Check.thumbnail] = None if stands else Reason.THUMBNAIL_MISSING
    return replace(one.proof, answers=tuple(answers[check] for check in Check))


def _compare(
    address: tuple[str, str],
    size: int | None,
    sha256: str | None,
    one: Facts,
    seen: _Seen,
    words: tuple[Reason, Reason, Reason],
) -> Reason | None:
    missing, size_differs, hash_differs = words
    stands = seen.sizes.get(address)
    if stands is None:
        return missing
    if size is not None and stands != size:
        return size_differs
    if sha256 is None:
        return Reason.NOTHING_TO_COMPARE
    if address not in seen.digests:
        return None  # not in today's sample: its size is right, and its bytes have their day
    return _compare_bytes(seen.digests[address], sha256, one, missing, hash_differs)


def _compare_bytes(
    digest: Digest | None, sha256: str, one: Facts, missing: Reason, differs: Reason
) -> Reason | None:
    if digest is None:
        return differs if one.must_hash else Reason.STORAGE_SILENT
    if digest.size < 0:
        return missing
    return None if digest.sha256 == sha256.lower() else differs


# -- a run -----------------------------------------------------------------------------------------------------------


def run_proof(
    services: Services,
    *,
    since: datetime | None = None,
    with_objects: bool = False,
    resume: bool = False,
    say: Say = lambda _looked, _expected: None,
) -> Run:
    """Prove every portrait job, or those that ended `since`; what is broken is kept for the dashboard.

    With `resume` the last run of this kind goes on where it stopped (killed, or this process leaving), if it began
    within a day. `say` hears how many were looked at, and of how many. The run that comes back has no end where
    this process is leaving.

    Raises Conflict PROOF_RUNNING where another process is at it; StorageFailed, DatabaseUnavailable, after which
    resuming is right.
    """
    with _alone(services, with_objects=with_objects):
        run = _begun(services, since=since, with_objects=with_objects, resume=resume)
        return _carried_through(run, services, say)


def ask(
    person: Person, services: Services, *, since: datetime | None = None, with_objects: bool = False
) -> tuple[UUID, bool]:
    """Have every portrait, or those that ended `since`, proved now, by a worker: the run, and False where one that
    looks at the same was under way already. It goes on when nobody looks.

    Recorded in the audit. Raises NotAllowed (needs qa or admin).
    """
    permit(person, Action.check_autosave)
    with services.db.as_user(person) as conn:
        return proofs.ask(conn, since=since, with_objects=with_objects)


def carry_out(run_id: UUID, services: Services) -> Run | None:
    """Carry a run that was asked for to its end, from where it stands; None where there is nothing (more) to do.

    Raises as `run_proof`; the run that comes back has no end where this process is leaving.
    """
    with services.db.as_service() as conn:
        wanted = proofs.get(conn, run_id)
    if wanted is None or wanted.finished_at is not None:
        return None
    with _alone(services, with_objects=wanted.with_objects):
        with services.db.as_service() as conn:
            run = proofs.start(conn, run_id)
        return _carried_through(run, services, lambda _looked, _expected: None) if run is not None else None


def _carried_through(run: RunRow, services: Services, say: Say) -> Run:
    try:
        with ThreadPoolExecutor(THREADS, "proof") as threads:
            while not services.stopping.is_set():
                chunk = _chunk(run, services, threads)
                if chunk.last is None:
                    _finish(run, services)
                    break
                run = _keep(run, chunk, services)
                say(run.looked_at, max(run.expected, run.looked_at))
    except StorageFailed as error:
        with services.db.as_service() as conn:
            proofs.stand_still(conn, run.id, error.sentence)
        raise
    with services.db.as_service() as conn:
        found = asked.run(conn, run.id)
    if found is None:
        raise _given_up()
    return found


@contextlib.contextmanager
def _alone(services: Services, *, with_objects: bool) -> Generator[None]:
    """Only one process proves at a time; a killed one loses its right with its connection."""
    with contextlib.closing(services.db.connect()) as holder:
        with as_ours():
            taken = proofs.take(holder, with_objects=with_objects)
        if not taken:
            raise Conflict(
                "A proof of this kind is running already. Wait until it ends, or look at what it found so far.",
                code="PROOF_RUNNING",
            )
        yield


def _begun(services: Services, *, since: datetime | None, with_objects: bool, resume: bool) -> RunRow:
    with services.db.as_service() as conn:
        if resume:
            left = proofs.unfinished(
                conn, with_objects=with_objects, whole=since is None, hours=_RESUMED_WITHIN
            )
            if left is not None:
                _log.info("proof_resumed", run=str(left.id), looked_at=left.looked_at)
                return left
        expected = asked.count_since(conn, since, proofs.moment(conn))
        return proofs.begin(conn, since=since, with_objects=with_objects, expected=expected)


def _chunk(run: RunRow, services: Services, threads: ThreadPoolExecutor) -> _Chunk:
    with services.db.as_service() as conn:
        if not run.with_objects:
            rows = asked.stretch(
                conn, _after(run), run.started_at, limit=_ROWS_AT_ONCE, grace=grace(services)
            )
            return _Chunk(groups=rows.groups, last=rows.last)
        facts = asked.facts_after(
            conn, _after(run), run.started_at, limit=_OBJECTS_AT_ONCE, grace=grace(services)
        )
    near, today = services.storage.is_near, datetime.now(UTC)
    found = with_objects(
        facts,
        services.storage,
        read=lambda one: near or in_sample(one.proof.job_id, today),
        threads=threads,
    )
    return _Chunk(groups=_groups(found), last=found[-1].key if found else None)


def _after(run: RunRow) -> Key:
    if run.cursor_at is not None and run.cursor_id is not None:
        return Key(run.cursor_at, run.cursor_id)
    # The id comes before every other, so a job of that very moment is met too.
    return Key(run.since or FIRST.created_at, UUID(int=0))


def _groups(found: Sequence[Proof]) -> list[Group]:
    numbers = Counter(one.answers for one in found)
    broken: dict[tuple[Reason | None, ...], list[tuple[JobId, datetime]]] = defaultdict(list)
    for one in found:
        if one.failures:
            broken[one.answers].append((one.job_id, one.ended_at))
    return [Group(answers, number, broken[answers]) for answers, number in numbers.items()]


def _keep(run: RunRow, chunk: _Chunk, services: Services) -> RunRow:
    """What a chunk found and how far the run has come, at once. Raises Conflict where another process goes on."""
    last = chunk.last
    if last is None:
        return run
    found = [one for group in chunk.groups for one in _found(group, objects=run.with_objects)]

    def write() -> RunRow | None:
        with services.db.as_service() as conn:
            moved = proofs.advance(
                conn,
                run,
                to=(last.created_at, last.id),
                looked_at=sum(group.number for group in chunk.groups),
                broken=len(found),
                tally=_tally(chunk.groups),
            )
            if not moved:
                raise _given_up()
            proofs.write(conn, found)
            findings.see(conn, _seen_in(chunk.groups))
            return proofs.get(conn, run.id)

    kept = repeat_on_deadlock(write)
    if kept is None:
        raise _given_up()
    return kept


def _seen_in(groups: Sequence[Group]) -> list[tuple[str, JobId, str]]:
    """Rule, job and sentence of every failure."""
    return [
        (reason.rule, job_id, SENTENCES[reason])
        for group in groups
        for reason in group.answers
        if reason is not None and reason in CHECK_OF
        for job_id, _ in group.broken
    ]


def _found(group: Group, *, objects: bool) -> Iterator[Found]:
    failed = [one for one in group.answers if one is not None and one in CHECK_OF]
    for job_id, ended_at in group.broken:
        yield found_of(job_id, ended_at, failed, objects=objects)


def found_of(job_id: JobId, ended_at: datetime, failed: Sequence[Reason], *, objects: bool) -> Found:
    """What is kept of a broken job; without `objects` what an earlier look at them found stays."""
    return Found(
        job_id=job_id,
        ended_at=ended_at,
        row_codes=[one for one in failed if one not in OF_OBJECTS],
        object_codes=[one for one in failed if one in OF_OBJECTS] if objects else None,
    )


def _tally(groups: Sequence[Group]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {name: Counter() for name in (*Check, WHOLE)}
    for group in groups:
        counts[WHOLE][health_of(group.answers)] += group.number
        for check, reason in zip(Check, group.answers, strict=True):
            counts[check][reason or PASSED] += group.number
    return {check: dict(found) for check, found in counts.items()}


def _finish(run: RunRow, services: Services) -> None:
    def end() -> None:
        with services.db.as_service() as conn:
            proofs.finish(conn, run)
            if (done := asked.run(conn, run.id)) is not None:
                proofs.remember(conn, run, _lines(done))
            findings.close_mended(conn, RULE_PREFIX, run.since)

    repeat_on_deadlock(end)
    _log.info("proof_finished", run=str(run.id), looked_at=run.looked_at, broken=run.broken)


_OF_HEALTH: Mapping[str, Outcome] = {
    Health.well: Outcome.passed,
    Health.broken: Outcome.failed,
    Health.not_proven: Outcome.not_checked,
    Health.nothing: Outcome.not_applicable,
}


def _lines(run: Run) -> list[tuple[str, Mapping[Outcome, int]]]:
    """What the history keeps of a run: by check, and of the portraits themselves, how many were answered how."""
    return [(name, _sums(name, run.tally.get(name, {}))) for name in (*Check, WHOLE)]


def _sums(name: str, counted: Mapping[str, int]) -> Mapping[Outcome, int]:
    sums: Counter[Outcome] = Counter()
    for word, number in counted.items():
        if name == WHOLE:
            sums[_OF_HEALTH[word]] += number
        else:
            sums[outcome_of(None if word == PASSED else Reason(word))] += number
    return sums


def _given_up() -> NotFound:
    return NotFound("This run of the proof was given up for a newer one. Look at that one.")
