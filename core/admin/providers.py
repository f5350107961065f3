"""Providers as an admin sees them: is there a key, does it answer, how many requests at once, what failed last; and a
pause by hand (SPEC "Failure"). A key is only ever said to be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from core.audit import troubles
from core.audit.troubles import Seen
from core.authority import Action, permit
from core.db import admin, models
from core.db.admin import LastError, PauseRow
from core.errors import BadRequest
from core.routing import PLACEHOLDER
from core.services import Services
from core.values import Person

KEYS: Mapping[str, str] = {
    "fal": "FAL_KEY",
    "replicate": "REPLICATE_API_TOKEN",
    "novita": "NOVITA_API_KEY",
    "runpod": "RUNPOD_API_KEY",
}
"""The setting that holds each provider's key; Sketch needs none."""


@dataclass(frozen=True, kw_only=True)
class ProviderStand:
    """One provider. `limit` counts requests at once of all workers together, None without a key; `pause_words` say why
    it is paused and how long yet, empty where it is not; `on` of its `models` are switched on.
    """

    name: str
    has_key: bool
    limit: int | None
    seen: Seen | None
    pause: PauseRow | None
    pause_words: str
    last_error: LastError | None
    models: int
    on: int


def listing(person: Person, services: Services) -> list[ProviderStand]:
    """Every provider that has a key, a model or a pause; those with a key first. Raises NotAllowed (qa, product, admin)."""
    permit(person, Action.see_settings)
    with services.db.as_reader(person) as conn:
        rows = admin.model_rows(conn)
        paused = {one.provider: one for one in admin.pause_rows(conn)}
        words = models.pauses(conn)
        seen = troubles.looks(conn)
        errors = {one.provider: one for one in admin.last_errors(conn)}
    names = {*services.providers, *KEYS, *(one.provider for one in rows), *paused}
    found = [
        ProviderStand(
            name=name,
            has_key=name in services.providers,
            limit=services.limits.get(name),
            seen=seen.get(f"provider.{name}"),
            pause=paused.get(name),
            pause_words=str(words.get(name, "")),
            last_error=errors.get(name),
            models=sum(one.provider == name for one in rows),
            on=sum(one.provider == name and one.is_on and one.provider_is_on for one in rows),
        )
        for name in names
    ]
    return sorted(found, key=lambda one: (not one.has_key, one.name == PLACEHOLDER, one.name))


def pause(
    provider: str,
    person: Person,
    services: Services,
    *,
    seen: datetime | None,
    lasting: timedelta | None,
    why: str,
) -> None:
    """Send nothing to a provider for a while, None: until it is resumed; recorded. What waits for it stays queued, what
    was sent is still fetched. `seen`: the end of the pause the admin looked at, None where there was none.

    Raises NotAllowed (needs admin), BadRequest (provider, lasting, why), Conflict `CHANGED_MEANWHILE`.
    """
    permit(person, Action.pause_providers)
    if provider == PLACEHOLDER:
        raise BadRequest(
            "Sketch draws on this machine and is asked of nobody. Switch its model off instead.",
            field="provider",
        )
    if lasting is not None and not timedelta() < lasting <= timedelta(days=366):
        raise BadRequest("A pause lasts a year at most, or until somebody resumes it.", field="lasting")
    until = None if lasting is None else datetime.now(UTC) + lasting
    with services.db.as_user(person) as conn:
        admin.pause_provider(conn, provider, seen=seen, until=until, why=why)
