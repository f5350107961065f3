"""Stuck jobs: every job that is not done with, why in a sentence, what recovery would do, and what a person may do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import pandas as pd
import streamlit as st

from audit import actions, bulk, filters, look, navigation, paging, redraw, tables, words
from audit.asking import asked
from audit.bulk import Shown
from audit.look import nothing, say
from audit.services import any_worker, person, services
from audit.tables import Sheet
from core import authority, recovery
from core.audit import jobs, stuck
from core.audit.jobs import Counted
from core.audit.stuck import Found, Key, StuckFilter, StuckPage, StuckRow, Trouble
from core.db import Connection, recoveries
from core.db.recoveries import FAR_AWAY
from core.recovery import Action, Step
from core.services import Services
from core.values import JobId, Person

EVERY = 5  # seconds between two looks while live
WHAT = "what"  # the trouble, in the address
_STANDING = "stuck_standing"
_TABLE = "stuck_table"  # the key of the list that is shown
_SIZES = {"50 rows": 50, "200 rows": 200, "1,000 rows": 1_000, "5,000 rows": 5_000}
_AGES: Mapping[str, timedelta | None] = {
    "Silent for any time": None,
    "Over 10 minutes": timedelta(minutes=10),
    "Over 1 hour": timedelta(hours=1),
    "Over 1 day": timedelta(days=1),
    "Over 7 days": timedelta(days=7),
}
_IN_FILE_AT_ONCE = 1_000
_COLUMNS = (
    "job", "trouble", "status", "runner", "character", "provider", "model", "asked", "last_heard_of", "deadline", "why",
    "recovery_would", "error_code",
)  # fmt: skip
NAMES: Mapping[Trouble, str] = {
    Trouble.at_risk: "Result at risk",
    Trouble.stuck: "Stuck",
    Trouble.unknown: "Outcome unknown",
    Trouble.paid: "Paid, not here",
    Trouble.left: "Left behind",
    Trouble.unsaved: "Not saved",
    Trouble.nameless: "No character",
    Trouble.unpublished: "Not published",
}
_COLOURS: Mapping[Trouble, str] = {Trouble.at_risk: "red", Trouble.stuck: "yellow", Trouble.unknown: "yellow"}
_PILLS: Mapping[Trouble, str] = {  # of the canvas, readable on light and dark
    Trouble.at_risk: "#dc3d57",
    Trouble.stuck: "#d98a1f",
    Trouble.unknown: "#d98a1f",
    Trouble.paid: "#7350f4",
    Trouble.left: "#7350f4",
    Trouble.unsaved: "#7350f4",
    Trouble.nameless: "#8a8a99",
    Trouble.unpublished: "#7350f4",
}
MEANS: Mapping[Trouble, str] = {
    Trouble.at_risk: "Paid for, not with us yet, and its provider deletes it within 15 minutes.",
    Trouble.stuck: "Nobody works on it, or its worker has gone silent.",
    Trouble.unknown: "The paid request left and no receipt came. A person looks at the provider and settles it.",
    Trouble.paid: "The job ended, but its provider may still give out the picture that was paid for.",
    Trouble.left: "The job failed or was cancelled, and its picture is here all the same.",
    Trouble.unsaved: "Completed, and its picture is not in the library.",
    Trouble.nameless: "Completed, and no character could be told from its name yet. Its picture is kept.",
    Trouble.unpublished: "An attribute image that is made and not published.",
}
WOULD: Mapping[Action, str] = {
    Action.complete: "Complete and save it",
    Action.ask: "Ask its provider",
    Action.requeue: "Queue it again",
    Action.give_up: "Give it up",
    Action.unknown: "Nothing: a person settles it",
    Action.person: "Nothing: a person decides",
    Action.save: "Save it",
    Action.match: "Find its character",
    Action.publish: "Publish it",
    Action.rescue: "Ask its provider",
    Action.adopt: "Ask fal for it",
    Action.wait: "Nothing: help is queued",
    Action.nothing: "Nothing: nothing is wrong",
}


@dataclass(frozen=True, kw_only=True)
class _Line:
    """One job as the page shows it."""

    found: Found
    row: StuckRow
    step: Step

    @property
    def deadline(self) -> datetime | None:
        return None if self.found.key.at >= FAR_AWAY else self.found.key.at


def draw() -> None:
    """The whole page."""
    look.head(
        "Stuck jobs",
        "What is not done with, why, and what sets it right. The nearest deadline first.",
    )
    if not authority.may(person(), authority.Action.see_everybodys):
        nothing("Not for this role", authority.refusal(authority.Action.see_everybodys))
        return
    bulk.panel(("recover", "purge"))
    wanted, size = _chosen()
    if filters.refuses_lost(("silent",)) or _is_unknown():
        return
    _begin_again_on_new_filters(wanted, size)
    live = filters.shared().live and not st.session_state.get(_STANDING)
    st.fragment(_list, run_every=EVERY if live else None)(wanted, size)


def _chosen() -> tuple[StuckFilter, int]:
    with st.sidebar:
        filters.watch("silent", _AGES, next(iter(_AGES)))
        age = st.selectbox(
            "Silent for", list(_AGES), key="silent", bind="query-params", label_visibility="collapsed"
        )
        size = st.selectbox(
            "Rows at once", list(_SIZES), key="rows", bind="query-params", label_visibility="collapsed"
        )
    shared = filters.shared()
    named = st.query_params.get(WHAT, "")
    wanted = StuckFilter(
        trouble=Trouble(named) if named in set(Trouble) else None,
        provider=shared.provider,
        model_id=shared.model_id,
        silent_for=_AGES[age] if age else None,
    )
    return wanted, _SIZES[size] if size else 50


def _is_unknown() -> bool:
    """True where the address names a trouble that is none, which is said then: it must not mean every trouble."""
    named = st.query_params.get(WHAT, "")
    if not named or named in set(Trouble):
        return False
    with st.container(key="nothing", horizontal_alignment="center"):
        nothing("No such trouble", f"“{named[:60]}” is no kind of trouble, so nothing is listed.")
        st.button("Show every kind", key="lift", on_click=_show, args=(None,))
    return True


def _begin_again_on_new_filters(wanted: StuckFilter, size: int) -> None:
    """A place in one list means nothing in another."""
    now = (wanted, size)
    if st.session_state.setdefault("stuck_listed", now) != now:
        st.session_state["stuck_listed"] = now
        paging.go()


def _list(wanted: StuckFilter, size: int) -> None:
    redraw.heed()
    at = datetime.now(UTC)
    _at_risk(wanted)
    counted = _counts(wanted)
    look.as_of(at, _bound(counted))
    before, after = paging.place(Key.read)
    page = asked(lambda conn: _page(conn, wanted, before=before, after=after, size=size))
    if page is None:
        return
    turned, lines = page
    if not lines:
        _nothing(wanted, turned)
        return
    _nobody_works()
    key = f"stuck_{hash(tuple(line.row.id for line in lines)) & 0xFFFFFFFF:x}"
    st.session_state[_TABLE] = key
    picked = _picked(key, lines)
    _act(lines, picked)
    _table(key, lines)
    _foot(turned, lines, wanted)
    if len(picked) == 1:
        _one(picked[0])


def _page(
    conn: Connection, wanted: StuckFilter, *, before: Key | None, after: Key | None, size: int
) -> tuple[StuckPage, list[_Line]]:
    given = services()
    page = stuck.page(conn, wanted, recovery.look(given), after=after, before=before, limit=size)
    return page, _lines(conn, page.rows, given)


def _lines(conn: Connection, found: Sequence[Found], given: Services) -> list[_Line]:
    """The rows with their explanation; a job that went meanwhile is left out."""
    ids = [JobId(one.key.id) for one in found]
    rows = stuck.rows(conn, ids)
    steps = {step.job_id: step for step in recovery.explained(conn, ids, given)}
    return [
        _Line(found=one, row=rows[one.key.id], step=steps[JobId(one.key.id)])
        for one in found
        if one.key.id in rows and one.key.id in steps
    ]


# -- what stands above the list ---------------------------------------------------------------------------------------


def _at_risk(wanted: StuckFilter) -> None:
    kept = services().catalog.result_seconds
    risk = asked(lambda conn: recoveries.at_risk(conn, within=stuck.AT_RISK_WITHIN, result_seconds=kept))
    if risk is None or not risk.count or risk.nearest is None:
        return
    many = words.count(Counted(number=risk.count, more=risk.more))
    results = "paid result is" if risk.count == 1 else "paid results are"
    with st.container(horizontal=True, vertical_alignment="center", key="stuck_risk"):
        st.html(
            f'<p class="au-unknown"><b>{say(many)} {results} not with us yet and may be deleted soon.</b> '
            f"The nearest deadline {say(_until(risk.nearest))}.</p>",
            width="stretch",
        )
        if wanted.trouble is not Trouble.at_risk:
            st.button("Show them", key="show_risk", on_click=_show, args=(Trouble.at_risk,))


def _counts(wanted: StuckFilter) -> Mapping[Trouble, Counted | None]:
    given = recovery.look(services())
    counted: dict[Trouble, Counted | None] = {}
    for kind in Trouble:  # where one count took too long the others would too, five seconds each
        given_up = None in counted.values()
        question = partial(stuck.count, trouble=kind, wanted=wanted, look=given)
        counted[kind] = None if given_up else asked(question)
    with st.container(horizontal=True, key="stuck_counts"):
        for kind, number in counted.items():
            _count(kind, number, alone=wanted.trouble is kind)
    return counted


def _count(kind: Trouble, number: Counted | None, *, alone: bool) -> None:
    said = "**?**" if number is None else f"**{words.count(number)}**"
    colour = "gray" if number is None or not number.number else _COLOURS.get(kind, "")
    st.button(
        f"{f':{colour}[{said}]' if colour else said} {NAMES[kind]}",
        key=f"stuck_count_{kind}",
        type="primary" if alone else "secondary",
        help=MEANS[kind],
        on_click=_show,
        args=(None if alone else kind,),
    )


def _bound(counted: Mapping[Trouble, Counted | None]) -> str:
    return (
        f"Counted to {recoveries.MOST_COUNTED:,} each."
        if any(one and one.more for one in counted.values())
        else ""
    )


def _nobody_works() -> None:
    if asked(any_worker) is False:
        st.info(
            "**No worker is running.** What recovery queues waits until the studio or a worker starts.",
            icon=":material/schedule:",
        )


def _show(trouble: Trouble | None) -> None:
    """Look at one kind of trouble, or at all; for a button's `on_click`."""
    redraw.ask()
    st.query_params.pop(WHAT, None)
    if trouble is not None:
        st.query_params[WHAT] = trouble.value


