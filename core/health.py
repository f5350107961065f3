"""Health rules: what is wrong now, what first, and the page that mends it (SPEC "Audit", Overview).

A rule asks one bounded question and answers with problems in words, or with none. A rule that could not be asked is
named as that: *not checked* is not *passed*. The Overview page asks them as the person who looks; the worker's clock
asks them as WATCHER and keeps what changed (core/notices.py). Nothing here writes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from core import attributes, findings, recovery
from core.attributes import CellState
from core.audit import autosave, library, troubles
from core.audit.jobs import Counted
from core.audit.troubles import Rate
from core.authority import Action, permit
from core.db import Connection, budgets, models, parts, recoveries
from core.db.budgets import Standing
from core.errors import DatabaseUnavailable, QueryTimedOut, StudioError
from core.services import Services
from core.values import Person, PersonId, Role, provider_name

WATCHER = Person(id=PersonId(UUID(int=0)), roles=frozenset({Role.qa}), name="the health rules")
"""As whom the worker's clock asks: it reads what qa reads, and only reads."""

STORE = "store"  # the look at the store, among core.audit.troubles.looks
_QUEUE_AGE = timedelta(minutes=10)
_PROOF_AGE = timedelta(hours=26)  # proved once a day
_RATE_HOURS = 6
_RATE_DAYS = 14
_FEWEST = 10  # ended jobs that a rate is judged by
_NEAR = Decimal("0.8")  # of a budget
_LOOK_AGE = 10  # looks that may be missed before the last one is too old
_NAMED = 3  # missing parts that a sentence names


class Severity(StrEnum):
    """How bad: `bad` is broken now, `warn` will be or may be."""

    bad = "bad"
    warn = "warn"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong. `subject` tells problems of one rule apart (a provider, a budget); `nearest` is the
    moment by which it must be mended, where there is one; `page` and `query` lead to where it is mended.
    """

    rule: str
    severity: Severity
    title: str
    sentence: str
    page: str
    subject: str = ""
    counted: Counted | None = None
    nearest: datetime | None = None
    query: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, kw_only=True)
class Unanswered:
    """A rule that could not be asked: `timed_out`, or `why` in a sentence."""

    rule: str
    title: str
    timed_out: bool
    why: str


@dataclass(frozen=True, kw_only=True)
class Health:
    """What all rules said at a moment: problems with the most urgent first."""

    at: datetime
    problems: tuple[Problem, ...]
    unanswered: tuple[Unanswered, ...]
    asked: tuple[str, ...]  # rules that answered

    @property
    def is_well(self) -> bool:
        """True where every rule was asked and none found anything."""
        return not self.problems and not self.unanswered


@dataclass(frozen=True, kw_only=True)
class _Around:
    person: Person
    services: Services
    now: datetime


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule: `code` is stored and linked to, `title` is what a person reads where it could not be asked."""

    code: str
    title: str
    ask: Callable[[Connection, _Around], Iterable[Problem]]


def look(person: Person, services: Services) -> Health:
    """What is wrong now. Raises NotAllowed (needs qa, product or admin), DatabaseUnavailable."""
    permit(person, Action.see_health)
    around = _Around(person=person, services=services, now=datetime.now(UTC))
    problems: list[Problem] = []
    unanswered: list[Unanswered] = []
    for rule in RULES:
        try:
            with services.db.as_reader(person) as conn:
                problems.extend(rule.ask(conn, around))
        except DatabaseUnavailable:
            raise
        except StudioError as error:
            late = isinstance(error, QueryTimedOut)
            unanswered.append(
                Unanswered(rule=rule.code, title=rule.title, timed_out=late, why=error.sentence)
            )
    failed = {one.rule for one in unanswered}
    return Health(
        at=around.now,
        problems=tuple(sorted(problems, key=_urgency)),
        unanswered=tuple(unanswered),
        asked=tuple(rule.code for rule in RULES if rule.code not in failed),
    )


def _urgency(problem: Problem) -> tuple[bool, datetime, int]:
    """Broken before threatened, a deadline before none, then as the rules stand."""
    return problem.severity is not Severity.bad, problem.nearest or _NEVER, _PLACE[problem.rule]


# -- the rules --------------------------------------------------------------------------------------------------------


