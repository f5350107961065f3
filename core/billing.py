"""What a paid request cost: billed where the provider names dollars, else computed from what it told and the price
that was valid when it was sent, else unknown, which is null in the ledger and never zero (SPEC "cost_entries").
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from functools import cache
from importlib import resources
from uuid import UUID

from core.authority import Action, permit
from core.db import Connection, costs
from core.db.costs import Price
from core.errors import BadImage, ProviderRejected, StudioError
from core.services import Services
from core.values import Charge, Job, JobId, ModelId, Person, PriceUnit, Size, Submission

MICRO = Decimal("0.000001")
"""The smallest amount of the ledger, in US dollars."""


class Rule(StrEnum):
    """Whether a failure is paid for; catalog/billing.toml says which counts where."""

    free = "free"
    told = "told"
    price = "price"


def amount(price: Price | None, charge: Charge, size: Size | None) -> Decimal | None:
    """Dollars of one request at `price`, to the micro-dollar; None where something needed is not known.

    Units that the provider counted itself go before what the price's unit is called (reference providers.md §1.9).
    `size` is the picture's, in pixels; None where there is no picture to measure.
    """
    if price is None:
        return None
    count = charge.units if charge.units is not None else _counted(price.unit, charge, size)
    return None if count is None else (count * price.usd).quantize(MICRO, ROUND_HALF_UP)


def _counted(unit: PriceUnit, charge: Charge, size: Size | None) -> Decimal | None:
    match unit:
        case PriceUnit.image:
            return Decimal(charge.images)
        case PriceUnit.request:
            return Decimal(1)
        case PriceUnit.megapixel:
            return size.megapixels if size is not None else None
        case PriceUnit.second:
            return Decimal(str(charge.seconds)) if charge.seconds is not None else None
        case PriceUnit.million_input_tokens | PriceUnit.million_output_tokens:
            return None  # no picture is priced by tokens


def told_amount(price: Price | None, charge: Charge) -> Decimal | None:
    """As `amount`, of a request without a picture: only what the provider itself counted is priced."""
    counted = charge.units is not None or (
        price is not None and price.unit is PriceUnit.second and charge.seconds is not None
    )
    return amount(price, charge, None) if counted else None


def rule_of(provider: str, code: str) -> Rule:
    """Whether a request of `provider` that ended with error `code` is paid for."""
    table = _rules().get(provider, {})
    return table.get(code) or table.get("usual", Rule.told)


@cache
def _rules() -> Mapping[str, Mapping[str, Rule]]:
    text = (resources.files("core.catalog") / "billing.toml").read_text("utf-8")
    return {
        provider: {code: Rule(rule) for code, rule in table.items()}
        for provider, table in tomllib.loads(text).items()
    }


def keep_finished(conn: Connection, job: Job, submission: Submission, charge: Charge, size: Size) -> None:
    """Enter what a picture cost; `size` is the real one. A second call for the same attempt changes nothing."""
    price = _price_when_sent(conn, job, submission)
    _keep(conn, job, submission, charge, amount(price, charge, size), price, size=size)


def keep_failed(conn: Connection, job: Job, submission: Submission, error: StudioError) -> None:
    """Enter what a request without a picture cost: 0 where surely nothing, null where nobody told."""
    charge = error.charge or Charge()
    price = _price_when_sent(conn, job, submission)
    rule = Rule.price if isinstance(error, BadImage) else rule_of(submission.provider, error.reason)
    if isinstance(error, ProviderRejected) and not error.billed:
        rule = Rule.free
    if rule is Rule.free:
        _keep(conn, job, submission, charge, Decimal(0), None, note=error.reason)
        return
    size = _asked_size(job)
    cost = amount(price, charge, size) if rule is Rule.price else told_amount(price, charge)
    _keep(conn, job, submission, charge, cost, price, note=error.reason)


def _price_when_sent(conn: Connection, job: Job, submission: Submission) -> Price | None:
    if job.model_id is None:
        return None
    size = _asked_size(job)
    return costs.price_at(conn, job.model_id, submission.submitted_at, width=size.width, height=size.height)


def _asked_size(job: Job) -> Size:
    width, height = job.metadata.get("width", 1024), job.metadata.get("height", 1024)
    return Size(width=int(str(width)), height=int(str(height)))


def _keep(
    conn: Connection,
    job: Job,
    submission: Submission,
    charge: Charge,
    cost: Decimal | None,
    price: Price | None,
    *,
    size: Size | None = None,
    note: str | None = None,
) -> None:
    costs.record(
        conn,
        job.id,
        submission.attempt,
        "computed",
        cost,
        units=_units(charge, price, size),
        price_id=price.id if price and cost is not None else None,
        note=note,
    )
    if charge.billed_usd is not None:
        billed = charge.billed_usd.quantize(MICRO, ROUND_HALF_UP)
        costs.record(conn, job.id, submission.attempt, "billed", billed, note=note)


def _units(charge: Charge, price: Price | None, size: Size | None) -> dict[str, object]:
    """What the amount was counted in, for whoever checks it against a bill."""
    told: dict[str, object] = {"unit": price.unit} if price else {}
    if charge.units is not None:
        told["billable_units"] = str(charge.units)
    if charge.seconds is not None:
        told["seconds"] = str(charge.seconds)
    if size is not None:
        told |= {"width": size.width, "height": size.height}
    return told


def refund(
    job_id: JobId, attempt: int, amount_usd: Decimal, person: Person, services: Services, *, why: str
) -> bool:
    """Enter money that a provider gave back for one attempt; recorded. False where the same was entered before.

    Raises NotAllowed (needs admin), NotFound, BadRequest (amount_usd, why), Conflict `COST_UNKNOWN`.
    """
    permit(person, Action.refund)
    with services.db.as_user(person) as conn:
        return costs.refund(conn, job_id, attempt, amount_usd, why=why)


def set_price(
    model_id: ModelId,
    unit: PriceUnit,
    usd: Decimal | None,
    person: Person,
    services: Services,
    *,
    source: str,
    valid_from: datetime | None = None,
    size: str | None = None,
) -> UUID:
    """A new price of a model for one `unit`, from a moment on (None: now); `usd` None: from then on unknown.

    `size` such as "1024x1024" limits it to pictures of that size. What was sent before keeps the price it was
    sent under. Recorded. Raises NotAllowed (needs admin), NotFound, BadRequest (unit, price, source, valid_from).
    """
    permit(person, Action.set_prices)
    with services.db.as_user(person) as conn:
        return costs.set_price(conn, model_id, unit, usd, valid_from=valid_from, size=size, source=source)
