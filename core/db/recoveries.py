"""What recovery asks of the database and does in it: pages of jobs by key, one question for a page, deeds for a page.

Every deed locks its jobs in one order, looks again at what must hold, and returns the jobs it changed: a second
recovery at the same moment changes nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import RowMaker, class_row

from core import queue
from core.db import Connection, jobs, matches
from core.values import PROVIDER_NAMES, Job, JobId, ModelId, PersonId

MOST_COUNTED = 10_000  # a count beyond says so (DESIGN "Database access")


class Kind(StrEnum):
    """What keeps a job from being done with, in the order recovery looks: what its provider will delete comes first."""

    ended_with_receipt = "ended_with_receipt"
    stuck = "stuck"
    ended_with_asset = "ended_with_asset"
    unsaved = "unsaved"
    unmatched = "unmatched"
    unpublished = "unpublished"


class Key(NamedTuple):
    """Where a page ends: the deadline or the time of asking, and the job."""

    at: datetime
    id: UUID


@dataclass(frozen=True, kw_only=True)
class Look:
    """What counts as stuck. Seconds: without a heartbeat, the platform's own save gets, a provider keeps a result."""

    silent_for: float
    platform_delay: float
    result_seconds: Mapping[str, int]

    @property
    def values(self) -> dict[str, object]:
        """As the statements name them."""
        return {
            "silent": self.silent_for,
            "delay": self.platform_delay,
            "kept": json.dumps(dict(self.result_seconds)),
        }


@dataclass(frozen=True, kw_only=True)
class Sent:
    """The one request of a job that may have been accepted."""

    provider: str
    submitted_at: datetime
    has_receipt: bool
    is_open: bool


@dataclass(frozen=True, kw_only=True)
class Case:
    """One job and all that recovery's judgement needs. `entry` is its live queue entry: `queued`, `picked` or None.
    `has_platform_request`: the platform noted fal's request id, and the model is known, so fal can be asked.
    `request_owner`: the other job which that request belongs to.
    """

    job: Job
    is_stuck: bool
    has_asset: bool
    sent: Sent | None
    deadline: datetime | None = None  # when the provider may delete the result
    entry: str | None = None
    is_unsaved: bool = False
    is_unmatched: bool = False
    is_unpublished: bool = False
    is_in_library: bool = False
    is_asked_of_qa: bool = False
    has_platform_request: bool = False
    request_owner: JobId | None = None


@dataclass(frozen=True, kw_only=True)
class Risk:
    """Paid results that their provider may delete soon. `more`: there are more than `count`."""

    count: int
    more: bool
    nearest: datetime | None


@dataclass(frozen=True, kw_only=True)
class RiskyResult:
    """One of them."""

    job_id: JobId
    provider: str
    deadline: datetime


@dataclass(frozen=True, kw_only=True)
class RecordedStep:
    """What recovery did with a job: `who` is the person who asked for it, None the schedule."""

    job_id: JobId
    action: str
    why: str
    who: PersonId | None
    first_at: datetime
    last_at: datetime
    times: int


_ENTRY = "q.dedupe_key = 'job:' || j.id::text AND q.status IN ('queued', 'picked')"

_LIVE = """
    EXISTS (SELECT FROM studio_queue.pgqueuer e
            WHERE e.dedupe_key = '{kind}:' || j.id::text AND e.status IN ('queued', 'picked'))
"""

# A result that a person discarded brings no ended job back.
_ASSET = """
    EXISTS (SELECT FROM public.workspace_assets a
            WHERE a.job_id = j.id AND (a.deleted_at IS NULL OR j.status IN ('queued', 'processing')))
"""

FAR = "timestamptz '9999-01-01 00:00:00+00'"  # sorts behind every deadline
FAR_AWAY = datetime(9999, 1, 1, tzinfo=UTC)  # the same

_DEADLINE = """
    coalesce(s.result_expires_at,
             s.submitted_at + make_interval(secs => (%(kept)s::jsonb ->> s.provider)::double precision))
"""

