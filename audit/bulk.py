"""Bulk actions on a page: the question before one, how far those are that run, and what became of each row.

A page calls `panel` once, and `ask` from the `on_click` of a button, with the rows that the button stood beside: these
and no others are frozen. An action runs in a thread of the dashboard's process, so a closed tab does not end it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from uuid import UUID

import pandas as pd
import streamlit as st

from audit import look, navigation, redraw, tables, typed, words
from audit.asking import told
from audit.look import say
from audit.services import person, services
from audit.tables import Sheet
from core import bulk, generation, log
from core.bulk import DEEDS, MOST, Price
from core.db.bulk import ActionRow, ItemRow
from core.deeds import Deed, Options
from core.errors import StudioError
from core.job_deeds import MODEL
from core.services import Services
from core.values import Person

EVERY = 1.0  # seconds between two looks while something runs
_PENDING = "bulk_pending"
_HIDDEN = "bulk_hidden"
_FLASH = "bulk_flash"
_WHY = "bulk_why"
_LIMIT = "bulk_limit"
_CHOSEN = "bulk_model"
_FORM = "bulk_question"
JOB_IN_LINK = "job=([0-9a-f]{8})"  # what a table shows of a link to a job's story
_SAMPLE = 5
_LONGEST_WHY = 500
_PER_PAGE = 200
_COLUMNS = ("row", "result", "sentence", "begun", "ended", "times_begun", "cost_usd")
_STATES: Mapping[str, str] = {
    "done": "Done",
    "refused": "Refused",
    "failed": "Failed",
    "working": "Being done",
    "waiting": "Not begun",
}
_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A row as it stood on the page: its id, and the line that names it to a person."""

    id: str
    line: str


@dataclass(kw_only=True)
class _Pending:
    """A question that waits for its answer; what was looked up for it is kept, for the dialog draws itself again."""

    kind: str
    shown: Sequence[Shown]
    options: Options
    refusals: Mapping[str, str] | None = None
    prices: dict[str, Price | None] = field(default_factory=dict[str, "Price | None"])

    @property
    def ids(self) -> list[str]:
        return [one.id for one in self.shown]


# -- the question -----------------------------------------------------------------------------------------------------


def ask(kind: str, shown: Sequence[Shown], options: Options = MappingProxyType({})) -> None:
    """Ask before doing `kind` with these rows; for a button's `on_click`. `panel` opens the dialog."""
    unique = tuple({one.id: one for one in shown}.values())
    _forget()
    st.session_state[_PENDING] = _Pending(kind=kind, shown=unique, options=dict(options))
    redraw.ask()


def may(kind: str) -> bool:
    """True where the person has a role for this kind: a button without one is not offered."""
    return DEEDS[kind].is_for(person())


def panel(kinds: Collection[str] | None = None) -> None:
    """The open question, and the actions that run, were interrupted or have just ended; of `kinds` only where given."""
    pending = st.session_state.get(_PENDING)
    if isinstance(pending, _Pending) and kinds is not None and pending.kind not in kinds:
        _forget()  # asked on another page, and left there
    elif isinstance(pending, _Pending):
        deed = DEEDS[pending.kind]
        st.dialog(f"{deed.title}: {_many(len(pending.shown), deed)}", on_dismiss=_forget, width="medium")(
            _question
        )(pending, deed)
    found = _actions(kinds)
    if said := st.session_state.pop(_FLASH, None):
        st.toast(said, icon=":material/info:")
    if found:
        begun = frozenset(one.id for one in found if one.ended_at is None)
        st.fragment(_actions_drawn, run_every=EVERY if begun else None)(kinds, begun)


def _forget() -> None:
    st.session_state.pop(_PENDING, None)
    typed.drop(_FORM)


def _question(pending: _Pending, deed: Deed) -> None:
    typed.begin(_FORM, {_WHY: "", _LIMIT: "", _CHOSEN: None})
    _sample(pending)
    if deed.kind == "another_model" and MODEL not in pending.options:
        _choose_model()
    options = _options(pending)
    if options is not None:
        _warn_of_refusals(pending, deed)
        _say_price(pending, deed, options)
    st.text_area(
        "Why?",
        key=_WHY,
        max_chars=_LONGEST_WHY,
        height=80,
        placeholder="It stands in the record beside each row.",
    )
    refusal = st.container()
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Leave it", key="bulk_no"):
            _forget()
            st.rerun()
        agreed = st.button(
            f"{deed.title} {_many(len(pending.shown), deed)}",
            key="bulk_yes",
            type="primary",
            disabled=options is None
            or len(pending.shown) > MOST
            or _price_is_missing(pending, deed, options),
        )
    if agreed and options is not None:
        _begin(pending, options)
    with refusal:
        typed.tell(_FORM)


