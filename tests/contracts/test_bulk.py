"""Bulk actions: the rows that were shown, frozen, done one by one and reported exactly (SPEC "Audit")."""

from __future__ import annotations

import threading
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from audit import bulk as panel
from core import bulk, generation, recovery
from core.db import bulk as bulk_rows
from core.errors import BadRequest, Conflict, DatabaseUnavailable, LeaseLost, NotAllowed, NotFound
from core.values import JobStatus, Role
from tests import builders
from tests.broken_jobs import Breakage, break_jobs, digests

WHY = "Left over from the outage."


@pytest.fixture
def services(build):
    return build(stuck_after=600.0, team_sharing=True)


@pytest.fixture
def quentin(services):
    return builders.a_person(services.db, "quentin", Role.qa)


@pytest.fixture
def rita(services):
    return builders.a_person(services.db, "rita", Role.qa)


@pytest.fixture
def world(services, ana, fal):
    return break_jobs(services, ana, fal, count=3 * len(Breakage))


def ids(job_ids):
    return [str(one) for one in job_ids]


def states(services, person, action_id):
    return {row.item_id: row.state for row in bulk.report(action_id, person, services).rows}


def purged(services):
    found = builders.rows(services.db, "SELECT id::text FROM jobs WHERE error_code = 'PURGED'")
    return {row[0] for row in found}


def failed_jobs(services, person, fal, count, **model):
    """Jobs that fal refused."""
    for _ in range(count):
        fal.fault("outcome", "content_policy")
    flux = next(
        one.model.id
        for one in generation.models_for(person, services)
        if one.model.model_key == "fal-ai/flux/dev"
    )
    character = builders.a_character(person, services)
    asked = [builders.a_waiting_job(person, services, character, model_id=flux).job_id for _ in range(count)]
    builders.work(services)
    return asked


def test_each_row_says_what_became_of_it_and_nothing_else_is_touched(services, quentin, world):
    shown = world.of(Breakage.platform_bare, Breakage.asset, Breakage.no_receipt)
    rest = {job_id for job_id in world.jobs if job_id not in shown}

    action_id = bulk.begin("purge", ids(shown), quentin, services, why=WHY)
    ended = bulk.run(action_id, quentin, services)

    assert purged(services) == set(ids(world.of(Breakage.platform_bare)))
    report = bulk.report(action_id, quentin, services)
    assert [row.item_id for row in report.rows] == ids(shown)
    assert (ended.done, ended.refused, ended.failed, ended.waiting) == (3, 6, 0, 0)
    assert ended.ended_at is not None
    refusals = {row.sentence for row in report.rows if row.state == "refused"}
    assert refusals == {
        "Its picture is there. Recover it instead.",
        "It is being sent to its provider. Look again when it has a receipt, or its outcome is unknown.",
    }
    assert {str(one) for one in rest}.isdisjoint(row.item_id for row in report.rows)


def test_beginning_freezes_the_rows_and_does_nothing_with_them(services, quentin, world):
    shown = ids(world.of(Breakage.platform_bare))
    before = digests(services)

    action_id = bulk.begin("purge", [*shown, shown[0]], quentin, services, why=f" {WHY} ")

    changed = {name for name, digest in digests(services).items() if digest != before[name]}
    assert changed == {"studio.bulk_actions", "studio.bulk_items", "studio.audit_events"}
    assert set(states(services, quentin, action_id).values()) == {"waiting"}
    [waiting] = bulk.unfinished(quentin, services)
    assert (waiting.items, waiting.why, waiting.is_interrupted) == (3, WHY, True)


def test_recovering_many_heals_what_can_be_and_refuses_the_rest_in_words(services, quentin, world):
    kinds = (Breakage.asset, Breakage.never_sent, Breakage.platform_bare, Breakage.healthy)

    action_id = bulk.begin("recover", ids(world.of(*kinds)), quentin, services, why=WHY)
    bulk.run(action_id, quentin, services)

    said = {}
    for row in bulk.report(action_id, quentin, services).rows:
        said.setdefault(world.jobs[UUID(row.item_id)], set()).add((row.state, row.sentence.split(".")[0]))
    assert said[Breakage.asset] == {("done", "It was completed from its picture, and its saving is queued")}
    assert said[Breakage.never_sent] == {("done", "It went back to the queue")}
    assert {state for state, _ in said[Breakage.platform_bare]} == {"refused"}
    assert said[Breakage.healthy] == {("refused", "It is no longer stuck")}


