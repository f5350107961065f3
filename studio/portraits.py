"""The centre of the page: the poses, and the portraits with the jobs that are becoming portraits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Final
from uuid import UUID

import gradio as gr

from core import catalog, generation, portraits
from core.errors import BadRequest, StudioError
from core.portraits import Tile
from core.values import CharacterId, JobId, ModelId, Person, PortraitId
from studio import components, lightbox
from studio.asking import QUIET, Asking, say, sent, sent_id, sent_ids, told, warn
from studio.calls import Server

FIRST_PORTRAITS: Final = 120  # of a grid; scrolling asks for more
MOST_PORTRAITS: Final = 5000  # of one grid, and ids one reordering may name
UNSEEN: Final = frozenset(
    {"full_url", "download_url", "prompt", "own_words", "model", "provider", "seed", "size"}
)
HEADING: Final = '<h1>Portraits <span class="ps-count" data-portrait-count></span></h1>'


@dataclass(frozen=True, kw_only=True)
class Portraits:
    """The parts other parts talk to."""

    pose: gr.Radio
    shot: gr.HTML
    grid: gr.HTML
    overlays: lightbox.Overlays


@dataclass(frozen=True, kw_only=True)
class Press:
    """One press on a tile: who, on which portrait or job, of which character; `key` is one a press.

    `more` is what else the page's script sent: a client's words.
    """

    person: Person
    tile_id: UUID
    character_id: CharacterId
    key: str
    more: Mapping[str, object]


def build(server: Server) -> Portraits:
    """Draw the heading with its tools, the chips of the next picture, and the grid, which asks `server`."""
    poses = [(pose.label, pose.key) for pose in catalog.load().poses]
    with gr.Row(elem_id="stage-head"):
        gr.HTML(HEADING, elem_id="stage-title")
        components.stage_tools("stage-tools")
        with gr.Row(elem_id="stage-chips"):
            pose = gr.Radio(poses, value=poses[0][1], label="Pose", elem_id="pose", elem_classes="chips")
            shot = components.shot("shot", _kinds())
    with gr.Column(elem_id="stage-scroll"):
        grid = components.portrait_grid("grid", server)
    return Portraits(pose=pose, shot=shot, grid=grid, overlays=lightbox.build())


def _kinds() -> list[dict[str, object]]:
    """The presets a picture can have, as the chips show them."""
    known = catalog.load()
    return [
        {"kind": kind, "label": kind.capitalize(), "choices": [asdict(one) for one in known.presets(kind)]}
        for kind in lightbox.KINDS
    ]


def value(asking: Asking, person: Person, character_id: UUID, *, limit: object = None) -> dict[str, object]:
    """The grid's value: its first `limit` portraits, a client's word. `at` is taken before the rows are read: of two
    answers the later reading wins.
    """
    at, most = time.time_ns() // 1000, _limit(limit)
    seen = portraits.grid(CharacterId(character_id), person, asking.services, limit=most)
    return {
        "character_id": str(character_id),
        "at": at,
        "limit": most,
        "total": seen.total,
        "in_bin": seen.in_bin,
        "tiles": [_shown(tile) for tile in seen.tiles],
    }


def _limit(asked: object) -> int:
    wanted = asked if isinstance(asked, int) and not isinstance(asked, bool) else 0
    return max(FIRST_PORTRAITS, min(wanted, MOST_PORTRAITS))


def _shown(tile: Tile) -> dict[str, object]:
    """What a tile shows; how a portrait was made is asked for when it is opened, so that thousands stay light."""
    whole = asdict(tile)
    if tile.kind != "portrait":
        return whole
    return {name: one for name, one in whole.items() if name not in UNSEEN and one not in ("", None)}


def nobody() -> dict[str, object]:
    """The grid's value where there is no character yet."""
    return {"character_id": None, "at": time.time_ns() // 1000, "tiles": [], "total": 0, "limit": 0}


def wire(asking: Asking, parts: Portraits) -> None:
    """Connect what a person does with a tile."""
    acts = _acts(asking)
    grid = parts.grid
    lightbox.wire(asking, parts.overlays, grid, value)

    def act(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            press = _press(asking, request, event)
            refused = _refused(_known(acts, str(sent(event).get("action"))), press)
            rows = value(asking, press.person, press.character_id, limit=press.more.get("limit"))
            return rows | {"refused": refused}

    def order(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            person, character_id = asking.person(request), CharacterId(sent_id(event, "character"))
            ids = [str(one) for one in sent_ids(event, "ids", most=MOST_PORTRAITS)]
            portraits.reorder(character_id, ids, person, asking.services)
            return value(asking, person, character_id, limit=sent(event).get("limit"))

    grid.act(act, None, grid, trigger_mode="multiple", **QUIET)
    grid.order(order, None, grid, trigger_mode="multiple", **QUIET)


def _press(asking: Asking, request: gr.Request, event: gr.EventData) -> Press:
    return Press(
        person=asking.person(request),
        tile_id=sent_id(event),
        character_id=CharacterId(sent_id(event, "character")),
        key=str(sent_id(event, "key")),
        more=sent(event),
    )


def _refused(act: Callable[[Press], object], press: Press) -> list[str]:
    """Do it. What is refused is said, and its id goes back to the page, which showed it as done already."""
    try:
        act(press)
    except StudioError as error:
        warn(error.sentence)
        return [str(press.tile_id)]
    return []


def _known(acts: Mapping[str, Callable[[Press], object]], name: str) -> Callable[[Press], object]:
    if name not in acts:
        raise BadRequest(
            "The page asked for something this studio does not do. Reload the page.", field="action"
        )
    return acts[name]


def _acts(asking: Asking) -> Mapping[str, Callable[[Press], object]]:
    """What a press can ask for: each is one use case."""
    services = asking.services
    return {
        "primary": lambda at: portraits.make_primary(PortraitId(at.tile_id), at.person, services),
        "rate": lambda at: _rate(asking, at),
        "cancel": lambda at: generation.cancel(JobId(at.tile_id), at.person, services),
        "dismiss": lambda at: generation.dismiss(JobId(at.tile_id), at.person, services),
        "retry": lambda at: _tell(
            generation.retry(JobId(at.tile_id), at.person, services, model_id=_model(at))
        ),
        "again": lambda at: _tell(portraits.again(PortraitId(at.tile_id), at.key, at.person, services)),
    }


def _tell(asked: generation.Asked) -> None:
    for warning in asked.warnings:
        say(warning)


def _rate(asking: Asking, at: Press) -> None:
    favourite, stars = at.more.get("favourite"), at.more.get("stars")
    portraits.rate(
        PortraitId(at.tile_id),
        at.person,
        asking.services,
        favourite=favourite if isinstance(favourite, bool) else None,
        stars=stars if isinstance(stars, int) and not isinstance(stars, bool) else None,
    )


def _model(at: Press) -> ModelId | None:
    """Another model for the next attempt, None for the same."""
    named = at.more.get("model")
    if named is None:
        return None
    try:
        return ModelId(UUID(str(named)))
    except ValueError as exc:
        raise BadRequest("This model is not one of the studio's. Choose another.", field="model") from exc
