"""Portrait jobs that name no character, found their own (SPEC "Matching a portrait job without character_id").

The creation form asks for a portrait before its character exists and passes only a name. A name is never guessed among
several characters, nor given to one that is older than the job: QA gets a row to decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from core import log, queue
from core.authority import Action, permit
from core.db import Connection, activity, assets, jobs, matches
from core.db.matches import Candidate
from core.errors import BadRequest, Conflict, NotFound
from core.services import Services
from core.values import CharacterId, Job, JobId, JobStatus, Person, PersonId

_log = log.get(__name__)


class Verdict(StrEnum):
    """What came of looking."""

    matched = "matched"
    nobody = "nobody"  # no such character yet
    person = "person"  # several, or only older ones: QA decides
    settled = "settled"  # it names a character already, or is gone


def match(job_id: JobId, services: Services) -> Verdict:
    """Find the character of one job; where it is found and the picture is there, save it. Safe to repeat."""
    with services.db.as_service() as conn:
        job = jobs.lock(conn, job_id)
        if job is None or job.character_id is not None:
            return Verdict.settled
        verdict, chosen = choose(matches.candidates(conn, job))
        if chosen is not None:
            _give(conn, job, chosen, None)
        elif verdict is Verdict.person and job.status is JobStatus.completed:
            sentence = (
                "This portrait names a character by name only, and that name belongs to several characters or to one "
                "that is older than the portrait. Decide which one it is: python -m core match."
            )
            activity.find(conn, matches.RULE, "jobs", str(job_id), sentence)
    _log.info("job_matched", job_id=str(job_id), verdict=verdict)
    return verdict


def decide(job_id: JobId, character_id: CharacterId, person: Person, services: Services) -> None:
    """A person says which character a portrait belongs to that names none, or whose name left it open; it is saved.

    Raises NotAllowed (needs qa or admin), NotFound, Conflict (it has another character already), BadRequest (field
    character: it belongs to somebody else than the job).
    """
    permit(person, Action.decide_characters)
    with services.db.as_service() as conn:
        job = jobs.lock(conn, job_id)
        if job is None:
            raise NotFound("There is no such job.")
        if job.character_id == character_id:
            return
        _refuse_unfit(conn, job, character_id)
        _give(conn, job, character_id, person.id)
    with services.db.as_user(person) as conn:
        after = {"character_id": str(character_id)}
        activity.note(
            conn, "character_decided", "jobs", str(job_id), before={"character_id": None}, after=after
        )
    _log.info("character_decided", job_id=str(job_id))


def _refuse_unfit(conn: Connection, job: Job, character_id: CharacterId) -> None:
    if job.character_id is not None:
        raise Conflict("This portrait has its character already; nothing was changed.")
    if job.metadata.get("destination") != "character_portrait":
        raise BadRequest("This job makes no portrait of a character.", field="job")
    is_theirs = matches.of_user(conn, character_id, job)
    if is_theirs is None:
        raise NotFound("There is no such character.")
    if not is_theirs:
        raise BadRequest("This character belongs to somebody else than the portrait.", field="character")


def _give(conn: Connection, job: Job, character_id: CharacterId, by: PersonId | None) -> None:
    """Write the match, and where the picture is there queue its saving."""
    matches.write(conn, job.id, character_id)
    matches.mend(conn, job.id, by)
    if job.status is JobStatus.completed and assets.first_of_job(conn, job.id) is not None:
        jobs.mark_completed(conn, job.id, cost=job.cost_usd)
        queue.put_autosave(conn, job.id)


def choose(found: Sequence[Candidate]) -> tuple[Verdict, CharacterId | None]:
    """The rule: the one that shows this job's picture; else the only one of that name, if it is newer."""
    by_file = [one for one in found if one.by_file]
    if len(by_file) == 1:
        return Verdict.matched, by_file[0].id
    newer = [one for one in found if one.is_newer]
    if not by_file and len(newer) == 1:
        return Verdict.matched, newer[0].id
    return (Verdict.person if found else Verdict.nobody), None
