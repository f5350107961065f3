"""One story of an admin in a real Chromium: a model is made the first choice, seen before it is saved and undone after."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from core.admin import models
from core.auth import LOCAL_PERSON
from tests.builders import rows
from tests.screens.browser import visit
from tests.screens.dashboard import settled

SIZE = {"width": 1440, "height": 900}


def priority(services):
    return next(
        row.priority
        for row in models.listing(LOCAL_PERSON, services)
        if row.model_key == "sketch/placeholder"
    )


def test_an_admin_changes_a_model_with_a_reason_finds_it_in_the_record_and_undoes_it(
    services, dashboard, browser
):
    with visit(browser, f"{dashboard}/models", viewport=SIZE) as desk:
        page = desk.page
        settled(page)
        row = page.locator('[class*="st-key-model_"]').filter(has_text="sketch/placeholder")
        row.get_by_role("button", name="Change").click()
        expect(page.get_by_role("heading", name="Sketch", exact=True)).to_be_visible()
        page.get_by_role("spinbutton", name="Priority").fill("500")
        page.get_by_role("spinbutton", name="Priority").press("Enter")
        expect(page.get_by_text("Then: the same.").first).to_be_visible()
        page.get_by_label("Why").fill("so that it can be found")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Sketch is changed.")).to_be_visible()
        assert priority(services) == 500

        page.get_by_role("button", name="Undo").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("What this change replaced is put back.")
        dialog.get_by_label("Why").fill("it was found")
        dialog.get_by_role("button", name="Undo it").click()
        expect(page.get_by_text("It stands as before.")).to_be_visible()
        expect(page.get_by_role("spinbutton", name="Priority")).to_have_value("0")

        page.goto(f"{dashboard}/activity")
        expect(page.get_by_text(re.compile("Changed a model")).first).to_be_visible()
        assert desk.watch.complaints == []
        assert desk.watch.outside == []

    assert priority(services) == 0
    assert rows(
        services.db, "SELECT why FROM studio.audit_events WHERE action = 'model_changed' ORDER BY id"
    ) == [
        ("so that it can be found",),
        ("it was found",),
    ]
