"""How long what is kept, as an admin sets it: each kind's days within its bounds, what would go at once, and each change
recorded and undone (SPEC "Data"; decision 0046).

The bounds stand in the database with the days (studio.kept_days), which refuses what lies outside whoever writes it. What is
counted is told by the same condition that the upkeep goes by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from core import retention
from core.audit.activity import Event
from core.audit.jobs import MOST_COUNTED, Counted
from core.authority import Action, permit
from core.db import cleanings
from core.db import retention as kept
from core.errors import BadRequest, Conflict
from core.retention import Kind
from core.services import Services
from core.values import Person

__all__ = ["Kept", "Kind"]

CHANGED = "retention_changed"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One kind: for how many days it is kept. `stored` is what an admin set, None where `own` counts, which is its
    setting's or the product's; `least` and `most` bound what can be set.
    """

    kind: Kind
    stored: int | None
    own: int
    least: int
    most: int

    @property
    def days(self) -> int:
        """What counts now."""
        return self.own if self.stored is None else self.stored


def listing(person: Person, services: Services) -> list[Kept]:
    """Every kind whose days can be set. Raises NotAllowed (needs admin), DatabaseUnavailable."""
    permit(person, Action.set_retention)
    with services.db.as_reader(person) as conn:
        rows = {row.kind: row for row in kept.kept_rows(conn)}
    return [
        Kept(
            kind=kind,
            stored=rows[kind].days,
            own=retention.own_days(kind, services.settings),
            least=rows[kind].least,
            most=rows[kind].most,
        )
        for kind in Kind
        if kind in rows
    ]


def past(kind: Kind, days: int, person: Person, services: Services) -> Counted:
    """How many rows of a kind would be past their time with so many days, counted to 10,000; nothing is changed.

    Raises NotAllowed (needs admin), BadRequest (days), QueryTimedOut.
    """
    permit(person, Action.set_retention)
    if days < 0:
        raise BadRequest("Write a whole number of days.", field="days")
    age, most = timedelta(days=days), MOST_COUNTED + 1
    with services.db.as_service() as conn:
        kept.hurry(conn)
        number = (
            cleanings.count_old(conn, older_than=age, most=most)
            if kind is Kind.workspace
            else kept.count_past(conn, kind, kept=age, most=most)
        )
    return Counted(number=min(number, MOST_COUNTED), more=number > MOST_COUNTED)


def change(
    kind: Kind, days: int | None, person: Person, services: Services, *, seen: int | None, why: str
) -> bool:
    """Keep a kind for so many days from the next run on, None: for its own again; recorded. `seen` is what was stored as the
    admin looked at it. False where it stood so.

    Raises NotAllowed (needs admin), NotFound, BadRequest (days, why), Conflict `CHANGED_MEANWHILE`.
    """
    permit(person, Action.set_retention)
    with services.db.as_user(person) as conn:
        return kept.set_days(conn, kind, seen=seen, days=days, why=why)


def before(event: Event) -> int | None:
    """The days that a change replaced; None: the kind's own."""
    return _days(event.before)


def after(event: Event) -> int | None:
    """The days that a change set; None: the kind's own."""
    return _days(event.after)


def _days(said: Mapping[str, object] | None) -> int | None:
    value = said.get("days") if said else None
    return value if isinstance(value, int) else None


def can_undo(event: Event, now: Sequence[Kept]) -> bool:
    """True for a change of which the days still stand as it left them."""
    there = next((one for one in now if one.kind == event.row_id), None)
    return event.action == CHANGED and there is not None and there.stored == after(event)


def undo(event: Event, person: Person, services: Services, *, why: str) -> bool:
    """Put back the days that a change replaced, where what it set still stands; recorded.

    Raises NotAllowed (needs admin), BadRequest (days, why), Conflict `CHANGED_MEANWHILE`.
    """
    if event.action != CHANGED or event.row_id not in set(Kind):
        raise Conflict("This is no change of how long something is kept.", code="CHANGED_MEANWHILE")
    return change(Kind(event.row_id), before(event), person, services, seen=after(event), why=why)
