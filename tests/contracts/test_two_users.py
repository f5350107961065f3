"""Two editors who do not share, a customer, and nobody at all: none reaches another's rows, files or money, by the
database, by HTTP, by the socket, or through paths written into rows of their own.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg import errors as pg
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from core import autosave, characters, copies, generation, portraits, recovery
from core.copies import Kind
from core.db import jobs
from core.errors import NotAllowed, NotFound
from core.storage import LIBRARY, REFERENCES, WORKSPACE
from core.values import Character, CharacterId, JobId, PortraitId
from tests.builders import (
    a_character,
    a_finished_portrait,
    a_request,
    a_waiting_job,
    as_platform,
    entries,
    one,
    rows,
    work,
)
from tests.fix_services import TwoPeopleGate, serving
from tests.light_page import built

PORTRAIT = "/functions/v1/character-portrait"
SECRET = b"these bytes are Ana's alone"


@dataclass(frozen=True)
class Work:
    """What Ana has: one portrait in the library, one job that waits, one that ended."""

    character: Character
    portrait: PortraitId
    saved_job: JobId
    waiting_job: JobId
    ended_job: JobId
    path: str  # of the portrait, inside user-library
    fresh_path: str  # of its workspace asset


@pytest.fixture
def of_ana(services, ana) -> Work:
    character = a_character(ana, services)
    done = a_finished_portrait(ana, services, character)
    ended = a_waiting_job(ana, services, character).job_id
    generation.cancel(ended, ana, services)
    waiting = a_waiting_job(ana, services, character).job_id
    with services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO character_scenes (character_id, scene_name) VALUES (%s, 'At the pier')",
            (character.id,),
        )
    return Work(
        character=character,
        portrait=done.portrait_id,
        saved_job=done.job.id,
        waiting_job=waiting,
        ended_job=ended,
        path=done.storage_path,
        fresh_path=one(services.db, "SELECT temp_storage_path FROM workspace_assets"),
    )


@pytest.fixture
def of_ben(services, ben) -> Character:
    return a_character(ben, services, name="Barnaby Quill")


def tables(services, *schemas):
    return rows(
        services.db,
        """
        SELECT n.nspname, c.relname, (SELECT a.attname FROM pg_attribute a
                                      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity = ''
                                      ORDER BY a.attnum LIMIT 1)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'v', 'p') AND n.nspname = ANY(%s) ORDER BY 1, 2
        """,
        (list(schemas),),
    )


def everything(services):
    """Every row there is, but for what watches: findings and audit events may be added to by an attempt."""
    found = {}
    for schema, table, _ in tables(services, "public", "studio", "studio_queue", "auth"):
        if table not in {"findings", "audit_events"}:
            found[f"{schema}.{table}"] = sorted(
                json.dumps(row[0], sort_keys=True)
                for row in rows(services.db, f"SELECT to_jsonb(t) FROM {schema}.{table} t")
            )
    return found


def attempt(conn, statement):
    """Runs it in a transaction of its own; how many rows it touched, none where it was refused."""
    try:
        return conn.execute(statement).rowcount
    except (
        pg.InsufficientPrivilege,
        pg.ObjectNotInPrerequisiteState,
        pg.FeatureNotSupported,
        pg.WrongObjectType,
    ):
        return 0
    except (pg.IntegrityError, pg.GeneratedAlways, pg.SyntaxError):
        return 0


OWNED = ("characters", "character_portraits", "character_scenes", "jobs", "workspace_assets", "user_library")

# ---- rows


@pytest.mark.parametrize("who", ["another editor", "a customer", "nobody"])
def test_nobody_else_changes_a_row_by_any_statement_on_any_table(services, dsn, ben, customer, of_ana, who):
    role, person = {
        "another editor": ("authenticated", ben),
        "a customer": ("authenticated", customer),
        "nobody": ("anon", None),
    }[who]
    before = everything(services)

    with as_platform(dsn, role, person) as conn:
        for schema, table, column in tables(services, "public", "studio", "studio_queue", "auth"):
            name = f"{schema}.{table}"
            touched = [
                attempt(conn, f"UPDATE {name} SET {column} = {column}"),
                attempt(conn, f"DELETE FROM {name}"),
                attempt(conn, f"INSERT INTO {name} SELECT * FROM {name}"),
                attempt(conn, f"INSERT INTO {name} DEFAULT VALUES"),
            ]
            assert touched == [0, 0, 0, 0], name

    assert everything(services) == before


@pytest.mark.parametrize("who", ["another editor", "a customer", "nobody"])
def test_nobody_else_sees_a_row_of_hers(services, dsn, ben, customer, of_ana, who):
    role, person = {
        "another editor": ("authenticated", ben),
        "a customer": ("authenticated", customer),
        "nobody": ("anon", None),
    }[who]
    shown = {}

    with as_platform(dsn, role, person) as conn:
        for schema, table, _ in tables(services, "public", "studio", "studio_queue", "auth"):
            try:
                found = conn.execute(f"SELECT to_jsonb(t)::text FROM {schema}.{table} t").fetchall()
            except pg.InsufficientPrivilege:
                continue
            shown[f"{schema}.{table}"] = "".join(row[0] for row in found)

    hers = [
        str(of_ana.character.user_id),
        str(of_ana.character.id),
        str(of_ana.saved_job),
        str(of_ana.waiting_job),
    ]
    assert [name for name, text in shown.items() if any(value in text for value in hers)] == []


def test_the_policies_hold_on_our_own_connections_too(services, ben, of_ana):
    with services.db.as_user(ben) as conn:
        seen = {table: conn.execute(f"SELECT count(*) FROM public.{table}").fetchone()[0] for table in OWNED}
        changed = [
            conn.execute(f"UPDATE public.{table} SET created_at = now()").rowcount
            + conn.execute(f"DELETE FROM public.{table}").rowcount
            for table in OWNED
        ]

    assert seen == dict.fromkeys(OWNED, 0)
    assert changed == [0] * len(OWNED)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO characters (user_id, name, description) VALUES ('{ana}', 'x', 'x')",
        "INSERT INTO character_portraits (character_id, image_url) VALUES ('{character}', 'x')",
        "INSERT INTO character_scenes (character_id, scene_name) VALUES ('{character}', 'x')",
        "INSERT INTO jobs (user_id, job_type) VALUES ('{ana}', 'x')",
        "INSERT INTO workspace_assets (user_id, asset_type, temp_storage_path, mime_type) VALUES ('{ana}', 'image', 'x', 'x')",
        "INSERT INTO user_library (user_id, asset_type, storage_path, mime_type) VALUES ('{ana}', 'image', 'x', 'x')",
        "INSERT INTO attribute_images (category, value, style, image_url) VALUES ('age', '30s', 'anime', 'x')",
        "INSERT INTO api_models (provider_id, display_name, model_key, modality) SELECT id, 'x', 'x', 'image' FROM api_providers",
        "UPDATE characters SET user_id = '{ana}' WHERE id = '{own}'",
        "INSERT INTO studio.cost_entries (job_id, provider, model_key, kind, amount_usd) VALUES ('{job}', 'fal', 'x', 'refund', -99)",
        "INSERT INTO studio.submissions (job_id, attempt, lease, provider, model_key) VALUES ('{job}', 1, 1, 'fal', 'x')",
        "UPDATE studio.budgets SET limit_usd = 99",
        "UPDATE studio.model_prices SET price = 0",
        "INSERT INTO studio.provider_state (provider, paused_until) VALUES ('fal', now() + interval '1 year')",
        "INSERT INTO studio_queue.pgqueuer (entrypoint, priority, status) VALUES ('portrait_fal', 0, 'queued')",
        "DELETE FROM studio.audit_events",
        "DELETE FROM studio.findings",
        "SELECT receipt FROM studio.submissions",
        "SELECT value FROM studio.settings",
    ],
)
def test_what_would_be_somebody_elses_or_the_studios_is_refused(
    services, dsn, ben, of_ana, of_ben, statement
):
    filled = statement.format(
        ana=of_ana.character.user_id, character=of_ana.character.id, job=of_ana.saved_job, own=of_ben.id
    )

    with as_platform(dsn, "authenticated", ben) as conn, pytest.raises(pg.InsufficientPrivilege):
        conn.execute(filled)


# ---- functions that run with the studio's rights


def ask(conn, character_id, metadata=None, *, model_key="fal-ai/flux/dev"):
    model = conn.execute("SELECT id FROM api_models WHERE model_key = %s", (model_key,)).fetchone()[0]
    return conn.execute(
        "SELECT job_id FROM studio.ask(%s, %s, 'an adult woman', %s, 1024, 1024, NULL, NULL, 10)",
        (character_id, model, json.dumps(metadata or {})),
    ).fetchone()[0]


def test_nobody_asks_for_a_picture_of_somebody_elses_character(services, dsn, ben, of_ana):
    rows(services.db, "UPDATE characters SET is_public = true RETURNING id")

    with as_platform(dsn, "authenticated", ben) as conn, pytest.raises(psycopg.Error) as refusal:
        ask(conn, of_ana.character.id)

    assert refusal.value.sqlstate == "PS404"


def test_nobody_cancels_somebody_elses_job(services, dsn, ben, of_ana):
    with as_platform(dsn, "authenticated", ben) as conn, pytest.raises(psycopg.Error) as refusal:
        conn.execute("SELECT studio.cancel(%s)", (of_ana.waiting_job,))

    assert refusal.value.sqlstate == "PS404"
    assert one(services.db, "SELECT status FROM jobs WHERE id = %s", (of_ana.waiting_job,)) == "queued"


def test_a_customer_neither_asks_nor_cancels_nor_writes_into_the_studios_books(
    services, dsn, customer, of_ana
):
    own = uuid4()
    with services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO jobs (id, user_id, job_type, runner) VALUES (%s, %s, 'x', 'studio')",
            (own, customer.id),
        )

    with as_platform(dsn, "authenticated", customer) as conn:
        for statement, state in (
            (
                "SELECT studio.ask(NULL, (SELECT id FROM api_models LIMIT 1), 'x', '{}', 64, 64, NULL, NULL, 10)",
                "PS403",
            ),
            (f"SELECT studio.cancel('{own}')", "PS404"),
            ("SELECT studio.note_audit('made_up', 'jobs', 'x')", "PS403"),
        ):
            with pytest.raises(psycopg.Error) as refusal:
                conn.execute(statement)
            assert refusal.value.sqlstate == state, statement

    assert one(services.db, "SELECT status FROM jobs WHERE id = %s", (own,)) == "queued"


@pytest.mark.parametrize(
    "call",
    [
        "studio.ask(NULL, NULL, 'x', '{}', 64, 64, NULL, NULL, 10)",
        "studio.cancel('00000000-0000-4000-8000-000000000000')",
        "studio.note_audit('made_up', 'jobs', 'x')",
        "studio.price_of('00000000-0000-4000-8000-000000000000', 64, 64)",
        "studio.owner_of('00000000-0000-4000-8000-000000000000')",
        "studio.hold_budget('00000000-0000-4000-8000-000000000000', 1)",
    ],
)
def test_nobody_at_all_calls_what_belongs_to_the_studio(dsn, call):
    with as_platform(dsn, "anon") as conn, pytest.raises(pg.InsufficientPrivilege):
        conn.execute(f"SELECT {call}")


def test_whose_folder_a_picture_goes_to_is_decided_by_the_database(services, dsn, ben, of_ana, of_ben):
    forged = {"owner": str(of_ana.character.user_id), "width": 64, "height": 64}
    with as_platform(dsn, "authenticated", ben) as conn:
        job = ask(conn, of_ben.id, forged)

    work(services)

    assert one(services.db, "SELECT metadata ->> 'owner' FROM jobs WHERE id = %s", (job,)) == str(ben.id)
    assert all(
        info.path.startswith(str(ben.id)) for info in services.storage.list(LIBRARY) if str(job) in info.path
    )


def test_what_is_drawn_is_what_was_priced(services, dsn, ben, of_ben):
    with as_platform(dsn, "authenticated", ben) as conn:
        job = ask(conn, of_ben.id, {"width": 4096, "height": 4096})

    said = one(services.db, "SELECT metadata FROM jobs WHERE id = %s", (job,))
    units = one(services.db, "SELECT units FROM studio.cost_entries WHERE job_id = %s", (job,))

    assert (said["width"], said["height"]) == (units["width"], units["height"]) == (1024, 1024)


def test_a_reference_written_past_the_use_case_is_never_sent(services, dsn, ben, fal, of_ana, of_ben):
    planted = {"reference_image_url": f"{LIBRARY}/{of_ana.path}", "owner": str(of_ana.character.user_id)}
    sent_before = fal.counts()["submits"]

    with as_platform(dsn, "authenticated", ben) as conn:
        try:
            ask(conn, of_ben.id, planted, model_key="fal-ai/flux-pro/kontext")
        except psycopg.Error as refusal:
            assert refusal.sqlstate == "PS403"  # noqa: PT017 - refused at once, or never sent: both are right
    work(services)

    sent = [fal.request(line["id"])["body"] for line in fal.counts()["requests"][sent_before:]]
    assert not any("data:image" in json.dumps(body) for body in sent)


# ---- what a user writes into the platform's tables


def test_a_user_cannot_make_a_job_that_looks_like_the_studios(services, dsn, ben):
    with as_platform(dsn, "authenticated", ben) as conn:
        conn.execute(
            """
            INSERT INTO jobs (user_id, job_type, runner, lease, attempts, cost_usd, idempotency_key, cancel_requested)
            VALUES (%s, 'character_portrait', 'studio', 7, 7, -5, 'mine', true)
            """,
            (ben.id,),
        )
        conn.execute(
            "UPDATE jobs SET runner = 'studio', cost_usd = -5, lease = 7 WHERE user_id = %s", (ben.id,)
        )

    assert one(
        services.db, "SELECT runner, lease, attempts, cost_usd, idempotency_key, cancel_requested FROM jobs"
    ) == ("platform", 0, 0, None, None, False)


def test_a_user_cannot_change_what_their_own_job_of_the_studio_says(services, dsn, ben, of_ben):
    job = a_waiting_job(ben, services, of_ben).job_id
    before = one(services.db, "SELECT to_jsonb(j) FROM jobs j")

    with as_platform(dsn, "authenticated", ben) as conn:
        conn.execute(
            """
            UPDATE jobs SET original_prompt = 'something else', status = 'completed', metadata = '{}', user_id = %s,
                            api_model_id = NULL, character_id = NULL, runner = 'platform' WHERE id = %s
            """,
            (ben.id, job),
        )

    assert one(services.db, "SELECT to_jsonb(j) FROM jobs j") == before


def test_a_user_cannot_delete_a_job_of_the_studio(services, dsn, ben, of_ben):
    job = a_waiting_job(ben, services, of_ben).job_id

    with as_platform(dsn, "authenticated", ben) as conn:
        conn.execute("DELETE FROM jobs WHERE id = %s", (job,))

    assert one(services.db, "SELECT id FROM jobs") == job
    assert one(services.db, "SELECT count(*) FROM studio.findings WHERE rule = 'job.deleted_by_user'") == 1


ASSET = """
    INSERT INTO workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type)
    VALUES (%s, %s, 'image', %s, 'image/png') RETURNING id
