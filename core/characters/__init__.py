"""Characters as editors work on them: list, begin, load, save, publish, duplicate, remove. A draft may be empty
(SPEC "characters"); what each field may hold stands in `fields`, what publishing asks for in `publishing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from core import foreign_paths
from core.auth import require_role
from core.authority import Action, may, permit
from core.characters import fields, publishing
from core.characters.fields import (
    LONGEST_DESCRIPTION,
    LONGEST_NAME,
    LONGEST_TAG,
    LONGEST_TEXT,
    MOST_TAGS,
    SHORTEST_DESCRIPTION,
)
from core.characters.publishing import Check
from core.db import Connection, activity, characters
from core.errors import BadRequest, Conflict, NotAllowed, NotFound, PolicyRefused
from core.services import Services
from core.storage import LIBRARY
from core.values import Character, CharacterId, ContentRating, Person

__all__ = (
    "LONGEST_DESCRIPTION",
    "LONGEST_NAME",
    "LONGEST_TAG",
    "LONGEST_TEXT",
    "LOOK_ONLY",
    "MOST_TAGS",
    "SHORTEST_DESCRIPTION",
    "CharacterCard",
    "Check",
    "asks_for_rating",
    "checks",
    "create",
    "delete",
    "duplicate",
    "keep_as_own",
    "listing",
    "load",
    "may_change",
    "may_remove",
    "may_see",
    "publish",
    "refuse_changing",
    "restore",
    "save",
    "settle_rating",
    "unpublish",
)
LOOK_ONLY = "You may look at this character, and not change it. Ask its owner for the right, or keep a copy as your own."
_COPIED = (*fields.TEXTS, *fields.LISTS, *fields.CHOICES)


@dataclass(frozen=True, kw_only=True)
class CharacterCard:
    """A character in a list; `thumb_url` is a link that ends within a day, None where there is no picture.

    `owner_name` is what its owner signs in with, empty for one's own.
    """

    id: CharacterId
    name: str
    thumb_url: str | None
    updated_at: datetime
    mine: bool
    owner_name: str = ""


def listing(
    person: Person,
    services: Services,
    *,
    search: str = "",
    after: tuple[datetime, CharacterId] | None = None,
    limit: int = 50,
) -> list[CharacterCard]:
    """The characters this person can work on or look at, the last touched first.

    `after` is the last card of the page above: its `updated_at` and `id`.
    """
    require_role(person)
    with services.db.as_user(person) as conn:
        found = characters.list_recent(
            conn,
            person.id,
            search=search,
            everybody=services.settings.shares_with_team,
            after=after,
            limit=limit,
        )
    return [
        CharacterCard(
            id=one.id,
            name=one.name.strip() or "Untitled",
            thumb_url=_thumbnail(one, person, services),
            updated_at=one.updated_at,
            mine=one.user_id == person.id,
            owner_name=one.owner_name or "",
        )
        for one in found
    ]


def create(person: Person, services: Services, values: Mapping[str, object] | None = None) -> Character:
    """A new draft, with the fields that are known already; it is published afterwards. Raises what `save` raises."""
    permit(person, Action.write_characters)
    checked = _checked(values or {})
    if checked.get("is_public"):
        raise BadRequest("A new character is a draft. Save it, then publish it.", field="is_public")
    with services.db.as_user(person) as conn:
        return characters.insert(conn, person.id, checked)


def load(character_id: CharacterId, person: Person, services: Services) -> Character:
    """A character this person can see. Raises NotFound."""
    with services.db.as_user(person) as conn:
        character = characters.get(conn, character_id)
    if character is None or not may_see(character, person, services):
        raise NotFound("This character does not exist, or it is not yours.")
    return character


def save(
    character_id: CharacterId,
    changes: Mapping[str, object],
    *,
    version: int,
    person: Person,
    services: Services,
) -> Character:
    """Write changed fields (names of values.Character) over the version they were typed upon.

    Raises Conflict where somebody saved in between, NotFound, NotAllowed `LOOK_ONLY`, BadRequest and PolicyRefused with
    `field`; BadRequest `NOT_READY` where it would become public before it passes the checks.
    """
    permit(person, Action.write_characters)
    checked = _checked(changes)
    if not checked:
        return load(character_id, person, services)
    if checked.get("is_public"):
        _refuse_unready(character_id, checked, person, services)
    with services.db.as_user(person) as conn:
        saved = characters.update(conn, character_id, checked, version=version)
        if saved is not None:
            return saved
        standing = characters.get(conn, character_id)
    if standing is None or not may_see(standing, person, services):
        raise NotFound("This character was deleted, or it is not yours.")
    refuse_changing(standing, person, services)
    raise Conflict("Somebody else saved this character while you were typing. Look at both, and choose.")


def checks(character: Character, services: Services) -> tuple[Check, ...]:
    """What publishing looks at, each with its sentence and where it is mended."""
    return publishing.checks(character, allow_nsfw=services.settings.allow_nsfw)


def publish(character_id: CharacterId, *, version: int, person: Person, services: Services) -> Character:
    """Make a character public. Raises BadRequest `NOT_READY` with the field, and what `save` raises."""
    return save(character_id, {"is_public": True}, version=version, person=person, services=services)


def _refuse_unready(
    character_id: CharacterId, changes: Mapping[str, object], person: Person, services: Services
) -> None:
    standing = load(character_id, person, services)
    publishing.refuse_unready(replace(standing, **changes), allow_nsfw=services.settings.allow_nsfw)  # pyright: ignore[reportArgumentType] - checked for their columns


def unpublish(character_id: CharacterId, *, version: int, person: Person, services: Services) -> Character:
    """Make a character a draft again. Raises what `save` raises."""
    return save(character_id, {"is_public": False}, version=version, person=person, services=services)


def duplicate(character_id: CharacterId, person: Person, services: Services) -> Character:
    """A private copy of all texts, tags and choices, owned by `person`. Portraits and scenes stay with the first.

    A field that breaks our rules (other writers have none) stays behind too. Raises NotFound, NotAllowed.
    """
    permit(person, Action.write_characters)
    original = load(character_id, person, services)
    values = _fitting({name: getattr(original, name) for name in _COPIED})
    values["name"] = _copied_name(original.name)
    with services.db.as_user(person) as conn:
        return characters.insert(conn, person.id, values)


def keep_as_own(values: Mapping[str, object], person: Person, services: Services) -> Character:
    """A new draft from what a page still shows of a character that is not shared any more, typed words included.

    A field that breaks our rules stays behind. Raises NotAllowed, BadRequest for what is no field.
    """
    permit(person, Action.write_characters)
    _refuse_unknown(values)
    copied = _fitting({name: value for name, value in values.items() if name in _COPIED})
    copied["name"] = _copied_name(str(values.get("name") or ""))
    with services.db.as_user(person) as conn:
        return characters.insert(conn, person.id, copied)


def _fitting(values: Mapping[str, object]) -> dict[str, object]:
    """Those of `values` that fit their columns."""
    fit: dict[str, object] = {}
    for name, value in values.items():
        try:
            fit |= fields.checked({name: value})
        except (BadRequest, PolicyRefused):
            continue
    return fit


def _copied_name(name: str) -> str:
    ending = " (copy)"
    return f"{name.strip()[: fields.LONGEST_NAME - len(ending)]}{ending}" if name.strip() else ""


def delete(character_id: CharacterId, person: Person, services: Services) -> bool:
    """Remove on purpose: hidden here and private on the platform, kept for `restore`. True where it was public.

    Raises NotFound, NotAllowed.
    """
    permit(person, Action.write_characters)
    character = load(character_id, person, services)
    _refuse_removing(character, person, services)
    with services.db.as_user(person) as conn:
        if not characters.hide(conn, character_id, person.id):
            raise _gone()
        _note(conn, "character_deleted", character_id, was_public=character.is_public)
    return character.is_public


def restore(
    character_id: CharacterId, person: Person, services: Services, *, public: bool = False
) -> Character:
    """Undo of `delete`; `public` publishes it again where it still passes the checks. Raises NotFound, NotAllowed."""
    permit(person, Action.write_characters)
    with services.db.as_user(person) as conn:
        hidden = characters.get(conn, character_id, with_deleted=True)
        if hidden is None or not may_see(hidden, person, services):
            raise _gone()
        _refuse_removing(hidden, person, services)
        if not characters.show_again(conn, character_id):
            raise _gone()
        _note(conn, "character_restored", character_id, was_public=public)
    back = load(character_id, person, services)
    if not public:
        return back
    try:
        return publish(character_id, version=back.version, person=person, services=services)
    except BadRequest:
        return back


def asks_for_rating(character: Character, services: Services) -> bool:
    """True where a person has to say whether an adopted nsfw rating is meant (SPEC "Policy": asked once)."""
    return publishing.asks_for_rating(character, allow_nsfw=services.settings.allow_nsfw)


def settle_rating(
    character_id: CharacterId,
    rating: ContentRating,
    *,
    version: int,
    person: Person,
    services: Services,
) -> Character:
    """The answer to that question; stored, so that it is never asked again. Raises what `save` raises."""
    standing = load(character_id, person, services)
    if standing.content_rating != rating:
        changes = {"content_rating": rating}
        return save(character_id, changes, version=version, person=person, services=services)
    permit(person, Action.write_characters)
    refuse_changing(standing, person, services)
    with services.db.as_user(person) as conn:
        if not characters.settle_rating(conn, character_id):
            raise _gone()
    return load(character_id, person, services)


def _note(conn: Connection, action: str, character_id: CharacterId, *, was_public: bool) -> None:
    activity.note(conn, action, "characters", str(character_id), before={"public": was_public})


def _gone() -> NotFound:
    return NotFound("This character does not exist any more, or it is not yours.")


def may_see(character: Character, person: Person, services: Services) -> bool:
    """True where the studio shows this character to `person`: their own, their team's, shared with them, or by role."""
    # The platform's own policy also shows strangers' public characters; the studio does not work on those.
    return (
        (character.user_id == person.id and may(person, Action.use_studio))
        or (services.settings.shares_with_team and may(person, Action.use_studio))
        or may(person, Action.see_everybodys)
        or (may(person, Action.write_characters) and character.member_may_change is not None)
    )


