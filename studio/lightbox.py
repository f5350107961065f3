"""One portrait, large, with how it was made; two beside each other; and the bin. Looking spends nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import gradio as gr

from core import catalog, plans, portraits
from core.catalog import PresetKind
from core.errors import StudioError
from core.portraits import Binned, Details
from core.values import CharacterId, Person
from studio import components
from studio.asking import QUIET, Asking, sent, sent_id, sent_ids, told

MOST_LOOKED_AT: Final = 4
KINDS: Final[tuple[PresetKind, ...]] = ("pose", "expression", "outfit", "camera")


@dataclass(frozen=True, kw_only=True)
class Overlays:
    """What lies over the page when it is asked for."""

    box: gr.HTML
    bin: gr.HTML


def build() -> Overlays:
    """Draw them, hidden."""
    box = components.lightbox()
    components.compare()
    return Overlays(box=box, bin=components.bin_box())


def wire(asking: Asking, parts: Overlays, grid: gr.HTML, read: Callable[..., dict[str, object]]) -> None:
    """Connect looking at portraits, and bringing deleted ones back; `read` gives the grid's value."""

    def look(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            person, number = asking.person(request), str(sent_id(event, "number"))
            ids = sent_ids(event, "ids", most=MOST_LOOKED_AT)
            return {"number": number, **_seen(asking, person, ids)}

    def look_in(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            return _bin(asking, asking.person(request), sent_id(event, "character"))

    def restore(request: gr.Request, event: gr.EventData) -> tuple[dict[str, object], dict[str, object]]:
        with told():
            person, character_id = asking.person(request), sent_id(event, "character")
            ids = sent_ids(event, "ids", most=portraits.MOST_AT_ONCE)
            portraits.restore_many(CharacterId(character_id), ids, person, asking.services)
            shown = read(asking, person, character_id, limit=sent(event).get("limit"))
            return _bin(asking, person, character_id), shown

    parts.box.look(look, None, parts.box, trigger_mode="multiple", **QUIET)
    parts.bin.look(look_in, None, parts.bin, trigger_mode="multiple", **QUIET)
    parts.bin.restore(restore, None, [parts.bin, grid], trigger_mode="multiple", **QUIET)


def _seen(asking: Asking, person: Person, ids: tuple[UUID, ...]) -> dict[str, object]:
    try:
        found = portraits.details(ids, person, asking.services)
    except StudioError as error:
        return {"problem": error.sentence}
    return {"details": [_details(one) for one in found]}


def _details(seen: Details) -> dict[str, object]:
    tile = seen.tile
    return {
        "id": tile.id,
        "title": tile.title,
        "url": tile.url,
        "full_url": tile.full_url,
        "prompt": tile.prompt,
        "own_words": seen.own_words if seen.own_words != tile.prompt else "",
        "presets": [_preset(kind, seen.presets[kind]) for kind in KINDS if kind in seen.presets],
        "negative": seen.negative,
        "model": tile.model,
        "provider": tile.provider.capitalize(),
        "seed": tile.seed,
        "size": tile.size,
        "primary": tile.primary,
        "created_at": tile.created_at,
        "matched": seen.matched,
        "reference": seen.reference,
        "cost": plans.price_words(seen.cost_usd) if seen.cost_usd is not None else "not known",
        "seconds": seen.seconds,
        "again": {"name": seen.again.model.display_name, "price": seen.again.price_words}
        if seen.again
        else None,
    }


def _preset(kind: PresetKind, key: str) -> dict[str, str]:
    known = catalog.load().preset(kind, key)
    return {"kind": kind, "key": known.key if known else key, "label": known.label if known else key}


def _bin(asking: Asking, person: Person, character_id: UUID) -> dict[str, object]:
    found = portraits.bin_of(CharacterId(character_id), person, asking.services)
    at = time.time_ns() // 1000
    return {"character_id": str(character_id), "at": at, "items": [_item(one) for one in found]}


def _item(one: Binned) -> dict[str, object]:
    return {
        "id": one.tile.id,
        "title": one.tile.title,
        "url": one.tile.url,
        "deleted_at": one.deleted_at.isoformat(),
        "days_left": one.days_left,
    }
