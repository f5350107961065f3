"""Rows that do not fit, against the platform's world of years of use: each planted one is found once, none of the innocent,
and again and again; whatever is killed, mended, judged or written beside it.
"""

import contextlib
from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from core.audit import autosave
from core.db import Database, connect, migrate, models, proofs, row_rules, session_settings, stock
from core.db.row_conditions import NAMES, RULES
from core.errors import Conflict
from tests.builders import one, rows
from tests.platform import rows as world

SUPABASE = "https://project.supabase.co"
_MADE: dict[str, tuple[str, world.Planted]] = {}  # of each server: the adopted world, to be cloned


def planted_in(server):
    """The name of a database of that server that holds the adopted world, and what was planted in it."""
    if server.dsn not in _MADE:
        name = f"rows_{uuid4().hex}"
        server.run(f"CREATE DATABASE {name}")
        dsn = server.address(name)
        world.build(dsn)
        planted = world.fill(dsn, characters=200, portraits=400, jobs=1000)
        with psycopg.connect(dsn) as conn:
            conn.execute("SET TRANSACTION READ ONLY")
            counted = row_rules.count(conn, own_hosts=["project.supabase.co"])
        migrate.migrate(dsn, supabase_url=SUPABASE, say=lambda _: None)
        server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        _MADE[server.dsn] = (name, planted, counted)
    return _MADE[server.dsn]


@pytest.fixture
def planted(server):
    return planted_in(server)[1]


@pytest.fixture
def before(server):
    """What was counted before the adoption."""
    return planted_in(server)[2]


@pytest.fixture
def db(server):
    name = planted_in(server)[0]
    with server.database(name) as dsn:
        opened = Database.open(dsn, max_size=4, share_with_team=True)
        yield opened
        opened.close()


def swept(db, say=None, **given):
    with contextlib.closing(db.connect()) as conn:
        return row_rules.sweep(conn, say, **given)


def standing(db, rule=None):
    """Rule and row of every open finding of the rows' rules."""
    found = rows(
        db,
        "SELECT rule, row_id FROM studio.findings WHERE mended_at IS NULL AND rule = ANY(%s)",
        [[rule] if rule else list(NAMES)],
    )
    assert len(set(found)) == len(found)
    return set(found)


def number(db, sql):
    return one(db, f"SELECT count(*) {sql}")


# Rules of which each row breaks as many as were planted of these kinds.
PLANTED = {
    "row.name_long": ("character.long_name",),
    "row.description_long": ("character.overlong_description",),
    "row.tags_many": ("character.many_tags", "character.many_clothing_tags"),
    "row.rating_unsettled": ("character.nsfw_by_default",),
    "portrait.second_primary": ("portrait.second_primary",),
    "character_portraits.job_taken": ("portrait.second_of_job", "portrait.job_of_somebody_else"),
    "character_portraits.foreign_job": ("portrait.job_of_somebody_else",),
    "row.portrait_job_gone": ("portrait.job_purged",),
    "user_library.job_taken": ("library.second_of_job",),
    "row.library_job_gone": ("library.job_purged",),
    "row.library_foreign_folder": ("library.foreign_folder",),
    "row.asset_job_gone": ("asset.job_purged",),
    "row.asset_foreign_folder": ("asset.foreign_folder",),
    "row.job_open_for_weeks": ("job.queued_for_weeks", "job.processing_without_asset"),
    "row.details_no_object": (
        "job.metadata_no_object",
        "portrait.metadata_no_object",
        "library.about_no_object",
        "asset.settings_no_object",
    ),
    "row.attribute_unknown": ("attribute.unknown_value",),
    "row.model_twice": ("model.twice",),
}
# And what nobody counted for us: the same question in other words.
ASKED = {
    "row.name_empty": "FROM characters WHERE name = '' AND is_public",
    "row.description_short": (
        "FROM characters c WHERE length(trim(description)) < 50"
        " AND (is_public OR id IN (SELECT character_id FROM character_portraits))"
    ),
    "row.details_wrong_type": (
        "FROM (SELECT FROM jobs WHERE metadata::text ~ '17, |undefined|fast' UNION ALL"
        " SELECT FROM character_portraits WHERE generation_metadata::text ~ 'undefined|17, ' UNION ALL"
        " SELECT FROM workspace_assets WHERE generation_settings::text ~ 'wide') odd"
    ),
    "row.seed_too_large": "FROM workspace_assets WHERE generation_settings::text ~ '18446744073709551615'",
    "row.model_unreadable": "FROM api_models WHERE display_name IN ('Own SDXL', 'Old FLUX', 'FLUX edit', 'Wide')",
    "library.own_link": (
        "FROM (SELECT image_url FROM characters UNION ALL SELECT reference_image_url FROM characters UNION ALL"
        " SELECT image_url FROM character_portraits UNION ALL SELECT image_url FROM character_scenes UNION ALL"
        " SELECT image_url FROM attribute_images UNION ALL SELECT image_url FROM style_images) a"
        " WHERE image_url LIKE 'https://project.supabase.co/%%/sign/%%'"
    ),
    "library.external_link": (
        "FROM (SELECT image_url FROM characters UNION ALL SELECT reference_image_url FROM characters UNION ALL"
        " SELECT image_url FROM character_portraits) a"
        " WHERE image_url LIKE 'http%%' AND image_url NOT LIKE 'https://project.supabase.co/%%'"
    ),
}


