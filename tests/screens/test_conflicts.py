"""Two people, one character: what only one of them changed is kept, what both changed is asked, field by field."""

from playwright.sync_api import Locator, expect

from core.values import Character
from tests.screens.browser import Desk
from tests.screens.conftest import DESCRIPTION, Site, eventually

MINE = DESCRIPTION + " She hums while she steers."
THEIRS = DESCRIPTION + " She whistles at gulls."


def dialog(desk: Desk) -> Locator:
    return desk.page.get_by_role("alertdialog")


def pick(desk: Desk, field: str, side: str) -> None:
    dialog(desk).locator(f"[data-field={field}] input[value={side}]").check()


def test_different_fields_of_two_people_are_both_kept_without_a_question(
    desk: Desk, site: Site, character: Character
):
    desk.page.get_by_label("Role", exact=True).fill("Pilot")
    site.change(character, description=THEIRS)

    eventually(lambda: site.row(character).role == "Pilot")

    assert site.row(character).description == THEIRS
    expect(desk.notice).to_contain_text("Somebody else changed Description meanwhile")
    expect(desk.description).to_have_value(THEIRS)
    expect(dialog(desk)).to_have_count(0)


def test_only_the_fields_both_changed_are_asked_and_each_is_decided_by_itself(
    desk: Desk, site: Site, character: Character
):
    desk.name.fill("Mira, mine")
    desk.description.fill(MINE)
    desk.page.get_by_label("Role", exact=True).fill("My role")
    site.change(character, name="Mira, theirs", description=THEIRS, traits="Their scar")
    expect(dialog(desk).locator(".cf-row legend")).to_have_text(["Name", "Description"])

    pick(desk, "description", "theirs")
    dialog(desk).get_by_role("button", name="Keep what is chosen").click()

    expect(desk.badge).to_have_text("Saved", timeout=6_000)
    saved = site.row(character)
    assert (saved.name, saved.description) == ("Mira, mine", THEIRS)
    assert (saved.role, saved.traits) == ("My role", "Their scar")
    expect(desk.description).to_have_value(THEIRS)


def test_the_words_that_differ_are_marked(desk: Desk, site: Site, character: Character):
    desk.description.fill(MINE)
    site.change(character, description=THEIRS)

    row = dialog(desk).locator("[data-field=description]")

    expect(row.locator("del").first).to_have_text("whistles at gulls")
    expect(row.locator("ins").first).to_have_text("hums while she steers")


def test_taking_theirs_keeps_my_other_fields(desk: Desk, site: Site, character: Character):
    desk.name.fill("Mira, mine")
    desk.page.get_by_label("Role", exact=True).fill("My role")
    site.change(character, name="Mira, theirs")

    dialog(desk).get_by_role("button", name="Load theirs").click()

    eventually(lambda: site.row(character).role == "My role")
    assert site.row(character).name == "Mira, theirs"


def test_the_same_change_twice_is_no_conflict(desk: Desk, site: Site, character: Character):
    desk.name.fill("Mira of the Quay")
    site.change(character, name="Mira of the Quay", role="Pilot")

    expect(desk.badge).to_have_text("Saved", timeout=6_000)

    expect(dialog(desk)).to_have_count(0)
    expect(desk.page.get_by_label("Role", exact=True)).to_have_value("Pilot")


def test_a_conflict_is_decided_by_keyboard_alone(desk: Desk, site: Site, character: Character):
    desk.name.fill("Mira, mine")
    site.change(character, name="Mira, theirs")
    expect(dialog(desk)).to_be_visible()

    desk.page.keyboard.press("Shift+Tab")
    desk.page.keyboard.press("Shift+Tab")
    desk.page.keyboard.press("ArrowUp")
    expect(dialog(desk).locator("input[value=theirs]")).to_be_checked()
    desk.page.keyboard.press("Tab")
    desk.page.keyboard.press("Tab")
    desk.page.keyboard.press("Enter")

    expect(desk.name).to_have_value("Mira, theirs")
    expect(desk.badge).to_have_text("Saved")


def test_late_news_of_a_character_that_left_the_desk_do_not_bring_it_back(desk: Desk, site: Site):
    other = site.character(name="Tomas Brandt")
    late = {"id": str(other.id), "version": 7, "values": {"name": "Tomas Brandt"}, "facts": {}}

    shown = desk.page.evaluate("(late) => window.studio.fill({ ...late, pushed: true }, [])", late)

    assert "Mira Vantongeren" in shown
    assert (
        desk.page.evaluate("window.studio.desk.name || window.studio.desk.saved.name") == "Mira Vantongeren"
    )
