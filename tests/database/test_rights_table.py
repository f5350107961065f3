"""The rights of the database, case by case: who × table × verb × whose row, and who × function × whose row, each
statement run for real in its role and undone again. What must be allowed has to touch its row, what must not has to
be refused or to touch none.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg
import pytest
from psycopg import errors as pg

from core.db import migrate
from tests.database import rights_functions as functions
from tests.database import rights_table as table
from tests.database.rights_table import LINES, PUBLIC_LINES, QUEUE_LINES, STRANGER, STUDIO_LINES, as_sql

FIXTURES = Path(__file__).parents[1] / "fixtures"
STAND_INS = migrate.FOLDER / "20261120090000_supabase_stand_ins.sql"
SCHEMAS = ["public", "studio", "studio_queue"]
PEOPLE = ("anon", "authenticated")

# What a Supabase project grants beforehand on whatever its login makes in schema public, and a publication.
DEFAULTS_OF_SUPABASE = """
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;
"""
# And what nobody should: the same for every schema.
DEFAULTS_FOR_EVERYTHING = """
    ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO anon, authenticated, service_role;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;
"""


@pytest.fixture
def world(dsn):
    """A connection of the studio's own login, with one row of every table for every owner."""
    with psycopg.connect(dsn) as conn:
        table.plant(conn, LINES)
        yield conn
        conn.rollback()


def adopt(dsn, *, beforehand=""):
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(STAND_INS.read_text())
        conn.execute(beforehand)
        conn.execute((FIXTURES / "old_schema.sql").read_text())
        conn.execute("CREATE PUBLICATION supabase_realtime FOR TABLE public.jobs, public.characters")
        conn.execute("CREATE PUBLICATION of_public FOR TABLES IN SCHEMA public")
    migrate.migrate(dsn, say=lambda _: None)


@pytest.fixture
def adopted(empty_dsn):
    """The same in a database of the platform that was adopted, with what Supabase grants by default."""
    adopt(empty_dsn, beforehand=DEFAULTS_OF_SUPABASE + DEFAULTS_FOR_EVERYTHING)
    with psycopg.connect(empty_dsn) as conn:
        table.plant(conn, LINES)
        yield conn
        conn.rollback()


def check(conn, tried, what, **settings):
    outcomes = table.run(conn, tried, **settings)
    print(f"{len(tried)} {what}, {sum(case.allowed for case in tried)} of them allowed")
    assert table.wrong(tried, outcomes) == []


def asked(conn, statement, *values):
    return [row[0] for row in conn.execute(statement, values or None).fetchall()]


# The table -----------------------------------------------------------------------------------------------------


def test_every_case_of_the_table_is_allowed_or_refused_as_it_says(world):
    check(world, list(table.cases(LINES)), "cases")


def test_an_adopted_database_has_the_same_rights(adopted):
    """Its own tables for everybody, but for TRUNCATE, which the platform granted on them and REST does not offer;
    those of the studio for a few, who would gain by a grant that stands by default.
    """
    of_the_platform = [case for case in table.cases(PUBLIC_LINES) if case.verb != "truncate"]
    of_the_studio = [
        case
        for case in table.cases((*STUDIO_LINES, *QUEUE_LINES), twists=())
        if case.who.name in ("nobody signed in", "a customer", "editor", "service_role")
    ]

    check(adopted, [*of_the_platform, *of_the_studio], "cases")


def without_a_line(conn):
    found = asked(
        conn,
        """
        SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname = ANY(%s)
        """,
        SCHEMAS,
    )
    return sorted(set(found) ^ {line.table for line in LINES})


def without_a_policy(conn):
    return asked(
        conn,
        """
        SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname IN ('public', 'studio') AND (
          NOT c.relrowsecurity OR NOT EXISTS (
            SELECT FROM pg_policies p WHERE p.schemaname = n.nspname AND p.tablename = c.relname))
          AND (n.nspname, c.relname) <> ('studio', 'schema_migrations')
        """,
    )


def test_every_table_has_its_line_and_its_policies_and_every_line_its_table(world):
    assert without_a_line(world) == []
    assert without_a_policy(world) == []


