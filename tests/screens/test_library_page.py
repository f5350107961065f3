"""The library page as people use it: found, filtered, tagged, deleted and brought back."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from core import library
from core.auth import LOCAL_PERSON
from core.db import people
from core.library import Wanted
from core.services import open_services
from core.settings import Settings
from core.values import Character, Role
from tests import builders
from tests.screens.browser import Desk, visit
from tests.screens.conftest import DoorGate, Site, built, eventually, serving

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def keep(site: Site, count: int = 1, **columns: object) -> list[UUID]:
    """Rows of the library as the platform writes them; the first is the newest."""
    made = [uuid4() for _ in range(count)]
    row = {
        "user_id": LOCAL_PERSON.id, "asset_type": "image", "mime_type": "image/png", "file_size_bytes": 1,
        "original_prompt": "a calm portrait", "tags": ["character", "portrait"], "content_category": "character",
    } | columns  # fmt: skip
    names = ["id", "storage_path", "created_at", *row]
    with site.services.db.as_service() as conn, conn.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO public.user_library ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})",
            [
                (one, f"{LOCAL_PERSON.id}/{one}.png", NOON - timedelta(minutes=number), *row.values())
                for number, one in enumerate(made)
            ],
        )
    return made


def tagged(site: Site, tag: str) -> int:
    return len(library.page(Wanted(tag=tag), LOCAL_PERSON, site.services).items)


def items(page: Page) -> Locator:
    return page.get_by_test_id("library-item")


def pick(page: Page, number: int) -> None:
    items(page).nth(number).hover()
    items(page).nth(number).get_by_role("checkbox").click()


@contextmanager
def shelf_at(browser: Browser, address: str, **window: object) -> Iterator[Desk]:
    with visit(browser, address, **window) as opened:
        expect(opened.page.locator("body.ps-ready")).to_be_attached(timeout=20_000)
        yield opened


@pytest.fixture
def shelf(browser: Browser, site: Site) -> Iterator[Desk]:
    """The library page; it may not complain by itself."""
    with shelf_at(browser, f"{site.url}/studio/library") as opened:
        yield opened
    assert opened.watch.complaints == []
    assert opened.watch.outside == []


def test_words_find_pictures_while_they_are_typed_and_the_address_keeps_them(site: Site, shelf: Desk):
    keep(site, original_prompt="a brass telescope on the pier")
    keep(site, 3, original_prompt="a kitchen in the sun")

    shelf.page.get_by_label("Search the library").press_sequentially("tele", delay=40)

    expect(items(shelf.page)).to_have_count(1)
    expect(shelf.page).to_have_url(f"{site.url}/studio/library?q=tele")
    shelf.page.reload()
    expect(shelf.page.locator("body.ps-ready")).to_be_attached(timeout=20_000)
    expect(shelf.page.get_by_label("Search the library")).to_have_value("tele")
    expect(items(shelf.page)).to_have_count(1)


def test_filters_stand_in_the_address_and_can_be_taken_away(site: Site, browser: Browser):
    keep(site, original_prompt="wanted", model_used="fal-ai/flux/dev", generation_seed=42, tags=["sea"])
    keep(site, 2, model_used="fal-ai/flux/dev", tags=["sea"])
    keep(site, tags=["hills"])
    address = f"{site.url}/studio/library?tag=sea&model=fal-ai/flux/dev&seed=42&from=2026-11-19&to=2026-11-20"
    with shelf_at(browser, address) as desk:
        expect(items(desk.page)).to_have_count(1)
        expect(desk.page.locator(".lib-chip")).to_have_count(5)

        desk.page.get_by_role("button", name="Take the filter Seed away").click()

        expect(items(desk.page)).to_have_count(3)
        expect(desk.page).not_to_have_url(re.compile("seed"))
        desk.page.go_back()
        expect(items(desk.page)).to_have_count(1)


def test_a_filter_that_is_chosen_narrows_the_list(site: Site, shelf: Desk):
    keep(site, tags=["golden hour"])
    keep(site, 2)
    expect(items(shelf.page)).to_have_count(3)
    shelf.page.get_by_role("button", name="Filters").click()

    shelf.page.get_by_role("dialog", name="Filters").get_by_label("Tag").fill("golden hour")
    shelf.page.keyboard.press("Enter")

    expect(items(shelf.page)).to_have_count(1)
    expect(shelf.page).to_have_url(re.compile(r"tag=golden"))


def test_what_cannot_be_looked_for_is_said_in_words(site: Site, browser: Browser):
    keep(site)
    with shelf_at(browser, f"{site.url}/studio/library?seed=soon") as desk:
        expect(desk.page.get_by_text("A whole number is wanted here.")).to_be_visible()
        expect(items(desk.page)).to_have_count(0)


def test_the_characters_tab_leaves_out_what_is_no_portrait(site: Site, shelf: Desk):
    keep(site, 2)
    keep(site, content_category="scene", tags=["scene"])
    expect(items(shelf.page)).to_have_count(3)

    shelf.page.get_by_role("tab", name="Characters").click()

    expect(items(shelf.page)).to_have_count(2)
    expect(shelf.page).to_have_url(re.compile("tab=characters"))


def test_the_rest_of_a_long_library_comes_while_one_scrolls(site: Site, shelf: Desk):
    made = keep(site, 150)
    expect(items(shelf.page)).not_to_have_count(0)

    for _ in range(20):
        shelf.page.locator("#room").evaluate("room => room.scrollTo(0, room.scrollHeight)")
        if items(shelf.page).count() == len(made):
            break
        shelf.page.wait_for_timeout(150)

    expect(items(shelf.page)).to_have_count(len(made))
    shown = shelf.page.evaluate("[...document.querySelectorAll('.lib-item')].map(item => item.dataset.id)")
    assert shown == [str(one) for one in made]
    expect(shelf.page.get_by_text("That is everything.")).to_be_visible()


def test_several_pictures_are_tagged_and_that_is_taken_back(site: Site, shelf: Desk):
    keep(site, 3)
    keep(site, tags=["portrait", "sea"])
    expect(items(shelf.page)).to_have_count(4)
    pick(shelf.page, 0)
    items(shelf.page).nth(2).get_by_role("checkbox").click(modifiers=["Shift"])
    expect(shelf.page.get_by_text("3 selected")).to_be_visible()

    shelf.page.get_by_role("button", name="Tag", exact=True).click()
    shelf.page.get_by_label("Tags", exact=False).last.fill("night walk, sea")
    shelf.page.get_by_role("button", name="Add tags").click()

    expect(shelf.notice.filter(has_text="Tagged 3 pictures with night walk, sea")).to_be_visible()
    assert (tagged(site, "night walk"), tagged(site, "sea")) == (3, 3)
    shelf.page.get_by_role("button", name="Undo").click()
    eventually(lambda: tagged(site, "night walk") == 0)
    assert (tagged(site, "portrait"), tagged(site, "sea")) == (4, 1)


def test_a_tag_is_taken_off_several_pictures(site: Site, shelf: Desk):
    keep(site, 2, tags=["portrait", "typo"])
    expect(items(shelf.page)).to_have_count(2)
    pick(shelf.page, 0)
    pick(shelf.page, 1)

    shelf.page.get_by_role("button", name="Untag").click()
    shelf.page.get_by_role("dialog").get_by_role("button", name="typo").click()

    expect(shelf.notice.filter(has_text="Took typo off 2 pictures")).to_be_visible()
    assert (tagged(site, "typo"), tagged(site, "portrait")) == (0, 2)


def test_deleted_pictures_come_back_by_undo(site: Site, shelf: Desk):
    keep(site, 3)
    expect(items(shelf.page)).to_have_count(3)
    pick(shelf.page, 0)
    pick(shelf.page, 1)

    shelf.page.get_by_role("toolbar").get_by_role("button", name="Delete").click()

    expect(items(shelf.page)).to_have_count(1)
    expect(shelf.notice.filter(has_text="2 pictures moved to the bin.")).to_be_visible()
    shelf.page.get_by_role("button", name="Undo").click()
    expect(items(shelf.page)).to_have_count(3)
    assert library.page(Wanted(is_bin=True), LOCAL_PERSON, site.services).items == ()


def test_what_only_a_colleague_may_change_stays_and_that_is_said(settings: Settings, browser: Browser):
    with open_services(settings.model_copy(update={"team_sharing": False})) as services:
        quinn = builders.a_person(services.db, "quinn", Role.editor, Role.qa)
        with services.db.as_service() as conn:
            people.insert_missing(conn, LOCAL_PERSON.id, "local@studio.invalid")
        gate = DoorGate(is_somebody=quinn)
        with serving(built(services, gate)) as url, shelf_at(browser, f"{url}/studio/library") as desk:
            site = Site(url, services, gate)
            keep(site, user_id=quinn.id)
            keep(site)
            expect(items(desk.page)).to_have_count(2)
            pick(desk.page, 0)
            pick(desk.page, 1)

            desk.page.get_by_role("toolbar").get_by_role("button", name="Delete").click()

            expect(desk.notice.filter(has_text="1 picture stayed as it was")).to_be_visible()
            expect(desk.notice.filter(has_text="1 picture moved to the bin.")).to_be_visible()
            expect(items(desk.page)).to_have_count(1)


def test_the_bin_gives_back_what_it_holds(site: Site, shelf: Desk):
    made = keep(site, 2)
    library.delete(made, LOCAL_PERSON, site.services)
    shelf.page.get_by_role("tab", name="Bin").click()
    expect(items(shelf.page)).to_have_count(2)
    pick(shelf.page, 0)

    shelf.page.get_by_role("button", name="Restore").click()

    expect(items(shelf.page)).to_have_count(1)
    expect(shelf.page.get_by_role("toolbar")).to_be_hidden()
    assert len(library.page(Wanted(), LOCAL_PERSON, site.services).items) == 1


def test_a_picture_is_shown_large_with_its_settings_and_leads_to_its_character(
    site: Site, character: Character, shelf: Desk
):
    about = json.dumps({"character_id": str(character.id), "character_name": character.name})
    keep(
        site,
        original_prompt="the first of two",
        roleplay_metadata=about,
        generation_seed=77,
        width=512,
        height=768,
    )
    expect(items(shelf.page)).to_have_count(1)

    shelf.page.get_by_test_id("library-open").first.click()

    large = shelf.page.get_by_role("dialog", name="Picture")
    expect(large).to_contain_text("the first of two")
    expect(large).to_contain_text("512 × 768")
    expect(large.get_by_role("link", name="Open character")).to_have_attribute(
        "href", f"/studio/?character={character.id}"
    )
    shelf.page.keyboard.press("Escape")
    expect(large).to_be_hidden()
    expect(shelf.page.get_by_test_id("library-open").first).to_be_focused()


def test_the_keys_lead_through_the_large_pictures_and_delete_one(site: Site, shelf: Desk):
    keep(site, 3)
    expect(items(shelf.page)).to_have_count(3)
    first, second = (items(shelf.page).nth(at).get_attribute("data-id") for at in (0, 1))
    shelf.page.get_by_test_id("library-open").first.click()
    shelf.page.keyboard.press("ArrowRight")
    expect(shelf.page.get_by_role("button", name="Previous")).to_be_enabled()

    shelf.page.keyboard.press("Delete")

    expect(items(shelf.page)).to_have_count(2)
    expect(shelf.page.get_by_role("dialog", name="Picture")).to_be_visible()
    left = shelf.page.evaluate("[...document.querySelectorAll('.lib-item')].map(item => item.dataset.id)")
    assert first in left
    assert second not in left


def test_a_picture_that_was_saved_meanwhile_appears_by_itself(site: Site, shelf: Desk):
    keep(site, 2)
    expect(items(shelf.page)).to_have_count(2)

    keep(site, original_prompt="just made")

    expect(items(shelf.page)).to_have_count(3)
    expect(shelf.page.get_by_text("3 pictures")).to_be_visible()


def test_the_list_shows_what_the_grid_shows_and_the_address_says_so(site: Site, shelf: Desk):
    keep(site, 2, original_prompt="tall words about a lamp", generation_seed=9)
    expect(items(shelf.page)).to_have_count(2)

    shelf.page.get_by_role("button", name="List").click()

    expect(items(shelf.page).first.get_by_text("tall words about a lamp")).to_be_visible()
    expect(items(shelf.page).first.get_by_text("Seed 9")).to_be_visible()
    expect(shelf.page).to_have_url(re.compile("view=list"))


HOSTILE = (
    "<img src=x onerror=window.caught=1>${window.caught=2}{{value}}</p><script>window.caught=3</script>\u202e"
)


def test_what_people_wrote_is_text_in_every_part_of_the_library(site: Site, browser: Browser):
    about = json.dumps({"character_name": HOSTILE, "character_id": "javascript:window.caught=4"})
    keep(site, original_prompt=HOSTILE, tags=[HOSTILE], model_used=HOSTILE, roleplay_metadata=about)
    with shelf_at(browser, f"{site.url}/studio/library?view=list") as desk:
        expect(items(desk.page).locator("p")).to_have_text(HOSTILE)
        desk.page.get_by_test_id("library-open").click()

        expect(desk.page.locator(".lv-prompt")).to_have_text(HOSTILE)
        expect(desk.page.locator(".lv-tag").first).to_contain_text("<img src=x")
        desk.page.keyboard.press("Escape")
        pick(desk.page, 0)
        desk.page.get_by_role("button", name="Untag").click()
        expect(desk.page.get_by_role("dialog").locator(".ps-chip")).to_contain_text("<script>")
        assert desk.page.evaluate("window.caught") is None
        assert desk.page.locator("img[src=x]").count() == 0


def test_an_empty_library_says_what_will_be_here(shelf: Desk):
    expect(shelf.page.get_by_text("Nothing saved yet")).to_be_visible()
    expect(shelf.page.get_by_role("link", name="Create a character")).to_be_visible()


def test_on_a_phone_nothing_is_wider_than_the_screen(site: Site, browser: Browser):
    keep(site, 5, original_prompt="w" * 400, roleplay_metadata=json.dumps({"character_name": "W" * 200}))
    for view in ("grid", "list"):
        with shelf_at(
            browser,
            f"{site.url}/studio/library?view={view}&tag=portrait",
            viewport={"width": 390, "height": 844},
            is_mobile=True,
            has_touch=True,
        ) as desk:
            expect(items(desk.page)).to_have_count(5)
            expect(desk.page.get_by_role("button", name="Filters")).to_be_visible()
            items(desk.page).first.get_by_role("checkbox").tap()
            expect(desk.page.get_by_text("1 selected")).to_be_visible()
            assert desk.page.evaluate("document.documentElement.scrollWidth") <= 390
            assert desk.page.locator("#room").evaluate("room => room.scrollWidth - room.clientWidth") == 0
