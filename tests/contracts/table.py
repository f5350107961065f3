"""The contract suite as a table at the end of the run: adapters and modes across, faults down.

A plug-in of the whole run and not of the suite, so that it also hears of tests that ran in other processes.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

MARKS = {"passed": "✓", "failed": "✗", "error": "✗"}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "row(name): a cell of the table; its column is `desk`, its row also `case`"
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    marker = item.get_closest_marker("row")
    callspec = getattr(item, "callspec", None)
    if marker is not None and callspec is not None:
        case = callspec.params.get("case")
        row = marker.args[0] if case is None else f"{marker.args[0]}: {case}"
        item.user_properties.append(("contract", [callspec.params["desk"], row]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    cells: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for outcome, mark in MARKS.items():
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in getattr(report, "user_properties", []):
                if name == "contract":
                    column, row = value
                    cells[row][column] = mark
    if cells:
        _write(cells, terminalreporter)


def _write(cells: dict[str, dict[str, str]], reporter: pytest.TerminalReporter) -> None:
    names = sorted({column for row in cells.values() for column in row})
    widest = max(len(row) for row in cells)
    reporter.section("the contract of the adapters (✓ kept, ✗ broken, · cannot happen there)")
    for height in range(max(len(name.split()) for name in names)):
        parts = [name.split()[height : height + 1] for name in names]
        head = "".join(f"{(part or [''])[0]:^11}" for part in parts)
        reporter.write_line(f"{'':{widest}} {head}".rstrip())
    for row in sorted(cells):
        line = "".join(f"{cells[row].get(name, '·'):^11}" for name in names)
        reporter.write_line(f"{row:{widest}} {line}".rstrip())
    total = sum(len(row) for row in cells.values())
    good = sum(mark == "✓" for row in cells.values() for mark in row.values())
    reporter.write_line(f"{good} of {total} cells pass")
