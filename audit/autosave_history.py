"""Health over time: how many portraits each check found wrong or could not look at, check by check."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import plotly.graph_objects as go
import streamlit as st

from audit import look, tables, words
from audit.asking import asked
from audit.tables import Sheet
from core.audit import autosave
from core.audit.autosave import CHECK_TITLES, WHOLE, Check, HealthLine

_SPANS = {"14 days": 14, "90 days": 90}
_WHOLE_TITLE = "The portrait as a whole"
_NAMES = {_WHOLE_TITLE: WHOLE, **{CHECK_TITLES[check]: check.value for check in Check}}
_BY_FILES = {WHOLE, Check.workspace, Check.library_object, Check.thumbnail}
_TICKS = 6
_COLOURS = {"failed": "#dc3d57", "not checked": "#d98a1f"}  # read on light and on dark ground


def draw() -> None:
    """The chart, and the numbers behind it as a file."""
    with st.container(horizontal=True, vertical_alignment="center", key="history_head"):
        st.subheader("Health over time", anchor=False, width="stretch")
        span = st.segmented_control(
            "How far back",
            list(_SPANS),
            default="14 days",
            required=True,
            key="history_span",
            label_visibility="collapsed",
        )
        chosen = st.selectbox(
            "Which check",
            list(_NAMES),
            key="history_of",
            label_visibility="collapsed",
            width=260,
        )
    since = datetime.now(UTC) - timedelta(days=_SPANS[span or "14 days"])
    lines = asked(lambda conn: autosave.history(conn, since))
    if lines is None:
        return
    shown = [one for one in lines if _belongs(one, _NAMES[chosen or _WHOLE_TITLE])]
    if not shown:
        st.caption(f"No check of this kind has ended within {span}. Each one that ends adds a bar here.")
        return
    _chart(shown)
    with st.container(horizontal=True, vertical_alignment="center", key="history_foot"):
        number = "1 check" if len(shown) == 1 else f"{len(shown)} checks"
        newest = shown[-1]
        st.html(
            f'<p class="au-age">{look.say(f"{number} in {span}, the last {words.ago(newest.at)}: {_said(newest)}.")}</p>',
            width="stretch",
        )
        tables.files(_sheet(lines))


def _belongs(line: HealthLine, name: str) -> bool:
    """What needs files is shown from the checks that looked at them: the others would only say *not checked*."""
    return line.check == name and (line.with_objects or name not in _BY_FILES)


def _said(line: HealthLine) -> str:
    return f"{line.passed:,} passed, {line.failed:,} failed, {line.not_checked:,} not checked"


def _chart(lines: Sequence[HealthLine]) -> None:
    """A bar a check: what failed, and above it what was not checked. Equal steps: checks come when they come."""
    places = list(range(len(lines)))
    at = [f"{line.at.astimezone(words.zone()):%-d %b, %H:%M}" for line in lines]
    chart = go.Figure(
        [
            go.Bar(
                name=answer,
                x=places,
                y=[getattr(line, field) for line in lines],
                marker_color=_COLOURS[answer],
                marker_line_width=0,
                customdata=[[moment, line.passed] for moment, line in zip(at, lines, strict=True)],
                hovertemplate=f"%{{customdata[0]}}<br>%{{y:,}} {answer}, %{{customdata[1]:,}} passed<extra></extra>",
            )
            for answer, field in (("failed", "failed"), ("not checked", "not_checked"))
        ]
    )
    shown = places[:: max(1, len(places) // _TICKS)]
    chart.update_layout(
        barmode="stack",
        height=220,
        bargap=0.35 if len(lines) > 1 else 0.9,
        margin={"l": 0, "r": 0, "t": 8, "b": 0},
        legend={"orientation": "h", "y": 1.18, "x": 0},
        xaxis={
            "tickvals": shown,
            "ticktext": [at[place] for place in shown],
            "fixedrange": True,
            "title": None,
        },
        yaxis={"rangemode": "tozero", "fixedrange": True, "title": None, "tickformat": ",d", "nticks": 4},
    )
    st.plotly_chart(chart, key="health_chart", config={"displayModeBar": False})


def _sheet(lines: Sequence[HealthLine]) -> Sheet:
    return Sheet(
        name="health",
        columns=("check", "at", "with_files", "passed", "failed", "not_checked", "not_applicable", "run"),
        rows=lambda: [
            (
                one.check,
                one.at,
                one.with_objects,
                one.passed,
                one.failed,
                one.not_checked,
                one.not_applicable,
                one.run_id,
            )
            for one in lines
        ],
    )
