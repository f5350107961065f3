"""What holds for the page as a whole: safety, connections, sizes, sign-in."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from core.events import RESYNC
from core.values import Character
from tests.screens.browser import Desk, room, visit
from tests.screens.conftest import Site

HOSTILE = (
    "<img src=x onerror=window.caught=1>",
    "${window.caught=2}",
    "{{value}}{{constructor}}",
    "<script>window.caught=3</script>",
    "`${window.caught=4}`</textarea><svg onload=window.caught=5>",
    "javascript:window.caught=6",
)


@pytest.mark.parametrize("words", HOSTILE)
def test_what_people_write_is_shown_as_text_everywhere(words: str, site: Site, browser: Browser):
    character = site.character(
        name=words[:50],
        description=f"{words} {'and more words of that kind ' * 3}",
        appearance_tags=[words[:40]],
        role=words,
    )
    with visit(browser, site.address(character)) as desk:
        desk.settle()
        desk.own_words.fill(words)
        desk.page.get_by_test_id("character-picker").click()

        expect(desk.page.locator(".cp-entry b").first).to_have_text(words[:50])
        expect(desk.tags("Physical tags")).to_have_text([words[:40]])
        expect(desk.page.get_by_label("Role")).to_have_value(words)
        expect(desk.page.locator(".fp-line")).to_contain_text(words[:40])
        assert desk.page.title().startswith(words[:50])
        assert desk.page.evaluate("window.caught") is None
        assert desk.page.locator("img[src=x], svg[onload]").count() == 0


def test_a_hostile_prompt_is_text_in_the_opened_picture(site: Site, character: Character, browser: Browser):
    site.make_portraits(character, 1)
    hostile = " ".join(HOSTILE)
    with site.services.db.as_service() as conn:
        conn.execute("UPDATE public.character_portraits SET prompt = %s, enhanced_prompt = %s", [hostile] * 2)
    with visit(browser, site.address(character)) as desk:
        desk.settle()

        desk.tiles.first.get_by_test_id("tile-open").click()

        expect(desk.page.locator(".lb-prompt").first).to_have_text(hostile)
        assert desk.page.evaluate("window.caught") is None


def test_the_page_asks_no_other_host_for_anything(desk: Desk):
    desk.page.wait_for_timeout(500)

    loaded = desk.page.evaluate("performance.getEntriesByType('resource').map(one => one.name)")

    assert desk.watch.outside == []
    assert [name for name in loaded if not name.startswith(desk.page.evaluate("location.origin"))] == []
    assert desk.page.evaluate("document.fonts.check('14px Inter')")


def test_a_page_holds_no_heartbeat_and_twelve_tabs_open_at_once(
    site: Site, character: Character, browser: Browser
):
    with room(browser, site.url) as (context, first):
        pages = [first, *(context.new_page() for _ in range(11))]

        for page in pages:
            page.goto(site.address(character))
            expect(page.locator("body.ps-ready")).to_be_attached(timeout=20_000)

        assert pages[0].evaluate("window.gradio_config.connect_heartbeat") is False
        site.change(character, role="Seen in every tab")
        for page in pages:
            expect(page.get_by_label("Role")).to_have_value("Seen in every tab")


def test_a_page_whose_first_row_was_lost_on_the_way_says_so_and_is_loaded_again(
    site: Site, character: Character, browser: Browser
):
    # a touch screen is a window of its own: its clock is nobody else's
    with room(browser, site.url, has_touch=True) as (_, page):
        page.clock.install()
        # a studio that takes the question and never answers
        page.route("**/queue/join*", lambda route: route.fulfill(json={"event_id": "lost"}))
        page.route("**/queue/data*", lambda _: None)
        page.goto(site.address(character))
        expect(page.get_by_label("Role")).to_be_attached(timeout=20_000)
        page.keyboard.press("Control+s")
        expect(page.get_by_test_id("save-status")).to_have_attribute("data-state", "idle")
        page.clock.fast_forward(20_000)
        expect(page.get_by_test_id("notice").filter(has_text="has not come whole")).to_be_visible()

        page.unroute_all()
        page.get_by_role("button", name="Load it again").click()
        expect(page.locator("body.ps-ready")).to_be_attached(timeout=20_000)
        page.clock.fast_forward(20_000)

        expect(page.get_by_label("Role")).to_be_editable()
        expect(page.get_by_test_id("notice").filter(has_text="has not come whole")).to_have_count(0)


def test_the_page_carries_its_policy_and_its_files_are_kept_by_the_browser(site: Site):
    page = httpx.get(f"{site.url}/studio/")
    style = re.search(r"<(/studio-assets/\w+/studio\.css)>", page.headers["Link"])
    assert style is not None

    sheet = httpx.get(site.url + style[1])

    assert sheet.headers["Cache-Control"].endswith("immutable")
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert "http" not in page.headers["Content-Security-Policy"]


def test_the_address_names_the_character_and_an_unknown_one_is_said(
    desk: Desk, site: Site, character: Character
):
    expect(desk.page).to_have_url(site.address(character))

    desk.page.goto(f"{site.url}/studio/?character=00000000-0000-4000-8000-00000000dead")
    desk.settle()

    expect(desk.page.get_by_text("not there any more, or not yours to see")).to_be_visible()
    expect(desk.page).to_have_url(site.address(character))


def test_back_returns_to_the_character_before(desk: Desk, site: Site, character: Character):
    other = site.character(name="Tomas Brandt")
    desk.page.get_by_test_id("character-picker").click()
    desk.page.get_by_role("button", name="Tomas Brandt").click()
    expect(desk.name).to_have_value("Tomas Brandt")
    expect(desk.page).to_have_url(site.address(other))

    desk.page.go_back()

    expect(desk.name).to_have_value("Mira Vantongeren")


def test_characters_are_found_by_name(desk: Desk, site: Site):
    site.character(name="Tomas Brandt")
    desk.page.get_by_test_id("character-picker").click()
    expect(desk.page.locator(".cp-entry")).to_have_count(2)

    desk.page.get_by_label("Search characters").fill("tomas")

    expect(desk.page.locator(".cp-entry b")).to_have_text(["Tomas Brandt"])


def test_the_first_character_is_begun_from_an_empty_studio(site: Site, browser: Browser):
    with visit(browser, f"{site.url}/") as desk:
        desk.settle()
        expect(desk.page.get_by_role("heading", name="Start with a character")).to_be_visible()

        desk.page.locator(".pg-empty").get_by_role("button", name="New character").click()

        expect(desk.name).to_be_focused()
        expect(desk.page).to_have_url(re.compile(r"\?character="))
        expect(desk.page.get_by_text("Give the character a name")).to_be_visible()


def test_an_empty_studio_stays_quiet_when_changes_may_have_been_missed(site: Site, browser: Browser):
    with visit(browser, f"{site.url}/studio/") as desk:
        desk.settle()
        site.services.events._tell(RESYNC)
        desk.page.wait_for_timeout(400)

        expect(desk.page.get_by_test_id("toast-body")).to_have_count(0)
        expect(desk.page.get_by_role("heading", name="Start with a character")).to_be_visible()


def test_a_tag_is_kept_once_and_taken_away_with_its_button(desk: Desk):
    box = desk.page.get_by_label("Physical tags")
    box.fill("Green eyes, green EYES,  freckles ")
    desk.page.keyboard.press("Enter")
    expect(desk.tags("Physical tags")).to_have_text(["Green eyes", "freckles"])

    desk.page.get_by_role("button", name="Remove freckles").click()

    expect(desk.tags("Physical tags")).to_have_text(["Green eyes"])


def test_a_tag_that_is_too_long_stays_in_the_field_and_says_so(desk: Desk):
    box = desk.page.get_by_label("Physical tags")
    box.fill(f"freckles, {'x' * 41}")

    desk.page.keyboard.press("Enter")

    expect(desk.tags("Physical tags")).to_have_text(["freckles"])
    expect(box).to_have_value("x" * 41)
    expect(desk.page.get_by_text("A tag takes at most 40 characters; this has 41.")).to_be_visible()


def test_the_tags_the_prompt_leaves_out_are_told_apart(desk: Desk):
    desk.page.get_by_label("Default outfit").fill("coat, scarf, boots, gloves, hat")

    desk.page.keyboard.press("Enter")

    left_out = desk.page.locator("#f_clothing_tags .tc-unused")
    expect(left_out).to_have_text(["hat"])
    expect(left_out).to_have_attribute("title", "Not in the prompt: it takes the first 4.")


def test_a_persons_own_tags_stand_before_those_of_a_style(desk: Desk):
    desk.page.get_by_role("button", name="Gentle", exact=True).click()
    expect(desk.tags("Physical tags")).to_have_count(4)

    desk.page.get_by_label("Physical tags").fill("freckles")
    desk.page.keyboard.press("Enter")
    desk.page.get_by_role("button", name="Bold", exact=True).click()

    expect(desk.tags("Physical tags").first).to_have_text("freckles")


def test_enter_in_the_search_opens_the_first_hit(desk: Desk, site: Site):
    other = site.character(name="Tomas Brandt")
    desk.page.get_by_test_id("character-picker").click()

    desk.page.get_by_placeholder("Search characters").fill("toma")
    desk.page.keyboard.press("Enter")

    expect(desk.name).to_have_value("Tomas Brandt")
    expect(desk.page).to_have_url(site.address(other))


def test_the_face_of_the_character_stays_while_others_are_searched_for(
    desk: Desk, site: Site, character: Character
):
    site.make_portraits(character, 1)
    face = desk.page.locator(".cp-open .cp-face img")
    expect(face).to_have_count(1)
    desk.page.get_by_test_id("character-picker").click()

    desk.page.get_by_placeholder("Search characters").fill("nobody of this name")

    expect(desk.page.get_by_text("No character has this in its name.")).to_be_visible()
    expect(face).to_have_count(1)


def test_adult_cannot_be_chosen_where_only_safe_pictures_are_made(desk: Desk):
    expect(desk.page.get_by_label("Adult")).to_be_disabled()


def test_a_character_that_is_rated_adult_already_keeps_its_rating(site: Site, browser: Browser):
    character = site.character(content_rating="nsfw")

    with visit(browser, site.address(character)) as desk:
        desk.settle()

        expect(desk.page.get_by_label("Adult")).to_be_enabled()
        expect(desk.page.get_by_label("Adult")).to_be_checked()


def test_the_models_that_can_be_used_stand_first(desk: Desk):
    desk.page.locator("#models_bar .mp-open").click()

    options = desk.page.locator("#models_bar .mp-option")
    usable = [option.is_enabled() for option in options.all()]
    assert usable == sorted(usable, reverse=True)
    assert not all(usable)
    expect(options.last).to_have_attribute("title", re.compile("choose another", re.IGNORECASE))
    expect(options.last).to_contain_text(re.compile("no key|needs a reference|paused"))


def test_a_phone_on_its_side_shows_a_whole_row(site: Site, character: Character, browser: Browser):
    site.make_portraits(character, 1)

    with visit(browser, site.address(character), viewport={"width": 844, "height": 390}) as desk:
        desk.settle()
        tile = desk.tiles.first.bounding_box()
        bar = desk.page.locator("#promptbar").bounding_box()

        assert tile
        assert bar
        assert tile["y"] + tile["height"] <= bar["y"]


def test_a_style_adds_its_tags_and_takes_them_away_again(desk: Desk):
    style = desk.page.get_by_role("button", name="Gentle", exact=True)
    style.click()
    expect(desk.tags("Physical tags")).to_have_text(["gentle", "soft features", "warm eyes", "pastel tones"])
    expect(style).to_have_attribute("aria-pressed", "true")

    style.click()

    expect(desk.tags("Physical tags")).to_have_count(0)
    expect(style).to_have_attribute("aria-pressed", "false")


def test_both_model_pickers_show_one_choice_that_a_reload_keeps(desk: Desk):
    bar = desk.page.locator("#models_bar .mp-open")
    bar.click()
    desk.page.locator("#models_bar").get_by_role("option", name=re.compile("Sketch")).click()
    expect(desk.page.locator("#models_rail .mp-open")).to_contain_text("Sketch")

    desk.reload()

    expect(bar).to_contain_text("Sketch")


def test_the_chosen_theme_is_kept(desk: Desk):
    desk.page.get_by_role("button", name="Switch between light and dark").click()
    expect(desk.page.locator("body")).to_have_class(re.compile(r"\bdark\b"))

    desk.reload()

    expect(desk.page.locator("body")).to_have_class(re.compile(r"\bdark\b"))


def test_the_width_of_the_details_is_kept_within_its_limits(desk: Desk):
    edge = desk.page.get_by_role("separator")
    edge.focus()
    for _ in range(20):
        desk.page.keyboard.press("ArrowRight")
    expect(edge).to_have_attribute("aria-valuenow", "480")

    desk.reload()

    expect(edge).to_have_attribute("aria-valuenow", "480")


def test_nothing_is_wider_than_the_window(desk: Desk):
    for width in (360, 390, 768, 1024, 1440, 1920):
        desk.page.set_viewport_size({"width": width, "height": 844})
        expect(desk.page.get_by_role("button", name="Generate")).to_be_in_viewport(ratio=1)

        assert desk.page.evaluate("[innerWidth, document.documentElement.scrollWidth <= innerWidth]") == [
            width,
            True,
        ]


def test_a_phone_shows_details_or_portraits_and_saves_below(
    site: Site, character: Character, browser: Browser
):
    phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
    with visit(browser, site.address(character), **phone) as desk:
        desk.settle()
        expect(desk.name).to_be_hidden()

        desk.page.get_by_role("tab", name="Details").tap()

        expect(desk.name).to_be_visible()
        expect(desk.page.get_by_role("button", name="Save now")).to_be_in_viewport()
        expect(desk.page.get_by_role("button", name="Generate")).to_be_hidden()


@pytest.mark.parametrize("width", [390, 1440])
def test_a_notice_stands_whole_inside_the_window(
    width: int, site: Site, character: Character, browser: Browser
):
    with visit(browser, site.address(character), viewport={"width": width, "height": 844}) as desk:
        desk.settle()

        desk.page.evaluate("void window.studio.notice('What you typed is kept in this browser. '.repeat(3))")

        expect(desk.notice).to_be_in_viewport(ratio=1)


def test_on_a_phone_the_list_of_models_shows_its_prices(site: Site, character: Character, browser: Browser):
    phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
    with visit(browser, site.address(character), **phone) as desk:
        desk.settle()

        desk.page.locator("#models_bar").get_by_role("button").first.tap()

        expect(desk.page.locator("#models_bar .mp-price").first).to_be_in_viewport(ratio=1)


def test_select_and_the_bin_stand_in_the_row_of_the_tabs(desk: Desk, site: Site, character: Character):
    site.make_portraits(character, 1)
    select = desk.page.get_by_role("button", name="Select", exact=True)
    expect(select).to_be_visible()

    tab, button = (one.bounding_box() for one in (desk.page.get_by_role("tab", name="Scenes"), select))

    assert tab
    assert button
    assert tab["y"] <= button["y"]
    assert button["y"] + button["height"] <= tab["y"] + tab["height"]


def test_who_is_not_signed_in_is_sent_to_the_sign_in(site: Site):
    site.gate.is_open = False

    answer = httpx.get(f"{site.url}/studio/")

    assert answer.status_code == 303
    assert answer.headers["Location"] == "/sign-in?next=%2Fstudio%2F"


def test_an_event_is_refused_once_the_session_has_ended(site: Site, character: Character):
    config = httpx.get(f"{site.url}/studio/config").json()
    saving = next(one["id"] for one in config["dependencies"] if one["targets"][0][1] == "save")
    event = {"id": str(character.id), "version": character.version, "changes": {"name": "Taken over"}}
    body = {"data": [], "event_data": event, "fn_index": saving, "session_hash": "stranger"}
    site.gate.is_open = False

    answer = httpx.post(f"{site.url}/studio/gradio_api/queue/join", json=body)

    assert answer.status_code == 401
    assert site.row(character).name == "Mira Vantongeren"


def test_no_handler_is_listed_for_programs(site: Site):
    listed = httpx.get(f"{site.url}/studio/gradio_api/info")

    assert listed.status_code == 404
    assert "endpoints" not in listed.text


def test_building_the_page_writes_nothing_beside_the_source(site: Site):
    import studio

    assert list(Path(studio.__file__).parent.rglob("*.pyi")) == []
