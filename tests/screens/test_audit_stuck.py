"""The stuck jobs page: its logic with Streamlit's own test driver, what QA does with it in a real Chromium."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from audit.stuck import sheet
from audit.tables import as_csv
from core import bulk
from core.audit.stuck import StuckFilter
from core.auth import LOCAL_PERSON
from core.values import Role
from tests.broken_jobs import Breakage, break_jobs
from tests.builders import one, rows
from tests.screens.browser import visit
from tests.screens.dashboard import keys_of, opened, pages_on, settled, text_of

WHY = "Left over from the outage."


@pytest.fixture
def world(services, fal):
    """Two jobs of every broken kind; what was paid for is kept for a day."""
    made = break_jobs(services, LOCAL_PERSON, fal, count=2 * len(Breakage))
    keep_for(services, "1 day")
    return made


def keep_for(services, span):
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE studio.submissions SET result_expires_at = now() + %s::interval WHERE request_id IS NOT NULL",
            (span,),
        )


def frame_of(page):
    """The list; the panel's report of each row is another one."""
    frame = next(frame.value for frame in page.dataframe if "Trouble" in frame.value)
    return frame.assign(Job=[link.partition("job=")[2][:8] for link in frame["Job"]])


def tick(page, *places):
    """Tick rows of the list, as a click on their boxes does."""
    key = page.session_state["stuck_table"]
    page.session_state[key] = {"selection": {"rows": list(places), "columns": [], "cells": []}}
    page.session_state["stuck_standing"] = True
    page.run()


def ended(services):
    """The actions that are over."""
    return bulk.just_ended(LOCAL_PERSON, services)


def test_nothing_stuck_is_good_news_and_said_so(pages):
    page = pages("stuck")

    assert "Nothing is stuck" in text_of(page)
    assert len(page.dataframe) == 0
    assert {"stuck_recover", "stuck_purge"}.isdisjoint(keys_of(page))


def test_one_stuck_job_is_explained_in_a_sentence_with_what_recovery_would_do(pages, services, world):
    [bare, *_] = world.of(Breakage.platform_bare)
    with services.db.as_service() as conn:
        conn.execute("DELETE FROM jobs WHERE id <> %s", (bare,))

    frame = frame_of(pages("stuck"))

    assert list(frame["Job"]) == [str(bare)[:8]]
    assert "without a result or a receipt; a person decides." in frame["Why"][0]
    assert frame["Recovery would"][0] == "Nothing: a person decides"
    assert frame["Trouble"][0] == ["Stuck"]


def test_all_kinds_are_counted_and_a_count_leads_to_its_jobs_and_back(pages, world):
    page = pages("stuck")
    assert len(frame_of(page)) == 2 * (len(Breakage) - 1)

    page.button(key="stuck_count_left").click().run()
    assert page.query_params["what"] == "left"
    assert set(map(tuple, frame_of(page)["Trouble"])) == {("Left behind",)}
    assert len(frame_of(page)) == 4
    page.button(key="stuck_count_left").click().run()

    assert "what" not in page.query_params
    assert len(frame_of(page)) == 2 * (len(Breakage) - 1)


def test_the_address_sets_trouble_provider_silence_and_rows(pages, world):
    page = pages("stuck", what="stuck", provider="fal", silent="Over 1 hour", rows="200 rows")

    assert page.selectbox(key="silent").value == "Over 1 hour"
    assert set(map(tuple, frame_of(page)["Trouble"])) == {("Stuck",)}
    assert "No job fits" in text_of(pages("stuck", what="stuck", silent="Over 7 days"))


def test_filters_that_find_nothing_can_be_lifted(pages, world):
    page = pages("stuck", what="unpublished", silent="Over 1 day")
    assert "No job fits" in text_of(page)

    page.button(key="lift").click().run()

    assert len(frame_of(page)) == 2 * (len(Breakage) - 1)


def test_a_result_that_its_provider_deletes_soon_stands_above_everything(pages, services, world):
    keep_for(services, "5 minutes")

    page = pages("stuck")

    assert "paid results are not with us yet and may be deleted soon." in text_of(page)
    assert frame_of(page)["Trouble"][0] == ["Result at risk"]
    assert frame_of(page)["Deadline"][0].startswith("in ")


