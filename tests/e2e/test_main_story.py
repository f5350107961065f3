"""The main job as a person does it: from an empty studio to a portrait in the library, with a reload in the middle."""

import hashlib
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.e2e.running_studio import RunningStudio, running_studio
from tests.emulator import KEY, EmulatorProcess
from tests.screens.browser import Desk, launched, visit

DESCRIPTION = (
    "A retired tram driver who restores clockwork birds and knows every timetable since 1974 by heart."
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, launched(playwright) as started:
        yield started


def begin_character(desk: Desk, name: str) -> None:
    """From the empty studio to a character that is saved."""
    desk.page.get_by_role("button", name="New character").last.click()
    expect(desk.name).to_be_editable()
    desk.name.fill(name)
    desk.description.fill(DESCRIPTION)
    expect(desk.badge).to_have_attribute("data-state", "saved", timeout=15_000)


def generate(desk: Desk) -> None:
    desk.page.get_by_role("button", name="Generate", exact=True).click()


def test_a_person_makes_a_portrait_reloads_in_the_middle_and_finds_it_in_the_library(
    tmp_path, browser: Browser
):
    with running_studio(tmp_path / "home", SKETCH_SECONDS="4") as studio:
        assert studio.seconds < 30  # DESIGN's budget is in the bench; this only catches a start that hangs
        with visit(browser, studio.url) as desk:
            desk.settle()
            begin_character(desk, "Otto Klingbeil")
            expect(desk.page.get_by_test_id("price")).to_contain_text("free")
            generate(desk)
            expect(desk.page.get_by_test_id("tile-job")).to_be_visible()

            desk.reload()

            expect(desk.page.get_by_test_id("tile-job")).to_be_visible()
            expect(desk.tiles).to_have_count(1, timeout=30_000)
            expect(desk.page.get_by_test_id("tile-job")).to_have_count(0)
            picture = desk.tiles.first.locator("img")
            expect(picture).to_have_js_property("complete", True)
            assert picture.evaluate("image => image.naturalWidth") > 0
            assert desk.watch.complaints == []
            assert desk.watch.outside == []
        assert_everything_agrees(studio)


def test_the_same_with_fal_and_the_price_before_paying(tmp_path, browser: Browser):
    with EmulatorProcess() as fal:
        fal.set(latency=2.0, queue_positions=2, progress_polls=2)
        with running_studio(tmp_path / "home", FAL_KEY=KEY, FAL_BASE_URL=fal.url) as studio:
            with visit(browser, studio.url) as desk:
                desk.settle()
                begin_character(desk, "Mirabel Oakes")
                generate(desk)
                expect(desk.page.get_by_test_id("tile-job")).to_be_visible()

                desk.reload()

                expect(desk.tiles).to_have_count(1, timeout=30_000)
            assert_everything_agrees(studio)
        assert (fal.counts()["submits"], fal.counts()["leaked_keys"]) == (1, 0)


def test_a_studio_killed_while_drawing_finishes_the_picture_after_it_is_started_again(
    tmp_path, browser: Browser
):
    home = tmp_path / "home"
    slow = {"SKETCH_SECONDS": "6", "HEARTBEAT_SECONDS": "1"}
    with running_studio(home, **slow) as studio, visit(browser, studio.url) as desk:
        desk.settle()
        begin_character(desk, "Phoenix Marlowe")
        generate(desk)
        expect(desk.page.get_by_test_id("tile-job")).to_be_visible()
        studio.kill()

    with running_studio(home, SKETCH_SECONDS="1", HEARTBEAT_SECONDS="1") as again:
        with visit(browser, again.url) as desk:
            desk.settle()
            expect(desk.tiles).to_have_count(1, timeout=45_000)
        assert_everything_agrees(again)


def test_a_refused_picture_says_why_and_another_model_makes_it(tmp_path, browser: Browser):
    with EmulatorProcess() as fal:
        fal.fault("outcome", "content_policy")
        with running_studio(
            tmp_path / "home", FAL_KEY=KEY, FAL_BASE_URL=fal.url, SKETCH_SECONDS="1"
        ) as studio:
            with visit(browser, studio.url) as desk:
                desk.settle()
                begin_character(desk, "Ines Calloway")
                generate(desk)
                failed = desk.page.get_by_test_id("tile-failed")
                expect(failed).to_contain_text("safety", timeout=30_000)

                failed.get_by_role("button", name="Options").click()
                desk.page.get_by_role("menuitem", name="Try Sketch").click()

                expect(desk.tiles).to_have_count(1, timeout=30_000)
                expect(failed).to_have_count(0)
            with studio.database() as conn:
                made = conn.execute(
                    "SELECT j.retried_from = failed.id FROM jobs j, jobs failed"
                    " WHERE j.status = 'completed' AND failed.status = 'failed'"
                ).fetchall()
        assert made == [(True,)]
        assert fal.counts()["submits"] == 1


def assert_everything_agrees(studio: RunningStudio) -> None:
    """Rows and objects tell one story, read without the product's own code."""
    with studio.database() as conn:
        row = conn.execute(
            """
            SELECT j.status, j.stage, l.storage_path, l.sha256, p.image_url, c.image_url, p.is_primary,
                   (SELECT count(*) FROM workspace_assets), (SELECT count(*) FROM user_library),
                   (SELECT count(*) FROM character_portraits), (SELECT count(*) FROM jobs), a.sha256
            FROM jobs j JOIN workspace_assets a ON a.job_id = j.id JOIN user_library l ON l.job_id = j.id
            JOIN character_portraits p ON p.job_id = j.id JOIN characters c ON c.id = p.character_id
            """
        ).fetchone()
    assert row is not None
    status, stage, path, sha256, portrait, image, is_primary, *counts, asset_sha256 = row
    stored = studio.home / "objects" / "user-library" / path
    assert (status, stage, is_primary, counts) == ("completed", "saved", True, [1, 1, 1, 1])
    assert portrait == image == f"user-library/{path}"
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == sha256 == asset_sha256
    assert stored.with_name(f"{stored.stem}.thumb.webp").stat().st_size > 0
