"""Scenes beside the portraits, as a person works with them."""

import pytest
from playwright.sync_api import Browser, Locator, expect

from core import scenes, worker
from core.auth import LOCAL_PERSON
from core.values import Character, Scene
from tests.screens.browser import Desk, visit
from tests.screens.conftest import Site, eventually

HOSTILE = "<img src=x onerror=window.caught=1>${window.caught=2}{{value}}\u202e\x00\U0001f642"


def rows(site: Site, character: Character) -> list[Scene]:
    return scenes.of_character(character.id, LOCAL_PERSON, site.services)


def make(site: Site, character: Character, *names: str, **values: object) -> list[Scene]:
    for name in names:
        scenes.create(character.id, {"scene_name": name, **values}, LOCAL_PERSON, site.services)
    return rows(site, character)


def open_scenes(desk: Desk) -> None:
    desk.page.get_by_role("tab", name="Scenes").locator("visible=true").click()
    expect(desk.page.locator(".sn-list:visible, .sn-empty:visible")).to_have_count(1)


def cards(desk: Desk) -> Locator:
    return desk.page.get_by_test_id("scene")


def names(desk: Desk) -> Locator:
    return cards(desk).locator("h2")


def test_a_scene_is_made_with_its_starters_and_stands_in_the_rows(
    desk: Desk, site: Site, character: Character
):
    open_scenes(desk)
    desk.page.get_by_role("button", name="New scene").click()
    dialog = desk.page.get_by_role("dialog", name="New scene")
    dialog.get_by_label("Name").fill("The night ferry")
    dialog.get_by_label("Description").fill("A wet deck.")
    dialog.get_by_label("New starter").fill("Mind the step.")
    dialog.get_by_label("New starter").press("Enter")
    dialog.get_by_label("New starter").fill("Tea?")
    dialog.get_by_role("button", name="Create scene").click()

    expect(names(desk)).to_have_text(["The night ferry"])
    expect(dialog).to_have_count(0)
    [kept] = rows(site, character)
    assert (kept.scene_description, kept.scene_starters) == ("A wet deck.", ["Mind the step.", "Tea?"])
    expect(desk.page.get_by_role("tab", name="Scenes").locator("visible=true")).to_contain_text("1")


def test_what_a_scene_may_not_say_is_told_under_its_field_and_kept(
    desk: Desk, site: Site, character: Character
):
    make(site, character, "Dawn")
    open_scenes(desk)
    cards(desk).first.locator(".sn-open").click()
    dialog = desk.page.get_by_role("dialog", name="Edit scene")
    dialog.get_by_label("System prompt").fill("a 15-year-old pupil")
    dialog.get_by_role("button", name="Save scene").click()

    expect(dialog.locator('[data-field="system_prompt"] .dg-wrong')).to_contain_text("under 18")
    expect(dialog.get_by_label("System prompt")).to_be_focused()
    assert rows(site, character)[0].system_prompt == ""


def test_words_typed_into_a_scene_survive_a_reload(desk: Desk, site: Site, character: Character):
    make(site, character, "Dawn")
    open_scenes(desk)
    cards(desk).first.locator(".sn-open").click()
    desk.page.get_by_label("Words for the picture").fill("mist over the harbour")

    desk.reload()
    open_scenes(desk)
    cards(desk).first.locator(".sn-open").click()

    expect(desk.page.get_by_label("Words for the picture")).to_have_value("mist over the harbour")
    expect(desk.notice).to_contain_text("put back")
    desk.page.get_by_role("button", name="Save scene").click()
    eventually(lambda: rows(site, character)[0].scene_prompt == "mist over the harbour")


