"""A process that has read the libraries of the dashboard once, and becomes a dashboard as often as a test asks.

Of what a dashboard does before its first page stands, most is reading pandas, Arrow and their like: a second of a
processor for each of a hundred (docs/decisions/0048). Streamlit itself and the dashboard are read by the new process:
Streamlit's caches ask while they are read whether it is serving. Nothing but the standard library is imported here.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import sys
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
# Streamlit looks for rubbish in its memory after each run of a page: a tenth of a second, however short the run. Python's
# own search goes on.
NO_SEARCH = {"STREAMLIT_RUNNER_POST_SCRIPT_GC": "false"}
LIBRARIES = (
    "PIL.Image",
    "fastapi",
    "google.protobuf.message",
    "h2.connection",
    "httpcore",
    "httpx",
    "jinja2",
    "narwhals.stable.v1",
    "numpy",
    "pandas",
    "pillow_heif",
    "plotly.graph_objects",
    "plotly.io",
    "prometheus_client",
    "psycopg_pool",
    "pyarrow",
    "pydantic_settings",
    "stamina",
    "starlette.applications",
    "structlog",
    "supabase",
    "uvicorn",
)
OURS = tuple(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("core", "core/audit", "core/admin")
    for path in sorted((ROOT / folder).glob("[!_]*.py"))
    if not path.stem.endswith("cli")
)


def begin(words: Sequence[str], environment: Mapping[str, str], log: Path) -> ForkServerProcess:
    """`python -m WORDS` in the repository's folder, with that environment; what it says is appended to `log`."""
    nursery = multiprocessing.get_context("forkserver")
    nursery.set_forkserver_preload([*LIBRARIES, *OURS])
    process = nursery.Process(target=_become, args=(tuple(words), dict(environment), log), daemon=True)
    with _nothing_as_main():
        process.start()
    return process


@contextlib.contextmanager
def _nothing_as_main() -> Iterator[None]:
    """A new process would run our main module first: pytest's, or what Streamlit's test driver left in its place."""
    ours = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = ours


def _become(words: tuple[str, ...], environment: dict[str, str], log: Path) -> None:
    os.setsid()
    with log.open("ab") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = list(words)
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
