"""The workspace loses only what is safe elsewhere or was thrown away, and only after a week (SPEC)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core import autosave, cleaning
from core.cleaning import Verdict, clean
from core.errors import StorageFailed
from core.storage.folder import FolderStorage
from tests import builders
from tests.broken_jobs import digests
from tests.emulator.pictures import portrait

WORKSPACE, LIBRARY = "workspace-temp", "user-library"
OLD = timedelta(days=8)


@pytest.fixture
def character(services, ana):
    return builders.a_character(ana, services)


@pytest.fixture
def saved(services, ana, character):
    """A portrait that was saved eight days ago: its job."""
    job_id = builders.a_finished_portrait(ana, services, character).job.id
    age(services, job_id)
    return job_id


def age(services, job_id, by=OLD):
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE workspace_assets SET created_at = created_at - %s WHERE job_id = %s", [by, job_id]
        )


def objects(services, bucket=WORKSPACE):
    return {one.path for one in services.storage.list(bucket)}


def asset(services, job_id):
    return builders.one(
        services.db,
        "SELECT id, temp_storage_path, cleaned_at FROM workspace_assets WHERE job_id = %s",
        [job_id],
    )


def findings(services):
    return {
        (rule, row) for rule, row in builders.rows(services.db, "SELECT rule, row_id FROM studio.findings")
    }


def an_unsaved_job(services, ana, character, *, days=400):
    """A paid picture that never reached the library, a year old: its job and the path."""
    job_id = builders.one(
        services.db,
        "INSERT INTO jobs (user_id, job_type, status, character_id, metadata) VALUES (%s, 'x', 'completed', %s, '{}')"
        " RETURNING id",
        [ana.id, character.id],
    )
    path = f"{ana.id}/{job_id}_1760000000000.png"
    services.storage.put(WORKSPACE, path, portrait(str(job_id), 64, 64, "png"), "image/png")
    with services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type, created_at)"
            " VALUES (%s, %s, 'image', %s, 'image/png', now() - make_interval(days => %s))",
            [ana.id, job_id, path, days],
        )
    return job_id, path


def discard(services, job_id, ana, *, days):
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE workspace_assets SET deleted_by = %s, deleted_at = now() - make_interval(days => %s) WHERE job_id = %s",
            [ana.id, days, job_id],
        )


def test_a_saved_picture_loses_its_copy_in_the_workspace_after_a_week(services, saved):
    in_library = objects(services, LIBRARY)

    report = clean(services)

    assert (report.cleaned, report.is_whole) == (1, True)
    assert report.freed > 0
    assert objects(services) == set()
    assert objects(services, LIBRARY) == in_library
    assert asset(services, saved)[2] is not None


def test_within_the_week_it_stays(services, ana, character):
    job_id = builders.a_finished_portrait(ana, services, character).job.id
    age(services, job_id, timedelta(days=6, hours=23))
    before = objects(services)

    report = clean(services)

    assert report.cleaned == 0
    assert objects(services) == before


def test_an_unsaved_paid_picture_is_never_cleaned_by_time(services, ana, character):
    _, path = an_unsaved_job(services, ana, character)

    report = clean(services)

    assert report.verdicts == {}
    assert objects(services) == {path}


def test_what_a_person_discarded_goes_a_week_later_and_not_before(services, ana, character):
    recent, kept = an_unsaved_job(services, ana, character)
    gone, _ = an_unsaved_job(services, ana, character)
    discard(services, recent, ana, days=6)
    discard(services, gone, ana, days=8)

    report = clean(services)

    assert report.cleaned == 1
    assert objects(services) == {kept}


def test_a_discard_that_was_saved_is_proved_like_any_other(services, ana, saved):
    discard(services, saved, ana, days=1)
    [path] = [one for one in objects(services, LIBRARY) if not one.endswith(".thumb.webp")]
    services.storage.delete(LIBRARY, path)

    report = clean(services)

    assert report.verdicts == {Verdict.copy_missing: 1}


def test_a_picture_whose_permanent_copy_is_gone_is_kept_and_becomes_a_finding(services, saved):
    before = objects(services)
    for path in objects(services, LIBRARY):
        services.storage.delete(LIBRARY, path)

    report = clean(services)

    asset_id, _, cleaned_at = asset(services, saved)
    assert report.verdicts == {Verdict.copy_missing: 1}
    assert objects(services) == before
    assert cleaned_at is None
    assert ("workspace.copy_missing", str(asset_id)) in findings(services)


def test_a_picture_whose_permanent_copy_differs_by_a_byte_is_kept(services, saved):
    before = objects(services)
    [path] = [one for one in objects(services, LIBRARY) if not one.endswith(".thumb.webp")]
    services.storage.put(LIBRARY, path, services.storage.get(LIBRARY, path) + b"\0", "image/png")

    report = clean(services)

    assert report.verdicts == {Verdict.copy_differs: 1}
    assert objects(services) == before


def test_a_dry_run_says_the_same_and_changes_nothing(services, saved):
    before = digests(services), objects(services)

    report = clean(services, dry_run=True)

    assert report.cleaned == 1
    assert (digests(services), objects(services)) == before


def test_cleaning_twice_changes_nothing_the_second_time(services, saved):
    clean(services)
    before = digests(services), objects(services)

    report = clean(services)

    assert report.cleaned == 0
    assert (digests(services), objects(services)) == before


def test_a_run_is_bounded_and_the_next_one_goes_on(services, ana, character):
    for _ in range(3):
        age(services, builders.a_finished_portrait(ana, services, character).job.id)

    reports = [clean(services, most=2) for _ in range(2)]

    assert [(report.cleaned, report.is_whole) for report in reports] == [(2, False), (1, True)]
    assert objects(services) == set()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", ["delete", "mark_cleaned"])
def test_a_run_that_dies_between_object_and_row_is_finished_by_the_next(services, saved, monkeypatch, step):
    def die(*_args):
        raise Killed

    with monkeypatch.context() as patch:
        if step == "delete":
            deletes = iter([FolderStorage.delete])  # the picture goes, then it dies

            def delete(*args):
                next(deletes, die)(*args)

            patch.setattr(FolderStorage, "delete", delete)
        else:
            patch.setattr(cleaning.cleanings, "mark_cleaned", die)
        with pytest.raises(Killed):
            clean(services)
    half_done = asset(services, saved)[2]

    report = clean(services)

    assert half_done is None
    assert report.cleaned == 1
    assert objects(services) == set()
    assert asset(services, saved)[2] is not None


def test_an_object_that_no_row_names_is_kept_and_becomes_a_finding_once(
    services, ana, character, monkeypatch
):
    monkeypatch.setattr(cleaning, "_FRESH", timedelta(0))
    _, named = an_unsaved_job(services, ana, character)
    stray = f"{ana.id}/{builders.UUID(int=5, version=4)}_1760000000000.png"
    for path in (stray, named.replace(".png", ".thumb.webp")):
        services.storage.put(WORKSPACE, path, b"bytes", "image/png")
    before = objects(services)

    reports = [clean(services) for _ in range(2)]

    assert [report.orphans for report in reports] == [1, 1]
    assert objects(services) == before
    assert findings(services) == {("workspace.object_without_row", stray)}


def test_an_object_that_was_just_stored_is_not_called_an_orphan(services, ana):
    services.storage.put(WORKSPACE, f"{ana.id}/fresh.png", b"bytes", "image/png")

    assert clean(services).orphans == 0


# -- rows can be written by users -------------------------------------------------------------------------------------


def test_nobody_cleans_away_somebody_elses_picture_with_a_row_of_their_own(
    services, ana, customer, character
):
    _, path = an_unsaved_job(services, ana, character)
    with builders.as_platform(services.db.dsn, "authenticated", customer) as conn:
        conn.execute(
            "INSERT INTO workspace_assets (user_id, asset_type, temp_storage_path, mime_type, created_at, deleted_by, deleted_at)"
            " VALUES (%s, 'image', %s, 'image/png', now() - interval '1 year', %s, now() - interval '1 year')",
            [customer.id, f"workspace-temp/{path}", customer.id],
        )

    report = clean(services)

    assert report.verdicts == {Verdict.foreign: 1}
    assert objects(services) == {path}


def test_a_row_without_a_job_does_not_take_the_picture_of_a_job_along(services, ana, character):
    _, path = an_unsaved_job(services, ana, character)
    with services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO workspace_assets (user_id, asset_type, temp_storage_path, mime_type, created_at, deleted_by, deleted_at)"
            " VALUES (%s, 'image', %s, 'image/png', now() - interval '1 year', %s, now() - interval '1 year')",
            [ana.id, path, ana.id],
        )

    report = clean(services)

    assert report.verdicts == {Verdict.foreign: 1}
    assert objects(services) == {path}


def test_an_object_that_an_unsaved_job_names_too_stays(services, ana, character):
    other, _ = an_unsaved_job(services, ana, character)
    shared = f"{ana.id}/shared.png"
    services.storage.put(WORKSPACE, shared, b"bytes", "image/png")
    mine, _ = an_unsaved_job(services, ana, character)
    with services.db.as_service() as conn:
        conn.execute("UPDATE workspace_assets SET temp_storage_path = %s", [shared])
    discard(services, mine, ana, days=8)

    report = clean(services)

    assert report.verdicts == {Verdict.shared: 1}
    assert shared in objects(services)
    assert asset(services, other)[2] is None


# -- beside it --------------------------------------------------------------------------------------------------------


def test_saving_a_cleaned_result_again_leaves_the_permanent_copy_as_it_is(services, saved):
    clean(services)
    before = objects(services, LIBRARY)

    new = autosave.save(saved, services)

    assert new is False
    assert objects(services, LIBRARY) == before


def test_one_object_that_the_store_does_not_give_stops_no_other(services, ana, character, monkeypatch):
    first, second = (builders.a_finished_portrait(ana, services, character).job.id for _ in range(2))
    age(services, first)
    age(services, second)
    broken = asset(services, first)[1]
    read = FolderStorage.get

    def get(self, bucket, path):
        if path == broken:
            raise StorageFailed("The disk has a bad spot.")
        return read(self, bucket, path)

    monkeypatch.setattr(FolderStorage, "get", get)

    report = clean(services)

    assert report.verdicts == {Verdict.put_off: 1, Verdict.cleaned: 1}
    assert asset(services, second)[2] is not None
    assert asset(services, first)[2] is None


def test_the_worker_cleans_once_a_day(services, saved, live_worker, eventually):
    def scheduled():
        return builders.rows(
            services.db,
            "SELECT expression FROM studio_queue.pgqueuer_schedules WHERE entrypoint = 'clean'",
        )

    eventually(lambda: scheduled() == [("23 4 * * *",)])
    with services.db.as_service() as conn:
        conn.execute("UPDATE studio_queue.pgqueuer_schedules SET next_run = now() WHERE entrypoint = 'clean'")

    eventually(lambda: asset(services, saved)[2] is not None, seconds=20)
