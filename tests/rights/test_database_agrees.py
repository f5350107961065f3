"""The database and core/authority.py name the same roles: read from the catalogue of the migrated database.

Python asks first, for a good sentence; the database asks again, for every other way in. Each list of roles in a function or
a policy belongs to an action: one that has none fails here, and so does one that says other roles than its action.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from core import bulk
from core.authority import MAY, Action
from core.db.migrate import FOLDER
from core.values import Role
from tests.builders import rows

A = Action
LOOKING = (A.see_everybodys, A.write_characters)  # across people, and as whose it is or a member
# Functions by the actions whose roles they name themselves, or a refuse_… function does for them.
FUNCTIONS: Mapping[str, tuple[Action, ...]] = {
    # who sees and changes a row at all
    "may_read": LOOKING,
    "may_read_job": (A.see_everybodys,),
    "may_read_job_of": (A.write_characters,),
    "may_change": (A.write_characters,),
    "may_change_job": (A.make_pictures,),
    "is_member": (A.write_characters,),
    "shared_characters": (A.write_characters,),
    "owner_stays": (A.use_studio,),
    "is_stranger": (A.use_studio,),
    "characters_named": (A.use_studio,),
    "owners_named": (A.use_studio,),
    "members_of": (A.use_studio,),
    "search_library": (A.use_studio, *LOOKING),
    "line": (A.use_studio, A.see_prompts_in_line),
    "note_deed": (A.use_studio, A.write_characters, A.repair_autosave),
    # the studio
    "ask": (A.make_pictures,),
    "ask_suggestion": (A.ask_suggestions,),
    "cancel": (A.make_pictures, A.cancel_anybodys),
    "dismiss": (A.make_pictures,),
    "keep_reference": (A.choose_references,),
    "owner_to_share": (A.share_characters, A.share_anybodys),
    "leave_character": (A.leave_characters,),
    "rate_portrait": (A.rate_portraits,),
    # bulk actions: studio.bulk_kinds has the roles of each kind
    "begin_bulk": (A.use_studio,),
    "take_bulk": (A.use_studio, A.see_everybodys),
    "stop_bulk": (A.use_studio, A.see_everybodys),
    "end_bulk": (A.use_studio,),
    "refuse_others_bulk": (A.see_everybodys,),
    # repairs
    "purge": (A.purge_jobs,),
    "purge_preview": (A.purge_jobs,),
    "settle_unknown": (A.settle_outcomes,),
    "note_found": (A.settle_outcomes,),
    "ask_proof": (A.check_autosave,),
    "ask_row_sweep": (A.check_rows,),
    "ask_stock_scan": (A.scan_library,),
    "stock_repair_refusal": (A.repair_library,),
    "end_stock_repair": (A.repair_library,),
    "team": (A.work_on_findings,),
    "assign_findings": (A.work_on_findings,),
    "note_on_finding": (A.work_on_findings,),
    "set_findings_aside": (A.judge_findings,),
    "bring_findings_back": (A.judge_findings,),
    "draw_qa_sample": (A.draw_samples,),
    "close_qa_sample": (A.draw_samples,),
    "give_qa_verdict": (A.judge_samples,),
    "qa_progress": (A.judge_samples,),
    "may_see_verdicts": (A.judge_samples,),
    # attribute images
    "begin_attribute_run": (A.make_attribute_images,),
    "ask_attribute_image": (A.make_attribute_images,),
    "cancel_attribute_image": (A.make_attribute_images,),
    "cancel_attribute_run": (A.make_attribute_images,),
    "review_attribute_image": (A.judge_attribute_images,),
    "add_attribute_option": (A.change_options,),
    "switch_attribute_option": (A.change_options,),
    # the installation
    "budget_standings": (A.see_costs, A.use_studio),
    "set_budget": (A.set_budgets,),
    "remove_budget": (A.set_budgets,),
    "set_price": (A.set_prices,),
    "refund": (A.refund,),
    "resume_provider": (A.pause_providers,),
    "note_test_notice": (A.send_test_messages,),
    "set_budget_seen": (A.set_budgets,),
    "remove_budget_seen": (A.set_budgets,),
    "set_kept_days": (A.set_retention,),
    "set_price_seen": (A.set_prices,),
    "withdraw_price": (A.set_prices,),
    "change_model": (A.change_models,),
    "add_model": (A.change_models,),
    "pause_provider": (A.pause_providers,),
    "note_person_change": (A.change_people,),
    "begin_erasure": (A.erase_people,),
    "change_attribute_option": (A.change_options,),
    "applied_migrations": (A.see_health,),
    "queue_stand": (A.see_health,),
    "schedule_stand": (A.see_health,),
    "live_entry": (A.see_health,),
    "save_view": (A.keep_views,),
    "change_view": (A.keep_views,),
    "remove_view": (A.keep_views,),
    # said once for several
    "refuse_purger": (A.purge_jobs,),
    "refuse_settler": (A.settle_outcomes,),
    "refuse_stock_keeper": (A.repair_library, A.scan_library),
    "refuse_unless_judging": (A.judge_findings,),
    "refuse_unless_reviewing": (A.work_on_findings,),
    "refuse_unless_product": (A.make_attribute_images, A.judge_attribute_images, A.change_options),
    "refuse_viewer": (A.keep_views,),
}
# Functions that people call and that name no role, because the row they are about decides: each asks one of these.
BY_ROW = re.compile(
    r"studio\.(may_read|may_change|may_read_character|may_read_job|may_change_character|owner_to_change|owner_to_share)\b"
)
OPEN = {  # and those that ask nothing of who calls
    "job_move_is_legal": "a trigger that runs as its writer asks it; it reads one job's state",
    "lock_job": "the same; refused to who calls it directly",
    "note_failure": "the same",
    "note_finding": "the same",
    "plain_address": "the same; a text in, a text out",
    "owner_of": "policies ask it: to somebody without a role it names the owner of their own characters only",
    "price_of": "to somebody without a role it answers nothing",
    "price_held": "the same",
    "is_sketched": "the same",
    "shared_jobs": "by shared_characters, which asks for the role",
}
# Tables by the actions whose roles their policies name. Public tables also have the platform's own, which name none.
POLICIES: Mapping[str, tuple[Action, ...]] = {
    **dict.fromkeys(
        (
            "public.characters", "public.character_portraits", "public.character_scenes", "public.jobs",
            "public.workspace_assets", "public.user_library", "studio.character_versions", "studio.character_cards",
            "studio.removed_scenes", "studio.ratings", "studio.reference_uploads", "studio.character_members",
        ),
        LOOKING,
    ),
    "public.api_models": (A.use_studio,),
    "studio.cost_entries": (A.see_costs, A.write_characters),
    "studio.budgets": (A.see_costs, A.make_pictures),
    "studio.submissions": (A.see_costs,),
    "studio.callbacks": (A.see_answers,),
    "studio.recovery_steps": (A.see_everybodys,),
    "studio.suggestions": (A.ask_suggestions,),
    "studio.bulk_actions": (A.see_everybodys, A.make_pictures),
    "studio.bulk_items": (A.see_everybodys, A.make_pictures),
    "studio.bulk_kinds": (A.see_everybodys,),
    "studio.audit_events": (A.see_activity,),
    "studio.findings": (A.work_on_findings,),
    "studio.adoptions": (A.see_health,),
    **dict.fromkeys(
        ("studio.health_history", "studio.health_looks", "studio.health_notices", "studio.health_state"), (A.see_health,)
    ),
    **dict.fromkeys(
        (
            "studio.proof_results", "studio.proof_runs", "studio.row_sweeps", "studio.stock_marks", "studio.stock_objects",
            "studio.stock_scans", "studio.removed_items", "studio.removed_portraits",
        ),
        (A.see_everybodys,),
    ),
    **dict.fromkeys(
        ("studio.attribute_image_versions", "studio.attribute_jobs", "studio.attribute_runs"), (A.see_attribute_images,)
    ),
    **dict.fromkeys(("studio.qa_samples", "studio.qa_sample_items", "studio.qa_verdicts"), (A.judge_samples,)),
    **dict.fromkeys(
        ("studio.attribute_options", "studio.model_prices", "studio.provider_state", "studio.workers", "studio.kept_days"),
        (A.use_studio,),
    ),
    "studio.saved_views": (A.keep_views,),
    "studio.erasures": (A.erase_people,),
    "studio.retention_runs": (A.set_retention,),
}  # fmt: skip
BY_JOB = {
    "studio.job_events",
    "studio.submissions",
    "studio.recovery_steps",
    "studio.callbacks",
}  # may_read_job

_ASKED = re.compile(
    r"(?:has_role|refuse_all_but|refuse_unless_qa)\(([^()]*)\)|array\[([^\]]*)\]", re.IGNORECASE
)
_NAMED = re.compile(r"'(\w+)'")
_PASSED_ON = re.compile(r"studio\.(refuse_\w+)\(")


def lists_in(text: str) -> set[frozenset[Role]]:
    """The lists of roles in a function's body or a policy's rule."""
    code = re.sub(r"--[^\n]*", "", text)
    found = (_NAMED.findall(" ".join(said)) for said in _ASKED.findall(code))
    return {frozenset(map(Role, names)) for names in found if names and set(names) <= set(Role)}


def meant(actions: tuple[Action, ...]) -> set[frozenset[Role]]:
    return {MAY[action] for action in actions}


def bodies(database) -> dict[str, tuple[str, bool]]:
    """Every function of ours that is no trigger: its text, and whether people may call it with the studio's rights."""
    return {
        name: (text, is_open)
        for name, text, is_open in rows(
            database,
            """
            SELECT p.proname, pg_get_functiondef(p.oid),
                   p.prosecdef AND has_function_privilege('authenticated', p.oid, 'EXECUTE')
            FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE n.nspname IN ('public', 'studio') AND p.prokind = 'f' AND p.prorettype <> 'trigger'::regtype
              AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
            """,
        )
    }


