"""studio.stock_scans, stock_objects and stock_marks: how far a scan of the library has come, what its listings saw, and
what its findings point at (SPEC "Audit", Library). What pages ask stands in core/audit/library.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from psycopg.rows import class_row

from core.db import Connection
from core.storage import Address, ObjectInfo
from core.values import CharacterId, JobId, PersonId

_KEPT_SCANS = 30
_SCAN = """
    id, asked_by, asked_at, started_at, finished_at, stage, cursor, expected, looked_at, objects, bytes, rows, read, unread,
    binned
"""

Part = Literal["picture", "thumbnail"]


@dataclass(frozen=True, kw_only=True)
class ScanRow:
    """A row of studio.stock_scans. `cursor` is the last object or row the stage looked at, empty before the first."""

    id: UUID
    asked_by: UUID | None
    asked_at: datetime
    started_at: datetime
    finished_at: datetime | None
    stage: str
    cursor: str
    expected: int
    looked_at: int
    objects: int
    bytes: int
    rows: int
    read: int
    unread: int
    binned: int


@dataclass(frozen=True, kw_only=True)
class Added:
    """What a lot adds to the scan's numbers: objects and their bytes, rows, objects read, objects that did not answer."""

    objects: int = 0
    bytes: int = 0
    rows: int = 0
    read: int = 0
    unread: int = 0
    binned: int = 0

    @property
    def looked_at(self) -> int:
        """Steps of progress."""
        return self.objects + self.rows + self.read


@dataclass(frozen=True, kw_only=True)
class Line:
    """One column of one row that names a picture. `is_live`: the row is shown, no tombstone. `is_wanted`: its object should
    stand by now; False also where it was cleaned, or the row is too young to be judged.
    """

    row_id: str
    column_name: str
    bucket: str
    value: str
    part: Part
    want_size: int | None
    want_sha256: str | None
    is_live: bool
    is_wanted: bool
    made_at: datetime
    owner: UUID | None
    character_id: UUID | None
    job_id: UUID | None
    phash: str | None
    is_blank: bool


@dataclass(frozen=True, kw_only=True)
class Named:
    """An address and the row that names it."""

    address: Address
    table_name: str
    line: Line


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A finding of a scan: its rule is `library.{kind}`; `table` and `row` are its key, the rest what it points at."""

    kind: str
    table: str
    row: str
    sentence: str
    bucket: str | None = None
    path: str | None = None
    other_path: str | None = None
    table_name: str | None = None
    row_id: str | None = None
    column_name: str | None = None
    owner: UUID | None = None
    character_id: UUID | None = None
    job_id: UUID | None = None
    size: int | None = None
    want_size: int | None = None
    distance: int | None = None
    host: str | None = None
    dies_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An object that a row names, as the listing and that row have it."""

    bucket: str
    path: str
    size: int
    table_name: str
    row_id: str
    owner: UUID | None
    character_id: UUID | None
    want_size: int | None
    want_sha256: str | None
    sha256: str | None  # of the bytes, as this scan or an earlier one read them
    job_id: UUID | None
    is_suspect: bool  # an open finding says that its bytes are wrong

    @property
    def address(self) -> Address:
        """Where it lies."""
        return Address(self.bucket, self.path)


@dataclass(frozen=True, kw_only=True)
class Stray:
    """An object that no row names; `job_id` is what its name says."""

    bucket: str
    path: str
    size: int
    job_id: UUID | None


@dataclass(frozen=True, kw_only=True)
class Twin:
    """Two pictures of the library that look the same; the first is the one whose path comes first."""

    path: str
    other_path: str
    distance: int
    is_same: bool
    row_id: str
    character_id: UUID | None
    owner: UUID | None
    size: int


# -- scans ---------------------------------------------------------------------------------------------------------


def take(conn: Connection) -> bool:
    """Hold the right to scan for as long as `conn` lives; False where another process has it."""
    row = conn.execute("SELECT pg_try_advisory_lock(hashtextextended('stock:scan', 0))").fetchone()
    return bool(row and row[0])


def ask(conn: Connection) -> UUID:
    """A scan in the name of this connection's person, or the one that is asked for already. Raises NotAllowed."""
    row = conn.execute("SELECT studio.ask_stock_scan()").fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return row[0]


def is_asked(conn: Connection) -> bool:
    """Whether a scan is asked for and not finished."""
    return conn.execute("SELECT 1 FROM studio.stock_scans WHERE finished_at IS NULL").fetchone() is not None


def start(conn: Connection, *, within: timedelta) -> ScanRow:
    """The unfinished scan, begun anew where it began longer than `within` ago; a new one of the schedule where there is
    none. Only the last scans are kept.
    """
    conn.execute(
        """
        DELETE FROM studio.stock_scans WHERE finished_at < (
            SELECT min(kept.finished_at) FROM (SELECT finished_at FROM studio.stock_scans WHERE finished_at IS NOT NULL
                                               ORDER BY finished_at DESC LIMIT %s) kept)
        """,
        (_KEPT_SCANS - 1,),
    )
    conn.execute(
        "INSERT INTO studio.stock_scans DEFAULT VALUES ON CONFLICT ((true)) WHERE finished_at IS NULL DO NOTHING"
    )
    with conn.cursor(row_factory=class_row(ScanRow)) as cursor:
        begun = cursor.execute(
            f"""
            UPDATE studio.stock_scans s SET started_at = clock_timestamp(), stage = 'objects', cursor = '', looked_at = 0,
                objects = 0, bytes = 0, rows = 0, read = 0, unread = 0, binned = 0, beat_at = clock_timestamp(),
                expected = coalesce((SELECT o.looked_at FROM studio.stock_scans o WHERE o.finished_at IS NOT NULL
                                     ORDER BY o.finished_at DESC LIMIT 1), 0)
            WHERE finished_at IS NULL AND (started_at IS NULL OR started_at < clock_timestamp() - %s::interval)
            RETURNING {_SCAN}
            """,
            (within,),
        ).fetchone()
        found = (
            begun
            or cursor.execute(f"SELECT {_SCAN} FROM studio.stock_scans WHERE finished_at IS NULL").fetchone()
        )
    assert found is not None  # noqa: S101 - it was inserted above
    return found


