"""Rows of the platform's tables against the rules of the studio: counted on a database as it stands (adopted or not), and
written to studio.findings by a sweep (SPEC "Adoption"). The rules are core/db/row_conditions.py.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple
from uuid import UUID

from psycopg.rows import class_row

from core import catalog
from core.audit import autosave
from core.db import Connection, as_ours, findings, proofs, repeat_on_deadlock, stock
from core.db.row_conditions import LINES, NAMES, OURS, RULES, SWEPT, TABLES, UUID_FORM, RowRule
from core.errors import Conflict
from core.stock_kinds import link_mark
from core.storage import Address
from core.stored_links import read
from core.values import STYLE_IMAGE

AT_ONCE = 5_000  # rows of one transaction
BY_CHECKS = tuple(reason.rule for reason in autosave.CHECK_OF)
"""What the seven checks of the auto-save write."""
_RESUMED_WITHIN = "1 day"
_KEPT_SWEEPS = 30
_CLOSING = "closing"
_WAIT = 600.0  # seconds for another sweep to end
_TURN = 0.2  # seconds between two looks whether it has
_JOBS_AT_ONCE = 10_000  # of the seven checks
_NONE = str(UUID(int=0))  # before every row

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class SweepRow:
    """A row of studio.row_sweeps. `stage` is the table it is at, `cursor` the last row of it that was looked at."""

    id: UUID
    started_at: object
    stage: str
    cursor: str
    expected: int
    looked_at: int


# -- counting, on a database as it stands ------------------------------------------------------------------------------


def count(conn: Connection, *, own_hosts: Sequence[str] | None = None) -> dict[str, int]:
    """How many rows break each rule, of a table and a rule that are there; 0 is left out. Reads only.

    Before the adoption nothing else looks yet, so what other checks will find counts here too. `own_hosts`: whose signed
    links are ours; None: those the database knows, and where it knows none, every Supabase project's.
    """
    shape = _shape(conn)
    values = {**_options(conn, shape), "hosts": list(_hosts(conn, shape, own_hosts))}
    found: dict[str, int] = {}
    for rule in RULES:
        if rule.table in shape.tables:
            number = _number(conn, _counting(rule, shape), values)
            found[rule.name] = found.get(rule.name, 0) + number
    found |= _count_links(conn, shape, values)
    return {name: found[name] for name in NAMES if found.get(name)}


class _Shape(NamedTuple):
    """What the database has: its tables, each as SQL that holds every column the rules read; and whether it is ours."""

    tables: Mapping[str, str]
    is_adopted: bool


def _shape(conn: Connection) -> _Shape:
    rows = conn.execute(
        """
        SELECT c.relname, array_agg(a.attname::text) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
          AND c.relname = ANY(%s) GROUP BY c.relname
        """,
        (list(OURS),),
    ).fetchall()
    tables: dict[str, str] = {}
    for table, columns in rows:
        missing = [
            f"NULL::{kind} AS {name}" for name, kind in OURS[table].items() if name not in set(columns)
        ]
        tables[table] = (
            f"(SELECT t.*, {', '.join(missing)} FROM public.{table} t)" if missing else f"public.{table}"
        )
    row = conn.execute("SELECT to_regclass('studio.removed_items') IS NOT NULL").fetchone()
    return _Shape(tables=tables, is_adopted=row == (True,))


# Keeps a question of its own for each row. Else the planner may answer it for all rows of the table at once, and does
# so again for each stretch: the time then grows with the square of the rows (the library of 200,000 characters: 129 s instead of 30).
_FOR_EACH = "OFFSET 0"


def _with_tables(statement: str, shape: _Shape, *, batch: str, lines: str = "", each: str = "") -> str:
    """`statement` with its tables named: those of `shape`, `@batch` and `@lines`; `each` as `@each`."""
    known = {**shape.tables, "batch": batch, "lines": lines, "each": each}
    return re.sub(r"@([a-z_]+)", lambda named: known[named[1]], statement)


def _counting(rule: RowRule, shape: _Shape) -> str:
    lines = f"({LINES[rule.table]})"
    statement = rule.counted or f"SELECT count(*) FROM @lines r WHERE {_condition(rule, shape)}"
    return _with_tables(
        _with_tables(statement.replace("@lines", lines), shape, batch="@batch"),
        shape,
        batch=shape.tables[rule.table],
    )


def _condition(rule: RowRule, shape: _Shape) -> str:
    but = f" AND ({rule.but}) IS NOT TRUE" if rule.but and shape.is_adopted else ""
    return f"({rule.where}){but}"


def _number(conn: Connection, statement: str, values: Mapping[str, object]) -> int:
    row = conn.execute(statement.encode(), values, prepare=False).fetchone()
    return int(row[0]) if row else 0


def _options(conn: Connection, shape: _Shape) -> dict[str, object]:
    """Every category with its values, and every style, as the catalogue and the team have them."""
    shipped = catalog.load()
    values = {
        f"{category.key}/{name.strip()}".lower()
        for category in shipped.categories
        for value in category.values
        for name in (value.value, *value.aliases)
    }
    styles = {style.key for style in shipped.styles}
    if shape.is_adopted:
        rows = conn.execute("SELECT category, value, aliases FROM studio.attribute_options").fetchall()
        for category, value, aliases in rows:
            if category == STYLE_IMAGE:
                styles.add(value)
            else:
                values |= {f"{category}/{name.strip()}".lower() for name in (value, *aliases)}
    return {"values": sorted(values), "styles": sorted(styles)}


def _hosts(conn: Connection, shape: _Shape, own_hosts: Sequence[str] | None) -> Sequence[str]:
    if own_hosts is not None:
        return own_hosts
    return stock.own_hosts(conn) if shape.is_adopted else ()


# -- addresses ---------------------------------------------------------------------------------------------------------

_ADDRESSES: Mapping[str, tuple[str, ...]] = {
    "characters": ("image_url", "reference_image_url", "preview_image_url"),
    "character_portraits": ("image_url", "thumbnail_url"),
    "character_scenes": ("image_url",),
    "user_library": ("storage_path", "thumbnail_path"),
    "workspace_assets": ("temp_storage_path", "thumbnail_path"),
    "attribute_images": ("image_url",),
    "style_images": ("image_url",),
}
# Text that is no plain path: an empty part, one that begins oddly, a character that none has. What a path must not hold is
# found several times faster than what it must.
_ODD = "(^|/)([^A-Za-z0-9_]|$)|[^A-Za-z0-9._@=+~/-]"


def _is_fine(value: str) -> str:
    """A path of at most 16 parts and 200 characters."""
    return f"(btrim({value}) !~ '{_ODD}' AND split_part(btrim({value}), '/', 17) = '' AND length({value}) <= 200)"


_KINDS_OF_LINK = f"""
    SELECT CASE
        WHEN v.value !~* '^\\s*(https?://|/files/)' THEN 'library.no_address'
        WHEN v.value ~* '^\\s*/files/' THEN 'library.own_link'
        WHEN v.value ~* '^\\s*https?://[^/]+/(storage/v1/(object|render/image)/(sign|authenticated|public)|files)/'
             AND (cardinality(%(hosts)s::text[]) = 0
                  OR lower(substring(v.value from '^\\s*[A-Za-z]+://([^/?#]+)')) = ANY(%(hosts)s::text[]))
            THEN CASE WHEN v.value ~ '/public/' AND v.value !~ '[?&](token|expires|Expires)=' THEN 'public' ELSE 'library.own_link' END
        ELSE 'library.external_link' END AS kind
    FROM @lines r CROSS JOIN LATERAL (VALUES {{columns}}) v (value)
    WHERE coalesce(v.value, '') <> '' AND NOT {_is_fine("v.value")} {{live}}
