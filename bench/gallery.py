"""The editor's gallery: a character of 2,000 portraits beside one of twelve, in the same page and the same run."""

from __future__ import annotations

import io
import statistics
import time
from uuid import uuid4

from PIL import Image
from playwright.sync_api import sync_playwright

from bench.figures import Figure, p95
from bench.world import ROOT, TRAITS, answers, environment, free_port, home, process, settings, wait_until
from core import characters, generation, portraits
from core.auth import LOCAL_PERSON
from core.services import Services, open_services
from core.storage import LIBRARY
from core.values import Character, JobId, PortraitRequest
from tests.screens.browser import Desk, launch, visit

FEW, MANY = 12, 2_000
TIMES = 10
STEPS = 20
OLD = "budget: what the older platform promised"

# What a person sees, as the page's own script can tell it.
SHOWN = """([name, count]) => {
    if (document.querySelector('#f_name :is(input, textarea)')?.value !== name) return false;
    const tiles = document.querySelectorAll('#grid [data-testid=tile]');
    const seen = [...tiles].slice(0, 6).map(tile => tile.querySelector('img'));
    return tiles.length >= count && seen.every(image => image?.complete && image.naturalWidth);
}"""
FOUND = "name => [...document.querySelectorAll('.cp-entry b')].map(one => one.textContent).join() === name"
LAST = """count => {
    const room = document.querySelector('#stage-scroll');
    room.scrollTop = room.scrollHeight;
    const tiles = document.querySelectorAll('#grid [data-testid=tile]');
    const last = tiles[count - 1]?.querySelector('img');
    return Boolean(last?.complete && last.naturalWidth);
}"""
MOVED = (
    "percent => document.querySelector('#grid [role=progressbar]')?.getAttribute('aria-valuenow') === percent"
)


def measure() -> list[Figure]:
    """Loading the page, opening a character, reaching its last portrait, and a running picture's next step."""
    with home() as folder:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        env = environment(folder, studio_port=port, worker="external")
        with process(str(ROOT / "studio_app.py"), env=env, cwd=folder) as studio:
            wait_until(lambda: answers(f"{url}/healthz"), "the studio", studio)
            with open_services(settings(folder, worker="external")) as services:
                few, many = _character(services, "Few", FEW), _character(services, "Thousands", MANY)
                read = _read(services, many)
                with (
                    sync_playwright() as playwright,
                    visit(launch(playwright), _address(url, few)) as desk,
                ):
                    loads = [[_load(desk, url, one) for _ in range(TIMES)] for one in (few, many)]
                    opens = list(zip(*(_turn(desk, many, few) for _ in range(TIMES)), strict=True))
                    moved_few = _steps(services, desk, few)
                    _open(desk, many)
                    scrolled = _timed(desk, LAST, MANY)
                    desk.page.locator("#stage-scroll").evaluate("room => (room.scrollTop = 0)")
                    moved_many = _steps(services, desk, many)
    beside = f"floor: a character of {FEW}; of {TIMES} in Chromium"
    return [
        Figure(what=f"page load to the first tiles of {MANY:,}, p95", measured=p95(loads[1]), unit="ms", floor=p95(loads[0]), note=beside),
        Figure(what=f"opening a character of {MANY:,}, p95", measured=p95(opens[0]), unit="ms", budget=1000, floor=p95(opens[1]), note=f"{beside}; {OLD}"),
        Figure(what=f"scrolled to the last of {MANY:,}", measured=scrolled, unit="ms", floor=read, note="floor: reading all rows once and signing their links"),
        Figure(what=f"a step of a running picture beside {MANY:,}, p95", measured=p95(moved_many), unit="ms", floor=p95(moved_few), note=f"from the worker's word to the bar; floor: beside {FEW}"),
    ]  # fmt: skip


def _address(url: str, character: Character) -> str:
    return f"{url}/studio/?character={character.id}"


