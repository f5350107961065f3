"""Providers that are paused for everybody: a bad key or an empty balance concerns every request (SPEC "Failure")."""

from __future__ import annotations

from dataclasses import dataclass

from core.authority import Action, permit
from core.db import models
from core.services import Services
from core.values import Person, provider_name


@dataclass(frozen=True, kw_only=True)
class PausedProvider:
    """A provider nothing is sent to now; `words` say why and for how long, `seconds` is how long it lasts yet."""

    provider: str
    words: str
    seconds: float


def listing(person: Person, services: Services) -> list[PausedProvider]:
    """What is paused now, for everybody with a role. Raises NotAllowed."""
    permit(person, Action.use_studio)
    with services.db.as_user(person) as conn:
        found = models.pauses(conn)
    return [
        PausedProvider(provider=name, words=f"{provider_name(name)} is paused: {why}.", seconds=why.seconds)
        for name, why in sorted(found.items())
    ]


def resume_provider(provider: str, person: Person, services: Services, *, why: str = "") -> bool:
    """Send to a provider again before its pause ends by itself: its key or balance was mended.

    What waits for it is looked at at once; a provider that refuses again is paused again. Recorded. False where
    it was not paused. Raises NotAllowed (needs admin).
    """
    permit(person, Action.pause_providers)
    with services.db.as_user(person) as conn:
        return models.resume_as(conn, provider, why=why)
