"""Sharing one character, as the database sees it: who reads and changes what hangs on it, by whatever client."""

from __future__ import annotations

import json
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import errors as pg

from core import characters, members, scenes
from core.errors import StudioError
from core.storage import REFERENCES
from core.values import Character, JobId, Role
from tests.builders import (
    a_character,
    a_person,
    a_waiting_job,
    as_platform,
    one,
    rows,
)
from tests.sharing import in_the_team, share

HANGING = {  # what hangs on Ana's character, and how each table names it
    "public.characters": "id = '{c}'",
    "public.character_portraits": "character_id = '{c}'",
    "public.character_scenes": "character_id = '{c}'",
    "public.jobs": "character_id = '{c}'",
    "public.workspace_assets": "job_id IN (SELECT id FROM public.jobs WHERE character_id = '{c}')",
    "public.user_library": "roleplay_metadata ->> 'character_id' = '{c}'",
    "studio.character_versions": "character_id = '{c}'",
    "studio.removed_scenes": "character_id = '{c}'",
    "studio.ratings": "character_id = '{c}'",
    "studio.character_cards": "character_id = '{c}'",
    "studio.reference_uploads": "character_id = '{c}'",
    "studio.cost_entries": "character_id = '{c}'",
    "studio.job_events": "job_id IN (SELECT id FROM public.jobs WHERE character_id = '{c}')",
    "studio.character_members": "character_id = '{c}'",
}


@dataclass(frozen=True)
class Work:
    """Two characters of Ana with everything that can hang on one; Ben may be told of the first."""

    shared: Character
    other: Character
    saved_job: JobId


def a_planted_portrait(owner, services, character):
    """A portrait with all its rows and without its files: nobody draws here."""
    job = a_waiting_job(owner, services, character).job_id
    path = f"{owner.id}/portraits/{character.id}/{job}.png"
    with services.db.as_service() as conn:
        conn.execute("UPDATE jobs SET status = 'processing' WHERE id = %s", (job,))
        conn.execute(
            """
            INSERT INTO workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type)
            VALUES (%s, %s, 'image', %s, 'image/png')
            """,
            (owner.id, job, f"{owner.id}/{job}_1.png"),
        )
        conn.execute(
            """
            INSERT INTO user_library (user_id, job_id, asset_type, storage_path, mime_type, roleplay_metadata)
            VALUES (%s, %s, 'image', %s, 'image/png', %s)
            """,
            (owner.id, job, path, json.dumps({"character_id": str(character.id)})),
        )
        (portrait,) = conn.execute(
            """
            INSERT INTO character_portraits (character_id, job_id, image_url, is_primary) VALUES (%s, %s, %s, true)
            RETURNING id
            """,
            (character.id, job, f"user-library/{path}"),
        ).fetchone()
    return job, portrait


def with_everything(owner, services) -> tuple[Character, JobId]:
    character = a_character(owner, services)
    job, portrait = a_planted_portrait(owner, services, character)
    scene = scenes.create(character.id, {"scene_name": "At the pier"}, owner, services)
    scenes.delete(scene.id, owner, services)
    scenes.create(character.id, {"scene_name": "In the attic"}, owner, services)
    characters.save(
        character.id, {"persona": "Dry."}, version=character.version, person=owner, services=services
    )
    with services.db.as_user(owner) as conn:
        conn.execute("SELECT studio.rate_portrait(%s, true, 5)", (portrait,))
        conn.execute(
            "SELECT studio.keep_card(%s, 'V2', '{}', '{}', %s)", (character.id, character.id.hex * 2)
        )
        conn.execute(
            "SELECT studio.keep_reference(%s, %s, 'image/png', 9, 8, 8)", (character.id, character.id.hex * 2)
        )
    return characters.load(character.id, owner, services), job


@pytest.fixture
def of_ana(services, ana) -> Work:
    shared, job = with_everything(ana, services)
    other, _ = with_everything(ana, services)
    return Work(shared=shared, other=other, saved_job=job)


