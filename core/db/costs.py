"""studio.cost_entries: the append-only ledger. An amount of None is unknown and is never written as zero."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

from core.db import Connection
from core.values import JobId


def record(
    conn: Connection,
    job_id: JobId,
    attempt: int,
    kind: str,
    amount_usd: Decimal | None,
    *,
    units: Mapping[str, object] | None = None,
    note: str | None = None,
) -> None:
    """One entry of kind `computed`, `billed` or `refund` for an attempt, once; who and what are the estimate's."""
    conn.execute(
        """
        INSERT INTO studio.cost_entries
            (job_id, attempt, user_id, character_id, provider, model_key, kind, amount_usd, units, price_id, note)
        SELECT e.job_id, %(attempt)s, e.user_id, e.character_id, e.provider, e.model_key, %(kind)s, %(amount)s,
               %(units)s, e.price_id, %(note)s
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
            "note": note,
        },
    )


def estimated(conn: Connection, job_id: JobId) -> tuple[Decimal | None, str | None, Decimal | None]:
    """The estimate of a job: amount, the unit it was priced in, and that unit's price; None where not known."""
    row = conn.execute(
        """
        SELECT e.amount_usd, p.unit, p.price FROM studio.cost_entries e
        LEFT JOIN studio.model_prices p ON p.id = e.price_id
        WHERE e.job_id = %s AND e.kind = 'estimated' ORDER BY e.attempt LIMIT 1
        """,
        (job_id,),
    ).fetchone()
    return (row[0], row[1], row[2]) if row else (None, None, None)


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
