"""What an admin changes by hand: models, their prices, pauses, a team's own options. Each write is one definer function,
which refuses what changed since the admin saw it (Conflict `CHANGED_MEANWHILE`) and records the change.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.errors import LockNotAvailable
from psycopg.rows import class_row

from core.db import Connection, Database
from core.errors import Conflict
from core.values import ModelId, PersonId, PriceUnit

_ERRORS_OF = 7  # days
_PATIENCE = "10s"  # for a colleague's change of people to end


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """A model as the admin sees it. `seen` holds the four settings as they stand, whole, for `change_model`.

    `is_on` is the model's own switch, `provider_is_on` its provider's; both must be on.
    """

    id: ModelId
    provider: str
    model_key: str
    display_name: str
    modality: str
    is_on: bool
    provider_is_on: bool
    priority: int
    capabilities: Mapping[str, Any]
    default_for_tasks: list[str] | None
    updated_at: datetime
    seen: str


@dataclass(frozen=True, kw_only=True)
class PriceRow:
    """One price of a model; `usd` None: from then on it is unknown."""

    id: UUID
    unit: str
    usd: Decimal | None
    size: str | None
    quality: str | None
    valid_from: datetime
    valid_until: datetime | None
    source: str


@dataclass(frozen=True, kw_only=True)
class PauseRow:
    """A pause that lasts; `paused_by` None: the studio did it, because of what the provider answered."""

    provider: str
    paused_until: datetime
    why: str | None
    paused_by: UUID | None
    failures: int


@dataclass(frozen=True, kw_only=True)
class LastError:
    """The newest job of a provider that failed in the last seven days."""

    provider: str
    job_id: UUID
    at: datetime
    code: str | None
    sentence: str | None


def model_rows(conn: Connection) -> list[ModelRow]:
    """Every image model, the highest priority first."""
    with conn.cursor(row_factory=class_row(ModelRow)) as cursor:
        return cursor.execute(
            """
            SELECT m.id, p.name AS provider, m.model_key, m.display_name, m.modality, m.is_active AS is_on,
                   p.is_active AS provider_is_on, m.priority,
                   CASE jsonb_typeof(m.capabilities) WHEN 'object' THEN m.capabilities ELSE '{}' END AS capabilities,
                   m.default_for_tasks, m.updated_at,
                   jsonb_build_object('is_active', m.is_active, 'priority', m.priority,
                       'capabilities', coalesce(m.capabilities, '{}'),
                       'default_for_tasks', m.default_for_tasks)::text AS seen
            FROM public.api_models m JOIN public.api_providers p ON p.id = m.provider_id
            WHERE m.modality = 'image'
            ORDER BY m.priority DESC, m.display_name, m.id
            """
        ).fetchall()


def change_model(
    conn: Connection, model_id: ModelId, *, seen: str, wanted: Mapping[str, object], why: str
) -> bool:
    """Write the four settings where they stand as `seen`; False where they stood so already.

    Raises NotAllowed, NotFound, BadRequest (priority, why), Conflict.
    """
    row = conn.execute(
        "SELECT studio.change_model(%s, %s::jsonb, %s::jsonb, %s)",
        (model_id, seen, json.dumps(wanted), why),
    ).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return bool(row[0])


def add_model(conn: Connection, pattern: ModelId, *, model_key: str, display_name: str, why: str) -> ModelId:
    """A new model like `pattern`, switched off. Raises NotAllowed, NotFound, BadRequest, Conflict `MODEL_EXISTS`."""
    row = conn.execute(
        "SELECT studio.add_model(%s, %s, %s, %s)", (pattern, model_key, display_name, why)
    ).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return ModelId(row[0])


def price_rows(conn: Connection, model_id: ModelId) -> list[PriceRow]:
    """Every price a model has had, has and will have, the newest first."""
    with conn.cursor(row_factory=class_row(PriceRow)) as cursor:
        return cursor.execute(
            """
            SELECT p.id, p.unit, CASE WHEN p.valid_until = p.valid_from + interval '1 microsecond' THEN NULL
                   ELSE p.price END AS usd, p.size, p.quality, p.valid_from,
                   CASE WHEN p.valid_until > p.valid_from + interval '1 microsecond' THEN p.valid_until END
                       AS valid_until,
                   p.source
            FROM studio.model_prices p WHERE p.model_id = %s ORDER BY p.valid_from DESC, p.id
            """,
            (model_id,),
        ).fetchall()


def set_price(
    conn: Connection,
    model_id: ModelId,
    unit: PriceUnit,
    usd: Decimal | None,
    *,
    seen: Sequence[UUID],
    valid_from: datetime | None,
    size: str | None,
    source: str,
) -> UUID:
    """A price from a moment on, where the model's prices are still those of `seen`.

    Raises NotAllowed, NotFound, BadRequest (unit, price, size, source, valid_from), Conflict.
    """
    row = conn.execute(
        "SELECT studio.set_price_seen(%s::uuid[], %s, %s, %s, %s, %s, %s)",
        (list(seen), model_id, unit, usd, valid_from, size, source),
    ).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return UUID(str(row[0]))


def withdraw_price(conn: Connection, price_id: UUID, *, why: str) -> None:
    """Take back a price that has not begun. Raises NotAllowed, NotFound, BadRequest (why), Conflict `PRICE_BEGAN`."""
    conn.execute("SELECT studio.withdraw_price(%s, %s)", (price_id, why))


def pause_rows(conn: Connection) -> list[PauseRow]:
    """What is paused now."""
    with conn.cursor(row_factory=class_row(PauseRow)) as cursor:
        return cursor.execute(
            """
            SELECT provider, paused_until, why, paused_by, failures FROM studio.provider_state
            WHERE paused_until > now() ORDER BY provider
            """
        ).fetchall()


def pause_provider(
    conn: Connection, provider: str, *, seen: datetime | None, until: datetime | None, why: str
) -> None:
    """Pause a provider until a moment, None: until it is resumed. Raises NotAllowed, BadRequest (until, why), Conflict."""
    conn.execute("SELECT studio.pause_provider(%s, %s, %s, %s)", (provider, seen, until, why))


def last_errors(conn: Connection) -> list[LastError]:
    """The newest failed job of each provider, of the last seven days."""
    with conn.cursor(row_factory=class_row(LastError)) as cursor:
        return cursor.execute(
            """
            SELECT DISTINCT ON (p.name) p.name AS provider, j.id AS job_id, coalesce(j.completed_at, j.created_at) AS at,
                   j.error_code AS code, j.error_message AS sentence
            FROM public.jobs j
            JOIN public.api_models m ON m.id = j.api_model_id JOIN public.api_providers p ON p.id = m.provider_id
            WHERE j.status = 'failed' AND j.created_at > now() - make_interval(days => %s)
            ORDER BY p.name, j.created_at DESC
            """,
            (_ERRORS_OF,),
        ).fetchall()


def change_option(
    conn: Connection,
    category: str,
    value: str,
    *,
    seen: Mapping[str, object],
    label: str,
    words: str,
    aliases: Sequence[str],
    tags: Sequence[str],
    place: int,
    why: str,
) -> bool:
    """Change what a team's own option says. Raises NotAllowed, NotFound, BadRequest, PolicyRefused, Conflict."""
    row = conn.execute(
        "SELECT studio.change_attribute_option(%s, %s, %s::jsonb, %s, %s, %s::text[], %s::text[], %s, %s)",
        (category, value, json.dumps(seen), label, words, list(aliases), list(tags), place, why),
    ).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return bool(row[0])


