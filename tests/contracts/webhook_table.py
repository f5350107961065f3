"""What each webhook did, as a table at the end of the run: providers across, what happened to the message down.

A plug-in of the whole run, so that it also hears of tests that ran in other processes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import pytest

PROPERTY = "webhook"


@pytest.fixture
def did(request: pytest.FixtureRequest) -> Callable[[str, str, str], None]:
    """Writes a cell: what happened to the message, its provider, what it did."""

    def write(story: str, provider: str, what: str) -> None:
        request.node.user_properties.append((PROPERTY, [story, provider, what]))

    return write


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    cells: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in getattr(report, "user_properties", []):
                if name == PROPERTY:
                    story, provider, what = value
                    cells[story][provider] = what if outcome == "passed" else f"✗ {what}"
    if cells:
        _write(cells, terminalreporter)


def _write(cells: dict[str, dict[str, str]], reporter: pytest.TerminalReporter) -> None:
    providers = sorted({provider for row in cells.values() for provider in row})
    first = max(len(story) for story in cells)
    wide = {
        name: max(len(name), *(len(row.get(name, "·")) for row in cells.values())) + 2 for name in providers
    }
    reporter.section("what each webhook did (· cannot happen there)")
    reporter.write_line(f"{'':{first}}  " + "".join(f"{name:{wide[name]}}" for name in providers).rstrip())
    for story in sorted(cells):
        line = "".join(f"{cells[story].get(name, '·'):{wide[name]}}" for name in providers)
        reporter.write_line(f"{story:{first}}  {line}".rstrip())
