"""Sharing one character, in two browsers: it appears by itself, is edited by both, and is taken back while it is open."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from core import characters, generation, portraits, scenes
from core.auth import LocalGate
from core.services import Services, open_services
from core.settings import Settings
from core.values import Character, Person, Role
from tests import builders
from tests.fix_services import TwoPeopleGate
from tests.screens.browser import visit
from tests.screens.conftest import DESCRIPTION, Site, built, eventually, serving
from tests.sharing import in_the_team, share

PERSONA = "Counts gulls when she is nervous."


@dataclass
class Two:
    """Ana and Ben before one studio in which nobody shares; Ana has Mira."""

    url: str
    services: Services
    ana: Person
    ben: Person
    mira: Character
    browser: Browser
    contexts: list[BrowserContext]

    def page_of(self, person: Person, at: Character | None = None) -> Page:
        context = self.browser.new_context(viewport={"width": 1440, "height": 900})
        self.contexts.append(context)
        context.add_cookies([{"name": "who", "value": person.name, "url": self.url}])
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.goto(f"{self.url}/studio/" + (f"?character={at.id}" if at else ""), timeout=60_000)
        expect(page.locator("body.ps-ready")).to_be_attached(timeout=60_000)
        return page

    def row(self) -> Character:
        return characters.load(self.mira.id, self.ana, self.services)


@pytest.fixture
def two(settings: Settings, browser: Browser) -> Iterator[Two]:
    with open_services(settings.model_copy(update={"team_sharing": False})) as services:
        ana, ben = (builders.a_person(services.db, name, Role.editor) for name in ("Ana", "Ben"))
        gate = TwoPeopleGate()
        gate.let_in(ana, ben)
        mira = characters.create(ana, services, {"name": "Mira", "description": DESCRIPTION})
        with serving(built(services, gate)) as url:
            here = Two(url, services, ana, ben, mira, browser, [])
            yield here
            for context in here.contexts:
                context.close()


def menu(page: Page, entry: str) -> None:
    page.get_by_role("button", name="More for this character").click()
    page.get_by_role("menuitem", name=entry).click()


def dialog(page: Page) -> Locator:
    return page.get_by_test_id("sharing")


def persona(page: Page) -> Locator:
    return page.get_by_label("Persona", exact=True)


def note(page: Page) -> Locator:
    return page.get_by_test_id("look-note")


def test_one_shares_and_the_other_sees_it_appear_edits_it_and_loses_it(two: Two):
    ana, ben = two.page_of(two.ana, two.mira), two.page_of(two.ben)
    email = in_the_team(two.ben, two.services)
    in_the_team(two.ana, two.services)

    menu(ana, "Share")
    expect(dialog(ana)).to_contain_text("Nobody else works on this character yet.")
    address = dialog(ana).get_by_label("E-mail address of a colleague")
    address.fill("nobody@studio.invalid")
    dialog(ana).get_by_role("button", name="Add").click()
    expect(dialog(ana).get_by_role("alert").last).to_contain_text("No editor of this studio signs in")
    expect(address).to_have_value("nobody@studio.invalid")
    address.fill(email)
    address.press("Enter")
    expect(dialog(ana).get_by_test_id("member")).to_have_count(2)

    # it comes by itself, says whose it is, and is edited
    notice = ben.get_by_test_id("notice").filter(has_text="shared a character with you")
    notice.get_by_role("button", name="Open it").click()
    expect(persona(ben)).to_be_editable()
    expect(note(ben)).to_be_hidden()
    ben.get_by_test_id("character-picker").click()
    expect(ben.locator(".cp-entry small")).to_contain_text("shared by Ana-")
    ben.keyboard.press("Escape")
    persona(ben).fill(PERSONA)
    eventually(lambda: two.row().persona == PERSONA)
    dialog(ana).get_by_role("button", name="Close").last.click()
    expect(persona(ana)).to_have_value(PERSONA)

    # only looking from now on: what is typed at that moment is not lost
    menu(ana, "Share")
    persona(ben).press_sequentially(" And")
    dialog(ana).get_by_label(f"What {email} may do").select_option("false")
    expect(note(ben)).to_contain_text("You may look at")
    expect(persona(ben)).not_to_be_editable()
    expect(ben.get_by_role("button", name="Generate", exact=True)).to_be_disabled()
    expect(persona(ben)).to_have_value(f"{PERSONA} And")
    dialog(ana).get_by_label(f"What {email} may do").select_option("true")
    expect(note(ben)).to_be_hidden()
    expect(persona(ben)).to_be_editable()
    eventually(lambda: two.row().persona == f"{PERSONA} And")

    # withdrawn: the page says so and keeps what it shows
    dialog(ana).get_by_role("button", name=f"Remove {email}").click()
    expect(note(ben)).to_contain_text("not shared with you any more")
    expect(persona(ben)).to_have_value(f"{PERSONA} And")
    expect(persona(ben)).not_to_be_editable()
    note(ben).get_by_role("button", name="Keep a copy as my own").click()
    expect(ben.get_by_label("Name", exact=True)).to_have_value("Mira (copy)")
    expect(note(ben)).to_be_hidden()
    expect(persona(ben)).to_be_editable()
    [kept] = characters.listing(two.ben, two.services)
    copy = characters.load(kept.id, two.ben, two.services)
    assert (copy.user_id, copy.persona) == (two.ben.id, f"{PERSONA} And")
    assert two.row().persona == f"{PERSONA} And"


def test_what_was_typed_while_it_was_withdrawn_can_be_copied_and_kept(two: Two):
    share(two.mira, two.ana, two.ben, two.services, can_edit=True)
    ben = two.page_of(two.ben, two.mira)
    ben.context.grant_permissions(["clipboard-read", "clipboard-write"])
    two.services.events.close()  # no word of it reaches the page: the save itself does
    persona(ben).fill(PERSONA)
    with two.services.db.as_service() as conn:
        conn.execute("DELETE FROM studio.character_members")

    expect(note(ben)).to_contain_text("What you typed is not saved")
    expect(ben.get_by_test_id("save-status")).to_contain_text("Could not save")
    note(ben).get_by_role("button", name="Copy what I typed").click()
    assert ben.evaluate("navigator.clipboard.readText()") == f"Persona\n{PERSONA}"
    note(ben).get_by_role("button", name="Keep a copy as my own").click()
    expect(ben.get_by_label("Name", exact=True)).to_have_value("Mira (copy)")
    expect(persona(ben)).to_have_value(PERSONA)
    assert two.row().persona is None


def test_a_member_who_looks_reads_everything_and_is_offered_nothing_that_changes_it(two: Two):
    share(two.mira, two.ana, two.ben, two.services)
    builders.a_finished_portrait(two.ana, two.services, two.mira)
    builders.a_waiting_job(two.ana, two.services, two.mira)
    failed = builders.a_waiting_job(two.ana, two.services, two.mira).job_id
    scene = scenes.create(
        two.mira.id,
        {"scene_name": "At the pier", "scene_description": "Fog and gulls."},
        two.ana,
        two.services,
    ).id
    pictured = generation.request(scenes.picture_request(scene, two.mira.id), two.ana, two.services).job_id
    for job in (failed, pictured):
        builders.rows(two.services.db, "UPDATE jobs SET status = 'failed' WHERE id = %s RETURNING id", (job,))
    ben = two.page_of(two.ben, two.mira)

    expect(note(ben)).to_contain_text("Shared by Ana-")
    expect(ben.get_by_label("Description", exact=True)).to_have_value(DESCRIPTION)
    expect(ben.get_by_label("Description", exact=True)).not_to_be_editable()
    expect(ben.get_by_test_id("tile")).to_have_count(1)
    expect(ben.get_by_test_id("tile-add")).to_be_hidden()
    ben.get_by_test_id("tile").hover()
    ben.get_by_test_id("tile").get_by_role("button", name="Options").click()
    offered = ben.get_by_test_id("tile").get_by_role("menuitem")
    expect(offered.filter(has_text="Download").first).to_be_visible()
    assert set(offered.all_inner_texts()) & {"Delete", "Set as primary", "Use as reference"} == set()
    ben.keyboard.press("Escape")
    for test_id in ("tile-job", "tile-failed"):
        tile = ben.get_by_test_id(test_id)
        expect(tile).to_have_count(1)
        expect(tile.locator("button:visible")).to_have_count(0)
    ben.get_by_test_id("tile-open").click()
    large = ben.locator(".lb:not([hidden])")
    expect(large.locator('[data-action="download"]')).to_be_visible()
    expect(large.locator('.lb-take:visible:not(:text("Copy"))')).to_have_count(0)
    for action in ("primary", "again", "reference", "delete"):
        expect(large.locator(f'[data-action="{action}"]')).to_have_count(0)
    ben.keyboard.press("Delete")
    ben.keyboard.press("Escape")
    ben.keyboard.press("2")
    scene = ben.get_by_test_id("scene")
    expect(scene.get_by_text("Open At the pier")).to_be_attached()
    expect(scene.locator(".sn-open ~ * button:visible, .sn-more:visible")).to_have_count(0)
    ben.keyboard.press("1")
    assert len(portraits.every(two.mira.id, two.ana, two.services, limit=9).ids) == 1
    ben.get_by_role("button", name="More for this character").click()
    entries = set(ben.get_by_role("menuitem").all_inner_texts())
    assert entries >= {"Share\u2026", "Duplicate", "History"}
    assert entries & {"Delete", "Publish", "Suggest every field"} == set()
    ben.get_by_role("menuitem", name="Share").click()
    expect(dialog(ben).get_by_label("E-mail address of a colleague")).to_have_count(0)
    dialog(ben).get_by_role("button", name="Leave this character").click()
    expect(note(ben)).to_contain_text("not shared with you any more")
    assert characters.listing(two.ben, two.services) == []


def test_where_the_whole_team_shares_the_dialog_says_so(site: Site, character: Character, browser: Browser):
    with visit(browser, site.address(character)) as desk:
        desk.settle()
        menu(desk.page, "Share")

        expect(dialog(desk.page)).to_contain_text("The whole team sees and changes every character here.")
        expect(dialog(desk.page)).to_contain_text("matters only where that is switched off")


def test_who_is_alone_here_is_offered_no_sharing(site: Site, browser: Browser, character: Character):
    with (
        serving(built(site.services, LocalGate())) as url,
        visit(browser, f"{url}/studio/?character={character.id}") as desk,
    ):
        desk.settle()
        desk.page.get_by_role("button", name="More for this character").click()
        expect(desk.page.get_by_role("menuitem", name="History")).to_be_visible()
        expect(desk.page.get_by_role("menuitem", name="Share")).to_have_count(0)
