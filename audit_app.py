"""The audit dashboard: page settings and navigation over pages/; nothing else.

`streamlit run audit_app.py` is for one's own machine.
"""

import streamlit as st

from audit import look
from audit.services import person
from core.errors import StudioError

MARK = "studio/assets/favicon.svg"

st.set_page_config(page_title="Portrait Studio audit", page_icon=MARK, layout="wide")
look.dress()
st.logo(MARK, size="large")
try:
    person()
except StudioError as error:
    st.error(error.sentence, icon=":material/error:")
    st.stop()
pages = {"Audit": [st.Page("pages/jobs.py", title="Jobs", icon=":material/list_alt:", default=True)]}
st.navigation(pages).run()
