"""What may stand right before or after a match and makes it harmless, and how a word of a table is compared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.policy.disguises import LETTER

NO_LETTER_BEFORE = rf"(?<!{LETTER})"
NO_LETTER_AFTER = rf"(?!{LETTER})"
GAP = r"[\s\-.']*"
NUMBER = "[\ue000-\ue0ff]"  # how core/policy/numbers.py writes any number
_REACH = 60  # how far before and after a match an innocent word may reach, in characters


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Innocent neighbours; either side alone is enough."""

    before: re.Pattern[str] | None
    after: re.Pattern[str] | None
    also: re.Pattern[str] | None = None  # before the match too

    def excuse(self, text: str, start: int, end: int) -> bool:
        """True where the match from `start` to `end` cannot describe the person in the picture."""
        for ahead in (self.before, self.also):
            if ahead and ahead.search(text, max(0, start - _REACH), start):
                return True
        return bool(self.after and self.after.match(text, end))


def around(
    before: Sequence[str], after: Sequence[str], *, also: re.Pattern[str] | None = None
) -> Surroundings:
    """Words with gaps; before the match whole, after it possibly behind a possessive."""
    ahead, behind = either(map(loose, before)), either(map(loose, after))
    return Surroundings(
        before=re.compile(rf"{NO_LETTER_BEFORE}(?:{ahead})[\s\-]*\Z") if ahead else None,
        after=re.compile(rf"(?:'s|s')?[\s\-]*(?:{behind}){NO_LETTER_AFTER}") if behind else None,
        also=also,
    )


def family_of(relatives: Sequence[str], between: Sequence[str]) -> re.Pattern[str]:
    """Whose children or pupils: "mother of two lively", with the match behind it."""
    people, words = either(map(loose, relatives)), either(map(loose, between))
    return re.compile(rf"{NO_LETTER_BEFORE}(?:{people})(?:[\s\-,]+(?:{words}))*[\s\-]*\Z")


def touching(before: Sequence[str], after: Sequence[str]) -> Surroundings:
    """Characters that touch the match, for scripts that part no words."""
    ahead, behind = either(map(re.escape, before)), either(map(re.escape, after))
    return Surroundings(
        before=re.compile(rf"(?:{ahead})\Z") if ahead else None,
        after=re.compile(rf"(?:{behind})") if behind else None,
    )


def either(patterns: Iterable[str]) -> str:
    """One of several, the longest first."""
    return "|".join(sorted(patterns, key=len, reverse=True))


def loose(word: str) -> str:
    """A word of a table as a pattern: gaps may vary, a star takes any ending, # is a number."""
    parts = (NUMBER if part == "#" else re.escape(part) for part in word.removesuffix("*").split(" "))
    pattern = GAP.join(parts).replace("'", "'?")
    return f"{pattern}{LETTER}*" if word.endswith("*") else pattern
