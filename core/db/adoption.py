"""The platform's database becomes ours too: what is done before the file that adopts its tables, and the record of it
(studio.adoptions; SPEC "Adoption", decision 0030).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from psycopg import errors as pg
from psycopg import sql
from psycopg.types.json import Jsonb

from core.db import Connection, seeds, table_locks
from core.db.migration_text import Column

# The tables of the platform that SPEC "Data" adopts.
TABLES = (
    *("characters", "character_portraits", "character_scenes", "api_providers", "api_models", "jobs"),
    *("workspace_assets", "user_library", "attribute_images", "style_images"),
)
# The columns whose checks forbid values of ours: found by column and replaced (20261120090200).
REPLACED_CHECKS = (Column(table="characters", name="gender"), Column(table="jobs", name="status"))
_SECOND_PRIMARIES = "second_primaries"
_AT_ONCE = 500  # rows of one transaction
_PATIENCE = "10s"  # nobody waits behind this lock

_SETTLE = """
    WITH settled AS (
        UPDATE public.character_portraits p SET is_primary = false
        WHERE p.id = ANY (%s) AND p.is_primary AND EXISTS (
            SELECT FROM public.character_portraits newer
            WHERE newer.character_id = p.character_id AND newer.is_primary
              AND (newer.created_at, newer.id) > (p.created_at, p.id)
        )
        RETURNING p.id
    )
    SELECT studio.note_finding('portrait.second_primary', 'character_portraits', id::text,
      'This character had several primary portraits. The newest kept the star; choose another where that is wrong.')
    FROM settled
"""


def begin(conn: Connection) -> None:
    """Write down how many rows stand before anything is changed, once, where the platform's tables stand unadopted.

    The table is the migration's (20261121091000), made before it because it tells of what comes before.
    """
    if not _stands(conn, "characters") or _has_column(conn, "characters", "match_reference"):
        return
    with conn.transaction():
        conn.execute(
            """
            CREATE TABLE IF NOT EXISTS studio.adoptions (
                id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                began_at timestamptz NOT NULL DEFAULT now(),
                ended_at timestamptz,
                rows_before jsonb NOT NULL,
                corrections jsonb NOT NULL DEFAULT '{}',
                found jsonb NOT NULL DEFAULT '{}'
            )
            """
        )
        conn.execute("ALTER TABLE studio.adoptions ENABLE ROW LEVEL SECURITY")
        if not is_unfinished(conn):
            conn.execute("INSERT INTO studio.adoptions (rows_before) VALUES (%s)", [Jsonb(counts(conn))])


def is_unfinished(conn: Connection) -> bool:
    """True from the first step of an adoption until its findings are written down."""
    stands = conn.execute("SELECT to_regclass('studio.adoptions') IS NOT NULL").fetchone() == (True,)
    return stands and (
        conn.execute("SELECT EXISTS (SELECT FROM studio.adoptions WHERE ended_at IS NULL)").fetchone()
        == (True,)
    )


def counts(conn: Connection) -> dict[str, int]:
    """How many rows each of the platform's tables holds that stand."""
    return {table: _rows(conn, table) for table in TABLES if _stands(conn, table)}


def prepare(
    conn: Connection, widened: Sequence[Column], say: Callable[[str], None], *, allow_blocking: bool
) -> None:
    """What would hold the platform's tables for long in the file that adopts them, done before it in small steps.

    Raises SetupFailed where something hangs on a seed of a large table and `allow_blocking` is not asked for.
    """
    found = seeds.to_widen(conn, widened)
    seeds.refuse_obstacles(found, allow_blocking=allow_blocking)
    for seed in found:
        seeds.widen(conn, seed, say, allow_blocking=allow_blocking)
    _settle_second_primaries(conn, say)


def note_corrections(conn: Connection) -> None:
    """Inside the transaction that adopts the tables: what was corrected until now, by the findings that say so."""
    if not is_unfinished(conn):
        return
    conn.execute(
        """
        UPDATE studio.adoptions SET corrections = jsonb_build_object(%s::text, (
            SELECT count(*) FROM studio.findings WHERE rule = 'portrait.second_primary'))
        WHERE ended_at IS NULL
        """,
        [_SECOND_PRIMARIES],
    )


