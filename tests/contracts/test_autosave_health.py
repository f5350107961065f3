"""How well portraits are saved, over time: a check that a person asks for, its history, the list, and what a silent
store means: not checked is not passed.
"""

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core import mending, proof, worker
from core.audit import autosave
from core.audit.autosave import WHOLE, Check, Health, Outcome, ProofFilter, Reason, health_of
from core.errors import Conflict, NotAllowed, StorageFailed
from core.storage import LIBRARY
from core.values import Role
from tests import builders
from tests.contracts.test_proof import by_hand, paths


@pytest.fixture
def qa(services):
    return builders.a_person(services.db, "quinn", Role.qa)


@pytest.fixture
def character(services, ana):
    return builders.a_character(ana, services)


@pytest.fixture
def saved(services, ana, character):
    return builders.a_finished_portrait(ana, services, character).job.id


class Silent:
    """The same store, which answers nothing while `is_silent`."""

    def __init__(self, storage, *calls):
        self._storage, self._calls, self.is_silent = storage, calls, True

    def __getattr__(self, name):
        if name in self._calls and self.is_silent:
            return self._fail
        return getattr(self._storage, name)

    def _fail(self, *_args, **_named):
        raise StorageFailed("The store does not answer. Try again in a moment.")


@pytest.fixture
def silent(services):
    return replace(services, storage=Silent(services.storage, "sizes", "digest"))


def asked(services, person, question):
    with services.db.as_reader(person) as conn:
        return question(conn)


def health(services, person, **which):
    return asked(services, person, lambda conn: autosave.latest(conn, **which))


# ---- one word for seven checks


@pytest.mark.parametrize(
    ("answers", "word"),
    [
        ((None,) * 7, Health.well),
        ((None,) * 6 + (Reason.OLDER_FLOW,), Health.well),
        ((None,) * 6 + (Reason.STORAGE_SILENT,), Health.not_proven),
        ((None, None, None, Reason.OBJECTS_NOT_ASKED, None, None, None), Health.not_proven),
        ((Reason.STORAGE_SILENT,) * 6 + (Reason.NO_IMAGE,), Health.broken),
        ((Reason.NO_RESULT,) * 7, Health.nothing),
        ((Reason.NOT_FINISHED,) * 7, Health.not_proven),
    ],
)
def test_what_was_not_checked_is_never_well(answers, word):
    assert health_of(answers) is word


NOT_PASSED = [one for one in Reason if autosave.outcome_of(one) is Outcome.not_checked]


@pytest.mark.parametrize("reason", NOT_PASSED)
def test_every_reason_not_to_check_keeps_a_portrait_from_being_well(reason):
    assert health_of((None,) * 3 + (reason,) + (None,) * 3) is Health.not_proven


def test_a_silent_store_never_counts_as_healthy(services, silent, qa, saved):
    facts = asked(services, qa, lambda conn: autosave.facts_page(conn, ProofFilter())).rows

    [shown] = proof.look_at_page(facts, silent.storage)
    looked = proof.look_or_rows(saved, silent).proof
    with pytest.raises(StorageFailed):
        proof.run_proof(silent, with_objects=True)

    for one in (shown, looked):
        assert one.health is Health.not_proven
        assert one.reason(Check.library_object) is Reason.STORAGE_SILENT
        assert one.reason(Check.thumbnail) is Reason.STORAGE_SILENT
    assert health(services, qa) == {}  # a check that stopped says nothing of health
    [stopped] = asked(services, qa, autosave.under_way)
    assert "does not answer" in stopped.trouble
    assert proof.look_at_page(facts, services.storage)[0].health is Health.well


def test_one_file_that_cannot_be_read_leaves_its_portrait_unproven(services, qa, saved):
    one_silent = replace(services, storage=Silent(services.storage, "digest"))

    proof.run_proof(one_silent, with_objects=True)

    whole = health(services, qa)[WHOLE]
    assert (whole.passed, whole.failed, whole.not_checked) == (0, 0, 1)
    assert health(services, qa)[Check.library_object].share is None


# ---- history


def test_every_finished_check_leaves_a_line_a_check_in_the_history(services, ana, qa, character, saved):
    lost = builders.a_finished_portrait(ana, services, character).job.id
    by_hand(services, "DELETE FROM user_library WHERE job_id = %s", lost)

    run = proof.run_proof(services, with_objects=True)
    proof.run_proof(services)
    proof.run_proof(services, since=datetime.now(UTC) - timedelta(hours=1))

    files = health(services, qa, with_objects=True)
    assert {line.run_id for line in files.values()} == {run.id}
    assert set(files) == {*Check, WHOLE}
    row = files[Check.library_row]
    assert (row.passed, row.failed, row.not_checked, row.not_applicable, row.share) == (1, 1, 0, 0, 0.5)
    assert (files[WHOLE].passed, files[WHOLE].failed, files[WHOLE].looked_at) == (1, 1, 2)
    by_rows = health(services, qa, with_objects=False)[WHOLE]
    assert (by_rows.passed, by_rows.failed, by_rows.not_checked) == (0, 1, 1)
    lines = asked(services, qa, lambda conn: autosave.history(conn, datetime.now(UTC) - timedelta(days=1)))
    assert len(lines) == 16  # of all portraits, both kinds; a check of one hour is not comparable
    assert builders.one(services.db, "SELECT count(*) FROM studio.health_history") == 24


