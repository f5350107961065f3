"""The browser of the screen tests, and what a person does with the studio's page."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Playwright, Request, expect

from tests.ports import free_port, is_free

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


_PROFILES: dict[Browser, BrowserContext] = {}


@contextmanager
def launched(playwright: Playwright) -> Iterator[Browser]:
    """As `launch`, for the windows of many tests, one after the other.

    Its profile lies on a disk, so that it keeps what it compiled of our scripts (docs/decisions/0034).
    """
    with tempfile.TemporaryDirectory(prefix="ps-browser-", ignore_cleanup_errors=True) as profile:
        kept = playwright.chromium.launch_persistent_context(
            profile, executable_path=find_browser(playwright), args=QUIET, accept_downloads=True
        )
        browser = kept.browser
        assert browser is not None
        _PROFILES[browser] = kept
        try:
            yield browser
        finally:
            del _PROFILES[browser]
            kept.close()


@cache
def _kept_ports() -> dict[str, int]:
    return {}


def usual_port(what: str) -> int:
    """A free port for `what` to be served on, the same one each time in this process where it is free again:
    a browser keeps compiled scripts by their address.
    """
    kept = _kept_ports()
    if what not in kept or not is_free(kept[what]):
        kept[what] = free_port()
    return kept[what]


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


# What a window in the kept profile can be given after it was opened; a phone's touch screen is not among it.
_OF_A_PAGE = {"viewport", "color_scheme", "reduced_motion"}
_WINDOW = {
    "viewport": {"width": 1440, "height": 900},
    "color_scheme": "light",
    "reduced_motion": "no-preference",
}
_LEFT_BY_A_VISIT = (
    "cookies,file_systems,indexeddb,local_storage,websql,service_workers,cache_storage,shared_storage"
)


@contextmanager
def room(browser: Browser, origin: str, **window: object) -> Iterator[tuple[BrowserContext, Page]]:
    """A window with own cookies and own storage, empty at first and forgotten afterwards.

    It is the kept profile's where nobody sits there and it can be dressed so: its compiled scripts stay, and
    nothing else does. Otherwise it is a new context.
    """
    kept = _PROFILES.get(browser)
    if kept and len(kept.pages) == 1 and window.keys() <= _OF_A_PAGE:
        page = kept.new_page()
        _dress(page, _WINDOW | window)
        try:
            yield kept, page
        finally:
            _clear(kept, origin)
    else:
        context = browser.new_context(**(_WINDOW | window))  # pyright: ignore[reportArgumentType]
        try:
            yield context, context.new_page()
        finally:
            context.close()


def _dress(page: Page, window: dict[str, object]) -> None:
    page.set_viewport_size(window["viewport"])  # pyright: ignore[reportArgumentType]
    page.emulate_media(color_scheme=window["color_scheme"], reduced_motion=window["reduced_motion"])  # pyright: ignore[reportArgumentType]


def _clear(kept: BrowserContext, origin: str) -> None:
    first, *visited = kept.pages
    kept.unroute_all()
    for page in visited:
        page.close()
    kept.clear_cookies()
    kept.clear_permissions()
    session = kept.new_cdp_session(first)
    session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": _LEFT_BY_A_VISIT})
    session.detach()


@contextmanager
def visit(browser: Browser, address: str, **window: object) -> Iterator[Desk]:
    """A fresh window (own cookies, own storage) on that address; ends with what the page complained about."""
    parts = urlsplit(address)
    with room(browser, f"{parts.scheme}://{parts.netloc}", **window) as (_, page):
        desk = Desk(page, Watch())
        desk.page.on("request", desk.watch.see)
        desk.page.on("pageerror", lambda error: desk.watch.complaints.append(str(error)))
        desk.page.set_default_timeout(10_000)
        desk.page.set_default_navigation_timeout(30_000)  # a first page on a busy machine
        desk.page.goto(address, timeout=30_000)  # a machine that runs other suites too is slow to open a page
        yield desk
