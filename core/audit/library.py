"""Rows against objects as the dashboard asks for it: the last scans, open findings by kind, and how complete each
character's portraits are (SPEC "Audit", Library). Counts are bounded; every number is as old as the scan that found it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from core.audit.jobs import Key
from core.db import Connection

MOST_COUNTED = 10_000


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A scan: `started_at` None where it waits for a worker, `finished_at` None where it goes on. `counts` are the open
    findings by kind when it ended; `beat_at` is its last sign of life; `trouble` why it does not go on.
    """

    id: UUID
    asked_by: UUID | None
    asked_at: datetime
    started_at: datetime | None
    beat_at: datetime | None
    finished_at: datetime | None
    stage: str
    expected: int
    looked_at: int
    objects: int
    bytes: int
    rows: int
    read: int
    unread: int
    binned: int
    trouble: str | None
    counts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Count:
    """Open findings of one kind, MOST_COUNTED at the utmost (`more`), and since when the oldest stands."""

    kind: str
    number: int
    more: bool
    oldest: datetime


@dataclass(frozen=True, kw_only=True)
class Find:
    """An open finding and what it points at. Of a twin `other_path` is the picture it resembles, `distance` the bits."""

    id: int
    kind: str
    sentence: str
    first_seen: datetime
    last_seen: datetime
    bucket: str | None
    path: str | None
    other_path: str | None
    table_name: str | None
    row_id: str | None
    column_name: str | None
    owner: UUID | None
    character_id: UUID | None
    character: str | None
    other_character_id: UUID | None
    other_character: str | None
    job_id: UUID | None
    size: int | None
    want_size: int | None
    distance: int | None
    host: str | None
    dies_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class FindPage:
    """A page of findings, those met last first; `newer` and `older` are the findings that lead on, None at an end."""

    rows: Sequence[Find]
    newer: int | None
    older: int | None


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """A character's portraits: how many it shows, how many of them lie saved in the library, and how many of its pictures
    the last scan missed.
    """

    character_id: UUID
    name: str
    owner: UUID
    portraits: int
    saved: int
    missing: int
    other_findings: int
    updated_at: datetime

    @property
    def key(self) -> Key:
        """Its place in the list."""
        return Key(self.updated_at, self.character_id)


@dataclass(frozen=True, kw_only=True)
class CoveragePage:
    """A page of characters; `newer` and `older` are the places that lead on, None at an end."""

    rows: Sequence[Coverage]
    newer: Key | None
    older: Key | None


@dataclass(frozen=True, kw_only=True)
class Deadlines:
    """Stored links with an end: how many are dead already, how many die within a day, and the nearest end to come."""

    dead: int
    within_a_day: int
    nearest: datetime | None


_SCAN = """
    id, asked_by, asked_at, started_at, beat_at, finished_at, stage, expected, looked_at, objects, bytes, rows, read, unread,
    binned, trouble, counts
"""


def scans(conn: Connection, *, limit: int = 10) -> list[Scan]:
    """The last scans, newest first."""
    with conn.cursor(row_factory=class_row(Scan)) as cursor:
        return cursor.execute(
            f"SELECT {_SCAN} FROM studio.stock_scans ORDER BY asked_at DESC, id DESC LIMIT %s", (limit,)
        ).fetchall()


def counts(conn: Connection) -> list[Count]:
    """Open findings by kind; a kind without any is left out."""
    with conn.cursor(row_factory=class_row(Count)) as cursor:
        return cursor.execute(
            """
            SELECT kinds.kind, least(open.number, %(most)s) AS number, open.number > %(most)s AS more, open.oldest
            FROM (SELECT DISTINCT kind FROM studio.stock_marks) kinds
            CROSS JOIN LATERAL (
                SELECT count(*) AS number, min(bounded.first_seen) AS oldest FROM (
                    SELECT f.first_seen FROM studio.stock_marks m
                    JOIN studio.findings f ON f.id = m.finding_id AND f.mended_at IS NULL AND f.set_aside_at IS NULL
                    WHERE m.kind = kinds.kind LIMIT %(most)s + 1) bounded) open
            WHERE open.number > 0
            """,
            {"most": MOST_COUNTED},
        ).fetchall()