"""


@pytest.mark.parametrize("way", ["at once", "afterwards"])
@pytest.mark.parametrize("whose", ["her own", "somebody else's"])
def test_a_planted_result_completes_no_job_of_the_studio(services, dsn, ana, ben, of_ana, of_ben, way, whose):
    job = a_waiting_job(ben, services, of_ben).job_id if whose == "her own" else of_ana.waiting_job
    path = f"{ben.id}/{job}_1760000000000.png"

    with as_platform(dsn, "authenticated", ben) as conn:
        asset = conn.execute(ASSET, (ben.id, job if way == "at once" else None, path)).fetchone()[0]
        conn.execute("UPDATE workspace_assets SET job_id = %s WHERE id = %s", (job, asset))
    recovery.recover(services)

    assert one(services.db, "SELECT job_id FROM workspace_assets WHERE id = %s", (asset,)) is None
    assert one(services.db, "SELECT status FROM jobs WHERE id = %s", (job,)) == "queued"
    assert one(services.db, "SELECT count(*) FROM studio.findings WHERE rule = 'asset.foreign_job'") >= 1


@pytest.mark.parametrize("way", ["by its metadata", "by its path", "by its column", "afterwards"])
def test_a_portrait_of_ones_own_never_takes_somebody_elses_job(services, dsn, ben, of_ana, of_ben, way):
    job = of_ana.waiting_job
    path = f"user-library/{ben.id}/portraits/{of_ben.id}/{job if way == 'by its path' else uuid4()}.png"
    metadata = {"job_id": str(job)} if way == "by its metadata" else {}

    with as_platform(dsn, "authenticated", ben) as conn:
        made = conn.execute(
            "INSERT INTO character_portraits (character_id, image_url, generation_metadata, job_id) VALUES (%s, %s, %s, %s) RETURNING id",
            (of_ben.id, path, json.dumps(metadata), job if way == "by its column" else None),
        ).fetchone()[0]
        conn.execute("UPDATE character_portraits SET job_id = %s WHERE id = %s", (job, made))
    work(services)

    assert one(services.db, "SELECT count(*) FROM character_portraits WHERE job_id = %s", (job,)) == 1
    assert (
        one(services.db, "SELECT character_id FROM character_portraits WHERE job_id = %s", (job,))
        == of_ana.character.id
    )


@pytest.mark.parametrize("way", ["by its path", "by its column", "afterwards"])
def test_a_library_row_of_ones_own_never_takes_somebody_elses_job(services, dsn, ben, of_ana, way):
    job = of_ana.waiting_job
    path = f"{ben.id}/{job if way == 'by its path' else uuid4()}_x.png"

    with as_platform(dsn, "authenticated", ben) as conn:
        made = conn.execute(
            "INSERT INTO user_library (user_id, asset_type, storage_path, mime_type, job_id) VALUES (%s, 'image', %s, 'image/png', %s) RETURNING id",
            (ben.id, path, job if way == "by its column" else None),
        ).fetchone()[0]
        conn.execute("UPDATE user_library SET job_id = %s WHERE id = %s", (job, made))
    work(services)

    assert (
        one(services.db, "SELECT user_id FROM user_library WHERE job_id = %s", (job,))
        == of_ana.character.user_id
    )


# ---- somebody else's paths in rows of one's own


def plant(services, dsn, person, statement, *values):
    with as_platform(dsn, "authenticated", person) as conn:
        conn.execute(statement, values)


def test_a_foreign_picture_of_ones_own_character_is_never_signed(services, dsn, ben, of_ana, of_ben):
    for column in ("image_url", "reference_image_url", "preview_image_url"):
        plant(
            services,
            dsn,
            ben,
            f"UPDATE characters SET {column} = %s WHERE id = %s",
            f"{LIBRARY}/{of_ana.path}",
            of_ben.id,
        )

    cards = characters.listing(ben, services)

    assert [card.thumb_url for card in cards] == [None]


def test_a_foreign_path_in_ones_own_portrait_is_never_signed(services, dsn, ben, of_ana, of_ben):
    address = f"{LIBRARY}/{of_ana.path}"
    for form in (address, f"/files/{address}?token=x", f"{LIBRARY}/{ben.id}/../{of_ana.path}"):
        plant(
            services, dsn, ben,
            "INSERT INTO character_portraits (character_id, image_url, thumbnail_url) VALUES (%s, %s, %s)",
            of_ben.id, form, form,
        )  # fmt: skip

    tiles = portraits.tiles(of_ben.id, ben, services)

    assert [(tile.url, tile.full_url, tile.download_url) for tile in tiles] == [("", "", "")] * 3


def test_a_foreign_reference_of_ones_own_character_is_never_sent(services, dsn, ben, fal, of_ana, of_ben):
    for bucket in (LIBRARY, REFERENCES):
        services.storage.put(bucket, of_ana.path, services.storage.get(LIBRARY, of_ana.path), "image/png")
        plant(
            services, dsn, ben,
            "UPDATE characters SET reference_image_url = %s, match_reference = true WHERE id = %s",
            f"{bucket}/{of_ana.path}", of_ben.id,
        )  # fmt: skip
        with pytest.raises(NotAllowed):
            generation.request(a_request(of_ben), ben, services)

    assert one(services.db, "SELECT count(*) FROM jobs WHERE user_id = %s", (ben.id,)) == 0
    assert (
        one(
            services.db,
            "SELECT count(*) FROM studio.audit_events WHERE action = 'foreign_path_refused' AND who = %s",
            (ben.id,),
        )
        == 2
    )


def test_a_library_row_of_ones_own_lends_no_right_to_a_foreign_path(services, dsn, ben, of_ana, of_ben):
    plant(
        services, dsn, ben,
        "INSERT INTO user_library (user_id, asset_type, storage_path, mime_type) VALUES (%s, 'image', %s, 'image/png')",
        ben.id, of_ana.path,
    )  # fmt: skip

    with pytest.raises(NotAllowed):
        generation.request(a_request(of_ben, reference=f"{LIBRARY}/{of_ana.path}"), ben, services)


def plant_job(services, dsn, person, *, path, thumbnail=None, character=None, **metadata):
    """A job of the platform with its result, as a page of the platform may write them for its own person."""
    job = uuid4()
    said = {"destination": "character_portrait", **metadata}
    said |= {"character_id": str(character)} if character else {}
    with as_platform(dsn, "authenticated", person) as conn:
        conn.execute(
            "INSERT INTO jobs (id, user_id, job_type, status, metadata) VALUES (%s, %s, 'fal_image', 'processing', %s)",
            (job, person.id, json.dumps(said)),
        )
        conn.execute(
            """
            INSERT INTO workspace_assets (user_id, job_id, asset_type, temp_storage_path, thumbnail_path, mime_type)
            VALUES (%s, %s, 'image', %s, %s, 'image/png')
            """,
            (person.id, job, path, thumbnail),
        )
    return JobId(job)


@pytest.mark.parametrize("prefix", ["", "workspace-temp/"])
def test_a_foreign_result_in_ones_own_job_is_never_signed(services, dsn, ben, app, of_ana, prefix):
    job = plant_job(
        services, dsn, ben, path=f"{prefix}{of_ana.fresh_path}", owner=str(of_ana.character.user_id)
    )

    body = app.as_(ben).get(f"/functions/v1/jobs/{job}").json()

    assert body["status"] == "completed"
    assert body["imageUrl"] is None


def test_a_foreign_result_in_ones_own_job_is_never_saved(services, dsn, ben, of_ana, of_ben):
    job = plant_job(services, dsn, ben, path=of_ana.fresh_path, character=of_ben.id)

    autosave.save(job, services)

    assert [info.path for info in services.storage.list(LIBRARY) if info.path.startswith(str(ben.id))] == []
    assert portraits.tiles(of_ben.id, ben, services) == []
    assert one(services.db, "SELECT count(*) FROM studio.findings WHERE rule = 'asset.foreign_path'") == 1


def test_a_foreign_thumbnail_in_ones_own_job_is_never_copied(services, dsn, ben, of_ana, of_ben):
    own, hers = f"{ben.id}/own.png", f"{of_ana.character.user_id}/hers.thumb.webp"
    services.storage.put(WORKSPACE, own, services.storage.get(LIBRARY, of_ana.path), "image/png")
    services.storage.put(WORKSPACE, hers, SECRET, "image/webp")
    job = plant_job(services, dsn, ben, path=own, thumbnail=hers, character=of_ben.id)

    autosave.save(job, services)

    kept = [info.path for info in services.storage.list(LIBRARY) if info.path.startswith(str(ben.id))]
    assert SECRET not in [services.storage.get(LIBRARY, path) for path in kept]


@pytest.mark.parametrize("path", ["hers", "his"])
def test_a_job_of_ones_own_puts_no_picture_on_somebody_elses_character(services, dsn, ben, of_ana, path):
    his = f"{ben.id}/own.png"
    services.storage.put(WORKSPACE, his, services.storage.get(LIBRARY, of_ana.path), "image/png")
    job = plant_job(
        services, dsn, ben, path=of_ana.fresh_path if path == "hers" else his, character=of_ana.character.id
    )
    before = one(services.db, "SELECT to_jsonb(c) FROM characters c WHERE id = %s", (of_ana.character.id,))

    autosave.save(job, services)

    assert (
        one(services.db, "SELECT to_jsonb(c) FROM characters c WHERE id = %s", (of_ana.character.id,))
        == before
    )
    assert one(services.db, "SELECT id FROM character_portraits") == of_ana.portrait


# ---- HTTP


def test_by_http_somebody_elses_work_is_not_there(services, ben, app, of_ana, of_ben):
    client = app.as_(ben)
    her_link = app.as_(None).base_url.join(
        services.links.sign((LIBRARY, of_ana.path), of_ana.character.created_at)
    )

    answers = {
        "her job": client.get(f"/functions/v1/jobs/{of_ana.saved_job}"),
        "her character": client.post(PORTRAIT, json={"characterId": str(of_ana.character.id)}),
        "her picture": client.post(
            PORTRAIT, json={"characterId": str(of_ben.id), "referenceImageUrl": f"{LIBRARY}/{of_ana.path}"}
        ),
        "her link": client.post(
            PORTRAIT, json={"characterId": str(of_ben.id), "referenceImageUrl": str(her_link)}
        ),
    }

    assert {what: (answer.status_code, answer.json()["code"]) for what, answer in answers.items()} == {
        "her job": (404, "NOT_FOUND"),
        "her character": (404, "NOT_FOUND"),
        "her picture": (403, "NOT_ALLOWED"),
        "her link": (403, "NOT_ALLOWED"),
    }
    assert one(services.db, "SELECT count(*) FROM jobs WHERE user_id = %s", (ben.id,)) == 0


def test_a_public_character_of_somebody_else_is_shown_by_the_platform_and_not_worked_on_here(
    services, ben, app, of_ana
):
    rows(services.db, "UPDATE characters SET is_public = true RETURNING id")

    answer = app.as_(ben).post(PORTRAIT, json={"characterId": str(of_ana.character.id)})

    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


# ---- use cases, called directly

CALLS = {
    "load": lambda hers, person, services: characters.load(hers.character.id, person, services),
    "save": lambda hers, person, services: characters.save(
        hers.character.id,
        {"name": "Mine now"},
        version=hers.character.version,
        person=person,
        services=services,
    ),
    "save over another version": lambda hers, person, services: characters.save(
        hers.character.id, {"name": "Mine now"}, version=99, person=person, services=services
    ),
    "save nothing": lambda hers, person, services: characters.save(
        hers.character.id, {}, version=1, person=person, services=services
    ),
    "tiles": lambda hers, person, services: portraits.tiles(hers.character.id, person, services),
    "running": lambda hers, person, services: portraits.running(hers.character.id, person, services),
    "every": lambda hers, person, services: portraits.every(hers.character.id, person, services, limit=5000),
    "make_primary": lambda hers, person, services: portraits.make_primary(hers.portrait, person, services),
    "delete": lambda hers, person, services: portraits.delete(hers.portrait, person, services),
    "restore": lambda hers, person, services: portraits.restore(hers.portrait, person, services),
    "delete_many": lambda hers, person, services: portraits.delete_many(
        hers.character.id, [hers.portrait], person, services
    ),
    "restore_many": lambda hers, person, services: portraits.restore_many(
        hers.character.id, [hers.portrait], person, services
    ),
    "details": lambda hers, person, services: portraits.details([hers.portrait], person, services),
    "rate": lambda hers, person, services: portraits.rate(hers.portrait, person, services, stars=5),
    "bin_of": lambda hers, person, services: portraits.bin_of(hers.character.id, person, services),
    "portrait again": lambda hers, person, services: portraits.again(
        hers.portrait, "a-key", person, services
    ),
    "copy_of": lambda hers, person, services: copies.copy_of(hers.portrait, Kind.settings, person, services),
    "reorder": lambda hers, person, services: portraits.reorder(
        hers.character.id, [str(hers.portrait)], person, services
    ),
    "preview": lambda hers, person, services: generation.preview(a_request(hers.character), person, services),
    "request": lambda hers, person, services: generation.request(a_request(hers.character), person, services),
    "cancel": lambda hers, person, services: generation.cancel(hers.waiting_job, person, services),
    "retry": lambda hers, person, services: generation.retry(hers.ended_job, person, services),
    "dismiss": lambda hers, person, services: generation.dismiss(hers.ended_job, person, services),
    "outcome": lambda hers, person, services: generation.outcome(hers.saved_job, person, services),
}


@pytest.mark.parametrize("public", [False, True], ids=["private", "public"])
@pytest.mark.parametrize("call", CALLS)
def test_every_use_case_says_that_somebody_elses_work_is_not_there(services, ben, of_ana, call, public):
    rows(services.db, "UPDATE characters SET is_public = %s RETURNING id", (public,))
    before = everything(services)

    with pytest.raises(NotFound):
        CALLS[call](of_ana, ben, services)

    assert everything(services) == before


@pytest.mark.parametrize("call", ["create", "save", "request", "cancel"])
def test_a_customer_does_not_work_here_even_on_rows_of_their_own(services, dsn, customer, call):
    with as_platform(dsn, "authenticated", customer) as conn:
        character = conn.execute(
            "INSERT INTO characters (user_id, name, description) VALUES (%s, 'Mine', 'x') RETURNING id",
            (customer.id,),
        ).fetchone()[0]
        job = conn.execute(
            "INSERT INTO jobs (user_id, job_type) VALUES (%s, 'x') RETURNING id", (customer.id,)
        ).fetchone()[0]

    with pytest.raises((NotAllowed, NotFound)):
        {
            "create": lambda: characters.create(customer, services),
            "save": lambda: characters.save(
                CharacterId(character), {"name": "New"}, version=1, person=customer, services=services
            ),
            "request": lambda: generation.request(a_request(), customer, services),
            "cancel": lambda: generation.cancel(JobId(job), customer, services),
        }[call]()

    assert entries(services) == []


# ---- the events of the studio's page

ACTIONS = ("primary", "rate", "cancel", "dismiss", "retry", "again")
QUESTIONS = ("read", "running", "every", "delete", "restore")


def backend_events(client):
    """Every event of the page that runs Python, by its number, with its name and how many inputs it takes.

    Left out are `create` and `keep`, which make a draft of one's own, whatever else is sent.
    """
    found = client.get("/studio/config").json()["dependencies"]
    return [
        (one["id"], one["targets"][0][1], len(one["inputs"]))
        for one in found
        if one["backend_fn"] and one["targets"][0][1] not in {"create", "keep"}
    ]


def forged(hers, its_id, action):
    """What a page of Ana's could send with any event, about one of her ids."""
    return {
        "id": str(its_id),
        "character": str(hers.character.id),
        "ids": [str(hers.portrait)],
        "key": str(uuid4()),
        "keys": [str(uuid4())],
        "action": action,
        "changes": {"name": "Mine now"},
        "version": hers.character.version,
        "forced": True,
        "star": str(hers.portrait),
        "favourite": True,
        "stars": 5,
        "number": str(uuid4()),
        "kind": "portrait",
        "on": True,
        "limit": 5000,
        "search": "Juniper",
    }


