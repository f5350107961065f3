"""What the product lets out while the whole suite runs, looked through for what must never be there: a plug-in of the run.

Looked through are every line the product's log writes (of this process, through its own formatter and handler), what the
programs that tests start write into their log files (Postgres' among them) or into a captured stream, and every answer of
status 400 or more that a test's own HTTP client saw. Looked for are keys, tokens, session cookies and signed links by
their form, and the passwords, keys, prompts and markers that tests name with `mark`. The run fails where one is found,
also where every test passed; the finding names the test and the kind, never the secret.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pytest

from core import log
from tests.supabase import auth_double, storage_double

ROOT = Path(__file__).parents[1]
MOST = 4_000_000  # bytes read of one log file, from its end
_AROUND = 40  # characters shown beside a finding

# By kind, what has the form of something that opens a door.
FORMS: dict[str, re.Pattern[str]] = {
    "a secret key": re.compile(r"\b(?:sb_secret_|whsec_|r8_|rpa_)[\w/+=-]{8,}"),
    "a JWT": re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"),
    "a bearer token": re.compile(r"(?i)\b(?:bearer|basic)\s+(?!\*)[\w.~+/=:-]{16,}"),
    "a session cookie": re.compile(r"\bstudio_session=[\w.~+/=-]{16,}"),
    "a signed link of ours": re.compile(r"[?&]token=[0-9a-f]{6,16}-[\w-]{43}"),
    "a signed link of a storage": re.compile(
        r"(?i)/object/(?:upload/)?sign/[^\s?\"'<>]*\?token=(?!\*)[^\s\"'<>]{16,}"
    ),
    "a password in an address": re.compile(r"\b\w+://[^\s/:@\"']*:(?!\*)[^\s/@\"'*]{6,}@"),
}
_marks: dict[str, str] = {}  # text: what it is
found: list[Leak] = []  # of this process


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Something that got out: its kind, where, and while which test."""

    kind: str
    place: str
    test: str
    around: str


def mark(text: str, kind: str) -> None:
    """From now on `text` (eight characters or more) counts as a leak wherever the product lets it out."""
    assert len(text) >= 8, "a mark this short would be found in ordinary words"
    _marks[text] = kind


def look(text: str, place: str) -> list[Leak]:
    """What of `text` must not be there; noted for the end of the run."""
    leaks = [
        _leak(kind, text, hit.start(), hit.end(), place)
        for kind, form in FORMS.items()
        for hit in form.finditer(text)
    ]
    for marked, kind in _marks.items():
        at = text.find(marked)
        if at >= 0:
            leaks.append(_leak(kind, text, at, at + len(marked), place))
    found.extend(leaks)
    return leaks


def _leak(kind: str, text: str, start: int, end: int, place: str) -> Leak:
    around = f"{text[max(0, start - _AROUND) : start]}●●●{text[end : end + _AROUND // 2]}"
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    return Leak(kind=kind, place=place, test=test, around=_hidden(" ".join(around.split())))


def _hidden(text: str) -> str:
    for form in FORMS.values():
        text = form.sub("●●●", text)
    for marked in _marks:
        text = text.replace(marked, "●●●")
    return text


# --- where it listens -----------------------------------------------------------------------------------------


class _Listener(logging.Handler):
    """Formats every record as the product's log would, and looks at the line."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(log._formatter(readable=False))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - the product's own handler says so, and a test of it holds that
            return
        look(line, f"log of {record.name}")


def _listening_to(handler: type[logging.Handler]) -> Callable[[], None]:
    """Look at each line the product's handler writes; returns what undoes it."""
    write = handler.format

    @functools.wraps(write)
    def formatted(self: logging.Handler, record: logging.LogRecord) -> str:
        line = write(self, record)
        look(line, f"log of {record.name}")
        return line

    handler.format = formatted
    return lambda: setattr(handler, "format", write)


def _listening_to_answers() -> Callable[[], None]:
    send = httpx.Client.send

    @functools.wraps(send)
    def sent(self: httpx.Client, request: httpx.Request, **more: Any) -> httpx.Response:
        response = send(self, request, **more)
        if response.status_code >= 400 and not more.get("stream") and _a_test_asks(sys._getframe(1)):
            look(response.text, f"answer {response.status_code} to {request.method} {request.url.path}")
        return response

    httpx.Client.send = sent
    return lambda: setattr(httpx.Client, "send", send)


