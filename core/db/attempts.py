"""studio.sign_in_failures: attempts to sign in that did not succeed, and until when the next one waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from core.db import Connection

Kind = Literal["account", "address", "pair"]


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What an attempt counts towards: `free` failures cost no wait; each further one doubles it, up to `longest`."""

    kind: Kind
    who: bytes
    free: int
    longest: timedelta


def wait(conn: Connection, counted: Sequence[Counted]) -> float:
    """Seconds until the next attempt is taken; 0 where it is now. Locks what it looks at until the transaction ends."""
    row = conn.execute(
        """
        SELECT coalesce(extract(epoch FROM max(held.next_at) - clock_timestamp()), 0)::float8 FROM (
            SELECT f.next_at FROM studio.sign_in_failures f
            JOIN unnest(%(kinds)s::text[], %(whos)s::bytea[]) AS asked (kind, who) USING (kind, who)
            ORDER BY f.kind, f.who FOR UPDATE OF f
        ) held
        """,
        _named(counted),
    ).fetchone()
    return max(0.0, float(row[0])) if row else 0.0


def count(conn: Connection, counted: Sequence[Counted], *, window: timedelta) -> None:
    """Count an attempt as failed before it is made, so that many at once are many. After `window` without one, the
    count begins anew.
    """
    for one in sorted(counted, key=lambda one: (one.kind, one.who)):
        conn.execute(
            """
            INSERT INTO studio.sign_in_failures AS f (kind, who) VALUES (%(kind)s, %(who)s)
            ON CONFLICT (kind, who) DO UPDATE SET
                failures = CASE WHEN f.last_at < now() - %(window)s THEN 1 ELSE least(f.failures + 1, 1000000) END,
                last_at = now(),
                next_at = now() + CASE
                    WHEN f.last_at < now() - %(window)s OR f.failures + 1 <= %(free)s THEN interval '0'
                    ELSE least(%(longest)s, interval '1 second' * power(2, least(f.failures - %(free)s, 20)))
                END
            """,
            {
                "kind": one.kind,
                "who": one.who,
                "window": window,
                "free": one.free,
                "longest": one.longest,
            },
        )


def take_back(conn: Connection, counted: Sequence[Counted]) -> None:
    """The attempt did not fail after all, or was never judged: it counts for nothing, and nobody waits for it."""
    conn.execute(
        """
        UPDATE studio.sign_in_failures f SET failures = greatest(f.failures - 1, 0), next_at = now()
        FROM (
            SELECT held.kind, held.who FROM studio.sign_in_failures held
            JOIN unnest(%(kinds)s::text[], %(whos)s::bytea[]) AS asked (kind, who) USING (kind, who)
            ORDER BY held.kind, held.who FOR UPDATE OF held
        ) locked
        WHERE f.kind = locked.kind AND f.who = locked.who
        """,
        _named(counted),
    )


def forget(conn: Connection, counted: Counted) -> None:
    """Begin anew with one count."""
    conn.execute(
        "DELETE FROM studio.sign_in_failures WHERE kind = %s AND who = %s", (counted.kind, counted.who)
    )


def purge(conn: Connection, *, kept: timedelta) -> int:
    """Delete counts without a failure for `kept`; how many."""
    return conn.execute("DELETE FROM studio.sign_in_failures WHERE last_at < now() - %s", (kept,)).rowcount


def _named(counted: Sequence[Counted]) -> dict[str, list[str] | list[bytes]]:
    return {"kinds": [one.kind for one in counted], "whos": [one.who for one in counted]}
