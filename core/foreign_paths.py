"""A stored path that leads into somebody else's folder: refused with 403, and recorded (SPEC "Files").

Rows can be written by users, so no path is believed before it was looked at here. The record is the one thing that
looking changes. It is written in a transaction of its own, so that it stands whatever becomes of the caller's; the
database keeps one event of a person and a path in an hour, and at most thirty of a person in a minute.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import UTC, datetime
from functools import lru_cache
from typing import NoReturn
from uuid import UUID

from core.auth import require_role
from core.db import Database, activity
from core.errors import BadRequest, NotAllowed
from core.services import Services
from core.storage import Address, External, checked, is_key
from core.storage.links import parse_address
from core.values import Person

EVENT = "foreign_path_refused"
_TABLE = "storage.objects"
_LONGEST = 300  # characters of bucket and path that the record takes
_MINUTE = 60


def is_foreign(path: str, owners: Collection[UUID | str | None]) -> bool:
    """True where a path inside its bucket lies in the folder of none of `owners`."""
    return path.split("/", 1)[0] not in {str(one) for one in owners if one is not None}


def own(
    address: tuple[str, str], owner: UUID | None, person: Person, services: Services, *, sentence: str
) -> Address:
    """The address, where it lies in the folder of `owner`. Raises NotAllowed, with the sentence where it does not,
    BAD_PATH where it is no address of ours, and without a role.
    """
    require_role(person)
    ours = checked(*address)
    if is_foreign(ours.path, (owner,)):
        refuse(ours, person, services, sentence=sentence)
    return ours


def refuse(address: tuple[str, str], person: Person, services: Services, *, sentence: str) -> NoReturn:
    """Record that `person` was led to somebody else's file, and raise NotAllowed with the sentence."""
    note(address, person, services)
    raise NotAllowed(sentence)


def link(
    address: tuple[str, str], owners: Collection[UUID | str | None], person: Person, services: Services
) -> str:
    """A signed link for a page of pictures; empty where the path is somebody else's, which is recorded. One row must not
    take a whole page away, so the page shows a placeholder. Raises NotAllowed without a role, and BAD_PATH.
    """
    require_role(person)
    ours = checked(*address)
    if is_foreign(ours.path, owners):
        note(ours, person, services)
        return ""
    return services.links.sign(ours, datetime.now(UTC))


def link_of(
    value: str | None,
    bucket: str,
    owners: Collection[UUID | str | None],
    person: Person,
    services: Services,
) -> str:
    """As `link`, of what a row names as its picture: `bucket/path`, or a path inside `bucket`. Empty where it names none,
    or none of ours: another site's picture is nobody's folder.
    """
    try:
        address = parse_address(value or "", default_bucket=bucket)
    except (BadRequest, NotAllowed):
        return ""
    return "" if isinstance(address, External) else link(address, owners, person, services)


def note(address: tuple[str, str], person: Person, services: Services) -> None:
    """Record it: who, and which object. What is no path of ours, a link say, is never written down."""
    if not is_key(address[1]):
        return
    _note_once(services.db, person, f"{address[0]}/{address[1]}"[:_LONGEST], int(time.monotonic() // _MINUTE))


@lru_cache(maxsize=2048)
def _note_once(db: Database, person: Person, object_name: str, _minute: int) -> None:
    """A page that shows the same row again within the minute asks the database no second time."""
    with db.as_user(person) as conn:
        activity.note(conn, EVENT, _TABLE, object_name)
