"""What everything costs, out of the ledger: by day, provider, model, type, person and character, in one reading.

An attempt belongs to the day (UTC) of its click. Its cost is what was billed, else computed, plus refunds; an attempt
that has neither yet is *held* with its estimate; one that ended without an amount is *unknown* and in no sum. An
accepted portrait was not deleted and is primary, somebody's favourite, or rated four or five stars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from psycopg.rows import class_row

from core.db import Connection
from core.values import ModelId

# A million rows are summed in memory, not on disk; and translating the statement would take longer than it saves.
_ROOM = "SELECT set_config('work_mem', '128MB', true), set_config('jit', 'off', true)"
_MOST_LINES = 1_000  # of one part
_MOST_COMPARED = 50_000  # jobs


class Part(StrEnum):
    """What a table of costs is divided by."""

    total = "total"
    day = "day"
    provider = "provider"
    model = "model"
    kind = "kind"
    person = "person"
    character = "character"


@dataclass(frozen=True, kw_only=True)
class CostFilter:
    """Which attempts are summed; what is absent narrows nothing. `kind` is a job's destination."""

    since: datetime | None = None
    until: datetime | None = None
    provider: str | None = None
    model_id: ModelId | None = None
    person_id: UUID | None = None
    kind: str | None = None


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of one part. Amounts in US dollars, of attempts whose amount of that sort is known; `unknown` counts
    attempts that ended without one. `compared_*` are the sums of those that have both an estimate and a cost.
    """

    part: Part
    day: date | None = None
    provider: str | None = None
    model_key: str | None = None
    kind: str | None = None
    user_id: UUID | None = None
    character_id: UUID | None = None
    attempts: int = 0
    images: int = 0
    accepted: int = 0
    priced_images: int = 0
    priced_accepted: int = 0
    estimated_usd: Decimal = Decimal(0)
    unestimated: int = 0
    computed_usd: Decimal = Decimal(0)
    computed: int = 0
    billed_usd: Decimal = Decimal(0)
    billed: int = 0
    refunded_usd: Decimal = Decimal(0)
    spent_usd: Decimal = Decimal(0)
    held_usd: Decimal = Decimal(0)
    held: int = 0
    unknown: int = 0
    failed_usd: Decimal = Decimal(0)
    failed: int = 0
    compared: int = 0
    compared_estimated_usd: Decimal = Decimal(0)
    compared_spent_usd: Decimal = Decimal(0)

    @property
    def known(self) -> int:
        """Attempts whose cost is known."""
        return self.attempts - self.held - self.unknown

    @property
    def per_image_usd(self) -> Decimal | None:
        """What one picture of a known cost was, failures too; None without one: what nobody knows is no zero."""
        return self.spent_usd / self.priced_images if self.priced_images else None

    @property
    def per_accepted_usd(self) -> Decimal | None:
        """The same by accepted portrait."""
        return self.spent_usd / self.priced_accepted if self.priced_accepted else None

    @property
    def variance_usd(self) -> Decimal | None:
        """Cost less estimate, of what has both; None where nothing has."""
        return self.compared_spent_usd - self.compared_estimated_usd if self.compared else None


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What was asked for: the sum of all, and the lines of each part, the dearest first (days: the newest)."""

    total: Line
    lines: Mapping[Part, Sequence[Line]] = field(default_factory=dict[Part, Sequence[Line]])
    cut: frozenset[Part] = frozenset()  # parts of which more lines than are shown


