"""The dashboard's pages over the demo world, for the pictures of them."""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from core import demo
from core.services import open_services, set_up_database
from core.settings import Settings
from tests.fix_database import Server, start_server
from tests.platform import rows
from tests.screens.browser import launch, visit
from tests.screens.conftest import eventually
from tests.screens.dashboard import answers, running, settled

WINDOWS = {"desktop": {"width": 1440, "height": 900}, "laptop": {"width": 1024, "height": 768}}
THEMES = ("light", "dark")
QUALITY = 80  # of a WebP
_NAMED = re.compile(r"\{([A-Za-z_.]+)\}")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A page in one state: its `address` (`{NAME}` is the job of a planted defect), and what a person does there before
    the picture is taken. `adopted`: over a database of the platform, in place of the demo world.
    """

    address: str
    adopted: bool = False
    does: Callable[[Page], None] = lambda _page: None


def press(*names: str) -> Callable[[Page], None]:
    """Presses buttons of these names, one after the other."""

    def does(page: Page) -> None:
        for name in names:
            page.get_by_role("button", name=name).first.click()
            settled(page)

    return does


PICTURES: Mapping[str, Picture] = {
    "audit-overview": Picture(address=""),
    "audit-jobs": Picture(address="jobs"),
    "audit-jobs-causes": Picture(address="jobs?show=Causes+of+failure"),
    "audit-jobs-mistake": Picture(address="jobs?q=statsu:failed"),
    "audit-jobs-found": Picture(address="jobs?q=status:failed+provider:novita"),
    "audit-job-story": Picture(address="jobs?job={autosave.NO_PORTRAIT}"),
    "audit-stuck": Picture(address="stuck"),
    "audit-stuck-recover": Picture(address="stuck", does=press("Recover all")),
    "audit-autosave": Picture(address="autosave"),
    "audit-autosave-one": Picture(address="autosave?job={autosave.NO_PORTRAIT}"),
    "audit-findings": Picture(address="findings"),
    "audit-adoption": Picture(address="findings", adopted=True),
    "audit-adoption-qa": Picture(address="findings?origin=From+adoption&who=QA", adopted=True),
    "audit-library": Picture(address="library"),
    "audit-library-twice": Picture(address="library", does=press("There twice")),
    "audit-attributes": Picture(address="attributes"),
    "audit-attributes-review": Picture(address="attributes", does=press("Review")),
    "audit-attributes-options": Picture(address="attributes?view=Values+and+styles"),
    "audit-qa": Picture(address="qa"),
    "audit-costs": Picture(address="costs"),
    "audit-activity": Picture(address="activity"),
    "audit-system": Picture(address="system"),
    "audit-views": Picture(address="stuck?what=stuck", does=press("Views")),
}


def take(named: list[str], folder: Path) -> None:
    """Every picture whose name holds one of `named` (all without any), at both widths and in both themes."""
    chosen = {name: one for name, one in PICTURES.items() if not named or any(part in name for part in named)}
    for standing, is_adopted in ((demo_world, False), (adopted_world, True)):
        pictures = {name: one for name, one in chosen.items() if one.adopted is is_adopted}
        if pictures:
            with standing() as (url, jobs):
                _take_all(pictures, url, jobs, folder)


def _take_all(pictures: Mapping[str, Picture], url: str, jobs: Mapping[str, str], folder: Path) -> None:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for name, picture in pictures.items():
            address = _NAMED.sub(lambda found: jobs[found[1]], picture.address)
            for window in WINDOWS:
                for theme in THEMES:
                    _take(
                        browser,
                        f"{url}/{address}",
                        picture,
                        window,
                        theme,
                        folder / f"{name}-{window}-{theme}.webp",
                    )
            print(f"  {name}", flush=True)
        browser.close()


@contextmanager
def demo_world() -> Iterator[tuple[str, Mapping[str, str]]]:
    """The dashboard's address over a fresh demo world, and the job of each defect that is planted there."""
    with tempfile.TemporaryDirectory(prefix="ps") as folder:
        home = Path(folder)
        with open_services(Settings(_env_file=None, studio_home=home, log_level="ERROR")) as services:
            world = demo.make(services)
            with running(home, DATABASE_URL=services.db.dsn) as (url, _):
                eventually(lambda: answers(url), within=60)
                yield url, {one.code: one.job for one in world.planted}


@contextmanager
def adopted_world() -> Iterator[tuple[str, Mapping[str, str]]]:
    """The dashboard's address over a database that the platform has written for years, adopted a moment ago."""
    with tempfile.TemporaryDirectory(prefix="ps") as folder:
        home = Path(folder)
        with contextlib.closing(_Platform(home / "platform")) as platform:
            given = Settings(_env_file=None, studio_home=home, supabase_url=rows.OWN_PROJECT)
            set_up_database(platform.dsn, given, lambda _: None)
            with running(home, DATABASE_URL=platform.dsn) as (url, _):
                eventually(lambda: answers(url), within=60)
                yield url, {}


class _Platform:
    """A Postgres with the platform's database in it."""

    def __init__(self, home: Path) -> None:
        self._server = start_server(home)
        with psycopg.connect(self._server.dsn, autocommit=True) as conn:
            conn.execute("CREATE DATABASE platform TEMPLATE template0")
        self.dsn = Server(self._server.dsn).address("platform")
        rows.build(self.dsn)
        rows.fill(self.dsn, characters=400, portraits=800, jobs=2000)

    def close(self) -> None:
        self._server.stop()


def _take(browser: Browser, url: str, picture: Picture, window: str, theme: str, path: Path) -> None:
    look = {"viewport": WINDOWS[window], "color_scheme": theme, "reduced_motion": "reduce"}
    with visit(browser, f"{url}{'&' if '?' in url else '?'}live=false", **look) as desk:
        settled(desk.page)
        picture.does(desk.page)
        desk.page.wait_for_load_state("networkidle")
        settled(desk.page)
        expect(desk.page.get_by_test_id("stSkeleton").locator("visible=true")).to_have_count(0)
        desk.page.wait_for_timeout(600)  # a chart draws itself after its page has ended
        with Image.open(io.BytesIO(desk.page.screenshot())) as image:
            image.convert("RGB").save(path, "WEBP", quality=QUALITY, method=6)
