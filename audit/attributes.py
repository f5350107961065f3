"""The page of attribute images: how complete they are, the matrix, and the way to each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from functools import partial
from uuid import UUID

import streamlit as st

from audit import (
    attribute_cell,
    attribute_making,
    attribute_options,
    attribute_review,
    bulk,
    redraw,
    tables,
    words,
)
from audit.asking import asked
from audit.attribute_pictures import thumbnail
from audit.attribute_review import address_of, is_maker
from audit.filters import shared
from audit.look import as_of, head, nothing, say
from audit.services import on_click, person, services
from core import contact_sheets, options, review_deeds
from core.attributes import CellStatus
from core.audit import attributes
from core.audit.attributes import STANDING_WORDS, Complete, Standing
from core.authority import Action, may, refusal
from core.catalog import AttributeCategory, Catalog
from core.db import Connection
from core.services import Services
from core.values import STYLE_IMAGE, Person

EVERY = 3  # seconds between two looks while pictures are being made
MATRIX, OPTIONS, RUNS = "Images", "Values and styles", "Runs"
EVERYTHING = "All"
ICONS: Mapping[Standing, str] = {
    Standing.not_required: "block",
    Standing.missing: "add_photo_alternate",
    Standing.queued: "schedule",
    Standing.running: "progress_activity",
    Standing.failed: "error",
    Standing.unverified: "visibility",
    Standing.approved: "check_circle",
    Standing.rejected: "cancel",
}
_JUDGED = (Standing.unverified, Standing.approved, Standing.rejected)
_SELECTED = "attributes_selected"
_SELECTING = "attributes_selecting"


def draw() -> None:
    """The whole page: one cell where the address names one, else the matrix, the options or the runs."""
    redraw.settle()
    attribute_review.flash()
    if not may(person(), Action.see_attribute_images):
        head("Attribute images")
        nothing("Not for this role", refusal(Action.see_attribute_images))
        return
    answer = asked(matrix)
    if answer is None:
        return
    known, cells = answer
    if named := attribute_review.chosen():
        with st.container():
            attribute_cell.draw(named, cells, known)
        st.empty()
        return
    st.empty()
    with st.container():
        _overview(known, cells)


def matrix(conn: Connection) -> tuple[Catalog, tuple[CellStatus, ...]]:
    """Every cell, switched off ones too, and the options they are made of."""
    given = services()
    return (
        options.catalog_on(conn, given.catalog, whole=True),
        attribute_review.cells_on(conn, given),
    )


def _overview(known: Catalog, cells: Sequence[CellStatus]) -> None:
    head(
        "Attribute images",
        "The pictures of the character-creation form: one for each value in each style, and one for each style.",
    )
    view = st.segmented_control(
        "Show",
        [MATRIX, OPTIONS, RUNS],
        default=MATRIX,
        key="view",
        bind="query-params",
        label_visibility="collapsed",
        required=True,
    )
    if view == OPTIONS:
        attribute_options.draw()
    elif view == RUNS:
        attribute_making.runs()
    else:
        _images(known, cells)


def _images(known: Catalog, cells: Sequence[CellStatus]) -> None:
    _actions(cells)
    attribute_making.following(cells)
    bulk.panel((review_deeds.APPROVE.kind, review_deeds.REJECT.kind))
    with st.container(key="attribute_coverage"):
        st.html(_coverage(known, cells))
    busy = any(attributes.standing(one) in {Standing.queued, Standing.running} for one in cells)
    st.fragment(_matrix, run_every=EVERY if shared().live and busy else None)(busy)


def _actions(cells: Sequence[CellStatus]) -> None:
    """What can be done from here, and the review on paper."""
    waiting = [one for one in cells if attributes.standing(one) is Standing.unverified]
    gaps = [one for one in cells if attributes.standing(one) in {Standing.missing, Standing.failed}]
    with st.container(horizontal=True, vertical_alignment="center", key="attribute_actions"):
        st.button(
            f"Review {len(waiting)}" if waiting else "Nothing to review",
            key="review_first",
            icon=":material/rate_review:",
            type="primary" if waiting else "secondary",
            disabled=not waiting,
            on_click=attribute_review.open_cell,
            args=(waiting[0].cell if waiting else None,),
        )
        if is_maker():
            attribute_making.offer_missing(gaps)
            st.toggle(
                "Choose several", key=_SELECTING, help="Click pictures to choose them, then make them again."
            )
            if st.session_state[_SELECTING]:
                _offer_selected(cells)
        st.space("stretch")
        _files(cells)


def _offer_selected(cells: Sequence[CellStatus]) -> None:
    chosen = [one for one in cells if address_of(one.cell) in _selected()]
    shown = [
        bulk.Shown(
            id=review_deeds.row_of(one.cell, one.picture.image_url), line=f"{one.label}, {one.cell.style}"
        )
        for one in chosen
        if one.picture is not None and attributes.standing(one) in _JUDGED
    ]
    attribute_making.offer_again([one.cell for one in chosen])
    for deed in (review_deeds.APPROVE, review_deeds.REJECT):
        st.button(
            f"{deed.title} {len(shown)}" if shown else deed.title,
            key=deed.kind,
            icon=f":material/{'check' if deed is review_deeds.APPROVE else 'close'}:",
            disabled=not shown,
            on_click=bulk.ask,
            args=(deed.kind, shown),
        )
    st.button("Clear", key="clear_selected", type="tertiary", disabled=not chosen, on_click=_clear)


def _files(cells: Sequence[CellStatus]) -> None:
    """The review as a contact sheet, and the matrix as a table."""
    with st.popover("Export", icon=":material/download:", key="export"):
        st.caption(
            "The review as a contact sheet: every picture, where it stands, what was said, by whom and when."
        )
        made = f"attribute-images-{datetime.now(words.zone()):%Y%m%d-%H%M}"
        with st.container(horizontal=True):
            for kind, mime in (("HTML", "text/html"), ("PDF", "application/pdf")):
                st.download_button(
                    kind,
                    data=on_click(partial(on_paper, services(), person(), kind, words.zone())),
                    file_name=f"{made}.{kind.lower()}",
                    mime=mime,
                    key=f"paper_{kind.lower()}",
                    icon=":material/print:",
                    on_click="ignore",
                )
        st.caption("The matrix as a table.")
        with st.container(horizontal=True):
            tables.files(_sheet(cells))


def on_paper(given: Services, reader: Person, kind: str, zone: tzinfo) -> bytes:
    """The review as one file. Raises NotAllowed, QueryTimedOut, DatabaseUnavailable."""
    sheet = contact_sheets.gather(
        reader, given, now=datetime.now(UTC), zone=zone, called=partial(called, reader)
    )
    return contact_sheets.as_html(sheet) if kind == "HTML" else contact_sheets.as_pdf(sheet)


def called(reader: Person, who: UUID) -> str:
    """A person as people read them here."""
    return "You" if who == reader.id else words.short(who)


def _sheet(cells: Sequence[CellStatus]) -> tables.Sheet:
    return tables.Sheet(
        name="attribute-images",
        columns=(
            "category", "value", "style", "standing", "why", "picture", "counts_as", "cost_usd", "job", "made_at",
            "review_note", "reviewed_by", "reviewed_at",
        ),
        rows=lambda: [_record(one) for one in cells],
    )  # fmt: skip


def _record(one: CellStatus) -> tuple[object, ...]:
    cell, picture = one.cell, one.picture
    stands = (cell.category, cell.value, cell.style, attributes.standing(one).value, one.why)
    if picture is None:
        return (*stands, None, None, None, None, None, None, None, None)
    cost = picture.cost_usd if picture.cost_usd is not None else "unknown"
    return (
        *stands, picture.image_url, one.counts_as, str(cost), picture.job_id, picture.updated_at, picture.review_note,
        picture.reviewed_by, picture.reviewed_at,
    )  # fmt: skip


# -- how complete ---------------------------------------------------------------------------------------------------


def _coverage(known: Catalog, cells: Sequence[CellStatus]) -> str:
    labels = {one.key: one.label for one in known.categories} | {STYLE_IMAGE: "Style images"}
    styles = {one.key: one.label for one in known.styles}
    rows = [_bar(labels.get(one.name, one.name), one) for one in attributes.complete(cells, by_style=False)]
    columns = [_bar(styles.get(one.name, one.name), one) for one in attributes.complete(cells, by_style=True)]
    return (
        f'<div class="at-cover"><section><h2>By category</h2>{"".join(rows)}</section>'
        f"<section><h2>By style</h2>{''.join(columns)}</section></div>"
    )


def _bar(label: str, one: Complete) -> str:
    """One bar: approved, to review and rejected, each with its own pattern, of all that are required."""
    parts = "".join(
        f'<i data-part="{name}" style="flex:{number}"></i>'
        for name, number in (
            ("approved", one.approved),
            ("unverified", one.unverified),
            ("rejected", one.rejected),
            ("rest", one.required - one.present),
        )
        if number
    )
    told = ", ".join(
        f"{number} {said}"
        for number, said in (
            (one.unverified, "to review"),
            (one.rejected, "rejected"),
            (one.required - one.present, "without"),
        )
        if number
    )
    return (
        f'<div class="at-bar"><b>{say(label)}</b><span class="at-track" aria-hidden="true">{parts}</span>'
        f"<span>{one.approved} of {one.required} approved<small>{say(told)}</small></span></div>"
    )


# -- the matrix -----------------------------------------------------------------------------------------------------


def _matrix(was_busy: bool) -> None:
    redraw.heed()
    answer = asked(matrix)
    if answer is None:
        return
    known, cells = answer
    if was_busy and not any(attributes.standing(one) in {Standing.queued, Standing.running} for one in cells):
        st.rerun(scope="app")
    only = _only()
    groups = [*((one.key, one.label) for one in known.categories), (STYLE_IMAGE, "Style images")]
    # Not a style alone: Streamlit keeps those apart, and a fragment that draws itself again would lose it.
    paint = "".join([*map(_columns, known.categories), *map(_paint, cells)])
    st.html(f"<span hidden></span><style>{paint}</style>")
    for key, label in groups:
        _group(key, label, [one for one in cells if one.cell.category == key], known, only)
    as_of(datetime.now(UTC))


def _only() -> str:
    """Which standing is looked at; the others step back."""
    chosen = st.pills(
        "Which",
        [EVERYTHING, *STANDING_WORDS.values()],
        default=EVERYTHING,
        key="standing",
        bind="query-params",
        label_visibility="collapsed",
        required=True,
    )
    return chosen or EVERYTHING


def _group(key: str, label: str, cells: Sequence[CellStatus], known: Catalog, only: str) -> None:
    """One category: its values across, its styles down."""
    values = list(dict.fromkeys((one.cell.value, one.label) for one in cells))
    with st.container(key=f"atg_{key}", gap="xsmall"):
        st.html(f'<h2 class="at-group">{say(label)}</h2>')
        if key == STYLE_IMAGE:
            with st.container(key=f"atm_{key}"):
                for one in cells:
                    _tile(one, one.label, only)
            return
        by_place = {(one.cell.value, one.cell.style): one for one in cells}
        with st.container(key=f"atm_{key}"):
            st.html("<span></span>")
            for _, said in values:
                st.html(f'<b class="at-value">{say(said)}</b>')
            for style in known.styles:
                st.html(f'<b class="at-style">{say(style.label)}</b>')
                for value, said in values:
                    if found := by_place.get((value, style.key)):
                        _tile(found, f"{said}, {style.label}", only)
                    else:
                        st.html("<span></span>")


def _columns(category: AttributeCategory) -> str:
    return f".st-key-atm_{category.key}{{--at-columns:{len(category.values)};}}"


def _tile(one: CellStatus, name: str, only: str) -> None:
    """One cell as a button: its picture, and where it stands by sign and word."""
    state = attributes.standing(one)
    said = STANDING_WORDS[state]
    share = f" {one.job.progress:.0%}" if state is Standing.running and one.job and one.job.progress else ""
    address = address_of(one.cell)
    chosen = address in _selected()
    st.button(
        f"**{_plain(name)}{', chosen' if chosen else ''}:** {said}{share}",
        key=_key(one),
        icon=f":material/{'check_box' if chosen else ICONS[state]}:",
        type="primary" if chosen else "secondary",
        help=one.why or None,
        disabled=only not in (EVERYTHING, said),
        on_click=_clicked,
        args=(one,),
    )


def _plain(label: str) -> str:
    """A label as it may stand in a button: Streamlit reads Markdown there."""
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]()#+-.!:$~<>|" else letter for letter in label)


def _key(one: CellStatus) -> str:
    return f"at_{address_of(one.cell).encode().hex()}"


def _clicked(one: CellStatus) -> None:
    redraw.ask()
    if st.session_state.get(_SELECTING):
        st.session_state[_SELECTED] = _selected() ^ {address_of(one.cell)}
    else:
        attribute_review.open_cell(one.cell)


def _selected() -> frozenset[str]:
    return st.session_state.get(_SELECTED, frozenset())


def _clear() -> None:
    st.session_state[_SELECTED] = frozenset()


def _paint(one: CellStatus) -> str:
    """The style of one tile: its picture, and its standing for the sheet's patterns."""
    state = attributes.standing(one)
    found = thumbnail(one.picture.image_url) if one.picture else None
    ground = f"background-image:url(data:image/webp;base64,{found});" if found else ""
    edge = {"rejected": "dashed", "failed": "double", "unverified": "dotted"}.get(state.value, "solid")
    aside = "filter:grayscale(1);opacity:.6;" if state is Standing.not_required else ""
    return f".st-key-{_key(one)} button{{{ground}border-style:{edge if found else 'dashed'};{aside}}}"
