"""`python -m core migrate --dry-run`: what it says of an old, a half-adopted and an up-to-date database, and that looking
changes nothing (docs/decisions/0030).
"""

from __future__ import annotations

import contextlib
import re

import psycopg
import pytest
from typer.testing import CliRunner

from core.cli import app
from core.db import adoption, login_rights, migrate, preview, seeds
from core.errors import SetupFailed
from tests.database.test_adoption_steps import asked, bring_up, clone, fill, fill_and_adopt, run, templates
from tests.database.test_migrate import a_login_role, as_role

__all__ = ["templates"]

# Everything a dump would show, and every row.
DUMP = """
    SELECT 'relation', c.oid::bigint, c.relname::text, c.relkind::text || coalesce(c.relacl::text, '') FROM pg_class c
    WHERE c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace, 'information_schema'::regnamespace)
    UNION ALL SELECT 'column', attrelid::bigint, attname::text, atttypid::text || attnum FROM pg_attribute
    UNION ALL SELECT 'constraint', oid::bigint, conname::text, pg_get_constraintdef(oid) FROM pg_constraint
    UNION ALL SELECT 'function', oid::bigint, proname::text, prosrc FROM pg_proc
    UNION ALL SELECT 'trigger', oid::bigint, tgname::text, tgenabled::text FROM pg_trigger
    UNION ALL SELECT 'policy', oid::bigint, polname::text, polroles::text FROM pg_policy
    UNION ALL SELECT 'schema', oid::bigint, nspname::text, '' FROM pg_namespace WHERE nspname NOT LIKE 'pg_%'
    UNION ALL SELECT 'role', oid::bigint, rolname::text, '' FROM pg_roles
    ORDER BY 1, 2, 3
"""
TABLES = """
    SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
    WHERE schemaname IN ('public', 'auth', 'studio', 'studio_queue') ORDER BY 1
"""


def everything(dsn):
    held = {
        table: asked(
            dsn, f"SELECT count(*), bit_xor(hashtextextended(t::text || t.xmin::text, 0)) FROM {table} t"
        )
        for (table,) in asked(dsn, TABLES)
    }
    return asked(dsn, DUMP), held


@pytest.fixture
def old(server, templates):
    with clone(server, templates, "old", fill) as dsn:
        yield dsn


@pytest.fixture
def adopted(server, templates):
    with clone(server, templates, "adopted", fill_and_adopt) as dsn:
        yield dsn


@pytest.fixture
def say(monkeypatch, tmp_path):
    """Run the command as a person does; what it said, and its exit status."""

    def command(dsn, *options):
        monkeypatch.setenv("DATABASE_URL", dsn)
        monkeypatch.setenv("STUDIO_HOME", str(tmp_path))
        monkeypatch.setenv("ALLOW_NO_SIGN_IN", "yes")
        monkeypatch.setenv("COLUMNS", "200")
        result = CliRunner().invoke(app, ["migrate", *options])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return re.sub(r"\s+", " ", result.output), result.exit_code

    return command


def test_looking_changes_nothing_and_names_what_would_be_done(old, say):
    before = everything(old)

    said, status = say(old, "--dry-run")

    assert everything(old) == before
    assert status == 0
    assert "20261120090200_platform_tables.sql" in said
    assert "puts the check valid_gender on characters.gender in place of valid_gender" in said
    assert "puts the check jobs_status_check on jobs.status in place of jobs_status_check" in said
    assert "adds 13 columns to jobs: runner, character_id" in said
    assert "public.characters.seed_locked becomes bigint" in said
    assert re.search(r"library_by_words │ user_library │ [\d,]+ │ \d+ MB", said)
    assert re.search(r"\d+ portraits lose the star", said)
    assert re.search(r"It takes about .*; a statement of others waits at most about", said)
    assert re.search(r"Found: [\d,]+ findings by \d+ rules", said)
    assert "Nothing stands in the way" in said


def test_what_is_announced_is_what_is_done(old):
    announced = preview.look(old)

    bring_up(old)

    assert [one.file for one in announced.steps] == [
        f"{version}_{name}.sql"
        for version, name in asked(old, "SELECT version, name FROM studio.schema_migrations ORDER BY version")
    ]
    assert asked(old, "SELECT (corrections ->> 'second_primaries')::int FROM studio.adoptions") == [
        (announced.second_primaries,)
    ]
    made = {name for (name,) in asked(old, "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")}
    assert {one.index.name for one in announced.builds} <= made
    assert {str(one.column) for one in announced.seeds} == {
        "public.characters.seed_locked",
        "public.workspace_assets.generation_seed",
        "public.user_library.generation_seed",
        "public.attribute_images.seed",
    }


