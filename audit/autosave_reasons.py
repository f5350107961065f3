"""Broken portraits by reason: how many, since when, an example, and the repair of all of a kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import streamlit as st

from audit import bulk, navigation, redraw, words
from audit.asking import asked
from audit.autosave_filters import Chosen, show_reason
from audit.bulk import Shown
from audit.look import say
from core.audit import autosave
from core.audit.autosave import (
    CHECK_OF,
    CHECK_TITLES,
    SENTENCES,
    TITLES,
    Facts,
    Proof,
    ProofFilter,
    Reason,
    ReasonGroup,
)
from core.bulk import MOST
from core.mending import CAN_MEND, REASON, REPAIR


def draw(chosen: Chosen) -> None:
    """A line a reason, the most frequent first."""
    wanted = chosen.wanted()
    groups = asked(lambda conn: autosave.reasons(conn, wanted))
    if not groups:
        return
    st.subheader("Why portraits are broken", anchor=False)
    with st.container(key="reasons", gap="xsmall"):
        for group in groups:
            _group(group, wanted, chosen)
    bound = (
        f" Counted among the first {autosave.MOST_COUNTED:,} broken ones." if groups[0].counted.more else ""
    )
    st.html(
        f'<p class="au-age">{say(f"As the last checks found it, less what was repaired since.{bound}")}</p>'
    )


def _group(group: ReasonGroup, wanted: ProofFilter, chosen: Chosen) -> None:
    reason = group.reason
    with st.container(horizontal=True, vertical_alignment="center", key=f"reason_{reason.lower()}"):
        st.html(_said(group), width="stretch")
        st.button(
            "Show all" if chosen.reason is reason else "Show",
            key=f"show_{reason.lower()}",
            on_click=show_reason,
            args=(reason,),
        )
        if reason in CAN_MEND and bulk.may(REPAIR.kind):
            st.button(
                f"Repair {words.count(group.counted)}",
                key=f"mend_{reason.lower()}",
                icon=":material/build:",
                on_click=_ask_for_all,
                args=(reason, wanted),
            )
        elif reason not in CAN_MEND:
            st.html('<span class="au-decides">QA decides each</span>', width="content")


def _said(group: ReasonGroup) -> str:
    reason = group.reason
    example = navigation.href("autosave", job=str(group.example))
    check = CHECK_TITLES[CHECK_OF[reason]]
    return (
        f'<div class="au-reason"><b>{say(words.count(group.counted))}</b><div><h4>{say(TITLES[reason])}'
        f"<small>{say(check)}</small></h4><p>{say(SENTENCES[reason])} Broken for up to "
        f"{say(words.ago(group.oldest_at).removesuffix(' ago'))}; "
        f'<a href="{say(example)}" target="_self">an example</a></p></div></div>'
    )


def _ask_for_all(reason: Reason, wanted: ProofFilter) -> None:
    """Freeze all that are broken for this reason now, within the filters, at most as many as one action takes."""
    kind = replace(wanted, reason=reason)
    found = asked(lambda conn: autosave.kept_broken(conn, kind, limit=MOST))
    if not found:
        redraw.ask()
        return
    title = TITLES[reason].lower()
    shown = [
        Shown(id=str(one.job_id), line=_line(one.character, one.ended_at, title, one.job_id)) for one in found
    ]
    bulk.ask(REPAIR.kind, shown, {REASON: reason.value})


def lines(rows: Sequence[Facts]) -> list[Shown]:
    """The portraits as the question names them."""
    return [Shown(id=str(one.proof.job_id), line=_named(one.proof)) for one in rows]


def _named(one: Proof) -> str:
    broken = one.first_broken
    return _line(one.character, one.ended_at, TITLES[broken[1]].lower() if broken else "", one.job_id)


def _line(character: str, ended_at: datetime, why: str, job_id: UUID) -> str:
    said = f": {why}" if why else ""
    return f"{character or 'Without a character'}, {words.moment(ended_at)}{said} ({words.short(job_id)})"
