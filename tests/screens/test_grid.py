"""Many portraits: choosing several, the bin, ratings, what is taken over from one, comparing, thousands."""

import io
import re
import zipfile
from uuid import UUID, uuid4

import pytest
from playwright.sync_api import Browser, Locator, expect

from core import generation, metadata
from core import portraits as shown
from core.auth import LOCAL_PERSON
from core.values import Character, PortraitId, PortraitRequest
from tests.screens.browser import Desk, visit
from tests.screens.conftest import Site, eventually

MANY = 2000


@pytest.fixture
def three(site: Site, character: Character, desk: Desk) -> Desk:
    """The page of a character with three portraits."""
    site.make_portraits(character, 3)
    expect(desk.tiles).to_have_count(3)
    return desk


def open_first(desk: Desk) -> Locator:
    """The lightbox over the first portrait, its settings loaded."""
    desk.tiles.nth(0).get_by_test_id("tile-open").click()
    box = desk.page.get_by_role("dialog", name=re.compile("Portrait of"))
    expect(box.get_by_text("Cost")).to_be_visible()
    return box


def jobs_of(site: Site) -> int:
    with site.services.db.as_service() as conn:
        row = conn.execute("SELECT count(*) FROM public.jobs").fetchone()
    return int(row[0]) if row else 0


def select(desk: Desk, *places: int) -> None:
    desk.page.get_by_role("button", name="Select", exact=True).click()
    for place in places:
        desk.tiles.nth(place).get_by_test_id("tile-open").click()


# ---- several at once, and the bin


def test_several_are_deleted_together_and_undone_together(three: Desk, site: Site, character: Character):
    select(three, 0, 2)
    three.page.locator("[data-bulk=Delete]").click()
    expect(three.tiles).to_have_count(1)
    eventually(lambda: len(site.saved(character)) == 1)

    three.page.get_by_role("button", name="Undo").click()

    expect(three.tiles).to_have_count(3)
    eventually(lambda: len(site.saved(character)) == 3)
    assert len([tile for tile in site.saved(character) if tile.primary]) == 1


def test_a_range_is_chosen_with_shift_and_taken_away_as_one_archive(three: Desk):
    select(three, 0)
    three.tiles.nth(2).get_by_test_id("tile-open").click(modifiers=["Shift"])
    expect(three.page.get_by_test_id("chosen-count")).to_have_text("3 selected")

    with three.page.expect_download() as started:
        three.page.get_by_role("button", name="With settings", exact=True).click()

    inside = zipfile.ZipFile(io.BytesIO(started.value.path().read_bytes()))
    told = [metadata.read(inside.read(name)) for name in inside.namelist()]
    assert [one is not None and "on the quay" in one.recipe.prompt for one in told] == [True] * 3


def test_the_bin_shows_what_was_deleted_and_gives_it_back(three: Desk, site: Site, character: Character):
    gone = three.tiles.nth(1).get_attribute("data-id")
    three.open_menu(three.tiles.nth(1)).get_by_role("menuitem", name="Delete").click()
    eventually(lambda: len(site.saved(character)) == 2)

    three.page.get_by_role("button", name="Bin, 1 portraits").click()
    three.page.get_by_test_id("bin-tile").click()
    three.page.get_by_role("button", name="Restore", exact=True).click()
    expect(three.page.get_by_text("The bin is empty")).to_be_visible()
    three.page.keyboard.press("Escape")

    expect(three.page.locator(f'[data-id="{gone}"]')).to_be_visible()
    expect(three.page.get_by_role("dialog", name="Bin")).to_have_count(0)


# ---- ratings and order by keys


def test_a_rating_and_a_favourite_are_given_with_keys_and_stay(three: Desk, site: Site, character: Character):
    three.tiles.nth(1).get_by_test_id("tile-open").focus()
    three.page.keyboard.press("4")
    three.page.keyboard.press("f")
    expect(three.tiles.nth(1).get_by_role("img", name="4 of 5 stars")).to_be_visible()
    eventually(lambda: [(t.stars, t.favourite) for t in site.saved(character)][1] == (4, True))

    three.reload()

    expect(three.tiles.nth(1).get_by_role("img", name="4 of 5 stars")).to_be_visible()
    expect(three.tiles.nth(1).get_by_role("button", name="Favourite", exact=True)).to_be_attached()


