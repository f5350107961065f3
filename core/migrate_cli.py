"""`python -m core migrate`: in words what it does, and with --dry-run what it would do (SPEC "Adoption")."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.table import Table

from core import findings
from core.db import as_ours, connect, preview, row_rules, session_settings
from core.db.embedded import EmbeddedPostgres
from core.db.preview import Preview
from core.services import make_buckets, set_up_database
from core.settings import Settings

_MINUTE = 60


def add_to(app: typer.Typer, said: Callable[[], AbstractContextManager[None]], console: Console) -> None:
    """Add the command; `said` turns an expected failure into a sentence and exit status 1."""

    @app.command()
    def migrate(
        *,
        dry_run: Annotated[
            bool,
            typer.Option(
                "--dry-run",
                help="Only say what would be done and what was found; status 1: it could not run.",
            ),
        ] = False,
        allow_blocking: Annotated[
            bool,
            typer.Option("--allow-blocking", help="Where it cannot be done beside others, let them wait."),
        ] = False,
    ) -> None:
        """Bring the database up to date, and make the buckets a Supabase project lacks; safe to run twice, from two
        places at once, and again after it was interrupted.
        """
        settings = Settings()
        with said(), _address(settings, makes_one=not dry_run) as dsn:
            if dsn is None:
                console.print(
                    "There is no database yet. Migrating makes one with every table, and changes none."
                )
            elif dry_run:
                _show(dsn, settings, console, allow_blocking=allow_blocking)
            else:
                set_up_database(
                    dsn,
                    settings,
                    lambda line: console.print(line, markup=False),
                    by_person=True,
                    allow_blocking=allow_blocking,
                )
                for name in make_buckets(settings):
                    console.print(f"Made the bucket {name}.")


@contextlib.contextmanager
def _address(settings: Settings, *, makes_one: bool) -> Generator[str | None]:
    """Where the database is; None where it is our own, not made yet, and not to be made now."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
    elif not makes_one and not EmbeddedPostgres.is_made(settings.home):
        yield None
    else:
        embedded = EmbeddedPostgres.start(settings.home)
        try:
            yield embedded.dsn
        finally:
            embedded.stop()


def _show(dsn: str, settings: Settings, console: Console, *, allow_blocking: bool) -> None:
    seen = preview.look(dsn, allow_blocking=allow_blocking)
    console.print("Nothing was changed. This is what `python -m core migrate` would do.")
    if seen.is_up_to_date:
        console.print("The database is up to date: there is nothing to apply.")
    else:
        _show_steps(seen, console)
    _show_found(_found(dsn, settings), console)
    if seen.in_the_way:
        console.print("\n[bold red]In the way[/bold red]")
        for sentence in seen.in_the_way:
            console.print(f"  {sentence}", markup=False)
        raise typer.Exit(1)
    console.print("\nNothing stands in the way.")


def _show_steps(seen: Preview, console: Console) -> None:
    if seen.is_adoption:
        rows = ", ".join(f"{size.rows:,} {table}" for table, size in seen.tables.items() if size.rows)
        console.print(f"It adopts the platform's tables: {rows or 'no rows yet'}. No row is deleted.")
    telling = [step for step in seen.steps if step.sentences]
    for step in telling:
        console.print(f"  {step.file}", markup=False)
        for sentence in step.sentences:
            console.print(f"    {sentence}", markup=False)
    if own := len(seen.steps) - len(telling):
        also = " more" if telling else ""
        console.print(
            f"  {own}{also} {'file' if own == 1 else 'files'} for the studio's own tables and functions alone"
        )
    for check in seen.proofs:
        console.print(
            f"  The check {check.name} is held against the rows of {check.table} while others go on writing.",
            markup=False,
        )
    for seed in seen.seeds:
        how = "at once" if seed.is_small else "while others go on writing"
        console.print(f"  {seed.column} becomes bigint {how}.", markup=False)
    if seen.second_primaries:
        console.print(
            f"  {seen.second_primaries:,} portraits lose the star that a newer portrait of the same character has too; "
            "each becomes a finding."
        )
    if seen.builds:
        console.print(_builds(seen))
    console.print(
        f"It takes about {_duration(seen.seconds)}; a statement of others waits at most about "
        f"{max(seen.held_seconds, 0.3):.1f} s."
    )


def _builds(seen: Preview) -> Table:
    table = Table("Index to be built", "On", "Rows", "Size", "About", title_justify="left")
    for one in seen.builds:
        table.add_row(
            one.index.name,
            one.index.table,
            f"{one.size.rows:,}",
            f"{one.size.bytes / 1e6:,.0f} MB",
            _duration(one.seconds),
        )
    return table


def _found(dsn: str, settings: Settings) -> Mapping[str, int]:
    """Rows that break a rule, counted in a transaction that cannot write."""
    with as_ours(), connect(dsn, session_settings(share_with_team=False)) as conn, conn.transaction():
        conn.execute(preview.READING)
        host = urlsplit(settings.supabase_url).hostname if settings.supabase_url else None
        return row_rules.count(conn, own_hosts=[host] if host else None)


def _show_found(found: Mapping[str, int], console: Console) -> None:
    if not found:
        console.print("\nEvery row fits the rules.")
        return
    console.print(
        f"\nFound: {sum(found.values()):,} findings by {len(found)} rules. Their rows stay as they are; the checks of "
        "auto-save come on top."
    )
    table = Table("Rule", "Rows", "Who mends it")
    for name, number in found.items():
        rule = findings.RULES.get(name)
        table.add_row(rule.title if rule else name, f"{number:,}", rule.who if rule else "Admin")
    console.print(table)


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "a second"
    return f"{seconds:.0f} s" if seconds < 2 * _MINUTE else f"{seconds / _MINUTE:.0f} min"
