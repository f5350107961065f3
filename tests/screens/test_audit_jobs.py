"""The dashboard's jobs page: its logic with Streamlit's own test driver, its look and clicks in a real Chromium."""

from __future__ import annotations

import html
import re
import signal
import tomllib
from dataclasses import replace
from decimal import Decimal
from functools import partial

import pytest
from playwright.sync_api import expect

from audit import job_story, look
from audit.job_list import _fit, _pixels, sheet
from audit.tables import as_csv
from core import generation
from core.audit import jobs
from core.audit.jobs import JobFilter
from core.auth import LOCAL_PERSON
from core.db.embedded import EmbeddedPostgres
from core.values import Role
from tests.builders import a_character, a_finished_portrait, a_person, a_waiting_job, one, rows, work
from tests.screens.browser import visit
from tests.screens.dashboard import ROOT, answers, opened, pages_on, pictures_of, running, settled, text_of
from tests.sharing import share


@pytest.fixture
def audit(pages):
    """The jobs page on this test's services."""
    return partial(opened, "jobs")


@pytest.fixture
def failed(services, fal):
    """A job that fal refused, and its character."""
    fal.fault("outcome", "content_policy")
    return ended(services)


def ended(services):
    model = next(
        each.model.id
        for each in generation.models_for(LOCAL_PERSON, services)
        if each.model.model_key == "fal-ai/flux/dev"
    )
    asked = a_waiting_job(LOCAL_PERSON, services, a_character(LOCAL_PERSON, services), model_id=model)
    work(services)
    return asked.job_id


@pytest.fixture
def unknown(services, fal):
    fal.fault("submit", "reset_after")
    return ended(services)


def test_an_empty_database_says_so_and_how_the_first_job_comes(audit):
    page = audit()

    assert "No job yet" in text_of(page)
    assert len(page.dataframe) == 0
    assert "cannot be reached" not in text_of(page)


def test_filters_that_find_nothing_say_so_and_can_be_lifted(audit, failed):
    page = audit(q="nosuchcode", period="24 hours")
    assert "No job fits" in text_of(page)

    page.button(key="lift").click().run()

    assert page.text_input(key="q").value == ""
    assert page.selectbox(key="period").value == "All time"
    assert len(page.dataframe[0].value) == 1


def test_the_address_sets_the_filters(audit, failed, unknown):
    page = audit(status="Failed", provider="fal", period="7 days")

    assert page.session_state["status"] == ["Failed"]
    assert page.selectbox(key="provider").value == "fal"
    assert list(page.dataframe[0].value["Job"]) == [str(failed)[:8]]


def test_a_quiet_period_is_told_from_an_empty_database(audit, failed, services):
    with services.db.as_service() as conn:
        conn.execute("UPDATE public.jobs SET created_at = now() - interval '3 days'")
    page = audit(period="1 hour")
    assert "No job was asked for within 1 hour" in text_of(page)

    page.button(key="all_time").click().run()

    assert len(page.dataframe[0].value) == 1


def test_unknown_outcomes_stand_above_everything_whatever_is_filtered(audit, unknown):
    page = audit(status="Cancelled", period="1 hour")
    assert "1 job has an unknown outcome" in text_of(page)
    assert len(page.dataframe) == 0

    page.button(key="show_unknown").click().run()

    assert list(page.dataframe[0].value["Job"]) == [str(unknown)[:8]]


def test_a_deep_link_opens_one_job_s_story(audit, failed, services):
    page = audit(job=str(failed))

    said = text_of(page)
    assert "Asked for" in said
    assert "Receipt stored" in said
    assert "CONTENT_REFUSED" in said
    assert "fal-ai/flux/dev" in said
    assert page.text[0].value == one(services.db, "SELECT original_prompt FROM public.jobs")
    kinds = [kind for frame in page.dataframe for kind in frame.value.get("Kind", [])]
    assert kinds[0] == "Estimated at the click"
    assert page.button(key="do_retry")


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("nonsense", "is not the id of a job"),
        ("00000000-0000-4000-8000-00000000dead", "There is no job with this id"),
    ],
)
def test_a_link_to_no_job_says_so_and_leads_back(audit, named, said):
    page = audit(job=named)
    assert said in text_of(page)

    page.button(key="back").click().run()

    assert "No job yet" in text_of(page)


