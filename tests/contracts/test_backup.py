"""A backup is made while everything runs, and what is restored from it is the same to the row and the byte."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from core import backup, generation, portraits, recovery, worker
from core.backup import Damaged
from core.cli import app
from core.db import Database, dumps
from core.errors import Conflict, SetupFailed
from core.events import Events
from core.storage.folder import FolderStorage
from tests import builders
from tests.broken_jobs import Breakage, break_jobs

pytest_plugins = ["tests.supabase.fix_supabase"]

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "backup.md"
LIVE = ("studio.workers", "studio_queue.pgqueuer_schedules", "studio.sessions", "studio.sign_in_failures")


@pytest.fixture
def world(services, ana, ben):
    """Two finished portraits, one that waits: the job that waits."""
    character = builders.a_character(ana, services)
    builders.a_finished_portrait(ana, services, character)
    builders.a_finished_portrait(ben, services, builders.a_character(ben, services))
    return builders.a_waiting_job(ana, services, character)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "backup"


@pytest.fixture
def made(services, world, dsn, folder):
    """A backup of that world: its folder."""
    backup.backup(folder, dsn, services.storage)
    return folder


@pytest.fixture
def target(server):
    """An empty database elsewhere."""
    with server.database("template0") as address:
        yield address


@pytest.fixture
def elsewhere(tmp_path):
    """An empty store."""
    return FolderStorage(tmp_path / "elsewhere")


def digests(storage):
    return {(b, o.path): storage.digest(b, o.path) for b in backup.BUCKETS for o in storage.list(b)}


def hashes(dsn, without=dumps.LEFT_OUT):
    with dumps.opened(dsn) as conn:
        return {t: dumps.hash_of(conn, t) for t in dumps.tables(conn) if t not in without}


@contextmanager
def reopened(services, dsn, storage):
    """The product over what was restored."""
    with closing(Database.open(dsn, max_size=16, share_with_team=False)) as db:
        events = Events(db.connect, shares=False)
        events.start()
        with closing(events):
            yield replace(services, db=db, storage=storage, events=events, stopping=threading.Event())


SCHEMA = """
    SELECT 'policy', schemaname || '.' || tablename || '.' || policyname || coalesce(qual, '') || coalesce(with_check, '')
    FROM pg_policies UNION ALL
    SELECT 'trigger', tgrelid::regclass::text || tgname || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'function', p.oid::regprocedure::text || coalesce(p.proconfig::text, '') || coalesce((
        SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(coalesce(p.proacl, acldefault('f', p.proowner))) a), '')
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('studio', 'studio_queue', 'public', 'auth')
    UNION ALL SELECT 'table', c.oid::regclass::text || c.relrowsecurity::text || coalesce((
        SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(coalesce(c.relacl, acldefault('r', c.relowner))) a), '')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'v') AND n.nspname IN ('studio', 'studio_queue', 'public', 'auth')
