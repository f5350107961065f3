"""A portrait that was not saved right, set right: a repair for each reason of the seven checks.

Every repair looks again first, changes nothing where nothing is wrong, and may be repeated. Bytes are written only
where the right ones are at hand: out of the workspace, the library or the provider, told by the recorded hash. What is
left for a person becomes a finding; what a person removed on purpose stays removed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from core import autosave, images, log, matching, proof, running
from core.audit import autosave as asked
from core.audit.autosave import SENTENCES, TITLES, Earlier, Facts, Reason
from core.authority import Action, permit
from core.db import (
    Connection,
    activity,
    as_ours,
    assets,
    characters,
    findings,
    jobs,
    matches,
    proofs,
    recoveries,
    repeat_on_deadlock,
    submissions,
)
from core.deeds import Deed, Options, Outcome, Tried, check_jobs, done, failed, job_of, refused
from core.errors import (
    BadImage,
    BadRequest,
    Conflict,
    NotAllowed,
    NotFound,
    ObjectMissing,
    ProviderRejected,
    ProviderUnreachable,
    ResultLost,
    StudioError,
)
from core.services import Services
from core.storage import LIBRARY, WORKSPACE, Digest
from core.values import (
    Asset,
    CharacterId,
    Finished,
    Job,
    JobId,
    Person,
    PersonId,
    Picture,
    Submission,
    Ticket,
    provider_name,
)

MOST_REPAIRED = 500  # of one kind, in one call
_WAIT = 20.0  # seconds for somebody else's repair of the same portrait
_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """What a repair did with one job: what was wrong and is right now, and what is left, with why."""

    job_id: JobId
    mended: tuple[Reason, ...] = ()
    left: tuple[tuple[Reason, str], ...] = ()
    trouble: str = ""  # a sentence, where the repair itself could not be carried through
    # Where nothing was left to mend: who was there before, and when.
    earlier: Earlier | None = field(default=None, compare=False)


class _Left(Exception):
    """This repair cannot be made here; the text says why, to a person."""


@dataclass(frozen=True, kw_only=True)
class _Case:
    """One job under repair, as it stood when this step began."""

    job: Job
    asset: Asset | None
    facts: Facts
    services: Services

    @property
    def character_id(self) -> CharacterId | None:
        """The character it belongs to, whoever says so."""
        found = self.facts.proof.character_id
        return CharacterId(found) if found is not None else None

    @property
    def failures(self) -> tuple[Reason, ...]:
        return self.facts.proof.failures


def repair(job_id: JobId, person: Person, services: Services, *, only: Reason | None = None) -> Repaired:
    """Set right what is wrong with one portrait job: everything, or what failed for the reason `only`.

    Recorded in the audit with before and after. Of two people who repair the same portrait at once one does it; the
    other waits, finds nothing left, and is told by whom it was mended (`earlier`).

    Raises NotAllowed (needs qa or admin), NotFound (no portrait job), Conflict REPAIR_RUNNING (somebody is at it for
    longer than one waits), StorageFailed and DatabaseUnavailable, after which repeating is right.
    """
    permit(person, Action.repair_autosave)
    with log.bind_job(job_id), _alone(job_id, services):
        case = first = _case(job_id, services)
        before = _standing(first)
        left: dict[Reason, str] = {}
        # One step a reason; a repair that undid another would otherwise go on for ever.
        for _ in Reason:
            reason = _next(case, only, left)
            if reason is None:
                break
            why = _mend(reason, case)
            case = _case(job_id, services)
            if reason in case.failures:
                left[reason] = why or SENTENCES[reason]
        done = tuple(one for one in first.failures if one not in case.failures)
        still = tuple((one, left[one]) for one in case.failures if one in left)
        _record(case, person, done, still, before)
        _log.info("autosave_repaired", mended=[*done], left=[reason for reason, _ in still])
        is_late = not any(only in {None, one} for one in first.failures)
        earlier = _last_repair(job_id, services) if is_late else None
        return Repaired(job_id=job_id, mended=done, left=still, earlier=earlier)


@contextlib.contextmanager
def _alone(job_id: JobId, services: Services) -> Generator[None]:
    """Only one repairs a portrait at a time; a killed process loses its right with its connection."""
    with contextlib.closing(services.db.connect()) as holder:
        try:
            with as_ours():
                proofs.hold_repair(holder, job_id, wait=_WAIT)
        except Conflict as error:
            raise Conflict(
                "Somebody is repairing this portrait at this moment. Look again when they are done.",
                code="REPAIR_RUNNING",
            ) from error
        yield


def _last_repair(job_id: JobId, services: Services) -> Earlier | None:
    with services.db.as_service() as conn:
        return asked.last_repair(conn, job_id)


def repair_all(
    kind: Reason,
    person: Person,
    services: Services,
    *,
    since: datetime | None = None,
    limit: int = MOST_REPAIRED,
    say: Callable[[Repaired], None] = lambda _: None,
) -> list[Repaired]:
    """Repair the jobs that the last proof found broken for `kind`, at most `limit`, one after the other.

    Each is looked at again first; one that cannot be repaired does not stop the others. Raises NotAllowed.
    """
    permit(person, Action.repair_autosave)
    with services.db.as_service() as conn:
        found = asked.broken(conn, reason=kind, since=since, limit=limit)
    report: list[Repaired] = []
    for one in found:
        if services.stopping.is_set():
            break
        report.append(_carefully(one.job_id, person, services, kind))
        say(report[-1])
    return report


def _carefully(job_id: JobId, person: Person, services: Services, kind: Reason) -> Repaired:
    try:
        return repair(job_id, person, services, only=kind)
    except NotFound as error:
        with services.db.as_service() as conn:
            proofs.forget(conn, job_id)  # purged meanwhile: there is nothing to prove
        return Repaired(job_id=job_id, trouble=error.sentence)
    except StudioError as error:
        _log.warning("autosave_repair_failed", job_id=str(job_id), code=error.reason)
        return Repaired(job_id=job_id, trouble=error.sentence)


def _case(job_id: JobId, services: Services) -> _Case:
    facts = proof.look(job_id, services)
    with services.db.as_service() as conn:
        job = jobs.get(conn, job_id)
        asset = assets.first_of_job(conn, job_id)
    if facts is None or job is None:
        raise NotFound("There is no such portrait job. It may have been purged.")
    return _Case(job=job, asset=asset, facts=facts, services=services)


def _next(case: _Case, only: Reason | None, tried: Mapping[Reason, str]) -> Reason | None:
    open_ones = (one for one in case.failures if one not in tried and only in {None, one})
    return next(open_ones, None)


def _mend(reason: Reason, case: _Case) -> str:
    """Carry one repair out; empty, or why it was left."""
    deed = _DEEDS.get(reason)
    if deed is None:
        return SENTENCES[reason]
    try:
        deed(case)
    except _Left as why:
        return str(why)
    except ObjectMissing as error:  # it went between the look and the deed
        return error.sentence
    return ""


def _standing(case: _Case) -> Mapping[str, Any]:
    with case.services.db.as_service() as conn:
        return proofs.standing(conn, case.job.id, case.character_id)


def _record(
    case: _Case,
    person: Person,
    done: Sequence[Reason],
    left: Sequence[tuple[Reason, str]],
    before: Mapping[str, Any],
) -> None:
    """Who repaired what, what is left as findings, and the job's line in the list of broken ones."""
    job, found = case.job, case.facts.proof
    if done:
        after = _standing(case)
        with case.services.db.as_user(person) as conn:
            activity.note(
                conn,
                "autosave_repaired",
                "jobs",
                str(job.id),
                before=before,
                after=after,
                why=", ".join(done),
            )
    with case.services.db.as_service() as conn:
        for reason, why in left:
            activity.find(conn, reason.rule, "jobs", str(job.id), why)
        proofs.mend_findings(conn, job.id, [one.rule for one in done], person.id)
        if found.failures:
            proofs.write(conn, [proof.found_of(job.id, found.ended_at, found.failures, objects=True)])
        else:
            proofs.forget(conn, job.id)


