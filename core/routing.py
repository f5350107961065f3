"""Which model makes a picture, and the reason a person reads (SPEC "Route"). No input or output here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from core.errors import NoModel, NoSuchModel, ProviderPaused
from core.values import ImageModel, ModelId, provider_name

PLACEHOLDER = "sketch"
"""The provider that draws placeholders on this machine: never a fallback for a real one."""

GENERATION = "generation"
IMAGE_TO_IMAGE = "i2i"


class Standing(StrEnum):
    """Whether requests may go to a provider now."""

    ready = "ready"
    paused = "paused"  # configured, and stopped for everybody until `why` is settled
    not_configured = "not_configured"


@dataclass(frozen=True, kw_only=True)
class ProviderStanding:
    """Where a provider stands; `why` is half a sentence for people, such as "its balance is empty", `seconds` how
    long a pause still lasts, None where that is not known.
    """

    standing: Standing
    why: str = ""
    seconds: float | None = None


READY = ProviderStanding(standing=Standing.ready)
NOT_CONFIGURED = ProviderStanding(standing=Standing.not_configured, why="it has no key here")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The model that serves, and why, as a sentence for the person."""

    model: ImageModel
    reason: str


def choose(
    models: Sequence[ImageModel],
    *,
    chosen: ModelId | None,
    match: bool,
    providers: Mapping[str, ProviderStanding],
    test: bool = False,
) -> Choice:
    """Choose the model for one picture.

    `chosen` is a person's choice, `match` image match mode, `providers` where each provider stands (one that
    is left out is not configured; the placeholder is always ready), `test` a Test portrait, drawn by the
    placeholder whatever else is configured.

    Raises NoSuchModel where the chosen model cannot serve, ProviderPaused where only its provider's pause is in
    the way, NoModel `NO_IMAGE_MODEL` or `NO_I2I_MODEL` where none can.
    """
    if test:
        return _placeholder(models, "A test portrait is drawn on this machine and costs nothing.")
    if chosen is not None:
        return _as_chosen(models, chosen, match=match, providers=providers)
    if not _any_configured(providers):
        return _without_providers(models, match=match)
    return _best(models, match=match, providers=providers)


def serving(
    models: Iterable[ImageModel], *, match: bool, providers: Mapping[str, ProviderStanding]
) -> tuple[ImageModel, ...]:
    """The models that could serve without being chosen by name, the one that would first."""
    ready = [
        model
        for model in models
        if _fits(model, match=match)
        and model.provider != PLACEHOLDER
        and _standing(model, providers).standing is Standing.ready
    ]
    return tuple(sorted(ready, key=_rank))


def why_not(model: ImageModel, *, match: bool, providers: Mapping[str, ProviderStanding]) -> str:
    """Why a person cannot choose this model now, as a sentence; empty where they can."""
    try:
        _as_chosen([model], model.id, match=match, providers=providers)
    except (NoSuchModel, ProviderPaused) as refusal:
        return refusal.sentence
    return ""


def _as_chosen(
    models: Sequence[ImageModel],
    chosen: ModelId,
    *,
    match: bool,
    providers: Mapping[str, ProviderStanding],
) -> Choice:
    model = next((one for one in models if one.id == chosen), None)
    if model is None or not model.is_active or model.modality != "image":
        raise NoSuchModel("The chosen model is switched off or makes no images. Choose another one.")
    name = model.display_name
    can = model.capabilities
    if match and not can.supports_i2i:
        raise NoSuchModel(
            f"{name} cannot follow a reference image. Choose a model marked I2I, or turn image match off."
        )
    if can.needs_reference and not match:
        raise NoSuchModel(
            f"{name} works only from a reference image. Turn image match on, or choose another model."
        )
    _refuse_absent(model, _standing(model, providers))
    return Choice(model=model, reason=f"{name} was chosen by name.")


def _refuse_absent(model: ImageModel, where: ProviderStanding) -> None:
    if where.standing is Standing.ready:
        return
    paused = where.standing is Standing.paused
    why = f": {where.why.rstrip('.')}" if where.why else ""
    sentence = (
        f"{model.display_name} cannot be used now, because {model.provider} is "
        f"{'paused' if paused else 'not set up'}{why}. Choose another model, or ask an admin."
    )
    raise ProviderPaused(sentence, retry_after=where.seconds) if paused else NoSuchModel(sentence)


