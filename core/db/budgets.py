"""studio.budgets: limits of spending, and how each stands now."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from psycopg.rows import class_row

from core.db import Connection
from core.values import PersonId


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A budget and how it stands in its period (UTC). Amounts in US dollars.

    `spent` is known, `held` waits for its end or is unknown and counts with its estimate or the reserve,
    `unknown` counts attempts that have neither an amount nor an estimate.
    """

    id: UUID
    scope: str  # everybody, person
    user_id: PersonId | None
    period: str  # day, month
    limit_usd: Decimal
    hard: bool
    reserve_usd: Decimal | None
    spent: Decimal
    held: Decimal
    unknown: int
    resets_at: datetime

    @property
    def left(self) -> Decimal:
        """What may still be spent in this period; never negative."""
        return max(self.limit_usd - self.spent - self.held, Decimal(0))


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an admin sets of a budget, in US dollars."""

    limit_usd: Decimal
    reserve_usd: Decimal | None


def standings(conn: Connection, person: PersonId | None) -> list[Standing]:
    """The budgets that concern `person` (None: all), as the person of this connection. Raises NotAllowed."""
    with conn.cursor(row_factory=class_row(Standing)) as cursor:
        return cursor.execute(
            """
            SELECT id, scope, user_id, period, limit_usd, hard, reserve_usd, spent, held, unknown, resets_at
            FROM studio.budget_standings(%s)
            """,
            (person,),
        ).fetchall()


def put(
    conn: Connection,
    *,
    person: PersonId | None,
    period: str,
    limit_usd: Decimal,
    hard: bool,
    reserve_usd: Decimal | None,
    why: str,
) -> UUID:
    """Make or change a budget, as the person of this connection. Raises NotAllowed, NotFound, BadRequest."""
    row = conn.execute(
        "SELECT studio.set_budget(%s, %s, %s, %s, %s, %s)",
        (person, period, limit_usd, hard, reserve_usd, why),
    ).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return UUID(str(row[0]))


def put_seen(
    conn: Connection,
    seen: Standing | Limits | None,
    *,
    person: PersonId | None,
    period: str,
    limit_usd: Decimal,
    hard: bool,
    reserve_usd: Decimal | None,
    why: str,
) -> UUID:
    """As `put`, where the budget is still the one that was `seen`, None where there was none. Raises Conflict too."""
    row = conn.execute(
        """
        SELECT studio.set_budget_seen(
            CASE WHEN %(seen)s::jsonb = '{}' THEN '{}' ELSE jsonb_build_object(
                'limit_usd', (%(seen)s::jsonb ->> 'limit_usd')::numeric,
                'reserve_usd', (%(seen)s::jsonb ->> 'reserve_usd')::numeric) END,
            %(person)s, %(period)s, %(limit)s, %(hard)s, %(reserve)s, %(why)s)
        """,
        {
            "seen": _stood(seen),
            "person": person,
            "period": period,
            "limit": limit_usd,
            "hard": hard,
            "reserve": reserve_usd,
            "why": why,
        },
    ).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return UUID(str(row[0]))


def remove(conn: Connection, budget_id: UUID, *, why: str) -> None:
    """Take a budget away, as the person of this connection. Raises NotAllowed, NotFound."""
    conn.execute("SELECT studio.remove_budget(%s, %s)", (budget_id, why))


def remove_seen(conn: Connection, budget_id: UUID, seen: Standing | Limits, *, why: str) -> None:
    """As `remove`, with a reason, where the budget still has the limits that were `seen`. Raises Conflict too."""
    conn.execute(
        """
        SELECT studio.remove_budget_seen(%(id)s, jsonb_build_object(
            'limit_usd', (%(seen)s::jsonb ->> 'limit_usd')::numeric,
            'reserve_usd', (%(seen)s::jsonb ->> 'reserve_usd')::numeric), %(why)s)
        """,
        {"id": budget_id, "seen": _stood(seen), "why": why},
    )


def _stood(seen: Standing | Limits | None) -> str:
    """What an admin saw of a budget, as JSON; numbers as text, so that none is rounded."""
    if seen is None:
        return "{}"
    reserve = None if seen.reserve_usd is None else str(seen.reserve_usd)
    return json.dumps({"limit_usd": str(seen.limit_usd), "reserve_usd": reserve})