def test_two_people_in_one_scene_see_both_texts_and_lose_none(desk: Desk, site: Site, character: Character):
    [dawn] = make(site, character, "Dawn", scene_description="Mist.")
    open_scenes(desk)
    cards(desk).first.locator(".sn-open").click()
    dialog = desk.page.get_by_role("dialog", name="Edit scene")
    dialog.get_by_label("Description").fill("Mist over the harbour.")
    theirs = {"scene_description": "Fog.", "scene_prompt": "grey light"}
    scenes.save(dawn.id, theirs, LOCAL_PERSON, site.services)

    dialog.get_by_role("button", name="Save scene").click()

    expect(dialog.locator(".sn-theirs")).to_contain_text("Fog.")
    expect(dialog.get_by_label("Description")).to_have_value("Mist over the harbour.")
    expect(dialog.get_by_label("Words for the picture")).to_have_value("grey light")
    assert rows(site, character)[0].scene_description == "Fog."

    dialog.get_by_role("button", name="Save scene").click()

    expect(dialog).to_have_count(0)
    [kept] = rows(site, character)
    assert (kept.scene_description, kept.scene_prompt) == ("Mist over the harbour.", "grey light")


def test_what_a_colleague_saved_in_another_field_of_the_scene_stays(
    desk: Desk, site: Site, character: Character
):
    [dawn] = make(site, character, "Dawn")
    open_scenes(desk)
    cards(desk).first.locator(".sn-open").click()
    dialog = desk.page.get_by_role("dialog", name="Edit scene")
    dialog.get_by_label("Description").fill("Mist.")
    scenes.save(dawn.id, {"scene_prompt": "grey light"}, LOCAL_PERSON, site.services)

    dialog.get_by_role("button", name="Save scene").click()

    expect(dialog).to_have_count(0)
    [kept] = rows(site, character)
    assert (kept.scene_description, kept.scene_prompt) == ("Mist.", "grey light")


def test_two_tabs_keep_their_new_scenes_apart(desk: Desk, site: Site, character: Character):
    second = Desk(desk.page.context.new_page(), desk.watch)
    second.page.goto(site.address(character))
    second.settle()
    for one, name in ((desk, "Dawn"), (second, "Dusk")):
        open_scenes(one)
        one.page.get_by_role("button", name="New scene").first.click()
        one.page.get_by_role("dialog", name="New scene").get_by_label("Name").fill(name)

    for one, name in ((desk, "Dawn"), (second, "Dusk")):
        one.reload()
        open_scenes(one)
        one.page.get_by_role("button", name="New scene").first.click()
        expect(one.page.get_by_role("dialog", name="New scene").get_by_label("Name")).to_have_value(name)


def test_a_deleted_scene_comes_back_by_undo(desk: Desk, site: Site, character: Character):
    make(site, character, "Dawn", "Dusk")
    open_scenes(desk)
    cards(desk).first.hover()
    cards(desk).first.get_by_role("button", name="Options of Dawn").click()
    desk.page.get_by_role("menuitem", name="Delete").click()

    expect(names(desk)).to_have_text(["Dusk"])
    eventually(lambda: len(rows(site, character)) == 1)
    desk.notice.get_by_role("button", name="Undo").click()

    expect(names(desk)).to_have_text(["Dawn", "Dusk"])
    assert [one.scene_name for one in rows(site, character)] == ["Dawn", "Dusk"]


def test_scenes_are_ordered_by_drag_and_by_keys(desk: Desk, site: Site, character: Character):
    make(site, character, "Dawn", "Noon", "Dusk")
    open_scenes(desk)
    expect(names(desk)).to_have_text(["Dawn", "Noon", "Dusk"])

    cards(desk).nth(0).drag_to(cards(desk).nth(2))
    expect(names(desk)).to_have_text(["Noon", "Dusk", "Dawn"])
    eventually(lambda: [one.scene_name for one in rows(site, character)] == ["Noon", "Dusk", "Dawn"])
    cards(desk).nth(0).locator(".sn-open").focus()
    desk.page.keyboard.press("Alt+ArrowRight")

    expect(names(desk)).to_have_text(["Dusk", "Noon", "Dawn"])
    eventually(lambda: [one.scene_name for one in rows(site, character)] == ["Dusk", "Noon", "Dawn"])
    expect(cards(desk).nth(1).locator(".sn-open")).to_be_focused()


