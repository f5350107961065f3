"""The platform's transactions beside ours and beside each other: nobody is ended with an error for the sake of a rule of
ours, nobody waits long, and what a trigger could not do is a finding. What is found at random by
tests/chaos/test_platform_beside.py stands here one by one.
"""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest

from core.db import jobs, repeat_on_deadlock
from core.values import JobId, Role
from tests.builders import a_person, as_platform, one, rows
from tests.database.test_migrate import a_login_role, as_role

SOON = 0.75  # seconds: less than Postgres takes to look for a deadlock


@pytest.fixture
def ana(database):
    return a_person(database, "ana", Role.editor)


@pytest.fixture
def character(database, ana):
    return one(
        database,
        "INSERT INTO characters (user_id, name, description) VALUES (%s, 'Juniper', 'x') RETURNING id",
        (ana.id,),
    )


@pytest.fixture
def job(database, ana, character):
    return one(
        database,
        "INSERT INTO jobs (user_id, job_type, status, character_id) VALUES (%s, 'x', 'processing', %s) RETURNING id",
        (ana.id, character),
    )


@pytest.fixture
def portraits(database, character):
    """Three: the oldest is the primary, the last is the newest."""
    return [
        one(
            database,
            "INSERT INTO character_portraits (character_id, image_url, is_primary, created_at)"
            " VALUES (%s, %s, %s, now() - make_interval(days => %s)) RETURNING id",
            (character, f"user-library/x/{uuid4()}.png", days == 3, days),
        )
        for days in (3, 2, 1)
    ]


@contextlib.contextmanager
def the_platform(dsn):
    """A connection of its service, whose statements end by themselves where they wait for ever."""
    with as_platform(dsn, "service_role") as conn:
        conn.execute("SET statement_timeout = '6s'")
        yield conn


@contextlib.contextmanager
def meanwhile(dsn, statement, values):
    """A statement of the platform in a thread of its own, begun half a moment ago; it must have succeeded at the end."""
    with the_platform(dsn) as conn, ThreadPoolExecutor(1) as pool:
        done = pool.submit(conn.execute, statement, values)
        time.sleep(0.2)
        yield done
        done.result(timeout=30)


def seconds_of(conn, statement, values):
    began = time.monotonic()
    conn.execute(statement, values)
    return time.monotonic() - began


def primaries(database):
    return [row[0] for row in rows(database, "SELECT id FROM character_portraits WHERE is_primary")]


def rules(database):
    return [row[0] for row in rows(database, "SELECT rule FROM studio.findings ORDER BY id")]


# ---- one primary


def test_a_choice_gives_way_at_once_to_a_transaction_that_waits_for_it(database, dsn, portraits):
    primary, wanted, _ = portraits

    with the_platform(dsn) as conn, conn.transaction():
        conn.execute("UPDATE character_portraits SET sort_order = 7 WHERE id = %s", (primary,))
        with meanwhile(dsn, "UPDATE character_portraits SET is_primary = true WHERE id = %s", (wanted,)):
            waited = seconds_of(
                conn, "UPDATE character_portraits SET sort_order = 8 WHERE id = %s", (wanted,)
            )

    assert waited < SOON
    assert primaries(database) == [primary]
    assert rules(database) == ["portrait.choice_lost"]


def test_a_choice_waits_for_a_transaction_that_only_takes_its_time(database, dsn, portraits):
    primary, wanted, _ = portraits

    with the_platform(dsn) as conn, conn.transaction():
        conn.execute("UPDATE character_portraits SET sort_order = 7 WHERE id = %s", (primary,))
        pool = ThreadPoolExecutor(1)
        done = pool.submit(choose, dsn, wanted)
        time.sleep(0.5)
    done.result(timeout=30)
    pool.shutdown()

    assert primaries(database) == [wanted]
    assert rules(database) == []


def choose(dsn, portrait):
    with the_platform(dsn) as conn:
        conn.execute("UPDATE character_portraits SET is_primary = true WHERE id = %s", (portrait,))


def test_the_check_of_one_primary_never_waits_for_another_choice_at_the_commit(dsn, portraits):
    """The other has written its choice and not come to its turn yet: in the middle of a statement over all portraits."""
    _, wanted, other = portraits

    with psycopg.connect(dsn, autocommit=True) as conn, conn.transaction(force_rollback=True):
        conn.execute("SET LOCAL session_replication_role = 'replica'")
        conn.execute("UPDATE character_portraits SET is_primary = true WHERE id = %s", (other,))
        with meanwhile(dsn, "UPDATE character_portraits SET is_primary = true WHERE id = %s", (wanted,)):
            waited = seconds_of(
                conn, "UPDATE character_portraits SET sort_order = 8 WHERE id = %s", (wanted,)
            )

    assert waited < SOON


