"""The platform goes on writing as it does today: each of its statements, in its role, on a database of our own and
on an adopted one. And the invariants that hold whoever writes.

tests/fixtures/old_schema.sql and old_writes.sql are the platform's, word for word; they are not ours to change.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors as pg

from core.db import Database, jobs, migrate, recoveries, submissions
from core.errors import Conflict
from core.values import JobId, Person, PersonId, Ticket
from tests.builders import a_person, as_platform, one, rows

FIXTURES = Path(__file__).parents[1] / "fixtures"
STAND_INS = migrate.FOLDER / "20261120090000_supabase_stand_ins.sql"
SUPABASE = "https://project.supabase.co"
PLACEHOLDERS = ("user", "other", "character", "job", "portrait", "model")
IDS = {name: str(UUID(int=0xABC0 + place, version=4)) for place, name in enumerate(PLACEHOLDERS)}
USER = Person(id=PersonId(UUID(IDS["user"])), roles=frozenset())


@dataclass(frozen=True)
class Statement:
    role: str
    title: str
    sql: str


def old_writes():
    """The statements of the fixture in order, each with the role and the title of its heading."""
    found, role, title = [], "", ""
    for line in (FIXTURES / "old_writes.sql").read_text().splitlines():
        if heading := re.match(r"-- as (\w+)(?: \(:user\))? · (.+)", line):
            role, title = heading[1], heading[2]
        elif line and not line.startswith("--"):
            found.append(Statement(role, title, re.sub(r":'(\w+)'", lambda name: f"'{IDS[name[1]]}'", line)))
    return found


WRITES = old_writes()


def run(dsn, statement, *, service="service_role"):
    """How many rows it touched (or showed), as the platform's own client sees it."""
    role = service if statement.role == "service_role" else statement.role
    with as_platform(dsn, role, USER if role == "authenticated" else None) as conn:
        return conn.execute(statement.sql).rowcount


def make_people(dsn):
    with psycopg.connect(dsn, autocommit=True) as conn:
        for name in ("user", "other"):
            conn.execute(
                "INSERT INTO auth.users (id, email) VALUES (%s, %s)", (IDS[name], f"{name}@old.invalid")
            )


def build_old(dsn):
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(STAND_INS.read_text())
        conn.execute((FIXTURES / "old_schema.sql").read_text())
    make_people(dsn)


@pytest.fixture
def old(empty_dsn):
    """The platform's database as it stands, untouched by us."""
    build_old(empty_dsn)
    return empty_dsn


@pytest.fixture(scope="module")
def worlds():
    """The migrated databases of this module by server and kind, to be cloned; gone at its end."""
    with contextlib.ExitStack() as stack:
        yield {}, stack


@pytest.fixture(params=["our own", "adopted"])
def world(request, server, worlds):
    """A migrated database: one we made, or the platform's with our migrations on it."""
    made, stack = worlds
    key = (server, request.param)
    if key not in made:
        dsn = stack.enter_context(server.database("template0"))
        migrate_world(dsn, request.param)
        made[key] = urlsplit(dsn).path[1:]
    with server.database(made[key]) as dsn:
        yield dsn


def migrate_world(dsn, kind):
    if kind == "adopted":
        build_old(dsn)
    migrate.migrate(dsn, supabase_url=SUPABASE, say=lambda _: None)
    if kind == "our own":
        make_people(dsn)


@pytest.fixture
def look(world):
    """What the migrated database holds."""
    opened = Database.open(world, max_size=4, share_with_team=False)
    yield lambda sql, *values: one(opened, sql, values)
    opened.close()


# ---- the statements


def test_every_statement_touches_as_many_rows_as_it_did(old, world):
    # There the service passes row-level security by a right of its role, which roles of this cluster lack.
    before = [run(old, statement, service="none") for statement in WRITES]

    after = [run(world, statement) for statement in WRITES]

    different = {
        WRITES[place].sql: (was, now)
        for place, (was, now) in enumerate(zip(before, after, strict=True))
        if was != now
    }
    assert len(WRITES) == 24
    # The picture that job-callback set without a portrait row has one now, so the switch touches three.
    assert list(different.values()) == [(2, 3)]
    assert next(iter(different)).startswith("update public.character_portraits set is_primary = (id")


