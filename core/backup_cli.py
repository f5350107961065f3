"""`python -m core backup`, `verify-backup` and `restore` (docs/backup.md)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from core import backup as backups
from core.backup import Manifest, Say
from core.db.embedded import EmbeddedPostgres
from core.errors import SetupFailed
from core.services import make_buckets, open_storage
from core.settings import Settings

Folder = Annotated[Path, typer.Argument(help="Folder of the backup.")]
Programs = Annotated[
    Path | None,
    typer.Option("--programs", help="Folder of pg_dump, pg_restore and psql; else they are looked for."),
]


def add_to(app: typer.Typer, said: Callable[[], AbstractContextManager[None]], console: Console) -> None:
    """Add the commands; `said` turns an expected failure into a sentence and exit status 1."""

    @app.command()
    def backup(
        folder: Folder,
        *,
        again: Annotated[bool, typer.Option("--again", help="Bring a finished backup up to date.")] = False,
        programs: Programs = None,
    ) -> None:
        """Write database and objects into a folder while everything runs; safe to run again after it was interrupted."""
        settings = Settings()
        with (
            said(),
            _database(settings, makes_one=False) as dsn,
            open_storage(settings) as storage,
            _bar(console) as say,
        ):
            done = backups.backup(folder, dsn, storage, programs=programs, again=again, say=say)
        console.print(f"{_words(done.manifest)}; {done.moved:,} objects were fetched now.", markup=False)
        if done.manifest.missing_count:
            console.print(
                f"[yellow]{done.manifest.missing_count:,} pictures[/yellow] that rows name were not in the store; "
                "the manifest names them."
            )

    @app.command("verify-backup")
    def verify_backup(folder: Folder, *, programs: Programs = None) -> None:
        """Read every file of a backup and compare it with its manifest; status 1 where one differs."""
        with said(), _bar(console) as say:
            manifest = backups.verify(folder, programs=programs, say=say)
        console.print(f"Whole: {_words(manifest)}.", markup=False)

    @app.command()
    def restore(
        folder: Folder,
        *,
        objects_only: Annotated[
            bool,
            typer.Option(
                "--objects-only", help="The database comes back by other means (Supabase's backups)."
            ),
        ] = False,
        go_on: Annotated[
            bool,
            typer.Option("--go-on", help="Jobs that waited are sent by the next worker, as if nothing was."),
        ] = False,
        programs: Programs = None,
    ) -> None:
        """Put a backup into an empty database and an empty store; safe to run again after it was interrupted."""
        settings = Settings()
        with said():
            make_buckets(settings)
            with contextlib.ExitStack() as stack:
                dsn = None if objects_only else stack.enter_context(_database(settings, makes_one=True))
                storage, say = stack.enter_context(open_storage(settings)), stack.enter_context(_bar(console))
                done = backups.restore(folder, dsn, storage, programs=programs, go_on=go_on, say=say)
        console.print(f"Restored and compared: {_words(done.manifest)}.", markup=False)
        if objects_only:
            console.print("The database was not touched. Where it was set back too: python -m core hold-jobs")
            return
        console.print(_GOING_ON if go_on else _held(done.held), markup=False)
        console.print("Everybody signs in anew. Now start the studio.")

    @app.command("hold-jobs")
    def hold_jobs() -> None:
        """Hold the jobs that wait, in a database that was set back by other means than `restore`; before any worker runs."""
        settings = Settings()
        with said(), _database(settings, makes_one=False) as dsn:
            held = backups.hold(dsn)
        console.print(_held(held), markup=False)


_GOING_ON = "Jobs stay as they were: the next worker sends those that waited."


def _held(count: int) -> str:
    if not count:
        return "No job waits to be sent. What was sent is asked about by the next worker, and not paid again."
    waited, them = ("1 job waited", "it") if count == 1 else (f"{count:,} jobs waited", "them")
    return (
        f"{waited}, and may have been made and paid for since the backup: held with the code {backups.HELD}. People can "
        f"try {them} again. What was sent before is asked about by the next worker, and not paid again."
    )


def _words(manifest: Manifest) -> str:
    rows = sum(one.rows for one in manifest.tables)
    return (
        f"{rows:,} rows of {len(manifest.tables)} tables and {manifest.object_count:,} objects "
        f"({manifest.object_bytes / 1e6:,.1f} MB), as of {manifest.made_at}"
    )


@contextlib.contextmanager
def _database(settings: Settings, *, makes_one: bool) -> Generator[str]:
    """The database's address; the embedded one is started, or joined where it runs. Raises SetupFailed."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    if not makes_one and not EmbeddedPostgres.is_made(settings.home):
        raise SetupFailed(f"There is no database below {settings.home}. Check STUDIO_HOME.")
    embedded = EmbeddedPostgres.start(settings.home)
    try:
        yield embedded.dsn
    finally:
        embedded.stop()


@contextlib.contextmanager
def _bar(console: Console) -> Generator[Say]:
    with Progress(console=console, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def say(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=None)
            bar.update(tasks[what], completed=done, total=total or None)

        yield say
