"""Overview: is anything wrong, what first, what does it cost. Problems first, each with the way to where it is mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Generic, TypeVar

import streamlit as st

from audit import cards, filters, look, navigation, redraw, tables, words
from audit.asking import told
from audit.cards import Card
from audit.look import say
from audit.services import person, read, services
from audit.tables import Sheet
from core import attributes, budgets, health, proof, recovery
from core.attributes import CellState
from core.audit import costs, overview
from core.audit.costs import Day
from core.audit.overview import Course, SavedDay
from core.authority import Action, may, refusal
from core.db import recoveries
from core.db.budgets import Standing
from core.errors import DatabaseUnavailable, QueryTimedOut, StudioError
from core.health import Health, Problem, Severity, Unanswered

EVERY = 15  # seconds between two looks of a live page
_COST_DAYS = 14
_NEAR = Decimal("0.8")  # of a budget
_FINE = 0.95  # of jobs that end well

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class _Answer(Generic[T]):
    """What a card's question brought: its value, or why there is none in a few words."""

    value: T | None = None
    why: str = ""


def draw() -> None:
    """The whole page; it looks again by itself while it is live."""
    live = filters.shared().live
    st.fragment(_body, run_every=EVERY if live else None)()


def _body() -> None:
    redraw.heed()
    try:
        asker = person()
        if not may(asker, Action.see_health):
            _lead_on()
            return
        found = health.look(asker, services())
    except StudioError as error:
        look.head("Overview")
        told(error)
        return
    _verdict(found)
    _numbers()
    look.as_of(
        found.at, f"{len(found.asked)} of {len(found.asked) + len(found.unanswered)} rules were asked."
    )


def _lead_on() -> None:
    look.head("Overview")
    look.nothing("Not for this role", refusal(Action.see_health))
    with st.container(horizontal=True, horizontal_alignment="center"):
        navigation.link("jobs", "Go to your own jobs")


# -- what is wrong ----------------------------------------------------------------------------------------------------


def _verdict(found: Health) -> None:
    look.head("Overview")
    tone, sentence = _in_a_sentence(found)
    st.html(
        f'<div class="ov-verdict" data-tone="{tone}"><i aria-hidden="true"></i><p>{say(sentence)}</p></div>'
    )
    if found.problems or found.unanswered:
        lines = [*map(_line, found.problems), *map(_unasked, found.unanswered)]
        st.html(f'<ol class="ov-list">{"".join(lines)}</ol>')
    if found.problems:
        with st.container(horizontal=True, horizontal_alignment="right"):
            tables.files(_sheet(found))


def _in_a_sentence(found: Health) -> tuple[str, str]:
    broken = sum(one.severity is Severity.bad for one in found.problems)
    threatened = len(found.problems) - broken
    parts = [
        *([_things(broken, "is broken", "are broken")] if broken else []),
        *([_things(threatened, "needs a look", "need a look")] if threatened else []),
        *(
            [f"{len(found.unanswered)} could not be checked, which is not the same as well"]
            if found.unanswered
            else []
        ),
    ]
    if not parts:
        return "good", "All is well: every rule was asked, and none found anything."
    first = f" First: {_lowered(found.problems[0].title)}." if found.problems else ""
    return ("bad" if broken else "warn"), f"{', '.join(parts)}.{first}"


def _things(number: int, one: str, several: str) -> str:
    return f"{number} {'thing' if number == 1 else 'things'} {one if number == 1 else several}"


def _lowered(title: str) -> str:
    """A title inside a sentence; names keep their own letters."""
    first, _, rest = title.partition(" ")
    return f"{first.lower()} {rest}" if first.istitle() and rest else title


def _line(problem: Problem) -> str:
    href = navigation.href(problem.page, **problem.query)
    due = f'<span class="ov-due">{say(_due(problem.nearest))}</span>' if problem.nearest else ""
    return (
        f'<li data-tone="{say(problem.severity)}"><a href="{say(href)}" target="_self">'
        f'<span class="ov-mark" aria-hidden="true"></span><span class="ov-words"><b>{say(problem.title)}</b>{due}'
        f'<small>{say(problem.sentence)}</small></span><span class="ov-go">{say(_room(problem.page))}</span></a></li>'
    )


def _unasked(one: Unanswered) -> str:
    why = "It took too long and was stopped after 5 seconds." if one.timed_out else one.why
    return (
        '<li data-tone="calm"><div><span class="ov-mark" aria-hidden="true"></span><span class="ov-words">'
        f"<b>{say(one.title)}: not checked</b><small>{say(why)}</small></span></div></li>"
    )


