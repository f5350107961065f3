"""What one request costs, from what its provider told and the price that was valid."""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

import pytest

from core.billing import Rule, amount, rule_of, told_amount
from core.db.costs import Price
from core.values import Charge, PriceUnit, Size

SIZE = Size(width=1024, height=1536)
TWO_SECONDS = Charge(seconds=2.0)


def price(unit, usd="0.025"):
    return Price(id=uuid4(), unit=PriceUnit(unit), usd=Decimal(usd))


@pytest.mark.parametrize(
    ("unit", "charge", "dollars"),
    [
        ("image", Charge(images=1), "0.025"),
        ("image", Charge(images=3), "0.075"),
        ("request", Charge(images=3), "0.025"),
        ("megapixel", Charge(), "0.039322"),  # 1.572864 of them
        ("second", TWO_SECONDS, "0.05"),
        ("second", Charge(seconds=0.000725), "0.000018"),
        ("image", Charge(units=Decimal("1.5")), "0.0375"),  # the provider's own count goes before our label
        ("megapixel", Charge(units=Decimal(0)), "0"),
    ],
)
def test_a_cost_is_the_count_times_the_price_to_the_micro_dollar(unit, charge, dollars):
    assert amount(price(unit), charge, SIZE) == Decimal(dollars)


@pytest.mark.parametrize(
    ("of", "charge", "size"),
    [
        (None, Charge(units=Decimal(1)), SIZE),
        (price("second"), Charge(), SIZE),
        (price("megapixel"), Charge(), None),
        (price("million_input_tokens"), Charge(), SIZE),
    ],
)
def test_where_the_price_or_the_count_is_not_known_the_cost_is_unknown_and_not_zero(of, charge, size):
    assert amount(of, charge, size) is None


@pytest.mark.parametrize(
    ("of", "charge", "dollars"),
    [
        (price("second"), TWO_SECONDS, Decimal("0.05")),
        (price("image"), Charge(units=Decimal(1)), Decimal("0.025")),
        (price("image"), TWO_SECONDS, None),
        (price("image"), Charge(), None),
        (None, TWO_SECONDS, None),
    ],
)
def test_of_a_failure_only_what_the_provider_counted_is_priced(of, charge, dollars):
    assert told_amount(of, charge) == dollars


@pytest.mark.parametrize(
    ("provider", "code", "rule"),
    [
        ("fal", "PROVIDER_FAILED", Rule.free),
        ("fal", "CONTENT_REFUSED", Rule.told),
        ("replicate", "NEVER_STARTED", Rule.free),
        ("replicate", "PROVIDER_FAILED", Rule.told),
        ("novita", "PROVIDER_FAILED", Rule.told),
        ("sketch", "CANCELLED", Rule.free),
        ("a provider of tomorrow", "PROVIDER_FAILED", Rule.told),
    ],
)
def test_whether_a_failure_is_paid_for_is_data(provider, code, rule):
    assert rule_of(provider, code) is rule
