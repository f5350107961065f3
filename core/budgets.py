"""Budgets: how much may be spent in a day or a month, by one person or by everybody (SPEC "budgets").

A hard one refuses (402 `BUDGET`, or `PRICE_UNKNOWN` where no reserve is set); the database holds it in the
transaction of the click, so that many clicks at once never overdraw it. A soft one only warns.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from core.authority import Action, permit
from core.db import budgets
from core.db.budgets import Standing
from core.services import Services
from core.values import Person, PersonId

__all__ = ["Period", "Standing", "change", "listing", "remove", "remove_seen", "save", "warnings"]


class Period(StrEnum):
    """How long a budget counts: days and months of UTC."""

    day = "day"
    month = "month"


def save(
    limit_usd: Decimal,
    period: Period,
    person: Person,
    services: Services,
    *,
    of: PersonId | None = None,
    hard: bool = True,
    reserve_usd: Decimal | None = None,
    why: str = "",
) -> UUID:
    """Make or change the hard or soft budget of one person (`of`) or of everybody (None); recorded.

    `reserve_usd` is what a request of unknown price holds; without it a hard budget refuses such a request.
    Raises NotAllowed (needs admin), NotFound, BadRequest (period, limit_usd, reserve_usd).
    """
    permit(person, Action.set_budgets)
    with services.db.as_user(person) as conn:
        return budgets.put(
            conn,
            person=of,
            period=period,
            limit_usd=limit_usd,
            hard=hard,
            reserve_usd=reserve_usd,
            why=why,
        )


def change(
    seen: Standing | None,
    limit_usd: Decimal,
    period: Period,
    person: Person,
    services: Services,
    *,
    of: PersonId | None,
    hard: bool,
    reserve_usd: Decimal | None,
    why: str,
) -> UUID:
    """As `save`, with a reason, where the budget still stands as the admin saw it; None: there was none.

    Raises NotAllowed (needs admin), NotFound, BadRequest (period, limit_usd, reserve_usd, why), Conflict
    `CHANGED_MEANWHILE`.
    """
    permit(person, Action.set_budgets)
    with services.db.as_user(person) as conn:
        return budgets.put_seen(
            conn,
            seen,
            person=of,
            period=period,
            limit_usd=limit_usd,
            hard=hard,
            reserve_usd=reserve_usd,
            why=why,
        )


def remove(budget_id: UUID, person: Person, services: Services, *, why: str = "") -> None:
    """Take a budget away; recorded. Raises NotAllowed (needs admin), NotFound."""
    permit(person, Action.set_budgets)
    with services.db.as_user(person) as conn:
        budgets.remove(conn, budget_id, why=why)


def remove_seen(seen: Standing, person: Person, services: Services, *, why: str) -> None:
    """As `remove`, with a reason, where the budget still stands as the admin saw it; recorded.

    Raises NotAllowed (needs admin), BadRequest (why), Conflict `CHANGED_MEANWHILE`.
    """
    permit(person, Action.set_budgets)
    with services.db.as_user(person) as conn:
        budgets.remove_seen(conn, seen.id, seen, why=why)


def listing(person: Person, services: Services, *, of: PersonId | None = None) -> list[Standing]:
    """The budgets that concern a person, each with what is spent, held and left, hard ones first.

    `of` None: all budgets there are, which needs qa, product or admin, as do those of somebody else. Raises
    NotAllowed, QueryTimedOut.
    """
    if of != person.id:
        permit(person, Action.see_costs)
    with services.db.as_reader(person) as conn:
        return budgets.standings(conn, of)


def warnings(price: Decimal | None, person: Person, services: Services) -> tuple[str, ...]:
    """What the soft budgets have to say about one more request of that price (None: unknown) by this person."""
    if price == 0:
        return ()
    with services.db.as_user(person) as conn:
        found = budgets.standings(conn, person.id)
    return tuple(_warning(one) for one in found if not one.hard and _is_over(one, price))


def _is_over(one: Standing, price: Decimal | None) -> bool:
    more = price if price is not None else one.reserve_usd or Decimal(0)
    return one.spent + one.held + more > one.limit_usd


def _warning(one: Standing) -> str:
    whose = "Your" if one.scope == "person" else "The shared"
    used = one.spent + one.held
    return (
        f"{whose} budget of ${one.limit_usd:.2f} a {one.period} is used up: ${used:.2f} are spent or held. Nothing is "
        f"stopped by it. It begins again on {one.resets_at:%-d %B} at 00:00 UTC."
    )
