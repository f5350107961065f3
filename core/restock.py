"""What a scan of the library found, set right: a safe repair for each kind, and what only a person decides (SPEC "Audit",
Library).

Every repair looks again first, may be repeated, and is recorded in the audit with before and after; of two people who
repair the same at once, one does and the other is told. Nothing is ever destroyed: what a person takes out goes to the
bin, a tombstone row or the folder `binned/` of its bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from uuid import UUID

from core import foreign_paths, images, log, mending, queue, running
from core.audit import library as asked
from core.audit.autosave import Reason
from core.audit.library import Find
from core.authority import Action, permit
from core.db import assets, characters, jobs, library, proofs, repeat_on_deadlock, stock
from core.errors import (
    BadImage,
    BadRequest,
    Conflict,
    ObjectMissing,
    ProviderRejected,
    ProviderUnreachable,
    RequestRefused,
    ResultLost,
)
from core.services import Services
from core.stock import BIN, Kind
from core.storage import (
    ATTRIBUTE_ORIGINALS,
    LIBRARY,
    PUBLIC_ASSETS,
    REFERENCES,
    WORKSPACE,
    Address,
    checked,
    is_key,
)
from core.stored_links import StoredLink, read
from core.values import Asset, CharacterId, Job, JobId, Person, PersonId, Picture

_THUMBNAIL = ".thumb.webp"
_READABLE_BY_RULE = frozenset({ATTRIBUTE_ORIGINALS, PUBLIC_ASSETS})  # no person's folder (SPEC "Files")
_INSIDE = frozenset({"storage_path", "temp_storage_path", "thumbnail_path"})  # hold a path inside its bucket
_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class Done:
    """What was done, in a sentence, and what the record keeps of it."""

    sentence: str
    before: Mapping[str, object]
    after: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class _Case:
    """One finding under repair."""

    find: Find
    person: Person
    services: Services

    @property
    def address(self) -> Address:
        """The object it is about. Raises NotAllowed where its row leads to somebody else's folder."""
        find = self.find
        if find.bucket is None or find.path is None:
            raise BadRequest("This finding names no object.")
        address = checked(find.bucket, find.path)
        if find.owner is not None and address.bucket not in _READABLE_BY_RULE:
            _refuse_foreign(self, address, find.owner)
        return address

    @property
    def job_id(self) -> JobId | None:
        return JobId(self.find.job_id) if self.find.job_id is not None else None


class _Left(RequestRefused):
    """This repair cannot be made here; the sentence says why, and what helps."""

    code = "NOT_MENDED"


# -- the three deeds -------------------------------------------------------------------------------------------------


def mend(finding_id: int, person: Person, services: Services, *, why: str) -> str:
    """Repair what is safe to repair, and say what was done.

    Raises NotAllowed (needs qa or admin), NotFound, Conflict (mended meanwhile), RequestRefused where it is a person's
    to decide or cannot be made here; StorageFailed and DatabaseUnavailable, after which repeating is right.
    """
    return _carry_out(finding_id, "mended", person, services, why, _repair)


def put_in_bin(finding_id: int, person: Person, services: Services, *, why: str) -> str:
    """A person's decision: the object without a row, or of two alike the later one, or a blank or broken picture goes to
    the bin. Raises as `mend`.
    """
    return _carry_out(finding_id, "binned", person, services, why, _bin)


def accept(finding_id: int, person: Person, services: Services, *, why: str) -> str:
    """A person's decision: it is right as it is, and no scan opens it again. Raises as `mend`."""
    return _carry_out(finding_id, "accepted", person, services, why, _accept)


def why_not_mended(find: Find) -> str:
    """Why `mend` would surely leave a finding; empty where it would try. Looks at the finding only."""
    if Kind(find.kind) not in _REPAIRS:
        return "No repair is safe here. Look at it and decide."
    if find.kind == Kind.object_without_row and find.job_id is None:
        return "Its name tells no job, so nothing says whose it is. Look at it and decide."
    if find.kind == Kind.object_missing and find.job_id is None:
        return "No job is known that made it, so its bytes cannot be fetched again."
    if find.kind == Kind.external_link and _is_dead(find) and not _may_have_saved(find):
        return "The link is dead, so its picture cannot be brought in any more. Look at it and decide."
    return ""


