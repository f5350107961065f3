"""Everything of one person is shown before it goes, handed out whole, erased without a trace, and other people's rows stay
as they were (SPEC "Data").
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from typer.testing import CliRunner

from core import generation, privacy
from core.cli import app
from core.errors import BadRequest, Conflict, NotAllowed, NotFound
from core.storage import LIBRARY, REFERENCES, WORKSPACE
from core.values import PersonId, Role
from tests import builders
from tests.database import rights_table

ROOT = Path(__file__).parents[2]
PERSONAL = re.compile(r"^(user_id|owner|who|person|.*_by)$")


@pytest.fixture
def admin(services):
    return builders.a_person(services.db, "admin", Role.admin)


def email_of(services, person):
    return builders.one(services.db, "SELECT email FROM auth.users WHERE id = %s", [person])


def erased(services, admin, person, wait=5):
    return privacy.erase_person(person.id, email_of(services, person.id), admin, services, wait=wait)


def tables_of(services):
    found = builders.rows(
        services.db,
        """SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE c.relkind = 'r' AND n.nspname IN ('public', 'studio', 'studio_queue', 'auth') ORDER BY 1""",
    )
    return [row[0] for row in found]


def hashes(services, without):
    """Every row that names none of `without`, as a hash, by table; what is written by the way is left out."""
    written = {"studio.erasures", "studio.audit_events", "studio.job_events", "studio.workers"}
    return {
        table: sorted(
            row[0]
            for row in builders.rows(
                services.db,
                f"SELECT md5(t::text) FROM {table} t WHERE NOT EXISTS"
                " (SELECT FROM unnest(%s::text[]) gone WHERE strpos(lower(t::text), gone) > 0)",
                [[str(one).lower() for one in without]],
            )
        )
        for table in tables_of(services)
        if table not in written
    }


def ids_of(services, person):
    """The ids of all that hangs on a person."""
    mine, asked, gone = builders.one(
        services.db, "SELECT mine, asked, gone FROM studio.ids_of_person(%s)", [person]
    )
    return {str(person), *map(str, mine), *map(str, asked), *gone}


def traces(services, person, email):
    found = privacy.check(person, email, services)
    return [*found.traces, *found.objects, *found.unread]


# -- every table ------------------------------------------------------------------------------------------------------


def planted_everywhere(services):
    """A row of every table, and the person's id in every column that is for people, their address among the words."""
    person = rights_table.STRANGER.owner
    email = f"{person}@studio.invalid"
    with psycopg.connect(services.db.dsn) as conn:
        rights_table.plant(conn, rights_table.LINES)
        conn.execute("SET session_replication_role = replica")  # no rule stands in the way of this planting
        conn.execute("UPDATE jobs SET status = 'completed'")
        columns = conn.execute(
            """SELECT c.oid::regclass::text, a.attname FROM pg_class c
               JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
               WHERE c.relkind = 'r' AND n.nspname IN ('public', 'studio', 'studio_queue') AND a.attnum > 0
                 AND a.atttypid = 'uuid'::regtype AND NOT a.attisdropped AND c.relname <> 'erasures' ORDER BY 1, 2"""
        ).fetchall()
        people = [(table, column) for table, column in columns if PERSONAL.match(column)]
        for table, column in people:
            assert planted(conn, table, column, person), (
                f"{table}: plant a row in tests/database/rights_table.py"
            )
        conn.execute(
            "INSERT INTO studio.audit_events (action, why, before) VALUES ('told', %s, %s)",
            [f"He wrote from {email.upper()}. See {person}.", json.dumps({"by": [email, f"x{email}"]})],
        )
        conn.execute(
            "INSERT INTO studio.erasures (person, asked_by) VALUES (gen_random_uuid(), %s)", [person]
        )
        conn.execute("UPDATE studio.erasures SET person = NULL, finished_at = now()")
        conn.execute("DELETE FROM studio_queue.pgqueuer")
    return PersonId(person), email, people


def planted(conn, table, column, person):
    """Put the person into this column of the first row that takes them."""
    for (place,) in conn.execute(f"SELECT ctid FROM {table} ORDER BY ctid DESC LIMIT 50").fetchall():
        with contextlib.suppress(psycopg.IntegrityError), conn.transaction():
            conn.execute(f"UPDATE {table} SET {column} = %s WHERE ctid = %s", [person, place])
            return True
    return False


