"""The same text, undisguised: the ways people hide a word, taken off one after the other.

A disguise sits in single words, so only the words that change are read again, with their neighbours: a long
plain text is read once.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

LETTER = r"[^\W\d_]"
CUT = "\uf8ff"  # stands where a reading leaves something out; no text brings one of its own
_NEIGHBOURS = 8  # words on either side that a rule may want to see
_MOST_KNOWN = 5000
_LETTERS = 5  # readings of one spelling, see _letters
_THOROUGH = tuple(  # everything taken off at once
    2 + _LETTERS * spelling + way for spelling in (1, 2, 4, 5) for way in (2, 4)
)

_INVISIBLE = frozenset("\u034f\u115f\u1160\u3164\u17b4\u17b5\uffa0\u2800")
_FRACTIONS = frozenset("½¼¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞")
_LOOKALIKES = str.maketrans("авеозрсухіѕјһԁӏкмтпгαοεικνρτυχıɑɡłøđ", "abeo3pcyxisjhdlkmtnraoeikvptuxiaglod")
_LEET = str.maketrans("0134578@$!|9", "oieastbasiig")
_LEET_ONE_AS_L = str.maketrans("0134578@$!|9", "oleastbasllg")
_APOSTROPHES = frozenset("’‘ʼ`´")
_STRETCHED = re.compile(rf"({LETTER})\1{{2,}}")
_REPEATED = re.compile(r"(.)\1+")
_DIGIT = re.compile(r"\d")
_PIECES = re.compile(r"(\s+)")
_RUN = re.compile(rf"{LETTER}+")
_NUMBERED = re.compile(
    r"(\d+(?:[\-.](?=[^\W\d_])|(?=[yj]|(?:(?<=1)st|(?<=2)nd|(?<=3)rd|th)(?:\W|\Z))))(.*)", re.DOTALL
)
_GAPS = re.compile(r"[^\S\n]{2,}|[^\S\n ]")
_INSIDE = re.compile(rf"(?<={LETTER})[-._*/\\|~'+^`:]+(?={LETTER})")
_HUMP = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])")
_ODD = re.compile(r"[^A-Za-z,.?\"();:]|[a-z][A-Z]|[A-Za-z][.:][A-Za-z]|([A-Za-z])\1\1")
_PLAIN_NUMBER = re.compile(r"\W*\d+\W*")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a text says, and which parts of it a disguise was taken off: None where it stands as it came."""

    text: str
    changed: Sequence[tuple[int, int]] | None = None

    def counts(self, start: int, end: int) -> bool:
        """True where something from `start` to `end` says what no earlier reading said.

        An innocent neighbour may be lost with a disguise, so words that did not change are judged only once.
        """
        return self.changed is None or any(begin < end and start < stop for begin, stop in self.changed)


@dataclass(frozen=True, kw_only=True)
class Lexicon:
    """The words that the rules ask for: a disguise is worth taking off where one of them comes out.

    `spellings`: how they are written, by their letters without repeats ("schol": "school"). `begins`: what a
    longer one may begin with, `begin_lengths` letters.
    """

    words: frozenset[str]
    spellings: Mapping[str, str]
    begins: frozenset[str]
    begin_lengths: tuple[int, ...]
    glued: tuple[str, ...]  # what a number's word carries behind it ("zeroyearold")

    def holds(self, text: str) -> bool:
        """True where a word of `text` matters, alone or with what is glued to it."""
        return any(
            word in self.words
            or word.endswith(("girl", "boy", "girls", "boys"))
            or any(word[:length] in self.begins for length in self.begin_lengths)
            or any(glue in word for glue in self.glued)
            for word in _RUN.findall(text)
        )


def readings(text: str, lexicon: Lexicon) -> Iterator[Reading]:
    """A text as it stands, in small letters, then what else its disguised words could say."""
    visible = _visible(text)
    plain = _small(visible)
    yield Reading(text=plain)
    pieces, small = _PIECES.split(visible), _PIECES.split(plain)
    words = pieces[::2]
    known = {word: _ways(word, lexicon.spellings) for word in set(words) if _is_odd(word)}
    odd = {2 * place: known[word] for place, word in enumerate(words) if word in known}
    seen: set[str] = set()
    for way, places in _changes(small, odd, lexicon):
        reading = _excerpt(small, {place: ways[way] for place, ways in odd.items()}, places)
        if reading.text not in seen:
            seen.add(reading.text)
            yield reading


def _changes(
    small: list[str], odd: Mapping[int, tuple[str, ...]], lexicon: Lexicon
) -> Iterator[tuple[int, list[int]]]:
    """Each way of reading that says something new, and where: once for every word, and once for all together."""
    changed: defaultdict[int, list[int]] = defaultdict(list)
    for place, ways in odd.items():
        telling = {reading for reading in {*ways} - {small[place]} if _tells(reading, place, small, lexicon)}
        for reading in telling:
            changed[ways.index(reading)].append(place)
        for way in _THOROUGH:
            if ways[way] in telling:
                changed[way].append(place)
    return ((way, list(dict.fromkeys(places))) for way, places in sorted(changed.items()))


