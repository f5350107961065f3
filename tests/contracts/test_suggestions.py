"""Suggestions over a chat model on the wire and offline: what is proposed, what is dropped, and what it costs."""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest

from core import billing, budgets, pauses, recovery, suggestions
from core.budgets import Period
from core.db import models
from core.db import suggestions as rows_of_suggestions
from core.errors import (
    BadRequest,
    BadSuggestion,
    BudgetSpent,
    Conflict,
    NotAllowed,
    NotFound,
    OutcomeUnknown,
    PolicyRefused,
    ProviderBusy,
    ProviderPaused,
    ProviderRejected,
    SetupFailed,
    TooMany,
)
from core.providers.chat import Chat
from core.suggestions import FIELDS, Source, SuggestionRequest
from core.values import ModelId, PriceUnit, Role
from tests import builders
from tests.emulator import KEY
from tests.emulator.chat import WRITTEN
from tests.fix_services import served

MODEL = "maker/wordsmith"
CALL = "/functions/v1/character-suggestions"


@pytest.fixture
def chatting(services, fal):
    """Services whose suggestions are written by the emulator's chat model; it answers within a second or never."""
    with contextlib.closing(Chat(f"{fal.url}/chat/v1", KEY, MODEL, patience=1.0)) as chat:
        with services.db.as_service() as conn:
            rows_of_suggestions.insert_missing_model(conn, MODEL)
        yield replace(services, chat=chat)


@pytest.fixture
def ada(services):
    return builders.a_person(services.db, "ada", Role.admin)


@pytest.fixture
def character(services, ana):
    return builders.a_character(ana, services)


@pytest.fixture
def priced(chatting, ada, fal):
    """The model's prices, known to us and charged by the emulator."""
    model_id = ModelId(builders.one(chatting.db, "SELECT id FROM api_models WHERE model_key = %s", [MODEL]))
    for unit, usd in ((PriceUnit.million_input_tokens, "3"), (PriceUnit.million_output_tokens, "15")):
        billing.set_price(model_id, unit, Decimal(usd), ada, chatting, source="the maker's page")
    fal.chat(usd_in="3", usd_out="15")


def asked(wanted, character=None, **values):
    return SuggestionRequest(
        **({"wanted": wanted, "character_id": character and character.id, "fields": {}} | values)
    )


def spend(services):
    return builders.rows(
        services.db, "SELECT kind, amount_usd FROM studio.spend WHERE provider = 'chat' ORDER BY at, job_id"
    )


def say(fal, **answer):
    if "json" in answer:
        answer["content"] = json.dumps(answer.pop("json"))
    fal.chat(say=answer)


# ---- what is proposed


def test_a_proposal_stands_beside_the_present_text_and_changes_nothing(chatting, ana, character):
    made = suggestions.suggest(asked("description", character), ana, chatting)

    [proposal] = made.proposals
    assert (proposal.field, proposal.present, proposal.proposed) == (
        "description", character.description, WRITTEN,
    )  # fmt: skip
    assert (made.source, made.model, made.warnings) == (Source.chat, MODEL, ())
    assert builders.one(chatting.db, "SELECT description, version FROM characters") == (
        character.description, character.version,
    )  # fmt: skip


def test_all_fields_are_proposed_in_one_request_and_what_is_typed_goes_before_what_is_saved(
    chatting, ana, character, fal
):
    made = suggestions.suggest(asked("all", character, fields={"name": "Typed just now"}), ana, chatting)

    assert {one.field for one in made.proposals} == set(FIELDS)
    assert next(one.present for one in made.proposals if one.field == "name") == "Typed just now"
    [request] = fal.chat()["requests"]
    sent = json.loads(request["messages"][1]["content"])["character"]
    assert (sent["name"], sent["description"]) == ("Typed just now", character.description)
    assert request["response_format"]["json_schema"]["strict"] is True


