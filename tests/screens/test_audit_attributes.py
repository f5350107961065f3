"""The dashboard's page of attribute images: what it says and does by Streamlit's test driver, and three stories of what
product does in a real Chromium.
"""

from __future__ import annotations

import io
import time
from datetime import UTC
from functools import partial

import pandas as pd
import pytest
from playwright.sync_api import expect

from audit import attributes as page_of
from audit.tables import as_csv, as_parquet
from core import attributes, options, reviews
from core.attributes import CellState
from core.auth import LOCAL_PERSON
from core.db import jobs
from core.values import Cell, ReviewStatus, Role
from tests.builders import a_person, one, rows, work
from tests.screens.browser import visit
from tests.screens.dashboard import keys_of, opened, pages_on, pictures_of, settled, text_of

SLIM = Cell(category="body", value="Slim", style="anime")
STOCKY = Cell(category="body", value="Stocky", style="anime")
TWENTIES = Cell(category="age", value="20s", style="realistic")
ADDRESS = "body/Slim/anime"


@pytest.fixture
def audit(pages):
    """The page on this test's services."""
    return partial(opened, "attributes")


@pytest.fixture
def flux(services):
    return one(services.db, "SELECT id FROM api_models WHERE model_key = 'fal-ai/flux/dev'")


@pytest.fixture
def made(services, flux):
    """Three pictures that nobody has judged."""
    attributes.generate(LOCAL_PERSON, services, cells=[TWENTIES, SLIM, STOCKY], model_id=flux)
    work(services)


def state_of(cell, services):
    return next(one for one in attributes.status(LOCAL_PERSON, services).cells if one.cell == cell)


def review_of(cell, services):
    return state_of(cell, services).picture.review_status.value


def tile(page, cell):
    return next(button for button in page.button if button.key == page_of._key(state_like(cell)))


def state_like(cell):
    return attributes.CellStatus(cell=cell, label=cell.value, state=CellState.missing)


# ---- the matrix


def test_an_empty_matrix_says_what_is_missing_and_how_complete_it_is(audit):
    page = audit()

    assert "0 of 14 approved" in text_of(page)
    assert "14 without" in text_of(page)
    assert tile(page, SLIM).label == "**Slim, Anime:** Missing"
    assert page.button(key="make_missing").label == "Make 44 missing"
    assert page.button(key="review_first").disabled


def test_every_standing_is_told_by_a_word_and_a_sign(audit, services, flux, fal):
    fal.fault("outcome", "content_policy")
    attributes.generate(LOCAL_PERSON, services, cells=[SLIM], model_id=flux)
    work(services)
    fal.reset()
    attributes.generate(LOCAL_PERSON, services, cells=[TWENTIES], model_id=flux)
    options.switch("body", "Curvy", LOCAL_PERSON, services, active=False)

    page = audit()

    assert tile(page, SLIM).label.endswith("Failed")
    assert tile(page, TWENTIES).label.endswith("Queued")
    assert tile(page, Cell(category="body", value="Curvy", style="anime")).label.endswith("Not required")
    icons = {word: page_of.ICONS[state] for state, word in page_of.STANDING_WORDS.items()}
    assert len(set(icons.values())) == len(icons) == 8


def test_a_job_that_is_being_made_shows_how_far_it_is(audit, services, flux):
    run = attributes.generate(LOCAL_PERSON, services, cells=[SLIM], model_id=flux)
    with services.db.as_service() as conn:
        conn.execute("UPDATE jobs SET status = 'processing' WHERE id = %s", (run.cells[0].job_id,))
        conn.execute("UPDATE jobs SET progress = 0.4 WHERE id = %s", (run.cells[0].job_id,))

    assert tile(audit(), SLIM).label == "**Slim, Anime:** Being made 40%"


