"""The language of the jobs page: what is typed is read whole, or refused with a place, a reason and a way on."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.audit import job_filter as language
from core.audit.job_filter import (
    Among,
    Amount,
    Asked,
    Compared,
    CostUnknown,
    Edge,
    Field,
    Query,
    Unreadable,
    Words,
    parse,
    show,
)
from core.audit.jobs import JobState

WORD = (
    st.text("abXY09äßİ\"\\,:-><=' .…", min_size=1, max_size=9)
    .map(lambda text: " ".join(text.split()))
    .filter(bool)
)
IDENTITY = st.text("0123456789abcdef", min_size=4, max_size=32)
VALUES = {
    Field.status: st.sampled_from(JobState).map(str),
    Field.job: IDENTITY,
    Field.user: IDENTITY | st.just("me"),
    Field.error: st.text("AZ09_.-", min_size=1, max_size=9),
    Field.provider: st.text("az09.-", min_size=1, max_size=9),
    Field.type: st.sampled_from(sorted(language.TYPES)),
    Field.model: WORD,
    Field.character: WORD,
}


@st.composite
def amongs(draw):
    key = draw(st.sampled_from(Field))
    values = draw(st.lists(VALUES[key], min_size=1, max_size=3, unique=True))
    return Among(key=key, values=tuple(values), turned=draw(st.booleans()))


DOLLARS = st.decimals("0", "1000000", places=4).map(Decimal.normalize)
SECONDS = st.decimals("0", "30000000", places=3).map(Decimal.normalize)
SIGN = st.sampled_from([">", ">=", "<", "<=", "="])
SPAN = st.integers(0, 5000).map(lambda hours: timedelta(hours=hours)) | st.integers(0, 90).map(
    lambda minutes: timedelta(minutes=minutes)
)
DAY = st.dates(date(2000, 1, 1), date(2100, 12, 31))
MOMENT = st.datetimes(datetime(2000, 1, 1), datetime(2100, 12, 31)).map(  # noqa: DTZ001 - the reader's own zone
    lambda at: at.replace(microsecond=0)
)
TERM = (
    amongs()
    | st.builds(Compared, amount=st.just(Amount.cost), sign=SIGN, number=DOLLARS)
    | st.builds(Compared, amount=st.just(Amount.took), sign=SIGN, number=SECONDS)
    | st.builds(CostUnknown, turned=st.booleans())
    | st.builds(Asked, edge=st.sampled_from(Edge), when=SPAN | DAY | MOMENT)
    | st.builds(Words, text=WORD, turned=st.booleans())
)
QUERY = st.lists(TERM, max_size=4, unique_by=lambda term: language._once(term) or object()).map(
    lambda terms: Query(terms=tuple(terms))
)


@given(QUERY)
def test_a_filter_that_is_shown_is_read_as_the_same_filter(query):
    assert parse(show(query)) == query


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            [
                "status:",
                "failed",
                "-",
                '"',
                " ",
                ",",
                "cost",
                ">",
                "0.1",
                "since:",
                "2d",
                "\\",
                ":",
                "x",
                "took<",
                "é",
            ]
        ),
        max_size=14,
    ).map("".join)
)
def test_whatever_is_typed_is_read_or_refused_with_a_place_and_a_way_on(text):
    refusal = refusal_of(text)

    if refusal is None:
        query = parse(text)
        assert parse(show(query)) == query
        assert bool(query.terms) == bool(text.strip())
    else:
        assert 0 <= refusal.at <= refusal.at + refusal.length <= len(text)
        assert refusal.sentence
        assert refusal.expected


def refusal_of(text):
    try:
        parse(text)
    except Unreadable as error:
        return error
    return None


def test_the_example_of_the_product_is_read_as_it_says():
    query = parse(
        'status:failed provider:fal -model:seedream error:stuck cost>0.1 took>30s since:2d "two words"'
    )

    assert query.terms == (
        Among(key=Field.status, values=("failed",)),
        Among(key=Field.provider, values=("fal",)),
        Among(key=Field.model, values=("seedream",), turned=True),
        Among(key=Field.error, values=("STUCK",)),
        Compared(amount=Amount.cost, sign=">", number=Decimal("0.1")),
        Compared(amount=Amount.took, sign=">", number=Decimal(30)),
        Asked(edge=Edge.since, when=timedelta(days=2)),
        Words(text="two words"),
    )


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("status:Failed,unknown", Among(key=Field.status, values=("failed", "outcome_unknown"))),
        ('character:"Juniper Vale",Ada', Among(key=Field.character, values=("Juniper Vale", "Ada"))),
        ("type:attribute_image,Portrait", Among(key=Field.type, values=("attribute", "portrait"))),
        ("user:ME", Among(key=Field.user, values=("me",))),
        ("job:0123ABCD-00", Among(key=Field.job, values=("0123abcd00",))),
        ("0123abcd", Among(key=Field.job, values=("0123abcd",))),
        ("facadeee", Words(text="facadeee")),
        ("cost>=$0.10", Compared(amount=Amount.cost, sign=">=", number=Decimal("0.1"))),
        ("cost:unknown", CostUnknown()),
        ("-cost:unknown", CostUnknown(turned=True)),
        ("took<2m", Compared(amount=Amount.took, sign="<", number=Decimal(120))),
        ("took>500ms", Compared(amount=Amount.took, sign=">", number=Decimal("0.5"))),
        ("until:2026-11-20", Asked(edge=Edge.until, when=date(2026, 11, 20))),
        ("-refused", Words(text="refused", turned=True)),
        ('"status:failed"', Words(text="status:failed")),
        (r'"a \"quoted\" word"', Words(text='a "quoted" word')),
    ],
)
def test_a_term_is_read_as_people_mean_it(text, term):
    assert parse(text).terms == (term,)


@pytest.mark.parametrize(
    ("text", "at", "length", "nearest"),
    [
        ("status:faild", 0, 12, "failed"),
        ("refused staus:failed", 8, 12, "status"),
        ("since:2d probider:fal", 9, 12, "provider"),
        ("status>failed", 0, 13, "status:failed"),
        ("-since:2d", 0, 9, "until:2d"),
        ("status:failed status:queued", 14, 13, ""),
        ("status:", 0, 7, ""),
        ("status:failed,,queued", 0, 21, ""),
        ('character:"Ada"Ida', 0, 18, ""),
        ('said "never closed', 5, 13, ""),
        ("cost>cheap", 0, 10, ""),
        ("cost:0.1", 0, 8, ""),
        ("cost>0.1234567", 0, 14, ""),
        ("-took>3s", 0, 8, ""),
        ("took>400d", 0, 9, ""),
        ("since:yesterday", 0, 15, ""),
        ("since:2026-02-31", 0, 16, ""),
        ("since:0001-01-01", 0, 16, ""),
        ("type:portait", 0, 12, "portrait"),
        ("user:bob", 0, 8, ""),
        ("job:xyz", 0, 7, ""),
        ("a -", 2, 1, ""),
        ("nul\0", 3, 1, ""),
    ],
)
def test_what_cannot_be_read_is_marked_explained_and_answered_with_the_nearest_word(
    text, at, length, nearest
):
    with pytest.raises(Unreadable) as caught:
        parse(text)

    assert (caught.value.at, caught.value.length, caught.value.nearest) == (at, length, nearest)


@pytest.mark.parametrize(
    "text",
    ["x" * 501, " ".join(f"w{number}" for number in range(21)), "model:" + ",".join(map(str, range(21)))],
)
def test_a_filter_has_bounds_and_says_them(text):
    with pytest.raises(Unreadable, match=r"at most|names 21"):
        parse(text)


def test_a_day_is_whole_in_the_zone_of_the_person_who_reads():
    berlin = ZoneInfo("Europe/Berlin")
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    day = date(2026, 7, 1)

    assert language.moment(day, Edge.since, now, berlin) == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert language.moment(day, Edge.until, now, berlin) == datetime(2026, 7, 1, 22, tzinfo=UTC)
    assert language.moment(timedelta(days=2), Edge.since, now, berlin) == datetime(
        2026, 11, 18, 12, tzinfo=UTC
    )


def test_words_that_were_typed_stand_in_no_repr():
    assert "secret" not in repr(parse('"secret words"'))


KNOWN = {"status": ["failed", "queued"], "character": ["Juniper Vale", "Juno"], "provider": ["fal", "sketch"]}


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("", ["status:", "provider:", "model:"]),
        ("refused st", ["refused status:"]),
        ("co", ["cost>"]),
        ("-pro", ["-provider:"]),
        ("status:", ["status:failed ", "status:queued "]),
        ("since:2d status:failed,q", ["since:2d status:failed,queued "]),
        ('character:"juniper v', ['character:"Juniper Vale" ']),
        ("character:jun", ['character:"Juniper Vale" ', "character:Juno "]),
        ("provider:a", ["provider:fal "]),
        ("status:failed", []),
        ("status:failed ", ["status:failed status:", "status:failed provider:"]),
        ("nothing:x", []),
    ],
)
def test_what_is_offered_while_typing_leads_to_a_filter_one_can_read(text, offered):
    found = [one.text for one in language.suggestions(text, KNOWN)]

    assert found[: len(offered)] == offered
    assert bool(found) == bool(offered)


def test_every_offered_value_is_read():
    for text in ("status:", "provider:", 'character:"ju'):
        for one in language.suggestions(text, KNOWN):
            assert language.parse(one.text).terms


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("refused staus:failed since:2d", "refused status:failed since:2d"),
        ("-status:Faild,queued", "-status:failed,queued"),
        ("status>failed x", "status:failed x"),
        ("-since:2d", "until:2d"),
        ("type:portait", "type:portrait"),
        ("status:qqqq", None),
        ("cost>cheap", None),
    ],
)
def test_the_nearest_word_mends_the_filter_and_leaves_the_rest(text, mended):
    wrong = refusal_of(text)

    assert language.mended(text, wrong) == mended
    assert mended is None or parse(mended).terms
