"""Library."""

from audit import look

look.head("Library")