def get(conn: Connection, scan_id: UUID) -> ScanRow | None:
    """One scan, None where it is not kept any more."""
    with conn.cursor(row_factory=class_row(ScanRow)) as cursor:
        return cursor.execute(f"SELECT {_SCAN} FROM studio.stock_scans WHERE id = %s", (scan_id,)).fetchone()


def advance(conn: Connection, scan: ScanRow, *, stage: str, cursor: str, added: Added) -> bool:
    """Move the scan on; False where another process has moved it meanwhile."""
    moved = conn.execute(
        """
        UPDATE studio.stock_scans s SET stage = %(stage)s, cursor = %(cursor)s, beat_at = clock_timestamp(), trouble = NULL,
            looked_at = s.looked_at + %(looked)s, objects = s.objects + %(objects)s, bytes = s.bytes + %(bytes)s,
            rows = s.rows + %(rows)s, read = s.read + %(read)s, unread = s.unread + %(unread)s,
            binned = s.binned + %(binned)s
        WHERE s.id = %(id)s AND s.stage = %(from_stage)s AND s.cursor = %(from)s AND s.finished_at IS NULL
        """,
        {
            **asdict(added),
            "looked": added.looked_at,
            "stage": stage,
            "cursor": cursor,
            "id": scan.id,
            "from_stage": scan.stage,
            "from": scan.cursor,
        },
    )
    return moved.rowcount == 1


def note_trouble(conn: Connection, scan_id: UUID, sentence: str) -> None:
    """Why a scan does not go on now."""
    conn.execute("UPDATE studio.stock_scans SET trouble = %s WHERE id = %s", (sentence, scan_id))


def finish(conn: Connection, scan: ScanRow) -> None:
    """The end of a scan: what it did not find again is mended, and what is open is counted."""
    conn.execute(
        """
        UPDATE studio.findings f SET mended_at = clock_timestamp() FROM studio.stock_marks m
        WHERE m.finding_id = f.id AND f.mended_at IS NULL AND m.scan_id <> %s
        """,
        (scan.id,),
    )
    conn.execute(
        """
        UPDATE studio.stock_scans SET finished_at = clock_timestamp(), beat_at = clock_timestamp(), trouble = NULL,
            counts = (SELECT coalesce(jsonb_object_agg(open.kind, open.number), '{}') FROM (
                SELECT m.kind, count(*) AS number FROM studio.stock_marks m
                JOIN studio.findings f ON f.id = m.finding_id AND f.mended_at IS NULL AND f.set_aside_at IS NULL
                GROUP BY m.kind) open)
        WHERE id = %s
        """,
        (scan.id,),
    )


# -- what the listings saw -----------------------------------------------------------------------------------------


def see(conn: Connection, scan_id: UUID, found: Sequence[ObjectInfo]) -> None:
    """Objects of a listing. One that changed since is read and decoded anew."""
    conn.execute(
        """
        INSERT INTO studio.stock_objects AS o (bucket, path, size, modified_at, seen_in)
        SELECT seen.bucket, seen.path, seen.size, seen.modified_at, %(scan)s
        FROM unnest(%(buckets)s::text[], %(paths)s::text[], %(sizes)s::bigint[], %(times)s::timestamptz[])
            AS seen (bucket, path, size, modified_at)
        ON CONFLICT (bucket, path) DO UPDATE SET seen_in = excluded.seen_in, size = excluded.size,
            modified_at = excluded.modified_at,
            sha256 = CASE WHEN (o.size, o.modified_at) = (excluded.size, excluded.modified_at) THEN o.sha256 END,
            phash = CASE WHEN (o.size, o.modified_at) = (excluded.size, excluded.modified_at) THEN o.phash END,
            decoded_at = CASE WHEN (o.size, o.modified_at) = (excluded.size, excluded.modified_at) THEN o.decoded_at END
        """,
        {
            "scan": scan_id,
            "buckets": [one.bucket for one in found],
            "paths": [one.path for one in found],
            "sizes": [one.size for one in found],
            "times": [one.modified_at for one in found],
        },
    )


def forget_unseen(conn: Connection, scan_id: UUID) -> None:
    """What the listing did not meet again is not there any more. The planner learns how many there are now."""
    conn.execute("DELETE FROM studio.stock_objects WHERE seen_in <> %s", (scan_id,))
    conn.execute("ANALYZE studio.stock_objects")


def name(conn: Connection, scan_id: UUID, named: Sequence[Named]) -> dict[Address, int]:
    """Which of these addresses the listing saw, and their sizes; each learns which row names it.

    The first row that wants an object is the one it belongs to. `named` holds each address once.
    """
    # Of a row that another one named in this scan already, what it learned stays, unless that one did not want it.
    here = "coalesce(o.named_in = %(scan)s, false)"
    stays = f"({here} AND (o.is_wanted OR NOT n.is_wanted))"
    rows = conn.execute(
        rf"""
        UPDATE studio.stock_objects o SET named_in = %(scan)s,
            is_wanted = n.is_wanted OR ({here} AND o.is_wanted),
            is_picture = (n.is_picture AND o.path ~* '\.(png|jpe?g|webp|avif)$') OR ({here} AND o.is_picture),
            table_name = CASE WHEN {stays} THEN o.table_name ELSE n.table_name END,
            row_id = CASE WHEN {stays} THEN o.row_id ELSE n.row_id END,
            owner = CASE WHEN {stays} THEN o.owner ELSE n.owner END,
            character_id = CASE WHEN {stays} THEN coalesce(o.character_id, n.character_id) ELSE n.character_id END,
            want_size = CASE WHEN {stays} THEN coalesce(o.want_size, n.want_size) ELSE n.want_size END,
            want_sha256 = CASE WHEN {stays} THEN coalesce(o.want_sha256, n.want_sha256) ELSE n.want_sha256 END,
            phash = CASE WHEN n.is_picture THEN coalesce(o.phash, n.phash) ELSE o.phash END,
            is_blank = CASE WHEN o.decoded_at IS NULL THEN n.is_blank OR ({here} AND o.is_blank) ELSE o.is_blank END
        FROM jsonb_to_recordset(%(named)s::jsonb) AS n (
            bucket text, path text, table_name text, row_id text, is_picture boolean, is_wanted boolean, owner uuid,
            character_id uuid, want_size bigint, want_sha256 text, phash text, is_blank boolean)
        WHERE o.bucket = n.bucket AND o.path = n.path
        RETURNING o.bucket, o.path, o.size
        """.encode(),
        {"scan": scan_id, "named": json.dumps([_as_named(one) for one in named])},
    ).fetchall()
    return {Address(bucket, path): size for bucket, path, size in rows}


