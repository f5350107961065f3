"""Attribute images from the question to the published picture (SPEC "Attribute images"), against the emulator and a
real Postgres.
"""

from __future__ import annotations

import contextlib
import io
import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest
import typer
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from core import (
    attributes,
    attributes_cli,
    budgets,
    cleaning,
    generation,
    publishing,
    queue,
    recovery,
    running,
)
from core.attributes import CellState
from core.db import attributes as rows_of
from core.db import jobs
from core.db.attributes import AskOutcome
from core.errors import BadRequest, BudgetSpent, Conflict, NotAllowed, NotFound, StudioError
from core.recovery import Action
from core.storage import ATTRIBUTE_ORIGINALS, PUBLIC_ASSETS, WORKSPACE
from core.values import STYLE_IMAGE, Cell, JobStatus, ReviewStatus, Role
from tests import builders
from tests.builders import one, rows

SLIM = Cell(category="body", value="Slim", style="anime")
STOCKY = Cell(category="body", value="Stocky", style="anime")
TWENTIES = Cell(category="age", value="20s", style="realistic")
ANIME = Cell(category=STYLE_IMAGE, value="anime", style="anime")
FEW = (SLIM, STOCKY, TWENTIES)


@pytest.fixture
def pia(services):
    """Product."""
    return builders.a_person(services.db, "pia", Role.product)


@pytest.fixture
def quinn(services):
    """QA."""
    return builders.a_person(services.db, "quinn", Role.qa)


@pytest.fixture
def flux(services, pia):
    """A model with a known price of $0.025 a megapixel."""
    return one(services.db, "SELECT id FROM api_models WHERE model_key = 'fal-ai/flux/dev'")


@pytest.fixture
def make(services, pia, flux):
    """Makes cells, worker and all."""

    def make(*cells, again=False, **how):
        ask = attributes.regenerate if again else attributes.generate
        how = {"model_id": flux} | how
        run = ask(cells, pia, services, **how) if again else ask(pia, services, cells=cells, **how)
        builders.work(services)
        return run

    return make


def state_of(cell, person, services):
    return next(found for found in attributes.status(person, services).cells if found.cell == cell)


def outcomes(run):
    return [one.outcome for one in run.cells]


def a_row(services, cell, **columns):
    """A row as the platform's script writes it."""
    with services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO attribute_images (category, value, style, image_url, review_status) VALUES (%s, %s, %s, %s, %s)",
            (
                cell.category,
                columns.get("value", cell.value),
                cell.style,
                columns.get("image_url", "https://project.example/old.jpg"),
                columns.get("review", "approved"),
            ),
        )


# ---- one cell, whole


def test_a_missing_cell_is_made_published_and_waits_for_its_review(services, pia, make, fal):
    run = make(STOCKY)

    found = state_of(STOCKY, pia, services)
    picture = found.picture
    bucket, _, path = picture.image_url.partition("/")
    published = Image.open(io.BytesIO(services.storage.get(bucket, path)))
    original = services.storage.get(*picture.original.split("/", 1))
    asset = one(
        services.db,
        "SELECT temp_storage_path, sha256 FROM workspace_assets WHERE job_id = %s",
        [run.cells[0].job_id],
    )
    assert (found.state, picture.review_status) == (CellState.ready, ReviewStatus.pending)
    assert (published.format, published.size) == ("JPEG", (512, 768))
    assert picture.image_url == f"{PUBLIC_ASSETS}/attribute-images/body/stocky-anime-{asset[1][:8]}.jpg"
    assert picture.original == f"{ATTRIBUTE_ORIGINALS}/body/stocky-anime-{asset[1][:8]}.png"
    assert original == services.storage.get(WORKSPACE, asset[0])
    assert picture.file_size <= 150_000
    assert fal.counts()["charged"] == 1


def test_the_request_asks_for_an_adult_with_the_safety_checker_on_two_to_three(services, make, fal):
    make(STOCKY)

    number = fal.counts()["requests"][0]["id"]
    sent = fal.request(number)["body"]
    assert sent["enable_safety_checker"] is True
    assert sent["image_size"] == {"width": 816, "height": 1224}
    assert "adult person" in sent["prompt"]
    assert "fully clothed" in sent["prompt"]


