"""Card files: bytes to a card and back. JSON, PNG (chara, ccv3), CHARX, and read only WEBP and JPEG with a CHARX behind.

Facts: reference/character-cards.md §2, §3 and §5.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Final, cast

from PIL import Image

from core import png
from core.cards.card import Card, Form, Note, as_v2, as_v3, understand
from core.errors import BadImage, BadRequest

LONGEST_CARD: Final = 5 * 1024 * 1024  # bytes of JSON
LARGEST_FILE: Final = 64 * 1024 * 1024
KEYWORDS: Final = ("ccv3", "chara")  # the newer form wins
_OURS_TO_REPLACE: Final = ("chara", "ccv3")
_MOST_ENTRIES: Final = 2000
_MOST_INFLATED: Final = 512 * 1024 * 1024
_MOST_RATIO: Final = 200
_ICONS: Final = ("png", "jpg", "jpeg", "webp", "gif", "apng", "avif", "bmp", "jfif")
_EMBEDDED: Final = ("embeded://", "embedded://", "__asset:")
_USER_COMMENT: Final = 0x9286
_EXIF: Final = 0x8769


@dataclass(frozen=True, kw_only=True)
class CardFile:
    """A card out of a file, and the picture that came with it (its bytes as they were), if any."""

    card: Card
    picture: bytes | None


def read(data: bytes, file_name: str) -> CardFile:
    """The card in a file, whatever its ending says. `file_name` only lends a name to a card without one.

    Raises BadRequest: NOT_A_CARD, CARD_TOO_LARGE, CARD_UNREADABLE, CARD_PROTECTED.
    """
    if len(data) > LARGEST_FILE:
        raise BadRequest("A card file has at most 64 MiB. Choose a smaller one.", code="CARD_TOO_LARGE")
    stem = PurePosixPath(file_name.replace("\\", "/")).stem
    if png.is_png(data):
        return _of_png(data, stem)
    if data.startswith(b"PK\x03\x04"):
        return _of_charx(data, stem)
    if data.startswith(b"\xff\xd8") and b"PK\x03\x04" in data:
        return _of_charx(data[data.index(b"PK\x03\x04") :], stem)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return CardFile(card=understand(_of_webp(data), stem=stem), picture=data)
    return CardFile(card=understand(_json(data), stem=stem), picture=None)


def _json(raw: bytes) -> object:
    if len(raw) > LONGEST_CARD:
        raise BadRequest("The card in this file is longer than 5 MiB.", code="CARD_TOO_LARGE")
    if raw[:5] == b"rcc||":
        raise BadRequest(
            "This card is protected: its text is encrypted. Ask its author for an open copy.",
            code="CARD_PROTECTED",
        )
    try:
        return cast("object", json.loads(raw.decode("utf-8-sig"), parse_constant=_refuse_constant))
    except (UnicodeDecodeError, ValueError, RecursionError) as exc:
        raise BadRequest(
            "The card in this file cannot be read: it is no valid JSON. Export it again at its source.",
            code="CARD_UNREADABLE",
        ) from exc


def _refuse_constant(word: str) -> object:
    raise ValueError(f"{word} is no JSON")


# -- PNG ------------------------------------------------------------------------------------------------------------


def _of_png(data: bytes, stem: str) -> CardFile:
    found = png.read(data)
    held: dict[str, png.Text] = {}
    notes: list[Note] = []
    for text in png.texts(found):
        keyword = text.keyword.casefold()
        if keyword in held and keyword in KEYWORDS:
            sentence = "The picture holds a second card of the same kind; the first one was taken."
            notes.append(Note(code="TWO_CARDS", sentence=sentence))
        held.setdefault(keyword, text)
    chosen = next((held[keyword] for keyword in KEYWORDS if keyword in held), None)
    if chosen is None:
        raise BadRequest(_NO_CARD if found.is_whole else _CUT, code="NOT_A_CARD")
    notes += _png_notes(found, chosen)
    card = understand(_json(_decoded(chosen.value)), stem=stem)
    return CardFile(card=replace(card, notes=(*notes, *card.notes)), picture=data if found.is_whole else None)


_NO_CARD: Final = "This picture holds no character card. Choose the file as it was exported: pictures sent through a chat lose it."
_CUT: Final = "This picture ends before its card does. Download it again."


def _png_notes(found: png.Png, chosen: png.Text) -> list[Note]:
    notes: list[Note] = []
    if chosen.kind != b"tEXt":
        notes.append(
            Note(code="OTHER_CHUNK", sentence="The card was packed in another way than usual; it was read.")
        )
    if not all(chunk.is_sound for chunk in found.chunks):
        notes.append(
            Note(code="CHECKSUM", sentence="A checksum in the picture is wrong; look the card over.")
        )
    if not found.is_whole:
        notes.append(
            Note(code="PICTURE_CUT", sentence="The picture ends in the middle; only its card was taken.")
        )
    return notes


def _decoded(value: bytes) -> bytes:
    """Base64 as loosely as other programs read it: blanks, the other alphabet, missing padding."""
    if value[:1] in (b"{", b"["):
        return value
    if value[:5] == b"rcc||":
        return value
    compact = re.sub(rb"\s+", b"", value).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
    except binascii.Error as exc:
        raise BadRequest(
            "The card in this picture is damaged. Download it again.", code="CARD_UNREADABLE"
        ) from exc


def as_png(card: Card, picture: bytes) -> bytes:
    """`picture` (a PNG) with the card as V2 and V3 before its pixels; older cards in it are replaced, other texts stay.

    Raises BadImage for a picture that is no whole PNG.
    """
    added = [("chara", _encoded(as_v2(card))), ("ccv3", _encoded(as_v3(card)))]
    assets = {text.keyword for text in png.texts(png.read(picture)) if text.keyword.startswith("chara-ext-")}
    return png.with_texts(picture, added, without=(*_OURS_TO_REPLACE, *assets))


def _encoded(whole: Mapping[str, Any]) -> str:
    return base64.b64encode(as_json(whole)).decode()


def as_json(whole: Mapping[str, Any]) -> bytes:
    """UTF-8 JSON that every reader takes: pure ASCII, no NaN."""
    return json.dumps(whole, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()


# -- CHARX ----------------------------------------------------------------------------------------------------------


def _of_charx(data: bytes, stem: str) -> CardFile:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = _safe_names(archive)
            manifest = _manifest(names)
            card = understand(_json(archive.read(names[manifest])), stem=stem)
            folder = manifest.removesuffix("card.json")
            picture = _icon(card, names, folder)
            return CardFile(card=card, picture=archive.read(picture) if picture else None)
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        RuntimeError,
        EOFError,
        ValueError,
    ) as exc:
        raise BadRequest(
            "This CHARX file cannot be opened: its archive is damaged. Download it again.",
            code="CARD_UNREADABLE",
        ) from exc


def _safe_names(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Its files by plain path. Raises BadRequest where the archive could do harm."""
    found = archive.infolist()
    inflated = sum(one.file_size for one in found)
    packed = sum(one.compress_size for one in found) or 1
    if len(found) > _MOST_ENTRIES or inflated > _MOST_INFLATED or inflated / packed > _MOST_RATIO:
        raise BadRequest("This archive unpacks to more than a card can be.", code="CARD_TOO_LARGE")
    names: dict[str, zipfile.ZipInfo] = {}
    for one in found:
        name = one.filename.replace("\\", "/").removeprefix("./")
        if one.flag_bits & 1 or name.startswith("/") or ".." in name.split("/") or ":" in name.split("/")[0]:
            raise BadRequest(
                "This archive is encrypted or names files outside itself, so it was not opened.",
                code="CARD_UNREADABLE",
            )
        names.setdefault(name, one)
    return names


