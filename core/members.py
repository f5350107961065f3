"""Sharing one character with colleagues (SPEC "Data", character_members; docs/decisions/0033).

The owner or an admin says who else sees it, and who of them changes it. Its files stay in the owner's folder; a
picture is paid by whoever asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from core import characters, log
from core.authority import Action, may, permit
from core.db import members
from core.db.members import MemberRow
from core.errors import BadRequest
from core.services import Services
from core.values import Character, CharacterId, Person, PersonId

LONGEST_EMAIL = 254  # characters (RFC 5321)

_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class Member:
    """Somebody who works on a character; `name` is the address they sign in with, `is_me` who asks.

    `has_role` False: they hold no editor role now, and see nothing of it until they do again.
    """

    person: PersonId
    name: str
    is_owner: bool
    is_me: bool
    can_edit: bool
    has_role: bool


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """Who works on a character: its owner first. `everybody` is TEAM_SHARING: the whole team does anyway.

    `can_share`: the asking person adds, changes and removes; `can_leave`: they are a member.
    """

    character_id: CharacterId
    people: tuple[Member, ...]
    everybody: bool
    can_share: bool
    can_leave: bool


def of_character(character_id: CharacterId, person: Person, services: Services) -> Sharing:
    """Who works on a character this person can see. Raises NotFound."""
    character = characters.load(character_id, person, services)
    with services.db.as_user(person) as conn:
        rows = members.of_character(conn, character_id)
    return Sharing(
        character_id=character_id,
        people=tuple(_member(row, person) for row in rows),
        everybody=services.settings.shares_with_team,
        can_share=may_share(character, person),
        can_leave=character.member_may_change is not None,
    )


def owner_name(character: Character, person: Person, services: Services) -> str:
    """What the owner of somebody else's character signs in with; empty for one's own."""
    if character.user_id == person.id:
        return ""
    with services.db.as_user(person) as conn:
        return members.owner_name(conn, character.id)


def may_share(character: Character, person: Person) -> bool:
    """True where this person says who else works on the character: its owner, or an admin."""
    is_owner = character.user_id == person.id and may(person, Action.share_characters)
    return is_owner or may(person, Action.share_anybodys)


def add(
    character_id: CharacterId, email: str, person: Person, services: Services, *, can_edit: bool
) -> Sharing:
    """Share a character with the editor who signs in with that address; once more changes what they may.

    Raises NotFound (NO_SUCH_EDITOR where no editor has it), NotAllowed, BadRequest (NOT_ONESELF), Conflict
    (TOO_MANY_MEMBERS).
    """
    permit(person, Action.share_characters)
    wanted = email.replace("\x00", "").strip()
    if not wanted or len(wanted) > LONGEST_EMAIL or "@" not in wanted:
        raise BadRequest(
            "Enter the e-mail address your colleague signs in with, such as ana@example.org.", field="email"
        )
    with services.db.as_user(person) as conn:
        member = members.add(conn, character_id, wanted, can_edit=can_edit)
    _log.info("member_added", character_id=str(character_id), member=str(member), can_edit=can_edit)
    return of_character(character_id, person, services)


def change(
    character_id: CharacterId, member: PersonId, person: Person, services: Services, *, can_edit: bool
) -> Sharing:
    """Let a member change the character, or look at it only. Raises NotFound, NotAllowed, BadRequest."""
    permit(person, Action.share_characters)
    with services.db.as_user(person) as conn:
        members.change(conn, character_id, member, can_edit=can_edit)
    return of_character(character_id, person, services)


def remove(character_id: CharacterId, member: PersonId, person: Person, services: Services) -> Sharing:
    """End the sharing with a member; one who is out already is no error. Raises NotFound, NotAllowed."""
    permit(person, Action.share_characters)
    with services.db.as_user(person) as conn:
        members.remove(conn, character_id, member)
    return of_character(character_id, person, services)


def leave(character_id: CharacterId, person: Person, services: Services) -> bool:
    """End one's own membership; False where there was none. Raises NotAllowed."""
    permit(person, Action.leave_characters)
    with services.db.as_user(person) as conn:
        return members.leave(conn, character_id)


def _member(row: MemberRow, person: Person) -> Member:
    return Member(
        person=row.person,
        name=row.name,
        is_owner=row.is_owner,
        is_me=row.person == person.id,
        can_edit=row.can_edit,
        has_role=row.is_editor or row.is_owner,
    )
