"""The providers on loopback, with faults on demand (DESIGN "The tree"): fal at the root, the others under
/replicate, /novita and /runpod/v2, a chat model under /chat/v1.

`Emulator` runs inside the test's process. `EmulatorProcess` has one of its own: several processes can share
it, and its processor time is its own. Both are context managers with the same controls.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.emulator.control import Desk
from tests.emulator.state import State
from tests.emulator.tls import server_context
from tests.emulator.wire import Server

KEY = "emulator"
ROOT = Path(__file__).resolve().parents[2]


def origin(port: int, *, tls: bool) -> str:
    """Where it is found: the certificate knows the name, plain http needs no look-up of one."""
    return f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"


class Controls:
    """What a test says to a running emulator; `url` is its origin."""

    url: str

    def __init__(self, url: str, *, certificate: Path | None = None) -> None:
        self.url = url
        trusted = ssl.create_default_context(cafile=certificate)
        self._client = httpx.Client(base_url=f"{url}/_emulator/", timeout=30, trust_env=False, verify=trusted)

    def fault(self, at: str, kind: str, **details: object) -> None:
        """Queues a fault, see `faults.Fault`; count=None means always."""
        self._post("faults", {"at": at, "kind": kind, **details})

    def set(self, **settings: object) -> None:
        """Changes settings, see `state.Settings`."""
        self._post("settings", settings)

    def reset(self) -> None:
        self._post("reset", {})

    def calm(self) -> None:
        """Forgets the faults still to come; what was accepted stays."""
        self._post("calm", {})

    def counts(self, *, requests: bool = True) -> dict[str, object]:
        return self._get(f"counts?requests={int(requests)}")

    def chat(self, **behaviour: object) -> dict[str, object]:
        """Changes how the chat model answers, see `chat.Talk`; returns what it was asked and what it charged."""
        response = self._client.post("chat", json=behaviour)
        return response.raise_for_status().json()

    def price(self, model: str, unit: str, usd: str) -> None:
        """From now on a request for `model` costs `usd` dollars for one image, megapixel or second."""
        self._post("tariffs", {"model": model, "unit": unit, "usd": usd})

    def credit(self, request_id: str, usd: str) -> None:
        """The provider gives money back for one request."""
        self._post("credits", {"id": request_id, "usd": usd})

    def bill(self) -> list[dict[str, str]]:
        """What was charged: id, provider, model and dollars of each request that cost something."""
        return self._get("bill")

    def request(self, request_id: str) -> dict[str, object]:
        """One accepted request with the body that came."""
        return self._get(f"requests/{request_id}")

    def webhooks(self) -> list[dict[str, object]]:
        """Every webhook that left: where to, headers, body, what came back."""
        return self._client.get("webhooks").raise_for_status().json()

    def announce(self, request_id: str) -> None:
        """A request's webhook once more, signed anew."""
        self._post("announce", {"request": request_id})

    def close(self) -> None:
        self._client.close()

    def _post(self, name: str, payload: object) -> None:
        self._client.post(name, json=payload).raise_for_status()

    def _get(self, name: str) -> dict[str, object]:
        return self._client.get(name).raise_for_status().json()


class Emulator(Controls):
    """An emulator on a thread of this process."""

    def __init__(self, *, port: int = 0, certificate: Path | None = None) -> None:
        self._certificate = certificate
        self._loop = asyncio.new_event_loop()
        context = server_context(certificate) if certificate else None
        self._desk = Desk(State())
        self._server = Server(self._desk, tls=context)
        self._thread = threading.Thread(target=self._loop.run_forever, name="emulator", daemon=True)
        self._thread.start()
        bound = self._run(self._server.open(port))
        super().__init__(origin(bound, tls=certificate is not None), certificate=certificate)

    def close(self) -> None:
        super().close()
        self._run(self._desk.leave())
        self._run(self._server.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, coroutine: object) -> object:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class EmulatorProcess(Controls):
    """An emulator in a process of its own; it ends with `close`, or when this process dies."""

    def __init__(self, *, port: int = 0) -> None:
        command = [sys.executable, "-m", "tests.emulator", "--port", str(port), "--until-stdin-ends"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        line = self._process.stdout.readline().strip()
        if not line.startswith("http"):
            self._end()
            raise RuntimeError("The emulator did not start; its own words are above.")
        super().__init__(line)

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        super().close()
        self._end()

    def _end(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