def test_one_standing_can_be_looked_at_and_the_address_holds_it(audit, made, services):
    page = audit(standing="To review")

    assert not tile(page, SLIM).disabled
    assert tile(page, Cell(category="body", value="Curvy", style="anime")).disabled
    assert page.pills(key="standing").value == "To review"


def test_a_click_on_a_cell_opens_it_and_the_address_names_it(audit, made):
    page = audit()

    tile(page, SLIM).click().run()

    assert page.query_params["cell"] == ADDRESS
    assert "Slim, Anime" in text_of(page)
    assert len(pictures_of(page)) == 1


def test_who_has_no_role_for_it_is_told_so(services):
    editor = a_person(services.db, "ed", Role.editor)
    with pages_on(services, editor) as pages:
        page = pages("attributes")

    assert "Not for this role" in text_of(page)
    assert "make_missing" not in keys_of(page)


def test_qa_looks_and_neither_judges_nor_makes_nor_switches(services, made):
    with pages_on(services, a_person(services.db, "quinn", Role.qa)) as pages:
        page = pages("attributes")
        cell = pages("attributes", cell=ADDRESS)
        listed = pages("attributes", view="Values and styles")

    assert {"make_missing", "make_again"}.isdisjoint(keys_of(page))
    assert {"cell_approved", "cell_rejected", "make_one"}.isdisjoint(keys_of(cell))
    assert [key for key in keys_of(listed) if key.startswith("switch_")] == []
    assert "Product and admin add options." in text_of(listed)


def test_a_question_that_took_too_long_is_told_from_an_empty_matrix(audit, made, services, monkeypatch):
    monkeypatch.setattr("core.db.READER_SECONDS", 0.2)  # the real limit, only shorter

    with services.db.as_service() as conn:
        conn.execute("LOCK TABLE studio.attribute_options IN ACCESS EXCLUSIVE MODE")
        page = audit()

    assert "This took too long" in text_of(page)
    assert "without" not in text_of(page)


def test_a_database_that_is_gone_is_told_from_an_empty_matrix(audit, services):
    services.db.close()

    page = audit()

    assert "The database cannot be reached" in text_of(page)
    assert "make_missing" not in keys_of(page)


def test_what_another_program_wrote_never_becomes_part_of_the_page(audit, services, made):
    image = state_of(SLIM, services).picture.image_url
    reviews.review(
        SLIM,
        ReviewStatus.rejected,
        LOCAL_PERSON,
        services,
        image_url=image,
        note="<img src=x onerror=alert(1)>",
    )

    said = text_of(audit(cell=ADDRESS))

    assert "<img src=x" not in said
    assert "&lt;img src=x" in said


# ---- one cell


def test_a_cell_tells_its_cost_its_job_and_its_versions(audit, services, made, flux):
    attributes.regenerate([SLIM], LOCAL_PERSON, services, model_id=flux)
    work(services)

    page = audit(cell=ADDRESS)

    said = text_of(page)
    assert "$0.025" in said
    assert "512 × 768" in said
    assert "Stood here until" in said
    assert said.count('href="/jobs?job=') == 2
    assert "Adult" in page.text[0].value or "adult" in page.text[0].value


@pytest.mark.parametrize("named", ["nonsense", "body/Winged/anime", "<script>"])
def test_an_address_that_names_no_cell_says_so_and_leads_back(audit, named):
    page = audit(cell=named)
    assert "No such image" in text_of(page)
    assert "<script>" not in text_of(page)

    page.button(key="back").click().run()

    assert "cell" not in page.query_params
    assert "Attribute images" in text_of(page)


def test_an_approval_leads_to_the_next_picture_nobody_judged(audit, services, made):
    page = audit(cell="age/20s/realistic")

    page.button(key="cell_approved").click().run()

    assert review_of(TWENTIES, services) == "approved"
    assert page.query_params["cell"] == ADDRESS
    assert [toast.value for toast in page.toast] == ["20s: approved."]


