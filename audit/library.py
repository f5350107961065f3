"""Library: rows against objects. How old the last scan is, what it found by section, and what can be done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from uuid import UUID

import streamlit as st

from audit import bulk, library_coverage, library_finds, look, paging, redraw, words
from audit.asking import asked
from audit.look import nothing, say
from audit.services import any_worker, person, services
from core import stock
from core.audit import library
from core.audit.jobs import Counted
from core.audit.library import Count, Deadlines, Scan
from core.authority import Action, may, refusal
from core.errors import StudioError
from core.stock import Kind

EVERY = 3  # seconds between two looks while a scan is asked for or goes on
SECTION = "section"  # in the address
CHARACTER = "character"
KINDS = ("repair_library", "bin_library", "accept_library")  # of bulk actions
_FLASH = "library_flash"
_STAGES: Mapping[str, str] = {
    "objects": "listing the store",
    "rows": "reading the rows",
    "hashes": "comparing bytes",
    "pictures": "opening pictures",
    "blanks": "looking for blank pictures",
    "strays": "looking for objects without a row",
    "twins": "comparing pictures",
}


@dataclass(frozen=True, kw_only=True)
class Section:
    """Findings that are looked at together; `means` is what they have in common."""

    name: str
    title: str
    kinds: tuple[Kind, ...]
    means: str
    tone: str = ""


COVERAGE = Section(
    name="coverage",
    title="Characters",
    kinds=(),
    means="Each character’s portraits, how many lie saved in the library, and what is missing.",
)
SECTIONS: Mapping[str, Section] = MappingProxyType(
    {
        section.name: section
        for section in (
            Section(
                name="missing",
                title="Missing objects",
                kinds=(Kind.object_missing,),
                means="A row names a picture, and the store has no such object. A repair fetches its bytes again.",
                tone="red",
            ),
            Section(
                name="strays",
                title="Without a row",
                kinds=(Kind.object_without_row,),
                means="No row names these objects. One that tells its job is adopted; for the others a person decides.",
                tone="yellow",
            ),
            Section(
                name="differs",
                title="Size or hash differs",
                kinds=(Kind.size_differs, Kind.hash_differs),
                means="The object is not what its row records. A repair corrects the record or brings the bytes back.",
                tone="red",
            ),
            Section(
                name="thumbnails",
                title="No thumbnail",
                kinds=(Kind.thumbnail_missing,),
                means="The picture is there and its thumbnail is not. A repair makes it again.",
            ),
            Section(
                name="twice",
                title="There twice",
                kinds=(Kind.same_bytes, Kind.look_alike),
                means="The same bytes twice, or two files that look the same. A person decides which stays.",
            ),
            Section(
                name="broken",
                title="Blank or broken",
                kinds=(Kind.blank, Kind.corrupt),
                means="One colour only, or no picture at all. A person decides.",
                tone="yellow",
            ),
            Section(
                name="links",
                title="Stored links",
                kinds=(Kind.external_link, Kind.own_link, Kind.no_address),
                means="A row holds a link where an address should stand. Links die; a repair puts the picture in its place.",
                tone="yellow",
            ),
        )
    }
)


def draw() -> None:
    """The whole page."""
    look.head(
        "Library",
        "Rows against objects: what is missing, what lies about, and what will vanish, and its repair.",
    )
    if not may(person(), Action.see_everybodys):
        nothing("Not for this role", refusal(Action.see_everybodys))
        return
    if said := st.session_state.pop(_FLASH, None):
        st.toast(said, icon=":material/check_circle:")
    bulk.panel(KINDS)
    scans = asked(partial(library.scans, limit=2))
    if scans is None:
        return
    is_open = bool(scans) and scans[0].finished_at is None
    st.fragment(_scanned, run_every=EVERY if is_open else None)(scans)
    counted = asked(library.counts)
    ends = asked(library.deadlines)
    if counted is None or ends is None:
        return
    known = asked(library.characters)
    if known is None:
        return
    if _is_unknown():
        return
    section, character_id = _chosen()
    by_kind = {one.kind: one for one in counted}
    _sections(
        by_kind, Counted(number=known[0], more=known[1]), section, was_scanned=_ended(scans) is not None
    )
    look.as_of(datetime.now(UTC), _ages(scans, by_kind))
    if section is COVERAGE:
        library_coverage.draw(show_character)
    else:
        _section(section, character_id, ends, _ended(scans))


def _chosen() -> tuple[Section, UUID | None]:
    """What the address names; the first section with a character, else the characters."""
    named = SECTIONS.get(st.query_params.get(SECTION, ""), COVERAGE)
    try:
        character_id = UUID(st.query_params[CHARACTER])
    except (KeyError, ValueError):
        return named, None
    everything = Section(
        name="character",
        title="One character",
        kinds=tuple(Kind),
        means="Everything the last scan found of this character.",
    )
    return everything, character_id


def _is_unknown() -> bool:
    """True where the address names what is neither a section nor a character, which is said then."""
    section, character = st.query_params.get(SECTION, ""), st.query_params.get(CHARACTER, "")
    try:
        UUID(character or "0" * 32)
    except ValueError:
        wrong = character
    else:
        wrong = "" if section in {"", COVERAGE.name, *SECTIONS} else section
    if not wrong:
        return False
    with st.container(key="nothing", horizontal_alignment="center"):
        nothing("No such part", f"“{wrong[:60]}” is no part of this page, so nothing is listed.")
        st.button("Show the characters", key="library_known", on_click=show, args=(COVERAGE.name,))
    return True


def show(section: str) -> None:
    """Look at a section; for a button's `on_click`."""
    redraw.ask()
    paging.go()
    st.query_params.pop(CHARACTER, None)
    st.query_params[SECTION] = section


