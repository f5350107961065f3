"""A completed attribute image → its published form, its row, its aliases' rows (SPEC "Attribute images").

The worker's side of `attributes.py`. Idempotent by job: twice, or from two workers at once, there is one of each.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal

from core import catalog, jpegs, log, options, running
from core.db import Connection, activity, assets, attributes, jobs, repeat_on_deadlock
from core.db.attributes import Published
from core.errors import BadImage, ObjectMissing, StudioError
from core.providers.sketch import Sketch
from core.services import Services
from core.storage import ATTRIBUTE_ORIGINALS, PUBLIC_ASSETS, WORKSPACE
from core.values import Asset, AttributePicture, Cell, Job, JobId, JobStatus

_LATER = 5.0  # seconds
_FREE = Decimal(0)  # what an alias' row costs
_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class _Publishing:
    """A result and the cell it was made for; `names` are the cell's own and its aliases."""

    job: Job
    asset: Asset
    cell: Cell
    names: tuple[str, ...]
    replaces: bool

    @property
    def is_placeholder(self) -> bool:
        """True where the built-in Sketch drew it."""
        return self.job.provider == Sketch.name

    @property
    def original_path(self) -> str:
        """In the bucket attribute-originals (SPEC "Files")."""
        folder = "style-images" if self.cell.is_style else _slug(self.cell.category)
        return f"{folder}/{self._stem}.{self.asset.path.rpartition('.')[2]}"

    @property
    def published_path(self) -> str:
        """In the bucket assets (SPEC "Files")."""
        folder = "style-images" if self.cell.is_style else f"attribute-images/{_slug(self.cell.category)}"
        return f"{folder}/{self._stem}.jpg"

    @property
    def _stem(self) -> str:
        sha8 = (self.asset.sha256 or self.job.id.hex)[:8]
        style = _slug(self.cell.style)
        return f"{style}-{sha8}" if self.cell.is_style else f"{_slug(self.cell.value)}-{style}-{sha8}"


def publish_or_later(job_id: JobId, services: Services) -> None:
    """`publish` as the queue calls it. Raises running.AskAgain where something that may pass stood in the way."""
    try:
        publish(job_id, services)
    except StudioError as error:
        _log.warning("publishing_put_off", job_id=str(job_id), code=error.reason)
        raise running.AskAgain(_LATER) from error


def publish(job_id: JobId, services: Services) -> bool:
    """Publish the result of a completed attribute image; False where there is nothing (more) to publish.

    A result that can never be published becomes a finding. Raises StorageFailed and DatabaseUnavailable, after which
    calling again is right.
    """
    with log.bind_job(job_id):
        found = _find(job_id, services)
        if found is None:
            return False
        try:
            published = _store(found, services)
        except (BadImage, ObjectMissing) as error:
            _give_up(found, error, services)
            return False
        shown = repeat_on_deadlock(lambda: _file(found, published, services))
        _log.info("attribute_image_published", shown=shown, bytes=published.file_size)
        return shown


def _find(job_id: JobId, services: Services) -> _Publishing | None:
    with services.db.as_service() as conn:
        job = jobs.get(conn, job_id)
        asked = attributes.cell_of_job(conn, job_id)
        asset = assets.first_of_job(conn, job_id)
        known = options.catalog_on(conn, services.catalog, whole=True)
    if job is None or asked is None or asset is None or job.status is not JobStatus.completed:
        return None
    cell, replaces = asked
    return _Publishing(job=job, asset=asset, cell=cell, names=names_of(cell, known), replaces=replaces)


def names_of(cell: Cell, shipped: catalog.Catalog) -> tuple[str, ...]:
    """A cell's own name first, then its aliases: rows under any of them count for it."""
    category = shipped.category(cell.category)
    value = category.find(cell.value) if category is not None else None
    return (cell.value, *(value.aliases if value is not None else ()))


