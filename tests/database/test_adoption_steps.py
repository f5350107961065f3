"""Adopting a platform's tables beside its writers: indexes apart, seeds widened while others write, locks asked for
shortly, and who stands in the way named (docs/decisions/0030).
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest

from core.db import checks, indexes, migrate, migration_text, preview, seeds, table_locks
from core.db.adoption import TABLES
from core.db.migrate import FOLDER, read_folder
from core.errors import SetupFailed
from tests.platform import rows

TEXTS = [one.text for one in read_folder(FOLDER)]
SEEDS = (
    ("characters", "seed_locked"),
    ("workspace_assets", "generation_seed"),
    ("user_library", "generation_seed"),
    ("attribute_images", "seed"),
)
PUBLIC_INDEXES = """
    SELECT c.relname, pg_get_indexdef(i.indexrelid), i.indisvalid FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relnamespace = 'public'::regnamespace
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
"""
GRANTS = """
    SELECT relname, relacl::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname
"""


def asked(dsn, statement, *values):
    with psycopg.connect(dsn, autocommit=True) as conn:
        return conn.execute(statement, values or None).fetchall()


def run(dsn, statement):
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(statement)


def bring_up(dsn, **more):
    said = []
    migrate.migrate(dsn, say=said.append, **more)
    return said


@pytest.fixture(scope="module")
def templates():
    """What this module has filled and adopted: a template a server and kind."""
    made = {}
    yield made
    for (server, _), name in made.items():
        server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        server.run(f"DROP DATABASE {name} WITH (FORCE)")


def clone(server, templates, kind, make):
    """A database of this test's own, copied from one that `make` made once."""
    if (server, kind) not in templates:
        name = f"old_{uuid4().hex}"
        server.run(f"CREATE DATABASE {name} TEMPLATE template0")
        templates[server, kind] = name
        make(server.address(name))
        server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    return server.database(templates[server, kind])


def fill(dsn):
    rows.build(dsn)
    rows.fill(dsn, characters=200, portraits=400, jobs=1000)


def fill_and_adopt(dsn):
    fill(dsn)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate, "APART_BYTES", 0)
        bring_up(dsn, sweep=lambda _conn, _say: {"row.a_rule": 3})


@pytest.fixture
def old(server, templates):
    """The platform's database with rows of every kind."""
    with clone(server, templates, "old", fill) as dsn:
        yield dsn


@pytest.fixture
def adopted(server, templates):
    """The same, adopted."""
    with clone(server, templates, "adopted", fill_and_adopt) as dsn:
        yield dsn


@pytest.fixture
def large(monkeypatch):
    """Every table counts as one that is too large to be rewritten, or given an index, in a moment."""
    monkeypatch.setattr(seeds, "AT_ONCE_BYTES", -1)
    monkeypatch.setattr(migrate, "APART_BYTES", 0)


# ---- indexes


def test_the_indexes_read_from_the_files_are_those_that_a_migrated_database_has(dsn):
    named = {one.name for one in indexes.named(TEXTS)}

    assert named == {name for name, _, _ in asked(dsn, PUBLIC_INDEXES)}


def test_an_adopted_database_has_the_indexes_of_a_new_one_and_all_are_valid(adopted, dsn):
    assert set(asked(adopted, PUBLIC_INDEXES)) == set(asked(dsn, PUBLIC_INDEXES))
    assert all(valid for _, _, valid in asked(adopted, PUBLIC_INDEXES))


def test_two_that_adopt_at_once_stand_in_each_others_way_at_no_index(old, large):
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(bring_up, old) for _ in range(2)]
        said = sorted((one.result() for one in both), key=len)

    assert said[0] == [
        "Another process is migrating this database; waiting for it.",
        "The database is up to date.",
    ]
    assert all(valid for _, _, valid in asked(old, PUBLIC_INDEXES))


def test_an_index_that_a_killed_build_left_broken_is_built_anew(adopted):
    bring_up(adopted)
    break_index(adopted, "jobs_recent", "ON public.jobs (created_at desc, id desc)")

    said = bring_up(adopted)

    assert ("jobs_recent", True) in {(name, valid) for name, _, valid in asked(adopted, PUBLIC_INDEXES)}
    assert any("Building index jobs_recent on public.jobs (1 of 1)" in line for line in said)


