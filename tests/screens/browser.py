"""The browser of the screen tests, and what a person does with the studio's page."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Locator, Page, Playwright, Request, expect

QUIET = [
    "--no-sandbox",  # tests run as root in containers; the pages are our own
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-features=Translate,OptimizationHints,MediaRouter",
]


def find_browser(playwright: Playwright) -> str:
    """The program to start: STUDIO_BROWSER, else the system's Chromium or Chrome, else Playwright's own.

    Without any, the test fails: what no browser looked at is not known to work.
    """
    named = os.environ.get("STUDIO_BROWSER")
    if named:
        return named
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    own = playwright.chromium.executable_path
    if Path(own).exists():
        return own
    sentence = "No browser was found. Install chromium, or name one in STUDIO_BROWSER."
    pytest.fail(sentence)


def launch(playwright: Playwright) -> Browser:
    """A headless browser that asks nobody outside for anything."""
    return playwright.chromium.launch(executable_path=find_browser(playwright), args=QUIET)


@dataclass
class Watch:
    """What a page asked for and complained about."""

    outside: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def see(self, request: Request) -> None:
        if not re.match(r"https?://127\.0\.0\.1[:/]|data:|blob:", request.url):
            self.outside.append(request.url)
        if request.url.endswith("/queue/join?") or "/queue/join" in request.url:
            self.events.append(request.post_data or "")


@dataclass(frozen=True)
class Desk:
    """An open studio page, by the words a person sees on it."""

    page: Page
    watch: Watch

    @property
    def name(self) -> Locator:
        return self.page.get_by_label("Name", exact=True)

    @property
    def description(self) -> Locator:
        return self.page.get_by_label("Description", exact=True)

    @property
    def own_words(self) -> Locator:
        return self.page.get_by_label("Own words", exact=True)

    @property
    def badge(self) -> Locator:
        return self.page.get_by_test_id("save-status")

    @property
    def tiles(self) -> Locator:
        return self.page.get_by_test_id("tile")

    @property
    def notice(self) -> Locator:
        return self.page.get_by_test_id("notice")

    def tags(self, label: str) -> Locator:
        return self.page.locator(".tc", has=self.page.get_by_label(label, exact=True)).locator(".tc-word")

    def settle(self) -> None:
        """Wait until the page shows its character, or says that there is none."""
        expect(self.page.locator("body.ps-ready")).to_be_attached(timeout=30_000)
        expect(self.page.locator(".pg-list")).to_have_attribute("aria-busy", "false")

    def reload(self) -> None:
        self.page.reload()
        self.settle()

    def open_menu(self, tile: Locator) -> Locator:
        tile.hover()
        tile.get_by_role("button", name="Options").click()
        return tile.get_by_role("menu")


@contextmanager
def visit(browser: Browser, address: str, **window: object) -> Iterator[Desk]:
    """A fresh window (own cookies, own storage) on that address; ends with what the page complained about."""
    context = browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | window))  # pyright: ignore[reportArgumentType]
    desk = Desk(context.new_page(), Watch())
    desk.page.on("request", desk.watch.see)
    desk.page.on("pageerror", lambda error: desk.watch.complaints.append(str(error)))
    desk.page.set_default_timeout(10_000)
    desk.page.set_default_navigation_timeout(30_000)  # a first page on a busy machine
    try:
        desk.page.goto(address, timeout=30_000)  # a machine that runs other suites too is slow to open a page
        yield desk
    finally:
        try:
            context.close()
        except Error:  # the test closed it already
            desk.watch.complaints.append("closed early")