def _under_lock(case: _Case, reason: Reason, write: Callable[[Connection], object]) -> None:
    """`write` in one transaction, under the locks auto-save takes too, and only where it is still wrong."""
    character_id = case.character_id

    def change() -> None:
        with case.services.db.as_service() as conn:
            jobs.lock(conn, case.job.id)
            if character_id is not None:
                characters.lock(conn, character_id)
            now = asked.of_job(conn, case.job.id, grace=proof.grace(case.services))
            if now is not None and reason in now.failures:
                write(conn)

    repeat_on_deadlock(change)


# -- the job and its result ------------------------------------------------------------------------------------------


def _complete(case: _Case) -> None:
    _under_lock(case, Reason.NOT_COMPLETED, lambda conn: recoveries.complete(conn, [case.job.id]))


def _set_time(case: _Case) -> None:
    _under_lock(case, Reason.NO_COMPLETION_TIME, lambda conn: proofs.set_completion_time(conn, case.job.id))


def _bring_asset(case: _Case) -> None:
    """The workspace's record, from the library's copy where its bytes are sure, else from the provider."""
    facts, job = case.facts, case.job
    path = facts.library_path
    if path is not None and facts.library_sha256 is not None and _lies_right(case, LIBRARY, path):
        picture = _picture(case, LIBRARY, path)
        moment = int((job.completed_at or job.created_at).timestamp() * 1000)
        stem = f"{_owner(case)}/{job.id}_{moment}"
        _put_picture(case, f"{stem}.{picture.extension}", picture)
        with case.services.db.as_service() as conn:
            jobs.lock(conn, job.id)
            assets.insert_if_none(
                conn,
                job,
                picture,
                owner=_owner(case),
                path=f"{stem}.{picture.extension}",
                thumbnail_path=f"{stem}.thumb.webp",
                seed=None,
            )
        return
    _fetch_again(case)