"""


def _live(table: str) -> str:
    return "AND r.deleted_at IS NULL" if "deleted_at" in OURS[table] else ""


def _count_links(conn: Connection, shape: _Shape, values: Mapping[str, object]) -> dict[str, int]:
    """Stored links and texts that are none, a column of a row each."""
    found: dict[str, int] = {}
    for table, columns in _ADDRESSES.items():
        if table not in shape.tables:
            continue
        listed = ", ".join(f"(r.{column})" for column in columns)
        lines = f"({LINES[table]})"
        statement = _KINDS_OF_LINK.replace("{columns}", listed).replace("{live}", _live(table))
        statement = f"SELECT k.kind, count(*) FROM ({statement.replace('@lines', lines)}) k GROUP BY k.kind"
        told = _with_tables(statement, shape, batch=shape.tables[table])
        for kind, number in conn.execute(told.encode(), values, prepare=False).fetchall():
            found[kind] = found.get(kind, 0) + number
    found.pop("public", None)  # a public link of our own never ends
    return found


# -- a sweep -----------------------------------------------------------------------------------------------------------


def sweep(
    conn: Connection,
    say: Say | None = None,
    *,
    wait: float = _WAIT,
    leaving: Callable[[], bool] = lambda: False,
) -> dict[str, int]:
    """Look at every row of an adopted database and write what does not fit to studio.findings: open findings by rule.

    `conn` is in autocommit: it works in transactions of at most 5,000 rows, each kept with how far it has come, so that
    what a killed sweep left is gone on with (within a day, by the same rules). What is seen again keeps its first day,
    owner, note and judgement; what is not, is looked at once more at the end and then closed as mended by nobody.
    Only one sweep runs in a database. Where this process is `leaving` it stops, and the next one goes on. Raises Conflict
    SWEEP_RUNNING where another one did not end within `wait` seconds, DatabaseUnavailable.
    """
    with as_ours(), _alone(conn, wait):
        shape = _shape(conn)
        begun = _begin(conn)
        if say is not None:
            say("Checking every row of the platform's tables.")
        for table in _left(begun):
            begun = _look_at(conn, begun, table, shape, leaving)
            if leaving():
                return _open(conn)
            if say is not None:
                say(
                    f"Checked the rows of {table.replace('_', ' ')}: {begun.looked_at:,} rows looked at so far."
                )
        _close(conn, begun, shape)
        if not _is_proved(conn):
            if say is not None:
                say("Asking the seven checks of auto-save about every portrait job.")
            _see_by_checks(conn)
        return _end(conn, begun)


@contextlib.contextmanager
def _alone(conn: Connection, wait: float) -> Generator[None]:
    """One sweep at a time; a killed process loses its right with its connection."""
    asked = time.monotonic()
    while not _locked(conn, "pg_try_advisory_lock"):
        if time.monotonic() - asked >= wait:
            raise Conflict("Every row is being checked already. Wait until that ends.", code="SWEEP_RUNNING")
        time.sleep(_TURN)
    try:
        yield
    finally:
        if not conn.closed:
            _locked(conn, "pg_advisory_unlock")


def _locked(conn: Connection, function: str) -> bool:
    with as_ours():
        row = conn.execute(f"SELECT {function}(hashtextextended('rows:sweep', 0))".encode()).fetchone()
    return bool(row and row[0])


def catalogue() -> str:
    """Which rules this version looks by: another text for other conditions or sentences."""
    said = "\n".join(f"{r.name} {r.table} {r.where} {r.but} {r.sentence}" for r in RULES if r.is_swept)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


_SWEEP = "id, started_at, stage, cursor, expected, looked_at"


def _begin(conn: Connection) -> SweepRow:
    """The unfinished sweep where it goes by the same rules and began within a day, else one from the start."""
    values = {
        "rules": catalogue(),
        "kept": _KEPT_SWEEPS - 1,
        "within": _RESUMED_WITHIN,
        "tables": list(TABLES),
    }
    with conn.transaction(), conn.cursor(row_factory=class_row(SweepRow)) as cursor:
        cursor.execute(
            """
            DELETE FROM studio.row_sweeps WHERE finished_at < (
                SELECT min(kept.finished_at) FROM (SELECT finished_at FROM studio.row_sweeps WHERE finished_at IS NOT NULL
                                                   ORDER BY finished_at DESC LIMIT %(kept)s) kept)
            """,
            values,
        )
        cursor.execute(
            "INSERT INTO studio.row_sweeps DEFAULT VALUES ON CONFLICT ((true)) WHERE finished_at IS NULL DO NOTHING"
        )
        cursor.execute(
            """
            UPDATE studio.row_sweeps SET started_at = clock_timestamp(), stage = '', cursor = '', looked_at = 0,
                catalogue = %(rules)s, beat_at = clock_timestamp(),
                expected = (SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint FROM pg_class c
                            WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(%(tables)s))
            WHERE finished_at IS NULL AND (started_at IS NULL OR catalogue <> %(rules)s
                                           OR started_at < clock_timestamp() - %(within)s::interval)
            """,
            values,
        )
        found = cursor.execute(f"SELECT {_SWEEP} FROM studio.row_sweeps WHERE finished_at IS NULL").fetchone()
    assert found is not None  # noqa: S101 - it was inserted above
    return found


def _left(begun: SweepRow) -> Sequence[str]:
    """The tables that are still to be looked at, the one it stopped in first."""
    if begun.stage == _CLOSING:
        return ()
    return TABLES[TABLES.index(begun.stage) :] if begun.stage in TABLES else TABLES


def _look_at(
    conn: Connection, begun: SweepRow, table: str, shape: _Shape, leaving: Callable[[], bool]
) -> SweepRow:
    chosen = f"SELECT * FROM public.{table} t WHERE t.id > %(after)s::uuid ORDER BY t.id LIMIT %(limit)s"
    work = _Work(
        table=table,
        statement=_writing(table, chosen, shape).encode(),
        values={**_options(conn, shape), "limit": AT_ONCE},
        hosts=stock.own_hosts(conn),
    )
    after = begun.cursor if begun.stage == table else _NONE
    while moved := repeat_on_deadlock(partial(_look_at_stretch, conn, begun, work, after)):
        begun, after = moved, moved.cursor
        if leaving():
            break
    return begun


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What a table is looked at with."""

    table: str
    statement: bytes
    values: Mapping[str, object]
    hosts: tuple[str, ...]