def test_a_finished_cell_fills_its_aliases_rows_at_no_cost(services, make):
    make(STOCKY)

    found = rows(
        services.db,
        "SELECT value, image_url, cost_usd, width, height FROM attribute_images ORDER BY value DESC",
    )
    assert [row[0] for row in found] == ["Stocky", "Cub"]
    assert found[0][1] == found[1][1]
    assert (found[0][2] > 0, found[1][2]) == (True, 0)
    assert {row[3:] for row in found} == {(512, 768)}


def test_one_image_a_style_is_made_too(services, pia, make):
    make(ANIME)

    picture = state_of(ANIME, pia, services).picture
    assert one(services.db, "SELECT style, width, height, review_status FROM style_images") == (
        "anime",
        512,
        768,
        "pending",
    )
    assert picture.image_url.startswith("assets/style-images/anime-")
    assert rows(services.db, "SELECT 1 FROM attribute_images") == []


def test_the_cost_of_a_run_is_known_before_and_after(services, pia, flux, make):
    plan = attributes.plan(pia, services, cells=FEW, model_id=flux)

    run = make(*FEW)

    after = attributes.progress(run.id, pia, services)
    assert plan.total_usd == 3 * plan.price == 3 * Decimal("0.025")
    assert (after.done, after.total, after.is_over) == (3, 3, True)
    assert (after.spent_usd, after.unknown_costs) == (Decimal("0.075000"), 0)


def test_the_time_before_follows_from_the_models_own_medians(services, pia, flux, make):
    before = attributes.plan(pia, services, model_id=flux).seconds
    make(*FEW)
    with services.db.as_service() as conn:
        conn.execute("UPDATE jobs SET completed_at = started_at + interval '4 seconds'")

    after = attributes.plan(pia, services, model_id=flux)

    assert before is None
    assert (len(after.cells), after.seconds) == (41, pytest.approx(5 * 4.0))


def test_every_cell_of_the_matrix_is_made_by_one_call(services, pia, flux, fal):
    run = attributes.generate(pia, services, model_id=flux)
    builders.work(services)

    matrix = attributes.status(pia, services)
    assert len(run.of(AskOutcome.asked)) == 44
    assert matrix.count(CellState.ready) == len(matrix.cells) == 44
    assert one(services.db, "SELECT count(*) FROM attribute_images WHERE cost_usd > 0") == 42
    assert fal.counts()["accepted"] == 44
    assert attributes.plan(pia, services, model_id=flux).cells == ()


# ---- once


def test_a_second_run_of_the_same_cell_is_a_no_op(services, pia, make, fal):
    make(STOCKY)

    again = make(STOCKY)

    assert outcomes(again) == [AskOutcome.ready]
    assert fal.counts()["accepted"] == 1


def test_a_cell_on_its_way_is_not_asked_for_twice(services, pia, flux):
    first = attributes.generate(pia, services, cells=[STOCKY], model_id=flux)

    second = attributes.generate(pia, services, cells=[STOCKY], model_id=flux)
    third = attributes.regenerate([STOCKY], pia, services, model_id=flux)

    assert outcomes(second) == outcomes(third) == [AskOutcome.running]
    assert second.cells[0].job_id == first.cells[0].job_id
    assert builders.entries(services) == [("portrait_fal", first.cells[0].job_id)]


def test_the_same_run_asked_for_twice_is_one_run(services, pia, make, flux):
    run_id = uuid4()
    first = make(STOCKY, again=True, run_id=run_id)

    second = make(STOCKY, again=True, run_id=run_id)

    assert outcomes(second) == [AskOutcome.asked_before]
    assert second.cells[0].job_id == first.cells[0].job_id
    with pytest.raises(Conflict):
        attributes.generate(pia, services, cells=[SLIM], model_id=flux, run_id=run_id)


