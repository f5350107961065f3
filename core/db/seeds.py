"""Seeds that were integer become bigint without a table being held for long (SPEC "Adoption", decision 0030).

A small table is rewritten at once. A large one gets a second column that a trigger keeps equal, whoever writes; the
rows that stand are filled in a few thousand at a time; then the two change names. Where it stopped is read from the
catalogue: the second column is there, or it is not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass

from psycopg import sql
from psycopg.rows import class_row

from core.db import Connection, table_locks
from core.db.migration_text import Column
from core.errors import SetupFailed

AT_ONCE_BYTES = 16_000_000  # measured: about 200 MB are rewritten in a second, and slower machines are met
BYTES_PER_SECOND = 100_000_000  # of a rewrite, for forecasts
_TOLD_EVERY = 100  # parts
_BLOCKS = 64  # of 8 kB: some thousand rows, filled in some hundredths of a second


@dataclass(frozen=True, kw_only=True)
class Seed:
    """An integer column of a table with rows that is to become bigint.

    `obstacles` hang on it and would be lost on the online way, `refusals` refuse both ways; `is_begun`: its second column
    stands already.
    """

    column: Column
    heap_bytes: int
    is_begun: bool
    obstacles: tuple[str, ...]
    refusals: tuple[str, ...]

    @property
    def is_small(self) -> bool:
        """True where rewriting the table holds it for a moment only."""
        return self.heap_bytes <= AT_ONCE_BYTES

    def stops(self, *, allow_blocking: bool) -> bool:
        """True where it cannot be widened as things are."""
        return bool(self.refusals) or bool(self.obstacles and not self.is_small and not allow_blocking)

    @property
    def seconds(self) -> float:
        """Roughly what a rewrite takes."""
        return self.heap_bytes / BYTES_PER_SECOND


def to_widen(conn: Connection, columns: Iterable[Column]) -> list[Seed]:
    """Those of `columns` that stand as integer in a table with rows. Reads only."""
    return [one for column in columns if (one := _look(conn, column)) is not None]


def refuse_obstacles(seeds: Sequence[Seed], *, allow_blocking: bool) -> None:
    """Raise SetupFailed where something hangs on a seed that widening it would lose, or that refuses it."""
    for one in seeds:
        if one.stops(allow_blocking=allow_blocking):
            raise SetupFailed(obstacle_sentence(one))


def obstacle_sentence(seed: Seed) -> str:
    """What stands in the way of `seed`, and what to do."""
    way = (
        "."
        if seed.refusals
        else "; or, at an hour when it disturbs nobody, run `python -m core migrate --allow-blocking`: "
        f"the table is then held for about {max(seed.seconds, 1):.0f} s."
    )
    return (
        f"{seed.column} must become bigint, and this hangs on it: {', '.join(seed.refusals or seed.obstacles)}. "
        f"Take that away and make it anew afterwards{way}"
    )


def is_integer(conn: Connection, column: Column) -> bool:
    """True where `column` stands and is an integer of 32 bits."""
    return conn.execute(
        """
        SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = %s
                       AND NOT attisdropped AND atttypid = 'integer'::regtype)
        """,
        [f"public.{column.table}", column.name],
    ).fetchone() == (True,)


def widen(conn: Connection, seed: Seed, say: Callable[[str], None], *, allow_blocking: bool) -> None:
    """Make `seed` bigint; run again after a kill, it goes on. Raises SetupFailed where it gets no turn."""
    if seed.is_small or (allow_blocking and seed.obstacles):
        say(f"Making {seed.column} bigint.")
        _in_turn(conn, seed.column, say, lambda: _rewrite(conn, seed))
        return
    say(f"Making {seed.column} bigint while others go on writing.")
    if not seed.is_begun:
        _in_turn(conn, seed.column, say, lambda: _begin(conn, seed.column))
    _fill(conn, seed.column, say)
    _in_turn(conn, seed.column, say, lambda: _swap(conn, seed.column))
    conn.execute(_sql("ANALYZE {table} ({column})", seed.column))


def _look(conn: Connection, column: Column) -> Seed | None:
    row = conn.execute(
        """
        SELECT pg_relation_size(a.attrelid), EXISTS (
            SELECT FROM pg_attribute second
            WHERE second.attrelid = a.attrelid AND second.attname = %(second)s AND NOT second.attisdropped)
        FROM pg_attribute a
        WHERE a.attrelid = to_regclass(%(table)s) AND a.attname = %(name)s AND NOT a.attisdropped
          AND a.atttypid = 'integer'::regtype
        """,
        {"table": f"public.{column.table}", "name": column.name, "second": _second(column)},
    ).fetchone()
    if row is None or not _has_rows(conn, column):
        return None
    hanging = _hanging(conn, column)
    return Seed(
        column=column,
        heap_bytes=row[0],
        is_begun=row[1],
        obstacles=tuple(name for name, _ in hanging),
        refusals=tuple(name for name, refuses in hanging if refuses),
    )


def _has_rows(conn: Connection, column: Column) -> bool:
    return conn.execute(_sql("SELECT EXISTS (SELECT FROM {table})", column)).fetchone() == (True,)


def _hanging(conn: Connection, column: Column) -> list[tuple[str, bool]]:
    """What hangs on `column` beside its own default, and whether Postgres refuses to alter the column's type for it."""
    return conn.execute(
        """
        WITH seed AS (
            SELECT a.attrelid, a.attnum, a.attidentity, a.attgenerated FROM pg_attribute a
            WHERE a.attrelid = to_regclass(%(table)s) AND a.attname = %(name)s
        )
        SELECT coalesce('view ' || v.ev_class::regclass::text,
                        pg_describe_object(d.classid, d.objid, d.objsubid)) AS what,
               d.classid IN ('pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_trigger'::regclass,
                             'pg_attrdef'::regclass, 'pg_proc'::regclass, 'pg_publication_rel'::regclass)
        FROM seed JOIN pg_depend d
          ON d.refclassid = 'pg_class'::regclass AND d.refobjid = seed.attrelid AND d.refobjsubid = seed.attnum
        LEFT JOIN pg_rewrite v ON d.classid = 'pg_rewrite'::regclass AND v.oid = d.objid
        WHERE NOT (d.classid = 'pg_attrdef'::regclass AND EXISTS (
            SELECT FROM pg_attrdef own
            WHERE own.oid = d.objid AND own.adrelid = seed.attrelid AND own.adnum = seed.attnum))
          AND NOT (d.classid = 'pg_constraint'::regclass AND EXISTS (
            SELECT FROM pg_constraint kept WHERE kept.oid = d.objid AND kept.contype = 'n'))
        UNION
        SELECT 'its own numbering', false FROM seed WHERE seed.attidentity <> ''
        UNION
        SELECT 'its computed value', true FROM seed WHERE seed.attgenerated <> ''
        ORDER BY 1
        """,
        {"table": f"public.{column.table}", "name": column.name},
    ).fetchall()


