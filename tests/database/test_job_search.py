"""Jobs found by what people type, on real Postgres and as the people who may ask."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from core import generation
from core.audit import causes, job_filter, job_search, jobs
from core.audit.job_filter import Unreadable
from core.audit.job_search import Reader
from core.audit.jobs import Counted, JobFilter, JobState
from core.errors import NotAllowed
from core.values import Role
from tests.builders import a_character, a_person, a_waiting_job

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def qa(services):
    return a_person(services.db, "quinn", Role.qa)


def put(services, *, ident=None, at=NOON, took=None, cost=None, said=None, **columns):
    """A job's row as another writer left it, with what the ledger says of it."""
    job_id = ident or uuid4()
    row = {
        "id": job_id,
        "user_id": uuid4(),
        "job_type": "character_portrait",
        "status": "completed",
        "metadata": "{}",
        "created_at": at,
        "completed_at": at + timedelta(seconds=took) if took is not None else None,
        "error_message": said,
    } | columns
    names = ", ".join(row)
    with services.db.as_service() as conn:
        conn.execute(
            f"INSERT INTO public.jobs ({names}) VALUES ({', '.join(f'%({name})s' for name in row)})", row
        )
        if cost is not None:
            conn.execute(
                """
                INSERT INTO studio.cost_entries (job_id, attempt, user_id, provider, model_key, kind, amount_usd)
                VALUES (%s, 1, %s, 'fal', 'm', 'computed', %s)
                """,
                (job_id, row["user_id"], None if cost == "unknown" else cost),
            )
    return job_id


def looked(services, person, text, base=None, **where):
    query, base = job_filter.parse(text), base or JobFilter()
    with services.db.as_reader(person) as conn:
        wanted = job_search.sought(conn, query, base, Reader(person=person.id, now=NOON))
        return job_search.page(conn, wanted, **where)


def ids(services, person, text, base=None, **where):
    return [row.id for row in looked(services, person, text, base, **where).rows]


def counted(services, person, text):
    with services.db.as_reader(person) as conn:
        wanted = job_search.sought(
            conn, job_filter.parse(text), JobFilter(), Reader(person=person.id, now=NOON)
        )
        return job_search.counts(conn, wanted, JobFilter())


def models_of(services, person):
    with services.db.as_reader(person) as conn:
        return jobs.models(conn)


@pytest.fixture
def some(services, qa):
    """Five jobs that differ in everything that is asked for."""
    fal = next(one for one in models_of(services, qa) if one.model_key == "fal-ai/flux/dev")
    sketch = next(one for one in models_of(services, qa) if one.provider == "sketch")
    return {
        "refused": put(
            services,
            at=NOON - timedelta(hours=1),
            status="failed",
            error_code="CONTENT_REFUSED",
            said="fal refused this prompt.",
            api_model_id=fal.id,
            took=4,
            cost=0,
        ),
        "stuck": put(
            services,
            at=NOON - timedelta(hours=2),
            status="failed",
            error_code="STUCK",
            said="No worker took it up.",
            took=900,
            metadata='{"destination": "attribute_image"}',
        ),
        "dear": put(services, at=NOON - timedelta(hours=3), api_model_id=fal.id, took=40, cost="0.25"),
        "drawn": put(
            services,
            at=NOON - timedelta(days=3),
            api_model_id=sketch.id,
            took=2,
            cost="unknown",
            original_prompt="an otter with an umbrella",
        ),
        "lost": put(
            services, at=NOON - timedelta(days=9), status="processing", stage="outcome_unknown", user_id=qa.id
        ),
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["refused", "stuck", "dear", "drawn", "lost"]),
        ("status:failed", ["refused", "stuck"]),
        ("status:failed,unknown", ["refused", "stuck", "lost"]),
        ("-status:failed", ["dear", "drawn", "lost"]),
        ("provider:fal", ["refused", "dear"]),
        ("-provider:fal", ["stuck", "drawn", "lost"]),
        ("provider:fal,sketch status:completed", ["dear", "drawn"]),
        ("model:fal-ai/flux/dev", ["refused", "dear"]),
        ("error:stuck", ["stuck"]),
        ("error:refused,stuck", ["refused", "stuck"]),
        ("-error:STUCK status:failed", ["refused"]),
        ("type:attribute", ["stuck"]),
        ("-type:attribute status:failed", ["refused"]),
        ("cost>0.1", ["dear"]),
        ("cost<=0.25 provider:fal", ["refused", "dear"]),
        ("cost:unknown", ["drawn"]),
        ("-cost:unknown", ["refused", "dear"]),
        ("took>30s", ["stuck", "dear"]),
        ("took<3s", ["drawn"]),
        ("since:1d", ["refused", "stuck", "dear"]),
        ("until:2d", ["drawn", "lost"]),
        ("since:4d until:2d", ["drawn"]),
        ("user:me", ["lost"]),
        ("-user:me since:1d", ["refused", "stuck", "dear"]),
        ("umbrella", ["drawn"]),
        ("OTTER umbrella", ["drawn"]),
        ('"content refused"', ["refused"]),
        ("content refu", ["refused"]),
        ("-worker status:failed", ["refused"]),
        ("nosuchword", []),
    ],
)
def test_every_term_finds_its_jobs_and_no_others(services, qa, some, text, found):
    assert ids(services, qa, text) == [some[name] for name in found]


