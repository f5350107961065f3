"""What is looked at: kept in the address, shared by all pages, drawn in the side bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import streamlit as st

from audit import redraw, words
from core.audit.jobs import JobFilter, JobState, ModelName
from core.values import ModelId

# What stands here stands in the address too: a changed word is a broken bookmark.
PERIODS = {
    "All time": None,  # first, and so the usual one: nothing is hidden before a person asks for less
    "30 days": timedelta(days=30),
    "7 days": timedelta(days=7),
    "24 hours": timedelta(days=1),
    "1 hour": timedelta(hours=1),
}
ALWAYS = "All time"
_STATES = {said: state for state, said in words.STATES.items()}


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The filters as they stand. `period` in the words of the page; `live` where the page reads again by itself."""

    base: JobFilter
    period: str
    live: bool

    @property
    def narrows(self) -> bool:
        """True where more than a period is asked for: then an empty list may be the filters' doing."""
        return self.base != JobFilter()

    def wanted(self) -> JobFilter:
        """The filter as of now: a live page's period goes on with the clock."""
        span = PERIODS[self.period]
        return replace(self.base, since=datetime.now(UTC) - span if span else None)


def draw(models: Sequence[ModelName], *, changed: Callable[[], None]) -> Chosen:
    """The filters in the side bar; each follows the address, and the address follows it.

    `changed` is called before the page is drawn again with another filter.
    """
    labels = model_labels(models)
    with st.sidebar:
        text = st.text_input(
            "Find",
            key="q",
            bind="query-params",
            placeholder="Job id or error code",
            icon=":material/search:",
            help="The beginning of a job's id (4 digits or more), or a part of an error code, such as REFUSED. "
            "Small letters find the same.",
            on_change=changed,
        )
        states = st.pills(
            "Status",
            list(_STATES),
            selection_mode="multi",
            key="status",
            bind="query-params",
            on_change=changed,
        )
        period = st.selectbox(
            "Asked within",
            list(PERIODS),
            key="period",
            bind="query-params",
            on_change=changed,
        )
        provider = st.selectbox(
            "Provider",
            sorted({one.provider for one in models}),
            index=None,
            placeholder="Every provider",
            format_func=words.provider,
            key="provider",
            bind="query-params",
            on_change=changed,
        )
        model = st.selectbox(
            "Model",
            [label for label, one in labels.items() if provider in (None, one.provider)],
            index=None,
            placeholder="Every model",
            key="model",
            bind="query-params",
            on_change=changed,
        )
        live = st.toggle(
            "Live",
            value=True,
            key="live",
            bind="query-params",
            help="Reads again every 5 seconds. Switch it off to stand still.",
        )
    base = JobFilter(
        states=tuple(_STATES[said] for said in states),
        provider=provider,
        model_id=ModelId(labels[model].id) if model else None,
        text=text or "",
    )
    return Chosen(base=base, period=period or ALWAYS, live=live)


def model_labels(models: Sequence[ModelName]) -> dict[str, ModelName]:
    """The models by what they are called here: the key is added where two share a name."""
    names = [one.display_name for one in models]
    return {
        one.display_name
        if names.count(one.display_name) == 1
        else f"{one.display_name} ({words.provider(one.provider)}, {one.model_key})": one
        for one in models
    }


def show_only(state: JobState) -> None:
    """Look at one state, of any age; for a button's `on_click`."""
    st.session_state["status"] = [words.STATES[state]]
    look_at_all_time()


def show_or_lift(state: JobState) -> None:
    """Look at one state within the same period, or at all again where it was looked at already; for `on_click`."""
    redraw.ask()
    said = [words.STATES[state]]
    st.session_state["status"] = [] if st.session_state.get("status") == said else said


def look_at_all_time() -> None:
    """Lift the period; for a button's `on_click`."""
    redraw.ask()
    st.session_state["period"] = ALWAYS


def lift() -> None:
    """Lift every filter; for a button's `on_click`."""
    redraw.ask()
    st.session_state.update(q="", status=[], provider=None, model=None, period=ALWAYS)
