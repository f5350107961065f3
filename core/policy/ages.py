"""Ages: numbers in the forms that languages say them in, and years of birth."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from core.policy import numbers
from core.policy.disguises import Reading
from core.policy.surroundings import (
    NO_LETTER_AFTER,
    NUMBER,
    Surroundings,
    around,
    either,
    loose,
    touching,
)
from core.policy.tables import ADULT, AgeTable, BirthTable, Form

_REACH = 60  # how far before a number its form may begin, in characters
_LOOKED_AHEAD = 14  # characters that a form may look at behind its end
_LEAD = re.compile(r"([^\W\d_]+)[\s:=~\-–('.]*\Z")
_LEAD_REACH = 24
_YEAR = re.compile(r"(?<!\d)(?:20[0-9]\d|'[0-2]\d)(?!\d)")
_CENTURY = 2000


@dataclass(frozen=True, kw_only=True)
class AgeForm:
    """One form, looked at where a number stands."""

    before: re.Pattern[str] | None
    lead: frozenset[str]
    after: re.Pattern[str] | None
    numbers: frozenset[str]
    surroundings: Surroundings

    def hits(self, reading: Reading, place: int, word_before: str) -> bool:
        """True where the number at `place` is an age below the form's limit."""
        text = reading.text
        if text[place] not in self.numbers or (self.lead and word_before not in self.lead):
            return False
        end = seen = place + 1
        if self.after:
            behind = self.after.match(text, end)
            if behind is None:
                return False
            end = behind.end()
            seen = end + (_LOOKED_AHEAD if end == place + 1 else 0)
        start = place
        if self.before:
            ahead = self.before.search(text, max(0, place - _REACH), place)
            if ahead is None:
                return False
            start = ahead.start()
        return reading.counts(start - 1, seen) and not self.surroundings.excuse(text, start, end)


@dataclass(frozen=True, kw_only=True)
class Ages:
    """One language's ages."""

    cues: Sequence[str]
    numbers: numbers.Numbers
    forms: tuple[AgeForm, ...]

    def written(self, reading: Reading) -> Reading:
        """A text with this language's numbers as signs."""
        return self.numbers.written(reading)

    def concern(self, text: str) -> bool:
        """True where the language's ages could stand in `text`."""
        return not self.cues or any(cue in text for cue in self.cues)

    def hit(self, written: Reading) -> bool:
        """True where a text, its numbers written as signs, says an age below 18."""
        for found in numbers.SMALL.finditer(written.text):
            place = found.start()
            lead = _LEAD.search(written.text, max(0, place - _LEAD_REACH), place)
            word = lead[1] if lead else ""
            if any(form.hits(written, place, word) for form in self.forms):
                return True
        return False


@dataclass(frozen=True, kw_only=True)
class Births:
    """Years of birth."""

    cues: Sequence[str]
    pattern: re.Pattern[str]
    innocent: re.Pattern[str]

    def hit(self, reading: Reading, today: date) -> bool:
        """True where somebody was born too late to be 18 for certain today, and not in the future."""
        text = reading.text
        years = [found for found in _YEAR.finditer(text) if _is_minors(found[0], today)]
        if not years or not any(cue in text for cue in self.cues):
            return False
        return any(self._born(reading, year.start(), year.end()) for year in years)

    def _born(self, reading: Reading, start: int, end: int) -> bool:
        """True where the year between `start` and `end` is said to be one of birth."""
        text = reading.text
        return any(
            found.start() <= start < found.end()
            and reading.counts(found.start(), found.end())
            and not self.innocent.search(text, max(0, found.start() - _REACH), found.start())
            for found in self.pattern.finditer(text, max(0, start - _REACH), end + _REACH)
        )


def ages_of(table: AgeTable) -> Ages:
    """A language's table as rules."""
    return Ages(
        cues=table.cues,
        numbers=numbers.numbers_of(table),
        forms=tuple(_form(form, table) for form in table.forms),
    )


def births_of(table: BirthTable) -> Births:
    """The table of births as a rule."""
    year = r"(?:20\d\d|'\d\d)(?!\d)"
    expressions = (expression.replace("{year}", year) for expression in table.expressions)
    return Births(
        cues=table.cues,
        pattern=re.compile("|".join(expressions)),
        innocent=re.compile(rf"(?<![^\W\d_])(?:{either(map(loose, table.innocent_before))})[\s\-,]*\Z"),
    )


def _is_minors(year: str, today: date) -> bool:
    born = int(year) if year[0] != "'" else _CENTURY + int(year[1:])
    return today.year - ADULT <= born <= today.year


def _form(form: Form, table: AgeTable) -> AgeForm:
    ends = "" if table.unspaced else NO_LETTER_AFTER
    place = touching if table.unspaced else around
    return AgeForm(
        before=re.compile(rf"(?:{_spelled(form.before)})\Z", re.MULTILINE) if form.before else None,
        lead=frozenset(form.lead),
        after=re.compile(f"(?:{_spelled(form.after)}){ends}", re.MULTILINE) if form.after else None,
        numbers=numbers.signs(form.least, form.below, ordinal=form.ordinal),
        surroundings=place(form.innocent_before, form.innocent_after),
    )


def _spelled(expression: str) -> str:
    return expression.replace("{d}", NUMBER)
