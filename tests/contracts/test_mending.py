"""Repairs of what the seven checks find: each reason, each once and then again, recorded, and never against a person."""

from dataclasses import replace

import psycopg
import pytest

from core import matching, mending, portraits, proof, recovery
from core.audit import autosave
from core.audit.autosave import Reason
from core.errors import NotAllowed, NotFound
from core.storage import LIBRARY, WORKSPACE
from core.values import JobId, Role
from tests import builders
from tests.contracts.test_proof import PICTURE, broken, by_hand, paths, platform_portrait

pytest_plugins = ["tests.supabase.fix_supabase"]


@pytest.fixture
def qa(services):
    return builders.a_person(services.db, "quinn", Role.qa)


@pytest.fixture
def character(services, ana):
    return builders.a_character(ana, services)


@pytest.fixture
def flux(services, ana):
    found = builders.generation.models_for(ana, services)
    return next(one.model for one in found if one.model.model_key == "fal-ai/flux/dev")


@pytest.fixture
def saved(services, ana, character, flux):
    """A job whose portrait was made by fal and saved."""
    return builders.a_finished_portrait(ana, services, character, model_id=flux.id).job.id


def by_rows(*statements):
    """A way to break one job: by hand at the database."""

    def break_it(services, job_id):
        for statement in statements:
            with psycopg.connect(services.db.dsn, autocommit=True) as conn:
                conn.execute("SET session_replication_role = replica")
                conn.execute(statement.encode(), {"job": job_id} if "%(job)s" in statement else None)

    return break_it


def by_file(bucket, place, change):
    """A way to break one job: at its file. `place`: 0 the workspace's, 1 the library's, 2 the thumbnail."""

    def break_it(services, job_id):
        path = paths(services, job_id)[place]
        data = services.storage.get(bucket, path)
        services.storage.delete(bucket, path)
        if (changed := change(data)) is not None:
            services.storage.put(bucket, path, changed, "image/png")

    return break_it


def gone(_data):
    return None


def cut(data):
    return data[:-7]


def flipped(data):
    return data[:-1] + bytes([data[-1] ^ 1])


PORTRAIT = "character_portraits WHERE job_id = %(job)s"
LIBRARY_ROW = "UPDATE user_library SET {} WHERE job_id = %(job)s"
CHARACTER = "UPDATE characters SET image_url = {}"
SECOND_PRIMARY = """
    INSERT INTO character_portraits (character_id, image_url, is_primary, created_at)
    SELECT character_id, replace(image_url, '.png', '-older.png'), true, now() - interval '1 day'
    FROM character_portraits WHERE job_id = %(job)s
"""
MENDABLE = {
    Reason.NOT_COMPLETED: by_rows(
        "UPDATE jobs SET status = 'processing', completed_at = NULL WHERE id = %(job)s"
    ),
    Reason.NO_COMPLETION_TIME: by_rows("UPDATE jobs SET completed_at = NULL WHERE id = %(job)s"),
    Reason.NO_ASSET: by_rows("DELETE FROM workspace_assets WHERE job_id = %(job)s"),
    Reason.WORKSPACE_OBJECT_MISSING: by_file(WORKSPACE, 0, gone),
    Reason.WORKSPACE_SIZE_DIFFERS: by_file(WORKSPACE, 0, cut),
    Reason.WORKSPACE_HASH_DIFFERS: by_file(WORKSPACE, 0, flipped),
    Reason.NO_LIBRARY_ROW: by_rows("DELETE FROM user_library WHERE job_id = %(job)s"),
    Reason.WRONG_TYPE: by_rows(
        LIBRARY_ROW.format('roleplay_metadata = roleplay_metadata || \'{"type": "scene"}\'')
    ),
    Reason.WRONG_CHARACTER: by_rows(
        LIBRARY_ROW.format("roleplay_metadata = roleplay_metadata - 'character_id'")
    ),
    Reason.WRONG_TAGS: by_rows(LIBRARY_ROW.format("tags = '{favourite,portrait}'")),
    Reason.RECORD_DIFFERS: by_rows(LIBRARY_ROW.format("sha256 = repeat('0', 64), file_size_bytes = 5")),
    Reason.OBJECT_MISSING: by_file(LIBRARY, 1, gone),
    Reason.SIZE_DIFFERS: by_file(LIBRARY, 1, cut),
    Reason.HASH_DIFFERS: by_file(LIBRARY, 1, flipped),
    Reason.NO_THUMBNAIL: by_rows(LIBRARY_ROW.format("thumbnail_path = NULL")),
    Reason.THUMBNAIL_MISSING: by_file(LIBRARY, 2, gone),
    Reason.NO_PORTRAIT: by_rows(f"DELETE FROM {PORTRAIT}"),
    Reason.PORTRAIT_NOT_STABLE: by_rows(
        "UPDATE character_portraits SET image_url = 'https://fal.media/files/dead.png' WHERE job_id = %(job)s"
    ),
    Reason.TWO_PRIMARIES: by_rows(
        "ALTER TABLE character_portraits DROP CONSTRAINT portraits_one_primary", SECOND_PRIMARY
    ),
    Reason.NO_PRIMARY: by_rows("UPDATE character_portraits SET is_primary = false WHERE job_id = %(job)s"),
    Reason.NO_IMAGE: by_rows(CHARACTER.format("NULL")),
    Reason.IMAGE_NOT_STABLE: by_rows(
        CHARACTER.format(
            "'https://project.supabase.co/storage/v1/object/sign/user-library/a.png?token=secret'"
        )
    ),
    Reason.IMAGE_DIFFERS: by_rows(CHARACTER.format("'user-library/' || user_id || '/portraits/other.png'")),
}
STRANGER = "'00000000-0000-4000-8000-00000000dead'"
LEFT = {
    Reason.WORKSPACE_FOREIGN_PATH: by_rows(
        f"UPDATE workspace_assets SET temp_storage_path = {STRANGER} || '/x.png' WHERE job_id = %(job)s"
    ),
    Reason.KEPT_OUT: by_rows(
        "UPDATE jobs SET stage = 'not_saved' WHERE id = %(job)s",
        "DELETE FROM user_library WHERE job_id = %(job)s",
        f"DELETE FROM {PORTRAIT}",
    ),
    Reason.WRONG_OWNER: by_rows(LIBRARY_ROW.format(f"user_id = {STRANGER}")),
    Reason.FOREIGN_PATH: by_rows(LIBRARY_ROW.format(f"storage_path = {STRANGER} || '/x.png'")),
    Reason.THUMBNAIL_FOREIGN_PATH: by_rows(LIBRARY_ROW.format(f"thumbnail_path = {STRANGER} || '/x.webp'")),
    Reason.PORTRAIT_ELSEWHERE: by_rows(
        "INSERT INTO characters (user_id, name, description) SELECT user_id, 'Twin', 'd' FROM characters LIMIT 1",
        "UPDATE character_portraits SET character_id = (SELECT id FROM characters WHERE name = 'Twin') WHERE job_id = %(job)s",
    ),
}


