"""What people type to find jobs, read as terms (SPEC "Audit": Jobs). Pure: nothing is asked of a database here.

    status:failed,cancelled -provider:sketch cost>0.1 took>30s since:2d error:STUCK "lost its face"

Terms stand together (all must hold), values behind one key may be several (one must hold), `-` in front turns a term
round. What cannot be read is never dropped: `parse` says where it stands, what was expected and what is near, and
whoever shows a list shows none then.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

from core.audit.jobs import JobState
from core.errors import BadRequest

LONGEST = 500  # characters of a whole filter
MOST_TERMS = 20
MOST_VALUES = 20  # behind one key
TYPES: Mapping[str, str] = {  # as people say it, and as a job's metadata.destination has it
    "portrait": "character_portrait",
    "scene": "character_scene",
    "attribute": "attribute_image",
}
UNKNOWN_COST = "unknown"
ME = "me"
_MOST_DOLLARS = Decimal(1_000_000)
_MOST_SECONDS = Decimal(366 * 86_400)
_LONGEST_SPAN = timedelta(days=3660)
_MOST_DECIMALS = 6
_SHORTEST_ID = 4  # hex digits that may stand for an id
_LIKE = 0.55  # how much of a word another shares that is taken for a slip
_SURE_ID = 8  # hex digits that, standing by themselves, are an id and no word


class Field(StrEnum):
    """What has values to choose from."""

    status = "status"
    provider = "provider"
    model = "model"
    error = "error"
    character = "character"
    user = "user"
    type = "type"
    job = "job"


class Amount(StrEnum):
    """What is compared with a number: dollars, and seconds from the ask to the end."""

    cost = "cost"
    took = "took"


class Edge(StrEnum):
    """When a job was asked for: from then on, or until then."""

    since = "since"
    until = "until"


KEYS: Mapping[str, str] = {
    Field.status: "where it stands: failed, queued, outcome_unknown …",
    Field.provider: "who ran it: fal, replicate …",
    Field.model: "a model's name or key",
    Field.error: "an error's code, or a part of it",
    Field.character: "a character's name or id",
    Field.user: "me, or the beginning of a person's id",
    Field.type: "portrait, scene or attribute",
    Field.job: "the beginning of a job's id",
    Amount.cost: "dollars: cost>0.1, or cost:unknown",
    Amount.took: "from the ask to the end: took>30s",
    Edge.since: "asked since: 2d, 6h, or 2026-11-20",
    Edge.until: "asked until: 2d, 6h, or 2026-11-20",
}
"""Every key, and what stands behind it, in a few words."""


class Unreadable(BadRequest):
    """A filter, or a part of it, that says nothing this can look for. `at` and `length` mark the part in the text,
    `found` is the word in it that is meant; `nearest` is a known one like it, "" where there is none.
    """

    def __init__(
        self, sentence: str, *, at: int, length: int, expected: str, found: str = "", nearest: str = ""
    ) -> None:
        super().__init__(sentence, field="q", code="FILTER_UNREADABLE")
        self.at = at
        self.length = length
        self.expected = expected
        self.found = found
        self.nearest = nearest


@dataclass(frozen=True, kw_only=True)
class Among:
    """One of `values` (for `turned`: none of them)."""

    key: Field
    values: tuple[str, ...]
    turned: bool = False
    at: int = field(default=0, compare=False)
    length: int = field(default=0, compare=False)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """`sign` is one of > >= < <= =; `number` in dollars or seconds."""

    amount: Amount
    sign: str
    number: Decimal


@dataclass(frozen=True, kw_only=True)
class CostUnknown:
    """The cost is not known; `turned`: it is."""

    turned: bool = False


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Asked for since or until `when`: so long ago, on a day, or at a moment without a zone (the reader's own)."""

    edge: Edge
    when: timedelta | date | datetime


@dataclass(frozen=True, kw_only=True)
class Words:
    """Words that stand somewhere in the job; in any case."""

    text: str = field(repr=False)
    turned: bool = False


Term: TypeAlias = Among | Compared | CostUnknown | Asked | Words