def test_a_half_adopted_database_says_what_is_left_and_looking_changes_nothing(old, say, monkeypatch):
    stop_after(monkeypatch, "20261120090400")
    with pytest.raises(SetupFailed, match="stopped here"):
        bring_up(old)
    monkeypatch.undo()
    before = everything(old)

    said, status = say(old, "--dry-run")

    assert everything(old) == before
    assert status == 0
    assert "20261120090500_row_level_security.sql" in said
    assert "platform_tables" not in said


def stop_after(monkeypatch, version):
    """Migrating stops before the first file that is younger than `version`."""
    apply = migrate._apply

    def stopping(conn, group, say):
        if group[0].version > version:
            raise SetupFailed("stopped here")
        apply(conn, group, say)

    monkeypatch.setattr(migrate, "_apply", stopping)


def test_an_up_to_date_database_has_nothing_to_apply_and_looking_changes_nothing(adopted, say):
    before = everything(adopted)

    said, status = say(adopted, "--dry-run")

    assert everything(adopted) == before
    assert status == 0
    assert "there is nothing to apply" in said


def test_where_there_is_no_database_yet_none_is_made_by_looking(say, monkeypatch, tmp_path):
    said, status = say("", "--dry-run")

    assert status == 0
    assert "There is no database yet" in said
    assert not (tmp_path / "postgres").exists()


def test_what_hangs_on_a_seed_is_in_the_way_with_status_1(old, say, monkeypatch):
    monkeypatch.setattr(seeds, "AT_ONCE_BYTES", -1)
    run(old, "CREATE INDEX by_seed ON public.user_library (generation_seed)")

    said, status = say(old, "--dry-run")
    allowed, allowed_status = say(old, "--dry-run", "--allow-blocking")

    assert status == 1
    assert "In the way" in said
    assert "index by_seed" in said
    assert allowed_status == 0
    assert "index by_seed" not in allowed


@contextlib.contextmanager
def a_login_without(server, dsn, right):
    """The address of a login that owns the platform's tables and may do everything, but for one right."""
    with a_login_role(server) as login:
        with psycopg.connect(dsn, autocommit=True) as conn:
            name = conn.info.dbname
            conn.execute(f"GRANT CREATE ON DATABASE {name} TO {login}")
            conn.execute(f"GRANT anon, authenticated, service_role TO {login}")
            conn.execute(
                f"GRANT USAGE, CREATE ON SCHEMA public, auth TO {login}; GRANT ALL ON auth.users TO {login}"
            )
            for table in adoption.TABLES:
                conn.execute(f"ALTER TABLE public.{table} OWNER TO {login}")
            conn.execute(right.format(login=login, database=name))
        try:
            yield as_role(dsn, login)
        finally:
            with psycopg.connect(dsn, autocommit=True) as conn:
                conn.execute(f"REASSIGN OWNED BY {login} TO CURRENT_USER; DROP OWNED BY {login}")


@pytest.mark.parametrize(
    ("without", "named"),
    [
        ("REVOKE CREATE ON DATABASE {database} FROM {login}", "CREATE on the database"),
        ("REVOKE CREATE ON SCHEMA public FROM {login}", "USAGE and CREATE on schema public"),
        ("ALTER TABLE public.jobs OWNER TO postgres", "ownership of table public.jobs"),
        ("REVOKE authenticated FROM {login}", "membership in role authenticated"),
    ],
)
def test_a_missing_right_is_named_before_anything_is_done(server, old, say, without, named):
    if "SCHEMA public" in without:
        run(old, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with a_login_without(server, old, without) as login:
        before = everything(old)

        said, status = say(login, "--dry-run")
        really, really_status = say(login)

        assert everything(old) == before
    assert status == really_status == 1
    assert named in said
    assert named in really


def test_a_login_with_every_right_lacks_none(server, old):
    with a_login_without(server, old, "SELECT 1") as login, psycopg.connect(login) as conn:
        assert login_rights.missing(conn, makes_roles=True) == []