CHARACTER, JOB, PORTRAIT, USER_ID = IDS["character"], IDS["job"], IDS["portrait"], IDS["user"]
SAVED = f"user-library/{USER_ID}/{JOB}_{CHARACTER}.png"
EFFECTS = [  # after each statement in turn: a question, and what it answers
    ("SELECT length(name) > 50, description, content_rating FROM characters", (True, "short", "nsfw")),
    ("SELECT description, appearance_tags FROM characters", ("edited", ["red hair", "freckles"])),
    ("SELECT status, job_type, original_prompt, metadata ->> 'characterName' FROM jobs", ("queued", "fal_image", "a portrait", "Mandy")),
    ("SELECT temp_storage_path, file_size_bytes, generation_seed FROM workspace_assets", (f"{USER_ID}/{JOB}_1760000000000.png", 1000, 42)),
    ("SELECT status, completed_at IS NOT NULL FROM jobs", ("completed", True)),
    # SPEC's correction: the move is ignored, the words are kept, and it is a finding.
    ("SELECT status, error_message FROM jobs", ("completed", "timeout")),
    ("SELECT count(*), count(job_id) FROM workspace_assets", (2, 2)),
    ("SELECT storage_path, tags, content_category FROM user_library", (f"{USER_ID}/{JOB}_{CHARACTER}.png", ["character", "portrait"], "character")),
    # SPEC's correction: the second row stands, without the job that the first one has.
    ("SELECT count(*), count(job_id), count(DISTINCT storage_path) FROM user_library", (2, 1, 1)),
    ("SELECT image_url, reference_image_url, seed_locked FROM characters", (SAVED, SAVED, 42)),
    ("SELECT is_primary, prompt, image_url FROM character_portraits WHERE id = '{portrait}'", (True, "p", "user-library/a.png")),
    ("SELECT is_primary, prompt, image_url FROM character_portraits WHERE sort_order = 1", (False, "p", "user-library/b.png")),
    ("SELECT image_url FROM characters", "user-library/b.png"),
    ("SELECT count(*) FROM character_portraits WHERE is_primary", 0),
    ("SELECT id FROM character_portraits WHERE is_primary", UUID(PORTRAIT)),
    ("SELECT id FROM character_portraits WHERE is_primary", UUID(PORTRAIT)),
    ("SELECT sort_order FROM character_portraits WHERE id = '{portrait}'", 5),
    ("SELECT count(*) FROM character_portraits WHERE id = '{portrait}'", 0),
    ("SELECT status, user_id FROM jobs WHERE job_type = 'sdxl_image_high'", ("queued", UUID(USER_ID))),
    ("SELECT value, width, height, review_status FROM attribute_images", ("Cub", 512, 768, "pending")),
    ("SELECT count(*) FROM jobs WHERE error_message = 'purged'", 0),
    ("SELECT count(*) FROM jobs", 2),
    ("SELECT 1", 1),
    ("SELECT 1", 1),
]  # fmt: skip


def test_every_statement_has_the_effect_it_had(world, look):
    for statement, (question, answer) in zip(WRITES, EFFECTS, strict=True):
        run(world, statement)

        assert look(question.format(**IDS)) == answer, statement.sql


ADOPTED = (
    "characters", "character_portraits", "character_scenes", "api_providers", "api_models", "jobs", "workspace_assets",
    "user_library", "attribute_images", "style_images",
)  # fmt: skip
# What a check of its own keeps short, what its own unique keys keep short, and what only we write.
SHORT = {
    "gender",
    "content_rating",
    "voice_tone",
    "mood",
    "modality",
    "status",
    "review_status",
    "runner",
    "stage",
}
KEYED = {
    "api_providers": {"name"}, "api_models": {"model_key"}, "attribute_images": {"category", "value", "style"},
    "style_images": {"style"},
}  # fmt: skip
OURS = {"error_code", "idempotency_key"}


@pytest.mark.parametrize("table", ADOPTED)
def test_no_text_of_the_platform_is_too_long_for_an_index_of_ours(world, table):
    long = "".join(secrets.token_hex(16) for _ in range(700))  # 22 kB that cannot be packed
    with as_platform(world, "service_role") as conn:
        columns = conn.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s"
            " AND data_type = 'text'",
            (table,),
        ).fetchall()
        texts = {name for (name,) in columns} - SHORT - OURS - KEYED.get(table, set())
        row = conn.execute(f"SELECT id FROM {table} LIMIT 1").fetchone() or made(conn, table)

        changed = conn.execute(
            f"UPDATE {table} SET {', '.join(f'{name} = %(long)s' for name in sorted(texts))} WHERE id = %(id)s",
            {"long": long, "id": row[0]},
        ).rowcount

    assert changed == 1