def _bring_workspace(case: _Case) -> None:
    """The workspace's bytes as they were recorded, from the library or from the provider."""
    facts = case.facts
    target = facts.workspace_path
    if target is None:
        return
    source = facts.library_path
    if source is not None and _same(case, LIBRARY, source, facts.workspace_size, facts.workspace_sha256):
        case.services.storage.copy((LIBRARY, source), (WORKSPACE, target))
        return
    _fetch_again(case)


def _fetch_again(case: _Case) -> None:
    """The paid result once more, where the provider still has it: into the place its record names, or a new one.

    Raises _Left where it is gone, or is not the picture that was recorded.
    """
    sent, ticket = _receipt(case)
    picture, finished = _ask_provider(case, sent, ticket)
    size, sha256 = case.facts.library_size, case.facts.library_sha256
    if size not in {None, len(picture.data)} or (sha256 is not None and picture.sha256 != sha256.lower()):
        raise _Left("The provider gives other bytes than were recorded, so nothing was replaced. QA decides.")
    if case.asset is not None:
        _put_picture(case, case.asset.path, picture)
        return
    running.finish(case.job, sent, finished, picture, case.services)


def _receipt(case: _Case) -> tuple[Submission, Ticket]:
    with case.services.db.as_service() as conn:
        sent = submissions.current(conn, case.job.id)
    if sent is None or sent.ticket is None or sent.provider not in case.services.providers:
        raise _Left(
            "Its bytes are neither in the workspace nor in the library, and no provider can be asked for them."
        )
    return sent, sent.ticket


