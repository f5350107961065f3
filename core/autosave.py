"""Workspace asset → library, portrait or scene, character (SPEC "Auto-save"). Idempotent by job: twice, or from two workers
at once, there is one of each.
"""

from __future__ import annotations

from dataclasses import dataclass

from core import images, log, running
from core.db import (
    Connection,
    activity,
    assets,
    characters,
    jobs,
    library,
    portraits,
    proofs,
    repeat_on_deadlock,
    scenes,
)
from core.services import Services
from core.storage import LIBRARY, WORKSPACE
from core.values import (
    SCENE_PICTURE,
    Asset,
    Character,
    Job,
    JobId,
    JobStatus,
    PersonId,
    scene_of,
)

TAGS = ("character", "portrait")
SCENE_TAGS = ("character", "scene")
_EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/avif": "avif"}

_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class _Saving:
    """A result and where it goes; paths are inside the bucket user-library.

    `character` is None where its row is gone: the picture is kept in the library all the same.
    """

    job: Job
    asset: Asset
    owner: PersonId
    character: Character | None
    lies_at: str | None = (
        None  # a copy has its row already, maybe in the platform's form: that is never rewritten
    )

    @property
    def path(self) -> str:
        if self.lies_at is not None:
            return self.lies_at
        extension = _EXTENSIONS.get(self.asset.media_type, self.asset.path.rpartition(".")[2])
        folder = "portraits" if scene_of(self.job) is None else "scenes"
        return f"{self.owner}/{folder}/{self.job.character_id}/{self.job.id}.{extension}"

    @property
    def thumbnail_path(self) -> str:
        return f"{self.path.rpartition('.')[0]}.thumb.webp"


def save(job_id: JobId, services: Services) -> bool:
    """Save the result of a completed portrait job; False where there is nothing (more) to save.

    Raises StorageFailed and DatabaseUnavailable, after which calling again is right.
    """
    with log.bind_job(job_id):
        saving = _find(job_id, services)
        if saving is None or _was_removed(job_id, services):
            return False
        _copy(saving, services)
        saved = repeat_on_deadlock(lambda: _file(saving, services))
        _log.info("portrait_saved", character_id=str(saving.job.character_id), new=saved)
        return saved


def _was_removed(job_id: JobId, services: Services) -> bool:
    """True where a person removed the item and it is gone for good: saving does not bring it back."""
    with services.db.as_service() as conn:
        return library.was_removed(conn, job_id)


def path_of(job_id: JobId, services: Services) -> str | None:
    """Where the copy of a job's picture lies or belongs (inside user-library); None where nothing is to be saved."""
    saving = _find(job_id, services)
    return saving.path if saving is not None else None


def file_rows(job_id: JobId, services: Services, *, in_library: bool, as_portrait: bool) -> bool:
    """The rows alone, for a copy that stands in its place: the library's, the portrait's or both (a repair).

    False where there is nothing to save, or the portrait stands or was removed on purpose.
    """
    saving = _find(job_id, services)
    if saving is None:
        return False
    return repeat_on_deadlock(lambda: _file(saving, services, in_library=in_library, as_portrait=as_portrait))


def _find(job_id: JobId, services: Services) -> _Saving | None:
    with services.db.as_service() as conn:
        job = jobs.get(conn, job_id)
        asset = assets.first_of_job(conn, job_id)
        if job is None or job.character_id is None or asset is None or job.status is not JobStatus.completed:
            return None
        character = characters.get(conn, job.character_id, with_deleted=True)
        owner = character.user_id if character else running.owner_of(job)
        if not _is_foreign(conn, job, asset, owner):
            lies_at = proofs.lies_with(conn, job_id, owner)
            return _Saving(job=job, asset=asset, owner=owner, character=character, lies_at=lies_at)
        jobs.mark_not_saved(conn, job.id)
    return None


def _is_foreign(conn: Connection, job: Job, asset: Asset, owner: PersonId) -> bool:
    """True, with a finding, where rows that users write lead to somebody else: they are not to be believed."""
    if asset.path.split("/", 1)[0] != str(owner):
        sentence = "The result of this job lies in somebody else's folder, so it was not saved. QA decides."
        activity.find(conn, "asset.foreign_path", "workspace_assets", str(asset.id), sentence)
        return True
    if job.runner != "studio" and job.user_id != owner:
        # A job of ours was allowed when it was asked; users write the platform's jobs themselves.
        sentence = "This job names a character of somebody else, so its picture was not saved. QA decides."
        activity.find(conn, "job.foreign_character", "jobs", str(job.id), sentence)
        return True
    return False


