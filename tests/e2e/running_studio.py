"""The studio as people start it: `python studio_app.py` in a process of its own, on its own folder."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from core.db.embedded import EmbeddedPostgres
from tests.ports import free_port

ROOT = Path(__file__).parents[2]


@dataclass
class RunningStudio:
    """`home` is its STUDIO_HOME, `seconds` what it took from start to the first answer of its page."""

    url: str
    home: Path
    process: subprocess.Popen[bytes]
    seconds: float

    @contextlib.contextmanager
    def database(self) -> Iterator[psycopg.Connection]:
        """A connection of the test's own to the embedded database."""
        server = EmbeddedPostgres.start(self.home)
        try:
            with psycopg.connect(server.dsn) as conn:
                yield conn
        finally:
            server.stop()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


@contextlib.contextmanager
def running_studio(home: Path, *, port: int | None = None, **settings: str) -> Iterator[RunningStudio]:
    """A studio on that port or a free one; ended by SIGTERM, which must end it well."""
    port = port or free_port()
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = inherited | {"STUDIO_HOME": str(home), "STUDIO_PORT": str(port)} | settings
    log = home.parent / f"studio-{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "studio_app.py"], cwd=ROOT, env=environment, stdout=out, stderr=out
        )
    began = time.monotonic()
    try:
        await_answer(f"http://127.0.0.1:{port}/studio/", process, log)
        yield RunningStudio(f"http://127.0.0.1:{port}", home, process, time.monotonic() - began)
    finally:
        status = end(process)
    assert status in {143, -signal.SIGKILL}, log.read_text()[-3000:]


def await_answer(url: str, process: subprocess.Popen[bytes], log: Path, *, within: float = 150) -> None:
    ends = time.monotonic() + within
    while time.monotonic() < ends and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"The studio did not come up.\n{log.read_text()[-3000:]}")


def end(process: subprocess.Popen[bytes]) -> int:
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
