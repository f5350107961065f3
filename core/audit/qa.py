"""QA samples: which there are, what is in one, what may be seen of its verdicts, and how far everybody is.

Row-level security keeps a sample blind: what others said of a portrait is read only by who has judged it, or once the
sample is closed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import RowMaker, class_row

from core.db import Connection

MOST_SAMPLES = 100


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """One provider, style and week as it was drawn: `taken` of `population` portraits. `week` is its Monday, UTC."""

    provider: str
    style: str
    week: date
    population: int
    taken: int


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A sample as it was drawn. `judged` counts this person's own verdicts, `people` everybody who gave one."""

    id: UUID
    title: str
    seed: int
    since: datetime
    until: datetime
    per_stratum: int
    size: int
    strata: tuple[Stratum, ...]
    drawn_by: UUID
    drawn_at: datetime
    closed_at: datetime | None
    judged: int
    people: int

    @property
    def is_open(self) -> bool:
        """True while verdicts are taken."""
        return self.closed_at is None


@dataclass(frozen=True, kw_only=True)
class SampleItem:
    """One portrait of a sample, in the order it is shown. Addresses are None once the portrait was deleted; the reference
    also where no person chose it.
    """

    place: int
    portrait_id: UUID
    job_id: UUID | None
    character_id: UUID
    provider: str
    style: str
    week: date
    character: str | None
    owner: UUID | None
    image_url: str | None
    thumbnail_url: str | None
    description: str | None = field(repr=False)
    appearance_tags: tuple[str, ...] = field(repr=False)
    reference_image_url: str | None


@dataclass(frozen=True, kw_only=True)
class VerdictRow:
    """What one person said of one portrait; `first_verdict` is what they said before they could see others'."""

    portrait_id: UUID
    person: UUID
    verdict: str
    first_verdict: str
    note: str | None = field(repr=False)
    given_at: datetime
    changed_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Judged:
    """How many portraits of a sample a person has judged."""

    person: UUID
    judged: int
    last_at: datetime


def _as_sample(_cursor: Cursor[Any]) -> RowMaker[Sample]:
    def make(row: Any) -> Sample:
        strata = tuple(
            Stratum(
                provider=one["provider"],
                style=one["style"],
                week=date.fromisoformat(one["week"]),
                population=one["population"],
                taken=one["taken"],
            )
            for one in row[7]
        )
        return Sample(
            id=row[0],
            title=row[1],
            seed=row[2],
            since=row[3],
            until=row[4],
            per_stratum=row[5],
            size=row[6],
            strata=strata,
            drawn_by=row[8],
            drawn_at=row[9],
            closed_at=row[10],
            judged=row[11],
            people=row[12],
        )

    return make


_SAMPLE = """
    SELECT s.id, s.title, s.seed, s.since, s.until, s.per_stratum, s.size, s.strata, s.drawn_by, s.drawn_at,
        s.closed_at, coalesce(sum(g.judged) FILTER (WHERE g.person = auth.uid()), 0)::integer,
        count(g.person)::integer
    FROM studio.qa_samples s LEFT JOIN LATERAL studio.qa_progress(s.id) g ON true
"""


def samples(conn: Connection) -> list[Sample]:
    """The newest samples, at most 100."""
    with conn.cursor(row_factory=_as_sample) as cursor:
        return cursor.execute(
            f"{_SAMPLE} GROUP BY s.id ORDER BY s.drawn_at DESC, s.id LIMIT %s", (MOST_SAMPLES,)
        ).fetchall()


def sample(conn: Connection, sample_id: UUID) -> Sample | None:
    """One sample, None where there is none this person may see."""
    with conn.cursor(row_factory=_as_sample) as cursor:
        return cursor.execute(f"{_SAMPLE} WHERE s.id = %s GROUP BY s.id", (sample_id,)).fetchone()


def items(conn: Connection, sample_id: UUID) -> list[SampleItem]:
    """The portraits of a sample in the order they are shown."""
    with conn.cursor(row_factory=class_row(SampleItem)) as cursor:
        return cursor.execute(
            """
            SELECT i.place, i.portrait_id, i.job_id, i.character_id, i.provider, i.style, i.week, c.name AS character,
                c.user_id AS owner, p.image_url, p.thumbnail_url, c.description,
                coalesce(c.appearance_tags, '{}') AS appearance_tags,
                CASE WHEN NOT c.reference_is_auto THEN c.reference_image_url END AS reference_image_url
            FROM studio.qa_sample_items i
            LEFT JOIN public.character_portraits p ON p.id = i.portrait_id AND p.deleted_at IS NULL
            LEFT JOIN public.characters c ON c.id = p.character_id
            WHERE i.sample_id = %s ORDER BY i.place
            """,
            (sample_id,),
        ).fetchall()


def verdicts(conn: Connection, sample_id: UUID) -> list[VerdictRow]:
    """The verdicts this person may see: their own, and others' on what they have judged; all once it is closed."""
    with conn.cursor(row_factory=class_row(VerdictRow)) as cursor:
        return cursor.execute(
            """
            SELECT v.portrait_id, v.person, v.verdict, v.first_verdict, v.note, v.given_at, v.changed_at
            FROM studio.qa_verdicts v WHERE v.sample_id = %s ORDER BY v.given_at, v.person
            """,
            (sample_id,),
        ).fetchall()


def progress(conn: Connection, sample_id: UUID) -> list[Judged]:
    """How far everybody is, the one who judged most first."""
    with conn.cursor(row_factory=class_row(Judged)) as cursor:
        return cursor.execute(
            "SELECT person, judged, last_at FROM studio.qa_progress(%s)", (sample_id,)
        ).fetchall()
