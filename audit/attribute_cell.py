"""One cell of the matrix: its large picture, what is thought of it, what stood there before, its jobs and their cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import streamlit as st

from audit import attribute_making, attribute_review, navigation, tables, typed, words
from audit.asking import asked
from audit.attribute_pictures import large, thumbnail
from audit.attribute_review import address_of, is_maker, open_cell
from audit.filters import shared
from audit.look import as_of, badge, nothing, plain, say
from audit.services import person, services
from core import attributes as use
from core.attributes import CellStatus
from core.audit import attributes
from core.audit.attributes import STANDING_WORDS, JobLine, Standing, Version
from core.catalog import Catalog
from core.db import Connection
from core.errors import ObjectMissing, StudioError
from core.reviews import LONGEST_NOTE
from core.values import AttributePicture, ReviewStatus

EVERY = 2  # seconds between two looks while its picture is being made
TONES: Mapping[Standing, str] = {
    Standing.not_required: "calm",
    Standing.missing: "calm",
    Standing.queued: "calm",
    Standing.running: "accent",
    Standing.failed: "bad",
    Standing.unverified: "warn",
    Standing.approved: "good",
    Standing.rejected: "bad",
}
_OPEN = (Standing.queued, Standing.running)
_VERSION_WHY = {"replaced": "Stood here until", "not_shown": "Paid for and never shown, kept"}


def draw(named: str, cells: Sequence[CellStatus], known: Catalog) -> None:
    """The cell that the address names."""
    st.button(
        "All images",
        key="back",
        on_click=open_cell,
        args=(None,),
        icon=":material/arrow_back:",
        type="tertiary",
    )
    place = next((at for at, one in enumerate(cells) if address_of(one.cell) == named), None)
    if place is None:
        nothing("No such image", f"“{named[:80]}” names no value and style. Open one from the matrix.")
        return
    one = cells[place]
    _head(one, place, cells, known)
    left, right = st.columns([5, 6], gap="large")
    with left:
        _picture(one.picture, f"{one.label}, {one.cell.style}")
    with right:
        if attributes.standing(one) in _OPEN:
            st.fragment(_on_its_way, run_every=EVERY if shared().live else None)(one)
        elif one.why:
            st.info(plain(words.sentence(one.why)), icon=":material/info:")
        if one.picture and attributes.standing(one) in (
            Standing.unverified,
            Standing.approved,
            Standing.rejected,
        ):
            _judging(one, cells)
        if is_maker():
            with st.container(horizontal=True, key="cell_making"):
                attribute_making.offer_one(one)
        _facts(one)
    _history(one)
    as_of(datetime.now(UTC))


def _head(one: CellStatus, place: int, cells: Sequence[CellStatus], known: Catalog) -> None:
    style = next((each.label for each in known.styles if each.key == one.cell.style), one.cell.style)
    title = f"{style} style" if one.cell.is_style else f"{one.label}, {style}"
    state = attributes.standing(one)
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="cell_head"
    ):
        st.html(
            f'<div class="au-head"><h1>{say(title)}</h1><p>{badge(STANDING_WORDS[state], TONES[state])}'
            f"<code>{place + 1} of {len(cells)}</code></p></div>",
            width="content",
        )
        with st.container(horizontal=True, horizontal_alignment="right", width="content"):
            _step("Previous", "chevron_left", "Left", cells[place - 1])
            _step("Next", "chevron_right", "Right", cells[(place + 1) % len(cells)])


def _step(label: str, icon: str, shortcut: str, to: CellStatus) -> None:
    st.button(
        label,
        key=f"cell_{label.lower()}",
        icon=f":material/{icon}:",
        shortcut=shortcut,
        on_click=open_cell,
        args=(to.cell,),
    )


def _picture(picture: AttributePicture | None, alt: str) -> None:
    if picture is None:
        st.html(
            '<div class="au-nothing"><span aria-hidden="true"></span><p>No picture stands here yet.</p></div>'
        )
        return
    try:
        st.image(large(picture.image_url), width="stretch", alt=alt)
    except ObjectMissing:
        _unseen(f"The row names {picture.image_url}, and no such object is there.")
    except StudioError as error:
        _unseen(error.sentence)


def _unseen(why: str) -> None:
    st.html(f'<div class="au-nothing"><span aria-hidden="true"></span><p>{say(why)}</p></div>')


# -- judging --------------------------------------------------------------------------------------------------------


def _judging(one: CellStatus, cells: Sequence[CellStatus]) -> None:
    if not is_maker():
        st.caption("Product and admin judge these pictures.")
        return
    picture = one.picture
    stands = picture.review_note or "" if picture else ""
    note_key = f"note_{address_of(one.cell)}_{picture.id if picture else ''}_{stands}"
    typed.begin(note_key, {note_key: stands})
    st.text_input(
        "Note",
        key=note_key,
        max_chars=LONGEST_NOTE,
        placeholder="What is wrong, or what to keep. A rejection needs it.",
    )
    typed.tell(note_key)
    with st.container(horizontal=True, key="cell_judging"):
        _verdict("Approve", ReviewStatus.approved, "A", one, note_key, cells)
        _verdict("Reject", ReviewStatus.rejected, "X", one, note_key, cells)
        follower = attribute_review.next_to_review(cells, one.cell)
        st.button(
            "Next to review",
            key="cell_next_unreviewed",
            icon=":material/skip_next:",
            shortcut="N",
            disabled=follower is None,
            on_click=open_cell,
            args=(follower.cell if follower else None,),
        )
        if before := attribute_review.last():
            st.button(
                f"Take back {before.label}",
                key="cell_undo",
                icon=":material/undo:",
                shortcut="U",
                type="tertiary",
                on_click=attribute_review.undo,
            )


def _verdict(
    label: str,
    verdict: ReviewStatus,
    shortcut: str,
    one: CellStatus,
    note_key: str,
    cells: Sequence[CellStatus],
) -> None:
    st.button(
        label,
        key=f"cell_{verdict.value}",
        icon=f":material/{'check' if verdict is ReviewStatus.approved else 'close'}:",
        type="primary" if verdict is ReviewStatus.approved else "secondary",
        shortcut=shortcut,
        on_click=attribute_review.decide,
        args=(one, verdict, note_key, cells),
    )


# -- what is known --------------------------------------------------------------------------------------------------


def _on_its_way(drawn: CellStatus) -> None:
    cells = asked(lambda conn: attribute_review.cells_on(conn, services()))
    if cells is None:
        return
    one = next((each for each in cells if each.cell == drawn.cell), drawn)
    if attributes.standing(one) not in _OPEN:
        st.rerun(scope="app")
    job = one.job
    share = job.progress if job and job.progress else 0.0
    stopping = job is not None and job.cancel_requested
    said = "It is asked to stop." if stopping else one.why or STANDING_WORDS[attributes.standing(one)]
    st.progress(share, text=said)
    if is_maker() and not stopping:
        st.button("Cancel", key="cell_cancel", icon=":material/block:", on_click=_cancel, args=(one,))


def _cancel(one: CellStatus) -> None:
    try:
        use.cancel_cell(one.cell, person(), services())
    except StudioError as error:
        attribute_review.refuse_next(error)
        return
    attribute_review.say_next("The provider is asked to stop; what was not sent costs nothing.")


def _facts(one: CellStatus) -> None:
    picture = one.picture
    if picture is None:
        return
    lines = {
        "Judged": _judged(picture),
        "Note": picture.review_note or "",
        "Made": words.moment(picture.updated_at),
        "Cost": words.money(picture.cost_usd),
        "Size": _size(picture),
        "Seed": str(picture.seed) if picture.seed is not None else "",
        "Counts as": f"a row under the older name {one.counts_as}" if one.counts_as else "",
        "Object": picture.image_url,
    }
    rows = "".join(
        f"<div><dt>{say(name)}</dt><dd>{say(said)}</dd></div>" for name, said in lines.items() if said
    )
    st.html(f'<dl class="au-facts">{rows}</dl>')
    if picture.prompt:
        with st.expander("Prompt"), st.container(key="prompt"):
            st.text(picture.prompt)


def _judged(picture: AttributePicture) -> str:
    if picture.review_status is ReviewStatus.pending:
        return "not yet"
    if picture.reviewed_by is None or picture.reviewed_at is None:
        return f"{picture.review_status.value}, by another program"
    who = "you" if picture.reviewed_by == person().id else words.short(picture.reviewed_by)
    return f"{picture.review_status.value} by {who}, {words.moment(picture.reviewed_at)}"


def _size(picture: AttributePicture) -> str:
    if picture.width is None or picture.height is None:
        return ""
    weight = f", {words.size(picture.file_size)}" if picture.file_size else ""
    return f"{picture.width} × {picture.height}{weight}"


# -- what was -------------------------------------------------------------------------------------------------------


def _history(one: CellStatus) -> None:
    def question(conn: Connection) -> tuple[list[Version], list[JobLine]]:
        return attributes.versions(conn, one.cell), attributes.jobs_of_cell(conn, one.cell)

    answer = asked(question)
    if answer is None:
        return
    versions, lines = answer
    st.subheader("Versions", anchor=False)
    if versions:
        st.html(f'<div class="at-versions">{"".join(map(_version, versions))}</div>')
    else:
        st.caption("No other picture has stood here.")
    st.subheader("Jobs", anchor=False)
    if lines:
        st.html(f'<div class="at-jobs">{"".join(map(_job, lines))}</div>')
        with st.container(horizontal=True):
            st.space("stretch")
            tables.files(_sheet(one, lines))
    else:
        st.caption(
            "No job of the studio made it: it came with the platform."
            if one.picture
            else "Nothing was asked for yet."
        )


def _version(one: Version) -> str:
    found = thumbnail(one.image_url)
    shown = (
        f'<img alt="" src="data:image/webp;base64,{found}">' if found else "<div>not stored any more</div>"
    )
    note = f"<q>{say(one.review_note)}</q>" if one.review_note else ""
    return (
        f"<figure>{shown}<figcaption><b>{say(one.review_status.capitalize())}</b>"
        f"{say(_VERSION_WHY.get(one.why, one.why))} {say(words.day(one.kept_at))}, {say(words.money(one.cost_usd))}{note}"
        "</figcaption></figure>"
    )


def _job(one: JobLine) -> str:
    cost = words.money(one.spent_usd) if one.has_cost else "nothing written yet"
    tone = {"completed": "good", "failed": "bad", "processing": "accent"}.get(one.status, "calm")
    took = (
        f", took {words.lasted((one.completed_at - one.asked_at).total_seconds())}"
        if one.completed_at and one.completed_at >= one.asked_at
        else ""
    )
    why = (
        f"<small>{say(words.sentence(one.error_message))}</small>"
        if one.error_message and one.status != "completed"
        else ""
    )
    return (
        f'<a href="{say(navigation.href("jobs", job=str(one.job_id)))}" target="_self">{badge(one.status.capitalize(), tone)}'
        f"<span>{say(words.moment(one.asked_at))}{say(took)}{why}</span>"
        f"<span>{say(one.model or words.provider(one.provider))}</span><span>{say(cost)}</span>"
        f"<code>{say(words.short(one.job_id))}</code></a>"
    )


def _sheet(one: CellStatus, lines: Sequence[JobLine]) -> tables.Sheet:
    return tables.Sheet(
        name=f"attribute-jobs-{one.cell.category}",
        columns=("job", "run", "asked_by", "asked", "ended", "status", "stage", "provider", "model", "cost_usd", "error"),
        rows=lambda: [
            (
                line.job_id, line.run_id, line.asked_by, line.asked_at, line.completed_at, line.status, line.stage,
                line.provider, line.model, _cost(line), words.sentence(line.error_message or ""),
            )
            for line in lines
        ],
    )  # fmt: skip


def _cost(line: JobLine) -> str:
    if not line.has_cost:
        return ""
    return "unknown" if line.spent_usd is None else str(line.spent_usd)
