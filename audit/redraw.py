"""A fragment redraws itself alone. What changes more than it (the filters, which job is open) asks for the whole page."""

from __future__ import annotations

import streamlit as st

_KEY = "redraw_whole_page"


def ask() -> None:
    """Ask for the whole page; for the callback of something inside a fragment."""
    st.session_state[_KEY] = True


def settle() -> None:
    """At the top of a page: it is being drawn whole."""
    st.session_state.pop(_KEY, None)


def heed() -> None:
    """At the top of a fragment: draw the whole page instead, where that was asked for."""
    if st.session_state.pop(_KEY, False):
        st.rerun(scope="app")
