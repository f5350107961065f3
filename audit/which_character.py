"""Which character a portrait belongs to, where its name leaves that open: a person with the role says it here."""

from __future__ import annotations

import streamlit as st

from audit import words
from audit.asking import asked
from audit.services import person, services
from core import matching
from core.audit import autosave
from core.audit.autosave import Namesake, Proof, Reason
from core.authority import Action, may
from core.errors import StudioError
from core.values import CharacterId

_CHOSEN = "which_character"
_FLASH = "flash"


def draw(one: Proof) -> None:
    """The question and its answers, where this portrait has one and the person may answer."""
    if Reason.NO_CHARACTER not in one.answers or not may(person(), Action.decide_characters):
        return
    found = asked(lambda conn: autosave.namesakes(conn, one.job_id))
    if not found:
        return
    with st.container(border=True, key="which"):
        st.markdown("**Which character is it?** Its name alone does not tell.")
        labels = {_said(each): each for each in found}
        chosen = st.radio(
            "Which character", list(labels), index=None, key=_CHOSEN, label_visibility="collapsed"
        )
        st.button(
            "It is this one",
            key="decide",
            type="primary",
            disabled=chosen is None,
            on_click=_decide,
            args=(one, labels[chosen].id if chosen else None),
        )


def _said(one: Namesake) -> str:
    number = (
        "no portrait"
        if not one.portraits
        else "1 portrait"
        if one.portraits == 1
        else f"{one.portraits} portraits"
    )
    when = "after" if one.is_newer else "before"
    return f"{one.name}, made {words.moment(one.created_at)} ({when} this portrait), {number}, {words.short(one.id)}"


def _decide(one: Proof, character_id: CharacterId | None) -> None:
    if character_id is None:
        return
    try:
        matching.decide(one.job_id, CharacterId(character_id), person(), services())
        st.session_state[_FLASH] = "Decided. A worker saves the portrait now; look again in a moment."
    except StudioError as error:
        st.session_state[_FLASH] = error.sentence
