"""Who did what, as people call each other: you, a colleague's name, or the beginning of an id."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from audit import words
from audit.asking import told
from audit.services import person, services
from core import findings
from core.errors import StudioError

Names = Mapping[UUID, str]


def names() -> Names:
    """The team by id; empty where it could not be asked, which has been said on the page then."""
    try:
        return {one.id: one.name for one in findings.team(person(), services())}
    except StudioError as error:
        told(error)
        return {}


def called(who: UUID | None, known: Names, *, nobody: str = "nobody") -> str:
    """A person as the page says it; `nobody` where there is none."""
    if who is None:
        return nobody
    if who == person().id:
        return "you"
    return known.get(who, words.short(who))