def test_tags_arrive_sorted_into_body_and_outfit_whatever_the_model_mixed_up(chatting, ana, fal):
    say(
        fal,
        json={"appearance_tags": ["velvet cloak", "grey eyes"], "clothing_tags": ["freckles", "felt hat"]},
    )

    made = suggestions.suggest(asked("tags"), ana, chatting)

    assert {one.field: one.proposed for one in made.proposals} == {
        "appearance_tags": ("grey eyes", "freckles"),
        "clothing_tags": ("velvet cloak", "felt hat"),
    }


def test_a_late_answer_for_another_character_or_an_older_version_is_known_by_its_caller(
    chatting, ana, character
):
    made = suggestions.suggest(asked("name", character), ana, chatting)

    assert made.is_for(character.id, character.version)
    assert not made.is_for(character.id, character.version + 1)
    assert not made.is_for(uuid4(), character.version)
    assert not made.is_for(None, None)


@pytest.mark.parametrize("takes", [("json_object", "text"), ("text",)])
def test_an_endpoint_that_takes_no_schema_is_asked_another_way_and_remembered(chatting, ana, fal, takes):
    fal.chat(takes=takes, newer_limit=True)

    first = suggestions.suggest(asked("description"), ana, chatting)
    suggestions.suggest(asked("role"), ana, chatting)

    assert first.proposals[0].proposed == WRITTEN
    assert len(fal.chat()["requests"]) == 2
    forms = {(one.get("response_format") or {}).get("type", "text") for one in fal.chat()["requests"]}
    assert forms == {takes[0]}
    refused_before = 3 - len(takes)
    assert (
        fal.counts()["providers"]["chat"]["submits"] == 2 + refused_before + 1
    )  # and once for the limit's name


# ---- what does not hold


@pytest.mark.parametrize(
    "content",
    [
        'Of course! Here it is:\n```json\n{"name": "Florian Ember"}\n```\nShall I go on? {yes}',
        '{"thought": "short is better"} {"name": "  Florian Ember "}',
        '{"name": "Florian Ember", "hobby": "none of the fields"}',
    ],
)
def test_prose_around_the_json_and_keys_nobody_asked_for_do_no_harm(chatting, ana, fal, content):
    say(fal, content=content)

    made = suggestions.suggest(asked("name"), ana, chatting)

    assert [one.proposed for one in made.proposals] == ["Florian Ember"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"content": ""}, "SUGGESTION_UNUSABLE"),
        ({"content": None}, "SUGGESTION_UNUSABLE"),
        ({"content": "I would call her Florian."}, "SUGGESTION_UNUSABLE"),
        ({"json": {"name": 7}}, "SUGGESTION_UNUSABLE"),
        ({"json": {"name": "x" * 51}}, "SUGGESTION_UNUSABLE"),
        ({"json": {"nom": "Florian"}}, "SUGGESTION_UNUSABLE"),
        ({"json": ["Florian"]}, "SUGGESTION_UNUSABLE"),
        ({"content": '{"name": "Flor', "finish_reason": "length"}, "SUGGESTION_CUT"),
        ({"content": "{" * 5000, "finish_reason": "length"}, "SUGGESTION_CUT"),
        ({"content": None, "refusal": "I would rather not."}, "SUGGESTION_REFUSED"),
        ({"content": "", "finish_reason": "content_filter"}, "SUGGESTION_REFUSED"),
        ({"json": {"name": "Florian, 12 years old"}}, "SUGGESTION_POLICY"),
    ],
)
def test_an_answer_that_cannot_be_proposed_is_said_in_words_and_paid_for(
    chatting, ana, fal, priced, answer, reason
):
    say(fal, **answer)

    with pytest.raises(BadSuggestion) as refusal:
        suggestions.suggest(asked("name"), ana, chatting)

    assert refusal.value.reason == reason
    assert str(refusal.value).endswith(".")
    assert "12" not in str(refusal.value)
    [(kind, amount)] = spend(chatting)
    assert (kind, amount) == ("computed", Decimal(fal.chat()["charged"]))
    assert amount > 0