def _look_at_stretch(conn: Connection, begun: SweepRow, work: _Work, after: str) -> SweepRow | None:
    """The next rows of a table, and how far that is, in one transaction; None where there are none left."""
    with conn.transaction():
        _by_index(conn)
        row = conn.execute(work.statement, {**work.values, "after": after}, prepare=False).fetchone()
        if row is None or row[0] is None:
            return None
        _see_links(conn, begun, work, row[2])
        return _move(conn, begun, work.table, str(row[0]), row[1])


def _by_index(conn: Connection) -> None:
    """What a row names is looked up by an index, for each of the few thousand rows of a stretch. Left to itself the
    planner reads whole tables for it: for each row where it knows nothing of a column that came just now, and once a
    stretch where it knows all (measured at 400,000 portraits: half a minute and more, instead of a second).
    """
    conn.execute(
        """
        SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
               set_config('enable_mergejoin', 'off', true)
        """
    )


def _writing(table: str, chosen: str, shape: _Shape) -> str:
    """The statement that looks at the `chosen` rows of a table by each of its rules and writes what it finds."""
    rules = [rule for rule in RULES if rule.table == table and rule.is_swept]
    found = " UNION ALL ".join(
        f"SELECT '{rule.name}' AS rule, r.id::text AS row_id, '{rule.sentence.replace(chr(39), chr(39) * 2)}' AS sentence"
        f" FROM lines r WHERE {_condition(rule, shape)}"
        for rule in rules
    )
    written = f"""
        found AS ({found or "SELECT ''::text AS rule, ''::text AS row_id, ''::text AS sentence WHERE false"}), written AS (
            INSERT INTO studio.findings AS f (rule, table_name, row_id, sentence)
            SELECT found.rule, '{table}', found.row_id, found.sentence FROM found ORDER BY found.rule, found.row_id
            ON CONFLICT (rule, table_name, row_id) DO UPDATE SET last_seen = clock_timestamp(), times = f.times + 1,
                sentence = excluded.sentence, mended_at = NULL, mended_by = NULL
            RETURNING 1)
    """
    told = f"""
        WITH batch AS MATERIALIZED ({chosen}), lines AS MATERIALIZED ({LINES[table]}), {written}
        SELECT (SELECT b.id FROM batch b ORDER BY b.id DESC LIMIT 1), (SELECT count(*) FROM batch),
            {_suspicious(table)}
    """
    return _with_tables(told, shape, batch="batch", each=_FOR_EACH)


