"""Settings that are rows: budgets, a team's own options of the character-creation form, and what is kept how long; what was
changed of them, and its undo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from uuid import UUID

import streamlit as st

from audit import admin, admin_changes, admin_retention, colleagues, look, navigation, words
from audit.admin import Question
from audit.asking import asked, told
from audit.look import badge, say
from audit.services import person, read, services
from core import budgets, options
from core.authority import Action
from core.budgets import Period, Standing
from core.errors import BadRequest, StudioError
from core.options import NewOption, Option
from core.values import PersonId

_BUDGET, _REMOVE, _OPTION = "set_budget", "remove_budget", "change_option"
_EVERYBODY = "everybody"
_REFUSE, _WARN = "Refuse", "Warn only"
_EDITED = "edited_option"
_SEEN_BUDGET = "seen_budget"


def draw() -> None:
    """The whole page."""
    if admin.refuses("Settings", Action.see_settings):
        return
    admin.flash()
    look.head(
        "Settings",
        "What is kept in the database and counts at once. Settings of an installation, such as keys and addresses, stand "
        "on the System page and are changed where the studio runs.",
    )
    left, right = st.columns(2, gap="large")
    with left:
        found = _budgets()
        kept = admin_retention.draw()
    with right:
        known = _options()
    admin_changes.draw(admin_changes.Standing(budgets=found, options=known, kept=kept))


# -- budgets ----------------------------------------------------------------------------------------------------------


def _budgets() -> Sequence[Standing]:
    """Draws them; what there is."""
    st.subheader("Budgets", anchor=False)
    try:
        found = budgets.listing(person(), services())
    except StudioError as error:
        told(error)
        return ()
    if not found:
        st.caption("No budget is set, so nothing limits spending.")
    known = colleagues.names()
    for one in found:
        _budget(one, known)
    with st.container(horizontal=True, vertical_alignment="center"):
        if admin.allows(Action.set_budgets):
            st.button("Set a budget", icon=":material/add:", key=_BUDGET, on_click=admin.ask, args=(_BUDGET,))
        navigation.link("costs", "How they stand and how they will end: Costs")
    look.as_of(datetime.now(UTC))
    admin.settle({_BUDGET: partial(_setting, found, known), _REMOVE: partial(_removing, found, known)})
    return found


def _budget(one: Standing, known: colleagues.Names) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"budget_line_{one.id.hex}"):
        used = one.spent + one.held
        tone = "bad" if used >= one.limit_usd else "good"
        kind = "refuses what goes beyond" if one.hard else "warns only"
        reserve = (
            "" if one.reserve_usd is None else f"; an unknown price holds {words.money(one.reserve_usd)}"
        )
        st.html(
            f'<div class="ad-row"><b>{say(_whose(one, known))}, {say(words.money(one.limit_usd))} a {say(one.period)}'
            f"{badge(f'{words.money(used)} used', tone)}</b><span>{say(kind)}{say(reserve)}</span></div>",
            width="stretch",
        )
        if admin.allows(Action.set_budgets):
            about = str(one.id)
            st.button("Change", key=f"change_{one.id.hex}", type="tertiary", on_click=_change, args=(one,))
            st.button(
                "Remove",
                key=f"remove_{one.id.hex}",
                type="tertiary",
                on_click=admin.ask,
                args=(_REMOVE, about),
            )


def _change(one: Standing) -> None:
    """Open the form with the budget as it stood beside the button."""
    st.session_state[_SEEN_BUDGET] = one
    admin.ask(_BUDGET, str(one.id))


def _whose(one: Standing, known: colleagues.Names) -> str:
    return "Everybody" if one.user_id is None else known.get(one.user_id, words.short(one.user_id))


def _setting(found: Sequence[Standing], known: colleagues.Names, about: str) -> Question | None:
    held = st.session_state.get(_SEEN_BUDGET)
    old = held if isinstance(held, Standing) and str(held.id) == about else None
    old = old or next((one for one in found if str(one.id) == about), None)
    if about and old is None:
        return None
    admin.seen(old)

    def act(why: str) -> str:
        return _save_budget(_typed_budget(old), admin.seen(old), why)

    def look_again() -> str:
        wanted = _typed_budget(old)
        now = next((one for one in budgets.listing(person(), services()) if wanted.is_of(one)), None)
        admin.looked_at(now)
        return _stands(now)

    return Question(
        title="Change the budget" if old else "Set a budget",
        yes="Save",
        asks=lambda: _ask_budget(old, known),
        act=act,
        example="The campaign in December.",
        fields=_as_typed(old),
        look_again=look_again,
    )


@dataclass(frozen=True, kw_only=True)
class _TypedBudget:
    """Which budget the form is about."""

    of: PersonId | None
    period: Period
    hard: bool

    def is_of(self, one: Standing) -> bool:
        return (one.user_id, one.period, one.hard) == (self.of, self.period, self.hard)


def _typed_budget(old: Standing | None) -> _TypedBudget:
    if old is not None:
        return _TypedBudget(of=old.user_id, period=Period(old.period), hard=old.hard)
    state = st.session_state
    whose = str(state.get("budget_of") or _EVERYBODY)
    return _TypedBudget(
        of=None if whose == _EVERYBODY else PersonId(UUID(whose)),
        period=Period(str(state.get("budget_period") or Period.day)),
        hard=state.get("budget_hard") == _REFUSE,
    )


def _as_typed(old: Standing | None) -> dict[str, object]:
    """How the fields begin."""
    money = {
        "budget_limit": "" if old is None else f"{old.limit_usd:.2f}",
        "budget_reserve": "" if old is None or old.reserve_usd is None else f"{old.reserve_usd:.2f}",
    }
    if old is not None:
        return {**money}
    return {**money, "budget_of": _EVERYBODY, "budget_period": str(Period.day), "budget_hard": _REFUSE}


def _stands(now: Standing | None) -> str:
    if now is None:
        return "there is no such budget any more."
    reserve = "no reserve" if now.reserve_usd is None else f"a reserve of {words.money(now.reserve_usd)}"
    return f"{words.money(now.limit_usd)} a {now.period}, {reserve}."


def _ask_budget(old: Standing | None, known: colleagues.Names) -> None:
    if old is None:
        people = {_EVERYBODY: "Everybody", **{str(one): name for one, name in known.items()}}
        chosen = str(st.session_state.get("budget_of") or _EVERYBODY)
        people.setdefault(chosen, words.short(chosen))  # names could not be read now
        st.selectbox("Whose", list(people), format_func=people.__getitem__, key="budget_of")
        st.selectbox(
            "Counted by", [str(one) for one in Period], key="budget_period", help="Days and months of UTC."
        )
        st.radio("Beyond it", [_REFUSE, _WARN], key="budget_hard", horizontal=True)
    else:
        st.write(
            f"**{look.plain(_whose(old, known))}**, a {old.period}, {'refuses' if old.hard else 'warns only'}."
        )
    st.text_input("Limit, dollars", key="budget_limit", max_chars=12)
    st.text_input(
        "Reserve for an unknown price, dollars",
        key="budget_reserve",
        max_chars=12,
        help="Without one a budget that refuses also refuses models whose price is not known.",
    )


def _save_budget(wanted: _TypedBudget, seen: Standing | None, why: str) -> str:
    """Raises BadRequest where an amount is none, or the reason is missing; Conflict where a colleague was faster."""
    state = st.session_state
    reserve_text = str(state.get("budget_reserve") or "").strip()
    budgets.change(
        seen,
        _dollars(str(state.get("budget_limit") or ""), "limit_usd"),
        wanted.period,
        person(),
        services(),
        of=wanted.of,
        hard=wanted.hard,
        reserve_usd=_dollars(reserve_text, "reserve_usd") if reserve_text else None,
        why=why,
    )
    return "The budget is set. It counts from the next click on."


def _dollars(text: str, field: str) -> Decimal:
    """An amount as it was typed. Raises BadRequest."""
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation as error:
        raise BadRequest("Write an amount as a number of dollars, such as 0.50.", field=field) from error
    if not amount.is_finite():
        raise BadRequest("Write an amount as a number of dollars, such as 0.50.", field=field)
    return amount


def _removing(found: Sequence[Standing], known: colleagues.Names, about: str) -> Question | None:
    one = next((each for each in found if str(each.id) == about), None)
    if one is None:
        return None
    admin.seen(one)

    def act(why: str) -> str:
        if not why:
            raise BadRequest("Say why: the record keeps it beside the change.", field="why")
        budgets.remove_seen(admin.seen(one), person(), services(), why=why)
        return "The budget is removed."

    def look_again() -> str:
        now = next((each for each in budgets.listing(person(), services()) if each.id == one.id), None)
        if now is not None:
            admin.looked_at(now)
        return _stands(now)

    return Question(
        title="Remove this budget",
        yes="Remove it",
        asks=lambda: st.write(
            f"**{look.plain(_whose(one, known))}** may then spend without this limit, from the next click on."
        ),
        act=act,
        example="Replaced by the shared one.",
        look_again=look_again,
    )


# -- a team's own options ---------------------------------------------------------------------------------------------


def _options() -> Sequence[Option]:
    """Draws a team's own; all there are."""
    st.subheader("The team's own options", anchor=False)
    found = asked(lambda conn: options.listing(conn, services().catalog))
    if found is None:
        return ()
    own = [one for one in found if not one.is_shipped]
    if not own:
        st.caption("The team has added no value or style yet.")
    for one in own:
        _option(one)
    st.caption(
        "What ships stays as it is and can be switched off. A name is never changed or deleted: pictures and characters "
        "stand on it."
    )
    navigation.link(
        "attributes", "Add one, and switch them on or off: Attribute images", view="Values and styles"
    )
    look.as_of(datetime.now(UTC))
    admin.settle({_OPTION: partial(_changing, own)})
    return found


