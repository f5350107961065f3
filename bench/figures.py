"""A measured figure beside its budget, and the table of them."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table. `unit` is ms, s, MB, × (a ratio) or portraits/s; `floor` is in the same unit."""

    what: str
    measured: float
    unit: str
    budget: float | None = None
    floor: float | None = None
    more_is_better: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Measured against its floor, None where it has none."""
        return self.measured / self.floor if self.floor else None

    @property
    def is_within(self) -> bool | None:
        """Whether the budget holds, None where there is none."""
        if self.budget is None:
            return None
        return self.measured >= self.budget if self.more_is_better else self.measured <= self.budget


def p95(values: Sequence[float]) -> float:
    """The 95th percentile, interpolated."""
    return statistics.quantiles(values, n=20)[-1]


def show(figures: Sequence[Figure]) -> None:
    """Print the table."""
    table = Table("What", "Measured", "Floor", "Ratio", "Budget", "", "Note", title="Beside DESIGN's budgets")
    for one in figures:
        within = {None: "", True: "[green]within[/green]", False: "[red]over[/red]"}[one.is_within]
        bound = "≥" if one.more_is_better else "≤"
        table.add_row(
            one.what,
            _amount(one.measured, one.unit),
            "" if one.floor is None else _amount(one.floor, one.unit),
            "" if one.ratio is None else f"{one.ratio:.2f}×",
            "" if one.budget is None else f"{bound} {_amount(one.budget, one.unit)}",
            within,
            one.note,
        )
    Console(width=None if os.isatty(1) else 180).print(table)


def write(figures: Sequence[Figure], path: Path) -> None:
    """Keep the figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [asdict(one) | {"ratio": one.ratio, "within": one.is_within} for one in figures]
    path.write_text(
        json.dumps({"cores": os.cpu_count(), "figures": lines}, indent=2, ensure_ascii=False) + "\n"
    )


def _amount(value: float, unit: str) -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f} {unit}"