def _suspicious(table: str) -> str:
    """Ids of the rows of `batch` with an address that is not plainly a path of ours."""
    odd = " OR ".join(
        f"(b.{column} <> '' AND NOT {_is_fine(f'b.{column}')})" for column in _ADDRESSES.get(table, ())
    )
    return f"ARRAY(SELECT b.id::text FROM batch b WHERE {odd or 'false'})"


def _see_links(conn: Connection, begun: SweepRow, work: _Work, ids: Sequence[str]) -> set[tuple[str, str]]:
    """Stored links of these rows, as the library's scan finds and marks them; rule and row of each."""
    columns = _ADDRESSES.get(work.table)
    if not ids or not columns:
        return set()
    marks = [
        link_mark(work.table, line, said)
        for line in stock.lines(conn, work.table, ids, settled=proofs.moment(conn))
        if line.is_live and line.column_name in columns
        for said in [read(line.value, default_bucket=line.bucket, own_hosts=work.hosts, made_at=line.made_at)]
        if not isinstance(said, Address)
    ]
    # A scan that runs keeps what carries its own mark; it may have passed this row already.
    row = conn.execute("SELECT id FROM studio.stock_scans WHERE finished_at IS NULL").fetchone()
    stock.find(conn, row[0] if row else begun.id, marks)
    return {(f"library.{mark.kind}", mark.row) for mark in marks}