MADE = {
    "characters": "INSERT INTO characters (user_id, name, description) VALUES ('{user}', 'x', 'y')",
    "character_portraits": "INSERT INTO character_portraits (character_id, image_url) VALUES ('{characters}', 'x')",
    "character_scenes": "INSERT INTO character_scenes (character_id, scene_name) VALUES ('{characters}', 'x')",
    "jobs": "INSERT INTO jobs (user_id, job_type) VALUES ('{user}', 'character_portrait')",
    "workspace_assets": "INSERT INTO workspace_assets (user_id, asset_type, temp_storage_path, mime_type)"
    " VALUES ('{user}', 'image', 'x', 'image/png')",
    "user_library": "INSERT INTO user_library (user_id, asset_type, storage_path, mime_type)"
    " VALUES ('{user}', 'image', 'x', 'image/png')",
    "attribute_images": "INSERT INTO attribute_images (category, value, style, image_url) VALUES ('a', 'b', 'c', 'x')",
    "style_images": "INSERT INTO style_images (style, image_url) VALUES ('c', 'x')",
    "api_providers": "INSERT INTO api_providers (name) VALUES ('x')",
    "api_models": "INSERT INTO api_models (provider_id, display_name, model_key, modality)"
    " VALUES ('{api_providers}', 'x', 'y', 'image')",
}


def made(conn, table):
    """A row of the table, as the platform would write it."""
    names = {"user": IDS["user"]}
    for parent in ("characters", "api_providers"):
        if f"{{{parent}}}" in MADE[table]:
            names[parent] = made(conn, parent)[0]
    return conn.execute(MADE[table].format(**names) + " RETURNING id").fetchone()


def test_what_was_corrected_stands_as_a_finding(world, look):
    for statement in WRITES:
        run(world, statement)

    [found] = (look("SELECT array_agg(rule || ' ' || table_name ORDER BY id) FROM studio.findings"),)
    assert found.count("job.illegal_move jobs") == 1
    assert found.count("user_library.job_taken user_library") == 1
    assert found.count("character_portraits.job_taken character_portraits") == 2
    assert look("SELECT row_id FROM studio.findings WHERE rule = 'job.illegal_move'") == JOB


def test_the_platforms_clean_up_by_hand_still_works_on_its_own_jobs(world, look):
    with as_platform(world, "service_role") as conn:
        conn.execute(
            "INSERT INTO jobs (user_id, job_type, status, created_at) VALUES (%s, 'x', 'processing', now() - interval '2 hours')",
            (USER_ID,),
        )
        conn.execute(
            "INSERT INTO jobs (user_id, job_type, status, created_at) VALUES (%s, 'x', 'failed', now() - interval '91 days')",
            (USER_ID,),
        )
    purge, delete = (
        next(w for w in WRITES if w.sql.startswith(words))
        for words in (
            "update public.jobs set status = 'failed', error_message = 'purged'",
            "delete from public.jobs",
        )
    )

    touched = [run(world, purge), run(world, delete)]

    assert touched == [1, 1]
    assert look("SELECT status, error_message FROM jobs") == ("failed", "purged")


def test_a_signed_link_of_a_host_that_is_not_ours_stays_as_it_is(world, look):
    with as_platform(world, "service_role") as conn:
        conn.execute(WRITES[0].sql)
        for address in (
            "https://other.supabase.co/storage/v1/object/sign/user-library/a.png?token=x",
            "https://fal.media/a.png",
        ):
            conn.execute("UPDATE characters SET image_url = %s, reference_image_url = %s", (address, address))
            assert look("SELECT image_url, reference_image_url FROM characters") == (address, address)


