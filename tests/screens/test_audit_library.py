"""The dashboard's library page: its logic with Streamlit's own test driver, its stories in a real Chromium."""

from __future__ import annotations

import io
from dataclasses import replace
from uuid import uuid4

import pandas as pd
import pytest
from playwright.sync_api import expect

from audit import library_coverage, library_finds
from audit.library import SECTIONS
from audit.tables import as_csv, as_parquet
from core import bulk, stock
from core.audit import library
from core.auth import LOCAL_PERSON
from core.stock import Kind
from core.storage import LIBRARY, WORKSPACE
from core.values import Role
from tests import builders
from tests.contracts.stock_table import (
    OWN_HOST,
    a_library_row,
    a_picture,
    by_hand,
    rows_of,
    settle,
    stray,
)
from tests.screens.browser import visit
from tests.screens.dashboard import keys_of, pages_on, pictures_of, settled, text_of


@pytest.fixture
def character(services):
    return builders.a_character(LOCAL_PERSON, services)


@pytest.fixture
def saved(services, character):
    job_id = builders.a_finished_portrait(LOCAL_PERSON, services, character).job.id
    settle(services)
    return job_id


@pytest.fixture
def planted(services, character, saved):
    """A library with one of everything, scanned: what is missing and the way to it by section."""
    other = builders.a_finished_portrait(LOCAL_PERSON, services, character, own_words="at the window").job.id
    settle(services)
    with services.db.as_service() as conn:
        conn.execute("INSERT INTO studio.settings (key, value) VALUES ('own_hosts', %s)", (OWN_HOST,))
    me = LOCAL_PERSON.id
    picture, thumbnail, _ = rows_of(services, saved)
    services.storage.delete(LIBRARY, picture)
    services.storage.delete(LIBRARY, rows_of(services, other)[1])
    stray(services, me, name="loose.png", data=a_picture(21))
    for number, name in enumerate(("a", "b")):
        a_library_row(
            services,
            me,
            character.id,
            data=a_picture(1),
            name=f"{me}/portraits/{name}.png",
            prompt=str(number),
        )
    a_library_row(services, me, uuid4(), data=b"<html>expired</html>", name=f"{me}/portraits/page.png")
    wrong = a_library_row(services, me, uuid4(), data=a_picture(7), name=f"{me}/portraits/wrong.png")
    by_hand(services, "UPDATE public.user_library SET file_size_bytes = 17 WHERE storage_path = %s", wrong)
    by_hand(
        services,
        "UPDATE public.characters SET preview_image_url = 'https://replicate.delivery/xezq/out-0.webp', updated_at = now() - interval '3 hours'",
    )
    stock.scan(services)
    return {"missing": picture, "thumbnail": thumbnail, "wrong": wrong}


def kinds_on(page):
    return [cell[0] for cell in page.dataframe[0].value["Kind"]]


# ---- what the page says


def test_a_library_that_was_never_scanned_says_so_and_offers_a_scan(pages):
    page = pages("library")

    assert "Never scanned." in text_of(page)
    assert "No character yet" in text_of(page)
    assert not page.button(key="library_scan_now").disabled


def test_a_scan_that_is_asked_for_waits_for_a_worker_and_says_so(pages, services):
    page = pages("library")

    page.button(key="library_scan_now").click().run()

    assert "A scan is asked for." in text_of(page)
    assert "No worker is running." in text_of(page)
    assert page.button(key="library_scan_now").disabled
    assert stock.scan_if_asked(services).asked_by == LOCAL_PERSON.id


def test_a_library_that_fits_says_so_in_every_section(pages, services, saved):
    stock.scan(services)

    for name in SECTIONS:
        page = pages("library", section=name)
        assert "The last scan found nothing of this kind" in text_of(page)
        assert "Scanned " in text_of(page)


def test_a_section_before_the_first_scan_is_not_said_to_be_empty(pages, saved):
    page = pages("library", section="missing")

    assert "Not scanned yet" in text_of(page)
    assert "found nothing" not in text_of(page)


def test_each_character_has_its_portraits_saved_and_missing(pages, planted):
    page = pages("library")

    [row] = page.dataframe[0].value.to_dict("records")
    assert (row["Portraits"], row["Saved"], row["Missing"]) == ("2 of 2", 1.0, "1")


def test_a_click_on_a_character_shows_all_that_was_found_of_it(pages, planted, character):
    page = pages("library", character=str(character.id))

    assert {"Object missing", "No thumbnail", "Same bytes", "External link"} <= set(kinds_on(page))
    page.button(key="library_back").click().run()
    assert "character" not in page.query_params


