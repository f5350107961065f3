"""Auto-save gone wrong in every way a database of ours can hold: one portrait a reason of the seven checks."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from core import proof
from core.audit.autosave import Facts, Reason
from core.db import demo
from core.demo.cast import CASS
from core.demo.manifest import Page, Repair
from core.demo.workshop import Workshop
from core.errors import StudioError
from core.storage import LIBRARY, WORKSPACE
from core.values import JobId

SIGNED = "https://older-project.supabase.co/storage/v1/object/sign/user-library/{path}?token={token}"
"""A link of another project, as the platform stored them for a year."""

_Change = Callable[[bytes], bytes | None]


@dataclass(frozen=True)
class _File:
    """What happens to one of a job's objects."""

    bucket: str
    path: Callable[[Facts], str | None]
    change: _Change


def _gone(_data: bytes) -> None:
    return None


def _cut(data: bytes) -> bytes:
    return data[:-7]


def _flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


_FILES: Mapping[Reason, _File] = {
    Reason.WORKSPACE_OBJECT_MISSING: _File(WORKSPACE, lambda facts: facts.workspace_path, _gone),
    Reason.WORKSPACE_SIZE_DIFFERS: _File(WORKSPACE, lambda facts: facts.workspace_path, _cut),
    Reason.WORKSPACE_HASH_DIFFERS: _File(WORKSPACE, lambda facts: facts.workspace_path, _flipped),
    Reason.OBJECT_MISSING: _File(LIBRARY, lambda facts: facts.library_path, _gone),
    Reason.SIZE_DIFFERS: _File(LIBRARY, lambda facts: facts.library_path, _cut),
    Reason.HASH_DIFFERS: _File(LIBRARY, lambda facts: facts.library_path, _flipped),
    Reason.THUMBNAIL_MISSING: _File(LIBRARY, lambda facts: facts.thumbnail_path, _gone),
}
_BY_ROWS: Sequence[Reason] = (
    Reason.NOT_COMPLETED,
    Reason.NO_COMPLETION_TIME,
    Reason.NO_ASSET,
    Reason.NO_LIBRARY_ROW,
    Reason.WRONG_TYPE,
    Reason.WRONG_CHARACTER,
    Reason.WRONG_TAGS,
    Reason.RECORD_DIFFERS,
    Reason.NO_THUMBNAIL,
    Reason.NO_PORTRAIT,
    Reason.PORTRAIT_NOT_STABLE,
    Reason.WORKSPACE_FOREIGN_PATH,
    Reason.KEPT_OUT,
    Reason.WRONG_OWNER,
    Reason.FOREIGN_PATH,
    Reason.THUMBNAIL_FOREIGN_PATH,
    Reason.PORTRAIT_ELSEWHERE,
)
FOR_A_PERSON = frozenset(
    {
        Reason.WORKSPACE_FOREIGN_PATH,
        Reason.KEPT_OUT,
        Reason.WRONG_OWNER,
        Reason.FOREIGN_PATH,
        Reason.THUMBNAIL_FOREIGN_PATH,
        Reason.PORTRAIT_ELSEWHERE,
        Reason.NO_CHARACTER,
    }
)
"""Reasons that nobody but a person can settle: rows lead to somebody else, or a name to several."""

# These break the character itself, so each has one of its own, with one portrait.
_OF_CHARACTERS: Mapping[Reason, str] = {
    Reason.NO_PRIMARY: "juno",
    Reason.NO_IMAGE: "tobias",
    Reason.IMAGE_NOT_STABLE: "lotte",
    Reason.IMAGE_DIFFERS: "rafael",
}
_MODELS = ("flux", "sketch", "schnell", "novita")


def plant(workshop: Workshop) -> None:
    """All of them. They are young: what the workspace should still hold counts for seven days."""
    reasons = [*_BY_ROWS, *_FILES]
    made = [
        (reason, workshop.make(("barnaby", "wilhelmina")[place % 2], "mending", model=_MODELS[place % 4]))
        for place, reason in enumerate(reasons)
    ]
    for key in ("barnaby", "wilhelmina"):
        workshop.make(key, "well at last")  # the newest is the primary one, and nothing is wrong with it
    made += [(reason, workshop.make(key)) for reason, key in _OF_CHARACTERS.items()]
    _date(workshop, [job_id for _, job_id in made])
    for reason, job_id in made:
        _break(workshop, reason, job_id)
        repair = Repair.person if reason in FOR_A_PERSON else Repair.repair_autosave
        workshop.plant_reason(reason, job_id, repair)
        if reason is Reason.NOT_COMPLETED:
            where, says = ("jobs", job_id), "the job was not completed"
            workshop.plant("stuck.saved", Page.stuck, where, says, Repair.recover, job=job_id)
    _several_of_the_name(workshop)
    _lost_in_the_queue(workshop)


