"""System: does the installation stand as it should: schema, workers, queue, schedules, store, providers, settings, news,
and a test portrait through all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import Enum
from urllib.parse import urlsplit

import streamlit as st
from pydantic import SecretStr

from audit import filters, look, redraw, tables, words
from audit.asking import asked, told
from audit.look import badge, say
from audit.services import person, services
from audit.tables import Sheet
from audit.trial import draw as draw_trial
from core import health, notices, pauses, reach
from core.audit import system, troubles
from core.audit.troubles import QueueStand, Seen
from core.authority import Action, may
from core.db import health as kept
from core.db import parts
from core.db.health import State
from core.errors import StudioError
from core.health import Severity, part_words, queue_name
from core.settings import Settings

EVERY = 10  # seconds between two looks of a live page
_SHOWN = 20  # missing parts that are named
_FLASH = "system_flash"
_SCHEDULES = {
    "recover": "Recovery of stuck jobs",
    "clean": "Cleaning of the workspace",
    "prove": "Proof of every portrait, files included",
    "prove_rows": "Proof of every portrait, rows only",
    "scan": "Scan of the library",
    "scan_if_asked": "Scans that people asked for",
    "check_rows": "Check of every row",
    "check_rows_if_asked": "Checks of rows that people asked for",
    "watch": "Health rules and their news",
}

_RHYTHMS = tuple(
    (re.compile(pattern), said)
    for pattern, said in (
        (r"\* \* \* \* \* \*/(\d+)", "every {} s"),
        (r"\*/1 \* \* \* \*", "every minute"),
        (r"\*/(\d+) \* \* \* \*", "every {} min"),
        (r"(\d+) (?:\*|\*/1) \* \* \*", "every hour at :{:02}"),
        (r"(\d+) \*/(\d+) \* \* \*", "every {1} hours at :{0:02}"),
        (r"(\d+) (\d+) \* \* \*", "daily at {1:02}:{0:02}"),
    )
)  # cron's five fields, and the engine's sixth for seconds


def draw() -> None:
    """The whole page; what changes by itself is read again while it is live."""
    if said := st.session_state.pop(_FLASH, None):
        st.toast(said, icon=":material/check_circle:")
    look.head("System")
    live = filters.shared().live
    draw_trial()
    st.fragment(_standing, run_every=EVERY if live else None)()
    _schema()
    _settings()


def _standing() -> None:
    redraw.heed()
    left, right = st.columns(2, gap="large")
    with left:
        _workers()
        _queue()
    with right:
        _outside()
        _news()
    _schedules()
    look.as_of(datetime.now(UTC))


# -- who works --------------------------------------------------------------------------------------------------------


def _workers() -> None:
    st.subheader("Workers")
    within = max(3 * services().settings.heartbeat_seconds, 1.0)
    found = asked(lambda conn: system.workers(conn, within=within))
    if found is None:
        return
    st.html("".join(_worker_lines(found)))


def _worker_lines(found: Sequence[system.Worker]) -> Iterator[str]:
    alive = [one for one in found if one.is_alive]
    if not found:
        yield _line("warn", "No worker was ever started", "Start the studio, or python -m core.worker.")
    elif not alive:
        yield _line("bad", "None is alive", "What is queued waits until one starts.")
    for one in alive:
        heard = f"heard of {words.ago(one.beat_at)}, at work since {words.moment(one.started_at)}"
        yield _line("good", f"{one.host}, process {one.pid}", heard)
    for one in [one for one in found if not one.is_alive][:3]:
        left = f"left by itself {words.ago(one.stopped_at)}" if one.stopped_at else ""
        said = left or f"silent: last heard of {words.ago(one.beat_at)}"
        yield _line("calm" if left else "warn", f"{one.host}, process {one.pid}", said)


def _queue() -> None:
    st.subheader("Queue")
    found = asked(troubles.queue_stand)
    if found is None:
        return
    if not found:
        st.html(_line("good", "Empty", "Nothing waits and nothing is being done."))
        return
    st.html(
        "".join(
            _line(_queue_tone(one), words.sentence(queue_name(one.entrypoint)), _queue_words(one))
            for one in found
        )
    )


def _queue_tone(one: QueueStand) -> str:
    return "warn" if one.held else "accent" if one.waiting or one.picked else "calm"


def _queue_words(one: QueueStand) -> str:
    more = "+" if one.waiting > troubles.MOST_COUNTED else ""
    parts_ = [
        f"{min(one.waiting, troubles.MOST_COUNTED):,}{more} waiting" if one.waiting else "",
        f"the first for {words.lasted(_age(one.oldest_at))}" if one.oldest_at and one.waiting else "",
        f"{one.picked:,} being done" if one.picked else "",
        f"{one.held:,} ended in an error" if one.held else "",
    ]
    return ", ".join(filter(None, parts_)) or "waits for its time"


def _schedules() -> None:
    st.subheader("Schedules")
    found = asked(parts.schedules)
    if found is None:
        return
    if not found:
        st.caption("No worker has ever set its clock here.")
        return
    st.dataframe(
        [
            {
                "What": _SCHEDULES.get(one.name, one.name),
                "How often (UTC)": rhythm(one.expression),
                "Last begun": words.ago(one.last_run) if one.last_run else "not yet",
                "Next": _soon(one.next_run),
            }
            for one in found
        ],
        key="schedules",
        hide_index=True,
    )
    with st.container(horizontal=True, horizontal_alignment="right"):
        tables.files(_schedules_sheet(found))


def _schedules_sheet(found: Sequence[parts.Scheduled]) -> Sheet:
    return Sheet(
        name="schedules",
        columns=("name", "expression", "last_run", "next_run"),
        rows=lambda: ((one.name, one.expression, one.last_run, one.next_run) for one in found),
    )


def _soon(at: datetime) -> str:
    left = (at - datetime.now(UTC)).total_seconds()
    return f"in {words.lasted(left)}" if left > 1 else "now"


def rhythm(expression: str) -> str:
    """A worker's clock in words, as far as it is one of the product's: every 5 s, every hour at :41, daily at 04:23."""
    for pattern, said in _RHYTHMS:
        if found := pattern.fullmatch(expression):
            return said.format(*map(int, found.groups()))
    return expression


# -- what is outside --------------------------------------------------------------------------------------------------


def _outside() -> None:
    st.subheader("Store and providers")
    seen = asked(troubles.looks)
    if seen is None:
        return
    store = type(services().storage).__name__.removesuffix("Storage").lower()
    where = {"folder": "Folder on this machine", "supabase": "Supabase Storage"}.get(store, store)
    _outside_line("Store", where, seen.get(health.STORE), key="store")
    paused = {one.provider: one for one in _paused()}
    # One that is paused stands here without a key too: the overview leads here, and here it is resumed.
    for name in dict.fromkeys((*services().providers, *paused)):
        pause = paused.get(name)
        _outside_line(
            words.provider(name),
            "",
            seen.get(f"provider.{name}"),
            key=name,
            pause=pause.words if pause else "",
        )


def _paused() -> Sequence[pauses.PausedProvider]:
    try:
        return pauses.listing(person(), services())
    except StudioError as error:
        told(error)
        return ()


def _outside_line(name: str, where: str, seen: Seen | None, *, key: str, pause: str = "") -> None:
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key=f"out_{key}"
    ):
        if seen is None:
            has_key = key == "store" or key in services().providers
            tone, said = "calm", "not asked yet" if has_key else "it has no key here"
        else:
            took = (
                f" in {words.lasted(max(seen.seconds, 0.001))}"
                if seen.ok and seen.seconds is not None
                else ""
            )
            tone = "good" if seen.ok else "bad"
            said = f"{seen.sentence.rstrip('.')}{took}, {words.ago(seen.at)}"
        if pause:
            tone, said = "bad", f"{pause} {words.sentence(said)}"
        st.html(_line(tone, name, f"{where}: {said}" if where else said), width="stretch")
        if pause and may(person(), Action.pause_providers):
            st.button("Resume", key=f"resume_{key}", on_click=_resume, args=(key,), type="tertiary")
        is_asked = key == "store" or key in services().providers
        if is_asked and may(person(), Action.ask_providers):
            st.button("Ask now", key=f"ask_{key}", on_click=_ask, args=(key,), type="tertiary")


def _ask(key: str) -> None:
    redraw.ask()
    try:
        if key == "store":
            notices.look_at_store(services())
        else:
            reach.look(key, person(), services())
    except StudioError as error:
        st.session_state[_FLASH] = error.sentence


def _resume(provider: str) -> None:
    redraw.ask()
    try:
        done = pauses.resume_provider(provider, person(), services(), why="resumed on the System page")
        st.session_state[_FLASH] = (
            f"{words.provider(provider)} is sent to again."
            if done
            else f"{words.provider(provider)} was not paused any more."
        )
    except StudioError as error:
        st.session_state[_FLASH] = error.sentence


# -- news -------------------------------------------------------------------------------------------------------------


def _news() -> None:
    st.subheader("News of what is broken")
    is_set = services().settings.notify_webhook_url is not None
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        said = (
            "Goes to the receiver of NOTIFY_WEBHOOK_URL, once per change."
            if is_set
            else "NOTIFY_WEBHOOK_URL is not set, so nobody is told. What broke and healed is kept all the same."
        )
        st.html(
            _line("good" if is_set else "calm", "Receiver set" if is_set else "No receiver", said),
            width="stretch",
        )
        if is_set and may(person(), Action.send_test_messages):
            st.button("Send a test message", key="send_test", on_click=_send_test, type="tertiary")
    sent = asked(system.notices)
    for one in (sent or ())[:3]:
        st.html(_line(*_notice_words(one)))
    _changes()


def _notice_words(one: system.Notice) -> tuple[str, str, str]:
    if one.sent_at:
        return "good", f"Told {words.ago(one.sent_at)}", one.answer
    if one.given_up_at:
        return "bad", f"Given up {words.ago(one.given_up_at)}", f"after {one.attempts} tries: {one.answer}"
    tries = f"{one.attempts} {'try' if one.attempts == 1 else 'tries'} so far. {one.answer}"
    return "warn", "On its way", tries


def _changes() -> None:
    found = asked(kept.states)
    if found is None:
        return
    titles = {rule.code: rule.title for rule in health.RULES}
    lines = [
        f"<li>{_change_badge(one)}"
        f"<span>{say(one.sentence if one.broken else titles.get(one.rule, one.rule))}</span>"
        f"<time>{say(words.ago(one.broken_since if one.broken else one.healed_at or one.seen_at))}</time></li>"
        for one in found[:8]
    ]
    if lines:
        st.html(f'<ol class="sy-changes">{"".join(lines)}</ol>')


def _change_badge(one: State) -> str:
    if not one.broken:
        return badge("well again", "good")
    return badge("broken", "bad") if one.severity == Severity.bad else badge("needs a look", "warn")


def _send_test() -> None:
    redraw.ask()
    try:
        answer = notices.send_test(person(), services())
        st.session_state[_FLASH] = f"The test message was sent. {answer}"
    except StudioError as error:
        st.session_state[_FLASH] = f"The test message was not taken. {error.sentence}"


# -- the schema -------------------------------------------------------------------------------------------------------


def _schema() -> None:
    st.subheader("Schema")
    applied = asked(parts.applied)
    lacking = asked(parts.not_applied) if applied is not None else None
    gone = asked(parts.missing) if lacking is not None else None
    if applied is None or lacking is None or gone is None:
        return
    expected = parts.expected()
    st.html("".join([*_version_lines(applied, lacking), *_part_lines(expected, gone)]))
    look.as_of(datetime.now(UTC))
    with st.expander("All parts", icon=":material/schema:", key="parts"):
        missing = {str(one) for one in gone}
        with st.container(horizontal=True, horizontal_alignment="right"):
            tables.files(_parts_sheet(expected, missing))
        st.dataframe(
            [
                {"Kind": str(one.kind), "On": one.on, "Name": one.name, "State": _state(one, missing)}
                for one in expected
            ],
            key="all_parts",
            hide_index=True,
            height=320,
        )


def _version_lines(applied: Sequence[parts.Applied], lacking: Sequence[str]) -> Iterator[str]:
    if lacking:
        todo = f"The first is {lacking[0]}. Run python -m core migrate."
        yield _line("bad", f"Not applied: {len(lacking)}", todo)
    elif applied:
        newest = applied[-1]
        said = f"{newest.name.replace('_', ' ')}, applied {words.moment(newest.applied_at)}; {len(applied)} migrations"
        yield _line("good", f"Version {newest.version}", said)


def _part_lines(expected: Sequence[parts.Part], gone: Sequence[parts.Part]) -> Iterator[str]:
    if not gone:
        said = f"{len(expected)} triggers, policies, functions and rules of row-level security"
        yield _line("good", "Every part is there", said)
        return
    yield _line(
        "bad", f"{len(gone)} of {len(expected)} parts are missing", "What rests on them is not held now."
    )
    for one in gone[:_SHOWN]:
        yield _line("bad", words.sentence(part_words(one)), "missing, or switched off")


def _state(one: parts.Part, missing: set[str]) -> str:
    return "missing" if str(one) in missing else "there"


def _parts_sheet(expected: Sequence[parts.Part], missing: set[str]) -> Sheet:
    return Sheet(
        name="schema-parts",
        columns=("kind", "on", "name", "state"),
        rows=lambda: ((str(one.kind), one.on, one.name, _state(one, missing)) for one in expected),
    )


# -- settings ---------------------------------------------------------------------------------------------------------


def _settings() -> None:
    with st.expander("Settings", icon=":material/tune:", key="settings"):
        st.caption("Keys are only said to be set; of an address its host is shown.")
        st.dataframe(
            list(_known_settings(services().settings)), key="all_settings", hide_index=True, height=320
        )


def _known_settings(settings: Settings) -> Iterator[dict[str, str]]:
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        yield {
            "Setting": name.upper(),
            "Value": _shown(value),
            "From": "default" if value == field.default else "set",
            "Meaning": field.description or "",
        }


def _shown(value: object) -> str:
    """A value as everybody here may read it: no key, and of an address neither a password nor what follows the host."""
    match value:
        case None | "":
            return "not set"
        case SecretStr():
            return "set"
        case bool():
            return "yes" if value else "no"
        case Enum():
            return str(value.value)
        case str() if "://" in value:
            return f"{urlsplit(value).scheme}://{urlsplit(value).hostname or ''}"
        case _:
            return str(value)


def _age(at: datetime) -> float:
    return max((datetime.now(UTC) - at).total_seconds(), 0.0)


def _line(tone: str, title: str, detail: str) -> str:
    return (
        f'<div class="sy-line" data-tone="{say(tone)}"><i aria-hidden="true"></i><b>{say(title)}</b>'
        f"<span>{say(detail)}</span></div>"
    )
