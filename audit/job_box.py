"""The box in which people type what they look for: ways on while they type, and words where it cannot be read.

What cannot be read shows no list at all: a filter that is lost must never mean everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from uuid import UUID

import streamlit as st

from audit import redraw
from audit.look import say
from audit.services import person, read
from core.audit import job_filter, job_search, jobs
from core.audit.job_filter import KEYS, ME, TYPES, Field, Query, Suggestion, Unreadable
from core.audit.jobs import JobState
from core.errors import StudioError

KEY = "q"
_MOST_OFFERED = 8
_EXAMPLES = (
    ("status:failed since:2d", "what failed in two days"),
    ("cost>0.1 took>30s", "dear and slow"),
    ("-provider:fal error:STUCK", "stuck, but not at fal"),
    ('"blank" character:Juniper', "words, and a character's name"),
    ("cost:unknown", "nobody knows what it cost"),
)


def draw(*, changed: Callable[[], None]) -> Query | Unreadable:
    """The box, bound to the address as `q`: what it asks for, or why it cannot be read.

    `changed` is called before the page is drawn again with another filter.
    """
    with st.container(key="box", horizontal=True, vertical_alignment="center"):
        text = st.text_input(
            "Find jobs",
            key=KEY,
            bind="query-params",
            persist_state="session",
            placeholder='status:failed provider:fal cost>0.1 since:2d "words"',
            icon=":material/search:",
            label_visibility="collapsed",
            live="350ms",
            on_change=changed,
        )
        with st.popover("How to ask", icon=":material/help:"):
            _explain()
    typed = text or ""
    _offer(typed)
    try:
        return job_filter.parse(typed)
    except Unreadable as wrong:
        return wrong


def refuse(wrong: Unreadable) -> None:
    """Say what cannot be read, where it stands, and what would be."""
    text = str(st.session_state.get(KEY) or "")
    before, part, after = (
        text[: wrong.at],
        text[wrong.at : wrong.at + wrong.length],
        text[wrong.at + wrong.length :],
    )
    with st.container(key="unreadable"):
        st.html(
            f'<div class="au-unreadable" role="alert"><pre>{say(before)}<mark>{say(part or "…")}</mark>{say(after)}</pre>'
            f"<p><b>{say(wrong.sentence)}</b> Expected here: {say(wrong.expected)}{'' if wrong.expected.endswith('…') else '.'}</p>"
            "<p>Nothing is listed until this can be read, so that nobody takes everything for what was asked.</p></div>"
        )
        with st.container(horizontal=True):
            if (better := job_filter.mended(text, wrong)) is not None:
                st.button(
                    f"Did you mean {wrong.nearest}?",
                    key="mend",
                    on_click=_type,
                    args=(better,),
                    type="primary",
                )
            st.button("Empty the box", key="empty_box", on_click=_type, args=("",))


def put(text: str) -> None:
    """Have the box hold `text`; for a button's `on_click`."""
    _type(text)


def _type(text: str) -> None:
    redraw.ask()
    st.session_state[KEY] = text


def _offer(text: str) -> None:
    """Ways on from what is typed, as buttons right behind the box: Tab reaches them, Enter takes one."""
    offered = job_filter.suggestions(text, _known(text), most=_MOST_OFFERED) if text else []
    if not offered:
        return
    with st.container(horizontal=True, key="offered", gap="xsmall"):
        for place, one in enumerate(offered):
            st.button(
                _shown(one),
                key=f"offer_{place}",
                help=one.hint or None,
                on_click=_type,
                args=(one.text,),
                type="tertiary",
            )


def _shown(one: Suggestion) -> str:
    """What people and programs wrote may hold signs that Markdown takes for its own."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]()#+-!|<>$:~^" else sign for sign in one.label)


def _known(text: str) -> Mapping[str, Sequence[str]]:
    """The values that may stand behind the key that is being typed."""
    now = job_filter.typing(text)
    if now.key is None:
        return {}
    try:
        return {now.key: _values(Field(now.key), now.begun, person().id)}
    except StudioError:  # the list itself says what is wrong with the database
        return {}


@st.cache_data(ttl=30, max_entries=500, show_spinner=False)
def _values(key: Field, begun: str, asker: UUID) -> list[str]:  # noqa: ARG001 - what one person may see is cached for them
    if key is Field.character and not begun:
        return []
    return _VALUES[key](begun)


def _of_models(_begun: str, *, providers: bool) -> list[str]:
    known = read(jobs.models)
    return sorted({one.provider if providers else one.display_name for one in known})


_VALUES: Mapping[Field, Callable[[str], list[str]]] = {
    Field.status: lambda _: [str(state) for state in JobState],
    Field.type: lambda _: list(TYPES),
    Field.user: lambda _: [ME],
    Field.job: lambda _: [],
    Field.error: lambda _: read(jobs.error_codes),
    Field.provider: partial(_of_models, providers=True),
    Field.model: partial(_of_models, providers=False),
    Field.character: lambda begun: [name for _, name in read(partial(_names, begun=begun))],
}


def _names(conn: job_search.Connection, *, begun: str) -> list[tuple[UUID, str]]:
    return job_search.named(conn, begun, limit=_MOST_OFFERED)


def _explain() -> None:
    keys = "".join(f"<dt>{say(key)}</dt><dd>{say(what)}</dd>" for key, what in KEYS.items())
    st.html(
        '<div class="au-ask"><p>Terms stand together. Several values behind one key: <code>status:failed,queued</code>. '
        "A minus turns a term round: <code>-provider:fal</code>. Plain words are looked for in errors, prompts, "
        f"characters' names and job ids.</p><dl>{keys}</dl></div>"
    )
    for text, meaning in _EXAMPLES:
        st.button(
            f"`{text}`  {meaning}", key=f"example_{text}", on_click=_type, args=(text,), type="tertiary"
        )
