"""`python -m core`: the command line for people who look after an installation."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from core import (
    attributes_cli,
    backup_cli,
    characters,
    cleaning,
    generation,
    matching,
    mending,
    migrate_cli,
    money_cli,
    people_cli,
    privacy_cli,
    proof,
    recovery,
    roles_cli,
    settings_page,
    stock_cli,
)
from core.audit import autosave as proved
from core.audit.autosave import Check, Outcome, Reason, Run
from core.auth import LOCAL_PERSON
from core.demo import command as demo_command
from core.errors import BadRequest, NotFound, StudioError
from core.plans import Plan
from core.recovery import Step
from core.services import Services, open_services
from core.settings import Settings
from core.values import CharacterId, JobId, PortraitRequest

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
console = Console()
_MOST_SHOWN = 200  # lines of a table
_MOST_NAMED = 20  # jobs of a sentence


@contextlib.contextmanager
def _said_to_the_person() -> Generator[None]:
    """An expected failure becomes one sentence and exit status 1."""
    try:
        yield
    except StudioError as error:
        console.print(f"[red]{error.sentence}[/red] ({error.reason})")
        raise typer.Exit(1) from error


@contextlib.contextmanager
def _services() -> Generator[Services]:
    with _said_to_the_person(), open_services(Settings()) as services:
        yield services


@app.command()
def recover(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    job: Annotated[list[str] | None, typer.Option("--job", help="Only this job; may be repeated.")] = None,
) -> None:
    """Set stuck jobs right, or say what would be done; what expires first at its provider comes first."""
    with _services() as services:
        _refuse_unknown(_job_ids(job or ()), services)
        _show_steps(_looks(services, job, dry_run=dry_run), dry_run=dry_run)
        risk = recovery.at_risk(services)
        unknown = recovery.unknown_outcomes(services)
    if risk.nearest is not None:
        console.print(
            f"[yellow]At risk[/yellow]: {risk.count} paid results may be deleted by their provider soon, "
            f"the first at {risk.nearest:%Y-%m-%d %H:%M:%S} UTC."
        )
    for step in unknown:
        console.print(
            f"[yellow]Outcome unknown[/yellow] {step.job_id}: {step.why} Then: python -m core settle"
        )


def _looks(services: Services, job: Sequence[str] | None, *, dry_run: bool) -> Iterator[Sequence[Step]]:
    """The steps of the named jobs, or of all, a batch at a time."""
    if job:
        yield recovery.recover(services, dry_run=dry_run, only=_job_ids(job), person=LOCAL_PERSON)
    else:
        yield from recovery.walk(services, dry_run=dry_run, person=LOCAL_PERSON)


def _show_steps(batches: Iterator[Sequence[Step]], *, dry_run: bool) -> None:
    table = Table("Job", "Recovery", "Why")
    tally: Counter[str] = Counter()
    with console.status("Looking …") as status:
        for steps in batches:
            for step in steps[: max(_MOST_SHOWN - tally.total(), 0)]:
                table.add_row(str(step.job_id), ("would " if dry_run else "") + step.action, step.why)
            tally.update(step.action.value for step in steps)
            status.update(f"{tally.total()} jobs so far …")
    console.print(table if tally else "Nothing is stuck.")
    if tally.total() > _MOST_SHOWN:
        console.print(f"The first {_MOST_SHOWN} are shown. In all: {_counted(tally)}.")


@app.command()
def purge(
    jobs: Annotated[list[str], typer.Argument(help="Jobs of which nothing came.")],
    why: Annotated[str, typer.Option(help="The reason, for the record.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """End jobs of which nothing came and nothing is to be waited for; what was paid for is refused."""
    with _services() as services:
        asked = _job_ids(jobs)
        _refuse_unknown(asked, services)
        if dry_run:
            rows = recovery.purge_preview(asked, LOCAL_PERSON, services).rows
        else:
            rows = recovery.purge(asked, LOCAL_PERSON, services, why=why)
    table = Table("Job", "Purge", "Why not")
    for row in rows:
        done = "would be purged" if dry_run else "purged"
        table.add_row(str(row.job_id), "refused" if row.is_refused else done, row.refusal or "")
    console.print(table)


@app.command()
def clean(
    *, dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False
) -> None:
    """Remove what is saved, or was discarded, from the workspace after its days; a worker does it once a day."""
    with _services() as services:
        report = cleaning.clean(services, dry_run=dry_run)
    word = "would be removed" if dry_run else "removed"
    console.print(f"{report.cleaned} pictures {word} from the workspace ({report.freed / 1e6:.1f} MB).")
    for verdict, sentence in cleaning.SENTENCES.items():
        if report.verdicts[verdict]:
            console.print(f"{report.verdicts[verdict]} kept: {sentence}")
    if report.orphans:
        console.print(f"{report.orphans} objects that no row names; none was deleted, they are findings.")
    if not report.is_whole:
        console.print("There is more; run it again.")


def _job_ids(words: Sequence[str]) -> list[JobId]:
    try:
        return [JobId(UUID(word)) for word in words]
    except ValueError as error:
        raise BadRequest("A job is named by its id, as `python -m core recover` prints it.") from error


def _refuse_unknown(asked: Sequence[JobId], services: Services) -> None:
    """Raise NotFound where one of these jobs is not there: nothing is done for the others either."""
    if missing := recovery.missing(asked, services):
        named = ", ".join(str(one) for one in missing[:_MOST_NAMED])
        raise NotFound(f"There is no job {named}. Nothing was done.")


def _counted(tally: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(tally.items()))


@app.command()
def settle(
    job: Annotated[str, typer.Argument(help="The job whose outcome is unknown.")],
    why: Annotated[str, typer.Option(help="What you found at the provider.")],
    *,
    billed: Annotated[
        bool | None,
        typer.Option("--billed/--not-billed", help="Leave out where that could not be found out."),
    ] = None,
    request_id: Annotated[
        str, typer.Option(help="The number its provider gave it, where you found the request there.")
    ] = "",
) -> None:
    """End an outcome unknown after a look at the provider: with its number there the picture is fetched, else the job
    fails in words and may be tried again.
    """
    if request_id and billed is not None:
        raise BadRequest("A request that was found is charged as its provider says: leave out --billed.")
    with _services() as services:
        [job_id] = _job_ids([job])
        if request_id:
            recovery.settle_found(job_id, LOCAL_PERSON, services, request_id=request_id, why=why)
            console.print("Found. Its provider is asked for the picture.")
            return
        recovery.settle_unknown(job_id, LOCAL_PERSON, services, billed=billed, why=why)
    console.print("Settled. The picture can be tried again.")


@app.command()
def match(
    job: Annotated[
        str, typer.Argument(help="A portrait that names no character, or a name that several bear.")
    ],
    character: Annotated[str, typer.Argument(help="The id of the character it belongs to.")],
) -> None:
    """Say which character a portrait belongs to; it is saved for that character."""
    with _services() as services:
        [job_id] = _job_ids([job])
        matching.decide(job_id, _character_id(character), LOCAL_PERSON, services)
    console.print("Decided. The portrait is saved for this character.")


def _character_id(word: str) -> CharacterId:
    try:
        return CharacterId(UUID(word))
    except ValueError as error:
        raise BadRequest("A character is named by its id.") from error


class Subject(StrEnum):
    """What `audit` looks at."""

    portraits = "portraits"
    library = "library"


@app.command()
def audit(
    subject: Annotated[
        Subject, typer.Argument(help="portraits: was each saved; library: its rows against its objects.")
    ] = Subject.portraits,
    *,
    since: Annotated[
        str, typer.Option(help="Only jobs that ended in this time, such as 30m, 1h or 2d.")
    ] = "",
    with_objects: Annotated[
        bool, typer.Option("--with-objects", help="Look at the files too, not only at rows.")
    ] = False,
    repair: Annotated[
        Reason | None,
        typer.Option(help="Then repair what is broken for this reason.", case_sensitive=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the last run of this kind stopped.")
    ] = False,
) -> None:
    """Prove that every portrait was saved, or compare the library's rows and objects; exit status 1 when something is
    broken.
    """
    with _services() as services:
        if subject is Subject.library:
            stock_cli.audit(services, console)
            return
        begin = _moment_of(since)
        run = _prove(services, begin, with_objects=with_objects, resume=resume)
        _show_health(run)
        if repair is not None:
            _repair(repair, begin, services)
        with services.db.as_service() as conn:
            broken = proved.broken(conn, since=begin, limit=1)
    if broken:
        raise typer.Exit(1)
    console.print(_verdict(run))


def _verdict(run: Run) -> str:
    """What a run that found nothing broken proved, and what it could not look at."""
    rows = run.tally.get(Check.library_row, {})
    unsaved = sum(number for word, number in rows.items() if word in _NOT_SAVED_YET)
    waiting = rows.get(Reason.WAITS_FOR_CHARACTER, 0)
    silent = sum(counted.get(Reason.STORAGE_SILENT, 0) for counted in run.tally.values())
    if unsaved:
        return f"Nothing is broken; {unsaved:,} are not saved yet ({waiting:,} wait for a character)."
    if silent:
        return f"Nothing is broken; the store did not answer for {silent:,} files."
    return "Every portrait that was looked at is saved."


_NOT_SAVED_YET = frozenset(
    {Reason.NOT_FINISHED, Reason.BEING_SAVED, Reason.WAITS_FOR_CHARACTER, Reason.NOTHING_SAVED}
)


def _prove(services: Services, since: datetime | None, *, with_objects: bool, resume: bool) -> Run:
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("Proving", total=None)
        return proof.run_proof(
            services,
            since=since,
            with_objects=with_objects,
            resume=resume,
            say=lambda looked, expected: bar.update(task, completed=looked, total=expected),
        )


def _repair(kind: Reason, since: datetime | None, services: Services) -> None:
    report = mending.repair_all(kind, LOCAL_PERSON, services, since=since)
    table = Table("Job", "Repaired", "Left")
    for one in report:
        left = [f"{reason}: {why}" for reason, why in one.left] + ([one.trouble] if one.trouble else [])
        table.add_row(str(one.job_id), ", ".join(one.mended), "\n".join(left))
    console.print(table if report else f"Nothing is broken for {kind}.")


def _show_health(run: Run) -> None:
    """How each check was answered, and every reason that was met, with its sentence."""
    table = Table("Check", *(outcome.replace("_", " ").capitalize() for outcome in Outcome))
    met = Counter[Reason]()
    for check in Check:
        sums = Counter[Outcome]()
        for word, number in run.tally.get(check, {}).items():
            reason = None if word == proved.PASSED else Reason(word)
            sums[proved.outcome_of(reason)] += number
            if reason is not None:
                met[reason] += number
        table.add_row(check, *(f"{sums[outcome]:,}" for outcome in Outcome))
    console.print(table)
    for reason in Reason:
        if met[reason]:
            console.print(f"{met[reason]:,} × {reason}: {proved.SENTENCES[reason]}")


def _moment_of(since: str) -> datetime | None:
    """The moment that `1h` or `2d` ago was; None where nothing was said. Raises BadRequest."""
    if not since:
        return None
    said = re.fullmatch(r"([0-9]{1,5})([mhdw])", since.strip().lower())
    if said is None:
        raise BadRequest("Write a time as a number and m, h, d or w: 30m, 1h, 2d.")
    units = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    return datetime.now(UTC) - timedelta(**{units[said[2]]: int(said[1])})


@app.command()
def portrait(
    name: Annotated[str, typer.Option(help="The character's name.")] = "Juniper Vale",
    description: Annotated[str, typer.Option(help="50 to 500 characters.")] = (
        "A retired lighthouse keeper in her sixties who now repairs music boxes and argues with seagulls."
    ),
    words: Annotated[str, typer.Option(help="Own words for the prompt.")] = "",
    count: Annotated[int, typer.Option(min=1, max=200, help="How many to ask for.")] = 1,
) -> None:
    """Ask for portraits of a new character; a worker (the studio, or `python -m core.worker`) makes them."""
    with _services() as services:
        character = characters.create(LOCAL_PERSON, services, {"name": name, "description": description})
        asked = PortraitRequest(character_id=CharacterId(character.id), own_words=words)
        _show(generation.preview(asked, LOCAL_PERSON, services))
        for _ in range(count):
            job = generation.request(asked, LOCAL_PERSON, services)
            console.print(f"asked: {job.job_id}")


def _show(plan: Plan) -> None:
    console.print(f"[bold]{plan.model.display_name}[/bold], {plan.price_words}. {plan.reason}")
    console.print(plan.prompt.text)


@app.command()
def settings(
    *, markdown: Annotated[bool, typer.Option("--markdown", help="The page docs/configuration.md.")] = False
) -> None:
    """Show each setting and how it stands here, no key among them; or the page that explains them all."""
    if markdown:
        typer.echo(settings_page.markdown(), nl=False)
        return
    table = Table("Setting", "Here")
    for name, stands in settings_page.standing(Settings()):
        table.add_row(name, stands)
    console.print(table, markup=False)


app.add_typer(attributes_cli.commands(_services, console), name="attributes")
money_cli.add_to(app, _services, console)
people_cli.add_to(app, _services, console)
roles_cli.add_to(app, console)
migrate_cli.add_to(app, _said_to_the_person, console)
backup_cli.add_to(app, _said_to_the_person, console)
privacy_cli.add_to(app, _services, console)
demo_command.add_to(app, _services, console)