def _ask_provider(case: _Case, sent: Submission, ticket: Ticket) -> tuple[Picture, Finished]:
    try:
        state = case.services.providers[sent.provider].poll(ticket)
        if isinstance(state, Finished):
            return running.take_in(case.job, sent, state, case.services), state
    except (ProviderRejected, ResultLost, BadImage, ProviderUnreachable) as error:
        raise _Left(
            f"Its bytes are not here any more, and {provider_name(sent.provider)} did not give them again. {error.sentence}"
        ) from error
    raise _Left("Its bytes are not here any more, and the provider has not finished.")


def _put_picture(case: _Case, path: str, picture: Picture) -> None:
    storage = case.services.storage
    storage.put(WORKSPACE, path, picture.data, picture.media_type)
    storage.put(WORKSPACE, f"{path.rpartition('.')[0]}.thumb.webp", picture.thumbnail, "image/webp")


# -- the library -----------------------------------------------------------------------------------------------------


def _file_rows(case: _Case) -> None:
    """The library's row, the portrait's or both, after its copy is sure to lie in its place."""
    _name_character(case)
    target = autosave.path_of(case.job.id, case.services)
    if target is None:
        raise _Left("There is no result that could be saved, or it leads to somebody else. QA decides.")
    _bring_library(case, target)
    autosave.file_rows(
        case.job.id,
        case.services,
        in_library=Reason.NO_LIBRARY_ROW in case.failures,
        as_portrait=Reason.NO_PORTRAIT in case.failures,
    )


def _name_character(case: _Case) -> None:
    """Rows from before jobs.character_id: the job's own words, its portrait or its library row name one."""
    if case.job.character_id is None and case.character_id is not None:
        with case.services.db.as_service() as conn:
            matches.write(conn, case.job.id, case.character_id)


def _bring_object(case: _Case) -> None:
    if case.facts.library_path is not None:
        _bring_library(case, case.facts.library_path)


def _bring_library(case: _Case, target: str) -> None:
    """The copy at `target` with the bytes that were recorded; what lies there right already is left alone."""
    if _lies_right(case, LIBRARY, target):
        return
    source = case.facts.asset_path
    if source is None or not _lies_right(case, WORKSPACE, source):
        _fetch_again(case)
        source = _case(case.job.id, case.services).facts.asset_path
    if source is None or not _lies_right(case, WORKSPACE, source):
        raise _Left("The right bytes are not at hand, so nothing was overwritten. QA decides.")
    case.services.storage.copy((WORKSPACE, source), (LIBRARY, target))


def _lies_right(case: _Case, bucket: str, path: str) -> bool:
    return _same(case, bucket, path, case.facts.library_size, case.facts.library_sha256)


def _same(case: _Case, bucket: str, path: str, size: int | None, sha256: str | None) -> bool:
    """Whether an object is there and is what was recorded, as far as anything was."""
    found = _digest(case, bucket, path)
    if found is None:
        return False
    return size in {None, found.size} and (sha256 is None or sha256.lower() == found.sha256)


def _digest(case: _Case, bucket: str, path: str) -> Digest | None:
    try:
        return case.services.storage.digest(bucket, path)
    except (ObjectMissing, NotAllowed):  # a path that is no key of ours leads nowhere
        return None


def _mark(case: _Case) -> None:
    for reason in (Reason.WRONG_TYPE, Reason.WRONG_CHARACTER, Reason.WRONG_TAGS):
        _under_lock(
            case,
            reason,
            lambda conn: proofs.mark_portrait(
                conn, case.job.id, character_id=case.character_id, tags=autosave.TAGS
            ),
        )


def _correct_record(case: _Case) -> None:
    path = case.facts.library_path
    if path is None or case.asset is None:
        return
    _bring_library(case, path)
    found = _digest(case, LIBRARY, path)
    if found is None:
        raise _Left(SENTENCES[Reason.OBJECT_MISSING])
    _under_lock(
        case,
        Reason.RECORD_DIFFERS,
        lambda conn: proofs.correct_record(conn, case.job.id, size=found.size, sha256=found.sha256),
    )


