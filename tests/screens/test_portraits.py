"""The grid of portraits, its jobs, and the lightbox."""

import json
import re
from uuid import uuid4

import pytest
from playwright.sync_api import Locator, Request, expect

from core import generation, worker
from core.auth import LOCAL_PERSON
from core.values import Character, PortraitRequest
from tests.screens.browser import Desk
from tests.screens.conftest import Site, eventually


@pytest.fixture
def four(site: Site, character: Character, desk: Desk) -> Desk:
    """The page of a character with four portraits."""
    site.make_portraits(character, 4)
    expect(desk.tiles).to_have_count(4)
    return desk


def ask(site: Site, character: Character) -> str:
    order = PortraitRequest(character_id=character.id, idempotency_key=str(uuid4()))
    return str(generation.request(order, LOCAL_PERSON, site.services).job_id)


def set_job(site: Site, job_id: str, **columns: object) -> None:
    """A job as a provider or a worker would have left it."""
    with site.services.db.as_service() as conn:
        for name, value in columns.items():
            conn.execute(f"UPDATE public.jobs SET {name} = %s WHERE id = %s", [value, job_id])


def questions(desk: Desk) -> list[str]:
    """What the grid asks from now on, as it is asked."""
    asked: list[str] = []

    def see(request: Request) -> None:
        said = json.loads(request.post_data or "{}") if "component_server" in request.url else {}
        if isinstance(said.get("data"), dict):
            asked.append(said["data"]["what"])

    desk.page.on("request", see)
    return asked


def quiet(desk: Desk, asked: list[str]) -> None:
    """Wait until the last words of a worker that has just ended were read, and forget them."""
    is_quiet = False
    while not is_quiet:
        asked.clear()
        desk.page.wait_for_timeout(2000)
        is_quiet = not asked


def others(desk: Desk) -> Locator:
    """The tiles but for the primary; which of several asked for together becomes it is nobody's choice."""
    return desk.tiles.filter(has_not=desk.page.get_by_role("button", name="Primary portrait"))


def shown_order(desk: Desk) -> list[str | None]:
    return [tile.get_attribute("data-id") for tile in desk.tiles.all()]


def test_generate_asks_for_as_many_as_chosen_and_they_arrive_by_themselves(
    desk: Desk, site: Site, character: Character
):
    desk.page.get_by_label("2", exact=True).check()
    desk.own_words.fill("on the quay")
    desk.page.get_by_role("button", name="Generate").click()
    expect(desk.page.get_by_test_id("tile-job")).to_have_count(2)

    with worker.in_thread(site.services):
        expect(desk.tiles).to_have_count(2, timeout=30_000)

    site.services.stopping.clear()
    expect(desk.page.get_by_test_id("tile-job")).to_have_count(0)
    assert {tile.own_words for tile in site.saved(character)} == {"on the quay"}


def test_generate_saves_what_is_typed_first(desk: Desk, site: Site, character: Character):
    desk.name.fill("Mira Renamed")

    desk.own_words.focus()
    desk.page.keyboard.press("Control+Enter")

    expect(desk.page.get_by_test_id("tile-job")).to_have_count(1)
    assert site.row(character).name == "Mira Renamed"


def test_the_final_prompt_and_the_price_stand_there_before_paying(desk: Desk):
    desk.own_words.fill("holding a brass lantern")
    desk.page.get_by_label("Profile").check()

    desk.page.get_by_role("button", name=re.compile("Final prompt")).click()

    prompt = desk.page.get_by_test_id("final-prompt")
    expect(prompt).to_contain_text("holding a brass lantern")
    expect(prompt).to_contain_text("seen in profile")
    expect(desk.page.get_by_test_id("price")).to_have_text("free")
    expect(desk.page.get_by_test_id("tile-job")).to_have_count(0)


def test_a_character_that_is_not_ready_says_what_is_missing(desk: Desk):
    desk.description.fill("Too short.")

    expect(desk.page.locator(".fp-toggle")).to_contain_text("Not ready", timeout=6_000)
    expect(desk.page.get_by_text("40 more to go")).to_be_visible()


