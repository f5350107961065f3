"""Who may do what, read from the catalogue of the migrated database: a new table or function that forgets its
rights fails here without anybody having to write a test for it.
"""

from __future__ import annotations

import pytest

from core.values import Role
from tests.builders import a_character, a_person, a_waiting_job, rows

PEOPLE = ("anon", "authenticated")
WRITES = ("INSERT", "UPDATE", "DELETE")

# Definer functions that somebody may call, and why that is meant.
ANYBODY = {
    "job_move_is_legal",  # asked by a trigger that runs as its writer; reads one job's state
    "lock_job",  # the same: an asset locks its job first
    "note_failure",  # the same: what a trigger could not do is a finding
    "note_finding",  # the same: what a writer's row cannot keep becomes a finding
    "plain_address",  # the same: a signed link of our own becomes bucket/path
}
PEOPLE_WITH_A_ROLE = {
    "ask",
    "cancel",
    "dismiss",
    "note_found",
    "settle_unknown",
    "purge",
    "purge_preview",
    "note_deed",  # a person notes one of a few deeds, in their own name
    "owner_stays",  # asked by policies
    "begin_attribute_run",
    "ask_attribute_image",
    "cancel_attribute_image",
    "cancel_attribute_run",
    "review_attribute_image",
    "search_library",  # one check of the role, then an index that row-level security would hide
    "line",  # whose turn it is, with words only for whom they are
    "price_of",  # a price is no secret of a person
    "price_held",  # the same, as it counts against a limit
    "is_sketched",  # tells of a job only whether the built-in Sketch drew it
    "budget_standings",
    "set_budget",
    "remove_budget",
    "set_price",
    "refund",
    "resume_provider",
    "ask_suggestion",
    "owner_of",  # asked by policies
    "may_read_job",  # asked by policies
    "keep_reference",  # a reference is uploaded, with its confirmation of rights
    "erase_reference",  # and erased
    "rate_portrait",  # a person rates a portrait for themselves
    "remove_scene",  # a scene is taken out
    "restore_scene",  # and brought back
    "keep_card",  # a character card is imported, its object kept whole
    "keep_brought_picture",  # and its picture, with the confirmation of rights
    "add_attribute_option",  # product adds an option of the character-creation form
    "switch_attribute_option",  # and switches one on or off
    "change_attribute_option",  # and changes what a team's own one says
    "change_model",  # an admin switches models and says what they can do
    "add_model",
    "set_price_seen",
    "withdraw_price",  # one that has not begun
    "pause_provider",
    "set_budget_seen",
    "remove_budget_seen",
    "set_kept_days",  # how long what is kept
    "note_person_change",  # and writes down what was changed of a person
    "may_see_verdicts",  # asked by a policy: others' verdicts after one's own
    "draw_qa_sample",  # qa draws a sample and freezes it
    "give_qa_verdict",  # a person says what a portrait of it is like
    "close_qa_sample",  # and qa ends the judging
    "qa_progress",  # how far everybody is, and not what they said
    "ask_stock_scan",  # a scan of the library is asked for by qa
    "ask_row_sweep",  # a check of every row is asked for by qa
    "stock_repair_refusal",  # whether qa may repair a finding of it
    "end_stock_repair",  # and that it was repaired, by whom
    "queue_stand",  # how the queue stands, without an entry's payload
    "live_entry",  # whether a job has an entry that lives
    "schedule_stand",  # when the clocks last ran
    "applied_migrations",  # which migrations were applied
    "note_test_notice",  # an admin sent a test message
    "ask_scene",  # a picture of a scene, by the way of a portrait
    "team",  # who a finding can be given to
    "assign_findings",
    "note_on_finding",
    "set_findings_aside",
    "bring_findings_back",
    "ask_proof",  # a check of the auto-save now
    "begin_bulk",  # rows that were shown are frozen, to be repaired one by one
    "take_bulk",  # and a run takes them
    "stop_bulk",
    "end_bulk",
    "characters_named",  # one check of the role and of each row, by an index that row-level security would hide
    "save_view",  # a view of the dashboard is kept
    "change_view",  # renamed or shared, by its owner
    "remove_view",  # and deleted
    "shared_characters",  # asked by policies: what others share with this person
    "shared_jobs",  # asked by policies: the jobs of what others share with oneself
    "tell_presence",  # who has a character open, told to whom may read it
    "begin_erasure",  # an admin has a person erased
    "add_member",  # the owner or an admin shares one character
    "change_member",
    "remove_member",
    "leave_character",  # and a member leaves it
    "members_of",  # who works on it, for whoever may read it
    "owners_named",  # whose the characters of a list are
}
WIDE_OPEN = {  # the platform's own policies, as they stood (reference/old-platform.md)
    ("api_providers", "read_providers"),
    ("attribute_images", "read_attributes"),
    ("style_images", "read_styles"),
}


def tables(database, *schemas):
    return [
        tuple(row)
        for row in rows(
            database,
            """
            SELECT n.nspname, c.relname, c.relrowsecurity FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY(%s) ORDER BY 1, 2
            """,
            (list(schemas),),
        )
    ]


def may(database, role, table, right):
    [[answer]] = rows(database, "SELECT has_table_privilege(%s, %s, %s)", (role, table, right))
    return answer


def test_every_table_has_row_level_security(database):
    found = tables(database, "public", "studio")

    assert len(found) >= 20
    assert [f"{schema}.{table}" for schema, table, secured in found if not secured] == []


