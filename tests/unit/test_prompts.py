"""The prompt: its order, its limits, and what is said about what was left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import catalog
from core.prompts import build
from core.values import CharacterTraits, Gender, Presets

CATALOG = catalog.load()
WORDS = CATALOG.words

_texts = st.text(max_size=260)
_tags = st.lists(st.text(max_size=40), max_size=24).map(tuple)
_optional = st.none() | st.text(max_size=90) | st.sampled_from(["standing", "Smile", "evening", "film"])
_characters = st.builds(
    CharacterTraits,
    name=_texts,
    description=_texts,
    gender=st.sampled_from(Gender),
    appearance_tags=_tags,
    clothing_tags=_tags,
)
_presets = st.builds(Presets, pose=_optional, expression=_optional, outfit=_optional, camera=_optional)


def _character(**changes):
    values = {"name": "Ilse", "description": "A gardener.", "gender": Gender.female, **changes}
    return CharacterTraits(**values)


def _build(character=None, presets=None, own_words="", *, match=False, negative=False):
    return build(
        character or _character(),
        presets or Presets(),
        own_words,
        match=match,
        negative=negative,
        catalog=CATALOG,
    )


def test_the_parts_stand_in_the_order_of_the_specification():
    character = _character(appearance_tags=("white bob",), clothing_tags=("trench coat",))
    presets = Presets(pose="sitting", expression="smirk", outfit="winter", camera="film")

    prompt = _build(character, presets, "in a rose garden", match=True)

    expected = [
        *WORDS.opening, "adult woman", "white bob", "trench coat", "sitting, relaxed posture", "knowing smirk",
        "winter coat, woollen scarf", "analogue film look, fine grain", "in a rose garden",
        *", ".join(WORDS.identity).split(", "), *WORDS.closing,
    ]  # fmt: skip
    assert prompt.text == ", ".join(expected)
    assert prompt.warnings == ()


@pytest.mark.parametrize(
    ("gender", "subject"),
    [
        (Gender.female, "adult woman"),
        (Gender.male, "adult man"),
        (Gender.non_binary, "adult person"),
        (Gender.unspecified, "adult person"),
    ],
)
def test_the_subject_is_always_an_adult(gender, subject):
    prompt = _build(_character(gender=gender))

    assert subject in prompt.text.split(", ")
    assert "1girl" not in prompt.text


def test_only_the_first_eight_looks_and_four_clothes_are_used_and_that_is_said():
    character = _character(
        appearance_tags=tuple(f"look {n}" for n in range(11)),
        clothing_tags=tuple(f"garment {n}" for n in range(5)),
    )

    prompt = _build(character)

    assert "look 7" in prompt.text
    assert "look 8" not in prompt.text
    assert "garment 3" in prompt.text
    assert "garment 4" not in prompt.text
    assert prompt.warnings == (
        "Only the first 8 appearance tags are used; 3 were left out.",
        "Only the first 4 clothing tags are used; 1 was left out.",
    )


def test_own_words_are_cut_at_200_characters_and_that_is_said_without_repeating_them():
    prompt = _build(own_words="z" * 203)

    assert "z" * 200 in prompt.text
    assert "z" * 201 not in prompt.text
    assert prompt.warnings == ("Your own words were longer than 200 characters; the last 3 were left out.",)


def test_exactly_200_characters_are_kept_without_a_word():
    prompt = _build(own_words="z" * 200)

    assert prompt.warnings == ()


def test_a_preset_that_the_catalogue_does_not_know_is_used_as_words():
    prompt = _build(presets=Presets(pose="riding a tandem", expression="y" * 61))

    assert "riding a tandem" in prompt.text.split(", ")
    assert "y" * 60 in prompt.text.split(", ")
    assert prompt.warnings == ("The expression was longer than 60 characters; the last 1 were left out.",)


def test_line_ends_tabs_and_foreign_commas_become_plain_commas():
    prompt = _build(own_words="  red \t kite\n\n over,,  a harbour、at dusk，;windy\x00 ")

    assert "red kite, over, a harbour, at dusk, windy" in prompt.text


def test_what_stands_there_already_is_not_repeated():
    character = _character(appearance_tags=("Freckles", "freckles", "red hair"), clothing_tags=("red hair",))

    prompt = _build(character, own_words="FRECKLES, a lantern")

    parts = [part.casefold() for part in prompt.text.split(", ")]
    assert (parts.count("freckles"), parts.count("red hair")) == (1, 1)


def test_identity_words_stand_in_match_mode_only():
    assert WORDS.identity[0] in _build(match=True).text
    assert WORDS.identity[0] not in _build(match=False).text


def test_negative_words_are_given_only_to_a_model_that_takes_them():
    assert _build(negative=True).negative == ", ".join(WORDS.negative)
    assert _build(negative=False).negative == ""


def test_one_tag_that_holds_nine_counts_as_nine():
    prompt = _build(_character(appearance_tags=(", ".join(f"look {n}" for n in range(9)),)))

    assert "look 8" not in prompt.text


@given(_characters, _presets, _texts, st.booleans())
def test_a_prompt_is_one_clean_line_without_repetition(character, presets, own_words, match):
    prompt = _build(character, presets, own_words, match=match)

    parts = prompt.text.split(", ")
    assert len({part.casefold() for part in parts}) == len(parts)
    assert all(part and part == " ".join(part.split()) for part in parts)
    assert len(prompt.text.splitlines()) == 1
    prompt.text.encode("utf-8")


@given(_characters, _presets, _texts, st.booleans())
def test_quality_words_and_an_adult_subject_always_lead(character, presets, own_words, match):
    prompt = _build(character, presets, own_words, match=match)

    lead = ", ".join((*WORDS.opening, WORDS.subject[character.gender]))
    assert prompt.text.startswith(lead)


@given(_characters, _presets, _texts)
def test_a_prompt_stays_within_what_its_parts_allow(character, presets, own_words):
    spare = build(_character(), Presets(), "", match=False, negative=False, catalog=CATALOG)

    prompt = _build(character, presets, own_words)

    room = (8 + 4) * 42 + 4 * 62 + 202
    # A comma without a space becomes one with a space, so parts of one letter grow.
    assert len(prompt.text) <= len(spare.text) + 2 * room


@given(_characters, _presets, _texts)
def test_warnings_never_repeat_what_was_written(character, presets, own_words):
    marked = f"{own_words} xylophone"

    prompt = _build(character, presets, marked)

    assert all("xylophone" not in warning for warning in prompt.warnings)
