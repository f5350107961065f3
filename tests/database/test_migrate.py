import contextlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from core.db import migrate as migrate_module
from core.db.migrate import migrate, refuse_unadopted
from core.errors import SetupFailed

REPOSITORY = Path(__file__).parents[2]


class Folder:
    """A folder of migrations that grows."""

    def __init__(self, path):
        self.path = path

    def add(self, name, sql):
        (self.path / name).write_text(sql)
        return self

    def apply(self, dsn, **more):
        self.said = []
        return migrate(dsn, folder=self.path, say=self.said.append, **more)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@pytest.fixture
def ask(empty_dsn):
    def one(sql):
        with psycopg.connect(empty_dsn, autocommit=True) as conn:
            return conn.execute(sql).fetchone()[0]

    return one


@contextlib.contextmanager
def a_login_role(server, rights=""):
    name = f"login_{uuid4().hex}"
    server.run(f"CREATE ROLE {name} LOGIN {rights}")
    try:
        yield name
    finally:
        server.run(f"DROP ROLE {name}")


def as_role(dsn, role):
    split = urlsplit(dsn)
    return split._replace(netloc=f"{role}@{split.netloc.rpartition('@')[2]}").geturl()


def test_files_are_applied_oldest_first_and_recorded(folder, empty_dsn, ask):
    folder.add("20260102000000_second.sql", "INSERT INTO steps VALUES (2)")
    folder.add("20260101000000_first.sql", "CREATE TABLE steps (n int); INSERT INTO steps VALUES (1)")

    applied = folder.apply(empty_dsn)

    assert applied == ["20260101000000_first.sql", "20260102000000_second.sql"]
    assert ask("SELECT array_agg(n ORDER BY n) FROM steps") == [1, 2]
    assert ask("SELECT string_agg(version || name, ',' ORDER BY version) FROM studio.schema_migrations") == (
        "20260101000000first,20260102000000second"
    )


def test_a_second_run_applies_nothing(folder, empty_dsn, ask):
    folder.add("20260101000000_first.sql", "CREATE TABLE steps (n int); INSERT INTO steps VALUES (1)")
    folder.apply(empty_dsn)

    applied = folder.apply(empty_dsn)

    assert applied == []
    assert ask("SELECT count(*) FROM steps") == 1


def test_an_older_file_that_arrives_late_is_still_applied(folder, empty_dsn, ask):
    folder.add("20260102000000_second.sql", "CREATE TABLE steps (n int)")
    folder.apply(empty_dsn)
    folder.add("20260101000000_first.sql", "INSERT INTO steps VALUES (1)")

    applied = folder.apply(empty_dsn)

    assert applied == ["20260101000000_first.sql"]
    assert ask("SELECT count(*) FROM steps") == 1


def test_a_file_changed_after_it_was_applied_is_named_and_nothing_runs(folder, empty_dsn, ask):
    folder.add("20260101000000_first.sql", "CREATE TABLE steps (n int)")
    folder.apply(empty_dsn)
    folder.add("20260101000000_first.sql", "CREATE TABLE steps (n bigint)")
    folder.add("20260102000000_second.sql", "CREATE TABLE more (n int)")

    with pytest.raises(SetupFailed, match=r"20260101000000_first\.sql was changed"):
        folder.apply(empty_dsn)

    assert ask("SELECT to_regclass('more')") is None


def test_windows_line_ends_are_no_change(folder, empty_dsn):
    folder.add("20260101000000_first.sql", "CREATE TABLE steps (n int);\n-- end\n")
    folder.apply(empty_dsn)
    (folder.path / "20260101000000_first.sql").write_bytes(b"CREATE TABLE steps (n int);\r\n-- end\r\n")

    assert folder.apply(empty_dsn) == []


def test_a_file_that_fails_leaves_nothing_and_stops_the_rest(folder, empty_dsn, ask):
    folder.add("20260101000000_good.sql", "CREATE TABLE good (n int)")
    folder.add("20260102000000_bad.sql", "CREATE TABLE half (n int); SELECT 1 / 0")
    folder.add("20260103000000_later.sql", "CREATE TABLE later (n int)")

    with pytest.raises(SetupFailed, match=r"20260102000000_bad\.sql could not be applied"):
        folder.apply(empty_dsn)

    assert ask("SELECT to_regclass('good')") == "good"
    assert ask("SELECT to_regclass('half')") is None
    assert ask("SELECT to_regclass('later')") is None


def test_a_file_that_meets_unfit_rows_says_so_without_quoting_them(folder, empty_dsn):
    folder.add(
        "20260101000000_rows.sql", "CREATE TABLE words (w text); INSERT INTO words VALUES ('a secret wish')"
    )
    folder.add("20260102000000_check.sql", "ALTER TABLE words ADD CONSTRAINT no_wish CHECK (w = '')")

    with pytest.raises(SetupFailed, match=r"rows .* do not fit \(words\.no_wish\)") as caught:
        folder.apply(empty_dsn)

    assert "secret" not in str(caught.value)