def test_trying_again_asks_first_and_then_shows_the_new_job(audit, failed, services):
    page = audit(job=str(failed))

    page.button(key="do_retry").click().run()
    assert len(rows(services.db, "SELECT id FROM public.jobs")) == 1
    page.button(key="dialog_yes").click().run()

    again = one(services.db, "SELECT id FROM public.jobs WHERE retried_from = %s", (failed,))
    assert page.query_params["job"] == str(again)
    assert [toast.value for toast in page.toast] == ["Asked for again: this is the new job."]


def test_leaving_the_question_asks_for_nothing(audit, failed, services):
    page = audit(job=str(failed))
    page.button(key="do_retry").click().run()

    page.button(key="dialog_no").click().run()

    assert len(rows(services.db, "SELECT id FROM public.jobs")) == 1
    assert "dialog_yes" not in [button.key for button in page.button]


def test_cancelling_a_waiting_job_pays_nothing(audit, services):
    asked = a_waiting_job(LOCAL_PERSON, services, a_character(LOCAL_PERSON, services))
    page = audit(job=str(asked.job_id))
    assert "No worker is running" in text_of(page)

    page.button(key="do_cancel").click().run()
    page.button(key="dialog_yes").click().run()

    assert one(services.db, "SELECT status FROM public.jobs") == "cancelled"
    assert "do_cancel" not in [button.key for button in page.button]


@pytest.mark.parametrize(
    ("answer", "cost"),
    [
        ("Yes, it was billed", "estimated"),
        ("No, it was not billed", "0"),
        ("It could not be found out", None),
    ],
)
def test_a_person_settles_an_unknown_outcome_with_an_answer_and_a_reason(
    audit, unknown, services, answer, cost
):
    page = audit(job=str(unknown))
    assert "Look at fal for a request of" in text_of(page)

    page.button(key="do_settle").click().run()
    page.radio(key="settle_billed").set_value(answer)
    page.text_area(key="settle_why").set_value("Looked through the list of charges.")
    page.button(key="dialog_yes").click().run()

    assert page.toast[0].value == "The outcome is settled. The job can be tried again."
    assert one(services.db, "SELECT error_code FROM public.jobs") == "GIVEN_UP"
    written = "SELECT amount_usd FROM studio.cost_entries WHERE kind = %s"
    expected = one(services.db, written, ("estimated",)) if cost == "estimated" else cost and Decimal(cost)
    assert one(services.db, written, ("computed",)) == expected
    told = one(services.db, "SELECT why FROM studio.audit_events WHERE action = 'unknown_settled'")
    assert told == "Looked through the list of charges."
    assert {"do_settle", "do_retry"} & {button.key for button in page.button} == {"do_retry"}
    assert "written by a person" in text_of(page)


@pytest.mark.parametrize(
    ("answer", "why", "said"),
    [
        (None, "Looked.", "Say whether it was billed."),
        ("No, it was not billed", "  ", "Say in a few words what you found"),
    ],
)
def test_an_unknown_outcome_is_not_settled_with_a_question_left_open(
    audit, unknown, services, answer, why, said
):
    page = audit(job=str(unknown))
    page.button(key="do_settle").click().run()
    page.radio(key="settle_billed").set_value(answer)
    page.text_area(key="settle_why").set_value(why)

    page.button(key="dialog_yes").click().run()

    assert said in text_of(page)
    assert one(services.db, "SELECT stage FROM public.jobs") == "outcome_unknown"


def test_an_editor_is_not_offered_to_settle_an_unknown_outcome(audit, unknown, services):
    editor = replace(LOCAL_PERSON, roles=frozenset({Role.editor}))

    with pages_on(services, editor):
        page = audit(job=str(unknown))

    assert "It is not sent again" in text_of(page)
    assert "do_settle" not in [button.key for button in page.button]


def test_a_changed_filter_leaves_the_story_for_the_list(audit, failed, unknown):
    page = audit(job=str(failed))

    page.pills(key="status").set_value(["Outcome unknown"]).run()

    assert "job" not in page.query_params
    assert list(page.dataframe[0].value["Job"]) == [str(unknown)[:8]]


