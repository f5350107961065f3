"""Bulk actions: the rows that were shown, frozen, and done one by one; killed in the middle, the report is still exact
(SPEC "Audit", DESIGN "Screens").

Each row has its own state and its own transactions. A run holds the action by a lease and claims one row after the
other; where it is lost, the next run goes on: a row that was begun is first looked at, whether it was done.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from uuid import UUID, uuid4

from core import job_deeds, log, mending, review_deeds, stock_deeds
from core.auth import require_role
from core.db import bulk as rows
from core.db.bulk import ActionRow, ItemRow, Taken
from core.deeds import Deed, Options, Outcome, Tried, failed, refused
from core.errors import (
    BadRequest,
    DatabaseUnavailable,
    LeaseLost,
    NotAllowed,
    NotFound,
    RequestRefused,
    StudioError,
)
from core.services import Services
from core.values import Person

MOST = 5_000  # rows of one action
SILENT = 12.0  # seconds without a beat until a run counts as lost
LIMIT = "limit_usd"  # the option that holds a spending limit, in dollars
_BEAT_EVERY = 3.0
_LONGEST_WHY = 500
_PAGE = 500

DEEDS: Mapping[str, Deed] = MappingProxyType(
    {
        deed.kind: deed
        for deed in (
            job_deeds.RECOVER,
            job_deeds.PURGE,
            job_deeds.CANCEL,
            job_deeds.RETRY,
            job_deeds.ANOTHER_MODEL,
            mending.REPAIR,
            review_deeds.APPROVE,
            review_deeds.REJECT,
            stock_deeds.REPAIR,
            stock_deeds.BIN,
            stock_deeds.ACCEPT,
        )
    }
)

_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What became of an action, and a page of its rows; `next` is where the following page begins, None at the end."""

    action: ActionRow
    rows: Sequence[ItemRow]
    next: int | None


@dataclass(frozen=True, kw_only=True)
class Price:
    """What many rows would cost in all: dollars of those whose price is known, and how many are not."""

    known: Decimal
    unknown: int


# -- what a person asks for -------------------------------------------------------------------------------------------


def begin(
    kind: str,
    ids: Sequence[str],
    person: Person,
    services: Services,
    *,
    why: str,
    options: Options = MappingProxyType({}),
) -> UUID:
    """Freeze the rows that were shown, in one transaction; nothing is done with them before `run`.

    Raises NotAllowed (the kind's roles), BadRequest (kind, ids, why, an option).
    """
    deed = _deed(kind)
    _permit(deed, person)
    unique = list(dict.fromkeys(ids))
    if not 1 <= len(unique) <= MOST:
        raise BadRequest(
            f"A bulk action takes 1 to {MOST:,} rows, and these are {len(unique):,}. Choose fewer.",
            field="ids",
        )
    if not 0 < len(why.strip()) <= _LONGEST_WHY:
        raise BadRequest(f"Say in a few words why, in at most {_LONGEST_WHY} characters.", field="why")
    deed.check(unique)
    limit_of(options)
    if deed.prices is not None:
        deed.prices([], person, services, options)
    with services.db.as_user(person) as conn:
        action_id = rows.begin(conn, kind, unique, options, why.strip(), MOST)
    _log.info("bulk_begun", action=str(action_id), kind=kind, items=len(unique))
    return action_id


def stop(action_id: UUID, person: Person, services: Services) -> None:
    """End an action after the row it is at; rows that were not begun stay as they are, and the report says so.

    Raises NotAllowed, NotFound.
    """
    require_role(person)
    with services.db.as_user(person) as conn:
        is_heard = rows.stop(conn, action_id, silent=SILENT)
        action = rows.action(conn, action_id, silent=SILENT)
    if not is_heard and action is not None and action.ended_at is None:
        run(action_id, person, services)  # only to see what became of the row that was begun


