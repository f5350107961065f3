"""Attribute and style images: how complete the matrix is, what making the rest costs, making it, cancelling
(SPEC "Attribute images"). What a worker does with a finished one stands in `publishing.py`.

Who: product and admin make and cancel, qa reads (SPEC "People"); the database checks the same once more.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from statistics import median
from uuid import UUID, uuid4

from core import budgets, log, options, plans, policy, prompts, publishing, routing
from core.authority import Action, permit
from core.catalog import AttributeCell, Catalog
from core.db import Connection, attributes, jobs, models, workers
from core.db.attributes import AskOutcome, CellJob, RunKind
from core.errors import BadRequest, BudgetSpent, NotFound, TooMany
from core.providers.sketch import Sketch
from core.services import Services
from core.values import (
    STYLE_IMAGE,
    AttributePicture,
    Cell,
    ImageModel,
    JobId,
    JobStage,
    JobStatus,
    ModelId,
    Person,
    Prompt,
    Size,
)

PLACEHOLDER = "A placeholder of Sketch stands here until it is made."
NO_WORKER = "No worker is running, so these pictures wait in the queue until one is started."
# Two to three like the published form; the largest stays below one megapixel, which providers bill whole.
_SIZES = (Size(width=816, height=1224), Size(width=672, height=1008), Size(width=512, height=768))
_SEEDS = 2**31
_log = log.get(__name__)


class CellState(StrEnum):
    """Where a cell stands; `queued` and `running` also while an older picture stands."""

    not_required = "not_required"  # its option is switched off; only where the whole matrix is asked for
    missing = "missing"
    queued = "queued"
    running = "running"
    ready = "ready"
    failed = "failed"


@dataclass(frozen=True, kw_only=True)
class CellStatus:
    """A cell of the matrix. `why` is a sentence where there is one to say; `progress` runs from 0 to 1."""

    cell: Cell
    label: str
    state: CellState
    why: str = ""
    picture: AttributePicture | None = None
    job: CellJob | None = None

    @property
    def counts_as(self) -> str | None:
        """The older name whose row counts for this cell, None where its own does."""
        shown = self.picture.cell.value if self.picture else self.cell.value
        return shown if shown != self.cell.value else None


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Every cell in the catalogue's order: attribute images first, then one image a style."""

    cells: tuple[CellStatus, ...]

    def count(self, state: CellState) -> int:
        """How many cells are in that state."""
        return sum(one.state is state for one in self.cells)


@dataclass(frozen=True, kw_only=True)
class AttributePlan:
    """What a run would make, before anything is paid. Money in dollars, None where not known; time in seconds,
    measured from the model's own recent jobs and the provider's limit, None before the first of them.
    """

    cells: tuple[Cell, ...]
    beyond_limit: tuple[Cell, ...]  # wanted too, and the spending limit has no room for them
    model: ImageModel
    reason: str
    size: Size
    price: Decimal | None
    limit_usd: Decimal | None
    seconds: float | None
    placeholders: int = 0  # of `cells`: drawn by Sketch, and replaced

    @property
    def total_usd(self) -> Decimal | None:
        """The price of all `cells`."""
        return None if self.price is None else self.price * len(self.cells)


@dataclass(frozen=True, kw_only=True)
class CellAsked:
    """What became of one cell of a run; `why` is a sentence where nothing was asked."""

    cell: Cell
    outcome: AskOutcome
    job_id: JobId | None = None
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that was asked for: `id` is for `progress` and `cancel_run`."""

    id: UUID
    plan: AttributePlan
    cells: tuple[CellAsked, ...]
    warnings: tuple[str, ...] = ()

    def of(self, *outcomes: AskOutcome) -> tuple[CellAsked, ...]:
        """The cells with one of these outcomes."""
        return tuple(one for one in self.cells if one.outcome in outcomes)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A run as its rows say now. `spent_usd` is billed, else computed, else estimated; `unknown_costs` counts
    amounts nobody knows. `seconds_left` is None before anything was measured.
    """

    total: int
    done: int
    failed: int
    cancelled: int
    running: int
    queued: int
    unknown: int  # sent, and no receipt came: QA looks them up
    spent_usd: Decimal
    unknown_costs: int
    seconds_left: float | None
    failures: tuple[tuple[Cell, str], ...]
    is_cancelled: bool

    @property
    def is_over(self) -> bool:
        """True where nothing more happens by itself."""
        return self.running + self.queued == 0


