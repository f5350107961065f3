"""What people do with findings here: take them, give them, note something, set them aside and bring them back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from audit import look, redraw, typed
from audit.colleagues import Names
from audit.services import person, services
from core import findings
from core.audit.findings import FindingRow, FindingState
from core.authority import Action, may
from core.errors import StudioError
from core.findings import LONGEST_TEXT, rule_of

_PENDING = "findings_pending"
_WHY = "finding_why"
_TO = "finding_to"
_FORM = "finding_question"
_FLASH = "flash"
_SAMPLE = 5
_NOBODY = "Nobody"


@dataclass(frozen=True, kw_only=True)
class _Pending:
    """A question that waits for its answer, about the findings that were shown when it was asked."""

    name: str  # of a deed
    rows: tuple[FindingRow, ...]


def offer(rows: Sequence[FindingRow], names: Names) -> None:
    """The buttons that fit `rows` as they were shown, and the open question where there is one; in a container."""
    if rows:
        _buttons(tuple(rows))
    pending = st.session_state.get(_PENDING)
    if isinstance(pending, _Pending):
        title = _TITLES[pending.name]
        st.dialog(title, on_dismiss=_forget)(_ask)(pending, names)


def may_judge() -> bool:
    """True where the person may set findings aside."""
    return may(person(), Action.judge_findings)


def _buttons(rows: tuple[FindingRow, ...]) -> None:
    many = "" if len(rows) == 1 else f" {len(rows)}"
    if any(row.owner != person().id for row in rows):
        st.button(f"Take{many}", key="take", icon=":material/pan_tool:", on_click=_take, args=(rows,))
    st.button(f"Give{many} to …", key="give", on_click=_open, args=("give", rows))
    if len(rows) == 1:
        st.button("Note", key="note", icon=":material/edit_note:", on_click=_open, args=("note", rows))
    if may_judge() and any(row.state is FindingState.open for row in rows):
        st.button(f"Set{many} aside", key="set_aside", on_click=_open, args=("set_aside", rows))
    if may_judge() and any(row.set_aside_at is not None for row in rows):
        st.button(
            f"Bring{many} back", key="bring_back", icon=":material/undo:", on_click=_bring_back, args=(rows,)
        )


def _open(name: str, rows: tuple[FindingRow, ...]) -> None:
    _forget()
    st.session_state[_PENDING] = _Pending(name=name, rows=rows)
    redraw.ask()


def _forget() -> None:
    st.session_state.pop(_PENDING, None)
    typed.drop(_FORM)


def _ids(rows: Sequence[FindingRow]) -> list[int]:
    return [row.id for row in rows]


def _take(rows: tuple[FindingRow, ...]) -> None:
    _carry_out(lambda: _given(findings.assign(_ids(rows), person().id, person(), services()), "yours"))


def _bring_back(rows: tuple[FindingRow, ...]) -> None:
    _carry_out(lambda: _given(findings.bring_back(_ids(rows), person(), services()), "open again"))


def _given(number: int, what: str) -> str:
    if number == 0:
        return "Nothing changed: somebody was faster."
    return f"{number} {'finding is' if number == 1 else 'findings are'} {what}."


def _carry_out(act: Callable[[], str]) -> None:
    """Do it and keep what to say; for a button's `on_click`."""
    redraw.ask()
    try:
        st.session_state[_FLASH] = act()
    except StudioError as error:
        st.session_state[_FLASH] = error.sentence


# -- questions -------------------------------------------------------------------------------------------------------


def _ask(pending: _Pending, names: Names) -> None:
    typed.begin(_FORM, _BEGINNINGS[pending.name](pending.rows))
    _sample(pending.rows)
    act = _QUESTIONS[pending.name](pending.rows, names)
    refusal = st.container()
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Leave it", key="finding_no"):
            _forget()
            st.rerun()
        agreed = st.button(_TITLES[pending.name], key="finding_yes", type="primary")
    if agreed:
        try:
            st.session_state[_FLASH] = act()
        except StudioError as error:
            typed.refuse(_FORM, error)
        else:
            _forget()
            st.rerun()
    with refusal:
        typed.tell(_FORM)


def _sample(rows: Sequence[FindingRow]) -> None:
    lines = "".join(
        f"<li>{look.say(rule_of(row.rule).title)}: {look.say(row.sentence)}</li>" for row in rows[:_SAMPLE]
    )
    more = len(rows) - _SAMPLE
    rest = f'<li class="au-more">and {more:,} more that were shown</li>' if more > 0 else ""
    st.html(f'<ul class="au-sample">{lines}{rest}</ul>')


def _ask_give(rows: Sequence[FindingRow], names: Names) -> Callable[[], str]:
    people = {name: one for one, name in sorted(names.items(), key=lambda pair: pair[1])}
    chosen = st.selectbox("To whom?", [_NOBODY, *people], key=_TO)
    owner = people.get(chosen or _NOBODY)

    def give() -> str:
        number = findings.assign(_ids(rows), owner, person(), services())
        return _given(number, f"now {chosen}’s" if owner else "nobody’s now")

    return give


def _ask_note(rows: Sequence[FindingRow], _names: Names) -> Callable[[], str]:
    text = st.text_area("What should the next person know?", key=_WHY, max_chars=LONGEST_TEXT, height=90)

    def note() -> str:
        changed = findings.note(rows[0].id, str(text or ""), person(), services())
        return "The note is kept." if changed else "The note is as it was."

    return note


def _ask_set_aside(rows: Sequence[FindingRow], _names: Names) -> Callable[[], str]:
    st.write(
        "It is **right as it is**: it leaves this list, is kept, and comes back if it is found with another sentence."
    )
    why = st.text_area(
        "Why is it right?",
        key=_WHY,
        max_chars=LONGEST_TEXT,
        height=90,
        placeholder="The platform does this on purpose.",
    )
    return lambda: _given(findings.set_aside(_ids(rows), str(why or ""), person(), services()), "set aside")


_TITLES = {"give": "Give", "note": "Keep the note", "set_aside": "Set aside"}
# How the field of each begins.
_BEGINNINGS: dict[str, Callable[[Sequence[FindingRow]], Mapping[str, object]]] = {
    "give": lambda _rows: {_TO: _NOBODY},
    "note": lambda rows: {_WHY: rows[0].note or ""},
    "set_aside": lambda _rows: {_WHY: ""},
}
_QUESTIONS: dict[str, Callable[[Sequence[FindingRow], Names], Callable[[], str]]] = {
    "give": _ask_give,
    "note": _ask_note,
    "set_aside": _ask_set_aside,
}
