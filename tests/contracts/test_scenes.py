"""Scenes: written, ordered, taken out and brought back; the platform reads the same rows."""

from __future__ import annotations

from uuid import uuid4

import pytest

from core import scenes
from core.errors import BadRequest, Conflict, NotAllowed, NotFound, PolicyRefused
from core.values import SceneId
from tests.builders import a_character, as_platform, one, rows

TEXTS = ("scene_name", "scene_description", "scene_prompt", "system_prompt")


@pytest.fixture
def character(services, ana):
    return a_character(ana, services)


def a_scene(character, person, services, name="The night ferry", **values):
    return scenes.create(character.id, {"scene_name": name, **values}, person, services)


def names(character, person, services):
    return [scene.scene_name for scene in scenes.of_character(character.id, person, services)]


def test_a_scene_is_kept_with_all_its_fields(services, ana, character):
    made = a_scene(
        character, ana, services, scene_description="A deck in the rain.", scene_prompt="rainy deck, lanterns",
        scene_starters=["Mind the step.", "  ", "Tea?"], system_prompt="Stay dry.",
    )  # fmt: skip

    (kept,) = scenes.of_character(character.id, ana, services)

    assert kept == made
    assert (kept.scene_starters, kept.scene_prompt) == (["Mind the step.", "Tea?"], "rainy deck, lanterns")


def test_new_scenes_stand_behind_the_others_and_can_be_moved(services, ana, character):
    first, second, third = (a_scene(character, ana, services, name) for name in ("Dawn", "Noon", "Dusk"))

    scenes.reorder(character.id, [third.id, first.id], ana, services)

    assert names(character, ana, services) == ["Dusk", "Dawn", "Noon"]
    assert [scene.priority for scene in scenes.of_character(character.id, ana, services)] == [0, 1, 2]
    assert second.priority == 1


def test_a_scene_is_changed_field_by_field(services, ana, character):
    scene = a_scene(character, ana, services, scene_description="before")

    changed = scenes.save(scene.id, {"scene_description": "after"}, ana, services)

    assert (changed.scene_name, changed.scene_description) == ("The night ferry", "after")


def test_nobodys_words_are_written_over_unseen(services, ana, character):
    scene = a_scene(character, ana, services, scene_description="before", scene_starters=["Tea?"])
    scenes.save(scene.id, {"scene_description": "theirs"}, ana, services)

    with pytest.raises(Conflict):
        scenes.save(
            scene.id, {"scene_description": "mine"}, ana, services, was={"scene_description": "before"}
        )
    other = scenes.save(
        scene.id,
        {"scene_starters": ["Tea?", "Mind the step."]},
        ana,
        services,
        was={"scene_starters": ["Tea?"]},
    )

    assert (other.scene_description, other.scene_starters) == ("theirs", ["Tea?", "Mind the step."])
    again = scenes.save(
        scene.id, {"scene_description": "mine"}, ana, services, was={"scene_description": "theirs"}
    )
    assert again.scene_description == "mine"


def test_a_scene_taken_out_comes_back_as_it_was(services, ana, character, dsn):
    scene = a_scene(character, ana, services, scene_starters=["Tea?"])
    with as_platform(dsn, "service_role") as conn:
        conn.execute("UPDATE character_scenes SET scene_type = 'ferry' WHERE id = %s", (scene.id,))

    scenes.delete(scene.id, ana, services)
    gone = names(character, ana, services)
    scenes.restore(scene.id, ana, services)

    assert gone == []
    assert scenes.of_character(character.id, ana, services)[0].scene_starters == ["Tea?"]
    assert one(services.db, "SELECT scene_type FROM character_scenes") == "ferry"
    told = rows(services.db, "SELECT action FROM studio.audit_events ORDER BY id")
    assert told[-2:] == [("scene_deleted",), ("scene_restored",)]


def test_restoring_twice_or_what_was_never_there_says_so(services, ana, character):
    scene = a_scene(character, ana, services)
    scenes.delete(scene.id, ana, services)
    scenes.restore(scene.id, ana, services)

    for gone in (scene.id, SceneId(uuid4())):
        with pytest.raises(NotFound):
            scenes.restore(gone, ana, services)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"scene_name": "  "}, "scene_name"),
        ({"scene_name": "x" * 81}, "scene_name"),
        ({"scene_name": "x", "scene_prompt": "y" * 2001}, "scene_prompt"),
        ({"scene_name": "x", "scene_starters": "no list"}, "scene_starters"),
        ({"scene_name": "x", "scene_starters": ["y"] * 13}, "scene_starters"),
        ({"scene_name": "x", "scene_starters": ["y" * 301]}, "scene_starters"),
        ({"scene_name": "x", "priority": 3}, "priority"),
    ],
)
def test_a_scene_that_does_not_fit_says_which_field(services, ana, character, values, field):
    with pytest.raises(BadRequest) as caught:
        scenes.create(character.id, values, ana, services)

    assert caught.value.field == field
    assert names(character, ana, services) == []


@pytest.mark.parametrize("field", [*TEXTS, "scene_starters"])
def test_every_field_of_a_scene_is_looked_at_by_the_policy(services, ana, character, field):
    words = "a 15-year-old pupil"
    value = [words] if field == "scene_starters" else words

    with pytest.raises(PolicyRefused) as caught:
        scenes.create(character.id, {"scene_name": "x", field: value}, ana, services)

    assert words not in caught.value.sentence


def test_somebody_elses_scenes_are_not_there(services, ana, ben, character):
    scene = a_scene(character, ana, services)

    for deed in (
        lambda: scenes.of_character(character.id, ben, services),
        lambda: scenes.create(character.id, {"scene_name": "x"}, ben, services),
        lambda: scenes.save(scene.id, {"scene_name": "x"}, ben, services),
        lambda: scenes.delete(scene.id, ben, services),
        lambda: scenes.reorder(character.id, [scene.id], ben, services),
    ):
        with pytest.raises(NotFound):
            deed()
    scenes.delete(scene.id, ana, services)
    with pytest.raises(NotFound):
        scenes.restore(scene.id, ben, services)


def test_a_customer_of_the_platform_writes_no_scenes_here(services, customer, character):
    with pytest.raises(NotAllowed):
        scenes.create(character.id, {"scene_name": "x"}, customer, services)


def test_hostile_text_comes_back_as_it_was_typed_without_its_nul(services, ana, character):
    text = "<script>alert(1)</script> ${x} {{y}} \u202eevil\x00 🙂"

    scene = a_scene(character, ana, services, name=text, scene_starters=[text])

    assert scene.scene_name == text.replace("\x00", "")
    assert scene.scene_starters == [text.replace("\x00", "")]
