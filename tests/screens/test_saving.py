"""Edits save themselves, and nothing typed is lost."""

import time

from playwright.sync_api import Browser, Page, Route, expect

from core.values import Character
from tests.screens.browser import Desk, visit
from tests.screens.conftest import DESCRIPTION, Site, eventually


def saves(desk: Desk) -> list[str]:
    return [event for event in desk.watch.events if '"changes"' in event]


def is_save(route: Route) -> bool:
    """Whether something is to be saved; what a page sends while it is left cannot be read, and may be a save."""
    said = route.request.post_data
    return said is None or '"changes"' in said


def cut_saves(route: Route) -> None:
    """A line that breaks while something is being saved."""
    if is_save(route):
        route.abort()
    else:
        route.continue_()


def hang_saves(route: Route) -> None:
    """A server that takes a save and never answers. After a broken line Gradio loads the page again by itself."""
    if not is_save(route):
        route.continue_()


def silence(page: Page) -> None:
    """Nothing leaves this page any more, not even what it sends while it is left: no route sees that."""
    page.evaluate("() => { window.fetch = () => new Promise(() => {}); }")


def test_many_keystrokes_are_saved_once_two_seconds_after_the_last(
    desk: Desk, site: Site, character: Character
):
    desk.name.fill("")
    desk.name.press_sequentially("Mira of the Quay", delay=60)
    typed_at = time.monotonic()
    before = site.row(character).name

    expect(desk.badge).to_have_text("Saved", timeout=6_000)

    assert time.monotonic() - typed_at >= 1.8
    assert before == "Mira Vantongeren"
    assert site.row(character).name == "Mira of the Quay"
    assert len(saves(desk)) == 1


def test_the_badge_says_unsaved_while_an_edit_waits(desk: Desk):
    desk.name.fill("Mira the Second")

    expect(desk.badge).to_have_text("Unsaved")


def test_taking_letters_away_counts_as_an_edit(desk: Desk, site: Site, character: Character):
    desk.name.focus()
    desk.page.keyboard.press("End")
    desk.page.keyboard.press("Backspace")

    expect(desk.badge).to_have_text("Unsaved")
    expect(desk.badge).to_have_text("Saved", timeout=6_000)
    assert site.row(character).name == "Mira Vantongere"


def test_save_now_does_not_wait(desk: Desk, site: Site, character: Character):
    desk.name.fill("Mira Now")

    desk.page.get_by_role("button", name="Save now").click()

    eventually(lambda: site.row(character).name == "Mira Now", within=1.5)


def test_choices_and_tags_are_saved_like_text(desk: Desk, site: Site, character: Character):
    desk.page.get_by_label("Non-binary").check()
    desk.page.get_by_label("Physical tags").fill("green eyes, freckles")
    desk.page.keyboard.press("Enter")

    expect(desk.badge).to_have_text("Unsaved")
    expect(desk.badge).to_have_text("Saved", timeout=6_000)
    saved = site.row(character)
    assert saved.gender == "non-binary"
    assert saved.appearance_tags == ("green eyes", "freckles")
    assert saved.name == "Mira Vantongeren"


def test_what_was_typed_comes_back_after_a_reload_and_is_saved(desk: Desk, site: Site, character: Character):
    silence(desk.page)
    desk.description.fill(DESCRIPTION + " She hums while she steers.")

    desk.reload()

    expect(desk.notice).to_contain_text("put back")
    expect(desk.description).to_have_value(DESCRIPTION + " She hums while she steers.")
    expect(desk.badge).to_have_text("Saved", timeout=8_000)
    expect(desk.notice).to_contain_text("was put back, and is saved now")
    expect(desk.page.get_by_role("button", name="Discard it")).to_have_count(0)
    assert site.row(character).description.endswith("She hums while she steers.")


# Every state the badge was in since the page was loaded.
STATES = """const see = () => window.states = [...(window.states ?? []), document.body.dataset.save];
new MutationObserver(see).observe(document, { subtree: true, attributeFilter: ["data-save"] });"""


def test_the_badge_says_saved_only_when_what_was_put_back_is_saved(
    desk: Desk, site: Site, character: Character
):
    silence(desk.page)
    desk.description.fill(DESCRIPTION + " She hums while she steers.")
    desk.page.add_init_script(STATES)

    desk.reload()
    expect(desk.badge).to_have_text("Saved")

    assert desk.page.evaluate("states") == ["idle", "unsaved", "saving", "saved"]
    assert site.row(character).description.endswith("She hums while she steers.")


def test_a_draft_of_one_character_never_lands_in_another(desk: Desk, site: Site, character: Character):
    other = site.character(name="Tomas Brandt")
    desk.name.fill("Mira in a hurry")

    desk.page.evaluate("id => window.studio.open(id)", str(other.id))

    expect(desk.name).to_have_value("Tomas Brandt")
    expect(desk.page).to_have_url(site.address(other))
    eventually(lambda: site.row(character).name == "Mira in a hurry")
    assert site.row(other).name == "Tomas Brandt"


