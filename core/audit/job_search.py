"""Jobs that fit what people typed, at a million of them: every look is bounded, and says how far it went.

A filter is carried out in two parts. The *way* is one index whose order is the list's (a person's jobs, a code's, a
model's …), the narrowest there is; what is left is *sifted* out of the newest rows of that way, so many and no more.
Where that was not enough for a page, the page says back to when it looked, and `older` goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import class_row, dict_row

from core.audit import job_filter, jobs
from core.audit.job_filter import (
    ME,
    Among,
    Amount,
    Asked,
    Compared,
    CostUnknown,
    Edge,
    Field,
    Query,
    Term,
    Unreadable,
)
from core.audit.jobs import Counted, JobFilter, JobRow, JobState, Key, ModelName
from core.db import Connection
from core.values import PersonId

LOOKED_AT = 20_000  # rows of a way that are sifted for one page or one set of counts
LOOKED_AT_COSTS = 6_000  # the same where each row's ledger is asked
_PROBED = 5_000  # rows that tell a narrow way from a broad one
_MOST_BRANCHES = 40  # values of one way that are merged in order
_MOST_FOUND = 200  # rows that one short id may mean
_MOST_NAMED = 50
_SIGNS = {">": ">", ">=": ">=", "<": "<", "<=": "<=", "=": "="}


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who is asking, when, and in which zone their days begin."""

    person: PersonId
    now: datetime
    zone: tzinfo = UTC


@dataclass(frozen=True, kw_only=True)
class Found:
    """A part of the list, newest first. `older` and `newer` are where to go on, None where nothing is left there.

    `looked_at`: how many rows were sifted where the list is not whole because of that bound, back to `looked_to`.
    """

    rows: Sequence[JobRow]
    older: Key | None
    newer: Key | None
    looked_at: int = 0
    looked_to: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many stand in each state; `looked_at` as in `Found`, 0 where the counts have their usual bound."""

    of: Mapping[JobState, Counted]
    looked_at: int = 0


class _Sift(NamedTuple):
    """A condition on a row `j`, and its values."""

    condition: str
    values: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class _Way:
    """One index: conditions of which each gives rows in the list's order. `sift` is the same as one condition."""

    branches: tuple[_Sift, ...]
    sift: _Sift | None


@dataclass(frozen=True, kw_only=True)
class Sought:
    """A filter after every name in it was found: what `page`, `counts` and `causes.groups` carry out."""

    since: datetime | None
    until: datetime | None
    states: tuple[JobState, ...] | None
    ways: tuple[_Way, ...]
    sifts: tuple[_Sift, ...]
    costs: bool
    is_plain: bool  # only states, a time to begin with, a provider and a model: what is counted by an index of its own


_RECENT = _Way(branches=(_Sift("true", {}),), sift=None)


# -- from names to rows -----------------------------------------------------------------------------------------------


def sought(conn: Connection, query: Query, base: JobFilter, reader: Reader) -> Sought:
    """What the box and the side bar ask for together. Raises Unreadable where a name in it is nobody's."""
    ways = [*_named_ways(conn, query, reader), *_base_ways(conn, base)]
    sifts = [*_turned(conn, query, reader), *_types(query, base), *_amounts(query), *_words(query)]
    return Sought(
        since=_latest(base.since, _edge(query, Edge.since, reader)),
        until=_edge(query, Edge.until, reader),
        states=_states(query, base),
        ways=tuple(ways),
        sifts=tuple(sifts),
        costs=any(
            isinstance(one, CostUnknown) or (isinstance(one, Compared) and one.amount is Amount.cost)
            for one in query.terms
        ),
        is_plain=base.person_id is None and base.purpose is None and all(map(_is_plain, query.terms)),
    )


def _is_plain(term: Term) -> bool:
    if isinstance(term, Among):
        return term.key is Field.status
    return isinstance(term, Asked) and term.edge is Edge.since


def _edge(query: Query, edge: Edge, reader: Reader) -> datetime | None:
    found = next((one for one in query.terms if isinstance(one, Asked) and one.edge is edge), None)
    return job_filter.moment(found.when, edge, reader.now, reader.zone) if found else None


def _latest(*moments: datetime | None) -> datetime | None:
    return max((one for one in moments if one is not None), default=None)


