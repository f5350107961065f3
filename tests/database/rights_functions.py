"""Who may call which of the functions that run with the studio's rights, on whose row: each is called for real, with
arguments that are valid, so that a refusal is one of rights and nothing else.

`call` gives one row where it did what it says. A function without a line, and a line without a function, fail in
test_rights_table.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

from tests.database.rights_table import (
    ALL,
    CHANGES,
    EDITS,
    EVERYBODY,
    LOOKS,
    NOBODY,
    OTHERS,
    OWNED,
    PUBLISHER,
    READS,
    ROLE,
    SIGNED_IN,
    STRANGER,
    TEAM,
    Case,
    Right,
    Whose,
    any_of,
    as_sql,
    row,
    scope_of,
)

STUDIO = (Whose.nobody,)


@dataclass(frozen=True)
class Function:
    """One call. `before` makes what it needs, with the studio's own rights; `proof` where a row says too little."""

    name: str
    call: str
    may: Right
    whose: tuple[Whose, ...] = STUDIO
    before: str = ""
    title: str = ""
    proof: str = ""

    @property
    def what(self) -> str:
        return f"{self.name}{f': {self.title}' if self.title else ''}"


EDITOR = any_of("editor")
QA = any_of("qa", "admin")
PRODUCT = any_of("product", "admin")
ADMIN = any_of("admin")
WORKS_ON = EDITS | CHANGES
OWNER = EDITOR & row(Whose.own)

_LOST = """UPDATE public.jobs SET status = 'processing', stage = 'outcome_unknown' WHERE id = %(studio_job)s;
    INSERT INTO studio.submissions (job_id, attempt, lease, provider, model_key) VALUES (%(studio_job)s, 1, 1, 'fal', 'm')"""
_PRICE = """INSERT INTO studio.model_prices (model_id, unit, price, valid_from)
    VALUES (%(model)s, 'image', 0.01, now() - interval '1 day')"""
_MODEL = """INSERT INTO public.api_models (id, provider_id, display_name, model_key, modality)
    SELECT %(new)s, p.id, 'A model', %(new)s, 'image' FROM public.api_providers p ORDER BY p.name LIMIT 1"""
_RUN = "INSERT INTO studio.attribute_runs (id, asked_by, kind) VALUES (%(new)s, %(owner)s, 'generate')"
_FRIEND = """INSERT INTO auth.users (id, email, raw_app_meta_data)
    VALUES (%(new)s, %(new)s || '@studio.invalid', '{"roles": ["editor"]}')"""
_MEMBER = "INSERT INTO studio.character_members (character_id, user_id) VALUES (%(character)s, %(new)s)"

