"""What keeps jobs from being done with, as QA reads it: stuck, outcome unknown, at risk, left behind, waiting for a
character. Each with the nearest deadline of its paid result first (SPEC "When things go wrong by themselves").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from heapq import merge
from itertools import islice
from typing import LiteralString, NamedTuple
from uuid import UUID

from psycopg.rows import class_row

from core.audit.jobs import Counted
from core.db import Connection, recoveries
from core.db.recoveries import FAR, MOST_COUNTED, Kind, Look
from core.values import JobId, ModelId


class Trouble(StrEnum):
    """Why a job is looked at here, the most pressing first."""

    at_risk = "at_risk"  # its paid result is not here, and its provider may soon delete it
    stuck = "stuck"
    unknown = "unknown"  # sent, no receipt
    paid = "paid"  # it ended, and its paid picture may still come
    left = "left"  # it ended, and its picture is here all the same
    unsaved = "unsaved"  # completed, not in the library
    nameless = "nameless"  # completed, and it belongs to no character yet
    unpublished = "unpublished"  # an attribute image, not published


class Key(NamedTuple):
    """A place in the list: the deadline, when it was asked for, and the job."""

    at: datetime
    asked_at: datetime
    id: UUID

    def __str__(self) -> str:
        return f"{self.at.isoformat()}~{self.asked_at.isoformat()}~{self.id}"

    @classmethod
    def read(cls, text: str) -> Key | None:
        """The key that `text` writes, None where it writes none."""
        parts = text.split("~")
        try:
            at, asked_at, ident = parts
            key = cls(datetime.fromisoformat(at), datetime.fromisoformat(asked_at), UUID(ident))
        except ValueError:
            return None
        return key if key.at.tzinfo and key.asked_at.tzinfo else None


@dataclass(frozen=True, kw_only=True)
class StuckFilter:
    """Which jobs are looked at; what is absent narrows nothing. `silent_for`: not heard of for longer than that."""

    trouble: Trouble | None = None
    provider: str | None = None
    model_id: ModelId | None = None
    silent_for: timedelta | None = None

    @property
    def narrows(self) -> bool:
        """True where more than a kind of trouble is asked for."""
        return any((self.provider, self.model_id, self.silent_for))


@dataclass(frozen=True, kw_only=True)
class Found:
    """One job in trouble, by its place."""

    trouble: Trouble
    key: Key


@dataclass(frozen=True, kw_only=True)
class StuckRow:
    """One line of the list. `heard_at`: when something was last heard of it."""

    id: UUID
    character: str
    provider: str
    model: str
    status: str
    runner: str
    error_code: str | None
    created_at: datetime
    heard_at: datetime


@dataclass(frozen=True, kw_only=True)
class StuckPage:
    """A part of the list. `next` and `previous` are where to go on, None where nothing is left there."""

    rows: Sequence[Found]
    next: Key | None
    previous: Key | None


AT_RISK_WITHIN = timedelta(minutes=15)

_PLAIN: Mapping[Trouble, LiteralString] = {
    Trouble.stuck: recoveries.found(Kind.stuck),
    Trouble.paid: recoveries.found(Kind.ended_with_receipt),
    Trouble.left: recoveries.found(Kind.ended_with_asset),
    Trouble.unsaved: recoveries.found(Kind.unsaved),
    Trouble.unpublished: recoveries.found(Kind.unpublished),
    Trouble.unknown: """
        SELECT j.created_at AS at, j.id FROM public.jobs j WHERE j.status = 'processing' AND j.stage = 'outcome_unknown'
    """,
    Trouble.nameless: """
        SELECT j.created_at AS at, j.id FROM public.jobs j
        WHERE j.character_id IS NULL AND (j.metadata ->> 'destination') = 'character_portrait' AND j.status = 'completed'
          AND EXISTS (SELECT FROM public.workspace_assets a WHERE a.job_id = j.id AND a.deleted_at IS NULL)
    """,
    Trouble.at_risk: recoveries.risky(),
}
# What has a deadline sorts by it; what has none, behind it.
_WITH_DEADLINE = frozenset({Trouble.at_risk, Trouble.stuck, Trouble.paid})
_HEARD = "coalesce(j.heartbeat_at, j.started_at, j.created_at)"


def _wanted(trouble: Trouble, *, narrowed: bool) -> LiteralString:
    """The jobs of one trouble with what they are sorted by, under the filter. Where nothing is narrowed and no deadline
    counts, the time of asking is at hand, and jobs are not looked up a second time: an index brings them sorted.
    """
    found = _PLAIN[trouble]
    if trouble not in _WITH_DEADLINE and not narrowed:
        return f"SELECT {FAR} AS at, found.at AS asked_at, found.id FROM ({found}) found"
    at = "found.at" if trouble in _WITH_DEADLINE else FAR
    return f"""
        SELECT {at} AS at, j.created_at AS asked_at, j.id
        FROM (WITH f AS MATERIALIZED ({found}) SELECT f.at, f.id FROM f) found JOIN public.jobs j ON j.id = found.id
        WHERE (%(model)s::uuid IS NULL OR j.api_model_id = %(model)s)
          AND (%(models)s::uuid[] IS NULL OR j.api_model_id = ANY(%(models)s))
          AND (%(heard_before)s::interval IS NULL OR {_HEARD} < now() - %(heard_before)s::interval)
    """


def page(
    conn: Connection,
    wanted: StuckFilter,
    look: Look,
    *,
    after: Key | None = None,
    before: Key | None = None,
    limit: int = 50,
) -> StuckPage:
    """At most `limit` jobs, the nearest deadline first, then the oldest: the first of all, those behind `after` a key, or
    the last ones in front of one (`before`). A job in two kinds of trouble stands once, as the more pressing.
    """
    values = {**look.values, **_narrowed(conn, wanted), "within": AT_RISK_WITHIN}
    kinds = [wanted.trouble] if wanted.trouble else list(Trouble)
    parts = [
        _part(
            conn,
            _wanted(kind, narrowed=wanted.narrows),
            kind,
            values,
            key=after or before,
            backwards=before is not None,
            limit=limit + 1,
        )
        for kind in kinds
    ]
    found = list(islice(_once(parts, backwards=before is not None), limit + 1))
    more = len(found) > limit
    shown = found[:limit]
    if before is not None:
        shown.reverse()
        return StuckPage(
            rows=shown, next=shown[-1].key if shown else None, previous=shown[0].key if more else None
        )
    return StuckPage(
        rows=shown, next=shown[-1].key if more else None, previous=shown[0].key if shown and after else after
    )


def _once(parts: Sequence[Sequence[Found]], *, backwards: bool) -> Sequence[Found]:
    """The parts as one list; of a job that stands in several, the first."""
    together = merge(*parts, key=lambda one: one.key, reverse=backwards)
    seen: dict[UUID, Found] = {}
    for one in together:
        seen.setdefault(one.key.id, one)
    return list(seen.values())


def _part(
    conn: Connection,
    statement: LiteralString,
    trouble: Trouble,
    values: Mapping[str, object],
    *,
    key: Key | None,
    backwards: bool,
    limit: int,
) -> list[Found]:
    beyond, order = ("<", "DESC") if backwards else (">", "ASC")
    place = f"WHERE (w.at, w.asked_at, w.id) {beyond} (%(at)s, %(asked)s, %(id)s::uuid)" if key else ""
    rows = conn.execute(
        f"""
        SELECT w.at, w.asked_at, w.id FROM ({statement}) w {place}
        ORDER BY w.at {order}, w.asked_at {order}, w.id {order} LIMIT %(limit)s
        """,
        {
            **values,
            "at": key.at if key else None,
            "asked": key.asked_at if key else None,
            "id": key.id if key else None,
            "limit": limit,
        },
        prepare=False,
    ).fetchall()
    return [Found(trouble=trouble, key=Key(*row)) for row in rows]


def count(
    conn: Connection, trouble: Trouble, wanted: StuckFilter, look: Look, *, most: int = MOST_COUNTED
) -> Counted:
    """How many jobs are in one kind of trouble under the filter's provider, model and age; counted to `most`."""
    row = conn.execute(
        f"SELECT count(*) FROM (SELECT FROM ({_wanted(trouble, narrowed=wanted.narrows)}) w LIMIT %(most)s) counted",
        {**look.values, **_narrowed(conn, wanted), "within": AT_RISK_WITHIN, "most": most + 1},
        prepare=False,
    ).fetchone()
    number = int(row[0]) if row else 0
    return Counted(number=min(number, most), more=number > most)