def _nothing(wanted: StuckFilter, page: StuckPage) -> None:
    with st.container(key="nothing", horizontal_alignment="center"):
        if page.previous or page.next:
            nothing("Nothing further on", "You have come to the end of the list.")
            st.button("To the first", key="first", on_click=_turn)
        elif wanted != StuckFilter():
            nothing("No job fits", "No job is in this kind of trouble under these filters.")
            st.button("Lift all filters", key="lift", on_click=_lift)
        else:
            nothing(
                "Nothing is stuck", "Every job is on its way or done with. Recovery looks again each minute."
            )


def _lift() -> None:
    _show(None)
    st.session_state["silent"] = next(iter(_AGES))
    filters.lift()


def _turn(*, before: Key | None = None, after: Key | None = None) -> None:
    redraw.ask()
    st.session_state.pop(_STANDING, None)
    paging.go(before=before, after=after)


# -- the list ---------------------------------------------------------------------------------------------------------


def _picked(key: str, lines: Sequence[_Line]) -> list[_Line]:
    """The rows that are ticked; a choice made on rows that were replaced since is dropped."""
    if key not in st.session_state:
        if st.session_state.pop(_STANDING, None):
            redraw.ask()
            st.rerun(scope="app")  # what was ticked has gone, so the list goes on with the clock
        return []
    return [lines[place] for place in st.session_state[key]["selection"]["rows"] if place < len(lines)]


