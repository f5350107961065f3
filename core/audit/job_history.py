"""What was done about one job, and whether its picture was saved right: beside its story in `jobs.story`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from core.audit import activity, autosave
from core.audit.activity import Event
from core.audit.autosave import Proof
from core.db import Connection, recoveries
from core.db.recoveries import RecordedStep
from core.values import JobId

_MOST_ITEMS = 100


@dataclass(frozen=True, kw_only=True)
class BulkItem:
    """The job's part in a bulk action. `state` is waiting, working, done, refused or failed."""

    action_id: UUID
    kind: str
    why: str
    asked_by: UUID
    asked_at: datetime
    state: str
    sentence: str | None
    ended_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class History:
    """Recovery's steps, bulk actions and audit events of a job, oldest first; `proof` None for what is no portrait."""

    steps: Sequence[RecordedStep]
    bulk: Sequence[BulkItem]
    events: Sequence[Event]
    proof: Proof | None


def of_job(conn: Connection, job_id: JobId, *, grace: float) -> History:
    """Everything that was done about a job. `grace`: seconds a completed job may take to be saved."""
    return History(
        steps=recoveries.recorded(conn, job_id),
        bulk=_bulk(conn, job_id),
        events=activity.of_row(conn, "jobs", str(job_id)),
        proof=autosave.of_job(conn, job_id, grace=grace),
    )


def _bulk(conn: Connection, job_id: JobId) -> list[BulkItem]:
    with conn.cursor(row_factory=class_row(BulkItem)) as cursor:
        return cursor.execute(
            """
            SELECT i.action_id, a.kind, a.why, a.asked_by, a.asked_at, i.state, i.sentence, i.ended_at
            FROM studio.bulk_items i JOIN studio.bulk_actions a ON a.id = i.action_id
            WHERE i.item_id = %s ORDER BY a.asked_at LIMIT %s
            """,
            (str(job_id), _MOST_ITEMS),
        ).fetchall()
