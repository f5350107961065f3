"""The system page: what stands and what does not, keys never shown, news tried, and a test portrait from press to end."""

from __future__ import annotations

import threading

import psycopg
import pytest
from playwright.sync_api import expect
from pydantic import SecretStr

from audit.system import rhythm
from core import notices, worker
from core.auth import LOCAL_PERSON
from core.db import parts
from core.errors import QueryTimedOut, StorageFailed
from core.values import Role
from tests.builders import a_character, a_person, a_waiting_job, one, rows, work
from tests.contracts.test_notices import Receiver
from tests.screens.browser import visit
from tests.screens.dashboard import keys_of, pages_on, settled, text_of

KEY = "sb_secret_never_show_this_1234"


@pytest.fixture
def services(build):
    return build(team_sharing=True, heartbeat_seconds=30, stuck_after=600)


def test_a_fresh_installation_says_what_is_there_and_what_never_ran(pages):
    said = text_of(pages("system"))

    assert "No worker was ever started" in said
    assert "Nothing waits and nothing is being done." in said
    assert "not asked yet" in said
    assert "NOTIFY_WEBHOOK_URL is not set" in said
    assert "No worker has ever set its clock here." in said
    assert "Every part is there" in said
    assert f"{len(parts.expected())} triggers" in said


def test_a_dropped_trigger_is_named(pages, dsn):
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("DROP TRIGGER audit_events_append_only ON studio.audit_events")
    said = text_of(pages("system"))

    assert f"1 of {len(parts.expected())} parts are missing" in said
    assert "Trigger audit_events_append_only on studio.audit_events" in said


def test_a_migration_that_is_not_applied_is_named(pages, dsn):
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("DELETE FROM studio.schema_migrations WHERE version = '20261120255000'")

    assert "20261120255000_health.sql" in text_of(pages("system"))


def test_workers_are_told_apart_living_silent_and_gone(pages, services):
    with services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO studio.workers (id, host, pid, beat_at, stopped_at) VALUES"
            " (gen_random_uuid(), 'alive', 1, now(), NULL),"
            " (gen_random_uuid(), 'silent', 2, now() - interval '1 hour', NULL),"
            " (gen_random_uuid(), 'gone', 3, now() - interval '1 hour', now() - interval '1 hour')"
        )
    said = text_of(pages("system"))

    assert "alive, process 1" in said
    assert "silent: last heard of 60 min ago" in said
    assert "left by itself 60 min ago" in said
    assert "None is alive" not in said


def test_the_queue_is_told_in_words(pages, services):
    a_waiting_job(LOCAL_PERSON, services, a_character(LOCAL_PERSON, services))
    said = text_of(pages("system"))

    assert "1 waiting" in said
    assert "Pictures at" in said


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("* * * * * */5", "every 5 s"),
        ("*/1 * * * *", "every minute"),
        ("*/15 * * * *", "every 15 min"),
        ("23 4 * * *", "daily at 04:23"),
        ("41 */1 * * *", "every hour at :41"),
        ("41 */6 * * *", "every 6 hours at :41"),
        ("0 4 1 * *", "0 4 1 * *"),
    ],
)
def test_a_clock_is_said_in_words(expression, said):
    assert rhythm(expression) == said


def test_the_store_is_asked_on_press_and_its_age_is_said(pages, services, monkeypatch):
    page = pages("system")
    page.button(key="ask_store").click().run()
    assert "It answers in" in text_of(page)

    def away(*_):
        raise StorageFailed("The disk is gone.")

    monkeypatch.setattr(services.storage, "sizes", away)
    page.button(key="ask_store").click().run()

    assert "The disk is gone" in text_of(page)


def test_a_provider_is_asked_on_press_only(pages, services):
    page = pages("system")
    assert rows(services.db, "SELECT name FROM studio.health_looks") == []

    page.button(key="ask_fal").click().run()

    assert one(services.db, "SELECT name FROM studio.health_looks") == "provider.fal"
    assert "It answers in" in text_of(page)


def test_an_admin_resumes_a_paused_provider_here(pages, services):
    with services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO studio.provider_state (provider, paused_until, why)"
            " VALUES ('fal', now() + interval '1 hour', 'the balance is empty')"
        )
    page = pages("system")
    assert "fal is paused" in text_of(page)

    page.button(key="resume_fal").click().run()

    assert "fal is paused" not in text_of(page)
    assert one(services.db, "SELECT action FROM studio.audit_events") == "provider_resumed"