def _tells(reading: str, place: int, small: list[str], lexicon: Lexicon) -> bool:
    """True where a word, read so, matters: by itself, as a half of a torn word, a letter of a spelled
    one, or beside a number.
    """
    before, after = small[max(0, place - 2)], small[min(len(small) - 1, place + 2)]
    if lexicon.holds(reading) or _DIGIT.search(f"{before} {reading[:1]} {after}"):
        return True
    if len(reading) == 1:
        return len(before) == 1 or len(after) == 1
    return before + reading in lexicon.words or reading + after in lexicon.words


def _is_odd(word: str) -> bool:
    if word.isascii() and word.isalpha() and word.islower():
        return bool(_STRETCHED.search(word))
    return bool(_ODD.search(word)) and not _PLAIN_NUMBER.fullmatch(word)


def _ways(word: str, spellings: Mapping[str, str]) -> tuple[str, ...]:
    """Every reading of one word, the same disguise at the same place for every word."""
    bare = without_accents(_small(word))
    alike = bare if bare.isascii() else bare.translate(_LOOKALIKES)
    plain = _letters(bare, spellings)
    return (
        bare,
        _small(_HUMP.sub(" ", word)),
        *plain,
        *(plain if alike == bare else _letters(alike, spellings)),
    )


def _letters(word: str, spellings: Mapping[str, str]) -> tuple[str, ...]:
    """A word without signs for letters, signs between letters, and letters said too often."""
    found: list[str] = []
    for letters in (word, _unleeted(word, _LEET), _unleeted(word, _LEET_ONE_AS_L)):
        joined = _INSIDE.sub("", letters)
        found += [letters, joined, _STRETCHED.sub(r"\1", joined), _STRETCHED.sub(r"\1\1", joined)]
        found.append(_respelled(letters, spellings))
    return tuple(found)


def _respelled(text: str, spellings: Mapping[str, str]) -> str:
    """Stretched words as they are known to be written: "schooool" and "teeeeen" keep two."""
    if not _STRETCHED.search(text):
        return text
    return _RUN.sub(lambda run: spellings.get(unrepeated(run[0]), run[0]), text)


def unrepeated(word: str) -> str:
    """A word with every repeated letter said once."""
    return _REPEATED.sub(r"\1", word)


def _excerpt(small: list[str], said: Mapping[int, str], changed: list[int]) -> Reading:
    """The changed words with their neighbours, in their order, CUT where something is left out."""
    parts: list[str] = []
    spans: list[tuple[int, int]] = []
    upto = length = 0
    centres = frozenset(changed)
    for place in sorted(changed):
        begins = max(upto, place - 2 * _NEIGHBOURS)
        ends = min(len(small), place + 2 * _NEIGHBOURS + 1)
        if begins > upto:
            parts.append(CUT)
            length += 1
        for here in range(begins, ends):
            parts.append(said.get(here, small[here]))
            length += len(parts[-1])
            if here in centres:
                spans.append((length - len(parts[-1]), length))
        upto = max(upto, ends)
    return Reading(text="".join([*parts, CUT] if upto < len(small) else parts), changed=spans)


def _small(text: str) -> str:
    return text.casefold().replace("ё", "е")


def _unleeted(word: str, leet: Mapping[int, int]) -> str:
    """Digits and signs as the letters they stand for; a number in front stays one ("16y0")."""
    numbered = _NUMBERED.fullmatch(word)
    if numbered:
        return numbered[1] + _unleeted(numbered[2], leet)
    # A digit that stands for no letter makes it a number: "346yo" must not turn into a six.
    letters = word.translate(leet)
    spelled = any(char.isalpha() for char in word) and not any(char.isdigit() for char in letters)
    return letters if spelled else word


class _Seen(dict[int, str]):
    """How each character is seen: not at all, as a western digit, or in its plain form."""

    def __missing__(self, code: int) -> str:
        seen = _seen(chr(code))
        if len(self) < _MOST_KNOWN:
            self[code] = seen
        return seen


def _seen(char: str) -> str:
    if char in _INVISIBLE or unicodedata.category(char) in {"Cf", "Co"}:
        return ""
    if char in _FRACTIONS:
        return ".5"
    if char in _APOSTROPHES:
        return "'"
    return str(unicodedata.decimal(char)) if char.isdecimal() else unicodedata.normalize("NFKC", char)


_SEEN = _Seen()


def _visible(text: str) -> str:
    seen = text if text.isascii() else unicodedata.normalize("NFKC", text.translate(_SEEN))
    seen = seen.replace("`", "'")
    return _GAPS.sub(" ", seen.replace("_", " "))


def without_accents(text: str) -> str:
    """Latin letters without their marks; other scripts keep theirs, where they make another letter."""
    if text.isascii():
        return text
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
