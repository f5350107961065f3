"""The history of a character: who changed what, and the way back, for one field or for all."""

from playwright.sync_api import Locator, expect

from core.values import Character
from tests.screens.browser import Desk
from tests.screens.conftest import DESCRIPTION, Site, eventually
from tests.screens.test_editor import choose


def story(desk: Desk) -> Locator:
    choose(desk, "History")
    return desk.page.get_by_test_id("story")


def age(site: Site) -> None:
    """Edits of one person within ten minutes are one version: let them be older."""
    with site.services.db.as_service() as conn:
        conn.execute("UPDATE studio.character_versions SET at = at - interval '20 minutes'")


def test_a_fresh_character_says_that_nothing_changed_yet(desk: Desk):
    expect(story(desk)).to_contain_text("No changes yet")


def test_versions_show_who_changed_which_words(desk: Desk, site: Site, character: Character):
    site.change(character, description=DESCRIPTION.replace("coffee", "tea"))
    age(site)
    with site.services.db.as_service() as conn:
        conn.execute("SELECT set_config('request.jwt.claims', '', true)")
        conn.execute("UPDATE public.characters SET persona = 'calm'")

    versions = story(desk).get_by_test_id("version")

    expect(versions).to_have_count(2)
    expect(versions.first).to_contain_text("The platform")
    expect(versions.last).to_contain_text("You")
    expect(versions.last.locator("del")).to_have_text(["coffee"])
    expect(versions.last.locator("ins")).to_have_text(["tea"])


def test_what_is_typed_now_belongs_to_the_story(desk: Desk):
    desk.name.fill("Mira of the Quay")

    expect(story(desk).get_by_test_id("version")).to_contain_text("of the Quay")


def test_one_field_is_brought_back_and_that_can_be_undone(desk: Desk, site: Site, character: Character):
    site.change(character, name="Second", role="Pilot")
    expect(desk.name).to_have_value("Second")

    story(desk).get_by_role("button", name="Bring back the old Name").click()
    expect(desk.name).to_have_value("Mira Vantongeren")
    eventually(lambda: site.row(character).name == "Mira Vantongeren")
    assert site.row(character).role == "Pilot"

    desk.notice.get_by_role("button", name="Undo").click()

    eventually(lambda: site.row(character).name == "Second")


def test_everything_goes_back_to_before_a_version(desk: Desk, site: Site, character: Character):
    site.change(character, name="Second", appearance_tags=["green eyes"])
    age(site)
    site.change(character, name="Third", alternate_greetings=["You again."])
    age(site)
    site.change(character, name="Fourth")
    expect(desk.name).to_have_value("Fourth")

    versions = story(desk).get_by_test_id("version")
    expect(versions).to_have_count(3)
    versions.nth(1).get_by_role("button", name="Back to before this").click()

    eventually(lambda: site.row(character).name == "Second")
    saved = site.row(character)
    assert (saved.appearance_tags, saved.alternate_greetings) == (("green eyes",), ())
    expect(desk.page.get_by_label("Greeting 1")).to_have_count(0)


def test_a_long_story_is_read_in_pages(desk: Desk, site: Site, character: Character):
    for number in range(32):
        site.change(character, name=f"Name {number}")
        age(site)

    shown = story(desk)
    expect(shown.get_by_test_id("version")).to_have_count(30)
    shown.get_by_role("button", name="Show older ones").click()

    expect(shown.get_by_test_id("version")).to_have_count(32)
    expect(shown.get_by_role("button", name="Show older ones")).to_have_count(0)
