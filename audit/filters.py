"""What is looked at: kept in the address, shared by all pages, drawn in the side bar by the frame.

A page names what it reads in `audit.navigation.ROOMS`; a filter that a page does not read is not drawn there and
keeps its value until the next page that does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

import streamlit as st

from audit import look, redraw, words
from audit.asking import asked
from audit.services import person
from core.audit import jobs, people
from core.audit.jobs import ModelName
from core.values import ModelId


class Filter(StrEnum):
    """The shared filters, by their names in the address, where a chosen value stands in its words: provider=RunPod."""

    period = "period"  # of a list: everything, unless a person asks for less
    span = "span"  # of sums: 30 days, unless a person asks for more
    provider = "provider"
    model = "model"
    person = "person"
    kind = "kind"
    live = "live"


# What stands here stands in the address too: a changed word is a broken bookmark.
PERIODS: Mapping[str, timedelta | None] = {
    "All time": None,
    "30 days": timedelta(days=30),
    "7 days": timedelta(days=7),
    "24 hours": timedelta(days=1),
    "1 hour": timedelta(hours=1),
}
ALWAYS = "All time"
SPANS: Mapping[str, timedelta | None] = {
    "30 days": timedelta(days=30),
    "7 days": timedelta(days=7),
    "24 hours": timedelta(days=1),
    "90 days": timedelta(days=90),
    "365 days": timedelta(days=365),
    ALWAYS: None,
}
_CHOSEN = "shared_filters"
_LOST = "lost_filters"


@dataclass(frozen=True, kw_only=True)
class Shared:
    """The shared filters as they stand; what a page does not read is at rest. Periods in the words of the page."""

    period: str = ALWAYS
    span: str = "30 days"
    provider: str | None = None
    model_id: ModelId | None = None
    person_id: UUID | None = None
    kind: str | None = None
    live: bool = False

    @property
    def since(self) -> datetime | None:
        """From when on a list shows; goes on with the clock."""
        return _ago(PERIODS[self.period])

    @property
    def narrows(self) -> bool:
        """True where more than a period is asked for: then an empty list may be the filters' doing."""
        return any((self.provider, self.model_id, self.person_id, self.kind))


def shared() -> Shared:
    """The filters of this run; for pages."""
    return st.session_state.get(_CHOSEN, Shared())


def draw(names: Collection[Filter]) -> bool:
    """Draw the filters `names` in the side bar, each bound to the address; False where the database did not answer,
    which has been said on the page then.
    """
    models = asked(jobs.models) if {Filter.provider, Filter.model} & set(names) else ()
    known = asked(people.known) if Filter.person in names else ()
    if models is None or known is None:
        return False
    with st.sidebar, st.container(key="filters", gap="xsmall"):
        values = {name: _DRAWN[name](models, known) for name in Filter if name in names}
    st.session_state[_CHOSEN] = Shared(
        **{_FIELDS.get(name, name.value): value for name, value in values.items()}
    )
    return not refuses_lost(names)


def watch(name: str, known: Collection[str], default: object = None) -> None:
    """Remember what the address asks of the filter `name` and is none of `known`; called before its widget is drawn,
    for Streamlit drops such a value without a word, and a filter that is lost would mean "all".
    """
    if name in st.session_state:
        return
    if lost := [one for one in st.query_params.get_all(name) if one and one not in known]:
        st.session_state.setdefault(_LOST, {})[str(name)] = (lost, default)


def refuses_lost(names: Collection[str]) -> bool:
    """True where the address asked one of `names` for what is not here, which is said then: nothing may be listed, until
    a person chooses another value, or goes on without it.
    """
    lost = st.session_state.get(_LOST, {})
    for name in [str(one) for one in names if str(one) in lost]:
        if st.session_state.get(name) != lost[name][1]:
            del lost[name]
    asked_for = {str(name): lost[str(name)][0] for name in names if str(name) in lost}
    if not asked_for:
        return False
    said = ", ".join(f"{name} “{one[:60]}”" for name, ones in asked_for.items() for one in ones)
    with st.container(key="nothing", horizontal_alignment="center"):
        look.nothing(
            "Not what was asked for",
            f"The address asks for {said}, which is not here (any more). Nothing is listed, so that nobody takes "
            "everything for what was asked.",
        )
        st.button("Go on without it", key="lost_on", on_click=_go_on, args=(list(asked_for),))
    return True