def test_a_placeholder_of_sketch_counts_as_missing_and_gives_way_to_a_real_picture(services, pia, make, flux):
    sketch = one(
        services.db,
        "SELECT m.id FROM api_models m JOIN api_providers p ON p.id = m.provider_id WHERE p.name = 'sketch'",
    )
    make(STOCKY, model_id=sketch)
    alone = replace(services, providers={"sketch": services.providers["sketch"]})
    before = [state_of(STOCKY, pia, with_) for with_ in (services, alone)]
    drawn = rows(services.db, "SELECT value FROM attribute_images")
    plan = attributes.plan(pia, services, category="body", model_id=flux)

    made = make(STOCKY)

    after = state_of(STOCKY, pia, services)
    assert [found.state for found in before] == [CellState.missing, CellState.ready]
    assert before[0].picture.is_placeholder
    assert drawn == [("Stocky",)]
    assert (STOCKY in plan.cells, plan.placeholders) == (True, 1)
    assert outcomes(made) == [AskOutcome.asked]
    assert (after.state, after.picture.is_placeholder) == (CellState.ready, False)
    assert outcomes(make(STOCKY)) == [AskOutcome.ready]


def test_a_plan_counts_a_started_megapixel_as_the_limit_does(services, pia, flux, make):
    plan = attributes.plan(pia, services, cells=FEW, limit_usd=Decimal("0.0499"), model_id=flux)

    run = make(*FEW, limit_usd=Decimal("0.0499"))

    assert len(plan.cells) == len(run.of(AskOutcome.asked)) == 1


def test_a_failed_attribute_image_is_made_again_under_attributes_only(services, pia, flux):
    run = attributes.generate(pia, services, cells=[STOCKY], model_id=flux)
    attributes.cancel_run(run.id, pia, services)

    with pytest.raises(Conflict, match="under Attributes"):
        generation.retry(run.cells[0].job_id, pia, services)


def test_a_soft_budget_warns_of_a_run_and_stops_nothing(services, pia, flux):
    ada = builders.a_person(services.db, "ada", Role.admin)
    budgets.save(Decimal("0.01"), budgets.Period.day, ada, services, hard=False)

    run = attributes.generate(pia, services, cells=[STOCKY], model_id=flux)

    assert outcomes(run) == [AskOutcome.asked]
    assert any("The shared budget of $0.01 a day is used up" in warning for warning in run.warnings)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--missing", "--limit-usd", "0.001", "--model", "fal-ai/flux/dev"], 1),
        (["--cell", "body/Stocky/anime", "--missing"], 1),
        (["--cell", "body/Stocky/anime", "--category", "age"], 1),
    ],
)
def test_the_command_ends_with_1_where_it_makes_nothing_of_what_was_asked(services, fal, words, status):
    @contextlib.contextmanager
    def opened():
        try:
            yield services
        except StudioError as error:
            raise typer.Exit(1) from error

    app = typer.Typer()
    app.add_typer(attributes_cli.commands(opened, Console()), name="attributes")
    builders.work(services)

    ended = CliRunner().invoke(app, ["attributes", "generate", "--yes", *words])

    assert (ended.exit_code, fal.counts()["accepted"]) == (status, 0)


def test_a_row_of_an_older_name_counts_and_nothing_is_bought(services, pia, make, fal):
    a_row(services, STOCKY, value="Cub")

    run = make(STOCKY)

    found = state_of(STOCKY, pia, services)
    assert outcomes(run) == [AskOutcome.ready]
    assert (found.state, found.counts_as) == (CellState.ready, "Cub")
    assert STOCKY not in attributes.plan(pia, services).cells
    assert fal.counts()["accepted"] == 0


def test_four_people_who_ask_for_everything_at_once_make_each_cell_once(build, pia, flux, fal):
    processes = [build() for _ in range(4)]
    people = [pia, *(builders.a_person(processes[0].db, f"paul{n}", Role.product) for n in range(3))]

    with ThreadPoolExecutor(4) as pool:
        runs = list(
            pool.map(
                lambda person, services: attributes.generate(person, services, model_id=flux),
                people,
                processes,
            )
        )
    builders.work(processes[0])

    asked = [one.cell for run in runs for one in run.of(AskOutcome.asked)]
    assert len(asked) == len(set(asked)) == 44
    assert fal.counts()["accepted"] == 44


