"""Whose work there is to look at."""

from __future__ import annotations

from uuid import UUID

from core.db import Connection

MOST = 500


def known(conn: Connection) -> list[UUID]:
    """The people who own a character or asked for a job with a key, one step in an index each; at most 500 of both."""
    rows = conn.execute(
        """
        WITH RECURSIVE owner AS (
            (SELECT c.user_id, 1 AS place FROM public.characters c ORDER BY c.user_id LIMIT 1)
            UNION ALL
            SELECT next.user_id, owner.place + 1 FROM owner CROSS JOIN LATERAL (
                SELECT c.user_id FROM public.characters c WHERE c.user_id > owner.user_id
                ORDER BY c.user_id LIMIT 1) next
            WHERE owner.place < %(most)s
        ), asker AS (
            (SELECT j.user_id, 1 AS place FROM public.jobs j WHERE j.idempotency_key IS NOT NULL
             ORDER BY j.user_id LIMIT 1)
            UNION ALL
            SELECT next.user_id, asker.place + 1 FROM asker CROSS JOIN LATERAL (
                SELECT j.user_id FROM public.jobs j
                WHERE j.idempotency_key IS NOT NULL AND j.user_id > asker.user_id
                ORDER BY j.user_id LIMIT 1) next
            WHERE asker.place < %(most)s
        )
        SELECT user_id FROM owner UNION SELECT user_id FROM asker ORDER BY user_id
        """,
        {"most": MOST},
    ).fetchall()
    return [row[0] for row in rows]
