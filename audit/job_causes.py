"""Why jobs fail: the same cause once, how often, since when and until when, with a job to look at."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from audit import job_box, job_story, tables, words
from audit.asking import asked
from audit.look import nothing, say
from audit.services import person, services
from audit.tables import Sheet
from core.audit import causes
from core.audit.causes import Cause, Causes
from core.audit.job_filter import Query
from core.audit.job_search import Sought
from core.services import Services
from core.values import Person

_COLUMNS = ("number", "code", "sentence", "provider", "model", "first", "last", "example")


def draw(wanted: Sought, query: Query) -> None:
    """The causes of the failures among what is asked for, the most frequent first."""
    now = datetime.now(UTC)
    found = asked(lambda conn: causes.groups(conn, wanted, now))
    if found is None:
        return
    if not found.shown:
        nothing("Nothing failed", "Among the jobs that are asked for, none has failed.")
        return
    st.html(f'<p class="au-looked">{say(_said(found, now))}</p>')
    for cause in found.shown:
        _cause(cause, query)
    with st.container(horizontal=True, horizontal_alignment="right", key="cause_files"):
        tables.files(sheet(services(), person(), wanted, now))


def _said(found: Causes, now: datetime) -> str:
    kinds = "1 cause" if len(found.shown) == 1 else f"{len(found.shown)} causes"
    more = f", and {found.left_out} rarer ones that are not shown" if found.left_out else ""
    bound = f" Only the newest {causes.READ:,} were read." if found.cut else ""
    bar = words.lasted(causes.bar_length(found, now).total_seconds())
    since = f" since {words.moment(found.since)}" if found.since else ""
    return f"{kinds}{more}, of {found.read:,} failed jobs{since}.{bound} Each bar is {bar}. As of {words.clock(now)}."


def _cause(cause: Cause, query: Query) -> None:
    with st.container(key=f"cause_{cause.example}"):
        st.html(_html(cause))
        with st.container(horizontal=True, gap="small"):
            st.button(
                "Show these jobs",
                key=f"show_{cause.example}",
                icon=":material/filter_alt:",
                on_click=_show,
                args=(causes.as_filter(cause, query),),
            )
            st.button(
                f"Newest: {words.short(cause.example)}",
                key=f"open_{cause.example}",
                icon=":material/open_in_new:",
                type="tertiary",
                on_click=job_story.open_job,
                args=(cause.example,),
            )


def _html(cause: Cause) -> str:
    code = f"<code>{say(cause.code)}</code>" if cause.code else ""
    maker = ", ".join(filter(None, (words.provider(cause.provider) if cause.provider else "", cause.model)))
    often = (
        "once" if cause.number == 1 else f"first {words.ago(cause.first_at)}, last {words.ago(cause.last_at)}"
    )
    seen = words.ago(cause.last_at) if cause.number == 1 else often
    highest = max(cause.trend) or 1
    bars = "".join(
        f'<i {"data-some" if one else ""} style="height:{max(round(100 * one / highest), 6)}%"></i>'
        for one in cause.trend
    )
    return (
        f'<div class="au-cause"><b>{cause.number:,}×</b><div><h3>{say(words.sentence(cause.sentence) or "No reason was written down.")}</h3>'
        f"<p>{code}<span>{say(maker)}</span><span>{say(seen)}</span></p></div>"
        f'<div class="au-bars" role="img" aria-label="{say(_course(cause))}">{bars}</div></div>'
    )


def _course(cause: Cause) -> str:
    """The trend for those who do not see it."""
    half = len(cause.trend) // 2
    return f"{sum(cause.trend[:half])} in the first half of the time, {sum(cause.trend[half:])} in the second"


def _show(text: str) -> None:
    job_box.put(text)
    st.session_state["show"] = "Jobs"


def sheet(given: Services, reader: Person, wanted: Sought, now: datetime) -> Sheet:
    """The causes as a file."""

    def rows() -> list[tuple[object, ...]]:
        with given.db.as_reader(reader) as conn:
            found = causes.groups(conn, wanted, now)
        return [
            (
                one.number,
                one.code,
                words.sentence(one.sentence),
                one.provider,
                one.model_key,
                one.first_at,
                one.last_at,
                one.example,
            )
            for one in found.shown
        ]

    return Sheet(name="causes", columns=_COLUMNS, rows=rows)
