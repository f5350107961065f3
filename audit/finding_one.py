"""One finding: what was found, what its rule means, the way to the page that mends it, and what people did with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from audit import actions, finding_deeds, look, navigation, redraw, words
from audit.asking import asked
from audit.colleagues import Names, called
from audit.look import badge, nothing, say
from core.audit import findings as questions
from core.audit.findings import FindingEvent, FindingRow, FindingState
from core.findings import Place, Rule, rule_of

_ADDRESS = "finding"
_TABLES = {
    "jobs": "Job",
    "workspace_assets": "Result",
    "user_library": "Library row",
    "character_portraits": "Portrait",
    "characters": "Character",
    "submissions": "Request",
    "character_scenes": "Scene",
    "attribute_images": "Attribute image",
    "style_images": "Style image",
    "api_models": "Model",
    "workspace-temp": "File",
    "library": "File",
}
_TONES = {FindingState.open: "bad", FindingState.mended: "good", FindingState.set_aside: "calm"}
_DONE = {
    "finding_assigned": "gave it on",
    "finding_noted": "noted",
    "finding_set_aside": "set it aside",
    "finding_brought_back": "brought it back",
}


def open_one(finding_id: int) -> None:
    """Go to one finding; for a callback."""
    actions.forget()
    redraw.ask()
    st.query_params[_ADDRESS] = str(finding_id)


def close() -> None:
    """Go back to the list; for a callback."""
    st.query_params.pop(_ADDRESS, None)


def chosen() -> str | None:
    """The finding the address names, as it stands there."""
    return st.query_params.get(_ADDRESS)


def row_words(row: FindingRow) -> str:
    """The row a finding is about, in a few words."""
    table = _TABLES.get(row.table_name, row.table_name.replace("_", " ").capitalize())
    return f"{table} {words.short(row.row_id)}"


def mended_words(row: FindingRow, names: Names) -> str:
    """Who mended it; a finding that was not found any more was mended by nobody known."""
    return called(row.mended_by, names, nobody="not found any more") if row.mended_at else ""


def draw(named: str, names: Names) -> None:
    """The finding that the address names."""
    st.button("All findings", key="back", on_click=close, icon=":material/arrow_back:", type="tertiary")
    number = int(named) if named.isascii() and named.isdigit() and len(named) <= 18 else None  # noqa: PLR2004 - digits of a bigint
    answer = asked(lambda conn: questions.of_ids(conn, [number])) if number is not None else []
    if answer is None:
        return
    if number is None or not answer:
        nothing("No such finding", "There is no finding with this number, or it is not one you may see.")
        return
    events = asked(lambda conn: questions.events(conn, number))
    if events is not None:
        _finding(answer[0], rule_of(answer[0].rule), events, names)


def _finding(row: FindingRow, rule: Rule, events: Sequence[FindingEvent], names: Names) -> None:
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="job_head"
    ):
        st.html(
            f'<div class="au-head"><h1>{say(rule.title)}</h1><p>{badge(_state(row), _TONES[row.state])}'
            f"<code>{say(row_words(row))}</code></p></div>",
            width="content",
        )
        with st.container(horizontal=True, width="content", vertical_alignment="center", key="finding_deeds"):
            finding_deeds.offer([row], names)
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.html(f'<p class="au-found">{say(words.sentence(row.sentence))}</p>')
        st.html(
            f'<div class="au-explained"><dl><div><dt>What it means</dt><dd>{say(rule.means)}</dd></div>'
            f"<div><dt>Who mends it</dt><dd>{say(rule.who)}</dd></div>"
            f"<div><dt>What to do</dt><dd>{say(rule.todo)}</dd></div></dl></div>"
        )
        _way(row, rule)
    with right:
        _facts(row, names)
        _record(events, names)
    look.as_of(datetime.now(UTC))


def _state(row: FindingRow) -> str:
    return row.state.value.replace("_", " ").capitalize()


def _way(row: FindingRow, rule: Rule) -> None:
    """The link to the page that mends it, with the row in its address."""
    with st.container(key="way"):
        if rule.place is Place.autosave and row.table_name == "jobs":
            navigation.link("autosave", "Open it under Auto-save", job=row.row_id)
        if row.table_name == "jobs":
            navigation.link("jobs", "Read the job’s story", job=row.row_id)
        if rule.place is Place.attributes:
            navigation.link("attributes", "Go to Attribute images")
        if rule.place is Place.library:
            navigation.link("library", "Go to Library")
        if rule.place is Place.character and row.table_name == "characters":
            navigation.link("library", "See the character’s pictures", character=row.row_id)
        if rule.place is Place.stuck:
            navigation.link("stuck", "Go to Stuck jobs")
        if rule.place is Place.qa:
            navigation.link("qa", "Go to the QA sample")
        if rule.place is Place.system:
            navigation.link("system", "Go to System")


def _facts(row: FindingRow, names: Names) -> None:
    facts = {
        "First seen": f"{words.moment(row.first_seen)}, {words.ago(row.first_seen)}",
        "Last seen": f"{words.moment(row.last_seen)}, {words.ago(row.last_seen)}",
        "Times": f"{row.times:,}",
        "Owner": called(row.owner, names),
        "Note": row.note or "none",
        "Row": f"{row.table_name} {row.row_id}",
        "Rule": row.rule,
    }
    if row.mended_at:
        facts["Mended"] = (
            f"{words.moment(row.mended_at)}, by {mended_words(row, names)}"
            if row.mended_by
            else (f"{words.moment(row.mended_at)}, not found any more")
        )
    if row.set_aside_at:
        facts["Set aside"] = f"{words.moment(row.set_aside_at)}, by {called(row.set_aside_by, names)}"
        facts["Why"] = row.set_aside_why or ""
    pairs = "".join(f"<div><dt>{say(name)}</dt><dd>{say(said)}</dd></div>" for name, said in facts.items())
    st.html(f'<dl class="au-facts">{pairs}</dl>')


def _record(events: Sequence[FindingEvent], names: Names) -> None:
    if not events:
        return
    lines = "".join(
        f"<li><b>{say(words.sentence(called(event.who, names, nobody='the studio')))}</b> "
        f"{say(_DONE.get(event.action, event.action))} {say(words.ago(event.at))}"
        f"{f'<p>{say(event.why)}</p>' if event.why else ''}</li>"
        for event in events
    )
    st.html(f'<ul class="au-did">{lines}</ul>')