def test_the_beginning_of_an_id_finds_the_job_as_a_term_and_as_a_word(services, qa):
    wanted = put(services, ident=UUID("0123abcd-0000-4000-8000-000000000001"))
    put(services, ident=UUID("0123abce-0000-4000-8000-000000000002"))

    assert ids(services, qa, "job:0123ABCD") == [wanted]
    assert ids(services, qa, "0123abcd") == [wanted]
    assert ids(services, qa, str(wanted)) == [wanted]
    assert len(ids(services, qa, "0123")) == 2


def test_a_character_is_found_by_name_by_the_beginning_of_it_and_by_id(services, ana, qa):
    vale = a_character(ana, services, name="Juniper Vale")
    other = a_character(ana, services, name="Juniper Valentine")
    first, second = (
        a_waiting_job(ana, services, vale).job_id,
        a_waiting_job(ana, services, other).job_id,
    )

    assert ids(services, qa, 'character:"juniper vale"') == [first]
    assert set(ids(services, qa, "character:juni")) == {first, second}
    assert ids(services, qa, f"character:{other.id}") == [second]
    assert ids(services, qa, "valentine") == [second]


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("provider:fla", "fal"),
        ("model:nosuch", ""),
        ("error:STUK", "STUCK"),
        ("character:Juniter", "Juniper Vale"),
    ],
)
def test_a_name_that_is_nobody_s_is_said_and_never_taken_for_everybody(
    services, ana, qa, some, text, nearest
):
    a_character(ana, services, name="Juniper Vale")

    with pytest.raises(Unreadable) as caught:
        ids(services, qa, f"since:2d {text}")

    assert (caught.value.at, caught.value.length) == (9, len(text))
    assert caught.value.nearest == nearest


def test_the_side_bar_and_the_box_narrow_together(services, qa, some):
    states = JobFilter(states=(JobState.failed, JobState.completed))

    assert ids(services, qa, "provider:fal status:failed", states) == [some["refused"]]
    assert ids(services, qa, "status:failed", JobFilter(states=(JobState.completed,))) == []
    assert ids(services, qa, "", JobFilter(provider="fal", since=NOON - timedelta(hours=2))) == [
        some["refused"]
    ]
    assert ids(services, qa, "model:flux", JobFilter(provider="sketch")) == []
    assert ids(services, qa, "", JobFilter(person_id=qa.id)) == [some["lost"]]
    assert ids(services, qa, "", JobFilter(purpose="attribute_image")) == [some["stuck"]]


