"""AUTOMATIC1111's infotext: the words that tools for generated pictures read (reference/image-metadata.md §2)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

_PAIR: Final = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_NEGATIVE: Final = "Negative prompt:"
_FEWEST_PAIRS: Final = 3  # fewer, and the last line is a part of the prompt


def write(prompt: str, negative: str, pairs: Mapping[str, object]) -> str:
    """The text; pairs without a value (None) are left out, so nothing is invented."""
    lines = [prompt]
    if negative:
        lines.append(f"{_NEGATIVE} {negative}")
    told = [f"{key}: {_quoted(str(value))}" for key, value in pairs.items() if value is not None]
    return "\n".join([*lines, ", ".join(told)]) if told else "\n".join(lines)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if re.search(r"[,:\n]", value) else value


def read(text: str) -> tuple[str, str, dict[str, str]]:
    """Prompt, negative prompt and the pairs of the last line, as they were written."""
    *lines, last = text.strip().split("\n")
    found = _PAIR.findall(last)
    if len(found) < _FEWEST_PAIRS:
        lines, found = [*lines, last], []
    prompt: list[str] = []
    negative: list[str] = []
    into = prompt
    for line in lines:
        if line.strip().startswith(_NEGATIVE):
            into = negative
            into.append(line.strip().removeprefix(_NEGATIVE).strip())
        else:
            into.append(line)
    pairs = {key.strip(): _unquoted(value) for key, value in found}
    return "\n".join(prompt).strip(), "\n".join(negative).strip(), pairs


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value.strip()
    try:
        return str(json.loads(value))
    except ValueError:
        return value.strip()
