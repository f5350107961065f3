"""What ships is complete, and a damaged file is named instead of half used."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from core import catalog
from core.errors import SetupFailed
from core.values import Gender, PriceUnit

SHIPPED = Path(catalog.__file__).parent


@pytest.fixture
def folder(tmp_path):
    for file in SHIPPED.glob("*.toml"):
        shutil.copy(file, tmp_path)
    return tmp_path


def _change(folder, name, old, new):
    text = (folder / name).read_text("utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1), "utf-8")


def test_the_catalogue_is_read_once():
    assert catalog.load() is catalog.load()


def test_there_are_42_attribute_images():
    cells = list(catalog.load().cells())

    names = {(cell.category.key, cell.value.value, cell.style.key) for cell in cells}
    assert len(cells) == len(names) == 42
    assert {style for *_, style in names} == {"realistic", "anime"}


def test_an_older_name_counts_for_the_value_it_became():
    body = catalog.load().category("body")

    assert body is not None
    assert body.find("cub") is body.find("Stocky")
    assert body.find("Gigantic") is None


def test_the_eight_looks_and_six_poses_are_there():
    shipped = catalog.load()

    assert [one.key for one in shipped.style_presets] == [
        "elegant", "casual", "athletic", "glamorous", "mysterious", "gentle", "bold", "natural",
    ]  # fmt: skip
    assert [one.label for one in shipped.poses] == [
        "Standing",
        "Profile",
        "Back",
        "Sitting",
        "Lying",
        "Close-up",
    ]
    assert all(6 <= len(shipped.presets(kind)) <= 8 for kind in ("expression", "outfit", "camera"))


def test_a_preset_is_found_by_key_and_by_label():
    shipped = catalog.load()

    assert shipped.preset("pose", "close-up") is shipped.preset("pose", "Close-Up")
    assert shipped.preset("camera", "Portrait lens") is shipped.preset("camera", "portrait-lens")
    assert shipped.preset("pose", "portrait-lens") is None


def test_every_subject_is_an_adult():
    subjects = catalog.load().words.subject

    assert set(subjects) == set(Gender)
    assert all(words.split()[0] == "adult" for words in subjects.values())


@pytest.mark.parametrize("template", catalog.load().templates, ids=lambda template: template.key)
def test_a_template_could_be_published_as_it_is(template):
    assert 50 <= len(template.description) <= 500
    assert 1 <= len(template.name) <= 50
    assert max(len(template.appearance_tags), len(template.clothing_tags)) <= 20


def test_at_least_eight_templates_ship():
    assert len(catalog.load().templates) >= 8


@pytest.mark.parametrize("model", catalog.load().models, ids=lambda model: model.model_key)
def test_a_model_serves_only_what_it_can(model):
    can = model.capabilities

    assert ("i2i" not in model.default_for_tasks) or can.supports_i2i
    assert ("generation" not in model.default_for_tasks) or not can.needs_reference
    assert can.supported_formats


def test_priorities_follow_the_family():
    families = {"Seedream": 10, "FLUX": 8, "SDXL": 5, "Sketch": 0}

    found = {
        (family, model.priority)
        for model in catalog.load().models
        for family in families
        if family in model.display_name
    }

    assert found == set(families.items())


def test_contradictory_prices_stay_unknown_and_only_sketch_is_free():
    amounts = {
        (model.provider, model.model_key): {price.unit: price.amount for price in model.prices}
        for model in catalog.load().models
    }

    assert amounts["fal", "fal-ai/flux/dev"] == {PriceUnit.megapixel: Decimal("0.025")}
    assert amounts["replicate", "bytedance/seedream-4"] == {PriceUnit.image: Decimal("0.03")}
    assert amounts["fal", "fal-ai/fast-sdxl"] == {PriceUnit.image: None}
    assert amounts["fal", "fal-ai/bytedance/seedream/v4/text-to-image"] == {PriceUnit.image: None}
    free = [key for key, prices in amounts.items() if 0 in prices.values()]
    assert free == [("sketch", "sketch/placeholder")]


def test_a_shipped_folder_reads_like_the_loaded_one(folder):
    assert catalog.read(folder) == catalog.load()


DAMAGE = (
    ("models.toml", "priority = 10", 'priority = "ten"', r"models\.toml is wrong at models\.0\.priority"),
    ("models.toml", "supports_seed = true", "suports_seed = true", r"models\.0\.capabilities\.suports_seed"),
    ("models.toml", 'unit = "megapixel"', 'unit = "furlong"', r"models\.toml is wrong"),
    ("models.toml", 'amount = "0.025"', 'amount = "-1"', r"models\.toml is wrong"),
    ("models.toml", "v4/edit", "v4/text-to-image", "twice in models"),
    ("models.toml", "max_reference_images = 10", "max_reference_images = 0", "disagrees with itself"),
    ("words.toml", "adult woman", "woman", "without the word adult"),
    ("words.toml", 'male = "adult man"\n', "", "no subject for male"),
    ("words.toml", "own_words = 200", "own_words = 0", r"words\.limits\.own_words"),
    ("presets.toml", 'key = "profile"', 'key = "standing"', "twice in pose"),
    ("presets.toml", 'key = "smile"', 'key = "Smile!"', r"presets\.toml is wrong at expressions\.1\.key"),
    ("attributes.toml", 'aliases = ["Cub"]', 'aliases = ["slim"]', r"slim twice in categories\.body"),
    ("templates.toml", 'tone = "warm"', 'tone = "sulky"', r"templates\.toml is wrong at templates\.0\.tone"),
    ("templates.toml", "[[templates]]", "[[templates", r"templates\.toml is not valid TOML"),
    ("words.toml", "[words.limits]", "[words.boundaries]", r"words\.toml is wrong"),
)


@pytest.mark.parametrize(("name", "old", "new", "said"), DAMAGE)
def test_a_damaged_file_is_named_with_the_place(folder, name, old, new, said):
    _change(folder, name, old, new)

    with pytest.raises(SetupFailed, match=said):
        catalog.read(folder)


def test_a_missing_file_is_named(folder):
    (folder / "presets.toml").unlink()

    with pytest.raises(SetupFailed, match=r"presets\.toml could not be read"):
        catalog.read(folder)
