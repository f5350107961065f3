"""Pictures that a character is to look like: uploaded, chosen from the library, switched on and off (SPEC "Files",
"Policy", "Upload").

A reference lies in the folder of its character's owner, so that everybody who may work on the character can use it.
Setting one is optimistic like `characters.save`: it is written over the version that the person saw.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from urllib.parse import urlsplit
from uuid import UUID

from core import characters, generation, images, log, plans, policy
from core.authority import Action, permit
from core.db import characters as character_rows
from core.db import library, portraits
from core.db import references as rows
from core.db.references import StoredReference
from core.errors import BadRequest, Conflict, NotFound
from core.generation import ModelChoice
from core.images import Note
from core.services import Services
from core.storage import REFERENCES, Address
from core.values import Character, CharacterId, Person, PersonId, PortraitId

MOST_BYTES = images.UPLOAD_BYTES
LONGEST_NAME = 255  # characters of a file's name
MOST_RECENT = 100
# "image (13).png" is a thirteenth download, "Mandy (13).png" is not.
_COUNTED = re.compile(
    r"^(image|img|photo|picture|pic|download|screenshot|scan|unnamed|untitled|portrait)\s?\(\d{1,4}\)",
    re.IGNORECASE,
)
# A picture of 40 megapixels takes some 300 MB while it is read; twenty people may send one at once.
_READING = threading.BoundedSemaphore(2)

_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """An uploaded picture; `address` is `bucket/path`, `link` ends within a day, sides are pixels.

    `character` is its character as it stands where the upload also became its reference, else None.
    """

    id: UUID
    character_id: CharacterId
    address: str
    link: str
    media_type: str
    width: int
    height: int
    uploaded_at: datetime
    notes: tuple[Note, ...] = ()
    character: Character | None = None


@dataclass(frozen=True, kw_only=True)
class Serving:
    """The models that can match a picture now, as a person may choose them."""

    models: tuple[ModelChoice, ...]

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.models)

    @property
    def words(self) -> str:
        """As people read it beside the image-match switch."""
        if not self.models:
            return "No model can match a picture now"
        return f"{self.count} {'model' if self.count == 1 else 'models'} can match a picture"


def upload(
    character_id: CharacterId,
    file_name: str,
    data: bytes,
    rights_confirmed: bool,
    person: Person,
    services: Services,
    *,
    use: bool = False,
    version: int | None = None,
) -> Reference:
    """Keep a person's picture as a reference of a character, with their confirmation of the rights to it.

    `data` is a PNG, JPEG, WebP, HEIC, HEIF or AVIF of at most 20 MB; what is stored is `images.read_upload` of it.
    `file_name` is looked at by the policy and stored nowhere. The same picture twice is one reference. `use` also
    makes it the character's reference, over `version` (None: as it stands now).

    Raises NotAllowed, NotFound, BadRequest (RIGHTS_NOT_CONFIRMED; FILE_NAME), PolicyRefused, BadImage as
    `images.read_upload`, StorageFailed; with `use` Conflict, and the upload is kept then.
    """
    permit(person, Action.choose_references)
    if not rights_confirmed:
        raise BadRequest(
            "Confirm that you have the rights to this picture and that it shows no real person who did not agree. "
            "Nothing was kept.",
            field="rightsConfirmed",
            code="RIGHTS_NOT_CONFIRMED",
        )
    _check_name(file_name)
    character = _changeable(character_id, person, services)
    with _READING:
        picture = images.read_upload(data, file_name=file_name)
    path = f"{character.user_id}/{character.id}/{picture.sha256}.{picture.extension}"
    services.storage.put(REFERENCES, path, picture.data, picture.media_type)
    with services.db.as_user(person) as conn:
        reference_id = rows.keep(
            conn,
            character.id,
            sha256=picture.sha256,
            media_type=picture.media_type,
            file_size=len(picture.data),
            width=picture.width,
            height=picture.height,
        )
    _log.info("reference_uploaded", reference_id=str(reference_id), bytes=len(data), kept=len(picture.data))
    seen = character.version if version is None else version
    changed = (
        _follow(character, f"{REFERENCES}/{path}", seen, person=person, services=services) if use else None
    )
    return _shown(_stored(reference_id, person, services), services, notes=picture.notes, character=changed)


def choose(
    character_id: CharacterId, reference_id: UUID, *, version: int, person: Person, services: Services
) -> Character:
    """Make an upload the reference of a character. Raises NotFound, NotAllowed (of another owner), Conflict,
    BadRequest (REFERENCE_MISSING).
    """
    character = _changeable(character_id, person, services)
    stored = _stored(reference_id, person, services)
    return _follow(character, f"{REFERENCES}/{stored.path}", version, person=person, services=services)


def pick_from_library(
    character_id: CharacterId, item: UUID, *, version: int, person: Person, services: Services
) -> Character:
    """Make a library item the reference of a character. Raises what `choose` raises."""
    character = _changeable(character_id, person, services)
    with services.db.as_user(person) as conn:
        path = library.path_of(conn, item)
    if path is None:
        raise NotFound("This picture is not in the library any more, or it is not yours.")
    return _follow(character, path, version, person=person, services=services)


def pick_portrait(
    character_id: CharacterId, portrait_id: PortraitId, *, version: int, person: Person, services: Services
) -> Character:
    """Make a portrait the reference of a character ("use as reference"). Raises what `choose` raises."""
    character = _changeable(character_id, person, services)
    with services.db.as_user(person) as conn:
        portrait = portraits.get(conn, portrait_id)
    if portrait is None or portrait.deleted_at is not None:
        raise NotFound("This portrait does not exist any more, or it is not yours.")
    return _follow(character, portrait.image_url, version, person=person, services=services)


def remove(character_id: CharacterId, *, version: int, person: Person, services: Services) -> Character:
    """Take the reference off a character, and with it image match. An upload stays among the recent ones.

    Raises NotFound, NotAllowed, Conflict.
    """
    _changeable(character_id, person, services)
    without = {"reference_image_url": None, "reference_is_auto": False, "match_reference": False}
    return _written(character_id, without, version, person=person, services=services)


def erase(reference_id: UUID, person: Person, services: Services) -> None:
    """Erase an upload for good: its object, and wherever a character of its owner follows it.

    May be called again where the storage failed. Raises NotAllowed, NotFound, StorageFailed.
    """
    permit(person, Action.choose_references)
    with services.db.as_user(person) as conn:
        path = rows.erase(conn, reference_id)
    services.storage.delete(REFERENCES, path)


def choose_match(
    character_id: CharacterId, on: bool, *, version: int, person: Person, services: Services
) -> Character:
    """Switch image match mode; only a person does (SPEC "characters").

    Raises NotFound, NotAllowed, Conflict, BadRequest NO_REFERENCE where there is nothing to match.
    """
    character = _changeable(character_id, person, services)
    if on and not character.reference_image_url:
        raise BadRequest(
            "There is no picture to match yet. Upload one, or choose one from the library.",
            field="match_reference",
            code="NO_REFERENCE",
        )
    return _written(character_id, {"match_reference": on}, version, person=person, services=services)


def recent(
    person: Person, services: Services, *, character_id: CharacterId | None = None, limit: int = 24
) -> list[Reference]:
    """The last uploads, newest first: this person's own, or all that `character_id` may follow. Raises NotFound."""
    permit(person, Action.choose_references)
    owner = _changeable(character_id, person, services).user_id if character_id else None
    with services.db.as_user(person) as conn:
        found = rows.recent(conn, person.id, owner=owner, limit=max(1, min(limit, MOST_RECENT)))
    return [_shown(one, services) for one in found]


