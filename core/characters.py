"""Characters as editors work on them: list, begin, load, save. A draft may be empty (SPEC "characters")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from core import policy
from core.db import characters
from core.errors import BadRequest, Conflict, NotAllowed, NotFound
from core.services import Services
from core.storage import LIBRARY, External
from core.storage.links import parse_address
from core.values import Character, CharacterId, ContentRating, Gender, Person, Role

LONGEST_NAME = 50
LONGEST_DESCRIPTION = 500
LONGEST_TEXT = 2000
MOST_TAGS = 20
LONGEST_TAG = 40
_LONGEST = {
    "name": LONGEST_NAME,
    "description": LONGEST_DESCRIPTION,
    "role": LONGEST_TEXT,
    "traits": LONGEST_TEXT,
}
_CLOSED_SETS: Mapping[str, type[Gender | ContentRating]] = {"gender": Gender, "content_rating": ContentRating}


@dataclass(frozen=True, kw_only=True)
class CharacterCard:
    """A character in a list; `thumb_url` is a link that ends within a day, None where there is no picture."""

    id: CharacterId
    name: str
    thumb_url: str | None
    updated_at: datetime
    mine: bool


def listing(person: Person, services: Services, *, search: str = "", limit: int = 50) -> list[CharacterCard]:
    """The characters this person can work on, the last touched first."""
    with services.db.as_user(person) as conn:
        found = characters.list_recent(
            conn, person.id, search=search, everybody=services.settings.shares_with_team, limit=limit
        )
    return [
        CharacterCard(
            id=one.id,
            name=one.name.strip() or "Untitled",
            thumb_url=_thumbnail(one, services),
            updated_at=one.updated_at,
            mine=one.user_id == person.id,
        )
        for one in found
    ]


def create(person: Person, services: Services, values: Mapping[str, object] | None = None) -> Character:
    """A new draft, with the fields that are known already. Raises what `save` raises."""
    _require_editor(person)
    checked = _checked(values or {})
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

    Raises Conflict where somebody saved in between, NotFound, BadRequest and PolicyRefused with `field`.
    """
    _require_editor(person)
    checked = _checked(changes)
    if not checked:
        return load(character_id, person, services)
    with services.db.as_user(person) as conn:
        saved = characters.update(conn, character_id, checked, version=version)
        if saved is not None:
            return saved
        standing = characters.get(conn, character_id)
    if standing is None or not may_see(standing, person, services):
        raise NotFound("This character was deleted, or it is not yours.")
    raise Conflict("Somebody else saved this character while you were typing. Look at both, and choose.")


def _require_editor(person: Person) -> None:
    if not person.holds(Role.editor):
        raise NotAllowed("Writing characters needs the editor role. Ask an admin for it.")


def may_see(character: Character, person: Person, services: Services) -> bool:
    """True where the studio shows this character to `person`: their own, their team's, or by their role."""
    # The platform's own policy also shows strangers' public characters; the studio does not work on those.
    return (
        character.user_id == person.id
        or services.settings.shares_with_team
        or person.holds(Role.qa, Role.product, Role.admin)
    )


def _thumbnail(one: characters.ListedCharacter, services: Services) -> str | None:
    value = one.thumbnail or one.image_url
    if not value:
        return None
    try:
        address = parse_address(value, default_bucket=LIBRARY)
    except (BadRequest, NotAllowed):
        return None
    if isinstance(address, External) or address[1].split("/")[0] != str(one.user_id):
        return None
    return services.links.sign(address, datetime.now(UTC))


def _checked(changes: Mapping[str, object]) -> dict[str, object]:
    """The changes, each fit for its column. Raises BadRequest, PolicyRefused."""
    unknown = changes.keys() - characters.EDITABLE
    if unknown:
        raise BadRequest(f"A character has no field {min(unknown)}.", field=min(unknown))
    checked = {name: _fit(name, value) for name, value in changes.items()}
    policy.check_texts(_texts(checked))
    return checked


def _texts(values: Mapping[str, object]) -> dict[str, str | list[str]]:
    texts: dict[str, str | list[str]] = {
        name: value for name, value in values.items() if isinstance(value, str)
    }
    for name in ("appearance_tags", "clothing_tags"):
        tags = values.get(name)
        if isinstance(tags, list):
            texts[name] = [str(tag) for tag in tags]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return texts


def _fit(name: str, value: object) -> object:
    if name in _LONGEST:
        text = _text(name, value, _LONGEST[name])
        return text if name in ("name", "description") else text or None
    if name in _CLOSED_SETS:
        return _one_of(name, value, _CLOSED_SETS[name])
    if name in ("appearance_tags", "clothing_tags"):
        return _tags(name, value)
    return bool(value)


def _text(name: str, value: object, longest: int) -> str:
    text = str(value or "").replace("\x00", "")
    if len(text) > longest:
        raise BadRequest(
            f"{name.capitalize()} takes at most {longest} characters; this has {len(text)}.", field=name
        )
    return text


def _one_of(name: str, value: object, known: type[Gender | ContentRating]) -> str:
    if str(value) not in set(known):
        raise BadRequest(f"{name.replace('_', ' ').capitalize()} is one of {', '.join(known)}.", field=name)
    return str(value)


def _tags(name: str, value: object) -> list[str]:
    if not isinstance(value, list | tuple):
        raise BadRequest("Tags come as a list.", field=name)
    tags = [" ".join(str(tag).replace("\x00", "").split()) for tag in value]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    tags = list(dict.fromkeys(tag for tag in tags if tag))
    if len(tags) > MOST_TAGS:
        raise BadRequest(f"At most {MOST_TAGS} tags of each kind; these are {len(tags)}.", field=name)
    if any(len(tag) > LONGEST_TAG for tag in tags):
        raise BadRequest(f"A tag takes at most {LONGEST_TAG} characters.", field=name)
    return tags
