"""What a character was before: its versions, and how to have one of them back (SPEC "Data", character_versions)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from core import characters
from core.db import history
from core.errors import NotFound
from core.services import Services
from core.values import Character, CharacterId, Person, PersonId

PAGE = 30


@dataclass(frozen=True, kw_only=True)
class Version:
    """Edits of one person within ten minutes. `changes` maps a field to what it was and what it became.

    `who` is None where the platform wrote. Texts are strings, lists are lists of strings, nothing is None.
    """

    id: int
    number: int
    who: PersonId | None
    at: datetime
    changes: Mapping[str, tuple[object, object]]


def versions(
    character_id: CharacterId, person: Person, services: Services, *, before: int | None = None
) -> list[Version]:
    """A page of versions, the newest first; `before` is the last id of the page above. Raises NotFound."""
    characters.load(character_id, person, services)
    with services.db.as_user(person) as conn:
        rows = history.of_character(conn, character_id, before=before, limit=PAGE)
    return [_version(row) for row in rows]


def _version(row: history.VersionRow) -> Version:
    changes = {field: (pair[0], pair[1]) for field, pair in row.changes.items()}
    return Version(id=row.id, number=row.version, who=row.who, at=row.at, changes=changes)


def fields_at(
    character_id: CharacterId, version_id: int, person: Person, services: Services
) -> dict[str, object]:
    """The fields that differ today from what they were right after that version, as they were. Raises NotFound."""
    with services.db.as_user(person) as conn:
        if history.get(conn, character_id, version_id) is None:
            raise NotFound("This version is not there any more, or the character is not yours.")
        later = history.since(conn, character_id, version_id)
    was: dict[str, object] = {}
    for row in later:  # newest first: the oldest "before" after that version wins
        was.update({field: pair[0] for field, pair in row.changes.items()})
    return was


def restore(
    character_id: CharacterId,
    version_id: int,
    *,
    version: int,
    person: Person,
    services: Services,
    fields: Collection[str] | None = None,
) -> Character:
    """Write the fields (or only `fields`) as they were after that version, as a new edit over `version`.

    Raises what `characters.save` raises, and NotFound.
    """
    was = fields_at(character_id, version_id, person, services)
    changes = {name: value for name, value in was.items() if fields is None or name in fields}
    return characters.save(character_id, changes, version=version, person=person, services=services)
