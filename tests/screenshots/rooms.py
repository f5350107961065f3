"""The states of the other pages (create, library, attributes), and of what stands on every page."""

from __future__ import annotations

from collections.abc import Mapping

from playwright.sync_api import Page

from tests.screenshots import given
from tests.screenshots.state import State

DESCRIPTION = (
    "Repairs church organs in the hills, sleeps in the van, and knows which valley has the best plum cake."
)


def _filters(page: Page) -> None:
    page.get_by_role("button", name="Filters").click()


def _select(page: Page) -> None:
    for number in (1, 3, 4):
        item = page.get_by_test_id("library-item").nth(number)
        item.hover()
        item.get_by_role("checkbox").click()


def _large(page: Page) -> None:
    page.get_by_test_id("library-open").first.click()


def _fill(page: Page) -> None:
    page.get_by_label("Name").fill("Ida Thornquist")
    page.get_by_role("radio", name="Female", exact=True).check()
    page.get_by_label("Description").fill(DESCRIPTION)
    page.locator("[data-look='body/Slim']").click()
    page.locator("[data-look='age/50s']").click()
    page.locator("#room").evaluate("room => room.scrollTo(0, 0)")


def _refused(page: Page) -> None:
    page.get_by_label("Description").fill("A twelve year old pirate. " * 3)
    page.get_by_test_id("create-save").click()


def _to_reference(page: Page) -> None:
    page.locator(".cr-reference").scroll_into_view_if_needed()


def _to_looks(page: Page) -> None:
    page.locator("[data-look^='ethnicity']").first.scroll_into_view_if_needed()


def _upload(page: Page) -> None:
    page.get_by_role("button", name="Upload a picture").click()


def _cost(page: Page) -> None:
    page.get_by_role("button", name="Generate", exact=False).first.click()


def _run(page: Page) -> None:
    _cost(page)
    page.get_by_role("dialog").get_by_role("button", name="Generate").click()


def _review(page: Page) -> None:
    page.locator("[data-review='pending'] .am-open").first.click()


def _several_cells(page: Page) -> None:
    for number in (0, 1):
        cell = page.locator("[data-state='ready']").nth(number)
        cell.hover()
        cell.get_by_role("checkbox").click()


def _queue(page: Page) -> None:
    _menu(page)
    page.locator(".pn-queue").click()


def _everybodys(page: Page) -> None:
    _queue(page)
    page.get_by_role("tab", name="Everybody's").click()


def _menu(page: Page) -> None:
    """On a phone the pages and the queue wait behind a button."""
    button = page.get_by_role("button", name="Menu", exact=True)
    if button.is_visible():
        button.click()


ITEM = "[data-testid=library-item]"

STATES: Mapping[str, State] = {
    "attributes-empty": State(path="attributes", shows="[data-testid=attribute-cell]"),
    "create-empty": State(path="create", whose="nobody", shows="[data-look]"),
    "create-filled": State(path="create", whose="nobody", steps=_fill),
    "create-reference": State(
        path="create", given=given.a_reference, steps=_to_reference, shows=".cr-ref-face img"
    ),
    "create-upload": State(path="create", whose="empty", steps=_upload, shows="[role=dialog]"),
    "create-refused": State(path="create", whose="other", steps=_refused, shows="[data-wrong=true]"),
    "library": State(path="library", shows=ITEM),
    "library-list": State(path="library?view=list", shows=ITEM),
    "library-filters": State(path="library", steps=_filters, shows=".lib-panel"),
    "library-filtered": State(path="library?tag=portrait&q=silver", shows=".lib-chip"),
    "library-nothing": State(path="library?q=zeppelin", shows="#room"),
    "library-characters": State(path="library?tab=characters", shows=ITEM),
    "library-selected": State(path="library", steps=_select, shows="[role=toolbar]"),
    "library-large": State(path="library", steps=_large, shows=".lv-prompt"),
    "library-bin": State(path="library?tab=bin", given=given.binned_pictures, shows=ITEM),
    "library-bin-empty": State(path="library?tab=bin", shows="#room"),
    "library-empty": State(path="library", given=given.nothing_saved, shows="text=Nothing saved yet"),
    "attributes": State(path="attributes", given=given.made_cells, shows="[data-state=ready]"),
    "attributes-cost": State(path="attributes", given=given.made_cells, steps=_cost, shows="[role=dialog]"),
    "attributes-review": State(
        path="attributes", given=given.made_cells, steps=_review, shows="[role=dialog]"
    ),
    "attributes-selected": State(
        path="attributes", given=given.made_cells, steps=_several_cells, shows="[role=toolbar]"
    ),
    "attributes-running": State(
        path="attributes", given=given.a_run, steps=_run, shows="[data-state=running]"
    ),
    "create-looks": State(
        path="create", whose="nobody", given=given.made_cells, steps=_to_looks, shows="[data-look] img"
    ),
    "queue": State(path="library", given=given.busy, steps=_queue, shows=".qp-row"),
    "queue-everybodys": State(path="library", given=given.busy, steps=_everybodys, shows=".qp-row"),
    "queue-empty": State(path="library", steps=_queue),
    "menu-phone": State(path="library", steps=_menu, windows=("phone",)),
}
