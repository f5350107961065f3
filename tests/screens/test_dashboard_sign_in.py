"""Into the dashboard and out again in a browser, over an Auth on loopback: `python -m audit` as a team has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect
from starlette.requests import HTTPConnection

from audit import sockets
from core import sessions
from core.auth import gate_for
from core.services import open_services
from core.settings import Settings
from core.values import Person, PersonId, Role
from tests.rights.dashboard_server import Dashboard, hosted
from tests.screens.browser import Desk, visit
from tests.screens.dashboard import settled
from tests.supabase.auth_double import PASSWORD, AuthDouble

QUINN = "quinn.abernathy-castellanos@team.example"


@pytest.fixture
def auth(dsn) -> Iterator[AuthDouble]:
    with AuthDouble(dsn=dsn) as played:
        played.person(QUINN, PASSWORD, "qa", user_metadata={"full_name": "Quinn <b>Abernathy</b>"})
        yield played


@pytest.fixture
def team(auth, services, dsn) -> Iterator[Dashboard]:
    with hosted(
        services, dsn, SUPABASE_URL=auth.url, SUPABASE_PUBLISHABLE_KEY=auth.publishable_key
    ) as dashboard:
        yield dashboard


def sign_in(page: Page, email: str) -> None:
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def account(desk: Desk):
    return desk.page.locator(".au-account")


def quinn_of(auth: AuthDouble) -> PersonId:
    return PersonId(UUID(next(one.id for one in auth.people.values() if one.email == QUINN)))


def test_one_signs_in_to_both_apps_where_one_wanted_to_go_and_out_again(browser, team, auth, dsn, tmp_path):
    with visit(browser, f"{team.url}/stuck?what=unknown") as desk:
        expect(desk.page).to_have_url(f"{team.origin}/sign-in?next=%2Faudit%2Fstuck%3Fwhat%3Dunknown")
        desk.page.get_by_role("link", name="Forgot your password?").click()
        desk.page.get_by_role("link", name="Back to the sign-in").click()
        expect(desk.page).to_have_url(f"{team.origin}/sign-in?next=%2Faudit%2Fstuck%3Fwhat%3Dunknown")
        sign_in(desk.page, QUINN)
        expect(desk.page).to_have_url(f"{team.url}/stuck?what=unknown")
        settled(desk.page)
        expect(account(desk)).to_contain_text("Quinn <b>Abernathy</b>")  # as words
        expect(account(desk)).to_contain_text("QA")
        [cookie] = [one for one in desk.page.context.cookies() if one["name"] == sessions.COOKIE]
        in_the_studio = known_to_the_studio(cookie["value"], auth, dsn, tmp_path)

        desk.page.get_by_role("button", name="Sign out", exact=True).click()
        expect(desk.page).to_have_url(f"{team.origin}/sign-in?signed-out")
        desk.page.goto(team.url)
        expect(desk.page.get_by_role("heading", name="Sign in")).to_be_visible()

    assert in_the_studio is not None
    assert (in_the_studio.id, in_the_studio.roles) == (quinn_of(auth), {Role.qa})
    assert (cookie["path"], cookie["httpOnly"], cookie["sameSite"], cookie["domain"]) == (
        "/",
        True,
        "Lax",
        "127.0.0.1",
    )
    after = team.asked("GET", f"{team.url}/", None, Cookie=f"{sessions.COOKIE}={cookie['value']}")
    assert after.status_code == 401
    assert desk.watch.complaints == []
    assert desk.watch.outside == []


def known_to_the_studio(cookie: str, auth: AuthDouble, dsn: str, home: Path) -> Person | None:
    """Whom the studio's gate knows by a cookie of the dashboard's."""
    settings = Settings(
        _env_file=None,
        database_url=dsn,
        studio_home=home,
        supabase_url=auth.url,
        supabase_publishable_key=auth.publishable_key,
    )
    said = {"type": "http", "method": "GET", "scheme": "http", "path": "/studio/", "query_string": b""}
    with open_services(settings) as studio:
        conn = HTTPConnection(said | {"headers": [(b"cookie", f"{sessions.COOKIE}={cookie}".encode())]})
        return gate_for(studio).person(conn)


def test_a_page_whose_session_ended_says_so_at_the_next_click_and_leaves_by_itself(browser, team, auth):
    quinn = quinn_of(auth)
    with visit(browser, f"{team.url}/jobs") as desk, visit(browser, f"{team.url}/stuck") as other:
        sign_in(desk.page, QUINN)
        settled(desk.page)
        sign_in(other.page, QUINN)
        settled(other.page)

        sessions.end_all(quinn, team.services)

        desk.page.get_by_role("link", name="Findings").click()
        expect(desk.page.get_by_role("heading", name="You are signed out")).to_be_visible()
        desk.page.get_by_role("link", name="Sign in").click()
        sign_in(desk.page, QUINN)
        expect(desk.page).to_have_url(f"{team.url}/findings")
        settled(desk.page)
        sessions.roles_changed(quinn, [], team.services)
        desk.page.reload()
        expect(desk.page.get_by_text("needs the editor, qa, product or admin role")).to_be_visible()
        desk.page.get_by_role("button", name="Sign out", exact=True).click()
        expect(desk.page).to_have_url(f"{team.origin}/sign-in?signed-out")

        # nobody touches the other one
        expect(other.page).to_have_url(
            f"{team.origin}/sign-in?next=%2Faudit%2Fstuck", timeout=1000 * (2 * sockets.LOOK_EVERY + 20)
        )
