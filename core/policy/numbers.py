"""Numbers of every language as one sign each, so that the forms of ages need not spell them.

A number from 0 to 18 becomes U+E000 plus its value, any other U+E0FF; ordinals stand 256 higher. Texts bring no
private signs of their own (core/policy/disguises.py drops them).
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from core.policy.disguises import Reading
from core.policy.surroundings import NO_LETTER_AFTER, NO_LETTER_BEFORE, either
from core.policy.tables import AgeTable

_FIRST = 0xE000
_ORDINALS = 0x100
_LARGEST = 18
_OTHER = 0xFF
_THOUSANDS = 3
_DIGITS_READ = 9  # no age is longer, and Python refuses to read a number of thousands of digits
_DIGITS = r"(?<!\d)(?<!\d[.,])\d{1,9}(?:[.,]\d{1,3})*(?: \d/\d)?(?!\d)"
_HALF = r"(?:[\s\-]+and[\s\-]+a[\s\-]+half)?"
_ROMAN = (
    *("ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii", "xiii", "xiv", "xv", "xvi"),
    *("xvii", "xviii"),
)
_ROMAN_AGE = r"(?=[\s\-]*(?:years?|yrs?|yo|y/o|summers|winters)(?![^\W\d_]))"
_KANJI_DIGITS = {
    char: value
    for value, chars in enumerate(
        ("〇零영", "一壱일", "二两兩이", "三삼", "四사", "五오", "六육", "七칠", "八팔", "九구")
    )
    for char in chars
}
_KANJI_UNITS = {"十": 10, "百": 100, "千": 1000, "万": 10_000, "십": 10, "백": 100}
_HANGUL = "영일이삼사오육칠팔구십백"
_KANJI = "".join(char for char in (*_KANJI_DIGITS, *_KANJI_UNITS) if char not in _HANGUL)


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """One language's way to write numbers."""

    pattern: re.Pattern[str]
    values: Mapping[str, int]

    def written(self, reading: Reading) -> Reading:
        """A text with every number as one sign."""
        if reading.changed is None:
            return Reading(text=self.pattern.sub(self._sign, reading.text))
        return _moved(reading, list(self.pattern.finditer(reading.text)), self._sign)

    def _sign(self, match: re.Match[str]) -> str:
        kind, found = match.lastgroup, re.sub(rf"{_HALF}\Z", "", match[0])
        if kind == "adult":
            return sign(_OTHER)
        if kind == "ordinal":
            digits = found if found in self.values else re.sub(r"(?:st|nd|rd|th)\Z", "", found)
            return sign(_value(digits, self.values), ordinal=True)
        return sign(_value(found, self.values))


def _moved(
    reading: Reading, found: Sequence[re.Match[str]], sign_of: Callable[[re.Match[str]], str]
) -> Reading:
    """The numbers of `found` as signs, with what changed where it stands afterwards."""
    parts: list[str] = []
    ends = [match.end() for match in found]
    shorter = [0, *accumulate(match.end() - match.start() - 1 for match in found)]
    upto = 0
    for match in found:
        parts += [reading.text[upto : match.start()], sign_of(match)]
        upto = match.end()
    # A number that begins in one changed word and ends in another moves both their edges to its own.
    changed = [
        (start - shorter[bisect_right(ends, start)], stop - shorter[bisect_left(ends, stop + 1)])
        for start, stop in reading.changed or ()
    ]
    return Reading(text="".join([*parts, reading.text[upto:]]), changed=changed)


def sign(value: int, *, ordinal: bool = False) -> str:
    """The sign that stands for a number."""
    known = value if value <= _LARGEST else _OTHER
    return chr(_FIRST + known + (_ORDINALS if ordinal else 0))


def signs(least: int, below: int, *, ordinal: bool = False) -> frozenset[str]:
    """The signs of all numbers from `least` to before `below`."""
    return frozenset(sign(value, ordinal=ordinal) for value in range(least, min(below, _LARGEST + 1)))


SMALL = re.compile("[\ue000-\ue012\ue100-\ue112]")


