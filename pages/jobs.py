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
if named := job_story.chosen():
    job_story.draw(named, live=chosen.live)
else:
    st.title("Jobs", anchor=False)
    job_list.draw(chosen)
