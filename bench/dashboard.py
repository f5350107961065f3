"""The dashboard over a million jobs, 200,000 portraits and a million entries of the ledger, beside an empty Streamlit
page in the same run; what each page takes at a hundredth of that; its memory; its slowest questions.

Rows are made as the product would have written them, past the triggers. BENCH_JOBS makes the large world smaller.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from playwright.sync_api import Page, expect, sync_playwright

from audit.navigation import FIRST, ROOMS
from bench.figures import Figure
from bench.rows import Size, fill
from bench.world import ROOT, answers, environment, free_port, home, process, settings, wait_until
from core.services import open_services
from tests.screens.browser import launch

LARGE = int(os.environ.get("BENCH_JOBS", "1000000"))
SMALL = LARGE // 100
LOADS = 5
BUDGET_OVER_EMPTY = 1000  # ms (DESIGN)
BUDGET_RERUN = 1000
BUDGET_QUERY = 300
PATIENCE = 60_000  # ms until a page must have come
NAMES = [room.name for members in ROOMS.values() for room in members]
EMPTY = """import streamlit as st

pages = [st.Page(lambda: st.title("Empty"), title=name, url_path=name, default=name == "first") for name in ("first", "deep")]
st.navigation(pages).run()
"""
# A rerun may be over before a look from outside would see it begin.
DRAWN_AGAIN = """switch_ => new Promise(done => {
    const app = document.querySelector('[data-testid=stApp]');
    const began = performance.now();
    let ran = false;
    new MutationObserver((_, watch) => {
        const state = app.getAttribute('data-test-script-state');
        if (state === 'running') ran = true;
        else if (ran && state === 'notRunning') { watch.disconnect(); done(performance.now() - began); }
    }).observe(app, { attributes: true });
    switch_.click();
})"""
_DURATION = re.compile(
    r"duration: ([\d.]+) ms\s+(?:execute [^:]*|statement): (.*(?:\n\t.*)*)"
)  # a tab: it goes on


@dataclass(frozen=True)
class Walk:
    """One walk through all pages: milliseconds by page, of an empty page at the root and at an address of its own (there
    Streamlit's own script looks in the wrong place first), of the overview's rerun; megabytes, the slowest question.
    """

    loads: dict[str, float]
    empty: float
    empty_deep: float
    rerun: float
    memory: float
    slowest: float
    question: str


def measure() -> list[Figure]:
    """Every page at both sizes, medians; the overview against its budgets."""
    small, large = (_walk(Size.of(jobs)) for jobs in (SMALL, LARGE))
    over = large.loads[FIRST] - large.empty
    return [
        Figure(what="overview, more than an empty page", measured=over, unit="ms", budget=BUDGET_OVER_EMPTY,
               note=f"{LARGE:,} jobs; the empty page {large.empty:.0f} ms; median of {LOADS} in Chromium"),
        Figure(what="overview, drawn again", measured=large.rerun, unit="ms", budget=BUDGET_RERUN),
        Figure(what="the slowest question of all pages", measured=large.slowest, unit="ms", budget=BUDGET_QUERY,
               floor=small.slowest, note=f"floor: {SMALL:,} jobs; {large.question}"),
        *(
            Figure(what=f"page {name}", measured=taken, unit="ms", floor=small.loads[name],
                   budget=large.empty_deep + BUDGET_OVER_EMPTY, note=f"floor: {SMALL:,} jobs; an empty page {large.empty_deep:.0f} ms")
            for name, taken in large.loads.items() if name != FIRST
        ),
        Figure(what="memory of the dashboard after all pages", measured=large.memory, unit="MB", floor=small.memory,
               note=f"floor: {SMALL:,} jobs"),
    ]  # fmt: skip


def _walk(size: Size) -> Walk:
    with home() as folder, ExitStack() as stack:
        services = stack.enter_context(open_services(settings(folder)))
        fill(services, size)
        _listen(services.db.dsn)
        log = folder / "postgres" / "server.log"
        begun = log.stat().st_size
        (folder / "empty.py").write_text(EMPTY)
        (folder / ".streamlit").symlink_to(ROOT / ".streamlit")
        empty, _ = stack.enter_context(_streamlit(folder, folder / "empty.py"))
        url, pid = stack.enter_context(_streamlit(folder, ROOT / "audit_app.py"))
        with sync_playwright() as playwright:
            browser = launch(playwright)
            tab = browser.new_page(viewport={"width": 1440, "height": 900})
            root, deep = _median(tab, empty), _median(tab, f"{empty}/deep")
            loads = {name: _page(tab, url, name) for name in NAMES}
            rerun = _rerun(tab, url)
            browser.close()
        slowest, question = max(_durations(log, begun), default=(0.0, "none"))
        return Walk(loads, root, deep, rerun, _memory(pid), slowest, question)


@contextmanager
def _streamlit(folder: Path, script: Path) -> Iterator[tuple[str, int]]:
    """Streamlit running `script` on the world of `folder`: its address and its process id."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    words = ("-m", "streamlit", "run", str(script), "--server.port", str(port), "--logger.level", "error")
    with process(*words, env=environment(folder), cwd=folder) as running:
        wait_until(lambda: answers(f"{url}/_stcore/health"), "Streamlit", running)
        yield url, running.pid


def _page(tab: Page, url: str, name: str) -> float:
    return _median(tab, f"{url}/?live=false" if name == FIRST else f"{url}/{name}?live=false")


def _median(tab: Page, address: str) -> float:
    """Of loading a page, after one load that warms what every later one finds warm."""
    _load(tab, address)
    return statistics.median(_load(tab, address) for _ in range(LOADS))


def _load(tab: Page, address: str) -> float:
    """Milliseconds until the page stands whole: its title is there and its script has ended."""
    began = time.perf_counter()
    tab.goto(address)
    expect(tab.get_by_role("heading", level=1).first).to_be_visible(timeout=PATIENCE)
    _wait_idle(tab)
    return (time.perf_counter() - began) * 1000


def _rerun(tab: Page, url: str) -> float:
    """Milliseconds of drawing the overview again, as its Live switch asks for it."""
    _load(tab, f"{url}/?live=false")
    live = tab.get_by_role("switch", name="Live")
    return statistics.median(live.evaluate(DRAWN_AGAIN) for _ in range(LOADS))


def _wait_idle(tab: Page) -> None:
    idle = tab.locator("[data-testid=stApp][data-test-script-state=notRunning]")
    expect(idle).to_be_attached(timeout=PATIENCE)


def _listen(dsn: str) -> None:
    """Have the server write how long each question took."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("ALTER SYSTEM SET log_min_duration_statement = 50")
        conn.execute("SELECT pg_reload_conf()")
    time.sleep(1)  # until every session has read it


def _durations(log: Path, begun: int) -> Iterator[tuple[float, str]]:
    with log.open("rb") as lines:
        lines.seek(begun)
        said = lines.read().decode(errors="replace")
    for taken, question in _DURATION.findall(said):
        yield float(taken), " ".join(question.split())[:120]


def _memory(pid: int) -> float:
    """Megabytes a process holds now."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1000 if found else float("nan")
