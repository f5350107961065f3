"""What migrating a database would do, found out without changing anything (SPEC "Adoption", decision 0030).

It reads in one read-only transaction, on a database that was never adopted, on one that was adopted half, and on one
that is up to date.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.db import (
    Connection,
    adoption,
    as_ours,
    checks,
    connect,
    indexes,
    login_rights,
    migration_text,
    refuse_unfit,
    seeds,
    session_settings,
)
from core.db.migrate import FOLDER, Migration, missing_files, read_folder
from core.db.migration_text import Check, Column, Index
from core.db.seeds import Seed

READING = b"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
# Bytes of a table in a second, measured at a million jobs (bench/adoption.py); for words like "about a minute".
_PLAIN, _COMPUTED, _WORDS, _FILLED = 150e6, 30e6, 8e6, 15e6
_SETTLED = 10_000  # second primaries in a second
_HELD = 400_000  # portraits in a second: the question for second primaries, and the constraint of one
_HELD_FOR = ("character_portraits",)


@dataclass(frozen=True, kw_only=True)
class TableSize:
    """A table that stands: its rows, and its bytes on disk without its indexes."""

    rows: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Build:
    """An index to be built; `size` is its table's."""

    index: Index
    size: TableSize

    @property
    def seconds(self) -> float:
        """Roughly how long; nobody is held up meanwhile."""
        if "using gin" in self.index.rest.lower():
            return self.size.bytes / _WORDS
        return self.size.bytes / (_COMPUTED if "substring(" in self.index.rest else _PLAIN)


@dataclass(frozen=True, kw_only=True)
class FileStep:
    """A file to be applied and what it does to tables that stand, a sentence each; none: it touches our own schema."""

    file: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What `migrate` would do. `proofs` are checks that a run before left unproved. `in_the_way`: sentences; while there is one, it would not begin or not end."""

    is_adoption: bool
    tables: Mapping[str, TableSize]
    steps: tuple[FileStep, ...]
    builds: tuple[Build, ...]
    proofs: tuple[Check, ...]
    seeds: tuple[Seed, ...]
    second_primaries: int
    in_the_way: tuple[str, ...]

    @property
    def is_up_to_date(self) -> bool:
        """True where there is nothing to do."""
        return not (self.steps or self.builds or self.proofs)

    @property
    def seconds(self) -> float:
        """Roughly how long all of it takes."""
        filled = sum(one.heap_bytes for one in self.seeds if not one.is_small) / _FILLED
        built = sum(one.seconds for one in self.builds)
        return len(self.steps) * 0.05 + filled + built + self.second_primaries / _SETTLED + self.held_seconds

    @property
    def held_seconds(self) -> float:
        """Roughly how long a statement of the platform waits at most."""
        if not self.is_adoption:
            return 0.1
        return 0.1 + sum(one.rows for name, one in self.tables.items() if name in _HELD_FOR) / _HELD


def look(dsn: str, *, folder: Path = FOLDER, allow_blocking: bool = False) -> Preview:
    """What `migrate` would do at `dsn`; changes nothing. Raises SetupFailed (a file changed since), DatabaseUnavailable."""
    found = read_folder(folder)
    refuse_unfit(dsn)
    with as_ours(), connect(dsn, session_settings(share_with_team=False)) as conn, conn.transaction():
        conn.execute(READING)
        return _look(conn, found, allow_blocking=allow_blocking)


def _look(conn: Connection, found: Sequence[Migration], *, allow_blocking: bool) -> Preview:
    missing = missing_files(conn, found)
    sizes = _sizes(conn)
    lacking = (
        login_rights.missing(conn, makes_roles=any(one.is_stand_in for one in missing)) if missing else []
    )
    widened = [column for one in missing for column in migration_text.widened_columns(one.text)]
    to_widen = seeds.to_widen(conn, widened)
    builds = [
        Build(index=one, size=sizes[one.table])
        for one in indexes.missing(conn, indexes.named(one.text for one in found))
        if one.table in sizes and sizes[one.table].rows
    ]
    stopping = [seeds.obstacle_sentence(one) for one in to_widen if one.stops(allow_blocking=allow_blocking)]
    is_adoption = bool(sizes) and any(migration_text.widened_columns(one.text) for one in missing)
    return Preview(
        is_adoption=is_adoption,
        tables=sizes,
        steps=tuple(_step(conn, one, sizes) for one in missing),
        builds=tuple(builds),
        proofs=tuple(checks.unproved(conn, checks.named(one.text for one in found))),
        seeds=tuple(to_widen),
        second_primaries=adoption.second_primaries(conn) if is_adoption else 0,
        in_the_way=(*(_lacks(conn, one) for one in lacking), *stopping, *_misfits(conn, missing)),
    )


def _lacks(conn: Connection, right: str) -> str:
    return f"The login role {conn.info.user} lacks {right}."


def _misfits(conn: Connection, missing: Sequence[Migration]) -> Iterator[str]:
    wanted = checks.named(one.text for one in missing)
    for one in checks.broken(conn, wanted):
        yield f"Rows of public.{one.table} do not fit the check {one.name}. Mend them, then ask again."


def _sizes(conn: Connection) -> dict[str, TableSize]:
    """The platform's tables that stand."""
    return {
        table: TableSize(rows=rows, bytes=_bytes(conn, table))
        for table, rows in adoption.counts(conn).items()
    }


def _bytes(conn: Connection, table: str) -> int:
    row = conn.execute("SELECT pg_table_size(to_regclass(%s))", [f"public.{table}"]).fetchone()
    return int(row[0]) if row else 0


def _step(conn: Connection, one: Migration, sizes: Mapping[str, TableSize]) -> FileStep:
    return FileStep(file=one.file, sentences=tuple(_sentences(conn, one.text, sizes)))


def _sentences(conn: Connection, text: str, sizes: Mapping[str, TableSize]) -> Iterator[str]:
    """What a file does to tables that stand."""
    for table in sizes:
        added = [one.name for one in migration_text.added_columns(text) if one.table == table]
        new = [name for name in added if not _stands(conn, table, name)]
        if new:
            yield f"adds {_counted(len(new), 'column')} to {table}: {', '.join(new)}"
        for one in migration_text.widened_columns(text):
            if one.table == table and seeds.is_integer(conn, one):
                yield f"makes {table}.{one.name} bigint"
        for one in migration_text.checks(text):
            if one.table == table:
                yield from _replaced(conn, one)
        for kind in ("trigger", "policy"):
            hung = [
                on.name
                for what, on in migration_text.triggers_and_policies(text)
                if (what, on.table) == (kind, table)
            ]
            if hung:
                yield f"adds {_counted(len(hung), kind)} to {table}: {', '.join(hung)}"


def _replaced(conn: Connection, check: Column) -> Iterator[str]:
    """The checks of one column that give way, whatever they are called there."""
    for on in adoption.REPLACED_CHECKS:
        if on.table == check.table:
            names = adoption.checks_on(conn, on)
            old = f" in place of {', '.join(names)}" if names else ""
            yield f"puts the check {check.name} on {on.table}.{on.name}{old}"


def _stands(conn: Connection, table: str, column: str) -> bool:
    return conn.execute(
        """
        SELECT EXISTS (SELECT FROM pg_attribute
                       WHERE attrelid = to_regclass(%s) AND attname = %s AND NOT attisdropped)
        """,
        [f"public.{table}", column],
    ).fetchone() == (True,)


def _counted(number: int, word: str) -> str:
    plural = f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
    return f"{number} {word if number == 1 else plural}"
