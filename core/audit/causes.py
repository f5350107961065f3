"""Failures by their cause: the same code, model and sentence, whatever numbers and names stand in it (SPEC "Audit").

Bounded like every look at jobs: the newest failed jobs of a filter are read, so many and no more, and it is said how
far back that went.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from core.audit import job_filter, job_search
from core.audit.job_filter import Among, Asked, Field, Query, Words
from core.audit.job_search import Sought
from core.audit.jobs import JobState
from core.db import Connection

READ = 10_000  # failed jobs that are read
MOST = 50  # causes that are shown
BARS = 24  # of a trend
_ENDED_BADLY = frozenset({JobState.failed, JobState.outcome_unknown, JobState.cancelled})
_SHORTEST_WORDS = 6  # letters of a sentence that find it again


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Jobs that failed alike. `sentence` has … for what differs; `example` is the newest; `trend` counts them bar by
    bar, oldest first, over what was read.
    """

    code: str
    sentence: str
    provider: str
    model: str
    model_key: str
    number: int
    first_at: datetime
    last_at: datetime
    example: UUID
    trend: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Causes:
    """The causes, the most frequent first. `read` failed jobs stand behind them; `cut`: there are older ones that were
    not read; `left_out`: causes beyond the shown ones.
    """

    shown: Sequence[Cause]
    read: int
    cut: bool
    since: datetime | None
    left_out: int = 0


@dataclass(frozen=True, kw_only=True)
class _Alike:
    """Jobs of one code, model and very sentence within one stretch of time."""

    code: str
    message: str
    provider: str
    model: str
    model_key: str
    bar: int
    number: int
    first_at: datetime
    last_at: datetime
    example: UUID


def groups(conn: Connection, wanted: Sought, now: datetime) -> Causes:
    """Why jobs of this filter failed. Raises QueryTimedOut, DatabaseUnavailable."""
    states = tuple(state for state in wanted.states or JobState if state in _ENDED_BADLY)
    bad = replace(wanted, states=states if wanted.states is not None else (JobState.failed,))
    oldest, read = job_search.reach(conn, bad, READ)
    if oldest is None:
        return Causes(shown=(), read=0, cut=False, since=None)
    alike = [_Alike(**row) for row in job_search.alike(conn, bad, READ, since=oldest, until=now, bars=BARS)]
    causes = sorted(_merged(alike), key=lambda one: (-one.number, one.code, one.sentence, one.model))
    return Causes(
        shown=causes[:MOST],
        read=sum(one.number for one in alike),
        cut=read >= READ,
        since=oldest,
        left_out=max(len(causes) - MOST, 0),
    )


def _merged(alike: Iterable[_Alike]) -> list[Cause]:
    together: dict[tuple[str, str, str], list[_Alike]] = defaultdict(list)
    for one in alike:
        together[one.code, normal(one.message), one.model_key].append(one)
    return [_cause(sentence, members) for (_, sentence, _), members in together.items()]


def _cause(sentence: str, members: Sequence[_Alike]) -> Cause:
    newest = max(members, key=lambda one: one.last_at)
    trend = [0] * BARS
    for one in members:
        trend[min(max(one.bar, 1), BARS) - 1] += one.number
    return Cause(
        code=newest.code,
        sentence=sentence,
        provider=newest.provider,
        model=newest.model,
        model_key=newest.model_key,
        number=sum(one.number for one in members),
        first_at=min(one.first_at for one in members),
        last_at=newest.last_at,
        example=newest.example,
        trend=tuple(trend),
    )


# -- sentences --------------------------------------------------------------------------------------------------------

_DIFFERS = re.compile(
    r"""https?://\S+                                   # addresses
      | [0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}
      | \b(?=\w*\d)[0-9a-fA-F]{12,}\b                  # request ids
      | “[^”]*” | "[^"]*"                              # names that are quoted
      | \b(?![45]\d\d\b)\d+(?:[.,:]\d+)*               # numbers, but for an answer's status: 404 is no 503
    """,
    re.VERBOSE,
)


def normal(sentence: str) -> str:
    """A sentence without what differs from job to job: numbers, ids, addresses and quoted names are …"""
    return " ".join(_DIFFERS.sub("…", sentence).split())


def as_filter(cause: Cause, query: Query) -> str:
    """What to type for the jobs of a cause, within what is looked at already."""
    kept = [one for one in query.terms if isinstance(one, Asked)]
    terms = [
        *([Among(key=Field.error, values=(cause.code,))] if cause.code else []),
        *([Among(key=Field.model, values=(cause.model_key,))] if cause.model_key else []),
        *([Words(text=words)] if (words := _telling(cause.sentence)) else []),
    ]
    return job_filter.show(Query(terms=(*terms, *kept)))


def _telling(sentence: str) -> str:
    """The longest piece of a sentence that every job of its cause has."""
    longest = max((piece.strip() for piece in sentence.split("…")), key=len)
    return longest if len(longest) >= _SHORTEST_WORDS else ""


def bar_length(causes: Causes, now: datetime) -> timedelta:
    """How long one bar of a trend lasts."""
    return (now - causes.since) / BARS if causes.since else timedelta()