def test_a_primary_that_is_deleted_is_followed_by_one_even_where_the_newest_is_held(database, dsn, portraits):
    primary, second, newest = portraits

    with the_platform(dsn) as conn, conn.transaction():
        conn.execute("UPDATE character_portraits SET sort_order = 7 WHERE id = %s", (newest,))
        with meanwhile(dsn, "DELETE FROM character_portraits WHERE id = %s", (primary,)):
            waited = seconds_of(
                conn, "UPDATE character_portraits SET sort_order = 8 WHERE id = %s", (primary,)
            )

    assert waited < SOON
    assert primaries(database) == [second]


# ---- a job's picture


LISTED = "INSERT INTO user_library (user_id, asset_type, storage_path, mime_type) VALUES (%s, 'image', %s, 'image/png')"


def test_a_second_save_of_a_picture_does_not_wait_for_the_first(database, dsn, ana, character, job):
    """Else one that is left open, and then wants the character that the second has, would be ended with an error."""
    path = f"{ana.id}/{job}_{character}.png"

    with the_platform(dsn) as first, first.transaction():
        first.execute(LISTED, (ana.id, path))
        with the_platform(dsn) as second:
            waited = seconds_of(second, LISTED, (ana.id, path))

    assert waited < 1.5
    assert one(database, "SELECT count(*), count(job_id) FROM user_library") == (2, 1)
    assert rules(database) == ["user_library.job_taken"]


def test_the_platform_saves_beside_our_own_save_without_an_error(database, dsn, ana, character, job):
    path = f"{ana.id}/{job}_{character}.png"

    with database.as_service() as conn:
        jobs.take_rows(conn, JobId(job))
        conn.execute(
            "INSERT INTO user_library (user_id, asset_type, storage_path, mime_type, job_id)"
            " VALUES (%s, 'image', 'ours', 'image/png', %s)",
            (ana.id, job),
        )
        with the_platform(dsn) as other:
            other.execute(LISTED, (ana.id, path))

    assert rows(database, "SELECT storage_path, job_id FROM user_library ORDER BY job_id IS NULL") == [
        ("ours", job),
        (path, None),
    ]
    assert rules(database) == ["user_library.job_taken"]


@pytest.mark.parametrize("held", [0.4, 1.9])
def test_a_result_comes_in_although_its_job_is_held(database, dsn, ana, job, held):
    values = (ana.id, job, f"{ana.id}/{job}_1.png")
    result = """
        INSERT INTO workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type)
        VALUES (%s, %s, 'image', %s, 'image/png')
    """

    with the_platform(dsn) as conn:
        conn.execute("BEGIN")
        conn.execute("UPDATE jobs SET error_message = 'slow' WHERE id = %s", (job,))
        with meanwhile(dsn, result, values) as asset:
            time.sleep(held - 0.2)
            came_before = asset.done()
            conn.execute("COMMIT")

    assert came_before == (held > 1)
    assert one(database, "SELECT count(*) FROM workspace_assets") == 1
    assert one(database, "SELECT status FROM jobs") == ("processing" if held > 1 else "completed")
    assert rules(database) == (["asset.job_not_completed"] if held > 1 else [])


# ---- our own transactions


def test_our_own_transaction_lets_go_of_what_the_platform_waits_for(database, dsn, character, job):
    runs = []

    def ours():
        with database.as_service() as conn:
            runs.append(1)
            conn.execute("UPDATE jobs SET stage = 'x' WHERE id = %s", (job,))
            conn.execute("UPDATE characters SET seed_locked = 1 WHERE id = %s", (character,))

    with the_platform(dsn) as conn, ThreadPoolExecutor(1) as pool:
        with conn.transaction():
            conn.execute("UPDATE characters SET seed_locked = 2 WHERE id = %s", (character,))
            done = pool.submit(repeat_on_deadlock, ours)
            time.sleep(0.1)
            waited = seconds_of(conn, "UPDATE jobs SET error_message = 'x' WHERE id = %s", (job,))
        done.result(timeout=30)

    assert waited < SOON
    assert len(runs) > 1
    assert one(database, "SELECT seed_locked FROM characters") == 1


# ---- nothing is swallowed silently


WITHOUT = {
    "claim_job_for(text, uuid, uuid, uuid)": (
        "user_library",
        "INSERT INTO user_library (user_id, asset_type, storage_path, mime_type) VALUES ('{ana}', 'image', 'x', 'x')",
    ),
    "crown_the_newest(uuid)": ("character_portraits", "DELETE FROM character_portraits WHERE is_primary"),
    "settles_primary(uuid, uuid)": (
        "character_portraits",
        "UPDATE character_portraits SET is_primary = true WHERE is_primary",
    ),
    "changed_fields(jsonb, jsonb)": ("characters", "UPDATE characters SET name = 'new'"),
    "put_match(uuid, double precision)": (
        "characters",
        "INSERT INTO characters (user_id, name, description) VALUES ('{ana}', 'Mandy', 'x')",
    ),
    "job_move_is_legal(text, text, uuid)": ("jobs", "UPDATE jobs SET status = 'failed' WHERE id = '{job}'"),
    "lock_job(uuid)": (
        "workspace_assets",
        "INSERT INTO workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type) VALUES ('{ana}', '{job}', 'image', 'x', 'x')",
    ),
}


