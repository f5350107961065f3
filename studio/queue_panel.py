"""The queue: a drawer on every page with all that waits or is made (SPEC "Studio"; `core.line` says who sees what)."""

from __future__ import annotations

from dataclasses import asdict

from core import generation, line
from core.values import JobId, Person
from studio import calls
from studio.asking import Asking
from studio.components import page_parts


def build(asking: Asking) -> None:
    """Draw the drawer, closed."""

    def read(person: Person, _sent: calls.Sent) -> object:
        found = line.line_for(person, asking.services)
        return {
            "jobs": [_shown(one) for one in found.jobs],
            "worker_lives": found.worker_lives,
            "most": line.MOST,
        }

    def cancel(person: Person, sent: calls.Sent) -> object:
        generation.cancel(JobId(calls.an_id(sent)), person, asking.services)
        return read(person, sent)

    page_parts.queue_panel(calls.answering(asking, {"read": read, "cancel": cancel}))


def _shown(one: line.Waiting) -> dict[str, object]:
    return {**asdict(one), "id": str(one.id), "since": one.since.isoformat()}
