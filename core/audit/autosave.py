"""Was every portrait saved, and saved right: the seven checks (SPEC "The seven auto-save checks"), as questions.

One statement answers all seven for a page of portrait jobs; nothing is asked job by job. It reads rows only: whether
the objects themselves stand, `core.proof` looks at through the storage, with what `facts` says of them.

Rows of the platform count like ours, in the order in which their jobs ended. A row from before job_id was written is
found by the job that its path or its metadata names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import RowMaker, class_row

from core.audit.jobs import MOST_COUNTED, Counted, Key
from core.db import Connection
from core.values import JobId

RETENTION_DAYS = 7  # how long a saved job's workspace object should still exist (SPEC "When things go wrong")
LAG_DAYS = 7  # how far back the lag is looked for
_MOST_WAITING = 1_000
_MOST_POINTS = 6_000  # of the history: 30 days by the hour, eight lines a run


RULE_PREFIX = "autosave."


class Check(StrEnum):
    """The seven, in SPEC's order."""

    completed = "completed"
    workspace = "workspace"
    library_row = "library_row"
    library_object = "library_object"
    thumbnail = "thumbnail"
    portrait = "portrait"
    character_image = "character_image"


class Outcome(StrEnum):
    """What a check can answer."""

    passed = "passed"
    failed = "failed"
    not_checked = "not_checked"
    not_applicable = "not_applicable"


class Health(StrEnum):
    """One word for all seven checks of a portrait. Well is only what was looked at whole."""

    broken = "broken"  # a check failed
    not_proven = "not_proven"  # none failed, and one could not be made
    well = "well"  # every check that applies was made and passed
    nothing = "nothing"  # no check applies


class Reason(StrEnum):
    """Why a check did not pass. One that failed belongs to one check; the others may be any check's answer."""

    @property
    def rule(self) -> str:
        """The rule under which a job that failed for it stands among the findings."""
        return f"{RULE_PREFIX}{self.lower()}"

    NOT_COMPLETED = "NOT_COMPLETED"
    NO_COMPLETION_TIME = "NO_COMPLETION_TIME"

    NO_ASSET = "NO_ASSET"
    WORKSPACE_FOREIGN_PATH = "WORKSPACE_FOREIGN_PATH"
    WORKSPACE_OBJECT_MISSING = "WORKSPACE_OBJECT_MISSING"
    WORKSPACE_SIZE_DIFFERS = "WORKSPACE_SIZE_DIFFERS"
    WORKSPACE_HASH_DIFFERS = "WORKSPACE_HASH_DIFFERS"

    NO_LIBRARY_ROW = "NO_LIBRARY_ROW"
    NO_CHARACTER = "NO_CHARACTER"
    KEPT_OUT = "KEPT_OUT"
    WRONG_OWNER = "WRONG_OWNER"
    WRONG_TYPE = "WRONG_TYPE"
    WRONG_CHARACTER = "WRONG_CHARACTER"
    WRONG_TAGS = "WRONG_TAGS"

    FOREIGN_PATH = "FOREIGN_PATH"
    RECORD_DIFFERS = "RECORD_DIFFERS"
    OBJECT_MISSING = "OBJECT_MISSING"
    SIZE_DIFFERS = "SIZE_DIFFERS"
    HASH_DIFFERS = "HASH_DIFFERS"

    NO_THUMBNAIL = "NO_THUMBNAIL"
    THUMBNAIL_FOREIGN_PATH = "THUMBNAIL_FOREIGN_PATH"
    THUMBNAIL_MISSING = "THUMBNAIL_MISSING"

    NO_PORTRAIT = "NO_PORTRAIT"
    PORTRAIT_ELSEWHERE = "PORTRAIT_ELSEWHERE"
    PORTRAIT_NOT_STABLE = "PORTRAIT_NOT_STABLE"
    TWO_PRIMARIES = "TWO_PRIMARIES"
    NO_PRIMARY = "NO_PRIMARY"

    NO_IMAGE = "NO_IMAGE"
    IMAGE_NOT_STABLE = "IMAGE_NOT_STABLE"
    IMAGE_DIFFERS = "IMAGE_DIFFERS"

    NOT_FINISHED = "NOT_FINISHED"
    BEING_SAVED = "BEING_SAVED"
    WAITS_FOR_CHARACTER = "WAITS_FOR_CHARACTER"
    NOTHING_SAVED = "NOTHING_SAVED"
    OBJECTS_NOT_ASKED = "OBJECTS_NOT_ASKED"
    NOTHING_TO_COMPARE = "NOTHING_TO_COMPARE"
    STORAGE_SILENT = "STORAGE_SILENT"
    NO_PRIMARY_TO_FOLLOW = "NO_PRIMARY_TO_FOLLOW"

    NO_RESULT = "NO_RESULT"
    OLDER_FLOW = "OLDER_FLOW"
    REMOVED = "REMOVED"
    CHARACTER_REMOVED = "CHARACTER_REMOVED"
    PAST_RETENTION = "PAST_RETENTION"
    NO_PRIMARY_WANTED = "NO_PRIMARY_WANTED"


_C, _R = Check, Reason
CHECK_OF: Mapping[Reason, Check] = MappingProxyType(
    {
        **dict.fromkeys((_R.NOT_COMPLETED, _R.NO_COMPLETION_TIME), _C.completed),
        **dict.fromkeys(
            (
                _R.NO_ASSET,
                _R.WORKSPACE_FOREIGN_PATH,
                _R.WORKSPACE_OBJECT_MISSING,
                _R.WORKSPACE_SIZE_DIFFERS,
                _R.WORKSPACE_HASH_DIFFERS,
            ),
            _C.workspace,
        ),
        **dict.fromkeys(
            (
                _R.NO_LIBRARY_ROW,
                _R.NO_CHARACTER,
                _R.KEPT_OUT,
                _R.WRONG_OWNER,
                _R.WRONG_TYPE,
                _R.WRONG_CHARACTER,
                _R.WRONG_TAGS,
            ),
            _C.library_row,
        ),
        **dict.fromkeys(
            (_R.FOREIGN_PATH, _R.RECORD_DIFFERS, _R.OBJECT_MISSING, _R.SIZE_DIFFERS, _R.HASH_DIFFERS),
            _C.library_object,
        ),
        **dict.fromkeys((_R.NO_THUMBNAIL, _R.THUMBNAIL_FOREIGN_PATH, _R.THUMBNAIL_MISSING), _C.thumbnail),
        **dict.fromkeys(
            (
                _R.NO_PORTRAIT,
                _R.PORTRAIT_ELSEWHERE,
                _R.PORTRAIT_NOT_STABLE,
                _R.TWO_PRIMARIES,
                _R.NO_PRIMARY,
            ),
            _C.portrait,
        ),
        **dict.fromkeys((_R.NO_IMAGE, _R.IMAGE_NOT_STABLE, _R.IMAGE_DIFFERS), _C.character_image),
    }
)
"""The check that a failure belongs to; what is not here is no failure."""

OF_OBJECTS = frozenset(
    {
        _R.WORKSPACE_OBJECT_MISSING,
        _R.WORKSPACE_SIZE_DIFFERS,
        _R.WORKSPACE_HASH_DIFFERS,
        _R.OBJECT_MISSING,
        _R.SIZE_DIFFERS,
        _R.HASH_DIFFERS,
        _R.THUMBNAIL_MISSING,
    }
)
"""Failures that only a look at the storage can find, and only a look at the storage can clear."""

