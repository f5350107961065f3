"""The queue panel: whose turn it is, and what one person learns of another's pictures."""

from __future__ import annotations

import pytest

from core import attributes, generation, line
from core.errors import NotAllowed
from core.values import Cell, Person, PersonId, Role
from tests import builders
from tests.builders import a_character, a_finished_portrait, a_request, work


@pytest.fixture
def waiting(services, ana):
    character = a_character(ana, services, name="Juniper Vale")
    asked = [
        generation.request(a_request(character, own_words=f"number {n}"), ana, services) for n in range(3)
    ]
    return [one.job_id for one in asked]


def test_those_that_wait_stand_in_their_order(services, ana, waiting):
    seen = line.line_for(ana, services)

    assert [job.place for job in seen.jobs] == [1, 2, 3]
    assert {job.id for job in seen.jobs} == set(waiting)
    assert {(job.title, job.stage_words, job.mine, job.can_cancel) for job in seen.jobs} == {
        ("Juniper Vale", "Waiting", True, True)
    }
    assert "number" in seen.jobs[0].prompt


def test_what_is_over_is_not_in_the_line(services, ana, waiting):
    generation.cancel(waiting[0], ana, services)
    work(services)
    a_finished_portrait(ana, services, a_character(ana, services))

    assert line.line_for(ana, services).jobs == ()


def test_of_strangers_one_learns_only_that_they_stand_there(services, ben, waiting):
    seen = line.line_for(ben, services)

    assert [(job.title, job.prompt, job.mine, job.can_cancel) for job in seen.jobs] == [
        ("Somebody else's picture", "", False, False)
    ] * len(waiting)
    assert [job.place for job in seen.jobs] == [1, 2, 3]


def test_a_colleague_who_shares_sees_the_character_and_not_the_words(build, ben, waiting):
    sharing = build(team_sharing=True)

    seen = line.line_for(ben, sharing)

    assert {(job.title, job.prompt, job.can_cancel) for job in seen.jobs} == {("Juniper Vale", "", True)}


def test_an_admin_reads_the_words_of_all(services, waiting, ana):
    admin = Person(id=PersonId(ana.id.__class__(int=5)), roles=frozenset({Role.admin}))

    seen = line.line_for(admin, services)

    assert all("number" in job.prompt and job.can_cancel for job in seen.jobs)


def test_a_line_without_a_worker_says_so(services, ana, waiting):
    assert line.line_for(ana, services).worker_lives is False


def test_a_customer_sees_no_line(services, customer, waiting):
    with pytest.raises(NotAllowed):
        line.line_for(customer, services)


def test_an_attribute_image_stands_in_the_line_under_its_own_name(services, ana):
    product = builders.a_person(services.db, "pia", Role.product)
    cell = Cell(category="body", value="Stocky", style="anime")
    attributes.generate(product, services, cells=[cell])

    [to_product] = line.line_for(product, services).jobs
    [to_editor] = line.line_for(ana, services).jobs

    assert (to_product.title, to_product.mine) == ("Attribute image: Stocky, anime", True)
    assert (to_editor.title, to_editor.prompt) == ("Attribute image: Stocky, anime", "")
