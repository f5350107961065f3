"""The dashboard's frame: every page is reached, filters are shared and stand in the address, tables become files."""

import io
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pandas as pd
import pytest
from playwright.sync_api import expect

from audit import cards
from audit.navigation import ROOMS
from audit.tables import MOST_IN_FILE, Sheet, as_csv, as_parquet
from core.auth import LOCAL_PERSON
from tests.builders import a_character
from tests.screens.browser import visit
from tests.screens.dashboard import settled, text_of

NAMES = [room.name for members in ROOMS.values() for room in members]


def test_a_deep_link_on_a_fresh_server_has_the_frame_around_it(browser, dashboard):
    with visit(browser, f"{dashboard}/jobs?provider=RunPod&live=false") as desk:
        settled(desk.page)
        expect(desk.page.get_by_role("heading", name="Jobs")).to_be_visible(timeout=30_000)
        expect(desk.page.get_by_role("link", name="Stuck jobs")).to_be_visible()
        expect(desk.page.get_by_role("combobox", name="Provider")).to_have_value("RunPod")
        desk.page.get_by_role("link", name="System").click()
        expect(desk.page.get_by_role("combobox", name="Provider")).to_have_count(0)
        desk.page.get_by_role("link", name="Stuck jobs").click()
        expect(desk.page.get_by_role("combobox", name="Provider")).to_have_value("RunPod", timeout=15_000)

    assert desk.watch.outside == []


def test_a_bookmark_of_the_one_page_dashboard_still_leads_to_its_job(browser, dashboard):
    with visit(browser, f"{dashboard}/?job=00000000-0000-4000-8000-00000000dead&live=false") as desk:
        expect(desk.page.get_by_text("There is no job with this id")).to_be_visible(timeout=30_000)
        assert "/jobs?" in desk.page.url


@pytest.mark.parametrize("name", NAMES)
def test_every_page_opens_on_an_empty_database(pages, name):
    pages(name)


def test_people_are_offered_by_what_they_own(pages, services):
    a_character(LOCAL_PERSON, services)

    assert pages("jobs").selectbox(key="person").options == ["You"]


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("jobs", {"provider": "Gone"}),
        ("jobs", {"model": "Gone"}),
        ("jobs", {"period": "24 hour"}),
        ("jobs", {"status": "Faild"}),
        ("stuck", {"what": "at_riskk"}),
        ("stuck", {"silent": "Gone"}),
        ("autosave", {"reason": "Gone"}),
        ("findings", {"rule": "Gone"}),
        ("library", {"section": "gone"}),
        ("library", {"character": "gone"}),
        ("costs", {"span": "5 days"}),
        ("activity", {"person": "gone"}),
    ],
)
def test_a_filter_that_is_lost_is_said_and_never_means_all(pages, name, address):
    page = pages(name, **address)

    assert "nothing is listed" in text_of(page).lower()
    assert page.get("dataframe") == []
    ways_on = {"what": "lift", "section": "library_known", "character": "library_known"}
    page.button(key=ways_on.get(next(iter(address)), "lost_on")).click().run()
    assert "nothing is listed" not in text_of(page).lower()


SHEET = Sheet(
    name="things",
    columns=("id", "at", "cost", "note"),
    rows=lambda: [
        (UUID(int=7), datetime(2026, 11, 20, 12, tzinfo=UTC), Decimal("0.030000"), "=SUM(A1)"),
        (UUID(int=8), None, None, "plain"),
    ],
)


def test_a_csv_never_holds_what_a_spreadsheet_would_run():
    lines = as_csv(SHEET).decode("utf-8-sig").splitlines()

    assert lines[0] == "id,at,cost,note"
    assert lines[1].endswith(",2026-11-20T12:00:00.000+00:00,0.030000,'=SUM(A1)")
    assert lines[2].endswith("8,,,plain")


def test_a_parquet_keeps_amounts_exact_times_in_utc_and_text_as_it_was():
    frame = pd.read_parquet(io.BytesIO(as_parquet(SHEET)))

    assert frame["cost"][0] == Decimal("0.030000")
    assert frame["at"][0] == pd.Timestamp("2026-11-20T12:00:00Z")
    assert frame["note"][0] == "=SUM(A1)"
    assert pd.isna(frame["cost"][1])


def test_a_file_ends_at_its_bound():
    endless = Sheet(name="n", columns=("n",), rows=lambda: ((n,) for n in range(10 * MOST_IN_FILE)))

    assert len(as_csv(endless).splitlines()) == MOST_IN_FILE + 1


def test_a_sparkline_leaves_a_gap_where_nothing_was_measured():
    assert cards.sparkline([1, 2, None, 4, 5]).count("polyline") == 2
    assert cards.sparkline([None, 3, None]) == ""
