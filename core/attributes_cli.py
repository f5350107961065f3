"""`python -m core attributes`: how complete the matrix is, and making what is missing with a progress bar."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal, InvalidOperation
from typing import Annotated
from uuid import UUID, uuid4

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from core import attributes, options, worker
from core.attributes import AttributePlan, CellState, Matrix, Progress, Run
from core.auth import LOCAL_PERSON
from core.db import models, workers
from core.db.attributes import AskOutcome
from core.errors import BadRequest, NotFound
from core.plans import price_words
from core.services import Services
from core.values import Cell, ModelId

_LOOK_EVERY = 0.2  # seconds
_SIGNS = {
    CellState.missing: "[dim]missing[/dim]",
    CellState.queued: "[cyan]queued[/cyan]",
    CellState.running: "[cyan]running[/cyan]",
    CellState.failed: "[red]failed[/red]",
}
_REVIEWS = {
    "pending": "[yellow]pending[/yellow]",
    "approved": "[green]approved[/green]",
    "rejected": "[red]rejected[/red]",
}

Open = Callable[[], AbstractContextManager[Services]]


def commands(open_services: Open, console: Console) -> typer.Typer:
    """The commands over the services that `open_services` opens, which also says expected failures to the person."""
    app = typer.Typer(no_args_is_help=True, help="The pictures of the character-creation form.")

    @app.command()
    def status() -> None:
        """Every cell of the matrix: missing, on its way, or its picture's review."""
        with open_services() as services:
            _show(attributes.status(LOCAL_PERSON, services), console)

    @app.command()
    def generate(
        *,
        missing: Annotated[
            bool, typer.Option("--missing", help="Make every picture that is missing.")
        ] = False,
        cell: Annotated[
            list[str] | None,
            typer.Option(help="Make this one anew, as category/value/style; can be given several times."),
        ] = None,
        category: Annotated[str | None, typer.Option(help="Only age, body, ethnicity or style.")] = None,
        style: Annotated[str | None, typer.Option(help="Only realistic or anime.")] = None,
        limit_usd: Annotated[str | None, typer.Option(help="Spend at most so many dollars.")] = None,
        model: Annotated[
            str | None, typer.Option(help="A model's name or key, instead of our choice.")
        ] = None,
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask before paying.")] = False,
    ) -> None:
        """Make what is missing (--missing), or single pictures anew (--cell body/Stocky/anime)."""
        with open_services() as services:
            limit, chosen = _dollars(limit_usd), _model(model, services)
            _refuse_unclear(missing=missing, cell=cell, narrowed=bool(category or style))
            cells = _cells(cell, services) if cell else None
            wanted = attributes.plan(
                LOCAL_PERSON,
                services,
                cells=cells,
                category=category,
                style=style,
                limit_usd=limit,
                model_id=chosen,
            )
            _show_plan(wanted, console)
            if not wanted.cells:
                _see_through(services, console)
                if wanted.beyond_limit:
                    raise typer.Exit(1)
                return
            if not yes and not typer.confirm("Make them?"):
                raise typer.Exit(1)
            with _hands(services, console) as hands:
                succeeded = _make(cells, wanted, services, console, hands)
        if not succeeded:
            raise typer.Exit(1)

    return app


def _refuse_unclear(*, missing: bool, cell: Sequence[str] | None, narrowed: bool) -> None:
    """Raise BadRequest where nothing is asked for, or two things that exclude each other."""
    if not missing and not cell:
        raise BadRequest("Say what to make: --missing, or --cell category/value/style.")
    if cell and (missing or narrowed):
        raise BadRequest("--cell names single pictures: leave out --missing, --category and --style.")


def _make(
    cells: Sequence[Cell] | None,
    wanted: AttributePlan,
    services: Services,
    console: Console,
    hands: _Hands,
) -> bool:
    """Ask, and show the run until it is over; True where every picture that was wanted is there.

    The first Ctrl+C cancels the run and waits for what was sent already, the second one leaves.
    """
    run_id, left_out = uuid4(), False
    try:
        run = _ask(run_id, cells, wanted, services)
        left_out = bool(run.of(AskOutcome.limit, AskOutcome.price_unknown, AskOutcome.refused))
        for warning in run.warnings:
            if warning != attributes.NO_WORKER:  # this command works itself then
                console.print(f"[yellow]{warning}[/yellow]")
        _show_skipped(run, console)
        end = _watch(run_id, services, console, hands)
    except KeyboardInterrupt:
        end = _cancelled(run_id, services, console, hands)
    if end is None:
        return False
    _show_end(end, console)
    return not left_out and end.done == end.total


