"""A scan of the library over 200,000 objects: seconds and memory, and how both grow from a tenth of them.

The scan is the product's own command in a process of its own, so that its memory is its own too. The pictures are real
and all different: they are decoded and compared.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from PIL import Image

from bench.figures import Figure
from bench.proof import EACH, MEGABYTE, PEOPLE, Made, fill, write_pair
from bench.world import environment, home, settings
from core.audit import library
from core.services import Services, open_services

PORTRAITS = 100_000  # each with its thumbnail: two objects in the library
SIDE = 64  # pixels of noise: a PNG of 12 kB
BUDGET_MB = 300  # as DESIGN allows the proof


def measure() -> list[Figure]:
    """Seconds, megabytes and what a page of it asks, at a tenth of the size and at all of it."""
    return [figure for portraits in (PORTRAITS // 10, PORTRAITS) for figure in _of(portraits)]


def _of(portraits: int) -> Iterator[Figure]:
    with home() as folder, open_services(settings(folder)) as services:
        made = list(_files(folder, portraits))
        fill(services, made)
        seconds, memory, scan = _run(folder, services)
        again, _, _ = _run(folder, services)
        asked = _questions(services)
    note = f"{scan.objects:,} objects, {scan.rows:,} rows, {scan.read:,} objects read"
    yield Figure(what="scan of the library, the first", measured=seconds, unit="s", note=note)
    yield Figure(what="scan of the library, the next", measured=again, unit="s", note=note)
    yield Figure(
        what="its memory", measured=memory, unit="MB", budget=BUDGET_MB, note="largest, of its process"
    )
    yield Figure(
        what="the page's slowest question",
        measured=asked,
        unit="ms",
        budget=300,
        note=f"{portraits:,} portraits",
    )


def _files(folder: Path, portraits: int) -> Iterator[Made]:
    people = [uuid4() for _ in range(PEOPLE)]
    for number in range(portraits):
        if number % EACH == 0:
            character = uuid4()
        data = _picture()
        one = Made(
            job=uuid4(),
            user=people[number // EACH % PEOPLE],
            character=character,
            at=datetime.now(UTC) - timedelta(days=30),
            sha256=hashlib.sha256(data).hexdigest(),
            primary=number % EACH == EACH - 1,
            size=len(data),
        )
        write_pair(folder / "objects/user-library" / one.stem, data)
        yield one


def _picture() -> bytes:
    out = io.BytesIO()
    Image.frombytes("RGB", (SIDE, SIDE), os.urandom(SIDE * SIDE * 3)).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _run(folder: Path, services: Services) -> tuple[float, float, library.Scan]:
    """Seconds of a scan, its process's largest memory in MB, and what it counted. Raises RuntimeError where it found fault."""
    child = subprocess.Popen(
        [sys.executable, "-m", "core", "audit", "library"],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise RuntimeError(f"The scan ended with status {child.returncode}; its words are above.")
    with services.db.as_service() as conn:
        [scan] = library.scans(conn, limit=1)
    if scan.started_at is None or scan.finished_at is None:
        raise RuntimeError("The scan did not come to its end.")
    return (scan.finished_at - scan.started_at).total_seconds(), used.ru_maxrss * 1024 / MEGABYTE, scan


def _questions(services: Services) -> float:
    """The slowest of what a page asks, in ms; the best of three."""
    slowest = 0.0
    for ask in (library.counts, library.deadlines, library.coverage, library.characters):
        times: list[float] = []
        for _ in range(3):
            began = time.perf_counter()
            with services.db.as_service() as conn:
                ask(conn)
            times.append((time.perf_counter() - began) * 1000)
        slowest = max(slowest, min(times))
    return slowest