# q is the job's live entry. A model may be given another limit in its capabilities.
_STUCK = """(
    j.status IN ('queued', 'processing') AND j.stage IS DISTINCT FROM 'outcome_unknown'
    AND ((j.runner = 'studio' AND q.id IS NULL AND j.created_at < now() - interval '2 seconds')
         OR (j.status = 'processing' AND (q.id IS NULL OR q.execute_after < now())
             AND coalesce(j.heartbeat_at, j.started_at, j.created_at) < clock_timestamp() - make_interval(secs =>
                 coalesce((SELECT (m.capabilities ->> 'stuck_after')::double precision FROM public.api_models m
                           WHERE m.id = j.api_model_id AND jsonb_typeof(m.capabilities -> 'stuck_after') = 'number'),
                          %(silent)s))))
)"""
STUCK = _STUCK  # of job j and its live queue entry q, with the values of a `Look`

# Completed with its picture, and it belongs into the library and is not there. The destination is wrapped so that the
# planner takes the small index jobs_unsaved and not all portraits by their destination (400 ms against 1 at a million).
NOT_IN_LIBRARY = f"""(
    j.status = 'completed' AND j.character_id IS NOT NULL AND j.stage IS DISTINCT FROM 'saved'
    AND j.stage IS DISTINCT FROM 'not_saved'
    AND (coalesce(j.metadata ->> 'destination', '') = 'character_portrait'
         OR (j.runner = 'studio' AND coalesce(j.metadata ->> 'destination', '') = 'character_scene'))
    AND (j.runner = 'studio' OR EXISTS (SELECT FROM public.characters c WHERE c.id = j.character_id))
    AND (j.runner = 'studio' OR j.completed_at < now() - make_interval(secs => %(delay)s))
    AND {_ASSET}
    AND NOT EXISTS (SELECT FROM public.user_library l WHERE l.job_id = j.id)
    AND NOT EXISTS (SELECT FROM studio.removed_portraits r WHERE r.job_id = j.id)
    AND NOT EXISTS (SELECT FROM studio.removed_items r WHERE r.job_id = j.id)
)"""

_UNSAVED = f"({NOT_IN_LIBRARY} AND NOT {_LIVE.format(kind='autosave')})"

# Characters of the job's user that bear its name, or show its file: each found by an index of its own.
_NAMED_SO = """public.characters c WHERE c.user_id = j.user_id AND c.deleted_at IS NULL
                AND studio.plain_name(c.name) = studio.name_of_job(j.metadata)"""
_SHOWING_IT = f"""public.characters c WHERE c.user_id = j.user_id AND c.deleted_at IS NULL
                AND ({matches.job_in("c.image_url")} = j.id::text
                     OR {matches.job_in("c.reference_image_url")} = j.id::text)"""

# QA was asked and has not answered, and the candidates still leave it open.
_ASKED_OF_QA = f"""(
    EXISTS (SELECT FROM studio.findings f WHERE f.rule = 'job.which_character' AND f.mended_at IS NULL
            AND f.table_name = 'jobs' AND f.row_id = j.id::text)
    AND CASE (SELECT count(*) FROM {_SHOWING_IT})
        WHEN 1 THEN false
        WHEN 0 THEN 1 <> (SELECT count(*) FROM {_NAMED_SO} AND c.created_at >= j.created_at)
        ELSE true END
)"""

_UNMATCHED = f"""(
    j.character_id IS NULL AND (j.metadata ->> 'destination') = 'character_portrait'
    AND j.status = 'completed'
    AND {_ASSET}
    AND (EXISTS (SELECT FROM {_NAMED_SO}) OR EXISTS (SELECT FROM {_SHOWING_IT}))
    AND NOT {_ASKED_OF_QA}
    AND NOT {_LIVE.format(kind="match")}
)"""

_UNPUBLISHED = f"""(
    j.job_type = 'attribute_image' AND j.status = 'completed' AND j.stage IS DISTINCT FROM 'saved'
    AND j.stage IS DISTINCT FROM 'not_saved' AND j.runner = 'studio' AND {_ASSET}
    AND NOT {_LIVE.format(kind="publish")}
)"""

