"""Jobs: search them all, and read one job's whole story."""

import streamlit as st

from audit import actions, filters, job_list, job_story, redraw
from audit.asking import asked
from core.audit import jobs

redraw.settle()
actions.flash()
models = asked(jobs.models)
if models is None:
    st.stop()
chosen = filters.draw(models, changed=job_story.close)
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