def _states(query: Query, base: JobFilter) -> tuple[JobState, ...] | None:
    """The states that are left; None where every one is, none at all where the two exclude each other."""
    left = set(base.states or JobState)
    if wanted := query.among(Field.status):
        left &= {JobState(value) for value in wanted.values}
    if kept_out := query.among(Field.status, turned=True):
        left -= {JobState(value) for value in kept_out.values}
    return None if len(left) == len(JobState) else tuple(state for state in JobState if state in left)


_COLUMNS: Mapping[Field, str] = {  # in the order in which a way is taken where two are as narrow
    Field.job: "id",
    Field.character: "character_id",
    Field.user: "user_id",
    Field.error: "error_code",
    Field.model: "api_model_id",
    Field.provider: "api_model_id",
}


def _named_ways(conn: Connection, query: Query, reader: Reader) -> list[_Way]:
    found = ((key, query.among(key)) for key in _COLUMNS)
    return [_way(key, _meant(conn, term, reader)) for key, term in found if term is not None]


def _base_ways(conn: Connection, base: JobFilter) -> list[_Way]:
    ways = [_way(Field.user, [base.person_id], name="person")] if base.person_id is not None else []
    if base.model_id is not None:
        ways.append(_way(Field.model, [base.model_id], name="base"))
    elif base.provider is not None:
        of_it = [one.id for one in jobs.models(conn) if one.provider == base.provider]
        ways.append(_way(Field.provider, of_it, name="base"))
    return ways


def _way(key: Field, values: Sequence[object], *, name: str = "") -> _Way:
    """The way of one column; `name` tells its values from those of another way of the same column."""
    column, name = _COLUMNS[key], f"{name}{key}"
    whole = _Sift(f"j.{column} = ANY(%({name}_all)s{_cast(key)}[])", {f"{name}_all": list(values)})
    if key is Field.job or len(values) > _MOST_BRANCHES:
        return _Way(branches=(whole,), sift=whole)
    branches = [
        _Sift(f"j.{column} = %({name}_{place})s{_cast(key)}", {f"{name}_{place}": value})
        for place, value in enumerate(values)
    ]
    return _Way(branches=tuple(branches) or (_Sift("false", {}),), sift=whole)


def _cast(key: Field) -> str:
    return "::text" if key is Field.error else "::uuid"


def _turned(conn: Connection, query: Query, reader: Reader) -> list[_Sift]:
    found = ((key, query.among(key, turned=True)) for key in _COLUMNS)
    return [
        _Sift(
            f"(j.{_COLUMNS[key]} IS NULL OR j.{_COLUMNS[key]} <> ALL(%(not_{key})s{_cast(key)}[]))",
            {f"not_{key}": list(_meant(conn, term, reader))},
        )
        for key, term in found
        if term is not None
    ]


def _meant(conn: Connection, term: Among, reader: Reader) -> Sequence[object]:
    """The rows' own values that the typed ones mean, together. Raises Unreadable where one means none."""
    match term.key:
        case Field.provider | Field.model:
            return _models_meant(conn, term)
        case Field.error:
            codes = jobs.error_codes(conn)
            return _each(
                term, {value: [one for one in codes if value in one.upper()] for value in term.values}, codes
            )
        case Field.character:
            return [ident for value in term.values for ident in _characters(conn, term, value)]
        case Field.user:
            return [ident for value in term.values for ident in _people(conn, value, reader)]
        case _:
            return [ident for value in term.values for ident in _ids_beginning(conn, value)]


def _models_meant(conn: Connection, term: Among) -> Sequence[object]:
    known = jobs.models(conn)
    if term.key is Field.provider:
        found = {value: [one.id for one in known if one.provider == value] for value in term.values}
        return _each(term, found, sorted({one.provider for one in known}))
    found = {value: _named_so(value, known) for value in term.values}
    return _each(term, found, [one.display_name for one in known])


def _named_so(value: str, known: Sequence[ModelName]) -> list[UUID]:
    """Models whose key or name that is; where there is none, those of which it is a part."""
    wanted = value.casefold()
    exact = [one.id for one in known if wanted in {one.model_key.casefold(), one.display_name.casefold()}]
    part = [
        one.id for one in known if wanted in one.model_key.casefold() or wanted in one.display_name.casefold()
    ]
    return exact or part


