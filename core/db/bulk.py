"""studio.bulk_actions and their items: the rows that were shown, frozen, and what became of each.

Beginning, taking, stopping and ending go through definer functions as the person; what becomes of an item is written with the
studio's own rights, and only by the run that holds the action.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from psycopg.rows import class_row

from core.db import Connection
from core.errors import LeaseLost
from core.values import JobId, JobStatus, ModelId


@dataclass(frozen=True, kw_only=True)
class ActionRow:
    """One bulk action and how far it is. `runs`: how often it was taken; `is_silent`: its run was not heard of for
    longer than a living one is, or there is none. Counts are of items.
    """

    id: UUID
    kind: str
    options: Mapping[str, str]
    why: str
    asked_by: UUID
    asked_at: datetime
    items: int
    run_by: UUID | None
    runs: int
    beat_at: datetime | None
    stop_asked_at: datetime | None
    ended_at: datetime | None
    is_silent: bool
    waiting: int
    working: int
    done: int
    refused: int
    failed: int
    cost_usd: Decimal  # of the done rows whose price is known
    unpriced: int  # done rows without a price: unknown where the deed costs money

    @property
    def over(self) -> int:
        """How many rows have their answer."""
        return self.done + self.refused + self.failed

    @property
    def is_running(self) -> bool:
        """True while a run that lives carries it out."""
        return self.ended_at is None and not self.is_silent

    @property
    def is_interrupted(self) -> bool:
        """True where rows are left and nobody carries it out."""
        return self.ended_at is None and self.is_silent


@dataclass(frozen=True, kw_only=True)
class ItemRow:
    """One row of an action. `state`: waiting, working, done, refused or failed; `tries`: how often it was begun."""

    place: int
    item_id: str
    state: str
    sentence: str | None
    tries: int
    begun_at: datetime | None
    ended_at: datetime | None
    cost_usd: Decimal | None


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A row that this run has begun."""

    place: int
    item_id: str
    begun_at: datetime  # for the first time
    tries: int


