"""Options that a team adds or switches off without code (SPEC "Attribute images"): seen at once wherever options are
used, adults only, fully clothed, and refused by the database too.
"""

from __future__ import annotations

import pytest

from core import attributes, options, reviews
from core.attributes import CellState
from core.errors import BadRequest, Conflict, NotAllowed, PolicyRefused
from core.options import NewOption
from core.values import STYLE_IMAGE, Cell, ReviewStatus, Role
from tests import builders
from tests.builders import as_platform, one, rows

NINETIES = NewOption(
    category="age",
    value="90s",
    label="90s",
    words="an adult in their nineties, white hair",
    aliases=("90-99",),
)
WIRY = Cell(category="body", value="Wiry", style="anime")


@pytest.fixture
def pia(services):
    """Product."""
    return builders.a_person(services.db, "pia", Role.product)


def option(**values):
    return NewOption(
        **({"category": "body", "value": "Wiry", "label": "Wiry", "words": "wiry build"} | values)
    )


def state_of(cell, person, services):
    return next((one for one in attributes.status(person, services).cells if one.cell == cell), None)


def test_an_added_value_is_wanted_in_every_style_at_once(services, pia):
    before = len(attributes.status(pia, services).cells)

    added = options.add(NINETIES, pia, services)

    found = attributes.status(pia, services).cells
    assert len(found) == before + 2
    assert {one.state for one in found if one.cell.value == "90s"} == {CellState.missing}
    assert (added.label, added.is_shipped, added.active) == ("90s", False, True)


def test_an_added_value_is_made_approved_and_offered_on_the_create_page(services, pia, ana):
    options.add(option(aliases=("Lean",), tags=("wiry build", "lean")), pia, services)
    flux = one(services.db, "SELECT id FROM api_models WHERE model_key = 'fal-ai/flux/dev'")

    attributes.generate(pia, services, cells=[WIRY], model_id=flux)
    builders.work(services)
    picture = state_of(WIRY, pia, services).picture
    reviews.review(WIRY, ReviewStatus.approved, pia, services, image_url=picture.image_url)

    body = next(one for one in reviews.looks(ana, services) if one.key == "body")
    wiry = next(one for one in body.looks if one.value == "Wiry")
    assert wiry.tags == ("wiry build", "lean")
    assert set(wiry.pictures) == {"anime"}
    assert ("Lean",) in rows(services.db, "SELECT value FROM attribute_images")
    prompt = one(services.db, "SELECT original_prompt FROM jobs")
    assert "wiry build" in prompt
    assert "fully clothed" in prompt


def test_an_added_style_is_wanted_for_every_value_and_for_itself(services, pia):
    values = sum(len(one.values) for one in services.catalog.categories)

    options.add(option(category="style", value="watercolour", words="watercolour painting"), pia, services)

    added = [one.cell for one in attributes.status(pia, services).cells if one.cell.style == "watercolour"]
    assert len(added) == values + 1
    assert Cell(category=STYLE_IMAGE, value="watercolour", style="watercolour") in added


@pytest.mark.parametrize("category", ["age", "body"])
def test_what_is_switched_off_is_not_required_and_not_offered_until_it_is_on_again(
    services, pia, ana, category
):
    value = {"age": "20s", "body": "Slim"}[category]
    everything = len(attributes.status(pia, services).cells)

    assert options.switch(category, value, pia, services, active=False, why="not in this season")
    assert not options.switch(category, value, pia, services, active=False)

    assert len(attributes.status(pia, services).cells) == everything - 2
    with services.db.as_reader(pia) as conn:
        whole = attributes.read_matrix(conn, services, whole=True)
    assert whole.count(CellState.not_required) == 2
    shown = next(one for one in reviews.looks(ana, services) if one.key == category)
    assert value not in {one.value for one in shown.looks}
    assert options.switch(category, value, pia, services, active=True)
    assert len(attributes.status(pia, services).cells) == everything


def test_a_picture_of_an_option_that_was_switched_off_meanwhile_still_arrives(services, pia):
    flux = one(services.db, "SELECT id FROM api_models WHERE model_key = 'fal-ai/flux/dev'")
    slim = Cell(category="body", value="Slim", style="anime")
    attributes.generate(pia, services, cells=[slim], model_id=flux)
    options.switch("body", "Slim", pia, services, active=False)

    builders.work(services)

    assert {found for (found,) in rows(services.db, "SELECT value FROM attribute_images")} == {
        "Slim",
        "Slender",
    }


@pytest.mark.parametrize(
    "values",
    [
        {"category": "age", "value": "10s"},
        {"category": "age", "value": "18-19"},
        {"category": "age", "value": "Teen"},
        {"category": "age", "value": "young", "words": "nineteen years old"},
        {"category": "age", "value": "90s", "aliases": ("15",)},
        {"category": "body", "value": "Petite", "words": "schoolgirl build"},
        {"category": "body", "value": "Small", "tags": ("childlike",)},
        {"category": "style", "value": "loli", "words": "loli anime"},
        {"category": "body", "value": "Tall", "words": "t e e n build"},
    ],
)
def test_an_option_that_could_show_a_minor_is_refused(services, pia, values):
    with pytest.raises(PolicyRefused) as refused:
        options.add(option(**values), pia, services)

    assert refused.value.reason == "POLICY_MINOR"
    assert rows(services.db, "SELECT * FROM studio.attribute_options") == []


