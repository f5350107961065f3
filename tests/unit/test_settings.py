"""Each setting, its one line of meaning, and the file that shows them to people."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from core.settings import Settings

EXAMPLE = Path(__file__).parents[2] / ".env.example"
FIELDS = {name.upper(): field for name, field in Settings.model_fields.items()}


@pytest.fixture(autouse=True)
def no_settings_around(monkeypatch):
    for name in FIELDS:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def shown():
    """Each name of the example with the comment above it and the value beside it."""
    found = {}
    comment = ""
    for line in EXAMPLE.read_text().splitlines():
        if entry := re.fullmatch(r"#?([A-Z_]+)=(.*)", line):
            found[entry[1]] = (comment, entry[2])
        comment = line.removeprefix("# ") if line.startswith("# ") else ""
    return found


def written(value):
    """A default as the environment spells it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_the_example_names_every_setting_in_their_order_and_no_other():
    assert list(shown()) == list(FIELDS)


def test_the_example_says_what_each_setting_means_in_the_settings_own_words():
    assert {name: comment for name, (comment, _) in shown().items()} == {
        name: field.description for name, field in FIELDS.items()
    }


def test_the_example_shows_what_holds_where_nothing_is_set():
    assert {name: value for name, (_, value) in shown().items()} == {
        name: written(field.default) for name, field in FIELDS.items()
    }


def test_the_example_taken_over_as_it_stands_changes_nothing(tmp_path):
    taken_over = tmp_path / ".env"
    taken_over.write_text(re.sub(r"(?m)^#([A-Z_]+=)", r"\1", EXAMPLE.read_text()))

    assert Settings(_env_file=taken_over) == Settings(_env_file=None)


def test_every_meaning_is_one_sentence_on_one_line():
    for name, field in FIELDS.items():
        assert field.description, name
        assert "\n" not in field.description, name
        assert field.description.endswith("."), name


def test_a_key_shows_as_stars_wherever_the_settings_are_printed(monkeypatch):
    secrets = [name for name, field in FIELDS.items() if "SecretStr" in str(field.annotation)]
    for name in secrets:
        monkeypatch.setenv(name, "hush-4711")

    settings = Settings(_env_file=None)

    assert {"DATABASE_URL", "FAL_KEY", "FILES_SECRET"} <= set(secrets)
    assert "hush-4711" not in f"{settings!r} {settings} {settings.model_dump()}"
    assert isinstance(settings.fal_key, SecretStr)


@pytest.mark.parametrize(
    "name", [name for name in FIELDS if name.endswith(("_KEY", "_TOKEN", "_SECRET", "_PASSWORD"))]
)
def test_what_is_named_like_a_key_is_kept_like_one(name):
    assert "SecretStr" in str(FIELDS[name].annotation)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STUDIO_PORT", "70000"),
        ("STUDIO_PORT", "soon"),
        ("FAL_LIMIT", "0"),
        ("HEARTBEAT_SECONDS", "0"),
        ("WORKER", "elsewhere"),
        ("LOG_LEVEL", "LOUD"),
        ("ALLOW_NSFW", "perhaps"),
        ("SKETCH_SECONDS", "-1"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_name(monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError) as refusal:
        Settings(_env_file=None)

    assert name.lower() in str(refusal.value).lower()


def test_an_empty_value_means_that_nothing_is_set(monkeypatch):
    untouched = Settings(_env_file=None)
    for name in FIELDS:
        monkeypatch.setenv(name, "")

    assert Settings(_env_file=None) == untouched


@pytest.mark.parametrize(
    ("database_url", "team_sharing", "shares"),
    [
        (None, None, True),
        (None, "no", False),
        ("postgresql://x", None, False),
        ("postgresql://x", "yes", True),
    ],
)
def test_everybody_shares_on_the_embedded_database_unless_said_otherwise(
    monkeypatch, database_url, team_sharing, shares
):
    for name, value in (("DATABASE_URL", database_url), ("TEAM_SHARING", team_sharing)):
        if value is not None:
            monkeypatch.setenv(name, value)

    assert Settings(_env_file=None).shares_with_team is shares


def test_settings_do_not_change_once_they_are_read():
    settings = Settings(_env_file=None)

    with pytest.raises(ValidationError):
        settings.allow_nsfw = True


def test_origins_are_split_and_tidied(monkeypatch):
    monkeypatch.setenv("ALLOWED_ORIGINS", " https://one.example/, ,https://two.example ")

    assert Settings(_env_file=None).origins == ("https://one.example", "https://two.example")
