"""The demo world: every planted defect is found by the question behind its page, explained, mended by its repair and gone
at the next look; what only looks wrong is left alone (issue 5, "It must show" 1).
"""

from decimal import Decimal
from uuid import UUID

import pytest
from typer.testing import CliRunner

from core import (
    attributes,
    budgets,
    bulk,
    cli,
    demo,
    health,
    matching,
    pauses,
    proof,
    recovery,
    restock,
    sampling,
    stock,
)
from core.audit import autosave, library, system
from core.audit import findings as finding_questions
from core.audit import jobs as job_questions
from core.audit.autosave import CHECK_OF, Reason
from core.audit.findings import FindingFilter
from core.db import activity, models
from core.db import demo as demo_rows
from core.demo.cast import ARI, PIA, QUINN, the_id
from core.demo.manifest import Planted, Repair, World
from core.errors import Conflict
from core.recovery import Action
from core.values import JobId, JobStage, JobStatus, Role
from tests import builders
from tests.broken_jobs import digests

pytest_plugins = ["tests.fix_demo"]
pytestmark = pytest.mark.timeout(600)  # the first test of a run makes the world

NOT_MOVING = {Action.nothing, Action.wait}


@pytest.fixture
def services(demo_services):
    return demo_services


# ---- the questions behind the pages: what each says, by the place it speaks of


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
    """Open findings, but those of the two big checks, which are asked for by their own pages."""
    with services.db.as_reader(QUINN) as conn:
        found = finding_questions.page(conn, FindingFilter(), limit=500).rows
    others = [one for one in found if one.rule.partition(".")[0] not in {"autosave", "library"}]
    return {f"findings.{one.rule}:{one.row_id}": one.sentence for one in others}


def ask_system(services):
    with services.db.as_reader(ARI) as conn:
        found = system.workers(conn, within=3 * services.settings.heartbeat_seconds)
        paused = models.pauses(conn)
    silent = {
        f"system.worker_gone:{one.id}": f"gone since {one.beat_at}"
        for one in found
        if not one.is_alive and one.stopped_at is None
    }
    return silent | {f"system.provider_paused:{name}": f"paused: {why}" for name, why in paused.items()}


def ask_health(services):
    found = health.look(QUINN, services)
    assert found.unanswered == ()
    return {f"health.{one.rule}": f"{one.title}. {one.sentence}" for one in found.problems}


def asked(services, world):
    """Every answer."""
    return {
        "autosave": ask_proof(services),
        "stuck": ask_recovery(services),
        "risk": ask_risk(services),
        "attributes": ask_matrix(services),
        "costs": ask_costs(services, world),
        "findings": ask_findings(services),
        "system": ask_system(services),
        "health": ask_health(services),
    }


ASKED = ("autosave", "stuck", "risk", "attributes", "costs", "findings", "system", "health")


def place_of(one: Planted) -> str:
    """What a planted defect is called in the answers."""
    if one.family in {"stuck", "risk"}:
        return one.job
    if one.family == "attributes":
        return one.row
    return one.code if one.family == "health" else f"{one.code}:{one.job or one.row}"


def sentence_of(one: Planted, answers) -> str | None:
    """What the question behind its page says of a planted defect, None where it was not found."""
    return answers[one.family].get(place_of(one))


def alarms_of(family: str, answers, world: World) -> dict[str, str]:
    """What the question of a family says of anything that is not planted."""
    known = {place_of(one) for one in world.planted}
    return {place: says for place, says in answers[family].items() if place not in known}


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

    assert {family: alarms_of(family, answers, world) for family in ASKED} == {family: {} for family in ASKED}
    assert len(world.innocent) >= 15
    named = {one.job for one in world.innocent if one.job} | {one.row for one in world.innocent}
    assert named & set(answers["stuck"] | answers["attributes"] | answers["risk"]) == set()


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


def in_bulk(kind: str, ids, services, **options) -> None:
    """What a person does with the rows that are shown: no row may break."""
    action = bulk.begin(kind, list(ids), QUINN, services, why="The demo world is put right", options=options)
    bulk.run(action, QUINN, services)
    broke = [one for one in bulk.report(action, QUINN, services).rows if one.state not in {"done", "refused"}]
    assert broke == []