_NOT_CHECKED = frozenset(
    {
        _R.NOT_FINISHED,
        _R.BEING_SAVED,
        _R.WAITS_FOR_CHARACTER,
        _R.NOTHING_SAVED,
        _R.OBJECTS_NOT_ASKED,
        _R.NOTHING_TO_COMPARE,
        _R.STORAGE_SILENT,
        _R.NO_PRIMARY_TO_FOLLOW,
    }
)

SENTENCES: Mapping[Reason, str] = MappingProxyType(
    {
        _R.NOT_COMPLETED: "Its picture is there, but the job was never completed.",
        _R.NO_COMPLETION_TIME: "The job is completed and does not say when.",
        _R.NO_ASSET: "The job is completed, and no result of it is recorded in the workspace.",
        _R.WORKSPACE_FOREIGN_PATH: "Its workspace result lies in somebody else's folder. QA decides.",
        _R.WORKSPACE_OBJECT_MISSING: "The workspace file is gone before its seven days were over.",
        _R.WORKSPACE_SIZE_DIFFERS: "The workspace file has another size than was recorded.",
        _R.WORKSPACE_HASH_DIFFERS: "The workspace file has other bytes than were recorded.",
        _R.NO_LIBRARY_ROW: "It was never recorded in the library.",
        _R.NO_CHARACTER: "It names its character by name only, and one or several bear that name: it is not saved yet.",
        _R.KEPT_OUT: "It was kept out of the library because it leads to somebody else. QA decides.",
        _R.WRONG_OWNER: "Its library row belongs to somebody other than the character's owner. QA decides.",
        _R.WRONG_TYPE: "Its library row is not marked as a character portrait.",
        _R.WRONG_CHARACTER: "Its library row names another character, or none.",
        _R.WRONG_TAGS: "Its library row lacks the tags character and portrait.",
        _R.FOREIGN_PATH: "Its library path lies in somebody else's folder. QA decides.",
        _R.RECORD_DIFFERS: "The library row records another size or hash than the result it was copied from.",
        _R.OBJECT_MISSING: "The library file itself is not in the store.",
        _R.SIZE_DIFFERS: "The library file has another size than was recorded.",
        _R.HASH_DIFFERS: "The library file has other bytes than were recorded.",
        _R.NO_THUMBNAIL: "The library row names no thumbnail.",
        _R.THUMBNAIL_FOREIGN_PATH: "Its thumbnail's path lies in somebody else's folder. QA decides.",
        _R.THUMBNAIL_MISSING: "The thumbnail's file is not in the store.",
        _R.NO_PORTRAIT: "The character has no portrait row for it.",
        _R.PORTRAIT_ELSEWHERE: "Its portrait row hangs on another character. QA decides.",
        _R.PORTRAIT_NOT_STABLE: "Its portrait row shows an address that is no library path and may expire.",
        _R.TWO_PRIMARIES: "Its character has more than one primary portrait.",
        _R.NO_PRIMARY: "Its character has portraits and no primary one.",
        _R.NO_IMAGE: "Its character shows no picture.",
        _R.IMAGE_NOT_STABLE: "Its character shows an address that is no library path and may expire.",
        _R.IMAGE_DIFFERS: "Its character shows another picture than its primary portrait.",
        _R.NOT_FINISHED: "The job has not ended yet.",
        _R.BEING_SAVED: "It was completed a moment ago and is being saved.",
        _R.WAITS_FOR_CHARACTER: "It waits for a character of its name; nobody has made one yet.",
        _R.NOTHING_SAVED: "Nothing was saved that could be looked at.",
        _R.OBJECTS_NOT_ASKED: "Only rows were looked at, not the files.",
        _R.NOTHING_TO_COMPARE: "The file is there; its older row records no size or hash to compare it with.",
        _R.STORAGE_SILENT: "The store did not answer; it is looked at again in the next run.",
        _R.NO_PRIMARY_TO_FOLLOW: "There is no primary portrait to compare the character's picture with.",
        _R.NO_RESULT: "The job ended without a picture.",
        _R.OLDER_FLOW: "The platform's older flow made it without this part.",
        _R.REMOVED: "A person removed it on purpose.",
        _R.CHARACTER_REMOVED: "Its character was removed.",
        _R.PAST_RETENTION: "The workspace has to keep a saved picture for seven days, and they are over.",
        _R.NO_PRIMARY_WANTED: "All portraits of its character come from cancelled jobs; none becomes primary by itself.",
    }
)
"""What a person reads, for every reason."""

CHECK_TITLES: Mapping[Check, str] = MappingProxyType(
    {
        _C.completed: "Job completed",
        _C.workspace: "Workspace result",
        _C.library_row: "Library row",
        _C.library_object: "Library file",
        _C.thumbnail: "Thumbnail",
        _C.portrait: "Portrait, one primary",
        _C.character_image: "Character's picture",
    }
)
"""The seven in a few words each, as a heading."""

PASSED_SENTENCES: Mapping[Check, str] = MappingProxyType(
    {
        _C.completed: "The job is completed and says when.",
        _C.workspace: "Its result stands in the workspace, as long as it should.",
        _C.library_row: "The library lists it, with its type, character and tags.",
        _C.library_object: "The library's file is there, with the size and hash that were recorded.",
        _C.thumbnail: "Its thumbnail is there.",
        _C.portrait: "It is a portrait of its character, which has exactly one primary.",
        _C.character_image: "Its character shows its primary portrait, by a path that lasts.",
    }
)
"""What a check that passed says."""

TITLES: Mapping[Reason, str] = MappingProxyType(
    {
        _R.NOT_COMPLETED: "Job not completed",
        _R.NO_COMPLETION_TIME: "No completion time",
        _R.NO_ASSET: "No workspace row",
        _R.WORKSPACE_FOREIGN_PATH: "Workspace result in a foreign folder",
        _R.WORKSPACE_OBJECT_MISSING: "Workspace file missing",
        _R.WORKSPACE_SIZE_DIFFERS: "Workspace file has another size",
        _R.WORKSPACE_HASH_DIFFERS: "Workspace file has other bytes",
        _R.NO_LIBRARY_ROW: "Not in the library",
        _R.NO_CHARACTER: "Character not decided",
        _R.KEPT_OUT: "Kept out of the library",
        _R.WRONG_OWNER: "Library row of another owner",
        _R.WRONG_TYPE: "Library row of another type",
        _R.WRONG_CHARACTER: "Library row of another character",
        _R.WRONG_TAGS: "Library row lacks its tags",
        _R.FOREIGN_PATH: "Library path in a foreign folder",
        _R.RECORD_DIFFERS: "Recorded size or hash differs",
        _R.OBJECT_MISSING: "Library file missing",
        _R.SIZE_DIFFERS: "Library file has another size",
        _R.HASH_DIFFERS: "Library file has other bytes",
        _R.NO_THUMBNAIL: "No thumbnail named",
        _R.THUMBNAIL_FOREIGN_PATH: "Thumbnail in a foreign folder",
        _R.THUMBNAIL_MISSING: "Thumbnail file missing",
        _R.NO_PORTRAIT: "No portrait row",
        _R.PORTRAIT_ELSEWHERE: "Portrait of another character",
        _R.PORTRAIT_NOT_STABLE: "Portrait's address may expire",
        _R.TWO_PRIMARIES: "Several primaries",
        _R.NO_PRIMARY: "No primary",
        _R.NO_IMAGE: "Character shows no picture",
        _R.IMAGE_NOT_STABLE: "Character's address may expire",
        _R.IMAGE_DIFFERS: "Character shows another picture",
        _R.NOT_FINISHED: "Not ended yet",
        _R.BEING_SAVED: "Being saved",
        _R.WAITS_FOR_CHARACTER: "Waits for its character",
        _R.NOTHING_SAVED: "Nothing saved to look at",
        _R.OBJECTS_NOT_ASKED: "Files not looked at",
        _R.NOTHING_TO_COMPARE: "Nothing recorded to compare with",
        _R.STORAGE_SILENT: "The store did not answer",
        _R.NO_PRIMARY_TO_FOLLOW: "No primary to compare with",
        _R.NO_RESULT: "Ended without a picture",
        _R.OLDER_FLOW: "Older flow without this part",
        _R.REMOVED: "Removed on purpose",
        _R.CHARACTER_REMOVED: "Character removed",
        _R.PAST_RETENTION: "Past its seven days",
        _R.NO_PRIMARY_WANTED: "No primary wanted",
    }
)
"""Every reason in a few words, as a heading."""