def seen(services, person, character) -> dict[str, int]:
    with services.db.as_user(person) as conn:
        return {
            table: conn.execute(
                f"SELECT count(*) FROM {table} WHERE {which.format(c=character.id)}"
            ).fetchone()[0]
            for table, which in HANGING.items()
        }


def everything_of(services, character) -> dict[str, int]:
    return {
        table: one(services.db, f"SELECT count(*) FROM {table} WHERE {which.format(c=character.id)}")
        for table, which in HANGING.items()
    }


NOTHING = dict.fromkeys(HANGING, 0)


def test_a_member_sees_all_that_hangs_on_the_character_and_nothing_else_of_its_owner(
    services, ana, ben, of_ana
):
    assert seen(services, ben, of_ana.shared) == NOTHING

    share(of_ana.shared, ana, ben, services)

    everything = everything_of(services, of_ana.shared)
    assert seen(services, ben, of_ana.shared) == everything
    assert 0 not in everything.values()
    assert seen(services, ben, of_ana.other) == NOTHING


def test_withdrawing_it_takes_all_of_it_away(services, ana, ben, of_ana):
    share(of_ana.shared, ana, ben, services, can_edit=True)
    members.remove(of_ana.shared.id, ben.id, ana, services)

    assert seen(services, ben, of_ana.shared) == NOTHING


@pytest.mark.parametrize("roles", [set(), {Role.product}])
def test_a_member_without_the_editor_role_sees_no_more_than_their_roles_show(
    services, dsn, ana, ben, of_ana, roles
):
    share(of_ana.shared, ana, ben, services, can_edit=True)
    without = type(ben)(id=ben.id, roles=frozenset(roles), name=ben.name)

    with as_platform(dsn, "authenticated", without) as conn:
        counts = {
            table: conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("public.characters", "public.jobs", "studio.character_members")
        }
        changed = conn.execute("UPDATE public.characters SET persona = 'x'").rowcount

    # ben has no characters of his own: a customer sees nothing, product what product always sees
    assert counts == (
        {"public.characters": 2, "public.jobs": 2, "studio.character_members": 1}
        if roles
        else dict.fromkeys(counts, 0)
    )
    assert changed == 0


CHANGES = {
    "public.characters": "UPDATE public.characters SET persona = 'x' WHERE id = '{c}'",
    "public.character_portraits": "UPDATE public.character_portraits SET sort_order = 7 WHERE character_id = '{c}'",
    "public.character_scenes": "UPDATE public.character_scenes SET scene_prompt = 'x' WHERE character_id = '{c}'",
    "scenes, new": "INSERT INTO public.character_scenes (character_id, scene_name) VALUES ('{c}', 'x')",
    "scenes, gone": "DELETE FROM public.character_scenes WHERE character_id = '{c}' AND scene_name = 'In the attic'",
    "public.user_library": "UPDATE public.user_library SET tags = '{{x}}' WHERE roleplay_metadata ->> 'character_id' = '{c}'",
}
NEVER = (
    "DELETE FROM public.characters WHERE id = '{c}'",
    "DELETE FROM public.character_portraits WHERE character_id = '{c}'",
    "DELETE FROM public.user_library WHERE roleplay_metadata ->> 'character_id' = '{c}'",
    "UPDATE public.jobs SET error_message = 'x' WHERE character_id = '{c}'",
    "UPDATE public.workspace_assets SET mime_type = 'x'",
)


def written(services, person, statement) -> int:
    try:
        with services.db.as_user(person) as conn:
            return conn.execute(statement).rowcount
    except StudioError:
        return 0


@pytest.mark.parametrize("may_change", [False, True])
def test_only_a_member_who_may_change_it_changes_it(services, ana, ben, of_ana, may_change):
    share(of_ana.shared, ana, ben, services, can_edit=may_change)

    done = {name: written(services, ben, sql.format(c=of_ana.shared.id)) for name, sql in CHANGES.items()}
    elsewhere = [written(services, ben, sql.format(c=of_ana.other.id)) for sql in CHANGES.values()]
    never = [written(services, ben, sql.format(c=of_ana.shared.id)) for sql in NEVER]

    assert done == dict.fromkeys(CHANGES, 1 if may_change else 0)
    assert set(elsewhere) == {0}
    assert set(never) == {0}