def test_a_rejection_without_a_note_is_refused_and_nothing_moves_on(audit, services, made):
    page = audit(cell=ADDRESS)

    page.button(key="cell_rejected").click().run()

    assert "Say in a few words what is wrong" in text_of(page)
    assert page.query_params["cell"] == ADDRESS
    assert review_of(SLIM, services) == "pending"


def test_a_rejection_keeps_its_note(audit, services, made):
    page = audit(cell=ADDRESS)

    page.text_input[0].set_value("three hands")
    page.button(key="cell_rejected").click().run()

    picture = state_of(SLIM, services).picture
    assert (picture.review_status, picture.review_note) == (ReviewStatus.rejected, "three hands")


def test_the_last_decision_can_be_taken_back(audit, services, made):
    page = audit(cell=ADDRESS)
    page.button(key="cell_approved").click().run()

    page.button(key="cell_undo").click().run()

    assert review_of(SLIM, services) == "pending"
    assert page.query_params["cell"] == ADDRESS
    assert "cell_undo" not in keys_of(page)


def test_undo_brings_back_what_stood_before_and_not_merely_nothing(audit, services, made):
    image = state_of(SLIM, services).picture.image_url
    reviews.review(SLIM, ReviewStatus.rejected, LOCAL_PERSON, services, image_url=image, note="too dark")
    page = audit(cell=ADDRESS)
    page.button(key="cell_approved").click().run()

    page.button(key="cell_undo").click().run()

    picture = state_of(SLIM, services).picture
    assert (picture.review_status, picture.review_note) == (ReviewStatus.rejected, "too dark")


def test_after_the_last_one_nothing_is_left_to_review(audit, services, made):
    page = audit(cell="age/20s/realistic")

    for _ in range(3):
        page.button(key="cell_approved").click().run()

    assert "Nothing is left to review." in page.toast[-1].value
    assert page.button(key="cell_next_unreviewed").disabled


def test_a_newer_picture_is_not_approved_unseen(audit, services, made, flux):
    page = audit(cell=ADDRESS)
    attributes.regenerate([SLIM], LOCAL_PERSON, services, model_id=flux)
    work(services)

    page.button(key="cell_approved").click().run()

    assert "newer picture" in text_of(page)
    assert review_of(SLIM, services) == "pending"


def test_the_steps_go_round(audit, made):
    page = audit(cell="age/20s/realistic")

    page.button(key="cell_previous").click().run()
    assert page.query_params["cell"] == "style/anime/anime"
    page.button(key="cell_next").click().run()

    assert page.query_params["cell"] == "age/20s/realistic"


def test_a_picture_whose_object_is_gone_says_so(audit, services, made):
    bucket, _, path = state_of(SLIM, services).picture.image_url.partition("/")
    services.storage.delete(bucket, path)

    assert "no such object is there" in text_of(audit(cell=ADDRESS))


# ---- making


def planned(page):
    return [button for button in page.button if button.key == "dialog_yes"]


def test_the_plan_is_shown_before_anything_is_paid(audit, services, fal):
    page = audit()

    page.button(key="make_missing").click().run()

    said = text_of(page)
    assert "<dt>Pictures</dt><dd>44</dd>" in said
    assert "not measured yet" in said
    assert "No worker is running" in said
    assert rows(services.db, "SELECT id FROM jobs") == []
    page.button(key="dialog_no").click().run()
    assert planned(page) == []


def test_a_limit_names_what_it_leaves_out_and_is_kept(audit, services, fal, flux):
    page = audit()
    page.button(key="make_missing").click().run()
    label = next(one for one in page.selectbox(key="making_model").options if one.startswith("FLUX dev, "))
    page.selectbox(key="making_model").set_value(label)
    page.number_input(key="making_limit").set_value(0.10).run()

    assert "because the limit has no room for them" in text_of(page)
    page.button(key="dialog_yes").click().run()

    spent = one(services.db, "SELECT sum(amount_usd) FROM studio.cost_entries WHERE kind = 'estimated'")
    assert 0 < spent <= 0.10
    assert page.query_params["run"]
    assert "Cancel the run" in {button.label for button in page.button}