@dataclass(frozen=True, kw_only=True)
class Day:
    """What one day (UTC) cost: known, held with their estimates, and how many are unknown."""

    day: date
    spent_usd: Decimal
    held_usd: Decimal
    unknown: int


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One model at one type of prompt: what a picture cost on average, how long it took, how often it failed, what
    people thought of it. `jobs` ended; what a person's words caused is not counted as failed.
    """

    kind: str
    mode: str  # txt2img, i2i
    provider: str
    model_key: str
    model: str
    jobs: int
    completed: int
    failed: int
    mean_usd: Decimal | None
    priced: int
    unknown: int
    median_seconds: float | None
    p95_seconds: float | None
    stars: float | None
    rated: int


# One line an attempt; what its entries share is taken from any of them.
# A second computed entry stands beside one that a person settled, and goes before it (studio.spend).
_ATTEMPTS = """
    SELECT e.job_id, e.attempt, max(e.user_id::text)::uuid AS user_id, max(e.character_id::text)::uuid AS character_id,
        max(e.provider) AS provider, max(e.model_key) AS model_key, min(e.at) AS at,
        bool_or(e.kind = 'estimated') AS has_estimate,
        max(e.amount_usd) FILTER (WHERE e.kind = 'estimated') AS estimate,
        bool_or(e.kind = 'billed') AS has_billed,
        max(e.amount_usd) FILTER (WHERE e.kind = 'billed') AS billed,
        bool_or(e.kind = 'computed') AS has_computed,
        CASE WHEN bool_or(e.kind = 'computed' AND e.note IS DISTINCT FROM 'settled by a person')
             THEN max(e.amount_usd) FILTER (WHERE e.kind = 'computed' AND e.note IS DISTINCT FROM 'settled by a person')
             ELSE max(e.amount_usd) FILTER (WHERE e.kind = 'computed') END AS computed,
        coalesce(sum(e.amount_usd) FILTER (WHERE e.kind = 'refund'), 0) AS refunded
    FROM studio.cost_entries e
    WHERE (%(since)s::timestamptz IS NULL OR e.at >= %(since)s)
      AND (%(provider)s::text IS NULL OR e.provider = %(provider)s)
      AND (%(model_key)s::text IS NULL OR e.model_key = %(model_key)s)
      AND (%(person)s::uuid IS NULL OR e.user_id = %(person)s)
    GROUP BY e.job_id, e.attempt
    HAVING (%(until)s::timestamptz IS NULL OR min(e.at) < %(until)s)
       AND (%(since)s::timestamptz IS NULL OR bool_or(e.kind = 'estimated')
            OR (SELECT min(b.at) FROM studio.cost_entries b
                WHERE b.job_id = e.job_id AND b.attempt = e.attempt) >= %(since)s)
"""
_KNOWN = "CASE WHEN has_billed THEN billed ELSE computed END"
_SETTLED = "(has_billed OR has_computed)"
_ACCEPTED = """
    SELECT p.job_id FROM public.character_portraits p
    WHERE p.job_id IS NOT NULL AND p.deleted_at IS NULL
      AND (%(since)s::timestamptz IS NULL OR p.created_at >= %(since)s)
      AND (p.is_primary OR EXISTS (SELECT FROM studio.ratings r
                                   WHERE r.portrait_id = p.id AND (r.is_favourite OR r.stars >= 4)))