def make_pictures(ones, services) -> None:
    """Product has what is missing, failed or sent back made."""
    wanted = {one.row for one in ones}
    cells = [cell for cell in attributes.all_cells(services.catalog) if str(cell) in wanted]
    attributes.regenerate(cells, PIA, services)


def mend(ones, services) -> None:
    """Each kind of repair over all it is for."""
    by_repair = {repair: [one for one in ones if one.repair is repair] for repair in Repair}
    with_job = {
        repair: dict.fromkeys(one.job for one in found if one.job) for repair, found in by_repair.items()
    }
    in_bulk("recover", with_job[Repair.recover], services)
    in_bulk("repair_autosave", with_job[Repair.repair_autosave], services)
    make_pictures(by_repair[Repair.generate], services)


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


def resume(one: Planted, services) -> None:
    assert pauses.resume_provider(one.row, ARI, services, why="The balance was topped up")


def judge_again(one: Planted, services) -> None:
    """QA looked once more: the brand is made up."""
    sampling.judge(the_id("sample"), UUID(one.row), sampling.Verdict.good, QUINN, services)


DECISIONS = {
    "costs.budget_near": raise_budget,
    "system.provider_paused": resume,
    "findings.qa.policy_problem": judge_again,
    "stuck.no_receipt": settle,
    "stuck.outcome_unknown": settle,
    "stuck.platform_bare": purge,
    "stuck.which_character": decide,
    "autosave.NO_CHARACTER": decide,
}


# Problems of the overview that are over once everything is mended; the others rest on what only a person can settle.
HEALS = {
    "health.jobs.outcome_unknown",
    "health.provider.paused",
    "health.autosave.lag",
    "health.budget.spent",
    "health.attributes.missing",
}
BY_MACHINE = {Repair.repair_autosave, Repair.recover, Repair.generate}


def test_every_planted_defect_is_mended_by_its_repair_and_gone_at_the_next_look(services, world, capsys):
    before = asked(services, world)
    ones = [one for one in world.of(*ASKED) if one.family != "health"]
    by_machine = [one for one in ones if one.repair in BY_MACHINE]
    decided = [one for one in ones if one.code in DECISIONS]

    let_innocents_wait(services, world)
    mend(by_machine, services)
    for one in decided:
        DECISIONS[one.code](one, services)
    builders.work(services)

    after = asked(services, world)
    ended = [*by_machine, *decided, *(one for one in world.of("health") if one.code in HEALS)]
    print_table(world, before, after, capsys)
    assert {(one.code, sentence_of(one, after)) for one in ended if sentence_of(one, after)} == set()
    others = [one for one in world.of(*ASKED) if one not in ended]
    assert {one.code for one in others if sentence_of(one, after) is None} == set()
    assert {family: alarms_of(family, after, world) for family in ASKED if family != "findings"} == {
        family: {} for family in ASKED if family != "findings"
    }


def let_innocents_wait(services, world) -> None:
    """What waits for its turn is in the hands of another worker: the innocents stay what they are."""
    for one in world.innocent:
        if one.job:
            with services.db.as_service() as conn:
                demo_rows.hold_entry(conn, JobId(UUID(one.job)))


def print_table(world: World, before, after, capsys) -> None:
    """Planted, found, mended, false alarms, by family."""
    lines = [f"{'family':<12} planted  found  mended  a person decides  false alarms"]
    for family in before:
        ones = world.of(family)
        found = [one for one in ones if sentence_of(one, before) is not None]
        gone = [one for one in found if sentence_of(one, after) is None]
        alarms = len(alarms_of(family, before, world))
        lines.append(
            f"{family:<12} {len(ones):>7} {len(found):>6} {len(gone):>7} {len(found) - len(gone):>17} {alarms:>13}"
        )
    with capsys.disabled():
        print("\n" + "\n".join(lines))


# ---- the library: a scan of rows and objects


def ask_library(services):
    """What a scan finds: each finding with every name it may be known by."""
    stock.scan(services)
    with services.db.as_reader(QUINN) as conn:
        found = library.page(conn, list(stock.Kind), limit=500).rows
    return [(one, names_of(one)) for one in found]


def names_of(one) -> set[str]:
    paths = [path for path in (one.path, one.other_path) if path]
    jobs = {path.rpartition("/")[2].partition(".")[0].partition("_")[0] for path in paths}
    return {str(one.job_id), str(one.row_id), f"{one.bucket}/{one.path}", str(one.character_id), *jobs}


