"""Suggestions: the proposal beside the present text, accepted or left by a person, and never for somebody else."""

import re

from playwright.sync_api import Locator, Route, expect

from core.values import Character
from tests.screens.browser import Desk
from tests.screens.conftest import DESCRIPTION, Site, eventually


def panel(desk: Desk) -> Locator:
    return desk.page.get_by_test_id("proposals")


def card(desk: Desk, field: str) -> Locator:
    return panel(desk).locator(f"[data-field={field}]")


def ask(desk: Desk, what: str) -> None:
    desk.page.get_by_role("button", name=f"Suggest: {what}", exact=True).click()
    expect(panel(desk).get_by_test_id("proposal").first).to_be_visible()


def test_a_proposal_stands_beside_the_present_text_and_changes_nothing_by_itself(
    desk: Desk, site: Site, character: Character
):
    ask(desk, "Description")

    expect(card(desk, "description").locator(".pp-side").first).to_contain_text(DESCRIPTION)
    expect(card(desk, "description").locator("ins").first).to_be_visible()
    expect(panel(desk)).to_contain_text("offline")
    expect(desk.description).to_have_value(DESCRIPTION)
    assert site.row(character).version == character.version


def test_an_accepted_proposal_is_an_edit_and_can_be_undone(desk: Desk, site: Site, character: Character):
    ask(desk, "Persona")
    proposed = card(desk, "persona").locator(".pp-side").last.locator("p").inner_text()
    card(desk, "persona").get_by_role("button", name="Accept").click()
    expect(desk.page.get_by_label("Persona", exact=True)).to_have_value(proposed)
    eventually(lambda: site.row(character).persona == proposed)

    card(desk, "persona").get_by_role("button", name="Undo").click()

    expect(desk.page.get_by_label("Persona", exact=True)).to_have_value("")
    eventually(lambda: site.row(character).persona is None)


def test_what_is_left_stays_as_it_was(desk: Desk, site: Site, character: Character):
    ask(desk, "Role")

    card(desk, "role").get_by_role("button", name="Leave").click()

    expect(card(desk, "role")).to_contain_text("Left as it was")
    desk.page.keyboard.press("Escape")
    expect(panel(desk)).to_be_hidden()
    assert site.row(character).version == character.version


def test_everything_is_asked_for_at_once_and_accepted_field_by_field(
    desk: Desk, site: Site, character: Character
):
    desk.page.get_by_role("button", name="Suggest every field").click()
    expect(panel(desk).get_by_test_id("proposal")).to_have_count(15)
    greetings = card(desk, "alternate_greetings")

    greetings.get_by_role("button", name="Accept").click()
    card(desk, "voice_tone").get_by_role("button", name="Accept").click()

    eventually(lambda: site.row(character).voice_tone != character.voice_tone)
    saved = site.row(character)
    assert len(saved.alternate_greetings) == 2
    assert (saved.name, saved.description, saved.persona) == (character.name, character.description, None)


def test_all_that_is_open_is_accepted_with_one_press(desk: Desk, site: Site, character: Character):
    desk.page.get_by_role("button", name="Suggest every field").click()
    card(desk, "name").get_by_role("button", name="Leave").click()

    panel(desk).get_by_role("button", name="Accept all 14").click()

    eventually(lambda: bool(site.row(character).voice_examples))
    saved = site.row(character)
    assert saved.name == character.name
    assert all([saved.persona, saved.first_message, saved.system_prompt, saved.appearance_tags])


def test_suggested_tags_come_sorted_are_chosen_one_by_one_and_moved(
    desk: Desk, site: Site, character: Character
):
    site.change(character, appearance_tags=["green eyes"])
    expect(desk.tags("Physical tags")).to_have_text(["green eyes"])
    ask(desk, "Physical tags")
    fresh = card(desk, "appearance_tags").locator(".pp-fresh .pp-tag-word")
    first, second = (re.sub(r"^\+ ", "", words) for words in fresh.all_inner_texts()[:2])

    fresh.first.click()
    card(desk, "appearance_tags").get_by_role("button", name=f"Move {second} to Default outfit").click()
    card(desk, "appearance_tags").get_by_role("button", name="Accept").click()
    card(desk, "clothing_tags").get_by_role("button", name="Accept").click()

    eventually(lambda: second in site.row(character).clothing_tags)
    saved = site.row(character)
    assert saved.appearance_tags[0] == "green eyes"
    assert first not in saved.appearance_tags
    assert second not in saved.appearance_tags


def test_the_present_text_is_what_is_typed_not_what_is_saved(desk: Desk):
    desk.page.get_by_label("Role", exact=True).fill("Keeper of the very small lighthouse")

    ask(desk, "Role")

    expect(card(desk, "role").locator(".pp-side").first).to_contain_text("very small lighthouse")


def test_a_late_answer_for_another_character_is_dropped(desk: Desk, site: Site, character: Character):
    other = site.character(name="Tomas Brandt")
    held: list[Route] = []

    def hold(route: Route) -> None:
        if '"wanted"' in (route.request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    desk.page.route("**/queue/join*", hold)
    desk.page.get_by_role("button", name="Suggest: Persona", exact=True).click()
    expect(panel(desk)).to_contain_text("Writing a suggestion")
    desk.page.evaluate("id => window.studio.open(id)", str(other.id))
    expect(desk.name).to_have_value("Tomas Brandt")

    held[0].continue_()
    desk.page.wait_for_timeout(1500)

    expect(panel(desk)).to_be_hidden()
    expect(desk.page.get_by_label("Persona", exact=True)).to_have_value("")
    assert site.row(other).persona is None


def test_every_asking_draws_anew(desk: Desk):
    ask(desk, "First message")
    seen = set()
    for _ in range(5):  # two draws can be alike, five are not
        seen.add(card(desk, "first_message").locator(".pp-side").last.inner_text())
        panel(desk).get_by_role("button", name="Another one").click()
        expect(card(desk, "first_message")).to_be_visible()

    assert len(seen) > 1


def test_a_refusal_is_said_in_the_panel(desk: Desk, site: Site, character: Character):
    desk.description.fill("She is 15 years old and runs the harbour as if it were hers.")

    desk.page.get_by_role("button", name="Suggest: Persona", exact=True).click()

    expect(panel(desk)).to_contain_text("under 18")
    expect(panel(desk).get_by_test_id("proposal")).to_have_count(0)
    assert site.row(character).persona is None
