"""The pages of the dashboard over the demo world: each says what is planted for it, in the words of its manifest, and a
person mends it there.
"""

from __future__ import annotations

import pytest

from core.demo.manifest import Page
from tests.screens.dashboard import pages_on, text_of

pytest_plugins = ["tests.fix_demo"]


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
