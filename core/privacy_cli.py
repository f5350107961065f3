"""`python -m core privacy export | erase | check` (docs/privacy.md)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from core import privacy
from core.auth import LOCAL_PERSON
from core.errors import BadRequest
from core.privacy import Found, Preview
from core.services import Services
from core.values import PersonId

Open = Callable[[], AbstractContextManager[Services]]
Who = Annotated[str, typer.Argument(metavar="PERSON", help="Their id or e-mail address.")]


def add_to(app: typer.Typer, open_services: Open, console: Console) -> None:
    """Add the commands; whoever may run them on this machine acts as an admin."""
    group = typer.Typer(
        no_args_is_help=True, help="One person's data: hand it out, erase it, prove that it is gone."
    )
    app.add_typer(group, name="privacy")

    @group.command()
    def export(who: Who, file: Annotated[Path, typer.Argument(help="The ZIP to write.")]) -> None:
        """Write everything that belongs to a person into a new ZIP, without other people's data."""
        with open_services() as services:
            whom = privacy.find(who, LOCAL_PERSON, services).id
            size = privacy.export_person(
                whom, file, LOCAL_PERSON, services, say=lambda what: console.print(what, markup=False)
            )
        console.print(f"Wrote {file} ({size / 1e6:,.1f} MB), readable by you alone.", markup=False)

    @group.command()
    def erase(
        who: Who,
        *,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
        email: Annotated[
            str, typer.Option(help="Their e-mail address once more, instead of being asked for it.")
        ] = "",
        wait: Annotated[float, typer.Option(help="Seconds to wait for pictures under way.")] = 60.0,
    ) -> None:
        """Erase a person for good: rows, objects, versions; ledger and events forget who it was."""
        with open_services() as services:
            whom = privacy.find(who, LOCAL_PERSON, services).id
            seen = privacy.preview(whom, LOCAL_PERSON, services)
            _show(seen, console)
            if dry_run:
                return
            typed = email or typer.prompt("This cannot be undone. Type the person's e-mail address to go on")
            done = privacy.erase_person(whom, typed, LOCAL_PERSON, services, wait=wait)
        if not done.is_finished:
            console.print(
                f"[yellow]Not finished[/yellow]: {done.trouble} A worker goes on with it; so does this command."
            )
            raise typer.Exit(2)
        console.print(
            f"Erased: {sum(done.rows.values()):,} rows and {done.objects:,} objects. Record: {done.id}. "
            f"To prove it: python -m core privacy check {whom} --email ADDRESS",
            markup=False,
        )

    @group.command()
    def check(
        who: Who,
        *,
        email: Annotated[str, typer.Option(help="Their e-mail address, where the account is gone.")] = "",
        as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    ) -> None:
        """Look for a person in every column of every table and among the objects; status 1 where something names them."""
        with open_services() as services:
            found = privacy.check(_id_of(who, services), email, services)
        console.print(privacy.as_json(found), markup=False) if as_json else _tell(found, console)
        if not found.is_clean:
            raise typer.Exit(1)


def _id_of(who: str, services: Services) -> PersonId:
    """The id as it was typed, or of the account with that address. Raises BadRequest, NotFound."""
    try:
        return PersonId(UUID(who))
    except ValueError:
        if "@" not in who:
            raise BadRequest(
                "A person is named by their id or their e-mail address.", field="person"
            ) from None
        return privacy.find(who, LOCAL_PERSON, services).id


def _show(seen: Preview, console: Console) -> None:
    table = Table("Would go", "How many")
    for name, number in seen.rows.items():
        table.add_row(f"rows of {name}", f"{number:,}")
    for bucket, number in seen.objects.items():
        table.add_row(f"objects in {bucket}", f"{number:,} ({seen.bytes[bucket] / 1e6:,.1f} MB)")
    table.add_row("the account", "yes" if seen.account_is_ours else "no: remove it in Supabase")
    for name, number in seen.stays.items():
        table.add_row(f"stays, and forgets them: {name}", f"{number:,}")
    console.print(table)
    for line in privacy.in_words(seen):
        console.print(line, markup=False)


def _tell(found: Found, console: Console) -> None:
    for one in found.traces:
        whose = "" if one.is_ours else " (not ours: see docs/privacy.md)"
        console.print(f"{one.rows:,} rows of {one.table}, column {one.column}{whose}", markup=False)
    for name in found.objects[:20]:
        console.print(f"object {name}", markup=False)
    if len(found.objects) > 20:  # noqa: PLR2004 - as many as are shown above
        console.print(f"and {len(found.objects) - 20:,} more objects")
    for name in found.unread:
        console.print(f"[yellow]{name} may not be read by the studio's login[/yellow]; look there yourself.")
    console.print(
        "Nothing names this person." if found.is_clean else "[red]Something still names this person.[/red]"
    )
