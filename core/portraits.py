"""What a character's page shows and does with its portraits; links are signed here, when something is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, cast
from uuid import UUID

from core import foreign_paths, generation
from core.authority import Action, permit
from core.characters import may_change, may_see, refuse_changing
from core.db import (
    activity,
    characters,
    costs,
    jobs,
    models,
    portraits,
    ratings,
    repeat_on_deadlock,
    retention,
)
from core.db.ratings import NO_RATING, Rating
from core.errors import BadRequest, NotFound
from core.generation import Asked, ModelChoice, Offer
from core.services import Services
from core.storage import LIBRARY
from core.values import (
    Character,
    CharacterId,
    Job,
    JobStage,
    JobStatus,
    Person,
    Portrait,
    PortraitId,
    PortraitRequest,
    Presets,
    provider_name,
)

MOST_AT_ONCE = 500  # portraits of one bulk action
MOST_IN_BIN = 500
_ENDED = frozenset({JobStatus.failed, JobStatus.cancelled})  # a completed one is still being saved

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
    can_dismiss: bool = False
    is_unknown: bool = False
    favourite: bool = False
    stars: int | None = None


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The beginning of a character's grid: jobs, then portraits; and how many portraits there are in all."""

    tiles: tuple[Tile, ...]
    total: int
    in_bin: int


def tiles(character_id: CharacterId, person: Person, services: Services) -> list[Tile]:
    """The tiles of `grid`, its first 200 portraits. Raises NotFound."""
    return list(grid(character_id, person, services).tiles)


def grid(character_id: CharacterId, person: Person, services: Services, *, limit: int = 200) -> Grid:
    """The grid of a character: jobs first (newest first), then at most `limit` portraits in their order.

    Raises NotFound.
    """
    with services.db.as_user(person) as conn:
        character = characters.get(conn, character_id)
        running = jobs.open_of_character(conn, character_id)
        shown = portraits.of_character(conn, character_id, limit=limit)
        total, in_bin = portraits.count(conn, character_id)
        rated = ratings.of_person(conn, character_id, person.id)
    if character is None or not may_see(character, person, services):
        raise NotFound("This character does not exist, or it is not yours.")
    waits = _Waits.of(running, services)
    saved = {portrait.job_id for portrait in shown}
    offers = partial(generation.offer, person=person, changes=may_change(character, person, services))
    found = (
        *(_job_tile(job, waits, offers(job)) for job in running if job.id not in saved),
        *(_portrait_tile(one, character, (person, services), rated.get(one.id, NO_RATING)) for one in shown),
    )
    return Grid(tiles=found, total=total, in_bin=in_bin)


def running(character_id: CharacterId, person: Person, services: Services) -> list[Tile]:
    """The tiles of `grid` that move by themselves, in its order: jobs that have not ended. Raises NotFound."""
    with services.db.as_user(person) as conn:
        character = characters.get(conn, character_id)
        known = jobs.open_of_character(conn, character_id)
        saved = portraits.jobs_shown(conn, [job.id for job in known])
    if character is None or not may_see(character, person, services):
        raise NotFound("This character does not exist, or it is not yours.")
    moving = [job for job in known if job.id not in saved and job.status not in _ENDED]
    waits = _Waits.of(moving, services)
    offers = partial(generation.offer, person=person, changes=may_change(character, person, services))
    return [_job_tile(job, waits, offers(job)) for job in moving]


@dataclass(frozen=True, kw_only=True)
class Every:
    """All portraits of a character, in the order of its grid, and the primary among them."""

    ids: tuple[PortraitId, ...]
    primary: PortraitId | None


def every(character_id: CharacterId, person: Person, services: Services, *, limit: int) -> Every:
    """The ids of at most `limit` portraits: what "all of them" means. Raises NotFound."""
    with services.db.as_user(person) as conn:
        character = characters.get(conn, character_id)
        found = portraits.ids_of_character(conn, character_id, limit=limit)
    if character is None or not may_see(character, person, services):
        raise NotFound("This character does not exist, or it is not yours.")
    primary = next((portrait_id for portrait_id, is_primary in found if is_primary), None)
    return Every(ids=tuple(portrait_id for portrait_id, _ in found), primary=primary)


@dataclass(frozen=True, kw_only=True)
class Details:
    """How one portrait was made, as far as it is known. `cost_usd` None: not known; `seconds` from start to end.

    `presets` maps a kind to a key of the catalogue or free words; `again` is the model that a further one would
    use, None where the choice would be made anew; `reference` a link that ends within a day.
    """

    tile: Tile
    own_words: str = field(repr=False)
    presets: Mapping[str, str]
    negative: str = field(repr=False)
    matched: bool
    reference: str = field(repr=False)
    cost_usd: Decimal | None
    seconds: float | None
    again: ModelChoice | None