def _see_through(services: Services, console: Console) -> None:
    """Wait for the pictures that earlier runs asked for, working where nobody does."""
    if not _on_their_way(services):
        return
    console.print(f"{_on_their_way(services)} are on their way already.")
    with _hands(services, console) as hands:
        while _on_their_way(services):
            hands.look()
            time.sleep(_LOOK_EVERY)
    console.print("They have ended.")


def _on_their_way(services: Services) -> int:
    """Cells being made; not those whose outcome is unknown, which wait for a person."""
    cells = attributes.status(LOCAL_PERSON, services).cells
    return sum(one.state in {CellState.queued, CellState.running} and not one.why for one in cells)


def _ask(run_id: UUID, cells: Sequence[Cell] | None, wanted: AttributePlan, services: Services) -> Run:
    if cells is not None:
        return attributes.regenerate(
            cells,
            LOCAL_PERSON,
            services,
            limit_usd=wanted.limit_usd,
            model_id=wanted.model.id,
            run_id=run_id,
        )
    return attributes.generate(
        LOCAL_PERSON,
        services,
        cells=(*wanted.cells, *wanted.beyond_limit),
        limit_usd=wanted.limit_usd,
        model_id=wanted.model.id,
        run_id=run_id,
    )


class _Hands:
    """A worker of this process, begun the moment no other one is alive, and kept until the command ends.

    Another command's worker leaves with it, whatever it was doing for us.
    """

    def __init__(self, services: Services, console: Console, stack: contextlib.ExitStack) -> None:
        self._services = services
        self._console = console
        self._stack = stack
        self._works = False

    def look(self) -> None:
        """Begin to work where nobody does; to be called again and again."""
        if self._works:
            return
        with self._services.db.as_service() as conn:
            alive = workers.any_alive(conn, within=3 * self._services.settings.heartbeat_seconds)
        if not alive:
            self._console.print("No worker is running, so this command works itself until it is done.")
            self._stack.enter_context(worker.in_thread(self._services))
            self._works = True


@contextlib.contextmanager
def _hands(services: Services, console: Console) -> Generator[_Hands]:
    with contextlib.ExitStack() as stack:
        yield _Hands(services, console, stack)


def _watch(run_id: UUID, services: Services, console: Console, hands: _Hands) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("Attribute images", total=None, left="")
        while True:
            now = attributes.progress(run_id, LOCAL_PERSON, services)
            _advance(bar, task, now)
            if now.is_over:
                return now
            hands.look()
            time.sleep(_LOOK_EVERY)


def _advance(bar: Bar, task: TaskID, now: Progress) -> None:
    left = "" if now.is_over else "time left not measured yet"
    if now.seconds_left is not None and not now.is_over:
        left = f"about {_time_words(now.seconds_left)} left"
    failed = f", {now.failed} failed" if now.failed else ""
    bar.update(task, completed=now.total - now.running - now.queued, total=now.total, left=left + failed)


def _cancelled(run_id: UUID, services: Services, console: Console, hands: _Hands) -> Progress | None:
    try:
        cancelled, sent = attributes.cancel_run(run_id, LOCAL_PERSON, services)
    except NotFound:
        console.print("Stopped before anything was asked for.")
        return None
    console.print(
        f"[yellow]Cancelled.[/yellow] {cancelled} were not sent and cost nothing. {sent} were sent already and are asked "
        "to stop; what comes anyway is paid for and kept. Ctrl+C again leaves them to the next worker."
    )
    try:
        return _watch(run_id, services, console, hands)
    except KeyboardInterrupt:
        console.print("Left. `python -m core attributes status` shows what became of them.")
        return None


def _show(matrix: Matrix, console: Console) -> None:
    styles = list(dict.fromkeys(one.cell.style for one in matrix.cells))
    rows = list(dict.fromkeys((one.cell.category, _row(one.cell)) for one in matrix.cells))
    found = {(one.cell.category, _row(one.cell), one.cell.style): one for one in matrix.cells}
    table = Table("Category", "Value", *styles)
    for category, value in rows:
        states = [found[category, value, style] for style in styles if (category, value, style) in found]
        table.add_row(category, value, *(_state_words(one) for one in states))
    console.print(table)
    counted = [f"{matrix.count(state)} {state}" for state in CellState if matrix.count(state)]
    console.print(f"{len(matrix.cells)} pictures: {', '.join(counted)}.")
    for one in matrix.cells:
        if one.why:
            console.print(f"{one.cell}: {one.why}", markup=False)


