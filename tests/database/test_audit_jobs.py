"""The dashboard's questions about jobs, on real Postgres and as the people who may ask them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from core import generation
from core.audit import job_filter, job_search, jobs
from core.audit.job_search import Reader
from core.audit.jobs import Counted, JobFilter, JobState, Key
from core.errors import NotAllowed
from core.recovery import Action
from core.values import JobStatus, Role
from tests.builders import a_character, a_finished_portrait, a_person, a_request, a_waiting_job, work

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ALL = JobFilter()
MIDWAY = {"at": NOON - timedelta(hours=20), "id": uuid4()}
UNKNOWN = {"status": "processing", "stage": "outcome_unknown", "error_code": "OUTCOME_UNKNOWN"}


@pytest.fixture
def qa(services):
    return a_person(services.db, "quinn", Role.qa)


def put(
    services, *, ident=None, at=NOON, status="completed", stage=None, error_code=None, model=None, user=None
):
    """A job's row as another writer left it; the list reads nothing else."""
    job_id = ident or uuid4()
    with services.db.as_service() as conn:
        conn.execute(
            """
            INSERT INTO public.jobs (id, user_id, job_type, status, stage, error_code, api_model_id, created_at)
            VALUES (%s, %s, 'character_portrait', %s, %s, %s, %s, %s)
            """,
            (job_id, user or uuid4(), status, stage, error_code, model, at),
        )
    return job_id


def page(services, person, wanted=ALL, text="", **where):
    with services.db.as_reader(person) as conn:
        return job_search.page(conn, sought(conn, person, wanted, text), **where)


def sought(conn, person, wanted, text=""):
    return job_search.sought(conn, job_filter.parse(text), wanted, Reader(person=person.id, now=NOON))


def counts(services, person, wanted=ALL, **bound):
    with services.db.as_reader(person) as conn:
        return jobs.counts(conn, wanted, **bound)


def story(services, person, job_id):
    with services.db.as_reader(person) as conn:
        return jobs.story(conn, job_id)


def ids(found):
    return [row.id for row in found.rows]


def test_turning_pages_shows_every_job_once_even_where_many_were_asked_at_one_moment(services, qa):
    at_once = {put(services) for _ in range(5)}
    newest, oldest = put(services, at=NOON + timedelta(hours=1)), put(services, at=NOON - timedelta(hours=1))

    first = page(services, qa, limit=3)
    second = page(services, qa, limit=3, before=first.older)
    third = page(services, qa, limit=3, before=second.older)

    assert first.newer is None
    assert third.older is None
    seen = [*ids(first), *ids(second), *ids(third)]
    assert seen[0] == newest
    assert seen[-1] == oldest
    assert len(seen) == 7
    assert set(seen[1:-1]) == at_once


def test_turning_back_leads_to_the_page_one_came_from(services, qa):
    for hour in range(7):
        put(services, at=NOON - timedelta(hours=hour))
    first = page(services, qa, limit=3)
    second = page(services, qa, limit=3, before=first.older)

    back = page(services, qa, limit=3, after=second.newer)

    assert ids(back) == ids(first)
    assert back.newer is None
    assert ids(page(services, qa, limit=3, before=back.older)) == ids(second)


def test_a_job_that_comes_in_between_moves_nobody_s_place(services, qa):
    for hour in range(4):
        put(services, at=NOON - timedelta(hours=hour))
    first = page(services, qa, limit=2)
    expected = ids(page(services, qa, limit=2, before=first.older))

    put(services, at=NOON + timedelta(hours=1))

    assert ids(page(services, qa, limit=2, before=first.older)) == expected


def test_a_key_out_of_an_address_is_read_back_or_refused():
    key = Key(NOON, uuid4())

    assert Key.read(str(key)) == key
    assert Key.read("2026-11-20~" + str(key.id)) is None
    assert Key.read(str(key)[:-1]) is None
    assert Key.read("") is None


def test_outcome_unknown_is_a_state_of_its_own_and_not_processing(services, qa):
    unknown = put(services, **UNKNOWN)
    drawing = put(services, status="processing", stage="drawing")
    begun = put(services, status="processing")
    failed = put(services, status="failed", error_code="POLICY")

    assert ids(page(services, qa, JobFilter(states=(JobState.outcome_unknown,)))) == [unknown]
    assert set(ids(page(services, qa, JobFilter(states=(JobState.processing,))))) == {drawing, begun}
    either = JobFilter(states=(JobState.failed, JobState.outcome_unknown))
    assert set(ids(page(services, qa, either))) == {failed, unknown}
    counted = counts(services, qa)
    assert counted[JobState.processing] == Counted(number=2)
    assert counted[JobState.outcome_unknown] == Counted(number=1)