def test_a_long_history_shows_the_last_check_of_each_day(services, qa, saved):
    proof.run_proof(services)
    with services.db.as_service() as conn:
        conn.execute(
            """
            INSERT INTO studio.health_history (run_id, check_name, at, with_objects, passed, failed, not_checked, not_applicable)
            SELECT gen_random_uuid(), 'whole', date_trunc('day', now()) - make_interval(days => d, hours => h) + interval '1 minute',
                   false, 100 - h, 0, 0, 0
            FROM generate_series(1, 20) d, generate_series(0, 5) h
            """
        )

    lines = asked(services, qa, lambda conn: autosave.history(conn, datetime.now(UTC) - timedelta(days=30)))
    days = [line for line in lines if line.check == WHOLE]

    assert len(days) == len({line.at.date() for line in days})
    assert [line.at for line in days] == sorted(line.at for line in days)


# ---- a check that a person asks for


def test_a_check_is_carried_out_by_a_worker_and_recorded(services, qa, saved):
    run_id, is_new = proof.ask(qa, services, with_objects=True)
    [waiting] = asked(services, qa, autosave.under_way)

    builders.work(services)

    run = asked(services, qa, lambda conn: autosave.run(conn, run_id))
    assert is_new
    assert (waiting.id, waiting.waits, waiting.expected, waiting.asked_by) == (run_id, True, 1, qa.id)
    assert (run.looked_at, run.waits, run.finished_at is not None) == (1, False, True)
    assert asked(services, qa, autosave.under_way) == []
    assert builders.rows(services.db, "SELECT who, action, row_id FROM studio.audit_events") == [
        (qa.id, "proof_asked", str(run_id))
    ]


def test_who_asks_for_the_same_check_again_is_shown_the_one_under_way(services, qa, saved):
    first, _ = proof.ask(qa, services)
    week = datetime.now(UTC) - timedelta(days=7)

    assert proof.ask(qa, services) == (first, False)
    assert proof.ask(qa, services, since=week) == (first, False)  # it looks at those too
    assert proof.ask(qa, services, with_objects=True)[1]
    assert builders.one(services.db, "SELECT count(*) FROM studio.audit_events") == 2


def test_a_wider_check_than_the_one_under_way_is_a_new_one(services, qa, saved):
    proof.ask(qa, services, since=datetime.now(UTC) - timedelta(hours=1))

    assert proof.ask(qa, services)[1]


def test_the_scheduled_check_leaves_one_that_a_person_waits_for_alone(services, qa, saved):
    run_id, _ = proof.ask(qa, services, since=datetime.now(UTC) - timedelta(hours=1))

    proof.run_proof(services, resume=True)
    builders.work(services)

    assert asked(services, qa, lambda conn: autosave.run(conn, run_id)).finished_at is not None


def test_a_check_that_was_killed_in_the_middle_goes_on_where_it_stood(
    services, ana, qa, character, monkeypatch
):
    for _ in range(5):
        builders.a_finished_portrait(ana, services, character)
    monkeypatch.setattr(proof, "_ROWS_AT_ONCE", 2)
    run_id, _ = proof.ask(qa, services)
    keep = proof._keep

    def keep_and_die(*args):
        kept = keep(*args)
        raise StorageFailed("gone")  # the process ends here, for all the run knows
        return kept

    monkeypatch.setattr(proof, "_keep", keep_and_die)
    with pytest.raises(StorageFailed):
        proof.carry_out(run_id, services)
    [left] = asked(services, qa, autosave.under_way)
    monkeypatch.setattr(proof, "_keep", keep)

    done = proof.carry_out(run_id, services)

    assert (left.looked_at, left.trouble) == (2, "gone")
    assert (done.id, done.looked_at, done.trouble) == (run_id, 5, None)
    assert proof.carry_out(run_id, services) is None


def test_a_live_worker_carries_out_what_was_asked(services, qa, saved, live_worker, eventually):
    run_id, _ = proof.ask(qa, services)

    eventually(lambda: asked(services, qa, lambda conn: autosave.run(conn, run_id)).finished_at is not None)


@pytest.mark.parametrize(("hours", "line"), [(1, "41 */1 * * *"), (6, "41 */6 * * *"), (24, "41 0 * * *")])
def test_rows_are_checked_as_often_as_the_setting_says(hours, line):
    assert worker._hourly(hours) == line


# ---- the list and its groups


