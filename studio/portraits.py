"""The centre of the page: the poses, and the portraits with the jobs that are becoming portraits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Final
from uuid import UUID

import gradio as gr

from core import catalog, generation, portraits
from core.errors import BadRequest, NotFound
from core.values import CharacterId, JobId, ModelId, Person, PortraitId, PortraitRequest
from studio import components
from studio.asking import QUIET, Asking, say, sent, sent_id, sent_ids, told

MOST_PORTRAITS: Final = 2000  # ids one reordering may name
HEADING: Final = '<h1>Portraits <span class="ps-count" data-portrait-count></span></h1>'


@dataclass(frozen=True, kw_only=True)
class Portraits:
    """The parts other parts talk to."""

    pose: gr.Radio
    grid: gr.HTML


@dataclass(frozen=True, kw_only=True)
class Press:
    """One press on a tile: who, on which portrait or job, of which character; `key` is one a press."""

    person: Person
    tile_id: UUID
    character_id: CharacterId
    key: str
    was_primary: bool


def build() -> Portraits:
    """Draw the heading with its pose chips, and the grid."""
    poses = [(pose.label, pose.key) for pose in catalog.load().poses]
    with gr.Row(elem_id="stage-head"):
        gr.HTML(HEADING, elem_id="stage-title")
        pose = gr.Radio(poses, value=poses[0][1], label="Pose", elem_id="pose", elem_classes="chips")
    with gr.Column(elem_id="stage-scroll"):
        grid = components.portrait_grid("grid")
    return Portraits(pose=pose, grid=grid)


def value(asking: Asking, person: Person, character_id: UUID) -> dict[str, object]:
    """The grid's value. `at` is taken before the rows are read: of two answers the later reading wins."""
    at = time.time_ns() // 1000
    rows = portraits.tiles(CharacterId(character_id), person, asking.services)
    return {"character_id": str(character_id), "at": at, "tiles": [asdict(tile) for tile in rows]}


def nobody() -> dict[str, object]:
    """The grid's value where there is no character yet."""
    return {"character_id": None, "at": time.time_ns() // 1000, "tiles": []}


def wire(asking: Asking, parts: Portraits, bus: gr.HTML) -> None:
    """Connect what a person does with a tile, and what the push socket reports."""
    acts = _acts(asking)
    grid = parts.grid

    def act(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            press = _press(asking, request, event)
            _known(acts, str(sent(event).get("action")))(press)
            return value(asking, press.person, press.character_id)

    def order(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            person, character_id = asking.person(request), CharacterId(sent_id(event, "character"))
            ids = [str(one) for one in sent_ids(event, "ids", most=MOST_PORTRAITS)]
            portraits.reorder(character_id, ids, person, asking.services)
            return value(asking, person, character_id)

    def read(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            return value(asking, asking.person(request), sent_id(event))

    def read_again(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            return value(asking, asking.person(request), sent_id(event, "character"))

    grid.act(act, None, grid, trigger_mode="multiple", **QUIET)
    grid.order(order, None, grid, trigger_mode="multiple", **QUIET)
    grid.stale(read_again, None, grid, trigger_mode="once", **QUIET)
    bus.tiles(read, None, grid, trigger_mode="always_last", **QUIET)


def _press(asking: Asking, request: gr.Request, event: gr.EventData) -> Press:
    return Press(
        person=asking.person(request),
        tile_id=sent_id(event),
        character_id=CharacterId(sent_id(event, "character")),
        key=str(sent_id(event, "key")),
        was_primary=sent(event).get("primary") is True,
    )


def _known(acts: Mapping[str, Callable[[Press], None]], name: str) -> Callable[[Press], None]:
    if name not in acts:
        raise BadRequest(
            "The page asked for something this studio does not do. Reload the page.", field="action"
        )
    return acts[name]


def _acts(asking: Asking) -> Mapping[str, Callable[[Press], None]]:
    """What a press can ask for: each is one use case."""
    services = asking.services
    return {
        "primary": lambda at: portraits.make_primary(PortraitId(at.tile_id), at.person, services),
        "delete": lambda at: portraits.delete(PortraitId(at.tile_id), at.person, services),
        "restore": lambda at: portraits.restore(
            PortraitId(at.tile_id), at.person, services, primary=at.was_primary
        ),
        "cancel": lambda at: generation.cancel(JobId(at.tile_id), at.person, services),
        "dismiss": lambda at: generation.dismiss(JobId(at.tile_id), at.person, services),
        "retry": lambda at: _tell(generation.retry(JobId(at.tile_id), at.person, services)),
        "again": lambda at: _again(asking, at),
    }


def _tell(asked: generation.Asked) -> None:
    for warning in asked.warnings:
        say(warning)


def _again(asking: Asking, at: Press) -> None:
    """One more portrait from the same words, with the same model where it can still be chosen."""
    rows = portraits.tiles(at.character_id, at.person, asking.services)
    tile = next((row for row in rows if row.id == str(at.tile_id)), None)
    if tile is None:
        raise NotFound("This portrait is no longer there, so its prompt is not either.")
    request = PortraitRequest(
        character_id=at.character_id,
        own_words=tile.own_words or "",
        model_id=_same_model(asking, at.person, tile.model or ""),
        idempotency_key=at.key,
    )
    _tell(generation.request(request, at.person, asking.services))


def _same_model(asking: Asking, person: Person, name: str) -> ModelId | None:
    choices = generation.models_for(person, asking.services)
    return next((one.model.id for one in choices if one.available and one.model.display_name == name), None)
