"""What the measures stand on: a home of their own, processes of the product, characters and their jobs."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx

from core import characters
from core.auth import LOCAL_PERSON
from core.services import Services
from core.settings import Settings
from core.values import Character

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 120.0  # seconds until a measure gives up
TRAITS: Mapping[str, object] = {
    "name": "Juniper Vale",
    "description": "A retired lighthouse keeper in her sixties who repairs music boxes and argues with seagulls.",
    "gender": "female",
    "appearance_tags": ["silver hair", "laugh lines"],
    "clothing_tags": ["mustard raincoat"],
}


@contextlib.contextmanager
def home() -> Iterator[Path]:
    """A STUDIO_HOME that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="ps-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def settings(home: Path, **given: object) -> Settings:
    """Every setting at its default but those given: a bench never touches the database or keys set up here."""
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    ours = {"studio_home": home, "log_level": "ERROR"}
    return Settings(_env_file=None, **(defaults | ours | given))


def environment(home: Path, **given: object) -> dict[str, str]:
    """What a process of the product sees: nothing of this machine's own settings or keys."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    ours = {"STUDIO_HOME": str(home), "HOME": str(home), "LOG_LEVEL": "ERROR", "PYTHONPATH": str(ROOT)}
    return kept | ours | {name.upper(): str(value) for name, value in given.items()}


@contextlib.contextmanager
def process(*words: str, env: Mapping[str, str], cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`python WORDS`, ended as a person ends it. Raises RuntimeError where it does not end in time.

    `cwd` is a folder without an `.env`, so that this machine's own settings stay out.
    """
    running = subprocess.Popen([sys.executable, *words], cwd=cwd, env=dict(env), stdout=subprocess.DEVNULL)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGTERM)
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
            raise RuntimeError(f"{' '.join(words)} did not end within 30 s of SIGTERM.") from None


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_until(
    holds: Callable[[], bool], what: str, *running: subprocess.Popen[bytes], every: float = 0.02
) -> None:
    """Raises RuntimeError after PATIENCE seconds, or when one of `running` has ended."""
    ends = time.monotonic() + PATIENCE
    while not holds():
        if any(one.poll() is not None for one in running):
            raise RuntimeError(f"A process ended while the bench waited: {what}. Its words are above.")
        if time.monotonic() > ends:
            raise RuntimeError(f"Waited {PATIENCE:.0f} s in vain: {what}.")
        time.sleep(every)


def answers(url: str) -> bool:
    """Whether a page comes from `url`."""
    try:
        return (
            httpx.get(url, follow_redirects=True, trust_env=False, timeout=30).status_code == httpx.codes.OK
        )
    except httpx.TransportError:
        return False


def a_character(services: Services) -> Character:
    """A character that is ready for a portrait."""
    return characters.create(LOCAL_PERSON, services, TRAITS)
