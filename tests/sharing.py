"""People who share a character in tests: editors that an e-mail address finds."""

from __future__ import annotations

import json

from core import members
from core.services import Services
from core.values import Character, Person
from tests.builders import one


def in_the_team(person: Person, services: Services) -> str:
    """Write a person's roles where the sign-in keeps them; the address they sign in with."""
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE auth.users SET raw_app_meta_data = %s WHERE id = %s",
            (json.dumps({"roles": sorted(person.roles)}), person.id),
        )
    return one(services.db, "SELECT email FROM auth.users WHERE id = %s", (person.id,))


def share(
    character: Character, owner: Person, member: Person, services: Services, *, can_edit: bool = False
) -> None:
    """What the owner does on the page."""
    members.add(character.id, in_the_team(member, services), owner, services, can_edit=can_edit)
