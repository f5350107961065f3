"""How well portraits are saved: one sentence, the seven checks, and a check that runs or can be started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import streamlit as st

from audit import cards, look, redraw, words
from audit.asking import asked, told
from audit.cards import Card
from audit.filters import ALWAYS, Shared
from audit.look import badge, say
from audit.services import any_worker, person, services
from core import proof
from core.audit import autosave
from core.audit.autosave import CHECK_TITLES, WHOLE, Check, HealthLine, Run
from core.audit.jobs import Counted
from core.authority import Action, may
from core.db import Connection
from core.errors import StudioError

EVERY, WHILE_RUNNING = 20.0, 2.0  # seconds between two looks
_SILENT = 60.0  # seconds without a step until a check counts as standing still
_FLASH = "check_told"
_BY_FILES = (Check.workspace, Check.library_object, Check.thumbnail)


@dataclass(frozen=True, kw_only=True)
class _Health:
    """What the last checks left, and what is under way."""

    files: Mapping[str, HealthLine]
    rows: Mapping[str, HealthLine]
    broken: Counted
    runs: Sequence[Run]
    lag: autosave.Lag


def draw(shared: Shared) -> None:
    """The state of auto-save; it reads again by itself while live, and quicker while a check runs."""
    found = asked(_read)
    if found is None:
        return
    every = WHILE_RUNNING if found.runs else EVERY
    st.fragment(_drawn, run_every=every if shared.live or found.runs else None)(
        shared, frozenset(one.id for one in found.runs)
    )


def _read(conn: Connection) -> _Health:
    return _Health(
        files=autosave.latest(conn, with_objects=True),
        rows=autosave.latest(conn, with_objects=False),
        broken=autosave.broken_count(conn),
        runs=autosave.under_way(conn),
        lag=autosave.lag(conn),
    )


def _drawn(shared: Shared, begun: frozenset[object]) -> None:
    redraw.heed()
    found = asked(_read)
    if found is None:
        return
    if begun - {one.id for one in found.runs}:
        st.rerun(scope="app")  # a check has ended: the lists below are others now
    with st.container(horizontal=True, vertical_alignment="center", key="health_head"):
        st.html(_headline(found), width="stretch")
        _offer_check(shared)
    for run in found.runs:
        _run(run)
    if found.files or found.rows:
        cards.draw([_card(check, found) for check in Check], key="seven_checks")
    look.as_of(datetime.now(UTC), _ages(found))


def _headline(found: _Health) -> str:
    tone, word, sentence = _verdict(found)
    waiting = ""
    if found.lag.waiting:
        number = f"{found.lag.waiting:,}{'+' if found.lag.more else ''}"
        since = f", the oldest for {words.lasted(_age(found.lag.oldest_at))}" if found.lag.oldest_at else ""
        waiting = f" {number} of the last {autosave.LAG_DAYS} days wait to be saved{since}."
    return f'<div class="au-health">{badge(word, tone)}<p>{say(sentence + waiting)}</p></div>'


def _verdict(found: _Health) -> tuple[str, str, str]:
    """Tone, word and sentence: what was not checked is never called well."""
    if not found.files and not found.rows:
        return "warn", "Not checked", "No check has ended yet, so nothing is known. Start one with Check now."
    if found.broken.number:
        many = f"{words.count(found.broken)} {'portrait is' if found.broken == Counted(number=1) else 'portraits are'}"
        return "bad", "Broken", f"{many} broken. The reasons stand below, each with its repair."
    if not found.files:
        return "warn", "Not proven", "Rows are in order. No file was looked at yet, so nothing is proved."
    whole = found.files[WHOLE]
    if whole.not_checked:
        return (
            "warn",
            "Not proven",
            f"None is known to be broken; {whole.not_checked:,} of {whole.looked_at:,} could not be checked whole.",
        )
    if whole.failed:
        return (
            "accent",
            "Repaired",
            "None is known to be broken: what the last check found was repaired since. Check now proves all again.",
        )
    return "good", "Well", f"All {whole.passed:,} portraits are saved, and proved."


def _card(check: Check, found: _Health) -> Card:
    line = _line(check, found)
    label = f"{list(Check).index(check) + 1} · {CHECK_TITLES[check]}"
    if line is None:
        return Card(label=label, value=None, note="no check looked at it yet")
    made = line.passed + line.failed
    parts = [f"{line.failed:,} failed"] if line.failed else []
    parts += [f"{line.not_checked:,} not checked"] if line.not_checked else []
    parts += [f"{line.not_applicable:,} not applicable"] if line.not_applicable else []
    if not made:
        return Card(label=label, value="not checked", note=", ".join(parts) or "no portrait yet", tone="warn")
    tone = "bad" if line.failed else "warn" if line.not_checked else "good"
    mark = {"bad": "✕", "warn": "?", "good": "✓"}[tone]
    return Card(
        label=label,
        value=f"{mark} {line.passed:,} of {made:,}",
        note=", ".join(parts) or "all passed",
        tone=tone,
    )


def _line(check: Check, found: _Health) -> HealthLine | None:
    """The newest answer: of what needs files, from a check that looked at them."""
    files, rows = found.files.get(check), found.rows.get(check)
    if check in _BY_FILES or rows is None:
        return files or rows
    return rows if files is None or rows.at > files.at else files


def _ages(found: _Health) -> str:
    said = [
        f"{name} last checked {words.ago(lines[WHOLE].at)}"
        for name, lines in (("Rows", found.rows), ("rows and files", found.files))
        if lines
    ]
    return words.sentence(f"{', '.join(said)}.") if said else ""


def _age(at: datetime) -> float:
    return max((datetime.now(UTC) - at).total_seconds(), 0.0)


# -- a check now -----------------------------------------------------------------------------------------------------


def _offer_check(shared: Shared) -> None:
    if not may(person(), Action.check_autosave):
        return
    with st.popover("Check now", icon=":material/fact_check:", key="check_now"):
        st.radio(
            "What is looked at",
            ["Rows and files", "Rows only"],
            key="check_what",
            captions=[
                "Each file is read, where the store is near.",
                "Seconds, also for very many portraits.",
            ],
        )
        st.caption(f"Of {_period(shared)}. A worker carries it out; you may leave this page.")
        st.button("Start", key="check_start", type="primary", on_click=_start, args=(shared,))
        if said := st.session_state.pop(_FLASH, None):
            told(said)


def _period(shared: Shared) -> str:
    return "all time" if shared.period == ALWAYS else f"the last {shared.period}"


def _start(shared: Shared) -> None:
    redraw.ask()
    with_objects = st.session_state.get("check_what") != "Rows only"
    try:
        proof.ask(person(), services(), since=shared.since, with_objects=with_objects)
    except StudioError as error:
        st.session_state[_FLASH] = error


def _run(run: Run) -> None:
    """How far a check is, or why it does not go on."""
    what = "Rows and files" if run.with_objects else "Rows"
    of = "of all time" if run.since is None else f"since {words.moment(run.since)}"
    expected = max(run.expected, run.looked_at, 1)
    with st.container(key=f"check_{run.id}"):
        st.progress(
            min(run.looked_at / expected, 1.0),
            text=f"**{what}** {of}: {run.looked_at:,} of {max(run.expected, run.looked_at):,} looked at"
            f"{f', {run.broken:,} broken' if run.broken else ''}. {_standing(run)}",
        )


def _standing(run: Run) -> str:
    if run.trouble:
        return f"It stands still: {run.trouble} It goes on by itself; what was not looked at is not counted as well."
    silent = _age(run.beat_at)
    if run.waits or silent > _SILENT:
        if asked(any_worker) is False:
            return "No worker is running: it goes on when one starts."
        return (
            "It waits for a worker." if run.waits else f"Nothing was heard of it for {words.lasted(silent)}."
        )
    return f"Running since {words.clock(run.started_at)}."
