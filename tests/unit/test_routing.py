"""Which model serves, why, and what is said where none can."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from uuid import uuid4

import pytest

from core.errors import NoModel, NoSuchModel, ProviderPaused
from core.routing import NOT_CONFIGURED, READY, ProviderStanding, Standing, choose, serving, why_not
from core.values import Capabilities, ImageModel, ModelId, provider_name

PAUSED = ProviderStanding(standing=Standing.paused, why="its balance is empty")
FAL = {"fal": READY}


def _model(name, provider="fal", *, i2i=False, tasks=("generation",), **changes):
    return ImageModel(
        id=ModelId(uuid4()),
        provider=provider,
        model_key=f"{provider}/{name}",
        display_name=name,
        default_for_tasks=tasks,
        capabilities=Capabilities(
            supports_i2i=i2i,
            max_reference_images=int(i2i),
            needs_reference=changes.pop("needs_reference", False),
        ),
        **changes,
    )


SEEDREAM = _model("Seedream", priority=10)
EDIT = _model("Seedream edit", priority=10, i2i=True, tasks=("i2i",), needs_reference=True)
FLUX = _model("FLUX", priority=8)
KONTEXT = _model("Kontext", "replicate", priority=8, i2i=True, tasks=("i2i",))
SKETCH = _model("Sketch", "sketch")
MODELS = (SKETCH, FLUX, EDIT, SEEDREAM, KONTEXT)


def _choose(models=MODELS, *, chosen=None, match=False, providers=FAL, test=False):
    return choose(models, chosen=chosen, match=match, providers=providers, test=test)


def test_the_highest_priority_of_a_ready_provider_serves_and_says_so():
    choice = _choose()

    assert choice.model is SEEDREAM
    assert choice.reason == "Seedream comes first of the 2 models for portraits that are ready."


def test_match_mode_takes_a_model_that_follows_a_reference():
    choice = _choose(match=True)

    assert choice.model is EDIT
    assert choice.reason == "Seedream edit is the only model for image match that is ready."


def test_a_paused_provider_is_passed_over_for_another_one():
    choice = _choose(match=True, providers={"fal": PAUSED, "replicate": READY})

    assert choice.model is KONTEXT


def test_a_provider_without_a_key_is_passed_over():
    dear = _model("Dear", "novita", priority=90)

    choice = _choose((*MODELS, dear), providers={"fal": READY, "novita": NOT_CONFIGURED})

    assert choice.model is SEEDREAM


def test_an_adopted_model_without_tasks_serves_every_task():
    adopted = _model("Adopted", priority=99, i2i=True, tasks=None)

    assert _choose((*MODELS, adopted)).model is adopted
    assert _choose((*MODELS, adopted), match=True).model is adopted


def test_a_model_that_lists_the_task_without_the_ability_is_not_used_for_matching():
    boastful = _model("Boastful", priority=99, tasks=("i2i",))

    choice = _choose((*MODELS, boastful), match=True)

    assert choice.model is EDIT


def test_switched_off_and_video_models_are_never_chosen():
    off = _model("Off", priority=50, is_active=False)
    video = _model("Video", priority=60, modality="video")

    choice = _choose((*MODELS, off, video))

    assert choice.model is SEEDREAM


def test_equal_priorities_give_the_same_choice_in_any_order():
    models = [_model(name, priority=5) for name in ("Cedar", "Ash", "Birch")]

    chosen = set()
    for seed in range(20):
        Random(seed).shuffle(models)
        chosen.add(_choose(models).model.display_name)

    assert chosen == {"Ash"}


def test_sketch_draws_where_no_provider_is_set_up():
    choice = _choose(providers={"fal": NOT_CONFIGURED})

    assert choice.model is SKETCH
    assert "No provider of images is set up" in choice.reason


def test_sketch_is_never_a_fallback_for_a_paused_provider():
    with pytest.raises(NoModel) as nobody:
        _choose(providers={"fal": PAUSED})

    assert nobody.value.reason == "NO_IMAGE_MODEL"
    assert str(nobody.value) == "fal is paused: its balance is empty."


def test_sketch_is_never_a_fallback_where_all_models_are_switched_off():
    with pytest.raises(NoModel) as nobody:
        _choose((SKETCH, _model("Off", is_active=False)))

    assert nobody.value.reason == "NO_IMAGE_MODEL"


def test_sketch_never_wins_by_a_priority_somebody_gave_it():
    choice = _choose((_model("Sketch", "sketch", priority=100), FLUX))

    assert choice.model is FLUX


def test_sketch_serves_when_chosen_by_name():
    choice = _choose(chosen=SKETCH.id)

    assert choice.model is SKETCH
    assert choice.reason == "Sketch was chosen by name."


def test_a_test_portrait_is_drawn_by_sketch_whatever_is_configured():
    choice = _choose(test=True, chosen=FLUX.id)

    assert choice.model is SKETCH
    assert "costs nothing" in choice.reason


def test_a_test_portrait_with_sketch_switched_off_says_so():
    with pytest.raises(NoModel, match="switched off"):
        _choose((SEEDREAM,), test=True)


def test_the_chosen_model_serves_even_below_the_best():
    assert _choose(chosen=FLUX.id).model is FLUX


@pytest.mark.parametrize(
    "model",
    [_model("Off", is_active=False), _model("Video", modality="video"), _model("Chat", modality="chat")],
    ids=["switched off", "video", "chat"],
)
def test_a_chosen_model_that_cannot_serve_is_refused(model):
    with pytest.raises(NoSuchModel) as refusal:
        _choose((*MODELS, model), chosen=model.id)

    assert (refusal.value.reason, refusal.value.status) == ("MODEL_UNAVAILABLE", 400)


def test_a_model_that_does_not_exist_is_refused():
    with pytest.raises(NoSuchModel):
        _choose(chosen=ModelId(uuid4()))


def test_a_chosen_model_that_follows_no_reference_is_refused_in_match_mode():
    with pytest.raises(NoSuchModel, match="turn image match off"):
        _choose(chosen=FLUX.id, match=True)


def test_a_chosen_model_that_needs_a_reference_is_refused_without_one():
    with pytest.raises(NoSuchModel, match="Turn image match on"):
        _choose(chosen=EDIT.id)


def test_a_chosen_model_of_an_absent_provider_is_refused_with_the_reason():
    with pytest.raises(NoSuchModel, match="fal is not set up: it has no key here"):
        _choose(chosen=FLUX.id, providers={"fal": NOT_CONFIGURED})


def test_a_chosen_model_of_a_paused_provider_says_why_and_when_to_come_back():
    paused = replace(PAUSED, seconds=90.0)

    with pytest.raises(ProviderPaused, match="fal is paused: its balance is empty") as refusal:
        _choose(chosen=FLUX.id, providers={"fal": paused})

    assert (refusal.value.status, refusal.value.retry_after) == (503, 90.0)


def test_the_reason_names_the_better_model_whose_provider_is_paused():
    choice = _choose(match=True, providers={"fal": PAUSED, "replicate": READY})

    assert choice.reason.endswith("would come before it, but fal is paused: its balance is empty.")


def test_no_model_for_matching_has_its_own_code():
    with pytest.raises(NoModel) as nobody:
        _choose((SEEDREAM, FLUX, SKETCH), match=True)

    assert (nobody.value.reason, nobody.value.status) == ("NO_I2I_MODEL", 503)


def test_matching_without_any_provider_is_not_given_to_sketch():
    with pytest.raises(NoModel) as nobody:
        _choose(match=True, providers={})

    assert nobody.value.reason == "NO_I2I_MODEL"


def test_the_models_that_could_serve_are_listed_best_first():
    able = serving(MODELS, match=False, providers=FAL)

    assert [model.display_name for model in able] == ["Seedream", "FLUX"]


def test_a_model_that_can_be_chosen_has_nothing_against_it():
    assert why_not(SEEDREAM, match=False, providers=FAL) == ""


def test_what_stands_against_a_model_is_a_sentence():
    assert "has no key here" in why_not(KONTEXT, match=True, providers=FAL)
    assert "cannot follow a reference image" in why_not(SEEDREAM, match=True, providers=FAL)


@pytest.mark.parametrize(
    ("provider", "name"), [("fal", "fal"), ("runpod", "RunPod"), ("sketch", "Sketch"), ("chat", "Chat")]
)
def test_a_sentence_writes_a_provider_as_it_writes_itself(provider, name):
    assert provider_name(provider) == name
