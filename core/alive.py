"""`python -m core.alive [studio|audit|worker]`: exit status 0 where that process of this container does its work.

Without a word it finds out what the container runs. The studio and the dashboard are asked at their door; a worker
serves none, so its last sign of life in the database is looked at.
"""

from __future__ import annotations

import os
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path

_DOORS = {"studio": ("STUDIO_PORT", "7860"), "audit": ("AUDIT_PORT", "8501")}
_ANSWERS_WITHIN = 5.0  # seconds
_MARKS = {"core.worker": "worker", "audit": "audit"}  # words of a command, and what it starts


def main(words: list[str]) -> int:
    """The exit status: 0 it works, 1 it does not, with a sentence why."""
    what = words[0] if words else _runs_here()
    reason = _door_fails(what) if what in _DOORS else _worker_is_silent()
    if reason:
        sys.stdout.write(f"{reason}\n")
    return 1 if reason else 0


def _runs_here() -> str:
    """What the container's first process was told to start."""
    command = Path("/proc/1/cmdline").read_bytes().decode(errors="replace").split("\0")
    return next((what for mark, what in _MARKS.items() if mark in command), "studio")


def _door_fails(what: str) -> str | None:
    setting, usual = _DOORS[what]
    port = int(os.environ.get(setting) or usual)
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=_ANSWERS_WITHIN).close()
    except (OSError, urllib.error.URLError):
        return f"The {what} does not answer on port {port}."
    return None


def _worker_is_silent() -> str | None:
    from core.db import connect, session_settings, workers  # noqa: PLC0415 — the doors need none of it
    from core.errors import StudioError  # noqa: PLC0415
    from core.settings import Settings  # noqa: PLC0415

    settings = Settings()
    if settings.database_url is None:
        return "A worker of its own needs DATABASE_URL."
    try:
        with connect(
            settings.database_url.get_secret_value(), session_settings(share_with_team=False)
        ) as conn:
            lives = workers.is_alive_at(conn, socket.gethostname(), within=settings.heartbeat_seconds * 2)
    except StudioError as error:
        return error.sentence
    return None if lives else "No worker of this machine was heard of lately."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
