"""What is kept how long, what was removed by its age last, and changing it: what a change would remove is said before it is
made (decision 0046).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType

import streamlit as st

from audit import admin, look, words
from audit.admin import Question
from audit.asking import told
from audit.look import badge, say
from audit.services import person, services
from core import retention
from core.admin import keeping
from core.admin.keeping import Kept
from core.audit.activity import Event
from core.audit.jobs import Counted
from core.authority import Action
from core.db.retention import RunRow
from core.errors import StudioError
from core.retention import Kind
from core.settings import Settings

_SET, _BACK, _UNDO = "set_days", "days_back", "undo_days"
_DAYS = "days_wanted"
_REMOVED = " The next run of the upkeep removes them."
_UNDONE = "undone_days"


@dataclass(frozen=True, kw_only=True)
class _Words:
    """A kind in words; `what` goes when its days are over. `least` and `most` say why they are the bounds."""

    title: str
    what: str
    least: str
    most: str
    setting: str = ""


_WORDS: Mapping[Kind, _Words] = MappingProxyType(
    {
        Kind.bin: _Words(
            title="The bin: removed portraits and library items",
            what="removed portraits and library items, with their objects where nothing else names them",
            least="people are told that what they delete can be brought back for a week",
            most="what somebody removed should not lie about for years",
        ),
        Kind.workspace: _Words(
            title="The workspace: fresh results that are saved or discarded",
            what="fresh results, whose objects go once their permanent copy is proved; an unsaved paid picture never does",
            least="until then a repair can still take the first copy",
            most="each is a second copy of what the library holds",
        ),
        Kind.history: _Words(
            title="Results of older checks and upkeep",
            what="results of checks, runs of this upkeep and workers that left",
            least="the dashboard shows a month of them",
            most="they grow by every check",
            setting="KEEP_HISTORY_DAYS",
        ),
        Kind.messages: _Words(
            title="Messages about health",
            what="messages about what broke and healed",
            least="the System page shows what was told last",
            most="they grow with every piece of news",
        ),
        Kind.queue_log: _Words(
            title="The queue's own log",
            what="lines of the queue's log",
            least="it shows what ran today",
            most="it has several lines for each picture",
        ),
    }
)


def title(kind: str) -> str:
    """A kind as the page calls it, without what stands behind its colon."""
    known = next((said for one, said in _WORDS.items() if one == kind), None)
    return known.title.partition(":")[0] if known else kind


def days_words(days: int | None) -> str:
    """How long, in words; None: no number of an admin's."""
    return "the studio's own" if days is None else _days(days)


def draw() -> Sequence[Kept]:
    """The section; only for whom the table of rights names. What can be set, as it stands."""
    if not admin.allows(Action.set_retention):
        return ()
    st.subheader("What is kept how long", anchor=False)
    try:
        found = keeping.listing(person(), services())
        runs = {one.kind: one for one in retention.last_runs(person(), services())}
    except StudioError as error:
        told(error)
        return ()
    for one in found:
        _line(one, runs.get(one.kind))
    st.html("".join(_fixed(services().settings, runs)))
    st.caption("A change counts from the next run of the upkeep on, without a restart.")
    look.as_of(datetime.now(UTC))
    admin.settle(
        {_SET: partial(_setting, found), _BACK: partial(_back, found), _UNDO: partial(_undoing, found)}
    )
    return found


def ask_undo(event: Event) -> None:
    """Ask before a change is undone, since that can remove rows; for a button's `on_click`."""
    admin.ask(_UNDO, str(event.row_id))
    st.session_state[_UNDONE] = event


def _days(number: int) -> str:
    return f"{number} day{'' if number == 1 else 's'}"


# -- what stands ------------------------------------------------------------------------------------------------------


def _line(one: Kept, run: RunRow | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"kept_{one.kind}"):
        st.html(_told(one, run), width="stretch")
        if one.stored is not None:
            st.button(
                f"Back to {_days(one.own)}",
                key=f"days_back_{one.kind}",
                type="tertiary",
                on_click=admin.ask,
                args=(_BACK, one.kind),
            )
        st.button(
            "Change",
            key=f"set_days_{one.kind}",
            type="tertiary",
            on_click=admin.ask,
            args=(_SET, one.kind),
        )


def _told(one: Kept, run: RunRow | None) -> str:
    said = _WORDS[one.kind]
    last = _last(run) if one.kind is not Kind.workspace else ""
    return f'<div class="ad-row"><b>{say(said.title)}</b><span>{say(_days(one.days))}, {say(_source(one))}.</span>{last}</div>'


def _source(one: Kept) -> str:
    """Whose number it is."""
    setting = _WORDS[one.kind].setting
    own = f"{setting} says {one.own}" if setting else f"the studio's own is {one.own}"
    if one.stored is not None:
        return f"set by an admin; {own}"
    return f"by {setting}" if setting else "the studio's own"


def _fixed(settings: Settings, runs: Mapping[str, RunRow]) -> list[str]:
    """What no admin sets, and why."""
    lines = [
        _fixed_line(
            "Objects that no row names any more",
            "Removed at once: nothing shows them.",
            _last(runs.get(Kind.objects)),
        )
    ]
    if settings.has_sign_in:
        lines.append(
            _fixed_line(
                "Open sessions",
                f"{settings.session_idle_hours:g} h without their person, {settings.session_hours:g} h in all. Settings of the "
                "installation: SESSION_IDLE_HOURS and SESSION_HOURS.",
            )
        )
    lines.append(
        _fixed_line(
            "The ledger and the record of what was done",
            "For ever: sums and responsibility hang on them. Erasing a person redacts them.",
        )
    )
    return lines