"""


def schema(dsn):
    with psycopg.connect(dsn) as conn:
        # A condition that was written out and read again has other parentheses.
        return sorted((kind, re.sub("[() ]", "", said)) for kind, said in conn.execute(SCHEMA).fetchall())


def test_what_is_restored_is_the_same_to_the_row_the_byte_and_the_right(
    services, made, dsn, target, elsewhere
):
    done = backup.restore(made, target, elsewhere, go_on=True)

    assert done.moved == done.manifest.object_count == 8
    assert hashes(target) == hashes(dsn) == {one.name: one for one in done.manifest.tables}
    assert digests(elsewhere) == digests(services.storage)
    assert schema(target) == schema(dsn)
    assert {stat.S_IMODE(one.stat().st_mode) for one in made.rglob("*") if one.is_file()} == {0o600}
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    again = backup.restore(made, target, elsewhere, go_on=True)
    assert (again.moved, again.held) == (0, 0)  # everything is in place


def test_every_folder_that_a_backup_makes_is_its_owners_alone_whatever_the_umask(
    services, world, dsn, tmp_path
):
    stands = tmp_path / "shared"
    stands.mkdir(mode=0o755)
    before = os.umask(0o002)
    try:
        backup.backup(stands / "of" / "the" / "team", dsn, services.storage)
    finally:
        os.umask(before)

    made = [one for one in stands.rglob("*") if one.is_dir()]
    assert len(made) > 8  # with the buckets, the people and their characters
    assert {stat.S_IMODE(one.stat().st_mode) for one in made} == {0o700}
    assert stat.S_IMODE(stands.stat().st_mode) == 0o755  # which was there before


def test_a_job_that_was_being_made_is_taken_up_by_the_worker_where_the_restore_shall_go_on(
    services, ana, dsn, folder, target, elsewhere
):
    """The queue says that a worker has it, and that worker is gone."""
    asked = builders.a_job_being_made(ana, services, builders.a_character(ana, services))
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE studio_queue.pgqueuer SET status = 'picked', queue_manager_id = gen_random_uuid()"
        )
    backup.backup(folder, dsn, services.storage)
    backup.restore(folder, target, elsewhere, go_on=True)

    with reopened(services, target, elsewhere) as restored, worker.in_thread(restored):
        deadline = time.monotonic() + 25
        while (
            generation.outcome(asked.job_id, ana, restored).portrait_id is None
            and time.monotonic() < deadline
        ):
            time.sleep(0.2)
        outcome = generation.outcome(asked.job_id, ana, restored)

    assert outcome.job.status == "completed", outcome.job.error_message
    assert outcome.portrait_id is not None


def test_a_backup_beside_workers_that_make_pictures_is_one_moment(
    services, ana, dsn, folder, target, elsewhere
):
    character = builders.a_character(ana, services)
    builders.a_finished_portrait(ana, services, character)
    for _ in range(12):
        builders.a_waiting_job(ana, services, character)

    with worker.in_thread(services):
        done = backup.backup(folder, dsn, services.storage)
        deadline = time.monotonic() + 40
        while builders.entries(services) and time.monotonic() < deadline:
            time.sleep(0.1)
    backup.restore(folder, target, elsewhere, go_on=True)

    assert done.manifest.missing_count == 0
    assert {one.name: one for one in done.manifest.tables} == hashes(target)
    with reopened(services, target, elsewhere) as restored:
        named = builders.rows(restored.db, "SELECT storage_path FROM user_library")
        kept = {path for bucket, path in digests(elsewhere) if bucket == "user-library"}
        assert {row[0].removeprefix("user-library/") for row in named} <= kept
        lost = builders.one(
            restored.db,
            """SELECT count(*) FROM character_portraits p
               WHERE NOT EXISTS (SELECT FROM user_library l WHERE l.job_id = p.job_id)""",
        )
    assert lost == 0


# -- what is not paid twice -------------------------------------------------------------------------------------------

# Never sent, as far as the backup knows; everything else is asked about, fetched, or a person's to decide.
HELD = {Breakage.never_sent, Breakage.no_entry, Breakage.held_entry, Breakage.begun_thrice, Breakage.healthy}


def test_a_restored_database_sends_nothing_that_it_held_and_fetches_what_was_sent(
    services, ana, dsn, fal, folder, target, elsewhere
):
    broken = break_jobs(services, ana, fal, count=len(Breakage))
    cancelled = builders.a_job_being_made(ana, services, builders.a_character(ana, services)).job_id
    generation.cancel(cancelled, ana, services)
    paid = fal.counts(requests=False)["accepted"]
    backup.backup(folder, dsn, services.storage)

    done = backup.restore(folder, target, elsewhere)
    again = backup.restore(folder, target, elsewhere)

    assert (done.held, again.held, again.moved) == (len(HELD), len(HELD), 0)
    with reopened(services, target, elsewhere) as restored:
        for _ in range(3):
            recovery.recover(restored)
            builders.work(restored)
        found = dict(builders.rows(restored.db, "SELECT id, status FROM jobs"))
        held = builders.rows(
            restored.db, "SELECT id, status, runner FROM jobs WHERE error_code = %s", [backup.HELD]
        )
    assert fal.counts(requests=False)["accepted"] == paid
    assert {broken.jobs[job] for job, *_ in held} == HELD
    assert {(status, runner) for _, status, runner in held} == {("failed", "studio")}
    fetched = broken.of(Breakage.asset, Breakage.receipt_done, Breakage.failed_open)
    assert [found[job] for job in fetched] == ["completed"] * 3
    assert found[cancelled] == "cancelled"


def test_what_a_held_job_cost_is_unknown_and_a_click_asks_for_it_anew(
    services, ana, dsn, fal, folder, target, elsewhere
):
    """Its budget goes on holding what it may have cost; recovery does not call that nothing a minute later."""
    character = builders.a_character(ana, services)
    paid, free = (
        builders.a_waiting_job(ana, services, character, model_id=model).job_id
        for model in (model_of(services, "fal"), model_of(services, "sketch"))
    )
    backup.backup(folder, dsn, services.storage)
    backup.restore(folder, target, elsewhere)

    with reopened(services, target, elsewhere) as restored:
        recovery.recover(restored)
        builders.work(restored)
        assert builders.entries(restored) == []
        cost = {job: generation.outcome(job, ana, restored).cost_usd for job in (paid, free)}
        tile = next(one for one in portraits.tiles(character.id, ana, restored) if one.id == str(paid))
        again = generation.retry(paid, ana, restored)
        builders.work(restored)
        made = generation.outcome(again.job_id, ana, restored)
        noted = builders.rows(
            restored.db, "SELECT who, after ->> 'count' FROM studio.audit_events WHERE action = 'jobs_held'"
        )

    assert cost == {paid: None, free: 0}
    assert (tile.error_code, "paid for since" in tile.error_words) == (backup.HELD, True)
    assert made.portrait_id is not None
    assert noted == [(None, "2")]


def model_of(services, provider):
    return builders.one(
        services.db,
        """SELECT m.id FROM api_models m JOIN api_providers p ON p.id = m.provider_id
           WHERE p.name = %s AND m.is_active AND m.modality = 'image' ORDER BY m.priority DESC LIMIT 1""",
        [provider],
    )


def test_a_database_that_came_back_by_other_means_is_held_by_a_word(services, world, dsn):
    def held():
        found = CliRunner().invoke(app, ["hold-jobs"], env={"DATABASE_URL": dsn})
        assert found.exit_code == 0, found.output
        return " ".join(found.output.split())

    assert held().startswith("1 job waited, and may have been made and paid for since")
    assert held().startswith("No job waits to be sent.")
    assert builders.entries(services) == []


def test_nobody_stays_signed_in_over_a_restore(services, world, dsn, folder, target, elsewhere):
    if builders.one(services.db, "SELECT to_regclass('studio.sessions') IS NULL"):
        return  # a database without the migration of sign-in has nothing to leave out
    with services.db.as_service() as conn:
        conn.execute(
            """INSERT INTO studio.sessions (token_hash, person, way, access_ends_at, ends_at)
               VALUES (sha256('a'), gen_random_uuid(), 'password', now() + interval '1 hour', now() + interval '1 day')"""
        )
    backup.backup(folder, dsn, services.storage)
    backup.restore(folder, target, elsewhere)

    with psycopg.connect(target) as conn:
        assert conn.execute("SELECT count(*) FROM studio.sessions").fetchone() == (0,)


# -- again, and after an interruption ---------------------------------------------------------------------------------


def test_a_finished_backup_is_not_overwritten_and_brought_up_to_date_it_names_what_is_gone(
    services, ana, made, dsn
):
    with pytest.raises(Conflict, match="--again"):
        backup.backup(made, dsn, services.storage)
    gone = next(one for one in services.storage.list("user-library") if not one.path.endswith(".thumb.webp"))
    services.storage.delete("user-library", gone.path)
    builders.work(services)

    done = backup.backup(made, dsn, services.storage, again=True)

    assert done.moved == 4  # of the job that waited
    assert done.manifest.object_count == 11
    assert done.manifest.missing == (f"user-library/{gone.path}",)
    assert not (made / "objects" / "user-library" / gone.path).exists()
    assert len(list(made.glob("database-*.dump"))) == len(list(made.glob("objects-*.jsonl"))) == 1
    assert backup.verify(made) == done.manifest


def test_a_folder_that_holds_something_else_is_left_alone(services, dsn, folder):
    folder.mkdir()
    (folder / "letters.txt").write_text("mine")

    with pytest.raises(Conflict, match="not empty"):
        backup.backup(folder, dsn, services.storage)

    assert [one.name for one in folder.iterdir()] == ["letters.txt"]


def killed_while(dsn, store, code, *, folder):
    """Run `code` in another process until it says that it is in the middle, then kill it without a word."""
    script = f"""
