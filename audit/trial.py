"""*Test portrait*: pressed once, watched step by step, and out of the way again by itself."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import streamlit as st

from audit import look, navigation, words
from audit.asking import asked, told
from audit.look import say
from audit.services import any_worker, person, services
from core import trial
from core.errors import StudioError
from core.trial import StepState, Trial
from core.values import JobId

_RUNNING = "trial_running"
_ENDED = "trial_ended"
_EVERY = 1  # seconds between two looks
_PATIENCE = 120.0  # seconds until a test that does not move is given up
_SAID = {StepState.done: "done", StepState.waiting: "waiting", StepState.failed: "failed"}


@dataclass(frozen=True, kw_only=True)
class _Begun:
    job_id: JobId
    at: float  # time.monotonic()


@dataclass(frozen=True, kw_only=True)
class _Ended:
    """How a test went, kept because its rows are out of the way; `kept` says where they are."""

    seen: Trial
    at: datetime
    kept: str
    gave_up: bool


def draw() -> None:
    """The button, the steps while it runs, and how the last one went."""
    with st.container(border=True, key="trial"):
        begun = st.session_state.get(_RUNNING)
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.html(
                '<div class="sy-trial"><b>Test portrait</b><span>One free drawing of the built-in Sketch, all the way '
                "from the request to the character's picture, and out of the way again.</span></div>",
                width="stretch",
            )
            st.button(
                "Make one",
                key="trial_begin",
                on_click=_begin,
                disabled=begun is not None,
                icon=":material/play_arrow:",
            )
        if isinstance(begun, _Begun):
            st.fragment(_watch, run_every=_EVERY)()
        elif isinstance(ended := st.session_state.get(_ENDED), _Ended):
            _show_end(ended)
        elif isinstance(said := st.session_state.pop("trial_refused", None), StudioError):
            told(said)


def _begin() -> None:
    st.session_state.pop(_ENDED, None)
    try:
        job_id = trial.begin(person(), services())
    except StudioError as error:
        st.session_state["trial_refused"] = error
        return
    st.session_state[_RUNNING] = _Begun(job_id=job_id, at=time.monotonic())


def _watch() -> None:
    begun = st.session_state.get(_RUNNING)
    if not isinstance(begun, _Begun):
        return
    try:
        seen = trial.stand(begun.job_id, person(), services())
    except StudioError as error:
        told(error)
        return
    waited = time.monotonic() - begun.at
    _steps(seen)
    if seen.is_over or waited > _PATIENCE:
        _end(seen, gave_up=not seen.is_over)
        st.rerun(scope="app")
    if asked(any_worker) is False:
        st.warning(
            "**No worker is running**, so it waits. Start the studio or `python -m core.worker`; the test goes on then.",
            icon=":material/schedule:",
        )
    else:
        st.caption(f"{words.lasted(waited)} so far.")
    st.button("Stop and clear away", key="trial_stop", on_click=_stop, args=(seen,), type="tertiary")


def _stop(seen: Trial) -> None:
    _end(seen, gave_up=True)


def _end(seen: Trial, *, gave_up: bool) -> None:
    """Clear away what it made, and keep how it went."""
    try:
        left = trial.remove(seen.job_id, person(), services())
    except StudioError as error:
        left = f"It could not be cleared away: {error.sentence}"
    st.session_state.pop(_RUNNING, None)
    st.session_state[_ENDED] = _Ended(seen=seen, at=datetime.now(UTC), kept=left, gave_up=gave_up)


def _show_end(ended: _Ended) -> None:
    seen = ended.seen
    _steps(seen)
    if seen.went_well:
        took = f" in {words.lasted(seen.seconds)}" if seen.seconds is not None else ""
        st.success(
            f"**Everything works.** The picture was made{took} and saved where it belongs.",
            icon=":material/check_circle:",
        )
    elif ended.gave_up:
        st.warning("**It did not come to its end** and was cleared away.", icon=":material/hourglass_bottom:")
    else:
        st.error("**It went wrong** at the step marked above.", icon=":material/error:")
    with st.container(horizontal=True, vertical_alignment="center"):
        look.as_of(ended.at, ended.kept)
        navigation.link("jobs", "Its job", job=str(seen.job_id))


def _steps(seen: Trial) -> None:
    lines = "".join(
        f'<li data-state="{say(one.state)}"><i aria-hidden="true"></i><b>{say(one.title)}</b>'
        f"<span>{say(one.detail or _SAID[one.state])}</span></li>"
        for one in seen.steps
    )
    st.html(f'<ol class="sy-steps">{lines}</ol>')