def test_a_count_is_the_way_to_its_jobs_and_back_to_all(audit, failed, unknown):
    page = audit(period="7 days")

    page.button(key="count_failed").click().run()
    assert list(page.dataframe[0].value["Job"]) == [str(failed)[:8]]
    assert page.selectbox(key="period").value == "7 days"
    page.button(key="count_failed").click().run()

    assert len(page.dataframe[0].value) == 2


@pytest.mark.parametrize("typed", ["REFUSED", "refused", "content refu"])
def test_a_part_of_an_error_code_finds_its_jobs_in_any_case(audit, failed, unknown, typed):
    page = audit(q=typed)

    assert list(page.dataframe[0].value["Job"]) == [str(failed)[:8]]


def test_a_failed_job_says_its_reason_and_its_code_once(audit, failed, services):
    page = audit(job=str(failed))

    said = text_of(page)
    reason = one(services.db, "SELECT error_message FROM public.jobs")
    assert said.count("CONTENT_REFUSED") == 1
    assert html.unescape(said).count(reason[1:]) == 1
    assert page.error[0].value == reason[:1].upper() + reason[1:]


def test_only_a_count_that_hit_its_bound_names_it(audit, failed, unknown, monkeypatch):
    assert "counted to" not in text_of(audit())
    monkeypatch.setattr(jobs.counts, "__kwdefaults__", {"most": 0})  # the real bound, only smaller

    assert "counted to 10,000 a status" in text_of(audit())


@pytest.mark.parametrize(
    "text",
    ["Juniper", "WWWWWWWWWWWWWWWWWWWW", "illicit little lilies, all of them in full bloom", "ÄÖÜ" * 20],
)
def test_a_long_text_ends_in_an_ellipsis_within_its_column(text):
    shown = _fit(text, 130)

    assert sum(map(_pixels, shown)) <= 130 - 16
    assert shown == text or (shown.endswith("…") and text.startswith(shown[:-1]))
    assert (shown == text) == (sum(map(_pixels, text)) <= 130 - 16)


def test_an_unknown_outcome_offers_neither_a_second_payment_nor_a_cancel(audit, unknown):
    page = audit(job=str(unknown))

    assert "It is not sent again" in text_of(page)
    assert {"do_retry", "do_cancel"}.isdisjoint(button.key for button in page.button)


def test_a_job_s_requests_and_amounts_come_as_files(audit, failed, services):
    story = jobs_of(services, failed)
    requests, amounts = job_story._requests_sheet(story.sent), job_story._ledger_sheet(story.costs)

    offered = {button.proto.id.rsplit("-", 1)[-1] for button in audit(job=str(failed)).get("download_button")}
    assert {"requests_csv", "requests_parquet", "costs_csv", "costs_parquet"} <= offered
    assert as_csv(requests).decode("utf-8-sig").splitlines()[1].startswith("1,fal,fal-ai/flux/dev,")
    assert ",estimated," not in as_csv(requests).decode()
    assert "1,estimated," in as_csv(amounts).decode("utf-8-sig")


def jobs_of(services, job_id):
    with services.db.as_reader(LOCAL_PERSON) as conn:
        return jobs.story(conn, job_id)


def test_what_people_wrote_never_becomes_part_of_the_page(audit, services):
    character = a_character(LOCAL_PERSON, services, name="<img src=x onerror=alert(1)>")
    asked = a_waiting_job(LOCAL_PERSON, services, character)

    page = audit(job=str(asked.job_id))

    assert "<img" not in text_of(page)
    assert "&lt;img src=x" in text_of(page)


def test_a_database_that_is_gone_is_told_from_an_empty_one(audit, services):
    services.db.close()

    page = audit()

    assert "The database cannot be reached" in text_of(page)
    assert "No job" not in text_of(page)


def test_a_question_that_took_too_long_is_told_from_an_empty_answer(audit, failed, services, monkeypatch):
    monkeypatch.setattr("core.db.READER_SECONDS", 0.001)  # the real limit, only shorter

    page = audit()

    assert "This took too long" in text_of(page)
    assert "No job" not in text_of(page)


