"""axe-core finds no serious fault on any page and in any state, light or dark, large or small.

Every page and every kind of dialog each time; `SOAK=1` (make soak) looks at all states in both sizes.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.screens.browser import launched, visit
from tests.screenshots.__main__ import THEMES, WINDOWS
from tests.screenshots.state import arrive, dress, standing
from tests.screenshots.states import STATES
from tests.screenshots.world import World, made_up

pytestmark = pytest.mark.e2e
EVERYWHERE = [(name, window) for name, state in STATES.items() for window in state.windows]
ON_A_PHONE = {"editor", "editor-details", "portrait-lightbox", "scenes", "library", "create-filled", "attributes", "queue", "menu-phone"}  # fmt: skip
LIKE_ANOTHER = {
    "attributes-empty", "attributes-selected", "cards-import", "create-empty", "create-looks", "create-upload",
    "editor-away", "editor-company", "editor-details", "expression", "library-bin-empty", "library-filtered",
    "library-list", "library-nothing", "own-words", "palette", "portrait-menu", "portraits-selected", "publish",
    "queue-empty", "reference-none", "scene-edit", "scene-menu", "suggestions",
}  # fmt: skip
EACH_TIME = [
    (name, window)
    for name, window in EVERYWHERE
    if name in (ON_A_PHONE if window == "phone" else STATES.keys() - LIKE_ANOTHER)
]
AXE = (Path(__file__).parents[1] / "axe" / "axe.min.js").read_text()
# WCAG 2.2 AA and below; "serious" and "critical" are axe's own two upper grades.
RUN = """async () => {
  const found = await axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], resultTypes: ["violations"] });
  return found.violations.filter((one) => one.impact === "serious" || one.impact === "critical")
    .flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.target.join(" ")} ${node.failureSummary.split("\\n").slice(1, 2)}`));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, launched(playwright) as started:
        yield started


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with made_up() as made:
        yield made


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "window"), EVERYWHERE if os.environ.get("SOAK") else EACH_TIME)
def test_no_state_has_a_serious_fault(name: str, window: str, world: World, browser: Browser):
    state = STATES[name]
    look = {"color_scheme": "light", "reduced_motion": "reduce", **WINDOWS[window]}
    found: dict[str, list[str]] = {}
    with standing(world, state) as url, visit(browser, url, **look) as desk:
        arrive(desk, state, world)
        desk.page.evaluate(AXE)
        for theme in THEMES:
            dress(desk, theme)
            found[theme] = desk.page.evaluate(RUN)

    assert found == {theme: [] for theme in THEMES}


def test_a_fault_would_be_found(world: World, browser: Browser):
    with standing(world, STATES["editor"]) as url, visit(browser, url) as desk:
        desk.settle()
        desk.page.evaluate("document.querySelector('#theme button').removeAttribute('aria-label')")
        desk.page.evaluate("document.querySelector('#theme button').removeAttribute('title')")
        desk.page.evaluate(AXE)

        found = desk.page.evaluate(RUN)

    assert [one for one in found if one.startswith("button-name")]