def test_a_row_that_was_mended_since_it_was_shown_is_refused_in_words(services, quentin, rita, world):
    shown = world.of(Breakage.never_sent)
    action_id = bulk.begin("recover", ids(shown), quentin, services, why=WHY)
    recovery.recover(services, only=shown[:1], person=rita)

    bulk.run(action_id, quentin, services)

    rows = bulk.report(action_id, quentin, services).rows
    assert [row.state for row in rows] == ["refused", "done", "done"]
    assert "no longer stuck" in rows[0].sentence


@pytest.mark.parametrize("kind", ["recover", "purge"])
def test_only_qa_and_admins_repair_many(services, ana, customer, world, kind):
    shown = ids(world.of(Breakage.platform_bare))

    for person in (ana, customer, builders.a_person(services.db, "petra", Role.product)):
        with pytest.raises(NotAllowed):
            bulk.begin(kind, shown, person, services, why=WHY)


def test_a_person_without_the_role_does_not_go_on_with_it(services, quentin, ana, world):
    action_id = bulk.begin("purge", ids(world.of(Breakage.platform_bare)), quentin, services, why=WHY)
    petra = builders.a_person(services.db, "petra", Role.product)

    for go_on in (bulk.run, bulk.stop):
        with pytest.raises(NotAllowed):
            go_on(action_id, petra, services)
    with pytest.raises(NotFound):  # an editor does not even see it
        bulk.run(action_id, ana, services)

    assert purged(services) == set()
    assert bulk.unfinished(quentin, services)[0].runs == 0


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"ids": []}, "ids"),
        ({"ids": [str(UUID(int=place)) for place in range(5001)]}, "ids"),
        ({"ids": ["the first one"]}, "ids"),
        ({"why": "  "}, "why"),
        ({"why": "x" * 501}, "why"),
        ({"kind": "delete"}, "kind"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(services, quentin, wrong, field):
    asked = {"kind": "purge", "ids": [str(UUID(int=1))], "why": WHY} | wrong
    before = digests(services)

    with pytest.raises(BadRequest) as refused:
        bulk.begin(asked["kind"], asked["ids"], quentin, services, why=asked["why"])

    assert refused.value.field == field
    assert digests(services) == before


def test_one_action_is_carried_out_by_one_run_at_a_time(services, quentin, rita, world):
    action_id = bulk.begin("purge", ids(world.of(Breakage.platform_bare)), quentin, services, why=WHY)
    with services.db.as_user(quentin) as conn:
        bulk_rows.take(conn, action_id, UUID(int=7), silent=bulk.SILENT)

    with pytest.raises(Conflict) as refused:
        bulk.run(action_id, rita, services)

    assert refused.value.reason == "BULK_RUNNING"
    assert purged(services) == set()


def test_two_who_begin_to_run_at_once_do_every_row_once(services, quentin, rita, world):
    shown = world.of(Breakage.platform_bare, Breakage.platform_asset)
    action_id = bulk.begin("purge", ids(shown), quentin, services, why=WHY)
    ended = []

    def run(person):
        try:
            ended.append(bulk.run(action_id, person, services))
        except Conflict as error:
            ended.append(error.reason)

    threads = [threading.Thread(target=run, args=(person,)) for person in (quentin, rita)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    noted = builders.rows(services.db, "SELECT row_id FROM studio.audit_events WHERE action = 'job_purged'")
    assert sorted(row[0] for row in noted) == sorted(ids(world.of(Breakage.platform_bare)))
    assert {row.tries for row in bulk.report(action_id, quentin, services).rows} == {1}
    assert len([one for one in ended if isinstance(one, str)]) == 1


class Lost(BaseException):
    """Stands for a process that is gone: nothing catches it."""


def lose_before_the_answer(monkeypatch, place):
    """The run is lost after the deed of one row, before its answer is stored."""
    real = bulk_rows.finish
    calls = []

    def wrapped(*args, **kwargs):
        calls.append(1)
        if len(calls) == place:
            raise Lost
        return real(*args, **kwargs)

    monkeypatch.setattr(bulk_rows, "finish", wrapped)


def silence(services):
    """Long enough ago that the run counts as lost."""
    with services.db.as_service() as conn:
        conn.execute("UPDATE studio.bulk_actions SET beat_at = beat_at - interval '1 hour'")


@pytest.mark.parametrize("kind", ["purge", "recover"])
def test_a_run_lost_between_the_deed_and_its_answer_is_followed_by_an_exact_report(
    services, quentin, rita, world, monkeypatch, kind
):
    shown = world.of(Breakage.platform_bare if kind == "purge" else Breakage.never_sent, Breakage.asset)
    action_id = bulk.begin(kind, ids(shown), quentin, services, why=WHY)
    with monkeypatch.context() as patched:
        lose_before_the_answer(patched, 2)
        with pytest.raises(Lost):
            bulk.run(action_id, quentin, services)
    silence(services)
    [left] = bulk.unfinished(rita, services)
    assert (left.is_interrupted, left.over, left.working) == (True, 1, 1)

    ended = bulk.run(action_id, rita, services)

    rows = bulk.report(action_id, rita, services).rows
    assert ended.over == len(shown)
    assert [row.tries for row in rows] == [1, 2, 1, 1, 1, 1]
    expected = {"purge": {Breakage.asset: "refused"}, "recover": {}}[kind]
    assert {row.state for row in rows} == {"done", *expected.values()}
    assert all(row.state == expected.get(world.jobs[UUID(row.item_id)], "done") for row in rows)
    noted = builders.rows(
        services.db,
        "SELECT row_id FROM studio.audit_events WHERE action = 'job_purged'"
        if kind == "purge"
        else "SELECT job_id::text FROM studio.recovery_steps WHERE action <> 'person' AND times = 1",
    )
    assert len(noted) == len({row[0] for row in noted}) == ended.done


def test_a_run_that_was_only_slow_changes_nothing_once_another_has_the_action(
    services, quentin, rita, world, monkeypatch
):
    shown = world.of(Breakage.platform_bare)
    action_id = bulk.begin("purge", ids(shown), quentin, services, why=WHY)
    real = bulk.DEEDS["purge"].act
    overtaken = []

    def slow(*args):
        if not overtaken:
            overtaken.append(True)
            silence(services)
            bulk.run(action_id, rita, services)
        return real(*args)

    deed = bulk.DEEDS["purge"]
    monkeypatch.setitem(vars(deed), "act", slow)
    with pytest.raises(LeaseLost):
        bulk.run(action_id, quentin, services)

    rows = bulk.report(action_id, rita, services).rows
    assert [row.state for row in rows] == ["done"] * 3
    assert (
        builders.one(services.db, "SELECT count(*) FROM studio.audit_events WHERE action = 'bulk_ended'") == 1
    )


def test_a_stopped_action_leaves_what_was_not_begun_and_says_so(services, quentin, world, monkeypatch):
    shown = world.of(Breakage.platform_bare)
    action_id = bulk.begin("purge", ids(shown), quentin, services, why=WHY)
    real = bulk.DEEDS["purge"].act

    def act(*args):
        bulk.stop(action_id, quentin, services)
        return real(*args)

    monkeypatch.setitem(vars(bulk.DEEDS["purge"]), "act", act)
    ended = bulk.run(action_id, quentin, services)

    assert (ended.done, ended.waiting) == (1, 2)
    assert ended.ended_at is not None
    assert purged(services) == {str(shown[0])}
    assert bulk.unfinished(quentin, services) == []


def test_an_interrupted_action_can_be_ended_where_it_stands(services, quentin, rita, world, monkeypatch):
    shown = world.of(Breakage.platform_bare)
    action_id = bulk.begin("purge", ids(shown), quentin, services, why=WHY)
    with monkeypatch.context() as patched:
        lose_before_the_answer(patched, 2)
        with pytest.raises(Lost):
            bulk.run(action_id, quentin, services)
    silence(services)

    bulk.stop(action_id, rita, services)

    report = bulk.report(action_id, rita, services)
    assert [row.state for row in report.rows] == ["done", "done", "waiting"]
    assert purged(services) == set(ids(shown[:2]))
    assert report.action.ended_at is not None


def test_a_row_that_breaks_stops_no_other(services, quentin, world, monkeypatch):
    shown = world.of(Breakage.platform_bare)
    action_id = bulk.begin("purge", ids(shown), quentin, services, why=WHY)
    real = bulk.DEEDS["purge"].act

    def act(one, *rest):
        if one == str(shown[1]):
            raise ZeroDivisionError
        return real(one, *rest)

    monkeypatch.setitem(vars(bulk.DEEDS["purge"]), "act", act)
    bulk.run(action_id, quentin, services)

    rows = bulk.report(action_id, quentin, services).rows
    assert [row.state for row in rows] == ["done", "failed", "done"]
    assert "made a mistake" in rows[1].sentence


def test_a_database_that_goes_away_leaves_the_action_to_be_resumed(services, quentin, world, monkeypatch):
    action_id = bulk.begin("purge", ids(world.of(Breakage.platform_bare)), quentin, services, why=WHY)
    with monkeypatch.context() as patched:

        def act(*_):
            raise DatabaseUnavailable("The database does not answer.")

        patched.setitem(vars(bulk.DEEDS["purge"]), "act", act)
        with pytest.raises(DatabaseUnavailable):
            bulk.run(action_id, quentin, services)
    silence(services)

    assert bulk.run(action_id, quentin, services).done == 3


def test_begin_resume_and_end_are_on_record_with_their_figures(services, quentin, rita, world, monkeypatch):
    action_id = bulk.begin("purge", ids(world.of(Breakage.platform_bare)), quentin, services, why=WHY)
    with monkeypatch.context() as patched:
        lose_before_the_answer(patched, 1)
        with pytest.raises(Lost):
            bulk.run(action_id, quentin, services)
    silence(services)
    bulk.run(action_id, rita, services)

    events = builders.rows(
        services.db,
        "SELECT action, who, why, after ->> 'done' FROM studio.audit_events WHERE table_name = 'bulk_actions' ORDER BY id",
    )
    assert [tuple(event) for event in events] == [
        ("bulk_begun", quentin.id, WHY, None),
        ("bulk_resumed", rita.id, None, None),
        ("bulk_ended", rita.id, None, "3"),
    ]


# -- what costs money -------------------------------------------------------------------------------------------------


def test_trying_many_again_asks_for_each_once_and_says_the_price_before(services, ana, fal):
    failed = failed_jobs(services, ana, fal, 3)

    price = bulk.price("retry", ids(failed), ana, services, {})
    action_id = bulk.begin("retry", ids(failed), ana, services, why=WHY)
    ended = bulk.run(action_id, ana, services)

    again = builders.rows(services.db, "SELECT retried_from FROM jobs WHERE retried_from IS NOT NULL")
    assert sorted(row[0] for row in again) == sorted(failed)
    assert (ended.done, ended.cost_usd) == (3, price.known)
    assert price.unknown == 0 < price.known


def test_a_resumed_action_never_buys_a_picture_twice(services, ana, fal, monkeypatch):
    failed = failed_jobs(services, ana, fal, 3)
    action_id = bulk.begin("retry", ids(failed), ana, services, why=WHY)
    with monkeypatch.context() as patched:
        lose_before_the_answer(patched, 2)
        with pytest.raises(Lost):
            bulk.run(action_id, ana, services)
    silence(services)

    ended = bulk.run(action_id, ana, services)

    assert ended.done == 3
    assert builders.one(services.db, "SELECT count(*) FROM jobs WHERE retried_from IS NOT NULL") == 3


def test_a_second_action_does_not_buy_what_the_first_one_asked_for(services, ana, ben, fal):
    failed = failed_jobs(services, ana, fal, 2)
    for person in (ana, ben):
        bulk.run(bulk.begin("retry", ids(failed), person, services, why=WHY), person, services)

    assert builders.one(services.db, "SELECT count(*) FROM jobs WHERE retried_from IS NOT NULL") == 2


def test_two_actions_at_once_over_the_same_jobs_buy_each_once(services, ana, ben, fal):
    failed = failed_jobs(services, ana, fal, 4)
    actions = [(bulk.begin("retry", ids(failed), person, services, why=WHY), person) for person in (ana, ben)]

    threads = [threading.Thread(target=bulk.run, args=(*action, services)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    again = builders.rows(services.db, "SELECT retried_from FROM jobs WHERE retried_from IS NOT NULL")
    assert sorted(row[0] for row in again) == sorted(failed)
    ended = bulk.just_ended(builders.a_person(services.db, "quentin", Role.qa), services)
    assert sum(one.done for one in ended) == sum(one.refused for one in ended) == len(failed)


@pytest.mark.parametrize("kind", ["retry", "cancel", "recover", "purge"])
def test_the_preview_and_the_action_refuse_the_same_rows_and_looking_changes_nothing(
    services, quentin, world, kind
):
    person = replace(quentin, roles=frozenset(Role))
    shown = ids(world.of(*(one for one in Breakage if one not in REFUSED_LATER)))
    before = digests(services)
    preview = bulk.DEEDS[kind].preview(shown, person, services, {})
    assert digests(services) == before

    action_id = bulk.begin(kind, shown, person, services, why=WHY)
    bulk.run(action_id, person, services)

    states = {row.item_id: row.state for row in bulk.report(action_id, person, services).rows}
    assert {one for one, state in states.items() if state == "refused"} == set(preview)
    assert "failed" not in states.values()


# Asking again looks deeper than a preview can: whether a paid result may still come, whose the character is.
REFUSED_LATER = {Breakage.failed_open, Breakage.failed_asset, Breakage.cancelled_asset}


def test_a_spending_limit_stops_before_it_is_passed(services, ana, fal):
    failed = failed_jobs(services, ana, fal, 3)
    price = bulk.price("retry", ids(failed), ana, services, {}).known / 3

    action_id = bulk.begin(
        "retry", ids(failed), ana, services, why=WHY, options={bulk.LIMIT: str(price * Decimal("2.5"))}
    )
    ended = bulk.run(action_id, ana, services)

    assert (ended.done, ended.refused, ended.cost_usd) == (2, 1, 2 * price)
    assert "spending limit" in bulk.report(action_id, ana, services, states=["refused"]).rows[0].sentence


def test_a_price_that_is_unknown_is_refused_under_a_limit_and_never_counted_as_nothing(services, ana, fal):
    failed = failed_jobs(services, ana, fal, 1)
    with services.db.as_service() as conn:
        conn.execute("DELETE FROM studio.model_prices")

    assert bulk.price("retry", ids(failed), ana, services, {}).unknown == 1
    action_id = bulk.begin("retry", ids(failed), ana, services, why=WHY, options={bulk.LIMIT: "5"})
    bulk.run(action_id, ana, services)

    [row] = bulk.report(action_id, ana, services).rows
    assert (row.state, row.sentence) == (
        "refused",
        "Its price is not known, and this action has a spending limit.",
    )


def test_the_report_tells_how_many_were_done_at_an_unknown_price(services, ana, fal):
    failed = failed_jobs(services, ana, fal, 1)
    with services.db.as_service() as conn:
        conn.execute("DELETE FROM studio.model_prices")

    action_id = bulk.begin("retry", ids(failed), ana, services, why=WHY)
    bulk.run(action_id, ana, services)

    ended = bulk.report(action_id, ana, services).action
    assert (ended.done, ended.cost_usd, ended.unpriced) == (1, 0, 1)
    assert panel._spent(ended) == ", 1 of unknown price"


@pytest.mark.parametrize("limit", ["-1", "much", "NaN", "Infinity"])
def test_a_spending_limit_is_an_amount(services, ana, limit):
    with pytest.raises(BadRequest) as refused:
        bulk.begin("retry", [str(UUID(int=1))], ana, services, why=WHY, options={bulk.LIMIT: limit})

    assert refused.value.field == bulk.LIMIT


def test_another_model_is_tried_for_many(services, ana, fal):
    failed = failed_jobs(services, ana, fal, 2)
    other = next(
        one.model.id
        for one in generation.models_for(ana, services)
        if one.available and one.model.model_key not in {"fal-ai/flux/dev", "sketch"}
    )

    with pytest.raises(BadRequest):
        bulk.begin("another_model", ids(failed), ana, services, why=WHY)
    action_id = bulk.begin(
        "another_model", ids(failed), ana, services, why=WHY, options={"model": str(other)}
    )
    bulk.run(action_id, ana, services)

    asked = builders.rows(
        services.db, "SELECT retried_from, api_model_id FROM jobs WHERE retried_from IS NOT NULL"
    )
    assert sorted(tuple(row) for row in asked) == sorted((job_id, other) for job_id in failed)


def test_cancelling_many_ends_what_waits_and_refuses_what_has_ended(services, ana, fal):
    [ended] = failed_jobs(services, ana, fal, 1)
    waiting = builders.a_waiting_job(ana, services, builders.a_character(ana, services)).job_id

    action_id = bulk.begin("cancel", ids([waiting, ended]), ana, services, why=WHY)
    bulk.run(action_id, ana, services)

    rows = bulk.report(action_id, ana, services).rows
    assert [(row.state, row.sentence) for row in rows] == [
        ("done", "It is cancelled; nothing was sent."),
        ("refused", "It has ended already: failed."),
    ]
    assert generation.outcome(waiting, ana, services).job.status is JobStatus.cancelled


def test_the_database_and_the_code_agree_on_who_may_do_what(services):
    with services.db.as_service() as conn:
        held = bulk_rows.roles_by_kind(conn)

    assert {kind: {role.value for role in deed.roles} for kind, deed in bulk.DEEDS.items()} == {
        kind: held.get(kind, {"qa", "admin"}) for kind in bulk.DEEDS
    }
