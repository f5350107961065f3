"""The page of QA samples: draw one, judge its portraits blind, read what the verdicts say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import streamlit as st

from audit import qa_judging, qa_result, redraw, tables, typed, words
from audit.asking import asked
from audit.look import as_of, badge, head, nothing, say
from audit.services import person, services
from core import sampling
from core.audit import qa
from core.audit.qa import Judged, Sample, SampleItem, VerdictRow
from core.authority import Action, may, refusal
from core.db import Connection
from core.errors import BadRequest

JUDGE, RESULT = "Judge", "Result"
WEEKS = {
    "the last week": 1,
    "the last 2 weeks": 2,
    "the last 4 weeks": 4,
    "the last 8 weeks": 8,
    "the last 13 weeks": 13,
}
_USUAL = "the last 4 weeks"
_ADDRESS = "sample"
_NEXT_ID = "qa_next_id"
_FORM, _CLOSING = "qa_form", "qa_close_form"


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A sample with all that this person may see of it."""

    sample: Sample
    items: tuple[SampleItem, ...]
    verdicts: tuple[VerdictRow, ...]
    people: tuple[Judged, ...]


def draw() -> None:
    """The whole page: one sample where the address names it, else all of them."""
    redraw.settle()
    qa_judging.flash()
    if not may(person(), Action.judge_samples):
        head("QA sample")
        nothing("Not for this role", refusal(Action.judge_samples))
        return
    if named := st.query_params.get(_ADDRESS):
        with st.container():
            _one(named)
        st.empty()
    else:
        st.empty()
        with st.container():
            _all()


def may_draw() -> bool:
    """True where this person draws and closes samples."""
    return may(person(), Action.draw_samples)


def open_sample(sample_id: object | None) -> None:
    """Go to a sample, or back to the list with None; for a button's `on_click`."""
    for name in (_ADDRESS, qa_judging.PLACE):
        st.query_params.pop(name, None)
    if sample_id is not None:
        st.query_params[_ADDRESS] = str(sample_id)


# -- all samples ----------------------------------------------------------------------------------------------------


def _all() -> None:
    head(
        "QA sample",
        "Portraits drawn by chance from each provider, style and week. Several people judge them, and nobody sees what "
        "others said before giving their own verdict.",
    )
    found = asked(qa.samples)
    if found is None:
        return
    if may_draw():
        with st.popover("Draw a sample", icon=":material/casino:", key="qa_draw", type="primary"):
            st.fragment(_form)()
    if not found:
        nothing("No sample yet", "Draw one, and judge its portraits one after the other.")
        return
    for one in found:
        _line(one)
    with st.container(horizontal=True):
        as_of(datetime.now(UTC), f"The newest {qa.MOST_SAMPLES}." if len(found) == qa.MOST_SAMPLES else "")
        st.space("stretch")
        tables.files(_sheet(found))


def _line(one: Sample) -> None:
    share = f"you judged {one.judged} of {one.size}"
    state = badge("Open", "accent") if one.is_open else badge("Closed", "calm")
    people = (
        "nobody judged yet" if not one.people else f"{one.people} {'people' if one.people > 1 else 'person'}"
    )
    with st.container(horizontal=True, vertical_alignment="center", key=f"qa_line_{one.id.hex}"):
        st.html(
            f'<div class="at-sample"><b>{say(one.title)}</b>{state}'
            f"<span>{one.size} portraits of {len(one.strata)} kinds, {say(words.day(one.since))} to "
            f"{say(words.day(one.until))}; {say(people)}, {say(share)}</span></div>",
            width="stretch",
        )
        done = one.judged >= one.size or not one.is_open
        st.button(
            "Read" if done else "Judge",
            key=f"qa_open_{one.id.hex}",
            icon=f":material/{'bar_chart' if done else 'rate_review'}:",
            on_click=open_sample,
            args=(one.id,),
        )


def _form() -> None:
    redraw.heed()
    week = datetime.now(UTC).isocalendar()
    st.session_state.setdefault(_NEXT_ID, uuid4())
    typed.begin(
        _FORM,
        {
            "qa_title": f"Week {week.week}, {week.year}",
            "qa_weeks": _USUAL,
            "qa_per_stratum": 5,
            "qa_seed": "",
        },
    )
    with st.form(_FORM, border=False):
        st.text_input("Name", key="qa_title", max_chars=sampling.LONGEST_TITLE)
        st.selectbox("Saved in", list(WEEKS), key="qa_weeks")
        st.number_input(
            "At most of each kind",
            min_value=1,
            max_value=100,
            key="qa_per_stratum",
            help="A kind is one provider, one style and one week.",
        )
        st.text_input(
            "Seed",
            key="qa_seed",
            placeholder="By chance, and kept",
            help="A whole number. The same seed over the same portraits draws the same ones.",
        )
        typed.tell(_FORM)
        st.form_submit_button(
            "Draw", type="primary", icon=":material/casino:", on_click=_draw, key="qa_draw_now"
        )


