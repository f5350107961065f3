"""Views under a name in the side bar: kept, opened by their link, shared, renamed and deleted."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from core import views
from core.auth import LOCAL_PERSON
from core.values import Role
from tests.builders import a_person, rows
from tests.screens.browser import visit
from tests.screens.dashboard import keys_of, opened, pages_on, settled, text_of


@pytest.fixture
def colleague(services):
    return a_person(services.db, "quinn", Role.qa)


def test_what_is_shown_is_kept_under_a_name_and_then_stands_in_the_menu(pages, services):
    page = opened("jobs", q="status:failed", status="Failed")

    page.text_input(key="view_name").set_value("What failed").run()
    page.button(key="view_new").click().run()

    [view] = views.of_page("jobs", LOCAL_PERSON, services)
    assert view.name == "What failed"
    assert ("q", "status:failed") in views.parameters_of(view)
    assert ("status", "Failed") in views.parameters_of(view)
    assert [toast.value for toast in page.toast] == ["The view is kept."]
    assert f'href="/jobs?{view.address.replace("&", "&amp;")}"' in text_of(page)


def test_a_view_without_a_name_is_not_kept_and_says_so(pages, services):
    page = opened("costs")

    page.button(key="view_new").click().run()

    assert "Give the view a name." in text_of(page)
    assert views.of_page("costs", LOCAL_PERSON, services) == []


def test_one_s_own_view_is_renamed_shared_and_deleted(pages, services, colleague):
    kept = views.save("jobs", "Mine", "q=status%3Afailed", LOCAL_PERSON, services, shared=False)
    page = opened("jobs")

    page.button(key=f"change_{kept.id}").click().run()
    page.text_input(key=f"name_{kept.id}").set_value("Ours")
    page.toggle(key=f"shared_{kept.id}").set_value(True)
    page.button(key="view_save").click().run()
    assert [view.name for view in views.of_page("jobs", colleague, services)] == ["Ours"]
    page.button(key=f"change_{kept.id}").click().run()
    page.button(key="view_delete").click().run()

    assert rows(services.db, "SELECT FROM studio.saved_views") == []


def test_a_colleague_opens_a_shared_view_and_cannot_change_it(services, colleague):
    kept = views.save("jobs", "Team's", "q=x", colleague, services, shared=True)

    with pages_on(services):
        page = opened("jobs")

    assert "shared by a colleague" in text_of(page)
    assert f"change_{kept.id}" not in keys_of(page)


def test_a_view_is_known_again_when_the_address_says_the_same(pages, services):
    views.save("jobs", "Failures", "live=false&q=status%3Afailed", LOCAL_PERSON, services, shared=False)

    assert "aria-current=page" in text_of(opened("jobs", q="status:failed"))
    assert "aria-current=page" not in text_of(opened("jobs", q="status:queued"))


def test_a_name_never_becomes_part_of_the_page(pages, services):
    views.save("jobs", "<img src=x>", "q=x", LOCAL_PERSON, services, shared=False)

    assert "<img" not in text_of(opened("jobs"))


def test_a_person_keeps_a_view_in_one_page_and_a_link_brings_it_back(browser, dashboard, services):
    with visit(browser, f"{dashboard}/activity") as desk:
        page = desk.page
        expect(page.get_by_role("heading", name="Activity")).to_be_visible(timeout=30_000)
        settled(page)
        page.get_by_role("textbox", name="Row").fill("abc")
        page.get_by_role("textbox", name="Row").press("Enter")
        expect(page.get_by_text("Nothing fits")).to_be_visible()
        settled(page)
        page.get_by_role("button", name="Views").click()
        page.get_by_role("textbox", name="Keep what is shown as").fill("About abc")
        page.get_by_role("button", name="Keep this view").click()
        expect(page.get_by_text("The view is kept.")).to_be_visible()
        settled(page)
        page.goto(f"{dashboard}/activity")
        expect(page.get_by_text("Nothing was done yet").or_(page.get_by_text("Kept a view"))).to_be_visible(
            timeout=30_000
        )
        settled(page)
        page.get_by_role("button", name="Views").click()
        page.get_by_role("link", name="About abc").click()
        expect(page.get_by_role("textbox", name="Row")).to_have_value("abc", timeout=30_000)

    assert "row=abc" in views.of_page("activity", LOCAL_PERSON, services)[0].address
    assert desk.watch.complaints == []