def _sample(pending: _Pending) -> None:
    lines = "".join(f"<li>{say(one.line)}</li>" for one in pending.shown[:_SAMPLE])
    more = len(pending.shown) - _SAMPLE
    rest = f'<li class="au-more">and {more:,} more that were shown</li>' if more > 0 else ""
    st.html(f'<ul class="au-sample">{lines}{rest}</ul>')
    if len(pending.shown) > MOST:
        st.warning(f"At most {MOST:,} rows at once. Choose fewer.", icon=":material/edit:")


def _choose_model() -> None:
    """Which model is to be tried; only those that can be used now."""
    known = generation.models_for(person(), services())
    labels = {
        str(one.model.id): f"{one.model.display_name}, {one.price_words}" for one in known if one.available
    }
    st.selectbox(
        "Model",
        list(labels),
        format_func=labels.__getitem__,
        index=None,
        placeholder="Choose one",
        key=_CHOSEN,
    )


def _options(pending: _Pending) -> dict[str, str] | None:
    """The action's options as they stand now; None while one is missing."""
    options = dict(pending.options)
    if pending.kind == "another_model" and MODEL not in options:
        chosen = st.session_state.get(_CHOSEN)
        if not chosen:
            return None
        options[MODEL] = str(chosen)
    return options


def _warn_of_refusals(pending: _Pending, deed: Deed) -> None:
    if deed.preview is None:
        return
    if pending.refusals is None:
        try:
            with st.spinner("Looking at each row …"):
                pending.refusals = deed.preview(pending.ids, person(), services(), pending.options)
        except StudioError as error:
            told(error)
            return
    if not pending.refusals:
        return
    grouped = Counter(pending.refusals.values()).most_common(_SAMPLE)
    lines = "".join(f"<li><b>{number:,}</b> {say(why)}</li>" for why, number in grouped)
    st.html(
        f'<div class="au-refusals"><p>{len(pending.refusals):,} of these will be left as '
        f"{'it is' if len(pending.refusals) == 1 else 'they are'}:</p><ul>{lines}</ul></div>"
    )


def _say_price(pending: _Pending, deed: Deed, options: Options) -> None:
    if not deed.costs_money:
        return
    model = options.get(MODEL, "")
    if model not in pending.prices:
        try:
            paid = [one for one in pending.ids if one not in (pending.refusals or {})]
            pending.prices[model] = bulk.price(pending.kind, paid, person(), services(), options)
        except StudioError as error:
            told(error)
            return
    if cost := pending.prices[model]:
        st.html(f'<p class="au-price">{_cost_words(cost)}</p>')
        st.text_input("Spend at most, in dollars", key=_LIMIT, placeholder="No limit", width=220)


def _price_is_missing(pending: _Pending, deed: Deed, options: Options) -> bool:
    """True where its price could not be read: nobody agrees to what was not said."""
    return deed.costs_money and options.get(MODEL, "") not in pending.prices


def _cost_words(cost: Price) -> str:
    if not cost.unknown:
        return f"Each is paid for again: <b>{say(words.money(cost.known))}</b> in all, by today’s prices."
    rows = "row has a price that is" if cost.unknown == 1 else "rows have a price that is"
    return (
        f"Each is paid for again: <b>{say(words.money(cost.known))}</b>, and {cost.unknown:,} {rows} "
        "<b>unknown</b>. Under a limit those are refused."
    )


def _begin(pending: _Pending, options: dict[str, str]) -> None:
    limit = str(st.session_state.get(_LIMIT) or "").strip().lstrip("$")
    if limit:
        options[bulk.LIMIT] = limit
    why = str(st.session_state.get(_WHY) or "")
    try:
        action_id = bulk.begin(pending.kind, pending.ids, person(), services(), why=why, options=options)
    except StudioError as error:
        typed.refuse(_FORM, error)
        return
    _start(action_id)
    _forget()
    st.rerun()