def _go_on(names: Collection[str]) -> None:
    redraw.ask()
    for name in names:
        st.session_state.get(_LOST, {}).pop(name, None)


def on_change(name: str, act: Callable[[], None]) -> None:
    """Have `act` called before the page `name` is drawn again with other filters."""
    key = f"filters_seen_{name}"
    now = shared()
    if st.session_state.setdefault(key, now) != now:
        st.session_state[key] = now
        act()


def look_at_all_time() -> None:
    """Lift the period; for a button's `on_click`."""
    redraw.ask()
    st.session_state[Filter.period] = ALWAYS


def lift() -> None:
    """Lift every shared filter; for a button's `on_click`."""
    redraw.ask()
    st.session_state.update(
        {Filter.provider: None, Filter.model: None, Filter.person: None, Filter.kind: None}
    )
    st.session_state[Filter.period] = ALWAYS


def model_labels(models: Sequence[ModelName]) -> dict[str, ModelName]:
    """The models by what they are called here: the key is added where two share a name."""
    names = [one.display_name for one in models]
    return {
        one.display_name
        if names.count(one.display_name) == 1
        else f"{one.display_name} ({words.provider(one.provider)}, {one.model_key})": one
        for one in models
    }


def _ago(span: timedelta | None) -> datetime | None:
    return datetime.now(UTC) - span if span else None


def _period(_models: Sequence[ModelName], _people: Sequence[UUID]) -> str:
    return _select("Asked within", list(PERIODS), Filter.period) or ALWAYS


def _span(_models: Sequence[ModelName], _people: Sequence[UUID]) -> str:
    return _select("Within", list(SPANS), Filter.span) or next(iter(SPANS))


def _provider(models: Sequence[ModelName], _people: Sequence[UUID]) -> str | None:
    names = sorted({one.provider for one in models})
    return _select("Provider", names, Filter.provider, every="Every provider", said=words.provider)


def _model(models: Sequence[ModelName], _people: Sequence[UUID]) -> ModelId | None:
    labels = model_labels(models)
    provider = st.session_state.get(Filter.provider)
    fitting = [label for label, one in labels.items() if provider in (None, one.provider)]
    chosen = _select("Model", fitting, Filter.model, every="Every model")
    return ModelId(labels[chosen].id) if chosen in labels else None


def _person(_models: Sequence[ModelName], known: Sequence[UUID]) -> UUID | None:
    chosen = _select("Person", [str(one) for one in known], Filter.person, every="Everybody", said=_called)
    return UUID(chosen) if chosen else None


def _kind(_models: Sequence[ModelName], _people: Sequence[UUID]) -> str | None:
    return _select(
        "Type", list(words.PURPOSES), Filter.kind, every="Every type", said=words.PURPOSES.__getitem__
    )


def _live(_models: Sequence[ModelName], _people: Sequence[UUID]) -> bool:
    return st.toggle(
        "Live",
        value=True,
        key=Filter.live,
        bind="query-params",
        persist_state="session",
        help="Reads again by itself. Switch it off to stand still.",
    )


def _called(person_id: str) -> str:
    return "You" if person_id == str(person().id) else words.short(person_id)


def _select(
    label: str,
    options: Sequence[str],
    name: Filter,
    *,
    every: str | None = None,
    said: Callable[[str], str] = str,
) -> str | None:
    """A choice bound to the address; with `every`, none need be made."""
    watch(name, [said(one) for one in options], None if every else options[0])
    return st.selectbox(
        label,
        options,
        index=0 if every is None else None,
        placeholder=every,
        disabled=not options,
        format_func=said,
        key=name,
        bind="query-params",
        persist_state="session",
        label_visibility="collapsed",  # what stands in it says what it is; the label is read aloud
    )


_DRAWN: Mapping[Filter, Callable[[Sequence[ModelName], Sequence[UUID]], object]] = {
    Filter.period: _period,
    Filter.span: _span,
    Filter.provider: _provider,
    Filter.model: _model,
    Filter.person: _person,
    Filter.kind: _kind,
    Filter.live: _live,
}
_FIELDS = {Filter.model: "model_id", Filter.person: "person_id"}