def _draw() -> None:
    state = st.session_state
    until = datetime.now(UTC)

    def act() -> None:
        sample_id = sampling.draw(
            person(),
            services(),
            title=str(state["qa_title"]),
            since=until - timedelta(weeks=WEEKS[state["qa_weeks"]]),
            until=until,
            per_stratum=int(state["qa_per_stratum"]),
            seed=_seed(str(state["qa_seed"])),
            sample_id=state[_NEXT_ID],
        )
        state.pop(_NEXT_ID, None)
        qa_judging.say_next("The sample is drawn and frozen.")
        open_sample(sample_id)

    typed.attempt(_FORM, act)


def _seed(typed: str) -> int | None:
    """Raises BadRequest."""
    if not typed.strip():
        return None
    try:
        seed = int(typed)
    except ValueError as exc:
        raise BadRequest("A seed is a whole number.", field="seed") from exc
    if abs(seed) >= 2**62:
        raise BadRequest("A seed has at most 18 digits.", field="seed")
    return seed


def _sheet(found: Sequence[Sample]) -> tables.Sheet:
    return tables.Sheet(
        name="qa-samples",
        columns=("sample", "name", "seed", "since", "until", "per_kind", "portraits", "drawn_by", "drawn", "closed", "people"),
        rows=lambda: [
            (
                one.id, one.title, one.seed, one.since, one.until, one.per_stratum, one.size, one.drawn_by, one.drawn_at,
                one.closed_at, one.people,
            )
            for one in found
        ],
    )  # fmt: skip


# -- one sample -----------------------------------------------------------------------------------------------------


def _one(named: str) -> None:
    st.button(
        "All samples",
        key="back",
        on_click=open_sample,
        args=(None,),
        icon=":material/arrow_back:",
        type="tertiary",
    )
    sample_id = _as_id(named)
    if sample_id is None:
        nothing("No such sample", f"“{named[:60]}” is not the id of a sample. Open one from the list.")
        return
    answer = asked(lambda conn: [_read(conn, sample_id)])
    if answer is None:
        return
    drawn = answer[0]
    if drawn is None:
        nothing("No such sample", "There is no sample with this id. It may belong to another database.")
        return
    _head(drawn)
    part = st.segmented_control(
        "Show",
        [JUDGE, RESULT],
        default=JUDGE if drawn.sample.is_open else RESULT,
        key="part",
        bind="query-params",
        label_visibility="collapsed",
        required=True,
    )
    if part == RESULT:
        qa_result.draw(drawn.sample, drawn.items, drawn.verdicts, drawn.people)
    else:
        qa_judging.draw(drawn.sample, drawn.items, drawn.verdicts)


def _as_id(named: str) -> UUID | None:
    try:
        return UUID(named)
    except ValueError:
        return None


def _read(conn: Connection, sample_id: UUID) -> Drawn | None:
    sample = qa.sample(conn, sample_id)
    if sample is None:
        return None
    return Drawn(
        sample=sample,
        items=tuple(qa.items(conn, sample_id)),
        verdicts=tuple(qa.verdicts(conn, sample_id)),
        people=tuple(qa.progress(conn, sample_id)),
    )


def _head(drawn: Drawn) -> None:
    sample = drawn.sample
    state = badge("Open", "accent") if sample.is_open else badge("Closed", "calm")
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="qa_head"
    ):
        st.html(
            f'<div class="au-head"><h1>{say(sample.title)}</h1><p>{state}'
            f"<code>{sample.size} portraits, seed {sample.seed}</code></p></div>",
            width="content",
        )
        if sample.is_open and may_draw():
            with st.popover("Close the sample", icon=":material/lock:", key="qa_close"):
                st.caption(
                    "No more verdicts are taken, and everybody sees them all. It cannot be opened again."
                )
                st.fragment(_closing)(sample.id)


def _closing(sample_id: UUID) -> None:
    redraw.heed()
    typed.begin(_CLOSING, {"qa_close_why": ""})
    st.text_input("Why", key="qa_close_why", max_chars=500, placeholder="Everybody is done.")
    typed.tell(_CLOSING)
    st.button("Close it", key="qa_close_now", type="primary", on_click=partial(_close, sample_id))


def _close(sample_id: UUID) -> None:
    def act() -> None:
        why = str(st.session_state.get("qa_close_why") or "")
        closed = sampling.close(sample_id, person(), services(), why=why)
        qa_judging.say_next("The sample is closed." if closed else "It was closed already.")

    typed.attempt(_CLOSING, act)
