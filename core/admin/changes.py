"""What was changed on the settings page: budgets, the options of the form, and how long what is kept; and the undo of a
change of a budget or an option. `core.admin.keeping` has that of the days, which is asked before.

An undo writes what the change replaced where everything still stands as the change left it; a colleague's work on it is
never overwritten. It is recorded like any other change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from core import options
from core.audit import activity
from core.audit.activity import Event, Wanted, undoing_words
from core.authority import Action, permit
from core.db import budgets
from core.db.budgets import Limits, Standing
from core.errors import Conflict
from core.options import NewOption, Option
from core.services import Services
from core.values import Person, PersonId

BUDGETS, OPTIONS, KEPT = "budgets", "attribute_options", "kept_days"
SHOWN = 20
_OF_BUDGETS = ("budget_set", "budget_removed")
_CHANGED, _SWITCHED = "attribute_option_changed", "attribute_option_switched"


def listing(person: Person, services: Services) -> list[Event]:
    """The newest 20 changes of the three together. Raises NotAllowed (qa, product, admin), QueryTimedOut."""
    permit(person, Action.see_settings)
    with services.db.as_reader(person) as conn:
        found = [
            event
            for table in (BUDGETS, OPTIONS, KEPT)
            for event in activity.page(conn, Wanted(table=table), limit=SHOWN).rows
        ]
    return sorted(found, key=lambda event: event.key, reverse=True)[:SHOWN]


# -- budgets ----------------------------------------------------------------------------------------------------------


def can_undo_budget(event: Event, now: Sequence[Standing]) -> bool:
    """True for a change of a budget of which everything still stands as it left it."""
    row = event.after or event.before
    if row is None or event.action not in _OF_BUDGETS:
        return False
    there = next((one for one in now if _is_the_same(one, row)), None)
    if event.after is None:
        return there is None
    return there is not None and _limits(there) == limits_said(event.after)


def undo_budget(event: Event, person: Person, services: Services) -> None:
    """Put back what a change of a budget replaced, where what it set still stands; recorded with that as its reason.

    Raises NotAllowed (needs admin), NotFound (the person is gone), Conflict `CHANGED_MEANWHILE`.
    """
    permit(person, Action.set_budgets)
    row, why = event.after or event.before, undoing_words(event)
    if row is None or event.action not in _OF_BUDGETS:
        raise Conflict("This is no change of a budget that can be undone.", code="CHANGED_MEANWHILE")
    seen = limits_said(event.after) if event.after else None
    with services.db.as_user(person) as conn:
        if event.before is None and seen is not None:
            budgets.remove_seen(conn, UUID(str(row["id"])), seen, why=why)
            return
        wanted = limits_said(event.before or row)
        budgets.put_seen(
            conn,
            seen,
            person=PersonId(UUID(str(row["user_id"]))) if row.get("user_id") else None,
            period=str(row["period"]),
            limit_usd=wanted.limit_usd,
            hard=bool(row["hard"]),
            reserve_usd=wanted.reserve_usd,
            why=why,
        )


def _is_the_same(one: Standing, row: Mapping[str, Any]) -> bool:
    """True for the budget of the same person, period and kind; there is one of each."""
    return (str(one.user_id or ""), one.period, one.hard) == (
        str(row.get("user_id") or ""),
        row.get("period"),
        row.get("hard"),
    )


def _limits(one: Standing) -> Limits:
    return Limits(limit_usd=one.limit_usd, reserve_usd=one.reserve_usd)


def limits_said(row: Mapping[str, Any]) -> Limits:
    """The limits of a budget as the record keeps its row."""
    reserve = row.get("reserve_usd")
    return Limits(
        limit_usd=Decimal(str(row["limit_usd"])),
        reserve_usd=None if reserve is None else Decimal(str(reserve)),
    )


# -- options ----------------------------------------------------------------------------------------------------------


def can_undo_option(event: Event, now: Sequence[Option]) -> bool:
    """True for a change or a switch of an option of which everything still stands as it left it."""
    there = next((one for one in now if f"{one.category}/{one.value}" == event.row_id), None)
    if there is None or not event.before or not event.after:
        return False
    if event.action == _SWITCHED:
        return there.active == event.after.get("active")
    return event.action == _CHANGED and options.as_row(there) == dict(event.after)


def undo_option(event: Event, person: Person, services: Services) -> bool:
    """Put back what a change or a switch of an option replaced, where what it set still stands; recorded with that as its
    reason. False where it stood so already.

    Raises NotAllowed (needs product or admin), NotFound, BadRequest, PolicyRefused, Conflict `CHANGED_MEANWHILE` or
    `OPTION_EXISTS`.
    """
    permit(person, Action.change_options)
    with services.db.as_reader(person) as conn:
        now = options.listing(conn, services.catalog)
    there = next((one for one in now if f"{one.category}/{one.value}" == event.row_id), None)
    if there is None or not can_undo_option(event, now):
        raise Conflict(
            "This was changed again since, so it cannot be undone as a whole. Change it by hand.",
            code="CHANGED_MEANWHILE",
        )
    before, why = event.before or {}, undoing_words(event)
    if event.action == _SWITCHED:
        return options.switch(
            there.category, there.value, person, services, active=bool(before.get("active")), why=why
        )
    return options.change(
        there,
        _said_before(there, before),
        person,
        services,
        place=int(str(before.get("place") or 0)),
        why=why,
    )


def _said_before(there: Option, before: Mapping[str, Any]) -> NewOption:
    return NewOption(
        category=there.category,
        value=there.value,
        label=str(before.get("label") or ""),
        words=str(before.get("words") or ""),
        aliases=tuple(map(str, before.get("aliases") or ())),
        tags=tuple(map(str, before.get("tags") or ())),
    )
