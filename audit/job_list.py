"""The list of jobs: what is unknown, counts by status, a page of rows, and the way to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from functools import partial
from itertools import accumulate
from typing import Any

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from audit import bulk, job_box, job_causes, job_story, paging, redraw, tables, words
from audit.asking import asked, told
from audit.bulk import Shown
from audit.filters import ALWAYS, look_at_all_time
from audit.job_filters import Chosen, lift, show_only, show_or_lift
from audit.look import nothing, say
from audit.services import any_worker, person, read, services
from audit.tables import Sheet
from core.audit import job_search, jobs
from core.audit.job_filter import Query, Unreadable
from core.audit.job_search import Counts, Found, Reader, Sought
from core.audit.jobs import Counted, JobFilter, JobRow, JobState, Key
from core.bulk import DEEDS
from core.errors import StudioError
from core.services import Services
from core.values import Person

EVERY = 5  # seconds between two looks while live
PER_PAGE = 50
_IN_FILE_AT_ONCE = 1_000
_MOST_LOOKS = 20  # for one file: each reads a page of it, or sifts as many rows as a look may
_EVERYTHING = Query()
_SHOWN = ("Jobs", "Causes of failure")
_KINDS = ("retry", "another_model", "cancel")
_CHOOSING = "choosing"
_PILLS = {  # Streamlit's grid paints on a canvas, so these are colours and not the sheet's names; readable on both
    JobState.queued: "#8a8a99",
    JobState.processing: "#7350f4",
    JobState.outcome_unknown: "#d98a1f",
    JobState.completed: "#22a05a",
    JobState.failed: "#dc3d57",
    JobState.cancelled: "#8a8a99",
}
_COLOURS = {"good": "green", "bad": "red", "warn": "yellow", "accent": "blue", "calm": ""}
_WIDTHS = {
    "Character": 130,
    "Now": 190,
    "Code": 152,
    "Model": 104,
}  # pixels, of the columns whose text may be long
_PADDING = 16  # pixels a cell keeps free at its sides
_COLUMNS = (
    "job", "status", "stage", "runner", "type", "person", "character", "provider", "model", "asked", "started", "ended",
    "seconds", "cost_usd", "error_code", "error", "retried_from",
)  # fmt: skip
_SLIM = frozenset("fijlrtI .,:;'’!|()[]")
_BROAD = frozenset("mwMW@%…")


def draw(chosen: Chosen) -> None:
    """The list as the filters want it, or the causes of its failures; it reads again by itself while live."""
    _begin_again_on_new_filters(chosen)
    if chosen.wrong is not None:
        job_box.refuse(chosen.wrong)
        return
    bulk.panel(_KINDS)
    moves = chosen.live and not st.session_state.get(_CHOOSING)  # rows that are being chosen stand still
    st.fragment(_list, run_every=EVERY if moves else None)(chosen)


def _begin_again_on_new_filters(chosen: Chosen) -> None:
    """A place in one list means nothing in another."""
    now = (chosen.base, chosen.period, chosen.query)
    if st.session_state.setdefault("listed", now) != now:
        st.session_state["listed"] = now
        paging.go()


def _list(chosen: Chosen) -> None:
    redraw.heed()
    _unknown_outcomes()
    base = chosen.wanted()
    wanted = _sought(chosen, base)
    if wanted is None:
        return
    counted = asked(lambda conn: job_search.counts(conn, wanted, base))
    if counted is not None:
        _counts(counted, chosen)
        _nobody_works(counted.of[JobState.queued])
    with st.container(horizontal=True, vertical_alignment="center", key="shown_as"):
        causes, choosing = _shows_causes(), _is_choosing()
    if causes:
        job_causes.draw(wanted, chosen.query)
        return
    before, after = paging.place(Key.read)
    page = asked(lambda conn: job_search.page(conn, wanted, before=before, after=after, limit=PER_PAGE))
    if page is None:
        return
    _looked(page)
    if not page.rows:
        _nothing(chosen, page)
        return
    draw_rows = _choose if choosing else _table
    draw_rows(page.rows)
    _foot(page, chosen, counted)


def _sought(chosen: Chosen, base: JobFilter) -> Sought | None:
    """What the box and the side bar ask for together; None where that has been said on the page to be impossible."""
    try:
        return read(lambda conn: job_search.sought(conn, chosen.query, base, _reader()))
    except Unreadable as wrong:
        job_box.refuse(wrong)
    except StudioError as error:
        told(error)
    return None


def _reader() -> Reader:
    return Reader(person=person().id, now=datetime.now(UTC), zone=words.zone())


def _shows_causes() -> bool:
    said = st.segmented_control(
        "What to show",
        list(_SHOWN),
        default=_SHOWN[0],
        required=True,
        key="show",
        bind="query-params",
        label_visibility="collapsed",
    )
    return said == _SHOWN[1]


def _is_choosing() -> bool:
    """Whether rows are chosen instead of opened; offered to whom some bulk action is."""
    if not any(bulk.may(kind) for kind in _KINDS):
        return False
    return st.toggle(
        "Select", key=_CHOOSING, on_change=redraw.ask, help="Choose rows to do one thing with them all."
    )


def _choose(rows: Sequence[JobRow]) -> None:
    """The rows with a box before each, and what can be done with those that are ticked."""
    bar = st.container(horizontal=True, vertical_alignment="center", key="bulk_bar")
    frame = _frame(rows)
    left = [name for name in frame.data.columns if name != "Took"]  # the boxes take its place
    ticked = st.dataframe(
        frame, key=_key_of(rows), on_select="rerun", selection_mode="multi-row", column_order=left, **_GRID
    )
    chosen = [rows[place] for place in ticked.selection.rows if place < len(rows)]
    with bar:
        _offer(chosen, len(rows))


def _offer(chosen: Sequence[JobRow], number: int) -> None:
    """What can be done with the chosen rows by this person."""
    said = f"{len(chosen)} of {number} chosen" if chosen else "Tick rows, or the box above them for all"
    st.html(f'<p class="au-looked"><b>{said}</b></p>', width="stretch")
    for kind in filter(bulk.may, _KINDS):
        st.button(
            DEEDS[kind].title,
            key=f"bulk_{kind}",
            disabled=not chosen,
            on_click=bulk.ask,
            args=(kind, [_as_shown(row) for row in chosen]),
        )


def _as_shown(row: JobRow) -> Shown:
    """A row as a question names it."""
    who = row.character or "no character"
    return Shown(
        id=str(row.id),
        line=f"{words.STATES[row.state]}: {who}, {row.model or 'no model'}, {words.moment(row.created_at)}, {words.short(row.id)}",
    )


def _looked(page: Found) -> None:
    """Says how far a look went that was bounded, and goes on from there."""
    if not page.looked_at or page.looked_to is None:
        return
    found = f"{len(page.rows)} fit so far" if page.rows else "None fits so far"
    with st.container(horizontal=True, vertical_alignment="center", key="looked"):
        st.html(
            f'<p class="au-looked"><b>{found}.</b> The {page.looked_at:,} newest of what the filter narrows to were looked '
            f"through, back to {say(words.moment(page.looked_to))}.</p>",
            width="stretch",
        )
        st.button("Look further back", key="further", on_click=paging.go, kwargs={"before": page.older})


def _unknown_outcomes() -> None:
    found = asked(jobs.unknown_outcomes)
    if found is None or found.number == 0:
        return
    one = found.number == 1
    with st.container(horizontal=True, vertical_alignment="center", key="unknown_outcomes"):
        st.html(
            f'<p class="au-unknown"><b>{words.count(found)} {"job has" if one else "jobs have"} an unknown outcome.</b> '
            f"The paid request left and no receipt came; {'it holds its' if one else 'they hold their'} budget.</p>",
            width="stretch",
        )
        st.button("Show them", key="show_unknown", on_click=show_only, args=(JobState.outcome_unknown,))


def _counts(counted: Counts, chosen: Chosen) -> None:
    with st.container(horizontal=True, key="counts"):
        for state, number in counted.of.items():
            _count(state, number, alone=chosen.base.states == (state,))
    span = "of all time" if chosen.period == ALWAYS else f"asked within {chosen.period}"
    bound = ""
    if counted.looked_at:
        bound = f", counted among the {counted.looked_at:,} newest that were looked through"
    elif any(one.more for one in counted.of.values()):
        bound = f", counted to {jobs.MOST_COUNTED:,} a status"
    st.html(
        f'<p class="au-age au-asof">{say(f"Jobs {span}{bound}. As of {words.clock(datetime.now(UTC))}.")}</p>'
    )


def _count(state: JobState, number: Counted, *, alone: bool) -> None:
    """How many stand in one state, and the way to see them, or all again where they are seen `alone`."""
    said = f"**{words.count(number) if number.number else 0}**"  # a look that found none so far says so below
    colour = _COLOURS[words.TONES[state]] if number.number else "gray"
    st.button(
        f"{f':{colour}[{said}]' if colour else said} {words.STATES[state]}",
        key=f"count_{state}",
        type="primary" if alone else "secondary",
        on_click=show_or_lift,
        args=(state,),
    )


def _nobody_works(queued: Counted) -> None:
    if queued.number and asked(any_worker) is False:
        st.info(
            "**No worker is running.** What is queued waits until the studio or a worker starts.",
            icon=":material/schedule:",
        )


def _nothing(chosen: Chosen, page: Found) -> None:
    """Empty is an answer of its own: say why, and what to do."""
    with st.container(key="nothing", horizontal_alignment="center"):
        if page.looked_at:
            nothing(
                "None among these", "No job that was looked through fits. Older ones may: look further back."
            )
        elif page.newer or page.older:
            nothing("Nothing further on", "You have come to the end of the list.")
            st.button("To the newest", key="newest", on_click=paging.go)
        elif chosen.narrows:
            nothing("No job fits", "No job fits these filters. Change one, or lift them all.")
            st.button("Lift all filters", key="lift", on_click=lift)
        elif chosen.period != ALWAYS:
            nothing("A quiet time", f"No job was asked for within {chosen.period}.")
            st.button("Look at all time", key="all_time", on_click=look_at_all_time)
        else:
            nothing("No job yet", "Ask for a portrait in the studio, and its job appears here.")


def _table(rows: Sequence[JobRow]) -> None:
    key = _key_of(rows)
    opened = partial(_opened, key, [row.id for row in rows])
    st.dataframe(_frame(rows), key=key, on_select=opened, selection_mode="single-cell", **_GRID)


def _key_of(rows: Sequence[JobRow]) -> str:
    """Follows the rows: a choice made on rows that were just replaced is dropped, never taken for another row."""
    choosing = "chosen_" if st.session_state.get(_CHOOSING) else ""
    return f"jobs_{choosing}{hash(tuple(row.id for row in rows)) & 0xFFFFFFFF:x}"


def _frame(rows: Sequence[JobRow]) -> Styler:
    cut = {name: partial(_fit, width=width) for name, width in _WIDTHS.items()}
    return pd.DataFrame([_line(row) for row in rows]).style.format(cut)  # the cells keep their whole text


_GRID: dict[str, Any] = {
    "hide_index": True,
    "height": "content",
    "row_height": 40,
    "column_config": {
        "Status": st.column_config.MultiselectColumn(
            width=150, options=list(words.STATES.values()), color=list(_PILLS.values())
        ),
        "Asked": st.column_config.DatetimeColumn(width=124, format="D MMM, HH:mm:ss"),
        "Character": st.column_config.TextColumn(width=_WIDTHS["Character"]),
        "Now": st.column_config.TextColumn("What happened", width=_WIDTHS["Now"]),
        "Code": st.column_config.TextColumn(width=_WIDTHS["Code"]),
        "Model": st.column_config.TextColumn(width=_WIDTHS["Model"]),
        "Took": st.column_config.TextColumn(width=60, alignment="right"),
        "Cost": st.column_config.TextColumn(width=86, alignment="right"),
        "Job": st.column_config.TextColumn(width=82),
    },
}


def _fit(text: str, width: int) -> str:
    """`text` as it fits a column of `width` pixels, with an ellipsis where the grid would cut a letter in two."""
    room = width - _PADDING
    if sum(map(_pixels, text)) <= room:
        return text
    ends = accumulate(map(_pixels, text), initial=_pixels("…"))
    return text[: sum(end <= room for end in ends) - 1].rstrip() + "…"


def _pixels(letter: str) -> float:
    """About how wide a letter of the grid's font is: the 13 pixels high Inter, measured in the browser."""
    if letter in _SLIM:
        return 4.4
    if letter in _BROAD:
        return 11.7
    return 9.0 if letter.isupper() else 7.7


