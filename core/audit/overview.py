"""The numbers of the Overview: the last 24 hours and the days before, each by one bounded question.

Days here are stretches of 24 hours that end now, the newest last, so that today is never half a day. What was cut off
by a bound is left out whole and said, never counted as nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.rows import class_row

from core.db import Connection

DAYS = 14
MOST_READ = 100_000  # jobs, the newest


@dataclass(frozen=True, kw_only=True)
class JobDay:
    """Jobs asked for in one stretch of 24 hours, `back` stretches ago; seconds are of the completed ones."""

    back: int
    asked: int
    completed: int
    failed: int
    cancelled: int
    median_seconds: float | None
    p95_seconds: float | None

    @property
    def success(self) -> float | None:
        """The share of completed among completed and failed; None where nothing ended."""
        ended = self.completed + self.failed
        return self.completed / ended if ended else None


@dataclass(frozen=True, kw_only=True)
class Course:
    """The days there are whole numbers of, the newest first; `cut` where older ones were too many to read."""

    days: Sequence[JobDay]
    cut: bool

    def day(self, back: int) -> JobDay:
        """One of them; a day without a job is one with zeros."""
        return next((one for one in self.days if one.back == back), _quiet(back))


@dataclass(frozen=True, kw_only=True)
class SavedDay:
    """Completed portraits that were asked for in one stretch of 24 hours, and how many of them are in the library."""

    back: int
    completed: int
    saved: int


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """Jobs that have not ended, counted among the 10,000 oldest."""

    queued: int
    processing: int
    outcome_unknown: int
    more: bool


@dataclass(frozen=True, kw_only=True)
class Review:
    """Published attribute pictures by what people decided."""

    approved: int
    pending: int
    rejected: int


def course(conn: Connection, *, days: int = DAYS, most: int = MOST_READ) -> Course:
    """Jobs of the last `days` by 24 hours, read from the index alone, among the newest `most`."""
    with conn.cursor(row_factory=class_row(JobDay)) as cursor:
        found = cursor.execute(
            """
            SELECT floor(extract(epoch FROM now() - created_at) / 86400)::integer AS back, count(*) AS asked,
                count(*) FILTER (WHERE status = 'completed') AS completed,
                count(*) FILTER (WHERE status = 'failed') AS failed,
                count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
                (percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds))::float8 AS median_seconds,
                (percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds))::float8 AS p95_seconds
            FROM (SELECT j.created_at, j.status, CASE WHEN j.status = 'completed'
                      THEN extract(epoch FROM j.completed_at - j.started_at)::float8 END AS seconds
                  FROM public.jobs j
                  WHERE j.created_at > now() - make_interval(days => %(days)s) AND j.created_at <= now()
                  ORDER BY j.created_at DESC LIMIT %(most)s) lately
            GROUP BY 1 ORDER BY 1
            """,
            {"days": days, "most": most},
            prepare=False,
        ).fetchall()
    cut = sum(one.asked for one in found) >= most
    # The oldest one was cut somewhere in its middle; where it is the only one, half of it says more than nothing.
    return Course(days=found[:-1] if cut and len(found) > 1 else found, cut=cut)


def unfinished(conn: Connection, *, most: int = 10_000) -> Unfinished:
    """Jobs that wait or are being made."""
    row = conn.execute(
        """
        SELECT count(*) FILTER (WHERE status = 'queued'),
            count(*) FILTER (WHERE status = 'processing' AND stage IS DISTINCT FROM 'outcome_unknown'),
            count(*) FILTER (WHERE status = 'processing' AND stage = 'outcome_unknown'), count(*)
        FROM (SELECT j.status, j.stage FROM public.jobs j WHERE j.status IN ('queued', 'processing')
              ORDER BY j.created_at LIMIT %s) oldest
        """,
        (most + 1,),
    ).fetchone()
    queued, processing, unknown, number = row or (0, 0, 0, 0)
    return Unfinished(queued=queued, processing=processing, outcome_unknown=unknown, more=number > most)


def saved(conn: Connection, *, grace: float, days: int = 7, most: int = 15_000) -> list[SavedDay]:
    """Completed portraits of the last days and how many of them are in the library, by 24 hours, the newest first; those of the
    last `grace` seconds are being saved and count nowhere, and so do those that a person removed or that wait for a
    character.
    """
    with conn.cursor(row_factory=class_row(SavedDay)) as cursor:
        found = cursor.execute(
            """
            SELECT floor(extract(epoch FROM now() - created_at) / 86400)::integer AS back, count(*) AS completed,
                count(*) FILTER (WHERE stage = 'saved'
                    OR EXISTS (SELECT FROM public.user_library l WHERE l.job_id = lately.id)) AS saved
            FROM (SELECT j.id, j.stage, j.created_at FROM public.jobs j
                  WHERE (j.metadata ->> 'destination') = 'character_portrait'
                    AND j.created_at > now() - make_interval(days => %(days)s)
                    AND j.completed_at < now() - make_interval(secs => %(grace)s)
                    AND j.status = 'completed' AND j.character_id IS NOT NULL
                    AND (j.stage = 'saved'
                         OR (NOT EXISTS (SELECT FROM studio.removed_portraits r WHERE r.job_id = j.id)
                             AND NOT EXISTS (SELECT FROM studio.removed_items r WHERE r.job_id = j.id)))
                  ORDER BY j.created_at DESC, j.id DESC LIMIT %(most)s) lately
            GROUP BY 1 ORDER BY 1
            """,
            {"days": days, "grace": grace, "most": most},
            prepare=False,
        ).fetchall()
    cut = sum(one.completed for one in found) >= most
    return found[:-1] if cut and len(found) > 1 else found


def review(conn: Connection) -> Review:
    """How many published attribute pictures are approved, wait for a decision, or were rejected."""
    row = conn.execute(
        """
        SELECT count(*) FILTER (WHERE review_status = 'approved'), count(*) FILTER (WHERE review_status = 'pending'),
            count(*) FILTER (WHERE review_status = 'rejected')
        FROM studio.attribute_pictures
        """
    ).fetchone()
    approved, pending, rejected = row or (0, 0, 0)
    return Review(approved=approved, pending=pending, rejected=rejected)


def _quiet(back: int) -> JobDay:
    return JobDay(
        back=back, asked=0, completed=0, failed=0, cancelled=0, median_seconds=None, p95_seconds=None
    )