# -- the matrix -----------------------------------------------------------------------------------------------------


def all_cells(catalog: Catalog) -> tuple[Cell, ...]:
    """Every cell there should be: 42 attribute images and one image a style, as the catalogue ships."""
    matrix = [_cell(one) for one in catalog.cells()]
    return (*matrix, *(Cell(category=STYLE_IMAGE, value=one.key, style=one.key) for one in catalog.styles))


def select(catalog: Catalog, *, category: str | None = None, style: str | None = None) -> tuple[Cell, ...]:
    """The cells of a category (`style` for the images of the styles themselves) and a style; None means all.

    Raises BadRequest for a name the catalogue lacks.
    """
    _refuse_unknown("category", category, [*(one.key for one in catalog.categories), STYLE_IMAGE])
    _refuse_unknown("style", style, [one.key for one in catalog.styles])
    return tuple(
        cell
        for cell in all_cells(catalog)
        if category in (None, cell.category) and style in (None, cell.style)
    )


def find_cell(catalog: Catalog, category: str, value: str, style: str) -> Cell:
    """The cell of these names, an alias included. Raises BadRequest."""
    for cell in select(catalog, category=category, style=style):
        if value.strip().casefold() in {name.casefold() for name in publishing.names_of(cell, catalog)}:
            return cell
    raise BadRequest(f"The catalogue has no such value of {category}. Choose one of its own.", field="value")


def status(person: Person, services: Services) -> Matrix:
    """Where each cell stands. Raises NotAllowed (needs qa, product or admin), QueryTimedOut."""
    require_reader(person)
    with services.db.as_reader(person) as conn:
        return read_matrix(conn, services)


def read_matrix(conn: Connection, services: Services, *, whole: bool = False) -> Matrix:
    """As `status`, on the connection of somebody who may read it; `whole` adds the cells whose option is switched off,
    as `not_required`, with the picture that still stands there.
    """
    pictures = attributes.pictures(conn)
    newest = {one.cell: one for one in attributes.newest_jobs(conn)}
    known = options.catalog_on(conn, services.catalog, whole=whole)
    required = set(all_cells(options.catalog_on(conn, services.catalog) if whole else known))
    found: list[CellStatus] = []
    for cell in all_cells(known):
        picture = _picture_of(cell, pictures, known)
        one = _explain(cell, _label(cell, known), picture, newest.get(cell), services)
        found.append(one if cell in required or _is_open(one) else _not_required(one))
    return Matrix(cells=tuple(found))


def _is_open(one: CellStatus) -> bool:
    return one.state in {CellState.queued, CellState.running}


def _not_required(one: CellStatus) -> CellStatus:
    return replace(one, state=CellState.not_required, why="Its option is switched off.")


def _explain(
    cell: Cell, label: str, picture: AttributePicture | None, job: CellJob | None, services: Services
) -> CellStatus:
    """As `explain`; a placeholder counts as missing, and is shown, once somebody else could make the picture."""
    if picture is None or not picture.is_placeholder or services.providers.keys() <= {Sketch.name}:
        return explain(cell, label, picture, job)
    found = explain(cell, label, None, job)
    why = PLACEHOLDER if found.state is CellState.missing else found.why
    return replace(found, picture=picture, why=why)


def explain(cell: Cell, label: str, picture: AttributePicture | None, job: CellJob | None) -> CellStatus:
    """One cell out of the picture that counts for it and its newest job; pure."""
    state, why = CellState.ready if picture else CellState.missing, ""
    if job is not None and job.is_open:
        state = CellState.queued if job.status is JobStatus.queued else CellState.running
        why = _why_open(job)
    elif job is not None and _went_wrong(job):
        state = state if picture else CellState.failed
        why = job.error_message or "Its picture came and could not be published; see the findings."
    elif job is not None and job.status is JobStatus.cancelled and picture is None:
        why = "It was cancelled."
    return CellStatus(cell=cell, label=label, state=state, why=why, picture=picture, job=job)