@pytest.mark.parametrize(
    ("section", "kinds", "said"),
    [
        ("missing", ["Object missing"], "The store has no such object"),
        ("strays", ["No row"], "no row; no job known"),
        ("differs", ["Size differs"], "its row says 17"),
        ("thumbnails", ["No thumbnail"], ""),
        ("broken", ["Broken"], "Cannot be read as a picture"),
        ("links", ["External link"], "replicate.delivery: dead for"),
    ],
)
def test_each_section_lists_what_was_found_and_what_is_wrong(pages, planted, section, kinds, said):
    page = pages("library", section=section)

    assert kinds_on(page) == kinds
    assert said in page.dataframe[0].value["What"][0]
    assert "do_accept_library" in keys_of(page)


def test_counts_lead_to_their_sections_and_back(pages, planted):
    page = pages("library")
    assert page.button(key="library_missing").label == ":red[**1**] Missing objects"

    page.button(key="library_missing").click().run()
    assert page.query_params["section"] == "missing"
    page.button(key="library_coverage").click().run()

    assert "Find a character" in [one.label for one in page.text_input]


def test_two_alike_stand_side_by_side_and_only_a_person_decides(pages, planted):
    page = pages("library", section="twice")

    assert len(pictures_of(page)) == 2
    assert "kB each" in text_of(page)
    assert "One character" in text_of(page)
    assert "do_repair_library" not in keys_of(page)
    assert len([key for key in keys_of(page) if key.startswith("pair_")]) == 2


def test_links_say_how_many_are_dead(pages, planted):
    assert "1 is dead already." in text_of(pages("library", section="links"))


def test_a_kind_that_only_a_person_can_decide_offers_no_repair(pages, planted):
    assert "do_repair_library" not in keys_of(pages("library", section="strays"))
    assert "do_repair_library" in keys_of(pages("library", section="thumbnails"))


def test_one_ticked_finding_shows_its_picture_and_all_that_is_known(pages, planted, services):
    page = pages("library", section="strays")
    with services.db.as_service() as conn:
        ids = tuple(one.id for one in library.page(conn, [Kind.object_without_row]).rows)
    key = f"library_strays_{hash(ids) & 0xFFFFFFFF:x}"

    page.session_state[key] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    page.run()

    assert len(pictures_of(page)) == 1
    assert "loose.png" in text_of(page)
    assert "Its name tells no job" in text_of(page)
    assert "the ticked one" in page.button(key="do_bin_library").label


def test_many_findings_are_turned_and_each_is_met_once(pages, services, saved):
    for number in range(60):
        stray(services, LOCAL_PERSON.id, name=f"{number}.png")
    stock.scan(services)
    page = pages("library", section="strays")
    first = set(page.dataframe[0].value["Object"])

    page.button(key="older").click().run()

    second = set(page.dataframe[0].value["Object"])
    assert (len(first), len(second)) == (50, 10)
    assert first.isdisjoint(second)
    assert page.button(key="older").disabled


def test_a_question_that_takes_too_long_is_told_from_nothing_found(pages, planted, monkeypatch):
    monkeypatch.setattr("core.db.READER_SECONDS", 0.05)
    page_of = library.page

    def slow(conn, kinds, **values):
        conn.execute("SELECT pg_sleep(1)")
        return page_of(conn, kinds, **values)

    monkeypatch.setattr(library, "page", slow)

    said = text_of(pages("library", section="missing"))

    assert "This took too long" in said
    assert "found nothing" not in said


def test_a_failed_question_is_told_from_nothing_found(pages, planted, services):
    with services.db.as_service() as conn:
        conn.execute("ALTER TABLE studio.stock_marks RENAME TO stock_marks_away")

    said = text_of(pages("library", section="missing"))

    assert "python -m core migrate" in said
    assert "found nothing" not in said


@pytest.mark.parametrize(
    ("roles", "reads", "repairs"),
    [((Role.editor,), False, False), ((Role.product,), True, False), ((Role.qa,), True, True)],
)
def test_who_may_read_and_who_may_repair(services, planted, roles, reads, repairs):
    somebody = replace(LOCAL_PERSON, roles=frozenset(roles))

    with pages_on(services, somebody) as opened:
        page = opened("library", section="thumbnails")

    assert (len(page.dataframe) == 1) is reads
    assert ("do_repair_library" in keys_of(page)) is repairs
    assert ("library_scan_now" in keys_of(page)) is repairs
    assert ("work needs the qa, product or admin role" in text_of(page)) is not reads