_FOUND: Mapping[Kind, LiteralString] = {
    Kind.ended_with_receipt: f"""
        SELECT coalesce({_DEADLINE}, {FAR}) AS at, j.id
        FROM studio.submissions s JOIN public.jobs j ON j.id = s.job_id
        WHERE s.outcome IS NULL AND s.receipt IS NOT NULL AND j.status IN ('failed', 'cancelled')
          AND NOT {_ASSET} AND NOT {_LIVE.format(kind="rescue")}
    """,
    Kind.stuck: f"""
        SELECT coalesce({_DEADLINE}, {FAR}) AS at, j.id
        FROM public.jobs j
        LEFT JOIN studio_queue.pgqueuer q ON {_ENTRY}
        LEFT JOIN studio.submissions s ON s.job_id = j.id AND s.outcome IS NULL AND s.receipt IS NOT NULL
        WHERE {_STUCK}
    """,
    Kind.ended_with_asset: f"""
        SELECT j.created_at AS at, j.id FROM public.jobs j WHERE j.status IN ('failed', 'cancelled') AND {_ASSET}
    """,
    Kind.unsaved: f"SELECT j.created_at AS at, j.id FROM public.jobs j WHERE {_UNSAVED}",
    Kind.unmatched: f"SELECT j.created_at AS at, j.id FROM public.jobs j WHERE {_UNMATCHED}",
    Kind.unpublished: f"SELECT j.created_at AS at, j.id FROM public.jobs j WHERE {_UNPUBLISHED}",
}


def found(kind: Kind) -> LiteralString:
    """The jobs of one kind (`at`, `id`), as a person with a role may ask for them; its values are those of a `Look`."""
    return _for_people(_FOUND[kind])


def risky() -> LiteralString:
    """What `at_risk` counts (`at`, `id`), `within` an interval; as a person with a role may ask."""
    return f"""
        SELECT {_DEADLINE} AS at, s.job_id AS id FROM studio.submissions s
        WHERE s.outcome IS NULL AND s.received_at IS NOT NULL AND {_DEADLINE} < now() + %(within)s::interval
          AND NOT EXISTS (SELECT FROM public.workspace_assets a WHERE a.job_id = s.job_id)
    """


def _for_people(statement: LiteralString) -> LiteralString:
    """The same question without what is closed to people: the queue's own table, and receipts."""
    return statement.replace("studio_queue.pgqueuer", "studio.live_entries").replace(
        "s.receipt IS NOT NULL", "s.received_at IS NOT NULL"
    )


def page(conn: Connection, kind: Kind, look: Look, *, after: Key | None, limit: int) -> list[Key]:
    """The next jobs of one kind behind `after`, the nearest deadline first (else the oldest)."""
    rows = conn.execute(
        f"""
        SELECT found.at, found.id FROM ({_FOUND[kind]}) found
        WHERE %(at)s::timestamptz IS NULL OR (found.at, found.id) > (%(at)s, %(id)s::uuid)
        ORDER BY found.at, found.id LIMIT %(limit)s
        """,
        {
            **look.values,
            "at": after.at if after else None,
            "id": after.id if after else None,
            "limit": limit,
        },
        prepare=False,
    ).fetchall()
    return [Key(*row) for row in rows]


def count(conn: Connection, kind: Kind, look: Look, *, most: int = MOST_COUNTED) -> int:
    """How many jobs of one kind there are, counted to `most`."""
    row = conn.execute(
        f"SELECT count(*) FROM (SELECT FROM ({_FOUND[kind]}) found LIMIT %(most)s) counted",
        {**look.values, "most": most},
        prepare=False,
    ).fetchone()
    assert row is not None  # noqa: S101 — an aggregate has one row
    return int(row[0])


def cases(conn: Connection, job_ids: Sequence[JobId], look: Look) -> list[Case]:
    """What there is to know of these jobs, in their order, in one question; those that are gone are left out."""
    return _cases(conn, _CASES, job_ids, look)


def cases_shown(conn: Connection, job_ids: Sequence[JobId], look: Look) -> list[Case]:
    """As `cases`, as a person with a role may ask."""
    return _cases(conn, _for_people(_CASES), job_ids, look)


