"""What stands on every page: the way to the others, and the drawer of the queue."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, expect

from core import generation, line, worker
from core.auth import LOCAL_PERSON
from core.values import Character, Person, PersonId, PortraitRequest, Role
from tests import builders
from tests.screens.browser import Desk, visit
from tests.screens.conftest import Site

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
PAGES = {"Create": "create", "Library": "library", "Attributes": "attributes"}
QUEUE = re.compile("^Queue")  # with the number of pictures, where there are any


@contextmanager
def room(browser: Browser, address: str, **window: object) -> Iterator[Desk]:
    with visit(browser, address, **window) as opened:
        expect(opened.page.locator("body.ps-ready")).to_be_attached(timeout=20_000)
        yield opened


def ask_for(site: Site, character: Character, count: int) -> None:
    for number in range(count):
        order = PortraitRequest(
            character_id=character.id, own_words=f"words number {number}", idempotency_key=str(uuid4())
        )
        generation.request(order, LOCAL_PERSON, site.services)


def test_one_navigation_leads_from_every_page_to_every_other(site: Site, browser: Browser):
    with room(browser, f"{site.url}/studio/library") as desk:
        for name, path in PAGES.items():
            desk.page.get_by_role("navigation", name="Studio").get_by_role("link", name=name).click()

            expect(desk.page).to_have_url(re.compile(f"/studio/{path}$"))
            expect(desk.page.locator("body.ps-ready")).to_be_attached(timeout=20_000)
            expect(desk.page.locator("[aria-current=page]")).to_have_text(name)
            expect(desk.page).to_have_title(re.compile("Portrait Studio"))
        assert desk.watch.complaints == []
        assert desk.watch.outside == []


def test_on_a_phone_the_navigation_waits_behind_a_button(site: Site, browser: Browser):
    with room(browser, f"{site.url}/studio/library", **PHONE) as desk:
        navigation = desk.page.get_by_role("navigation", name="Studio")
        expect(navigation).to_be_hidden()

        desk.page.get_by_role("button", name="Menu").tap()
        navigation.get_by_role("link", name="Attributes").tap()

        expect(desk.page).to_have_url(re.compile("/studio/attributes$"))


def test_the_menu_of_a_phone_closes_on_escape_and_gives_the_focus_back(site: Site, browser: Browser):
    with room(browser, f"{site.url}/studio/library", **PHONE) as desk:
        desk.page.get_by_role("button", name="Menu").click()
        expect(desk.page.get_by_role("link", name="Library")).to_be_focused()

        desk.page.keyboard.press("Escape")

        expect(desk.page.get_by_role("button", name="Menu")).to_be_focused()
        expect(desk.page.get_by_role("navigation", name="Studio")).to_be_hidden()


@pytest.mark.parametrize("path", PAGES.values())
def test_every_page_asks_for_the_sign_in_and_carries_the_policy(site: Site, path: str):
    inside = httpx.get(f"{site.url}/studio/{path}")
    site.gate.is_open = False

    outside = httpx.get(f"{site.url}/studio/{path}")

    assert inside.status_code == 200
    assert "frame-ancestors 'none'" in inside.headers["Content-Security-Policy"]
    back = quote(f"/studio/{path}", safe="")
    assert (outside.status_code, outside.headers["Location"]) == (303, f"/sign-in?next={back}")


def test_a_slash_at_the_end_leads_to_the_page_and_keeps_what_is_looked_for(site: Site):
    answer = httpx.get(f"{site.url}/studio/library/?q=sea")

    assert answer.status_code == 307
    assert answer.headers["Location"].endswith("/studio/library?q=sea")


def test_the_second_page_loads_next_to_nothing_anew(site: Site, browser: Browser):
    with room(browser, f"{site.url}/studio/library") as desk:
        desk.page.goto(f"{site.url}/studio/attributes")
        expect(desk.page.locator("body.ps-ready")).to_be_attached(timeout=20_000)

        sizes = desk.page.evaluate(
            "performance.getEntriesByType('resource').filter(one => /assets/.test(one.name)).map(one => one.transferSize)"
        )

    assert len(sizes) > 10
    assert sum(sizes) < 60_000


def test_the_queue_shows_whose_turn_it_is_and_cancels(site: Site, character: Character, browser: Browser):
    ask_for(site, character, 3)
    with room(browser, f"{site.url}/studio/library") as desk:
        expect(desk.page.locator(".pn-count")).to_have_text("3")
        desk.page.get_by_role("button", name=QUEUE).click()
        rows = desk.page.locator(".qp-row")
        expect(rows).to_have_count(3)
        expect(rows.first).to_contain_text("Next in line")
        expect(rows.nth(2)).to_contain_text("Number 3 in line")
        expect(rows.first).to_contain_text("words number 0")

        rows.first.get_by_role("button", name=f"Cancel {character.name}").click()

        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text("words number 1")
        assert len(line.line_for(LOCAL_PERSON, site.services).jobs) == 2


def test_the_queue_says_that_no_worker_runs_and_what_to_do(
    site: Site, character: Character, browser: Browser
):
    ask_for(site, character, 1)
    with room(browser, f"{site.url}/studio/library") as desk:
        desk.page.get_by_role("button", name=QUEUE).click()

        expect(desk.page.get_by_text("No worker is running")).to_be_visible()
        expect(desk.page.get_by_text("python -m core.worker")).to_be_visible()


def test_what_is_asked_for_elsewhere_appears_in_the_open_queue_and_leaves_it_when_it_is_saved(
    site: Site, character: Character, browser: Browser
):
    with room(browser, f"{site.url}/studio/library") as desk:
        desk.page.get_by_role("button", name=QUEUE).click()
        expect(desk.page.get_by_text("The queue is empty")).to_be_visible()

        ask_for(site, character, 2)

        expect(desk.page.locator(".qp-row")).to_have_count(2)
        with worker.in_thread(site.services):
            expect(desk.page.locator(".qp-row")).to_have_count(0, timeout=30_000)
        expect(desk.page.locator(".pn-count")).to_be_hidden()
        expect(desk.page.get_by_test_id("library-item")).to_have_count(2)
        site.services.stopping.clear()


def test_the_words_of_others_are_hidden_from_who_is_no_admin(
    site: Site, character: Character, browser: Browser
):
    ask_for(site, character, 1)
    other = builders.a_person(site.services.db, "ben", Role.editor)
    site.gate.is_somebody = Person(id=PersonId(other.id), roles=other.roles, name="ben")
    with room(browser, f"{site.url}/studio/library") as desk:
        desk.page.get_by_role("button", name=QUEUE).click()
        expect(desk.page.get_by_text("None of yours is waiting")).to_be_visible()

        desk.page.get_by_role("tab", name="Everybody's").click()

        expect(desk.page.locator(".qp-row")).to_have_count(1)
        assert "words number 0" not in desk.page.content()


def test_the_drawer_opens_and_closes_by_keyboard_alone(site: Site, browser: Browser):
    with room(browser, f"{site.url}/studio/library") as desk:
        desk.page.get_by_role("button", name=QUEUE).focus()
        desk.page.keyboard.press("Enter")
        expect(desk.page.get_by_role("tab", name="Mine")).to_be_focused()
        desk.page.keyboard.press("ArrowRight")
        expect(desk.page.get_by_role("tab", name="Everybody's")).to_be_focused()

        desk.page.keyboard.press("Escape")

        expect(desk.page.get_by_role("button", name=QUEUE)).to_be_focused()
        expect(desk.page.get_by_role("complementary", name="Queue")).to_be_hidden()


def test_the_editor_has_the_queue_too(desk: Desk, site: Site, character: Character):
    ask_for(site, character, 1)

    desk.page.get_by_role("button", name=QUEUE).click()

    expect(desk.page.locator(".qp-row")).to_have_count(1)
