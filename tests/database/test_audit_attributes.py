"""The dashboard's questions about attribute images, on rows made through the use cases."""

from decimal import Decimal

import pytest

from core import attributes
from core.audit import attributes as audit
from core.errors import NotAllowed
from core.values import Cell, Role
from tests import builders

STOCKY = Cell(category="body", value="Stocky", style="anime")


@pytest.fixture
def pia(services):
    return builders.a_person(services.db, "pia", Role.product)


def make(services, pia, *, again=False):
    flux = builders.one(services.db, "SELECT id FROM api_models WHERE model_key = 'fal-ai/flux/dev'")
    if again:
        attributes.regenerate([STOCKY], pia, services, model_id=flux)
    else:
        attributes.generate(pia, services, cells=[STOCKY], model_id=flux, limit_usd=Decimal(1))
    builders.work(services)


def test_coverage_runs_and_versions_tell_one_story(services, pia):
    make(services, pia)
    make(services, pia, again=True)

    with services.db.as_reader(pia) as conn:
        [covered] = audit.coverage(conn)
        newest, first = audit.runs(conn)
        [version] = audit.versions(conn, STOCKY)

    assert (covered.category, covered.style, covered.pending, covered.cost_usd) == (
        "body",
        "anime",
        2,  # its own row and its alias'
        Decimal("0.025000"),
    )
    assert (first.kind, first.limit_usd, first.asked, first.done) == ("generate", Decimal("1.000000"), 1, 1)
    assert (newest.kind, newest.spent_usd, newest.unknown_costs) == ("regenerate", Decimal("0.025000"), 0)
    assert (version.why, version.review_status) == ("replaced", "pending")


def test_an_editor_sees_no_runs(services, pia, ana):
    make(services, pia)

    with services.db.as_reader(ana) as conn:
        seen = audit.runs(conn)

    assert seen == []


def test_a_reader_changes_nothing(services, pia):
    with pytest.raises(NotAllowed), services.db.as_reader(pia) as conn:
        conn.execute("SELECT studio.begin_attribute_run(gen_random_uuid(), 'generate', NULL)")
