"""Whether a provider answers: one question to its address, without a key and without an order, so it never costs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from core.authority import Action, permit
from core.db import health
from core.errors import NotFound
from core.providers import Remote
from core.services import Services
from core.values import Person, provider_name

SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Reached:
    """What one look said, and when."""

    provider: str
    at: datetime
    ok: bool
    seconds: float | None
    sentence: str


def look(provider: str, person: Person, services: Services) -> Reached:
    """Ask a provider's address whether anything answers; kept, so that everybody sees its age.

    Raises NotAllowed (needs qa, product or admin), NotFound where it is not configured.
    """
    permit(person, Action.ask_providers)
    found = services.providers.get(provider)
    if found is None:
        raise NotFound(f"{provider_name(provider)} is not set up here.")
    if isinstance(found, Remote):
        ok, seconds, sentence = _ask(found.address)
    else:
        ok, seconds, sentence = True, None, "It draws on this machine."
    with services.db.as_service() as conn:
        health.note_look(conn, f"provider.{provider}", ok=ok, seconds=seconds, sentence=sentence)
    return Reached(provider=provider, at=datetime.now(UTC), ok=ok, seconds=seconds, sentence=sentence)


def _ask(address: str) -> tuple[bool, float | None, str]:
    """Any answer below 500 is one: without a key it is a refusal."""
    begun = time.perf_counter()
    try:
        with (
            httpx.Client(timeout=SECONDS, follow_redirects=False, trust_env=False) as client,
            client.stream("GET", address) as answer,
        ):
            status = answer.status_code
    except httpx.TimeoutException:
        return False, None, f"It did not answer within {SECONDS:.0f} s."
    except httpx.HTTPError:
        return False, None, "It could not be reached."
    seconds = time.perf_counter() - begun
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return False, seconds, f"It answered HTTP {status}."
    return True, seconds, "It answers."