def test_a_file_that_commits_by_itself_is_refused(folder, empty_dsn, ask):
    folder.add("20260101000000_sly.sql", "CREATE TABLE a (n int); COMMIT; BEGIN; CREATE TABLE b (n int)")

    with pytest.raises(SetupFailed, match=r"20260101000000_sly\.sql ends its transaction"):
        folder.apply(empty_dsn)

    assert ask("SELECT to_regclass('b')") is None
    assert ask("SELECT count(*) FROM studio.schema_migrations") == 0


def test_what_one_file_sets_for_its_session_is_nothing_to_the_next(folder, empty_dsn, ask):
    folder.add("20260101000000_sets.sql", "CREATE SCHEMA aside; SET search_path = aside")
    folder.add("20260102000000_table.sql", "CREATE TABLE here (n int)")

    folder.apply(empty_dsn)

    assert ask("SELECT to_regclass('public.here')::text") == "here"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["first.sql"], "is no migration's name"),
        (["20260101000000_a.sql", "20260101000000_b.sql"], "have the same version"),
        ([], "There are no migrations"),
    ],
)
def test_a_folder_that_cannot_be_right_is_refused(folder, names, words):
    for name in names:
        folder.add(name, "SELECT 1")

    with pytest.raises(SetupFailed, match=words):
        folder.apply("postgresql://nobody@/nowhere?host=/nonexistent")


def test_a_migration_that_only_the_database_knows_is_told_and_no_error(folder, empty_dsn):
    folder.add("20260101000000_first.sql", "SELECT 1").add("20260102000000_newer.sql", "SELECT 1")
    folder.apply(empty_dsn)
    (folder.path / "20260102000000_newer.sql").unlink()

    applied = folder.apply(empty_dsn)

    assert applied == []
    assert any("20260102000000_newer.sql" in sentence for sentence in folder.said)


