"""How the check of every row stands: the age of the last one, when the next one begins, and Check now for QA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import streamlit as st

from audit import redraw, words
from audit.asking import asked, told
from audit.look import say
from audit.services import any_worker, person, services
from core import row_rules
from core.audit import adoptions
from core.audit.adoptions import Sweep
from core.authority import Action, may
from core.db import Connection, parts
from core.errors import StudioError

WHILE_RUNNING = 2.0  # seconds between two looks
_SILENT = 60.0  # seconds without a step until a check counts as standing still
_CLOCK = "check_rows"
_FLASH = "rows_check_told"


@dataclass(frozen=True, kw_only=True)
class _Stand:
    sweeps: Sequence[Sweep]
    next_at: datetime | None

    @property
    def running(self) -> Sweep | None:
        return next((one for one in self.sweeps if one.finished_at is None), None)

    @property
    def ended(self) -> Sweep | None:
        return next((one for one in self.sweeps if one.finished_at is not None), None)


def draw() -> None:
    """One line, and a bar while a check runs or waits; nothing for people who may not read it."""
    if not may(person(), Action.see_everybodys):
        return
    found = asked(_read)
    if found is None:
        return
    st.fragment(_drawn, run_every=WHILE_RUNNING if found.running else None)(found.running is not None)


def _read(conn: Connection) -> _Stand:
    clocks = {one.name: one.next_run for one in parts.schedules(conn)}
    return _Stand(sweeps=adoptions.sweeps(conn), next_at=clocks.get(_CLOCK))


def _drawn(was_running: bool) -> None:
    redraw.heed()
    found = asked(_read)
    if found is None:
        return
    if was_running != (found.running is not None):
        st.rerun(scope="app")  # it has ended or begun: the lists below are others now
    with st.container(horizontal=True, vertical_alignment="center", key="rows_check"):
        st.html(f'<p class="au-rowscheck">{_words(found)}</p>', width="stretch")
        if may(person(), Action.check_rows):
            st.button(
                "Check every row now",
                key="rows_check_now",
                icon=":material/fact_check:",
                disabled=found.running is not None,
                on_click=_ask,
            )
    if said := st.session_state.pop(_FLASH, None):
        told(said)
    if found.running is not None:
        _progress(found.running)


def _words(found: _Stand) -> str:
    ended = found.ended
    if ended is None or ended.finished_at is None:
        said = "<b>Not every row was checked yet.</b>"
    else:
        said = (
            f"<b>Every row was checked {say(words.ago(ended.finished_at))}</b>, {ended.looked_at:,} of them."
        )
    later = found.next_at is not None and found.next_at > datetime.now(UTC)
    return f"{said} The next check begins {say(_when(found.next_at))}." if later else said


def _when(at: datetime | None) -> str:
    return (
        f"at {words.clock(at)[:5]}, in {words.lasted((at - datetime.now(UTC)).total_seconds())}" if at else ""
    )


def _progress(running: Sweep) -> None:
    expected = max(running.expected, running.looked_at, 1)
    looked = f"{running.looked_at:,} of about {expected:,} rows looked at. " if running.started_at else ""
    st.progress(min(running.looked_at / expected, 1.0), text=f"{looked}{_standing(running)}")


def _standing(running: Sweep) -> str:
    heard = running.beat_at or running.asked_at
    silent = (datetime.now(UTC) - heard).total_seconds()
    if running.started_at is not None and silent < _SILENT:
        return f"Running since {words.clock(running.started_at)}."
    if asked(any_worker) is False:
        return "No worker is running: it goes on when one starts."
    if running.started_at is None:
        return "A worker begins within a minute."
    return f"Nothing was heard of it for {words.lasted(silent)}; a worker goes on with it."


def _ask() -> None:
    redraw.ask()
    try:
        row_rules.ask(person(), services())
    except StudioError as error:
        st.session_state[_FLASH] = error
