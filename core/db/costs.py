"""studio.cost_entries: the append-only ledger. An amount of None is unknown and is never written as zero."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from psycopg.rows import class_row

from core.db import Connection
from core.values import JobId, ModelId, PriceUnit


@dataclass(frozen=True, kw_only=True)
class Price:
    """A row of studio.model_prices: US dollars for one `unit`."""

    id: UUID
    unit: PriceUnit
    usd: Decimal


@dataclass(frozen=True, kw_only=True)
class Total:
    """What one model cost in a time: dollars that are known, attempts whose cost is not, and what failures cost."""

    provider: str
    model_key: str
    attempts: int
    known_usd: Decimal
    held: int  # not settled yet: their amount is the estimate of the click
    unknown: int
    failed_usd: Decimal  # the part of known_usd that brought no picture
    refunded_usd: Decimal  # what came back of it, as a positive amount


def record(
    conn: Connection,
    job_id: JobId,
    attempt: int,
    kind: str,
    amount_usd: Decimal | None,
    *,
    units: Mapping[str, object] | None = None,
    price_id: UUID | None = None,
    note: str | None = None,
) -> None:
    """One entry of kind `computed` or `billed` for an attempt, once; who and what are the estimate's.

    `price_id` is the price row the amount was computed with.
    """
    conn.execute(
        """
        INSERT INTO studio.cost_entries
            (job_id, attempt, user_id, character_id, provider, model_key, kind, amount_usd, units, price_id, note)
        SELECT e.job_id, %(attempt)s, e.user_id, e.character_id, e.provider, e.model_key, %(kind)s, %(amount)s,
               %(units)s, %(price)s, %(note)s
        FROM studio.cost_entries e
        WHERE e.job_id = %(job)s AND e.kind = 'estimated'
        ORDER BY e.attempt LIMIT 1
        ON CONFLICT DO NOTHING
        """,
        {
            "job": job_id,
            "attempt": attempt,
            "kind": kind,
            "amount": amount_usd,
            "units": json.dumps(units) if units is not None else None,
            "price": price_id,
            "note": note,
        },
    )


def hold_next(conn: Connection, job_id: JobId, attempt: int) -> None:
    """Hold the estimate of a job's next attempt, as its click held the first: in the transaction that frees the last
    one, so that nobody can spend it between the two.
    """
    conn.execute(
        """
        INSERT INTO studio.cost_entries
            (job_id, attempt, user_id, character_id, provider, model_key, kind, amount_usd, units, price_id)
        SELECT job_id, %(attempt)s, user_id, character_id, provider, model_key, 'estimated', amount_usd, units, price_id
        FROM studio.cost_entries WHERE job_id = %(job)s AND attempt = 1 AND kind = 'estimated'
        ON CONFLICT DO NOTHING
        """,
        {"job": job_id, "attempt": attempt},
    )


def never_sent(conn: Connection, job_id: JobId) -> None:
    """An explicit 0 for each attempt of a job that holds an estimate and was never sent."""
    conn.execute(
        """
        INSERT INTO studio.cost_entries
            (job_id, attempt, user_id, character_id, provider, model_key, kind, amount_usd, note)
        SELECT e.job_id, e.attempt, e.user_id, e.character_id, e.provider, e.model_key, 'computed', 0, 'never sent'
        FROM studio.cost_entries e
        WHERE e.job_id = %s AND e.kind = 'estimated'
          AND NOT EXISTS (SELECT FROM studio.submissions s WHERE s.job_id = e.job_id AND s.attempt = e.attempt)
        ON CONFLICT DO NOTHING
        """,
        (job_id,),
    )


def price_at(
    conn: Connection, model_id: ModelId, moment: datetime, *, width: int, height: int
) -> Price | None:
    """The price of one picture of that size (pixels) that is valid at `moment`; None where it is not known."""
    row = conn.execute(
        "SELECT price_id, unit, price FROM studio.price_at(%s, %s, %s, %s)",
        (model_id, width, height, moment),
    ).fetchone()
    return Price(id=row[0], unit=PriceUnit(row[1]), usd=row[2]) if row else None


def refund(conn: Connection, job_id: JobId, attempt: int, amount_usd: Decimal, *, why: str) -> bool:
    """Enter money that came back, as the person of this connection; False where these words stand already.

    Raises NotAllowed (needs admin), NotFound, BadRequest (amount_usd, why), Conflict `COST_UNKNOWN`.
    """
    row = conn.execute("SELECT studio.refund(%s, %s, %s, %s)", (job_id, attempt, amount_usd, why)).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return bool(row[0])


def set_price(
    conn: Connection,
    model_id: ModelId,
    unit: PriceUnit,
    usd: Decimal | None,
    *,
    valid_from: datetime | None,
    size: str | None,
    source: str,
) -> UUID:
    """A price from a moment on, as the person of this connection. Raises NotAllowed, NotFound, BadRequest."""
    row = conn.execute(
        "SELECT studio.set_price(%s, %s, %s, %s, %s, %s)",
        (model_id, unit, usd, valid_from, size, source),
    ).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return UUID(str(row[0]))


def totals(conn: Connection, since: datetime, until: datetime) -> list[Total]:
    """What each model cost from `since` until before `until`, by the moment of the click."""
    with conn.cursor(row_factory=class_row(Total)) as cursor:
        return cursor.execute(
            """
            SELECT s.provider, s.model_key, count(*) AS attempts,
                   coalesce(sum(s.amount_usd) FILTER (WHERE s.kind <> 'estimated'), 0) AS known_usd,
                   count(*) FILTER (WHERE s.kind = 'estimated') AS held,
                   count(*) FILTER (WHERE s.is_unknown AND s.kind <> 'estimated') AS unknown,
                   coalesce(sum(s.amount_usd) FILTER (
                       WHERE s.kind <> 'estimated' AND j.status IN ('failed', 'cancelled')), 0) AS failed_usd,
                   coalesce(sum((SELECT -sum(r.amount_usd) FROM studio.cost_entries r
                                 WHERE r.job_id = s.job_id AND r.attempt = s.attempt AND r.kind = 'refund')), 0)
                       AS refunded_usd
            FROM studio.spend s LEFT JOIN public.jobs j ON j.id = s.job_id
            WHERE s.at >= %s AND s.at < %s
            GROUP BY s.provider, s.model_key ORDER BY s.provider, s.model_key
            """,
            (since, until),
        ).fetchall()


def spent(conn: Connection, job_id: JobId) -> Decimal | None:
    """What a job cost as far as it is known now (view studio.spend, all attempts); None where any is unknown."""
    row = conn.execute(
        "SELECT CASE WHEN bool_or(is_unknown) THEN NULL ELSE sum(amount_usd) END FROM studio.spend WHERE job_id = %s",
        (job_id,),
    ).fetchone()
    return row[0] if row else None


def close_never_sent(conn: Connection) -> int:
    """An explicit 0 for jobs that ended without anything sent, whoever ended them (the platform's clean-up does)."""
    return conn.execute(
        """
        INSERT INTO studio.cost_entries
            (job_id, attempt, user_id, character_id, provider, model_key, kind, amount_usd, note)
        SELECT e.job_id, e.attempt, e.user_id, e.character_id, e.provider, e.model_key, 'computed', 0, 'never sent'
        FROM studio.cost_entries e JOIN public.jobs j ON j.id = e.job_id
        WHERE e.kind = 'estimated' AND e.at > now() - interval '40 days' AND j.status IN ('failed', 'cancelled')
          AND NOT EXISTS (SELECT FROM studio.submissions s WHERE s.job_id = e.job_id AND s.attempt = e.attempt)
          AND NOT EXISTS (SELECT FROM studio.cost_entries c
                          WHERE c.job_id = e.job_id AND c.attempt = e.attempt AND c.kind IN ('computed', 'billed'))
        ON CONFLICT DO NOTHING
        """
    ).rowcount