import sys, time
from pathlib import Path
from core import backup
from core.db import dumps
from core.storage.folder import FolderStorage
folder, dsn, store = Path(sys.argv[1]), sys.argv[2], FolderStorage(Path(sys.argv[3]))
def stop():
    print("here", flush=True)
    time.sleep(60)
{code}
"""
    running = subprocess.Popen(
        [sys.executable, "-c", script, str(folder), dsn, str(store)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        said = running.stdout.readline()
        assert said.strip() == "here", running.stderr.read()
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.communicate()


def test_a_backup_that_was_killed_is_refused_and_gone_on_with(
    services, world, dsn, folder, target, elsewhere
):
    killed_while(
        dsn,
        services.storage._root,
        """
kept = backup._keep
count = []
def keep(*what):
    count.append(1)
    if len(count) == 4:
        stop()
    return kept(*what)
backup._keep = keep
backup.backup(folder, dsn, store)
""",
        folder=folder,
    )  # fmt: skip

    with pytest.raises(Damaged, match="unfinished"):
        backup.restore(folder, target, elsewhere)
    done = backup.backup(folder, dsn, services.storage)

    assert done.moved == 5  # three stood there whole
    backup.restore(folder, target, elsewhere, go_on=True)
    assert hashes(target) == hashes(dsn)


def test_a_restore_that_was_killed_is_gone_on_with_and_a_waiting_job_is_made(
    services, world, ana, made, dsn, target, elsewhere
):
    """Once among the objects, once in the middle of the database's script."""
    for code in (AMONG_OBJECTS, IN_THE_DATABASE):
        killed_while(target, elsewhere._root, f"{code}\nbackup.restore(folder, dsn, store)", folder=made)
        deadline = time.monotonic() + 10
        while tables(target) and time.monotonic() < deadline:
            time.sleep(0.1)  # psql ends when its input does
        assert tables(target) == []

    backup.restore(made, target, elsewhere, go_on=True)

    assert hashes(target) == hashes(dsn)
    assert digests(elsewhere) == digests(services.storage)
    with reopened(services, target, elsewhere) as restored:
        builders.work(restored)
        outcome = generation.outcome(world.job_id, ana, restored)
    assert outcome.job.status == "completed"
    assert outcome.portrait_id is not None