def answer_to(client, number, inputs, data):
    """The whole answer of one event, as the browser reads it."""
    session = uuid4().hex
    body = {"data": [None] * inputs, "event_data": data, "fn_index": number, "session_hash": session}
    client.post("/studio/gradio_api/queue/join", json=body).raise_for_status()
    with client.stream("GET", f"/studio/gradio_api/queue/data?session_hash={session}") as stream:
        for line in stream.iter_lines():
            if '"process_completed"' in line:
                return line
    pytest.fail(f"event {number} gave no answer")


def test_no_event_of_the_page_shows_or_changes_somebody_elses_work(services, ana, ben, of_ana, of_ben):
    gate = TwoPeopleGate()
    gate.let_in(ana, ben)
    ids = (of_ana.character.id, of_ana.portrait, of_ana.saved_job, of_ana.waiting_job, of_ana.ended_job)
    hers = (of_ana.character.name, of_ana.path, of_ana.fresh_path, str(ana.id))
    before = everything(services)
    shown = {}

    with (
        serving(built(services, gate)) as url,
        httpx.Client(base_url=url, cookies={"who": "ben"}, timeout=30, trust_env=False) as client,
    ):
        events = backend_events(client)
        for (number, name, inputs), its_id in itertools.product(events, ids):
            for action in ACTIONS if name == "act" else (None,):
                said = answer_to(client, number, inputs, forged(of_ana, its_id, action))
                shown[name, str(its_id), action] = said
        services.stopping.set()

    assert {name for _, name, _ in events} >= {"act", "ask", "generate", "open", "order", "save"}
    assert [what for what, said in shown.items() if any(words in said for words in hers)] == []
    assert everything(services) == before


