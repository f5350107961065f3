"""Every state of the editor worth a picture, by name: how a person comes there from the page of a character."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from playwright.sync_api import Page

from tests.screenshots import given, rooms
from tests.screenshots.state import State


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


def _of_character(page: Page, what: str) -> None:
    """An entry of the menu for the whole character; where there is room it stands beside the menu."""
    beside = page.locator(".dm-row").get_by_role("button", name=what, exact=True)
    if beside.is_visible():
        beside.click()
        return
    page.get_by_role("button", name="More for this character").click()
    page.get_by_role("menuitem", name=what, exact=True).click()


def _publish(page: Page) -> None:
    _of_character(page, "Publish")


def _preview(page: Page) -> None:
    _of_character(page, "Preview")


def _templates(page: Page) -> None:
    _of_character(page, "Start from a template")


def _story(page: Page) -> None:
    _of_character(page, "History")


def _menu(page: Page) -> None:
    page.get_by_role("button", name="More for this character").click()


def _share(page: Page) -> None:
    page.get_by_role("button", name="More for this character").click()
    page.get_by_role("menuitem", name="Share").click()


def _suggest(page: Page) -> None:
    _details(page)
    page.get_by_role("button", name="Suggest: Description", exact=True).click()


def _suggest_all(page: Page) -> None:
    _of_character(page, "Suggest every field")


def _type_over(page: Page) -> None:
    _details(page)
    field = page.get_by_label("Description", exact=True)
    field.fill(f"{field.input_value()} He hums the timetable while he shaves.")


def _young(page: Page) -> None:
    _details(page)
    page.get_by_label("Description", exact=True).fill("She is 15 years old and runs the harbour.")


def _choose_two(page: Page) -> None:
    page.get_by_role("button", name="Select", exact=True).click()
    for number in (0, 2):
        page.get_by_test_id("tile-open").nth(number).click()


def _compare(page: Page) -> None:
    _choose_two(page)
    page.locator("[data-bulk=Compare]").click()


def _bin(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Bin")).first.click()


def _reference(page: Page) -> None:
    page.locator(".rf-open").click()


def _own_words(page: Page) -> None:
    page.get_by_label("Own words", exact=True).fill("leaning on the rail, first snow")
    page.get_by_role("button", name=re.compile("Final prompt")).click()


def _expression(page: Page) -> None:
    page.locator(".sh-open").first.click()


def _models(page: Page) -> None:
    page.locator("#models_bar button").first.click()


def _away(page: Page) -> None:
    page.evaluate("window.studio.away()")


def _command(page: Page, label: str) -> None:
    _palette(page)
    page.get_by_role("combobox", name="Search characters and commands").fill(label)
    page.get_by_role("option", name=label).first.click()
    page.get_by_test_id("palette").wait_for(state="detached")


STATES: Mapping[str, State] = {
    "editor": State(steps=_nothing),
    "editor-details": State(steps=_details),
    "editor-new-character": State(steps=_nothing, whose="empty"),
    "editor-picker": State(steps=_picker),
    "portrait-menu": State(steps=_tile_menu),
    "portrait-lightbox": State(steps=_lightbox),
    "scenes": State(steps=_scenes),
    "scenes-empty": State(steps=_scenes, whose="empty"),
    "scene-menu": State(steps=_scene_menu),
    "scene-new": State(steps=_scene_new),
    "scene-edit": State(steps=_scene_edit),
    "scene-refused": State(steps=_scene_refused),
    "scene-picture": State(steps=_scene_picture),
    "palette": State(steps=_palette),
    "palette-found": State(steps=_palette_found),
    "keyboard": State(steps=_help),
    "cards-import": State(steps=_import),
    "cards-export": State(steps=_export),
    "cards-report": State(steps=_imported),
    "editor-menu": State(steps=_menu, shows="[role=menuitem]"),
    "editor-company": State(given=given.in_company, shows="[data-testid=presence]"),
    "editor-refused": State(steps=_young, whose="empty", shows="[data-wrong=true]"),
    "editor-away": State(steps=_away, shows=".ps-notice"),
    "own-words": State(steps=_own_words, shows="[data-testid=final-prompt]:has-text('first snow')"),
    "expression": State(steps=_expression, shows=".sh-panel"),
    "model-picker": State(steps=_models, shows=".mp-option"),
    "reference-none": State(steps=_reference, whose="empty", shows=".rf-panel"),
    "reference-chosen": State(steps=_reference, given=given.a_reference, shows=".rf-panel"),
    "portraits-running": State(given=given.busy, shows="[data-testid=tile-job]"),
    "portraits-failed": State(given=given.refused, shows="[data-testid=tile-failed]"),
    "portraits-selected": State(steps=_choose_two, shows="[data-testid=chosen-count]"),
    "portraits-compared": State(steps=_compare, shows=".cm-frame"),
    "portraits-bin": State(steps=_bin, given=given.binned_portraits, shows="[data-testid=bin-tile]"),
    "publish": State(steps=_publish, shows="[data-testid=publishing]"),
    "publish-refused": State(steps=_publish, whose="empty", shows="[data-testid=publishing]"),
    "preview": State(steps=_preview, shows="[data-testid=preview]"),
    "templates": State(steps=_templates, shows="[data-testid=templates]"),
    "sharing": State(
        steps=_share, apart=True, given=given.shared, shows="[data-testid=sharing] [data-testid=member]"
    ),
    "editor-look-only": State(
        steps=_details, apart=True, given=given.looked_at, shows="[data-testid=look-note]"
    ),
    "history": State(steps=_story, whose="other", shows="[data-testid=version]"),
    "suggestion": State(steps=_suggest, shows="[data-testid=proposal]"),
    "suggestions": State(steps=_suggest_all, whose="other", shows="[data-testid=proposal]"),
    "conflict": State(
        steps=_type_over, whose="other", meanwhile=given.saved_over, shows="[role=alertdialog]"
    ),
    **rooms.STATES,
}