def test_a_table_that_comes_or_goes_without_its_line_is_found(world):
    world.execute("CREATE TABLE studio.forgotten (id uuid)")
    world.execute("ALTER TABLE studio.row_sweeps RENAME TO row_swept")

    assert without_a_line(world) == ["studio.forgotten", "studio.row_sweeps", "studio.row_swept"]
    assert without_a_policy(world) == ["studio.forgotten"]


# What was broken on purpose, and a case that must notice.
BREAKS = (
    ("ALTER TABLE public.jobs DISABLE ROW LEVEL SECURITY", "select · public.jobs · another's"),
    ("ALTER TABLE studio.findings DISABLE ROW LEVEL SECURITY", "a customer · select · studio.findings"),
    ("DROP POLICY own_scenes ON public.character_scenes", "a customer · insert · public.character_scenes"),
    ("DROP POLICY team_reads ON studio.proof_runs", "qa · select · studio.proof_runs"),
    ("DROP POLICY studio_service ON studio.settings", "service_role · insert · studio.settings"),
    ("DROP POLICY studio_owner_stays ON public.characters", "taking it (public.characters)"),
    ("DROP POLICY studio_owner_stays ON public.character_portraits", "taking it (public.character_portraits)"),
    ("DROP POLICY studio_members_read ON public.user_library", "public.user_library · another's, as a member"),
    ("GRANT SELECT ON studio.submissions TO authenticated", "reading a receipt"),
    ("GRANT TRUNCATE ON studio.counters TO authenticated", "truncate · studio.counters"),
    (
        "CREATE POLICY wide ON studio.suggestions FOR SELECT TO authenticated USING (studio.has_role('editor'))",
        "editor · select · studio.suggestions · another's",
    ),
    (
        """CREATE OR REPLACE FUNCTION studio.has_role(VARIADIC wanted text[]) RETURNS boolean LANGUAGE sql STABLE AS
           $$ SELECT coalesce(auth.jwt() -> 'app_metadata' -> 'roles' ?| wanted, false) $$""",
        "roles that are a string · select · studio.findings",
    ),
    (
        "CREATE OR REPLACE FUNCTION studio.refuse_purger() RETURNS void LANGUAGE sql AS ''",
        "call · purge ·",
    ),
    (
        """CREATE OR REPLACE FUNCTION studio.refuse_others_bulk(p_action studio.bulk_actions) RETURNS void
           LANGUAGE sql AS ''""",
        "call · stop_bulk · another's",
    ),
    ("CREATE OR REPLACE FUNCTION studio.is_stranger() RETURNS boolean LANGUAGE sql AS 'SELECT false'", "price_of"),
    ("REVOKE EXECUTE ON FUNCTION studio.line(integer) FROM authenticated", "call · line ·"),
)  # fmt: skip


def test_a_right_that_is_lost_or_given_away_is_noticed(world):
    everything = [*table.cases(LINES), *functions.cases()]
    unnoticed = []
    for statement, words in BREAKS:
        some = [case for case in everything if words in str(case)]
        with world.transaction(force_rollback=True):
            world.execute(statement)
            if not table.wrong(some, table.run(world, some)):
                unnoticed.append(statement)

    assert unnoticed == []


# Functions -----------------------------------------------------------------------------------------------------


def test_every_function_is_called_by_whom_it_is_for_and_by_nobody_else(world):
    check(world, list(functions.cases()), "calls")


def test_every_function_that_people_may_call_has_its_line_and_every_line_its_function(world):
    callable_ones = asked(
        world,
        """
        SELECT DISTINCT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE p.prosecdef AND n.nspname = ANY(%s) AND p.prorettype <> 'trigger'::regtype AND (
          has_function_privilege('anon', p.oid, 'EXECUTE') OR has_function_privilege('authenticated', p.oid, 'EXECUTE'))
        """,
        SCHEMAS,
    )

    assert sorted(set(callable_ones) ^ {one.name for one in functions.FUNCTIONS}) == []