def test_alt_and_an_arrow_move_a_portrait_and_say_where_it_stands(
    three: Desk, site: Site, character: Character
):
    first, second, third = [tile.get_attribute("data-id") for tile in three.tiles.all()]
    three.tiles.nth(0).get_by_test_id("tile-open").focus()

    three.page.keyboard.press("Alt+ArrowRight")

    eventually(lambda: [tile.id for tile in site.saved(character)] == [second, first, third])
    expect(three.page.locator(".pg-said")).to_have_text("Moved to place 2 of 3.")
    expect(three.page.locator(f'[data-id="{first}"] .pg-open')).to_be_focused()


def test_on_a_phone_a_portrait_moves_from_its_menu(site: Site, character: Character, browser: Browser):
    site.make_portraits(character, 3)
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with visit(browser, site.address(character), **phone) as desk:
        desk.settle()
        first, second, third = [tile.get_attribute("data-id") for tile in desk.tiles.all()]

        desk.tiles.nth(0).get_by_role("button", name="Options").tap()
        desk.page.get_by_role("menuitem", name="Move later").tap()

        eventually(lambda: [tile.id for tile in site.saved(character)] == [second, first, third])
        expect(desk.page.get_by_role("menu")).to_have_count(0)


# ---- what cannot be done is not shown as done


def test_while_the_studio_is_away_a_delete_takes_nothing_out_of_sight(
    three: Desk, site: Site, character: Character
):
    three.page.evaluate("window.studio.away()")

    three.tiles.nth(1).get_by_test_id("tile-open").focus()
    three.page.keyboard.press("Delete")

    expect(three.page.get_by_text("The studio is away; nothing was changed.")).to_be_visible()
    expect(three.tiles).to_have_count(3)
    assert len(site.saved(character)) == 3


# ---- taking parts over, each by itself


def test_only_the_words_are_taken_where_the_words_are_taken(three: Desk, site: Site):
    before = jobs_of(site)
    open_first(three).get_by_role("button", name="Take the words").click()
    three.page.keyboard.press("Escape")

    expect(three.own_words).to_have_value("on the quay")
    expect(three.page.locator(".sh-open[data-kind=seed]")).to_have_text("Seed")
    expect(three.page.get_by_label("Standing")).to_be_checked()
    assert jobs_of(site) == before


def test_a_taken_seed_is_the_one_that_is_sent(three: Desk, site: Site):
    box = open_first(three)
    seed = box.locator(".lb-number").inner_text()
    box.get_by_role("button", name="Take the seed").click()
    three.page.keyboard.press("Escape")
    expect(three.page.locator(".sh-open[data-kind=seed]")).to_have_text(f"Seed {seed}")
    expect(three.own_words).to_have_value("")

    three.page.get_by_role("button", name="Generate").click()

    expect(three.page.get_by_test_id("tile-job")).to_have_count(1)
    with site.services.db.as_service() as conn:
        sent = conn.execute("SELECT metadata ->> 'seed' FROM public.jobs WHERE status = 'queued'").fetchone()
    assert sent == (seed,)


def test_presets_are_chosen_as_chips_and_sent(desk: Desk, site: Site):
    desk.page.get_by_role("button", name="Expression", exact=True).click()
    desk.page.get_by_role("button", name="Smirk", exact=True).click()
    expect(desk.page.get_by_role("button", name="Expression: Smirk")).to_be_focused()
    desk.page.get_by_label("Sitting").check()

    desk.page.get_by_role("button", name="Generate").click()

    expect(desk.page.get_by_test_id("tile-job")).to_have_count(1)
    with site.services.db.as_service() as conn:
        sent = conn.execute("SELECT metadata -> 'presets' FROM public.jobs").fetchone()
    assert sent == ({"pose": "sitting", "expression": "smirk"},)


def test_chosen_presets_survive_a_reload(desk: Desk):
    desk.page.get_by_role("button", name="Camera", exact=True).click()
    desk.page.get_by_role("button", name="Film", exact=True).click()

    desk.reload()

    expect(desk.page.get_by_role("button", name="Camera: Film")).to_be_visible()


def test_regenerating_repeats_the_presets_of_that_portrait(desk: Desk, site: Site, character: Character):
    site.make_portraits(character, 1)
    expect(desk.tiles).to_have_count(1)

    open_first(desk).get_by_role("button", name=re.compile("Regenerate")).click()
    desk.page.keyboard.press("Escape")

    expect(desk.page.get_by_test_id("tile-job")).to_have_count(1)
    with site.services.db.as_service() as conn:
        sent = conn.execute("SELECT metadata FROM public.jobs WHERE status = 'queued'").fetchone()
    assert sent is not None
    assert (sent[0]["presets"], sent[0]["own_words"]) == ({"pose": "standing"}, "on the quay")


