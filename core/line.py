"""The queue panel: every picture that waits or is made, mine and everybody's (SPEC "Studio").

Prompts of others are shown to admins only; of jobs this person may not read, only that they stand in the line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from core.authority import Action, may
from core.db import line, workers
from core.portraits import STAGE_WORDS
from core.services import Services
from core.values import JobId, JobStage, Person

MOST = 200
_STAGES = frozenset(JobStage)
_SEEN_WITHIN = 90.0  # seconds since a worker's last beat


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One job of the line. `place` is its place among those that wait for the same provider, None once it runs."""

    id: JobId
    title: str  # the character's name, an attribute image's cell, or "Somebody else's picture"
    model: str
    stage_words: str
    fraction: float | None
    place: int | None
    since: datetime
    mine: bool
    can_cancel: bool
    prompt: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Line:
    """The line, and whether anybody works on it (SPEC: with no live worker, every action that queues says so)."""

    jobs: tuple[Waiting, ...]
    worker_lives: bool


def line_for(person: Person, services: Services) -> Line:
    """The first 200 jobs, those being made first. Raises NotAllowed."""
    with services.db.as_user(person) as conn:
        rows = line.read(conn, limit=MOST)
        changeable = line.changeable(conn, [one.character_id for one in rows if one.character_id])
    with services.db.as_service() as conn:
        lives = workers.any_alive(conn, within=max(_SEEN_WITHIN, services.settings.heartbeat_seconds))
    shares = services.settings.shares_with_team
    jobs = (
        _waiting(row, person, changes=shares or row.mine or row.character_id in changeable) for row in rows
    )
    return Line(jobs=tuple(jobs), worker_lives=lives)


def _waiting(row: line.LineRow, person: Person, *, changes: bool) -> Waiting:
    return Waiting(
        id=row.id,
        title=_title(row),
        model=row.model or "",
        stage_words=_words(row),
        fraction=row.progress,
        place=row.place,
        since=row.created_at,
        mine=row.mine,
        can_cancel=(
            not row.cancel_requested
            and row.stage != JobStage.outcome_unknown
            and ((changes and may(person, Action.make_pictures)) or may(person, Action.cancel_anybodys))
        ),
        prompt=row.prompt or "",
    )


def _title(row: line.LineRow) -> str:
    if row.kind == "attribute_image":
        return f"Attribute image: {row.character_name}"
    return (row.character_name or "A new character") if row.may_read else "Somebody else's picture"


def _words(row: line.LineRow) -> str:
    if row.cancel_requested:
        return STAGE_WORDS[JobStage.cancelling]
    return STAGE_WORDS[JobStage(row.stage)] if row.stage in _STAGES else "Waiting"