def outcome_of(reason: Reason | None) -> Outcome:
    """What a reason means; None is passed."""
    if reason is None:
        return Outcome.passed
    if reason in CHECK_OF:
        return Outcome.failed
    return Outcome.not_checked if reason in _NOT_CHECKED else Outcome.not_applicable


Answers = tuple[Reason | None, ...]
"""One reason a check, in the order of `Check`; None where it passed."""


def health_of(answers: Answers) -> Health:
    """All seven in one word: what was not checked never counts as passed."""
    said = {outcome_of(one) for one in answers}
    if Outcome.failed in said:
        return Health.broken
    if Outcome.not_checked in said:
        return Health.not_proven
    return Health.well if Outcome.passed in said else Health.nothing


@dataclass(frozen=True, kw_only=True)
class Proof:
    """One portrait job and what its seven checks answered. `ended_at` is when it was asked where it has no end."""

    job_id: JobId
    user_id: UUID
    runner: str
    character_id: UUID | None
    character: str
    ended_at: datetime
    answers: Answers
    provider: str = ""

    @property
    def health(self) -> Health:
        """All seven in one word."""
        return health_of(self.answers)

    @property
    def first_broken(self) -> tuple[Check, Reason] | None:
        """The first link of the chain that does not hold, None where each does."""
        pairs = zip(Check, self.answers, strict=True)
        return next(((check, why) for check, why in pairs if why is not None and why in CHECK_OF), None)

    @property
    def key(self) -> Key:
        """Its place in the list; the key's moment is `ended_at`."""
        return Key(self.ended_at, self.job_id)

    @property
    def failures(self) -> tuple[Reason, ...]:
        """What failed, in the order of the checks."""
        return tuple(one for one in self.answers if one is not None and one in CHECK_OF)

    def reason(self, check: Check) -> Reason | None:
        """Why `check` did not pass, None where it did."""
        return self.answers[_PLACE[check]]

    def outcome(self, check: Check) -> Outcome:
        """What `check` answered."""
        return outcome_of(self.reason(check))


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the rows say of one job's objects, beside its proof. Paths are inside the buckets; sizes in bytes.

    `workspace_path` is None where its object need not exist (any more). `must_hash`: an earlier look found other
    bytes, which only reading them again may clear.
    """

    proof: Proof
    asset_path: str | None
    workspace_path: str | None
    workspace_size: int | None
    workspace_sha256: str | None
    library_path: str | None
    library_size: int | None
    library_sha256: str | None
    thumbnail_path: str | None
    must_hash: bool


class Group(NamedTuple):
    """Jobs that answered alike; `broken` names them, with when they ended, where a check failed."""

    answers: Answers
    number: int
    broken: Sequence[tuple[JobId, datetime]]


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """What a stretch of jobs answered. `last` is where the next one begins, None where there was no job left."""

    groups: Sequence[Group]
    last: Key | None


@dataclass(frozen=True, kw_only=True)
class ProofPage:
    """A part of the list, the last ended first. `older` is where to go on, None where nothing is left."""

    rows: Sequence[Proof]
    older: Key | None


@dataclass(frozen=True, kw_only=True)
class Lag:
    """How auto-save keeps up: how many completed portraits are not saved (`more`: and more than were counted), and
    since when the oldest of them waits.
    """

    waiting: int
    more: bool
    oldest_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of the proof. `tally` counts by check and answer (`PASSED` or a reason)."""

    id: UUID
    since: datetime | None
    with_objects: bool
    started_at: datetime
    beat_at: datetime
    expected: int
    looked_at: int
    broken: int
    tally: Mapping[str, Mapping[str, int]]
    finished_at: datetime | None
    asked_by: UUID | None = None
    waits: bool = False
    trouble: str | None = None

    def health(self, check: Check) -> tuple[int, int]:
        """How many passed, of how many where the check applied and was made (SPEC: health counts those only)."""
        counted = self.tally.get(check, {})
        passed = counted.get(PASSED, 0)
        failed = sum(number for word, number in counted.items() if word in _FAILED)
        return passed, passed + failed


@dataclass(frozen=True, kw_only=True)
class ProofFilter:
    """Which portrait jobs are looked at; what is absent narrows nothing. `character` is a name or an id as typed.

    `reason` and `only_broken` ask what the last checks kept; the rest asks the jobs themselves.
    """

    since: datetime | None = None
    character: str = field(default="", repr=False)
    provider: str | None = None
    model_id: UUID | None = None
    user_id: UUID | None = None
    reason: Reason | None = None
    only_broken: bool = False

    @property
    def asks_results(self) -> bool:
        """True where the list is of those that the last checks found broken."""
        return self.only_broken or self.reason is not None


@dataclass(frozen=True, kw_only=True)
class FactsPage:
    """A part of the list, the last ended first. `older` and `newer` are where to go on, None where nothing is left."""

    rows: Sequence[Facts]
    older: Key | None
    newer: Key | None


@dataclass(frozen=True, kw_only=True)
class KeptBroken:
    """A portrait that the last checks found broken, as a person names it."""

    job_id: UUID
    ended_at: datetime
    character: str


@dataclass(frozen=True, kw_only=True)
class ReasonGroup:
    """Portraits that the last checks found broken for one reason. `example` is the one that is broken longest."""

    reason: Reason
    counted: Counted
    oldest_at: datetime
    example: JobId


@dataclass(frozen=True, kw_only=True)
class HealthLine:
    """How one check (or `WHOLE`, the portrait itself) was answered in one finished run."""

    run_id: UUID
    check: str
    at: datetime
    with_objects: bool
    passed: int
    failed: int
    not_checked: int
    not_applicable: int

    @property
    def looked_at(self) -> int:
        """How many portraits the run met."""
        return self.passed + self.failed + self.not_checked + self.not_applicable

    @property
    def share(self) -> float | None:
        """Passed of those where the check was made and applied; None where it was made nowhere."""
        made = self.passed + self.failed
        return self.passed / made if made else None


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """The last repair of a job: who, when, and what it mended."""

    by: UUID | None
    at: datetime
    mended: tuple[Reason, ...]