def _why_open(job: CellJob) -> str:
    if job.stage is JobStage.outcome_unknown:
        return "It was sent and no receipt came; QA looks it up before it is made again."
    if job.status.is_final and job.status is not JobStatus.completed:
        return "It ended, but it is paid for and its picture may still come."
    return ""


def _went_wrong(job: CellJob) -> bool:
    return job.status is JobStatus.failed or job.stage is JobStage.not_saved


def _cell(one: AttributeCell) -> Cell:
    return Cell(category=one.category.key, value=one.value.value, style=one.style.key)


def _label(cell: Cell, catalog: Catalog) -> str:
    category = catalog.category(cell.category)
    value = category.find(cell.value) if category else None
    return value.label if value else next(one.label for one in catalog.styles if one.key == cell.style)


def _picture_of(
    cell: Cell, pictures: Iterable[AttributePicture], catalog: Catalog
) -> AttributePicture | None:
    """The cell's own row, else the first that counts under an older name; `pictures` have the best first. A
    placeholder comes last.
    """
    names = {name.casefold() for name in publishing.names_of(cell, catalog)}
    found = [
        one
        for one in pictures
        if one.cell.category.strip().casefold() == cell.category
        and one.cell.style.strip().casefold() == cell.style
        and one.cell.value.strip().casefold() in names
    ]
    return min(found, key=lambda one: (one.is_placeholder, one.cell.value != cell.value), default=None)


def _refuse_unknown(field: str, wanted: str | None, known: Sequence[str]) -> None:
    if wanted is not None and wanted not in known:
        raise BadRequest(f"There is no such {field}. Choose one of: {', '.join(known)}.", field=field)


def require_reader(person: Person) -> None:
    """Raise NotAllowed for who may not see the matrix."""
    permit(person, Action.see_attribute_images)


# -- before anything is paid ----------------------------------------------------------------------------------------


def plan(
    person: Person,
    services: Services,
    *,
    cells: Sequence[Cell] | None = None,
    category: str | None = None,
    style: str | None = None,
    limit_usd: Decimal | None = None,
    model_id: ModelId | None = None,
) -> AttributePlan:
    """What making `cells` (None: those that are missing or failed) would cost and take; changes nothing.

    With a limit and no chosen model, only models whose price is known are considered. Raises NotAllowed, BadRequest,
    NoSuchModel, NoModel, BudgetSpent (`PRICE_UNKNOWN`: a limit cannot be kept with the chosen model).
    """
    permit(person, Action.make_attribute_images)
    if limit_usd is not None and limit_usd < 0:
        raise BadRequest("A spending limit is not below zero.", field="limit_usd")
    wanted = (
        _missing(person, services, category, style)
        if cells is None
        else _known(cells, options.catalog(services))
    )
    choice, size, price = _route(person, services, model_id, needs_price=limit_usd is not None)
    room = len(wanted) if limit_usd is None or not price else min(len(wanted), int(limit_usd / price))
    with services.db.as_service() as conn:
        usual = jobs.usual_seconds(conn, [choice.model.id]).get(choice.model.id)
    return AttributePlan(
        cells=wanted[:room],
        beyond_limit=wanted[room:],
        model=choice.model,
        reason=choice.reason,
        size=size,
        price=price,
        limit_usd=limit_usd,
        seconds=seconds_for(room, [], services.limits.get(choice.model.provider, 1), usual),
        placeholders=_placeholders(wanted[:room], choice.model.provider, person, services),
    )


def _placeholders(cells: Sequence[Cell], provider: str, person: Person, services: Services) -> int:
    if provider == Sketch.name:
        return 0
    found = status(person, services).cells
    return sum(one.picture is not None and one.picture.is_placeholder for one in found if one.cell in cells)


