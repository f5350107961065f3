"""The scripted day as a table at the end of the run: what each request cost by our ledger and by the provider's bill."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", []):
                if name == "day" and report.when == "call":
                    _write(value, terminalreporter)


def _write(lines: list[list[str]], reporter: pytest.TerminalReporter) -> None:
    reporter.section("a scripted day: our ledger against the providers' bill, US dollars")
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    for line in lines:
        reporter.write_line(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )
