"""Stuck jobs."""

from audit import look

look.head("Stuck jobs")