def test_the_list_narrows_by_character_provider_person_and_reason(services, ana, ben, qa, character, saved):
    other = builders.a_character(ben, services, name="Mandrake Root")
    second = builders.a_finished_portrait(ben, services, other).job.id
    by_hand(services, "UPDATE user_library SET tags = '{}' WHERE job_id = %s", second)
    proof.run_proof(services)

    def ids(**wanted):
        page = asked(services, qa, lambda conn: autosave.facts_page(conn, ProofFilter(**wanted)))
        return {one.proof.job_id for one in page.rows}

    assert ids() == {saved, second}
    assert ids(character="mandr") == ids(character=str(other.id)) == {second}
    assert ids(character="nobody") == set()
    assert ids(provider="fal") == {saved, second}
    assert ids(provider="sketch") == set()
    assert ids(user_id=ben.id) == {second}
    assert ids(only_broken=True) == ids(reason=Reason.WRONG_TAGS) == {second}
    assert ids(reason=Reason.NO_PORTRAIT) == set()
    assert ids(only_broken=True, user_id=ana.id) == set()
    assert ids(since=datetime.now(UTC) + timedelta(hours=1)) == set()


@pytest.mark.parametrize("only_broken", [False, True])
def test_the_list_turns_its_pages_both_ways_without_a_gap(services, ana, qa, character, only_broken):
    made = [builders.a_finished_portrait(ana, services, character).job.id for _ in range(5)]
    by_hand(services, "UPDATE jobs SET completed_at = '2026-11-01'")  # all at one moment
    by_hand(services, "UPDATE user_library SET tags = '{}'")
    proof.run_proof(services)
    wanted = ProofFilter(only_broken=only_broken)

    def turned(**place):
        return asked(services, qa, lambda conn: autosave.facts_page(conn, wanted, limit=2, **place))

    first = turned()
    second = turned(before=first.older)
    third = turned(before=second.older)
    back = turned(after=third.newer)

    seen = [one.proof.job_id for page in (first, second, third) for one in page.rows]
    assert seen == sorted(made, reverse=True)
    assert third.older is None
    assert [one.proof.job_id for one in back.rows] == seen[2:4]
    assert back.newer is not None


def test_reasons_are_grouped_with_count_oldest_and_an_example(services, ana, qa, character, saved):
    second = builders.a_finished_portrait(ana, services, character).job.id
    by_hand(services, "UPDATE user_library SET tags = '{}'")
    by_hand(services, "DELETE FROM character_portraits WHERE job_id = %s", second)
    proof.run_proof(services)
    by_hand(services, "UPDATE studio.proof_results SET broken_since = '2026-11-02' WHERE job_id = %s", saved)

    groups = {one.reason: one for one in asked(services, qa, lambda c: autosave.reasons(c, ProofFilter()))}
    bounded = asked(services, qa, lambda conn: autosave.reasons(conn, ProofFilter(), most=1))

    tags = groups[Reason.WRONG_TAGS]
    assert (tags.counted.number, tags.counted.more, tags.example) == (2, False, saved)
    assert tags.oldest_at == datetime(2026, 11, 2, tzinfo=UTC)
    assert groups[Reason.NO_PORTRAIT].counted.number == 1
    assert all(one.counted.more for one in bounded)


# ---- two people at once


def test_of_two_people_who_repair_at_once_one_does_it_and_both_are_told(services, build, ana, qa, saved):
    _, library, _ = paths(services, saved)
    services.storage.delete(LIBRARY, library)
    rita = builders.a_person(services.db, "rita", Role.qa)
    begun, told = threading.Barrier(2), {}
    elsewhere = build()

    def repair(person, given):
        begun.wait()
        told[person.name] = mending.repair(saved, person, given)

    hands = [threading.Thread(target=repair, args=pair) for pair in ((qa, services), (rita, elsewhere))]
    [hand.start() for hand in hands]
    [hand.join() for hand in hands]

    [first] = [name for name, done in told.items() if done.mended]
    [second] = [name for name, done in told.items() if not done.mended]
    by = {"quinn": qa, "rita": rita}[first]
    assert told[first].mended == (Reason.OBJECT_MISSING,)
    assert told[first].earlier is None
    assert (told[second].earlier.by, told[second].earlier.mended) == (by.id, (Reason.OBJECT_MISSING,))
    assert builders.rows(
        services.db, "SELECT who FROM studio.audit_events WHERE action = 'autosave_repaired'"
    ) == [(by.id,)]


def test_who_waits_too_long_for_anothers_repair_is_told_so(services, qa, saved, monkeypatch):
    monkeypatch.setattr(mending, "_WAIT", 0.1)
    started = time.monotonic()

    with mending._alone(saved, services), pytest.raises(Conflict) as refused:
        mending.repair(saved, qa, services)

    assert refused.value.reason == "REPAIR_RUNNING"
    assert time.monotonic() - started < 5
    assert mending.repair(saved, qa, services).mended == ()


def test_repairing_needs_the_role(services, ana, saved):
    with pytest.raises(NotAllowed):
        mending.repair(saved, ana, services)
