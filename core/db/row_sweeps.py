"""studio.row_sweeps: asking for a look at every row. How it is carried out stands in core/db/row_rules.py, what pages ask
of it in core/audit/adoptions.py.
"""

from __future__ import annotations

from uuid import UUID

from core.db import Connection


def ask(conn: Connection) -> UUID:
    """A sweep in the name of this connection's person, or the one that is asked for already. Raises NotAllowed."""
    row = conn.execute("SELECT studio.ask_row_sweep()").fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return row[0]


def is_asked(conn: Connection) -> bool:
    """Whether a sweep is asked for, or was left unfinished."""
    return conn.execute("SELECT 1 FROM studio.row_sweeps WHERE finished_at IS NULL").fetchone() is not None
