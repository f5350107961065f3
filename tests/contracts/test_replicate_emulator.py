"""The emulator's Replicate is worth what Replicate's own client says of it (providers.md §6.3)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import httpx
import pytest

from tests.emulator import KEY
from tests.emulator.replicate import VERSION

pytest_plugins = ["tests.contracts.fix_providers"]

INPUT = {"prompt": "an adult beekeeper polishing a trumpet", "width": 320, "height": 256, "seed": 5}
MODEL = "black-forest-labs/flux-schnell"


@pytest.fixture
def client_says(emulator):
    """Runs a script with Replicate's own client in a process of its own: it reads its address from there."""

    def run(script: str, *, token: str = KEY) -> dict[str, object]:
        names = {
            "REPLICATE_API_TOKEN": token,
            "REPLICATE_BASE_URL": f"{emulator.url}/replicate",
            "REPLICATE_POLL_INTERVAL": "0.02",
            "NO_PROXY": "127.0.0.1",
        }
        head = f"import io, json, replicate\nINPUT = {INPUT!r}\nMODEL = {MODEL!r}\nVERSION = {VERSION!r}\n"
        done = subprocess.run(
            [sys.executable, "-c", head + textwrap.dedent(script)],
            env={**os.environ, **names},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_replicates_own_client_runs_an_official_model(client_says, emulator):
    told = client_says("""
        (address,) = replicate.run(MODEL, input=INPUT, wait=False)
        print(json.dumps({"url": address}))
    """)

    assert told["url"].startswith(f"{emulator.url}/replicate/files/")
    assert httpx.get(told["url"], trust_env=False).content.startswith(b"\x89PNG")
    assert emulator.counts()["charged"] == 1


def test_replicates_own_client_reads_a_picture_inside_the_json(client_says, emulator):
    emulator.fault("outcome", "data_uri")

    told = client_says("""
        (file,) = replicate.run(MODEL, input=INPUT, wait=False)
        print(json.dumps({"head": file.read()[:4].hex()}))
    """)

    assert told["head"] == b"\x89PNG".hex()
    assert emulator.counts()["charged"] == 1


def test_replicates_own_client_follows_a_prediction_to_its_end(client_says, emulator):
    emulator.set(latency=0.8, queue_positions=1)

    told = client_says("""
        prediction = replicate.models.predictions.create(model=MODEL, input=INPUT)
        seen = [prediction.status]
        while prediction.status not in {"succeeded", "failed", "canceled"}:
            prediction.reload()
            seen.append(prediction.status)
        print(json.dumps({"seen": list(dict.fromkeys(seen)), "seconds": prediction.metrics["predict_time"],
                          "input": prediction.input, "removed": prediction.dict().get("error")}))
    """)

    assert told["seen"] == ["starting", "processing", "succeeded"]
    assert told["seconds"] >= 0.19
    assert told["input"] == INPUT
    assert told["removed"] is None


def test_replicates_own_client_finds_the_newest_version_and_orders_it(client_says, emulator):
    told = client_says("""
        newest = replicate.models.get("stability-ai/sdxl").latest_version.id
        prediction = replicate.predictions.create(version=newest, input=INPUT)
        prediction.wait()
        print(json.dumps({"newest": newest, "files": len(prediction.output), "id": prediction.id}))
    """)

    assert told["newest"] == VERSION
    assert told["files"] == 1
    assert emulator.request(told["id"])["body"]["version"] == VERSION


def test_replicates_own_client_cancels(client_says, emulator):
    emulator.set(latency=60)

    told = client_says("""
        prediction = replicate.models.predictions.create(model=MODEL, input=INPUT)
        prediction.cancel()
        print(json.dumps({"status": prediction.status, "later": replicate.predictions.get(prediction.id).status}))
    """)

    assert told == {"status": "canceled", "later": "canceled"}
    assert emulator.counts()["cancelled"] == 1


def test_replicates_own_client_uploads_a_reference(client_says, emulator):
    told = client_says("""
        file = io.BytesIO(b"any bytes, with \\r\\n in the middle" * 100)
        prediction = replicate.models.predictions.create(model=MODEL, input={**INPUT, "image": file})
        print(json.dumps({"image": replicate.predictions.get(prediction.id).input["image"]}))
    """)

    told = httpx.get(told["image"], headers={"Authorization": f"Bearer {KEY}"}, trust_env=False).json()
    assert told["size"] == len(b"any bytes, with \r\n in the middle" * 100)


def test_replicates_own_client_reads_a_refusal_of_the_model(client_says, emulator):
    emulator.fault("outcome", "content_policy")

    told = client_says("""
        try:
            replicate.run(MODEL, input=INPUT, wait=False)
        except replicate.exceptions.ModelError as error:
            print(json.dumps({"status": error.prediction.status, "said": error.prediction.error}))
    """)

    assert told["status"] == "failed"
    assert "NSFW content detected" in told["said"]


@pytest.mark.parametrize(
    ("kind", "status", "title"),
    [("balance_empty", 402, "Insufficient credit"), ("refused", 422, "Input validation failed")],
)
def test_replicates_own_client_reads_a_refusal_at_the_door(client_says, emulator, kind, status, title):
    emulator.fault("submit", kind)

    told = client_says("""
        try:
            replicate.models.predictions.create(model=MODEL, input=INPUT)
        except replicate.exceptions.ReplicateError as error:
            print(json.dumps({"status": error.status, "title": error.title}))
    """)

    assert told == {"status": status, "title": title}
    assert emulator.counts()["accepted"] == 0


def test_replicates_own_client_with_a_wrong_token_is_turned_away(client_says, emulator):
    told = client_says(
        """
        try:
            replicate.models.predictions.create(model=MODEL, input=INPUT)
        except replicate.exceptions.ReplicateError as error:
            print(json.dumps({"status": error.status}))
        """,
        token="stranger",
    )

    assert told == {"status": 401}
    assert emulator.counts()["accepted"] == 0
