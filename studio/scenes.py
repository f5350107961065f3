"""Scenes beside the portraits: cards, their dialog, their pictures. The page shows rows and keeps none."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Final
from uuid import UUID

import gradio as gr

from core import catalog, generation, scenes
from core.errors import BadRequest, Conflict, StudioError
from core.values import CharacterId, JobId, ModelId, Person, SceneId
from studio import components
from studio.asking import QUIET, Asking, say, sent, sent_id, sent_ids, storable, told

Answer = Mapping[str, object] | None
FIELDS: Final = ("scene_name", "scene_description", "scene_prompt", "scene_starters", "system_prompt")
LIMITS: Final[Mapping[str, int]] = {
    "scene_name": scenes.LONGEST_NAME,
    "scene_description": scenes.LONGEST_TEXT,
    "scene_prompt": scenes.LONGEST_TEXT,
    "system_prompt": scenes.LONGEST_TEXT,
    "scene_starter": scenes.LONGEST_STARTER,
    "most_starters": scenes.MOST_STARTERS,
}
LONGEST_TEXT: Final = 20_000  # what the page sends at most for one field; the rules of each are core's
LONGEST_OUTFIT: Final = 60


@dataclass(frozen=True, kw_only=True)
class _Press:
    """What a person did on the board, and with which model chosen in the bar."""

    person: Person
    character_id: CharacterId
    event: gr.EventData
    model_id: ModelId | None

    @property
    def scene_id(self) -> SceneId:
        return SceneId(sent_id(self.event, "scene"))


def build() -> gr.HTML:
    """Draw the board; `wire` connects it."""
    with gr.Column(elem_id="scenes"):
        return components.scene_board("scene-board")


def value(asking: Asking, person: Person, character_id: UUID, answer: Answer = None) -> dict[str, object]:
    """The board's value. `at` is taken before the rows are read: of two answers the later reading wins."""
    at = time.time_ns() // 1000
    cards = scenes.cards(CharacterId(character_id), person, asking.services)
    outfits = [{"key": outfit.key, "label": outfit.label} for outfit in catalog.load().outfits]
    return {
        "character_id": str(character_id),
        "at": at,
        "scenes": [_shown(card) for card in cards],
        "outfits": outfits,
        "limits": LIMITS,
        "answer": answer,
    }


def _shown(card: scenes.SceneCard) -> dict[str, object]:
    row = card.scene
    return {
        "id": str(row.id),
        **{name: getattr(row, name) for name in FIELDS},
        "image_url": card.image_url,
        "thumb_url": card.thumb_url,
        "external": card.external,
        "chat_url": card.chat_url,
        "job": {**asdict(card.job), "id": str(card.job.id)} if card.job else None,
    }


