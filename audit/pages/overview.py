"""Overview."""

from audit import look

look.head("Overview")