def _fixed_line(what: str, how_long: str, last: str = "") -> str:
    return f'<div class="ad-row ad-event"><b>{say(what)}</b><span>{say(how_long)}</span>{last}</div>'


def _last(run: RunRow | None) -> str:
    if run is None:
        return "<span>The upkeep has not looked at it yet; a worker does once a day.</span>"
    if run.trouble:
        return f"<span>{badge('put off', 'warn')} {say(words.ago(run.began_at))}: {say(words.sentence(run.trouble))}</span>"
    if run.ended_at is None:
        return f"<span>Being looked at since {say(words.ago(run.began_at))}.</span>"
    stayed = f", {run.kept:,} stayed because something needs them" if run.kept else ""
    return f"<span>Last time, {say(words.ago(run.ended_at))}: {run.gone:,} removed{stayed}.</span>"


# -- the questions ----------------------------------------------------------------------------------------------------


def _setting(found: Sequence[Kept], about: str) -> Question | None:
    one = _named(found, about)
    if one is None:
        return None
    return _question(
        one,
        title=title(one.kind),
        yes="Save",
        wanted=lambda: _typed(one),
        asks=partial(_ask_days, one),
        fields={_DAYS: min(max(one.days, one.least), one.most)},
        example="Our lawyers ask for half a year.",
    )


def _back(found: Sequence[Kept], about: str) -> Question | None:
    one = _named(found, about)
    if one is None:
        return None
    setting = _WORDS[one.kind].setting
    whose = f"what {setting} says" if setting else "the studio's own"
    return _question(
        one,
        title=title(one.kind),
        yes=f"Back to {_days(one.own)}",
        wanted=lambda: None,
        asks=lambda: st.write(f"{_days(one.own)} count again, {whose}, instead of {_days(one.days)}."),
        fields={},
        example="The trial is over.",
    )


def _undoing(found: Sequence[Kept], about: str) -> Question | None:
    one, event = _named(found, about), st.session_state.get(_UNDONE)
    if one is None or not isinstance(event, Event) or event.row_id != about:
        return None
    wanted = keeping.before(event)

    def act(why: str) -> str:
        keeping.undo(event, person(), services(), why=why)
        return "It stands as before."

    def asks() -> None:
        st.write(f"{_days(one.days)} become {_days(one.own if wanted is None else wanted)} again.")
        _say_what_goes(one, one.own if wanted is None else wanted)

    return Question(title="Undo this change", yes="Undo it", asks=asks, act=act, example="It was too short.")


def _question(
    one: Kept,
    *,
    title: str,
    yes: str,
    wanted: Callable[[], int | None],
    asks: Callable[[], None],
    fields: Mapping[str, object],
    example: str,
) -> Question:
    """A change of a kind's days, with what it would remove, compared with what the admin saw of it."""
    admin.seen(one.stored)

    def ask() -> None:
        asks()
        days = one.own if (said := wanted()) is None else said
        if one.least <= days <= one.most:
            _say_what_goes(one, days)

    def act(why: str) -> str:
        changed = keeping.change(
            one.kind, wanted(), person(), services(), seen=admin.seen(one.stored), why=why
        )
        return "It counts from the next run on." if changed else "It stood so already."

    def look_again() -> str:
        now = _named(keeping.listing(person(), services()), one.kind) or one
        admin.looked_at(now.stored)
        return f"{_days(now.days)}, {_source(now)}."

    return Question(
        title=title, yes=yes, asks=ask, act=act, example=example, fields=fields, look_again=look_again
    )


def _named(found: Sequence[Kept], kind: str) -> Kept | None:
    return next((one for one in found if one.kind == kind), None)


def _typed(one: Kept) -> int:
    said = st.session_state.get(_DAYS)
    return one.days if said is None else int(said)


def _ask_days(one: Kept) -> None:
    said = _WORDS[one.kind]
    # Without bounds of its own: a browser keeps a number outside them to itself, and what stood before would be saved.
    st.number_input("Days", step=1, key=_DAYS)
    st.caption(f"At least {_days(one.least)}: {said.least}. At most {one.most:,}: {said.most}.")


def _say_what_goes(one: Kept, days: int) -> None:
    """How much is past its time now, and would be with `days`; the upkeep's own rule counts."""
    try:
        now = keeping.past(one.kind, one.days, person(), services())
        then = now if days == one.days else keeping.past(one.kind, days, person(), services())
    except StudioError as error:
        told(error)
        return
    later = f"<span>With {say(_days(days))}: {_number(then)}.{_REMOVED if then.number else ''}</span>"
    st.html(
        f'<div class="ad-effect" data-changes="{str(then != now).lower()}"><b>{say(_words_of(one.kind))}</b>'
        f"<span>Past their time now, with {say(_days(one.days))}: {_number(now)}.</span>"
        f"{later if days != one.days else ''}</div>"
    )


def _words_of(kind: Kind) -> str:
    what = _WORDS[kind].what
    return what[:1].upper() + what[1:]


def _number(found: Counted) -> str:
    return f"{found.number:,}{'+' if found.more else ''}"