def test_years_of_rows_are_adopted_without_losing_one(server):
    with server.database("template0") as dsn:
        build_old(dsn)
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("SELECT set_config('session_replication_role', 'replica', false)")
            conn.execute(WRITES[0].sql)
            for place in range(3):
                conn.execute(
                    "INSERT INTO character_portraits (character_id, image_url, is_primary, created_at) VALUES (%s, %s, true, now() - make_interval(days => %s))",
                    (CHARACTER, f"https://fal.media/{place}.png", place),
                )
            conn.execute(
                "INSERT INTO workspace_assets (user_id, asset_type, temp_storage_path, mime_type, generation_seed) VALUES (%s, 'image', 'x', 'x', 7)",
                (USER_ID,),
            )
            old = {
                t: conn.execute(f"SELECT count(*) FROM {t}").fetchone()[0]
                for t in ("characters", "character_portraits", "workspace_assets")
            }
            policies = set(
                conn.execute(
                    "SELECT tablename, policyname, qual, with_check FROM pg_policies WHERE schemaname = 'public'"
                ).fetchall()
            )

        migrate.migrate(dsn, say=lambda _: None)

        with psycopg.connect(dsn, autocommit=True) as conn:
            assert {t: conn.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in old} == old
            assert policies <= set(
                conn.execute(
                    "SELECT tablename, policyname, qual, with_check FROM pg_policies WHERE schemaname = 'public'"
                ).fetchall()
            )
            assert conn.execute("SELECT image_url FROM character_portraits WHERE is_primary").fetchall() == [
                ("https://fal.media/0.png",)
            ]
            assert conn.execute(
                "SELECT count(*) FROM studio.findings WHERE rule = 'portrait.second_primary'"
            ).fetchone() == (2,)
            conn.execute("UPDATE workspace_assets SET generation_seed = 9007199254740993")
            conn.execute("UPDATE characters SET gender = 'non-binary', seed_locked = 9007199254740993")


# ---- how a job moves

STATES = ("queued", "processing", "completed", "failed", "cancelled")
LEGAL = {
    *((state, state) for state in STATES),
    *(("queued", to) for to in ("processing", "completed", "failed", "cancelled")),
    *(("processing", to) for to in ("completed", "failed", "cancelled")),
}
BACK = ("processing", "queued")
LATE = {("failed", "completed"), ("cancelled", "completed")}


@pytest.fixture
def ana(database):
    return a_person(database, "ana")


@pytest.fixture
def character(database, ana):
    return one(
        database,
        "INSERT INTO characters (user_id, name, description) VALUES (%s, 'Juniper', 'x') RETURNING id",
        (ana.id,),
    )


def a_job(database, person, status, *, runner="platform"):
    return one(
        database,
        "INSERT INTO jobs (user_id, job_type, status, runner) VALUES (%s, 'x', %s, %s) RETURNING id",
        (person.id, status, runner),
    )


def an_asset(database, person, job):
    return one(
        database,
        "INSERT INTO workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type) VALUES (%s, %s, 'image', %s, 'image/png') RETURNING id",
        (person.id, job, f"{person.id}/{job}_1.png"),
    )


def status_of(database, job):
    return one(database, "SELECT status FROM jobs WHERE id = %s", (job,))


def test_our_own_illegal_move_is_an_error_and_every_legal_one_passes(database, ana):
    refused = set()

    for move in itertools.product(STATES, STATES):
        job = a_job(database, ana, move[0])
        try:
            rows(database, "UPDATE jobs SET status = %s WHERE id = %s RETURNING id", (move[1], job))
        except Conflict as error:
            refused.add((*move, error.reason))
        assert status_of(database, job) == (move[0] if (*move, "ILLEGAL_MOVE") in refused else move[1])

    illegal = set(itertools.product(STATES, STATES)) - LEGAL - {BACK}
    assert refused == {(*move, "ILLEGAL_MOVE") for move in illegal}


def test_anybody_elses_illegal_move_is_ignored_written_down_and_its_other_columns_are_kept(
    database, dsn, ana
):
    ignored = set()

    with as_platform(dsn, "service_role") as conn:
        for move in itertools.product(STATES, STATES):
            job = a_job(database, ana, move[0])
            touched = conn.execute(
                "UPDATE jobs SET status = %s, error_message = 'kept' WHERE id = %s", (move[1], job)
            ).rowcount
            assert touched == 1
            assert one(database, "SELECT error_message FROM jobs WHERE id = %s", (job,)) == "kept"
            if status_of(database, job) != move[1]:
                ignored.add(move)
                assert (
                    one(database, "SELECT count(*) FROM studio.findings WHERE row_id = %s", (str(job),)) == 1
                )

    assert ignored == set(itertools.product(STATES, STATES)) - LEGAL