def library_sentence_of(one: Planted, answers) -> str | None:
    """What the scan says of a planted defect, None where it did not find it."""
    return next((found.sentence for found, names in answers if is_about(one, found, names)), None)


def is_about(one: Planted, found, names: set[str]) -> bool:
    by_row = one.table == "object" or not one.job
    return found.kind == one.word and (one.row if by_row else one.job) in names


def library_alarms(answers, world: World, services) -> list[str]:
    """What the scan says of anything in which nothing was planted."""
    jobs = [one.job for one in world.planted if one.job]
    statement = "SELECT character_id FROM jobs WHERE id = ANY(%s::uuid[]) AND character_id IS NOT NULL"
    broken = [one.job for one in world.of("autosave") if one.word.startswith(("IMAGE", "NO_IMAGE"))]
    characters = [str(row[0]) for row in builders.rows(services.db, statement, [broken])]
    touched = {*jobs, *characters, *(one.row for one in world.planted)}
    return [
        f"{one.kind} {one.table_name} {one.bucket}/{one.path}"
        for one, names in answers
        if not names & touched
    ]


def library_finding(one: Planted, answers) -> int:
    return next(found.id for found, names in answers if is_about(one, found, names))


def test_every_defect_of_the_library_is_found_explained_mended_and_gone(services, world, capsys):
    before = ask_library(services)
    ones = world.of("library")
    said = {(one.code, one.job or one.row): library_sentence_of(one, before) for one in ones}
    alarms = library_alarms(before, world, services)

    for one in ones:
        if one.repair is Repair.repair_library:
            repair_in_library(library_finding(one, before), services)
        elif one.repair is Repair.repair_autosave:
            in_bulk("repair_autosave", [one.job], services)
        elif one.word in TAKEN_OUT:
            restock.put_in_bin(library_finding(one, before), QUINN, services, why="One is enough")
    builders.work(services)
    after = ask_library(services)

    left = [one for one in ones if library_sentence_of(one, after)]
    with capsys.disabled():
        print(f"\nlibrary      {len(ones):>7} {sum(map(bool, said.values())):>6} {len(ones) - len(left):>7} "
              f"{len(left):>17} {len(alarms):>13}")  # fmt: skip
    assert {key for key, sentence in said.items() if sentence is None} == set()
    assert {
        (one.code, said[one.code, one.job or one.row])
        for one in ones
        if one.says not in said[one.code, one.job or one.row]
    } == set()
    assert alarms == []
    reasons = {one.job: one.word for one in world.of("autosave")}
    assert {(one.code, reasons.get(one.job)) for one in left if one.word != "external_link"} == set()


TAKEN_OUT = {"same_bytes", "look_alike", "blank", "corrupt", "object_without_row"}


def repair_in_library(finding: int, services) -> None:
    if "repair_library" in bulk.DEEDS:
        in_bulk("repair_library", [str(finding)], services)
    else:
        restock.mend(finding, QUINN, services, why="The demo world is put right")


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


def test_the_command_prints_what_is_planted_and_a_second_run_says_that_it_stands(
    no_settings_around, services, world, monkeypatch
):
    monkeypatch.setenv("DATABASE_URL", services.db.dsn)
    monkeypatch.setenv("STUDIO_HOME", str(services.settings.home))
    before = digests(services)

    answer = CliRunner().invoke(cli.app, ["demo", "--innocent"])

    said = " ".join(answer.output.split())
    assert answer.exit_code == 0
    assert "The demo world stands already; nothing was changed" in said
    assert f"{len(world.planted)} defects" in said
    assert f"{len(world.innocent)} things that only look wrong" in said
    assert digests(services) == before


def test_the_command_says_why_it_makes_none_here(no_settings_around, build, monkeypatch):
    lived_in = build(providers=("sketch",))
    builders.a_character(builders.a_person(lived_in.db, "ana", Role.editor), lived_in)
    monkeypatch.setenv("DATABASE_URL", lived_in.db.dsn)
    monkeypatch.setenv("STUDIO_HOME", str(lived_in.settings.home))

    answer = CliRunner().invoke(cli.app, ["demo"])

    assert answer.exit_code == 1
    assert "DEMO_NOT_HERE" in answer.output
