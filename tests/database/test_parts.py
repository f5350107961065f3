"""The list of what the migrations made, and how a part that is gone is found and named."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest

from core.db import migrate, parts
from core.db.parts import Part, PartKind

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
STAND_INS = migrate.FOLDER / "20261120090000_supabase_stand_ins.sql"
LIST = ROOT / "core" / "db" / "parts.txt"


def parts_of(dsn):
    with psycopg.connect(dsn) as conn:
        return parts.there(conn)


def adopted(dsn):
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(STAND_INS.read_text())
        conn.execute((FIXTURES / "old_schema.sql").read_text())
    migrate.migrate(dsn, say=lambda _: None)
    return parts_of(dsn)


def test_the_list_is_what_the_migrations_make_on_a_new_and_on_an_adopted_database(dsn, empty_dsn):
    made = sorted(str(one) for one in parts_of(dsn) & adopted(empty_dsn))

    if os.environ.get("WRITE_PARTS"):
        LIST.write_text("\n".join(made) + "\n", "utf-8")
    parts.expected.cache_clear()
    assert [str(one) for one in parts.expected()] == made, (
        "The migrations make something else: run WRITE_PARTS=1 pytest tests/database/test_parts.py"
    )


def test_a_whole_database_lacks_nothing(dsn):
    with psycopg.connect(dsn) as conn:
        assert parts.missing(conn) == ()


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("", None),
        (
            "DROP POLICY team_reads ON public.jobs",
            Part(kind=PartKind.policy, on="public.jobs", name="team_reads"),
        ),
        (
            "ALTER TABLE public.jobs DISABLE ROW LEVEL SECURITY",
            Part(kind=PartKind.security, on="public.jobs", name=""),
        ),
        (
            "DROP FUNCTION studio.live_entry(uuid)",
            Part(kind=PartKind.function, on="", name="studio.live_entry(p_job uuid)"),
        ),
    ],
)
def test_a_part_that_was_dropped_is_named(dsn, statement, named):
    with psycopg.connect(dsn, autocommit=True) as conn:
        if named is None:  # any trigger of the assets
            [name] = conn.execute(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = 'public.workspace_assets'::regclass"
                " AND NOT tgisinternal ORDER BY tgname LIMIT 1"
            ).fetchone()
            named = Part(kind=PartKind.trigger, on="public.workspace_assets", name=name)
            statement = f"DROP TRIGGER {name} ON public.workspace_assets"
        conn.execute(statement)

        assert parts.missing(conn) == (named,)


def test_a_trigger_that_is_switched_off_counts_as_missing(dsn):
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("ALTER TABLE studio.audit_events DISABLE TRIGGER audit_events_append_only")

        assert [one.name for one in parts.missing(conn)] == ["audit_events_append_only"]
