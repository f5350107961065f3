"""The pages of the dashboard over the demo world: each says what is planted for it, in the words of its manifest, and a
person mends it there.
"""

from __future__ import annotations

import html
import re

import pytest
from playwright.sync_api import expect

from audit.library import SECTIONS
from core import findings, proof, recovery
from core.demo.manifest import Page, Repair
from core.recovery import Action
from tests.screens.browser import visit
from tests.screens.dashboard import answers, keys_of, pages_on, pictures_of, settled, standing, text_of

pytest_plugins = ["tests.fix_demo"]
pytestmark = pytest.mark.timeout(600)  # the first test of a run makes the world

PASSIVE = {Action.nothing, Action.wait, Action.person, Action.unknown}


@pytest.fixture
def pages(demo_services):
    with pages_on(demo_services) as opened:
        yield opened


def rows_of(page):
    """The lines of every table of a page, each as one text."""
    return [" ".join(map(str, row)) for frame in page.dataframe for row in frame.value.itertuples()]


def words_of(page):
    """Everything a page says, tables and numbers too."""
    numbers = [f"{one.label} {one.value}" for one in page.metric]
    buttons = [button.label for button in page.button]
    return "\n".join([text_of(page), *rows_of(page), *numbers, *buttons])


def test_the_overview_names_every_problem_and_where_it_is_mended(pages, world):
    words = words_of(pages("overview"))

    assert {one.says for one in world.of("health") if one.says not in words} == set()
    assert "First: paid pictures may be lost" in words


def test_the_stuck_page_explains_every_planted_job_and_no_innocent(pages, world):
    lines = rows_of(pages("stuck", rows="100"))

    planted = {one.job[:8]: one for one in world.planted if one.page is Page.stuck}
    unsaid = {
        one.code
        for short, one in planted.items()
        if not any(short in line and one.says in line for line in lines)
    }
    assert unsaid == set()
    innocent = {one.job[:8] for one in world.innocent if one.code.startswith("stuck.")}
    assert {short for short in innocent for line in lines if short in line} == set()


def test_the_matrix_shows_every_state(pages, world):
    words = words_of(pages("attributes"))

    for state in (
        "Not required",
        "Missing",
        "Queued",
        "Being made",
        "Failed",
        "To review",
        "Approved",
        "Rejected",
    ):
        assert state in words
    lacking = sum(one.word in {"missing", "failed"} for one in world.of("attributes"))
    assert f"Make {lacking} missing" in words


def test_costs_say_unknown_where_nobody_knows(pages):
    words = words_of(pages("costs"))

    assert "unknown" in words.lower()


def test_auto_save_explains_every_planted_reason_and_offers_its_repair(pages, world):
    page = pages("autosave")

    words = words_of(page)
    planted = world.of("autosave")
    assert {one.word for one in planted if html.escape(one.says) not in words} == set()
    offered = {key.removeprefix("mend_").upper() for key in keys_of(page) if key and key.startswith("mend_")}
    # A name that several bear is looked at once more by a repair, and left to a person.
    assert offered - {"NO_CHARACTER"} == {one.word for one in planted if one.repair is Repair.repair_autosave}


@pytest.mark.parametrize("section", ["missing", "strays", "differs", "thumbnails", "broken", "links"])
def test_the_library_shows_what_is_planted_in_each_section(pages, world, section):
    kinds = {str(kind) for kind in SECTIONS[section].kinds}

    lines = rows_of(pages("library", section=section))

    assert len(lines) >= len([one for one in world.of("library") if one.word in kinds]) > 0


def test_two_pictures_that_are_there_twice_stand_side_by_side(pages):
    page = pages("library", section="twice")

    assert "Perpetua Quince" in words_of(page)
    assert len(pictures_of(page)) >= 2


def test_findings_tell_in_words_what_the_platform_did(pages, world):
    for one in world.of("findings"):
        lines = rows_of(pages("findings", rule=findings.rule_of(one.word).title))

        assert [one.says in line for line in lines] == [True], one.code


def test_the_system_page_tells_the_worker_that_is_gone_from_the_one_that_left(pages):
    words = words_of(pages("system"))

    assert re.search(r"demo-easel-2.{0,200}silent", words, re.DOTALL)
    assert re.search(r"demo-easel-3.{0,200}left by itself", words, re.DOTALL)
    assert "Every part is there" in words


# -- in a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture
def dashboard(demo_services, tmp_path, eventually):
    """The dashboard on the demo world."""
    with standing(tmp_path / "home", DATABASE_URL=demo_services.db.dsn) as url:
        eventually(lambda: answers(url), seconds=30)
        yield url


@pytest.mark.parametrize(("scheme", "width", "height"), [("light", 1440, 900), ("dark", 1024, 768)])
def test_qa_goes_from_the_overview_to_the_stuck_jobs_and_recovers_all_that_were_shown(
    browser, dashboard, demo_services, world, scheme, width, height
):
    with visit(
        browser, f"{dashboard}/?live=false", color_scheme=scheme, viewport={"width": width, "height": height}
    ) as desk:
        page = desk.page
        expect(page.get_by_text("First: paid pictures may be lost")).to_be_visible(timeout=60_000)
        page.get_by_role("link", name="Stuck jobs", exact=True).first.click()
        page.locator(".st-key-stuck_recover button").click(timeout=60_000)
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Why?").fill("After the tour")
        dialog.get_by_label("Why?").press("Tab")
        dialog.get_by_role("button", name=re.compile("Recover")).click()
        expect(page.locator(".st-key-bulk_panel .au-badge", has_text="ended")).to_be_visible(timeout=90_000)

    before = {one.job for one in world.of("stuck") if one.repair is Repair.recover}
    left = {
        str(step.job_id)
        for step in recovery.recover(demo_services, dry_run=True)
        if step.action not in PASSIVE
    }
    assert before & left == set()
    assert desk.watch.complaints == []
    assert desk.watch.outside == []


def test_qa_repairs_all_portraits_of_one_reason_and_the_page_counts_one_reason_less(
    browser, dashboard, demo_services, world
):
    with visit(browser, f"{dashboard}/autosave?live=false", viewport={"width": 1440, "height": 900}) as desk:
        page = desk.page
        page.locator(".st-key-mend_wrong_tags button").click(timeout=60_000)
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Why?").fill("They lost their tags")
        dialog.get_by_label("Why?").press("Tab")
        dialog.get_by_role("button", name=re.compile("Repair")).click()
        expect(page.locator(".st-key-mend_wrong_tags")).to_have_count(0, timeout=90_000)
        settled(page)

    [planted] = [one for one in world.of("autosave") if one.word == "WRONG_TAGS"]
    assert proof.look(planted.job_id, demo_services).proof.failures == ()
    assert desk.watch.complaints == []