ASKING = (
    Function(
        "ask",
        "SELECT FROM studio.ask(%(character)s, %(model)s, 'words', '{}', 64, 64, NULL, NULL, 100)",
        WORKS_ON,
        OWNED,
    ),
    Function(
        "ask_scene",
        "SELECT FROM studio.ask_scene(%(scene)s, %(model)s, 'words', '{}', 64, 64, NULL, NULL, 100)",
        WORKS_ON,
        OWNED,
    ),
    Function(
        "ask_suggestion",
        "SELECT FROM studio.ask_suggestion(%(character)s, 1, 'all', 'm', 10, 10, NULL, 'f')",
        EDITOR & READS,
        OWNED,
    ),
    Function("cancel", "SELECT FROM studio.cancel(%(studio_job)s)", WORKS_ON | QA, OWNED),
    Function(
        "dismiss",
        "SELECT studio.dismiss(%(studio_job)s)",
        WORKS_ON,
        OWNED,
        "UPDATE public.jobs SET status = 'failed' WHERE id = %(studio_job)s",
    ),
    Function(
        "settle_unknown", "SELECT studio.settle_unknown(%(studio_job)s, false, 'why')", QA, OWNED, _LOST
    ),
    Function("note_found", "SELECT studio.note_found(%(studio_job)s, 'r', 'why')", QA, OWNED, _LOST),
    Function(
        "purge",
        "SELECT FROM studio.purge(ARRAY[%(studio_job)s]::pg_catalog.uuid[], 'why') WHERE refusal IS NULL",
        QA,
        OWNED,
    ),
    Function(
        "purge_preview",
        "SELECT FROM studio.purge_preview(ARRAY[%(studio_job)s]::pg_catalog.uuid[])",
        QA,
        OWNED,
    ),
    Function(
        "line",
        "SELECT FROM studio.line(500) WHERE id = %(studio_job)s AND may_read AND user_id IS NOT NULL",
        READS,
        OWNED,
    ),
    Function(
        "line",
        "SELECT FROM studio.line(500) WHERE id = %(studio_job)s AND prompt IS NOT NULL",
        ADMIN | (ROLE & row(Whose.own)),
        OWNED,
        title="its words",
    ),
    Function(
        "line",
        """SELECT FROM studio.line(500) WHERE id = %(studio_job)s AND NOT may_read
           AND coalesce(user_id, character_id) IS NULL AND coalesce(character_name, prompt) IS NULL""",
        EDITOR & Right(lambda who, whose: not READS(who, whose)),
        OWNED,
        title="that somebody waits, and not who",
    ),
)
CHARACTERS = (
    Function(
        "keep_reference",
        "SELECT studio.keep_reference(%(character)s, repeat('1', 64), 'image/png', 1, 1, 1)",
        WORKS_ON,
        OWNED,
    ),
    Function("erase_reference", "SELECT studio.erase_reference(%(reference)s)", EDITS, OWNED),
    Function(
        "erase_reference",
        "SELECT studio.erase_reference(%(reference)s)",
        WORKS_ON,
        OWNED,
        "UPDATE studio.reference_uploads SET uploaded_by = %(me)s WHERE id = %(reference)s",
        title="one they uploaded themselves",
    ),
    Function(
        "keep_card",
        "SELECT studio.keep_card(%(character)s, 'V2', '{}', '{}', repeat('1', 64))",
        WORKS_ON,
        OWNED,
    ),
    Function(
        "keep_brought_picture",
        "SELECT studio.keep_brought_picture(%(character)s, repeat('1', 64), '0', 'image/png', 1, 1, 1)",
        WORKS_ON,
        OWNED,
    ),
    Function("rate_portrait", "SELECT studio.rate_portrait(%(portrait)s, true, 3)", READS, OWNED),
    Function("remove_scene", "SELECT 1 WHERE studio.remove_scene(%(scene)s)", WORKS_ON, OWNED),
    Function(
        "restore_scene",
        "SELECT 1 WHERE studio.restore_scene(%(new)s)",
        WORKS_ON,
        OWNED,
        """INSERT INTO studio.removed_scenes (id, character_id, scene) VALUES (%(new)s, %(character)s,
           jsonb_build_object('id', %(new)s, 'character_id', %(character)s, 'scene_name', 'x', 'priority', 0,
                              'created_at', now(), 'updated_at', now()))""",
    ),
    Function(
        "search_library",
        """SELECT FROM studio.search_library(NULL, false, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL, 1001) s
           WHERE s.id = %(library)s""",
        READS,
        OWNED,
    ),
    Function(
        "search_library",
        """SELECT FROM studio.search_library(NULL, false, NULL, NULL, NULL, %(character)s, NULL, NULL, false, NULL, NULL,
           1001) s WHERE s.id = %(library)s""",
        READS,
        OWNED,
        title="of one character",
    ),
    Function(
        "characters_named",
        "SELECT FROM studio.characters_named('a name', 200) WHERE id = %(character)s",
        READS,
        OWNED,
    ),
    Function(
        "owners_named",
        "SELECT FROM studio.owners_named(ARRAY[%(character)s]::pg_catalog.uuid[])",
        READS,
        OWNED,
    ),
    Function("members_of", "SELECT FROM studio.members_of(%(character)s) WHERE is_owner", READS, OWNED),
    Function(
        "add_member",
        "SELECT studio.add_member(%(character)s, %(new)s || '@studio.invalid', true)",
        OWNER | ADMIN,
        OWNED,
        _FRIEND,
    ),
    Function(
        "change_member",
        "SELECT studio.change_member(%(character)s, %(new)s, true)",
        OWNER | ADMIN,
        OWNED,
        _MEMBER,
    ),
    Function(
        "remove_member",
        "SELECT 1 WHERE studio.remove_member(%(character)s, %(new)s)",
        OWNER | ADMIN,
        OWNED,
        _MEMBER,
    ),
    Function(
        "leave_character",
        "SELECT 1 WHERE studio.leave_character(%(character)s)",
        ROLE & row(Whose.looked_at, Whose.changed),
        OTHERS,
    ),
    Function(
        "tell_presence",
        "SELECT 1 WHERE studio.tell_presence(%(new)s, %(character)s, 'here', 'A name')",
        READS,
        OWNED,
    ),
)
ASKED_BY_POLICIES = (
    # Who owns a character whose id one knows: the team is told; a customer's own rows are guarded with it too.
    Function(
        "owner_of",
        "SELECT 1 WHERE studio.owner_of(%(character)s) = %(owner)s",
        ROLE | (SIGNED_IN & row(Whose.own)),
        OWNED,
    ),
    Function(
        "owner_stays",
        "SELECT 1 WHERE NOT studio.owner_stays('characters', %(character)s, %(somebody)s)",
        ROLE,  # everybody else is held by the platform's own policies
        OWNED,
    ),
    Function("may_read_job", "SELECT 1 WHERE studio.may_read_job(%(studio_job)s)", READS, OWNED),
    Function("shared_jobs", "SELECT FROM studio.shared_jobs() WHERE job_id = %(studio_job)s", LOOKS, OWNED),
    Function(
        "shared_characters",
        "SELECT FROM studio.shared_characters() WHERE character_id = %(character)s",
        LOOKS,
        OWNED,
    ),
    Function(
        "may_see_verdicts",
        "SELECT 1 WHERE studio.may_see_verdicts(%(sample)s, %(portrait)s)",
        TEAM & row(Whose.own),
        OWNED,
    ),
)
MONEY = (
    Function("price_of", "SELECT FROM studio.price_of(%(model)s, 64, 64)", ROLE, before=_PRICE),
    Function(
        "price_held",
        "SELECT 1 WHERE studio.price_held(%(model)s, 64, 64) IS NOT NULL",
        ROLE,
        before=_PRICE,
    ),
    Function(
        "budget_standings",
        "SELECT FROM studio.budget_standings(%(owner)s) WHERE scope = 'person'",
        TEAM | (ROLE & row(Whose.own)),
        OWNED,
    ),
    Function(
        "set_budget", "SELECT studio.set_budget(%(owner)s, 'month', 5, true, NULL, 'why')", ADMIN, OWNED
    ),
    Function(
        "remove_budget",
        "SELECT studio.remove_budget(%(new)s, 'why')",
        ADMIN,
        before="""INSERT INTO studio.budgets (id, scope, user_id, period, limit_usd)
                  VALUES (%(new)s, 'person', %(owner)s, 'month', 1)""",
    ),
    Function(
        "begin_erasure",
        "SELECT studio.begin_erasure(%(new)s, %(new)s || '@studio.invalid')",
        ADMIN,
        before="INSERT INTO auth.users (id, email) VALUES (%(new)s, %(new)s || '@studio.invalid')",
    ),
    Function("set_price", "SELECT studio.set_price(%(model)s, 'image', 1, NULL, NULL, 'source')", ADMIN),
    Function(
        "refund",
        "SELECT 1 WHERE studio.refund(%(new)s, 1, 0.5, 'why')",
        ADMIN,
        OWNED,
        """INSERT INTO studio.cost_entries (job_id, user_id, provider, model_key, kind, amount_usd)
           VALUES (%(new)s, %(owner)s, 'fal', 'm', 'computed', 1)""",
    ),
    Function(
        "set_price_seen",
        """SELECT studio.set_price_seen(ARRAY(SELECT id FROM studio.model_prices WHERE model_id = %(model)s), %(model)s,
           'image', 1, NULL, NULL, 'source')""",
        ADMIN,
    ),
    Function(
        "withdraw_price",
        "SELECT studio.withdraw_price(%(new)s, 'why')",
        ADMIN,
        before="""INSERT INTO studio.model_prices (id, model_id, unit, price, valid_from)
                  VALUES (%(new)s, %(model)s, 'image', 0.01, now() + interval '1 day')""",
    ),
    Function(
        "change_model",
        """SELECT 1 WHERE studio.change_model(%(new)s,
           '{"is_active": true, "priority": 0, "capabilities": {}, "default_for_tasks": null}',
           '{"is_active": true, "priority": 3, "capabilities": {}, "default_for_tasks": null}', 'why')""",
        ADMIN,
        before=_MODEL,
    ),
    Function(
        "add_model",
        "SELECT studio.add_model(%(new)s, 'another-model', 'Another', 'why')",
        ADMIN,
        before=_MODEL,
    ),
    Function(
        "set_budget_seen",
        "SELECT studio.set_budget_seen('{}', %(owner)s, 'month', 5, true, NULL, 'why')",
        ADMIN,
        OWNED,
    ),
    Function(
        "remove_budget_seen",
        """SELECT studio.remove_budget_seen(%(new)s, '{"limit_usd": 1, "reserve_usd": null}', 'why')""",
        ADMIN,
        before="""INSERT INTO studio.budgets (id, scope, user_id, period, limit_usd)
                  VALUES (%(new)s, 'person', %(owner)s, 'month', 1)""",
    ),
    Function("set_kept_days", "SELECT 1 WHERE studio.set_kept_days('bin', NULL, 9, 'why')", ADMIN),
    Function(
        "note_person_change",
        "SELECT studio.note_person_change('person_banned', %(owner)s, NULL, NULL, 'why')",
        ADMIN,
    ),
    Function("pause_provider", "SELECT studio.pause_provider(%(tag)s, NULL, NULL, 'why')", ADMIN),
    Function(
        "resume_provider",
        "SELECT 1 WHERE studio.resume_provider(%(tag)s, 'why')",
        ADMIN,
        before="INSERT INTO studio.provider_state (provider, paused_until) VALUES (%(tag)s, now() + interval '1 hour')",
    ),
)
ATTRIBUTES = (
    Function("begin_attribute_run", "SELECT studio.begin_attribute_run(%(new)s, 'generate', NULL)", PRODUCT),
    Function(
        "ask_attribute_image",
        """SELECT FROM studio.ask_attribute_image(%(new)s, 'body', 'Slim', 'anime', ARRAY['Slim'], %(model)s, 'words', '{}',
           512, 768, 100) WHERE outcome = 'asked'""",
        PRODUCT & row(Whose.own),
        (Whose.own, Whose.another, Whose.shared),
        _RUN,
    ),
    Function(
        "cancel_attribute_image",
        "SELECT studio.cancel_attribute_image(%(studio_job)s)",
        PRODUCT,
        (Whose.own, Whose.another),
        "UPDATE public.jobs SET job_type = 'attribute_image' WHERE id = %(studio_job)s",
    ),
    Function(
        "cancel_attribute_run",
        "SELECT FROM studio.cancel_attribute_run(%(new)s)",
        PRODUCT,
        (Whose.own, Whose.another),
        _RUN,
    ),
    Function(
        "review_attribute_image",
        "SELECT studio.review_attribute_image('body', ARRAY['Seen'], 'anime', 'assets/s.jpg', 'approved', NULL)",
        PRODUCT,
        before="""INSERT INTO public.attribute_images (category, value, style, image_url)
                  VALUES ('body', 'Seen', 'anime', 'assets/s.jpg')""",
    ),
    Function(
        "is_sketched",
        "SELECT 1 WHERE studio.is_sketched(%(studio_job)s)",
        ROLE,
        (Whose.own, Whose.another),
        """UPDATE public.jobs SET metadata = '{"provider": "sketch"}' WHERE id = %(studio_job)s""",
    ),
    Function(
        "add_attribute_option",
        "SELECT studio.add_attribute_option('body', 'Tall', 'Tall', 'a tall person', '{}', '{}')",
        PRODUCT,
    ),
    Function(
        "switch_attribute_option",
        "SELECT 1 WHERE studio.switch_attribute_option('body', 'Slim', false, 'why')",
        PRODUCT,
    ),
    Function(
        "change_attribute_option",
        """SELECT 1 WHERE studio.change_attribute_option('body', %(new)s::pg_catalog.text,
           '{"label": "L", "words": "words", "aliases": [], "tags": [], "place": 0}', 'L', 'other words', '{}', '{}', 1, 'why')""",
        PRODUCT,
        before="""INSERT INTO studio.attribute_options (category, value, label, prompt_words, added_by, changed_by)
                  VALUES ('body', %(new)s::text, 'L', 'words', %(owner)s, %(owner)s)""",
    ),
)
_FINDINGS = "ARRAY[%(finding)s]::bigint[]"
AUDIT = (
    Function("team", "SELECT FROM studio.team() WHERE id = %(me)s", TEAM),
    Function("assign_findings", f"SELECT FROM studio.assign_findings({_FINDINGS}, %(me)s)", TEAM),
    Function("note_on_finding", "SELECT 1 WHERE studio.note_on_finding(%(finding)s, 'a note')", TEAM),
    Function("set_findings_aside", f"SELECT FROM studio.set_findings_aside({_FINDINGS}, 'why')", QA),
    Function(
        "bring_findings_back",
        f"SELECT FROM studio.bring_findings_back({_FINDINGS})",
        QA,
        before="UPDATE studio.findings SET set_aside_at = now(), set_aside_why = 'w' WHERE id = %(finding)s",
    ),
    Function("stock_repair_refusal", "SELECT 1 WHERE studio.stock_repair_refusal(%(finding)s) IS NULL", QA),
    Function(
        "end_stock_repair",
        "SELECT 1 WHERE studio.end_stock_repair(%(finding)s, 'accepted', NULL, NULL, 'why')",
        QA,
    ),
    Function("ask_stock_scan", "SELECT studio.ask_stock_scan()", QA),
    Function("ask_row_sweep", "SELECT studio.ask_row_sweep()", QA),
    Function("ask_proof", "SELECT FROM studio.ask_proof(NULL, false)", QA),
    Function("queue_stand", "SELECT FROM studio.queue_stand() WHERE entrypoint = 'nothing'", TEAM),
    Function(
        "live_entry",
        "SELECT FROM studio.live_entry(%(studio_job)s)",
        TEAM,
        (Whose.own, Whose.another, Whose.shared),
        """INSERT INTO studio_queue.pgqueuer (priority, status, entrypoint, dedupe_key)
           VALUES (0, 'queued', 'x', 'job:' || %(studio_job)s)""",
    ),
    Function("schedule_stand", "SELECT FROM studio.schedule_stand() WHERE expression = '* * * * *'", TEAM),
    Function("applied_migrations", "SELECT FROM studio.applied_migrations() LIMIT 1", TEAM),
    Function("note_test_notice", "SELECT studio.note_test_notice('fine')", ADMIN),
    Function(
        "draw_qa_sample",
        """SELECT studio.draw_qa_sample(%(new)s, 'A sample', 1, now() - interval '9 days', now() + interval '1 day', 100,
           2000, '{}')""",
        QA,
    ),
    Function(
        "give_qa_verdict",
        "SELECT studio.give_qa_verdict(%(sample)s, %(portrait)s, 'good', NULL)",
        TEAM,
        OWNED,
    ),
    Function("close_qa_sample", "SELECT 1 WHERE studio.close_qa_sample(%(sample)s, 'why')", QA, OWNED),
    Function("qa_progress", "SELECT FROM studio.qa_progress(%(sample)s)", TEAM, OWNED),
    Function("save_view", "SELECT FROM studio.save_view('jobs', 'Another view', '', false)", ROLE),
    Function(
        "change_view",
        "SELECT studio.change_view(%(view)s, 'Another name', true)",
        ROLE & row(Whose.own),
        OWNED,
    ),
    Function("remove_view", "SELECT studio.remove_view(%(view)s)", ROLE & row(Whose.own), OWNED),
)
_TAKES = EDITOR & (TEAM | row(Whose.own))
BULK = (
    *(
        Function(
            "begin_bulk",
            f"SELECT studio.begin_bulk('{kind}', ARRAY['a'], '{{}}', 'why', 10)",
            right,
            title=kind,
        )
        for kind, right in (
            ("another_model", EDITOR),
            ("approve_images", PRODUCT),
            ("cancel", EDITOR | QA),
            ("purge", QA),
            ("recover", QA),
            ("reject_images", PRODUCT),
            ("retry", EDITOR),
        )
    ),
    Function("take_bulk", "SELECT studio.take_bulk(%(action)s, %(new)s, 1)", _TAKES, OWNED),
    Function("stop_bulk", "SELECT studio.stop_bulk(%(action)s, 1)", _TAKES, OWNED),
    Function(
        "end_bulk",
        "SELECT 1 WHERE studio.end_bulk(%(action)s, %(new)s)",
        EDITOR,  # whoever carries it out: nobody else knows the id of the run
        OWNED,
        "UPDATE studio.bulk_actions SET runner = %(new)s WHERE id = %(action)s",
    ),
    Function(
        "end_bulk", "SELECT 1 WHERE studio.end_bulk(%(action)s, %(me)s)", NOBODY, OWNED, title="a guess"
    ),
)
DEEDS = tuple(
    Function("note_deed", f"SELECT studio.note_deed('{action}', 'jobs', 'x', NULL, NULL, NULL)", right, title=action)
    for action, right in (
        *((action, EDITOR) for action in ("character_deleted", "character_restored", "library_deleted")),
        *((action, EDITOR) for action in ("library_restored", "scene_deleted", "scene_restored", "test_portrait")),
        *((action, ROLE) for action in ("portrait_deleted", "portrait_restored", "foreign_path_refused")),
        *((action, QA) for action in ("autosave_repaired", "character_decided")),
        *((action, NOBODY) for action in ("job_purged", "refund", "price_set", "budget_set", "made_up")),
    )
)  # fmt: skip
OPEN = (
    Function("plain_address", "SELECT 1 WHERE studio.plain_address('x') = 'x'", ALL),
    Function("job_move_is_legal", "SELECT studio.job_move_is_legal('queued', 'failed', %(job)s)", ALL),
    Function("note_finding", "SELECT studio.note_finding('a.rule', 'jobs', 'x', 'A sentence.')", NOBODY),
    Function(
        "note_failure",
        "SELECT studio.note_failure('jobs', 'x', 'jobs.x', '22000')",
        NOBODY,
        proof="SELECT EXISTS (SELECT FROM studio.findings WHERE rule = 'trigger.failed')",
    ),
    Function("lock_job", "SELECT FROM studio.lock_job(%(job)s)", NOBODY, OWNED),
)
FUNCTIONS = (
    *ASKING,
    *CHARACTERS,
    *ASKED_BY_POLICIES,
    *MONEY,
    *ATTRIBUTES,
    *AUDIT,
    *BULK,
    *DEEDS,
    *OPEN,
)


def cases() -> Iterator[Case]:
    """Every person × function × whose row."""
    for who, function in itertools.product(EVERYBODY, FUNCTIONS):
        for whose in function.whose:
            if who.is_a_person and (who.is_signed_in or whose is not Whose.own):
                values = scope_of(who, whose).values("under") | {
                    "me": who.id,
                    "new": uuid4(),
                    "somebody": PUBLISHER.owner if whose is not Whose.public else STRANGER.owner,
                }
                yield Case(
                    who,
                    function.what,
                    "call",
                    whose,
                    as_sql(function.call, values),
                    function.proof,
                    as_sql(function.before, values),
                    function.may(who, whose),
                )
