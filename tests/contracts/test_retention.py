"""What is past its time goes, once it was looked at again; what another row needs stays, and nothing brings a removed
picture back (SPEC "Data").
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from core import autosave, library, portraits, recovery, retention
from core.errors import NotAllowed, StorageFailed
from core.retention import Kind
from core.storage import LIBRARY, WORKSPACE
from core.storage.folder import FolderStorage
from core.values import Role
from tests import builders

RUN = set(Kind) - {Kind.workspace}  # which the cleaning of the workspace goes by


@pytest.fixture
def character(services, ana):
    return builders.a_character(ana, services)


@pytest.fixture
def made(services, ana, character):
    return builders.a_finished_portrait(ana, services, character)


def item_of(services, job):
    return builders.one(services.db, "SELECT id FROM user_library WHERE job_id = %s", [job])


def aged(services, table, days=8):
    with services.db.as_service() as conn:
        conn.execute(
            f"UPDATE {table} SET deleted_at = deleted_at - %s WHERE deleted_at IS NOT NULL",
            [timedelta(days=days)],
        )


def remove(services, ana, character, made, *, days=8):
    """The portrait and its library item go to the bin, so many days ago."""
    portraits.delete_many(character.id, [made.portrait_id], ana, services)
    library.delete([item_of(services, made.job.id)], ana, services)
    aged(services, "character_portraits", days)
    aged(services, "user_library", days)


def objects(services, bucket=LIBRARY):
    return {one.path for one in services.storage.list(bucket)}


def counted(services, table):
    return builders.one(services.db, f"SELECT count(*) FROM {table}")


def test_what_lay_in_the_bin_for_a_week_goes_with_its_objects_and_never_comes_back(
    services, ana, character, made
):
    other = builders.a_finished_portrait(ana, services, character)
    kept = {one for one in objects(services) if str(other.job.id) in one}
    remove(services, ana, character, made)

    done = retention.keep(services)

    assert (done[Kind.bin].gone, done[Kind.objects].gone) == (2, 2)
    assert objects(services) == kept
    assert (counted(services, "character_portraits"), counted(services, "user_library")) == (1, 1)
    assert counted(services, "studio.going_objects") == 0
    autosave.save(made.job.id, services)
    recovery.recover(services, only=[made.job.id])
    builders.work(services)
    assert (counted(services, "character_portraits"), counted(services, "user_library")) == (1, 1)
    assert objects(services) == kept
    # Its fresh result counts as thrown away: the cleaning may take it, a week on.
    assert builders.one(
        services.db, "SELECT deleted_by = %s FROM workspace_assets WHERE job_id = %s", [ana.id, made.job.id]
    )
    runs = builders.rows(
        services.db, "SELECT kind, gone, ended_at IS NOT NULL, trouble FROM studio.retention_runs"
    )
    assert {(kind, ended, trouble) for kind, _, ended, trouble in runs} == {(one, True, None) for one in RUN}


def test_within_the_week_it_stays_and_can_be_taken_back(services, ana, character, made):
    remove(services, ana, character, made, days=6)
    before = objects(services)

    done = retention.keep(services)

    assert (done[Kind.bin].looked_at, done[Kind.objects].gone) == (0, 0)
    assert objects(services) == before
    assert library.restore([item_of(services, made.job.id)], ana, services).done


def test_what_is_taken_back_while_the_upkeep_looks_stays(services, ana, character, made, monkeypatch):
    remove(services, ana, character, made)
    take = retention.retention.take_item

    def too_late(conn, item, *, kept):
        library.restore([item], ana, services)
        return take(conn, item, kept=kept)

    monkeypatch.setattr(retention.retention, "take_item", too_late)
    done = retention.keep(services)

    assert (done[Kind.bin].gone, done[Kind.bin].kept) == (1, 1)
    assert len(objects(services)) == 2
    assert counted(services, "user_library WHERE deleted_at IS NULL") == 1


@pytest.mark.parametrize("by", ["portrait", "reference", "another item"])
def test_an_object_that_another_row_names_stays_with_its_thumbnail(services, ana, character, made, by):
    path = builders.one(services.db, "SELECT storage_path FROM user_library WHERE job_id = %s", [made.job.id])
    path = path.removeprefix("user-library/")
    library.delete([item_of(services, made.job.id)], ana, services)
    if by != "portrait":
        portraits.delete_many(character.id, [made.portrait_id], ana, services)
        other = builders.a_character(ana, services)
        with services.db.as_service() as conn:
            conn.execute(
                "UPDATE characters SET image_url = NULL, reference_image_url = NULL WHERE id = %s",
                [character.id],
            )
            if by == "reference":
                conn.execute(
                    "UPDATE characters SET reference_image_url = %s WHERE id = %s",
                    [f"user-library/{path}", other.id],
                )
            else:
                conn.execute(
                    """INSERT INTO user_library (user_id, asset_type, storage_path, mime_type)
                       VALUES (%s, 'image', %s, 'image/png')""",
                    [ana.id, path],
                )
    aged(services, "user_library")
    aged(services, "character_portraits")

    done = retention.keep(services)

    assert done[Kind.bin].gone == (1 if by == "portrait" else 2)
    assert path in objects(services)
    assert len(objects(services)) == 2


def test_what_the_store_does_not_give_up_is_tried_again(services, ana, character, made, monkeypatch):
    other = builders.a_finished_portrait(ana, services, character)
    remove(services, ana, character, made)
    delete = FolderStorage.delete

    def away(self, bucket, path):
        raise StorageFailed("The store is away.")

    monkeypatch.setattr(FolderStorage, "delete", away)
    first = retention.keep(services)
    monkeypatch.setattr(FolderStorage, "delete", delete)
    second = retention.keep(services)

    assert (first[Kind.bin].gone, first[Kind.objects].gone, first[Kind.objects].kept) == (2, 0, 2)
    assert second[Kind.objects].gone == 2
    assert {str(other.job.id) in one for one in objects(services)} == {True}


def test_a_path_into_somebody_elses_bucket_or_out_of_the_store_takes_nothing_along(services, ana, ben, made):
    services.storage.put(WORKSPACE, f"{ben.id}/1.png", b"his", "image/png")
    with services.db.as_service() as conn:
        for path in (f"workspace-temp/{ben.id}/1.png", "../../secret.png", "https://example.org/x.png"):
            conn.execute(
                """INSERT INTO user_library (user_id, asset_type, storage_path, mime_type, deleted_at)
                   VALUES (%s, 'image', %s, 'image/png', now() - interval '9 days')""",
                [ana.id, path],
            )
    before = objects(services)

    done = retention.keep(services)

    assert (done[Kind.bin].gone, done[Kind.objects].gone) == (3, 0)
    assert objects(services) == before
    assert f"{ben.id}/1.png" in objects(services, WORKSPACE)


def test_history_goes_and_the_ledger_and_events_never(build, ana, services, made):
    kept = build(keep_history_days=30)
    with services.db.as_service() as conn:
        for days in (29, 31):
            conn.execute(
                """INSERT INTO studio.health_history (run_id, check_name, at, with_objects, passed, failed, not_checked,
                       not_applicable) VALUES (gen_random_uuid(), 'rows', now() - make_interval(days => %s), false, 1, 0, 0, 0)""",
                [days],
            )
        conn.execute(
            "INSERT INTO studio.audit_events (at, action) VALUES (now() - interval '9 years', 'looked')"
        )
    spent = counted(services, "studio.cost_entries")

    done = retention.keep(kept)

    assert done[Kind.history].gone == 1
    assert counted(services, "studio.audit_events WHERE at < now() - interval '8 years'") == 1
    assert counted(services, "studio.cost_entries") == spent > 0


def test_an_admin_sees_when_the_upkeep_last_ran(services, ana):
    admin = builders.a_person(services.db, "admin", Role.admin)
    retention.keep(services)

    assert {one.kind for one in retention.last_runs(admin, services)} == RUN
    with pytest.raises(NotAllowed):
        retention.last_runs(ana, services)