def price(
    kind: str, ids: Sequence[str], person: Person, services: Services, options: Options
) -> Price | None:
    """What doing it to these rows would cost in all; None for what costs nothing. Raises BadRequest, NotAllowed (the
    kind's roles).
    """
    deed = _deed(kind)
    _permit(deed, person)
    if deed.prices is None:
        return None
    found = deed.prices(list(dict.fromkeys(ids)), person, services, options).values()
    known = [amount for amount in found if amount is not None]
    return Price(known=sum(known, Decimal(0)), unknown=len(found) - len(known))


def limit_of(options: Options) -> Decimal | None:
    """The spending limit of an action in dollars, None without one. Raises BadRequest."""
    said = options.get(LIMIT, "").strip()
    if not said:
        return None
    try:
        limit = Decimal(said)
    except InvalidOperation:
        limit = Decimal(-1)
    if not (limit.is_finite() and limit >= 0):
        raise BadRequest("A spending limit is an amount in dollars, such as 2.50.", field=LIMIT)
    return limit


# -- what is read -----------------------------------------------------------------------------------------------------


def report(
    action_id: UUID,
    person: Person,
    services: Services,
    *,
    states: Sequence[str] | None = None,
    after: int = 0,
    limit: int = _PAGE,
) -> Report:
    """How far an action is and what became of its rows, in the order in which they were shown. Raises NotFound,
    NotAllowed.
    """
    require_role(person)
    with services.db.as_reader(person) as conn:
        action = rows.action(conn, action_id, silent=SILENT)
        found = rows.items(conn, action_id, states=states, after=after, limit=limit + 1)
    if action is None:
        raise NotFound("There is no such bulk action, or it is not one you may see.")
    shown = found[:limit]
    return Report(action=action, rows=shown, next=shown[-1].place if len(found) > limit else None)


def unfinished(person: Person, services: Services) -> list[ActionRow]:
    """Actions that are being carried out or were interrupted, the newest first, at most 20. Raises NotAllowed."""
    require_role(person)
    with services.db.as_reader(person) as conn:
        return rows.unfinished(conn, silent=SILENT)


def just_ended(person: Person, services: Services, *, within: float = 3600) -> list[ActionRow]:
    """Actions that ended within so many seconds, the latest first, at most 5. Raises NotAllowed."""
    require_role(person)
    with services.db.as_reader(person) as conn:
        return rows.ended(conn, silent=SILENT, within=within)


# -- carrying it out --------------------------------------------------------------------------------------------------