def test_nobody_writes_the_members_directly(services, dsn, ana, ben, of_ana):
    share(of_ana.shared, ana, ben, services)

    for statement in (
        f"INSERT INTO studio.character_members (character_id, user_id) VALUES ('{of_ana.other.id}', '{ben.id}')",
        "UPDATE studio.character_members SET can_edit = true",
        "DELETE FROM studio.character_members",
    ):
        with as_platform(dsn, "authenticated", ben) as conn, pytest.raises(pg.InsufficientPrivilege):
            conn.execute(statement)


@pytest.mark.parametrize(
    "change",
    [
        "characters SET deleted_at = now(), persona = 'x' WHERE id = '{c}'",
        "characters SET image_url = 'user-library/{ana}/portraits/{other}/x.png', persona = 'x' WHERE id = '{c}'",
        "characters SET reference_image_url = 'user-library/{ana}/portraits/{other}/x.png', persona = 'x' WHERE id = '{c}'",
        "character_portraits SET image_url = 'user-library/{ana}/portraits/{other}/x.png', prompt = 'x' WHERE character_id = '{c}'",
        "character_scenes SET image_url = 'user-library/{ana}/scenes/{other}/x.png', scene_prompt = 'x' WHERE character_id = '{c}'",
        "user_library SET storage_path = '{ana}/portraits/{other}/x.png', original_prompt = 'x' WHERE roleplay_metadata ->> 'character_id' = '{c}'",
    ],
)
def test_a_members_other_client_neither_removes_a_character_nor_points_its_rows_elsewhere(
    services, dsn, ana, ben, of_ana, change
):
    share(of_ana.shared, ana, ben, services, can_edit=True)
    own = a_character(ben, services)
    names = {"ana": ana.id, "ben": ben.id, "c": of_ana.shared.id, "other": of_ana.other.id, "bens": own.id}
    table = change.split()[0]
    kept = "SELECT id, to_jsonb(t) - '{persona,prompt,scene_prompt,original_prompt,version,updated_at}'::text[] FROM {table} t ORDER BY 1".replace(
        "{table}", table
    )
    before = rows(services.db, kept)

    with as_platform(dsn, "authenticated", ben) as conn:
        touched = conn.execute(f"UPDATE {change.format(**names)}").rowcount

    assert touched == 1  # and what is theirs to change was changed
    assert rows(services.db, kept) == before


@pytest.mark.parametrize(
    "change",
    [
        "characters SET user_id = '{ben}' WHERE id = '{c}'",
        "character_portraits SET character_id = '{bens}' WHERE character_id = '{c}'",
        "character_scenes SET character_id = '{bens}' WHERE character_id = '{c}'",
        "user_library SET user_id = '{ben}' WHERE roleplay_metadata ->> 'character_id' = '{c}'",
    ],
)
def test_what_is_shared_with_a_member_cannot_be_carried_off(services, dsn, ana, ben, of_ana, change):
    share(of_ana.shared, ana, ben, services, can_edit=True)
    own = a_character(ben, services)

    with as_platform(dsn, "authenticated", ben) as conn, pytest.raises(pg.InsufficientPrivilege):
        conn.execute(f"UPDATE {change.format(ben=ben.id, bens=own.id, c=of_ana.shared.id)}")


def test_the_owners_other_client_writes_as_it_did(services, dsn, ana, ben, of_ana):
    share(of_ana.shared, ana, ben, services, can_edit=True)
    path = f"user-library/{ana.id}/{of_ana.saved_job}_{of_ana.shared.id}.png"

    with as_platform(dsn, "authenticated", ana) as conn:
        conn.execute("UPDATE characters SET image_url = %s WHERE id = %s", (path, of_ana.shared.id))
        conn.execute("DELETE FROM characters WHERE id = %s", (of_ana.other.id,))

    assert one(services.db, "SELECT image_url FROM characters WHERE id = %s", (of_ana.shared.id,)) == path
    assert one(services.db, "SELECT count(*) FROM characters WHERE id = %s", (of_ana.other.id,)) == 0