def test_a_scenes_picture_shows_its_prompt_and_price_before_and_appears_by_itself(
    desk: Desk, site: Site, character: Character
):
    make(site, character, "Dawn", scene_description="Mist over the harbour.")
    open_scenes(desk)
    cards(desk).first.get_by_role("button", name="New picture").click()
    dialog = desk.page.get_by_test_id("scene-picture")
    expect(dialog.locator(".sn-prompt")).to_contain_text("Mist over the harbour")
    expect(dialog.get_by_test_id("scene-price")).to_have_text("free")
    dialog.get_by_role("button", name="Evening").click()
    expect(dialog.locator(".sn-prompt")).to_contain_text("wearing")
    with site.services.db.as_service() as conn:
        assert conn.execute("SELECT count(*) FROM jobs").fetchone() == (0,)

    with worker.in_thread(site.services):
        dialog.get_by_role("button", name="Generate").click()
        expect(cards(desk).first.locator("img")).to_have_js_property("complete", True, timeout=30_000)
    site.services.stopping.clear()

    expect(desk.page.get_by_test_id("scene-job")).to_have_count(0)
    assert rows(site, character)[0].image_url
    assert site.saved(character) == []


def test_what_a_colleague_does_with_scenes_appears_by_itself(desk: Desk, site: Site, character: Character):
    open_scenes(desk)
    expect(desk.page.locator(".sn-empty")).to_contain_text("No scenes yet")

    make(site, character, "Dawn")

    expect(names(desk)).to_have_text(["Dawn"], timeout=5_000)


def test_a_scene_full_of_hostile_text_is_text(desk: Desk, site: Site, character: Character):
    values = dict.fromkeys(("scene_description", "scene_prompt", "system_prompt"), HOSTILE)
    make(site, character, HOSTILE, scene_starters=[HOSTILE], **values)
    kept = HOSTILE.replace("\x00", "")
    open_scenes(desk)

    expect(names(desk)).to_have_text([kept])
    cards(desk).first.locator(".sn-open").click()
    expect(desk.page.get_by_label("Starter 1")).to_have_value(kept)
    expect(desk.page.get_by_test_id("scene-dialog").get_by_label("System prompt")).to_have_value(kept)
    desk.page.keyboard.press("Escape")
    cards(desk).first.get_by_role("button", name="New picture").click()
    expect(desk.page.locator(".sn-prompt")).to_contain_text("onerror")
    assert desk.page.evaluate("window.caught") is None
    assert desk.page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_a_scene_is_edited_by_keys_alone(desk: Desk, site: Site, character: Character, key: str):
    make(site, character, "Dawn")
    open_scenes(desk)
    expect(names(desk)).to_have_text(["Dawn"])
    opener = cards(desk).first.locator(".sn-open")
    opener.focus()

    desk.page.keyboard.press(key)
    dialog = desk.page.get_by_role("dialog", name="Edit scene")
    expect(dialog.get_by_label("Name")).to_be_focused()
    desk.page.keyboard.press("Shift+Tab")
    desk.page.keyboard.press("Shift+Tab")
    expect(dialog.get_by_role("button", name="Save scene")).to_be_focused()
    desk.page.keyboard.press("Escape")

    expect(dialog).to_have_count(0)
    expect(opener).to_be_focused()


def test_on_a_phone_scenes_are_a_tab_of_their_own(browser: Browser, site: Site, character: Character):
    make(site, character, "Dawn")
    phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
    with visit(browser, site.address(character), **phone) as desk:
        desk.settle()
        open_scenes(desk)

        expect(cards(desk).first).to_be_in_viewport()
        expect(desk.page.locator("#promptbar")).to_be_hidden()
        wide = desk.page.evaluate("document.scrollingElement.scrollWidth")
        assert wide == 390