@pytest.mark.parametrize("when", ["counted before", "swept after"])
def test_every_planted_row_is_found_once_and_none_of_the_innocent(db, planted, before, when):
    found = before if when == "counted before" else Counter(rule for rule, _ in standing_after_sweep(db))

    wanted = {rule: sum(planted[kind] for kind in kinds) for rule, kinds in PLANTED.items()}
    wanted |= {rule: number(db, sql) for rule, sql in ASKED.items()}

    assert {rule: found.get(rule, 0) for rule in wanted} == wanted
    assert min(wanted.values()) > 0 or wanted["row.name_empty"] == 0


def standing_after_sweep(db):
    swept(db)
    return standing(db)


def test_before_the_adoption_counts_what_other_checks_will_find_too(planted, before):
    assert before["row.no_primary"] == planted["character.no_primary"]
    assert before["row.job_open_with_result"] == planted["job.processing_with_asset"]
    assert (
        before["row.image_in_workspace"]
        == planted["portrait.workspace_path"] + planted["character.workspace_path"]
    )


def test_what_the_seven_checks_find_by_its_job_is_left_to_them(db, planted):
    swept(db)

    by_rows = {row for _, row in standing(db, "row.no_primary")}
    by_jobs = rows(
        db,
        "SELECT DISTINCT coalesce(p.character_id, studio.as_uuid(j.metadata ->> 'character_id'))::text FROM studio.findings f"
        " JOIN jobs j ON j.id::text = f.row_id"
        " LEFT JOIN character_portraits p ON lower(p.generation_metadata ->> 'job_id') = f.row_id OR strpos(p.image_url, f.row_id) > 0"
        " WHERE f.rule LIKE 'autosave.%%' AND f.mended_at IS NULL",
    )
    without = {
        row[0]
        for row in rows(
            db,
            "SELECT c.id::text FROM characters c WHERE EXISTS (SELECT FROM character_portraits p WHERE p.character_id = c.id)"
            " AND NOT EXISTS (SELECT FROM character_portraits p WHERE p.character_id = c.id AND p.is_primary)",
        )
    }
    assert len(without) == planted["character.no_primary"]
    assert without - by_rows - {row[0] for row in by_jobs} == set()
    assert standing(db, "row.job_open_with_result") == set()
    assert (
        number(db, "FROM studio.findings WHERE rule = 'autosave.not_completed'") >= planted["job.mandy"] > 0
    )