def test_the_grid_is_walked_and_opened_with_keys(four: Desk):
    four.tiles.nth(0).get_by_test_id("tile-open").focus()
    four.page.keyboard.press("ArrowRight")
    expect(four.tiles.nth(1).get_by_test_id("tile-open")).to_be_focused()

    four.page.keyboard.press("Enter")
    expect(four.page.get_by_test_id("lightbox-pos")).to_have_text("2 / 4")
    four.page.keyboard.press("ArrowRight")
    expect(four.page.get_by_test_id("lightbox-pos")).to_have_text("3 / 4")
    four.page.keyboard.press("Escape")

    expect(four.page.get_by_test_id("lightbox-pos")).to_have_count(0)
    expect(four.tiles.nth(2).get_by_test_id("tile-open")).to_be_focused()


def test_opening_a_picture_spends_nothing_and_changes_no_field(four: Desk, site: Site, character: Character):
    four.tiles.nth(0).get_by_test_id("tile-open").click()
    box = four.page.get_by_role("dialog", name=re.compile("Portrait of Mira"))

    expect(box.get_by_text("on the quay", exact=True)).to_be_visible()
    four.page.keyboard.press("Escape")

    expect(four.own_words).to_have_value("")
    expect(four.badge).to_have_text("Saved")
    assert len(site.saved(character)) == 4


def test_tab_stays_inside_the_open_picture(four: Desk):
    four.tiles.nth(0).get_by_test_id("tile-open").click()

    for _ in range(12):
        four.page.keyboard.press("Tab")

        assert four.page.evaluate("document.querySelector('.lb').contains(document.activeElement)")


def test_another_portrait_becomes_primary_from_its_menu(four: Desk, site: Site, character: Character):
    chosen = others(four).last.get_attribute("data-id")

    four.open_menu(others(four).last).get_by_role("menuitem", name="Set as primary").click()

    expect(four.page.locator(f'[data-id="{chosen}"]').get_by_text("Primary")).to_be_visible()
    expect(four.page.get_by_text("Primary", exact=True)).to_have_count(1)
    assert [tile.id for tile in site.saved(character) if tile.primary] == [chosen]


def test_the_menu_works_with_keys_and_gives_the_focus_back(four: Desk):
    button = others(four).nth(1).get_by_role("button", name="Options")
    button.focus()
    four.page.keyboard.press("Enter")
    expect(four.page.get_by_role("menuitem", name="Set as primary")).to_be_focused()

    four.page.keyboard.press("ArrowDown")
    expect(four.page.get_by_role("menuitem", name="Regenerate with this prompt")).to_be_focused()
    four.page.keyboard.press("End")
    expect(four.page.get_by_role("menuitem", name="Delete")).to_be_focused()
    four.page.keyboard.press("Home")
    expect(four.page.get_by_role("menuitem", name="Set as primary")).to_be_focused()
    four.page.keyboard.press("Escape")

    expect(four.page.get_by_role("menu")).to_have_count(0)
    expect(button).to_be_focused()


def test_a_deleted_primary_comes_back_with_its_star(four: Desk, site: Site, character: Character):
    star = four.page.locator("[data-testid=tile]", has=four.page.get_by_text("Primary", exact=True))
    primary = star.get_attribute("data-id")
    four.open_menu(star).get_by_role("menuitem", name="Delete").click()
    expect(four.tiles).to_have_count(3)
    eventually(lambda: len(site.saved(character)) == 3)

    four.page.get_by_role("button", name="Undo").click()

    expect(four.tiles).to_have_count(4)
    eventually(lambda: [tile.id for tile in site.saved(character) if tile.primary] == [primary])


def test_a_delete_that_is_not_undone_stays(four: Desk, site: Site, character: Character):
    four.open_menu(four.tiles.nth(1)).get_by_role("menuitem", name="Delete").click()
    eventually(lambda: len(site.saved(character)) == 3)

    four.reload()

    expect(four.tiles).to_have_count(3)


def test_portraits_keep_the_order_they_are_dragged_into(four: Desk, site: Site, character: Character):
    first, *rest = shown_order(four)

    four.tiles.nth(0).drag_to(four.tiles.nth(3))

    eventually(lambda: [tile.id for tile in site.saved(character)] == [*rest, first])
    assert shown_order(four) == [*rest, first]


def test_moving_later_from_the_menu_does_what_dragging_does(four: Desk, site: Site, character: Character):
    first, second, *rest = shown_order(four)

    four.open_menu(four.tiles.nth(0)).get_by_role("menuitem", name="Move later").click()

    eventually(lambda: [tile.id for tile in site.saved(character)] == [second, first, *rest])


