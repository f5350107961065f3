"""The costs page: amounts in words, unknown apart, any division as a table and a file, budgets and how they will end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from audit.tables import as_csv
from core import budgets
from core.audit import costs
from core.auth import LOCAL_PERSON
from core.errors import QueryTimedOut
from tests.builders import a_character
from tests.database.test_audit_costs import World
from tests.screens.browser import visit
from tests.screens.dashboard import pages_on, settled, text_of


@pytest.fixture
def services(build):
    return build(team_sharing=True)


@pytest.fixture
def world(services):
    return World(services.db)


@pytest.fixture
def lived(world):
    """Ten days with costs at two providers, one of them unknown, one failed and paid."""
    for day in range(10):
        world.job(estimated="0.03", computed="0.04", ago=timedelta(days=day, minutes=5))
    world.job(estimated="0.10", computed="0.10", provider="novita", model="sdxl", kind="character_scene")
    world.job("failed", estimated="0.03", computed="0.05")
    world.job(estimated="0.03", computed=None)
    return world


def table(page, key):
    return next(one.value for one in page.dataframe if one.proto.id and key in one.proto.id)


def test_an_empty_ledger_says_that_nothing_was_asked_for(pages):
    said = text_of(pages("costs"))

    assert "Nothing was asked for" in said
    assert "$0.00" not in said
    assert "No budget is set" in said


def test_filters_that_fit_nothing_say_so(pages, lived, services):
    said = text_of(pages("costs", kind="Attribute images"))

    assert "Nothing fits these filters" in said


def test_one_request_is_summed_in_words(pages, world):
    world.job(estimated="0.03", computed="0.04")
    said = text_of(pages("costs"))

    assert "$0.04" in said
    assert "+$0.01" in said  # against its estimate
    assert "1 request" in said
    assert "An accepted portrait was not deleted" in said


def test_unknown_is_said_and_is_in_no_sum(pages, lived):
    said = text_of(pages("costs"))

    assert "$0.55" in said  # 10 × 0.04 + 0.10 + 0.05
    assert "1 of unknown cost not in it" in said
    assert "ended, and nobody knows its amount: in no sum" in said


def test_failed_spend_stands_by_itself(pages, lived):
    said = text_of(pages("costs"))

    assert "Spent on failures" in said
    assert "1 failed or cancelled ones were paid" in said


@pytest.mark.parametrize(
    ("by", "column", "first"),
    [
        ("Provider", "Provider", "fal"),
        ("Model", "Model", "fal-ai/seedream"),
        ("Type", "Type", "Portraits"),
        ("Character", "Character", "Juniper"),
    ],
)
def test_the_address_says_what_it_is_divided_by(pages, lived, by, column, first):
    page = pages("costs", by=by)

    assert page.dataframe[0].value[column].tolist()[0] == first


def test_an_amount_nobody_knows_is_an_empty_cell_and_no_zero(pages, world):
    world.job(estimated="0.03", computed=None)
    frame = pages("costs").dataframe[0].value

    assert frame["Unknown"].tolist() == [1]
    assert frame["Spent"].isna().all()


def test_the_files_hold_the_exact_figures(lived):
    from audit.costs import _sheet

    found = lived.summed()
    lines = (
        as_csv(_sheet(costs.Part.provider, found.lines[costs.Part.provider])).decode("utf-8-sig").splitlines()
    )

    assert lines[0].startswith("day,provider,model,")
    assert ",fal," in lines[1]
    assert "0.450000" in lines[1]
    assert ",novita," in lines[2]


def test_a_span_that_takes_too_long_is_narrowed_and_says_so(pages, lived, monkeypatch):
    summed = costs.summed

    def slow_over_all(conn, wanted, **most):
        if wanted.since is None or datetime.now(UTC) - wanted.since > timedelta(days=29):
            raise QueryTimedOut("too slow")
        return summed(conn, wanted, **most)

    monkeypatch.setattr(costs, "summed", slow_over_all)
    page = pages("costs", span="All time")

    assert "All time took too long to sum up" in page.info[0].value
    assert "the last 7 days" in page.info[0].value


def test_where_nothing_could_be_summed_in_time_that_is_said(pages, lived, monkeypatch):
    def slow(*_, **__):
        raise QueryTimedOut("too slow")

    monkeypatch.setattr(costs, "summed", slow)
    said = text_of(pages("costs"))

    assert "took too long" in said
    assert "Nothing was asked for" not in said


def test_a_comparison_that_fails_leaves_the_sums_standing(pages, lived, monkeypatch):
    def slow(*_, **__):
        raise QueryTimedOut("too slow")

    monkeypatch.setattr(costs, "compared", slow)
    said = text_of(pages("costs"))

    assert "$0.55" in said
    assert "took too long" in said


def test_a_budget_says_how_it_will_end_and_what_that_rests_on(pages, lived, services):
    budgets.save(Decimal(100), budgets.Period.month, LOCAL_PERSON, services, hard=True)
    said = text_of(pages("costs"))

    assert "Everybody, a month" in said
    assert "of $100.00" in said
    assert "By then likely" in said
    assert "By the average of the" in said


def test_a_budget_without_a_past_says_that_it_cannot_be_foretold(pages, world, services):
    budgets.save(Decimal(100), budgets.Period.month, LOCAL_PERSON, services)
    world.job(estimated="0.03", computed="0.04")

    assert "Too few days for a forecast" in text_of(pages("costs"))


def test_a_person_without_a_role_sees_nothing_of_others(services, lived, customer):
    with pages_on(services, customer) as opened:
        said = text_of(opened("costs"))

    assert "$0.55" not in said
    assert "needs the editor, qa, product or admin role" in said


def test_what_people_wrote_never_becomes_part_of_the_page(pages, services, world):
    a_character(LOCAL_PERSON, services)
    with services.db.as_service() as conn:
        conn.execute("UPDATE public.characters SET name = '<b>x</b>'")
    world.job(estimated="0.03", computed="0.04")

    assert "<b>x</b>" not in text_of(pages("costs", by="Character"))


def test_a_person_finds_out_which_model_costs_most(browser, dashboard, lived):
    with visit(browser, f"{dashboard}/costs") as desk:
        page = desk.page
        expect(page.get_by_text("$0.55").first).to_be_visible(timeout=60_000)
        page.get_by_role("radio", name="Model").click()
        settled(page)
        assert "by=Model" in page.url
        expect(page.get_by_test_id("glide-cell-0-0").first).to_have_text("fal")
        with page.expect_download() as saved:
            page.get_by_role("button", name="CSV").first.click()
        assert saved.value.suggested_filename.startswith("costs-by-model-")

    assert desk.watch.outside == []


@pytest.mark.parametrize(("width", "scheme"), [(1024, "dark"), (390, "light")])
def test_the_costs_fit_every_window(browser, dashboard, lived, width, scheme):
    with visit(
        browser, f"{dashboard}/costs", viewport={"width": width, "height": 800}, color_scheme=scheme
    ) as desk:
        expect(desk.page.get_by_text("$0.55").first).to_be_visible(timeout=60_000)
        settled(desk.page)

        assert desk.page.evaluate("document.documentElement.scrollWidth") <= width