def test_a_second_sweep_finds_the_same_and_nothing_new(db):
    first = swept(db)
    seen = rows(db, "SELECT id, rule, first_seen FROM studio.findings ORDER BY id")

    second = swept(db)

    assert second == first
    assert rows(db, "SELECT id, rule, first_seen FROM studio.findings ORDER BY id") == seen
    times = (
        "SELECT DISTINCT times, last_seen > first_seen FROM studio.findings WHERE starts_with(rule, 'row.')"
    )
    assert rows(db, times) == [(2, True)]


def test_what_people_said_of_a_finding_stays_until_its_sentence_changes(db):
    swept(db)
    person = uuid4()
    say = (
        "UPDATE studio.findings SET owner = %s, note = 'Asked Ana.', set_aside_at = now(), set_aside_why = 'Fine.'"
        " WHERE id = (SELECT min(id) FROM studio.findings WHERE rule = 'row.name_long') RETURNING id"
    )
    with db.as_service() as conn:
        number = conn.execute(say, [person]).fetchone()[0]

    open_then = swept(db)
    kept = rows(db, "SELECT owner, note, set_aside_why FROM studio.findings WHERE id = %s", [number])
    with db.as_service() as conn:
        conn.execute(
            "UPDATE studio.findings SET sentence = 'It said something else.' WHERE id = %s", [number]
        )
        conn.execute(
            "UPDATE studio.findings SET set_aside_at = now(), set_aside_why = 'Fine.' WHERE id = %s", [number]
        )
    open_now = swept(db)

    assert kept == [(person, "Asked Ana.", "Fine.")]
    assert open_now["row.name_long"] == open_then.get("row.name_long", 0) + 1
    assert rows(db, "SELECT owner, set_aside_why FROM studio.findings WHERE id = %s", [number]) == [
        (person, None)
    ]


def test_what_fits_again_or_is_gone_is_closed_by_nobody_and_the_rest_stays(db):
    swept(db)
    was = standing(db)
    with db.as_service() as conn:
        conn.execute(
            "INSERT INTO studio.findings (rule, table_name, row_id, sentence) VALUES ('job.illegal_move', 'jobs', 'x', 'It moved.')"
        )
        conn.execute("UPDATE characters SET name = left(name, 40) WHERE length(name) > 50")
        conn.execute(
            "DELETE FROM user_library WHERE id IN (SELECT row_id::uuid FROM studio.findings WHERE rule = 'row.library_job_gone')"
        )
        conn.execute(
            "UPDATE character_portraits SET image_url = 'user-library/a/b.png' WHERE image_url LIKE 'https://fal.media/%%'"
        )

    swept(db)

    assert standing(db, "row.name_long") == set()
    assert standing(db, "row.library_job_gone") == set()
    closed = rows(db, "SELECT DISTINCT rule, mended_by FROM studio.findings WHERE mended_at IS NOT NULL")
    assert ("row.name_long", None) in closed
    assert ("library.external_link", None) in closed
    assert one(db, "SELECT mended_at FROM studio.findings WHERE rule = 'job.illegal_move'") is None
    assert standing(db) < was


def test_a_row_that_breaks_its_rule_again_is_the_same_finding(db):
    swept(db)
    name = "UPDATE characters SET name = %s WHERE id = (SELECT min(row_id) FROM studio.findings WHERE rule = 'row.name_long')::uuid"
    for said in ("Mandy", "M" * 60):
        with db.as_service() as conn:
            conn.execute(name, [said])
        swept(db)

    found = rows(
        db,
        "SELECT count(*), min(times), max(times) FROM studio.findings WHERE rule = 'row.name_long' AND mended_at IS NULL",
    )

    assert found[0][1] == 2  # not seen once
    assert found[0][2] == 3


class Killed(BaseException):
    """What a kill is to the sweep: nothing after it runs."""


