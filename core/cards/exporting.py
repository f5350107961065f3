"""A character as a card file, and what the file leaves out, said before it is written."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from PIL import Image

from core import characters, foreign_paths, images
from core.cards import files, mapping
from core.cards.card import Card, Data, Form, Note, losses
from core.db import cards as rows
from core.db import portraits, scenes
from core.errors import BadImage, BadRequest, NotFound
from core.services import Services
from core.storage import LIBRARY, External
from core.storage.links import parse_address
from core.values import Character, CharacterId, Person, PortraitId


class Kind(StrEnum):
    """The files a character can be exported as."""

    v2 = "v2"  # JSON
    v3 = "v3"  # JSON
    png = "png"  # a picture with the card as V2 and V3


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A card file: its bytes, what to call it, and what it does not carry."""

    data: bytes
    file_name: str
    media_type: str


def report(character_id: CharacterId, kind: Kind, person: Person, services: Services) -> tuple[Note, ...]:
    """What an export leaves out or where it differs; nothing is written. Raises NotFound."""
    character = characters.load(character_id, person, services)
    with services.db.as_user(person) as conn:
        card, others = _card(conn, character_id)
        has_picture = any(one.deleted_at is None for one in portraits.of_character(conn, character_id))
    notes = list(losses(card, Form.v2) if kind is Kind.v2 else ())
    if others:
        sentence = f"A card holds one scenario: the first scene is written, {_number(others)} here."
        notes.append(Note(code="SCENES", sentence=sentence))
    if not files.file_stem(card.name):
        notes.append(Note(code="NO_NAME", sentence="The character needs a name first."))
    if kind is Kind.png and not has_picture:
        notes.append(Note(code="NO_PICTURE", sentence="There is no portrait yet to put the card into."))
    if kind is not Kind.png and has_picture:
        notes.append(Note(code="NO_PICTURE_IN_JSON", sentence="A JSON card carries no picture."))
    if character.reference_image_url and not character.reference_is_auto:
        notes.append(Note(code="REFERENCE", sentence="The reference picture and its image match stay here."))
    return tuple(notes)


def _number(others: int) -> str:
    return "the other one stays" if others == 1 else f"the other {others} stay"


def export(
    character_id: CharacterId,
    kind: Kind,
    person: Person,
    services: Services,
    *,
    portrait_id: PortraitId | None = None,
) -> Exported:
    """The file. For a PNG the picture is `portrait_id`, else the primary.

    Raises NotFound, BadRequest (NO_NAME, NO_PICTURE), BadImage, StorageFailed.
    """
    character = characters.load(character_id, person, services)
    with services.db.as_user(person) as conn:
        card, _ = _card(conn, character_id)
    picture = _picture(character, portrait_id, person, services) if kind is Kind.png else None
    data = files.write(card, Form.v2 if kind is Kind.v2 else Form.v3, picture)
    ending = "png" if kind is Kind.png else f"{kind}.json"
    media_type = "image/png" if kind is Kind.png else "application/json"
    return Exported(data=data, file_name=f"{files.file_stem(card.name)}.{ending}", media_type=media_type)


def _card(conn: rows.Connection, character_id: CharacterId) -> tuple[Card, int]:
    """The card, and how many scenes it does not hold."""
    fields: dict[str, object] = rows.fields_of(conn, character_id)
    kept = rows.of_character(conn, character_id)
    known = scenes.of_character(conn, character_id)
    fields["scenario"] = known[0].scene_description if known else ""
    card = Card(form=Form(kept.form), whole=_object(kept.card)) if kept else None
    mapped: Mapping[str, object] = kept.mapped if kept else {}
    return mapping.to_card(fields, card, mapped), max(len(known) - 1, 0)


def _object(text: str) -> Data:
    return cast("Data", json.loads(text))


def _picture(
    character: Character, portrait_id: PortraitId | None, person: Person, services: Services
) -> bytes:
    """A portrait's pixels as a PNG. A row's path is not believed: it must lie in the owner's folder."""
    with services.db.as_user(person) as conn:
        known = [one for one in portraits.of_character(conn, character.id) if one.deleted_at is None]
    wanted = [one for one in known if one.id == portrait_id] if portrait_id else _primary_first(known)
    if not wanted:
        if portrait_id:
            raise NotFound("This portrait does not exist any more, or it is not yours.")
        raise BadRequest(
            "There is no portrait yet to put the card into. Make one, or export JSON.", code="NO_PICTURE"
        )
    address = parse_address(wanted[0].image_url, default_bucket=LIBRARY)
    if isinstance(address, External):
        raise BadRequest(
            "This portrait is not kept here. Choose another one, or export JSON.", code="NO_PICTURE"
        )
    sentence = "This portrait lies in somebody else's folder. Choose another one, or export JSON."
    foreign_paths.own(address, character.user_id, person, services, sentence=sentence)
    return _as_png(services.storage.get(*address))


def _primary_first(known: list[portraits.Portrait]) -> list[portraits.Portrait]:
    return sorted(known, key=lambda one: not one.is_primary)


def _as_png(data: bytes) -> bytes:
    """The picture itself where it is a PNG; else its pixels, unchanged, in one."""
    picture = images.read_picture(data)
    if picture.media_type == "image/png":
        return data
    try:
        with Image.open(io.BytesIO(data)) as image:
            body = io.BytesIO()
            image.convert("RGB").save(body, "PNG")
    except Exception as exc:  # a decoder of foreign bytes
        raise BadImage("This portrait cannot be written as a PNG. Choose another one.") from exc
    return body.getvalue()
