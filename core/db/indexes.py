"""Indexes on tables with rows, built while others go on writing: apart from the file that names them, after the files.

Which ones are missing is read from the files and the catalogue, so that a kill at any moment is made good by the
next run (decision 0030).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from psycopg import errors as pg
from psycopg import sql

from core.db import Connection, table_locks
from core.db.migration_text import Index, dropped_indexes, indexes
from core.errors import SetupFailed

_PATIENCE = "5min"  # a build waits for older transactions, and nobody waits for it
_MOMENT = 5  # seconds that a transaction may take without being named
_ATTEMPTS = 5


@dataclass
class Builder:
    """Builds indexes one after the other and says how far it is: `total` in this run."""

    conn: Connection
    say: Callable[[str], None]
    total: int = 0
    done: int = 0

    def build_missing(self, wanted: Sequence[Index]) -> None:
        """Let every one of `wanted` stand and be valid, those first that the platform's statements need.

        Raises SetupFailed: rows that do not fit, no turn.
        """
        for one in sorted(missing(self.conn, wanted), key=lambda one: not one.is_asked_by_triggers):
            self.done += 1
            self.total = max(self.total, self.done)
            self.say(f"Building index {one.name} on public.{one.table} ({self.done} of {self.total}).")
            self._build(one)

    def _build(self, one: Index) -> None:
        if before := self._before(one, _MOMENT):
            self.say(f"Index {one.name} waits for older transactions: {before}.")
        for attempt in range(1, _ATTEMPTS + 1):
            self._drop_broken(one)
            try:
                self._run(one)
            except pg.LockNotAvailable as exc:
                self._give_up(one)
                raise SetupFailed(_no_turn(one, self._before(one, 0))) from exc
            except pg.UniqueViolation as exc:
                self._drop_broken(one)  # it would go on refusing rows
                raise SetupFailed(_twice(one)) from exc
            except pg.DeadlockDetected as exc:
                if attempt == _ATTEMPTS:
                    self._give_up(one)
                    raise SetupFailed(_no_turn(one, self._before(one, 0))) from exc
                time.sleep(attempt)  # seconds: those it met go on
            else:
                return

    def _run(self, one: Index) -> None:
        self.conn.execute("SELECT set_config('lock_timeout', %s, false)", [_PATIENCE])
        self.conn.execute(one.apart.encode(), prepare=False)

    def _before(self, one: Index, seconds: int) -> str:
        """Who has held the table for `seconds` or more."""
        return ", ".join(
            str(holder)
            for holder in table_locks.holders(self.conn, [one.table])
            if (holder.seconds or 0) >= seconds
        )

    def _give_up(self, one: Index) -> None:
        """Take away what was begun where the table is free; else the next run does."""
        with contextlib.suppress(SetupFailed):
            self._drop_broken(one, attempts=1)

    def _drop_broken(self, one: Index, *, attempts: int | None = None) -> None:
        """What a build that was ended left behind."""
        if (one.name, False) not in _standing(self.conn):
            return

        def drop() -> None:
            with self.conn.transaction():
                table_locks.take(self.conn, [one.table])
                self.conn.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier("public", one.name)))

        table_locks.with_turns(
            self.conn,
            drop,
            tables=[one.table],
            task=f"Clearing the unfinished index {one.name}",
            say=self.say,
            attempts=attempts,
        )


def named(texts: Iterable[str]) -> tuple[Index, ...]:
    """The indexes on tables in schema public that the files `texts`, oldest first, make and no later one drops."""
    found = dict[str, Index]()
    for text in texts:
        for name in dropped_indexes(text):
            found.pop(name, None)
        for one in indexes(text):
            found.setdefault(one.name, one)
    return tuple(found.values())


def missing(conn: Connection, wanted: Sequence[Index]) -> tuple[Index, ...]:
    """Those of `wanted` that do not stand, or stand unfinished."""
    standing = _standing(conn)
    return tuple(one for one in wanted if (one.name, True) not in standing)


def _standing(conn: Connection) -> frozenset[tuple[str, bool]]:
    """Name and validity of every index in schema public; another kind of relation takes its name as well."""
    return frozenset(
        (name, valid)
        for name, valid in conn.execute(
            """
            SELECT c.relname, coalesce(i.indisvalid, true)
            FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
            WHERE c.relnamespace = 'public'::regnamespace
            """
        )
    )


def _twice(one: Index) -> str:
    return (
        f"The index {one.name} could not be built: rows of public.{one.table} stand twice that may stand once. "
        "Mend them, then run `python -m core migrate` again."
    )


def _no_turn(one: Index, before: str) -> str:
    return (
        f"The index {one.name} could not be built, because a transaction that is older does not end: "
        f"{before or 'it works at another table of this database'}. End it (SELECT pg_terminate_backend of its "
        "number) or wait for it, then run `python -m core migrate` again: it goes on with this index."
    )
