"""From starting the studio to its first page, the embedded database included."""

from __future__ import annotations

import time
from pathlib import Path

from bench.figures import Figure
from bench.world import ROOT, answers, environment, free_port, home, process, wait_until


def measure() -> list[Figure]:
    """Seconds to the first page: with a new home, and with one that has been used."""
    with home() as folder:
        floor, cold, warm = _imports(folder), _first_page(folder), _first_page(folder)
    note = "floor: Python importing gradio and uvicorn"
    return [
        Figure(
            what="studio start to first page, new home",
            measured=cold,
            unit="s",
            budget=8,
            floor=floor,
            note=note,
        ),
        Figure(what="studio start to first page, used home", measured=warm, unit="s", budget=5, floor=floor),
    ]


def _imports(folder: Path) -> float:
    """Seconds that what we stand on takes by itself."""
    began = time.perf_counter()
    with process("-c", "import gradio, uvicorn", env=environment(folder), cwd=folder) as importing:
        importing.wait()
    return time.perf_counter() - began


def _first_page(folder: Path) -> float:
    port = free_port()
    began = time.perf_counter()
    env = environment(folder, studio_port=port)
    with process(str(ROOT / "studio_app.py"), env=env, cwd=folder) as studio:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/"), "the first page", studio)
        taken = time.perf_counter() - began
    if (folder / "postgres" / "postmaster.pid").exists():
        raise RuntimeError("The studio left its database running.")
    return taken
