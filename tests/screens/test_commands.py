"""The palette, single keys and their list, as a person with a keyboard uses them."""

from playwright.sync_api import Locator, expect

from core.values import Character
from tests.screens.browser import Desk
from tests.screens.conftest import Site, eventually


def palette(desk: Desk) -> Locator:
    desk.page.keyboard.press("Control+k")
    return desk.page.get_by_test_id("palette")


def choose(desk: Desk, words: str) -> None:
    box = palette(desk).get_by_role("combobox")
    box.fill(words)
    expect(desk.page.get_by_role("option").first).to_contain_text(words)
    box.press("Enter")


def test_a_character_is_found_by_a_part_of_its_name_and_opened_by_keys(desk: Desk, site: Site):
    other = site.character(name="Otto Klingbeil")
    box = palette(desk).get_by_role("combobox")
    expect(box).to_be_focused()
    box.fill("klingb")
    expect(desk.page.get_by_role("option")).to_have_text(["Otto KlingbeilCharacter"])

    box.press("Enter")

    expect(desk.name).to_have_value("Otto Klingbeil")
    expect(desk.page.get_by_test_id("palette")).to_have_count(0)
    assert str(other.id) in desk.page.url


def test_who_begins_with_what_was_typed_stands_above_what_only_holds_it(desk: Desk, site: Site):
    site.character(name="Porter Vale")
    palette(desk).get_by_role("combobox").fill("por")

    expect(desk.page.get_by_role("option").first).to_have_text("Porter ValeCharacter")
    expect(desk.page.get_by_role("option").filter(has_text="Next portrait")).to_be_visible()


def test_the_arrows_walk_and_escape_gives_the_focus_back(desk: Desk):
    desk.description.focus()
    box = palette(desk).get_by_role("combobox")
    expect(desk.page.locator(".pl-person")).to_have_count(1)
    first = box.get_attribute("aria-activedescendant")

    box.press("ArrowDown")
    second = box.get_attribute("aria-activedescendant")
    box.press("ArrowUp")
    box.press("ArrowUp")
    last = box.get_attribute("aria-activedescendant")
    box.press("Escape")

    assert (first, second) == ("pl-0", "pl-1")
    assert last not in {first, second}
    expect(desk.description).to_be_focused()


def test_what_the_page_can_do_is_done_from_the_palette(desk: Desk, site: Site, character: Character):
    choose(desk, "New scene")
    expect(desk.page.get_by_role("dialog", name="New scene")).to_be_visible()
    desk.page.keyboard.press("Escape")

    choose(desk, "Show portraits")
    expect(desk.page.locator("#promptbar")).to_be_visible()
    desk.name.fill("Mira the Saved")
    choose(desk, "Save now")

    eventually(lambda: site.row(character).name == "Mira the Saved")


def test_a_name_full_of_hostile_text_is_text_in_the_palette(desk: Desk, site: Site):
    words = "<img src=x onerror=window.caught=1>${window.caught=2}"
    site.character(name=words[:50])

    palette(desk).get_by_role("combobox").fill("onerror")

    expect(desk.page.get_by_role("option").locator(".pl-label")).to_have_text([words[:50]])
    assert desk.page.evaluate("window.caught") is None


def test_single_keys_walk_through_portraits_and_set_the_primary(desk: Desk, site: Site, character: Character):
    site.make_portraits(character, 2)
    expect(desk.tiles).to_have_count(2)
    desk.page.locator("#theme button").focus()

    desk.page.keyboard.press("n")
    expect(desk.tiles.nth(0).get_by_test_id("tile-open")).to_be_focused()
    desk.page.keyboard.press("n")
    expect(desk.tiles.nth(1).get_by_test_id("tile-open")).to_be_focused()
    desk.page.keyboard.press("s")

    expect(desk.tiles.nth(1).get_by_role("button", name="Primary portrait")).to_be_visible()
    eventually(lambda: [tile.primary for tile in site.saved(character)] == [False, True])
    desk.page.keyboard.press("p")
    expect(desk.tiles.nth(0).get_by_test_id("tile-open")).to_be_focused()


def test_letters_typed_into_a_field_are_letters(desk: Desk):
    desk.description.press("End")

    desk.page.keyboard.type(" snp12?")

    assert desk.description.input_value().endswith(" snp12?")
    expect(desk.page.get_by_role("dialog")).to_have_count(0)


def test_the_list_of_keys_opens_with_a_question_mark_and_switches_single_keys_off(desk: Desk):
    desk.page.locator("#theme button").focus()
    desk.page.keyboard.press("?")
    dialog = desk.page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(dialog).to_contain_text("Next portrait")

    dialog.get_by_label("Single keys").uncheck()
    desk.page.keyboard.press("Escape")
    desk.page.keyboard.press("2")

    expect(desk.page.locator("#scenes")).to_be_hidden()
    desk.page.keyboard.press("Control+k")
    expect(desk.page.get_by_test_id("palette")).to_be_visible()
