"""Findings as people work through them: every rule in words, whose they are, set aside and back, by whom and by nobody else."""

import ast
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from core import cleaning, findings, mending, proof
from core.audit import findings as asked
from core.audit.autosave import CHECK_OF, Reason
from core.audit.findings import FindingFilter, FindingState, Key
from core.db import activity, health, matches, row_rules
from core.errors import BadRequest, NotAllowed, NotFound
from core.stock import Kind
from core.values import Role
from tests import builders
from tests.contracts.test_proof import by_hand

ROOT = Path(__file__).parents[2]
RULE = "job.illegal_move"
# Where a rule is put together while the studio runs: the call as it is written, and what it may write.
PUT_TOGETHER = {
    ("core/cleaning.py", "f'workspace.{verdict}'"): {f"workspace.{one}" for one in cleaning._FINDINGS},
    ("core/mending.py", "reason.rule"): {reason.rule for reason in CHECK_OF},
    ("core/matching.py", "matches.RULE"): {matches.RULE},
    ("core/db/activity.py", "rule"): set(),
    ("core/db/health.py", "RECEIVER"): {health.RECEIVER},
    ("core/demo/stock.py", "rule"): {"portrait.second_primary"},
}


def a_colleague(services, name, role):
    """Somebody with a role, as the sign-in's own table says it."""
    person = builders.a_person(services.db, name, role)
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE auth.users SET raw_app_meta_data = jsonb_build_object('roles', %s::text[]) WHERE id = %s",
            ([role], person.id),
        )
    return person


@pytest.fixture
def qa(services):
    return a_colleague(services, "quinn", Role.qa)


@pytest.fixture
def product(services):
    return a_colleague(services, "petra", Role.product)


def found(services, rule=RULE, row="row-1", sentence="It moved."):
    with services.db.as_service() as conn:
        activity.find(conn, rule, "jobs", row, sentence)
    return builders.one(
        services.db, "SELECT id FROM studio.findings WHERE rule = %s AND row_id = %s", [rule, row]
    )


def listed(services, person, **wanted):
    with services.db.as_reader(person) as conn:
        return list(asked.page(conn, FindingFilter(**wanted)).rows)


def events(services):
    return builders.rows(services.db, "SELECT who, action, row_id FROM studio.audit_events ORDER BY id")


# ---- every rule in words


