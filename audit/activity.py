"""Activity: what people and the studio did, newest first, with what changed and why (SPEC "Audit")."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import streamlit as st

from audit import activity_words, filters, look, navigation, paging, tables, words
from audit.asking import asked
from audit.look import nothing, say
from audit.services import person, services
from audit.tables import Sheet
from core.audit import activity
from core.audit.activity import Change, Event, EventPage, Key, Wanted
from core.audit.jobs import Counted
from core.authority import Action, may, refusal
from core.services import Services
from core.values import Person

PER_PAGE = 50
_IN_FILE_AT_ONCE = 1_000
_COLUMNS = ("at", "who", "action", "table", "row", "before", "after", "why")
_ACTION, _TABLE, _ROW, _STUDIO = "action", "table", "row", "studio"
# Where a row of a table is looked at; rows that belong to a job lead to its story instead.
_PAGES = {
    "findings": "findings",
    "bulk_actions": "stuck",
    "budgets": "costs",
    "model_prices": "costs",
    "provider_state": "system",
    "health_notices": "system",
    "attribute_runs": "attributes",
    "attribute_options": "attributes",
    "attribute_images": "attributes",
    "style_images": "attributes",
    "user_library": "library",
    "reference_uploads": "library",
    "stock_scans": "library",
    "proof_runs": "autosave",
    "qa_samples": "qa",
}


def draw() -> None:
    """The list as the address wants it."""
    look.head("Activity", "What people and the studio did: who, what, to which row, what changed, and why.")
    if not may(person(), Action.see_activity):
        nothing("Not for this role", refusal(Action.see_activity))
        return
    known = asked(lambda conn: (activity.actions(conn), activity.tables(conn)))
    if known is None:  # one question that took too long is enough to wait for
        return
    wanted = _chosen(*known)
    filters.on_change("activity", paging.go)
    before, after = paging.place(Key.read)
    page = asked(lambda conn: activity.page(conn, wanted, before=before, after=after, limit=PER_PAGE))
    if page is None:
        return
    counted = asked(lambda conn: activity.count(conn, wanted))
    if not page.rows:
        _nothing(page, wanted)
        return
    st.html(f'<ol class="au-events">{"".join(_days(page.rows))}</ol>')
    _foot(page, wanted, counted)


def _chosen(actions: Sequence[str], kinds: Sequence[str]) -> Wanted:
    """The page's own filters beside the shared ones."""
    shared = filters.shared()
    with st.container(key="activity_filters"):
        action = _select("Everything done", actions, _ACTION, activity_words.action)
        table = _select("To anything", kinds, _TABLE, activity_words.table)
        row = st.text_input(
            "Row",
            key=_ROW,
            bind="query-params",
            persist_state="session",
            placeholder="The id of a row",
            label_visibility="collapsed",
            on_change=paging.go,
        )
        by_the_studio = st.toggle(
            "By the studio itself", key=_STUDIO, bind="query-params", on_change=paging.go
        )
    return Wanted(
        who=None if by_the_studio else shared.person_id,
        by_the_studio=by_the_studio,
        action=action,
        table=table,
        row_id=(row or "").strip().replace("\x00", "") or None,
        since=shared.since,
    )


def _select(every: str, known: Sequence[str], name: str, said: Callable[[str], str]) -> str | None:
    """A choice of what the record holds; it stands in the address as the record has it. What the address names is kept
    even where there is none of it: a filter that were dropped would mean everything.
    """
    named = st.query_params.get(name) or None
    options = sorted({*known, *([named] if named else [])}, key=said)
    st.session_state[f"activity_{name}"] = named
    return st.selectbox(
        every,
        options,
        index=None,
        placeholder=every,
        format_func=said,
        key=f"activity_{name}",
        label_visibility="collapsed",
        on_change=_into_address,
        args=(name,),
    )


def _into_address(name: str) -> None:
    paging.go()
    st.query_params.pop(name, None)
    if chosen := st.session_state.get(f"activity_{name}"):
        st.query_params[name] = chosen


def _nothing(page: EventPage, wanted: Wanted) -> None:
    with st.container(key="nothing", horizontal_alignment="center"):
        if page.newer or page.older:
            nothing("Nothing further on", "You have come to the end of the record.")
            st.button("To the newest", key="newest", on_click=paging.go)
        elif wanted == Wanted():
            nothing("Nothing was done yet", "What people decide and repair stands here from then on.")
        else:
            nothing(
                "Nothing fits",
                "The record holds nothing that fits these filters. Change one, or lift them all.",
            )
            st.button("Lift all filters", key="lift", on_click=_lift)


