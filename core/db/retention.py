"""What is old enough to go, for how long it is kept, and the record that it went (SPEC "Data": the bin after 7 days; the
ledger never). What counts and what goes is told by the same condition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from core.db import READER_SECONDS, Connection
from core.storage import Address


@dataclass(frozen=True, kw_only=True)
class Tombstone:
    """A removed row that is past its days. `names` are its columns with pictures, as they stand there."""

    id: UUID
    job_id: UUID | None
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A row of studio.retention_runs."""

    id: UUID
    kind: str
    began_at: datetime
    ended_at: datetime | None
    looked_at: int
    gone: int
    kept: int
    trouble: str | None


@dataclass(frozen=True, kw_only=True)
class KeptRow:
    """A row of studio.kept_days. `days` None: the setting or the product's own number counts."""

    kind: str
    least: int
    most: int
    days: int | None


_PAST: Mapping[str, tuple[LiteralString, ...]] = MappingProxyType(
    {
        "bin": (
            "public.character_portraits WHERE deleted_at < now() - %(kept)s::interval",
            "public.user_library WHERE deleted_at < now() - %(kept)s::interval",
        ),
        "history": (
            "studio.health_history WHERE at < now() - %(kept)s::interval",
            "studio.retention_runs WHERE began_at < now() - %(kept)s::interval",
            "studio.workers WHERE coalesce(stopped_at, beat_at) < now() - %(kept)s::interval",
        ),
        "messages": ("studio.health_notices WHERE made_at < now() - %(kept)s::interval",),
        "queue_log": ("studio_queue.pgqueuer_log WHERE created < now() - %(kept)s::interval",),
    }
)
"""By kind: the rows that are past their days."""


def kept_rows(conn: Connection) -> list[KeptRow]:
    """What may be said of each kind, and what was."""
    with conn.cursor(row_factory=class_row(KeptRow)) as cursor:
        return cursor.execute("SELECT kind, least, most, days FROM studio.kept_days ORDER BY kind").fetchall()


def stored_days(conn: Connection, kind: str) -> int | None:
    """The days an admin set for a kind; None where none are set."""
    row = conn.execute("SELECT days FROM studio.kept_days WHERE kind = %s", (kind,)).fetchone()
    return row[0] if row else None


def set_days(conn: Connection, kind: str, *, seen: int | None, days: int | None, why: str) -> bool:
    """Write the days of a kind where they stand as `seen`; None: none. False where they stood so already.

    Raises NotAllowed, NotFound, BadRequest (days, why), Conflict.
    """
    row = conn.execute(
        "SELECT studio.set_kept_days(%s, %s::integer, %s::integer, %s)", (kind, seen, days, why)
    ).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return bool(row[0])


def hurry(conn: Connection) -> None:
    """What this transaction asks is stopped after 5 s (QueryTimedOut): somebody waits for it on a page."""
    conn.execute("SELECT set_config('statement_timeout', %s, true)", (f"{READER_SECONDS}s",))


def count_past(conn: Connection, kind: str, *, kept: timedelta, most: int) -> int:
    """How many rows of a kind are older than `kept`, counted to `most`."""
    left = most
    for rows in _PAST[kind]:
        found = conn.execute(
            f"SELECT count(*) FROM (SELECT FROM {rows} LIMIT %(left)s) counted",
            {"kept": kept, "left": left},
        ).fetchone()
        left -= int(found[0]) if found else 0
    return most - left


def forget_past(conn: Connection, kind: str, *, kept: timedelta) -> int:
    """Delete the rows of a kind that need no second look; how many."""
    return sum(conn.execute(f"DELETE FROM {rows}", {"kept": kept}).rowcount for rows in _PAST[kind])


def portraits_past_bin(conn: Connection, *, kept: timedelta, limit: int) -> list[UUID]:
    """Removed portraits older than `kept`, the oldest first."""
    return [
        row[0]
        for row in conn.execute(
            f"SELECT id FROM {_PAST['bin'][0]} ORDER BY deleted_at, id LIMIT %(limit)s",
            {"kept": kept, "limit": limit},
        ).fetchall()
    ]


def items_past_bin(conn: Connection, *, kept: timedelta, limit: int) -> list[UUID]:
    """Removed library items older than `kept`, the oldest first."""
    return [
        row[0]
        for row in conn.execute(
            f"SELECT id FROM {_PAST['bin'][1]} ORDER BY deleted_at, id LIMIT %(limit)s",
            {"kept": kept, "limit": limit},
        ).fetchall()
    ]


