"""Budgets, prices, refunds and pauses: who may set them, what they stop, and what many clicks at once can buy."""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier

import psycopg
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from core import billing, budgets, generation, money_cli, pauses, recovery, running
from core.budgets import Period
from core.db import models
from core.errors import BadRequest, BudgetSpent, Conflict, NotAllowed, NotFound, ProviderPaused
from core.values import PriceUnit, Role
from tests import builders

FLUX = "fal-ai/flux/dev"
ONE = Decimal("0.026214")  # a 1024² picture of it, as the ledger keeps it


@pytest.fixture
def ada(services):
    return builders.a_person(services.db, "ada", Role.admin)


@pytest.fixture
def character(services, ana):
    return builders.a_character(ana, services)


def model(services, person, key=FLUX):
    return next(one.model for one in generation.models_for(person, services) if one.model.model_key == key)


def ask(services, person, character, key=FLUX, **values):
    wanted = builders.a_request(character, model_id=model(services, person, key).id, **values)
    return generation.request(wanted, person, services)


def events(services, action):
    return builders.rows(
        services.db,
        "SELECT who, before, after, why FROM studio.audit_events WHERE action = %s ORDER BY id",
        [action],
    )


# ---- hard budgets


def test_fifty_clicks_at_once_on_fifty_connections_buy_exactly_the_ten_pictures_of_the_budget(
    services, dsn, ana, ada
):
    budgets.save(10 * ONE, Period.day, ada, services)
    chosen = model(services, ana)
    people = [builders.a_person(services.db, f"editor {number}", Role.editor) for number in range(25)]
    start = Barrier(50)

    def click(number):
        person = people[
            number % 25
        ]  # two clicks of each: neither their own lock nor the connection orders them
        claims = {"sub": str(person.id), "role": "authenticated", "app_metadata": {"roles": ["editor"]}}
        with psycopg.connect(dsn) as conn:
            conn.execute(
                "SELECT set_config('role', 'authenticated', true), set_config('request.jwt.claims', %s, true)",
                [json.dumps(claims)],
            )
            start.wait(60)
            try:
                conn.execute(
                    "SELECT studio.ask(NULL, %s, 'an adult woman', '{}', 1024, 1024, %s, NULL, 500)",
                    (chosen.id, f"click {number}"),
                )
            except psycopg.Error as refusal:
                return refusal.sqlstate
            return "bought"

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(click, range(50)))

    assert sorted(answers) == ["PS402"] * 40 + ["bought"] * 10
    assert len(builders.entries(services)) == 10
    [standing] = budgets.listing(ana, services, of=ana.id)
    assert (standing.spent, standing.held, standing.left) == (Decimal(0), 10 * ONE, Decimal(0))


def test_a_month_and_a_day_a_person_and_everybody_each_stop_by_themselves(services, ana, ben, ada):
    of_ana, of_ben = (builders.a_character(one, services) for one in (ana, ben))
    budgets.save(ONE, Period.month, ada, services, of=ana.id)
    budgets.save(2 * ONE, Period.day, ada, services)

    ask(services, ana, of_ana)
    with pytest.raises(BudgetSpent, match=r"personal budget of .* a month"):
        ask(services, ana, of_ana)
    ask(services, ben, of_ben)
    with pytest.raises(BudgetSpent, match=r"shared budget of .* a day .* opens again on .* 00:00 UTC"):
        ask(services, ben, of_ben)


def test_a_picture_that_was_free_in_the_end_gives_its_hold_back(services, ana, ada, character, fal):
    budgets.save(ONE, Period.day, ada, services)
    fal.fault("outcome", "content_policy")
    ask(services, ana, character)
    builders.work(services)

    ask(services, ana, character)

    [standing] = budgets.listing(ada, services)
    assert (standing.spent, standing.held) == (Decimal(0), ONE)


def test_an_attempt_whose_cost_nobody_told_goes_on_holding_its_estimate(services, ana, ada, character, fal):
    budgets.save(Decimal("0.04"), Period.day, ada, services)
    fal.fault("outcome", "expired")
    ask(services, ana, character)
    builders.work(services)
    builders.pass_deadlines(services)
    recovery.recover(services)
    builders.work(services)

    with pytest.raises(BudgetSpent):
        ask(services, ana, character)

    [standing] = budgets.listing(ada, services)
    assert (standing.spent, standing.held, standing.unknown) == (Decimal(0), ONE, 0)


