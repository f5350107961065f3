"""The queue panel: whose turn it is, and what one person learns of another's pictures."""

from __future__ import annotations

import pytest

from core import attributes, generation, line
from core.db import jobs
from core.errors import NotAllowed, TooMany
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


# ---- how many wait

MOST = 5000  # whatever MAX_WAITING says, and whoever calls the database


def stand_in_line(services, person, count):
    """Jobs of ours that wait, written as rows alone: nothing of the queue is asked here."""
    with services.db.as_service() as conn:
        conn.execute(
            "SET LOCAL session_replication_role = replica"
        )  # no trigger is needed for what only counts
        conn.execute(
            """INSERT INTO jobs (user_id, job_type, status, original_prompt, metadata, runner, stage)
               SELECT %s, 'character_portrait', 'queued', 'x', '{}', 'studio', 'waiting' FROM generate_series(1, %s)""",
            (person.id, count),
        )


def test_nobody_has_more_than_five_thousand_waiting_whoever_asks_and_whatever_they_say(build, ana, ben):
    services = build(max_waiting=MOST)
    character = a_character(ana, services)
    stand_in_line(services, ana, MOST - 1)

    last = generation.request(a_request(character), ana, services)
    with pytest.raises(TooMany) as refused:
        generation.request(a_request(character), ana, services)
    plan = generation.preview(a_request(character), ana, services)
    with pytest.raises(TooMany), services.db.as_user(ana) as conn:
        jobs.ask(
            conn, character_id=character.id, model_id=plan.model.id, prompt="x", metadata={}, width=512, height=512,
            idempotency_key=None, retried_from=None, max_waiting=MOST * 10,
        )  # fmt: skip

    assert "5000 pictures waiting" in refused.value.sentence
    assert refused.value.status == 429
    assert builders.one(services.db, "SELECT count(*) FROM jobs WHERE user_id = %s", (ana.id,)) == MOST
    assert [job for _, job in builders.entries(services)] == [last.job_id]
    generation.cancel(last.job_id, ana, services)
    assert generation.request(a_request(character), ana, services).created  # one went, one may come
    assert generation.request(
        a_request(a_character(ben, services)), ben, services
    ).created  # each by themselves


def test_attribute_images_count_among_what_waits(build, ana):
    services = build(max_waiting=MOST)
    product = builders.a_person(services.db, "pia", Role.product)
    stand_in_line(services, product, MOST)

    run = attributes.generate(product, services, cells=[Cell(category="body", value="Stocky", style="anime")])

    assert [(one.job_id, "5000 pictures waiting" in one.why) for one in run.cells] == [(None, True)]
