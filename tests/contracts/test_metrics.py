"""GET /metrics: true numbers, each row counted once by however many processes, and never the reason the site is slow."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from pydantic import SecretStr

from core import queue, running
from core.db import counters
from tests.builders import (
    a_character,
    a_finished_portrait,
    a_person,
    a_waiting_job,
    one,
    rows,
    work,
)
from tests.fix_services import served

TOKEN = "a-token-for-numbers-only"


def samples(app, **headers):
    """Every sample of a scrape by name and labels."""
    answer = app.as_(None).get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in read_text(answer.text)
        for sample in family.samples
    }


@pytest.fixture
def fresh(monkeypatch):
    """Every scrape looks at the database anew."""
    monkeypatch.setattr("core.api.metrics.Meter.fresh", 0.0)


def catch_up(services):
    """Fold until every row is counted: a transaction of another test on the same server may delay that."""
    ends = time.monotonic() + 30
    while True:
        with services.db.as_service() as conn:
            counters.fold(conn)
        behind = one(
            services.db,
            """
            SELECT count(*) FROM studio.counted WHERE written_before <= coalesce(greatest(
                (SELECT max(written_in) FROM studio.job_events), (SELECT max(written_in) FROM studio.cost_entries)), 0)
            """,
        )
        if not behind:
            return
        assert time.monotonic() < ends, "the rows were not counted in time"
        time.sleep(0.05)


def value(found, name, **labels):
    return found.get((name, *sorted(labels.items())))


def total(found, name, **labels):
    """The sum over what `labels` leave open."""
    return sum(
        number
        for (found_name, *its), number in found.items()
        if found_name == name and labels.items() <= dict(its).items()
    )


# ---- true


def test_a_portrait_that_was_made_is_counted_with_its_time_and_its_cost(services, ana, app, fresh):
    a_finished_portrait(ana, services, a_character(ana, services))
    catch_up(services)

    found = samples(app)

    assert total(found, "studio_jobs_ended_total", provider="fal", status="completed") == 1
    assert total(found, "studio_job_seconds_count", provider="fal") == 1
    taken = one(services.db, "SELECT extract(epoch FROM completed_at - created_at)::float8 FROM jobs")
    assert abs(total(found, "studio_job_seconds_sum", provider="fal") - taken) < 1
    known, unknown = one(
        services.db, "SELECT coalesce(sum(amount_usd), 0), count(*) FILTER (WHERE amount_usd IS NULL) FROM studio.cost_entries"
    )  # fmt: skip
    assert total(found, "studio_cost_usd_total") == pytest.approx(float(known))
    assert total(found, "studio_cost_unknown_total") == unknown
    assert unknown > 0


def test_a_failed_job_is_counted_by_its_provider_and_code(services, ana, app, fal, fresh):
    fal.fault(at="outcome", kind="content_policy")
    a_waiting_job(ana, services, a_character(ana, services))
    work(services)
    catch_up(services)

    found = samples(app)

    assert value(found, "studio_job_errors_total", provider="fal", code="CONTENT_REFUSED") == 1
    assert total(found, "studio_jobs_ended_total", status="failed") == 1


def test_what_waits_is_shown_by_state_and_by_queue_with_its_age(services, ana, app, fresh):
    character = a_character(ana, services)
    first, second = (a_waiting_job(ana, services, character) for _ in range(2))
    running._claim(second.job_id, services)
    rows(
        services.db,
        "UPDATE studio_queue.pgqueuer SET execute_after = now() - interval '7 minutes' WHERE dedupe_key = %s RETURNING id",
        (f"job:{first.job_id}",),
    )

    found = samples(app)

    assert value(found, "studio_jobs", state="queued") == 1
    assert value(found, "studio_jobs", state="processing") == 1
    assert value(found, "studio_queue_depth", entrypoint="portrait_fal") == 2
    assert 419 < value(found, "studio_queue_oldest_seconds", entrypoint="portrait_fal") < 480
    assert value(found, "studio_workers_alive") == 0


def test_an_unknown_outcome_is_a_state_of_its_own_and_not_stuck(services, ana, app, fal, fresh):
    fal.fault(at="submit", kind="reset_after")
    a_waiting_job(ana, services, a_character(ana, services))
    work(services)

    found = samples(app)

    assert value(found, "studio_jobs", state="outcome_unknown") == 1
    assert value(found, "studio_jobs", state="processing") == 0
    assert value(found, "studio_jobs_stuck") == 0


def test_a_job_that_nobody_works_on_is_counted_as_stuck(services, ana, app, fresh):
    asked = a_waiting_job(ana, services, a_character(ana, services))
    rows(services.db, "DELETE FROM studio_queue.pgqueuer RETURNING id")
    rows(
        services.db,
        "UPDATE jobs SET created_at = now() - interval '1 hour' WHERE id = %s RETURNING id",
        (asked.job_id,),
    )

    assert value(samples(app), "studio_jobs_stuck") == 1


def test_a_finished_portrait_that_is_not_in_the_library_shows_as_auto_save_lag(services, ana, app, fresh):
    asked = a_waiting_job(ana, services, a_character(ana, services))
    rows(services.db, "DELETE FROM studio_queue.pgqueuer RETURNING id")
    with contextlib.suppress(running.AskAgain):
        for _ in range(200):
            with contextlib.suppress(running.AskAgain):
                running.run(asked.job_id, services)
            if one(services.db, "SELECT status FROM jobs") == "completed":
                break
    time.sleep(0.05)

    found = samples(app)
    rows(services.db, "DELETE FROM studio_queue.pgqueuer RETURNING id")
    with services.db.as_service() as conn:
        queue.put_autosave(conn, asked.job_id)
    work(services)
    after = samples(app)

    assert value(found, "studio_autosave_waiting") == 1
    assert value(found, "studio_autosave_lag_seconds") > 0.04
    assert (value(after, "studio_autosave_waiting"), value(after, "studio_autosave_lag_seconds")) == (0, 0)


def test_a_paid_result_that_only_the_provider_has_shows_its_deadline(services, ana, app, fresh):
    asked = a_waiting_job(ana, services, a_character(ana, services))
    rows(
        services.db,
        """
        INSERT INTO studio.submissions (job_id, attempt, lease, provider, model_key, request_id, receipt, received_at,
            result_expires_at)
        VALUES (%s, 1, 1, 'fal', 'a model', 'r1', '{}', now(), now() + interval '10 minutes') RETURNING id
        """,
        (asked.job_id,),
    )

    found = samples(app)

    assert value(found, "studio_results_at_risk") == 1
    assert 590 < value(found, "studio_results_nearest_deadline_seconds") <= 600


def test_what_recovery_would_not_save_or_hurry_for_rings_no_alarm(services, ana, app, fresh):
    finished = a_finished_portrait(ana, services, a_character(ana, services))
    gone = a_waiting_job(ana, services, a_character(ana, services, name="Gone Soon"))
    with services.db.as_service() as conn:
        conn.execute("DELETE FROM studio_queue.pgqueuer")
        conn.execute("SET LOCAL session_replication_role = replica")
        conn.execute("DELETE FROM user_library")
        conn.execute("UPDATE jobs SET stage = 'saving' WHERE id = %s", [finished.job.id])
        conn.execute("UPDATE workspace_assets SET deleted_at = now(), deleted_by = %s", [ana.id])
        conn.execute(
            """
            INSERT INTO studio.submissions (job_id, attempt, lease, provider, model_key, request_id, receipt, received_at)
            VALUES (%s, 1, 1, 'fal', 'a model', 'r1', '{}', now())
            """,
            [gone.job_id],
        )

    found = samples(app)

    assert value(found, "studio_autosave_waiting") == 0
    assert value(found, "studio_results_at_risk") == 0
    assert value(found, "studio_results_nearest_deadline_seconds") is None


def test_without_a_result_at_risk_there_is_no_deadline_that_an_alarm_could_ring_for(app, fresh):
    found = samples(app)

    assert value(found, "studio_results_at_risk") == 0
    assert value(found, "studio_results_nearest_deadline_seconds") is None


def test_a_provider_that_rests_for_everybody_is_shown(services, ana, app, fal, fresh):
    before = samples(app)
    fal.fault(at="submit", kind="balance_empty")
    a_waiting_job(ana, services, a_character(ana, services))
    work(services)

    after = samples(app)

    assert (
        value(before, "studio_provider_paused", provider="fal"),
        value(after, "studio_provider_paused", provider="fal"),
    ) == (0, 1)
    assert value(after, "studio_provider_paused", provider="sketch") == 0


def test_requests_are_counted_by_the_address_as_it_is_registered(app, ana, fresh):
    client = app.as_(ana)
    for _ in range(3):
        client.get(f"/functions/v1/jobs/{uuid4()}")
    client.get("/nowhere/at/all")
    client.get(f"/also/nowhere/{uuid4()}")

    found = samples(app)

    route = "/functions/v1/jobs/{job_id}"
    assert value(found, "studio_http_requests_total", method="GET", route=route, status="404") == 3
    assert value(found, "studio_http_request_seconds_count", method="GET", route=route) == 3
    assert value(found, "studio_http_requests_total", method="GET", route="other", status="404") == 2


def test_no_person_name_or_prompt_stands_in_the_numbers(services, ana, app, fresh):
    character = a_character(ana, services, name="Ophelia Quackenbush")
    outcome = a_finished_portrait(ana, services, character, own_words="riding a unicycle")

    text = app.as_(None).get("/metrics").text

    for secret in (str(ana.id), "ana", "Ophelia", "unicycle", str(character.id), str(outcome.job.id)):
        assert f'"{secret}' not in text
        assert len(secret) < 4 or secret not in text


# ---- once


def test_two_processes_tell_the_same_totals_and_count_no_row_twice(build, ana, fresh):
    first, second = build(), build()
    character = a_character(ana, first)
    for _ in range(3):
        a_finished_portrait(ana, first, character)

    with served(first) as one_app, served(second) as other_app, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda app: app.as_(None).get("/metrics"), [one_app, other_app] * 8))
        catch_up(first)
        found = [samples(app) for app in (one_app, other_app)]

    assert [total(one, "studio_jobs_ended_total", status="completed") for one in found] == [3, 3]
    assert [total(one, "studio_job_seconds_count") for one in found] == [3, 3]


def test_a_restart_forgets_no_total(build, ana, fresh):
    services = build()
    a_finished_portrait(ana, services, a_character(ana, services))
    catch_up(services)
    with served(services) as app:
        before = samples(app)

    with served(build()) as app:
        after = samples(app)

    assert total(after, "studio_jobs_ended_total") == total(before, "studio_jobs_ended_total") == 1


def test_a_row_whose_transaction_ends_after_younger_ones_were_counted_is_counted_too(services, ana, dsn):
    def an_entry(conn):
        conn.execute(
            """
            INSERT INTO studio.cost_entries (job_id, provider, model_key, kind, amount_usd)
            VALUES (%s, 'fal', 'a model', 'billed', 0.25)
            """,
            (uuid4(),),
        )

    def counted():
        with services.db.as_service() as conn:
            counters.fold(conn)
        with services.db.as_service() as conn:
            return counters.totals(conn).get(("cost_usd", ("fal", "billed")), 0)

    with psycopg.connect(dsn) as slow:
        an_entry(slow)
        with services.db.as_service() as conn:
            an_entry(conn)
        early = counted()
        slow.commit()
    catch_up(services)
    late = counted()

    assert (float(early), float(late), float(counted())) == (0, 0.5, 0.5)


def test_what_stood_before_the_counters_is_not_counted(services, ana):
    with services.db.as_service() as conn:
        conn.execute(
            """
            INSERT INTO studio.cost_entries (job_id, provider, model_key, kind, amount_usd, written_in)
            VALUES (%s, 'fal', 'a model', 'billed', 9, NULL)
            """,
            (uuid4(),),
        )

    catch_up(services)

    with services.db.as_service() as conn:
        assert counters.totals(conn) == {}


def test_more_rows_than_one_fold_takes_are_counted_by_the_next_ones(services, monkeypatch):
    monkeypatch.setattr(counters, "_ROWS", 10)
    for _ in range(35):
        with services.db.as_service() as conn:
            conn.execute(
                """
                INSERT INTO studio.cost_entries (job_id, provider, model_key, kind, amount_usd)
                VALUES (%s, 'fal', 'a model', 'billed', 0.01)
                """,
                (uuid4(),),
            )

    with services.db.as_service() as conn:
        counters.fold(conn)
        first = float(counters.totals(conn).get(("cost_usd", ("fal", "billed")), 0))
    catch_up(services)
    with services.db.as_service() as conn:
        all_of_them = float(counters.totals(conn)["cost_usd", ("fal", "billed")])

    assert first <= 0.1
    assert all_of_them == pytest.approx(0.35)


def test_after_a_restore_into_a_younger_server_counting_goes_on(services, ana):
    rows(services.db, "UPDATE studio.counted SET written_before = 1000000000000 RETURNING source")
    with services.db.as_service() as conn:
        counters.fold(conn)
    a_finished_portrait(ana, services, a_character(ana, services))
    catch_up(services)

    with services.db.as_service() as conn:
        ended = [key for key in counters.totals(conn) if key[0] == "jobs_ended"]

    assert [labels[2] for _, labels in ended] == ["completed"]


def test_a_flood_of_names_ends_in_one_series(services, monkeypatch):
    monkeypatch.setattr(counters, "MOST_SERIES", 5)
    with services.db.as_service() as conn:
        for number in range(12):
            conn.execute(
                """
                INSERT INTO studio.cost_entries (job_id, provider, model_key, kind, amount_usd)
                VALUES (%s, %s, 'a model', 'billed', 1)
                """,
                (uuid4(), f"provider-{number:02}"),
            )

    catch_up(services)
    with services.db.as_service() as conn:
        found = {key[1]: float(sum_) for key, sum_ in counters.totals(conn).items() if key[0] == "cost_usd"}

    assert len(found) == 6
    assert found["other", "other"] == 7
    assert sum(found.values()) == 12


# ---- cheap, and never in the way


def test_a_scrape_without_the_database_still_answers_and_says_so(build, ana, fresh):
    services = build()
    with served(services) as app:
        services.db.close()
        begun = time.monotonic()
        found = samples(app)
        taken = time.monotonic() - begun

    assert value(found, "studio_database_up") == 0
    assert value(found, "studio_jobs", state="queued") is None
    assert any(name == "studio_build_info" for name, *_ in found)
    assert taken < 5


def test_a_hung_database_holds_a_scrape_for_a_second_and_no_longer(services, app, dsn, fresh):
    with psycopg.connect(dsn) as held:
        held.execute("LOCK TABLE studio.counted, studio.workers, public.jobs IN ACCESS EXCLUSIVE MODE")
        begun = time.monotonic()
        found = samples(app)
        taken = time.monotonic() - begun
        held.rollback()

    assert value(found, "studio_database_up") == 0
    assert taken < 4


def test_a_question_that_takes_too_long_is_named_and_the_others_are_answered(services, app, dsn, fresh):
    with psycopg.connect(dsn) as held:
        held.execute("LOCK TABLE studio.workers IN ACCESS EXCLUSIVE MODE")
        answers = [samples(app) for _ in range(3)]
        held.rollback()

    assert value(answers[-1], "studio_workers_alive") is None
    named = [value(one, "studio_unanswered_questions", question="workers") for one in answers]
    assert 1 in named


def test_many_scrapes_share_one_look(services, app):
    client = app.as_(None)
    client.get("/metrics")

    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda _: client.get("/metrics").text, range(24)))

    looks = {
        line
        for text in texts
        for line in text.splitlines()
        if line.startswith("studio_database_look_seconds ")
    }
    assert len(looks) == 1


# ---- who may


@pytest.mark.parametrize(
    "passed_on",
    [{"X-Forwarded-For": "203.0.113.9"}, {"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=203.0.113.9"}],
    ids=str,
)
def test_what_a_proxy_on_this_machine_passes_on_reads_nothing_without_a_token(app, passed_on):
    answer = app.as_(None).get("/metrics", headers=passed_on)

    assert (answer.status_code, answer.json()["code"]) == (403, "NOT_ALLOWED")


@pytest.mark.parametrize(
    ("given", "status"), [(f"Bearer {TOKEN}", 200), ("Bearer wrong", 401), (f"Basic {TOKEN}", 401), ("", 401), ("Bearer é", 401)]
)  # fmt: skip
def test_with_a_token_another_machine_reads_them(build, given, status):
    with served(build(metrics_token=SecretStr(TOKEN))) as app:
        headers = {"X-Forwarded-For": "203.0.113.9"} | (
            {"Authorization": given.encode("latin-1")} if given else {}
        )
        answer = app.as_(None).get("/metrics", headers=headers)

    assert answer.status_code == status
    assert TOKEN not in answer.text


def test_a_token_that_is_set_is_asked_of_this_machine_too(build):
    with served(build(metrics_token=SecretStr(TOKEN))) as app:
        answers = [
            app.as_(None).get("/metrics", headers=headers)
            for headers in ({}, {"Authorization": f"Bearer {TOKEN}"})
        ]

    assert [answer.status_code for answer in answers] == [401, 200]


def test_openmetrics_is_spoken_to_who_asks_for_it(services, ana, app, fresh):
    a_finished_portrait(ana, services, a_character(ana, services))
    catch_up(services)

    answer = app.as_(None).get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    families = {family.name for family in read_openmetrics(answer.text)}
    assert {"studio_jobs_ended", "studio_job_seconds", "studio_http_requests", "studio_build"} <= families


def test_a_job_of_the_platform_that_was_removed_since_is_counted_without_a_name(services):
    person = a_person(services.db, "platform")
    with services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO public.jobs (id, user_id, job_type, status) VALUES (%s, %s, 'image', 'queued')",
            (gone := uuid4(), person.id),
        )
        conn.execute("UPDATE public.jobs SET status = 'completed' WHERE id = %s", (gone,))
        conn.execute("DELETE FROM public.jobs WHERE id = %s", (gone,))

    catch_up(services)
    with services.db.as_service() as conn:
        found = counters.totals(conn)

    assert found["jobs_ended", ("other", "other", "completed")] == 1
    assert [key for key in found if key[0] == "job_seconds"] == []
