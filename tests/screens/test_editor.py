"""The left panel and what can be done with a whole character, as an editor does it in a browser."""

import re
import time

import pytest
from playwright.sync_api import Browser, Locator, expect

from core import characters
from core.auth import LOCAL_PERSON
from core.errors import NotFound
from core.values import Character
from tests.screens.browser import Desk, visit
from tests.screens.conftest import DESCRIPTION, Site, eventually

GREETINGS = ("You again.\nSit down.", "The tide is late, and so are you.")


def section(desk: Desk, title: str) -> Locator:
    return desk.page.get_by_role("button", name=re.compile(f"^{title}"))


def unfold(desk: Desk, title: str) -> None:
    if section(desk, title).get_attribute("aria-expanded") == "false":
        section(desk, title).click()


def choose(desk: Desk, what: str) -> None:
    """Take an entry of the menu for the whole character."""
    desk.page.get_by_role("button", name="More for this character").click()
    desk.page.get_by_role("menuitem", name=what).click()


def is_deleted(site: Site, character: Character) -> bool:
    try:
        site.row(character)
    except NotFound:
        return True
    return False


def test_the_voice_is_typed_chosen_and_saved(desk: Desk, site: Site, character: Character):
    unfold(desk, "Advanced")
    desk.page.get_by_label("Persona", exact=True).fill("Dry, patient, unhurried.")
    desk.page.get_by_label("Playful").check()
    desk.page.get_by_label("Mysterious").check()
    desk.page.get_by_label("Personality traits").fill("stubborn, kind")
    desk.page.get_by_label("First message").fill("Mind the ninth step.")
    desk.page.get_by_label("System prompt").fill("Answer in riddles on Thursdays.")

    desk.page.get_by_role("button", name="Save now").click()

    eventually(lambda: site.row(character).system_prompt == "Answer in riddles on Thursdays.")
    saved = site.row(character)
    assert (saved.persona, saved.voice_tone, saved.mood) == (
        "Dry, patient, unhurried.",
        "playful",
        "mysterious",
    )
    assert (saved.personality_traits, saved.first_message) == ("stubborn, kind", "Mind the ninth step.")
    assert saved.name == character.name


def test_greetings_are_added_moved_removed_and_brought_back(desk: Desk, site: Site, character: Character):
    for number, words in enumerate(GREETINGS, start=1):
        desk.page.get_by_role("button", name="Add a greeting").click()
        desk.page.get_by_label(f"Greeting {number}").fill(words)
    eventually(lambda: site.row(character).alternate_greetings == GREETINGS)

    desk.page.get_by_role("button", name="Move up greeting 2").click()
    eventually(lambda: site.row(character).alternate_greetings == GREETINGS[::-1])
    desk.page.get_by_role("button", name="Remove greeting 1").click()
    eventually(lambda: site.row(character).alternate_greetings == GREETINGS[:1])
    desk.notice.get_by_role("button", name="Undo").click()

    eventually(lambda: site.row(character).alternate_greetings == GREETINGS[::-1])
    expect(desk.page.get_by_label("Greeting 1")).to_have_value(GREETINGS[1])


def test_an_entry_that_is_still_empty_waits_and_is_saved_by_nobody(
    desk: Desk, site: Site, character: Character
):
    unfold(desk, "Advanced")
    desk.page.get_by_role("button", name="Add a phrase").click()
    desk.page.get_by_label("Phrase 1").press_sequentially("as an AI")
    desk.page.keyboard.press("Enter")
    expect(desk.page.get_by_label("Phrase 2")).to_be_focused()

    eventually(lambda: site.row(character).forbidden_phrases == ("as an AI",))

    expect(desk.page.get_by_label("Phrase 2")).to_be_visible()
    expect(desk.badge).to_have_text("Saved")


def test_sections_stay_as_they_were_folded(desk: Desk):
    section(desk, "Basics").click()
    unfold(desk, "Advanced")
    expect(desk.name).to_be_hidden()

    desk.reload()

    expect(section(desk, "Basics")).to_have_attribute("aria-expanded", "false")
    expect(desk.name).to_be_hidden()
    expect(desk.page.get_by_label("System prompt")).to_be_visible()


