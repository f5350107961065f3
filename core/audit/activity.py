"""What people and the studio did: studio.audit_events, newest first, by key (SPEC "Audit": Activity)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, cast
from uuid import UUID

from psycopg.rows import class_row

from core.audit.jobs import Counted
from core.db import Connection

MOST_COUNTED = 10_000
_MOST_KINDS = 200
_OF_ONE_ROW = 200
_LONGEST = 200  # characters of a value that are shown


class Key(NamedTuple):
    """Where a page of events begins or ends."""

    at: datetime
    id: int

    def __str__(self) -> str:
        return f"{self.at.astimezone(UTC).isoformat()}~{self.id}"

    @classmethod
    def read(cls, text: str) -> Key | None:
        """The key that `str(key)` made, None where the text is no such key: it comes out of an address."""
        moment, _, number = text.partition("~")
        try:
            at = datetime.fromisoformat(moment)
            return cls(at, int(number)) if at.tzinfo is not None and abs(int(number)) < 2**62 else None
        except ValueError:
            return None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which events are looked at; what is None narrows nothing. `row_id` is the row's id as it was written, whole."""

    who: UUID | None = None
    by_the_studio: bool = False
    action: str | None = None
    table: str | None = None
    row_id: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event. `who` is None where the studio did it by itself. `job_id`: the job that its row belongs to, where
    that is known.
    """

    id: int
    at: datetime
    who: UUID | None
    action: str
    table_name: str | None
    row_id: str | None
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None
    why: str | None
    job_id: UUID | None

    @property
    def key(self) -> Key:
        """Its place in the list."""
        return Key(self.at, self.id)


@dataclass(frozen=True, kw_only=True)
class EventPage:
    """A part of the list, newest first. `older` and `newer` are where to go on, None where nothing is left there."""

    rows: Sequence[Event]
    older: Key | None
    newer: Key | None


def undoing_words(event: Event) -> str:
    """The reason that the record keeps where somebody takes a change back with one click."""
    return f"Undoes the change of {event.at.astimezone(UTC):%-d %B %Y, %H:%M} UTC."


class Change(NamedTuple):
    """One field before and after; None where it was not written there."""

    name: str
    before: str | None
    after: str | None


_WHERE = """
    (%(since)s::timestamptz IS NULL OR e.at >= %(since)s)
    AND (%(who)s::uuid IS NULL OR e.who = %(who)s)
    AND (NOT %(by_the_studio)s::boolean OR e.who IS NULL)
    AND (%(action)s::text IS NULL OR e.action = %(action)s)
    AND (%(table)s::text IS NULL OR e.table_name = %(table)s)
    AND (%(row_id)s::text IS NULL OR e.row_id = %(row_id)s)
"""
_COLUMNS = "e.id, e.at, e.who, e.action, e.table_name, e.row_id, e.before, e.after, e.why"
# Which job a row belongs to is looked up for the few rows that are shown, each by its key.
_WITH_JOB = """
    SELECT l.*, CASE l.table_name
        WHEN 'jobs' THEN studio.as_uuid(l.row_id)
        WHEN 'character_portraits' THEN
            (SELECT p.job_id FROM public.character_portraits p WHERE p.id = studio.as_uuid(l.row_id))
        WHEN 'user_library' THEN (SELECT u.job_id FROM public.user_library u WHERE u.id = studio.as_uuid(l.row_id))
        WHEN 'cost_entries' THEN (SELECT j.id FROM public.jobs j WHERE j.id = studio.as_uuid(l.row_id))
        WHEN 'attribute_images' THEN (SELECT j.id FROM public.jobs j WHERE j.id = studio.as_uuid(l.row_id))
        WHEN 'style_images' THEN (SELECT j.id FROM public.jobs j WHERE j.id = studio.as_uuid(l.row_id))
        END AS job_id
    FROM listed l ORDER BY l.at DESC, l.id DESC
"""
_OLDER = f"""
    WITH listed AS MATERIALIZED (
        SELECT {_COLUMNS} FROM studio.audit_events e
        WHERE {_WHERE} AND (%(at)s::timestamptz IS NULL OR (e.at, e.id) < (%(at)s, %(id)s::bigint))
        ORDER BY e.at DESC, e.id DESC LIMIT %(limit)s
    ) {_WITH_JOB}
