"""`python -m core demo`: makes the demo world and prints what is planted in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from core import demo
from core.demo.manifest import Page, World
from core.services import Services

Open = Callable[[], AbstractContextManager[Services]]


def add_to(app: typer.Typer, open_services: Open, console: Console) -> None:
    """The command `demo`."""

    @app.command("demo")
    def make(  # pyright: ignore[reportUnusedFunction] - Typer calls it
        *,
        anyway: Annotated[
            bool, typer.Option("--anyway", help="Also beside other people's characters.")
        ] = False,
        innocent: Annotated[
            bool, typer.Option("--innocent", help="Show what only looks wrong, too.")
        ] = False,
    ) -> None:
        """Fill an empty installation with a made-up world that has every defect, and say where to look."""
        with open_services() as services, console.status("Making the demo world …") as status:
            world = demo.make(services, anyway=anyway, say=status.update)
        _show(world, console, innocent=innocent)


def _show(world: World, console: Console, *, innocent: bool) -> None:
    table = Table("Page", "Planted", "Where", "Its page says", "Mended by")
    for page in Page:
        for one in (one for one in world.planted if one.page is page):
            table.add_row(page, one.code, f"{one.table} {one.row}", one.says, one.repair)
    console.print(table)
    if innocent:
        _show_innocent(world, console)
    pages = Counter(one.page for one in world.planted)
    counted = ", ".join(f"{number} on {page}" for page, number in sorted(pages.items()))
    word = "The demo world is made" if world.is_new else "The demo world stands already; nothing was changed"
    console.print(
        f"{word}: {len(world.planted)} defects ({counted}), {len(world.innocent)} things that only look wrong."
    )
    console.print("Now: make audit. A tour in ten steps is in docs/demo.md.")


def _show_innocent(world: World, console: Console) -> None:
    table = Table("Looks wrong", "Where", "Why it is right")
    for one in world.innocent:
        table.add_row(one.code, f"{one.table} {one.row}", one.why)
    console.print(table)