def _as_named(one: Named) -> dict[str, object]:
    line = one.line
    return {
        "bucket": one.address.bucket,
        "path": one.address.path,
        "table_name": one.table_name,
        "row_id": line.row_id,
        "is_picture": line.part == "picture",
        "is_wanted": line.is_wanted,
        "owner": _text(line.owner),
        "character_id": _text(line.character_id),
        "want_size": line.want_size,
        "want_sha256": line.want_sha256,
        "phash": line.phash,
        "is_blank": line.is_blank,
    }


def _text(value: object) -> str | None:
    return str(value) if value is not None else None


_KEPT = """
    o.bucket, o.path, o.size, o.table_name, o.row_id, o.owner, o.character_id, o.want_size, o.want_sha256, o.sha256,
    CASE o.table_name
        WHEN 'user_library' THEN (SELECT l.job_id FROM public.user_library l WHERE l.id = studio.as_uuid(o.row_id))
        WHEN 'workspace_assets' THEN (SELECT a.job_id FROM public.workspace_assets a WHERE a.id = studio.as_uuid(o.row_id))
    END AS job_id,
    EXISTS (SELECT FROM studio.findings f WHERE f.table_name = o.bucket AND f.row_id = o.path AND f.mended_at IS NULL
            AND f.rule IN ('library.hash_differs', 'library.corrupt', 'library.blank')) AS is_suspect
"""


def to_hash(conn: Connection, scan_id: UUID, after: Address | None, *, limit: int) -> list[Kept]:
    """The next objects whose rows record a hash."""
    with conn.cursor(row_factory=class_row(Kept)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_KEPT} FROM studio.stock_objects o
            WHERE o.named_in = %(scan)s AND o.is_wanted AND o.want_sha256 IS NOT NULL
              AND (o.bucket, o.path) > (%(bucket)s, %(path)s)
            ORDER BY o.bucket, o.path LIMIT %(limit)s
            """,
            {"scan": scan_id, "limit": limit, **_address(after)},
        ).fetchall()


def to_decode(conn: Connection, scan: ScanRow, *, limit: int) -> list[Kept]:
    """The next pictures this scan has not decoded: those with an open finding, then those never or longest ago decoded."""
    wanted = "o.is_picture AND o.named_in = %(scan)s AND o.is_wanted AND (o.decoded_at IS NULL OR o.decoded_at < %(at)s)"
    with conn.cursor(row_factory=class_row(Kept)) as cursor:
        return cursor.execute(
            f"""
            (SELECT {_KEPT} FROM studio.findings f
             JOIN studio.stock_objects o ON o.bucket = f.table_name AND o.path = f.row_id
             WHERE f.rule IN ('library.corrupt', 'library.blank') AND f.mended_at IS NULL AND {wanted}
             ORDER BY o.decoded_at NULLS FIRST LIMIT %(limit)s)
            UNION ALL
            (SELECT {_KEPT} FROM studio.stock_objects o WHERE {wanted}
               AND NOT EXISTS (SELECT FROM studio.findings f WHERE f.table_name = o.bucket AND f.row_id = o.path
                               AND f.rule IN ('library.corrupt', 'library.blank') AND f.mended_at IS NULL)
             ORDER BY o.decoded_at NULLS FIRST, o.bucket, o.path LIMIT %(limit)s)
            LIMIT %(limit)s
            """,
            {"scan": scan.id, "at": scan.started_at, "limit": limit},
        ).fetchall()


def note_hash(conn: Connection, hashes: Mapping[Address, str]) -> None:
    """What the bytes of these objects hash to."""
    conn.execute(
        """
        UPDATE studio.stock_objects o SET sha256 = n.sha256
        FROM unnest(%s::text[], %s::text[], %s::text[]) AS n (bucket, path, sha256)
        WHERE o.bucket = n.bucket AND o.path = n.path AND o.sha256 IS DISTINCT FROM n.sha256
        """,
        ([one.bucket for one in hashes], [one.path for one in hashes], list(hashes.values())),
    )


def note_decoded(
    conn: Connection, address: Address, *, sha256: str | None, phash: str | None, is_blank: bool
) -> None:
    """An object was decoded, or could not be (then without hashes)."""
    conn.execute(
        """
        UPDATE studio.stock_objects SET decoded_at = clock_timestamp(), sha256 = coalesce(%s, sha256),
            phash = coalesce(%s, phash), is_blank = %s WHERE bucket = %s AND path = %s
        """,
        (sha256, phash, is_blank, *address),
    )


def blanks(conn: Connection, scan_id: UUID, after: Address | None, *, limit: int) -> list[Kept]:
    """The next pictures that are one colour, by their rows or their bytes."""
    with conn.cursor(row_factory=class_row(Kept)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_KEPT} FROM studio.stock_objects o
            WHERE o.named_in = %(scan)s AND o.is_wanted AND o.is_picture AND o.is_blank
              AND (o.bucket, o.path) > (%(bucket)s, %(path)s)
            ORDER BY o.bucket, o.path LIMIT %(limit)s
            """,
            {"scan": scan_id, "limit": limit, **_address(after)},
        ).fetchall()