def run(action_id: UUID, person: Person, services: Services) -> ActionRow:
    """Carry an action out, or on: each row that has no answer yet, one after the other, with the person's rights.

    Safe to call again after anything; two runs at once do no row twice, for only one holds the action. Ends early,
    with nothing lost, where `services.stopping` is set or a person stops it. Raises NotAllowed, NotFound, Conflict
    `BULK_RUNNING` or `BULK_ENDED`, LeaseLost, DatabaseUnavailable.
    """
    require_role(person)
    runner = uuid4()
    with services.db.as_user(person) as conn:
        action = rows.action(conn, action_id, silent=SILENT)
        if action is None:
            raise NotFound("There is no such bulk action, or it is not one you may see.")
        deed = _deed(action.kind)
        _permit(deed, person)
        rows.take(conn, action_id, runner, silent=SILENT)
    held = _Run(action=action, runner=runner, deed=deed, person=person, services=services)
    with _beating(held):
        held.all_rows()
    with services.db.as_user(person) as conn:
        left = rows.action(conn, action_id, silent=SILENT)
    return left or action


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One run over one action."""

    action: ActionRow
    runner: UUID
    deed: Deed
    person: Person
    services: Services

    def all_rows(self) -> None:
        """Until none is left, a person stops it, or the process ends."""
        while not self.services.stopping.is_set():
            taken = self._claim()
            if taken is None:
                self._end()
                return
            self._one(taken)
        with self.services.db.as_service() as conn:
            rows.leave(conn, self.action.id, self.runner)

    def beat(self) -> None:
        """Say that it lives."""
        with self.services.db.as_service() as conn:
            rows.beat(conn, self.action.id, self.runner)

    def _claim(self) -> Taken | None:
        with self.services.db.as_service() as conn:
            is_stopped = rows.beat(conn, self.action.id, self.runner)
            return rows.claim(conn, self.action.id, self.runner, only_begun=is_stopped)

    def _one(self, taken: Taken) -> None:
        """One row and its answer; DatabaseUnavailable leaves it begun, and the next run looks at it."""
        outcome = self._of_lost_run(taken) if taken.tries > 1 else None
        outcome = outcome or self._beyond_limit(taken) or self._act(taken)
        with self.services.db.as_service() as conn:
            rows.finish(
                conn,
                self.action.id,
                taken.place,
                self.runner,
                state=outcome.ended.value,
                sentence=outcome.sentence,
            )

    def _of_lost_run(self, taken: Taken) -> Outcome | None:
        """What became of a row that a lost run had begun; None where it is to be done now."""
        found = self._found_done(taken)
        if found is None and self._is_stopped():
            return failed(_NOT_KNOWN if self.deed.found_done is None else _NOT_DONE)
        return found

    def _found_done(self, taken: Taken) -> Outcome | None:
        found_done = self.deed.found_done
        if found_done is None:
            return None
        who = {self.action.asked_by, self.person.id, self.action.run_by or self.person.id}
        tried = Tried(action_id=self.action.id, who=[*who], since=taken.begun_at, why=self.action.why)
        return found_done(taken.item_id, self.services, tried)

    def _is_stopped(self) -> bool:
        with self.services.db.as_service() as conn:
            return rows.beat(conn, self.action.id, self.runner)

    def _beyond_limit(self, taken: Taken) -> Outcome | None:
        """Hold the row's price; an answer where the spending limit forbids it."""
        if self.deed.prices is None:
            return None
        limit = limit_of(self.action.options)
        amount = self.deed.prices([taken.item_id], self.person, self.services, self.action.options).get(
            taken.item_id
        )
        with self.services.db.as_service() as conn:
            rows.beat(conn, self.action.id, self.runner)
            if limit is None:
                rows.note_price(conn, self.action.id, taken.place, amount)
            elif amount is None:
                return refused("Its price is not known, and this action has a spending limit.")
            elif not rows.reserve(conn, self.action.id, taken.place, amount, limit):
                return refused(f"The spending limit of ${limit:f} is reached.")
        return None

    def _act(self, taken: Taken) -> Outcome:
        options = {**self.action.options, "why": self.action.why, "action": str(self.action.id)}
        try:
            return self.deed.act(taken.item_id, self.person, self.services, options)
        except (DatabaseUnavailable, LeaseLost):
            raise  # nothing could be written down: the next run looks at this row
        except RequestRefused as error:
            return refused(error.sentence)
        except StudioError as error:
            return failed(error.sentence)
        except Exception:  # noqa: BLE001 - one row that breaks stops no other
            _log.exception("bulk_row_broke", action=str(self.action.id), item=taken.item_id)
            return failed("The studio made a mistake with this row. Tell an admin; the others go on.")

    def _end(self) -> None:
        with self.services.db.as_user(self.person) as conn:
            rows.end(conn, self.action.id, self.runner)
        _log.info("bulk_ended", action=str(self.action.id), kind=self.action.kind)


_NOT_DONE = "The action was stopped before it was done."
_NOT_KNOWN = "The dashboard ended while it worked on this row. Look whether it was done."


@contextmanager
def _beating(held: _Run) -> Generator[None]:
    """Say every few seconds that a run lives, however long one row takes."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(_BEAT_EVERY):
            try:
                held.beat()
            except LeaseLost:
                return
            except StudioError as error:
                _log.warning("bulk_beat_failed", action=str(held.action.id), code=error.reason)

    thread = threading.Thread(target=beat, name=f"bulk beat {held.action.id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _deed(kind: str) -> Deed:
    deed = DEEDS.get(kind)
    if deed is None:
        raise BadRequest("There is no bulk action of this kind.", field="kind")
    return deed


def _permit(deed: Deed, person: Person) -> None:
    if not deed.is_for(person):
        needed = " or ".join(sorted(role.value for role in deed.roles))
        raise NotAllowed(f"“{deed.title}” for many rows needs the {needed} role. Ask an admin for it.")
