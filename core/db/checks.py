"""Checks on tables with rows: put on in a moment, and held against the rows that stand while others go on writing.

Which ones are not proved yet is read from the files and the catalogue, so that a kill at any moment is made good by the
next run (SPEC "Adoption", decision 0049).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from psycopg import errors as pg
from psycopg import sql

from core.db import Connection, table_locks
from core.db.migration_text import Check, proving_checks
from core.errors import SetupFailed


def named(texts: Iterable[str]) -> tuple[Check, ...]:
    """The checks on tables in schema public that the files `texts` hold against every row."""
    return tuple(one for text in texts for one in proving_checks(text))


def refuse_misfits(conn: Connection, wanted: Sequence[Check], named: str) -> None:
    """Before a file is applied: raise SetupFailed where a row breaks one of its checks, for then none of it may stay.

    Reads only, and holds up nobody. A table or a column that the file itself makes holds nothing yet.
    """
    for one in broken(conn, wanted):
        raise SetupFailed(
            f"{named} could not be applied (23514): rows that stand in the database do not fit ({one.table}.{one.name}). "
            "Nothing of it was kept."
        )


def broken(conn: Connection, wanted: Sequence[Check]) -> Iterator[Check]:
    """Those of `wanted` that a row breaks; read one after the other."""
    return (one for one in wanted if _is_broken(conn, one))


def _is_broken(conn: Connection, one: Check) -> bool:
    asked = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE NOT {})").format(
        sql.Identifier("public", one.table),
        sql.SQL(one.condition),  # pyright: ignore[reportArgumentType] - of a file of ours
    )
    try:
        with conn.transaction():
            return conn.execute(asked).fetchone() == (True,)
    except (pg.UndefinedTable, pg.UndefinedColumn):
        return False


def prove(conn: Connection, wanted: Sequence[Check], say: Callable[[str], None]) -> None:
    """Hold those of `wanted` that are not proved against the rows, each in its own transaction; writers go on meanwhile.

    Raises SetupFailed: rows that do not fit, no turn.
    """
    for one in unproved(conn, wanted):
        say(f"Holding the check {one.name} against the rows of public.{one.table}.")
        table_locks.with_turns(
            conn,
            lambda one=one: _prove(conn, one),
            tables=[one.table],
            task=f"Proving the check {one.name}",
            say=say,
        )


def unproved(conn: Connection, wanted: Sequence[Check]) -> list[Check]:
    """Those of `wanted` that hold for what is written and were not held against the rows before."""
    standing = set(
        conn.execute(
            """
            SELECT c.relname, k.conname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
            WHERE c.relnamespace = 'public'::regnamespace AND k.contype = 'c' AND NOT k.convalidated
            """
        )
    )
    return [one for one in wanted if (one.table, one.name) in standing]


def _prove(conn: Connection, one: Check) -> None:
    try:
        with conn.transaction():
            table_locks.take_gently(conn, one.table)
            conn.execute(
                sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(
                    sql.Identifier("public", one.table), sql.Identifier(one.name)
                )
            )
    except pg.CheckViolation as exc:
        raise SetupFailed(
            f"Rows of public.{one.table} do not fit the check {one.name}. Mend them, then run "
            "`python -m core migrate` again: it goes on with this check."
        ) from exc
