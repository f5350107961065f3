"""Numbers at a glance: a card says what is counted, how much, whether that is well, since when, and where to read on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import streamlit as st

from audit.look import say

_WIDE, _HIGH = 120, 28  # of a sparkline's own coordinates


@dataclass(frozen=True, kw_only=True)
class Card:
    """One number. `value` is None where the question failed, and `note` says so then; `tone` as in `look.badge`.
    `spark` is the course, oldest first, None where nothing was measured; `href` leads to the page behind it.
    """

    label: str
    value: str | None
    note: str = ""
    tone: str = "calm"
    spark: Sequence[float | None] = ()
    href: str = ""


def draw(cards: Sequence[Card], *, key: str) -> None:
    """The cards in a row that wraps; `key` names the row for its style."""
    with st.container(key=key):
        st.html(f'<div class="au-cards">{"".join(map(_html, cards))}</div>')


def _html(card: Card) -> str:
    inside = (
        f'<span class="au-card-label">{say(card.label)}</span>'
        f'<b class="au-card-value">{say("not known" if card.value is None else card.value)}</b>'
        f'<span class="au-card-note">{say(card.note)}</span>{sparkline(card.spark)}'
    )
    tone = "unknown" if card.value is None else card.tone
    attributes = f'class="au-card" data-tone="{say(tone)}"'
    if card.href:
        return f'<a {attributes} href="{say(card.href)}" target="_self">{inside}</a>'
    return f"<div {attributes}>{inside}</div>"


def sparkline(course: Sequence[float | None]) -> str:
    """The course of a number as a small line; a gap where nothing was measured, nothing with fewer than two points."""
    known = [one for one in course if one is not None]
    if len(known) < 2:  # noqa: PLR2004 - a line has two ends
        return ""
    low, high = min(known), max(known)
    lines, points = [], []
    for place, one in enumerate([*course, None]):
        if one is None:
            if points:
                lines.append(f'<polyline vector-effect="non-scaling-stroke" points="{" ".join(points)}"/>')
            points = []
        else:
            across = place * _WIDE / (len(course) - 1)
            up = _HIGH / 2 if high == low else 2 + (high - one) * (_HIGH - 4) / (high - low)
            points.append(f"{across:.1f},{up:.1f}")
    drawn = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {_HIGH}" preserveAspectRatio="none" fill="none" '
        f'stroke="#000" stroke-width="1.6" stroke-linejoin="round" stroke-linecap="round">{"".join(lines)}</svg>'
    )
    # Streamlit takes drawings out of HTML, so the line is the shape through which the colour shows.
    return f'<i class="au-spark" style="--line: url(&quot;data:image/svg+xml,{quote(drawn)}&quot;)"></i>'
