"""Every state worth a picture, by name: how a person comes there from the page of a character."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from playwright.sync_api import Page

from tests.screens.browser import Desk
from tests.screenshots.world import World

Steps = Callable[[Page], None]


@dataclass(frozen=True)
class State:
    """`whose` names the character on the desk: hero, empty or nobody (the address alone)."""

    steps: Steps
    whose: str = "hero"


def _view(page: Page, name: str) -> None:
    """Portraits or Scenes: tabs in the middle, on a phone those above."""
    page.locator(f'[data-view="{name}"]:visible, [data-stage="{name}"]:visible').first.click()


def _nothing(_page: Page) -> None:
    """The page as it opens."""


def _details(page: Page) -> None:
    if page.locator('[data-view="details"]').is_visible():
        page.locator('[data-view="details"]').click()


def _scenes(page: Page) -> None:
    _view(page, "scenes")
    page.locator(".sn-list:visible, .sn-empty:visible").first.wait_for()


def _scene_menu(page: Page) -> None:
    _scenes(page)
    page.get_by_test_id("scene").first.hover()
    page.locator(".sn-more").first.click()


def _scene_new(page: Page) -> None:
    _scenes(page)
    page.get_by_test_id("scene-add").click()


def _scene_edit(page: Page) -> None:
    _scenes(page)
    page.get_by_test_id("scene").first.locator(".sn-open").click()


def _scene_refused(page: Page) -> None:
    _scene_new(page)
    page.get_by_label("Name").last.fill("x" * 90)


def _scene_picture(page: Page) -> None:
    _scenes(page)
    page.get_by_test_id("scene").last.get_by_role("button", name="New picture").click()
    page.locator(".sn-prompt").wait_for()


def _lightbox(page: Page) -> None:
    page.get_by_test_id("tile-open").first.click()


def _tile_menu(page: Page) -> None:
    page.get_by_test_id("tile").first.hover()
    page.get_by_role("button", name="Options").first.click()


def _picker(page: Page) -> None:
    page.get_by_test_id("character-picker").click()
    page.locator(".cp-entry").first.wait_for()


def _palette(page: Page) -> None:
    page.keyboard.press("Control+k")
    page.get_by_test_id("palette").wait_for()


def _palette_found(page: Page) -> None:
    _palette(page)
    page.get_by_role("combobox", name="Search characters and commands").fill("o")
    page.locator(".pl-person").first.wait_for()


def _help(page: Page) -> None:
    _command(page, "Keyboard shortcuts")


def _import(page: Page) -> None:
    _command(page, "Import character cards")


def _imported(page: Page) -> None:
    """The report: a card taken whole, one mended, one that is none."""
    _import(page)
    whole = {
        "name": "Ines Falk",
        "description": "Tunes bells.",
        "first_mes": "Listen.",
        "creator_notes": "Be kind to her.",
    }
    cards = {
        "ines.json": whole,
        "pavel.json": {"name": "Pavel", "tags": "calm, tall", "alternate_greetings": None},
        "holiday.json": [],
    }
    page.get_by_label("Card files").set_input_files(
        [
            {"name": name, "mimeType": "application/json", "buffer": json.dumps(card).encode()}
            for name, card in cards.items()
        ]
    )
    page.get_by_label("Import cards that are here already").check()
    page.get_by_role("button", name="Import 3 cards").click()
    page.get_by_role("status").filter(has_text="3 of 3").wait_for()


def _export(page: Page) -> None:
    _command(page, "Export as a character card")
    page.locator(".cd-ready").first.wait_for()


def _command(page: Page, label: str) -> None:
    _palette(page)
    page.get_by_role("combobox", name="Search characters and commands").fill(label)
    page.get_by_role("option", name=label).first.click()
    page.get_by_test_id("palette").wait_for(state="detached")


STATES: Mapping[str, State] = {
    "editor": State(_nothing),
    "editor-details": State(_details),
    "editor-new-character": State(_nothing, whose="empty"),
    "editor-picker": State(_picker),
    "portrait-menu": State(_tile_menu),
    "portrait-lightbox": State(_lightbox),
    "scenes": State(_scenes),
    "scenes-empty": State(_scenes, whose="empty"),
    "scene-menu": State(_scene_menu),
    "scene-new": State(_scene_new),
    "scene-edit": State(_scene_edit),
    "scene-refused": State(_scene_refused),
    "scene-picture": State(_scene_picture),
    "palette": State(_palette),
    "palette-found": State(_palette_found),
    "keyboard": State(_help),
    "cards-import": State(_import),
    "cards-export": State(_export),
    "cards-report": State(_imported),
}


# Nothing moves, and every picture that can be seen is there.
_STILL = """() => document.fonts.status === "loaded"
  && document.getAnimations().every((one) => one.playState !== "running" || one.effect.getComputedTiming().endTime === Infinity)
  && [...document.images].every((one) => one.complete || !one.checkVisibility() || one.getBoundingClientRect().top > innerHeight)"""


def arrive(desk: Desk, state: State) -> None:
    """From the page as it loads to the state, in light."""
    desk.settle()
    still(desk)
    state.steps(desk.page)
    still(desk)


def still(desk: Desk) -> None:
    """Wait until the page stands still."""
    desk.page.wait_for_function(_STILL)


def dress(desk: Desk, theme: str) -> None:
    """Show `theme`, as the page's own switch does."""
    if desk.page.evaluate("document.body.classList.contains('dark')") != (theme == "dark"):
        desk.page.evaluate("window.studio.toggleTheme()")
    still(desk)


def address(world: World, state: State) -> str:
    """The page a state begins on."""
    return world.address({"hero": world.hero, "empty": world.empty}.get(state.whose))
