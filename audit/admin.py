"""What the pages of an admin share: who may look, the question before a change with its reason, and what is said after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import streamlit as st

from audit import look, redraw, typed
from audit.asking import told
from audit.look import say
from audit.services import person
from core.audit.activity import Change
from core.authority import Action, may, refusal
from core.errors import Conflict, StudioError

_PENDING = "admin_pending"
_SAID = "admin_said"
_FAILED = "admin_failed"
_SEEN = "admin_seen"
_WHY = "admin_why"
_FORM = "admin_question"
LONGEST_WHY = 500
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked before a change: `asks` draws its fields, which begin as `fields` says by key; `act` does it with the
    reason and says what was done. Where a colleague was faster, `look_again` says what stands there now, and the next save
    is compared with that.
    """

    title: str
    yes: str
    asks: Callable[[], None]
    act: Callable[[str], str]
    example: str  # of a reason
    fields: Mapping[str, object] = field(default_factory=dict[str, object])
    look_again: Callable[[], str] | None = None


@dataclass(frozen=True)
class _Pending:
    """A question that is open; kept in the session, so that a rerun does not lose it."""

    name: str
    about: str


Questions = Mapping[str, Callable[[str], Question | None]]
"""By name: the question about one row, None where that row is gone."""


def allows(action: Action) -> bool:
    """True where this person may do it, so that it is offered."""
    return may(person(), action)


def refuses(title: str, action: Action) -> bool:
    """True where this page is not for this person, which has been said then."""
    if allows(action):
        return False
    look.head(title)
    look.nothing("Not for this role", refusal(action))
    return True


def say_next(sentence: str) -> None:
    """Have `sentence` said once the page is drawn again."""
    st.session_state[_SAID] = sentence


def refuse_next(error: StudioError) -> None:
    """Have `error` told once the page is drawn again."""
    st.session_state[_FAILED] = error


def flash() -> None:
    """Say once what was just done, or why it could not be."""
    if said := st.session_state.pop(_SAID, None):
        st.toast(look.plain(said), icon=":material/check_circle:")
    if error := st.session_state.pop(_FAILED, None):
        told(error)


def attempt(act: Callable[[], str]) -> bool:
    """Do it, and have said what was done or why not; False where it was not. For a button's `on_click`."""
    redraw.ask()
    try:
        say_next(act())
    except StudioError as error:
        refuse_next(error)
        return False
    return True


def ask(name: str, about: str = "") -> None:
    """Open a question; for a button's `on_click`."""
    forget()
    redraw.ask()
    st.session_state[_PENDING] = _Pending(name, about)


def settle(questions: Questions) -> None:
    """Show the question that is open, where it is one of these."""
    pending = st.session_state.get(_PENDING)
    if not isinstance(pending, _Pending) or pending.name not in questions:
        return
    question = questions[pending.name](pending.about)
    if question is None:
        forget()
        return
    st.dialog(question.title, on_dismiss=forget)(_confirm)(question)


def forget() -> None:
    """Drop a question that was answered or left, and what was typed into it."""
    for name in (_PENDING, _SEEN):
        st.session_state.pop(name, None)
    typed.drop(_FORM)


def seen(first: T) -> T:
    """What the next save of the open question is compared with: `first`, as it stood when that was opened, until somebody
    has looked again.
    """
    return st.session_state.setdefault(_SEEN, (first,))[0]


def looked_at(now: object) -> None:
    """The next save of the open question is compared with `now`."""
    st.session_state[_SEEN] = (now,)


def why_field(key: str, example: str) -> str:
    """The reason of a change, as the record keeps it."""
    said = st.text_area("Why", key=key, max_chars=LONGEST_WHY, height=72, placeholder=example)
    return str(said or "").strip()


def _confirm(question: Question) -> None:
    typed.begin(_FORM, {**question.fields, _WHY: ""})
    question.asks()
    why = why_field(_WHY, question.example)
    refusal = st.container()
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Leave it", key="dialog_no"):
            forget()
            st.rerun()
        agreed = st.button(question.yes, key="dialog_yes", type="primary")
    if agreed and _carry_out(question, why):
        forget()
        st.rerun()
    with refusal:
        typed.tell(_FORM)


def _carry_out(question: Question, why: str) -> bool:
    """False where it was refused, which stands in the dialog then, beside what was typed."""
    try:
        say_next(question.act(why))
    except StudioError as error:
        typed.refuse(_FORM, error, _since(question, error))
        return False
    return True


def _since(question: Question, error: StudioError) -> str:
    """What stands there since a colleague was faster; nothing where that is not why, or cannot be told."""
    if not isinstance(error, Conflict) or error.reason != "CHANGED_MEANWHILE" or question.look_again is None:
        return ""
    try:
        now = question.look_again()
    except StudioError:
        return ""
    return f"**It stands now:** {look.plain(now)} Yours is still here: save once more to put it in its place."


def change_words(change: Change) -> str:
    """One field of a change as HTML: what stood there, and what stands there since."""
    name = say(change.name.replace("_", " "))
    old, new = (say("nothing" if one is None else one) for one in (change.before, change.after))
    return f"<span>{name}: <del>{old}</del> → <ins>{new}</ins></span>"
