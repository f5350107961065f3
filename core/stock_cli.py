"""`python -m core audit library`: rows against objects, in the terminal."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from core import stock
from core.audit import library
from core.db.stock import ScanRow
from core.services import Services
from core.stock import SENTENCES, Kind


def audit(services: Services, console: Console) -> None:
    """Scan, or go on with the scan that stopped; exit status 1 where something is open."""
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("Comparing", total=None)
        done = stock.scan(
            services,
            say=lambda now: bar.update(task, completed=now.looked_at, total=max(now.expected, now.looked_at)),
        )
    _show(done, services, console)


def _show(done: ScanRow, services: Services, console: Console) -> None:
    with services.db.as_service() as conn:
        counts = {one.kind: one for one in library.counts(conn)}
    console.print(
        f"{done.objects:,} objects ({done.bytes / 1e6:,.1f} MB) and {done.rows:,} rows compared, {done.read:,} objects read."
    )
    if done.unread:
        console.print(
            f"[yellow]{done.unread:,} objects did not answer[/yellow]; they are read in a later scan."
        )
    if not counts:
        console.print("Rows and objects fit.")
        return
    table = Table("Kind", "Open", "What it is")
    for kind in Kind:
        if kind in counts:
            found = counts[kind]
            table.add_row(kind, f"{found.number:,}{'+' if found.more else ''}", SENTENCES[kind])
    console.print(table)
    raise typer.Exit(1)
