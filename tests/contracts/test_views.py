"""Views of the dashboard under a name: kept, shared, renamed and deleted by their owner, and by nobody else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core import views
from core.errors import BadRequest, Conflict, NotAllowed, NotFound
from core.values import Role
from tests.builders import a_person, rows


@pytest.fixture
def qa(services):
    return a_person(services.db, "quinn", Role.qa)


@pytest.fixture
def product(services):
    return a_person(services.db, "pru", Role.product)


def keep(services, person, name="My failures", *, address="q=status%3Afailed", shared=False):
    return views.save("jobs", name, address, person, services, shared=shared)


def names(services, person, page="jobs"):
    return [one.name for one in views.of_page(page, person, services)]


def test_a_view_holds_a_page_s_whole_address_but_not_a_place_in_its_list(services, qa):
    address = views.address_of(
        [("q", "status:failed"), ("status", "Failed"), ("status", "Queued"), ("before", "x~1"), ("job", "y")]
    )
    keep(services, qa, address=address)

    [view] = views.of_page("jobs", qa, services)

    assert views.parameters_of(view) == [("q", "status:failed"), ("status", "Failed"), ("status", "Queued")]


def test_one_s_own_view_is_one_s_own_until_it_is_shared(services, qa, product):
    kept = keep(services, qa)
    assert names(services, product) == []

    views.change(kept.id, "My failures", qa, services, shared=True)

    assert names(services, product) == ["My failures"]
    assert names(services, qa, "costs") == []


def test_a_view_of_the_same_name_takes_the_other_s_place(services, qa):
    first = keep(services, qa)

    second = keep(services, qa, "my FAILURES", address="q=x")

    assert (second.id, second.replaced) == (first.id, True)
    assert [(one.name, one.address) for one in views.of_page("jobs", qa, services)] == [
        ("my FAILURES", "q=x")
    ]


def test_two_people_may_use_one_name(services, qa, product):
    keep(services, qa, shared=True)
    keep(services, product)

    assert names(services, product) == ["My failures", "My failures"]


def test_only_the_owner_changes_or_deletes_a_shared_view(services, qa, product):
    kept = keep(services, qa, shared=True)

    with pytest.raises(NotFound):
        views.change(kept.id, "Mine now", product, services, shared=False)
    with pytest.raises(NotFound):
        views.remove(kept.id, product, services)
    views.remove(kept.id, qa, services)

    assert names(services, qa) == []


def test_a_name_is_asked_for_and_has_a_length(services, qa):
    with pytest.raises(BadRequest, match="Give the view a name"):
        keep(services, qa, "  ")
    with pytest.raises(BadRequest, match="at most 60"):
        keep(services, qa, "x" * 61)


def test_a_view_is_not_renamed_to_another_one_s_name(services, qa):
    keep(services, qa, "One")
    two = keep(services, qa, "Two")

    with pytest.raises(Conflict, match="another view of this name"):
        views.change(two.id, "one", qa, services, shared=False)


def test_a_person_keeps_so_many_views_and_no_more(services, qa):
    with services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO studio.saved_views (owner, name, page) SELECT %s, 'view ' || g, 'jobs' FROM generate_series(1, 200) g",
            (qa.id,),
        )

    with pytest.raises(Exception, match="as many as one person may"):
        keep(services, qa)
    assert keep(services, qa, "View 7").replaced


def test_a_customer_of_the_platform_keeps_none_and_sees_none(services, qa, customer):
    keep(services, qa, shared=True)

    with pytest.raises(NotAllowed):
        keep(services, customer)
    with pytest.raises(NotAllowed):
        names(services, customer)


def test_the_database_itself_refuses_strangers_and_every_write_past_its_functions(services, qa, customer):
    kept = keep(services, qa, shared=True)

    with pytest.raises(NotAllowed), services.db.as_user(customer) as conn:
        conn.execute("SELECT studio.save_view('jobs', 'x', '', true)")
    for statement in (
        "UPDATE studio.saved_views SET name = 'x'",
        "DELETE FROM studio.saved_views",
        "INSERT INTO studio.saved_views (owner, name, page) VALUES (gen_random_uuid(), 'x', 'jobs')",
    ):
        with pytest.raises(NotAllowed), services.db.as_user(qa) as conn:
            conn.execute(statement)
    with pytest.raises(NotFound), services.db.as_user(replace(qa, id=customer.id)) as conn:
        conn.execute("SELECT studio.remove_view(%s)", (kept.id,))


def test_what_was_done_with_views_is_recorded_without_their_names(services, qa):
    kept = keep(services, qa, "Of Juniper Vale")
    views.change(kept.id, "Of somebody", qa, services, shared=True)
    views.remove(kept.id, qa, services)

    told = rows(
        services.db, "SELECT action, who, before::text, after::text FROM studio.audit_events ORDER BY id"
    )

    assert [one[0] for one in told] == ["view_saved", "view_changed", "view_removed"]
    assert {one[1] for one in told} == {qa.id}
    assert "Juniper" not in repr(told)
    assert "somebody" not in repr(told)
