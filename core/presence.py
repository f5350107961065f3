"""Who has a character open, told from page to page through Postgres: nothing is stored (docs/decisions/0023).

A page tells that it arrived, the others answer that they are here; each repeats it while it is open, and a page
forgets what it has not heard of for a while. So a process that dies takes its people with it.
"""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import Final

from core import log
from core.db import presence
from core.errors import StudioError
from core.events import Change
from core.services import Services
from core.values import CharacterId, Person

TABLE: Final = "presence"
_log = log.get(__name__)


class Op(StrEnum):
    """What a page tells the others."""

    arrived = "arrived"  # and asks who is there
    here = "here"
    left = "left"


class OpenPage:
    """One open page of a person, and the character on its desk. Sync: call it from a thread."""

    def __init__(self, person: Person, services: Services) -> None:
        self.id = uuid.uuid4()
        self._person = person
        self._services = services
        self._at: CharacterId | None = None

    def go_to(self, character_id: CharacterId | None) -> None:
        """The page shows this character now (None: none). Said again for the same one, it is a sign of life."""
        if character_id == self._at:
            self._tell(Op.here)
            return
        self.leave()
        self._at = character_id
        self._tell(Op.arrived)

    def leave(self) -> None:
        """The page is closed, or shows somebody else."""
        self._tell(Op.left)
        self._at = None

    def answers(self, change: Change) -> bool:
        """True where another page asks who is there, and this one is."""
        is_asked = change.table == TABLE and change.op == Op.arrived and change.page != str(self.id)
        return is_asked and self._at is not None and change.character_id == str(self._at)

    def answer(self) -> None:
        """Say that this page is here."""
        self._tell(Op.here)

    def said_by_itself(self, change: Change) -> bool:
        """True for this page's own words coming back."""
        return change.table == TABLE and change.page == str(self.id)

    def _tell(self, op: Op) -> None:
        if self._at is None:
            return
        try:
            with self._services.db.as_user(self._person) as conn:
                presence.tell(conn, self.id, self._at, op, self._person.name)
        except StudioError as error:  # the next sign of life says it again
            _log.warning("presence_not_told", code=error.reason)
