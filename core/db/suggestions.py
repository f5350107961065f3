"""studio.suggestions: what was asked of the chat model, once for each key, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from core.db import Connection
from core.values import CharacterId, PersonId

FIELDS = (
    "name", "description", "gender", "role", "traits", "appearance_tags", "clothing_tags", "persona", "voice_tone",
    "mood", "personality_traits", "first_message", "alternate_greetings", "system_prompt", "forbidden_phrases",
    "voice_examples",
)  # fmt: skip
"""Columns of public.characters that a suggestion is made from."""

LOST_AFTER = timedelta(minutes=10)  # an unfinished suggestion older than this lost its process

_SELECT = f"SELECT {', '.join(FIELDS)} FROM public.characters WHERE id = %s AND deleted_at IS NULL"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A row of studio.suggestions. `outcome` None: on its way; answered, failed or unknown (it left, no answer)."""

    id: UUID
    character_id: CharacterId | None
    version: int | None
    fingerprint: str
    model_key: str
    asked_at: datetime
    outcome: str | None
    error_code: str | None
    error_message: str | None
    answer: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class TokenPrices:
    """US dollars for a million tokens; None where not known."""

    input_usd: Decimal | None
    output_usd: Decimal | None


def fields_of(conn: Connection, character_id: CharacterId) -> dict[str, str | tuple[str, ...]]:
    """What stands in a character's fields now; empty where there is none this connection may see."""
    row: Sequence[Any] | None = conn.execute(_SELECT, (character_id,)).fetchone()
    if row is None:
        return {}
    named = dict(zip(FIELDS, row, strict=True))
    return {
        name: tuple(value) if isinstance(value, list) else str(value)  # pyright: ignore[reportUnknownArgumentType]
        for name, value in named.items()
        if value
    }


def ask(
    conn: Connection,
    *,
    character_id: CharacterId | None,
    version: int | None,
    wanted: str,
    model_key: str,
    input_tokens: int,
    output_tokens: int,
    idempotency_key: str | None,
    fingerprint: str,
) -> tuple[UUID, bool]:
    """Note a suggestion and hold its estimate, as the person of this connection; False: this key has asked before.

    Raises NotAllowed, NotFound, BudgetSpent, TooMany.
    """
    row = conn.execute(
        "SELECT suggestion_id, created FROM studio.ask_suggestion(%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            character_id,
            version,
            wanted,
            model_key,
            input_tokens,
            output_tokens,
            idempotency_key,
            fingerprint,
        ),
    ).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return UUID(str(row[0])), bool(row[1])


def get(conn: Connection, suggestion_id: UUID) -> Asked | None:
    """One suggestion, None where there is none this connection may see."""
    with conn.cursor(row_factory=class_row(Asked)) as cursor:
        return cursor.execute(
            """
            SELECT id, character_id, version, fingerprint, model_key, asked_at, outcome, error_code, error_message,
                   answer
            FROM studio.suggestions WHERE id = %s
            """,
            (suggestion_id,),
        ).fetchone()


def by_key(conn: Connection, person: PersonId, key: str) -> UUID | None:
    """The suggestion a person asked for under a key, None where it is a new one."""
    row = conn.execute(
        "SELECT id FROM studio.suggestions WHERE user_id = %s AND idempotency_key = %s", (person, key)
    ).fetchone()
    return UUID(str(row[0])) if row else None


def settle(
    conn: Connection,
    suggestion_id: UUID,
    outcome: str,
    *,
    answer: Mapping[str, object] | None = None,
    code: str | None = None,
    words: str | None = None,
) -> None:
    """End a suggestion: answered, failed or unknown. The first word stands."""
    conn.execute(
        """
        UPDATE studio.suggestions SET outcome = %(outcome)s, answer = %(answer)s, error_code = %(code)s,
            error_message = %(words)s, settled_at = now()
        WHERE id = %(id)s AND outcome IS NULL
        """,
        {
            "id": suggestion_id,
            "outcome": outcome,
            "answer": json.dumps(answer) if answer is not None else None,
            "code": code,
            "words": words,
        },
    )


def settle_lost(conn: Connection) -> list[UUID]:
    """End the suggestions whose process died with the question on its way; they may have been billed."""
    rows = conn.execute(
        """
        UPDATE studio.suggestions SET outcome = 'unknown', error_code = 'OUTCOME_UNKNOWN', settled_at = now()
        WHERE outcome IS NULL AND asked_at < now() - %s::interval RETURNING id
        """,
        (LOST_AFTER,),
    ).fetchall()
    return [row[0] for row in rows]


def forget_answers(conn: Connection) -> None:
    """Answers hold what people wrote, and are of no use after a day."""
    conn.execute(
        "UPDATE studio.suggestions SET answer = NULL WHERE answer IS NOT NULL AND asked_at < now() - interval '1 day'"
    )


def token_prices(conn: Connection, model_key: str, moment: datetime) -> TokenPrices:
    """The prices of a chat model that are valid at `moment`."""
    with conn.cursor(row_factory=class_row(TokenPrices)) as cursor:
        found = cursor.execute(
            "SELECT input_usd, output_usd FROM studio.token_prices(%s, %s)", (model_key, moment)
        ).fetchone()
    return found or TokenPrices(input_usd=None, output_usd=None)


def insert_missing_model(conn: Connection, model_key: str) -> None:
    """The row that prices of the chat model hang on, if there is none."""
    conn.execute(
        "INSERT INTO public.api_providers (name, display_name) VALUES ('chat', 'Chat') ON CONFLICT (name) DO NOTHING"
    )
    conn.execute(
        """
        INSERT INTO public.api_models (provider_id, display_name, model_key, modality)
        SELECT p.id, %(key)s, %(key)s, 'chat' FROM public.api_providers p
        WHERE p.name = 'chat'
          AND NOT EXISTS (SELECT FROM public.api_models m WHERE m.provider_id = p.id AND m.model_key = %(key)s)
        """,
        {"key": model_key},
    )