@pytest.mark.parametrize("function", WITHOUT)
def test_a_rule_that_cannot_be_applied_to_a_row_of_the_platform_is_a_finding(
    database, dsn, ana, job, portraits, function
):
    table, statement = WITHOUT[function]
    assert len(portraits) == 3
    rows(
        database,
        "INSERT INTO jobs (user_id, job_type, metadata) VALUES (%s, 'x', %s) RETURNING id",
        (ana.id, '{"destination": "character_portrait", "characterName": "Mandy"}'),
    )
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(f"ALTER FUNCTION studio.{function} RENAME TO gone")

    with the_platform(dsn) as conn:
        touched = conn.execute(statement.format(ana=ana.id, job=job)).rowcount

    assert touched == 1
    found = rows(
        database, "SELECT table_name, row_id::uuid FROM studio.findings WHERE rule = 'trigger.failed'"
    )
    assert [name for name, _ in found] == [table]
    assert isinstance(found[0][1], UUID)


def test_two_who_note_the_same_finding_do_not_wait_for_each_other(database, dsn, ana, job):
    gate = threading.Event()
    rows(database, "UPDATE jobs SET status = 'completed' WHERE id = %s RETURNING id", (job,))

    def hold():
        with database.as_service() as conn:
            conn.execute("SELECT studio.note_finding('job.illegal_move', 'jobs', %s, 'held')", (str(job),))
            gate.wait(20)

    with ThreadPoolExecutor(1) as pool, the_platform(dsn) as conn:
        done = pool.submit(hold)
        time.sleep(0.2)
        waited = seconds_of(conn, "UPDATE jobs SET status = 'failed' WHERE id = %s", (job,))
        gate.set()
        done.result(timeout=30)

    assert waited < SOON
    assert one(database, "SELECT status FROM jobs") == "completed"
    assert rules(database) == ["job.illegal_move"]


ITS_WRITES = (
    "UPDATE characters SET name = name || '!', image_url = 'user-library/x/y.png' WHERE id = %(character)s",
    "INSERT INTO characters (user_id, name, description) VALUES (%(person)s, 'Reed', 'x')",
    "INSERT INTO jobs (user_id, job_type, status) VALUES (%(person)s, 'image', 'queued')",
    "UPDATE jobs SET status = 'queued' WHERE id = %(job)s",
    """INSERT INTO workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type)
       VALUES (%(person)s, %(job)s, 'image', 'a/b.png', 'image/png')""",
    "INSERT INTO character_portraits (character_id, image_url, is_primary) VALUES (%(character)s, 'user-library/a.png', true)",
    "UPDATE character_portraits SET image_url = 'user-library/c.png', is_primary = true WHERE id = %(portrait)s",
    "INSERT INTO character_scenes (character_id, scene_name, image_url) VALUES (%(character)s, 'Tea', 'a.png')",
    "UPDATE character_scenes SET image_url = 'b.png' WHERE character_id = %(character)s",
    "INSERT INTO user_library (user_id, asset_type, storage_path, mime_type) VALUES (%(person)s, 'image', 'a.png', 'image/png')",
    "UPDATE user_library SET storage_path = 'b.png' WHERE user_id = %(person)s",
    "DELETE FROM user_library WHERE user_id = %(person)s",
    "DELETE FROM character_portraits WHERE character_id = %(character)s",
    "DELETE FROM jobs WHERE id = %(job)s",
    "DELETE FROM characters WHERE id = %(character)s",
)


def test_a_role_of_the_platforms_own_writes_every_table_as_before(
    server, database, dsn, ana, character, job, portraits
):
    named = {"person": ana.id, "character": character, "job": job, "portrait": portraits[1]}
    with a_login_role(server, "BYPASSRLS") as clock, psycopg.connect(dsn, autocommit=True) as granting:
        granting.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {clock}")
        with psycopg.connect(as_role(dsn, clock), autocommit=True) as conn:
            written = [conn.execute(statement, named).rowcount for statement in ITS_WRITES]
            with pytest.raises(psycopg.Error, match="for the studio itself"):
                conn.execute("SELECT studio.note_finding('a.rule', 'jobs', 'x', 'y')")
        granting.execute(f"DROP OWNED BY {clock}")

    assert min(written) >= 1
    assert rows(database, "SELECT sentence FROM studio.findings WHERE rule = 'trigger.failed'") == []