_CASES = f"""
    SELECT {jobs.COLUMNS}, {_STUCK}, {_ASSET}, s.provider, s.submitted_at, s.receipt IS NOT NULL,
        s.outcome IS NULL, CASE WHEN s.outcome IS NULL AND s.receipt IS NOT NULL THEN {_DEADLINE} END,
        q.status::text, {_UNSAVED}, {_UNMATCHED}, {_UNPUBLISHED},
        EXISTS (SELECT FROM public.user_library l WHERE l.job_id = j.id),
        EXISTS (SELECT FROM studio.findings f WHERE f.rule = 'job.which_character' AND f.mended_at IS NULL
                AND f.table_name = 'jobs' AND f.row_id = j.id::text),
        studio.as_uuid(j.metadata ->> 'fal_request_id') IS NOT NULL AND lower(p.name) = 'fal',
        (SELECT other.job_id FROM studio.submissions other WHERE other.provider = 'fal'
         AND other.request_id = j.metadata ->> 'fal_request_id' AND other.job_id <> j.id)
    FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS asked (id, place)
    JOIN public.jobs j ON j.id = asked.id
    LEFT JOIN studio_queue.pgqueuer q ON {_ENTRY}
    LEFT JOIN studio.submissions s ON s.job_id = j.id AND s.outcome IS DISTINCT FROM 'not_accepted'
    LEFT JOIN public.api_models m ON m.id = j.api_model_id
    LEFT JOIN public.api_providers p ON p.id = m.provider_id
    ORDER BY asked.place
"""


def _cases(conn: Connection, statement: LiteralString, job_ids: Sequence[JobId], look: Look) -> list[Case]:
    with conn.cursor(row_factory=_as_case) as cursor:
        return cursor.execute(statement, {**look.values, "ids": list(job_ids)}, prepare=False).fetchall()


_JOB_COLUMNS = len(jobs.COLUMNS.split(","))


def _as_case(cursor: Cursor[Any]) -> RowMaker[Case]:
    make_job = jobs.as_job(cursor)

    def make(row: Sequence[Any]) -> Case:
        rest = row[_JOB_COLUMNS:]
        return Case(
            job=make_job(row),
            is_stuck=bool(rest[0]),
            has_asset=rest[1],
            sent=_sent(rest[2:6]),
            deadline=rest[6],
            entry=rest[7],
            is_unsaved=bool(rest[8]),
            is_unmatched=bool(rest[9]),
            is_unpublished=bool(rest[10]),
            is_in_library=rest[11],
            is_asked_of_qa=rest[12],
            has_platform_request=bool(rest[13]),
            request_owner=rest[14],
        )

    return make


def _sent(row: Sequence[Any]) -> Sent | None:
    if row[0] is None:
        return None
    return Sent(provider=row[0], submitted_at=row[1], has_receipt=row[2], is_open=row[3])


def there(conn: Connection, job_ids: Sequence[JobId]) -> set[JobId]:
    """Which of these jobs there are."""
    rows = conn.execute("SELECT j.id FROM public.jobs j WHERE j.id = ANY(%s)", (list(job_ids),)).fetchall()
    return {JobId(row[0]) for row in rows}


def usual_seconds(conn: Connection, model_ids: Sequence[ModelId]) -> dict[UUID, list[float]]:
    """How long each model's last 50 completed pictures took, in seconds, the shortest first."""
    rows = conn.execute(
        """
        SELECT m.id, array_agg(extract(epoch FROM r.completed_at - r.started_at)::double precision
                               ORDER BY r.completed_at - r.started_at)
        FROM unnest(%s::uuid[]) AS m(id)
        CROSS JOIN LATERAL (
            SELECT started_at, completed_at FROM public.jobs j
            WHERE j.api_model_id = m.id AND j.status = 'completed' AND j.started_at IS NOT NULL
              AND j.completed_at IS NOT NULL
            ORDER BY j.created_at DESC LIMIT 50) r
        GROUP BY m.id
        """,
        (list(model_ids),),
    ).fetchall()
    return {model: list(seconds) for model, seconds in rows}


# -- what is at risk ----------------------------------------------------------------------------------------------

_AT_RISK = f"""
    SELECT s.job_id, s.provider, {_DEADLINE} AS deadline
    FROM studio.submissions s
    WHERE s.outcome IS NULL AND s.received_at IS NOT NULL AND {_DEADLINE} < now() + %(within)s::interval
      AND NOT EXISTS (SELECT FROM public.workspace_assets a WHERE a.job_id = s.job_id)
    ORDER BY deadline LIMIT %(limit)s
"""