@dataclass(frozen=True, kw_only=True)
class Query:
    """A filter as it was read; without terms it narrows nothing."""

    terms: tuple[Term, ...] = ()

    def among(self, wanted: Field, *, turned: bool = False) -> Among | None:
        """The term of that field, where there is one."""
        found = (one for one in self.terms if isinstance(one, Among) and one.key is wanted)
        return next((one for one in found if one.turned == turned), None)

    @property
    def words(self) -> tuple[Words, ...]:
        """Everything that is searched as words."""
        return tuple(one for one in self.terms if isinstance(one, Words))


# -- reading ----------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(r'\s*(-?(?:[^\s"]|"(?:[^"\\]|\\.)*")+)', re.DOTALL)
_KEYED = re.compile(r'([^\s":<>=]+)(:|>=|<=|>|<|=)(.*)', re.DOTALL)
_VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"|([^",]*)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)
_SPAN = re.compile(r"(\d{1,6})(m|h|d|w)", re.ASCII)
_LASTED = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)?", re.ASCII)
_ID = re.compile(r"[0-9a-f]{4,32}")
_CODE = re.compile(r"[A-Z0-9_.-]{1,60}")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?", re.ASCII)
_YEARS = range(2000, 2101)
_UNITS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_SPANS = {"w": timedelta(weeks=1), "d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One piece of the text between two spaces; `at` is where it begins."""

    text: str
    at: int

    def wrong(self, sentence: str, *, expected: str, found: str = "", nearest: str = "") -> Unreadable:
        return Unreadable(
            sentence, at=self.at, length=len(self.text), expected=expected, found=found, nearest=nearest
        )


def parse(text: str) -> Query:
    """What `text` asks for; no terms where it is blank. Raises Unreadable."""
    if len(text) > LONGEST:
        raise Unreadable(
            f"A filter has at most {LONGEST} characters; this has {len(text)}.",
            at=LONGEST,
            length=len(text) - LONGEST,
            expected="a shorter filter",
        )
    _refuse_unsendable(text)
    parts = list(_parts(text))
    terms = tuple(map(_term, parts))
    _refuse_many(terms, text)
    _refuse_twice(terms, parts)
    return Query(terms=terms)


def _refuse_unsendable(text: str) -> None:
    """No database takes a NUL or half of a character."""
    at = next((place for place, one in enumerate(text) if one == "\0" or "\ud800" <= one <= "\udfff"), None)
    if at is not None:
        raise Unreadable("This character cannot be searched for.", at=at, length=1, expected="another one")


def _parts(text: str) -> Iterator[_Part]:
    place = 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None or '"' in _unquoted(found[1]):
            at = place + len(text[place:]) - len(text[place:].lstrip())
            raise Unreadable(
                "A quotation mark is opened here and not closed.",
                at=at,
                length=len(text) - at,
                expected='a closing "',
            )
        yield _Part(text=found[1], at=found.start(1))
        place = found.end()


def _unquoted(text: str) -> str:
    """What stands outside of quotes."""
    return re.sub(r'"(?:[^"\\]|\\.)*"', "", text, flags=re.DOTALL)


def _term(part: _Part) -> Term:
    turned = part.text.startswith("-")
    body = part.text[1:] if turned else part.text
    if not body:
        raise part.wrong("A minus stands alone.", expected="a term directly behind it, as in -status:failed")
    keyed = _KEYED.fullmatch(body)
    if keyed is None or body.startswith('"'):
        return _words(part, body, turned=turned)
    key, sign, rest = keyed[1].lower(), keyed[2], keyed[3]
    if key not in KEYS:
        raise part.wrong(
            f"“{keyed[1]}” is nothing to filter by.",
            expected=f"one of {', '.join(KEYS)}; or the whole in quotes, to look for the words",
            found=keyed[1],
            nearest=nearest(key, list(KEYS)),
        )
    if key in set(Amount):
        return _amount(part, Amount(key), sign, rest, turned=turned)
    if sign != ":":
        raise part.wrong(f"“{key}” is not compared.", expected=f"{key}:", found=body, nearest=f"{key}:{rest}")
    if key in set(Edge):
        return _edge(part, Edge(key), rest, turned=turned)
    return _among(part, Field(key), rest, turned=turned)


def _words(part: _Part, body: str, *, turned: bool) -> Term:
    quoted = _QUOTED.fullmatch(body)
    if quoted is None and '"' in body:
        raise part.wrong("A word and a quotation stand without a space.", expected="a space between them")
    if quoted is None and _is_sure_id(body):
        digits = body.replace("-", "").lower()
        return Among(key=Field.job, values=(digits,), turned=turned, at=part.at, length=len(part.text))
    text = " ".join((_ESCAPED.sub(r"\1", quoted[1]) if quoted else body).split())
    if not text:
        raise part.wrong("The quotation is empty.", expected="words between the marks")
    return Words(text=text, turned=turned)


def _is_sure_id(word: str) -> bool:
    """Eight hex digits and more with a number among them are an id; `facade` is a word."""
    digits = word.replace("-", "").lower()
    return len(digits) >= _SURE_ID and bool(_ID.fullmatch(digits)) and any(map(str.isdigit, digits))


def _among(part: _Part, wanted: Field, rest: str, *, turned: bool) -> Among:
    values = tuple(_values(part, wanted, rest))
    if len(values) > MOST_VALUES:
        raise part.wrong(
            f"“{wanted}” names {len(values)} values.", expected=f"at most {MOST_VALUES} behind one key"
        )
    fitted = tuple(dict.fromkeys(_fitted(part, wanted, value) for value in values))
    return Among(key=wanted, values=fitted, turned=turned, at=part.at, length=len(part.text))


def _values(part: _Part, wanted: Field, rest: str) -> Iterator[str]:
    place = 0
    while True:
        found = _VALUE.match(rest, place)
        assert found is not None  # noqa: S101 - its second half matches nothing as well
        value = found[2] if found[1] is None else _ESCAPED.sub(r"\1", found[1])
        if not value.strip():
            raise part.wrong(f"A value is missing behind “{wanted}:”.", expected=KEYS[wanted])
        yield " ".join(value.split())
        place = found.end()
        if place == len(rest):
            return
        if rest[place] != ",":
            raise part.wrong("Two values stand without a comma.", expected="a comma between them")
        place += 1


def _fitted(part: _Part, wanted: Field, value: str) -> str:
    """The value as it is compared. Raises Unreadable where it can be no value of that field."""
    if wanted is Field.status:
        return _status(part, value)
    if wanted is Field.error:
        return _code(part, value)
    if wanted is Field.type:
        return _type(part, value)
    if wanted is Field.job or (wanted is Field.user and value.lower() != ME):
        return _identity(part, wanted, value)
    return value.lower() if wanted in {Field.provider, Field.user} else value


def _status(part: _Part, value: str) -> str:
    word = value.lower().replace(" ", "_")
    word = JobState.outcome_unknown.value if word == "unknown" else word
    if word not in set(JobState):
        raise part.wrong(
            f"“{value}” is no status.",
            expected=f"one of {', '.join(JobState)}",
            found=value,
            nearest=nearest(word, list(JobState)),
        )
    return word


def _type(part: _Part, value: str) -> str:
    said = {destination: word for word, destination in TYPES.items()} | {word: word for word in TYPES}
    if (found := said.get(value.lower())) is None:
        raise part.wrong(
            f"“{value}” is no type of job.",
            expected=f"one of {', '.join(TYPES)}",
            found=value,
            nearest=nearest(value, list(TYPES)),
        )
    return found


def _code(part: _Part, value: str) -> str:
    code = value.upper().replace(" ", "_")
    if not _CODE.fullmatch(code):
        raise part.wrong(f"“{value}” is no part of an error's code.", expected="letters, as in error:STUCK")
    return code


def _identity(part: _Part, wanted: Field, value: str) -> str:
    digits = value.lower().replace("-", "")
    if not _ID.fullmatch(digits):
        or_me = "me, or " if wanted is Field.user else ""
        raise part.wrong(
            f"“{value}” cannot begin an id.",
            expected=f"{or_me}{_SHORTEST_ID} to 32 of the digits 0–9 and a–f",
        )
    return digits


def _amount(part: _Part, amount: Amount, sign: str, rest: str, *, turned: bool) -> Term:
    if amount is Amount.cost and sign in {":", "="} and rest.lower() == UNKNOWN_COST:
        return CostUnknown(turned=turned)
    if sign == ":":
        raise part.wrong(f"“{amount}” is compared with a number.", expected=KEYS[amount])
    if turned:
        raise part.wrong(
            f"“{amount}” is not turned round by a minus.", expected="the other sign, as in cost<=0.1"
        )
    number = _dollars(part, rest) if amount is Amount.cost else _seconds(part, rest)
    return Compared(amount=amount, sign=sign, number=number)


def _dollars(part: _Part, text: str) -> Decimal:
    plain = text.removeprefix("$")
    if not _NUMBER.fullmatch(plain):
        raise part.wrong(f"“{text}” is no amount.", expected="dollars, as in cost>0.1")
    amount = Decimal(plain)
    if amount > _MOST_DOLLARS or -int(amount.as_tuple().exponent) > _MOST_DECIMALS:
        raise part.wrong(
            f"“{text}” is no amount of the ledger.", expected=f"up to ${_MOST_DOLLARS:,}, six decimals"
        )
    return amount.normalize()


def _seconds(part: _Part, text: str) -> Decimal:
    found = _LASTED.fullmatch(text.lower())
    if found is None:
        raise part.wrong(
            f"“{text}” is no length of time.", expected="a number and ms, s, m, h or d: took>30s"
        )
    seconds = Decimal(found[1]) * _UNITS[found[2] or "s"]
    if seconds > _MOST_SECONDS:
        raise part.wrong(f"“{text}” is longer than any job.", expected="at most a year")
    return seconds.normalize()


def _edge(part: _Part, edge: Edge, text: str, *, turned: bool) -> Asked:
    if turned:
        other = Edge.until if edge is Edge.since else Edge.since
        raise part.wrong(
            f"“{edge}” is not turned round by a minus.",
            expected=f"{other}:{text}",
            found=part.text,
            nearest=f"{other}:{text}",
        )
    plain = text.strip('"')
    if span := _SPAN.fullmatch(plain.lower()):
        when = int(span[1]) * _SPANS[span[2]]
        if when > _LONGEST_SPAN:
            raise part.wrong(f"“{text}” is too long ago.", expected="at most ten years")
        return Asked(edge=edge, when=when)
    return Asked(edge=edge, when=_day_or_moment(part, plain))


def _day_or_moment(part: _Part, text: str) -> date | datetime:
    read = date.fromisoformat if _DAY.fullmatch(text) else datetime.fromisoformat
    if _DAY.fullmatch(text) or _MOMENT.fullmatch(text):
        with contextlib.suppress(ValueError):  # 2026-02-31
            found = read(text)
            if found.year in _YEARS:
                return found
    raise part.wrong(
        f"“{text}” is no time.", expected="2d, 6h, 30m, 2w; or a day, 2026-11-20; or 2026-11-20T14:30"
    )


def nearest(word: str, known: Sequence[str]) -> str:
    """The known word most like `word`, in any case; "" where none is like it."""
    folded = {str(one).casefold(): str(one) for one in known}
    close = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=_LIKE)
    return folded[close[0]] if close else ""


