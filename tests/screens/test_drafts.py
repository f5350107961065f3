"""What is typed and not saved yet survives: a reload, two tabs, a broken line, and somebody else's save meanwhile."""

from playwright.sync_api import expect

from core.values import Character
from tests.screens.browser import Desk
from tests.screens.conftest import Site, eventually
from tests.screens.test_saving import hang_saves, silence

CUT = "**/queue/join*"


def drafts(desk: Desk) -> int:
    return desk.page.evaluate(
        "Object.keys(localStorage).filter(key => key.startsWith('studio:draft:')).length"
    )


def test_two_tabs_of_one_browser_keep_both_drafts(desk: Desk, site: Site, character: Character):
    context = desk.page.context
    second = Desk(context.new_page(), desk.watch)
    second.page.goto(site.address(character))
    second.settle()
    silence(desk.page)
    silence(second.page)
    desk.page.get_by_label("Role", exact=True).fill("Typed in the first tab")
    second.page.get_by_label("Persona", exact=True).fill("Typed in the second tab")
    assert drafts(desk) == 2

    second.page.goto("about:blank")
    second.page.close()
    desk.reload()

    eventually(lambda: site.row(character).persona == "Typed in the second tab")
    assert site.row(character).role == "Typed in the first tab"
    expect(desk.badge).to_have_text("Saved", timeout=8_000)
    assert drafts(desk) == 0


def test_a_living_tabs_draft_is_not_taken_from_it(desk: Desk, site: Site, character: Character):
    silence(desk.page)
    desk.page.get_by_label("Role", exact=True).fill("Still being typed")

    other = Desk(desk.page.context.new_page(), desk.watch)
    other.page.goto(site.address(character))
    other.settle()

    expect(other.page.get_by_label("Role", exact=True)).to_have_value("")
    assert drafts(desk) == 1


def test_every_kind_of_field_comes_back_after_a_reload(desk: Desk, site: Site, character: Character):
    silence(desk.page)
    desk.page.get_by_role("button", name="Add a greeting").click()
    desk.page.get_by_label("Greeting 1").fill("You again.")
    desk.page.get_by_label("Teasing").check()
    desk.page.get_by_label("First message").fill("Mind the ninth step.")

    desk.reload()

    expect(desk.page.get_by_label("Greeting 1")).to_have_value("You again.")
    expect(desk.page.get_by_label("Teasing")).to_be_checked()
    eventually(lambda: site.row(character).alternate_greetings == ("You again.",))
    saved = site.row(character)
    assert (saved.voice_tone, saved.first_message) == ("teasing", "Mind the ninth step.")


def test_a_tag_nobody_finished_with_enter_is_saved_and_survives_a_reload(
    desk: Desk, site: Site, character: Character
):
    box = desk.page.get_by_label("Physical tags", exact=True)
    box.fill("silver hair")
    desk.page.keyboard.press("Control+s")
    eventually(lambda: site.row(character).appearance_tags == ("silver hair",))

    box.fill("a scar")
    desk.reload()

    expect(desk.tags("Physical tags")).to_have_text(["silver hair", "a scar"])
    eventually(lambda: site.row(character).appearance_tags == ("silver hair", "a scar"))


def test_a_draft_meets_somebody_elses_save_of_another_field_without_a_question(
    desk: Desk, site: Site, character: Character
):
    silence(desk.page)
    desk.name.fill("Mira, typed before the night")
    desk.page.goto("about:blank")
    site.change(character, role="Saved during the night")

    desk.page.goto(site.address(character))
    desk.settle()

    eventually(lambda: site.row(character).name == "Mira, typed before the night")
    assert site.row(character).role == "Saved during the night"
    expect(desk.page.get_by_role("alertdialog")).to_have_count(0)


def test_a_draft_meets_somebody_elses_save_of_the_same_field_and_asks(
    desk: Desk, site: Site, character: Character
):
    silence(desk.page)
    desk.name.fill("Mira, mine")
    desk.page.goto("about:blank")
    site.change(character, name="Mira, theirs")

    desk.page.goto(site.address(character))
    desk.settle()

    expect(desk.page.get_by_role("alertdialog")).to_contain_text("Mira, theirs", timeout=10_000)
    assert site.row(character).name == "Mira, theirs"


def test_a_draft_can_be_discarded(desk: Desk, site: Site, character: Character):
    desk.page.route(CUT, hang_saves)
    silence(desk.page)
    desk.name.fill("Mira by mistake")
    desk.reload()

    # The line stays cut: the browser would send what hangs in it as soon as it were mended.
    desk.page.get_by_role("button", name="Discard it").click()

    expect(desk.name).to_have_value("Mira Vantongeren")
    assert drafts(desk) == 0
    assert site.row(character).name == "Mira Vantongeren"