def details(ids: Sequence[UUID], person: Person, services: Services) -> list[Details]:
    """The settings of these portraits, in that order; looking at them changes nothing and costs nothing.

    Raises NotFound where one is gone or not this person's to see.
    """
    with services.db.as_user(person) as conn:
        found = portraits.of_ids(conn, ids)
        owners = {one.character_id: characters.get(conn, one.character_id) for one in found}
        rated = {of: ratings.of_person(conn, of, person.id) for of in owners}
        made = {one.id: jobs.get(conn, one.job_id) for one in found if one.job_id}
        spent = {one.id: costs.spent(conn, one.job_id) for one in found if one.job_id}
    if len(found) != len(set(ids)):
        raise _gone()
    choices = generation.models_for(person, services)
    shown: list[Details] = []
    for one in found:
        character = owners[one.character_id]
        if character is None or not may_see(character, person, services):
            raise _gone()
        rating = rated[one.character_id].get(one.id, NO_RATING)
        tile = _portrait_tile(one, character, (person, services), rating)
        known = (made.get(one.id), spent.get(one.id))
        shown.append(_details(tile, one, *known, (character, choices), (person, services)))
    return shown


def again(portrait_id: PortraitId, key: str, person: Person, services: Services) -> Asked:
    """One more portrait from the same words, pose and presets, with the same model where it can still be chosen.

    Of a portrait that was not asked for here its whole prompt is sent again. The same `key` never buys twice.
    Raises NotFound and what `generation.request` raises.
    """
    with services.db.as_user(person) as conn:
        portrait = portraits.get(conn, portrait_id)
        job = jobs.get(conn, portrait.job_id) if portrait and portrait.job_id else None
    if portrait is None or portrait.deleted_at is not None:
        raise _gone()
    model = _same_model(portrait, job, generation.models_for(person, services))
    is_ours = job is not None and job.runner == "studio" and not job.metadata.get("whole_prompt")
    whole = None if is_ours else (portrait.enhanced_prompt or portrait.prompt)
    request = PortraitRequest(
        character_id=portrait.character_id,
        prompt=whole or None,
        own_words=_own_words(portrait, job) if whole is None else "",
        presets=Presets(**_presets(portrait, job)),
        model_id=model.model.id if model else None,
        idempotency_key=key,
    )
    return generation.request(request, person, services)


def rate(
    portrait_id: PortraitId,
    person: Person,
    services: Services,
    *,
    favourite: bool | None = None,
    stars: int | None = None,
) -> None:
    """Say what this person thinks of a portrait: a favourite or not, 1 to 5 stars (0 takes them back).

    None leaves what stands. Raises NotFound, NotAllowed, BadRequest.
    """
    permit(person, Action.rate_portraits)
    with services.db.as_user(person) as conn:
        ratings.rate(conn, portrait_id, favourite=favourite, stars=stars)


@dataclass(frozen=True, kw_only=True)
class Binned:
    """A portrait in the bin; its file is there for `days_left` more days, the present one counted."""

    tile: Tile
    deleted_at: datetime
    days_left: int


def bin_of(character_id: CharacterId, person: Person, services: Services) -> list[Binned]:
    """The portraits of a character that were removed and are still in the bin, the last one first. Raises NotFound."""
    with services.db.as_user(person) as conn:
        character = characters.get(conn, character_id)
        found = portraits.in_bin(conn, character_id, limit=MOST_IN_BIN)
        days = retention.stored_days(conn, "bin") or portraits.BIN_DAYS
    if character is None or not may_see(character, person, services):
        raise NotFound("This character does not exist, or it is not yours.")
    return [_binned(one, days, character, (person, services)) for one in found]


def _binned(portrait: Portrait, days: int, character: Character, asker: tuple[Person, Services]) -> Binned:
    at = portrait.deleted_at or datetime.now(UTC)
    left = at + timedelta(days=days) - datetime.now(UTC)
    return Binned(
        tile=_portrait_tile(portrait, character, asker, NO_RATING),
        deleted_at=at,
        days_left=max(left.days + 1, 1),
    )


def delete_many(
    character_id: CharacterId, ids: Sequence[UUID], person: Person, services: Services
) -> list[PortraitId]:
    """Remove several portraits of a character on purpose, all or none of what is still there; their ids.

    Raises NotFound, BadRequest.
    """
    permit(person, Action.change_portraits)
    _refuse_too_many(ids)
    done: list[PortraitId] = []

    def hide() -> None:
        done.clear()
        with services.db.as_user(person) as conn:
            for portrait in _locked_ones(conn, character_id, ids, (person, services)):
                if portraits.hide(conn, portrait.id, person.id):
                    done.append(portrait.id)
                    _note_removed(conn, portrait)
            characters.follow_primary(conn, character_id)

    repeat_on_deadlock(hide)
    return done


