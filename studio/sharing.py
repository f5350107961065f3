"""Sharing one character: the dialog behind "Share…", and the look-only state of what others share."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from core import characters, members
from core.errors import NotFound
from core.members import Sharing
from core.values import Character, CharacterId, Person, PersonId
from studio import calls, components
from studio.asking import Asking

LOST: Final = (
    "This character was deleted, or it is not shared with you any more. What stands here is what was last shown: "
    "copy it, or keep it as a character of your own."
)


def build(asking: Asking) -> None:
    """Draw the dialog and the note above the fields."""
    components.sharing(calls.answering(asking, _answers(asking)))


def is_offered(asking: Asking) -> bool:
    """False where nobody signs in: there is no colleague to share with."""
    return asking.gate.signs_in


def facts(asking: Asking, character: Character, person: Person) -> dict[str, object]:
    """What the page knows of a row's sharing: whose it is, and what this person may do."""
    return {
        "may_change": characters.may_change(character, person, asking.services),
        "may_remove": characters.may_remove(character, person, asking.services),
        "owner": members.owner_name(character, person, asking.services),
    }


def lost(character_id: CharacterId) -> dict[str, object]:
    """The value of `Record` for a row that this person cannot see any more: the page keeps what it shows."""
    return {"id": str(character_id), "pushed": True, "lost": LOST}


def _answers(asking: Asking) -> dict[str, calls.Answer]:
    services = asking.services

    def read(person: Person, sent: calls.Sent) -> object:
        return _shown(members.of_character(_character(sent), person, services))

    def add(person: Person, sent: calls.Sent) -> object:
        email = calls.text(sent, "email")
        return _shown(members.add(_character(sent), email, person, services, can_edit=_may(sent)))

    def change(person: Person, sent: calls.Sent) -> object:
        return _shown(members.change(_character(sent), _member(sent), person, services, can_edit=_may(sent)))

    def remove(person: Person, sent: calls.Sent) -> object:
        return _shown(members.remove(_character(sent), _member(sent), person, services))

    def leave(person: Person, sent: calls.Sent) -> object:
        if not members.leave(_character(sent), person, services):
            raise NotFound("You are no member of this character any more.")
        return {"left": True}

    return {"read": read, "add": add, "change": change, "remove": remove, "leave": leave}


def _shown(sharing: Sharing) -> dict[str, object]:
    return {
        "character": str(sharing.character_id),
        "everybody": sharing.everybody,
        "can_share": sharing.can_share,
        "can_leave": sharing.can_leave,
        "people": [{**asdict(one), "person": str(one.person)} for one in sharing.people],
    }


def _character(sent: calls.Sent) -> CharacterId:
    return CharacterId(calls.an_id(sent, "character"))


def _member(sent: calls.Sent) -> PersonId:
    return PersonId(calls.an_id(sent, "person"))


def _may(sent: calls.Sent) -> bool:
    return sent.get("may_change") is True