def _at_risk(conn: Connection, around: _Around) -> Iterator[Problem]:
    risk = recoveries.at_risk(
        conn, within=recovery.AT_RISK_WITHIN, result_seconds=around.services.catalog.result_seconds
    )
    if not risk.count or risk.nearest is None:
        return
    counted = Counted(number=risk.count, more=risk.more)
    gone = risk.nearest <= around.now
    when = f"since {span(risk.nearest, around.now)}" if gone else f"in {span(risk.nearest, around.now)}"
    yield Problem(
        rule="results.at_risk",
        severity=Severity.bad,
        title="Paid pictures may be lost",
        sentence=f"{_many(counted, 'paid result is', 'paid results are')} not with us yet, and the provider may "
        f"delete {'the first' if risk.count > 1 else 'it'} {when}.",
        page="stuck",
        query={"what": "at_risk"},
        counted=counted,
        nearest=risk.nearest,
    )


def _stuck(conn: Connection, around: _Around) -> Iterator[Problem]:
    found = troubles.stuck(conn, recovery.look(around.services))
    if found.counted.number:
        yield Problem(
            rule="jobs.stuck",
            severity=Severity.bad,
            title="Jobs are stuck",
            sentence=f"{_many(found.counted, 'job stands', 'jobs stand')} still{_since(found.oldest, around)}. "
            "Recovery can say what keeps each, and mend it.",
            page="stuck",
            query={"what": "stuck"},
            counted=found.counted,
        )


def _unknown(conn: Connection, around: _Around) -> Iterator[Problem]:
    found = troubles.unknown_outcomes(conn)
    if found.counted.number:
        yield Problem(
            rule="jobs.outcome_unknown",
            severity=Severity.bad,
            title="Outcomes are unknown",
            sentence=f"{_many(found.counted, 'paid request', 'paid requests')} left without a receipt"
            f"{_since(found.oldest, around)}. A person looks at the provider and "
            "settles each.",
            page="stuck",
            query={"what": "unknown"},
            counted=found.counted,
        )


def _workers(conn: Connection, around: _Around) -> Iterator[Problem]:
    within = 3 * around.services.settings.heartbeat_seconds
    if troubles.workers_alive(conn, within=within):
        return
    waiting = [one for one in troubles.queue_stand(conn) if one.waiting]
    if waiting:
        number = sum(one.waiting for one in waiting)
        oldest = min((one.oldest_at for one in waiting if one.oldest_at), default=None)
        yield Problem(
            rule="worker.none",
            severity=Severity.bad,
            title="No worker is running",
            sentence=f"{number:,} {'entry waits' if number == 1 else 'entries wait'} in the queue"
            f"{_since(oldest, around)}, and no worker was heard of. Start the studio or `python -m core.worker`.",
            page="system",
            counted=Counted(number=number),
        )


def _queue(conn: Connection, around: _Around) -> Iterator[Problem]:
    if not troubles.workers_alive(conn, within=3 * around.services.settings.heartbeat_seconds):
        return  # that is the rule above
    for one in troubles.queue_stand(conn):
        if one.oldest_at is not None and around.now - one.oldest_at > _QUEUE_AGE:
            yield Problem(
                rule="queue.old",
                subject=one.entrypoint,
                severity=Severity.warn,
                title=f"The queue {queue_name(one.entrypoint)} is slow",
                sentence=f"{one.waiting:,} wait for {queue_name(one.entrypoint)}, the first for "
                f"{span(one.oldest_at, around.now)}. More workers or a higher limit would help.",
                page="system",
                counted=Counted(number=one.waiting),
            )


def _pauses(conn: Connection, around: _Around) -> Iterator[Problem]:
    for provider, why in sorted(models.pauses(conn).items()):
        ends = around.now + timedelta(seconds=why.seconds)
        yield Problem(
            rule="provider.paused",
            subject=provider,
            severity=Severity.bad,
            title=f"{provider_name(provider)} is paused",
            sentence=f"Nothing is sent to {provider_name(provider)} for another {span(ends, around.now)}: "
            f"{_plain(str(why).rpartition(' (for ')[0])}. System resumes it.",
            page="system",
        )


