"""Costs."""

from audit import look

look.head("Costs")
