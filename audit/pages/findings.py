"""Findings."""

from audit import look

look.head("Findings")