def _move(conn: Connection, begun: SweepRow, stage: str, cursor: str, number: int) -> SweepRow:
    with conn.cursor(row_factory=class_row(SweepRow)) as made:
        found = made.execute(
            f"""
            UPDATE studio.row_sweeps SET stage = %s, cursor = %s, looked_at = looked_at + %s, beat_at = clock_timestamp()
            WHERE id = %s RETURNING {_SWEEP}
            """,
            (stage, cursor, number, begun.id),
        ).fetchone()
    if found is None:
        raise Conflict("This check was given up for a newer one.", code="SWEEP_RUNNING")
    return found


# -- its end -----------------------------------------------------------------------------------------------------------


def _close(conn: Connection, begun: SweepRow, shape: _Shape) -> None:
    """Every open finding that no stretch met is looked at once more, and closed where its row fits or is gone."""
    with conn.transaction():
        _move(conn, begun, _CLOSING, "", 0)
    for table in TABLES:
        chosen = f"SELECT * FROM public.{table} t WHERE t.id = ANY(%(ids)s::uuid[])"
        work = _Work(
            table=table,
            statement=_writing(table, chosen, shape).encode(),
            values=_options(conn, shape),
            hosts=stock.own_hosts(conn),
        )
        after = 0
        while found := _unmet(conn, begun, table, after):
            repeat_on_deadlock(partial(_settle, conn, begun, work, found))
            after = found[-1].id


