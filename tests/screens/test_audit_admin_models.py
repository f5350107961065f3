"""The admin's pages of models, providers and settings, by Streamlit's test driver: what they say, what a change does, and
what becomes of it where a colleague was faster.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from core import budgets, generation, options, retention
from core.admin import models, providers
from core.auth import LOCAL_PERSON
from core.budgets import Period
from core.options import NewOption
from core.values import PriceUnit, Role
from tests.builders import a_character, a_person, a_request, a_waiting_job, one, rows, work
from tests.screens.dashboard import keys_of, pages_on, text_of

FLUX = "fal-ai/flux/dev"


@pytest.fixture
def amir(services):
    """A second admin."""
    return a_person(services.db, "amir", Role.admin)


def flux(services):
    return next(row for row in models.listing(LOCAL_PERSON, services) if row.model_key == FLUX)


def field(page, kind, name, model_id):
    return getattr(page, kind)(key=f"m_{model_id}_{name}")


def answer(page, why="a test"):
    """Say why in the open question, and agree."""
    page.text_area(key="admin_why").set_value(why)
    return page.button(key="dialog_yes").click().run()


# ---- models


def test_the_list_says_who_serves_now_and_what_each_model_costs(pages, services):
    said = text_of(pages("models"))

    asked = a_request(a_character(LOCAL_PERSON, services))
    assert generation.preview(asked, LOCAL_PERSON, services).reason in said
    assert "Fast SDXL" in said
    assert "price unknown" in said
    assert "Switched on" in said


def test_an_admin_sees_what_a_change_does_before_saving_it(pages, services):
    chosen = flux(services)
    page = pages("models", model=str(chosen.id))
    field(page, "number_input", "priority", chosen.id).set_value(900).run()

    said = text_of(page)
    assert "Then: FLUX dev comes first" in said
    assert flux(services).priority == chosen.priority

    field(page, "text_area", "why", chosen.id).set_value("it got cheaper")
    page.button(key="save_model").click().run()

    assert flux(services).priority == 900
    assert rows(services.db, "SELECT action, why FROM studio.audit_events") == [
        ("model_changed", "it got cheaper")
    ]
    assert "it got cheaper" in text_of(page)
    assert "<del>8</del> → <ins>900</ins>" in text_of(page)


def test_without_a_reason_nothing_is_changed_and_what_was_typed_stays(pages, services):
    chosen = flux(services)
    page = pages("models", model=str(chosen.id))
    field(page, "number_input", "priority", chosen.id).set_value(900)
    page.button(key="save_model").click().run()

    assert "Say why" in text_of(page)
    assert field(page, "number_input", "priority", chosen.id).value == 900
    assert flux(services).priority == chosen.priority


def test_the_second_of_two_admins_is_told_and_loses_nothing_typed(pages, services, amir):
    chosen = flux(services)
    page = pages("models", model=str(chosen.id))
    field(page, "number_input", "priority", chosen.id).set_value(30)
    field(page, "text_area", "why", chosen.id).set_value("mine")
    theirs = models.Change(is_on=False, priority=20, capabilities=chosen.capabilities, tasks=None)
    models.change(chosen.id, theirs, amir, services, seen=chosen.seen, why="theirs")

    page.button(key="save_model").click().run()

    said = text_of(page)
    assert "changed meanwhile" in said
    assert "A colleague or the platform changed this meanwhile" in said
    assert flux(services).priority == 20
    assert field(page, "number_input", "priority", chosen.id).value == 30
    page.button(key="keep_mine").click().run()
    page.button(key="save_model").click().run()
    assert flux(services).priority == 30


def test_the_second_may_take_what_stands_there(pages, services, amir):
    chosen = flux(services)
    page = pages("models", model=str(chosen.id))
    field(page, "number_input", "priority", chosen.id).set_value(30)
    theirs = models.Change(is_on=True, priority=20, capabilities=chosen.capabilities, tasks=None)
    models.change(chosen.id, theirs, amir, services, seen=chosen.seen, why="theirs")
    page.run()

    page.button(key="take_theirs").click().run()

    assert field(page, "number_input", "priority", chosen.id).value == 20
    assert "changed this meanwhile" not in text_of(page)


def test_a_change_that_still_stands_is_undone(pages, services):
    chosen = flux(services)
    wanted = models.Change(is_on=False, priority=8, capabilities=chosen.capabilities, tasks=None)
    models.change(chosen.id, wanted, LOCAL_PERSON, services, seen=chosen.seen, why="a slip")
    page = pages("models", model=str(chosen.id))

    page.button(key="undo_model").click().run()
    answer(page, "it was a slip")

    assert flux(services).seen == chosen.seen
    assert "it was a slip" in text_of(page)


def test_a_price_is_set_for_later_and_withdrawn(pages, services):
    chosen = flux(services)
    page = pages("models", model=str(chosen.id))
    field(page, "text_input", "usd", chosen.id).set_value("0.07")
    field(page, "text_input", "source", chosen.id).set_value("their page")
    field(page, "date_input", "from", chosen.id).set_value(datetime.now(UTC).date() + timedelta(days=3))
    page.button(key="set_price").click().run()

    coming = models.prices(chosen.id, LOCAL_PERSON, services)[0]
    assert (coming.usd, coming.unit) == (Decimal("0.07"), PriceUnit.image)
    assert "$0.07 a picture" in text_of(page)
    assert "begins later" in text_of(page)
    page.button(key=f"withdraw_{coming.id.hex}").click().run()
    answer(page)

    assert coming.id not in {price.id for price in models.prices(chosen.id, LOCAL_PERSON, services)}
    assert "begins later" not in text_of(page)


def test_a_price_that_is_no_number_is_refused_in_words(pages, services):
    chosen = flux(services)
    page = pages("models", model=str(chosen.id))
    field(page, "text_input", "usd", chosen.id).set_value("cheap")
    page.button(key="set_price").click().run()

    assert "Write dollars as a number" in text_of(page)


def test_a_model_is_added_like_another_and_begins_switched_off(pages, services):
    page = pages("models")
    page.button(key="add_model").click().run()
    page.selectbox(key="add_like").set_value(str(flux(services).id))
    page.text_input(key="add_key").set_value("fal-ai/flux/next")
    page.text_input(key="add_name").set_value("FLUX next")
    answer(page)

    assert one(services.db, "SELECT is_active FROM api_models WHERE model_key = 'fal-ai/flux/next'") is False
    assert "FLUX next" in text_of(page)


@pytest.mark.parametrize("role", [Role.qa, Role.product])
def test_others_look_at_models_and_providers_and_change_nothing(services, role):
    chosen = flux(services)
    with pages_on(services, a_person(services.db, "quinn", role)) as opened:
        listed, shown = keys_of(opened("models")), opened("models", model=str(chosen.id))
        there = keys_of(opened("providers"))

    assert f"open_{chosen.id.hex}" in listed
    assert "add_model" not in listed
    assert "save_model" not in keys_of(shown)
    assert all(box.disabled for box in shown.checkbox)
    assert not {key for key in there if key.startswith(("pause_", "resume_"))}


@pytest.mark.parametrize("name", ["models", "providers", "settings"])
def test_an_editor_is_told_kindly(services, name):
    with pages_on(services, a_person(services.db, "edda", Role.editor)) as opened:
        said = text_of(opened(name))

    assert "Not for this role" in said
    assert "needs the qa, product or admin role. Ask an admin for one." in said


# ---- providers


def test_providers_say_what_is_set_what_answers_and_what_failed_and_no_key(pages, services, fal):
    fal.fault("submit", "balance_empty")
    a_waiting_job(LOCAL_PERSON, services, a_character(LOCAL_PERSON, services))
    work(services)
    page = pages("providers")

    said = text_of(page)
    assert "Its key is set; at most 10 requests at once" in said
    assert "No key: REPLICATE_API_TOKEN is not set where the studio runs." in said
    assert "The account at fal is locked" in said
    assert "The studio did that by itself" in said
    page.button(key="ask_fal").click().run()
    assert "It answers in" in text_of(page) or "It answers" in text_of(page)


def test_an_admin_pauses_a_provider_with_a_reason_and_resumes_it(pages, services):
    page = pages("providers")
    page.button(key="pause_fal").click().run()
    page.selectbox(key="pause_lasting").set_value("4 hours")
    answer(page, "their incident 7")

    [found] = [row for row in providers.listing(LOCAL_PERSON, services) if row.pause]
    assert (found.name, found.pause.why) == ("fal", "their incident 7")
    assert "their incident 7 (for 4 more h)" in text_of(page)
    assert "Paused by you." in text_of(page)
    page.button(key="resume_fal").click().run()
    answer(page, "it is over")

    assert [row for row in providers.listing(LOCAL_PERSON, services) if row.pause] == []
    assert [row[0] for row in rows(services.db, "SELECT why FROM studio.audit_events ORDER BY id")] == [
        "their incident 7",
        "it is over",
    ]


def test_a_pause_without_a_reason_is_not_made_and_the_question_stays(pages, services):
    page = pages("providers")
    page.button(key="pause_fal").click().run()
    answer(page, " ")

    assert "Say why" in text_of(page)
    assert "dialog_yes" in keys_of(page)
    assert [row for row in providers.listing(LOCAL_PERSON, services) if row.pause] == []


# ---- settings


def test_a_budget_is_set_changed_and_removed_with_reasons(pages, services):
    page = pages("settings")
    assert "nothing limits spending" in text_of(page)
    page.button(key="set_budget").click().run()
    page.text_input(key="budget_limit").set_value("20")
    answer(page, "the campaign")
    [made] = budgets.listing(LOCAL_PERSON, services)
    assert (made.limit_usd, made.period, made.hard) == (Decimal(20), "day", True)

    page.button(key=f"change_{made.id.hex}").click().run()
    page.text_input(key="budget_limit").set_value("25")
    answer(page, "more of it")
    assert budgets.listing(LOCAL_PERSON, services)[0].limit_usd == Decimal(25)

    page.button(key=f"remove_{made.id.hex}").click().run()
    answer(page, "over")

    assert budgets.listing(LOCAL_PERSON, services) == []
    assert rows(services.db, "SELECT action, why FROM studio.audit_events ORDER BY id") == [
        ("budget_set", "the campaign"),
        ("budget_set", "more of it"),
        ("budget_removed", "over"),
    ]


def test_product_sees_budgets_and_edits_only_the_teams_own_options(services):
    budgets.save(Decimal(5), Period.day, LOCAL_PERSON, services, why="x")
    options.add(
        NewOption(category="body", value="Wiry", label="Wiry", words="wiry build"), LOCAL_PERSON, services
    )
    with pages_on(services, a_person(services.db, "pia", Role.product)) as opened:
        page = opened("settings")
        keys = keys_of(page)
        page.button(key=f"edit_{b'body/Wiry'.hex()}").click().run()
        page.text_input(key="edit_label").set_value("Wiry and strong")
        page.number_input(key="edit_place").set_value(3)
        answer(page, "")

    assert "set_budget" not in keys
    assert not {key for key in keys if key.startswith(("change_", "remove_"))}
    assert rows(services.db, "SELECT label, place FROM studio.attribute_options") == [("Wiry and strong", 3)]


def test_an_option_that_a_colleague_changed_meanwhile_is_not_overwritten(pages, services, amir):
    seen = options.add(
        NewOption(category="body", value="Wiry", label="Wiry", words="wiry build"), LOCAL_PERSON, services
    )
    page = pages("settings")
    page.button(key=f"edit_{b'body/Wiry'.hex()}").click().run()
    theirs = NewOption(category="body", value="Wiry", label="Theirs", words="wiry build", tags=("wiry",))
    options.change(seen, theirs, amir, services, place=0)
    page.text_input(key="edit_label").set_value("Mine")
    answer(page)

    assert "changed meanwhile" in text_of(page)
    assert one(services.db, "SELECT label FROM studio.attribute_options") == "Theirs"


def test_an_admin_reads_what_is_kept_how_long_and_what_was_removed_last(pages, services):
    before = text_of(pages("settings"))
    retention.keep(services)
    said = text_of(pages("settings"))

    assert "The upkeep has not looked at it yet" in before
    assert "7 days" in said
    assert "KEEP_HISTORY_DAYS" in said
    assert "0 removed" in said
    assert "has not looked at it yet" not in said


def test_what_is_kept_how_long_is_for_admins(services):
    with pages_on(services, a_person(services.db, "pia", Role.product)) as opened:
        assert "What is kept how long" not in text_of(opened("settings"))
