"""Everything saved: found by words and filters, tagged, deleted and brought back in bulk (SPEC "Studio")."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from core import foreign_paths, policy
from core.authority import Action, permit
from core.characters import LONGEST_TAG, MOST_TAGS
from core.db import activity, library
from core.db.library import LibraryQuery, LibraryRow
from core.errors import BadRequest
from core.services import Services
from core.storage import LIBRARY
from core.values import CharacterId, Person

PAGE = 60
MOST_COUNTED = 1000  # a count beyond it is "1,000+"
MOST_AT_ONCE = 500  # rows of one bulk action
MOST_WORDS = 12


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is looked for, as the page's address spells it. Dates are days in UTC, both included."""

    words: str = field(default="", repr=False)
    only_characters: bool = False
    tag: str = ""
    model: str = ""
    seed: int | None = None
    character_id: CharacterId | None = None
    first_day: date | None = None
    last_day: date | None = None
    is_bin: bool = False


@dataclass(frozen=True, kw_only=True)
class Item:
    """One saved picture. Links end within a day; `cursor` asks for what follows it."""

    id: UUID
    url: str
    thumbnail_url: str
    prompt: str = field(repr=False)
    model: str
    seed: str
    size: str
    tags: tuple[str, ...]
    character_id: str | None
    character_name: str
    created_at: datetime
    mine: bool
    cursor: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """`items` in order, the newest first; `next_cursor` is empty on the last page."""

    items: tuple[Item, ...]
    next_cursor: str


@dataclass(frozen=True, kw_only=True)
class Changed:
    """What a bulk action did: the ids it changed, and those that were gone or not this person's."""

    done: tuple[UUID, ...]
    missing: tuple[UUID, ...]


def page(wanted: Wanted, person: Person, services: Services, *, cursor: str = "", limit: int = PAGE) -> Page:
    """A page of the library this person can see. Raises BadRequest for a cursor or words that cannot be read."""
    limit = max(1, min(limit, 200))
    with services.db.as_user(person) as conn:
        rows = library.search(conn, _query(wanted), after=_after(cursor), limit=limit + 1)
    shown, more = rows[:limit], len(rows) > limit
    items = tuple(_item(row, person, services) for row in shown)
    return Page(items=items, next_cursor=items[-1].cursor if more else "")


def count(wanted: Wanted, person: Person, services: Services) -> str:
    """How many pictures that are, in words: "1,000+" beyond a thousand."""
    with services.db.as_user(person) as conn:
        found = library.count(conn, _query(wanted), most=MOST_COUNTED + 1)
    return f"{MOST_COUNTED:,}+" if found > MOST_COUNTED else f"{found:,}"


def retag(
    ids: Sequence[UUID],
    person: Person,
    services: Services,
    *,
    added: Sequence[str] = (),
    removed: Sequence[str] = (),
) -> Changed:
    """Add and remove tags of many pictures. Raises BadRequest, NotAllowed, PolicyRefused."""
    wanted = _tags(added)
    _check(ids, person)
    with services.db.as_user(person) as conn:
        done = library.retag(conn, ids, added=wanted, removed=[tag.strip() for tag in removed])
    return _changed(ids, done)


def delete(ids: Sequence[UUID], person: Person, services: Services) -> Changed:
    """Put pictures into the bin, where they stay at least 7 days. Raises BadRequest, NotAllowed."""
    _check(ids, person)
    with services.db.as_user(person) as conn:
        done = library.hide(conn, ids, person.id)
        for one in sorted(done):
            activity.note(conn, "library_deleted", "user_library", str(one))
    return _changed(ids, done)


def restore(ids: Sequence[UUID], person: Person, services: Services) -> Changed:
    """Take pictures out of the bin. Raises BadRequest, NotAllowed."""
    _check(ids, person)
    with services.db.as_user(person) as conn:
        done = library.show_again(conn, ids)
        for one in sorted(done):
            activity.note(conn, "library_restored", "user_library", str(one))
    return _changed(ids, done)


def _check(ids: Sequence[UUID], person: Person) -> None:
    permit(person, Action.change_library)
    if not 0 < len(ids) <= MOST_AT_ONCE:
        raise BadRequest(f"Choose between 1 and {MOST_AT_ONCE} pictures.", field="ids")


def _changed(ids: Sequence[UUID], done: set[UUID]) -> Changed:
    return Changed(
        done=tuple(one for one in ids if one in done), missing=tuple(one for one in ids if one not in done)
    )


def _tags(tags: Sequence[str]) -> list[str]:
    kept = [" ".join(tag.replace("\x00", "").split()) for tag in tags]
    kept = list(dict.fromkeys(tag for tag in kept if tag))
    if len(kept) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in kept):
        raise BadRequest(f"At most {MOST_TAGS} tags of {LONGEST_TAG} characters at once.", field="tags")
    policy.check_texts({"tags": ", ".join(kept)})
    return kept


def _query(wanted: Wanted) -> LibraryQuery:
    last = wanted.last_day
    until = last + timedelta(days=1) if last and last < date.max else None
    return LibraryQuery(
        words=_tsquery(wanted.words),
        only_characters=wanted.only_characters,
        tag=wanted.tag or None,
        model=wanted.model or None,
        seed=wanted.seed,
        character_id=wanted.character_id,
        since=_midnight(wanted.first_day),
        until=_midnight(until),
        is_bin=wanted.is_bin,
    )


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time(), UTC) if day else None


def _tsquery(words: str) -> str | None:
    """Every word must begin a word of the row; signs are no words."""
    found = re.findall(r"\w+", words.replace("\x00", ""))[:MOST_WORDS]
    return " & ".join(f"'{word[:60]}':*" for word in found) or None


def _after(cursor: str) -> tuple[datetime, UUID] | None:
    if not cursor:
        return None
    at, _, row = cursor.partition("_")
    try:
        return datetime.fromtimestamp(int(at) / 1_000_000, UTC), UUID(row)
    except (ValueError, OverflowError, OSError) as exc:
        raise BadRequest(
            "This page of the library cannot be found. Start from its first page.", field="cursor"
        ) from exc


def _item(row: LibraryRow, person: Person, services: Services) -> Item:
    micros = (row.at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return Item(
        id=row.id,
        url=_signed(row, row.storage_path, person, services),
        thumbnail_url=_signed(row, row.thumbnail_path or row.storage_path, person, services),
        prompt=row.prompt,
        model=row.model or "",
        seed=str(row.seed) if row.seed is not None else "",
        size=f"{row.width} × {row.height}" if row.width and row.height else "",
        tags=tuple(row.tags),
        character_id=row.character_id,
        character_name=row.character_name or "",
        created_at=row.created_at,
        mine=row.user_id == person.id,
        cursor=f"{micros}_{row.id}",
    )


def _signed(row: LibraryRow, path: str, person: Person, services: Services) -> str:
    """Rows can be written by users: a path outside the owner's folder is not believed (SPEC "Files")."""
    return foreign_paths.link_of(path, LIBRARY, (row.user_id,), person, services)