class Again(NamedTuple):
    """A job that asked again for what another one did not bring."""

    id: UUID
    user_id: UUID
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a job stands, as a preview needs it. `again`: the job that asked for the same once more."""

    id: UUID
    status: JobStatus
    runner: str
    cancel_requested: bool
    is_attribute_image: bool
    again: UUID | None


# -- what a person does -----------------------------------------------------------------------------------------------


def begin(
    conn: Connection, kind: str, ids: Sequence[str], options: Mapping[str, str], why: str, most: int
) -> UUID:
    """Freeze these ids as the person of this connection. Raises NotAllowed, BadRequest."""
    row = conn.execute(
        "SELECT studio.begin_bulk(%s, %s, %s, %s, %s)",
        (kind, list(ids), json.dumps(dict(options)), why, most),
    ).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return row[0]


def take(conn: Connection, action_id: UUID, runner: UUID, *, silent: float) -> None:
    """Take an action for the run `runner`. Raises NotAllowed, NotFound, Conflict `BULK_RUNNING` or `BULK_ENDED`."""
    conn.execute("SELECT studio.take_bulk(%s, %s, %s)", (action_id, runner, silent))


def stop(conn: Connection, action_id: UUID, *, silent: float) -> bool:
    """Ask for an end; whether a run is there to hear it. Raises NotAllowed, NotFound."""
    row = conn.execute("SELECT studio.stop_bulk(%s, %s)", (action_id, silent)).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return bool(row[0])


def end(conn: Connection, action_id: UUID, runner: UUID) -> bool:
    """No row is left, or a person stopped it; False where this run does not hold it any more. Raises NotAllowed."""
    row = conn.execute("SELECT studio.end_bulk(%s, %s)", (action_id, runner)).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return bool(row[0])


# -- what a run does --------------------------------------------------------------------------------------------------


def beat(conn: Connection, action_id: UUID, runner: UUID) -> bool:
    """Say that this run lives; True where it is asked to stop. The action's row stays locked until the transaction ends.

    Raises LeaseLost where another run has the action, or it has ended.
    """
    row = conn.execute(
        """
        UPDATE studio.bulk_actions SET beat_at = clock_timestamp() WHERE id = %s AND runner = %s AND ended_at IS NULL
        RETURNING stop_asked_at IS NOT NULL
        """,
        (action_id, runner),
    ).fetchone()
    if row is None:
        raise LeaseLost("Another run took this bulk action over.")
    return bool(row[0])


def claim(conn: Connection, action_id: UUID, runner: UUID, *, only_begun: bool) -> Taken | None:
    """The next row that waits, or that a lost run had begun (only such where `only_begun`); None where none is left."""
    with conn.cursor(row_factory=class_row(Taken)) as cursor:
        return cursor.execute(
            """
            UPDATE studio.bulk_items i SET state = 'working', runner = %(runner)s, tries = i.tries + 1,
                begun_at = coalesce(i.begun_at, clock_timestamp())
            WHERE i.action_id = %(action)s AND i.place = (
                SELECT o.place FROM studio.bulk_items o
                WHERE o.action_id = %(action)s
                  AND (o.state = 'working' AND o.runner <> %(runner)s OR o.state = 'waiting' AND NOT %(only_begun)s)
                ORDER BY o.place LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING i.place, i.item_id, i.begun_at, i.tries
            """,
            {"action": action_id, "runner": runner, "only_begun": only_begun},
        ).fetchone()


def reserve(conn: Connection, action_id: UUID, place: int, price: Decimal, limit: Decimal) -> bool:
    """Hold a price against the action's spending limit; False where that would pass it.

    Called with the action's row locked (`beat`), so that two runs never hold the same dollars.
    """
    row = conn.execute(
        """
        UPDATE studio.bulk_items i SET cost_usd = %(price)s
        WHERE i.action_id = %(action)s AND i.place = %(place)s AND %(price)s + coalesce((
            SELECT sum(o.cost_usd) FROM studio.bulk_items o
            WHERE o.action_id = %(action)s AND o.place <> %(place)s AND o.state IN ('working', 'done')), 0) <= %(limit)s
        RETURNING i.place
        """,
        {"action": action_id, "place": place, "price": price, "limit": limit},
    ).fetchone()
    return row is not None


def note_price(conn: Connection, action_id: UUID, place: int, price: Decimal | None) -> None:
    """What a row is expected to cost, where no limit holds."""
    conn.execute(
        "UPDATE studio.bulk_items SET cost_usd = %s WHERE action_id = %s AND place = %s",
        (price, action_id, place),
    )


def finish(conn: Connection, action_id: UUID, place: int, runner: UUID, *, state: str, sentence: str) -> None:
    """What became of a row; ignored where another run has it by now."""
    conn.execute(
        """
        UPDATE studio.bulk_items SET state = %(state)s, sentence = %(sentence)s, ended_at = clock_timestamp(),
            cost_usd = CASE WHEN %(state)s = 'done' THEN cost_usd END
        WHERE action_id = %(action)s AND place = %(place)s AND runner = %(runner)s AND state = 'working'
        """,
        {"action": action_id, "place": place, "runner": runner, "state": state, "sentence": sentence},
    )


def leave(conn: Connection, action_id: UUID, runner: UUID) -> None:
    """This run ends before its rows do: anybody may go on at once."""
    conn.execute(
        "UPDATE studio.bulk_actions SET runner = NULL WHERE id = %s AND runner = %s AND ended_at IS NULL",
        (action_id, runner),
    )


# -- what is read -----------------------------------------------------------------------------------------------------

_ACTION = """
    SELECT a.id, a.kind, a.options, a.why, a.asked_by, a.asked_at, a.items, a.run_by, a.runs, a.beat_at, a.stop_asked_at,
        a.ended_at,
        a.runner IS NULL OR a.beat_at < clock_timestamp() - make_interval(secs => %(silent)s) AS is_silent,
        n.waiting, n.working, n.done, n.refused, n.failed, n.cost_usd, n.unpriced
    FROM studio.bulk_actions a
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE i.state = 'waiting') AS waiting, count(*) FILTER (WHERE i.state = 'working') AS working,
            count(*) FILTER (WHERE i.state = 'done') AS done, count(*) FILTER (WHERE i.state = 'refused') AS refused,
            count(*) FILTER (WHERE i.state = 'failed') AS failed,
            coalesce(sum(i.cost_usd) FILTER (WHERE i.state = 'done'), 0) AS cost_usd,
            count(*) FILTER (WHERE i.state = 'done' AND i.cost_usd IS NULL) AS unpriced
        FROM studio.bulk_items i WHERE i.action_id = a.id) n