# -- the run ----------------------------------------------------------------------------------------------------------


def _start(action_id: UUID) -> None:
    """Carry an action out in a thread of this process; what becomes of it stands in its rows."""
    target = partial(_run, action_id, person(), services())
    threading.Thread(target=target, name=f"bulk {action_id}", daemon=True).start()


def _run(action_id: UUID, who: Person, given: Services) -> None:
    try:
        bulk.run(action_id, who, given)
    except StudioError as error:  # it stays unfinished, and the panel offers to go on
        _log.warning("bulk_run_ended", action=str(action_id), code=error.reason)


def _resume(action_id: UUID) -> None:
    _start(action_id)
    redraw.ask()


def _stop(action_id: UUID) -> None:
    redraw.ask()
    try:
        bulk.stop(action_id, person(), services())
    except StudioError as error:
        st.session_state[_FLASH] = error.sentence


def _hide(action_id: UUID) -> None:
    st.session_state.setdefault(_HIDDEN, set()).add(action_id)
    redraw.ask()


# -- how far it is ----------------------------------------------------------------------------------------------------


def _actions(kinds: Collection[str] | None) -> list[ActionRow]:
    """Those to be seen here, the unfinished first."""
    who = person()
    try:
        open_ones = bulk.unfinished(who, services())
        over = [one for one in bulk.just_ended(who, services()) if who.id in (one.asked_by, one.run_by)]
    except StudioError as error:
        told(error)
        return []
    hidden: set[UUID] = st.session_state.get(_HIDDEN, set())
    return [
        one for one in (*open_ones, *over) if one.id not in hidden and (kinds is None or one.kind in kinds)
    ]


def _actions_drawn(kinds: Collection[str] | None, begun: frozenset[UUID]) -> None:
    redraw.heed()
    found = _actions(kinds)
    if _PENDING not in st.session_state and any(one.ended_at and one.id in begun for one in found):
        st.rerun(scope="app")  # the page's own rows are other ones now
    with st.container(key="bulk_panel"):
        for one in found:
            _action(one)
        look.as_of(datetime.now(UTC))