def test_pages_lead_on_and_back(pages, services, fal):
    break_jobs(services, LOCAL_PERSON, fal, count=4 * len(Breakage))
    page = pages("stuck")
    first = list(frame_of(page)["Job"])
    assert len(first) == 50

    page.button(key="stuck_next").click().run()
    second = list(frame_of(page)["Job"])
    page.button(key="stuck_previous").click().run()

    assert len(second) == 4 * (len(Breakage) - 1) - 50
    assert set(first).isdisjoint(second)
    assert list(frame_of(page)["Job"]) == first


def test_a_query_that_takes_too_long_is_told_from_nothing(pages, services, world, monkeypatch):
    monkeypatch.setattr("core.db.READER_SECONDS", 0.2)  # the real limit, only smaller
    with services.db.as_service() as held:
        held.execute("LOCK TABLE studio.submissions IN ACCESS EXCLUSIVE MODE")
        said = text_of(pages("stuck"))

    assert "This took too long" in said
    assert "Nothing is stuck" not in said


def test_a_database_that_is_gone_is_told_from_nothing(pages, services, world):
    services.db.close()

    said = text_of(pages("stuck"))

    assert "cannot be reached" in said
    assert "Nothing is stuck" not in said


def test_an_editor_is_told_whom_to_ask_and_product_only_looks(services, world):
    with pages_on(services, replace(LOCAL_PERSON, roles=frozenset({Role.editor}))):
        page = opened("stuck")
        assert "needs the qa, product or admin role" in text_of(page)
        assert len(page.dataframe) == 0
    with pages_on(services, replace(LOCAL_PERSON, roles=frozenset({Role.product}))):
        page = opened("stuck")

    assert len(frame_of(page)) == 2 * (len(Breakage) - 1)
    assert {"stuck_recover", "stuck_purge"}.isdisjoint(keys_of(page))


def test_a_bulk_action_names_count_and_sample_says_what_is_left_and_asks_why(
    pages, services, world, eventually
):
    page = pages("stuck", what="stuck")
    shown = list(frame_of(page)["Job"])

    page.button(key="stuck_purge").click().run()
    said = text_of(page)
    assert said.count("<li>") >= 5
    assert f"and {len(shown) - 5} more that were shown" in said
    assert "will be left as they are" in said
    page.button(key="bulk_yes").click().run()
    assert "Say in a few words why" in text_of(page)
    assert rows(services.db, "SELECT FROM studio.bulk_actions") == []

    page.text_area(key="bulk_why").set_value(WHY)
    page.button(key="bulk_yes").click().run()
    eventually(lambda: ended(services), seconds=30)

    purged = rows(services.db, "SELECT id::text FROM jobs WHERE error_code = 'PURGED'")
    assert {row[0][:8] for row in purged} <= set(shown)
    report = bulk.report(ended(services)[0].id, LOCAL_PERSON, services).rows
    assert [row.item_id[:8] for row in report] == shown


def test_only_the_rows_that_were_ticked_are_recovered(pages, services, world, eventually):
    page = pages("stuck", what="left")
    shown = list(frame_of(page)["Job"])
    tick(page, 1, 2)

    page.button(key="stuck_recover").click().run()
    page.text_area(key="bulk_why").set_value(WHY)
    page.button(key="bulk_yes").click().run()
    eventually(lambda: ended(services), seconds=30)

    report = bulk.report(ended(services)[0].id, LOCAL_PERSON, services).rows
    assert [row.item_id[:8] for row in report] == shown[1:3]
    assert {row.state for row in report} == {"done"}
    page.run()
    assert set(frame_of(page)["Job"]).isdisjoint(shown[1:3])
    assert "2 of 2, 2 done" in text_of(page)


def test_who_lost_the_role_while_the_question_stood_open_begins_nothing(services, world):
    with pages_on(services):
        page = opened("stuck", what="stuck")
        page.button(key="stuck_purge").click().run()
        page.text_area(key="bulk_why").set_value(WHY)
    with pages_on(services, replace(LOCAL_PERSON, roles=frozenset({Role.product}))):
        page.button(key="bulk_yes").click().run()

        assert "needs the" in text_of(page)
    assert rows(services.db, "SELECT FROM studio.bulk_actions") == []


def test_leaving_the_question_begins_nothing(pages, services, world):
    page = pages("stuck", what="stuck")
    page.button(key="stuck_recover").click().run()

    page.button(key="bulk_no").click().run()

    assert "bulk_yes" not in keys_of(page)
    assert rows(services.db, "SELECT FROM studio.bulk_actions") == []


