"""studio.audit_events and studio.findings: what people did, and what does not fit."""

from __future__ import annotations

import json
from collections.abc import Mapping

from core.db import Connection


def note(
    conn: Connection,
    action: str,
    table: str,
    row_id: str,
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


def find(conn: Connection, rule: str, table: str, row_id: str, sentence: str) -> None:
    """A row that does not fit a rule; seen again, it is counted, not doubled."""
    conn.execute("SELECT studio.note_finding(%s, %s, %s, %s)", (rule, table, row_id, sentence))