def _action(one: ActionRow) -> None:
    deed = DEEDS.get(one.kind)
    with st.container(border=True, key=f"bulk_{one.id}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.html(_headline(one, deed), width="stretch")
            _buttons(one, deed)
        if one.ended_at is None:
            st.html(_bar(one))
        if one.over and not one.is_running:
            with st.expander("What became of each row", expanded=False):
                _rows(one)


def _headline(one: ActionRow, deed: Deed | None) -> str:
    title = deed.title if deed else one.kind
    what = f"{title}: {_many(one.items, deed)}"
    return f'<div class="au-bulk"><h3>{say(what)} {_standing(one)}</h3><p>{say(_about(one))}</p></div>'


def _about(one: ActionRow) -> str:
    """When it was, its figures where they do not stand beside a bar, and why."""
    if one.ended_at is None:
        return f"Since {words.moment(one.asked_at)}. {one.why}"
    return f"{_counts(one)}{_spent(one)}. {words.moment(one.asked_at)}. {one.why}"


def _spent(one: ActionRow) -> str:
    deed = DEEDS.get(one.kind)
    unknown = one.unpriced if deed is not None and deed.costs_money else 0
    known = f", about {words.money(one.cost_usd)}" if one.cost_usd else ""
    return f"{known}, {unknown} of unknown price" if unknown else known


def _standing(one: ActionRow) -> str:
    if one.is_running:
        tone, text = "accent", "stopping" if one.stop_asked_at else "running"
    elif one.is_interrupted:
        tone, text = "warn", "waiting" if one.runs == 0 else "interrupted"
    else:
        tone, text = ("calm", "stopped") if one.waiting else ("good", "ended")
    return f'<span class="au-badge" data-tone="{tone}">{text}</span>'


def _buttons(one: ActionRow, deed: Deed | None) -> None:
    is_mine = deed is not None and deed.is_for(person())
    if one.is_running and is_mine:
        st.button(
            "Stop",
            key=f"bulk_stop_{one.id}",
            icon=":material/stop_circle:",
            on_click=_stop,
            args=(one.id,),
            disabled=one.stop_asked_at is not None,
        )
    elif one.is_interrupted and is_mine:
        st.button("End it here", key=f"bulk_end_{one.id}", on_click=_stop, args=(one.id,))
        st.button(
            "Resume",
            key=f"bulk_resume_{one.id}",
            type="primary",
            icon=":material/play_arrow:",
            on_click=_resume,
            args=(one.id,),
        )
    elif one.ended_at is not None:
        st.button(
            "Hide",
            key=f"bulk_hide_{one.id}",
            type="tertiary",
            icon=":material/close:",
            on_click=_hide,
            args=(one.id,),
        )


def _bar(one: ActionRow) -> str:
    """How many rows ended how, as a bar and in words."""
    parts = "".join(
        f'<i data-tone="{tone}" style="flex-grow:{number}"></i>'
        for tone, number in (
            ("good", one.done),
            ("warn", one.refused),
            ("bad", one.failed),
            ("calm", one.waiting + one.working),
        )
        if number
    )
    return (
        f'<div class="au-progress" role="img" aria-label="{say(_counts(one))}">{parts}</div>'
        f'<p class="au-counts">{say(_counts(one) + _spent(one))}.</p>'
    )


def _counts(one: ActionRow) -> str:
    left = one.waiting + one.working
    said = [f"{one.over:,} of {one.items:,}", f"{one.done:,} done", f"{one.refused:,} refused"]
    if one.failed:
        said.append(f"{one.failed:,} failed")
    if left:
        said.append(f"{left:,} {'to come' if one.is_running else 'not begun'}")
    return ", ".join(said)


def _many(number: int, deed: Deed | None) -> str:
    noun = deed.noun if deed else "row"
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# -- what became of each row ------------------------------------------------------------------------------------------


def _rows(one: ActionRow) -> None:
    places = f"bulk_places_{one.id}"
    after = st.session_state.get(places, 0)
    try:
        found = bulk.report(one.id, person(), services(), after=after, limit=_PER_PAGE)
    except StudioError as error:
        told(error)
        return
    st.dataframe(
        pd.DataFrame([_line(row, DEEDS.get(one.kind)) for row in found.rows]),
        hide_index=True,
        height="content" if len(found.rows) <= 8 else 320,  # noqa: PLR2004 - rows that fit without scrolling
        column_config={
            "Row": st.column_config.TextColumn(width=90),
            "Job": st.column_config.LinkColumn(width=90, display_text=JOB_IN_LINK),
            "Result": st.column_config.TextColumn(width=90),
            "At": st.column_config.TextColumn(width=80),
        },
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        if after or found.next:
            st.button(
                "First rows", key=f"bulk_first_{one.id}", disabled=not after, on_click=_turn, args=(places, 0)
            )
            st.button(
                "Next rows",
                key=f"bulk_next_{one.id}",
                disabled=not found.next,
                on_click=_turn,
                args=(places, found.next),
            )
        tables.files(sheet(services(), person(), one))


def _turn(name: str, after: int) -> None:
    st.session_state[name] = after


def _line(row: ItemRow, deed: Deed | None) -> dict[str, object]:
    is_job = deed is not None and deed.noun == "job"
    named = {"Job": navigation.href("jobs", job=row.item_id)} if is_job else {"Row": words.short(row.item_id)}
    return {
        **named,
        "Result": _STATES[row.state],
        "Why": row.sentence or "",
        "At": words.clock(row.ended_at) if row.ended_at else "",
    }


def sheet(given: Services, reader: Person, one: ActionRow) -> Sheet:
    """Every row of an action as a file. Reading it raises NotFound, QueryTimedOut, DatabaseUnavailable."""
    name = f"{one.kind}-{words.short(one.id)}"
    return Sheet(name=name, columns=_COLUMNS, rows=partial(_records, given, reader, one.id))


def _records(given: Services, reader: Person, action_id: UUID) -> Iterator[tuple[object, ...]]:
    after: int | None = 0
    while after is not None:
        found = bulk.report(action_id, reader, given, after=after, limit=1_000)
        for row in found.rows:
            yield (row.item_id, row.state, row.sentence, row.begun_at, row.ended_at, row.tries, row.cost_usd)
        after = found.next
