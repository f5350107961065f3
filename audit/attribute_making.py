"""Making attribute images from the dashboard: the plan before anything is paid, the run while it works, all runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import streamlit as st

from audit import attribute_review, navigation, redraw, tables, typed, words
from audit.asking import asked, told
from audit.filters import shared
from audit.look import as_of, badge, nothing, plain, say
from audit.services import any_worker, person, services
from core import attributes
from core.attributes import NO_WORKER, AttributePlan, CellStatus, Maker, Progress, Run
from core.audit import attributes as questions
from core.audit.attributes import RunLine
from core.db.attributes import AskOutcome
from core.errors import StudioError
from core.plans import price_words
from core.values import Cell, ModelId

EVERY = 2  # seconds between two looks at a run
_PENDING = "attributes_pending"
_RUN = "run"
_LIMIT, _MODEL = "making_limit", "making_model"
_FORM = "making_question"
_BY_ITSELF = "Chosen for you"
_NAMED = 5  # models of unknown price, before "and more"


@dataclass(frozen=True, kw_only=True)
class Pending:
    """What is about to be asked for. `run_id` is made when the question opens, so that two clicks are one run."""

    cells: tuple[Cell, ...]
    again: bool
    run_id: UUID


def offer_missing(gaps: Sequence[CellStatus]) -> None:
    """The button that makes what is missing or failed."""
    st.button(
        f"Make {len(gaps)} missing" if gaps else "Nothing is missing",
        key="make_missing",
        icon=":material/auto_awesome:",
        disabled=not gaps,
        on_click=_open,
        args=(tuple(one.cell for one in gaps), False),
    )
    _question()


def offer_again(cells: Sequence[Cell]) -> None:
    """The button that makes chosen pictures again."""
    st.button(
        f"Make {len(cells)} again" if cells else "None chosen",
        key="make_again",
        icon=":material/refresh:",
        disabled=not cells,
        on_click=_open,
        args=(tuple(cells), True),
    )


def offer_one(one: CellStatus) -> None:
    """The button that makes one cell's picture, for the first time or again."""
    open_now = one.state in (attributes.CellState.queued, attributes.CellState.running)
    off = one.state is attributes.CellState.not_required
    again = one.picture is not None and one.state is attributes.CellState.ready
    st.button(
        "Make again" if again else "Make it",
        key="make_one",
        icon=f":material/{'refresh' if again else 'auto_awesome'}:",
        disabled=open_now or off,
        help="Its option is switched off." if off else None,
        on_click=_open,
        args=((one.cell,), again),
    )
    _question()


def _open(cells: tuple[Cell, ...], again: bool) -> None:
    st.session_state[_PENDING] = Pending(cells=cells, again=again, run_id=uuid4())
    redraw.ask()


def _forget() -> None:
    st.session_state.pop(_PENDING, None)
    typed.drop(_FORM)


def _question() -> None:
    pending = st.session_state.get(_PENDING)
    if isinstance(pending, Pending):
        several = f"{len(pending.cells)} pictures" if len(pending.cells) > 1 else "1 picture"
        title = f"Make {several}{' again' if pending.again else ''}"
        st.dialog(title, on_dismiss=_forget)(_ask)(pending)


# -- before anything is paid ----------------------------------------------------------------------------------------


def _ask(pending: Pending) -> None:
    typed.begin(_FORM, {_LIMIT: None, _MODEL: _BY_ITSELF})
    try:
        makers = attributes.makers(person(), services())
    except StudioError as error:
        told(error)
        return
    limit = st.number_input(
        "Spend at most, in dollars",
        min_value=0.0,
        value=None,
        step=0.10,
        format="%.2f",
        key=_LIMIT,
        placeholder="No limit of its own; budgets still hold",
    )
    by_label = {_label(one): one for one in makers}
    chosen = st.selectbox("Model", [_BY_ITSELF, *by_label], key=_MODEL)
    model_id = by_label[chosen].model.id if chosen in by_label else None
    plan = _planned(pending, _dollars(limit), model_id)
    if plan is not None:
        _show(plan, pending, [one for one in makers if one.price is None])
    _answer(plan, pending, _dollars(limit), model_id)


def _dollars(typed: float | None) -> Decimal | None:
    return None if typed is None else Decimal(str(typed))


def _label(one: Maker) -> str:
    return f"{one.model.display_name}, {price_words(one.price)}"


def _planned(pending: Pending, limit: Decimal | None, model_id: ModelId | None) -> AttributePlan | None:
    try:
        return attributes.plan(person(), services(), cells=pending.cells, limit_usd=limit, model_id=model_id)
    except StudioError as error:
        told(error)
        return None