@pytest.mark.parametrize("role", ["service_role", "authenticated"])
def test_what_the_platform_writes_of_a_shared_character_is_written(services, dsn, ana, ben, of_ana, role):
    share(of_ana.shared, ana, ben, services, can_edit=True)
    path = f"user-library/{ana.id}/x_{of_ana.shared.id}.png"
    statements = (
        "UPDATE characters SET image_url = %s, preview_image_url = 'x', deleted_at = NULL WHERE id = %s RETURNING image_url",
        "UPDATE character_portraits SET image_url = %s WHERE character_id = %s RETURNING image_url",
        "UPDATE character_scenes SET image_url = %s WHERE character_id = %s RETURNING image_url",
        "INSERT INTO character_scenes (scene_name, image_url, character_id) VALUES ('x', %s, %s) RETURNING image_url",
        "UPDATE user_library SET storage_path = %s WHERE roleplay_metadata ->> 'character_id' = %s::text RETURNING storage_path",
    )

    with as_platform(dsn, role, ana if role == "authenticated" else None) as conn:
        written = [conn.execute(one_of, (path, of_ana.shared.id)).fetchone() for one_of in statements]

    assert written == [(path,)] * len(statements)


def test_a_character_that_goes_takes_its_members_with_it(services, dsn, ana, ben, of_ana):
    share(of_ana.shared, ana, ben, services)

    with as_platform(dsn, "authenticated", ana) as conn:
        conn.execute("DELETE FROM characters WHERE id = %s", (of_ana.shared.id,))

    assert one(services.db, "SELECT count(*) FROM studio.character_members") == 0


def test_a_strangers_job_that_names_the_character_hangs_on_nobody(services, dsn, ana, ben, customer, of_ana):
    share(of_ana.shared, ana, ben, services)
    with as_platform(dsn, "authenticated", customer) as conn:
        conn.execute(
            "INSERT INTO jobs (user_id, job_type, metadata) VALUES (%s, 'x', %s)",
            (customer.id, json.dumps({"character_id": str(of_ana.shared.id)})),
        )
        conn.execute(
            """
            INSERT INTO user_library (user_id, asset_type, storage_path, mime_type, roleplay_metadata)
            VALUES (%s, 'image', 'x', 'image/png', %s)
            """,
            (customer.id, json.dumps({"character_id": str(of_ana.shared.id)})),
        )

    for person in (ana, ben):
        with services.db.as_user(person) as conn:
            strangers = [
                conn.execute(f"SELECT count(*) FROM {table} WHERE user_id = %s", (customer.id,)).fetchone()[0]
                for table in ("jobs", "user_library")
            ]
        assert strangers == [0, 0], person.name


def test_the_owner_sees_what_a_member_asked_for(services, ana, ben, of_ana):
    share(of_ana.shared, ana, ben, services, can_edit=True)
    job = a_waiting_job(ben, services, of_ana.shared).job_id

    with services.db.as_user(ana) as conn:
        assert conn.execute("SELECT user_id FROM jobs WHERE id = %s", (job,)).fetchone() == (ben.id,)
        assert conn.execute(
            "SELECT count(*) FROM studio.cost_entries WHERE job_id = %s", (job,)
        ).fetchone() == (1,)
        assert conn.execute("SELECT status FROM studio.cancel(%s)", (job,)).fetchone() == ("cancelled",)


