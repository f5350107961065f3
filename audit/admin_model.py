"""One model: its settings with what they would do to routing, its prices over time, and what was changed with its undo.

What is typed stays where a colleague was faster: the page says what they changed, and asks whose values shall stand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, cast
from uuid import UUID

import streamlit as st

from audit import activity_words, admin, colleagues, look, redraw, typed, words
from audit.admin import Question
from audit.asking import told
from audit.look import badge, say
from audit.services import person, services
from core import routing
from core.admin import models
from core.admin.models import Change, ModelRow, PriceRow, PriceState
from core.audit import activity
from core.audit.activity import Event
from core.authority import Action
from core.db.models import capabilities_of
from core.errors import BadRequest, StudioError
from core.values import Capabilities, PriceUnit

_SEEN = "model_seen"
_WITHDRAW, _UNDO = "withdraw_price", "undo_model"
_TASKS: Mapping[str, str] = {routing.GENERATION: "Portraits", routing.IMAGE_TO_IMAGE: "Image match"}
_CAN: Mapping[str, str] = {
    "supports_i2i": "Follows a reference image",
    "needs_reference": "Makes nothing without one",
    "supports_seed": "Takes a seed",
    "supports_negative": "Takes words to avoid",
}
_UNITS: Mapping[PriceUnit, str] = {
    PriceUnit.image: "a picture",
    PriceUnit.megapixel: "a megapixel",
    PriceUnit.second: "a second",
    PriceUnit.request: "a request",
}
_STATES: Mapping[PriceState, tuple[str, str]] = {
    PriceState.coming: ("begins later", "accent"),
    PriceState.valid: ("counts now", "good"),
    PriceState.over: ("over", "calm"),
}


def task_words(one: ModelRow) -> str:
    """The tasks a model serves by itself, in words."""
    if one.default_for_tasks is None:
        return "every task"
    return (
        " and ".join(_TASKS.get(task, task).lower() for task in one.default_for_tasks)
        or "only when chosen by name"
    )


def forget(model_id: str) -> None:
    """Let the form of a model begin from its row again."""
    typed.drop(_form(model_id))
    typed.drop(_price_form(model_id))


def _form(model_id: object) -> str:
    return f"model_{model_id}"


def _price_form(model_id: object) -> str:
    return f"price_{model_id}"


def draw(one: ModelRow) -> None:
    """The whole page of a model."""
    state = badge("on", "good") if one.is_on else badge("off", "calm")
    off = "" if one.provider_is_on else badge("its provider is switched off by the platform", "warn")
    st.html(
        f'<div class="au-head"><h1>{say(one.display_name)}</h1><p>{state}{off}'
        f"<span>{say(words.provider(one.provider))}</span><code>{say(one.model_key)}</code></p></div>"
    )
    st.caption(
        "Changed here: the switch, the priority, the tasks and what it can do. Its name, key, provider, inputs and its "
        "provider's switch are the platform's and stay as they are."
    )
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Settings", anchor=False)
        st.fragment(_settings)(one, is_locked=not admin.allows(Action.change_models))
    with right:
        _prices(one)
    _history(one)


# -- settings ---------------------------------------------------------------------------------------------------------


def _settings(one: ModelRow, *, is_locked: bool) -> None:
    redraw.heed()
    typed.begin(_form(one.id), _as_typed_fields(one))
    _say_what_changed(one)
    key = partial(_key, one)
    st.checkbox("Switched on", key=key("on"), disabled=is_locked)
    st.number_input(
        "Priority", -1000, 1000, step=1, key=key("priority"), disabled=is_locked, help="The highest serves."
    )
    st.multiselect(
        "Serves by itself",
        list(dict.fromkeys([*_TASKS, *(one.default_for_tasks or ())])),
        format_func=lambda task: _TASKS.get(task, task),
        key=key("tasks"),
        disabled=is_locked or bool(st.session_state[key("every")]),
        placeholder="Nothing: only when chosen by name",
    )
    st.checkbox("Serves every task", key=key("every"), disabled=is_locked)
    for name, label in _CAN.items():
        st.checkbox(label, key=key(name), disabled=is_locked)
    with st.container(horizontal=True):
        # Without bounds: a browser keeps a number outside them to itself, and what stood before would be saved.
        st.number_input("Reference images at most", step=1, key=key("images"), disabled=is_locked)
        st.number_input("Longest side, pixels", step=64, key=key("side"), disabled=is_locked)
    st.text_input("Aspect ratios", key=key("ratios"), disabled=is_locked, placeholder="1:1, 3:4, 16:9")
    st.text_input("Formats", key=key("formats"), disabled=is_locked, placeholder="png, jpeg")
    _effects(one)
    if is_locked:
        st.caption("Admins change this.")
        return
    admin.why_field(key("why"), "Their prices went up on Monday.")
    typed.tell(_form(one.id))
    st.button("Save", type="primary", key="save_model", on_click=_save, args=(one,))


def _key(one: ModelRow, name: str) -> str:
    return f"m_{one.id}_{name}"


def _take(one: ModelRow) -> None:
    """Begin the form from the row as it stands now; the reason stays."""
    why = st.session_state.get(_key(one, "why"))
    typed.drop(_form(one.id))
    typed.begin(_form(one.id), {**_as_typed_fields(one), _key(one, "why"): why})
    redraw.ask()


def _as_typed_fields(one: ModelRow) -> dict[str, object]:
    """How the fields of a model's form begin, by their keys; and what of the row was seen."""
    can = capabilities_of(one.capabilities)
    fields: dict[str, object] = {
        "on": one.is_on,
        "priority": one.priority,
        "every": one.default_for_tasks is None,
        "tasks": list(one.default_for_tasks or ()),
        "images": can.max_reference_images,
        "side": max(can.max_resolution, 64),
        "ratios": ", ".join(can.aspect_ratios),
        "formats": ", ".join(can.supported_formats),
        **{name: getattr(can, name) for name in _CAN},
        "why": "",
        _SEEN: one.seen,
    }
    return {_key(one, name): value for name, value in fields.items()}


