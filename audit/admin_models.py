"""Models: the list, who serves which task now, and one model's settings, prices and history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import streamlit as st

from audit import admin, admin_model, look, tables, words
from audit.admin import Question
from audit.asking import told
from audit.look import badge, say
from audit.services import person, services
from core.admin import models
from core.admin.models import ModelRow
from core.authority import Action
from core.errors import BadRequest, StudioError
from core.values import ModelId

_ADDRESS = "model"
_ADD = "add_model"


def draw() -> None:
    """The list, or the one model that the address names."""
    if admin.refuses("Models", Action.see_settings):
        return
    admin.flash()
    try:
        found = models.listing(person(), services())
        prices = models.todays_prices(found, person(), services())
    except StudioError as error:
        look.head("Models")
        told(error)
        return
    named = st.query_params.get(_ADDRESS)
    one = next((row for row in found if str(row.id) == named), None)
    if one is not None:
        with st.container():
            st.button(
                "All models", icon=":material/arrow_back:", type="tertiary", key="all_models", on_click=_open
            )
            admin_model.draw(one)
        st.empty()
        return
    st.empty()
    with st.container():
        _all(found, prices, is_lost=bool(named))


def _open(model_id: str | None = None) -> None:
    st.query_params.pop(_ADDRESS, None)
    if model_id is not None:
        st.query_params[_ADDRESS] = model_id
        admin_model.forget(model_id)


def _all(found: Sequence[ModelRow], prices: Mapping[UUID, Decimal | None], *, is_lost: bool) -> None:
    look.head(
        "Models",
        "Of those that are on and whose provider is ready, the highest priority serves. The platform's own tools write "
        "these rows too: what they changed meanwhile is never overwritten.",
    )
    if is_lost:
        st.info("The model of this address is not there any more.", icon=":material/search_off:")
    if not found:
        look.nothing("No image model", "The platform's table of models is empty. Migrating adds what ships.")
        return
    _serving(found[0])
    if admin.allows(Action.change_models):
        st.button("Add a model", icon=":material/add:", key=_ADD, on_click=admin.ask, args=(_ADD,))
    for title, group in (
        ("Switched on", [one for one in found if one.is_on]),
        ("Switched off", [one for one in found if not one.is_on]),
    ):
        if group:
            st.subheader(f"{title}: {len(group)}", anchor=False)
            with st.container(key=f"models_{title.split()[1]}"):
                for one in group:
                    _line(one, prices.get(one.id))
    with st.container(horizontal=True):
        look.as_of(datetime.now(UTC))
        st.space("stretch")
        tables.files(_sheet(found, prices))
    admin.settle({_ADD: lambda _about: _adding(found)})


def _serving(first: ModelRow) -> None:
    try:
        shown = models.effects(first.id, models.as_it_is(first), person(), services())
    except StudioError as error:
        told(error)
        return
    st.html(
        "".join(
            f'<p class="ad-serves"><b>{say(models.TASKS[one.task])}</b><span>{say(one.before)}</span></p>'
            for one in shown
        )
    )


def _line(one: ModelRow, price: Decimal | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"model_{one.id.hex}"):
        st.html(_told(one, price), width="stretch")
        st.button(
            "Change" if admin.allows(Action.change_models) else "Look",
            key=f"open_{one.id.hex}",
            type="tertiary",
            on_click=_open,
            args=(str(one.id),),
        )


def _told(one: ModelRow, price: Decimal | None) -> str:
    off = "" if one.provider_is_on else badge("its provider is switched off", "warn")
    cost = "price unknown" if price is None else f"{words.money(price)} a picture"
    return (
        f'<div class="ad-row"><b>{say(one.display_name)}{off}</b>'
        f"<span>{say(words.provider(one.provider))}, priority {one.priority}, {say(admin_model.task_words(one))}, "
        f"{say(cost)}</span><code>{say(one.model_key)}</code></div>"
    )


# -- adding -----------------------------------------------------------------------------------------------------------


def _adding(found: Sequence[ModelRow]) -> Question:
    return Question(
        title="Add a model",
        yes="Add it",
        asks=lambda: _ask_what(found),
        act=_add,
        example="Their new version, cheaper by a third.",
        fields={"add_like": None, "add_key": "", "add_name": ""},
    )


def _ask_what(found: Sequence[ModelRow]) -> None:
    named = {str(one.id): f"{words.provider(one.provider)}: {one.display_name}" for one in found}
    st.selectbox(
        "Like",
        sorted(named, key=named.__getitem__),
        format_func=named.__getitem__,
        index=None,
        key="add_like",
        placeholder="A model of the same provider",
        help="What it can do, its inputs, tasks and priority are taken from this one.",
    )
    st.text_input(
        "Key", key="add_key", max_chars=200, placeholder="As the provider calls it: fal-ai/flux/dev"
    )
    st.text_input("Name", key="add_name", max_chars=80, placeholder="As people choose it: FLUX dev")
    st.caption("It begins switched off and without a price. Set both, then see what it does to routing.")


def _add(why: str) -> str:
    """Raises BadRequest where no pattern was chosen."""
    state = st.session_state
    pattern = state.get("add_like")
    if not pattern:
        raise BadRequest("Choose the model it is like.", field="like")
    key, name = (str(state.get(field) or "").strip() for field in ("add_key", "add_name"))
    made = models.add(ModelId(UUID(str(pattern))), key, name, person(), services(), why=why)
    st.query_params[_ADDRESS] = str(made)
    return f"{name} is added, switched off."


def _sheet(found: Sequence[ModelRow], prices: Mapping[UUID, Decimal | None]) -> tables.Sheet:
    return tables.Sheet(
        name="models",
        columns=("provider", "model_key", "name", "on", "provider_on", "priority", "tasks", "capabilities", "usd_1024", "updated_at"),
        rows=lambda: [
            (
                one.provider, one.model_key, one.display_name, one.is_on, one.provider_is_on, one.priority,
                one.default_for_tasks, dict(one.capabilities), prices.get(one.id), one.updated_at,
            )
            for one in found
        ],
    )  # fmt: skip