def test_models_whose_price_nobody_knows_are_named(audit, services, flux):
    with services.db.as_service() as conn:
        conn.execute("DELETE FROM studio.model_prices WHERE model_id = %s", (flux,))
    name = one(services.db, "SELECT display_name FROM api_models WHERE id = %s", (flux,))
    page = audit()

    page.button(key="make_missing").click().run()

    assert f"Price not known: {name}" in text_of(page) or f"{name}," in text_of(page)
    label = next(one for one in page.selectbox(key="making_model").options if one.startswith(name))
    page.selectbox(key="making_model").set_value(label).run()
    assert "Nobody knows what" in text_of(page)
    page.number_input(key="making_limit").set_value(1.0).run()
    assert "a spending limit cannot be kept" in text_of(page)
    assert page.button(key="dialog_yes").disabled


def test_a_run_is_followed_and_cancelled(audit, services, flux):
    run = attributes.generate(LOCAL_PERSON, services, cells=[SLIM, STOCKY], model_id=flux)
    page = audit(run=str(run.id))
    assert "2 waiting" in page.get("progress")[0].proto.text

    page.button(key="run_cancel").click().run()

    assert {row[0] for row in rows(services.db, "SELECT status FROM jobs")} == {"cancelled"}
    assert "2 at no cost" in page.toast[0].value


def test_chosen_pictures_are_made_again_and_the_old_ones_kept(audit, services, made):
    page = audit()
    page.toggle(key="attributes_selecting").set_value(True).run()
    tile(page, SLIM).click().run()
    tile(page, STOCKY).click().run()
    assert "cell" not in page.query_params
    assert page.button(key="make_again").label == "Make 2 again"

    page.button(key="make_again").click().run()
    page.button(key="dialog_yes").click().run()
    work(services)

    kept = rows(services.db, "SELECT value, why FROM studio.attribute_image_versions ORDER BY value")
    assert [tuple(row) for row in kept] == [("Slim", "replaced"), ("Stocky", "replaced")]


def test_chosen_pictures_are_rejected_together_with_one_reason(audit, services, made):
    page = audit()
    page.toggle(key="attributes_selecting").set_value(True).run()
    tile(page, SLIM).click().run()
    tile(page, STOCKY).click().run()

    page.button(key="reject_images").click().run()
    page.text_area(key="bulk_why").set_value("the light is too hard").run()
    page.button(key="bulk_yes").click().run()

    eventually_judged = [review_of(cell, services) for cell in (SLIM, STOCKY)]
    for _ in range(100):
        if eventually_judged == ["rejected", "rejected"]:
            break
        time.sleep(0.1)
        eventually_judged = [review_of(cell, services) for cell in (SLIM, STOCKY)]
    assert eventually_judged == ["rejected", "rejected"]
    assert state_of(SLIM, services).picture.review_note == "the light is too hard"
    assert review_of(TWENTIES, services) == "pending"


def test_the_runs_are_listed_with_what_they_cost(audit, made):
    page = audit(view="Runs")

    assert "3 of 3 made" in text_of(page)
    assert "$0.075" in text_of(page)


def test_where_nobody_made_anything_the_runs_say_how_the_first_comes(audit):
    assert "No run yet" in text_of(audit(view="Runs"))


# ---- options


def test_an_option_is_added_without_code_and_its_pictures_are_missing_at_once(audit, services):
    page = audit(view="Values and styles")
    page.selectbox(key="option_kind").set_value("body")
    page.text_input(key="option_value").set_value("Wiry")
    page.text_area(key="option_words").set_value("wiry build")
    page.button(key="option_add").click().run()

    assert "Wiry is added to body" in page.toast[0].value
    assert page.text_input(key="option_value").value == ""
    page.segmented_control(key="view").set_value("Images").run()
    assert tile(page, Cell(category="body", value="Wiry", style="anime")).label.endswith("Missing")


