"""Providers: is there a key, does it answer, how many requests at once, what failed last, and a pause by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import streamlit as st

from audit import admin, colleagues, filters, look, navigation, redraw, tables, words
from audit.admin import Question
from audit.asking import told
from audit.look import badge, say
from audit.services import person, services
from core import pauses, reach
from core.admin import providers
from core.admin.providers import KEYS, ProviderStand
from core.authority import Action
from core.errors import BadRequest, StudioError
from core.routing import PLACEHOLDER

EVERY = 10  # seconds between two looks of a live page
_PAUSE, _RESUME = "pause_provider", "resume_provider"
_LASTING: dict[str, timedelta | None] = {
    "Until it is resumed": None,
    "1 hour": timedelta(hours=1),
    "4 hours": timedelta(hours=4),
    "1 day": timedelta(days=1),
    "1 week": timedelta(weeks=1),
}


def draw() -> None:
    """The whole page; what changes by itself is read again while it is live."""
    if admin.refuses("Providers", Action.see_settings):
        return
    admin.flash()
    look.head(
        "Providers",
        "Who makes the pictures. A key is set where the studio runs and never shown; a pause stops sending for everybody, "
        "and what was sent is still fetched.",
    )
    st.fragment(_standing, run_every=EVERY if filters.shared().live else None)()
    # Outside what is drawn again by itself: a question stays as it was asked.
    admin.settle(
        {_PAUSE: lambda about: _pausing(_found(), about), _RESUME: lambda about: _resuming(_found(), about)}
    )


def _found() -> Sequence[ProviderStand]:
    try:
        return providers.listing(person(), services())
    except StudioError as error:
        told(error)
        return ()


def _standing() -> None:
    redraw.heed()
    found = _found()
    if not found:
        return
    known = colleagues.names()
    for one in found:
        _line(one, known)
    with st.container(horizontal=True):
        look.as_of(datetime.now(UTC))
        st.space("stretch")
        tables.files(_sheet(found))


def _line(one: ProviderStand, known: colleagues.Names) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"provider_{one.name}"):
        st.html(_told(one, known), width="stretch")
        if one.last_error is not None:
            navigation.link("jobs", "Its newest failed job", job=str(one.last_error.job_id))
        if one.has_key and one.name != PLACEHOLDER:
            st.button("Ask now", key=f"ask_{one.name}", type="tertiary", on_click=_ask, args=(one.name,))
        if admin.allows(Action.pause_providers) and one.pause is not None:
            st.button(
                "Resume",
                key=f"resume_{one.name}",
                type="tertiary",
                on_click=admin.ask,
                args=(_RESUME, one.name),
            )
        elif admin.allows(Action.pause_providers) and one.name != PLACEHOLDER:
            st.button(
                "Pause", key=f"pause_{one.name}", type="tertiary", on_click=admin.ask, args=(_PAUSE, one.name)
            )


def _told(one: ProviderStand, known: colleagues.Names) -> str:
    state = (
        badge("paused", "bad")
        if one.pause
        else badge("ready", "good")
        if one.has_key
        else badge("no key", "calm")
    )
    paused = f"<span>Paused: {say(one.pause_words)}. {say(_by(one, known))}</span>" if one.pause else ""
    return (
        f'<div class="ad-row"><b>{say(words.provider(one.name))}{state}</b>{paused}'
        f"<span>{say(_key_words(one))} {say(_models_words(one))}</span>"
        f"<span>{say(_health_words(one))}</span><span>{say(_error_words(one))}</span></div>"
    )


def _by(one: ProviderStand, known: colleagues.Names) -> str:
    if one.pause is None or one.pause.paused_by is None:
        return "The studio did that by itself, because of what it answered."
    return f"Paused by {colleagues.called(one.pause.paused_by, known)}."


def _key_words(one: ProviderStand) -> str:
    if one.name == PLACEHOLDER:
        return f"Draws on this machine and needs no key; {one.limit} at once."
    if one.has_key:
        return f"Its key is set; at most {one.limit} requests at once, all workers together."
    setting = KEYS.get(one.name)
    return (
        f"No key: {setting} is not set where the studio runs."
        if setting
        else "The studio knows no such provider."
    )


def _models_words(one: ProviderStand) -> str:
    if one.models == 1:
        return f"Its one model is {'on' if one.on else 'off'}."
    return f"{one.on} of its {one.models} models {'is' if one.on == 1 else 'are'} on."


def _health_words(one: ProviderStand) -> str:
    if one.name == PLACEHOLDER:
        return ""
    if one.seen is None:
        return "It was not asked yet." if one.has_key else ""
    return f"{one.seen.sentence.rstrip('.')}, {words.ago(one.seen.at)}."


def _error_words(one: ProviderStand) -> str:
    if one.last_error is None:
        return "Nothing of it failed in the last 7 days."
    said = words.sentence(one.last_error.sentence or "It said nothing")
    return f"Failed last {words.ago(one.last_error.at)}: {said}"


def _ask(name: str) -> None:
    def act() -> str:
        reach.look(name, person(), services())
        return f"{words.provider(name)} was asked."

    admin.attempt(act)


def _pausing(found: Sequence[ProviderStand], about: str) -> Question | None:
    one = next((each for each in found if each.name == about), None)
    if one is None:
        return None
    stood = one.pause.paused_until if one.pause else None
    admin.seen(stood)

    def look_again() -> str:
        now = next((each for each in providers.listing(person(), services()) if each.name == about), one)
        admin.looked_at(now.pause.paused_until if now.pause else None)
        return f"{now.pause_words}." if now.pause else "Nobody pauses it any more."

    def asks() -> None:
        st.write(
            f"Nothing more is sent to **{look.plain(words.provider(one.name))}**, by anybody. What waits for it stays queued, another model "
            "serves where there is one, and what was sent is still fetched."
        )
        st.selectbox("For how long", list(_LASTING), key="pause_lasting")

    def act(why: str) -> str:
        chosen = str(st.session_state.get("pause_lasting") or "")
        if chosen not in _LASTING:
            raise BadRequest("Say for how long.", field="lasting")
        providers.pause(
            one.name, person(), services(), seen=admin.seen(stood), lasting=_LASTING[chosen], why=why
        )
        return f"{words.provider(one.name)} is paused."

    return Question(
        title=f"Pause {look.plain(words.provider(one.name))}",
        yes="Pause it",
        asks=asks,
        act=act,
        example="Their incident 4711.",
        fields={"pause_lasting": next(iter(_LASTING))},
        look_again=look_again,
    )


def _resuming(found: Sequence[ProviderStand], about: str) -> Question | None:
    if not any(each.name == about for each in found):
        return None

    def act(why: str) -> str:
        done = pauses.resume_provider(about, person(), services(), why=why)
        return f"{words.provider(about)} {'is sent to again' if done else 'was not paused any more'}."

    return Question(
        title=f"Resume {look.plain(words.provider(about))}",
        yes="Resume it",
        asks=lambda: st.write(
            "What waits for it is sent at once. Where it refuses again, it is paused again."
        ),
        act=act,
        example="The balance is topped up.",
    )


def _sheet(found: Sequence[ProviderStand]) -> tables.Sheet:
    return tables.Sheet(
        name="providers",
        columns=("provider", "has_key", "limit", "models", "models_on", "paused_until", "paused_why", "answers", "seen_at", "failed_at", "failure"),
        rows=lambda: [
            (
                one.name, one.has_key, one.limit, one.models, one.on,
                one.pause.paused_until if one.pause else None, one.pause.why if one.pause else None,
                one.seen.ok if one.seen else None, one.seen.at if one.seen else None,
                one.last_error.at if one.last_error else None, one.last_error.sentence if one.last_error else None,
            )
            for one in found
        ],
    )  # fmt: skip