def _date(workshop: Workshop, job_ids: Sequence[JobId]) -> None:
    """From four days ago on, five hours between two."""
    with workshop.before_the_studio() as conn:
        for place, job_id in enumerate(job_ids):
            moment = workshop.ago(days=6, hours=12 - 4.5 * place)
            demo.date_job(conn, job_id, asked_at=moment, seconds=5 + place % 7)


def _break(workshop: Workshop, reason: Reason, job_id: JobId) -> None:
    if reason is Reason.KEPT_OUT:
        forget_copies(workshop, job_id)
    if (file := _FILES.get(reason)) is not None:
        _break_file(workshop, file, job_id)
        return
    with workshop.before_the_studio() as conn:
        demo.break_rows(
            conn,
            reason,
            job_id,
            stranger=str(CASS.id),
            other=str(workshop.characters["perpetua" if reason is Reason.PORTRAIT_ELSEWHERE else "juno"]),
            signed=SIGNED.format(path=f"{job_id}.png", token=signed_until(datetime(2025, 1, 1, tzinfo=UTC))),
        )


def _break_file(workshop: Workshop, file: _File, job_id: JobId) -> None:
    facts, storage = proof.look(job_id, workshop.services), workshop.services.storage
    path = file.path(facts) if facts is not None else None
    if path is None:
        raise StudioError("The demo world lost one of its own pictures. This is a fault of the studio.")
    data = storage.get(file.bucket, path)
    storage.delete(file.bucket, path)
    if (changed := file.change(data)) is not None:
        storage.put(file.bucket, path, changed, "image/png")


def signed_until(moment: datetime) -> str:
    """A token as Supabase signs links, which ends at `moment`; it opens nothing anywhere."""
    says = json.dumps({"url": "demo", "exp": int(moment.timestamp())}).encode()
    return f"eyJhbGciOiJIUzI1NiJ9.{base64.urlsafe_b64encode(says).decode().rstrip('=')}.demo"


def _several_of_the_name(workshop: Workshop) -> None:
    """A portrait that names Mandy Moss, and there are two: nobody guesses."""
    job_id = workshop.make("mandy", "with a very sharp pencil", model="sketch")
    _unname(workshop, job_id, "Mandy Moss")
    workshop.plant_reason(Reason.NO_CHARACTER, job_id, Repair.person)
    where, says = ("jobs", job_id), "bears its name"
    workshop.plant("stuck.which_character", Page.stuck, where, says, Repair.person, job=job_id)


def _unname(workshop: Workshop, job_id: JobId, name: str) -> None:
    forget_copies(workshop, job_id)
    with workshop.before_the_studio() as conn:
        demo.date_job(conn, job_id, asked_at=workshop.ago(hours=30), seconds=4)
        demo.break_rows(conn, "NAMES_NOBODY", job_id, name=name)
        demo.follow_newest(conn, workshop.characters["mandy"])


def forget_copies(workshop: Workshop, job_id: JobId) -> None:
    """The library's objects of a job that, in this world, was never saved."""
    facts = proof.look(job_id, workshop.services)
    for path in (facts.library_path, facts.thumbnail_path) if facts is not None else ():
        if path is not None:
            workshop.services.storage.delete(LIBRARY, path)


def _lost_in_the_queue(workshop: Workshop) -> None:
    """Completed, and the entry that would have saved it was lost: two checks fail at once."""
    job_id = workshop.make("wilhelmina", "waiting in the snow", model="flux")
    forget_copies(workshop, job_id)
    with workshop.before_the_studio() as conn:
        demo.date_job(conn, job_id, asked_at=workshop.ago(hours=3), seconds=6)
        demo.break_rows(conn, "NOT_SAVED", job_id)
        demo.follow_newest(conn, workshop.characters["wilhelmina"])
    for reason in (Reason.NO_LIBRARY_ROW, Reason.NO_PORTRAIT):
        workshop.plant_reason(reason, job_id, Repair.repair_autosave)
    where, says = ("jobs", job_id), "not in the library"
    workshop.plant("stuck.unsaved", Page.stuck, where, says, Repair.recover, job=job_id)
