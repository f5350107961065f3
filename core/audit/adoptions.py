"""What adopting the platform's database found and what became of it, and how the looks at every row stand (SPEC
"Adoption").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from psycopg.rows import class_row

from core.audit.jobs import MOST_COUNTED, Counted
from core.db import Connection

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """One adoption. `rows_before` counts rows by table, `corrections` by name what was changed, `found` open findings by
    rule at its end; `ended_at` None: it stopped on its way, and the next migration goes on.
    """

    id: int
    began_at: datetime
    ended_at: datetime | None
    rows_before: Mapping[str, int]
    corrections: Mapping[str, int]
    found: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Became:
    """What became of the findings of one rule that an adoption made: each counted to a bound."""

    rule: str
    mended: Counted
    set_aside: Counted
    open: Counted


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One look at every row; `expected` is an estimate of how many there are."""

    id: UUID
    asked_by: UUID | None
    asked_at: datetime
    started_at: datetime | None
    beat_at: datetime | None
    finished_at: datetime | None
    expected: int
    looked_at: int


def latest(conn: Connection) -> Adoption | None:
    """The last adoption of this database, None where it was the studio's own from the start."""
    with conn.cursor(row_factory=class_row(Adoption)) as cursor:
        return cursor.execute(
            """
            SELECT id, began_at, ended_at, rows_before, corrections, found FROM studio.adoptions
            ORDER BY id DESC LIMIT 1
            """
        ).fetchone()


def became(conn: Connection, of: Adoption, *, most: int = MOST_COUNTED) -> list[Became]:
    """What became of an adoption's findings, rule by rule, each counted to `most`; the most that are open come first."""
    rows = conn.execute(
        """
        WITH RECURSIVE known AS (
            (SELECT f.rule FROM studio.findings f ORDER BY f.rule LIMIT 1)
            UNION ALL
            SELECT (SELECT f.rule FROM studio.findings f WHERE f.rule > known.rule ORDER BY f.rule LIMIT 1)
            FROM known WHERE known.rule IS NOT NULL
        )
        SELECT known.rule,
            (SELECT count(*) FROM (SELECT FROM studio.findings f WHERE f.rule = known.rule AND f.mended_at IS NOT NULL
                AND f.first_seen >= %(began)s AND f.first_seen < %(ended)s LIMIT %(most)s) c) AS mended,
            (SELECT count(*) FROM (SELECT FROM studio.findings f WHERE f.rule = known.rule AND f.mended_at IS NULL
                AND f.set_aside_at IS NOT NULL AND f.first_seen >= %(began)s AND f.first_seen < %(ended)s
                LIMIT %(most)s) c) AS aside,
            (SELECT count(*) FROM (SELECT FROM studio.findings f WHERE f.rule = known.rule AND f.mended_at IS NULL
                AND f.set_aside_at IS NULL AND f.first_seen >= %(began)s AND f.first_seen < %(ended)s
                LIMIT %(most)s) c) AS open
        FROM known WHERE known.rule IS NOT NULL ORDER BY open DESC, known.rule
        """,
        {"began": of.began_at, "ended": of.ended_at or _NEVER, "most": most + 1},
        prepare=False,
    ).fetchall()
    return [
        Became(
            rule=rule,
            mended=_counted(mended, most),
            set_aside=_counted(aside, most),
            open=_counted(still, most),
        )
        for rule, mended, aside, still in rows
        if mended or aside or still
    ]


def sweeps(conn: Connection, *, limit: int = 2) -> Sequence[Sweep]:
    """The last looks at every row, the newest first."""
    with conn.cursor(row_factory=class_row(Sweep)) as cursor:
        return cursor.execute(
            """
            SELECT id, asked_by, asked_at, started_at, beat_at, finished_at, expected, looked_at FROM studio.row_sweeps
            ORDER BY asked_at DESC, id DESC LIMIT %s
            """,
            (limit,),
        ).fetchall()


def _counted(number: int, most: int) -> Counted:
    return Counted(number=min(number, most), more=number > most)