def _is_dead(find: Find) -> bool:
    return find.dies_at is not None and find.dies_at < datetime.now(UTC)


def _may_have_saved(find: Find) -> bool:
    """Whether the library may hold what the row should show instead of its link."""
    is_portrait = find.table_name == "character_portraits" and find.job_id is not None
    return find.column_name == "image_url" and (is_portrait or find.table_name == "characters")


def can_be_binned(kind: Kind) -> bool:
    """Whether a finding of this kind points at something that can be taken out."""
    return kind in _BINS


def _carry_out(
    finding_id: int,
    deed: str,
    person: Person,
    services: Services,
    why: str,
    act: Callable[[_Case], Done],
) -> str:
    permit(person, Action.repair_library)
    with services.db.as_user(person) as conn:
        refusal = stock.refusal(conn, finding_id)
        find = asked.find(conn, finding_id)
    if refusal is not None or find is None:
        raise Conflict(refusal or "There is no such finding.", code="MENDED_MEANWHILE")
    done = act(_Case(find=find, person=person, services=services))

    def end() -> bool:
        with services.db.as_user(person) as conn:
            return stock.end_repair(conn, finding_id, deed, before=done.before, after=done.after, why=why)

    if not repeat_on_deadlock(end):
        raise Conflict(
            "Somebody else mended it at the same moment; it is right now.", code="MENDED_MEANWHILE"
        )
    _log.info("library_finding_ended", finding=finding_id, kind=find.kind, deed=deed)
    return done.sentence


def _repair(case: _Case) -> Done:
    reason = why_not_mended(case.find)
    if reason:
        raise _Left(reason)
    try:
        return _REPAIRS[Kind(case.find.kind)](case)
    except ObjectMissing as error:
        raise _Left("The object went away meanwhile. The next scan tells what is left.") from error


def _accept(case: _Case) -> Done:
    return Done(
        sentence="Left as it is; scans do not open it again.",
        before={"kind": case.find.kind},
        after={"accepted": True},
    )


def _refuse_foreign(case: _Case, address: Address, owner: UUID) -> None:
    """Rows can be written by users: their paths are not to be believed (SPEC "Files")."""
    sentence = "The path lies in somebody else's folder, so it is left alone."
    foreign_paths.own(address, owner, case.person, case.services, sentence=sentence)


def _picture(case: _Case, address: Address) -> Picture:
    try:
        return images.read_picture(case.services.storage.get(*address))
    except BadImage as error:
        raise _Left(f"What lies there is no picture that can be kept. {error.sentence}") from error


# -- thumbnails and records ------------------------------------------------------------------------------------------


def _make_thumbnail(case: _Case) -> Done:
    """Made anew from its picture; a row that names none learns of it."""
    target, find = case.address, case.find
    with case.services.db.as_service() as conn:
        original = stock.original_of(conn, *target)
    if original is None or not is_key(original) or not target.path.endswith(_THUMBNAIL):
        raise _Left("Its picture was not found, so no thumbnail can be made.")
    source = Address(target.bucket, original)
    if find.owner is not None and target.bucket not in _READABLE_BY_RULE:
        _refuse_foreign(case, source, find.owner)
    case.services.storage.put(*target, _picture(case, source).thumbnail, "image/webp")
    with case.services.db.as_service() as conn:
        if find.table_name is not None and find.row_id is not None:
            stock.name_thumbnail(conn, find.table_name, find.row_id, target)
        if case.job_id is not None and target.bucket == LIBRARY:
            proofs.name_thumbnail(conn, case.job_id, target.path)
    return Done(
        sentence="Its thumbnail was made again.", before={"thumbnail": None}, after={"thumbnail": str(target)}
    )


