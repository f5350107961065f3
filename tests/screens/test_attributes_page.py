"""The attributes page: the matrix, making what is missing, and product's review."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Locator, expect

from core import attributes, reviews, worker
from core.attributes import CellState
from core.auth import LOCAL_PERSON
from core.values import Cell, ReviewStatus, Role
from tests import builders
from tests.screens.browser import Desk, visit
from tests.screens.conftest import Site

SLIM = Cell(category="body", value="Slim", style="anime")
STOCKY = Cell(category="body", value="Stocky", style="anime")


@contextmanager
def matrix(browser: Browser, site: Site, **window: object) -> Iterator[Desk]:
    with visit(browser, f"{site.url}/studio/attributes", **window) as opened:
        expect(opened.page.locator("body.ps-ready")).to_be_attached(timeout=20_000)
        yield opened
    assert opened.watch.complaints == []


def cell(desk: Desk, which: Cell) -> Locator:
    return desk.page.locator(f"[data-cell='{which.category}/{which.value}/{which.style}']")


def make(site: Site, *cells: Cell) -> None:
    attributes.generate(LOCAL_PERSON, site.services, cells=cells)
    builders.work(site.services)


def review_of(site: Site, which: Cell) -> ReviewStatus:
    found = next(one for one in attributes.status(LOCAL_PERSON, site.services).cells if one.cell == which)
    assert found.picture is not None
    return found.picture.review_status


def test_every_cell_of_the_catalogue_has_its_place_and_says_what_it_lacks(site: Site, browser: Browser):
    make(site, SLIM)
    with matrix(browser, site) as desk:
        expect(desk.page.get_by_test_id("attribute-cell")).to_have_count(44)
        expect(cell(desk, SLIM)).to_contain_text("To review")
        expect(cell(desk, SLIM).locator("img")).to_be_visible()
        expect(cell(desk, STOCKY)).to_contain_text("Generate")
        expect(desk.page.get_by_role("region", name="Body")).to_contain_text("1 of 14 made, 0 approved")

        desk.page.get_by_role("button", name="To review").first.click()

        expect(desk.page.get_by_test_id("attribute-cell")).to_have_count(1)


def test_nothing_is_made_before_the_price_was_confirmed_and_then_one_watches_it(site: Site, browser: Browser):
    with matrix(browser, site) as desk:
        cell(desk, SLIM).locator(".am-open").click()
        dialog = desk.page.get_by_role("dialog")
        expect(dialog).to_contain_text("1 picture · free")
        assert attributes.status(LOCAL_PERSON, site.services).count(CellState.queued) == 0

        dialog.get_by_role("button", name="Generate 1").click()

        expect(cell(desk, SLIM)).to_contain_text("Waiting")
        expect(desk.page.get_by_text("Making attribute images: 0 of 1")).to_be_visible()
        expect(desk.notice.filter(has_text="No worker is running")).to_be_visible()
        with worker.in_thread(site.services):
            expect(cell(desk, SLIM)).to_contain_text("To review", timeout=30_000)
        site.services.stopping.clear()
        expect(desk.page.get_by_text("1 of 1 made")).to_be_visible()


def test_a_run_can_be_cancelled_and_a_reload_still_shows_it(site: Site, browser: Browser):
    with matrix(browser, site) as desk:
        desk.page.get_by_role("button", name="Generate 44 missing").click()
        desk.page.get_by_role("button", name="Generate 44", exact=True).click()
        expect(desk.page.get_by_text("Making attribute images: 0 of 44")).to_be_visible(timeout=15_000)
        desk.page.reload()
        expect(desk.page.get_by_text("Making attribute images: 0 of 44")).to_be_visible(timeout=20_000)

        desk.page.locator(".am-run").get_by_role("button", name="Cancel").click()

        expect(desk.page.get_by_text("0 of 44 made, 44 cancelled")).to_be_visible(timeout=15_000)
        expect(desk.notice.filter(has_text="44 cancelled, at no cost.")).to_be_visible()


def test_a_limit_that_is_no_amount_says_how_one_is_written(site: Site, browser: Browser):
    with matrix(browser, site) as desk:
        desk.page.get_by_role("button", name="Generate 44 missing").click()
        dialog = desk.page.get_by_role("dialog")
        expect(dialog).to_contain_text("44 pictures")

        dialog.get_by_label("Spending limit").fill("a lot")

        expect(dialog).to_contain_text("An amount in dollars is written like 1.50.")
        expect(dialog.get_by_role("button", name="Generate")).to_be_disabled()


def test_product_approves_a_picture_and_takes_it_back(site: Site, browser: Browser):
    make(site, SLIM)
    with matrix(browser, site) as desk:
        cell(desk, SLIM).locator(".am-open").click()

        desk.page.get_by_role("dialog").get_by_role("button", name="Approve").click()

        expect(cell(desk, SLIM)).to_contain_text("Approved")
        assert review_of(site, SLIM) is ReviewStatus.approved
        desk.page.get_by_role("button", name="Undo").click()
        expect(cell(desk, SLIM)).to_contain_text("To review")
        assert review_of(site, SLIM) is ReviewStatus.pending


def test_a_rejection_needs_a_note_and_keeps_it(site: Site, browser: Browser):
    make(site, SLIM)
    hostile = "<img src=x onerror=window.caught=1>${window.caught=2}"
    with matrix(browser, site) as desk:
        cell(desk, SLIM).locator(".am-open").click()
        dialog = desk.page.get_by_role("dialog")
        dialog.get_by_role("button", name="Reject").click()
        expect(dialog.get_by_role("alert")).to_contain_text("what is wrong")

        dialog.get_by_label("Note").fill(hostile)
        dialog.get_by_role("button", name="Reject").click()

        expect(cell(desk, SLIM)).to_contain_text("Rejected")
        cell(desk, SLIM).locator(".am-open").click()
        expect(desk.page.get_by_role("dialog").get_by_label("Note")).to_have_value(hostile)
        assert desk.page.evaluate("window.caught") is None


def test_a_colleagues_verdict_appears_by_itself(site: Site, browser: Browser):
    make(site, SLIM)
    found = next(one for one in attributes.status(LOCAL_PERSON, site.services).cells if one.cell == SLIM)
    assert found.picture is not None
    with matrix(browser, site) as desk:
        expect(cell(desk, SLIM)).to_contain_text("To review")

        reviews.review(
            SLIM, ReviewStatus.approved, LOCAL_PERSON, site.services, image_url=found.picture.image_url
        )

        expect(cell(desk, SLIM)).to_contain_text("Approved")


def test_selected_pictures_are_made_anew_after_the_price(site: Site, browser: Browser):
    make(site, SLIM, STOCKY)
    with matrix(browser, site) as desk:
        for which in (SLIM, STOCKY):
            cell(desk, which).hover()
            cell(desk, which).get_by_role("checkbox").click()
        expect(desk.page.get_by_text("2 selected")).to_be_visible()

        desk.page.get_by_role("button", name="Make anew").click()
        desk.page.get_by_role("button", name="Generate 2").click()

        expect(cell(desk, SLIM)).to_contain_text("Waiting")
        expect(cell(desk, STOCKY).locator("img")).to_be_visible()


def test_who_may_only_read_sees_the_matrix_without_its_buttons(site: Site, browser: Browser):
    make(site, SLIM)
    site.gate.is_somebody = builders.a_person(site.services.db, "quinn", Role.qa)
    with matrix(browser, site) as desk:
        expect(desk.page.get_by_test_id("attribute-cell")).to_have_count(44)
        expect(desk.page.get_by_role("button", name="Generate")).to_have_count(0)
        cell(desk, SLIM).locator(".am-open").click()
        dialog = desk.page.get_by_role("dialog", name="Slim, Anime")
        expect(dialog).to_be_visible()
        expect(dialog.get_by_role("button", name="Approve")).to_have_count(0)


def test_an_editor_is_told_who_may_see_it(site: Site, browser: Browser):
    site.gate.is_somebody = builders.a_person(site.services.db, "ana", Role.editor)
    with matrix(browser, site) as desk:
        expect(
            desk.page.get_by_text("Seeing attribute images needs the qa, product or admin role.")
        ).to_be_visible()


def test_the_matrix_fits_a_phone(site: Site, browser: Browser):
    make(site, SLIM)
    with matrix(
        browser, site, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True
    ) as desk:
        expect(desk.page.get_by_test_id("attribute-cell")).to_have_count(44)
        assert desk.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert desk.page.locator("#room").evaluate("room => room.scrollWidth - room.clientWidth") == 0
