"""What the ledger says, summed: the three amounts, unknown apart, refunds, accepted portraits, and whose they are."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import psycopg
import pytest

from core.audit import costs
from core.audit.costs import CostFilter, Part
from core.db.costs import totals
from core.values import Role
from tests.builders import a_person

FAL, SEEDREAM = "fal", "fal-ai/seedream"
NOW = datetime.now(UTC)


class World:
    """Jobs and their ledger, written as rows."""

    def __init__(self, database):
        self.db = database
        self.reader = a_person(database, "quinn", Role.qa)
        self.owner = a_person(database, "ana", Role.editor)
        self.character = self._one(
            "INSERT INTO characters (user_id, name, description) VALUES (%s, 'Juniper', 'x') RETURNING id",
            self.owner.id,
        )

    def _one(self, statement, *values):
        with psycopg.connect(self.db.dsn, autocommit=True) as conn:
            conn.execute("SET session_replication_role = replica")
            return conn.execute(statement, values).fetchone()[0]

    def job(
        self,
        status="completed",
        *,
        ago=timedelta(hours=1),
        kind="character_portrait",
        provider=FAL,
        model=SEEDREAM,
        person=None,
        **amounts,
    ):
        """A job with ledger entries: estimated=…, computed=…, billed=…, refund=… (None is unknown)."""
        at = NOW - ago
        user = (person or self.owner).id
        job = self._one(
            "INSERT INTO jobs (user_id, character_id, job_type, status, runner, created_at, metadata)"
            " VALUES (%s, %s, 'image', %s, 'studio', %s, %s) RETURNING id",
            user,
            self.character,
            status,
            at,
            json.dumps({"destination": kind}),
        )
        for place, (sort, amount) in enumerate(amounts.items()):
            self._one(
                "INSERT INTO studio.cost_entries (at, job_id, user_id, character_id, provider, model_key, kind, amount_usd)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
                at + timedelta(minutes=place),
                job,
                user,
                self.character,
                provider,
                model,
                sort,
                None if amount is None else Decimal(str(amount)),
            )
        return job

    def portrait(self, job, *, primary=False, deleted=False, stars=None, favourite=False):
        portrait = self._one(
            "INSERT INTO character_portraits (character_id, image_url, job_id, is_primary, deleted_at)"
            " VALUES (%s, 'user-library/x.png', %s, %s, %s) RETURNING id",
            self.character,
            job,
            primary,
            NOW if deleted else None,
        )
        if stars or favourite:
            self._one(
                "INSERT INTO studio.ratings (portrait_id, user_id, character_id, is_favourite, stars)"
                " VALUES (%s, %s, %s, %s, %s) RETURNING portrait_id",
                portrait,
                self.owner.id,
                self.character,
                favourite,
                stars,
            )

    def summed(self, person=None, **wanted):
        with self.db.as_reader(person or self.reader) as conn:
            return costs.summed(conn, CostFilter(**({"since": NOW - timedelta(days=30)} | wanted)))


@pytest.fixture
def world(database):
    return World(database)


def test_an_empty_ledger_is_a_total_of_nothing(world):
    found = world.summed()

    assert found.total.attempts == 0
    assert found.total.per_image_usd is None
    assert found.lines[Part.provider] == []


def test_billed_goes_before_computed_and_that_before_the_estimate(world):
    world.job(estimated="0.03", computed="0.04", billed="0.05")
    world.job(estimated="0.03", computed="0.02")
    world.job("processing", estimated="0.03")

    total = world.summed().total

    assert (total.estimated_usd, total.computed_usd, total.billed_usd) == (
        Decimal("0.09"),
        Decimal("0.06"),
        Decimal("0.05"),
    )
    assert total.spent_usd == Decimal("0.07")
    assert (total.held_usd, total.held) == (Decimal("0.03"), 1)
    assert (total.known, total.attempts) == (2, 3)
    assert total.variance_usd == Decimal("0.01")  # 0.07 paid of 0.06 estimated


def test_unknown_is_counted_apart_and_never_zero(world):
    world.job(estimated="0.03", computed=None)
    world.job("processing", estimated=None)

    total = world.summed().total

    assert total.unknown == 2
    assert total.unestimated == 1
    assert total.known == 0
    assert total.per_image_usd is None
    assert total.variance_usd is None


def test_a_picture_of_unknown_cost_makes_no_other_look_cheaper(world):
    world.portrait(world.job(estimated="0.03", computed="0.04"), primary=True)
    world.portrait(world.job(estimated="0.03", computed=None), primary=True)

    total = world.summed().total

    assert (total.images, total.priced_images, total.accepted) == (2, 1, 2)
    assert total.per_image_usd == total.per_accepted_usd == Decimal("0.04")


def test_zero_is_known_and_no_unknown(world):
    world.job("failed", estimated="0.03", computed="0")

    total = world.summed().total

    assert (total.unknown, total.known, total.failed, total.failed_usd) == (0, 1, 0, Decimal(0))


def test_a_refund_lowers_what_was_spent(world):
    world.job(estimated="0.03", computed="0.05", refund="-0.02")

    total = world.summed().total

    assert (total.spent_usd, total.refunded_usd) == (Decimal("0.03"), Decimal("0.02"))


def test_failures_are_summed_apart(world):
    world.job("failed", estimated="0.03", computed="0.03")
    world.job("cancelled", estimated="0.03", computed="0.02")
    world.job(estimated="0.03", computed="0.03")

    total = world.summed().total

    assert (total.failed_usd, total.failed) == (Decimal("0.05"), 2)
    assert total.images == 1
    assert total.per_image_usd == Decimal("0.08")


@pytest.mark.parametrize(
    ("shown", "accepted"),
    [
        ({"primary": True}, 1),
        ({"favourite": True}, 1),
        ({"stars": 4}, 1),
        ({"stars": 3}, 0),
        ({}, 0),
        ({"primary": True, "deleted": True}, 0),
    ],
)
def test_what_counts_as_accepted(world, shown, accepted):
    world.portrait(world.job(estimated="0.03", computed="0.06"), **shown)

    total = world.summed().total

    assert total.accepted == accepted
    assert total.per_accepted_usd == (Decimal("0.06") if accepted else None)


def test_every_part_sums_up_to_the_whole(world):
    ben = a_person(world.db, "ben", Role.editor)
    world.job(estimated="0.03", computed="0.03")
    world.job(
        estimated="0.03", computed="0.04", provider="novita", model="sdxl", kind="character_scene", person=ben
    )
    world.job(estimated="0.03", computed="0.05", ago=timedelta(days=3))

    found = world.summed()

    for part in Part:
        assert sum(one.spent_usd for one in found.lines[part]) == Decimal("0.12"), part
        assert sum(one.attempts for one in found.lines[part]) == 3, part
    assert {one.kind for one in found.lines[Part.kind]} == {"character_portrait", "character_scene"}
    assert [one.day for one in found.lines[Part.day]] == sorted(
        (one.day for one in found.lines[Part.day]), reverse=True
    )
    assert found.lines[Part.provider][0].provider == FAL  # the dearest first


@pytest.mark.parametrize(
    ("wanted", "spent"),
    [
        ({"provider": "novita"}, "0.04"),
        ({"kind": "character_scene"}, "0.04"),
        ({"since": NOW - timedelta(days=1)}, "0.07"),
        ({"until": NOW - timedelta(days=1)}, "0.05"),
        ({"person_id": UUID(int=1)}, "0"),
        ({"since": None}, "0.12"),
    ],
)
def test_a_filter_narrows_the_sums(world, wanted, spent):
    world.job(estimated="0.03", computed="0.03")
    world.job(estimated="0.03", computed="0.04", provider="novita", model="sdxl", kind="character_scene")
    world.job(estimated="0.03", computed="0.05", ago=timedelta(days=3))

    assert world.summed(**wanted).total.spent_usd == Decimal(spent)


def test_what_was_clicked_before_the_time_and_ended_in_it_belongs_before(world):
    world.job(
        estimated="0.03", computed="0.03", ago=timedelta(days=1, seconds=30)
    )  # its end came 30 s into it

    assert world.summed(since=NOW - timedelta(days=1)).total.attempts == 0


def test_it_says_the_same_as_the_ledgers_own_sums(world):
    world.job(estimated="0.03", computed="0.04", billed="0.05")
    world.job("failed", estimated="0.03", computed="0.03", refund="-0.01")
    world.job(estimated="0.03", computed=None)
    with world.db.as_service() as conn:
        [own] = totals(conn, NOW - timedelta(days=30), NOW + timedelta(days=1))

    [line] = world.summed().lines[Part.model]

    assert (line.attempts, line.spent_usd, line.unknown, line.failed_usd, line.refunded_usd) == (
        own.attempts,
        own.known_usd,
        own.unknown,
        own.failed_usd,
        own.refunded_usd,
    )


def test_what_a_person_settled_gives_way_to_what_really_came(world):
    job = world.job("failed", estimated="0.03")
    for amount, note in ((None, "settled by a person"), ("0.07", None)):
        world._one(
            "INSERT INTO studio.cost_entries (job_id, user_id, provider, model_key, kind, amount_usd, note)"
            " VALUES (%s, %s, 'fal', 'm', 'computed', %s, %s) RETURNING id",
            job,
            world.owner.id,
            amount,
            note,
        )

    assert world.summed().total.spent_usd == Decimal("0.07")
    assert world.summed().total.unknown == 0


def test_a_job_that_is_gone_keeps_its_cost(world):
    job = world.job(estimated="0.03", computed="0.04")
    world._one("DELETE FROM jobs WHERE id = %s RETURNING id", job)

    found = world.summed()

    assert found.total.spent_usd == Decimal("0.04")
    assert [one.kind for one in found.lines[Part.kind]] == ["other"]


def test_who_has_no_business_with_it_sums_up_nothing_of_others(world):
    world.job(estimated="0.03", computed="0.04")
    stranger = a_person(world.db, "customer")

    assert world.summed(person=stranger).total.attempts == 0


def test_days_are_whole_where_the_ledger_is_too_long_to_read(world):
    for day in range(4):
        for _ in range(3):
            world.job(estimated="0.03", computed="0.03", ago=timedelta(days=day, minutes=30))
    since = NOW - timedelta(days=20)
    with world.db.as_reader(world.reader) as conn:
        whole = costs.full_days(conn, since, most=1000)
        cut = costs.full_days(conn, since, most=10)
        days = costs.days(conn, cut)

    assert whole == since
    assert cut.time().isoformat() == "00:00:00"
    assert since < cut <= NOW
    assert sum(one.spent_usd for one in days) < Decimal("0.36")


def test_models_are_compared_at_the_same_type_of_prompt(world):
    with world.db.as_service() as conn:
        [model] = _a_model(conn)
    for status, code, seconds in (
        ("completed", None, 4),
        ("completed", None, 6),
        ("failed", "PROVIDER_FAILED", None),
        ("failed", "CONTENT_REFUSED", None),
    ):
        job = world.job(status, estimated="0.03", computed="0.03" if status == "completed" else "0")
        world._one(
            "UPDATE jobs SET api_model_id = %s, error_code = %s, started_at = created_at,"
            " completed_at = created_at + make_interval(secs => %s) WHERE id = %s RETURNING id",
            model,
            code,
            seconds or 1,
            job,
        )
        if seconds == 4:
            world.portrait(job, stars=5)
    with world.db.as_reader(world.reader) as conn:
        [line] = costs.compared(
            conn, CostFilter(since=NOW - timedelta(days=1)), not_its_fault=["CONTENT_REFUSED"]
        )

    assert (line.kind, line.mode, line.model) == ("character_portrait", "txt2img", "Model one")
    assert (line.jobs, line.completed, line.failed) == (4, 2, 1)
    assert line.mean_usd == Decimal("0.03")
    assert (line.median_seconds, line.stars, line.rated) == (5.0, 5.0, 1)


def _a_model(conn):
    [provider] = conn.execute(
        "INSERT INTO api_providers (name, display_name) VALUES ('fal', 'fal') RETURNING id"
    ).fetchone()
    return conn.execute(
        "INSERT INTO api_models (provider_id, model_key, display_name, modality) VALUES (%s, %s, 'Model one', 'image')"
        " RETURNING id",
        (provider, f"m-{uuid4()}"),
    ).fetchone()
