"""The findings page: its logic with Streamlit's own test driver, and what QA does there in a real Chromium."""

from dataclasses import replace

import pytest
from playwright.sync_api import expect

from audit.finding_list import sheet
from audit.tables import as_csv
from core import proof
from core.audit import findings as questions
from core.audit.findings import FindingFilter
from core.auth import LOCAL_PERSON
from core.db import activity
from core.values import PersonId, Role
from tests.builders import a_character, a_finished_portrait, a_person, an_event, one, rows
from tests.contracts.test_proof import by_hand
from tests.screens.browser import visit
from tests.screens.dashboard import keys_of, pages_on, settled, text_of

ED = replace(LOCAL_PERSON, roles=frozenset({Role.editor}))
PAT = replace(LOCAL_PERSON, roles=frozenset({Role.product}))
MOVED = "Another writer tried to move this job from completed to failed."


def found(services, rule="job.illegal_move", row="5f0e9d10-aaaa-4bbb-8ccc-000000000001", sentence=MOVED):
    with services.db.as_service() as conn:
        activity.find(conn, rule, "jobs", row, sentence)
    return one(services.db, "SELECT id FROM studio.findings WHERE rule = %s AND row_id = %s", [rule, row])


@pytest.fixture
def finding(services):
    return found(services)


def table(page):
    return page.dataframe[0].value


def tick(page, services, *places):
    """Tick rows of the table by their place."""
    with services.db.as_reader(LOCAL_PERSON) as conn:
        shown = questions.page(conn, FindingFilter()).rows
    key = f"findings_{hash((None, *((row.id, row.owner, row.state) for row in shown))) & 0xFFFFFFFF:x}"
    page.session_state[key] = {"selection": {"rows": list(places), "columns": [], "cells": []}}
    page.run()


def actions_of(services):
    return rows(services.db, "SELECT action FROM studio.audit_events ORDER BY id")


def test_without_a_finding_the_page_says_so_and_where_checks_stand(pages):
    said = text_of(pages("findings"))

    assert "No open finding" in said
    assert "0 open · 0 mended · 0 set aside" in said


def test_a_finding_stands_with_its_rule_in_words(pages, finding):
    page = pages("findings")

    said = text_of(page)
    assert "Another program moved a job the wrong way" in said
    assert "1 open" in said
    line = table(page).iloc[0]
    assert (line["What was found"], line["Row"], line["Times"]) == (MOVED, "Job 5f0e9d10", 1)
    assert line["Owner"] == "–"


def test_a_rule_opens_with_its_meaning_who_mends_it_and_what_to_do(pages, services, finding):
    found(services, "asset.foreign_job", "row-2", "A user wrote a result.")
    page = pages("findings")

    page.button(key="show_job.illegal_move").click().run()

    said = text_of(page)
    assert "Read the job&#x27;s story" in said
    assert "Who mends it" in said
    assert len(table(page)) == 1
    assert page.selectbox(key="rule").value == "Another program moved a job the wrong way"
    page.button(key="every_rule").click().run()
    assert len(table(page)) == 2


@pytest.mark.parametrize(
    ("address", "number"),
    [
        ({"rule": "Another program moved a job the wrong way"}, 1),
        ({"rule": "Library file missing"}, 0),
        ({"state": "Mended"}, 0),
        ({"owner": "Mine"}, 0),
        ({"owner": "Nobody's"}, 1),
        ({"age": "Found within 24 hours"}, 1),
        ({"age": "Older than 7 days"}, 0),
    ],
)
def test_the_address_sets_the_filters_and_they_can_be_lifted(pages, finding, address, number):
    page = pages("findings", **address)

    assert len(page.dataframe) == number
    if not number and "state" not in address:
        page.button(key="lift").click().run()
        assert len(table(page)) == 1


