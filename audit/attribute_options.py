"""Values and styles of the character-creation form: switched on and off, and added without code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby

import streamlit as st

from audit import attribute_review, redraw, tables, typed, words
from audit.asking import asked
from audit.look import as_of, say
from audit.services import person, services
from core import options
from core.errors import StudioError
from core.options import NewOption, Option
from core.values import STYLE_IMAGE

_FORM = "option_form"
_FIELDS = ("option_value", "option_label", "option_words", "option_aliases", "option_tags")


def draw() -> None:
    """Every option by category, and the form for a new one."""
    found = asked(lambda conn: options.listing(conn, services().catalog))
    if found is None:
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        for category, group in groupby(found, key=lambda one: one.category_label):
            _group(category, list(group))
        with st.container(horizontal=True):
            as_of(datetime.now(UTC))
            st.space("stretch")
            tables.files(_sheet(found))
    with right:
        _form(found)


def _group(label: str, found: Sequence[Option]) -> None:
    st.html(f'<h2 class="at-group">{say(label)}</h2>')
    with st.container(key=f"opts_{label.lower()}"):
        for one in found:
            _line(one)


def _line(one: Option) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"opt_{_key(one)}"):
        st.html(_told(one), width="stretch")
        if attribute_review.is_maker():
            # A button and no switch: Streamlit calls a switch's on_change also when its page is left.
            st.button(
                "Switch off" if one.active else "Switch on",
                key=_switch_key(one),
                icon=f":material/{'toggle_on' if one.active else 'toggle_off'}:",
                type="tertiary",
                on_click=_switch,
                args=(one,),
            )


def _told(one: Option) -> str:
    aliases = f" Also called {', '.join(one.aliases)}." if one.aliases else ""
    changed = (
        f" {'Switched' if one.is_shipped else 'Added or switched'} {words.day(one.changed_at)}."
        if one.changed_at
        else ""
    )
    origin = "" if one.is_shipped else "<em>added by the team</em>"
    off = "" if one.active else "<em>not required</em>"
    return (
        f'<div class="at-option"><b>{say(one.label)}{origin}{off}</b>'
        f"<span>{say(one.words)}.{say(aliases)}{say(changed)}</span></div>"
    )


def _key(one: Option) -> str:
    return f"{one.category}_{one.value}".encode().hex()


def _switch_key(one: Option) -> str:
    return f"switch_{_key(one)}_{one.active}"


def _switch(one: Option) -> None:
    try:
        options.switch(one.category, one.value, person(), services(), active=not one.active)
    except StudioError as error:
        attribute_review.refuse_next(error)
        return
    if one.active:
        attribute_review.say_next(f"{one.label} is switched off: its pictures are not required.")
    else:
        attribute_review.say_next(f"{one.label} is offered again.")


def _form(found: Sequence[Option]) -> None:
    st.subheader("Add one", anchor=False)
    if not attribute_review.is_maker():
        st.caption("Product and admin add options.")
        return
    st.fragment(_fields)({one.category: one.category_label for one in found})
    st.caption(
        "It is wanted at once: its pictures are missing until they are made, and the studio, the create page and the "
        "command line know it. Every option shows an adult, fully clothed."
    )


def _fields(kinds: Mapping[str, str]) -> None:
    """The form by itself: where it is refused, nothing else is drawn again."""
    redraw.heed()
    typed.begin(_FORM, {"option_kind": next(iter(kinds)), **dict.fromkeys(_FIELDS, "")})
    with st.form(_FORM, border=True):
        st.selectbox("Kind", list(kinds), format_func=kinds.__getitem__, key="option_kind")
        st.text_input("Name", key="option_value", max_chars=40, placeholder="90s, Wiry, watercolour …")
        st.text_input(
            "Label", key="option_label", max_chars=60, placeholder="As the form shows it; else the name"
        )
        st.text_area(
            "Words for the picture",
            key="option_words",
            max_chars=200,
            height=90,
            placeholder="an adult in their nineties, white hair, deeply lined face",
            help="What the prompt says of it. Adult and fully clothed is said anyway.",
        )
        st.text_input(
            "Older names",
            key="option_aliases",
            placeholder="Separated by commas; their pictures count for it",
        )
        st.text_input(
            "Tags for the character", key="option_tags", placeholder="Separated by commas; else the label"
        )
        typed.tell(_FORM)
        st.form_submit_button("Add", type="primary", icon=":material/add:", on_click=_add, key="option_add")


def _add() -> None:
    state = st.session_state
    value, label, said, aliases, tags = (str(state.get(name) or "") for name in _FIELDS)
    wanted = NewOption(
        category=str(state.get("option_kind") or ""),
        value=value,
        label=label,
        words=said,
        aliases=_split(aliases),
        tags=_split(tags),
    )

    def act() -> None:
        added = options.add(wanted, person(), services())
        kind = "style" if added.category == STYLE_IMAGE else added.category_label.lower()
        attribute_review.say_next(f"{added.label} is added to {kind}. Its pictures are missing now.")

    typed.attempt(_FORM, act)


def _split(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in text.split(","))))


def _sheet(found: Sequence[Option]) -> tables.Sheet:
    return tables.Sheet(
        name="attribute-options",
        columns=("category", "value", "label", "words", "aliases", "offered", "shipped", "changed_by", "changed_at"),
        rows=lambda: [
            (
                one.category, one.value, one.label, one.words, one.aliases, one.active, one.is_shipped, one.changed_by,
                one.changed_at,
            )
            for one in found
        ],
    )  # fmt: skip