@pytest.mark.parametrize("text", ["", "status:failed,completed", "took>1s", "cost>0"])
def test_turning_pages_shows_every_job_once_and_leads_back(services, qa, text):
    made = [put(services, at=NOON - timedelta(minutes=number // 2), took=2, cost=1) for number in range(7)]

    first = looked(services, qa, text, limit=3)
    second = looked(services, qa, text, limit=3, before=first.older)
    third = looked(services, qa, text, limit=3, before=second.older)
    back = looked(services, qa, text, limit=3, after=second.newer)

    seen = [row.id for part in (first, second, third) for row in part.rows]
    assert sorted(seen) == sorted(made)
    assert third.older is None
    assert [row.id for row in back.rows] == [row.id for row in first.rows]
    assert back.newer is None


def test_a_look_that_was_bounded_says_so_and_goes_on_from_there(services, qa, monkeypatch):
    monkeypatch.setattr(job_search, "LOOKED_AT", 4)  # the real bound, only smaller
    old = put(services, at=NOON - timedelta(hours=9), took=50)
    for hour in range(6):
        put(services, at=NOON - timedelta(hours=hour), took=1)

    first = looked(services, qa, "took>30s")
    second = looked(services, qa, "took>30s", before=first.older)

    assert (first.rows, first.looked_at, first.looked_to) == ([], 4, NOON - timedelta(hours=3))
    assert [row.id for row in second.rows] == [old]
    assert (second.older, second.looked_at) == (None, 0)


def test_a_bounded_look_towards_the_newest_leads_on_too(services, qa, monkeypatch):
    monkeypatch.setattr(job_search, "LOOKED_AT", 4)
    made = [put(services, at=NOON - timedelta(hours=hour), took=1) for hour in range(7)]
    wanted = put(services, at=NOON + timedelta(hours=1), took=50)
    last = jobs.Key(NOON - timedelta(hours=6), made[-1])

    first = looked(services, qa, "took>30s", after=last)
    second = looked(services, qa, "took>30s", after=first.newer)

    assert first.rows == []
    assert [row.id for row in second.rows] == [wanted]


def test_a_broad_filter_of_many_values_is_still_in_order_and_whole(services, qa, monkeypatch):
    monkeypatch.setattr(job_search, "_PROBED", 2)
    made = [
        put(services, at=NOON - timedelta(minutes=number), status=("failed", "cancelled")[number % 2], took=9)
        for number in range(8)
    ]

    assert ids(services, qa, "status:failed,cancelled took>1s") == made


def test_counts_are_of_what_was_looked_at_and_say_where_that_was_not_all(services, qa, some, monkeypatch):
    whole = counted(services, qa, "took>1s")
    monkeypatch.setattr(job_search, "LOOKED_AT", 3)
    cut = counted(services, qa, "took>1s")

    assert whole.of[JobState.failed] == Counted(number=2)
    assert whole.of[JobState.completed] == Counted(number=2)
    assert whole.looked_at == 0
    assert cut.of[JobState.completed] == Counted(number=1, more=True)
    assert cut.looked_at == 3


def test_counts_show_every_state_whatever_state_is_asked_for(services, qa, some):
    plain = counted(services, qa, "status:failed")

    assert plain.of[JobState.completed] == Counted(number=2)
    assert plain.of[JobState.outcome_unknown] == Counted(number=1)


def test_nobody_finds_the_jobs_of_somebody_else_without_the_role(services, ana, customer, some):
    own = put(services, user_id=customer.id, error_code="STUCK")

    assert ids(services, customer, "error:STUCK") == [own]
    assert ids(services, ana, "took>1s") == []


def test_names_of_characters_are_told_to_the_team_only(services, ana, customer):
    a_character(ana, services, name="Juniper Vale")

    with services.db.as_reader(ana) as conn:
        assert [name for _, name in job_search.named(conn, "JUN", limit=5)] == ["Juniper Vale"]
    with pytest.raises(NotAllowed), services.db.as_reader(customer) as conn:
        job_search.named(conn, "jun", limit=5)


# -- causes -----------------------------------------------------------------------------------------------------------


def grouped(services, person, text=""):
    query = job_filter.parse(text)
    with services.db.as_reader(person) as conn:
        wanted = job_search.sought(conn, query, JobFilter(), Reader(person=person.id, now=NOON))
        return causes.groups(conn, wanted, NOON)


def test_failures_of_one_cause_are_one_line_with_their_first_their_last_and_an_example(services, qa):
    model = next(one for one in models_of(services, qa) if one.model_key == "fal-ai/flux/dev")
    cut = [
        put(
            services,
            at=NOON - timedelta(hours=hour),
            status="failed",
            error_code="BAD_IMAGE",
            said=f"The picture was cut short at {hour * 977} bytes.",
            api_model_id=model.id,
        )
        for hour in range(1, 4)
    ]
    put(services, at=NOON, status="failed", error_code="BAD_IMAGE", said="The picture is blank.")
    put(services, status="completed", error_code="BAD_IMAGE")

    found = grouped(services, qa)

    assert [(one.number, one.sentence) for one in found.shown] == [
        (3, "The picture was cut short at … bytes."),
        (1, "The picture is blank."),
    ]
    worst = found.shown[0]
    assert (worst.code, worst.provider, worst.model_key) == ("BAD_IMAGE", "fal", "fal-ai/flux/dev")
    assert (worst.first_at, worst.last_at) == (NOON - timedelta(hours=3), NOON - timedelta(hours=1))
    assert worst.example == cut[0]
    assert sum(worst.trend) == 3
    assert (found.read, found.cut) == (4, False)


def test_a_cause_leads_to_exactly_its_jobs(services, qa):
    model = next(one for one in models_of(services, qa) if one.model_key == "fal-ai/flux/dev")
    alike = [
        put(
            services,
            at=NOON - timedelta(hours=hour),
            status="failed",
            error_code="BAD_IMAGE",
            said=f"fal sent {hour} bytes.",
            api_model_id=model.id,
        )
        for hour in (1, 2)
    ]
    put(
        services,
        at=NOON - timedelta(hours=1),
        status="failed",
        error_code="BAD_IMAGE",
        said="The picture is blank.",
        api_model_id=model.id,
    )

    worst = grouped(services, qa, "since:1d").shown[0]
    text = causes.as_filter(worst, job_filter.parse("since:1d"))

    assert "since:1d" in text
    assert ids(services, qa, text) == alike


@pytest.mark.parametrize(
    ("sentence", "normal"),
    [
        ("fal answered 503 after 3 tries.", "fal answered 503 after … tries."),
        ("No model called “flux” is there.", "No model called … is there."),
        ("See https://fal.run/x?id=1 for 9e107d9d-372b-4b6d-8e1f-000000000001.", "See … for …."),
        ("It took 1,234.5 s.", "It took … s."),
    ],
)
def test_what_differs_from_job_to_job_is_no_part_of_a_cause(sentence, normal):
    assert causes.normal(sentence) == normal


def test_a_filter_without_failures_has_no_causes(services, qa):
    put(services)

    assert grouped(services, qa).shown == ()
    assert grouped(services, qa, "status:completed").shown == ()


def test_a_retry_is_found_beside_what_it_was_asked_for(services, ana, qa):
    first = a_waiting_job(ana, services, a_character(ana, services)).job_id
    generation.cancel(first, ana, services)
    second = generation.retry(first, ana, services).job_id

    assert set(ids(services, qa, f"user:{ana.id}")) == {first, second}
    assert ids(services, qa, f"user:{str(ana.id)[:8]} status:queued") == [second]
