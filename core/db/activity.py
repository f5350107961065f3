"""studio.audit_events and studio.findings: what people did, and what does not fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta

from core.db import Connection


def note(
    conn: Connection,
    action: str,
    table: str,
    row_id: str | None,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    why: str | None = None,
) -> None:
    """An audit event in the name of this connection's person (of nobody, for a service)."""
    conn.execute(
        "SELECT studio.note_audit(%s, %s, %s, %s, %s, %s)",
        (
            action,
            table,
            row_id,
            json.dumps(before) if before is not None else None,
            json.dumps(after) if after is not None else None,
            why,
        ),
    )


def was_noted(conn: Connection, action: str, row_id: str, *, within: timedelta) -> bool:
    """Whether that was done with that row so recently."""
    return conn.execute(
        """
        SELECT EXISTS (SELECT FROM studio.audit_events WHERE row_id = %s AND action = %s AND at > now() - %s)
        """,
        (row_id, action, within),
    ).fetchone() == (True,)


def count_noted(conn: Connection, action: str, *, backup: str) -> int | None:
    """The count that an event of that backup noted, None where there is none."""
    row = conn.execute(
        """
        SELECT (after ->> 'count')::integer FROM studio.audit_events
        WHERE action = %s AND after ->> 'backup' = %s ORDER BY id DESC LIMIT 1
        """,
        (action, backup),
    ).fetchone()
    return row[0] if row else None


def find(conn: Connection, rule: str, table: str, row_id: str, sentence: str) -> None:
    """A row that does not fit a rule; seen again, it is counted, not doubled."""
    conn.execute("SELECT studio.note_finding(%s, %s, %s, %s)", (rule, table, row_id, sentence))
