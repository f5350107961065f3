"""What may be wrong now, each as one bounded question: the health rules (core/health.py) turn the answers into words.

Counts stop at 10,000 and say so; times are those of the oldest row, because that is what a person asks next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from core.audit.jobs import MOST_COUNTED, Counted
from core.db import Connection, recoveries
from core.db.recoveries import Look

_UNFINISHED = 10_000  # the oldest unfinished jobs are looked at; what is stuck is among them
_RECENT = 1_000  # jobs of a model that a rate rests on at most
_USUAL = 2_000
# Ended because of what was asked for, or by a person: no sign of a provider's health.
NOT_ITS_FAULT = ("CONTENT_REFUSED", "PURGED", "GIVEN_UP", "RESTORED")


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How many, and since when the oldest of them."""

    counted: Counted
    oldest: datetime | None


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How often one model failed in the last `hours`, and in the `days` before them."""

    provider: str
    model_key: str
    model: str
    ended: int
    failed: int
    usual_ended: int
    usual_failed: int


@dataclass(frozen=True, kw_only=True)
class Family:
    """Open findings of one family: the word before the dot of their rule."""

    family: str
    number: int
    oldest: datetime
    example: str  # a rule of it, the only one where `rules` is 1
    rules: int


@dataclass(frozen=True, kw_only=True)
class QueueStand:
    """One entry point of the queue. `held`: entries that failed and stay for a person to see."""

    entrypoint: str
    waiting: int
    picked: int
    held: int
    oldest_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The newest look at something outside the database; `seconds` it took."""

    name: str
    at: datetime
    ok: bool
    seconds: float | None
    sentence: str


@dataclass(frozen=True, kw_only=True)
class ProofStand:
    """The newest proof that ended, and since when there has been something to prove; None where nothing."""

    finished_at: datetime | None
    with_objects: bool
    broken: int
    oldest_portrait_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Undelivered:
    """A notice that its receiver did not take yet; `answer` is what came instead, in words."""

    made_at: datetime
    attempts: int
    given_up: bool
    answer: str


def stuck(conn: Connection, look: Look, *, most: int = MOST_COUNTED) -> Standing:
    """Jobs that stand still, among the 10,000 oldest that have not ended; `oldest` is when it was last heard of."""
    row = conn.execute(
        f"""
        SELECT count(*), min(heard) FROM (
            SELECT coalesce(j.heartbeat_at, j.started_at, j.created_at) AS heard
            FROM (SELECT * FROM public.jobs u WHERE u.status IN ('queued', 'processing')
                  ORDER BY u.created_at LIMIT %(looked)s) j
            LEFT JOIN LATERAL studio.live_entry(j.id) q ON true
            WHERE {recoveries.STUCK} LIMIT %(most)s) found
        """,
        {**look.values, "looked": _UNFINISHED, "most": most + 1},
        prepare=False,
    ).fetchone()
    return _standing(row, most)


def unknown_outcomes(conn: Connection, *, most: int = MOST_COUNTED) -> Standing:
    """Jobs that were sent and brought no receipt."""
    row = conn.execute(
        """
        SELECT count(*), min(created_at) FROM (
            SELECT j.created_at FROM public.jobs j
            WHERE j.status = 'processing' AND j.stage = 'outcome_unknown'
            ORDER BY j.created_at DESC LIMIT %s) found
        """,
        (most + 1,),
        prepare=False,
    ).fetchone()
    return _standing(row, most)


def broken_portraits(conn: Connection, *, most: int = MOST_COUNTED) -> Standing:
    """Portraits that the newest proof found broken; `oldest` is since when the first of them is known to be."""
    row = conn.execute(
        """
        SELECT count(*), min(broken_since) FROM (
            SELECT r.broken_since FROM studio.proof_results r LIMIT %s) found
        """,
        (most + 1,),
    ).fetchone()
    return _standing(row, most)


def proof_stand(conn: Connection) -> ProofStand:
    """When auto-save was last proved whole, and whether there is anything to prove."""
    run = conn.execute(
        """
        SELECT r.finished_at, r.with_objects, r.broken::integer FROM studio.proof_runs r
        WHERE r.finished_at IS NOT NULL AND r.since IS NULL ORDER BY r.started_at DESC LIMIT 1
        """
    ).fetchone()
    oldest = conn.execute(
        """
        SELECT coalesce(j.completed_at, j.created_at) FROM public.jobs j
        WHERE (j.metadata ->> 'destination') = 'character_portrait'
        ORDER BY coalesce(j.completed_at, j.created_at), j.id LIMIT 1
        """
    ).fetchone()
    return ProofStand(
        finished_at=run[0] if run else None,
        with_objects=bool(run and run[1]),
        broken=run[2] if run else 0,
        oldest_portrait_at=oldest[0] if oldest else None,
    )