def test_counts_stop_at_their_bound_and_say_that_there_are_more(services, qa):
    for _ in range(4):
        put(services)
    put(services, status="failed")

    counted = counts(services, qa, most=3)

    assert counted[JobState.completed] == Counted(number=3, more=True)
    assert counted[JobState.failed] == Counted(number=1)
    assert counted[JobState.queued] == Counted(number=0)


def test_unknown_outcomes_are_counted_whatever_their_age(services, qa):
    put(services, **UNKNOWN, at=NOON - timedelta(days=900))
    put(services, status="processing", stage="drawing")

    with services.db.as_reader(qa) as conn:
        found = jobs.unknown_outcomes(conn)

    assert found == Counted(number=1)


def test_a_part_of_an_error_code_finds_its_jobs(services, qa):
    minor = put(services, status="failed", error_code="POLICY_MINOR")
    policy = put(services, status="failed", error_code="POLICY")
    put(services, status="failed", error_code="STUCK")

    assert set(ids(page(services, qa, text=" policy "))) == {minor, policy}
    assert ids(page(services, qa, text='"y minor"')) == [minor]
    assert ids(page(services, qa, text="no such thing")) == []


def test_the_beginning_of_an_id_finds_the_job(services, qa):
    wanted = put(services, ident=UUID("0123abcd-0000-4000-8000-000000000001"))
    put(services, ident=UUID("0123abce-0000-4000-8000-000000000002"))

    assert ids(page(services, qa, text="0123ABCD")) == [wanted]
    assert ids(page(services, qa, text=str(wanted))) == [wanted]
    assert len(ids(page(services, qa, text="0123"))) == 2


def test_provider_model_and_period_narrow_together(services, qa):
    with services.db.as_reader(qa) as conn:
        known = jobs.models(conn)
    sketch = next(one for one in known if one.provider == "sketch")
    fal, other = [one for one in known if one.provider == "fal"][:2]
    recent = put(services, model=fal.id)
    old = put(services, model=fal.id, at=NOON - timedelta(days=9))
    of_other = put(services, model=other.id)
    put(services, model=sketch.id)
    put(services)

    assert set(ids(page(services, qa, JobFilter(provider="fal")))) == {recent, old, of_other}
    assert set(ids(page(services, qa, JobFilter(model_id=fal.id)))) == {recent, old}
    week = JobFilter(model_id=fal.id, since=NOON - timedelta(days=7))
    assert ids(page(services, qa, week)) == [recent]
    assert page(services, qa, JobFilter(provider="nobody")).rows == []


def test_a_customer_of_the_platform_sees_their_own_jobs_and_nobody_else_s(services, qa, customer, ana):
    own, foreign = put(services, user=customer.id), put(services)

    assert ids(page(services, customer)) == [own]
    assert ids(page(services, ana)) == []
    assert set(ids(page(services, qa))) == {own, foreign}
    assert story(services, customer, foreign) is None


def test_the_story_of_a_saved_portrait_is_whole(services, ana, qa):
    job_id = a_finished_portrait(ana, services, a_character(ana, services)).job.id

    told = story(services, qa, job_id)

    assert told.events[0].to_status == "queued"
    assert told.events[-1].stage == "saved"
    assert [sent.outcome for sent in told.sent] == ["finished"]
    assert told.sent[0].request_id
    assert {entry.kind for entry in told.costs} >= {"estimated", "computed"}
    assert told.asset.path.startswith(str(ana.id))
    assert told.library.storage_path.startswith(str(ana.id))
    assert told.portrait.is_primary
    assert told.row.character == "Juniper Vale"
    assert told.step is None


def test_a_lost_answer_is_told_as_sent_without_a_receipt(services, ana, qa, fal):
    fal.fault("submit", "reset_after")
    model = next(
        one.model.id
        for one in generation.models_for(ana, services)
        if one.model.provider == "fal" and one.available
    )
    asked = generation.request(a_request(a_character(ana, services), model_id=model), ana, services)
    work(services)

    told = story(services, qa, asked.job_id)

    assert told.row.state is JobState.outcome_unknown
    assert (told.sent[0].received_at, told.sent[0].outcome) == (None, None)
    assert told.step.action is Action.unknown


def test_a_waiting_job_says_what_recovery_would_do(services, ana, qa):
    asked = a_waiting_job(ana, services, a_character(ana, services))

    told = story(services, qa, asked.job_id)

    assert told.sent == []
    assert told.step.action is Action.requeue
    assert told.silent_for(told.job.created_at + timedelta(seconds=90)) == pytest.approx(90)


