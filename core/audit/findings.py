"""Findings as people work through them: by rule, one page by key, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from psycopg.rows import class_row

from core.audit.jobs import MOST_COUNTED, Counted
from core.db import Connection


class FindingState(StrEnum):
    """Where a finding stands."""

    open = "open"
    mended = "mended"
    set_aside = "set_aside"


class Key(NamedTuple):
    """Where a page of findings begins or ends."""

    last_seen: datetime
    id: int

    def __str__(self) -> str:
        return f"{self.last_seen.astimezone(UTC).isoformat()}~{self.id}"

    @classmethod
    def read(cls, text: str) -> Key | None:
        """The key that `str(key)` made, None where the text is no such key: it comes out of an address."""
        moment, _, number = text.partition("~")
        try:
            at = datetime.fromisoformat(moment)
        except ValueError:
            return None
        return cls(at, int(number)) if at.tzinfo is not None and _is_id(number) else None


@dataclass(frozen=True, kw_only=True)
class FindingFilter:
    """Which findings are looked at; what is absent narrows nothing. `is_nobodys`: those without an owner.

    `first_before` and `first_after` bound when they were first seen.
    """

    state: FindingState = FindingState.open
    rules: tuple[str, ...] = ()
    owner: UUID | None = None
    is_nobodys: bool = False
    first_before: datetime | None = None
    first_after: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class FindingRow:
    """One finding. `mended_by` None with a `mended_at`: the rule itself did not find it any more."""

    id: int
    rule: str
    table_name: str
    row_id: str
    sentence: str
    first_seen: datetime
    last_seen: datetime
    times: int
    owner: UUID | None
    note: str | None
    mended_at: datetime | None
    mended_by: UUID | None
    set_aside_at: datetime | None
    set_aside_by: UUID | None
    set_aside_why: str | None

    @property
    def state(self) -> FindingState:
        """Where it stands."""
        if self.mended_at is not None:
            return FindingState.mended
        return FindingState.open if self.set_aside_at is None else FindingState.set_aside

    @property
    def key(self) -> Key:
        """Its place in the list."""
        return Key(self.last_seen, self.id)


@dataclass(frozen=True, kw_only=True)
class FindingPage:
    """A part of the list, the last seen first. `older` and `newer` are where to go on, None where nothing is left."""

    rows: Sequence[FindingRow]
    older: Key | None
    newer: Key | None


@dataclass(frozen=True, kw_only=True)
class FindingEvent:
    """What somebody did with a finding, and why where they said it."""

    at: datetime
    who: UUID | None
    action: str
    why: str | None


@dataclass(frozen=True, kw_only=True)
class RuleCount:
    """How many findings of one rule there are, and since when the oldest of them stands."""

    rule: str
    counted: Counted
    oldest_at: datetime


_COLUMNS = """
    f.id, f.rule, f.table_name, f.row_id, f.sentence, f.first_seen, f.last_seen, f.times, f.owner, f.note, f.mended_at,
    f.mended_by, f.set_aside_at, f.set_aside_by, f.set_aside_why
"""
_IN_STATE = {
    FindingState.open: "f.mended_at IS NULL AND f.set_aside_at IS NULL",
    FindingState.mended: "f.mended_at IS NOT NULL",
    FindingState.set_aside: "f.mended_at IS NULL AND f.set_aside_at IS NOT NULL",
}
_OF_PERSON = """
    (%(owner)s::uuid IS NULL OR f.owner = %(owner)s) AND (NOT %(nobodys)s OR f.owner IS NULL)
    AND (%(before)s::timestamptz IS NULL OR f.first_seen < %(before)s)
    AND (%(after)s::timestamptz IS NULL OR f.first_seen >= %(after)s)
