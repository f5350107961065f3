"""studio.character_cards: cards as they came; and the fields of a character that a card has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row, dict_row

from core.db import Connection
from core.values import CharacterId, PersonId, Picture, PortraitId

# Columns of public.characters that a card fills; the scenario is a scene.
COLUMNS = (
    "name", "description", "persona", "personality_traits", "first_message", "alternate_greetings", "voice_examples",
    "system_prompt", "traits", "role", "appearance_tags", "clothing_tags", "forbidden_phrases", "gender",
    "content_rating", "voice_tone", "mood",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class KeptCard:
    """A card as it came: `card` is its JSON, `mapped` what its fields became at the import."""

    form: str
    card: str
    mapped: Mapping[str, object]


def insert_character(conn: Connection, owner: PersonId, values: Mapping[str, object]) -> CharacterId:
    """A new character with the columns of COLUMNS that `values` names."""
    row = {name: values[name] for name in COLUMNS if name in values} | {"user_id": owner}
    statement = sql.SQL("INSERT INTO public.characters ({}) VALUES ({}) RETURNING id").format(
        sql.SQL(", ").join(map(sql.Identifier, row)), sql.SQL(", ").join(map(sql.Placeholder, row))
    )
    made = conn.execute(statement, row).fetchone()
    assert made is not None  # noqa: S101 — RETURNING of a plain insert
    return CharacterId(made[0])


def keep(
    conn: Connection,
    character_id: CharacterId,
    *,
    form: str,
    card: str,
    mapped: Mapping[str, object],
    sha256: str,
) -> None:
    """The card a character came from, as this connection's person. Raises NotFound."""
    conn.execute(
        "SELECT studio.keep_card(%s, %s, %s, %s, %s)", (character_id, form, card, json.dumps(mapped), sha256)
    )


def of_character(conn: Connection, character_id: CharacterId) -> KeptCard | None:
    """The card a character came from, None where it was made here."""
    with conn.cursor(row_factory=class_row(KeptCard)) as cursor:
        return cursor.execute(
            "SELECT form, card, mapped FROM studio.character_cards WHERE character_id = %s", (character_id,)
        ).fetchone()


def same_card(conn: Connection, sha256: str, owner: PersonId) -> tuple[CharacterId, str] | None:
    """A character of `owner` that came from the very same card, with its name; None where there is none."""
    row = conn.execute(
        """
        SELECT c.id, c.name FROM studio.character_cards k JOIN public.characters c ON c.id = k.character_id
        WHERE k.sha256 = %s AND c.user_id = %s AND c.deleted_at IS NULL LIMIT 1
        """,
        (sha256, owner),
    ).fetchone()
    return (CharacterId(row[0]), str(row[1])) if row else None


def fields_of(conn: Connection, character_id: CharacterId) -> dict[str, Any]:
    """The columns of COLUMNS as they stand, nothing as an empty text or list."""
    statement = sql.SQL("SELECT {} FROM public.characters WHERE id = %s").format(
        sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    )
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(statement, (character_id,)).fetchone() or {}
    lists = {"alternate_greetings", "voice_examples", "appearance_tags", "clothing_tags", "forbidden_phrases"}
    return {
        name: value if value is not None else ([] if name in lists else "") for name, value in row.items()
    }


def keep_picture(conn: Connection, character_id: CharacterId, picture: Picture) -> PortraitId:
    """Library row and portrait of a picture that a person brought; the same one twice is one. Raises NotFound."""
    row = conn.execute(
        "SELECT studio.keep_brought_picture(%s, %s, %s, %s, %s, %s, %s)",
        (
            character_id,
            picture.sha256,
            picture.phash,
            picture.media_type,
            len(picture.data),
            picture.width,
            picture.height,
        ),
    ).fetchone()
    assert row is not None  # noqa: S101 — the function returns one row or raises
    return PortraitId(UUID(str(row[0])))