def test_a_finding_is_taken_noted_and_set_aside_with_a_reason(pages, services, finding):
    page = pages("findings", finding=str(finding))
    page.button(key="take").click().run()
    assert "1 finding is yours." in [toast.value for toast in page.toast]
    page.button(key="note").click().run()
    page.text_area(key="finding_why").set_value("Asked the platform's team.")
    page.button(key="finding_yes").click().run()
    page.button(key="set_aside").click().run()
    page.button(key="finding_yes").click().run()
    refused = text_of(page)
    page.text_area(key="finding_why").set_value("They do this on purpose.")
    page.button(key="finding_yes").click().run()

    said = text_of(page)
    assert "Say in a few words why it is right" in refused
    assert "Asked the platform" in said
    assert "They do this on purpose." in said
    assert [row[0] for row in actions_of(services)] == [
        "finding_assigned",
        "finding_noted",
        "finding_set_aside",
    ]
    assert "bring_back" in keys_of(page)
    page.button(key="bring_back").click().run()
    assert one(services.db, "SELECT set_aside_at FROM studio.findings") is None


def test_ticked_findings_are_set_aside_together_and_no_other(pages, services, finding):
    others = [found(services, row=f"row-{number}") for number in range(2)]
    page = pages("findings")
    tick(page, services, 0, 1)

    page.button(key="set_aside").click().run()
    found(services, row="row-3")  # after the question was asked
    page.text_area(key="finding_why").set_value("Both are known.")
    page.button(key="finding_yes").click().run()

    aside = {
        row[0] for row in rows(services.db, "SELECT id FROM studio.findings WHERE set_aside_at IS NOT NULL")
    }
    assert aside == set(others)


def test_a_finding_is_given_to_a_colleague_by_name(pages, services, finding):
    rita = a_person(services.db, "rita", Role.qa)
    an_event(services.db, rita, "looked", "findings", "0")  # she works here
    page = pages("findings", finding=str(finding))

    page.button(key="give").click().run()
    name = next(option for option in page.selectbox(key="finding_to").options if option.startswith("rita"))
    page.selectbox(key="finding_to").set_value(name)
    page.button(key="finding_yes").click().run()

    assert one(services.db, "SELECT owner FROM studio.findings") == PersonId(rita.id)
    assert name in text_of(page)


def test_one_finding_leads_to_the_page_that_mends_it(pages, services):
    job_id = a_finished_portrait(LOCAL_PERSON, services, a_character(LOCAL_PERSON, services)).job.id
    by_hand(services, "UPDATE user_library SET tags = '{}'")
    proof.run_proof(services)
    number = one(services.db, "SELECT id FROM studio.findings")

    page = pages("findings", finding=str(number))

    links = {link.proto.label: link.proto for link in page.get("page_link")}
    assert set(links) == {"Open it under Auto-save", "Read the job’s story"}
    assert str(job_id) in str(links["Open it under Auto-save"])


@pytest.mark.parametrize("named", ["nonsense", "999999", "9" * 30])
def test_a_link_to_no_finding_says_so_and_leads_back(pages, finding, named):
    page = pages("findings", finding=named)
    assert "No such finding" in text_of(page)

    page.button(key="back").click().run()

    assert len(table(page)) == 1


def test_product_may_take_a_finding_and_not_set_it_aside_and_an_editor_sees_none(services, finding):
    with pages_on(services, PAT) as pages:
        page = pages("findings", finding=str(finding))
    with pages_on(services, ED) as pages:
        nothing = pages("findings", finding=str(finding))

    assert {"take", "give", "note"} <= keys_of(page)
    assert "set_aside" not in keys_of(page)
    assert "needs the qa" in text_of(nothing)
    assert "No such finding" in text_of(nothing)


def test_what_another_program_wrote_never_becomes_part_of_the_page(pages, services):
    number = found(services, sentence="<img src=x onerror=alert(1)>")

    for page in (pages("findings"), pages("findings", finding=str(number))):
        assert "<img src=x" not in text_of(page)


