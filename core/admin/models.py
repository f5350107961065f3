"""Models as an admin keeps them: on or off, priority, what they can do, tasks and prices, and what a change does to
routing before it is made (SPEC "Route", "model_prices").

The platform's own tools write every column of these rows too, so nothing is taken for granted between two looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from core import plans, routing
from core.audit import activity
from core.audit.activity import Event
from core.authority import Action, permit
from core.db import Connection, admin, models
from core.db.admin import ModelRow, PriceRow
from core.errors import BadRequest, Conflict, NoModel, NotFound
from core.services import Services
from core.values import ImageModel, ModelId, Person, PriceUnit

__all__ = ["Change", "Effect", "ModelRow", "PriceRow", "PriceState"]

TASKS: Mapping[str, str] = {routing.GENERATION: "Portraits", routing.IMAGE_TO_IMAGE: "Image match"}
CHANGED, ADDED = "model_changed", "model_added"
_MODELS = "api_models"
_MOST_SIDE, _MOST_REFERENCES = 16_384, 50


class PriceState(StrEnum):
    """Where a price stands in time."""

    coming = "coming"
    valid = "valid"
    over = "over"


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is to stand in a model's row: all four settings. `tasks` None: it serves every task."""

    is_on: bool
    priority: int
    capabilities: Mapping[str, Any]
    tasks: tuple[str, ...] | None

    def as_settings(self) -> dict[str, object]:
        """As the row holds them."""
        return {
            "is_active": self.is_on,
            "priority": self.priority,
            "capabilities": dict(self.capabilities),
            "default_for_tasks": list(self.tasks) if self.tasks is not None else None,
        }


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Which model serves one task without being chosen by name, before a change and after it, as sentences."""

    task: str
    before: str
    after: str
    changes: bool  # another model would serve, or none any more


def listing(person: Person, services: Services) -> list[ModelRow]:
    """Every image model with its settings, highest priority first. Raises NotAllowed (qa, product, admin)."""
    permit(person, Action.see_settings)
    with services.db.as_reader(person) as conn:
        return admin.model_rows(conn)


def todays_prices(
    found: Sequence[ModelRow], person: Person, services: Services
) -> Mapping[UUID, Decimal | None]:
    """What one 1024² picture costs now with each model; None where it is not known. Raises NotAllowed."""
    permit(person, Action.see_settings)
    with services.db.as_reader(person) as conn:
        return models.prices(conn, [one.id for one in found], 1024, 1024)


def as_it_is(row: ModelRow) -> Change:
    """A model's settings as they stand, to change one of them with `dataclasses.replace`."""
    tasks = tuple(row.default_for_tasks) if row.default_for_tasks is not None else None
    return Change(is_on=row.is_on, priority=row.priority, capabilities=row.capabilities, tasks=tasks)


def effects(model_id: ModelId, wanted: Change, person: Person, services: Services) -> tuple[Effect, ...]:
    """What `wanted` would do to routing, nothing being changed. Raises NotAllowed, NotFound."""
    permit(person, Action.see_settings)
    with services.db.as_reader(person) as conn:
        known = models.list_all(conn)
        row = _row(conn, model_id)
        where = plans.standings(models.pauses(conn), services)
    changed = [_with(one, wanted, row) if one.id == model_id else one for one in known]
    return tuple(_effect(task, known, changed, where) for task in TASKS)


def _effect(
    task: str,
    known: Sequence[ImageModel],
    changed: Sequence[ImageModel],
    where: Mapping[str, routing.ProviderStanding],
) -> Effect:
    match = task == routing.IMAGE_TO_IMAGE
    (first, before), (then, after) = (_serving(found, where, match=match) for found in (known, changed))
    return Effect(task=task, before=before, after=after, changes=first != then)


def _serving(
    known: Sequence[ImageModel], where: Mapping[str, routing.ProviderStanding], *, match: bool
) -> tuple[ModelId | None, str]:
    try:
        choice = routing.choose(known, chosen=None, match=match, providers=where)
    except NoModel as nobody:
        return None, nobody.sentence
    return choice.model.id, choice.reason


def _with(model: ImageModel, wanted: Change, row: ModelRow) -> ImageModel:
    return replace(
        model,
        is_active=wanted.is_on and row.provider_is_on,
        priority=wanted.priority,
        capabilities=models.capabilities_of(wanted.capabilities),
        default_for_tasks=wanted.tasks,
    )


def change(
    model_id: ModelId, wanted: Change, person: Person, services: Services, *, seen: str, why: str
) -> bool:
    """Write a model's settings; recorded. `seen` is the row's own, as the admin looked at it. False where it stood so.

    Raises NotAllowed (needs admin), NotFound, BadRequest (priority, capabilities, why), Conflict `CHANGED_MEANWHILE`.
    """
    permit(person, Action.change_models)
    _refuse_unfit(wanted)
    with services.db.as_user(person) as conn:
        return admin.change_model(conn, model_id, seen=seen, wanted=wanted.as_settings(), why=why)


def history(model_id: ModelId, person: Person, services: Services) -> list[Event]:
    """What was changed of a model, newest first. Raises NotAllowed (qa, product, admin)."""
    permit(person, Action.see_settings)
    with services.db.as_reader(person) as conn:
        return activity.of_row(conn, _MODELS, str(model_id))[::-1]


