"""All findings of one rule at once: to one person, or back to nobody."""

from __future__ import annotations

from uuid import UUID

import streamlit as st

from audit import redraw
from audit.colleagues import Names
from audit.services import person, services
from core import findings
from core.audit.findings import FindingFilter
from core.authority import Action, may
from core.errors import StudioError

_TO = "all_to"
_FLASH = "flash"
_NOBODY = "Nobody"


def offer(wanted: FindingFilter, names: Names) -> None:
    """A button that gives every finding of the filter, which names one rule; inside a container."""
    if not may(person(), Action.work_on_findings):
        return
    people = {name: one for one, name in sorted(names.items(), key=lambda pair: pair[1])}
    with st.popover("Give all to …", key="give_all", icon=":material/group_add:"):
        chosen = st.selectbox("To whom?", [_NOBODY, *people], key=_TO)
        st.caption(
            f"Every finding of this rule that the filters show, up to {findings.MOST_OF_A_RULE:,} in one go. "
            "Each is recorded under Activity."
        )
        st.button(
            "Give them all",
            key="give_all_yes",
            type="primary",
            on_click=_give,
            args=(wanted, chosen or _NOBODY, people.get(chosen or _NOBODY)),
        )


def _give(wanted: FindingFilter, name: str, owner: UUID | None) -> None:
    redraw.ask()
    try:
        given = findings.assign_all(wanted, owner, person(), services())
    except StudioError as error:
        st.session_state[_FLASH] = error.sentence
        return
    whose = "nobody’s" if owner is None else f"{name}’s"
    more = " There are more: give the rest too." if given.more else ""
    many = "1 finding is" if given.number == 1 else f"{given.number:,} findings are"
    st.session_state[_FLASH] = (
        f"{many} now {whose}.{more}" if given.number else f"Nothing changed: they are {whose} already."
    )