def _store(found: _Publishing, services: Services) -> Published:
    """The original byte for byte, and the published JPEG made from it. The keys hold the original's own hash."""
    storage, owner = services.storage, running.owner_of(found.job)
    if found.asset.path.split("/", 1)[0] != str(owner):
        raise BadImage("The result of this job lies in somebody else's folder.")
    original = storage.get(WORKSPACE, found.asset.path)
    jpeg = jpegs.published(original)
    storage.put(ATTRIBUTE_ORIGINALS, found.original_path, original, found.asset.media_type)
    storage.put(PUBLIC_ASSETS, found.published_path, jpeg, "image/jpeg")
    return Published(
        image_url=f"{PUBLIC_ASSETS}/{found.published_path}",
        original=f"{ATTRIBUTE_ORIGINALS}/{found.original_path}",
        prompt=found.job.prompt,
        seed=found.asset.seed,
        width=jpegs.PUBLISHED.width,
        height=jpegs.PUBLISHED.height,
        file_size=len(jpeg),
        job_id=found.job.id,
        cost_usd=found.job.cost_usd,
    )


def _file(found: _Publishing, published: Published, services: Services) -> bool:
    """The rows, in one transaction; True where the picture is shown now and was not before."""
    cell = found.cell
    with services.db.as_service() as conn:
        attributes.lock_cell(conn, cell)
        job = jobs.lock(conn, found.job.id)
        standing = attributes.standing(conn, cell, found.names)
        if any(row.job_id == found.job.id for row in standing):
            jobs.mark_saved(conn, found.job.id)
            return False
        # A picture that came although it was cancelled fills an empty place, and takes nobody's.
        may_replace = found.replaces and not (job is not None and job.cancel_requested)
        empty = all(row.is_placeholder for row in standing) and not (standing and found.is_placeholder)
        shown = (empty or may_replace) and _show(conn, found, published, standing)
        if not shown:
            attributes.keep_unshown(conn, cell, published)
        _note(conn, found, published, standing, shown=shown)
        jobs.mark_saved(conn, found.job.id)
    return shown


def _show(
    conn: Connection, found: _Publishing, published: Published, standing: list[AttributePicture]
) -> bool:
    """Into every row of the cell; its aliases' rows cost nothing. False where another writer took the place."""
    cell = found.cell
    kept: set[str] = set()
    for row in standing:
        if row.image_url not in kept:
            attributes.keep_version(conn, row)
            kept.add(row.image_url)
        own = row.cell.value == cell.value
        attributes.replace(conn, cell, row.id, published, cost_usd=published.cost_usd if own else _FREE)
    there = {row.cell.value.strip().casefold() for row in standing}
    for name in found.names:
        own = name == cell.value
        if name.casefold() in there or (found.is_placeholder and not own):
            continue
        inserted = attributes.insert(
            conn, cell, name, published, cost_usd=published.cost_usd if own else _FREE
        )
        if own and inserted is None:
            return False
    return True


def _note(
    conn: Connection,
    found: _Publishing,
    published: Published,
    standing: list[AttributePicture],
    *,
    shown: bool,
) -> None:
    before = [
        {"value": row.cell.value, "image_url": row.image_url, "review": row.review_status} for row in standing
    ]
    activity.note(
        conn,
        "attribute_image_published" if shown else "attribute_image_kept",
        "style_images" if found.cell.is_style else "attribute_images",
        str(found.job.id),
        before={"rows": before},
        after={
            "category": found.cell.category,
            "value": found.cell.value,
            "style": found.cell.style,
            "image_url": published.image_url,
            "asked_by": str(found.job.user_id),
        },
        why=None if shown else "its place was taken meanwhile, or it came after it was cancelled",
    )


def _give_up(found: _Publishing, error: StudioError, services: Services) -> None:
    with services.db.as_service() as conn:
        jobs.mark_not_saved(conn, found.job.id)
        activity.find(
            conn,
            "attribute.not_published",
            "jobs",
            str(found.job.id),
            f"This attribute image is paid for and could not be published ({error.reason}). Make it again.",
        )
    _log.warning("attribute_image_not_published", code=error.reason)


def _slug(name: str) -> str:
    """A name as part of a key: lower-case ASCII letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "value"