@dataclass(frozen=True, kw_only=True)
class Namesake:
    """A character that a portrait may belong to; `portraits` are counted to 100. `is_newer`: made after the job."""

    id: UUID
    name: str
    created_at: datetime
    is_newer: bool
    portraits: int


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A job the last runs found broken, since when, and its reasons."""

    job_id: JobId
    ended_at: datetime
    broken_since: datetime
    checked_at: datetime
    reasons: tuple[Reason, ...]


PASSED = "PASSED"
WHOLE = "whole"  # stands in a tally beside the checks: the portraits themselves, by their health
_PLACE = {check: place for place, check in enumerate(Check)}
_FAILED = [str(reason) for reason in CHECK_OF]

# -- the statement -------------------------------------------------------------------------------------------------

_ENDED = "coalesce(j.completed_at, j.created_at)"
_PORTRAITS = "(j.metadata ->> 'destination') = 'character_portrait'"
# Text for text the indexes library_of_older_job and portraits_of_older_job, or they would not serve.
_IN_PATH = r"'(?:^|/)([0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})(?:_[^/]*)?\.[A-Za-z0-9]+$'"
_LIBRARY_JOB = f"lower(substring(l.storage_path from {_IN_PATH}))"
_PORTRAIT_JOB = (
    f"lower(coalesce(left(p.generation_metadata ->> 'job_id', 36), substring(p.image_url from {_IN_PATH})))"
)
# There is a picture to prove: everything else has not ended, or ended without one.
_HAS_RESULT = """
    (j.status = 'completed'
     OR EXISTS (SELECT FROM public.workspace_assets w WHERE w.job_id = j.id AND w.asset_type = 'image'))
"""
_CHOSEN_COLUMNS = f"""
    j.id, j.user_id, j.runner, j.status, j.stage, j.created_at, j.completed_at, {_ENDED} AS ended_at,
    coalesce(j.character_id, studio.as_uuid(j.metadata ->> 'character_id')) AS named_character,
    lower(j.metadata ->> 'owner') AS named_owner, j.metadata, j.api_model_id
"""


def _inside(column: str, bucket: str) -> str:
    """SQL: the path inside the bucket, whichever of the two forms a row holds (SPEC "Files")."""
    return f"CASE WHEN starts_with({column}, '{bucket}/') THEN substr({column}, {len(bucket) + 2}) ELSE {column} END"


_LIBRARY_COLUMNS = f"""
    l.id, l.user_id, {_inside("l.storage_path", "user-library")} AS path,
    {_inside("nullif(l.thumbnail_path, '')", "user-library")} AS thumbnail, nullif(l.file_size_bytes, 0) AS size, l.sha256,
    l.asset_type, l.roleplay_metadata, l.tags, l.deleted_at
"""
_PORTRAIT_COLUMNS = f"""
    p.id, p.character_id, {_inside("p.image_url", "user-library")} AS path,
    {_inside("p.thumbnail_url", "user-library")} AS thumbnail, p.sha256, p.deleted_at
"""
# Everything the checks need to know, one line a job. Each part is found by an index, or not looked for. OFFSET 0 keeps
# the planner from writing each fact out again wherever a check asks for it: three times slower, and 25 ms to plan.
# Whose an older library row is stands in a form that no index serves, or every row of a person would be read for it.
_FACTS = f"""
    SELECT j.*, a.id AS asset_id, a.path AS asset_path, a.size AS asset_size, a.sha256 AS asset_sha256,
        a.created_at AS asset_at, a.deleted_at AS asset_deleted_at, a.deleted_by AS asset_deleted_by,
        l.id AS library_id, l.user_id AS library_user, l.size AS library_size, l.sha256 AS library_sha256,
        l.thumbnail AS library_thumbnail, l.asset_type, l.roleplay_metadata, l.tags,
        l.deleted_at AS library_deleted_at, p.id AS portrait_id, p.character_id AS portrait_character,
        p.path AS portrait_path, p.thumbnail AS portrait_thumbnail, p.sha256 AS portrait_sha256,
        c.id AS character_id, c.name AS character_name, c.deleted_at AS character_deleted_at,
        {_inside("nullif(c.image_url, '')", "user-library")} AS image_path, coalesce(s.primaries, 0) AS primaries,
        {_inside("s.image_url", "user-library")} AS primary_path, c.image_url AS image_url,
        coalesce(c.user_id::text, j.named_owner, j.user_id::text) AS owner,
        p.deleted_at IS NOT NULL
            OR EXISTS (SELECT FROM studio.removed_portraits r WHERE r.job_id = j.id) AS portrait_removed,
        EXISTS (SELECT FROM studio.removed_items r WHERE r.job_id = j.id) AS item_removed,
        j.runner = 'platform' AND a.id IS NULL AND l.id IS NULL AND p.id IS NOT NULL AS is_direct,
        coalesce(l.path, p.path) AS library_path, named.id AS wanted_character
    FROM chosen j
    LEFT JOIN LATERAL (
        SELECT a.id, {_inside("a.temp_storage_path", "workspace-temp")} AS path, nullif(a.file_size_bytes, 0) AS size,
               a.sha256, a.created_at, a.deleted_at, a.deleted_by
        FROM public.workspace_assets a WHERE a.job_id = j.id AND a.asset_type = 'image'
        ORDER BY a.created_at, a.id LIMIT 1) a ON true
    LEFT JOIN LATERAL (
        SELECT {_LIBRARY_COLUMNS} FROM public.user_library l WHERE l.job_id = j.id
        UNION ALL
        (SELECT {_LIBRARY_COLUMNS} FROM public.user_library l
         WHERE j.runner = 'platform' AND l.job_id IS NULL AND {_LIBRARY_JOB} = j.id::text
           AND l.user_id IS NOT DISTINCT FROM j.user_id
         ORDER BY l.created_at, l.id LIMIT 1)
        LIMIT 1) l ON true
    LEFT JOIN LATERAL (
        SELECT {_PORTRAIT_COLUMNS} FROM public.character_portraits p WHERE p.job_id = j.id
        UNION ALL
        (SELECT {_PORTRAIT_COLUMNS} FROM public.character_portraits p
         WHERE j.runner = 'platform' AND p.job_id IS NULL AND {_PORTRAIT_JOB} = j.id::text
         ORDER BY p.created_at, p.id LIMIT 1)
        LIMIT 1) p ON true
    CROSS JOIN LATERAL (
        SELECT coalesce(j.named_character, p.character_id,
                        studio.as_uuid(l.roleplay_metadata ->> 'character_id')) AS id) named
    LEFT JOIN public.characters c ON c.id = named.id
    LEFT JOIN LATERAL (
        SELECT count(*) AS primaries, min(o.image_url) AS image_url FROM public.character_portraits o
        WHERE o.character_id = c.id AND o.is_primary) s ON true
    OFFSET 0
"""
_NOT_SAVED_BECAUSE = """
    WHEN f.portrait_removed OR f.item_removed OR f.asset_deleted_by IS NOT NULL THEN 'REMOVED'
    WHEN f.status <> 'completed' THEN 'NOTHING_SAVED'
    WHEN f.stage = 'not_saved' THEN 'KEPT_OUT'
    WHEN f.stage IS DISTINCT FROM 'saved'
         AND f.completed_at > now() - make_interval(secs => %(grace)s) THEN 'BEING_SAVED'
"""
# Asked only of characters without a primary: pictures of cancelled jobs never become one by themselves.
_WANTS_PRIMARY = """
    EXISTS (SELECT FROM public.character_portraits o LEFT JOIN public.jobs k ON k.id = o.job_id
            WHERE o.character_id = f.character_id AND o.deleted_at IS NULL AND NOT coalesce(k.cancel_requested, false))
