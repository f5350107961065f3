"""One card file becomes a character (reference/character-cards.md). Files come one by one: none stops the rest."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from core import images, log, policy
from core.authority import Action, permit
from core.cards import files, mapping
from core.cards.card import Card, Form, Note
from core.db import cards as rows
from core.db import characters, scenes
from core.errors import BadImage, BadRequest, Conflict, PolicyRefused, StorageFailed
from core.services import Services
from core.storage import LIBRARY
from core.values import CharacterId, Person

SCENARIO = "Scenario"
LONGEST_NOTES = 400  # of what its author says, shown in the report
_READING = threading.BoundedSemaphore(2)  # pictures decoded at once: a large one takes some 300 MB

_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A character that came from a card. `notes` say what was mended, cut or left out; `author_notes` is what its
    author tells people, as plain text.
    """

    character_id: CharacterId
    name: str
    form: Form
    has_picture: bool
    notes: tuple[Note, ...]
    author_notes: str


def take(
    data: bytes,
    file_name: str,
    *,
    rights_confirmed: bool,
    person: Person,
    services: Services,
    again: bool = False,
) -> Imported:
    """Make a character of a card file: JSON, PNG, WEBP, CHARX, or a JPEG with a CHARX behind it.

    The card is kept whole beside the character. Its picture becomes a portrait where the rights to it are
    confirmed. A card that is here already is refused unless `again`.

    Raises NotAllowed, BadRequest (as `files.read`, NO_NAME), PolicyRefused, Conflict ALREADY_IMPORTED.
    """
    permit(person, Action.import_characters)
    found = _read(data, file_name)
    card = found.card
    _check(card, file_name)
    whole = _whole(card)
    sha256 = hashlib.sha256(whole.encode()).hexdigest()
    mapped = mapping.to_character(card, allow_nsfw=services.settings.allow_nsfw)
    if not again:
        _refuse_twice(sha256, person, services)
    character_id = _insert(card, whole, sha256, mapped.values, person, services)
    notes = [*card.notes, *mapped.notes]
    kept = _keep_picture(
        character_id,
        found.picture,
        notes,
        rights_confirmed=rights_confirmed,
        person=person,
        services=services,
    )
    _log.info("card_imported", character_id=str(character_id), form=card.form, notes=len(notes), picture=kept)
    return Imported(
        character_id=character_id,
        name=str(mapped.values["name"]),
        form=card.form,
        has_picture=kept,
        notes=tuple(notes),
        author_notes=mapping.plain(str(card.data.get("creator_notes") or ""))[:LONGEST_NOTES],
    )


def _read(data: bytes, file_name: str) -> files.CardFile:
    try:
        return files.read(data, file_name)
    except RecursionError as exc:
        raise _unreadable() from exc


def _unreadable() -> BadRequest:
    words = "The card in this file cannot be read: it is no valid JSON. Export it again at its source."
    return BadRequest(words, code="CARD_UNREADABLE")


def _whole(card: Card) -> str:
    """The card as it is kept. Raises BadRequest for numbers that JSON does not have."""
    try:
        return files.as_json(card.whole).decode()
    except (ValueError, RecursionError) as exc:
        raise _unreadable() from exc


def _check(card: Card, file_name: str) -> None:
    """Every text of the card, and the file's own name. Raises PolicyRefused, BadRequest."""
    if not mapping.plain(card.name).strip():
        words = "This card has no name, and its file neither. Name the file after the character."
        raise BadRequest(words, code="NO_NAME", field="name")
    try:
        policy.check_texts({"file name": file_name[:255], **mapping.texts(card)})
    except PolicyRefused as refusal:
        words = f"{refusal.sentence} The card was not imported."
        raise PolicyRefused(words, field=refusal.field, code=refusal.reason) from refusal


def _refuse_twice(sha256: str, person: Person, services: Services) -> None:
    with services.db.as_user(person) as conn:
        standing = rows.same_card(conn, sha256, person.id)
    if standing is not None:
        raise Conflict(
            "This very card is here already, so it was left out. To have it twice, allow cards that are here already.",
            code="ALREADY_IMPORTED",
        )


def _insert(
    card: Card,
    whole: str,
    sha256: str,
    values: Mapping[str, object],
    person: Person,
    services: Services,
) -> CharacterId:
    """Character, first scene and the card itself: all or none."""
    with services.db.as_user(person) as conn:
        character_id = rows.insert_character(conn, person.id, values)
        if values["scenario"]:
            scene = {"scene_name": SCENARIO, "scene_description": values["scenario"]}
            scenes.insert(conn, character_id, scene)
        rows.keep(conn, character_id, form=card.form, card=whole, mapped=values, sha256=sha256)
    return character_id


def _keep_picture(
    character_id: CharacterId,
    data: bytes | None,
    notes: list[Note],
    *,
    rights_confirmed: bool,
    person: Person,
    services: Services,
) -> bool:
    """The card's picture as a portrait; where it cannot be one, a note says why and the character stands."""
    if data is None:
        return False
    if not rights_confirmed:
        sentence = "Its picture was left out: the rights to it were not confirmed."
        notes.append(Note(code="RIGHTS", sentence=sentence))
        return False
    try:
        _store(character_id, data, person, services)
    except (BadImage, StorageFailed) as error:
        notes.append(Note(code="PICTURE", sentence=f"Its picture was left out. {error.sentence}"))
        return False
    return True


def _store(character_id: CharacterId, data: bytes, person: Person, services: Services) -> None:
    """Nothing but the pixels is kept: a card's picture carries the card, and maybe where it was made."""
    with _READING:
        upload = images.read_upload(data)
        picture = images.read_picture(upload.data)
    stem = f"{person.id}/portraits/{character_id}/{picture.sha256}"
    services.storage.put(LIBRARY, f"{stem}.{picture.extension}", picture.data, picture.media_type)
    services.storage.put(LIBRARY, f"{stem}.thumb.webp", picture.thumbnail, "image/webp")
    with services.db.as_user(person) as conn:
        rows.keep_picture(conn, character_id, picture)
        characters.follow_primary(conn, character_id)
