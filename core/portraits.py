"""What a character's page shows and does with its portraits; links are signed here, when something is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from core.characters import may_see
from core.db import activity, characters, jobs, models, portraits, repeat_on_deadlock
from core.errors import NotAllowed, NotFound
from core.services import Services
from core.storage import BUCKETS, External
from core.storage.links import parse_address
from core.values import (
    Character,
    CharacterId,
    Job,
    JobStage,
    JobStatus,
    Person,
    Portrait,
    PortraitId,
    provider_name,
)

STAGE_WORDS: Mapping[JobStage, str] = {
    JobStage.waiting: "Waiting",
    JobStage.sending: "Sending",
    JobStage.provider_queue: "In the provider's queue",
    JobStage.drawing: "Drawing",
    JobStage.fetching: "Fetching",
    JobStage.saving: "Saving",
    JobStage.saved: "Saved",
    JobStage.not_saved: "Kept out of the library",
    JobStage.cancelling: "Cancelling",
    JobStage.outcome_unknown: "Outcome unknown",
}


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One square of the grid: a portrait, or a job that is not one yet. Links end within a day.

    `url` is the thumbnail, empty where the picture cannot be shown; `external` an address of another site.
    """

    id: str
    kind: str  # portrait | job
    title: str
    url: str = ""
    full_url: str = ""
    download_url: str = ""
    external: str = ""
    prompt: str = ""
    own_words: str = ""
    model: str = ""
    provider: str = ""
    seed: str = ""
    size: str = ""
    primary: bool = False
    created_at: str = ""
    status: str = ""
    stage: str = ""
    stage_words: str = ""
    fraction: float | None = None
    queue_position: int | None = None
    seconds_left: float | None = None
    error_words: str = ""
    error_code: str = ""
    can_cancel: bool = False
    can_retry: bool = False
    is_unknown: bool = False


def tiles(character_id: CharacterId, person: Person, services: Services) -> list[Tile]:
    """The grid of a character: jobs first (newest first), then portraits in their order. Raises NotFound."""
    with services.db.as_user(person) as conn:
        character = characters.get(conn, character_id)
        running = jobs.open_of_character(conn, character_id)
        shown = portraits.of_character(conn, character_id)
    if character is None or not may_see(character, person, services):
        raise NotFound("This character does not exist, or it is not yours.")
    waits = _Waits.of(running, services)
    saved = {portrait.job_id for portrait in shown}
    return [
        *(_job_tile(job, waits) for job in running if job.id not in saved),
        *(_portrait_tile(portrait, character, services) for portrait in shown),
    ]


def make_primary(portrait_id: PortraitId, person: Person, services: Services) -> None:
    """A person chooses the primary: it is pinned, and the character's image follows. Raises NotFound."""

    def choose() -> None:
        with services.db.as_user(person) as conn:
            portrait = _locked(conn, portrait_id)
            if not portraits.pin_primary(conn, portrait.id):
                raise _gone()
            characters.follow_primary(conn, portrait.character_id)

    repeat_on_deadlock(choose)


def delete(portrait_id: PortraitId, person: Person, services: Services) -> None:
    """Remove on purpose: hidden, kept for 7 days, handed on if it was the primary. Raises NotFound."""

    def hide() -> None:
        with services.db.as_user(person) as conn:
            portrait = _locked(conn, portrait_id)
            if not portraits.hide(conn, portrait.id, person.id):
                raise _gone()
            characters.follow_primary(conn, portrait.character_id)
            activity.note(
                conn,
                "portrait_deleted",
                "character_portraits",
                str(portrait.id),
                before={"primary": portrait.is_primary, "pinned": portrait.primary_pinned},
            )

    repeat_on_deadlock(hide)


def restore(portrait_id: PortraitId, person: Person, services: Services, *, primary: bool = False) -> None:
    """Undo of `delete`; `primary` gives the star back. Raises NotFound."""

    def show() -> None:
        with services.db.as_user(person) as conn:
            portrait = _locked(conn, portrait_id)
            if not portraits.show_again(conn, portrait.id, primary=primary):
                raise _gone()
            characters.follow_primary(conn, portrait.character_id)
            activity.note(conn, "portrait_restored", "character_portraits", str(portrait.id))

    repeat_on_deadlock(show)


def reorder(character_id: CharacterId, ids: Sequence[str], person: Person, services: Services) -> None:
    """Keep this order of portraits; ids of other characters are not touched. Raises NotFound."""
    wanted = [UUID(one) for one in ids]

    def place() -> None:
        with services.db.as_user(person) as conn:
            if characters.lock(conn, character_id) is None:
                raise NotFound("This character does not exist, or it is not yours.")
            portraits.reorder(conn, character_id, wanted)

    repeat_on_deadlock(place)