"""
# The seven, each null where it passed; within one the first that holds counts.
_CODES = f"""
    CASE WHEN f.status <> 'completed' THEN 'NOT_COMPLETED' WHEN f.completed_at IS NULL THEN 'NO_COMPLETION_TIME' END,
    CASE
        WHEN f.asset_id IS NULL THEN CASE
            WHEN f.is_direct THEN 'OLDER_FLOW'
            WHEN f.portrait_removed OR f.item_removed THEN 'REMOVED'
            WHEN f.library_id IS NOT NULL AND f.ended_at < now() - make_interval(days => %(days)s)
                THEN 'PAST_RETENTION'
            ELSE 'NO_ASSET' END
        WHEN f.asset_deleted_by IS NOT NULL THEN 'REMOVED'
        WHEN f.asset_deleted_at IS NOT NULL THEN 'PAST_RETENTION'
        WHEN split_part(f.asset_path, '/', 1) <> f.owner THEN 'WORKSPACE_FOREIGN_PATH'
    END,
    CASE
        WHEN f.library_id IS NULL THEN CASE
            WHEN f.is_direct THEN 'OLDER_FLOW'
            {_NOT_SAVED_BECAUSE}
            WHEN f.wanted_character IS NULL THEN CASE
                WHEN EXISTS (SELECT FROM public.characters n
                             WHERE n.user_id = f.user_id AND n.deleted_at IS NULL
                               AND studio.plain_name(n.name) = studio.name_of_job(f.metadata)) THEN 'NO_CHARACTER'
                ELSE 'WAITS_FOR_CHARACTER' END
            ELSE 'NO_LIBRARY_ROW' END
        WHEN f.library_deleted_at IS NOT NULL THEN 'REMOVED'
        WHEN f.library_user::text <> f.owner THEN 'WRONG_OWNER'
        WHEN f.asset_type <> 'image' OR f.roleplay_metadata ->> 'type' IS DISTINCT FROM 'character_portrait'
            THEN 'WRONG_TYPE'
        WHEN f.wanted_character IS NOT NULL
             AND lower(f.roleplay_metadata ->> 'character_id') IS DISTINCT FROM f.wanted_character::text
            THEN 'WRONG_CHARACTER'
        WHEN NOT coalesce(f.tags @> ARRAY['character', 'portrait'], false) THEN 'WRONG_TAGS'
    END,
    CASE
        WHEN f.library_deleted_at IS NOT NULL THEN 'REMOVED'
        WHEN f.library_id IS NULL AND NOT f.is_direct THEN CASE
            WHEN f.portrait_removed OR f.item_removed OR f.asset_deleted_by IS NOT NULL THEN 'REMOVED'
            ELSE 'NOTHING_SAVED' END
        WHEN f.is_direct AND f.portrait_removed THEN 'REMOVED'
        WHEN split_part(f.library_path, '/', 1) <> f.owner THEN 'FOREIGN_PATH'
        WHEN f.library_sha256 <> f.asset_sha256 OR f.library_size <> f.asset_size THEN 'RECORD_DIFFERS'
        ELSE 'OBJECTS_NOT_ASKED'
    END,
    CASE
        WHEN f.library_deleted_at IS NOT NULL THEN 'REMOVED'
        WHEN f.library_id IS NULL AND NOT f.is_direct THEN CASE
            WHEN f.portrait_removed OR f.item_removed OR f.asset_deleted_by IS NOT NULL THEN 'REMOVED'
            ELSE 'NOTHING_SAVED' END
        WHEN f.is_direct AND f.portrait_removed THEN 'REMOVED'
        WHEN f.is_direct AND f.portrait_thumbnail IS NULL THEN 'OLDER_FLOW'
        WHEN f.library_id IS NOT NULL AND f.library_thumbnail IS NULL AND f.runner <> 'platform' THEN 'NO_THUMBNAIL'
        WHEN split_part(coalesce(f.library_thumbnail, f.portrait_thumbnail, f.library_path), '/', 1) <> f.owner
            THEN 'THUMBNAIL_FOREIGN_PATH'
        ELSE 'OBJECTS_NOT_ASKED'
    END,
    CASE
        WHEN f.portrait_removed THEN 'REMOVED'
        WHEN f.wanted_character IS NULL THEN CASE WHEN f.item_removed THEN 'REMOVED' ELSE 'NOTHING_SAVED' END
        WHEN f.character_id IS NULL OR f.character_deleted_at IS NOT NULL THEN 'CHARACTER_REMOVED'
        WHEN f.portrait_id IS NULL THEN CASE
            WHEN f.library_deleted_at IS NOT NULL THEN 'REMOVED'
            {_NOT_SAVED_BECAUSE.replace("'KEPT_OUT'", "'NOTHING_SAVED'")}
            WHEN f.runner = 'platform' AND f.library_id IS NOT NULL AND f.image_path IS DISTINCT FROM f.library_path
                 AND f.stage IS DISTINCT FROM 'saved' THEN 'OLDER_FLOW'
            ELSE 'NO_PORTRAIT' END
        WHEN f.portrait_character <> f.character_id THEN 'PORTRAIT_ELSEWHERE'
        WHEN split_part(f.portrait_path, '/', 1) <> f.owner THEN 'PORTRAIT_NOT_STABLE'
        WHEN f.primaries > 1 THEN 'TWO_PRIMARIES'
        WHEN f.primaries = 0 AND {_WANTS_PRIMARY} THEN 'NO_PRIMARY'
    END,
    CASE
        WHEN f.portrait_removed THEN 'REMOVED'
        WHEN f.wanted_character IS NULL THEN CASE WHEN f.item_removed THEN 'REMOVED' ELSE 'NOTHING_SAVED' END
        WHEN f.character_id IS NULL OR f.character_deleted_at IS NOT NULL THEN 'CHARACTER_REMOVED'
        WHEN f.portrait_id IS NULL AND f.library_id IS NULL THEN CASE
            {_NOT_SAVED_BECAUSE.replace("'KEPT_OUT'", "'NOTHING_SAVED'")} ELSE 'NOTHING_SAVED' END
        WHEN f.image_path IS NULL AND f.primaries = 0 AND NOT {_WANTS_PRIMARY} THEN 'NO_PRIMARY_WANTED'
        WHEN f.image_path IS NULL THEN 'NO_IMAGE'
        WHEN split_part(f.image_path, '/', 1) <> f.owner THEN 'IMAGE_NOT_STABLE'
        WHEN f.primaries = 0 THEN 'NO_PRIMARY_TO_FOLLOW'
        WHEN f.image_path <> f.primary_path THEN 'IMAGE_DIFFERS'
    END
"""

_ANSWERS = f"""
    CASE
        WHEN f.asset_id IS NULL AND f.status IN ('queued', 'processing') THEN array_fill('NOT_FINISHED'::text, ARRAY[7])
        WHEN f.asset_id IS NULL AND f.status <> 'completed' THEN array_fill('NO_RESULT'::text, ARRAY[7])
        ELSE ARRAY[{_CODES}]::text[]
    END
"""
# From a key on, in the order in which they ended.
_AFTER = f"""
    SELECT {_CHOSEN_COLUMNS} FROM public.jobs j
    WHERE {_PORTRAITS} AND {_HAS_RESULT}
      AND ({_ENDED}, j.id) > (%(at)s::timestamptz, %(id)s::uuid) AND {_ENDED} <= %(until)s::timestamptz
    ORDER BY {_ENDED}, j.id LIMIT %(limit)s
"""
_BEFORE = f"""
    SELECT {_CHOSEN_COLUMNS} FROM public.jobs j
    WHERE {_PORTRAITS} AND ({_ENDED}, j.id) < (%(at)s::timestamptz, %(id)s::uuid) AND {_ENDED} >= %(since)s::timestamptz
    ORDER BY {_ENDED} DESC, j.id DESC LIMIT %(limit)s
