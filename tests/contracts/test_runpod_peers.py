"""RunPod's own package on both sides: its client proves the emulator, its local test server proves our adapter
(providers.md §4.7, §6). The package cannot share our lock, so it has an environment of its own (`make peers`).
"""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import httpx
import pytest
from PIL import Image

from core.errors import ProviderRejected, ResultLost
from core.providers.runpod import RunPod
from core.values import Order, Size
from tests.contracts.adapters import model_of
from tests.emulator import KEY

pytest_plugins = ["tests.contracts.fix_providers"]

PEERS = Path(sys.prefix) / "peers" / "bin" / "python"
HANDLER = Path(__file__).with_name("runpod_handler.py")
MODEL = model_of("runpod", "worker-sdxl")
QUIET = {"PYTHONDONTWRITEBYTECODE": "1", "RUNPOD_DEBUG_LEVEL": "ERROR", "NO_PROXY": "127.0.0.1"}


@pytest.fixture(scope="session")
def peers():
    if not PEERS.exists():
        pytest.fail("RunPod's own package is not installed beside us. Run: make peers")
    return PEERS


@pytest.fixture
def client_says(emulator, peers, tmp_path):
    """Runs a script with RunPod's own client."""

    def run(script: str, *, key: str = KEY) -> dict[str, object]:
        names = {"RUNPOD_ENDPOINT_BASE_URL": f"{emulator.url}/runpod/v2", "HOME": str(tmp_path), **QUIET}
        head = f"import json, runpod\nrunpod.api_key = {key!r}\nENDPOINT = runpod.Endpoint('own-endpoint')\n"
        done = subprocess.run(
            [peers, "-c", head + textwrap.dedent(script)],
            env={**os.environ, **names},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


class Shim(httpx.BaseTransport):
    """What the local server does otherwise than the cloud: no /v2/{endpoint}, and status is a POST (§4.7)."""

    def __init__(self) -> None:
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v2/local")
        asked = path.startswith("/status/")
        method = "POST" if asked else request.method
        changed = httpx.Request(
            method,
            request.url.copy_with(path=path),
            headers={**request.headers, **({"content-length": "0"} if asked else {})},
            content=None if asked else request.read(),
            extensions=request.extensions,
        )
        return self._inner.handle_request(changed)

    def close(self) -> None:
        self._inner.close()


@pytest.fixture(scope="module")
def local_server(peers, tmp_path_factory):
    """RunPod's own test server, started for real; its address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    home = tmp_path_factory.mktemp("runpod")
    command = [peers, HANDLER, "--rp_serve_api", "--rp_api_host", "127.0.0.1", "--rp_api_port", str(port)]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            command, env={**os.environ, "HOME": str(home), **QUIET}, stdout=log, stderr=log, cwd=home
        )
    try:
        _wait_for(port, process, home / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(400):
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text())


@pytest.fixture
def local_runpod(local_server):
    with httpx.Client(transport=Shim(), timeout=30) as client:
        yield RunPod(KEY, endpoint_id="local", base_url=f"{local_server}/v2", client=client)


def order(prompt: str) -> Order:
    return Order(prompt=prompt, size=Size(width=48, height=64), seed=4711)


# ---- RunPod's own client against the emulator


def test_runpods_own_client_runs_follows_and_reads(client_says, emulator):
    emulator.set(latency=1.0)

    told = client_says("""
        job = ENDPOINT.run({"prompt": "an adult juggler", "width": 64, "height": 48, "seed": 3})
        first = job.status()
        output = job.output(timeout=20)
        print(json.dumps({"first": first, "last": job.status(), "seed": output["seed"],
                          "image": output["images"][0][:26], "id": job.job_id}))
    """)

    assert told["first"] in {"IN_QUEUE", "IN_PROGRESS"}
    assert (told["last"], told["seed"]) == ("COMPLETED", 3)
    assert told["image"] == "data:image/png;base64,iVBO"
    assert emulator.request(told["id"])["body"] == {
        "input": {"prompt": "an adult juggler", "width": 64, "height": 48, "seed": 3}
    }


def test_runpods_own_client_waits_for_a_picture_in_one_call(client_says, emulator):
    emulator.set(latency=0.2)

    told = client_says("""
        output = ENDPOINT.run_sync({"prompt": "an adult juggler"}, timeout=20)
        print(json.dumps({"keys": sorted(output)}))
    """)

    assert told == {"keys": ["image_url", "images", "seed"]}
    assert emulator.counts()["charged"] == 1


def test_runpods_own_client_cancels_and_looks_at_the_endpoint(client_says, emulator):
    emulator.set(latency=60)

    told = client_says("""
        job = ENDPOINT.run({"prompt": "an adult juggler"})
        answer = job.cancel()
        print(json.dumps({"answer": answer["status"], "later": job.status(),
                          "health": sorted(ENDPOINT.health())}))
    """)

    assert told == {"answer": "CANCELLED", "later": "CANCELLED", "health": ["jobs", "workers"]}
    assert emulator.counts()["cancelled"] == 1


def test_runpods_own_client_sees_a_failure(client_says, emulator):
    emulator.fault("outcome", "model_error")

    told = client_says("""
        job = ENDPOINT.run({"prompt": "an adult juggler"})
        print(json.dumps({"status": job.status(), "output": job.output()}))
    """)

    assert told == {"status": "FAILED", "output": None}


def test_runpods_own_client_with_a_wrong_key_is_turned_away(client_says, emulator):
    told = client_says(
        """
        try:
            ENDPOINT.run({"prompt": "an adult juggler"})
        except RuntimeError as error:
            print(json.dumps({"said": "401" in str(error) or "nauthorized" in str(error)}))
        """,
        key="stranger",
    )

    assert told == {"said": True}
    assert emulator.counts()["accepted"] == 0


# ---- our adapter against RunPod's own local server


def test_our_adapter_brings_a_picture_from_runpods_own_server(local_runpod):
    ticket = local_runpod.submit(order("an adult juggler"), MODEL)

    finished = local_runpod.poll(ticket)

    (image,) = finished.images
    with Image.open(io.BytesIO(image.data)) as picture:
        picture.load()
        assert picture.size == (48, 64)
    assert finished.seed == 4711


@pytest.mark.parametrize(
    ("prompt", "error", "code"),
    [
        ("refuse this adult", ProviderRejected, "CONTENT_REFUSED"),
        ("break on this adult", ProviderRejected, "PROVIDER_FAILED"),
        ("empty handed adult", ResultLost, "RESULT_LOST"),
    ],
)
def test_our_adapter_says_why_runpods_own_server_has_no_picture(local_runpod, prompt, error, code):
    ticket = local_runpod.submit(order(prompt), MODEL)

    with pytest.raises(error) as caught:
        local_runpod.poll(ticket)

    assert caught.value.reason == code
    assert prompt not in str(caught.value)


def test_a_request_that_runpods_own_server_cannot_read_is_refused_at_the_door(local_server):
    answer = httpx.post(f"{local_server}/run", json={"no": "input"}, trust_env=False)

    assert answer.status_code == 422


def test_a_cancel_that_runpods_own_server_does_not_know_comes_too_late(local_runpod):
    ticket = local_runpod.submit(order("an adult juggler"), MODEL)

    assert local_runpod.cancel(ticket).value == "too_late"