def _each(term: Among, found: Mapping[str, Sequence[object]], known: Sequence[str]) -> Sequence[object]:
    for value, meant in found.items():
        if not meant:
            raise _nobody(term, value, known)
    return list(dict.fromkeys(one for meant in found.values() for one in meant))


_KINDS: Mapping[Field, str] = {
    Field.provider: "No provider is called “{}”.",
    Field.model: "No image model is called “{}”.",
    Field.error: "No job carries an error code like “{}”.",
    Field.character: "No character is called “{}”.",
}


def _nobody(term: Among, value: str, known: Sequence[str]) -> Unreadable:
    some = ", ".join(known[:6])
    return Unreadable(
        _KINDS[term.key].format(value),
        at=term.at,
        length=term.length,
        expected=f"one there is: {some}{' …' if len(known) > 6 else ''}" if some else "one there is",  # noqa: PLR2004 - as many as fit a line
        found=value,
        nearest=job_filter.nearest(value, known),
    )


def _characters(conn: Connection, term: Among, value: str) -> Sequence[object]:
    if (ident := _whole_id(value)) is not None:
        return [ident]
    found = named(conn, value, limit=_MOST_NAMED)
    exact = [ident for ident, name in found if name.strip().casefold() == value.casefold()]
    if not found:
        like = named(conn, value[:2], limit=_MOST_NAMED) if len(value) > 1 else []
        raise _nobody(term, value, [name for _, name in like])
    return exact or [ident for ident, _ in found]


def _whole_id(value: str) -> UUID | None:
    try:
        return UUID(value)
    except ValueError:
        return None


def named(conn: Connection, beginning: str, *, limit: int) -> list[tuple[UUID, str]]:
    """Characters this person may see whose name begins so, in any case; at most 200."""
    rows = conn.execute("SELECT id, name FROM studio.characters_named(%s, %s)", (beginning, limit)).fetchall()
    return [(row[0], str(row[1] or "")) for row in rows]


def _people(conn: Connection, value: str, reader: Reader) -> Sequence[object]:
    if value == ME:
        return [reader.person]
    low, high = _range(value)
    rows = conn.execute(
        """
        WITH RECURSIVE person AS (
            (SELECT j.user_id, 1 AS place FROM public.jobs j WHERE j.user_id BETWEEN %(low)s AND %(high)s
             ORDER BY j.user_id LIMIT 1)
            UNION ALL
            SELECT next.user_id, person.place + 1 FROM person CROSS JOIN LATERAL (
                SELECT j.user_id FROM public.jobs j WHERE j.user_id > person.user_id AND j.user_id <= %(high)s
                ORDER BY j.user_id LIMIT 1) next
            WHERE person.place < %(most)s
        )
        SELECT user_id FROM person
        """,
        {"low": low, "high": high, "most": _MOST_BRANCHES},
    ).fetchall()
    return [row[0] for row in rows]


def _ids_beginning(conn: Connection, digits: str) -> Sequence[object]:
    low, high = _range(digits)
    rows = conn.execute(
        "SELECT j.id FROM public.jobs j WHERE j.id BETWEEN %s AND %s ORDER BY j.id LIMIT %s",
        (low, high, _MOST_FOUND),
    ).fetchall()
    return [row[0] for row in rows]


def _range(digits: str) -> tuple[UUID, UUID]:
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


# -- what is sifted ---------------------------------------------------------------------------------------------------

_SPENT = """
    (SELECT CASE WHEN bool_or(s.is_unknown) THEN NULL ELSE sum(s.amount_usd) END
     FROM studio.spend s WHERE s.job_id = j.id)
"""
_UNKNOWN = "(SELECT bool_or(s.is_unknown) FROM studio.spend s WHERE s.job_id = j.id)"
_FOR = "(j.metadata ->> 'destination')"
_TOOK = "extract(epoch FROM j.completed_at - j.created_at)"
_TEXTS = """
    lower(concat_ws(chr(10), j.error_message, j.error_code, replace(j.error_code, '_', ' '), j.original_prompt,
        j.metadata ->> 'character_name', j.metadata ->> 'characterName'))
"""
_NAME = "lower((SELECT c.name FROM public.characters c WHERE c.id = j.character_id))"


