"""How complete the attribute images are, what their runs cost, and which versions stood before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from psycopg.rows import class_row

from core.attributes import CellState, CellStatus
from core.db import Connection
from core.values import Cell, ReviewStatus


class Standing(StrEnum):
    """Where a cell stands as product sees it: its state, and what was said of the picture that is there."""

    not_required = "not_required"
    missing = "missing"
    queued = "queued"
    running = "running"
    failed = "failed"
    unverified = "unverified"
    approved = "approved"
    rejected = "rejected"


STANDING_WORDS: Mapping[Standing, str] = {
    Standing.not_required: "Not required",
    Standing.missing: "Missing",
    Standing.queued: "Queued",
    Standing.running: "Being made",
    Standing.failed: "Failed",
    Standing.unverified: "To review",
    Standing.approved: "Approved",
    Standing.rejected: "Rejected",
}
_REVIEWED = {
    ReviewStatus.pending: Standing.unverified,
    ReviewStatus.approved: Standing.approved,
    ReviewStatus.rejected: Standing.rejected,
}


def standing(one: CellStatus) -> Standing:
    """A cell's standing: what is on its way comes before what stands there meanwhile."""
    if one.state is CellState.ready and one.picture is not None:
        return _REVIEWED[one.picture.review_status]
    return Standing(one.state.value) if one.state is not CellState.ready else Standing.missing


@dataclass(frozen=True, kw_only=True)
class Complete:
    """How complete one category or style is: of `required` cells, `present` have a picture that is no placeholder."""

    name: str
    required: int
    present: int
    approved: int
    unverified: int
    rejected: int


def complete(cells: Iterable[CellStatus], *, by_style: bool) -> list[Complete]:
    """How complete each category is, or each style; in the order of the cells, without what is not required."""
    groups: dict[str, list[CellStatus]] = {}
    for one in cells:
        if one.state is not CellState.not_required:
            groups.setdefault(one.cell.style if by_style else one.cell.category, []).append(one)
    return [_complete(name, found) for name, found in groups.items()]


def _complete(name: str, found: list[CellStatus]) -> Complete:
    there = [one.picture.review_status for one in found if one.picture and not _gives_way(one)]
    return Complete(
        name=name,
        required=len(found),
        present=len(there),
        approved=there.count(ReviewStatus.approved),
        unverified=there.count(ReviewStatus.pending),
        rejected=there.count(ReviewStatus.rejected),
    )