def _a_test_asks(frame: FrameType | None) -> bool:
    """Whether the call comes from a test: what the product's own client is told by a provider is no page of ours."""
    while frame is not None:
        name = frame.f_code.co_filename
        if (
            name.startswith(f"{ROOT}/")
            and "/.venv/" not in name
            and not name.endswith("/tests/secret_scan.py")
        ):
            return (
                name.startswith(f"{ROOT}/tests/")
                and "/tests/supabase/" not in name
                and "/tests/emulator/" not in name
            )
        frame = frame.f_back
    return False


def _listening_to_programs() -> Callable[[], None]:
    communicate = subprocess.Popen.communicate

    @functools.wraps(communicate)
    def told(self: subprocess.Popen[Any], *args: Any, **more: Any) -> tuple[Any, Any]:
        said = communicate(self, *args, **more)
        if _is_ours(self.args):
            for stream, text in zip(("stdout", "stderr"), said, strict=True):
                if text:
                    look(
                        text if isinstance(text, str) else text.decode(errors="replace"),
                        f"{stream} of a program",
                    )
        return said

    subprocess.Popen.communicate = told
    return lambda: setattr(subprocess.Popen, "communicate", communicate)


def _is_ours(command: Any) -> bool:
    words = [str(one) for one in (command if isinstance(command, list | tuple) else [command])]
    return any(one in {"studio_app.py", "audit_app.py", "core", "audit", "core.worker"} for one in words)


def log_files(folder: Path) -> Iterator[Path]:
    """What programs wrote below `folder`: *.log, whatever wrote it."""
    for path in folder.rglob("*.log"):
        if path.is_file() and not path.is_symlink():
            yield path


def look_at_files(folder: Path) -> None:
    """Look through the log files of a run's folder."""
    for path in log_files(folder):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - MOST))
            look(file.read().decode(errors="replace"), f"file {path.relative_to(folder)}")


# --- the run --------------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    from tests import builders

    for secret, kind in (
        (storage_double.SECRET, "the project's signing secret"),
        (storage_double.SECRET_KEY, "the project's secret key"),
        (auth_double.PASSWORD, "a password"),
        (builders.OWN_WORDS, "a prompt"),
        ("high quality character portrait", "a prompt"),
        ("high quality scene illustration", "a prompt"),
    ):
        mark(secret, kind)
    listener = _Listener()
    config.stash[_LISTENER] = listener
    config.stash[_UNDO] = [_listening_to(log._Handler), _listening_to_answers(), _listening_to_programs()]
    logging.getLogger().addHandler(listener)


def pytest_runtest_setup(item: pytest.Item) -> None:
    root, listener = logging.getLogger(), item.config.stash[_LISTENER]
    if listener not in root.handlers:  # the product's own set-up of its log takes every other handler away
        root.addHandler(listener)


def pytest_unconfigure(config: pytest.Config) -> None:
    for undo in config.stash.get(_UNDO, []):
        undo()
    logging.getLogger().removeHandler(config.stash[_LISTENER])


def pytest_testnodedown(node: Any) -> None:
    """A worker of xdist has ended: what it found."""
    found.extend(Leak(**one) for one in getattr(node, "workeroutput", {}).get("leaks", []))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    factory = getattr(session.config, "_tmp_path_factory", None)
    base = getattr(factory, "_basetemp", None)
    if (
        base is not None and session.config.getoption("dist", "no") == "no"
    ):  # with xdist each worker has its own
        look_at_files(base)
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["leaks"] = [asdict(one) for one in found]
    elif found and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not found:
        return
    terminalreporter.section("secrets that got out", red=True)
    for leak in dict.fromkeys(found):
        terminalreporter.write_line(
            f"{leak.kind} in {leak.place}, at {leak.test or 'the end'}: {leak.around}"
        )
    terminalreporter.write_line(f"{len(found)} leaks: the run fails.")


_LISTENER = pytest.StashKey[_Listener]()
_UNDO = pytest.StashKey[list[Callable[[], None]]]()
