"""The product's words and numbers as people read them; stages are the studio's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from audit.services import person
from core.audit.jobs import Counted, JobState
from core.portraits import STAGE_WORDS
from core.values import provider_name

STATES: Mapping[JobState, str] = {
    JobState.queued: "Queued",
    JobState.processing: "Processing",
    JobState.outcome_unknown: "Outcome unknown",
    JobState.completed: "Completed",
    JobState.failed: "Failed",
    JobState.cancelled: "Cancelled",
}
TONES: Mapping[JobState, str] = {
    JobState.queued: "calm",
    JobState.processing: "accent",
    JobState.outcome_unknown: "warn",
    JobState.completed: "good",
    JobState.failed: "bad",
    JobState.cancelled: "calm",
}
STAGES: Mapping[str, str] = {str(stage): said for stage, said in STAGE_WORDS.items()}
OUTCOMES: Mapping[str | None, str] = {
    None: "Open: its picture may still come",
    "not_accepted": "Not accepted: nothing is owed",
    "finished": "Finished",
    "refused": "Refused by the provider",
    "cancelled": "Stopped in time",
    "expired": "Expired: paid, and its picture is gone",
    "given_up": "Closed without a picture",
}
KINDS: Mapping[str, str] = {
    "estimated": "Estimated at the click",
    "computed": "Computed at the end",
    "billed": "Billed by the provider",
    "refund": "Refunded",
}
PURPOSES: Mapping[str, str] = {  # of jobs, by metadata.destination
    "character_portrait": "Portraits",
    "character_scene": "Scene images",
    "attribute_image": "Attribute images",
}
_ADDRESS = re.compile(r"(://[^\s?#]+)[?#]\S*")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def provider(name: str) -> str:
    """A provider as people read it, the way it writes itself: fal, RunPod."""
    return provider_name(name)


def settler(written: str) -> str:
    """Who ended a paid request; where no part of the studio did, the row holds a person's id."""
    return "the worker" if written == "worker" else "a person"


def who(person_id: UUID | None) -> str:
    """A person as the record knows them, by an id; None is the studio itself."""
    if person_id is None:
        return "the studio"
    return "you" if person_id == person().id else short(person_id)


def sentence(text: str) -> str:
    """A sentence as it begins a line; what follows the `?` of an address may open it, so it is left out."""
    return text[:1].upper() + _ADDRESS.sub(r"\1?…", text[1:])


def money(amount: Decimal | None) -> str:
    """Dollars with as many digits as they have, two at least; None is said to be unknown, never shown as zero."""
    if amount is None:
        return "unknown"
    text = f"{amount:.6f}".rstrip("0")
    whole, _, cents = text.partition(".")
    return f"${whole}.{cents.ljust(2, '0')}"


def count(counted: Counted) -> str:
    """A bounded count: 12, or 10,000+ where there are more than were counted."""
    return f"{counted.number:,}{'+' if counted.more else ''}"


def lasted(seconds: float) -> str:
    """A length of time: 80 ms, 1.8 s, 12 s, 3 min, 5 h, 2 days."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:  # noqa: PLR2004 - below ten seconds the tenths matter
        return f"{seconds:.1f} s"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds / _HOUR:.0f} h"
    return f"{seconds / _DAY:.0f} days"


def size(number: int) -> str:
    """Bytes as people read them: 412 kB, 1.3 MB."""
    return f"{number / 1e6:.1f} MB" if number >= 1_000_000 else f"{max(number / 1e3, 0.1):.0f} kB"  # noqa: PLR2004


def zone() -> tzinfo:
    """The time zone of the person's browser; UTC where it says none we know."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def clock(at: datetime) -> str:
    """A moment within a day: 14:03:05, in the person's time zone."""
    return f"{at.astimezone(zone()):%H:%M:%S}"


def ago(at: datetime) -> str:
    """How long ago a moment was: 12 s ago, 3 min ago, 2 days ago."""
    return f"{lasted(max((datetime.now(UTC) - at).total_seconds(), 0.0))} ago"


def day(at: datetime) -> str:
    """A day: 20 Nov 2026, in the person's time zone."""
    return f"{at.astimezone(zone()):%-d %b %Y}"


def moment(at: datetime) -> str:
    """A moment: 20 Nov 2026, 14:03:05, in the person's time zone."""
    return f"{day(at)}, {clock(at)}"


def sent_at(at: datetime) -> str:
    """A moment to look up at a provider: in the person's time zone, and in UTC where that is another."""
    here = moment(at)
    if at.astimezone(zone()).utcoffset() == timedelta(0):
        return f"{here} UTC"
    return f"{here} ({at.astimezone(UTC):%H:%M:%S} UTC)"


def short(ident: object) -> str:
    """The first eight digits of an id, enough to find it again."""
    return str(ident)[:8]