def _gives_way(one: CellStatus) -> bool:
    """True where a placeholder is shown in a cell that still counts as missing."""
    return one.picture is not None and one.picture.is_placeholder and one.state is not CellState.ready


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Published pictures of one category in one style by review; a row under an older name counts by itself."""

    category: str
    style: str
    pending: int
    approved: int
    rejected: int
    cost_usd: Decimal | None  # None: of none is it known


@dataclass(frozen=True, kw_only=True)
class RunLine:
    """One run: who asked, what came of it. `spent_usd` leaves out `unknown_costs` amounts that nobody knows."""

    id: UUID
    asked_by: UUID
    kind: str
    limit_usd: Decimal | None
    asked_at: datetime
    cancelled_at: datetime | None
    asked: int
    done: int
    failed: int
    cancelled: int
    spent_usd: Decimal
    unknown_costs: int


@dataclass(frozen=True, kw_only=True)
class Version:
    """A picture that stood before, or that was paid for and never shown (`why`); addresses are `bucket/path`."""

    id: UUID
    image_url: str
    original: str | None
    job_id: UUID | None
    cost_usd: Decimal | None
    review_status: str
    review_note: str | None
    made_at: datetime
    kept_at: datetime
    why: str


def coverage(conn: Connection) -> list[Coverage]:
    """Counts by category and style."""
    with conn.cursor(row_factory=class_row(Coverage)) as cursor:
        return cursor.execute(
            """
            SELECT v.category, v.style, count(*) FILTER (WHERE v.review_status = 'pending') AS pending,
                count(*) FILTER (WHERE v.review_status = 'approved') AS approved,
                count(*) FILTER (WHERE v.review_status = 'rejected') AS rejected, sum(v.cost_usd) AS cost_usd
            FROM studio.attribute_pictures v GROUP BY v.category, v.style ORDER BY v.category, v.style
            """
        ).fetchall()


def runs(conn: Connection, *, limit: int = 50) -> list[RunLine]:
    """The newest runs."""
    with conn.cursor(row_factory=class_row(RunLine)) as cursor:
        return cursor.execute(
            """
            SELECT r.id, r.asked_by, r.kind, r.limit_usd, r.asked_at, r.cancelled_at, made.asked, made.done,
                made.failed, made.cancelled, cost.spent_usd, cost.unknown_costs
            FROM studio.attribute_runs r
            CROSS JOIN LATERAL (
                SELECT count(*) AS asked, count(*) FILTER (WHERE j.stage = 'saved') AS done,
                    count(*) FILTER (WHERE j.status = 'failed' OR j.stage = 'not_saved') AS failed,
                    count(*) FILTER (WHERE j.status = 'cancelled') AS cancelled
                FROM studio.attribute_jobs a JOIN public.jobs j ON j.id = a.job_id WHERE a.run_id = r.id) made
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(s.amount_usd), 0) AS spent_usd, count(*) FILTER (WHERE s.is_unknown) AS unknown_costs
                FROM studio.attribute_jobs a JOIN studio.spend s ON s.job_id = a.job_id WHERE a.run_id = r.id) cost
            ORDER BY r.asked_at DESC, r.id LIMIT %s
            """,
            (limit,),
        ).fetchall()


def versions(conn: Connection, cell: Cell) -> list[Version]:
    """What stood in a cell before, newest first; under its own name only."""
    with conn.cursor(row_factory=class_row(Version)) as cursor:
        return cursor.execute(
            """
            SELECT v.id, v.image_url, v.original, v.job_id, v.cost_usd, v.review_status, v.review_note, v.made_at,
                v.kept_at, v.why
            FROM studio.attribute_image_versions v
            WHERE v.category = %s AND v.value = %s AND v.style = %s ORDER BY v.kept_at DESC, v.id LIMIT 200
            """,
            (cell.category, cell.value, cell.style),
        ).fetchall()


@dataclass(frozen=True, kw_only=True)
class JobLine:
    """One job of a cell. `spent_usd` is None where it is not known; `has_cost` False where nothing was written yet."""

    job_id: UUID
    run_id: UUID
    asked_by: UUID
    asked_at: datetime
    completed_at: datetime | None
    status: str
    stage: str | None
    error_message: str | None
    model: str
    provider: str
    spent_usd: Decimal | None
    has_cost: bool


def jobs_of_cell(conn: Connection, cell: Cell) -> list[JobLine]:
    """The jobs that were to make a cell's picture, newest first, at most 50."""
    with conn.cursor(row_factory=class_row(JobLine)) as cursor:
        return cursor.execute(
            """
            SELECT a.job_id, a.run_id, a.asked_by, a.asked_at, j.completed_at, j.status, j.stage, j.error_message,
                coalesce(j.metadata ->> 'model_name', j.metadata ->> 'model_key', '') AS model,
                coalesce(j.metadata ->> 'provider', '') AS provider, cost.spent_usd, cost.has_cost
            FROM studio.attribute_jobs a JOIN public.jobs j ON j.id = a.job_id
            CROSS JOIN LATERAL (
                SELECT CASE WHEN bool_or(s.is_unknown) THEN NULL ELSE sum(s.amount_usd) END AS spent_usd,
                    count(*) > 0 AS has_cost
                FROM studio.spend s WHERE s.job_id = a.job_id) cost
            WHERE a.category = %s AND a.value = %s AND a.style = %s ORDER BY a.asked_at DESC, a.job_id LIMIT 50
            """,
            (cell.category, cell.value, cell.style),
        ).fetchall()