"""
_ASKED_JOBS = """
    (%(models)s::uuid[] IS NULL OR j.api_model_id = ANY(%(models)s)) AND (%(user)s::uuid IS NULL OR j.user_id = %(user)s)
    AND (%(characters)s::uuid[] IS NULL
         OR coalesce(j.character_id, studio.as_uuid(j.metadata ->> 'character_id')) = ANY(%(characters)s))
"""
_IDS = f"""
    SELECT j.id, {_ENDED} FROM public.jobs j
    WHERE {_PORTRAITS} AND {_ENDED} >= %(since)s::timestamptz AND {_ASKED_JOBS}
      AND ({_ENDED}, j.id) {{compared}} (%(at)s::timestamptz, %(id)s::uuid)
    ORDER BY {_ENDED} {{order}}, j.id {{order}} LIMIT %(limit)s
"""
_KEPT = """
    r.ended_at >= %(since)s::timestamptz
    AND (%(code)s::text IS NULL OR r.row_codes @> ARRAY[%(code)s] OR r.object_codes @> ARRAY[%(code)s])
    AND cardinality(r.row_codes) + cardinality(r.object_codes) > 0
"""
_BROKEN_IDS = f"""
    SELECT r.job_id, r.ended_at FROM studio.proof_results r
    WHERE {_KEPT} AND (r.ended_at, r.job_id) {{compared}} (%(at)s::timestamptz, %(id)s::uuid)
      AND (NOT %(narrowed)s OR EXISTS (SELECT FROM public.jobs j WHERE j.id = r.job_id AND {_ASKED_JOBS}))
    ORDER BY r.ended_at {{order}}, r.job_id {{order}} LIMIT %(limit)s
"""
_REASONS_KEPT = f"""
    SELECT code, count(*), (array_agg(broken_since ORDER BY broken_since, job_id))[1],
        (array_agg(job_id ORDER BY broken_since, job_id))[1], bool_or(cut.more)
    FROM (
        SELECT r.job_id, r.broken_since, r.row_codes || r.object_codes AS codes,
            row_number() OVER () > %(most)s AS more
        FROM studio.proof_results r
        WHERE {_KEPT} AND (NOT %(narrowed)s OR EXISTS (SELECT FROM public.jobs j WHERE j.id = r.job_id AND {_ASKED_JOBS}))
        LIMIT %(most)s + 1) cut CROSS JOIN LATERAL unnest(cut.codes) code
    GROUP BY code ORDER BY 2 DESC, 1
"""
_NAMED = f"SELECT {_CHOSEN_COLUMNS} FROM public.jobs j WHERE {_PORTRAITS} AND j.id = ANY(%(ids)s::uuid[])"
_GROUPED = f"""
    WITH chosen AS MATERIALIZED ({_AFTER}), facts AS ({_FACTS}),
    checked AS MATERIALIZED (SELECT f.id, f.ended_at, {_ANSWERS} AS answers FROM facts f)
    SELECT answers, count(*), coalesce(array_agg(id) FILTER (WHERE answers && %(failed)s::text[]), '{{}}'),
        coalesce(array_agg(ended_at) FILTER (WHERE answers && %(failed)s::text[]), '{{}}'),
        (SELECT c.ended_at FROM chosen c ORDER BY c.ended_at DESC, c.id DESC LIMIT 1),
        (SELECT c.id FROM chosen c ORDER BY c.ended_at DESC, c.id DESC LIMIT 1)
    FROM checked GROUP BY answers
"""
_EACH = f"""
    WITH chosen AS MATERIALIZED ({{chosen}}), facts AS ({_FACTS})
    SELECT f.id, f.user_id, f.runner, f.wanted_character,
        coalesce(nullif(f.character_name, ''), f.metadata ->> 'character_name', f.metadata ->> 'characterName', ''),
        f.ended_at, {_ANSWERS}, f.asset_path,
        f.asset_deleted_at IS NULL
            AND (f.library_id IS NULL OR f.asset_at > now() - make_interval(days => %(days)s)),
        f.asset_size, f.asset_sha256, f.library_path, coalesce(f.asset_size, f.library_size),
        coalesce(f.asset_sha256, f.library_sha256, f.portrait_sha256),
        coalesce(f.library_thumbnail, f.portrait_thumbnail,
                 regexp_replace(f.library_path, '[.][A-Za-z0-9]+$', '') || '.thumb.webp'),
        coalesce((SELECT r.object_codes && ARRAY['HASH_DIFFERS', 'WORKSPACE_HASH_DIFFERS']
                  FROM studio.proof_results r WHERE r.job_id = f.id), false),
        coalesce((SELECT p.name FROM public.api_models m JOIN public.api_providers p ON p.id = m.provider_id
                  WHERE m.id = f.api_model_id), f.metadata ->> 'provider', '')
    FROM facts f
"""
_EACH_AFTER = _EACH.replace("{chosen}", _AFTER) + " ORDER BY f.ended_at, f.id"
_EACH_BEFORE = _EACH.replace("{chosen}", _BEFORE) + " ORDER BY f.ended_at DESC, f.id DESC"
_EACH_NAMED = _EACH.replace("{chosen}", _NAMED) + " ORDER BY f.ended_at, f.id"

FIRST = Key(datetime.min.replace(tzinfo=UTC), UUID(int=0))
"""Before every job."""
_LAST = Key(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))


def stretch(
    conn: Connection, after: Key, until: datetime, *, limit: int = 10_000, grace: float = 60.0
) -> Stretch:
    """What the next `limit` jobs after a key answered, counted in the database: rows only.

    `until` is the last moment that counts. `grace`: seconds a completed job may take to be saved.
    """
    values = {**_values(grace), **_key(after), "until": until, "limit": limit, "failed": _FAILED}
    found = conn.execute(_GROUPED.encode(), values, prepare=False).fetchall()
    groups = [
        Group(_answers(words), number, list(zip(map(JobId, ids), ends, strict=True)))
        for words, number, ids, ends, _, _ in found
    ]
    return Stretch(groups=groups, last=Key(found[0][4], found[0][5]) if found else None)


def facts_after(
    conn: Connection, after: Key, until: datetime, *, limit: int = 1_000, grace: float = 60.0
) -> list[Facts]:
    """The next `limit` jobs after a key, each with where its objects should lie."""
    values = {**_values(grace), **_key(after), "until": until, "limit": limit}
    return _each(conn, _EACH_AFTER, values)


def facts_of(conn: Connection, job_ids: Sequence[JobId], *, grace: float = 60.0) -> list[Facts]:
    """These jobs, as far as they are portrait jobs, each with where its objects should lie."""
    return _each(conn, _EACH_NAMED, {**_values(grace), "ids": list(job_ids)})


def of_job(conn: Connection, job_id: JobId, *, grace: float = 60.0) -> Proof | None:
    """One job's seven checks by its rows, None where it is no portrait job or none this connection may see."""
    found = facts_of(conn, [job_id], grace=grace)
    return found[0].proof if found else None


def page(
    conn: Connection,
    *,
    since: datetime | None = None,
    before: Key | None = None,
    limit: int = 50,
    grace: float = 60.0,
) -> ProofPage:
    """At most `limit` portrait jobs and their seven checks by rows, the last ended first; those not ended count by
    when they were asked.
    """
    values = {
        **_values(grace),
        **_key(before or _LAST),
        "since": since or FIRST.created_at,
        "limit": limit + 1,  # one more than is shown tells whether there are more
    }
    found = [one.proof for one in _each(conn, _EACH_BEFORE, values)]
    shown = found[:limit]
    return ProofPage(rows=shown, older=shown[-1].key if len(found) > limit else None)


