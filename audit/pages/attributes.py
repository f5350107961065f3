"""Attribute images."""

from audit import look

look.head("Attribute images")
