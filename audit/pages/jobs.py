"""Jobs: search them all, and read one job's whole story."""

import streamlit as st

from audit import actions, job_filters, job_list, job_story, redraw

redraw.settle()
actions.flash()
chosen = job_filters.draw(changed=job_story.close)
# Each has its own place, and the other's is emptied: else what is leaving stands among what comes, on a slow line.
if named := job_story.chosen():
    with st.container():
        job_story.draw(named, live=chosen.live)
    st.empty()
else:
    st.empty()
    with st.container():
        st.title("Jobs", anchor=False)
        job_list.draw(chosen)
