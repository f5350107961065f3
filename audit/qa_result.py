"""What a sample says: how good each kind of portrait is and how sure that is, how far people agree, who judged how many."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from audit import cards, navigation, tables, words
from audit.cards import Card
from audit.look import as_of, nothing, say
from audit.qa_judging import WORDS
from audit.services import person
from core import agreement
from core.agreement import FEWEST_PAIRS, Agreement, Quality, kappa_words
from core.audit.qa import Judged, Sample, SampleItem, VerdictRow
from core.sampling import Verdict


def draw(
    sample: Sample, items: Sequence[SampleItem], verdicts: Sequence[VerdictRow], people: Sequence[Judged]
) -> None:
    """The result as far as this person may see it."""
    there = [one for one in items if one.image_url]
    mine = sum(one.person == person().id for one in verdicts)
    if sample.is_open and mine < len(there):
        st.info(
            f"**You have judged {mine} of {len(there)}.** What others said of the rest is hidden from you until you have "
            "judged it too, or the sample is closed. These figures rest on what you may see.",
            icon=":material/visibility_off:",
        )
    if not verdicts:
        nothing("Nothing to read yet", "No verdict that you may see has been given in this sample.")
        _people(people, len(there))
        return
    strata = agreement.by_stratum(sample.strata, items, verdicts)
    agreed = agreement.agreement(verdicts)
    cards.draw(_cards(strata, agreed, verdicts), key="qa_cards")
    st.html(f'<p class="at-sentence">{say(in_words(agreed))}</p>')
    _qualities("By provider", agreement.rolled_up(strata, provider=True))
    _qualities("By style", agreement.rolled_up(strata, style=True))
    _qualities("By provider, style and week", strata)
    _people(people, len(there))
    with st.container(horizontal=True):
        as_of(
            datetime.now(UTC),
            "Usable: more than half of its verdicts are good or acceptable. Intervals: Wilson, 95 %.",
        )
        st.space("stretch")
        tables.files(_sheet(strata))
    with st.container(horizontal=True):
        st.space("stretch")
        tables.files(_verdict_sheet(items, verdicts), label="verdicts")


def in_words(found: Agreement) -> str:
    """How far people agree, and how many pairs that rests on."""
    if not found.is_enough:
        return (
            f"Agreement: not enough. Two people said something of the same portrait {_times(found.pairs)}; "
            f"below {FEWEST_PAIRS} pairs it means nothing."
        )
    basis = f"{found.pairs} pairs of verdicts by {found.people} people on {found.portraits} portraits"
    same = f"Agreement: the same verdict in {found.share or 0:.0%} of {basis}."
    if found.kappa is None:
        return f"{same} Everybody always said the same, so what is beyond chance cannot be told."
    return (
        f"{same} Beyond chance that is {kappa_words(found.kappa)} ({found.method} kappa {found.kappa:.2f})."
    )


def _times(number: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")


def _cards(strata: Sequence[Quality], agreed: Agreement, verdicts: Sequence[VerdictRow]) -> list[Card]:
    whole = agreement.rolled_up(strata)[0].usable
    weighted = agreement.weighted(strata)
    policy = {one.portrait_id for one in verdicts if one.verdict == Verdict.policy}
    return [
        Card(
            label="Usable portraits",
            value=None if whole.share is None else f"{whole.share:.0%}",
            note=f"{whole.hits} of {whole.total} judged; {_interval(whole.low, whole.high)}",
        ),
        Card(
            label="Usable of all saved",
            value=None if weighted is None else f"{weighted:.0%}",
            note="each kind counts by how many were saved"
            if weighted is not None
            else "a kind has no verdict yet",
        ),
        Card(
            label="Agreement",
            value=f"{agreed.share:.0%}" if agreed.is_enough and agreed.share is not None else "Not enough",
            note=f"{agreed.pairs} pairs of verdicts",
        ),
        Card(
            label="Policy problems",
            value=str(len(policy)),
            note="each is a finding" if policy else "nobody saw one",
            tone="bad" if policy else "calm",
            href=navigation.href("findings") if policy else "",
        ),
    ]


def _interval(low: float | None, high: float | None) -> str:
    return "nothing judged" if low is None or high is None else f"{low:.0%} to {high:.0%} is likely"


def _qualities(title: str, found: Sequence[Quality]) -> None:
    st.html(f'<div class="at-quality"><h2>{say(title)}</h2>{"".join(map(_quality, found))}</div>')


def _quality(one: Quality) -> str:
    usable = one.usable
    kind = ", ".join(
        filter(None, (words.provider(one.provider) if one.provider else "", one.style, one.week))
    )
    drawn = f"{usable.total} judged, {one.taken} drawn of {one.population:,} saved"
    if usable.share is None or usable.low is None or usable.high is None:
        return f"<div><b>{say(kind)}<small>{say(drawn)}</small></b><span></span><em>not judged</em></div>"
    bar = (
        f'<span class="at-interval" aria-hidden="true"><i style="left:{usable.low:.1%};right:{1 - usable.high:.1%}"></i>'
        f'<u style="left:{usable.share:.1%}"></u></span>'
    )
    return (
        f"<div><b>{say(kind)}<small>{say(drawn)}</small></b>{bar}"
        f"<em>{usable.share:.0%}<small>{usable.low:.0%} to {usable.high:.0%}</small></em></div>"
    )


def _people(people: Sequence[Judged], total: int) -> None:
    if not people:
        return
    lines = "".join(
        f"<div><b>{say('You' if one.person == person().id else words.short(one.person))}</b>"
        f"<span>{one.judged} of {total}, the last one {say(words.ago(one.last_at))}</span></div>"
        for one in people
    )
    st.html(f'<div class="at-people"><h2>Who judged</h2>{lines}</div>')


def _sheet(strata: Sequence[Quality]) -> tables.Sheet:
    return tables.Sheet(
        name="qa-quality",
        columns=("provider", "style", "week", "saved", "drawn", "judged", "usable", "share", "low_95", "high_95"),
        rows=lambda: [
            (
                one.provider, one.style, one.week, one.population, one.taken, one.usable.total, one.usable.hits,
                one.usable.share, one.usable.low, one.usable.high,
            )
            for one in strata
        ],
    )  # fmt: skip


def _verdict_sheet(items: Sequence[SampleItem], verdicts: Sequence[VerdictRow]) -> tables.Sheet:
    by_id = {one.portrait_id: one for one in items}
    return tables.Sheet(
        name="qa-verdicts",
        columns=("portrait", "job", "provider", "style", "week", "person", "verdict", "first_verdict", "note", "given", "changed"),
        rows=lambda: [
            (
                one.portrait_id, item.job_id, item.provider, item.style, item.week.isoformat(), one.person,
                WORDS[Verdict(one.verdict)], WORDS[Verdict(one.first_verdict)], one.note, one.given_at, one.changed_at,
            )
            for one in verdicts
            if (item := by_id.get(one.portrait_id))
        ],
    )  # fmt: skip