def _in_turn(conn: Connection, column: Column, say: Callable[[str], None], work: Callable[[], None]) -> None:
    """`work` in a transaction that holds the table."""

    def turn() -> None:
        with conn.transaction():
            table_locks.take(conn, [column.table])
            work()

    table_locks.with_turns(conn, turn, tables=[column.table], task=f"Making {column} bigint", say=say)


def _rewrite(conn: Connection, seed: Seed) -> None:
    if seed.is_begun:
        conn.execute(_sql("DROP TRIGGER {trigger} ON {table}", seed.column))
        conn.execute(_sql("DROP FUNCTION {function}()", seed.column))
        conn.execute(_sql("ALTER TABLE {table} DROP COLUMN {second}", seed.column))
    conn.execute(_sql("ALTER TABLE {table} ALTER COLUMN {column} TYPE bigint", seed.column))


def _begin(conn: Connection, column: Column) -> None:
    """The second column and the trigger that keeps it; from here on no write can miss it."""
    conn.execute(_sql("ALTER TABLE {table} ADD COLUMN {second} bigint", column))
    conn.execute(
        _sql(
            """
            CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS
            $$ BEGIN new.{second} := new.{column}; RETURN new; END $$
            """,
            column,
        )
    )
    # The last of the triggers by its name, so that it sees what the platform's own ones made of the row.
    conn.execute(
        _sql(
            "CREATE TRIGGER {trigger} BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()",
            column,
        )
    )
    conn.execute(_sql("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}", column))
    if _must_be_there(conn, column):
        conn.execute(
            _sql(
                "ALTER TABLE {table} ADD CONSTRAINT {trigger} CHECK ({second} IS NOT NULL) NOT VALID", column
            )
        )


def _fill(conn: Connection, column: Column, say: Callable[[str], None]) -> None:
    """Every row that stood when the trigger came, block after block: newer versions carry the value already."""
    row = conn.execute(
        "SELECT pg_relation_size(to_regclass(%s)) / current_setting('block_size')::integer",
        [f"public.{column.table}"],
    ).fetchone()
    blocks = int(row[0]) if row else 0
    for place, first in enumerate(range(0, blocks, _BLOCKS)):
        table_locks.with_turns(
            conn,
            lambda first=first: _fill_blocks(conn, column, first),
            tables=[column.table],
            task=f"Filling {column}",
            say=say,
        )
        if place % _TOLD_EVERY == _TOLD_EVERY - 1:
            say(f"Making {column} bigint: {100 * (first + _BLOCKS) // blocks} %.")
    if _must_be_there(conn, column):
        conn.execute(_sql("ALTER TABLE {table} VALIDATE CONSTRAINT {trigger}", column))


def _fill_blocks(conn: Connection, column: Column, first: int) -> None:
    with conn.transaction(), _quiet_triggers(conn, column):
        conn.execute(
            _sql(
                """
                UPDATE {table} SET {second} = {column}
                WHERE ctid >= %s::tid AND ctid < %s::tid AND {second} IS DISTINCT FROM {column}
                """,
                column,
            ),
            [f"({first},0)", f"({first + _BLOCKS},0)"],
        )


