"""The auto-save page: its logic with Streamlit's own test driver, and what QA does there in a real Chromium."""

from dataclasses import replace

import pytest
from playwright.sync_api import expect

from audit.autosave_list import sheet
from audit.tables import as_csv
from core import mending, proof
from core.audit.autosave import ProofFilter
from core.auth import LOCAL_PERSON
from core.errors import StorageFailed
from core.storage import LIBRARY
from core.values import Role
from tests.builders import a_character, a_finished_portrait, one, rows, work
from tests.contracts.test_proof import by_hand, paths
from tests.screens.browser import visit
from tests.screens.dashboard import keys_of, opened, pages_on, pictures_of, settled, text_of

ED = replace(LOCAL_PERSON, roles=frozenset({Role.editor}))
PAT = replace(LOCAL_PERSON, roles=frozenset({Role.product}))


@pytest.fixture
def character(services):
    return a_character(LOCAL_PERSON, services)


@pytest.fixture
def saved(services, character):
    return a_finished_portrait(LOCAL_PERSON, services, character).job.id


@pytest.fixture
def lost(services, character):
    """A portrait whose library file is gone, and a check that knows it."""
    job_id = a_finished_portrait(LOCAL_PERSON, services, character).job.id
    services.storage.delete(LIBRARY, paths(services, job_id)[1])
    proof.run_proof(services, with_objects=True)
    return job_id


def table(page):
    return page.dataframe[0].value


def repairs(services):
    return rows(services.db, "SELECT who, why FROM studio.audit_events WHERE action = 'autosave_repaired'")


# ---- the list and the state


def test_an_empty_database_says_that_nothing_was_checked_and_nothing_is_well(pages):
    page = pages("autosave")

    said = text_of(page)
    assert "No check has ended yet, so nothing is known" in said
    assert "No portrait yet" in said
    assert "saved, and proved" not in said


def test_a_saved_portrait_shows_its_seven_checks_and_is_well(pages, saved):
    line = table(pages("autosave")).iloc[0]

    assert line["Health"] == ["Well"]
    assert [line[str(number)] for number in range(1, 8)] == ["✓"] * 7
    assert line["First broken link"] == ""
    assert line["Character"] == "Juniper Vale"
    assert line["Provider"] == "fal"


def test_without_a_look_at_files_a_portrait_is_not_proven(pages, saved):
    line = table(pages("autosave", files="false")).iloc[0]

    assert line["Health"] == ["Not proven"]
    assert [line[str(number)] for number in (4, 5)] == ["?", "?"]
    assert line["First broken link"] == "Files not looked at"


def test_a_broken_portrait_names_its_first_broken_link_and_since_when(pages, services, lost):
    by_hand(services, "UPDATE studio.proof_results SET broken_since = now() - interval '3 days'")

    line = table(pages("autosave")).iloc[0]

    assert line["Health"] == ["Broken"]
    assert line["4"] == "✕"
    assert (line["First broken link"], line["For"]) == ("4 · Library file missing", "3 days")


def test_the_head_says_how_many_are_broken_and_when_it_was_looked(pages, lost, saved):
    said = text_of(pages("autosave"))

    assert "1 portrait is broken" in said
    assert "✕ 0 of 1" in said
    assert "rows and files last checked" in said.lower()


def test_all_well_is_only_said_after_every_file_was_read(pages, services, saved):
    proof.run_proof(services)
    by_rows = text_of(pages("autosave"))
    proof.run_proof(services, with_objects=True)
    by_files = text_of(pages("autosave"))

    assert "No file was looked at yet, so nothing is proved" in by_rows
    assert "All 1 portraits are saved, and proved" in by_files


class Silent:
    """A store that answers nothing."""

    is_near = True

    def sizes(self, *_args):
        raise StorageFailed("The store does not answer. Try again in a moment.")

    digest = get = sizes


def test_a_silent_store_is_told_and_no_portrait_is_called_well(services, saved):
    silent = replace(services, storage=Silent())
    proof.ask(LOCAL_PERSON, services, with_objects=True)
    run_id = one(services.db, "SELECT id FROM studio.proof_runs")
    with pytest.raises(StorageFailed):
        proof.carry_out(run_id, silent)

    with pages_on(silent) as pages:
        page, single = pages("autosave"), pages("autosave", job=str(saved))

    assert table(page).iloc[0]["Health"] == ["Not proven"]
    assert table(page).iloc[0]["First broken link"] == "The store did not answer"
    assert "It stands still: The store does not answer" in page.get("progress")[0].proto.text
    assert "Not proven" in text_of(single)
    assert text_of(single).count("The store did not answer") >= 2


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ({"character": "junip"}, 1),
        ({"character": "nobody"}, 0),
        ({"reason": "Library file missing"}, 1),
        ({"reason": "No portrait row"}, 0),
        ({"broken": "true"}, 1),
        ({"provider": "fal"}, 1),
        ({"period": "1 hour"}, 1),
    ],
)
def test_the_address_sets_the_filters(pages, lost, address, found):
    page = pages("autosave", **address)

    assert len(page.dataframe) == found
    if not found:
        assert "No portrait fits" in text_of(page)
        page.button(key="lift").click().run()
        assert len(table(page)) == 1


