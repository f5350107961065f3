"""The overview: from this page alone a person says what is wrong, what first, and what it costs."""

from __future__ import annotations

import json

import psycopg
import pytest
from playwright.sync_api import expect

from core import attributes, generation
from core.audit import overview as numbers
from core.audit import troubles
from core.auth import LOCAL_PERSON
from core.errors import QueryTimedOut, StudioError
from core.values import Role
from tests.builders import a_character, a_finished_portrait, a_person, a_waiting_job, work
from tests.screens.browser import visit
from tests.screens.dashboard import pages_on, settled, text_of


@pytest.fixture
def services(build):
    return build(heartbeat_seconds=30, stuck_after=600, team_sharing=True)


def sql(services, statement, *values):
    with psycopg.connect(services.db.dsn, autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute(statement, values)


@pytest.fixture
def pictured(services):
    """Every attribute image is there."""
    for cell in attributes.all_cells(services.catalog):
        if cell.category == "style":
            sql(
                services,
                "INSERT INTO public.style_images (style, image_url) VALUES (%s, 'assets/x.jpg')",
                cell.style,
            )
        else:
            sql(
                services,
                "INSERT INTO public.attribute_images (category, value, style, image_url) VALUES (%s, %s, %s, 'assets/x.jpg')",
                cell.category,
                cell.value,
                cell.style,
            )


@pytest.fixture
def three_troubles(services, pictured, fal):
    """A paused provider, a stuck job, an outcome unknown."""
    fal.fault("submit", "reset_after")
    model = next(
        one.model.id
        for one in generation.models_for(LOCAL_PERSON, services)
        if one.model.model_key == "fal-ai/flux/dev"
    )
    a_waiting_job(LOCAL_PERSON, services, a_character(LOCAL_PERSON, services), model_id=model)
    work(services)
    sql(
        services,
        "INSERT INTO public.jobs (user_id, job_type, status, metadata, runner, created_at, started_at, heartbeat_at)"
        " VALUES (%s, 'image', 'processing', %s, 'studio', now() - interval '1 hour', now() - interval '1 hour',"
        " now() - interval '1 hour')",
        LOCAL_PERSON.id,
        json.dumps({"destination": "character_portrait"}),
    )
    sql(
        services,
        "INSERT INTO studio.provider_state (provider, paused_until, why)"
        " VALUES ('novita', now() + interval '1 hour', 'the balance is empty')",
    )


def test_a_quiet_world_says_so_in_one_calm_sentence(pages, pictured):
    page = pages("overview")

    said = text_of(page)
    assert "All is well: every rule was asked, and none found anything." in said
    assert '<ol class="ov-list"' not in said
    assert "none set" in said  # no budget
    assert not page.warning
    assert not page.error


def test_three_planted_problems_are_named_with_the_way_to_each(pages, three_troubles):
    said = text_of(pages("overview"))

    assert "3 things are broken." in said
    for title, href in (
        ("Novita is paused", "/system"),
        ("Outcomes are unknown", "/stuck?what=unknown"),
        ("Jobs are stuck", "/stuck?what=stuck"),
    ):
        assert title in said
        assert f'href="{href}"' in said
    assert (
        said.index("Novita is paused</b>")
        < said.index("Outcomes are unknown</b>")
        < said.index("Jobs are stuck</b>")
    )


def test_one_made_portrait_is_counted_with_its_time_and_that_it_was_saved(pages, services, pictured):
    a_finished_portrait(LOCAL_PERSON, services, a_character(LOCAL_PERSON, services))
    sql(
        services,
        "UPDATE public.jobs SET completed_at = now() - interval '10 minutes', created_at = now() - interval '11 minutes', started_at = now() - interval '11 minutes'",
    )

    said = text_of(pages("overview"))

    assert "1 completed, 0 failed, 0 cancelled" in said
    assert "100.0%" in said
    assert "of 1 portrait" in said
    assert "44 of 44" in said


def test_a_question_that_takes_too_long_leaves_its_own_card_saying_so(pages, pictured, monkeypatch):
    def slow(*_, **__):
        raise QueryTimedOut("too slow")

    monkeypatch.setattr(numbers, "course", slow)
    said = text_of(pages("overview"))

    assert said.count("Stopped after 5 s: too slow.") == 3
    assert "not known" in said
    assert "All is well" in said
    assert "Images at risk" in said


def test_a_rule_that_fails_is_not_checked_and_not_well(pages, pictured, monkeypatch):
    def broken(*_, **__):
        raise StudioError("The database refused this.")

    monkeypatch.setattr(troubles, "stuck", broken)
    said = text_of(pages("overview"))

    assert "1 could not be checked, which is not the same as well." in said
    assert "Stuck jobs: not checked" in said
    assert "All is well" not in said


def test_a_slow_rule_says_that_it_was_stopped(pages, pictured, monkeypatch):
    def slow(*_, **__):
        raise QueryTimedOut("too slow")

    monkeypatch.setattr(troubles, "families", slow)

    assert "It took too long and was stopped after 5 seconds." in text_of(pages("overview"))


def test_a_database_that_is_away_is_said_and_nothing_else(pages, services):
    services.db.close()
    said = text_of(pages("overview"))

    assert "cannot be reached" in said
    assert "All is well" not in said


def test_who_may_not_see_the_whole_is_told_whose_word_it_needs(services, ana):
    with pages_on(services, ana) as opened:
        said = text_of(opened("overview"))

    assert "needs the qa, product or admin role" in said
    assert "All is well" not in said


@pytest.mark.parametrize("role", [Role.qa, Role.product, Role.admin])
def test_each_of_these_roles_sees_the_whole(services, pictured, role):
    with pages_on(services, a_person(services.db, "quinn", role)) as opened:
        assert "All is well" in text_of(opened("overview"))


def test_what_a_row_says_never_becomes_part_of_the_page(pages, services, pictured):
    sql(
        services,
        "INSERT INTO studio.provider_state (provider, paused_until, why) VALUES ('fal', now() + interval '1 hour', %s)",
        "<img src=x onerror=alert(1)>",
    )

    said = text_of(pages("overview"))

    assert "<img src=x" not in said
    assert "&lt;img src=x" in said


def test_from_the_overview_a_person_gets_to_what_is_broken_first(browser, dashboard, three_troubles):
    with visit(browser, f"{dashboard}/?live=false") as desk:
        page = desk.page
        settled(page)
        expect(page.get_by_text("3 things are broken.")).to_be_visible(timeout=30_000)
        expect(page.get_by_text("First: Novita is paused.")).to_be_visible()
        page.get_by_role("link", name="Jobs are stuck").click()
        expect(page.get_by_role("heading", name="Stuck jobs")).to_be_visible(timeout=30_000)
        assert "what=stuck" in page.url

    assert desk.watch.outside == []


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1024, "dark"), (390, "light")])
def test_the_overview_fits_every_window(browser, dashboard, three_troubles, width, scheme):
    window = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    with visit(browser, f"{dashboard}/?live=false", **window) as desk:
        expect(desk.page.get_by_text("3 things are broken.")).to_be_visible(timeout=30_000)
        settled(desk.page)

        assert desk.page.evaluate("document.documentElement.scrollWidth") <= width
