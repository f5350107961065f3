"""The studio page, put together: parts first, wiring last."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import gradio as gr

from core import characters
from core.errors import StudioError
from core.values import Character, CharacterId, Person
from studio import (
    components,
    editor,
    grid_answers,
    header,
    navigation,
    portraits,
    prompt_bar,
    proposing,
    reference,
    rooms,
    scenes,
)
from studio.asking import QUIET, Asking, sent, sent_id, told, warn

PUSHES = "/ws"


@dataclass(frozen=True, kw_only=True)
class _Parts:
    head: header.Header
    edit: editor.Editor
    shown: portraits.Portraits
    board: gr.HTML
    bar: prompt_bar.PromptBar
    bus: gr.HTML

    @property
    def outputs(self) -> list[gr.components.Component]:
        """What is drawn when a character comes onto the desk, in the order of `_everything`."""
        return [
            self.edit.record,
            self.shown.grid,
            self.head.picker,
            self.edit.models,
            self.bar.models,
            self.bar.reference,
        ]


def build(asking: Asking) -> gr.Blocks:
    """The whole page. Holds no state of its own: it shows rows, and the browser keeps what is being typed."""
    with gr.Blocks(
        title="Portrait Studio", analytics_enabled=False, fill_width=True, delete_cache=(3600, 86400)
    ) as demo:
        navigation.build(asking, "editor")
        parts = _draw(asking)
        _wire(asking, demo, parts)
    rooms.add(demo, asking)
    demo.queue(default_concurrency_limit=20, max_size=200)
    return demo


def _draw(asking: Asking) -> _Parts:
    bus = components.bus(PUSHES)
    components.card_desk()
    head = header.build(asking)
    with gr.Row(elem_id="shell"):
        edit = editor.build(asking)
        proposing.build(asking)
        components.rail_edge("rail-edge")
        with gr.Column(elem_id="stage"):
            components.stage_tabs("stage-tabs")
            shown = portraits.build(grid_answers.server(asking))
            board = scenes.build()
            bar = prompt_bar.build()
    return _Parts(head=head, edit=edit, shown=shown, board=board, bar=bar, bus=bus)


def _wire(asking: Asking, demo: gr.Blocks, parts: _Parts) -> None:
    def first(request: gr.Request) -> tuple[object, ...]:
        with told():
            person = asking.person(request)
            wanted = str(request.query_params.get("character") or "")
            return _everything(asking, person, _first(asking, person, wanted))

    def open_one(request: gr.Request, event: gr.EventData) -> tuple[object, ...]:
        with told():
            person = asking.person(request)
            is_forced = sent(event).get("forced") is True
            return _everything(
                asking, person, editor.opened(asking, person, sent_id(event)), is_forced=is_forced
            )

    def create(request: gr.Request, event: gr.EventData) -> tuple[object, ...]:
        with told():
            person = asking.person(request)
            values = header.from_template(str(sent(event).get("template") or ""))
            made = characters.create(person, asking.services, values)
            return _everything(asking, person, made, is_made=True)

    def duplicate(request: gr.Request, event: gr.EventData) -> tuple[object, ...]:
        with told():
            person = asking.person(request)
            copy = characters.duplicate(CharacterId(sent_id(event)), person, asking.services)
            return _everything(asking, person, copy, is_made=True)

    def keep(request: gr.Request, event: gr.EventData) -> tuple[object, ...]:
        with told():
            person = asking.person(request)
            kept = characters.keep_as_own(editor.sent_fields(event), person, asking.services)
            return _everything(asking, person, kept, is_made=True)

    def remove(request: gr.Request, event: gr.EventData) -> tuple[object, ...]:
        with told():
            person = asking.person(request)
            characters.delete(CharacterId(sent_id(event)), person, asking.services)
            return _everything(asking, person, _first(asking, person, ""))

    def bring_back(request: gr.Request, event: gr.EventData) -> tuple[object, ...]:
        with told():
            person, is_public = asking.person(request), sent(event).get("public") is True
            back = characters.restore(CharacterId(sent_id(event)), person, asking.services, public=is_public)
            return _everything(asking, person, back)

    record, outputs = parts.edit.record, parts.outputs
    for event in (
        demo.load(first, None, outputs, **QUIET),
        record.open(open_one, None, outputs, trigger_mode="always_last", **QUIET),
        record.create(create, None, outputs, trigger_mode="once", **QUIET),
        record.duplicate(duplicate, None, outputs, trigger_mode="once", **QUIET),
        record.keep(keep, None, outputs, trigger_mode="once", **QUIET),
        record.remove(remove, None, outputs, trigger_mode="once", **QUIET),
        record.bring_back(bring_back, None, outputs, trigger_mode="once", **QUIET),
    ):
        editor.fill_after(event.then, parts.edit)
    editor.wire(asking, parts.head.badge, parts.edit)
    editor.wire_pushed(asking, parts.edit, parts.bus.record)
    portraits.wire(asking, parts.shown)
    prompt_bar.wire(asking, parts.bar, parts.shown)
    reference.wire(asking, parts.bar.reference, [parts.edit.models, parts.bar.models])
    scenes.wire(asking, parts.board, parts.bar.models)


def _everything(
    asking: Asking,
    person: Person,
    character: Character | None,
    *,
    is_forced: bool = False,
    is_made: bool = False,
) -> tuple[object, ...]:
    choices = prompt_bar.models(asking, person, character)
    tiles = portraits.nobody() if character is None else portraits.value(asking, person, character.id)
    return (
        editor.shown(asking, character, person, is_forced=is_forced, is_made=is_made),
        tiles,
        header.cards(asking, person),
        choices,
        choices,
        reference.value(asking, person, character),
    )


def _first(asking: Asking, person: Person, wanted: str) -> Character | None:
    """The character the address names, else the one changed last, else none."""
    if wanted:
        try:
            return editor.opened(asking, person, UUID(wanted))
        except (ValueError, StudioError):
            warn("The character in this address is not there any more, or not yours to see.")
    latest = characters.listing(person, asking.services, limit=1)
    return editor.opened(asking, person, latest[0].id) if latest else None
