"""What a person may do with a job here: try again, try another model, cancel, settle an unknown outcome. Each is a use case of core and
asks first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

import streamlit as st

from audit import typed, words
from audit.asking import asked
from audit.services import any_worker, person, services
from core import generation, recovery
from core.audit.jobs import JobState, Sent, Story
from core.authority import Action, may
from core.errors import BadRequest, StudioError
from core.generation import ModelChoice
from core.job_deeds import ANOTHER_MODEL, MODEL
from core.values import JobId, JobStatus, ModelId

_PENDING = "pending_action"
_FLASH = "flash"
_BILLED = "settle_billed"
_WHY = "settle_why"
_OTHER = "other_model"
_FORM = "job_question"
_LONGEST_WHY = 500
_ANSWERS: Mapping[str, bool | None] = {
    "Yes, it was billed": True,
    "No, it was not billed": False,
    "It could not be found out": None,
}


@dataclass(frozen=True, kw_only=True)
class Pending:
    """An action that waits for its confirmation; kept in the session, so that a rerun does not lose it."""

    name: str  # of a deed
    job_id: UUID


@dataclass(frozen=True, kw_only=True)
class _Deed:
    """One thing to do with a job: when it fits, what is asked before, and what is done; `act` says what it did."""

    label: str
    icon: str
    fits: Callable[[Story], bool]
    title: str
    asks: Callable[[Story], None]
    yes: str
    act: Callable[[Story], str]


def offer(story: Story) -> None:
    """The buttons that fit this job now, and the open question, where there is one."""
    with st.container(horizontal=True, horizontal_alignment="right", key="job_actions"):
        fitting = {name: deed for name, deed in _DEEDS.items() if deed.fits(story)}
        for name, deed in fitting.items():
            if st.button(deed.label, key=f"do_{name}", icon=deed.icon):
                st.session_state[_PENDING] = Pending(name=name, job_id=story.job.id)
    pending = st.session_state.get(_PENDING)
    if isinstance(pending, Pending) and pending.job_id == story.job.id and pending.name in fitting:
        deed = fitting[pending.name]
        st.dialog(deed.title, on_dismiss=forget)(_confirm)(deed, story)


def flash() -> None:
    """Say once what was just done."""
    if said := st.session_state.pop(_FLASH, None):
        st.toast(said, icon=":material/check_circle:")


def forget() -> None:
    """Drop a question that was not answered."""
    st.session_state.pop(_PENDING, None)
    typed.drop(_FORM)


def where_to_look(story: Story) -> str:
    """Where a person finds out about a request without a receipt, in a sentence; nothing where there is none."""
    if (lost := _lost(story)) is None:
        return ""
    return f"Look at {words.provider(lost.provider)} for a request of {words.sent_at(lost.submitted_at)}."


def _lost(story: Story) -> Sent | None:
    """The paid request that left without a receipt and is not settled."""
    return next((one for one in story.sent if one.received_at is None and one.outcome is None), None)


def _may_cancel(story: Story) -> bool:
    here = story.row.state in (JobState.queued, JobState.processing)
    return here and generation.offer_of(story.job, person(), services()).cancel


def _may_retry(story: Story) -> bool:
    if story.job.metadata.get("destination") == "attribute_image":  # those are made again under Attributes
        return False
    # Asked for again once already: the same click would only lead to that job, which the page links to.
    return not story.again and generation.offer_of(story.job, person(), services()).retry


def _may_try_another(story: Story) -> bool:
    """Like trying again; and where that failed too."""
    failed = {JobStatus.failed, JobStatus.cancelled}
    if story.job.metadata.get("destination") == "attribute_image":
        return False
    failed_again = all(later.status in failed for later in story.again)
    return failed_again and generation.offer_of(story.job, person(), services()).retry


def _may_settle(story: Story) -> bool:
    unknown = story.row.state is JobState.outcome_unknown and _lost(story) is not None
    return unknown and may(person(), Action.settle_outcomes)


def _confirm(deed: _Deed, story: Story) -> None:
    typed.begin(_FORM, {_OTHER: None, _BILLED: None, _WHY: ""})
    deed.asks(story)
    refusal = st.container()
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Leave it", key="dialog_no"):
            forget()
            st.rerun()
        agreed = st.button(deed.yes, key="dialog_yes", type="primary")
    if agreed:
        _carry_out(deed.act, story)
    with refusal:
        typed.tell(_FORM)


def _carry_out(act: Callable[[Story], str], story: Story) -> None:
    try:
        st.session_state[_FLASH] = act(story)
    except StudioError as error:
        typed.refuse(_FORM, error)
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


def _ask_another(story: Story) -> None:
    """Which model, and what it costs: only those that can be used now, and that follow a reference where there is one."""
    labels = {str(one.model.id): _label(one) for one in _others(story)}
    if not labels:
        st.info(
            "No other model can be used now: their providers are not set up, or paused.",
            icon=":material/block:",
        )
        return
    chosen = st.selectbox(
        "Model",
        list(labels),
        format_func=labels.__getitem__,
        index=None,
        placeholder="Choose one",
        key=_OTHER,
    )
    if chosen is None:
        st.caption("A new job asks for the same picture, and the new one says which job it stands for.")
        return
    price = (
        ANOTHER_MODEL.prices([str(story.job.id)], person(), services(), {MODEL: chosen})
        if ANOTHER_MODEL.prices
        else {}
    )
    st.write(
        f"A **new job** asks for the same picture. Its price: **{words.money(price.get(str(story.job.id)))}**."
    )
    if asked(any_worker) is False:
        st.info("No worker is running: it waits until one starts.", icon=":material/schedule:")


def _others(story: Story) -> list[ModelChoice]:
    match = bool(story.job.metadata.get("reference_image_url"))
    known = generation.models_for(person(), services(), match=match)
    return [one for one in known if one.available and one.model.id != story.job.model_id]


def _label(one: ModelChoice) -> str:
    provider = words.provider(one.model.provider)
    named = (
        one.model.display_name
        if provider in one.model.display_name
        else f"{one.model.display_name}, {provider}"
    )
    return f"{named}, {one.price_words}"


def _ask_cancel(story: Story) -> None:
    if story.sent:
        st.write(
            f"**{words.provider(story.row.provider)} already has this request** and is asked to stop. "
            "If the picture comes all the same, it is saved, and it is paid for."
        )
    else:
        st.write("It was not sent yet, so **nothing is paid**. It can be tried again later.")


def _ask_settle(story: Story) -> None:
    if lost := _lost(story):
        st.write(
            f"Look at **{words.provider(lost.provider)}**, in its list of requests or of charges, for one to "
            f"`{lost.model_key}` that was sent **{words.sent_at(lost.submitted_at)}**."
        )
    st.radio(
        "Was it billed?",
        list(_ANSWERS),
        index=None,
        key=_BILLED,
        captions=[
            "Its estimate is entered as its cost.",
            "Its cost is entered as $0.00.",
            "Its cost stays unknown.",
        ],
    )
    st.text_area(
        "What did you find?",
        key=_WHY,
        max_chars=_LONGEST_WHY,
        height=90,
        placeholder="No request at this time in the list of charges.",
    )
    st.caption("The job then counts as failed and can be tried again. A receipt that still comes is kept.")


def _retry(story: Story) -> str:
    made = generation.retry(story.job.id, person(), services())
    st.query_params["job"] = str(made.job_id)
    return (
        "Asked for again: this is the new job."
        if made.created
        else "It was asked for again already: this is that job."
    )


def _another(story: Story) -> str:
    """Raises BadRequest where no model was chosen."""
    chosen = st.session_state.get(_OTHER)
    if not chosen:
        raise BadRequest("Choose the model that is to be tried.", field="model")
    made = generation.retry(story.job.id, person(), services(), model_id=ModelId(UUID(str(chosen))))
    st.query_params["job"] = str(made.job_id)
    if not made.created:
        return "This model was asked already: this is that job."
    return "Another model is asked: this is the new job."


def _cancel(story: Story) -> str:
    status = generation.cancel(JobId(story.job.id), person(), services())
    return {
        JobStatus.cancelled: "The job is cancelled; nothing was sent.",
        JobStatus.processing: "The provider is asked to stop.",
    }.get(status, f"It had ended already: {status}.")


def _settle(story: Story) -> str:
    """Raises BadRequest where a question was left open."""
    answer, why = str(st.session_state.get(_BILLED) or ""), str(st.session_state.get(_WHY) or "").strip()
    if answer not in _ANSWERS:
        raise BadRequest("Say whether it was billed.", field="billed")
    if not why:
        raise BadRequest("Say in a few words what you found at the provider.", field="why")
    recovery.settle_unknown(JobId(story.job.id), person(), services(), billed=_ANSWERS[answer], why=why)
    return "The outcome is settled. The job can be tried again."


_DEEDS: Mapping[str, _Deed] = {
    "settle": _Deed(
        label="Settle",
        icon=":material/fact_check:",
        fits=_may_settle,
        title="Settle the unknown outcome",
        asks=_ask_settle,
        yes="Settle",
        act=_settle,
    ),
    "cancel": _Deed(
        label="Cancel",
        icon=":material/block:",
        fits=_may_cancel,
        title="Are you sure?",
        asks=_ask_cancel,
        yes="Cancel the job",
        act=_cancel,
    ),
    "retry": _Deed(
        label="Try again",
        icon=":material/refresh:",
        fits=_may_retry,
        title="Are you sure?",
        asks=_ask_retry,
        yes="Try again",
        act=_retry,
    ),
    "another": _Deed(
        label="Another model",
        icon=":material/swap_horiz:",
        fits=_may_try_another,
        title="Try another model",
        asks=_ask_another,
        yes="Ask for it",
        act=_another,
    ),
}