class _Unmet(NamedTuple):
    """An open finding that this sweep has not met."""

    id: int
    rule: str
    row_id: str


def _unmet(conn: Connection, begun: SweepRow, table: str, after: int) -> list[_Unmet]:
    rows = conn.execute(
        """
        SELECT f.id, f.rule, f.row_id FROM studio.findings f
        WHERE f.table_name = %(table)s AND f.rule = ANY(%(rules)s) AND f.mended_at IS NULL
          AND f.last_seen < %(started)s AND f.id > %(after)s ORDER BY f.id LIMIT %(limit)s
        """,
        {
            "table": table,
            "rules": list(SWEPT),
            "started": begun.started_at,
            "after": after,
            "limit": AT_ONCE,
        },
    ).fetchall()
    return [_Unmet(*row) for row in rows]


def _settle(conn: Connection, begun: SweepRow, work: _Work, found: Sequence[_Unmet]) -> None:
    ids = sorted({one.row_id[:36] for one in found if re.fullmatch(UUID_FORM, one.row_id[:36])})
    with conn.transaction():
        _by_index(conn)
        conn.execute(work.statement, {**work.values, "ids": ids}, prepare=False)
        links = _see_links(conn, begun, work, ids)
        conn.execute(
            """
            UPDATE studio.findings SET mended_at = clock_timestamp(), mended_by = NULL
            WHERE id = ANY(%s) AND mended_at IS NULL AND last_seen < %s
            """,
            ([one.id for one in found if (one.rule, one.row_id) not in links], begun.started_at),
        )


def _is_proved(conn: Connection) -> bool:
    """Whether the seven checks of the auto-save ever ran to their end: from then on they close what they find themselves."""
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM studio.proof_runs WHERE finished_at IS NOT NULL AND since IS NULL)"
    ).fetchone()
    return row == (True,)


def _see_by_checks(conn: Connection) -> None:
    """What the seven checks say of the rows: just adopted, a database has nothing to wait for."""
    until, after = proofs.moment(conn), autosave.FIRST
    while True:
        stretch = autosave.stretch(conn, after, until, limit=_JOBS_AT_ONCE)
        if stretch.last is None:
            return
        repeat_on_deadlock(partial(_keep_checked, conn, stretch))
        after = stretch.last


def _keep_checked(conn: Connection, stretch: autosave.Stretch) -> None:
    failed = [
        (job, ended_at, why)
        for group in stretch.groups
        for why in [[one for one in group.answers if one is not None and one in autosave.CHECK_OF]]
        for job, ended_at in group.broken
    ]
    with conn.transaction():
        proofs.write(
            conn,
            [
                proofs.Found(job_id=job, ended_at=ended_at, row_codes=why, object_codes=None)
                for job, ended_at, why in failed
            ],
        )
        findings.see(
            conn, [(one.rule, job, autosave.SENTENCES[one]) for job, _, why in failed for one in why]
        )


def _end(conn: Connection, begun: SweepRow) -> dict[str, int]:
    with conn.transaction():
        found = _open(conn)
        conn.execute(
            """
            UPDATE studio.row_sweeps SET finished_at = clock_timestamp(), beat_at = clock_timestamp(),
                counts = (SELECT coalesce(jsonb_object_agg(n.rule, n.number), '{}')
                          FROM unnest(%s::text[], %s::bigint[]) AS n (rule, number))
            WHERE id = %s
            """,
            (list(found), list(found.values()), begun.id),
        )
    return found


def _open(conn: Connection) -> dict[str, int]:
    rows = conn.execute(
        """
        SELECT f.rule, count(*) FROM studio.findings f
        WHERE f.rule = ANY(%s) AND f.mended_at IS NULL AND f.set_aside_at IS NULL GROUP BY f.rule ORDER BY f.rule
        """,
        ([*NAMES, *BY_CHECKS],),
    ).fetchall()
    return dict(rows)
