"""The audit dashboard: page settings and navigation over pages/; nothing else.

`python -m audit` serves it, with the gate in front; `streamlit run audit_app.py` is for one's own machine without
sign-in.
"""

from audit import navigation

navigation.run()
