"""QA samples against a real Postgres: drawn by chance and frozen, judged blind, closed; a policy problem is a finding."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest

from core import portraits, sampling
from core.audit import qa
from core.errors import BadRequest, Conflict, NotAllowed, NotFound
from core.sampling import Verdict
from core.values import Role
from tests import builders
from tests.builders import as_platform, one, rows


@pytest.fixture
def quinn(services):
    """QA."""
    return builders.a_person(services.db, "quinn", Role.qa)


@pytest.fixture
def pia(services):
    """Product."""
    return builders.a_person(services.db, "pia", Role.product)


@pytest.fixture
def many(services, ana):
    """Sixty portraits of two providers and two styles in two weeks, written as rows: only their kinds matter here."""
    with services.db.as_service() as conn:
        conn.execute(
            """
            INSERT INTO characters (id, user_id, name, description, appearance_tags)
            SELECT md5('c' || n)::uuid, %(who)s, 'Character ' || n, 'somebody',
                   CASE n WHEN 1 THEN '{silver hair,Photorealistic}'::text[] WHEN 2 THEN '{anime style}' ELSE '{}' END
            FROM generate_series(1, 3) n
            """,
            {"who": ana.id},
        )
        conn.execute(
            """
            INSERT INTO jobs (id, user_id, job_type, status, runner, metadata, completed_at)
            SELECT md5('j' || n)::uuid, %(who)s, 'character_portrait', 'completed', 'studio',
                   jsonb_build_object('provider', CASE WHEN n %% 2 = 0 THEN 'fal' ELSE 'sketch' END), now()
            FROM generate_series(1, 60) n
            """,
            {"who": ana.id},
        )
        conn.execute(
            """
            INSERT INTO character_portraits (id, character_id, image_url, job_id, created_at)
            SELECT md5('p' || n)::uuid, md5('c' || (n %% 3 + 1))::uuid, 'user-library/' || %(who)s || '/p' || n || '.png',
                   md5('j' || n)::uuid,
                   timestamptz '2026-11-11 12:00Z' + CASE WHEN n > 30 THEN interval '7 days' ELSE interval '0' END
            FROM generate_series(1, 60) n
            """,
            {"who": ana.id},
        )


SINCE, UNTIL = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def drawn(person, services, **values):
    asked = {"title": "November", "since": SINCE, "until": UNTIL, "per_stratum": 2, "seed": 7} | values
    return sampling.draw(person, services, **asked)


def sample_of(sample_id, person, services):
    with services.db.as_reader(person) as conn:
        return qa.sample(conn, sample_id), qa.items(conn, sample_id), qa.verdicts(conn, sample_id)


def judge_all(sample_id, person, services, verdict=Verdict.good):
    _, items, _ = sample_of(sample_id, person, services)
    for item in items:
        sampling.judge(sample_id, item.portrait_id, verdict, person, services)
    return items


def test_a_sample_takes_as_many_of_each_provider_style_and_week(services, quinn, many):
    sample, items, _ = sample_of(drawn(quinn, services), quinn, services)

    kinds = {(one.provider, one.style, one.week.isoformat()) for one in sample.strata}
    assert {kind[1] for kind in kinds} == {"realistic", "anime", "not said"}
    assert len(kinds) == 2 * 3 * 2
    assert [one.week.isoweekday() for one in sample.strata] == [1] * 12
    assert {(one.population, one.taken) for one in sample.strata} == {(5, 2)}
    assert (sample.size, len(items)) == (24, 24)
    assert [item.place for item in items] == list(range(1, 25))
    assert [item.provider for item in items] != sorted(item.provider for item in items)


def test_the_same_seed_draws_the_same_portraits_and_another_one_others(services, quinn, many):
    first, again, other = (drawn(quinn, services, seed=seed) for seed in (7, 7, 8))

    found = [
        [item.portrait_id for item in sample_of(one, quinn, services)[1]] for one in (first, again, other)
    ]
    assert found[0] == found[1]
    assert set(found[0]) != set(found[2])
    assert sample_of(first, quinn, services)[0].seed == 7


def test_a_seed_that_nobody_chose_is_kept(services, quinn, many):
    sample, _, _ = sample_of(drawn(quinn, services, seed=None), quinn, services)

    assert sample.seed > 0


def test_what_was_drawn_is_frozen(services, quinn, many):
    sample_id = drawn(quinn, services)
    _, before, _ = sample_of(sample_id, quinn, services)
    with services.db.as_service() as conn:
        conn.execute("UPDATE characters SET appearance_tags = '{anime style}'")
        conn.execute("UPDATE character_portraits SET created_at = created_at - interval '7 days'")

    _, after, _ = sample_of(sample_id, quinn, services)

    assert [(one.portrait_id, one.style, one.week) for one in after] == [
        (one.portrait_id, one.style, one.week) for one in before
    ]
    with pytest.raises(Conflict, match="append-only"), services.db.as_service() as conn:
        conn.execute("DELETE FROM studio.qa_sample_items")


def test_the_same_click_twice_is_one_sample(services, quinn, many):
    ident = uuid4()

    assert {drawn(quinn, services, sample_id=ident) for _ in range(2)} == {ident}

    assert one(services.db, "SELECT count(*) FROM studio.qa_samples") == 1


def test_a_real_portrait_is_drawn_with_its_provider(services, quinn, ana):
    made = builders.a_finished_portrait(
        ana, services, builders.a_character(ana, services, appearance_tags=["anime style"])
    )
    now = datetime.now(UTC)

    _, [item], _ = sample_of(
        drawn(quinn, services, since=now - timedelta(days=1), until=now + timedelta(days=1)), quinn, services
    )

    assert (item.portrait_id, item.job_id, item.style) == (made.portrait_id, made.job.id, "anime")
    assert item.provider == made.job.provider
    assert item.character == "Juniper Vale"


def test_a_portrait_that_was_deleted_stays_in_the_sample_without_its_picture(services, quinn, ana):
    character = builders.a_character(ana, services)
    made = builders.a_finished_portrait(ana, services, character)
    now = datetime.now(UTC)
    sample_id = drawn(quinn, services, since=now - timedelta(days=1), until=now + timedelta(days=1))

    portraits.delete(made.portrait_id, ana, services)

    _, [item], _ = sample_of(sample_id, quinn, services)
    assert (item.portrait_id, item.image_url, item.character) == (made.portrait_id, None, None)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"title": "  "}, BadRequest),
        ({"title": "x" * 81}, BadRequest),
        ({"per_stratum": 0}, BadRequest),
        ({"per_stratum": 101}, BadRequest),
        ({"since": UNTIL, "until": SINCE}, BadRequest),
        ({"since": SINCE - timedelta(days=500)}, BadRequest),
        ({"until": SINCE + timedelta(days=1)}, NotFound),
    ],
)
def test_a_sample_that_cannot_be_drawn_says_why(services, quinn, many, values, error):
    with pytest.raises(error):
        drawn(quinn, services, **values)

    assert rows(services.db, "SELECT * FROM studio.qa_samples") == []


def test_a_sample_beyond_a_day_s_judging_is_refused(services, quinn, many, monkeypatch):
    monkeypatch.setattr(sampling, "MOST_PORTRAITS", 23)

    with pytest.raises(BadRequest, match="24 portraits"):
        drawn(quinn, services)


def test_others_verdicts_are_hidden_until_one_s_own_is_given(services, quinn, pia, many):
    sample_id = drawn(quinn, services)
    items = judge_all(sample_id, quinn, services)

    assert sample_of(sample_id, pia, services)[2] == []
    sampling.judge(sample_id, items[0].portrait_id, Verdict.bad, pia, services)

    seen = sample_of(sample_id, pia, services)[2]
    assert {(one.portrait_id, one.person, one.verdict) for one in seen} == {
        (items[0].portrait_id, quinn.id, "good"),
        (items[0].portrait_id, pia.id, "bad"),
    }


def test_the_database_itself_keeps_a_sample_blind(services, dsn, quinn, pia, many):
    sample_id = drawn(quinn, services)
    judge_all(sample_id, quinn, services)

    with as_platform(dsn, "authenticated", pia) as conn:
        assert conn.execute("SELECT * FROM studio.qa_verdicts").fetchall() == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("UPDATE studio.qa_verdicts SET verdict = 'bad'")


def test_how_far_people_are_is_no_secret(services, quinn, pia, many):
    sample_id = drawn(quinn, services)
    judge_all(sample_id, quinn, services)

    with services.db.as_reader(pia) as conn:
        assert [(found.person, found.judged) for found in qa.progress(conn, sample_id)] == [(quinn.id, 24)]
        [sample] = qa.samples(conn)
    assert (sample.judged, sample.people) == (0, 1)


def test_a_closed_sample_shows_everything_and_takes_nothing(services, quinn, pia, many):
    sample_id = drawn(quinn, services)
    items = judge_all(sample_id, quinn, services)

    assert sampling.close(sample_id, quinn, services, why="done")
    assert not sampling.close(sample_id, quinn, services)

    assert len(sample_of(sample_id, pia, services)[2]) == 24
    with pytest.raises(Conflict) as refused:
        sampling.judge(sample_id, items[0].portrait_id, Verdict.bad, pia, services)
    assert refused.value.reason == "SAMPLE_CLOSED"


def test_a_changed_verdict_keeps_the_first_one_beside_it(services, quinn, many):
    sample_id = drawn(quinn, services)
    [item, *_] = sample_of(sample_id, quinn, services)[1]

    sampling.judge(sample_id, item.portrait_id, Verdict.bad, quinn, services, note=" hands \n wrong ")
    sampling.judge(sample_id, item.portrait_id, Verdict.acceptable, quinn, services)

    [found] = sample_of(sample_id, quinn, services)[2]
    assert (found.verdict, found.first_verdict, found.note) == ("acceptable", "bad", None)
    told = rows(
        services.db,
        "SELECT who, before FROM studio.audit_events WHERE action = 'qa_verdict_given' ORDER BY id",
    )
    assert [tuple(line) for line in told] == [(quinn.id, None), (quinn.id, {"verdict": "bad"})]


def test_a_policy_problem_becomes_a_finding_while_anybody_says_so(services, quinn, pia, many):
    sample_id = drawn(quinn, services)
    [item, *_] = sample_of(sample_id, quinn, services)[1]
    finding = "SELECT mended_at IS NULL FROM studio.findings WHERE rule = 'qa.policy_problem' AND row_id = %s"

    for person in (quinn, pia):
        sampling.judge(
            sample_id, item.portrait_id, Verdict.policy, person, services, note="a sign of a brand"
        )
    assert one(services.db, finding, [str(item.portrait_id)]) is True

    sampling.judge(sample_id, item.portrait_id, Verdict.good, quinn, services)
    assert one(services.db, finding, [str(item.portrait_id)]) is True
    sampling.judge(sample_id, item.portrait_id, Verdict.good, pia, services)
    assert one(services.db, finding, [str(item.portrait_id)]) is False


def test_a_policy_problem_says_what_it_is(services, quinn, many):
    sample_id = drawn(quinn, services)
    [item, *_] = sample_of(sample_id, quinn, services)[1]

    with pytest.raises(BadRequest, match="what the policy problem is"):
        sampling.judge(sample_id, item.portrait_id, Verdict.policy, quinn, services, note=" ")
    with pytest.raises(BadRequest), services.db.as_user(quinn) as conn:
        conn.execute("SELECT studio.give_qa_verdict(%s, %s, 'policy', '')", (sample_id, item.portrait_id))


def test_what_is_not_in_the_sample_is_not_judged(services, quinn, many):
    with pytest.raises(NotFound):
        sampling.judge(drawn(quinn, services), uuid4(), Verdict.good, quinn, services)


@pytest.mark.parametrize("role", [Role.editor, Role.product])
def test_only_qa_and_admin_draw_and_close(services, quinn, many, role):
    other = builders.a_person(services.db, "other", role)
    sample_id = drawn(quinn, services)

    with pytest.raises(NotAllowed):
        drawn(other, services)
    with pytest.raises(NotAllowed):
        sampling.close(sample_id, other, services)
    with pytest.raises(NotAllowed), services.db.as_user(other) as conn:
        conn.execute("SELECT studio.close_qa_sample(%s, '')", (sample_id,))
    with pytest.raises(NotAllowed), services.db.as_user(other) as conn:
        conn.execute(
            "SELECT studio.draw_qa_sample(%s, 'x', 1, now() - interval '90 days', now(), 1, 9, '{}')",
            (uuid4(),),
        )


def test_an_editor_judges_nothing_and_sees_no_sample(services, quinn, ana, many):
    sample_id = drawn(quinn, services)
    sample, items, _ = sample_of(sample_id, quinn, services)

    with pytest.raises(NotAllowed):
        sampling.judge(sample_id, items[0].portrait_id, Verdict.good, ana, services)
    with pytest.raises(NotAllowed), services.db.as_user(ana) as conn:
        conn.execute("SELECT studio.give_qa_verdict(%s, %s, 'good', '')", (sample_id, items[0].portrait_id))
    with services.db.as_reader(ana) as conn:
        assert (qa.sample(conn, sample.id), qa.items(conn, sample.id)) == (None, [])