def _rates(conn: Connection, _around: _Around) -> Iterator[Problem]:
    for one in troubles.failure_rates(conn, hours=_RATE_HOURS, days=_RATE_DAYS):
        if (why := above_usual(one)) is not None:
            yield Problem(
                rule="failures.above_usual",
                subject=f"{one.provider}:{one.model_key}",
                severity=Severity.warn,
                title=f"{one.model} fails more than usual",
                sentence=f"{provider_name(one.provider)}, {one.model}: {why}",
                page="jobs",
                query={"q": f"status:failed provider:{one.provider} since:{_RATE_HOURS}h"},
                counted=Counted(number=one.failed),
            )


def above_usual(one: Rate) -> str | None:
    """Why a model's failures are more than usual, with what that rests on; None where they are not, or too few. Pure.

    Above usual is twice the usual rate and three standard errors beyond it; without a past, half of all.
    """
    if one.ended < _FEWEST or not one.failed:
        return None
    rate = one.failed / one.ended
    lately = f"{one.failed} of {one.ended} failed in the last {_RATE_HOURS} hours ({rate:.0%})"
    if one.usual_ended < 2 * _FEWEST:
        return f"{lately}; there is too little before that to compare with." if rate >= 0.5 else None  # noqa: PLR2004
    usual = one.usual_failed / one.usual_ended
    error = math.sqrt(max(usual * (1 - usual), 0.01) / one.ended)
    if rate < 2 * usual or rate < usual + 3 * error:
        return None
    return f"{lately}; usual are {usual:.0%}, by the {one.usual_ended:,} before in {_RATE_DAYS} days."


def _lag(conn: Connection, around: _Around) -> Iterator[Problem]:
    found = autosave.lag(conn)
    late = timedelta(seconds=around.services.settings.autosave_delay + 600)
    if found.waiting and found.oldest_at is not None and around.now - found.oldest_at > late:
        counted = Counted(number=found.waiting, more=found.more)
        yield Problem(
            rule="autosave.lag",
            severity=Severity.bad,
            title="Auto-save lags",
            sentence=f"{_many(counted, 'finished portrait is', 'finished portraits are')} not in the library yet, "
            f"the first for {span(found.oldest_at, around.now)}.",
            page="autosave",
            counted=counted,
        )


def _autosave(conn: Connection, around: _Around) -> Iterator[Problem]:
    found = troubles.broken_portraits(conn)
    if found.counted.number:
        yield Problem(
            rule="autosave.broken",
            severity=Severity.bad,
            title="Portraits were not saved right",
            sentence=f"{_many(found.counted, 'portrait fails', 'portraits fail')} one of the seven checks"
            f"{_since(found.oldest, around)}.",
            page="autosave",
            query={"broken": "true"},
            counted=found.counted,
        )


def _proof(conn: Connection, around: _Around) -> Iterator[Problem]:
    stand = troubles.proof_stand(conn)
    oldest = stand.oldest_portrait_at
    if oldest is None or around.now - oldest < _PROOF_AGE:
        return  # nothing that the daily check should have met
    last = stand.finished_at
    if last is not None and around.now - last < _PROOF_AGE:
        return
    when = f"ended {span(last, around.now)} ago" if last else "has never run to its end"
    yield Problem(
        rule="autosave.not_checked",
        severity=Severity.warn,
        title="Auto-save is not checked",
        sentence=f"The daily proof of all portraits {when}. Not checked is not passed.",
        page="autosave",
    )


def _scan(conn: Connection, around: _Around) -> Iterator[Problem]:
    oldest = troubles.proof_stand(conn).oldest_portrait_at
    if oldest is None or around.now - oldest < _PROOF_AGE:
        return
    last = max((one.finished_at for one in library.scans(conn) if one.finished_at), default=None)
    if last is not None and around.now - last < _PROOF_AGE:
        return
    when = f"ended {span(last, around.now)} ago" if last else "has never run to its end"
    yield Problem(
        rule="library.not_checked",
        severity=Severity.warn,
        title="The library is not checked",
        sentence=f"The daily scan of rows against files {when}. Not checked is not passed.",
        page="library",
    )


