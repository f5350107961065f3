"""Product's review of attribute images, and what the create page offers of the approved ones."""

from __future__ import annotations

import pytest

from core import attributes, reviews
from core.errors import BadRequest, Conflict, NotAllowed, NotFound
from core.values import STYLE_IMAGE, Cell, ReviewStatus, Role
from tests import builders
from tests.builders import one, rows

STOCKY = Cell(category="body", value="Stocky", style="anime")
TWENTIES = Cell(category="age", value="20s", style="realistic")
ANIME = Cell(category=STYLE_IMAGE, value="anime", style="anime")


@pytest.fixture
def pia(services):
    """Product."""
    return builders.a_person(services.db, "pia", Role.product)


@pytest.fixture
def flux(services, pia):
    return one(services.db, "SELECT id FROM api_models WHERE model_key = 'fal-ai/flux/dev'")


@pytest.fixture
def made(services, pia, flux):
    """Makes cells and returns the address of the first one's picture."""

    def make(*cells, again=False):
        ask = attributes.regenerate if again else attributes.generate
        ask(cells, pia, services, model_id=flux) if again else ask(pia, services, cells=cells, model_id=flux)
        builders.work(services)
        return picture_of(services, pia, cells[0]).image_url

    return make


def picture_of(services, person, cell):
    found = next(one for one in attributes.status(person, services).cells if one.cell == cell)
    assert found.picture is not None
    return found.picture


@pytest.mark.parametrize("cell", [STOCKY, ANIME])
def test_an_approved_picture_says_by_whom_and_when(services, pia, made, cell):
    image = made(cell)

    reviews.review(cell, ReviewStatus.approved, pia, services, image_url=image, note=" good \n light ")

    picture = picture_of(services, pia, cell)
    assert (picture.review_status, picture.review_note) == (ReviewStatus.approved, "good light")
    assert picture.reviewed_by == pia.id
    assert picture.reviewed_at is not None


def test_the_rows_of_older_names_are_judged_with_the_picture_they_show(services, pia, made):
    image = made(STOCKY)

    judged = reviews.review(STOCKY, ReviewStatus.approved, pia, services, image_url=image)

    assert judged == 2
    assert rows(services.db, "SELECT DISTINCT review_status FROM attribute_images") == [("approved",)]


def test_a_rejection_says_what_is_wrong(services, pia, made):
    image = made(STOCKY)

    with pytest.raises(BadRequest, match="what is wrong"):
        reviews.review(STOCKY, ReviewStatus.rejected, pia, services, image_url=image, note=" \x00 ")

    assert picture_of(services, pia, STOCKY).review_status is ReviewStatus.pending


def test_a_newer_picture_is_not_approved_unseen(services, pia, made):
    seen = made(STOCKY)
    made(STOCKY, again=True)

    with pytest.raises(Conflict, match="newer picture"):
        reviews.review(STOCKY, ReviewStatus.approved, pia, services, image_url=seen)

    assert picture_of(services, pia, STOCKY).review_status is ReviewStatus.pending


def test_what_is_not_there_is_not_judged(services, pia):
    unknown = Cell(category="body", value="Winged", style="anime")

    with pytest.raises(NotFound):
        reviews.review(STOCKY, ReviewStatus.approved, pia, services, image_url="assets/x.jpg")
    with pytest.raises(BadRequest):
        reviews.review(unknown, ReviewStatus.approved, pia, services, image_url="assets/x.jpg")


@pytest.mark.parametrize("role", [Role.editor, Role.qa])
def test_only_product_and_admin_judge(services, made, role):
    image = made(STOCKY)
    other = builders.a_person(services.db, "other", role)

    with pytest.raises(NotAllowed):
        reviews.review(STOCKY, ReviewStatus.approved, other, services, image_url=image)
    with pytest.raises(NotAllowed), services.db.as_user(other) as conn:
        conn.execute(
            "SELECT studio.review_attribute_image('body', '{Stocky}', 'anime', %s, 'approved', '')", (image,)
        )


def test_a_verdict_is_recorded_with_what_stood_before(services, pia, made):
    image = made(TWENTIES)

    reviews.review(TWENTIES, ReviewStatus.rejected, pia, services, image_url=image, note="too dark")

    who, before, after, why = one(
        services.db,
        "SELECT who, before, after, why FROM studio.audit_events WHERE action = 'attribute_image_reviewed'",
    )
    assert (who, why) == (pia.id, "too dark")
    assert {row["review"] for row in before["rows"]} == {"pending"}
    assert (after["value"], after["review"]) == ("20s", "rejected")


def test_the_create_page_offers_every_option_and_shows_only_approved_pictures(services, ana, pia, made):
    approved = made(TWENTIES)
    made(STOCKY)
    reviews.review(TWENTIES, ReviewStatus.approved, pia, services, image_url=approved)

    groups = reviews.looks(ana, services)

    assert [group.key for group in groups] == [STYLE_IMAGE, "age", "body", "ethnicity"]
    assert [len(group.looks) for group in groups] == [2, 7, 7, 7]
    assert all(look.tags for group in groups for look in group.looks)
    shown = {look.value: look.pictures for group in groups for look in group.looks if look.pictures}
    assert list(shown) == ["20s"]
    assert shown["20s"]["realistic"].startswith("/files/assets/attribute-images/age/20s-realistic-")


def test_a_customer_of_the_platform_is_offered_nothing(services, customer):
    with pytest.raises(NotAllowed):
        reviews.looks(customer, services)


@pytest.mark.parametrize(
    "address", ["https://elsewhere.example/x.jpg", "user-library/somebody/x.png", "assets/../x", ""]
)
def test_a_row_that_names_no_object_of_ours_shows_no_picture(services, ana, pia, made, address):
    made(TWENTIES)
    with services.db.as_service() as conn:
        conn.execute("UPDATE attribute_images SET image_url = %s, review_status = 'approved'", (address,))

    [age] = [group for group in reviews.looks(ana, services) if group.key == "age"]

    assert [look.value for look in age.looks if look.pictures] == []