def _types(query: Query, base: JobFilter) -> list[_Sift]:
    """What a job was for. No index serves it: what is asked of jsonb is not leakproof, so that row-level security
    comes first.
    """
    found = [_Sift(f"{_FOR} = %(purpose)s", {"purpose": base.purpose})] if base.purpose is not None else []
    if term := query.among(Field.type):
        found.append(_Sift(f"{_FOR} = ANY(%(types)s::text[])", {"types": _destinations(term)}))
    if term := query.among(Field.type, turned=True):
        left = f"({_FOR} IS NULL OR {_FOR} <> ALL(%(not_types)s::text[]))"
        found.append(_Sift(left, {"not_types": _destinations(term)}))
    return found


def _destinations(term: Among) -> list[str]:
    return [job_filter.TYPES[value] for value in term.values]


def _amounts(query: Query) -> list[_Sift]:
    found: list[_Sift] = []
    for place, term in enumerate(query.terms):
        if isinstance(term, Compared):
            side = _SPENT if term.amount is Amount.cost else _TOOK
            found.append(
                _Sift(f"{side} {_SIGNS[term.sign]} %(amount_{place})s", {f"amount_{place}": term.number})
            )
        elif isinstance(term, CostUnknown):
            found.append(_Sift(f"{_UNKNOWN} IS {'FALSE' if term.turned else 'TRUE'}", {}))
    return found


def _words(query: Query) -> list[_Sift]:
    return [_worded(one.text, place, turned=one.turned) for place, one in enumerate(query.words)]


def _worded(text: str, place: int, *, turned: bool) -> _Sift:
    """Where the words stand: the error, the prompt, the character's name, or as the beginning of the job's id."""
    name = f"words_{place}"
    fits = f"""(starts_with(j.id::text, %({name})s) OR strpos({_TEXTS}, %({name})s) > 0
                OR coalesce(strpos({_NAME}, %({name})s) > 0, false))"""
    return _Sift(f"NOT {fits}" if turned else fits, {name: text.lower()})


# -- the way ----------------------------------------------------------------------------------------------------------

_BOUNDS = """
    (%(since)s::timestamptz IS NULL OR j.created_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR j.created_at < %(until)s)
"""


def _states_way(states: Sequence[JobState]) -> _Way:
    branches = tuple(_of_state(state) for state in states) or (_Sift("false", {}),)
    return _Way(branches=branches, sift=_Sift(f"({' OR '.join(one.condition for one in branches)})", {}))


def _of_state(state: JobState) -> _Sift:
    match state:
        case JobState.outcome_unknown:
            return _Sift("j.status = 'processing' AND j.stage = 'outcome_unknown'", {})
        case JobState.processing:
            return _Sift("j.status = 'processing' AND j.stage IS DISTINCT FROM 'outcome_unknown'", {})
        case _:
            return _Sift(f"j.status = '{state.value}'", {})


def _chosen(conn: Connection, wanted: Sought) -> tuple[_Way, tuple[_Sift, ...]]:
    """The narrowest way, and what is left to be sifted."""
    ways = [*wanted.ways, *([_states_way(wanted.states)] if wanted.states is not None else [])]
    if not ways:
        return _RECENT, wanted.sifts
    if len(ways) == 1 and not wanted.sifts:
        return ways[0], ()
    breadths = {place: _breadth(conn, way, wanted) for place, way in enumerate(ways)}
    best = ways[min(breadths, key=lambda place: (breadths[place], len(ways[place].branches) > 1))]
    if len(best.branches) > 1 and min(breadths.values()) >= _PROBED:
        best = _RECENT  # several broad indexes come in no order together, but all jobs do
    left = [way.sift for way in ways if way is not best and way.sift is not None]
    return best, (*left, *wanted.sifts)


def _breadth(conn: Connection, way: _Way, wanted: Sought) -> int:
    """How many rows the way leads through, counted to a small bound: what is broader is all the same."""
    each = " UNION ALL ".join(
        f"SELECT j.id FROM public.jobs j WHERE {one.condition} AND {_BOUNDS}" for one in way.branches
    )
    row = conn.execute(
        f"SELECT count(*) FROM (SELECT FROM ({each}) way LIMIT %(probed)s) counted".encode(),
        {**_edges(wanted), **_values(way.branches), "probed": _PROBED},
        prepare=False,
    ).fetchone()
    return int(row[0]) if row else 0