def test_two_portraits_are_compared_with_a_slider_and_their_differences(three: Desk):
    select(three, 0, 1)
    three.page.locator("[data-bulk=Compare]").click()
    box = three.page.get_by_role("dialog", name="Compare two portraits")

    box.get_by_role("slider").press("Home")
    expect(box.locator(".cm-frame")).to_have_attribute("style", re.compile("--at: 0%"))
    expect(box.get_by_role("rowheader", name="Seed")).to_be_visible()
    expect(box.get_by_role("rowheader", name="Own words")).to_have_count(0)
    three.page.keyboard.press("Escape")

    expect(box).to_have_count(0)


# ---- jobs that did not become a picture


def test_a_cancelled_picture_can_be_asked_for_again_or_put_away(desk: Desk, site: Site, character: Character):
    order = PortraitRequest(character_id=character.id, idempotency_key=str(uuid4()))
    generation.request(order, LOCAL_PERSON, site.services)
    desk.page.get_by_test_id("tile-job").get_by_role("button", name="Cancel").click()
    tile = desk.page.get_by_test_id("tile-failed")
    expect(tile).to_contain_text("Cancelled")

    tile.get_by_role("button", name="Try again").click()

    expect(desk.page.get_by_test_id("tile-job")).to_have_count(1)
    expect(tile).to_have_count(0)


def test_with_no_worker_the_page_says_so_before_anything_is_asked_for(desk: Desk):
    expect(desk.page.get_by_role("img", name=re.compile("No worker is running"))).to_be_visible()

    desk.page.get_by_role("button", name=re.compile("Final prompt")).click()

    expect(desk.page.locator(".fp-warning")).to_contain_text("No worker is running")


# ---- copies


@pytest.mark.parametrize("label", ["Picture with its settings", "Picture to share", "Character card"])
def test_a_portrait_is_taken_away_as_what_its_menu_says(three: Desk, label: str):
    menu = three.open_menu(three.tiles.nth(0))
    menu.get_by_role("menuitem", name="Download as").click()

    with three.page.expect_download() as started:
        menu.get_by_role("menuitem", name=label).click()

    assert started.value.path().read_bytes().startswith(b"\x89PNG")


# ---- thousands


def make_many(site: Site, character: Character, many: int = MANY) -> None:
    """So many portraits of one picture, as rows: what is looked at is the grid."""
    with site.services.db.as_service() as conn:
        conn.execute(
            """
            INSERT INTO public.character_portraits (character_id, image_url, thumbnail_url, prompt, sort_order)
            SELECT p.character_id, p.image_url, p.thumbnail_url, 'number ' || n, n
            FROM public.character_portraits p, generate_series(1, %s) n WHERE p.character_id = %s
            """,
            (many - 1, character.id),
        )


def test_a_card_of_a_character_without_a_name_says_why_there_is_none(
    desk: Desk, site: Site, character: Character
):
    site.make_portraits(character, 1)
    expect(desk.tiles).to_have_count(1)
    desk.name.fill("")

    desk.open_menu(desk.tiles.first).get_by_role("menuitem", name="Download as").click()
    desk.page.get_by_role("menuitem", name="Character card").click()

    expect(desk.notice.filter(has_text="Give the character a name first")).to_be_visible()


def test_two_thousand_portraits_are_counted_and_come_as_one_scrolls(
    desk: Desk, site: Site, character: Character
):
    site.make_portraits(character, 1)
    make_many(site, character)
    desk.reload()
    expect(desk.page.locator("h1 [data-portrait-count]")).to_have_text(str(MANY))
    first = desk.tiles.count()

    desk.page.locator("#stage-scroll").evaluate("box => (box.scrollTop = box.scrollHeight)")

    expect(desk.tiles.nth(first + 100)).to_be_attached(timeout=30_000)
    assert first < MANY / 4
    assert desk.tiles.count() < MANY


def test_leafing_past_the_last_one_that_came_brings_those_that_follow(
    desk: Desk, site: Site, character: Character
):
    site.make_portraits(character, 1)
    make_many(site, character)
    desk.reload()
    first = desk.tiles.count()
    desk.tiles.nth(0).get_by_test_id("tile-open").click()

    desk.page.keyboard.press("End")

    expect(desk.page.get_by_test_id("lightbox-pos")).to_have_text(f"{first} / {MANY}")
    expect(desk.tiles.nth(first)).to_be_attached(timeout=30_000)
    desk.page.keyboard.press("ArrowRight")
    expect(desk.page.get_by_test_id("lightbox-pos")).to_have_text(f"{first + 1} / {MANY}")