def test_a_bulk_repair_freezes_what_was_shown_and_reports_each_row(services, planted):
    with services.db.as_reader(LOCAL_PERSON) as conn:
        shown = library.page(conn, list(Kind)).rows
    ids = [str(one.id) for one in shown]

    action = bulk.begin("repair_library", ids, LOCAL_PERSON, services, why="Seen by QA.")
    ended = bulk.run(action, LOCAL_PERSON, services)
    report = bulk.report(action, LOCAL_PERSON, services)

    assert ended.ended_at is not None
    states = {one.item_id: one.state for one in report.rows}
    by_kind = {one.kind: states[str(one.id)] for one in shown}
    assert (
        by_kind[Kind.object_missing]
        == by_kind[Kind.thumbnail_missing]
        == by_kind[Kind.size_differs]
        == "done"
    )
    assert by_kind[Kind.object_without_row] == by_kind[Kind.same_bytes] == by_kind[Kind.corrupt] == "refused"
    settle(services)
    stock.scan(services)
    with services.db.as_service() as conn:
        left = {one.kind for one in library.counts(conn)}
    assert left == {"object_without_row", "same_bytes", "corrupt", "external_link"}


def test_every_table_is_a_file(services, planted):
    finds = library_finds.sheet(services, LOCAL_PERSON, "all", tuple(Kind), None)
    characters = library_coverage.sheet(services, LOCAL_PERSON, "")

    lines = as_csv(finds).decode("utf-8-sig").splitlines()
    frame = pd.read_parquet(io.BytesIO(as_parquet(characters)))

    assert len(lines) == 1 + 7
    assert "xezq" not in "\n".join(lines)
    assert list(frame["missing"]) == [1]


# ---- stories in a browser


def test_qa_repairs_a_missing_thumbnail_from_a_deep_link_to_the_report(browser, dashboard, services, planted):
    with visit(browser, f"{dashboard}/library?section=thumbnails") as desk:
        page = desk.page
        page.get_by_role("button", name="Repair: the one shown").click(timeout=30_000)
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text("Juniper Vale")).to_be_visible()
        dialog.get_by_label("Why?").fill("Its tile is empty in the studio.")
        dialog.get_by_role("button", name="Repair 1 finding").click()
        expect(page.get_by_text("1 of 1, 1 done, 0 refused.")).to_be_visible(timeout=30_000)
        expect(page.get_by_text("The last scan found nothing of this kind")).to_be_visible(timeout=30_000)

    mended = builders.rows(services.db, "SELECT why FROM studio.audit_events WHERE action = 'library_mended'")
    assert mended == [("Its tile is empty in the studio.",)]
    assert desk.watch.complaints == []
    assert desk.watch.outside == []


def test_qa_compares_two_alike_and_puts_the_later_one_in_the_bin(browser, dashboard, services, planted):
    with visit(
        browser, f"{dashboard}/library", color_scheme="dark", viewport={"width": 1024, "height": 768}
    ) as desk:
        page = desk.page
        settled(page)
        page.locator(".st-key-library_twice").get_by_role("button").click(timeout=30_000)
        pictures = page.get_by_test_id("stImage").locator("img")
        expect(pictures).to_have_count(2, timeout=30_000)
        settled(page)
        assert all(one.evaluate("image => image.naturalWidth") > 100 for one in pictures.all())
        page.get_by_role("button", name="Later one to the bin").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Why?").fill("Uploaded twice.")
        dialog.get_by_role("button", name="Put in the bin 1 picture").click()
        expect(page.get_by_text("The last scan found nothing of this kind")).to_be_visible(timeout=30_000)
        assert "section=twice" in page.url

    binned = builders.rows(
        services.db, "SELECT storage_path FROM public.user_library WHERE deleted_at IS NOT NULL"
    )
    assert binned == [(f"{LOCAL_PERSON.id}/portraits/b.png",)]
    assert services.storage.info(LIBRARY, binned[0][0]) is not None
    assert desk.watch.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("section", ["", "strays", "twice", "links"])
def test_a_phone_shows_the_library_without_scrolling_sideways(browser, dashboard, planted, scheme, section):
    phone = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}

    with visit(browser, f"{dashboard}/library?section={section}", **phone) as desk:
        expect(desk.page.get_by_role("heading", name="Library", exact=True)).to_be_visible(timeout=30_000)
        settled(desk.page)

        assert desk.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert WORKSPACE
