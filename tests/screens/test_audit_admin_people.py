"""The admin's page of people, by Streamlit's test driver: who is there, and each change with its reason."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr

from core.values import Role
from tests.builders import a_person, one, rows
from tests.screens.dashboard import keys_of, pages_on, text_of


@pytest.fixture
def services(build):
    """With a sign-in whose people are rows of our own."""
    return build(
        oidc_issuer="https://id.example.org",
        oidc_client_id="studio",
        oidc_client_secret=SecretStr("never-show-this"),
    )


def somebody(services, name, *roles):
    person = a_person(services.db, name, *roles)
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE auth.users SET raw_app_meta_data = %s, email = %s WHERE id = %s",
            (json.dumps({"roles": sorted(roles)}), f"{name}@example.org", person.id),
        )
    return person


@pytest.fixture
def ada(services):
    return somebody(services, "ada", Role.admin)


@pytest.fixture
def edda(services):
    return somebody(services, "edda", Role.editor)


@pytest.fixture
def page(services, ada, edda):
    """The page as Ada sees it."""
    with pages_on(services, ada) as opened:
        yield opened("people")


def answer(page, why):
    page.text_area(key="admin_why").set_value(why)
    return page.button(key="dialog_yes").click().run()


def roles_of(services, person):
    return one(services.db, "SELECT raw_app_meta_data -> 'roles' FROM auth.users WHERE id = %s", (person.id,))


def recorded(services):
    return rows(services.db, "SELECT action, why FROM studio.audit_events ORDER BY id")


def test_without_a_sign_in_one_line_says_that_there_is_one_local_person(build):
    with pages_on(build()) as opened:
        shown = opened("people")

    assert "there is one local person, who holds every role" in text_of(shown)
    assert "invite" not in keys_of(shown)


def test_the_team_is_shown_with_its_roles_and_nobody_bans_themselves(page, ada, edda):
    said = text_of(page)

    assert "The team: 2" in said
    assert "ada@example.org" in said
    assert "never signed in" in said
    assert f"ban_team_{edda.id.hex}" in keys_of(page)
    assert f"ban_team_{ada.id.hex}" not in keys_of(page)


def test_roles_are_changed_by_checkbox_with_a_reason(page, services, edda):
    page.button(key=f"roles_team_{edda.id.hex}").click().run()
    page.checkbox(key=f"role_qa_{edda.id.hex}").check()
    page.checkbox(key=f"role_editor_{edda.id.hex}").uncheck()
    answer(page, "moves to QA")

    assert roles_of(services, edda) == ["qa"]
    assert recorded(services) == [("person_roles_set", "moves to QA")]


def test_ones_own_admin_role_cannot_be_unticked(page, ada):
    page.button(key=f"roles_team_{ada.id.hex}").click().run()

    assert page.checkbox(key=f"role_admin_{ada.id.hex}").disabled
    assert not page.checkbox(key=f"role_editor_{ada.id.hex}").disabled


def test_the_second_of_two_is_told(page, services, edda):
    page.button(key=f"roles_team_{edda.id.hex}").click().run()
    with services.db.as_service() as conn:
        conn.execute(
            'UPDATE auth.users SET raw_app_meta_data = \'{"roles": ["product"]}\' WHERE id = %s', (edda.id,)
        )
    page.checkbox(key=f"role_qa_{edda.id.hex}").check()
    answer(page, "moves to QA")

    assert "A colleague changed these roles meanwhile" in text_of(page)
    assert roles_of(services, edda) == ["product"]
    assert recorded(services) == []


def test_somebody_is_banned_let_in_again_and_signed_out(page, services, edda):
    page.button(key=f"out_team_{edda.id.hex}").click().run()
    answer(page, "a lost laptop")
    page.button(key=f"ban_team_{edda.id.hex}").click().run()
    answer(page, "left the company")
    assert "banned" in text_of(page)
    page.button(key=f"ban_team_{edda.id.hex}").click().run()
    answer(page, "is back")

    assert recorded(services) == [
        ("person_signed_out", "a lost laptop"),
        ("person_banned", "left the company"),
        ("person_unbanned", "is back"),
    ]


def test_somebody_is_invited_and_a_customer_is_found_and_given_a_role(page, services):
    customer = somebody(services, "customer")
    page.button(key="invite").click().run()
    page.text_input(key="invite_email").set_value("new@example.org")
    page.checkbox(key="invite_editor_new").check()
    answer(page, "joins")
    assert "new@example.org" in text_of(page)

    page.text_input(key="found_email").set_value("customer@example.org")
    page.button(key="find").click().run()
    assert "no role: may not come in" in text_of(page)
    page.button(key=f"roles_found_{customer.id.hex}").click().run()
    page.checkbox(key=f"role_product_{customer.id.hex}").check()
    answer(page, "joins us")

    assert roles_of(services, customer) == ["product"]
    assert [why for _, why in recorded(services)] == ["joins", "joins us"]


def test_a_change_without_a_reason_is_not_made(page, services, edda):
    page.button(key=f"ban_team_{edda.id.hex}").click().run()
    answer(page, "  ")

    assert "Say why" in text_of(page)
    assert recorded(services) == []


@pytest.mark.parametrize("role", [Role.editor, Role.qa, Role.product])
def test_addresses_are_shown_to_admins_only(services, edda, role):
    with pages_on(services, somebody(services, "quinn", role)) as opened:
        said = text_of(opened("people"))

    assert "Seeing people needs the admin role. Ask an admin for it." in said
    assert "@example.org" not in said
