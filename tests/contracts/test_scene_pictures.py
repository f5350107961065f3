"""Pictures of scenes: asked for, made and saved by the way of a portrait, and shown on their scene."""

from __future__ import annotations

from uuid import uuid4

import pytest

from core import autosave, generation, recovery, scenes
from core import portraits as shown
from core.errors import BadRequest, NotFound, PolicyRefused
from core.values import JobStatus, SceneId
from tests.builders import a_character, one, rows, work


@pytest.fixture
def character(services, ana):
    return a_character(
        ana, services,
        appearance_tags=["silver hair", "green eyes", "freckles", "tall", "scar", "left out"],
        clothing_tags=["oilskin coat", "rubber boots"],
    )  # fmt: skip


@pytest.fixture
def scene(services, ana, character):
    values = {"scene_name": "The night ferry", "scene_description": "A wet deck under swaying lanterns."}
    return scenes.create(character.id, values, ana, services)


def ask(scene, person, services, **values):
    asked = scenes.picture_request(scene.id, scene.character_id, key=str(uuid4()), **values)
    return generation.request(asked, person, services)


def shown_scene(scene, person, services):
    return next(
        card for card in scenes.cards(scene.character_id, person, services) if card.scene.id == scene.id
    )


def test_the_prompt_says_the_scene_first_then_five_tags_then_what_is_worn(services, ana, scene):
    plan = generation.preview(scenes.picture_request(scene.id, scene.character_id), ana, services)

    words = plan.prompt.text
    places = [words.index(part) for part in ("A wet deck", "adult", "silver hair", "scar", "wearing oilskin")]
    assert places == sorted(places)
    assert "rubber boots" in words
    assert "left out" not in words
    assert any("5 appearance tags" in warning for warning in plan.warnings)


def test_words_of_its_own_and_a_chosen_outfit_take_the_place_of_description_and_tags(services, ana, scene):
    scenes.save(scene.id, {"scene_prompt": "a harbour at dawn"}, ana, services)

    plan = generation.preview(
        scenes.picture_request(scene.id, scene.character_id, outfit="a velvet gown"), ana, services
    )

    assert "a harbour at dawn" in plan.prompt.text
    assert "wet deck" not in plan.prompt.text
    assert "wearing a velvet gown" in plan.prompt.text
    assert "oilskin" not in plan.prompt.text


def test_a_scenes_picture_is_saved_once_and_becomes_its_image_and_no_portrait(services, ana, scene):
    asked = ask(scene, ana, services)
    work(services)
    autosave.save(asked.job_id, services)

    card = shown_scene(scene, ana, services)
    (kept,) = rows(
        services.db,
        "SELECT 'user-library/' || storage_path, tags, roleplay_metadata ->> 'type' FROM user_library",
    )
    assert (card.scene.image_url, kept[1], kept[2]) == (kept[0], ["character", "scene"], "character_scene")
    assert card.image_url
    assert ".thumb.webp" in card.thumb_url
    assert card.job is None
    assert shown.tiles(scene.character_id, ana, services) == []
    assert one(services.db, "SELECT image_url FROM characters WHERE id = %s", [scene.character_id]) is None
    assert one(services.db, "SELECT job_type || ' ' || stage FROM jobs") == "character_scene saved"


def test_the_picture_asked_for_last_stays_whichever_is_saved_last(services, ana, scene):
    first, second = ask(scene, ana, services), ask(scene, ana, services)
    work(services)

    autosave.save(first.job_id, services)

    assert str(second.job_id) in (shown_scene(scene, ana, services).scene.image_url or "")
    assert one(services.db, "SELECT count(*) FROM user_library") == 2


def test_the_same_key_buys_one_picture(services, ana, scene):
    asked = scenes.picture_request(scene.id, scene.character_id, key="once")

    first, second = (generation.request(asked, ana, services) for _ in range(2))

    assert (first.job_id, first.created, second.created) == (second.job_id, True, False)
    assert one(services.db, "SELECT count(*) FROM jobs") == 1


