"""The made-up world is what it says: every kind of defect counted by SQL that knows nothing of how it was planted."""

from __future__ import annotations

import time

import psycopg
import pytest

from tests.platform import rows
from tests.platform.rows import COLUMNS, OTHER_PROJECT, OWN_PROJECT, token_ends

SIZES = {"characters": 300, "portraits": 600, "jobs": 1500}
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
OWN_SIGNED = f"{OWN_PROJECT}/storage/v1/object/sign/%"
A_JOB_BY_PATH = f"substring(p.image_url from '/({UUID})(?:_[^/]*)?\\.png')"
A_JOB_BY_WORD = f"substring(lower(generation_metadata ->> 'job_id') from '^{UUID}$')"
PORTRAITS = f"""
    (SELECT p.*, c.user_id AS owner, coalesce({A_JOB_BY_WORD}, {A_JOB_BY_PATH}) AS job
     FROM character_portraits p JOIN characters c ON c.id = p.character_id) p
"""
OF_JOBS = f"(SELECT l.*, substring(storage_path from '/({UUID})(?:_[^/]*)?\\.[a-z0-9]+$')::uuid AS job FROM user_library l) l"
STARS = "(SELECT c.id, count(p.id) AS portraits, count(*) FILTER (WHERE p.is_primary) AS stars FROM characters c LEFT JOIN character_portraits p ON p.character_id = c.id GROUP BY c.id) s"
ASSET = "EXISTS (SELECT FROM workspace_assets a WHERE a.job_id = j.id)"
FOR_PORTRAIT = "j.metadata ->> 'destination' = 'character_portrait'"

