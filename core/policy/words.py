"""Words that describe a minor, found in one pass over a text's words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise

from core.policy.disguises import LETTER, Lexicon, Reading, unrepeated
from core.policy.surroundings import (
    NO_LETTER_AFTER,
    NO_LETTER_BEFORE,
    Surroundings,
    around,
    either,
    family_of,
    touching,
)
from core.policy.tables import Tables, UnspacedTable, WordTable

_WORD = re.compile(rf"{LETTER}+")
_BETWEEN = re.compile(r"[\s\-.']*\Z")
_FAR = re.compile("[\u0600-\ud7ff\uf900-\U0002ffff]")  # all but our own signs
_GLUE = ("girl", "girls", "boy", "boys")
_GLUED = re.compile("(.{3,}?)(?:girl|boy)s?")
_STEM = 3  # letters by which words with a star are found
_BEGIN = 6  # letters by which a glued word ("sixteenyearold") is known
_TORN_LENGTH = 5  # torn in two, a shorter word appears by chance ("te en")
_SPELLED_LENGTH = 4  # spelled with gaps, this much is no accident
_SPELLED_LETTERS = 3
_SPELLED_RUN = re.compile(rf"(?<!{LETTER})(?:{LETTER}[\W_]{{1,3}}){{2,}}{LETTER}(?!{LETTER})")
_MASKED = re.compile(rf"(?<!{LETTER}){LETTER}+[*#]{{1,2}}{LETTER}{{2,}}(?!{LETTER})")


@dataclass(frozen=True, kw_only=True)
class _Phrase:
    """A word of a table, as it must stand where gaps count, and what excuses it."""

    exactly: str | None
    cuts: frozenset[int]  # after how many letters it may have a gap
    surroundings: Surroundings

    def hits(self, reading: Reading, start: int, end: int) -> bool:
        if self.exactly is not None and reading.text[start:end] != self.exactly:
            return False
        return reading.counts(start, end) and not self.surroundings.excuse(reading.text, start, end)


@dataclass(frozen=True, kw_only=True)
class _Expression:
    cue: str
    pattern: re.Pattern[str]
    surroundings: Surroundings

    def hits(self, reading: Reading) -> bool:
        return self.cue in reading.text and any(
            reading.counts(found.start(), found.end())
            and not self.surroundings.excuse(reading.text, found.start(), found.end())
            for found in self.pattern.finditer(reading.text)
        )


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Every word of the tables, by its letters without gaps."""

    phrases: Mapping[str, tuple[_Phrase, ...]]
    begins: frozenset[str]  # what the first word of a phrase may be, its gaps closed or not
    stems: Mapping[str, tuple[tuple[str, _Phrase], ...]]
    longest: int  # words of a phrase
    expressions: tuple[_Expression, ...]
    unspaced: tuple[_Expression, ...]
    signs: frozenset[str]
    in_pieces: frozenset[str]

    def hit(self, written: Reading) -> bool:
        """True where a text, its numbers written as signs, holds a word that nothing beside it excuses."""
        return (
            self._hit_word(written)
            or any(expression.hits(written) for expression in self.expressions)
            or (not written.text.isascii() and self._hit_far(written))
        )

    def hit_in_pieces(self, text: str) -> bool:
        """True where a word was spelled letter by letter, torn in two, or masked with stars."""
        return self._spelled(text) or self._torn(text) or self._masked(text)

    def _hit_word(self, reading: Reading) -> bool:
        words = _WORD.findall(reading.text)
        known = {
            word
            for word in set(words)
            if word in self.begins or word[:_STEM] in self.stems or word.endswith(_GLUE)
        }
        worth = [place for place, word in enumerate(words) if word in known]
        if not worth:
            return False
        tokens = list(_WORD.finditer(reading.text))
        return any(
            self._phrase_at(place, tokens, reading)
            or self._stem_at(tokens[place], reading)
            or self._glued_at(tokens[place], reading)
            for place in worth
        )

    def _phrase_at(self, place: int, tokens: list[re.Match[str]], reading: Reading) -> bool:
        joined, cuts = "", set[int]()
        for here in range(place, min(len(tokens), place + self.longest)):
            if here > place and not _BETWEEN.match(
                reading.text, tokens[here - 1].end(), tokens[here].start()
            ):
                break
            joined += tokens[here][0]
            if joined not in self.begins:
                break
            start, end = tokens[place].start(), tokens[here].end()
            known = self.phrases.get(joined, ())
            if any(cuts <= phrase.cuts and phrase.hits(reading, start, end) for phrase in known):
                return True
            cuts.add(len(joined))
        return False

    def _stem_at(self, token: re.Match[str], reading: Reading) -> bool:
        known = self.stems.get(token[0][:_STEM], ())
        return any(
            token[0].startswith(stem) and phrase.hits(reading, token.start(), token.end())
            for stem, phrase in known
        )

    def _glued_at(self, token: re.Match[str], reading: Reading) -> bool:
        """A girl or boy glued to a word is the same word: "childgirl"."""
        found = _GLUED.fullmatch(token[0])
        known = self.phrases.get(found[1], ()) if found else ()
        return any(phrase.hits(reading, token.start(), token.end()) for phrase in known)

    def _hit_far(self, reading: Reading) -> bool:
        if not self.signs.isdisjoint(reading.text):
            return True
        return bool(_FAR.search(reading.text)) and any(one.hits(reading) for one in self.unspaced)

    def _spelled(self, text: str) -> bool:
        runs = ("".join(re.findall(LETTER, run)) for run in _SPELLED_RUN.findall(text))
        return any(
            run == word or (word in run and len(word) >= _SPELLED_LENGTH)
            for run in runs
            for word in self.in_pieces
        )

    def _torn(self, text: str) -> bool:
        pieces = text.split()
        return any(
            left + right in self.in_pieces
            and len(left) + len(right) >= _TORN_LENGTH
            # "under age 40" and "under aged beams" are everyday words; the tables look at them with care.
            and left != "under"
            for left, right in pairwise(pieces)
        )

    def _masked(self, text: str) -> bool:
        if "*" not in text and "#" not in text:
            return False
        masks = (re.compile(re.sub(r"[*#]", ".", token)) for token in _MASKED.findall(text))
        return any(mask.fullmatch(word) for mask in masks for word in self.in_pieces)