def failures(services, job_id):
    return proof.look(job_id, services).proof.failures


def everything(services):
    """All rows and files there are, but for the notes of who looked when."""
    tables = ("jobs", "workspace_assets", "user_library", "character_portraits", "characters")
    found = [
        builders.rows(services.db, f"SELECT to_jsonb(t) FROM public.{name} t ORDER BY id") for name in tables
    ]
    files = {
        info.path: services.storage.digest(bucket, info.path)
        for bucket in (WORKSPACE, LIBRARY)
        for info in services.storage.list(bucket)
    }
    events = builders.rows(services.db, "SELECT id FROM studio.audit_events ORDER BY id")
    return found, files, events


@pytest.mark.parametrize("reason", MENDABLE)
def test_each_fault_is_found_repaired_recorded_and_repairing_again_changes_nothing(
    services, qa, saved, fal, reason
):
    MENDABLE[reason](services, saved)
    found = failures(services, saved)
    proof.run_proof(services, with_objects=True)
    listed = broken(services)

    done = mending.repair(saved, qa, services)
    builders.work(services)

    assert reason in found
    assert listed == {saved: found}
    assert set(done.mended) == set(found)
    assert done.left == ()
    assert failures(services, saved) == ()
    assert broken(services) == {}
    who, before, after, why = builders.one(
        services.db,
        "SELECT who, before, after, why FROM studio.audit_events WHERE action = 'autosave_repaired'",
    )
    assert (who, why) == (qa.id, ", ".join(done.mended))
    assert set(before) == set(after)
    assert "secret" not in str(before)
    assert fal.counts()["submits"] == 1
    now = everything(services)
    assert mending.repair(saved, qa, services) == mending.Repaired(job_id=saved)
    assert everything(services) == now


@pytest.mark.parametrize("reason", LEFT)
def test_what_leads_to_somebody_else_is_left_for_a_person_and_becomes_a_finding(services, qa, saved, reason):
    LEFT[reason](services, saved)
    found = failures(services, saved)
    before = everything(services)

    done = mending.repair(saved, qa, services, only=reason)

    assert reason in found
    assert done.mended == ()
    assert [left for left, _ in done.left] == [reason]
    assert everything(services) == before
    assert reason in broken(services)[saved]
    [[sentence]] = builders.rows(
        services.db,
        "SELECT sentence FROM studio.findings WHERE rule = %s AND row_id = %s",
        [f"autosave.{reason.lower()}", str(saved)],
    )
    assert "QA decides" in sentence


