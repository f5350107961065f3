"""Whatever the scene board's script sends is a stranger's word."""

import gradio as gr
import pytest

from core.auth import LOCAL_PERSON
from core.errors import BadRequest
from core.values import CharacterId
from studio import scenes

SOME = "00000000-0000-4000-8000-000000000009"


def event(**data: object) -> gr.EventData:
    return gr.EventData(None, data)


def press(**data: object) -> scenes._Press:
    return scenes._Press(
        person=LOCAL_PERSON, character_id=CharacterId(LOCAL_PERSON.id), event=event(**data), model_id=None
    )


@pytest.mark.parametrize(
    "sent",
    [None, {}, "name", {"priority": 3}, {"scene_name": "x", "user_id": "me"}, {"scene_starters": "one"},
     {"scene_starters": ["x"] * 1000}],
)  # fmt: skip
def test_fields_a_scene_does_not_have_or_cannot_hold_are_refused(sent: object):
    with pytest.raises(BadRequest):
        scenes._values(event(values=sent))


def test_texts_arrive_as_texts_and_bounded():
    values = scenes._values(event(values={"scene_name": 12, "scene_starters": ["a", 3, "x" * 99_999]}))

    assert values["scene_name"] == "12"
    assert values["scene_starters"] == ["a", "3", "x" * scenes.LONGEST_TEXT]


@pytest.mark.parametrize("action", [None, "drop table", "__class__", 7])
def test_what_the_board_cannot_do_is_refused(action: object):
    with pytest.raises(BadRequest):
        scenes._act({}, press(action=action))


@pytest.mark.parametrize("scene", [None, "", "../x", 7])
def test_a_picture_of_what_is_no_scene_is_refused(scene: object):
    with pytest.raises(BadRequest):
        scenes._order(press(scene=scene))


def test_a_picture_without_a_key_is_a_look_and_one_with_a_key_an_order():
    look = scenes._order(press(scene=SOME, outfit="x" * 500))
    order = scenes._order(press(scene=SOME, key=SOME))

    assert (look.idempotency_key, len(look.presets.outfit or "")) == (None, scenes.LONGEST_OUTFIT)
    assert order.idempotency_key == SOME


@pytest.mark.parametrize("picked", [{"chosen": "flux; drop table"}, {"chosen": 7}])
def test_a_chosen_model_that_is_no_id_is_refused(picked: object):
    with pytest.raises(BadRequest):
        scenes._model(picked)
