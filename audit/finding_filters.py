"""What the findings page is asked for: where a finding stands, whose it is, its rule, and its age."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import streamlit as st

from audit import filters, redraw
from audit.adoption import ORIGIN
from audit.colleagues import Names
from audit.services import person
from core.audit.adoptions import Adoption
from core.audit.findings import FindingFilter, FindingState
from core.findings import RULES, rule_of

# What stands here stands in the address too: a changed word is a broken bookmark.
STATES: Mapping[str, FindingState] = {
    "Open": FindingState.open,
    "Mended": FindingState.mended,
    "Set aside": FindingState.set_aside,
}
_MINE, _NOBODYS = "Mine", "Nobody's"
_AGES: Mapping[str, tuple[timedelta | None, timedelta | None]] = {  # at most so old, at least so old
    "Found within 24 hours": (timedelta(days=1), None),
    "Found within 7 days": (timedelta(days=7), None),
    "Older than 1 day": (None, timedelta(days=1)),
    "Older than 7 days": (None, timedelta(days=7)),
    "Older than 30 days": (None, timedelta(days=30)),
}
_BY_TITLE = {rule.title: name for name, rule in RULES.items()}
_NO_RULE = "none"  # what two filters that exclude each other ask for
_MENDERS = ("Editor", "QA", "Product", "Admin")
NAMES = ("state", "rule", "owner", "age", "who", "origin")
"""The filters as the address has them."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The filters as they stand; `rule` is its name, whatever it is called on the page; `who` mends it, in words.
    `adoption` is there where only its findings are asked for.
    """

    state: FindingState
    rule: str | None
    owner: UUID | None
    is_nobodys: bool
    age: str | None
    who: str | None = None
    adoption: Adoption | None = None

    @property
    def narrows(self) -> bool:
        """True where more than a state is asked for."""
        return bool(self.rule or self.owner or self.is_nobodys or self.age or self.who or self.adoption)

    def shows(self, rule: str) -> bool:
        """True where findings of this rule are mended by whom the filter asks for."""
        return self.who is None or rule_of(rule).who == self.who

    def wanted(self) -> FindingFilter:
        """The filter as of now."""
        youngest, oldest = _AGES[self.age] if self.age else (None, None)
        now = datetime.now(UTC)
        after = [now - youngest] if youngest else []
        before = [now - oldest] if oldest else []
        if self.adoption is not None:
            after.append(self.adoption.began_at)
            before += [self.adoption.ended_at] if self.adoption.ended_at else []
        return FindingFilter(
            state=self.state,
            rules=self._rules(),
            owner=self.owner,
            is_nobodys=self.is_nobodys,
            first_after=max(after, default=None),
            first_before=min(before, default=None),
        )

    def _rules(self) -> tuple[str, ...]:
        if self.rule:
            return (self.rule,) if self.shows(self.rule) else (_NO_RULE,)
        return tuple(name for name in RULES if self.shows(name)) if self.who else ()


def draw(names: Names, adoption: Adoption | None, *, changed: Callable[[], None]) -> Chosen:
    """The filters in the side bar, each bound to the address; `changed` is called before another list is drawn."""
    owners = _owners(names)
    with st.sidebar, st.container(gap="xsmall", key="finding_filters"):
        filters.watch("state", STATES, "Open")
        state = st.segmented_control(
            "Where it stands",
            list(STATES),
            default="Open",
            required=True,
            key="state",
            bind="query-params",
            label_visibility="collapsed",
            on_change=changed,
        )
        rule = _select("Rule", sorted(_BY_TITLE), "rule", "Every rule", changed)
        owner = _select("Owner", [*owners], "owner", "Everybody's", changed)
        who = _select("Who mends it", list(_MENDERS), "who", "Mended by anybody", changed)
        age = _select("Age", list(_AGES), "age", "Any age", changed)
        origin = (
            _select("Where it comes from", [ORIGIN], "origin", "From anywhere", changed) if adoption else None
        )
    return Chosen(
        state=STATES.get(state or "Open", FindingState.open),
        rule=_BY_TITLE.get(rule or ""),
        owner=owners.get(owner or ""),
        is_nobodys=owner == _NOBODYS,
        age=age,
        who=who,
        adoption=adoption if origin else None,
    )


def _owners(names: Names) -> dict[str, UUID | None]:
    me = person().id
    others = {name: one for one, name in names.items() if one != me}
    return {_MINE: me, _NOBODYS: None, **others}


def _select(label: str, options: list[str], key: str, every: str, changed: Callable[[], None]) -> str | None:
    filters.watch(key, options)
    return st.selectbox(
        label,
        options,
        index=None,
        placeholder=every,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
        on_change=changed,
    )


def show_rule(name: str) -> None:
    """Look at one rule, or at all again; for a button's `on_click`."""
    redraw.ask()
    said = rule_of(name).title
    st.session_state["rule"] = None if st.session_state.get("rule") == said else said


def lift() -> None:
    """Lift every filter but where a finding stands; for a button's `on_click`."""
    redraw.ask()
    st.session_state.update(rule=None, owner=None, age=None, who=None, origin=None)
