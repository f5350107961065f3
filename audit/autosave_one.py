"""One portrait: its seven checks with their sentences, its picture, its findings, and its repair."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import streamlit as st

from audit import actions, colleagues, look, navigation, pictures, redraw, which_character, words
from audit.asking import asked, told
from audit.check_words import ANSWERS, HEALTHS, MARKS
from audit.look import badge, nothing, say
from audit.services import person, services
from core import findings, mending, proof
from core.audit import autosave, jobs
from core.audit import findings as findings_asked
from core.audit.autosave import CHECK_TITLES, PASSED_SENTENCES, SENTENCES, TITLES, Check, Earlier, Proof
from core.audit.findings import FindingRow, FindingState
from core.audit.jobs import Story
from core.db import Connection
from core.errors import StudioError
from core.mending import REPAIR
from core.values import JobId

_ADDRESS = "job"
_TOLD = "repair_told"


def open_one(job_id: object) -> None:
    """Go to one portrait; for a callback."""
    actions.forget()
    redraw.ask()
    st.session_state.pop(_TOLD, None)
    st.query_params[_ADDRESS] = str(job_id)


def close() -> None:
    """Go back to the list; for a callback."""
    st.session_state.pop(_TOLD, None)
    st.query_params.pop(_ADDRESS, None)


def chosen() -> str | None:
    """The job the address names, as it stands there."""
    return st.query_params.get(_ADDRESS)


def draw(named: str) -> None:
    """The portrait that the address names; its files are read whole for this."""
    st.button("All portraits", key="back", on_click=close, icon=":material/arrow_back:", type="tertiary")
    job_id = _as_id(named)
    if job_id is None:
        nothing("No such portrait", f"“{named[:60]}” is not the id of a job. Open one from the list.")
        return
    seen = asked(lambda conn: [autosave.of_job(conn, job_id)])  # as the person: whether they may see it
    if seen is None:
        return
    if seen[0] is None:
        nothing("No such portrait", "There is no portrait job with this id, or it is not one you may see.")
        return
    try:
        found = proof.look_or_rows(job_id, services())
    except StudioError as error:
        told(error)
        return
    _portrait(found.proof if found else seen[0])


def _as_id(named: str) -> JobId | None:
    try:
        return JobId(UUID(named))
    except ValueError:
        return None


def _portrait(one: Proof) -> None:
    around = asked(lambda conn: _around(conn, one.job_id))
    if around is None:
        return
    story, since, earlier, rows = around
    _head(one)
    _said_of_repair(one.job_id)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _standing(one, since, earlier)
        which_character.draw(one)
        st.html(
            f'<ol class="au-seven">{"".join(_check(place, check, one) for place, check in enumerate(Check, 1))}</ol>'
        )
        look.as_of(datetime.now(UTC), "Files were read for this.")
    with right:
        _picture(story)
        _facts(one)
        _findings(rows)


def _around(
    conn: Connection, job_id: JobId
) -> tuple[Story | None, datetime | None, Earlier | None, Sequence[FindingRow]]:
    return (
        jobs.story(conn, job_id),
        autosave.broken_since(conn, [job_id]).get(job_id),
        autosave.last_repair(conn, job_id),
        findings_asked.of_row(conn, "jobs", str(job_id)),
    )


def _head(one: Proof) -> None:
    said, tone = HEALTHS[one.health]
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="job_head"
    ):
        st.html(
            f'<div class="au-head"><h1>{say(one.character or "A portrait without a character")}</h1>'
            f"<p>{badge(said, tone)}<code>{say(one.job_id)}</code></p></div>",
            width="content",
        )
        with st.container(horizontal=True, width="content", vertical_alignment="center"):
            navigation.link("jobs", "The job’s story", job=str(one.job_id))
            if REPAIR.is_for(person()):
                st.button(
                    "Repair",
                    key="repair_one",
                    type="primary" if one.failures else "secondary",
                    icon=":material/build:",
                    on_click=_repair,
                    args=(one.job_id,),
                )


def _repair(job_id: JobId) -> None:
    """Repair what is wrong now, and keep what came of it for the page that is drawn next."""
    try:
        done = mending.repair(job_id, person(), services())
        tone = "success" if done.mended and not done.left else "warning" if done.left else "info"
        st.session_state[_TOLD] = (job_id, tone, mending.told(done, person(), services()))
    except StudioError as error:
        st.session_state[_TOLD] = (job_id, "error", error.sentence)


def _said_of_repair(job_id: JobId) -> None:
    said = st.session_state.get(_TOLD)
    if said is None or said[0] != job_id:
        return
    _, tone, sentence = said
    icon = {"success": "check_circle", "warning": "rule", "info": "group", "error": "error"}[tone]
    {"success": st.success, "warning": st.warning, "info": st.info, "error": st.error}[tone](
        sentence, icon=f":material/{icon}:"
    )


def _standing(one: Proof, since: datetime | None, earlier: Earlier | None) -> None:
    broken = one.first_broken
    if broken:
        check, reason = broken
        known = f"Known for {words.ago(since).removesuffix(' ago')}." if since else "No check has met it yet."
        st.html(
            f'<p class="au-broken"><b>Broken at {list(Check).index(check) + 1}, {say(CHECK_TITLES[check].lower())}.</b> '
            f"{say(SENTENCES[reason])} {say(known)}</p>"
        )
    if earlier is not None:
        by = colleagues.called(earlier.by, colleagues.names(), nobody="the studio")
        what = ", ".join(TITLES[reason].lower() for reason in earlier.mended)
        st.html(f'<p class="au-age">{say(f"Last repaired by {by} {words.ago(earlier.at)}: {what}.")}</p>')


def _check(place: int, check: Check, one: Proof) -> str:
    outcome, reason = one.outcome(check), one.reason(check)
    sentence = SENTENCES[reason] if reason is not None else PASSED_SENTENCES[check]
    return (
        f'<li data-outcome="{say(outcome)}"><span aria-hidden="true">{MARKS[outcome]}</span><div><h4>{place} · '
        f"{say(CHECK_TITLES[check])}<small>{say(ANSWERS[outcome])}</small></h4><p>{say(sentence)}</p></div></li>"
    )


def _picture(story: Story | None) -> None:
    shown = pictures.of(story) if story is not None else pictures.Shown(why="Its job is not there any more.")
    if shown.data is None:
        st.html(f'<div class="au-nothing"><span aria-hidden="true"></span><p>{say(shown.why)}</p></div>')
        return
    try:
        st.image(shown.data, width=320)
    except Exception:  # noqa: BLE001 - whatever lies there, a page does not end over it
        st.html('<div class="au-nothing"><p>What lies there is no picture that can be shown.</p></div>')


def _facts(one: Proof) -> None:
    facts = {
        "Ended": words.moment(one.ended_at),
        "Made by": words.provider(one.provider) if one.provider else "not recorded",
        "Asked through": "the platform" if one.runner == "platform" else "the studio",
        "Character": str(one.character_id) if one.character_id else "none named",
        "Asked by": colleagues.called(one.user_id, {}),
    }
    pairs = "".join(f"<div><dt>{say(name)}</dt><dd>{say(said)}</dd></div>" for name, said in facts.items())
    st.html(f'<dl class="au-facts">{pairs}</dl>')


def _findings(rows: Sequence[FindingRow]) -> None:
    if not rows:
        return
    st.subheader("Findings", anchor=False)
    lines = "".join(
        f'<li><a href="{say(navigation.href("findings", finding=str(row.id)))}" target="_self">'
        f"{say(findings.rule_of(row.rule).title)}</a> {_state(row)}</li>"
        for row in rows
    )
    st.html(f'<ul class="au-links">{lines}</ul>')


def _state(row: FindingRow) -> str:
    tone = {FindingState.open: "bad", FindingState.mended: "good", FindingState.set_aside: "calm"}[row.state]
    return badge(row.state.replace("_", " ").capitalize(), tone)