def seconds_for(waiting: int, elapsed: Sequence[float], limit: int, usual: float | None) -> float | None:
    """Seconds until `waiting` more pictures are there, `limit` at once, each `usual` seconds; `elapsed` are the ages of
    those being made. None where nothing was measured and something is left.
    """
    if waiting == 0 and not elapsed:
        return 0.0
    if usual is None:
        return None
    free_at = sorted([max(usual - age, 0.0) for age in elapsed] + [0.0] * max(limit - len(elapsed), 0))
    for _ in range(waiting):
        free_at = sorted([*free_at[1:], free_at[0] + usual])
    return max(free_at)


def _missing(person: Person, services: Services, category: str | None, style: str | None) -> tuple[Cell, ...]:
    wanted = set(select(options.catalog(services), category=category, style=style))
    return tuple(
        one.cell
        for one in status(person, services).cells
        if one.cell in wanted and one.state in {CellState.missing, CellState.failed}
    )


def _known(cells: Sequence[Cell], catalog: Catalog) -> tuple[Cell, ...]:
    """Each cell once, under its catalogue name."""
    found = [find_cell(catalog, cell.category, cell.value, cell.style) for cell in cells]
    return tuple(dict.fromkeys(found))


def _route(
    person: Person, services: Services, model_id: ModelId | None, *, needs_price: bool
) -> tuple[routing.Choice, Size, Decimal | None]:
    with services.db.as_user(person) as conn:
        known = models.list_all(conn)
        where = plans.standings(models.pauses(conn), services)
        prices = _prices(conn, known)
    usable = known
    if needs_price and model_id is None:
        usable = [one for one in known if prices[one.id] is not None]
    choice = routing.choose(usable, chosen=model_id, match=False, providers=where)
    price = prices[choice.model.id]
    if needs_price and price is None:
        raise BudgetSpent(
            f"The price of {choice.model.display_name} is not known, so a spending limit cannot be kept with it. "
            "Choose another model, or leave the limit out.",
            code="PRICE_UNKNOWN",
        )
    return choice, _size(choice.model), price


