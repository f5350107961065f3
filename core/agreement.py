"""What a judged sample says: how far people agree, and how good the portraits of each kind are. Pure.

A portrait counts as usable where more than half of its verdicts are good or acceptable. A share comes with Wilson's 95 %
interval: with few portraits it is wide, and says so.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from uuid import UUID

from core.audit.qa import SampleItem, Stratum, VerdictRow
from core.sampling import Verdict

FEWEST_PAIRS = 10  # below, agreement says nothing
_Z = 1.959964  # of a 95 % interval
_KAPPA_WORDS = (
    (0.0, "worse than chance"),
    (0.2, "slight"),
    (0.4, "fair"),
    (0.6, "moderate"),
    (0.8, "substantial"),
)


@dataclass(frozen=True, kw_only=True)
class Share:
    """`hits` of `total`, with Wilson's 95 % interval; all three shares are None where `total` is 0."""

    hits: int
    total: int
    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far people agree, by what they said before they could see each other's verdicts.

    `pairs` are two verdicts of two people on the same portrait. `share` is None without pairs; `kappa` (Cohen's for two
    people, Fleiss' generalised for more) is None with fewer than 10, or where everybody always said the same.
    """

    people: int
    portraits: int
    pairs: int
    agreed: int
    share: float | None
    kappa: float | None

    @property
    def is_enough(self) -> bool:
        """True where there are pairs enough to say anything."""
        return self.pairs >= FEWEST_PAIRS

    @property
    def method(self) -> str:
        """Whose kappa it is."""
        return "Cohen's" if self.people == 2 else "Fleiss'"  # noqa: PLR2004 — two people


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How good the portraits of one kind are. `population` is how many there were to draw from."""

    provider: str
    style: str
    week: str
    population: int
    taken: int
    usable: Share


def wilson(hits: int, total: int) -> Share:
    """The share and its 95 % interval."""
    if total == 0:
        return Share(hits=0, total=0, share=None, low=None, high=None)
    share, z2 = hits / total, _Z * _Z
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    return Share(
        hits=hits, total=total, share=share, low=max(0.0, middle - half), high=min(1.0, middle + half)
    )


def kappa_words(kappa: float) -> str:
    """How strong an agreement is called (Landis and Koch)."""
    return next((words for bound, words in _KAPPA_WORDS if kappa < bound), "almost perfect")


def agreement(verdicts: Iterable[VerdictRow]) -> Agreement:
    """How far people agree on what more than one of them judged."""
    by_portrait: dict[UUID, dict[UUID, str]] = defaultdict(dict)
    for one in verdicts:
        by_portrait[one.portrait_id][one.person] = one.first_verdict
    shared = [said for said in by_portrait.values() if len(said) > 1]
    people = {person for said in shared for person in said}
    pairs = sum(math.comb(len(said), 2) for said in shared)
    agreed = sum(math.comb(times, 2) for said in shared for times in Counter(said.values()).values())
    kappa = _cohen(shared) if len(people) == 2 else _fleiss(shared)  # noqa: PLR2004 — two people
    return Agreement(
        people=len(people),
        portraits=len(shared),
        pairs=pairs,
        agreed=agreed,
        share=agreed / pairs if pairs else None,
        kappa=kappa if pairs >= FEWEST_PAIRS else None,
    )


def _cohen(shared: Sequence[Mapping[UUID, str]]) -> float | None:
    """For two people: by chance they would agree as often as each one's own habits make it."""
    first, second = sorted({person for said in shared for person in said})
    habits = [Counter(said[person] for said in shared) for person in (first, second)]
    total = len(shared)
    chance = sum(habits[0][word] * habits[1][word] for word in habits[0]) / (total * total)
    return _beyond(sum(said[first] == said[second] for said in shared) / total, chance)


def _fleiss(shared: Sequence[Mapping[UUID, str]]) -> float | None:
    """For more people, not all of whom judged everything: each portrait counts once, by its own pairs."""
    if not shared:
        return None
    observed = sum(
        sum(one == other for one, other in combinations(said.values(), 2)) / math.comb(len(said), 2)
        for said in shared
    ) / len(shared)
    words = Counter(word for said in shared for word in said.values())
    total = sum(words.values())
    return _beyond(observed, sum((times / total) ** 2 for times in words.values()))


def _beyond(observed: float, chance: float) -> float | None:
    return None if math.isclose(chance, 1.0) else (observed - chance) / (1 - chance)


def usable_portraits(verdicts: Iterable[VerdictRow]) -> dict[UUID, bool]:
    """For each portrait somebody judged: whether more than half of its verdicts call it usable."""
    said: dict[UUID, list[bool]] = defaultdict(list)
    for one in verdicts:
        said[one.portrait_id].append(Verdict(one.verdict).is_usable)
    return {portrait: sum(votes) * 2 > len(votes) for portrait, votes in said.items()}


def by_stratum(
    strata: Iterable[Stratum], items: Iterable[SampleItem], verdicts: Iterable[VerdictRow]
) -> tuple[Quality, ...]:
    """How good each stratum is, in the order they were drawn."""
    usable = usable_portraits(verdicts)
    votes: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
    for item in items:
        if item.portrait_id in usable:
            votes[item.provider, item.style, item.week.isoformat()].append(usable[item.portrait_id])
    return tuple(
        Quality(
            provider=one.provider,
            style=one.style,
            week=one.week.isoformat(),
            population=one.population,
            taken=one.taken,
            usable=_share(votes[one.provider, one.style, one.week.isoformat()]),
        )
        for one in strata
    )


def rolled_up(
    found: Iterable[Quality], *, provider: bool = False, style: bool = False
) -> tuple[Quality, ...]:
    """The same over all weeks, by provider, by style, by both, or of everything."""
    groups: dict[tuple[str, str], list[Quality]] = defaultdict(list)
    for one in found:
        groups[one.provider if provider else "", one.style if style else ""].append(one)
    return tuple(
        Quality(
            provider=key[0],
            style=key[1],
            week="",
            population=sum(one.population for one in group),
            taken=sum(one.taken for one in group),
            usable=wilson(sum(one.usable.hits for one in group), sum(one.usable.total for one in group)),
        )
        for key, group in sorted(groups.items())
    )


def weighted(found: Iterable[Quality]) -> float | None:
    """The usable share of everything there was to draw from: each stratum counts by its population, not by how many of
    it were drawn. None while a stratum has no verdict yet.
    """
    strata = list(found)
    if not strata or any(one.usable.share is None for one in strata):
        return None
    return sum((one.usable.share or 0.0) * one.population for one in strata) / sum(
        one.population for one in strata
    )


def _share(votes: Sequence[bool]) -> Share:
    return wilson(sum(votes), len(votes))