def test_a_picture_of_a_foreign_folder_is_not_shown(audit, services):
    portrait = a_finished_portrait(LOCAL_PERSON, services, a_character(LOCAL_PERSON, services))
    page = audit(job=str(portrait.job.id))
    assert len(pictures_of(page)) == 1
    with services.db.as_service() as conn:
        conn.execute(
            """
            UPDATE public.user_library SET storage_path = %(foreign)s || storage_path, thumbnail_path = NULL;
            """.replace("%(foreign)s", "'11111111-0000-4000-8000-000000000001/'")
        )
        conn.execute("DELETE FROM public.workspace_assets")

    page.run()

    assert len(pictures_of(page)) == 0
    assert "somebody else" in text_of(page)
    [[who, row]] = rows(
        services.db, "SELECT who, row_id FROM studio.audit_events WHERE action LIKE 'foreign%'"
    )
    assert (who, row[:49]) == (LOCAL_PERSON.id, "user-library/11111111-0000-4000-8000-000000000001")


def test_the_file_holds_every_job_and_nothing_a_spreadsheet_would_run(services, failed):
    with services.db.as_service() as conn:
        conn.execute("UPDATE public.characters SET name = '=1+1'")

    lines = as_csv(sheet(services, LOCAL_PERSON, JobFilter())).decode("utf-8-sig").splitlines()

    assert lines[0].startswith("job,status,")
    assert len(lines) == 2
    assert lines[1].startswith(f"{failed},failed,")
    assert ",'=1+1," in lines[1]
    assert ",CONTENT_REFUSED," in lines[1]


def test_the_dashboard_wears_the_studio_s_colours():
    theme = tomllib.loads((ROOT / ".streamlit/config.toml").read_text())["theme"]
    tokens = look.tokens()

    for name, place in (("light", 0), ("dark", 1)):
        worn = theme[name]
        assert worn["primaryColor"] == tokens["--ps-accent"][place]
        assert worn["backgroundColor"] == tokens["--ps-surface"][place]
        assert worn["textColor"] == tokens["--ps-text"][place]
        assert worn["borderColor"] == tokens["--ps-line"][place]
        assert worn["redTextColor"] == tokens["--ps-bad"][place]
        assert worn["yellowBackgroundColor"] == tokens["--ps-warn-tint"][place]
        assert worn["sidebar"]["backgroundColor"] == (tokens["--ps-page"][place])


def test_a_click_on_a_row_opens_its_story_and_the_way_back_keeps_the_filters(
    browser, dashboard, services, failed
):
    portrait = a_finished_portrait(LOCAL_PERSON, services, a_character(LOCAL_PERSON, services))

    with visit(browser, f"{dashboard}/jobs?status=Completed&live=false") as desk:
        page = desk.page
        expect(page.get_by_role("heading", name="Jobs")).to_be_visible(timeout=30_000)
        settled(page)
        expect(page.get_by_test_id("glide-cell-8-0")).to_have_text(str(portrait.job.id)[:8])
        box = page.get_by_test_id("stDataFrame").bounding_box()
        page.mouse.click(box["x"] + 180, box["y"] + 36 + 20)
        expect(page.get_by_role("heading", name="Juniper Vale")).to_be_visible()
        expect(page.get_by_text("In the library, as a portrait.")).to_be_visible()
        picture = page.get_by_test_id("stImage").locator("img")
        expect(picture).to_be_visible()
        assert picture.evaluate("image => image.naturalWidth") > 100
        assert f"job={portrait.job.id}" in page.url
        page.get_by_role("button", name="All jobs").click()
        expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
        assert page.url.endswith("/jobs?status=Completed&live=false")

    assert desk.watch.complaints == []
    assert desk.watch.outside == []