def test_a_refused_field_in_a_folded_section_is_led_to(desk: Desk):
    desk.name.fill("M" * 51)
    expect(desk.badge).to_have_text("Could not save", timeout=6_000)
    section(desk, "Basics").click()
    expect(desk.name).to_be_hidden()

    desk.badge.get_by_role("button").click()

    expect(desk.name).to_be_focused()


@pytest.mark.parametrize(("label", "field"), [("Persona", "persona"), ("First message", "first_message")])
def test_words_about_a_minor_are_refused_under_the_field_they_stand_in(
    desk: Desk, site: Site, character: Character, label: str, field: str
):
    desk.page.get_by_label(label, exact=True).fill("She is 15 years old and runs the harbour.")

    expect(desk.badge).to_have_text("Could not save", timeout=6_000)
    expect(desk.page.locator(".fn-text", has_text="under 18")).to_be_visible()
    assert getattr(site.row(character), field) is None


def test_a_long_text_is_counted_near_its_end_only(desk: Desk):
    persona = desk.page.get_by_label("Persona", exact=True)
    persona.fill("p" * 100)
    expect(desk.page.get_by_text("/ 20,000")).to_have_count(0)

    persona.fill("p" * 19_000)

    expect(desk.page.get_by_text("19,000 / 20,000")).to_be_visible()


def test_a_worn_style_shows_its_tags_and_is_taken_out_again(desk: Desk):
    desk.page.get_by_role("button", name="Elegant", exact=True).click()
    expect(desk.page.locator(".st-worn")).to_contain_text("graceful posture")

    desk.page.get_by_role("button", name="Take out Elegant").click()

    expect(desk.page.locator(".st-worn li")).to_have_count(0)
    expect(desk.tags("Physical tags")).to_have_count(0)


def test_a_character_begins_from_a_template(desk: Desk, site: Site, character: Character):
    choose(desk, "Start from a template")
    desk.page.get_by_role("dialog", name="Start from a template").get_by_text(
        "Night baker", exact=True
    ).click()

    expect(desk.name).to_have_value("Ruben Castellane")
    expect(desk.page.get_by_label("First message")).to_have_value(re.compile("free will"))
    expect(desk.page.get_by_label("Playful")).to_be_checked()
    assert site.row(character).name == "Mira Vantongeren"
    assert len(characters.listing(LOCAL_PERSON, site.services)) == 2


def test_an_empty_studio_offers_templates(site: Site, browser: Browser):
    with visit(browser, f"{site.url}/studio/") as desk:
        desk.settle()

        desk.page.get_by_role("button", name="Start from a template").click()
        desk.page.get_by_text("Lighthouse keeper", exact=True).click()

        expect(desk.name).to_have_value("Marguerite Oakes")


def test_a_copy_comes_onto_the_desk_and_back_leads_to_the_first(desk: Desk, site: Site, character: Character):
    desk.name.fill("Mira the First")
    choose(desk, "Duplicate")

    expect(desk.name).to_have_value("Mira the First (copy)")
    assert site.row(character).name == "Mira the First"

    desk.page.get_by_role("button", name="Back", exact=True).click()

    expect(desk.name).to_have_value("Mira the First")


def test_a_deleted_character_comes_back_with_undo(desk: Desk, site: Site, character: Character):
    other = site.character(name="Tomas Brandt")
    choose(desk, "Delete")
    expect(desk.name).to_have_value("Tomas Brandt")
    expect(desk.page).to_have_url(site.address(other))
    assert is_deleted(site, character)

    desk.notice.get_by_role("button", name="Undo").click()

    expect(desk.name).to_have_value("Mira Vantongeren")
    expect(desk.page).to_have_url(site.address(character))
    assert not is_deleted(site, character)


def test_the_last_character_leaves_an_empty_studio_behind(desk: Desk, site: Site, character: Character):
    choose(desk, "Delete")

    expect(desk.page.get_by_role("heading", name="Start with a character")).to_be_visible()
    expect(desk.page).to_have_url(re.compile(r"/studio/$"))
    assert is_deleted(site, character)


