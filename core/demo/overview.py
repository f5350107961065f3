"""What the overview must say of the demo world, from one page alone: one problem a health rule."""

from __future__ import annotations

from collections.abc import Sequence

from core.demo.manifest import Page, Repair
from core.demo.workshop import Workshop

_PROBLEMS: Sequence[tuple[str, str, Repair]] = (
    ("results.at_risk", "not with us yet", Repair.recover),
    ("jobs.stuck", "still", Repair.recover),
    ("jobs.outcome_unknown", "without a receipt", Repair.person),
    ("provider.paused", "Novita", Repair.admin),
    ("autosave.broken", "seven checks", Repair.repair_autosave),
    ("autosave.lag", "not in the library yet", Repair.repair_autosave),
    ("budget.spent", "personal budget", Repair.admin),
    ("findings.open", "open", Repair.person),
    ("attributes.missing", "missing", Repair.generate),
)


def plant(workshop: Workshop) -> None:
    """Note them; what they are about was planted before."""
    for rule, says, repair in _PROBLEMS:
        workshop.plant(f"health.{rule}", Page.overview, ("rule", rule), says, repair)
