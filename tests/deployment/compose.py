"""compose.yaml and the Dockerfile, read as Docker reads them; only what these files use of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILES = ("compose.yaml", "deploy/compose.laptop.yaml", "deploy/compose.supabase.yaml")
OURS = ("studio", "audit", "worker")
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::(?P<how>[-?])(?P<words>[^}]*))?\}")


@dataclass(frozen=True)
class Image:
    """What the last stage of the Dockerfile gives a container."""

    environment: Mapping[str, str]
    command: list[str]
    user: str
    instructions: list[tuple[int, str, str]]  # stage, word, the rest

    def said(self, word: str, *, stage: int | None = None) -> list[str]:
        return [rest for at, name, rest in self.instructions if name == word and stage in (None, at)]


def read_image() -> Image:
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    stage, found = -1, []
    for line in filter(str.strip, joined.splitlines()):
        word, _, rest = line.partition(" ")
        stage += word == "FROM"
        found.append((stage, word, rest.strip()))
    last = [(word, rest) for at, word, rest in found if at == stage]
    environment = dict(pair.split("=", 1) for word, rest in last if word == "ENV" for pair in rest.split())
    command = next(yaml.safe_load(rest) for word, rest in last if word == "CMD")
    return Image(environment, command, next(rest for word, rest in last if word == "USER"), found)


def read_compose(*names: str, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The files merged, with `variables` put in. Raises KeyError, with the file's words, where one is demanded."""
    merged: dict[str, Any] = {}
    for name in names or FILES[:1]:
        text = "\n".join(
            line for line in (ROOT / name).read_text().splitlines() if not line.lstrip().startswith("#")
        )
        merged = _merged(merged, yaml.safe_load(_put_in(text, variables or {})))
    return merged


def _put_in(text: str, variables: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        given = variables.get(found["name"], "")
        if given:
            return given
        if found["how"] == "?":
            raise KeyError(found["words"])
        return found["words"] or ""

    return _VARIABLE.sub(value, text)


def _merged(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {
            name: _merged(below[name], above[name])
            if name in below and name in above
            else above.get(name, below.get(name))
            for name in {**below, **above}
        }
    return above


def environment_of(service: Mapping[str, Any], image: Image) -> dict[str, str]:
    """What a container of that service sees, without what .env says."""
    return dict(image.environment) | {name: str(value) for name, value in service["environment"].items()}


def command_of(service: Mapping[str, Any], image: Image) -> list[str]:
    return list(service.get("command", image.command))


def seconds(length: str) -> float:
    """`30s`, `2m`."""
    return float(length[:-1]) * {"s": 1, "m": 60}[length[-1]]
