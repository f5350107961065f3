"""One character card as an object: which form it has, what had to be mended, and its two spellings V2 and V3.

Facts: reference/character-cards.md §1 (shapes) and §4 (malformed input seen in the wild). The object is kept whole:
what we do not know survives import and export untouched.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, cast

from core.errors import BadRequest

Data = dict[str, Any]

V1_FIELDS: Final = ("name", "description", "personality", "scenario", "first_mes", "mes_example")
_STRINGS: Final = (
    *V1_FIELDS, "creator_notes", "system_prompt", "post_history_instructions", "creator", "character_version",
)  # fmt: skip
_LISTS: Final = ("alternate_greetings", "tags")
V3_ONLY: Final = (
    "group_only_greetings", "nickname", "creator_notes_multilingual", "source", "creation_date",
    "modification_date", "assets",
)  # fmt: skip
_NOTEPAD: Final = {
    "char_name": "name",
    "char_persona": "description",
    "world_scenario": "scenario",
    "char_greeting": "first_mes",
    "example_dialogue": "mes_example",
}


class Form(StrEnum):
    """How a card was written."""

    v1 = "V1"
    v2 = "V2"
    v3 = "V3"
    notepad = "notepad"  # the oldest JSON, `char_name` and its like


@dataclass(frozen=True, kw_only=True)
class Note:
    """One line of a report: a code for programs, a sentence for people."""

    code: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card as it was meant. `whole` is the object in its own form, mended; `notes` say what was mended."""

    form: Form
    whole: Data
    notes: tuple[Note, ...] = ()

    @property
    def data(self) -> Data:
        """The fields: `data` of V2 and V3, the object itself in the older forms."""
        return cast("Data", self.whole["data"]) if self.form in (Form.v2, Form.v3) else self.whole

    @property
    def name(self) -> str:
        """The character's name, empty where the card has none."""
        return str(self.data.get("name", "")).strip()


def understand(found: object, *, stem: str = "") -> Card:
    """The card in a parsed JSON value; `stem` is the file's name without ending, a last resort for its name.

    Raises BadRequest NOT_A_CARD.
    """
    if not isinstance(found, dict):
        raise _not_a_card()
    whole = copy.deepcopy(cast("Data", found))
    notes: list[Note] = []
    form = _form(whole)
    if form is Form.notepad:
        whole = {ours: str(whole.get(theirs) or "") for theirs, ours in _NOTEPAD.items()} | {
            "personality": ""
        }
        notes.append(Note(code="OLD_FORM", sentence="An old notepad card; its five fields were taken over."))
    if form in (Form.v2, Form.v3):
        _mend_frame(whole, form, notes)
    data = cast("Data", whole["data"]) if form in (Form.v2, Form.v3) else whole
    _mend_fields(data, form, notes)
    _mend_name(whole, data, stem, notes)
    return Card(form=form, whole=whole, notes=tuple(notes))


def _not_a_card() -> BadRequest:
    return BadRequest(
        "This file holds no character card: neither `spec`, nor `name`, nor `char_name` is in it. Choose the card itself.",
        code="NOT_A_CARD",
    )


def _form(whole: Data) -> Form:
    if "spec" in whole:
        return Form.v3 if whole["spec"] == "chara_card_v3" else Form.v2
    if isinstance(whole.get("data"), dict) and "name" in whole["data"]:
        return Form.v2
    if "name" in whole:
        return Form.v1
    if "char_name" in whole:
        return Form.notepad
    raise _not_a_card()


def _mend_frame(whole: Data, form: Form, notes: list[Note]) -> None:
    """The object around `data`."""
    if not isinstance(whole.get("data"), dict):
        raise BadRequest(
            "This card has no fields: `data` is missing or is no object. Export it again at its source.",
            code="NOT_A_CARD",
        )
    if form is Form.v3:
        _look_at_version(whole, notes)
    elif (whole.get("spec"), whole.get("spec_version")) != ("chara_card_v2", "2.0"):
        whole["spec"], whole["spec_version"] = "chara_card_v2", "2.0"
        notes.append(Note(code="SPEC", sentence="Its version was not written as V2 asks; it was read as V2."))
    if whole.pop("json_data", None) is not None:
        notes.append(Note(code="NESTED_COPY", sentence="A second copy of the card inside it was left out."))
    _move_book_in(whole, cast("Data", whole["data"]), notes)


def _look_at_version(whole: Data, notes: list[Note]) -> None:
    try:
        version = float(str(whole.get("spec_version")))
    except ValueError:
        whole["spec_version"], version = "3.0", 3.0
        notes.append(Note(code="SPEC", sentence="Its version could not be read; it was read as V3.0."))
    if version >= 4:  # noqa: PLR2004
        sentence = "The card is of a newer form than V3; what is not known here is kept untouched."
        notes.append(Note(code="NEWER", sentence=sentence))


def _move_book_in(whole: Data, data: Data, notes: list[Note]) -> None:
    if "character_book" not in whole:
        return
    beside = whole.pop("character_book")
    if data.get("character_book") is None and isinstance(beside, dict):
        data["character_book"] = beside
        notes.append(
            Note(code="BOOK_MOVED", sentence="Its lorebook stood beside the fields; it was moved in.")
        )


def _mend_fields(data: Data, form: Form, notes: list[Note]) -> None:
    """Each known field to its type; missing ones are filled with nothing, as the forms ask."""
    mended: list[str] = []
    strings = V1_FIELDS if form in (Form.v1, Form.notepad) else _STRINGS
    for field in strings:
        _mend(data, field, _as_string, "", mended)
    if form not in (Form.v1, Form.notepad):
        for field in _LISTS:
            _mend(data, field, _as_tags if field == "tags" else _as_strings, [], mended)
        if form is Form.v3:
            _mend(data, "group_only_greetings", _as_strings, [], mended)
        _mend(data, "extensions", _as_object, {}, mended)
        _mend_book(data, form, notes)
    if mended:
        fields = ", ".join(mended)
        notes.append(Note(code="FIELDS", sentence=f"Not written as the form asks, and mended: {fields}."))


