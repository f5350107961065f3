"""The test portrait: one Sketch job through the whole product for everybody with a role, and out of the way again."""

from __future__ import annotations

import pytest

from core import library, trial
from core.errors import NoModel, NotAllowed, NotFound
from core.trial import StepState
from core.values import Role
from tests.builders import a_character, a_finished_portrait, a_person, one, rows, work


def states(seen):
    return [step.state for step in seen.steps]


@pytest.mark.parametrize("role", list(Role))
def test_whoever_has_a_role_sees_each_step_come_about(services, role):
    person = a_person(services.db, "tess", role)
    job_id = trial.begin(person, services)
    waiting = trial.stand(job_id, person, services)
    assert set(states(waiting)) == {StepState.waiting}
    assert not waiting.is_over

    work(services)
    seen = trial.stand(job_id, person, services)

    assert seen.went_well, seen.steps
    assert [step.title for step in seen.steps] == [
        "The job is completed",
        "Its image is in the library",
        "The library row is a character portrait",
        "It is the character's primary portrait",
        "The character shows it",
    ]
    assert seen.seconds is not None
    assert one(services.db, "SELECT who FROM studio.audit_events WHERE action = 'test_portrait'") == person.id
    assert one(services.db, "SELECT sum(amount_usd) FROM studio.cost_entries") == 0


def test_afterwards_nothing_of_it_is_seen_and_it_says_where_it_is(services):
    person = a_person(services.db, "quinn", Role.qa)
    job_id = trial.begin(person, services)
    work(services)

    said = trial.remove(job_id, person, services)
    again = trial.remove(job_id, person, services)

    assert said == again
    assert "7 days" in said
    assert rows(services.db, "SELECT id FROM public.characters WHERE deleted_at IS NULL") == []
    assert rows(services.db, "SELECT id FROM public.character_portraits WHERE deleted_at IS NULL") == []
    assert rows(services.db, "SELECT id FROM public.user_library WHERE deleted_at IS NULL") == []
    assert one(services.db, "SELECT status FROM public.jobs") == "completed"
    assert trial.stand(job_id, person, services).is_removed


def test_one_that_never_began_is_cancelled_and_cleared_away(services):
    person = a_person(services.db, "quinn", Role.qa)
    job_id = trial.begin(person, services)

    trial.remove(job_id, person, services)

    assert one(services.db, "SELECT status FROM public.jobs") == "cancelled"
    assert rows(services.db, "SELECT id FROM public.characters WHERE deleted_at IS NULL") == []


def test_a_step_that_does_not_come_about_is_named(services):
    person = a_person(services.db, "quinn", Role.qa)
    job_id = trial.begin(person, services)
    work(services)
    path = one(services.db, "SELECT storage_path FROM public.user_library")
    services.storage.delete("user-library", path)

    seen = trial.stand(job_id, person, services)

    lacking = [step for step in seen.steps if step.state is not StepState.done]
    assert [step.title for step in lacking] == ["Its image is in the library"]
    assert "the file is not" in lacking[0].detail


def test_a_job_that_fails_fails_the_steps_behind_it(services):
    person = a_person(services.db, "quinn", Role.qa)
    job_id = trial.begin(person, services)
    with services.db.as_service() as conn:
        conn.execute("UPDATE public.jobs SET status = 'failed', error_message = 'It broke.'")

    seen = trial.stand(job_id, person, services)

    assert seen.is_over
    assert set(states(seen)) == {StepState.failed}
    assert seen.steps[0].detail == "It broke."


def test_a_customer_makes_none(services, customer):
    with pytest.raises(NotAllowed):
        trial.begin(customer, services)

    assert rows(services.db, "SELECT id FROM public.characters") == []


def test_only_ones_own_test_portrait_is_looked_at_or_cleared_away(services, ana, ben):
    job_id = trial.begin(ana, services)
    with pytest.raises(NotFound):
        trial.stand(job_id, ben, services)
    with pytest.raises(NotFound):
        trial.remove(job_id, ben, services)

    assert one(services.db, "SELECT status FROM public.jobs") == "queued"


def test_a_real_portrait_is_never_cleared_away(services, ana):
    character = a_character(ana, services)
    real = a_finished_portrait(ana, services, character)

    with pytest.raises(NotFound):
        trial.remove(real.job.id, ana, services)

    assert library.page(library.Wanted(), ana, services).items


def test_without_sketch_it_says_so_and_makes_nothing(services, ana):
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE public.api_models SET is_active = false WHERE provider_id IN"
            " (SELECT id FROM public.api_providers WHERE name = 'sketch')"
        )

    with pytest.raises(NoModel):
        trial.begin(ana, services)

    assert rows(services.db, "SELECT id FROM public.characters") == []