"""
_DOLLARS = ", ".join(
    f"round(coalesce({summed}, 0) / 1000000.0, 6) AS {name}"
    for summed, name in (
        ("estimated", "estimated_usd"),
        ("computed_sum", "computed_usd"),
        ("billed_sum", "billed_usd"),
        ("refunded", "refunded_usd"),
        ("spent", "spent_usd"),
        ("held_sum", "held_usd"),
        ("failed_sum", "failed_usd"),
        ("compared_estimated", "compared_estimated_usd"),
        ("compared_spent", "compared_spent_usd"),
    )
)
_SUMMED = f"""
    WITH attempts AS MATERIALIZED ({_ATTEMPTS}), accepted AS ({_ACCEPTED}),
    made AS (  -- most jobs, read at one go
        SELECT j.id, j.status, j.metadata ->> 'destination' AS made_for FROM public.jobs j
        WHERE %(since)s::timestamptz IS NULL OR j.created_at >= %(since)s::timestamptz - interval '2 days'
        OFFSET 0
    ),
    -- Micro-dollars: seven sums of whole numbers over a million rows take half the time that numerics do.
    costed AS MATERIALIZED (
        SELECT a.user_id, a.character_id, a.provider, a.model_key, (a.at AT TIME ZONE 'UTC')::date AS day,
            coalesce(j.made_for, 'other') AS made_for, j.status IN ('failed', 'cancelled') AS has_failed,
            a.has_estimate, {_SETTLED} AS settled, (a.estimate * 1000000)::bigint AS estimate,
            (a.computed * 1000000)::bigint AS computed, (a.billed * 1000000)::bigint AS billed,
            (a.refunded * 1000000)::bigint AS refunded, (({_KNOWN} + a.refunded) * 1000000)::bigint AS known,
            (a.attempt = 1 AND j.status = 'completed')::integer AS is_image,
            (a.attempt = 1 AND c.job_id IS NOT NULL)::integer AS is_accepted
        FROM attempts a
        LEFT JOIN made m ON m.id = a.job_id
        LEFT JOIN LATERAL (  -- the few that were asked for long before this attempt
            SELECT l.status, l.metadata ->> 'destination' AS made_for FROM public.jobs l
            WHERE m.id IS NULL AND l.id = a.job_id LIMIT 1) older ON true
        CROSS JOIN LATERAL (SELECT coalesce(m.status, older.status) AS status,
                                   coalesce(m.made_for, older.made_for) AS made_for) j
        LEFT JOIN accepted c ON c.job_id = a.job_id
        WHERE %(kind)s::text IS NULL OR j.made_for = %(kind)s
    ),
    summed AS (
        SELECT CASE
                WHEN grouping(day) = 0 THEN 'day' WHEN grouping(model_key) = 0 THEN 'model'
                WHEN grouping(provider) = 0 THEN 'provider' WHEN grouping(made_for) = 0 THEN 'kind'
                WHEN grouping(user_id) = 0 THEN 'person' WHEN grouping(character_id) = 0 THEN 'character'
                ELSE 'total' END AS part,
            day, provider, model_key, made_for AS kind, user_id, character_id, count(*) AS attempts,
            coalesce(sum(is_image), 0) AS images, coalesce(sum(is_accepted), 0) AS accepted,
            coalesce(sum(is_image) FILTER (WHERE known IS NOT NULL), 0) AS priced_images,
            coalesce(sum(is_accepted) FILTER (WHERE known IS NOT NULL), 0) AS priced_accepted,
            sum(estimate) AS estimated, count(*) FILTER (WHERE has_estimate AND estimate IS NULL) AS unestimated,
            sum(computed) AS computed_sum, count(computed) AS computed, sum(billed) AS billed_sum,
            count(billed) AS billed, -sum(refunded) AS refunded, sum(known) AS spent,
            sum(estimate) FILTER (WHERE NOT settled) AS held_sum,
            count(estimate) FILTER (WHERE NOT settled) AS held,
            count(*) FILTER (WHERE known IS NULL AND (settled OR estimate IS NULL)) AS unknown,
            sum(known) FILTER (WHERE has_failed) AS failed_sum,
            count(*) FILTER (WHERE has_failed AND known > 0) AS failed,
            count(known) FILTER (WHERE estimate IS NOT NULL) AS compared,
            sum(estimate) FILTER (WHERE known IS NOT NULL) AS compared_estimated,
            sum(known) FILTER (WHERE estimate IS NOT NULL) AS compared_spent
        FROM costed
        GROUP BY GROUPING SETS ((), (day), (provider), (provider, model_key), (made_for), (user_id), (character_id))
    )
    SELECT part, day, provider, model_key, kind, user_id, character_id, attempts, images, accepted,
        priced_images, priced_accepted, unestimated,
        computed, billed, held, unknown, failed, compared, {_DOLLARS}
    FROM (SELECT s.*, row_number() OVER (PARTITION BY part
              ORDER BY day DESC NULLS LAST, coalesce(spent, 0) + coalesce(held_sum, 0) DESC, attempts DESC, provider,
                  model_key, kind, user_id, character_id) AS place
          FROM summed s) placed
    WHERE place <= %(most)s ORDER BY part, place