def at_risk(
    conn: Connection, *, within: timedelta, result_seconds: Mapping[str, int], most: int = MOST_COUNTED
) -> Risk:
    """How many paid results are not with us yet and may be deleted by their provider `within` that time, or already.

    A deadline is what the provider said, else its documented lifetime counted from the sending: never too late.
    Readable by qa, product and admin.
    """
    row = conn.execute(
        f"SELECT count(*), min(deadline) FROM ({_AT_RISK}) risky",
        {"kept": json.dumps(dict(result_seconds)), "within": within, "limit": most + 1},
    ).fetchone()
    assert row is not None  # noqa: S101 — an aggregate has one row
    return Risk(count=min(row[0], most), more=row[0] > most, nearest=row[1])


def risky_results(
    conn: Connection, *, within: timedelta, result_seconds: Mapping[str, int], limit: int = 200
) -> list[RiskyResult]:
    """The results that `at_risk` counts, the nearest deadline first."""
    with conn.cursor(row_factory=class_row(RiskyResult)) as cursor:
        return cursor.execute(
            _AT_RISK, {"kept": json.dumps(dict(result_seconds)), "within": within, "limit": limit}
        ).fetchall()


# -- deeds --------------------------------------------------------------------------------------------------------


def lock(conn: Connection, job_ids: Sequence[JobId]) -> None:
    """These jobs, locked until the transaction ends; in one order, so that two recoveries never wait for each other."""
    conn.execute("SELECT FROM public.jobs j WHERE j.id = ANY(%s) ORDER BY j.id FOR UPDATE", (list(job_ids),))


def complete(conn: Connection, job_ids: Sequence[JobId]) -> list[JobId]:
    """(a) Complete jobs whose result is there, end their requests with it, and queue their saving."""
    rows = conn.execute(
        f"""
        UPDATE public.jobs j SET status = 'completed', progress = NULL, queue_position = NULL, error_code = NULL,
            error_message = NULL, stage = CASE WHEN j.character_id IS NOT NULL THEN 'saving' END
        WHERE j.id = ANY(%s) AND j.status <> 'completed' AND {_ASSET}
        RETURNING j.id, j.character_id IS NOT NULL
        """,
        (list(job_ids),),
    ).fetchall()
    completed = [JobId(row[0]) for row in rows]
    _finish_requests(conn, completed)
    queue.put_autosaves(conn, [JobId(job_id) for job_id, has_character in rows if has_character])
    return completed


def _finish_requests(conn: Connection, job_ids: Sequence[JobId]) -> None:
    """The picture came, so its request was carried out: it costs what was estimated."""
    conn.execute(
        """
        WITH finished AS (
            UPDATE studio.submissions SET outcome = 'finished', settled_at = clock_timestamp(), settled_by = 'recovery'
            WHERE job_id = ANY(%s) AND outcome IS NULL RETURNING job_id, attempt)
        INSERT INTO studio.cost_entries
            (job_id, attempt, user_id, character_id, provider, model_key, kind, amount_usd, units, price_id, note)
        SELECT e.job_id, e.attempt, e.user_id, e.character_id, e.provider, e.model_key, 'computed', e.amount_usd, e.units,
               e.price_id, 'its picture came'
        FROM finished f JOIN studio.cost_entries e
          ON e.job_id = f.job_id AND e.attempt = f.attempt AND e.kind = 'estimated'
        ON CONFLICT DO NOTHING
        """,
        (list(job_ids),),
    )
    conn.execute(
        """
        UPDATE public.jobs j SET cost_usd = (
            SELECT CASE WHEN bool_or(s.is_unknown) THEN NULL ELSE sum(s.amount_usd) END
            FROM studio.spend s WHERE s.job_id = j.id)
        WHERE j.id = ANY(%s) AND j.cost_usd IS NULL AND j.runner = 'studio'
        """,
        (list(job_ids),),
    )


_NEVER_SENT = """
    j.runner = 'studio' AND j.status IN ('queued', 'processing') AND NOT EXISTS (
        SELECT FROM studio.submissions s WHERE s.job_id = j.id AND s.outcome IS DISTINCT FROM 'not_accepted')
"""