def test_what_people_wrote_never_becomes_part_of_the_page(pages, services, saved):
    with services.db.as_service() as conn:
        conn.execute("UPDATE public.characters SET name = '<img src=x onerror=alert(1)>'")

    said = text_of(pages("autosave", job=str(saved)))

    assert "<img src=x" not in said
    assert "&lt;img src=x" in said


def test_the_list_turns_its_pages(pages, services, character, monkeypatch):
    made = [a_finished_portrait(LOCAL_PERSON, services, character).job.id for _ in range(3)]
    monkeypatch.setattr("audit.autosave_list.PER_PAGE", 2)
    page = pages("autosave")

    page.button(key="older").click().run()
    last = list(table(page)["Job"])
    page.button(key="newer").click().run()

    assert last == [str(made[0])[:8]]
    assert list(table(page)["Job"]) == [str(made[2])[:8], str(made[1])[:8]]


def test_a_database_that_is_gone_and_one_that_is_slow_are_told_from_an_empty_one(
    pages, services, lost, monkeypatch
):
    monkeypatch.setattr("core.db.READER_SECONDS", 0.001)  # the real limit, only shorter
    slow = text_of(pages("autosave"))
    services.db.close()
    gone = text_of(pages("autosave"))

    assert "This took too long" in slow
    assert "The database cannot be reached" in gone
    assert "No portrait yet" not in slow + gone
    assert "saved, and proved" not in slow + gone


def test_the_file_holds_every_answer(services, lost):
    lines = as_csv(sheet(services, LOCAL_PERSON, ProofFilter())).decode("utf-8-sig").splitlines()

    assert lines[0].startswith("job,character,ended,provider,person,health,completed,workspace")
    assert lines[1].startswith(f"{lost},Juniper Vale,")
    assert ",not_proven,PASSED,PASSED,PASSED,OBJECTS_NOT_ASKED," in lines[1]


# ---- reasons and repairs


def test_reasons_stand_with_their_number_and_lead_to_their_portraits(pages, services, lost, saved):
    page = pages("autosave")
    assert "Library file missing" in text_of(page)
    assert f"/autosave?job={lost}" in text_of(page)

    page.button(key="show_object_missing").click().run()

    assert page.selectbox(key="reason").value == "Library file missing"
    assert list(table(page)["Job"]) == [str(lost)[:8]]


def test_all_of_a_kind_are_repaired_after_a_question_with_a_reason(pages, services, character, eventually):
    made = [a_finished_portrait(LOCAL_PERSON, services, character).job.id for _ in range(3)]
    by_hand(services, "UPDATE user_library SET tags = '{}' WHERE job_id = ANY(%s)", made[:2])
    proof.run_proof(services)
    page = pages("autosave")

    page.button(key="mend_wrong_tags").click().run()
    by_hand(services, "UPDATE user_library SET tags = '{}' WHERE job_id = %s", made[2])  # after it was shown
    page.text_area(key="bulk_why").set_value("Tags went missing with the import.")
    page.button(key="bulk_yes").click().run()
    eventually(
        lambda: one(services.db, "SELECT count(*) FROM studio.bulk_actions WHERE ended_at IS NOT NULL") == 1
    )

    tags = dict(rows(services.db, "SELECT job_id, tags FROM user_library"))
    assert all(set(tags[job]) == {"character", "portrait"} for job in made[:2])
    assert tags[made[2]] == []  # it was not among those that were shown
    assert len(repairs(services)) == 2
    report = rows(services.db, "SELECT state, sentence FROM studio.bulk_items ORDER BY place")
    assert report == [("done", "Mended: library row lacks its tags.")] * 2