@pytest.mark.parametrize("ended", ["failed", "cancelled"])
def test_a_late_paid_result_completes_a_job_that_had_ended(database, ana, ended):
    job = a_job(database, ana, ended)

    an_asset(database, ana, job)

    assert status_of(database, job) == "completed"


def test_recovery_takes_nothing_back_once_a_request_was_sent(database, ana):
    job = a_job(database, ana, "queued", runner="studio")
    claimed = claim(database, job)
    with database.as_service() as conn:
        submissions.begin(conn, claimed, provider="fal", model_key="x")

    with pytest.raises(Conflict) as refusal, database.as_service() as conn:
        conn.execute("UPDATE jobs SET status = 'queued' WHERE id = %s", [claimed.id])
    with database.as_service() as conn:
        requeued = recoveries.requeue(conn, [claimed.id])

    assert refusal.value.reason == "ILLEGAL_MOVE"
    assert requeued == []


def test_every_move_of_a_job_is_told_in_its_events(database, ana):
    job = a_job(database, ana, "queued")
    for status in ("processing", "failed"):
        rows(database, "UPDATE jobs SET status = %s WHERE id = %s RETURNING id", (status, job))
    rows(database, "UPDATE jobs SET heartbeat_at = now() WHERE id = %s RETURNING id", (job,))

    moves = rows(
        database, "SELECT from_status, to_status FROM studio.job_events WHERE job_id = %s ORDER BY id", (job,)
    )

    assert moves == [(None, "queued"), ("queued", "processing"), ("processing", "failed")]


# ---- an asset completes its job


@pytest.mark.parametrize("status", ["queued", "processing"])
def test_a_result_completes_its_job(database, dsn, ana, status):
    job = a_job(database, ana, status)

    with as_platform(dsn, "service_role") as conn:
        conn.execute(
            "INSERT INTO workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type) VALUES (%s, %s, 'image', 'x', 'x')",
            (ana.id, job),
        )

    assert one(database, "SELECT status, completed_at IS NOT NULL FROM jobs") == ("completed", True)


def test_a_second_result_changes_nothing_of_a_completed_job(database, ana):
    job = a_job(database, ana, "queued")
    an_asset(database, ana, job)
    before = one(database, "SELECT to_jsonb(j) FROM jobs j")

    an_asset(database, ana, job)

    assert one(database, "SELECT to_jsonb(j) FROM jobs j") == before


@pytest.mark.parametrize("job", [None, uuid4()], ids=["no job", "a job that was purged"])
def test_a_result_without_a_job_is_kept(database, ana, job):
    asset = an_asset(database, ana, job)

    assert one(database, "SELECT id, job_id FROM workspace_assets") == (asset, job)


# ---- one primary


def a_portrait(database, character, *, primary=False, days_old=0):
    return one(
        database,
        "INSERT INTO character_portraits (character_id, image_url, is_primary, created_at) VALUES (%s, %s, %s, now() - make_interval(days => %s)) RETURNING id",
        (character, f"user-library/x/{uuid4()}.png", primary, days_old),
    )


def primaries(database, character):
    return [
        row[0]
        for row in rows(
            database,
            "SELECT id FROM character_portraits WHERE character_id = %s AND is_primary",
            (character,),
        )
    ]


SWITCHES = {
    "off, then on": ["UPDATE character_portraits SET is_primary = false WHERE is_primary", "UPDATE character_portraits SET is_primary = true WHERE id = '{wanted}'"],
    "on, then off": ["UPDATE character_portraits SET is_primary = true WHERE id = '{wanted}'", "UPDATE character_portraits SET is_primary = false WHERE id <> '{wanted}'"],
    "in one": ["UPDATE character_portraits SET is_primary = (id = '{wanted}')"],
    "on only": ["UPDATE character_portraits SET is_primary = true WHERE id = '{wanted}'"],
    "everybody": ["UPDATE character_portraits SET is_primary = true", "UPDATE character_portraits SET is_primary = (id = '{wanted}')"],
    "a new one": ["INSERT INTO character_portraits (id, character_id, image_url, is_primary) VALUES ('{new}', '{character}', 'x', true)"],
}  # fmt: skip


