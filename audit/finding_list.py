"""Findings by rule, in words: what each means, who mends it, what to do; and the findings themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

import pandas as pd
import streamlit as st

from audit import finding_bulk, finding_deeds, finding_one, look, navigation, paging, redraw, tables, words
from audit.asking import asked
from audit.colleagues import Names, called
from audit.finding_filters import STATES, Chosen, lift, show_rule
from audit.look import nothing, say
from audit.services import person, services
from audit.tables import Sheet
from core.audit import findings as questions
from core.audit.findings import FindingFilter, FindingPage, FindingRow, FindingState, Key, RuleCount
from core.audit.jobs import Counted
from core.findings import rule_of
from core.services import Services
from core.values import Person

EVERY = 30.0  # seconds between two looks while live
PER_PAGE = 50
_IN_FILE_AT_ONCE = 500
_SHOWN_GROUPS = 6
_SAID = {state: said for said, state in STATES.items()}
_COLUMNS = (
    "finding", "rule", "title", "sentence", "table", "row", "state", "first_seen", "last_seen", "times", "owner", "note",
    "mended_at", "mended_by", "set_aside_at", "set_aside_by", "set_aside_why",
)  # fmt: skip


def draw(chosen: Chosen, names: Names, *, live: bool) -> None:
    """The list as the filters want it; it reads again by itself while live."""
    if st.session_state.setdefault("findings_listed", chosen) != chosen:
        st.session_state["findings_listed"] = chosen
        paging.go()  # a place in one list means nothing in another
    st.fragment(_list, run_every=EVERY if live else None)(chosen, names)


def _list(chosen: Chosen, names: Names) -> None:
    redraw.heed()
    wanted = chosen.wanted()
    before, after = paging.place(Key.read)
    answer = asked(
        lambda conn: (
            questions.by_rule(conn, wanted),
            questions.counts(conn, wanted),
            questions.page(conn, wanted, before=before, after=after, limit=PER_PAGE),
        )
    )
    if answer is None:
        return
    every, counted, page = answer
    groups = [group for group in every if chosen.shows(group.rule)]
    _counts(counted, chosen)
    if chosen.rule:
        _explained(chosen.rule, wanted, names)
    elif groups:
        _groups(groups)
    if not page.rows:
        _nothing(chosen, page)
        return
    ticked = _table(page.rows, names, chosen)
    _foot(page, ticked, names, wanted)


def _counts(counted: Mapping[FindingState, Counted], chosen: Chosen) -> None:
    said = " · ".join(f"{words.count(number)} {_SAID[state].lower()}" for state, number in counted.items())
    bound = (
        f" Counted to {questions.MOST_COUNTED:,} each." if any(one.more for one in counted.values()) else ""
    )
    which = f" of the rule “{rule_of(chosen.rule).title}”" if chosen.rule else ""
    look.as_of(datetime.now(UTC), f"Findings{which}: {said}.{bound}")


def _groups(groups: Sequence[RuleCount]) -> None:
    shown = groups if st.session_state.get("all_rules") else groups[:_SHOWN_GROUPS]
    with st.container(key="rules", gap="xsmall"):
        for group in shown:
            _group(group)
    if len(groups) > _SHOWN_GROUPS:
        st.toggle(f"All {len(groups)} rules", key="all_rules")


def _group(group: RuleCount) -> None:
    rule = rule_of(group.rule)
    with st.container(
        horizontal=True, vertical_alignment="center", key=f"rule_{group.rule.replace('.', '_')}"
    ):
        st.html(
            f'<div class="au-rule"><b>{say(words.count(group.counted))}</b><div><h4>{say(rule.title)}'
            f"<small>{say(rule.who)}</small></h4><p>{say(rule.means)}</p></div>"
            f"<span>oldest {say(words.ago(group.oldest_at))}</span></div>",
            width="stretch",
        )
        st.button("Show", key=f"show_{group.rule}", on_click=show_rule, args=(group.rule,))


def _explained(name: str, wanted: FindingFilter, names: Names) -> None:
    rule = rule_of(name)
    with st.container(horizontal=True, vertical_alignment="center", key="explained"):
        st.html(
            f'<div class="au-explained"><h2>{say(rule.title)}</h2><dl><div><dt>What it means</dt><dd>{say(rule.means)}</dd></div>'
            f"<div><dt>Who mends it</dt><dd>{say(rule.who)}</dd></div>"
            f"<div><dt>What to do</dt><dd>{say(rule.todo)}</dd></div></dl></div>",
            width="stretch",
        )
        finding_bulk.offer(wanted, names)
        st.button("All rules", key="every_rule", on_click=show_rule, args=(name,))


def _table(rows: Sequence[FindingRow], names: Names, chosen: Chosen) -> list[FindingRow]:
    """The findings; those that are ticked."""
    # The key follows the rows: what was ticked on rows that were replaced is dropped, never taken for another row.
    # And the columns: a grid that is given others under the same key takes no notice of the first click.
    shown = (chosen.rule, *((row.id, row.owner, row.state) for row in rows))
    key = f"findings_{hash(shown) & 0xFFFFFFFF:x}"
    event = st.dataframe(
        pd.DataFrame([_line(row, names, chosen) for row in rows]),
        key=key,
        on_select=partial(_opened, key, [row.id for row in rows]),
        selection_mode=["multi-row", "single-cell"],
        hide_index=True,
        height="content" if len(rows) <= 16 else 620,  # noqa: PLR2004 - as many as fit on a screen
        row_height=36,
        column_config={
            "Rule": st.column_config.TextColumn(width=190),
            "What was found": st.column_config.TextColumn(width=318),
            "Row": st.column_config.TextColumn(width=158),
            "First seen": st.column_config.TextColumn(width=88),
            "Last seen": st.column_config.TextColumn(width=88),
            "Times": st.column_config.NumberColumn(width=58, format="localized"),
            "Owner": st.column_config.TextColumn(width=110),
            "Note": st.column_config.TextColumn(width=120),
            "Mended by": st.column_config.TextColumn(width=110),
            "Why": st.column_config.TextColumn(width=150),
        },
    )
    return [rows[row] for row in event.selection.rows if row < len(rows)]


def _opened(key: str, ids: Sequence[int]) -> None:
    cells = st.session_state[key].selection.cells
    if cells and cells[0][0] < len(ids):
        finding_one.open_one(ids[cells[0][0]])


def _line(row: FindingRow, names: Names, chosen: Chosen) -> dict[str, object]:
    line: dict[str, object] = {} if chosen.rule else {"Rule": rule_of(row.rule).title}
    line |= {
        "What was found": row.sentence,
        "Row": finding_one.row_words(row),
        "First seen": words.ago(row.first_seen).removesuffix(" ago"),
        "Last seen": words.ago(row.last_seen).removesuffix(" ago"),
        "Times": row.times,
        "Owner": called(row.owner, names, nobody="–"),
    }
    if chosen.state is FindingState.mended:
        line["Mended by"] = finding_one.mended_words(row, names)
    elif chosen.state is FindingState.set_aside:
        line["Why"] = row.set_aside_why or ""
    return {**line, "Note": row.note or ""}


def _foot(page: FindingPage, ticked: Sequence[FindingRow], names: Names, wanted: FindingFilter) -> None:
    with st.container(horizontal=True, key="finding_deeds"):
        finding_deeds.offer(ticked, names)
    with st.container(horizontal=True, vertical_alignment="center", key="foot"):
        paging.buttons(page)
        number = "1 finding" if len(page.rows) == 1 else f"{len(page.rows)} findings"
        st.html(
            f'<p class="au-age">{say(f"{number}, the last seen first. A click opens one, a tick selects it.")}</p>',
            width="stretch",
        )
        label = f"up to {tables.MOST_IN_FILE:,}" if page.older else ""
        tables.files(sheet(services(), person(), wanted), label=label)


def _nothing(chosen: Chosen, page: FindingPage) -> None:
    """Empty is an answer of its own: say why, and what to do."""
    with st.container(key="nothing", horizontal_alignment="center"):
        if page.newer or page.older:
            nothing("Nothing further on", "You have come to the end of the list.")
            st.button("To the newest", key="newest", on_click=paging.go)
        elif chosen.narrows:
            nothing("No finding fits", "No finding fits these filters. Change one, or lift them all.")
            st.button("Lift all filters", key="lift", on_click=lift)
        elif chosen.state is FindingState.open:
            nothing("No open finding", "What the rules and the scheduled checks find appears here, in words.")
            navigation.link("autosave", "When was it checked last?")
        else:
            nothing(f"Nothing {_SAID[chosen.state].lower()}", "Open findings that are settled appear here.")


def sheet(given: Services, reader: Person, wanted: FindingFilter) -> Sheet:
    """The findings of a filter as a file."""
    return Sheet(name="findings", columns=_COLUMNS, rows=lambda: _records(given, reader, wanted))


def _records(given: Services, reader: Person, wanted: FindingFilter) -> Iterator[Sequence[object]]:
    key: Key | None = None
    for _ in range(tables.MOST_IN_FILE // _IN_FILE_AT_ONCE):
        with given.db.as_reader(reader) as conn:
            page = questions.page(conn, wanted, before=key, limit=_IN_FILE_AT_ONCE)
        yield from (_record(row) for row in page.rows)
        key = page.older
        if key is None:
            return


def _record(row: FindingRow) -> Sequence[object]:
    return (
        row.id, row.rule, rule_of(row.rule).title, row.sentence, row.table_name, row.row_id, row.state, row.first_seen,
        row.last_seen, row.times, row.owner, row.note, row.mended_at, row.mended_by, row.set_aside_at, row.set_aside_by,
        row.set_aside_why,
    )  # fmt: skip