def _prices(conn: Connection, known: Sequence[ImageModel]) -> dict[UUID, Decimal | None]:
    """What one picture costs with each model, in the size that model would be asked for."""
    found: dict[UUID, Decimal | None] = {}
    for size in _SIZES:
        found |= attributes.prices(
            conn, [one.id for one in known if _size(one) == size], size.width, size.height
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Maker:
    """A model that could make the pictures now; `price` of one, None where it is not known."""

    model: ImageModel
    price: Decimal | None


def makers(person: Person, services: Services) -> tuple[Maker, ...]:
    """The models a run may choose from. Raises NotAllowed (needs qa, product or admin), QueryTimedOut."""
    require_reader(person)
    with services.db.as_reader(person) as conn:
        where = plans.standings(models.pauses(conn), services)
        known = [
            one
            for one in models.list_all(conn)
            if one.is_active
            and one.modality == "image"
            and not routing.why_not(one, match=False, providers=where)
        ]
        prices = _prices(conn, known)
    return tuple(Maker(model=one, price=prices[one.id]) for one in known)


def _size(model: ImageModel) -> Size:
    longest = model.capabilities.max_resolution
    return next((size for size in _SIZES if size.height <= longest), _SIZES[-1])


# -- making ---------------------------------------------------------------------------------------------------------


def generate(
    person: Person,
    services: Services,
    *,
    cells: Sequence[Cell] | None = None,
    category: str | None = None,
    style: str | None = None,
    limit_usd: Decimal | None = None,
    model_id: ModelId | None = None,
    run_id: UUID | None = None,
) -> Run:
    """Ask for the pictures of `cells` (None: all that are missing), all at once under the provider's limit.

    A cell that has a picture, or whose picture is on its way, is skipped; the same `run_id` again asks for nothing
    twice. `limit_usd` is never exceeded, this person's other unfinished runs counted. Raises what `plan` raises, and
    Conflict where `run_id` was begun otherwise; a cell that a budget refuses is named in the run instead.
    """
    wanted = plan(
        person,
        services,
        cells=cells,
        category=category,
        style=style,
        limit_usd=limit_usd,
        model_id=model_id,
    )
    return _ask_all(RunKind.generate, wanted, run_id, person, services)


def regenerate(
    cells: Sequence[Cell],
    person: Person,
    services: Services,
    *,
    limit_usd: Decimal | None = None,
    model_id: ModelId | None = None,
    run_id: UUID | None = None,
) -> Run:
    """Ask for new pictures of `cells`. Each takes the place of what stands once it is there: the old one is kept as a
    version, its review goes back to pending. Raises as `generate`.
    """
    wanted = plan(person, services, cells=cells, limit_usd=limit_usd, model_id=model_id)
    return _ask_all(RunKind.regenerate, wanted, run_id, person, services)


def _ask_all(
    kind: RunKind, wanted: AttributePlan, run_id: UUID | None, person: Person, services: Services
) -> Run:
    run = run_id or uuid4()
    warnings = budgets.warnings(wanted.total_usd, person, services) if wanted.cells else ()
    with services.db.as_user(person) as conn:
        attributes.begin_run(conn, run, kind, wanted.limit_usd)
    known = options.catalog(services)
    asked: list[CellAsked] = []
    stopped: CellAsked | None = None
    for cell in (*wanted.cells, *wanted.beyond_limit):
        if stopped is None:
            one = _ask(cell, run, wanted, known, person, services)
            # What has no room for one has none for the others: they all cost the same.
            stopped = one if one.outcome in _STOPS else None
        else:
            one = CellAsked(cell=cell, outcome=stopped.outcome, why=stopped.why)
        asked.append(one)
    with services.db.as_user(person) as conn:
        idle = not workers.any_alive(conn, within=3 * services.settings.heartbeat_seconds)
    _log.info("attribute_run_asked", run=str(run), kind=kind, cells=len(asked))
    return Run(id=run, plan=wanted, cells=tuple(asked), warnings=(*warnings, NO_WORKER) if idle else warnings)


_STOPS = {AskOutcome.limit, AskOutcome.price_unknown, AskOutcome.refused, AskOutcome.cancelled}
_WHY: Mapping[AskOutcome, str] = {
    AskOutcome.ready: "It has a picture already.",
    AskOutcome.running: "Its picture is on its way already.",
    AskOutcome.asked_before: "This run asked for it already.",
    AskOutcome.cancelled: "The run was cancelled.",
    AskOutcome.limit: "The spending limit has no room for it. Raise it, or wait until other runs have ended.",
    AskOutcome.price_unknown: "A price is not known, so the spending limit could not be kept.",
}


def _ask(
    cell: Cell, run: UUID, wanted: AttributePlan, known: Catalog, person: Person, services: Services
) -> CellAsked:
    model = wanted.model
    prompt = prompt_of(cell, known, negative=model.capabilities.supports_negative)
    policy.check_texts({"prompt": prompt.text})
    try:
        with services.db.as_user(person) as conn:
            job_id, outcome = attributes.ask(
                conn,
                run,
                cell,
                aliases=publishing.names_of(cell, known)[1:],
                model_id=model.id,
                prompt=prompt.text,
                metadata=_metadata(wanted, prompt),
                width=wanted.size.width,
                height=wanted.size.height,
                max_waiting=services.settings.max_waiting,
            )
    except (BudgetSpent, TooMany) as error:
        return CellAsked(cell=cell, outcome=AskOutcome.refused, why=error.sentence)
    return CellAsked(cell=cell, outcome=outcome, job_id=job_id, why=_WHY.get(outcome, ""))


def prompt_of(cell: Cell, catalog: Catalog, *, negative: bool) -> Prompt:
    """The text sent for a cell: an adult, fully clothed. Raises BadRequest for a cell the catalogue lacks."""
    style = next((one for one in catalog.styles if one.key == cell.style), None)
    category = catalog.category(cell.category)
    value = category.find(cell.value) if category else None
    if style is not None and cell.is_style:
        return prompts.build_style(style, negative=negative, catalog=catalog)
    if style is None or category is None or value is None:
        raise BadRequest("The catalogue has no such attribute image.", field="cells")
    shown = AttributeCell(category=category, value=value, style=style)
    return prompts.build_attribute(shown, negative=negative, catalog=catalog)


def _metadata(wanted: AttributePlan, prompt: Prompt) -> dict[str, object]:
    """What the job row carries beside what the database writes itself: enough to send exactly this order again."""
    takes_seed = wanted.model.capabilities.supports_seed
    return {
        "negative": prompt.negative,
        "seed": str(random.SystemRandom().randrange(1, _SEEDS)) if takes_seed else None,
        "generation_mode": "txt2img",
        "consistency_method": "none",
        "contentType": "attribute",
        "model_reason": wanted.reason,
        "model_name": wanted.model.display_name,
    }


# -- while it runs --------------------------------------------------------------------------------------------------


def progress(run_id: UUID, person: Person, services: Services) -> Progress:
    """Where a run stands now. Raises NotAllowed (needs qa, product or admin), NotFound, QueryTimedOut."""
    require_reader(person)
    with services.db.as_reader(person) as conn:
        run = attributes.run(conn, run_id)
        if run is None:
            raise NotFound("There is no such run of attribute images.")
        made = attributes.jobs_of_run(conn, run_id)
        spent, unknown_costs = attributes.spent_by_run(conn, run_id)
        used = attributes.models_of_run(conn, run_id)
    waiting = [one for one in made if one.status is JobStatus.queued]
    lost = [one for one in made if one.stage is JobStage.outcome_unknown and not one.status.is_final]
    running = [
        one for one in made if one.is_open and not one.may_come and one not in waiting and one not in lost
    ]
    failures = tuple((one.cell, one.error_message or "") for one in made if _went_wrong(one))
    return Progress(
        total=len(made),
        done=sum(one.stage is JobStage.saved for one in made),
        failed=len(failures),
        cancelled=sum(one.status is JobStatus.cancelled for one in made),
        running=len(running),
        queued=len(waiting),
        unknown=len(lost),
        spent_usd=spent,
        unknown_costs=unknown_costs,
        seconds_left=_seconds_left(made, running, len(waiting), used, services),
        failures=failures,
        is_cancelled=run.cancelled_at is not None,
    )


def _seconds_left(
    made: Sequence[CellJob],
    running: Sequence[CellJob],
    waiting: int,
    used: Sequence[tuple[ModelId, str]],
    services: Services,
) -> float | None:
    """By what this run's own pictures took, else by the model's recent ones."""
    took = [
        (one.completed_at - one.started_at).total_seconds()
        for one in made
        if one.status is JobStatus.completed and one.completed_at and one.started_at
    ]
    usual = median(took) if took else None
    if usual is None and used:
        with services.db.as_service() as conn:
            usual = max(jobs.usual_seconds(conn, [model for model, _ in used]).values(), default=None)
    now = datetime.now(UTC)
    elapsed = [(now - (one.started_at or now)).total_seconds() for one in running]
    limit = sum(services.limits.get(provider, 1) for provider in {provider for _, provider in used}) or 1
    return seconds_for(waiting, elapsed, limit, usual)


def cancel_run(run_id: UUID, person: Person, services: Services) -> tuple[int, int]:
    """Cancel a whole run: nothing more is asked in it, what was not sent ends at no cost, what was sent is asked to stop.

    Returns how many of its jobs are cancelled, and how many were sent already. Raises NotAllowed, NotFound.
    """
    with services.db.as_user(person) as conn:
        return attributes.cancel_run(conn, run_id)


def cancel_cell(cell: Cell, person: Person, services: Services) -> JobStatus:
    """Cancel the job that makes this cell's picture; its status afterwards. Raises NotAllowed, NotFound."""
    permit(person, Action.make_attribute_images)
    with services.db.as_user(person) as conn:
        newest = next((one for one in attributes.newest_jobs(conn) if one.cell == cell), None)
        if newest is None or not newest.is_open:
            raise NotFound("No picture of this cell is on its way.")
        return attributes.cancel_cell(conn, newest.job_id)
