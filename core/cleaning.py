"""The bucket workspace-temp kept small: a result's object goes once its permanent copy is proved, or once a person
discarded it, and never before 7 days, or those that an admin set (SPEC "When things go wrong by themselves"). An unsaved paid picture is never
cleaned by time, and an object that no row names is never deleted: it becomes a finding.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice

from core import log, retention
from core.db import activity, cleanings
from core.db.cleanings import Result
from core.errors import NotAllowed, ObjectMissing, StorageFailed
from core.retention import Kind
from core.services import Services
from core.storage import ATTRIBUTE_ORIGINALS, LIBRARY, WORKSPACE

MOST_CLEANED = 20_000  # results of one run; the next one goes on
MOST_ORPHANS = 1_000  # findings of one run
_PAGE = 200
_MOST_PUT_OFF = 20
_FRESH = timedelta(days=1)  # an object is stored before its row is written

_log = log.get(__name__)


class Verdict(StrEnum):
    """What comes of one result."""

    cleaned = "cleaned"
    foreign = "foreign"  # its path leads to somebody else, or to another job
    shared = "shared"  # another row names the same object
    copy_missing = "copy_missing"  # the library row stands and its object does not
    copy_differs = "copy_differs"
    put_off = "put_off"  # the storage did not answer


SENTENCES = {
    Verdict.shared: "Another result that still needs it names the same object, so it was kept.",
    Verdict.put_off: "The store did not answer; it is looked at again in the next run.",
    Verdict.foreign: "This result names an object of somebody else or of another job, so cleaning left it alone.",
    Verdict.copy_missing: "This result counts as saved, but its picture is not in the library's store. It was kept.",
    Verdict.copy_differs: "The library's picture differs from this result's. Both were kept; QA decides.",
}
"""Why a result was kept."""

_FINDINGS = frozenset({Verdict.foreign, Verdict.copy_missing, Verdict.copy_differs})


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a run did, or in a dry run would do. `freed` is bytes as the rows have them; `orphans` are objects that no
    row names; `is_whole` is False where a bound ended the run and the next one goes on.
    """

    verdicts: Counter[Verdict] = field(default_factory=Counter[Verdict])
    freed: int = 0
    orphans: int = 0
    is_whole: bool = True

    @property
    def cleaned(self) -> int:
        """How many results lost their object."""
        return self.verdicts[Verdict.cleaned]


def clean(services: Services, *, dry_run: bool = False, most: int = MOST_CLEANED) -> Report:
    """Clean at most `most` results, then look for objects that no row names.

    Safe to end at any line and to run again, and from two processes at once: the object goes first, then its row says
    so, and a row whose object is gone already only says so. Raises StorageFailed, DatabaseUnavailable.
    """
    verdicts: Counter[Verdict] = Counter()
    freed = 0
    is_whole = True
    for result in _old_results(services):
        if verdicts[Verdict.cleaned] == most or services.stopping.is_set():
            is_whole = False
            break
        verdict = _handle(result, services, dry_run=dry_run, put_off=verdicts[Verdict.put_off])
        verdicts[verdict] += 1
        freed += result.file_size if verdict is Verdict.cleaned else 0
    orphans = _orphans(services, dry_run=dry_run)
    is_whole = is_whole and orphans < MOST_ORPHANS
    _log.info(
        "workspace_cleaned", cleaned=verdicts[Verdict.cleaned], freed=freed, orphans=orphans, dry_run=dry_run
    )
    return Report(verdicts=verdicts, freed=freed, orphans=orphans, is_whole=is_whole)


def _handle(result: Result, services: Services, *, dry_run: bool, put_off: int) -> Verdict:
    """One result; a few that the storage does not give now stop no other, many mean that it is down."""
    try:
        verdict = _look_at(result, services)
        if not dry_run:
            _act(result, verdict, services)
    except StorageFailed as error:
        if put_off >= _MOST_PUT_OFF:
            raise
        _log.warning("cleaning_put_off", asset_id=str(result.id), code=error.reason)
        return Verdict.put_off
    return verdict


def _old_results(services: Services) -> Iterator[Result]:
    after = None
    kept = retention.kept_for(Kind.workspace, services)
    while True:
        with services.db.as_service() as conn:
            page = cleanings.page(conn, older_than=kept, after=after, limit=_PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].key


def _look_at(result: Result, services: Services) -> Verdict:
    """Rows can be written by users: nothing of theirs may lead to the deletion of somebody else's object."""
    if result.path.split("/", 1)[0] != str(result.user_id) or not result.names_its_job:
        return Verdict.foreign
    if not result.is_alone:
        return Verdict.shared
    if result.library_path is None:
        if result.original_path is None:
            return Verdict.cleaned
        return _compare(result, ATTRIBUTE_ORIGINALS, result.original_path, services)
    if result.library_path.split("/", 1)[0] != str(result.library_owner):
        return Verdict.foreign
    return _compare(result, LIBRARY, result.library_path, services)


def _compare(result: Result, bucket: str, path: str, services: Services) -> Verdict:
    """Whether its permanent copy holds the very bytes. The object itself is asked, not what its row says; where it is gone
    already (a run that died in between), the row's hash stands for it.
    """
    try:
        copy = _hash(services.storage.get(bucket, path))
    except ObjectMissing:
        return Verdict.copy_missing
    except NotAllowed:  # no address of a stored picture at all
        return Verdict.foreign
    try:
        original = _hash(services.storage.get(WORKSPACE, result.path))
    except ObjectMissing:
        original = result.sha256
    except NotAllowed:
        return Verdict.foreign
    return Verdict.cleaned if copy == original else Verdict.copy_differs


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _act(result: Result, verdict: Verdict, services: Services) -> None:
    if verdict is Verdict.cleaned:
        for path in _objects_of(result):
            services.storage.delete(WORKSPACE, path)
        with services.db.as_service() as conn:
            cleanings.mark_cleaned(conn, result.id)
    elif verdict in _FINDINGS:
        with services.db.as_service() as conn:
            activity.find(
                conn, f"workspace.{verdict}", "workspace_assets", str(result.id), SENTENCES[verdict]
            )


def _objects_of(result: Result) -> list[str]:
    """The picture and the thumbnail beside it; another thumbnail only in the same folder, under the same name."""
    stem = result.path.rpartition(".")[0]
    beside = {f"{stem}.thumb.webp"}
    if result.thumbnail_path is not None and result.thumbnail_path.startswith(f"{stem}."):
        beside.add(result.thumbnail_path)
    return [result.path, *sorted(beside - {result.path})]


def _orphans(services: Services, *, dry_run: bool) -> int:
    """Note objects that no row names; at most MOST_ORPHANS."""
    found = 0
    settled = datetime.now(UTC) - _FRESH
    paths = (one.path for one in services.storage.list(WORKSPACE) if one.modified_at < settled)
    for batch in _batches(paths):
        with services.db.as_service() as conn:
            stray = cleanings.without_row(conn, batch)[: MOST_ORPHANS - found]
            for path in [] if dry_run else stray:
                sentence = "This object lies in the workspace and no result names it. It may be a picture that was paid for: QA decides."
                activity.find(conn, "workspace.object_without_row", WORKSPACE, path, sentence)
        found += len(stray)
        if found >= MOST_ORPHANS or services.stopping.is_set():
            break
    return found


def _batches(paths: Iterable[str]) -> Iterator[Sequence[str]]:
    remaining = iter(paths)
    while batch := list(islice(remaining, _PAGE)):
        yield batch
