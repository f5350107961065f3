"""What the demo world holds that is wrong, and what only looks wrong: for whoever learns the dashboard, and for the test
that holds every page to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from core.values import JobId


class Page(StrEnum):
    """The page of the dashboard that must show it, by its address."""

    overview = "overview"
    jobs = "jobs"
    stuck = "stuck"
    autosave = "autosave"
    findings = "findings"
    library = "library"
    attributes = "attributes"
    costs = "costs"
    system = "system"


class Repair(StrEnum):
    """What mends it: a kind of bulk action, or somebody."""

    repair_autosave = "repair_autosave"
    repair_library = "repair_library"
    recover = "recover"
    generate = "generate"  # attribute images are made
    person = "a person decides"
    admin = "an admin acts"
    nobody = "nothing to mend"  # it is told, and stays as it is


@dataclass(frozen=True, kw_only=True)
class Planted:
    """One defect. `code` is family and word, such as `autosave.OBJECT_MISSING`; `row` the row it sits in (or a
    `bucket/path`); `says` a part of the sentence its page shows; `job` the job it is about, where there is one.
    """

    code: str
    page: Page
    table: str
    row: str
    says: str
    repair: Repair
    job: str = ""

    @property
    def family(self) -> str:
        """The first part of the code."""
        return self.code.partition(".")[0]

    @property
    def word(self) -> str:
        """The second part of the code."""
        return self.code.partition(".")[2]

    @property
    def job_id(self) -> JobId:
        """The job it is about. Raises ValueError where it is about none."""
        return JobId(UUID(self.job))


@dataclass(frozen=True, kw_only=True)
class Innocent:
    """Something that looks wrong and is right; `why` it is right."""

    code: str
    table: str
    row: str
    why: str
    job: str = ""


@dataclass(frozen=True, kw_only=True)
class World:
    """The manifest. `is_new`: it was made by this call."""

    planted: Sequence[Planted]
    innocent: Sequence[Innocent]
    people: Mapping[str, str]
    is_new: bool = False

    def of(self, *families: str) -> list[Planted]:
        """The defects of these families, in the order they were planted."""
        return [one for one in self.planted if one.family in families]

    def as_json(self) -> dict[str, object]:
        """For the audit event that keeps it."""
        return {
            "planted": [asdict(one) for one in self.planted],
            "innocent": [asdict(one) for one in self.innocent],
            "people": dict(self.people),
        }

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> World:
        """The manifest of a world that was made before."""
        return cls(
            planted=[_planted(one) for one in kept["planted"]],
            innocent=[Innocent(**one) for one in kept["innocent"]],
            people=dict(kept["people"]),
        )


def _planted(kept: Mapping[str, str]) -> Planted:
    rest = {name: word for name, word in kept.items() if name not in {"page", "repair"}}
    return Planted(**rest, page=Page(kept["page"]), repair=Repair(kept["repair"]))  # pyright: ignore[reportArgumentType] - the rest are texts


CANNOT_HAPPEN: Mapping[str, str] = {
    "TWO_PRIMARIES": (
        "The constraint portraits_one_primary holds for every writer, the platform included; what an adopted database had "
        "was settled when the studio came, and stands under the findings (portrait.second_primary)."
    ),
}
"""Failing reasons of the seven checks that no database of ours can hold, and why."""