def _refuse_many(terms: Sequence[Term], text: str) -> None:
    if len(terms) > MOST_TERMS:
        raise Unreadable(
            f"A filter has at most {MOST_TERMS} terms; this has {len(terms)}.",
            at=0,
            length=len(text),
            expected="fewer terms",
        )


def _refuse_twice(terms: Sequence[Term], parts: Sequence[_Part]) -> None:
    """A key twice means nothing that one could not say: two values of one key stand behind one."""
    seen: set[tuple[str, bool]] = set()
    for term, part in zip(terms, parts, strict=True):
        if (once := _once(term)) is None:
            continue
        if once in seen:
            raise part.wrong(
                f"“{once[0]}” stands twice.",
                expected="one of them; several values as in status:failed,queued",
            )
        seen.add(once)


def _once(term: Term) -> tuple[str, bool] | None:
    """What may stand once only; None for what may stand often."""
    match term:
        case Among():
            return term.key, term.turned
        case Asked():
            return term.edge, False
        case CostUnknown():
            return f"{Amount.cost}:{UNKNOWN_COST}", False
        case _:
            return None


# -- saying -----------------------------------------------------------------------------------------------------------


def show(query: Query) -> str:
    """The filter as it is typed; `parse(show(query)) == query`."""
    return " ".join(map(_shown, query.terms))


