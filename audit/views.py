"""Views under a name, in the side bar of every page: open one, keep what is shown, rename, share or delete one's own.

A view is a page and its address, so opening one is following a link, and a link to it is what anybody can send.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode
from uuid import UUID

import streamlit as st

from audit import redraw, typed
from audit.look import say
from audit.services import person, services
from core import views
from core.db.views import View
from core.errors import StudioError

_NAME = "view_name"
_SHARED = "view_shared"
_EDITED = "view_edited"
_FLASH = "view_flash"
_NEW = "view_new"


def menu(page: str, path: str) -> None:
    """The views of `page`, whose address begins with `path`, folded away in the side bar; the frame calls it once a run."""
    if said := st.session_state.pop(_FLASH, None):
        st.toast(said, icon=":material/bookmark:")
    try:
        known = views.of_page(page, person(), services())
    except StudioError:  # the page itself says what is wrong with the database
        return
    now = _address()
    standing = next((one for one in known if _same(one, now)), None)
    with (
        st.sidebar,
        st.popover(_label(standing, known), icon=":material/bookmark:", width="stretch", key="views"),
    ):
        _known(known, path, standing)
        _keep(page, now, standing)


def _label(standing: View | None, known: Sequence[View]) -> str:
    if standing is not None:
        return f"View: {_plain(standing.name)}"
    return f"Views ({len(known)})" if known else "Views"


def _address() -> str:
    """What the address says now, without a place in a list."""
    parameters = [(name, value) for name in st.query_params for value in st.query_params.get_all(name)]
    return views.address_of(sorted(parameters))


def _same(view: View, address: str) -> bool:
    return urlencode(sorted(views.parameters_of(view))) == address


def _known(known: Sequence[View], path: str, standing: View | None) -> None:
    if not known:
        st.caption(
            "No view of this page is kept yet. Set the filters, give what you see a name, and it stands here."
        )
        return
    for view in known:
        _row(view, path, is_standing=standing is not None and view.id == standing.id)


def _row(view: View, path: str, *, is_standing: bool) -> None:
    own = view.owner == person().id
    with st.container(horizontal=True, vertical_alignment="center", key=f"view_{view.id}", gap="small"):
        st.html(
            f'<a class="au-view" {"aria-current=page" if is_standing else ""} target="_self" '
            f'href="{say(_href(view, path))}">{say(view.name)}<small>{_whose(view, own=own)}</small></a>',
            width="stretch",
        )
        if own:
            st.button(
                "Change",
                key=f"change_{view.id}",
                on_click=_edit,
                args=(view,),
                type="tertiary",
                icon=":material/edit:",
            )
    if own and st.session_state.get(_EDITED) == view.id:
        _change(view)


def _href(view: View, path: str) -> str:
    return f"{path}?{view.address}" if view.address else path


def _whose(view: View, *, own: bool) -> str:
    if own:
        return "yours, shared with the team" if view.shared else "yours"
    return "shared by a colleague"


def _edit(view: View) -> None:
    is_open = st.session_state.get(_EDITED) == view.id
    st.session_state[_EDITED] = None if is_open else view.id
    typed.drop(_form(view.id))


def _form(view_id: UUID) -> str:
    return f"view_{view_id}"


def _change(view: View) -> None:
    typed.begin(_form(view.id), {f"name_{view.id}": view.name, f"shared_{view.id}": view.shared})
    with st.container(border=True, key="view_change"):
        st.text_input("Name", key=f"name_{view.id}", max_chars=views.LONGEST_NAME)
        st.toggle("Shared with the team", key=f"shared_{view.id}")
        typed.tell(_form(view.id))
        with st.container(horizontal=True):
            st.button("Save", key="view_save", type="primary", on_click=_carry_change, args=(view.id,))
            st.button("Delete", key="view_delete", on_click=_remove, args=(view.id,))


def _keep(page: str, address: str, standing: View | None) -> None:
    if standing is not None and standing.owner == person().id:
        return
    typed.begin(_NEW, {_NAME: "", _SHARED: False})
    with st.container(key="view_keep"):
        st.text_input(
            "Keep what is shown as",
            key=_NAME,
            max_chars=views.LONGEST_NAME,
            placeholder="Failures at fal, two days",
        )
        st.toggle("Share it with the team", key=_SHARED)
        typed.tell(_NEW)
        st.button("Keep this view", key="view_new", on_click=_save, args=(page, address), type="primary")


def _save(page: str, address: str) -> None:
    name, shared = str(st.session_state.get(_NAME) or ""), bool(st.session_state.get(_SHARED))
    try:
        kept = views.save(page, name, address, person(), services(), shared=shared)
    except StudioError as error:
        typed.refuse(_NEW, error)
        return
    redraw.ask()
    typed.drop(_NEW)
    st.session_state[_FLASH] = "The view of that name was replaced." if kept.replaced else "The view is kept."


def _carry_change(view_id: UUID) -> None:
    name, shared = st.session_state[f"name_{view_id}"], bool(st.session_state[f"shared_{view_id}"])
    try:
        views.change(view_id, name, person(), services(), shared=shared)
    except StudioError as error:
        typed.refuse(_form(view_id), error)
        return
    typed.drop(_form(view_id))
    st.session_state.update({_EDITED: None, _FLASH: "The view is changed."})


def _remove(view_id: UUID) -> None:
    try:
        views.remove(view_id, person(), services())
    except StudioError as error:
        typed.refuse(_form(view_id), error)
        return
    typed.drop(_form(view_id))
    st.session_state.update({_EDITED: None, _FLASH: "The view is deleted."})


def _plain(name: str) -> str:
    """A name without the signs that Markdown takes for its own."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]()#+-!|<>$:~^" else sign for sign in name)
