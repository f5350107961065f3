"""public.characters: the fields that editors write, and the pictures that portraits set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString

from psycopg import Cursor, sql
from psycopg.rows import RowMaker, class_row

from core.db import Connection
from core.values import Character, CharacterId, PersonId

COLUMNS = """
    c.id, c.user_id, c.name, c.description, c.gender, c.content_rating, c.is_public, c.role, c.traits,
    c.appearance_tags, c.clothing_tags, c.image_url, c.reference_image_url, c.match_reference, c.reference_is_auto,
    c.seed_locked, c.version, c.created_at, c.updated_at, c.persona, c.personality_traits, c.voice_tone, c.mood,
    c.first_message, c.alternate_greetings, c.system_prompt, c.forbidden_phrases, c.voice_examples,
    c.preview_image_url, c.rating_settled_at,
    (SELECT m.can_edit FROM studio.character_members m WHERE m.character_id = c.id AND m.user_id = auth.uid())
"""

# What a person may change through `save`; every name is a column.
EDITABLE = frozenset(
    {
        "name",
        "description",
        "gender",
        "content_rating",
        "is_public",
        "role",
        "traits",
        "appearance_tags",
        "clothing_tags",
        "match_reference",
        "persona",
        "personality_traits",
        "voice_tone",
        "mood",
        "first_message",
        "alternate_greetings",
        "system_prompt",
        "forbidden_phrases",
        "voice_examples",
    }
)


def as_character(_cursor: Cursor[Any]) -> RowMaker[Character]:
    """Row factory for COLUMNS."""

    def make(row: Sequence[Any]) -> Character:
        return Character(
            id=row[0],
            user_id=row[1],
            name=row[2],
            description=row[3],
            gender=row[4],
            content_rating=row[5],
            is_public=row[6],
            role=row[7],
            traits=row[8],
            appearance_tags=tuple(row[9] or ()),
            clothing_tags=tuple(row[10] or ()),
            image_url=row[11],
            reference_image_url=row[12],
            match_reference=row[13],
            reference_is_auto=row[14],
            seed_locked=row[15],
            version=row[16],
            created_at=row[17],
            updated_at=row[18],
            persona=row[19],
            personality_traits=row[20],
            voice_tone=row[21],
            mood=row[22],
            first_message=row[23],
            alternate_greetings=tuple(row[24] or ()),
            system_prompt=row[25],
            forbidden_phrases=tuple(row[26] or ()),
            voice_examples=tuple(row[27] or ()),
            preview_image_url=row[28],
            rating_settled_at=row[29],
            member_may_change=row[30],
        )

    return make


@dataclass(frozen=True, kw_only=True)
class ListedCharacter:
    """What a list shows of a character; `thumbnail` is the primary portrait's address or None.

    `owner_name` is what its owner signs in with, None for a character of one's own.
    """

    id: CharacterId
    user_id: PersonId
    name: str
    image_url: str | None
    thumbnail: str | None
    updated_at: datetime
    owner_name: str | None


def get(conn: Connection, character_id: CharacterId, *, with_deleted: bool = False) -> Character | None:
    """One character, or None where there is none this connection may see; a deleted one only where asked for."""
    with conn.cursor(row_factory=as_character) as cursor:
        return cursor.execute(
            f"SELECT {COLUMNS} FROM public.characters c WHERE c.id = %s AND (%s OR c.deleted_at IS NULL)",
            (character_id, with_deleted),
        ).fetchone()


def lock(conn: Connection, character_id: CharacterId) -> Character | None:
    """One character, locked until the transaction ends."""
    with conn.cursor(row_factory=as_character) as cursor:
        return cursor.execute(
            f"SELECT {COLUMNS} FROM public.characters c WHERE c.id = %s AND c.deleted_at IS NULL FOR UPDATE",
            (character_id,),
        ).fetchone()


_PAGE: LiteralString = """
    SELECT c.id, c.user_id, c.name, c.image_url, c.updated_at FROM {source}
    WHERE {whose} AND c.deleted_at IS NULL
      AND (%(search)s = '' OR position(lower(%(search)s) IN lower(c.name)) > 0)
      AND (%(moment)s::timestamptz IS NULL OR (c.updated_at, c.id) < (%(moment)s, %(last)s::uuid))"""
_SORTED: LiteralString = " ORDER BY c.updated_at DESC, c.id DESC LIMIT %(limit)s"
_EVERYBODYS: LiteralString = _PAGE.format(source="public.characters c", whose="true")
# Two short pages, each by its index, and the first of both: an OR over them would scan every character.
_OWN_AND_SHARED: LiteralString = (
    "SELECT * FROM (("
    + _PAGE.format(source="public.characters c", whose="c.user_id = %(person)s")
    + _SORTED
    + ") UNION ALL ("
    + _PAGE.format(
        source="studio.shared_characters() s JOIN public.characters c ON c.id = s.character_id",
        whose="c.user_id <> %(person)s",
    )
    + _SORTED
    + ")) both_of"
)


def list_recent(
    conn: Connection,
    person: PersonId,
    *,
    search: str = "",
    everybody: bool = False,
    after: tuple[datetime, CharacterId] | None = None,
    limit: int = 50,
) -> list[ListedCharacter]:
    """The characters last worked on, newest first; `search` is part of a name, any case.

    This person's own and those shared with them, or `everybody`'s. `after` is the last of the page above: its time
    and id.
    """
    moment, last = after if after is not None else (None, None)
    with conn.cursor(row_factory=class_row(ListedCharacter)) as cursor:
        return cursor.execute(
            f"""
            WITH page AS ({_EVERYBODYS if everybody else _OWN_AND_SHARED} ORDER BY updated_at DESC, id DESC LIMIT %(limit)s)
            SELECT page.*, o.name AS owner_name,
                   (SELECT p.thumbnail_url FROM public.character_portraits p
                    WHERE p.character_id = page.id AND p.is_primary) AS thumbnail
            FROM page
            LEFT JOIN studio.owners_named(ARRAY(SELECT f.id FROM page f WHERE f.user_id <> %(person)s)) o
              ON o.character_id = page.id
            ORDER BY page.updated_at DESC, page.id DESC
            """,
            {
                "person": person,
                "search": search.strip(),
                "moment": moment,
                "last": last,
                "limit": limit,
            },
        ).fetchall()


def insert(conn: Connection, owner: PersonId, values: Mapping[str, object]) -> Character:
    """A new character; `values` name columns of EDITABLE, the rest takes its default (an empty draft).

    Made by a person here, its rating is nobody's inheritance.
    """
    fresh = {"name": "", "description": "", "gender": "unspecified", "rating_settled_at": datetime.now(UTC)}
    row = {**fresh, **values, "user_id": owner}
    statement = sql.SQL("INSERT INTO public.characters AS c ({}) VALUES ({}) RETURNING {}").format(
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Placeholder, row)),
        sql.SQL(COLUMNS),  # pyright: ignore[reportArgumentType] — a constant of this module
    )
    with conn.cursor(row_factory=as_character) as cursor:
        made = cursor.execute(statement, row).fetchone()
    assert made is not None  # noqa: S101 — RETURNING of a plain insert
    return made


def update(
    conn: Connection, character_id: CharacterId, values: Mapping[str, object], *, version: int
) -> Character | None:
    """Write `values` (columns of EDITABLE) where the row still has that version; None where it has not.

    A rating that is written was chosen, and is not asked about again.
    """
    if "content_rating" in values:
        values = {**values, "rating_settled_at": datetime.now(UTC)}
    statement = sql.SQL(
        "UPDATE public.characters AS c SET {} WHERE c.id = {} AND c.version = {} AND c.deleted_at IS NULL RETURNING {}"
    ).format(
        sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in values
        ),
        sql.Placeholder("_id"),
        sql.Placeholder("_version"),
        sql.SQL(COLUMNS),  # pyright: ignore[reportArgumentType] — a constant of this module
    )
    with conn.cursor(row_factory=as_character) as cursor:
        return cursor.execute(statement, {**values, "_id": character_id, "_version": version}).fetchone()


def settle_rating(conn: Connection, character_id: CharacterId) -> bool:
    """Note that a person confirmed the rating as it is; False where there is no such character to change."""
    cursor = conn.execute(
        "UPDATE public.characters SET rating_settled_at = now() WHERE id = %s AND deleted_at IS NULL",
        (character_id,),
    )
    return cursor.rowcount == 1


def hide(conn: Connection, character_id: CharacterId, by: PersonId) -> bool:
    """Remove on purpose: hidden here, and no longer public on the platform. False where there is none to change."""
    cursor = conn.execute(
        """
        UPDATE public.characters SET deleted_at = now(), deleted_by = %s, is_public = false
        WHERE id = %s AND deleted_at IS NULL
        """,
        (by, character_id),
    )
    return cursor.rowcount == 1


def show_again(conn: Connection, character_id: CharacterId) -> bool:
    """Undo of `hide`, still private; False where there is none to bring back."""
    cursor = conn.execute(
        "UPDATE public.characters SET deleted_at = NULL, deleted_by = NULL WHERE id = %s AND deleted_at IS NOT NULL",
        (character_id,),
    )
    return cursor.rowcount == 1


def follow_primary(conn: Connection, character_id: CharacterId) -> None:
    """characters.image_url is the primary portrait's path, for portraits we write (SPEC "Primary")."""
    conn.execute(
        """
        UPDATE public.characters c SET image_url = p.image_url
        FROM public.character_portraits p
        WHERE c.id = %s AND p.character_id = c.id AND p.is_primary AND c.image_url IS DISTINCT FROM p.image_url
        """,
        (character_id,),
    )
    conn.execute(
        """
        UPDATE public.characters c SET image_url = NULL
        WHERE c.id = %s AND c.image_url IS NOT NULL
          AND NOT EXISTS (SELECT FROM public.character_portraits p WHERE p.character_id = c.id AND p.is_primary)
          AND EXISTS (SELECT FROM public.character_portraits p
                      WHERE p.character_id = c.id AND p.image_url = c.image_url AND p.deleted_at IS NOT NULL)
        """,
        (character_id,),
    )


def learn_from_portrait(
    conn: Connection, character_id: CharacterId, *, image_url: str, seed: int | None
) -> None:
    """Auto-save's part of the character: its seed once, and a reference only where no person chose one."""
    conn.execute(
        """
        UPDATE public.characters
        SET seed_locked = coalesce(seed_locked, %(seed)s),
            reference_image_url = CASE WHEN reference_image_url IS NULL OR reference_is_auto
                                       THEN %(image)s ELSE reference_image_url END,
            reference_is_auto = reference_is_auto OR reference_image_url IS NULL
        WHERE id = %(id)s
        """,
        {"id": character_id, "image": image_url, "seed": seed},
    )