def grid_of(config):
    """The number of the page's grid."""
    [grid] = [one["id"] for one in config["components"] if one["props"].get("elem_id") == "grid"]
    return grid


def answer_of_grid(client, what, **details):
    """What the page's grid is told, as its script asks."""
    body = {
        "data": {"what": what, **details},
        "component_id": grid_of(client.get("/studio/config").json()),
        "fn_name": "answer",
        "session_hash": uuid4().hex,
    }
    return client.post("/studio/gradio_api/component_server", json=body).raise_for_status().json()


def test_no_question_of_the_grid_is_answered_about_somebody_elses_work(services, ana, ben, of_ana, of_ben):
    gate = TwoPeopleGate()
    gate.let_in(ana, ben)
    sent = {"character": str(of_ana.character.id), "ids": [str(of_ana.portrait)]}
    before = everything(services)

    with (
        serving(built(services, gate)) as url,
        httpx.Client(base_url=url, cookies={"who": "ben"}, timeout=30, trust_env=False) as client,
    ):
        said = {what: answer_of_grid(client, what, **sent) for what in QUESTIONS}
        of_two = {"character": str(of_ben.id), "ids": [str(of_ana.portrait)]}
        lent = {what: answer_of_grid(client, what, **of_two) for what in ("delete", "restore")}
        services.stopping.set()

    assert {what: answer.get("code") for what, answer in said.items()} == dict.fromkeys(
        QUESTIONS, "NOT_FOUND"
    )
    assert lent["delete"]["code"] == "NOT_FOUND"
    assert everything(services) == before