@pytest.mark.parametrize(
    ("value", "said", "code"),
    [
        ("Teen", "a teenager", "POLICY_MINOR"),
        ("15-19", "an adult", "POLICY_MINOR"),
        ("90s", "nude", "POLICY_CLOTHED"),
    ],
)
def test_an_option_that_is_no_clothed_adult_is_refused_on_the_page(audit, services, value, said, code):
    page = audit(view="Values and styles")
    page.text_input(key="option_value").set_value(value)
    page.text_area(key="option_words").set_value(said)

    page.button(key="option_add").click().run()

    assert code in text_of(page)
    assert rows(services.db, "SELECT * FROM studio.attribute_options") == []


def switch_of(page, category, value):
    found = next(
        key for key in keys_of(page) if key.startswith(f"switch_{f'{category}_{value}'.encode().hex()}_")
    )
    return page.button(key=found)


def test_an_option_is_switched_off_and_on_again(audit, services):
    page = audit(view="Values and styles")

    switch_of(page, "body", "Slim").click().run()
    assert "Slim is switched off" in page.toast[0].value
    assert switch_of(page, "body", "Slim").label == "Switch on"
    switch_of(page, "body", "Slim").click().run()

    assert state_of(SLIM, services).state is CellState.missing


# ---- files


def test_the_matrix_is_a_table_with_unknown_costs_said_so(services, made):
    with services.db.as_service() as conn:
        conn.execute("UPDATE attribute_images SET cost_usd = NULL WHERE value = 'Slim'")
    with services.db.as_reader(LOCAL_PERSON) as conn:
        cells = attributes.read_matrix(conn, services, whole=True).cells
    sheet = page_of._sheet(cells)

    lines = as_csv(sheet).decode("utf-8-sig").splitlines()
    frame = pd.read_parquet(io.BytesIO(as_parquet(sheet)))

    assert len(lines) == 45
    assert next(line for line in lines if line.startswith("body,Slim,anime")).count(",unknown,") == 1
    assert set(frame["standing"]) == {"missing", "unverified"}


@pytest.mark.parametrize(("kind", "begins"), [("HTML", b"<!doctype html>"), ("PDF", b"%PDF-1.4")])
def test_the_review_is_taken_away_on_paper(services, made, kind, begins):
    assert page_of.on_paper(services, LOCAL_PERSON, kind, UTC).startswith(begins)


# ---- in a browser


def test_product_reviews_everything_by_keyboard(browser, dashboard, services, made):
    with visit(browser, f"{dashboard}/attributes?live=false") as desk:
        page = desk.page
        page.get_by_role("button", name="Review 3").click(timeout=30_000)
        expect(page.get_by_role("heading", name="20s, Realistic")).to_be_visible()
        settled(page)
        expect(page.get_by_test_id("stImage").locator("img")).to_have_js_property("naturalWidth", 512)
        page.keyboard.press("a")
        expect(page.get_by_role("heading", name="Slim, Anime")).to_be_visible()
        settled(page)
        page.get_by_label("Note").fill("an x in a word is no key")
        page.keyboard.press("Tab")
        settled(page)
        page.keyboard.press("x")
        expect(page.get_by_role("heading", name="Stocky, Anime")).to_be_visible()
        settled(page)
        page.keyboard.press("u")
        expect(page.get_by_role("heading", name="Slim, Anime")).to_be_visible()
        settled(page)
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("heading", name="Athletic, Realistic")).to_be_visible()

    found = {cell.value: review_of(cell, services) for cell in (TWENTIES, SLIM, STOCKY)}
    assert found == {"20s": "approved", "Slim": "pending", "Stocky": "pending"}
    told = rows(
        services.db,
        "SELECT why FROM studio.audit_events WHERE action = 'attribute_image_reviewed' ORDER BY id",
    )
    assert ("an x in a word is no key",) in [tuple(row) for row in told]
    assert desk.watch.complaints == []
    assert desk.watch.outside == []