"""
_WHERE = f"(%(rules)s::text[] IS NULL OR f.rule = ANY(%(rules)s)) AND {_OF_PERSON}"


def page(
    conn: Connection,
    wanted: FindingFilter,
    *,
    before: Key | None = None,
    after: Key | None = None,
    limit: int = 50,
) -> FindingPage:
    """At most `limit` findings, the last seen first: the newest, those `before` a key, or those next `after` one."""
    key = after or before
    compared, order = (">", "") if after else ("<", "DESC")
    statement = f"""
        SELECT {_COLUMNS} FROM studio.findings f
        WHERE {_IN_STATE[wanted.state]} AND {_WHERE}
          AND (%(at)s::timestamptz IS NULL OR (f.last_seen, f.id) {compared} (%(at)s, %(id)s::bigint))
        ORDER BY f.last_seen {order}, f.id {order} LIMIT %(limit)s
    """
    values = {
        **_values(wanted),
        "at": key.last_seen if key else None,
        "id": key.id if key else None,
        "limit": limit + 1,  # one more than is shown tells whether there are more
    }
    with conn.cursor(row_factory=class_row(FindingRow)) as cursor:
        found = cursor.execute(statement.encode(), values, prepare=False).fetchall()
    shown, more = found[:limit], len(found) > limit
    if after:
        shown = shown[::-1]
        return FindingPage(
            rows=shown, older=shown[-1].key if shown else after, newer=shown[0].key if more else None
        )
    newer = shown[0].key if before and shown else before
    return FindingPage(rows=shown, older=shown[-1].key if more else None, newer=newer)


def by_rule(conn: Connection, wanted: FindingFilter, *, most: int = MOST_COUNTED) -> list[RuleCount]:
    """The rules that have findings like these, whatever rule is wanted, each counted to `most`; the most first."""
    rows = conn.execute(
        f"""
        WITH RECURSIVE known AS (
            (SELECT f.rule FROM studio.findings f ORDER BY f.rule LIMIT 1)
            UNION ALL
            SELECT (SELECT f.rule FROM studio.findings f WHERE f.rule > known.rule ORDER BY f.rule LIMIT 1)
            FROM known WHERE known.rule IS NOT NULL
        )
        SELECT known.rule, counted.number, counted.oldest_at
        FROM known CROSS JOIN LATERAL (
            SELECT count(*) AS number, min(oldest.first_seen) AS oldest_at FROM (
                SELECT f.first_seen FROM studio.findings f
                WHERE f.rule = known.rule AND {_IN_STATE[wanted.state]} AND {_OF_PERSON}
                ORDER BY f.first_seen LIMIT %(most)s) oldest) counted
        WHERE known.rule IS NOT NULL AND counted.number > 0
        ORDER BY counted.number DESC, known.rule
        """.encode(),
        {**_values(wanted), "most": most + 1},
        prepare=False,
    ).fetchall()
    return [RuleCount(rule=rule, counted=_counted(number, most), oldest_at=at) for rule, number, at in rows]


def counts(
    conn: Connection, wanted: FindingFilter, *, most: int = MOST_COUNTED
) -> dict[FindingState, Counted]:
    """How many findings stand where, whatever state is wanted, each counted to `most`."""
    found: dict[FindingState, Counted] = {}
    for state, condition in _IN_STATE.items():
        row = conn.execute(
            f"SELECT count(*) FROM (SELECT FROM studio.findings f WHERE {condition} AND {_WHERE} LIMIT %(most)s) c".encode(),
            {**_values(wanted), "most": most + 1},
            prepare=False,
        ).fetchone()
        found[state] = _counted(int(row[0]) if row else 0, most)
    return found


def of_ids(conn: Connection, ids: Sequence[int]) -> list[FindingRow]:
    """These findings, whatever their state, the last seen first."""
    with conn.cursor(row_factory=class_row(FindingRow)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM studio.findings f WHERE f.id = ANY(%s) ORDER BY f.last_seen DESC, f.id DESC",
            (list(ids),),
        ).fetchall()


def of_row(conn: Connection, table: str, row_id: str) -> list[FindingRow]:
    """The findings of one row, whatever their state, the last seen first; at most 50."""
    with conn.cursor(row_factory=class_row(FindingRow)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_COLUMNS} FROM studio.findings f WHERE f.table_name = %s AND f.row_id = %s
            ORDER BY f.last_seen DESC, f.id DESC LIMIT 50
            """,
            (table, row_id),
        ).fetchall()


def events(conn: Connection, finding_id: int) -> list[FindingEvent]:
    """What people did with one finding, the newest first; at most 50."""
    with conn.cursor(row_factory=class_row(FindingEvent)) as cursor:
        return cursor.execute(
            """
            SELECT at, who, action, why FROM studio.audit_events
            WHERE table_name = 'findings' AND row_id = %s ORDER BY at DESC, id DESC LIMIT 50
            """,
            (str(finding_id),),
        ).fetchall()


def _counted(number: int, most: int) -> Counted:
    return Counted(number=min(number, most), more=number > most)


def _values(wanted: FindingFilter) -> dict[str, object]:
    return {
        "rules": list(wanted.rules) or None,
        "owner": wanted.owner,
        "nobodys": wanted.is_nobodys,
        "before": wanted.first_before,
        "after": wanted.first_after,
    }


_MOST_DIGITS = 18  # of a bigint that surely fits


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
