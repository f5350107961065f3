"""Questions whose answer may be *nothing*, *not now* or *too slow*: three answers a screen keeps apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from audit.services import read
from core.db import Connection
from core.errors import BadRequest, DatabaseUnavailable, NotAllowed, QueryTimedOut, StudioError

T = TypeVar("T")


def asked(question: Callable[[Connection], T]) -> T | None:
    """The answer; None where there is none, which has been said on the page in its own words then."""
    try:
        return read(question)
    except StudioError as error:
        told(error)
        return None


def told(error: StudioError) -> None:
    """Say on the page what went wrong and what helps."""
    if isinstance(error, QueryTimedOut):
        st.warning(
            "**This took too long** and was stopped after 5 seconds. The database is well: choose a shorter period, "
            "or one provider, and ask again.",
            icon=":material/hourglass_bottom:",
        )
    elif isinstance(error, DatabaseUnavailable):
        st.error(
            f"**The database cannot be reached.** {error.sentence} Nothing on this page is known until it answers.",
            icon=":material/cloud_off:",
        )
    elif isinstance(error, BadRequest):
        st.warning(
            error.sentence, icon=":material/edit:"
        )  # something is missing on the form; a code helps nobody
    elif isinstance(error, NotAllowed):
        st.info(error.sentence, icon=":material/lock:")
    else:
        st.error(f"{error.sentence} ({error.reason})", icon=":material/error:")