def unnamed(
    conn: Connection, scan_id: UUID, after: Address | None, *, before: datetime, limit: int
) -> list[Stray]:
    """The next objects no row names and that stood `before` already. Not those of a job that is being made or saved, of
    one that was removed on purpose, in the bin, beside their original, or of the platform's own in `assets`.
    """
    with conn.cursor(row_factory=class_row(Stray)) as cursor:
        return cursor.execute(
            r"""
            SELECT o.bucket, o.path, o.size, studio.job_of_path(o.path) AS job_id FROM studio.stock_objects o
            LEFT JOIN public.jobs j ON j.id = studio.job_of_path(o.path)
            WHERE o.named_in IS DISTINCT FROM %(scan)s AND o.modified_at < %(before)s
              AND (o.bucket, o.path) > (%(bucket)s, %(path)s)
              AND NOT starts_with(o.path, 'binned/')
              AND (o.bucket <> 'assets' OR o.path ~ '^(attribute-images|style-images)/')
              AND NOT coalesce(j.status IN ('queued', 'processing')
                               OR (j.stage = 'saving' AND j.completed_at > %(before)s), false)
              AND NOT EXISTS (SELECT FROM studio.removed_portraits r WHERE r.job_id = j.id)
              AND NOT EXISTS (SELECT FROM studio.removed_items r WHERE r.job_id = j.id)
              AND NOT EXISTS (
                SELECT FROM unnest(ARRAY['.png', '.jpg', '.jpeg', '.webp', '.avif']) AS ending
                JOIN studio.stock_objects p ON p.bucket = o.bucket
                  AND p.path = regexp_replace(o.path, '\.thumb\.[A-Za-z0-9]+$', '') || ending
                WHERE o.path ~ '\.thumb\.[A-Za-z0-9]+$' AND p.named_in = %(scan)s)
            ORDER BY o.bucket, o.path LIMIT %(limit)s
            """,
            {"scan": scan_id, "before": before, "limit": limit, **_address(after)},
        ).fetchall()


def to_compare(conn: Connection, scan_id: UUID, after: Address | None, *, limit: int) -> list[str]:
    """The next pictures of the library that have a perceptual hash; their paths."""
    rows = conn.execute(
        """
        SELECT o.path FROM studio.stock_objects o
        WHERE o.bucket = 'user-library' AND o.named_in = %(scan)s AND o.is_wanted AND o.is_picture AND o.phash IS NOT NULL
          AND NOT o.is_blank AND o.path > %(path)s
        ORDER BY o.path LIMIT %(limit)s
        """,
        {"scan": scan_id, "path": after.path if after else "", "limit": limit},
    ).fetchall()
    return [row[0] for row in rows]


_BAND = """
    (SELECT b.path, b.phash FROM studio.stock_objects b
     WHERE substr(b.phash, {at}, 4) = substr(a.phash, {at}, 4) AND b.phash IS NOT NULL LIMIT %(most)s)
"""
_LIVE = (
    "b.bucket = 'user-library' AND b.named_in = %(scan)s AND b.is_wanted AND b.is_picture AND NOT b.is_blank"
)


# The library rows of two pictures, where those tell them apart; an older row that tells nothing tells nothing apart.
_TOLD_APART = """
    SELECT FROM public.user_library mine JOIN public.user_library theirs ON {by}
    WHERE a.table_name = 'user_library' AND mine.id = studio.as_uuid(a.row_id)
      AND {other}.table_name = 'user_library' AND theirs.id = studio.as_uuid({other}.row_id)
"""
_ALTERNATES = """
    (theirs.generation_seed <> mine.generation_seed OR (theirs.original_prompt = mine.original_prompt
     AND a.character_id IS NOT DISTINCT FROM near.character_id))
"""


def twins(conn: Connection, scan_id: UUID, paths: Sequence[str], *, distance: int, most: int) -> list[Twin]:
    """Of each path the first picture with the very same look, and those at most `distance` bits away (3 or fewer).

    Candidates share one of four bands of the hash; at most `most` are read of each band. Two seeds make two pictures, and
    those of the same character and prompt that look alike without being the same are alternates: none of these.
    """
    with conn.cursor(row_factory=class_row(Twin)) as cursor:
        return cursor.execute(
            f"""
            SELECT a.path, found.path AS other_path, found.distance, found.is_same, a.row_id, a.character_id, a.owner, a.size
            FROM studio.stock_objects a
            CROSS JOIN LATERAL (
                (SELECT b.path, 0 AS distance,
                    coalesce(coalesce(b.sha256, b.want_sha256) = coalesce(a.sha256, a.want_sha256), false) AS is_same
                 FROM studio.stock_objects b
                 WHERE substr(b.phash, 1, 4) = substr(a.phash, 1, 4) AND b.phash = a.phash AND b.path < a.path AND {_LIVE}
                   AND (coalesce(b.sha256, b.want_sha256) = coalesce(a.sha256, a.want_sha256)
                        OR NOT EXISTS ({_TOLD_APART.format(other="b", by="theirs.generation_seed <> mine.generation_seed")}))
                 ORDER BY is_same DESC, b.path LIMIT 1)
                UNION ALL
                (SELECT near.path, near.distance, false FROM (
                    SELECT b.path, b.character_id, b.table_name, b.row_id,
                        bit_count(('x' || a.phash)::bit(64) # ('x' || b.phash)::bit(64))::integer AS distance
                    FROM (SELECT DISTINCT band.path FROM (
                            {" UNION ALL ".join(_BAND.format(at=at) for at in (1, 5, 9, 13))}) band
                          WHERE band.path < a.path AND band.phash <> a.phash) candidate
                    JOIN studio.stock_objects b ON b.bucket = a.bucket AND b.path = candidate.path
                    WHERE {_LIVE} AND b.phash IS NOT NULL) near
                 WHERE near.distance <= %(distance)s AND NOT EXISTS ({_TOLD_APART.format(other="near", by=_ALTERNATES)})
                 ORDER BY near.distance, near.path LIMIT 3)) found
            WHERE a.bucket = 'user-library' AND a.path = ANY(%(paths)s::text[])
            ORDER BY a.path, found.distance
            """.encode(),
            {"scan": scan_id, "paths": list(paths), "distance": distance, "most": most},
            prepare=False,
        ).fetchall()


def _address(after: Address | None) -> dict[str, object]:
    return {"bucket": after.bucket if after else "", "path": after.path if after else ""}


# -- what the rows name --------------------------------------------------------------------------------------------

