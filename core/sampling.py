"""QA samples: portraits drawn by chance from each provider, style and week, judged blind (SPEC "Audit").

Who: qa and admin draw and close, qa, product and admin judge; the database checks the same once more, and keeps what
others said from a person until their own verdict is given.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID, uuid4

from core import options
from core.authority import Action, permit
from core.db import samples
from core.errors import BadRequest
from core.services import Services
from core.values import Person

MOST_PORTRAITS = 500  # of one sample: more than a day's judging
LONGEST_NOTE = 500
LONGEST_TITLE = 80
_SEEDS = 2**31


class Verdict(StrEnum):
    """What a person says of a portrait, as stored."""

    good = "good"
    acceptable = "acceptable"
    bad = "bad"
    not_character = "not_character"
    policy = "policy"

    @property
    def is_usable(self) -> bool:
        """True where the portrait may stay as it is."""
        return self in {Verdict.good, Verdict.acceptable}


def draw(
    person: Person,
    services: Services,
    *,
    title: str,
    since: datetime,
    until: datetime,
    per_stratum: int,
    seed: int | None = None,
    sample_id: UUID | None = None,
) -> UUID:
    """Draw up to `per_stratum` saved portraits of each provider, style and week, and freeze them; the sample's id.

    The same seed over the same portraits draws the same ones; without one it is drawn by chance, and kept. The same
    `sample_id` again is the same sample. Raises NotAllowed (needs qa or admin), BadRequest, NotFound (nothing to draw).
    """
    permit(person, Action.draw_samples)
    named = _plain(title)
    if not 1 <= len(named) <= LONGEST_TITLE:
        raise BadRequest(f"Give the sample a name of at most {LONGEST_TITLE} letters.", field="title")
    chosen = uuid4() if sample_id is None else sample_id
    with services.db.as_user(person) as conn:
        samples.draw(
            conn,
            chosen,
            title=named,
            seed=random.SystemRandom().randrange(1, _SEEDS) if seed is None else seed,
            since=since.astimezone(UTC),
            until=until.astimezone(UTC),
            per_stratum=per_stratum,
            most=MOST_PORTRAITS,
            styles=style_tags(services),
        )
    return chosen


def style_tags(services: Services) -> dict[str, str]:
    """Which style a character's tag, in small letters, stands for."""
    return {
        tag.casefold(): style.key
        for style in options.catalog(services).styles
        for tag in (*style.tags, style.key)
    }


def judge(
    sample_id: UUID,
    portrait_id: UUID,
    verdict: Verdict,
    person: Person,
    services: Services,
    *,
    note: str = "",
) -> None:
    """Say what a portrait of a sample is like, or change what one said. A policy problem needs a note, and becomes a
    finding while anybody says so.

    Raises NotAllowed (needs qa, product or admin), BadRequest (note), NotFound, Conflict (`SAMPLE_CLOSED`).
    """
    permit(person, Action.judge_samples)
    said = _plain(note)
    if len(said) > LONGEST_NOTE:
        raise BadRequest(
            f"A note takes at most {LONGEST_NOTE} characters; this has {len(said)}.", field="note"
        )
    if verdict is Verdict.policy and not said:
        raise BadRequest("Say in a few words what the policy problem is.", field="note")
    with services.db.as_user(person) as conn:
        samples.judge(conn, sample_id, portrait_id, verdict.value, said)


def close(sample_id: UUID, person: Person, services: Services, *, why: str = "") -> bool:
    """End the judging: no more verdicts, and everybody sees them all. False where it was closed already.

    Raises NotAllowed (needs qa or admin), NotFound, BadRequest.
    """
    permit(person, Action.draw_samples)
    with services.db.as_user(person) as conn:
        return samples.close(conn, sample_id, _plain(why))


def _plain(text: str) -> str:
    return " ".join(text.replace("\x00", "").split())
