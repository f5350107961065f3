"""The dashboard's record of what was done: its logic with Streamlit's test driver, its use in a real Chromium."""

from __future__ import annotations

import io
from functools import partial

import pandas as pd
import pytest
from playwright.sync_api import expect

from audit import activity as page_of
from audit.tables import as_csv, as_parquet
from core import recovery
from core.audit.activity import Wanted
from core.auth import LOCAL_PERSON
from core.values import Role
from tests.builders import a_character, a_person, a_waiting_job, an_event, one
from tests.screens.browser import visit
from tests.screens.dashboard import opened, pages_on, settled, text_of


@pytest.fixture
def record(pages):
    return partial(opened, "activity")


def note(services, action="budget_set", table="budgets", row="b1", person=LOCAL_PERSON, **values):
    an_event(services.db, person, action, table, row, **values)


@pytest.fixture
def purged(services):
    """A job of the local person that was purged with a reason."""
    asked = a_waiting_job(LOCAL_PERSON, services, a_character(LOCAL_PERSON, services))
    with services.db.as_service() as conn:
        conn.execute("DELETE FROM studio_queue.pgqueuer")
        conn.execute("UPDATE public.jobs SET created_at = now() - interval '2 hours'")
    [row] = recovery.purge([asked.job_id], LOCAL_PERSON, services, why="It was asked for twice.")
    assert row.refusal is None
    return asked.job_id


def test_an_empty_record_says_what_will_stand_there(record):
    assert "Nothing was done yet" in text_of(record())


def test_one_deed_says_who_what_to_which_row_and_why(record, services, purged):
    said = text_of(record())

    assert "Purged a job" in said
    assert "You" in said
    assert "It was asked for twice." in said
    assert f"/jobs?job={purged}" in said
    assert "1 of 1 events" in said


def test_what_changed_is_told_field_by_field(record, services):
    note(services, before={"limit_usd": "5", "hard": True}, after={"limit_usd": "9", "hard": True})

    said = text_of(record())

    assert "<dt>limit usd</dt><dd><del>5</del><ins>9</ins></dd>" in said
    assert "hard" not in said


def test_the_address_sets_what_is_shown_and_nothing_it_names_is_dropped(record, services, purged):
    note(services)
    note(services, "provider_paused", "provider_state", "fal", person=None)

    assert text_of(record(table="jobs")).count('class="au-event"') == 1
    assert "Set a budget" in text_of(record(action="budget_set"))
    assert "Paused a provider" in text_of(record(studio="true"))
    assert text_of(record(row=str(purged))).count('class="au-event"') == 1
    unheard_of = record(action="nobody_ever_did")
    assert "Nothing fits" in text_of(unheard_of)
    assert unheard_of.selectbox(key="activity_action").value == "nobody_ever_did"


def test_a_choice_goes_into_the_address_and_filters_can_be_lifted(record, services, purged):
    note(services)
    page = record()

    page.selectbox(key="activity_action").select("budget_set").run()
    assert page.query_params["action"] in ("budget_set", ["budget_set"])
    assert text_of(page).count('class="au-event"') == 1
    page.text_input(key="row").set_value("nothing such").run()
    page.button(key="lift").click().run()

    assert "action" not in page.query_params
    assert text_of(page).count('class="au-event"') == 2


def test_many_deeds_are_turned_by_pages(record, services):
    for number in range(60):
        note(services, f"deed_{number}")
    page = record()
    assert "50 of 60 events" in text_of(page)

    page.button(key="older").click().run()
    said = text_of(page)
    assert "Deed 9" in said
    assert "Deed 10" not in said
    page.button(key="newer").click().run()

    assert "Deed 59" in text_of(page)


def test_what_people_wrote_never_becomes_part_of_the_page(record, services):
    note(services, "deed<b>", "table<i>", "<img src=x>", why="<script>1</script>", after={"<u>": "<s>"})

    said = text_of(record())

    for tag in ("<b>", "<i>", "<img", "<script", "<u>", "<s>"):
        assert tag not in said.replace("<style>", "").split("au-events")[-1]


def test_a_person_without_the_role_is_told_so_and_reads_nothing(services, purged):
    editor = a_person(services.db, "ed", Role.editor)

    with pages_on(services, editor):
        page = opened("activity")

    assert "Not for this role" in text_of(page)
    assert "Purged" not in text_of(page)


def test_a_question_that_took_too_long_is_told_from_an_empty_record(record, services, purged, monkeypatch):
    monkeypatch.setattr("core.db.READER_SECONDS", 0.001)

    said = text_of(record())

    assert "This took too long" in said
    assert "Nothing was done" not in said


def test_a_database_that_is_gone_is_told_from_an_empty_record(record, services):
    services.db.close()

    said = text_of(record())

    assert "The database cannot be reached" in said
    assert "Nothing was done" not in said


def test_the_files_hold_what_is_shown(services, purged):
    note(services, why="=1+1")
    sheet = page_of.sheet(services, LOCAL_PERSON, Wanted(action="budget_set"))

    frame = pd.read_parquet(io.BytesIO(as_parquet(sheet)))
    text = as_csv(sheet).decode("utf-8-sig")

    assert list(frame["action"]) == ["budget_set"]
    assert list(frame["why"]) == ["=1+1"]
    assert text.splitlines()[0] == "at,who,action,table,row,before,after,why"
    assert "'=1+1" in text


def test_qa_finds_who_purged_a_job_and_reads_its_story(browser, dashboard, services, purged):
    note(services)

    with visit(browser, f"{dashboard}/activity?table=jobs") as desk:
        page = desk.page
        expect(page.get_by_role("heading", name="Activity")).to_be_visible(timeout=30_000)
        expect(page.get_by_role("heading", name="Purged a job")).to_be_visible()
        expect(page.get_by_text("“It was asked for twice.”")).to_be_visible()
        expect(page.get_by_role("heading", name="Set a budget")).to_have_count(0)
        page.locator(".au-by a").click()
        expect(page.get_by_role("heading", name="Juniper Vale")).to_be_visible(timeout=30_000)
        expect(page.get_by_text("Purged a job, by you")).to_be_visible()
        assert f"job={purged}" in page.url

    assert desk.watch.complaints == []
    assert desk.watch.outside == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_product_looks_for_budgets_on_a_phone_and_the_link_says_the_same(
    browser, dashboard, services, scheme
):
    note(services, before={"limit_usd": "5"}, after={"limit_usd": "9"})
    note(services, "provider_paused", "provider_state", "fal", person=None)
    phone = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}

    with visit(browser, f"{dashboard}/activity", **phone) as desk:
        page = desk.page
        expect(page.get_by_role("heading", name="Paused a provider")).to_be_visible(timeout=30_000)
        settled(page)
        page.get_by_role("combobox", name="Everything done").click()
        page.get_by_role("option", name="Set a budget").click()
        expect(page.get_by_role("heading", name="Paused a provider")).to_have_count(0)
        expect(page.get_by_role("heading", name="Set a budget")).to_be_visible()
        settled(page)
        link = page.url
        assert "action=budget_set" in link
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.goto(link)
        expect(page.get_by_role("heading", name="Set a budget")).to_be_visible(timeout=30_000)
        expect(page.get_by_role("heading", name="Paused a provider")).to_have_count(0)

    assert one(services.db, "SELECT count(*) FROM studio.audit_events") == 2  # looking left no trace