def test_a_picture_that_waits_for_a_busy_provider_goes_on_holding_its_estimate(
    services, ana, ada, character, fal
):
    budgets.save(ONE, Period.day, ada, services)
    fal.fault("submit", "rate_limited", retry_after="60")
    waiting = ask(services, ana, character)
    with pytest.raises(running.AskAgain):
        running.run(waiting.job_id, services)

    with pytest.raises(BudgetSpent):
        ask(services, ana, character)

    [standing] = budgets.listing(ada, services)
    assert (standing.spent, standing.held) == (Decimal(0), ONE)


def test_an_unknown_price_needs_a_reserve_and_then_holds_it(services, ana, ada, character):
    key = "fal-ai/bytedance/seedream/v4/text-to-image"
    budgets.save(Decimal(1), Period.day, ada, services)
    with pytest.raises(BudgetSpent) as refusal:
        ask(services, ana, character, key)

    budgets.save(Decimal(1), Period.day, ada, services, reserve_usd=Decimal("0.6"))
    ask(services, ana, character, key)

    assert refusal.value.reason == "PRICE_UNKNOWN"
    [standing] = budgets.listing(ada, services)
    assert (standing.held, standing.unknown, standing.left) == (Decimal("0.6"), 1, Decimal("0.4"))


def test_what_was_spent_yesterday_counts_for_the_month_only(services, dsn, ana, ada, character):
    for period in Period:
        budgets.save(Decimal(1), period, ada, services)
    ask(services, ana, character)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with psycopg.connect(dsn) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute("UPDATE studio.cost_entries SET at = %s", [midnight - timedelta(seconds=1)])

    held = {one.period: one.held for one in budgets.listing(ada, services)}

    first_of_month = midnight.day == 1
    assert held == {"day": Decimal(0), "month": Decimal(0) if first_of_month else ONE}


def test_periods_are_those_of_utc_wherever_the_connection_thinks_it_is(dsn):
    with psycopg.connect(dsn) as conn:
        conn.execute("SET TimeZone = 'Pacific/Auckland'")
        [start, end] = conn.execute(
            "SELECT studio.period_start('day'), studio.period_end('month')"
        ).fetchone()

    today = datetime.now(UTC)
    assert start.astimezone(UTC) == today.replace(hour=0, minute=0, second=0, microsecond=0)
    assert end.astimezone(UTC).day == 1
    assert end.astimezone(UTC).hour == 0


# ---- soft budgets


def test_a_soft_budget_warns_in_the_plan_and_the_answer_and_stops_nothing(services, ana, ada, character):
    budgets.save(ONE, Period.day, ada, services, hard=False)
    first = ask(services, ana, character)
    wanted = builders.a_request(character, model_id=model(services, ana).id)

    plan = generation.preview(wanted, ana, services)
    second = ask(services, ana, character)

    said = [one for one in second.warnings if "budget" in one]
    assert [one for one in plan.warnings if "budget" in one] == said
    assert len(said) == 1
    assert said[0].startswith("The shared budget of $0.03 a day is used up: $0.03 are spent or held.")
    assert second.created
    assert [one for one in first.warnings if "budget" in one] == []


# ---- who may, and what is recorded


def test_only_an_admin_sets_budgets_and_each_change_is_recorded(services, ana, ada):
    made = budgets.save(Decimal(5), Period.day, ada, services, why="new quarter")
    again = budgets.save(Decimal(7), Period.day, ada, services, why="more")
    budgets.remove(made, ada, services, why="not needed")

    with pytest.raises(NotAllowed):
        budgets.save(Decimal(99), Period.day, ana, services)
    with pytest.raises(NotAllowed):
        budgets.remove(made, ana, services)
    with pytest.raises(NotFound):
        budgets.remove(made, ada, services)
    assert again == made
    assert [
        (who, (before or {}).get("limit_usd"), (after or {}).get("limit_usd"), why)
        for who, before, after, why in events(services, "budget_set") + events(services, "budget_removed")
    ] == [(ada.id, None, 5, "new quarter"), (ada.id, 5, 7, "more"), (ada.id, 7, None, "not needed")]


def test_an_editor_sees_what_can_stop_them_and_no_budget_of_others(services, ana, ben, ada):
    budgets.save(Decimal(5), Period.day, ada, services)
    budgets.save(Decimal(1), Period.day, ada, services, of=ana.id)
    budgets.save(Decimal(2), Period.day, ada, services, of=ben.id)

    assert sorted(one.limit_usd for one in budgets.listing(ana, services, of=ana.id)) == [1, 5]
    assert len(budgets.listing(ada, services)) == 3
    for of in (ben.id, None):
        with pytest.raises(NotAllowed):
            budgets.listing(ana, services, of=of)