def _correct(case: _Case) -> Done:
    """A record whose object is right is corrected; an object whose record is right is fetched again."""
    address, find = case.address, case.find
    digest = case.services.storage.digest(*address)
    with case.services.db.as_service() as conn:
        wanted = stock.recorded(conn, find.table_name or "", find.row_id or "")
    if wanted is not None and wanted.sha256 not in {None, digest.sha256}:
        return _bring_bytes(case)
    _picture(case, address)
    with case.services.db.as_service() as conn:
        before = stock.record(
            conn, find.table_name or "", find.row_id or "", size=digest.size, sha256=digest.sha256
        )
    if before is None:
        raise _Left("Its row keeps no size that could be corrected. Look at it and decide.")
    return Done(
        sentence="The record now says what the object is.",
        before=before,
        after={"size": digest.size, "sha256": digest.sha256},
    )


_BYTES: Mapping[tuple[Kind, str], Reason] = MappingProxyType(
    {
        (Kind.object_missing, LIBRARY): Reason.OBJECT_MISSING,
        (Kind.size_differs, LIBRARY): Reason.SIZE_DIFFERS,
        (Kind.hash_differs, LIBRARY): Reason.HASH_DIFFERS,
        (Kind.object_missing, WORKSPACE): Reason.WORKSPACE_OBJECT_MISSING,
        (Kind.size_differs, WORKSPACE): Reason.WORKSPACE_SIZE_DIFFERS,
        (Kind.hash_differs, WORKSPACE): Reason.WORKSPACE_HASH_DIFFERS,
    }
)


def _bring_bytes(case: _Case) -> Done:
    """The recorded bytes again: from the workspace, the library or the provider, told by their hash."""
    address, job_id = case.address, case.job_id
    reason = _BYTES.get((Kind(case.find.kind), address.bucket))
    if job_id is None or reason is None:
        raise _Left("No job is known that made it, so its bytes cannot be fetched again.")
    # A row that records another size than its result did is the proof's RECORD_DIFFERS.
    for one in (reason, *([Reason.RECORD_DIFFERS] if address.bucket == LIBRARY else [])):
        mended = mending.repair(job_id, case.person, case.services, only=one)
        if mended.left:
            raise _Left(mended.left[0][1])
    if not _fits(case):
        raise _Left("The right bytes are nowhere any more. Look at it and decide.")
    return Done(
        sentence="Its bytes and its record fit again.",
        before={"object": str(address), "size": case.find.size},
        after={"object": str(address), "size": case.services.storage.digest(*address).size},
    )


def _fits(case: _Case) -> bool:
    """Whether the object stands and is what its row records, as far as that says anything."""
    address, find = case.address, case.find
    try:
        digest = case.services.storage.digest(*address)
    except ObjectMissing:
        return False
    with case.services.db.as_service() as conn:
        row = stock.recorded(conn, find.table_name or "", find.row_id or "")
    return row is None or (row.size in {None, digest.size} and row.sha256 in {None, digest.sha256})


# -- objects without a row -------------------------------------------------------------------------------------------


def _adopt(case: _Case) -> Done:
    """An object whose name tells its job becomes that job's result, where the job has none."""
    address, job_id = case.address, case.job_id
    with case.services.db.as_service() as conn:
        job = jobs.get(conn, job_id) if job_id is not None else None
        known = assets.first_of_job(conn, job.id) if job is not None else None
        listed = job is not None and stock.job_has_item(conn, job.id)
        character = characters.get(conn, job.character_id) if job is not None and job.character_id else None
    if job is None:
        raise _Left("The job its name tells is not there any more. Look at it and decide.")
    owner = character.user_id if character is not None else running.owner_of(job)
    _refuse_foreign(case, address, owner)
    if address.path.endswith(_THUMBNAIL):
        raise _Left("It is a thumbnail without its picture. Look at it and decide.")
    if address.bucket == WORKSPACE and known is None:
        return _adopt_result(case, job, owner)
    if address.bucket == LIBRARY and not listed and job.character_id is not None:
        return _adopt_item(case, job, owner, known)
    raise _Left("Its job has its picture already, and this is another object. Look at it and decide.")


