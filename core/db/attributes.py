"""public.attribute_images and public.style_images, and the studio's runs, jobs and older versions of their cells."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import RowMaker, class_row

from core.db import Connection
from core.values import (
    AttributePicture,
    Cell,
    JobId,
    JobStage,
    JobStatus,
    ModelId,
    ReviewStatus,
)

COLUMNS = """
    v.id, v.category, v.value, v.style, v.image_url, v.original, v.prompt, v.seed, v.width, v.height,
    v.file_size_bytes, v.job_id, v.cost_usd, v.review_status, v.reviewed_by, v.reviewed_at, v.review_note,
    v.created_at, v.updated_at, studio.is_sketched(v.job_id)
"""


class RunKind(StrEnum):
    """As stored in studio.attribute_runs.kind: whether a picture that stands is replaced."""

    generate = "generate"
    regenerate = "regenerate"


class AskOutcome(StrEnum):
    """What became of one cell that was asked for; the words of studio.ask_attribute_image."""

    asked = "asked"
    asked_before = "asked_before"  # by this same run
    ready = "ready"  # a picture stands
    running = "running"  # somebody's job makes it now, or its paid picture may still come
    cancelled = "cancelled"  # the run was
    limit = "limit"  # the run's spending limit has no room for it
    price_unknown = "price_unknown"  # a limit cannot be kept with a price that is not known
    refused = (
        "refused"  # a budget or the waiting list has no room: never from the database, see core.attributes
    )


@dataclass(frozen=True, kw_only=True)
class CellJob:
    """The newest job of a cell, or one job of a run. `may_come`: it ended, and its paid picture may still come."""

    cell: Cell
    job_id: JobId
    run_id: UUID
    status: JobStatus
    stage: JobStage | None
    progress: float | None
    error_message: str | None
    cancel_requested: bool
    may_come: bool
    asked_at: datetime
    started_at: datetime | None
    completed_at: datetime | None

    @property
    def is_open(self) -> bool:
        """True while it may still bring a picture to the cell: waiting, running, being published, or late."""
        if self.status is JobStatus.completed:
            return self.stage not in {JobStage.saved, JobStage.not_saved}
        return not self.status.is_final or self.may_come


@dataclass(frozen=True, kw_only=True)
class Published:
    """A new picture of a cell as its row will hold it; addresses are `bucket/path`, sizes in pixels and bytes."""

    image_url: str
    original: str
    prompt: str
    seed: int | None
    width: int
    height: int
    file_size: int
    job_id: JobId
    cost_usd: Decimal | None


def as_picture(_cursor: Cursor[Any]) -> RowMaker[AttributePicture]:
    """Row factory for COLUMNS."""

    def make(row: Sequence[Any]) -> AttributePicture:
        return AttributePicture(
            id=row[0],
            cell=Cell(category=row[1], value=row[2], style=row[3]),
            image_url=row[4],
            original=row[5],
            prompt=row[6],
            seed=row[7],
            width=row[8],
            height=row[9],
            file_size=row[10],
            job_id=row[11],
            cost_usd=row[12],
            review_status=ReviewStatus(row[13]),
            reviewed_by=row[14],
            reviewed_at=row[15],
            review_note=row[16],
            created_at=row[17],
            updated_at=row[18],
            is_placeholder=row[19],
        )

    return make


def as_cell_job(_cursor: Cursor[Any]) -> RowMaker[CellJob]:
    """Row factory for the statements below that list a cell's job."""

    def make(row: Sequence[Any]) -> CellJob:
        return CellJob(
            cell=Cell(category=row[0], value=row[1], style=row[2]),
            job_id=JobId(row[3]),
            run_id=row[4],
            status=JobStatus(row[5]),
            stage=JobStage(row[6]) if row[6] in set(JobStage) else None,
            progress=row[7],
            error_message=row[8],
            cancel_requested=row[9],
            may_come=row[10],
            asked_at=row[11],
            started_at=row[12],
            completed_at=row[13],
        )

    return make


# -- what stands ----------------------------------------------------------------------------------------------------


def pictures(conn: Connection) -> list[AttributePicture]:
    """Every published picture, the one to prefer first: approved before others, newest first."""
    with conn.cursor(row_factory=as_picture) as cursor:
        return cursor.execute(
            f"""
            SELECT {COLUMNS} FROM studio.attribute_pictures v
            ORDER BY (v.review_status = 'approved') DESC, v.updated_at DESC, v.id
            """
        ).fetchall()


