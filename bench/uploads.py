"""A phone's photograph of 12 megapixels as it becomes a reference: time beside the least anybody would do, and memory."""

from __future__ import annotations

import io
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from pillow_heif import HeifImageFile, from_pillow

from bench.figures import Figure
from bench.world import ROOT, home
from core import images

SIZE = (4032, 3024)  # 12 megapixels, as phones take them
TIMES = 7
WARM_UP = 1
BUDGET = 2000  # ms (SPEC "Upload": HEIC → PNG or JPEG under 2 s for 12 MP)


def measure() -> list[Figure]:
    """Median ms of one upload of each kind over its floor, and the memory of a HEIC."""
    scene = photograph()
    files = {kind: encoded(scene, kind) for kind in ("HEIC", "AVIF", "JPEG")}
    figures = [_figure(kind, data) for kind, data in files.items()]
    with home() as folder:
        path = folder / "photograph.heic"
        path.write_bytes(files["HEIC"])
        figures.append(
            Figure(
                what="memory of one 12 MP HEIC upload",
                measured=memory_of(path),
                unit="MB",
                floor=SIZE[0] * SIZE[1] * 3 / 2**20,
                note="beyond the process before; floor: its pixels once",
            )
        )
    return figures


def photograph() -> Image.Image:
    """Gradients under a sensor's noise: about as hard to encode as a photograph."""
    bands = (
        Image.linear_gradient("L").resize(SIZE),
        Image.effect_noise(SIZE, 14),
        Image.radial_gradient("L").resize(SIZE),
    )
    return Image.merge("RGB", bands)


def encoded(scene: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    if kind == "HEIC":
        from_pillow(scene).save(out, quality=70, enc_params={"preset": "ultrafast"})
    else:
        scene.save(out, kind, quality=70, **({"speed": 10} if kind == "AVIF" else {}))
    return out.getvalue()


def floor(data: bytes, kind: str) -> None:
    """Decode, shrink, encode; no check, no turn, no colours, no hash."""
    source = io.BytesIO(data)
    with HeifImageFile(source) if kind == "HEIC" else Image.open(source) as image:
        image.thumbnail((images.UPLOAD_LONGEST, images.UPLOAD_LONGEST))
        image.save(io.BytesIO(), "JPEG", quality=images.UPLOAD_QUALITY, subsampling=0)


def _figure(kind: str, data: bytes) -> Figure:
    began = time.process_time()
    images.read_upload(data)
    processor = (time.process_time() - began) * 1000
    floors, ours = _alternating(lambda: floor(data, kind), lambda: images.read_upload(data))
    return Figure(
        what=f"a 12 MP {kind} as a reference, median",
        measured=statistics.median(ours),
        unit="ms",
        budget=BUDGET,
        floor=statistics.median(floors),
        note=f"of {TIMES}; {len(data) / 2**20:.1f} MB; {processor:.0f} ms of the processors",
    )


def _alternating(*works: Callable[[], object]) -> tuple[list[float], ...]:
    """Milliseconds of each work, in turns, so that a busy moment of the machine meets both."""
    taken: tuple[list[float], ...] = tuple([] for _ in works)
    for turn in range(WARM_UP + TIMES):
        for work, times in zip(works, taken, strict=True):
            began = time.perf_counter()
            work()
            if turn >= WARM_UP:
                times.append((time.perf_counter() - began) * 1000)
    return taken


def memory_of(path: Path) -> float:
    """Megabytes that a fresh process needs beyond itself to read this upload."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.uploads", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def _most_memory() -> float:
    """Megabytes at this process's height; `getrusage` would also count what its parent held."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    data = Path(sys.argv[1]).read_bytes()
    before = _most_memory()
    images.read_upload(data)
    print(_most_memory() - before)