def test_a_platforms_row_that_came_meanwhile_stays_and_the_paid_picture_is_kept(services, pia, flux):
    run = attributes.generate(pia, services, cells=[STOCKY], model_id=flux)
    a_row(services, STOCKY)

    builders.work(services)

    picture = state_of(STOCKY, pia, services).picture
    kept = one(services.db, "SELECT job_id, why FROM studio.attribute_image_versions")
    assert picture.image_url == "https://project.example/old.jpg"
    assert kept == (run.cells[0].job_id, "not_shown")


def test_publishing_twice_changes_nothing(services, make):
    run = make(STOCKY)
    before = rows(services.db, "SELECT * FROM attribute_images ORDER BY id")

    again = publishing.publish(run.cells[0].job_id, services)

    assert again is False
    assert rows(services.db, "SELECT * FROM attribute_images ORDER BY id") == before
    assert rows(services.db, "SELECT 1 FROM studio.attribute_image_versions") == []


# ---- anew


def test_making_a_cell_anew_keeps_the_old_version_and_begins_its_review_again(services, pia, make):
    make(STOCKY)
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE attribute_images SET review_status = 'approved', reviewed_by = %s, review_note = 'lovely'",
            [pia.id],
        )
    old = state_of(STOCKY, pia, services).picture

    make(STOCKY, again=True)

    new = state_of(STOCKY, pia, services).picture
    kept = rows(
        services.db,
        "SELECT value, image_url, job_id, review_status, review_note, why FROM studio.attribute_image_versions",
    )
    assert new.image_url != old.image_url
    assert (new.review_status, new.reviewed_by, new.review_note) == (ReviewStatus.pending, None, None)
    assert kept == [("Stocky", old.image_url, old.job_id, "approved", "lovely", "replaced")]
    assert services.storage.info(*old.image_url.split("/", 1)) is not None
    assert {row[0] for row in rows(services.db, "SELECT image_url FROM attribute_images")} == {new.image_url}


def test_a_week_later_the_workspace_loses_what_the_originals_hold_and_nothing_else(services, make):
    make(SLIM, ANIME)
    make(SLIM, again=True)
    with services.db.as_service() as conn:
        conn.execute("UPDATE workspace_assets SET created_at = now() - interval '8 days'")
    [kept] = rows(services.db, "SELECT original FROM attribute_images WHERE value = 'Slim'")[0]
    path = kept.removeprefix(f"{ATTRIBUTE_ORIGINALS}/")
    services.storage.put(ATTRIBUTE_ORIGINALS, path, b"other bytes", "image/png")

    report = cleaning.clean(services)

    assert report.verdicts == {cleaning.Verdict.cleaned: 2, cleaning.Verdict.copy_differs: 1}
    assert len({one.path for one in services.storage.list(WORKSPACE) if ".thumb." not in one.path}) == 1


def test_an_approved_picture_stays_until_the_new_one_is_there(services, pia, make, flux):
    make(STOCKY)
    old = state_of(STOCKY, pia, services).picture

    attributes.regenerate([STOCKY], pia, services, model_id=flux)

    found = state_of(STOCKY, pia, services)
    assert (found.state, found.picture) == (CellState.queued, old)


def test_making_an_older_name_anew_gives_the_cell_its_own_row(services, pia, make):
    a_row(services, STOCKY, value="Cub")

    make(STOCKY, again=True)

    found = dict(rows(services.db, "SELECT value, image_url FROM attribute_images"))
    assert set(found) == {"Cub", "Stocky"}
    assert found["Cub"] == found["Stocky"] != "https://project.example/old.jpg"
    assert one(services.db, "SELECT value, image_url FROM studio.attribute_image_versions") == (
        "Cub",
        "https://project.example/old.jpg",
    )


# ---- money


def test_a_limit_is_never_exceeded_by_twenty_at_once(build, services, pia, flux, fal):
    processes = [build() for _ in range(4)]
    limit = Decimal("0.10")

    def ask(place):
        return attributes.generate(pia, processes[place % 4], model_id=flux, limit_usd=limit)

    with ThreadPoolExecutor(20) as pool:
        runs = list(pool.map(ask, range(20)))
    builders.work(services)

    asked = [one for run in runs for one in run.of(AskOutcome.asked)]
    spent = one(services.db, "SELECT sum(amount_usd) FROM studio.spend")
    assert len(asked) == 4
    assert fal.counts()["charged"] == 4
    assert spent == limit
    assert all(run.of(AskOutcome.limit) for run in runs)