def newest_jobs(conn: Connection) -> list[CellJob]:
    """The job of each cell that was asked for last."""
    with conn.cursor(row_factory=as_cell_job) as cursor:
        return cursor.execute(
            """
            SELECT DISTINCT ON (a.category, a.value, a.style)
                a.category, a.value, a.style, a.job_id, a.run_id, j.status, j.stage, j.progress, j.error_message,
                j.cancel_requested,
                j.status IN ('failed', 'cancelled') AND EXISTS (
                    SELECT FROM studio.submissions s WHERE s.job_id = j.id AND s.outcome IS NULL AND s.received_at IS NOT NULL),
                a.asked_at, j.started_at, j.completed_at
            FROM studio.attribute_jobs a JOIN public.jobs j ON j.id = a.job_id
            ORDER BY a.category, a.value, a.style, a.asked_at DESC
            """
        ).fetchall()


def jobs_of_run(conn: Connection, run_id: UUID) -> list[CellJob]:
    """Every job of a run, in the order they were asked for."""
    with conn.cursor(row_factory=as_cell_job) as cursor:
        return cursor.execute(
            """
            SELECT a.category, a.value, a.style, a.job_id, a.run_id, j.status, j.stage, j.progress, j.error_message,
                j.cancel_requested,
                j.status IN ('failed', 'cancelled') AND EXISTS (
                    SELECT FROM studio.submissions s WHERE s.job_id = j.id AND s.outcome IS NULL AND s.received_at IS NOT NULL),
                a.asked_at, j.started_at, j.completed_at
            FROM studio.attribute_jobs a JOIN public.jobs j ON j.id = a.job_id
            WHERE a.run_id = %s ORDER BY a.asked_at, a.job_id
            """,
            (run_id,),
        ).fetchall()


def models_of_run(conn: Connection, run_id: UUID) -> list[tuple[ModelId, str]]:
    """The models a run uses, each with its provider's name."""
    rows = conn.execute(
        """
        SELECT DISTINCT j.api_model_id, j.metadata ->> 'provider'
        FROM studio.attribute_jobs a JOIN public.jobs j ON j.id = a.job_id WHERE a.run_id = %s
        """,
        (run_id,),
    ).fetchall()
    return [(ModelId(row[0]), str(row[1])) for row in rows if row[0] is not None]


def spent_by_run(conn: Connection, run_id: UUID) -> tuple[Decimal, int]:
    """What a run cost as far as it is known (estimates where nothing better is), and how many amounts are unknown."""
    row = conn.execute(
        """
        SELECT coalesce(sum(s.amount_usd), 0), count(*) FILTER (WHERE s.is_unknown)
        FROM studio.attribute_jobs a JOIN studio.spend s ON s.job_id = a.job_id WHERE a.run_id = %s
        """,
        (run_id,),
    ).fetchone()
    return (row[0], int(row[1])) if row else (Decimal(0), 0)


# -- asking, as the person of the connection -----------------------------------------------------------------------


def prices(
    conn: Connection, model_ids: Sequence[ModelId], width: int, height: int
) -> dict[UUID, Decimal | None]:
    """What one image of that size counts for against a run's limit with each model; None where it is not known."""
    rows = conn.execute(
        "SELECT m.id, studio.price_held(m.id, %(width)s, %(height)s) FROM unnest(%(ids)s::uuid[]) AS m(id)",
        {"ids": list(model_ids), "width": width, "height": height},
    ).fetchall()
    return {row[0]: row[1] for row in rows}


def begin_run(conn: Connection, run_id: UUID, kind: RunKind, limit_usd: Decimal | None) -> None:
    """Begin a run, once for an id. Raises NotAllowed, BadRequest, Conflict (the id was begun otherwise)."""
    conn.execute("SELECT studio.begin_attribute_run(%s, %s, %s)", (run_id, kind, limit_usd))


