"""The demo world: every planted defect is found by the question behind its page, explained, mended by its repair and gone
at the next look; what only looks wrong is left alone (issue 5, "It must show" 1).
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest

from core import attributes, budgets, demo, matching, mending, proof, recovery
from core.audit import autosave
from core.audit import jobs as job_questions
from core.audit.autosave import CHECK_OF, Reason
from core.db import activity
from core.db import demo as demo_rows
from core.demo.cast import ARI, PIA, QUINN
from core.demo.manifest import Planted, Repair, World
from core.errors import Conflict
from core.recovery import Action
from core.settings import Settings
from core.values import JobId, JobStage, JobStatus, Role
from tests import builders, fix_services
from tests.broken_jobs import digests

NOT_MOVING = {Action.nothing, Action.wait}


@dataclass(frozen=True)
class Made:
    """A database that holds the demo world, to be cloned, and its files."""

    server: object
    name: str
    folder: Path
    world: World


def settings_of(folder: Path) -> Settings:
    # A completed portrait counts as being saved for minutes: this test may take one.
    fast = fix_services.FAST | {"stuck_after": 600.0, "heartbeat_seconds": 30.0, "autosave_delay": 300.0}
    return Settings(_env_file=None, **(fast | {"studio_home": folder, "team_sharing": False}))


@contextmanager
def opened(dsn: str, folder: Path) -> Iterator[object]:
    with fix_services._opened(dsn, settings_of(folder), ("sketch",), "http://127.0.0.1:9") as services:
        yield services


@pytest.fixture(scope="module")
def made(servers, tmp_path_factory) -> Iterator[Made]:
    server = servers.get("embedded")
    folder = tmp_path_factory.mktemp("demo")
    with server.database(servers.template(server)) as dsn:
        with opened(dsn, folder) as services:
            world = demo.make(services)
        yield Made(server, dsn.rpartition("/")[2].partition("?")[0], folder, world)


@pytest.fixture
def services(made, tmp_path):
    """The demo world, for this test to change."""
    shutil.copytree(made.folder, tmp_path / "home")
    with made.server.database(made.name) as dsn, opened(dsn, tmp_path / "home") as found:
        yield found


@pytest.fixture
def world(made) -> World:
    return made.world


# ---- the questions behind the pages


def ask_proof(services):
    """Failing jobs and their sentences."""
    proof.run_proof(services, with_objects=True)
    with services.db.as_reader(QUINN) as conn:
        broken = autosave.broken(conn)
    return {
        f"autosave.{reason}:{one.job_id}": autosave.SENTENCES[reason]
        for one in broken
        for reason in one.reasons
    }


def ask_recovery(services):
    """What recovery would look at, and why."""
    steps = recovery.recover(services, dry_run=True)
    steps += recovery.unknown_outcomes(services)
    return {str(step.job_id): step.why for step in steps if step.action not in NOT_MOVING}


def ask_risk(services):
    return {str(one.job_id): f"may expire at {one.deadline}" for one in recovery.results_at_risk(services)}


def ask_matrix(services):
    found = attributes.status(PIA, services).cells
    bad = {}
    for one in found:
        if one.state.value in {"missing", "failed"}:
            bad[str(one.cell)] = one.why or "It is missing."
        elif one.picture is not None and one.picture.review_status == "rejected":
            bad[str(one.cell)] = one.picture.review_note
    return bad


def ask_costs(services, world):
    """Attempts whose cost nobody knows or whose bill differs, and budgets that are nearly spent."""
    said = {}
    with services.db.as_reader(PIA) as conn:
        for one in (*world.of("costs"), *world.innocent):
            if one.job and (story := job_questions.story(conn, JobId(UUID(one.job)))) is not None:
                said |= {f"costs.{word}:{one.job}": words for word, words in money_of(story)}
    for one in budgets.listing(PIA, services):
        if one.spent + one.held > one.limit_usd * Decimal("0.9"):
            said[f"costs.budget_near:{one.id}"] = f"The budget of ${one.limit_usd} is nearly spent."
    return said


def money_of(story):
    """What is odd about the cost of one job."""
    amounts = {entry.kind: entry.amount_usd for entry in story.costs}
    if "computed" in amounts and amounts["computed"] is None and amounts.get("billed") is None:
        yield "unknown", "unknown"
    if amounts.get("billed") is not None and amounts["billed"] != amounts.get("computed"):
        yield "variance", f"billed ${amounts['billed']}, computed ${amounts.get('computed')}"


def ask_findings(services):
    with services.db.as_reader(QUINN) as conn:
        found = conn.execute(
            "SELECT rule, row_id, sentence FROM studio.findings WHERE mended_at IS NULL"
        ).fetchall()
    return {f"findings.{rule}:{row}": sentence for rule, row, sentence in found}


def asked(services, world):
    """Every answer by the place it speaks of."""
    return SimpleNamespace(
        autosave=ask_proof(services),
        stuck=ask_recovery(services),
        risk=ask_risk(services),
        attributes=ask_matrix(services),
        costs=ask_costs(services, world),
        findings=ask_findings(services),
    )


def sentence_of(one: Planted, answers) -> str | None:
    """What the question behind its page says of a planted defect, None where it was not found."""
    if one.family == "autosave":
        return answers.autosave.get(f"{one.code}:{one.job}")
    if one.family in {"stuck", "risk"}:
        return getattr(answers, one.family).get(one.job)
    if one.family in {"costs", "findings"}:
        return getattr(answers, one.family).get(f"{one.code}:{one.job or one.row}")
    return answers.attributes.get(one.row)


ASKED = ("autosave", "stuck", "risk", "attributes", "costs", "findings")


def test_every_failing_reason_of_the_seven_checks_is_planted_or_cannot_happen(world):
    planted = {Reason(one.word) for one in world.of("autosave")}

    assert planted | {Reason(word) for word in demo.CANNOT_HAPPEN} == set(CHECK_OF)
    assert not planted & {Reason(word) for word in demo.CANNOT_HAPPEN}


def test_every_planted_defect_is_found_and_explained(services, world):
    answers = asked(services, world)

    said = {(one.code, one.job or one.row): sentence_of(one, answers) for one in world.of(*ASKED)}
    lost = {key for key, sentence in said.items() if sentence is None}
    mute = {
        (one.code, said[one.code, one.job or one.row])
        for one in world.of(*ASKED)
        if one.says not in (said[one.code, one.job or one.row] or one.says)
    }
    assert lost == set()
    assert mute == set()


def test_nothing_else_is_flagged_and_no_innocent_is(services, world):
    answers = asked(services, world)

    alarms = {family: alarms_of(family, answers, world) for family in ASKED}
    assert alarms == {family: set() for family in ASKED}
    assert len(world.innocent) >= 15
    assert {one.job for one in world.innocent if one.job} & set(answers.stuck) == set()


def test_what_innocents_answer_is_what_they_are_named_after(services, world):
    said = {
        one.code: set(proof.look(job_of(one), services).proof.answers)
        for one in world.innocent
        if one.code.startswith("autosave.")
    }

    assert {code for code, answers in said.items() if Reason(code.partition(".")[2]) not in answers} == set()
    assert all(not set(CHECK_OF) & answers for answers in said.values())


def job_of(one) -> JobId:
    return JobId(UUID(one.job))


# ---- the repairs


def mend(one: Planted, services) -> None:
    """What the repair of its kind does."""
    if one.repair is Repair.repair_autosave:
        mending.repair(one.job_id, QUINN, services)
    elif one.repair is Repair.recover:
        recovery.recover(services, only=[one.job_id], person=QUINN)
    elif one.repair is Repair.generate:
        make_again(one, services)


def make_again(one: Planted, services) -> None:
    cells = [cell for cell in attributes.all_cells(services.catalog) if str(cell) == one.row]
    attributes.regenerate(cells, PIA, services)


def settle(one: Planted, services) -> None:
    """QA looked at the provider, and nothing was there."""
    recovery.recover(services, only=[one.job_id], person=QUINN)
    recovery.settle_unknown(one.job_id, QUINN, services, billed=False, why="fal knows no such request")


def purge(one: Planted, services) -> None:
    [row] = recovery.purge([one.job_id], QUINN, services, why="Nothing of it ever came")
    assert row.refusal is None


def decide(one: Planted, services) -> None:
    """QA knows which Mandy Moss writes crosswords."""
    statement = "SELECT id FROM characters WHERE name = 'Mandy Moss' AND role = 'Crossword writer'"
    wanted = builders.one(services.db, statement)
    matching.decide(one.job_id, wanted, QUINN, services)


def raise_budget(one: Planted, services) -> None:
    [standing] = [found for found in budgets.listing(ARI, services) if str(found.id) == one.row]
    budgets.save(
        standing.limit_usd * 4,
        budgets.Period(standing.period),
        ARI,
        services,
        of=standing.user_id,
        reserve_usd=standing.reserve_usd,
        why="Bruno draws a whole tram",
    )


DECISIONS = {
    "costs.budget_near": raise_budget,
    "stuck.no_receipt": settle,
    "stuck.outcome_unknown": settle,
    "stuck.platform_bare": purge,
    "stuck.which_character": decide,
    "autosave.NO_CHARACTER": decide,
}


def test_every_planted_defect_is_mended_by_its_repair_and_gone_at_the_next_look(services, world, capsys):
    before = asked(services, world)
    by_machine = [
        one
        for one in world.of(*ASKED)
        if one.repair in {Repair.repair_autosave, Repair.recover, Repair.generate}
    ]

    let_innocents_wait(services, world)
    for one in by_machine:
        mend(one, services)
    decided = [one for one in world.of(*ASKED) if one.code in DECISIONS]
    for one in decided:
        DECISIONS[one.code](one, services)
    builders.work(services)

    after = asked(services, world)
    left = {
        (one.code, one.job or one.row): sentence_of(one, after)
        for one in (*by_machine, *decided)
        if sentence_of(one, after)
    }
    table(world, before, after, capsys)
    assert left == {}
    others = [one for one in world.of(*ASKED) if one not in by_machine and one not in decided]
    assert {one.code for one in others if sentence_of(one, after) is None} == set()


def let_innocents_wait(services, world) -> None:
    """No worker takes up what waits for its turn: the innocents stay what they are."""
    for one in world.innocent:
        if one.job:
            with services.db.as_service() as conn:
                demo_rows.take_entries(conn, JobId(UUID(one.job)))


def table(world: World, before, after, capsys) -> None:
    """Planted, found, mended, false alarms, by family."""
    lines = [f"{'family':<12} planted  found  mended  for a person  false alarms"]
    for family in ASKED:
        ones = world.of(family)
        found = [one for one in ones if sentence_of(one, before) is not None]
        gone = [one for one in found if sentence_of(one, after) is None]
        alarms = len(alarms_of(family, before, world))
        lines.append(
            f"{family:<12} {len(ones):>7} {len(found):>6} {len(gone):>7} {len(found) - len(gone):>13} {alarms:>13}"
        )
    with capsys.disabled():
        print("\n" + "\n".join(lines))


def alarms_of(family: str, answers, world: World) -> set[str]:
    """What the question of a family says of anything that is not planted."""
    said = set(getattr(answers, family))
    if family in {"autosave", "costs", "findings"}:
        return said - {f"{one.code}:{one.job or one.row}" for one in world.of(family)}
    return said - {one.job for one in world.planted} - {one.row for one in world.planted}


# ---- making it


def test_a_second_run_changes_nothing_and_tells_the_same(services, world):
    before = digests(services)

    again = demo.make(services)

    assert digests(services) == before
    assert not again.is_new
    assert again.as_json() == world.as_json()


def test_it_is_never_made_beside_somebody_elses_characters_unless_told_so(build):
    lived_in = build(providers=("sketch",))
    somebody = builders.a_person(lived_in.db, "ana", Role.editor)
    builders.a_character(somebody, lived_in)
    before = digests(lived_in)

    with pytest.raises(Conflict) as refused:
        demo.make(lived_in)

    assert refused.value.reason == "DEMO_NOT_HERE"
    assert digests(lived_in) == before


def test_it_is_never_made_where_a_provider_would_be_asked_about_it(services, build):
    with pytest.raises(Conflict, match="A provider has a key here"):
        demo.make(build(providers=("sketch", "fal")))


def test_one_that_was_broken_off_is_not_taken_for_whole(build):
    half = build(providers=("sketch",))
    with half.db.as_service() as conn:
        activity.note(conn, demo_rows.BEGUN, "characters", "demo")

    with pytest.raises(Conflict) as refused:
        demo.make(half)

    assert refused.value.reason == "DEMO_HALF_MADE"


def test_every_state_of_a_job_and_every_role_is_there(services, world):
    states = {row[0] for row in builders.rows(services.db, "SELECT DISTINCT status FROM jobs")}
    stages = {row[0] for row in builders.rows(services.db, "SELECT DISTINCT stage FROM jobs")}
    kinds = {row[0] for row in builders.rows(services.db, "SELECT DISTINCT kind FROM studio.cost_entries")}

    assert states == set(JobStatus)
    assert stages - {None} == set(JobStage)
    assert kinds == {"estimated", "computed", "billed", "refund"}
    assert {role for roles in world.people.values() for role in roles.split(", ")} == {*Role, "customer"}


def test_its_damage_is_only_what_other_writers_can_do_two_primaries_cannot_be(services):
    [[portrait]] = builders.rows(
        services.db,
        "SELECT p.id FROM character_portraits p WHERE NOT is_primary AND deleted_at IS NULL AND EXISTS "
        "(SELECT FROM character_portraits o WHERE o.character_id = p.character_id AND o.is_primary) LIMIT 1",
    )

    with pytest.raises(Conflict), services.db.as_service() as conn, demo_rows.before_the_studio(conn):
        conn.execute("UPDATE character_portraits SET is_primary = true WHERE id = %s", [portrait])