def _row(cell: Cell) -> str:
    return "(the style itself)" if cell.is_style else cell.value


def _state_words(one: attributes.CellStatus) -> str:
    if one.state is not CellState.ready or one.picture is None:
        shown = " (placeholder)" if one.picture is not None and one.picture.is_placeholder else ""
        return _SIGNS[one.state] + shown
    older = f" (as {one.counts_as})" if one.counts_as else ""
    return _REVIEWS[one.picture.review_status] + older


def _show_plan(wanted: AttributePlan, console: Console) -> None:
    count = len(wanted.cells)
    if not count and not wanted.beyond_limit:
        console.print("Nothing is missing.")
        return
    total = wanted.total_usd
    costs = "free" if total == 0 else "price unknown" if total is None else f"${total:.4f} before"
    takes = f", about {_time_words(wanted.seconds)}" if wanted.seconds is not None else ""
    styles = sum(cell.is_style for cell in wanted.cells)
    console.print(
        f"[bold]{count - styles} attribute images and {styles} style images[/bold] with {wanted.model.display_name} "
        f"({price_words(wanted.price)} each): {costs}{takes}. {wanted.reason}"
    )
    if wanted.placeholders:
        console.print(f"{wanted.placeholders} of them take the place of placeholders that Sketch drew.")
    if wanted.beyond_limit:
        console.print(
            f"[yellow]{len(wanted.beyond_limit)} more are wanted, and the limit of ${wanted.limit_usd} has no room for "
            "them.[/yellow]"
        )


def _show_skipped(run: Run, console: Console) -> None:
    reasons = {one.why: 0 for one in run.cells if one.why}
    for one in run.cells:
        if one.why:
            reasons[one.why] += 1
    for why, count in reasons.items():
        console.print(f"{count} skipped: {why}", markup=False)


def _show_end(end: Progress, console: Console) -> None:
    for cell, why in end.failures:
        console.print(f"{cell}: {why}", markup=False, style="red")
    costs = (
        f"${end.spent_usd:.4f} after"
        if not end.unknown_costs
        else (f"${end.spent_usd:.4f} after, and {end.unknown_costs} amounts are not known")
    )
    told = [f"{end.done} done"]
    told += [f"{count} {word}" for word, count in _others(end) if count]
    console.print(f"{', '.join(told)}; {costs}.")


def _others(end: Progress) -> Sequence[tuple[str, int]]:
    return (("failed", end.failed), ("cancelled", end.cancelled), ("with an unknown outcome", end.unknown))


def _time_words(seconds: float) -> str:
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 90 else f"{whole // 60} min {whole % 60:02d} s"  # noqa: PLR2004 — where people change to minutes


def _dollars(text: str | None) -> Decimal | None:
    try:
        amount = Decimal(text) if text is not None else None
    except InvalidOperation as error:
        raise BadRequest(
            "A spending limit is a number of dollars, such as 0.50.", field="limit_usd"
        ) from error
    if amount is not None and not amount.is_finite():
        raise BadRequest("A spending limit is a number of dollars, such as 0.50.", field="limit_usd")
    return amount


def _model(name: str | None, services: Services) -> ModelId | None:
    if name is None:
        return None
    with services.db.as_user(LOCAL_PERSON) as conn:
        known = models.list_all(conn)
    found = [
        one.id for one in known if name.casefold() in {one.model_key.casefold(), one.display_name.casefold()}
    ]
    if not found:
        raise BadRequest(
            "There is no such model. Give its name or its key as the models list has it.", field="model"
        )
    return ModelId(UUID(str(found[0])))


def _cells(named: Sequence[str], services: Services) -> list[Cell]:
    found: list[Cell] = []
    known = options.catalog(services)
    for name in named:
        parts = name.split("/")
        if len(parts) != 3:  # noqa: PLR2004 — category, value, style
            raise BadRequest(
                "Name a picture as category/value/style, such as body/Stocky/anime.", field="cell"
            )
        found.append(attributes.find_cell(known, *parts))
    return found