def restore_many(
    character_id: CharacterId,
    ids: Sequence[UUID],
    person: Person,
    services: Services,
    *,
    primary: UUID | None = None,
) -> list[PortraitId]:
    """Undo of `delete_many`; `primary` is the one that gets the star back. Raises NotFound, BadRequest."""
    permit(person, Action.change_portraits)
    _refuse_too_many(ids)
    done: list[PortraitId] = []

    def show() -> None:
        done.clear()
        with services.db.as_user(person) as conn:
            for portrait in _locked_ones(conn, character_id, ids, (person, services)):
                if portraits.show_again(conn, portrait.id, primary=portrait.id == primary):
                    done.append(portrait.id)
                    activity.note(conn, "portrait_restored", "character_portraits", str(portrait.id))
            characters.follow_primary(conn, character_id)

    repeat_on_deadlock(show)
    return done


def _refuse_too_many(ids: Sequence[UUID]) -> None:
    if not 0 < len(ids) <= MOST_AT_ONCE:
        raise BadRequest(f"Choose between 1 and {MOST_AT_ONCE} portraits.", field="ids")


def _locked_ones(
    conn: portraits.Connection,
    character_id: CharacterId,
    ids: Sequence[UUID],
    asker: tuple[Person, Services],
) -> list[Portrait]:
    """Those of `ids` that are this character's, tombstones included; the character is locked first."""
    _lock_character(conn, character_id, asker)
    found = (portraits.get(conn, PortraitId(one)) for one in sorted(set(ids)))
    return [one for one in found if one is not None and one.character_id == character_id]


def _note_removed(conn: portraits.Connection, portrait: Portrait) -> None:
    before = {"primary": portrait.is_primary, "pinned": portrait.primary_pinned}
    activity.note(conn, "portrait_deleted", "character_portraits", str(portrait.id), before=before)


def _details(
    tile: Tile,
    portrait: Portrait,
    job: Job | None,
    spent: Decimal | None,
    around: tuple[Character, Sequence[ModelChoice]],
    asker: tuple[Person, Services],
) -> Details:
    character, choices = around
    said: Mapping[str, Any] = job.metadata if job else {}
    taken = job.completed_at - job.started_at if job and job.completed_at and job.started_at else None
    return Details(
        tile=tile,
        own_words=_own_words(portrait, job),
        presets={kind: value for kind, value in _presets(portrait, job).items() if value},
        negative=str(said.get("negative") or ""),
        matched=(said.get("generation_mode") or portrait.metadata.get("generation_mode")) == "i2i",
        reference=_reference(said, character, asker),
        cost_usd=spent,
        seconds=round(taken.total_seconds(), 1) if taken else None,
        again=_same_model(portrait, job, choices),
    )


def _reference(said: Mapping[str, Any], character: Character, asker: tuple[Person, Services]) -> str:
    """The picture it was made to match. One of whoever asked, a member perhaps, was theirs to use: that it is not shown
    is no refusal.
    """
    value = str(said.get("reference_image_url") or "")
    inside = value.partition("/")[2]
    return "" if foreign_paths.is_foreign(inside, (character.user_id,)) else signed(value, character, *asker)


def _own_words(portrait: Portrait, job: Job | None) -> str:
    return str((job.metadata.get("own_words") if job else None) or portrait.prompt or "")


def _presets(portrait: Portrait, job: Job | None) -> dict[str, str | None]:
    """The four presets, from the job or, where that is gone, from the portrait itself."""
    said = (job.metadata.get("presets") if job else None) or portrait.metadata.get("presets")
    known: Mapping[str, object] = cast("Mapping[str, object]", said) if isinstance(said, Mapping) else {}
    kinds = ("pose", "expression", "outfit", "camera")
    return {kind: str(known[kind]) if known.get(kind) else None for kind in kinds}


def _same_model(portrait: Portrait, job: Job | None, choices: Sequence[ModelChoice]) -> ModelChoice | None:
    """The model that made it, where it can be chosen now."""
    wanted = (portrait.metadata.get("provider"), portrait.metadata.get("model_key"))
    usable = [one for one in choices if one.available]
    by_id = next((one for one in usable if job is not None and one.model.id == job.model_id), None)
    return by_id or next((one for one in usable if (one.model.provider, one.model.model_key) == wanted), None)


def make_primary(portrait_id: PortraitId, person: Person, services: Services) -> None:
    """A person chooses the primary: it is pinned, and the character's image follows. Raises NotFound, NotAllowed."""
    permit(person, Action.change_portraits)

    def choose() -> None:
        with services.db.as_user(person) as conn:
            portrait = _locked(conn, portrait_id, (person, services))
            if not portraits.pin_primary(conn, portrait.id):
                raise _gone()
            characters.follow_primary(conn, portrait.character_id)

    repeat_on_deadlock(choose)


