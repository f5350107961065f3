"""studio.ratings: what each person thinks of a portrait."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from core.db import Connection
from core.values import CharacterId, PersonId, PortraitId


@dataclass(frozen=True, kw_only=True)
class Rating:
    """One person's word on one portrait; `stars` from 1 to 5, None where none were given."""

    is_favourite: bool = False
    stars: int | None = None


NO_RATING = Rating()


def rate(
    conn: Connection, portrait_id: PortraitId, *, favourite: bool | None = None, stars: int | None = None
) -> None:
    """As the person of this connection; None leaves what stands, 0 stars take them back.

    Raises NotFound, NotAllowed, BadRequest.
    """
    conn.execute("SELECT studio.rate_portrait(%s, %s, %s)", (portrait_id, favourite, stars))


def of_person(conn: Connection, character_id: CharacterId, person: PersonId) -> dict[UUID, Rating]:
    """What this person said of a character's portraits, by portrait."""
    rows = conn.execute(
        """
        SELECT portrait_id, is_favourite, stars FROM studio.ratings
        WHERE character_id = %s AND user_id = %s
        """,
        (character_id, person),
    ).fetchall()
    return {portrait: Rating(is_favourite=favourite, stars=stars) for portrait, favourite, stars in rows}