def count_since(conn: Connection, since: datetime | None, until: datetime) -> int:
    """How many portrait jobs a run will meet at most: for its progress."""
    row = conn.execute(
        f"SELECT count(*) FROM public.jobs j WHERE {_PORTRAITS} AND {_ENDED} >= %s AND {_ENDED} <= %s",
        (since or FIRST.created_at, until),
    ).fetchone()
    return int(row[0]) if row else 0


def lag(conn: Connection, *, days: int = LAG_DAYS, most: int = _MOST_WAITING) -> Lag:
    """Completed portraits with a result and a character that are not in the library, of the last `days`.

    Bounded: it reads the unsaved of that time only and counts to `most`. What was removed on purpose or kept out
    does not wait.
    """
    row = conn.execute(
        """
        SELECT count(*), min(waiting.completed_at) FROM (
            SELECT j.completed_at FROM public.jobs j
            WHERE j.status = 'completed' AND j.character_id IS NOT NULL AND j.stage IS DISTINCT FROM 'saved'
              AND j.created_at > now() - make_interval(days => %(days)s)
              AND j.stage IS DISTINCT FROM 'not_saved' AND (j.metadata ->> 'destination') = 'character_portrait'
              AND EXISTS (SELECT FROM public.workspace_assets a WHERE a.job_id = j.id)
              AND NOT EXISTS (SELECT FROM public.user_library l WHERE l.job_id = j.id)
              AND NOT EXISTS (SELECT FROM studio.removed_portraits r WHERE r.job_id = j.id)
              AND NOT EXISTS (SELECT FROM studio.removed_items r WHERE r.job_id = j.id)
            ORDER BY j.created_at LIMIT %(most)s) waiting
        """,
        {"days": days, "most": most + 1},
    ).fetchone()
    number, oldest = row or (0, None)
    return Lag(waiting=min(number, most), more=number > most, oldest_at=oldest)


_RUN_COLUMNS = """
    id, since, with_objects, started_at, beat_at, expected, looked_at, broken, tally, finished_at, asked_by, waits, trouble
"""


def facts_page(
    conn: Connection,
    wanted: ProofFilter,
    *,
    before: Key | None = None,
    after: Key | None = None,
    limit: int = 50,
    grace: float = 60.0,
) -> FactsPage:
    """At most `limit` portrait jobs, the last ended first, each judged by its rows now: the newest, those `before` a
    key, or those next `after` one. Where the filter asks for broken ones, they are those that the last checks kept.
    """
    key = after or before or _LAST
    statement = _BROKEN_IDS if wanted.asks_results else _IDS
    turned = {"compared": ">", "order": "ASC"} if after else {"compared": "<", "order": "DESC"}
    values = {**_key(key), **_asked(conn, wanted), "limit": limit + 1}
    found = conn.execute(statement.format(**turned).encode(), values, prepare=False).fetchall()
    more = len(found) > limit
    keys = [Key(ended_at, job_id) for job_id, ended_at in found[:limit]]
    if after:
        keys.reverse()
    facts = {one.proof.job_id: one for one in facts_of(conn, [JobId(one.id) for one in keys], grace=grace)}
    shown = [facts[JobId(one.id)] for one in keys if JobId(one.id) in facts]
    if after:
        return FactsPage(rows=shown, older=keys[-1] if keys else after, newer=keys[0] if more else None)
    newer = keys[0] if before and keys else before
    return FactsPage(rows=shown, older=keys[-1] if more else None, newer=newer)


def kept_broken(conn: Connection, wanted: ProofFilter, *, limit: int) -> list[KeptBroken]:
    """The broken portraits of a filter as the last checks kept them, the last ended first; nothing is judged anew."""
    ids = _BROKEN_IDS.format(compared="<", order="DESC")
    with conn.cursor(row_factory=class_row(KeptBroken)) as cursor:
        return cursor.execute(
            f"""
            SELECT kept.job_id, kept.ended_at,
                coalesce(nullif(c.name, ''), j.metadata ->> 'character_name', j.metadata ->> 'characterName', '') AS character
            FROM ({ids}) kept LEFT JOIN public.jobs j ON j.id = kept.job_id
            LEFT JOIN public.characters c ON c.id = j.character_id
            ORDER BY kept.ended_at DESC, kept.job_id DESC
            """.encode(),
            {**_key(_LAST), **_asked(conn, wanted), "limit": limit},
            prepare=False,
        ).fetchall()


def reasons(conn: Connection, wanted: ProofFilter, *, most: int = MOST_COUNTED) -> list[ReasonGroup]:
    """Why portraits are broken, as the last checks kept it, whatever reason is wanted; the most frequent first.

    Among more than `most` broken portraits it counts `most` of them and says that there are more.
    """
    values = {**_asked(conn, replace(wanted, reason=None)), "most": most}
    rows = conn.execute(_REASONS_KEPT.encode(), values, prepare=False).fetchall()
    return [
        ReasonGroup(
            reason=_REASONS[code],
            counted=Counted(number=number, more=any(row[4] for row in rows)),
            oldest_at=oldest,
            example=JobId(example),
        )
        for code, number, oldest, example, _ in rows
        if code in _REASONS
    ]


def broken_count(conn: Connection, *, most: int = MOST_COUNTED) -> Counted:
    """How many portraits are broken now, as the last checks and the repairs since left it; counted to `most`."""
    row = conn.execute(
        """
        SELECT count(*) FROM (SELECT FROM studio.proof_results r
            WHERE cardinality(r.row_codes) + cardinality(r.object_codes) > 0 LIMIT %s) counted
        """,
        (most + 1,),
    ).fetchone()
    number = int(row[0]) if row else 0
    return Counted(number=min(number, most), more=number > most)


def broken_since(conn: Connection, job_ids: Sequence[JobId]) -> dict[JobId, datetime]:
    """Since when each of these jobs is known to be broken; one that the checks did not find broken is missing."""
    rows = conn.execute(
        "SELECT job_id, broken_since FROM studio.proof_results WHERE job_id = ANY(%s)", (list(job_ids),)
    ).fetchall()
    return {JobId(row[0]): row[1] for row in rows}


def latest(conn: Connection, *, with_objects: bool | None = None) -> dict[str, HealthLine]:
    """What the last finished check of all portraits said, by check and `WHOLE`; empty where there was none.

    `with_objects` True: the last that looked at files too; False: the last by rows alone; None: the last of all.
    """
    rows = conn.execute(
        f"""
        SELECT {_HEALTH_COLUMNS} FROM studio.health_history h WHERE h.run_id = (
            SELECT l.run_id FROM studio.health_history l
            WHERE l.since IS NULL AND (%(objects)s::boolean IS NULL OR l.with_objects = %(objects)s)
            ORDER BY l.at DESC LIMIT 1)
        """,
        {"objects": with_objects},
    ).fetchall()
    return {row[1]: HealthLine(**dict(zip(_HEALTH_FIELDS, row, strict=True))) for row in rows}


def history(conn: Connection, since: datetime, *, most: int = _MOST_POINTS) -> list[HealthLine]:
    """How every check was answered over time, the oldest first: the checks of all portraits since then, the last of
    each second (of each day, beyond 15 days) and kind; at most `most` lines, the newest.
    """
    rows = conn.execute(
        f"""
        SELECT * FROM (
            SELECT DISTINCT ON (date_trunc(step.word, h.at), h.with_objects, h.check_name) {_HEALTH_COLUMNS}
            FROM studio.health_history h
            CROSS JOIN (SELECT CASE WHEN %(since)s < now() - interval '15 days' THEN 'day' ELSE 'second' END AS word) step
            WHERE h.since IS NULL AND h.at >= %(since)s
            ORDER BY date_trunc(step.word, h.at) DESC, h.with_objects, h.check_name, h.at DESC
            LIMIT %(most)s) newest
        ORDER BY at, check_name
        """,
        {"since": since, "most": most},
        prepare=False,
    ).fetchall()
    return [HealthLine(**dict(zip(_HEALTH_FIELDS, row, strict=True))) for row in rows]