QUESTIONS = {
    "person.no_email": "auth.users WHERE email IS NULL",
    "person.with_role": "auth.users WHERE raw_app_meta_data -> 'roles' ? 'editor'",
    "provider.other_name": "api_providers WHERE name IN ('Replicate', 'novita-ai', 'RunPod')",
    "model.odd_capabilities": "api_models WHERE display_name IN ('Own SDXL', 'Old FLUX', 'FLUX edit', 'Wide', 'Nulls')",
    "model.twice": "api_models a JOIN api_models b ON a.provider_id = b.provider_id AND a.model_key = b.model_key AND a.id < b.id",
    "attribute.alias": "attribute_images WHERE value = 'Cub'",
    "attribute.unknown_value": "attribute_images WHERE value IN ('unknown', 'Elf', 'Beehive') OR style = 'Realistic'",
    "attribute.signed_link": "attribute_images WHERE image_url LIKE '%token=%'",
    "character.long_name": "characters WHERE length(name) = 60",
    "character.right_to_left_name": "characters WHERE name ~ '[\u0590-\u06ff]'",
    "character.emoji_name": "characters WHERE name ~ '[\U0001f300-\U0001faff]'",
    "character.combining_name": "characters WHERE name IS NOT NFC NORMALIZED",
    "character.trailing_blanks": "characters WHERE name <> rtrim(name)",
    "character.empty_name": "characters WHERE name = ''",
    "character.namesake": "(SELECT user_id, name FROM characters WHERE name <> '' GROUP BY 1, 2 HAVING count(*) = 2) twice",
    "character.mandy": "characters WHERE name = 'Mandy'",
    "character.empty_description": "characters WHERE description = ''",
    "character.short_description": "characters WHERE description = 'short'",
    "character.overlong_description": "characters WHERE length(description) > 500",
    "character.many_tags": "characters WHERE cardinality(appearance_tags) > 20",
    "character.many_clothing_tags": "characters WHERE cardinality(clothing_tags) > 20",
    "character.null_tags": "characters WHERE appearance_tags IS NULL",
    "character.null_clothing_tags": "characters WHERE clothing_tags IS NULL",
    "character.nsfw_by_default": "characters WHERE content_rating = 'nsfw'",
    "character.updated_before_created": "characters WHERE updated_at < created_at",
    "character.seed_near_limit": "characters WHERE seed_locked IN (2147483647, -2147483648)",
    "character.image_null": "characters WHERE image_url IS NULL",
    "character.image_null_with_portraits": "characters c WHERE image_url IS NULL AND EXISTS (SELECT FROM character_portraits p WHERE p.character_id = c.id)",
    "character.image_not_primary": f"{STARS} JOIN characters c USING (id) JOIN character_portraits p ON p.character_id = c.id AND p.is_primary WHERE stars = 1 AND c.image_url <> p.image_url",
    "character.link_of_a_stranger": "characters WHERE image_url LIKE 'https://fal.media/%'",
    "character.link_of_another_project": f"characters WHERE image_url LIKE '{OTHER_PROJECT}/%'",
    "character.workspace_path": "characters WHERE image_url LIKE 'workspace-temp/%'",
    "character.no_portrait": f"{STARS} WHERE portraits = 0",
    "character.no_primary": f"{STARS} WHERE portraits > 0 AND stars = 0",
    "character.one_primary": f"{STARS} WHERE stars = 1",
    "character.two_primaries": f"{STARS} WHERE stars = 2",
    "character.three_primaries": f"{STARS} WHERE stars = 3",
    "portrait.link_of_a_stranger": "character_portraits WHERE image_url LIKE 'https://fal.media/%'",
    "portrait.link_of_another_project": f"character_portraits WHERE image_url LIKE '{OTHER_PROJECT}/%'",
    "portrait.workspace_path": "character_portraits WHERE image_url LIKE 'workspace-temp/%'",
    "portrait.no_thumbnail": "character_portraits WHERE thumbnail_url IS NULL",
    "portrait.sort_order_zero": "character_portraits WHERE sort_order = 0",
    "portrait.updated_before_created": "character_portraits WHERE updated_at < created_at",
    "portrait.metadata_null": "character_portraits WHERE generation_metadata IS NULL",
    "portrait.metadata_no_object": "character_portraits WHERE jsonb_typeof(generation_metadata) <> 'object'",
    "portrait.metadata_odd_types": f"character_portraits WHERE generation_metadata ->> 'job_id' !~* '^{UUID}$'",
    "portrait.job_in_capitals": "character_portraits WHERE generation_metadata ->> 'job_id' ~ '[A-F]'",
    "portrait.job_by_path_only": f"{PORTRAITS} WHERE {A_JOB_BY_WORD} IS NULL AND job IS NOT NULL",
    "portrait.no_job": f"{PORTRAITS} WHERE job IS NULL",
    "portrait.job_purged": f"{PORTRAITS} LEFT JOIN jobs j ON j.id = p.job::uuid WHERE p.job IS NOT NULL AND j.id IS NULL",
    "portrait.job_of_somebody_else": f"{PORTRAITS} JOIN jobs j ON j.id = p.job::uuid WHERE j.user_id <> p.owner",
    "job.no_model": "jobs WHERE api_model_id IS NULL",
    "job.failed": "jobs WHERE status = 'failed'",
    "job.failed_with_asset": f"jobs j WHERE status = 'failed' AND {ASSET}",
    "job.queued_for_weeks": "jobs WHERE status = 'queued' AND created_at < now() - interval '21 days'",
    "job.processing_with_asset": f"jobs j WHERE status = 'processing' AND {ASSET}",
    "job.processing_without_asset": f"jobs j WHERE status = 'processing' AND NOT {ASSET} AND created_at < now() - interval '21 days'",
    "job.completed_without_time": "jobs WHERE status = 'completed' AND completed_at IS NULL",
    "job.metadata_null": "jobs WHERE metadata IS NULL",
    "job.metadata_no_object": "jobs WHERE jsonb_typeof(metadata) <> 'object'",
    "job.metadata_odd_types": "jobs WHERE jsonb_typeof(metadata -> 'character_id') = 'number' OR metadata ->> 'character_id' = 'undefined' OR jsonb_typeof(metadata -> 'character_name') = 'boolean'",
    "job.id_missing": f"jobs j WHERE {FOR_PORTRAIT} AND metadata ->> 'character_id' IS NULL",
    "job.names_nobody": f"jobs j WHERE {FOR_PORTRAIT} AND NOT metadata ?| '{{character_id,character_name,characterName}}'",
    "job.named_in_camel_case": "jobs WHERE jsonb_typeof(metadata -> 'characterName') = 'string'",
    "job.seed_beyond_32_bits": "jobs WHERE (metadata ->> 'seed')::numeric > 2147483647",
    "job.mandy": "jobs j JOIN characters c ON c.user_id = j.user_id AND c.name = j.metadata ->> 'characterName' AND c.created_at = j.created_at + interval '25 seconds' WHERE c.name = 'Mandy'",
    "job.completed_without_asset": f"jobs j WHERE status = 'completed' AND {FOR_PORTRAIT} AND NOT {ASSET}",
    "job.unsaved": f"jobs j LEFT JOIN {OF_JOBS} ON l.job = j.id WHERE status = 'completed' AND {FOR_PORTRAIT} AND l.id IS NULL",
    "job.foreign_character": "jobs j JOIN characters c ON c.id::text = j.metadata ->> 'character_id' WHERE c.user_id <> j.user_id",
    "asset.path_with_bucket": "workspace_assets WHERE temp_storage_path LIKE 'workspace-temp/%'",
    "asset.no_job": "workspace_assets WHERE job_id IS NULL",
    "asset.job_purged": "workspace_assets a LEFT JOIN jobs j ON j.id = a.job_id WHERE a.job_id IS NOT NULL AND j.id IS NULL",
    "asset.second_of_job": "(SELECT FROM workspace_assets GROUP BY job_id HAVING count(*) = 2 AND job_id IS NOT NULL) twice",
    "asset.foreign_folder": "workspace_assets WHERE position(user_id::text in temp_storage_path) = 0",
    "asset.seed_near_limit": "workspace_assets WHERE generation_seed = 2147483647",
    "asset.settings_null": "workspace_assets WHERE generation_settings IS NULL",
    "asset.settings_no_object": "workspace_assets WHERE jsonb_typeof(generation_settings) <> 'object'",
    "asset.seed_beyond_32_bits": "workspace_assets WHERE (generation_settings ->> 'seed')::numeric > 2147483647",
    "library.second_of_job": f"(SELECT FROM {OF_JOBS} WHERE roleplay_metadata IS NOT NULL OR content_category = 'character' GROUP BY job HAVING count(*) = 2) twice",
    "library.job_purged": f"{OF_JOBS} LEFT JOIN jobs j ON j.id = l.job WHERE j.id IS NULL",
    "library.foreign_folder": "user_library WHERE split_part(storage_path, '/', 1) <> user_id::text",
    "library.no_thumbnail": "user_library WHERE thumbnail_path IS NULL",
    "library.about_null": "user_library WHERE roleplay_metadata IS NULL",
    "library.about_no_object": "user_library WHERE jsonb_typeof(roleplay_metadata) <> 'object'",
    "library.names_no_character": "user_library WHERE roleplay_metadata ->> 'type' = 'character_portrait' AND NOT roleplay_metadata ? 'character_id'",
    "library.seed_near_limit": "user_library WHERE generation_seed = -2147483648",
    "scene.empty_name": "character_scenes WHERE scene_name = ''",
}  # fmt: skip
# What SQL counts together: how many rows stand beyond the first.
BEYOND_THE_FIRST = {
    "portrait.second_primary": f"SELECT sum(stars - 1) FROM {STARS} WHERE stars > 1",
    "portrait.second_of_job": f"SELECT sum(rows - 1) FROM (SELECT count(*) AS rows FROM {PORTRAITS} JOIN jobs j ON j.id = p.job::uuid AND j.user_id = p.owner GROUP BY p.job) same",
}
LINKS = {
    f"{table}.link_{state}": name
    for table, name in (("character", "characters"), ("portrait", "character_portraits"))
    for state in ("fresh", "dead")
}