def requeue(conn: Connection, job_ids: Sequence[JobId]) -> list[JobId]:
    """(c) Back to the queue, where nothing was ever sent."""
    rows = conn.execute(
        f"""
        UPDATE public.jobs j SET status = 'queued', stage = 'waiting', heartbeat_at = NULL
        WHERE j.id = ANY(%s) AND j.status = 'processing' AND {_NEVER_SENT} RETURNING j.id
        """,
        (list(job_ids),),
    ).fetchall()
    unsent = conn.execute(
        f"SELECT j.id FROM public.jobs j WHERE j.id = ANY(%s) AND {_NEVER_SENT}", (list(job_ids),)
    ).fetchall()
    put = queue.put_jobs(conn, [JobId(row[0]) for row in unsent])
    return [*{*put, *(JobId(row[0]) for row in rows)}]


def give_up(
    conn: Connection, job_ids: Sequence[JobId], *, code: str, words: str, most_runs: int
) -> list[JobId]:
    """(c) Fail jobs that were begun `most_runs` times and never sent; they cost nothing."""
    rows = conn.execute(
        f"""
        UPDATE public.jobs j SET status = 'failed', stage = NULL, progress = NULL, queue_position = NULL,
            error_code = %(code)s, error_message = %(words)s
        WHERE j.id = ANY(%(ids)s) AND j.attempts >= %(most)s AND {_NEVER_SENT} RETURNING j.id
        """,
        {"ids": list(job_ids), "code": code, "words": words, "most": most_runs},
    ).fetchall()
    ended = [JobId(row[0]) for row in rows]
    conn.execute(
        """
        INSERT INTO studio.cost_entries
            (job_id, attempt, user_id, character_id, provider, model_key, kind, amount_usd, note)
        SELECT e.job_id, e.attempt, e.user_id, e.character_id, e.provider, e.model_key, 'computed', 0, 'never sent'
        FROM studio.cost_entries e WHERE e.job_id = ANY(%s) AND e.kind = 'estimated'
        ON CONFLICT DO NOTHING
        """,
        (ended,),
    )
    return ended


def hold_waiting(conn: Connection, *, code: str, words: str) -> int:
    """Fail jobs of ours that were never sent as far as this database knows, so that nobody sends them by itself; how many.

    For a database that was set back: they may have been sent since. What they cost is unknown, never zero, but for those
    that are free; a budget goes on holding their estimate. A job that somebody asked to cancel spends nothing anyway.
    """
    return conn.execute(
        f"""
        WITH held AS (
            UPDATE public.jobs j SET status = 'failed', stage = NULL, progress = NULL, queue_position = NULL,
                heartbeat_at = NULL, error_code = %(code)s, error_message = %(words)s
            WHERE NOT j.cancel_requested AND {_NEVER_SENT}
                AND NOT EXISTS (SELECT FROM public.workspace_assets a WHERE a.job_id = j.id)
            RETURNING j.id
        ), priced AS (
            INSERT INTO studio.cost_entries
                (job_id, attempt, user_id, character_id, provider, model_key, kind, amount_usd, note)
            SELECT e.job_id, e.attempt, e.user_id, e.character_id, e.provider, e.model_key, 'computed',
                CASE WHEN e.amount_usd = 0 THEN 0 END, 'held after a restore'
            FROM studio.cost_entries e JOIN held ON held.id = e.job_id
            WHERE e.kind = 'estimated' AND NOT EXISTS (
                SELECT FROM studio.submissions s WHERE s.job_id = e.job_id AND s.attempt = e.attempt)
            ON CONFLICT DO NOTHING
        ), dequeued AS (
            DELETE FROM studio_queue.pgqueuer q USING held WHERE q.dedupe_key = 'job:' || held.id::text
        )
        SELECT FROM held
        """,
        {"code": code, "words": words},
    ).rowcount


def mark_unknown(conn: Connection, job_ids: Sequence[JobId], *, words: str) -> list[JobId]:
    """(d) Say that the outcome is unknown; `words` has one place, for the provider's name."""
    rows = conn.execute(
        """
        UPDATE public.jobs j SET status = 'processing', stage = 'outcome_unknown', progress = NULL, queue_position = NULL,
            error_code = 'OUTCOME_UNKNOWN', error_message = format(%(words)s, coalesce(%(names)s::jsonb ->> s.provider, s.provider))
        FROM studio.submissions s
        WHERE j.id = ANY(%(ids)s) AND j.status IN ('queued', 'processing') AND j.stage IS DISTINCT FROM 'outcome_unknown'
          AND s.job_id = j.id AND s.outcome IS NULL AND s.receipt IS NULL
        RETURNING j.id
        """,
        {"ids": list(job_ids), "words": words, "names": json.dumps(dict(PROVIDER_NAMES))},
    ).fetchall()
    return [JobId(row[0]) for row in rows]