def test_a_refused_field_says_why_and_keeps_the_words(desk: Desk, site: Site, character: Character):
    long = "M" * 51

    desk.name.fill(long)

    expect(desk.badge).to_have_text("Could not save", timeout=6_000)
    expect(desk.page.get_by_text("Name takes at most 50 characters")).to_be_visible()
    expect(desk.name).to_have_value(long)
    assert site.row(character).name == "Mira Vantongeren"


def test_a_server_that_does_not_answer_is_said_and_asked_again(desk: Desk, site: Site, character: Character):
    desk.page.route("**/queue/join*", hang_saves)
    desk.name.fill("Mira Waiting")
    expect(desk.badge).to_have_text("Could not save", timeout=15_000)

    desk.page.unroute("**/queue/join*")

    expect(desk.badge).to_have_text("Saved", timeout=15_000)
    expect(desk.name).to_have_value("Mira Waiting")
    assert site.row(character).name == "Mira Waiting"


def test_a_line_that_breaks_costs_no_words(desk: Desk, site: Site, character: Character):
    desk.own_words.fill("in the first snow")
    desk.page.route("**/queue/join*", cut_saves)
    with desk.page.expect_navigation(timeout=15_000):  # Gradio loads the page again when the line is back
        desk.name.fill("Mira Offline")
    desk.page.unroute("**/queue/join*")
    desk.settle()

    expect(desk.badge).to_have_text("Saved", timeout=15_000)
    expect(desk.name).to_have_value("Mira Offline")
    expect(desk.own_words).to_have_value("in the first snow")
    assert site.row(character).name == "Mira Offline"


def test_what_is_chosen_while_the_line_is_down_is_kept(desk: Desk, site: Site, character: Character):
    desk.page.route("**/queue/join*", cut_saves)
    desk.page.route(
        "**/app_id", lambda route: route.abort()
    )  # so that Gradio does not load the page again yet
    desk.name.fill("Mira Offline")
    expect(desk.badge).to_have_text("Saving…")
    desk.page.wait_for_timeout(500)

    desk.page.get_by_label("Playful").check()
    desk.page.get_by_role("button", name="Athletic").click()
    desk.page.get_by_label("Physical tags").fill("freckles")
    desk.page.keyboard.press("Enter")
    with desk.page.expect_navigation(timeout=15_000):
        desk.page.unroute_all()
    desk.settle()

    expect(desk.page.get_by_label("Playful")).to_be_checked()
    expect(desk.badge).to_have_text("Saved", timeout=15_000)
    saved = site.row(character)
    assert saved.voice_tone == "playful"
    assert "freckles" in saved.appearance_tags
    assert "toned" in saved.appearance_tags


def test_what_somebody_else_saves_appears_where_nothing_is_typed(
    desk: Desk, site: Site, character: Character
):
    site.change(character, role="Harbour master")

    expect(desk.page.get_by_label("Role")).to_have_value("Harbour master")
    expect(desk.badge).to_have_text("Saved")


def test_two_people_see_both_texts_and_the_other_one_can_be_taken(
    desk: Desk, site: Site, character: Character
):
    desk.name.fill("Mira, mine")
    site.change(character, name="Mira, theirs")

    dialog = desk.page.get_by_role("alertdialog")
    expect(dialog).to_contain_text("Mira, theirs")
    expect(dialog).to_contain_text("Mira, mine")
    dialog.get_by_role("button", name="Load theirs").click()

    expect(desk.name).to_have_value("Mira, theirs")
    expect(desk.badge).to_have_text("Saved")
    assert site.row(character).name == "Mira, theirs"


def test_both_texts_are_shown_again_from_the_red_badge(desk: Desk, site: Site, character: Character):
    desk.name.fill("Mira, mine")
    site.change(character, name="Mira, theirs")
    dialog = desk.page.get_by_role("alertdialog")
    expect(dialog).to_be_visible()
    desk.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()

    desk.badge.get_by_role("button").click()

    expect(dialog).to_contain_text("Mira, theirs")
    expect(dialog).to_contain_text("Mira, mine")


def test_two_people_and_keeping_mine_changes_only_my_field(desk: Desk, site: Site, character: Character):
    desk.name.fill("Mira, mine")
    site.change(character, name="Mira, theirs", role="Harbour master")

    desk.page.get_by_role("button", name="Keep mine").click()

    expect(desk.badge).to_have_text("Saved", timeout=6_000)
    saved = site.row(character)
    assert (saved.name, saved.role) == ("Mira, mine", "Harbour master")
    expect(desk.page.get_by_label("Role")).to_have_value("Harbour master")


def test_two_tabs_show_each_others_saves(desk: Desk, site: Site, character: Character, browser: Browser):
    with visit(browser, site.address(character)) as other:
        other.settle()

        desk.name.fill("Mira in two places")

        expect(other.name).to_have_value("Mira in two places", timeout=6_000)
        expect(other.badge).to_have_text("Saved")
