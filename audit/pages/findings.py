"""Findings: what does not fit, in words, whose it is, and the way to what mends it."""

import streamlit as st

from audit import (
    actions,
    adoption,
    colleagues,
    filters,
    finding_filters,
    finding_list,
    finding_one,
    look,
    redraw,
    rows_check,
)

redraw.settle()
actions.flash()
names = colleagues.names()
adopted = adoption.known()
chosen = finding_filters.draw(names, adopted, changed=finding_one.close)
# Each has its own place, and the other's is emptied: else what is leaving stands among what comes, on a slow line.
if named := finding_one.chosen():
    with st.container():
        finding_one.draw(named, names)
    st.empty()
else:
    st.empty()
    with st.container():
        look.head("Findings", "What does not fit, in words: what it means, whose it is, and what mends it.")
        rows_check.draw()
        if adopted is not None:
            adoption.draw(adopted, is_narrowed=chosen.narrows)
        if not filters.refuses_lost(finding_filters.NAMES):
            finding_list.draw(chosen, names, live=filters.shared().live)
