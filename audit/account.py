"""Who is signed in, and the way out; and what a page shows whose person was signed out meanwhile."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

import streamlit as st

from audit import look, sockets, ways_out
from audit.look import say
from audit.services import services, signs_in
from core.api.sign_in import sign_in_address
from core.errors import NotSignedIn
from core.values import Person, Role

LEAVING: Final = Path(__file__).with_name("signed_out.js")
WORDS: Final = {Role.editor: "Editor", Role.qa: "QA", Role.product: "Product", Role.admin: "Admin"}


def menu(known: Person) -> None:
    """Name and roles of who is signed in, and the ways out, in the side bar. Nothing where nobody signs in."""
    conn = sockets.of_page(st.context.headers)
    if conn is None or not signs_in():
        return
    name = known.name or "Somebody of the team"
    roles = ", ".join(WORDS[role] for role in Role if role in known.roles)
    st.sidebar.html(
        f'<div class="au-account"><span aria-hidden="true">{say(_initials(name))}</span>'
        f'<p title="{say(name)}"><b>{say(name)}</b><small>{say(roles)}</small></p>'
        f"{ways_out.forms(conn, services())}</div>"
        f"<script>{_leaving()}</script>",
        unsafe_allow_javascript=True,  # ours; what the person may have written is escaped
    )


def _initials(name: str) -> str:
    parts = [part for part in re.split(r"[\s._-]+", name.partition("@")[0]) if part]
    return "".join(part[0].upper() for part in parts[:2])


@cache
def _leaving() -> str:
    return LEAVING.read_text("utf-8")


def signed_out(error: NotSignedIn, path: str, query: str) -> None:
    """Instead of a page: its person is signed out, and where they sign in to come back to it."""
    look.nothing("You are signed out", error.sentence)
    st.html(
        f'<p class="au-way-in"><a href="{say(sign_in_address(path, query))}" target="_self">Sign in</a></p>'
    )