def undo(model_id: ModelId, event_id: int, person: Person, services: Services, *, why: str) -> bool:
    """Put back what the change `event_id` of a model replaced, where nothing of it was changed since; recorded.

    Raises NotAllowed (needs admin), NotFound, Conflict `CHANGED_MEANWHILE`.
    """
    permit(person, Action.change_models)
    with services.db.as_reader(person) as conn:
        row = _row(conn, model_id)
        event = next(
            (one for one in activity.of_row(conn, _MODELS, str(model_id)) if one.id == event_id), None
        )
    if event is None or not can_undo(event, row):
        raise Conflict(
            "This was changed again since, so it cannot be undone as a whole. Change it by hand.",
            code="CHANGED_MEANWHILE",
        )
    settings = as_it_is(row).as_settings() | dict(event.before or {})
    with services.db.as_user(person) as conn:
        return admin.change_model(conn, model_id, seen=row.seen, wanted=settings, why=why)


def can_undo(event: Event, row: ModelRow) -> bool:
    """True for a change of which everything still stands as it left it."""
    now = as_it_is(row).as_settings()
    return (
        event.action == CHANGED
        and bool(event.before)
        and event.after is not None
        and all(now.get(name) == value for name, value in event.after.items())
    )


def add(
    pattern: ModelId, model_key: str, display_name: str, person: Person, services: Services, *, why: str
) -> ModelId:
    """A new model of the same provider as `pattern`, with its capabilities, inputs and tasks; switched off; recorded.

    Raises NotAllowed (needs admin), NotFound, BadRequest (model_key, display_name, why), Conflict `MODEL_EXISTS`.
    """
    permit(person, Action.change_models)
    with services.db.as_user(person) as conn:
        return admin.add_model(conn, pattern, model_key=model_key.strip(), display_name=display_name, why=why)


# -- prices ---------------------------------------------------------------------------------------------------------


def prices(model_id: ModelId, person: Person, services: Services) -> list[PriceRow]:
    """Every price a model has had, has or will have, newest first. Raises NotAllowed (qa, product, admin)."""
    permit(person, Action.see_settings)
    with services.db.as_reader(person) as conn:
        return admin.price_rows(conn, model_id)


def states(found: Sequence[PriceRow], now: datetime) -> dict[UUID, PriceState]:
    """Where each price stands at `now`. As the ledger picks it: the newest that has begun, for all sizes or for its own;
    a newer one for all sizes ends those for one size too.
    """
    known: dict[UUID, PriceState] = {}
    begun: set[str | None] = set()
    for one in sorted(found, key=lambda price: (price.valid_from, price.size is not None), reverse=True):
        if one.valid_from > now:
            known[one.id] = PriceState.coming
            continue
        ended = one.valid_until is not None and one.valid_until <= now
        known[one.id] = (
            PriceState.over if ended or not begun.isdisjoint({None, one.size}) else PriceState.valid
        )
        begun.add(one.size)
    return known


def set_price(
    model_id: ModelId,
    unit: PriceUnit,
    usd: Decimal | None,
    person: Person,
    services: Services,
    *,
    seen: Sequence[UUID],
    source: str,
    valid_from: datetime | None = None,
    size: str | None = None,
) -> UUID:
    """A new price from a moment on (None: now), where the model's prices are still those of `seen`; recorded.

    What was sent before keeps the price it was sent under. Raises NotAllowed (needs admin), NotFound, BadRequest
    (unit, price, size, source, valid_from), Conflict `CHANGED_MEANWHILE` or `PRICE_EXISTS`.
    """
    permit(person, Action.set_prices)
    with services.db.as_user(person) as conn:
        return admin.set_price(
            conn, model_id, unit, usd, seen=seen, valid_from=valid_from, size=size or None, source=source
        )


def withdraw_price(price_id: UUID, person: Person, services: Services, *, why: str) -> None:
    """Take back a price that has not begun; recorded.

    Raises NotAllowed (needs admin), NotFound, BadRequest (why), Conflict `PRICE_BEGAN`.
    """
    permit(person, Action.set_prices)
    with services.db.as_user(person) as conn:
        admin.withdraw_price(conn, price_id, why=why)


# -- what both need ---------------------------------------------------------------------------------------------------


def _row(conn: Connection, model_id: ModelId) -> ModelRow:
    row = next((one for one in admin.model_rows(conn) if one.id == model_id), None)
    if row is None:
        raise NotFound("There is no such model any more. Reload the page.")
    return row


def _refuse_unfit(wanted: Change) -> None:
    can = models.capabilities_of(wanted.capabilities)
    if not 1 <= can.max_resolution <= _MOST_SIDE:
        raise BadRequest(f"The longest side is between 1 and {_MOST_SIDE} pixels.", field="capabilities")
    if not 0 <= can.max_reference_images <= _MOST_REFERENCES:
        raise BadRequest(f"A model takes 0 to {_MOST_REFERENCES} reference images.", field="capabilities")
    if can.needs_reference and not can.supports_i2i:
        raise BadRequest(
            "A model that needs a reference image also follows one. Tick both.", field="capabilities"
        )
    if can.supports_i2i and can.max_reference_images == 0:
        raise BadRequest(
            "A model that follows a reference image takes at least one of them.", field="capabilities"
        )