def _due(nearest: datetime) -> str:
    left = (nearest - datetime.now(UTC)).total_seconds()
    return f"{words.lasted(left)} left" if left > 0 else "overdue"


def _room(name: str) -> str:
    titles = {room.name: room.title for members in navigation.ROOMS.values() for room in members}
    return titles.get(name, name)


def _sheet(found: Health) -> Sheet:
    return Sheet(
        name="health",
        columns=("rule", "subject", "severity", "title", "sentence", "number", "at_least", "nearest", "page"),
        rows=lambda: (
            (
                one.rule, one.subject, one.severity, one.title, one.sentence,
                one.counted.number if one.counted else None, one.counted.more if one.counted else None, one.nearest,
                navigation.href(one.page, **one.query),
            )
            for one in found.problems
        ),
    )  # fmt: skip


# -- numbers ----------------------------------------------------------------------------------------------------------


def _numbers() -> None:
    """The cards; a question that fails takes its own cards with it and no others."""
    course = _try(overview.course)
    st.subheader("Last 24 hours")
    cards.draw(
        [*_made(course), _autosave_card(), _today_card()],
        key="ov_day",
    )
    st.subheader("Now")
    cards.draw([*_unfinished(), _risk_card(), _coverage_card(), *_budget_cards()], key="ov_now")


def _try(question: Callable[..., T]) -> _Answer[T]:
    return _asked(lambda: read(question))


def _asked(use_case: Callable[[], T]) -> _Answer[T]:
    """Raises DatabaseUnavailable only: then no card is known."""
    try:
        return _Answer(value=use_case())
    except DatabaseUnavailable:
        return _Answer(why="The database does not answer.")
    except QueryTimedOut:
        return _Answer(why="Stopped after 5 s: too slow.")
    except StudioError as error:
        return _Answer(why=error.sentence)


def _made(course: _Answer[Course]) -> Iterator[Card]:
    jobs = navigation.href("jobs", period="24 hours")
    if course.value is None:
        yield from (
            Card(label=label, value=None, note=course.why)
            for label in ("Jobs asked for", "Success rate", "Time to make one")
        )
        return
    day, before = course.value.day(0), course.value.day(1)
    spark = _course(course.value)
    yield Card(
        label="Jobs asked for",
        value=f"{day.asked:,}",
        note=f"{day.completed:,} completed, {day.failed:,} failed, {day.cancelled:,} cancelled",
        spark=[float(one.asked) for one in spark],
        href=jobs,
    )
    yield Card(
        label="Success rate",
        value="none ended" if day.success is None else f"{day.success:.1%}",
        note="" if before.success is None else f"{before.success:.1%} the day before",
        tone="calm" if day.success is None or day.success >= _FINE else "warn",
        spark=[one.success for one in spark],
        href=navigation.href("jobs", q="status:failed", period="24 hours"),
    )
    yield Card(
        label="Time to make one",
        value="none made" if day.median_seconds is None else words.lasted(day.median_seconds),
        note=""
        if day.p95_seconds is None
        else f"the slowest 5% take {words.lasted(day.p95_seconds)} or more",
        spark=[one.median_seconds for one in spark],
        href=jobs,
    )


def _course(course: Course) -> Sequence[overview.JobDay]:
    """The days there are, the oldest first; days before the first job are left out."""
    oldest = max((one.back for one in course.days), default=0)
    return [course.day(back) for back in range(oldest, -1, -1)]


def _autosave_card() -> Card:
    answer = _try(lambda conn: overview.saved(conn, grace=proof.grace(services())))
    if answer.value is None:
        return Card(label="Auto-saved", value=None, note=answer.why)
    by_day = {one.back: one for one in answer.value}
    day = by_day.get(0)
    if day is None:
        return Card(
            label="Auto-saved",
            value="none due",
            note="no portrait was completed",
            href=navigation.href("autosave"),
        )
    missing = day.completed - day.saved
    share = "100%" if not missing else f"{min(day.saved / day.completed, 0.999):.1%}"
    return Card(
        label="Auto-saved",
        value=share,
        note=f"of {day.completed:,} {'portrait' if day.completed == 1 else 'portraits'}"
        + (f", {missing:,} missing" if missing else ""),
        tone="bad" if missing else "good",
        spark=[_share(by_day.get(back)) for back in range(max(by_day), -1, -1)],
        href=navigation.href("autosave"),
    )


def _share(day: SavedDay | None) -> float | None:
    return day.saved / day.completed if day else None


