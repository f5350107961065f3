"""How complete the attribute images are, what their runs cost, and which versions stood before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from psycopg.rows import class_row

from core.db import Connection
from core.values import Cell


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
