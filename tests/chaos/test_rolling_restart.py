"""Every process is restarted in turn while people ask and a page is open: an upgrade, as compose does it.

60 jobs; 300 where SOAK=1. Askers do as browsers and the proxy do: what nobody took they send again, with its key.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright

from core import characters
from core.auth import LOCAL_PERSON
from core.values import Character
from tests.chaos.end_state import Known, unsettled, wrong
from tests.chaos.plant import DESCRIPTION, Plant, open_plant
from tests.deployment.processes import Process, wait_until
from tests.ports import free_port
from tests.screens.browser import launched, visit

JOBS = 300 if os.environ.get("SOAK") == "1" else 60
ASKERS = 3
PACE = 0.6  # seconds between two asks of one asker: the restarts happen among them
SHOWN = 3  # portraits of the character whose page is open
PORTRAIT = "/functions/v1/character-portrait"


@dataclass
class Asker:
    """Asks over HTTP until each ask is taken; `answers` counts what was said, `wrongs` what nobody should hear."""

    url: str
    characters: list[Character]
    asked: list[UUID] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    wrongs: list[str] = field(default_factory=list)

    def work(self) -> None:
        for character in self.characters:
            self.asked.append(self.ask(character))
            time.sleep(PACE)

    def ask(self, character: Character) -> UUID:
        key = str(uuid4())
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            job = self._once(character, key)
            if job is not None:
                return job
            time.sleep(0.2)
        raise AssertionError(f"Nobody took it: {self.answers}")

    def _once(self, character: Character, key: str) -> UUID | None:
        headers = {"Idempotency-Key": key, "Prefer": "respond-async"}
        body = {"characterId": str(character.id)}
        try:
            answer = httpx.post(f"{self.url}{PORTRAIT}", json=body, headers=headers, timeout=30)
        except httpx.TransportError as error:
            self.answers[type(error).__name__] += 1
            return None
        self.answers[str(answer.status_code)] += 1
        if answer.status_code in {200, 202}:
            return UUID(answer.json()["jobId"])
        if answer.status_code != 503 or "Retry-After" not in answer.headers:
            self.wrongs.append(f"{answer.status_code} {answer.text[:200]}")
        return None


@dataclass
class Site:
    """What compose runs, on one database, with a provider of the test's own."""

    plant: Plant
    workers: list[Process]
    studio: Process
    audit: Process

    @property
    def all(self) -> list[Process]:
        return [*self.workers, self.studio, self.audit]

    def character(self, name: str) -> Character:
        fields = {"name": name, "description": DESCRIPTION, "appearance_tags": ["round glasses"]}
        return characters.create(LOCAL_PERSON, self.plant.services, fields)


@contextmanager
def running_site(dsn: str, home: Path) -> Iterator[Site]:
    studio, audit = str(free_port()), str(free_port())
    settings = {"WORKER": "external", "STUDIO_PORT": studio, "AUDIT_PORT": audit, "LEAVE_SECONDS": "0.5"}
    with open_plant(home, dsn, FAL_LIMIT="6", **settings) as plant:
        plant.emulator.set(latency=0.3, format="jpeg", width=512, height=768)

        def process(name: str, *words: str, port: str | None = None) -> Process:
            door = f"http://127.0.0.1:{port}" if port else None
            return Process(words, plant.environment, home / f"{name}.log", door)

        site = Site(
            plant,
            [process(f"worker-{number}", "-m", "core.worker") for number in range(2)],
            process("studio", "studio_app.py", port=studio),
            process("audit", "-m", "audit", port=audit),
        )
        try:
            for one in site.all:
                one.start()
            for one in site.all:
                one.wait_ready()
            yield site
        finally:
            for one in site.all:
                one.end()


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_a_rolling_restart_loses_and_doubles_nothing_and_an_open_page_comes_back(dsn, tmp_path):
    since = datetime.now(UTC)
    with running_site(dsn, tmp_path) as site:
        shown, asked_for = site.character("Ada Quill"), site.character("Bo Lantern")
        askers = [Asker(site.studio.address, [asked_for] * ((JOBS - SHOWN) // ASKERS)) for _ in range(ASKERS)]
        threads = [threading.Thread(target=asker.work) for asker in askers]
        first = Asker(site.studio.address, [shown] * SHOWN)
        with (
            sync_playwright() as playwright,
            launched(playwright) as browser,
            visit(browser, f"{site.studio.address}/studio/?character={shown.id}") as desk,
        ):
            desk.settle()
            desk.page.evaluate("window.sameVisit = true")
            first.asked.append(first.ask(shown))
            for thread in threads:
                thread.start()
            for one in site.all:
                one.restart()
                if len(first.asked) < SHOWN:
                    first.asked.append(first.ask(shown))
            for thread in threads:
                thread.join()
            expect(desk.tiles).to_have_count(SHOWN, timeout=60_000)
            expect(desk.page.locator("img[src*='/files/']").first).to_be_visible(timeout=30_000)
            assert desk.page.evaluate("window.sameVisit") is True

        asked = [job for asker in [first, *askers] for job in asker.asked]
        known = Known(
            since=since, asked=asked, late=[], deleted=[], hidden=[], quiet=[shown.id, asked_for.id]
        )
        wait_until(lambda: not unsettled(dsn, known), within=120)

        assert len(set(asked)) == len(asked) == JOBS
        assert wrong(dsn, known) == {}
        assert [line for asker in [first, *askers] for line in asker.wrongs] == []
        assert [one.statuses for one in site.all] == [[0], [0], [143], [143]]
        assert site.plant.emulator.counts(requests=False)["submits"] == JOBS
        print(JOBS, "jobs;", sum((asker.answers for asker in askers), Counter()))