AMONG_OBJECTS = """
put = backup._put
count = []
def one(*what):
    count.append(1)
    if len(count) == 4:
        stop()
    return put(*what)
backup._put = one
"""
IN_THE_DATABASE = """
def slow(source, goal, size):
    goal.write(source.read(200_000))
    goal.flush()
    stop()
dumps.shutil.copyfileobj = slow
"""


def tables(dsn):
    with dumps.opened(dsn) as conn:
        return dumps.tables(conn)


# -- what is refused --------------------------------------------------------------------------------------------------


def spoil_object(folder):
    place = min(p for p in (folder / "objects").rglob("*") if p.is_file())
    place.write_bytes(place.read_bytes()[:-1] + b"\x00")
    return place.relative_to(folder).as_posix()


def lose_object(folder):
    place = max(p for p in (folder / "objects").rglob("*") if p.is_file())
    place.unlink()
    return place.relative_to(folder).as_posix()


def spoil_dump(folder):
    [place] = folder.glob("database-*.dump")
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 0xFF
    place.write_bytes(content)
    return place.name


def cut_list(folder):
    [place] = folder.glob("objects-*.jsonl")
    place.write_bytes(place.read_bytes()[:-20])
    return place.name


def spoil_manifest(folder):
    (folder / "manifest.json").write_text("{")
    return "manifest.json"


def lead_manifest_out(folder):
    said = json.loads((folder / "manifest.json").read_text())
    said["database"]["file"] = "../elsewhere.dump"
    (folder / "manifest.json").write_text(json.dumps(said))
    return "manifest.json"


