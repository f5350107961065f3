"""The audit dashboard: page settings and navigation over pages/; nothing else.

`streamlit run audit_app.py` is for one's own machine.
"""

from audit import navigation

navigation.run()
