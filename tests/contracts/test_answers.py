"""What a provider answered is told without what is secret in it, and to those who may see it."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import answers, generation
from core.answers import redacted
from core.errors import NotAllowed, NotFound
from core.values import JobId, Role
from tests.builders import a_character, a_person, a_waiting_job, one, work

SECRET = "sk-VERY-secret-1234"


@pytest.fixture
def qa(services):
    return a_person(services.db, "quinn", Role.qa)


@pytest.fixture
def sent(ana, services, fal):
    """A job that fal took and refused."""
    fal.fault("outcome", "content_policy")
    model = next(
        each.model.id
        for each in generation.models_for(ana, services)
        if each.model.model_key == "fal-ai/flux/dev"
    )
    made = a_waiting_job(ana, services, a_character(ana, services), model_id=model)
    work(services)
    return made.job_id


def test_the_shape_of_an_answer_stays_and_its_addresses_are_cut_to_their_host(services, qa, sent):
    [told] = answers.told(sent, qa, services)

    text = json.dumps(told.answer)
    assert told.answer["request_id"] == one(services.db, "SELECT request_id FROM studio.submissions")
    assert told.answer["provider"] == "fal"
    assert one(services.db, "SELECT receipt ->> 'status_url' FROM studio.submissions") not in text
    assert "://" in text
    assert "answer" not in repr(told)


def test_prompts_keys_and_whatever_a_provider_echoes_are_told_by_their_length():
    answer = {
        "status": "COMPLETED",
        "prompt": "a secret wish",
        "token": SECRET,
        "images": [{"url": f"https://cdn.example/x.png?sig={SECRET}", "width": 1024, "nsfw": False}],
        "error": None,
        "model": f"fal-ai/flux?{SECRET}",
    }

    told = redacted(answer)

    assert told == {
        "status": "COMPLETED",
        "prompt": "(13 characters)",
        "token": f"({len(SECRET)} characters)",
        "images": [{"url": "https://cdn.example/…", "width": 1024, "nsfw": False}],
        "error": None,
        "model": f"({len(SECRET) + 12} characters)",
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_whatever_came_back_is_told_as_json(answer):
    told = redacted(answer)

    assert json.loads(json.dumps(told)) == told


@given(JSON)
def test_a_secret_that_was_echoed_anywhere_as_a_value_is_never_told(answer):
    assert SECRET not in json.dumps(redacted({"x": [answer, SECRET], "url": f"https://h.example/{SECRET}"}))


def test_it_is_shown_to_qa_and_admin_only(services, ana, sent):
    for role in (Role.editor, Role.product):
        with pytest.raises(NotAllowed):
            answers.told(sent, a_person(services.db, "x", role), services)
    assert answers.told(sent, a_person(services.db, "y", Role.admin), services)


def test_a_job_that_is_not_there_is_said(services, qa):
    with pytest.raises(NotFound):
        answers.told(JobId(uuid4()), qa, services)