def ask(
    conn: Connection,
    run_id: UUID,
    cell: Cell,
    *,
    aliases: Sequence[str],
    model_id: ModelId,
    prompt: str,
    metadata: Mapping[str, object],
    width: int,
    height: int,
    max_waiting: int,
) -> tuple[JobId | None, AskOutcome]:
    """One cell of a run: job, estimate and queue entry at once, or why not.

    Raises NotAllowed, NotFound, NoSuchModel (as BadRequest), BudgetSpent, TooMany.
    """
    row = conn.execute(
        "SELECT job_id, outcome FROM studio.ask_attribute_image(%s, %s, %s, %s, %s::text[], %s, %s, %s, %s, %s, %s)",
        (
            run_id,
            cell.category,
            cell.value,
            cell.style,
            list(aliases),
            model_id,
            prompt,
            json.dumps(metadata),
            width,
            height,
            max_waiting,
        ),
    ).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return (JobId(row[0]) if row[0] else None), AskOutcome(row[1])


def cancel_cell(conn: Connection, job_id: JobId) -> JobStatus:
    """Cancel one cell's job, or ask it to stop; its status afterwards. Raises NotAllowed, NotFound."""
    row = conn.execute("SELECT studio.cancel_attribute_image(%s)", (job_id,)).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return JobStatus(row[0])


def cancel_run(conn: Connection, run_id: UUID) -> tuple[int, int]:
    """Cancel a run; how many of its jobs are cancelled, and how many were sent already. As `cancel_cell`."""
    row = conn.execute("SELECT cancelled, sent FROM studio.cancel_attribute_run(%s)", (run_id,)).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return int(row[0]), int(row[1])


def review(
    conn: Connection, cell: Cell, names: Sequence[str], *, image_url: str, verdict: ReviewStatus, note: str
) -> int:
    """What product says of the picture at `image_url`; how many rows show it under any of `names`, the cell's own first.

    Raises NotAllowed, NotFound, Conflict (a newer picture stands there), BadRequest.
    """
    row = conn.execute(
        "SELECT studio.review_attribute_image(%s, %s::text[], %s, %s, %s, %s)",
        (cell.category, list(names), cell.style, image_url, verdict.value, note),
    ).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return int(row[0])


# -- publishing, as a service ---------------------------------------------------------------------------------------


def cell_of_job(conn: Connection, job_id: JobId) -> tuple[Cell, bool] | None:
    """The cell a job was asked for, and whether it replaces what stands there; None for any other job."""
    row = conn.execute(
        "SELECT category, value, style, replaces FROM studio.attribute_jobs WHERE job_id = %s", (job_id,)
    ).fetchone()
    return (Cell(category=row[0], value=row[1], style=row[2]), bool(row[3])) if row else None


def lock_cell(conn: Connection, cell: Cell) -> None:
    """One hand at a cell at a time, until the transaction ends."""
    conn.execute("SELECT studio.lock_attribute_cell(%s, %s, %s)", (cell.category, cell.value, cell.style))


def standing(conn: Connection, cell: Cell, names: Sequence[str]) -> list[AttributePicture]:
    """The rows that count for a cell, under any of `names` in any case; the cell's own name first."""
    with conn.cursor(row_factory=as_picture) as cursor:
        return cursor.execute(
            f"""
            SELECT {COLUMNS} FROM studio.attribute_pictures v
            WHERE lower(btrim(v.category)) = lower(%(category)s) AND lower(btrim(v.style)) = lower(%(style)s)
              AND lower(btrim(v.value)) = ANY(SELECT lower(btrim(n)) FROM unnest(%(names)s::text[]) n)
            ORDER BY (v.value = %(value)s) DESC, (v.review_status = 'approved') DESC, v.updated_at DESC
            """,
            {"category": cell.category, "style": cell.style, "value": cell.value, "names": list(names)},
        ).fetchall()


def insert(
    conn: Connection, cell: Cell, name: str, picture: Published, *, cost_usd: Decimal | None
) -> UUID | None:
    """The row of a cell under one of its names, if there is none; None where another writer was faster."""
    statement = _INSERT_STYLE if cell.is_style else _INSERT_ATTRIBUTE
    row = conn.execute(statement, _values(cell, picture) | {"name": name, "cost": cost_usd}).fetchone()
    return row[0] if row else None


def replace(
    conn: Connection, cell: Cell, row_id: UUID, picture: Published, *, cost_usd: Decimal | None
) -> None:
    """A newer picture in a row that stands; its review begins anew."""
    statement = _REPLACE_STYLE if cell.is_style else _REPLACE_ATTRIBUTE
    conn.execute(statement, _values(cell, picture) | {"id": row_id, "cost": cost_usd})