def _adopt_result(case: _Case, job: Job, owner: PersonId) -> Done:
    """The asset row, whose trigger completes the job; auto-save follows."""
    address = case.address
    picture = _picture(case, address)
    _refuse_blank(picture)
    thumbnail = f"{address.path.rpartition('.')[0]}{_THUMBNAIL}"
    case.services.storage.put(WORKSPACE, thumbnail, picture.thumbnail, "image/webp")

    def write() -> None:
        with case.services.db.as_service() as conn:
            jobs.lock(conn, job.id)
            assets.insert_if_none(
                conn, job, picture, owner=owner, path=address.path, thumbnail_path=thumbnail, seed=None
            )
            queue.put_autosave(conn, job.id)

    repeat_on_deadlock(write)
    return Done(
        sentence="It is its job's result now, and is being saved.",
        before={"job": str(job.id), "status": job.status},
        after={"object": str(address), "status": "completed"},
    )


def _adopt_item(case: _Case, job: Job, owner: PersonId, known: Asset | None) -> Done:
    """The library row of a copy that stands in its place; what else its portrait lacks is repaired with it."""
    address = case.address
    picture = _picture(case, address)
    _refuse_blank(picture)
    if known is not None and known.sha256 not in {None, picture.sha256}:
        raise _Left("It holds other bytes than its job's result. Look at it and decide.")
    thumbnail = f"{address.path.rpartition('.')[0]}{_THUMBNAIL}"
    case.services.storage.put(LIBRARY, thumbnail, picture.thumbnail, "image/webp")

    def write() -> None:
        with case.services.db.as_service() as conn:
            jobs.lock(conn, job.id)
            jobs.take_rows(conn, job.id)
            library.insert(
                conn,
                job,
                _as_asset(job, owner, address, thumbnail, picture),
                owner=owner,
                path=address.path,
                thumbnail_path=thumbnail,
                tags=("character", "portrait"),
                about={"type": "character_portrait", "character_id": str(job.character_id)},
            )

    repeat_on_deadlock(write)
    mending.repair(job.id, case.person, case.services)
    return Done(
        sentence="It is its job's library item now.",
        before={"job": str(job.id), "library_row": None},
        after={"object": str(address), "sha256": picture.sha256},
    )


def _as_asset(job: Job, owner: PersonId, address: Address, thumbnail: str, picture: Picture) -> Asset:
    return Asset(
        id=job.id,
        job_id=job.id,
        user_id=owner,
        path=address.path,
        thumbnail_path=thumbnail,
        media_type=picture.media_type,
        file_size=len(picture.data),
        seed=None,
        width=picture.width,
        height=picture.height,
        sha256=picture.sha256,
        phash=picture.phash,
        blank=picture.blank,
        cleaned_at=None,
    )


def _refuse_blank(picture: Picture) -> None:
    if picture.blank:
        raise _Left("It is a single colour, which is no portrait. Look at it and decide.")


# -- stored links ----------------------------------------------------------------------------------------------------


def _replace_link(case: _Case) -> Done:
    """A signed link to an object of ours becomes `bucket/path`, where the object stands."""
    find, old = case.find, _value(case)
    with case.services.db.as_service() as conn:
        hosts = stock.own_hosts(conn)
    said = read(old, default_bucket=find.bucket or LIBRARY, own_hosts=hosts, made_at=find.first_seen)
    address = said.address if isinstance(said, StoredLink) else said
    if address is None:
        raise _Left("It does not lead to an object of ours. Look at it and decide.")
    if find.owner is not None and address.bucket not in _READABLE_BY_RULE:
        _refuse_foreign(case, address, find.owner)
    if case.services.storage.info(*address) is None:
        raise _Left("The object it leads to is not in the store, so the link stays as it is.")
    new = address.path if find.column_name in _INSIDE else str(address)
    _write_value(case, old, new)
    return Done(
        sentence="The row now holds the object's own address.",
        before={"link": find.host or "a signed link"},
        after={str(find.column_name): new},
    )


