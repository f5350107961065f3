"""What a migration's text says it will do to tables that stand: read, never guessed from a file's name.

Only what lies outside of comments, quotes and bodies counts, and a statement begins its line. A test holds the
reading of every file of the folder against the catalogue of a migrated database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_HIDDEN = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|(?P<do>\bdo\s+)?\$(?P<tag>\w*)\$.*?\$(?P=tag)\$",
    re.DOTALL | re.IGNORECASE,
)
_INDEX = re.compile(
    r"^create\s+(?P<unique>unique\s+)?index\s+(?:if\s+not\s+exists\s+)?(?P<name>\w+)"
    r"\s+on\s+(?:only\s+)?public\.(?P<table>\w+)(?P<rest>[^;]*);",
    re.IGNORECASE | re.MULTILINE,
)
_DROPPED = re.compile(
    r"^drop\s+index\s+(?:if\s+exists\s+)?public\.(?P<name>\w+)", re.IGNORECASE | re.MULTILINE
)
_ALTER = re.compile(
    r"^alter\s+table\s+(?:only\s+)?public\.(?P<table>\w+)(?P<rest>[^;]*);", re.IGNORECASE | re.MULTILINE
)
_ADDED = re.compile(r"\badd\s+column\s+(?:if\s+not\s+exists\s+)?(?P<name>\w+)", re.IGNORECASE)
_WIDENED = re.compile(r"\balter\s+column\s+(?P<name>\w+)\s+type\s+bigint\b", re.IGNORECASE)
_CHECKED = re.compile(r"\badd\s+constraint\s+(?P<name>\w+)\s+check\b", re.IGNORECASE)
_HUNG = re.compile(
    r"^create\s+(?:or\s+replace\s+)?(?P<kind>trigger|policy)\s+(?P<name>\w+)[^;]*?\son\s+public\.(?P<table>\w+)",
    re.IGNORECASE | re.MULTILINE,
)
_QUOTED = r"'(?:[^']|'')*'"
_INNER = rf"\((?:[^()']|{_QUOTED})*\)"
_CHECK = re.compile(
    r"\balter\s+table\s+(?:only\s+)?public\.(?P<table>\w+)\s+add\s+constraint\s+(?P<name>\w+)"
    rf"\s+check\s*(?P<condition>\((?:[^()']|{_QUOTED}|{_INNER})*\))(?!\s*not\s+valid)",
    re.IGNORECASE,
)
_OF_A_JOB = frozenset({"portraits_one_per_job", "library_one_per_job", "assets_of_job"})


@dataclass(frozen=True, kw_only=True)
class Index:
    """One `create index … on public.<table>` of a file; `rest` is what follows the table's name."""

    name: str
    table: str
    is_unique: bool
    rest: str

    @property
    def is_asked_by_triggers(self) -> bool:
        """True where our triggers look a job's rows up at every row that somebody writes."""
        return self.name in _OF_A_JOB

    @property
    def apart(self) -> str:
        """The statement that builds it while others go on writing; never inside a transaction."""
        unique = "UNIQUE " if self.is_unique else ""
        return f"CREATE {unique}INDEX CONCURRENTLY {self.name} ON public.{self.table}{self.rest}"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One `alter table public.<table> add constraint <name> check <condition>` of a file, parentheses included."""

    table: str
    name: str
    condition: str


@dataclass(frozen=True, kw_only=True, order=True)
class Column:
    """A column of a table in schema public."""

    table: str
    name: str

    def __str__(self) -> str:
        return f"public.{self.table}.{self.name}"


def indexes(sql: str) -> tuple[Index, ...]:
    """The indexes on tables in schema public that `sql` makes, in its order."""
    return tuple(
        Index(
            name=found["name"],
            table=found["table"],
            is_unique=found["unique"] is not None,
            rest=sql[found.start("rest") : found.end("rest")],
        )
        for found in _INDEX.finditer(_bare(sql))
    )


def dropped_indexes(sql: str) -> frozenset[str]:
    """Names of the indexes in schema public that `sql` drops."""
    return frozenset(found["name"] for found in _DROPPED.finditer(_bare(sql)))


def without_indexes(sql: str, tables: Iterable[str]) -> str:
    """`sql` without the statements that make indexes on `tables`; its other lines keep their numbers."""
    apart, kept, end = frozenset(tables), list[str](), 0
    for found in _INDEX.finditer(_bare(sql)):
        if found["table"] in apart:
            kept += [sql[end : found.start()], "\n" * sql[found.start() : found.end()].count("\n")]
            end = found.end()
    return "".join((*kept, sql[end:]))


def proving_checks(sql: str) -> tuple[Check, ...]:
    """The checks that `sql`, its DO-blocks included, holds against every row of a table that stands."""
    return tuple(
        Check(table=found["table"], name=found["name"], condition=found["condition"])
        for found in _CHECK.finditer(_without_bodies(sql))
    )


def without_proofs(sql: str, tables: Iterable[str]) -> str:
    """`sql` with those checks on `tables` NOT VALID: they hold for what is written, and read no row that stands."""
    apart, kept, end = frozenset(tables), list[str](), 0
    for found in _CHECK.finditer(_without_bodies(sql)):
        if found["table"] in apart:
            kept += [sql[end : found.end()], " not valid"]
            end = found.end()
    return "".join((*kept, sql[end:]))


def added_columns(sql: str) -> tuple[Column, ...]:
    """The columns that `sql` adds to tables in schema public (where they are not there yet)."""
    return _columns(sql, _ADDED)


def widened_columns(sql: str) -> tuple[Column, ...]:
    """The columns of tables in schema public that `sql` makes bigint."""
    return _columns(sql, _WIDENED)


def checks(sql: str) -> tuple[Column, ...]:
    """The checks that `sql` puts on tables in schema public, each by its table and its own name."""
    return _columns(sql, _CHECKED)


def triggers_and_policies(sql: str) -> tuple[tuple[str, Column], ...]:
    """What `sql` hangs on tables in schema public: ("trigger" or "policy", its table and its own name)."""
    return tuple(
        (found["kind"].lower(), Column(table=found["table"], name=found["name"]))
        for found in _HUNG.finditer(_bare(sql))
    )


def names(sql: str, tables: Iterable[str]) -> frozenset[str]:
    """Those of `tables` that a statement of `sql` names: in DO-blocks and quotes too, in functions' bodies not."""
    words = frozenset(re.findall(r"\w+", _without_bodies(sql)))
    return frozenset(table for table in tables if table in words)


def _columns(sql: str, pattern: re.Pattern[str]) -> tuple[Column, ...]:
    return tuple(
        Column(table=altered["table"], name=found["name"])
        for altered in _ALTER.finditer(_bare(sql))
        for found in pattern.finditer(altered["rest"])
    )


def _bare(sql: str) -> str:
    """`sql` with blanks for what is hidden; every place stays where it was."""
    return _HIDDEN.sub(lambda found: " " * len(found[0]), sql)


def _without_bodies(sql: str) -> str:
    """`sql` with blanks for comments and functions' bodies; every place stays where it was."""
    return _HIDDEN.sub(
        lambda found: found[0] if found["do"] or found[0].startswith("'") else " " * len(found[0]), sql
    )