def vocabulary_of(tables: Tables) -> Vocabulary:
    """The tables' words as rules."""
    family = family_of(tables.relatives, tables.between)
    phrases: defaultdict[str, list[_Phrase]] = defaultdict(list)
    stems: defaultdict[str, list[tuple[str, _Phrase]]] = defaultdict(list)
    listed = (WordTable(words=tables.strong), *tables.words)
    for table in listed:
        surroundings = around(
            table.innocent_before, table.innocent_after, also=family if table.family else None
        )
        for word in table.words:
            phrase = _Phrase(exactly=None, cuts=_cuts(word), surroundings=surroundings)
            if word.endswith("*"):
                stems[word[:_STEM]].append((word.removesuffix("*"), phrase))
            else:
                phrases[_closed(word)].append(phrase)
        for word in table.exactly:
            phrases[_closed(word)].append(_Phrase(exactly=word, cuts=_cuts(word), surroundings=surroundings))
    words = [word for table in listed for word in (*table.words, *table.exactly)]
    return Vocabulary(
        phrases={word: tuple(known) for word, known in phrases.items()},
        begins=frozenset(begin for word in words if not word.endswith("*") for begin in _begins(word)),
        stems={stem: tuple(known) for stem, known in stems.items()},
        longest=max(len(_parts(word)) for word in words),
        expressions=tuple(one for table in tables.words for one in _expressions(table)),
        unspaced=tuple(map(_unspaced, tables.words_unspaced)),
        signs=frozenset(tables.emoji.signs),
        in_pieces=frozenset(map(_closed, (*tables.strong, *tables.in_pieces))),
    )


def lexicon_of(tables: Tables) -> Lexicon:
    """The words that the tables ask for."""
    listed = [
        *(*tables.spellings, *tables.strong, *tables.in_pieces),
        *(word for table in tables.words for word in (*table.words, *table.exactly)),
        *(number for table in tables.ages for number in (*table.numbers, *table.ordinals)),
    ]
    looked_for = [
        *(one.expression for table in tables.words for one in table.patterns),
        *(cue for table in tables.ages for cue in table.cues),
        *(text for table in tables.ages for form in table.forms for text in (form.before, form.after)),
        *tables.births.expressions,
    ]
    written = {part for word in listed for part in (*_parts(word), _closed(word))}
    known = {*written, *(part for text in looked_for for part in _parts(text))}
    stems = {word.removesuffix("*") for table in tables.words for word in table.words if word[-1] == "*"}
    begins = {word[:_BEGIN] for word in known if len(word) >= _BEGIN} | {stem[:_BEGIN] for stem in stems}
    return Lexicon(
        words=frozenset(word for word in known if len(word) > 1),
        spellings={
            unrepeated(word): word for word in sorted(written, key=len)
        },  # of two alike the longer one
        begins=frozenset(begins),
        glued=tuple(glue for table in tables.ages for glue in table.glued if len(glue) > _STEM),
        begin_lengths=tuple(sorted({len(begin) for begin in begins})),
    )


def _parts(word: str) -> list[str]:
    return _WORD.findall(word)


def _closed(word: str) -> str:
    return "".join(_parts(word))


def _cuts(word: str) -> frozenset[int]:
    return frozenset(accumulate(len(part) for part in _parts(word)))


def _begins(word: str) -> Iterable[str]:
    """What a phrase may begin as: "high", "highschool" or "highschoolgirl"."""
    parts = _parts(word)
    return ("".join(parts[:count]) for count in range(1, len(parts) + 1))


def _expressions(table: WordTable) -> Iterable[_Expression]:
    surroundings = around(table.innocent_before, table.innocent_after)
    for one in table.patterns:
        body = f"{NO_LETTER_BEFORE}(?:{one.expression}){NO_LETTER_AFTER}"
        yield _Expression(cue=one.cue, pattern=re.compile(body, re.MULTILINE), surroundings=surroundings)


def _unspaced(table: UnspacedTable) -> _Expression:
    words = (" *".join(map(re.escape, word)) for word in table.words)
    return _Expression(
        cue="",
        pattern=re.compile(either((*words, *table.expressions))),
        surroundings=touching(table.innocent_before, table.innocent_after),
    )