def characters(conn: Connection) -> tuple[int, bool]:
    """How many characters there are, MOST_COUNTED at the utmost, and whether there are more."""
    row = conn.execute(
        "SELECT count(*) FROM (SELECT FROM public.characters WHERE deleted_at IS NULL LIMIT %s) bounded",
        (MOST_COUNTED + 1,),
    ).fetchone()
    number = int(row[0]) if row else 0
    return min(number, MOST_COUNTED), number > MOST_COUNTED


_FIND = """
    SELECT f.id, m.kind, f.sentence, f.first_seen, f.last_seen, m.bucket, m.path, m.other_path, m.table_name, m.row_id,
        m.column_name, m.owner, m.character_id, nullif(c.name, '') AS character, theirs.character_id AS other_character_id,
        nullif(oc.name, '') AS other_character, m.job_id, m.size, m.want_size, m.distance, m.host, m.dies_at
    FROM studio.stock_marks m JOIN studio.findings f ON f.id = m.finding_id
    LEFT JOIN public.characters c ON c.id = m.character_id
    LEFT JOIN studio.stock_objects theirs ON theirs.bucket = m.bucket AND theirs.path = m.other_path
    LEFT JOIN public.characters oc ON oc.id = theirs.character_id
"""


_OPEN = """
    o.mended_at IS NULL AND o.set_aside_at IS NULL AND (%(after)s::bigint IS NULL OR k.finding_id > %(after)s)
    AND (%(before)s::bigint IS NULL OR k.finding_id < %(before)s)
"""
# Kind by kind, each along its own index; a character's findings are few and are read by the character.
_OF_KINDS = f"""
    SELECT found.finding_id FROM unnest(%(kinds)s::text[]) AS wanted (kind)
    CROSS JOIN LATERAL (
        SELECT k.finding_id FROM studio.stock_marks k JOIN studio.findings o ON o.id = k.finding_id
        WHERE k.kind = wanted.kind AND {_OPEN} ORDER BY k.finding_id {{direction}} LIMIT %(limit)s) found
    ORDER BY found.finding_id {{direction}} LIMIT %(limit)s
"""
_OF_CHARACTER = f"""
    SELECT k.finding_id FROM studio.stock_marks k JOIN studio.findings o ON o.id = k.finding_id
    WHERE k.character_id = %(character)s AND k.kind = ANY(%(kinds)s::text[]) AND {_OPEN}
    ORDER BY k.finding_id {{direction}} LIMIT %(limit)s
"""


def page(
    conn: Connection,
    kinds: Sequence[str],
    *,
    before: int | None = None,
    after: int | None = None,
    character_id: UUID | None = None,
    limit: int = 50,
) -> FindPage:
    """Open findings of these kinds, those first that were met last: older than the finding `before`, or newer than
    `after`.
    """
    backwards = after is not None
    direction = "" if backwards else "DESC"
    chosen = _OF_KINDS if character_id is None else _OF_CHARACTER
    with conn.cursor(row_factory=class_row(Find)) as cursor:
        found = cursor.execute(
            f"""
            {_FIND} WHERE m.finding_id IN ({chosen.format(direction=direction)})
            ORDER BY m.finding_id {direction}
            """,
            {
                "kinds": list(kinds),
                "after": after,
                "before": before,
                "character": character_id,
                "limit": limit + 1,  # one more than is shown tells whether there are more
            },
            prepare=False,
        ).fetchall()
    shown = found[:limit]
    if backwards:
        shown.reverse()
    more = len(found) > limit
    is_first = not shown or (before is None and not (backwards and more))
    is_last = not shown or (after is None and not more)
    return FindPage(
        rows=shown,
        newer=None if is_first else shown[0].id,
        older=None if is_last else shown[-1].id,
    )


def find(conn: Connection, finding_id: int) -> Find | None:
    """One open finding of the library, None where there is none."""
    with conn.cursor(row_factory=class_row(Find)) as cursor:
        return cursor.execute(
            f"{_FIND} WHERE m.finding_id = %s AND f.mended_at IS NULL AND f.set_aside_at IS NULL",
            (finding_id,),
        ).fetchone()


