"""Activity."""

from audit import look

look.head("Activity")
