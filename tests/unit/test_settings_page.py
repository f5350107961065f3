"""The page of settings, and that it names each with those who read it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from typer.testing import CliRunner

from core import cli, settings_page
from core.settings import Settings

ROOT = Path(__file__).parents[2]
NAMES = [name.upper() for name in Settings.model_fields]


def test_the_page_of_settings_is_what_the_command_says():
    said = CliRunner().invoke(cli.app, ["settings", "--markdown"])

    assert said.exit_code == 0
    assert (ROOT / "docs/configuration.md").read_text() == said.stdout, (
        "Run: python -m core settings --markdown > docs/configuration.md"
    )


def test_every_setting_stands_on_the_page_once_with_its_meaning():
    page = (ROOT / "docs/configuration.md").read_text()

    assert sorted(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE)) == sorted(NAMES)
    assert [name for name in NAMES if settings_page.group_of(name) is None] == []


def test_without_markdown_the_command_shows_which_settings_are_set_and_no_key(monkeypatch):
    monkeypatch.setenv("FAL_KEY", "hush-4711-hush")
    monkeypatch.setenv("STUDIO_PORT", "7999")

    said = CliRunner().invoke(cli.app, ["settings"])

    assert said.exit_code == 0
    assert "hush-4711-hush" not in said.stdout
    assert re.search(r"FAL_KEY\W+set", said.stdout)
    assert re.search(r"STUDIO_PORT\W+7999", said.stdout)


def test_what_only_one_process_is_said_to_read_is_read_by_no_other():
    alone = {
        "PREVIEW_URL": ("core/characters", "studio"),
        "AUDIT_PORT": ("audit",),
        "METRICS_TOKEN": ("core/api",),
    }
    for name, rooms in alone.items():
        readers = {
            str(path.relative_to(ROOT))
            for folder in ("core", "studio", "audit")
            for path in (ROOT / folder).rglob("*.py")
            if path.name not in {"settings.py", "settings_page.py"} and _reads(path, name.lower())
        }

        assert all(one.startswith(rooms) for one in readers), (name, readers)


def _reads(path, name):
    if name not in (text := path.read_text()):
        return False
    return any(isinstance(node, ast.Attribute) and node.attr == name for node in ast.walk(ast.parse(text)))