def test_every_table_that_is_granted_has_a_policy(database):
    policies = {tuple(row) for row in rows(database, "SELECT schemaname, tablename FROM pg_policies")}

    bare = [
        f"{schema}.{table}"
        for schema, table, _ in tables(database, "public", "studio")
        if (schema, table) not in policies
        and any(
            may(database, role, f"{schema}.{table}", right)
            for role in PEOPLE
            for right in ("SELECT", *WRITES)
        )
    ]

    assert bare == []


def test_nobody_writes_the_studios_own_tables(database):
    writable = [
        f"{role} {right} {schema}.{table}"
        for schema, table, _ in tables(database, "studio", "studio_queue")
        for role in PEOPLE
        for right in (*WRITES, "TRUNCATE")
        if may(database, role, f"{schema}.{table}", right)
    ]

    assert writable == []


def test_who_is_not_signed_in_reads_nothing_of_the_studios(database):
    readable = [
        f"{schema}.{table}"
        for schema, table, _ in tables(database, "studio", "studio_queue")
        if may(database, "anon", f"{schema}.{table}", "SELECT")
    ]

    assert readable == []


def test_the_queue_is_closed_to_people(database):
    [[anon, authenticated]] = rows(
        database,
        "SELECT has_schema_privilege('anon', 'studio_queue', 'USAGE'), has_schema_privilege('authenticated', 'studio_queue', 'USAGE')",
    )

    assert (anon, authenticated) == (False, False)


def test_a_receipt_is_shown_to_nobody(database):
    [[whole, receipt, outcome]] = rows(
        database,
        """
        SELECT has_table_privilege('authenticated', 'studio.submissions', 'SELECT'),
               has_column_privilege('authenticated', 'studio.submissions', 'receipt', 'SELECT'),
               has_column_privilege('authenticated', 'studio.submissions', 'outcome', 'SELECT')
        """,
    )

    assert (whole, receipt, outcome) == (False, False, True)


def test_every_view_asks_with_the_rights_of_who_looks(database):
    views = rows(
        database,
        """
        SELECT n.nspname || '.' || c.relname, coalesce('security_invoker=true' = ANY(c.reloptions), false)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('v', 'm') AND n.nspname IN ('public', 'studio')
        """,
    )

    assert ("studio.spend", True) in views
    assert [name for name, invoker in views if not invoker] == ["studio.live_entries"]


def test_the_queue_is_seen_by_those_who_look_after_it_and_by_no_one_else(services):
    ana = a_person(services.db, "ana", Role.editor)
    a_waiting_job(ana, services, a_character(ana, services))
    seen = "SELECT count(*) FROM studio.live_entries"

    for role in Role:
        person = a_person(services.db, f"{role}-looks", role)
        with services.db.as_reader(person) as conn:
            (count,) = conn.execute(seen).fetchone()
        assert count == (0 if role is Role.editor else 1), role


def definers(database):
    """Functions that run with the studio's rights and can be called: triggers cannot."""
    return rows(
        database,
        """
        SELECT p.proname, p.oid, p.proconfig, p.prorettype = 'trigger'::regtype
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE p.prosecdef AND n.nspname IN ('public', 'studio')
        """,
    )


def test_every_function_with_the_studios_rights_looks_names_up_nowhere_else(database):
    open_to_planting = [
        name
        for name, _, settings, _ in definers(database)
        if 'search_path="", pg_temp' not in (settings or [])
    ]

    assert definers(database) != []
    assert open_to_planting == []


@pytest.mark.parametrize(
    ("role", "meant"),
    [("public", ANYBODY), ("anon", ANYBODY), ("authenticated", ANYBODY | PEOPLE_WITH_A_ROLE)],
)
def test_a_function_with_the_studios_rights_is_called_only_by_whom_it_is_meant_for(database, role, meant):
    callable_by_role = {
        name
        for name, oid, _, is_trigger in definers(database)
        if not is_trigger
        and rows(database, "SELECT has_function_privilege(%s, %s::oid, 'EXECUTE')", (role, oid)) == [(True,)]
    }

    assert callable_by_role == meant


def test_our_policies_for_people_begin_with_a_role(database):
    ours = rows(
        database,
        """
        SELECT schemaname || '.' || tablename || '.' || policyname, coalesce(qual, '') || coalesce(with_check, '')
        FROM pg_policies
        WHERE 'authenticated' = ANY(roles) AND (schemaname = 'studio' OR policyname LIKE 'studio_%')
        """,
    )

    roleless = [
        name
        for name, rule in ours
        if not any(word in rule for word in ("has_role", "may_read", "may_change", "owner_stays"))
        and rule != "falsefalse"  # nobody's: sessions and failed sign-ins
    ]

    assert len(ours) >= 15
    assert roleless == []


def test_no_policy_lets_everybody_through_but_the_platforms_public_ones(database):
    wide = {
        tuple(row)
        for row in rows(
            database,
            """
            SELECT tablename, policyname FROM pg_policies
            WHERE schemaname IN ('public', 'studio') AND roles && ARRAY['anon', 'authenticated', 'public']::name[]
              AND (qual = 'true' OR with_check = 'true')
            """,
        )
    }

    assert wide == WIDE_OPEN


def test_nobody_but_the_service_writes_models_prices_or_published_pictures(database):
    written = rows(
        database,
        """
        SELECT tablename, policyname FROM pg_policies
        WHERE schemaname = 'public' AND cmd <> 'SELECT' AND roles && ARRAY['anon', 'authenticated', 'public']::name[]
          AND tablename IN ('api_models', 'api_providers', 'attribute_images', 'style_images')
        """,
    )

    assert written == []