def signed(value: str | None, character: Character, services: Services) -> str:
    """A link to a stored picture of this character, empty where there is none to show.

    Rows can be written by users: the first segment of the path must be the owner's id (SPEC "Files").
    """
    if not value:
        return ""
    try:
        address = parse_address(value, default_bucket=BUCKETS[1])
    except NotAllowed:
        return ""
    if isinstance(address, External):
        return ""
    bucket, path = address
    if path.split("/")[0] != str(character.user_id):
        return ""
    return services.links.sign((bucket, path), datetime.now(UTC))


def _locked(conn: portraits.Connection, portrait_id: PortraitId) -> Portrait:
    """The portrait, its character locked first: every writer of ours takes the two in this order."""
    portrait = portraits.get(conn, portrait_id)
    if portrait is None or characters.lock(conn, portrait.character_id) is None:
        raise _gone()
    fresh = portraits.get(conn, portrait_id)
    if fresh is None:
        raise _gone()
    return fresh


def _gone() -> NotFound:
    return NotFound("This portrait does not exist any more, or it is not yours.")


def _portrait_tile(portrait: Portrait, character: Character, services: Services) -> Tile:
    full = signed(portrait.image_url, character, services)
    size = f"{portrait.width} × {portrait.height}" if portrait.width and portrait.height else ""
    return Tile(
        id=str(portrait.id),
        kind="portrait",
        title=f"Portrait of {character.shown_name}",
        url=signed(portrait.thumbnail_url, character, services) or full,
        full_url=full,
        download_url=f"{full}&download=1" if full else "",
        external=portrait.image_url if portrait.image_url.startswith("http") else "",
        prompt=portrait.enhanced_prompt or portrait.prompt or "",
        own_words=portrait.prompt or "",
        model=str(portrait.metadata.get("model") or portrait.metadata.get("model_key") or ""),
        provider=str(portrait.metadata.get("provider") or ""),
        seed=str(portrait.seed) if portrait.seed is not None else "",
        size=size,
        primary=portrait.is_primary,
        created_at=portrait.created_at.isoformat(),
    )


@dataclass(frozen=True, kw_only=True)
class _Waits:
    """How long each running job may still take: places in our queue, and its model's usual seconds."""

    places: dict[UUID, int]
    usual: dict[UUID, float]
    paused: Mapping[str, str]

    @classmethod
    def of(cls, running: Sequence[Job], services: Services) -> _Waits:
        if not running:
            return cls(places={}, usual={}, paused={})
        with services.db.as_service() as conn:
            return cls(
                places=jobs.places_in_queue(
                    conn, [job.id for job in running if job.status is JobStatus.queued]
                ),
                usual=jobs.usual_seconds(conn, list({job.model_id for job in running if job.model_id})),
                paused=models.pauses(conn),
            )

    def seconds_left(self, job: Job) -> float | None:
        """From the model's own recent median; None where it is not known or already exceeded."""
        usual = self.usual.get(job.model_id) if job.model_id else None
        if usual is None or job.status is not JobStatus.processing or job.started_at is None:
            return None
        left = usual - (datetime.now(UTC) - job.started_at).total_seconds()
        return round(left, 1) if left > 0 else None


def _job_tile(job: Job, waits: _Waits) -> Tile:
    unknown = job.stage is JobStage.outcome_unknown
    failed = job.status is JobStatus.failed
    return Tile(
        id=str(job.id),
        kind="job",
        title=_job_title(job),
        prompt=job.prompt,
        own_words=str(job.metadata.get("own_words") or ""),
        model=str(job.metadata.get("model_name") or ""),
        provider=job.provider,
        seed=str(job.metadata.get("seed") or ""),
        size=f"{job.metadata.get('width')} × {job.metadata.get('height')}",
        created_at=job.created_at.isoformat(),
        status=job.status,
        stage=job.stage or "",
        stage_words=_stage_words(job, waits),
        fraction=job.progress,
        queue_position=_place(job, waits),
        seconds_left=waits.seconds_left(job),
        error_words=job.error_message or "",
        error_code=job.error_code or "",
        can_cancel=not job.status.is_final and not job.cancel_requested and not unknown,
        can_retry=failed,
        is_unknown=unknown,
    )


def _job_title(job: Job) -> str:
    if job.status is JobStatus.failed:
        return "This picture failed"
    if job.stage is JobStage.outcome_unknown:
        return "Outcome unknown"
    return "A new portrait"


def _place(job: Job, waits: _Waits) -> int | None:
    if job.status is JobStatus.queued:
        return waits.places.get(job.id)
    return job.queue_position


def _stage_words(job: Job, waits: _Waits) -> str:
    if job.status is JobStatus.failed:
        return "Failed"
    if job.stage is None:
        return "Waiting"
    if job.stage is JobStage.waiting and job.provider in waits.paused:
        return f"Waiting: {provider_name(job.provider)} is paused"
    place = _place(job, waits)
    before = f", {place} before it" if place else ""
    return STAGE_WORDS[job.stage] + (
        before if job.stage in {JobStage.waiting, JobStage.provider_queue} else ""
    )
