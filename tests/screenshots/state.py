"""What a state of the studio is, and how the browser comes to it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from playwright.sync_api import Page

from tests.screens.browser import Desk
from tests.screenshots.world import World

WINDOWS = ("desktop", "phone")


@dataclass(frozen=True, kw_only=True)
class State:
    """`whose` names the character in the address (hero, empty, other or nobody), `path` the page, "" the editor.

    `apart` is the studio in which nobody shares. `given` is what holds in the world while the state is looked at, `meanwhile` what happens after the steps, and
    `shows` what is seen once the state is reached.
    """

    steps: Callable[[Page], None] = lambda _page: None
    whose: str = "hero"
    path: str = ""
    apart: bool = False
    given: Callable[[World], AbstractContextManager[None]] | None = None
    meanwhile: Callable[[World], None] | None = None
    shows: str = ""
    windows: Sequence[str] = WINDOWS


@contextlib.contextmanager
def standing(world: World, state: State) -> Iterator[str]:
    """The address a state begins on, for as long as what it needs holds."""
    character = {"hero": world.hero, "empty": world.empty, "other": world.other}.get(state.whose)
    where = f"{world.apart.url if state.apart else world.url}/studio/{state.path}"
    if character is not None and not state.path.startswith(("library", "attributes")):
        where += f"?character={character.id}"
    with state.given(world) if state.given else contextlib.nullcontext():
        yield where


# Nothing moves, and every picture that can be seen is there.
_STILL = """() => document.fonts.status === "loaded"
  && document.getAnimations().every((one) => one.playState !== "running" || one.effect.getComputedTiming().endTime === Infinity)
  && [...document.images].every((one) => one.complete || !one.checkVisibility() || one.getBoundingClientRect().top > innerHeight)"""


def arrive(desk: Desk, state: State, world: World) -> None:
    """From the page as it loads to the state, in light."""
    if state.path:
        desk.page.locator("body.ps-ready").wait_for(timeout=30_000)
    else:
        desk.settle()
    still(desk)
    state.steps(desk.page)
    if state.meanwhile:
        state.meanwhile(world)
    if state.shows:
        desk.page.locator(state.shows).locator("visible=true").first.wait_for(timeout=30_000)
    still(desk)


def still(desk: Desk) -> None:
    """Wait until the page stands still."""
    desk.page.wait_for_function(_STILL)


def dress(desk: Desk, theme: str) -> None:
    """Show `theme`, as the page's own switch does."""
    if desk.page.evaluate("document.body.classList.contains('dark')") != (theme == "dark"):
        desk.page.evaluate("window.studio.toggleTheme()")
    still(desk)
