"""*Test portrait*: one Sketch job through the whole product, step by step, and out of the way again (SPEC "System").

Whoever looks after the installation may try it: qa, product, admin and editors. It is that person's own character and
their own free job, made by the use cases everybody uses; for this one purpose the asker acts as an editor too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import uuid4

from core import characters, generation, library, portraits
from core.audit import system
from core.audit.system import TrialStand
from core.authority import Action, permit
from core.db import activity
from core.errors import BadRequest, NoModel, NotFound, RequestRefused
from core.providers.sketch import Sketch
from core.services import Services
from core.storage import LIBRARY
from core.values import CharacterId, JobId, JobStatus, Person, PortraitId, PortraitRequest, Role

NAME = "Test portrait"
_TRAITS = {
    "name": NAME,
    "description": "A calm person of about forty who looks into the camera, made to see whether everything works.",
    "gender": "female",
    "appearance_tags": ["short hair", "kind eyes"],
    "clothing_tags": ["plain jacket"],
}
_KEPT = "Its job stays in the record; its picture and character lie in the bin for 7 days or longer."


class StepState(StrEnum):
    """How far one step is."""

    done = "done"
    waiting = "waiting"
    failed = "failed"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that must come about, and what is known of it in a sentence."""

    title: str
    state: StepState
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A test portrait as it stands. `is_over`: nothing more comes about by itself; `seconds` from the ask to the end."""

    job_id: JobId
    steps: Sequence[Step]
    seconds: float | None
    is_removed: bool

    @property
    def went_well(self) -> bool:
        """True where every step is done."""
        return all(one.state is StepState.done for one in self.steps)

    @property
    def is_over(self) -> bool:
        """True where every step is done, or one has failed."""
        return self.went_well or any(one.state is StepState.failed for one in self.steps)


def begin(person: Person, services: Services) -> JobId:
    """Ask for a test portrait; recorded. Raises NotAllowed, NoModel where Sketch is switched off."""
    tester = _tester(person)
    model = next(
        (
            one.model
            for one in generation.models_for(tester, services)
            if one.model.provider == Sketch.name and one.available
        ),
        None,
    )
    if model is None:
        raise NoModel(
            "The built-in Sketch is switched off, so there is nothing free to test with. Switch it on."
        )
    character = characters.create(tester, services, _TRAITS)
    asked = generation.request(
        PortraitRequest(character_id=character.id, model_id=model.id, idempotency_key=f"test-{uuid4()}"),
        tester,
        services,
    )
    with services.db.as_user(tester) as conn:
        activity.note(conn, "test_portrait", "jobs", str(asked.job_id))
    return asked.job_id


def stand(job_id: JobId, person: Person, services: Services) -> Trial:
    """How far it is. Raises NotAllowed, NotFound where it is no test portrait of this person, StorageFailed."""
    found = _own(job_id, person, services)
    is_there = bool(
        found.library_path
        and services.storage.sizes(LIBRARY, [path := found.library_path.removeprefix(f"{LIBRARY}/")]).get(
            path
        )
    )
    took = (found.completed_at - found.asked_at).total_seconds() if found.completed_at else None
    return Trial(
        job_id=job_id,
        steps=_steps(found, object_is_there=is_there),
        seconds=took,
        is_removed=found.removed_at is not None,
    )


def remove(job_id: JobId, person: Person, services: Services) -> str:
    """Take it out of the way as a person would: portrait, library picture, character; what stays, in a sentence.

    A job that has not ended is cancelled. Safe twice. Raises NotAllowed, NotFound.
    """
    tester = _tester(person)
    found = _own(job_id, person, services)
    if found.status in (JobStatus.queued, JobStatus.processing):
        with contextlib.suppress(RequestRefused):  # it ended just now
            generation.cancel(job_id, tester, services)
    if found.portrait_id is not None:
        with contextlib.suppress(NotFound):
            portraits.delete(PortraitId(found.portrait_id), tester, services)
    if found.library_id is not None:
        with contextlib.suppress(BadRequest):
            library.delete([found.library_id], tester, services)
    with contextlib.suppress(NotFound):
        characters.delete(CharacterId(found.character_id), tester, services)
    return _KEPT


def _steps(found: TrialStand, *, object_is_there: bool) -> Sequence[Step]:
    """Pure. After the first that failed, nothing else is waited for."""
    ended_badly = found.status in (JobStatus.failed, JobStatus.cancelled)
    saved = found.library_id is not None
    wanted = (
        (
            "The job is completed",
            found.status == JobStatus.completed,
            found.error_message or f"It is {found.status}.",
        ),
        (
            "Its image is in the library",
            object_is_there,
            "The row is there and the file is not." if saved else "",
        ),
        (
            "The library row is a character portrait",
            found.library_type == "character_portrait",
            f"Its type is {found.library_type or 'missing'}." if saved else "",
        ),
        ("It is the character's primary portrait", found.is_primary, ""),
        (
            "The character shows it",
            found.image_url is not None and found.image_url == found.library_path,
            "It shows another picture." if found.image_url else "",
        ),
    )
    failed = ended_badly or found.stage == "not_saved"
    return [
        Step(title=title, state=StepState.done)
        if holds
        else Step(title=title, state=StepState.failed if failed else StepState.waiting, detail=detail)
        for title, holds, detail in wanted
    ]


def _own(job_id: JobId, person: Person, services: Services) -> TrialStand:
    tester = _tester(person)
    with services.db.as_reader(tester) as conn:
        found = system.trial_stand(conn, job_id)
    if found is None or found.owner != person.id or found.character != NAME:
        raise NotFound("This is no test portrait of yours.")
    return found


def _tester(person: Person) -> Person:
    """The person, for this one purpose also as an editor of their own character."""
    permit(person, Action.make_test_portrait)
    return replace(person, roles=person.roles | {Role.editor})
