"""The rooms of the dashboard, their order, and the filters each of them reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import streamlit as st

from audit import account, filters, look, typed, views
from audit.asking import told
from audit.filters import Filter
from audit.services import base, person
from core.authority import Action, may, refusal
from core.errors import NotSignedIn, StudioError
from core.values import Person

HOUSE = Path(__file__).parents[1]
MARK = str(HOUSE / "studio" / "assets" / "favicon.svg")
_PAGES = "pages_by_name"
FIRST = "overview"  # the room without an address of its own


@dataclass(frozen=True, kw_only=True)
class Room:
    """One page: its script in audit/pages/ (which is its address too), what it is called, and the shared filters it reads.

    `asks`: what one must be allowed to be shown the way here. The page itself refuses, whichever way one came.
    """

    name: str
    title: str
    icon: str
    reads: tuple[Filter, ...] = ()
    asks: Action = Action.use_studio


_F, _A = Filter, Action
ROOMS: dict[str, tuple[Room, ...]] = {
    "Health": (
        Room(name="overview", title="Overview", icon="monitor_heart", reads=(_F.live,), asks=_A.see_health),
        Room(
            name="jobs",
            title="Jobs",
            icon="list_alt",
            reads=(_F.period, _F.provider, _F.model, _F.person, _F.kind, _F.live),
        ),
        Room(
            name="stuck",
            title="Stuck jobs",
            icon="hourglass_disabled",
            reads=(_F.provider, _F.model, _F.live),
            asks=_A.see_everybodys,
        ),
        Room(
            name="autosave",
            title="Auto-save",
            icon="verified",
            reads=(_F.period, _F.provider, _F.model, _F.person, _F.live),
        ),
        Room(
            name="findings", title="Findings", icon="troubleshoot", reads=(_F.live,), asks=_A.see_everybodys
        ),
    ),
    "Pictures": (
        Room(name="library", title="Library", icon="photo_library", asks=_A.see_everybodys),
        Room(
            name="attributes",
            title="Attribute images",
            icon="grid_view",
            reads=(_F.live,),
            asks=_A.see_attribute_images,
        ),
        Room(name="qa", title="QA sample", icon="rate_review", asks=_A.judge_samples),
    ),
    "Record": (
        Room(
            name="costs",
            title="Costs",
            icon="payments",
            reads=(_F.span, _F.provider, _F.model, _F.person, _F.kind),
        ),
        Room(
            name="activity",
            title="Activity",
            icon="history",
            reads=(_F.period, _F.person),
            asks=_A.see_activity,
        ),
        Room(name="system", title="System", icon="dns", reads=(_F.live,)),
    ),
    "Admin": (
        Room(name="people", title="People", icon="group", asks=_A.see_people),
        Room(name="models", title="Models", icon="tune", asks=_A.see_settings),
        Room(name="providers", title="Providers", icon="hub", reads=(_F.live,), asks=_A.see_settings),
        Room(name="settings", title="Settings", icon="settings", asks=_A.see_settings),
    ),
}


def run(first: str = FIRST) -> None:
    """Draw the frame and the page of the address; `first` is the one without an address of its own."""
    st.set_page_config(page_title="Portrait Studio audit", page_icon=MARK, layout="wide")
    typed.hold()
    look.dress()
    st.logo(MARK, size="large")
    asker = _asker()
    pages = {room.name: _page(room, first, asker) for members in ROOMS.values() for room in members}
    st.session_state[_PAGES] = pages
    page = st.navigation(
        {group: [pages[room.name] for room in members] for group, members in ROOMS.items()}, expanded=True
    )
    if page is pages[FIRST] and "job" in st.query_params:  # a bookmark from when the dashboard had one page
        st.switch_page(pages["jobs"], query_params=st.query_params.to_dict())
    room = _room(page.title)
    known = _refuse_strangers(room, asker)
    account.menu(known)
    views.menu(room.name, href(room.name))
    above = st.container()
    if not filters.draw(room.reads):  # without them a list would show more than was asked for
        with above:
            look.head(room.title)
        st.stop()
    page.run()


def _asker() -> Person | StudioError:
    """Who is asking, or why that is not known: the page says it once its frame stands."""
    try:
        return person()
    except StudioError as error:
        return error


def _refuse_strangers(room: Room, asker: Person | StudioError) -> Person:
    """Who is asking; the run ends where nobody may be let in, or the person has no role here."""
    if isinstance(asker, NotSignedIn):
        account.signed_out(asker, href(room.name), urlencode(st.query_params.to_dict()))
        st.stop()
    if isinstance(asker, StudioError):
        told(asker)
        st.stop()
    if not may(asker, Action.use_studio):
        look.nothing("For the team", refusal(Action.use_studio))
        st.stop()
    return asker


def _page(room: Room, first: str, asker: Person | StudioError) -> st.Page:
    is_offered = isinstance(asker, StudioError) or may(asker, room.asks)
    return st.Page(
        HOUSE / "audit" / "pages" / f"{room.name}.py",
        title=room.title,
        icon=f":material/{room.icon}:",
        url_path=room.name,
        default=room.name == first,
        visibility="visible" if is_offered else "hidden",
    )


def _room(title: str) -> Room:
    return next(room for members in ROOMS.values() for room in members if room.title == title)


def link(name: str, label: str, **address: str) -> None:
    """A link to the page `name` with what it should show in its address, such as q="status:failed"."""
    st.page_link(st.session_state[_PAGES][name], label=label, query_params=address)


def href(name: str, **address: str) -> str:
    """The address of the page `name` as a link inside our own HTML; its values are quoted."""
    path = f"{base()}/" if name == FIRST else f"{base()}/{name}"
    return f"{path}?{urlencode(address)}" if address else path