def _union(way: _Way, columns: str, bounds: str, order: str) -> str:
    """The newest (or oldest) rows of the way: one look at its index for each value, which `= ANY` would not allow."""
    each = [
        f"""(SELECT {columns} FROM public.jobs j WHERE {one.condition} AND {bounds}
             ORDER BY j.created_at {order}, j.id {order} LIMIT %(window)s)"""
        for one in way.branches
    ]
    return f"""(SELECT * FROM ({" UNION ALL ".join(each)}) each ORDER BY created_at {order}, id {order} LIMIT %(window)s)"""


def _edges(wanted: Sought) -> dict[str, object]:
    return {"since": wanted.since, "until": wanted.until}


def _values(sifts: Sequence[_Sift]) -> dict[str, object]:
    return {name: value for one in sifts for name, value in one.values.items()}


def _all_of(sifts: Sequence[_Sift]) -> str:
    return " AND ".join(one.condition for one in sifts) or "true"


# -- the list ---------------------------------------------------------------------------------------------------------

_SIFTED_COLUMNS = f"{jobs.LISTED}, j.original_prompt"
_AT = "(j.created_at, j.id)"
_BEFORE = f"{_BOUNDS} AND (%(at)s::timestamptz IS NULL OR {_AT} < (%(at)s, %(id)s::uuid))"
_AFTER = f"{_BOUNDS} AND {_AT} > (%(at)s, %(id)s::uuid)"


def page(
    conn: Connection,
    wanted: Sought,
    *,
    before: Key | None = None,
    after: Key | None = None,
    limit: int = 50,
) -> Found:
    """At most `limit` jobs, newest first: the newest of all, those `before` a key, or those next `after` one."""
    way, sifts = _chosen(conn, wanted)
    key = after or before
    bounds, order = (_AFTER, "ASC") if after else (_BEFORE, "DESC")
    window = (LOOKED_AT_COSTS if wanted.costs else LOOKED_AT) if sifts else limit + 1
    values = {
        **_edges(wanted),
        **_values(way.branches),
        **_values(sifts),
        "at": key.created_at if key else None,
        "id": key.id if key else None,
        "window": window,
        "limit": limit + 1,  # one more than is shown tells whether there are more
    }
    rows = _listed(conn, way, sifts, bounds, order, values)
    end = _end(conn, way, bounds, order, values) if sifts and len(rows) <= limit else None
    shown = _paged(rows, after=after, before=before, limit=limit)
    return _bounded(shown, end, window, after=after is not None) if end else shown


def _listed(
    conn: Connection,
    way: _Way,
    sifts: Sequence[_Sift],
    bounds: str,
    order: str,
    values: Mapping[str, object],
) -> list[JobRow]:
    statement = _statement(way, sifts, bounds, order)
    with conn.cursor(row_factory=class_row(JobRow)) as cursor:
        return cursor.execute(statement.encode(), values, prepare=False).fetchall()


def _statement(way: _Way, sifts: Sequence[_Sift], bounds: str, order: str) -> str:
    return f"""
        WITH listed AS MATERIALIZED (
            SELECT {jobs.LISTED} FROM {_union(way, _SIFTED_COLUMNS, bounds, order)} j WHERE {_all_of(sifts)}
            ORDER BY j.created_at {order}, j.id {order} LIMIT %(limit)s
        ) {jobs.NAMED}
    """


def _end(conn: Connection, way: _Way, bounds: str, order: str, values: Mapping[str, object]) -> Key | None:
    """Where the sifting stopped; None where it came to the end of the way."""
    back = "DESC" if order == "ASC" else "ASC"
    row = conn.execute(
        f"""
        SELECT created_at, id, count(*) OVER () FROM {_union(way, "j.created_at, j.id", bounds, order)} seen
        ORDER BY created_at {back}, id {back} LIMIT 1
        """.encode(),
        values,
        prepare=False,
    ).fetchone()
    return Key(row[0], row[1]) if row and row[2] == values["window"] else None