def _today_card() -> Card:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    answer = _try(
        lambda conn: costs.days(conn, costs.full_days(conn, midnight - timedelta(days=_COST_DAYS - 1)))
    )
    if answer.value is None:
        return Card(label="Cost today", value=None, note=answer.why)
    by_day = {one.day: one for one in answer.value}
    today = by_day.get(midnight.date())
    oldest = min(by_day, default=midnight.date())
    course = [oldest + timedelta(days=step) for step in range((midnight.date() - oldest).days + 1)]
    return Card(
        label="Cost today (UTC)",
        value="not known" if _nothing_known(today) else f"${today.spent_usd if today else Decimal(0):,.2f}",
        note=_today_words(today),
        tone="warn" if today and today.unknown else "calm",
        spark=[float(by_day[day].spent_usd) if day in by_day else 0.0 for day in course],
        href=navigation.href("costs", span="24 hours"),
    )


def _nothing_known(today: Day | None) -> bool:
    """True where all that is summed is unknown: that is no zero."""
    return today is not None and today.unknown > 0 and not today.spent_usd and not today.held_usd


def _today_words(today: Day | None) -> str:
    if today is None:
        return "nothing was asked for yet"
    parts = [
        *([f"${today.held_usd:,.2f} held"] if today.held_usd else []),
        *([f"{today.unknown:,} unknown, not in it"] if today.unknown else []),
    ]
    return ", ".join(parts) or "all of it known"


def _unfinished() -> Iterator[Card]:
    answer = _try(overview.unfinished)
    if answer.value is None:
        yield Card(label="Unfinished jobs", value=None, note=answer.why)
        return
    now = answer.value
    more = "+" if now.more else ""
    yield Card(
        label="Waiting",
        value=f"{now.queued:,}{more}",
        note=f"{now.processing:,}{more} being made",
        href=navigation.href("jobs", q="status:queued,processing"),
    )
    yield Card(
        label="Outcome unknown",
        value=f"{now.outcome_unknown:,}",
        note="a person settles each" if now.outcome_unknown else "every paid request has its receipt",
        tone="bad" if now.outcome_unknown else "calm",
        href=navigation.href("stuck", what="unknown"),
    )


def _risk_card() -> Card:
    result_seconds = services().catalog.result_seconds
    answer = _try(
        lambda conn: recoveries.at_risk(conn, within=recovery.AT_RISK_WITHIN, result_seconds=result_seconds)
    )
    if answer.value is None:
        return Card(label="Images at risk", value=None, note=answer.why)
    risk = answer.value
    return Card(
        label="Images at risk",
        value=f"{risk.count:,}{'+' if risk.more else ''}",
        note=f"the first: {_due(risk.nearest)}" if risk.nearest else "no paid result is about to expire",
        tone="bad" if risk.count else "calm",
        href=navigation.href("stuck", what="at_risk"),
    )


def _coverage_card() -> Card:
    answer = _asked(lambda: attributes.status(person(), services()))
    if answer.value is None:
        return Card(label="Attribute images", value=None, note=answer.why)
    cells = answer.value.cells
    lacking = answer.value.count(CellState.missing) + answer.value.count(CellState.failed)
    reviewed = _try(overview.review)
    pending = f", {reviewed.value.pending} to review" if reviewed.value and reviewed.value.pending else ""
    return Card(
        label="Attribute images",
        value=f"{len(cells) - lacking} of {len(cells)}",
        note=(f"{lacking} missing" if lacking else "complete") + pending,
        tone="warn" if lacking else "calm",
        href=navigation.href("attributes"),
    )


def _budget_cards() -> Iterator[Card]:
    """The shared budgets; where there is none, that is said."""
    answer = _asked(lambda: budgets.listing(person(), services()))
    if answer.value is None:
        yield Card(label="Budget", value=None, note=answer.why)
        return
    shared = [one for one in answer.value if one.user_id is None]
    if not shared:
        note = f"{len(answer.value):,} of single people" if answer.value else "nothing limits spending"
        value = "none shared" if answer.value else "none set"
        yield Card(label="Budget", value=value, note=note, href=navigation.href("costs"))
    for one in shared[:2]:
        yield _budget_card(one)


def _budget_card(one: Standing) -> Card:
    used = one.spent + one.held
    share = used / one.limit_usd if one.limit_usd else Decimal(1)
    unknown = f", {one.unknown:,} unknown" if one.unknown else ""
    return Card(
        label=f"Budget of the {one.period}{'' if one.hard else ' (warns only)'}",
        value=f"{share:.0%}",
        note=f"${used:,.2f} of ${one.limit_usd:,.2f}{unknown}",
        tone="bad" if share >= 1 else "warn" if share >= _NEAR else "calm",
        href=navigation.href("costs"),
    )