def test_regenerating_adds_a_job_with_the_same_words(four: Desk, site: Site, character: Character):
    four.open_menu(four.tiles.nth(0)).get_by_role("menuitem", name="Regenerate with this prompt").click()

    expect(four.page.get_by_test_id("tile-job")).to_have_count(1)
    expect(four.tiles).to_have_count(4)
    with site.services.db.as_service() as conn:
        words = conn.execute(
            "SELECT metadata ->> 'own_words' FROM public.jobs WHERE status = 'queued'"
        ).fetchone()
    assert words == ("on the quay",)


def test_a_download_is_the_file_itself(four: Desk):
    with four.page.expect_download() as started:
        four.open_menu(four.tiles.nth(0)).get_by_role("menuitem", name="Download", exact=True).click()

    path = started.value.path()
    assert path.read_bytes().startswith(b"\x89PNG")


def test_after_a_delete_the_neighbour_has_the_focus(four: Desk):
    neighbour = four.tiles.nth(2).get_attribute("data-id")

    four.open_menu(four.tiles.nth(1)).get_by_role("menuitem", name="Delete").click()

    expect(four.page.locator(f'[data-id="{neighbour}"] .pg-open')).to_be_focused()


def test_new_pictures_are_asked_for_in_sight(four: Desk):
    four.page.set_viewport_size({"width": 800, "height": 420})
    four.page.locator("#stage-scroll").evaluate("box => (box.scrollTop = 9999)")

    four.page.get_by_role("button", name="Generate").click()

    expect(four.page.get_by_test_id("tile-job")).to_be_in_viewport()
    assert four.page.locator("#stage-scroll").evaluate("box => box.scrollTop") == 0


def test_generate_leads_to_the_first_field_that_is_missing_and_asks_for_nothing(desk: Desk):
    desk.description.fill("Too short.")
    desk.name.fill(" ")

    desk.page.get_by_role("button", name="Generate").click()
    expect(desk.name).to_be_focused()
    desk.name.fill("Mira")
    desk.page.get_by_role("button", name="Generate").click()
    expect(desk.description).to_be_focused()

    expect(desk.page.get_by_test_id("tile-job")).to_have_count(0)


def test_generate_while_the_studio_is_away_says_that_nothing_was_asked_for(desk: Desk):
    desk.page.evaluate("window.studio.away()")

    desk.page.get_by_role("button", name="Generate").click()

    expect(desk.page.get_by_text("The studio is away; nothing was asked for.")).to_be_visible()
    expect(desk.page.get_by_text("What you type is kept in this browser")).to_be_visible()
    assert not [event for event in desk.watch.events if '"keys"' in event]


def test_a_failed_tile_on_a_phone_keeps_its_buttons_side_by_side_and_its_sentence_whole_on_request(
    desk: Desk, site: Site, character: Character
):
    sentence = "The safety filter refused this picture. Change the description or your own words. " * 3
    desk.page.set_viewport_size({"width": 340, "height": 700})
    set_job(site, ask(site, character), error_message=sentence.strip(), status="failed")
    tile = desk.page.get_by_test_id("tile-failed")
    expect(tile).to_be_visible()
    whole, again, away, *_ = tile.evaluate(  # at one moment: the tile moves while it appears
        "tile => [tile, ...tile.querySelectorAll('button')].map(one => one.getBoundingClientRect().toJSON())"
    )

    assert whole["width"] <= 150
    assert again["y"] == away["y"]
    assert away["right"] <= whole["right"]
    expect(tile.locator("small")).to_have_attribute("title", sentence.strip())
    tile.locator("small").click()
    expect(desk.notice).to_contain_text(sentence.strip())


def test_a_running_job_shows_its_real_stage_progress_and_place(desk: Desk, site: Site, character: Character):
    job = ask(site, character)
    set_job(site, job, status="processing", stage="drawing", progress=0.62)
    tile = desk.page.get_by_test_id("tile-job")

    expect(tile).to_contain_text("Drawing")
    expect(tile.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "62")


def test_progress_asks_for_the_running_tiles_alone_and_leaves_every_other_tile_as_it_stands(
    four: Desk, site: Site, character: Character
):
    job = ask(site, character)
    bar = four.page.get_by_test_id("tile-job").get_by_role("progressbar")
    set_job(site, job, status="processing", stage="drawing", progress=0.1)
    expect(bar).to_have_attribute("aria-valuenow", "10")
    four.page.evaluate("document.querySelectorAll('.pg-tile').forEach(tile => (tile.marked = true))")
    asked = questions(four)
    quiet(four, asked)

    for percent in (30, 50, 70):
        set_job(site, job, progress=percent / 100)
        expect(bar).to_have_attribute("aria-valuenow", str(percent))

    assert set(asked) == {"running"}
    assert four.page.evaluate("[...document.querySelectorAll('.pg-tile')].every(tile => tile.marked)")


