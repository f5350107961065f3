"""Auto-save: whether every portrait was saved, and saved right; and its repair."""

import streamlit as st

from audit import (
    actions,
    autosave_filters,
    autosave_health,
    autosave_history,
    autosave_list,
    autosave_one,
    autosave_reasons,
    bulk,
    filters,
    look,
    redraw,
)
from core.mending import REPAIR

redraw.settle()
actions.flash()
chosen = autosave_filters.draw(changed=autosave_one.close)
# Each has its own place, and the other's is emptied: else what is leaving stands among what comes, on a slow line.
if named := autosave_one.chosen():
    with st.container():
        autosave_one.draw(named)
    st.empty()
else:
    st.empty()
    with st.container():
        look.head("Auto-save", "Whether every portrait was saved, and saved right: seven checks each.")
        if not filters.refuses_lost(("reason",)):
            autosave_health.draw(chosen.shared)
            bulk.panel({REPAIR.kind})
            autosave_reasons.draw(chosen)
            autosave_list.draw(chosen)
            autosave_history.draw()
