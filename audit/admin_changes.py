"""What was changed on the settings page, newest first, with its undo where everything still stands as the change left it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import streamlit as st

from audit import activity_words, admin, admin_retention, colleagues, look, navigation, words
from audit.asking import told
from audit.look import say
from audit.services import person, services
from core import budgets
from core.admin import changes, keeping
from core.admin.keeping import Kept
from core.audit import activity
from core.audit.activity import Event
from core.authority import Action
from core.errors import StudioError
from core.options import Option


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What stands on the page now."""

    budgets: Sequence[budgets.Standing]
    options: Sequence[Option]
    kept: Sequence[Kept]


def draw(now: Standing) -> None:
    """The section: the newest changes."""
    st.subheader("What was changed", anchor=False)
    try:
        found = changes.listing(person(), services())
    except StudioError as error:
        told(error)
        return
    if not found:
        st.caption("Nothing was changed here yet.")
        return
    known = colleagues.names()
    for event in found:
        _line(event, now, known)
    navigation.link("activity", "The whole record: Activity")
    look.as_of(datetime.now(UTC))


def _line(event: Event, now: Standing, known: colleagues.Names) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"event_{event.id}"):
        st.html(_told(event, known), width="stretch")
        key, label = f"undo_{event.id}", "Undo"
        if _can_undo_at_once(event, now):
            st.button(label, key=key, type="tertiary", icon=":material/undo:", on_click=_undo, args=(event,))
        elif admin.allows(Action.set_retention) and keeping.can_undo(event, now.kept):
            st.button(
                label,
                key=key,
                type="tertiary",
                icon=":material/undo:",
                on_click=admin_retention.ask_undo,
                args=(event,),
            )


def _can_undo_at_once(event: Event, now: Standing) -> bool:
    if event.table_name == changes.BUDGETS:
        return admin.allows(Action.set_budgets) and changes.can_undo_budget(event, now.budgets)
    if event.table_name == changes.OPTIONS:
        return admin.allows(Action.change_options) and changes.can_undo_option(event, now.options)
    return False


def _undo(event: Event) -> None:
    def act() -> str:
        if event.table_name == changes.BUDGETS:
            changes.undo_budget(event, person(), services())
        else:
            changes.undo_option(event, person(), services())
        return "It stands as before."

    admin.attempt(act)


def _told(event: Event, known: colleagues.Names) -> str:
    why = f"<em>{say(event.why)}</em>" if event.why else ""
    who = colleagues.called(event.who, known, nobody="the studio")
    return (
        f'<div class="ad-row"><b>{say(activity_words.action(event.action))}{say(_of(event, known))}</b>'
        f"<span>{say(words.moment(event.at))}, {say(who)}</span>{_said(event)}{why}</div>"
    )


def _of(event: Event, known: colleagues.Names) -> str:
    """What it is about: ": Ana, a month"."""
    if event.table_name == changes.KEPT:
        return f": {admin_retention.title(event.row_id or '')}"
    if event.table_name == changes.OPTIONS:
        return f": {(event.row_id or '').replace('/', ', ')}"
    row = event.after or event.before or {}
    of = row.get("user_id")
    whose = next((name for who, name in known.items() if str(who) == of), str(of)[:8]) if of else "everybody"
    return f": {whose}, a {row.get('period')}"


def _said(event: Event) -> str:
    if event.table_name == changes.KEPT:
        old, new = (admin_retention.days_words(one) for one in (keeping.before(event), keeping.after(event)))
        return f"<span><del>{say(old)}</del> → <ins>{say(new)}</ins></span>"
    if event.table_name == changes.BUDGETS:
        old, new = (_budget_words(row) for row in (event.before, event.after))
        return f"<span><del>{say(old)}</del> → <ins>{say(new)}</ins></span>"
    if event.before is None:  # an option that was added
        return f"<span>{say((event.after or {}).get('label') or '')}</span>"
    return "".join(admin.change_words(change) for change in activity.changes(event))


def _budget_words(row: Mapping[str, object] | None) -> str:
    if row is None:
        return "none"
    limits = changes.limits_said(row)
    reserve = "" if limits.reserve_usd is None else f", a reserve of {words.money(limits.reserve_usd)}"
    return f"{words.money(limits.limit_usd)}{reserve}, {'refuses' if row.get('hard') else 'warns only'}"