def _paged(rows: Sequence[JobRow], *, after: Key | None, before: Key | None, limit: int) -> Found:
    more = len(rows) > limit
    if after:
        shown = rows[1:] if more else rows
        return Found(
            rows=shown, older=shown[-1].key if shown else after, newer=shown[0].key if more else None
        )
    shown = rows[:limit]
    newer = shown[0].key if before and shown else before
    return Found(rows=shown, older=shown[-1].key if more else None, newer=newer)


def _bounded(shown: Found, end: Key, window: int, *, after: bool) -> Found:
    """The same page, which is not whole because the look was bounded, and goes on where that ended."""
    looked = replace(shown, looked_at=window, looked_to=end.created_at)
    return replace(looked, newer=end) if after else replace(looked, older=end)


# -- the counts -------------------------------------------------------------------------------------------------------


def counts(conn: Connection, wanted: Sought, base: JobFilter) -> Counts:
    """How many jobs stand in each state, whatever states are asked for."""
    everything = replace(wanted, states=None)
    if everything.is_plain:
        return Counts(of=jobs.counts(conn, replace(base, since=wanted.since)))
    way, sifts = _chosen(conn, everything)
    window = LOOKED_AT_COSTS if wanted.costs else LOOKED_AT
    rows = conn.execute(
        f"""
        WITH seen AS MATERIALIZED {_union(way, _SIFTED_COLUMNS, _BOUNDS, "DESC")}
        SELECT j.status, CASE WHEN j.status = 'processing' AND j.stage = 'outcome_unknown' THEN j.stage END,
            count(*) FILTER (WHERE {_all_of(sifts)}), count(*)
        FROM seen j GROUP BY 1, 2
        """.encode(),
        {**_edges(wanted), **_values(way.branches), **_values(sifts), "window": window},
        prepare=False,
    ).fetchall()
    cut = sum(int(row[3]) for row in rows) >= window
    found = {jobs.state_of(row[0], row[1]): int(row[2]) for row in rows}
    return Counts(
        of={state: Counted(number=found.get(state, 0), more=cut) for state in JobState},
        looked_at=window if cut else 0,
    )


# -- what failed alike ------------------------------------------------------------------------------------------------


def reach(conn: Connection, wanted: Sought, most: int) -> tuple[datetime | None, int]:
    """How far back the newest `most` rows of a filter's way go, and how many they are; None where there is none."""
    way, _ = _chosen(conn, wanted)
    row = conn.execute(
        f"SELECT min(created_at), count(*) FROM {_union(way, 'j.created_at, j.id', _BOUNDS, 'DESC')} seen".encode(),
        {**_edges(wanted), **_values(way.branches), "window": most},
        prepare=False,
    ).fetchone()
    return (row[0], int(row[1])) if row else (None, 0)


def alike(
    conn: Connection, wanted: Sought, most: int, *, since: datetime, until: datetime, bars: int
) -> list[dict[str, Any]]:
    """The newest `most` rows of a filter's way that fit it, counted by code, sentence, model and stretch of time."""
    way, sifts = _chosen(conn, wanted)
    values = {**_edges(wanted), **_values(way.branches), **_values(sifts), "window": most}
    span = {"from": since, "to": until, "bars": bars}
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            f"""
            WITH failed AS MATERIALIZED (
                SELECT coalesce(j.error_code, '') AS code, coalesce(j.error_message, '') AS message, j.api_model_id,
                    width_bucket(extract(epoch FROM j.created_at), extract(epoch FROM %(from)s::timestamptz),
                        extract(epoch FROM %(to)s::timestamptz) + 1, %(bars)s::integer) AS bar,
                    count(*) AS number, min(j.created_at) AS first_at, max(j.created_at) AS last_at,
                    (array_agg(j.id ORDER BY j.created_at DESC))[1] AS example
                FROM {_union(way, _SIFTED_COLUMNS, _BOUNDS, "DESC")} j WHERE {_all_of(sifts)}
                GROUP BY 1, 2, 3, 4)
            SELECT f.code, f.message, coalesce(p.name, '') AS provider, coalesce(m.display_name, '') AS model,
                coalesce(m.model_key, '') AS model_key, f.bar, f.number, f.first_at, f.last_at, f.example
            FROM failed f
            LEFT JOIN public.api_models m ON m.id = f.api_model_id
            LEFT JOIN public.api_providers p ON p.id = m.provider_id
            """.encode(),
            {**values, **span},
            prepare=False,
        ).fetchall()
