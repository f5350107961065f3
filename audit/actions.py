"""What a person may do with a job here: try again, cancel. Both are use cases of core/generation and ask first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import streamlit as st

from audit import words
from audit.asking import asked, told
from audit.services import any_worker, person, services
from core import generation
from core.audit.jobs import JobState, Story
from core.errors import StudioError
from core.values import JobId, JobStatus, Role

_PENDING = "pending_action"
_FLASH = "flash"


@dataclass(frozen=True, kw_only=True)
class Pending:
    """An action that waits for its confirmation; kept in the session, so that a rerun does not lose it."""

    name: str  # retry | cancel
    job_id: UUID


def offer(story: Story) -> None:
    """The buttons that fit this job now, and the open question, where there is one."""
    with st.container(horizontal=True, horizontal_alignment="right", key="job_actions"):
        if _may_cancel(story):
            _button("Cancel", "cancel", story, icon=":material/block:")
        if _may_retry(story):
            _button("Try again", "retry", story, icon=":material/refresh:")
    pending = st.session_state.get(_PENDING)
    if isinstance(pending, Pending) and pending.job_id == story.job.id:
        _confirm(pending, story)


def flash() -> None:
    """Say once what was just done."""
    if said := st.session_state.pop(_FLASH, None):
        st.toast(said, icon=":material/check_circle:")


def forget() -> None:
    """Drop a question that was not answered."""
    st.session_state.pop(_PENDING, None)


def _may_cancel(story: Story) -> bool:
    job = story.job
    here = job.runner == "studio" and story.row.state in (JobState.queued, JobState.processing)
    return here and not job.cancel_requested and person().holds(Role.editor, Role.qa, Role.admin)


def _may_retry(story: Story) -> bool:
    ended = story.job.status in (JobStatus.failed, JobStatus.cancelled)
    # Asked for again once already: the same click would only lead to that job, which the page links to.
    return ended and not story.again and story.job.runner == "studio" and person().holds(Role.editor)


def _button(label: str, name: str, story: Story, *, icon: str) -> None:
    if st.button(label, key=f"do_{name}", icon=icon):
        st.session_state[_PENDING] = Pending(name=name, job_id=story.job.id)


@st.dialog("Are you sure?", on_dismiss=forget)
def _confirm(pending: Pending, story: Story) -> None:
    act, asks, yes = (
        (_retry, _ask_retry, "Try again")
        if pending.name == "retry"
        else (_cancel, _ask_cancel, "Cancel the job")
    )
    asks(story)
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Leave it", key="dialog_no"):
            forget()
            st.rerun()
        if st.button(yes, key="dialog_yes", type="primary"):
            _carry_out(act, story)


def _carry_out(act: Callable[[Story], str], story: Story) -> None:
    try:
        st.session_state[_FLASH] = act(story)
    except StudioError as error:
        told(error)
        return
    forget()
    st.rerun()


def _ask_retry(story: Story) -> None:
    estimate = next((entry.amount_usd for entry in story.costs if entry.kind == "estimated"), None)
    price = (
        "its price is not known"
        if estimate is None
        else f"the last one was estimated at {words.money(estimate)}"
    )
    st.write(
        f"A **new job** asks {story.row.model or 'the same model'} for the same picture once more. "
        f"It is paid for again: {price}."
    )
    if asked(any_worker) is False:
        st.info("No worker is running: it waits until one starts.", icon=":material/schedule:")


def _ask_cancel(story: Story) -> None:
    if story.sent:
        st.write(
            f"**{story.row.provider.capitalize()} already has this request** and is asked to stop. "
            "If the picture comes all the same, it is saved, and it is paid for."
        )
    else:
        st.write("It was not sent yet, so **nothing is paid**. It can be tried again later.")


def _retry(story: Story) -> str:
    made = generation.retry(story.job.id, person(), services())
    st.query_params["job"] = str(made.job_id)
    return (
        "Asked for again: this is the new job."
        if made.created
        else "It was asked for again already: this is that job."
    )


def _cancel(story: Story) -> str:
    status = generation.cancel(JobId(story.job.id), person(), services())
    return {
        JobStatus.cancelled: "The job is cancelled; nothing was sent.",
        JobStatus.processing: "The provider is asked to stop.",
    }.get(status, f"It had ended already: {status}.")
