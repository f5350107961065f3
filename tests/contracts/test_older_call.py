"""`POST /functions/v1/fal-image`, the platform's older call, over the same use case."""

import pytest

from tests import builders

CALL = "/functions/v1/fal-image"
PROMPT = "a watercolour of an adult lighthouse keeper with laugh lines"


def test_it_answers_with_the_picture_and_saves_it_for_a_character_it_names(
    services, ana, app, fal, live_worker
):
    character = builders.a_character(ana, services)
    body = {"prompt": PROMPT, "quality": "high", "metadata": {"character_id": str(character.id)}}

    answer = app.as_(ana).post(CALL, json=body)

    said = answer.json()
    assert (answer.status_code, said["status"]) == (200, "completed")
    assert app.as_(ana).get(said["resultUrl"]).status_code == 200
    sent = fal.request(fal.counts()["requests"][0]["id"])["body"]["prompt"]
    assert sent == PROMPT
    assert builders.rows(
        services.db, "SELECT 1 FROM character_portraits WHERE character_id = %s", [character.id]
    )


@pytest.mark.parametrize("key", ["character_name", "characterName"])
def test_with_a_name_only_the_picture_finds_the_character_that_is_made_afterwards(
    services, ana, app, live_worker, eventually, key
):
    body = {"prompt": PROMPT, "metadata": {"destination": "character_portrait", key: "Mandy"}}
    said = app.as_(ana).post(CALL, json=body).json()

    character = builders.a_character(ana, services, name="Mandy")

    eventually(
        lambda: builders.rows(
            services.db, "SELECT 1 FROM character_portraits WHERE character_id = %s", [character.id]
        ),
        seconds=20,
    )
    found = builders.one(
        services.db, "SELECT job_id FROM character_portraits WHERE character_id = %s", [character.id]
    )
    assert (said["status"], str(found)) == ("completed", said["jobId"])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "BAD_REQUEST"),
        ({"prompt": ""}, 400, "BAD_REQUEST"),
        ({"prompt": "a schoolgirl at her desk", "metadata": {"characterName": "Mandy"}}, 422, "POLICY_MINOR"),
        ({"prompt": PROMPT, "apiModelId": "flux"}, 400, "BAD_REQUEST"),
        (
            {"prompt": PROMPT, "metadata": {"destination": "billboard", "characterName": "Mandy"}},
            400,
            "BAD_REQUEST",
        ),
        ({"prompt": PROMPT, "metadata": {"characterName": "a twelve year old"}}, 422, "POLICY_MINOR"),
    ],
)
def test_what_does_not_fit_is_refused(ana, app, body, status, code):
    answer = app.as_(ana).post(CALL, json=body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("about", [{}, {"characterName": " "}, {"character_id": "", "character_name": ""}])
def test_a_picture_that_nothing_could_ever_save_is_not_bought(services, ana, app, about):
    answer = app.as_(ana).post(CALL, json={"prompt": PROMPT, "metadata": about})

    assert (answer.status_code, answer.json()["field"]) == (400, "metadata.characterName")
    assert builders.rows(services.db, "SELECT 1 FROM jobs") == []


def test_an_empty_character_id_beside_a_name_is_none(ana, app, live_worker):
    body = {
        "prompt": PROMPT,
        "metadata": {"character_id": "", "character_name": "", "characterName": "Mandy"},
    }

    assert app.as_(ana).post(CALL, json=body).status_code == 200