def _shown(term: Term) -> str:
    match term:
        case Among():
            return f"{_minus(turned=term.turned)}{term.key}:{','.join(map(_quoted, term.values))}"
        case Words():
            text = term.text.replace("\\", "\\\\").replace('"', '\\"')
            return f'{_minus(turned=term.turned)}"{text}"'
        case CostUnknown():
            return f"{_minus(turned=term.turned)}{Amount.cost}:{UNKNOWN_COST}"
        case Compared():
            unit = "s" if term.amount is Amount.took else ""
            return f"{term.amount}{term.sign}{term.number:f}{unit}"
        case Asked():
            return f"{term.edge}:{_when(term.when)}"


def _minus(*, turned: bool) -> str:
    return "-" if turned else ""


def _quoted(value: str) -> str:
    """A value as it stands behind a key: in quotes where a space or a sign would end it."""
    if re.fullmatch(r'[^\s",\\]+', value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _when(when: timedelta | date | datetime) -> str:
    if isinstance(when, timedelta):
        unit = next((unit for unit, span in _SPANS.items() if not when % span and when), "m")
        return f"{when // _SPANS[unit]}{unit}"
    return when.isoformat()


def moment(when: timedelta | date | datetime, edge: Edge, now: datetime, zone: tzinfo) -> datetime:
    """`when` as a point of time: a day begins (for `since`) or ends (for `until`) at midnight of the reader's zone."""
    if isinstance(when, timedelta):
        return now - when
    if isinstance(when, datetime):
        return when.replace(tzinfo=zone).astimezone(UTC)
    day = when if edge is Edge.since else when + timedelta(days=1)
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def mended(text: str, wrong: Unreadable) -> str | None:
    """`text` with the nearest known word in the place of the one that was wrong; None where there is none."""
    part = text[wrong.at : wrong.at + wrong.length]
    place = part.casefold().find(wrong.found.casefold()) if wrong.found and wrong.nearest else -1
    if place < 0:
        return None
    put = wrong.nearest if ":" in wrong.nearest else _quoted(wrong.nearest)
    new = f"{part[:place]}{put}{part[place + len(wrong.found) :]}"
    return f"{text[: wrong.at]}{new}{text[wrong.at + wrong.length :]}"


# -- while typing -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Typing:
    """The last piece of a text that is being typed: `before` is what stands, `key` is None while a key is typed."""

    before: str
    turned: bool
    key: str | None
    begun: str


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A way on: `text` is the whole filter with it, `label` what is offered, `hint` what it means."""

    text: str
    label: str
    hint: str = ""


def typing(text: str) -> Typing:
    """What is being typed at the end of `text`."""
    cut = max(_last_space(text) + 1, 0)
    before, last = text[:cut], text[cut:]
    turned = last.startswith("-")
    body = last[1:] if turned else last
    key, colon, value = body.partition(":")
    if not colon or key.lower() not in set(Field):
        return Typing(before=before, turned=turned, key=None, begun=body)
    done, comma, begun = value.rpartition(",")
    return Typing(
        before=f"{before}{_minus(turned=turned)}{key}:{done}{comma}",
        turned=turned,
        key=key.lower(),
        begun=begun.strip('"'),
    )


def _last_space(text: str) -> int:
    """Where the last piece begins: a space inside of quotes ends nothing."""
    inside, found = False, -1
    for place, letter in enumerate(text):
        inside ^= letter == '"'
        if letter.isspace() and not inside:
            found = place
    return found


def suggestions(text: str, known: Mapping[str, Sequence[str]], *, most: int = 8) -> list[Suggestion]:
    """Ways on from `text`: keys, or values of `known` (by key) for the key that is being typed; best first."""
    now = typing(text)
    if now.key is None:
        return _keys(now, most)
    begun = now.begun.casefold()
    fitting = [one for one in known.get(now.key, ()) if begun in one.casefold() and one.casefold() != begun]
    fitting.sort(key=lambda one: not one.casefold().startswith(begun))
    return [Suggestion(text=f"{now.before}{_quoted(one)} ", label=one) for one in fitting[:most]]


def _keys(now: Typing, most: int) -> list[Suggestion]:
    begun = now.begun.casefold()
    fitting = [key for key in KEYS if key.startswith(begun)]
    return [
        Suggestion(
            text=f"{now.before}{_minus(turned=now.turned)}{key}{'>' if key in set(Amount) else ':'}",
            label=f"{key}{'>' if key in set(Amount) else ':'}",
            hint=KEYS[key],
        )
        for key in fitting[:most]
    ]
