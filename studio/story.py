"""What a character was: its versions, with each field's text before and after."""

from __future__ import annotations

import gradio as gr

from core import history
from core.history import Version
from core.values import CharacterId, Person
from studio import components
from studio.asking import QUIET, Asking, sent, sent_id, told
from studio.fields import LABELS


def build(asking: Asking) -> gr.HTML:
    """Draw the dialog and wire it. A text is brought back as an edit of the person who wants it."""
    dialog = components.story(LABELS)

    def read(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            person, character_id = asking.person(request), CharacterId(sent_id(event))
            before = sent(event).get("before")
            found = history.versions(
                character_id, person, asking.services, before=before if isinstance(before, int) else None
            )
            return {
                "id": str(character_id),
                "before": before,
                "versions": [_shown(version, person) for version in found],
                "more": len(found) == history.PAGE,
            }

    dialog.read(read, None, dialog, trigger_mode="multiple", **QUIET)
    return dialog


def _shown(version: Version, person: Person) -> dict[str, object]:
    return {
        "id": version.id,
        "who": _name(version, person),
        "at": version.at.isoformat(),
        "changes": [
            {"field": field, "before": pair[0], "after": pair[1]}
            for field, pair in sorted(version.changes.items(), key=lambda one: _place(one[0]))
        ],
    }


def _place(field: str) -> int:
    return list(LABELS).index(field) if field in LABELS else len(LABELS)


def _name(version: Version, person: Person) -> str:
    if version.who is None:
        return "The platform"
    return "You" if version.who == person.id else "A colleague"