"""


def action(conn: Connection, action_id: UUID, *, silent: float) -> ActionRow | None:
    """One action, None where there is none this connection may see."""
    with conn.cursor(row_factory=class_row(ActionRow)) as cursor:
        return cursor.execute(
            f"{_ACTION} WHERE a.id = %(id)s", {"id": action_id, "silent": silent}
        ).fetchone()


def unfinished(conn: Connection, *, silent: float, limit: int = 20) -> list[ActionRow]:
    """Actions that have not ended, the newest first."""
    with conn.cursor(row_factory=class_row(ActionRow)) as cursor:
        return cursor.execute(
            f"{_ACTION} WHERE a.ended_at IS NULL ORDER BY a.asked_at DESC, a.id DESC LIMIT %(limit)s",
            {"silent": silent, "limit": limit},
        ).fetchall()


def ended(conn: Connection, *, silent: float, within: float, limit: int = 5) -> list[ActionRow]:
    """Actions that ended within so many seconds, the latest first."""
    with conn.cursor(row_factory=class_row(ActionRow)) as cursor:
        return cursor.execute(
            f"""
            {_ACTION} WHERE a.ended_at > now() - make_interval(secs => %(within)s)
            ORDER BY a.ended_at DESC, a.id DESC LIMIT %(limit)s
            """,
            {"silent": silent, "within": within, "limit": limit},
        ).fetchall()


def items(
    conn: Connection, action_id: UUID, *, states: Sequence[str] | None, after: int, limit: int
) -> list[ItemRow]:
    """Rows of an action behind a place, in the order in which they were shown; only of `states` where given."""
    with conn.cursor(row_factory=class_row(ItemRow)) as cursor:
        return cursor.execute(
            """
            SELECT place, item_id, state, sentence, tries, begun_at, ended_at, cost_usd FROM studio.bulk_items
            WHERE action_id = %(id)s AND place > %(after)s AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
            ORDER BY place LIMIT %(limit)s
            """,
            {
                "id": action_id,
                "after": after,
                "limit": limit,
                "states": None if states is None else list(states),
            },
        ).fetchall()


def roles_by_kind(conn: Connection) -> dict[str, set[str]]:
    """Who may do which, as the database holds it."""
    return {
        row[0]: set(row[1]) for row in conn.execute("SELECT kind, roles FROM studio.bulk_kinds").fetchall()
    }


# -- what a lost run may have done ------------------------------------------------------------------------------------


def was_noted(
    conn: Connection, action: str, row_id: str, *, who: Sequence[UUID], since: datetime, why: str
) -> bool:
    """Whether the audit says that one of these people did that to a row since then, for that reason."""
    row = conn.execute(
        """
        SELECT EXISTS (SELECT FROM studio.audit_events e
                       WHERE e.at >= %(since)s AND e.action = %(action)s AND e.row_id = %(row)s AND e.who = ANY(%(who)s)
                         AND e.why = %(why)s)
        """,
        {"since": since, "action": action, "row": row_id, "who": list(who), "why": why},
    ).fetchone()
    return bool(row and row[0])


def asked_again(conn: Connection, job_id: JobId) -> list[Again]:
    """The jobs that asked again for what this one did not bring, the oldest first."""
    rows = conn.execute(
        "SELECT j.id, j.user_id, j.created_at FROM public.jobs j WHERE j.retried_from = %s ORDER BY j.created_at LIMIT 20",
        (job_id,),
    ).fetchall()
    return [Again(*row) for row in rows]


def hold(conn: Connection, job_id: JobId) -> None:
    """Until this transaction ends, no other one holds this job for asking again."""
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('ask_again:' || %s::text, 0))", (job_id,))


def standing(conn: Connection, job_ids: Sequence[JobId]) -> dict[UUID, Standing]:
    """Where these jobs stand, as the person of this connection sees them."""
    found = conn.execute(
        """
        SELECT j.id, j.status, j.runner, j.cancel_requested,
            coalesce(j.metadata ->> 'destination', '') = 'attribute_image',
            (SELECT a.id FROM public.jobs a WHERE a.retried_from = j.id ORDER BY a.created_at LIMIT 1)
        FROM public.jobs j WHERE j.id = ANY(%s)
        """,
        (list(job_ids),),
    ).fetchall()
    return {
        row[0]: Standing(
            id=row[0],
            status=JobStatus(row[1]),
            runner=row[2],
            cancel_requested=row[3],
            is_attribute_image=row[4],
            again=row[5],
        )
        for row in found
    }


def prices_again(
    conn: Connection, job_ids: Sequence[JobId], model_id: ModelId | None
) -> dict[JobId, Decimal | None]:
    """What each job would cost today in its own size, with its own model or another; None where that is not known."""
    rows = conn.execute(
        """
        WITH wanted AS MATERIALIZED (
            SELECT j.id, coalesce(%(model)s::uuid, j.api_model_id) AS model,
                CASE WHEN j.metadata ->> 'width' ~ '^[0-9]{2,4}$' THEN (j.metadata ->> 'width')::integer ELSE 1024 END AS width,
                CASE WHEN j.metadata ->> 'height' ~ '^[0-9]{2,4}$' THEN (j.metadata ->> 'height')::integer ELSE 1024 END AS height
            FROM public.jobs j WHERE j.id = ANY(%(ids)s)
        ), priced AS MATERIALIZED (
            SELECT o.model, o.width, o.height, (SELECT p.amount FROM studio.price_of(o.model, o.width, o.height) p) AS amount
            FROM (SELECT DISTINCT model, width, height FROM wanted) o
        )
        SELECT w.id, p.amount FROM wanted w
        LEFT JOIN priced p ON p.model = w.model AND p.width = w.width AND p.height = w.height
        """,
        {"model": model_id, "ids": list(job_ids)},
    ).fetchall()
    return {JobId(row[0]): row[1] for row in rows}
