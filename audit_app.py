"""The audit dashboard: page settings and navigation over pages/; nothing else.

`streamlit run audit_app.py` is for one's own machine.
"""

import streamlit as st

from audit import look
from audit.asking import told
from audit.services import person
from core.errors import StudioError

MARK = "studio/assets/favicon.svg"

st.set_page_config(page_title="Portrait Studio audit", page_icon=MARK, layout="wide")
look.dress()
st.logo(MARK, size="large")
page = st.navigation([st.Page("pages/jobs.py", title="Jobs", icon=":material/list_alt:", default=True)])
try:
    person()
except StudioError as error:
    told(error)
    st.stop()
page.run()