def test_a_damaged_backup_is_refused_with_the_file_named_and_nothing_is_restored(
    made, tmp_path, target, elsewhere
):
    for number, spoil in enumerate(
        (lose_object, spoil_object, spoil_dump, cut_list, spoil_manifest, lead_manifest_out)
    ):
        spoiled = tmp_path / f"spoiled-{number}"
        shutil.copytree(made, spoiled)
        named = spoil(spoiled)
        with pytest.raises(Damaged, match=re.escape(named)):
            backup.restore(spoiled, target, elsewhere)

    assert tables(target) == []
    assert digests(elsewhere) == {}


def test_a_restore_into_a_database_or_a_store_that_holds_something_is_refused(
    services, made, dsn, target, elsewhere
):
    with psycopg.connect(target, autocommit=True) as conn:
        conn.execute("CREATE TABLE public.somebody_elses (id int)")
    with pytest.raises(Conflict, match=r"public\.somebody_elses"):
        backup.restore(made, target, elsewhere)

    elsewhere.put("user-library", "somebody/else.png", b"x", "image/png")
    with pytest.raises(Conflict, match=r"user-library/somebody/else\.png"):
        backup.restore(made, target, elsewhere)


def test_a_server_without_programs_of_its_version_is_told_what_to_install():
    with pytest.raises(SetupFailed, match="postgresql-client-99"):
        dumps.Programs.fitting(99)


def test_no_password_stands_in_the_list_of_processes():
    address = "postgresql://ana:hunter2@db.invalid:6432/studio?sslmode=require"

    given = dumps._environment(address)

    assert given["PGPASSWORD"] == "hunter2"
    assert (given["PGHOST"], given["PGPORT"], given["PGSSLMODE"]) == ("db.invalid", "6432", "require")


# -- Supabase ---------------------------------------------------------------------------------------------------------


def test_objects_go_into_a_supabase_project_and_out_of_it_again(services, made, dsn, supabase, tmp_path):
    done = backup.restore(made, None, supabase)

    assert done.moved == 8
    assert digests(supabase) == digests(services.storage)
    assert supabase.get("user-library", next(iter(supabase.list("user-library"))).path)
    again = backup.backup(tmp_path / "of-supabase", dsn, supabase)
    assert (again.moved, again.manifest.missing_count) == (8, 0)
    kept = {line for one in (made, tmp_path / "of-supabase") for line in sorted(listed(one))}
    assert kept == listed(made)


def listed(folder):
    [lines] = folder.glob("objects-*.jsonl")
    return set(lines.read_text().splitlines())


# -- the document -----------------------------------------------------------------------------------------------------


def test_the_commands_of_the_document_do_what_it_says(services, world, dsn, target, tmp_path, monkeypatch):
    """Each command as it stands in docs/backup.md, in its order; the restores where nothing is yet."""
    monkeypatch.chdir(tmp_path)
    said = []
    for line in commands(DOCUMENT):
        words = [word.replace("/backups", str(tmp_path / "backups")) for word in line.split()[3:]]
        is_new = words[0] in {"restore", "hold-jobs"}
        there, home = (target, tmp_path / "new") if is_new else (dsn, services.settings.home)
        found = CliRunner().invoke(app, words, env={"DATABASE_URL": there, "STUDIO_HOME": str(home)})
        said.append((words[0], found.output.replace("\n", " ")))
        assert found.exit_code == 0, f"{line}: {found.output}"

    assert [name for name, _ in said] == [
        "backup",
        "backup",
        "verify-backup",
        "restore",
        "restore",
        "hold-jobs",
    ]
    assert "8 objects were fetched now" in said[0][1]
    assert "0 objects were fetched now" in said[1][1]
    assert "Whole: " in said[2][1]
    assert "Restored and compared: " in said[3][1]
    assert "1 job waited" in said[3][1]
    assert "hold-jobs" in said[4][1]
    assert "No job waits to be sent." in said[5][1]
    untouched = (*dumps.LEFT_OUT, *backup._CHANGED_BY_HOLDING)
    assert hashes(target, untouched) == hashes(dsn, untouched)
    assert digests(FolderStorage(tmp_path / "new" / "objects")) == digests(services.storage)


def commands(document):
    """The lines of every shell block of a document."""
    blocks = re.findall(r"```sh\n(.*?)```", document.read_text("utf-8"), re.DOTALL)
    found = [line for block in blocks for line in block.splitlines() if line]
    assert all(line.startswith("python -m core ") for line in found)
    return found