def test_a_ready_character_is_published_and_withdrawn(desk: Desk, site: Site, character: Character):
    desk.page.get_by_role("button", name="Publish", exact=True).first.click()
    dialog = desk.page.get_by_test_id("publishing")
    expect(dialog).to_contain_text("Everything that is needed is there.")
    expect(dialog).to_contain_text("Without one people see a placeholder.")
    dialog.get_by_role("button", name="Publish", exact=True).click()

    expect(desk.page.locator(".av-state")).to_have_text("Public")
    assert site.row(character).is_public

    desk.page.get_by_role("button", name="Public", exact=True).click()
    dialog.get_by_role("button", name="Make it a draft again").click()

    expect(desk.page.locator(".av-state")).to_have_text("Draft")
    assert not site.row(character).is_public


def test_an_unready_draft_says_what_is_missing_and_leads_there(site: Site, browser: Browser):
    draft = site.character(name="", description="Too short.")
    with visit(browser, site.address(draft)) as desk:
        desk.settle()
        desk.page.get_by_role("button", name="Publish", exact=True).first.click()
        dialog = desk.page.get_by_test_id("publishing")
        expect(dialog).to_contain_text("Give the character a name.")
        expect(dialog).to_contain_text("40 more to go")
        expect(dialog.get_by_role("button", name="Publish", exact=True)).to_be_disabled()

        dialog.get_by_role("button", name="Go there: Name").click()

        expect(desk.name).to_be_focused()
        assert not site.row(draft).is_public


def test_typing_goes_on_after_publishing_without_a_conflict(desk: Desk, site: Site, character: Character):
    desk.page.get_by_role("button", name="Publish", exact=True).first.click()
    desk.page.get_by_test_id("publishing").get_by_role("button", name="Publish", exact=True).click()
    expect(desk.page.locator(".av-state")).to_have_text("Public")

    desk.page.get_by_label("Role", exact=True).fill("Pilot")

    eventually(lambda: site.row(character).role == "Pilot")
    expect(desk.page.get_by_role("alertdialog")).to_have_count(0)


def test_the_preview_shows_what_is_typed_now(desk: Desk):
    desk.page.get_by_label("First message").fill("Mind the ninth step.")
    desk.page.get_by_role("button", name="Preview").click()

    preview = desk.page.get_by_test_id("preview")

    expect(preview.locator(".pv-message")).to_contain_text("Mind the ninth step.")
    expect(preview.locator(".pv-card-words")).to_contain_text(DESCRIPTION)
    desk.page.keyboard.press("Escape")
    expect(preview).to_be_hidden()
    expect(desk.page.get_by_role("button", name="Preview")).to_be_focused()


def test_a_picture_of_another_site_is_shown_on_a_press_only(
    site: Site, character: Character, browser: Browser
):
    with site.services.db.as_service() as conn:
        conn.execute("UPDATE public.characters SET image_url = 'https://pictures.invalid/mira.png'")
    with visit(browser, site.address(character)) as desk:
        desk.settle()
        desk.page.get_by_role("button", name="Preview").click()

        expect(desk.page.get_by_test_id("preview")).to_contain_text("kept on another site")

        assert desk.watch.outside == []


def adopted(site: Site) -> Character:
    """A character as the platform wrote it: nsfw, because that was its default."""
    with site.services.db.as_service() as conn:
        row = conn.execute(
            "INSERT INTO public.characters (user_id, name, description, content_rating)"
            " VALUES (%s, 'Old Tobias', %s, 'nsfw') RETURNING id",
            (LOCAL_PERSON.id, DESCRIPTION),
        ).fetchone()
    assert row is not None
    return characters.load(row[0], LOCAL_PERSON, site.services)


@pytest.mark.parametrize(("answer", "rating"), [("Safe for work", "sfw"), ("Adult is meant", "nsfw")])
def test_an_adopted_rating_is_asked_about_once(site: Site, browser: Browser, answer: str, rating: str):
    character = adopted(site)
    with visit(browser, site.address(character)) as desk:
        desk.settle()
        question = desk.page.get_by_test_id("rating-question")
        expect(question).to_contain_text("How is this character rated?")

        question.get_by_role("button", name=answer).click()

        expect(question).to_be_hidden()
        eventually(lambda: site.row(character).rating_settled_at is not None)
        desk.reload()
        expect(question).to_be_hidden()
    assert site.row(character).content_rating == rating


def test_a_character_made_here_is_not_asked_about(desk: Desk):
    expect(desk.page.get_by_test_id("rating-question")).to_be_hidden()


