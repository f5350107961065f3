"""The dashboard on one's own machine, without a sign-in: it opens to this machine's browser alone, at the root too."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from core.settings import Settings
from tests.rights.dashboard_page import opened
from tests.rights.dashboard_server import ROOT, hosted
from tests.screens.dashboard import answers, pages_on, running, text_of
from tests.screens.dashboard import opened as drawn

OTHER = "http://127.0.0.1:1"  # a page of another port of this machine


def test_it_opens_to_this_machines_browser_and_to_no_other_page(services, dsn):
    with hosted(services, dsn, SUPABASE_URL="", AUDIT_PATH="/") as alone:
        page = alone.asked("GET", f"{alone.url}/jobs", None, accept="text/html")
        signing_in = alone.asked("GET", f"{alone.url}/sign-in", None)
        from_a_page = alone.asked("GET", f"{alone.url}/_stcore/health", None, origin=OTHER)
        under_a_name = alone.asked("GET", f"{alone.url}/_stcore/health", None, host="evil.example")
        with opened(alone.url, {}) as socket:
            words = socket.draw("overview").words
        with pytest.raises(InvalidStatus) as refused, opened(alone.url, {}, origin=OTHER):
            pass

    assert page.status_code == 200
    assert signing_in.status_code == 404
    assert (from_a_page.status_code, under_a_name.status_code) == (403, 403)
    assert refused.value.response.status_code == 403
    assert 'href="/jobs?' in words
    assert "au-account" not in words


def test_it_refuses_to_listen_beyond_this_machine_and_opens_nothing(tmp_path: Path):
    around = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    given = {"STUDIO_HOME": str(tmp_path), "AUDIT_HOST": "0.0.0.0"}  # noqa: S104
    ended = subprocess.run(
        [sys.executable, "-m", "audit"],
        check=False,
        cwd=ROOT,
        env=around | given,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.returncode != 0
    assert "AUDIT_HOST is 0.0.0.0" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_streamlit_run_shows_nothing_to_a_page_of_another_port(dsn, tmp_path, eventually):
    with running(tmp_path, DATABASE_URL=dsn) as (url, _):
        eventually(lambda: answers(url), seconds=30)
        with opened(url, {}) as socket:
            own = socket.draw("system")
        with opened(url, {}, origin=OTHER) as socket:
            foreign = socket.draw("system")

    assert "trial_begin" in own.buttons
    assert "Another web page may not use this dashboard" in foreign.words
    assert (foreign.buttons, foreign.files, foreign.pictures) == ({}, {}, [])


def test_streamlit_run_refuses_where_people_sign_in(services):
    settings = services.settings.model_copy(
        update={
            "supabase_url": "http://127.0.0.1:9",
            "supabase_publishable_key": services.settings.files_secret or "x",
        }
    )
    with pages_on(replace(services, settings=settings)):
        page = drawn("jobs")

    assert "cannot ask them to" in text_of(page)
    assert len(page.button) == 0
