"""studio.qa_samples: drawing, judging and closing, as the person of the connection. Questions stand in core/audit/qa.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from core.db import Connection


def draw(
    conn: Connection,
    sample_id: UUID,
    *,
    title: str,
    seed: int,
    since: datetime,
    until: datetime,
    per_stratum: int,
    most: int,
    styles: Mapping[str, str],
) -> int:
    """Draw and freeze a sample; how many portraits. `styles` maps a character's tag, in small letters, to its style.

    The same id again is the same sample. Raises NotAllowed, BadRequest, NotFound (nothing was saved in that time).
    """
    row = conn.execute(
        "SELECT studio.draw_qa_sample(%s, %s, %s, %s, %s, %s, %s, %s)",
        (sample_id, title, seed, since, until, per_stratum, most, json.dumps(styles)),
    ).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return int(row[0])


def judge(conn: Connection, sample_id: UUID, portrait_id: UUID, verdict: str, note: str) -> None:
    """The person's own verdict, given or changed. Raises NotAllowed, BadRequest, NotFound, Conflict (closed)."""
    conn.execute("SELECT studio.give_qa_verdict(%s, %s, %s, %s)", (sample_id, portrait_id, verdict, note))


def close(conn: Connection, sample_id: UUID, why: str) -> bool:
    """No more verdicts, and everybody sees them; False where it was closed. Raises NotAllowed, NotFound."""
    row = conn.execute("SELECT studio.close_qa_sample(%s, %s)", (sample_id, why)).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return bool(row[0])