@pytest.mark.parametrize("moment", [1, 7, 20, 38])
def test_a_sweep_that_is_killed_is_gone_on_with_and_loses_nothing(db, monkeypatch, moment):
    monkeypatch.setattr(row_rules, "AT_ONCE", 100)
    looks = iter(range(1, 1000))

    def die():
        if next(looks) == moment:
            raise Killed
        return False

    with pytest.raises(Killed):
        swept(db, leaving=die)
    assert number(db, "FROM studio.findings WHERE mended_at IS NOT NULL") == 0

    swept(db)

    looked_at = one(db, "SELECT looked_at FROM studio.row_sweeps WHERE finished_at IS NOT NULL")
    tables = dict.fromkeys(rule.table for rule in RULES)
    assert looked_at == sum(number(db, f"FROM public.{table}") for table in tables)
    assert rows(db, "SELECT DISTINCT times FROM studio.findings WHERE starts_with(rule, 'row.')") == [(1,)]
    assert number(db, "FROM studio.row_sweeps") == 1


def test_a_sweep_by_other_rules_is_begun_anew(db):
    with pytest.raises(Killed):
        swept(db, leaving=dying)
    with db.as_service() as conn:
        conn.execute(
            "UPDATE studio.row_sweeps SET catalogue = 'of another version', stage = 'api_models', cursor = %s",
            [str(UUID(int=2**128 - 1))],
        )

    swept(db)

    assert standing(db, "row.name_long")


def dying():
    raise Killed


@contextlib.contextmanager
def reads(db):
    """A connection, and rows of each of the platform's tables that it reads in the block."""
    asked = (
        "SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables"
        " WHERE schemaname = 'public'"
    )
    read = Counter()
    with contextlib.closing(db.connect()) as conn:
        conn.execute("SELECT pg_stat_force_next_flush()")
        before = dict(conn.execute(asked).fetchall())
        yield conn, read
        conn.execute("SELECT pg_stat_force_next_flush()")
        read.update({table: number - before[table] for table, number in conn.execute(asked).fetchall()})


def test_in_however_many_stretches_a_sweep_reads_the_same_rows(db, monkeypatch):
    """Else its time would grow with the square of the rows."""
    with reads(db) as (conn, in_one):
        row_rules.sweep(conn)
    monkeypatch.setattr(row_rules, "AT_ONCE", 30)
    with reads(db) as (conn, in_many):
        row_rules.sweep(conn)

    for table in ("jobs", "character_portraits", "user_library"):
        assert 0.9 * in_one[table] < in_many[table] < 1.1 * in_one[table], table


def test_the_checks_read_one_older_library_row_a_job_and_not_all_of_its_persons(db):
    """Of a large library too, where the planner would take a person for the shorter way."""
    with contextlib.closing(db.connect()) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute(
            "INSERT INTO user_library (user_id, asset_type, mime_type, storage_path) SELECT gen_random_uuid(), 'image', 'image/png',"
            " 'a/' || g FROM generate_series(1, 20000) g"
        )
        conn.execute("ANALYZE user_library")
    with reads(db) as (conn, read):
        until = proofs.moment(conn)
        answered = autosave.stretch(conn, autosave.FIRST, until)

    jobs = sum(group.number for group in answered.groups)
    assert jobs > 300
    assert jobs / 2 < read["user_library"] < 2 * jobs


def test_only_one_sweeps_at_a_time_and_a_killed_one_leaves_the_turn(db):
    with contextlib.closing(db.connect()) as holder:
        holder.execute("SELECT pg_advisory_lock(hashtextextended('rows:sweep', 0))")
        with pytest.raises(Conflict, match="is being checked already"):
            swept(db, wait=0.3)
        assert standing(db) == {("portrait.second_primary", row) for _, row in standing(db)}

    assert sum(swept(db, wait=5).values()) > 0


def test_nothing_is_closed_that_was_not_looked_at(db):
    """A trigger's transaction that began before the sweep and committed behind it."""
    character = one(db, "SELECT id FROM characters ORDER BY id LIMIT 1")

    def behind(sentence):
        if "characters" in sentence:
            with db.as_service() as conn:
                conn.execute("UPDATE characters SET name = %s WHERE id = %s", ["M" * 60, character])
                conn.execute(
                    "INSERT INTO studio.findings (rule, table_name, row_id, sentence, last_seen) VALUES"
                    " ('row.name_long', 'characters', %s, 'x', now() - interval '1 hour')"
                    " ON CONFLICT (rule, table_name, row_id) DO UPDATE SET last_seen = excluded.last_seen",
                    [str(character)],
                )

    swept(db, behind)

    assert ("row.name_long", str(character)) in standing(db)