def test_a_person_in_every_column_of_every_table_leaves_no_trace_and_the_others_stay(services, admin):
    person, email, people = planted_everywhere(services)
    services.storage.put(REFERENCES, f"{person}/c/1.png", b"1", "image/png")
    services.storage.put(LIBRARY, f"binned/{person}/2.png", b"2", "image/png")
    services.storage.put(LIBRARY, f"{uuid4()}/3.png", b"3", "image/png")
    theirs = ids_of(services, person) | {email}
    before = hashes(services, theirs)
    ledger = "SELECT count(*), count(user_id), sum(amount_usd) FROM studio.cost_entries"
    spent = builders.one(services.db, ledger)
    assert len(people) >= 45
    named = {
        (one.table.removeprefix("public."), one.column)
        for one in privacy.check(person, email, services).traces
    }
    assert set(people) <= named

    done = privacy.erase_person(person, email, admin, services)

    assert (done.is_finished, done.objects, done.trouble) == (True, 2, "")
    assert traces(services, person, email) == []
    assert builders.one(services.db, ledger) == spent
    after = hashes(services, theirs)
    assert {t: rows for t, rows in before.items() if not set(rows) <= set(after[t])} == {}
    assert [one.path for one in services.storage.list(LIBRARY)] != []
    [said] = builders.rows(services.db, "SELECT why, before FROM studio.audit_events WHERE action = 'told'")
    assert said[0].startswith("He wrote from erased. See ")
    assert said[1] == {"by": ["erased", f"x{email}".replace(str(person), said[0][-37:-1])]}


def test_a_table_that_comes_later_is_searched_and_one_of_the_platform_is_told_of(services, admin, ana):
    with services.db.as_service() as conn:
        conn.execute("CREATE TABLE studio.later (id int, whose text, raw bytea); CREATE SCHEMA chat;"
                     "CREATE TABLE chat.lines (id int, author uuid)")  # fmt: skip
        conn.execute("INSERT INTO studio.later VALUES (1, %s, convert_to(%s, 'UTF8'))", [str(ana.id)] * 2)
        conn.execute("INSERT INTO chat.lines VALUES (1, %s)", [ana.id])

    found = privacy.check(ana.id, "", services)

    assert {(one.table, one.column, one.rows, one.is_ours) for one in found.traces} == {
        ("auth.users", "id", 1, True), ("auth.users", "email", 1, True),
        ("studio.later", "whose", 1, True), ("studio.later", "raw", 1, True), ("chat.lines", "author", 1, False),
    }  # fmt: skip
    assert any(
        "chat.lines (author)" in line for line in privacy.in_words(privacy.preview(ana.id, admin, services))
    )


# -- a person with portraits ------------------------------------------------------------------------------------------


def test_what_goes_is_shown_before_and_another_persons_pictures_stay(services, ana, ben, admin):
    hers = builders.a_character(ana, services, is_public=False)
    builders.a_finished_portrait(ana, services, hers)
    his = builders.a_finished_portrait(ben, services, builders.a_character(ben, services))
    with services.db.as_service() as conn:
        conn.execute("UPDATE characters SET is_public = true WHERE id = %s", [hers.id])
    email, theirs = email_of(services, ana.id), ids_of(services, ana.id)
    before = hashes(services, theirs | {email})
    kept = {b: {o.path for o in services.storage.list(b, str(ben.id))} for b in privacy.FOLDERS}

    seen = privacy.preview(ana.id, admin, services)
    assert (seen.rows["public.characters"], seen.rows["public.character_portraits"]) == (1, 1)
    assert seen.stays["studio.cost_entries"] >= 1
    assert seen.objects == {WORKSPACE: 2, LIBRARY: 2, REFERENCES: 0}
    assert privacy.in_words(seen)[0].startswith("1 of their characters are public on the platform")
    assert hashes(services, theirs | {email}) == before  # looking changes nothing
    done = erased(services, admin, ana)

    assert (done.is_finished, done.objects) == (True, 4)
    assert traces(services, ana.id, email) == []
    assert not (services.settings.home / "objects" / LIBRARY / str(ana.id)).exists()
    after = hashes(services, theirs | {email})
    assert {t: rows for t, rows in before.items() if not set(rows) <= set(after[t])} == {}
    assert {b: {o.path for o in services.storage.list(b, str(ben.id))} for b in privacy.FOLDERS} == kept
    assert builders.one(services.db, "SELECT status FROM jobs WHERE id = %s", [his.job.id]) == "completed"
    event = "SELECT who, before, after, why FROM studio.audit_events WHERE action = 'person_erased'"
    assert builders.one(services.db, event) == (admin.id, None, None, None)