def _character(services: Services, name: str, count: int) -> Character:
    """A character with so many portraits, each with a thumbnail of its own."""
    made = characters.create(LOCAL_PERSON, services, TRAITS | {"name": name})
    folder = f"{LOCAL_PERSON.id}/bench-{made.id}"
    for number in range(count):
        services.storage.put(LIBRARY, f"{folder}/{number}.webp", _thumbnail(number), "image/webp")
    with services.db.as_service() as conn:
        conn.execute(
            """
            INSERT INTO public.character_portraits
                (character_id, image_url, thumbnail_url, prompt, is_primary, sort_order, seed, width, height)
            SELECT %(character)s, 'user-library/' || path || '.webp', 'user-library/' || path || '.webp',
                   repeat('a keeper of a lighthouse on the quay, ', 20), n = 0, n, n, 1024, 1024
            FROM (SELECT n, %(folder)s || '/' || n AS path FROM generate_series(0, %(last)s) n) numbered
            """,
            {"character": made.id, "folder": folder, "last": count - 1},
        )
        conn.execute("ANALYZE public.character_portraits")
    return made


def _thumbnail(number: int) -> bytes:
    """384 by 384 pixels that compress about as badly as a face."""
    small = io.BytesIO()
    colour = (number * 37 % 256, number * 91 % 256, number * 53 % 256)
    noise = Image.effect_noise((96, 96), 60).resize((384, 384)).convert("RGB")
    Image.blend(noise, Image.new("RGB", noise.size, colour), 0.5).save(small, "WEBP", quality=80, method=0)
    return small.getvalue()


def _read(services: Services, character: Character) -> float:
    """Milliseconds, at the median, of what the server does once for all tiles."""
    taken: list[float] = []
    for _ in range(5):
        began = time.perf_counter()
        portraits.grid(character.id, LOCAL_PERSON, services, limit=MANY)
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def _first(character: Character) -> list[object]:
    """What SHOWN wants to know: the name in its field, and a first lot of tiles."""
    return [character.name, FEW]


def _timed(desk: Desk, seen: str, arg: object, *, began: float | None = None) -> float:
    """Milliseconds until a person sees it."""
    start = time.perf_counter() if began is None else began
    desk.page.wait_for_function(seen, arg=arg, polling="raf", timeout=120_000)
    return (time.perf_counter() - start) * 1000


def _load(desk: Desk, url: str, character: Character) -> float:
    began = time.perf_counter()
    desk.page.goto(_address(url, character), wait_until="commit", timeout=60_000)
    taken = _timed(desk, SHOWN, _first(character), began=began)
    desk.settle()
    return taken


def _turn(desk: Desk, many: Character, few: Character) -> tuple[float, float]:
    """Both in turns, so that a busy moment of the machine meets both."""
    return _open(desk, many), _open(desk, few)


def _open(desk: Desk, character: Character) -> float:
    """Milliseconds from the press in the selector to the first tiles with their pictures."""
    desk.page.get_by_test_id("character-picker").click()
    desk.page.get_by_label("Search characters").fill(character.name)
    desk.page.wait_for_function(FOUND, arg=character.name)
    began = time.perf_counter()
    desk.page.locator(".cp-entry").first.click()
    return _timed(desk, SHOWN, _first(character), began=began)


def _steps(services: Services, desk: Desk, character: Character) -> list[float]:
    """Milliseconds from each step a worker writes down to the bar that shows it."""
    order = PortraitRequest(character_id=character.id, idempotency_key=str(uuid4()))
    job_id = generation.request(order, LOCAL_PERSON, services).job_id
    _write(services, job_id, 1)
    _timed(desk, MOVED, "1")
    taken: list[float] = []
    for percent in range(2, STEPS + 2):
        began = time.perf_counter()
        _write(services, job_id, percent)
        taken.append(_timed(desk, MOVED, str(percent), began=began))
        time.sleep(0.3)  # a worker's steps do not come in bursts
    return taken


def _write(services: Services, job_id: JobId, percent: int) -> None:
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE public.jobs SET status = 'processing', stage = 'drawing', progress = %s WHERE id = %s",
            (percent / 100, job_id),
        )
