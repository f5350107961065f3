"""Proposals made on this machine: pleasant, varied, always the same for the same turn, and fit for every rule."""

from __future__ import annotations

import pytest

from core import catalog, policy
from core.offline_suggestions import propose, sort_tags
from core.suggestions import FIELDS

CATALOG = catalog.load()
PRESENT = {"name": "Juniper Vale", "gender": "female", "voice_tone": "warm", "mood": "friendly"}


def proposal(field, turn, *, present=PRESENT, identity="juniper"):
    return propose(field, present, identity=identity, turn=turn, catalog=CATALOG)


def texts(value):
    return [value] if isinstance(value, str) else list(value)


@pytest.mark.parametrize("field", FIELDS)
def test_every_proposal_of_sixty_turns_fits_its_field_and_the_policy(field):
    rules = FIELDS[field]

    for turn in range(60):
        value = proposal(field, turn)

        assert isinstance(value, tuple) == bool(rules.most)
        assert 1 <= len(texts(value)) <= (rules.most or 1)
        assert all(rules.shortest <= len(text) <= rules.longest for text in texts(value)), value
        assert all("{" not in text for text in texts(value)), value
        assert not rules.choices or value in rules.choices
        policy.check_texts({field: ", ".join(texts(value))})


@pytest.mark.parametrize("field", FIELDS)
def test_the_same_turn_gives_the_same_proposal_and_another_one_something_else(field):
    drawn = [proposal(field, turn) for turn in range(30)]

    assert drawn == [proposal(field, turn) for turn in range(30)]
    assert len(set(drawn)) >= (1 if FIELDS[field].choices else 4)


def test_another_character_gets_another_proposal():
    drawn = {proposal("description", 0, identity=f"character {number}") for number in range(30)}

    assert len(drawn) >= 20


def test_what_stands_there_already_is_kept_to():
    assert "Juniper Vale" in proposal("system_prompt", 1)
    assert proposal("voice_tone", 3) != "warm"
    assert "Bee-keeper" in proposal("system_prompt", 1, present={**PRESENT, "role": "Bee-keeper"})


def test_tags_arrive_sorted_into_body_and_outfit():
    body, outfit = sort_tags(["grey eyes", "long wool coat", "freckles", "Red Scarf", "grey eyes"])

    assert (body, outfit) == (("grey eyes", "freckles"), ("long wool coat", "Red Scarf"))
    for turn in range(60):
        assert sort_tags(proposal("appearance_tags", turn))[1] == ()
        assert set(sort_tags(proposal("clothing_tags", turn))[0]) <= {"large headphones"}