@pytest.mark.parametrize(
    ("limit", "reserve", "field"),
    [("-1", None, "limit_usd"), ("1e9", None, "limit_usd"), ("1", "-1", "reserve_usd")],
)
def test_a_budget_that_makes_no_sense_names_the_field(services, ada, limit, reserve, field):
    with pytest.raises(BadRequest) as refusal:
        budgets.save(
            Decimal(limit), Period.day, ada, services, reserve_usd=Decimal(reserve) if reserve else None
        )

    assert refusal.value.field == field


# ---- prices


def test_a_price_that_begins_later_is_not_used_yet(services, ana, ada):
    chosen = model(services, ana)
    tomorrow = datetime.now(UTC) + timedelta(days=1)

    billing.set_price(
        chosen.id, PriceUnit.image, Decimal(9), ada, services, source="a newsletter", valid_from=tomorrow
    )

    prices = {one.model.id: one.price for one in generation.models_for(ana, services)}
    assert prices[chosen.id] == ONE


@pytest.mark.parametrize("usd", ["NaN", "Infinity", "-1"])
def test_a_price_is_a_number(services, ana, ada, usd):
    with pytest.raises(BadRequest) as refusal:
        billing.set_price(model(services, ana).id, PriceUnit.image, Decimal(usd), ada, services, source="x")
    assert refusal.value.field == "price"


def test_a_price_cannot_begin_in_the_past_and_only_an_admin_sets_one(services, ana, ada):
    chosen = model(services, ana)
    past = datetime.now(UTC) - timedelta(days=1)

    with pytest.raises(BadRequest) as refusal:
        billing.set_price(chosen.id, PriceUnit.image, Decimal(0), ada, services, source="x", valid_from=past)
    with pytest.raises(NotAllowed):
        billing.set_price(chosen.id, PriceUnit.image, Decimal(0), ana, services, source="x")
    assert refusal.value.field == "valid_from"


def test_a_price_that_ended_leaves_the_cost_unknown_and_does_not_bring_the_older_one_back(services, ana, ada):
    chosen = model(services, ana)

    billing.set_price(chosen.id, PriceUnit.image, None, ada, services, source="their page is gone")

    shown = next(one for one in generation.models_for(ana, services) if one.model.id == chosen.id)
    assert (shown.price, shown.price_words) == (None, "price unknown")


def test_a_model_paid_by_the_second_is_estimated_from_the_seconds_it_usually_takes(
    services, ana, ada, character
):
    chosen = model(services, ana)
    billing.set_price(chosen.id, PriceUnit.second, Decimal("0.01"), ada, services, source="a rate")
    unknown = next(one.price for one in generation.models_for(ana, services) if one.model.id == chosen.id)
    with services.db.as_service() as conn:
        for seconds in (2, 4, 30):
            conn.execute(
                "INSERT INTO studio.cost_entries (job_id, provider, model_key, kind, amount_usd, units) "
                "VALUES (gen_random_uuid(), 'fal', %s, 'computed', 0, jsonb_build_object('seconds', %s::text))",
                (FLUX, str(seconds)),
            )

    known = next(one.price for one in generation.models_for(ana, services) if one.model.id == chosen.id)

    assert (unknown, known) == (None, Decimal("0.04"))


def test_the_ledger_names_the_price_row_and_the_units_it_was_computed_with(services, ana, character):
    job_id = ask(services, ana, character).job_id
    builders.work(services)

    row = builders.one(
        services.db,
        """
        SELECT e.units, p.price, p.unit FROM studio.cost_entries e JOIN studio.model_prices p ON p.id = e.price_id
        WHERE e.job_id = %s AND e.kind = 'computed'
        """,
        [job_id],
    )
    assert (row[0]["billable_units"], row[0]["width"], row[1], row[2]) == (
        "1",
        256,
        Decimal("0.025"),
        "megapixel",
    )


# ---- refunds


