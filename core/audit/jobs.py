"""Every generation job: lists by key, bounded counts, and one job's whole story.

Filters are null where they are absent. Statements that hold them are never prepared: the planner then sees the
values, drops what is null, and finds the index that serves the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from psycopg.rows import class_row

from core import recovery
from core.db import Connection, assets, callbacks, jobs
from core.db.callbacks import Callback
from core.recovery import Step
from core.values import Asset, Job, JobId, JobStage, JobStatus, ModelId, Submission, SubmissionId, Ticket

MOST_COUNTED = 10_000  # a count beyond says so (DESIGN "Database access")
_MOST_LINES = 500  # of one job's events; thousands only come from a loop, which 500 show as well


class JobState(StrEnum):
    """Where a job stands, as people filter: the status, with *outcome unknown* taken out of processing."""

    queued = "queued"
    processing = "processing"
    outcome_unknown = "outcome_unknown"
    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"


class Key(NamedTuple):
    """Where a page of jobs begins or ends: the sorted columns of one row."""

    created_at: datetime
    id: UUID

    def __str__(self) -> str:
        return f"{self.created_at.astimezone(UTC).isoformat()}~{self.id}"

    @classmethod
    def read(cls, text: str) -> Key | None:
        """The key that `str(key)` made, None where the text is no such key: it comes out of an address."""
        moment, _, ident = text.partition("~")
        try:
            at = datetime.fromisoformat(moment)
            return cls(at, UUID(ident)) if at.tzinfo is not None else None
        except ValueError:
            return None


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """Which jobs the shared filters leave; what is absent narrows nothing. What people type is `job_filter`'s."""

    states: tuple[JobState, ...] = ()
    provider: str | None = None
    model_id: ModelId | None = None
    person_id: UUID | None = None  # who asked
    purpose: str | None = None  # metadata.destination
    since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class JobRow:
    """One line of the list. `spent_usd` is what all attempts cost as far as it is known; `cost_known` is False where a
    part of it is not (then the sum is none), and None where the ledger has no entry.
    """

    id: UUID
    user_id: UUID
    status: str
    stage: str | None
    runner: str
    job_type: str
    character_id: UUID | None
    character: str
    provider: str
    model: str
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    heartbeat_at: datetime | None
    progress: float | None
    cancel_requested: bool
    error_code: str | None
    error_message: str | None
    retried_from: UUID | None
    spent_usd: Decimal | None
    cost_known: bool | None

    @property
    def state(self) -> JobState:
        """Where it stands."""
        return state_of(self.status, self.stage)

    @property
    def seconds(self) -> float | None:
        """From the ask to the end, in seconds; None while it has not ended."""
        return (self.completed_at - self.created_at).total_seconds() if self.completed_at else None

    @property
    def key(self) -> Key:
        """Its place in the list."""
        return Key(self.created_at, self.id)


@dataclass(frozen=True, kw_only=True)
class Counted:
    """How many; `more` says that there are more than were counted."""

    number: int
    more: bool = False


@dataclass(frozen=True, kw_only=True)
class ModelName:
    """A model that jobs can be filtered by."""

    id: UUID
    provider: str
    model_key: str
    display_name: str


