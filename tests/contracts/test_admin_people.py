"""People as an admin keeps them: roles both ways and at once, the last admin, invitations, bans, and a record of each."""

from __future__ import annotations

import json
import threading
from uuid import UUID

import pytest
from pydantic import SecretStr

from core import sessions
from core.admin import people
from core.errors import BadRequest, Conflict, NotAllowed, NotFound, StudioError
from core.identity import Identity, Tokens
from core.values import Person, PersonId, Role
from tests import builders
from tests.builders import one, rows
from tests.supabase.auth_double import PASSWORD, AuthDouble

E, Q, A = Role.editor, Role.qa, Role.admin


def somebody(services, name, *roles):
    """A person whose account says their roles too."""
    person = builders.a_person(services.db, name, *roles)
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE auth.users SET raw_app_meta_data = %s WHERE id = %s",
            (json.dumps({"roles": sorted(roles), "provider": "email"}), person.id),
        )
    return person


@pytest.fixture
def ada(services):
    return somebody(services, "ada", A)


@pytest.fixture
def amir(services):
    return somebody(services, "amir", A)


@pytest.fixture
def edda(services):
    return somebody(services, "edda", E)


def meta(services, person):
    return one(services.db, "SELECT raw_app_meta_data FROM auth.users WHERE id = %s", (person.id,))


def events(services, *columns):
    return rows(services.db, f"SELECT {', '.join(columns)} FROM studio.audit_events ORDER BY id")


def signed_in(services, person):
    """The cookie of an open session."""
    identity = Identity(
        person=person.id, email=f"{person.name}@example.org", name=person.name, roles=person.roles
    )
    tokens = Tokens(
        identity=identity,
        access_token=SecretStr("opaque"),
        refresh_token=None,
        expires_at=one(services.db, "SELECT now() + interval '1 hour'"),
    )
    return sessions.begin(tokens, services).value


def test_roles_are_given_and_taken_at_once_in_open_sessions_too(services, ada, edda):
    cookie = signed_in(services, edda)

    people.set_roles(edda.id, {E, Q}, ada, services, seen=frozenset({E}), why="helps QA")
    both = sessions.person_of(cookie, services).roles
    people.set_roles(edda.id, {Q}, ada, services, seen=frozenset({E, Q}), why="moves to QA")

    assert (both, sessions.person_of(cookie, services).roles) == ({E, Q}, {Q})
    assert meta(services, edda) == {"roles": ["qa"], "provider": "email"}
    assert events(services, "action", "who", "row_id", "before", "after", "why") == [
        (
            "person_roles_set",
            ada.id,
            str(edda.id),
            {"roles": ["editor"]},
            {"roles": ["editor", "qa"]},
            "helps QA",
        ),
        (
            "person_roles_set",
            ada.id,
            str(edda.id),
            {"roles": ["editor", "qa"]},
            {"roles": ["qa"]},
            "moves to QA",
        ),
    ]


def test_no_address_and_no_name_is_in_the_record(services, ada, edda):
    people.set_roles(edda.id, set(), ada, services, seen=frozenset({E}), why="left")
    people.invite("new@example.org", {E}, ada, services, why="joins")
    people.ban(edda.id, ada, services, why="left")

    said = json.dumps(rows(services.db, "SELECT to_jsonb(e)::text FROM studio.audit_events e"))
    assert "person_invited" in said
    assert "@" not in said
    assert "edda" not in said


def test_nobody_takes_the_admin_role_from_themselves_or_locks_themselves_out(services, ada):
    with pytest.raises(Conflict) as roles:
        people.set_roles(ada.id, {E}, ada, services, seen=frozenset({A}), why="x")
    with pytest.raises(Conflict) as banned:
        people.ban(ada.id, ada, services, why="x")

    assert (roles.value.reason, banned.value.reason) == ("ONESELF", "ONESELF")
    assert meta(services, ada)["roles"] == ["admin"]
    assert events(services, "action") == []


def test_an_admin_may_give_themselves_more(services, ada):
    people.set_roles(ada.id, {A, E}, ada, services, seen=frozenset({A}), why="writes too")

    assert meta(services, ada)["roles"] == ["admin", "editor"]


