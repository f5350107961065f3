"""One job's whole story on a page: where it stands, why, what was paid, and its picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

import streamlit as st

from audit import actions, job_answers, job_checks, pictures, redraw, tables, timeline, words
from audit.asking import asked
from audit.look import badge, nothing, plain, say
from audit.services import any_worker, services
from audit.tables import Sheet
from core import proof
from core.audit import job_history, jobs
from core.audit.job_history import History
from core.audit.jobs import CostEntry, JobState, Sent, Story
from core.values import JobId

EVERY = 3  # seconds between two looks at a job that is being watched
_ADDRESS = "job"


def open_job(job_id: object) -> None:
    """Go to a job's story; for a button's `on_click`."""
    actions.forget()
    redraw.ask()
    st.query_params[_ADDRESS] = str(job_id)


def close() -> None:
    """Go back to the list; for a button's `on_click`."""
    actions.forget()
    st.query_params.pop(_ADDRESS, None)


def chosen() -> str | None:
    """The job the address names, as it stands there."""
    return st.query_params.get(_ADDRESS)


def draw(named: str, *, live: bool) -> None:
    """The story of the job that the address names; it follows the job while `live` and unfinished."""
    st.button("All jobs", key="back", on_click=close, icon=":material/arrow_back:", type="tertiary")
    job_id = _as_id(named)
    if job_id is None:
        nothing("No such job", f"“{named[:60]}” is not the id of a job. Open one from the list.")
        return
    answer = asked(lambda conn: [jobs.story(conn, job_id)])
    if answer is None:
        return
    story = answer[0]
    if story is None:
        nothing(
            "No such job",
            "There is no job with this id, or it is not one you may see. It may belong to another database.",
        )
        return
    _head(story)
    again = EVERY if live and not story.job.status.is_final else None
    st.fragment(_body, run_every=again)(story)


def _as_id(named: str) -> JobId | None:
    try:
        return JobId(UUID(named))
    except ValueError:
        return None


def _head(story: Story) -> None:
    row = story.row
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="job_head"
    ):
        st.html(
            f'<div class="au-head"><h1>{say(row.character or "A picture without a character")}</h1>'
            f"<p>{badge(words.STATES[row.state], words.TONES[row.state])}"
            f"<code>{say(row.id)}</code></p></div>",
            width="content",
        )
        actions.offer(story)


def _body(drawn: Story) -> None:
    """Everything below the head. A changed state needs other buttons, so the whole page is drawn again then."""
    redraw.heed()
    job_id = JobId(drawn.job.id)
    answer = asked(lambda conn: jobs.story(conn, job_id))
    if answer is None:
        return
    history = asked(lambda conn: job_history.of_job(conn, job_id, grace=proof.grace(services())))
    if answer.row.state != drawn.row.state or answer.job.cancel_requested != drawn.job.cancel_requested:
        st.rerun(scope="app")
    _standing(answer)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _timeline(answer, history)
    with right:
        _picture(answer)
        job_checks.draw(answer, history.proof if history else None)
        _facts(answer)
    _requests(answer.sent)
    job_answers.draw(answer)
    _ledger(answer)
    _prompt(answer)
    st.caption(f"As of {words.clock(datetime.now(UTC))}.")


def _standing(story: Story) -> None:
    """Where it stands in a sentence: why it failed, what is unknown, what keeps it."""
    job, state = story.job, story.row.state
    if state is JobState.failed:
        # Its code stands in the story below.
        st.error(
            plain(words.sentence(job.error_message or "No reason was written down.")), icon=":material/error:"
        )
    elif state is JobState.outcome_unknown and story.step:
        st.warning(
            f"**Outcome unknown.** {plain(words.sentence(job.error_message or story.step.why))} "
            f"It holds its budget until then. {actions.where_to_look(story)}",
            icon=":material/help:",
        )
    elif story.step:
        _unfinished(story)


def _unfinished(story: Story) -> None:
    silent = story.silent_for(datetime.now(UTC))
    if story.row.state is JobState.queued and asked(any_worker) is False:
        st.warning(
            "**No worker is running.** It waits until the studio or a worker starts; nothing is lost, and nothing was paid.",
            icon=":material/schedule:",
        )
    elif story.step and silent > services().settings.stuck_after:
        st.warning(f"**It does not move.** {story.step.why}", icon=":material/hourglass_disabled:")
    else:
        stage = words.STAGES.get(story.job.stage or "", "Waiting")
        share = f", {story.job.progress:.0%} done" if story.job.progress else ""
        st.info(
            f"{stage}{share}. Last heard of {words.lasted(silent)} ago.", icon=":material/progress_activity:"
        )


def _timeline(story: Story, history: History | None) -> None:
    st.subheader("Story")
    if story.cut:
        st.caption("Its oldest events are left out.")
    found = timeline.moments(story, history)
    begun = story.job.created_at
    st.html(f'<ol class="au-line">{"".join(_line(moment, begun) for moment in found)}</ol>')


def _line(moment: timeline.Moment, begun: datetime) -> str:
    since = max((moment.at - begun).total_seconds(), 0.0)
    code = f"<code>{say(moment.code)}</code>" if moment.code else ""
    detail = f"<p>{say(moment.detail)}</p>" if moment.detail else ""
    return (
        f'<li data-tone="{say(moment.tone)}"><time title="{say(words.moment(moment.at))}">{say(words.clock(moment.at))}'
        f"<small>+{say(words.lasted(since))}</small></time><div><b>{say(moment.title)}</b>{code}{detail}</div></li>"
    )