@pytest.mark.parametrize("words", ["nude figure", "in lingerie", "bare-chested", "Topless build"])
def test_an_option_that_is_not_clothed_is_refused(services, pia, words):
    with pytest.raises(PolicyRefused) as refused:
        options.add(option(words=words), pia, services)

    assert refused.value.reason == "POLICY_CLOTHED"


@pytest.mark.parametrize(
    ("words", "code"), [("teenage build", "POLICY_MINOR"), ("naked figure", "POLICY_CLOTHED")]
)
def test_the_database_refuses_such_an_option_too(services, pia, words, code):
    with pytest.raises(PolicyRefused) as refused, services.db.as_user(pia) as conn:
        conn.execute("SELECT studio.add_attribute_option('body', 'X', 'X', %s, '{}', '{}')", (words,))

    assert refused.value.reason == code


def test_a_row_that_somebody_wrote_past_the_rules_is_left_out(services, pia):
    with services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO studio.attribute_options (category, value, label, prompt_words, added_by, changed_by)"
            " VALUES ('age', '10s', '10s', 'in their teens', %(who)s, %(who)s)",
            {"who": pia.id},
        )

    assert "10s" not in {one.cell.value for one in attributes.status(pia, services).cells}


@pytest.mark.parametrize(
    "values",
    [
        {"value": "Slim"},
        {"value": "cub"},  # an older name of Stocky
        {"value": "Wiry2", "aliases": ("Fit",)},
        {"category": "style", "value": "anime"},
    ],
)
def test_a_name_that_is_taken_is_refused(services, pia, values):
    with pytest.raises(Conflict) as refused:
        options.add(option(**values), pia, services)

    assert refused.value.reason == "OPTION_EXISTS"


def test_a_name_that_the_team_has_added_already_is_refused_by_the_database(services, pia):
    options.add(option(aliases=("Lean",)), pia, services)

    for value in ("Wiry", "WIRY", "lean"):
        with pytest.raises(Conflict, match="of that name already"):
            options.add(option(value=value), pia, services)


@pytest.mark.parametrize(
    "values",
    [
        {"category": "mood"},
        {"value": "  "},
        {"value": "x" * 41},
        {"value": "a/b"},
        {"words": ""},
        {"words": "w" * 201},
        {"category": "style", "value": "Oil Paint"},
        {"aliases": tuple(f"name {n}" for n in range(11))},
    ],
)
def test_a_form_that_is_not_filled_in_says_which_part(services, pia, values):
    with pytest.raises(BadRequest) as refused:
        options.add(option(**values), pia, services)

    assert refused.value.field


def test_the_last_style_cannot_be_switched_off(services, pia):
    options.switch("style", "anime", pia, services, active=False)

    with pytest.raises(BadRequest, match="last one"):
        options.switch("style", "realistic", pia, services, active=False)


@pytest.mark.parametrize("role", [Role.editor, Role.qa])
def test_only_product_and_admin_add_and_switch(services, dsn, role):
    other = builders.a_person(services.db, "other", role)

    with pytest.raises(NotAllowed):
        options.add(NINETIES, other, services)
    with pytest.raises(NotAllowed):
        options.switch("age", "20s", other, services, active=False)
    with pytest.raises(NotAllowed), services.db.as_user(other) as conn:
        conn.execute("SELECT studio.switch_attribute_option('age', '20s', false, '')")
    with pytest.raises(NotAllowed), services.db.as_user(other) as conn:
        conn.execute("SELECT studio.add_attribute_option('age', '90s', '90s', 'an adult', '{}', '{}')")
    assert rows(services.db, "SELECT * FROM studio.attribute_options") == []


def test_a_customer_of_the_platform_reads_no_options(services, dsn, pia, customer):
    options.add(NINETIES, pia, services)

    with as_platform(dsn, "authenticated", customer) as conn:
        assert conn.execute("SELECT * FROM studio.attribute_options").fetchall() == []


def test_what_is_added_and_switched_is_recorded(services, pia):
    options.add(NINETIES, pia, services)
    options.switch("age", "90s", pia, services, active=False, why=" not \x00 yet ")

    told = rows(
        services.db,
        "SELECT who, action, row_id, after, why FROM studio.audit_events WHERE table_name = 'attribute_options' ORDER BY id",
    )
    assert [(who, action, row) for who, action, row, _, _ in told] == [
        (pia.id, "attribute_option_added", "age/90s"),
        (pia.id, "attribute_option_switched", "age/90s"),
    ]
    assert told[1][3:] == ({"active": False}, "not yet")