def _findings(conn: Connection, around: _Around) -> Iterator[Problem]:
    for one in troubles.families(conn):
        counted = Counted(number=one.number, more=one.number >= troubles.MOST_COUNTED)
        only = findings.rule_of(one.example).title if one.rules == 1 else None
        named = f": {only}" if only else f", of {one.rules} rules"
        yield Problem(
            rule="findings.open",
            subject=one.family,
            severity=Severity.warn,
            title=f"Findings about {FAMILIES.get(one.family, one.family)}",
            sentence=f"{_many(counted, 'finding is', 'findings are')} open, the oldest for "
            f"{span(one.oldest, around.now)}{named}.",
            page="library" if one.family == "library" else "findings",
            query={"rule": only}
            if only and one.example in findings.RULES and one.family != "library"
            else {},
            counted=counted,
        )


def _budgets(conn: Connection, _around: _Around) -> Iterator[Problem]:
    for one in budgets.standings(conn, None):
        used = one.spent + one.held
        if one.limit_usd > 0 and used >= one.limit_usd * _NEAR:
            yield _spent(one, used)


def _spent(one: Standing, used: Decimal) -> Problem:
    whose = "The shared" if one.user_id is None else "A personal"
    over = used >= one.limit_usd
    stops = "new requests are refused" if one.hard else "nothing is stopped by it"
    unknown = (
        f" {one.unknown} more {'cost is' if one.unknown == 1 else 'costs are'} unknown."
        if one.unknown
        else ""
    )
    return Problem(
        rule="budget.spent",
        subject=str(one.id),
        severity=Severity.bad if over and one.hard else Severity.warn,
        title="A budget is used up" if over else "A budget is nearly used up",
        sentence=f"{whose} budget of ${one.limit_usd:,.2f} a {one.period}: ${used:,.2f} are spent or held "
        f"({used / one.limit_usd:.0%})"
        + (f", so {stops}." if over else ".")
        + unknown
        + f" It begins again on {one.resets_at:%-d %B} at 00:00 UTC.",
        page="costs",
        nearest=None,
    )


def _attributes(conn: Connection, around: _Around) -> Iterator[Problem]:  # noqa: ARG001 - asks by its own use case
    matrix = attributes.status(around.person, around.services)
    lacking = matrix.count(CellState.missing) + matrix.count(CellState.failed)
    if lacking:
        yield Problem(
            rule="attributes.missing",
            severity=Severity.warn,
            title="Attribute images are missing",
            sentence=f"{lacking} of {len(matrix.cells)} pictures of the character form are missing.",
            page="attributes",
            counted=Counted(number=lacking),
        )


def _schema(conn: Connection, _around: _Around) -> Iterator[Problem]:
    if files := parts.not_applied(conn):
        yield Problem(
            rule="schema.not_migrated",
            severity=Severity.bad,
            title="The database is not up to date",
            sentence=f"{len(files)} {'migration is' if len(files) == 1 else 'migrations are'} not applied, the first "
            f"is {files[0]}. Run `python -m core migrate`.",
            page="system",
        )
    elif gone := parts.missing(conn):
        named = ", ".join(part_words(one) for one in gone[:_NAMED])
        more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
        yield Problem(
            rule="schema.missing",
            severity=Severity.bad,
            title="A part of the schema is missing",
            sentence=f"Missing: {named}{more}. What rests on it is not held by the database now.",
            page="system",
            counted=Counted(number=len(gone)),
        )


def _store(conn: Connection, around: _Around) -> Iterator[Problem]:
    seen = troubles.looks(conn).get(STORE)
    if seen is None:
        return  # the clock of a worker has never looked; System says so
    if not seen.ok:
        yield Problem(
            rule="store.silent",
            severity=Severity.bad,
            title="The store does not answer",
            sentence=f"{_plain(seen.sentence)} That was {span(seen.at, around.now)} ago.",
            page="system",
        )
    elif around.now - seen.at > timedelta(seconds=_LOOK_AGE * around.services.settings.health_every):
        yield Problem(
            rule="store.silent",
            severity=Severity.warn,
            title="The store is not looked at",
            sentence=f"A worker last looked at it {span(seen.at, around.now)} ago. Not checked is not passed.",
            page="system",
        )


def _notices(conn: Connection, around: _Around) -> Iterator[Problem]:
    one = troubles.undelivered(conn)
    if one is not None:
        how = "was given up" if one.given_up else "is tried again"
        yield Problem(
            rule="notify.failing",
            severity=Severity.warn,
            title="News does not arrive",
            sentence=f"News of {span(one.made_at, around.now)} ago did not reach its receiver after "
            f"{one.attempts} {'try' if one.attempts == 1 else 'tries'} and {how}: {_plain(one.answer)}",
            page="system",
        )


