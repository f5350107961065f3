"""The use cases of one image that a person calls: look at it before paying, ask for it, cancel, try again.

What a worker does with the job afterwards stands in `running.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from core import foreign_paths, log, plans, routing
from core.auth import require_role
from core.authority import Action, may
from core.characters import may_change
from core.db import assets, costs, jobs, models, portraits, submissions, workers
from core.db import characters as character_rows
from core.errors import BadRequest, Conflict, NotFound
from core.plans import Plan
from core.services import Services
from core.storage import LIBRARY, WORKSPACE
from core.values import (
    CharacterTraits,
    ContentRating,
    Gender,
    ImageModel,
    Job,
    JobId,
    JobStage,
    JobStatus,
    ModelId,
    Person,
    PortraitId,
    PortraitRequest,
    Presets,
    Size,
    scene_of,
)

_log = log.get(__name__)
NO_WORKER = "No worker is running, so this picture waits in the queue until one is started."
_LONGEST_KEY = 200


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A job that was asked for; `created` is False where the same idempotency key had asked before."""

    job_id: JobId
    created: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """A model as a person chooses it; `why_not` says in words why it cannot be used now."""

    model: ImageModel
    price: Decimal | None
    available: bool
    why_not: str = ""

    @property
    def price_words(self) -> str:
        """The price of one picture in words."""
        return plans.price_words(self.price)


def preview(asked: PortraitRequest, person: Person, services: Services) -> Plan:
    """The final prompt, the model and its reason, and the price, before anything is paid.

    Raises what `request` raises, but for budget and queue: it changes nothing.
    """
    return plans.make(asked, person, services)


def request(asked: PortraitRequest, person: Person, services: Services) -> Asked:
    """Ask for one portrait (SPEC "Ask"): job, estimate and queue entry in one transaction.

    Raises NotAllowed, NotFound, BadRequest, PolicyRefused, NoSuchModel, NoModel, BudgetSpent, TooMany.
    """
    _refuse_unfit_key(asked.idempotency_key)
    if (standing := _asked_before(asked, person, services)) is not None:
        return standing
    plan = plans.make(asked, person, services)
    with services.db.as_user(person) as conn:
        job_id, created = jobs.ask(
            conn,
            character_id=plan.character_id,
            model_id=plan.model.id,
            prompt=plan.prompt.text,
            metadata={**plans.as_metadata(plan, asked), "fingerprint": _fingerprint(asked)},
            width=asked.size.width,
            height=asked.size.height,
            idempotency_key=asked.idempotency_key,
            retried_from=asked.retried_from,
            scene_id=asked.scene_id,
            max_waiting=services.settings.max_waiting,
        )
        idle = not workers.any_alive(conn, within=3 * services.settings.heartbeat_seconds)
    _log.info("portrait_asked", job_id=str(job_id), provider=plan.model.provider, created=created)
    waits = (NO_WORKER,) if idle else ()
    return Asked(job_id=job_id, created=created, warnings=(*plan.warnings, *waits))


def worker_lives(person: Person, services: Services) -> bool:
    """Whether somebody works on the queue; without, every page says so before anything is asked for (SPEC "Studio").
    Raises NotAllowed without a role.
    """
    require_role(person)
    with services.db.as_user(person) as conn:
        return workers.any_alive(conn, within=3 * services.settings.heartbeat_seconds)


def _refuse_unfit_key(key: str | None) -> None:
    """Raise BadRequest for a key that is empty, long, or more than plain letters: bytes beyond ASCII have no one
    spelling in a header, so the same key could come as two.
    """
    if key is None:
        return
    if not 1 <= len(key) <= _LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise BadRequest(
            f"An Idempotency-Key has 1 to {_LONGEST_KEY} plain characters (ASCII).", field="Idempotency-Key"
        )


def _asked_before(asked: PortraitRequest, person: Person, services: Services) -> Asked | None:
    """The job this key asked for already, whatever became of its model since. Raises Conflict where the same key
    comes with another request.
    """
    if asked.idempotency_key is None:
        return None
    with services.db.as_user(person) as conn:
        job = jobs.by_key(conn, person.id, asked.idempotency_key)
    if job is None:
        return None
    if job.metadata.get("fingerprint") != _fingerprint(asked):
        raise Conflict(
            "This Idempotency-Key was used for another request. Send a new key with a new request.",
            code="IDEMPOTENCY_KEY_REUSED",
        )
    return Asked(job_id=job.id, created=False)