def _keep_mine(one: ModelRow) -> None:
    st.session_state[_key(one, _SEEN)] = one.seen
    redraw.ask()


def _say_what_changed(one: ModelRow) -> None:
    seen = st.session_state[_key(one, _SEEN)]
    if seen == one.seen:
        return
    before, now = json.loads(seen), json.loads(one.seen)
    said = "; ".join(
        f"{name.replace('_', ' ')}: {look.plain(json.dumps(before[name]))} → {look.plain(json.dumps(now[name]))}"
        for name in now
        if now[name] != before[name]
    )
    st.warning(
        f"**A colleague or the platform changed this meanwhile.** {said}", icon=":material/sync_problem:"
    )
    with st.container(horizontal=True):
        st.button("Take theirs", key="take_theirs", on_click=_take, args=(one,))
        st.button("Go on with mine", key="keep_mine", on_click=_keep_mine, args=(one,))


def _wanted(one: ModelRow) -> Change:
    """What the form says."""
    said: Mapping[str, Any] = {
        name: st.session_state.get(_key(one, name))
        for name in ("on", "priority", "every", "tasks", "images", "side", "ratios", "formats", *_CAN)
    }
    typed = {
        **{name: bool(said[name]) for name in _CAN},
        "max_reference_images": int(said["images"] or 0),
        "max_resolution": int(said["side"] or 0),
        "aspect_ratios": _split(said["ratios"]),
        "supported_formats": _split(said["formats"]),
    }
    return Change(
        is_on=bool(said["on"]),
        priority=int(said["priority"] or 0),
        capabilities=_with_typed(one.capabilities, typed),
        tasks=None if said["every"] else tuple(cast("Sequence[str]", said["tasks"] or ())),
    )


def _with_typed(stored: Mapping[str, Any], typed: Mapping[str, object]) -> dict[str, Any]:
    """The row's capabilities with what the form changes; one that only says how an absent one is read stays absent."""
    known = capabilities_of(stored)
    changed = {name: value for name, value in typed.items() if value != _as_typed(known, name)}
    return {**stored, **changed}