def test_what_a_person_made_for_anothers_character_stays_there_without_them(build, services, ana, ben, admin):
    team = build(team_sharing=True)
    his = builders.a_character(ben, team)
    made = builders.a_finished_portrait(ana, team, his)

    assert erased(services, admin, ana).is_finished

    asked_by, words = builders.one(
        services.db, "SELECT user_id, original_prompt FROM jobs WHERE id = %s", [made.job.id]
    )
    assert asked_by not in {ana.id, ben.id}
    assert words
    assert generation.outcome(made.job.id, ben, services).portrait_id == made.portrait_id
    assert len(list(services.storage.list(LIBRARY, str(ben.id)))) == 2


# -- jobs under way, kills --------------------------------------------------------------------------------------------


def test_pictures_under_way_are_cancelled_and_waited_for_and_a_worker_goes_on(services, ana, admin):
    character = builders.a_character(ana, services)
    waiting = builders.a_waiting_job(ana, services, character)
    making = builders.a_job_being_made(ana, services, character)

    begun = erased(services, admin, ana, wait=0)

    assert not begun.is_finished
    assert begun.trouble.startswith("1 pictures are still under way")
    status = "SELECT status FROM jobs WHERE id = %s"
    assert builders.one(services.db, status, [waiting.job_id]) == "cancelled"
    builders.work(services)  # the run sees that it should stop
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE jobs SET status = 'cancelled' WHERE id = %s AND status = 'processing'", [making.job_id]
        )
    assert privacy.go_on(services) == 1
    assert privacy.erasure_of(begun.id, admin, services).is_finished
    assert builders.rows(services.db, status, [making.job_id]) == []


@pytest.mark.parametrize("after", ["_erase_rows", "_erase_objects"])
def test_an_erasure_that_was_killed_is_gone_on_with_and_leaves_nothing(services, dsn, ana, admin, after):
    builders.a_finished_portrait(ana, services, builders.a_character(ana, services))
    email = email_of(services, ana.id)
    script = f"""
import os, signal, sys
from uuid import UUID
from core import privacy
from core.services import open_services
from core.settings import Settings
from core.values import Person, Role
inner = privacy.{after}
def struck(*what):
    inner(*what)
    os.kill(os.getpid(), signal.SIGKILL)
privacy.{after} = struck
with open_services(Settings(_env_file=None, database_url=sys.argv[1], studio_home=sys.argv[2])) as services:
    admin = Person(id=UUID(sys.argv[3]), roles=frozenset({{Role.admin}}))
    privacy.erase_person(UUID(sys.argv[4]), sys.argv[5], admin, services)
"""
    died = subprocess.run(
        [sys.executable, "-c", script, dsn, str(services.settings.home), str(admin.id), str(ana.id), email],
        capture_output=True, text=True, cwd=ROOT, check=False, timeout=120,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr
    [begun] = privacy.erasures(admin, services)
    assert not begun.is_finished

    assert privacy.go_on(services) == 1

    assert traces(services, ana.id, email) == []
    assert privacy.go_on(services) == 0


# -- who may, and what is refused -------------------------------------------------------------------------------------


def test_only_an_admin_erases_and_only_who_types_the_right_address(services, ana, ben, admin, customer):
    email = email_of(services, ana.id)
    for person in (ana, ben, customer, builders.a_person(services.db, "qa", Role.qa, Role.product)):
        with pytest.raises(NotAllowed):
            privacy.erase_person(ana.id, email, person, services)
        with pytest.raises(NotAllowed):
            privacy.export_person(ana.id, services.settings.home / "x.zip", person, services)
    with pytest.raises(BadRequest, match="not that person's"):
        privacy.erase_person(ana.id, email_of(services, ben.id), admin, services)
    with pytest.raises(Conflict, match="another admin"):
        privacy.erase_person(admin.id, email_of(services, admin.id), admin, services)
    with pytest.raises(NotFound):
        privacy.erase_person(PersonId(uuid4()), email, admin, services)

    assert privacy.erasures(admin, services) == []
    assert privacy.erase_person(ana.id, f"  {email.upper()} ", admin, services).is_finished


def test_a_table_of_the_platform_that_forbids_it_is_named_before_anything_goes(services, ana, admin):
    character = builders.a_character(ana, services)
    with services.db.as_service() as conn:
        conn.execute("CREATE TABLE public.chats (id int, character_id uuid REFERENCES characters (id))")
        conn.execute("INSERT INTO chats VALUES (1, %s)", [character.id])

    with pytest.raises(Conflict, match="table chats refers"):
        erased(services, admin, ana)

    assert builders.one(services.db, "SELECT count(*) FROM characters WHERE id = %s", [character.id]) == 1
    with services.db.as_service() as conn:
        conn.execute("DROP TABLE chats")


def test_nothing_but_erasing_changes_the_ledger_or_an_event(services, ana):
    builders.a_finished_portrait(ana, services, builders.a_character(ana, services))
    forged = """CREATE FUNCTION pg_temp.erase_user(uuid) RETURNS void LANGUAGE plpgsql AS
        'begin update studio.cost_entries set user_id = $1; end'"""
    pretended = "/* PL/pgSQL function studio.erase_user(uuid) line 3 at SQL statement */"
    builders.an_event(services.db, None, "looked", "jobs", "x")
    for statements in (
        ["UPDATE studio.cost_entries SET user_id = gen_random_uuid()"],
        ["UPDATE studio.audit_events SET who = gen_random_uuid()"],
        ["DELETE FROM studio.cost_entries"],
        [forged, "SELECT pg_temp.erase_user(gen_random_uuid())"],
        [
            "SET LOCAL ROLE service_role",
            f"DO $$ BEGIN EXECUTE 'UPDATE studio.audit_events SET why = null {pretended}'; END $$",
        ],
        [
            "SET LOCAL ROLE service_role",
            f"DO $$ BEGIN EXECUTE 'UPDATE studio.cost_entries SET note = null {pretended}'; END $$",
        ],
    ):
        with pytest.raises(Conflict):
            run(services, statements)


def run(services, statements):
    with services.db.as_service() as conn:
        for statement in statements:
            conn.execute(statement)


# -- the copy for the person ------------------------------------------------------------------------------------------


def test_the_copy_holds_everything_of_the_person_and_nobody_elses_data(services, ana, ben, admin, tmp_path):
    hers = builders.a_character(ana, services)
    made = builders.a_finished_portrait(ana, services, hers)
    builders.a_finished_portrait(ben, services, builders.a_character(ben, services, name="Bens Own"))
    with services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO studio.character_members (character_id, user_id) VALUES (%s, %s)", [hers.id, ben.id]
        )
        conn.execute("UPDATE characters SET deleted_by = %s WHERE id = %s", [ben.id, hers.id])
    target = tmp_path / "ana.zip"

    size = privacy.export_person(ana.id, target, admin, services)

    assert size == target.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        everything = {name: archive.read(name) for name in archive.namelist()}
    for bucket in privacy.FOLDERS:
        for one in services.storage.list(bucket, str(ana.id)):
            assert everything[f"objects/{bucket}/{one.path}"] == services.storage.get(bucket, one.path)
    [character] = map(json.loads, everything["rows/public.characters.jsonl"].splitlines())
    assert (character["id"], character["name"], character["deleted_by"]) == (
        str(hers.id),
        hers.name,
        "somebody-else",
    )
    [job] = map(json.loads, everything["rows/public.jobs.jsonl"].splitlines())
    assert job["id"] == str(made.job.id)
    text = b"".join(data for name, data in everything.items() if not name.startswith("objects/")).decode()
    assert str(ben.id) not in text
    assert email_of(services, ben.id) not in text
    assert "Bens Own" not in text
    assert "rows/public.characters.jsonl: 1 rows" in everything["README.txt"].decode()
    with pytest.raises(Conflict):
        privacy.export_person(ana.id, target, admin, services)


