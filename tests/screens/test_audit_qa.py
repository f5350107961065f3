"""The dashboard's page of QA samples: drawn, judged blind and read, by Streamlit's test driver and in a real Chromium."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from playwright.sync_api import expect

from audit.qa_result import in_words
from core import portraits, sampling
from core.agreement import Agreement
from core.audit import qa
from core.auth import LOCAL_PERSON
from core.sampling import Verdict
from core.values import Role
from tests.builders import a_character, a_finished_portrait, a_person, one, rows
from tests.screens.browser import visit
from tests.screens.dashboard import keys_of, opened, pages_on, pictures_of, settled, text_of


@pytest.fixture
def audit(pages):
    """The page on this test's services."""
    return partial(opened, "qa")


@pytest.fixture
def saved(services):
    """Three portraits of one character."""
    character = a_character(LOCAL_PERSON, services, appearance_tags=["anime style", "silver hair"])
    return [a_finished_portrait(LOCAL_PERSON, services, character) for _ in range(3)]


@pytest.fixture
def quinn(services):
    """Another person of QA."""
    return a_person(services.db, "quinn", Role.qa)


@pytest.fixture
def sample(services, saved):
    """A sample of the three."""
    now = datetime.now(UTC)
    return sampling.draw(
        LOCAL_PERSON,
        services,
        title="Week 47",
        since=now - timedelta(days=1),
        until=now + timedelta(days=1),
        per_stratum=5,
        seed=7,
    )


def items_of(sample, services):
    with services.db.as_reader(LOCAL_PERSON) as conn:
        return qa.items(conn, sample)


def judge_all(sample, person, services, verdict=Verdict.good):
    for item in items_of(sample, services):
        sampling.judge(sample, item.portrait_id, verdict, person, services)


def mine(services):
    return [row[0] for row in rows(services.db, "SELECT verdict FROM studio.qa_verdicts ORDER BY given_at")]


# ---- all samples


def test_without_a_sample_the_page_says_how_the_first_comes(audit):
    assert "No sample yet" in text_of(audit())


def test_a_sample_is_drawn_from_the_page_and_opened(audit, services, saved):
    page = audit()
    page.text_input(key="qa_seed").set_value("7")
    page.button(key="qa_draw_now").click().run()

    drawn = one(services.db, "SELECT id FROM studio.qa_samples")
    assert page.query_params["sample"] == str(drawn)
    assert "frozen" in page.toast[0].value
    assert "3 portraits, seed 7" in text_of(page)


@pytest.mark.parametrize(
    ("seed", "said"), [("abc", "A seed is a whole number"), ("9" * 20, "at most 18 digits")]
)
def test_a_seed_that_is_none_is_refused(audit, services, saved, seed, said):
    page = audit()
    page.text_input(key="qa_seed").set_value(seed)
    page.button(key="qa_draw_now").click().run()

    assert said in text_of(page)
    assert rows(services.db, "SELECT * FROM studio.qa_samples") == []


def test_nothing_to_draw_is_said(audit, services):
    page = audit()
    page.button(key="qa_draw_now").click().run()

    assert "No portrait was saved in this time" in text_of(page)


def test_who_has_no_role_for_it_is_told_so(services):
    with pages_on(services, a_person(services.db, "ed", Role.editor)) as pages:
        page = pages("qa")

    assert "Not for this role" in text_of(page)


def test_product_judges_and_neither_draws_nor_closes(services, sample):
    with pages_on(services, a_person(services.db, "pia", Role.product)) as pages:
        listed, opened_sample = pages("qa"), pages("qa", sample=str(sample))

    assert "qa_draw_now" not in keys_of(listed)
    assert "qa_close_now" not in keys_of(opened_sample)
    assert "qa_good" in keys_of(opened_sample)