@dataclass(frozen=True, kw_only=True)
class Event:
    """One transition, as the database's own trigger wrote it. `lease` counts the runs."""

    id: int
    at: datetime
    from_status: str | None
    to_status: str
    stage: str | None
    lease: int
    error_code: str | None
    note: str | None


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One paid request; its receipt itself stays hidden, because it may hold addresses that are secrets."""

    id: UUID
    job_id: UUID
    attempt: int
    lease: int
    provider: str
    model_key: str
    submitted_at: datetime
    request_id: str | None
    received_at: datetime | None
    result_expires_at: datetime | None
    outcome: str | None
    settled_at: datetime | None
    settled_by: str | None


@dataclass(frozen=True, kw_only=True)
class CostEntry:
    """One line of the ledger; `amount_usd` None is unknown, never zero."""

    at: datetime
    attempt: int
    kind: str
    amount_usd: Decimal | None
    provider: str
    model_key: str
    units: Mapping[str, object] | None
    note: str | None


@dataclass(frozen=True, kw_only=True)
class LibraryItem:
    """The permanent copy of a job's picture; paths are inside the bucket user-library. Sizes in bytes and pixels."""

    id: UUID
    user_id: UUID
    storage_path: str
    thumbnail_path: str | None
    file_size_bytes: int
    mime_type: str
    width: int | None
    height: int | None
    sha256: str | None
    created_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class PortraitRow:
    """The portrait a job became."""

    id: UUID
    character_id: UUID
    is_primary: bool
    created_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Again:
    """A later job that was asked for because this one failed."""

    id: UUID
    status: str
    stage: str | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Story:
    """Everything that is known of one job. `cut` is True where its oldest events were left out."""

    job: Job
    row: JobRow
    events: Sequence[Event]
    cut: bool
    sent: Sequence[Sent]
    costs: Sequence[CostEntry]
    asset: Asset | None
    library: LibraryItem | None
    portrait: PortraitRow | None
    again: Sequence[Again]
    callbacks: Sequence[Callback] = ()

    @property
    def step(self) -> Step | None:
        """Why it would not move and what recovery would do if it stood still; None where it has ended."""
        if self.job.status.is_final:
            return None
        live = next((one for one in self.sent if one.outcome != "not_accepted"), None)
        return recovery.explain(self.job, self.asset, _as_submission(live) if live else None)

    def silent_for(self, now: datetime) -> float:
        """Seconds since something was last heard of it."""
        heard = self.job.heartbeat_at or self.job.started_at or self.job.created_at
        return max((now - heard).total_seconds(), 0.0)


def state_of(status: str, stage: str | None) -> JobState:
    """The state that a job's two columns say."""
    if status == JobStatus.processing and stage == JobStage.outcome_unknown:
        return JobState.outcome_unknown
    return JobState(status)


# -- the list -----------------------------------------------------------------------------------------------------

_WHERE = """
    (%(since)s::timestamptz IS NULL OR j.created_at >= %(since)s)
    AND (%(model)s::uuid IS NULL OR j.api_model_id = %(model)s)
    AND (%(models)s::uuid[] IS NULL OR j.api_model_id = ANY(%(models)s))
    AND (%(person)s::uuid IS NULL OR j.user_id = %(person)s)
    AND (%(purpose)s::text IS NULL OR (j.metadata ->> 'destination') = %(purpose)s)
"""
LISTED = """
    j.id, j.user_id, j.status, j.stage, j.runner, j.job_type, j.character_id, j.metadata, j.api_model_id, j.created_at,
    j.started_at, j.completed_at, j.heartbeat_at, j.progress, j.cancel_requested, j.error_code, j.error_message,
    j.retried_from
"""
# Names and money are looked up for the few rows that are shown, after the list was cut.
NAMED = """
    SELECT j.id, j.user_id, j.status, j.stage, j.runner, j.job_type, j.character_id,
        coalesce(nullif(c.name, ''), j.metadata ->> 'character_name', j.metadata ->> 'characterName', '') AS character,
        coalesce(p.name, j.metadata ->> 'provider', '') AS provider,
        coalesce(m.display_name, j.metadata ->> 'model_name', j.metadata ->> 'model_key', '') AS model,
        j.created_at, j.started_at, j.completed_at, j.heartbeat_at, j.progress, j.cancel_requested, j.error_code,
        j.error_message, j.retried_from, spent.amount AS spent_usd, spent.known AS cost_known
    FROM listed j
    LEFT JOIN public.characters c ON c.id = j.character_id
    LEFT JOIN public.api_models m ON m.id = j.api_model_id
    LEFT JOIN public.api_providers p ON p.id = m.provider_id
    LEFT JOIN LATERAL (
        SELECT CASE WHEN bool_or(s.is_unknown) THEN NULL ELSE sum(s.amount_usd) END AS amount,
               NOT bool_or(s.is_unknown) AS known
        FROM studio.spend s WHERE s.job_id = j.id
    ) spent ON true
    ORDER BY j.created_at DESC, j.id DESC
"""
_COUNTS = f"""
    SELECT
        (SELECT count(*) FROM (SELECT FROM public.jobs j WHERE {_WHERE}
            AND j.status = 'queued' LIMIT %(most)s) counted) AS queued,
        (SELECT count(*) FROM (SELECT FROM public.jobs j WHERE {_WHERE}
            AND j.status = 'processing' AND j.stage IS DISTINCT FROM 'outcome_unknown'
            LIMIT %(most)s) counted) AS processing,
        (SELECT count(*) FROM (SELECT FROM public.jobs j WHERE {_WHERE}
            AND j.status = 'processing' AND j.stage = 'outcome_unknown' LIMIT %(most)s) counted) AS outcome_unknown,
        (SELECT count(*) FROM (SELECT FROM public.jobs j WHERE {_WHERE}
            AND j.status = 'completed' LIMIT %(most)s) counted) AS completed,
        (SELECT count(*) FROM (SELECT FROM public.jobs j WHERE {_WHERE}
            AND j.status = 'failed' LIMIT %(most)s) counted) AS failed,
        (SELECT count(*) FROM (SELECT FROM public.jobs j WHERE {_WHERE}
            AND j.status = 'cancelled' LIMIT %(most)s) counted) AS cancelled
"""