def rows(conn: Connection, job_ids: Sequence[JobId]) -> dict[UUID, StuckRow]:
    """The lines of these jobs."""
    with conn.cursor(row_factory=class_row(StuckRow)) as cursor:
        found = cursor.execute(
            f"""
            SELECT j.id,
                coalesce(nullif(c.name, ''), j.metadata ->> 'character_name', j.metadata ->> 'characterName', '') AS character,
                coalesce(p.name, j.metadata ->> 'provider', '') AS provider,
                coalesce(m.display_name, j.metadata ->> 'model_name', j.metadata ->> 'model_key', '') AS model,
                j.status, j.runner, j.error_code, j.created_at, {_HEARD} AS heard_at
            FROM public.jobs j
            LEFT JOIN public.characters c ON c.id = j.character_id
            LEFT JOIN public.api_models m ON m.id = j.api_model_id
            LEFT JOIN public.api_providers p ON p.id = m.provider_id
            WHERE j.id = ANY(%s)
            """,
            (list(job_ids),),
        ).fetchall()
    return {row.id: row for row in found}


def _narrowed(conn: Connection, wanted: StuckFilter) -> dict[str, object]:
    """The filter as what the statements know."""
    models = None
    if wanted.provider is not None and wanted.model_id is None:
        named = conn.execute(
            """
            SELECT m.id FROM public.api_models m JOIN public.api_providers p ON p.id = m.provider_id WHERE p.name = %s
            """,
            (wanted.provider,),
        ).fetchall()
        models = [row[0] for row in named]
    return {"model": wanted.model_id, "models": models, "heard_before": wanted.silent_for}