def test_of_two_thousand_portraits_the_settings_of_one_are_read_when_it_is_opened(
    desk: Desk, site: Site, character: Character
):
    site.make_portraits(character, 1)
    make_many(site, character)
    value = shown.grid(character.id, LOCAL_PERSON, site.services, limit=120)
    last = PortraitId(UUID(value.tiles[-1].id))

    [seen] = shown.details([last], LOCAL_PERSON, site.services)

    assert (value.total, len(value.tiles)) == (MANY, 120)
    assert seen.own_words.startswith("number ")


# ---- all of them, those too that have not come yet

SEVEN_HUNDRED = 700


@pytest.fixture
def hundreds(site: Site, character: Character, desk: Desk) -> Desk:
    """The page of a character with more portraits than one change of rows takes."""
    site.make_portraits(character, 1)
    make_many(site, character, SEVEN_HUNDRED)
    desk.reload()
    return desk


def there(site: Site, character: Character) -> tuple[int, list[str]]:
    """How many portraits the character has, and which of them is the primary."""
    with site.services.db.as_service() as conn:
        rows = conn.execute(
            """
            SELECT id::text, is_primary FROM public.character_portraits
            WHERE character_id = %s AND deleted_at IS NULL
            """,
            (character.id,),
        ).fetchall()
    return len(rows), [portrait_id for portrait_id, is_primary in rows if is_primary]


def choose_all(desk: Desk) -> None:
    desk.page.get_by_role("button", name="Select", exact=True).click()
    desk.page.locator("[data-bulk=All]").click()
    expect(desk.page.get_by_test_id("chosen-count")).to_have_text(f"{SEVEN_HUNDRED} selected")


def test_all_means_every_portrait_and_seven_hundred_are_deleted_and_undone_with_their_star(
    hundreds: Desk, site: Site, character: Character
):
    before = there(site, character)
    assert hundreds.tiles.count() < SEVEN_HUNDRED / 2
    choose_all(hundreds)

    hundreds.page.locator("[data-bulk=Delete]").click()
    expect(hundreds.tiles).to_have_count(0)
    eventually(lambda: there(site, character) == (0, []))
    expect(hundreds.page.get_by_text("No portraits yet")).to_be_visible()
    hundreds.page.get_by_role("button", name="Undo").click()

    eventually(lambda: there(site, character) == before)
    expect(hundreds.page.locator("h1 [data-portrait-count]")).to_have_text(str(SEVEN_HUNDRED))
    assert hundreds.tiles.count() >= 120


def test_all_but_one_are_deleted_and_only_that_one_is_seen_meanwhile(
    hundreds: Desk, site: Site, character: Character
):
    kept = hundreds.tiles.nth(3).get_attribute("data-id")
    choose_all(hundreds)
    hundreds.tiles.nth(3).get_by_test_id("tile-open").click()
    hundreds.page.evaluate(
        "() => { const list = document.querySelector('.pg-list'); window.most = 0;"
        " new MutationObserver(() => (window.most = Math.max(window.most,"
        " list.querySelectorAll('[data-testid=tile]').length))).observe(list, {childList: true}); }"
    )

    hundreds.page.locator("[data-bulk=Delete]").click()

    expect(hundreds.tiles).to_have_count(1)
    eventually(lambda: there(site, character) == (1, [kept]))
    expect(hundreds.page.get_by_role("button", name=f"Bin, {SEVEN_HUNDRED - 1} portraits")).to_be_visible()
    expect(hundreds.page.locator("h1 [data-portrait-count]")).to_have_text("1")
    assert hundreds.page.evaluate("window.most") <= 1


def test_what_is_undone_while_it_is_still_being_deleted_ends_as_undone(
    hundreds: Desk, site: Site, character: Character
):
    before = there(site, character)
    choose_all(hundreds)

    hundreds.page.locator("[data-bulk=Delete]").click()
    with hundreds.page.expect_response(
        lambda answer: '"restore"' in (answer.request.post_data or ""), timeout=60_000
    ):
        hundreds.page.get_by_role("button", name="Undo").click()

    assert there(site, character) == before
    expect(hundreds.page.locator("h1 [data-portrait-count]")).to_have_text(str(SEVEN_HUNDRED))


def test_many_that_could_not_be_deleted_are_shown_again(hundreds: Desk, site: Site, character: Character):
    hundreds.page.route("**/component_server/**", lambda route: route.abort("failed"))
    select(hundreds, 0, 1, 2)

    hundreds.page.locator("[data-bulk=Delete]").click()

    expect(hundreds.page.get_by_text("The studio does not answer")).to_be_visible()
    expect(hundreds.page.locator("h1 [data-portrait-count]")).to_have_text(str(SEVEN_HUNDRED))
    assert there(site, character)[0] == SEVEN_HUNDRED