def named_by(name: str, found: Mapping[str, tuple[str, bool]]) -> set[frozenset[Role]]:
    """The lists of a function, and of the refusals it begins with."""
    text = found[name][0]
    return lists_in(text).union(
        *(lists_in(found[one][0]) for one in _PASSED_ON.findall(text) if one in found and one != name)
    )


def test_every_function_names_the_roles_of_its_action(database, record_property):
    found = bodies(database)
    said = {name: lists for name in found if (lists := named_by(name, found))}

    assert {name: lists for name, lists in said.items() if lists != meant(FUNCTIONS.get(name, ()))} == {}
    assert set(FUNCTIONS) - set(said) == set()
    record_property(
        "figure", ["the authorisation table", f"database: {16 * len(said)} cases of what functions say"]
    )


def test_a_function_for_people_asks_for_a_role_or_whose_row_it_is_or_says_why_not(database):
    found = bodies(database)
    asks_nothing = {
        name
        for name, (text, is_open) in found.items()
        if is_open and not named_by(name, found) and not BY_ROW.search(text.partition("AS $")[2])
    }

    assert asks_nothing == set(OPEN)


def test_every_policy_names_the_roles_of_its_table(database, record_property):
    found: dict[str, set[frozenset[Role]]] = {}
    for table, rule in rows(
        database,
        """
        SELECT schemaname || '.' || tablename, concat_ws(' ', qual, with_check) FROM pg_policies
        WHERE schemaname IN ('public', 'studio') AND 'authenticated' = ANY(roles)
          AND (qual, with_check) IS DISTINCT FROM ('false', 'false')
        """,
    ):
        found.setdefault(table, set()).update(lists_in(rule))
    said = {table: lists for table, lists in found.items() if lists}

    assert {table: lists for table, lists in said.items() if lists != meant(POLICIES.get(table, ()))} == {}
    assert set(POLICIES) - set(said) == set()
    assert {table for table, lists in found.items() if not lists and table.startswith("studio.")} <= BY_JOB
    record_property(
        "figure", ["the authorisation table", f"database: {16 * len(said)} cases of what policies say"]
    )