def test_a_part_that_breaks_the_rules_is_dropped_with_a_sentence_and_the_rest_is_proposed(chatting, ana, fal):
    say(
        fal,
        json={name: "Florian Ember" for name in FIELDS if not FIELDS[name].most}
        | {
            "description": "She is a schoolgirl, and here are enough letters for a description.",
            "voice_tone": "loud",
        },
    )

    made = suggestions.suggest(asked("all"), ana, chatting)

    found = {one.field for one in made.proposals}
    assert {"name", "role", "persona"} <= found
    assert not {"description", "voice_tone", "appearance_tags"} & found
    assert any("Description could be read as describing somebody under 18" in one for one in made.warnings)
    assert "The proposal for Tone did not fit its rules and was dropped." in made.warnings
    assert "schoolgirl" not in " ".join(made.warnings)


def test_words_that_describe_a_minor_only_beside_the_present_text_are_dropped_too(chatting, ana, fal):
    say(fal, json={"role": "age: 12"})

    with pytest.raises(BadSuggestion) as refusal:
        suggestions.suggest(asked("role", fields={"name": "Florian"}), ana, chatting)

    assert refusal.value.reason == "SUGGESTION_POLICY"


def test_a_character_whose_words_are_not_allowed_is_not_sent_anywhere(chatting, ana, fal):
    with pytest.raises(PolicyRefused) as refusal:
        suggestions.suggest(asked("name", fields={"description": "a schoolgirl"}), ana, chatting)

    assert refusal.value.field == "description"
    assert fal.chat()["requests"] == []
    assert spend(chatting) == []


# ---- what goes wrong on the wire


@pytest.mark.parametrize(
    ("fault", "error", "code", "cost"),
    [
        ({"kind": "rate_limited"}, ProviderBusy, "PROVIDER_BUSY", 0),
        ({"kind": "server_error", "status": 503, "accepted": False}, ProviderBusy, "PROVIDER_BUSY", 0),
        ({"kind": "bad_key"}, ProviderRejected, "BAD_KEY", 0),
        ({"kind": "balance_empty"}, ProviderRejected, "BALANCE_EMPTY", 0),
        ({"kind": "refused", "type": "flat"}, ProviderRejected, "INVALID_INPUT", 0),
        ({"kind": "refused", "type": "text"}, ProviderRejected, "INVALID_INPUT", 0),
        ({"kind": "refused", "type": "page", "status": 422}, ProviderRejected, "INVALID_INPUT", 0),
        ({"kind": "refused", "type": "flagged by moderation", "status": 403}, ProviderRejected, "CONTENT_REFUSED", 0),
        ({"kind": "refused", "type": "not for you", "status": 403}, ProviderRejected, "NOT_PERMITTED", 0),
        ({"kind": "refused", "type": "model not found", "status": 404}, ProviderRejected, "MODEL_UNKNOWN", 0),
        ({"kind": "server_error", "status": 500, "accepted": False}, OutcomeUnknown, "OUTCOME_UNKNOWN", None),
        ({"kind": "reset_before"}, OutcomeUnknown, "OUTCOME_UNKNOWN", None),
        ({"kind": "reset_after"}, OutcomeUnknown, "OUTCOME_UNKNOWN", None),
        ({"kind": "unreadable"}, OutcomeUnknown, "OUTCOME_UNKNOWN", None),
        ({"kind": "hang"}, OutcomeUnknown, "OUTCOME_UNKNOWN", None),
        ({"kind": "slow", "seconds": 1.6}, OutcomeUnknown, "OUTCOME_UNKNOWN", None),
    ],
)  # fmt: skip
def test_each_failure_is_one_of_ours_leaves_once_and_costs_what_is_known(
    chatting, ana, fal, priced, fault, error, code, cost
):
    fal.fault("submit", **fault)

    with pytest.raises(error) as failure:
        suggestions.suggest(asked("name"), ana, chatting)

    assert failure.value.reason == code
    assert KEY not in str(failure.value)
    assert fal.counts()["providers"]["chat"]["submits"] == 1
    assert spend(chatting) == [("computed", None if cost is None else Decimal(cost))]