def test_a_member_who_only_looks_cancels_nothing_and_asks_for_nothing(services, ana, ben, of_ana):
    share(of_ana.shared, ana, ben, services)
    waiting = a_waiting_job(ana, services, of_ana.shared).job_id

    for statement in (
        f"SELECT studio.cancel('{waiting}')",
        f"SELECT studio.ask('{of_ana.shared.id}', (SELECT id FROM api_models WHERE model_key = 'fal-ai/flux/dev'), 'x', '{{}}', 64, 64, NULL, NULL, 9)",
        f"SELECT studio.keep_reference('{of_ana.shared.id}', '{'0' * 64}', 'image/png', 9, 8, 8)",
        f"SELECT studio.keep_card('{of_ana.shared.id}', 'V2', '{{}}', '{{}}', '{'0' * 64}')",
    ):
        with pytest.raises(StudioError) as refusal, services.db.as_user(ben) as conn:
            conn.execute(statement)
        assert refusal.value.reason == "NOT_FOUND", statement

    assert one(services.db, "SELECT status FROM jobs WHERE id = %s", (waiting,)) == "queued"


@pytest.mark.parametrize("shown", ["the owner's other picture", "one of the shared character"])
def test_past_the_use_case_a_member_matches_only_pictures_that_are_shared(services, ana, ben, of_ana, shown):
    share(of_ana.shared, ana, ben, services, can_edit=True)
    whose = of_ana.shared if shown.startswith("one") else of_ana.other
    said = json.dumps({"reference_image_url": f"{REFERENCES}/{ana.id}/{whose.id}/{whose.id.hex * 2}.png"})
    ask = "SELECT job_id FROM studio.ask(%s, (SELECT id FROM api_models WHERE model_key = 'fal-ai/flux/dev'), 'x', %s, 64, 64, NULL, NULL, 9)"

    with services.db.as_user(ben) as conn:
        if whose is of_ana.shared:
            assert conn.execute(ask, (of_ana.shared.id, said)).fetchone() is not None
            return
    with pytest.raises(StudioError) as refusal, services.db.as_user(ben) as conn:
        conn.execute(ask, (of_ana.shared.id, said))

    assert refusal.value.reason == "NOT_ALLOWED"


def test_a_member_erases_only_a_reference_of_their_own(services, ana, ben, of_ana):
    share(of_ana.shared, ana, ben, services, can_edit=True)
    anas = one(
        services.db, "SELECT id FROM studio.reference_uploads WHERE character_id = %s", (of_ana.shared.id,)
    )
    with services.db.as_user(ben) as conn:
        (bens,) = conn.execute(
            "SELECT studio.keep_reference(%s, %s, 'image/png', 9, 8, 8)", (of_ana.shared.id, "b" * 64)
        ).fetchone()

    with pytest.raises(StudioError) as refusal, services.db.as_user(ben) as conn:
        conn.execute("SELECT studio.erase_reference(%s)", (anas,))
    with services.db.as_user(ben) as conn:
        (path,) = conn.execute("SELECT studio.erase_reference(%s)", (bens,)).fetchone()

    assert refusal.value.reason == "NOT_ALLOWED"
    assert path == f"{ana.id}/{of_ana.shared.id}/{'b' * 64}.png"


# ---- who shares


def events_of(services, character) -> list[tuple[str, object]]:
    return rows(
        services.db,
        """
        SELECT action, coalesce(after, before) ->> 'can_edit' FROM studio.audit_events
        WHERE row_id = %s AND action LIKE 'member%%' ORDER BY id
        """,
        (str(character.id),),
    )


def test_each_change_of_members_is_an_event_and_the_same_twice_is_none(services, ana, ben, of_ana):
    email, of = in_the_team(ben, services), of_ana.shared.id
    for can_edit in (False, False, True, True):
        members.add(of, email, ana, services, can_edit=can_edit)
    members.change(of, ben.id, ana, services, can_edit=False)
    members.remove(of, ben.id, ana, services)
    members.remove(of, ben.id, ana, services)
    members.add(of, email.upper(), ana, services, can_edit=True)
    assert members.leave(of, ben, services) is True
    assert members.leave(of, ben, services) is False

    assert events_of(services, of_ana.shared) == [
        ("member_added", "false"),
        ("member_changed", "true"),
        ("member_changed", "false"),
        ("member_removed", "false"),
        ("member_added", "true"),
        ("member_left", "true"),
    ]
    who = rows(services.db, "SELECT who FROM studio.audit_events WHERE action LIKE 'member%' ORDER BY id")
    assert [one_of for (one_of,) in who] == [ana.id] * 5 + [ben.id]