def test_a_link_is_marked_as_the_library_scan_marks_it_and_left_where_a_person_accepted_it(db):
    swept(db)
    mark = rows(
        db,
        "SELECT m.finding_id, m.host, m.dies_at IS NOT NULL, m.column_name, f.sentence FROM studio.stock_marks m"
        " JOIN studio.findings f ON f.id = m.finding_id WHERE m.kind = 'own_link' ORDER BY m.finding_id LIMIT 1",
    )[0]
    with db.as_service() as conn:
        conn.execute("UPDATE studio.findings SET mended_at = now() WHERE id = %s", [mark[0]])
        conn.execute("UPDATE studio.stock_marks SET is_accepted = true WHERE finding_id = %s", [mark[0]])

    swept(db)

    assert mark[1:3] == ("project.supabase.co", True)
    assert "token" not in mark[4]
    assert one(db, "SELECT mended_at FROM studio.findings WHERE id = %s", [mark[0]]) is not None


def test_a_scan_that_runs_keeps_the_links_that_a_sweep_found_meanwhile(db):
    with db.as_service() as conn:
        scan = stock.start(conn, within=timedelta(days=1))
    swept(db)
    with db.as_service() as conn:
        stock.finish(conn, scan)

    assert standing(db, "library.own_link")


def test_a_model_that_cannot_be_read_keeps_no_other_from_being_chosen(db):
    with db.as_service() as conn:
        known = {model.display_name: model.capabilities for model in models.list_all(conn)}

    assert known["Seedream"].supports_i2i
    assert (known["Own SDXL"].supports_i2i, known["Old FLUX"].max_resolution) == (False, 1024)
    assert (known["FLUX edit"].supports_i2i, known["FLUX edit"].max_reference_images) == (False, 0)
    assert (known["Wide"].max_resolution, known["Wide"].supported_formats) == (2048, ("png",))
    assert known["Nulls"].aspect_ratios == ("1:1",)


def test_a_database_of_our_own_has_nothing_to_find(dsn):
    with connect(dsn, session_settings(share_with_team=False)) as conn:
        assert row_rules.count(conn) == {}
        assert row_rules.sweep(conn) == {}