def test_an_error_inside_a_good_answer_is_an_error_that_may_have_been_charged(chatting, ana, fal, priced):
    say(fal, error={"code": 502, "message": "the provider went away"})

    with pytest.raises(ProviderRejected) as failure:
        suggestions.suggest(asked("name"), ana, chatting)

    assert failure.value.reason == "PROVIDER_FAILED"
    assert spend(chatting) == [("computed", None)]


def test_an_empty_account_pauses_suggestions_for_everybody_until_an_admin_lifts_it(
    chatting, ana, ben, ada, fal
):
    fal.fault("submit", "balance_empty")
    with pytest.raises(ProviderRejected):
        suggestions.suggest(asked("name"), ana, chatting)

    with pytest.raises(
        ProviderPaused, match=r"The suggestion model is paused: The account .* is empty"
    ) as paused:
        suggestions.suggest(asked("name"), ben, chatting)
    pauses.resume_provider("chat", ada, chatting, why="topped up")

    assert paused.value.retry_after > 0
    assert suggestions.suggest(asked("name"), ben, chatting).proposals
    assert fal.counts()["providers"]["chat"]["submits"] == 2


# ---- money


def test_tokens_are_priced_to_the_micro_dollar_as_the_bill_has_them(chatting, ana, character, fal, priced):
    made = [
        suggestions.suggest(asked(one, character), ana, chatting) for one in ("name", "description", "all")
    ]

    charged = Decimal(fal.chat()["charged"])
    assert sum(one.cost_usd for one in made) == charged
    assert sum(amount for _, amount in spend(chatting)) == charged
    assert charged > 0


def test_dollars_that_the_endpoint_names_go_before_our_own_sum(chatting, ana, fal):
    fal.chat(usd_in="3", usd_out="15", tells_cost=True)

    made = suggestions.suggest(asked("name"), ana, chatting)

    assert made.cost_usd == Decimal(fal.chat()["charged"])
    assert spend(chatting) == [("billed", made.cost_usd)]


@pytest.mark.parametrize("tells", [True, False])
def test_without_a_price_or_a_count_the_cost_is_unknown(chatting, ana, fal, request, tells):
    fal.chat(tells_usage=tells)
    if not tells:
        request.getfixturevalue("priced")

    made = suggestions.suggest(asked("name"), ana, chatting)

    assert made.cost_usd is None
    assert spend(chatting) == [("computed", None)]


def test_a_hard_budget_stops_a_suggestion_before_it_is_sent(chatting, ana, ada, fal, priced):
    budgets.save(Decimal("0.0001"), Period.day, ada, chatting)

    with pytest.raises(BudgetSpent):
        suggestions.suggest(asked("name"), ana, chatting)

    assert fal.chat()["requests"] == []


def test_under_a_hard_budget_a_model_of_unknown_price_needs_a_reserve(chatting, ana, ada):
    budgets.save(Decimal(1), Period.day, ada, chatting)

    with pytest.raises(BudgetSpent) as refusal:
        suggestions.suggest(asked("name"), ana, chatting)

    assert refusal.value.reason == "PRICE_UNKNOWN"


def test_a_soft_budget_warns_of_a_suggestion_and_stops_nothing(chatting, ana, ada, priced):
    budgets.save(Decimal("0.001"), Period.day, ada, chatting, hard=False)

    made = suggestions.suggest(asked("name"), ana, chatting)

    assert made.proposals
    assert any("The shared budget of $0.00 a day is used up" in warning for warning in made.warnings)