def _act(lines: Sequence[_Line], picked: Sequence[_Line]) -> None:
    """What can be done with the ticked rows, else with all that are shown; the very rows that stand below."""
    chosen = picked or lines
    which = f"{len(chosen):,} ticked" if picked else f"all {len(chosen):,} shown"
    shown = [Shown(id=str(line.row.id), line=_named(line)) for line in chosen]
    with st.container(horizontal=True, vertical_alignment="center", key="stuck_acts"):
        for kind, icon in (("recover", "healing"), ("purge", "delete_sweep")):
            if bulk.may(kind):
                st.button(
                    f"{kind.capitalize()} {which}",
                    key=f"stuck_{kind}",
                    icon=f":material/{icon}:",
                    on_click=bulk.ask,
                    args=(kind, shown),
                )
        st.html(f'<p class="au-age">{say(_hint(picked))}</p>', width="stretch")


def _hint(picked: Sequence[_Line]) -> str:
    return "The list stands still while rows are ticked." if picked else "Tick rows to act on some of them."


def _named(line: _Line) -> str:
    """A row as the question before a bulk action names it."""
    parts = (words.short(line.row.id), line.row.character, line.row.model, NAMES[line.found.trouble])
    return " · ".join(part for part in parts if part)


def _table(key: str, lines: Sequence[_Line]) -> None:
    st.dataframe(
        pd.DataFrame([_cells(line) for line in lines]),
        key=key,
        on_select=partial(_ticked, key),
        selection_mode="multi-row",
        hide_index=True,
        height="content" if len(lines) <= 12 else 720,  # noqa: PLR2004 - rows that fit a screen
        row_height=66,  # above 64 a cell's text goes over several lines
        column_config={
            "Trouble": st.column_config.MultiselectColumn(
                width=124, options=list(NAMES.values()), color=list(_PILLS.values())
            ),
            "Why": st.column_config.TextColumn(width=340),
            "Recovery would": st.column_config.TextColumn(width=126),
            "Deadline": st.column_config.TextColumn(width=96),
            "Silent": st.column_config.TextColumn(width=62, alignment="right"),
            "Character": st.column_config.TextColumn(width=104),
            "Model": st.column_config.TextColumn(width=96),
            "Job": st.column_config.LinkColumn(width=82, display_text=bulk.JOB_IN_LINK),
        },
    )