def adopt_requests(conn: Connection, job_ids: Sequence[JobId]) -> list[JobId]:
    """Keep the request id that the platform noted as the receipt it is, and queue the question about it.

    A request that belongs to another job already is not taken.
    """
    rows = conn.execute(
        """
        INSERT INTO studio.submissions
            (job_id, attempt, lease, provider, model_id, model_key, submitted_at, received_at, request_id, receipt)
        SELECT j.id, 1, 0, 'fal', m.id, m.model_key, coalesce(j.started_at, j.created_at), now(),
               j.metadata ->> 'fal_request_id', jsonb_build_object(
                   'provider', 'fal', 'request_id', j.metadata ->> 'fal_request_id', 'model_key', m.model_key)
        FROM public.jobs j
        JOIN public.api_models m ON m.id = j.api_model_id
        JOIN public.api_providers p ON p.id = m.provider_id AND lower(p.name) = 'fal'
        WHERE j.id = ANY(%s) AND j.runner = 'platform' AND j.status IN ('queued', 'processing')
          AND studio.as_uuid(j.metadata ->> 'fal_request_id') IS NOT NULL
        ON CONFLICT DO NOTHING RETURNING job_id
        """,
        (list(job_ids),),
    ).fetchall()
    adopted = [JobId(row[0]) for row in rows]
    queue.put_rescues(conn, adopted)
    return adopted


# -- the record ---------------------------------------------------------------------------------------------------


def record(
    conn: Connection,
    steps: Sequence[tuple[JobId, str, str]],
    *,
    who: PersonId | None,
    again: bool,
) -> None:
    """Write down steps (job, action, why); `who` None is the schedule. One that was done before is counted where
    `again` is true, and else left as it stands.
    """
    conn.execute(
        """
        INSERT INTO studio.recovery_steps AS r (job_id, action, why, who)
        SELECT s.job_id, s.action, s.why, %(who)s
        FROM unnest(%(jobs)s::uuid[], %(actions)s::text[], %(whys)s::text[]) AS s (job_id, action, why)
        ON CONFLICT (job_id, action, who) DO UPDATE
            SET why = excluded.why, last_at = excluded.last_at, times = r.times + 1
            WHERE %(again)s
        """,
        {
            "who": who,
            "again": again,
            "jobs": [step[0] for step in steps],
            "actions": [step[1] for step in steps],
            "whys": [step[2] for step in steps],
        },
    )


def recorded(conn: Connection, job_id: JobId) -> list[RecordedStep]:
    """What recovery did with a job, the latest first."""
    with conn.cursor(row_factory=class_row(RecordedStep)) as cursor:
        return cursor.execute(
            """
            SELECT job_id, action, why, who, first_at, last_at, times FROM studio.recovery_steps
            WHERE job_id = %s ORDER BY last_at DESC, id DESC LIMIT 100
            """,
            (job_id,),
        ).fetchall()


# -- purging ------------------------------------------------------------------------------------------------------


def purge_preview(conn: Connection, job_ids: Sequence[JobId]) -> list[tuple[JobId, str | None]]:
    """Each job and why it is refused (None: it may be purged), as the person of this connection. Raises NotAllowed."""
    rows = conn.execute("SELECT job_id, refusal FROM studio.purge_preview(%s)", (list(job_ids),)).fetchall()
    return [(JobId(row[0]), row[1]) for row in rows]


def purge(conn: Connection, job_ids: Sequence[JobId], why: str) -> list[tuple[JobId, str | None]]:
    """Purge jobs as the person of this connection; each and why it was refused (None: it was purged).

    Raises NotAllowed, BadRequest (why).
    """
    rows = conn.execute("SELECT job_id, refusal FROM studio.purge(%s, %s)", (list(job_ids), why)).fetchall()
    return [(JobId(row[0]), row[1]) for row in rows]
