"""Auto-save."""

from audit import look

look.head("Auto-save")
