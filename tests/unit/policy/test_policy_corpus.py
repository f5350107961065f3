"""The policy counted: every must-block phrase in every disguise, every age by rule, and 2,000 innocent adults."""

from __future__ import annotations

import itertools
import statistics
import time
from datetime import date

import pytest

from core.policy import describes_minor
from tests.unit.policy import innocent, minors

SECTION = "the policy counted"
TODAY = date(2026, 11, 20)
FAMILIES = minors.phrases()
ALL = [phrase for family in FAMILIES.values() for phrase in family]
MOST_ALARMS = 0.02  # of the innocent descriptions (the issue's figure)


def missed(texts):
    return [text for text in texts if not describes_minor(text, today=TODAY)]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_must_block_phrase_is_refused(family, record_property):
    phrases = FAMILIES[family]

    passed = missed(phrases)

    record_property(
        "figure", [SECTION, f"blocked {len(phrases) - len(passed):4} of {len(phrases):4}  {family}"]
    )
    assert passed == []


@pytest.mark.parametrize("family", FAMILIES)
def test_every_must_block_phrase_is_refused_inside_a_longer_text(family):
    longer = [
        f"Rain over the harbour, lanterns lit.\n{phrase}\nA ferry leaves." for phrase in FAMILIES[family]
    ]

    assert missed(longer) == []


@pytest.mark.parametrize("disguise", minors.DISGUISES)
def test_a_must_block_phrase_is_refused_in_every_disguise(disguise, record_property):
    put_on = minors.DISGUISES[disguise]
    phrases = [put_on(phrase) for phrase in ALL if minors.is_latin(phrase)]

    passed = missed(phrases)

    line = f"blocked {len(phrases) - len(passed):4} of {len(phrases):4}  disguised: {disguise}"
    record_property("figure", [SECTION, line])
    assert passed == []


def test_every_age_below_18_is_refused_in_every_form_and_language(record_property):
    sentences = list(dict.fromkeys(minors.sentences()))

    passed = missed(sentences)

    line = f"blocked {len(sentences) - len(passed):4} of {len(sentences):4}  made by rule: ages × forms × languages"
    record_property("figure", [SECTION, line])
    assert passed == []


def test_ages_made_by_rule_are_refused_in_disguise_too(record_property):
    plain = [text for text in dict.fromkeys(minors.sentences()) if minors.is_latin(text)]
    tricks = itertools.cycle(minors.DISGUISES.values())
    disguised = [next(tricks)(text) for text in plain for _ in range(5)]

    passed = missed(disguised)

    line = f"blocked {len(disguised) - len(passed):4} of {len(disguised):4}  made by rule and disguised"
    record_property("figure", [SECTION, line])
    assert passed == []


def test_every_must_pass_text_passes(record_property):
    texts = minors.innocent_phrases()

    refused = [text for text in texts if describes_minor(text, today=TODAY)]

    record_property(
        "figure", [SECTION, f"passed  {len(texts) - len(refused):4} of {len(texts):4}  must-pass texts"]
    )
    assert refused == []


def test_innocent_descriptions_made_by_rule_hardly_ever_alarm(record_property):
    texts = innocent.descriptions(2000)

    alarms = [text for text in texts if describes_minor(text, today=TODAY)]

    record_property(
        "figure", [SECTION, f"alarms  {len(alarms):4} of {len(texts):4}  innocent descriptions made by rule"]
    )
    assert len(texts) == 2000
    assert len(alarms) <= MOST_ALARMS * len(texts), alarms[:20]


def test_the_lists_are_as_long_as_the_issue_asks():
    assert len(set(ALL)) >= 350
    assert len(set(minors.innocent_phrases())) >= 250
    assert not set(ALL) & set(minors.innocent_phrases())


def test_long_innocent_texts_are_read_and_their_time_is_told(record_property):
    """A figure and no limit: how fast a machine is, its benchmark says. That time grows with length only, the next test."""
    texts = [" ".join(innocent.in_english(60, seed=seed))[:4000] for seed in range(5)]

    median = statistics.median(min(_seconds(text) for _ in range(7)) for text in texts)

    line = f"{median * 1000:.1f} ms of processor time for 4,000 characters (median of 5 texts, best of 7 runs each)"
    record_property("figure", [SECTION, line])
    assert not any(describes_minor(text, today=TODAY) for text in texts)


HOSTILE = {
    "digits": "1",
    "letters with gaps": "a ",
    "tens": "twenty ",
    "ages": "age of ",
    "letters and digits": "x1",
    "hyphens": "a-",
    "dots": "t.e.",
    "leetspeak": "5h0t4x ",
    "stretched": "teeeex ",
    "stars": "a*b ",
    "relatives": "mother of ",
    "gaps": "age          ",
    "hundreds": "hundred and ",
    "kanji": "十",
    "Cyrillic": "авеоз ",
    "combining": "e\u0301\u0336",
    "signs of our own": "\ue010 ",
    "birthdays": "born in the year of ",
    "quotes": "' ",
    "years": "(2015 b.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_text_made_to_stall_the_matcher_takes_time_by_its_length_only(name):
    piece = HOSTILE[name]
    short, long = (piece * (size // len(piece)) for size in (4_000, 16_000))

    times = [min(_seconds(text) for _ in range(3)) for text in (short, long)]

    assert times[1] < 12 * times[0] + 0.05  # four times as long; squares would be sixteen
    assert times[1] < 2


def _seconds(text):
    begun = time.process_time()
    describes_minor(text, today=TODAY)
    return time.process_time() - begun


@pytest.mark.parametrize(
    ("year", "refused"),
    [(2026, True), (2015, True), (2008, True), (2007, False), (1987, False), (2150, False)],
)
def test_a_year_of_birth_counts_against_todays_date(year, refused):
    assert describes_minor(f"she was born in {year}", today=TODAY) is refused


def test_the_same_year_of_birth_is_an_adults_later():
    assert describes_minor("born in 2015", today=date(2034, 1, 1)) is False


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        (
            "a portrait of a teenager, and an adult aged 34",
            True,
        ),  # unclear whose age it is: the stricter counts
        ("a Teen Vogue editor aged 34", False),
        ("mother of a teenager, aged 44", False),
        ("a 44-year-old with a schoolgirl", True),
        ("a kid, 30 years old", True),
    ],
)
def test_an_adult_age_beside_a_minors_word_excuses_it_only_where_it_is_plainly_somebody_elses(text, refused):
    assert describes_minor(text, today=TODAY) is refused
