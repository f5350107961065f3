"""One row for each portrait job: its seven checks as a strip, one health, and the first link that does not hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

import pandas as pd
import streamlit as st

from audit import autosave_one, bulk, paging, redraw, tables, words
from audit.asking import asked
from audit.autosave_filters import Chosen, lift
from audit.autosave_reasons import lines
from audit.check_words import HEALTHS, MARKS
from audit.filters import ALWAYS, look_at_all_time
from audit.look import nothing, say
from audit.services import person, services
from audit.tables import Sheet
from core import proof
from core.audit import autosave
from core.audit.autosave import (
    CHECK_TITLES,
    TITLES,
    Check,
    Facts,
    FactsPage,
    Health,
    Outcome,
    Proof,
    ProofFilter,
)
from core.audit.jobs import Key
from core.mending import REPAIR
from core.services import Services
from core.values import JobId, Person

EVERY = 20.0  # seconds between two looks while live
PER_PAGE = 50
_IN_FILE_AT_ONCE = 500
_INKS = {"✓": "#22a05a", "✕": "#dc3d57", "?": "#c77a12", "–": "#8a8a99"}  # the grid paints on a canvas
_PILLS = {
    Health.broken: "#dc3d57",
    Health.not_proven: "#d98a1f",
    Health.well: "#22a05a",
    Health.nothing: "#8a8a99",
}
_COLUMNS = ("job", "character", "ended", "provider", "person", "health", *Check, "broken_since")


def draw(chosen: Chosen) -> None:
    """The list as the filters want it; it reads again by itself while live."""
    _begin_again_on_new_filters(chosen)
    st.subheader("Portraits", anchor=False)
    st.fragment(_list, run_every=EVERY if chosen.shared.live else None)(chosen)


def _begin_again_on_new_filters(chosen: Chosen) -> None:
    """A place in one list means nothing in another."""
    now = (chosen.character, chosen.reason, chosen.only_broken, chosen.shared)
    if st.session_state.setdefault("proofs_listed", now) != now:
        st.session_state["proofs_listed"] = now
        paging.go()


def _list(chosen: Chosen) -> None:
    redraw.heed()
    wanted = chosen.wanted()
    before, after = paging.place(Key.read)
    page = asked(
        lambda conn: autosave.facts_page(
            conn, wanted, before=before, after=after, limit=PER_PAGE, grace=proof.grace(services())
        )
    )
    if page is None:
        return
    if not page.rows:
        _nothing(chosen, page)
        return
    since = asked(lambda conn: autosave.broken_since(conn, [one.proof.job_id for one in page.rows]))
    if since is None:
        return
    proofs = _judged(page.rows, files=chosen.files)
    rows = _table(proofs, since)
    _foot(page, proofs, rows, wanted)


def _judged(rows: Sequence[Facts], *, files: bool) -> list[Proof]:
    if not files:
        return [one.proof for one in rows]
    return proof.look_at_page(rows, services().storage)


def _table(proofs: Sequence[Proof], since: Mapping[JobId, datetime]) -> list[int]:
    """The rows; which of them are ticked."""
    # The key follows the rows: what was ticked on rows that were replaced is dropped, never taken for another row.
    key = f"proofs_{hash(tuple(one.job_id for one in proofs)) & 0xFFFFFFFF:x}"
    checks = [str(number) for number in range(1, len(Check) + 1)]
    frame = pd.DataFrame([_line(one, since.get(one.job_id)) for one in proofs])
    event = st.dataframe(
        frame.style.map(lambda mark: f"color: {_INKS.get(mark, '')}; font-weight: 700", subset=checks),
        key=key,
        on_select=partial(_opened, key, [one.job_id for one in proofs]),
        selection_mode=["multi-row", "single-cell"],
        hide_index=True,
        height="content" if len(proofs) <= 16 else 620,  # noqa: PLR2004 - as many as fit on a screen
        row_height=36,
        column_config={
            "Health": st.column_config.MultiselectColumn(
                width=124,
                options=[said for said, _ in HEALTHS.values()],
                color=[_PILLS[one] for one in HEALTHS],
            ),
            **{
                name: st.column_config.TextColumn(width=30, help=CHECK_TITLES[check], alignment="center")
                for name, check in zip(checks, Check, strict=True)
            },
            "First broken link": st.column_config.TextColumn(width=232),
            "For": st.column_config.TextColumn(width=64, help="How long it is known to be broken"),
            "Character": st.column_config.TextColumn(width=140),
            "Ended": st.column_config.DatetimeColumn(width=112, format="D MMM, HH:mm"),
            "Provider": st.column_config.TextColumn(width=90),
            "Job": st.column_config.TextColumn(width=80),
        },
    )
    return [row for row in event.selection.rows if row < len(proofs)]


def _opened(key: str, ids: Sequence[JobId]) -> None:
    cells = st.session_state[key].selection.cells
    if cells and cells[0][0] < len(ids):
        autosave_one.open_one(ids[cells[0][0]])


def _line(one: Proof, since: datetime | None) -> dict[str, object]:
    outcomes = [MARKS[one.outcome(check)] for check in Check]
    broken = one.first_broken
    place = list(Check).index(broken[0]) + 1 if broken else 0
    return {
        "Health": [HEALTHS[one.health][0]],
        **{str(number): mark for number, mark in enumerate(outcomes, start=1)},
        "First broken link": f"{place} · {TITLES[broken[1]]}" if broken else _unproven(one),
        "For": (words.ago(since).removesuffix(" ago") if since else "new") if broken else "",
        "Character": one.character or "–",
        "Ended": one.ended_at.astimezone(words.zone()).replace(tzinfo=None),
        "Provider": words.provider(one.provider) if one.provider else "–",
        "Job": words.short(one.job_id),
    }


def _unproven(one: Proof) -> str:
    """Why it is not proven, where nothing is broken: the first thing that was not checked."""
    reasons = (one.reason(check) for check in Check if one.outcome(check) is Outcome.not_checked)
    first = next((reason for reason in reasons if reason is not None), None)
    return TITLES[first] if first is not None else ""


def _foot(page: FactsPage, proofs: Sequence[Proof], ticked: Sequence[int], wanted: ProofFilter) -> None:
    chosen = [page.rows[row] for row in ticked]
    if chosen and bulk.may(REPAIR.kind):
        st.button(
            f"Repair {len(chosen)} selected",
            key="repair_selected",
            type="primary",
            icon=":material/build:",
            on_click=bulk.ask,
            args=(REPAIR.kind, lines(chosen)),
        )
    with st.container(horizontal=True, vertical_alignment="center", key="foot"):
        paging.buttons(page)
        st.html(f'<p class="au-age">{say(_span(proofs))}</p>', width="stretch")
        tables.files(
            sheet(services(), person(), wanted), label=f"up to {tables.MOST_IN_FILE:,}" if page.older else ""
        )
    st.html(
        '<p class="au-legend"><span data-mark="passed">✓</span> passed <span data-mark="failed">✕</span> failed '
        '<span data-mark="not_checked">?</span> not checked <span data-mark="not_applicable">–</span> not applicable. '
        f"{say(f'A click opens a portrait, a tick selects it. As of {words.clock(datetime.now(UTC))}.')}</p>"
    )


def _span(proofs: Sequence[Proof]) -> str:
    if len(proofs) == 1:
        return f"1 portrait, ended {words.moment(proofs[0].ended_at)}"
    newest, oldest = words.moment(proofs[0].ended_at), words.moment(proofs[-1].ended_at)
    return f"{len(proofs)} portraits, {oldest} to {newest}"


def _nothing(chosen: Chosen, page: FactsPage) -> None:
    """Empty is an answer of its own: say why, and what to do."""
    with st.container(key="nothing", horizontal_alignment="center"):
        if page.newer or page.older:
            nothing("Nothing further on", "You have come to the end of the list.")
            st.button("To the newest", key="newest", on_click=paging.go)
        elif chosen.narrows:
            nothing("No portrait fits", _why_none(chosen))
            st.button("Lift all filters", key="lift", on_click=lift)
        elif chosen.shared.period != ALWAYS:
            nothing("A quiet time", f"No portrait ended within {chosen.shared.period}.")
            st.button("Look at all time", key="all_time", on_click=look_at_all_time)
        else:
            nothing("No portrait yet", "Ask for one in the studio. It appears here when its job is queued.")


def _why_none(chosen: Chosen) -> str:
    if chosen.only_broken or chosen.reason:
        return "The last checks found none like this broken. Check now looks again; lifting the filters shows all."
    return "No portrait fits these filters. Change one, or lift them all."


def sheet(given: Services, reader: Person, wanted: ProofFilter) -> Sheet:
    """The portraits of a filter as a file, judged by their rows; the columns of the checks hold an answer or a reason."""
    return Sheet(name="auto-save", columns=_COLUMNS, rows=lambda: _records(given, reader, wanted))


def _records(given: Services, reader: Person, wanted: ProofFilter) -> Iterator[Sequence[object]]:
    key: Key | None = None
    for _ in range(tables.MOST_IN_FILE // _IN_FILE_AT_ONCE):
        with given.db.as_reader(reader) as conn:
            page = autosave.facts_page(
                conn, wanted, before=key, limit=_IN_FILE_AT_ONCE, grace=proof.grace(given)
            )
            since = autosave.broken_since(conn, [one.proof.job_id for one in page.rows])
        yield from (_record(one.proof, since.get(one.proof.job_id)) for one in page.rows)
        key = page.older
        if key is None:
            return


def _record(one: Proof, since: datetime | None) -> Sequence[object]:
    answers = [one.reason(check) or autosave.PASSED for check in Check]
    known = (one.job_id, one.character, one.ended_at, one.provider, one.user_id, one.health)
    return (*known, *answers, since)
