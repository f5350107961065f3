"""What the documents name is there: commands with their options, pages, rules, settings, tests, other documents."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from typer.main import get_command

from audit.navigation import ROOMS
from core import cli, health
from core.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = (
    "docs/security.md",
    "docs/supabase.md",
    *(f"docs/runbooks/{path.name}" for path in (ROOT / "docs/runbooks").glob("*.md")),
)
RUNBOOKS = [page for page in PAGES if "/runbooks/" in page and not page.endswith("README.md")]
TITLES = {room.title for members in ROOMS.values() for room in members}
# Said in italics without being a page: what stands on one, and a heading of the document itself.
ON_A_PAGE = {"Test portrait", "Generate", "Without an account"}
HEADINGS = ["How you notice", "First five minutes", "Cause", "Mend", "Afterwards"]


def text_of(page):
    return (ROOT / page).read_text("utf-8")


def commands(text):
    """Each `python -m core …` as its words, from code lines and from within sentences."""
    for line in re.findall(r"python -m core(?: (?!…)([^`\n|]*))?", text):
        if line.strip():
            yield re.sub(r'"[^"]*"', "WORDS", line).split()


def command_of(words):
    """The command that `words` begin with, and the words behind it."""
    found = get_command(cli.app)
    while isinstance(found, click.Group) or hasattr(found, "commands"):
        if not words or words[0] not in found.commands:
            return None, words
        found, words = found.commands[words[0]], words[1:]
    return found, words


@pytest.mark.parametrize("page", [*PAGES, "README.md"])
def test_every_command_is_one_with_these_options(page):
    for words in commands(text_of(page)):
        command, rest = command_of(words)
        assert command is not None, f"{page}: python -m core {' '.join(words)}"
        options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        assert {word for word in rest if word.startswith("--")} <= options, f"{page}: {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES)
def test_every_make_word_is_one(page):
    targets = set(re.findall(r"^([a-z0-9-]+):", text_of("Makefile"), re.MULTILINE))

    assert set(re.findall(r"(?:`|^)make ([a-z0-9-]+)", text_of(page), re.MULTILINE)) <= targets


@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/supabase.md"])
def test_every_page_of_the_dashboard_that_is_named_is_there(page):
    named = set(re.findall(r"(?<![*\w])\*([A-Z][A-Za-z -]+)\*(?!\*)", text_of(page)))

    assert named - ON_A_PAGE <= TITLES


def test_the_newcomers_page_names_pages_that_are_there():
    named = set(re.findall(r"page \*([A-Z][A-Za-z -]+)\*", text_of("docs/supabase.md")))

    assert named
    assert named <= TITLES


@pytest.mark.parametrize("page", RUNBOOKS)
def test_a_runbook_has_its_five_parts_and_rules_that_exist(page):
    text = text_of(page)
    rules = re.findall(
        r"`([a-z]+\.[a-z_]+)`", "".join(re.findall(r"^.*Rules:.*$|^.*Rules: .*$", text, re.MULTILINE))
    )

    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert rules
    assert set(rules) <= {rule.code for rule in health.RULES}


def test_there_are_five_runbooks_and_their_page_names_each():
    assert len(RUNBOOKS) == 5
    assert all(f"({Path(page).name})" in text_of("docs/runbooks/README.md") for page in RUNBOOKS)


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_that_is_named_is_one(page):
    named = set(re.findall(r"(?<![\w.-])([A-Z][A-Z]+(?:_[A-Z]+)+)(?![\w.-])", text_of(page)))

    assert {name for name in named if name.lower() not in Settings.model_fields} == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_document_and_file_that_is_linked_is_there(page):
    folder = (ROOT / page).parent
    linked = [target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text_of(page))]
    named = re.findall(r"`((?:core|tests|supabase|docs)/[\w./-]+\.\w+)`", text_of(page))

    assert [one for one in linked if one and not (folder / one).exists()] == []
    assert [one for one in named if not (ROOT / one).exists()] == []


def test_every_test_that_the_security_page_names_is_there():
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", text_of("docs/security.md"))

    assert len(named) > 15
    for file, name in named:
        assert f"def {name or 'test_'}" in text_of(file), f"{file}::{name}"


def test_every_key_of_the_settings_has_a_way_to_be_changed():
    table = text_of("docs/security.md").partition("## Changing a key")[2].partition("\n## ")[0]
    keys = [
        name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)
    ]

    told = {"NOTIFY_WEBHOOK_URL"}  # an address that only takes news; a new one is made where it came from
    assert [key for key in keys if key not in table and key not in told] == []
