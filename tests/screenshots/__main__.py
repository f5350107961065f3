"""Takes the pictures: `python -m tests.screenshots [part of a state's name …] [--to FOLDER]`."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tests.screens.browser import launch, visit
from tests.screenshots import dashboard, team
from tests.screenshots.state import State, arrive, dress, standing
from tests.screenshots.states import STATES
from tests.screenshots.world import World, made_up

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
WINDOWS = {
    "desktop": {"viewport": {"width": 1440, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}
THEMES = ("light", "dark")
QUALITY = 80  # of a WebP: text stays sharp, and a picture is some 30 kB


def main(words: Sequence[str]) -> None:
    """Every state whose name holds one of `words` (all without any), in both themes and sizes."""
    named = list(words)
    folder = FOLDER
    if "--to" in named:
        at = named.index("--to")
        folder = Path(named[at + 1])
        del named[at : at + 2]
    chosen = {name: state for name, state in STATES.items() if not named or any(one in name for one in named)}
    folder.mkdir(parents=True, exist_ok=True)
    dashboard.take(named, folder)
    team.take(named, folder)
    if not chosen:
        return
    with made_up() as world, sync_playwright() as playwright:
        browser = launch(playwright)
        for name, state in chosen.items():
            for window in state.windows:
                _take(browser, world, state, window, folder / f"{name}-{window}")
            print(f"  {name}", flush=True)
        browser.close()


def _take(browser: Browser, world: World, state: State, window: str, stem: Path) -> None:
    look = {"color_scheme": "light", "reduced_motion": "reduce", **WINDOWS[window]}
    with standing(world, state) as url, visit(browser, url, **look) as desk:
        arrive(desk, state, world)
        for theme in THEMES:
            dress(desk, theme)
            with Image.open(io.BytesIO(desk.page.screenshot())) as image:
                image.convert("RGB").save(f"{stem}-{theme}.webp", "WEBP", quality=QUALITY, method=6)


if __name__ == "__main__":
    main(sys.argv[1:])