def _without_providers(models: Sequence[ImageModel], *, match: bool) -> Choice:
    if match and not _drawn_here(models, lambda model: model.capabilities.supports_i2i):
        raise NoModel(
            "No provider of images is set up, and the placeholder cannot follow a reference image. "
            "Turn image match off, or ask an admin to add a provider's key.",
            code="NO_I2I_MODEL",
        )
    return _placeholder(models, "No provider of images is set up, so the placeholder draws, free of charge.")


def _placeholder(models: Sequence[ImageModel], reason: str) -> Choice:
    drawn = _drawn_here(models, lambda _model: True)
    if not drawn:
        raise NoModel("The placeholder model is switched off. Ask an admin to switch it on again.")
    return Choice(model=drawn[0], reason=reason)


def _drawn_here(models: Sequence[ImageModel], able: Callable[[ImageModel], bool]) -> list[ImageModel]:
    here = [
        one for one in models if one.provider == PLACEHOLDER and one.is_active and one.modality == "image"
    ]
    return sorted(filter(able, here), key=_rank)


def _best(models: Sequence[ImageModel], *, match: bool, providers: Mapping[str, ProviderStanding]) -> Choice:
    candidates = serving(models, match=match, providers=providers)
    if not candidates:
        raise _nobody(models, match=match, providers=providers)
    model = candidates[0]
    task = "for image match" if match else "for portraits"
    passed_over = _passed_over(model, models, match=match, providers=providers)
    if len(candidates) == 1:
        reason = f"{model.display_name} is the only model {task} that is ready."
    else:
        reason = f"{model.display_name} comes first of the {len(candidates)} models {task} that are ready."
    return Choice(model=model, reason=reason + passed_over)


def _passed_over(
    model: ImageModel,
    models: Sequence[ImageModel],
    *,
    match: bool,
    providers: Mapping[str, ProviderStanding],
) -> str:
    """Which model would have come first, were its provider not paused; empty where there is none."""
    paused = [
        one
        for one in models
        if _fits(one, match=match)
        and _standing(one, providers).standing is Standing.paused
        and _rank(one) < _rank(model)
    ]
    if not paused:
        return ""
    first = min(paused, key=_rank)
    why = providers[first.provider].why.rstrip(".")
    return f" {first.display_name} would come before it, but {first.provider} is paused{': ' + why if why else ''}."


def _nobody(
    models: Sequence[ImageModel], *, match: bool, providers: Mapping[str, ProviderStanding]
) -> NoModel:
    stopped = sorted(
        {
            model.provider
            for model in models
            if _fits(model, match=match) and _standing(model, providers).standing is Standing.paused
        }
    )
    if stopped:
        first = providers[stopped[0]].why.rstrip(".")
        names = ", ".join(provider_name(name) for name in stopped)
        return NoModel(
            f"{names} {'is' if len(stopped) == 1 else 'are'} paused" + (f": {first}." if first else "."),
            code="NO_I2I_MODEL" if match else "NO_IMAGE_MODEL",
            retry_after=min(
                (s for name in stopped if (s := providers[name].seconds) is not None), default=None
            ),
        )
    if match:
        why = "no active model of a provider that is set up can follow a reference image"
        todo = "Turn image match off, or ask an admin to switch one on."
    else:
        why = "no active model of a provider that is set up makes portraits"
        todo = "Ask an admin to switch one on."
    return NoModel(
        f"No model can make this picture: {why}. {todo}", code="NO_I2I_MODEL" if match else "NO_IMAGE_MODEL"
    )


def _fits(model: ImageModel, *, match: bool) -> bool:
    if not model.is_active or model.modality != "image":
        return False
    task = IMAGE_TO_IMAGE if match else GENERATION
    serves = model.default_for_tasks is None or task in model.default_for_tasks
    able = model.capabilities.supports_i2i if match else not model.capabilities.needs_reference
    return serves and able


def _any_configured(providers: Mapping[str, ProviderStanding]) -> bool:
    return any(
        name != PLACEHOLDER and where.standing is not Standing.not_configured
        for name, where in providers.items()
    )


def _standing(model: ImageModel, providers: Mapping[str, ProviderStanding]) -> ProviderStanding:
    default = READY if model.provider == PLACEHOLDER else NOT_CONFIGURED
    return providers.get(model.provider, default)


def _rank(model: ImageModel) -> tuple[int, str, str, str]:
    # The same rows give the same choice, in whatever order the database hands them over.
    return (-model.priority, model.display_name, model.provider, model.model_key)