def test_one_ticked_job_is_explained_whole_and_its_unknown_outcome_is_settled_there(pages, services, world):
    [lost, other] = world.of(Breakage.no_receipt)
    with services.db.as_service() as conn:
        conn.execute("UPDATE jobs SET stage = 'outcome_unknown' WHERE id = ANY(%s)", ([lost, other],))
    page = pages("stuck", what="unknown")
    place = list(frame_of(page)["Job"]).index(str(lost)[:8])
    tick(page, place)

    page.button(key="do_settle").click().run()
    page.radio(key="settle_billed").set_value("No, it was not billed")
    page.text_area(key="settle_why").set_value("No request at that time.")
    page.button(key="dialog_yes").click().run()

    assert one(services.db, "SELECT error_code FROM jobs WHERE id = %s", (lost,)) == "GIVEN_UP"
    assert list(frame_of(page)["Job"]) == [str(other)[:8]]


def test_an_interrupted_action_is_offered_to_whoever_has_the_role(pages, services, world, eventually):
    ids = [str(job_id) for job_id in world.of(Breakage.platform_bare)]
    bulk.begin("purge", ids, LOCAL_PERSON, services, why=WHY)
    page = pages("stuck")
    [resume] = [key for key in keys_of(page) if key and key.startswith("bulk_resume_")]

    page.button(key=resume).click().run()
    eventually(lambda: ended(services), seconds=30)

    assert ended(services)[0].done == 2
    with pages_on(services, replace(LOCAL_PERSON, roles=frozenset({Role.product}))):
        assert resume not in keys_of(opened("stuck"))


def test_the_file_holds_every_job_with_its_explanation(services, world):
    lines = list(
        csv.DictReader(io.StringIO(as_csv(sheet(services, LOCAL_PERSON, StuckFilter())).decode("utf-8-sig")))
    )

    assert len(lines) == 2 * (len(Breakage) - 1)
    assert all(line["why"] and line["recovery_would"] for line in lines)
    assert {line["trouble"] for line in lines} == {"stuck", "paid", "left", "unsaved", "nameless"}


def patient(page):
    """On a machine that runs other suites too, a script of the dashboard may take long to come to its turn."""
    page.set_default_timeout(60_000)
    return page


# -- in a browser -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_qa_purges_what_the_platform_left_and_reads_what_became_of_each(
    browser, dashboard, services, world, scheme
):
    with visit(
        browser,
        f"{dashboard}/stuck?what=stuck&live=false",
        color_scheme=scheme,
        viewport={"width": 1440, "height": 900},
    ) as desk:
        page = patient(desk.page)
        expect(page.locator(".st-key-stuck_purge button")).to_be_visible(timeout=60_000)
        settled(page)
        page.locator(".st-key-stuck_purge button").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text("more that were shown")).to_be_visible(timeout=60_000)
        dialog.get_by_label("Why?").fill(WHY)
        dialog.get_by_label("Why?").press("Tab")
        dialog.get_by_role("button", name="Purge 26 jobs").click()
        expect(page.get_by_text("26 of 26")).to_be_visible(timeout=90_000)
        page.get_by_text("What became of each row").click()
        expect(page.get_by_role("button", name="CSV").first).to_be_visible(timeout=30_000)

    assert one(services.db, "SELECT count(*) FROM jobs WHERE error_code = 'PURGED'") == 10
    assert desk.watch.complaints == []
    assert desk.watch.outside == []


def test_qa_ticks_a_row_reads_why_and_follows_it_to_its_story(browser, dashboard, services, world):
    with visit(
        browser, f"{dashboard}/stuck?what=paid&live=false", viewport={"width": 1024, "height": 768}
    ) as desk:
        page = patient(desk.page)
        expect(page.get_by_test_id("stDataFrame")).to_be_visible(timeout=60_000)
        settled(page)
        box = page.get_by_test_id("stDataFrame").locator("canvas").first.bounding_box()
        page.mouse.click(box["x"] + 18, box["y"] + 36 + 29)
        expect(page.get_by_text("its provider may still give out the picture")).to_be_visible(timeout=60_000)
        page.get_by_role("link", name="Its whole story").click()
        expect(page.get_by_text("Receipt stored")).to_be_visible(timeout=60_000)

    assert desk.watch.complaints == []


def test_a_phone_does_not_scroll_sideways(browser, dashboard, world):
    with visit(browser, f"{dashboard}/stuck?live=false", viewport={"width": 390, "height": 844}) as desk:
        expect(desk.page.get_by_role("button", name="Outcome unknown")).to_be_visible(timeout=30_000)
        settled(desk.page)

        assert desk.page.evaluate("document.documentElement.scrollWidth") <= 390