"""


def summed(conn: Connection, wanted: CostFilter, *, most: int = _MOST_LINES) -> Costs:
    """Every part of one filter in one reading; at most `most` lines of a part."""
    values = {**_values(conn, wanted), "most": most + 1}
    conn.execute(_ROOM)
    with conn.cursor(row_factory=class_row(Line)) as cursor:
        found = cursor.execute(_SUMMED.encode(), values, prepare=False).fetchall()
    by_part: dict[Part, list[Line]] = {part: [] for part in Part}
    for one in found:
        by_part[Part(one.part)].append(one)
    return Costs(
        total=next(iter(by_part[Part.total]), Line(part=Part.total)),
        lines={part: lines[:most] for part, lines in by_part.items()},
        cut=frozenset(part for part, lines in by_part.items() if len(lines) > most),
    )


def days(conn: Connection, since: datetime, *, person_id: UUID | None = None) -> list[Day]:
    """What each day (UTC) since then cost, the oldest first; days without an attempt are left out."""
    values = _values(conn, CostFilter(since=since, person_id=person_id))
    conn.execute(_ROOM)
    with conn.cursor(row_factory=class_row(Day)) as cursor:
        return cursor.execute(
            f"""
            SELECT (at AT TIME ZONE 'UTC')::date AS day, coalesce(sum({_KNOWN} + refunded), 0) AS spent_usd,
                coalesce(sum(estimate) FILTER (WHERE NOT {_SETTLED}), 0) AS held_usd,
                count(*) FILTER (WHERE {_KNOWN} IS NULL AND ({_SETTLED} OR estimate IS NULL)) AS unknown
            FROM ({_ATTEMPTS}) attempts GROUP BY 1 ORDER BY 1
            """.encode(),
            values,
            prepare=False,
        ).fetchall()


def full_days(conn: Connection, since: datetime, *, most: int = 60_000) -> datetime:
    """The moment from which the newest `most` entries of the ledger reach back to, `since` at the earliest: midnight
    (UTC) of the first day that is read whole.
    """
    row = conn.execute(
        """
        SELECT CASE WHEN count(*) > %(most)s
            THEN (date_trunc('day', min(at) AT TIME ZONE 'UTC') + interval '1 day') AT TIME ZONE 'UTC' END
        FROM (SELECT e.at FROM studio.cost_entries e WHERE e.at >= %(since)s
              ORDER BY e.at DESC LIMIT %(most)s + 1) newest
        """,
        {"since": since, "most": most},
    ).fetchone()
    return row[0] if row and row[0] else since


def compared(
    conn: Connection, wanted: CostFilter, *, not_its_fault: Sequence[str], most: int = _MOST_COMPARED
) -> list[Compared]:
    """Models side by side at each type of prompt, by the newest `most` jobs that ended."""
    with conn.cursor(row_factory=class_row(Compared)) as cursor:
        return cursor.execute(
            b"""
            WITH ended AS MATERIALIZED (
                SELECT j.id, j.api_model_id, j.status, coalesce(j.error_code, '') AS error_code,
                    j.metadata ->> 'destination' AS kind,
                    CASE WHEN j.metadata ->> 'generation_mode' = 'i2i' THEN 'i2i' ELSE 'txt2img' END AS mode,
                    CASE WHEN j.status = 'completed' THEN extract(epoch FROM j.completed_at - j.started_at) END
                        AS seconds
                FROM public.jobs j
                WHERE j.status IN ('completed', 'failed')
                  AND (%(since)s::timestamptz IS NULL OR j.created_at >= %(since)s)
                  AND (%(until)s::timestamptz IS NULL OR j.created_at < %(until)s)
                  AND (%(models)s::uuid[] IS NULL OR j.api_model_id = ANY(%(models)s))
                  AND (%(person)s::uuid IS NULL OR j.user_id = %(person)s)
                  AND (%(kind)s::text IS NULL OR j.metadata ->> 'destination' = %(kind)s)
                ORDER BY j.created_at DESC, j.id DESC LIMIT %(most)s
            )
            SELECT coalesce(e.kind, 'other') AS kind, e.mode, p.name AS provider, m.model_key,
                m.display_name AS model, count(*) AS jobs, count(*) FILTER (WHERE e.status = 'completed') AS completed,
                count(*) FILTER (WHERE e.status = 'failed' AND e.error_code <> ALL(%(not)s)) AS failed,
                avg(s.amount_usd) FILTER (WHERE e.status = 'completed') AS mean_usd,
                count(s.amount_usd) FILTER (WHERE e.status = 'completed') AS priced,
                count(*) FILTER (WHERE e.status = 'completed' AND s.is_unknown) AS unknown,
                (percentile_cont(0.5) WITHIN GROUP (ORDER BY e.seconds))::float8 AS median_seconds,
                (percentile_cont(0.95) WITHIN GROUP (ORDER BY e.seconds))::float8 AS p95_seconds,
                avg(r.stars)::float8 AS stars, count(r.stars) AS rated
            FROM ended e
            JOIN public.api_models m ON m.id = e.api_model_id
            JOIN public.api_providers p ON p.id = m.provider_id
            LEFT JOIN LATERAL (
                SELECT CASE WHEN bool_or(k.amount_usd IS NULL) THEN NULL ELSE sum(k.amount_usd) END AS amount_usd,
                       bool_or(k.amount_usd IS NULL) AS is_unknown
                FROM (SELECT DISTINCT ON (c.attempt) c.amount_usd FROM studio.cost_entries c
                      WHERE c.job_id = e.id AND c.kind IN ('billed', 'computed')
                      ORDER BY c.attempt, c.kind, c.id DESC) k) s ON true
            LEFT JOIN LATERAL (
                SELECT avg(g.stars) AS stars FROM public.character_portraits t
                JOIN studio.ratings g ON g.portrait_id = t.id
                WHERE t.job_id = e.id AND g.stars IS NOT NULL) r ON true
            GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, jobs DESC, 3, 4 LIMIT 500
            """,
            {
                **_values(conn, wanted),
                "models": _models(conn, wanted),
                "not": list(not_its_fault),
                "most": most,
            },
            prepare=False,
        ).fetchall()


def names(conn: Connection, character_ids: Sequence[UUID]) -> dict[UUID, str]:
    """What these characters are called now; erased ones are left out."""
    rows = conn.execute(
        "SELECT c.id, coalesce(c.name, '') FROM public.characters c WHERE c.id = ANY(%s)",
        (list(character_ids),),
    ).fetchall()
    return {row[0]: row[1] for row in rows}


def _values(conn: Connection, wanted: CostFilter) -> dict[str, object]:
    provider, model_key = wanted.provider, None
    if wanted.model_id is not None:
        row = conn.execute(
            """
            SELECT p.name, m.model_key FROM public.api_models m JOIN public.api_providers p ON p.id = m.provider_id
            WHERE m.id = %s
            """,
            (wanted.model_id,),
        ).fetchone()
        provider, model_key = row or (provider, "")
    return {
        "since": wanted.since,
        "until": wanted.until,
        "provider": provider,
        "model_key": model_key,
        "person": wanted.person_id,
        "kind": wanted.kind,
    }


def _models(conn: Connection, wanted: CostFilter) -> list[UUID] | None:
    if wanted.model_id is not None:
        return [wanted.model_id]
    if wanted.provider is None:
        return None
    rows = conn.execute(
        """
        SELECT m.id FROM public.api_models m JOIN public.api_providers p ON p.id = m.provider_id WHERE p.name = %s
        """,
        (wanted.provider,),
    ).fetchall()
    return [row[0] for row in rows]
