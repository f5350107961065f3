"""Portrait jobs that name no character, found their own (SPEC "Matching a portrait job without character_id").

The creation form asks for a portrait before its character exists and passes only a name. A name is never guessed among
several characters, nor given to one that is older than the job: QA gets a row to decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from core import log, queue
from core.db import activity, assets, jobs, matches
from core.db.matches import Candidate
from core.services import Services
from core.values import CharacterId, JobId, JobStatus

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
            matches.write(conn, job_id, chosen)
            if job.status is JobStatus.completed and assets.first_of_job(conn, job_id) is not None:
                jobs.mark_completed(conn, job_id, cost=job.cost_usd)
                queue.put_autosave(conn, job_id)
        elif verdict is Verdict.person and job.status is JobStatus.completed:
            sentence = (
                "This portrait names a character by name only, and that name belongs to several characters or to one "
                "that is older than the portrait. Decide which one it is."
            )
            activity.find(conn, "job.which_character", "jobs", str(job_id), sentence)
    _log.info("job_matched", job_id=str(job_id), verdict=verdict)
    return verdict


def choose(found: Sequence[Candidate]) -> tuple[Verdict, CharacterId | None]:
    """The rule: the one that shows this job's picture; else the only one of that name, if it is newer."""
    by_file = [one for one in found if one.by_file]
    if len(by_file) == 1:
        return Verdict.matched, by_file[0].id
    newer = [one for one in found if one.is_newer]
    if not by_file and len(newer) == 1:
        return Verdict.matched, newer[0].id
    return (Verdict.person if found else Verdict.nobody), None