def test_a_question_that_took_too_long_is_told_from_no_sample(audit, services, monkeypatch):
    monkeypatch.setattr("core.db.READER_SECONDS", 0.2)  # the real limit, only shorter

    with services.db.as_service() as conn:
        conn.execute("LOCK TABLE studio.qa_samples IN ACCESS EXCLUSIVE MODE")
        page = audit()

    assert "This took too long" in text_of(page)
    assert "No sample yet" not in text_of(page)


def test_a_database_that_is_gone_is_told_from_no_sample(audit, services):
    services.db.close()

    page = audit()

    assert "The database cannot be reached" in text_of(page)
    assert "No sample yet" not in text_of(page)


@pytest.mark.parametrize("named", ["nonsense", "00000000-0000-4000-8000-00000000dead"])
def test_a_link_to_no_sample_says_so_and_leads_back(audit, named):
    page = audit(sample=named)
    assert "No such sample" in text_of(page)

    page.button(key="back").click().run()

    assert "sample" not in page.query_params


# ---- judging


def test_a_verdict_is_given_and_the_next_portrait_comes(audit, services, sample):
    page = audit(sample=str(sample))
    assert "You have judged 0 of 3" in page.get("progress")[0].proto.text
    assert len(pictures_of(page)) == 1

    page.button(key="qa_good").click().run()

    assert mine(services) == ["good"]
    assert page.query_params["portrait"] == "2"
    assert "You have judged 1 of 3" in page.get("progress")[0].proto.text


def test_who_made_it_and_what_others_said_stays_hidden_until_one_s_own_verdict(
    audit, services, sample, quinn
):
    first = items_of(sample, services)[0]
    sampling.judge(sample, first.portrait_id, Verdict.bad, quinn, services, note="six fingers")
    page = audit(sample=str(sample), portrait="1")
    assert "six fingers" not in text_of(page)
    assert "Made by" not in text_of(page)

    page.button(key="qa_acceptable").click().run()
    page.button(key="qa_previous").click().run()

    assert "six fingers" in text_of(page)
    assert "Made by Sketch" in text_of(page) or "Made by fal" in text_of(page)


def test_a_policy_problem_needs_a_note_and_becomes_a_finding(audit, services, sample):
    page = audit(sample=str(sample))

    page.button(key="qa_policy").click().run()
    assert "what the policy problem is" in text_of(page)
    assert mine(services) == []
    next(one for one in page.text_input if one.label == "Note").set_value("a logo on the sleeve")
    page.button(key="qa_policy").click().run()

    assert one(services.db, "SELECT count(*) FROM studio.findings WHERE rule = 'qa.policy_problem'") == 1


def test_the_last_verdict_can_be_changed(audit, services, sample):
    page = audit(sample=str(sample))
    page.button(key="qa_good").click().run()

    page.button(key="qa_change_the_last_one").click().run()
    assert page.query_params["portrait"] == "1"
    page.button(key="qa_bad").click().run()

    assert mine(services) == ["bad"]
    assert "first good" in text_of(page)


def test_after_the_last_one_the_page_says_so(audit, services, sample):
    page = audit(sample=str(sample))

    for _ in range(3):
        page.button(key="qa_good").click().run()

    assert "That was the last one." in page.toast[-1].value
    assert page.button(key="qa_next_to_judge").disabled


def test_a_portrait_deleted_since_is_said_and_not_judged(audit, services, sample):
    first = items_of(sample, services)[0]
    portraits.delete(first.portrait_id, LOCAL_PERSON, services)

    page = audit(sample=str(sample), portrait="1")

    assert "deleted after the sample was drawn" in text_of(page)
    assert "qa_good" not in keys_of(page)
    assert "0 of 2" in page.get("progress")[0].proto.text