PERSON, OTHER = (str(UUID(int=0xA0 + place, version=4)) for place in range(2))
CHARACTER, JOB, FOREIGN = (str(UUID(int=0xB0 + place, version=4)) for place in range(3))
TEXT = (
    "INSERT INTO characters (user_id, name, description, is_public, appearance_tags, content_rating) VALUES"
)
OF_JOB = "INSERT INTO jobs (user_id, job_type, status, metadata, created_at, started_at, completed_at) VALUES"
PORTRAIT = "INSERT INTO character_portraits (character_id, image_url, generation_metadata) VALUES"
ITEM = "INSERT INTO user_library (user_id, asset_type, mime_type, storage_path) VALUES"
RESULT = "INSERT INTO workspace_assets (user_id, job_id, asset_type, mime_type, temp_storage_path) VALUES"
EDGES = {  # of each rule a row that breaks it by the least, and one that just keeps it
    "row.name_long": (
        f"{TEXT} ('{PERSON}', repeat('é', 51), repeat('d', 50), true, '{{}}', 'sfw')",
        f"{TEXT} ('{PERSON}', repeat('é', 50), repeat('d', 50), true, '{{}}', 'sfw')",
    ),
    "row.name_empty": (
        f"{TEXT} ('{PERSON}', ' ', repeat('d', 50), true, '{{}}', 'sfw')",
        f"{TEXT} ('{PERSON}', '', repeat('d', 50), false, '{{}}', 'sfw')",
    ),
    "row.description_short": (
        f"{TEXT} ('{PERSON}', 'Ada', repeat('d', 49), true, '{{}}', 'sfw')",
        f"{TEXT} ('{PERSON}', 'Ada', '', false, '{{}}', 'sfw')",
    ),
    "row.description_long": (
        f"{TEXT} ('{PERSON}', 'Ada', repeat('d', 501), false, '{{}}', 'sfw')",
        f"{TEXT} ('{PERSON}', 'Ada', repeat('d', 500), true, '{{}}', 'sfw')",
    ),
    "row.tags_many": (
        f"{TEXT} ('{PERSON}', 'Ada', repeat('d', 50), true, array_fill('t'::text, ARRAY[21]), 'sfw')",
        f"{TEXT} ('{PERSON}', 'Ada', repeat('d', 50), true, array_fill('t'::text, ARRAY[20]), 'sfw')",
    ),
    "row.job_ended_early": (
        f"{OF_JOB} ('{PERSON}', 'x', 'completed', '{{}}', now(), now(), now() - interval '1 second')",
        f"{OF_JOB} ('{PERSON}', 'x', 'completed', '{{}}', now(), now(), now())",
    ),
    "row.job_open_for_weeks": (
        f"{OF_JOB} ('{PERSON}', 'x', 'processing', NULL, now(), now() - interval '15 days', NULL)",
        f"{OF_JOB} ('{PERSON}', 'x', 'processing', NULL, now(), now() - interval '13 days', NULL)",
    ),
    "row.seed_too_large": (
        f"{OF_JOB} ('{PERSON}', 'x', 'failed', '{{\"seed\": 9223372036854775808}}', now(), now(), now())",
        f"{OF_JOB} ('{PERSON}', 'x', 'failed', '{{\"seed\": \"-9223372036854775807\"}}', now(), now(), now())",
    ),
    "row.details_no_object": (
        f"{OF_JOB} ('{PERSON}', 'x', 'failed', 'null', now(), now(), now())",
        f"{OF_JOB} ('{PERSON}', 'x', 'failed', NULL, now(), now(), now())",
    ),
    "row.details_wrong_type": (
        f"{OF_JOB} ('{PERSON}', 'x', 'failed', '{{\"character_id\": \"Ada\"}}', now(), now(), now())",
        f"{OF_JOB} ('{PERSON}', 'x', 'failed', '{{\"character_id\": null, \"presets\": {{}}}}', now(), now(), now())",
    ),
    "row.job_character_unknown": (
        (
            f"{OF_JOB} ('{PERSON}', 'x', 'completed', '{{\"destination\": \"character_portrait\", \"characterName\": \"Zoe\"}}',"
            " now() - interval '25 hours', now(), now())"
        ),
        (
            f"{OF_JOB} ('{PERSON}', 'x', 'completed', '{{\"destination\": \"character_portrait\", \"characterName\": \"Zoe\"}}',"
            " now() - interval '23 hours', now(), now())"
        ),
    ),
    "row.portrait_job_gone": (
        f"{PORTRAIT} ('{CHARACTER}', 'user-library/{PERSON}/portraits/{CHARACTER}/{OTHER}.png', '[]'::jsonb || '{{}}')",
        f"{PORTRAIT} ('{CHARACTER}', 'user-library/{PERSON}/uploads/picture.png', '{{}}')",
    ),
    "character_portraits.foreign_job": (
        f"{PORTRAIT} ('{CHARACTER}', 'user-library/{PERSON}/a.png', '{{\"job_id\": \"{FOREIGN}\"}}')",
        f"{PORTRAIT} ('{CHARACTER}', 'user-library/{PERSON}/b.png', '{{\"job_id\": \"{JOB}\"}}')",
    ),
    "row.image_in_workspace": (
        f"{PORTRAIT} ('{CHARACTER}', 'workspace-temp/{PERSON}/c.png', '{{}}')",
        f"{PORTRAIT} ('{CHARACTER}', 'user-library/{PERSON}/workspace-temp/c.png', '{{}}')",
    ),
    "user_library.foreign_job": (
        f"{ITEM} ('{PERSON}', 'image', 'image/png', '{PERSON}/{FOREIGN}_{CHARACTER}.png')",
        f"{ITEM} ('{PERSON}', 'image', 'image/png', '{PERSON}/{JOB}_{CHARACTER}.png')",
    ),
    "row.library_foreign_folder": (
        f"{ITEM} ('{PERSON}', 'image', 'image/png', 'user-library/{OTHER}/d.png')",
        f"{ITEM} ('{PERSON}', 'image', 'image/png', 'user-library/{PERSON}/d.png')",
    ),
    "row.asset_foreign_job": (
        f"{RESULT} ('{PERSON}', '{FOREIGN}', 'image', 'image/png', '{PERSON}/e.png')",
        f"{RESULT} ('{PERSON}', '{JOB}', 'image', 'image/png', '{PERSON}/e.png')",
    ),
    "row.asset_foreign_folder": (
        f"{RESULT} ('{PERSON}', NULL, 'image', 'image/png', 'workspace-temp/{OTHER}/f.png')",
        f"{RESULT} ('{PERSON}', NULL, 'image', 'image/png', 'workspace-temp/{PERSON}/f.png')",
    ),
    "row.model_unreadable": (
        (
            "INSERT INTO api_models (provider_id, display_name, model_key, modality, capabilities)"
            " SELECT id, 'Odd', 'odd', 'image', '{\"max_reference_images\": \"2\"}' FROM api_providers LIMIT 1"
        ),
        (
            "INSERT INTO api_models (provider_id, display_name, model_key, modality, capabilities)"
            " SELECT id, 'Even', 'even', 'image', '{\"supports_i2i\": null, \"max_resolution\": \"1024x1024\"}' FROM api_providers LIMIT 1"
        ),
    ),
    "library.no_address": (
        f"{PORTRAIT} ('{CHARACTER}', 'user-library/{PERSON}/portrét.png', '{{}}')",
        f"{PORTRAIT} ('{CHARACTER}', '{PERSON}/portret.png', '{{}}')",
    ),
}