def test_a_failed_picture_of_a_scene_is_asked_for_again_as_one(services, ana, scene):
    asked = ask(scene, ana, services)
    with services.db.as_service() as conn:
        conn.execute("UPDATE jobs SET status = 'failed', error_message = 'no' WHERE id = %s", (asked.job_id,))
    failed = shown_scene(scene, ana, services).job

    again = generation.retry(asked.job_id, ana, services)
    work(services)

    assert failed is not None
    assert (failed.status, failed.can_retry, failed.error_words) == (JobStatus.failed, True, "no")
    assert str(again.job_id) in (shown_scene(scene, ana, services).scene.image_url or "")
    assert shown.tiles(scene.character_id, ana, services) == []


def test_a_scene_taken_out_meanwhile_comes_back_with_its_picture(services, ana, scene):
    asked = ask(scene, ana, services)
    scenes.delete(scene.id, ana, services)
    work(services)

    scenes.restore(scene.id, ana, services)

    assert str(asked.job_id) in (shown_scene(scene, ana, services).scene.image_url or "")
    assert one(services.db, "SELECT count(*) FROM user_library") == 1


def test_recovery_saves_a_scenes_picture_whose_auto_save_was_lost(services, ana, scene):
    ask(scene, ana, services)
    work(services)
    with services.db.as_service() as conn:
        conn.execute("UPDATE jobs SET stage = 'saving'")
        conn.execute("UPDATE character_scenes SET image_url = NULL")
        conn.execute("DELETE FROM user_library")
        conn.execute("DELETE FROM studio.removed_items")
        conn.execute("DELETE FROM studio_queue.pgqueuer")

    for _ in recovery.walk(services):
        pass
    work(services)

    assert shown_scene(scene, ana, services).image_url
    assert one(services.db, "SELECT count(*) FROM user_library") == 1


def test_a_cancelled_picture_that_came_anyway_is_kept_and_not_shown(services, ana, scene):
    asked = ask(scene, ana, services)
    with services.db.as_service() as conn:
        conn.execute("UPDATE jobs SET cancel_requested = true WHERE id = %s", (asked.job_id,))
        conn.execute("DELETE FROM studio_queue.pgqueuer")
    other = ask(scene, ana, services)
    work(services)
    with services.db.as_service() as conn:  # what the provider drew although it was asked to stop
        conn.execute(
            "INSERT INTO workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type, file_size_bytes)"
            " SELECT user_id, %s, asset_type, temp_storage_path, mime_type, file_size_bytes FROM workspace_assets",
            (asked.job_id,),
        )

    autosave.save(asked.job_id, services)

    assert str(other.job_id) in (shown_scene(scene, ana, services).scene.image_url or "")
    assert one(services.db, "SELECT count(*) FROM user_library") == 2


def test_a_scene_without_words_says_what_is_missing(services, ana, character):
    bare = scenes.create(character.id, {"scene_name": "Nowhere"}, ana, services)

    with pytest.raises(BadRequest) as caught:
        ask(bare, ana, services)

    assert (caught.value.reason, caught.value.field) == ("SCENE_UNFINISHED", "scene_description")


def test_what_another_writer_put_into_a_scene_is_looked_at_before_it_is_drawn(services, ana, scene):
    with services.db.as_service() as conn:
        conn.execute("UPDATE character_scenes SET scene_prompt = 'a 15-year-old pupil'")

    with pytest.raises(PolicyRefused):
        ask(scene, ana, services)


def test_somebody_elses_scene_cannot_be_drawn(services, ana, ben, scene):
    mine = a_character(ben, services)

    for character_id in (scene.character_id, mine.id):
        with pytest.raises(NotFound):
            generation.request(scenes.picture_request(scene.id, character_id), ben, services)
    with pytest.raises(NotFound):
        generation.request(scenes.picture_request(SceneId(uuid4()), scene.character_id), ana, services)


def test_a_chat_begins_in_the_scene(build, services, ana, scene):
    plain = build(start_chat_url="https://chat.example/c/{character_id}")
    both = build(start_chat_url="https://chat.example/{character_id}/{scene_id}?from=studio")

    assert shown_scene(scene, ana, services).chat_url == ""
    assert shown_scene(scene, ana, plain).chat_url == (
        f"https://chat.example/c/{scene.character_id}?scene={scene.id}"
    )
    assert shown_scene(scene, ana, both).chat_url == (
        f"https://chat.example/{scene.character_id}/{scene.id}?from=studio"
    )