def test_a_picture_of_a_foreign_folder_is_not_shown(audit, services, sample):
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE character_portraits SET image_url = 'user-library/11111111-0000-4000-8000-000000000001/x.png'"
        )

    page = audit(sample=str(sample))

    assert "somebody else" in text_of(page)
    assert len(pictures_of(page)) == 0
    noted = one(services.db, "SELECT row_id FROM studio.audit_events WHERE action = 'foreign_path_refused'")
    assert noted == "user-library/11111111-0000-4000-8000-000000000001/x.png"


def test_what_people_wrote_never_becomes_part_of_the_page(audit, services, sample):
    with services.db.as_service() as conn:
        conn.execute("UPDATE characters SET name = '<img src=x>', description = '<b>bold</b>'")

    said = text_of(audit(sample=str(sample)))

    assert "<img src=x>" not in said
    assert "&lt;b&gt;bold" in said


# ---- the result


def test_a_sample_nobody_judged_has_no_result(audit, sample):
    page = audit(sample=str(sample), part="Result")

    assert "Nothing to read yet" in text_of(page)
    assert "You have judged 0 of 3" in text_of(page)


def test_the_result_tells_quality_with_its_interval_and_says_that_agreement_is_not_enough(
    audit, services, sample, quinn
):
    for person in (LOCAL_PERSON, quinn):
        judge_all(sample, person, services)

    said = text_of(audit(sample=str(sample), part="Result"))

    assert "3 of 3 judged; 44% to 100% is likely" in said
    assert "not enough" in said
    assert "3 times" in said
    assert "nobody saw one" in said


def test_a_closed_sample_is_read_by_who_judged_nothing(audit, services, sample, quinn):
    judge_all(sample, quinn, services, Verdict.bad)
    page = audit(sample=str(sample), part="Result")
    assert "Nothing to read yet" in text_of(page)

    page.button(key="qa_close_now").click().run()

    assert "The sample is closed." in page.toast[0].value
    assert "0 of 3 judged" in text_of(page)
    assert "qa_close_now" not in keys_of(page)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"pairs": 0, "share": None, "kappa": None}, "never"),
        ({"pairs": 9, "share": 0.5, "kappa": None}, "9 times"),
        ({"pairs": 40, "share": 0.8, "kappa": 0.55}, "moderate (Cohen's kappa 0.55)"),
        ({"pairs": 40, "share": 1.0, "kappa": None}, "Everybody always said the same"),
        ({"pairs": 40, "share": 0.8, "kappa": 0.55, "people": 3}, "Fleiss' kappa"),
    ],
)
def test_agreement_is_said_in_words_with_what_it_rests_on(found, said):
    values = {"people": 2, "portraits": 20, "agreed": 10} | found

    assert said in in_words(Agreement(**values))


# ---- in a browser


def test_qa_draws_a_sample_judges_it_by_keyboard_and_reads_the_result(browser, dashboard, services, saved):
    with visit(browser, f"{dashboard}/qa") as desk:
        page = desk.page
        page.get_by_role("button", name="Draw a sample").click(timeout=30_000)
        page.get_by_role("button", name="Draw", exact=True).click()
        expect(page.get_by_text("You have judged 0 of 3, 3 to go.")).to_be_visible(timeout=20_000)
        settled(page)
        for number, key in enumerate(("1", "2", "3"), 1):
            page.keyboard.press(key)
            expect(page.get_by_text(f"You have judged {number} of 3")).to_be_visible()
            settled(page)
        page.get_by_role("radio", name="Result").click()
        expect(page.get_by_text("2 of 3 judged;")).to_be_visible()

    assert mine(services) == ["good", "acceptable", "bad"]
    assert desk.watch.complaints == []
    assert desk.watch.outside == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_judging_fits_a_phone(browser, dashboard, sample, scheme):
    phone = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}

    with visit(browser, f"{dashboard}/qa?sample={sample}", **phone) as desk:
        expect(desk.page.get_by_role("button", name="Good")).to_be_attached(timeout=30_000)
        settled(desk.page)
        assert desk.page.evaluate("document.documentElement.scrollWidth") <= 390