_HASH = "CASE WHEN {column} ~* '^[0-9a-f]{{64}}$' THEN lower({column}) END"
_LOOK = "CASE WHEN {column} ~ '^[0-9a-f]{{16}}$' THEN {column} END"
_IDLE = "coalesce(j.status NOT IN ('queued', 'processing'), true)"
# Of each table: who owns a row, when it was written, whether its objects should stand, and its columns with pictures:
# name, bucket, value, part, size, hash, perceptual hash, blank.
_LIBRARY = f"""
    SELECT t.id::text AS row_id, v.*, t.deleted_at IS NULL AS is_live,
        t.deleted_at IS NULL AND t.created_at < %(settled)s AND {_IDLE} AS is_wanted,
        t.created_at AS made_at, t.user_id AS owner, studio.as_uuid(t.roleplay_metadata ->> 'character_id') AS character_id,
        t.job_id
    FROM {{chosen}} t LEFT JOIN public.jobs j ON j.id = t.job_id
    CROSS JOIN LATERAL (VALUES
        ('storage_path', 'user-library', t.storage_path, 'picture', nullif(t.file_size_bytes, 0),
         {_HASH.format(column="t.sha256")}, {_LOOK.format(column="t.phash")}, coalesce(t.blank, false)),
        ('thumbnail_path', 'user-library', coalesce(t.thumbnail_path, CASE WHEN j.runner = 'studio' AND t.storage_path !~ '^(https?:|/)'
            THEN regexp_replace(t.storage_path, '[.][A-Za-z0-9]+$', '') || '.thumb.webp' END), 'thumbnail', NULL, NULL, NULL, false)
    ) v (column_name, bucket, value, part, want_size, want_sha256, phash, is_blank)
"""
_WORKSPACE = f"""
    SELECT t.id::text AS row_id, v.*, t.cleaned_at IS NULL AND t.deleted_at IS NULL AS is_live,
        t.cleaned_at IS NULL AND t.deleted_at IS NULL AND t.created_at < %(settled)s AND {_IDLE}
        AND NOT (t.created_at < now() - make_interval(days => 7) AND (j.stage = 'saved'
            OR EXISTS (SELECT FROM public.user_library l WHERE l.job_id = t.job_id))) AS is_wanted,
        t.created_at AS made_at, t.user_id AS owner, j.character_id, t.job_id
    FROM {{chosen}} t LEFT JOIN public.jobs j ON j.id = t.job_id
    CROSS JOIN LATERAL (VALUES
        ('temp_storage_path', 'workspace-temp', t.temp_storage_path, 'picture', nullif(t.file_size_bytes, 0),
         {_HASH.format(column="t.sha256")}, NULL::text, coalesce(t.blank, false)),
        ('thumbnail_path', 'workspace-temp', t.thumbnail_path, 'thumbnail', NULL, NULL, NULL, false)
    ) v (column_name, bucket, value, part, want_size, want_sha256, phash, is_blank)
"""
_REFERENCES = f"""
    SELECT t.id::text AS row_id, 'path' AS column_name, 'reference_images' AS bucket, t.path AS value, 'picture' AS part,
        t.file_size::bigint AS want_size, {_HASH.format(column="t.sha256")} AS want_sha256, NULL::text AS phash,
        false AS is_blank, t.deleted_at IS NULL AS is_live, t.deleted_at IS NULL AND t.uploaded_at < %(settled)s AS is_wanted, t.uploaded_at AS made_at,
        t.owner, t.character_id, NULL::uuid AS job_id
    FROM {{chosen}} t
"""
_PORTRAITS = f"""
    SELECT t.id::text AS row_id, v.*, t.deleted_at IS NULL AND c.deleted_at IS NULL AS is_live,
        t.deleted_at IS NULL AND c.deleted_at IS NULL AND t.updated_at < %(settled)s AND {_IDLE} AS is_wanted,
        t.updated_at AS made_at, c.user_id AS owner, t.character_id, t.job_id
    FROM {{chosen}} t JOIN public.characters c ON c.id = t.character_id LEFT JOIN public.jobs j ON j.id = t.job_id
    CROSS JOIN LATERAL (VALUES
        ('image_url', 'user-library', t.image_url, 'picture', NULL::bigint, {_HASH.format(column="t.sha256")},
         {_LOOK.format(column="t.phash")}, false),
        ('thumbnail_url', 'user-library', t.thumbnail_url, 'thumbnail', NULL, NULL, NULL, false)
    ) v (column_name, bucket, value, part, want_size, want_sha256, phash, is_blank)
"""
_CHARACTERS = """
    SELECT t.id::text AS row_id, v.*, t.deleted_at IS NULL AS is_live,
        t.deleted_at IS NULL AND t.updated_at < %(settled)s AS is_wanted,
        t.updated_at AS made_at, t.user_id AS owner, t.id AS character_id, NULL::uuid AS job_id
    FROM {chosen} t
    CROSS JOIN LATERAL (VALUES
        ('image_url', 'user-library', t.image_url, 'picture', NULL::bigint, NULL::text, NULL::text, false),
        ('reference_image_url', 'reference_images', t.reference_image_url, 'picture', NULL, NULL, NULL, false),
        ('preview_image_url', 'user-library', t.preview_image_url, 'picture', NULL, NULL, NULL, false)
    ) v (column_name, bucket, value, part, want_size, want_sha256, phash, is_blank)
"""
_SCENES = """
    SELECT t.id::text AS row_id, 'image_url' AS column_name, 'user-library' AS bucket, t.image_url AS value,
        'picture' AS part, NULL::bigint AS want_size, NULL::text AS want_sha256, NULL::text AS phash, false AS is_blank,
        c.deleted_at IS NULL AS is_live, c.deleted_at IS NULL AND t.updated_at < %(settled)s AS is_wanted,
        t.updated_at AS made_at, c.user_id AS owner, t.character_id, NULL::uuid AS job_id
    FROM {chosen} t JOIN public.characters c ON c.id = t.character_id
"""
_PUBLISHED = """
    SELECT t.id::text AS row_id, v.*, true AS is_live, t.{moment} < %(settled)s AS is_wanted, t.{moment} AS made_at, NULL::uuid AS owner,
        NULL::uuid AS character_id, t.job_id
    FROM {{chosen}} t
    CROSS JOIN LATERAL (VALUES
        ('image_url', 'assets', t.image_url, 'picture', NULL::bigint, NULL::text, NULL::text, false),
        ('original', 'attribute-originals', t.original, 'picture', NULL, NULL, NULL, false)
    ) v (column_name, bucket, value, part, want_size, want_sha256, phash, is_blank)
"""
SOURCES: Mapping[str, tuple[str, str]] = {
    "user_library": ("public.user_library", _LIBRARY),
    "workspace_assets": ("public.workspace_assets", _WORKSPACE),
    "reference_uploads": ("studio.reference_uploads", _REFERENCES),
    "character_portraits": ("public.character_portraits", _PORTRAITS),
    "characters": ("public.characters", _CHARACTERS),
    "character_scenes": ("public.character_scenes", _SCENES),
    "attribute_images": ("public.attribute_images", _PUBLISHED.format(moment="updated_at")),
    "style_images": ("public.style_images", _PUBLISHED.format(moment="updated_at")),
    "attribute_image_versions": ("studio.attribute_image_versions", _PUBLISHED.format(moment="kept_at")),
}
"""Every table whose rows name pictures, in the order in which a scan reads them."""


