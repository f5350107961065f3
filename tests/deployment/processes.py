"""The product's processes as compose starts them, to be told to leave and started again."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.deployment.compose import ROOT


@dataclass
class Process:
    """One of the product's commands; `address` is where it says whether it is ready, None for a worker."""

    words: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    address: str | None = None
    running: subprocess.Popen[bytes] | None = None
    statuses: list[int] = field(default_factory=list)

    def start(self) -> None:
        with self.log.open("ab") as out:
            self.running = subprocess.Popen(
                [sys.executable, *self.words], cwd=ROOT, env=dict(self.environment), stdout=out, stderr=out
            )

    def wait_ready(self, *, within: float = 60) -> None:
        assert self.running is not None
        ends = time.monotonic() + within
        while not self.is_ready():
            assert self.running.poll() is None, self.text()
            assert time.monotonic() < ends, self.text()
            time.sleep(0.1)

    def is_ready(self) -> bool:
        if self.address is None:
            return "worker_started" in self.text()
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.address}/readyz", timeout=5).status_code == 200
        return False

    def say(self, number: signal.Signals = signal.SIGTERM) -> None:
        assert self.running is not None
        self.running.send_signal(number)

    def wait_gone(self, *, within: float = 30) -> float:
        """Seconds until it had left."""
        assert self.running is not None
        began = time.monotonic()
        self.statuses.append(self.running.wait(within))
        return time.monotonic() - began

    def restart(self) -> None:
        """As `docker compose restart` and an upgrade do it."""
        self.say()
        self.wait_gone()
        self.log.write_text("")
        self.start()
        self.wait_ready()

    def end(self) -> None:
        if self.running is not None and self.running.poll() is None:
            self.running.kill()
            self.running.wait()

    def text(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""


def wait_until(holds: Callable[[], bool], *, within: float) -> None:
    ends = time.monotonic() + within
    while not holds():
        assert time.monotonic() < ends, "It did not happen in time."
        time.sleep(0.05)