def _show(plan: AttributePlan, pending: Pending, unknown: Sequence[Maker]) -> None:
    """The plan as people read it: how many, at what price, how long; what is left out; whose price nobody knows."""
    total = (
        "not known"
        if plan.total_usd is None
        else f"about {words.money(plan.total_usd)}"
        if plan.price
        else "free"
    )
    seconds = "not measured yet" if plan.seconds is None else f"about {words.lasted(plan.seconds)}"
    lines = {
        "Pictures": str(len(plan.cells)),
        "Model": f"{plan.model.display_name}, {price_words(plan.price)}{' each' if plan.price else ''}",
        "Together": total,
        "Time": seconds,
    }
    if plan.beyond_limit:
        lines["Left out"] = f"{len(plan.beyond_limit)}, because the limit has no room for them"
    if plan.placeholders:
        lines["Replaced"] = f"{plan.placeholders} placeholders of Sketch"
    rows = "".join(f"<div><dt>{say(name)}</dt><dd>{say(said)}</dd></div>" for name, said in lines.items())
    st.html(f'<dl class="au-facts">{rows}</dl>')
    if plan.price is None:
        st.warning(
            f"**Nobody knows what {plan.model.display_name} costs**, so what this spends cannot be told before.",
            icon=":material/help:",
        )
    if unknown:
        names = ", ".join(one.model.display_name for one in unknown[:_NAMED])
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        st.caption(f"Price not known: {names}{more}. With a limit, these are not used.")
    if pending.again:
        st.caption(
            "What stands now stays until the new picture is there, and is kept as a version. Its review begins again."
        )
    if asked(any_worker) is False:
        st.info(NO_WORKER, icon=":material/schedule:")


def _answer(
    plan: AttributePlan | None, pending: Pending, limit: Decimal | None, model_id: ModelId | None
) -> None:
    refusal = st.container()
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Leave it", key="dialog_no"):
            _forget()
            st.rerun()
        agreed = st.button(
            f"Make {len(plan.cells)}" if plan else "Make them",
            key="dialog_yes",
            type="primary",
            disabled=plan is None or not plan.cells,
        )
    if agreed:
        _begin(pending, limit, model_id)
    with refusal:
        typed.tell(_FORM)


def _begin(pending: Pending, limit: Decimal | None, model_id: ModelId | None) -> None:
    try:
        run = _asked_for(pending, limit, model_id)
    except StudioError as error:
        typed.refuse(_FORM, error)
        return
    _forget()
    st.session_state.pop("attributes_selected", None)
    st.query_params[_RUN] = str(run.id)
    made = len(run.of(AskOutcome.asked, AskOutcome.asked_before))
    others = sorted({one.why for one in run.cells if one.why})
    attribute_review.say_next(" ".join([f"{made} asked for.", *others]))
    st.rerun()


def _asked_for(pending: Pending, limit: Decimal | None, model_id: ModelId | None) -> Run:
    if pending.again:
        return attributes.regenerate(
            pending.cells, person(), services(), limit_usd=limit, model_id=model_id, run_id=pending.run_id
        )
    return attributes.generate(
        person(),
        services(),
        cells=pending.cells,
        limit_usd=limit,
        model_id=model_id,
        run_id=pending.run_id,
    )


# -- while it works -------------------------------------------------------------------------------------------------


def following(cells: Sequence[CellStatus]) -> None:
    """The run that the address names, else the newest that still works; nothing where there is none."""
    named = _named()
    open_jobs = [one.job for one in cells if one.job is not None and one.job.is_open]
    newest = max(open_jobs, key=lambda job: job.asked_at, default=None)
    run_id = named or (newest.run_id if newest else None)
    if run_id is not None:
        live = shared().live and newest is not None
        st.fragment(_run, run_every=EVERY if live else None)(run_id)


def _named() -> UUID | None:
    try:
        return UUID(st.query_params.get(_RUN, ""))
    except ValueError:
        return None


def _run(run_id: UUID) -> None:
    redraw.heed()
    try:
        seen = attributes.progress(run_id, person(), services())
    except StudioError as error:
        told(error)
        return
    with st.container(key="attribute_run"):
        ended = seen.total - seen.running - seen.queued
        st.progress(ended / seen.total if seen.total else 1.0, text=_progress_words(seen))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.html(f'<p class="au-age">{say(_money_words(seen))}</p>', width="stretch")
            if seen.is_over:
                st.button("Close", key="run_close", type="tertiary", on_click=_close)
            elif not seen.is_cancelled and attribute_review.is_maker():
                st.button(
                    "Cancel the run",
                    key="run_cancel",
                    icon=":material/block:",
                    on_click=_cancel,
                    args=(run_id,),
                )
        for cell, why in seen.failures[:3]:
            st.caption(f"{cell}: {plain(words.sentence(why))}")