def under_way(conn: Connection) -> list[Run]:
    """Checks that have not come to their end, the newest first: running, waiting for a worker, or standing still."""
    with conn.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_RUN_COLUMNS} FROM studio.proof_runs
            WHERE finished_at IS NULL AND started_at > clock_timestamp() - interval '24 hours'
            ORDER BY started_at DESC LIMIT 5
            """
        ).fetchall()


def last_repair(conn: Connection, job_id: JobId) -> Earlier | None:
    """Who repaired this job last, when and what; None where nobody did."""
    row = conn.execute(
        """
        SELECT who, at, coalesce(why, '') FROM studio.audit_events
        WHERE action = 'autosave_repaired' AND table_name = 'jobs' AND row_id = %s ORDER BY at DESC, id DESC LIMIT 1
        """,
        (str(job_id),),
    ).fetchone()
    if row is None:
        return None
    mended = tuple(_REASONS[word] for word in str(row[2]).split(", ") if word in _REASONS)
    return Earlier(by=row[0], at=row[1], mended=mended)


def namesakes(conn: Connection, job_id: JobId) -> list[Namesake]:
    """The characters of the job's user that bear the name it gives or show its picture, the newest first; at most 20."""
    with conn.cursor(row_factory=class_row(Namesake)) as cursor:
        return cursor.execute(
            """
            SELECT c.id, c.name, c.created_at, c.created_at >= j.created_at AS is_newer,
                (SELECT count(*) FROM (SELECT FROM public.character_portraits p
                    WHERE p.character_id = c.id AND p.deleted_at IS NULL LIMIT 100) counted) AS portraits
            FROM public.jobs j JOIN public.characters c ON c.user_id = j.user_id AND c.deleted_at IS NULL
            WHERE j.id = %s
              AND (studio.name_of_job(j.metadata) = studio.plain_name(c.name)
                   OR j.id IN (studio.job_of_path(c.image_url), studio.job_of_path(c.reference_image_url)))
            ORDER BY c.created_at DESC, c.id LIMIT 20
            """,
            (job_id,),
        ).fetchall()


def _asked(conn: Connection, wanted: ProofFilter) -> dict[str, object]:
    """The filter as what indexes know: ids of models and characters, None where it narrows nothing."""
    characters = _characters_named(conn, wanted.character)
    models = _models_asked(conn, wanted)
    return {
        "since": wanted.since or FIRST.created_at,
        "code": wanted.reason,
        "models": models,
        "user": wanted.user_id,
        "characters": characters,
        "narrowed": not (models is None and characters is None and wanted.user_id is None),
    }


def _models_asked(conn: Connection, wanted: ProofFilter) -> list[UUID] | None:
    if wanted.model_id is not None:
        return [wanted.model_id]
    if wanted.provider is None:
        return None
    rows = conn.execute(
        "SELECT m.id FROM public.api_models m JOIN public.api_providers p ON p.id = m.provider_id WHERE p.name = %s",
        (wanted.provider,),
    ).fetchall()
    return [row[0] for row in rows]


def _characters_named(conn: Connection, typed: str) -> list[UUID] | None:
    """Characters whose id this is or whose name begins like this, at most 200; None where nothing was typed."""
    text = typed.strip()
    if not text:
        return None
    rows = conn.execute(
        """
        SELECT c.id FROM public.characters c
        WHERE c.id = studio.as_uuid(%(text)s) OR starts_with(lower(c.name), lower(%(text)s)) ORDER BY c.id LIMIT 200
        """,
        {"text": text},
        prepare=False,
    ).fetchall()
    return [row[0] for row in rows]


_HEALTH_COLUMNS = (
    "h.run_id, h.check_name, h.at, h.with_objects, h.passed, h.failed, h.not_checked, h.not_applicable"
)
_HEALTH_FIELDS = (
    "run_id",
    "check",
    "at",
    "with_objects",
    "passed",
    "failed",
    "not_checked",
    "not_applicable",
)


def runs(conn: Connection, *, limit: int = 10) -> list[Run]:
    """The last runs of the proof, newest first."""
    with conn.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_RUN_COLUMNS} FROM studio.proof_runs ORDER BY started_at DESC LIMIT %s
            """,
            (limit,),
        ).fetchall()


def run(conn: Connection, run_id: UUID) -> Run | None:
    """One run, None where it is not kept any more."""
    with conn.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            f"SELECT {_RUN_COLUMNS} FROM studio.proof_runs WHERE id = %s",
            (run_id,),
        ).fetchone()


def broken(
    conn: Connection,
    *,
    reason: Reason | None = None,
    since: datetime | None = None,
    after: JobId | None = None,
    limit: int = 500,
) -> list[Broken]:
    """Jobs the last runs found broken, by id: all, or those that failed for `reason` or ended `since`."""
    rows = conn.execute(
        """
        SELECT job_id, ended_at, broken_since, greatest(rows_at, objects_at), row_codes || object_codes
        FROM studio.proof_results
        WHERE (%(reason)s::text IS NULL OR %(reason)s = ANY(row_codes || object_codes))
          AND (%(since)s::timestamptz IS NULL OR ended_at >= %(since)s)
          AND (%(after)s::uuid IS NULL OR job_id > %(after)s)
        ORDER BY job_id LIMIT %(limit)s
        """,
        {"reason": reason, "since": since, "after": after, "limit": limit},
        prepare=False,
    ).fetchall()
    return [
        Broken(
            job_id=JobId(row[0]),
            ended_at=row[1],
            broken_since=row[2],
            checked_at=row[3],
            reasons=tuple(_REASONS[word] for word in row[4] if word in _REASONS),
        )
        for row in rows
    ]


def _each(conn: Connection, statement: str, values: Mapping[str, object]) -> list[Facts]:
    with conn.cursor(row_factory=_as_facts) as cursor:
        # A constant of this module, put together of others.
        found = cursor.execute(statement.encode(), values, prepare=False)
        return found.fetchall()


def _as_facts(_cursor: Cursor[Any]) -> RowMaker[Facts]:
    def make(row: Sequence[Any]) -> Facts:
        proof = Proof(
            job_id=JobId(row[0]),
            user_id=row[1],
            runner=row[2],
            character_id=row[3],
            character=row[4],
            ended_at=row[5],
            answers=_answers(row[6]),
            provider=row[16],
        )
        return Facts(
            proof=proof,
            asset_path=row[7],
            workspace_path=row[7] if row[8] else None,
            workspace_size=row[9],
            workspace_sha256=row[10],
            library_path=row[11],
            library_size=row[12],
            library_sha256=row[13],
            thumbnail_path=row[14],
            must_hash=row[15],
        )

    return make


def _answers(words: Sequence[str | None]) -> Answers:
    return tuple(_REASONS[word] if word else None for word in words)


_REASONS = {str(reason): reason for reason in Reason}


def _values(grace: float) -> dict[str, object]:
    return {"grace": grace, "days": RETENTION_DAYS}


def _key(key: Key) -> dict[str, object]:
    return {"at": key.created_at, "id": key.id}