def _picture(story: Story) -> None:
    shown = pictures.of(story)
    try:
        if shown.data is not None:
            st.image(shown.data, width="stretch")
    except Exception:  # noqa: BLE001 - whatever lies there, a page does not end over it
        shown = pictures.Shown(why="What lies there is no picture that can be shown.")
    if shown.data is None:
        st.html(f'<div class="au-nothing"><span aria-hidden="true"></span><p>{say(shown.why)}</p></div>')
    where = [
        "In the library" if story.library and not story.library.deleted_at else "",
        "removed from the library" if story.library and story.library.deleted_at else "",
        "in the workspace" if story.asset else "",
        "the primary portrait" if story.portrait and story.portrait.is_primary else "",
        "portrait removed on purpose" if story.portrait and story.portrait.deleted_at else "",
    ]
    said = ", ".join(filter(None, where))
    if said:
        st.caption(f"{said[0].upper()}{said[1:]}.")


def _facts(story: Story) -> None:
    rows = "".join(
        f"<div><dt>{say(name)}</dt><dd>{say(value)}</dd></div>" for name, value in _known(story) if value
    )
    st.html(f'<dl class="au-facts">{rows}</dl>')
    if story.job.retried_from:
        st.button(
            f"Asked again for {words.short(story.job.retried_from)}",
            key="retried_from",
            on_click=open_job,
            args=(story.job.retried_from,),
            type="tertiary",
            icon=":material/undo:",
        )
    for later in story.again:
        said = words.STATES[jobs.state_of(later.status, later.stage)].lower()
        st.button(
            f"Asked for again: {words.short(later.id)}, {said}",
            key=f"again_{later.id}",
            on_click=open_job,
            args=(later.id,),
            type="tertiary",
            icon=":material/redo:",
        )


def _known(story: Story) -> Iterator[tuple[str, str]]:
    job, row, said = story.job, story.row, story.job.metadata
    library, asset = story.library, story.asset
    yield "Asked", words.moment(job.created_at)
    yield "Took", words.lasted(row.seconds) if row.seconds is not None else ""
    yield "Cost", _spent(story)
    yield "Provider", words.provider(row.provider)
    yield "Model", row.model
    yield "Why this model", str(said.get("model_reason") or "")
    yield "Seed", str(said.get("seed") or "")
    yield "Size", f"{library.width} × {library.height}" if library and library.width else ""
    yield "File", f"{words.size(asset.file_size)}, {asset.media_type}" if asset else ""
    yield "Runs", str(job.lease) if job.lease > 1 else ""
    yield "Made by", "" if job.runner == "studio" else "the platform"
    yield "Person", words.short(job.user_id)


def _spent(story: Story) -> str:
    if story.row.cost_known is None:
        return "no entry in the ledger"
    return words.money(story.row.spent_usd)


def _requests(sent: Sequence[Sent]) -> None:
    st.subheader("Paid requests")
    if not sent:
        st.caption("Nothing was ever sent to a provider for this job.")
        return
    lines = [
        {
            "Attempt": one.attempt,
            "Provider": words.provider(one.provider),
            "Model": one.model_key,
            "Sent": words.moment(one.submitted_at),
            "Receipt": "yes" if one.received_at else "no",
            "Request": one.request_id or "",
            "Outcome": words.OUTCOMES.get(one.outcome, one.outcome or ""),
            "Settled by": words.settler(one.settled_by) if one.settled_by else "",
        }
        for one in sent
    ]
    st.dataframe(lines, key="requests", hide_index=True)
    with st.container(horizontal=True, horizontal_alignment="right"):
        tables.files(_requests_sheet(sent))


def _requests_sheet(sent: Sequence[Sent]) -> Sheet:
    return Sheet(
        name="job-requests",
        columns=("attempt", "provider", "model", "sent", "receipt", "request", "outcome", "settled"),
        rows=lambda: (
            (one.attempt, one.provider, one.model_key, one.submitted_at, one.received_at, one.request_id, one.outcome,
             one.settled_at)
            for one in sent
        ),
    )  # fmt: skip


def _ledger(story: Story) -> None:
    st.subheader("Costs")
    if not story.costs:
        st.caption("The ledger has no entry: the platform's own jobs are not priced.")
        return
    st.dataframe([_entry(one) for one in story.costs], key="costs", hide_index=True)
    with st.container(horizontal=True, horizontal_alignment="right"):
        tables.files(_ledger_sheet(story.costs))


def _ledger_sheet(costs: Sequence[CostEntry]) -> Sheet:
    return Sheet(
        name="job-costs",
        columns=("attempt", "kind", "amount_usd", "provider", "model", "units", "note", "at"),
        rows=lambda: (
            (one.attempt, one.kind, "unknown" if one.amount_usd is None else str(one.amount_usd),
             one.provider, one.model_key, one.units, one.note, one.at)
            for one in costs
        ),
    )  # fmt: skip


def _entry(one: CostEntry) -> dict[str, object]:
    units = ", ".join(f"{name} {value}" for name, value in (one.units or {}).items() if value is not None)
    return {
        "Attempt": one.attempt,
        "Kind": words.KINDS.get(one.kind, one.kind),
        "Amount": words.money(one.amount_usd),
        "Units": units,
        "Note": one.note or "",
        "Written": words.moment(one.at),
    }


def _prompt(story: Story) -> None:
    with st.expander("Prompt", icon=":material/notes:", key="prompt"):
        st.text(story.job.prompt or "This job has no prompt in its row.")
