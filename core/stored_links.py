"""What a column holds as a picture's address, and when a link in it dies. Pure: nothing is asked, no link is shown.

A row should hold `bucket/path` or a path (SPEC "Files"). A signed or external link stops working one day; when, stands
in the link itself, or follows from how long its provider keeps results (reference/providers.md).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import cast
from urllib.parse import SplitResult, parse_qsl, urlsplit

from core.errors import RequestRefused
from core.storage import Address, External
from core.storage.links import parse_address

# How long providers keep a result from its making on, where the link does not say it.
LIFETIMES: Mapping[str, timedelta] = MappingProxyType(
    {
        "replicate.delivery": timedelta(hours=1),
        "image.runpod.ai": timedelta(minutes=30),
        "runpod.ai": timedelta(minutes=30),
        "runpod.io": timedelta(minutes=30),
        "novita.ai": timedelta(hours=1),
    }
)
_COMPACT = "%Y%m%dT%H%M%SZ"
_LATEST = 253_402_300_799  # the last second of the year 9999


@dataclass(frozen=True, kw_only=True)
class StoredLink:
    """A link in a row. `address` is the object of ours it leads to, None where it is external. `dies_at` None: nothing
    tells when it ends.
    """

    host: str
    address: Address | None
    dies_at: datetime | None


def read(
    value: str, *, default_bucket: str, own_hosts: tuple[str, ...], made_at: datetime
) -> Address | StoredLink | None:
    """An address of ours, a link that should not be stored, or None where the text is neither.

    A public link of our own project never ends, so it counts as the address it names.
    """
    try:
        named = parse_address(value, default_bucket=default_bucket, own_hosts=own_hosts)
    except RequestRefused:
        return None
    if isinstance(named, External):
        return _external(value.strip(), made_at)
    ends = _end_of(value.strip())
    if "://" not in value and not value.strip().startswith("/"):
        return named
    if ends is None and "/public/" in value:
        return named
    return StoredLink(host=_host(value), address=named, dies_at=ends)


def _external(value: str, made_at: datetime) -> StoredLink | None:
    host = _host(value)
    if not host:
        return None
    return StoredLink(host=host, address=None, dies_at=_end_of(value) or _kept_until(host, made_at))


def _host(value: str) -> str:
    with suppress(ValueError):
        return (urlsplit(value.strip()).hostname or "").lower()
    return ""


def _kept_until(host: str, made_at: datetime) -> datetime | None:
    for name, lifetime in LIFETIMES.items():
        if host == name or host.endswith(f".{name}"):
            return made_at + lifetime
    return None


def _end_of(value: str) -> datetime | None:
    """When a signed link ends, as it says itself, in any of the spellings that are in use."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    said = {name.lower(): text for name, text in parse_qsl(parts.query)}
    return (
        _span(said, "x-amz-date", "x-amz-expires")
        or _span(said, "x-goog-date", "x-goog-expires")
        or _of_token(parts, said.get("token", ""))
        or _seconds(said.get("expires", ""))
        or _moment(said.get("se", ""))
    )


def _span(said: Mapping[str, str], begun: str, lasts: str) -> datetime | None:
    """A signature's date (20261120T211500Z) and its seconds."""
    try:
        start = datetime.strptime(said.get(begun, ""), _COMPACT).replace(tzinfo=UTC)
        return start + timedelta(seconds=int(said.get(lasts, "")))
    except (ValueError, OverflowError):
        return None


def _of_token(parts: SplitResult, token: str) -> datetime | None:
    """Our own token begins with its end in hex; Supabase's is a JWT whose `exp` says it."""
    if "/files/" in parts.path and "." not in token:
        with suppress(ValueError):
            return _at(int(token.partition("-")[0], 16))
        return None
    pieces = token.split(".")
    if len(pieces) != 3:  # noqa: PLR2004 -- header, claims, signature
        return None
    try:
        claims: object = json.loads(base64.urlsafe_b64decode(pieces[1] + "=" * (-len(pieces[1]) % 4)))
    except (ValueError, binascii.Error):
        return None
    if not isinstance(claims, dict):
        return None
    ends = cast("dict[str, object]", claims).get("exp")
    return _at(int(ends)) if isinstance(ends, int | float) else None


def _seconds(text: str) -> datetime | None:
    return _at(int(text)) if text.isdecimal() and len(text) <= len(str(_LATEST)) else None


def _moment(text: str) -> datetime | None:
    try:
        ends = datetime.fromisoformat(text)
    except ValueError:
        return None
    return ends if ends.tzinfo is not None else ends.replace(tzinfo=UTC)


def _at(seconds: int) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds <= _LATEST else None