def counts(conn: Connection, wanted: JobFilter, *, most: int = MOST_COUNTED) -> dict[JobState, Counted]:
    """How many jobs stand in each state, whatever states the filter names; counted to `most` each."""
    values = {**_narrowed(conn, wanted), "most": most + 1}
    row = conn.execute(_COUNTS, values, prepare=False).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return {state: _counted(number, most) for state, number in zip(JobState, row, strict=True)}


def unknown_outcomes(conn: Connection, *, most: int = MOST_COUNTED) -> Counted:
    """Jobs of any age that were sent and have no receipt: a person settles each (SPEC "Failure")."""
    row = conn.execute(
        """
        SELECT count(*) FROM (
            SELECT FROM public.jobs j WHERE j.status = 'processing' AND j.stage = 'outcome_unknown' LIMIT %s) counted
        """,
        (most + 1,),
        prepare=False,
    ).fetchone()
    return _counted(int(row[0]) if row else 0, most)


def models(conn: Connection) -> list[ModelName]:
    """The image models there are, switched off ones too: their old jobs are still there."""
    with conn.cursor(row_factory=class_row(ModelName)) as cursor:
        return cursor.execute(
            """
            SELECT m.id, p.name AS provider, m.model_key, m.display_name
            FROM public.api_models m JOIN public.api_providers p ON p.id = m.provider_id
            WHERE m.modality = 'image'
            ORDER BY p.name, m.display_name, m.model_key, m.id LIMIT 1000
            """
        ).fetchall()


def _counted(number: int, most: int) -> Counted:
    return Counted(number=min(number, most), more=number > most)


def _narrowed(conn: Connection, wanted: JobFilter) -> dict[str, object]:
    """The filter as what indexes know; None where it narrows nothing."""
    models = None if wanted.model_id or wanted.provider is None else _models_of(conn, wanted.provider)
    return {
        "since": wanted.since,
        "model": wanted.model_id,
        "models": models,
        "person": wanted.person_id,
        "purpose": wanted.purpose,
    }


def _models_of(conn: Connection, provider: str) -> list[UUID]:
    rows = conn.execute(
        """
        SELECT m.id FROM public.api_models m JOIN public.api_providers p ON p.id = m.provider_id WHERE p.name = %s
        """,
        (provider,),
    ).fetchall()
    return [row[0] for row in rows]


def error_codes(conn: Connection) -> list[str]:
    """Every error code some job carries, one step in the index each, at most 200."""
    rows = conn.execute(
        """
        WITH RECURSIVE code AS (
            (SELECT j.error_code, 1 AS place FROM public.jobs j WHERE j.error_code IS NOT NULL
             ORDER BY j.error_code LIMIT 1)
            UNION ALL
            SELECT next.error_code, code.place + 1 FROM code CROSS JOIN LATERAL (
                SELECT j.error_code FROM public.jobs j WHERE j.error_code > code.error_code
                ORDER BY j.error_code LIMIT 1) next
            WHERE code.place < 200
        )
        SELECT error_code FROM code
        """
    ).fetchall()
    return [str(row[0]) for row in rows]


# -- one job ------------------------------------------------------------------------------------------------------


