"""The library page: everything saved, found by words and filters, tagged and deleted in bulk (SPEC "Studio")."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from core import characters, generation, library
from core.errors import StudioError
from core.library import Changed, Wanted
from core.values import CharacterId, Person
from studio import calls, navigation
from studio.asking import Asking
from studio.components import page_parts

LONGEST_WORDS: Final = 300
LONGEST_CURSOR: Final = 80


def build(asking: Asking) -> None:
    """Draw the page. It asks for its rows itself, as its address says."""
    with navigation.frame(asking, "library", "Library"):
        page_parts.library_grid(calls.answering(asking, _answers(asking)))


def _answers(asking: Asking) -> dict[str, calls.Answer]:
    services = asking.services

    def page(person: Person, sent: calls.Sent) -> object:
        cursor = calls.text(sent, "cursor", longest=LONGEST_CURSOR)
        found = library.page(wanted(sent), person, services, cursor=cursor)
        return {"items": [_shown(item) for item in found.items], "next": found.next_cursor}

    def count(person: Person, sent: calls.Sent) -> object:
        return {"words": library.count(wanted(sent), person, services)}

    def choices(person: Person, sent: calls.Sent) -> object:
        models = generation.models_for(person, services)
        return {
            "models": [{"key": one.model.model_key, "name": one.model.display_name} for one in models],
            "character": _character_name(asking, person, sent),
        }

    def retag(person: Person, sent: calls.Sent) -> object:
        added, removed = _words(sent, "added"), _words(sent, "removed")
        return _changed(library.retag(_ids(sent), person, services, added=added, removed=removed))

    def delete(person: Person, sent: calls.Sent) -> object:
        return _changed(library.delete(_ids(sent), person, services))

    def restore(person: Person, sent: calls.Sent) -> object:
        return _changed(library.restore(_ids(sent), person, services))

    return {
        "page": page, "count": count, "choices": choices, "retag": retag, "delete": delete, "restore": restore,
    }  # fmt: skip


def wanted(sent: calls.Sent) -> Wanted:
    """What is looked for, as the page's address says it. Raises BadRequest."""
    of = calls.text(sent, "of", longest=60)
    return Wanted(
        words=calls.text(sent, "q", longest=LONGEST_WORDS),
        only_characters=sent.get("tab") == "characters",
        tag=calls.text(sent, "tag", longest=200),
        model=calls.text(sent, "model", longest=200),
        seed=calls.whole_number(sent, "seed"),
        character_id=CharacterId(calls.an_id(sent, "of")) if of else None,
        first_day=calls.day(sent, "from"),
        last_day=calls.day(sent, "to"),
        is_bin=sent.get("tab") == "bin",
    )


def _character_name(asking: Asking, person: Person, sent: calls.Sent) -> str:
    """The name of the character whose pictures are looked for; empty where there is none to show."""
    if not sent.get("of"):
        return ""
    try:
        found = characters.load(CharacterId(calls.an_id(sent, "of")), person, asking.services)
    except StudioError:
        return ""
    return found.shown_name


def _shown(item: library.Item) -> dict[str, object]:
    return {**asdict(item), "id": str(item.id), "created_at": item.created_at.isoformat()}


def _changed(changed: Changed) -> dict[str, object]:
    return {"done": [str(one) for one in changed.done], "missing": [str(one) for one in changed.missing]}


def _ids(sent: calls.Sent) -> tuple[calls.UUID, ...]:
    return calls.ids(sent, "ids", most=library.MOST_AT_ONCE)


def _words(sent: calls.Sent, name: str) -> tuple[str, ...]:
    return calls.texts(sent, name, most=40, longest=200)