@contextlib.contextmanager
def _quiet_triggers(conn: Connection, column: Column) -> Generator[None]:
    """No trigger of the platform takes a filled row for somebody's edit (it would stamp updated_at, say).

    Switched off inside this transaction alone: what others write meanwhile waits for its end, some hundredths of a
    second, and sets them off as ever.
    """
    # Shorter than anybody's look for a deadlock: whoever waits for our rows is never the one that loses.
    table_locks.wait_shortly(conn)
    triggers = conn.execute(
        """
        SELECT tgname, tgenabled = 'A' FROM pg_trigger
        WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal AND tgenabled IN ('O', 'A') AND tgtype & 16 <> 0
          AND tgname <> %s
        """,
        [f"public.{column.table}", _trigger(column)],
    ).fetchall()
    for name, _ in triggers:
        conn.execute(
            sql.SQL("ALTER TABLE {} DISABLE TRIGGER {}").format(
                sql.Identifier("public", column.table), sql.Identifier(name)
            )
        )
    yield
    for name, is_always in triggers:
        conn.execute(
            sql.SQL("ALTER TABLE {} ENABLE {} TRIGGER {}").format(
                sql.Identifier("public", column.table),
                sql.SQL("ALWAYS" if is_always else ""),
                sql.Identifier(name),
            )
        )


def _swap(conn: Connection, column: Column) -> None:
    """The second column takes the name and whatever was said about the first one."""
    kept = _said_about(conn, column)
    conn.execute(_sql("DROP TRIGGER {trigger} ON {table}", column))
    conn.execute(_sql("DROP FUNCTION {function}()", column))
    if _must_be_there(conn, column):
        conn.execute(_sql("ALTER TABLE {table} ALTER COLUMN {second} SET NOT NULL", column))
        conn.execute(_sql("ALTER TABLE {table} DROP CONSTRAINT {trigger}", column))
    conn.execute(_sql("ALTER TABLE {table} DROP COLUMN {column}", column))
    conn.execute(_sql("ALTER TABLE {table} RENAME COLUMN {second} TO {column}", column))
    for statement in kept:
        conn.execute(statement.encode(), prepare=False)


def _must_be_there(conn: Connection, column: Column) -> bool:
    row = conn.execute(
        "SELECT a.attnotnull FROM pg_attribute a WHERE a.attrelid = to_regclass(%s) AND a.attname = %s",
        [f"public.{column.table}", column.name],
    ).fetchone()
    return row == (True,)


@dataclass(frozen=True, kw_only=True)
class _Said:
    statement: str


def _said_about(conn: Connection, column: Column) -> list[str]:
    """The statements that say of the new column what was said of the old one: default, statistics, options, comment,
    grants. Options of the server's own (pg_attver, on every column since 15.20) are left to it.
    """
    with conn.cursor(row_factory=class_row(_Said)) as cursor:
        rows = cursor.execute(
            """
            WITH seed AS (
                SELECT a.*, format('ALTER TABLE %%I.%%I ALTER COLUMN %%I ', n.nspname, c.relname, a.attname) AS alter,
                       format('%%I.%%I', n.nspname, c.relname) AS place
                FROM pg_attribute a
                JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE a.attrelid = to_regclass(%(table)s) AND a.attname = %(name)s
            )
            SELECT seed.alter || 'SET DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) AS statement
            FROM seed JOIN pg_attrdef d ON d.adrelid = seed.attrelid AND d.adnum = seed.attnum
            UNION ALL
            SELECT seed.alter || 'SET STATISTICS ' || seed.attstattarget FROM seed WHERE seed.attstattarget >= 0
            UNION ALL
            SELECT seed.alter || 'SET (' || string_agg(one, ', ') || ')'
            FROM seed, unnest(seed.attoptions) one WHERE one NOT LIKE 'pg\\_%%' GROUP BY seed.alter
            UNION ALL
            SELECT format('COMMENT ON COLUMN %%s.%%I IS %%L', seed.place, seed.attname,
                          col_description(seed.attrelid, seed.attnum))
            FROM seed WHERE col_description(seed.attrelid, seed.attnum) IS NOT NULL
            UNION ALL
            SELECT format('GRANT %%s (%%I) ON %%s TO %%s%%s', g.privilege_type, seed.attname, seed.place,
                          CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END,
                          CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
            FROM seed, aclexplode(seed.attacl) g
            """,
            {"table": f"public.{column.table}", "name": column.name},
        ).fetchall()
    return [row.statement for row in rows]


def _second(column: Column) -> str:
    return f"{column.name}_as_bigint"


def _trigger(column: Column) -> str:
    return f"zz_studio_keeps_{column.name}"


def _sql(text: str, column: Column) -> sql.Composed:
    return sql.SQL(text).format(  # pyright: ignore[reportArgumentType] - a text of this file
        table=sql.Identifier("public", column.table),
        column=sql.Identifier(column.name),
        second=sql.Identifier(_second(column)),
        trigger=sql.Identifier(_trigger(column)),
        function=sql.Identifier("studio", f"keep_{column.table}_{column.name}"),
    )