@pytest.mark.parametrize("together", [False, True], ids=["each by itself", "in one transaction"])
@pytest.mark.parametrize("way", SWITCHES)
def test_every_way_of_choosing_a_primary_ends_with_that_one(database, dsn, character, way, together):
    a_portrait(database, character, primary=True)
    names = {"wanted": a_portrait(database, character), "new": uuid4(), "character": character}
    a_portrait(database, character)

    with (
        as_platform(dsn, "service_role") as conn,
        conn.transaction() if together else contextlib.nullcontext(),
    ):
        for statement in SWITCHES[way]:
            conn.execute(statement.format(**names))

    assert primaries(database, character) == [names["new" if way == "a new one" else "wanted"]]


@pytest.mark.parametrize("steps", ["off, then on", "in one", "on only"])
def test_two_people_who_choose_at_once_get_one_primary_and_no_error(database, dsn, character, steps):
    first, second = a_portrait(database, character, primary=True), a_portrait(database, character)
    gate = threading.Barrier(2)

    def choose(conn, wanted):
        gate.wait(20)
        for statement in SWITCHES[steps]:
            conn.execute(statement.format(wanted=wanted))

    with (
        as_platform(dsn, "service_role") as one_,
        as_platform(dsn, "service_role") as other,
        ThreadPoolExecutor(2) as pool,
    ):
        for _ in range(40):
            choices = [pool.submit(choose, one_, first), pool.submit(choose, other, second)]
            errors = [choice.exception(60) for choice in choices]

            assert errors == [None, None]
            assert len(primaries(database, character)) == 1


@pytest.mark.parametrize(
    "way", ["DELETE FROM character_portraits", "UPDATE character_portraits SET deleted_at = now()"]
)
def test_the_newest_left_takes_over_from_a_primary_that_goes(database, dsn, character, way):
    a_portrait(database, character, days_old=3)
    newest = a_portrait(database, character, days_old=1)
    a_portrait(database, character, days_old=2)
    gone = a_portrait(database, character, primary=True)

    with as_platform(dsn, "service_role") as conn:
        conn.execute(f"{way} WHERE id = %s", (gone,))

    assert primaries(database, character) == [newest]


def test_a_portrait_that_is_hidden_never_takes_over(database, dsn, character):
    hidden = a_portrait(database, character, days_old=1)
    shown = a_portrait(database, character, days_old=2)
    gone = a_portrait(database, character, primary=True)
    rows(database, "UPDATE character_portraits SET deleted_at = now() WHERE id = %s RETURNING id", (hidden,))

    with as_platform(dsn, "service_role") as conn:
        conn.execute("DELETE FROM character_portraits WHERE id = %s", (gone,))

    assert primaries(database, character) == [shown]


def test_a_whole_character_can_go_with_its_portraits(database, dsn, character):
    a_portrait(database, character, primary=True)
    a_portrait(database, character)

    with as_platform(dsn, "service_role") as conn:
        touched = conn.execute("DELETE FROM characters WHERE id = %s", (character,)).rowcount

    assert touched == 1
    assert rows(database, "SELECT id FROM character_portraits") == []


# ---- the version an editor types upon

EDITORS = {
    "name": "'new'", "description": "'new'", "gender": "'male'", "content_rating": "'nsfw'", "is_public": "true",
    "role": "'new'", "traits": "'new'", "persona": "'new'", "personality_traits": "'new'",
    "appearance_tags": "'{new}'", "clothing_tags": "'{new}'", "voice_tone": "'direct'", "mood": "'mysterious'",
    "first_message": "'new'", "system_prompt": "'new'", "alternate_greetings": "'{new}'", "forbidden_phrases": "'{new}'",
    "voice_examples": "'{new}'", "default_presets": "'{}'", "scene_behavior_rules": "'{}'", "match_reference": "true",
    "deleted_at": "now()",
}  # fmt: skip
MACHINES = {
    "image_url": "'x/new.png'", "reference_image_url": "'x/new.png'", "preview_image_url": "'x/new.png'",
    "seed_locked": "7", "named_at": "now()", "rating_settled_at": "now()", "reference_is_auto": "true", "updated_at": "now()", "created_at": "now()", "deleted_by": "gen_random_uuid()",
    "version": "99",
}  # fmt: skip


def test_the_version_counts_what_editors_write_and_nothing_else(database, dsn, character):
    columns = {
        row[0]
        for row in rows(
            database,
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'characters'",
        )
    }
    steps = {}

    with as_platform(dsn, "service_role") as conn:
        for column, value in (EDITORS | MACHINES).items():
            before = one(database, "SELECT version FROM characters")
            conn.execute(f"UPDATE characters SET {column} = {value}")
            steps[column] = one(database, "SELECT version FROM characters") - before

    assert columns == set(EDITORS) | set(MACHINES) | {"id", "user_id"}
    assert steps == dict.fromkeys(EDITORS, 1) | dict.fromkeys(MACHINES, 0)


