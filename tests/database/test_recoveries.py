"""What recovery and purging keep in the database, and who may see and do it."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from core.auth import LOCAL_PERSON
from core.db import matches, migrate, recoveries
from core.errors import NotAllowed
from core.values import JobId, Role
from tests.builders import a_person, as_platform, one, rows


@pytest.fixture
def ana(database):
    return a_person(database, "ana", Role.editor)


@pytest.fixture
def quentin(database):
    return a_person(database, "quentin", Role.qa)


@pytest.fixture
def customer(database):
    return a_person(database, "customer")


@pytest.fixture
def job_id(database, ana):
    made = one(
        database,
        "INSERT INTO jobs (user_id, job_type, status) VALUES (%s, 'x', 'processing') RETURNING id",
        [ana.id],
    )
    return JobId(made)


def note(database, job_id, why="It was never sent.", *, who=None, again=True):
    with database.as_service() as conn:
        recoveries.record(conn, [(job_id, "requeue", why)], who=who, again=again)


def steps_seen_by(database, person):
    with database.as_user(person) as conn:
        return conn.execute("SELECT job_id FROM studio.recovery_steps").fetchall()


def test_a_step_that_is_done_again_is_counted_and_not_written_anew(database, job_id, quentin):
    for why in ("It was never sent.", "It was never sent (silent for 3 min)."):
        note(database, job_id, why)
        note(database, job_id, why, who=quentin.id)

    found = rows(
        database, "SELECT who, times, why, last_at > first_at FROM studio.recovery_steps ORDER BY id"
    )
    assert found == [
        (None, 2, "It was never sent (silent for 3 min).", True),
        (quentin.id, 2, "It was never sent (silent for 3 min).", True),
    ]


def test_what_is_only_noted_stays_as_it_was_first_noted(database, job_id):
    note(database, job_id)
    before = rows(database, "SELECT * FROM studio.recovery_steps")

    note(database, job_id, "It is still not sent.", again=False)

    assert rows(database, "SELECT * FROM studio.recovery_steps") == before


def test_who_may_see_a_job_sees_what_recovery_did_with_it(database, job_id, ana, quentin, customer):
    note(database, job_id)

    assert steps_seen_by(database, ana) == [(job_id,)]
    assert steps_seen_by(database, quentin) == [(job_id,)]
    assert steps_seen_by(database, customer) == []


@pytest.mark.parametrize(
    "statement", ["SELECT * FROM studio.purge(%s, 'why')", "SELECT * FROM studio.purge_preview(%s)"]
)
def test_a_customer_of_the_platform_purges_nothing_even_of_their_own(dsn, database, customer, statement):
    own = one(
        database,
        "INSERT INTO jobs (user_id, job_type, status) VALUES (%s, 'x', 'processing') RETURNING id",
        [customer.id],
    )

    with as_platform(dsn, "authenticated", customer) as conn, pytest.raises(psycopg.Error) as refused:
        conn.execute(statement, [[own]])

    assert refused.value.sqlstate == "PS403"
    assert one(database, "SELECT status FROM jobs WHERE id = %s", [own]) == "processing"


def test_qa_may_purge_from_a_plain_connection_too(dsn, database, quentin, job_id):
    with as_platform(dsn, "authenticated", quentin) as conn:
        answer = conn.execute("SELECT * FROM studio.purge(%s, 'Stuck for a week.')", [[job_id]]).fetchall()

    assert answer == [(job_id, None)]
    assert one(database, "SELECT status, error_code FROM jobs WHERE id = %s", [job_id]) == (
        "failed",
        "PURGED",
    )


def test_an_editor_is_told_that_purging_needs_qa(database, ana, job_id):
    with pytest.raises(NotAllowed), database.as_user(ana) as conn:
        recoveries.purge(conn, [job_id], "why")


def test_a_result_that_a_person_discarded_brings_no_ended_job_back(database, ana, job_id):
    with database.as_service() as conn:
        conn.execute("SET LOCAL session_replication_role = replica")
        conn.execute(
            "INSERT INTO workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type, deleted_at)"
            " VALUES (%s, %s, 'image', %s, 'image/png', now())",
            [ana.id, job_id, f"{ana.id}/{job_id}_1.png"],
        )
        conn.execute("UPDATE jobs SET status = 'failed'")

    with database.as_service() as conn:
        completed = recoveries.complete(conn, [job_id])

    assert completed == []


def test_a_project_that_has_the_column_already_is_adopted_with_what_it_holds(empty_dsn):
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        conn.execute((migrate.FOLDER / "20261120090000_supabase_stand_ins.sql").read_text())
        conn.execute((Path(__file__).parents[1] / "fixtures" / "old_schema.sql").read_text())
        conn.execute("ALTER TABLE workspace_assets ADD COLUMN cleaned_at timestamptz")
        conn.execute(
            "INSERT INTO workspace_assets (user_id, asset_type, temp_storage_path, mime_type, cleaned_at)"
            " VALUES (gen_random_uuid(), 'image', 'a.png', 'image/png', '2026-01-01')"
        )

    migrate.migrate(empty_dsn, say=lambda _: None)

    with psycopg.connect(empty_dsn) as conn:
        held = conn.execute("SELECT cleaned_at::date::text FROM workspace_assets").fetchall()
    assert held == [("2026-01-01",)]


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ("SELECT FROM workspace_assets WHERE studio.inside_workspace(temp_storage_path) = 'a'", "assets_by_path"),
        ("SELECT FROM characters WHERE studio.plain_name(name) = 'a'", "characters_by_plain_name"),
        (f"SELECT FROM characters WHERE user_id = '{LOCAL_PERSON.id}' AND studio.plain_name(name) = 'a'", "characters_by_"),
        (f"SELECT FROM characters WHERE {matches.job_in('image_url')} = 'a'", "characters_by_image_job"),
        (f"SELECT FROM characters WHERE {matches.job_in('reference_image_url')} = 'a'", "characters_by_reference_job"),
    ],
)  # fmt: skip
def test_paths_names_and_files_are_found_by_indexes_that_call_no_function_of_ours(database, asked, index):
    with database.as_service() as conn:
        conn.execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(row[0] for row in conn.execute(f"EXPLAIN {asked}".encode()).fetchall())

    assert index in plan
    assert "studio." not in plan
