"""What a budget's period will have cost at its end, with what that rests on; pure (SPEC "Costs": budget and forecast)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

BASIS_DAYS = 28  # whole days before today that are looked at
FEWEST_DAYS = 5  # of them, from the first with any cost on
_LIKELY = 1.28  # standard deviations: eight of ten
_CENT = Decimal("0.01")
_TINY = 0.1


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Dollars at the end of the period: most likely, and between which two in eight of ten cases. `spent_on` is the
    day on which the limit is reached at that pace, None where it is not. `basis` says the days and the method.
    """

    low: Decimal
    likely: Decimal
    high: Decimal
    spent_on: date | None
    basis: str


def forecast(
    spent_by_day: Mapping[date, Decimal],
    used: Decimal,
    limit: Decimal,
    *,
    ends: datetime,
    now: datetime,
) -> Forecast | str:
    """By the average of the last whole days, times the days that are left; why there is none, in a sentence, where
    fewer than five days can be looked at.

    `spent_by_day` holds known amounts by UTC day; `used` is spent and held in the period so far.
    """
    basis = _whole_days(spent_by_day, now)
    if len(basis) < FEWEST_DAYS:
        return (
            f"Too few days for a forecast: {len(basis)} whole {'day' if len(basis) == 1 else 'days'} with costs, "
            f"and it takes {FEWEST_DAYS}."
        )
    left = max((ends - now).total_seconds(), 0.0) / 86_400
    mean, deviation = _spread(basis)
    more, swing = mean * left, _LIKELY * deviation * math.sqrt(left)
    first = now.astimezone(UTC).date() - timedelta(days=len(basis))
    last = now.astimezone(UTC).date() - timedelta(days=1)
    return Forecast(
        low=used + _money(max(more - swing, 0.0)),
        likely=used + _money(more),
        high=used + _money(more + swing),
        spent_on=_spent_on(used, limit, mean, left, now),
        basis=f"By the average of the {len(basis)} whole days {first:%-d %b} to {last:%-d %b} "
        f"(${_told(mean)} a day), for the {left:.1f} days that are left. The range holds in eight of ten cases where "
        "days go on to differ as they did. Unknown costs are in none of it.",
    )


def _whole_days(spent_by_day: Mapping[date, Decimal], now: datetime) -> Sequence[float]:
    """Amounts of the last whole days, from the first with any cost on; a day without one is zero."""
    today = now.astimezone(UTC).date()
    found = [
        float(spent_by_day.get(today - timedelta(days=back), Decimal(0))) for back in range(BASIS_DAYS, 0, -1)
    ]
    begins = next((place for place, amount in enumerate(found) if amount > 0), len(found))
    return found[begins:]


def _spread(amounts: Sequence[float]) -> tuple[float, float]:
    mean = sum(amounts) / len(amounts)
    return mean, math.sqrt(sum((one - mean) ** 2 for one in amounts) / (len(amounts) - 1))


def _spent_on(used: Decimal, limit: Decimal, mean: float, left: float, now: datetime) -> date | None:
    if used >= limit:
        return now.astimezone(UTC).date()
    if mean <= 0:
        return None
    days = float(limit - used) / mean
    return (now + timedelta(days=days)).astimezone(UTC).date() if days <= left else None


def _told(mean: float) -> str:
    """Cents, and more where cents would call it nothing."""
    return f"{mean:,.2f}" if mean >= _TINY or not mean else f"{mean:,.4f}"


def _money(amount: float) -> Decimal:
    return Decimal(str(amount)).quantize(_CENT)