def test_the_store_of_a_supabase_project_is_read_by_the_roles_of_the_table():
    """Where there is no Supabase, its tables are not there to be asked; tests/supabase opens the doors for real."""
    said = lists_in((FOLDER / "20261122095000_buckets.sql").read_text())

    assert said == meant((A.use_studio, A.see_everybodys))


def test_the_bulk_kinds_of_the_database_have_the_roles_of_their_deeds(database):
    kinds = {
        kind: frozenset(map(Role, names))
        for kind, names in rows(database, "SELECT kind, roles FROM studio.bulk_kinds")
    }

    usual = frozenset({Role.qa, Role.admin})  # studio.refuse_bulk: of a kind that has no row

    assert {kind: kinds.get(kind, usual) for kind in bulk.DEEDS} == {
        kind: deed.roles for kind, deed in bulk.DEEDS.items()
    }
    assert set(kinds) <= set(bulk.DEEDS)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("CREATE POLICY more ON studio.findings FOR SELECT TO authenticated USING (studio.has_role('editor'))", "studio.findings"),
        ("CREATE POLICY new ON studio.settings FOR SELECT TO authenticated USING (studio.has_role('admin'))", "studio.settings"),
    ],
)  # fmt: skip
def test_a_policy_that_lets_in_others_is_found(database, change, told):
    with database.as_service() as conn:
        conn.execute(change)

    with pytest.raises(AssertionError, match=told):
        test_every_policy_names_the_roles_of_its_table(database, lambda *_: None)


def test_a_function_that_lets_in_others_is_found(database):
    [[text]] = rows(database, "SELECT pg_get_functiondef('studio.refuse_purger()'::regprocedure)")
    with database.as_service() as conn:
        conn.execute(text.replace("'qa', 'admin'", "'qa', 'product', 'admin'"))

    with pytest.raises(AssertionError, match="purge"):
        test_every_function_names_the_roles_of_its_action(database, lambda *_: None)
