"""What the grid of portraits asks its server: its rows again, its running tiles, and what is done with many at once.

A question here is answered by itself and in turn. Gradio's `always_last` sends the words of the first event once
more where it should send the last one's, so a reading that was owed could be lost among readings of progress.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from core import portraits
from core.errors import NotFound
from core.portraits import Tile
from core.values import CharacterId, Person
from studio import calls
from studio.asking import Asking
from studio.portraits import MOST_PORTRAITS, value

# of a running tile; what it was asked for with, thousands of characters at times, stands on the page already
MOVING: Final = (
    "id", "title", "status", "stage", "stage_words", "fraction", "queue_position", "seconds_left", "error_words",
    "can_cancel", "is_unknown",
)  # fmt: skip


def server(asking: Asking) -> calls.Server:
    """The server function of the grid."""
    return calls.answering(asking, _answers(asking))


def _answers(asking: Asking) -> dict[str, calls.Answer]:
    services = asking.services

    def read(person: Person, sent: calls.Sent) -> object:
        return value(asking, person, _character(sent), limit=sent.get("limit"))

    def running(person: Person, sent: calls.Sent) -> object:
        character_id, at = _character(sent), _now()
        found = portraits.running(character_id, person, services)
        return {"character_id": str(character_id), "at": at, "tiles": [_moving(tile) for tile in found]}

    def every(person: Person, sent: calls.Sent) -> object:
        character_id = _character(sent)
        found = portraits.every(character_id, person, services, limit=MOST_PORTRAITS)
        primary = str(found.primary) if found.primary else None
        return {"character_id": str(character_id), "ids": [str(one) for one in found.ids], "primary": primary}

    def delete(person: Person, sent: calls.Sent) -> object:
        character_id, lots = _character(sent), _lots(_ids(sent))
        gone = [portraits.delete_many(character_id, lot, person, services) for lot in lots]
        if not any(gone):
            raise NotFound("These portraits do not exist any more, or they are not yours.")
        return {"at": _now()}

    def restore(person: Person, sent: calls.Sent) -> object:
        character_id, ids = _character(sent), _ids(sent)
        primary = next((one for one in ids if str(one) == sent.get("star")), None)
        for lot in _lots(ids):
            portraits.restore_many(character_id, lot, person, services, primary=primary)
        return {"at": _now()}

    return {"read": read, "running": running, "every": every, "delete": delete, "restore": restore}


def _moving(tile: Tile) -> dict[str, object]:
    return {name: getattr(tile, name) for name in MOVING}


def _character(sent: calls.Sent) -> CharacterId:
    return CharacterId(calls.an_id(sent, "character"))


def _ids(sent: calls.Sent) -> tuple[UUID, ...]:
    return calls.ids(sent, "ids", most=MOST_PORTRAITS)


def _lots(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    """Many are taken lot by lot: a character is locked for a moment, not for all of them."""
    return (ids[at : at + portraits.MOST_AT_ONCE] for at in range(0, len(ids), portraits.MOST_AT_ONCE))


def _now() -> int:
    return time.time_ns() // 1000
