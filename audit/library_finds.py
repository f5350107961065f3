"""The findings of one section of the library: a table to tick, or pairs of pictures side by side, and what can be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import pandas as pd
import streamlit as st

from audit import bulk, library_pictures, navigation, paging, tables, words
from audit.asking import asked
from audit.bulk import Shown
from audit.look import badge, nothing, say
from audit.services import person, services
from audit.tables import Sheet
from core.audit import library
from core.audit.library import Find, FindPage
from core.restock import can_be_binned, why_not_mended
from core.services import Services
from core.stock import Kind
from core.values import Person

_SIZES = {"50 rows": 50, "200 rows": 200, "1,000 rows": 1_000, "5,000 rows": 5_000}
_PAIRS = 8  # of pictures on a page
_IN_FILE_AT_ONCE = 1_000
_COLUMNS = (
    "finding", "kind", "bucket", "path", "other_path", "bits_apart", "table", "row", "column", "character", "job", "size",
    "recorded_size", "host", "dies", "first_seen", "last_seen", "repair",
)  # fmt: skip
NAMES: Mapping[str, str] = {
    Kind.object_missing: "Object missing",
    Kind.object_without_row: "No row",
    Kind.size_differs: "Size differs",
    Kind.hash_differs: "Hash differs",
    Kind.thumbnail_missing: "No thumbnail",
    Kind.same_bytes: "Same bytes",
    Kind.look_alike: "Look-alike",
    Kind.corrupt: "Broken",
    Kind.blank: "Blank",
    Kind.own_link: "Own link",
    Kind.external_link: "External link",
    Kind.no_address: "No address",
}
_PILLS: Mapping[str, str] = {  # of the canvas, readable on light and dark
    **dict.fromkeys((Kind.object_missing, Kind.hash_differs, Kind.size_differs, Kind.corrupt), "#dc3d57"),
    **dict.fromkeys((Kind.object_without_row, Kind.blank, Kind.external_link, Kind.no_address), "#d98a1f"),
    **dict.fromkeys((Kind.thumbnail_missing, Kind.same_bytes, Kind.look_alike, Kind.own_link), "#7350f4"),
}
_DEEDS: Mapping[str, tuple[str, str]] = {
    "repair_library": ("Repair", "healing"),
    "bin_library": ("To the bin", "delete"),
    "accept_library": ("Leave as it is", "done_all"),
}
_SHORT: Mapping[str, str] = {
    Kind.object_missing: "The store has no such object",
    Kind.hash_differs: "Other bytes than its row records",
    Kind.thumbnail_missing: "The thumbnail is not in the store",
    Kind.same_bytes: "The same bytes are there twice",
    Kind.look_alike: "Alike, and another file",
    Kind.corrupt: "Cannot be read as a picture",
    Kind.blank: "One colour only",
    Kind.no_address: "Neither a stored picture nor a link",
}
_TABLES: Mapping[str, str] = {
    "user_library": "Library item",
    "workspace_assets": "Workspace result",
    "reference_uploads": "Reference",
    "character_portraits": "Portrait",
    "characters": "Character",
    "character_scenes": "Scene",
    "attribute_images": "Attribute image",
    "style_images": "Style image",
    "attribute_image_versions": "Older version",
}
_TWINS = frozenset({Kind.same_bytes, Kind.look_alike})


def draw(name: str, kinds: Sequence[Kind], character_id: UUID | None, *, was_scanned: bool) -> None:
    """The findings of these kinds, of one character where one is given, a page at a time."""
    is_pairs = set(kinds) <= _TWINS
    size = _PAIRS if is_pairs else _rows_at_once()
    before, after = paging.place(_read_key)
    page = asked(
        lambda conn: library.page(
            conn, kinds, before=before, after=after, character_id=character_id, limit=size
        )
    )
    if page is None:
        return
    if not page.rows:
        _nothing(page, before or after, was_scanned=was_scanned)
        return
    if is_pairs:
        if len(page.rows) > 1:  # one pair has its own two buttons
            _act(page.rows, page.rows, ticked=False)
        for find in page.rows:
            _pair(find)
    else:
        _listed(name, page.rows)
    _foot(name, page, kinds, character_id)


def _rows_at_once() -> int:
    with st.sidebar:
        size = st.selectbox(
            "Rows at once", list(_SIZES), key="rows", bind="query-params", label_visibility="collapsed"
        )
    return _SIZES[size] if size else 50


def _read_key(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < len(str(2**63)) else None


def _nothing(page: FindPage, place: int | None, *, was_scanned: bool) -> None:
    with st.container(key="nothing", horizontal_alignment="center"):
        if place is not None or page.newer or page.older:
            nothing("Nothing further on", "You have come to the end of the list.")
            st.button("To the newest", key="newest", on_click=paging.go)
        elif was_scanned:
            nothing("Nothing of this kind", "The last scan found nothing of this kind that is still open.")
        else:
            nothing("Not scanned yet", "A scan compares every row with the store. Start one above.")


# -- the table --------------------------------------------------------------------------------------------------------


def _listed(name: str, rows: Sequence[Find]) -> None:
    key = f"library_{name}_{hash(tuple(one.id for one in rows)) & 0xFFFFFFFF:x}"
    chosen = st.session_state[key]["selection"]["rows"] if key in st.session_state else []
    picked = [rows[place] for place in chosen if place < len(rows)]
    _act(picked or rows, rows, ticked=bool(picked))
    st.dataframe(
        pd.DataFrame([_cells(one) for one in rows]),
        key=key,
        on_select="rerun",
        selection_mode="multi-row",
        hide_index=True,
        height="content" if len(rows) <= 12 else 560,  # noqa: PLR2004 - rows that fit a screen
        row_height=40,
        column_config={
            "Kind": st.column_config.MultiselectColumn(
                width=130, options=[NAMES[kind] for kind in _PILLS], color=list(_PILLS.values())
            ),
            "What": st.column_config.TextColumn(width=290),
            "Character": st.column_config.TextColumn(width=130),
            "Object": st.column_config.TextColumn(width=230),
            "Row": st.column_config.TextColumn(width=130),
            "Repair": st.column_config.TextColumn(width=118),
            "Since": st.column_config.TextColumn(width=70, alignment="right"),
        },
    )
    if len(picked) == 1:
        _one(picked[0])


def _act(chosen: Sequence[Find], rows: Sequence[Find], *, ticked: bool) -> None:
    """What can be done with the ticked rows, else with all that are shown; those and no others."""
    one = len(chosen) == 1
    if ticked:
        which = "the ticked one" if one else f"{len(chosen):,} ticked"
    else:
        which = "the one shown" if one else f"all {len(rows):,} shown"
    fitting = {
        "repair_library": [one for one in chosen if not why_not_mended(one)],
        "bin_library": [one for one in chosen if can_be_binned(Kind(one.kind))],
        "accept_library": list(chosen),
    }
    with st.container(horizontal=True, vertical_alignment="center", key="library_acts"):
        for kind, (label, icon) in _DEEDS.items():
            finds = fitting[kind]
            if not finds or not bulk.may(kind):
                continue
            said = f"{label}: {which if len(finds) == len(chosen) else f'{len(finds):,} of {which}'}"
            st.button(
                said,
                key=f"do_{kind}",
                icon=f":material/{icon}:",
                type="primary" if kind == "repair_library" else "secondary",
                on_click=bulk.ask,
                args=(kind, [Shown(id=str(one.id), line=_named(one)) for one in finds]),
            )


def _named(find: Find) -> str:
    """A finding as the question before a bulk action names it."""
    return " · ".join(part for part in (NAMES[find.kind], find.character, _file(find), _row(find)) if part)


def _file(find: Find) -> str:
    """The object by its bucket and its name: the folders between are ids."""
    return f"{find.bucket}/…/{find.path.rpartition('/')[2]}" if find.path else ""


def _row(find: Find) -> str:
    return _TABLES.get(find.table_name or "", find.table_name or "")


def _cells(find: Find) -> dict[str, object]:
    return {
        "Kind": [NAMES[find.kind]],
        "What": what(find),
        "Character": find.character or "–",
        "Object": f"{find.path.rpartition('/')[2]}" if find.path else "–",
        "Row": _row(find) or "–",
        "Repair": "By a click" if not why_not_mended(find) else "A person decides",
        "Since": words.lasted(max((datetime.now(UTC) - find.first_seen).total_seconds(), 0)),
    }


def what(find: Find) -> str:
    """What is wrong with this very one, in a few words."""
    if find.kind == Kind.size_differs and find.size is not None and find.want_size is not None:
        return f"{find.size:,} bytes; its row says {find.want_size:,}"
    if find.kind in {Kind.own_link, Kind.external_link}:
        return f"{find.host or 'signed by the studio'}: {end_of(find.dies_at)}"
    if find.kind == Kind.object_without_row:
        size = words.size(find.size or 0)
        job = f"its name tells job {words.short(find.job_id)}" if find.job_id else "no job known"
        return f"{size}, no row; {job}"
    return _SHORT.get(find.kind, find.sentence)


def end_of(dies_at: datetime | None) -> str:
    """When a link dies, against now."""
    if dies_at is None:
        return "no end known"
    left = (dies_at - datetime.now(UTC)).total_seconds()
    return f"ends in {words.lasted(left)}" if left > 0 else f"dead for {words.lasted(-left)}"


def _one(find: Find) -> None:
    """The ticked finding by itself: its picture, where there is one, and everything that is known of it."""
    facts = {
        "What": find.sentence,
        "Object": f"{find.bucket}/{find.path}" if find.path else "",
        "Row": f"{find.table_name} {find.row_id}" if find.row_id else "",
        "Column": find.column_name or "",
        "Size": f"{find.size:,} bytes" if find.size is not None else "",
        "Recorded": f"{find.want_size:,} bytes" if find.want_size is not None else "",
        "Link": f"{find.host}, {end_of(find.dies_at)}" if find.host else "",
        "Repair": why_not_mended(find) or "Safe: by a click",
        "First seen": words.moment(find.first_seen),
        "Last seen": words.moment(find.last_seen),
    }
    lines = "".join(
        f"<div><dt>{say(name)}</dt><dd>{say(text)}</dd></div>" for name, text in facts.items() if text
    )
    with st.container(border=True, key="library_one"):
        left, right = st.columns([1, 3], gap="large")
        with left:
            library_pictures.show(find, find.path)
        with right:
            st.html(f'<dl class="au-facts">{lines}</dl>')
            if find.job_id is not None:
                navigation.link("jobs", "The job’s story", job=str(find.job_id))


# -- pairs ------------------------------------------------------------------------------------------------------------


def _pair(find: Find) -> None:
    """Two pictures side by side with how far they are apart, and a decision for this pair alone."""
    across = find.character_id != find.other_character_id
    size = words.size(find.size or 0)
    bits = f"{size} each" if find.kind == Kind.same_bytes else f"{find.distance or 0} of 64 bits apart"
    badges = badge(NAMES[find.kind], "accent") + badge(
        "Two characters" if across else "One character", "warn" if across else "calm"
    )
    with st.container(border=True, key=f"library_pair_{find.id}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.html(f'<p class="au-pair">{badges}<span>{say(bits)}</span></p>', width="stretch")
            for kind, label in (("accept_library", "Keep both"), ("bin_library", "Later one to the bin")):
                if bulk.may(kind):
                    st.button(
                        label,
                        key=f"pair_{kind}_{find.id}",
                        on_click=bulk.ask,
                        args=(kind, [Shown(id=str(find.id), line=_named(find))]),
                    )
        first, second = st.columns(2, gap="medium")
        with first:
            library_pictures.show(find, find.other_path)
            _under(find.other_character, find.other_path, "Stays")
        with second:
            library_pictures.show(find, find.path)
            _under(find.character, find.path, "The later one")


def _under(character: str | None, path: str | None, standing: str) -> None:
    st.html(
        f'<p class="au-under"><b>{say(character or "No character")}</b><span>{say(standing)}</span>'
        f"<code>{say(path or '')}</code></p>"
    )


# -- the foot ---------------------------------------------------------------------------------------------------------


def _foot(name: str, page: FindPage, kinds: Sequence[Kind], character_id: UUID | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="foot"):
        paging.buttons(page)
        many = "1 finding" if len(page.rows) == 1 else f"{len(page.rows):,} findings"
        st.html(f'<p class="au-age">{many} shown, the newest first</p>', width="stretch")
        tables.files(sheet(services(), person(), name, kinds, character_id))


def sheet(
    given: Services, reader: Person, name: str, kinds: Sequence[Kind], character_id: UUID | None
) -> Sheet:
    """Open findings as a file, newest first. Reading it raises QueryTimedOut, DatabaseUnavailable."""
    rows = partial(_records, given, reader, tuple(kinds), character_id)
    return Sheet(name=f"library-{name}", columns=_COLUMNS, rows=rows)


def _records(
    given: Services, reader: Person, kinds: Sequence[Kind], character_id: UUID | None
) -> Iterator[tuple[object, ...]]:
    key: int | None = None
    for _ in range(tables.MOST_IN_FILE // _IN_FILE_AT_ONCE):
        with given.db.as_reader(reader) as conn:
            page = library.page(conn, kinds, before=key, character_id=character_id, limit=_IN_FILE_AT_ONCE)
        yield from map(_record, page.rows)
        key = page.older
        if key is None:
            return


def _record(find: Find) -> tuple[object, ...]:
    return (
        find.id, find.kind, find.bucket, find.path, find.other_path, find.distance, find.table_name, find.row_id,
        find.column_name, find.character, find.job_id, find.size, find.want_size, find.host, find.dies_at, find.first_seen,
        find.last_seen, why_not_mended(find) or "safe",
    )  # fmt: skip
