"""Suggestions beside the form: asked for a field, the tags or everything; a person accepts or leaves each."""

from __future__ import annotations

from decimal import Decimal

import gradio as gr

from core import suggestions
from core.errors import BadRequest, StudioError
from core.suggestions import Source, SuggestionRequest, Suggestions
from core.values import CharacterId
from studio import components
from studio.asking import QUIET, Asking, sent, sent_id, told
from studio.fields import LABELS

LONGEST_GIVEN = 4000  # characters of one field that a suggestion is told
MOST_TURNS = 10_000  # clicks that draw anew; more of them is no person
_TOLD = frozenset({*suggestions.FIELDS, "gender"})


def build(asking: Asking) -> gr.HTML:
    """Draw the panel and wire it."""
    panel = components.proposals(LABELS)

    def ask(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            number = str(sent(event).get("number") or "")
            return {**_answered(asking, request, event), "number": number}

    panel.ask(ask, None, panel, trigger_mode="multiple", **QUIET)
    return panel


def _answered(asking: Asking, request: gr.Request, event: gr.EventData) -> dict[str, object]:
    try:
        made = suggestions.suggest(_asked(event), asking.person(request), asking.services)
    except StudioError as error:
        return {"id": str(sent(event).get("id") or ""), "sentence": error.sentence}
    return _shown(made)


def _asked(event: gr.EventData) -> SuggestionRequest:
    data = sent(event)
    version, turn = data.get("version"), data.get("turn")
    return SuggestionRequest(
        wanted=str(data.get("wanted") or ""),
        character_id=CharacterId(sent_id(event)),
        version=version if isinstance(version, int) else None,
        fields=_given(data.get("fields")),
        turn=turn if isinstance(turn, int) and 0 <= turn < MOST_TURNS else 0,
        idempotency_key=str(sent_id(event, "key")),
    )


def _given(data: object) -> dict[str, str | tuple[str, ...]]:
    """What the form says and nobody saved yet; a text too long to be told is left to what is saved."""
    if not isinstance(data, dict) or not set(data) <= set(LABELS):
        raise BadRequest("The page sent fields this studio does not know. Reload the page.", field="fields")
    told_of = {name: value for name, value in data.items() if name in _TOLD}
    given = {
        name: tuple(map(str, value)) if isinstance(value, list) else str(value or "")
        for name, value in told_of.items()
    }
    return {name: value for name, value in given.items() if sum(map(len, value)) <= LONGEST_GIVEN}


def _shown(made: Suggestions) -> dict[str, object]:
    return {
        "id": str(made.character_id),
        "proposals": [
            {"field": one.field, "proposed": one.proposed} for one in made.proposals if one.field in LABELS
        ],
        "warnings": list(made.warnings),
        "source": "Written offline, from the catalogue"
        if made.source is Source.offline
        else f"Written by {made.model}",
        "price": _price(made.cost_usd),
    }


def _price(cost: Decimal | None) -> str:
    if cost is None:
        return "price not known"
    return "free" if cost == 0 else f"${cost:.4f}"