def break_index(dsn, name, on):
    """Leave `name` as a build leaves it that was ended while it waited for an older transaction."""
    run(dsn, f"DROP INDEX public.{name}")
    with psycopg.connect(dsn) as older, psycopg.connect(dsn, autocommit=True) as builder:
        older.execute("UPDATE public.jobs SET id = id WHERE id = (SELECT id FROM public.jobs LIMIT 1)")
        builder.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            builder.execute(f"CREATE INDEX CONCURRENTLY {name} {on}")
    assert (name, False) in {(found, valid) for found, _, valid in asked(dsn, PUBLIC_INDEXES)}


def test_an_index_that_somebody_dropped_comes_back_with_the_next_run(adopted):
    bring_up(adopted)
    run(adopted, "DROP INDEX public.jobs_recent; DROP INDEX public.library_by_words")

    bring_up(adopted)

    assert {"jobs_recent", "library_by_words"} <= {name for name, _, _ in asked(adopted, PUBLIC_INDEXES)}


def test_a_unique_index_that_rows_do_not_fit_is_named_and_refuses_nobodys_rows(adopted):
    bring_up(adopted)
    run(adopted, "DROP INDEX public.library_one_per_job")
    twice = "INSERT INTO public.user_library (user_id, asset_type, storage_path, mime_type, job_id) SELECT {0}, 'image', 'a', 'image/png', {0} FROM generate_series(1, 2)"
    with psycopg.connect(adopted, autocommit=True) as conn:
        conn.execute("SET studio.writer = 'studio'")
        conn.execute(twice.format(f"'{uuid4()}'::uuid"))

        with pytest.raises(
            SetupFailed, match=r"library_one_per_job could not be built: rows of public\.user_library"
        ):
            bring_up(adopted)

        conn.execute(twice.format(f"'{uuid4()}'::uuid"))


def test_a_build_that_waits_for_an_older_transaction_says_for_whom_and_ends(adopted, monkeypatch):
    monkeypatch.setattr(indexes, "_PATIENCE", "100ms")
    bring_up(adopted)
    run(adopted, "DROP INDEX public.jobs_recent")
    with psycopg.connect(adopted, application_name="an edge function") as idle:
        idle.execute("UPDATE public.jobs SET id = id WHERE id = (SELECT id FROM public.jobs LIMIT 1)")

        with pytest.raises(SetupFailed, match=rf"process {idle.info.backend_pid} \(an edge function.*go"):
            bring_up(adopted)

    bring_up(adopted)
    assert "jobs_recent" in {name for name, _, _ in asked(adopted, PUBLIC_INDEXES)}


ADOPTED = "|".join(TABLES)
# What reads all rows of a table that stands while it is held, however it is written.
HOLDING = re.compile(
    rf"""
    create \s+ (unique \s+)? index (?! \s+ concurrently) [^;]* \s on \s+ (only \s+)? (public\.)? ({ADOPTED}) \b
    | alter \s+ table \s+ (only \s+)? (public\.)? ({ADOPTED}) \s [^;]*?
      (set \s+ not \s+ null | add \s+ constraint \s+ \w+ \s+ (check (?! [^;]* not \s+ valid) | foreign \s+ key | unique | primary))
    """,
    re.IGNORECASE | re.VERBOSE,
)


def test_no_file_reads_all_rows_of_a_large_adopted_table_while_it_holds_it():
    built = [
        migration_text.without_proofs(migration_text.without_indexes(text, TABLES), TABLES) for text in TEXTS
    ]

    assert [found[0] for text in built for found in HOLDING.finditer(re.sub(r"--[^\n]*", "", text))] == []
    assert sum(HOLDING.search(text) is not None for text in TEXTS) > 10  # it knows one when it sees one


# ---- checks

CHECKS = """
    SELECT c.relname, k.conname, pg_get_constraintdef(k.oid), k.convalidated
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE k.contype = 'c' AND c.relnamespace = 'public'::regnamespace
"""


