"""Whatever a browser's script sends with an event is a stranger's word."""

from decimal import Decimal
from uuid import uuid4

import gradio as gr
import pytest

from core.auth import LOCAL_PERSON
from core.errors import BadRequest, Conflict
from studio import asking, attributes_page, calls, create_page, editor, header, prompt_bar, proposing, scenes


def event(**data: object) -> gr.EventData:
    return gr.EventData(None, data)


@pytest.mark.parametrize("sent", [None, 7, "", "../../etc", ["x"], {"id": 1}])
def test_what_is_no_id_is_refused(sent: object):
    with pytest.raises(BadRequest):
        asking.sent_id(event(id=sent))


@pytest.mark.parametrize("sent", [None, "abc", ["not-an-id"], ["0" * 32] * 3])
def test_what_is_no_short_list_of_ids_is_refused(sent: object):
    with pytest.raises(BadRequest):
        asking.sent_ids(event(ids=sent), "ids", most=2)


@pytest.mark.parametrize(
    "sent",
    [
        None,
        {},
        "name",
        {"user_id": "me"},
        {"name": "Mira", "version": 9},
        {"appearance_tags": "one, two"},
        {"clothing_tags": ["x"] * 1000},
        {"description": "x" * 100_000},
    ],
)
def test_fields_the_editor_does_not_have_or_cannot_hold_are_refused(sent: object):
    with pytest.raises(BadRequest):
        editor.sent_fields(event(changes=sent))


def test_text_arrives_as_text_and_an_emptied_role_as_none():
    changes = editor.sent_fields(event(changes={"name": 12, "role": "  ", "appearance_tags": ["a", 3]}))

    assert changes == {"name": "12", "role": None, "appearance_tags": ("a", "3")}


@pytest.mark.parametrize("sent", [None, "3", True, 1.5])
def test_a_version_is_a_whole_number(sent: object):
    with pytest.raises(BadRequest):
        editor._version(event(version=sent))


@pytest.mark.parametrize("sent", [None, "", "x", {}, {"chosen": ""}, {"chosen": None}])
def test_no_chosen_model_leaves_the_choice_to_the_rules(sent: object):
    assert prompt_bar._picked(sent) is None


def test_a_chosen_model_that_is_no_id_is_refused():
    with pytest.raises(BadRequest):
        prompt_bar._picked({"chosen": "flux; drop table"})


def test_an_error_reaches_the_page_as_its_sentence_and_never_as_markup():
    with pytest.raises(gr.Error) as shown, asking.told():
        raise Conflict("Somebody <b>else</b> saved.")

    assert shown.value.message == "Somebody &lt;b&gt;else&lt;/b&gt; saved."


def test_a_bug_is_an_apology_on_the_page_and_shows_nothing_of_itself():
    with pytest.raises(gr.Error) as shown, asking.told():
        raise KeyError("secret-of-the-house")

    assert "secret-of-the-house" not in str(shown.value.message)
    assert "ours" in str(shown.value.message)


@pytest.mark.parametrize("sent", [{"alternate_greetings": "hello"}, {"voice_examples": ["x"] * 1000}])
def test_lists_of_texts_come_as_lists_of_a_bounded_length(sent: object):
    with pytest.raises(BadRequest):
        editor.sent_fields(event(changes=sent))


def test_an_emptied_choice_and_an_emptied_list_are_nothing():
    changes = editor.sent_fields(event(changes={"voice_tone": "", "forbidden_phrases": []}))

    assert changes == {"voice_tone": None, "forbidden_phrases": ()}


@pytest.mark.parametrize("sent", [None, "", "adult", 1, ["sfw"]])
def test_a_rating_is_one_of_ours(sent: object):
    with pytest.raises(BadRequest):
        editor._rating(event(rating=sent))


@pytest.mark.parametrize("sent", [None, "name", {"user_id": "me"}, {"is_public": True}])
def test_a_suggestion_is_told_of_fields_of_the_form_only(sent: object):
    with pytest.raises(BadRequest):
        proposing._given(sent)


def test_a_text_too_long_to_be_told_is_left_to_what_is_saved():
    given = proposing._given(
        {"persona": "x" * 5000, "role": "Pilot", "content_rating": "sfw", "voice_examples": ["a", 3]}
    )

    assert given == {"role": "Pilot", "voice_examples": ("a", "3")}


def test_an_unknown_template_is_refused_and_none_is_an_empty_draft():
    with pytest.raises(BadRequest):
        header.from_template("../secrets")

    assert header.from_template("") == {}


@pytest.mark.parametrize("sent", [{"after": "x", "at": "2026-01-01"}, {"after": "0" * 32, "at": "yesterday"}])
def test_where_a_page_of_characters_goes_on_is_a_time_and_an_id(sent: dict[str, str]):
    with pytest.raises(BadRequest):
        header._after(event(**sent))


UNSTORABLE = "sea\x00side \ud83d"  # a null byte, and half of a cut emoji


def test_what_postgres_cannot_hold_is_left_out_of_every_text():
    asked = prompt_bar._request(uuid4(), {"words": UNSTORABLE, "shot": {"outfit": UNSTORABLE}})

    assert (asked.own_words, asked.presets.outfit) == ("seaside", "seaside ")
    assert calls.text({"q": UNSTORABLE}, "q") == "seaside "
    assert calls.texts({"added": [UNSTORABLE]}, "added", most=2) == ("seaside ",)
    assert scenes._values(event(values={"scene_name": UNSTORABLE, "scene_starters": [UNSTORABLE]})) == {
        "scene_name": "seaside ",
        "scene_starters": ["seaside "],
    }


@pytest.mark.parametrize("sent", ["soon", "1.5", "9" * 19, "--4", "²"])
def test_what_is_no_whole_number_is_refused(sent: str):
    with pytest.raises(BadRequest):
        calls.whole_number({"seed": sent}, "seed")


@pytest.mark.parametrize("sent", ["NaN", "-1", "1e9", "a dollar", "Infinity"])
def test_a_spending_limit_is_an_amount(sent: str):
    with pytest.raises(BadRequest):
        calls.money({"limit": sent}, "limit")


def test_an_amount_may_carry_its_sign():
    assert calls.money({"limit": "$1.50"}, "limit") == Decimal("1.50")
    assert calls.money({"limit": " "}, "limit") is None


@pytest.mark.parametrize("sent", [["body", "Slim"], "body", [1, 2, 3], None, {"a": 1}])
def test_what_is_no_cell_of_the_matrix_is_refused(sent: object):
    with pytest.raises(BadRequest):
        attributes_page._cell(sent)


@pytest.mark.parametrize("sent", [None, [], {"user_id": "me"}, {"version": 3}])
def test_a_form_with_fields_it_does_not_have_is_refused(sent: object):
    with pytest.raises(BadRequest):
        create_page._values({"values": sent})


@pytest.mark.parametrize("sent", [None, "page", {"what": "drop"}, {"what": ["page"]}, {}])
def test_a_question_nobody_answers_is_refused_in_words(sent: object):
    answer = calls.answering(_Open(), {"page": lambda _person, _sent: "a page"})

    assert "Reload" in str(answer(None, sent))


def test_a_bug_behind_a_question_is_an_apology_and_shows_nothing_of_itself():
    def broken(_person: object, _sent: object) -> object:
        raise KeyError("secret-of-the-house")

    answer = calls.answering(_Open(), {"page": broken})(None, {"what": "page"})

    assert "secret-of-the-house" not in str(answer)
    assert "ours" in str(answer)


class _Open:
    """Lets anybody ask, as the local person."""

    def caller(self, _request: object) -> object:
        return LOCAL_PERSON
