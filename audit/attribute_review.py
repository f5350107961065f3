"""What stands in the address of a cell, who may judge it, and the judging itself with its way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from audit import redraw, typed
from audit.asking import told
from audit.services import person, services
from core import attributes, reviews
from core.attributes import CellStatus
from core.audit.attributes import Standing, standing
from core.authority import Action, may
from core.db import Connection
from core.errors import StudioError
from core.services import Services
from core.values import Cell, ReviewStatus

_ADDRESS = "cell"
_UNDO = "attributes_undo"
_SAID = "attributes_said"
_FAILED = "attributes_failed"


@dataclass(frozen=True, kw_only=True)
class Before:
    """The last decision's picture as it stood before it: what undo brings back."""

    cell: Cell
    label: str
    image_url: str
    verdict: ReviewStatus
    note: str


def address_of(cell: Cell) -> str:
    """A cell in the address: age/20s/realistic."""
    return f"{cell.category}/{cell.value}/{cell.style}"


def chosen() -> str | None:
    """The cell the address names, as it stands there."""
    return st.query_params.get(_ADDRESS)


def open_cell(cell: Cell | None) -> None:
    """Go to a cell, or back to the matrix with None; for a button's `on_click`."""
    redraw.ask()
    st.query_params.pop(_ADDRESS, None)
    if cell is not None:
        st.query_params[_ADDRESS] = address_of(cell)


def cells_on(conn: Connection, given: Services) -> tuple[CellStatus, ...]:
    """Every cell, with those that are not required."""
    return attributes.read_matrix(conn, given, whole=True).cells


def is_maker() -> bool:
    """True where this person makes and judges pictures; others look."""
    return may(person(), Action.judge_attribute_images)


def next_to_review(cells: Sequence[CellStatus], after: Cell) -> CellStatus | None:
    """The next picture nobody judged yet, from `after` on and round to the beginning; None where there is none."""
    places = [one.cell for one in cells]
    start = places.index(after) + 1 if after in places else 0
    turned = [*cells[start:], *cells[:start]]
    return next((one for one in turned if one.cell != after and standing(one) is Standing.unverified), None)


def decide(one: CellStatus, verdict: ReviewStatus, note_key: str, cells: Sequence[CellStatus]) -> None:
    """Judge the picture that is shown, remember how it stood, and go on; for a button's `on_click`."""
    picture = one.picture
    if picture is None:
        return
    note = str(st.session_state.get(note_key) or "")
    try:
        reviews.review(one.cell, verdict, person(), services(), image_url=picture.image_url, note=note)
    except StudioError as error:
        typed.refuse(note_key, error)
        return
    typed.drop(note_key)
    st.session_state[_UNDO] = Before(
        cell=one.cell,
        label=one.label,
        image_url=picture.image_url,
        verdict=picture.review_status,
        note=picture.review_note or "",
    )
    follower = next_to_review(cells, one.cell)
    rest = "" if follower else " Nothing is left to review."
    st.session_state[_SAID] = f"{one.label}: {verdict.value}.{rest}"
    if follower:
        open_cell(follower.cell)


def undo() -> None:
    """Bring back what stood before the last decision, and show that picture; for a button's `on_click`."""
    before = st.session_state.pop(_UNDO, None)
    if not isinstance(before, Before):
        return
    try:
        reviews.review(
            before.cell, before.verdict, person(), services(), image_url=before.image_url, note=before.note
        )
    except StudioError as error:
        st.session_state[_FAILED] = error
        return
    st.session_state[_SAID] = f"{before.label}: taken back."
    open_cell(before.cell)


def last() -> Before | None:
    """The decision that can be taken back, None where there is none."""
    before = st.session_state.get(_UNDO)
    return before if isinstance(before, Before) else None


def say_next(sentence: str) -> None:
    """Have `sentence` said once the page is drawn again."""
    st.session_state[_SAID] = sentence


def refuse_next(error: StudioError) -> None:
    """Have `error` told once the page is drawn again."""
    st.session_state[_FAILED] = error


def flash() -> None:
    """Say once what was just done, or why it could not be."""
    if said := st.session_state.pop(_SAID, None):
        st.toast(said, icon=":material/check_circle:")
    if error := st.session_state.pop(_FAILED, None):
        told(error)