def take_portrait(conn: Connection, portrait: UUID, *, kept: timedelta) -> Tombstone | None:
    """Delete a removed portrait for good; None where it was taken back meanwhile. That it was removed on purpose is
    remembered by its job (studio.removed_portraits).
    """
    row = conn.execute(
        """
        DELETE FROM public.character_portraits WHERE id = %s AND deleted_at < now() - %s::interval
        RETURNING id, job_id, image_url, thumbnail_url
        """,
        (portrait, kept),
    ).fetchone()
    return Tombstone(id=row[0], job_id=row[1], names=_said(row[2:])) if row else None


def take_item(conn: Connection, item: UUID, *, kept: timedelta) -> Tombstone | None:
    """Delete a removed library item for good; None where it was taken back meanwhile. Its job remembers that, and its fresh result counts as
    discarded from then on, where no portrait shows it.
    """
    row = conn.execute(
        r"""
        DELETE FROM public.user_library WHERE id = %s AND deleted_at < now() - %s::interval
        RETURNING id, coalesce(job_id, studio.job_of_path(storage_path)), storage_path,
            coalesce(thumbnail_path, regexp_replace(storage_path, '[.][A-Za-z0-9]+$', '') || '.thumb.webp'),
            deleted_at, deleted_by
        """,
        (item, kept),
    ).fetchone()
    if row is None:
        return None
    if row[1] is not None:
        conn.execute(
            "INSERT INTO studio.removed_items (job_id) VALUES (%s) ON CONFLICT DO NOTHING", (row[1],)
        )
    conn.execute(
        """
        UPDATE public.workspace_assets a SET deleted_at = %(at)s, deleted_by = %(by)s
        WHERE a.job_id = %(job)s AND a.deleted_at IS NULL AND a.cleaned_at IS NULL
          AND NOT EXISTS (SELECT FROM public.user_library l WHERE l.job_id = a.job_id)
          AND NOT EXISTS (SELECT FROM public.character_portraits p WHERE p.job_id = a.job_id AND p.deleted_at IS NULL)
        """,
        {"job": row[1], "at": row[4], "by": row[5]},
    )
    return Tombstone(id=row[0], job_id=row[1], names=_said(row[2:4]))


def _said(values: Sequence[object]) -> tuple[str, ...]:
    return tuple(str(one) for one in values if one)


# -- objects that go ---------------------------------------------------------------------------------------------------


def let_go(conn: Connection, addresses: Sequence[Address]) -> None:
    """These objects have lost their last row in this transaction."""
    for one in addresses:
        conn.execute(
            "INSERT INTO studio.going_objects (bucket, path) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (one.bucket, one.path),
        )


def going(conn: Connection, *, limit: int) -> list[Address]:
    """Objects that are to go, the oldest first."""
    rows = conn.execute(
        "SELECT bucket, path FROM studio.going_objects ORDER BY since, bucket, path LIMIT %s", (limit,)
    ).fetchall()
    return [Address(*row) for row in rows]


def forget(conn: Connection, one: Address) -> None:
    """An object is gone, or a row names it again."""
    conn.execute("DELETE FROM studio.going_objects WHERE bucket = %s AND path = %s", (one.bucket, one.path))


# -- runs --------------------------------------------------------------------------------------------------------------


def begin(conn: Connection, kind: str) -> UUID:
    """A run has begun."""
    row = conn.execute(
        "INSERT INTO studio.retention_runs (kind) VALUES (%s) RETURNING id", (kind,)
    ).fetchone()
    assert row is not None  # noqa: S101 - an INSERT returns its row
    return row[0]


def end(conn: Connection, run: UUID, *, looked_at: int, gone: int, kept: int, trouble: str | None) -> None:
    """What a run did, and why it stopped early."""
    conn.execute(
        """
        UPDATE studio.retention_runs SET ended_at = clock_timestamp(), looked_at = %s, gone = %s, kept = %s, trouble = %s
        WHERE id = %s
        """,
        (looked_at, gone, kept, trouble, run),
    )


def last_runs(conn: Connection) -> list[RunRow]:
    """The last run of each kind."""
    with conn.cursor(row_factory=class_row(RunRow)) as cursor:
        return cursor.execute(
            """
            SELECT DISTINCT ON (kind) id, kind, began_at, ended_at, looked_at, gone, kept, trouble
            FROM studio.retention_runs ORDER BY kind, began_at DESC
            """
        ).fetchall()
