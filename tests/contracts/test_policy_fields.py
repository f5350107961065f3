"""Every field that takes a person's words is looked at before anything is stored or paid (SPEC "Policy")."""

from __future__ import annotations

import pytest

from core import characters, generation
from core.api.portraits import CharacterBody, FalImageBody, MetadataBody, PortraitBody, PresetsBody
from core.db.characters import EDITABLE
from core.errors import PolicyRefused
from core.policy import check_texts
from core.values import ContentRating
from tests.builders import DESCRIPTION, a_character, a_request, one, rows, work

MARK = "zebra4711quokka"  # stands beside the words, and in no answer
MINOR = f"{MARK} schoolgirl aged 15"
TAGS = ("appearance_tags", "clothing_tags")
LISTS = ("alternate_greetings", "forbidden_phrases", "voice_examples")
WRITTEN = {
    **dict.fromkeys(("name", "role", "traits", "persona", "personality_traits"), MINOR),
    **dict.fromkeys(("first_message", "system_prompt"), MINOR),
    "description": f"{DESCRIPTION} {MINOR}",
    **{name: ["laugh lines", MINOR, "grey hair"] for name in (*TAGS, *LISTS)},
}
CLOSED = {  # choices and switches: no words
    *("gender", "content_rating", "is_public", "match_reference", "voice_tone", "mood")
}
REFERENCE = f"user-library/somebody/portraits/{MINOR}.png"
OLDER = {
    "prompt": {"prompt": MINOR, "metadata": {"character_name": "Mandy"}},
    "name": {"prompt": "an adult sailor", "metadata": {"character_name": MINOR}},
    "name, in the other spelling": {"prompt": "an adult sailor", "metadata": {"characterName": MINOR}},
}


def test_a_new_field_of_a_character_or_of_a_call_is_listed_here_before_it_ships():
    assert set(WRITTEN) | CLOSED == EDITABLE
    assert set(PresetsBody.model_fields) == {"pose", "expression", "outfit", "camera"}
    assert set(CharacterBody.model_fields) == {"name", "description", "gender", *TAGS}
    assert set(PortraitBody.model_fields) == {
        *("character_id", "character", "own_words", "reference", "content_rating", "model_id", "presets"),
    }
    assert set(FalImageBody.model_fields) == {"prompt", "model_id", "quality", "metadata"}
    assert set(MetadataBody.model_fields) == {
        *("destination", "character_id", "character_name", "character_name_too", "content_type"),
    }


@pytest.mark.parametrize("field", WRITTEN)
def test_a_field_of_a_character_is_looked_at_when_it_is_made(services, ana, field):
    with pytest.raises(PolicyRefused) as refusal:
        a_character(ana, services, **{field: WRITTEN[field]})

    _names_without_repeating(refusal.value, field)
    assert rows(services.db, "SELECT id FROM characters") == []


@pytest.mark.parametrize("field", WRITTEN)
def test_a_field_of_a_character_is_looked_at_when_it_is_saved(services, ana, field):
    character = a_character(ana, services)

    with pytest.raises(PolicyRefused) as refusal:
        characters.save(
            character.id, {field: WRITTEN[field]}, version=character.version, person=ana, services=services
        )

    _names_without_repeating(refusal.value, field)
    assert one(services.db, "SELECT version FROM characters") == character.version


@pytest.mark.parametrize("field", ["name", "description", "traits", *TAGS])
def test_what_the_platform_wrote_into_a_character_is_looked_at_before_a_picture_is_bought(
    services, ana, field
):
    character = a_character(ana, services)
    written = {"value": WRITTEN[field], "id": character.id}
    rows(
        services.db,
        f"UPDATE characters SET {field} = %(value)s WHERE id = %(id)s RETURNING id",
        written,
    )

    for use_case in (generation.preview, generation.request):
        with pytest.raises(PolicyRefused) as refusal:
            use_case(a_request(character), ana, services)
        _names_without_repeating(refusal.value, refusal.value.field)
        assert refusal.value.field.startswith(field)

    assert rows(services.db, "SELECT id FROM jobs") == []


@pytest.mark.parametrize("call", OLDER)
def test_every_word_of_the_older_call_is_looked_at(services, ana, app, call):
    answer = app.as_(ana).post("/functions/v1/fal-image", json=OLDER[call])

    body = answer.json()
    assert (answer.status_code, body["code"], body["field"]) == (422, "POLICY_MINOR", call.partition(",")[0])
    assert MARK not in answer.text
    assert "schoolgirl" not in answer.text
    assert rows(services.db, "SELECT id FROM jobs") == []


def test_the_name_of_a_reference_file_is_looked_at(services, ana, app):
    request = {
        "characterData": {"name": "Ilse", "description": DESCRIPTION},
        "referenceImageUrl": REFERENCE,
    }

    answer = app.as_(ana).post("/functions/v1/character-portrait", json=request)

    assert (answer.status_code, answer.json()["code"]) == (422, "POLICY_MINOR")
    assert answer.json()["field"] == "referenceImageUrl"
    assert MARK not in answer.text


def test_each_entry_of_a_list_and_the_list_as_a_whole_are_looked_at():
    check_texts({"tags": ["sailor", "grey beard"], "note": "aged 61"})

    for tags in (["sailor", "aged fourteen"], ["16", "years old"]):
        with pytest.raises(PolicyRefused) as refusal:
            check_texts({"note": "a harbour", "tags": tags})
        assert refusal.value.field == "tags"


def _names_without_repeating(refusal, field):
    assert (refusal.reason, refusal.status, refusal.field) == ("POLICY_MINOR", 422, field)
    assert field.partition("[")[0].replace("_", " ") in str(refusal)
    for word in (MARK, "schoolgirl", "15"):
        assert word not in str(refusal) + repr(refusal)


# ---- ratings, as they reach the provider

RATINGS = (
    # allowed here, of the character, of the request, the provider's checker is asked
    (False, "sfw", None, True),
    (False, "nsfw", None, True),  # adopted: the old default, not a choice
    (False, "nsfw", "nsfw", True),
    (True, "sfw", "nsfw", True),  # the stricter counts
    (True, "nsfw", "sfw", True),
    (True, "nsfw", None, False),
    (True, "nsfw", "nsfw", False),
)


@pytest.mark.parametrize(("allowed", "of_character", "asked", "checked"), RATINGS)
def test_an_sfw_picture_reaches_the_provider_with_its_checker_on(
    build, ana, fal, allowed, of_character, asked, checked
):
    services = build(allow_nsfw=allowed)
    character = a_character(ana, services, content_rating=of_character)
    rating = ContentRating(asked) if asked else None

    order = generation.request(a_request(character, content_rating=rating), ana, services)
    work(services)

    sent = fal.request(fal.counts()["requests"][0]["id"])["body"]
    lowered = checked and (asked or of_character) == "nsfw"
    assert sent["enable_safety_checker"] is checked
    assert any("made as sfw" in warning for warning in order.warnings) is lowered