def test_only_the_owner_and_an_admin_say_who_works_on_it(services, dsn, ana, ben, customer, of_ana):
    share(of_ana.shared, ana, ben, services, can_edit=True)
    cleo = a_person(services.db, "cleo", Role.editor)
    email = in_the_team(cleo, services)
    calls = {
        "add": ("SELECT studio.add_member(%s, %s, true)", email),
        "change": ("SELECT studio.change_member(%s, %s, true)", ben.id),
        "remove": ("SELECT studio.remove_member(%s, %s)", ben.id),
    }

    for person, expected in ((ben, "PS403"), (cleo, "PS404"), (customer, "PS403")):
        for name, (call, other) in calls.items():
            with as_platform(dsn, "authenticated", person) as conn, pytest.raises(psycopg.Error) as refusal:
                conn.execute(call, (of_ana.shared.id, other))
            assert refusal.value.sqlstate == expected, (person.name, name)

    admin = a_person(services.db, "ada", Role.admin)
    members.add(of_ana.shared.id, email, admin, services, can_edit=False)
    members.remove(of_ana.shared.id, cleo.id, admin, services)
    assert events_of(services, of_ana.shared)[-2:] == [("member_added", "false"), ("member_removed", "false")]


def test_an_address_of_nobody_and_one_of_a_customer_are_answered_alike(services, ana, ben, customer, of_ana):
    in_the_team(ben, services)
    customers = in_the_team(customer, services)
    answers = set()

    for email in (customers, "nobody@studio.invalid"):
        with pytest.raises(StudioError) as refusal:
            members.add(of_ana.shared.id, email, ana, services, can_edit=False)
        answers.add((refusal.value.reason, refusal.value.sentence))

    [(reason, sentence)] = answers
    assert reason == "NO_SUCH_EDITOR"
    assert "ask an admin" in sentence


def test_nobody_adds_themselves(services, ana, of_ana):
    admin = a_person(services.db, "ada", Role.admin, Role.editor)

    for person in (ana, admin):
        with pytest.raises(StudioError) as refusal:
            members.add(of_ana.shared.id, in_the_team(person, services), person, services, can_edit=True)
        assert refusal.value.reason == "NOT_ONESELF"

    assert one(services.db, "SELECT count(*) FROM studio.character_members") == 0


def test_everybody_who_may_see_a_row_is_told_of_it_and_nobody_else(services, dsn, ana, ben, of_ana):
    share(of_ana.shared, ana, ben, services, can_edit=True)

    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("LISTEN studio_events")
        job = a_waiting_job(ben, services, of_ana.shared).job_id
        characters.save(
            of_ana.other.id, {"persona": "x"}, version=of_ana.other.version, person=ana, services=services
        )
        members.remove(of_ana.shared.id, ben.id, ana, services)
        told = [json.loads(notice.payload) for notice in conn.notifies(timeout=1, stop_after=3)]

    readers = [(change["table"], {change["owner"], *(change["others"] or ())}) for change in told]
    both = {str(ana.id), str(ben.id)}
    assert str(job) in {change["job_id"] for change in told if change["table"] == "jobs"}
    assert readers == [("jobs", both), ("characters", {str(ana.id)}), ("character_members", both)]


def test_what_is_shared_is_asked_once_a_statement_and_not_for_each_row(services, ana, ben, of_ana):
    share(of_ana.shared, ana, ben, services)

    for table in ("characters", "character_portraits", "character_scenes", "user_library"):
        with services.db.as_user(ben) as conn:
            plan = "\n".join(
                row[0] for row in conn.execute(f"EXPLAIN SELECT * FROM public.{table}").fetchall()
            )
        assert "Function Scan on shared_characters" in plan, table
        assert plan.count("hashed SubPlan") >= 1, table
