"""What is sent: which field of a model takes what is data of the model, not code (DESIGN decision 7).

`input_defaults` may hold the reserved key `_fields`, a mapping from our word to the model's field name; empty or
null means that it has no such field. A word that is left out has the provider's usual name.

    word            what is sent
    prompt          the text
    negative        the text, where capabilities.supports_negative
    size            as the provider spells it; called `width,height`: two numbers; called `aspect_ratio`: the
                    nearest of capabilities.aspect_ratios
    seed            a whole number, where capabilities.supports_seed
    references      a name ending in `s` or `[]` takes the list, another one the first reference; a name ending
                    in `_base64` takes the bare base64 of a `data:` address (core/providers/references.py
                    decides how a picture gets there)
    safety_checker  true or false

`_min_pixels` and `_min_side` (of the shorter side) enlarge a smaller wish, in its shape; `_max_prompt` is the
most characters a text may have. Everything else in `input_defaults` is sent under our fields as it stands, keys
that begin with `_` never, and whatever counts pictures is 1: a job is one picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from core.errors import ProviderRejected
from core.providers.reading import inline, number, table
from core.providers.references import Taking, Upload, handed_over
from core.values import ImageModel, Order, Size

# A default may not switch a check off that a rating asks for; the provider's own default is to check.
_SWITCHES = ("enable_safety_checker", "disable_safety_checker", "safety_checker", "enable_nsfw_detection")
_TOLERANCE = "safety_tolerance"
_TOLERANCE_OF_SFW = 2  # what fal and Replicate take where nothing is said (reference/providers.md 1.10, 2.7)
COUNTS = ("num_images", "max_images", "num_outputs", "image_num")


def _as_it_is(wanted: bool) -> object:
    return wanted


@dataclass(frozen=True, kw_only=True)
class Spelling:
    """A provider's usual names for our words, how it writes a size and the wish for a safety check, and what it
    takes of a reference.
    """

    names: Mapping[str, str]
    size: Callable[[Size], object]
    taking: Taking
    safety_checker: Callable[[bool], object] = _as_it_is


def defaults_of(order: Order, model: ImageModel) -> dict[str, object]:
    """The model's defaults with the order's own over them, reserved keys included."""
    return {**model.input_defaults, **order.input_defaults}


def check_fits(order: Order, model: ImageModel) -> None:
    """Raises ProviderRejected `INVALID_INPUT` where the model cannot do what is ordered; nothing was sent."""
    most, given = model.capabilities.max_reference_images, len(order.references)
    if given > most:
        raise _impossible(
            f"{model.display_name} takes {most or 'no'} reference images and {given} were given, so nothing "
            "was sent. Choose another model or fewer references."
        )
    if model.capabilities.needs_reference and not given:
        raise _impossible(
            f"{model.display_name} works only from a reference image and none was given, so nothing was sent. "
            "Choose a reference or another model."
        )
    longest = int(number(defaults_of(order, model).get("_max_prompt")) or 0)
    if longest and max(len(order.prompt), len(order.negative)) > longest:
        raise _impossible(
            f"{model.display_name} takes a prompt of at most {longest} characters and this one has "
            f"{max(len(order.prompt), len(order.negative))}, so nothing was sent. Shorten the description or "
            "choose another model."
        )


def filled(
    order: Order, model: ImageModel, spelling: Spelling, upload: Upload | None = None
) -> dict[str, object]:
    """The model's input as it is paid for; `upload` is how the provider's own storage takes a reference.

    Raises ProviderRejected as `check_fits`, and what `upload` raises.
    """
    check_fits(order, model)
    defaults = defaults_of(order, model)
    body = {name: value for name, value in defaults.items() if not name.startswith("_")}
    body.update((name, 1) for name in COUNTS if name in body)
    if order.safety_checker:
        _keep_safe(body)
    names = _names(defaults, spelling)
    given: dict[str, object] = {
        "prompt": order.prompt,
        "safety_checker": spelling.safety_checker(order.safety_checker),
    }
    if order.negative and model.capabilities.supports_negative:
        given["negative"] = order.negative
    if order.seed is not None and model.capabilities.supports_seed:
        given["seed"] = order.seed
    body.update((names[word], value) for word, value in given.items() if names[word])
    if order.references and names["references"]:
        taking = spelling.taking.of_model(defaults, field=names["references"])
        given_over = handed_over(order.references, taking, upload)
        body.update(_references(given_over, names["references"]))
    body.update(
        _shape(_enlarged(order.size, defaults), names["size"], model.capabilities.aspect_ratios, spelling)
    )
    return body


def _keep_safe(body: dict[str, object]) -> None:
    """Takes out of a model's defaults what would weaken the provider's check of an sfw picture (SPEC "Policy")."""
    for name in _SWITCHES:
        body.pop(name, None)
    tolerance = number(body.get(_TOLERANCE))
    if tolerance is not None and tolerance > _TOLERANCE_OF_SFW:
        written = str(_TOLERANCE_OF_SFW) if isinstance(body[_TOLERANCE], str) else _TOLERANCE_OF_SFW
        body[_TOLERANCE] = written


def _names(defaults: Mapping[str, object], spelling: Spelling) -> dict[str, str]:
    """What this model calls our words; empty where it has no such field."""
    names = {**spelling.names, **table(defaults.get("_fields"))}
    return {word: name if isinstance(name, str) else "" for word, name in names.items()}


def _references(references: tuple[str, ...], name: str) -> dict[str, object]:
    if name.endswith("_base64"):
        return {name: _bare(references[0])}
    if name.endswith(("s", "[]")):
        return {name.removesuffix("[]"): list(references)}
    return {name: references[0]}


def _bare(reference: str) -> str:
    if not inline(reference):
        raise _impossible(
            "This model takes a reference image only inside the request and was given its address, so nothing "
            "was sent. An admin should look at the model's fields."
        )
    return reference.partition(",")[2]


def _shape(size: Size, name: str, ratios: Sequence[str], spelling: Spelling) -> dict[str, object]:
    if not name:
        return {}
    if name == "width,height":
        return {"width": size.width, "height": size.height}
    if name != "aspect_ratio":
        return {name: spelling.size(size)}
    wanted = size.width / size.height
    return {name: min(ratios or ("1:1",), key=lambda ratio: abs(_ratio(ratio) / wanted - 1))}


def _enlarged(size: Size, defaults: Mapping[str, object]) -> Size:
    """The size in the same shape, as large as the model asks for at least; sides in steps of 8 pixels."""
    least_pixels = number(defaults.get("_min_pixels")) or 0.0
    least_side = number(defaults.get("_min_side")) or 0.0
    factor = max(
        math.sqrt(least_pixels / (size.width * size.height)), least_side / min(size.width, size.height)
    )
    if factor <= 1:
        return size
    return Size(width=_up(size.width * factor), height=_up(size.height * factor))


def _up(side: float) -> int:
    return math.ceil(round(side / 8, 6)) * 8


def _ratio(text: str) -> float:
    width, _, height = text.partition(":")
    try:
        return float(width) / float(height)
    except (ValueError, ZeroDivisionError):
        return 0.0


def _impossible(sentence: str) -> ProviderRejected:
    return ProviderRejected(sentence, code="INVALID_INPUT")
