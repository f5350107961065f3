"""Who has this open: two people, two tabs, a process that dies."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from core import characters
from core.auth import LOCAL_PERSON
from core.presence import OpenPage
from core.services import open_services
from core.settings import Settings
from core.values import Character, Person, Role
from tests import builders
from tests.fix_services import TwoPeopleGate
from tests.screens.browser import Desk, visit
from tests.screens.conftest import DESCRIPTION, Site, built, serving


@pytest.fixture
def two(settings: Settings) -> Iterator[tuple[str, str, Character, Person]]:
    """Two processes over one database, and Ana's character; Ana and Ben share, as a team does."""
    with open_services(settings) as here, open_services(settings) as there:
        ana, ben = (builders.a_person(here.db, name, Role.editor) for name in ("Ana", "Ben"))
        gate = TwoPeopleGate()
        gate.let_in(ana, ben)
        made = characters.create(ana, here, {"name": "Mira", "description": DESCRIPTION})
        with serving(built(here, gate)) as one, serving(built(there, gate)) as other:
            yield one, other, made, ben


def page_of(context: BrowserContext, url: str, who: str, character: Character | None = None) -> Page:
    context.add_cookies([{"name": "who", "value": who, "url": url}])
    page = context.new_page()
    page.goto(f"{url}/studio/" + (f"?character={character.id}" if character else ""))
    expect(page.locator("body.ps-ready")).to_be_attached(timeout=20_000)
    return page


def test_two_people_see_each_other_across_processes_until_one_leaves(
    two: tuple[str, str, Character, Person], browser: Browser
):
    url, other_url, character, _ = two
    anas, bens = browser.new_context(), browser.new_context()
    ana = page_of(anas, url, "Ana", character)
    expect(ana.get_by_test_id("presence")).to_be_hidden()

    ben = page_of(bens, other_url, "Ben", character)

    expect(ana.get_by_test_id("presence")).to_contain_text("Ben has this open")
    expect(ben.get_by_test_id("presence")).to_contain_text("Ana has this open")
    ben.get_by_test_id("character-picker").click()
    ben.get_by_role("button", name="New character").last.click()
    expect(ana.get_by_test_id("presence")).to_be_hidden()
    expect(ben.get_by_test_id("presence")).to_be_hidden()
    anas.close()
    bens.close()


def test_a_closed_page_is_gone_at_once(desk: Desk, site: Site, character: Character, browser: Browser):
    presence = desk.page.get_by_test_id("presence")
    with visit(browser, site.address(character)) as other:
        other.settle()
        expect(presence).to_contain_text("another tab")

    expect(presence).to_be_hidden()


def test_a_hostile_name_is_text(site: Site, character: Character, browser: Browser):
    hostile = replace(LOCAL_PERSON, name="<img src=x onerror=window.caught=1>\u202eneB")
    stranger = builders.a_person(site.services.db, "stranger", *hostile.roles)
    with visit(browser, site.address(character)) as desk:
        desk.settle()
        page = OpenPage(replace(stranger, name=hostile.name), site.services)
        page.go_to(character.id)

        expect(desk.page.get_by_test_id("presence")).to_contain_text(hostile.name)
        assert desk.page.evaluate("window.caught") is None
        page.leave()
        expect(desk.page.get_by_test_id("presence")).to_be_hidden()