def finds(conn: Connection, ids: Sequence[int]) -> list[Find]:
    """These findings as far as they are open, in the order of their ids."""
    with conn.cursor(row_factory=class_row(Find)) as cursor:
        return cursor.execute(
            f"{_FIND} WHERE m.finding_id = ANY(%s) AND f.mended_at IS NULL AND f.set_aside_at IS NULL ORDER BY m.finding_id",
            (list(ids),),
        ).fetchall()


def deadlines(conn: Connection) -> Deadlines:
    """Where the stored links stand by now, whatever the hour of the last scan. Counts end at MOST_COUNTED."""
    with conn.cursor(row_factory=class_row(Deadlines)) as cursor:
        found = cursor.execute(
            """
            SELECT count(*) FILTER (WHERE ends.dies_at <= now()) AS dead,
                count(*) FILTER (WHERE ends.dies_at > now() AND ends.dies_at <= now() + interval '1 day') AS within_a_day,
                min(ends.dies_at) FILTER (WHERE ends.dies_at > now()) AS nearest
            FROM (SELECT m.dies_at FROM studio.stock_marks m
                  JOIN studio.findings f ON f.id = m.finding_id AND f.mended_at IS NULL AND f.set_aside_at IS NULL
                  WHERE m.dies_at IS NOT NULL ORDER BY m.dies_at LIMIT %s) ends
            """,
            (MOST_COUNTED,),
        ).fetchone()
    assert found is not None  # noqa: S101 - an aggregate has one row
    return found


def coverage(
    conn: Connection,
    *,
    before: Key | None = None,
    after: Key | None = None,
    name: str = "",
    limit: int = 50,
) -> CoveragePage:
    """Characters, the last changed first: those changed earlier than `before`, or later than `after`; `name` is a part of
    their names.
    """
    backwards = after is not None
    key = before or after
    with conn.cursor(row_factory=class_row(Coverage)) as cursor:
        found = cursor.execute(
            f"""
            SELECT c.id AS character_id, coalesce(nullif(c.name, ''), 'Untitled') AS name, c.user_id AS owner,
                p.portraits, p.saved, marks.missing, marks.other_findings, c.updated_at
            FROM (SELECT * FROM public.characters c WHERE c.deleted_at IS NULL
                    AND (%(at)s::timestamptz IS NULL OR (c.updated_at, c.id) {">" if backwards else "<"} (%(at)s, %(id)s::uuid))
                    AND (%(name)s = '' OR strpos(lower(c.name), lower(%(name)s)) > 0)
                  ORDER BY c.updated_at {"" if backwards else "DESC"}, c.id {"" if backwards else "DESC"}
                  LIMIT %(limit)s) c
            CROSS JOIN LATERAL (
                SELECT count(*) AS portraits, count(*) FILTER (WHERE EXISTS (
                    SELECT FROM public.user_library l WHERE l.job_id = p.job_id AND l.deleted_at IS NULL)
                    OR (p.job_id IS NULL AND starts_with(p.image_url, 'user-library/'))) AS saved
                FROM public.character_portraits p WHERE p.character_id = c.id AND p.deleted_at IS NULL) p
            CROSS JOIN LATERAL (
                SELECT count(*) FILTER (WHERE m.kind = 'object_missing') AS missing,
                    count(*) FILTER (WHERE m.kind <> 'object_missing') AS other_findings
                FROM studio.stock_marks m JOIN studio.findings f ON f.id = m.finding_id AND f.mended_at IS NULL AND f.set_aside_at IS NULL
                WHERE m.character_id = c.id) marks
            ORDER BY c.updated_at DESC, c.id DESC
            """,
            {
                "at": key[0] if key else None,
                "id": key[1] if key else None,
                "name": name.strip(),
                "limit": limit + 1,
            },
            prepare=False,
        ).fetchall()
    more = len(found) > limit
    # The statement gives the last changed first; a page read backwards has its surplus in front.
    shown = found[-limit:] if backwards else found[:limit]
    return CoveragePage(
        rows=shown,
        newer=shown[0].key if shown and (before is not None or (backwards and more)) else None,
        older=shown[-1].key if shown and (after is not None or more) else None,
    )