def _opened(key: str, ids: Sequence[object]) -> None:
    cells = st.session_state[key].selection.cells
    if cells and cells[0][0] < len(ids):
        job_story.open_job(ids[cells[0][0]])


def _line(row: JobRow) -> dict[str, object]:
    return {
        "Status": [words.STATES[row.state]],
        "Asked": row.created_at.astimezone(words.zone()).replace(tzinfo=None),
        "Character": row.character or "–",
        "Now": _now(row),
        "Code": _code(row),
        "Model": row.model or "–",
        "Took": words.lasted(row.seconds) if row.seconds is not None else "",
        "Cost": _cost(row),
        "Job": words.short(row.id),
    }


def _code(row: JobRow) -> str:
    """The error's code, where the status does not say the same."""
    return "" if (row.error_code or "").lower() == row.state else row.error_code or ""


def _cost(row: JobRow) -> str:
    """What it cost, or will by the estimate; nothing where the ledger has no entry."""
    if row.cost_known is None:
        return ""
    guessed = row.cost_known and row.completed_at is None
    return f"{'≈ ' if guessed else ''}{words.money(row.spent_usd)}"


def _now(row: JobRow) -> str:
    if row.error_message and row.state is not JobState.completed:
        return words.sentence(row.error_message)
    share = f", {row.progress:.0%}" if row.progress and row.state is JobState.processing else ""
    stage = words.STAGES.get(row.stage or "", "")
    return f"{stage}{share}" or ("Made by the platform" if row.runner == "platform" else "")


def _foot(page: Found, chosen: Chosen, counted: Counts | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="foot"):
        paging.buttons(page)
        st.html(f'<p class="au-age">{say(_span(page.rows))}</p>', width="stretch")
        wanted = chosen.wanted()
        tables.files(
            sheet(services(), person(), wanted, chosen.query, zone=words.zone()), label=_cut(wanted, counted)
        )


def _span(rows: Sequence[JobRow]) -> str:
    """How many stand on this page, and from when to when they were asked."""
    newest, oldest = words.moment(rows[0].created_at), words.moment(rows[-1].created_at)
    if len(rows) == 1:
        return f"1 job, {newest}"
    return f"{len(rows)} jobs, {oldest} to {newest}"


def _cut(wanted: JobFilter, counted: Counts | None) -> str:
    """Says that a file will not hold them all."""
    if counted is not None and counted.looked_at:
        return "the newest"
    states = wanted.states or tuple(JobState)
    known = [counted.of[state] for state in states] if counted else []
    too_many = any(one.more for one in known) or sum(one.number for one in known) > tables.MOST_IN_FILE
    return f"newest {tables.MOST_IN_FILE:,}" if too_many else ""


def sheet(
    given: Services, reader: Person, wanted: JobFilter, query: Query = _EVERYTHING, *, zone: tzinfo = UTC
) -> Sheet:
    """The jobs of a filter, newest first, as a file. Reading it raises QueryTimedOut, DatabaseUnavailable, Unreadable.

    An unknown cost says so.
    """
    return Sheet(name="jobs", columns=_COLUMNS, rows=partial(_records, given, reader, wanted, query, zone))


def _records(
    given: Services, reader: Person, wanted: JobFilter, query: Query, zone: tzinfo
) -> Iterator[tuple[object, ...]]:
    key: Key | None = None
    asker = Reader(person=reader.id, now=datetime.now(UTC), zone=zone)
    for _ in range(_MOST_LOOKS):
        with given.db.as_reader(reader) as conn:
            sought = job_search.sought(conn, query, wanted, asker)
            page = job_search.page(conn, sought, before=key, limit=_IN_FILE_AT_ONCE)
        yield from map(_record, page.rows)
        key = page.older
        if key is None:
            return


def _record(row: JobRow) -> tuple[object, ...]:
    cost = None if row.cost_known is None else "unknown" if row.spent_usd is None else f"{row.spent_usd}"
    return (
        row.id, row.state, row.stage, row.runner, row.job_type, row.user_id, row.character, row.provider, row.model,
        row.created_at, row.started_at, row.completed_at, row.seconds, cost, row.error_code, words.sentence(row.error_message or ""),
        row.retried_from,
    )  # fmt: skip