class Killed(BaseException):
    """What a kill is to the migrator: nothing after it runs."""


def unproved(dsn):
    return {(table, name) for table, name, _, is_proved in asked(dsn, CHECKS) if not is_proved}


def test_the_checks_read_from_the_files_are_those_that_an_adoption_puts_on(old, adopted):
    read = {(one.table, one.name) for one in checks.named(TEXTS)}

    came = set(asked(adopted, CHECKS)) - set(asked(old, CHECKS))

    assert {(table, name) for table, name, _, _ in came} == read
    assert all(is_proved for *_, is_proved in came)


def test_a_check_holds_at_once_and_is_proved_after_the_tables_are_free_again(old, large, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checks, "prove", die)
        with pytest.raises(Killed):
            bring_up(old)

    assert unproved(old) == {(one.table, one.name) for one in checks.named(TEXTS)}
    with pytest.raises(psycopg.errors.CheckViolation):
        run(old, "UPDATE public.characters SET gender = 'a word'")
    assert {one.name for one in preview.look(old).proofs} == {name for _, name in unproved(old)}
    said = bring_up(old)

    assert "Holding the check jobs_status_check against the rows of public.jobs." in said
    assert unproved(old) == set()
    assert preview.look(old).is_up_to_date


def die(*_):
    raise Killed


def test_rows_that_fit_no_check_are_named_before_a_seed_or_a_column_is_touched(old, large):
    run(
        old,
        "ALTER TABLE public.jobs DROP CONSTRAINT jobs_status_check;"
        " UPDATE public.jobs SET status = 'a secret wish' WHERE id = (SELECT id FROM public.jobs LIMIT 1)",
    )
    before = asked(old, "SELECT attrelid::regclass::text, attname, atttypid FROM pg_attribute ORDER BY 1, 2")
    assert (
        "Rows of public.jobs do not fit the check jobs_status_check. Mend them, then ask again."
        in preview.look(old).in_the_way
    )

    with pytest.raises(
        SetupFailed, match=r"platform_tables\.sql .* do not fit \(jobs\.jobs_status_check\)"
    ) as caught:
        bring_up(old)

    assert "secret" not in str(caught.value)
    now = asked(old, "SELECT attrelid::regclass::text, attname, atttypid FROM pg_attribute ORDER BY 1, 2")
    assert [one for one in now if one[0] in TABLES] == [one for one in before if one[0] in TABLES]


WITHOUT = "ALTER TABLE public.jobs DROP CONSTRAINT jobs_status_check"
UNPROVED = """
    ALTER TABLE public.jobs ADD CONSTRAINT jobs_status_check
        CHECK (status IN ('queued', 'processing', 'completed', 'failed', 'cancelled')) NOT VALID
"""


def test_a_check_is_proved_beside_those_who_write(adopted):
    run(adopted, WITHOUT)
    run(adopted, UNPROVED)
    with psycopg.connect(adopted) as platform:
        platform.execute("UPDATE public.jobs SET metadata = metadata")

        bring_up(adopted)

        assert unproved(adopted) == set()