def _progress_words(seen: Progress) -> str:
    parts = [
        f"{number} {said}"
        for number, said in (
            (seen.running, "being made"),
            (seen.queued, "waiting"),
            (seen.failed, "failed"),
            (seen.cancelled, "cancelled"),
            (seen.unknown, "with an unknown outcome"),
        )
        if number
    ]
    state = "Cancelled: " if seen.is_cancelled else ""
    return f"{state}{seen.done} of {seen.total} made{', ' if parts else ''}{', '.join(parts)}"


def _money_words(seen: Progress) -> str:
    spent = words.money(seen.spent_usd)
    unknown = f", and {seen.unknown_costs} amounts nobody knows" if seen.unknown_costs else ""
    if seen.is_over:
        return f"Spent {spent}{unknown}."
    return f"Spent {spent}{unknown}; {_time_left(seen.seconds_left)}."


def _time_left(seconds: float | None) -> str:
    if seconds is None:
        return "time left not measured yet"
    return f"about {words.lasted(seconds)} left" if seconds >= 1 else "a moment left"


def _close() -> None:
    st.query_params.pop(_RUN, None)
    redraw.ask()


def _cancel(run_id: UUID) -> None:
    try:
        cancelled, sent = attributes.cancel_run(run_id, person(), services())
    except StudioError as error:
        attribute_review.refuse_next(error)
        redraw.ask()
        return
    late = f" {sent} were sent already and are asked to stop." if sent else ""
    attribute_review.say_next(f"The run is cancelled: {cancelled} at no cost.{late}")
    redraw.ask()


# -- all runs -------------------------------------------------------------------------------------------------------


def runs() -> None:
    """The newest runs: who asked, what came of it, what it cost."""
    found = asked(questions.runs)
    if found is None:
        return
    if not found:
        nothing("No run yet", "Make what is missing, and the run appears here with what it cost.")
        return
    st.html(f'<div class="at-jobs at-runs">{"".join(map(_line, found))}</div>')
    with st.container(horizontal=True):
        as_of(datetime.now(UTC), "The newest 50 runs.")
        st.space("stretch")
        tables.files(_sheet(found))


def _line(one: RunLine) -> str:
    open_now = one.asked - one.done - one.failed - one.cancelled
    tone = "accent" if open_now else "bad" if one.failed else "calm" if one.cancelled_at else "good"
    said = (
        "Working"
        if open_now
        else "Cancelled"
        if one.cancelled_at
        else "Some failed"
        if one.failed
        else "Done"
    )
    who = "you" if one.asked_by == person().id else words.short(one.asked_by)
    limit = f", at most {words.money(one.limit_usd)}" if one.limit_usd is not None else ""
    unknown = f" + {one.unknown_costs} unknown" if one.unknown_costs else ""
    kind = "Made again" if one.kind == "regenerate" else "Made what was missing"
    failed = f", {one.failed} failed" if one.failed else ""
    stopped = f", {one.cancelled} cancelled" if one.cancelled else ""
    return (
        f'<a href="{say(navigation.href("attributes", run=str(one.id)))}" target="_self">{badge(said, tone)}'
        f"<span>{say(words.moment(one.asked_at))}<small>{say(kind)}, asked by {say(who)}{say(limit)}</small></span>"
        f"<span>{one.done} of {one.asked} made{failed}{stopped}</span>"
        f"<span>{say(words.money(one.spent_usd))}{unknown}</span><code>{say(words.short(one.id))}</code></a>"
    )


def _sheet(found: Sequence[RunLine]) -> tables.Sheet:
    return tables.Sheet(
        name="attribute-runs",
        columns=(
            "run", "kind", "asked_by", "asked", "limit_usd", "cancelled", "pictures", "made", "failed",
            "cancelled_pictures", "spent_usd", "unknown_costs",
        ),
        rows=lambda: [
            (
                one.id, one.kind, one.asked_by, one.asked_at, one.limit_usd, one.cancelled_at, one.asked, one.done,
                one.failed, one.cancelled, one.spent_usd, one.unknown_costs,
            )
            for one in found
        ],
    )  # fmt: skip
