"""studio.counters: totals that only grow, folded from append-only rows (docs/decisions/0016).

Every row is counted once, whichever process looks: a fold takes the rows of transactions that ended before a horizon,
and moves that horizon in the same transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import LiteralString, TypeAlias

from core.db import Connection

# Upper bounds in seconds of the histogram of job durations; one more bucket holds what took longer.
DURATIONS = (1, 2, 4, 6, 10, 15, 20, 30, 45, 60, 90, 120, 300, 600, 1800)
MOST_SERIES = 300  # of one name; what comes new after that is counted under OTHER
OTHER = "other"
_ROWS = 5000  # folded at once, and at least one whole transaction

Labels: TypeAlias = tuple[str, ...]
Totals: TypeAlias = Mapping[tuple[str, Labels], Decimal]


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Rows that are folded: where they stand, which of them count, and what they add."""

    name: str
    next_rows: LiteralString
    read: Callable[[Connection, int, int], Counter[tuple[str, Labels]]]


def fold(conn: Connection) -> None:
    """Add what was written since the last fold, at most a few thousand rows; nothing where another process does it.

    A row counts once its transaction and every older one have ended: a long writing one delays, and loses nothing.
    Raises QueryTimedOut after 10 s.
    """
    conn.execute("SELECT set_config('statement_timeout', '10s', true)")
    for source in _SOURCES:
        found = _window(conn, source)
        if found is None:
            continue
        since, until = found
        _add(conn, source.read(conn, since, until))
        conn.execute("UPDATE studio.counted SET written_before = %s WHERE source = %s", (until, source.name))


def totals(conn: Connection) -> Totals:
    """Every total, by name and labels: see the `_…_counts` functions for both."""
    rows = conn.execute("SELECT name, labels, value FROM studio.counters LIMIT 20000").fetchall()
    return {(row[0], tuple(row[1])): row[2] for row in rows}


def _window(conn: Connection, source: _Source) -> tuple[int, int] | None:
    """The transactions whose rows are folded now: from the first number to below the second. Locks the source."""
    row = conn.execute(
        """
        SELECT written_before, (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint FROM studio.counted
        WHERE source = %s FOR UPDATE SKIP LOCKED
        """,
        (source.name,),
    ).fetchone()
    if row is None:
        return None
    # Restored into another server, whose numbers begin anew, `since` lies above: nothing is found, and counting goes
    # on from the horizon.
    since, horizon = int(row[0]), int(row[1])
    last = conn.execute(source.next_rows, {"since": since, "horizon": horizon, "rows": _ROWS}).fetchone()
    return since, last[0] + 1 if last is not None and last[1] == _ROWS else horizon


def _add(conn: Connection, found: Counter[tuple[str, Labels]]) -> None:
    known = set(totals(conn)) if found else set[tuple[str, Labels]]()
    bounded: Counter[tuple[str, Labels]] = Counter()
    for (name, labels), value in found.items():
        if (name, labels) not in known and sum(one == name for one, _ in known) >= MOST_SERIES:
            bounded[name, (OTHER,) * len(labels)] += value
        else:
            known.add((name, labels))
            bounded[name, labels] += value
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO studio.counters AS c (name, labels, value) VALUES (%s, %s, %s)
            ON CONFLICT (name, labels) DO UPDATE SET value = c.value + excluded.value
            """,
            [(name, list(labels), value) for (name, labels), value in sorted(bounded.items())],
        )


def _job_counts(conn: Connection, since: int, until: int) -> Counter[tuple[str, Labels]]:
    """`jobs_ended` (provider, model, status), `job_errors` (provider, code), `job_seconds` (provider, model, bucket)
    and `job_seconds_sum` (provider, model). A bucket is the place of its bound in DURATIONS.
    """
    rows = conn.execute(
        """
        SELECT provider, model, to_status, code, bucket, count(*), sum(seconds) FROM (
            SELECT coalesce(p.name, %(other)s) AS provider, coalesce(m.model_key, %(other)s) AS model, e.to_status,
                CASE WHEN e.error_code ~ '^[A-Z][A-Z0-9_]{1,39}$' THEN e.error_code ELSE upper(%(other)s) END AS code,
                width_bucket(lasted.seconds, %(bounds)s::float8[]) AS bucket, lasted.seconds
            FROM studio.job_events e
            LEFT JOIN public.jobs j ON j.id = e.job_id
            LEFT JOIN public.api_models m ON m.id = j.api_model_id
            LEFT JOIN public.api_providers p ON p.id = m.provider_id
            CROSS JOIN LATERAL (
                SELECT CASE WHEN j.id IS NOT NULL
                    THEN greatest(extract(epoch FROM e.at - j.created_at), 0)::float8 END AS seconds) lasted
            WHERE e.written_in >= %(since)s AND e.written_in < %(until)s AND e.written_in IS NOT NULL
              AND e.to_status IN ('completed', 'failed', 'cancelled') AND e.from_status IS DISTINCT FROM e.to_status
        ) ended
        GROUP BY provider, model, to_status, code, bucket
        """,
        {"since": since, "until": until, "other": OTHER, "bounds": list(DURATIONS)},
    ).fetchall()
    found: Counter[tuple[str, Labels]] = Counter()
    for provider, model, status, code, bucket, count, seconds in rows:
        found["jobs_ended", (provider, model, status)] += count
        if status == "failed":
            found["job_errors", (provider, code)] += count
        if status == "completed" and bucket is not None:
            found["job_seconds", (provider, model, str(bucket))] += count
            found["job_seconds_sum", (provider, model)] += Decimal(str(seconds))  # pyright: ignore[reportArgumentType]
    return found


def _cost_counts(conn: Connection, since: int, until: int) -> Counter[tuple[str, Labels]]:
    """`cost_usd` and `cost_unknown` (provider, kind): dollars, and entries whose amount nobody knows."""
    rows = conn.execute(
        """
        SELECT provider, kind, coalesce(sum(abs(amount_usd)), 0), count(*) FILTER (WHERE amount_usd IS NULL)
        FROM studio.cost_entries
        WHERE written_in >= %s AND written_in < %s AND written_in IS NOT NULL
        GROUP BY provider, kind
        """,
        (since, until),
    ).fetchall()
    found: Counter[tuple[str, Labels]] = Counter()
    for provider, kind, amount, unknown in rows:
        found["cost_usd", (provider, kind)] += amount
        found["cost_unknown", (provider, kind)] += unknown
    return found


_SOURCES = (
    _Source(
        name="job_events",
        next_rows="""
            SELECT max(written_in), count(*) FROM (
                SELECT written_in FROM studio.job_events
                WHERE written_in >= %(since)s AND written_in < %(horizon)s AND written_in IS NOT NULL
                  AND to_status IN ('completed', 'failed', 'cancelled') AND from_status IS DISTINCT FROM to_status
                ORDER BY written_in LIMIT %(rows)s) next
        """,
        read=_job_counts,
    ),
    _Source(
        name="cost_entries",
        next_rows="""
            SELECT max(written_in), count(*) FROM (
                SELECT written_in FROM studio.cost_entries
                WHERE written_in >= %(since)s AND written_in < %(horizon)s AND written_in IS NOT NULL
                ORDER BY written_in LIMIT %(rows)s) next
        """,
        read=_cost_counts,
    ),
)