def test_a_limit_below_one_picture_buys_nothing(services, make, fal):
    run = make(*FEW, limit_usd=Decimal("0.02"))

    assert outcomes(run) == [AskOutcome.limit] * 3
    assert "limit" in run.cells[0].why
    assert fal.counts()["accepted"] == 0


def test_a_plan_says_what_a_limit_leaves_out(services, pia, flux):
    plan = attributes.plan(pia, services, cells=FEW, model_id=flux, limit_usd=Decimal("0.06"))

    assert (plan.cells, plan.beyond_limit) == (FEW[:2], FEW[2:])


def test_with_a_limit_only_models_of_a_known_price_are_taken(services, pia):
    free_choice = attributes.plan(pia, services)
    limited = attributes.plan(pia, services, limit_usd=Decimal(1))

    assert (free_choice.model.model_key, free_choice.price) == (
        "fal-ai/bytedance/seedream/v4/text-to-image",
        None,
    )
    assert limited.price is not None
    with pytest.raises(BudgetSpent, match="not known") as refused:
        attributes.plan(pia, services, limit_usd=Decimal(1), model_id=free_choice.model.id)
    assert refused.value.reason == "PRICE_UNKNOWN"


def test_a_limit_below_zero_is_refused(services, pia):
    with pytest.raises(BadRequest, match="below zero"):
        attributes.plan(pia, services, limit_usd=Decimal(-1))


def test_a_hard_budget_holds_for_attribute_images_too(services, make, fal):
    with services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO studio.budgets (scope, period, limit_usd) VALUES ('everybody', 'day', 0.05)"
        )

    run = make(*FEW)

    assert outcomes(run) == [AskOutcome.asked, AskOutcome.asked, AskOutcome.refused]
    assert "budget" in run.cells[2].why
    assert fal.counts()["accepted"] == 2


# ---- failures and cancelling


def test_a_fault_of_one_cell_leaves_the_others_and_says_why(services, pia, make, fal):
    fal.fault("outcome", "content_policy")

    run = make(*FEW)

    end = attributes.progress(run.id, pia, services)
    states = [state_of(cell, pia, services) for cell in FEW]
    assert sorted(one.state for one in states) == [CellState.failed, CellState.ready, CellState.ready]
    assert (end.done, end.failed) == (2, 1)
    assert next(one.why for one in states if one.state is CellState.failed) == end.failures[0][1] != ""


def test_a_failed_cell_is_made_by_the_next_run(services, pia, make, fal):
    fal.fault("outcome", "model_error")
    make(STOCKY)

    again = make(STOCKY)

    assert outcomes(again) == [AskOutcome.asked]
    assert state_of(STOCKY, pia, services).state is CellState.ready


def test_an_unknown_outcome_is_not_bought_again(services, pia, make, fal):
    fal.fault("submit", "reset_after")
    run = make(STOCKY)

    again = make(STOCKY)

    assert attributes.progress(run.id, pia, services).unknown == 1
    assert outcomes(again) == [AskOutcome.running]
    assert fal.counts()["submits"] == 1


def test_a_cancelled_run_sends_nothing_more_and_costs_nothing(services, pia, flux, fal):
    run = attributes.generate(pia, services, model_id=flux)

    cancelled, sent = attributes.cancel_run(run.id, pia, services)
    builders.work(services)

    end = attributes.progress(run.id, pia, services)
    late = attributes.generate(pia, services, cells=[STOCKY], model_id=flux, run_id=run.id)
    assert (cancelled, sent) == (44, 0)
    assert (end.cancelled, end.spent_usd, end.is_cancelled, end.is_over) == (44, Decimal(0), True, True)
    assert outcomes(late) == [AskOutcome.asked_before]
    assert fal.counts()["submits"] == 0


