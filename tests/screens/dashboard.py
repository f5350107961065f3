"""The dashboard under test: a page by Streamlit's own test driver, and the whole of it by `streamlit run`."""

import contextlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path

import pytest
import streamlit as st
from playwright.sync_api import expect
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from audit.services import standing_in
from tests.screens import prepared
from tests.screens.browser import usual_port

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def pages_on(services, person=None):
    """Opens pages on these services as `person` (the local one without): opened("stuck", kind="lost")."""
    st.cache_data.clear()
    with standing_in(services, person):
        yield opened


def opened(name, **address):
    """The page `name` by the test driver, with what its address says; it stands still unless asked to be live."""
    page = AppTest.from_string(
        f"from audit import navigation\nnavigation.run(first={name!r})", default_timeout=30
    )
    for key, value in ({"live": "false"} | address).items():
        page.query_params[key] = value
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", _installed_components)
        page.run()
    assert not page.exception
    return page


_scan = manifest_scanner.scan_component_manifests


@cache
def _installed_components():
    """What Streamlit finds in the metadata of all installed packages: read once, not for each page a test opens."""
    return _scan()


def text_of(page):
    """Everything the page says, HTML and all."""
    words = ("markdown", "warning", "error", "info", "caption", "title", "subheader", "text")
    return "\n".join(
        [
            *(part.proto.body for part in page.get("html")),
            *(part.value for kind in words for part in page.get(kind)),
        ]
    )


def pictures_of(page):
    """The images on a page."""
    return page.get("imgs") or page.get("image")


def keys_of(page):
    """The keys of the buttons a page offers."""
    return {button.key for button in page.button}


@contextlib.contextmanager
def standing(home, **environment):
    """The address of the dashboard, by `streamlit run` in a process that has read its libraries before."""
    port = usual_port("dashboard")
    process = prepared.begin(
        ["streamlit", "run", "audit_app.py", "--server.port", str(port)],
        {**os.environ, "STUDIO_HOME": str(home)} | prepared.NO_SEARCH | environment,
        Path(home).parent / f"dashboard-{port}.log",  # the scan of the run reads it
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.join(30)
    assert process.exitcode == 0, f"The dashboard ended with {process.exitcode}."


@contextlib.contextmanager
def running(home, *options, **environment):
    """The dashboard by `streamlit run`, a command like any other; its address and its process."""
    port = usual_port("dashboard")
    with (
        Path(home).parent.joinpath(f"dashboard-{port}.log").open("ab") as log
    ):  # the scan of the run reads it
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "audit_app.py", "--server.port", str(port), *options],
            cwd=ROOT,
            env={**os.environ, "STUDIO_HOME": str(home)} | environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def answers(url):
    """True once the dashboard at `url` takes requests."""
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def settled(page):
    """Wait until a page's script has come to its end."""
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached(
        timeout=30_000
    )