def test_a_database_that_is_gone_and_one_that_is_slow_are_told_from_an_empty_one(
    pages, services, finding, monkeypatch
):
    monkeypatch.setattr("core.db.READER_SECONDS", 0.001)  # the real limit, only shorter
    slow = text_of(pages("findings"))
    services.db.close()
    gone = text_of(pages("findings"))

    assert "This took too long" in slow
    assert "The database cannot be reached" in gone
    assert "No open finding" not in slow + gone


def test_the_file_holds_every_finding_and_nothing_a_spreadsheet_would_run(services, finding):
    found(services, row="row-2", sentence="=1+1")

    lines = as_csv(sheet(services, LOCAL_PERSON, FindingFilter())).decode("utf-8-sig").splitlines()

    assert len(lines) == 3
    assert ",'=1+1," in lines[1]
    assert lines[2].startswith(f"{finding},job.illegal_move,Another program moved a job the wrong way,")


def test_the_list_turns_its_pages(pages, services, monkeypatch):
    for number in range(3):
        found(services, row=f"row-{number}")
    monkeypatch.setattr("audit.finding_list.PER_PAGE", 2)
    page = pages("findings")

    page.button(key="older").click().run()

    assert list(table(page)["Row"]) == ["Job row-0"]


# ---- in a browser


def test_qa_finds_a_rule_opens_a_finding_and_follows_it_to_its_repair(browser, dashboard, services):
    a_finished_portrait(LOCAL_PERSON, services, a_character(LOCAL_PERSON, services))
    by_hand(services, "UPDATE user_library SET tags = '{}'")
    proof.run_proof(services, with_objects=True)

    with visit(browser, f"{dashboard}/findings?live=false", viewport={"width": 1440, "height": 900}) as desk:
        page = desk.page
        expect(page.get_by_text("Library row lacks its tags").first).to_be_visible(timeout=30_000)
        page.get_by_role("button", name="Show", exact=True).first.click()
        expect(page.get_by_text("What to do")).to_be_visible()
        settled(page)
        box = page.get_by_test_id("stDataFrame").bounding_box()
        page.mouse.click(box["x"] + 120, box["y"] + 36 + 18)
        page.get_by_role("link", name="Open it under Auto-save").click()
        expect(page.get_by_text("Broken at 3, library row.")).to_be_visible(timeout=30_000)
        page.get_by_role("button", name="Repair").click()
        expect(page.get_by_text("Mended: library row lacks its tags.")).to_be_visible(timeout=30_000)
        page.get_by_role("link", name="Library row lacks its tags").click()
        expect(page.get_by_text("by you")).to_be_visible(timeout=30_000)

    assert one(services.db, "SELECT mended_by FROM studio.findings") == LOCAL_PERSON.id
    assert desk.watch.complaints == []
    assert desk.watch.outside == []


@pytest.mark.parametrize(("width", "scheme"), [(1024, "dark"), (390, "light")])
def test_qa_sets_a_finding_aside_from_the_list(browser, dashboard, services, finding, width, scheme):
    size = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    with visit(browser, f"{dashboard}/findings?live=false", **size) as desk:
        page = desk.page
        expect(page.get_by_text("1 open")).to_be_visible(timeout=30_000)
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        grid = page.get_by_test_id("stDataFrame")
        grid.scroll_into_view_if_needed()
        box = grid.bounding_box()
        page.mouse.click(box["x"] + 18, box["y"] + 36 + 18)
        page.locator(".st-key-set_aside button").click()
        page.get_by_role("dialog").get_by_label("Why is it right?").fill("On purpose.")
        page.get_by_role("dialog").get_by_role("button", name="Set aside").click()
        expect(page.get_by_text("1 finding is set aside.")).to_be_visible()
        expect(page.get_by_text("No open finding")).to_be_visible()

    assert one(services.db, "SELECT set_aside_why FROM studio.findings") == "On purpose."
    assert desk.watch.complaints == []