def _bring_thumbnail(case: _Case) -> None:
    """Made anew from the library's picture, where that one is right; its row names it."""
    facts = case.facts
    if facts.library_path is None or facts.thumbnail_path is None:
        raise _Left(SENTENCES[Reason.NO_THUMBNAIL])
    if not _lies_right(case, LIBRARY, facts.library_path):
        raise _Left("A thumbnail is made from the library's picture, which must be repaired first.")
    picture = _picture(case, LIBRARY, facts.library_path)
    case.services.storage.put(LIBRARY, facts.thumbnail_path, picture.thumbnail, "image/webp")
    path = facts.thumbnail_path
    with case.services.db.as_service() as conn:
        jobs.lock(conn, case.job.id)
        proofs.name_thumbnail(conn, case.job.id, path)


def _picture(case: _Case, bucket: str, path: str) -> Picture:
    try:
        return images.read_picture(case.services.storage.get(bucket, path))
    except BadImage as error:
        raise _Left(f"What lies there is no picture that can be read. {error.sentence}") from error


def _owner(case: _Case) -> PersonId:
    with case.services.db.as_service() as conn:
        character = (
            characters.get(conn, case.character_id, with_deleted=True)
            if case.character_id is not None
            else None
        )
    return character.user_id if character is not None else running.owner_of(case.job)


# -- the character ---------------------------------------------------------------------------------------------------


def _match(case: _Case) -> None:
    if matching.match(case.job.id, case.services) is matching.Verdict.person:
        raise _Left(
            "Its name belongs to several characters, or to one older than the portrait. Decide which one."
        )


def _steady_portrait(case: _Case) -> None:
    _under_lock(case, Reason.PORTRAIT_NOT_STABLE, lambda conn: proofs.show_library_picture(conn, case.job.id))


def _choose_primary(reason: Reason) -> Callable[[_Case], None]:
    def deed(case: _Case) -> None:
        def write(conn: Connection) -> None:
            if case.character_id is not None:
                proofs.choose_primary(conn, case.character_id)
                _follow(conn, case.character_id)

        _under_lock(case, reason, write)

    return deed


def _follow_primary(reason: Reason) -> Callable[[_Case], None]:
    def deed(case: _Case) -> None:
        def write(conn: Connection) -> None:
            if case.character_id is not None:
                _follow(conn, case.character_id)

        _under_lock(case, reason, write)

    return deed


def _follow(conn: Connection, character_id: CharacterId) -> None:
    # Rows can be written by users: a primary that leads to somebody else's folder is not followed.
    if proofs.owns_primary(conn, character_id):
        characters.follow_primary(conn, character_id)


# What is not here is a person's to decide.
_DEEDS: Mapping[Reason, Callable[[_Case], None]] = MappingProxyType(
    {
        Reason.NOT_COMPLETED: _complete,
        Reason.NO_COMPLETION_TIME: _set_time,
        Reason.NO_ASSET: _bring_asset,
        Reason.WORKSPACE_OBJECT_MISSING: _bring_workspace,
        Reason.WORKSPACE_SIZE_DIFFERS: _bring_workspace,
        Reason.WORKSPACE_HASH_DIFFERS: _bring_workspace,
        Reason.NO_LIBRARY_ROW: _file_rows,
        Reason.NO_CHARACTER: _match,
        Reason.WRONG_TYPE: _mark,
        Reason.WRONG_CHARACTER: _mark,
        Reason.WRONG_TAGS: _mark,
        Reason.RECORD_DIFFERS: _correct_record,
        Reason.OBJECT_MISSING: _bring_object,
        Reason.SIZE_DIFFERS: _bring_object,
        Reason.HASH_DIFFERS: _bring_object,
        Reason.NO_THUMBNAIL: _bring_thumbnail,
        Reason.THUMBNAIL_MISSING: _bring_thumbnail,
        Reason.NO_PORTRAIT: _file_rows,
        Reason.PORTRAIT_NOT_STABLE: _steady_portrait,
        Reason.TWO_PRIMARIES: _choose_primary(Reason.TWO_PRIMARIES),
        Reason.NO_PRIMARY: _choose_primary(Reason.NO_PRIMARY),
        Reason.NO_IMAGE: _follow_primary(Reason.NO_IMAGE),
        Reason.IMAGE_NOT_STABLE: _follow_primary(Reason.IMAGE_NOT_STABLE),
        Reason.IMAGE_DIFFERS: _follow_primary(Reason.IMAGE_DIFFERS),
    }
)