def rules_of_code():
    """Every first word of a finding that core writes: literals, and what the table above says of the rest."""
    for path in sorted((ROOT / "core").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("activity.find"):
                rule = node.args[1]
                if isinstance(rule, ast.Constant):
                    yield name, rule.value
                else:
                    written = (name, ast.unparse(rule))
                    assert written in PUT_TOGETHER, f"say in PUT_TOGETHER what {written} may write"
                    yield from ((name, one) for one in PUT_TOGETHER[written])


WRITES = {  # where SQL writes findings by itself, and which rules
    "core/db/activity.py": set(),  # whatever it is called with; the calls are read above
    "core/db/findings.py": {reason.rule for reason in CHECK_OF},
    "core/db/stock.py": {f"library.{kind}" for kind in Kind},
    "core/db/adoption.py": {"portrait.second_primary"},
    "core/db/row_rules.py": {*row_rules.NAMES, *row_rules.BY_CHECKS},
}


def rules_of_statements():
    """What core's own SQL writes."""
    for path in sorted((ROOT / "core").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if re.search(
            r"insert into studio\.findings|select studio\.note_finding", path.read_text(), re.IGNORECASE
        ):
            assert name in WRITES, f"say in WRITES what {name} may write"
            yield from ((name, rule) for rule in WRITES[name])


def rules_of_migrations():
    for path in sorted((ROOT / "supabase/migrations").glob("*.sql")):
        text = path.read_text()
        for rule in re.findall(r"note_finding\(\s*'([^']+)'", text):
            yield path.name, rule
        for ending in re.findall(r"note_finding\(p_table \|\| '([^']+)'", text):
            yield from ((path.name, f"{table}{ending}") for table in ("character_portraits", "user_library"))
        calls = len(re.findall(r"perform studio\.note_finding\(|select studio\.note_finding\(", text))
        known = len(re.findall(r"note_finding\(\s*'|note_finding\(p_table \|\| '", text))
        assert calls == known, f"{path.name}: a finding whose rule this test cannot read"


def test_every_rule_that_writes_a_finding_is_said_in_words():
    written = {rule for _, rule in [*rules_of_code(), *rules_of_statements(), *rules_of_migrations()]}

    assert len(written) > 40
    assert written - set(findings.RULES) == set()


def test_every_rule_says_what_it_means_who_mends_it_and_what_to_do():
    for rule in findings.RULES.values():
        assert 5 < len(rule.title) <= 45
        assert rule.means.endswith(".")
        assert rule.todo.endswith(".")
        assert rule.who in {"QA", "Product", "Admin", "Editor"}
    assert len({rule.title for rule in findings.RULES.values()}) == len(findings.RULES)
    assert "another version" in findings.rule_of("library.from_tomorrow").title


# ---- the list


def test_findings_come_last_seen_first_page_by_page_and_back_without_a_gap(services, qa):
    ids = [found(services, row=f"row-{number}") for number in range(7)]
    with services.db.as_service() as conn:
        conn.execute("UPDATE studio.findings SET last_seen = '2026-11-01'")  # all at one moment
    wanted, seen, key = FindingFilter(), [], None

    with services.db.as_reader(qa) as conn:
        while True:
            page = asked.page(conn, wanted, before=key, limit=3)
            seen += [row.id for row in page.rows]
            if page.older is None:
                break
            key = page.older
        back = asked.page(conn, wanted, after=page.newer, limit=3)

    assert seen == ids[::-1]
    assert [row.id for row in back.rows] == ids[3:0:-1]
    assert back.newer is not None


def test_the_filters_narrow_by_rule_owner_age_and_state(services, qa, product):
    one, two, three = found(services), found(services, "asset.foreign_job"), found(services, row="row-2")
    findings.assign([two], qa.id, product, services)
    findings.set_aside([three], "As it should be.", qa, services)
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE studio.findings SET first_seen = now() - interval '9 days' WHERE id = %s", (one,)
        )
    week = datetime.now(UTC) - timedelta(days=7)

    def ids(**wanted):
        return {row.id for row in listed(services, product, **wanted)}

    assert ids() == {one, two}
    assert ids(rules=(RULE,)) == {one}
    assert ids(owner=qa.id) == {two}
    assert ids(is_nobodys=True) == {one}
    assert ids(first_before=week) == {one}
    assert ids(first_after=week) == {two}
    assert ids(state=FindingState.set_aside) == {three}
    assert ids(state=FindingState.mended) == set()


def test_rules_are_counted_with_their_oldest_and_a_bound_says_so(services, qa):
    for number in range(4):
        found(services, row=f"row-{number}")
    found(services, "asset.foreign_job")

    with services.db.as_reader(qa) as conn:
        groups = asked.by_rule(conn, FindingFilter(), most=3)
        states = asked.counts(conn, FindingFilter(), most=3)

    assert [(one.rule, one.counted.number, one.counted.more) for one in groups] == [
        (RULE, 3, True),
        ("asset.foreign_job", 1, False),
    ]
    first = builders.one(services.db, "SELECT min(first_seen) FROM studio.findings WHERE rule = %s", [RULE])
    assert groups[0].oldest_at == first
    assert (states[FindingState.open].number, states[FindingState.open].more) == (3, True)
    assert states[FindingState.mended].number == 0


@pytest.mark.parametrize("text", ["", "x~1", "2026-11-01~1", "2026-11-01T00:00:00+00:00~x", "~"])
def test_a_place_in_the_list_that_nobody_wrote_is_no_place(text):
    assert Key.read(text) is None


def test_a_place_in_the_list_survives_the_address():
    key = Key(datetime(2026, 11, 1, 12, tzinfo=UTC), 77)

    assert Key.read(str(key)) == key


# ---- what people do


def test_a_finding_is_given_to_somebody_and_back_and_each_is_recorded(services, qa, product):
    one, two = found(services), found(services, row="row-2")

    assert findings.assign([one, two], product.id, qa, services) == 2
    assert findings.assign([one, two], product.id, qa, services) == 0
    assert findings.assign([one], None, product, services) == 1

    assert {row.id: row.owner for row in listed(services, qa)} == {one: None, two: product.id}
    assert events(services) == [
        (qa.id, "finding_assigned", str(one)),
        (qa.id, "finding_assigned", str(two)),
        (product.id, "finding_assigned", str(one)),
    ]


def test_a_finding_is_given_to_nobody_outside_the_team(services, qa, customer):
    one = found(services)

    for stranger in (customer.id, uuid4()):
        with pytest.raises(NotFound, match="no such person in the team"):
            findings.assign([one], stranger, qa, services)

    assert {person.name.split("-")[0] for person in findings.team(qa, services)} == {"quinn"}


def test_a_note_is_kept_and_taken_away(services, qa):
    one = found(services)

    assert findings.note(one, "  Asked\nAna. ", qa, services)
    assert not findings.note(one, "Asked Ana.", qa, services)
    assert listed(services, qa)[0].note == "Asked Ana."
    assert findings.note(one, "", qa, services)
    assert listed(services, qa)[0].note is None
    with pytest.raises(NotFound):
        findings.note(999_999, "x", qa, services)
    with pytest.raises(BadRequest):
        findings.note(one, "x" * 501, qa, services)


def test_what_is_right_as_it_is_stays_aside_until_another_sentence_is_found(services, qa):
    one = found(services)
    assert findings.set_aside([one], "The platform does this on purpose.", qa, services) == 1

    found(services)
    [aside] = listed(services, qa, state=FindingState.set_aside)
    found(services, sentence="It moved the other way.")
    [back] = listed(services, qa)

    assert (aside.times, aside.set_aside_by, aside.set_aside_why) == (
        2,
        qa.id,
        "The platform does this on purpose.",
    )
    assert (back.id, back.times, back.set_aside_at, back.set_aside_why) == (one, 3, None, None)
    assert builders.one(services.db, "SELECT count(*) FROM studio.findings") == 1


def test_what_was_set_aside_is_brought_back_by_a_person(services, qa):
    one = found(services)
    findings.set_aside([one], "Fine.", qa, services)

    assert findings.set_aside([one], "Fine again.", qa, services) == 0
    assert findings.bring_back([one], qa, services) == 1
    assert findings.bring_back([one], qa, services) == 0

    assert [row.id for row in listed(services, qa)] == [one]
    assert [action for _, action, _ in events(services)] == ["finding_set_aside", "finding_brought_back"]


@pytest.mark.parametrize("why", ["", "  \n ", "x" * 501])
def test_nothing_is_set_aside_without_a_reason(services, qa, why):
    one = found(services)

    with pytest.raises(BadRequest, match="why it is right"):
        findings.set_aside([one], why, qa, services)

    assert [row.id for row in listed(services, qa)] == [one]


@pytest.mark.parametrize("ids", [[], list(range(501))])
def test_as_many_findings_as_one_can_look_through_are_changed_at_once(services, qa, ids):
    with pytest.raises(BadRequest, match="between 1 and 500"):
        findings.assign(ids, qa.id, qa, services)
    with pytest.raises(BadRequest, match="between 1 and 500"), services.db.as_user(qa) as conn:
        conn.execute("SELECT studio.assign_findings(%s::bigint[], NULL)", (ids,))


DEEDS = {
    "assign": lambda one, person, services: findings.assign([one], None, person, services),
    "note": lambda one, person, services: findings.note(one, "x", person, services),
    "set aside": lambda one, person, services: findings.set_aside([one], "x", person, services),
    "bring back": lambda one, person, services: findings.bring_back([one], person, services),
    "team": lambda _, person, services: findings.team(person, services),
    "check": lambda _, person, services: proof.ask(person, services),
}
ASKED_DIRECTLY = {
    "assign": "SELECT studio.assign_findings(ARRAY[{}]::bigint[], NULL)",
    "note": "SELECT studio.note_on_finding({}, 'x')",
    "set aside": "SELECT studio.set_findings_aside(ARRAY[{}]::bigint[], 'x')",
    "bring back": "SELECT studio.bring_findings_back(ARRAY[{}]::bigint[])",
    "team": "SELECT studio.team()",
    "check": "SELECT studio.ask_proof(NULL, false)",
}


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("role", ["customer", "editor", "product"])
def test_without_the_role_neither_the_use_case_nor_the_database_does_it(services, role, deed):
    roles = () if role == "customer" else (Role(role),)
    person, one = builders.a_person(services.db, role, *roles), found(services)
    if role == "product" and deed in {"assign", "note", "team"}:
        DEEDS[deed](one, person, services)
        return

    with pytest.raises(NotAllowed):
        DEEDS[deed](one, person, services)
    with pytest.raises(NotAllowed), services.db.as_user(person) as conn:
        conn.execute(ASKED_DIRECTLY[deed].format(one).encode())

    assert events(services) == []


def test_nobody_writes_a_finding_past_its_functions(services, qa):
    one = found(services)

    for statement in ("UPDATE studio.findings SET owner = NULL", "DELETE FROM studio.findings"):
        with pytest.raises(NotAllowed), services.db.as_user(qa) as conn:
            conn.execute(statement.encode())

    assert [row.id for row in listed(services, qa)] == [one]


# ---- what the check finds


@pytest.fixture
def saved(services, ana):
    return builders.a_finished_portrait(ana, services, builders.a_character(ana, services)).job.id


def of_rule(services, reason):
    return builders.one(
        services.db,
        "SELECT times, mended_at IS NOT NULL, mended_by, sentence FROM studio.findings WHERE rule = %s",
        [reason.rule],
    )


def test_a_check_stores_what_it_finds_and_closes_what_it_finds_no_more(services, saved):
    by_hand(services, "UPDATE user_library SET tags = '{}'")
    proof.run_proof(services)
    proof.run_proof(services)
    times, mended, _, sentence = of_rule(services, Reason.WRONG_TAGS)
    by_hand(services, "UPDATE user_library SET tags = '{character,portrait}'")

    proof.run_proof(services)
    closed = of_rule(services, Reason.WRONG_TAGS)
    by_hand(services, "UPDATE user_library SET tags = '{}'")
    proof.run_proof(services)

    assert (times, mended, sentence) == (2, False, "Its library row lacks the tags character and portrait.")
    assert closed[:3] == (2, True, None)
    assert of_rule(services, Reason.WRONG_TAGS)[:2] == (3, False)


def test_a_check_of_rows_does_not_close_what_only_the_files_can_tell(services, saved):
    by_hand(services, "UPDATE user_library SET tags = '{}'")
    library = builders.one(services.db, "SELECT storage_path FROM user_library")
    services.storage.delete("user-library", library)
    proof.run_proof(services, with_objects=True)

    proof.run_proof(services)

    assert of_rule(services, Reason.OBJECT_MISSING)[:2] == (1, False)
    assert of_rule(services, Reason.WRONG_TAGS)[:2] == (2, False)


def test_a_check_of_a_period_leaves_older_findings_alone(services, ana, saved):
    by_hand(services, "UPDATE user_library SET tags = '{}'")
    proof.run_proof(services)
    by_hand(services, "UPDATE user_library SET tags = '{character,portrait}'")
    by_hand(services, "UPDATE jobs SET completed_at = now() - interval '3 days'")

    proof.run_proof(services, since=datetime.now(UTC) - timedelta(days=1))

    assert of_rule(services, Reason.WRONG_TAGS)[:2] == (1, False)


def test_what_was_set_aside_stays_aside_through_every_check(services, qa, saved):
    by_hand(services, "UPDATE user_library SET tags = '{}'")
    proof.run_proof(services)
    findings.set_aside([row.id for row in listed(services, qa)], "A test picture.", qa, services)

    proof.run_proof(services)

    [aside] = listed(services, qa, state=FindingState.set_aside)
    assert (aside.rule, aside.times) == (Reason.WRONG_TAGS.rule, 2)


def test_a_repair_names_who_mended_the_finding(services, qa, saved):
    by_hand(services, "UPDATE user_library SET tags = '{}'")
    proof.run_proof(services)

    mending.repair(saved, qa, services)

    [mended] = listed(services, qa, state=FindingState.mended)
    assert (mended.rule, mended.mended_by) == (Reason.WRONG_TAGS.rule, UUID(str(qa.id)))