def _mend(data: Data, field: str, read: Callable[[object], object], empty: object, mended: list[str]) -> None:
    value = read(data[field]) if field in data and data[field] is not None else empty
    if field not in data or data[field] is None or value != data[field]:
        data[field] = copy.copy(value)
        mended.append(field)


def _as_string(value: object) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _as_strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value] if value.strip() else []
    if not isinstance(value, list):
        return []
    return [one for one in cast("list[object]", value) if isinstance(one, str)]


def _as_object(value: object) -> Data:
    return cast("Data", value) if isinstance(value, dict) else {}


def _as_tags(value: object) -> list[str]:
    if isinstance(value, str):
        return [tag.strip() for tag in value.split(",") if tag.strip()]
    return _as_strings(value)


def _mend_book(data: Data, form: Form, notes: list[Note]) -> None:
    if "character_book" not in data:
        return
    book = data["character_book"]
    if not isinstance(book, dict):
        del data["character_book"]
        if book:
            notes.append(
                Note(code="BOOK_UNREADABLE", sentence="Its lorebook could not be read and was left out.")
            )
        return
    before = copy.deepcopy(cast("Data", book))
    _mend_entries(cast("Data", book), form)
    if before != book:
        notes.append(
            Note(
                code="BOOK_MENDED",
                sentence="Its lorebook was written in another program's way; it was mended.",
            )
        )


def _mend_entries(book: Data, form: Form) -> None:
    if not isinstance(book.get("extensions"), dict):
        book["extensions"] = {}
    entries = book.get("entries")
    if isinstance(entries, dict):
        keyed = cast("Mapping[str, object]", entries)
        ordered = sorted(keyed, key=lambda key: (not key.isdigit(), int(key) if key.isdigit() else 0, key))
        entries = [keyed[key] for key in ordered]
    found = cast("list[object]", entries) if isinstance(entries, list) else []
    book["entries"] = [cast("Data", one) for one in found if isinstance(one, dict)]
    for entry in book["entries"]:
        _mend_entry(entry, form)


def _mend_entry(entry: Data, form: Form) -> None:
    for theirs, ours in (("key", "keys"), ("keysecondary", "secondary_keys"), ("order", "insertion_order")):
        if theirs in entry and ours not in entry:
            entry[ours] = entry.pop(theirs)
    if "disable" in entry and "enabled" not in entry:
        entry["enabled"] = not entry.pop("disable")
    entry["keys"] = _as_strings(entry.get("keys", []))
    entry["content"] = _as_string(entry.get("content", ""))
    entry.setdefault("enabled", True)
    if isinstance(entry.get("insertion_order"), bool) or not isinstance(
        entry.get("insertion_order"), int | float
    ):
        entry["insertion_order"] = 100
    if not isinstance(entry.get("extensions"), dict):
        entry["extensions"] = {}
    if form is Form.v3:
        entry.setdefault("use_regex", False)
    if "position" in entry and entry["position"] not in ("before_char", "after_char"):
        entry["position"] = "before_char" if str(entry["position"]) == "0" else "after_char"


def _mend_name(whole: Data, data: Data, stem: str, notes: list[Note]) -> None:
    if str(data["name"]).strip():
        return
    data["name"] = str(whole.get("name") or "").strip() or stem.strip()
    if data["name"]:
        notes.append(Note(code="NAME", sentence="The card had no name; one was taken from beside it."))
    else:
        notes.append(Note(code="NO_NAME", sentence="The card has no name. Give the character one."))


# -- the two spellings ------------------------------------------------------------------------------------------


def as_v2(card: Card) -> Data:
    """The card spelled as V2, without what only V3 knows."""
    if card.form is Form.v2:
        return copy.deepcopy(card.whole)
    data = {name: value for name, value in _full(card).items() if name not in V3_ONLY}
    for entry in _entries(data):
        entry.pop("use_regex", None)
    return {"spec": "chara_card_v2", "spec_version": "2.0", "data": data}


def as_v3(card: Card) -> Data:
    """The card spelled as V3."""
    if card.form is Form.v3:
        return copy.deepcopy(card.whole)
    data = _full(card)
    data.setdefault("group_only_greetings", [])
    for entry in _entries(data):
        entry.setdefault("use_regex", False)
    return {"spec": "chara_card_v3", "spec_version": "3.0", "data": data}


def _full(card: Card) -> Data:
    """The fields with all that V2 asks for; the older forms lack some."""
    data = copy.deepcopy(card.data)
    for field in _STRINGS:
        data.setdefault(field, "")
    for field in _LISTS:
        data.setdefault(field, [])
    data.setdefault("extensions", {})
    return data


def _entries(data: Data) -> list[Data]:
    book = cast("Data", data.get("character_book") or {})
    return cast("list[Data]", book.get("entries", []))


def losses(card: Card, target: Form) -> tuple[Note, ...]:
    """What writing it as `target` leaves out, said before it is written."""
    if target is not Form.v2:
        return ()
    dropped = [field for field in V3_ONLY if card.data.get(field)]
    icon = [{"type": "icon", "uri": "ccdefault:", "name": "main", "ext": "png"}]
    if card.data.get("assets") == icon:
        dropped.remove("assets")
    if not dropped:
        return ()
    words = ", ".join(field.replace("_", " ") for field in dropped)
    return (Note(code="V3_ONLY", sentence=f"V2 knows no {words}; they are left out."),)