def test_the_same_key_buys_once_and_another_request_under_it_is_refused(
    chatting, ana, character, fal, priced
):
    request = asked("name", character, idempotency_key="one click")

    first = suggestions.suggest(request, ana, chatting)
    again = suggestions.suggest(request, ana, chatting)
    with pytest.raises(Conflict) as other:
        suggestions.suggest(replace(request, wanted="role"), ana, chatting)

    assert again == first
    assert other.value.reason == "IDEMPOTENCY_KEY_REUSED"
    assert len(fal.chat()["requests"]) == 1


def test_a_key_answers_what_it_bought_although_the_character_was_saved_and_the_model_paused_since(
    chatting, ana, character, fal
):
    request = asked("name", character, idempotency_key="one click")
    first = suggestions.suggest(request, ana, chatting)
    with chatting.db.as_service() as conn:
        conn.execute(
            "UPDATE public.characters SET name = 'Marlow Fen', version = version + 1 WHERE id = %s",
            (character.id,),
        )
        models.pause(conn, Chat.name, "its key was refused", seconds=60)

    again = suggestions.suggest(request, ana, chatting)

    assert again == first
    assert again.version == character.version
    assert len(fal.chat()["requests"]) == 1


def test_a_key_whose_answer_was_lost_buys_nothing_again(chatting, ana, fal):
    fal.fault("submit", "reset_after")
    request = asked("name", idempotency_key="one click")
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            suggestions.suggest(request, ana, chatting)

    assert fal.counts()["providers"]["chat"]["submits"] == 1


def test_recovery_settles_a_suggestion_whose_process_died_and_forgets_answers_after_a_day(
    chatting, ana, character
):
    suggestions.suggest(asked("role", character), ana, chatting)
    suggestions.suggest(asked("role", character), ana, chatting)
    lost, old = (
        row[0] for row in builders.rows(chatting.db, "SELECT id FROM studio.suggestions ORDER BY asked_at")
    )
    with chatting.db.as_service() as conn:
        conn.execute("ALTER TABLE studio.cost_entries DISABLE TRIGGER USER")
        conn.execute("DELETE FROM studio.cost_entries WHERE job_id = %s AND kind <> 'estimated'", [lost])
        conn.execute("ALTER TABLE studio.cost_entries ENABLE TRIGGER USER")
        conn.execute(
            "UPDATE studio.suggestions SET outcome = NULL, answer = NULL, asked_at = now() - interval '11 minutes'"
            " WHERE id = %s",
            [lost],
        )
        conn.execute(
            "UPDATE studio.suggestions SET asked_at = now() - interval '25 hours' WHERE id = %s", [old]
        )

    recovery.recover(chatting)

    found = builders.rows(
        chatting.db, "SELECT id, outcome, answer FROM studio.suggestions ORDER BY asked_at DESC"
    )
    assert found == [(lost, "unknown", None), (old, "answered", None)]
    computed = builders.rows(
        chatting.db,
        "SELECT amount_usd FROM studio.cost_entries WHERE job_id = %s AND kind = 'computed'",
        [lost],
    )
    assert computed == [(None,)]


def test_a_double_click_under_one_key_buys_once(chatting, ana, fal):
    fal.fault("submit", "slow", seconds=0.5)
    request = asked("name", idempotency_key="one click")

    def click(_):
        try:
            return suggestions.suggest(request, ana, chatting).proposals[0].proposed
        except Conflict as refusal:
            return refusal.reason

    with ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(click, range(2)))

    assert answers == ["Florian Ember", "IN_PROGRESS"]
    assert len(fal.chat()["requests"]) == 1


def test_one_person_has_five_suggestions_on_their_way_at_most(chatting, ana, fal):
    with chatting.db.as_service() as conn:
        for _ in range(5):
            conn.execute(
                "INSERT INTO studio.suggestions (user_id, wanted, fingerprint, model_key) VALUES (%s, 'name', 'x', 'x')",
                (ana.id,),
            )

    with pytest.raises(TooMany):
        suggestions.suggest(asked("name"), ana, chatting)

    assert fal.chat()["requests"] == []


# ---- who may


