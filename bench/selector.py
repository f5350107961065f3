"""The selector of the studio's page beside 5,000 characters, and one edit of the one that was chosen."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import sync_playwright

from bench.figures import Figure, p95
from bench.world import (
    ROOT,
    a_character,
    answers,
    environment,
    free_port,
    home,
    process,
    settings,
    wait_until,
)
from core.auth import LOCAL_PERSON
from core.services import open_services
from core.values import Character
from tests.screens.browser import Desk, launch, visit

CHARACTERS = 5_000
TIMES = 20
OLD = "budget: what the older platform promised"
PAUSE = 0.2  # seconds the page waits for the next key before it searches


def measure() -> list[Figure]:
    """p95 of opening the selector, finding a name in it, opening that character, and saving an edit of it."""
    with home() as folder:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        env = environment(folder, studio_port=port)
        with process(str(ROOT / "studio_app.py"), env=env, cwd=folder) as studio:
            wait_until(lambda: answers(f"{url}/healthz"), "the studio", studio)
            character = _fill(folder)
            with (
                sync_playwright() as playwright,
                visit(launch(playwright), f"{url}/studio/?character={character.id}") as desk,
            ):
                desk.settle()
                listed, found, opened, saved = (
                    list(taken)
                    for taken in zip(*(_round(desk, number) for number in range(TIMES)), strict=True)
                )
    note = f"of {TIMES} in Chromium, {CHARACTERS:,} characters"
    return [
        Figure(what="the selector opened, p95", measured=p95(listed), unit="ms", note=note),
        Figure(what="a name found in the selector, p95", measured=p95(found), unit="ms", note=f"with {PAUSE:g} s for the next key"),
        Figure(what="a character opened from the selector, p95", measured=p95(opened), unit="ms", budget=1000, note=OLD),
        Figure(what="an edit, from Save now to Saved, p95", measured=p95(saved), unit="ms", budget=1000, note=OLD),
    ]  # fmt: skip


def _fill(folder: Path) -> Character:
    with open_services(settings(folder)) as services:
        character = a_character(services)
        with services.db.as_service() as conn:
            conn.execute(
                """
                INSERT INTO public.characters (user_id, name, description, updated_at)
                SELECT %s, 'Person ' || n, 'x', now() - n * interval '1 minute' FROM generate_series(1, %s) n
                """,
                (LOCAL_PERSON.id, CHARACTERS),
            )
            conn.execute("ANALYZE public.characters")
    return character


# What a person sees after each step, as the page's own script can tell it.
LISTED = "() => document.querySelectorAll('.cp-entry').length >= 50"
FOUND = "name => [...document.querySelectorAll('.cp-entry b')].map(one => one.textContent).join() === name"
OPENED = "name => document.querySelector('#f_name :is(input, textarea)').value === name"
SAVED = "() => document.body.dataset.save === 'saved' && !window.studio.isDirty()"


def _round(desk: Desk, number: int) -> tuple[float, float, float, float]:
    """Milliseconds of each step with one character somewhere in the middle."""
    page, name = desk.page, f"Person {2000 + number}"

    def timed(begin: Callable[[], object], seen: str, arg: str | None = None) -> float:
        began = time.perf_counter()
        begin()
        page.wait_for_function(seen, arg=arg, polling="raf")
        return (time.perf_counter() - began) * 1000

    listed = timed(page.get_by_test_id("character-picker").click, LISTED)
    found = timed(lambda: page.get_by_label("Search characters").fill(name), FOUND, name)
    opened = timed(page.locator(".cp-entry").first.click, OPENED, name)
    page.get_by_label("Role", exact=True).fill(f"Keeper {number}")
    saved = timed(page.get_by_role("button", name="Save now").click, SAVED)
    return listed, found, opened, saved
