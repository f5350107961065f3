"""The seven auto-save checks of one job, by its rows at once, and by its files where a person asks (SPEC "Audit")."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from audit.asking import told
from audit.look import say
from audit.services import services
from core import proof
from core.audit.autosave import SENTENCES, Check, Outcome, Proof
from core.audit.jobs import Story
from core.errors import StudioError
from core.values import JobId

_NAMES: Mapping[Check, str] = {
    Check.completed: "Job completed",
    Check.workspace: "Result in the workspace",
    Check.library_row: "Recorded in the library",
    Check.library_object: "Library file as recorded",
    Check.thumbnail: "Thumbnail there",
    Check.portrait: "Portrait, and one primary",
    Check.character_image: "Character shows the primary",
}
_TONES: Mapping[Outcome, str] = {
    Outcome.passed: "good",
    Outcome.failed: "bad",
    Outcome.not_checked: "warn",
    Outcome.not_applicable: "calm",
}
_SAID: Mapping[Outcome, str] = {
    Outcome.passed: "Passed.",
    Outcome.failed: "Failed.",
    Outcome.not_checked: "Not checked.",
    Outcome.not_applicable: "Does not apply.",
}
_LOOKED = "checks_looked"  # what a look at the files said, by job


def draw(story: Story, by_rows: Proof | None) -> None:
    """The checks of a job that has ended; nothing for what is no portrait."""
    if by_rows is None or not story.job.status.is_final:
        return
    looked = st.session_state.get(_LOOKED, {}).get(story.job.id)
    st.subheader("Saved right?")
    answers = looked or by_rows
    if alone := _only_reason(answers):
        st.html(f'<p class="au-looked">None of the seven checks applies. {say(alone)}</p>')
        return
    st.html(f'<ul class="au-checks">{"".join(_line(check, answers) for check in Check)}</ul>')
    if looked is None and any(by_rows.outcome(check) is Outcome.not_checked for check in Check):
        st.button(
            "Look at the files too",
            key="look_at_files",
            icon=":material/search_check:",
            on_click=_look,
            args=(story,),
        )
    if (error := st.session_state.pop("checks_error", None)) is not None:
        told(error)


def _only_reason(answers: Proof) -> str:
    """Why no check applies, where that is one reason for all of them."""
    applies = any(answers.outcome(check) is not Outcome.not_applicable for check in Check)
    reasons = {answers.reason(check) for check in Check}
    reason = next(iter(reasons)) if len(reasons) == 1 else None
    return "" if applies or reason is None else SENTENCES[reason]


def _line(check: Check, answers: Proof) -> str:
    outcome, reason = answers.outcome(check), answers.reason(check)
    why = SENTENCES[reason] if reason else ""
    return (
        f'<li data-tone="{_TONES[outcome]}"><div><b>{say(_NAMES[check])}</b> '
        f"<span>{say(_SAID[outcome])} {say(why)}</span></div></li>"
    )


def _look(story: Story) -> None:
    """Read the job's files; changes nothing. For a button's `on_click`."""
    try:
        facts = proof.look(JobId(story.job.id), services())
    except StudioError as error:
        st.session_state["checks_error"] = error
        return
    if facts is not None:
        st.session_state.setdefault(_LOOKED, {})[story.job.id] = facts.proof