@pytest.fixture
def ask(empty_dsn):
    rows.build(empty_dsn)
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        yield lambda question: conn.execute(question).fetchall()


def test_every_planted_kind_is_there_as_often_as_it_says(empty_dsn, ask):
    planted = rows.fill(empty_dsn, **SIZES)

    found = {kind: ask(f"SELECT count(*) FROM {question}")[0][0] for kind, question in QUESTIONS.items()}
    found |= {kind: int(ask(question)[0][0]) for kind, question in BEYOND_THE_FIRST.items()}
    found |= {kind: count_links(ask, table, kind) for kind, table in LINKS.items()}
    assert found == dict(planted.kinds)
    assert min(found.values()) > 0


def count_links(ask, table, kind):
    links = ask(f"SELECT image_url FROM {table} WHERE image_url LIKE '{OWN_SIGNED}'")
    return sum((token_ends(link) < time.time()) == kind.endswith("dead") for (link,) in links)


def test_a_world_has_the_rows_that_were_asked_for(empty_dsn, ask):
    planted = rows.fill(empty_dsn, **SIZES)

    there = {table: ask(f"SELECT count(*) FROM {table}")[0][0] for table in COLUMNS}
    assert there == planted.tables
    assert (
        there
        | {
            "characters": 300,
            "character_portraits": 600,
            "jobs": 1500,
        }
        == there
    )


def test_every_column_of_the_platform_is_written_and_fingerprinted(ask):
    there = ask(
        "SELECT table_name, array_agg(column_name::text) FROM information_schema.columns"
        " WHERE table_schema = 'public' GROUP BY 1"
    )

    assert {table: sorted(columns) for table, columns in there} == {
        table: sorted(columns) for table, columns in COLUMNS.items()
    }


@pytest.mark.parametrize(
    ("change", "columns"),
    [
        ("UPDATE characters SET name = name || ' ' WHERE id = (SELECT min(id::text)::uuid FROM characters)", {"name"}),
        ("UPDATE characters SET mood = CASE mood WHEN 'friendly' THEN 'flirty' ELSE 'friendly' END WHERE mood IN ('friendly', 'flirty')", {"mood"}),
        ("UPDATE characters SET traits = '' WHERE traits IS NULL", {"traits"}),
        ("ALTER TABLE characters ALTER COLUMN seed_locked TYPE bigint", set()),
        ("CLUSTER characters USING idx_characters_created_at", set()),
    ],
)  # fmt: skip
def test_a_fingerprint_tells_a_changed_value_and_nothing_else(empty_dsn, ask, change, columns):
    rows.fill(empty_dsn, characters=200, portraits=400, jobs=1000)
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        before = rows.fingerprints(conn)
        conn.execute(change)
        after = rows.fingerprints(conn)

    changed = {
        (table, column)
        for table, (_, hashes) in before.items()
        for column, value in hashes.items()
        if after[table][1][column] != value
    }
    assert changed == {("characters", column) for column in columns}


def test_the_same_seed_gives_the_same_world(server):
    prints = []
    for seed in (5, 5, 6):
        with server.database("template0") as dsn:
            rows.build(dsn)
            rows.fill(dsn, characters=50, portraits=100, jobs=250, seed=seed)
            with psycopg.connect(dsn) as conn:
                prints.append(rows.fingerprints(conn)["jobs"][1]["id"])

    assert prints[0] == prints[1] != prints[2]