def _as_typed(can: Capabilities, name: str) -> object:
    value = getattr(can, name)
    return list(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else value


def _split(text: object) -> list[str]:
    return [part.strip() for part in str(text or "").split(",") if part.strip()]


def _effects(one: ModelRow) -> None:
    wanted = _wanted(one)
    if wanted.as_settings() == models.as_it_is(one).as_settings():
        st.caption("Change something, and here stands what it would do to routing.")
        return
    try:
        shown = models.effects(one.id, wanted, person(), services())
    except StudioError as error:
        told(error)
        return
    st.html(
        "".join(
            f'<div class="ad-effect" data-changes="{str(effect.changes).lower()}"><b>{say(models.TASKS[effect.task])}</b>'
            f"<span>Now: {say(effect.before)}</span>"
            f"<span>Then: {say(effect.after if effect.before != effect.after else 'the same.')}</span></div>"
            for effect in shown
        )
    )


def _save(one: ModelRow) -> None:
    wanted, why = _wanted(one), str(st.session_state.get(_key(one, "why")) or "").strip()
    seen = str(st.session_state[_key(one, _SEEN)])

    def act() -> None:
        changed = models.change(one.id, wanted, person(), services(), seen=seen, why=why)
        admin.say_next(
            f"{one.display_name} is changed." if changed else f"{one.display_name} stood so already."
        )

    typed.attempt(_form(one.id), act)


# -- prices -----------------------------------------------------------------------------------------------------------


def _prices(one: ModelRow) -> None:
    st.subheader("Prices", anchor=False)
    try:
        found = models.prices(one.id, person(), services())
    except StudioError as error:
        told(error)
        return
    if not found:
        st.caption("No price is known. Under a hard budget such a model needs the budget's reserve.")
    states = models.states(found, datetime.now(UTC))
    for price in found:
        _price(price, states[price.id])
    st.caption(
        "What was sent before a price began keeps the one it was sent under. A price that has begun stays here."
    )
    if admin.allows(Action.set_prices):
        st.fragment(_new_price)(one, [price.id for price in found])
    admin.settle({_WITHDRAW: partial(_withdrawing, found)})


def _price(price: PriceRow, state: PriceState) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"price_{price.id.hex}"):
        label, tone = _STATES[state]
        amount = (
            "Unknown"
            if price.usd is None
            else f"{_dollars(price.usd)} {_UNITS.get(PriceUnit(price.unit), price.unit)}"
        )
        size = f", {price.size} only" if price.size else ""
        st.html(
            f'<div class="ad-row"><b>{say(amount)}{say(size)}{badge(label, tone)}</b>'
            f"<span>from {say(words.moment(price.valid_from))}. {say(price.source)}</span></div>",
            width="stretch",
        )
        if state is PriceState.coming and admin.allows(Action.set_prices):
            st.button(
                "Withdraw",
                key=f"withdraw_{price.id.hex}",
                type="tertiary",
                on_click=admin.ask,
                args=(_WITHDRAW, str(price.id)),
            )


def _dollars(usd: Decimal) -> str:
    whole, _, cents = f"{usd:.10f}".rstrip("0").partition(".")
    return f"${whole}.{cents.ljust(2, '0')}"


def _withdrawing(found: Sequence[PriceRow], about: str) -> Question | None:
    price = next((one for one in found if str(one.id) == about), None)
    if price is None:
        return None

    def act(why: str) -> str:
        models.withdraw_price(price.id, person(), services(), why=why)
        return "The price is withdrawn."

    return Question(
        title="Withdraw this price",
        yes="Withdraw it",
        asks=lambda: st.write(f"It begins {words.moment(price.valid_from)}. The one before it goes on then."),
        act=act,
        example="They postponed it.",
    )


