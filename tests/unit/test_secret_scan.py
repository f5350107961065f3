"""The scan of everything the product lets out in a run: a deliberate leak fails the run, a scrubbed line does not."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from core.storage.links import Links
from tests import secret_scan
from tests.builders import OWN_WORDS

ROOT = Path(__file__).parents[2]
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.c2lnbmF0dXJlLW9mLWl0"
QUIET = """
import logging
from core import log

def test_a_key_that_the_log_hides(tmp_path):
    log.get("made-up").warning("provider_refused", api_key="sb_secret_0123456789abcdef", link="/files/a/b.png?token=1")
    (tmp_path / "studio.log").write_text("asked with ●●●\\n")
"""
LEAKS = """
import subprocess, sys
from core import log

def test_a_log_file_that_a_program_wrote(tmp_path):
    (tmp_path / "studio.log").write_text("Authorization: Bearer 0123456789abcdef0123")

def test_a_log_line():
    log.get("made-up").warning("failed", said="about reading a letter")

def test_a_program():
    program = "print('whsec_' + 20 * 'a')"
    subprocess.run([sys.executable, "-c", program, "core"], capture_output=True)
"""
TOLD = (
    "a bearer token in file test_a_log_file_that_a_program0/studio.log",
    "a prompt in log of made-up, at test_it.py::test_a_log_line",
    "a secret key in stdout of a program, at test_it.py::test_a_program",
)


@pytest.fixture
def nothing_found(monkeypatch):
    """What these tests let out on purpose is nothing to the run."""
    monkeypatch.setattr(secret_scan, "found", [])


def run(text, *arguments):
    """A run of its own, in a folder that the scan of this one does not see."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_it.py").write_text(text)
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "tests.secret_scan",
                "-p",
                "no:cacheprovider",
                *arguments,
            ],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DEBUG_TEMPROOT": folder},
            capture_output=True,
            text=True,
            check=False,
        )


def test_a_run_in_which_nothing_gets_out_passes():
    ended = run(QUIET)

    assert (ended.returncode, "got out" in ended.stdout) == (0, False), ended.stdout


def test_deliberate_leaks_in_another_process_of_the_run_fail_it_though_every_test_passes():
    ended = run(LEAKS, "-n", "1")

    assert ended.returncode == 1, ended.stdout
    assert "3 passed" in ended.stdout
    assert [one for one in TOLD if one not in ended.stdout] == []
    assert not any(word in ended.stdout for word in ("0123456789abcdef0123", OWN_WORDS, 20 * "a"))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("key sb_secret_abcdefghijkl refused", "a secret key"),
        (f"token {JWT} has ended", "a JWT"),
        ("Set-Cookie: studio_session=0123456789abcdef0123; Path=/", "a session cookie"),
        ("could not reach postgresql://studio:correcthorse@db.example/x", "a password in an address"),
        (
            "GET http://p.example/storage/v1/object/sign/a/b.png?token=abcdefghijklmnop1234",
            "a signed link of a storage",
        ),
        (f"a picture of somebody {OWN_WORDS}", "a prompt"),
    ],
)
def test_each_kind_is_told_without_its_text(nothing_found, text, kind):
    [leak, *_] = secret_scan.look(text, "here")

    assert leak.kind == kind
    assert "●●●" in leak.around


def test_a_link_of_ours_is_known_by_its_form(nothing_found):
    from datetime import UTC, datetime

    link = Links(b"0123456789abcdef").sign(("assets", "a/b.png"), datetime.now(UTC))

    assert [leak.kind for leak in secret_scan.look(f"see {link}", "here")] == ["a signed link of ours"]


def test_what_is_hidden_or_harmless_is_none(nothing_found):
    for text in (
        "Bearer ***",
        "?token=***",
        "postgresql://studio:***@db/x",
        "basic facts",
        "sb_secret_***",
        "eyJhbGci",
    ):
        assert secret_scan.look(text, "here") == []


def test_an_error_page_that_a_test_sees_is_looked_at_and_a_good_answer_is_not(nothing_found):
    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            body = f"no such token: {JWT}".encode()
            self.send_response(404 if self.path == "/bad" else 200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", trust_env=False) as client:
            client.get("/good")
            client.get("/bad")
        server.shutdown()

    assert [(leak.kind, leak.place) for leak in secret_scan.found] == [("a JWT", "answer 404 to GET /bad")]
