"""public.api_models with their providers, prices and pauses."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from typing import Any, Protocol, cast
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import RowMaker

from core.db import Connection, activity
from core.values import Capabilities, ImageModel, ModelId

COLUMNS = """
    m.id, p.name, m.model_key, m.display_name, m.modality, m.is_active AND p.is_active, m.priority, m.capabilities,
    m.input_defaults, m.default_for_tasks
"""


def capabilities_of(stored: object) -> Capabilities:
    """Capabilities from a row's JSON. Adopted rows lack some keys or hold what is no such value: that counts as absent,
    and is a finding (`row.model_unreadable`); one odd row keeps no other model from being chosen.
    """
    known: dict[str, object] = {key: said for key, said in _object(stored).items() if said is not None}
    resolution = str(known.get("max_resolution", 1024)).lower().split("x")[0]
    takes = known.get("supports_i2i") is True
    images = known.get("max_reference_images")
    return Capabilities(
        supports_i2i=takes,
        supports_seed=known.get("supports_seed") is True,
        supports_negative=known.get("supports_negative") is True,
        needs_reference=known.get("needs_reference") is True,
        max_reference_images=images if isinstance(images, int) else int(takes),
        max_resolution=int(resolution) if resolution.isdecimal() else 1024,
        supported_formats=_texts(known.get("supported_formats"), ("png",)),
        aspect_ratios=_texts(known.get("aspect_ratios"), ("1:1",)),
    )


def _object(stored: object) -> dict[str, Any]:
    return cast("dict[str, Any]", stored) if isinstance(stored, dict) else {}


def _texts(stored: object, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(stored, list | tuple):
        return otherwise
    return tuple(one for one in cast("Sequence[object]", stored) if isinstance(one, str))


def as_model(_cursor: Cursor[Any]) -> RowMaker[ImageModel]:
    """Row factory for COLUMNS."""

    def make(row: Sequence[Any]) -> ImageModel:
        return ImageModel(
            id=row[0],
            provider=row[1],
            model_key=row[2],
            display_name=row[3],
            modality=row[4],
            is_active=row[5],
            priority=row[6],
            capabilities=capabilities_of(row[7]),
            input_defaults=_object(row[8]),
            default_for_tasks=tuple(row[9]) if row[9] is not None else None,
        )

    return make


def list_all(conn: Connection) -> list[ImageModel]:
    """Every model this connection may see, highest priority first."""
    with conn.cursor(row_factory=as_model) as cursor:
        return cursor.execute(
            f"""
            SELECT {COLUMNS} FROM public.api_models m JOIN public.api_providers p ON p.id = m.provider_id
            ORDER BY m.priority DESC, m.display_name, m.id
            """
        ).fetchall()


def get(conn: Connection, model_id: ModelId) -> ImageModel | None:
    """One model, active or not."""
    with conn.cursor(row_factory=as_model) as cursor:
        return cursor.execute(
            f"""
            SELECT {COLUMNS} FROM public.api_models m JOIN public.api_providers p ON p.id = m.provider_id
            WHERE m.id = %s
            """,
            (model_id,),
        ).fetchone()


def prices(
    conn: Connection, model_ids: Sequence[ModelId], width: int, height: int
) -> dict[UUID, Decimal | None]:
    """What one image of that size costs today with each model; None where it is not known."""
    rows = conn.execute(
        """
        SELECT m.id, (SELECT price.amount FROM studio.price_of(m.id, %(width)s, %(height)s) price)
        FROM unnest(%(ids)s::uuid[]) AS m(id)
        """,
        {"ids": list(model_ids), "width": width, "height": height},
    ).fetchall()
    return {row[0]: row[1] for row in rows}


_HOUR, _DAY = 3600, 86_400  # seconds
_FOR_EVER = 10 * 365 * _DAY  # an admin's pause without an end is written as a hundred years


class Pause(str):
    """Why a provider is paused and for how long, in words; `seconds` is how long it still lasts."""

    __slots__ = ("seconds",)
    seconds: float

    @classmethod
    def of(cls, why: str, seconds: float) -> Pause:
        """The words for a pause that lasts `seconds` from now."""
        made = cls(f"{why.rstrip('.')} ({_still(seconds)})")
        made.seconds = seconds
        return made


def _still(seconds: float) -> str:
    if seconds > _FOR_EVER:
        return "until an admin resumes it"
    if seconds > 2 * _DAY:
        return f"for {math.ceil(seconds / _DAY)} more days"
    if seconds > 2 * _HOUR:
        return f"for {math.ceil(seconds / _HOUR)} more h"
    return f"for {math.ceil(seconds / 60)} more min"


def pauses(conn: Connection) -> dict[str, Pause]:
    """Providers that are paused now, each with the reason in words and how long it still lasts."""
    rows = conn.execute(
        """
        SELECT provider, coalesce(why, 'an admin paused it'), extract(epoch FROM paused_until - now())
        FROM studio.provider_state WHERE paused_until > now()
        """
    ).fetchall()
    return {str(row[0]): Pause.of(str(row[1]), float(row[2])) for row in rows}


def resume(conn: Connection, providers: Sequence[str]) -> None:
    """Lift the pauses of these providers: whoever started a worker has looked at its keys and balances.

    What an admin paused stays so until an admin resumes it.
    """
    lifted = conn.execute(
        """
        UPDATE studio.provider_state SET paused_until = NULL
        WHERE provider = ANY(%s) AND paused_until > now() AND paused_by IS NULL RETURNING provider
        """,
        (list(providers),),
    ).fetchall()
    for row in lifted:
        activity.note(conn, "provider_resumed", "provider_state", str(row[0]), why="a worker started")


def resume_as(conn: Connection, provider: str, *, why: str) -> bool:
    """Lift one pause, as the person of this connection; False where there is none. Raises NotAllowed."""
    row = conn.execute("SELECT studio.resume_provider(%s, %s)", (provider, why)).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return bool(row[0])


def pause(conn: Connection, provider: str, why: str, *, seconds: float) -> None:
    """Stop sending to a provider for everybody, visibly (SPEC "Failure": an empty balance). An admin's pause that still
    lasts stays as it is: nothing is sent anyway.
    """
    paused = conn.execute(
        """
        INSERT INTO studio.provider_state (provider, paused_until, why, failures, changed_at)
        VALUES (%(provider)s, now() + make_interval(secs => %(seconds)s), %(why)s, 1, now())
        ON CONFLICT (provider) DO UPDATE SET paused_until = excluded.paused_until, why = excluded.why, paused_by = NULL,
            failures = studio.provider_state.failures + 1, changed_at = now()
        WHERE studio.provider_state.paused_by IS NULL OR studio.provider_state.paused_until IS NULL
           OR studio.provider_state.paused_until <= now()
        """,
        {"provider": provider, "why": why, "seconds": seconds},
    )
    if paused.rowcount == 0:
        return
    activity.note(conn, "provider_paused", "provider_state", provider, after={"seconds": seconds}, why=why)


class ShippedPrice(Protocol):
    """A price as the catalogue ships it."""

    @property
    def unit(self) -> str: ...  # noqa: D102
    @property
    def amount(self) -> Decimal | None: ...  # noqa: D102
    @property
    def size(self) -> str | None: ...  # noqa: D102
    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def valid_from(self) -> date: ...  # noqa: D102


def insert_missing_provider(conn: Connection, name: str, display_name: str) -> None:
    """A provider's row, if there is none."""
    conn.execute(
        "INSERT INTO public.api_providers (name, display_name) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING",
        (name, display_name),
    )