def test_a_job_that_ends_among_progress_is_a_whole_reading(four: Desk, site: Site, character: Character):
    ends, goes_on = ask(site, character), ask(site, character)
    for job in (ends, goes_on):
        set_job(site, job, status="processing", stage="drawing", progress=0.2)
    expect(four.page.locator("[aria-valuenow='20']")).to_have_count(2)
    asked = questions(four)

    with site.services.db.as_service() as conn:
        conn.execute("UPDATE public.jobs SET progress = 0.4 WHERE id = %s", [goes_on])
        conn.execute("UPDATE public.jobs SET status = 'failed' WHERE id = %s", [ends])
        conn.execute("UPDATE public.jobs SET progress = 0.6 WHERE id = %s", [goes_on])

    expect(four.page.get_by_test_id("tile-failed")).to_be_visible()
    expect(four.page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "60")
    assert "read" in asked


def test_a_reading_that_got_no_answer_is_still_owed_when_a_tile_moves(
    four: Desk, site: Site, character: Character
):
    ends, goes_on = ask(site, character), ask(site, character)
    for job in (ends, goes_on):
        set_job(site, job, status="processing", stage="drawing", progress=0.2)
    expect(four.page.locator("[aria-valuenow='20']")).to_have_count(2)
    asked = questions(four)
    four.page.route("**/component_server/**", lambda route: route.abort())
    set_job(site, ends, status="failed")
    eventually(lambda: (four.page.wait_for_timeout(20), asked == ["read"])[1])
    four.page.unroute("**/component_server/**")

    set_job(site, goes_on, progress=0.5)

    expect(four.page.get_by_test_id("tile-failed")).to_be_visible()
    expect(four.page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "50")
    assert "running" not in asked


def test_a_waiting_job_can_be_cancelled_from_its_tile(desk: Desk, site: Site, character: Character):
    job = ask(site, character)

    desk.page.get_by_test_id("tile-job").get_by_role("button", name="Cancel").click()

    expect(desk.page.get_by_test_id("tile-job")).to_have_count(0)
    with site.services.db.as_service() as conn:
        assert conn.execute("SELECT status FROM public.jobs WHERE id = %s", [job]).fetchone() == (
            "cancelled",
        )


def test_a_failed_job_says_why_and_is_tried_again_as_a_new_job(desk: Desk, site: Site, character: Character):
    job = ask(site, character)
    set_job(site, job, error_message="The safety filter refused this picture.", status="failed")
    tile = desk.page.get_by_test_id("tile-failed")
    expect(tile).to_contain_text("The safety filter refused this picture.")

    tile.get_by_role("button", name="Try again").click()

    expect(desk.page.get_by_test_id("tile-job")).to_have_count(1)
    expect(tile).to_have_count(0)
    with site.services.db.as_service() as conn:
        assert conn.execute("SELECT count(*) FROM public.jobs WHERE retried_from = %s", [job]).fetchone() == (
            1,
        )


def test_a_failed_job_can_be_put_away(desk: Desk, site: Site, character: Character):
    job = ask(site, character)
    set_job(site, job, error_message="The safety filter refused this picture.", status="failed")

    desk.page.get_by_test_id("tile-failed").get_by_role("button", name="Dismiss").click()

    expect(desk.page.get_by_test_id("tile-failed")).to_have_count(0)
    desk.reload()
    expect(desk.page.get_by_test_id("tile-failed")).to_have_count(0)


def test_a_job_that_no_worker_will_take_yet_says_so_once(desk: Desk):
    desk.page.get_by_label("3", exact=True).check()

    desk.page.get_by_role("button", name="Generate").click()

    expect(desk.page.get_by_test_id("tile-job")).to_have_count(3)
    expect(desk.page.get_by_test_id("toast-body").filter(has_text=re.compile("worker"))).to_have_count(1)


def test_an_outcome_nobody_knows_is_said_and_offers_no_second_payment(
    desk: Desk, site: Site, character: Character
):
    job = ask(site, character)

    set_job(site, job, status="processing", stage="outcome_unknown")

    tile = desk.page.get_by_test_id("tile-unknown")
    expect(tile).to_contain_text("Outcome unknown")
    expect(tile.get_by_role("button")).to_have_count(0)
