"""The box of the jobs page, causes, choosing rows, one job's whole story, and another model: by Streamlit's test driver
and in a real Chromium.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial

import pytest
from playwright.sync_api import expect

from audit import bulk
from audit.job_list import sheet
from audit.tables import as_csv
from core import billing, generation, recovery
from core.audit import job_filter, job_search
from core.audit.jobs import JobFilter
from core.auth import LOCAL_PERSON
from core.values import Role
from tests.builders import a_character, a_finished_portrait, a_person, a_waiting_job, one, rows, work
from tests.screens.browser import visit
from tests.screens.dashboard import keys_of, opened, pages_on, settled, text_of


@pytest.fixture
def audit(pages):
    return partial(opened, "jobs")


def model_named(services, key):
    return next(
        each.model.id for each in generation.models_for(LOCAL_PERSON, services) if each.model.model_key == key
    )


def asked(services, character=None, key="fal-ai/flux/dev"):
    subject = character or a_character(LOCAL_PERSON, services)
    made = a_waiting_job(LOCAL_PERSON, services, subject, model_id=model_named(services, key))
    work(services)
    return made.job_id


@pytest.fixture
def failed(services, fal):
    fal.fault("outcome", "content_policy")
    return asked(services)


@pytest.fixture
def finished(services):
    return a_finished_portrait(LOCAL_PERSON, services, a_character(LOCAL_PERSON, services)).job.id


def listed(page):
    return list(page.dataframe[0].value["Job"]) if page.dataframe else []


def short(*ids):
    return [str(one_id)[:8] for one_id in ids]


# -- the box ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "finds"),
    [("status:failed provider:fal", True), ("-status:failed", False), ("took>1h", False), ("refused", True)],
)
def test_the_box_narrows_the_list_and_stands_in_the_address(audit, failed, text, finds):
    page = audit(q=text)

    assert page.text_input(key="q").value == text
    assert listed(page) == (short(failed) if finds else [])


def test_a_filter_that_cannot_be_read_shows_no_list_but_where_and_what_and_the_nearest_word(audit, failed):
    page = audit(q="since:2d staus:failed")

    said = text_of(page)
    assert "since:2d <mark>staus:failed</mark>" in said
    assert "is nothing to filter by" in said
    assert "Nothing is listed until this can be read" in said
    assert len(page.dataframe) == 0
    assert "No job" not in said

    page.button(key="mend").click().run()

    assert page.text_input(key="q").value == "since:2d status:failed"
    assert listed(page) == short(failed)


def test_a_name_that_nobody_bears_shows_no_list_either(audit, failed):
    page = audit(q="provider:fla")

    assert "No provider is called “fla”" in text_of(page)
    assert len(page.dataframe) == 0
    page.button(key="mend").click().run()
    assert listed(page) == short(failed)


def test_ways_on_are_offered_behind_the_box_and_one_is_taken(audit, failed):
    page = audit(q="since:2d provider:")
    offered = [button.label for button in page.button if str(button.key).startswith("offer_")]
    assert "fal" in offered

    page.button(key=f"offer_{offered.index('fal')}").click().run()

    assert page.text_input(key="q").value == "since:2d provider:fal "
    assert listed(page) == short(failed)


def test_characters_are_offered_by_the_beginning_of_their_name(audit, failed):
    page = audit(q='character:"Juniper V')

    assert [button.label for button in page.button if str(button.key).startswith("offer_")] == [
        "Juniper Vale"
    ]


def test_an_example_can_be_taken_from_the_help(audit, failed):
    page = audit()

    page.button(key="example_status:failed since:2d").click().run()

    assert listed(page) == short(failed)


def test_what_was_looked_through_is_said_and_one_can_look_further_back(audit, services, failed, monkeypatch):
    monkeypatch.setattr(job_search, "LOOKED_AT", 2)
    for _ in range(3):
        a_waiting_job(LOCAL_PERSON, services, a_character(LOCAL_PERSON, services))

    page = audit(q="refused")
    assert "None fits so far" in text_of(page)
    assert "The 2 newest" in text_of(page)
    page.button(key="further").click().run()

    assert listed(page) == short(failed)


def test_the_file_holds_what_the_box_asks_for(services, failed, finished):
    found = as_csv(sheet(services, LOCAL_PERSON, JobFilter(), job_filter.parse("status:failed"))).decode(
        "utf-8-sig"
    )

    assert str(failed) in found
    assert str(finished) not in found


def test_what_is_typed_never_becomes_part_of_the_page(audit, failed):
    said = text_of(audit(q="status:<i>"))

    assert "<mark>status:&lt;i&gt;</mark>" in said
    assert "“&lt;i&gt;” is no status." in said
    assert "<i>" not in said


# -- causes -----------------------------------------------------------------------------------------------------------


def test_failures_are_grouped_by_cause_and_a_cause_leads_to_its_jobs(audit, services, fal, failed):
    again = asked_again(services, fal)
    page = audit(show="Causes of failure")
    said = text_of(page)
    assert "2×" in said
    assert "CONTENT_REFUSED" in said
    assert "1 cause, of 2 failed jobs" in said

    page.button(key=f"show_{again}").click().run()

    assert page.text_input(key="q").value.startswith("error:CONTENT_REFUSED model:fal-ai/flux/dev")
    assert set(listed(page)) == set(short(failed, again))


def asked_again(services, fal):
    fal.fault("outcome", "content_policy")
    return asked(services)


def test_without_failures_there_are_no_causes(audit, finished):
    assert "Nothing failed" in text_of(audit(show="Causes of failure"))


# -- one job's story --------------------------------------------------------------------------------------------------


def test_a_story_tells_what_was_done_about_the_job(audit, services):
    waiting = a_waiting_job(LOCAL_PERSON, services, a_character(LOCAL_PERSON, services)).job_id
    with services.db.as_service() as conn:
        conn.execute("DELETE FROM studio_queue.pgqueuer")
        conn.execute("UPDATE public.jobs SET created_at = now() - interval '2 hours'")
    recovery.recover(services, person=LOCAL_PERSON)
    with services.db.as_service() as conn:
        conn.execute("DELETE FROM studio_queue.pgqueuer")
        conn.execute("UPDATE public.jobs SET created_at = now() - interval '2 hours'")
    recovery.purge([waiting], LOCAL_PERSON, services, why="Asked for by mistake.")

    said = text_of(audit(job=str(waiting)))

    assert "Recovery: back to the queue" in said
    assert "Asked for by you" in said
    assert "Purged a job, by you" in said
    assert "Asked for by mistake." in said


def test_the_seven_checks_of_a_job_stand_in_its_story_and_its_files_are_looked_at_on_demand(
    audit, services, finished
):
    page = audit(job=str(finished))
    said = text_of(page)
    assert said.count('data-tone="good"><div><b>') == 5
    assert "Only rows were looked at, not the files." in said

    page.button(key="look_at_files").click().run()

    assert text_of(page).count("Passed.") == 7
    assert "look_at_files" not in keys_of(page)


def test_a_check_that_failed_says_what_is_wrong(audit, services, finished):
    with services.db.as_service() as conn:
        conn.execute("UPDATE public.user_library SET tags = '{}'")

    assert "Its library row lacks the tags character and portrait." in text_of(audit(job=str(finished)))


def test_what_the_provider_answered_is_shown_without_its_addresses(audit, services, failed):
    page = audit(job=str(failed))
    assert "request_id" not in text_of(page)

    page.toggle(key="show_answers").set_value(True).run()

    said = text_of(page)
    request = one(services.db, "SELECT request_id FROM studio.submissions")
    whole = one(services.db, "SELECT receipt ->> 'status_url' FROM studio.submissions")
    assert f"&quot;request_id&quot;: &quot;{request}&quot;" in said
    assert whole not in said
    assert "/…" in said


def test_an_editor_is_not_shown_what_the_provider_answered(services, failed):
    editor = a_person(services.db, "ed", Role.editor)

    with pages_on(services, editor):
        page = opened("jobs", job=str(failed))

    assert "show_answers" not in {toggle.key for toggle in page.toggle}


# -- another model ----------------------------------------------------------------------------------------------------


def test_another_model_is_tried_once_it_is_chosen_and_its_price_is_said_first(audit, services, fal, failed):
    other = next(
        each.model.id
        for each in generation.models_for(LOCAL_PERSON, services)
        if each.available and each.model.provider == "fal" and each.model.model_key != "fal-ai/flux/dev"
    )
    billing.set_price(other, "image", Decimal("0.03"), LOCAL_PERSON, services, source="their price list")
    page = audit(job=str(failed))

    page.button(key="do_another").click().run()
    page.button(key="dialog_yes").click().run()
    assert "Choose the model that is to be tried." in text_of(page)
    page.selectbox(key="other_model").select(str(other)).run()
    assert "Its price: **$0.03**" in text_of(page)
    assert len(rows(services.db, "SELECT id FROM public.jobs")) == 1
    page.button(key="dialog_yes").click().run()

    made = rows(services.db, "SELECT id, api_model_id FROM public.jobs WHERE retried_from = %s", (failed,))
    assert made == [(made[0][0], other)]
    assert page.query_params["job"] in (str(made[0][0]), [str(made[0][0])])
    again = generation.retry(failed, LOCAL_PERSON, services, model_id=other)
    assert (again.job_id, again.created) == (made[0][0], False)


def test_a_finished_job_offers_no_other_model(audit, finished):
    assert "do_another" not in keys_of(audit(job=str(finished)))


# -- choosing rows ----------------------------------------------------------------------------------------------------


def test_rows_are_chosen_and_one_thing_is_asked_for_them_all(audit, services, failed, finished):
    page = audit()
    page.toggle(key="choosing").set_value(True).run()
    assert page.button(key="bulk_retry").disabled
    shown = [row[0] for row in rows(services.db, "SELECT id FROM public.jobs ORDER BY created_at DESC")]
    key = f"jobs_chosen_{hash(tuple(shown)) & 0xFFFFFFFF:x}"

    page.session_state[key] = {"selection": {"rows": [1], "columns": [], "cells": []}}
    page.run()
    page.button(key="bulk_retry").click().run()

    pending = page.session_state[bulk._PENDING]
    assert [shown.id for shown in pending.shown] == [str(failed)]
    assert "Failed: Juniper Vale" in text_of(page)


def test_who_has_no_role_for_it_is_not_offered_to_choose(services, failed):
    product = a_person(services.db, "pru", Role.product)

    with pages_on(services, product):
        page = opened("jobs")

    assert listed(page) == short(failed)
    assert "choosing" not in {toggle.key for toggle in page.toggle}


# -- in a browser -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scheme", "size"), [("light", (1440, 900)), ("dark", (1024, 768))])
def test_qa_types_a_filter_is_helped_on_mends_a_slip_and_opens_the_job(
    browser, dashboard, services, failed, finished, scheme, size
):
    desk_of = {"viewport": {"width": size[0], "height": size[1]}, "color_scheme": scheme}

    with visit(browser, f"{dashboard}/jobs?live=false", **desk_of) as desk:
        page = desk.page
        expect(page.get_by_role("heading", name="Jobs")).to_be_visible(timeout=30_000)
        settled(page)
        box = page.get_by_role("textbox", name="Find jobs")
        box.press_sequentially("provider:", delay=30)
        expect(page.locator(".st-key-offered").get_by_role("button", name="fal")).to_be_visible()
        expect(page.get_by_test_id("stDataFrame")).to_have_count(0)
        box.press("Tab")  # the help beside the box
        page.locator(".st-key-offered").get_by_role("button", name="fal").press("Enter")
        expect(page.get_by_test_id("glide-cell-0-1")).to_have_text("Failed")
        settled(page)
        box.press("End")
        box.press_sequentially("staus:failed", delay=30)
        page.get_by_role("button", name="Did you mean status?").click()
        expect(page.get_by_test_id("glide-cell-0-0")).to_have_text("Failed")
        expect(box).to_have_value("provider:fal status:failed")
        settled(page)
        assert "q=provider%3Afal+status%3Afailed" in page.url.replace("%20", "+")
        grid = page.get_by_test_id("stDataFrame").bounding_box()
        page.mouse.click(grid["x"] + 180, grid["y"] + 36 + 20)
        expect(page.get_by_role("heading", name="Juniper Vale")).to_be_visible()

    assert desk.watch.complaints == []
    assert desk.watch.outside == []


def test_product_goes_from_a_cause_to_its_jobs_and_tries_another_model(
    browser, dashboard, services, fal, failed
):
    with visit(browser, f"{dashboard}/jobs?live=false&show=Causes+of+failure") as desk:
        page = desk.page
        expect(page.get_by_text("CONTENT_REFUSED")).to_be_visible(timeout=30_000)
        page.get_by_role("button", name="Show these jobs").click()
        expect(page.get_by_test_id("glide-cell-8-0")).to_have_text(str(failed)[:8])
        settled(page)
        grid = page.get_by_test_id("stDataFrame").bounding_box()
        page.mouse.click(grid["x"] + 180, grid["y"] + 36 + 20)
        page.get_by_role("button", name="Another model").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("button", name="Ask for it")).to_be_visible()
        settled(page)
        dialog.get_by_role("combobox", name="Model").click()
        page.get_by_role("option", name="Sketch").click()
        expect(dialog.get_by_text("Its price:")).to_be_visible()
        dialog.get_by_role("button", name="Ask for it").click()
        expect(page.get_by_text("Another model is asked: this is the new job.")).to_be_visible()

        made = one(services.db, "SELECT id FROM public.jobs WHERE retried_from = %s", (failed,))
        settled(page)
        assert f"job={made}" in page.url

    assert desk.watch.complaints == []