def wire(asking: Asking, board: gr.HTML, models: gr.HTML) -> None:
    """Connect reading and what a person does. `models` is the bar's picker: scenes are drawn by the same choice."""
    acts = _acts(asking)

    def read(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            return value(asking, asking.person(request), sent_id(event, "character"))

    def act(request: gr.Request, event: gr.EventData, *, picked: object) -> dict[str, object]:
        with told():
            press = _Press(
                person=asking.person(request),
                character_id=CharacterId(sent_id(event, "character")),
                event=event,
                model_id=_model(picked),
            )
            answer = _act(acts, press)
            return value(asking, press.person, press.character_id, answer)

    board.read(read, None, board, trigger_mode="always_last", **QUIET)
    board.act(act, inputs_kwargs={"picked": models}, outputs=board, trigger_mode="multiple", **QUIET)


def _act(acts: Mapping[str, Callable[[_Press], Answer]], press: _Press) -> dict[str, object]:
    """What came of it, with the number it was asked under. A refusal of what was typed is an answer."""
    said = sent(press.event)
    action = str(said.get("action"))
    if action not in acts:
        words = "The page asked for something this studio does not do. Reload the page."
        raise BadRequest(words, field="action")
    number = str(said.get("number") or "")
    try:
        return {"state": "ok", **(acts[action](press) or {}), "number": number}
    except StudioError as error:
        if action not in _ANSWERED:
            raise
        field = getattr(error, "field", None)
        return {"state": "refused", "sentence": error.sentence, "field": field, "number": number}


_ANSWERED: Final = frozenset({"save", "preview", "generate"})


def _acts(asking: Asking) -> Mapping[str, Callable[[_Press], Answer]]:
    """What a press can ask for: each is one use case."""
    services = asking.services
    return {
        "save": lambda at: _save(asking, at),
        "delete": lambda at: scenes.delete(at.scene_id, at.person, services),
        "restore": lambda at: scenes.restore(at.scene_id, at.person, services),
        "order": lambda at: scenes.reorder(
            at.character_id, sent_ids(at.event, "ids", most=scenes.MOST_SCENES), at.person, services
        ),
        "preview": lambda at: _preview(asking, at),
        "generate": lambda at: _tell(generation.request(_order(at), at.person, services)),
        "cancel": lambda at: _quiet(generation.cancel(_job(at), at.person, services)),
        "dismiss": lambda at: generation.dismiss(_job(at), at.person, services),
        "retry": lambda at: _tell(generation.retry(_job(at), at.person, services)),
    }


def _save(asking: Asking, at: _Press) -> Answer:
    values = _values(at.event)
    if sent(at.event).get("scene") is None:
        made = scenes.create(at.character_id, values, at.person, asking.services)
        return {"scene": str(made.id)}
    was = sent(at.event).get("was")
    try:
        saved = scenes.save(
            at.scene_id, values, at.person, asking.services, was=was if isinstance(was, dict) else None
        )
    except Conflict as error:
        standing = scenes.get(at.scene_id, at.person, asking.services)
        theirs = {name: getattr(standing, name) for name in FIELDS}
        return {"state": "conflict", "sentence": error.sentence, "theirs": theirs}
    return {"scene": str(saved.id)}


def _values(event: gr.EventData) -> dict[str, object]:
    """The fields a script sent, each bounded. Raises BadRequest for anything else."""
    data = sent(event).get("values")
    if not isinstance(data, dict) or not data or not set(data) <= set(FIELDS):
        raise BadRequest("The page sent fields a scene does not have. Reload the page.", field="scene_name")
    return {name: _field(name, found) for name, found in data.items()}


def _field(name: str, found: object) -> object:
    if name == "scene_starters":
        if not isinstance(found, list) or len(found) > 10 * scenes.MOST_STARTERS:
            raise BadRequest("These starters could not be read. Type them again.", field=name)
        return [storable(one)[:LONGEST_TEXT] for one in found]
    return storable(found)[:LONGEST_TEXT]


def _order(at: _Press) -> generation.PortraitRequest:
    key = str(sent_id(at.event, "key")) if sent(at.event).get("key") else None
    outfit = storable(sent(at.event).get("outfit"))[:LONGEST_OUTFIT]
    return scenes.picture_request(
        at.scene_id, at.character_id, model_id=at.model_id, outfit=outfit or None, key=key
    )


def _preview(asking: Asking, at: _Press) -> Answer:
    plan = generation.preview(_order(at), at.person, asking.services)
    return {
        "plan": {
            "prompt": plan.prompt.text,
            "model": plan.model.display_name,
            "reason": plan.reason,
            "price_words": plan.price_words,
            "warnings": list(plan.warnings),
        }
    }


def _tell(asked: generation.Asked) -> None:
    for warning in asked.warnings:
        say(warning)


def _quiet(_status: object) -> None:
    """A cancelled job shows its state by itself."""


def _job(at: _Press) -> JobId:
    return JobId(sent_id(at.event, "job"))


def _model(picked: object) -> ModelId | None:
    """The model chosen in the bar, None where the choice is left to the routing rules."""
    chosen = picked.get("chosen") if isinstance(picked, dict) else None
    try:
        return ModelId(UUID(str(chosen))) if chosen else None
    except ValueError as exc:
        words = "This model is not one of the studio's. Choose another."
        raise BadRequest(words, field="apiModelId") from exc