def test_two_processes_at_once_apply_each_file_once(folder, empty_dsn, ask):
    folder.add("20260101000000_slow.sql", "CREATE TABLE steps (n int); SELECT pg_sleep(0.4)")
    folder.add("20260102000000_row.sql", "INSERT INTO steps VALUES (1)")
    script = (
        "import sys; from pathlib import Path; from core.db.migrate import migrate\n"
        "print(len(migrate(sys.argv[1], folder=Path(sys.argv[2]), say=lambda _: None)))"
    )
    command = [sys.executable, "-c", script, empty_dsn, str(folder.path)]

    both = [subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    counts = sorted(int(one.communicate(timeout=30)[0]) for one in both)

    assert counts == [0, 2]
    assert ask("SELECT count(*) FROM steps") == 1


def test_databases_of_one_cluster_may_make_the_same_roles_at_once(folder, server):
    role = f"shared_{uuid4().hex}"
    folder.add(
        "20260101000000_role.sql",
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN "
        f"PERFORM pg_sleep(0.1); CREATE ROLE {role}; END IF; END $$",
    )
    with contextlib.ExitStack() as stack:
        dsns = [stack.enter_context(server.database("template0")) for _ in range(3)]

        with ThreadPoolExecutor(3) as threads:
            applied = list(
                threads.map(lambda dsn: migrate(dsn, folder=folder.path, say=lambda _: None), dsns)
            )

    server.run(f"DROP ROLE {role}")
    assert applied == [["20260101000000_role.sql"]] * 3


def test_a_table_in_use_is_waited_for_without_blocking_its_users(folder, empty_dsn, monkeypatch):
    monkeypatch.setattr(migrate_module.table_locks, "WAIT_MS", 100)
    folder.add("20260101000000_table.sql", "CREATE TABLE busy (n int)")
    folder.apply(empty_dsn)
    folder.add("20260102000000_column.sql", "ALTER TABLE busy ADD COLUMN m int")
    reader = psycopg.connect(empty_dsn)
    reader.execute("SELECT * FROM busy")
    said = []

    def hear(sentence):
        said.append(sentence)
        if "trying again" in sentence:
            reader.close()

    applied = migrate(empty_dsn, folder=folder.path, say=hear)

    assert applied == ["20260102000000_column.sql"]
    assert any("trying again" in sentence for sentence in said)


def test_the_missing_right_to_make_roles_is_named(folder, server, empty_dsn, ask):
    folder.add("20260101000000_role.sql", "CREATE TABLE half (n int); CREATE ROLE never_made")
    with a_login_role(server) as role:
        server.run(f"GRANT ALL ON DATABASE {urlsplit(empty_dsn).path[1:]} TO {role}")
        with psycopg.connect(empty_dsn) as conn:
            conn.execute(f"GRANT ALL ON SCHEMA public TO {role}")

        with pytest.raises(SetupFailed, match=f"{role} lacks a right, CREATEROLE"):
            folder.apply(as_role(empty_dsn, role))

        assert ask("SELECT to_regclass('half')") is None
        with psycopg.connect(empty_dsn) as conn:
            conn.execute(f"DROP OWNED BY {role}")


def test_the_missing_right_to_make_a_schema_is_named(folder, server, empty_dsn):
    folder.add("20260101000000_first.sql", "SELECT 1")

    with a_login_role(server) as role, pytest.raises(SetupFailed, match="CREATE on the database"):
        folder.apply(as_role(empty_dsn, role))


STAND_IN = "-- only without supabase\nCREATE SCHEMA auth; CREATE TABLE auth.users (id uuid)"


@pytest.fixture
def service_role(server):
    """The role that Supabase's sign-in service has. It stays: another worker's test may be looking at it."""
    server.run(
        "DO $$ BEGIN CREATE ROLE supabase_auth_admin; "
        "EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$"
    )


def test_a_bare_server_gets_the_stand_ins(folder, empty_dsn, ask):
    folder.add("20260101000000_stand_ins.sql", STAND_IN).add(
        "20260102000000_ours.sql", "CREATE TABLE ours (n int)"
    )

    applied = folder.apply(empty_dsn)

    assert applied == ["20260101000000_stand_ins.sql", "20260102000000_ours.sql"]
    assert ask("SELECT to_regclass('auth.users')::text") == "auth.users"


def test_a_supabase_project_keeps_its_own(folder, empty_dsn, service_role):
    with psycopg.connect(empty_dsn) as conn:
        conn.execute("CREATE SCHEMA auth; CREATE TABLE auth.users (id uuid)")
    folder.add("20260101000000_stand_ins.sql", STAND_IN).add(
        "20260102000000_ours.sql", "CREATE TABLE ours (n int)"
    )

    first, second = folder.apply(empty_dsn), folder.apply(empty_dsn)

    assert first == ["20260102000000_ours.sql"]
    assert second == []


def test_another_databases_supabase_roles_make_this_one_no_supabase(folder, empty_dsn, service_role, ask):
    folder.add("20260101000000_stand_ins.sql", STAND_IN)
    folder.apply(empty_dsn)
    folder.add("20260102000000_more.sql", "-- only without supabase\nCREATE TABLE auth.more (n int)")

    applied = folder.apply(empty_dsn)

    assert applied == ["20260102000000_more.sql"]
    assert ask("SELECT to_regclass('auth.more')::text") == "auth.more"


def test_what_follows_the_files_runs_every_time_and_whole_or_not_at_all(folder, empty_dsn, ask):
    folder.add("20260101000000_first.sql", "CREATE TABLE rows (n int)")

    def add_two(conn):
        conn.execute("INSERT INTO rows VALUES (1)")
        conn.execute("INSERT INTO rows VALUES (2)")

    def stumble(conn):
        add_two(conn)
        raise SetupFailed("The catalogue is broken.")

    folder.apply(empty_dsn, after=add_two)
    with pytest.raises(SetupFailed, match="catalogue"):
        folder.apply(empty_dsn, after=stumble)
    folder.apply(empty_dsn, after=add_two)

    assert ask("SELECT count(*) FROM rows") == 4


def test_the_projects_host_becomes_one_of_ours_once(folder, empty_dsn, ask):
    folder.add(
        "20260101000000_s.sql", "CREATE TABLE studio.settings (key text PRIMARY KEY, value text NOT NULL)"
    )
    folder.apply(empty_dsn, supabase_url="https://abc.supabase.co")

    folder.apply(empty_dsn, supabase_url="https://abc.supabase.co/")
    folder.apply(empty_dsn, supabase_url="https://images.example.com")

    assert (
        ask("SELECT value FROM studio.settings WHERE key = 'own_hosts'")
        == "abc.supabase.co,images.example.com"
    )


def test_the_studios_own_migrations_apply_to_an_empty_database_and_twice(empty_dsn):
    first = migrate(empty_dsn, say=lambda _: None)

    second = migrate(empty_dsn, say=lambda _: None)

    assert len(first) == len(list(migrate_module.FOLDER.glob("*.sql")))
    assert second == []


def test_a_program_that_starts_does_not_adopt_a_platforms_database_by_itself(empty_dsn):
    with psycopg.connect(empty_dsn) as conn:
        conn.execute("CREATE TABLE public.characters (id uuid PRIMARY KEY)")

    with pytest.raises(SetupFailed, match="python -m core migrate"):
        refuse_unadopted(empty_dsn)


def test_a_database_of_our_own_may_be_brought_up_to_date_by_a_program_that_starts(dsn):
    refuse_unadopted(dsn)


FROM_HERE = "20261122"  # part 6: from this version on, an older process may work beside the newer schema
NARROWS = re.compile(
    r"\b(DROP\s+(TABLE|COLUMN|SCHEMA|VIEW|TYPE)|RENAME\s+(TO|COLUMN)|ALTER\s+COLUMN\s+\w+\s+(SET\s+NOT\s+NULL|(SET\s+DATA\s+)?TYPE))",
    re.IGNORECASE,
)


def test_a_migration_only_adds_so_that_an_older_worker_can_go_on_beside_it():
    narrowing = {
        path.name: found.group()
        for path in sorted(migrate_module.FOLDER.glob("*.sql"))
        if path.name >= FROM_HERE and (found := NARROWS.search(without_comments(path.read_text())))
    }

    assert narrowing == {}


def without_comments(sql):
    return re.sub(r"--[^\n]*", "", sql)
