"""What an admin changes by hand: models and prices, providers, a team's own options. Every change is recorded, and the
second of two who change the same is told and loses nothing.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from core import budgets, generation, options, pauses
from core.admin import models, providers
from core.admin.models import PriceState
from core.budgets import Period
from core.db import models as db_models
from core.errors import BadRequest, Conflict, NotAllowed, NotFound, PolicyRefused, ProviderPaused
from core.options import NewOption
from core.values import PriceUnit, Role
from tests import builders
from tests.builders import one, rows

FLUX = "fal-ai/flux/dev"
SEEDREAM = "fal-ai/bytedance/seedream/v4/text-to-image"


@pytest.fixture
def ada(services):
    """An admin."""
    return builders.a_person(services.db, "ada", Role.admin)


@pytest.fixture
def amir(services):
    """Another admin."""
    return builders.a_person(services.db, "amir", Role.admin)


def row(services, person, key=FLUX):
    return next(found for found in models.listing(person, services) if found.model_key == key)


def change(services, person, seen, *, why="a test", **values):
    return models.change(
        seen.id, replace(models.as_it_is(seen), **values), person, services, seen=seen.seen, why=why
    )


def events(services, action):
    return rows(
        services.db,
        "SELECT who, before, after, why FROM studio.audit_events WHERE action = %s ORDER BY id",
        (action,),
    )


def effect(services, person, seen, task="generation", **values):
    found = models.effects(seen.id, replace(models.as_it_is(seen), **values), person, services)
    return next(shown for shown in found if shown.task == task)


# ---- models


def test_a_change_of_a_model_counts_for_the_next_picture_and_is_recorded(services, ana, ada):
    asked = builders.a_request(builders.a_character(ana, services))
    before = generation.preview(asked, ana, services).model.model_key
    seen = row(services, ada)

    assert change(services, ada, seen, priority=500, why="cheaper this month")

    assert (before, generation.preview(asked, ana, services).model.model_key) == (SEEDREAM, FLUX)
    assert events(services, "model_changed") == [
        (ada.id, {"priority": seen.priority}, {"priority": 500}, "cheaper this month")
    ]


def test_what_a_change_does_to_routing_is_shown_before_it_is_made(services, ana, ada):
    seen = row(services, ada, SEEDREAM)
    asked = builders.a_request(builders.a_character(ana, services))

    shown = effect(services, ada, seen, is_on=False)

    assert generation.preview(asked, ana, services).reason == shown.before
    assert shown.changes
    assert events(services, "model_changed") == []
    change(services, ada, seen, is_on=False)
    assert generation.preview(asked, ana, services).reason == shown.after


def test_the_last_model_of_a_task_going_off_is_said_before(services, ada):
    for found in models.listing(ada, services):
        if found.provider == "fal" and found.model_key != FLUX:
            change(services, ada, found, is_on=False)

    shown = effect(services, ada, row(services, ada), is_on=False)

    assert shown.changes
    assert "No model can make this picture" in shown.after


def test_of_two_admins_the_second_is_told_and_the_first_ones_change_stands(services, ada, amir):
    seen = row(services, ada)
    change(services, ada, seen, priority=20)

    with pytest.raises(Conflict) as late:
        change(services, amir, seen, is_on=False)

    assert late.value.reason == "CHANGED_MEANWHILE"
    now = row(services, ada)
    assert (now.priority, now.is_on) == (20, True)
    assert len(events(services, "model_changed")) == 1


def test_two_admins_at_the_same_moment_make_one_change(services, ada, amir):
    seen, told = row(services, ada), []

    def tries(person, priority):
        try:
            told.append(change(services, person, seen, priority=priority))
        except Conflict as late:
            told.append(late.reason)

    threads = [threading.Thread(target=tries, args=one) for one in ((ada, 31), (amir, 32))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(str, told)) == ["CHANGED_MEANWHILE", "True"]
    assert len(events(services, "model_changed")) == 1


def test_what_the_platform_wrote_meanwhile_is_not_overwritten(services, ada, dsn):
    seen = row(services, ada)
    with builders.as_platform(dsn, "service_role") as conn:
        conn.execute(
            "UPDATE api_models SET capabilities = capabilities || '{\"theirs\": 1}' WHERE id = %s", (seen.id,)
        )

    with pytest.raises(Conflict):
        change(services, ada, seen, priority=9)

    assert row(services, ada).capabilities["theirs"] == 1


def test_what_we_do_not_know_of_a_models_row_stays_in_it(services, ada):
    seen = row(services, ada)
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE api_models SET capabilities = capabilities || '{\"theirs\": [1.50, null]}' WHERE id = %s",
            (seen.id,),
        )
    seen = row(services, ada)

    change(services, ada, seen, capabilities={**seen.capabilities, "supports_negative": True})

    can = row(services, ada).capabilities
    assert (can["theirs"], can["supports_negative"]) == ([1.5, None], True)


def test_a_change_is_undone_where_it_still_stands_and_not_where_it_was_built_upon(services, ada, amir):
    was = row(services, ada)
    change(services, ada, was, priority=77)
    [event] = models.history(was.id, ada, services)

    assert models.undo(was.id, event.id, amir, services, why="a slip")
    assert row(services, ada).priority == was.priority
    change(services, ada, row(services, ada), priority=78)
    second = models.history(was.id, ada, services)[0]
    change(services, ada, row(services, ada), priority=79)
    with pytest.raises(Conflict):
        models.undo(was.id, second.id, ada, services, why="too late")

    assert row(services, ada).priority == 79
    assert [why for *_, why in events(services, "model_changed")] == ["a test", "a slip", "a test", "a test"]


def test_undoing_leaves_what_others_changed_beside_it(services, ada):
    was = row(services, ada)
    change(services, ada, was, priority=77)
    event = models.history(was.id, ada, services)[0]
    change(services, ada, row(services, ada), is_on=False)

    models.undo(was.id, event.id, ada, services, why="a slip")

    assert (row(services, ada).priority, row(services, ada).is_on) == (was.priority, False)


def test_the_same_again_changes_and_records_nothing(services, ada):
    assert not change(services, ada, row(services, ada))
    assert events(services, "model_changed") == []


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"priority": 2000}, "priority"),
        ({"capabilities": {"needs_reference": True}}, "capabilities"),
        ({"capabilities": {"supports_i2i": True, "max_reference_images": 0}}, "capabilities"),
        ({"capabilities": {"max_resolution": "99999"}}, "capabilities"),
        ({"priority": 3, "why": "  "}, "why"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_its_field(services, ada, values, field):
    with pytest.raises(BadRequest) as refusal:
        change(services, ada, row(services, ada), **values)

    assert refusal.value.field == field
    assert events(services, "model_changed") == []


def test_a_new_model_begins_switched_off_with_what_its_pattern_can(services, ada):
    pattern = row(services, ada)

    made = models.add(pattern.id, "fal-ai/flux/next", "FLUX next", ada, services, why="it came out")

    found = row(services, ada, "fal-ai/flux/next")
    assert (found.id, found.is_on, found.provider) == (made, False, "fal")
    assert (found.capabilities, found.default_for_tasks) == (pattern.capabilities, pattern.default_for_tasks)
    [(who, before, after, why)] = events(services, "model_added")
    assert (who, before, after["model_key"], why) == (ada.id, None, "fal-ai/flux/next", "it came out")
    with pytest.raises(Conflict) as twice:
        models.add(pattern.id, "fal-ai/flux/next", "Again", ada, services, why="x")
    assert twice.value.reason == "MODEL_EXISTS"


@pytest.mark.parametrize("role", [Role.editor, Role.qa, Role.product])
def test_only_an_admin_changes_models_prices_and_pauses(services, ada, role):
    person, seen = builders.a_person(services.db, "other", role), row(services, ada)

    for attempt in (
        lambda: change(services, person, seen, priority=1),
        lambda: models.add(seen.id, "a/b", "B", person, services, why="x"),
        lambda: models.set_price(seen.id, PriceUnit.image, Decimal(1), person, services, seen=[], source="x"),
        lambda: providers.pause("fal", person, services, seen=None, lasting=None, why="x"),
    ):
        with pytest.raises(NotAllowed):
            attempt()

    assert row(services, ada) == seen


# ---- prices


def set_price(services, person, model_id, usd, **values):
    seen = [found.id for found in models.prices(model_id, person, services)]
    named = {"seen": seen, "source": "their page"} | values
    return models.set_price(model_id, PriceUnit.image, usd, person, services, **named)


def test_a_price_that_begins_later_is_what_a_job_costs_from_then_on_and_not_before(services, ana, ada):
    chosen = row(services, ada)
    now_id = set_price(services, ada, chosen.id, Decimal("0.02"))
    later = set_price(
        services, ada, chosen.id, Decimal("0.05"), valid_from=datetime.now(UTC) + timedelta(hours=1)
    )
    character = builders.a_character(ana, services)
    first = builders.a_finished_portrait(ana, services, character, model_id=chosen.id)

    with services.db.as_service() as conn:  # an hour passes
        conn.execute(
            "UPDATE studio.model_prices SET valid_from = now() - interval '1 second' WHERE id = %s", (later,)
        )
        conn.execute(
            "UPDATE studio.model_prices SET valid_from = now() - interval '1 h' WHERE id = %s", (now_id,)
        )
    second = builders.a_finished_portrait(ana, services, character, model_id=chosen.id)

    assert (first.cost_usd, second.cost_usd) == (Decimal("0.02"), Decimal("0.05"))
    computed = "SELECT price_id FROM studio.cost_entries WHERE job_id = %s AND kind = 'computed'"
    assert one(services.db, computed, (first.job.id,)) == now_id
    assert one(services.db, computed, (second.job.id,)) == later


def test_prices_say_which_one_counts(services, ada):
    chosen = row(services, ada)
    now_id = set_price(services, ada, chosen.id, Decimal("0.02"))
    later = set_price(services, ada, chosen.id, None, valid_from=datetime.now(UTC) + timedelta(days=1))

    found = models.prices(chosen.id, ada, services)
    states = models.states(found, datetime.now(UTC))

    assert (states[now_id], states[later]) == (PriceState.valid, PriceState.coming)
    assert {state for price, state in states.items() if price not in {now_id, later}} <= {PriceState.over}
    assert next(price.usd for price in found if price.id == later) is None


def test_a_price_is_withdrawn_before_it_begins_and_never_after(services, ada):
    chosen = row(services, ada)
    now_id = set_price(services, ada, chosen.id, Decimal("0.02"))
    later = set_price(
        services, ada, chosen.id, Decimal("0.5"), valid_from=datetime.now(UTC) + timedelta(days=1)
    )

    models.withdraw_price(later, ada, services, why="a slip")
    with pytest.raises(Conflict) as began:
        models.withdraw_price(now_id, ada, services, why="a slip")

    assert began.value.reason == "PRICE_BEGAN"
    assert later not in {price.id for price in models.prices(chosen.id, ada, services)}
    [(who, before, after, why)] = events(services, "price_withdrawn")
    assert (who, Decimal(str(before["price"])), after, why) == (ada.id, Decimal("0.5"), None, "a slip")
    with pytest.raises(NotFound):
        models.withdraw_price(later, ada, services, why="again")


def test_two_admins_who_set_a_price_do_not_hide_each_others(services, ada, amir):
    chosen = row(services, ada)
    seen = [found.id for found in models.prices(chosen.id, ada, services)]
    set_price(services, ada, chosen.id, Decimal("0.02"))

    with pytest.raises(Conflict) as late:
        set_price(services, amir, chosen.id, Decimal("0.03"), seen=seen)

    assert late.value.reason == "CHANGED_MEANWHILE"
    assert len(events(services, "price_set")) == 1


@pytest.mark.parametrize(
    ("usd", "values", "field"),
    [
        (Decimal(-1), {}, "price"),
        (Decimal(1), {"source": " "}, "source"),
        (Decimal(1), {"size": "big"}, "size"),
        (Decimal(1), {"valid_from": datetime(2020, 1, 1, tzinfo=UTC)}, "valid_from"),
    ],
)
def test_a_price_that_cannot_be_is_refused_by_its_field(services, ada, usd, values, field):
    with pytest.raises(BadRequest) as refusal:
        set_price(services, ada, row(services, ada).id, usd, **values)

    assert refusal.value.field == field


def test_a_second_price_for_the_same_moment_is_refused_in_words(services, ada):
    moment, chosen = datetime.now(UTC) + timedelta(days=1), row(services, ada)
    set_price(services, ada, chosen.id, Decimal("0.02"), valid_from=moment)

    with pytest.raises(Conflict) as twice:
        set_price(services, ada, chosen.id, Decimal("0.03"), valid_from=moment)

    assert twice.value.reason == "PRICE_EXISTS"


# ---- providers


def pause(services, person, *, seen=None, lasting=timedelta(days=1), why="their incident 7"):
    providers.pause("fal", person, services, seen=seen, lasting=lasting, why=why)


def stand(services, person, name="fal"):
    return next(found for found in providers.listing(person, services) if found.name == name)


def test_nothing_is_sent_to_a_paused_provider_and_what_waits_goes_on_when_it_is_resumed(
    services, ana, ada, fal
):
    character = builders.a_character(ana, services)
    waits = builders.a_waiting_job(ana, services, character).job_id

    pause(services, ada)
    builders.work(services)

    assert fal.counts()["accepted"] == 0
    assert not generation.outcome(waits, ana, services).job.status.is_final
    with pytest.raises(ProviderPaused, match="their incident 7"):
        builders.a_waiting_job(ana, services, character, model_id=row(services, ada).id)
    assert pauses.resume_provider("fal", ada, services, why="it is over")
    builders.work(services)
    assert generation.outcome(waits, ana, services).job.status == "completed"
    [(who, _, _, why)] = events(services, "provider_paused")
    assert (who, why) == (ada.id, "their incident 7")


def test_an_admins_pause_outlives_a_worker_that_starts_and_a_refusal_that_would_shorten_it(services, ada):
    pause(services, ada, lasting=None)

    with services.db.as_service() as conn:
        db_models.resume(conn, ["fal"])
        db_models.pause(conn, "fal", "its balance is empty", seconds=60)

    now = stand(services, ada)
    assert now.pause.paused_by == ada.id
    assert now.pause_words == "their incident 7 (until an admin resumes it)"


def test_a_pause_of_the_studios_own_is_lifted_by_a_worker_that_starts(services, ada):
    pause(services, ada)
    pauses.resume_provider("fal", ada, services)
    with services.db.as_service() as conn:
        db_models.pause(conn, "fal", "its balance is empty", seconds=600)
        assert stand(services, ada).pause is None  # not committed yet
    assert stand(services, ada).pause.paused_by is None
    with services.db.as_service() as conn:
        db_models.resume(conn, ["fal"])

    assert stand(services, ada).pause is None


def test_of_two_who_pause_the_second_is_told(services, ada, amir):
    pause(services, ada)

    with pytest.raises(Conflict):
        pause(services, amir, lasting=timedelta(hours=1))
    pause(
        services,
        amir,
        seen=stand(services, ada).pause.paused_until,
        lasting=timedelta(hours=1),
        why="shorter",
    )

    assert stand(services, ada).pause.why == "shorter"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"why": ""}, "why"),
        ({"lasting": timedelta()}, "lasting"),
        ({"lasting": timedelta(days=999)}, "lasting"),
    ],
)
def test_a_pause_that_cannot_be_is_refused(services, ada, values, field):
    with pytest.raises(BadRequest) as refusal:
        pause(services, ada, **values)

    assert refusal.value.field == field


def test_a_provider_says_whether_it_has_a_key_and_what_failed_last_and_never_the_key(services, ana, ada, fal):
    fal.fault("submit", "balance_empty")
    builders.a_waiting_job(ana, services, builders.a_character(ana, services))
    builders.work(services)

    there, absent = stand(services, ada), stand(services, ada, "replicate")

    assert (there.has_key, there.limit, absent.has_key, absent.limit) == (
        True,
        services.settings.fal_limit,
        False,
        None,
    )
    assert "account at fal is locked" in there.last_error.sentence
    assert (absent.models > 0, absent.last_error) == (True, None)


# ---- a team's own options


def added(services, person, **values):
    named = {
        "category": "body",
        "value": "Wiry",
        "label": "Wiry",
        "words": "wiry build",
        "tags": ("wiry",),
    } | values
    return options.add(NewOption(**named), person, services)


def test_a_teams_own_option_is_changed_and_recorded_and_keeps_its_name(services, ada):
    seen = added(services, ada)
    wanted = NewOption(
        category="age", value="Other", label="Wiry and strong", words="wiry, strong build", tags=("strong",)
    )

    assert options.change(seen, wanted, ada, services, place=-1)

    found = next(
        value for value in options.catalog(services).category("body").values if value.value == "Wiry"
    )
    assert (found.label, found.words, found.tags) == ("Wiry and strong", "wiry, strong build", ("strong",))
    [(who, before, after, _)] = events(services, "attribute_option_changed")
    assert (who, before["words"], after["words"], after["place"]) == (
        ada.id,
        "wiry build",
        "wiry, strong build",
        -1,
    )
    with pytest.raises(Conflict):
        options.change(seen, wanted, ada, services, place=0)


def test_a_teams_own_options_stand_in_their_places(services, ada):
    first, second = (
        added(services, ada),
        added(services, ada, value="Lanky", label="Lanky", words="lanky build"),
    )

    options.change(
        first,
        NewOption(category="body", value="", label="Wiry", words="wiry build", tags=("wiry",)),
        ada,
        services,
        place=5,
    )

    assert [value.value for value in options.catalog(services).category("body").values][-2:] == [
        "Lanky",
        "Wiry",
    ]
    assert second.place == 0


@pytest.mark.parametrize("words", ["a schoolgirl's build", "nude, wiry"])
def test_an_option_is_changed_to_a_clothed_adult_only(services, ada, words):
    seen = added(services, ada)

    with pytest.raises(PolicyRefused):
        options.change(
            seen, NewOption(category="body", value="Wiry", label="Wiry", words=words), ada, services, place=0
        )


def test_what_ships_is_not_changed(services, ada):
    with services.db.as_service() as conn:
        shipped = next(found for found in options.listing(conn, services.catalog) if found.value == "Slim")

    with pytest.raises(NotFound):
        options.change(
            shipped, NewOption(category="body", value="Slim", label="S", words="slim"), ada, services, place=0
        )


# ---- budgets


def test_of_two_who_set_the_same_budget_the_second_is_told(services, ada, amir):
    wanted = {"of": None, "hard": True, "reserve_usd": None, "why": "x"}
    budgets.change(None, Decimal(20), Period.day, ada, services, **wanted)
    [seen] = budgets.listing(ada, services)

    with pytest.raises(Conflict):
        budgets.change(None, Decimal(30), Period.day, amir, services, **wanted)
    budgets.change(seen, Decimal("25.5"), Period.day, ada, services, **wanted)
    with pytest.raises(Conflict) as late:
        budgets.change(seen, Decimal(30), Period.day, amir, services, **wanted)

    assert late.value.reason == "CHANGED_MEANWHILE"
    assert [found.limit_usd for found in budgets.listing(ada, services)] == [Decimal("25.5")]
    assert len(events(services, "budget_set")) == 2
