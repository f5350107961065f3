"""What the migrations made that rules hang on: triggers, policies, functions, row-level security. parts.txt lists what
every database of ours has, new or adopted; a test keeps it equal to what the migrations make.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from importlib import resources

from psycopg.rows import class_row

from core.db import Connection
from core.db.migrate import FOLDER, read_folder


class PartKind(StrEnum):
    """What a part is."""

    trigger = "trigger"
    policy = "policy"
    function = "function"
    security = "security"  # row-level security is on
    exclusion = "exclusion"  # a constraint that keeps two rows apart


@dataclass(frozen=True, kw_only=True, order=True)
class Part:
    """One part: `on` is its table (schema and name), empty for a function, whose name holds its arguments."""

    kind: PartKind
    on: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}\t{self.on}\t{self.name}"


@dataclass(frozen=True, kw_only=True)
class Applied:
    """A migration of the record."""

    version: str
    name: str
    applied_at: datetime


@dataclass(frozen=True, kw_only=True)
class Scheduled:
    """A clock of the workers: `expression` is cron's, in UTC."""

    name: str
    expression: str
    last_run: datetime | None
    next_run: datetime | None


_PARTS = """
    SELECT 'trigger' AS kind, n.nspname || '.' || c.relname AS on, t.tgname AS name
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND n.nspname IN ('public', 'studio', 'studio_queue')
    UNION ALL
    SELECT 'policy', p.schemaname || '.' || p.tablename, p.policyname FROM pg_policies p
    WHERE p.schemaname IN ('public', 'studio')
    UNION ALL
    SELECT 'function', '', n.nspname || '.' || f.proname || '(' || pg_get_function_identity_arguments(f.oid) || ')'
    FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace
    WHERE n.nspname IN ('public', 'studio', 'studio_queue')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = f.oid AND d.deptype = 'e')
    UNION ALL
    SELECT 'security', n.nspname || '.' || c.relname, '' FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relrowsecurity AND c.relkind IN ('r', 'p') AND n.nspname IN ('public', 'studio')
    UNION ALL
    SELECT 'exclusion', n.nspname || '.' || c.relname, k.conname
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE k.contype = 'x' AND n.nspname IN ('public', 'studio')
"""


def there(conn: Connection) -> frozenset[Part]:
    """The parts this database has; a trigger that is switched off is not there."""
    with conn.cursor(row_factory=class_row(Part)) as cursor:
        return frozenset(cursor.execute(_PARTS.encode()).fetchall())


@cache
def expected() -> tuple[Part, ...]:
    """The parts every database of ours has."""
    text = resources.files("core.db").joinpath("parts.txt").read_text("utf-8")
    return tuple(
        Part(kind=PartKind(kind), on=on, name=name)
        for kind, on, name in (line.split("\t") for line in text.splitlines() if line)
    )


def missing(conn: Connection) -> tuple[Part, ...]:
    """What should be there and is not, in the list's order."""
    found = {str(one) for one in there(conn)}
    return tuple(one for one in expected() if str(one) not in found)


def applied(conn: Connection) -> list[Applied]:
    """The record of migrations, oldest first. Raises NotAllowed (needs qa, product or admin)."""
    with conn.cursor(row_factory=class_row(Applied)) as cursor:
        return cursor.execute("SELECT version, name, applied_at FROM studio.applied_migrations()").fetchall()


def not_applied(conn: Connection) -> tuple[str, ...]:
    """File names of the migrations this version brings and the record lacks; stand-ins are no part of Supabase."""
    known = {one.version for one in applied(conn)}
    return tuple(one.file for one in read_folder(FOLDER) if one.version not in known and not one.is_stand_in)


def schedules(conn: Connection) -> list[Scheduled]:
    """The clocks that workers have set. Raises NotAllowed (needs qa, product or admin)."""
    with conn.cursor(row_factory=class_row(Scheduled)) as cursor:
        return cursor.execute(
            "SELECT name, expression, last_run, next_run FROM studio.schedule_stand()"
        ).fetchall()