def test_a_row_that_came_before_the_check_and_does_not_fit_it_is_said_without_its_text(adopted):
    run(adopted, WITHOUT)
    with psycopg.connect(adopted, autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute(
            "UPDATE public.jobs SET status = 'a secret wish' WHERE id = (SELECT id FROM public.jobs LIMIT 1)"
        )
        conn.execute(UNPROVED)

    with pytest.raises(
        SetupFailed, match=r"Rows of public\.jobs do not fit the check jobs_status_check"
    ) as caught:
        bring_up(adopted)

    assert "secret" not in str(caught.value)


# ---- seeds


def seed_types(dsn):
    return asked(
        dsn,
        "SELECT DISTINCT data_type FROM information_schema.columns WHERE table_schema = 'public' AND "
        "(table_name, column_name) IN (" + ", ".join(f"('{t}', '{c}')" for t, c in SEEDS) + ")",
    )


def prints(dsn):
    with psycopg.connect(dsn, autocommit=True) as conn:
        found = rows.fingerprints(conn)
    return {
        (table, column): hashed
        for table, (_, columns) in found.items()
        for column, hashed in columns.items()
        if (table, column) != ("character_portraits", "is_primary")
    }


@pytest.mark.parametrize("size", ["small", "large"])
def test_seeds_become_bigint_and_no_value_changes(old, size, request):
    if size == "large":
        request.getfixturevalue("large")
    before = {key: value for key, value in prints(old).items() if not key[0].startswith("api_")}

    said = bring_up(old)

    assert seed_types(old) == [("bigint",)]
    after = prints(old)
    assert {key: after[key] for key in before} == before
    assert (size == "large") == any("while others go on writing" in line for line in said)
    assert asked(old, "SELECT proname FROM pg_proc WHERE proname LIKE 'keep_%_seed%'") == []
    assert asked(old, "SELECT attname FROM pg_attribute WHERE attname LIKE '%as_bigint'") == []


def test_what_was_said_about_a_seed_is_said_about_the_wide_one(old, large):
    run(
        old,
        """
        UPDATE public.workspace_assets SET generation_seed = 1 WHERE generation_seed IS NULL;
        ALTER TABLE public.workspace_assets ALTER COLUMN generation_seed SET DEFAULT 7,
            ALTER COLUMN generation_seed SET NOT NULL, ALTER COLUMN generation_seed SET STATISTICS 321,
            ALTER COLUMN generation_seed SET (n_distinct = -0.5);
        COMMENT ON COLUMN public.workspace_assets.generation_seed IS 'it''s from the provider';
        GRANT SELECT (generation_seed), UPDATE (generation_seed) ON public.workspace_assets TO anon;
        """,
    )
    about = """
        SELECT a.attnotnull, a.attstattarget, pg_get_expr(d.adbin, d.adrelid),
               col_description(a.attrelid, a.attnum), a.attacl::text,
               ARRAY(SELECT one FROM unnest(a.attoptions) one WHERE one NOT LIKE 'pg\\_%')
        FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = 'public.workspace_assets'::regclass AND a.attname = 'generation_seed'
    """
    before = asked(old, about)

    bring_up(old)

    assert asked(old, about) == before
    checks = asked(old, "SELECT conname FROM pg_constraint WHERE conname LIKE 'zz_studio%'")
    assert checks == []


def test_what_the_platform_writes_while_a_seed_is_widened_is_kept(old, large, monkeypatch):
    monkeypatch.setattr(seeds, "_BLOCKS", 4)
    wrote, stop = {}, threading.Event()

    def write():
        with psycopg.connect(old, autocommit=True) as conn:
            people = [row[0] for row in conn.execute("SELECT id FROM auth.users LIMIT 5")]
            ids = [row[0] for row in conn.execute("SELECT id FROM public.user_library LIMIT 40")]
            for number in range(1_000_000):
                if stop.is_set():
                    return
                item = ids[number % len(ids)]
                conn.execute(
                    "UPDATE public.user_library SET generation_seed = %s WHERE id = %s", (number, item)
                )
                wrote[item] = number
                new = uuid4()
                conn.execute(
                    "INSERT INTO public.user_library (id, user_id, asset_type, storage_path, mime_type, generation_seed)"
                    " VALUES (%s, %s, 'image', 'x', 'image/png', %s)",
                    (new, people[0], -number),
                )
                wrote[new] = -number
                time.sleep(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        bring_up(old)
    finally:
        stop.set()
        writer.join()

    held = dict(asked(old, "SELECT id, generation_seed FROM public.user_library"))
    assert {key: held[key] for key in wrote} == wrote
    assert len(wrote) > 40


OBSTACLES = [
    ("CREATE INDEX by_seed ON public.user_library (generation_seed)", "index by_seed", True),
    (
        "CREATE POLICY lucky ON public.user_library FOR SELECT TO anon USING (generation_seed = 7)",
        "policy lucky",
        False,
    ),
    ("CREATE VIEW public.lucky AS SELECT generation_seed FROM public.user_library", "view lucky", False),
]


STAMP = """
    CREATE FUNCTION public.stamp() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN new.updated_at := clock_timestamp(); RETURN new; END $$;
    CREATE TRIGGER stamp BEFORE UPDATE ON public.characters FOR EACH ROW EXECUTE FUNCTION public.stamp();
    CREATE TRIGGER stamp_always BEFORE UPDATE ON public.characters FOR EACH ROW EXECUTE FUNCTION public.stamp();
    ALTER TABLE public.characters ENABLE ALWAYS TRIGGER stamp_always;
"""


def test_filling_a_seed_is_nobodys_edit_and_the_platforms_trigger_goes_on(old, large):
    run(old, STAMP)
    stamps = "SELECT id, updated_at FROM public.characters ORDER BY id"
    before = asked(old, stamps)

    bring_up(old)

    assert asked(old, stamps) == before
    assert asked(old, "SELECT tgname, tgenabled FROM pg_trigger WHERE tgname LIKE 'stamp%' ORDER BY 1") == [
        ("stamp", "O"),
        ("stamp_always", "A"),
    ]
    run(
        old,
        "UPDATE public.characters SET mood = 'friendly' WHERE id = (SELECT min(id::text)::uuid FROM public.characters)",
    )
    assert asked(old, stamps) != before


@pytest.mark.parametrize(("made", "named", "may_block"), OBSTACLES)
def test_what_hangs_on_a_seed_is_named_before_anything_is_lost(old, large, made, named, may_block):
    run(old, made)

    with pytest.raises(SetupFailed, match=named) as caught:
        bring_up(old)

    assert asked(old, "SELECT 1 FROM pg_attribute WHERE attname LIKE '%as_bigint'") == []
    assert ("--allow-blocking" in str(caught.value)) == may_block
    if may_block:
        bring_up(old, allow_blocking=True)
        assert seed_types(old) == [("bigint",)]


# ---- locks


def test_a_platforms_open_transaction_is_named_and_nobody_waits_behind_us(old, monkeypatch):
    monkeypatch.setattr(table_locks, "ATTEMPTS", 4)
    with psycopg.connect(old, application_name="an edge function") as idle:
        held_by = f"process {idle.info.backend_pid} (an edge function"
        idle.execute("SELECT count(*) FROM public.jobs")
        waits, stop = [], threading.Event()
        other = threading.Thread(target=keep_writing, args=(old, waits, stop))
        other.start()
        try:
            with pytest.raises(SetupFailed) as caught:
                bring_up(old)
        finally:
            stop.set()
            other.join()

    assert held_by in str(caught.value)
    assert "python -m core migrate" in str(caught.value)
    assert max(waits) < 2
    bring_up(old)


def keep_writing(dsn, waits, stop):
    with psycopg.connect(dsn, autocommit=True) as conn:
        while not stop.is_set():
            began = time.monotonic()
            conn.execute("UPDATE public.jobs SET id = id WHERE id = (SELECT id FROM public.jobs LIMIT 1)")
            waits.append(time.monotonic() - began)
            time.sleep(0.005)


def test_a_table_that_is_held_keeps_nobody_from_another_one(old):
    with psycopg.connect(old) as holder, psycopg.connect(old) as ours:
        holder.execute("LOCK TABLE public.user_library IN ROW EXCLUSIVE MODE")
        began = time.monotonic()

        with pytest.raises(psycopg.errors.LockNotAvailable), ours.transaction():
            table_locks.take(ours, ["user_library", "jobs", "characters"])

        assert time.monotonic() - began < 2 * table_locks.WAIT_MS / 1000


def test_the_rule_of_one_primary_comes_together_with_what_keeps_it(adopted):
    assert asked(
        adopted,
        "SELECT count(DISTINCT xmin::text) FROM studio.schema_migrations WHERE version BETWEEN %s AND %s",
        "20261120090200",
        "20261120090400",
    ) == [(1,)]


TRANSACTIONS = "SELECT count(DISTINCT xmin::text), count(*) FROM studio.schema_migrations WHERE version > '20261120090400'"


def test_the_files_after_an_adoption_take_one_turn_and_on_a_new_database_one_each(adopted, empty_dsn):
    bring_up(empty_dsn)

    [(turns, files)] = asked(adopted, TRANSACTIONS)
    [(turns_of_new, files_of_new)] = asked(empty_dsn, TRANSACTIONS)

    assert turns == 1
    assert turns_of_new == files_of_new == files > 40


def test_the_indexes_that_triggers_ask_at_every_row_are_built_first(old, large):
    said = bring_up(old)

    built = [line.split()[2] for line in said if line.startswith("Building index")]
    assert set(built[:3]) == {"portraits_one_per_job", "library_one_per_job", "assets_of_job"}
    assert len(built) == len(set(built)) > 30
    turn = next(place for place, line in enumerate(said) if line.startswith("Applying 20261120090500"))
    assert sum(line.startswith("Building index") for line in said[:turn]) == 3


def test_a_file_that_fails_in_an_adoption_is_named_and_not_its_whole_turn(old, large, tmp_path):
    for file in FOLDER.glob("*.sql"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "20991231000000_broken.sql").write_text("select nothing_of_that_name();")

    with pytest.raises(SetupFailed, match=r"20991231000000_broken\.sql could not be applied"):
        bring_up(old, folder=tmp_path)

    assert asked(old, TRANSACTIONS)[0][1] == 0
    bring_up(old)
    assert asked(old, TRANSACTIONS)[0][1] > 40


# ---- the record


def test_an_adoption_is_written_down_with_what_it_took_over_corrected_and_found(old, adopted):
    before = {
        table: asked(old, f"SELECT count(*) FROM public.{table}")[0][0]
        for table in ("characters", "character_portraits", "jobs", "user_library")
    }
    [(second,)] = asked(
        old,
        "SELECT sum(n - 1) FROM"
        " (SELECT count(*) AS n FROM character_portraits WHERE is_primary GROUP BY character_id) stars",
    )

    [(taken, corrections, found, is_ended)] = asked(
        adopted, "SELECT rows_before, corrections, found, ended_at >= began_at FROM studio.adoptions"
    )

    assert {table: taken[table] for table in before} == before
    assert corrections == {"second_primaries": second}
    assert second > 0
    assert found == {"row.a_rule": 3}
    assert is_ended


def test_a_second_run_writes_down_no_second_adoption(adopted):
    bring_up(adopted, by_person=True, sweep=lambda _conn, _say: {})

    assert asked(adopted, "SELECT count(*) FROM studio.adoptions WHERE found <> '{}'") == [(1,)]


def test_a_database_of_our_own_was_never_adopted(dsn):
    assert asked(dsn, "SELECT count(*) FROM studio.adoptions") == [(0,)]


def test_a_database_adopted_by_an_earlier_version_keeps_what_the_platform_granted(old, tmp_path):
    for path in FOLDER.glob("2026112[0]*.sql"):
        shutil.copy(path, tmp_path)
    bring_up(old, folder=tmp_path)
    run(old, "TRUNCATE studio.adoptions")
    before = asked(old, GRANTS)

    bring_up(old)

    assert asked(old, GRANTS) == before


@pytest.mark.parametrize(
    ("roles", "sees"), [(["qa"], 1), (["product"], 1), (["admin"], 1), (["editor"], 0), ([], 0)]
)
def test_qa_product_and_admin_read_what_was_adopted(adopted, roles, sees):
    claims = json.dumps({"sub": str(uuid4()), "app_metadata": {"roles": roles}})
    with psycopg.connect(adopted) as conn:
        conn.execute(
            "SELECT set_config('role', 'authenticated', true), set_config('request.jwt.claims', %s, true)",
            [claims],
        )

        assert conn.execute("SELECT count(*) FROM studio.adoptions").fetchone() == (sees,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("UPDATE studio.adoptions SET found = '{}'")


def test_the_record_is_the_same_on_a_new_and_on_an_adopted_database(adopted, dsn):
    shape = """
        SELECT column_name, data_type, is_nullable, column_default, is_identity
        FROM information_schema.columns WHERE table_name = 'adoptions' ORDER BY ordinal_position
    """
    assert asked(adopted, shape) == asked(dsn, shape)