def _lift() -> None:
    for name in (_ACTION, _TABLE):
        st.query_params.pop(name, None)
    st.session_state.update({_ROW: "", _STUDIO: False})
    filters.lift()


def _days(rows: Sequence[Event]) -> Iterator[str]:
    """The lines, a heading before each day."""
    day = ""
    for event in rows:
        if (now := words.day(event.at)) != day:
            day = now
            yield f'<li class="au-day">{say(day)}</li>'
        yield _line(event)


def _line(event: Event) -> str:
    who = words.who(event.who)
    why = f'<p class="au-why">“{say(event.why)}”</p>' if event.why else ""
    return (
        f'<li class="au-event"><time title="{say(words.moment(event.at))}">{say(words.clock(event.at))}</time>'
        f"<div><h3>{say(activity_words.action(event.action))}</h3>"
        f'<p class="au-by"><span>{say(_begun(who, event))}</span>{_row(event)}</p>{why}'
        f"{_changes(activity.changes(event))}</div></li>"
    )


def _begun(who: str, event: Event) -> str:
    """Who did it at the beginning of a line; an id keeps its letters."""
    return who if event.who is not None and who == words.short(event.who) else who[:1].upper() + who[1:]


def _row(event: Event) -> str:
    """What it was done to, as a link where a page shows it."""
    if not event.table_name:
        return ""
    ident = _short(event.row_id or "")
    said = f"{activity_words.table(event.table_name)} <code>{say(ident)}</code>"
    if (href := _href(event)) is None:
        return f"<span>{said}</span>"
    return f'<a href="{say(href)}" target="_self">{said}</a>'


def _short(row_id: str) -> str:
    """An id by its beginning; a name whole."""
    return row_id[:8] if re.fullmatch(r"[0-9a-f-]{36}", row_id) else row_id[:60]


def _href(event: Event) -> str | None:
    if event.job_id is not None:
        return navigation.href("jobs", job=str(event.job_id))
    if event.table_name == "characters" and event.row_id:
        return navigation.href("jobs", q=f"character:{event.row_id}")
    page = _PAGES.get(event.table_name or "")
    return navigation.href(page) if page else None


def _changes(changes: Sequence[Change]) -> str:
    if not changes:
        return ""
    lines = "".join(
        f"<div><dt>{say(one.name.replace('_', ' '))}</dt><dd>{_before(one)}{_after(one)}</dd></div>"
        for one in changes
    )
    return f'<dl class="au-diff">{lines}</dl>'


def _before(change: Change) -> str:
    return f"<del>{say(change.before)}</del>" if change.before is not None else ""


def _after(change: Change) -> str:
    return f"<ins>{say(change.after)}</ins>" if change.after is not None else ""


def _foot(page: EventPage, wanted: Wanted, counted: Counted | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="foot"):
        paging.buttons(page)
        all_of_them = f" of {words.count(counted)}" if counted else ""
        said = f"{len(page.rows)}{all_of_them} events. As of {words.clock(datetime.now(UTC))}."
        st.html(f'<p class="au-age">{say(said)}</p>', width="stretch")
        many = counted is None or counted.more or counted.number > tables.MOST_IN_FILE
        label = f"newest {tables.MOST_IN_FILE:,}" if many else ""
        tables.files(sheet(services(), person(), wanted), label=label)


def sheet(given: Services, reader: Person, wanted: Wanted) -> Sheet:
    """The events of a filter, newest first, as a file. Reading it raises QueryTimedOut, DatabaseUnavailable."""
    return Sheet(name="activity", columns=_COLUMNS, rows=partial(_records, given, reader, wanted))


def _records(given: Services, reader: Person, wanted: Wanted) -> Iterator[tuple[object, ...]]:
    key: Key | None = None
    for _ in range(tables.MOST_IN_FILE // _IN_FILE_AT_ONCE):
        with given.db.as_reader(reader) as conn:
            page = activity.page(conn, wanted, before=key, limit=_IN_FILE_AT_ONCE)
        for one in page.rows:
            yield one.at, _id(one.who), one.action, one.table_name, one.row_id, one.before, one.after, one.why
        key = page.older
        if key is None:
            return


def _id(who: UUID | None) -> str:
    return str(who) if who else "studio"
