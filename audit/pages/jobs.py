"""Jobs: search them all, and read one job's whole story."""

import streamlit as st

from audit import actions, filters, job_filters, job_list, job_story, look, redraw

redraw.settle()
actions.flash()
named = job_story.chosen()
if not named:
    look.head("Jobs")
chosen = job_filters.draw(changed=job_story.close, with_box=not named)
# Each has its own place, and the other's is emptied: else what is leaving stands among what comes, on a slow line.
if named:
    with st.container():
        job_story.draw(named, live=chosen.live)
    st.empty()
else:
    st.empty()
    with st.container():
        if not filters.refuses_lost(("status",)):
            job_list.draw(chosen)