def test_nothing_more_is_asked_in_a_cancelled_run(services, pia, flux):
    run = attributes.generate(pia, services, cells=[SLIM], model_id=flux)
    attributes.cancel_run(run.id, pia, services)

    late = attributes.generate(pia, services, cells=[STOCKY], model_id=flux, run_id=run.id)

    assert outcomes(late) == [AskOutcome.cancelled]
    assert builders.entries(services) == []


def test_one_cell_can_be_cancelled_by_itself(services, pia, flux):
    attributes.generate(pia, services, cells=FEW, model_id=flux)

    status = attributes.cancel_cell(STOCKY, pia, services)
    builders.work(services)

    states = {cell: state_of(cell, pia, services).state for cell in FEW}
    assert status is JobStatus.cancelled
    assert states == {SLIM: CellState.ready, STOCKY: CellState.missing, TWENTIES: CellState.ready}
    with pytest.raises(NotFound):
        attributes.cancel_cell(STOCKY, pia, services)


def test_a_cancelled_new_picture_that_came_anyway_is_kept_and_replaces_nothing(
    services, pia, make, flux, fal
):
    make(STOCKY)
    old = state_of(STOCKY, pia, services).picture
    fal.fault("outcome", "late_result")
    run = attributes.regenerate([STOCKY], pia, services, model_id=flux)
    running._send(running._claim(run.cells[0].job_id, services), services)

    attributes.cancel_run(run.id, pia, services)
    builders.work(services)

    found = state_of(STOCKY, pia, services)
    assert found.picture == old
    assert one(services.db, "SELECT job_id, why FROM studio.attribute_image_versions") == (
        run.cells[0].job_id,
        "not_shown",
    )


# ---- recovery


def test_a_completed_picture_that_nobody_published_is_published_by_recovery(services, pia, flux):
    run = attributes.generate(pia, services, cells=[STOCKY], model_id=flux)
    job_id = run.cells[0].job_id
    running.run(job_id, services)
    with services.db.as_service() as conn:
        conn.execute("DELETE FROM studio_queue.pgqueuer")

    steps = recovery.recover(services)
    builders.work(services)

    assert [(step.job_id, step.action) for step in steps] == [(job_id, Action.publish)]
    assert state_of(STOCKY, pia, services).state is CellState.ready
    assert recovery.recover(services) == []


def test_publishing_waits_for_a_completed_job_in_the_same_transaction(services, flux, pia):
    run = attributes.generate(pia, services, cells=[STOCKY], model_id=flux)

    running.run(run.cells[0].job_id, services)

    assert (queue.PUBLISH, run.cells[0].job_id) in builders.entries(services)


def test_a_result_that_is_gone_becomes_a_finding_and_the_cell_can_be_made_again(services, pia, make, flux):
    run = attributes.generate(pia, services, cells=[STOCKY], model_id=flux)
    job_id = run.cells[0].job_id
    running.run(job_id, services)
    path = one(services.db, "SELECT temp_storage_path FROM workspace_assets")
    services.storage.delete(WORKSPACE, path)

    builders.work(services)

    failed = state_of(STOCKY, pia, services)
    again = make(STOCKY)
    assert failed.state is CellState.failed
    assert one(services.db, "SELECT rule, row_id FROM studio.findings") == (
        "attribute.not_published",
        str(job_id),
    )
    assert outcomes(again) == [AskOutcome.asked]


# ---- who may


def test_only_product_and_admin_make_attribute_images_and_qa_reads(services, pia, quinn, ana, customer, flux):
    run = attributes.generate(pia, services, cells=[STOCKY], model_id=flux)

    assert attributes.progress(run.id, quinn, services).total == 1
    assert state_of(STOCKY, quinn, services).state is CellState.queued
    for person in (quinn, ana, customer):
        with pytest.raises(NotAllowed):
            attributes.generate(person, services, cells=[SLIM], model_id=flux)
        with pytest.raises(NotAllowed):
            attributes.cancel_run(run.id, person, services)
        with pytest.raises(NotAllowed):
            attributes.cancel_cell(STOCKY, person, services)
    for person in (ana, customer):
        with pytest.raises(NotAllowed):
            attributes.status(person, services)