def test_ticked_portraits_are_repaired_and_no_other(pages, services, character, eventually):
    made = [a_finished_portrait(LOCAL_PERSON, services, character).job.id for _ in range(3)]
    by_hand(services, "UPDATE user_library SET tags = '{}'")
    proof.run_proof(services)
    page = pages("autosave")
    shown = tuple(made[::-1])  # the newest first
    key = f"proofs_{hash(shown) & 0xFFFFFFFF:x}"
    page.session_state[key] = {"selection": {"rows": [0, 2], "columns": [], "cells": []}}
    page.run()

    page.button(key="repair_selected").click().run()
    page.text_area(key="bulk_why").set_value("Looked at each.")
    page.button(key="bulk_yes").click().run()
    eventually(
        lambda: one(services.db, "SELECT count(*) FROM studio.bulk_actions WHERE ended_at IS NOT NULL") == 1
    )

    left = {row[0] for row in rows(services.db, "SELECT job_id FROM user_library WHERE tags = '{}'")}
    assert left == {made[1]}


def test_one_portrait_shows_each_check_with_its_sentence_its_picture_and_its_finding(pages, lost):
    page = pages("autosave", job=str(lost))

    said = text_of(page)
    assert "Broken at 4, library file." in said
    assert "The library file itself is not in the store." in said
    assert said.count('<li data-outcome="passed"') == 6
    assert len(pictures_of(page)) == 1
    assert "/findings?finding=" in said
    assert f"{lost}" in said


def test_a_repair_is_looked_at_again_at_once_and_says_what_it_did(pages, services, lost):
    page = pages("autosave", job=str(lost))

    page.button(key="repair_one").click().run()

    assert page.success[0].value == "Mended: library file missing."
    assert text_of(page).count('<li data-outcome="passed"') == 7
    assert "Last repaired by you" in text_of(page)
    assert repairs(services) == [(LOCAL_PERSON.id, "OBJECT_MISSING")]
    assert one(services.db, "SELECT mended_by FROM studio.findings") == LOCAL_PERSON.id


def test_what_cannot_be_repaired_says_why(pages, services, saved):
    stranger = "00000000-0000-4000-8000-00000000dead"
    by_hand(services, f"UPDATE user_library SET storage_path = '{stranger}/x.png' WHERE job_id = %s", saved)
    page = pages("autosave", job=str(saved))

    page.button(key="repair_one").click().run()

    assert "QA decides" in page.warning[0].value


@pytest.mark.parametrize("person", [ED, PAT])
def test_without_the_role_nothing_can_be_started_or_repaired(services, lost, person):
    with pages_on(services, person) as pages:
        page, single = pages("autosave"), pages("autosave", job=str(lost))

    assert not {"check_start", "mend_object_missing", "repair_selected"} & keys_of(page)
    assert "repair_one" not in keys_of(single)


@pytest.mark.parametrize("named", ["nonsense", "00000000-0000-4000-8000-00000000dead"])
def test_a_link_to_no_portrait_says_so_and_leads_back(pages, named):
    page = pages("autosave", job=named)
    assert "No such portrait" in text_of(page)

    page.button(key="back").click().run()

    assert "No portrait yet" in text_of(page)


def test_qa_says_which_of_two_namesakes_a_portrait_belongs_to(pages, services, character, saved):
    a_character(LOCAL_PERSON, services)  # bears the same name
    by_hand(
        services,
        """
        UPDATE jobs SET character_id = NULL, completed_at = now() - interval '1 hour', stage = NULL,
            metadata = metadata - 'character_id' || '{"character_name": "Juniper Vale"}'
        """,
    )
    for table_name in ("user_library", "character_portraits"):
        by_hand(services, f"DELETE FROM {table_name}")
    by_hand(services, "UPDATE characters SET image_url = NULL, reference_image_url = NULL")
    page = pages("autosave", job=str(saved))

    options = page.radio(key="which_character").options
    page.radio(key="which_character").set_value(next(one for one in options if str(character.id)[:8] in one))
    page.run()
    page.button(key="decide").click().run()
    work(services)
    page.run()

    assert len(options) == 2
    assert one(services.db, "SELECT character_id FROM jobs") == character.id
    assert text_of(page).count('<li data-outcome="passed"') == 7


# ---- a check now, and its history


def test_a_check_is_started_goes_on_without_the_page_and_leaves_its_history(pages, services, lost):
    by_hand(
        services, "UPDATE studio.health_history SET at = at - interval '1 hour'"
    )  # of one second the last is shown
    page = pages("autosave")
    page.radio(key="check_what").set_value("Rows and files")
    page.button(key="check_start").click().run()
    waiting = page.get("progress")[0].proto.text
    del page  # the page is closed

    work(services)  # a worker of another process
    again = pages("autosave")

    assert "0 of 1 looked at" in waiting
    assert "No worker is running: it goes on when one starts" in waiting
    assert again.get("progress") == []
    assert "2 checks in 14 days" in text_of(again)
    assert "0 passed, 1 failed, 0 not checked" in text_of(again)