def show_character(character_id: UUID) -> None:
    """Look at all that was found of a character; for a button's `on_click`."""
    redraw.ask()
    paging.go()
    st.query_params[CHARACTER] = str(character_id)


# -- the scan ---------------------------------------------------------------------------------------------------------


def _ended(scans: Sequence[Scan]) -> Scan | None:
    return next((one for one in scans if one.finished_at is not None), None)


def _scanned(drawn: Sequence[Scan]) -> None:
    """How old the last scan is and how far the next one; drawn anew while one goes on."""
    redraw.heed()
    scans = asked(partial(library.scans, limit=2))
    if scans is None:
        return
    if [one.finished_at for one in scans] != [one.finished_at for one in drawn]:
        st.rerun(scope="app")  # what it found is another list now
    running = scans[0] if scans and scans[0].finished_at is None else None
    with st.container(horizontal=True, vertical_alignment="center", key="library_scan"):
        st.html(f'<div class="au-scan">{_scan_words(running, _ended(scans))}</div>', width="stretch")
        if may(person(), Action.scan_library):
            st.button(
                "Scan now",
                key="library_scan_now",
                icon=":material/refresh:",
                disabled=running is not None,
                on_click=_ask_scan,
            )
    if running is not None and asked(any_worker) is False:
        st.info(
            "**No worker is running.** The scan begins when the studio or a worker starts.",
            icon=":material/schedule:",
        )


def _scan_words(running: Scan | None, ended: Scan | None) -> str:
    said = _ended_words(ended)
    if running is None:
        return said
    if running.trouble:
        return f"<p><b>The scan does not go on.</b> {say(running.trouble)}</p>{said}"
    if running.started_at is None:
        return f"<p><b>A scan is asked for.</b> A worker begins it within a minute.</p>{said}"
    share = min(running.looked_at / running.expected, 1) if running.expected else None
    done = f"{running.looked_at:,} looked at" + (f", about {share:.0%}" if share is not None else "")
    bar = f'<i style="width:{share:.1%}"></i>' if share is not None else '<i class="au-unsure"></i>'
    stage = _STAGES.get(running.stage, "at work")
    return f'<p><b>Scanning: {say(stage)}.</b> {say(done)}.</p><div class="au-scanbar">{bar}</div>'


def _ended_words(ended: Scan | None) -> str:
    if ended is None or ended.finished_at is None:
        return "<p><b>Never scanned.</b> Nothing is known yet of rows and objects.</p>"
    age = words.lasted((datetime.now(UTC) - ended.finished_at).total_seconds())
    unread = f" {ended.unread:,} did not answer." if ended.unread else ""
    binned = f" {ended.binned:,} lie in the bin." if ended.binned else ""
    return (
        f"<p><b>Scanned {say(age)} ago.</b> {ended.objects:,} objects, {say(words.size(ended.bytes))}; "
        f"{ended.rows:,} rows; {ended.read:,} objects read.{say(unread)}{say(binned)}</p>"
    )


def _ask_scan() -> None:
    redraw.ask()
    try:
        stock.ask(person(), services())
    except StudioError as error:
        st.session_state[_FLASH] = error.sentence


def _ages(scans: Sequence[Scan], counted: Mapping[str, Count]) -> str:
    ended = _ended(scans)
    if ended is None or ended.finished_at is None:
        return ""
    bound = (
        f" Counted to {library.MOST_COUNTED:,} a kind." if any(one.more for one in counted.values()) else ""
    )
    return f"Findings are those of the scan that ended {words.moment(ended.finished_at)}.{bound}"


# -- the sections -----------------------------------------------------------------------------------------------------


def _sections(counted: Mapping[str, Count], known: Counted, chosen: Section, *, was_scanned: bool) -> None:
    with st.container(horizontal=True, key="library_counts"):
        _way(COVERAGE, known, chosen)
        for section in SECTIONS.values():
            number = _sum([counted[kind] for kind in section.kinds if kind in counted])
            _way(section, number if was_scanned or number.number else None, chosen)


def _way(section: Section, number: Counted | None, chosen: Section) -> None:
    """How many stand in a section, None where nobody ever looked, and the way to see them."""
    said = "**?**" if number is None else f"**{words.count(number)}**"
    colour = section.tone if number and number.number else "gray"
    st.button(
        f"{f':{colour}[{said}]' if colour else said} {section.title}",
        key=f"library_{section.name}",
        type="primary" if section.name == chosen.name else "secondary",
        help=section.means,
        on_click=show,
        args=(section.name,),
    )


def _sum(counts: Sequence[Count]) -> Counted:
    return Counted(number=sum(one.number for one in counts), more=any(one.more for one in counts))


def _section(section: Section, character_id: UUID | None, ends: Deadlines, ended: Scan | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="library_section"):
        st.html(
            f'<div class="au-section"><h2>{say(section.title)}</h2><p>{say(section.means)}</p></div>',
            width="stretch",
        )
        if character_id is not None:
            st.button("All characters", key="library_back", on_click=show, args=("",), type="tertiary")
    if section.name == "links":
        _deadlines(ends)
    library_finds.draw(section.name, section.kinds, character_id, was_scanned=ended is not None)


def _deadlines(ends: Deadlines) -> None:
    if not (ends.dead or ends.nearest):
        return
    dead = f"<b>{ends.dead:,} {'is' if ends.dead == 1 else 'are'} dead already.</b> " if ends.dead else ""
    left = (ends.nearest - datetime.now(UTC)).total_seconds() if ends.nearest else None
    more = f"The next one dies in {words.lasted(left)}; {ends.within_a_day:,} within a day." if left else ""
    st.html(f'<p class="au-unknown au-deadlines">{dead}{say(more)}</p>')