def _bring_in(case: _Case) -> Done:
    """The picture behind an external link, while it lives, as an object of ours; the row then holds its address."""
    find, old = case.find, _value(case)
    if _may_have_saved(find) and (shown := _show_saved(case, old)):
        return shown
    with case.services.db.as_service() as conn:
        owner, character_id = stock.owner_and_character(conn, find.table_name or "", find.row_id or "")
    if owner is None or character_id is None:
        raise _Left("This row belongs to no character, so its picture cannot be brought in here.")
    picture = _fetched(case, old)
    address = _home_of(find, owner, character_id, picture)
    thumbnail = Address(address.bucket, f"{address.path.rpartition('.')[0]}{_THUMBNAIL}")
    case.services.storage.put(*address, picture.data, picture.media_type)
    if address.bucket == LIBRARY:
        case.services.storage.put(*thumbnail, picture.thumbnail, "image/webp")

    def write() -> None:
        with case.services.db.as_service() as conn:
            characters.lock(conn, character_id)
            if address.bucket == LIBRARY:
                _list_brought(conn, find, owner, character_id, address, thumbnail, picture)
            _must(
                stock.replace_value(
                    conn,
                    find.table_name or "",
                    find.column_name or "",
                    find.row_id or "",
                    old=old,
                    new=str(address),
                )
            )

    repeat_on_deadlock(write)
    return Done(
        sentence="Its picture lies in the library now.",
        before={"link": find.host},
        after={str(find.column_name): str(address), "sha256": picture.sha256},
    )


def _show_saved(case: _Case, old: str) -> Done | None:
    """The picture that the library holds already, instead of a link; None where it holds none."""
    find = case.find
    if case.job_id is not None:
        mending.repair(case.job_id, case.person, case.services, only=Reason.PORTRAIT_NOT_STABLE)
    elif find.character_id is not None:
        character_id = CharacterId(find.character_id)

        def follow() -> None:
            with case.services.db.as_service() as conn:
                characters.lock(conn, character_id)
                if proofs.owns_primary(conn, character_id):
                    characters.follow_primary(conn, character_id)

        repeat_on_deadlock(follow)
    new = _value(case)
    if new == old:
        return None
    return Done(
        sentence="It shows the picture that the library holds already.",
        before={"link": find.host},
        after={"image_url": new},
    )


def _list_brought(
    conn: stock.Connection,
    find: Find,
    owner: PersonId,
    character_id: CharacterId,
    address: Address,
    thumbnail: Address,
    picture: Picture,
) -> None:
    """The library row, and for a character's own picture its portrait row."""
    facts: dict[str, object] = {
        "size": len(picture.data),
        "type": picture.media_type,
        "width": picture.width,
        "height": picture.height,
        "sha256": picture.sha256,
        "phash": picture.phash,
        "blank": picture.blank,
    }
    is_scene = find.table_name == "character_scenes"
    stock.insert_brought(
        conn,
        owner=owner,
        character_id=character_id,
        address=address,
        thumbnail=thumbnail,
        picture=facts,
        kind="character_scene" if is_scene else "character_portrait",
    )
    if find.table_name == "characters":
        stock.insert_portrait(
            conn, character_id=character_id, address=address, thumbnail=thumbnail, picture=facts
        )


def _home_of(find: Find, owner: PersonId, character_id: CharacterId, picture: Picture) -> Address:
    """Where a brought picture belongs (SPEC "Files"); its hash is its name, so bringing it twice is one object."""
    name = f"{picture.sha256}.{picture.extension}"
    if find.column_name == "reference_image_url":
        return Address(REFERENCES, f"{owner}/{character_id}/{name}")
    folder = "scenes" if find.table_name == "character_scenes" else "portraits"
    return Address(LIBRARY, f"{owner}/{folder}/{character_id}/{name}")