def test_a_check_half_way_shows_how_far_it_is(pages, services, saved):
    proof.ask(LOCAL_PERSON, services)
    by_hand(
        services, "UPDATE studio.proof_runs SET expected = 200, looked_at = 50, broken = 3, waits = false"
    )

    bar = pages("autosave").get("progress")[0].proto

    assert (bar.value, "50 of 200 looked at, 3 broken" in bar.text) == (25, True)


# ---- two people


def test_of_two_people_on_their_pages_one_repairs_and_both_are_told(services, lost):
    """Each has the page open as it was; the second press finds it mended."""
    rita = replace(
        LOCAL_PERSON, id=type(LOCAL_PERSON.id)("00000000-0000-4000-8000-0000000000aa"), name="Rita"
    )
    with services.db.as_service() as conn:
        conn.execute("INSERT INTO auth.users (id, email) VALUES (%s, 'rita@studio.invalid')", (rita.id,))
    with pages_on(services):
        first = opened("autosave", job=str(lost))
    with pages_on(services, rita):
        second = opened("autosave", job=str(lost))
        second.button(key="repair_one").click().run()
    with pages_on(services):
        first.button(key="repair_one").click().run()

    assert second.success[0].value == "Mended: library file missing."
    assert first.info[0].value == "Already mended by rita@studio.invalid a moment ago: library file missing."
    assert repairs(services) == [(rita.id, "OBJECT_MISSING")]


def test_two_browsers_press_repair_at_once_and_there_is_one_repair(browser, dashboard, services, lost):
    address = f"{dashboard}/autosave?job={lost}"
    with visit(browser, address) as one_desk, visit(browser, address, color_scheme="dark") as other_desk:
        desks = (one_desk, other_desk)
        for desk in desks:
            expect(desk.page.get_by_text("Broken at 4, library file.")).to_be_visible(timeout=30_000)
            settled(desk.page)
        with holding(services, lost):
            for desk in desks:  # both wait for the same portrait
                desk.page.locator(".st-key-repair_one button").click()
            one_desk.page.wait_for_timeout(500)
        for desk in desks:
            expect(desk.page.get_by_test_id("stAlert")).to_be_visible(timeout=30_000)
        said = {desk.page.get_by_test_id("stAlert").inner_text().splitlines()[-1] for desk in desks}

    assert said == {
        "Mended: library file missing.",
        "Already mended by you a moment ago: library file missing.",
    }
    assert len(repairs(services)) == 1


def holding(services, job_id):
    """Somebody else's repair of this portrait is under way while inside."""
    return mending._alone(job_id, services)


# ---- in a browser


def test_qa_repairs_all_of_a_kind_and_sees_each_row_s_report(browser, dashboard, services, character):
    made = [a_finished_portrait(LOCAL_PERSON, services, character).job.id for _ in range(3)]
    by_hand(services, "UPDATE user_library SET tags = '{}'")
    proof.run_proof(services, with_objects=True)

    with visit(browser, f"{dashboard}/autosave?broken=true", viewport={"width": 1440, "height": 900}) as desk:
        page = desk.page
        expect(page.get_by_text("3 portraits are broken")).to_be_visible(timeout=30_000)
        page.get_by_role("button", name="Repair 3").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text("Juniper Vale").first).to_be_visible()
        dialog.get_by_label("Why?").fill("The import dropped them.")
        dialog.get_by_role("button", name="Repair 3 portraits").click()
        expect(page.get_by_text("3 of 3, 3 done")).to_be_visible(timeout=30_000)
        expect(page.get_by_text("what the last check found was repaired since")).to_be_visible(timeout=30_000)
        settled(page)

    assert len(made) == len(repairs(services)) == 3
    assert desk.watch.complaints == []
    assert desk.watch.outside == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1024, 390])
def test_a_click_on_a_row_opens_its_checks_at_every_width(browser, dashboard, lost, scheme, width):
    size = {"viewport": {"width": width, "height": 768}, "color_scheme": scheme}
    with visit(browser, f"{dashboard}/autosave?live=false", **size) as desk:
        page = desk.page
        expect(page.get_by_text("1 portrait is broken")).to_be_visible(timeout=30_000)
        settled(page)
        grid = page.get_by_test_id("stDataFrame")
        grid.scroll_into_view_if_needed()
        box = grid.bounding_box()
        page.mouse.click(box["x"] + 90, box["y"] + 36 + 18)
        expect(page.get_by_text("Broken at 4, library file.")).to_be_visible()
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert f"job={lost}" in page.url

    assert desk.watch.complaints == []