def _fingerprint(asked: PortraitRequest) -> str:
    """Stands for everything a request says, but for its key."""
    return hashlib.sha256(repr(replace(asked, idempotency_key=None)).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What this person may do with a job as it stands: what is not among it, its use case would refuse."""

    cancel: bool
    retry: bool
    dismiss: bool


def offer(job: Job, person: Person, *, changes: bool) -> Offer:
    """What a page offers of a job; `changes`: this person may change the character it is of. Pure."""
    makes = may(person, Action.make_pictures)
    is_theirs = makes and (changes or job.user_id == person.id)
    ended = job.runner == "studio" and job.status in {JobStatus.failed, JobStatus.cancelled}
    runs = job.runner == "studio" and not job.status.is_final and not job.cancel_requested
    return Offer(
        cancel=runs
        and job.stage is not JobStage.outcome_unknown
        and (is_theirs or may(person, Action.cancel_anybodys)),
        retry=ended and makes and changes,
        dismiss=ended and is_theirs,
    )


def offer_of(job: Job, person: Person, services: Services) -> Offer:
    """As `offer`, where the character is not at hand. A job of none is asked for again by whoever may read it."""
    if job.character_id is None:
        return offer(job, person, changes=True)
    with services.db.as_user(person) as conn:
        character = character_rows.get(conn, job.character_id)
    return offer(job, person, changes=character is not None and may_change(character, person, services))


def cancel(job_id: JobId, person: Person, services: Services) -> JobStatus:
    """Cancel a waiting job, or ask a running one to stop; returns its status now.

    A job that was sent stays processing until its provider ends (SPEC "Failure"). Raises NotFound, Conflict.
    """
    with services.db.as_user(person) as conn:
        return jobs.cancel(conn, job_id)


def dismiss(job_id: JobId, person: Person, services: Services) -> None:
    """Take a failed picture out of the grid; its story and its cost stay. Raises NotFound."""
    with services.db.as_user(person) as conn:
        jobs.dismiss(conn, job_id)


def retry(job_id: JobId, person: Person, services: Services, *, model_id: ModelId | None = None) -> Asked:
    """Ask again for what a failed or cancelled job did not bring: a new job with retried_from.

    `model_id` tries another model; a click twice gives one new job. Raises NotFound, Conflict (it has not
    ended, or its paid result may still come) and what `request` raises.
    """
    with services.db.as_user(person) as conn:
        old = jobs.get(conn, job_id)
    if old is None or old.runner != "studio":
        raise NotFound("This picture was not asked for here, so it cannot be asked for again.")
    if old.metadata.get("destination") == "attribute_image":
        raise Conflict("This is an attribute image. Make it again under Attributes.", code="ATTRIBUTE_IMAGE")
    if old.status not in {JobStatus.failed, JobStatus.cancelled}:
        raise Conflict("This picture has not failed. Wait for it, or cancel it first.")
    with services.db.as_service() as conn:  # a receipt is shown to nobody else
        paid = submissions.current(conn, job_id)
    if paid is not None and paid.is_open and paid.ticket is None:
        raise Conflict(
            "Whether this picture was paid for is not known yet. QA settles that first; then it can be tried again.",
            code="OUTCOME_UNKNOWN",
        )
    if paid is not None and paid.is_open:
        raise Conflict(
            "This picture is paid for and may still come; it is saved when it does. Wait for it, or ask for a new one.",
            code="MAY_STILL_COME",
        )
    return request(_again(old, model_id), person, services)


def models_for(person: Person, services: Services, *, match: bool = False) -> list[ModelChoice]:
    """Every image model a person can choose, with today's price of one 1024² picture.

    `match`: image match mode is on, so only models that follow a reference are available. Raises NotAllowed without a
    role.
    """
    require_role(person)
    with services.db.as_user(person) as conn:
        known = [one for one in models.list_all(conn) if one.is_active and one.modality == "image"]
        where = plans.standings(models.pauses(conn), services)
        prices = models.prices(conn, [one.id for one in known], 1024, 1024)
    return [
        ModelChoice(
            model=one,
            price=prices[one.id],
            available=not (why := routing.why_not(one, match=match, providers=where)),
            why_not=why,
        )
        for one in known
    ]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A job as the HTTP interface answers it: where it stands, and its picture once there is one.

    `image_link` is relative and ends within a day (an hour where the picture is not in the library yet);
    `storage_path` is inside the bucket; `cost_usd` None where it is not known.
    """

    job: Job
    cost_usd: Decimal | None
    portrait_id: PortraitId | None
    image_link: str
    storage_path: str
    seconds: float | None

    @property
    def is_settled(self) -> bool:
        """True where waiting longer changes nothing by itself: saved, failed, cancelled, or unknown."""
        job = self.job
        if job.status is JobStatus.completed:
            return job.character_id is None or job.stage in {JobStage.saved, JobStage.not_saved}
        return job.status.is_final or job.stage is JobStage.outcome_unknown


def outcome(job_id: JobId, person: Person, services: Services) -> Outcome:
    """Where a job stands now, as this person may see it. Raises NotFound, NotAllowed without a role."""
    require_role(person)
    with services.db.as_user(person) as conn:
        job = jobs.get(conn, job_id)
        if job is None:
            raise NotFound("There is no such job, or it is not yours.")
        spent = costs.spent(conn, job_id)
        portrait = portraits.of_job(conn, job_id)
        asset = assets.first_of_job(conn, job_id)
    bucket, named = (LIBRARY, portrait.image_url) if portrait else (WORKSPACE, asset.path if asset else "")
    taken = job.completed_at - job.created_at if job.completed_at else None
    return Outcome(
        job=job,
        cost_usd=spent,
        portrait_id=portrait.id if portrait else None,
        image_link=_link(named, bucket, job, person, services),
        storage_path=named.removeprefix(f"{bucket}/"),
        seconds=taken.total_seconds() if taken else None,
    )


def _link(named: str, bucket: str, job: Job, person: Person, services: Services) -> str:
    """A signed link, where the path lies in the folder of the owner that was noted when it was asked.

    Users write jobs of the platform themselves, so there only their own folder counts.
    """
    owner = str(job.metadata.get("owner")) if job.runner == "studio" else None
    return foreign_paths.link_of(named, bucket, (owner, job.user_id), person, services)


def _again(old: Job, model_id: ModelId | None) -> PortraitRequest:
    """The request that an old job came from, read back from its row."""
    said: Mapping[str, Any] = old.metadata
    return PortraitRequest(
        character_id=old.character_id,
        character=None if old.character_id else _unsaved_traits(said),
        prompt=old.prompt if said.get("whole_prompt") else None,
        own_words=str(said.get("own_words") or ""),
        presets=_presets(said.get("presets")),
        reference=said.get("reference_image_url"),
        content_rating=ContentRating(said["content_rating"]) if said.get("content_rating") else None,
        model_id=model_id or old.model_id,
        size=Size(width=int(said.get("width", 1024)), height=int(said.get("height", 1024))),
        idempotency_key=f"retry:{old.id}:{model_id or 'same'}",
        retried_from=old.id,
        scene_id=scene_of(old),
    )


def _presets(said: Mapping[str, str] | None) -> Presets:
    known = said or {}
    return Presets(
        pose=known.get("pose"),
        expression=known.get("expression"),
        outfit=known.get("outfit"),
        camera=known.get("camera"),
    )


def _unsaved_traits(said: Mapping[str, Any]) -> CharacterTraits:
    traits: Mapping[str, Any] = said.get("character") or {}
    return CharacterTraits(
        name=str(traits.get("name", "")),
        description=str(traits.get("description", "")),
        gender=Gender(traits.get("gender", Gender.unspecified)),
        appearance_tags=tuple(traits.get("appearance_tags", ())),
        clothing_tags=tuple(traits.get("clothing_tags", ())),
        traits=str(traits.get("traits", "")),
    )
