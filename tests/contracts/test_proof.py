"""The seven auto-save checks and their runs (SPEC "The seven auto-save checks"): whole, since a time, killed and resumed,
rows and objects, our portraits and the platform's.
"""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import stamina
from typer.testing import CliRunner

from core import cli, portraits, proof
from core.audit import autosave
from core.audit.autosave import CHECK_OF, SENTENCES, Check, Outcome, Reason
from core.errors import Conflict, StorageFailed
from core.storage import LIBRARY, WORKSPACE
from core.values import JobId, Role
from tests import builders

pytest_plugins = ["tests.supabase.fix_supabase"]

ROOT = Path(__file__).parents[2]
PICTURE = b"twenty bytes of picture"
HEALTHY_ROWS = (None, None, None, Reason.OBJECTS_NOT_ASKED, Reason.OBJECTS_NOT_ASKED, None, None)


@pytest.fixture
def character(services, ana):
    return builders.a_character(ana, services)


@pytest.fixture
def saved(services, ana, character):
    """A job whose portrait was made and saved."""
    return builders.a_finished_portrait(ana, services, character).job.id


@pytest.fixture
def qa(services):
    return builders.a_person(services.db, "quinn", Role.qa)


def by_hand(services, statement, *values):
    """A change past every trigger, as an accident would make it."""
    with psycopg.connect(services.db.dsn, autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica")
        return conn.execute(statement, values).rowcount


def rows_of(services, person, job_id):
    with services.db.as_reader(person) as conn:
        return autosave.of_job(conn, job_id)


def paths(services, job_id):
    found = proof.look(job_id, services)
    return found.workspace_path, found.library_path, found.thumbnail_path


def broken(services):
    with services.db.as_service() as conn:
        return {one.job_id: one.reasons for one in autosave.broken(conn)}


# ---- what is asked


def test_a_saved_portrait_passes_all_seven_checks(services, qa, saved):
    by_rows, with_files = rows_of(services, qa, saved), proof.look(saved, services).proof

    assert by_rows.answers == HEALTHY_ROWS
    assert with_files.answers == (None,) * 7
    assert {with_files.outcome(check) for check in Check} == {Outcome.passed}


def test_every_reason_has_a_sentence_and_every_failure_one_check():
    assert set(SENTENCES) == set(Reason)
    assert {one for one in Reason if autosave.outcome_of(one) is Outcome.failed} == set(CHECK_OF)
    assert all(sentence.endswith(".") for sentence in SENTENCES.values())


def test_a_job_that_has_not_ended_or_ended_without_a_picture_has_nothing_to_prove(
    services, ana, qa, character
):
    waiting = builders.a_waiting_job(ana, services, character).job_id
    failed = builders.a_waiting_job(ana, services, character).job_id
    by_hand(services, "UPDATE jobs SET status = 'failed' WHERE id = %s", failed)

    unfinished, without = rows_of(services, qa, waiting), rows_of(services, qa, failed)

    assert set(unfinished.answers) == {Reason.NOT_FINISHED}
    assert set(without.answers) == {Reason.NO_RESULT}
    assert proof.run_proof(services).looked_at == 0


def test_a_portrait_completed_a_moment_ago_is_being_saved_and_later_it_is_broken(
    services, ana, qa, character
):
    job_id = builders.a_finished_portrait(ana, services, character).job.id
    for table in ("user_library", "character_portraits"):
        by_hand(services, f"DELETE FROM {table} WHERE job_id = %s", job_id)
    by_hand(services, "UPDATE jobs SET stage = 'saving' WHERE id = %s", job_id)

    now = rows_of(services, qa, job_id)
    by_hand(services, "UPDATE jobs SET completed_at = now() - interval '10 minutes' WHERE id = %s", job_id)
    later = rows_of(services, qa, job_id)

    assert now.failures == ()
    assert now.reason(Check.library_row) is Reason.BEING_SAVED
    assert later.failures == (Reason.NO_LIBRARY_ROW, Reason.NO_PORTRAIT)


def test_a_workspace_file_is_missed_for_seven_days_only(services, saved):
    workspace, _, _ = paths(services, saved)
    services.storage.delete(WORKSPACE, workspace)

    young = proof.look(saved, services).proof
    by_hand(
        services,
        "UPDATE workspace_assets SET created_at = now() - interval '8 days' WHERE job_id = %s",
        saved,
    )
    old = proof.look(saved, services).proof
    by_hand(services, "DELETE FROM workspace_assets WHERE job_id = %s", saved)
    by_hand(services, "UPDATE jobs SET completed_at = now() - interval '8 days' WHERE id = %s", saved)
    gone = proof.look(saved, services).proof

    assert young.failures == (Reason.WORKSPACE_OBJECT_MISSING,)
    assert old.failures == ()
    assert gone.reason(Check.workspace) is Reason.PAST_RETENTION


def test_what_a_person_removed_is_not_applicable(services, ana, qa, saved):
    [(portrait,)] = builders.rows(
        services.db, "SELECT id FROM character_portraits WHERE job_id = %s", [saved]
    )
    portraits.delete(portrait, ana, services)

    found = rows_of(services, qa, saved)

    assert found.failures == ()
    assert found.reason(Check.portrait) is Reason.REMOVED
    assert found.reason(Check.character_image) is Reason.REMOVED


def test_a_library_row_that_a_customer_deleted_was_removed_on_purpose_and_a_lost_one_was_not(
    services, ana, qa, character, saved
):
    other = builders.a_finished_portrait(ana, services, character).job.id
    with builders.as_platform(services.db.dsn, "authenticated", ana) as conn:
        conn.execute("DELETE FROM user_library WHERE job_id = %s", [saved])
    with builders.as_platform(services.db.dsn, "service_role") as conn:
        conn.execute("DELETE FROM user_library WHERE job_id = %s", [other])

    removed, lost = rows_of(services, qa, saved), rows_of(services, qa, other)

    assert removed.reason(Check.library_row) is Reason.REMOVED
    assert removed.failures == ()
    assert lost.failures == (Reason.NO_LIBRARY_ROW,)


def test_a_character_whose_portraits_were_all_cancelled_needs_no_primary(services, qa, saved):
    by_hand(services, "UPDATE jobs SET cancel_requested = true WHERE id = %s", saved)
    by_hand(services, "UPDATE character_portraits SET is_primary = false WHERE job_id = %s", saved)
    by_hand(services, "UPDATE characters SET image_url = NULL")

    found = rows_of(services, qa, saved)

    assert found.failures == ()
    assert found.reason(Check.character_image) is Reason.NO_PRIMARY_WANTED


def test_only_people_of_the_audit_see_other_peoples_portraits(services, qa, customer, saved):
    assert rows_of(services, qa, saved) is not None
    assert rows_of(services, customer, saved) is None


def test_pages_show_every_portrait_once_the_last_ended_first(services, ana, qa, character):
    made = [builders.a_finished_portrait(ana, services, character).job.id for _ in range(3)]
    with services.db.as_reader(qa) as conn:
        first = autosave.page(conn, limit=2)
        second = autosave.page(conn, limit=2, before=first.older)

    assert [row.job_id for row in [*first.rows, *second.rows]] == made[::-1]
    assert second.older is None


def test_the_lag_is_that_of_the_oldest_portrait_that_is_not_saved(services, saved):
    with services.db.as_service() as conn:
        before = autosave.lag(conn)
    by_hand(services, "DELETE FROM user_library WHERE job_id = %s", saved)
    by_hand(services, "UPDATE jobs SET stage = 'saving' WHERE id = %s", saved)

    with services.db.as_service() as conn:
        after = autosave.lag(conn)

    assert (before.waiting, before.oldest_at) == (0, None)
    assert (after.waiting, after.more) == (1, False)
    assert after.oldest_at is not None


# ---- the platform's rows


def platform_portrait(
    services, owner, character, *, form="{user}/{job}_{character}.png", job_id=None, asset=True
):
    """What job-callback leaves behind: no hash, maybe no size, its own path form."""
    job, user = job_id or uuid4(), owner.id
    path = form.format(user=user, job=job, character=character.id)
    services.storage.put(LIBRARY, path, PICTURE, "image/png")
    services.storage.put(LIBRARY, f"{path.rpartition('.')[0]}.thumb.webp", b"small", "image/webp")
    about = {"user": user, "job": job, "character": str(character.id), "path": path}
    with builders.as_platform(services.db.dsn, "service_role") as conn:
        conn.execute(
            """
            INSERT INTO jobs (id, user_id, job_type, status, metadata, completed_at)
            VALUES (%(job)s, %(user)s, 'fal_image', 'completed',
                    jsonb_build_object('destination', 'character_portrait', 'character_id', %(character)s::text), now())
            """,
            about,
        )
        if asset:
            services.storage.put(WORKSPACE, f"{user}/{job}_1760000000000.png", PICTURE, "image/png")
            conn.execute(
                """
                INSERT INTO workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type)
                VALUES (%(user)s, %(job)s, 'image', 'workspace-temp/' || %(user)s || '/' || %(job)s || '_1760000000000.png',
                        'image/png')
                """,
                about,
            )
            conn.execute(
                """
                INSERT INTO user_library (user_id, asset_type, storage_path, mime_type, tags, roleplay_metadata)
                VALUES (%(user)s, 'image', %(path)s, 'image/png', '{character,portrait}',
                        jsonb_build_object('type', 'character_portrait', 'character_id', %(character)s::text))
                """,
                about,
            )
        conn.execute(
            "UPDATE characters SET image_url = 'user-library/' || %(path)s WHERE id = %(character)s::uuid",
            about,
        )
    return JobId(job)


def test_a_portrait_that_the_platform_saved_passes_and_its_bytes_have_nothing_to_be_compared_with(
    services, ana, character
):
    job_id = platform_portrait(services, ana, character)

    found = proof.look(job_id, services).proof

    assert found.failures == ()
    assert found.reason(Check.library_object) is Reason.NOTHING_TO_COMPARE
    assert [found.reason(check) for check in Check if check is not Check.library_object] == [None] * 6


def test_rows_from_before_the_job_was_written_are_found_by_their_path(services, ana, character):
    job_id = platform_portrait(services, ana, character)
    by_hand(services, "UPDATE user_library SET job_id = NULL")
    by_hand(services, "UPDATE character_portraits SET job_id = NULL")
    by_hand(services, "UPDATE jobs SET character_id = NULL")

    found = proof.look(job_id, services).proof

    assert found.failures == ()
    assert found.character_id == character.id


def test_the_platforms_direct_flow_has_no_workspace_and_no_library_row(services, ana, character):
    form = "{user}/portraits/{character}/{job}.png"
    job_id = platform_portrait(services, ana, character, form=form, asset=False)

    found = proof.look(job_id, services).proof

    assert found.failures == ()
    assert found.reason(Check.workspace) is Reason.OLDER_FLOW
    assert found.reason(Check.library_row) is Reason.OLDER_FLOW
    assert found.reason(Check.library_object) is Reason.NOTHING_TO_COMPARE


def test_an_older_portrait_that_no_character_shows_needs_no_portrait_row(services, ana, character):
    job_id = platform_portrait(services, ana, character)
    by_hand(services, "DELETE FROM character_portraits")
    by_hand(services, "UPDATE jobs SET completed_at = now() - interval '1 hour'")
    shown = proof.look(job_id, services).proof
    by_hand(services, "UPDATE characters SET image_url = NULL")

    hidden = proof.look(job_id, services).proof

    assert Reason.NO_PORTRAIT in shown.failures
    assert hidden.reason(Check.portrait) is Reason.OLDER_FLOW


def test_a_portrait_without_a_character_waits_until_one_bears_its_name(services, ana, qa):
    job_id = uuid4()
    with builders.as_platform(services.db.dsn, "service_role") as conn:
        conn.execute(
            """
            INSERT INTO jobs (id, user_id, job_type, status, metadata)
            VALUES (%s, %s, 'fal_image', 'queued', '{"destination": "character_portrait", "characterName": "Mandy"}')
            """,
            [job_id, ana.id],
        )
        conn.execute(
            """
            INSERT INTO workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type)
            VALUES (%s, %s, 'image', 'x.png', 'image/png')
            """,
            [ana.id, job_id],
        )
    by_hand(services, "UPDATE jobs SET completed_at = now() - interval '1 hour' WHERE id = %s", job_id)
    alone = rows_of(services, qa, job_id)

    builders.a_character(ana, services, name="  mandy ")

    assert alone.reason(Check.library_row) is Reason.WAITS_FOR_CHARACTER
    assert rows_of(services, qa, job_id).reason(Check.library_row) is Reason.NO_CHARACTER


# ---- runs


def test_a_run_counts_every_answer_and_keeps_what_is_broken(services, ana, character, saved):
    lost = builders.a_finished_portrait(ana, services, character).job.id
    by_hand(services, "DELETE FROM user_library WHERE job_id = %s", lost)

    run = proof.run_proof(services)

    assert (run.looked_at, run.expected, run.broken) == (2, 2, 1)
    assert run.tally["library_row"] == {"PASSED": 1, "NO_LIBRARY_ROW": 1}
    assert run.health(Check.library_row) == (1, 2)
    assert run.health(Check.library_object) == (0, 0)
    assert broken(services) == {lost: (Reason.NO_LIBRARY_ROW,)}


def test_what_is_well_again_is_cleared_and_what_is_not_keeps_its_first_day(services, ana, character, saved):
    lost = builders.a_finished_portrait(ana, services, character).job.id
    by_hand(services, "UPDATE user_library SET tags = '{}'")
    proof.run_proof(services)
    with services.db.as_service() as conn:
        first = {one.job_id: one.broken_since for one in autosave.broken(conn)}
    by_hand(services, "UPDATE user_library SET tags = '{character,portrait}' WHERE job_id = %s", saved)

    proof.run_proof(services)

    with services.db.as_service() as conn:
        [left] = autosave.broken(conn)
    assert set(first) == {saved, lost}
    assert (left.job_id, left.broken_since) == (lost, first[lost])
    assert left.checked_at > left.broken_since


def test_a_look_at_rows_alone_does_not_clear_what_a_look_at_files_found(services, saved):
    _, library, _ = paths(services, saved)
    services.storage.delete(LIBRARY, library)
    proof.run_proof(services, with_objects=True)

    proof.run_proof(services)

    assert broken(services) == {saved: (Reason.OBJECT_MISSING,)}


def test_a_run_since_a_time_leaves_older_jobs_alone(services, ana, character, saved):
    by_hand(services, "UPDATE jobs SET completed_at = now() - interval '3 hours' WHERE id = %s", saved)
    by_hand(services, "UPDATE user_library SET tags = '{}'")
    proof.run_proof(services)
    by_hand(services, "UPDATE user_library SET tags = '{character,portrait}'")
    recent = builders.a_finished_portrait(ana, services, character).job.id
    by_hand(services, "UPDATE user_library SET tags = '{}' WHERE job_id = %s", recent)

    run = proof.run_proof(services, since=datetime.now(UTC) - timedelta(hours=1))

    assert run.looked_at == 1
    assert broken(services) == {saved: (Reason.WRONG_TAGS,), recent: (Reason.WRONG_TAGS,)}


@pytest.mark.parametrize("objects", [False, True])
def test_a_run_in_small_chunks_meets_every_job_once(services, ana, character, monkeypatch, objects):
    for _ in range(5):
        builders.a_finished_portrait(ana, services, character)
    by_hand(services, "UPDATE jobs SET completed_at = '2026-11-01'")  # all at one moment
    monkeypatch.setattr(proof, "_ROWS_AT_ONCE", 2)
    monkeypatch.setattr(proof, "_OBJECTS_AT_ONCE", 2)
    heard = []

    run = proof.run_proof(services, with_objects=objects, say=lambda looked, of: heard.append((looked, of)))

    assert run.looked_at == 5
    assert heard == [(2, 5), (4, 5), (5, 5)]
    assert run.tally["portrait"] == {"PASSED": 5}


def test_a_killed_run_goes_on_where_it_stopped(services, ana, character, monkeypatch):
    made = [builders.a_finished_portrait(ana, services, character).job.id for _ in range(5)]
    by_hand(services, "UPDATE user_library SET tags = '{}'")
    killed = subprocess.run(
        [sys.executable, "tests/chaos/proof.py", services.db.dsn, str(services.settings.home)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    with services.db.as_service() as conn:
        [before] = autosave.runs(conn)
    monkeypatch.setattr(proof, "_ROWS_AT_ONCE", 2)
    heard = []

    run = proof.run_proof(services, resume=True, say=lambda looked, _: heard.append(looked))

    assert killed.returncode == -signal.SIGKILL
    assert (before.looked_at, before.finished_at) == (2, None)
    assert run.id == before.id
    assert heard == [4, 5]
    assert (run.looked_at, run.broken) == (5, 5)
    assert set(broken(services)) == set(made)


def test_without_resuming_a_new_run_begins_and_the_old_one_is_given_up(services, saved):
    with services.db.as_service() as conn:
        conn.execute("INSERT INTO studio.proof_runs (with_objects, expected) VALUES (false, 7)")

    run = proof.run_proof(services)

    with services.db.as_service() as conn:
        assert [one.id for one in autosave.runs(conn)] == [run.id]


def test_two_proofs_of_one_kind_never_run_at_once_and_the_second_says_so(services, build, saved):
    other = build()
    refused = []

    def meanwhile(_looked, _expected):
        with pytest.raises(Conflict) as raised:
            proof.run_proof(other)
        refused.append(raised.value.reason)
        proof.run_proof(other, with_objects=True)

    run = proof.run_proof(services, say=meanwhile)

    assert refused == ["PROOF_RUNNING"]
    assert run.looked_at == 1
    assert proof.run_proof(other).looked_at == 1


def test_a_run_stops_where_its_process_leaves_and_another_goes_on(services, build, saved):
    services.stopping.set()

    left = proof.run_proof(services)
    done = proof.run_proof(build(), resume=True)

    assert (left.looked_at, left.finished_at) == (0, None)
    assert (done.id, done.looked_at) == (left.id, 1)


def test_the_history_of_runs_stays_small(services, saved):
    with services.db.as_service() as conn:
        conn.execute(
            """
            INSERT INTO studio.proof_runs (with_objects, expected, started_at, finished_at)
            SELECT true, 1, now() - make_interval(days => n), now() FROM generate_series(1, 40) n
            """
        )

    proof.run_proof(services)

    assert builders.one(services.db, "SELECT count(*) FROM studio.proof_runs") == 30


# ---- a store far away


@pytest.fixture
def far(services, supabase):
    """The same services with their files in a Supabase project."""
    return replace(services, storage=supabase)


@pytest.fixture
def far_saved(far, ana, character):
    return [builders.a_finished_portrait(ana, far, character).job.id for _ in range(3)]


def test_a_far_store_is_read_by_listings_and_only_a_sample_is_downloaded(far, far_saved, double, monkeypatch):
    sampled = far_saved[0]
    monkeypatch.setattr(proof, "in_sample", lambda job_id, _day: job_id == sampled)
    double.calls.clear()

    run = proof.run_proof(far, with_objects=True)

    assert (run.looked_at, run.broken) == (3, 0)
    assert double.operations().count("download") == 2  # the library's and the workspace's
    assert double.operations().count("info") <= 3  # a folder with few of them is asked one by one
    assert "list" in double.operations()


def test_every_object_of_a_far_store_is_read_once_in_thirty_days():
    days = [datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=number) for number in range(60)]

    read = [sum(proof.in_sample(job, day) for day in days) for job in (JobId(uuid4()) for _ in range(200))]

    assert set(read) == {2}


def test_other_bytes_of_the_same_size_stay_found_until_they_were_read_again(far, far_saved, monkeypatch):
    _, library, _ = paths(far, far_saved[0])
    data = far.storage.get(LIBRARY, library)
    far.storage.put(LIBRARY, library, data[:-1] + bytes([data[-1] ^ 1]), "image/png")
    monkeypatch.setattr(proof, "in_sample", lambda *_: True)
    proof.run_proof(far, with_objects=True)
    monkeypatch.setattr(proof, "in_sample", lambda *_: False)

    proof.run_proof(far, with_objects=True)
    still = broken(far)
    far.storage.put(LIBRARY, library, data, "image/png")
    proof.run_proof(far, with_objects=True)

    assert still == {far_saved[0]: (Reason.HASH_DIFFERS,)}
    assert broken(far) == {}


def test_missing_and_cut_files_of_a_far_store_are_found(far, far_saved, monkeypatch):
    monkeypatch.setattr(proof, "in_sample", lambda *_: False)
    _, library, thumbnail = paths(far, far_saved[0])
    _, cut, _ = paths(far, far_saved[1])
    far.storage.delete(LIBRARY, library)
    far.storage.delete(LIBRARY, thumbnail)
    far.storage.put(LIBRARY, cut, b"cut", "image/png")

    proof.run_proof(far, with_objects=True)

    assert broken(far) == {
        far_saved[0]: (Reason.OBJECT_MISSING, Reason.THUMBNAIL_MISSING),
        far_saved[1]: (Reason.SIZE_DIFFERS,),
    }


def test_a_store_that_is_away_finds_nothing_broken_and_the_run_goes_on_later(far, far_saved, double):
    double.bad_gateway("*", count=100, status=503)
    with stamina.set_testing(True, attempts=3, cap=True), pytest.raises(StorageFailed):
        proof.run_proof(far, with_objects=True)
    double._faults.clear()
    nothing = broken(far)

    run = proof.run_proof(far, with_objects=True, resume=True)

    assert nothing == {}
    assert (run.looked_at, run.broken) == (3, 0)


# ---- the command


@pytest.fixture
def command(services, monkeypatch):
    """`python -m core audit` on this test's database and files."""
    monkeypatch.setenv("DATABASE_URL", services.db.dsn)
    monkeypatch.setenv("STUDIO_HOME", str(services.settings.home))
    return lambda *words: CliRunner().invoke(cli.app, ["audit", *words])


def test_the_command_ends_with_status_one_until_what_is_broken_was_repaired(services, saved, command):
    _, _, thumbnail = paths(services, saved)
    services.storage.delete(LIBRARY, thumbnail)

    by_rows = command()
    by_files = command("--with-objects", "--since", "1h")
    repaired = command("--with-objects", "--repair", "thumbnail_missing")
    after = command("--with-objects", "--resume")

    assert [one.exit_code for one in (by_rows, by_files, repaired, after)] == [0, 1, 0, 0]
    assert "THUMBNAIL_MISSING" in by_files.output.replace("\n", "")
    assert services.storage.info(LIBRARY, thumbnail) is not None


def test_the_command_does_not_call_saved_what_waits_for_a_character(services, saved, command):
    by_hand(services, "DELETE FROM character_portraits")
    by_hand(services, "DELETE FROM user_library")
    by_hand(services, "DELETE FROM studio.removed_portraits")
    by_hand(services, "DELETE FROM studio.removed_items")
    by_hand(
        services,
        "UPDATE jobs SET character_id = NULL, runner = 'platform', stage = NULL,"
        " completed_at = now() - interval '1 hour',"
        """ metadata = '{"destination": "character_portrait", "characterName": "Nobody Yet"}'""",
    )

    said = command()

    assert said.exit_code == 0
    assert "1 are not saved yet (1 wait for a character)" in said.output
    assert "looked at is saved" not in said.output


def test_the_command_says_how_a_time_is_written(command):
    wrong = command("--since", "yesterday")

    assert wrong.exit_code == 1
    assert "30m, 1h, 2d" in wrong.output