def page_of_rows(conn: Connection, source: str, after: str, *, limit: int) -> list[str]:
    """The next ids of a table."""
    table, _ = SOURCES[source]
    rows = conn.execute(
        f"SELECT id::text FROM {table} WHERE id > %s::uuid ORDER BY id LIMIT %s".encode(),
        (after or str(UUID(int=0)), limit),
    ).fetchall()
    return [row[0] for row in rows]


def lines(conn: Connection, source: str, ids: Sequence[str], *, settled: datetime) -> list[Line]:
    """What these rows name. What was written after `settled` is not judged yet."""
    table, statement = SOURCES[source]
    chosen = f"(SELECT * FROM {table} WHERE id = ANY(%(ids)s::uuid[]))"
    with conn.cursor(row_factory=class_row(Line)) as cursor:
        return cursor.execute(
            f"""
            SELECT l.row_id, l.column_name, l.bucket, l.value, l.part, l.want_size, l.want_sha256, l.is_live, l.is_wanted, l.made_at,
                l.owner, l.character_id, l.job_id, l.phash, l.is_blank
            FROM ({statement.replace("{chosen}", chosen)}) l WHERE coalesce(l.value, '') <> '' ORDER BY l.row_id
            """.encode(),
            {"ids": list(ids), "settled": settled},
            prepare=False,
        ).fetchall()


def own_hosts(conn: Connection) -> tuple[str, ...]:
    """The hosts whose links lead to our own storage."""
    row = conn.execute("SELECT value FROM studio.settings WHERE key = 'own_hosts'").fetchone()
    return tuple(filter(None, row[0].split(","))) if row else ()


# -- findings ------------------------------------------------------------------------------------------------------


def find(conn: Connection, scan_id: UUID, marks: Sequence[Mark]) -> None:
    """Findings with what they point at; of one scan the first row to tell counts, and what a person accepted stays closed."""
    told = {(f"library.{one.kind}", one.table, one.row): one for one in reversed(marks)}
    ids = _find(conn, scan_id, told)
    if not ids:
        return
    # In two statements: joined in one, each finding was compared with each mark.
    fields = [
        {name: _plain(getattr(told[key], name)) for name in _POINTED_AT} | {"finding_id": finding_id}
        for finding_id, key in ids
    ]
    conn.execute(
        f"""
        INSERT INTO studio.stock_marks AS s (finding_id, scan_id, {", ".join(_POINTED_AT)})
        SELECT m.finding_id, %(scan)s, {", ".join(f"m.{name}" for name in _POINTED_AT)}
        FROM jsonb_to_recordset(%(marks)s::jsonb) AS m (finding_id bigint, {", ".join(" ".join(one) for one in _POINTED_AT.items())})
        ON CONFLICT (finding_id) DO UPDATE SET scan_id = excluded.scan_id,
            {", ".join(f"{name} = excluded.{name}" for name in _POINTED_AT if name != "kind")}
        """.encode(),
        {"scan": scan_id, "marks": json.dumps(fields)},
    )


# What a mark points at, and of which type: columns of studio.stock_marks.
_POINTED_AT: Mapping[str, str] = {
    "kind": "text",
    **dict.fromkeys(("bucket", "path", "other_path", "table_name", "row_id", "column_name"), "text"),
    **dict.fromkeys(("owner", "character_id", "job_id"), "uuid"),
    **dict.fromkeys(("size", "want_size"), "bigint"),
    "distance": "integer",
    "host": "text",
    "dies_at": "timestamptz",
}
_FindingKey = tuple[str, str, str]  # rule, table, row


def _find(conn: Connection, scan_id: UUID, told: Mapping[_FindingKey, Mark]) -> list[tuple[int, _FindingKey]]:
    """Write the findings of these marks; ids and keys of those that this scan or a person has not settled already."""
    found = conn.execute(
        """
        INSERT INTO studio.findings AS f (rule, table_name, row_id, sentence)
        SELECT m.rule, m."table", m."row", m.sentence
        FROM unnest(%(rules)s::text[], %(tables)s::text[], %(rows)s::text[], %(sentences)s::text[])
            AS m (rule, "table", "row", sentence)
        WHERE NOT EXISTS (
            SELECT FROM studio.findings k
            JOIN studio.stock_marks s ON s.finding_id = k.id AND (s.is_accepted OR s.scan_id = %(scan)s)
            WHERE k.rule = m.rule AND k.table_name = m."table" AND k.row_id = m."row")
        ORDER BY m.rule, m."table", m."row"
        ON CONFLICT (rule, table_name, row_id) DO UPDATE SET last_seen = clock_timestamp(), times = f.times + 1,
            sentence = excluded.sentence, mended_at = NULL, mended_by = NULL
        RETURNING f.id, f.rule, f.table_name, f.row_id
        """,
        {
            "scan": scan_id,
            "rules": [rule for rule, _, _ in told],
            "tables": [table for _, table, _ in told],
            "rows": [row for _, _, row in told],
            "sentences": [one.sentence for one in told.values()],
        },
    ).fetchall()
    return [(number, (rule, table, row)) for number, rule, table, row in found]


def _plain(value: object) -> object:
    if isinstance(value, UUID):
        return str(value)
    return value.isoformat() if isinstance(value, datetime) else value


def keep_open(conn: Connection, scan_id: UUID, addresses: Sequence[Address]) -> None:
    """What could not be read now stays as the last look at it left it."""
    conn.execute(
        """
        UPDATE studio.stock_marks m SET scan_id = %s
        FROM unnest(%s::text[], %s::text[]) AS n (bucket, path)
        WHERE m.bucket = n.bucket AND m.path = n.path AND m.kind IN ('hash_differs', 'corrupt', 'blank')
        """,
        (scan_id, [one.bucket for one in addresses], [one.path for one in addresses]),
    )


# -- what a repair writes ------------------------------------------------------------------------------------------