def keep_version(conn: Connection, old: AttributePicture) -> None:
    """The picture of a row before it is replaced, with its review, once."""
    conn.execute(
        """
        INSERT INTO studio.attribute_image_versions
            (category, value, style, image_url, original, prompt, seed, width, height, file_size_bytes, job_id,
             cost_usd, review_status, reviewed_by, reviewed_at, review_note, made_at, why)
        SELECT v.category, v.value, v.style, v.image_url, v.original, v.prompt, v.seed, v.width, v.height,
               v.file_size_bytes, v.job_id, v.cost_usd, v.review_status, v.reviewed_by, v.reviewed_at, v.review_note,
               v.updated_at, 'replaced'
        FROM studio.attribute_pictures v WHERE v.id = %s AND v.category = %s
        ON CONFLICT (category, value, style, image_url) DO NOTHING
        """,
        (old.id, old.cell.category),
    )


def keep_unshown(conn: Connection, cell: Cell, picture: Published) -> None:
    """A paid picture whose place was taken meanwhile: kept beside it, once."""
    conn.execute(
        """
        INSERT INTO studio.attribute_image_versions
            (category, value, style, image_url, original, prompt, seed, width, height, file_size_bytes, job_id,
             cost_usd, review_status, made_at, why)
        VALUES (%(category)s, %(value)s, %(style)s, %(image)s, %(original)s, %(prompt)s, %(seed)s, %(width)s,
                %(height)s, %(size)s, %(job)s, %(cost)s, 'pending', now(), 'not_shown')
        ON CONFLICT (category, value, style, image_url) DO NOTHING
        """,
        _values(cell, picture) | {"cost": picture.cost_usd},
    )


def _values(cell: Cell, picture: Published) -> dict[str, object]:
    return {
        "category": cell.category,
        "value": cell.value,
        "style": cell.style,
        "image": picture.image_url,
        "original": picture.original,
        "prompt": picture.prompt,
        "seed": picture.seed,
        "width": picture.width,
        "height": picture.height,
        "size": picture.file_size,
        "job": picture.job_id,
    }


_INSERT_ATTRIBUTE = """
    INSERT INTO public.attribute_images
        (category, value, style, image_url, original, prompt, seed, width, height, file_size_bytes, job_id, cost_usd)
    VALUES (%(category)s, %(name)s, %(style)s, %(image)s, %(original)s, %(prompt)s, %(seed)s, %(width)s, %(height)s,
            %(size)s, %(job)s, %(cost)s)
    ON CONFLICT (category, value, style) DO NOTHING RETURNING id
"""
_INSERT_STYLE = """
    INSERT INTO public.style_images
        (style, image_url, original, prompt, seed, width, height, file_size_bytes, job_id, cost_usd)
    VALUES (%(name)s, %(image)s, %(original)s, %(prompt)s, %(seed)s, %(width)s, %(height)s, %(size)s, %(job)s, %(cost)s)
    ON CONFLICT (style) DO NOTHING RETURNING id
"""
_REPLACE_ATTRIBUTE = """
    UPDATE public.attribute_images
    SET image_url = %(image)s, original = %(original)s, prompt = %(prompt)s, seed = %(seed)s, width = %(width)s,
        height = %(height)s, file_size_bytes = %(size)s, job_id = %(job)s, cost_usd = %(cost)s,
        review_status = 'pending', reviewed_by = NULL, reviewed_at = NULL, review_note = NULL, updated_at = now()
    WHERE id = %(id)s
"""
_REPLACE_STYLE = """
    UPDATE public.style_images
    SET image_url = %(image)s, original = %(original)s, prompt = %(prompt)s, seed = %(seed)s, width = %(width)s,
        height = %(height)s, file_size_bytes = %(size)s, job_id = %(job)s, cost_usd = %(cost)s,
        review_status = 'pending', reviewed_by = NULL, reviewed_at = NULL, review_note = NULL, updated_at = now()
    WHERE id = %(id)s
"""


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A row of studio.attribute_runs."""

    id: UUID
    asked_by: UUID
    kind: str
    limit_usd: Decimal | None
    asked_at: datetime
    cancelled_at: datetime | None


def run(conn: Connection, run_id: UUID) -> RunRow | None:
    """One run, None where there is none this connection may see."""
    with conn.cursor(row_factory=class_row(RunRow)) as cursor:
        return cursor.execute(
            "SELECT id, asked_by, kind, limit_usd, asked_at, cancelled_at FROM studio.attribute_runs WHERE id = %s",
            (run_id,),
        ).fetchone()
