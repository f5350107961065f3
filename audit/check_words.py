"""The seven checks' answers as people read them: a mark, a word, a tone; told apart without colour."""

from __future__ import annotations

from collections.abc import Mapping

from core.audit.autosave import Health, Outcome

MARKS: Mapping[Outcome, str] = {
    Outcome.passed: "✓",
    Outcome.failed: "✕",
    Outcome.not_checked: "?",
    Outcome.not_applicable: "–",
}
ANSWERS: Mapping[Outcome, str] = {
    Outcome.passed: "Passed",
    Outcome.failed: "Failed",
    Outcome.not_checked: "Not checked",
    Outcome.not_applicable: "Not applicable",
}
HEALTHS: Mapping[Health, tuple[str, str]] = {  # in words, and the tone
    Health.broken: ("Broken", "bad"),
    Health.not_proven: ("Not proven", "warn"),
    Health.well: ("Well", "good"),
    Health.nothing: ("Nothing to prove", "calm"),
}
