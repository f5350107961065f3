"""QA sample."""

from audit import look

look.head("QA sample")
