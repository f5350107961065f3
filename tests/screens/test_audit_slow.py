"""A database that is slow or gone: every page says which, and never that there is nothing (SPEC "When things go wrong").

Slow is not played: another session holds the tables that a page reads, as a migration or a runaway query would.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import psycopg
import pytest
from playwright.sync_api import expect
from psycopg import sql

from audit.navigation import ROOMS
from core.auth import LOCAL_PERSON
from tests.builders import a_character, a_finished_portrait
from tests.screens.browser import visit
from tests.screens.dashboard import settled, text_of

PAGES = [room.name for members in ROOMS.values() for room in members]
SHORT = 0.3  # seconds instead of 5: the real limit, only shorter
TOO_LONG = re.compile(r"(This|It) took too long|Stopped after 5 s")
_EMPTY = 'class="au-empty"'  # what look.nothing draws


@dataclass(frozen=True, kw_only=True)
class Slow:
    """The tables whose reading stands still, and what the page says all the same, for it does not read them."""

    tables: Sequence[str]
    stands: Sequence[str] = ()


READS: Mapping[str, Slow] = {
    "overview": Slow(tables=("public.jobs",), stands=("Overview", "Attribute images", "none set")),
    "jobs": Slow(tables=("public.jobs",)),
    "stuck": Slow(tables=("public.jobs",), stands=("Stuck jobs",)),
    "autosave": Slow(tables=("studio.proof_results",), stands=("Auto-save",)),
    "findings": Slow(tables=("studio.findings",), stands=("Findings",)),
    "library": Slow(tables=("studio.stock_marks",), stands=("Library",)),
    "attributes": Slow(tables=("public.attribute_images",)),
    "qa": Slow(tables=("studio.qa_samples",), stands=("QA sample",)),
    "costs": Slow(tables=("studio.cost_entries",), stands=("Costs",)),
    "activity": Slow(tables=("studio.audit_events",), stands=("Activity",)),
    "system": Slow(tables=("studio.workers",), stands=("System", "Schema")),
    "people": Slow(tables=("studio.audit_events",), stands=("People", "one local person")),
    "models": Slow(tables=("studio.model_prices",), stands=("Models",)),
    "providers": Slow(tables=("studio.provider_state",), stands=("Providers",)),
    "settings": Slow(tables=("studio.budgets",), stands=("Settings", "The team's own options")),
}


@contextlib.contextmanager
def held(dsn: str, tables: Sequence[str]) -> Generator[None]:
    """Nobody else reads these tables while inside."""
    with psycopg.connect(dsn) as conn:
        for name in tables:
            conn.execute(
                sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(*name.split(".")))
            )
        yield
        conn.rollback()


@pytest.fixture
def portrait(services):
    """There is something to find on the pages."""
    return a_finished_portrait(LOCAL_PERSON, services, a_character(LOCAL_PERSON, services))


def test_every_page_has_a_slow_table_here():
    assert set(READS) == set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_whose_question_takes_too_long_says_so_and_never_nothing(
    pages, services, portrait, monkeypatch, name
):
    monkeypatch.setattr("core.db.READER_SECONDS", SHORT)

    with held(services.db.dsn, READS[name].tables):
        page = pages(name)

    said = text_of(page)
    assert TOO_LONG.search(said)
    assert _EMPTY not in said
    assert [part for part in READS[name].stands if part not in said] == []
    assert "cannot be reached" not in said


@pytest.mark.parametrize(
    "table",
    [
        "studio.cost_entries",
        "studio.submissions",
        "public.attribute_images",
        "studio.findings",
        "studio.workers",
    ],
)
def test_the_overview_stands_whatever_table_stands_still(pages, services, portrait, monkeypatch, table):
    monkeypatch.setattr("core.db.READER_SECONDS", SHORT)

    with held(services.db.dsn, [table]):
        said = text_of(pages("overview"))

    assert "could not be checked, which is not the same as well" in said or "Stopped after 5 s" in said
    assert "All is well" not in said
    assert "Jobs asked for" in said


def test_a_table_that_stands_still_is_told_in_the_browser_after_the_real_five_seconds(
    browser, dashboard, services, portrait
):
    with (
        held(services.db.dsn, ["studio.audit_events"]),
        visit(browser, f"{dashboard}/activity?live=false", color_scheme="dark") as desk,
    ):
        expect(desk.page.get_by_text("This took too long").first).to_be_visible(timeout=60_000)
        settled(desk.page)
        expect(desk.page.get_by_role("heading", name="Activity")).to_be_visible()
        expect(desk.page.locator(".au-empty")).to_have_count(0)
        desk.page.get_by_role("link", name="Jobs", exact=True).click()
        expect(desk.page.get_by_role("heading", name="Jobs")).to_be_visible(timeout=30_000)
        expect(desk.page.get_by_text("1 job, ")).to_be_visible()

    assert desk.watch.complaints == []
    assert desk.watch.outside == []


def test_once_the_table_is_free_the_page_shows_what_is_there(pages, services, portrait, monkeypatch):
    monkeypatch.setattr("core.db.READER_SECONDS", SHORT)
    with held(services.db.dsn, ["studio.cost_entries"]):
        page = pages("costs")
        assert TOO_LONG.search(text_of(page))

    page.run()

    assert not TOO_LONG.search(text_of(page))


@pytest.mark.parametrize("name", PAGES)
def test_every_page_says_that_the_database_cannot_be_reached_and_never_nothing(
    pages, services, portrait, name
):
    services.db.close()

    said = text_of(pages(name))

    assert "cannot be reached" in said
    assert _EMPTY not in said
    assert not TOO_LONG.search(said)