CAN_MEND = frozenset(_DEEDS)
"""What a repair can set right; the rest a person decides."""


# -- for people, and for many rows at once ---------------------------------------------------------------------------

REASON = "reason"  # the option that narrows a repair to one reason
_MOMENT = 90.0  # seconds that are "a moment ago"


def told(repaired: Repaired, person: Person, services: Services) -> str:
    """What a repair did, in a sentence or two: what is mended, what is left and why, or who was there before."""
    if repaired.trouble:
        return repaired.trouble
    left = " ".join(f"Left: {TITLES[reason].lower()}. {why}" for reason, why in repaired.left)
    if repaired.mended:
        return f"Mended: {_titles(repaired.mended)}. {left}".strip()
    if left:
        return left
    if repaired.earlier is not None:
        return _told_earlier(repaired.earlier, person, services)
    return "Nothing is wrong with it any more."


def _told_earlier(earlier: Earlier, person: Person, services: Services) -> str:
    seconds = max((datetime.now(UTC) - earlier.at).total_seconds(), 0.0)
    when = "a moment ago" if seconds < _MOMENT else f"on {earlier.at:%-d %b %Y, %H:%M} UTC"
    what = f": {_titles(earlier.mended)}" if earlier.mended else ""
    return f"Already mended by {_called(earlier.by, person, services)} {when}{what}."


def _titles(reasons: Sequence[Reason]) -> str:
    return ", ".join(TITLES[reason].lower() for reason in reasons)


def _called(who: UUID | None, person: Person, services: Services) -> str:
    if who is None:
        return "the studio"
    if who == person.id:
        return "you"
    with services.db.as_reader(person) as conn:
        names = {one.id: one.name for one in findings.team(conn)}
    return names.get(who, "somebody else")


def _only(options: Options) -> Reason | None:
    said = options.get(REASON, "")
    if said and said not in set(Reason):
        raise BadRequest("There is no such reason to repair for.", field=REASON)
    return Reason(said) if said else None


def _repair_row(one: str, person: Person, services: Services, options: Options) -> Outcome:
    job_id = job_of(one)
    try:
        repaired = repair(job_id, person, services, only=_only(options))
    except NotFound as error:
        with services.db.as_service() as conn:
            proofs.forget(conn, job_id)  # purged meanwhile: there is nothing to prove
        return refused(error.sentence)
    sentence = told(repaired, person, services)
    if repaired.mended:
        return done(sentence)
    return failed(sentence) if repaired.trouble else refused(sentence)


def _found_repaired(one: str, services: Services, tried: Tried) -> Outcome | None:
    earlier = _last_repair(job_of(one), services)
    if earlier is None or earlier.by not in tried.who or earlier.at < tried.since:
        return None
    return done(f"Mended: {_titles(earlier.mended)}.")


REPAIR = Deed(
    kind="repair_autosave",
    title="Repair",
    allowed=(Action.repair_autosave,),
    check=check_jobs,
    act=_repair_row,
    found_done=_found_repaired,
    noun="portrait",
)
"""Repairing many portraits that were shown; registered in core/bulk.py."""