# Functions anybody may call run with the rights of who calls them, and read no row that these do not.
ASKED_BY_EVERY_WRITER = {
    "as_uuid", "begin_without_picture", "changed_fields", "has_role", "inside_workspace", "is_ours", "is_own_session",
    "is_stranger", "job_of_path", "keep_owners_columns", "library_words", "may_change", "may_read", "name_of_job",
    "period_end", "period_start", "plain_name", "shares",
}  # fmt: skip
# But for what the triggers ask as whoever writes, a role of the platform's own too (test_beside_the_platform.py).
ASKED_BY_TRIGGERS = {"job_move_is_legal", "lock_job", "note_failure", "note_finding", "plain_address"}


def test_what_anybody_may_call_has_no_rights_of_its_own(world):
    found = world.execute(
        """
        SELECT p.proname, p.prosecdef, p.prorettype = 'trigger'::regtype
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = ANY(%s) AND EXISTS (
          SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
          WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE')
        """,
        [SCHEMAS],
    ).fetchall()

    assert {name for name, is_definer, _ in found if is_definer} == ASKED_BY_TRIGGERS
    assert [name for name, _, is_trigger in found if is_trigger] == []
    assert {
        name for name, _, _ in found if not re.match("refuse_", name)
    } <= ASKED_BY_EVERY_WRITER | ASKED_BY_TRIGGERS


# Names that definer functions use, planted where a session of one's own would look first.
PLANTED = """
    CREATE FUNCTION public.has_role(VARIADIC text[]) RETURNS boolean LANGUAGE sql AS 'SELECT true';
    CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'planted'; END $$;
    CREATE FUNCTION public.btrim(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'planted'; END $$;
    CREATE FUNCTION public.split_part(text, text, integer) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'planted'; END $$;
    CREATE FUNCTION public.pg_advisory_xact_lock(bigint) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'planted'; END $$;
    CREATE FUNCTION public.planted(jsonb, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'planted'; END $$;
    CREATE OPERATOR public.->> (LEFTARG = jsonb, RIGHTARG = text, FUNCTION = public.planted);
    CREATE FUNCTION public.planted(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'planted'; END $$;
    CREATE OPERATOR public.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = public.planted);
    CREATE TABLE public.findings AS SELECT * FROM studio.findings;
    CREATE TEMPORARY TABLE jobs AS SELECT * FROM public.jobs;
    CREATE TEMPORARY TABLE characters AS SELECT * FROM public.characters;
    CREATE TEMPORARY TABLE bulk_actions AS SELECT * FROM studio.bulk_actions;
    GRANT ALL ON ALL TABLES IN SCHEMA public TO authenticated;
    CREATE FUNCTION pg_temp.spring() RETURNS boolean LANGUAGE plpgsql AS
      $$ BEGIN RAISE 'planted, as %', current_user; END $$;
    CREATE DOMAIN pg_temp.uuid AS pg_catalog.uuid CHECK (pg_temp.spring());
    CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (pg_temp.spring());
    CREATE DOMAIN pg_temp.jsonb AS pg_catalog.jsonb CHECK (pg_temp.spring());
"""


def test_names_planted_in_public_and_in_pg_temp_change_nothing(world):
    tried = [case for case in functions.cases() if case.who.is_signed_in]
    world.execute(PLANTED)

    check(world, tried, "calls beside planted names", path="pg_temp, public, pg_catalog")


# Sessions of one's own -----------------------------------------------------------------------------------------


@pytest.fixture
def stranger_at_sql(world):
    """A session of role `authenticated` itself, which could set whatever it likes; REST gives nobody one."""
    world.execute("SET SESSION AUTHORIZATION authenticated")
    world.execute(
        "SELECT set_config('studio.writer', 'studio', true), set_config('studio.team_sharing', 'on', true)"
    )
    claims = {"sub": str(table.own_scope(EDITOR).owner), "app_metadata": {"roles": ["editor"]}}
    world.execute("SELECT set_config('request.jwt.claims', %s, true)", [json.dumps(claims)])
    yield world
    world.execute("RESET SESSION AUTHORIZATION")


EDITOR = next(who for who in table.EVERYBODY if who.name == "editor")