def test_the_grid_is_told_of_its_running_tiles_and_of_every_portrait(services, ana, ben, of_ana):
    gate = TwoPeopleGate()
    gate.let_in(ana, ben)
    its = str(of_ana.character.id)

    with (
        serving(built(services, gate)) as url,
        httpx.Client(base_url=url, cookies={"who": "ana"}, timeout=30, trust_env=False) as client,
    ):
        whole = answer_of_grid(client, "read", character=its)
        running = answer_of_grid(client, "running", character=its)
        every = answer_of_grid(client, "every", character=its)
        many = answer_of_grid(client, "delete", character=its, ids=[str(uuid4())] * 5001)
        services.stopping.set()

    goes_on = [one for one in whole["tiles"] if one["kind"] == "job" and one["status"] == "queued"]
    assert [one["id"] for one in running["tiles"]] == [one["id"] for one in goes_on]
    assert [{name: of[name] for name in one} for one, of in zip(running["tiles"], goes_on, strict=True)] == (
        running["tiles"]
    )
    assert all("prompt" not in one for one in running["tiles"])
    assert (every["ids"], every["primary"]) == ([str(of_ana.portrait)], str(of_ana.portrait))
    assert many["code"] == "BAD_REQUEST"


def test_what_is_refused_goes_back_to_the_page_that_showed_it_as_done(services, ana, ben, of_ana):
    gate = TwoPeopleGate()
    gate.let_in(ana, ben)
    nobodys = str(uuid4())

    with (
        serving(built(services, gate)) as url,
        httpx.Client(base_url=url, cookies={"who": "ana"}, timeout=30, trust_env=False) as client,
    ):
        config = client.get("/studio/config").json()
        press = [grid_of(config), "act"]
        [number] = [one["id"] for one in config["dependencies"] if one["targets"][0] == press]
        [inputs] = [many for of, _, many in backend_events(client) if of == number]
        said = answer_to(client, number, inputs, forged(of_ana, nobodys, "rate"))
        services.stopping.set()

    [rows] = json.loads(said.removeprefix("data:"))["output"]["data"]
    assert rows["refused"] == [nobodys]


