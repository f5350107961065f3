"""What people type into a form stands as it was, beside the sentence that refuses it, until it is saved or closed.

A form has a name, and its fields have keys. `begin` before anything of it is drawn, `tell` where its refusal is to stand, `drop`
when it is closed. Streamlit forgets a field that a run does not draw, and a run draws none where the database does not
answer: `hold`, at the top of every run, keeps what was typed for the next one that does. Streamlit's own memory wins, so
that letters on their way from the browser are never written over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import streamlit as st

from audit import redraw
from audit.asking import told
from core.errors import Conflict, DatabaseUnavailable, StudioError

_FORMS = "typed_forms"


@dataclass
class _Form:
    """The last values of its fields by key, and why it was not saved."""

    values: dict[str, object] = field(default_factory=dict[str, object], repr=False)
    refusal: StudioError | None = None
    since: str = ""  # what stands there since, where a colleague was faster


def begin(form: str, fields: Mapping[str, object]) -> None:
    """Before the fields of `form` are drawn, none of them with a value of its own: each begins with what was typed, else
    with what `fields` says.
    """
    values = _forms().setdefault(form, _Form()).values
    for key, first in fields.items():
        if key not in st.session_state:
            st.session_state[key] = values.get(key, first)
        values[key] = st.session_state[key]


def hold() -> None:
    """At the top of every whole run, before anything is drawn."""
    for form in _forms().values():
        form.values |= {key: st.session_state[key] for key in form.values if key in st.session_state}


def drop(form: str) -> None:
    """It is saved or closed: its fields begin anew. For a callback, or before they are drawn."""
    if gone := _forms().pop(form, None):
        for key in gone.values:
            st.session_state.pop(key, None)


def refuse(form: str, error: StudioError, since: str = "") -> None:
    """Have `error` told in the form until it is tried again, with what stands there `since`."""
    kept = _forms().setdefault(form, _Form())
    kept.refusal, kept.since = error, since


def tell(form: str) -> None:
    """Why the form was not saved, where it was not."""
    kept = _forms().get(form)
    if kept is None or kept.refusal is None:
        return
    if isinstance(kept.refusal, DatabaseUnavailable):
        st.error(
            f"**The database cannot be reached.** {kept.refusal.sentence} What you typed stays here.",
            icon=":material/cloud_off:",
        )
    else:
        told(kept.refusal)
    if kept.since:
        st.info(kept.since, icon=":material/sync_problem:")


def attempt(form: str, act: Callable[[], None]) -> bool:
    """Save: the form begins anew and the whole page is drawn again; else why not stands in it, and False. Where a colleague
    was faster the page is drawn again too. For a button's `on_click`.
    """
    try:
        act()
    except StudioError as error:
        refuse(form, error)
        if isinstance(error, Conflict):
            redraw.ask()
        return False
    drop(form)
    redraw.ask()
    return True


def _forms() -> dict[str, _Form]:
    return st.session_state.setdefault(_FORMS, {})
