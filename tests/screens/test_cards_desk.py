"""Character cards on the page: many in with a report each, one out with its losses said first."""

import json
from pathlib import Path

from playwright.sync_api import Locator, expect

from core import characters
from core.auth import LOCAL_PERSON
from core.cards import files
from core.values import Character
from tests.contracts.test_card_files import a_png, v2
from tests.screens.browser import Desk
from tests.screens.conftest import Site
from tests.unit.test_cards import V3

HOSTILE = "<img src=x onerror=window.caught=1>${window.caught=2}\u202e"


def open_import(desk: Desk) -> Locator:
    desk.page.evaluate("window.studio.announce('import-cards')")
    return desk.page.get_by_test_id("import-cards")


def card_file(name: str, data: bytes) -> dict[str, object]:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


def a_card(name: str, **values: object) -> dict[str, object]:
    return card_file(f"{name}.json", json.dumps(v2(name=name, **values)).encode())


def count(site: Site) -> int:
    return len(characters.listing(LOCAL_PERSON, site.services, limit=100))


def test_many_cards_come_in_and_the_bad_one_stops_no_other(desk: Desk, site: Site):
    dialog = open_import(desk)
    chosen = [a_card(f"Number {number}") for number in range(12)]
    chosen[4] = card_file("broken.json", b"not a card")
    chosen[7] = a_card("Forbidden", first_mes="she is twelve years old")
    dialog.get_by_label("Card files").set_input_files(chosen)  # pyright: ignore[reportArgumentType]

    dialog.get_by_role("button", name="Import 12 cards").click()

    expect(dialog.get_by_role("status")).to_have_text("12 of 12: 10 imported, 2 not", timeout=30_000)
    expect(dialog.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")
    expect(dialog.get_by_test_id("card-refused")).to_have_count(2)
    expect(dialog.get_by_test_id("card-refused").filter(has_text="Forbidden")).to_contain_text("under 18")
    assert count(site) == 11
    dialog.get_by_test_id("card-imported").filter(has_text="Number 3").get_by_role("button").click()
    expect(desk.name).to_have_value("Number 3")


def test_a_cards_picture_becomes_its_portrait_where_the_rights_are_confirmed(desk: Desk):
    data = files.as_png(files.read(json.dumps(V3).encode(), "").card, a_png())
    dialog = open_import(desk)
    dialog.get_by_label("Card files").set_input_files([card_file("zoe.png", data)])  # pyright: ignore[reportArgumentType]
    dialog.get_by_label("I have the rights").check()
    dialog.get_by_role("button", name="Import", exact=True).click()

    dialog.get_by_test_id("card-imported").get_by_role("button", name="Open").click()

    expect(desk.name).to_have_value("Zoë")
    expect(desk.tiles).to_have_count(1)
    expect(desk.tiles.first.locator("img")).to_have_js_property("complete", True)


def test_hostile_cards_are_text_in_the_report_and_in_the_file_that_comes_out(
    desk: Desk, site: Site, tmp_path: Path
):
    dialog = open_import(desk)
    name = HOSTILE.replace("\u202e", "")
    whole = v2(name=name, creator_notes=HOSTILE, first_mes=HOSTILE)
    sent = card_file("<b>x</b>${1}.json", json.dumps(whole).encode())
    dialog.get_by_label("Card files").set_input_files([sent])  # pyright: ignore[reportArgumentType]
    dialog.get_by_role("button", name="Import", exact=True).click()
    expect(dialog.locator(".cd-author")).to_contain_text("onerror")
    dialog.get_by_role("button", name="Open").click()
    expect(desk.page.get_by_test_id("character-picker")).to_contain_text("onerror")
    expect(desk.name).to_have_value(name[:50])  # on the desk, so there is something to export

    desk.page.evaluate("window.studio.announce('export-card')")
    with desk.page.expect_download() as coming:
        desk.page.locator('[data-kind="v2"]').get_by_role("button", name="Download").click()
    coming.value.save_as(tmp_path / "back.json")

    assert json.loads((tmp_path / "back.json").read_text()) == whole
    assert not set('<>:"/\\|?*') & set(coming.value.suggested_filename)
    assert desk.page.evaluate("window.caught") is None
    assert desk.page.locator("img[src=x]").count() == 0


def test_what_an_export_leaves_out_is_said_and_what_cannot_be_is_closed(desk: Desk, character: Character):
    desk.page.evaluate("window.studio.announce('export-card')")
    dialog = desk.page.get_by_test_id("export-card")

    expect(dialog.locator('[data-kind="png"]')).to_contain_text("no portrait yet")
    expect(dialog.locator('[data-kind="png"]').get_by_role("button")).to_be_disabled()
    expect(dialog.locator('[data-kind="v3"]')).to_contain_text("Nothing is left out.")
    expect(dialog.locator('[data-kind="v3"]').get_by_role("button")).to_be_enabled()