def serving(person: Person, services: Services) -> Serving:
    """The models that can match a picture, of providers that are set up and not paused."""
    offered = generation.models_for(person, services, match=True)
    return Serving(models=tuple(one for one in offered if one.available))


def outside_link(address: tuple[str, str], services: Services) -> str:
    """A signed link that a provider can fetch, empty where PUBLIC_URL does not lead here from outside."""
    public = services.settings.public_url or ""
    if not _is_public(public):
        return ""
    return public.rstrip("/") + services.links.sign(address, datetime.now(UTC))


def _is_public(url: str) -> bool:
    """Whether an address can be reached from a provider's machines, as far as it says itself: https, and neither a
    private number nor a name that only a local network knows.
    """
    try:
        parts = urlsplit(url)
        name = (parts.hostname or "").lower()
    except ValueError:
        return False
    if parts.scheme != "https" or not name:
        return False
    try:
        return ip_address(name).is_global
    except ValueError:
        return "." in name and name.rpartition(".")[2] not in _LOCAL_NAMES


_LOCAL_NAMES = frozenset({"localhost", "local", "internal", "lan", "home", "invalid", "test", "example"})


def _changeable(character_id: CharacterId, person: Person, services: Services) -> Character:
    """The character, where this person may change it. Raises NotAllowed, NotFound."""
    permit(person, Action.choose_references)
    character = characters.load(character_id, person, services)
    characters.refuse_changing(character, person, services)
    return character


def _check_name(file_name: str) -> None:
    if len(file_name) > LONGEST_NAME or any(ord(sign) < ord(" ") for sign in file_name):
        raise BadRequest(
            f"The file's name is longer than {LONGEST_NAME} characters or holds invisible ones. Rename the file.",
            field="fileName",
            code="FILE_NAME",
        )
    policy.check_texts({"file name": _COUNTED.sub(r"\1", file_name)})


def _stored(reference_id: UUID, person: Person, services: Services) -> StoredReference:
    with services.db.as_user(person) as conn:
        stored = rows.get(conn, reference_id)
    if stored is None:
        raise NotFound("This reference was erased, or it is not yours.")
    return stored


def _follow(
    character: Character, value: str, version: int, *, person: Person, services: Services
) -> Character:
    """The character with the picture that `value` names, where it lies in its owner's folder."""
    owners: set[PersonId] = {character.user_id}
    address = plans.own_picture(value, owners, person, services)
    chosen = {"reference_image_url": address, "reference_is_auto": False}
    return _written(character.id, chosen, version, person=person, services=services)


def _written(
    character_id: CharacterId,
    values: Mapping[str, object],
    version: int,
    *,
    person: Person,
    services: Services,
) -> Character:
    with services.db.as_user(person) as conn:
        saved = character_rows.update(conn, character_id, values, version=version)
        if saved is not None:
            return saved
        standing = character_rows.get(conn, character_id)
    if standing is None:
        raise NotFound("This character was deleted, or it is not yours.")
    raise Conflict(
        "Somebody else saved this character meanwhile. Look at both, and choose the picture again."
    )


def _shown(
    stored: StoredReference,
    services: Services,
    *,
    notes: tuple[Note, ...] = (),
    character: Character | None = None,
) -> Reference:
    address = Address(REFERENCES, stored.path)
    return Reference(
        id=stored.id,
        character_id=stored.character_id,
        address=str(address),
        link=services.links.sign(address, datetime.now(UTC)),
        media_type=stored.media_type,
        width=stored.width,
        height=stored.height,
        uploaded_at=stored.uploaded_at,
        notes=notes,
        character=character,
    )
