"""An sfw picture always asks its provider's safety checker, whatever a model's row says (SPEC "Policy")."""

from dataclasses import replace
from uuid import uuid4

import pytest

from core import catalog
from core.providers import fal, novita, replicate, runpod
from core.providers.fields import filled
from core.values import ImageModel, ModelId, Order, ReferencePicture

REFERENCE = ReferencePicture(data=b"png", media_type="image/png", width=64, height=64)


def body_of(provider, order, model):
    if provider == "fal":
        return fal.body_of(order, model)
    if provider == "novita":
        return novita.body_of(order, model)
    return filled(order, model, {"replicate": replicate, "runpod": runpod}[provider].SPELLING)


def models():
    for one in catalog.load().models:
        if one.provider != "sketch":
            yield ImageModel(
                id=ModelId(uuid4()),
                provider=one.provider,
                model_key=one.model_key,
                display_name=one.display_name,
                capabilities=one.capabilities,
                input_defaults=one.input_defaults,
            )


MODELS = {f"{one.provider} {one.model_key}": one for one in models()}
SWITCHED = {"enable_safety_checker": True, "disable_safety_checker": False, "enable_nsfw_detection": True}
# Their inputs hold no switch (reference/providers.md 1.10, 2.7, 3.5, 4.4): the provider always checks, or has no checker.
WITHOUT_A_SWITCH = {
    "fal fal-ai/flux-pro/kontext",
    "replicate bytedance/seedream-4",
    "replicate black-forest-labs/flux-kontext-pro",
    "novita seedream-4.0",
    "runpod worker-sdxl",
}


def an_order(model, *, safety_checker):
    references = (REFERENCE,) if model.capabilities.needs_reference else ()
    return Order(prompt="An adult sailor", references=references, safety_checker=safety_checker)


def switches(body):
    said = {**body, **body.get("extra", {}), **body.get("request", {})}
    return {name: said[name] for name in SWITCHED if name in said}


@pytest.mark.parametrize("name", MODELS)
def test_every_shipped_model_is_asked_to_check_an_sfw_picture(name):
    model = MODELS[name]

    body = body_of(model.provider, an_order(model, safety_checker=True), model)

    said = switches(body)
    assert said == {key: SWITCHED[key] for key in said}
    assert bool(said) is (name not in WITHOUT_A_SWITCH)
    assert int(body.get("safety_tolerance", 2)) <= 2


@pytest.mark.parametrize("name", sorted(set(MODELS) - WITHOUT_A_SWITCH))
def test_an_nsfw_picture_asks_for_no_check(name):
    model = MODELS[name]

    body = body_of(model.provider, an_order(model, safety_checker=False), model)

    assert switches(body) != {key: SWITCHED[key] for key in switches(body)}


@pytest.mark.parametrize("name", MODELS)
def test_a_teams_row_cannot_switch_the_check_of_an_sfw_picture_off(name):
    model = MODELS[name]
    off = {
        "enable_safety_checker": False,
        "disable_safety_checker": True,
        "safety_checker": False,
        "enable_nsfw_detection": False,
        "safety_tolerance": "6",
    }
    careless = replace(model, input_defaults={**model.input_defaults, **off})

    body = body_of(model.provider, an_order(model, safety_checker=True), careless)

    said = switches(body)
    assert said == {key: SWITCHED[key] for key in said}
    assert "safety_checker" not in body
    assert int((body.get("request") or body)["safety_tolerance"]) == 2


def test_the_models_said_to_have_no_switch_do_ship():
    assert set(MODELS) >= WITHOUT_A_SWITCH