def test_our_settings_are_believed_of_our_own_login_only(stranger_at_sql):
    values = STRANGER.values("under")

    assert asked(stranger_at_sql, "SELECT studio.is_ours() OR studio.shares()") == [False]
    assert (
        asked(stranger_at_sql, as_sql("SELECT id FROM public.characters WHERE id = %(character)s", values))
        == []
    )
    for statement in (
        "SELECT studio.note_finding('a.rule', 'jobs', 'x', 'A sentence.')",
        as_sql("SELECT studio.lock_job(%(job)s)", values),
    ):
        with pytest.raises(psycopg.Error, match="for the studio itself"), stranger_at_sql.transaction():
            stranger_at_sql.execute(statement)


def test_a_session_of_ones_own_hangs_no_function_of_ours_on_a_table(stranger_at_sql):
    stranger_at_sql.execute("CREATE TEMPORARY TABLE bait (id uuid, job_id uuid)")

    with pytest.raises(pg.InsufficientPrivilege), stranger_at_sql.transaction():
        stranger_at_sql.execute(
            "CREATE TRIGGER bite AFTER INSERT ON bait FOR EACH ROW EXECUTE FUNCTION studio.complete_job()"
        )


def test_no_function_of_ours_lets_people_make_settings(world):
    """Whoever could, could write the claims of anybody; PostgREST offers no function of pg_catalog."""
    makers = asked(
        world,
        """
        SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = ANY(%s) AND p.prosrc ~* 'set_config|set (local|session|role)'
          AND has_function_privilege('authenticated', p.oid, 'EXECUTE')
        """,
        SCHEMAS,
    )

    assert makers == []


# Beside the tables ---------------------------------------------------------------------------------------------


def granted(conn, role, right, schemas=SCHEMAS):
    return asked(
        conn,
        """
        SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname = ANY(%s) AND has_table_privilege(%s, c.oid, %s)
        """,
        schemas,
        role,
        right,
    )


def rights_that_pass_by_policies(conn):
    newer = conn.info.server_version >= 170_000
    return ["TRUNCATE", "REFERENCES", "TRIGGER", *(["MAINTAIN"] if newer else [])]


def sequences_of(conn, role):
    return asked(
        conn,
        """
        SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = ANY(%s)
          AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege(%s, c.oid, 'USAGE, SELECT, UPDATE') END
        """,
        SCHEMAS,
        role,
    )


def test_people_have_no_right_that_passes_by_the_policies(world):
    for role in PEOPLE:
        assert sequences_of(world, role) == []
        for right in rights_that_pass_by_policies(world):
            assert granted(world, role, right) == [], (role, right)


def test_what_is_granted_by_default_opens_nothing_of_ours(adopted):
    ours = ["studio", "studio_queue"]

    for role in PEOPLE:
        assert sequences_of(adopted, role) == []
        for right in ("INSERT", "UPDATE", "DELETE", *rights_that_pass_by_policies(adopted)):
            assert granted(adopted, role, right, ours) == [], (role, right)
    assert granted(adopted, "anon", "SELECT", ours) == []
    assert granted(adopted, "authenticated", "SELECT", ["studio_queue"]) == []


def test_a_publication_of_the_platform_tells_nothing_of_ours(adopted):
    published = adopted.execute(
        "SELECT pubname, schemaname, tablename FROM pg_publication_tables ORDER BY 1, 2, 3"
    ).fetchall()

    assert [(schema, name) for pub, schema, name in published if pub == "supabase_realtime"] == [
        ("public", "characters"),
        ("public", "jobs"),
    ]
    assert {schema for _, schema, _ in published} == {"public"}


def test_a_publication_of_all_tables_stops_no_writer(adopted):
    """A table without a key could not be updated any more where everything is published."""
    keyless = asked(
        adopted,
        """
        SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND n.nspname = ANY(%s)
          AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
        """,
        SCHEMAS,
    )

    assert keyless == []


def test_nothing_of_ours_lies_on_another_server_or_in_a_schema_that_rest_shows(world):
    assert asked(world, "SELECT ftrelid::regclass::text FROM pg_foreign_table") == []
    assert asked(world, "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace") == []
    assert [
        schema
        for schema in ("studio_queue",)
        for role in (*PEOPLE, "service_role")
        if asked(world, "SELECT has_schema_privilege(%s, %s, 'USAGE')", role, schema) == [True]
    ] == []