def tell_planner(conn: Connection) -> None:
    """Have the tables' statistics made anew: of columns that came just now the planner knows nothing, and takes nearly
    every row for deleted (measured at 400,000 portraits: minutes instead of a second for the same question).

    A table that somebody else holds for this very purpose, or for long, is left to them.
    """
    for table in TABLES:
        if _stands(conn, table):
            with contextlib.suppress(pg.LockNotAvailable), conn.transaction():
                conn.execute("SELECT set_config('lock_timeout', %s, true)", [_PATIENCE])
                conn.execute(sql.SQL("ANALYZE {}").format(sql.Identifier("public", table)))


def end(conn: Connection, found: Mapping[str, int]) -> None:
    """The adoption is whole: `found` = rule → findings that are open now."""
    conn.execute(
        "UPDATE studio.adoptions SET found = %s, ended_at = now() WHERE ended_at IS NULL",
        [Jsonb(dict(found))],
    )


def second_primaries(conn: Connection) -> int:
    """How many portraits are primary beside a newer primary one of the same character."""
    if not _stands(conn, "character_portraits"):
        return 0
    row = conn.execute(
        """
        SELECT coalesce(sum(primaries - 1), 0)::bigint FROM (
            SELECT count(*) AS primaries FROM public.character_portraits WHERE is_primary
            GROUP BY character_id HAVING count(*) > 1) several
        """
    ).fetchone()
    return int(row[0]) if row else 0


def checks_on(conn: Connection, column: Column) -> list[str]:
    """Names of the checks over `column` alone."""
    return [
        name
        for (name,) in conn.execute(
            """
            SELECT c.conname FROM pg_constraint c
            JOIN pg_attribute a ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum]
            WHERE c.contype = 'c' AND c.conrelid = to_regclass(%s) AND a.attname = %s ORDER BY c.conname
            """,
            [f"public.{column.table}", column.name],
        )
    ]


def _settle_second_primaries(conn: Connection, say: Callable[[str], None]) -> None:
    """As the file does it, with the same finding, some hundred rows at a time; the file finds what came meanwhile."""
    if not _stands(conn, "character_portraits"):
        return
    done = 0
    for batch in _batches_of_second_primaries(conn):
        table_locks.with_turns(
            conn,
            lambda batch=batch: _settle(conn, batch),
            tables=["character_portraits"],
            task="Settling second primaries",
            say=say,
        )
        if done % 10_000 == 0:
            say("Settling characters with several primary portraits: the newest keeps the star.")
        done += len(batch)


def _batches_of_second_primaries(conn: Connection) -> Iterator[list[object]]:
    """Ids, read once by the server and handed out in parts; no transaction is open between them."""
    with conn.cursor(name="second_primaries", withhold=True) as cursor:
        cursor.execute(
            """
            SELECT id FROM (
                SELECT p.id, p.character_id, row_number() OVER (
                    PARTITION BY p.character_id ORDER BY p.created_at DESC, p.id DESC) AS place
                FROM public.character_portraits p WHERE p.is_primary) ranked
            WHERE place > 1 ORDER BY character_id, id
            """
        )
        while rows := cursor.fetchmany(_AT_ONCE):
            yield [row[0] for row in rows]


def _settle(conn: Connection, batch: list[object]) -> None:
    with conn.transaction():
        table_locks.wait_shortly(conn)
        conn.execute(_SETTLE, [batch])


def _stands(conn: Connection, table: str) -> bool:
    return conn.execute("SELECT to_regclass(%s) IS NOT NULL", [f"public.{table}"]).fetchone() == (True,)


def _has_column(conn: Connection, table: str, column: str) -> bool:
    return conn.execute(
        "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = %s)",
        [f"public.{table}", column],
    ).fetchone() == (True,)


def _rows(conn: Connection, table: str) -> int:
    row = conn.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("public", table))).fetchone()
    return int(row[0]) if row else 0