def insert_missing_model(
    conn: Connection,
    *,
    provider: str,
    model_key: str,
    display_name: str,
    priority: int,
    capabilities: Capabilities,
    input_defaults: Mapping[str, object],
    default_for_tasks: Sequence[str] | None,
) -> ModelId | None:
    """A model's row, if there is none with that provider and key; None where a team's row stands already."""
    row = conn.execute(
        """
        INSERT INTO public.api_models
            (provider_id, display_name, model_key, modality, priority, capabilities, input_defaults, default_for_tasks)
        SELECT p.id, %(name)s, %(key)s, 'image', %(priority)s, %(capabilities)s, %(defaults)s, %(tasks)s
        FROM public.api_providers p
        WHERE p.name = %(provider)s
          AND NOT EXISTS (SELECT FROM public.api_models m WHERE m.provider_id = p.id AND m.model_key = %(key)s)
        RETURNING id
        """,
        {
            "provider": provider,
            "name": display_name,
            "key": model_key,
            "priority": priority,
            "capabilities": json.dumps(asdict(capabilities)),
            "defaults": json.dumps(input_defaults, default=float),
            "tasks": list(default_for_tasks) if default_for_tasks is not None else None,
        },
    ).fetchone()
    return ModelId(row[0]) if row else None


def insert_missing_price(conn: Connection, *, provider: str, model_key: str, price: ShippedPrice) -> None:
    """A dated price, if that model has none of that unit, size and day; an unknown amount is no row."""
    if price.amount is None:
        return
    conn.execute(
        """
        INSERT INTO studio.model_prices (model_id, size, unit, price, valid_from, source)
        SELECT m.id, %(size)s, %(unit)s, %(amount)s, %(from)s::timestamp AT TIME ZONE 'UTC', %(source)s
        FROM public.api_models m JOIN public.api_providers p ON p.id = m.provider_id
        WHERE p.name = %(provider)s AND m.model_key = %(key)s
        ON CONFLICT DO NOTHING
        """,
        {
            "provider": provider,
            "key": model_key,
            "size": price.size,
            "unit": price.unit,
            "amount": price.amount,
            "from": price.valid_from,
            "source": price.source,
        },
    )