"""
_NEWER = f"""
    WITH listed AS MATERIALIZED (
        SELECT {_COLUMNS} FROM studio.audit_events e WHERE {_WHERE} AND (e.at, e.id) > (%(at)s, %(id)s::bigint)
        ORDER BY e.at, e.id LIMIT %(limit)s
    ) {_WITH_JOB}
"""


def page(
    conn: Connection, wanted: Wanted, *, before: Key | None = None, after: Key | None = None, limit: int = 50
) -> EventPage:
    """At most `limit` events, newest first: the newest of all, those `before` a key, or those next `after` one."""
    key = after or before
    values = {
        **_narrowed(wanted),
        "at": key.at if key else None,
        "id": key.id if key else None,
        "limit": limit + 1,
    }
    with conn.cursor(row_factory=class_row(Event)) as cursor:
        found = cursor.execute(_NEWER if after else _OLDER, values, prepare=False).fetchall()
    more = len(found) > limit
    if after:
        shown = found[1:] if more else found
        return EventPage(
            rows=shown, older=shown[-1].key if shown else after, newer=shown[0].key if more else None
        )
    shown = found[:limit]
    newer = shown[0].key if before and shown else before
    return EventPage(rows=shown, older=shown[-1].key if more else None, newer=newer)


def count(conn: Connection, wanted: Wanted, *, most: int = MOST_COUNTED) -> Counted:
    """How many events there are, counted to `most`."""
    row = conn.execute(
        f"SELECT count(*) FROM (SELECT FROM studio.audit_events e WHERE {_WHERE} LIMIT %(most)s) counted",
        {**_narrowed(wanted), "most": most + 1},
        prepare=False,
    ).fetchone()
    number = int(row[0]) if row else 0
    return Counted(number=min(number, most), more=number > most)


def of_row(conn: Connection, table: str, row_id: str) -> list[Event]:
    """What was done to one row, oldest first; at most the newest 200."""
    found = page(conn, Wanted(table=table, row_id=row_id), limit=_OF_ONE_ROW).rows
    return list(reversed(found))


def actions(conn: Connection) -> list[str]:
    """Every kind of deed there is an event of, one step in the index each, at most 200."""
    return _steps(conn, "action")


def tables(conn: Connection) -> list[str]:
    """Every table there is an event of, one step in the index each, at most 200."""
    return _steps(conn, "table_name")


def _steps(conn: Connection, column: str) -> list[str]:
    rows = conn.execute(
        f"""
        WITH RECURSIVE step AS (
            (SELECT e.{column} AS name, 1 AS place FROM studio.audit_events e WHERE e.{column} IS NOT NULL
             ORDER BY e.{column} LIMIT 1)
            UNION ALL
            SELECT next.name, step.place + 1 FROM step CROSS JOIN LATERAL (
                SELECT e.{column} AS name FROM studio.audit_events e WHERE e.{column} > step.name
                ORDER BY e.{column} LIMIT 1) next
            WHERE step.place < %s
        )
        SELECT name FROM step
        """.encode(),
        (_MOST_KINDS,),
    ).fetchall()
    return [str(row[0]) for row in rows]


def _narrowed(wanted: Wanted) -> dict[str, object]:
    return {
        "since": wanted.since,
        "who": wanted.who,
        "by_the_studio": wanted.by_the_studio,
        "action": wanted.action,
        "table": wanted.table,
        "row_id": wanted.row_id,
    }


# -- before and after -------------------------------------------------------------------------------------------------


def changes(event: Event) -> list[Change]:
    """What an event says of its row, field by field: those that differ, in the order in which they were written."""
    return list(_differing(event.before or {}, event.after or {}))


def _differing(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        old = _said(before[name]) if name in before else None
        new = _said(after[name]) if name in after else None
        if old != new:
            yield Change(name, old, new)


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = "nothing" if value is None or value in ("", [], {}) else _plain(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _plain(value: object) -> str:
    """A list of words as words: editor, qa."""
    if isinstance(value, list):
        said = cast("list[object]", value)
        if all(isinstance(one, str) for one in said):
            return ", ".join(map(str, said))
        return str(said)
    return str(value)
