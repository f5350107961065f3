"""The sign-in and the pages of an admin, as a team has them: over the demo world, beside a project that is played."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from core import demo
from core.db import people
from core.services import Services, open_services
from core.settings import Settings
from core.values import PersonId
from tests.screens.browser import launch, usual_port, visit
from tests.screens.conftest import eventually
from tests.screens.dashboard import ROOT, settled
from tests.supabase.auth_double import PASSWORD
from tests.supabase.project import PEOPLE, ProjectDouble

ADMIN = "ola@team.example"
CUSTOMER = "cleo@customers.example"
QUALITY = 80  # of a WebP
WINDOWS = {"desktop": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
THEMES = ("light", "dark")
WHY = "[role=dialog] textarea"


@dataclass(frozen=True)
class House:
    """The two apps of one installation, and the project beside it."""

    studio: str
    dashboard: str
    project: ProjectDouble

    def link(self) -> str:
        """The link of a message to ADMIN, as the project writes it by itself."""
        auth = self.project.auth
        [to] = [one for one in auth.people.values() if one.email == ADMIN]
        page = f"{self.studio}/sign-in/password"
        auth.letters.allowed = (page,)
        return auth.letters.send(to, "recovery", page).usual_link(self.project.url)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What a person does from the sign-in page on, who signs in first where `whose` names them."""

    does: Callable[[Page, House], None]
    whose: str = ""


def _fill(page: Page, email: str, password: str = PASSWORD) -> None:
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


def _nothing(_page: Page, _house: House) -> None:
    """The page as it opens."""


def _wrong(page: Page, _house: House) -> None:
    _fill(page, ADMIN, "not this one")
    expect(page.get_by_role("alert")).to_be_visible()


def _too_often(page: Page, _house: House) -> None:
    for number in range(12):
        _fill(page, "adam@team.example", f"guess {number}")
        expect(page.get_by_role("alert")).to_be_visible()
        if page.get_by_role("button", name="Wait").count():
            return


def _customer(page: Page, _house: House) -> None:
    _fill(page, CUSTOMER)
    expect(page.get_by_role("alert")).to_be_visible()


def _forgotten(page: Page, _house: House) -> None:
    page.get_by_label("E-mail").fill(ADMIN)
    page.get_by_role("link", name="Forgot your password?").click()
    expect(page.get_by_label("E-mail")).to_have_value(ADMIN)


def _message_sent(page: Page, house: House) -> None:
    _forgotten(page, house)
    page.get_by_role("button", name="Send the message").click()
    expect(page.get_by_role("status")).to_be_visible()


def _new_password(page: Page, house: House) -> None:
    page.goto(house.link())
    expect(page.get_by_label("E-mail")).to_have_value(ADMIN)


def _passwords_differ(page: Page, house: House) -> None:
    _new_password(page, house)
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("The same once more").fill("something else")
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_role("alert")).to_be_visible()


def _link_over(page: Page, house: House) -> None:
    link = house.link()
    for _ in range(2):
        page.goto(link)
    expect(page.get_by_role("alert")).to_be_visible()


def _account(page: Page, house: House) -> None:
    page.goto(f"{house.studio}/studio/create")
    page.locator("body.ps-ready").wait_for(timeout=30_000)
    page.locator("[aria-label*='ccount']").locator("visible=true").first.click()


def _room(name: str, *presses: str, row: str = "", shows: str = "") -> Callable[[Page, House], None]:
    """The dashboard's page `name`, and buttons pressed there, within the row that says `row`, until `shows` is seen."""

    def does(page: Page, house: House) -> None:
        page.goto(f"{house.dashboard}/{name}?live=false")
        settled(page)
        for label in presses:
            place = page.locator("[class*=st-key-person_]", has_text=row) if row else page
            place.get_by_role("button", name=label, exact=True).first.click()
            settled(page)
        if shows:
            page.locator(shows).first.wait_for(timeout=30_000)
        page.wait_for_load_state("networkidle")
        settled(page)
        expect(page.get_by_test_id("stSkeleton").locator("visible=true")).to_have_count(0)

    return does