def _new_price(one: ModelRow, seen: Sequence[UUID]) -> None:
    """The form by itself: where it is refused, nothing else is drawn again."""
    redraw.heed()
    key = partial(_key, one)
    first = {"usd": "", "unit": next(iter(_UNITS)), "from": None, "size": "", "source": ""}
    typed.begin(_price_form(one.id), {key(name): value for name, value in first.items()})
    with st.form(f"price_form_{one.id}", border=True):
        st.markdown("**A new price**")
        with st.container(horizontal=True):
            st.text_input("Dollars", key=key("usd"), max_chars=20, placeholder="0.03, or unknown")
            st.selectbox("For", list(_UNITS), format_func=_UNITS.__getitem__, key=key("unit"))
        with st.container(horizontal=True):
            st.date_input("From (UTC)", None, key=key("from"), min_value=_today(), help="Empty: from now on.")
            st.text_input("Size", key=key("size"), max_chars=11, placeholder="all, or 1024x1024")
        st.text_input(
            "Where does it stand?",
            key=key("source"),
            max_chars=300,
            placeholder="fal's pricing page, 21 November",
        )
        typed.tell(_price_form(one.id))
        st.form_submit_button(
            "Set", icon=":material/add:", key="set_price", on_click=_set_price, args=(one, seen)
        )


def _today() -> date:
    return datetime.now(UTC).date()


def _set_price(one: ModelRow, seen: Sequence[UUID]) -> None:
    said = {name: st.session_state.get(_key(one, name)) for name in ("usd", "unit", "from", "size", "source")}

    def act() -> None:
        models.set_price(
            one.id,
            PriceUnit(str(said["unit"])),
            _amount(str(said["usd"] or "")),
            person(),
            services(),
            seen=seen,
            source=str(said["source"] or ""),
            valid_from=_moment(said["from"]),
            size=str(said["size"] or "").strip() or None,
        )
        admin.say_next("The price is set.")

    typed.attempt(_price_form(one.id), act)


def _amount(text: str) -> Decimal | None:
    """Dollars, None for the word unknown. Raises BadRequest."""
    if text.strip().casefold() == "unknown":
        return None
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation as error:
        raise BadRequest(
            "Write dollars as a number, such as 0.03, or the word unknown.", field="price"
        ) from error
    if not amount.is_finite():
        raise BadRequest("Write dollars as a number, such as 0.03, or the word unknown.", field="price")
    return amount


def _moment(day: object) -> datetime | None:
    """The beginning of a day, UTC; None for today or for none: from now on."""
    if not isinstance(day, date) or day <= _today():
        return None
    return datetime.combine(day, time(), UTC)


# -- what was changed -------------------------------------------------------------------------------------------------


def _history(one: ModelRow) -> None:
    st.subheader("What was changed", anchor=False)
    try:
        found = models.history(one.id, person(), services())
    except StudioError as error:
        told(error)
        return
    if not found:
        st.caption("Nothing was changed here yet. What the platform's own tools wrote is not in this record.")
        return
    known = colleagues.names()
    for place, event in enumerate(found):
        with st.container(horizontal=True, vertical_alignment="center", key=f"event_{event.id}"):
            st.html(_event_words(event, known), width="stretch")
            if place == 0 and admin.allows(Action.change_models) and models.can_undo(event, one):
                st.button(
                    "Undo",
                    key=_UNDO,
                    type="tertiary",
                    icon=":material/undo:",
                    on_click=admin.ask,
                    args=(_UNDO, str(event.id)),
                )
    look.as_of(datetime.now(UTC))
    admin.settle({_UNDO: partial(_undoing, one)})


def _event_words(event: Event, known: colleagues.Names) -> str:
    said = "".join(admin.change_words(change) for change in activity.changes(event))
    why = f"<em>{say(event.why)}</em>" if event.why else ""
    return (
        f'<div class="ad-row"><b>{say(activity_words.action(event.action))}</b>'
        f"<span>{say(words.moment(event.at))}, {say(colleagues.called(event.who, known, nobody='the studio'))}</span>"
        f"{said}{why}</div>"
    )


def _undoing(one: ModelRow, about: str) -> Question:
    def act(why: str) -> str:
        models.undo(one.id, int(about), person(), services(), why=why)
        forget(str(one.id))
        return "It stands as before."

    return Question(
        title="Undo this change",
        yes="Undo it",
        asks=lambda: st.write("What this change replaced is put back. What was changed beside it stays."),
        act=act,
        example="It made Mondays slow.",
    )
