"""The sign-in as a person meets it: with a keyboard, on a phone, without scripts, and in the middle of their work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect

from core import characters, library, sessions
from core.api import pages
from core.auth import gate_for
from core.services import Services, open_services
from core.settings import Settings
from core.values import Character, Person, PersonId, Role
from tests import builders
from tests.screens.browser import visit
from tests.screens.conftest import DESCRIPTION, built, eventually, serving
from tests.supabase.auth_double import PASSWORD, AuthDouble
from tests.supabase.auth_people import Rows

EMAIL = "edda@team.example"


@dataclass(frozen=True)
class Team:
    """A studio whose people sign in, and one of them."""

    url: str
    services: Services
    edda: Person

    def character(self) -> Character:
        values = {"name": "Mira Vantongeren", "description": DESCRIPTION, "gender": "female"}
        return characters.create(self.edda, self.services, values)

    def end_sessions(self) -> None:
        sessions.end_all(self.edda.id, self.services)


@pytest.fixture
def team(dsn: str, tmp_path: Path, auth: AuthDouble) -> Iterator[Team]:
    settings = Settings(
        _env_file=None,
        database_url=dsn,
        studio_home=tmp_path,
        supabase_url=auth.url,
        supabase_publishable_key=auth.publishable_key,
        team_sharing=True,
    )
    account = auth.person(EMAIL, PASSWORD, "editor", user_metadata={"full_name": "Edda Lindqvist"})
    Rows(dsn).write(account)
    edda = Person(id=PersonId(UUID(account.id)), roles=frozenset({Role.editor}), name="Edda Lindqvist")
    with open_services(settings) as services, serving(built(services, gate_for(services))) as url:
        yield Team(url, services, edda)


def sign_in(page: Page, email: str = EMAIL) -> None:
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_somebody_signs_in_with_the_keyboard_alone_and_signs_out_again(browser: Browser, team: Team):
    with visit(browser, f"{team.url}/studio/library?q=sea") as desk:
        page = desk.page
        password = page.get_by_label("Password", exact=True)
        expect(page.get_by_label("E-mail")).to_be_focused()
        page.keyboard.type(EMAIL)
        page.keyboard.press("Tab")
        page.keyboard.type("wrong words")
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        expect(password).to_have_attribute("type", "text")
        page.keyboard.press("Enter")

        expect(page.get_by_role("alert")).to_contain_text("do not belong together")
        expect(page.get_by_label("E-mail")).to_have_value(EMAIL)
        expect(password).to_be_focused()
        expect(password).to_have_value("")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{team.url}/studio/library?q=sea")

        page.get_by_role("button", name="Your account").click()
        card = page.get_by_role("dialog", name="Your account")
        expect(card).to_contain_text("Edda Lindqvist")
        expect(card.get_by_role("listitem")).to_have_text(["Editor"])
        card.get_by_role("button", name="Sign out", exact=True).click()
        expect(page.get_by_role("status").filter(has_text="You are signed out.")).to_be_visible()
        page.go_back()
        page.goto(f"{team.url}/studio/library")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert desk.watch.complaints == []
        assert desk.watch.outside == []


def test_what_was_typed_when_the_session_ended_is_there_after_signing_in_again(browser: Browser, team: Team):
    character = team.character()
    with visit(browser, f"{team.url}/studio/?character={character.id}") as desk:
        sign_in(desk.page)
        desk.settle()
        team.end_sessions()
        desk.page.get_by_label("Role", exact=True).fill("Harbour pilot, retired")
        desk.own_words.fill("on the quay at night")

        expect(desk.page.get_by_role("heading", name="Sign in")).to_be_visible()
        [back] = parse_qs(urlsplit(desk.page.url).query)["next"]
        assert back == f"/studio/?character={character.id}"
        sign_in(desk.page)
        desk.settle()

        expect(desk.page.get_by_label("Role", exact=True)).to_have_value("Harbour pilot, retired")
        expect(desk.own_words).to_have_value("on the quay at night")
        eventually(
            lambda: characters.load(character.id, team.edda, team.services).role == "Harbour pilot, retired"
        )


def test_at_one_browser_nobody_finds_what_a_colleague_typed(browser: Browser, team: Team, auth: AuthDouble):
    character = team.character()
    auth.person("ola@team.example", PASSWORD, "editor")
    with visit(browser, f"{team.url}/studio/?character={character.id}") as desk:
        role = desk.page.get_by_label("Role", exact=True)
        sign_in(desk.page)
        desk.settle()
        desk.page.context.set_offline(True)
        role.fill("Harbour pilot, retired")
        desk.page.wait_for_timeout(500)  # it is kept in the browser
        team.end_sessions()
        desk.page.context.set_offline(False)
        desk.page.goto(f"{team.url}/studio/?character={character.id}")

        sign_in(desk.page, "ola@team.example")
        desk.settle()
        found = role.input_value()
        desk.page.context.clear_cookies(name="studio_session")
        desk.page.goto(f"{team.url}/studio/?character={character.id}")
        sign_in(desk.page)
        desk.settle()

        assert found == ""
        expect(role).to_have_value("Harbour pilot, retired")


def test_who_is_no_editor_reads_every_page_and_is_offered_no_beginning(
    browser: Browser, team: Team, auth: AuthDouble
):
    character = team.character()
    portrait = builders.a_finished_portrait(team.edda, team.services, character)
    auth.person("quinn@team.example", PASSWORD, "qa")
    with visit(browser, f"{team.url}/studio/?character={character.id}") as desk:
        sign_in(desk.page, "quinn@team.example")
        expect(desk.page.get_by_label("Name", exact=True)).to_have_value("Mira Vantongeren")
        expect(desk.page.locator("body.ps-reader")).to_be_attached()
        expect(desk.page.get_by_test_id("tile")).to_have_count(1)
        expect(desk.page.get_by_role("link", name="Library")).to_be_visible()
        expect(desk.page.get_by_role("link", name="Create")).to_be_hidden()
        desk.page.get_by_test_id("character-picker").click()
        expect(desk.page.get_by_role("button", name="New character")).to_be_hidden()
        desk.page.keyboard.press("Escape")
        desk.page.get_by_role("button", name="More for this character").click()
        entries = set(desk.page.get_by_role("menuitem").all_inner_texts())
        assert "History" in entries
        assert (
            entries & {"Duplicate", "Start from a template", "Import character cards", "Publish", "Delete"}
            == set()
        )

        desk.page.goto(f"{team.url}/studio/library")
        expect(desk.page.get_by_test_id("library-open").first).to_be_visible()
        expect(desk.page.locator("body.ps-reader")).to_be_attached()
        expect(desk.page.locator(".lib-pick:visible")).to_have_count(0)
        desk.page.get_by_test_id("library-open").first.click()
        expect(desk.page.get_by_role("button", name="Download")).to_be_visible()
        expect(desk.page.get_by_role("button", name="Delete")).to_have_count(0)
        desk.page.keyboard.press("Delete")

        desk.page.goto(f"{team.url}/studio/create?character={character.id}")
        expect(desk.page.get_by_test_id("create-state")).to_have_text(
            "You may look at this, and not change it."
        )
        expect(desk.page.get_by_test_id("create-save")).to_be_hidden()
        expect(desk.page.get_by_test_id("create-generate")).to_be_hidden()
    found = library.page(library.Wanted(), team.edda, team.services).items
    assert [item.character_id for item in found] == [str(portrait.job.character_id)]


def test_a_page_that_nobody_touches_goes_to_the_sign_in_too(
    browser: Browser, team: Team, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pages, "_LOOK_EVERY", 0.2)
    monkeypatch.setattr(pages, "_PING_EVERY", 0.2)
    with visit(browser, f"{team.url}/studio/library?q=sea") as desk:
        sign_in(desk.page)
        expect(desk.page.get_by_role("button", name="Your account")).to_be_visible()
        desk.page.wait_for_timeout(500)  # it stays as long as the session stands
        expect(desk.page).to_have_url(f"{team.url}/studio/library?q=sea")

        team.end_sessions()

        expect(desk.page).to_have_url(f"{team.url}/sign-in?next=%2Fstudio%2Flibrary%3Fq%3Dsea")


def test_the_page_works_on_a_phone_and_without_scripts(browser: Browser, team: Team):
    phone = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
    with visit(browser, f"{team.url}/studio/create", java_script_enabled=False, **phone) as desk:
        colours = {
            what: desk.page.locator(what).evaluate("one => getComputedStyle(one).backgroundColor")
            for what in ("body", ".card")
        }
        assert colours == {"body": "rgb(13, 14, 18)", ".card": "rgb(20, 22, 27)"}
        assert desk.page.evaluate("document.documentElement.scrollWidth") <= 390
        expect(desk.page.get_by_role("button", name="Show")).to_be_hidden()
        sign_in(desk.page)

        expect(desk.page).to_have_url(f"{team.url}/studio/create")


def test_caps_lock_is_said_and_a_wait_is_counted_down(browser: Browser, team: Team):
    with visit(browser, f"{team.url}/sign-in") as desk:
        desk.page.get_by_label("Password", exact=True).evaluate(
            "one => one.dispatchEvent(new KeyboardEvent('keydown', {key: 'A', bubbles: true, modifierCapsLock: true}))"
        )
        expect(desk.page.get_by_text("Caps Lock is on.")).to_be_visible()
        desk.page.get_by_label("Password", exact=True).press("a")
        expect(desk.page.get_by_text("Caps Lock is on.")).to_be_hidden()

        desk.page.get_by_label("E-mail").fill(EMAIL)
        told = desk.page.get_by_role("alert")
        for _ in range(12):
            desk.page.get_by_label("Password", exact=True).fill("wrong")
            with desk.page.expect_navigation():
                desk.page.get_by_role("button", name="Sign in").click()
            if "too many" in told.inner_text():
                break

        expect(told).to_contain_text("There were too many attempts. Wait")
        expect(desk.page.get_by_role("button", name="Sign in")).to_be_enabled(timeout=20_000)
        expect(told).to_have_text("You can try again now.")
        expect(told).not_to_have_class(re.compile("problem"))
        expect(desk.page.get_by_label("Password", exact=True)).not_to_have_attribute("aria-invalid", "true")


def test_a_forgotten_password_is_mended_by_the_link_of_a_message_and_its_secret_stays_in_no_address(
    browser: Browser, team: Team, auth: AuthDouble
):
    auth.letters.allowed = (f"{team.url}/**",)
    address = f"{team.url}/sign-in/password"
    with visit(browser, f"{team.url}/sign-in?next=%2Fstudio%2Flibrary") as desk:
        page, seen = desk.page, []
        page.on("request", lambda request: seen.append(f"{request.url} {request.headers.get('referer')}"))
        page.get_by_label("E-mail").fill(EMAIL)
        page.get_by_role("link", name="Forgot your password?").click()
        expect(page.get_by_label("E-mail")).to_have_value(EMAIL)
        page.get_by_role("button", name="Send the message").click()
        expect(page.get_by_role("status")).to_contain_text("a message is on its way")
        [letter] = auth.letters.sent
        link = letter.usual_link(auth.url)

        page.goto(link)
        expect(page.get_by_label("E-mail")).to_have_value(EMAIL)
        assert page.url == address
        assert page.evaluate("location.hash + JSON.stringify(history.state)") == "null"
        choose(page, "seven quiet bells", "seven quiet balls")
        expect(page.get_by_role("alert")).to_have_text("The two passwords differ. Type the same one twice.")
        expect(page.get_by_label("E-mail")).to_have_value(EMAIL)
        choose(page, "seven quiet bells", "seven quiet bells")
        expect(page).to_have_url(re.compile(f"{team.url}/studio/"))
        page.goto(auth.letters.send(auth.people[letter.account], "recovery", address).own_link())
        expect(page.get_by_label("New password")).to_be_visible()
        page.goto(link)  # an old one, while this browser holds a good one
        expect(page.get_by_role("alert")).to_contain_text("This link was used already")
        expect(page.get_by_role("link", name="Have a new message sent")).to_be_visible()
        assert page.url == address
        assert [one for one in seen if "access_token" in one or "error_code" in one] == []
        assert desk.watch.complaints == []


def test_where_the_project_leads_to_the_studio_itself_an_invitation_still_opens_its_page(
    browser: Browser, team: Team, auth: AuthDouble
):
    auth.letters.site_url = team.url
    nils = auth.person("nils@team.example", "", "editor")
    nils.confirmed_at, nils.invited_at = None, nils.created_at
    letter = auth.letters.send(nils, "invite", None)
    with visit(browser, letter.usual_link(auth.url)) as desk:
        expect(desk.page.get_by_label("E-mail")).to_have_value("nils@team.example")
        assert desk.page.url == f"{team.url}/sign-in/password"
        choose(desk.page, "seven quiet bells", "seven quiet bells")
        expect(desk.page).to_have_url(re.compile(f"{team.url}/studio/"))
        # also for whoever is signed in already, as the one who tries an invitation
        again = auth.letters.send(nils, "recovery", None)
        desk.page.goto(again.usual_link(auth.url))
        expect(desk.page.get_by_label("New password")).to_be_visible()
        assert desk.page.url == f"{team.url}/sign-in/password"


def choose(page: Page, password: str, again: str) -> None:
    page.get_by_label("New password").fill(password)
    page.get_by_label("The same once more").fill(again)
    page.get_by_role("button", name="Set the password").click()
