"""What the jobs page is asked for beside the shared filters: the box, and states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import streamlit as st

from audit import filters, job_box, redraw, words
from audit.filters import Shared
from core.audit.job_filter import Query, Unreadable
from core.audit.jobs import JobFilter, JobState

_STATES = {said: state for state, said in words.STATES.items()}


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The filters as they stand, the shared ones too. `wrong`: the box cannot be read, and nothing is listed."""

    base: JobFilter
    shared: Shared
    query: Query
    wrong: Unreadable | None = None

    @property
    def period(self) -> str:
        """In the words of the page."""
        return self.shared.period

    @property
    def live(self) -> bool:
        """True where the page reads again by itself."""
        return self.shared.live

    @property
    def narrows(self) -> bool:
        """True where more than a period is asked for: then an empty list may be the filters' doing."""
        return self.base != JobFilter() or bool(self.query.terms)

    def wanted(self) -> JobFilter:
        """The filter as of now: a live page's period goes on with the clock."""
        return replace(self.base, since=self.shared.since)


def draw(*, changed: Callable[[], None], with_box: bool) -> Chosen:
    """The page's own filters: states in the side bar, the box above the list; each follows the address, and the
    address follows it.

    `changed` is called before the page is drawn again with another filter.
    """
    asked = job_box.draw(changed=changed) if with_box else Query()
    filters.watch("status", _STATES, [])
    with st.sidebar:
        states = st.pills(
            "Status",
            list(_STATES),
            selection_mode="multi",
            key="status",
            bind="query-params",
            on_change=changed,
        )
    shared = filters.shared()
    filters.on_change("jobs", changed)
    base = JobFilter(
        states=tuple(_STATES[said] for said in states),
        provider=shared.provider,
        model_id=shared.model_id,
        person_id=shared.person_id,
        purpose=shared.kind,
    )
    if isinstance(asked, Unreadable):
        return Chosen(base=base, shared=shared, query=Query(), wrong=asked)
    return Chosen(base=base, shared=shared, query=asked)


def show_only(state: JobState) -> None:
    """Look at one state, of any age; for a button's `on_click`."""
    st.session_state["status"] = [words.STATES[state]]
    filters.look_at_all_time()


def show_or_lift(state: JobState) -> None:
    """Look at one state within the same period, or at all again where it was looked at already; for `on_click`."""
    redraw.ask()
    said = [words.STATES[state]]
    st.session_state["status"] = [] if st.session_state.get("status") == said else said


def lift() -> None:
    """Lift every filter; for a button's `on_click`."""
    st.session_state.update(q="", status=[])
    filters.lift()
