"""What a process does that is told to leave (docs/deployment.md "Stopping"): real processes, real signals."""

import os
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import psycopg
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.deployment.processes import Process, wait_until
from tests.ports import free_port

LONG = "A lighthouse keeper who writes letters to ships that have not sailed yet."


@pytest.fixture
def begin(dsn, tmp_path) -> Iterator[Callable[..., Process]]:
    begun: list[Process] = []

    def start(*words: str, **settings: str) -> Process:
        port = str(free_port())
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        environment = inherited | {
            "STUDIO_HOME": str(tmp_path),
            "DATABASE_URL": dsn,
            "WORKER": "external",
            "STUDIO_PORT": port,
            "AUDIT_PORT": port,
            **settings,
        }
        door = None if "core.worker" in words else f"http://127.0.0.1:{port}"
        process = Process(words, environment, tmp_path / f"{len(begun)}.log", door)
        begun.append(process)
        process.start()
        process.wait_ready()
        return process

    yield start
    for process in begun:
        process.end()


def test_a_studio_that_leaves_answers_who_waits_and_sends_pages_away_to_come_again(begin):
    studio = begin("studio_app.py", LEAVE_SECONDS="1")
    answers: list[httpx.Response] = []
    ask = {"characterData": {"name": "Ada Quill", "gender": "female", "description": LONG}}
    waiting = threading.Thread(
        target=lambda: answers.append(
            httpx.post(f"{studio.address}/functions/v1/character-portrait", json=ask, timeout=60)
        )
    )
    waiting.start()  # nobody works: it would wait for two minutes
    with connect(f"{studio.address.replace('http', 'ws')}/ws", origin=studio.address) as page:
        time.sleep(1)
        assert waiting.is_alive()

        studio.say()
        wait_until(lambda: httpx.get(f"{studio.address}/readyz").json() == {"status": "leaving"}, within=1)
        leaving = httpx.get(f"{studio.address}/readyz")
        with pytest.raises(ConnectionClosed) as closed:
            list(page)

    waiting.join(20)
    took = studio.wait_gone()

    assert (leaving.status_code, "Retry-After" in leaving.headers) == (503, True)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert [one.status_code for one in answers] == [202]
    assert took < 15
    assert studio.statuses == [143]


def test_a_second_signal_ends_a_server_at_once(begin):
    audit = begin("-m", "audit", LEAVE_SECONDS="60")
    audit.say()
    wait_until(lambda: httpx.get(f"{audit.address}/readyz").status_code == 503, within=5)

    audit.say()

    assert audit.wait_gone() < 8
    assert audit.statuses == [143]


def test_a_worker_that_is_told_to_leave_says_that_it_left(begin, dsn):
    worker = begin("-m", "core.worker")
    with psycopg.connect(dsn, autocommit=True) as conn:
        wait_until(lambda: _workers(conn) == (1, 0), within=20)

        worker.say()
        took = worker.wait_gone()

        assert _workers(conn) == (1, 1)
    assert took < 10
    assert worker.statuses == [0]


def _workers(conn) -> tuple[int, int]:
    return conn.execute("SELECT count(*), count(stopped_at) FROM studio.workers").fetchone()
