"""`python -m core roles`: who may do what, for people and for docs/roles.md."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from core import authority
from core.values import Role


def add_to(app: typer.Typer, console: Console) -> None:
    """Add the command."""

    @app.command()
    def roles(
        *,
        markdown: Annotated[bool, typer.Option("--markdown", help="As docs/roles.md has it.")] = False,
    ) -> None:
        """Say who may do what."""
        if markdown:
            typer.echo(authority.as_markdown())
        else:
            console.print(_table())


def _table() -> Table:
    table = Table("", *Role)
    for group, rules in authority.GROUPS.items():
        table.add_section()
        table.add_row(f"[bold]{group}[/bold]")
        for rule in rules.values():
            table.add_row(rule.doing, *("yes" if role in rule.roles else "" for role in Role))
    return table