def refusal(conn: Connection, finding_id: int) -> str | None:
    """Why this connection's person may not repair this finding now, None where they may. Raises NotAllowed."""
    row = conn.execute("SELECT studio.stock_repair_refusal(%s)", (finding_id,)).fetchone()
    return row[0] if row else None


def end_repair(
    conn: Connection,
    finding_id: int,
    deed: str,
    *,
    before: Mapping[str, object],
    after: Mapping[str, object],
    why: str,
) -> bool:
    """The finding is mended by this connection's person, and the audit says so; False where somebody else was first."""
    row = conn.execute(
        "SELECT studio.end_stock_repair(%s, %s, %s, %s, %s)",
        (finding_id, deed, json.dumps(before), json.dumps(after), why),
    ).fetchone()
    return bool(row and row[0])


_COLUMNS = frozenset(
    {
        ("user_library", "storage_path"),
        ("user_library", "thumbnail_path"),
        ("workspace_assets", "temp_storage_path"),
        ("workspace_assets", "thumbnail_path"),
        ("character_portraits", "image_url"),
        ("character_portraits", "thumbnail_url"),
        ("characters", "image_url"),
        ("characters", "reference_image_url"),
        ("characters", "preview_image_url"),
        ("character_scenes", "image_url"),
        ("attribute_images", "image_url"),
        ("attribute_images", "original"),
        ("style_images", "image_url"),
        ("style_images", "original"),
    }
)


def value_of(conn: Connection, table: str, column: str, row_id: str) -> str | None:
    """What a column of a row says now; None where the row, or such a column, is not there."""
    if (table, column) not in _COLUMNS:
        return None
    statement = f"SELECT {column} FROM public.{table} WHERE id = %s::uuid"
    row = conn.execute(statement.encode(), (row_id,)).fetchone()
    return row[0] if row else None


def replace_value(conn: Connection, table: str, column: str, row_id: str, *, old: str, new: str) -> bool:
    """Write an address into a column that still says `old`; False where it was changed meanwhile."""
    if (table, column) not in _COLUMNS:
        return False
    done = conn.execute(
        f"UPDATE public.{table} SET {column} = %s WHERE id = %s::uuid AND {column} = %s".encode(),
        (new, row_id, old),
    )
    return done.rowcount == 1


def record(conn: Connection, table: str, row_id: str, *, size: int, sha256: str) -> Mapping[str, Any] | None:
    """Write an object's true size and hash into the row that names it; what stood there, None where it has no such row."""
    if table not in {"user_library", "workspace_assets"}:
        return None
    row = conn.execute(
        f"""
        UPDATE public.{table} t SET file_size_bytes = %s, sha256 = %s FROM public.{table} old
        WHERE t.id = %s::uuid AND old.id = t.id RETURNING old.file_size_bytes, old.sha256
        """.encode(),
        (size, sha256, row_id),
    ).fetchone()
    return {"size": row[0], "sha256": row[1]} if row else None


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """The size and hash a row records of its object."""

    size: int | None
    sha256: str | None


def recorded(conn: Connection, table: str, row_id: str) -> Recorded | None:
    """What a row records of its object, None where it has no such row, or records nothing."""
    if table not in {"user_library", "workspace_assets"}:
        return None
    with conn.cursor(row_factory=class_row(Recorded)) as cursor:
        return cursor.execute(
            f"SELECT nullif(file_size_bytes, 0) AS size, lower(sha256) AS sha256 FROM public.{table} WHERE id = %s::uuid".encode(),
            (row_id,),
        ).fetchone()


def name_thumbnail(conn: Connection, table: str, row_id: str, address: Address) -> None:
    """The row names its thumbnail, where it named none."""
    if table in {"user_library", "workspace_assets"}:
        conn.execute(
            f"UPDATE public.{table} SET thumbnail_path = %s WHERE id = %s::uuid AND thumbnail_path IS NULL".encode(),
            (address.path, row_id),
        )


def original_of(conn: Connection, bucket: str, path: str) -> str | None:
    """The picture a thumbnail belongs to, by the rows that name it or by its name; a path inside its bucket."""
    stem = path.removesuffix(".thumb.webp")
    row = conn.execute(
        r"""
        SELECT found.path FROM (
            SELECT regexp_replace(l.storage_path, '^user-library/', '') AS path FROM studio.stock_marks m
            JOIN public.user_library l ON m.table_name = 'user_library' AND l.id = studio.as_uuid(m.row_id)
            WHERE m.bucket = %(bucket)s AND m.path = %(path)s AND m.kind = 'thumbnail_missing'
            UNION ALL
            SELECT studio.inside_workspace(a.temp_storage_path) FROM studio.stock_marks m
            JOIN public.workspace_assets a ON m.table_name = 'workspace_assets' AND a.id = studio.as_uuid(m.row_id)
            WHERE m.bucket = %(bucket)s AND m.path = %(path)s AND m.kind = 'thumbnail_missing'
            UNION ALL
            SELECT regexp_replace(p.image_url, '^user-library/', '') FROM studio.stock_marks m
            JOIN public.character_portraits p ON m.table_name = 'character_portraits' AND p.id = studio.as_uuid(m.row_id)
            WHERE m.bucket = %(bucket)s AND m.path = %(path)s AND m.kind = 'thumbnail_missing'
            UNION ALL
            SELECT o.path FROM studio.stock_objects o
            WHERE o.bucket = %(bucket)s AND o.path = ANY(%(guesses)s::text[])) found
        LIMIT 1
        """,
        {
            "bucket": bucket,
            "path": path,
            "guesses": [f"{stem}.{ending}" for ending in ("png", "jpg", "jpeg", "webp", "avif")],
        },
    ).fetchone()
    return row[0] if row else None


