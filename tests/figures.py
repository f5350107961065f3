"""What a test counted, at the end of the run: `record_property("figure", [section, line])`.

A plug-in of the whole run, so that it also hears of tests that ran in other processes.
"""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

RIGHTS = (
    "the authorisation table"  # its lines say how many cases they asked; the last one says how many in all
)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    sections: defaultdict[str, list[str]] = defaultdict(list)
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in getattr(report, "user_properties", []):
                if name == "figure":
                    section, line = value
                    sections[section].append(line if outcome == "passed" else f"{line}  ✗")
    for section, lines in sorted(sections.items()):
        terminalreporter.section(section)
        for line in lines:
            terminalreporter.write_line(line)
        if section == RIGHTS:
            total = sum(int(number) for line in lines for number in re.findall(r"(\d+) cases", line))
            terminalreporter.write_line(f"{RIGHTS}: {total:,} cases")