def _ticked(key: str) -> None:
    redraw.ask()
    st.session_state[_STANDING] = bool(st.session_state[key]["selection"]["rows"])


def _cells(line: _Line) -> dict[str, object]:
    return {
        "Trouble": [NAMES[line.found.trouble]],
        "Why": line.step.why,
        "Recovery would": WOULD[line.step.action],
        "Deadline": _until(line.deadline) if line.deadline else "",
        "Silent": words.lasted(_silent(line)),
        "Character": line.row.character or "–",
        "Model": line.row.model or "–",
        "Job": navigation.href("jobs", job=str(line.row.id)),
    }


def _silent(line: _Line) -> float:
    return max((datetime.now(UTC) - line.row.heard_at).total_seconds(), 0.0)


def _until(deadline: datetime) -> str:
    """A deadline as it stands to now: is in 12 min, has passed 2 h ago."""
    left = (deadline - datetime.now(UTC)).total_seconds()
    return f"in {words.lasted(left)}" if left >= 0 else f"passed {words.lasted(-left)} ago"


def _foot(page: StuckPage, lines: Sequence[_Line], wanted: StuckFilter) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="foot"):
        st.button(
            "Previous",
            key="stuck_previous",
            icon=":material/chevron_left:",
            disabled=page.previous is None,
            on_click=partial(_turn, before=page.previous),
        )
        st.button(
            "Next",
            key="stuck_next",
            icon=":material/chevron_right:",
            icon_position="right",
            disabled=page.next is None,
            on_click=partial(_turn, after=page.next),
        )
        many = "1 job" if len(lines) == 1 else f"{len(lines):,} jobs"
        st.html(f'<p class="au-age">{many} shown</p>', width="stretch")
        tables.files(sheet(services(), person(), wanted))


# -- one job ----------------------------------------------------------------------------------------------------------


def _one(line: _Line) -> None:
    """The ticked job by itself: the whole explanation, and what a person may do with it."""
    answer = asked(lambda conn: [jobs.story(conn, JobId(line.row.id))])
    if answer is None:
        return
    with st.container(border=True, key="stuck_one"):
        st.html(
            f'<div class="au-one"><p><b>{say(NAMES[line.found.trouble])}</b> {say(MEANS[line.found.trouble])}</p>'
            f"<p>{say(line.step.why)}</p></div>"
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            navigation.link("jobs", "Its whole story", job=str(line.row.id))
            if answer[0] is not None:
                actions.offer(answer[0])


# -- the file ---------------------------------------------------------------------------------------------------------


def sheet(given: Services, reader: Person, wanted: StuckFilter) -> Sheet:
    """The jobs of a filter as a file, in the page's order. Reading it raises QueryTimedOut, DatabaseUnavailable."""
    return Sheet(name="stuck-jobs", columns=_COLUMNS, rows=partial(_records, given, reader, wanted))


def _records(given: Services, reader: Person, wanted: StuckFilter) -> Iterator[tuple[object, ...]]:
    key: Key | None = None
    for _ in range(tables.MOST_IN_FILE // _IN_FILE_AT_ONCE):
        with given.db.as_reader(reader) as conn:
            page = stuck.page(conn, wanted, recovery.look(given), after=key, limit=_IN_FILE_AT_ONCE)
            lines = _lines(conn, page.rows, given)
        yield from map(_record, lines)
        key = page.next
        if key is None:
            return


def _record(line: _Line) -> tuple[object, ...]:
    row = line.row
    return (
        row.id, line.found.trouble, row.status, row.runner, row.character, row.provider, row.model, row.created_at,
        row.heard_at, line.deadline, line.step.why, WOULD[line.step.action], row.error_code,
    )  # fmt: skip
