"""What the auto-save page is asked for beside the shared filters: a character, a reason, only broken ones, files too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from audit import filters, redraw
from audit.filters import Shared
from audit.services import services
from core.audit.autosave import CHECK_OF, TITLES, ProofFilter, Reason

_REASONS = {TITLES[reason]: reason for reason in CHECK_OF}


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The filters as they stand. `files`: the store is asked for the objects of the page that is shown."""

    character: str
    reason: Reason | None
    only_broken: bool
    files: bool
    shared: Shared

    @property
    def narrows(self) -> bool:
        """True where more than a period is asked for."""
        return bool(self.character or self.reason or self.only_broken or self.shared.narrows)

    def wanted(self) -> ProofFilter:
        """The filter as of now."""
        return ProofFilter(
            since=self.shared.since,
            character=self.character,
            provider=self.shared.provider,
            model_id=self.shared.model_id,
            user_id=self.shared.person_id,
            reason=self.reason,
            only_broken=self.only_broken,
        )


def draw(*, changed: Callable[[], None]) -> Chosen:
    """The page's own filters in the side bar, each bound to the address; `changed` is called before another list."""
    with st.sidebar, st.container(gap="xsmall", key="autosave_filters"):
        character = st.text_input(
            "Character",
            key="character",
            bind="query-params",
            placeholder="Character's name or id",
            icon=":material/search:",
            label_visibility="collapsed",
            on_change=changed,
        )
        filters.watch("reason", _REASONS)
        reason = st.selectbox(
            "Reason",
            list(_REASONS),
            index=None,
            placeholder="Every reason",
            key="reason",
            bind="query-params",
            label_visibility="collapsed",
            on_change=changed,
        )
        only_broken = st.toggle("Only broken", key="broken", bind="query-params", on_change=changed)
        files = st.toggle(
            "Look at files",
            value=services().storage.is_near,
            key="files",
            bind="query-params",
            help="Asks the store for the files of the portraits on this page. Without it they count as not checked.",
        )
    filters.on_change("autosave", changed)
    return Chosen(
        character=(character or "").strip(),
        reason=_REASONS[reason] if reason else None,
        only_broken=only_broken,
        files=files,
        shared=filters.shared(),
    )


def show_reason(reason: Reason) -> None:
    """Look at the portraits that are broken for one reason, or at all again; for a button's `on_click`."""
    redraw.ask()
    said = TITLES[reason]
    st.session_state["reason"] = None if st.session_state.get("reason") == said else said


def lift() -> None:
    """Lift every filter; for a button's `on_click`."""
    st.session_state.update(character="", reason=None, broken=False)
    filters.lift()