def test_an_unknown_outcome_is_settled_in_one_go_and_a_filter_leads_back(
    browser, dashboard, services, unknown
):
    with visit(browser, f"{dashboard}/jobs?job={unknown}&live=false", color_scheme="dark") as desk:
        page = desk.page
        page.get_by_role("button", name="Settle").click(timeout=30_000)
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text("fal", exact=True)).to_be_visible()
        dialog.get_by_text("No, it was not billed").click()
        dialog.get_by_label("What did you find?").fill("No request at that time.")
        dialog.get_by_role("button", name="Settle").click()
        expect(page.get_by_text("The outcome is settled.")).to_be_visible()
        page.locator(".st-key-status").get_by_role("button", name="Failed").click()
        expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
        chosen = page.locator(".st-key-status button[aria-pressed=true]")
        colours = chosen.evaluate(
            "pill => [getComputedStyle(pill.querySelector('p')).color, getComputedStyle(pill).backgroundColor]"
        )
        page.locator(".st-key-count_failed button").press("Enter")
        expect(chosen).to_have_count(0)

    assert one(services.db, "SELECT error_code FROM public.jobs") == "GIVEN_UP"
    assert contrast(colours[0], over(colours[1], look.tokens()["--ps-page"][1])) >= 4.5
    assert desk.watch.complaints == []


def over(colour, ground):
    """A colour as it looks on a ground that shines through it."""
    *upper, share = [float(part) for part in re.findall(r"[\d.]+", colour)]
    lower = [int(ground[at : at + 2], 16) for at in (1, 3, 5)]
    mixed = [top * share + below * (1 - share) for top, below in zip(upper, lower, strict=True)]
    return "rgb({}, {}, {})".format(*mixed)


def contrast(one_colour, other):
    """As WCAG 2 reckons it."""

    def light(colour):
        parts = [float(part) / 255 for part in re.findall(r"[\d.]+", colour)]
        red, green, blue = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        ]
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted((light(one_colour), light(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_the_counts_without_scrolling_sideways(browser, dashboard, failed, scheme):
    phone = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}

    with visit(browser, f"{dashboard}/jobs", **phone) as desk:
        expect(desk.page.locator(".st-key-counts").get_by_text("Outcome unknown")).to_be_visible(
            timeout=30_000
        )
        settled(desk.page)

        assert desk.page.evaluate("document.documentElement.scrollWidth") <= 390
        worn = desk.page.locator(".stApp").evaluate("app => getComputedStyle(app).backgroundColor")
        assert worn == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 22, 27)"}[scheme]


def test_the_embedded_database_is_left_properly_when_the_dashboard_ends(browser, tmp_path, eventually):
    with running(tmp_path) as (url, process):
        eventually(lambda: answers(url), seconds=30)
        with visit(browser, f"{url}/jobs") as desk:
            expect(desk.page.get_by_text("No job yet")).to_be_visible(timeout=60_000)

        process.send_signal(signal.SIGTERM)
        process.wait(30)

    assert not (tmp_path / "postgres" / "postmaster.pid").exists()
    EmbeddedPostgres.start(tmp_path).stop()


def test_it_refuses_to_listen_beyond_this_machine(browser, dsn, tmp_path, eventually):
    with running(tmp_path, "--server.address", "0.0.0.0", DATABASE_URL=dsn) as (url, _):  # noqa: S104
        eventually(lambda: answers(url), seconds=30)
        with visit(browser, url) as desk:
            expect(desk.page.get_by_text("it only listens on this machine")).to_be_visible(timeout=30_000)
            expect(desk.page.get_by_role("heading", name="Jobs")).to_have_count(0)


def test_a_colleague_who_may_look_at_a_character_is_offered_nothing_of_its_jobs(services):
    ana, ben = (a_person(services.db, name, Role.editor) for name in ("ana", "ben"))
    character = a_character(ana, services)
    failed, waiting = (a_waiting_job(ana, services, character).job_id for _ in range(2))
    with services.db.as_service() as conn:
        conn.execute("UPDATE jobs SET status = 'failed' WHERE id = %s", (failed,))
    share(character, ana, ben, services)

    def offered(person):
        with pages_on(services, person) as pages:
            found = [pages("jobs", job=str(job)) for job in (failed, waiting)]
        return [[one.key for one in page.button if one.key.startswith("do_")] for page in found]

    assert offered(ana) == [["do_retry", "do_another"], ["do_cancel"]]
    assert offered(ben) == [[], []]