PICTURES: Mapping[str, Picture] = {
    "sign-in": Picture(does=_nothing),
    "sign-in-wrong": Picture(does=_wrong),
    "sign-in-too-often": Picture(does=_too_often),
    "sign-in-no-role": Picture(does=_customer),
    "sign-in-forgotten": Picture(does=_forgotten),
    "sign-in-message-sent": Picture(does=_message_sent),
    "sign-in-new-password": Picture(does=_new_password),
    "sign-in-passwords-differ": Picture(does=_passwords_differ),
    "sign-in-link-over": Picture(does=_link_over),
    "account-menu": Picture(whose=ADMIN, does=_account),
    "audit-people": Picture(whose=ADMIN, does=_room("people")),
    "audit-people-invite": Picture(whose=ADMIN, does=_room("people", "Invite somebody", shows=WHY)),
    "audit-people-roles": Picture(whose=ADMIN, does=_room("people", "Roles", row="quinn@", shows=WHY)),
    "audit-models": Picture(whose=ADMIN, does=_room("models")),
    "audit-model": Picture(whose=ADMIN, does=_room("models", "Change", shows="textarea")),
    "audit-providers": Picture(whose=ADMIN, does=_room("providers")),
    "audit-providers-pause": Picture(whose=ADMIN, does=_room("providers", "Pause", shows=WHY)),
    "audit-settings": Picture(whose=ADMIN, does=_room("settings")),
}


def take(named: list[str], folder: Path) -> None:
    """Every picture whose name holds one of `named` (all without any), at both widths and in both themes."""
    chosen = {name: one for name, one in PICTURES.items() if not named or any(part in name for part in named)}
    if not chosen:
        return
    with installation() as house, sync_playwright() as playwright:
        browser = launch(playwright)
        for name, picture in chosen.items():
            for window in WINDOWS:
                for theme in THEMES:
                    _take(browser, house, picture, window, theme, folder / f"{name}-{window}-{theme}.webp")
            print(f"  {name}", flush=True)
        browser.close()


def _take(browser: Browser, house: House, picture: Picture, window: str, theme: str, path: Path) -> None:
    look = {"viewport": WINDOWS[window], "color_scheme": theme, "reduced_motion": "reduce"}
    with visit(browser, f"{house.studio}/sign-in", **look) as desk:
        if picture.whose:
            _fill(desk.page, picture.whose)
            desk.page.wait_for_url(lambda url: "/sign-in" not in url, timeout=30_000)
        picture.does(desk.page, house)
        desk.page.wait_for_timeout(800)  # what slides in has arrived
        with Image.open(io.BytesIO(desk.page.screenshot())) as image:
            image.convert("RGB").save(path, "WEBP", quality=QUALITY, method=6)


@contextmanager
def installation() -> Iterator[House]:
    """Studio and dashboard over a fresh demo world, whose team signs in at a project that is played."""
    with tempfile.TemporaryDirectory(prefix="ps") as folder, ProjectDouble() as project:
        project.people()
        project.auth.letters.every = 0.0  # the same message for each picture
        home = Path(folder)
        with open_services(Settings(_env_file=None, studio_home=home, log_level="ERROR")) as services:
            demo.make(services)
            _came(services)
            with _running(home, services.db.dsn, project) as house:
                yield house


def _came(services: Services) -> None:
    """The team signed in before; one of them may not any more."""
    with services.db.as_service() as conn:
        for email, roles in PEOPLE.items():
            if roles:
                person = PersonId(UUID(str(uuid5(NAMESPACE_URL, email))))
                is_banned = email.startswith("petra")
                people.mirror(conn, person, email, roles, is_banned=is_banned, is_here=True)


@contextmanager
def _running(home: Path, dsn: str, project: ProjectDouble) -> Iterator[House]:
    ports = {"STUDIO_PORT": usual_port("studio"), "AUDIT_PORT": usual_port("dashboard")}
    given = {
        "STUDIO_HOME": str(home),
        "DATABASE_URL": dsn,
        "SUPABASE_URL": project.url,
        "SUPABASE_PUBLISHABLE_KEY": project.publishable_key,
        "SUPABASE_SECRET_KEY": project.secret_key,
        "WORKER": "external",
        **{name: str(port) for name, port in ports.items()},
    }
    house = House(
        studio=f"http://127.0.0.1:{ports['STUDIO_PORT']}",
        dashboard=f"http://127.0.0.1:{ports['AUDIT_PORT']}/audit",
        project=project,
    )
    with contextlib.ExitStack() as stack:
        for command in (("studio_app.py",), ("-m", "audit")):
            stack.enter_context(_process(command, given))
        for url in (house.studio, house.dashboard.removesuffix("/audit")):
            eventually(lambda url=url: _lives(url), within=60)
        yield house


@contextmanager
def _process(command: tuple[str, ...], given: Mapping[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, **given},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _lives(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False