def test_an_unknown_cost_is_never_a_zero(services, ana, qa):
    asked = a_waiting_job(ana, services, a_character(ana, services))
    with services.db.as_service() as conn:
        conn.execute(
            """
            INSERT INTO studio.cost_entries (job_id, attempt, user_id, provider, model_key, kind, amount_usd)
            VALUES (%(job)s, 2, %(person)s, 'fal', 'm', 'estimated', NULL), (%(job)s, 3, %(person)s, 'fal', 'm', 'billed', 0.5)
            """,
            {"job": asked.job_id, "person": ana.id},
        )

    [row] = page(services, qa).rows

    assert (row.spent_usd, row.cost_known) == (None, False)
    assert [entry.amount_usd for entry in story(services, qa, asked.job_id).costs][1:] == [
        None,
        Decimal("0.5"),
    ]


def test_a_job_without_a_price_list_has_no_cost_at_all(services, qa):
    put(services)

    [row] = page(services, qa).rows

    assert (row.spent_usd, row.cost_known) == (None, None)


def test_a_second_try_is_linked_both_ways(services, ana, qa):
    first = a_waiting_job(ana, services, a_character(ana, services)).job_id
    generation.cancel(first, ana, services)
    second = generation.retry(first, ana, services).job_id

    assert [later.id for later in story(services, qa, first).again] == [second]
    assert story(services, qa, second).job.retried_from == first
    assert story(services, qa, first).job.status is JobStatus.cancelled


def test_reading_can_never_write(services, qa):
    job_id = put(services)

    with pytest.raises(NotAllowed), services.db.as_reader(qa) as conn:
        conn.execute("UPDATE public.jobs SET status = 'failed' WHERE id = %s", (job_id,))


@pytest.fixture
def many(services):
    """Enough jobs, evenly spread, that the planner has a choice to make."""
    with services.db.as_service() as conn:
        conn.execute(
            """
            INSERT INTO public.jobs (user_id, job_type, status, api_model_id, created_at)
            SELECT gen_random_uuid(), 'character_portrait', CASE g %% 100 WHEN 0 THEN 'failed' ELSE 'completed' END,
                   m.ids[1 + g %% cardinality(m.ids)], %s - g * interval '1 minute'
            FROM generate_series(1, 3000) g, (SELECT array_agg(id) AS ids FROM public.api_models) m
            """,
            (NOON,),
        )
        conn.execute("ANALYZE public.jobs")


def plan(services, person, wanted, *, newer=False, **values):
    """How the database answers where it may neither read whole tables nor sort."""
    with services.db.as_reader(person) as conn:
        conn.execute(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"
        )
        asked = sought(conn, person, wanted)
        way, sifts = job_search._chosen(conn, asked)
        bounds, order = (job_search._AFTER, "ASC") if newer else (job_search._BEFORE, "DESC")
        given = {
            **job_search._edges(asked),
            **job_search._values(way.branches),
            **job_search._values(sifts),
            "at": None,
            "id": None,
            "window": 51,
            "limit": 51,
        }
        statement = job_search._statement(way, sifts, bounds, order)
        rows = conn.execute(f"EXPLAIN {statement}", given | values, prepare=False).fetchall()
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize(
    ("wanted", "indexes"),  # in the order of asking, all of them: which one is the cheaper, the planner knows
    [
        (JobFilter(), {"jobs_recent", "jobs_in_time"}),
        (JobFilter(since=NOON - timedelta(hours=30)), {"jobs_recent", "jobs_in_time"}),
        (JobFilter(states=(JobState.failed,)), {"jobs_by_status", "jobs_ended_badly"}),
        (
            JobFilter(states=(JobState.failed,), since=NOON - timedelta(hours=30)),
            {"jobs_by_status", "jobs_ended_badly"},
        ),
        (JobFilter(model_id=uuid4()), {"jobs_by_model"}),
    ],
)
def test_each_list_comes_sorted_out_of_an_index_that_fits_its_filter(services, qa, many, wanted, indexes):
    for key in ({}, MIDWAY, MIDWAY | {"newer": True}):
        listed = plan(services, qa, wanted, **key).split("CTE listed")[1].split("->  Nested Loop")[0]

        [scan] = re.findall(r"Index (?:Only )?Scan(?: Backward)? using (\w+)", listed)
        assert scan in indexes
        # Jobs of one moment may be put in order by their ids; nothing else is sorted.
        assert "Sort" not in re.sub(
            r"Incremental Sort[^\n]*\n\s*Sort Key: [^\n]*created_at[^\n]*\n\s*Presorted Key: [^\n]*created_at",
            "",
            listed,
        )


def test_who_reads_across_users_is_asked_once_and_before_each_row_s_owner(services, qa):
    said = plan(services, qa, JobFilter())

    sifted = next(line for line in said.splitlines() if "Filter:" in line and "user_id" in line)
    assert re.match(r"\s*Filter: \((\(InitPlan \d+\)\.col1|\$\d+) OR ", sifted), sifted
    assert "studio.may_read" not in said
