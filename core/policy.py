"""What may be asked for (SPEC "Policy"): characters are adults, and nsfw needs the deployment's consent.

A text is refused where words or numbers in it describe a minor. The tables stand in catalog/policy.toml; this
module undoes the usual disguises (odd letters, leetspeak, torn or stretched words) and compares. It is made to
refuse where a text could be read either way, and to let pass what cannot describe the person in the picture.
No input or output here.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from core.errors import PolicyRefused, SetupFailed
from core.values import ContentRating

ADULT = 18
_LETTER = r"[^\W\d_]"
_NO_LETTER_BEFORE = rf"(?<!{_LETTER})"
_NO_LETTER_AFTER = rf"(?!{_LETTER})"
_GAP = r"[\s\-.']*"
_REACH = 40  # how far before and after a match an innocent word may reach, in characters
_TORN_LENGTH = 5  # torn in two, a shorter word appears by chance ("te en")
_SPELLED_LENGTH = 4  # spelled with gaps, this much is no accident


def check_texts(texts: Mapping[str, str]) -> None:
    """Look at every text a person wrote, by field name.

    Raises PolicyRefused `POLICY_MINOR` for the first field whose words or numbers describe a minor; the
    sentence names the field and repeats none of its words.
    """
    for field, text in texts.items():
        if describes_minor(text):
            raise PolicyRefused(
                f"The text in “{field.replace('_', ' ')}” can be read as describing somebody under 18. "
                "Every character here is an adult: change the words or numbers that say otherwise.",
                field=field,
                code="POLICY_MINOR",
            )


def describes_minor(text: str) -> bool:
    """True where words or numbers in `text`, however disguised, describe somebody under 18."""
    rules = _rules()
    return any(rules.hit(reading) for reading in _readings(text)) or rules.hit_in_pieces(text)


def effective_rating(
    requested: ContentRating | None, of_character: ContentRating | None, *, allow_nsfw: bool
) -> tuple[ContentRating, str | None]:
    """The rating a picture is made with, and the sentence that says why it is not the one asked for.

    The stricter of the two counts, one that is missing leaves the other, none at all means sfw. nsfw is made
    only where the deployment allows it (ALLOW_NSFW).
    """
    given = {rating for rating in (requested, of_character) if rating is not None}
    if given != {ContentRating.nsfw}:
        lowered = requested is ContentRating.nsfw
        sentence = "The character is rated sfw, and the stricter rating counts: this picture is made as sfw."
        return ContentRating.sfw, sentence if lowered else None
    if allow_nsfw:
        return ContentRating.nsfw, None
    return ContentRating.sfw, "This studio makes no pictures rated nsfw, so this one is made as sfw."


# ---- the tables


_Names = tuple[Annotated[str, Field(min_length=1)], ...]


@dataclass(frozen=True, kw_only=True)
class _WordTable:
    words: _Names = ()
    exactly: _Names = ()  # a space is a space
    patterns: _Names = ()
    innocent_before: _Names = ()
    innocent_after: _Names = ()


@dataclass(frozen=True, kw_only=True)
class _AgeForm:
    form: str
    least: int = 0
    below: int = ADULT
    innocent_before: _Names = ()
    innocent_after: _Names = ()


@dataclass(frozen=True, kw_only=True)
class _AgeTable:
    numbers: _Names
    forms: tuple[_AgeForm, ...]
    ordinals: _Names = ()
    tens: _Names = ()
    joiners: _Names = ()
    kanji: bool = False


@dataclass(frozen=True, kw_only=True)
class _Emoji:
    signs: _Names


@dataclass(frozen=True, kw_only=True)
class _Tables:
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    strong: _Names
    in_pieces: _Names
    words: tuple[_WordTable, ...]
    words_cjk: _WordTable
    emoji: _Emoji
    ages: tuple[_AgeTable, ...]


# ---- the rules made of them


@dataclass(frozen=True, kw_only=True)
class _Surroundings:
    """What may stand right before or after a match and makes it harmless."""

    before: re.Pattern[str] | None
    after: re.Pattern[str] | None

    def excuse(self, text: str, start: int, end: int) -> bool:
        ahead = text[max(0, start - _REACH) : start]
        behind = text[end : end + _REACH]
        return bool((self.before and self.before.search(ahead)) or (self.after and self.after.match(behind)))


@dataclass(frozen=True, kw_only=True)
class _WordRule:
    pattern: re.Pattern[str]
    surroundings: _Surroundings

    def hits(self, text: str) -> bool:
        found = self.pattern.finditer(text)
        return any(not self.surroundings.excuse(text, match.start(), match.end()) for match in found)


@dataclass(frozen=True, kw_only=True)
class _AgeRule:
    pattern: re.Pattern[str]
    values: Mapping[str, int]
    least: int
    below: int
    surroundings: _Surroundings

    def hits(self, text: str) -> bool:
        return any(self._counts(text, match) for match in self.pattern.finditer(text))

    def _counts(self, text: str, match: re.Match[str]) -> bool:
        if match.groupdict().get("tens"):
            return False
        age = _number(match["n"], self.values)
        in_range = self.least <= age < self.below
        return in_range and not self.surroundings.excuse(text, match.start(), match.end())


@dataclass(frozen=True, kw_only=True)
class _Rules:
    words: tuple[_WordRule, ...]
    ages: tuple[_AgeRule, ...]
    in_pieces: frozenset[str]  # without gaps
    signs: frozenset[str]

    def hit(self, text: str) -> bool:
        words = any(rule.hits(text) for rule in self.words)
        return words or any(rule.hits(text) for rule in self.ages) or not self.signs.isdisjoint(text)

    def hit_in_pieces(self, text: str) -> bool:
        """True where a word was spelled letter by letter, torn in two, or masked with stars."""
        for reading in _readings(text):
            if self._spelled(reading) or self._torn(reading) or self._masked(reading):
                return True
        return False

    def _spelled(self, text: str) -> bool:
        runs = ("".join(re.findall(_LETTER, run)) for run in _SPELLED_RUN.findall(text))
        return any(
            run == word or (word in run and len(word) >= _SPELLED_LENGTH)
            for run in runs
            for word in self.in_pieces
        )

    def _torn(self, text: str) -> bool:
        pieces = [piece for piece in text.split() if piece.isalpha()]
        joined = (left + right for left, right in pairwise(pieces))
        # "under age 40" and "under aged beams" are everyday words; the tables look at them with care.
        return any(
            len(one) >= _TORN_LENGTH and one in self.in_pieces and one[:5] != "under" for one in joined
        )

    def _masked(self, text: str) -> bool:
        masks = (_mask(token) for token in _MASKED.findall(text))
        return any(mask.fullmatch(word) for mask in masks for word in self.in_pieces)


_SPELLED_RUN = re.compile(rf"(?<!{_LETTER})(?:{_LETTER}[\W_]{{1,3}}){{2,}}{_LETTER}(?!{_LETTER})")
_MASKED = re.compile(rf"(?<!{_LETTER}){_LETTER}+[*#]{{1,2}}{_LETTER}{{2,}}(?!{_LETTER})")


def _mask(token: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"[*#]", ".", token))


@cache
def _rules() -> _Rules:
    tables = _tables()
    strong = _WordTable(words=tables.strong)
    listed = (strong, *tables.words)
    return _Rules(
        words=(*(_word_rule(table) for table in listed), _cjk_rule(tables.words_cjk)),
        ages=tuple(_age_rule(table, form) for table in tables.ages for form in table.forms),
        in_pieces=frozenset(word.replace(" ", "") for word in (*tables.strong, *tables.in_pieces)),
        signs=frozenset(tables.emoji.signs),
    )


def _tables() -> _Tables:
    try:
        text = (resources.files("core.catalog") / "policy.toml").read_text("utf-8")
        return TypeAdapter(_Tables).validate_python(tomllib.loads(text))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as exc:
        raise SetupFailed(
            "The catalogue file policy.toml is missing or damaged. Install the product again."
        ) from exc


def _word_rule(table: _WordTable) -> _WordRule:
    # A girl or boy glued to a word is the same word: "childgirl".
    words = [*map(_loose, table.words), *map(re.escape, table.exactly), *table.patterns]
    body = f"{_NO_LETTER_BEFORE}(?:{_either(words)})(?:girls?|boys?)?{_NO_LETTER_AFTER}"
    return _WordRule(pattern=re.compile(body, re.MULTILINE), surroundings=_surroundings(table))


def _cjk_rule(table: _WordTable) -> _WordRule:
    # Chinese, Japanese and Korean part no words, so an innocent neighbour touches the match.
    before, after = (
        _either(map(re.escape, table.innocent_before)),
        _either(map(re.escape, table.innocent_after)),
    )
    surroundings = _Surroundings(before=re.compile(f"(?:{before})$"), after=re.compile(f"(?:{after})"))
    words = (" *".join(map(re.escape, word)) for word in table.words)
    return _WordRule(pattern=re.compile(_either((*words, *table.patterns))), surroundings=surroundings)


def _age_rule(table: _AgeTable, form: _AgeForm) -> _AgeRule:
    body = form.form.replace("{n}", _number_pattern(table)).replace("{o}", _ordinal_pattern(table))
    body += "" if table.kanji else _NO_LETTER_AFTER
    return _AgeRule(
        pattern=re.compile(body, re.MULTILINE),
        values=_values(table.numbers) | _values(table.ordinals),
        least=form.least,
        below=form.below,
        surroundings=_surroundings(form),
    )


def _surroundings(table: _WordTable | _AgeForm) -> _Surroundings:
    before, after = _either(map(_loose, table.innocent_before)), _either(map(_loose, table.innocent_after))
    return _Surroundings(
        before=re.compile(rf"{_NO_LETTER_BEFORE}(?:{before})[\s\-]*$") if before else None,
        after=re.compile(rf"(?:'s|s')?[\s\-]*(?:{after}){_NO_LETTER_AFTER}") if after else None,
    )


def _either(patterns: Iterable[str]) -> str:
    return "|".join(sorted(patterns, key=len, reverse=True))


def _loose(word: str) -> str:
    """A word of a table as a pattern: gaps may vary, a star takes any ending."""
    pattern = _GAP.join(re.escape(part) for part in word.removesuffix("*").split(" ")).replace("'", "'?")
    return f"{pattern}{_LETTER}*" if word.endswith("*") else pattern


# ---- numbers


def _number_pattern(table: _AgeTable) -> str:
    digits = r"(?<!\d)(?<!\d[.,])\d{1,9}(?:[.,]\d{1,3})*(?!\d)"
    if table.kanji:
        return rf"(?P<n>{digits}|(?<![{_KANJI}])[{_KANJI}]+)"
    words = f"|{_NO_LETTER_BEFORE}(?:{_either(_spellings(table.numbers))})"
    gap = r"[\s\-]*"
    tens = f"{_NO_LETTER_BEFORE}(?:{_either(table.tens)}){gap}(?:(?:{_either(table.joiners)}){gap})?"
    return f"(?P<tens>{tens})?(?P<n>{digits}{words})"


def _ordinal_pattern(table: _AgeTable) -> str:
    if not table.ordinals:
        return r"(?P<n>(?!))"
    tens = rf"{_NO_LETTER_BEFORE}(?:{_either(table.tens)})[\s\-]*(?:(?:{_either(table.joiners)})[\s\-]*)?"
    words = _either(_spellings(table.ordinals))
    return (
        rf"(?P<tens>{tens})?(?P<n>(?<!\d)\d+(?=st|nd|rd|th)|{_NO_LETTER_BEFORE}(?:{words}))(?:st|nd|rd|th)?"
    )


def _spellings(numbers: Sequence[str]) -> Iterator[str]:
    return (re.escape(spelling) for number in numbers for spelling in number.split("|"))


def _values(numbers: Sequence[str]) -> dict[str, int]:
    return {spelling: value for value, number in enumerate(numbers) for spelling in number.split("|")}


def _number(text: str, values: Mapping[str, int]) -> int:
    if text in values:
        return values[text]
    if text[0] in _KANJI:
        return _kanji_number(text)
    whole, *groups = re.split("[.,]", text)
    # 1,016 and 1.016 are a thousand and sixteen, 16.5 is sixteen.
    digits = whole + "".join(groups) if groups and all(len(one) == _THOUSANDS for one in groups) else whole
    return int(digits[:_DIGITS_READ])


_THOUSANDS = 3
_DIGITS_READ = 9  # no age is longer, and Python refuses to read a number of thousands of digits
_KANJI_DIGITS = {
    char: value
    for value, chars in enumerate(("〇零", "一壱", "二两兩", "三", "四", "五", "六", "七", "八", "九"))
    for char in chars
}
_KANJI_UNITS = {"十": 10, "百": 100, "千": 1000, "万": 10_000}
_KANJI = "".join((*_KANJI_DIGITS, *_KANJI_UNITS))


def _kanji_number(text: str) -> int:
    total = digit = 0
    for char in text:
        if char in _KANJI_UNITS:
            total += (digit or 1) * _KANJI_UNITS[char]
            digit = 0
        else:
            digit = digit * 10 + _KANJI_DIGITS[char]
    return total + digit


# ---- the same text, undisguised


_LOOKALIKES = str.maketrans("авеозрсухіѕјһԁӏкмтпгαοεικνρτυχıɑɡłøđ", "abeo3pcyxisjhdlkmtnraoeikvptuxiaglod")
_LEET = str.maketrans("0134578@$!|9", "oieastbasiig")
_LEET_ONE_AS_L = str.maketrans("0134578@$!|9", "oleastbasllg")
_INVISIBLE = frozenset("\u034f\u115f\u1160\u3164\u17b4\u17b5\uffa0\u2800")
_APOSTROPHES = str.maketrans("’‘ʼ`´", "'''''")
_LEET_TOKEN = re.compile(r"[^\s,;]+")
_STRETCHED = re.compile(rf"({_LETTER})\1{{2,}}")
_INSIDE = re.compile(rf"(?<={_LETTER})[-._*/\\|~'+^`:]+(?={_LETTER})")


def _readings(text: str) -> Iterator[str]:
    """Every way a text can be read: as it stands, and with one kind of disguise after the other taken off."""
    seen: set[str] = set()
    for reading in _all_readings(text):
        if reading not in seen:
            seen.add(reading)
            yield reading


def _all_readings(text: str) -> Iterator[str]:
    visible = _visible(text)
    plain = visible.casefold().replace("ё", "е")
    bare = _without_accents(plain)
    yield plain
    yield bare
    yield re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])", " ", visible).casefold()
    for base in (bare, bare.translate(_LOOKALIKES)):
        yield base
        yield _INSIDE.sub("", base)
        for letters in (_unleeted(base, _LEET), _unleeted(base, _LEET_ONE_AS_L)):
            yield letters
            yield _INSIDE.sub("", letters)
            yield _STRETCHED.sub(r"\1", letters)
            yield _STRETCHED.sub(r"\1\1", letters)


def _unleeted(text: str, leet: Mapping[int, int]) -> str:
    return _LEET_TOKEN.sub(lambda match: _unleeted_token(match[0], leet), text)


def _unleeted_token(token: str, leet: Mapping[int, int]) -> str:
    # A digit that stands for no letter makes it a number: "346yo" must not turn into a six.
    letters = token.translate(leet)
    spelled = any(char.isalpha() for char in token) and not any(char.isdigit() for char in letters)
    return letters if spelled else token


def _visible(text: str) -> str:
    seen = (char for char in text if unicodedata.category(char) != "Cf" and char not in _INVISIBLE)
    folded = unicodedata.normalize("NFKC", "".join(seen)).translate(_APOSTROPHES)
    return "".join(map(_western_digit, folded)).replace("_", " ")


def _western_digit(char: str) -> str:
    return str(unicodedata.decimal(char)) if char.isdecimal() else char


def _without_accents(text: str) -> str:
    """Latin letters without their marks; other scripts keep theirs, where they make another letter."""
    kept: list[str] = []
    latin = False
    for char in unicodedata.normalize("NFD", text):
        if unicodedata.category(char) == "Mn":
            if latin:
                continue
        else:
            latin = char.isascii() and char.isalpha()
        kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept))
