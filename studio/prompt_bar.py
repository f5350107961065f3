"""The bottom bar: own words, model, count, the final prompt and its price, and Generate."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import gradio as gr

from core import generation
from core.errors import BadRequest, StudioError
from core.references import Serving
from core.values import Character, CharacterId, ImageModel, ModelId, Person, PortraitRequest, Presets
from studio import components, portraits
from studio.asking import QUIET, Asking, say, sent, sent_id, sent_ids, storable, told, warn

LONGEST_OWN_WORDS: Final = 200  # the prompt is cut there (SPEC "Prompt")
LONGEST_PRESET: Final = 200  # what a page may send for one; the prompt takes less
MOST_AT_ONCE: Final = 4
COUNTS: Final = [str(number) for number in range(1, MOST_AT_ONCE + 1)]


@dataclass(frozen=True, kw_only=True)
class PromptBar:
    """The parts other parts talk to."""

    words: gr.Textbox
    reference: gr.HTML
    models: gr.HTML
    final: gr.HTML


def build() -> PromptBar:
    """Draw the bar."""
    with gr.Column(elem_id="promptbar", scale=0):
        with gr.Column(elem_id="words"):
            words = gr.Textbox(
                label="Own words",
                placeholder="Add your own words, if any",
                lines=1,
                max_lines=4,
                max_length=LONGEST_OWN_WORDS,
                elem_id="f_own_words",
            )
            components.field_note("own_words", most=LONGEST_OWN_WORDS, is_own=True)
        with gr.Row(elem_id="pay"):
            reference = components.reference("reference")
            models = components.model_picker("models_bar")
            gr.Radio(
                COUNTS, value="1", label="How many", elem_id="count", elem_classes="chips", interactive=True
            )
            final = components.final_prompt("final")
            generate = gr.Button("Generate", variant="primary", elem_id="gen")
    generate.click(None, None, None, js="() => { window.studio.generate() }")
    return PromptBar(words=words, reference=reference, models=models, final=final)


def wire(asking: Asking, bar: PromptBar, shown: portraits.Portraits) -> None:
    """Connect the preview and the click that pays."""
    typed = {"words": bar.words, "pose": shown.pose, "shot": shown.shot, "picked": bar.models}

    def ask(request: gr.Request, event: gr.EventData, **said: object) -> dict[str, object]:
        with told():
            person = asking.person(request)
            return _preview(asking, person, _request(sent_id(event), said))

    def generate(
        request: gr.Request, event: gr.EventData, **said: object
    ) -> tuple[dict[str, object], dict[str, object]]:
        with told():
            person, character_id = asking.person(request), sent_id(event)
            keys = sent_ids(event, "keys", most=MOST_AT_ONCE)
            _order(asking, person, [_request(character_id, said, key=str(key)) for key in keys])
            preview = _preview(asking, person, _request(character_id, said))
            tiles = portraits.value(asking, person, character_id, limit=sent(event).get("limit"))
            return {**preview, "asked": True}, tiles

    bar.final.ask(ask, inputs_kwargs=typed, outputs=bar.final, trigger_mode="always_last", **QUIET)
    bar.final.generate(
        generate, inputs_kwargs=typed, outputs=[bar.final, shown.grid], trigger_mode="multiple", **QUIET
    )


def models(asking: Asking, person: Person, character: Character | None = None) -> dict[str, object]:
    """The value of a model picker: every image model, with its price and what it can do; usable ones first.

    Where the character's picture is to be matched, only models that can are usable.
    """
    match = character is not None and character.match_reference
    found = generation.models_for(person, asking.services, match=match)
    return {
        "choices": [
            _choice(one, configured=asking.services.providers.keys())
            for one in sorted(found, key=lambda one: not one.available)
        ],
        "chosen": "",
        "match": match,
        "words": Serving(models=tuple(one for one in found if one.available)).words if match else "",
    }


def _choice(one: generation.ModelChoice, *, configured: Collection[str]) -> dict[str, object]:
    return {
        "id": str(one.model.id),
        "name": one.model.display_name,
        "provider": one.model.provider,
        "price": one.price_words,
        "i2i": one.model.capabilities.supports_i2i,
        "seed": one.model.capabilities.supports_seed,
        "available": one.available,
        "why_not": one.why_not,
        "short": "" if one.available else _short(one.model, configured),
    }


def _short(model: ImageModel, configured: Collection[str]) -> str:
    """Why it cannot be chosen, in two or three words; `why_not` has the whole sentence."""
    if model.capabilities.needs_reference:
        return "needs a reference"
    return "paused" if model.provider in configured else "no key"


def _order(asking: Asking, person: Person, orders: Sequence[PortraitRequest]) -> None:
    """Ask for each picture until one is refused; every warning is said once, however many pictures have it."""
    warnings: dict[str, None] = {}
    try:
        for order in orders:
            asked = generation.request(order, person, asking.services)
            warnings.update(dict.fromkeys(asked.warnings))
    except StudioError as error:
        warn(error.sentence)
    for warning in warnings:
        say(warning)


def _picked(picked: object) -> ModelId | None:
    """The chosen model, None where the choice is left to the routing rules."""
    chosen = picked.get("chosen") if isinstance(picked, dict) else None
    if not chosen:
        return None
    try:
        return ModelId(UUID(str(chosen)))
    except ValueError as exc:
        raise BadRequest(
            "This model is not one of the studio's. Choose another.", field="apiModelId"
        ) from exc


def _request(character_id: UUID, said: Mapping[str, object], *, key: str | None = None) -> PortraitRequest:
    """What the page's fields ask for: a client's words, checked by the use case like any other."""
    shot = said.get("shot")
    chosen: dict[str, object] = shot if isinstance(shot, dict) else {}
    return PortraitRequest(
        character_id=CharacterId(character_id),
        own_words=storable(said.get("words")).strip(),
        presets=Presets(
            pose=_word(said.get("pose")),
            expression=_word(chosen.get("expression")),
            outfit=_word(chosen.get("outfit")),
            camera=_word(chosen.get("camera")),
        ),
        model_id=_picked(said.get("picked")),
        seed=_seed(chosen.get("seed")),
        keep_seed=chosen.get("keep") is True,
        idempotency_key=key,
    )


def _word(chosen: object) -> str | None:
    """A preset's key, or free words: the prompt cuts them where they are long."""
    return (storable(chosen)[:LONGEST_PRESET] or None) if chosen else None


def _seed(typed: object) -> int | None:
    if typed in (None, ""):
        return None
    if not re.fullmatch(r"\d{1,10}", str(typed)):
        raise BadRequest("A seed is a whole number. Type another, or none.", field="seed")
    return int(str(typed))


def _preview(asking: Asking, person: Person, request: PortraitRequest) -> dict[str, object]:
    """What would be sent and what it costs; a refusal is the answer here, not an error."""
    try:
        seen = generation.preview(request, person, asking.services)
        lives = generation.worker_lives(person, asking.services)
    except StudioError as error:
        return {"problem": error.sentence}
    return {
        "prompt": seen.prompt.text,
        "negative": seen.prompt.negative,
        "warnings": [*seen.warnings, *(() if lives else (generation.NO_WORKER,))],
        "matched": seen.reference is not None,
        "model": seen.model.display_name,
        "reason": seen.reason,
        "price": None if seen.price is None else str(seen.price),
        "price_words": seen.price_words,
    }
