"""On Supabase by settings alone: the path of docs/supabase.md, walked against a project that is played on this machine
and a database that has the platform's tables and the storage's, by the commands that stand there.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import expect, sync_playwright

from core.storage import BUCKETS, LIBRARY
from tests.e2e.running_studio import await_answer, end, running_studio
from tests.platform import rows
from tests.ports import free_port
from tests.screens.browser import launched, visit
from tests.supabase.auth_double import PASSWORD
from tests.supabase.project import ProjectDouble
from tests.supabase.storage_schema import SCHEMA

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/supabase.md").read_text()
OLA = "ola@team.example"


@pytest.fixture
def database(empty_dsn):
    rows.build(empty_dsn)
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        conn.execute(SCHEMA)
    return empty_dsn


@contextlib.contextmanager
def program(name, log, environment):
    """A program of the page, started as it says and ended as a service manager ends it."""
    assert f".venv/bin/python -m {name}\n" in PAGE or f"make {name.removeprefix('core.')}" in PAGE
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", name], cwd=ROOT, env=environment, stdout=out, stderr=out
        )
    try:
        yield process
    finally:
        end(process)


def command(words, environment):
    """A command of the page, typed as it stands there."""
    assert f".venv/bin/python {words}" in PAGE
    ended = subprocess.run(
        [sys.executable, *words.split()],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_a_newcomer_comes_from_the_page_to_a_portrait_that_is_proved(database, tmp_path):
    audit_port = free_port()
    with ProjectDouble(dsn=database) as project:
        project.people()
        settings = {
            "DATABASE_URL": database,
            "SUPABASE_URL": project.url,
            "SUPABASE_PUBLISHABLE_KEY": project.publishable_key,
            "SUPABASE_SECRET_KEY": project.secret_key,
            "FILES_SECRET": "a secret that all processes share",
            "WORKER": "external",
        }
        assert set(settings) <= set(re.findall(r"^([A-Z_]+)=", PAGE, re.MULTILINE))
        more = {"SKETCH_SECONDS": "1", "AUTOSAVE_DELAY": "0", "AUDIT_PORT": str(audit_port)}
        environment = {"PATH": os.environ["PATH"], "STUDIO_HOME": str(tmp_path / "home"), **settings, **more}

        assert "would" in command("-m core migrate --dry-run", environment).lower()
        command("-m core migrate", environment)
        with psycopg.connect(database) as conn:
            made = {name for (name,) in conn.execute("SELECT id FROM storage.buckets")}
        assert made == set(BUCKETS) == set(project.storage.buckets)

        with (
            running_studio(tmp_path / "home", **settings, **more) as studio,
            program("core.worker", tmp_path / "worker.log", environment),
            program("audit", tmp_path / "audit.log", environment) as dashboard,
            sync_playwright() as playwright,
            launched(playwright) as browser,
            visit(browser, f"{studio.url}/studio/") as desk,
        ):
            page = desk.page
            expect(page).to_have_url(re.compile(r"/sign-in\?next="))
            page.get_by_label("E-mail").fill(OLA)
            page.get_by_label("Password", exact=True).fill(PASSWORD)
            page.get_by_role("button", name="Sign in", exact=True).click()
            desk.settle()

            page.get_by_role("button", name="New character").last.click()
            desk.name.fill("Otto Klingbeil")
            desk.description.fill(
                "A retired tram driver who restores clockwork birds and knows every timetable by heart."
            )
            expect(desk.badge).to_have_attribute("data-state", "saved", timeout=15_000)
            page.get_by_role("button", name="Generate", exact=True).click()
            expect(desk.tiles).to_have_count(1, timeout=45_000)
            picture = desk.tiles.first.locator("img")
            expect(picture).to_have_js_property("complete", True)
            assert picture.evaluate("image => image.naturalWidth") > 0
            assert desk.watch.outside == []  # pictures come from our own origin, in this mode too

            ola = project.auth._by_email(OLA).id
            kept = list(project.storage.buckets[LIBRARY].objects)
            assert kept
            assert all(name.startswith(f"{ola}/portraits/") for name in kept)

            audit = f"http://127.0.0.1:{audit_port}"
            await_answer(f"{audit}/healthz", dashboard, tmp_path / "audit.log")
            page.goto(f"{audit}/audit/autosave")
            expect(page.get_by_text(re.compile("^1 portrait, ended"))).to_be_visible(timeout=30_000)
            page.context.clear_cookies()
            page.goto(f"{audit}/audit/")
            expect(page).to_have_url(re.compile(r"/sign-in\?next="))
        assert command("-m core audit", environment)
