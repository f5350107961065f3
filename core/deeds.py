"""What a bulk action may do with one row: a deed, and what became of the row (SPEC "Audit").

A deed stands in the core module of its own use cases; `core/bulk.py` lists them all by kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from core.authority import MAY, Action, may
from core.errors import BadRequest
from core.services import Services
from core.values import JobId, Person, Role

Options: TypeAlias = Mapping[str, str]


class Ended(StrEnum):
    """How one row of a bulk action ended."""

    done = "done"
    refused = "refused"  # a rule is in the way, or it changed since it was shown; nothing was done
    failed = "failed"  # something broke; trying again may help


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one row, and a sentence about it for people."""

    ended: Ended
    sentence: str


def done(sentence: str) -> Outcome:
    """It was done."""
    return Outcome(ended=Ended.done, sentence=sentence)


def refused(sentence: str) -> Outcome:
    """Nothing was done, and why."""
    return Outcome(ended=Ended.refused, sentence=sentence)


def failed(sentence: str) -> Outcome:
    """It broke; what helps."""
    return Outcome(ended=Ended.failed, sentence=sentence)


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A row that an earlier run had begun when it was lost: for whom, and since when."""

    action_id: UUID
    who: Sequence[UUID]  # who asked for the action, and who runs it now
    since: datetime
    why: str


@dataclass(frozen=True, kw_only=True)
class Deed:
    """One thing that can be done with many rows. `title` as a button says it: "Purge".

    `check` looks at all ids before anything is written and raises BadRequest. `act` does one row, with the person's own
    rights: it looks again first, and refuses in words what changed since it was shown. Its options are those of the
    action, and two more: `why` and `action` (the action's id). It may be called twice for a row, so it is idempotent.
    `found_done`: whether a row that a lost run had begun was done by it, None where it was not; without it `act` is
    called again. `preview`: which rows it would refuse now, each with the sentence; changes nothing. `prices`: dollars of
    each row, None where not known; only what costs money has it. `noun`: what one row is.
    """

    kind: str
    title: str
    allowed: tuple[Action, ...]  # one of them is enough; `act` looks again, row by row
    check: Callable[[Sequence[str]], None]
    act: Callable[[str, Person, Services, Options], Outcome]
    found_done: Callable[[str, Services, Tried], Outcome | None] | None = None
    preview: Callable[[Sequence[str], Person, Services, Options], Mapping[str, str]] | None = None
    prices: Callable[[Sequence[str], Person, Services, Options], Mapping[str, Decimal | None]] | None = None
    noun: str = "row"

    @property
    def costs_money(self) -> bool:
        """True where carrying it out is paid for."""
        return self.prices is not None

    def is_for(self, person: Person) -> bool:
        """True where the person has a role for it."""
        return any(may(person, action) for action in self.allowed)

    @property
    def roles(self) -> frozenset[Role]:
        """Who may, in roles."""
        return frozenset[Role]().union(*(MAY[action] for action in self.allowed))


def check_jobs(ids: Sequence[str]) -> None:
    """Raise BadRequest where something is not the id of a job."""
    for one in ids:
        job_of(one)


def job_of(one: str) -> JobId:
    """The job an id names. Raises BadRequest."""
    try:
        return JobId(UUID(one))
    except ValueError:
        raise BadRequest("A row of this action is not a job.", field="ids") from None