RULES: Sequence[Rule] = (
    Rule(code="results.at_risk", title="Paid pictures at risk", ask=_at_risk),
    Rule(code="schema.missing", title="Schema", ask=_schema),
    Rule(code="store.silent", title="Store", ask=_store),
    Rule(code="worker.none", title="Workers", ask=_workers),
    Rule(code="provider.paused", title="Paused providers", ask=_pauses),
    Rule(code="jobs.outcome_unknown", title="Unknown outcomes", ask=_unknown),
    Rule(code="jobs.stuck", title="Stuck jobs", ask=_stuck),
    Rule(code="autosave.lag", title="Auto-save's lag", ask=_lag),
    Rule(code="autosave.broken", title="Auto-save", ask=_autosave),
    Rule(code="budget.spent", title="Budgets", ask=_budgets),
    Rule(code="failures.above_usual", title="Failure rates", ask=_rates),
    Rule(code="queue.old", title="Queue", ask=_queue),
    Rule(code="autosave.not_checked", title="The daily proof", ask=_proof),
    Rule(code="library.not_checked", title="The library's scan", ask=_scan),
    Rule(code="findings.open", title="Findings", ask=_findings),
    Rule(code="attributes.missing", title="Attribute images", ask=_attributes),
    Rule(code="notify.failing", title="News", ask=_notices),
)
"""In the order of urgency where nothing else decides."""

ALSO: Mapping[str, str] = {"schema.not_migrated": "schema.missing"}
"""Problems that another rule answers for."""

_NEVER = datetime.max.replace(tzinfo=UTC)
_PLACE = {
    code: place
    for place, rule in enumerate(RULES)
    for code in (rule.code, *(also for also, of in ALSO.items() if of == rule.code))
}

FAMILIES: Mapping[str, str] = {
    "asset": "results in the workspace",
    "attribute": "attribute images",
    "character": "characters",
    "character_portraits": "portraits and their jobs",
    "job": "jobs",
    "library": "the library",
    "notify": "news of what is broken",
    "portrait": "portraits",
    "qa": "QA samples",
    "row": "rows that do not fit",
    "submission": "requests to providers",
    "trigger": "the database's triggers",
    "user_library": "library rows and their jobs",
    "workspace": "the workspace",
}
"""What the word before a rule's dot is about."""


# -- words ------------------------------------------------------------------------------------------------------------


def span(moment: datetime, now: datetime) -> str:
    """How far a moment is away, in words: 40 s, 12 min, 5 h, 3 days."""
    seconds = abs((now - moment).total_seconds())
    for size, word in ((172_800, "days"), (7_200, "h"), (120, "min")):
        if seconds >= size:
            return f"{seconds / {'days': 86_400, 'h': 3_600, 'min': 60}[word]:.0f} {word}"
    return f"{seconds:.0f} s"


def queue_name(entrypoint: str) -> str:
    """An entry point of the queue as people read it."""
    if entrypoint.startswith("portrait_"):
        return f"pictures at {provider_name(entrypoint.removeprefix('portrait_'))}"
    return {
        "autosave": "auto-save",
        "match": "matching",
        "publish": "publishing",
        "rescue": "rescue",
        "confirm": "webhooks",
    }.get(entrypoint, entrypoint)


def part_words(part: parts.Part) -> str:
    """A part of the schema as people read it."""
    where = f" on {part.on}" if part.on else ""
    return f"row-level security{where}" if part.kind is parts.PartKind.security else (
        f"{part.kind} {part.name}{where}"
    )  # fmt: skip


def _many(counted: Counted, one: str, several: str) -> str:
    more = "+" if counted.more else ""
    return f"{counted.number:,}{more} {one if counted.number == 1 and not more else several}"


def _since(oldest: datetime | None, around: _Around) -> str:
    return f", the oldest for {span(oldest, around.now)}" if oldest is not None else ""


def _plain(text: str) -> str:
    """A stored sentence as a part of another: one line, no dot at its end is doubled."""
    return " ".join(text.split())