def test_writing_what_stands_there_already_is_no_new_version(database, character):
    rows(database, "UPDATE characters SET name = name, description = description RETURNING id")

    assert one(database, "SELECT version FROM characters") == 1


# ---- telling


def test_every_change_that_a_page_shows_is_told(database, dsn, ana, character):
    told = []
    steps = [
        ("jobs", "insert", "INSERT INTO jobs (id, user_id, job_type, character_id) VALUES ('{id}', '{ana}', 'x', '{character}')"),
        ("jobs", "update", "UPDATE jobs SET status = 'processing'"),
        ("jobs", "update", "UPDATE jobs SET progress = 0.5"),
        ("jobs", None, "UPDATE jobs SET heartbeat_at = now()"),
        ("jobs", "delete", "DELETE FROM jobs"),
        ("character_portraits", "insert", "INSERT INTO character_portraits (id, character_id, image_url) VALUES ('{id}', '{character}', 'x')"),
        ("character_portraits", "update", "UPDATE character_portraits SET sort_order = 2"),
        ("character_portraits", "delete", "DELETE FROM character_portraits"),
        ("user_library", "insert", "INSERT INTO user_library (id, user_id, asset_type, storage_path, mime_type) VALUES ('{id}', '{ana}', 'image', 'x', 'x')"),
        ("user_library", "update", "UPDATE user_library SET tags = '{{a}}'"),
        ("user_library", "delete", "DELETE FROM user_library"),
        ("characters", "update", "UPDATE characters SET name = 'new'"),
        ("characters", "delete", "DELETE FROM characters"),
    ]  # fmt: skip

    with database.connect() as listener, as_platform(dsn, "service_role") as conn:
        listener.execute("LISTEN studio_events")
        for _, _, statement in steps:
            conn.execute(statement.format(id=uuid4(), ana=ana.id, character=character))
        told = [json.loads(notice.payload) for notice in listener.notifies(timeout=0.5)]

    assert [(one_["table"], one_["op"]) for one_ in told] == [(table, op) for table, op, _ in steps if op]
    assert {one_["owner"] for one_ in told} == {str(ana.id)}
    assert {one_["character_id"] for one_ in told if one_["table"] != "user_library"} == {str(character)}
    assert all(
        one_.keys().isdisjoint({"original_prompt", "metadata", "name", "storage_path"}) for one_ in told
    )


# ---- money


def an_entry(database, job, kind, amount, attempt=1):
    rows(
        database,
        "INSERT INTO studio.cost_entries (job_id, attempt, provider, model_key, kind, amount_usd) VALUES (%s, %s, 'fal', 'x', %s, %s) RETURNING id",
        (job, attempt, kind, amount),
    )


@pytest.mark.parametrize("table", ["cost_entries", "audit_events"])
@pytest.mark.parametrize(
    "way",
    ["UPDATE studio.{table} SET {column} = NULL", "DELETE FROM studio.{table}", "TRUNCATE studio.{table}"],
)
def test_the_ledger_and_the_audit_events_are_only_ever_added_to(database, dsn, table, way):
    an_entry(database, uuid4(), "billed", 1)
    rows(database, "SELECT studio.note_audit('looked', 'jobs', 'x')")
    column = {"cost_entries": "note", "audit_events": "why"}[table]

    for role in ("service_role", None):
        with (
            as_platform(dsn, role) if role else psycopg.connect(dsn, autocommit=True) as conn,
            pytest.raises(psycopg.Error) as refusal,
        ):
            conn.execute(way.format(table=table, column=column))
        assert refusal.value.sqlstate in {"PS409", "42501"}

    assert one(database, f"SELECT count(*) FROM studio.{table}") == 1