@pytest.mark.parametrize("role", [Role.qa, Role.product])
def test_only_an_admin_is_offered_to_resume_and_to_send_a_test(build, role):
    services = build(notify_webhook_url=SecretStr("http://127.0.0.1:1/x"), heartbeat_seconds=30)
    with services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO studio.provider_state (provider, paused_until) VALUES ('fal', now() + interval '1 h')"
        )
    with pages_on(services, a_person(services.db, "quinn", role)) as opened:
        keys = keys_of(opened("system"))

    assert "resume_fal" not in keys
    assert "send_test" not in keys
    assert "trial_begin" in keys


def test_keys_are_said_to_be_set_and_never_shown(build):
    services = build(
        fal_key=SecretStr(KEY),
        notify_webhook_url=SecretStr(f"https://hooks.example/{KEY}"),
        public_url=f"https://me:{KEY}@studio.example/{KEY}?token={KEY}",
        heartbeat_seconds=30,
    )
    with pages_on(services) as opened:
        page = opened("system")
        frame = next(one.value for one in page.dataframe if "Setting" in one.value)

    shown = dict(zip(frame["Setting"], frame["Value"], strict=True))
    assert shown["FAL_KEY"] == shown["NOTIFY_WEBHOOK_URL"] == "set"
    assert shown["PUBLIC_URL"] == "https://studio.example"
    assert shown["DATABASE_URL"] == "not set"
    assert KEY not in text_of(page) + frame.to_csv()


def test_an_admin_sends_a_test_message_and_is_told_what_came_of_it(build):
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    services = build(notify_webhook_url=SecretStr(receiver.url), heartbeat_seconds=30)
    with pages_on(services) as opened:
        page = opened("system")
        page.button(key="send_test").click().run()
        told = [one.value for one in page.toast]
        receiver.says = [500]
        page.button(key="send_test").click().run()
        refused = [one.value for one in page.toast]
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join()

    assert told == ["The test message was sent. Taken (HTTP 200)."]
    assert refused == ["The test message was not taken. It answered HTTP 500."]
    assert len(receiver.got) == 2


def test_what_broke_and_healed_is_listed(pages, services):
    notices.watch(services)
    said = text_of(pages("system"))

    assert "needs a look" in said
    assert "44 of 44 pictures" in said


def test_a_question_that_takes_too_long_says_so_and_the_rest_stands(pages, monkeypatch):
    def slow(*_, **__):
        raise QueryTimedOut("too slow")

    monkeypatch.setattr(parts, "schedules", slow)
    said = text_of(pages("system"))

    assert "took too long" in said
    assert "Every part is there" in said


def test_a_person_without_a_role_is_told_so_and_shown_nothing(services, customer):
    with pages_on(services, customer) as opened:
        page = opened("system")

    assert "needs the editor, qa, product or admin role" in text_of(page)
    assert "trial_begin" not in {button.key for button in page.button}


def test_a_test_portrait_without_a_worker_says_why_it_waits_and_can_be_stopped(pages, services):
    page = pages("system")
    page.button(key="trial_begin").click().run()
    assert "No worker is running" in text_of(page)
    assert page.button(key="trial_begin").disabled

    page.button(key="trial_stop").click().run()

    assert "was cleared away" in text_of(page)
    assert one(services.db, "SELECT status FROM public.jobs") == "cancelled"
    assert rows(services.db, "SELECT id FROM public.characters WHERE deleted_at IS NULL") == []


def test_a_test_portrait_shows_each_step_and_clears_itself_away(pages, services):
    page = pages("system")
    page.button(key="trial_begin").click().run()
    work(services)
    page.run()
    page.run()
    said = text_of(page)

    assert "Everything works." in page.success[0].value
    assert said.count('<li data-state="done"') == 5
    assert "bin for 7 days" in said
    assert rows(services.db, "SELECT id FROM public.characters WHERE deleted_at IS NULL") == []


def test_a_person_tries_the_whole_product_with_one_press(browser, dashboard, services):
    with worker.in_thread(services), visit(browser, f"{dashboard}/system") as desk:
        page = desk.page
        page.get_by_role("button", name="Make one").click(timeout=60_000)
        expect(page.get_by_text("Everything works.")).to_be_visible(timeout=90_000)
        expect(page.get_by_text("The character shows it")).to_be_visible()
        page.get_by_role("link", name="Its job").click()
        expect(page.get_by_role("heading", name="Test portrait")).to_be_visible(timeout=30_000)

    assert desk.watch.outside == []


@pytest.mark.parametrize(("width", "scheme"), [(1440, "dark"), (390, "light")])
def test_the_system_page_fits_every_window(browser, dashboard, services, width, scheme):
    with visit(
        browser,
        f"{dashboard}/system?live=false",
        viewport={"width": width, "height": 844},
        color_scheme=scheme,
    ) as desk:
        expect(desk.page.get_by_text("Every part is there")).to_be_visible(timeout=60_000)
        settled(desk.page)

        assert desk.page.evaluate("document.documentElement.scrollWidth") <= width
