"""The settings page and the words that people type on the dashboard: how long what is kept, what a refusal leaves as it was,
and what is undone with one click.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from core import budgets, options
from core.admin import keeping
from core.auth import LOCAL_PERSON
from core.budgets import Period
from core.db import Database
from core.options import NewOption
from core.retention import Kind
from core.values import Role
from tests.builders import a_person, one, rows
from tests.screens.dashboard import keys_of, pages_on, text_of


@pytest.fixture
def amir(services):
    """A second admin."""
    return a_person(services.db, "amir", Role.admin)


@pytest.fixture
def wiry(services):
    wanted = NewOption(category="body", value="Wiry", label="Wiry", words="wiry build", tags=("wiry",))
    return options.add(wanted, LOCAL_PERSON, services)


def days_of(services, kind):
    return next(row.stored for row in keeping.listing(LOCAL_PERSON, services) if row.kind is kind)


def notices(services, *ages):
    with services.db.as_service() as conn:
        for days in ages:
            conn.execute(
                "INSERT INTO studio.health_notices (body, made_at) VALUES ('{}', now() - make_interval(days => %s))",
                [days],
            )


def answer(page, why="a test"):
    """Say why in the open question, and agree."""
    page.text_area(key="admin_why").set_value(why)
    return page.button(key="dialog_yes").click().run()


def edit_option(page, **typed):
    page.button(key=f"edit_{b'body/Wiry'.hex()}").click().run()
    page.text_input(key="edit_label").set_value(typed["label"])


# ---- how long what is kept


def test_an_admin_reads_what_would_go_before_saying_how_long_messages_are_kept(pages, services):
    notices(services, 10, 40, 50, 100)
    page = pages("settings")
    page.button(key="set_days_messages").click().run()
    page.number_input(key="days_wanted").set_value(45).run()

    said = text_of(page)
    assert "Past their time now, with 90 days: 1." in said
    assert "With 45 days: 2. The next run of the upkeep removes them." in said
    assert "At least 30 days" in said
    assert days_of(services, Kind.messages) is None
    assert one(services.db, "SELECT count(*) FROM studio.health_notices") == 4

    answer(page, "the auditors")
    said = text_of(page)

    assert days_of(services, Kind.messages) == 45
    assert "45 days, set by an admin; the studio&#x27;s own is 90." in said
    assert "Changed how long something is kept: Messages about health" in said
    assert "<del>the studio&#x27;s own</del> → <ins>45 days</ins>" in said
    assert "the auditors" in said


def test_days_are_put_back_to_the_setting_and_a_change_is_undone_after_reading_what_goes(pages, services):
    keeping.change(Kind.history, 60, LOCAL_PERSON, services, seen=None, why="a slip")
    page = pages("settings")
    assert "60 days, set by an admin; KEEP_HISTORY_DAYS says 365." in text_of(page)
    page.button(key="days_back_history").click().run()
    assert "365 days count again, what KEEP_HISTORY_DAYS says, instead of 60 days." in text_of(page)
    answer(page, "not ours")
    assert days_of(services, Kind.history) is None
    assert "days_back_history" not in keys_of(page)

    [newest, slip] = [
        row[0] for row in rows(services.db, "SELECT id FROM studio.audit_events ORDER BY id DESC")
    ]
    assert f"undo_{newest}" in keys_of(page)
    page.button(key=f"undo_{newest}").click().run()
    assert "365 days become 60 days again." in text_of(page)
    answer(page, "it was ours")

    assert days_of(services, Kind.history) == 60
    assert f"undo_{newest}" not in keys_of(page)
    assert f"undo_{slip}" in keys_of(page)


def test_days_without_a_reason_are_not_set_and_stay_in_their_field(pages, services):
    page = pages("settings")
    page.button(key="set_days_bin").click().run()
    page.number_input(key="days_wanted").set_value(30)
    answer(page, " ")

    assert "Say why" in text_of(page)
    assert page.number_input(key="days_wanted").value == 30
    assert days_of(services, Kind.bin) is None


def test_days_out_of_bounds_are_refused_in_words_and_stay_in_their_field(pages, services):
    """The field has no bounds of its own: a browser would keep the number to itself, and what stood before was saved."""
    page = pages("settings")
    page.button(key="set_days_bin").click().run()
    page.number_input(key="days_wanted").set_value(3)
    answer(page, "a test")

    assert "This is kept for 7 to 365 days. Write a number between them." in text_of(page)
    assert page.number_input(key="days_wanted").value == 3
    assert page.number_input(key="days_wanted").min is None
    assert page.number_input(key="days_wanted").max is None
    assert days_of(services, Kind.bin) is None


def test_a_setting_beyond_the_most_days_begins_there_and_never_at_the_least(build):
    with pages_on(build(keep_history_days=4000)) as opened:
        page = opened("settings")
        page.button(key="set_days_history").click().run()

        assert page.number_input(key="days_wanted").value == 3650


def test_the_ledger_and_the_record_stay_for_ever_and_nobody_is_offered_their_days(pages):
    page = pages("settings")

    assert "For ever: sums and responsibility hang on them." in text_of(page)
    assert {key for key in keys_of(page) if key.startswith("set_days_")} == {
        f"set_days_{kind}" for kind in ("bin", "workspace", "history", "messages", "queue_log")
    }


# ---- what was typed


def test_a_refused_budget_leaves_every_word_beside_the_sentence(pages, services):
    page = pages("settings")
    page.button(key="set_budget").click().run()
    page.text_input(key="budget_limit").set_value("ten")
    page.text_input(key="budget_reserve").set_value("0.07")
    page.selectbox(key="budget_period").set_value("month")
    answer(page, "the campaign")

    assert "Write an amount as a number of dollars" in text_of(page)
    assert page.text_input(key="budget_limit").value == "ten"
    assert page.text_area(key="admin_why").value == "the campaign"
    page.text_input(key="budget_limit").set_value("10").run()
    assert "Write an amount as a number of dollars" in text_of(page)  # until it is tried again
    page.button(key="dialog_yes").click().run()
    [made] = budgets.listing(LOCAL_PERSON, services)
    assert (made.limit_usd, made.reserve_usd, made.period) == (Decimal(10), Decimal("0.07"), "month")

    page.button(key="set_budget").click().run()

    assert page.text_input(key="budget_limit").value == ""
    assert page.text_area(key="admin_why").value == ""
    assert "Write an amount" not in text_of(page)


def test_where_a_colleague_was_faster_what_stands_now_is_said_and_the_next_save_puts_ours_in_its_place(
    pages, services, amir
):
    budgets.save(Decimal(20), Period.day, LOCAL_PERSON, services, why="x")
    [seen] = budgets.listing(LOCAL_PERSON, services)
    page = pages("settings")
    page.button(key=f"change_{seen.id.hex}").click().run()
    page.text_input(key="budget_limit").set_value("25")
    budgets.save(Decimal(30), Period.day, amir, services, why="theirs")
    answer(page, "mine")

    said = text_of(page)
    assert "changed meanwhile" in said
    assert r"It stands now:** \$30.00 a day, no reserve." in said
    assert page.text_input(key="budget_limit").value == "25"
    assert budgets.listing(LOCAL_PERSON, services)[0].limit_usd == Decimal(30)
    page.button(key="dialog_yes").click().run()

    assert budgets.listing(LOCAL_PERSON, services)[0].limit_usd == Decimal(25)


def test_an_option_that_a_colleague_changed_keeps_what_was_typed_and_a_look_at_theirs(
    pages, services, amir, wiry
):
    page = pages("settings")
    edit_option(page, label="Mine")
    theirs = NewOption(category="body", value="Wiry", label="Theirs", words="wiry build", tags=("wiry",))
    options.change(wiry, theirs, amir, services, place=0)
    answer(page)

    assert "It stands now:** Theirs, “wiry build”." in text_of(page)
    assert page.text_input(key="edit_label").value == "Mine"
    page.button(key="dialog_yes").click().run()
    assert one(services.db, "SELECT label FROM studio.attribute_options") == "Mine"


def test_a_refused_option_and_a_refused_price_keep_their_words_where_they_were_typed(pages, services):
    page = pages("attributes", view="Values and styles")
    page.text_input(key="option_value").set_value("Kid")
    page.text_area(key="option_words").set_value("a child of ten")
    page.button(key="option_add").click().run()

    assert "(POLICY_MINOR)" in text_of(page)
    assert page.text_area(key="option_words").value == "a child of ten"

    model = one(services.db, "SELECT id FROM api_models WHERE model_key = 'fal-ai/flux/dev'")
    page = pages("models", model=str(model))
    page.text_input(key=f"m_{model}_usd").set_value("cheap")
    page.text_input(key=f"m_{model}_source").set_value("their page")
    page.button(key="set_price").click().run()

    assert "Write dollars as a number" in text_of(page)
    assert page.text_input(key=f"m_{model}_usd").value == "cheap"
    assert page.text_input(key=f"m_{model}_source").value == "their page"


def test_words_outlive_a_page_that_could_not_be_drawn_because_the_database_was_away(services, dsn, wiry):
    gone = Database.open(dsn, max_size=1, share_with_team=True)
    gone.close()
    with pages_on(services) as opened:
        page = opened("settings")
        edit_option(page, label="Mine")
        page.text_area(key="admin_why").set_value("because")
    with pages_on(replace(services, db=gone)):
        page.button(key="dialog_yes").click().run()
        assert "cannot be reached" in text_of(page)
        assert not page.text_input
    with pages_on(services):
        page.run()

        assert page.text_input(key="edit_label").value == "Mine"
        assert page.text_area(key="admin_why").value == "because"
        page.button(key="dialog_yes").click().run()

    assert one(services.db, "SELECT label FROM studio.attribute_options") == "Mine"


# ---- undo


def test_a_budget_is_undone_with_one_click_where_nobody_changed_it_since(pages, services, amir):
    budgets.save(Decimal(20), Period.day, LOCAL_PERSON, services, why="x")
    budgets.save(Decimal(30), Period.day, LOCAL_PERSON, services, why="too much")
    [made, changed] = [row[0] for row in rows(services.db, "SELECT id FROM studio.audit_events ORDER BY id")]
    page = pages("settings")
    assert f"undo_{made}" not in keys_of(page)
    page.button(key=f"undo_{changed}").click().run()
    assert budgets.listing(LOCAL_PERSON, services)[0].limit_usd == Decimal(20)
    assert "Undoes the change of" in text_of(page)

    undone = f"undo_{changed + 1}"
    budgets.save(Decimal(40), Period.day, amir, services, why="theirs")
    page.button(key=undone).click().run()

    assert "changed meanwhile" in text_of(page)
    assert budgets.listing(LOCAL_PERSON, services)[0].limit_usd == Decimal(40)
    assert undone not in keys_of(page)


def test_a_budget_that_was_made_or_removed_by_a_slip_is_taken_back(pages, services):
    budgets.save(Decimal("20.5"), Period.month, LOCAL_PERSON, services, reserve_usd=Decimal("0.07"), why="x")
    [seen] = budgets.listing(LOCAL_PERSON, services)
    budgets.remove_seen(seen, LOCAL_PERSON, services, why="a slip")
    page = pages("settings")
    page.button(key=f"undo_{newest(services)}").click().run()
    [back] = budgets.listing(LOCAL_PERSON, services)
    assert (back.limit_usd, back.reserve_usd, back.period, back.hard) == (
        Decimal("20.5"), Decimal("0.07"), "month", True,
    )  # fmt: skip

    page.button(key=f"undo_{newest(services)}").click().run()

    assert budgets.listing(LOCAL_PERSON, services) == []


def test_a_changed_and_a_switched_option_are_undone_by_whoever_may_change_them(services, wiry):
    changed = NewOption(category="body", value="Wiry", label="Lean", words="lean build", aliases=("Thin",))
    options.change(wiry, changed, LOCAL_PERSON, services, place=3)
    with pages_on(services, a_person(services.db, "quinn", Role.qa)) as opened:
        assert not {key for key in keys_of(opened("settings")) if key.startswith("undo_")}
    with pages_on(services, a_person(services.db, "pia", Role.product)) as opened:
        page = opened("settings")
        page.button(key=f"undo_{newest(services)}").click().run()
        assert rows(
            services.db, "SELECT label, prompt_words, aliases, tags, place FROM studio.attribute_options"
        ) == [("Wiry", "wiry build", [], ["wiry"], 0)]
        options.switch("body", "Slim", LOCAL_PERSON, services, active=False)
        page.run()
        page.button(key=f"undo_{newest(services)}").click().run()

    assert one(services.db, "SELECT active FROM studio.attribute_options WHERE value = 'Slim'") is True


def newest(services):
    return one(services.db, "SELECT max(id) FROM studio.audit_events")