def test_tags_that_a_person_gave_stay(services, qa, saved):
    MENDABLE[Reason.WRONG_TAGS](services, saved)

    mending.repair(saved, qa, services)

    tags = builders.one(services.db, "SELECT tags FROM user_library WHERE job_id = %s", [saved])
    assert set(tags) == {"character", "portrait", "favourite"}


def test_wrong_bytes_are_never_overwritten_where_the_right_ones_are_not_at_hand(services, build, qa, saved):
    for reason in (Reason.HASH_DIFFERS, Reason.WORKSPACE_HASH_DIFFERS):
        MENDABLE[reason](services, saved)
    without_fal = build(providers=("sketch",))
    before = everything(services)

    done = mending.repair(saved, qa, without_fal)

    assert done.mended == ()
    assert {reason for reason, _ in done.left} == {Reason.HASH_DIFFERS, Reason.WORKSPACE_HASH_DIFFERS}
    assert everything(services) == before
    assert (
        builders.one(
            services.db,
            "SELECT count(*) FROM studio.findings WHERE rule = 'autosave.hash_differs' AND mended_at IS NULL",
        )
        == 1
    )
    again = mending.repair(saved, qa, services)  # fal is set up again, and gives the same bytes
    assert set(again.mended) == {Reason.HASH_DIFFERS, Reason.WORKSPACE_HASH_DIFFERS}
    assert (
        builders.one(
            services.db, "SELECT mended_by FROM studio.findings WHERE rule = 'autosave.hash_differs'"
        )
        == qa.id
    )


def test_bytes_that_are_gone_everywhere_are_fetched_from_the_provider_and_not_paid_again(
    services, qa, saved, fal
):
    before = everything(services)[1]
    for reason in (Reason.OBJECT_MISSING, Reason.WORKSPACE_OBJECT_MISSING, Reason.THUMBNAIL_MISSING):
        MENDABLE[reason](services, saved)

    done = mending.repair(saved, qa, services)

    assert done.left == ()
    assert failures(services, saved) == ()
    assert everything(services)[1] == before
    assert fal.counts()["submits"] == 1


def test_nothing_a_person_removed_is_brought_back(services, ana, qa, saved):
    portrait = builders.one(services.db, "SELECT id FROM character_portraits WHERE job_id = %s", [saved])
    portraits.delete(portrait, ana, services)
    by_hand(services, "DELETE FROM user_library WHERE job_id = %s", saved)
    before = everything(services)

    done = mending.repair(saved, qa, services)
    recovery.recover(services)
    builders.work(services)

    assert done == mending.Repaired(job_id=saved)
    assert everything(services) == before


def test_a_library_row_that_a_customer_of_the_platform_deleted_stays_deleted(services, ana, qa, character):
    job_id = platform_portrait(services, ana, character)
    with builders.as_platform(services.db.dsn, "authenticated", ana) as conn:
        conn.execute("DELETE FROM user_library WHERE job_id = %s", [job_id])

    done = mending.repair(job_id, qa, services)
    recovery.recover(services)
    builders.work(services)

    assert done == mending.Repaired(job_id=job_id)
    assert builders.one(services.db, "SELECT count(*) FROM user_library") == 0


def test_the_platforms_picture_gets_its_portrait_and_its_path_stays_its_own(services, ana, qa, character):
    job_id = platform_portrait(services, ana, character)
    by_hand(services, "DELETE FROM character_portraits")
    by_hand(services, "UPDATE user_library SET job_id = NULL")
    by_hand(services, "UPDATE jobs SET character_id = NULL, completed_at = now() - interval '1 hour'")
    path = f"{ana.id}/{job_id}_{character.id}.png"

    done = mending.repair(job_id, qa, services)

    assert done.mended == (Reason.NO_PORTRAIT,)
    assert failures(services, job_id) == ()
    assert builders.rows(services.db, "SELECT storage_path FROM user_library") == [(path,)]
    assert builders.one(services.db, "SELECT image_url FROM character_portraits") == f"user-library/{path}"
    assert services.storage.get(LIBRARY, path) == PICTURE