def test_product_adds_a_value_and_has_it_made_for_at_most_a_dollar(browser, dashboard, services, eventually):
    with visit(
        browser, f"{dashboard}/attributes?view=Values+and+styles&live=false", color_scheme="dark"
    ) as desk:
        page = desk.page
        page.get_by_role("textbox", name="Name", exact=True).fill("90s", timeout=30_000)
        page.get_by_role("textbox", name="Words for the picture").fill(
            "an adult in their nineties, white hair"
        )
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_text("90s is added to age.")).to_be_visible()
        settled(page)
        page.get_by_role("radio", name="Images").click()
        settled(page)
        page.get_by_role("button", name="90s, Realistic: Missing").click()
        page.get_by_role("button", name="Make it").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Spend at most, in dollars").fill("1")
        dialog.get_by_label("Spend at most, in dollars").press("Enter")
        expect(dialog.get_by_text("Pictures", exact=True)).to_be_visible()
        ink = dialog.locator(".au-facts dd").first.evaluate("part => getComputedStyle(part).color")
        assert min(int(part) for part in ink[4:-1].split(",")) > 180  # light on the dark dialog
        dialog.get_by_role("button", name="Make 1").click()
        expect(page.get_by_text("1 asked for.")).to_be_visible()

    switched = "SELECT row_id FROM studio.audit_events WHERE action = 'attribute_option_switched'"
    assert rows(services.db, switched) == []  # leaving a page changes nothing
    asked = rows(services.db, "SELECT category, value, style FROM studio.attribute_jobs")
    assert [tuple(row) for row in asked] == [("age", "90s", "realistic")]
    work(services)
    with services.db.as_service() as conn:
        assert {
            job.status.value
            for job in [jobs.get(conn, row[0]) for row in rows(services.db, "SELECT id FROM jobs")]
        } == {"completed"}
    assert desk.watch.complaints == []


def test_product_rejects_several_at_once_and_the_matrix_keeps_its_pictures(
    browser, dashboard, services, made, eventually
):
    small = {"viewport": {"width": 1024, "height": 768}, "color_scheme": "dark"}

    with visit(browser, f"{dashboard}/attributes?live=false", **small) as desk:
        page = desk.page
        page.locator(".st-key-attributes_selecting label").click(timeout=30_000)
        settled(page)
        for name in ("Slim, Anime", "Stocky, Anime"):
            page.get_by_role("button", name=f"{name}: To review").click()
            expect(page.get_by_role("button", name=f"{name}, chosen: To review")).to_be_attached()
            settled(page)
        shown = page.get_by_role("button", name="Slim, Anime, chosen").evaluate(
            "part => getComputedStyle(part).backgroundImage"
        )
        assert shown.startswith('url("data:image/webp')
        page.locator(".st-key-reject_images button").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Why?").fill("the light is too hard")
        dialog.get_by_role("button", name="Reject 2 pictures").click()
        eventually(
            lambda: [review_of(cell, services) for cell in (SLIM, STOCKY)] == ["rejected"] * 2, seconds=20
        )

    assert review_of(TWENTIES, services) == "pending"
    assert desk.watch.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_matrix_fits_a_phone_and_its_tiles_have_their_pictures(browser, dashboard, made, scheme):
    phone = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}

    with visit(browser, f"{dashboard}/attributes?live=false", **phone) as desk:
        button = desk.page.get_by_role("button", name="Slim, Anime: To review")
        expect(button).to_be_attached(timeout=30_000)
        settled(desk.page)
        assert desk.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert button.evaluate("part => getComputedStyle(part).backgroundImage").startswith(
            'url("data:image/webp'
        )