def test_of_two_admins_who_take_the_role_from_each_other_one_is_left(services, ada, amir):
    told = []

    def takes(person, other):
        try:
            people.set_roles(other.id, set(), person, services, seen=frozenset({A}), why="x")
            told.append("done")
        except StudioError as error:
            told.append(error.reason)

    threads = [threading.Thread(target=takes, args=pair) for pair in ((ada, amir), (amir, ada))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(told) == ["CHANGED_MEANWHILE", "done"]
    assert sorted([meta(services, ada)["roles"], meta(services, amir)["roles"]]) == [[], ["admin"]]


def test_who_was_an_admin_a_moment_ago_changes_nobody(services, ada, amir, edda):
    people.set_roles(amir.id, set(), ada, services, seen=frozenset({A}), why="x")

    with pytest.raises(Conflict, match="no admin any more"):
        people.set_roles(
            edda.id, {A}, amir, services, seen=frozenset({E}), why="x"
        )  # his page still says admin

    assert meta(services, edda)["roles"] == ["editor"]


def test_the_second_of_two_who_change_the_same_person_is_told(services, ada, amir, edda):
    people.set_roles(edda.id, {E, Q}, ada, services, seen=frozenset({E}), why="x")

    with pytest.raises(Conflict) as late:
        people.set_roles(edda.id, set(), amir, services, seen=frozenset({E}), why="x")

    assert late.value.reason == "CHANGED_MEANWHILE"
    assert meta(services, edda)["roles"] == ["editor", "qa"]


def test_who_is_banned_is_out_at_once_and_cannot_come_in_until_let_in_again(services, ada, edda):
    cookie = signed_in(services, edda)

    people.ban(edda.id, ada, services, why="left the company")
    banned = people.find(f"edda-{edda.id}@studio.invalid", ada, services)
    people.unban(edda.id, ada, services, why="is back")

    assert banned.is_banned
    assert sessions.person_of(cookie, services) is None
    assert not people.find(f"edda-{edda.id}@studio.invalid", ada, services).is_banned
    assert events(services, "action", "why") == [
        ("person_banned", "left the company"),
        ("person_unbanned", "is back"),
    ]


def test_somebody_is_signed_out_everywhere(services, ada, edda):
    first, second = signed_in(services, edda), signed_in(services, edda)

    ended = people.sign_out(edda.id, ada, services, why="a lost laptop")

    assert ended == 2
    assert [sessions.person_of(cookie, services) for cookie in (first, second)] == [None, None]
    assert events(services, "action", "after", "why") == [
        ("person_signed_out", {"sessions": 2}, "a lost laptop")
    ]


def test_an_invitation_makes_an_account_with_its_roles_once(services, ada):
    made = people.invite("New@Example.org", {E}, ada, services, why="joins")

    assert (made.email, made.roles) == ("new@example.org", {E})
    assert made.person in {found.person for found in people.team(ada, services)}
    with pytest.raises(Conflict):
        people.invite("new@example.org", {Q}, ada, services, why="again")
    for email, roles, field in (("no address", {E}, "email"), ("b@example.org", set(), "roles")):
        with pytest.raises(BadRequest) as refusal:
            people.invite(email, roles, ada, services, why="x")
        assert refusal.value.field == field
    assert [row[0] for row in events(services, "action")] == ["person_invited"]


def test_a_customer_is_found_by_e_mail_and_given_a_role(services, ada, customer):
    email = f"customer-{customer.id}@studio.invalid"
    found = people.find(email.upper(), ada, services)

    people.set_roles(found.person, {E}, ada, services, seen=found.roles, why="joins us")

    assert people.find(email, ada, services).roles == {E}
    assert people.find("nobody@example.org", ada, services) is None


def test_each_change_needs_a_reason(services, ada, edda):
    for attempt in (
        lambda: people.set_roles(edda.id, {Q}, ada, services, seen=frozenset({E}), why=" "),
        lambda: people.ban(edda.id, ada, services, why=""),
        lambda: people.sign_out(edda.id, ada, services, why=""),
        lambda: people.invite("new@example.org", {E}, ada, services, why="x" * 501),
    ):
        with pytest.raises(BadRequest) as refusal:
            attempt()
        assert refusal.value.field == "why"

    assert events(services, "action") == []


def test_what_could_not_be_done_is_recorded_as_such(services, ada, edda, monkeypatch):
    def away(*_args, **_values):
        raise NotFound("There is no such person any more.")

    monkeypatch.setattr(sessions, "roles_changed", away)

    with pytest.raises(NotFound):
        people.set_roles(edda.id, {Q}, ada, services, seen=frozenset({E}), why="x")

    assert [row[0] for row in events(services, "action")] == ["person_roles_set", "person_change_failed"]


@pytest.mark.parametrize("role", [Role.editor, Role.qa, Role.product])
def test_only_an_admin_sees_or_changes_people(services, edda, role):
    person = somebody(services, "other", role)

    for attempt in (
        lambda: people.team(person, services),
        lambda: people.find("x@example.org", person, services),
        lambda: people.set_roles(edda.id, {A}, person, services, seen=frozenset({E}), why="x"),
        lambda: people.ban(edda.id, person, services, why="x"),
        lambda: people.unban(edda.id, person, services, why="x"),
        lambda: people.sign_out(edda.id, person, services, why="x"),
        lambda: people.invite("new@example.org", {A}, person, services, why="x"),
    ):
        with pytest.raises(NotAllowed):
            attempt()

    assert meta(services, edda)["roles"] == ["editor"]


def test_over_a_project_of_supabase_the_same_is_done_with_its_secret_key(build):
    with AuthDouble() as auth:
        services = build(
            supabase_url=auth.url,
            supabase_publishable_key=SecretStr(auth.publishable_key),
            supabase_secret_key=SecretStr(auth.secret_key),
        )
        account = auth.person("ada@example.org", PASSWORD, "admin")
        other = auth.person("edda@example.org", PASSWORD, "editor")
        ada = Person(id=PersonId(UUID(account.id)), roles=frozenset({A}), name="ada")
        edda = PersonId(UUID(other.id))

        people.set_roles(edda, {Q}, ada, services, seen=frozenset({E}), why="moves to QA")
        people.ban(edda, ada, services, why="left")
        made = people.invite("new@example.org", {E}, ada, services, why="joins")
        with pytest.raises(Conflict):
            people.set_roles(edda, {E}, ada, services, seen=frozenset({E}), why="late")

        assert other.app_metadata["roles"] == ["qa"]
        assert auth.people[str(made.person)].app_metadata["roles"] == ["editor"]
        assert [row[0] for row in events(services, "action")] == [
            "person_roles_set",
            "person_banned",
            "person_invited",
        ]