def test_somebody_elses_character_gets_no_suggestion_and_a_customer_none_at_all(
    chatting, ben, customer, character, fal
):
    with pytest.raises(NotFound):
        suggestions.suggest(asked("name", character), ben, chatting)
    with pytest.raises(NotAllowed):
        suggestions.suggest(asked("name"), customer, chatting)

    assert fal.chat()["requests"] == []


def test_an_answer_is_read_by_nobody_else(chatting, ana, ben):
    suggestions.suggest(asked("name"), ana, chatting)

    with chatting.db.as_user(ben) as conn:
        assert conn.execute("SELECT count(*) FROM studio.suggestions").fetchone() == (0,)


@pytest.mark.parametrize("wanted", ["", "image_url", "__class__", "All"])
def test_what_is_no_field_is_refused(chatting, ana, wanted):
    with pytest.raises(BadRequest) as refusal:
        suggestions.suggest(asked(wanted), ana, chatting)

    assert refusal.value.field == "field"


def test_an_endpoint_without_a_model_is_a_wrong_setting():
    with pytest.raises(SetupFailed, match="CHAT_MODEL"):
        Chat("http://127.0.0.1:1/v1", None, " ")


# ---- offline


def test_without_an_endpoint_proposals_are_made_here_marked_and_free(services, ana, character):
    first = suggestions.suggest(asked("all", character), ana, services)
    same = suggestions.suggest(asked("all", character), ana, services)
    next_turn = suggestions.suggest(asked("all", character, turn=1), ana, services)

    assert (first.source, first.model, first.cost_usd) == (Source.offline, "offline", Decimal(0))
    assert {one.field for one in first.proposals} == set(FIELDS)
    assert first.proposals == same.proposals
    assert first.proposals != next_turn.proposals
    name, prompt = (
        next(p.proposed for p in first.proposals if p.field == one) for one in ("name", "system_prompt")
    )
    assert name in prompt  # what is proposed together fits together
    assert builders.rows(services.db, "SELECT 1 FROM studio.cost_entries") == []


# ---- over HTTP


def test_the_call_answers_proposals_as_the_page_shows_them(chatting, ana, character, priced):
    with served(chatting) as app:
        answer = app.as_(ana).post(
            CALL,
            json={"characterId": str(character.id), "field": "tags"},
            headers={"Idempotency-Key": "a click"},
        )

    body = answer.json()
    assert answer.status_code == 200
    assert [(one["field"], one["proposed"]) for one in body["suggestions"]] == [
        ("appearance_tags", ["grey eyes", "soot on the cheek"]),
        ("clothing_tags", ["long wool coat"]),
    ]
    assert body["suggestions"][0]["present"] == list(character.appearance_tags)
    assert (body["success"], body["source"], body["version"]) == (True, "chat", character.version)
    assert Decimal(body["costUsd"]) > 0


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"field": "shoe size"}, 400, "BAD_REQUEST"),
        ({"characterData": {"name": 7}}, 400, "BAD_REQUEST"),
        ({"characterData": {"description": "a schoolgirl"}}, 422, "POLICY_MINOR"),
        ({"characterId": str(uuid4())}, 404, "NOT_FOUND"),
    ],
)
def test_the_call_refuses_in_the_form_of_every_other(app, ana, body, status, code):
    answer = app.as_(ana).post(CALL, json=body)

    assert (answer.status_code, answer.json()["success"], answer.json()["code"]) == (status, False, code)


def test_the_call_needs_somebody_signed_in(app):
    answer = app.as_(None).post(CALL, json={"field": "name"})

    assert (answer.status_code, answer.json()["code"]) == (401, "MISSING_AUTH")


def test_a_busy_model_tells_the_caller_when_to_come_back(chatting, ana, fal):
    fal.fault("submit", "rate_limited", retry_after="7")
    with served(chatting) as app:
        answer = app.as_(ana).post(CALL, json={"field": "name"})

    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (
        503,
        "PROVIDER_BUSY",
        "7",
    )