@pytest.mark.parametrize("role", [Role.qa, Role.editor, None])
def test_the_database_refuses_who_goes_past_the_use_case(services, pia, flux, role):
    run = attributes.generate(pia, services, cells=[STOCKY], model_id=flux)
    person = builders.a_person(services.db, "past", *filter(None, [role]))

    def refused(call):
        with pytest.raises(NotAllowed), services.db.as_user(person) as conn:
            call(conn)

    refused(lambda conn: rows_of.begin_run(conn, uuid4(), rows_of.RunKind.generate, None))
    refused(
        lambda conn: rows_of.ask(
            conn,
            run.id,
            SLIM,
            aliases=(),
            model_id=flux,
            prompt="x",
            metadata={},
            width=512,
            height=768,
            max_waiting=9,
        )
    )
    refused(lambda conn: rows_of.cancel_cell(conn, run.cells[0].job_id))
    refused(lambda conn: rows_of.cancel_run(conn, run.id))


def test_a_portrait_cannot_be_cancelled_as_an_attribute_image(services, ana, pia):
    asked = builders.a_waiting_job(ana, services, builders.a_character(ana, services))

    with pytest.raises(NotFound), services.db.as_user(pia) as conn:
        rows_of.cancel_cell(conn, asked.job_id)

    assert generation.outcome(asked.job_id, ana, services).job.status is JobStatus.queued


def test_a_stranger_to_a_run_cannot_ask_in_it(services, pia, flux):
    run = attributes.generate(pia, services, cells=[STOCKY], model_id=flux)
    other = builders.a_person(services.db, "paul", Role.product)

    with pytest.raises(Conflict):
        attributes.generate(other, services, cells=[SLIM], model_id=flux, run_id=run.id)


def test_a_customer_reads_the_published_pictures_and_nothing_else(services, make, customer):
    make(STOCKY)

    with builders.as_platform(services.db.dsn, "authenticated", customer) as conn:
        seen = conn.execute("SELECT count(*) FROM attribute_images").fetchone()
        hidden = [
            conn.execute(f"SELECT count(*) FROM studio.{name}".encode()).fetchone()
            for name in ("attribute_runs", "attribute_jobs", "attribute_image_versions")
        ]

    assert seen == (2,)
    assert hidden == [(0,)] * 3


def test_every_change_is_recorded_with_who_made_it(services, pia, make, flux):
    run = make(STOCKY)
    anew = attributes.regenerate([STOCKY], pia, services, model_id=flux)
    attributes.cancel_cell(STOCKY, pia, services)
    attributes.cancel_run(anew.id, pia, services)

    events = rows(services.db, "SELECT action, who, row_id FROM studio.audit_events ORDER BY id")
    assert events == [
        ("attribute_run_begun", pia.id, str(run.id)),
        ("attribute_image_asked", pia.id, str(run.cells[0].job_id)),
        ("attribute_image_published", None, str(run.cells[0].job_id)),
        ("attribute_run_begun", pia.id, str(anew.id)),
        ("attribute_image_asked", pia.id, str(anew.cells[0].job_id)),
        ("attribute_image_cancelled", pia.id, str(anew.cells[0].job_id)),
        ("attribute_run_cancelled", pia.id, str(anew.id)),
    ]
    assert one(
        services.db,
        "SELECT after ->> 'asked_by' FROM studio.audit_events WHERE action = 'attribute_image_published'",
    ) == str(pia.id)


def test_a_run_that_does_not_exist_is_not_found(services, pia):
    with pytest.raises(NotFound):
        attributes.progress(uuid4(), pia, services)
    with pytest.raises(NotFound):
        attributes.cancel_run(uuid4(), pia, services)


def test_without_a_worker_the_run_says_that_it_waits(services, pia, flux):
    run = attributes.generate(pia, services, cells=[STOCKY], model_id=flux)

    assert run.warnings == (attributes.NO_WORKER,)


def test_no_prompt_reaches_the_audit(services, make):
    make(STOCKY)

    told = str(rows(services.db, "SELECT before, after, why FROM studio.audit_events"))
    with services.db.as_service() as conn:
        prompt = jobs.get(conn, one(services.db, "SELECT id FROM jobs")).prompt
    assert not any(" ".join(words) in told for words in itertools.pairwise(prompt.split()))
