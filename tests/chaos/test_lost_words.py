"""An editor types while the studio is killed, the network is cut and the page is loaded again, at random.

Whatever a keystroke put into a field of the page stands in the row at the end (WORDS: how many edits).
"""

import os
import random
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
from playwright.sync_api import Error, Locator, expect, sync_playwright
from playwright.sync_api import TimeoutError as TooSlow

from tests.e2e.running_studio import RunningStudio, running_studio
from tests.ports import free_port
from tests.screens.browser import Desk, launch, visit

EDITS = int(os.environ.get("WORDS") or ("500" if os.environ.get("SOAK") else "60"))
SEED = int(os.environ.get("CHAOS_SEED", str(random.SystemRandom().randrange(10**6))))
TEXTS = {
    "Persona": "persona",
    "Details": "traits",
    "First message": "first_message",
    "Personality traits": "personality_traits",
    "Greeting 1": "alternate_greetings",
}
TONES = ("Warm", "Teasing", "Playful")
PATIENCE = 120.0  # seconds until a studio that was killed must be back
# What each keystroke left in its field, beside what the page itself keeps: read back after a reload.
MIRROR = """document.addEventListener("input", ({ target }) => {
  if (target.matches("textarea, input[type=text]")) {
    sessionStorage.setItem("mirror:" + target.closest("[id^=f_]")?.id, target.value);
  }
}, true);"""


@pytest.mark.chaos
@pytest.mark.timeout(240 + 15 * EDITS)
def test_no_character_typed_is_lost(tmp_path: Path):
    print(f"CHAOS_SEED={SEED}, {EDITS} edits")
    with Server(tmp_path / "home") as server, sync_playwright() as playwright:
        with visit(launch(playwright), f"{server.url}/studio/") as desk:
            desk.settle()
            editor = Editor(desk, server, random.Random(SEED))
            editor.begin()
            editor.type_under_fire()
            editor.calm_down()
            shown = dict(editor.texts)
        print(editor.told)
        row = server.row()
    assert row == shown
    assert editor.told["kill"] > 0
    assert editor.told["cut"] > 0


