"""How complete each character's portraits are: shown, saved, missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from uuid import UUID

import pandas as pd
import streamlit as st

from audit import paging, tables, words
from audit.asking import asked
from audit.look import nothing, say
from audit.services import person, services
from audit.tables import Sheet
from core.audit import library
from core.audit.jobs import Key
from core.audit.library import Coverage, CoveragePage
from core.services import Services
from core.values import Person

PER_PAGE = 50
_IN_FILE_AT_ONCE = 500
_COLUMNS = ("character", "name", "owner", "portraits", "saved", "missing", "other_findings", "changed")
_ADDRESS = "name"


def draw(opened: Callable[[UUID], None]) -> None:
    """The characters, the last changed first; a click on a row calls `opened` with its character."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="library_section"):
        st.html(
            '<div class="au-section"><h2>Characters</h2><p>Each character’s portraits, how many lie saved in the library, '
            "and what the last scan missed.</p></div>",
            width="stretch",
        )
        name = st.text_input(
            "Find a character",
            key=_ADDRESS,
            bind="query-params",
            placeholder="Part of a name",
            icon=":material/search:",
            label_visibility="collapsed",
            width=240,
            on_change=paging.go,
        )
    before, after = paging.place(Key.read)
    page = asked(
        lambda conn: library.coverage(conn, before=before, after=after, name=name or "", limit=PER_PAGE)
    )
    if page is None:
        return
    if not page.rows:
        _nothing(page, name or "", is_turned=bool(before or after))
        return
    _table(page.rows, opened)
    _foot(page, name or "")


def _nothing(page: CoveragePage, name: str, *, is_turned: bool) -> None:
    with st.container(key="nothing", horizontal_alignment="center"):
        if is_turned or page.newer or page.older:
            nothing("Nothing further on", "You have come to the end of the list.")
            st.button("To the newest", key="newest", on_click=paging.go)
        elif name:
            nothing("No such character", f"No character’s name holds “{name[:40]}”.")
        else:
            nothing("No character yet", "Make one in the studio, and it appears here with its portraits.")


def _table(rows: Sequence[Coverage], opened: Callable[[UUID], None]) -> None:
    key = f"library_characters_{hash(tuple(one.character_id for one in rows)) & 0xFFFFFFFF:x}"
    st.dataframe(
        pd.DataFrame([_cells(one) for one in rows]),
        key=key,
        on_select=partial(_picked, key, [one.character_id for one in rows], opened),
        selection_mode="single-cell",
        hide_index=True,
        height="content" if len(rows) <= 12 else 560,  # noqa: PLR2004 - rows that fit a screen
        row_height=40,
        column_config={
            "Character": st.column_config.TextColumn(width=240),
            "Saved": st.column_config.ProgressColumn(
                "Saved in the library", min_value=0, max_value=1, format="percent", width=190
            ),
            "Portraits": st.column_config.TextColumn(width=150),
            "Missing": st.column_config.TextColumn("Objects missing", width=130, alignment="right"),
            "Other": st.column_config.TextColumn("Other findings", width=130, alignment="right"),
            "Changed": st.column_config.TextColumn(width=190),
        },
    )


def _picked(key: str, ids: Sequence[UUID], opened: Callable[[UUID], None]) -> None:
    cells = st.session_state[key].selection.cells
    if cells and cells[0][0] < len(ids):
        opened(ids[cells[0][0]])


def _cells(one: Coverage) -> dict[str, object]:
    return {
        "Character": one.name,
        # Without portraits there is no share: nothing is not the same as none.
        "Saved": one.saved * 100 // one.portraits / 100 if one.portraits else None,
        "Portraits": f"{one.saved:,} of {one.portraits:,}" if one.portraits else "No portrait yet",
        "Missing": f"{one.missing:,}" if one.missing else "",
        "Other": f"{one.other_findings:,}" if one.other_findings else "",
        "Changed": words.moment(one.updated_at),
    }


def _foot(page: CoveragePage, name: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="foot"):
        paging.buttons(page)
        many = "1 character" if len(page.rows) == 1 else f"{len(page.rows):,} characters"
        st.html(f'<p class="au-age">{say(many)} shown. A click shows what was found.</p>', width="stretch")
        tables.files(sheet(services(), person(), name))


def sheet(given: Services, reader: Person, name: str) -> Sheet:
    """The characters as a file, the last changed first. Reading it raises QueryTimedOut, DatabaseUnavailable."""
    return Sheet(name="library-characters", columns=_COLUMNS, rows=partial(_records, given, reader, name))


def _records(given: Services, reader: Person, name: str) -> Iterator[tuple[object, ...]]:
    key: Key | None = None
    for _ in range(tables.MOST_IN_FILE // _IN_FILE_AT_ONCE):
        with given.db.as_reader(reader) as conn:
            page = library.coverage(conn, before=key, name=name, limit=_IN_FILE_AT_ONCE)
        for one in page.rows:
            yield (
                one.character_id, one.name, one.owner, one.portraits, one.saved, one.missing, one.other_findings,
                one.updated_at,
            )  # fmt: skip
        key = page.older
        if key is None:
            return