def test_the_selector_finds_and_pages_through_five_thousand_characters(
    desk: Desk, site: Site, character: Character
):
    with site.services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO public.characters (user_id, name, description, updated_at)"
            " SELECT %s, 'Person ' || n, 'x', now() - n * interval '1 minute' FROM generate_series(1, 5000) n",
            (LOCAL_PERSON.id,),
        )
    desk.page.get_by_test_id("character-picker").click()
    entries = desk.page.locator(".cp-entry")
    expect(entries).to_have_count(50)

    entries.last.scroll_into_view_if_needed()
    expect(entries).to_have_count(100)
    began = time.monotonic()
    desk.page.get_by_label("Search characters").fill("person 4999")
    expect(entries.locator("b")).to_have_text(["Person 4999"])
    seconds = time.monotonic() - began
    desk.page.keyboard.press("Enter")

    expect(desk.name).to_have_value("Person 4999")
    assert seconds < 5  # 200 ms of it the page waits for the next key


def test_every_dialog_opens_closes_and_keeps_the_focus_by_keyboard(desk: Desk):
    more = desk.page.get_by_role("button", name="More for this character")
    for what in ("Start from a template", "History"):
        more.focus()
        desk.page.keyboard.press("Enter")
        desk.page.get_by_role("menuitem", name=what).focus()
        desk.page.keyboard.press("Enter")
        dialog = desk.page.get_by_role("dialog").filter(visible=True)
        expect(dialog).to_have_count(1)
        for _ in range(14):
            desk.page.keyboard.press("Tab")
            assert desk.page.evaluate("document.activeElement.closest('[role=dialog]') !== null")

        desk.page.keyboard.press("Escape")

        expect(dialog).to_have_count(0)
        expect(more).to_be_focused()


HOSTILE = "<img src=x onerror=window.caught=1>${window.caught=2}{{value}}</textarea><script>window.caught=3</script>\u202e"


def test_hostile_text_in_every_field_is_text_in_every_part_of_the_editor(site: Site, browser: Browser):
    character = site.character(
        name=HOSTILE[:50],
        persona=HOSTILE,
        personality_traits=HOSTILE,
        first_message=HOSTILE,
        alternate_greetings=[HOSTILE],
        system_prompt=HOSTILE,
        forbidden_phrases=[HOSTILE],
        voice_examples=[HOSTILE],
    )
    site.change(character, persona=f"{HOSTILE} and more", name=f"B{HOSTILE[:40]}")
    with visit(browser, site.address(character)) as desk:
        desk.settle()
        unfold(desk, "Advanced")
        expect(desk.page.get_by_label("Greeting 1")).to_have_value(HOSTILE)
        for open_it in (
            lambda: choose(desk, "History"),
            lambda: desk.page.get_by_role("button", name="Preview").click(),
            desk.page.get_by_role("button", name="Publish", exact=True).first.click,
            lambda: desk.page.get_by_role("button", name="Suggest: Persona", exact=True).click(),
        ):
            open_it()
            expect(desk.page.get_by_role("dialog").filter(visible=True)).to_contain_text(
                re.compile("onerror|Persona")
            )
            desk.page.keyboard.press("Escape")
        choose(desk, "Delete")
        expect(desk.notice).to_contain_text("onerror")

        assert desk.page.evaluate("window.caught") is None
        assert desk.page.locator("img[src=x]").count() == 0
        assert desk.watch.complaints == []


@pytest.mark.parametrize("view", [{"width": 390, "height": 844}, {"width": 1440, "height": 900}])
def test_no_part_of_the_editor_is_wider_than_the_window(
    site: Site, character: Character, browser: Browser, view: dict[str, int]
):
    site.change(character, persona="x" * 3000, role="Night watch " * 20)
    with visit(browser, site.address(character), viewport=view) as desk:
        desk.settle()
        if view["width"] < 800:
            desk.page.get_by_role("tab", name="Details").click()
        for what in ("History", "Preview" if view["width"] < 800 else "Start from a template"):
            choose(desk, what)
            card = desk.page.locator(".dg-card").filter(visible=True)
            expect(card).to_be_visible()
            desk.page.wait_for_timeout(250)
            assert card.evaluate("card => card.querySelector('.dg-body').scrollWidth <= card.clientWidth")
            desk.page.keyboard.press("Escape")

        assert desk.page.evaluate("document.documentElement.scrollWidth") <= view["width"]