def _option(one: Option) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"own_{_key(one)}"):
        off = "" if one.active else badge("switched off", "calm")
        st.html(
            f'<div class="ad-row"><b>{say(one.label)}{off}</b><span>{say(one.category_label)}, “{say(one.value)}”, place '
            f"{one.place}</span><span>{say(one.words)}</span></div>",
            width="stretch",
        )
        if admin.allows(Action.change_options):
            st.button(
                "Edit",
                key=f"edit_{_key(one)}",
                type="tertiary",
                on_click=_edit,
                args=(one,),
            )


def _edit(one: Option) -> None:
    """Open the form with the option as it stood beside the button: a colleague's change after that is not overwritten."""
    st.session_state[_EDITED] = one
    admin.ask(_OPTION, _name(one))


def _name(one: Option) -> str:
    return f"{one.category}/{one.value}"


def _key(one: Option) -> str:
    return _name(one).encode().hex()


def _changing(own: Sequence[Option], about: str) -> Question | None:
    held = st.session_state.get(_EDITED)
    one = held if isinstance(held, Option) and _name(held) == about else None
    one = one or next((each for each in own if _name(each) == about), None)
    if one is None:
        return None
    admin.seen(one)

    def look_again() -> str:
        found = read(lambda conn: options.listing(conn, services().catalog))
        now = next((each for each in found if _name(each) == about), one)
        admin.looked_at(now)
        return f"{now.label}, “{now.words}”."

    def act(why: str) -> str:
        changed = options.change(
            admin.seen(one),
            _typed(),
            person(),
            services(),
            place=int(st.session_state.get("edit_place") or 0),
            why=why,
        )
        return f"{one.label} is changed." if changed else f"{one.label} stood so already."

    return Question(
        title=f"Edit {look.plain(one.label)}",
        yes="Save",
        asks=_ask_option,
        act=act,
        example="Clearer words for the model.",
        fields={
            "edit_label": one.label,
            "edit_words": one.words,
            "edit_aliases": ", ".join(one.aliases),
            "edit_tags": ", ".join(one.tags),
            "edit_place": one.place,
        },
        look_again=look_again,
    )


def _ask_option() -> None:
    st.text_input("Label", key="edit_label", max_chars=60)
    st.text_area("Words for the picture", key="edit_words", max_chars=200, height=90)
    st.text_input("Older names", key="edit_aliases", help="Separated by commas.")
    st.text_input("Tags for the character", key="edit_tags", help="Separated by commas.")
    st.number_input("Place", -1000, 1000, step=1, key="edit_place", help="The lowest stands first.")
    st.caption(
        "Pictures that are there stay as they are. Make them again on the Attribute images page where the words changed."
    )


def _typed() -> NewOption:
    state = st.session_state
    return NewOption(
        category="",
        value="",
        label=str(state.get("edit_label") or ""),
        words=str(state.get("edit_words") or ""),
        aliases=_split(state.get("edit_aliases")),
        tags=_split(state.get("edit_tags")),
    )


def _split(text: object) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in str(text or "").split(","))))