class Server(ExitStack):
    """A studio that can be killed and comes back at the same address."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.blow = threading.Thread()
        self.failure: BaseException | None = None

    def __enter__(self) -> Self:
        super().__enter__()
        self.studio = self._start()
        self.callback(self.wait)
        return self

    def _start(self) -> RunningStudio:
        return self.enter_context(running_studio(self.home, port=self.port, WORKER="external"))

    def kill_soon(self, after: float, away: float) -> None:
        """Kill it while the editor goes on typing, and start it again."""
        self.wait()
        self.blow = threading.Thread(target=self._kill, args=(after, away))
        self.blow.start()

    def _kill(self, after: float, away: float) -> None:
        time.sleep(after)
        self.studio.kill()
        time.sleep(away)
        try:
            self.studio = self._start()
        except BaseException as error:  # noqa: BLE001 - told by `wait`, in the test's own thread
            self.failure = error

    def wait(self) -> None:
        """Until it is up again."""
        if self.blow.is_alive():
            self.blow.join(PATIENCE)
        if self.failure:
            raise self.failure

    def row(self) -> dict[str, str]:
        """What stands in the database, by the labels of the page."""
        with self.studio.database() as conn:
            rows = conn.execute(
                "SELECT persona, traits, first_message, personality_traits, alternate_greetings[1], voice_tone"
                " FROM characters"
            ).fetchall()
        (row,) = rows
        return dict(zip([*TEXTS, "Tone"], row, strict=True))


@dataclass
class Editor:
    """A person who types word after word, and sees what stands in the fields."""

    desk: Desk
    server: Server
    chance: random.Random
    is_cut: bool = False
    texts: dict[str, str] = field(default_factory=dict)
    told: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("kill", "cut", "reload", "again", "late"), 0)
    )

    def begin(self) -> None:
        """A character with a first word in every field; the studio stands still meanwhile."""
        page = self.desk.page
        page.context.add_init_script(MIRROR)
        page.get_by_role("button", name="New character").last.click()
        expect(self.desk.name).to_be_editable(timeout=20_000)
        page.get_by_role("button", name="Add a greeting").click()
        for label in TEXTS:
            self.texts[label] = "First"
            self.box(label).fill("First")
        self.choose("Warm")
        expect(self.desk.badge).to_have_text("Saved", timeout=20_000)
        self.desk.reload()

    def box(self, label: str) -> Locator:
        return self.desk.page.locator(f"#f_{TEXTS[label]} :is(textarea, input)").first

    def type_under_fire(self) -> None:
        strikes = {"kill": EDITS // 15, "cut": EDITS // 6, "reload": EDITS // 12}
        plan = [strike for strike, count in strikes.items() for _ in range(count)]
        plan += [""] * (EDITS - len(plan))
        self.chance.shuffle(plan)
        for number, strike in enumerate(plan):
            if strike:
                self.told[strike] += 1
                getattr(self, strike)()
            self.edit(number)

    def kill(self) -> None:
        self.server.kill_soon(self.chance.uniform(0, 3), self.chance.uniform(0, 3))

    def cut(self) -> None:
        """Cut the network, or let it come back."""
        self.is_cut = not self.is_cut
        self.desk.page.context.set_offline(self.is_cut)

    def reload(self) -> None:
        """What a person does who trusts nothing any more; there must be something to load."""
        self.come_back()
        with suppress(Error):  # Gradio loads the page again by itself at this very moment
            self.desk.page.reload()

    def come_back(self) -> None:
        self.server.wait()
        if self.is_cut:
            self.cut()

    def edit(self, number: int) -> None:
        if self.chance.random() < 0.1:
            self.choose(self.chance.choice(TONES))
        label = self.chance.choice(list(TEXTS))
        self.write(label, f" {number}{self.chance.choice(['.', ' und ß', ' 🌊', ' <b>', ' ${x}'])}")

    def write(self, label: str, words: str) -> None:
        """Type, look, and type again what did not arrive because the page was just being loaded."""
        before = self.texts[label]
        self.texts[label] = before + words
        for _ in range(20):
            shown = self.seen(label)
            arrived = self.mirrored(label) or before
            assert shown.startswith(before), f"{label} lost words: {before!r} became {shown!r}"
            assert shown.startswith(arrived), f"{label}: {arrived!r} was typed, and {shown!r} is left"
            assert self.texts[label].startswith(shown), f"{label} got words nobody typed: {shown!r}"
            if shown == self.texts[label]:
                return
            if shown != before:
                self.told["again"] += 1
            try:
                self.press(label, self.texts[label][len(shown) :])
            except Error:
                continue  # the page was loaded again under the hands: the next look tells
        raise AssertionError(f"{label} could not be typed into: {self.seen(label)!r}")

    def press(self, label: str, words: str) -> None:
        self.box(label).focus(timeout=3000)
        self.desk.page.keyboard.press("Control+End")
        for sign in words:
            self.desk.page.keyboard.type(sign)

    def choose(self, tone: str) -> None:
        for _ in range(20):
            self.seen("Persona")
            try:
                self.desk.page.get_by_label(tone, exact=True).check(timeout=3000)
            except Error:
                continue
            self.texts["Tone"] = tone.lower()
            return
        raise AssertionError(f"{tone} could not be chosen.")

    def seen(self, label: str) -> str:
        """What stands in a field once the page stands."""
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            try:
                expect(self.desk.page.locator("body.ps-ready")).to_be_attached(timeout=6000)
                return self.box(label).input_value(timeout=2000)
            except (AssertionError, TooSlow, Error):
                self.come_back()
                self.take_the_way_out()
        raise AssertionError("The page did not come back.")

    def take_the_way_out(self) -> None:
        """Of a page that could not be loaded, or says that it has not come whole."""
        again = self.desk.page.get_by_role("button", name="Load it again")
        with suppress(Error):  # it came by itself meanwhile, or cannot be reached yet: the next look tells
            if not self.desk.page.locator("gradio-app, .gradio-container").count():
                self.desk.page.goto(f"{self.server.url}/studio/")
            elif again.count():
                again.click(timeout=3000)
                self.told["late"] += 1

    def mirrored(self, label: str) -> str | None:
        """What the last keystroke left in a field, as the browser remembers it beside the page."""
        try:
            key = f"mirror:f_{TEXTS[label]}"
            return self.desk.page.evaluate("key => sessionStorage.getItem(key)", key)
        except Error:  # the page is being loaded: the next look tells
            return None

    def calm_down(self) -> None:
        """Everything is back: the page says that it is saved, asks nothing, and shows every word after a reload."""
        self.come_back()
        self.seen("Persona")
        expect(self.desk.badge).to_have_text("Saved", timeout=90_000)
        expect(self.desk.page.get_by_role("alertdialog").filter(visible=True)).to_have_count(0)
        self.desk.reload()
        assert {label: self.seen(label) for label in TEXTS} == {label: self.texts[label] for label in TEXTS}