def may_change(character: Character, person: Person, services: Services) -> bool:
    """True where `person` may change this character: their own, their team's, or as a member who may."""
    return may(person, Action.write_characters) and (
        character.user_id == person.id
        or services.settings.shares_with_team
        or character.member_may_change is True
    )


def refuse_changing(character: Character, person: Person, services: Services) -> None:
    """Raise NotAllowed `LOOK_ONLY` where `person` may look at this character, and not change it."""
    if not may_change(character, person, services):
        raise NotAllowed(LOOK_ONLY, code="LOOK_ONLY")


def may_remove(character: Character, person: Person, services: Services) -> bool:
    """True where `person` may delete this character: their own, or their team's."""
    is_theirs = character.user_id == person.id or services.settings.shares_with_team
    return is_theirs and may(person, Action.write_characters)


def _refuse_removing(character: Character, person: Person, services: Services) -> None:
    if not may_remove(character, person, services):
        raise NotAllowed(
            "Only its owner deletes a character. You can leave it instead: choose Share in its menu.",
            code="NOT_THE_OWNER",
        )


def _thumbnail(one: characters.ListedCharacter, person: Person, services: Services) -> str | None:
    value = one.thumbnail or one.image_url
    return foreign_paths.link_of(value, LIBRARY, (one.user_id,), person, services) or None


def _checked(changes: Mapping[str, object]) -> dict[str, object]:
    """The changes, each fit for its column. Raises BadRequest, PolicyRefused."""
    _refuse_unknown(changes)
    return fields.checked(changes)


def _refuse_unknown(changes: Mapping[str, object]) -> None:
    unknown = changes.keys() - characters.EDITABLE
    if unknown:
        raise BadRequest(f"A character has no field {min(unknown)}.", field=min(unknown))