SPENT = {
    "only estimated": ([("estimated", 3)], 3, False),
    "computed counts before estimated": ([("estimated", 3), ("computed", 2)], 2, False),
    "billed counts before all": ([("estimated", 3), ("computed", 2), ("billed", 4)], 4, False),
    "billed first, computed later": ([("estimated", 3), ("billed", 4), ("computed", 2)], 4, False),
    "a refund comes off": ([("estimated", 3), ("billed", 4), ("refund", -1), ("refund", -2)], 1, False),
    "never sent is zero": ([("estimated", 3), ("computed", 0)], 0, False),
    "unknown stays unknown": ([("estimated", None)], None, True),
    "unknown until it is billed": ([("estimated", None), ("computed", None), ("billed", 4)], 4, False),
    "an unknown bill is unknown although it was estimated": (
        [("estimated", 3), ("computed", None)],
        None,
        True,
    ),
    "a refund of the unknown is unknown": ([("estimated", None), ("refund", -1)], None, True),
    "an unknown refund leaves the rest": ([("estimated", 3), ("refund", None)], 3, False),
}


@pytest.mark.parametrize("case", SPENT)
def test_what_was_spent_is_the_best_known_of_each_attempt(database, case):
    entries, amount, unknown = SPENT[case]
    job = uuid4()
    for kind, value in entries:
        an_entry(database, job, kind, value)

    assert one(database, "SELECT amount_usd, is_unknown FROM studio.spend WHERE job_id = %s", (job,)) == (
        amount,
        unknown,
    )


def test_each_attempt_counts_by_itself(database):
    job = uuid4()
    for attempt, kind, value in (
        (1, "estimated", 3),
        (1, "computed", 0),
        (2, "estimated", 3),
        (2, "billed", 4),
    ):
        an_entry(database, job, kind, value, attempt)

    assert rows(database, "SELECT attempt, amount_usd FROM studio.spend ORDER BY attempt") == [(1, 0), (2, 4)]


def test_an_attempt_is_estimated_computed_and_billed_once(database):
    job = uuid4()
    an_entry(database, job, "billed", 1)

    with pytest.raises(Conflict):
        an_entry(database, job, "billed", 1)


def claim(database, job):
    with database.as_service() as conn:
        return jobs.claim(conn, JobId(job))


def test_a_job_is_sent_once_however_many_runs_want_to(database, ana):
    job = a_job(database, ana, "queued", runner="studio")
    claimed = claim(database, job)
    gate = threading.Barrier(6)

    def begin():
        gate.wait(20)
        with database.as_service() as conn:
            return submissions.begin(conn, claimed, provider="fal", model_key="x")

    with ThreadPoolExecutor(6) as pool:
        begun = [run.result(30) for run in [pool.submit(begin) for _ in range(6)]]

    assert sum(submission is not None for submission in begun) == 1
    assert one(database, "SELECT count(*) FROM studio.submissions") == 1


@pytest.mark.parametrize("outcome", [None, "finished", "refused", "cancelled", "expired", "given_up"])
def test_whatever_became_of_a_request_no_second_one_follows(database, ana, outcome):
    job = a_job(database, ana, "queued", runner="studio")
    rows(
        database,
        "INSERT INTO studio.submissions (job_id, attempt, lease, provider, model_key, outcome) VALUES (%s, 1, 1, 'fal', 'x', %s) RETURNING id",
        (job, outcome),
    )

    with pytest.raises(pg.UniqueViolation), psycopg.connect(database.dsn, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO studio.submissions (job_id, attempt, lease, provider, model_key) VALUES (%s, 2, 2, 'fal', 'x')",
            (job,),
        )


def test_only_a_request_that_was_surely_not_taken_may_be_sent_again(database, ana):
    job = a_job(database, ana, "queued", runner="studio")
    claimed = claim(database, job)
    with database.as_service() as conn:
        first = submissions.begin(conn, claimed, provider="fal", model_key="x")
        submissions.settle(conn, first.id, "not_accepted", by="worker")
        second = submissions.begin(conn, claimed, provider="fal", model_key="x")

    assert (first.attempt, second.attempt) == (1, 2)


def test_a_receipt_belongs_to_one_request(database, ana):
    ticket = Ticket(provider="fal", request_id="r-1", model_key="x")
    begun = []
    for _ in range(2):
        claimed = claim(database, a_job(database, ana, "queued", runner="studio"))
        with database.as_service() as conn:
            begun.append(submissions.begin(conn, claimed, provider="fal", model_key="x"))
    with database.as_service() as conn:
        submissions.keep_receipt(conn, begun[0].id, ticket)

    with pytest.raises(Conflict), database.as_service() as conn:
        submissions.keep_receipt(conn, begun[1].id, ticket)