def story(conn: Connection, job_id: JobId) -> Story | None:
    """One job from its ask to its end; None where there is none this person may see."""
    job = jobs.get(conn, job_id)
    row = _row(conn, job_id)
    if job is None or row is None:
        return None
    events = _events(conn, job_id)
    return Story(
        job=job,
        row=row,
        events=events[-_MOST_LINES:],
        cut=len(events) > _MOST_LINES,
        sent=_sent(conn, job_id),
        costs=_costs(conn, job_id),
        asset=assets.first_of_job(conn, job_id),
        library=_library(conn, job_id),
        portrait=_portrait(conn, job_id),
        again=_again(conn, job_id),
        callbacks=callbacks.of_job(conn, job_id),
    )


def _row(conn: Connection, job_id: JobId) -> JobRow | None:
    with conn.cursor(row_factory=class_row(JobRow)) as cursor:
        return cursor.execute(
            f"WITH listed AS MATERIALIZED (SELECT {LISTED} FROM public.jobs j WHERE j.id = %s) {NAMED}",
            (job_id,),
        ).fetchone()


def _events(conn: Connection, job_id: JobId) -> list[Event]:
    """The newest, oldest first; one more than is shown, where there are more."""
    with conn.cursor(row_factory=class_row(Event)) as cursor:
        found = cursor.execute(
            """
            SELECT id, at, from_status, to_status, stage, lease, error_code, note FROM studio.job_events
            WHERE job_id = %s ORDER BY id DESC LIMIT %s
            """,
            (job_id, _MOST_LINES + 1),
        ).fetchall()
    return found[::-1]


def _sent(conn: Connection, job_id: JobId) -> list[Sent]:
    with conn.cursor(row_factory=class_row(Sent)) as cursor:
        return cursor.execute(
            """
            SELECT id, job_id, attempt, lease, provider, model_key, submitted_at, request_id, received_at,
                result_expires_at, outcome, settled_at, settled_by
            FROM studio.submissions WHERE job_id = %s ORDER BY attempt LIMIT %s
            """,
            (job_id, _MOST_LINES),
        ).fetchall()


def _costs(conn: Connection, job_id: JobId) -> list[CostEntry]:
    with conn.cursor(row_factory=class_row(CostEntry)) as cursor:
        return cursor.execute(
            """
            SELECT at, attempt, kind, amount_usd, provider, model_key, units, note FROM studio.cost_entries
            WHERE job_id = %s ORDER BY attempt, id LIMIT %s
            """,
            (job_id, _MOST_LINES),
        ).fetchall()


def _library(conn: Connection, job_id: JobId) -> LibraryItem | None:
    with conn.cursor(row_factory=class_row(LibraryItem)) as cursor:
        return cursor.execute(
            """
            SELECT id, user_id, storage_path, thumbnail_path, file_size_bytes, mime_type, width, height, sha256,
                created_at, deleted_at
            FROM public.user_library WHERE job_id = %s
            """,
            (job_id,),
        ).fetchone()


def _portrait(conn: Connection, job_id: JobId) -> PortraitRow | None:
    with conn.cursor(row_factory=class_row(PortraitRow)) as cursor:
        return cursor.execute(
            """
            SELECT id, character_id, is_primary, created_at, deleted_at FROM public.character_portraits
            WHERE job_id = %s
            """,
            (job_id,),
        ).fetchone()


def _again(conn: Connection, job_id: JobId) -> list[Again]:
    with conn.cursor(row_factory=class_row(Again)) as cursor:
        return cursor.execute(
            """
            SELECT j.id, j.status, j.stage, j.created_at FROM public.jobs j
            WHERE j.retried_from = %s ORDER BY j.created_at LIMIT 20
            """,
            (job_id,),
        ).fetchall()


def _as_submission(sent: Sent) -> Submission:
    """As recovery reads it. Whether there is a receipt is all it asks: the receipt itself is not readable here."""
    ticket = Ticket(provider=sent.provider, request_id=sent.request_id or "", model_key=sent.model_key)
    return Submission(
        id=SubmissionId(sent.id),
        job_id=JobId(sent.job_id),
        attempt=sent.attempt,
        lease=sent.lease,
        provider=sent.provider,
        model_key=sent.model_key,
        submitted_at=sent.submitted_at,
        ticket=ticket if sent.received_at else None,
        outcome=sent.outcome,
    )