def test_a_refund_lowers_the_cost_once_and_never_below_nothing(services, ana, ada, character):
    job_id = ask(services, ana, character).job_id
    with pytest.raises(Conflict) as early:
        billing.refund(job_id, 1, Decimal("0.01"), ada, services, why="ticket 7")
    builders.work(services)

    first = billing.refund(job_id, 1, Decimal("0.01"), ada, services, why="ticket 7")
    twice = billing.refund(job_id, 1, Decimal("0.01"), ada, services, why="ticket 7")

    assert (early.value.reason, first, twice) == ("COST_UNKNOWN", True, False)
    assert generation.outcome(job_id, ana, services).cost_usd == Decimal("0.015")
    assert generation.outcome(job_id, ana, services).job.cost_usd == Decimal("0.015")
    with pytest.raises(BadRequest):
        billing.refund(job_id, 1, Decimal("0.02"), ada, services, why="ticket 8")
    with pytest.raises(NotAllowed):
        billing.refund(job_id, 1, Decimal("0.01"), ana, services, why="mine")
    assert [(who, why) for who, _, _, why in events(services, "refund")] == [(ada.id, "ticket 7")]


# ---- pauses


def test_an_empty_balance_pauses_for_everybody_says_so_and_an_admin_lifts_it(
    services, ana, ben, ada, character, fal, app
):
    fal.fault("submit", "balance_empty")
    ask(services, ana, character)
    waits = ask(services, ana, character).job_id
    builders.work(services)
    chosen = model(services, ben)
    request = {"characterId": str(builders.a_character(ben, services).id), "apiModelId": str(chosen.id)}

    answer = app.as_(ben).post("/functions/v1/character-portrait", json=request)
    [paused] = pauses.listing(ben, services)
    with pytest.raises(NotAllowed):
        pauses.resume_provider("fal", ben, services)
    lifted = pauses.resume_provider("fal", ada, services, why="topped up")
    builders.work(services)

    assert (answer.status_code, answer.json()["code"]) == (503, "PROVIDER_PAUSED")
    assert 0 < int(answer.headers["Retry-After"]) <= 900
    assert "account at fal is locked" in answer.json()["error"]
    assert paused.words.startswith("fal is paused: The account at fal is locked")
    assert "more min" in paused.words
    assert lifted
    assert not pauses.resume_provider("fal", ada, services)
    assert generation.outcome(waits, ana, services).job.status == "completed"
    assert [who for who, *_ in events(services, "provider_paused")] == [None]
    assert [(who, why) for who, _, _, why in events(services, "provider_resumed")] == [(ada.id, "topped up")]


def test_a_pause_ends_by_itself(services, ana, character):
    with services.db.as_service() as conn:
        models.pause(conn, "fal", "its balance is empty", seconds=60)
    with pytest.raises(ProviderPaused) as refusal:
        ask(services, ana, character)

    with services.db.as_service() as conn:
        conn.execute("UPDATE studio.provider_state SET paused_until = paused_until - interval '1 minute'")

    assert ask(services, ana, character).created
    assert 50 < refusal.value.retry_after <= 60


def test_where_everything_is_paused_the_plan_says_why_and_for_how_long(services, ana):
    with services.db.as_service() as conn:
        models.pause(conn, "fal", "its balance is empty", seconds=60)

    with pytest.raises(Exception, match=r"fal is paused: its balance is empty \(for 1 more min\)") as refusal:
        generation.preview(builders.a_request(builders.a_character(ana, services)), ana, services)

    assert (refusal.value.status, refusal.value.reason) == (503, "NO_IMAGE_MODEL")
    assert refusal.value.retry_after > 0


# ---- the command line


def test_an_admin_sets_lists_and_removes_budgets_sets_prices_and_resumes_on_the_command_line(services, ana):
    app = typer.Typer()
    money_cli.add_to(app, lambda: contextlib.nullcontext(services), Console(width=300))
    chosen = model(services, ana)
    with services.db.as_service() as conn:
        models.pause(conn, "fal", "its balance is empty", seconds=600)

    def say(*words):
        ended = CliRunner().invoke(app, list(words))
        assert ended.exit_code == 0, ended.output
        return ended.output

    made = say("budgets", "set", "20", "month", "--soft", "--why", "spring").removeprefix("Set: ").strip()
    listed = say("budgets", "list")
    say("budgets", "remove", made)
    say("prices", "set", chosen.model_key, "image", "0.75", "--source", "the maker's page")

    prices = {one.model.id: one.price for one in generation.models_for(ana, services)}
    assert "$20.00 a month, soft" in listed
    assert made in listed
    assert say("budgets", "list").strip() == "There are no budgets."
    assert prices[chosen.id] == Decimal("0.75")
    assert say("resume", "fal").strip() == "fal is sent to again."
    assert say("resume", "fal").strip() == "fal was not paused."