def _manifest(names: Mapping[str, zipfile.ZipInfo]) -> str:
    """card.json at the root, or below one folder that holds everything."""
    if "card.json" in names:
        return "card.json"
    tops = {name.split("/")[0] for name in names if not name.startswith("__MACOSX")}
    if len(tops) == 1 and (inside := f"{tops.pop()}/card.json") in names:
        return inside
    raise BadRequest("This archive holds no card.json, so it is no CHARX card.", code="NOT_A_CARD")


def _icon(card: Card, names: Mapping[str, zipfile.ZipInfo], folder: str) -> zipfile.ZipInfo | None:
    """The main icon among its assets that lies in the archive itself."""
    found = card.data.get("assets")
    assets = [
        cast("Mapping[str, Any]", one) for one in cast("list[object]", found or []) if isinstance(one, dict)
    ]
    icons = [one for one in assets if one.get("type") == "icon" and str(one.get("ext")).lower() in _ICONS]
    for one in sorted(icons, key=lambda icon: icon.get("name") != "main"):
        uri = str(one.get("uri"))
        prefix = next((start for start in _EMBEDDED if uri.startswith(start)), None)
        path = uri.removeprefix(prefix).replace("\\", "/").removeprefix("./") if prefix else ""
        if path and folder + path in names:
            return names[folder + path]
    return None


# -- WEBP, a courtesy -----------------------------------------------------------------------------------------------


def _of_webp(data: bytes) -> object:
    try:
        with Image.open(io.BytesIO(data)) as picture:
            comment = picture.getexif().get_ifd(_EXIF).get(_USER_COMMENT)
    except Exception as exc:
        raise BadRequest("This picture cannot be read. Download it again.", code="CARD_UNREADABLE") from exc
    raw = comment.encode() if isinstance(comment, str) else bytes(comment or b"")
    text = raw.removeprefix(b"ASCII").removeprefix(b"UNICODE").strip(b"\0 ")
    if not text:
        raise BadRequest(_NO_CARD, code="NOT_A_CARD")
    if re.fullmatch(rb"[\d,\s]+", text):
        numbers = [int(number) for number in text.split(b",") if number.strip()]
        text = bytes(number for number in numbers if number < 256).strip(b"\0 ")  # noqa: PLR2004
    return _json(text)


def write(card: Card, target: Form, picture: bytes | None = None) -> bytes:
    """The file to hand out: JSON without a picture, else a PNG with the card as V2 and V3.

    Raises BadImage for a picture that is no PNG, BadRequest NO_NAME for a card that others would never list.
    """
    if not file_stem(card.name):
        raise BadRequest(
            "Give the character a name first: other programs hide a card without one.", code="NO_NAME"
        )
    if picture is not None:
        if not png.is_png(picture):
            raise BadImage("A card's picture is a PNG. Choose another format for it first.", code="NOT_PNG")
        return as_png(card, picture)
    return as_json(as_v3(card) if target is Form.v3 else as_v2(card))


_DEVICES: Final = re.compile(r"(?i:con|prn|aux|nul|com\d|lpt\d)")


def file_stem(name: str) -> str:
    """A name as a file's, the way SillyTavern cleans it; empty where nothing is left."""
    kept = re.sub(r'[/?<>\\:*|"\x00-\x1f\x80-\x9f]', "", name).rstrip(". ").strip()
    if _DEVICES.fullmatch(kept.split(".")[0]):
        return ""
    return kept.encode()[:200].decode(errors="ignore")
