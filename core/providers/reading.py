"""What comes back: a stranger's JSON, read leniently. Nothing here raises for a value of the wrong kind."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import cast

from core.values import RemoteImage

_INLINE = re.compile(r"^data:[^,]{0,200};base64,", re.IGNORECASE)
# How PNG, JPEG, WebP and GIF begin in base64: some workers send it bare.
_HEADS = ("iVBORw0KGg", "/9j/", "UklGR", "R0lGOD")
_DEEPEST = 8


def rows(value: object) -> list[object]:
    """A list, or an empty one where it is none."""
    return list(cast("list[object]", value)) if isinstance(value, list) else []


def table(value: object) -> Mapping[str, object]:
    """An object, or an empty one where it is none."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def words(value: object) -> str:
    """Text, or nothing where it is something else."""
    return value if isinstance(value, str) else ""


def number(value: object) -> float | None:
    """A number, also one that came as text (Novita's do); None for everything else, true and false included."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def whole(value: object) -> int | None:
    """A whole number, also one that came as text; never by way of a float, which would round a long seed."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        return int(value)
    except ValueError:
        return None


def moment(value: object) -> datetime | None:
    """An ISO 8601 time with a zone (UTC where it names none); None where it is unreadable."""
    try:
        found = datetime.fromisoformat(words(value))
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def inline(text: str) -> bool:
    """True for a `data:` address in base64."""
    return _INLINE.match(text) is not None


def decoded(text: str) -> bytes | None:
    """The bytes of a `data:` address in base64; None where it is none or broken."""
    head = _INLINE.match(text)
    return _unpacked(text[head.end() :]) if head else None


def image(text: str) -> RemoteImage | None:
    """A picture: an http(s) address, a `data:` address, or the bare base64 of a common kind of picture."""
    if text.startswith(("http://", "https://")):
        return RemoteImage(url=text)
    data = decoded(text) if text[:5].lower() == "data:" else _bare(text)
    return RemoteImage(data=data) if data else None


def images(value: object, *, under: Collection[str] | None = None) -> tuple[RemoteImage, ...]:
    """Every picture in a JSON value, each once, in the order they stand.

    Of an object only the values of the keys in `under` count, in the order of `under` (None: all of them).
    """
    found = (image(text) for text in _texts(value, under, _DEEPEST))
    return tuple(dict.fromkeys(one for one in found if one is not None))


def _texts(value: object, under: Collection[str] | None, deepest: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        return
    if deepest == 0:
        return
    entries = table(value)
    inside = rows(value)
    inside += [entries[key] for key in (entries if under is None else under) if key in entries]
    for entry in inside:
        yield from _texts(entry, under, deepest - 1)


def _bare(text: str) -> bytes | None:
    return _unpacked(text) if text.startswith(_HEADS) else None


def _unpacked(text: str) -> bytes | None:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
