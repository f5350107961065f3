"""The statistics of a QA sample, against figures that stand in print or can be reckoned by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from core.agreement import agreement, by_stratum, kappa_words, rolled_up, usable_portraits, weighted, wilson
from core.audit.qa import SampleItem, Stratum, VerdictRow

ANN, BOB, CYD = (UUID(int=number) for number in (1, 2, 3))
NOW = datetime(2026, 11, 20, tzinfo=UTC)
MONDAY = date(2026, 11, 16)


def said(portrait, person, verdict, first=None):
    return VerdictRow(
        portrait_id=UUID(int=1000 + portrait),
        person=person,
        verdict=verdict,
        first_verdict=first or verdict,
        note=None,
        given_at=NOW,
        changed_at=None,
    )


def judged(*lines):
    """One line a portrait: what each of Ann, Bob and Cyd said of it; None where they did not."""
    return [
        said(number, person, verdict)
        for number, line in enumerate(lines)
        for person, verdict in zip((ANN, BOB, CYD), line, strict=False)
        if verdict
    ]


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [  # Newcombe 1998, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0000),
    ],
)
def test_an_interval_is_wilson_s(hits, total, low, high):
    found = wilson(hits, total)

    assert (round(found.low, 4), round(found.high, 4)) == pytest.approx((low, high), abs=1e-4)


def test_a_share_of_nothing_is_not_zero():
    found = wilson(0, 0)

    assert (found.share, found.low, found.high) == (None, None, None)


def test_two_people_s_kappa_is_cohen_s():
    # 50 portraits: both good 20, both bad 15, Ann alone good 5, Bob alone good 10: kappa 0.4.
    lines = [("good", "good")] * 20 + [("good", "bad")] * 5 + [("bad", "good")] * 10 + [("bad", "bad")] * 15

    found = agreement(judged(*lines))

    assert (found.people, found.pairs, found.agreed, found.method) == (2, 50, 35, "Cohen's")
    assert found.share == pytest.approx(0.7)
    assert found.kappa == pytest.approx(0.4)


def test_three_people_s_kappa_is_fleiss():
    # Three raters, 10 subjects: P = 22/30 by hand, shares 17/30 good and 13/30 bad.
    lines = (
        [("good",) * 3] * 4
        + [("bad",) * 3] * 2
        + [("good", "good", "bad")] * 1
        + [("good", "bad", "bad")] * 3
    )

    found = agreement(judged(*lines))

    observed = (6 * 1 + 4 * (1 / 3)) / 10
    good = (12 + 2 + 3) / 30
    chance = good**2 + (1 - good) ** 2
    assert (found.people, found.pairs, found.method) == (3, 30, "Fleiss'")
    assert found.kappa == pytest.approx((observed - chance) / (1 - chance))


def test_with_few_pairs_agreement_says_nothing():
    found = agreement(judged(*[("good", "bad")] * 9))

    assert (found.pairs, found.is_enough, found.kappa) == (9, False, None)
    assert found.share == 0.0


def test_where_everybody_says_the_same_there_is_nothing_beyond_chance_to_reckon():
    found = agreement(judged(*[("good", "good")] * 12))

    assert (found.share, found.kappa, found.is_enough) == (1.0, None, True)


def test_what_only_one_person_judged_is_no_pair():
    found = agreement(judged(*[("good", None)] * 20))

    assert (found.pairs, found.share, found.kappa, found.people) == (0, None, None, 0)


def test_agreement_rests_on_what_was_said_before_the_others_could_be_seen():
    verdicts = [
        said(number, person, "good", first="bad" if person == BOB else "good")
        for number in range(12)
        for person in (ANN, BOB)
    ]

    assert agreement(verdicts).agreed == 0


@pytest.mark.parametrize(
    ("kappa", "words"),
    [(-0.1, "worse than chance"), (0.0, "slight"), (0.3, "fair"), (0.55, "moderate"), (0.7, "substantial"), (0.9, "almost perfect"), (1.0, "almost perfect")],
)  # fmt: skip
def test_an_agreement_has_a_name(kappa, words):
    assert kappa_words(kappa) == words


def test_a_portrait_is_usable_where_more_than_half_say_so():
    found = usable_portraits(
        judged(("good", "bad"), ("good", "acceptable", "policy"), ("bad", None), ("acceptable", None))
    )

    assert list(found.values()) == [False, True, False, True]


def strata_of(*found):
    return [
        Stratum(provider=provider, style=style, week=MONDAY, population=population, taken=taken)
        for provider, style, population, taken in found
    ]


def item(number, provider, style):
    return SampleItem(
        place=number,
        portrait_id=UUID(int=1000 + number),
        job_id=None,
        character_id=UUID(int=5),
        provider=provider,
        style=style,
        week=MONDAY,
        character="",
        owner=None,
        image_url=None,
        thumbnail_url=None,
        description=None,
        appearance_tags=(),
        reference_image_url=None,
    )


def test_quality_is_told_by_stratum_rolled_up_and_weighted_by_what_there_was():
    strata = strata_of(("fal", "anime", 900, 2), ("fal", "realistic", 100, 2))
    items = [
        item(0, "fal", "anime"),
        item(1, "fal", "anime"),
        item(2, "fal", "realistic"),
        item(3, "fal", "realistic"),
    ]
    verdicts = judged(("good",), ("good",), ("bad",), ("good",))

    found = by_stratum(strata, items, verdicts)
    [rolled] = rolled_up(found, provider=True)

    assert [(one.usable.hits, one.usable.total) for one in found] == [(2, 2), (1, 2)]
    assert (rolled.usable.hits, rolled.usable.total, rolled.population) == (3, 4, 1000)
    assert weighted(found) == pytest.approx(0.95)


def test_a_kind_nobody_judged_leaves_the_whole_unsaid():
    strata = strata_of(("fal", "anime", 900, 1), ("sketch", "anime", 5, 1))

    found = by_stratum(strata, [item(0, "fal", "anime"), item(1, "sketch", "anime")], judged(("good",)))

    assert weighted(found) is None
    assert found[1].usable.share is None
