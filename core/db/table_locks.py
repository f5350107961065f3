"""Locks on tables that others write: asked for shortly, all at once in one order, and come again for; who stands in
the way is named by process and program, never by what it does (SPEC "Adoption").
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from psycopg import errors as pg
from psycopg import sql
from psycopg.rows import class_row

from core.db import Connection
from core.errors import SetupFailed

T = TypeVar("T")

WAIT_MS = 300  # whoever comes behind a lock that is waited for waits as well: no longer than this
_GENTLE_MS = (
    5_000  # a lock that no statement waits behind; within it the server ends a vacuum that holds the table
)
ATTEMPTS = 40
_PAUSES = (0.2, 3.0)  # seconds between two attempts: others' turn

# Passing states: the platform's traffic, or another database's migrator at the roles they share.
PASSING = (pg.LockNotAvailable, pg.DeadlockDetected, pg.SerializationFailure)


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A process that holds a table: `seconds` since its transaction began, None where the login may not see it."""

    pid: int
    program: str
    table: str
    seconds: int | None

    def __str__(self) -> str:
        since = "" if self.seconds is None else f", for {self.seconds} s"
        return f"process {self.pid} ({self.program or 'no name'}{since}) at public.{self.table}"


def take(conn: Connection, tables: Iterable[str]) -> None:
    """Hold `tables` of schema public for this transaction alone; leaves a lock timeout of WAIT_MS set for it.

    All of them within WAIT_MS in all, so that none is kept from others while another is waited for. A vacuum is sent
    away first, by a lock that holds up no statement. Raises psycopg's LockNotAvailable.
    """
    names = sorted(tables)
    for name in names:
        take_gently(conn, name)
    until = time.monotonic() + WAIT_MS / 1000
    for name in names:
        _lock(conn, name, "ACCESS EXCLUSIVE", max(int((until - time.monotonic()) * 1000), 1))
    wait_shortly(conn)


def take_gently(conn: Connection, table: str) -> None:
    """Keep vacuums and changes of its form from `table` for this transaction; every statement goes on. Raises as `take`."""
    _lock(conn, table, "SHARE UPDATE EXCLUSIVE", _GENTLE_MS)


def wait_shortly(conn: Connection) -> None:
    """Wait for a lock no longer than WAIT_MS until this transaction ends."""
    _wait_at_most(conn, WAIT_MS)


def with_turns(
    conn: Connection,
    work: Callable[[], T],
    *,
    tables: Sequence[str],
    task: str,
    say: Callable[[str], None],
    attempts: int | None = None,
) -> T:
    """`work`, one whole transaction over `tables`, again where others hold what it needs; bounded.

    Raises SetupFailed, naming who stands in the way, after about a minute.
    """
    last = attempts or ATTEMPTS
    for attempt in range(1, last + 1):
        try:
            return work()
        except PASSING as exc:
            if conn.closed:
                raise
            before = ", ".join(str(one) for one in holders(conn, tables))
            if attempt == last:
                raise SetupFailed(_in_the_way(task, before)) from exc
            if attempt in {1, 5, 10, 20, 30}:
                say(f"{task} waits its turn: {before or 'somebody else was at work'}; trying again.")
        time.sleep(random.uniform(0.5, 1.0) * min(_PAUSES[0] * 2**attempt, _PAUSES[1]))  # noqa: S311 - keeps two apart
    raise AssertionError


def holders(conn: Connection, tables: Sequence[str]) -> list[Holder]:
    """Who holds one of `tables` of schema public now, the longest first; at most five."""
    with conn.cursor(row_factory=class_row(Holder)) as cursor:
        return cursor.execute(
            """
            SELECT l.pid, coalesce(a.application_name, '') AS program, min(c.relname) AS table,
                   extract(epoch FROM clock_timestamp() - min(a.xact_start))::integer AS seconds
            FROM pg_locks l
            JOIN pg_class c ON c.oid = l.relation AND c.relnamespace = 'public'::regnamespace
            JOIN pg_stat_activity a ON a.pid = l.pid
            WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_backend_pid() AND c.relname = ANY (%s)
              AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
            GROUP BY l.pid, a.application_name ORDER BY seconds DESC NULLS LAST LIMIT 5
            """,
            [list(tables)],
        ).fetchall()


def _lock(conn: Connection, table: str, mode: str, milliseconds: int) -> None:
    _wait_at_most(conn, milliseconds)
    conn.execute(
        sql.SQL("LOCK TABLE {} IN {} MODE").format(sql.Identifier("public", table), sql.SQL(mode))  # pyright: ignore[reportArgumentType] - one of two words of ours
    )


def _wait_at_most(conn: Connection, milliseconds: int) -> None:
    conn.execute("SELECT set_config('lock_timeout', %s, true)", [f"{milliseconds}ms"])


def _in_the_way(task: str, before: str) -> str:
    who = before or "somebody who is gone each time we look"
    return (
        f"{task} did not get its turn: {who} stands in the way. Nothing of this step was kept, and what was done "
        "before it stays. End that process (SELECT pg_terminate_backend of its number) or wait until it is done, "
        "then run `python -m core migrate` again: it goes on where it stopped."
    )