@pytest.fixture
def bare(dsn):
    """A database of our own with two people, a character, a job of each person and a provider; no trigger tidies up."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        for person in (PERSON, OTHER):
            conn.execute("INSERT INTO auth.users (id) VALUES (%s)", [person])
        conn.execute(
            "INSERT INTO characters (id, user_id, name, description, content_rating) VALUES (%s, %s, 'Ana', repeat('d', 80), 'sfw')",
            [CHARACTER, PERSON],
        )
        conn.execute("INSERT INTO api_providers (name) VALUES ('here')")
        conn.execute(
            f"INSERT INTO jobs (id, user_id, job_type, status) VALUES ('{JOB}', '{PERSON}', 'x', 'completed'), ('{FOREIGN}', '{OTHER}', 'x', 'completed')"
        )
        conn.execute(
            "SET session_replication_role = replica"
        )  # as the rows of years were written: without our triggers
        yield conn


@pytest.mark.parametrize("rule", EDGES)
def test_a_rule_begins_where_it_says(bare, rule):
    breaks, keeps = EDGES[rule]
    bare.execute(keeps.encode())
    kept = (row_rules.count(bare).get(rule, 0), row_rules.sweep(bare).get(rule, 0))

    bare.execute(breaks.encode())

    assert kept == (0, 0)
    assert (row_rules.count(bare)[rule], row_rules.sweep(bare)[rule]) == (1, 1)


def test_a_removed_portrait_that_is_primary_is_found(bare):
    bare.execute(
        f"INSERT INTO character_portraits (character_id, image_url, is_primary, deleted_at) VALUES ('{CHARACTER}', 'user-library/{PERSON}/g.png', true, now())"
    )

    assert row_rules.sweep(bare) == {"row.primary_deleted": 1}


def test_what_was_removed_breaks_no_rule(bare):
    for breaks, _ in EDGES.values():
        bare.execute(breaks.encode())
    for table in ("characters", "character_portraits", "user_library", "workspace_assets"):
        bare.execute(f"UPDATE {table} SET deleted_at = now()".encode())
    bare.execute("DELETE FROM jobs")
    bare.execute("DELETE FROM api_models")

    assert row_rules.sweep(bare) == {}
