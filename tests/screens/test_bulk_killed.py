"""The dashboard is killed in the middle of a bulk action, twice: it is resumed, reported exactly, and touches no row that
was not shown.

500 rows each time; SOAK=1 (make soak) takes 5,000.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

import pytest
from playwright.sync_api import expect

from core import bulk
from core.auth import LOCAL_PERSON
from tests.builders import one, rows
from tests.screens.browser import visit
from tests.screens.dashboard import answers, running, settled

ROWS = 5_000 if os.environ.get("SOAK") == "1" else 500
SIZE = "5,000 rows" if ROWS > 1_000 else "1,000 rows"
GONE = ROWS // 50  # rows that somebody else deals with meanwhile
WHY = "The platform's worker was down that night."
PATIENCE = 900_000  # ms until the whole action is over


def plant(services, count, word):
    """Jobs of the platform that stand still, and of which nothing came; their ids in the order of asking."""
    with services.db.as_service() as conn:
        conn.execute("SET LOCAL session_replication_role = replica")
        found = conn.execute(
            """
            INSERT INTO jobs (user_id, job_type, status, runner, metadata, created_at, started_at)
            SELECT %s, 'character_portrait', 'processing', 'platform', jsonb_build_object('planted', %s::text),
                now() - interval '1 day' + make_interval(secs => n), now() - interval '1 day'
            FROM generate_series(1, %s) n RETURNING id::text, created_at
            """,
            (LOCAL_PERSON.id, word, count),
        ).fetchall()
    return [row[0] for row in sorted(found, key=lambda row: row[1])]


def over(services):
    return one(
        services.db, "SELECT count(*) FROM studio.bulk_items WHERE state IN ('done', 'refused', 'failed')"
    )


def purged(services):
    return [
        row[0]
        for row in rows(services.db, "SELECT row_id FROM studio.audit_events WHERE action = 'job_purged'")
    ]


def kill_when(process, services, number):
    """End the dashboard with SIGKILL once that many rows have their answer; how many had."""
    deadline = time.monotonic() + 600
    while over(services) < number:
        assert time.monotonic() < deadline, "the action did not get on"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    return over(services)


def assert_each_row_once(services, shown, late):
    """Every row that was shown has exactly one answer, and no other row was touched."""
    items = rows(services.db, "SELECT item_id, state, tries, sentence FROM studio.bulk_items ORDER BY place")
    assert [item[0] for item in items] == shown
    assert [item[1] for item in items] == ["done"] * (ROWS - GONE) + ["refused"] * GONE
    assert {item[3] for item in items[-GONE:]} == {
        "It has ended already (cancelled); there is nothing to purge."
    }
    tries = Counter(item[2] for item in items)
    assert tries[1] + tries[2] == ROWS
    assert tries[2] <= 2  # the rows it died at
    assert sorted(purged(services)) == sorted(shown[:-GONE])  # each once
    untouched = rows(services.db, "SELECT status, error_code FROM jobs WHERE id = ANY(%s::uuid[])", (late,))
    assert [tuple(row) for row in untouched] == [("processing", None)] * len(late)
    assert one(
        services.db,
        "SELECT (after ->> 'done')::int, (after ->> 'refused')::int FROM studio.audit_events WHERE action = 'bulk_ended'",
    ) == (ROWS - GONE, GONE)
    assert one(services.db, "SELECT count(*) FROM studio.audit_events WHERE action = 'bulk_resumed'") == 2


@pytest.mark.timeout(1800)
def test_a_bulk_action_killed_in_the_middle_is_resumed_reported_exactly_and_touches_nothing_else(
    browser, services, dsn, tmp_path, eventually
):
    shown = plant(services, ROWS, "shown")

    with running(tmp_path, DATABASE_URL=dsn) as (url, process):
        eventually(lambda: answers(url), seconds=60)
        with visit(browser, f"{url}/stuck?what=stuck&rows={SIZE}&live=false") as desk:
            purge = desk.page.get_by_role("button", name=f"Purge all {ROWS:,} shown")
            expect(purge).to_be_visible(timeout=60_000)
            settled(desk.page)
            purge.click()
            late = plant(services, 25, "appeared while the question stood open")
            dialog = desk.page.get_by_role("dialog")
            dialog.get_by_label("Why?").fill(WHY)
            dialog.get_by_label("Why?").press("Tab")
            dialog.get_by_role("button", name=f"Purge {ROWS:,} jobs").click()
            expect(desk.page.get_by_text(f"of {ROWS:,}, ").first).to_be_visible(timeout=60_000)
        # The tab is closed, and the action goes on.
        at_closing = over(services)
        eventually(lambda: over(services) > at_closing + 5, seconds=60)
        with services.db.as_service() as conn:  # somebody else deals with the last rows
            conn.execute("UPDATE jobs SET status = 'cancelled' WHERE id = ANY(%s::uuid[])", (shown[-GONE:],))
        late += plant(services, 25, "appeared while it ran")
        first = kill_when(process, services, ROWS // 5)

    [left] = bulk.unfinished(LOCAL_PERSON, services)
    assert 0 < first < ROWS
    assert left.over == first
    assert len(purged(services)) in {
        first,
        first + 1,
    }  # the row it died at may be done and have no answer yet

    with running(tmp_path, DATABASE_URL=dsn) as (url, process):
        eventually(lambda: answers(url), seconds=60)
        with visit(browser, f"{url}/stuck?what=stuck&rows={SIZE}&live=false") as desk:
            expect(desk.page.get_by_text("interrupted")).to_be_visible(timeout=60_000)
            desk.page.get_by_role("button", name="Resume").click()
            second = kill_when(process, services, ROWS * 3 // 5)
    assert first < second < ROWS

    with running(tmp_path, DATABASE_URL=dsn) as (url, _):
        eventually(lambda: answers(url), seconds=60)
        with visit(browser, f"{url}/stuck?what=stuck&rows={SIZE}&live=false") as desk:
            expect(desk.page.get_by_text("interrupted")).to_be_visible(timeout=60_000)
            desk.page.get_by_role("button", name="Resume").click()
            said = f"{ROWS:,} of {ROWS:,}, {ROWS - GONE:,} done, {GONE:,} refused"
            expect(desk.page.get_by_text(said).first).to_be_visible(timeout=PATIENCE)
            settled(desk.page)
            expect(desk.page.get_by_role("button", name="Purge all 50 shown")).to_be_visible(timeout=60_000)
        assert desk.watch.complaints == []

    assert_each_row_once(services, shown, late)