# -- the document -----------------------------------------------------------------------------------------------------


def test_the_commands_of_the_document_do_what_it_says(services, dsn, ana, admin, tmp_path, monkeypatch):
    """Each command as it stands in docs/privacy.md, with this person in the place of the one it names."""
    builders.a_finished_portrait(ana, services, builders.a_character(ana, services))
    email = email_of(services, ana.id)
    monkeypatch.chdir(tmp_path)
    said = {}
    for line in commands(ROOT / "docs" / "privacy.md"):
        words = [
            email if "@" in word else str(ana.id) if re.fullmatch(r"[0-9a-f-]{36}", word) else word
            for word in line.split()[3:]
        ]
        found = CliRunner().invoke(
            app, words, env={"DATABASE_URL": dsn, "STUDIO_HOME": str(services.settings.home)}
        )
        said[" ".join(words[1:2] + words[3:4])] = found.output
        assert found.exit_code == 0, f"{line}: {found.output}"

    assert "readable by you alone" in said["export ana.zip"].replace("\n", " ")
    assert "rows of public.characters" in said["erase --dry-run"]
    assert "Erased:" in said["erase --email"]
    assert "Nothing names this person." in said["check --email"]
    assert (tmp_path / "ana.zip").exists()


def commands(document):
    """The lines of every shell block of a document."""
    blocks = re.findall(r"```sh\n(.*?)```", document.read_text("utf-8"), re.DOTALL)
    found = [line for block in blocks for line in block.splitlines() if line]
    assert all(line.startswith("python -m core ") for line in found)
    return found