# ---- the socket


def heard(socket):
    said = []
    while True:
        try:
            said.append(json.loads(socket.recv(timeout=0.7)))
        except TimeoutError:
            return said


def test_the_socket_tells_nobody_of_somebody_elses_work(services, ana, ben, customer, app):
    for person in (ana, ben, customer):
        app.as_(person)
    at = app.url.replace("http", "ws") + "/ws"
    with (
        connect(at, additional_headers={"Cookie": "who=ana"}) as hers,
        connect(at, additional_headers={"Cookie": "who=ben"}) as his,
        connect(at, additional_headers={"Cookie": "who=customer"}) as customers,
    ):
        character = a_character(ana, services)
        a_finished_portrait(ana, services, character)

        told = heard(hers)

        assert {message["type"] for message in told} >= {"character", "portraits", "job", "library"}
        assert heard(his) == []
        with pytest.raises(ConnectionClosedError) as end:  # who has no role is not even let in
            heard(customers)
        assert end.value.rcvd.code == 4403


def test_a_socket_of_nobody_is_closed(app):
    with (
        connect(app.url.replace("http", "ws") + "/ws") as socket,
        pytest.raises(ConnectionClosedError) as end,
    ):
        socket.recv(timeout=5)

    assert end.value.rcvd.code == 4401


# ---- sharing, where it is meant


def test_with_team_sharing_editors_work_on_each_others_characters_and_customers_do_not(
    build, services, ana, ben, customer, of_ana
):
    sharing = build(team_sharing=True)

    changed = characters.save(
        of_ana.character.id,
        {"name": "Juniper of the Pier"},
        version=of_ana.character.version,
        person=ben,
        services=sharing,
    )
    tiles = portraits.tiles(of_ana.character.id, ben, sharing)

    assert changed.name == "Juniper of the Pier"
    assert any(tile.full_url for tile in tiles)
    with pytest.raises(NotFound):
        portraits.tiles(of_ana.character.id, customer, sharing)


def test_the_ids_of_a_person_and_of_a_job_are_no_secret_that_opens_anything(services, ben, of_ana):
    with services.db.as_user(ben) as conn:
        assert jobs.get(conn, of_ana.saved_job) is None
