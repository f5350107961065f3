"""What a provider answered to a paid request, without what is secret in it: addresses, prompts, anything it might have
echoed (SPEC "Audit": one job's whole story).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast
from urllib.parse import urlsplit

from core.authority import Action, permit
from core.db import jobs, submissions
from core.errors import NotFound
from core.services import Services
from core.values import JobId, Person

Shape: TypeAlias = "str | int | float | bool | list[Shape] | dict[str, Shape] | None"

_DEEPEST = 6
_MOST_ITEMS = 20
_LONGEST_NAME = 60
_LONGEST_WORD = 100
# Whose words are a provider's own. Everything else may be somebody's: of that only the length is told.
_PLAIN = frozenset(
    {
        *(
            "provider",
            "model",
            "model_key",
            "model_name",
            "request_id",
            "id",
            "task_id",
            "status",
            "state",
            "version",
        ),
        *("content_type", "mime_type", "format", "code", "error_code", "type", "created_at", "started_at"),
        *("completed_at", "executiontime", "delaytime", "timings", "queue_position", "seed", "finish_reason"),
    }
)
_WORD = re.compile(r"[\w .:/+-]*")


@dataclass(frozen=True, kw_only=True)
class Told:
    """One paid request and the shape of its receipt, None where no receipt came."""

    attempt: int
    provider: str
    answer: Shape = field(repr=False)


def told(job_id: JobId, person: Person, services: Services) -> list[Told]:
    """What the provider answered to each paid request of a job, redacted. Raises NotAllowed (needs qa or admin), NotFound."""
    permit(person, Action.see_answers)
    with services.db.as_user(person) as conn:
        if jobs.get(conn, job_id) is None:
            raise NotFound("There is no such job, or it is not one you may see.")
    with (
        services.db.as_service() as conn
    ):  # receipts hold addresses that are secrets: nobody reads them as a person
        found = submissions.receipts(conn, job_id)
    return [Told(attempt=one.attempt, provider=one.provider, answer=redacted(one.receipt)) for one in found]


def redacted(answer: object, *, name: str = "", depth: int = 0) -> Shape:
    """The shape of `answer`: names, numbers and a provider's own words stay, of everything else only what it is."""
    if depth > _DEEPEST:
        return "…"
    if isinstance(answer, Mapping):
        parts = list(cast("Mapping[object, object]", answer).items())[:_MOST_ITEMS]
        return {
            str(key)[:_LONGEST_NAME]: redacted(value, name=str(key), depth=depth + 1) for key, value in parts
        }
    if isinstance(answer, str):
        return _said(answer, name.casefold())
    if isinstance(answer, bool | int | float) or answer is None:
        return answer
    if isinstance(answer, Sequence):
        items = cast("Sequence[object]", answer)[:_MOST_ITEMS]
        return [redacted(one, name=name, depth=depth + 1) for one in items]
    return f"({type(answer).__name__})"


def _said(text: str, name: str) -> str:
    if re.match(r"[a-z][a-z0-9+.-]*://", text, re.IGNORECASE):
        return _address(text)
    if not text or (name in _PLAIN and len(text) <= _LONGEST_WORD and _WORD.fullmatch(text)):
        return text
    return f"({len(text):,} characters)"


def _address(text: str) -> str:
    """Where an address leads to, without what opens it."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return "(an address)"
    return f"{parts.scheme}://{parts.hostname or ''}/…"
