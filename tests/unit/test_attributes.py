"""The matrix by rule: cells, aliases, words, where a cell stands, how long it takes."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from core import attributes, catalog, policy
from core.attributes import CellState, seconds_for
from core.db.attributes import CellJob
from core.errors import BadRequest
from core.providers.sketch_drawing import Drawing
from core.values import AttributePicture, Cell, JobId, JobStage, JobStatus, ReviewStatus, Size

SHIPPED = catalog.load()
STOCKY = Cell(category="body", value="Stocky", style="anime")
NOW = datetime(2026, 11, 20, tzinfo=UTC)
JOB = CellJob(
    cell=STOCKY,
    job_id=JobId(uuid4()),
    run_id=uuid4(),
    status=JobStatus.queued,
    stage=JobStage.waiting,
    progress=None,
    error_message=None,
    cancel_requested=False,
    may_come=False,
    asked_at=NOW,
    started_at=None,
    completed_at=None,
)
PICTURE = AttributePicture(
    id=uuid4(),
    cell=STOCKY,
    image_url="assets/attribute-images/body/stocky-anime-0.jpg",
    original=None,
    prompt=None,
    seed=None,
    width=512,
    height=768,
    file_size=None,
    job_id=None,
    cost_usd=None,
    review_status=ReviewStatus.approved,
    reviewed_by=None,
    reviewed_at=None,
    review_note=None,
    created_at=NOW,
    updated_at=NOW,
)


def state(picture=None, **job):
    newest = replace(JOB, **job) if job else None
    return attributes.explain(STOCKY, "Stocky", picture, newest)


def test_there_are_42_attribute_images_and_one_image_a_style():
    cells = attributes.all_cells(SHIPPED)

    assert len(cells) == len(set(cells)) == 44
    assert [str(one) for one in cells if one.is_style] == ["realistic style", "anime style"]


def test_cells_are_chosen_by_category_and_style():
    chosen = attributes.select(SHIPPED, category="age", style="anime")

    assert [one.value for one in chosen] == ["20s", "30s", "40s", "50s", "60s", "70s", "80s"]
    assert len(attributes.select(SHIPPED, category="style")) == 2


@pytest.mark.parametrize(("category", "style"), [("ages", None), (None, "oil"), ("", "anime")])
def test_a_name_the_catalogue_lacks_is_refused_with_those_it_has(category, style):
    with pytest.raises(BadRequest, match="Choose one of"):
        attributes.select(SHIPPED, category=category, style=style)


@pytest.mark.parametrize("name", ["Stocky", "cub", " CUB "])
def test_an_older_name_finds_the_cell_it_became(name):
    assert attributes.find_cell(SHIPPED, "body", name, "anime") == STOCKY


def test_a_value_nobody_knows_is_refused():
    with pytest.raises(BadRequest, match="no such value"):
        attributes.find_cell(SHIPPED, "body", "Invisible", "anime")


@pytest.mark.parametrize("cell", attributes.all_cells(SHIPPED), ids=str)
def test_every_prompt_shows_an_adult_fully_clothed_and_passes_the_policy(cell):
    prompt = attributes.prompt_of(cell, SHIPPED, negative=True)

    policy.check_texts({"prompt": prompt.text})
    assert "adult person" in prompt.text
    assert "fully clothed" in prompt.text
    assert "nudity" in prompt.negative


def test_every_cell_has_words_of_its_own():
    prompts = {
        attributes.prompt_of(cell, SHIPPED, negative=False).text for cell in attributes.all_cells(SHIPPED)
    }

    assert len(prompts) == 44


@pytest.mark.parametrize(
    ("category", "value", "trait", "shown"),
    [
        ("age", "20s", "age", "young"),
        ("age", "50s", "age", "middle"),
        ("age", "80s", "age", "old"),
        ("body", "Slim", "build", "slim"),
        ("body", "Muscular", "build", "strong"),
        ("body", "Stocky", "build", "broad"),
        ("body", "Average", "pose", "standing"),
        ("ethnicity", "Caucasian", "skin", "fair"),
        ("ethnicity", "Indian", "skin", "brown"),
        ("ethnicity", "African", "skin", "dark"),
    ],
)
def test_a_sketch_shows_what_the_cell_stands_for(category, value, trait, shown):
    text = attributes.prompt_of(
        Cell(category=category, value=value, style="realistic"), SHIPPED, negative=False
    ).text

    traits = Drawing(text, 1, Size(width=64, height=96)).traits

    assert getattr(traits, trait) == shown
    assert (traits.garment, traits.expression) == ("sweater", "smile")


def test_a_cell_says_where_it_stands():
    states = [
        state(),
        state(status=JobStatus.queued),
        state(status=JobStatus.processing, stage=JobStage.drawing),
        state(PICTURE),
        state(PICTURE, status=JobStatus.processing, stage=JobStage.drawing),
        state(status=JobStatus.failed, stage=None, error_message="The provider said no."),
        state(status=JobStatus.completed, stage=None),
        state(status=JobStatus.cancelled, stage=None),
    ]

    assert [one.state for one in states] == [
        CellState.missing,
        CellState.queued,
        CellState.running,
        CellState.ready,
        CellState.running,
        CellState.failed,
        CellState.running,
        CellState.missing,
    ]
    assert states[5].why == "The provider said no."


def test_a_picture_that_stands_outlives_a_failed_new_one_and_the_failure_is_said():
    one = state(PICTURE, status=JobStatus.failed, stage=None, error_message="The provider said no.")

    assert (one.state, one.picture, one.why) == (CellState.ready, PICTURE, "The provider said no.")


def test_a_paid_picture_that_may_still_come_keeps_the_cell_busy():
    late = state(status=JobStatus.failed, stage=None, may_come=True)
    lost = state(status=JobStatus.processing, stage=JobStage.outcome_unknown)

    assert (late.state, lost.state) == (CellState.running, CellState.running)
    assert "may still come" in late.why
    assert "QA" in lost.why


@pytest.mark.parametrize(
    ("waiting", "elapsed", "limit", "usual", "seconds"),
    [
        (0, [], 10, None, 0),
        (42, [], 10, 2.0, 10),
        (1, [], 10, 2.0, 2),
        (0, [1.5], 10, 2.0, 0.5),
        (1, [1.5, 0.5], 2, 2.0, 2.5),
        (0, [9.0], 10, 2.0, 0),
        (5, [], 10, None, None),
    ],
)
def test_time_left_follows_from_the_usual_time_and_the_limit(waiting, elapsed, limit, usual, seconds):
    assert seconds_for(waiting, elapsed, limit, usual) == seconds