def note_person_change(
    conn: Connection,
    action: str,
    who: PersonId,
    *,
    before: Mapping[str, object] | None,
    after: Mapping[str, object] | None,
    why: str,
) -> None:
    """Record what an admin changed of a person. Raises NotAllowed, BadRequest (action, why)."""
    conn.execute(
        "SELECT studio.note_person_change(%s, %s, %s::jsonb, %s::jsonb, %s)",
        (action, who, _json(before), _json(after), why),
    )


def _json(said: Mapping[str, object] | None) -> str | None:
    return json.dumps(said) if said is not None else None


@contextlib.contextmanager
def one_at_a_time(db: Database) -> Generator[None]:
    """Nobody else changes people meanwhile, in any process. Held outside any transaction, since Auth is asked inside; it
    ends with the connection. Raises Conflict where another change takes longer than ten seconds, DatabaseUnavailable.
    """
    with contextlib.closing(db.connect()) as conn:
        conn.execute("SELECT set_config('lock_timeout', %s, false)", (_PATIENCE,))
        try:
            conn.execute("SELECT pg_advisory_lock(hashtextextended('admin:people', 0))")
        except LockNotAvailable as error:
            raise Conflict(
                "A colleague is changing people right now. Wait a moment, look again, and try once more.",
                code="CHANGED_MEANWHILE",
            ) from error
        yield