def failure_rates(conn: Connection, *, hours: int, days: int) -> list[Rate]:
    """How often each model failed lately and usually, by its last 1,000 and the 2,000 jobs before at most.

    What ended because of the words that were asked for, or by a person's hand, counts on neither side.
    """
    with conn.cursor(row_factory=class_row(Rate)) as cursor:
        return cursor.execute(
            """
            SELECT p.name AS provider, m.model_key, m.display_name AS model, recent.ended, recent.failed,
                usual.ended AS usual_ended, usual.failed AS usual_failed
            FROM public.api_models m
            JOIN public.api_providers p ON p.id = m.provider_id
            CROSS JOIN LATERAL (
                SELECT count(*) FILTER (WHERE status = 'completed' OR counts) AS ended,
                    count(*) FILTER (WHERE counts) AS failed
                FROM (SELECT j.status, j.status = 'failed' AND coalesce(j.error_code, '') <> ALL(%(not)s) AS counts
                      FROM public.jobs j WHERE j.api_model_id = m.id
                        AND j.created_at > now() - make_interval(hours => %(hours)s)
                      ORDER BY j.created_at DESC, j.id DESC LIMIT %(recent)s) lately) recent
            CROSS JOIN LATERAL (
                SELECT count(*) FILTER (WHERE status = 'completed' OR counts) AS ended,
                    count(*) FILTER (WHERE counts) AS failed
                FROM (SELECT j.status, j.status = 'failed' AND coalesce(j.error_code, '') <> ALL(%(not)s) AS counts
                      FROM public.jobs j WHERE j.api_model_id = m.id
                        AND j.created_at <= now() - make_interval(hours => %(hours)s)
                        AND j.created_at > now() - make_interval(days => %(days)s, hours => %(hours)s)
                        AND recent.failed > 0
                      ORDER BY j.created_at DESC, j.id DESC LIMIT %(usual)s) before) usual
            WHERE m.modality = 'image' AND recent.ended > 0
            ORDER BY p.name, m.model_key LIMIT 200
            """,
            {
                "hours": hours,
                "days": days,
                "recent": _RECENT,
                "usual": _USUAL,
                "not": list(NOT_ITS_FAULT),
            },
            prepare=False,
        ).fetchall()


def queue_stand(conn: Connection) -> list[QueueStand]:
    """How each entry point stands; counts stop at 10,001. Raises NotAllowed (needs qa, product or admin)."""
    with conn.cursor(row_factory=class_row(QueueStand)) as cursor:
        return cursor.execute(
            "SELECT entrypoint, waiting, picked, held, oldest_at FROM studio.queue_stand()"
        ).fetchall()


def workers_alive(conn: Connection, *, within: float) -> int:
    """Workers that were heard of in the last `within` seconds."""
    row = conn.execute(
        """
        SELECT count(*) FROM studio.workers
        WHERE stopped_at IS NULL AND beat_at > clock_timestamp() - make_interval(secs => %s)
        """,
        (within,),
    ).fetchone()
    return int(row[0]) if row else 0


def families(conn: Connection, *, most: int = MOST_COUNTED) -> Sequence[Family]:
    """Open findings by family, the largest first, among the newest 10,000; those of auto-save count by portrait."""
    with conn.cursor(row_factory=class_row(Family)) as cursor:
        return cursor.execute(
            """
            SELECT split_part(rule, '.', 1) AS family, count(*) AS number, min(first_seen) AS oldest,
                min(rule) AS example, count(DISTINCT rule) AS rules
            FROM (SELECT f.rule, f.first_seen FROM studio.findings f
                  WHERE f.mended_at IS NULL AND f.set_aside_at IS NULL
                  ORDER BY f.last_seen DESC LIMIT %s) open
            WHERE split_part(rule, '.', 1) NOT IN ('autosave', 'notify')
            GROUP BY 1 ORDER BY 2 DESC, 1
            """,
            (most,),
        ).fetchall()


def looks(conn: Connection) -> Mapping[str, Seen]:
    """The newest look at each thing outside the database, by name."""
    with conn.cursor(row_factory=class_row(Seen)) as cursor:
        found = cursor.execute(
            "SELECT name, at, ok, seconds, sentence FROM studio.health_looks ORDER BY name LIMIT 100"
        ).fetchall()
    return {one.name: one for one in found}


def undelivered(conn: Connection) -> Undelivered | None:
    """The notice that a receiver did not take: one that waits, or the newest that was given up within a day."""
    with conn.cursor(row_factory=class_row(Undelivered)) as cursor:
        return cursor.execute(
            """
            SELECT n.made_at, n.attempts, n.given_up_at IS NOT NULL AS given_up, coalesce(n.last_answer, '') AS answer
            FROM studio.health_notices n
            WHERE n.sent_at IS NULL AND n.last_answer IS NOT NULL AND n.made_at > now() - interval '2 days'
              AND NOT EXISTS (SELECT FROM studio.health_notices later WHERE later.sent_at > n.made_at)
            ORDER BY n.made_at DESC LIMIT 1
            """
        ).fetchone()


def _standing(row: tuple[int, datetime | None] | None, most: int) -> Standing:
    number, oldest = row or (0, None)
    return Standing(counted=Counted(number=min(number, most), more=number > most), oldest=oldest)