def delete(portrait_id: PortraitId, person: Person, services: Services) -> None:
    """Remove on purpose: hidden, kept for at least 7 days, handed on if it was the primary. Raises NotFound, NotAllowed."""
    permit(person, Action.change_portraits)

    def hide() -> None:
        with services.db.as_user(person) as conn:
            portrait = _locked(conn, portrait_id, (person, services))
            if not portraits.hide(conn, portrait.id, person.id):
                raise _gone()
            characters.follow_primary(conn, portrait.character_id)
            _note_removed(conn, portrait)

    repeat_on_deadlock(hide)


def restore(portrait_id: PortraitId, person: Person, services: Services, *, primary: bool = False) -> None:
    """Undo of `delete`; `primary` gives the star back. Raises NotFound, NotAllowed."""
    permit(person, Action.change_portraits)

    def show() -> None:
        with services.db.as_user(person) as conn:
            portrait = _locked(conn, portrait_id, (person, services))
            if not portraits.show_again(conn, portrait.id, primary=primary):
                raise _gone()
            characters.follow_primary(conn, portrait.character_id)
            activity.note(conn, "portrait_restored", "character_portraits", str(portrait.id))

    repeat_on_deadlock(show)


def reorder(character_id: CharacterId, ids: Sequence[str], person: Person, services: Services) -> None:
    """Keep this order of portraits; ids of other characters are not touched. Raises NotFound, NotAllowed."""
    permit(person, Action.change_portraits)
    wanted = [UUID(one) for one in ids]

    def place() -> None:
        with services.db.as_user(person) as conn:
            _lock_character(conn, character_id, (person, services))
            portraits.reorder(conn, character_id, wanted)

    repeat_on_deadlock(place)


def signed(value: str | None, character: Character, person: Person, services: Services) -> str:
    """A link to a stored picture of this character for `person`, empty where there is none to show.

    Rows can be written by users: the first segment of the path must be the owner's id (SPEC "Files").
    """
    return foreign_paths.link_of(value, LIBRARY, (character.user_id,), person, services)


def _lock_character(
    conn: portraits.Connection, character_id: CharacterId, asker: tuple[Person, Services]
) -> None:
    """Lock it for changing its portraits. Raises NotFound, NotAllowed `LOOK_ONLY` where it can be seen only."""
    if characters.lock(conn, character_id) is not None:
        return
    standing = characters.get(conn, character_id)
    if standing is not None and may_see(standing, *asker):
        refuse_changing(standing, *asker)
    raise NotFound("This character does not exist, or it is not yours.")


def _locked(conn: portraits.Connection, portrait_id: PortraitId, asker: tuple[Person, Services]) -> Portrait:
    """The portrait, its character locked first: every writer of ours takes the two in this order."""
    portrait = portraits.get(conn, portrait_id)
    if portrait is None:
        raise _gone()
    _lock_character(conn, portrait.character_id, asker)
    fresh = portraits.get(conn, portrait_id)
    if fresh is None:
        raise _gone()
    return fresh


def _gone() -> NotFound:
    return NotFound("This portrait does not exist any more, or it is not yours.")


def _portrait_tile(
    portrait: Portrait, character: Character, asker: tuple[Person, Services], rating: Rating = NO_RATING
) -> Tile:
    full = signed(portrait.image_url, character, *asker)
    size = f"{portrait.width} × {portrait.height}" if portrait.width and portrait.height else ""
    return Tile(
        id=str(portrait.id),
        kind="portrait",
        title=f"Portrait of {character.shown_name}",
        url=signed(portrait.thumbnail_url, character, *asker) or full,
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
        favourite=rating.is_favourite,
        stars=rating.stars,
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


def _job_tile(job: Job, waits: _Waits, offer: Offer) -> Tile:
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
        can_cancel=offer.cancel,
        can_retry=offer.retry,
        can_dismiss=offer.dismiss,
        is_unknown=job.stage is JobStage.outcome_unknown,
    )


def _job_title(job: Job) -> str:
    if job.status is JobStatus.failed:
        return "This picture failed"
    if job.status is JobStatus.cancelled:
        return "This picture was cancelled"
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
    if job.status is JobStatus.cancelled:
        return "Cancelled"
    if job.stage is None:
        return "Waiting"
    if job.stage is JobStage.waiting and job.provider in waits.paused:
        return f"Waiting: {provider_name(job.provider)} is paused"
    place = _place(job, waits)
    before = f", {place} before it" if place else ""
    return STAGE_WORDS[job.stage] + (
        before if job.stage in {JobStage.waiting, JobStage.provider_queue} else ""
    )