def is_named(conn: Connection, address: Address) -> bool:
    """Whether a row names this object by now: looked up before an object is moved, whatever the last scan saw."""
    said = [address.path, str(address)]
    row = conn.execute(
        """
        SELECT EXISTS (SELECT FROM public.user_library WHERE storage_path = ANY(%(said)s) OR thumbnail_path = ANY(%(said)s))
            OR EXISTS (SELECT FROM public.workspace_assets WHERE temp_storage_path = ANY(%(said)s) OR thumbnail_path = ANY(%(said)s))
            OR EXISTS (SELECT FROM public.character_portraits WHERE image_url = ANY(%(said)s) OR thumbnail_url = ANY(%(said)s))
            OR EXISTS (SELECT FROM public.characters WHERE image_url = ANY(%(said)s) OR reference_image_url = ANY(%(said)s)
                       OR preview_image_url = ANY(%(said)s))
            OR EXISTS (SELECT FROM public.character_scenes WHERE image_url = ANY(%(said)s))
            OR EXISTS (SELECT FROM studio.reference_uploads WHERE path = %(path)s AND deleted_at IS NULL)
            OR EXISTS (SELECT FROM studio.attribute_pictures WHERE image_url = ANY(%(said)s) OR original = ANY(%(said)s))
            OR EXISTS (SELECT FROM studio.attribute_image_versions WHERE image_url = ANY(%(said)s) OR original = ANY(%(said)s))
        """,
        {"said": said, "path": address.path},
    ).fetchone()
    return bool(row and row[0])


def put_item_in_bin(conn: Connection, path: str, by: PersonId) -> Mapping[str, Any] | None:
    """A library row and its portraits become tombstones, which a person may take back; None where there is no such row,
    or one of its portraits is its character's primary.
    """
    said = [path, f"user-library/{path}"]
    kept = conn.execute(
        """
        SELECT EXISTS (SELECT FROM public.character_portraits WHERE image_url = ANY(%(said)s) AND deleted_at IS NULL AND is_primary)
            OR EXISTS (SELECT FROM public.characters WHERE deleted_at IS NULL
                       AND (image_url = ANY(%(said)s) OR reference_image_url = ANY(%(said)s)))
        """,
        {"said": said},
    ).fetchone()
    if kept is None or kept[0]:
        return None
    values = {"said": said, "by": by}
    items = conn.execute(
        """
        UPDATE public.user_library SET deleted_at = now(), deleted_by = %(by)s
        WHERE storage_path = ANY(%(said)s) AND deleted_at IS NULL RETURNING id::text
        """,
        values,
    ).fetchall()
    shown = conn.execute(
        """
        UPDATE public.character_portraits SET deleted_at = now(), deleted_by = %(by)s, updated_at = now()
        WHERE image_url = ANY(%(said)s) AND deleted_at IS NULL RETURNING id::text
        """,
        values,
    ).fetchall()
    found = {"library": [row[0] for row in items], "portraits": [row[0] for row in shown]}
    return found if items or shown else None


def insert_brought(
    conn: Connection,
    *,
    owner: PersonId,
    character_id: CharacterId | None,
    address: Address,
    thumbnail: Address,
    picture: Mapping[str, object],
    kind: str,
) -> None:
    """The library row of a picture whose bytes were brought in from outside, once for each path."""
    conn.execute(
        """
        INSERT INTO public.user_library (user_id, asset_type, storage_path, thumbnail_path, file_size_bytes, mime_type, width,
            height, tags, roleplay_metadata, content_category, sha256, phash, blank)
        SELECT %(owner)s, 'image', %(path)s, %(thumbnail)s, %(size)s, %(type)s, %(width)s, %(height)s, %(tags)s,
            jsonb_strip_nulls(jsonb_build_object('type', %(kind)s::text, 'character_id', %(character)s::text,
                                                 'origin', 'external_link')),
            'character', %(sha256)s, %(phash)s, %(blank)s
        WHERE NOT EXISTS (SELECT FROM public.user_library WHERE storage_path = %(path)s)
        """,
        {
            **picture,
            "owner": owner,
            "path": address.path,
            "thumbnail": thumbnail.path,
            "tags": ["character", "portrait" if kind == "character_portrait" else "scene"],
            "kind": kind,
            "character": character_id,
        },
    )


def owner_and_character(
    conn: Connection, table: str, row_id: str
) -> tuple[PersonId | None, CharacterId | None]:
    """Whose folder a row's picture belongs to, and its character."""
    statement = {
        "characters": "SELECT c.user_id, c.id FROM public.characters c WHERE c.id = %s::uuid",
        "character_portraits": "SELECT c.user_id, c.id FROM public.character_portraits t JOIN public.characters c ON c.id = t.character_id WHERE t.id = %s::uuid",
        "character_scenes": "SELECT c.user_id, c.id FROM public.character_scenes t JOIN public.characters c ON c.id = t.character_id WHERE t.id = %s::uuid",
    }.get(table)
    row = conn.execute(statement.encode(), (row_id,)).fetchone() if statement else None
    return (row[0], row[1]) if row else (None, None)


def job_has_item(conn: Connection, job_id: JobId) -> bool:
    """Whether a library row of this job stands, also in the bin."""
    return (
        conn.execute("SELECT 1 FROM public.user_library WHERE job_id = %s LIMIT 1", (job_id,)).fetchone()
        is not None
    )


def insert_portrait(
    conn: Connection,
    *,
    character_id: CharacterId,
    address: Address,
    thumbnail: Address,
    picture: Mapping[str, object],
) -> None:
    """The portrait row of a brought picture, once; primary only where its character has none."""
    conn.execute(
        """
        INSERT INTO public.character_portraits (character_id, image_url, thumbnail_url, generation_metadata, is_primary,
            sort_order, width, height, sha256, phash)
        SELECT %(character)s, %(image)s, %(thumbnail)s, '{"origin": "external_link"}',
            NOT EXISTS (SELECT FROM public.character_portraits p WHERE p.character_id = %(character)s AND p.is_primary),
            coalesce((SELECT min(p.sort_order) - 1 FROM public.character_portraits p WHERE p.character_id = %(character)s), 0),
            %(width)s, %(height)s, %(sha256)s, %(phash)s
        WHERE NOT EXISTS (SELECT FROM public.character_portraits p
                          WHERE p.character_id = %(character)s AND p.image_url = %(image)s)
        """,
        {**picture, "character": character_id, "image": str(address), "thumbnail": str(thumbnail)},
    )


def mended_by(conn: Connection, finding_id: int) -> tuple[UUID | None, datetime] | None:
    """Who mended a finding and when, None where it is open."""
    row = conn.execute(
        "SELECT mended_by, mended_at FROM studio.findings WHERE id = %s AND mended_at IS NOT NULL",
        (finding_id,),
    ).fetchone()
    return (row[0], row[1]) if row else None
