"""Pictures through the dashboard itself: read from the storage, never through the studio's address (SPEC "Files")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

import streamlit as st

from audit.services import person, services
from core import foreign_paths
from core.audit.jobs import Story
from core.errors import NotAllowed, ObjectMissing, StudioError
from core.storage import LIBRARY, WORKSPACE, Address, External
from core.storage.links import parse_address


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A picture as it is shown: its bytes, or why there are none, in words."""

    data: bytes | None = field(default=None, repr=False)
    why: str = ""


def of(story: Story) -> Shown:
    """The picture of a job: the library's thumbnail, else the fresh result's; the originals where there is none."""
    addresses = list(_addresses(story))
    if not addresses:
        return Shown(why="No picture yet." if not story.job.status.is_final else "This job made no picture.")
    why = ""
    for owner, bucket, path in addresses:
        try:
            return Shown(data=_read(*_owned(owner, bucket, path)))
        except ObjectMissing:
            why = why or f"The row names {bucket}/{path}, and no such object is there."
        except StudioError as error:
            why = why or error.sentence
    return Shown(why=why)


def _addresses(story: Story) -> Iterator[tuple[UUID, str, str]]:
    library, asset = story.library, story.asset
    for row, bucket, paths in (
        (library, LIBRARY, (library.thumbnail_path, library.storage_path) if library else ()),
        (asset, WORKSPACE, (asset.thumbnail_path, asset.path) if asset else ()),
    ):
        for path in paths:
            if row and path:
                yield row.user_id, bucket, path


def _owned(owner: UUID, bucket: str, path: str) -> Address:
    """The address, where it lies in the folder of the row's owner: rows can be written by users. Raises BadRequest,
    NotAllowed.
    """
    address = parse_address(path, default_bucket=bucket)
    if isinstance(address, External):
        raise NotAllowed("The row names a picture of another site, so it is not shown.", code="BAD_PATH")
    sentence = "The row names a file of somebody else, so it is not shown."
    return foreign_paths.own(address, owner, person(), services(), sentence=sentence)


@st.cache_data(ttl=600, max_entries=200, show_spinner=False)
def _read(bucket: str, path: str) -> bytes:
    return services().storage.get(bucket, path)