def test_a_name_that_several_bear_is_left_for_a_person(services, ana, qa, saved):
    by_hand(services, "UPDATE jobs SET character_id = NULL, completed_at = now() - interval '1 hour', stage = NULL,"
            " metadata = metadata - 'character_id' || '{\"character_name\": \"Juniper Vale\"}'")  # fmt: skip
    by_hand(services, "DELETE FROM user_library")
    by_hand(services, "DELETE FROM character_portraits")
    by_hand(services, "UPDATE characters SET image_url = NULL, reference_image_url = NULL")

    done = mending.repair(saved, qa, services)

    assert [reason for reason, _ in done.left] == [Reason.NO_CHARACTER]
    assert matching.match(saved, services) is matching.Verdict.person


def test_the_newest_portrait_becomes_primary_and_never_one_that_was_cancelled(services, ana, qa, character):
    first, second, third = [builders.a_finished_portrait(ana, services, character).job.id for _ in range(3)]
    by_hand(services, "UPDATE character_portraits SET is_primary = false")
    by_hand(services, "UPDATE jobs SET cancel_requested = true WHERE id = %s", third)

    mending.repair(first, qa, services)

    assert builders.rows(services.db, "SELECT job_id FROM character_portraits WHERE is_primary") == [
        (second,)
    ]
    assert failures(services, third) == ()


def test_only_qa_and_admins_repair(services, ana, qa, saved):
    MENDABLE[Reason.NO_IMAGE](services, saved)

    with pytest.raises(NotAllowed):
        mending.repair(saved, ana, services)
    with pytest.raises(NotAllowed):
        mending.repair_all(Reason.NO_IMAGE, ana, services)

    assert failures(services, saved) == (Reason.NO_IMAGE,)


def test_a_job_that_does_not_exist_is_said_plainly(services, qa):
    with pytest.raises(NotFound):
        mending.repair(JobId(builders.uuid4()), qa, services)


def test_all_of_a_kind_are_repaired_a_bounded_number_at_a_time_and_other_kinds_are_left(
    services, ana, qa, character
):
    made = [builders.a_finished_portrait(ana, services, character).job.id for _ in range(4)]
    by_hand(services, "UPDATE user_library SET tags = '{}'")
    MENDABLE[Reason.THUMBNAIL_MISSING](services, made[0])
    proof.run_proof(services, with_objects=True)
    heard = []

    first = mending.repair_all(Reason.WRONG_TAGS, qa, services, limit=3, say=heard.append)
    second = mending.repair_all(Reason.WRONG_TAGS, qa, services)
    third = mending.repair_all(Reason.WRONG_TAGS, qa, services)

    assert [one.mended for one in first] == [(Reason.WRONG_TAGS,)] * 3
    assert heard == first
    assert len(second) == 1
    assert third == []
    assert broken(services) == {made[0]: (Reason.THUMBNAIL_MISSING,)}


def test_one_that_cannot_be_repaired_does_not_stop_the_others(services, ana, qa, character):
    made = [builders.a_finished_portrait(ana, services, character).job.id for _ in range(2)]
    for job_id in made:
        MENDABLE[Reason.THUMBNAIL_MISSING](services, job_id)
    proof.run_proof(services, with_objects=True)
    purged = min(made)
    by_hand(services, "DELETE FROM jobs WHERE id = %s", purged)

    report = mending.repair_all(Reason.THUMBNAIL_MISSING, qa, services)

    assert [bool(one.trouble) for one in report] == [True, False]
    assert report[1].mended == (Reason.THUMBNAIL_MISSING,)
    assert broken(services) == {}


@pytest.mark.parametrize(
    "reason",
    [Reason.OBJECT_MISSING, Reason.HASH_DIFFERS, Reason.THUMBNAIL_MISSING, Reason.WORKSPACE_SIZE_DIFFERS],
)
def test_files_in_a_supabase_project_are_repaired_too(services, supabase, ana, qa, character, reason):
    far = replace(services, storage=supabase)
    job_id = builders.a_finished_portrait(ana, far, character).job.id
    MENDABLE[reason](far, job_id)
    found = failures(far, job_id)

    done = mending.repair(job_id, qa, far)

    assert found == (reason,)
    assert done.mended == found
    assert failures(far, job_id) == ()


def test_the_list_names_what_failed_and_when_it_was_last_looked_at(services, qa, saved):
    MENDABLE[Reason.WRONG_TAGS](services, saved)
    proof.run_proof(services)

    with services.db.as_reader(qa) as conn:
        [one] = autosave.broken(conn, reason=Reason.WRONG_TAGS)
        others = autosave.broken(conn, reason=Reason.NO_IMAGE)
        [run] = autosave.runs(conn)

    assert one.job_id == saved
    assert run.started_at <= one.checked_at <= run.beat_at
    assert others == []
