"""The create page: one form, nothing typed is lost, the first portrait beside it."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image
from playwright.sync_api import Browser, expect

from core import attributes, characters, reviews, worker
from core.auth import LOCAL_PERSON
from core.values import Cell, Character, ReviewStatus
from studio import create_page
from tests import builders
from tests.screens.browser import Desk, visit
from tests.screens.conftest import DESCRIPTION, Site, eventually

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@contextmanager
def form(browser: Browser, site: Site, query: str = "", **window: object) -> Iterator[Desk]:
    with visit(browser, f"{site.url}/studio/create{query}", **window) as opened:
        expect(opened.page.locator("body.ps-ready")).to_be_attached(timeout=20_000)
        yield opened
    assert opened.watch.complaints == []
    assert opened.watch.outside == []


def fill(desk: Desk, name: str = "Ida Thornquist") -> None:
    desk.page.get_by_label("Name").fill(name)
    desk.page.get_by_label("Description").fill(DESCRIPTION)


def saved(site: Site) -> list[Character]:
    cards = characters.listing(LOCAL_PERSON, site.services)
    return [characters.load(card.id, LOCAL_PERSON, site.services) for card in cards]


def test_a_character_is_created_edited_and_taken_on_to_the_editor(site: Site, browser: Browser):
    with form(browser, site) as desk:
        expect(desk.page.get_by_role("heading", name="Create a character")).to_be_visible()
        fill(desk)
        desk.page.get_by_role("radio", name="Non-binary").check()

        desk.page.get_by_test_id("create-save").click()

        expect(desk.page.get_by_test_id("create-state")).to_have_text("Saved")
        expect(desk.page.get_by_role("heading", name="Edit Ida Thornquist")).to_be_visible()
        [character] = saved(site)
        assert (character.name, character.gender, character.description) == (
            "Ida Thornquist",
            "non-binary",
            DESCRIPTION,
        )
        desk.page.get_by_label("Name").fill("Ida Thorn")
        desk.page.get_by_role("button", name="On to the editor").click()
        expect(desk.page).to_have_url(f"{site.url}/studio/?character={character.id}")
        assert [one.name for one in saved(site)] == ["Ida Thorn"]


def test_every_field_the_core_can_save_is_in_the_form_and_comes_back(site: Site, browser: Browser):
    texts = [str(one["name"]) for one in create_page.FIELDS if one["kind"] in {"line", "text"}]
    with form(browser, site) as desk:
        for name in texts:
            desk.page.locator(f"#cr-{name}").fill(f"{name} of an adult baker, written today")
        for name in ("appearance_tags", "clothing_tags"):
            desk.page.locator(f"#cr-{name}").fill("one tag, another")
            desk.page.keyboard.press("Enter")
        desk.page.keyboard.press("Control+s")
        expect(desk.page.get_by_test_id("create-state")).to_have_text("Saved")

        desk.page.reload()
        expect(desk.page.locator("body.ps-ready")).to_be_attached(timeout=20_000)

        for name in texts:
            expect(desk.page.locator(f"#cr-{name}")).to_have_value(re.compile(f"^{name} of an adult baker"))
        [character] = saved(site)
        assert character.appearance_tags == character.clothing_tags == ("one tag", "another")


def test_what_was_typed_survives_a_reload_before_anything_is_saved(site: Site, browser: Browser):
    with form(browser, site) as desk:
        fill(desk)
        desk.page.locator("[data-look='age/40s']").click()
        expect(desk.page.get_by_test_id("create-state")).to_contain_text("kept in this browser")

        desk.page.reload()
        expect(desk.page.locator("body.ps-ready")).to_be_attached(timeout=20_000)

        expect(desk.page.get_by_label("Name")).to_have_value("Ida Thornquist")
        expect(desk.page.get_by_label("Description")).to_have_value(DESCRIPTION)
        expect(desk.page.locator("[data-look='age/40s']")).to_have_attribute("aria-pressed", "true")
        expect(desk.notice.filter(has_text="We put back what you typed")).to_be_visible()
        assert saved(site) == []


def test_two_tabs_keep_their_new_characters_apart(site: Site, browser: Browser):
    with form(browser, site) as desk:
        second = Desk(desk.page.context.new_page(), desk.watch)
        second.page.goto(f"{site.url}/studio/create")
        expect(second.page.locator("body.ps-ready")).to_be_attached(timeout=20_000)
        fill(desk, "Ida Thornquist")
        fill(second, "Otto Klingbeil")

        desk.page.get_by_test_id("create-save").click()
        expect(desk.page.get_by_test_id("create-state")).to_have_text("Saved")
        second.page.reload()

        expect(second.page.get_by_label("Name")).to_have_value("Otto Klingbeil")
        expect(second.page.get_by_label("Description")).to_have_value(DESCRIPTION)


def test_what_a_closed_tab_left_is_given_back_and_a_living_tabs_draft_is_not_taken(
    site: Site, browser: Browser
):
    with form(browser, site) as desk:
        context = desk.page.context
        fill(desk, "Still being typed")
        closed = Desk(context.new_page(), desk.watch)
        closed.page.goto(f"{site.url}/studio/create")
        expect(closed.page.locator("body.ps-ready")).to_be_attached(timeout=20_000)
        fill(closed, "Left behind")
        closed.page.close()

        third = Desk(context.new_page(), desk.watch)
        third.page.goto(f"{site.url}/studio/create")

        expect(third.page.get_by_label("Name")).to_have_value("Left behind")
        desk.page.reload()
        expect(desk.page.get_by_label("Name")).to_have_value("Still being typed")


def test_what_was_typed_outlives_a_server_that_is_away(site: Site, browser: Browser):
    with form(browser, site) as desk:
        fill(desk)
        desk.page.route("**/component_server/**", lambda route: route.abort())

        desk.page.get_by_test_id("create-save").click()

        expect(desk.notice.filter(has_text="What you typed is kept here")).to_be_visible()
        expect(desk.page.get_by_label("Name")).to_have_value("Ida Thornquist")
        desk.page.unroute("**/component_server/**")
        desk.page.get_by_test_id("create-save").click()
        eventually(lambda: [one.name for one in saved(site)] == ["Ida Thornquist"])


def test_a_refused_field_says_so_beneath_itself_and_keeps_its_words(site: Site, browser: Browser):
    with form(browser, site) as desk:
        fill(desk)
        desk.page.get_by_label("Description").fill("A twelve year old pirate. " * 3)

        desk.page.get_by_test_id("create-save").click()

        expect(desk.page.locator("#cr-note-description")).to_have_attribute("data-wrong", "true")
        expect(desk.page.get_by_label("Description")).to_be_focused()
        assert saved(site) == []


def test_a_look_sets_its_tags_and_gives_way_to_another_of_its_kind(site: Site, browser: Browser):
    with form(browser, site) as desk:
        desk.page.locator("[data-look='body/Slim']").click()
        desk.page.locator("[data-look='age/50s']").click()

        desk.page.locator("[data-look='body/Stocky']").click()

        expect(desk.page.locator(".cr-tags .tc-word")).to_have_text(["in their fifties", "stocky build"])
        desk.page.locator("[data-look='age/50s']").click()
        expect(desk.page.locator(".cr-tags .tc-word")).to_have_text(["stocky build"])


def test_looks_show_the_approved_pictures_and_placeholders_elsewhere(site: Site, browser: Browser):
    slim = Cell(category="body", value="Slim", style="realistic")
    attributes.generate(LOCAL_PERSON, site.services, cells=[slim])
    builders.work(site.services)
    found = next(one for one in attributes.status(LOCAL_PERSON, site.services).cells if one.cell == slim)
    assert found.picture is not None
    reviews.review(
        slim, ReviewStatus.approved, LOCAL_PERSON, site.services, image_url=found.picture.image_url
    )

    with form(browser, site) as desk:
        expect(desk.page.locator("[data-look='body/Slim'] img")).to_be_visible()
        expect(desk.page.locator("[data-look='body/Curvy'] img")).to_have_count(0)


def test_the_first_portrait_is_generated_beside_the_form(site: Site, browser: Browser):
    with form(browser, site) as desk:
        expect(desk.page.get_by_text("Needs a name first.")).to_be_visible()
        fill(desk)

        desk.page.get_by_test_id("create-generate").click()

        expect(desk.page.locator(".cr-busy")).to_contain_text("Waiting")
        expect(desk.page.locator(".cr-cost")).to_contain_text("free")
        with worker.in_thread(site.services):
            expect(desk.page.locator(".cr-preview > img")).to_be_visible(timeout=30_000)
        site.services.stopping.clear()
        expect(desk.page.locator(".cr-busy")).to_have_count(0)
        [character] = saved(site)
        assert len(site.saved(character)) == 1


def test_somebody_elses_save_is_a_choice_and_not_a_loss(site: Site, character: Character, browser: Browser):
    with form(browser, site, f"?character={character.id}") as desk:
        desk.page.get_by_label("Name").fill("My name for her")
        site.change(character, description=f"{DESCRIPTION} She changed it.")

        desk.page.get_by_test_id("create-save").click()
        desk.page.get_by_role("dialog").get_by_role("button", name="Save mine over it").click()

        expect(desk.page.get_by_test_id("create-state")).to_have_text("Saved")
        row = site.row(character)
        assert (row.name, row.description) == ("My name for her", f"{DESCRIPTION} She changed it.")


def test_what_a_colleague_saved_appears_where_nothing_is_typed_and_is_not_written_over(
    site: Site, character: Character, browser: Browser
):
    theirs = f"{DESCRIPTION} She changed it."
    with form(browser, site, f"?character={character.id}") as desk:
        site.change(character, description=theirs)
        expect(desk.page.get_by_label("Description")).to_have_value(theirs)
        expect(desk.page.get_by_test_id("create-state")).to_have_text("Saved")

        desk.page.get_by_label("Name").fill("My name for her")
        desk.page.get_by_test_id("create-save").click()

        expect(desk.page.get_by_test_id("create-state")).to_have_text("Saved")
        row = site.row(character)
        assert (row.name, row.description) == ("My name for her", theirs)


def test_a_reference_is_uploaded_with_its_rights_and_removed(
    site: Site, character: Character, browser: Browser
):
    data = io.BytesIO()
    Image.effect_noise((320, 320), 90).convert("RGB").save(data, "PNG")
    with form(browser, site, f"?character={character.id}") as desk:
        desk.page.get_by_role("button", name="Upload a picture").click()
        dialog = desk.page.get_by_role("dialog")
        dialog.get_by_label("Picture", exact=True).set_input_files(
            {"name": "ida.png", "mimeType": "image/png", "buffer": data.getvalue()}
        )
        dialog.get_by_role("button", name="Use this picture").click()
        expect(dialog.get_by_role("alert")).to_contain_text("rights")

        dialog.get_by_role("checkbox").check()
        dialog.get_by_role("button", name="Use this picture").click()

        expect(desk.page.locator(".cr-ref-face img")).to_be_visible()
        assert site.row(character).reference_image_url is not None
        desk.page.get_by_role("button", name="Remove", exact=True).click()
        expect(desk.page.locator(".cr-ref-face img")).to_have_count(0)
        assert site.row(character).reference_image_url is None


def test_what_people_wrote_is_text_in_the_form(site: Site, browser: Browser):
    hostile = "<img src=x onerror=window.caught=1>${window.caught=2}"
    character = site.character(
        name=hostile[:50], appearance_tags=[hostile[:40]], description=f"{hostile} {DESCRIPTION}"
    )
    with form(browser, site, f"?character={character.id}") as desk:
        expect(desk.page.get_by_label("Name")).to_have_value(hostile[:50])
        expect(desk.page.locator(".tc-word")).to_have_text([hostile[:40]])
        assert desk.page.title().startswith(f"Edit {hostile[:50]}")
        assert desk.page.evaluate("window.caught") is None
        assert desk.page.locator("img[src=x]").count() == 0


def test_the_form_fits_a_phone_and_save_stays_in_reach(site: Site, browser: Browser):
    with form(browser, site, **PHONE) as desk:
        fill(desk)
        expect(desk.page.get_by_test_id("create-save")).to_be_in_viewport()
        assert desk.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert desk.page.locator("#room").evaluate("room => room.scrollWidth - room.clientWidth") == 0