def _copy(saving: _Saving, services: Services) -> None:
    """The permanent copy and its thumbnail, byte for byte; made anew where the thumbnail is missing."""
    storage = services.storage
    # A cleaned result has no object any more: its copy was proved before.
    is_settled = saving.lies_at is not None or saving.asset.cleaned_at is not None
    if not is_settled or storage.info(LIBRARY, saving.path) is None:
        storage.copy((WORKSPACE, saving.asset.path), (LIBRARY, saving.path))
    beside = _thumbnail_beside(saving)
    if storage.info(WORKSPACE, beside) is not None:
        storage.copy((WORKSPACE, beside), (LIBRARY, saving.thumbnail_path))
        return
    picture = images.read_picture(storage.get(LIBRARY, saving.path))
    storage.put(LIBRARY, saving.thumbnail_path, picture.thumbnail, "image/webp")


def _thumbnail_beside(saving: _Saving) -> str:
    """The thumbnail's path, where the row names one in the owner's folder; else the one beside the picture."""
    named = saving.asset.thumbnail_path
    if named is not None and named.split("/", 1)[0] == str(saving.owner):
        return named
    return f"{saving.asset.path.rpartition('.')[0]}.thumb.webp"


def _file(saving: _Saving, services: Services, *, in_library: bool = True, as_portrait: bool = True) -> bool:
    """T5: library row, portrait, primary, character; all or none. True where the portrait is new."""
    job = saving.job
    with services.db.as_service() as conn:
        jobs.lock(conn, job.id)
        jobs.take_rows(conn, job.id)
        if saving.character is not None:
            characters.lock(conn, saving.character.id)
        if in_library:
            _list(conn, saving)
        new = as_portrait and saving.character is not None and _place(conn, saving, saving.character)
        jobs.mark_saved(conn, job.id)
    return new


def _list(conn: Connection, saving: _Saving) -> None:
    """The library row; none where the copy has one already, of whatever form."""
    if saving.lies_at is not None:
        return
    library.insert(
        conn,
        saving.job,
        saving.asset,
        owner=saving.owner,
        path=saving.path,
        thumbnail_path=saving.thumbnail_path,
        tags=TAGS if scene_of(saving.job) is None else SCENE_TAGS,
        about=_about(saving.job, saving.character),
    )


def _place(conn: Connection, saving: _Saving, character: Character) -> bool:
    """The picture where it was meant to be seen: among the portraits, or on its scene; False where it is already."""
    scene_id = scene_of(saving.job)
    if scene_id is None:
        return _show(conn, saving, character)
    if saving.job.cancel_requested:  # it came anyway: kept in the library, shown by itself nowhere
        return False
    return scenes.show_picture(conn, scene_id, saving.job, f"{LIBRARY}/{saving.path}")


def _show(conn: Connection, saving: _Saving, character: Character) -> bool:
    """The portrait row and what its character learns from it; False where the portrait stands already."""
    job, asset, image_url = saving.job, saving.asset, f"{LIBRARY}/{saving.path}"
    new = portraits.insert(
        conn,
        job,
        asset,
        character.id,
        image_url=image_url,
        thumbnail_url=f"{LIBRARY}/{saving.thumbnail_path}",
        metadata=_metadata(job, saving.path),
        primary=portraits.should_be_primary(conn, job, character.id),
    )
    if new:
        if not job.cancel_requested:
            characters.learn_from_portrait(conn, character.id, image_url=image_url, seed=asset.seed)
        characters.follow_primary(conn, character.id)
    return new


def _about(job: Job, character: Character | None) -> dict[str, object]:
    scene_id = scene_of(job)
    return {
        "type": "character_portrait" if scene_id is None else SCENE_PICTURE,
        **({} if scene_id is None else {"scene_id": str(scene_id)}),
        "character_id": str(job.character_id),
        "character_name": character.shown_name if character else job.metadata.get("character_name"),
        "consistency_method": job.metadata.get("consistency_method", "none"),
    }


def _metadata(job: Job, path: str) -> dict[str, object]:
    """generation_metadata with the keys the platform reads (reference/old-platform.md)."""
    seconds = (
        (job.completed_at - job.started_at).total_seconds() if job.completed_at and job.started_at else None
    )
    return {
        "model": job.metadata.get("model_name"),
        "model_key": job.metadata.get("model_key"),
        "provider": job.provider,
        "generation_mode": job.metadata.get("generation_mode"),
        "generation_time_ms": round(seconds * 1000) if seconds is not None else None,
        "presets": job.metadata.get("presets") or {},
        "job_id": str(job.id),
        "storage_path": path,
    }
