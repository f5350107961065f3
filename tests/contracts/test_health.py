"""The health rules: each finds what it is for, says it in words with numbers, leads to a page, and is quiet otherwise."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest

from core import attributes, budgets, generation, health, notices
from core.audit import troubles
from core.audit.troubles import Rate
from core.errors import DatabaseUnavailable, NotAllowed, QueryTimedOut, StorageFailed
from core.health import WATCHER, Severity
from core.values import Role
from tests import builders
from tests.builders import a_character, a_person, a_waiting_job, work


@pytest.fixture
def services(build):
    """As in an installation: nobody is taken for dead because a test machine is busy."""
    return build(heartbeat_seconds=30, stuck_after=600)


@pytest.fixture
def qa(services):
    return a_person(services.db, "quinn", Role.qa)


@pytest.fixture
def pictured(services):
    """Every attribute image is there."""
    with services.db.as_service() as conn:
        for cell in attributes.all_cells(services.catalog):
            table = "style_images" if cell.category == "style" else "attribute_images"
            columns = "style" if cell.category == "style" else "category, value, style"
            values = (cell.style,) if cell.category == "style" else (cell.category, cell.value, cell.style)
            conn.execute(
                f"INSERT INTO public.{table} ({columns}, image_url)"
                f" VALUES ({', '.join(['%s'] * len(values))}, 'assets/x.jpg')",
                values,
            )


def found(services, person=WATCHER):
    return {one.rule: one for one in health.look(person, services).problems}


def sql(services, statement, *values):
    with psycopg.connect(services.db.dsn, autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute(statement, values)


def a_live_worker(services):
    sql(services, "INSERT INTO studio.workers (id, host, pid) VALUES (gen_random_uuid(), 'here', 1)")


@pytest.fixture
def flux(services, ana):
    return next(
        each.model.id
        for each in generation.models_for(ana, services)
        if each.model.model_key == "fal-ai/flux/dev"
    )


def test_a_quiet_world_has_no_problem(services, pictured, qa):
    seen = health.look(qa, services)

    assert seen.problems == ()
    assert seen.unanswered == ()
    assert seen.is_well
    assert seen.asked == tuple(rule.code for rule in health.RULES)


def test_a_busy_but_healthy_world_has_no_problem(services, pictured, ana, flux):
    a_live_worker(services)
    builders.a_finished_portrait(ana, services, a_character(ana, services), model_id=flux)
    a_waiting_job(ana, services, a_character(ana, services, name="Second"))

    assert health.look(WATCHER, services).problems == ()


def test_stuck_jobs_are_counted_with_how_long_they_stand(services, pictured, ana):
    asked = a_waiting_job(ana, services, a_character(ana, services))
    sql(
        services,
        "UPDATE public.jobs SET status = 'processing', created_at = now() - interval '1 hour',"
        " heartbeat_at = now() - interval '40 minutes', started_at = now() - interval '1 hour' WHERE id = %s",
        asked.job_id,
    )

    problem = found(services)["jobs.stuck"]

    assert problem.sentence.startswith("1 job stands still, the oldest for 40 min")
    assert (problem.page, problem.severity, problem.counted.number) == ("stuck", Severity.bad, 1)


def test_a_job_that_lives_is_not_stuck(services, pictured, ana):
    a_live_worker(services)
    asked = a_waiting_job(ana, services, a_character(ana, services))
    sql(
        services,
        "UPDATE public.jobs SET status = 'processing', heartbeat_at = now(), started_at = now() - interval '1 hour'"
        " WHERE id = %s",
        asked.job_id,
    )

    assert found(services) == {}


def test_an_unknown_outcome_leads_to_its_list(services, pictured, ana, fal, flux):
    fal.fault("submit", "reset_after")
    a_waiting_job(ana, services, a_character(ana, services), model_id=flux)
    work(services)

    problem = found(services)["jobs.outcome_unknown"]

    assert "1 paid request left without a receipt" in problem.sentence
    assert (problem.page, problem.query) == ("stuck", {"what": "unknown"})


def test_a_paid_result_at_risk_comes_first_with_its_deadline(services, ana, fal, flux):
    asked = a_waiting_job(ana, services, a_character(ana, services), model_id=flux)
    sql(
        services,
        "INSERT INTO studio.submissions (job_id, attempt, lease, provider, model_key, request_id, receipt, received_at,"
        " result_expires_at) VALUES (%s, 1, 1, 'fal', 'm', 'r', '{}', now(), now() + interval '8 minutes')",
        asked.job_id,
    )

    first = health.look(WATCHER, services).problems[0]

    assert first.rule == "results.at_risk"
    assert "1 paid result is not with us yet" in first.sentence
    assert first.nearest is not None
    assert timedelta(minutes=7) < first.nearest - datetime.now(UTC) < timedelta(minutes=8)


def test_a_queue_without_a_worker_is_said_and_with_one_it_is_not(services, pictured, ana):
    a_waiting_job(ana, services, a_character(ana, services))
    assert "1 entry waits" in found(services)["worker.none"].sentence

    a_live_worker(services)

    assert "worker.none" not in found(services)


def test_a_slow_queue_is_named_with_how_long_its_first_waits(services, pictured, ana):
    a_live_worker(services)
    a_waiting_job(ana, services, a_character(ana, services))
    sql(services, "UPDATE studio_queue.pgqueuer SET execute_after = now() - interval '20 minutes'")

    problem = found(services)["queue.old"]

    assert "20 min" in problem.sentence
    assert problem.subject.startswith("portrait_")


def test_a_paused_provider_says_why(services, pictured):
    sql(
        services,
        "INSERT INTO studio.provider_state (provider, paused_until, why)"
        " VALUES ('fal', now() + interval '20 minutes', 'the balance is empty')",
    )

    problem = found(services)["provider.paused"]

    assert problem.title == "fal is paused"
    assert "the balance is empty" in problem.sentence
    assert "20 min" in problem.sentence


def test_portraits_that_fail_a_check_lead_to_auto_save(services, pictured):
    sql(
        services,
        "INSERT INTO studio.proof_results (job_id, ended_at, row_codes) VALUES (gen_random_uuid(), now(), '{NO_PORTRAIT}')",
    )

    assert found(services)["autosave.broken"].page == "autosave"


def test_a_portrait_that_is_not_saved_for_long_is_auto_saves_lag(services, pictured, ana):
    done = builders.a_finished_portrait(ana, services, a_character(ana, services))
    sql(services, "UPDATE public.jobs SET stage = NULL, completed_at = now() - interval '1 hour'")
    sql(services, "DELETE FROM public.user_library WHERE job_id = %s", done.job.id)

    assert "60 min" in found(services)["autosave.lag"].sentence


def test_not_checked_is_not_passed(services, pictured, ana):
    builders.a_finished_portrait(ana, services, a_character(ana, services))
    assert "autosave.not_checked" not in found(services)

    sql(services, "UPDATE public.jobs SET completed_at = now() - interval '2 days'")
    assert "never run to its end" in found(services)["autosave.not_checked"].sentence
    sql(
        services,
        "INSERT INTO studio.proof_runs (with_objects, expected, started_at, finished_at)"
        " VALUES (true, 1, now() - interval '3 days', now() - interval '3 days')",
    )
    assert "ended 3 days ago" in found(services)["autosave.not_checked"].sentence
    sql(services, "UPDATE studio.proof_runs SET finished_at = now()")

    assert "autosave.not_checked" not in found(services)


def test_a_library_that_was_not_scanned_is_not_well(services, pictured, ana):
    builders.a_finished_portrait(ana, services, a_character(ana, services))
    sql(services, "UPDATE public.jobs SET completed_at = now() - interval '2 days'")
    assert "never run to its end" in found(services)["library.not_checked"].sentence

    sql(services, "INSERT INTO studio.stock_scans (started_at, finished_at) VALUES (now(), now())")

    assert "library.not_checked" not in found(services)


def test_findings_are_told_by_family_and_auto_saves_are_told_once(services, pictured):
    with services.db.as_service() as conn:
        for number in range(3):
            conn.execute("SELECT studio.note_finding('job.which_character', 'jobs', %s, 'x')", (str(number),))
        conn.execute("SELECT studio.note_finding('autosave.no_portrait', 'jobs', 'x', 'x')")

    [told] = [one for one in health.look(WATCHER, services).problems if one.rule == "findings.open"]

    assert (told.subject, told.counted.number) == ("job", 3)
    assert "3 findings are open" in told.sentence
    assert "Which character is it?" in told.sentence
    assert told.query == {"rule": "Which character is it?"}


def test_findings_that_were_set_aside_are_no_problem(services, pictured):
    with services.db.as_service() as conn:
        conn.execute("SELECT studio.note_finding('job.which_character', 'jobs', '1', 'x')")
        conn.execute("UPDATE studio.findings SET set_aside_at = now(), set_aside_why = 'it is right'")

    assert found(services) == {}


@pytest.mark.parametrize(
    ("limit", "severity", "words"),
    [("10", None, None), ("1.20", Severity.warn, "nearly"), ("0.90", Severity.bad, "refused")],
)
def test_a_budget_is_told_when_it_is_nearly_used_up(services, pictured, ana, limit, severity, words):
    admin = a_person(services.db, "ada", Role.admin)
    budgets.save(Decimal(limit), budgets.Period.month, admin, services, hard=True)
    sql(
        services,
        "INSERT INTO studio.cost_entries (job_id, user_id, provider, model_key, kind, amount_usd)"
        " SELECT %s::uuid, %s, 'fal', 'm', k, 1 FROM unnest(array['estimated', 'computed']) k",
        uuid4(),
        ana.id,
    )

    problem = found(services).get("budget.spent")

    assert (problem and problem.severity) == severity
    if words:
        assert words in problem.title + problem.sentence
        assert "$1.00" in problem.sentence


def test_missing_attribute_images_are_counted(services):
    problem = found(services)["attributes.missing"]

    assert problem.sentence.startswith("44 of 44")
    assert problem.page == "attributes"


def test_a_dropped_trigger_is_named(services, pictured):
    with psycopg.connect(services.db.dsn, autocommit=True) as conn:
        conn.execute("DROP TRIGGER audit_events_append_only ON studio.audit_events")

    problem = found(services)["schema.missing"]

    assert "trigger audit_events_append_only on studio.audit_events" in problem.sentence
    assert problem.page == "system"


def test_a_migration_that_was_not_applied_is_named_before_its_parts(services, pictured):
    sql(services, "DELETE FROM studio.schema_migrations WHERE version = '20261120255000'")

    problem = found(services)["schema.not_migrated"]

    assert "20261120255000_health.sql" in problem.sentence


def test_a_store_that_does_not_answer_is_told_and_an_old_look_is_none(services, pictured, monkeypatch):
    assert notices.look_at_store(services)
    assert "store.silent" not in found(services)

    sql(services, "UPDATE studio.health_looks SET at = now() - interval '1 hour'")
    assert "Not checked is not passed" in found(services)["store.silent"].sentence

    def away(*_):
        raise StorageFailed("The disk is gone.")

    monkeypatch.setattr(services.storage, "sizes", away)
    notices.look_at_store(services)

    assert "The disk is gone." in found(services)["store.silent"].sentence


@pytest.mark.parametrize(
    ("ended", "failed", "usual", "told"),
    [
        (9, 9, (1000, 0), None),  # too few to judge
        (100, 0, (1000, 0), None),
        (100, 6, (1000, 50), None),  # as usual
        (100, 9, (1000, 50), None),  # not twice
        (12, 2, (1000, 80), None),  # twice, and within chance
        (
            100,
            30,
            (1000, 50),
            "30 of 100 failed in the last 6 hours (30%); usual are 5%, by the 1,000 before",
        ),
        (10, 8, (3, 0), "too little before"),
        (10, 3, (3, 0), None),
    ],
)
def test_a_failure_rate_is_above_usual_only_with_a_basis(ended, failed, usual, told):
    rate = Rate(
        provider="fal",
        model_key="m",
        model="M",
        ended=ended,
        failed=failed,
        usual_ended=usual[0],
        usual_failed=usual[1],
    )

    said = health.above_usual(rate)

    assert (told is None) == (said is None)
    assert told is None or told in said


def test_failures_of_a_model_are_read_without_what_people_asked_for_wrongly(services, pictured, flux, ana):
    jobs = (
        [("failed", "PROVIDER_FAILED")] * 8 + [("failed", "CONTENT_REFUSED")] * 20 + [("completed", None)] * 4
    )
    for status, code in jobs:
        sql(
            services,
            "INSERT INTO public.jobs (user_id, job_type, status, api_model_id, error_code, metadata, completed_at)"
            " VALUES (%s, 'image', %s, %s, %s, %s, now())",
            ana.id,
            status,
            flux,
            code,
            json.dumps({}),
        )

    problem = found(services)["failures.above_usual"]

    assert "8 of 12 failed" in problem.sentence
    assert problem.query == {"q": "status:failed provider:fal since:6h"}


def test_a_rule_that_fails_leaves_the_others_standing(services, pictured, ana, monkeypatch):
    a_waiting_job(ana, services, a_character(ana, services))

    def slow(*_, **__):
        raise QueryTimedOut("too slow")

    monkeypatch.setattr(troubles, "stuck", slow)
    seen = health.look(WATCHER, services)

    assert [(one.rule, one.timed_out) for one in seen.unanswered] == [("jobs.stuck", True)]
    assert "jobs.stuck" not in seen.asked
    assert not seen.is_well
    assert "worker.none" in {one.rule for one in seen.problems}


def test_a_database_that_is_away_is_said_at_once(services, monkeypatch):
    def away(*_, **__):
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(troubles, "stuck", away)
    with pytest.raises(DatabaseUnavailable):
        health.look(WATCHER, services)


def test_an_editor_and_a_customer_do_not_see_the_health_of_the_whole(services, ana, customer):
    for person in (ana, customer):
        with pytest.raises(NotAllowed):
            health.look(person, services)
        for question in ("queue_stand()", "schedule_stand()", "applied_migrations()"):
            with pytest.raises(NotAllowed), services.db.as_reader(person) as conn:
                conn.execute(f"SELECT * FROM studio.{question}")
        with services.db.as_reader(person) as conn:
            assert conn.execute("SELECT count(*) FROM studio.health_state").fetchone() == (0,)


def test_looking_changes_nothing(services, ana):
    a_waiting_job(ana, services, a_character(ana, services))
    tables = ("health_state", "health_looks", "health_notices", "findings", "audit_events")
    standing = {name: builders.rows(services.db, f"SELECT * FROM studio.{name}") for name in tables}

    health.look(WATCHER, services)

    assert {name: builders.rows(services.db, f"SELECT * FROM studio.{name}") for name in tables} == standing


def test_a_rule_could_not_write_if_it_tried(services, pictured, monkeypatch):
    def writes(conn, *_):
        conn.execute("INSERT INTO studio.health_looks (name, ok, sentence) VALUES ('x', true, 'x')")

    monkeypatch.setattr(troubles, "stuck", writes)
    [unasked] = health.look(WATCHER, services).unanswered

    assert unasked.rule == "jobs.stuck"
    assert builders.rows(services.db, "SELECT name FROM studio.health_looks") == []