def numbers_of(table: AgeTable) -> Numbers:
    """How a language writes its numbers."""
    values = dict(_spelled(table.numbers))
    ordinals = dict(_spelled(table.ordinals))
    branches = [rf"(?P<ordinal>{_ordinal_pattern(ordinals)})"] if ordinals else []
    if table.tens or table.large:
        branches.append(rf"(?P<adult>{_adult_pattern(table, (*values, *ordinals))})")
    branches.append(rf"(?P<digits>{_DIGITS}{_HALF})")
    if values:
        branches.append(rf"(?P<word>{_word_pattern(table, values)}{_HALF})")
    if table.kanji:
        branches.append(rf"(?P<kanji>(?<![{_KANJI}])[{_KANJI}]+|{NO_LETTER_BEFORE}[{_HANGUL}]+)")
    if table.roman:
        branches.append(rf"(?P<roman>{_roman_pattern()})")
        values |= {roman: value for value, roman in enumerate(_ROMAN, start=2)}
    known = values | ordinals
    # Most letters begin no number: this look ahead makes a long text cheap.
    first = "".join(sorted({re.escape(word[0]) for word in (*known, *table.tens, *table.large)}))
    firsts = rf"(?=[\d{first}{_KANJI + _HANGUL if table.kanji else ''}])"
    return Numbers(pattern=re.compile(f"{firsts}(?:{'|'.join(branches)})"), values=known)


def _spelled(numbers: Sequence[str]) -> Iterator[tuple[str, int]]:
    for value, spellings in enumerate(numbers):
        for spelling in spellings.split("|"):
            yield spelling, value
            yield spelling.replace(" ", "-"), value


def _roman_pattern() -> str:
    numbers = either(_ROMAN)
    behind_age = (
        rf"(?:(?<=aged )|(?<=age ))(?:{either(one for one in _ROMAN if len(one) > 1)}){NO_LETTER_AFTER}"
    )
    return rf"{NO_LETTER_BEFORE}(?:(?:{numbers}){NO_LETTER_AFTER}{_ROMAN_AGE}|{behind_age})"


def _ordinal_pattern(ordinals: Iterable[str]) -> str:
    return rf"(?<!\d)\d{{1,9}}(?:st|nd|rd|th)(?:{NO_LETTER_AFTER}|(?=grade|birthday))|{NO_LETTER_BEFORE}(?:{either(ordinals)}){NO_LETTER_AFTER}"


def _word_pattern(table: AgeTable, values: Iterable[str]) -> str:
    words = either(map(re.escape, values))
    if table.unspaced:
        return f"{NO_LETTER_BEFORE}(?:{words})"
    return rf"{NO_LETTER_BEFORE}(?:{words}){_ends(table)}"


def _ends(table: AgeTable) -> str:
    return rf"(?:{NO_LETTER_AFTER}|(?={either(table.glued)}))" if table.glued else NO_LETTER_AFTER


def _adult_pattern(table: AgeTable, values: Iterable[str]) -> str:
    """Tens, hundreds and what hangs on them: "a hundred and sixteen" is no sixteen."""
    start, ends = (NO_LETTER_BEFORE, _ends(table))
    units, gap = either(map(re.escape, values)), r"[\s\-]*"
    tens, large = (either(map(re.escape, words)) for words in (table.tens, table.large))
    heads = [rf"(?:{tens})"] if tens else []
    heads += (
        [rf"(?:(?:{units}|{_DIGITS}){gap})?(?:{large})(?:{gap}(?:{either(table.large_joiners)}))?"]
        if large
        else []
    )
    joiner = rf"(?:(?:{either(table.joiners)}){gap})?" if table.joiners else ""
    more = rf"(?:{gap}{joiner}(?:{either(filter(None, (tens, large, units)))}){ends})*"
    return rf"{start}(?:{'|'.join(heads)})(?:{more})" + (ends if not table.unspaced else "")


def _value(text: str, values: Mapping[str, int]) -> int:
    if text in values:
        return values[text]
    if text[0] in _KANJI + _HANGUL:
        return _kanji_value(text)
    if not text[0].isdigit():
        return _OTHER
    whole, *groups = re.split("[.,]", text.partition(" ")[0])
    # 1,016 and 1.016 are a thousand and sixteen, 16.5 is sixteen.
    digits = whole + "".join(groups) if groups and all(len(one) == _THOUSANDS for one in groups) else whole
    return int(digits[:_DIGITS_READ])


def _kanji_value(text: str) -> int:
    total = digit = 0
    for char in text:
        if char in _KANJI_UNITS:
            total += (digit or 1) * _KANJI_UNITS[char]
            digit = 0
        else:
            digit = digit * 10 + _KANJI_DIGITS[char]
    return total + digit