def _fetched(case: _Case, link: str) -> Picture:
    """The bytes behind a link, from hosts that providers' results come from and from no others."""
    services = case.services
    allowed = tuple(host for provider in services.providers.values() for host in provider.download_hosts)
    try:
        picture = images.read_picture(services.downloads.fetch(link, allowed=allowed))
    except ResultLost as error:
        raise _Left("The link is dead: its picture is not there any more.") from error
    except ProviderRejected as error:
        raise _Left(
            "Its host is none that pictures are fetched from. Save the picture by hand and upload it."
        ) from error
    except BadImage as error:
        raise _Left(f"What lies there is no picture that can be kept. {error.sentence}") from error
    except ProviderUnreachable as error:
        raise _Left("Its host does not answer now. Try again soon.") from error
    _refuse_blank(picture)
    return picture


def _value(case: _Case) -> str:
    find = case.find
    with case.services.db.as_service() as conn:
        value = stock.value_of(conn, find.table_name or "", find.column_name or "", find.row_id or "")
    if not value:
        raise _Left("The row says something else by now. The next scan looks at it again.")
    return value


def _write_value(case: _Case, old: str, new: str) -> None:
    find = case.find

    def write() -> None:
        with case.services.db.as_service() as conn:
            _must(
                stock.replace_value(
                    conn, find.table_name or "", find.column_name or "", find.row_id or "", old=old, new=new
                )
            )

    repeat_on_deadlock(write)


def _must(changed: bool) -> None:
    if not changed:
        raise Conflict("Somebody else changed this row at the same moment. Nothing was changed; look again.")


_REPAIRS: Mapping[Kind, Callable[[_Case], Done]] = MappingProxyType(
    {
        Kind.thumbnail_missing: _make_thumbnail,
        Kind.size_differs: _correct,
        Kind.hash_differs: _bring_bytes,
        Kind.object_missing: _bring_bytes,
        Kind.object_without_row: _adopt,
        Kind.own_link: _replace_link,
        Kind.external_link: _bring_in,
    }
)
"""What is safe to do by itself; every other kind is a person's to decide."""


# -- the bin ---------------------------------------------------------------------------------------------------------


def _bin(case: _Case) -> Done:
    deed = _BINS.get(Kind(case.find.kind))
    if deed is None:
        raise _Left("There is nothing here that could go to the bin.")
    return deed(case)


def _bin_object(case: _Case) -> Done:
    """An object that no row names moves into its bucket's bin; first the copy, proved, then the original goes."""
    address, storage = case.address, case.services.storage
    with case.services.db.as_service() as conn:
        if stock.is_named(conn, address):
            raise _Left("A row names it by now, so it stays. The next scan looks at it again.")
    place = Address(address.bucket, f"{BIN}/{address.path}")
    checked(*place)
    storage.copy(address, place)
    if storage.digest(*place) != storage.digest(*address):
        raise _Left("Its copy in the bin is not the same, so the original stays. Try again.")
    storage.delete(*address)
    return Done(
        sentence=f"It lies in the bin now: {place}.",
        before={"object": str(address), "size": case.find.size},
        after={"object": str(place)},
    )


def _bin_item(case: _Case) -> Done:
    """A library item and its portraits become tombstones; an editor can take them back from the library's bin."""
    address = case.address
    if address.bucket != LIBRARY:
        raise _Left("Only pictures of the library can be taken out here.")

    def write() -> Mapping[str, object] | None:
        with case.services.db.as_service() as conn:
            return stock.put_item_in_bin(conn, address.path, case.person.id)

    binned = repeat_on_deadlock(write)
    if binned is None:
        raise _Left(
            "It is its character's primary picture or reference. Choose another one in the studio first."
        )
    return Done(
        sentence="It is in the library's bin and can be taken back from there.",
        before={"object": str(address), "kept": case.find.other_path},
        after=binned,
    )


_BINS: Mapping[Kind, Callable[[_Case], Done]] = MappingProxyType(
    {
        Kind.object_without_row: _bin_object,
        Kind.same_bytes: _bin_item,
        Kind.look_alike: _bin_item,
        Kind.blank: _bin_item,
        Kind.corrupt: _bin_item,
    }
)


def finding_of(one: str) -> int:
    """The finding an id of a bulk action names. Raises BadRequest."""
    if not one.isdecimal():
        raise BadRequest("A row of this action is not a finding of the library.", field="ids")
    return int(one)
