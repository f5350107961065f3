"""How a budget's period ends, by the days before: the method, the range, and when there is too little to go by."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.forecast import Forecast, forecast

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ENDS = datetime(2026, 12, 1, tzinfo=UTC)  # 10.5 days
TODAY = NOW.date()


def days(*amounts):
    """What the days before today cost, yesterday last."""
    return {
        TODAY - timedelta(days=len(amounts) - place): Decimal(str(one)) for place, one in enumerate(amounts)
    }


def told(spent, used="50", limit="100"):
    return forecast(spent, Decimal(used), Decimal(limit), ends=ENDS, now=NOW)


def test_even_days_go_on_evenly():
    found = told(days(2, 2, 2, 2, 2, 2, 2))

    assert isinstance(found, Forecast)
    assert found.likely == Decimal("71.00")  # 50 + 10.5 × 2
    assert found.low == found.high == found.likely
    assert found.spent_on is None
    assert "7 whole days 13 Nov to 19 Nov ($2.00 a day), for the 10.5 days that are left" in found.basis


def test_uneven_days_make_a_range_around_the_same_middle():
    found = told(days(0.5, 3.5, 0.5, 3.5, 2, 2))

    assert found.low < found.likely < found.high
    assert found.likely == Decimal("71.00")
    assert (found.high - found.likely) - (found.likely - found.low) <= Decimal("0.01")


def test_the_day_on_which_it_is_used_up_is_named():
    assert told(days(10, 10, 10, 10, 10)).spent_on == date(2026, 11, 25)
    assert told(days(1, 1, 1, 1, 1), used="100").spent_on == TODAY


def test_a_day_without_cost_counts_as_a_day():
    spent = days(4, 4, 4, 4, 4, 4)
    del spent[TODAY - timedelta(days=3)]

    assert told(spent).likely == Decimal("85.00")  # 50 + 10.5 × 20/6


@pytest.mark.parametrize("amounts", [(), (1,), (1, 2, 3, 4)])
def test_too_few_days_are_said_and_make_no_forecast(amounts):
    assert told(days(*amounts)).startswith("Too few days for a forecast")


def test_today_is_no_whole_day():
    assert isinstance(told({TODAY: Decimal(5), **days(1, 1, 1, 1)}), str)


@given(st.lists(st.decimals(0, 1000, places=2), min_size=5, max_size=28), st.decimals(0, 5000, places=2))
def test_a_forecast_is_never_below_what_is_used_already(amounts, used):
    found = told(days(*amounts), used=used)

    if isinstance(found, Forecast):
        assert used <= found.low <= found.likely <= found.high
